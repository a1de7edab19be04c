package pickle_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"slices"

	"github.com/carrot-router/carrot/internal/pickle"
)

func ExampleRead() {
	f, err := os.Open("../importer/testdata/routerbench/pandas2.2-protocol5.pkl")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		log.Fatal(err)
	}
	table, err := pickle.Read(context.Background(), f, info.Size())
	if err != nil {
		log.Fatal(err)
	}
	column := slices.Index(table.Columns(), "sample_id")
	for row := range table.Rows() {
		text, ok, err := table.Value(row, column)
		fmt.Println(text, ok, err)
	}
	// Output:
	// sums.0 true <nil>
	// sums.1 true <nil>
	// words.0 true <nil>
	// words.1 true <nil>
}

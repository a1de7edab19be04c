package exampledata_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/exampledata"
	"github.com/carrot-router/carrot/price"
)

func Example() {
	tmp, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(tmp)

	set := exampledata.New(price.CountTokens)
	err = set.WriteDirWith(filepath.Join(tmp, "mydata"), dataset.WriteOptions{Plain: true})
	fmt.Println(len(set.Queries), "queries,", len(set.Models), "models", err)
	fmt.Println(set.Queries[0].Prompt)
	// Output:
	// 504 queries, 6 models <nil>
	// Subtract 40 from 55.
}

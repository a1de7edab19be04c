package wordpiece_test

import (
	"fmt"

	"github.com/carrot-router/carrot/internal/wordpiece"
)

func ExampleNew() {
	vocab := []string{"[UNK]", "[CLS]", "[SEP]", "route", "##r", "##s", "cafe", ","}
	tokens, err := wordpiece.New(vocab, wordpiece.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, id := range tokens.Encode("Routers, CAFÉ", 512) {
		fmt.Print(vocab[id], " ")
	}
	fmt.Println()
	// Output:
	// [CLS] route ##r ##s , cafe [SEP]
}

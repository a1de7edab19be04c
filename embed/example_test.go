package embed_test

import (
	"context"
	"fmt"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/embed"
)

// Two prompts on one subject are nearer to each other than to a third.
func ExampleStatic_Embed() {
	static, err := embed.Default()
	if err != nil {
		fmt.Println(err)
		return
	}
	texts := []string{"Solve x^2 = 4 for x", "Find the roots of the polynomial", "Write a poem about the sea"}
	x := make([]carrot.Representation, len(texts))
	if err := static.Embed(context.Background(), texts, x); err != nil {
		fmt.Println(err)
		return
	}
	cosine := func(a, b carrot.Representation) (sum float32) {
		for k := range a.Dense {
			sum += a.Dense[k] * b.Dense[k]
		}
		return sum
	}
	fmt.Println("numbers a prompt:", static.Dim())
	fmt.Println("mathematics nearer than poetry:", cosine(x[0], x[1]) > cosine(x[0], x[2]))
	// Output:
	// numbers a prompt: 128
	// mathematics nearer than poetry: true
}

// A bag holds every distinct word and pair of neighbours once, whatever the
// case; a pair has the top bit of its index set.
func ExampleWords() {
	var bag carrot.Sparse
	embed.Words("The cat saw the CAT", &bag)
	for i, index := range bag.Index {
		kind := "word"
		if index&carrot.FirstPair != 0 {
			kind = "pair"
		}
		fmt.Printf("%s %.2f\n", kind, bag.Value[i])
	}
	// Unordered output:
	// word 1.69
	// word 1.69
	// word 1.00
	// pair 1.69
	// pair 1.00
	// pair 1.00
}

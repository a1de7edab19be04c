package embed_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math"
	"os"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/embed"
)

func Example() {
	embedder, err := embed.Open("static", embed.Options{})
	if err != nil {
		log.Fatal(err)
	}
	x := make([]carrot.Representation, 1)
	if err := embedder.Embed(context.Background(), []string{"What is 2+2?"}, x); err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(x[0].Dense), "numbers,", len(x[0].Sparse.Index), "words and pairs")
	// Output: 128 numbers, 6 words and pairs
}

// A spec usually comes from a flag or a file. ErrSpec tells a mistake in it from
// a model that does not open.
func ExampleOpen() {
	for _, spec := range []string{"bert:testdata/tiny-bert", "bert:testdata/missing", "word2vec"} {
		embedder, err := embed.Open(spec, embed.Options{})
		switch {
		case errors.Is(err, embed.ErrSpec):
			fmt.Println(err)
		case errors.Is(err, os.ErrNotExist):
			fmt.Println("no model at", spec)
		case err != nil:
			log.Fatal(err)
		default:
			name, _, _ := strings.Cut(embedder.ID(), "@")
			fmt.Println("opened", name)
		}
	}
	// Output:
	// opened bert:tiny-bert
	// no model at bert:testdata/missing
	// invalid embedder "word2vec": want static, static:FILE, bert:DIR, openai:URL#MODEL, npy:FILE or none
}

func ExampleDefault() {
	static, err := embed.Default()
	if err != nil {
		log.Fatal(err)
	}
	about := static.Provenance()
	teacher, _, _ := strings.Cut(about.Teacher, "@")
	fmt.Println(static.Dim(), "dimensions, distilled from", teacher)
	// Output: 128 dimensions, distilled from bert:all-MiniLM-L6-v2
}

func ExampleOpenStatic() {
	static, err := embed.OpenStatic("static.safetensors") // the file of the default table
	if err != nil {
		log.Fatal(err)
	}
	byDefault, err := embed.Default()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(static.ID() == byDefault.ID())
	// Output: true
}

// Two prompts about the same subject are nearer to each other than to a third.
func ExampleStatic_Embed() {
	static, err := embed.Default()
	if err != nil {
		log.Fatal(err)
	}
	texts := []string{"Solve x^2 = 4 for x", "Find the roots of the polynomial", "Write a poem about the sea"}
	x := make([]carrot.Representation, len(texts))
	if err := static.Embed(context.Background(), texts, x); err != nil {
		log.Fatal(err)
	}
	cosine := func(a, b carrot.Representation) (sum float32) {
		for k := range a.Dense {
			sum += a.Dense[k] * b.Dense[k]
		}
		return sum
	}
	fmt.Println("mathematics nearer than poetry:", cosine(x[0], x[1]) > cosine(x[0], x[2]))
	// Output: mathematics nearer than poetry: true
}

func ExampleOpenBERT() {
	bert, err := embed.OpenBERT("testdata/tiny-bert")
	if err != nil {
		log.Fatal(err)
	}
	vectors, err := bert.Encode(context.Background(), []string{"hello", "hello world"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(vectors), "vectors of", len(vectors[0]), "numbers")
	// Output: 2 vectors of 15 numbers
}

// A table made from a small encoder and two texts. Frequent tokens count for
// less than rare ones.
func ExampleDistill() {
	teacher, err := embed.OpenBERT("testdata/tiny-bert")
	if err != nil {
		log.Fatal(err)
	}
	texts := []string{"hello world", "hello, hello"}
	data, err := embed.Distill(context.Background(), teacher, texts, embed.DistillOptions{Dim: 4, Smoothing: 0.01})
	if err != nil {
		log.Fatal(err)
	}
	static, err := embed.ParseStatic(data)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(static.Dim(), "dimensions, from", static.Provenance().Tokens, "tokens")
	// Output: 4 dimensions, from 5 tokens
}

func ExampleParseStatic() {
	data, err := os.ReadFile("static.safetensors") // or a file embedded in the program
	if err != nil {
		log.Fatal(err)
	}
	static, err := embed.ParseStatic(data)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(static.Dim(), "dimensions")
	_, err = embed.ParseStatic(data[:1000])
	fmt.Println("truncated:", err != nil)
	// Output:
	// 128 dimensions
	// truncated: true
}

// letters is an encoder: its vectors hold the shares of vowels and consonants.
type letters struct{}

func (letters) ID() string { return "letters" }

func (letters) Encode(ctx context.Context, texts []string) ([][]float32, error) {
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		var vowels, consonants float64
		for _, r := range strings.ToLower(text) {
			switch {
			case strings.ContainsRune("aeiou", r):
				vowels++
			case 'a' <= r && r <= 'z':
				consonants++
			}
		}
		length := max(math.Hypot(vowels, consonants), 1)
		vectors[i] = []float32{float32(vowels / length), float32(consonants / length)}
	}
	return vectors, ctx.Err()
}

// An encoder of your own becomes an embedder.
func ExampleEncoded() {
	var embedder carrot.Embedder = &embed.Encoded{Encoder: letters{}}
	x := make([]carrot.Representation, 1)
	if err := embedder.Embed(context.Background(), []string{"Eight seas"}, x); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %.1f\n", embedder.ID(), x[0].Dense)
	// Output: letters: [0.6 0.8]
}

// With a cache, a text that was encoded in an earlier run is not encoded again.
func ExampleOpenCache() {
	folder, err := os.MkdirTemp("", "vectors")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	for range 2 {
		cache, err := embed.OpenCache(folder, letters{}.ID())
		if err != nil {
			log.Fatal(err)
		}
		encoded := 0
		embedder := &embed.Encoded{Encoder: letters{}, Cache: cache, Progress: func(done, total int) { encoded = done }}
		x := make([]carrot.Representation, 2)
		if err := embedder.Embed(context.Background(), []string{"one", "two"}, x); err != nil {
			log.Fatal(err)
		}
		fmt.Println("encoded", encoded)
	}
	// Output:
	// encoded 2
	// encoded 0
}

// A bag holds every distinct word and every distinct pair of neighbouring words
// once, in lower case. The index of a pair has its top bit set.
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

package price_test

import (
	"fmt"
	"log"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/price"
)

func ExampleBook_Price() {
	book := price.Default()
	p, err := book.Price("gpt-4o-2024-05-13")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Cost(carrot.Usage{Input: 1200, Output: 300}))

	_, err = book.Price("gpt-0")
	fmt.Println(err)
	// Output:
	// $0.0105 <nil>
	// model "gpt-0": no price in the price book
}

// What is known of a model is found under any of its names, and never that of another one.
func ExampleBook_Lookup() {
	book := price.Default()
	e, err := book.Lookup("openai/gpt-5.1-2025-11-13")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(e.Name, e.Provider, e.Efforts, e.MaxInput, *e.Sampling, e.SamplingEfforts)

	_, err = book.Lookup("gpt-5.1-mini")
	fmt.Println(err)
	// Output:
	// gpt-5.1 openai [none low medium high] 272000 true [none]
	// model "gpt-5.1-mini": no price in the price book
}

// A user's own prices take the place of those in the binary.
func ExampleBook_Overlay() {
	own := &price.Book{Entries: []price.Entry{{Name: "mine", Price: carrot.Price{Input: carrot.PerMillion(0.2), Output: carrot.PerMillion(0.8)}, Date: "2025-01-31", Source: "my own GPU"}}}
	both := price.Default().Overlay(own)
	for _, model := range []string{"mine", "gpt-4o-2024-05-13"} {
		p, err := both.Price(model)
		if err != nil {
			log.Fatal(err)
		}
		usd, _ := p.Input.PerMillion()
		fmt.Println(model, usd)
	}
	// Output:
	// mine 0.2
	// gpt-4o-2024-05-13 5
}

func ExampleCountTokens() {
	fmt.Println(price.CountTokens("What is the derivative of x^3?"))
	// Output: 9
}

func ExampleParse() {
	book, err := price.Parse([]byte(`{
		"schema": "carrot.prices/1",
		"unit": "USD per million tokens",
		"models": [
			{"name": "mine", "input": 0.2, "output": -0.8, "date": "2025-01-31", "source": "my own GPU"}
		]
	}`))
	fmt.Println(book, err)
	// Output: <nil> models[0]: model "mine": field output: -0.8 is not a price in USD per million tokens
}

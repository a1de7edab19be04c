package artifact_test

import (
	"bytes"
	"context"
	"fmt"
	"log"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/embed"
	"github.com/carrot-router/carrot/price"
)

// The router in the binary, with the vectors and the prices in the binary, decides
// offline.
func ExampleDefault() {
	static, err := embed.Default()
	if err != nil {
		log.Fatal(err)
	}
	saved, err := artifact.Default() // or artifact.Open("router.safetensors")
	if err != nil {
		log.Fatal(err)
	}
	router, err := saved.Router(static, saved.Pool(price.Default()))
	if err != nil {
		log.Fatal(err)
	}
	query := carrot.Query{Text: "A train travels 60 km in 45 minutes. What is its speed in km/h?"}
	for _, objective := range []carrot.Objective{carrot.Cheap, carrot.Balanced, carrot.Quality} {
		decision, err := router.Route(context.Background(), query, objective)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(objective, decision.Model)
	}
	// Output:
	// cheap deepseek-v2.5-0908
	// balanced gpt-4o-mini-2024-07-18
	// quality claude-3-5-sonnet-20241022
}

// Equal routers are written as equal bytes. The manifest says what is in them.
func ExampleArtifact_Write() {
	saved, err := artifact.Default()
	if err != nil {
		log.Fatal(err)
	}
	var file bytes.Buffer
	if err := saved.Write(&file); err != nil {
		log.Fatal(err)
	}
	again, err := artifact.Parse(file.Bytes())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(again.Manifest.Format, again.Manifest.Embedder.Spec, len(again.Manifest.Models), "models", again.SHA256 == saved.SHA256)
	// Output: carrot.router/1 static 16 models true
}

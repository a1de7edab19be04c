package provider_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/carrot-router/carrot/internal/provider"
)

func ExampleEmbeddings() {
	// In place of OpenAI, Ollama or vLLM.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"data":[{"index":1,"embedding":[0,2]},{"index":0,"embedding":[3,4]}]}`)
	}))
	defer server.Close()

	encoder := &provider.Embeddings{BaseURL: server.URL + "/v1", Model: "all-minilm"}
	vectors, err := encoder.Encode(context.Background(), []string{"first", "second"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(vectors)
	// Output: [[0.6 0.8] [0 1]]
}

package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/simulate"
	"github.com/carrot-router/carrot/record"
)

// printer is a recorder that prints attempts.
type printer struct{}

func (printer) Record(_ context.Context, a *record.Attempt) error {
	fmt.Println("recorded:", a.Candidate, a.Outcome, a.Usage.Input, "tokens in")
	return nil
}

// A gateway made in Go, whose provider is simulated.
func ExampleNew() {
	simulated := httptest.NewServer(&simulate.Provider{Models: []simulate.Model{{Name: "gpt-4o-mini-2024-07-18", OutputTokens: 8}}})
	defer simulated.Close()

	config := &gateway.Config{
		Providers: []gateway.ProviderConfig{{Name: "openai", Kind: "openai", BaseURL: simulated.URL + "/v1", APIKey: "sk-example"}},
		Models:    []gateway.ModelConfig{{Name: "gpt-4o-mini-2024-07-18", Provider: "openai"}},
	}
	router := source().Router // the router in the binary
	g, err := gateway.New(config, gateway.Source{Router: router}, gateway.Options{Recorder: printer{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(g)
	defer server.Close()

	response, err := http.Post(server.URL+"/v1/chat/completions", "application/json",
		strings.NewReader(`{"model":"auto","messages":[{"role":"user","content":"What is 17 * 23?"}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	var answer struct{ Model string }
	err = json.NewDecoder(response.Body).Decode(&answer)
	fmt.Println("answered:", answer.Model, response.Header.Get("X-Carrot-Reason"), err)
	// Output:
	// recorded: gpt-4o-mini-2024-07-18 served 12 tokens in
	// answered: gpt-4o-mini-2024-07-18 only-candidate <nil>
}

func ExampleParseFile() {
	environment := func(name string) (string, bool) { return map[string]string{"OPENAI_API_KEY": "sk-example"}[name], true }
	file, err := gateway.ParseFile([]byte(`
listen: 127.0.0.1:9000
providers: [{name: openai, kind: openai, api_key: "${OPENAI_API_KEY}"}]
models: [{name: gpt-4o-mini-2024-07-18, provider: openai}]
`), environment)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(file.Listen, file.Providers[0].BaseURL, "key:", file.Providers[0].APIKey)

	_, err = gateway.ParseFile([]byte("providers: [{name: openai, kind: opanai}]\nmodels: [{name: m, provider: openai, contxt: 8192}]\n"), nil)
	fmt.Println(err)
	// Output:
	// 127.0.0.1:9000 https://api.openai.com/v1 key: ***
	// 2:38: models[0]: unknown key "contxt", did you mean "context"?
}

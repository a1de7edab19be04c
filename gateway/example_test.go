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

// printing is a recorder: three lines that a program may put in place of a file.
type printing struct{}

func (printing) Record(_ context.Context, a *record.Attempt) error {
	fmt.Println("recorded:", a.Candidate, a.Outcome, a.Usage.Input, "tokens in")
	return nil
}

// A gateway is an http.Handler. Here its provider is a simulated one.
func ExampleNew() {
	provider := httptest.NewServer(&simulate.Provider{Models: []simulate.Model{{Name: "gpt-4o-mini-2024-07-18", OutputTokens: 8}}})
	defer provider.Close()
	file, err := gateway.ParseFile([]byte(`
providers: [{name: up, kind: openai, base_url: "`+provider.URL+`/v1"}]
models: [{name: gpt-4o-mini-2024-07-18, provider: up}]
`), func(string) (string, bool) { return "", false })
	if err != nil {
		fmt.Println(err)
		return
	}
	g, err := gateway.New(&file.Config, source(), gateway.Options{Recorder: printing{}}) // source: the router in the binary
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(g)
	defer server.Close()
	response, err := http.Post(server.URL+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"auto","messages":[{"role":"user","content":"What is 17 * 23?"}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	var answer struct{ Model string }
	err = json.NewDecoder(response.Body).Decode(&answer)
	fmt.Println(answer.Model, response.Header.Get("X-Carrot-Reason"), err)
	// Output:
	// recorded: gpt-4o-mini-2024-07-18 served 12 tokens in
	// gpt-4o-mini-2024-07-18 only-candidate <nil>
}

package simulate_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/simulate"
)

func ExampleProvider() {
	provider := &simulate.Provider{Models: []simulate.Model{{
		Name:         "small",
		Price:        carrot.Price{Input: carrot.PerMillion(0.15), Output: carrot.PerMillion(0.6)},
		OutputTokens: 200,
	}}}
	server := httptest.NewServer(provider)
	defer server.Close()

	response, err := http.Post(server.URL+"/v1/chat/completions", "application/json",
		strings.NewReader(`{"model":"small","max_tokens":5,"messages":[{"role":"user","content":"Who are you?"}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	fmt.Println(response.Status)
	bill := provider.Bill()
	fmt.Printf("%+v\n%s\n", bill.Lines[0].Usage, bill.Cost())
	// Output:
	// 200 OK
	// {Input:8 CachedInput:0 CacheWrite:0 Output:5 Reasoning:0 Details:<nil>}
	// $0.0000042
}

func ExampleScript() {
	script, err := simulate.ParseScript([]byte(`The provider is busy once.
-- response --
HTTP/1.1 503 Service Unavailable

busy
-- response --
HTTP/1.1 200 OK

here you are
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(script)
	defer server.Close()
	for range 2 {
		response, err := http.Post(server.URL, "text/plain", strings.NewReader("hello"))
		if err != nil {
			fmt.Println(err)
			return
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		fmt.Print(response.StatusCode, " ", string(body))
	}
	fmt.Println(len(script.Requests()), "requests")
	// Output:
	// 503 busy
	// 200 here you are
	// 2 requests
}

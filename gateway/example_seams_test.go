package gateway_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/simulate"
	"github.com/carrot-router/carrot/record"
)

// allowance is an amount that calls may cost. It reserves what a call will hardly
// exceed, and settles the true cost when the call is over.
type allowance struct {
	mu   sync.Mutex
	left carrot.USD
}

// Admit opens the account of a request. There are no limits but the allowance.
func (b *allowance) Admit(context.Context, *gateway.Client, map[string]string) (gateway.Account, error) {
	return b, nil
}

func (b *allowance) Terms() (strict bool, pace float64) { return true, 1 }

func (b *allowance) Reserve(_ context.Context, a *record.Attempt, _, most carrot.USD) (carrot.USD, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a.Held = most
	if e := a.Estimate(); e != nil {
		a.Held = e.CostP90
	}
	if a.Held > b.left {
		return 0, &gateway.Denial{Status: http.StatusPaymentRequired, Code: "budget_exceeded", Message: "the allowance is spent"}
	}
	b.left -= a.Held
	return most, nil
}

func (b *allowance) Settle(a *record.Attempt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !a.CostUnknown { // what is unknown is not zero, so the reservation stays
		b.left += a.Held - a.Cost
	}
}

func (b *allowance) Header(_ string, h http.Header) { h.Set("X-Carrot-Budget-Left", b.left.String()) }

func (b *allowance) Close() {}

func ExampleBudgets() {
	budget := &allowance{left: carrot.Dollars(0.0001)}
	g := exampleGateway(gateway.Options{Budgets: budget})
	for range 3 {
		fmt.Println(exampleRequest(g, ""), "left:", budget.left)
	}
	// Output:
	// 200 OK left: $0.0000646
	// 200 OK left: $0.0000292
	// 402 Payment Required left: $0.0000292
}

// team has one client.
type team struct{}

func (team) Client(_ context.Context, key [sha256.Size]byte) (*gateway.Client, error) {
	if key != sha256.Sum256([]byte("search-team-0123456789")) {
		return nil, nil // unknown
	}
	return &gateway.Client{Name: "search", Key: key, Limits: gateway.ClientLimits{Policies: []string{"auto"}}}, nil
}

func ExampleClients() {
	g := exampleGateway(gateway.Options{Clients: team{}})
	fmt.Println(exampleRequest(g, "search-team-0123456789"))
	fmt.Println(exampleRequest(g, "another-key-0123456789"))
	// Output:
	// 200 OK
	// 401 Unauthorized
}

// exampleGateway is a gateway whose one model is simulated.
func exampleGateway(o gateway.Options) *gateway.Gateway {
	o.Transport = &pipes{handler: &simulate.Provider{Models: []simulate.Model{{Name: "gpt-4o-mini-2024-07-18", OutputTokens: 80}}}}
	g, err := gateway.New(&gateway.Config{
		Providers: []gateway.ProviderConfig{{Name: "simulated", Kind: "openai"}},
		Models:    []gateway.ModelConfig{{Name: "gpt-4o-mini-2024-07-18", Provider: "simulated"}},
	}, source(), o)
	if err != nil {
		panic(err)
	}
	return g
}

// exampleRequest sends a request with a client's key and returns the status.
func exampleRequest(g *gateway.Gateway, key string) string {
	request := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"auto","max_tokens":90,"messages":[{"role":"user","content":"What is 17 * 23?"}]}`))
	request.Header.Set("Authorization", "Bearer "+key)
	answer := httptest.NewRecorder()
	g.ServeHTTP(answer, request)
	return answer.Result().Status
}

package gateway_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/simulate"
	"github.com/carrot-router/carrot/price"
	"github.com/carrot-router/carrot/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// simulated returns a provider with three models that the router knows, from an expensive
// good one to a cheap one. Calls fail at the given rate.
func simulated(failures float64) *simulate.Provider {
	p := &simulate.Provider{}
	for _, name := range []string{"gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18", "gemma-2-2b-it"} {
		cost, err := price.Default().Price(name)
		if err != nil {
			panic(err)
		}
		p.Models = append(p.Models, simulate.Model{Name: name, Price: cost, OutputTokens: 60, PerToken: 300 * time.Microsecond, FailureRate: failures})
	}
	return p
}

const simulatedConfig = `
providers:
  - {name: sim, kind: openai, base_url: $sim/v1}
models:
  - {name: gpt-4o-2024-08-06, provider: sim}
  - {name: gpt-4o-mini-2024-07-18, provider: sim}
  - {name: gemma-2-2b-it, provider: sim}
retry: {retries: 1, backoff: 1ms, budget: 1}
breaker: {failures: 1000}
`

// With two hundred concurrent streams, of which clients abandon many, every attempt is
// recorded exactly once, and the sum of the recorded costs is exactly what the provider
// bills.
func TestConcurrentStreams(t *testing.T) {
	for _, api := range []string{"openai", "anthropic"} {
		t.Run(api, func(t *testing.T) { concurrentStreams(t, api) })
	}
}

func concurrentStreams(t *testing.T, kind string) {
	path, end := "/v1/chat/completions", "data: [DONE]\n\n"
	if kind == "anthropic" {
		path, end = "/v1/messages", "data: {\"type\":\"message_stop\"}\n\n"
	}
	provider := simulated(0.1)
	transport := &pipes{handler: provider}
	r := &rig{records: &records{}}
	g, err := gateway.New(parse(t, strings.NewReplacer("$sim", "http://simulated", "kind: openai", "kind: "+kind).Replace(simulatedConfig), nil), source(),
		gateway.Options{Recorder: r.records, Transport: transport, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(g)
	r.Gateway, r.url = g, server.URL
	const streams = 200
	told := make([]string, streams) // attempts and ids of the requests that were completed
	var clients sync.WaitGroup
	for i := range streams {
		clients.Go(func() { told[i] = r.streamOnce(t, i, path, end) })
	}
	clients.Wait()
	server.Close() // waits for the handlers
	transport.serving.Wait()

	attempts := map[string][]int{} // numbers by request
	var sum carrot.USD
	outcomes := map[record.Outcome]int{}
	for _, a := range r.records.list() {
		attempts[a.RequestID] = append(attempts[a.RequestID], a.Number)
		outcomes[a.Outcome]++
		sum += a.Cost
	}
	for id, got := range attempts {
		for i, n := range got {
			if n != i+1 {
				t.Errorf("attempts of %s are numbered %v", id, got)
			}
		}
	}
	for i, told := range told {
		if number, id, ok := strings.Cut(told, " "); ok && number != fmt.Sprint(len(attempts[id])) {
			t.Errorf("request %d: %d attempts recorded, %s in the header", i, len(attempts[id]), number)
		}
	}
	bill := provider.Bill()
	calls, failed, cut := 0, 0, 0
	for _, l := range bill.Lines {
		calls, failed, cut = calls+l.Calls, failed+l.Failed, cut+l.Cut
	}
	t.Logf("%d requests, outcomes %v; billed %v in %d calls, of which %d cut, and %d failed", len(attempts), outcomes, bill.Cost(), calls, cut, failed)
	if outcomes[record.Served] < streams/2 || cut == 0 || failed == 0 {
		t.Error("too few streams were served, abandoned or failed to prove anything")
	}
	if outcomes[record.Broken] > 0 || outcomes[record.Refused] > 0 {
		t.Errorf("outcomes %v, want none broken or refused", outcomes)
	}
	if sum != bill.Cost() {
		t.Errorf("recorded %v, billed %v", sum, bill.Cost())
	}
}

// streamOnce sends a request and reads the stream. One client in eight hangs up after some
// milliseconds, and another one after part of the answer. If the stream was complete, it
// returns the number of attempts and the request's id, as sent in the headers.
func (r *rig) streamOnce(t *testing.T, i int, path, end string) string {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := []float64{1e-9, 1e-3, 1e3}[i%3]
	body := fmt.Sprintf(`{"model":"auto:usd-per-quality=%g","stream":true,"max_tokens":500,"messages":[{"role":"user","content":"Question %d: how much is %d times %d?"}]}`, w, i, i, i+7)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return ""
	}
	random := rand.New(rand.NewPCG(1, uint64(i)))
	if i%8 == 0 {
		defer time.AfterFunc(time.Duration(random.IntN(30))*time.Millisecond, cancel).Stop()
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	if i%8 == 4 {
		_, _ = io.CopyN(io.Discard, response.Body, 1+random.Int64N(2000))
		return ""
	}
	all, err := io.ReadAll(response.Body)
	if err != nil || !strings.HasSuffix(string(all), end) {
		return ""
	}
	return response.Header.Get("X-Carrot-Attempts") + " " + response.Header.Get("X-Carrot-Request-Id")
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not happen within 10 s")
		}
	}
}

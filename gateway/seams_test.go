package gateway_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/simulate"
	"github.com/carrot-router/carrot/record"
)

// newRigWith returns a gateway that serves a configuration with a source and options.
func newRigWith(t *testing.T, config string, provider http.Handler, s gateway.Source, o gateway.Options) *rig {
	t.Helper()
	r := &rig{records: &records{}}
	o.Recorder = r.records
	g, err := gateway.New(parse(t, config, map[string]http.Handler{"sim": provider}), s, o)
	if err != nil {
		t.Fatal(err)
	}
	r.serve(t, g)
	return r
}

// holds is a budget, and the account of every request, that keeps the reserved attempts,
// or returns an error.
type holds struct {
	mu                        sync.Mutex
	reserved                  []record.Attempt
	deny, refuse              error
	afford                    carrot.USD // what a call may cost; 0: anything
	pace                      float64
	strict                    bool
	most                      carrot.USD // of the latest call
	settled, admitted, closed int
	labels                    map[string]string // of the latest request
}

func (h *holds) Admit(_ context.Context, _ *gateway.Client, labels map[string]string) (gateway.Account, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.labels = labels
	h.admitted++
	return h, h.refuse
}

func (h *holds) Terms() (bool, float64) { return h.strict, cmp.Or(h.pace, 1) }

func (h *holds) Reserve(_ context.Context, a *record.Attempt, least, most carrot.USD) (carrot.USD, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.deny != nil {
		return 0, h.deny
	}
	h.reserved = append(h.reserved, *a)
	h.most = most
	if h.afford > 0 {
		return max(h.afford, least), nil
	}
	return most, nil
}

func (h *holds) Settle(*record.Attempt) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.settled++
}

func (h *holds) Header(api string, header http.Header) {
	header.Set("X-Ratelimit-Limit-Requests", "60")
	header.Set("X-Test-Api", api)
}

func (h *holds) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed++
}

// Every call is reserved with its expected cost before it is made, and recorded once after
// it, including fallbacks and retries.
func TestReserve(t *testing.T) {
	budget := &holds{}
	failing := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	r := newRigWith(t, simulatedConfig, failing, source(), gateway.Options{Budgets: budget})
	r.post(t, "/v1/chat/completions", chat("auto", sumQuestion))
	made := r.records.list()
	if len(made) != 6 || len(budget.reserved) != 6 { // three candidates, twice each
		t.Fatalf("%d calls were reserved and %d recorded, want 6", len(budget.reserved), len(made))
	}
	if budget.admitted != 1 || budget.settled != 6 || budget.closed != 1 {
		t.Errorf("admitted %d, settled %d, closed %d, want 1, 6, 1", budget.admitted, budget.settled, budget.closed)
	}
	for i, a := range budget.reserved {
		e := a.Estimate()
		if a.Number != i+1 || a.RequestID != made[i].RequestID || made[i].Number != i+1 || a.Candidate != made[i].Candidate {
			t.Errorf("reserved %s %d of %s, recorded %s %d of %s", a.RequestID, a.Number, a.Candidate, made[i].RequestID, made[i].Number, made[i].Candidate)
		}
		if e == nil || e.CostP90 <= 0 || a.Expected != e.Cost || a.Outcome != "" || a.Cost != 0 {
			t.Errorf("reserved with %+v, expected %v, outcome %q", e, a.Expected, a.Outcome)
		}
	}
}

// If the budget denies a call, no provider is called, and the client receives the budget's
// reason.
func TestReserveDenied(t *testing.T) {
	for _, test := range []struct {
		name   string
		deny   error
		status int
		want   []string
	}{
		{"a denial", &gateway.Denial{Status: 402, Code: "budget_exceeded", Message: "30.00 of 30.00 USD are spent", RetryAfter: 90 * time.Second}, 402, []string{`"budget_exceeded"`, "30.00 of 30.00", `"insufficient_quota"`}},
		{"a denial without a status", &gateway.Denial{Code: "budget_exceeded", Message: "nothing is left"}, 402, []string{`"budget_exceeded"`, "nothing is left"}},
		{"a rate limit", &gateway.Denial{Status: 429, Code: "rate_limited", Message: "slow down"}, 429, []string{`"rate_limited"`, "slow down"}},
		{"a broken store", errors.New("secret of the store"), 503, []string{`"not_reserved"`, "try again"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			provider := &simulate.Provider{Models: []simulate.Model{{Name: "gpt-4o-2024-08-06"}, {Name: "gpt-4o-mini-2024-07-18"}, {Name: "gemma-2-2b-it"}}}
			r := newRigWith(t, simulatedConfig, provider, source(), gateway.Options{Budgets: &holds{deny: test.deny}})
			for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
				body := chat("auto", sumQuestion)
				if path == "/v1/messages" {
					body = chat("auto", sumQuestion, `"max_tokens":50`)
				}
				a := r.post(t, path, body)
				if a.status != test.status || strings.Contains(a.body, "secret") {
					t.Errorf("%s: status %d: %s", path, a.status, a.body)
				}
				for _, want := range test.want {
					if path == "/v1/chat/completions" && !strings.Contains(a.body, want) {
						t.Errorf("%s: %s, want %s", path, a.body, want)
					}
				}
				if wait := a.header.Get("Retry-After"); (wait == "90") != (test.name == "a denial") {
					t.Errorf("%s: Retry-After %q", path, wait)
				}
			}
			if calls := provider.Bill().Lines; len(r.records.list()) != 0 || len(calls) > 0 && calls[0].Calls != 0 {
				t.Errorf("%d calls were recorded, the provider billed %+v", len(r.records.list()), calls)
			}
		})
	}
}

// A request that is not admitted calls nobody, and the client receives the reason and its
// limits.
func TestNotAdmitted(t *testing.T) {
	budget := &holds{refuse: &gateway.Denial{Status: 429, Code: "rate_limited", Message: "60 requests a minute", RetryAfter: 3 * time.Second}}
	r := newRigWith(t, simulatedConfig, &simulate.Provider{}, source(), gateway.Options{Budgets: budget})
	a := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion))
	if a.status != 429 || !strings.Contains(a.body, "60 requests a minute") || a.header.Get("Retry-After") != "3" || a.header.Get("X-Ratelimit-Limit-Requests") != "60" {
		t.Errorf("status %d, headers %v: %s", a.status, a.header, a.body)
	}
	if len(r.records.list()) != 0 || budget.closed != 1 {
		t.Errorf("%d calls, %d accounts closed", len(r.records.list()), budget.closed)
	}
}

// What a budget can still pay limits the length of the answer, and what the client or the
// settings allow stays a limit.
func TestReserveLimits(t *testing.T) {
	var sent atomic.Pointer[string]
	provider := &simulate.Provider{Models: []simulate.Model{{Name: "gpt-4o-2024-08-06"}, {Name: "gpt-4o-mini-2024-07-18"}, {Name: "gemma-2-2b-it"}}}
	watch := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Ratelimit-Remaining-Requests", "7")
		body, _ := io.ReadAll(r.Body)
		text := string(body)
		sent.Store(&text)
		r.Body = io.NopCloser(strings.NewReader(text))
		provider.ServeHTTP(w, r)
	})
	budget := &holds{}
	r := newRigWith(t, simulatedConfig, watch, source(), gateway.Options{Budgets: budget})
	limit := func(extra ...string) int64 {
		if a := r.post(t, "/v1/chat/completions", chat("gpt-4o-2024-08-06", sumQuestion, extra...)); a.status != 200 {
			t.Fatalf("status %d: %s", a.status, a.body)
		} else if a.header.Get("X-Test-Api") != "chat" {
			t.Errorf("no headers of the account: %v", a.header)
		} else if h := a.header; h.Get("X-Ratelimit-Limit-Requests") != "60" || h.Get("X-Ratelimit-Remaining-Requests") != "" || h.Get("X-Carrot-Upstream-Ratelimit-Remaining-Requests") != "7" {
			t.Errorf("the provider's limits are not told apart from the client's: %v", h)
		}
		out := gjson.Get(*sent.Load(), "max_completion_tokens").Int() + gjson.Get(*sent.Load(), "max_tokens").Int()
		return out
	}
	if n := limit(); n != 0 {
		t.Errorf("limit %d without need", n)
	}
	budget.afford = carrot.Dollars(0.002) // of gpt-4o at 10 USD per million output tokens
	if n := limit(); n < 150 || n > 200 {
		t.Errorf("limit %d, want what 0.002 USD pay: less than 200 tokens", n)
	}
	if n := limit(`"max_tokens":20`); n != 20 {
		t.Errorf("limit %d, want the client's 20", n)
	}
	budget.afford = 1
	if n := limit(); n != 16 {
		t.Errorf("limit %d, want the shortest useful answer", n)
	}
}

// The cost of a call that is known to be free is not unknown.
func TestReserveFree(t *testing.T) {
	budget := &holds{}
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"e","usage":{"prompt_tokens":2,"total_tokens":2}}`)
	})
	r := newRigWith(t, simulatedConfig+"embeddings: [{name: e, provider: sim, price: {input: 0}}]\n", answer, source(), gateway.Options{Budgets: budget})
	if a := r.post(t, "/v1/embeddings", `{"model":"e","input":"two words"}`); a.status != 200 {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	if made := r.records.list(); budget.most == 0 || len(made) != 1 || made[0].CostUnknown || made[0].Cost != 0 {
		t.Errorf("reserved %v for %+v", budget.most, made)
	}
}

// A budget's pace changes the policy's willingness to pay, and raises none that the
// request has set.
func TestPace(t *testing.T) {
	budget := &holds{}
	r := newRigWith(t, simulatedConfig, &simulate.Provider{Models: []simulate.Model{{Name: "gpt-4o-2024-08-06"}, {Name: "gpt-4o-mini-2024-07-18"}, {Name: "gemma-2-2b-it"}}}, source(), gateway.Options{Budgets: budget})
	w := func(model string) float64 {
		if a := r.post(t, "/v1/chat/completions", chat(model, sumQuestion)); a.status != 200 {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
		made := r.records.list()
		return made[len(made)-1].Decision.USDPerQuality
	}
	base, own := w("auto"), w("auto:usd-per-quality=0.004")
	for _, c := range []struct{ pace, base, own float64 }{{0.5, 0.5, 0.5}, {4, 4, 1}} {
		budget.pace = c.pace
		if got := w("auto") / base; math.Abs(got-c.base) > 1e-9 {
			t.Errorf("pace %v changes the policy's willingness to pay by %v", c.pace, got)
		}
		if got := w("auto:usd-per-quality=0.004") / own; math.Abs(got-c.own) > 1e-9 {
			t.Errorf("pace %v changes the request's own by %v", c.pace, got)
		}
	}
}

// found is a store of clients with one client.
type found struct{ broken bool }

func (f found) Client(_ context.Context, key [sha256.Size]byte) (*gateway.Client, error) {
	switch {
	case f.broken:
		return nil, errors.New("the store is unreachable")
	case key == sha256.Sum256([]byte("team-key-0123456789")):
		return &gateway.Client{Name: "team", Key: key, Limits: gateway.ClientLimits{Policies: []string{"cheap"}}, Labels: map[string]string{"cost_center": "7"}}, nil
	}
	return nil, nil
}

// Clients can come from a store instead of the configuration. Their limits apply, and
// their labels are recorded.
func TestClientsFromStore(t *testing.T) {
	r := newRigWith(t, simulatedConfig, simulated(0), source(), gateway.Options{Clients: found{}})
	ask := func(model, key string, status int) {
		t.Helper()
		if a := r.post(t, "/v1/chat/completions", chat(model, sumQuestion), "Authorization: Bearer "+key); a.status != status {
			t.Errorf("%s with %q: status %d, want %d: %s", model, key, a.status, status, a.body)
		}
	}
	ask("cheap", "team-key-0123456789", 200)
	ask("quality", "team-key-0123456789", 403)
	ask("cheap", "another", 401)
	ask("cheap", "", 401)
	if all := r.records.list(); len(all) != 1 || all[0].Client != "team" || all[0].Labels["cost_center"] != "7" {
		t.Errorf("recorded %+v", all)
	}
	r = newRigWith(t, simulatedConfig, simulated(0), source(), gateway.Options{Clients: found{broken: true}})
	if a := r.post(t, "/v1/chat/completions", chat("cheap", sumQuestion), "X-Api-Key: team-key-0123456789"); a.status != 500 || strings.Contains(a.body, "store") {
		t.Errorf("with a broken store: status %d: %s", a.status, a.body)
	}
	// Clients that the configuration lists are looked up first.
	r = newRigWith(t, simulatedConfig+"clients: [{name: a, key: listed-key-0123456789}]\n", simulated(0), source(), gateway.Options{Clients: found{}})
	ask("quality", "listed-key-0123456789", 200)
	ask("cheap", "team-key-0123456789", 200)
	ask("quality", "team-key-0123456789", 403)
	ask("cheap", "another", 401)
	if all := r.records.list(); len(all) != 2 || all[0].Client != "a" || all[1].Client != "team" {
		t.Errorf("recorded %+v", all)
	}
}

// optional is a store that may have no client yet.
type optional struct {
	found
	required *atomic.Bool
}

func (o optional) Required() bool { return o.required.Load() }

// Without clients, requests need no key: until the store has its first client, but never
// where the configuration lists clients or where other machines can send requests.
func TestKeysRequired(t *testing.T) {
	for _, test := range []struct {
		name, config  string
		before, after int // the status without a key, before and after the first client
	}{
		{"this machine", "", 200, 401},
		{"clients are listed", "clients: [{name: a, key: listed-key-0123456789}]\n", 401, 401},
		{"other machines", "listen: 0.0.0.0:8080\nstore: carrot.db\n", 401, 401},
	} {
		clients := optional{required: new(atomic.Bool)}
		r := newRigWith(t, test.config+simulatedConfig, simulated(0), source(), gateway.Options{Clients: clients})
		ask := func(want int, headers ...string) {
			t.Helper()
			if a := r.post(t, "/v1/chat/completions", chat("cheap", sumQuestion), headers...); a.status != want {
				t.Errorf("%s: status %d, want %d: %s", test.name, a.status, want, a.body)
			}
		}
		ask(test.before)
		ask(test.before, "X-Api-Key: none")
		ask(200, "X-Api-Key: team-key-0123456789") // which says who sends it, needed or not
		clients.required.Store(true)
		ask(test.after)
		ask(200, "X-Api-Key: team-key-0123456789")
		all := r.records.list()
		for i, a := range all {
			if want := map[bool]string{true: "team"}[test.before == 401 || i >= 2]; a.Client != want {
				t.Errorf("%s: request %d is recorded for client %q, want %q", test.name, i, a.Client, want)
			}
		}
	}
}

// A store in the file may have keys, so that a gateway may be open to other machines
// without clients in the file; nobody can send requests if the program finds no clients.
// A reload keeps that.
func TestKeysRequiredAtAddress(t *testing.T) {
	files := map[string]*gateway.File{}
	for name, text := range map[string]string{"public": "listen: 0.0.0.0:8080\nstore: carrot.db\n", "local": "store: carrot.db\n"} {
		f, err := gateway.ParseFile([]byte(text+strings.ReplaceAll(simulatedConfig, "$sim", "http://127.0.0.1:1")), nil)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = f
	}
	status := func(f *gateway.File) int {
		g, err := gateway.New(&f.Config, source(), gateway.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return send(g, "GET", "/v1/models", "").Code
	}
	if got := status(files["public"]); got != 401 {
		t.Errorf("open to other machines: status %d", got)
	}
	if got := status(files["local"]); got != 200 {
		t.Errorf("open to this machine: status %d", got)
	}
	if _, err := files["local"].Restart(files["public"]); err != nil {
		t.Fatal(err)
	}
	if got := status(files["local"]); got != 401 {
		t.Errorf("reloaded, still open to other machines: status %d", got)
	}
}

// Requests may add labels that the configuration allows, and none of their client's. Budgets
// and records get the same.
func TestRequestLabels(t *testing.T) {
	admitted := &holds{}
	r := newRigWith(t, simulatedConfig+"labels: {allowed: [feature, tenant, team]}\nclients: [{name: shop, key: shop-key-0123456789, labels: {team: search}}]\n", simulated(0), source(), gateway.Options{Budgets: admitted})
	for _, test := range []struct {
		labels string
		status int
		want   string // the labels in the record, or a part of the error
	}{
		{"", 200, "map[team:search]"},
		{"feature=search, tenant=a=b", 200, "map[feature:search team:search tenant:a=b]"},
		{"feature", 400, "want NAME=VALUE"},
		{"feature=", 400, "want NAME=VALUE"},
		{"user=1", 400, "Allowed labels: feature, tenant, team"},
		{"team=other", 403, "is fixed"},
		{"feature=a,feature=b", 400, "given twice"},
		{"feature=" + strings.Repeat("a", 129), 400, "longer than 128 bytes"},
	} {
		for _, metadata := range []bool{false, true} {
			body, header := chat("auto", sumQuestion), "X-Carrot-Labels: "+test.labels
			if metadata && test.labels != "" {
				body, header = strings.Replace(body, "{", `{"metadata":{"carrot_labels":"`+test.labels+`"},`, 1), "X-Nothing: 1"
			}
			before := len(r.records.list())
			a := r.post(t, "/v1/chat/completions", body, "X-Api-Key: shop-key-0123456789", header)
			got := a.body
			if all := r.records.list(); len(all) > before {
				if got = fmt.Sprint(all[before].Labels); got != fmt.Sprint(admitted.labels) {
					t.Errorf("%q: admitted with %v", test.labels, admitted.labels)
				}
			}
			if a.status != test.status || !strings.Contains(got, test.want) {
				t.Errorf("%q: status %d, want %d with %q: %s", test.labels, a.status, test.status, test.want, got)
			}
		}
	}
}

// The labels of a client in the configuration are recorded.
func TestClientLabels(t *testing.T) {
	r := newRig(t, simulatedConfig+"clients: [{name: shop, key: shop-key-0123456789, labels: {team: search}}]\n", map[string]http.Handler{"sim": simulated(0)})
	if a := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion), "X-Api-Key: shop-key-0123456789"); a.status != 200 {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	if a := r.records.list()[0]; a.Client != "shop" || a.Labels["team"] != "search" {
		t.Errorf("recorded client %q with %v", a.Client, a.Labels)
	}
}

// Two gateways can run in one process and share a registry, whose series then count both.
func TestTwoGateways(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	first := newRigWith(t, simulatedConfig, simulated(0), source(), gateway.Options{Registerer: registry})
	second := newRigWith(t, simulatedConfig, simulated(0), source(), gateway.Options{Registerer: registry})
	for _, r := range []*rig{first, second, second} {
		if a := r.post(t, "/v1/chat/completions", chat("gemma-2-2b-it", sumQuestion)); a.status != 200 {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
	}
	if len(first.records.list()) != 1 || len(second.records.list()) != 2 {
		t.Errorf("recorded %d and %d", len(first.records.list()), len(second.records.list()))
	}
	const want = `
# HELP carrot_attempts_total Calls of providers, by outcome.
# TYPE carrot_attempts_total counter
carrot_attempts_total{model="gemma-2-2b-it",outcome="broken",provider="sim"} 0
carrot_attempts_total{model="gemma-2-2b-it",outcome="client_gone",provider="sim"} 0
carrot_attempts_total{model="gemma-2-2b-it",outcome="failed",provider="sim"} 0
carrot_attempts_total{model="gemma-2-2b-it",outcome="refused",provider="sim"} 0
carrot_attempts_total{model="gemma-2-2b-it",outcome="served",provider="sim"} 3
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "carrot_attempts_total"); err != nil {
		t.Error(err)
	}
	// Another metric with the same name is an error and does not panic.
	taken := prometheus.NewRegistry()
	taken.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "carrot_attempts_total"}))
	c := parse(t, simulatedConfig, map[string]http.Handler{"sim": simulated(0)})
	if _, err := gateway.New(c, source(), gateway.Options{Registerer: taken}); err == nil || !strings.Contains(err.Error(), "register metrics") {
		t.Errorf("with a name that is taken: %v", err)
	}
}

// Without mean qualities, a policy's default is the model with the highest expected
// quality, not the first one in the file.
func TestDefaultWithoutMeanQualities(t *testing.T) {
	config := strings.Replace(simulatedConfig, "models:\n", "models:\n  - {name: small-first, like: gemma-2-2b-it, provider: sim, upstream: gemma-2-2b-it, price: {input: 0.1, output: 0.1}}\n", 1)
	r := newRigWith(t, config, simulated(0), gateway.Source{Router: source().Router}, gateway.Options{})
	if a := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion), "X-Carrot-Route: off"); a.status != 200 || a.header.Get("X-Carrot-Model") != "gpt-4o-2024-08-06" {
		t.Errorf("status %d, %s serves, want gpt-4o-2024-08-06: %s", a.status, a.header.Get("X-Carrot-Model"), a.body)
	}
}

// Usage that cannot be true is ignored: the gateway counts the tokens, and the cost is
// neither negative nor absurd.
func TestIncredibleUsage(t *testing.T) {
	for _, usage := range []string{
		`{"prompt_tokens":10,"completion_tokens":1099511627776,"total_tokens":1099511627786}`,
		`{"prompt_tokens":9223372036854775807,"completion_tokens":1,"total_tokens":9223372036854775807}`,
	} {
		boasting := said(200, "application/json", `{"id":"c-1","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"391"},"finish_reason":"stop"}],"usage":`+usage+`}`)
		r := newRigWith(t, simulatedConfig, boasting, source(), gateway.Options{})
		a := r.post(t, "/v1/chat/completions", chat("gpt-4o-2024-08-06", sumQuestion))
		kept := r.records.list()[0]
		if a.status != 200 || !kept.Estimated || kept.CostUnknown || kept.Cost <= 0 || kept.Cost > carrot.Dollars(0.01) {
			t.Errorf("%s: status %d, recorded %+v for %v, estimated %v", usage, a.status, kept.Usage, kept.Cost, kept.Estimated)
		}
	}
}

// The cost of tokens without a price is unknown and not 0: there is no header with it, the
// record has null, and a metric counts the call.
func TestUnknownCostOfAnAnswer(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	written := said(200, "application/json", `{"type":"message","content":[{"type":"text","text":"391"}],"usage":{"input_tokens":10,"cache_creation_input_tokens":2000,"output_tokens":5}}`)
	r := newRigWith(t, `
providers: [{name: sim, kind: anthropic, base_url: $sim}]
models: [{name: gemma-2-2b-it, provider: sim, price: {input: 1, output: 2}}]
`, written, source(), gateway.Options{Registerer: registry})
	a := r.post(t, "/v1/messages", chat("auto", sumQuestion, `"max_tokens":50`))
	if _, found := a.header["X-Carrot-Cost"]; a.status != 200 || found {
		t.Errorf("status %d with X-Carrot-Cost %q: %s", a.status, a.header.Get("X-Carrot-Cost"), a.body)
	}
	kept := r.records.list()[0]
	if line := string(kept.AppendJSON(nil)); !kept.CostUnknown || !strings.Contains(line, `"cost_usd":null`) {
		t.Errorf("recorded %s", line)
	}
	const want = `
# HELP carrot_unknown_cost_total Calls whose cost is unknown, because they used tokens without a price.
# TYPE carrot_unknown_cost_total counter
carrot_unknown_cost_total{model="gemma-2-2b-it",provider="sim"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "carrot_unknown_cost_total"); err != nil {
		t.Error(err)
	}
}

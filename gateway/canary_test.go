package gateway_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/embed"
	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/price"
)

// named returns the router in the binary under a name, or one whose embedder fails.
func named(t *testing.T, name string, fails bool) *carrot.Router {
	t.Helper()
	a, err := artifact.Default()
	if err != nil {
		t.Fatal(err)
	}
	a.Fingerprint = name
	static, err := embed.Default()
	if err != nil {
		t.Fatal(err)
	}
	var embedder carrot.Embedder = static
	if fails {
		embedder = failingEmbedder{Embedder: static}
	}
	router, err := a.Router(embedder, a.Pool(price.Default()))
	if err != nil {
		t.Fatal(err)
	}
	return router
}

const routersConfig = simulatedConfig + `
policies:
  - {name: some, objective: cheap, canary: {router: a.safetensors, share: 0.3}}
  - {name: all, objective: cheap, canary: {router: a.safetensors, share: 1}}
  - {name: broken, objective: cheap, canary: {router: broken.safetensors, share: 1}}
  - {name: watched, objective: usd-per-quality=inf, shadow_router: b.safetensors}
  - {name: blind, objective: cheap, shadow_router: broken.safetensors}
`

// TestOtherRouters: the canary of a policy decides its share of the requests, a shadow router
// decides none, and the records say which router decided and what the shadow would have.
func TestOtherRouters(t *testing.T) {
	s := source()
	s.Router = named(t, "main", false)
	s.Routers = map[string]*carrot.Router{"a.safetensors": named(t, "canary", false), "b.safetensors": named(t, "shadow", false), "broken.safetensors": named(t, "broken", true)}
	registry := prometheus.NewRegistry()
	r := newRigWith(t, routersConfig, simulated(0), s, gateway.Options{Registerer: registry})
	decided := func(model string, n int) (by map[string]int) {
		t.Helper()
		by = map[string]int{}
		before := len(r.records.list())
		for i := range n {
			if a := r.post(t, "/v1/chat/completions", chat(model, fmt.Sprint("What is 17 * ", i, "?"))); a.status != 200 {
				t.Fatalf("status %d: %s", a.status, a.body)
			}
		}
		for _, a := range r.records.list()[before:] {
			by[a.Decision.Router]++
			if (a.Shadow != nil) != (model == "watched") {
				t.Errorf("%s: shadow %+v", model, a.Shadow)
			}
			if a.Shadow != nil && (a.Shadow.Router != "shadow" || a.Shadow.Model != a.Decision.Model || a.Shadow.Saved != 0) {
				t.Errorf("shadow %+v of a decision for %s, by an equal router", a.Shadow, a.Decision.Model)
			}
		}
		return by
	}
	if by := decided("some", 200); by["canary"] < 30 || by["canary"] > 90 || by["main"]+by["canary"] != 200 {
		t.Errorf("a canary of 30%%: %v", by)
	}
	for model, want := range map[string]string{"all": "canary", "broken": "main", "watched": "main", "blind": "main", "auto": "main", "gemma-2-2b-it": "main"} {
		if by := decided(model, 5); by[want] != 5 {
			t.Errorf("%s: decided by %v, want %s", model, by, want)
		}
	}
	if a := r.post(t, "/v1/route", chat("all", sumQuestion)); !strings.Contains(a.body, `"router":"main"`) {
		t.Errorf("a dry run: %s", a.body)
	}
	if a := r.post(t, "/v1/chat/completions", chat("all", sumQuestion), "X-Carrot-Route: off"); a.status != 200 || r.records.list()[len(r.records.list())-1].Decision.Router != "main" {
		t.Errorf("without routing: %s", a.body)
	}
	if n, err := testutil.GatherAndCount(registry, "carrot_canary_decisions_total"); err != nil || n != 2 {
		t.Errorf("%d policies have decisions of canaries (%v), want 2", n, err)
	}

	lacking := source()
	if _, err := gateway.New(parse(t, strings.ReplaceAll(routersConfig, "$sim", "http://127.0.0.1:1"), nil), lacking, gateway.Options{}); err == nil || !strings.Contains(err.Error(), "Source.Routers lacks a.safetensors") {
		t.Errorf("without the routers: %v", err)
	}
}

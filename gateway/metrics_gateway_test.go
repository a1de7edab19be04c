package gateway_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carrot-router/carrot/gateway"
)

// samples returns the values of a counter or gauge, by its labels.
func samples(t *testing.T, registry *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			found[strings.Join(labels, " ")] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return found
}

// Requests are counted by the decision about them. A dry run is not, and what a shadow
// policy would have saved is the difference of two sums.
func TestDecisionsAreCounted(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	r := newRigWith(t, simulatedConfig+`
policies:
  - {name: trial, objective: usd-per-quality=0, default: gpt-4o-2024-08-06, shadow: true}
`, simulated(0), source(), gateway.Options{Registerer: registry})
	for _, request := range []struct{ path, model string }{
		{"/v1/chat/completions", "trial"}, {"/v1/chat/completions", "trial"}, {"/v1/chat/completions", "gemma-2-2b-it"}, {"/v1/route", "trial"},
	} {
		if a := r.post(t, request.path, chat(request.model, sumQuestion)); a.status != 200 {
			t.Fatalf("%s: status %d: %s", request.path, a.status, a.body)
		}
	}
	want := map[string]float64{"gpt-4o-2024-08-06 trial shadow": 2, "gemma-2-2b-it  named": 1}
	if got := samples(t, registry, "carrot_decisions_total"); !maps.Equal(got, want) {
		t.Errorf("decisions %v, want %v", got, want)
	}
	saved := 0.0
	for _, a := range r.records.list() {
		if a.Shadow != nil {
			saved += a.Shadow.Saved.Float()
		}
	}
	cost := samples(t, registry, "carrot_shadow_estimated_cost_usd_total")
	if got := cost["default trial"] - cost["router trial"]; len(cost) != 2 || saved <= 0 || fmt.Sprintf("%.9f", got) != fmt.Sprintf("%.9f", saved) {
		t.Errorf("shadow costs %v differ by %v, but the records say that %v would have been saved", cost, got, saved)
	}
	if got := samples(t, registry, "carrot_estimate_intervals_total"); got["gpt-4o-2024-08-06 cost above"]+got["gpt-4o-2024-08-06 cost within"] != 2 {
		t.Errorf("costs compared with their intervals %v, want 2 of gpt-4o-2024-08-06", got)
	}
}

// The series on which alerts depend exist from the start, and agree with the configuration
// after a reload: the breaker of a model that is gone is not open for ever.
func TestMetricsAfterReload(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	failing, works := &replies{statuses: []int{500}}, &replies{statuses: []int{200}}
	handlers := map[string]http.Handler{"a": failing, "b": works}
	const config = pairConfig + "retry: {retries: 0}\nbreaker: {failures: 1, open: 1h}\n"
	g, err := gateway.New(parse(t, config, handlers), source(), gateway.Options{Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	check := func(when, name string, want map[string]float64) {
		t.Helper()
		if got := samples(t, registry, name); !maps.Equal(got, want) {
			t.Errorf("%s: %s is %v, want %v", when, name, got, want)
		}
	}
	const breakers, successful = "carrot_breaker_state", "carrot_config_last_reload_successful"
	check("at the start", breakers, map[string]float64{"gpt-4o-2024-08-06 a": 0, "gemma-2-2b-it b": 0})
	check("at the start", "carrot_unknown_cost_total", map[string]float64{"gpt-4o-2024-08-06 a": 0, "gemma-2-2b-it b": 0})
	check("at the start", successful, map[string]float64{"": 1})

	if w := send(g, "POST", "/v1/chat/completions", chat("gpt-4o-2024-08-06", sumQuestion)); w.Code != 500 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	check("after a failure", breakers, map[string]float64{"gpt-4o-2024-08-06 a": 2, "gemma-2-2b-it b": 0})
	g.ReloadFailed()
	check("after a bad reload", successful, map[string]float64{"": 0})

	without := parse(t, strings.Replace(config, "  - {name: gpt-4o-2024-08-06, provider: a, context: 1000}\n", "", 1), handlers)
	if _, err := g.Reload(without, source()); err != nil {
		t.Fatal(err)
	}
	check("without the model", breakers, map[string]float64{"gpt-4o-2024-08-06 a": 0, "gemma-2-2b-it b": 0})
	check("without the model", successful, map[string]float64{"": 1})
	if _, err := g.Reload(parse(t, config, handlers), source()); err != nil {
		t.Fatal(err)
	}
	check("with the model again", breakers, map[string]float64{"gpt-4o-2024-08-06 a": 2, "gemma-2-2b-it b": 0})
}

// TestMetricsOfRefusals: a request that no model may answer is counted, and a dry run is not.
func TestMetricsOfRefusals(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	works := &replies{statuses: []int{200}}
	g, err := gateway.New(parse(t, pairConfig, map[string]http.Handler{"a": works, "b": works}), source(), gateway.Options{Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/v1/chat/completions", "/v1/route"} {
		if w := send(g, "POST", path, chat("auto:max-cost=0.000001@0.9", sumQuestion)); w.Code != 400 {
			t.Fatalf("%s: status %d: %s", path, w.Code, w.Body)
		}
	}
	if got, want := samples(t, registry, "carrot_rejected_requests_total"), map[string]float64{"candidate": 1}; !maps.Equal(got, want) {
		t.Errorf("refused %v, want %v", got, want)
	}
}

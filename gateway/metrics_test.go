package gateway

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/wire"

	"github.com/carrot-router/carrot/record"
)

// exampleAttempt returns an attempt with every field set.
func exampleAttempt() *record.Attempt {
	text, err := os.ReadFile("../record/testdata/attempt.golden.json")
	if err != nil {
		panic(err)
	}
	a := new(record.Attempt)
	if err := json.Unmarshal(text, a); err != nil {
		panic(err)
	}
	return a
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m, err := newMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	m.begin(wire.Chat)
	m.begin(wire.Messages)
	m.end(wire.Chat, "auto:usd-per-quality=0.0123", 200, 0.7)
	m.chose("auto:mu=0.5", exampleChoice(), false)
	m.overhead(300 * time.Microsecond)
	m.fallback("large", "server")
	m.breaker("openai", "large", 2)
	m.reload(false)
	m.rejected("key")

	a := exampleAttempt()
	a.Outcome, a.Estimated, a.Cost, a.Policy = record.Served, false, 3_500_000_002, "auto:mu=0.5"
	m.attempt(a)
	counted := *a // not compared with the estimate
	counted.Estimated = true
	m.attempt(&counted)
	failed := *a
	failed.Outcome, failed.Usage, failed.Cost, failed.FirstToken = record.FellBack, carrot.Usage{}, 0, 0
	m.attempt(&failed)

	want := `
# HELP carrot_attempts_total Calls of providers, by outcome.
# TYPE carrot_attempts_total counter
carrot_attempts_total{model="large",outcome="broken",provider="openai"} 0
carrot_attempts_total{model="large",outcome="client_gone",provider="openai"} 0
carrot_attempts_total{model="large",outcome="failed",provider="openai"} 1
carrot_attempts_total{model="large",outcome="refused",provider="openai"} 0
carrot_attempts_total{model="large",outcome="served",provider="openai"} 2
# HELP carrot_breaker_state State of a circuit breaker: 0 closed, 1 half open, 2 open. The model is named as the provider names it.
# TYPE carrot_breaker_state gauge
carrot_breaker_state{model="large",provider="openai"} 2
# HELP carrot_client_cost_usd_total Cost of a client's calls.
# TYPE carrot_client_cost_usd_total counter
carrot_client_cost_usd_total{client="support",policy="auto"} 0.007000000004
# HELP carrot_config_reloads_total Reloads of the configuration.
# TYPE carrot_config_reloads_total counter
carrot_config_reloads_total{result="error"} 1
carrot_config_reloads_total{result="ok"} 0
# HELP carrot_cost_usd_total Cost of calls.
# TYPE carrot_cost_usd_total counter
carrot_cost_usd_total{model="large",provider="openai"} 0.007000000004
# HELP carrot_estimated_cost_usd_total Estimated cost of the calls that were served, also of those whose cost is unknown or follows from tokens that the gateway counted.
# TYPE carrot_estimated_cost_usd_total counter
carrot_estimated_cost_usd_total{model="large",provider="openai"} 0.003500000002
# HELP carrot_fallbacks_total Fallbacks from a model to the next one.
# TYPE carrot_fallbacks_total counter
carrot_fallbacks_total{from="large",why="server"} 1
# HELP carrot_rejected_requests_total Requests that the gateway refused.
# TYPE carrot_rejected_requests_total counter
carrot_rejected_requests_total{why="key"} 1
# HELP carrot_requests_in_flight Requests being served.
# TYPE carrot_requests_in_flight gauge
carrot_requests_in_flight{api="chat"} 0
carrot_requests_in_flight{api="messages"} 1
# HELP carrot_requests_total Requests answered, by the status sent to the client.
# TYPE carrot_requests_total counter
carrot_requests_total{api="chat",policy="auto",status="200"} 1
# HELP carrot_tokens_total Tokens, by the kind as which they are billed.
# TYPE carrot_tokens_total counter
carrot_tokens_total{kind="cache_write",model="large",provider="openai"} 10
carrot_tokens_total{kind="cached_input",model="large",provider="openai"} 80
carrot_tokens_total{kind="input",model="large",provider="openai"} 120
carrot_tokens_total{kind="output",model="large",provider="openai"} 360
carrot_tokens_total{kind="reasoning",model="large",provider="openai"} 40
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want),
		"carrot_attempts_total", "carrot_breaker_state", "carrot_client_cost_usd_total",
		"carrot_config_reloads_total", "carrot_cost_usd_total", "carrot_estimated_cost_usd_total", "carrot_fallbacks_total",
		"carrot_rejected_requests_total", "carrot_requests_in_flight", "carrot_requests_total", "carrot_tokens_total"); err != nil {
		t.Error(err)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}

	f := func(name string, count uint64, sum float64) {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			if family.GetName() != name {
				continue
			}
			if h := family.GetMetric()[0].GetHistogram(); h.GetSampleCount() != count || math.Abs(h.GetSampleSum()-sum) > 1e-9 {
				t.Errorf("%s has %d samples of sum %v, want %d of %v", name, h.GetSampleCount(), h.GetSampleSum(), count, sum)
			}
			return
		}
		t.Errorf("no %s", name)
	}
	f("carrot_request_duration_seconds", 1, 0.7)
	f("carrot_decision_duration_seconds", 1, 70e-6)
	f("carrot_overhead_duration_seconds", 1, 300e-6)
	f("carrot_upstream_duration_seconds", 3, 9.000015)
	f("carrot_first_token_duration_seconds", 2, 0.500000002)
	f("carrot_cost_estimate_ratio", 1, 2)                    // 0.0035 divided by 0.00175
	f("carrot_output_tokens_estimate_ratio", 1, 200.0/200.5) // including reasoning

	m.reload(true)
	if stamp := testutil.ToFloat64(m.reloaded); time.Since(time.Unix(int64(stamp), 0)) > time.Minute {
		t.Errorf("last reload at %v, want now", stamp)
	}
}

func TestStatusLabel(t *testing.T) {
	f := func(status int, want string) {
		t.Helper()
		if got := statusLabel(status); got != want {
			t.Errorf("statusLabel(%d) = %q, want %q", status, got, want)
		}
	}
	f(200, "200")
	f(429, "429")
	f(202, "2xx")
	f(418, "4xx")
	f(599, "5xx")
	f(0, "none")
	f(77777, "none")
}

// A nil *metrics can be used.
func TestNilMetrics(t *testing.T) {
	var m *metrics
	m.begin(wire.Chat)
	m.end(wire.Chat, "auto", 200, 1)
	m.chose("auto", exampleChoice(), false)
	m.attempt(exampleAttempt())
	m.overhead(1)
	m.fallback("a", "b")
	m.breaker("a", "b", 1)
	m.reload(true)
	m.rejected("key")
}

// BenchmarkMetrics measures everything that is counted for one request.
func BenchmarkMetrics(b *testing.B) {
	m, _ := newMetrics(prometheus.NewRegistry())
	a, h := exampleAttempt(), exampleChoice()
	a.Outcome, a.Estimated = record.Served, false
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			m.begin(wire.Chat)
			m.chose("balanced", h, false)
			m.overhead(250 * time.Microsecond)
			m.attempt(a)
			m.end(wire.Chat, "balanced", 200, 1.5)
		}
	})
}

package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/record"
)

// exampleChoice returns the choice of the model large, in a shadow policy whose router
// would have chosen small.
func exampleChoice() *choice {
	candidates := []carrot.Assessment{
		{Name: "large", Estimate: carrot.Estimate{Quality: 0.75, Cost: carrot.Dollars(0.003)}},
		{Name: "small", Estimate: carrot.Estimate{Quality: 0.5, Cost: carrot.Dollars(0.001)}},
	}
	return &choice{
		order:  []*candidate{{Candidate: carrot.Candidate{Name: "large"}}, {Candidate: carrot.Candidate{Name: "small"}}},
		reason: record.ShadowDefault, decidedIn: 70 * time.Microsecond, shadow: &record.Shadow{Model: "small"},
		decision: &carrot.Decision{Model: "small", Novelty: 0.25, Candidates: candidates},
	}
}

// compareMetrics compares some metrics with their text form.
func compareMetrics(t *testing.T, registry *prometheus.Registry, want string, names ...string) {
	t.Helper()
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

// Decisions are counted by what came first and why. Without a decision there is no
// novelty, and dry runs count only in the time that decisions take.
func TestMetricsOfDecisions(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m, err := newMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	m.chose("trial", exampleChoice(), false)
	dearer := exampleChoice() // whose router wants the dearer model: nothing is saved
	dearer.decision.Model, dearer.decision.Candidates[1].Cost = "small", carrot.Dollars(0.007)
	m.chose("trial:mu=0.5", dearer, false)
	unknown := exampleChoice()
	unknown.decision.Candidates[0].Cost, unknown.decision.Candidates[0].CostUnknown = 0, true
	m.chose("trial", unknown, false)
	m.chose("trial", exampleChoice(), true)

	abstained := exampleChoice()
	abstained.reason, abstained.shadow = record.Named, nil
	abstained.decision.Novelty, abstained.decision.Abstained = 1, true
	m.chose("", abstained, false)
	failed := exampleChoice()
	failed.reason, failed.shadow, failed.decision = record.RouterFailed, nil, nil
	m.chose("auto", failed, false)

	compareMetrics(t, registry, `
# HELP carrot_abstentions_total Decisions by each model's mean alone, because the prompt was too unlike the training data.
# TYPE carrot_abstentions_total counter
carrot_abstentions_total{policy=""} 1
carrot_abstentions_total{policy="auto"} 0
carrot_abstentions_total{policy="trial"} 0
# HELP carrot_decisions_total Decisions, by the model that came first and the reason for it. Dry runs are not counted, and neither are fallbacks after a failed call.
# TYPE carrot_decisions_total counter
carrot_decisions_total{model="large",policy="",reason="named"} 1
carrot_decisions_total{model="large",policy="auto",reason="router-failed"} 1
carrot_decisions_total{model="large",policy="trial",reason="shadow"} 3
# HELP carrot_novelty How unlike the router's training data the prompts are: the share of training prompts that were less novel. Prompts like the training data have values that are spread evenly from 0 to 1.
# TYPE carrot_novelty histogram
carrot_novelty_bucket{policy="",le="0.1"} 0
carrot_novelty_bucket{policy="",le="0.25"} 0
carrot_novelty_bucket{policy="",le="0.5"} 0
carrot_novelty_bucket{policy="",le="0.75"} 0
carrot_novelty_bucket{policy="",le="0.9"} 0
carrot_novelty_bucket{policy="",le="0.95"} 0
carrot_novelty_bucket{policy="",le="0.99"} 0
carrot_novelty_bucket{policy="",le="0.995"} 0
carrot_novelty_bucket{policy="",le="1"} 1
carrot_novelty_bucket{policy="",le="+Inf"} 1
carrot_novelty_sum{policy=""} 1
carrot_novelty_count{policy=""} 1
carrot_novelty_bucket{policy="auto",le="0.1"} 0
carrot_novelty_bucket{policy="auto",le="0.25"} 0
carrot_novelty_bucket{policy="auto",le="0.5"} 0
carrot_novelty_bucket{policy="auto",le="0.75"} 0
carrot_novelty_bucket{policy="auto",le="0.9"} 0
carrot_novelty_bucket{policy="auto",le="0.95"} 0
carrot_novelty_bucket{policy="auto",le="0.99"} 0
carrot_novelty_bucket{policy="auto",le="0.995"} 0
carrot_novelty_bucket{policy="auto",le="1"} 0
carrot_novelty_bucket{policy="auto",le="+Inf"} 0
carrot_novelty_sum{policy="auto"} 0
carrot_novelty_count{policy="auto"} 0
carrot_novelty_bucket{policy="trial",le="0.1"} 0
carrot_novelty_bucket{policy="trial",le="0.25"} 3
carrot_novelty_bucket{policy="trial",le="0.5"} 3
carrot_novelty_bucket{policy="trial",le="0.75"} 3
carrot_novelty_bucket{policy="trial",le="0.9"} 3
carrot_novelty_bucket{policy="trial",le="0.95"} 3
carrot_novelty_bucket{policy="trial",le="0.99"} 3
carrot_novelty_bucket{policy="trial",le="0.995"} 3
carrot_novelty_bucket{policy="trial",le="1"} 3
carrot_novelty_bucket{policy="trial",le="+Inf"} 3
carrot_novelty_sum{policy="trial"} 0.75
carrot_novelty_count{policy="trial"} 3
# HELP carrot_shadow_estimated_cost_usd_total Estimated cost of the requests of a shadow policy with its default, and with the router's choice (choice: default, router), or of a policy with a shadow router with the candidate that came first, and with that router's choice. Requests where one of them is unknown are left out.
# TYPE carrot_shadow_estimated_cost_usd_total counter
carrot_shadow_estimated_cost_usd_total{choice="default",policy="trial"} 0.006
carrot_shadow_estimated_cost_usd_total{choice="router",policy="trial"} 0.008
# HELP carrot_shadow_estimated_quality_total Sum of the estimated qualities for the requests that carrot_shadow_estimated_cost_usd_total counts (choice: default, router).
# TYPE carrot_shadow_estimated_quality_total counter
carrot_shadow_estimated_quality_total{choice="default",policy="trial"} 1.5
carrot_shadow_estimated_quality_total{choice="router",policy="trial"} 1
`, "carrot_abstentions_total", "carrot_decisions_total", "carrot_novelty", "carrot_shadow_estimated_cost_usd_total", "carrot_shadow_estimated_quality_total")
	if n := testutil.CollectAndCount(m.decisions); n != 3 {
		t.Errorf("%d series of the time of decisions, want one for each policy", n)
	}
}

// Only what is known of a served call is compared with its estimate.
func TestMetricsOfEstimates(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m, err := newMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	attempt := func(change func(a *record.Attempt, e *carrot.Estimate)) {
		e := carrot.Estimate{InputTokens: 100, OutputTokens: 200, OutputTokensP90: 300, Cost: carrot.Dollars(0.25), CostP90: carrot.Dollars(0.5)}
		a := &record.Attempt{Outcome: record.Served, Provider: "openai", Candidate: "large", Cost: carrot.Dollars(0.5),
			Usage: carrot.Usage{Input: 80, CachedInput: 40, Output: 250, Reasoning: 50}}
		change(a, &e)
		a.Decision = &carrot.Decision{Candidates: []carrot.Assessment{{Name: "large", Estimate: e}}}
		m.attempt(a)
	}
	attempt(func(*record.Attempt, *carrot.Estimate) {}) // exactly at both quantiles, which is within them
	attempt(func(a *record.Attempt, _ *carrot.Estimate) { a.Usage.Reasoning++; a.Cost++ })
	attempt(func(a *record.Attempt, _ *carrot.Estimate) { a.Usage.Output, a.Cost, a.CostUnknown = 10, 0, true })
	attempt(func(_ *record.Attempt, e *carrot.Estimate) { e.Cost, e.CostP90, e.CostUnknown = 0, 0, true })
	attempt(func(_ *record.Attempt, e *carrot.Estimate) { e.OutputTokens, e.OutputTokensP90 = 0, 0 }) // a direct forecast of cost
	attempt(func(_ *record.Attempt, e *carrot.Estimate) { e.OutputTokensP90, e.CostP90 = 0, 0 })      // means alone
	attempt(func(a *record.Attempt, _ *carrot.Estimate) { a.Estimated = true })
	attempt(func(a *record.Attempt, _ *carrot.Estimate) { a.Outcome = record.ClientGone })
	m.attempt(&record.Attempt{Outcome: record.Served, Provider: "openai", Candidate: "large", Cost: carrot.Dollars(1)}) // routing failed

	compareMetrics(t, registry, `
# HELP carrot_compared_cost_usd_total Cost of the served calls for which both the cost and its estimate are known (value: true, estimated).
# TYPE carrot_compared_cost_usd_total counter
carrot_compared_cost_usd_total{model="large",value="estimated"} 1
carrot_compared_cost_usd_total{model="large",value="true"} 2.000000000001
# HELP carrot_compared_tokens_total Tokens of the served calls for which the provider reported them and an estimate is known (kind: input, output; value: true, estimated).
# TYPE carrot_compared_tokens_total counter
carrot_compared_tokens_total{kind="input",model="large",value="estimated"} 600
carrot_compared_tokens_total{kind="input",model="large",value="true"} 720
carrot_compared_tokens_total{kind="output",model="large",value="estimated"} 1000
carrot_compared_tokens_total{kind="output",model="large",value="true"} 1261
# HELP carrot_estimate_intervals_total Served calls whose cost or output tokens (quantity: cost, output_tokens) were at most, or above, the 90% quantile of their estimate (truth: within, above).
# TYPE carrot_estimate_intervals_total counter
carrot_estimate_intervals_total{model="large",quantity="cost",truth="above"} 1
carrot_estimate_intervals_total{model="large",quantity="cost",truth="within"} 2
carrot_estimate_intervals_total{model="large",quantity="output_tokens",truth="above"} 1
carrot_estimate_intervals_total{model="large",quantity="output_tokens",truth="within"} 3
`, "carrot_compared_cost_usd_total", "carrot_compared_tokens_total", "carrot_estimate_intervals_total")
}

// Counting a decision and a call allocates nothing once their series exist.
func TestMetricsAllocate(t *testing.T) {
	m, err := newMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	a, h := exampleAttempt(), exampleChoice()
	a.Outcome, a.Estimated = record.Served, false
	if n := testing.AllocsPerRun(100, func() { m.chose("trial", h, false); m.attempt(a) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

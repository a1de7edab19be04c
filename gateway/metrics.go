package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/wire"
	"github.com/carrot-router/carrot/record"
)

// metrics are the metrics for Prometheus. A nil *metrics counts nothing.
//
// The number of series does not grow with traffic: provider, model (the candidate's
// name) and policy come from the configuration, client from there or from
// Options.Clients, and the other labels from the code. The comment above each metric
// gives the highest number of its label values, with A = 4 APIs, M models (each at one
// provider), P policies and C clients; a histogram has about 15 series for each.
type metrics struct {
	inFlight   *prometheus.GaugeVec
	requests   *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	decided    *prometheus.CounterVec
	decisions  *prometheus.HistogramVec
	novelty    *prometheus.HistogramVec
	abstained  *prometheus.CounterVec
	shadowCost *prometheus.CounterVec
	shadowQual *prometheus.CounterVec
	overheads  prometheus.Histogram
	attempts   *prometheus.CounterVec
	tokens     *prometheus.CounterVec
	cost       *prometheus.CounterVec
	unknown    *prometheus.CounterVec
	estimated  *prometheus.CounterVec
	clientCost *prometheus.CounterVec
	upstream   *prometheus.HistogramVec
	firstToken *prometheus.HistogramVec
	costRatio  *prometheus.HistogramVec
	tokenRatio *prometheus.HistogramVec
	intervals  *prometheus.CounterVec
	costSums   *prometheus.CounterVec
	tokenSums  *prometheus.CounterVec
	factors    *prometheus.GaugeVec
	fallbacks  *prometheus.CounterVec
	breakers   *prometheus.GaugeVec
	reloads    *prometheus.CounterVec
	reloaded   prometheus.Gauge
	reloadedOK prometheus.Gauge
	rejections *prometheus.CounterVec
	narrowed   *prometheus.CounterVec
	ratings    *prometheus.CounterVec
	canaries   *prometheus.CounterVec

	// Looking up labels costs more than counting, so the results are kept.
	starts   lookup[wire.API, prometheus.Gauge]
	ends     lookup[endKey, endSeries]
	models   lookup[modelKey, *modelSeries]
	choices  lookup[choiceKey, prometheus.Counter]
	policies lookup[string, policySeries]
	shadows  lookup[string, shadowSeries]
	spenders lookup[spenderKey, prometheus.Counter]
}

// Buckets, in seconds or as ratios.
var (
	decisionBuckets   = []float64{20e-6, 50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 100e-3}
	overheadBuckets   = []float64{50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 100e-3, 500e-3}
	upstreamBuckets   = []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}
	firstTokenBuckets = []float64{0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 30, 60}
	ratioBuckets      = []float64{0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10}
)

// newMetrics registers the metrics. If another gateway has registered them already, they
// are shared.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	add := &adder{reg: reg}
	m := &metrics{
		// A = 4
		inFlight: add.gauge("carrot_requests_in_flight", "Requests being served.", "api"),
		// A·(P+1)·23 = 92·(P+1): 23 statuses; the policy is empty for requests that
		// name a model or cannot be read
		requests: add.counter("carrot_requests_total", "Requests answered, by the status sent to the client.", "api", "policy", "status"),
		// A·(P+1) histograms
		duration: add.histogram("carrot_request_duration_seconds", "Time from a request's arrival to the end of its answer.", upstreamBuckets, "api", "policy"),
		// (10·P+1)·M: ten reasons if a policy decides, and one if a model was named
		decided: add.counter("carrot_decisions_total", "Decisions, by the model that came first and the reason for it. Dry runs are not counted, and neither are fallbacks after a failed call.", "policy", "model", "reason"),
		// P+1 histograms
		novelty: add.histogram("carrot_novelty", "How unlike the router's training data the prompts are: the share of training prompts that were less novel. Prompts like the training data have values that are spread evenly from 0 to 1.", noveltyBuckets, "policy"),
		// P+1
		abstained: add.counter("carrot_abstentions_total", "Decisions by each model's mean alone, because the prompt was too unlike the training data.", "policy"),
		// P·2
		shadowCost: add.counter("carrot_shadow_estimated_cost_usd_total", "Estimated cost of the requests of a shadow policy with its default, and with the router's choice (choice: default, router), or of a policy with a shadow router with the candidate that came first, and with that router's choice. Requests where one of them is unknown are left out.", "policy", "choice"),
		// P·2
		shadowQual: add.counter("carrot_shadow_estimated_quality_total", "Sum of the estimated qualities for the requests that carrot_shadow_estimated_cost_usd_total counts (choice: default, router).", "policy", "choice"),
		// P+1 histograms
		decisions: add.histogram("carrot_decision_duration_seconds", "Time taken to decide on a candidate.", decisionBuckets, "policy"),
		// 1 histogram
		overheads: add.histogram("carrot_overhead_duration_seconds", "Time spent in the gateway before the first call of a provider.", overheadBuckets).WithLabelValues().(prometheus.Histogram),
		// M·5
		attempts: add.counter("carrot_attempts_total", "Calls of providers, by outcome.", "provider", "model", "outcome"),
		// M·5
		tokens: add.counter("carrot_tokens_total", "Tokens, by the kind as which they are billed.", "provider", "model", "kind"),
		// M
		cost: add.counter("carrot_cost_usd_total", "Cost of calls.", "provider", "model"),
		// M
		unknown: add.counter("carrot_unknown_cost_total", "Calls whose cost is unknown, because they used tokens without a price.", "provider", "model"),
		// M
		estimated: add.counter("carrot_estimated_cost_usd_total", "Estimated cost of the calls that were served, also of those whose cost is unknown or follows from tokens that the gateway counted.", "provider", "model"),
		// (C+1)·(P+1)
		clientCost: add.counter("carrot_client_cost_usd_total", "Cost of a client's calls.", "client", "policy"),
		// M histograms
		upstream: add.histogram("carrot_upstream_duration_seconds", "Time from a call of a provider to the end of its answer.", upstreamBuckets, "provider", "model"),
		// M histograms
		firstToken: add.histogram("carrot_first_token_duration_seconds", "Time from a call of a provider to the first content of a stream.", firstTokenBuckets, "provider", "model"),
		// M histograms
		costRatio: add.histogram("carrot_cost_estimate_ratio", "Cost of a served call divided by its estimate.", ratioBuckets, "model"),
		// M histograms
		tokenRatio: add.histogram("carrot_output_tokens_estimate_ratio", "Output tokens of a served call divided by their estimate.", ratioBuckets, "model"),
		// M·4
		intervals: add.counter("carrot_estimate_intervals_total", "Served calls whose cost or output tokens (quantity: cost, output_tokens) were at most, or above, the 90% quantile of their estimate (truth: within, above).", "model", "quantity", "truth"),
		// M·2
		costSums: add.counter("carrot_compared_cost_usd_total", "Cost of the served calls for which both the cost and its estimate are known (value: true, estimated).", "model", "value"),
		// M·4
		tokenSums: add.counter("carrot_compared_tokens_total", "Tokens of the served calls for which the provider reported them and an estimate is known (kind: input, output; value: true, estimated).", "model", "kind", "value"),
		// M
		factors: add.gauge("carrot_input_token_factor", "Input tokens that a model counts for each token of the gateway's own count, as learned.", "model"),
		// M·10: about ten reasons
		fallbacks: add.counter("carrot_fallbacks_total", "Fallbacks from a model to the next one.", "from", "why"),
		// M; here, model is the provider's name of the model, since candidates share breakers
		breakers: add.gauge("carrot_breaker_state", "State of a circuit breaker: 0 closed, 1 half open, 2 open. The model is named as the provider names it.", "provider", "model"),
		// 2
		reloads: add.counter("carrot_config_reloads_total", "Reloads of the configuration.", "result"),
		// 1
		reloaded: add.gauge("carrot_config_last_reload_success_timestamp_seconds", "Time of the last successful reload of the configuration.").WithLabelValues(),
		// 1
		reloadedOK: add.gauge("carrot_config_last_reload_successful", "Whether the last reload of the configuration was successful: 1 or 0.").WithLabelValues(),
		// 10: about ten reasons
		rejections: add.counter("carrot_rejected_requests_total", "Requests that the gateway refused.", "why"),
		// 4·(P+1): four kinds
		ratings: add.counter("carrot_feedback_total", "Feedback on answers that was kept, by what was said (kind: score, thumb, label, success) and the policy of the request; it is empty for requests that named a model.", "kind", "policy"),
		// P
		canaries: add.counter("carrot_canary_decisions_total", "Decisions that the router of a policy's canary made.", "policy"),
		// 35: the fields in noted, and other
		narrowed: add.counter("carrot_narrowed_total", "Fields of requests that were left out or changed for a model.", "field"),
	}
	for _, result := range []string{"ok", "error"} { // so that the first one is an increase
		m.reloads.WithLabelValues(result)
	}
	return m, add.err
}

// adder makes and registers metrics. It keeps the first error.
type adder struct {
	reg prometheus.Registerer
	err error
}

// register registers a metric and returns it, or the same metric if that is registered
// already.
func register[C prometheus.Collector](a *adder, c C) C {
	err := a.reg.Register(c)
	if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if shared, ok := already.ExistingCollector.(C); ok {
			return shared
		}
	}
	if err != nil && a.err == nil {
		a.err = fmt.Errorf("register metrics: %w", err)
	}
	return c
}

func (a *adder) counter(name, help string, labels ...string) *prometheus.CounterVec {
	return register(a, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels))
}

func (a *adder) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	return register(a, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels))
}

func (a *adder) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return register(a, prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels))
}

// lookup keeps the values that were created for keys.
type lookup[K comparable, V any] struct {
	mu    sync.RWMutex
	known map[K]V
}

func (l *lookup[K, V]) get(key K, create func(K) V) V {
	l.mu.RLock()
	v, found := l.known[key]
	l.mu.RUnlock()
	if found {
		return v
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if v, found = l.known[key]; !found {
		if l.known == nil {
			l.known = map[K]V{}
		}
		v = create(key)
		l.known[key] = v
	}
	return v
}

type endKey struct {
	api    wire.API
	policy string
	status string
}

type endSeries struct {
	inFlight prometheus.Gauge
	requests prometheus.Counter
	duration prometheus.Observer
}

type modelKey struct{ provider, model string }

type modelSeries struct {
	attempts             map[record.Outcome]prometheus.Counter
	tokens               [5]prometheus.Counter // in the order of tokenKinds
	cost                 prometheus.Counter
	unknown              prometheus.Counter
	upstream, firstToken prometheus.Observer
	comparison           comparison
}

type spenderKey struct{ client, policy string }

var (
	outcomes   = []record.Outcome{record.Served, record.FellBack, record.Broken, record.Refused, record.ClientGone}
	tokenKinds = [5]string{"input", "cached_input", "cache_write", "output", "reasoning"}
	// statuses have their own label values. Others are counted by their first
	// digit.
	statuses = []int{200, 400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 431, 499, 500, 502, 503, 504, 529}
)

func statusLabel(status int) string {
	switch {
	case slices.Contains(statuses, status):
		return strconv.Itoa(status)
	case status >= 200 && status < 600:
		return strconv.Itoa(status/100) + "xx"
	}
	return "none"
}

// policyLabel returns the name of a policy without the objective that a client may add
// after a colon.
func policyLabel(policy string) string {
	name, _, _ := strings.Cut(policy, ":")
	return name
}

// begin counts a request that begins.
func (m *metrics) begin(api wire.API) {
	if m != nil {
		m.starts.get(api, func(api wire.API) prometheus.Gauge { return m.inFlight.WithLabelValues(string(api)) }).Inc()
	}
}

// end counts a request that ends. policy is a name from the configuration; it never
// comes from a client, except for an objective after a colon.
func (m *metrics) end(api wire.API, policy string, status int, seconds float64) {
	if m == nil {
		return
	}
	s := m.ends.get(endKey{api, policyLabel(policy), statusLabel(status)}, func(k endKey) endSeries {
		return endSeries{
			m.inFlight.WithLabelValues(string(k.api)),
			m.requests.WithLabelValues(string(k.api), k.policy, k.status),
			m.duration.WithLabelValues(string(k.api), k.policy),
		}
	})
	s.inFlight.Dec()
	s.requests.Inc()
	s.duration.Observe(seconds)
}

// attempt counts a call that is over.
func (m *metrics) attempt(a *record.Attempt) {
	if m == nil {
		return
	}
	s := m.models.get(modelKey{a.Provider, a.Candidate}, m.series)
	if c := s.attempts[a.Outcome]; c != nil {
		c.Inc()
	}
	u := &a.Usage
	for i, n := range [5]int{u.Prompt() - u.CachedInput - u.Written(), u.CachedInput, u.Written(), u.Answer() - u.Reasoning, u.Reasoning} {
		if n > 0 {
			s.tokens[i].Add(float64(n))
		}
	}
	if a.CostUnknown {
		s.unknown.Inc()
	}
	if a.Cost > 0 {
		s.cost.Add(a.Cost.Float())
		m.spenders.get(spenderKey{a.Client, policyLabel(a.Policy)}, func(k spenderKey) prometheus.Counter {
			return m.clientCost.WithLabelValues(k.client, k.policy)
		}).Add(a.Cost.Float())
	}
	s.upstream.Observe(a.Upstream.Seconds())
	if a.Stream && a.FirstToken > 0 {
		s.firstToken.Observe(a.FirstToken.Seconds())
	}
	s.comparison.add(a)
}

// series returns the series of a model.
func (m *metrics) series(k modelKey) *modelSeries {
	s := &modelSeries{
		attempts:   map[record.Outcome]prometheus.Counter{},
		cost:       m.cost.WithLabelValues(k.provider, k.model),
		unknown:    m.unknown.WithLabelValues(k.provider, k.model),
		upstream:   m.upstream.WithLabelValues(k.provider, k.model),
		firstToken: m.firstToken.WithLabelValues(k.provider, k.model),
		comparison: m.comparison(k),
	}
	for _, o := range outcomes {
		s.attempts[o] = m.attempts.WithLabelValues(k.provider, k.model, string(o))
	}
	for i, kind := range tokenKinds {
		s.tokens[i] = m.tokens.WithLabelValues(k.provider, k.model, kind)
	}
	return s
}

// overhead counts the time before the first call of a provider.
func (m *metrics) overhead(d time.Duration) {
	if m != nil {
		m.overheads.Observe(d.Seconds())
	}
}

// fallback counts a fallback from a model; why is a constant.
func (m *metrics) fallback(from, why string) {
	if m != nil {
		m.fallbacks.WithLabelValues(from, why).Inc()
	}
}

// breaker sets the state of a breaker: 0 closed, 1 half open, 2 open.
func (m *metrics) breaker(provider, model string, state int) {
	if m != nil {
		m.breakers.WithLabelValues(provider, model).Set(float64(state))
	}
}

// started says that the configuration was read successfully.
func (m *metrics) started() {
	if m != nil {
		m.reloaded.SetToCurrentTime()
		m.reloadedOK.Set(1)
	}
}

// serves begins the series of a configuration whose first increase matters, and sets the
// states of the breakers that it adds and, compared with the one before it, no longer
// has. was may be nil.
func (m *metrics) serves(was, now *routes, breakers *provider.Breakers) {
	if m == nil {
		return
	}
	before, after := map[modelKey]bool{}, map[modelKey]bool{}
	if was != nil {
		for _, c := range was.all() {
			before[breakerOf(c)] = true
		}
	}
	for _, c := range now.all() {
		m.unknown.WithLabelValues(c.target().provider.Name, c.Name)
		k := breakerOf(c)
		if after[k] = true; !before[k] {
			m.breaker(k.provider, k.model, int(breakers.State(c.target().call())))
		}
	}
	for k := range before {
		if !after[k] {
			m.breaker(k.provider, k.model, int(provider.Closed))
		}
	}
}

// breakerOf returns the labels of a candidate's breaker.
func breakerOf(c *candidate) modelKey { return modelKey{c.target().provider.Name, c.target().model} }

// reload counts a reload of the configuration.
func (m *metrics) reload(ok bool) {
	switch {
	case m == nil:
	case ok:
		m.reloads.WithLabelValues("ok").Inc()
		m.started()
	default:
		m.reloads.WithLabelValues("error").Inc()
		m.reloadedOK.Set(0)
	}
}

// tokenFactor sets how many tokens a model counts for each token counted here.
func (m *metrics) tokenFactor(model string, factor float64) {
	if m != nil {
		m.factors.WithLabelValues(model).Set(factor)
	}
}

// lost counts the fields that were left out or changed for a call.
func (m *metrics) lost(lists ...[]string) {
	if m == nil {
		return
	}
	for _, list := range lists {
		for _, note := range list {
			m.narrowed.WithLabelValues(notedAs(note)).Inc()
		}
	}
}

// rated counts feedback on a request of a policy, which may have an objective of the client's
// behind its name.
func (m *metrics) rated(kind, policy string) {
	if m != nil {
		policy, _, _ = strings.Cut(policy, ":")
		m.ratings.WithLabelValues(kind, policy).Inc()
	}
}

// rejected counts a request that was refused; why is a constant.
func (m *metrics) rejected(why string) {
	if m != nil {
		m.rejections.WithLabelValues(why).Inc()
	}
}

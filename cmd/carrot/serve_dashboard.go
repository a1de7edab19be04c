package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/budget"
	"github.com/carrot-router/carrot/internal/dashboard"
	"github.com/carrot-router/carrot/internal/ledger"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/internal/whatif"
)

// dashboard returns what the dashboard needs of the service.
func (s *service) dashboard(registry *prometheus.Registry) dashboard.Options {
	o := dashboard.Options{Version: version, Config: s.config, Log: s.log, State: func() (dashboard.State, error) { return stateOf(registry) }, Router: s.describeRouter}
	if s.books.ledger != nil {
		o.Store = s.books.ledger.Store()
		o.Replay = (&replays{store: o.Store}).answer
	}
	if s.keys != nil {
		o.Keys = s.keys.admin(s)
		o.Budgets = func(ctx context.Context) ([]budget.Figures, error) { return s.keys.budgets(ctx, s) }
	}
	return o
}

// stateOf reads the state of the gateway from its metrics.
func stateOf(registry *prometheus.Registry) (state dashboard.State, err error) {
	families, err := registry.Gather()
	if err != nil {
		return state, err
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			label := map[string]string{}
			for _, l := range m.GetLabel() {
				label[l.GetName()] = l.GetValue()
			}
			switch f.GetName() {
			case "carrot_requests_in_flight":
				state.InFlight += int(m.GetGauge().GetValue())
			case "carrot_breaker_state":
				state.Breakers = append(state.Breakers, dashboard.Breaker{Provider: label["provider"], Model: label["model"],
					State: map[float64]string{0: "closed", 1: "half open", 2: "open"}[m.GetGauge().GetValue()]})
			case "carrot_rejected_requests_total":
				state.Rejected = append(state.Rejected, dashboard.Counted{Name: label["why"], Count: m.GetCounter().GetValue()})
			case "carrot_store_up":
				state.StoreUp = m.GetGauge().GetValue() == 1
			case "carrot_ledger_pending_bytes":
				state.Waiting = int64(m.GetGauge().GetValue())
			}
		}
	}
	return state, nil
}

// describeRouter describes the router that decides.
func (s *service) describeRouter() dashboard.Router {
	now := s.serving.Load()
	a, serving := now.router, now.config
	m := &a.Manifest
	spec, err := json.Marshal(m.Predictor)
	if err != nil { // impossible
		spec = []byte(m.Predictor.Name)
	}
	r := dashboard.Router{File: cmp.Or(serving.Router, "the router in the binary"), Fingerprint: a.Fingerprint, Embedder: m.Embedder.ID, Predictor: string(spec),
		PriceDate: m.PriceDate, Command: m.Command, Licence: m.Licence, Description: m.Description, Frontier: m.Frontier, BestSingle: m.BestSingle}
	for _, data := range m.Data {
		r.Data = append(r.Data, dashboard.Counted{Name: data.Name, Count: float64(data.Queries)})
	}
	for _, name := range slices.Sorted(maps.Keys(m.Metrics)) {
		r.Metrics = append(r.Metrics, dashboard.Metric{Name: name, Value: m.Metrics[name]})
	}
	for _, one := range m.Models {
		r.Models = append(r.Models, dashboard.RouterModel{Name: one.Name, MeanScore: one.MeanScore,
			Served: slices.ContainsFunc(serving.Models, func(c gateway.ModelConfig) bool { return c.Name == one.Name || c.Like == one.Name })})
	}
	if m.Learned != nil {
		rows := 0
		for _, n := range m.Learned.Rows {
			rows += n
		}
		r.Learned = fmt.Sprintf("%s from %s to %s", phrase.Count(rows, "judged request"), m.Learned.From.UTC().Format(time.DateOnly), m.Learned.To.UTC().Format(time.DateOnly))
	}
	return r
}

// replays answers what the latest requests would have been at other objectives.
type replays struct {
	store *ledger.Store

	mu   sync.Mutex
	kept map[string]*kept // by range and policy
}

// kept is a log that was read.
type kept struct {
	until  time.Time
	log    *whatif.Log
	n      int
	median float64
	curve  []dashboard.ReplayPoint
	single []dashboard.ReplaySingle
}

const (
	// replayed is how many of the latest requests the dashboard replays.
	replayed = 10_000
	// keptFor is how long a log that was read answers questions.
	keptFor = 30 * time.Second
)

// answer answers a question. It returns nil if there is no request.
func (s *replays) answer(ctx context.Context, q dashboard.Question) (*dashboard.Replay, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for key, k := range s.kept {
		if now.After(k.until) {
			delete(s.kept, key)
		}
	}
	key := q.From.String() + " " + q.Policy
	k := s.kept[key]
	if k == nil {
		r := ledger.Range{From: q.From}
		if q.Policy != "" {
			r.Policies = []string{q.Policy}
		}
		cut, err := s.store.Cut(ctx, r, replayed)
		if err != nil {
			return nil, err
		}
		if !cut.IsZero() {
			r.From = cut
		}
		requests, err := readRequests(ctx, s.store, r, nil)
		if err != nil {
			return nil, err
		}
		k = &kept{until: now.Add(keptFor), log: whatif.New(requests), n: len(requests), median: medianWorth(requests)}
		if len(requests) > 0 {
			k.draw()
		}
		if s.kept == nil {
			s.kept = map[string]*kept{}
		}
		s.kept[key] = k
	}
	if k.n == 0 {
		return nil, nil
	}
	question := whatif.Question{USDPerQuality: q.USDPerQuality, Without: q.Without}
	a := k.log.Ask(question)
	report := &whatifReport{c: &whatifCommand{Without: q.Without}, worth: q.USDPerQuality, answer: &a}
	if !math.IsNaN(q.USDPerQuality) {
		report.c.Objective = fmt.Sprintf("usd-per-quality=%g", q.USDPerQuality)
	}
	text, err := json.Marshal(report.form())
	if err != nil {
		return nil, err
	}
	out := &dashboard.Replay{Requests: a.Requests, Decided: a.Decided, Changed: a.Changed, Limited: k.n >= replayed, Median: k.median, At: k.until.Add(-keptFor), Was: a.Was,
		Then: shownEstimate(a.Then), Saved: shownEstimate(a.Saved), QualityWas: shownEstimate(a.QualityWas), QualityThen: shownEstimate(a.QualityThen), Curve: k.curve, Single: k.single, JSON: append(text, '\n')}
	for _, m := range a.Models {
		out.Models = append(out.Models, dashboard.ReplayModel{Name: m.Name, Was: m.Was, Then: m.Then, WasUSD: m.WasUSD, ThenUSD: m.ThenUSD, New: m.New})
	}
	return out, nil
}

// medianWorth returns the median willingness to pay of decisions; 0 if there are none.
func medianWorth(requests []whatif.Request) float64 {
	var all []float64
	for i := range requests {
		if len(requests[i].Candidates) > 0 {
			all = append(all, requests[i].USDPerQuality)
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// draw asks for the curve of a log, and for every model alone.
func (k *kept) draw() {
	for at := range 25 {
		w := 1e-5 * math.Pow(10, float64(at)/4)
		a := k.log.Ask(whatif.Question{USDPerQuality: w})
		k.curve = append(k.curve, dashboard.ReplayPoint{USDPerQuality: w, CostUSD: a.Then.Value / float64(a.Requests), Quality: a.QualityThen.Value})
	}
	models := k.log.Models()
	for _, name := range models {
		others := slices.DeleteFunc(slices.Clone(models), func(m string) bool { return m == name })
		a := k.log.Ask(whatif.Question{USDPerQuality: math.NaN(), Without: others})
		k.single = append(k.single, dashboard.ReplaySingle{Name: name, CostUSD: a.Then.Value / float64(a.Requests), Quality: a.QualityThen.Value})
	}
}

func shownEstimate(e whatif.Estimate) dashboard.Estimate {
	return dashboard.Estimate{Value: e.Value, Low: e.Interval[0], High: e.Interval[1]}
}

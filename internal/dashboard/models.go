package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/ledger"
	"github.com/carrot-router/carrot/record"
)

// shutdownNear is how long before the shutdown of a model pages warn of it.
const shutdownNear = 60 * 24 * time.Hour

// modelsPage is the body of the page about the models.
type modelsPage struct {
	Period    period
	Periods   []period
	Stored    bool // there is a ledger
	Sample    int  // latest calls from which the calibration follows
	Models    []*modelRow
	Providers []*providerRow
	Warnings  []string
}

// modelRow is what is known of a model.
type modelRow struct {
	Name, Provider, Upstream string
	Configured, Embeds       bool
	Address                  string // of the list of its requests

	// Of the period.
	Calls, Answered, Failed, Refused int64
	Paid                             string
	FailedShare                      float64

	Breaker string // closed, half open, open, or empty: there is none
	Live    calibration
	Price
	Dated string // a warning about its shutdown
}

// calibration compares the forecasts of latest calls with what came true.
type calibration struct {
	Paid, Expected float64 // USD of calls whose cost was forecast and is known
	Costs          int     // how many they are
	Within, Bounds int     // how many cost at most the forecast 90% quantile, and how many have one
	// Of answers with a score: how many, their mean forecast and their mean score.
	Scored          int
	Quality, Scores float64 // sums
}

// Ratio returns what was paid over what was forecast; NaN if there is nothing to compare.
func (c calibration) Ratio() float64 {
	if c.Expected == 0 {
		return math.NaN()
	}
	return c.Paid / c.Expected
}

// WithinShare returns the share of costs that were at most the forecast 90% quantile.
func (c calibration) WithinShare() float64 { return float64(c.Within) / float64(c.Bounds) }

// MeanQuality returns the mean forecast of answers with a score.
func (c calibration) MeanQuality() float64 { return c.Quality / float64(c.Scored) }

// MeanScore returns the mean score of answers.
func (c calibration) MeanScore() float64 { return c.Scores / float64(c.Scored) }

// add adds a call that answered, and the feedback on its request.
func (c *calibration) add(a *record.Attempt, f ledger.Feedback, said bool) {
	e := a.Estimate()
	if !a.CostUnknown && !a.ExpectedUnknown {
		c.Costs++
		c.Paid += a.Cost.Float()
		c.Expected += a.Expected.Float()
	}
	if e == nil {
		return
	}
	if !a.CostUnknown && !e.CostUnknown {
		if c.Bounds++; a.Cost <= e.CostP90 {
			c.Within++
		}
	}
	if said && f.Score != nil && !math.IsNaN(e.Quality) {
		c.Scored++
		c.Quality += e.Quality
		c.Scores += *f.Score
	}
}

// providerRow is what the latest calls say of a provider's keys.
type providerRow struct {
	Name, Kind string
	Configured bool
	Keys       int
	Calls      int // latest ones
	Denied     []denial
}

// denial counts the answers with a status that is about a key.
type denial struct {
	Status  int
	Count   int
	Last    time.Time
	Message string // of the last one
}

// Text says what the status means.
func (d denial) Text() string {
	return map[int]string{http.StatusUnauthorized: "the key is wrong", http.StatusForbidden: "the key may not do that", http.StatusTooManyRequests: "the key is over its rate limit"}[d.Status]
}

// models shows what is known of every model.
func (d *Dashboard) models(r *http.Request) (*view, error) {
	p, err := periodOf(r)
	if err != nil {
		return nil, err
	}
	page := &modelsPage{Period: p, Periods: periods, Stored: d.Store != nil}
	state, err := d.State()
	if err != nil {
		return nil, err
	}
	page.configure(d.Config(), state.Breakers)
	prices := d.Prices()
	for _, m := range page.Models {
		if price, ok := prices[m.Name]; ok {
			m.Price = price
		}
	}
	if d.Store != nil {
		fates, err := remember(d, r.Context(), "fates "+p.Name, func(ctx context.Context) ([]ledger.Fate, error) {
			return d.Store.Fates(ctx, ledger.Range{From: p.from(d.Now())})
		})
		if err != nil {
			return nil, err
		}
		page.count(fates)
		s, err := d.sample(r.Context(), p)
		if err != nil {
			return nil, err
		}
		page.measure(s)
	}
	page.warn(d.Now())
	return &view{page: "models", section: "models", title: "Models", body: page}, nil
}

// configure lists the models and providers of a configuration.
func (p *modelsPage) configure(c *gateway.File, breakers []Breaker) {
	add := func(name, provider, upstream string, embeds bool) {
		m := &modelRow{Name: name, Provider: provider, Upstream: cmp.Or(upstream, name), Configured: true, Embeds: embeds, Price: unknownPrice(), Paid: usd(0.0), FailedShare: math.NaN()}
		for _, b := range breakers {
			if b.Provider == m.Provider && b.Model == m.Upstream {
				m.Breaker = b.State
			}
		}
		p.Models = append(p.Models, m)
	}
	for _, m := range c.Models {
		add(m.Name, m.Provider, m.Upstream, false)
	}
	for _, e := range c.Embeddings {
		add(e.Name, e.Provider, e.Upstream, true)
	}
	for _, one := range c.Providers {
		keys := len(one.APIKeys)
		if one.APIKey.Reveal() != "" {
			keys++
		}
		p.Providers = append(p.Providers, &providerRow{Name: one.Name, Kind: one.Kind, Configured: true, Keys: keys})
	}
}

func unknownPrice() Price { return Price{Input: math.NaN(), Cached: math.NaN(), Output: math.NaN()} }

// Compared returns the models of which forecasts can be compared with the truth.
func (p *modelsPage) Compared() (list []*modelRow) {
	for _, m := range p.Models {
		if m.Live != (calibration{}) {
			list = append(list, m)
		}
	}
	return list
}

// model returns the row of a model, which it adds if the configuration does not have it.
func (p *modelsPage) model(name, provider string) *modelRow {
	if at := slices.IndexFunc(p.Models, func(m *modelRow) bool { return m.Name == name }); at >= 0 {
		return p.Models[at]
	}
	m := &modelRow{Name: name, Provider: provider, Price: unknownPrice(), Paid: usd(0.0), FailedShare: math.NaN()}
	p.Models = append(p.Models, m)
	return m
}

// provider returns the row of a provider, which it adds if the configuration does not have it.
func (p *modelsPage) provider(name string) *providerRow {
	if at := slices.IndexFunc(p.Providers, func(one *providerRow) bool { return one.Name == name }); at >= 0 {
		return p.Providers[at]
	}
	one := &providerRow{Name: name}
	p.Providers = append(p.Providers, one)
	return one
}

// count adds up how the calls of the period ended.
func (p *modelsPage) count(fates []ledger.Fate) {
	costs, unknown := map[*modelRow]ledger.Amount{}, map[*modelRow]int64{}
	for _, f := range fates {
		m := p.model(f.Model, f.Provider)
		m.Calls += f.Attempts
		switch f.Outcome {
		case record.Served:
			m.Answered += f.Attempts
		case record.FellBack, record.Broken, record.Lapsed:
			m.Failed += f.Attempts
		case record.Refused:
			m.Refused += f.Attempts
		}
		costs[m] = costs[m].Plus(f.Cost)
		unknown[m] += f.Unknown
	}
	for m, cost := range costs {
		m.Paid, m.FailedShare = paid(cost, int(unknown[m]), int(m.Calls)), float64(m.Failed)/float64(m.Calls)
	}
	for _, m := range p.Models {
		m.Address = (&requestsPage{Period: p.Period.Name, Model: m.Name}).address(nil)
	}
}

// measure compares forecasts with the truth of the latest calls, and counts what providers
// said of keys.
func (p *modelsPage) measure(s sample) {
	p.Sample = len(s.attempts)
	for _, a := range s.attempts { // the latest first
		one := p.provider(a.Provider)
		one.Calls++
		if d := (denial{Status: a.Status}); d.Text() != "" {
			at := slices.IndexFunc(one.Denied, func(d denial) bool { return d.Status == a.Status })
			if at < 0 {
				at = len(one.Denied)
				d.Last, d.Message = a.Time, strings.TrimSpace(a.ErrorCode+" "+a.Error)
				one.Denied = append(one.Denied, d)
			}
			one.Denied[at].Count++
		}
		if a.Outcome == record.Served {
			f, said := s.said[a.RequestID]
			p.model(a.Candidate, a.Provider).Live.add(a, f, said)
		}
	}
}

// warn says which models are or will soon be shut down.
func (p *modelsPage) warn(now time.Time) {
	for _, m := range p.Models {
		day, err := time.Parse(time.DateOnly, m.Shutdown)
		if err != nil || day.Sub(now) > shutdownNear {
			continue
		}
		m.Dated = "is shut down on " + m.Shutdown
		if days := int(math.Ceil(day.Sub(now).Hours() / 24)); days > 0 {
			m.Dated = "will be shut down on " + m.Shutdown + ", in " + counted(days, "day")
		} else if now.Sub(day) >= 24*time.Hour {
			m.Dated = "was shut down on " + m.Shutdown
		}
		text := fmt.Sprintf("%s at %s %s.", m.Name, m.Provider, m.Dated)
		if m.Successor != "" {
			text += " " + m.Successor + " is its successor."
		}
		p.Warnings = append(p.Warnings, text)
	}
}

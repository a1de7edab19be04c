package dashboard

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/carrot-router/carrot/internal/svg"
	"github.com/carrot-router/carrot/record"
)

// routerPage is the body of the page about the router.
type routerPage struct {
	Router
	Period   period
	Periods  []period
	Decided  int     // latest decisions that are looked at
	Novel    float64 // share of them whose novelty is above .9
	Lost     float64 // share that was decided by means alone
	Novelty  template.HTML
	Halves   []half
	Others   map[string]int // decisions of other routers, by fingerprint
	Shadows  []shadow
	Frontier template.HTML
}

// half is the earlier or the later half of the latest attempts: where they differ, traffic
// or models have changed.
type half struct {
	Name      string
	From, To  time.Time
	Decided   int
	Novel     float64 // share of decisions whose novelty is above .9
	Abstained float64 // share that was decided by means alone
	Ratio     float64 // cost of answers to what was expected of it
	Priced    int     // answers from which it follows
	Offset    float64 // mean of scores less the qualities that were expected
	Scored    int
}

// halves divides attempts, the latest of which are first.
func (s sample) halves() []half {
	middle := len(s.attempts) / 2
	if middle == 0 {
		return nil
	}
	return []half{s.half("earlier half", s.attempts[middle:]), s.half("later half", s.attempts[:middle])}
}

func (s sample) half(name string, attempts []*record.Attempt) half {
	h := half{Name: name, From: attempts[len(attempts)-1].Time, To: attempts[0].Time}
	h.Decided, h.Novel, h.Abstained = decisions(attempts)
	cost, expected, offset := 0.0, 0.0, 0.0
	for _, a := range attempts {
		if a.Outcome != record.Served {
			continue
		}
		if !a.CostUnknown && !a.ExpectedUnknown && a.Expected > 0 {
			h.Priced++
			cost += a.Cost.Float()
			expected += a.Expected.Float()
		}
		if e, f := a.Estimate(), s.said[a.RequestID]; e != nil && f.Score != nil {
			h.Scored++
			offset += *f.Score - e.Quality
		}
	}
	h.Ratio, h.Offset = cost/expected, offset/float64(h.Scored) // NaN: there are none
	return h
}

// decisions counts the decisions that led to attempts, and returns the shares of those whose
// novelty is above .9, and of those that were made by means alone; NaN if there are none.
func decisions(attempts []*record.Attempt) (n int, novel, abstained float64) {
	for _, a := range attempts {
		if a.Number != 1 || a.Decision == nil {
			continue
		}
		n++
		if a.Decision.Novelty > .9 {
			novel++
		}
		if a.Decision.Abstained {
			abstained++
		}
	}
	return n, novel / float64(n), abstained / float64(n)
}

// words are the names of figures of training for people.
var words = map[string]string{
	"queries": "Queries with all outcomes", "aiq": "AIQ", "peak": "Highest quality", "qnc": "QNC", "cost95": "Cost at 95% of the best single model’s quality, as a share of its cost",
	"gap_closed": "Gap to the oracle that is closed", "brier": "Brier score", "ece": "Calibration error of quality (ECE)", "r2": "R² of quality",
	"quality_z_variance": "Variance of standardised errors of quality", "output_tokens_mae": "Mean absolute error of output tokens", "output_tokens_p90_coverage": "Output tokens within their 90% quantile",
}

// shadow compares a router in shadow, or one that only watches, with the choices that were
// made.
type shadow struct {
	Name            string
	Requests, Other int     // how many, and for how many it would choose another model
	Saved           float64 // USD that its choices are expected to save
	Gain            float64 // quality that they are expected to gain, the mean of all
}

func (d *Dashboard) router(r *http.Request) (*view, error) {
	p, err := periodOf(r)
	if err != nil {
		return nil, err
	}
	page := routerPage{Router: d.Router(), Period: p, Periods: periods, Novel: math.NaN(), Lost: math.NaN()}
	page.Metrics = slices.Clone(page.Metrics)
	for i, m := range page.Metrics {
		page.Metrics[i].Name = cmp.Or(words[m.Name], m.Name)
	}
	page.Frontier = page.drawFrontier()
	if d.Store != nil {
		s, err := d.sample(r.Context(), p)
		if err != nil {
			return nil, err
		}
		page.measure(s)
		page.Halves = s.halves()
	}
	return &view{page: "router", section: "router", title: "Router", body: page}, nil
}

// measure compares the latest decisions with the training data.
func (p *routerPage) measure(s sample) {
	var bins [10]int
	p.Decided, p.Novel, p.Lost = decisions(s.attempts)
	byRouter := map[string]*shadow{}
	var order []string
	for _, a := range s.attempts {
		if a.Number != 1 || a.Decision == nil {
			continue
		}
		p.Decided++
		if novelty := a.Decision.Novelty; !math.IsNaN(novelty) {
			bins[int(min(max(novelty*10, 0), 9))]++ // others may have written the record
		}
		if f := a.Decision.Router; f != p.Fingerprint && f != "" {
			if p.Others == nil {
				p.Others = map[string]int{}
			}
			p.Others[f]++
		}
		if a.Shadow != nil {
			one := byRouter[a.Shadow.Router]
			if one == nil {
				one = &shadow{Name: a.Shadow.Router}
				if one.Name == "" {
					one.Name = "the router that decides, under a policy in shadow"
				}
				byRouter[a.Shadow.Router] = one
				order = append(order, a.Shadow.Router)
			}
			one.add(a)
		}
	}
	for _, name := range order {
		one := *byRouter[name]
		one.Gain /= float64(one.Requests)
		p.Shadows = append(p.Shadows, one)
	}
	if p.Decided == 0 {
		return
	}
	bars := make([]bar, len(bins))
	for i, n := range bins {
		bars[i] = bar{fmt.Sprintf("novelty from %.1f to %.1f", float64(i)/10, float64(i+1)/10), fmt.Sprintf("%.1f", float64(i)/10), []float64{float64(n) / float64(p.Decided)}}
	}
	p.Novelty = stacked("Share of the latest prompts by novelty. Prompts like the training data would have a tenth in every bar.", bars, func(v float64) string { return share(v) })
}

func (s *shadow) add(a *record.Attempt) {
	s.Requests++
	if a.Shadow.Model != a.First {
		s.Other++
	}
	s.Saved += a.Shadow.Saved.Float()
	s.Gain += a.Shadow.Gain
}

// drawFrontier draws what training found, out of fold.
func (p *routerPage) drawFrontier() template.HTML {
	var line []svg.XY
	for _, point := range p.Router.Frontier {
		line = append(line, svg.XY{X: point.CostUSD, Y: point.Quality})
	}
	return curve("Quality against cost of the router on its training data, out of fold. The square is the best single model.", line,
		[]spot{{p.BestSingle.CostUSD, p.BestSingle.Quality, "best single model", "was", svg.Square}})
}

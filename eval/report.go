package eval

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/internal/plan"
	"github.com/carrot-router/carrot/table"
)

// Schema names the JSON form of a report.
const Schema = "carrot.eval/1"

// Number is a float64 that is NaN, and null in JSON, where a report has no
// number: where there is none, and where it is infinite.
type Number float64

// MarshalJSON writes null for NaN and the infinities.
func (n Number) MarshalJSON() ([]byte, error) {
	if v := float64(n); !math.IsNaN(v) && !math.IsInf(v, 0) {
		return json.Marshal(v)
	}
	return []byte("null"), nil
}

// UnmarshalJSON reads a number, and null as NaN.
func (n *Number) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*n = Number(math.NaN())
		return nil
	}
	return json.Unmarshal(data, (*float64)(n))
}

// String writes the number with four digits, "none" if it is not finite.
func (n Number) String() string {
	if v := float64(n); !math.IsNaN(v) && !math.IsInf(v, 0) {
		return fmt.Sprintf("%.4f", v)
	}
	return "none"
}

// Report is the result of a comparison, in the JSON form carrot.eval/1, from
// which it reads back equal. Costs are in USD per query, from observed tokens.
type Report struct {
	Schema       string       `json:"schema"`
	Dataset      string       `json:"dataset"`
	Fingerprint  string       `json:"fingerprint"`
	Split        string       `json:"split"`
	Queries      int          `json:"queries"`
	Skipped      int          `json:"skipped_incomplete"`
	Models       []string     `json:"models"`
	CostRangeUSD [2]float64   `json:"cost_range_usd"`
	BestSingle   string       `json:"best_single"`
	Provenance   Provenance   `json:"provenance"`
	Notes        []string     `json:"notes,omitempty"`
	Routers      []RouterLine `json:"routers"`
	// Omitted names routers that were measured in the same run and that a selection
	// (carrot report --routers) leaves out.
	Omitted []string `json:"omitted,omitempty"`
	Pairs   []Pair   `json:"pairs"`
	// Protocols is nil unless the paper's protocol was asked for.
	Protocols *ProtocolReport `json:"protocols,omitempty"`
}

// Provenance says what made a report, so that it can be made again.
type Provenance struct {
	Command   string       `json:"command"` // without paths, which differ between machines
	Version   string       `json:"version"`
	Seed      uint64       `json:"seed"`
	Bootstrap int          `json:"bootstrap"`
	Embedder  string       `json:"embedder"` // of the reference rows
	Prices    []ModelPrice `json:"prices"`
	// PerCall says that cost is a share of calls, not money.
	PerCall bool `json:"per_call,omitempty"`
}

// ModelPrice is a model's price in USD per million tokens, null if its outcomes
// carry costs instead.
type ModelPrice struct {
	Model               string `json:"model"`
	InputUSDPerMillion  Number `json:"input_usd_per_million"`
	OutputUSDPerMillion Number `json:"output_usd_per_million"`
}

// RouterLine is one router in a report. Intervals are the central 95% of a
// bootstrap over queries, and null without a bootstrap.
type RouterLine struct {
	Name string `json:"name"`
	// External names the file with the predictions of a router that another
	// program runs. On which queries that router was fitted is not known.
	External    *PredictionsFile `json:"external,omitempty"`
	AIQ         Number           `json:"aiq"` // null for single points, such as those of best-single
	AIQInterval []Number         `json:"aiq_ci"`
	Peak        Number           `json:"peak"`
	PeakCI      []Number         `json:"peak_ci"`
	QNC         Number           `json:"qnc"`
	QNCInterval []Number         `json:"qnc_ci"`
	Cost95      Number           `json:"cost95"`
	GapClosed   Number           `json:"gap_closed"`
	Calibration *Calibration     `json:"calibration"` // null if the router forecasts no quality
	Curve       []CurvePoint     `json:"curve"`
	// Worth says what the router's forecast of quality means; Settings are the
	// hyperparameters chosen, fit by fit.
	Worth    string   `json:"worth,omitempty"`
	Settings []string `json:"settings,omitempty"`
	AUDC     Number   `json:"audc"`
	// Arena is the highest RouterArena score along the curve, which is
	// oracle-tuned.
	Arena      Number         `json:"routerarena_best"`
	Regret     []RegretAt     `json:"regret"`
	Sources    []SourceLine   `json:"sources,omitempty"`
	Traffic    []TrafficPoint `json:"traffic,omitempty"`
	Plans      []plan.Line    `json:"plans,omitempty"` // of a router that may choose plans
	Robustness []Robustness   `json:"robustness,omitempty"`
	Promises   []PromiseLine  `json:"promises,omitempty"`
	// NoveltyAUC, only where sources are left out, is the probability that a query of a
	// source left out is more novel than one of the others, held out in turn.
	NoveltyAUC *Number `json:"novelty_auc,omitempty"`
	// SuffixSearch is what one suffix of common words, searched for all prompts, makes
	// the choices cost; nil unless robustness was asked for and the router could be asked.
	SuffixSearch  *Robustness     `json:"suffix_search,omitempty"`
	LearningCurve []LearningPoint `json:"learning_curve,omitempty"`
	Pair          *PairMetrics    `json:"pair,omitempty"`
}

// CurvePoint is one setting of a router. USDPerQuality is null where cost does not
// matter, for the single models of the zero router and the best single, which Model
// names, and for the points of an external router, which Setting names.
type CurvePoint struct {
	USDPerQuality Number  `json:"usd_per_quality"`
	CostUSD       float64 `json:"cost_usd"`
	Quality       float64 `json:"quality"`
	Model         string  `json:"model,omitempty"`
	Setting       string  `json:"setting,omitempty"`
}

// Pair is the paired difference of two routers' AIQ.
type Pair struct {
	A        string   `json:"a"`
	B        string   `json:"b"`
	AIQDiff  Number   `json:"aiq_diff"`
	Interval []Number `json:"ci"`
}

func numbers(v []float64) []Number {
	if v == nil {
		return nil
	}
	out := make([]Number, len(v))
	for i, x := range v {
		out[i] = number(x)
	}
	return out
}

func newReport(t *table.Table, all []*contestant, scale frontier.Scale, o compareOptions) *Report {
	r := &Report{Schema: Schema, Dataset: t.Set.Name, Fingerprint: t.Set.Fingerprint, Split: o.Split,
		Models: t.ModelNames(), CostRangeUSD: [2]float64{scale.Low, scale.High}, Routers: []RouterLine{}, Pairs: []Pair{}}
	r.BestSingle = r.Models[scale.Best]
	r.Provenance = Provenance{Seed: o.Seed, Bootstrap: o.Bootstrap, Embedder: t.Embedder, PerCall: t.PerCall != nil}
	for m, name := range r.Models {
		price := ModelPrice{Model: name, InputUSDPerMillion: Number(math.NaN()), OutputUSDPerMillion: Number(math.NaN())}
		if p := t.Candidates[m].Price; p != nil {
			if usd, ok := p.Input.PerMillion(); ok {
				price.InputUSDPerMillion = Number(usd)
			}
			if usd, ok := p.Output.PerMillion(); ok {
				price.OutputUSDPerMillion = Number(usd)
			}
		}
		r.Provenance.Prices = append(r.Provenance.Prices, price)
	}
	zero, oracle := all[len(all)-2].metrics.AIQ, all[len(all)-1].metrics.AIQ
	for _, c := range all {
		l := RouterLine{Name: c.name, AIQ: number(c.metrics.AIQ), Peak: number(c.metrics.Peak), QNC: number(c.metrics.QNC),
			Cost95: number(c.metrics.Cost95), GapClosed: number(frontier.GapClosed(c.metrics.AIQ, zero, oracle)),
			Calibration: c.calibration,
			AIQInterval: numbers(c.interval(func(m frontier.Metrics) float64 { return m.AIQ })),
			PeakCI:      numbers(c.interval(func(m frontier.Metrics) float64 { return m.Peak })),
			QNCInterval: numbers(c.interval(func(m frontier.Metrics) float64 { return m.QNC }))}
		if !c.curved() {
			l.AIQ, l.GapClosed, l.AIQInterval = Number(math.NaN()), Number(math.NaN()), nil
		}
		if c.entry != nil {
			l.External = c.entry.external
		}
		for s, p := range c.trace.Curve(nil) {
			point := CurvePoint{USDPerQuality: Number(math.NaN()), CostUSD: p.Cost, Quality: p.Quality}
			switch {
			case c.single:
				point.Model = r.BestSingle
			case c.labels != nil:
				point.Setting = c.labels[s]
			case c.grid == nil:
				point.Model = r.Models[s]
			default:
				point.USDPerQuality = number(c.grid[s])
			}
			l.Curve = append(l.Curve, point)
		}
		r.Routers = append(r.Routers, l)
	}
	r.Pairs = append(r.Pairs, pairs(all)...)
	return r
}

// pairs compares every two routers, and every router with the mean and the
// zero router.
func pairs(all []*contestant) []Pair {
	var out []Pair
	for i, a := range all {
		for _, b := range all[i+1:] {
			if slices.Contains(references, a.name) || a.name == plansOracle || b.name == plansOracle || b.name == "oracle" || !a.curved() || !b.curved() {
				continue
			}
			p := Pair{A: a.name, B: b.name, AIQDiff: number(a.metrics.AIQ - b.metrics.AIQ)}
			differences := make([]float64, len(a.samples))
			for s := range a.samples {
				differences[s] = a.samples[s].AIQ - b.samples[s].AIQ
			}
			p.Interval = numbers(interval(differences))
			out = append(out, p)
		}
	}
	return out
}

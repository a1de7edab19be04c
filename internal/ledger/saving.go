package ledger

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Against is what a saving is measured against.
type Against string

// The references of a saving.
const (
	BestSingle Against = "best-single" // the model with the highest mean forecast of quality
	Defaults   Against = "default"     // each policy's default
)

// Saving compares what requests cost that policies routed with what they would have cost
// with a reference. Costs that were paid are facts. What the reference would have cost is
// an estimate: the sum of the forecasts that the decisions stored, times the bias that
// forecasts for the same model had where it answered. See docs/decisions/0013.
type Saving struct {
	Against  Against  `json:"against"`
	Models   []string `json:"models"`   // of the reference, sorted
	Requests int64    `json:"requests"` // that are compared
	LeftOut  int64    `json:"left_out"` // other requests that were routed: the reference could not answer, or a cost or its forecast is unknown
	Own      int64    `json:"answered_by_reference"`
	Cost     Amount   `json:"cost_usd"`        // fact: of the requests that are compared
	Failed   Amount   `json:"failed_cost_usd"` // fact: of failed attempts of routed requests
	// Forecast is what the reference was expected to cost for the requests that others
	// answered.
	Forecast float64 `json:"forecast_usd"`
	// Bias is the ratio of cost to forecast where the reference answered, for all of
	// Forecast. It and its interval are nil if the reference answered too few requests.
	Bias         *float64    `json:"bias"`
	BiasInterval *[2]float64 `json:"bias_interval"`
	Fitted       int64       `json:"bias_requests"` // from which Bias follows
	// Reference is what all the compared requests would have cost with the reference, and
	// Saved what was saved, less Failed. Without Bias, they follow from the forecasts as
	// they are, and Interval is nil.
	Reference float64     `json:"reference_usd"`
	Saved     float64     `json:"saved_usd"`
	Interval  *[2]float64 `json:"saved_interval"` // 95%
}

const (
	fittedLeast = 30   // requests from which a bias follows, at least
	normal95    = 1.96 // half the width of a 95% interval, in standard errors
)

// fit is the bias of a model's forecasts of cost: a ratio estimate.
type fit struct {
	n        int64
	ratio    float64
	variance float64 // of ratio
	scatter  float64 // variance of a cost about ratio times its forecast, by squared forecast
}

func fitOf(s *forecastSums) (f fit, ok bool) {
	if s.fitted < fittedLeast || !(s.fittedF > 0) || !(s.fittedFF > 0) {
		return fit{n: s.fitted}, false
	}
	n := float64(s.fitted)
	f = fit{n: s.fitted, ratio: s.fittedC / s.fittedF}
	// The scatter is taken to grow with the forecast. Weighing requests by their forecast
	// says too little where a few long ones make the sum, and weighing them equally where
	// short ones scatter less: the larger of the two holds.
	weighted := (s.fittedCC - 2*f.ratio*s.fittedFC + f.ratio*f.ratio*s.fittedFF) / s.fittedFF
	equal := (s.fittedRR-2*f.ratio*s.fittedR)/n + f.ratio*f.ratio
	f.scatter = max(0, weighted, equal) * n / (n - 1)
	f.variance = f.scatter * s.fittedFF / (s.fittedF * s.fittedF)
	return f, true
}

// savingOf returns the saving against models, of which each has its sums.
func savingOf(against Against, models map[string]*forecastSums, fits map[string]*forecastSums, whole *forecastSums) Saving {
	out := Saving{Against: against, Models: slices.Sorted(maps.Keys(models)), Failed: whole.othersCost}
	variance, biasVariance, corrected, calibrated := 0.0, 0.0, 0.0, true
	out.Models = slices.DeleteFunc(append([]string{}, out.Models...), func(name string) bool { return models[name].others+models[name].served == 0 })
	var own Amount
	for _, name := range out.Models {
		s := models[name]
		out.Requests += s.others + s.served
		out.Own += s.served
		own = own.Plus(s.servedCost)
		out.Cost = out.Cost.Plus(s.othersCost).Plus(s.servedCost)
		out.Forecast += s.othersF
		if s.others == 0 {
			continue
		}
		all := fits[name]
		if all == nil {
			all = &forecastSums{}
		}
		f, ok := fitOf(all)
		out.Fitted += f.n
		calibrated = calibrated && ok
		corrected += f.ratio * s.othersF
		biasVariance += s.othersF * s.othersF * f.variance
		variance += s.othersF*s.othersF*f.variance + s.othersFF*f.scatter
	}
	out.LeftOut = whole.ranked - out.Requests
	out.Reference = own.Float() + out.Forecast
	if calibrated {
		out.Reference = own.Float() + corrected
	}
	out.Saved = out.Reference - out.Cost.Float() - out.Failed.Float()
	if calibrated {
		half := normal95 * math.Sqrt(variance)
		out.Interval = &[2]float64{out.Saved - half, out.Saved + half}
		if out.Forecast > 0 {
			bias, width := corrected/out.Forecast, normal95*math.Sqrt(biasVariance)/out.Forecast
			out.Bias, out.BiasInterval = &bias, &[2]float64{bias - width, bias + width}
		}
	}
	return out
}

// Saving returns what routing saved in a range against the best single model and against
// the policies' defaults, and against the former by what a summary is divided by, if that
// is days, policies or clients. There is none if no request was routed, or if the range
// names models.
func (s *Store) Saving(ctx context.Context, r Range, by By) (total []Saving, groups map[string]Saving, err error) {
	if len(r.Models) > 0 {
		return nil, nil, nil
	}
	divided := slices.Contains([]By{ByDay, ByPolicy, ByClient}, by)
	if !divided {
		by = "''"
	}
	parts, defaults, err := s.forecastSums(ctx, r, string(by))
	if err != nil {
		return nil, nil, err
	}
	everybody := r // forecasts for a model are off in the same way whoever asks
	everybody.Clients, everybody.Policies = nil, nil
	all, _, err := s.forecastSums(ctx, everybody, "''")
	if err != nil {
		return nil, nil, err
	}
	fits := all[""]
	sum := routed{}
	for _, part := range parts {
		for model, s := range part {
			sum.of(model).plus(s)
		}
	}
	best := bestSingle(sum)
	if best == "" {
		return nil, nil, nil
	}
	against := func(part routed) Saving {
		return savingOf(BestSingle, map[string]*forecastSums{best: part.of(best)}, fits, part.of(""))
	}
	total = append(total, against(sum))
	if len(defaults) > 0 {
		total = append(total, savingOf(Defaults, defaults, fits, sum.of("")))
	}
	if divided {
		groups = map[string]Saving{}
		for name, part := range parts {
			groups[name] = against(part)
		}
	}
	return total, groups, nil
}

// bestSingle returns the model with the highest mean forecast of quality, of those that
// might have answered at least half of the requests.
func bestSingle(sum routed) string {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(sum)), func(name string) bool {
		return name == "" || 2*sum[name].ranked < sum.of("").ranked || sum[name].ranked == 0
	})
	if len(names) == 0 {
		return ""
	}
	return slices.MaxFunc(names, func(a, b string) int {
		return cmp.Compare(sum[a].quality/float64(sum[a].ranked), sum[b].quality/float64(sum[b].ranked))
	})
}

// forecastSums returns the sums of a range by a column and model, and those of the
// policies' defaults by model.
func (s *Store) forecastSums(ctx context.Context, r Range, by string) (parts map[string]routed, defaults routed, err error) {
	where, args := r.days()
	sums := make([]string, len(forecastSumColumns))
	for i, name := range forecastSumColumns {
		sums[i] = "SUM(" + name + ")"
	}
	rows, err := s.db.QueryContext(ctx, "SELECT "+by+", model, CASE WHEN model = standby THEN 1 ELSE 0 END, "+strings.Join(sums, ", ")+" FROM forecasts WHERE "+where+" GROUP BY 1, 2, 3 ORDER BY 1, 2, 3", args...)
	if err != nil {
		return nil, nil, fmt.Errorf("saving: %w", err)
	}
	defer rows.Close()
	parts, defaults = map[string]routed{}, routed{}
	for rows.Next() {
		var group, model string
		var standby int
		var f forecastSums
		var served, others [2]int64
		if err := rows.Scan(&group, &model, &standby, &f.ranked, &f.quality, &f.served, &served[0], &served[1], &f.others, &others[0], &others[1], &f.othersF, &f.othersFF,
			&f.fitted, &f.fittedF, &f.fittedC, &f.fittedFF, &f.fittedFC, &f.fittedCC, &f.fittedR, &f.fittedRR); err != nil {
			return nil, nil, fmt.Errorf("saving: %w", err)
		}
		f.servedCost, f.othersCost = amountOf(served[0], served[1]), amountOf(others[0], others[1])
		if parts[group] == nil {
			parts[group] = routed{}
		}
		parts[group].of(model).plus(&f)
		if standby == 1 && model != "" {
			defaults.of(model).plus(&f)
		}
	}
	return parts, defaults, rows.Err()
}

package ledger

import (
	"cmp"
	"context"
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/record"
)

// appendForecasts appends, for an attempt that answered a request which a policy routed,
// what the decision expected of each candidate that might have answered: the name, the
// quality and the cost, -1 if it is unknown.
func appendForecasts(b []byte, a *record.Attempt) []byte {
	if a.Decision == nil || a.Policy == "" || a.Outcome != record.Served {
		return b
	}
	for i := range a.Decision.Candidates {
		c := &a.Decision.Candidates[i]
		if c.Excluded != "" {
			continue
		}
		b = append(binary.AppendUvarint(b, uint64(len(c.Name))), c.Name...)
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(c.Quality))
		cost := int64(-1)
		if !c.CostUnknown {
			cost = int64(c.Cost)
		}
		b = binary.AppendVarint(b, cost)
	}
	return b
}

// routedKey is what forecasts are summed up by, with the candidate.
type routedKey struct{ day, client, policy, standby string }

func (k routedKey) compare(l routedKey) int {
	return cmp.Or(strings.Compare(k.day, l.day), strings.Compare(k.client, l.client), strings.Compare(k.policy, l.policy), strings.Compare(k.standby, l.standby))
}

// forecastSums are the sums of a row of the table forecasts.
type forecastSums struct {
	ranked             int64
	quality            float64
	served             int64
	servedCost         Amount
	others             int64
	othersCost         Amount
	othersF, othersFF  float64
	fitted             int64
	fittedF, fittedC   float64
	fittedFF, fittedFC float64
	fittedCC           float64
	fittedR, fittedRR  float64
}

func (s *forecastSums) plus(t *forecastSums) {
	s.ranked += t.ranked
	s.quality += t.quality
	s.served += t.served
	s.servedCost = s.servedCost.Plus(t.servedCost)
	s.others += t.others
	s.othersCost = s.othersCost.Plus(t.othersCost)
	s.othersF += t.othersF
	s.othersFF += t.othersFF
	s.fitted += t.fitted
	s.fittedF += t.fittedF
	s.fittedC += t.fittedC
	s.fittedFF += t.fittedFF
	s.fittedFC += t.fittedFC
	s.fittedCC += t.fittedCC
	s.fittedR += t.fittedR
	s.fittedRR += t.fittedRR
}

// routed are the sums of forecasts of a key, by candidate.
type routed map[string]*forecastSums

func (r routed) of(model string) *forecastSums {
	s := r[model]
	if s == nil {
		s = &forecastSums{}
		r[model] = s
	}
	return s
}

// add adds an attempt.
func (r routed) add(e *entry) {
	a := &e.attempt
	whole := r.of("")
	if a.Outcome != record.Served {
		if a.Outcome != record.ClientGone && !a.CostUnknown && a.Cost != 0 { // with any model, the client might have hung up
			whole.others++
			whole.othersCost.Add(a.Cost)
		}
		return
	}
	whole.ranked++
	if !a.CostUnknown {
		whole.served++
		whole.servedCost.Add(a.Cost)
	}
	paid := a.Cost.Float()
	for left := (reader{left: e.forecasts}); len(left.left) > 0; {
		name := left.text()
		bits := left.bytes(8)
		cost := left.varint()
		if left.bad { // a checksum protects entries
			return
		}
		s := r[string(name)]
		if s == nil {
			s = r.of(string(name))
		}
		s.ranked++
		s.quality += math.Float64frombits(binary.LittleEndian.Uint64(bits))
		if a.CostUnknown {
			continue
		}
		f := carrot.USD(cost).Float()
		switch own := string(name) == a.Candidate; {
		case own:
			s.served++
			s.servedCost.Add(a.Cost)
			if cost > 0 {
				s.fitted++
				s.fittedF += f
				s.fittedC += paid
				s.fittedFF += f * f
				s.fittedFC += f * paid
				s.fittedCC += paid * paid
				s.fittedR += paid / f
				s.fittedRR += paid / f * paid / f
			}
		case cost >= 0:
			s.others++
			s.othersCost.Add(a.Cost)
			s.othersF += f
			s.othersFF += f * f
		}
	}
}

// writeForecasts adds the forecasts of attempts to the sums of their days.
func writeForecasts(ctx context.Context, tx *database.Tx, entries []*entry) error {
	sums := map[routedKey]routed{}
	for _, e := range entries {
		a := &e.attempt
		if a.Policy == "" || len(e.decision) == 0 || a.Outcome == record.Served && len(e.forecasts) == 0 {
			continue
		}
		policy, _, _ := strings.Cut(a.Policy, ":")
		key := routedKey{a.Time.UTC().Format(time.DateOnly), bounded(a.Client), bounded(policy), bounded(a.Default)}
		if sums[key] == nil {
			sums[key] = routed{}
		}
		sums[key].add(e)
	}
	return addForecasts(ctx, tx, sums)
}

// addForecasts adds sums to the table forecasts, in one order for all processes.
func addForecasts(ctx context.Context, tx *database.Tx, sums map[routedKey]routed) error {
	for _, key := range slices.SortedFunc(maps.Keys(sums), routedKey.compare) {
		for _, model := range slices.Sorted(maps.Keys(sums[key])) {
			s := sums[key][model]
			if *s == (forecastSums{}) {
				continue
			}
			if _, err := tx.ExecContext(ctx, addForecast, key.day, key.client, key.policy, key.standby, bounded(model),
				s.ranked, s.quality, s.served, s.servedCost.micro, s.servedCost.rest, s.others, s.othersCost.micro, s.othersCost.rest, s.othersF, s.othersFF,
				s.fitted, s.fittedF, s.fittedC, s.fittedFF, s.fittedFC, s.fittedCC, s.fittedR, s.fittedRR); err != nil {
				return err
			}
		}
	}
	return nil
}

// forecastSumColumns are the columns of the table forecasts that are sums.
var forecastSumColumns = []string{"ranked", "quality", "served", "served_micro", "served_rest", "others", "others_micro", "others_rest", "others_f", "others_ff",
	"fitted", "fitted_f", "fitted_c", "fitted_ff", "fitted_fc", "fitted_cc", "fitted_r", "fitted_rr"}

// addForecast adds to a row of the table forecasts.
var addForecast = func() string {
	var set []string
	for _, name := range forecastSumColumns {
		sum := "forecasts." + name + " + excluded." + name
		if whole, ok := strings.CutSuffix(name, "_micro"); ok {
			sum += " + (forecasts." + whole + "_rest + excluded." + whole + "_rest) / 1000000"
		} else if strings.HasSuffix(name, "_rest") {
			sum = "(" + sum + ") % 1000000"
		}
		set = append(set, name+" = "+sum)
	}
	return "INSERT INTO forecasts (day, client, policy, standby, model, " + strings.Join(forecastSumColumns, ", ") + ") VALUES (?" + strings.Repeat(", ?", 4+len(forecastSumColumns)) + `)
		ON CONFLICT (day, client, policy, standby, model) DO UPDATE SET ` + strings.Join(set, ", ")
}()

package eval

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/carrot-router/carrot"
)

// commonWords are 500 common English words, one a line, of which the search makes its
// suffixes.
//
//go:embed words.txt
var commonWords string

const (
	suffixWords   = 5   // the most words of a suffix
	suffixFoundOn = 100 // queries on which a suffix is found
	suffixQueries = 200 // others on which it is measured
)

// suffixSearch looks for the one suffix that makes the router's choices on all
// prompts most expensive.
type suffixSearch struct {
	e       *entry
	w       float64 // willingness to pay
	columns map[carrot.Predictor][]int
	texts   []string
	x       []carrot.Representation
	out     []carrot.Prediction
}

// searchSuffix finds a suffix greedily: it appends, as long as the bill rises, the common
// word with which the choices on some queries cost most, and measures it on others. Every
// prompt is answered by the router that was fitted without it. It returns nil for a router
// that cannot be asked again.
func (d details) searchSuffix(ctx context.Context, c *contestant, setting int, o compareOptions) (*Robustness, error) {
	e := c.entry
	if e.embedder == nil || len(d.rows) < 3 {
		return nil, nil
	}
	for _, i := range d.rows {
		if e.asked[i] == nil {
			return nil, nil
		}
	}
	rows := slices.Clone(d.rows)
	random := rand.New(rand.NewPCG(o.Seed, 0x737566))
	random.Shuffle(len(rows), func(a, b int) { rows[a], rows[b] = rows[b], rows[a] })
	found := rows[:min(suffixFoundOn, len(rows)/3)]
	measured := rows[len(found):min(len(rows), len(found)+suffixQueries)]
	for _, part := range [][]int{found, measured} { // so that each router is asked about neighbouring rows
		slices.SortStableFunc(part, func(a, b int) int { return cmp.Compare(e.number[a], e.number[b]) })
	}
	s := &suffixSearch{e: e, w: e.grid[setting], columns: map[carrot.Predictor][]int{}}
	words := strings.Fields(commonWords)
	_, best, _, err := s.ask(ctx, found, "")
	if err != nil {
		return nil, err
	}
	suffix := ""
	for step := range suffixWords {
		longer := ""
		for k, word := range words {
			if o.Say != nil && k%50 == 0 {
				o.Say(fmt.Sprintf("%s: word %d of a suffix, %d of %d tried", c.name, step+1, k, len(words)))
			}
			_, cost, _, err := s.ask(ctx, found, suffix+" "+word)
			if err != nil {
				return nil, err
			}
			if cost > best {
				best, longer = cost, suffix+" "+word
			}
		}
		if longer == "" {
			break
		}
		suffix = longer
	}
	line := &Robustness{Perturbation: "suffix: searched", Suffix: strings.TrimSpace(suffix), FoundOn: len(found), Queries: len(measured)}
	before, cost, abstained, err := s.ask(ctx, measured, "")
	if err != nil {
		return nil, err
	}
	after, bill, novel, err := s.ask(ctx, measured, suffix)
	if err != nil {
		return nil, err
	}
	for k := range measured {
		if before[k] == after[k] {
			line.Kept += 1 / float64(len(measured))
		}
	}
	line.Bill, line.Worst, line.AbstainedBefore, line.Abstained = bill/cost, d.scale.High/cost, abstained, novel
	return line, nil
}

// ask returns the models that are chosen if a suffix is appended to the prompts of some
// rows, their mean cost by the outcomes on the original prompts, and the share of
// abstentions.
func (s *suffixSearch) ask(ctx context.Context, rows []int, suffix string) (models []int, cost, abstained float64, err error) {
	s.texts = s.texts[:0]
	for _, i := range rows {
		s.texts = append(s.texts, s.e.table.Set.Queries[i].Prompt+suffix)
	}
	for len(s.x) < len(rows) {
		s.x, s.out = append(s.x, carrot.Representation{}), append(s.out, carrot.Prediction{})
	}
	x, out := s.x[:len(rows)], s.out[:len(rows)]
	if err := s.e.embedder.Embed(ctx, s.texts, x); err != nil {
		return nil, 0, 0, fmt.Errorf("embed prompts with a suffix: %w", err)
	}
	for from := 0; from < len(rows); {
		p, to := s.e.asked[rows[from]], from+1
		for to < len(rows) && s.e.number[rows[to]] == s.e.number[rows[from]] {
			to++
		}
		if err := p.Predict(x[from:to], out[from:to]); err != nil {
			return nil, 0, 0, err
		}
		columns := s.columns[p]
		if columns == nil {
			if columns, err = columnsOf(p, s.e.table); err != nil {
				return nil, 0, 0, err
			}
			s.columns[p] = columns
		}
		quality, costs := make([]float64, len(columns)), make([]float64, len(columns))
		for k := from; k < to; k++ {
			for m, column := range columns {
				f := &out[k].Forecasts[column]
				quality[m], costs[m] = f.Quality, s.e.table.PredictedCost(rows[k], m, f)
			}
			m := carrot.Choose(quality, costs, s.w)
			models = append(models, m)
			cost += s.e.table.Cost.At(rows[k], m) / float64(len(rows))
			if out[k].Abstained {
				abstained += 1 / float64(len(rows))
			}
		}
		from = to
	}
	return models, cost, abstained, nil
}

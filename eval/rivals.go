package eval

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/rivals"
	"github.com/carrot-router/carrot/table"
)

// RivalNames lists the names that Rivals accepts besides "all" and "fast".
func RivalNames() []string { return append(rivals.Names(), "cascade", "cascade=ACCURACY") }

// Rivals returns contenders that implement other methods from the literature. Each
// starts from its authors' settings and is tuned on the queries it is fitted on.
// names are separated by commas: those of RivalNames, "all" or "fast". A rival that
// needs vectors of its own, or none, has an Embedder.
func Rivals(names string, seed uint64) ([]Contender, error) {
	var cascades []Contender
	var others []string
	add := func(accuracy float64) {
		c := rivals.Cascade{Accuracy: accuracy}
		if !slices.ContainsFunc(cascades, func(o Contender) bool { return o.Name == c.Name() }) {
			cascades = append(cascades, Contender{Name: c.Name(), Embedder: blind{}, own: cascade{c}})
		}
	}
	for name := range strings.SplitSeq(names, ",") {
		switch kind, text, given := strings.Cut(name, "="); {
		case kind == "cascade" && given:
			accuracy, err := strconv.ParseFloat(text, 64)
			if err != nil || !(accuracy >= 0.5 && accuracy <= 1) {
				return nil, fmt.Errorf("%s: want the accuracy of the judge, a number in [0.5,1]", name)
			}
			add(accuracy)
			continue
		case kind == "cascade":
			add(rivals.DefaultAccuracy)
			continue
		case name == "all" || name == "fast":
			add(rivals.DefaultAccuracy)
		}
		others = append(others, name)
	}
	var out []Contender
	if len(others) > 0 {
		methods, err := rivals.Parse(strings.Join(others, ","))
		if err != nil {
			return nil, fmt.Errorf("%w, cascade, cascade=ACCURACY", err)
		}
		for _, m := range methods {
			out = append(out, Contender{Name: m.Name, Embedder: m.Features, own: rival{m, seed}})
		}
	}
	return append(out, cascades...), nil
}

// blind is the embedder for routers that do not look at the prompt.
type blind struct{}

func (blind) ID() string { return "none" }

func (blind) Embed(_ context.Context, _ []string, dst []carrot.Representation) error {
	clear(dst)
	return nil
}

// rival is a rival that predicts.
type rival struct {
	how  rivals.Method
	seed uint64
}

func (r rival) key() string         { return fmt.Sprintf("rival %s seed %d", r.how.Name, r.seed) }
func (r rival) weight() float64     { return float64(r.how.Weight) }
func (r rival) worth() rivals.Worth { return r.how.Worth }

func (r rival) fit(ctx context.Context, t *table.Table, rows []int, progress func(string)) (fitted, error) {
	p, err := r.how.Fit(ctx, rivalData(t, rows, r.seed), progress)
	if err != nil {
		return nil, err
	}
	return rivalFitted{predictor{p}, p}, nil
}

func (r rival) load(_ *table.Table, in io.Reader) (fitted, error) {
	p, err := rivals.Load(in)
	if err != nil {
		return nil, err
	}
	return rivalFitted{predictor{p}, p}, nil
}

type rivalFitted struct {
	predictor
	r *rivals.Router
}

func (r rivalFitted) save(w io.Writer) error { return r.r.Save(w) }
func (r rivalFitted) setting() string        { return r.r.Setting() }

// rivalData returns a rival's view of the given rows.
func rivalData(t *table.Table, rows []int, seed uint64) *rivals.Data {
	view := t.Data(rows)
	d := &rivals.Data{Models: view.Models, X: view.X, Score: view.Score, OutputTokens: view.OutputTokens, Hash: view.Hash, Seed: seed,
		PredictedCost: func(k, m int, f *carrot.Forecast) float64 { return t.PredictedCost(rows[k], m, f) }}
	for _, i := range rows {
		d.CostUSD = append(d.CostUSD, t.Cost.Row(i)...)
	}
	return d
}

// cascade is the rival that looks at answers.
type cascade struct{ policy rivals.Cascade }

func (c cascade) key() string         { return c.policy.Name() }
func (c cascade) weight() float64     { return 2 }
func (c cascade) worth() rivals.Worth { return rivals.Share }

func (c cascade) fit(ctx context.Context, t *table.Table, rows []int, progress func(string)) (fitted, error) {
	policy := c.policy
	progress("choosing which models to ask in order")
	if err := policy.Fit(ctx, rivalData(t, rows, 0)); err != nil {
		return nil, err
	}
	return cascadeFitted{&policy}, nil
}

func (c cascade) load(_ *table.Table, r io.Reader) (fitted, error) {
	var policy rivals.Cascade
	return cascadeFitted{&policy}, policy.Load(r)
}

type cascadeFitted struct{ *rivals.Cascade }

func (c cascadeFitted) save(w io.Writer) error { return c.Save(w) }
func (c cascadeFitted) setting() string        { return fmt.Sprintf("accuracy=%g", c.Accuracy) }

func (c cascadeFitted) answer(e *entry, rows []int, _ [][]carrot.Representation) error {
	for _, i := range rows {
		steps, err := c.Steps(e.table.Set.Score.Row(i), e.table.Cost.Row(i))
		if err != nil {
			return err
		}
		e.steps[i] = steps
	}
	return nil
}

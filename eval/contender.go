package eval

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/rivals"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/train"
)

// Contender is a kind of router that can be fitted: a predictor of this module
// or a rival.
type Contender interface {
	// Name as in a report.
	Name() string
	// Key names everything that the fit depends on beside the data.
	Key() string
	// Weight is about how long a fit takes, in units of the quickest.
	Weight() int
	// Worth says what the forecast of quality is.
	Worth() rivals.Worth
	fit(ctx context.Context, t *train.Task, rows []int, progress func(string)) (fitted, error)
	load(t *train.Task, r io.Reader) (fitted, error)
}

// fitted is a contender after a fit.
type fitted interface {
	save(w io.Writer) error
	// setting names the hyperparameters that were chosen.
	setting() string
	// answer writes what the router makes of the rows to e.
	answer(e *Entry, rows []int, variants [][]carrot.Representation) error
}

// Own is a predictor of this module.
type Own struct {
	Label string // its name in the report
	Spec  predict.Spec
}

// Name implements Contender.
func (o Own) Name() string { return o.Label }

// Key implements Contender.
func (o Own) Key() string { return fmt.Sprintf("own %+v", o.Spec) }

// Weight implements Contender.
func (o Own) Weight() int {
	switch o.Spec.Name {
	case "mean":
		return 1
	case "blend", "kernel", "sparse":
		return 60
	}
	return 10
}

// Worth implements Contender.
func (o Own) Worth() rivals.Worth { return rivals.Quality }

func (o Own) fit(ctx context.Context, t *train.Task, rows []int, progress func(string)) (fitted, error) {
	p, err := t.Fit(ctx, rows, o.Spec, progress)
	if err != nil {
		return nil, err
	}
	return own{p}, nil
}

func (o Own) load(t *train.Task, r io.Reader) (fitted, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	file, err := predict.Parse(data)
	if err != nil {
		return nil, err
	}
	var spec predict.Spec
	if err := json.Unmarshal([]byte(file.Metadata()["spec"]), &spec); err != nil {
		return nil, err
	}
	p, err := file.Predictor(spec, t.ModelNames(), len(t.X[0].Dense))
	if err != nil {
		return nil, err
	}
	return own{p}, nil
}

type own struct{ *predict.Predictor }

func (o own) save(w io.Writer) error {
	return o.Write(w, map[string]string{"spec": o.setting()})
}

func (o own) setting() string {
	text, err := json.Marshal(o.Spec())
	if err != nil {
		return ""
	}
	return string(text)
}

func (o own) answer(e *Entry, rows []int, variants [][]carrot.Representation) error {
	return e.predict(o.Predictor, rows, variants)
}

// Rival is a rival that predicts.
type Rival struct {
	Label  string
	Method rivals.Method
	Seed   uint64
}

// Name implements Contender.
func (r Rival) Name() string { return r.Label }

// Key implements Contender.
func (r Rival) Key() string { return fmt.Sprintf("rival %s seed %d", r.Method.Name, r.Seed) }

// Weight implements Contender.
func (r Rival) Weight() int { return r.Method.Weight }

// Worth implements Contender.
func (r Rival) Worth() rivals.Worth { return r.Method.Worth }

func (r Rival) fit(ctx context.Context, t *train.Task, rows []int, progress func(string)) (fitted, error) {
	p, err := r.Method.Fit(ctx, rivalData(t, rows, r.Seed), progress)
	if err != nil {
		return nil, err
	}
	return rival{p}, nil
}

func (r Rival) load(_ *train.Task, in io.Reader) (fitted, error) {
	p, err := rivals.Load(in)
	if err != nil {
		return nil, err
	}
	return rival{p}, nil
}

type rival struct{ *rivals.Router }

func (r rival) save(w io.Writer) error { return r.Save(w) }
func (r rival) setting() string        { return r.Setting() }

func (r rival) answer(e *Entry, rows []int, variants [][]carrot.Representation) error {
	return e.predict(r.Router, rows, variants)
}

// rivalData is a rival's view of the given rows: the costs are the observed
// ones at the task's prices.
func rivalData(t *train.Task, rows []int, seed uint64) *rivals.Data {
	view := t.Data(rows)
	models := len(t.Set.Models)
	d := &rivals.Data{Models: view.Models, X: view.X, Score: view.Score, OutputTokens: view.OutputTokens, Hash: view.Hash, PerCall: t.PerCall, Seed: seed}
	for _, i := range rows {
		d.InputTokens = append(d.InputTokens, t.Set.InputTokens.Row(i)...)
		d.CostUSD = append(d.CostUSD, t.Cost.Row(i)...)
	}
	for m := range models {
		in, out := math.NaN(), math.NaN()
		if p := t.Prices[m]; p != nil {
			in, _ = p.Input.PerMillion()
			out, _ = p.Output.PerMillion()
			in, out = in/1e6, out/1e6
		}
		d.InputUSD, d.OutputUSD = append(d.InputUSD, in), append(d.OutputUSD, out)
	}
	return d
}

// Cascade is the rival that looks at answers.
type Cascade struct {
	Label  string
	Policy rivals.Cascade
}

// Name implements Contender.
func (c Cascade) Name() string { return c.Label }

// Key implements Contender.
func (c Cascade) Key() string { return c.Policy.Name() }

// Weight implements Contender.
func (c Cascade) Weight() int { return 2 }

// Worth implements Contender.
func (c Cascade) Worth() rivals.Worth { return rivals.Share }

func (c Cascade) fit(ctx context.Context, t *train.Task, rows []int, progress func(string)) (fitted, error) {
	policy := c.Policy
	progress("choosing which models to ask in order")
	if err := policy.Fit(ctx, rivalData(t, rows, 0)); err != nil {
		return nil, err
	}
	return cascade{&policy}, nil
}

func (c Cascade) load(_ *train.Task, r io.Reader) (fitted, error) {
	var policy rivals.Cascade
	return cascade{&policy}, policy.Load(r)
}

type cascade struct{ *rivals.Cascade }

func (c cascade) save(w io.Writer) error { return c.Save(w) }
func (c cascade) setting() string        { return fmt.Sprintf("accuracy=%g", c.Accuracy) }

func (c cascade) answer(e *Entry, rows []int, _ [][]carrot.Representation) error {
	for _, i := range rows {
		steps, err := c.Steps(e.Task.Set.Score.Row(i), e.Task.Cost.Row(i))
		if err != nil {
			return err
		}
		e.Steps[i] = steps
	}
	return nil
}

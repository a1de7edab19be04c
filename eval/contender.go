package eval

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/internal/rivals"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/table"
	"github.com/carrot-router/carrot/train"
)

// Contender is a router to be measured. [Predictor] and [Rivals] return those of
// this module, and [External] one that another program runs. A router of your own
// needs a Name and either Fit or Fitted.
type Contender struct {
	// Name of the router in the report.
	Name string
	// Embedder makes the vectors that the router sees. If it is nil,
	// Options.Embedder does.
	Embedder carrot.Embedder
	// Fit fits a router on the given rows of a table and returns it. It must
	// not look at other rows. The router must know all models of the table. Fit
	// may call progress with what it is doing, in words.
	Fit func(ctx context.Context, t *table.Table, rows []int, progress func(doing string)) (carrot.Predictor, error)
	// Fitted is a router that is fitted already. It takes the place of Fit.
	Fitted carrot.Predictor
	// TrainedOn lists the names or fingerprints of the data sets that Fitted was
	// trained on, so that the report can note that its figures are optimistic.
	TrainedOn []string

	own method // set by Predictor, Rivals and External
}

// Predictor returns a contender that fits a predictor of this module, as
// [train.Fit] does.
func Predictor(name string, spec predict.Spec) Contender {
	return Contender{Name: name, own: own{spec}}
}

// method is how a contender is fitted.
type method interface {
	// key names everything that a fit depends on besides the data. It is empty
	// if fits cannot be kept.
	key() string
	// weight is a rough measure of the time that a fit takes.
	weight() float64
	// worth says what the forecast of quality means.
	worth() rivals.Worth
	fit(ctx context.Context, t *table.Table, rows []int, progress func(string)) (fitted, error)
	load(t *table.Table, r io.Reader) (fitted, error)
}

// fitted is a router that was fitted.
type fitted interface {
	save(w io.Writer) error
	// setting names the hyperparameters that were chosen.
	setting() string
	// answer writes to e what the router chooses on the rows.
	answer(e *entry, rows []int, variants [][]carrot.Representation) error
}

// method returns how the contender is fitted, or nil if nothing says so.
func (c *Contender) method() method {
	switch {
	case c.own != nil:
		return c.own
	case c.Fitted != nil:
		return custom{func(_ context.Context, t *table.Table, _ []int, _ func(string)) (carrot.Predictor, error) {
			if b, ok := c.Fitted.(binds); ok {
				return b.On(t)
			}
			return c.Fitted, nil
		}, 1}
	case c.Fit != nil:
		return custom{c.Fit, 10}
	}
	return nil
}

// external returns the router's predictions if another program has made them, nil
// if not.
func (c *Contender) external() *external {
	x, _ := c.own.(*external)
	return x
}

// fixed reports whether the router was fitted before, and cannot be fitted here.
func (c *Contender) fixed() bool { return c.own == nil && c.Fitted != nil || c.external() != nil }

// custom is a router from outside this package.
type custom struct {
	make  func(context.Context, *table.Table, []int, func(string)) (carrot.Predictor, error)
	units float64
}

func (c custom) key() string         { return "" }
func (c custom) weight() float64     { return c.units }
func (c custom) worth() rivals.Worth { return rivals.Quality }

func (c custom) fit(ctx context.Context, t *table.Table, rows []int, progress func(string)) (fitted, error) {
	p, err := c.make(ctx, t, rows, progress)
	if err != nil {
		return nil, err
	}
	if s, ok := p.(asksSeveral); ok {
		return severalFitted{s}, nil
	}
	return predictor{p}, nil
}

func (c custom) load(*table.Table, io.Reader) (fitted, error) { return nil, errNotKept }

// predictor is a fitted predictor that cannot be saved.
type predictor struct{ carrot.Predictor }

func (p predictor) save(io.Writer) error { return errNotKept }
func (p predictor) setting() string      { return "" }

func (p predictor) answer(e *entry, rows []int, variants [][]carrot.Representation) error {
	return e.predict(p.Predictor, rows, variants)
}

// binds is a fitted router that becomes another on the table that it is to answer for.
type binds interface {
	On(t *table.Table) (carrot.Predictor, error)
}

// asksSeveral is a router that may ask several models for one query, and so knows by
// itself what its choices cost and score. It need not predict.
type asksSeveral interface {
	carrot.Predictor
	// Setting names what was chosen by the fit.
	Setting() string
	// Steps returns, for each of the rows of the table that the router was fitted on,
	// its choices at every willingness to pay, in falling order. The candidate of a
	// step is a model of the table, or negative for several models.
	Steps(rows []int, willing []float64) ([][]frontier.Step, error)
}

// severalFitted is a fitted router that may ask several models.
type severalFitted struct{ router asksSeveral }

func (s severalFitted) save(io.Writer) error { return errNotKept }
func (s severalFitted) setting() string      { return s.router.Setting() }

func (s severalFitted) answer(e *entry, rows []int, _ [][]carrot.Representation) error {
	steps, err := s.router.Steps(rows, e.grid)
	if err != nil {
		return err
	}
	if e.several == nil {
		e.several = make([]asksSeveral, len(e.steps))
	}
	for k, i := range rows {
		e.steps[i], e.several[i] = steps[k], s.router
	}
	e.promises = nil
	if f, ok := s.router.(forecasting); ok {
		return e.forecast(f, rows)
	}
	return nil
}

// own is a predictor of this module.
type own struct{ spec predict.Spec }

func (o own) key() string { return fmt.Sprintf("own %+v", o.spec) }

func (o own) weight() float64 {
	switch o.spec.Name {
	case "mean":
		return 1
	case "blend", "kernel", "sparse":
		return 60
	}
	return 10
}

func (o own) worth() rivals.Worth { return rivals.Quality }

func (o own) fit(ctx context.Context, t *table.Table, rows []int, progress func(string)) (fitted, error) {
	p, err := train.Fit(ctx, t, rows, o.spec, progress)
	if err != nil {
		return nil, err
	}
	return ownFitted{predictor{p}, p}, nil
}

func (o own) load(t *table.Table, r io.Reader) (fitted, error) {
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
		return nil, phrase.JSON(err)
	}
	p, err := file.Predictor(spec, t.ModelNames(), len(t.X[0].Dense))
	if err != nil {
		return nil, err
	}
	return ownFitted{predictor{p}, p}, nil
}

type ownFitted struct {
	predictor
	p *predict.Predictor
}

func (o ownFitted) save(w io.Writer) error {
	return o.p.Write(w, map[string]string{"spec": o.setting()})
}

func (o ownFitted) setting() string {
	text, err := json.Marshal(o.p.Spec())
	if err != nil {
		return ""
	}
	return string(text)
}

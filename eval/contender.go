package eval

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/rivals"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/table"
	"github.com/carrot-router/carrot/train"
)

// Contender is a router to be measured. [Predictor] and [Rivals] make those of
// this module; one of your own has a Name and a function Fit.
type Contender struct {
	// Name in the report.
	Name string
	// Embedder makes the vectors that the router sees. Nil: Options.Embedder.
	Embedder carrot.Embedder
	// Fit fits a router on the given rows of a table and returns it. It must
	// not look at other rows, and what it returns must know the models of the
	// table. progress can be told in words what is being done.
	Fit func(ctx context.Context, t *table.Table, rows []int, progress func(doing string)) (carrot.Predictor, error)
	// Fitted, in place of Fit, is a router that was trained before. It answers
	// all measured rows.
	Fitted carrot.Predictor
	// TrainedOn has the names or fingerprints of the data sets that Fitted was
	// trained on, so that a report can say where its figures are optimistic.
	TrainedOn []string

	own method // of this module's own
}

// Predictor returns a contender that fits a predictor of this module, as
// [train.Fit] does.
func Predictor(name string, spec predict.Spec) Contender {
	return Contender{Name: name, own: own{spec}}
}

// method is how a contender is fitted.
type method interface {
	// key names everything that a fit depends on beside the data. Empty: fits
	// cannot be kept.
	key() string
	// weight is about how long a fit takes, in units of the quickest.
	weight() float64
	// worth says what the forecast of quality is.
	worth() rivals.Worth
	fit(ctx context.Context, t *table.Table, rows []int, progress func(string)) (fitted, error)
	load(t *table.Table, r io.Reader) (fitted, error)
}

// fitted is a router after a fit.
type fitted interface {
	save(w io.Writer) error
	// setting names the hyperparameters that were chosen.
	setting() string
	// answer writes to e what the router chooses on the rows.
	answer(e *entry, rows []int, variants [][]carrot.Representation) error
}

// method is nil for a contender that has nothing to answer with.
func (c *Contender) method() method {
	switch {
	case c.own != nil:
		return c.own
	case c.Fitted != nil:
		return custom{func(context.Context, *table.Table, []int, func(string)) (carrot.Predictor, error) {
			return c.Fitted, nil
		}, 1}
	case c.Fit != nil:
		return custom{c.Fit, 10}
	}
	return nil
}

// custom is a router that this module knows nothing of.
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
	return predictor{p}, nil
}

func (c custom) load(*table.Table, io.Reader) (fitted, error) { return nil, errNotKept }

// predictor is any fitted predictor.
type predictor struct{ carrot.Predictor }

func (p predictor) save(io.Writer) error { return errNotKept }
func (p predictor) setting() string      { return "" }

func (p predictor) answer(e *entry, rows []int, variants [][]carrot.Representation) error {
	return e.predict(p.Predictor, rows, variants)
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
		return nil, err
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

package rivals

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/nearest"
	"github.com/carrot-router/carrot/internal/parallel"
	"gonum.org/v1/gonum/blas/blas32"
)

// Data is what a rival is fitted on: n queries and the outcomes of M models on
// them, row-major n×M, NaN where not observed.
type Data struct {
	Models []string
	X      []carrot.Representation // n
	Score  []float64               // in [0,1]
	// OutputTokens of a model are all NaN if its costs do not follow from
	// them: then costs are forecast.
	OutputTokens []float64
	CostUSD      []float64 // what the call cost
	Hash         []uint64  // n, equal for equal prompts; if nil, the row numbers serve
	Seed         uint64
	// PredictedCost returns the cost in USD that a forecast for model j on
	// query i means. A method with several settings needs it to compare them.
	PredictedCost func(i, j int, f *carrot.Forecast) float64

	dense               blas32.General // n×d, made by prepare
	complete            []int          // rows on which all models have score and cost
	meanScore, meanCost []float64      // M, see means
	meanTokens          []float64      // M, see means
}

// Worth says what a rival's forecast of quality means.
type Worth string

// The kinds of worth. Only a quality can be calibrated and compared with scores.
const (
	Quality Worth = "quality"
	WinRate Worth = "win rate"
	Share   Worth = "share"
	// Setting is that of a router that only says which model it chooses at each
	// of its settings.
	Setting Worth = "setting"
)

// Method is a rival and the settings that are tried.
type Method struct {
	Name  string
	Worth Worth
	Fast  bool // part of "fast"
	// Weight is about how long fitting takes, relative to the fastest method.
	Weight int
	// Features is the embedder of a rival that brings its own. It is nil for
	// rivals that use the evaluation's.
	Features carrot.Embedder
	trials   func(models int) []model // at most eight settings, the authors' first
}

// model is a method at one setting, a pointer to a struct. Fitted state is in exported
// fields, which save writes.
type model interface {
	// String names the setting.
	String() string
	fit(ctx context.Context, d *Data) error
	// forecast writes one forecast a model. It allocates nothing once w has grown.
	forecast(x *carrot.Representation, w *workspace, out []carrot.Forecast) (abstained bool)
}

// workspace is the memory that one forecast needs.
type workspace struct {
	similarity, a, b []float32
	sum, count       []float64
	near             nearest.Heap
}

// Router is a fitted rival. It implements carrot.Predictor.
type Router struct {
	state
	scratch sync.Pool
}

// state is what is saved of a router.
type state struct {
	Method  string
	Setting string // the one chosen
	Columns []string
	Dim     int
	Fitted  model
}

var _ carrot.Predictor = (*Router)(nil)

// ErrNotFitted is returned by the zero Router.
var ErrNotFitted = errors.New("rival is not fitted")

// Setting names the hyperparameters that were chosen.
func (r *Router) Setting() string { return r.state.Setting }

// Models names the columns of a prediction.
func (r *Router) Models() []string { return r.Columns }

// Predict implements carrot.Predictor.
func (r *Router) Predict(x []carrot.Representation, dst []carrot.Prediction) error {
	if r.Fitted == nil {
		return ErrNotFitted
	}
	if len(x) != len(dst) {
		return fmt.Errorf("predict: %d representations for %d predictions", len(x), len(dst))
	}
	for i := range x {
		if err := checkDense(x[i].Dense, r.Dim); err != nil {
			return fmt.Errorf("predict: query %d: %w", i, err)
		}
	}
	if len(x) == 1 { // the hot path: no goroutines
		r.forecast(x, dst)
		return nil
	}
	parallel.Ranges(len(x), func(lo, hi int) { r.forecast(x[lo:hi], dst[lo:hi]) })
	return nil
}

func (r *Router) forecast(x []carrot.Representation, dst []carrot.Prediction) {
	w, ok := r.scratch.Get().(*workspace)
	if !ok {
		w = &workspace{}
	}
	for i := range x {
		p := &dst[i]
		p.Forecasts = slices.Grow(p.Forecasts[:0], len(r.Columns))[:len(r.Columns)]
		clear(p.Forecasts)
		p.Novelty = 0
		p.Abstained = r.Fitted.forecast(&x[i], w, p.Forecasts)
	}
	r.scratch.Put(w)
}

// Save writes the fitted router. What Load reads predicts the same bits.
func (r *Router) Save(w io.Writer) error {
	if r.Fitted == nil {
		return ErrNotFitted
	}
	name := kind(r.Fitted)
	return save(w, &r.Method, &r.state.Setting, &r.Columns, &r.Dim, &name, r.Fitted)
}

// Load reads a router that Save wrote in the same build of the program.
func Load(in io.Reader) (*Router, error) {
	file, err := saved(in)
	if err != nil {
		return nil, fmt.Errorf("load rival: %w", err)
	}
	r := &Router{}
	var name string
	if err := file.read(&r.Method, &r.state.Setting, &r.Columns, &r.Dim, &name); err != nil {
		return nil, fmt.Errorf("load rival: %w", err)
	}
	r.Fitted = newModel(name)
	if r.Fitted == nil || len(r.Columns) == 0 {
		return nil, errors.New("load rival: the file holds no fitted rival")
	}
	if err := file.read(r.Fitted); err != nil {
		return nil, fmt.Errorf("load rival: %w", err)
	}
	return r, nil
}

func checkDense(x []float32, dim int) error {
	if len(x) != dim {
		return fmt.Errorf("dense vector of length %d, want %d", len(x), dim)
	}
	var sum float32
	for _, v := range x {
		sum += v * v
	}
	if s := float64(sum); math.IsNaN(s) || math.IsInf(s, 0) {
		return errors.New("vector holds a number that is not finite")
	}
	return nil
}

// prepare checks the data and computes what all methods need.
func (d *Data) prepare() error {
	n, m := len(d.X), len(d.Models)
	if n == 0 || m == 0 {
		return errors.New("fit: no queries or no models")
	}
	for _, table := range [][]float64{d.Score, d.OutputTokens, d.CostUSD} {
		if len(table) != n*m {
			return fmt.Errorf("fit: outcomes are not %d×%d", n, m)
		}
	}
	dim := len(d.X[0].Dense)
	d.dense = blas32.General{Rows: n, Cols: dim, Stride: max(dim, 1), Data: make([]float32, n*dim)}
	for i := range d.X {
		if err := checkDense(d.X[i].Dense, dim); err != nil {
			return fmt.Errorf("fit: query %d: %w", i, err)
		}
		copy(d.dense.Data[i*dim:], d.X[i].Dense)
	}
	d.complete = d.complete[:0]
	for i := range n {
		if d.isComplete(i) {
			d.complete = append(d.complete, i)
		}
	}
	d.meanScore, d.meanCost = d.means(d.Score), d.means(d.CostUSD)
	d.meanTokens = d.means(d.OutputTokens)
	for j, name := range d.Models {
		if math.IsNaN(d.meanScore[j]) {
			return fmt.Errorf("fit: model %q has no scores among the training queries", name)
		}
		if math.IsNaN(d.meanCost[j]) {
			return fmt.Errorf("fit: model %q has no costs among the training queries", name)
		}
	}
	return nil
}

func (d *Data) isComplete(i int) bool {
	m := len(d.Models)
	for j := range m {
		if math.IsNaN(d.Score[i*m+j]) || math.IsNaN(d.CostUSD[i*m+j]) {
			return false
		}
	}
	return true
}

// means returns each model's mean over the complete rows or, if less than half
// of the rows are complete, over those observed. It is NaN for a model without
// any.
func (d *Data) means(table []float64) []float64 {
	m := len(d.Models)
	sum, count := make([]float64, m), make([]float64, m)
	add := func(i int) {
		for j, v := range table[i*m:][:m] {
			if !math.IsNaN(v) {
				sum[j], count[j] = sum[j]+v, count[j]+1
			}
		}
	}
	if 2*len(d.complete) >= len(d.X) {
		for _, i := range d.complete {
			add(i)
		}
	} else {
		for i := range d.X {
			add(i)
		}
	}
	for j := range sum {
		sum[j] /= count[j]
	}
	return sum
}

// subset is the data of the given rows, prepared.
func (d *Data) subset(rows []int) (*Data, error) {
	m := len(d.Models)
	s := &Data{Models: d.Models, Seed: d.Seed}
	for _, i := range rows {
		s.X, s.Hash = append(s.X, d.X[i]), append(s.Hash, d.hash(i))
		s.Score = append(s.Score, d.Score[i*m:][:m]...)
		s.OutputTokens = append(s.OutputTokens, d.OutputTokens[i*m:][:m]...)
		s.CostUSD = append(s.CostUSD, d.CostUSD[i*m:][:m]...)
	}
	return s, s.prepare()
}

func (d *Data) hash(i int) uint64 {
	if d.Hash == nil {
		return uint64(i)
	}
	return d.Hash[i]
}

// forecastsCosts reports whether a rival that could forecast tokens has to
// forecast costs: some model has no tokens.
func (d *Data) forecastsCosts() bool { return slices.ContainsFunc(d.meanTokens, math.IsNaN) }

// Parse returns the methods in a list of names, separated by commas. "all" and
// "fast" stand for several.
func Parse(names string) ([]Method, error) {
	var out []Method
	for name := range strings.SplitSeq(names, ",") {
		var found []Method
		for _, m := range all {
			if m.Name == name || name == "all" || name == "fast" && m.Fast {
				found = append(found, m)
			}
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("unknown rival %q: want all, fast or some of %s", name, strings.Join(Names(), ", "))
		}
		for _, m := range found {
			if !slices.ContainsFunc(out, func(o Method) bool { return o.Name == m.Name }) {
				out = append(out, m)
			}
		}
	}
	return out, nil
}

// Names lists the rivals' names.
func Names() []string {
	var names []string
	for _, m := range all {
		names = append(names, m.Name)
	}
	return names
}

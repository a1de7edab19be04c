package predict

import (
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/carrot-router/carrot/internal/safetensors"
)

// Write writes the fitted state and the given metadata, which must be valid
// UTF-8, to w in the safetensors format. Equal predictors and metadata give
// equal bytes. The arguments of [File.Predictor] are not part of the state: put
// them into the metadata or keep them elsewhere. Of the out-of-fold predictions
// of Fit, it writes [Predictor.Holdout]. It returns ErrNotFitted before Fit.
func (p *Predictor) Write(w io.Writer, metadata map[string]string) error {
	if p.learner == nil {
		return ErrNotFitted
	}
	out := &tensors{}
	p.learner.save(out, p.spec.Name+".")
	p.head.save(out, "head.")
	p.novelty.save(out, "novelty.")
	if p.plans != nil {
		p.plans.save(out, p.spec.Name)
	}
	saveHoldout(out, p.holdout)
	return safetensors.Write(w, metadata, out.list)
}

// File is what [Predictor.Write] wrote: metadata and the state of a predictor.
type File struct{ file *safetensors.File }

// Parse reads a file from memory; data must not change while the File is in
// use. It checks the layout of the file; [File.Predictor] checks its content.
func Parse(data []byte) (*File, error) {
	file, err := safetensors.Parse(data)
	if err != nil {
		return nil, err
	}
	return &File{file}, nil
}

// Metadata returns a copy of the metadata that Write was given.
func (f *File) Metadata() map[string]string { return f.file.Metadata() }

// Predictor returns the predictor in the file, whose predictions are those of
// the one written, to the last bit. spec and models are that predictor's Spec
// and Models; dense is the length of the dense vectors it was fitted on. Every
// shape, index and number is checked, and an error names the tensor at fault.
func (f *File) Predictor(spec Spec, models []string, dense int) (*Predictor, error) {
	learner, err := newLearner(spec)
	if err != nil {
		return nil, err
	}
	if len(models) == 0 {
		return nil, fmt.Errorf("predictor %s has no models", spec.Name)
	}
	in := &tensors{file: f.file, models: len(models), dense: dense}
	var plans []string // the last names
	if _, ok := f.file.Tensor(plansScores); ok {
		n := in.rows(plansScores)
		if n < 1 || n >= len(models) {
			return nil, fmt.Errorf("tensor %s: %d plans among %d columns", plansScores, n, len(models))
		}
		models, plans = models[:len(models)-n], models[len(models)-n:]
		in.models = len(models)
	}
	if _, ok := f.file.Tensor(addedUnsure); ok {
		learner = &added{base: learner}
	}
	p := &Predictor{spec: spec, models: models, dense: dense, learner: learner}
	if err := learner.load(in, spec.Name+"."); err != nil {
		return nil, err
	}
	if err := p.head.load(in, "head."); err != nil {
		return nil, err
	}
	if err := p.novelty.load(in, "novelty."); err != nil {
		return nil, err
	}
	if plans != nil {
		l, err := loadPlans(in, plans, learner, spec.Name)
		if err != nil {
			return nil, err
		}
		p.plans = l.named(models)
	}
	if p.holdout, err = loadHoldout(in, models); err != nil {
		return nil, err
	}
	return p, nil
}

// tensors collects the tensors to save, or reads and checks those to load. The
// first error sticks.
type tensors struct {
	list []safetensors.Tensor

	file          *safetensors.File
	models, dense int
	sides         []int // of the targets, as those of a problem; nil: those of models
	err           error
}

// targets is the number of targets of the learner to load.
func (t *tensors) targets() int {
	if t.sides != nil {
		return len(t.sides)
	}
	return targetsOf(t.models)
}

func (t *tensors) float32s(name string, v []float32, shape ...int) {
	t.list = append(t.list, safetensors.FromFloat32(name, v, shape...))
}

// float16sOr32s saves numbers in 16 bits if that keeps them as they are.
func (t *tensors) float16sOr32s(name string, v []float32, shape ...int) {
	if slices.ContainsFunc(v, func(x float32) bool { return safetensors.Half(x) != x }) {
		t.float32s(name, v, shape...)
		return
	}
	t.list = append(t.list, safetensors.FromFloat16(name, v, shape...))
}

func (t *tensors) float64s(name string, v []float64, shape ...int) {
	t.list = append(t.list, safetensors.FromFloat64(name, v, shape...))
}

func (t *tensors) int32s(name string, v []int32, shape ...int) {
	t.list = append(t.list, safetensors.FromInt32(name, v, shape...))
}

func (t *tensors) uint32s(name string, v []uint32, shape ...int) {
	t.list = append(t.list, safetensors.FromUint32(name, v, shape...))
}

func (t *tensors) uint8s(name string, v []uint8, shape ...int) {
	t.list = append(t.list, safetensors.FromUint8(name, v, shape...))
}

func (t *tensors) uint16s(name string, v []uint16, shape ...int) {
	t.list = append(t.list, safetensors.FromUint16(name, v, shape...))
}

func (t *tensors) getUint8s(name string, shape ...int) []uint8 {
	if t.err != nil {
		return nil
	}
	v, err := t.file.Bytes(name, safetensors.U8, shape...)
	t.err = err
	return v
}

func (t *tensors) getUint16s(name string, shape ...int) []uint16 {
	if t.err != nil {
		return nil
	}
	v, err := t.file.Uint16s(name, shape...)
	t.err = err
	return v
}

func (t *tensors) getUint32s(name string, shape ...int) []uint32 {
	if t.err != nil {
		return nil
	}
	v, err := t.file.Uint32s(name, shape...)
	t.err = err
	return v
}

func (t *tensors) fail(name, why string) {
	if t.err == nil {
		t.err = fmt.Errorf("tensor %s: %s", name, why)
	}
}

func (t *tensors) getFloat32sOrNaN(name string, shape ...int) []float32 {
	if t.err != nil {
		return nil
	}
	v, err := t.file.Float32s(name, shape...)
	t.err = err
	return v
}

func (t *tensors) getFloat32s(name string, shape ...int) []float32 {
	v := t.getFloat32sOrNaN(name, shape...)
	for _, x := range v {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			t.fail(name, "holds a number that is not finite")
			return nil
		}
	}
	return v
}

func (t *tensors) getFloat64s(name string, shape ...int) []float64 {
	if t.err != nil {
		return nil
	}
	v, err := t.file.Float64s(name, shape...)
	t.err = err
	for _, x := range v {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			t.fail(name, "holds a number that is not finite")
			return nil
		}
	}
	return v
}

// getIndices reads integers in [low,high).
func (t *tensors) getIndices(name string, low, high int, shape ...int) []int32 {
	if t.err != nil {
		return nil
	}
	v, err := t.file.Int32s(name, shape...)
	t.err = err
	for _, x := range v {
		if int(x) < low || int(x) >= high {
			t.fail(name, fmt.Sprintf("index %d is outside [%d,%d)", x, low, high))
			return nil
		}
	}
	return v
}

// rows returns the first dimension of a tensor, 0 if there is none.
func (t *tensors) rows(name string) int {
	tensor, ok := t.file.Tensor(name)
	if !ok || len(tensor.Shape) == 0 {
		t.fail(name, "is missing")
		return 0
	}
	return tensor.Shape[0]
}

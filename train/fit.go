package train

import (
	"context"
	"strings"

	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/table"
)

// Fit fits a predictor on the given rows of a table. If spec does not name the
// parts of a blend, nearest neighbours are added for vectors of an encoder, on
// which they help. If it does not set the caution of a blend, one is chosen by
// leaving sources out. Progress, if not nil, is called with what is done next, in
// words.
func Fit(ctx context.Context, t *table.Table, rows []int, spec predict.Spec, progress func(string)) (*predict.Predictor, error) {
	if progress == nil {
		progress = func(string) {}
	}
	if spec.Name == "blend" && spec.Parts == "" && !strings.HasPrefix(t.Embedder, "static@") {
		spec.Parts = "kernel+sparse+knn"
	}
	p := predict.New(spec)
	if err := p.Fit(ctx, t.Data(rows), progress); err != nil {
		return nil, err
	}
	if spec.Name == "blend" && spec.Caution == 0 {
		progress("choosing the caution")
		caution, err := chooseCaution(ctx, t, p, rows)
		if err != nil {
			return nil, err
		}
		if err := p.SetCaution(caution); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// steps counts the calls of progress that Run makes.
func steps(spec predict.Spec, embedder string) int {
	n := 4 // embedding, out-of-fold predictions, the fit and the figures
	switch {
	case spec.Name == "mean":
	case spec.Name != "blend":
		n++ // its settings
	case spec.Parts != "":
		n += 1 + strings.Count(spec.Parts, "+")
	case strings.HasPrefix(embedder, "static@"):
		n += 2 // kernel and sparse
	default:
		n += 3
	}
	if spec.Name == "blend" && spec.Caution == 0 {
		n++
	}
	return n
}

package train

import (
	"context"
	"fmt"
	"strings"

	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/table"
)

// Fit fits a predictor on the given rows of a table. If spec does not name the
// parts of a blend, nearest neighbours are added for vectors of an encoder, on
// which they help. If it does not set the caution of a blend, one is chosen by
// leaving sources out. Progress, if not nil, is called with what is being done, in
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
		caution, err := chooseCaution(ctx, t, p, rows, progress)
		if err != nil {
			return nil, err
		}
		progress(fmt.Sprintf("caution %g", caution))
		if err := p.SetCaution(caution); err != nil {
			return nil, err
		}
	}
	return p, nil
}

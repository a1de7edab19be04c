package importer

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/dataset"
)

// routerBenchCost is the suffix after a model's name in the column of its costs.
const routerBenchCost = "|total_cost"

const hintRouterBench = "RouterBench has the columns sample_id, prompt and eval_name, and for each model M its score in M and its cost in M" + routerBenchCost

// importRouterBench reads RouterBench (Hugging Face withmartian/routerbench): a
// table that pandas 1 or 2 pickled, or that is Parquet or CSV, or a folder of such
// files. It has the columns sample_id, prompt and eval_name, and for every model M
// its score in M and the cost of the call in USD in M|total_cost; every M with
// such a column is a model. M|model_response and oracle_model_to_route_to are not
// read. There are no tokens.
//
// The id of a query is its sample_id, its source is the eval_name, and its split
// is that of its prompt. Many prompts of RouterBench are the text of a Python list
// of messages or turns, ['…', '…'], and are kept unchanged. NaN and None are not
// observed. The tables for 0 and 5 shots have the same ids with different
// prompts, so each must be imported into its own folder.
func importRouterBench(ctx context.Context, src string, im *importer) error {
	paths, err := sourceFiles(src, "pickle, Parquet or CSV file", isTable)
	if err != nil {
		return err
	}
	im.report.IDs = "sample_id"
	for _, path := range paths {
		f := &routerBenchFile{im: im, path: path}
		hooks := im.hooks()
		hooks.columns = f.columns
		if err := scanTable(ctx, path, hooks, f.row); err != nil {
			return err
		}
	}
	return nil
}

// routerBenchFile is one file of RouterBench.
type routerBenchFile struct {
	im       *importer
	path     string
	models   []string
	outcomes []dataset.Outcome // of the current row
}

// columns chooses the columns to read: the three of the query, then the score
// and the cost of every model.
func (f *routerBenchFile) columns(all []string) ([]string, error) {
	want := []string{"sample_id", "prompt", "eval_name"}
	missing := func(name string) error {
		return &dataset.FormatError{File: f.path, Field: name, Reason: "the column is missing", Hint: hintRouterBench}
	}
	for _, name := range want {
		if !slices.Contains(all, name) {
			return nil, missing(name)
		}
	}
	for _, name := range all {
		model, isCost := strings.CutSuffix(name, routerBenchCost)
		if !isCost {
			continue
		}
		if reason := checkModel(model); reason != "" {
			return nil, &dataset.FormatError{File: f.path, Field: name, Reason: "the name of the model " + reason, Hint: hintRouterBench}
		}
		if !slices.Contains(all, model) {
			return nil, missing(model)
		}
		f.models = append(f.models, model)
		want = append(want, model, name)
	}
	if len(f.models) == 0 {
		return nil, &dataset.FormatError{File: f.path, Reason: "no column is named MODEL" + routerBenchCost, Hint: hintRouterBench}
	}
	return want, nil
}

// row imports one row, whose values are in the order that columns returned.
func (f *routerBenchFile) row(n int64, r *record) error {
	where := place{f.path, n}
	q := dataset.Query{ID: r.values[0], Prompt: r.values[1], Source: r.values[2]}
	f.outcomes = f.outcomes[:0]
	for j, model := range f.models {
		o := dataset.NewOutcome(q.ID, model)
		at := 3 + 2*j
		for k, field := range []string{fieldScore, dataset.ColumnCostUSD} {
			x, reason := r.number(at+k, field)
			if reason != "" {
				return f.im.reject(where, r.columns[at+k], reason)
			}
			*value(&o, field) = x
		}
		f.outcomes = append(f.outcomes, o)
	}
	return f.im.add(where, q, f.outcomes, routerBenchColumn)
}

// number reads value i as one of outcomeFields. A value that is not present is
// NaN, and so is a text that programs write for a missing value.
func (r *record) number(i int, field string) (float64, string) {
	if !r.present[i] {
		return math.NaN(), ""
	}
	switch r.values[i] {
	case "NaN", "nan", "None", "null", "<NA>":
		return math.NaN(), ""
	}
	return observed(field, r.values[i])
}

// routerBenchColumn returns the column that holds a field of the common form.
func routerBenchColumn(field, model string) string {
	switch field {
	case "id":
		return "sample_id"
	case "source":
		return "eval_name"
	case fieldScore:
		return model
	case dataset.ColumnCostUSD:
		return model + routerBenchCost
	}
	return ""
}

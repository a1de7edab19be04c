package dataset

import (
	"context"
	"math"
	"slices"
	"strings"
)

// routerBenchCost follows a model's name in the column of its costs.
const routerBenchCost = "|total_cost"

const hintRouterBench = "RouterBench has the columns sample_id, prompt and eval_name, and for each model M its score in M and its cost in M" + routerBenchCost

// importRouterBench reads RouterBench (Hugging Face withmartian/routerbench): a
// table as pandas 1 or 2 pickled it, or as Parquet or CSV, or a folder of such
// files. It has the columns sample_id, prompt and eval_name, and for every
// model M its score in M and the cost of the call in USD in M|total_cost; any M
// with such a companion is a model. M|model_response and
// oracle_model_to_route_to are not read. Tokens are not given.
//
// The id of a query is its sample_id, its source the eval_name, and its split
// goes by the prompt. Many prompts of RouterBench are the text of a Python list
// of messages or turns, ['…', '…']: they are kept as they are given. NaN and
// None are not observed. The tables of 0 and 5 shots give the same ids to
// other prompts: import them one by one.
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
	outcomes []Outcome // of one row
}

// columns chooses the columns to read: the three of the query, then score and
// cost of every model.
func (f *routerBenchFile) columns(all []string) ([]string, error) {
	want := []string{"sample_id", "prompt", "eval_name"}
	missing := func(name string) error {
		return &FormatError{File: f.path, Field: name, Reason: "the column is missing", Hint: hintRouterBench}
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
		if reason := checkName(model); reason != "" {
			return nil, &FormatError{File: f.path, Field: name, Reason: "the name of the model " + reason, Hint: hintRouterBench}
		}
		if !slices.Contains(all, model) {
			return nil, missing(model)
		}
		f.models = append(f.models, model)
		want = append(want, model, name)
	}
	if len(f.models) == 0 {
		return nil, &FormatError{File: f.path, Reason: "no column has a companion that ends in " + routerBenchCost, Hint: hintRouterBench}
	}
	return want, nil
}

// row imports one row, read as columns asked for.
func (f *routerBenchFile) row(n int64, r *record) error {
	where := place{f.path, n}
	q := Query{ID: r.values[0], Prompt: r.values[1], Source: r.values[2]}
	f.outcomes = f.outcomes[:0]
	for j, model := range f.models {
		o := NewOutcome(q.ID, model)
		at := 3 + 2*j
		for k, to := range []*float64{&o.Score, &o.CostUSD} {
			col := [...]int{colScore, colCost}[k]
			var reason string
			if *to, reason = r.number(at+k, col); reason != "" {
				return f.im.reject(where, r.columns[at+k], reason)
			}
		}
		f.outcomes = append(f.outcomes, o)
	}
	return f.im.add(where, q, f.outcomes, routerBenchColumn)
}

// number reads value i as column col of outcomes.csv. What programs write for a
// value that is missing is NaN, as is a value that is not present.
func (r *record) number(i, col int) (float64, string) {
	if !r.present[i] {
		return math.NaN(), ""
	}
	switch r.values[i] {
	case "NaN", "nan", "None", "null", "<NA>":
		return math.NaN(), ""
	}
	return observed(col, r.values[i])
}

// routerBenchColumn is the column that holds a field of the common form.
func routerBenchColumn(field, model string) string {
	switch field {
	case "id":
		return "sample_id"
	case "source":
		return "eval_name"
	case "score":
		return model
	case ColumnCostUSD:
		return model + routerBenchCost
	}
	return ""
}

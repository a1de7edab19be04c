package importer

import (
	"cmp"
	"context"
	"crypto/md5"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/dataset"
)

// importTable reads a table of the user's own with the columns that
// [Options.Columns] names. The ending of its name says whether it is CSV, JSON
// lines or Parquet.
func importTable(ctx context.Context, src string, im *importer) error {
	t := &tableImport{im: im, path: src}
	if err := t.plan(im.opt.Columns); err != nil {
		return err
	}
	hooks := im.hooks()
	hooks.columns = t.header
	im.report.IDs = cmp.Or(im.opt.Columns["id"], "id, or the hash of the prompt")
	switch {
	case hasEnding(src, ".csv"):
		return scanCSV(ctx, src, hooks, t.row)
	case strings.HasSuffix(strings.ToLower(src), ".parquet"):
		return scanParquet(ctx, src, hooks, t.row)
	case hasEnding(src, ".jsonl", ".ndjson", ".json"):
		return t.lines(ctx, hooks)
	}
	return &dataset.FormatError{File: src, Reason: "is not named .csv, .jsonl, .json or .parquet", Hint: "the kind of table is read from the ending of the file's name"}
}

// tableImport is the import of one table.
type tableImport struct {
	im      *importer
	path    string
	columns map[string]string // by field of the query; in a long table also by "model"
	models  []tableModel      // in a long table one without a name
}

// tableModel says which columns hold the outcomes of a model. A long table has
// one row for each query and model, a wide table columns for each model.
type tableModel struct {
	name    string
	columns map[string]string // by outcome field
}

// plan sets the columns to read from the mapping. A field that is not mapped is
// looked for in the column of its own name.
func (t *tableImport) plan(mapping map[string]string) error {
	if err := checkTargets(mapping); err != nil {
		return err
	}
	t.columns = make(map[string]string)
	long := tableModel{columns: make(map[string]string)}
	for _, field := range append(slices.Clone(queryFields), "model") {
		t.columns[field] = cmp.Or(mapping[field], field)
	}
	for _, field := range outcomeFields {
		long.columns[field] = cmp.Or(mapping[field], field)
	}
	for _, target := range slices.Sorted(maps.Keys(mapping)) {
		field, model, wide := strings.Cut(target, ":")
		if !wide {
			continue
		}
		at := slices.IndexFunc(t.models, func(m tableModel) bool { return m.name == model })
		if at < 0 {
			at, t.models = len(t.models), append(t.models, tableModel{model, make(map[string]string)})
		}
		t.models[at].columns[field] = mapping[target]
	}
	if len(t.models) == 0 {
		t.models = []tableModel{long}
		return nil
	}
	delete(t.columns, "model")
	for _, target := range append(slices.Clone(outcomeFields), "model") {
		if mapping[target] != "" {
			return &dataset.FormatError{File: t.path, Field: target, Reason: "is mapped, and so are columns of single models (FIELD:MODEL)",
				Hint: "a table has either one row for each query and model, or columns for each model"}
		}
	}
	return nil
}

// header chooses which of all columns to read.
func (t *tableImport) header(all []string) ([]string, error) {
	var want []string
	use := func(column string) {
		if column != "" && slices.Contains(all, column) && !slices.Contains(want, column) {
			want = append(want, column)
		}
	}
	for _, field := range append(slices.Clone(queryFields), "model") {
		use(t.columns[field])
	}
	observed := false
	for _, m := range t.models {
		for _, field := range outcomeFields {
			column := m.columns[field]
			use(column)
			observed = observed || column != "" && slices.Contains(all, column)
		}
	}
	for _, column := range t.required() {
		if !slices.Contains(all, column) {
			return nil, t.missing(column, all)
		}
	}
	if !observed {
		return nil, t.missing("score", all)
	}
	return want, nil
}

// required lists the columns that the table must have: those of the mapping,
// that of the prompt and, in a long table, that of the model.
func (t *tableImport) required() []string {
	columns := []string{t.columns["prompt"]}
	if model := t.columns["model"]; model != "" {
		columns = append(columns, model)
	}
	for _, target := range slices.Sorted(maps.Keys(t.im.opt.Columns)) {
		columns = append(columns, t.im.opt.Columns[target])
	}
	return columns
}

func (t *tableImport) missing(column string, all []string) error {
	const most = 50
	names := slices.Clone(all[:min(len(all), most)])
	for i, name := range names {
		if len(name) > most {
			names[i] = strings.ToValidUTF8(name[:most], "") + "…"
		}
	}
	reason := "the column is missing; the columns are " + strings.Join(names, ", ")
	if len(all) > most {
		reason += ", …"
	}
	return &dataset.FormatError{File: t.path, Field: column, Reason: reason, Hint: "map it: --column " + t.targetOf(column) + "=COLUMN"}
}

// targetOf returns the field that a column is mapped to.
func (t *tableImport) targetOf(column string) string {
	for _, target := range slices.Sorted(maps.Keys(t.im.opt.Columns)) {
		if t.im.opt.Columns[target] == column {
			return target
		}
	}
	return column
}

// lines imports JSON lines. Each line has its own fields: the columns of the
// mapping must be in at least one line, those of prompt and model in the first.
func (t *tableImport) lines(ctx context.Context, hooks scanHooks) error {
	seen := make(map[string]bool)
	err := scanJSONL(ctx, t.path, hooks, func(row int64, r *record) error {
		first := len(seen) == 0
		for _, column := range r.columns {
			if len(seen) < 1<<16 {
				seen[column] = true
			}
		}
		if first {
			for _, field := range []string{"prompt", "model"} {
				if column := t.columns[field]; column != "" && !seen[column] {
					return t.missing(column, slices.Sorted(maps.Keys(seen)))
				}
			}
		}
		return t.row(row, r)
	})
	if err != nil {
		return err
	}
	for _, column := range t.required() {
		if !seen[column] && len(seen) < 1<<16 {
			return t.missing(column, slices.Sorted(maps.Keys(seen)))
		}
	}
	return nil
}

// row imports one row, which is about one model or about all.
func (t *tableImport) row(n int64, r *record) error {
	where := place{t.path, n}
	get := func(field string) string {
		text, _ := r.get(t.columns[field])
		return text
	}
	q := dataset.Query{ID: get("id"), Source: get("source"), Prompt: get("prompt"), Split: dataset.Split(get("split"))}
	if split := splitOfWord(strings.ToLower(string(q.Split))); split != "" {
		q.Split = split
	}
	if q.ID == "" && t.im.opt.Columns["id"] == "" {
		sum := md5.Sum([]byte(q.Prompt))
		q.ID = hex.EncodeToString(sum[:8])
	}
	outcomes := make([]dataset.Outcome, 0, len(t.models))
	for _, m := range t.models {
		o := dataset.NewOutcome("", cmp.Or(m.name, get("model")))
		for _, field := range outcomeFields {
			column := m.columns[field]
			text, ok := r.get(column)
			if !ok {
				continue
			}
			x, reason := observed(field, text)
			if reason != "" {
				return t.im.reject(where, column, reason)
			}
			*value(&o, field) = x
		}
		outcomes = append(outcomes, o)
	}
	return t.im.add(where, q, outcomes, func(field, _ string) string { return t.columns[field] })
}

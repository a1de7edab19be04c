package dataset

import (
	"cmp"
	"context"
	"crypto/md5"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
)

// importTable reads a table of one's own, CSV, JSON lines or Parquet by the
// ending of its name, with the columns that [ImportOptions.Columns] names.
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
	return &FormatError{File: src, Reason: "is not named .csv, .jsonl, .json or .parquet", Hint: "the kind of table is read from the file's name"}
}

// tableImport is the import of one table.
type tableImport struct {
	im      *importer
	path    string
	columns map[string]string // of each field of the query; for a long table of the model too
	models  []tableModel      // one of no name for a long table
}

// tableModel is where the outcomes of a model stand.
type tableModel struct {
	name    string
	columns [numCols]string // "" where not observed
}

// queryFields are the targets that describe a query.
var queryFields = []string{"id", "prompt", "source", "split"}

func outcomeFields() (fields []string) {
	for col := range numCols {
		fields = append(fields, columnName(col))
	}
	return fields
}

// plan takes the mapping apart. A field that is not mapped is looked for under
// its own name.
func (t *tableImport) plan(mapping map[string]string) error {
	if err := checkTargets(mapping); err != nil {
		return err
	}
	t.columns = make(map[string]string)
	long := tableModel{}
	for _, field := range append(slices.Clone(queryFields), "model") {
		t.columns[field] = cmp.Or(mapping[field], field)
	}
	for col := range numCols {
		long.columns[col] = cmp.Or(mapping[columnName(col)], columnName(col))
	}
	for _, target := range slices.Sorted(maps.Keys(mapping)) {
		field, model, wide := strings.Cut(target, ":")
		if !wide {
			continue
		}
		at := slices.IndexFunc(t.models, func(m tableModel) bool { return m.name == model })
		if at < 0 {
			at, t.models = len(t.models), append(t.models, tableModel{name: model})
		}
		t.models[at].columns[slices.Index(outcomeFields(), field)] = mapping[target]
	}
	if len(t.models) == 0 {
		t.models = []tableModel{long}
		return nil
	}
	delete(t.columns, "model")
	for _, target := range append(outcomeFields(), "model") {
		if mapping[target] != "" {
			return &FormatError{File: t.path, Field: target, Reason: "is mapped beside columns of single models (FIELD:MODEL)",
				Hint: "a table has either one row for each query and model, or one column for each model"}
		}
	}
	return nil
}

// header chooses the columns to read of those there are.
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
		for _, column := range m.columns {
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

// required lists the columns that must be there: those that are named by the
// mapping, the prompt's and, in a long table, the model's.
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
	there := slices.Clone(all[:min(len(all), most)])
	for i, name := range there {
		if len(name) > most {
			there[i] = strings.ToValidUTF8(name[:most], "") + "…"
		}
	}
	reason := "the column is missing: there are " + strings.Join(there, ", ")
	if len(all) > most {
		reason += ", …"
	}
	return &FormatError{File: t.path, Field: column, Reason: reason, Hint: "map it: --column " + t.targetOf(column) + "=COLUMN"}
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

// lines imports JSON lines, of which each has fields of its own: what the
// mapping names must be in one of them, what every query needs in the first.
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

// row imports one row: of one model, or of all.
func (t *tableImport) row(n int64, r *record) error {
	where := place{t.path, n}
	get := func(field string) string {
		text, _ := r.get(t.columns[field])
		return text
	}
	q := Query{ID: get("id"), Source: get("source"), Prompt: get("prompt"), Split: Split(get("split"))}
	if split := splitOfWord(strings.ToLower(string(q.Split))); split != "" {
		q.Split = split
	}
	if q.ID == "" && t.im.opt.Columns["id"] == "" {
		sum := md5.Sum([]byte(q.Prompt))
		q.ID = hex.EncodeToString(sum[:8])
	}
	outcomes := make([]Outcome, 0, len(t.models))
	for _, m := range t.models {
		o := NewOutcome("", cmp.Or(m.name, get("model")))
		values := o.values()
		for col, column := range m.columns {
			text, ok := r.get(column)
			if !ok {
				continue
			}
			var reason string
			if values[col], reason = observed(col, text); reason != "" {
				return t.im.reject(where, column, reason)
			}
		}
		o.setValues(values)
		outcomes = append(outcomes, o)
	}
	return t.im.add(where, q, outcomes, func(field, model string) string { return t.columns[field] })
}

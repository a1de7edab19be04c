package importer

import (
	"cmp"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/textfile"
)

// importTable reads a table of the user's own with the columns that
// [Options.Columns] names. The ending of its name says whether it is CSV, JSON
// lines or Parquet.
func importTable(ctx context.Context, src string, im *importer) error {
	t := &tableImport{im: im, path: src}
	if err := t.check(); err != nil {
		return err
	}
	hooks := im.hooks()
	hooks.columns = func(all []string) (want []string, err error) {
		if err := t.use(all); err != nil {
			return nil, err
		}
		want = slices.DeleteFunc(t.plan.columns(), func(column string) bool { return !slices.Contains(all, column) })
		return want, t.missing(all)
	}
	hooks.delimiter = t.delimiter
	im.report.IDs = cmp.Or(im.opt.Columns["id"], "id, or the hash of the prompt")
	switch {
	case hasEnding(src, ".csv", ".tsv"):
		return scanCSV(ctx, src, hooks, t.row)
	case strings.HasSuffix(strings.ToLower(src), ".parquet"):
		return scanParquet(ctx, src, hooks, t.row)
	case hasEnding(src, ".jsonl", ".ndjson", ".json"):
		return t.lines(ctx, hooks)
	}
	return &dataset.FormatError{File: src, Reason: "is not named .csv, .tsv, .jsonl, .json or .parquet", Hint: "the kind of table is read from the ending of the file's name"}
}

// tableImport is the import of one table.
type tableImport struct {
	im   *importer
	path string
	wide bool // the table has columns for each model, and not one row
	plan *tablePlan
}

// check checks the mapping and the delimiter.
func (t *tableImport) check() error {
	mapping := t.im.opt.Columns
	if err := checkTargets(mapping); err != nil {
		return err
	}
	if _, ok := delimiterOf(t.im.opt.Delimiter); !ok && t.im.opt.Delimiter != "" {
		return fmt.Errorf("import: unknown delimiter %s: want a comma, a semicolon, a | or tab", textfile.Quote(t.im.opt.Delimiter))
	}
	for target := range mapping {
		t.wide = t.wide || strings.Contains(target, ":")
	}
	for _, target := range append(slices.Clone(outcomeFields), "model") {
		if t.wide && mapping[target] != "" {
			return &dataset.FormatError{File: t.path, Field: target, Reason: "is mapped, and so are columns of single models (FIELD:MODEL)",
				Hint: "a table has either one row for each query and model, or columns for each model"}
		}
	}
	return nil
}

// delimiterOf reads the name of a delimiter.
func delimiterOf(name string) (delimiter byte, ok bool) {
	switch name {
	case ",", ";", "|", "\t":
		return name[0], true
	case "tab", `\t`:
		return '\t', true
	}
	return 0, false
}

// delimiter returns the delimiter that was set or else the one by which the header has
// the most of the columns that are needed, and then the most columns.
func (t *tableImport) delimiter(split func(delimiter byte) []string) byte {
	if d, ok := delimiterOf(t.im.opt.Delimiter); ok {
		return d
	}
	best, lacks, has := byte(','), 0, 0
	for _, d := range []byte{',', '\t', ';', '|'} {
		names := split(d)
		if names == nil || len(names) > maxColumns {
			continue
		}
		plan, _ := newTablePlan(names, t.im.opt.Columns, t.wide) // columns that are ambiguous are there
		missing := len(plan.missing(names, t.im.opt.Columns))
		if has == 0 || missing < lacks || missing == lacks && len(names) > has {
			best, lacks, has = d, missing, len(names)
		}
	}
	return best
}

// use plans to read a table with the given columns.
func (t *tableImport) use(all []string) error {
	plan, ambiguous := newTablePlan(all, t.im.opt.Columns, t.wide)
	if ambiguous != nil {
		return &dataset.FormatError{File: t.path, Field: ambiguous.field, Reason: "may be in any of the columns " + nameList(ambiguous.columns),
			Hint: "say which one: --column " + ambiguous.field + "=" + ambiguous.columns[0]}
	}
	t.plan = plan
	for field, column := range plan.found {
		if t.im.report.Columns == nil {
			t.im.report.Columns = make(map[string]string)
		}
		t.im.report.Columns[field] = column
	}
	return nil
}

// missing returns an error that names all columns that the table lacks, or nil.
func (t *tableImport) missing(all []string) error {
	return t.lacks(t.plan.missing(all, t.im.opt.Columns), all)
}

// lacks returns an error that names the targets whose columns are missing.
func (t *tableImport) lacks(targets []string, all []string) error {
	if len(targets) == 0 {
		return nil
	}
	var columns, hints []string
	for _, target := range targets {
		if column := cmp.Or(t.im.opt.Columns[target], target); !slices.Contains(columns, column) {
			columns = append(columns, column)
		}
		hints = append(hints, "--column "+target+"=COLUMN")
	}
	reason, hint := "the column is missing", "map it: "
	if len(columns) > 1 {
		reason, hint = "the columns are missing", "map them: "
	}
	return &dataset.FormatError{File: t.path, Field: nameList(columns), Reason: reason + "; the columns are " + nameList(all), Hint: hint + strings.Join(hints[:min(len(hints), 20)], " ")}
}

// nameList writes the names of columns, of many only the first, and shortens long
// ones.
func nameList(all []string) string {
	const most = 50
	names := slices.Clone(all[:min(len(all), most)])
	for i, name := range names {
		if len(name) > most {
			names[i] = strings.ToValidUTF8(name[:most], "") + "…"
		}
	}
	if len(all) > most {
		names = append(names, "…")
	}
	return strings.Join(names, ", ")
}

// lines imports JSON lines. Each line has its own fields: the columns of the
// mapping must be in at least one line, those of prompt and model in the first.
func (t *tableImport) lines(ctx context.Context, hooks scanHooks) error {
	const most = 1 << 16
	seen := make(map[string]bool)
	var last []string
	err := scanJSONL(ctx, t.path, hooks, func(row int64, r *record) error {
		if last == nil || !slices.Equal(last, r.columns) {
			if err := t.use(r.columns); err != nil {
				return err
			}
			first := last == nil
			last = append(make([]string, 0, len(r.columns)), r.columns...)
			for _, column := range last {
				if len(seen) < most {
					seen[column] = true
				}
			}
			lacks := t.plan.missing(r.columns, t.im.opt.Columns)
			if first && (slices.Contains(lacks, "prompt") || slices.Contains(lacks, "model")) {
				return t.lacks(lacks, r.columns)
			}
		}
		return t.row(row, r)
	})
	if err != nil || last == nil || len(seen) == most {
		return err
	}
	all := slices.Sorted(maps.Keys(seen))
	plan, _ := newTablePlan(all, t.im.opt.Columns, t.wide) // no line was ambiguous
	return t.lacks(plan.missing(all, t.im.opt.Columns), all)
}

// row imports one row, which is about one model or about all.
func (t *tableImport) row(n int64, r *record) error {
	where := place{t.path, n}
	get := func(field string) string {
		text, _ := r.get(t.plan.fields[field])
		if field != "prompt" && isNothing(strings.TrimSpace(text)) {
			return ""
		}
		return text
	}
	q := dataset.Query{ID: get("id"), Source: get("source"), Prompt: messagesText(get("prompt")), Split: dataset.Split(get("split"))}
	if split := splitOfWord(strings.ToLower(string(q.Split))); split != "" {
		q.Split = split
	}
	if q.ID == "" && t.im.opt.Columns["id"] == "" {
		sum := md5.Sum([]byte(q.Prompt))
		q.ID = hex.EncodeToString(sum[:8])
	}
	outcomes := make([]dataset.Outcome, 0, len(t.plan.models))
	for _, m := range t.plan.models {
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
	return t.im.add(where, q, outcomes, func(field, _ string) string { return t.plan.fields[field] })
}

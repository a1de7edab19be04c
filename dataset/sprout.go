package dataset

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const hintSPROUT = "SPROUT is Parquet with the columns prompt, dataset, dataset_level, key or dataset_idx, and for each model one struct column with score, num_input_tokens and num_output_tokens"

// ImportSPROUT writes the SPROUT data at src as the data folder dst. src is a
// Parquet file, or a folder that holds train-*.parquet, validation-*.parquet
// and test-*.parquet, itself or in its subfolder data; rows of a file whose
// name gives no split are split by [SplitOf]. Every struct column with score,
// num_input_tokens and num_output_tokens is a model. The id of a query is its
// key where keys are unique, else dataset/idx; its source is the dataset, with
// /level where it has one. Responses are not read, and rows pass one by one.
//
// SPROUT has no prices: see [ImportOptions.Prices] and [ImportReport.Unpriced].
// A bad row gives a *[FormatError] with file, row and column, unless
// [ImportOptions.KeepGoing]. On an error dst stays as it was.
func ImportSPROUT(ctx context.Context, src, dst string, opt ImportOptions) (*ImportReport, error) {
	paths, err := sproutFiles(src)
	if err != nil {
		return nil, err
	}
	im := &sproutImport{ctx: ctx, opt: &opt, report: &ImportReport{}}
	defer im.close()
	for _, path := range paths {
		if err := im.open(path); err != nil {
			return nil, err
		}
	}
	if err := im.chooseIDs(); err != nil {
		return nil, err
	}
	if im.w, err = NewWriter(dst, WriteOptions{Force: opt.Force}); err != nil {
		return nil, err
	}
	defer im.w.Close()
	for _, f := range im.files {
		if err := im.importFile(f); err != nil {
			return nil, err
		}
	}
	models, unpriced := opt.models(im.report.Models)
	im.report.Queries, im.report.Unpriced = int64(im.w.Queries()), unpriced
	if err := im.w.Commit(models); err != nil {
		return nil, err
	}
	if opt.Progress != nil {
		opt.Progress(im.done, im.report.Rows)
	}
	return im.report, nil
}

var sproutName = regexp.MustCompile(`^(train|validation|test)([-_.].*)?\.parquet$`)

// sproutFiles lists the Parquet files of src: training first, then by name.
func sproutFiles(src string) ([]string, error) {
	info, err := os.Stat(src)
	if err != nil {
		return nil, &FormatError{File: src, Reason: "open: " + pathCause(err), Hint: hintSPROUT, Err: err}
	}
	if !info.IsDir() {
		return []string{src}, nil
	}
	for _, dir := range []string{src, filepath.Join(src, "data")} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, &FormatError{File: dir, Reason: "read: " + pathCause(err), Err: err}
		}
		var paths []string
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".parquet") && !e.IsDir() {
				paths = append(paths, filepath.Join(dir, e.Name()))
			}
		}
		slices.SortStableFunc(paths, func(a, b string) int { return splitOrder(sproutSplit(a)) - splitOrder(sproutSplit(b)) })
		if len(paths) > 0 {
			return paths, nil
		}
	}
	return nil, &FormatError{File: src, Reason: "holds no .parquet file, nor does its subfolder data", Hint: hintSPROUT}
}

// sproutSplit is the split that a file's name gives, or "".
func sproutSplit(path string) Split {
	m := sproutName.FindStringSubmatch(filepath.Base(path))
	if m == nil {
		return ""
	}
	return Split(m[1])
}

type sproutImport struct {
	ctx    context.Context
	opt    *ImportOptions
	files  []*sproutFile
	w      *Writer
	report *ImportReport
	done   int64
	ids    idWay
}

// sproutRow is one row; field and reason say what is wrong with it, if anything.
type sproutRow struct {
	text          sproutText
	values        [][numTokens]float64 // of each model; NaN where null
	field, reason string
}

// The text columns of a row.
const (
	textKey = iota
	textDataset
	textLevel
	textIdx
	textPrompt
	numTexts
)

var textNames = [numTexts]string{"key", "dataset", "dataset_level", "dataset_idx", "prompt"}

type sproutText [numTexts]string

// numTokens is how many values are read of each model: score, input and
// output tokens, numbered as the columns of outcomes.csv.
const numTokens = 3

func (t sproutText) source() string {
	if t[textLevel] == "" {
		return t[textDataset]
	}
	return t[textDataset] + "/" + t[textLevel]
}

func (im *sproutImport) close() {
	for _, f := range im.files {
		f.f.Close() // only read from
	}
}

func (im *sproutImport) open(path string) error {
	f, err := openSPROUT(path)
	if err != nil {
		return err
	}
	im.files = append(im.files, f)
	for _, name := range f.models {
		if !slices.Contains(im.report.Models, name) {
			im.report.Models = append(im.report.Models, name)
		}
	}
	im.report.Rows += f.pq.NumRows()
	return nil
}

// idWay is a way of making the id of a row.
type idWay struct {
	name   string
	column int // must have a value
	of     func(sproutText) string
}

// chooseIDs takes the first way of making ids that gives each row its own. If
// none does, it takes dataset/dataset_idx where there is one, and the repeats
// are bad rows.
func (im *sproutImport) chooseIDs() error {
	key := idWay{"key", textKey, func(t sproutText) string { return t[textKey] }}
	idx := idWay{"dataset/dataset_idx", textIdx, func(t sproutText) string { return t[textDataset] + "/" + t[textIdx] }}
	level := idWay{"dataset/dataset_level/dataset_idx", textIdx, func(t sproutText) string { return t.source() + "/" + t[textIdx] }}
	im.ids = key
	for _, way := range []idWay{key, idx, level} {
		if !im.have(way.column) {
			continue
		}
		unique, err := im.unique(way)
		if err != nil {
			return err
		}
		if unique {
			im.ids = way
			break
		}
		if way.column == textIdx {
			im.ids = idx
		}
	}
	im.report.IDs = im.ids.name
	return nil
}

// have reports whether every file has a text column.
func (im *sproutImport) have(column int) bool {
	return !slices.ContainsFunc(im.files, func(f *sproutFile) bool { return f.text[column] == nil })
}

// unique reports whether no two rows have the same id.
func (im *sproutImport) unique(way idWay) (bool, error) {
	seen := make(hashSet)
	for _, f := range im.files {
		err := f.rows(im.ctx, false, func(_ int64, r *sproutRow) error {
			if r.text[way.column] != "" && !seen.add(way.of(r.text)) {
				return errEnough
			}
			return nil
		})
		if err != nil {
			if err == errEnough {
				return false, nil
			}
			return false, err
		}
	}
	return true, nil
}

// importFile writes the rows of one file.
func (im *sproutImport) importFile(f *sproutFile) error {
	return f.rows(im.ctx, true, func(n int64, r *sproutRow) error {
		if im.done++; im.opt.Progress != nil && im.done%512 == 0 {
			im.opt.Progress(im.done, im.report.Rows)
		}
		field, reason, err := im.importRow(f, r)
		if err != nil || reason == "" {
			return err
		}
		if !im.opt.KeepGoing {
			return &FormatError{File: f.name, Line: int(n), Field: field, Reason: reason, Hint: "mend the row, or keep going without bad rows"}
		}
		im.report.Rejected++
		return im.w.Reject(Rejected{File: filepath.Base(f.name), Row: n, Column: field, Reason: reason})
	})
}

// importRow writes one row, unless it returns what is wrong with it.
func (im *sproutImport) importRow(f *sproutFile, r *sproutRow) (field, reason string, err error) {
	if r.reason != "" {
		return r.field, r.reason, nil
	}
	if r.text[im.ids.column] == "" {
		return textNames[im.ids.column], "is missing or empty", nil
	}
	q := Query{ID: im.ids.of(r.text), Split: f.split, Source: r.text.source(), Prompt: r.text[textPrompt]}
	err = im.w.Query(q)
	if bad, ok := errors.AsType[*FormatError](err); ok {
		names := map[string]string{"id": textNames[im.ids.column], "source": textNames[textDataset]}
		return cmp.Or(names[bad.Field], bad.Field), bad.Reason, nil
	}
	if err != nil {
		return "", "", err
	}
	for j, v := range r.values {
		o := NewOutcome(q.ID, f.models[j])
		o.Score, o.InputTokens, o.OutputTokens = v[colScore], v[colInput], v[colOutput]
		if err := im.w.Outcome(o); err != nil {
			return "", "", err
		}
		if !math.IsNaN(o.Score) || !math.IsNaN(o.InputTokens) || !math.IsNaN(o.OutputTokens) {
			im.report.Outcomes++
		}
		if !math.IsNaN(o.Score) {
			im.report.Scores++
		}
	}
	return "", "", nil
}

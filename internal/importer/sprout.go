package importer

import (
	"cmp"
	"context"
	"crypto/md5"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/textfile"
)

const hintSPROUT = "SPROUT is Parquet with the columns prompt, dataset, dataset_level, key or dataset_idx, and for each model one struct column with score, num_input_tokens and num_output_tokens"

// importSPROUT reads SPROUT and SPROUT-o3mini: a Parquet file, or a folder that
// holds train-*.parquet, validation-*.parquet and test-*.parquet, itself or in
// its subfolder data. Rows of a file whose name has no split are split by
// [dataset.SplitOf]. Every struct column with score, num_input_tokens and
// num_output_tokens is a model. The id of a query is its key if keys are unique,
// else dataset/idx; its source is the dataset, or dataset/level if it has a
// level. Responses are not read. SPROUT has no prices.
func importSPROUT(ctx context.Context, src, dst string, opt Options) (*Report, error) {
	paths, err := sproutFiles(src)
	if err != nil {
		return nil, err
	}
	im := &sproutImport{ctx: ctx, opt: &opt, report: &Report{}}
	defer im.close()
	for _, path := range paths {
		if err := im.open(path); err != nil {
			return nil, err
		}
	}
	if err := im.chooseIDs(); err != nil {
		return nil, err
	}
	if im.w, err = dataset.NewWriter(dst, dataset.WriteOptions{Force: opt.Force, Keep: sources(src)}); err != nil {
		return nil, err
	}
	defer im.w.Close()
	for _, f := range im.files {
		if err := im.importFile(f); err != nil {
			return nil, err
		}
	}
	if err := im.report.commit(im.w, func(string) bool { return true }, opt.Prices); err != nil {
		return nil, err
	}
	if opt.Progress != nil {
		opt.Progress(im.done, im.report.Rows)
	}
	return im.report, nil
}

var sproutName = regexp.MustCompile(`^(train|validation|test)([-_.].*)?\.parquet$`)

// sproutFiles returns the Parquet files of src, sorted by split, then by name.
func sproutFiles(src string) ([]string, error) {
	info, err := os.Stat(src)
	if err != nil {
		return nil, &dataset.FormatError{File: src, Reason: "open: " + textfile.Cause(err), Hint: hintSPROUT, Err: err}
	}
	if !info.IsDir() {
		return []string{src}, nil
	}
	for _, dir := range []string{src, filepath.Join(src, "data")} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, &dataset.FormatError{File: dir, Reason: "read: " + textfile.Cause(err), Err: err}
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
	return nil, &dataset.FormatError{File: src, Reason: "holds no .parquet file, and neither does its subfolder data", Hint: hintSPROUT}
}

// sproutSplit returns the split in a file's name, or "".
func sproutSplit(path string) dataset.Split {
	m := sproutName.FindStringSubmatch(filepath.Base(path))
	if m == nil {
		return ""
	}
	return dataset.Split(m[1])
}

type sproutImport struct {
	ctx    context.Context
	opt    *Options
	files  []*sproutFile
	w      *dataset.Writer
	report *Report
	done   int64
	ids    idWay
}

// sproutRow is one row. field and reason say what is wrong with it, if anything.
type sproutRow struct {
	text          sproutText
	outcomes      []dataset.Outcome // of each model, without id
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

// idWay is a way to make the id of a row.
type idWay struct {
	name   string
	column int // which must have a value
	of     func(sproutText) string
}

// chooseIDs takes the first way that makes ids without repeats. If there is
// none, it takes dataset/dataset_idx if the files have that column, and the
// repeats are bad rows.
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

// errRepeated ends a reading at the first repeated id.
var errRepeated = errors.New("repeated id")

// unique reports whether no two rows have the same id.
func (im *sproutImport) unique(way idWay) (bool, error) {
	seen := make(map[[md5.Size]byte]bool) // hashes take a fraction of the memory of the ids
	for _, f := range im.files {
		err := f.rows(im.ctx, false, func(_ int64, r *sproutRow) error {
			if r.text[way.column] == "" {
				return nil
			}
			id := md5.Sum([]byte(way.of(r.text)))
			if seen[id] {
				return errRepeated
			}
			seen[id] = true
			return nil
		})
		if err != nil {
			if err == errRepeated {
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
		bad, err := im.importRow(f, r)
		if err != nil || bad == nil {
			return err
		}
		if !im.opt.KeepGoing {
			return &dataset.FormatError{File: f.name, Line: int(n), Field: bad.field, Reason: bad.reason, Hint: hintRow}
		}
		im.report.Rejected++
		return im.w.Reject(dataset.Rejected{File: filepath.Base(f.name), Row: n, Column: bad.field, Reason: bad.reason})
	})
}

// importRow writes one row, or returns what is wrong with it.
func (im *sproutImport) importRow(f *sproutFile, r *sproutRow) (*fault, error) {
	if r.reason != "" {
		return &fault{r.field, r.reason}, nil
	}
	if r.text[im.ids.column] == "" {
		return &fault{textNames[im.ids.column], "is missing or empty"}, nil
	}
	q := dataset.Query{ID: im.ids.of(r.text), Split: f.split, Source: r.text.source(), Prompt: r.text[textPrompt]}
	for j := range r.outcomes {
		r.outcomes[j].ID = q.ID
		if bad := faultOf(r.outcomes[j].Validate()); bad != nil && bad.field != "id" { // a bad id is the query's fault
			return &fault{f.models[j] + "." + sproutField(bad.field), bad.reason}, nil
		}
	}
	if err := im.w.Query(q); err != nil {
		bad := faultOf(err)
		if bad == nil {
			return nil, err
		}
		names := map[string]string{"id": textNames[im.ids.column], "source": textNames[textDataset]}
		return &fault{cmp.Or(names[bad.field], bad.field), bad.reason}, nil
	}
	for _, o := range r.outcomes {
		if err := im.w.Outcome(o); err != nil {
			return nil, err
		}
		im.report.count(&o)
	}
	return nil, nil
}

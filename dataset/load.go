package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/carrot-router/carrot/internal/textfile"
)

const hintFolder = "a data folder holds queries.jsonl, outcomes.csv and models.json, and may hold answers.csv; all but models.json may be gzipped (.gz)"

// maxCells bounds queries × models, so that small files cannot take up all memory.
const maxCells = 1 << 28

// Load reads the data folder dir into memory. It returns the first thing that is
// wrong as a *[FormatError] with file, line and field; [Check] lists all of them.
// The error about a missing file also matches [fs.ErrNotExist].
func Load(ctx context.Context, dir string) (*Set, error) {
	l := newLoader(dir, stopAtFirst)
	if err := l.load(ctx); err != nil {
		return nil, err
	}
	l.set.Fingerprint = l.set.ComputeFingerprint()
	return l.set, nil
}

// loader reads a folder; Load stops at the first fault, Check collects them.
type loader struct {
	dir    string
	set    *Set
	rows   map[string]int // by id of the query
	cols   map[string]int // by name of the model
	report reporter
	faulty bool // whether a fault was reported
	// lostRows and lostCols are set if queries or models are missing because of
	// faults. Outcomes with unknown names are then ignored, not reported.
	lostRows, lostCols bool
}

func newLoader(dir string, report reporter) *loader {
	l := &loader{dir: dir, set: &Set{Name: baseName(dir)}, rows: make(map[string]int), cols: make(map[string]int)}
	l.report = func(e *FormatError) error {
		l.faulty = true
		return report(e)
	}
	return l
}

func baseName(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return filepath.Base(dir)
}

func (l *loader) load(ctx context.Context) error {
	if info, err := os.Stat(l.dir); err != nil {
		return l.report(&FormatError{File: l.dir, Reason: "the folder cannot be opened: " + textfile.Cause(err), Hint: hintFolder, Err: err})
	} else if !info.IsDir() {
		hint := hintFolder
		if name := strings.TrimSuffix(strings.ToLower(l.dir), ".gz"); slices.Contains([]string{".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet"}, filepath.Ext(name)) {
			hint = "carrot data import table " + l.dir + " DIR makes a data folder of a table; " + hintFolder
		}
		return l.report(&FormatError{File: l.dir, Reason: "is a file, not a data folder", Hint: hint})
	}
	if err := l.modelsFile(); err != nil {
		return err
	}
	l.lostCols, l.faulty = l.faulty, false
	if err := l.queriesFile(ctx); err != nil {
		return err
	}
	l.lostRows = l.faulty
	if n, m := len(l.set.Queries), len(l.set.Models); m > 0 && n > maxCells/m {
		return l.report(&FormatError{File: l.dir, Reason: fmt.Sprintf("%d queries × %d models are more than fit into memory", n, m),
			Hint: "split the data into several folders"})
	}
	if err := l.outcomesFile(ctx); err != nil {
		return err
	}
	return l.answersFile(ctx)
}

func (l *loader) path(name string) string { return filepath.Join(l.dir, name) }

// modelsFile reads models.json.
func (l *loader) modelsFile() error {
	path := l.path("models.json")
	f, err := os.Open(path)
	if err != nil {
		return l.report(l.missing(path, err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, textfile.MaxLine+1))
	switch {
	case err != nil:
		return l.report(&FormatError{File: path, Reason: "read: " + textfile.Cause(err), Err: err})
	case len(data) > textfile.MaxLine:
		return l.report(&FormatError{File: path, Reason: fmt.Sprintf("is longer than %d MiB", textfile.MaxLine>>20), Hint: hintModels})
	case !utf8.Valid(data):
		return l.report(&FormatError{File: path, Reason: "is not UTF-8", Hint: "convert the file to UTF-8"})
	}
	if l.set.Models, err = parseModels(path, data, l.report); err != nil {
		return err
	}
	for j, m := range l.set.Models {
		l.cols[m.Name] = j
	}
	if len(l.set.Models) == 0 && !l.faulty {
		return l.report(&FormatError{File: path, Reason: "holds no model", Hint: hintModels})
	}
	return nil
}

// open calls read with the file of that name, plain or gzipped. Errors about the
// file as a whole are reported too, so that Check goes on to the other files.
func (l *loader) open(ctx context.Context, name string, required bool, read func(*textfile.Reader) error) error {
	path := l.path(name)
	f, err := os.Open(path)
	if gz, gzErr := os.Open(path + ".gz"); gzErr == nil {
		defer gz.Close()
		if err == nil {
			f.Close()
			return l.report(&FormatError{File: path, Reason: "exists, and so does " + name + ".gz", Hint: "remove the older of the two"})
		}
		f, err, path = gz, nil, path+".gz"
	} else if !errors.Is(gzErr, fs.ErrNotExist) && err != nil {
		err, path = gzErr, path+".gz"
	}
	if err != nil {
		if !required && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return l.report(l.missing(path, err))
	}
	defer f.Close()
	lr, err := textfile.NewReader(ctx, f, path)
	if err == nil {
		err = read(lr)
	}
	if bad, ok := errors.AsType[*FormatError](formatError(err)); ok {
		return l.report(bad)
	}
	return err
}

// missing explains why a file could not be opened.
func (l *loader) missing(path string, err error) *FormatError {
	e := &FormatError{File: path, Reason: "open: " + textfile.Cause(err), Err: err}
	if errors.Is(err, fs.ErrNotExist) {
		e.Reason, e.Hint = "the file is missing", hintFolder
	}
	return e
}

// cell returns the row and column of an outcome or answer; i is -1 if it is to
// be ignored.
func (l *loader) cell(c *textfile.CSV, id, model []byte) (i, j int, bad *textfile.Error) {
	i, haveRow := l.rows[string(id)]
	j, haveCol := l.cols[string(model)]
	switch {
	case !haveRow && l.lostRows, !haveCol && l.lostCols:
		return -1, -1, nil
	case !haveRow:
		return -1, -1, c.Fault("id", fmt.Sprintf("%s is not in queries.jsonl", textfile.Quote(id)), "add the query, or remove its outcomes")
	case !haveCol:
		return -1, -1, c.Fault("model", fmt.Sprintf("%s is not in models.json", textfile.Quote(model)), "add the model to models.json, or remove its outcomes")
	}
	return i, j, nil
}

func (l *loader) reportIf(bad *textfile.Error) error {
	if bad == nil {
		return nil
	}
	return l.report.text(bad)
}

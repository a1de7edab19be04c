package dataset

import (
	"bufio"
	"compress/gzip"
	"crypto/md5"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/carrot-router/carrot/internal/textfile"
)

// WriteOptions says how a data folder is written; the zero value works.
type WriteOptions struct {
	// Force replaces an existing folder that holds nothing but files of a data
	// folder: queries.jsonl, outcomes.csv, answers.csv, each plain or gzipped,
	// models.json and rejected.jsonl.
	Force bool
	// Keep names files and folders, such as the source of an import, that must
	// survive: a folder that is one of them or holds one is not replaced.
	Keep []string
	// Columns names the optional columns of outcomes.csv, in the order in which
	// they are written.
	Columns []string
	// Plain writes queries, outcomes and answers as text to look at, not gzipped.
	Plain bool
}

// Writer writes a data folder row by row and keeps only a hash of each id in
// memory. It writes to a hidden folder beside the target, which takes the
// target's place in [Writer.Commit]: readers see the old folder or the new one,
// never half of one. Equal calls give equal bytes. Values are checked as the
// readers check them, so that what is written can be loaded. A Writer is not safe
// for concurrent use.
type Writer struct {
	dir, tmp string
	force    bool
	keep     []string
	columns  []int // numbers of the columns of outcomes.csv, required and optional
	plain    bool

	queries, outcomes *gzipFile
	answers, rejects  *gzipFile // nil until the first row
	rejected          int64

	rows     map[[md5.Size]byte]uint32 // by hash of the id, which takes a fraction of the memory of ids
	models   map[string]*written
	order    []string // names of the models in the order in which they came
	scratch  []byte
	finished bool
}

// written marks the queries on which one model has an outcome or an answer.
type written struct {
	outcomes, answers bitset
	tally
}

type bitset []uint64

// add marks i, and reports whether it was not marked before.
func (b *bitset) add(i uint32) bool {
	for int(i/64) >= len(*b) {
		*b = append(*b, make([]uint64, max(1, len(*b)))...)
	}
	word, bit := &(*b)[i/64], uint64(1)<<(i%64)
	fresh := *word&bit == 0
	*word |= bit
	return fresh
}

// has reports whether i is marked.
func (b bitset) has(i uint32) bool {
	return int(i/64) < len(b) && b[i/64]&(1<<(i%64)) != 0
}

// NewWriter begins to write the data folder dir. It fails if dir exists and is
// neither an empty folder nor one that opt allows to replace. If dir is a symbolic
// link, the folder that it leads to is written. Call Commit to keep what was written
// and Close in any case.
func NewWriter(dir string, opt WriteOptions) (*Writer, error) {
	w := &Writer{dir: filepath.Clean(dir), force: opt.Force, keep: opt.Keep, columns: []int{colScore, colInput, colOutput}, plain: opt.Plain,
		rows: make(map[[md5.Size]byte]uint32), models: make(map[string]*written)}
	header := slices.Clone(outcomeRequired)
	for _, name := range opt.Columns {
		k := slices.Index(outcomeOptional, name)
		if k < 0 || slices.Contains(header, name) {
			return nil, fmt.Errorf("write %s: %s is not an optional column of outcomes.csv or is given twice", dir, textfile.Quote(name))
		}
		header = append(header, name)
		w.columns = append(w.columns, colCost+k)
	}
	if info, err := os.Lstat(w.dir); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		if w.dir, err = filepath.EvalSymlinks(w.dir); err != nil {
			return nil, &FormatError{File: dir, Reason: "cannot be written: the link leads nowhere", Hint: "name a new folder", Err: err}
		}
	}
	if err := w.checkTarget(); err != nil {
		return nil, err
	}
	parent := filepath.Dir(w.dir)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp(parent, "."+filepath.Base(w.dir)+".tmp-")
	if err != nil {
		return nil, err
	}
	w.tmp = tmp
	if w.queries, err = w.create("queries.jsonl"); err == nil {
		w.outcomes, err = w.create("outcomes.csv")
	}
	if err == nil {
		_, err = io.WriteString(w.outcomes, strings.Join(header, ",")+"\n")
	}
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// fileName returns the name under which a file is written: with the ending of gzip,
// unless the folder is plain. models.json is never gzipped.
func (w *Writer) fileName(name string) string {
	if w.plain || name == "models.json" {
		return name
	}
	return name + ".gz"
}

// create creates a file with that name in the hidden folder.
func (w *Writer) create(name string) (*gzipFile, error) {
	if w.plain {
		return createPlain(w.tmp, name)
	}
	return createGzip(w.tmp, w.fileName(name))
}

// checkTarget returns an error if the target cannot be written or replaced.
func (w *Writer) checkTarget() error {
	entries, err := os.ReadDir(w.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return &FormatError{File: w.dir, Reason: "cannot be written: " + textfile.Cause(err), Hint: "name a new folder", Err: err}
	case len(entries) > 0 && !w.force:
		return &FormatError{File: w.dir, Reason: "the folder exists and is not empty", Hint: "name a new folder, or replace it (--force)", Err: fs.ErrExist}
	}
	const hint = "name a new folder, or remove this one yourself"
	for _, e := range entries {
		if !e.Type().IsRegular() || !slices.Contains(ownFiles, e.Name()) {
			return &FormatError{File: w.dir, Reason: "is not replaced: " + textfile.Quote(e.Name()) + " in it is not a file of a data folder", Hint: hint, Err: fs.ErrExist}
		}
	}
	if kept := w.kept(); kept != "" && len(entries) > 0 {
		return &FormatError{File: w.dir, Reason: "is not replaced: the new data come from " + kept, Hint: hint, Err: fs.ErrExist}
	}
	return nil
}

// ownFiles are the names of the files that a data folder can hold.
var ownFiles = []string{"queries.jsonl", "queries.jsonl.gz", "outcomes.csv", "outcomes.csv.gz",
	"answers.csv", "answers.csv.gz", "models.json", "rejected.jsonl"}

// kept returns what must survive and is the target or in it, or "" if nothing is.
func (w *Writer) kept() string {
	target, err := os.Stat(w.dir)
	if err != nil {
		return ""
	}
	for _, name := range w.keep {
		path, err := filepath.Abs(name)
		if err != nil {
			continue
		}
		if resolved, err := filepath.EvalSymlinks(path); err == nil {
			path = resolved
		}
		for {
			if info, err := os.Stat(path); err == nil && os.SameFile(info, target) {
				return name
			}
			parent := filepath.Dir(path)
			if parent == path {
				break
			}
			path = parent
		}
	}
	return ""
}

// Query writes one query, with the split of [SplitOf] if it has none. It refuses
// a query with a bad field or a repeated id with a *[FormatError]; nothing is
// written then, and the Writer can be used further.
func (w *Writer) Query(q Query) error {
	if q.Split == "" {
		q.Split = SplitOf(q.Prompt)
	}
	if field, reason := checkQuery(q); reason != "" {
		return w.refuse("queries.jsonl", field, reason, hintQuery)
	}
	key := md5.Sum([]byte(q.ID))
	if _, ok := w.rows[key]; ok {
		return w.refuse("queries.jsonl", "id", textfile.Quote(q.ID)+" is repeated", "every query needs its own id")
	}
	w.rows[key] = uint32(len(w.rows))
	return writeJSON(w.queries, q)
}

// Outcome writes one outcome of a query that was written before. It refuses an
// outcome that is not valid, is repeated, or has a value in an optional column
// that is not written, with a *[FormatError]; the Writer can be used further. An
// outcome of which nothing is observed is not written.
func (w *Writer) Outcome(o Outcome) error {
	const file = "outcomes.csv"
	row, seen, err := w.find(file, o.ID, o.Model)
	if err != nil {
		return err
	}
	values, some := o.values(), false
	for col, v := range values {
		if math.IsNaN(v) {
			continue
		}
		some = true
		if reason := checkValue(col, v); reason != "" {
			return w.refuse(file, columnName(col), reason, hintValue(col))
		}
		if !slices.Contains(w.columns, col) {
			return w.refuse(file, columnName(col), "is observed, but the column is not written", "name it in WriteOptions.Columns")
		}
	}
	if !some {
		return nil
	}
	if !seen.outcomes.add(row) {
		return w.refuse(file, "id", fmt.Sprintf("%s with model %s is repeated", textfile.Quote(o.ID), textfile.Quote(o.Model)), "keep one outcome for each query and model")
	}
	seen.tally.add(row, &o)
	b := appendCSV(w.scratch[:0], o.ID)
	b = appendCSV(append(b, ','), o.Model)
	for _, col := range w.columns {
		b = append(b, ',')
		if !math.IsNaN(values[col]) {
			b = strconv.AppendFloat(b, values[col]+0, 'g', -1, 64)
		}
	}
	w.scratch = append(b, '\n')
	_, err = w.outcomes.Write(w.scratch)
	return err
}

// Answer writes one answer to a query that was written before. An empty answer is
// not written.
func (w *Writer) Answer(a Answer) error {
	const file = "answers.csv"
	row, seen, err := w.find(file, a.ID, a.Model)
	if err != nil || a.Hash == "" {
		return err
	}
	if !utf8.ValidString(a.Hash) {
		return w.refuse(file, "answer", "is not UTF-8", "write a short hash of the answer")
	}
	if !seen.answers.add(row) {
		return w.refuse(file, "id", fmt.Sprintf("%s with model %s is repeated", textfile.Quote(a.ID), textfile.Quote(a.Model)), "keep one answer for each query and model")
	}
	if err := w.beginAnswers(); err != nil {
		return err
	}
	b := appendCSV(w.scratch[:0], a.ID)
	b = appendCSV(append(b, ','), a.Model)
	b = appendCSV(append(b, ','), a.Hash)
	w.scratch = append(b, '\n')
	_, err = w.answers.Write(w.scratch)
	return err
}

func (w *Writer) beginAnswers() (err error) {
	if w.answers != nil {
		return nil
	}
	if w.answers, err = w.create("answers.csv"); err != nil {
		return err
	}
	_, err = io.WriteString(w.answers, strings.Join(answerColumns, ",")+"\n")
	return err
}

// find returns the row of a query, and the marks of a model.
func (w *Writer) find(file, id, model string) (uint32, *written, error) {
	row, ok := w.rows[md5.Sum([]byte(id))]
	if !ok {
		return 0, nil, w.refuse(file, "id", textfile.Quote(id)+" is not in "+w.fileName("queries.jsonl"), "write the query first")
	}
	seen := w.models[model]
	if seen == nil {
		if reason := checkName(model); reason != "" {
			return 0, nil, w.refuse(file, "model", reason, "name the model, as in models.json")
		}
		seen = &written{}
		w.models[model], w.order = seen, append(w.order, model)
	}
	return row, seen, nil
}

func (w *Writer) refuse(file, field, reason, hint string) error {
	return &FormatError{File: filepath.Join(w.dir, w.fileName(file)), Field: field, Reason: reason, Hint: hint}
}

// Rejected says which row of the source an import left out and why, without the
// content of the row.
type Rejected struct {
	File   string `json:"file"`
	Row    int64  `json:"row"` // counted from 1
	Column string `json:"column,omitempty"`
	Reason string `json:"reason"`
}

// Reject notes a row that was left out in rejected.jsonl, a file that [Load]
// ignores.
func (w *Writer) Reject(r Rejected) (err error) {
	if w.rejects == nil {
		if w.rejects, err = createPlain(w.tmp, "rejected.jsonl"); err != nil {
			return err
		}
	}
	w.rejected++
	return writeJSON(w.rejects, r)
}

// Queries returns the number of queries written so far.
func (w *Writer) Queries() int { return len(w.rows) }

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// appendCSV appends a field, in quotes if it needs them.
func appendCSV(b []byte, field string) []byte {
	if !strings.ContainsAny(field, "\",\r\n") {
		return append(b, field...)
	}
	b = append(b, '"')
	for i := range len(field) {
		if field[i] == '"' {
			b = append(b, '"')
		}
		b = append(b, field[i])
	}
	return append(b, '"')
}

// gzipFile is a file that is being written, plain or gzipped with a header that
// is always the same.
type gzipFile struct {
	io.Writer
	buf *bufio.Writer
	z   *gzip.Writer // nil if plain
	f   *os.File
}

func createGzip(dir, name string) (*gzipFile, error) {
	g, err := createPlain(dir, name)
	if err != nil {
		return nil, err
	}
	g.z = gzip.NewWriter(g.buf) // its header has no name and no time
	g.Writer = bufio.NewWriterSize(g.z, 1<<16)
	return g, nil
}

func createPlain(dir, name string) (*gzipFile, error) {
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	buf := bufio.NewWriterSize(f, 1<<16)
	return &gzipFile{Writer: buf, buf: buf, f: f}, nil
}

// finish writes what is buffered, waits until it is on disk, and closes the file.
func (g *gzipFile) finish() error {
	err := g.Writer.(*bufio.Writer).Flush()
	if g.z != nil {
		err = errors.Join(err, g.z.Close(), g.buf.Flush())
	}
	return errors.Join(err, g.f.Sync(), g.f.Close())
}

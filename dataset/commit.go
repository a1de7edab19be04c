package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/carrot-router/carrot/internal/atomicfile"
	"github.com/carrot-router/carrot/internal/textfile"
)

// WriteDir writes the set as the data folder dir, with all files but models.json
// gzipped. It fails if dir exists and is not empty. It writes to a folder beside
// dir and renames that, so dir is never half written. Equal sets give equal
// bytes, and Load returns a set with the same fingerprint.
func (s *Set) WriteDir(dir string) error { return s.WriteDirWith(dir, WriteOptions{}) }

// WriteDirWith is WriteDir with options. It ignores Columns and writes the columns
// that the set has.
func (s *Set) WriteDirWith(dir string, opt WriteOptions) error {
	opt.Columns = nil
	for col, t := range s.matrices() {
		if col >= colCost && t.Rows > 0 {
			opt.Columns = append(opt.Columns, columnName(col))
		}
	}
	w, err := NewWriter(dir, opt)
	if err != nil {
		return err
	}
	if err := s.writeTo(w); err != nil {
		return errors.Join(err, w.Close())
	}
	return w.Commit(s.Models)
}

func (s *Set) writeTo(w *Writer) error {
	tables := s.matrices()
	for i, q := range s.Queries {
		if err := w.Query(q); err != nil {
			return err
		}
		for j := range s.Models {
			o := NewOutcome(q.ID, s.Models[j].Name)
			values := o.values()
			for col, t := range tables {
				if t.Rows > 0 {
					values[col] = t.At(i, j)
				}
			}
			o.setValues(values)
			if err := w.Outcome(o); err != nil {
				return err
			}
		}
	}
	if s.Answers == nil {
		return nil
	}
	if err := w.beginAnswers(); err != nil {
		return err
	}
	for i, q := range s.Queries {
		for j, hash := range s.Answers[i] {
			if err := w.Answer(Answer{ID: q.ID, Model: s.Models[j].Name, Hash: hash}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Models returns the names of the models that have an outcome or an answer so
// far, in the order they were first seen.
func (w *Writer) Models() []string { return slices.Clone(w.order) }

// Commit writes models.json, puts the folder in its place and closes the Writer.
// The models must have different names and valid prices, and must include all
// that have outcomes. On an error the target is what it was before, and nothing
// is left beside it.
func (w *Writer) Commit(models []Model) error {
	if w.finished {
		return fmt.Errorf("write %s: the writer is closed", w.dir)
	}
	defer w.Close()
	if err := w.writeModels(models); err != nil {
		return err
	}
	if len(w.rows) == 0 {
		return w.refuse("queries.jsonl", "", "holds no query", "")
	}
	if err := w.finishFiles(); err != nil {
		return fmt.Errorf("write %s: %w", w.dir, err)
	}
	if err := os.Chmod(w.tmp, 0o755); err != nil { // MkdirTemp made it private
		return err
	}
	atomicfile.SyncDir(w.tmp)
	if err := w.replace(); err != nil {
		return fmt.Errorf("write %s: %w", w.dir, err)
	}
	atomicfile.SyncDir(filepath.Dir(w.dir))
	return nil
}

func (w *Writer) writeModels(models []Model) error {
	names := make(map[string]bool, len(models))
	for _, m := range models {
		if field, reason := m.check(); reason != "" {
			return w.refuse("models.json", field, fmt.Sprintf("%s (model %s)", reason, textfile.Quote(m.Name)), hintModels)
		}
		if names[m.Name] {
			return w.refuse("models.json", "name", textfile.Quote(m.Name)+" is repeated", hintModels)
		}
		names[m.Name] = true
	}
	if len(models) == 0 {
		return w.refuse("models.json", "", "holds no model", hintModels)
	}
	for _, name := range w.order {
		if !names[name] {
			return w.refuse("models.json", "name", textfile.Quote(name)+" has outcomes but is not among the models", hintModels)
		}
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(models); err != nil {
		return err
	}
	f, err := createPlain(w.tmp, "models.json")
	if err != nil {
		return err
	}
	_, err = f.Write(text.Bytes())
	return errors.Join(err, f.finish())
}

func (w *Writer) finishFiles() error {
	var err error
	for _, f := range []**gzipFile{&w.queries, &w.outcomes, &w.answers, &w.rejects} {
		if *f != nil {
			err = errors.Join(err, (*f).finish())
			*f = nil
		}
	}
	return err
}

// replace renames the temporary folder to the target. A folder with content is
// moved aside first, and moved back if the renaming fails.
func (w *Writer) replace() error {
	if err := w.checkTarget(); err != nil {
		return err
	}
	if err := os.Remove(w.dir); err == nil || errors.Is(err, os.ErrNotExist) {
		return os.Rename(w.tmp, w.dir)
	}
	old := w.tmp + ".old"
	if err := os.Rename(w.dir, old); err != nil {
		return err
	}
	if err := os.Rename(w.tmp, w.dir); err != nil {
		return errors.Join(err, os.Rename(old, w.dir))
	}
	for _, name := range ownFiles { // and nothing that was added since the check
		if err := os.Remove(filepath.Join(old, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return os.Remove(old)
}

// Close removes what was not committed. It may be called twice and after Commit.
func (w *Writer) Close() error {
	if w.finished {
		return nil
	}
	w.finished = true
	for _, f := range []*gzipFile{w.queries, w.outcomes, w.answers, w.rejects} {
		if f != nil {
			f.f.Close() // the file is removed
		}
	}
	return os.RemoveAll(w.tmp)
}

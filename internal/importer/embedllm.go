package importer

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/textfile"
)

// The files beside the data that hold the prompts and the names of models by id.
const (
	questionOrder = "question_order.csv"
	modelOrder    = "model_order.csv"
)

const hintEmbedLLM = "the files have the columns prompt_id, label and model_name or model_id; prompt may be in " + questionOrder + " beside them, and model_name in " + modelOrder

// importEmbedLLM reads the correctness data of EmbedLLM: CSV files with a row
// for each prompt and model. train, val or test in a file's name is its split;
// the id of a query is prompt_id, and its source is the category. A prompt may be
// listed more than once, under variants of its task: the highest label counts, as
// in EmbedLLM's own code. The labels are therefore held in memory, 4 bytes for
// each prompt and model, and so are the prompts of question_order.csv.
func importEmbedLLM(ctx context.Context, src string, im *importer) error {
	paths, err := sourceFiles(src, "CSV file", func(name string) bool {
		return hasEnding(name, ".csv") && name != questionOrder && name != modelOrder
	})
	if err != nil {
		return err
	}
	im.report.IDs = "prompt_id"
	heldOutFirst(paths)
	l := &labels{query: make(map[string]int), of: make(map[string][]float32)}
	for _, path := range paths {
		f := &embedLLMFile{ctx: ctx, im: im, labels: l, path: path, split: splitOfFile(path)}
		hooks := im.hooks()
		hooks.columns = f.columns
		if err := scanCSV(ctx, path, hooks, f.row); err != nil {
			return err
		}
	}
	for i, id := range l.ids {
		if err := im.write(place{src, 0}, id, l.outcomes(i)); err != nil {
			return err
		}
	}
	return nil
}

// labels holds the highest label of each prompt and model.
type labels struct {
	ids    []string
	query  map[string]int // index in ids
	models []string
	of     map[string][]float32 // labels of each model by query; NaN if there is none
}

// add adds a label and reports whether it is the first of its prompt and model.
func (l *labels) add(id, model string, label float64) bool {
	i, ok := l.query[id]
	if !ok {
		i = len(l.ids)
		l.query[id], l.ids = i, append(l.ids, id)
	}
	row, ok := l.of[model]
	if !ok {
		l.models = append(l.models, model)
	}
	for len(row) <= i {
		row = append(row, float32(math.NaN()))
	}
	have := float64(row[i])
	if math.IsNaN(have) || label > have {
		row[i] = float32(label)
	}
	l.of[model] = row
	return math.IsNaN(have)
}

// outcomes returns the outcomes of query i.
func (l *labels) outcomes(i int) (all []dataset.Outcome) {
	for _, model := range l.models {
		if row := l.of[model]; i < len(row) {
			o := dataset.NewOutcome("", model)
			o.Score = float64(row[i])
			all = append(all, o)
		}
	}
	return all
}

// embedLLMFile is one file of outcomes.
type embedLLMFile struct {
	ctx             context.Context
	im              *importer
	labels          *labels
	path            string
	split           dataset.Split
	prompts, models map[string]string // by id; nil if the file itself has them
}

// columns chooses the columns to read. It reads the files beside the data if
// these have the prompts or the names of models.
func (f *embedLLMFile) columns(all []string) ([]string, error) {
	var want []string
	for _, name := range []string{"prompt_id", "label", "model_id", "model_name", "prompt", "category"} {
		if slices.Contains(all, name) {
			want = append(want, name)
		}
	}
	missing := func(name string) error {
		return &dataset.FormatError{File: f.path, Line: 1, Field: name, Reason: "header: the column is missing", Hint: hintEmbedLLM}
	}
	for _, name := range []string{"prompt_id", "label"} {
		if !slices.Contains(want, name) {
			return nil, missing(name)
		}
	}
	var err error
	if !slices.Contains(want, "prompt") {
		if f.prompts, err = f.names(questionOrder, "prompt_id", "prompt"); f.prompts == nil && err == nil {
			err = missing("prompt")
		}
	}
	if err == nil && !slices.Contains(want, "model_name") {
		if f.models, err = f.names(modelOrder, "model_id", "model_name"); f.models == nil && err == nil && !slices.Contains(want, "model_id") {
			err = missing("model_name")
		}
	}
	return want, err
}

// names reads names by id from a file beside the data; nil if there is no such
// file.
func (f *embedLLMFile) names(file, id, name string) (map[string]string, error) {
	path := filepath.Join(filepath.Dir(f.path), file)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	names := make(map[string]string)
	hooks := scanHooks{columns: func(all []string) ([]string, error) {
		for _, column := range []string{id, name} {
			if !slices.Contains(all, column) {
				return nil, &dataset.FormatError{File: path, Line: 1, Field: column, Reason: "header: the column is missing", Hint: hintEmbedLLM}
			}
		}
		return []string{id, name}, nil
	}}
	err := scanCSV(f.ctx, path, hooks, func(_ int64, r *record) error {
		names[r.values[0]] = r.values[1]
		return nil
	})
	return names, err
}

// row imports one record.
func (f *embedLLMFile) row(line int64, r *record) error {
	where := place{f.path, line}
	q := dataset.Query{Split: f.split}
	q.ID, _ = r.get("prompt_id")
	q.Source, _ = r.get("category")
	q.Prompt, _ = r.get("prompt")
	if f.prompts != nil {
		if q.Prompt = f.prompts[q.ID]; q.Prompt == "" && q.ID != "" {
			return f.im.reject(where, "prompt_id", textfile.Quote(q.ID)+" is not in "+questionOrder)
		}
	}
	model, ok := r.get("model_name")
	if !ok {
		id, _ := r.get("model_id")
		if model = id; f.models != nil {
			if model, ok = f.models[id]; !ok {
				return f.im.reject(where, "model_id", textfile.Quote(id)+" is not in "+modelOrder)
			}
		}
	}
	text, ok := r.get("label")
	label, reason := observed(fieldScore, text)
	if !ok {
		reason = "is missing or empty"
	}
	if reason != "" {
		return f.im.reject(where, "label", reason)
	}
	if reason := checkModel(model); reason != "" {
		return f.im.reject(where, "model_name", reason)
	}
	rejected := f.im.report.Rejected
	err := f.im.add(where, q, nil, func(field, _ string) string {
		return map[string]string{"id": "prompt_id", "source": "category"}[field]
	})
	if err == nil && rejected == f.im.report.Rejected && !f.labels.add(q.ID, model, label) {
		f.im.report.Skipped++
	}
	return err
}

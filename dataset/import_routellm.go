package dataset

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// importRouteLLM reads the responses that RouteLLM is evaluated on: a CSV file
// for each subject with the columns prompt and, for each model, whether it
// answered well, and maybe M_response, the answer of model M. The id of a query
// is subject/row, rows counted from 0.
func importRouteLLM(ctx context.Context, src string, im *importer) error {
	paths, err := sourceFiles(src, "mmlu_*.csv or *_responses.csv", func(name string) bool {
		return hasEnding(name, ".csv") && strings.HasPrefix(name, "mmlu_") || hasEnding(name, "_responses.csv")
	})
	if err != nil {
		return err
	}
	im.report.IDs = "subject/row"
	im.prices = map[string][2]float64{"gpt-4-1106-preview": {10, 30}}
	for _, path := range paths {
		f := &routeLLMFile{im: im, path: path, subject: routeLLMSubject(path)}
		hooks := im.hooks()
		hooks.columns = f.columns
		hooks.bad = func(e *FormatError) error {
			f.rows++
			return im.unreadable(e)
		}
		if err := scanCSV(ctx, path, hooks, f.row); err != nil {
			return err
		}
	}
	return nil
}

// routeLLMSubject names the subject of a file: "mmlu/anatomy" of
// mmlu_anatomy.csv, "gsm8k" of gsm8k_responses.csv.
func routeLLMSubject(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".csv")
	if subject, ok := strings.CutPrefix(name, "mmlu_"); ok {
		return "mmlu/" + subject
	}
	return strings.TrimSuffix(name, "_responses")
}

// routeLLMFile is the responses on one subject.
type routeLLMFile struct {
	im            *importer
	path, subject string
	models        []string
	rows          int
}

const responseSuffix = "_response"

// columns finds the models: every column but the prompt, the answers and the
// index that pandas writes.
func (f *routeLLMFile) columns(all []string) ([]string, error) {
	if !slices.Contains(all, "prompt") {
		return nil, &FormatError{File: f.path, Line: 1, Field: "prompt", Reason: "header: the column is missing",
			Hint: "RouteLLM's files have the columns prompt and one for each model; for others see the format table"}
	}
	for _, name := range all {
		model, isResponse := strings.CutSuffix(name, responseSuffix)
		if name == "prompt" || name == "" || strings.HasPrefix(name, "Unnamed:") || isResponse && slices.Contains(all, model) {
			continue
		}
		f.models = append(f.models, name)
		if usd, ok := sizePrice(name); ok {
			f.im.prices[name] = [2]float64{usd, usd}
		}
	}
	if len(f.models) == 0 {
		return nil, &FormatError{File: f.path, Line: 1, Reason: "header: no column is a model's", Hint: "beside prompt there is a column for each model"}
	}
	return all, nil
}

// row imports one record.
func (f *routeLLMFile) row(line int64, r *record) error {
	where := place{f.path, line}
	q := Query{ID: fmt.Sprintf("%s/%d", f.subject, f.rows), Source: f.subject}
	q.Prompt, _ = r.get("prompt")
	f.rows++
	input := f.im.countTokens(q.Prompt)
	outcomes := make([]Outcome, 0, len(f.models))
	for _, model := range f.models {
		text, ok := r.get(model)
		if !ok {
			continue
		}
		o, reason := NewOutcome("", model), ""
		if o.Score, reason = observed(colScore, text); reason != "" {
			return f.im.reject(where, model, reason)
		}
		o.InputTokens = input
		if answer, ok := r.get(model + responseSuffix); ok {
			o.OutputTokens = f.im.countTokens(answer)
		}
		outcomes = append(outcomes, o)
	}
	return f.im.add(where, q, outcomes, nil)
}

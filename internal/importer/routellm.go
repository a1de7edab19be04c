package importer

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/dataset"
)

// importRouteLLM reads the responses that RouteLLM is evaluated on: a CSV file
// for each subject with the column prompt and, for each model M, the column M,
// which says whether its answer was right, and possibly M_response, its answer.
// The id of a query is subject/row, with rows counted from 0.
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
		hooks.bad = func(e *dataset.FormatError) error {
			f.rows++
			return im.unreadable(e)
		}
		if err := scanCSV(ctx, path, hooks, f.row); err != nil {
			return err
		}
	}
	return nil
}

// routeLLMSubject returns the subject of a file: "mmlu/anatomy" for
// mmlu_anatomy.csv, "gsm8k" for gsm8k_responses.csv.
func routeLLMSubject(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".csv")
	if subject, ok := strings.CutPrefix(name, "mmlu_"); ok {
		return "mmlu/" + subject
	}
	return strings.TrimSuffix(name, "_responses")
}

// routeLLMFile is the file of the responses on one subject.
type routeLLMFile struct {
	im            *importer
	path, subject string
	models        []string
	rows          int
}

const responseSuffix = "_response"

// columns finds the models: every column is one but the prompt, the answers and
// the index that pandas writes.
func (f *routeLLMFile) columns(all []string) ([]string, error) {
	if !slices.Contains(all, "prompt") {
		return nil, &dataset.FormatError{File: f.path, Line: 1, Field: "prompt", Reason: "header: the column is missing",
			Hint: "RouteLLM's files have the columns prompt and one for each model; for other files see the format table"}
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
		return nil, &dataset.FormatError{File: f.path, Line: 1, Reason: "header: there is no column for a model", Hint: "the file has the column prompt and one for each model"}
	}
	return all, nil
}

// row imports one record.
func (f *routeLLMFile) row(line int64, r *record) error {
	where := place{f.path, line}
	q := dataset.Query{ID: fmt.Sprintf("%s/%d", f.subject, f.rows), Source: f.subject}
	q.Prompt, _ = r.get("prompt")
	f.rows++
	input := f.im.countTokens(q.Prompt)
	outcomes := make([]dataset.Outcome, 0, len(f.models))
	for _, model := range f.models {
		text, ok := r.get(model)
		if !ok {
			continue
		}
		o, reason := dataset.NewOutcome("", model), ""
		if o.Score, reason = observed(fieldScore, text); reason != "" {
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

package importer

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/textfile"
)

// importLangfuse reads exports of Langfuse: files of observations and of scores, as JSON
// lines, a list in JSON or CSV, from its interface, its API or its export to blob storage.
// Rows are told apart by their fields. Every generation without an error is an outcome. Its
// score is the mean of the scores, of numbers or truth values, of the observation, or of its
// trace if that is its only generation; if scores have several names, Options.Columns names
// the one that counts as score. Equal prompts are one query, whose id is a hash of the prompt,
// and several answers of a model are averaged.
func importLangfuse(ctx context.Context, src string, im *importer) error {
	var paths []string
	parts := []string{src}
	if _, err := os.Stat(src); err != nil {
		parts = strings.Split(src, ",")
	}
	for _, one := range parts {
		found, err := sourceFiles(one, "exports of Langfuse (.jsonl, .json or .csv)", func(name string) bool { return hasEnding(name, ".jsonl", ".json", ".csv") })
		if err != nil {
			return err
		}
		paths = append(paths, found...)
	}
	im.report.IDs = "the MD5 of the prompt"
	l := &langfuse{means: newMeans(im), name: im.opt.Columns[fieldScore], scores: make(map[string]*repeats), generations: make(map[string]int), names: make(map[string]bool)}
	hooks := im.hooks()
	for _, step := range []func(where place, s jsonObject) error{l.look, l.row} {
		for _, path := range paths {
			if err := l.scan(ctx, path, hooks, step); err != nil {
				return err
			}
		}
		hooks.bad = func(*dataset.FormatError) error { return nil } // which was refused already
		if len(l.names) > 1 && l.name == "" {
			return &dataset.FormatError{File: src, Field: "name", Reason: "has scores of several names: " + strings.Join(slices.Sorted(maps.Keys(l.names)), ", "), Hint: "name the one that counts, as in --column score=NAME"}
		}
		if l.name != "" && !l.names[l.name] {
			return &dataset.FormatError{File: src, Field: "name", Reason: fmt.Sprintf("has no scores named %s, only %s", textfile.Quote(l.name), cmp.Or(strings.Join(slices.Sorted(maps.Keys(l.names)), ", "), "none")), Hint: "name one of them, as in --column score=NAME"}
		}
	}
	return l.flush()
}

// langfuse is an import from Langfuse.
type langfuse struct {
	*means
	name        string              // of the scores that count; empty: all
	names       map[string]bool     // of the scores that there are
	scores      map[string]*repeats // by observation or, with a space before, by trace
	generations map[string]int      // by trace
}

// scan calls fn with every row of a file.
func (l *langfuse) scan(ctx context.Context, path string, hooks scanHooks, fn func(where place, s jsonObject) error) error {
	if hasEnding(path, ".csv") {
		return scanCSV(ctx, path, hooks, func(row int64, r *record) error { return fn(place{path, row}, r.object()) })
	}
	return scanObjects(ctx, path, hooks, func(row int64, s jsonObject) error { return fn(place{path, row}, s) })
}

// text returns the first of some fields that has a value.
func (l *langfuse) text(s jsonObject, fields ...string) string {
	for _, field := range fields {
		if text, _ := scalar(s[field]); text != "" {
			return text
		}
	}
	return ""
}

// scoreType returns the type of a row that is a score, and "" for any other row.
func (l *langfuse) scoreType(s jsonObject) string {
	return strings.ToUpper(l.text(s, "data_type", "dataType"))
}

// isGeneration reports whether a row is an observation of a call of a model.
func (l *langfuse) isGeneration(s jsonObject) bool {
	return strings.EqualFold(l.text(s, "type"), "generation")
}

// look takes in a score, and counts the generations of a trace.
func (l *langfuse) look(where place, s jsonObject) error {
	trace := l.text(s, "trace_id", "traceId")
	if l.isGeneration(s) {
		l.generations[trace]++
		return nil
	}
	switch l.scoreType(s) {
	case "NUMERIC", "BOOLEAN":
	default:
		return nil
	}
	name := l.text(s, "name")
	l.names[name] = true
	if l.name != "" && name != l.name {
		return nil
	}
	x, reason := observed(fieldScore, s["value"])
	if reason == "" && (x > 1 || x < 0) {
		reason = fmt.Sprintf("%v is outside [0,1]", x)
	}
	if reason != "" {
		return l.im.reject(where, "value", reason)
	}
	key := cmp.Or(l.text(s, "observation_id", "observationId"), " "+trace)
	if l.scores[key] == nil {
		l.scores[key] = &repeats{}
	}
	if !math.IsNaN(x) {
		l.scores[key].sums[0] += x
		l.scores[key].counts[0]++
	}
	return nil
}

// row imports a generation.
func (l *langfuse) row(where place, s jsonObject) error {
	im := l.im
	if l.scoreType(s) != "" {
		return nil
	}
	if !l.isGeneration(s) || strings.EqualFold(l.text(s, "level"), "error") {
		return im.skip()
	}
	trace, model := l.text(s, "trace_id", "traceId"), l.text(s, "provided_model_name", "providedModelName", "model")
	input := unpackCell(s["input"])
	prompt := messagesText(input)
	if object, ok := input.(jsonObject); ok {
		prompt = cmp.Or(requestPrompt(object), messageText(object))
	}
	q := dataset.Query{ID: promptID(prompt), Source: cmp.Or(l.text(s, "trace_name", "traceName", "name"), "langfuse"), Prompt: prompt}
	o := dataset.NewOutcome("", model)
	score := l.scores[l.text(s, "id")]
	if score == nil && l.generations[trace] == 1 {
		score = l.scores[" "+trace]
	}
	if score != nil && score.counts[0] > 0 {
		o.Score = score.sums[0] / float64(score.counts[0])
	}
	usage := unpackCell(first(s, "usage_details", "usageDetails"))
	if bad := l.usage(usage, &o); bad != nil {
		return im.reject(where, bad.field, bad.reason)
	}
	cost := at(unpackCell(first(s, "cost_details", "costDetails")), "total")
	for _, field := range []string{"total_cost", "totalCost", "calculated_total_cost", "calculatedTotalCost"} {
		if cost == nil {
			cost = s[field]
		}
	}
	var reason string
	if o.CostUSD, reason = observed(dataset.ColumnCostUSD, cost); reason != "" {
		return im.reject(where, "cost_details.total", reason)
	}
	return l.add(where, q, o, func(field, _ string) string {
		return map[string]string{"id": "input", "prompt": "input", "source": "trace_name"}[field]
	})
}

// first returns the first of some fields that is there.
func first(s jsonObject, fields ...string) any {
	for _, field := range fields {
		if s[field] != nil {
			return s[field]
		}
	}
	return nil
}

// usage sets the tokens of an outcome. Langfuse counts each token under one name.
func (l *langfuse) usage(usage any, o *dataset.Outcome) *fault {
	counts, _ := usage.(jsonObject)
	add := func(to *float64, x float64) {
		if math.IsNaN(*to) {
			*to = 0
		}
		*to += x
	}
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		x, reason := observed(fieldInputTokens, counts[name])
		if reason != "" {
			return &fault{"usage_details." + name, reason}
		}
		if math.IsNaN(x) {
			continue
		}
		switch lower := strings.ToLower(name); {
		case strings.Contains(lower, "cache_creation") || strings.Contains(lower, "cache_write"):
			add(&o.InputTokens, x)
		case strings.Contains(lower, "cache"):
			add(&o.InputTokens, x)
			add(&o.CachedTokens, x)
		case strings.HasPrefix(lower, "input") || strings.HasPrefix(lower, "prompt"):
			add(&o.InputTokens, x)
		case strings.Contains(lower, "reasoning") || strings.Contains(lower, "thoughts"):
			add(&o.OutputTokens, x)
			add(&o.ReasoningTokens, x)
		case strings.HasPrefix(lower, "output") || strings.HasPrefix(lower, "completion"):
			add(&o.OutputTokens, x)
		}
	}
	return nil
}

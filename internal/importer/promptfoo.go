package importer

import (
	"context"
	"math"
	"strings"

	"github.com/carrot-router/carrot/dataset"
)

// importPromptfoo reads results of promptfoo eval -o, in JSON or JSON lines. Every result is
// an outcome of its provider, by label or else id; calls that failed are skipped. The score
// is promptfoo's, the weighted mean of the assertions. Equal prompts are one query, whose id
// is a hash of the prompt, and repeats are averaged.
func importPromptfoo(ctx context.Context, src string, im *importer) error {
	paths, err := sourceFiles(src, "results of promptfoo (.json or .jsonl)", func(name string) bool { return hasEnding(name, ".json", ".jsonl") })
	if err != nil {
		return err
	}
	im.report.IDs = "the MD5 of the prompt"
	m := newMeans(im)
	for _, path := range paths {
		if hasEnding(path, ".jsonl") {
			err = scanObjects(ctx, path, im.hooks(), func(row int64, s jsonObject) error { return m.promptfoo(place{path, row}, s) })
		} else {
			err = m.promptfooFile(ctx, path)
		}
		if err != nil {
			return err
		}
	}
	return m.flush()
}

// promptfooFile reads results in one JSON object.
func (m *means) promptfooFile(ctx context.Context, path string) error {
	f, size, err := openSource(path)
	if err != nil {
		return err
	}
	defer f.Close() // only read from
	count := &countReader{r: f}
	found := false
	err = scanDeep(ctx, count, path, "results.results", func(string, []byte) error { return nil }, func(n int64, raw []byte) error {
		found = true
		if n%64 == 0 {
			m.im.progress(count.n, size)
		}
		v, err := decodeJSON(raw)
		s, ok := v.(jsonObject)
		if err != nil || !ok {
			return m.im.reject(place{path, n}, "", "is not a JSON object")
		}
		return m.promptfoo(place{path, n}, s)
	})
	if err == nil && !found {
		err = &dataset.FormatError{File: path, Field: "results.results", Reason: "is missing or empty", Hint: "write the results with promptfoo eval -o results.json"}
	}
	return err
}

// promptfoo imports one result.
func (m *means) promptfoo(where place, s jsonObject) error {
	im := m.im
	text := func(path ...string) string {
		v, _ := scalar(at(s, path...))
		return v
	}
	if text("failureReason") == "2" || at(s, "response", "error") != nil || at(s, "response") == nil && at(s, "error") != nil {
		return im.skip() // the call has failed
	}
	model := text("provider")
	for _, name := range []string{"id", "label"} {
		if v := text("provider", name); v != "" {
			model = v
		}
	}
	prompt := messagesText(at(s, "prompt", "raw"))
	q := dataset.Query{ID: promptID(prompt), Source: "promptfoo", Prompt: prompt}
	o := dataset.NewOutcome("", model)
	var reason string
	score, field := s["score"], "score"
	if score == nil {
		score, field = s["success"], "success"
	}
	if o.Score, reason = observed(fieldScore, score); reason != "" {
		return im.reject(where, field, reason)
	}
	usage := at(s, "response", "tokenUsage")
	for _, f := range []struct {
		field string
		path  []string
	}{{fieldInputTokens, []string{"prompt"}}, {fieldOutputTokens, []string{"completion"}},
		{dataset.ColumnReasoningTokens, []string{"completionDetails", "reasoning"}}, {dataset.ColumnCachedTokens, []string{"completionDetails", "cacheReadInputTokens"}}} {
		x, reason := observed(f.field, at(usage, f.path...))
		if reason != "" {
			return im.reject(where, "response.tokenUsage."+strings.Join(f.path, "."), reason)
		}
		*value(&o, f.field) = x
	}
	if o.InputTokens == 0 && o.OutputTokens == 0 { // nothing was reported
		o.InputTokens, o.OutputTokens, o.CachedTokens, o.ReasoningTokens = math.NaN(), math.NaN(), math.NaN(), math.NaN()
	}
	if text("response", "cached") != "true" { // an answer from promptfoo's cache costs nothing
		if o.CostUSD, reason = observed(dataset.ColumnCostUSD, at(s, "response", "cost")); reason != "" {
			return im.reject(where, "response.cost", reason)
		}
	}
	return m.add(where, q, o, func(name, _ string) string {
		return map[string]string{"id": "prompt.raw", "prompt": "prompt.raw", "model": "provider", "score": field}[name]
	})
}

package importer

import (
	"cmp"
	"context"
	"crypto/md5"
	"encoding/hex"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/dataset"
)

// importLLMRouter reads the routing data of LLMRouter: JSON lines, or one list,
// of objects with query, task_name, model_name, performance, input_tokens and
// output_tokens, one for each query and model. A folder is searched for files
// with "routing" in their name and for the list of models, default_llm.json,
// which has prices. A file with "train" or "test" in its name is in that split. A
// query has no id of its own: its id is task/hash, where the hash is of its text
// with its choices, its answer and its metric.
func importLLMRouter(ctx context.Context, src string, im *importer) error {
	paths, err := sourceFiles(src, "JSON file with routing in its name", func(name string) bool {
		return hasEnding(name, ".jsonl", ".json") && (strings.Contains(name, "routing") || isModelList(name))
	})
	if err != nil {
		return err
	}
	im.report.IDs = "task_name/hash"
	im.prices = make(map[string][2]float64)
	heldOutFirst(paths)
	for _, path := range paths {
		if isModelList(filepath.Base(path)) && path != src {
			if err := im.readModelList(path); err != nil {
				return err
			}
			continue
		}
		split := splitOfFile(path)
		err := scanObjects(ctx, path, im.hooks(), func(row int64, s jsonObject) error {
			return im.llmRouterRow(place{path, row}, split, s)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func isModelList(name string) bool { return hasEnding(name, "llm.json") }

// llmRouterRow imports the outcome of one model on one query.
func (im *importer) llmRouterRow(where place, split dataset.Split, s jsonObject) error {
	text := func(field string) string {
		v, _ := scalar(s[field])
		return v
	}
	q := dataset.Query{Split: split, Source: text("task_name"), Prompt: text("query")}
	if q.Prompt == "" {
		return im.reject(where, "query", "is missing or empty")
	}
	if answers := choices(unpack(s["choices"])); answers != "" {
		q.Prompt += "\n" + answers
	}
	hash := md5.New()
	for _, part := range []string{q.Prompt, text("ground_truth"), text("metric")} {
		io.WriteString(hash, part+"\x00") // a hash returns no error
	}
	q.ID = cmp.Or(q.Source, "query") + "/" + hex.EncodeToString(hash.Sum(nil)[:8])
	o := dataset.NewOutcome("", text("model_name"))
	for _, f := range []struct{ field, name string }{{fieldScore, "performance"}, {fieldInputTokens, "input_tokens"}, {fieldOutputTokens, "output_tokens"}} {
		x, reason := observed(f.field, s[f.name])
		if reason != "" {
			return im.reject(where, f.name, reason)
		}
		*value(&o, f.field) = x
	}
	return im.add(where, q, []dataset.Outcome{o}, func(field, _ string) string {
		return map[string]string{"id": "task_name", "source": "task_name", "prompt": "query", "model": "model_name", "score": "performance"}[field]
	})
}

// readModelList reads the prices of default_llm.json: an object with one object
// for each model, which has input_price and output_price in USD per million
// tokens.
func (im *importer) readModelList(path string) error {
	list, err := readObject(path)
	if err != nil {
		return err
	}
	for _, model := range slices.Sorted(maps.Keys(list)) {
		var p [2]float64
		for i, field := range []string{"input_price", "output_price"} {
			x, reason := observed(dataset.ColumnCostUSD, at(list[model], field))
			if reason != "" {
				return &dataset.FormatError{File: path, Field: model + "." + field, Reason: reason, Hint: "prices are in USD per million tokens"}
			}
			p[i] = x
		}
		if p[0] >= 0 && p[1] >= 0 { // neither is NaN
			im.prices[model] = p
		}
	}
	return nil
}

package importer

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/textfile"
)

// openHandsTasks are the benchmarks of the OpenHands index that are imported, each with
// what its agents were asked to do with an issue.
var openHandsTasks = []struct{ name, ask string }{
	{"swe-bench", "Resolve this issue in the repository "},
	{"swt-bench", "Write a test that reproduces this issue in the repository "},
}

// importOpenHands reads a clone of the OpenHands index (results/MODEL/instance_results) and,
// after a comma, the issues of SWE-bench Verified, which the index does not have: a table or
// JSON lines with instance_id, repo and problem_statement. A score is whether the task was
// resolved; tasks of unknown result are skipped, and so are issues that are not among the
// given ones. Costs are those of the index, where 0 stands for unknown. The id of a query is
// BENCHMARK/INSTANCE, and an issue that is in both benchmarks is in one split.
func importOpenHands(ctx context.Context, src string, im *importer) error {
	clone, issuesFile, ok := strings.Cut(src, ",")
	if _, err := os.Stat(clone); err != nil {
		return &dataset.FormatError{File: clone, Reason: "open: " + textfile.Cause(err), Err: err}
	}
	if !ok {
		return &dataset.FormatError{File: src, Reason: "has no issues: the index holds their ids only", Hint: "name a file of SWE-bench Verified after a comma: openhands-index-results,swe-bench-verified.parquet"}
	}
	im.report.IDs = "benchmark/instance"
	issues, err := readIssues(ctx, issuesFile)
	if err != nil {
		return err
	}
	results := filepath.Join(clone, "results")
	if _, err := os.Stat(results); err != nil {
		results = clone
	}
	found, err := filepath.Glob(filepath.Join(globQuoted(results), "*", "instance_results"))
	if err != nil || len(found) == 0 {
		return &dataset.FormatError{File: clone, Reason: "holds no results/MODEL/instance_results", Hint: "name a clone of the repository OpenHands/openhands-index-results"}
	}
	slices.Sort(found)
	im.prices = make(map[string][2]float64)
	for i, folder := range found {
		model := filepath.Dir(folder)
		if err := im.openHandsPrice(filepath.Join(model, "metadata.json"), filepath.Base(model)); err != nil {
			return err
		}
		for _, task := range openHandsTasks {
			path := filepath.Join(folder, task.name+".json")
			if _, err := os.Stat(path); os.IsNotExist(err) {
				continue
			}
			if err := im.openHandsFile(ctx, path, filepath.Base(model), task.name, task.ask, issues); err != nil {
				return err
			}
		}
		im.progress(int64(i+1), int64(len(found)))
	}
	if im.w.Queries() == 0 {
		return &dataset.FormatError{File: issuesFile, Field: "instance_id", Reason: "none of the issues is in the index", Hint: "name a file of SWE-bench Verified"}
	}
	return nil
}

// globQuoted returns a path as a pattern that matches it alone.
func globQuoted(path string) string {
	return strings.NewReplacer(`\`, `\\`, `[`, `\[`, `*`, `\*`, `?`, `\?`).Replace(path)
}

// issue is an issue of SWE-bench.
type issue struct{ repo, text string }

// readIssues reads issues by their instance ids.
func readIssues(ctx context.Context, path string) (map[string]issue, error) {
	columns := []string{"instance_id", "repo", "problem_statement"}
	issues := make(map[string]issue)
	hooks := scanHooks{columns: func(all []string) ([]string, error) { return columns, nil }}
	scan := scanJSONL
	if isTable(path) {
		scan = scanTable
	}
	return issues, scan(ctx, path, hooks, func(row int64, r *record) error {
		var values [3]string
		for i, column := range columns {
			if values[i], _ = r.get(column); values[i] == "" {
				return &dataset.FormatError{File: path, Line: int(row), Field: column, Reason: "is missing or empty", Hint: "the file must be one of SWE-bench, with instance_id, repo and problem_statement"}
			}
		}
		issues[values[0]] = issue{values[1], values[2]}
		return nil
	})
}

// openHandsPrice notes the prices of a model, if the index has them.
func (im *importer) openHandsPrice(path, model string) error {
	metadata, err := readObject(path)
	if err != nil {
		return err
	}
	var usd [2]float64
	for i, field := range []string{"input_price", "output_price"} {
		x, reason := observed(dataset.ColumnCostUSD, metadata[field])
		if reason != "" {
			return &dataset.FormatError{File: path, Field: field, Reason: reason, Hint: "want a price in USD per million tokens"}
		}
		usd[i] = x
	}
	if !math.IsNaN(usd[0]) && !math.IsNaN(usd[1]) {
		im.prices[model] = usd
	}
	return nil
}

// openHandsFile reads the results of a model on a benchmark.
func (im *importer) openHandsFile(ctx context.Context, path, model, task, ask string, issues map[string]issue) error {
	f, _, err := openSource(path)
	if err != nil {
		return err
	}
	defer f.Close() // only read from
	n := int64(0)
	return scanDeep(ctx, f, path, "", func(id string, raw []byte) error {
		if n++; n%64 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		where := place{path, n}
		var result struct{ Resolved, Cost any }
		if err := decodeInto(raw, &result); err != nil {
			return im.reject(where, short(id), "is not an object with resolved and cost")
		}
		about, known := issues[id]
		if result.Resolved == nil || !known {
			return im.skip()
		}
		o := dataset.NewOutcome("", model)
		switch resolved, ok := result.Resolved.(bool); {
		case !ok:
			return im.reject(where, short(id)+".resolved", "is neither true, false nor null")
		case resolved:
			o.Score = 1
		default:
			o.Score = 0
		}
		var reason string
		if o.CostUSD, reason = observed(dataset.ColumnCostUSD, result.Cost); reason != "" {
			return im.reject(where, short(id)+".cost", reason)
		}
		if o.CostUSD == 0 { // no task costs nothing
			o.CostUSD = math.NaN()
		}
		q := dataset.Query{ID: task + "/" + id, Source: task, Split: dataset.SplitOf(about.text), Prompt: ask + about.repo + ":\n\n" + about.text}
		return im.add(where, q, []dataset.Outcome{o}, nil)
	}, func(int64, []byte) error { return nil })
}

// short returns a name for an error.
func short(name string) string {
	if len(name) > 80 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
		return "an instance"
	}
	return name
}

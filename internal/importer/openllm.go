package importer

import (
	"context"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/dataset"
)

// sampleName matches the name of a file of samples of lm-evaluation-harness.
var sampleName = regexp.MustCompile(`^samples_(.+)_(\d{4}-\d{2}-\d{2}T[0-9.:+-]+?)\.(jsonl?(\.gz)?|parquet)$`)

// detailPath matches the end of the path of samples in Parquet, as Hugging Face converts a
// repository of details: org__model__task/split/0000.parquet, where split is latest or a date.
var detailPath = regexp.MustCompile(`([^/]+?__[^/]+?)__([^/]+)/([^/]+)/\d+\.parquet$`)

// openLLMMetrics are the scores of a sample, the preferred one first. On the
// leaderboard's tasks each sample has one of them: prompt_level_strict_acc in
// IFEval, exact_match in MATH, acc_norm in BBH, GPQA and MuSR, acc in MMLU-Pro.
var openLLMMetrics = []string{"prompt_level_strict_acc", "exact_match", "acc_norm", "acc"}

// importOpenLLM reads samples of lm-evaluation-harness, among them the details of Open LLM
// Leaderboard v2: folders named org__model or org__model-details that hold
// samples_<task>_<date>.jsonl or .parquet, or the Parquet files into which Hugging Face
// converts them. If a task has files of several dates, only the last is read. The id of a
// query is task/doc_id.
func importOpenLLM(ctx context.Context, src string, im *importer) error {
	paths, err := sourceFiles(src, "samples_<task>_<date>.jsonl", func(name string) bool {
		return sampleName.MatchString(name) || strings.HasSuffix(name, ".parquet")
	})
	if err != nil {
		return err
	}
	files, err := openLLMFiles(paths)
	if err != nil {
		return err
	}
	im.report.IDs = "task/doc_id"
	im.prices = make(map[string][2]float64)
	for _, f := range files {
		if usd, ok := sizePrice(f.model); ok {
			im.prices[f.model] = [2]float64{usd, usd}
		}
		f.im = im
		for _, path := range f.paths {
			f.path = path
			if err := f.scan(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// openLLMFile is the file of the samples of one model on one task.
type openLLMFile struct {
	path, model, task, date string
	paths                   []string // its parts

	im     *importer
	filter string // of the first sample; samples with another filter are the same answers, scored again
}

// openLLMFiles returns the last file of each model and task, sorted by model and
// task.
func openLLMFiles(paths []string) ([]*openLLMFile, error) {
	var files []*openLLMFile
	for _, path := range paths {
		whole, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		if m := detailPath.FindStringSubmatch(filepath.ToSlash(whole)); m != nil {
			files = lastSamples(files, &openLLMFile{model: strings.Replace(m[1], "__", "/", 1), task: strings.TrimPrefix(m[2], "leaderboard_"), date: m[3], paths: []string{path}})
			continue
		}
		m := sampleName.FindStringSubmatch(filepath.Base(path))
		if m == nil {
			return nil, &dataset.FormatError{File: path, Reason: "is not named samples_<task>_<date>.jsonl", Hint: "the task is read from the file's name and the model from the folder's"}
		}
		folder := strings.TrimSuffix(filepath.Base(filepath.Dir(whole)), "-details")
		f := &openLLMFile{path: path, paths: []string{path}, model: strings.Replace(folder, "__", "/", 1), task: strings.TrimPrefix(m[1], "leaderboard_"), date: m[2]}
		at := slices.IndexFunc(files, func(g *openLLMFile) bool { return g.model == f.model && g.task == f.task })
		switch {
		case at < 0:
			files = append(files, f)
		case files[at].date == f.date:
			return nil, &dataset.FormatError{File: path, Reason: "has the same model, task and date as " + files[at].path, Hint: "keep one of the two"}
		case files[at].date < f.date:
			files[at] = f
		}
	}
	slices.SortFunc(files, func(a, b *openLLMFile) int {
		return strings.Compare(a.model+"\x00"+a.task, b.model+"\x00"+b.task)
	})
	return files, nil
}

// lastSamples adds samples to a list, unless it has later ones of the model and task. Several
// files of one date are parts.
func lastSamples(files []*openLLMFile, f *openLLMFile) []*openLLMFile {
	at := slices.IndexFunc(files, func(g *openLLMFile) bool { return g.model == f.model && g.task == f.task })
	switch {
	case at < 0:
		return append(files, f)
	case files[at].date == f.date:
		files[at].paths = append(files[at].paths, f.paths...)
	case files[at].date < f.date: // latest is after all dates
		files[at] = f
	}
	return files
}

// scan reads a file of samples.
func (f *openLLMFile) scan(ctx context.Context) error {
	if !strings.HasSuffix(f.path, ".parquet") {
		return scanObjects(ctx, f.path, f.im.hooks(), f.sample)
	}
	return scanParquet(ctx, f.path, f.im.hooks(), func(row int64, r *record) error {
		s := make(jsonObject)
		for i, column := range r.columns {
			if r.present[i] {
				nest(s, strings.Split(column, "."), r.values[i])
			}
		}
		return f.sample(row, s)
	})
}

// nest sets the value at a path of field names.
func nest(object jsonObject, path []string, value string) {
	for _, name := range path[:len(path)-1] {
		inner, ok := object[name].(jsonObject)
		if !ok {
			inner = make(jsonObject)
			object[name] = inner
		}
		object = inner
	}
	object[path[len(path)-1]] = value
}

// sample imports one sample.
func (f *openLLMFile) sample(row int64, s jsonObject) error {
	where := place{f.path, row}
	filter, _ := s["filter"].(string)
	if f.filter == "" {
		f.filter = filter
	}
	if filter != f.filter {
		return f.im.skip()
	}
	id, ok := scalar(s["doc_id"])
	if !ok {
		return f.im.reject(where, "doc_id", "is missing or empty")
	}
	metric := ""
	for _, m := range openLLMMetrics {
		if s[m] != nil {
			metric = m
			break
		}
	}
	if list, ok := unpack(s["metrics"]).([]any); ok && metric == "" { // of other tasks; the first that is a number counts
		for _, m := range list {
			name, _ := m.(string)
			if x, reason := observed(fieldScore, s[name]); name != "" && s[name] != nil && reason == "" && x >= 0 && x <= 1 {
				metric = name
				break
			}
		}
	}
	if metric == "" {
		return f.im.reject(where, openLLMMetrics[0], "is missing, and so are "+strings.Join(openLLMMetrics[1:], ", "))
	}
	sent := argumentsPrompt(s["arguments"])
	q := dataset.Query{ID: f.task + "/" + id, Source: f.task, Prompt: docPrompt(s["doc"])}
	if q.Prompt == "" {
		q.Prompt = sent
	}
	if sent == "" {
		sent = q.Prompt
	}
	o, reason := dataset.NewOutcome("", f.model), ""
	if o.Score, reason = observed(fieldScore, s[metric]); reason != "" {
		return f.im.reject(where, metric, reason)
	}
	if f.im.opt.CountTokens != nil {
		o.InputTokens = f.im.promptTokens(sent)
		if text, ok := generated(s); ok {
			o.OutputTokens = f.im.countTokens(text)
		} else if s["resps"] != nil || !strings.HasSuffix(f.path, ".parquet") {
			o.OutputTokens = 1 // one letter, as the answer is chosen by likelihood
		}
	}
	return f.im.add(where, q, []dataset.Outcome{o}, func(field, _ string) string {
		return map[string]string{"id": "doc_id", "prompt": "doc", "score": metric}[field]
	})
}

// generated returns the text that the model wrote. Tasks that choose by
// likelihood have pairs of a log-probability and a truth value instead.
func generated(s jsonObject) (text string, ok bool) {
	for _, v := range []any{unpack(s["resps"]), unpack(s["filtered_resps"])} {
		for range 3 {
			list, isList := v.([]any)
			if !isList || len(list) == 0 || isLikelihood(list) {
				break
			}
			v = list[0]
		}
		if text, ok = v.(string); ok {
			return text, true
		}
	}
	return "", false
}

// isLikelihood reports whether a list is a pair of a log-probability and whether
// it was the greedy choice.
func isLikelihood(list []any) bool {
	if len(list) != 2 {
		return false
	}
	greedy, ok := scalar(list[1])
	return ok && (greedy == "True" || greedy == "False" || greedy == "true" || greedy == "false")
}

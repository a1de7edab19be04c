package importer

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/textfile"
)

// zeroEvalTasks are the tasks that are imported, in the order of the queries.
var zeroEvalTasks = []string{"gsm", "crux", "math-l5"}

// importZeroEval reads the results that ZeroEval publishes: the folder
// result_dirs of its repository, which holds for each task a folder with a JSON
// list for each model. The models are those of zeroeval.json. The id of a query
// is task/session_id and its source the task. Its split and its input tokens are
// those of the prompt as it was sent; the text is without the instructions that
// are the same in all prompts. Scores are those of the benchmark's own matching
// of answers, see [zeroEvalScore].
func importZeroEval(ctx context.Context, src string, im *importer) error {
	list := zeroEvalModels()
	root, err := list.folder(src, "result_dirs")
	if err != nil {
		return err
	}
	files, err := zeroEvalFiles(root, list)
	if err != nil {
		return err
	}
	im.report.IDs = "task/session_id"
	list.use(im)
	for _, task := range zeroEvalTasks {
		for k, m := range list.Models {
			if !slices.ContainsFunc(files, func(f *zeroEvalFile) bool { return f.task == task && f.model == k }) {
				im.report.Missing = append(im.report.Missing, task+"/"+m.Name)
			}
		}
	}
	if len(files) == 0 {
		return list.noneListed(src, "result_dirs/"+zeroEvalTasks[0]+"/*.json of the listed models")
	}
	hooks := im.hooks()
	hooks.progress = nil // counted in files, which are many and small
	for i, f := range files {
		f.im = im
		if err := scanObjects(ctx, f.path, hooks, f.row); err != nil {
			return err
		}
		im.progress(int64(i+1), int64(len(files)))
	}
	return nil
}

// zeroEvalFile holds the results of one model on one task.
type zeroEvalFile struct {
	im         *importer
	path, task string
	name       string // of the model in the source
	model      int    // its number in the list
}

// zeroEvalFiles returns the listed files, by task and then by name.
func zeroEvalFiles(root string, list *listing) ([]*zeroEvalFile, error) {
	var files []*zeroEvalFile
	for _, task := range zeroEvalTasks {
		entries, err := os.ReadDir(filepath.Join(root, task)) // sorted by name
		if err != nil && !os.IsNotExist(err) {
			return nil, &dataset.FormatError{File: filepath.Join(root, task), Reason: "read: " + textfile.Cause(err), Err: err}
		}
		for _, e := range entries {
			name, isJSON := strings.CutSuffix(e.Name(), ".json")
			f := &zeroEvalFile{path: filepath.Join(root, task, e.Name()), task: task, name: name, model: list.model(task, name)}
			if e.IsDir() || !isJSON || f.model < 0 {
				continue
			}
			if twin := slices.IndexFunc(files, func(g *zeroEvalFile) bool { return g.task == task && g.model == f.model }); twin >= 0 {
				return nil, &dataset.FormatError{File: f.path, Reason: "has the same task and model as " + filepath.Base(files[twin].path), Hint: "keep one of the two"}
			}
			files = append(files, f)
		}
	}
	return files, nil
}

// zeroEvalNames are the source's names for the fields of the common form.
func zeroEvalNames(field, _ string) string {
	return map[string]string{"id": "session_id", "prompt": "chat_history", "score": "output"}[field]
}

// row imports the answer to one query.
func (f *zeroEvalFile) row(row int64, s jsonObject) error {
	where := place{f.path, row}
	id, ok := scalar(s["session_id"])
	if !ok || id == "" {
		return f.im.reject(where, "session_id", "is missing or empty")
	}
	sent, ok := only(s["chat_history"])
	if !ok {
		return f.im.reject(where, "chat_history", "is not a list with one prompt")
	}
	text, reason := zeroEvalPrompt(f.task, sent)
	if reason != "" {
		return f.im.reject(where, "chat_history", reason)
	}
	output, ok := only(s["output"])
	if !ok {
		return f.im.reject(where, "output", "is not a list with one text")
	}
	correct, ok := scalar(s["answer"])
	if !ok {
		return f.im.reject(where, "answer", "is missing")
	}
	answer, found := zeroEvalAnswer(f.name, output)
	o := dataset.NewOutcome("", f.im.listed.Models[f.model].Name)
	o.Score, o.InputTokens, o.OutputTokens = 0, f.im.promptTokens(sent), f.im.countTokens(output)
	hash := ""
	if found {
		o.Score, hash = zeroEvalScore(f.task, answer, correct), zeroEvalHash(f.task, answer)
	}
	q := dataset.Query{ID: f.task + "/" + id, Split: dataset.SplitOf(sent), Source: f.task, Prompt: text}
	return f.im.addAnswered(where, q, o, hash, zeroEvalNames)
}

// only returns the text of a list that holds nothing else.
func only(v any) (text string, ok bool) {
	list, _ := v.([]any)
	if len(list) != 1 {
		return "", false
	}
	text, ok = list[0].(string)
	return text, ok
}

// What surrounds the question in a prompt of ZeroEval, and the assertion in a
// question of CRUXEval.
const (
	zeroEvalBefore = "## Question: \n\n"
	zeroEvalAfter  = "\n\n\n## Instruction \n"
	cruxBefore     = "[PYTHON]\n"
	cruxAfter      = "\n[/PYTHON]"
	// cruxInstruction stands in place of CRUXEval's instruction, of which it says
	// what matters: without it the text would be code and no question.
	cruxInstruction = "Complete the assertion with the value that the function returns.\n"
)

// zeroEvalPrompt returns a prompt without its constant instructions, or what is
// wrong with it.
func zeroEvalPrompt(task, sent string) (text, reason string) {
	text, ok := between(sent, zeroEvalBefore, zeroEvalAfter)
	if !ok {
		return "", "has no question between " + textfile.Quote(zeroEvalBefore) + " and " + textfile.Quote(zeroEvalAfter)
	}
	if task != "crux" {
		return text, ""
	}
	if text, ok = between(text, cruxBefore, cruxAfter); !ok {
		return "", "has no assertion between " + textfile.Quote(cruxBefore) + " and " + textfile.Quote(cruxAfter)
	}
	return cruxInstruction + text, ""
}

// between returns what stands between the first before and the last after.
func between(text, before, after string) (string, bool) {
	_, rest, ok := strings.Cut(text, before)
	end := strings.LastIndex(rest, after)
	if !ok || end < 0 {
		return "", false
	}
	return rest[:end], true
}

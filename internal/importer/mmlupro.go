package importer

import (
	"archive/zip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/textfile"
)

// mmluProName matches the name of a file of results with five shots, and the
// model in it. The repository has zipped files; older commits have plain ones.
var mmluProName = regexp.MustCompile(`^model_outputs_(.+)_5shots(?:\.json)?(\.zip|\.json)$`)

// importMMLUPro reads the results that MMLU-Pro publishes: the folder
// eval_results of its repository, which holds a zipped JSON list for each model.
// The models are those of mmlupro.json. The id of a query is
// mmlu-pro/question_id and its source mmlu-pro/category. Its prompt is the
// question and the options, a letter before each, without the examples that were
// sent before it. If files have different texts for one question, the first in
// the order of their paths counts, also if its model is not listed; that is also
// the order of the queries. The score is 1 if the recorded pred is the answer.
func importMMLUPro(ctx context.Context, src string, im *importer) error {
	list := mmluProModels()
	root, err := list.folder(src, "eval_results")
	if err != nil {
		return err
	}
	files, err := mmluProFiles(root, list)
	if err != nil {
		return err
	}
	im.report.IDs = "mmlu-pro/question_id"
	list.use(im)
	for k, m := range list.Models {
		if !slices.ContainsFunc(files, func(f *mmluProFile) bool { return f.model == k }) {
			im.report.Missing = append(im.report.Missing, m.Name)
		}
	}
	if len(files) == 0 {
		return list.noneListed(src, "eval_results/model_outputs_*_5shots.zip of the listed models")
	}
	queries := make(map[string]dataset.Query)
	for i, f := range files {
		f.im, f.queries = im, queries
		if err := f.read(ctx); err != nil {
			return err
		}
		im.progress(int64(i+1), int64(len(files)))
	}
	return nil
}

// mmluProFile holds the results of one model.
type mmluProFile struct {
	im      *importer
	path    string
	model   int                      // its number in the list, or -1
	queries map[string]dataset.Query // by question_id, as the first file has them
}

// mmluProFiles returns the files by their paths, up to the last that is listed.
func mmluProFiles(root string, list *listing) ([]*mmluProFile, error) {
	entries, err := os.ReadDir(root) // sorted by name
	if err != nil {
		return nil, &dataset.FormatError{File: root, Reason: "read: " + textfile.Cause(err), Err: err}
	}
	var files []*mmluProFile
	end := 0
	for _, e := range entries {
		m := mmluProName.FindStringSubmatch(e.Name())
		if e.IsDir() || m == nil {
			continue
		}
		f := &mmluProFile{path: filepath.Join(root, e.Name()), model: list.model("", m[1])}
		if twin := slices.IndexFunc(files, func(g *mmluProFile) bool { return f.model >= 0 && g.model == f.model }); twin >= 0 {
			return nil, &dataset.FormatError{File: f.path, Reason: "has the same model as " + filepath.Base(files[twin].path), Hint: "keep one of the two"}
		}
		if files = append(files, f); f.model >= 0 {
			end = len(files)
		}
	}
	return files[:end], nil
}

// read reads the file. Of a file that is not listed only the questions are used,
// so that faults in its form do not matter.
func (f *mmluProFile) read(ctx context.Context) error {
	r, err := openZipped(f.path)
	if err == nil {
		defer r.Close() // only read from
		err = scanTexts(ctx, r, f.path, f.element)
	}
	bad, fault := errors.AsType[*dataset.FormatError](err)
	switch {
	case fault && f.model < 0:
		return nil
	case fault && bad.Hint == "": // the archive is cut or damaged
		bad.Hint = hintFetch
	}
	return err
}

// element imports one element of the list. Some lists hold names of subjects
// after the answers, which come from a summary.
func (f *mmluProFile) element(l *textfile.Reader, text []byte) error {
	object, bad := parseObject(l, text)
	switch {
	case f.model < 0 && bad == nil:
		if q, bad := f.question(object); bad == nil && f.im.check(&q, nil, nil) == nil {
			return f.im.addQuery(q) // in the order in which questions come
		}
		return nil
	case f.model < 0:
		return nil
	case len(text) > 0 && text[0] == '"':
		return f.im.skip()
	case bad != nil:
		return f.im.unreadable((*dataset.FormatError)(bad))
	}
	return f.row(int64(l.Line()), object)
}

// mmluProNames are the source's names for the fields of the common form.
func mmluProNames(field, _ string) string {
	return map[string]string{"id": "question_id", "prompt": "question", "source": "category", "score": "pred"}[field]
}

// row imports the answer to one question.
func (f *mmluProFile) row(row int64, s jsonObject) error {
	where := place{f.path, row}
	q, bad := f.question(s)
	if bad != nil {
		return f.im.reject(where, bad.field, bad.reason)
	}
	correct, _ := s["answer"].(string)
	if correct == "" {
		return f.im.reject(where, "answer", "is missing or is not a letter")
	}
	if v, known := s["pred"]; !known {
		return f.im.reject(where, "pred", "is missing")
	} else if _, isText := v.(string); v != nil && !isText {
		return f.im.reject(where, "pred", "is neither a letter nor null")
	}
	pred, _ := s["pred"].(string) // "" if no answer was found
	o := dataset.NewOutcome("", f.im.listed.Models[f.model].Name)
	o.Score, o.InputTokens = 0, f.im.promptTokens(q.Prompt)
	if pred == correct {
		o.Score = 1
	}
	for _, field := range []string{"model_outputs", "generated_text"} {
		if output, ok := s[field].(string); ok {
			o.OutputTokens = f.im.countTokens(output)
			break
		}
	}
	return f.im.addAnswered(where, q, o, answerHash(pred), mmluProNames)
}

// question returns the query that a row is about, as the first file has it, or
// what is wrong with it.
func (f *mmluProFile) question(s jsonObject) (dataset.Query, *fault) {
	id, ok := scalar(s["question_id"])
	if !ok || id == "" {
		return dataset.Query{}, &fault{"question_id", "is missing or empty"}
	}
	if q, known := f.queries[id]; known {
		return q, nil
	}
	question, ok := s["question"].(string)
	if !ok {
		return dataset.Query{}, &fault{"question", "is missing or is not a text"}
	}
	category, ok := s["category"].(string)
	if !ok {
		return dataset.Query{}, &fault{"category", "is missing or is not a text"}
	}
	options, ok := optionTexts(s["options"])
	if !ok {
		return dataset.Query{}, &fault{"options", "is not a list of 1 to 26 texts"}
	}
	q := dataset.Query{ID: "mmlu-pro/" + id, Source: "mmlu-pro/" + category, Prompt: question}
	for i, option := range options {
		q.Prompt += "\n" + string(rune('A'+i)) + ". " + option
	}
	f.queries[id] = q
	return q, nil
}

// optionTexts returns the options of a question, which are a list or a text that
// holds a list as Python writes it. "N/A" fills up lists and is no option.
func optionTexts(v any) (options []string, ok bool) {
	switch v := v.(type) {
	case string:
		if options, ok = pythonList(v); !ok {
			return nil, false
		}
	case []any:
		for _, item := range v {
			option, isText := item.(string)
			if !isText {
				return nil, false
			}
			options = append(options, option)
		}
	}
	options = slices.DeleteFunc(options, func(option string) bool { return option == "N/A" })
	return options, 0 < len(options) && len(options) <= 26
}

// pythonList reads a list of texts in quotes, as Python's repr writes it.
func pythonList(text string) (items []string, ok bool) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), "[")
	for ok {
		if rest = strings.TrimLeft(rest, " \t\r\n"); rest == "]" {
			return items, true
		}
		var item string
		if item, rest, ok = pythonString(rest); !ok {
			return nil, false
		}
		items = append(items, item)
		if rest = strings.TrimLeft(rest, " \t\r\n"); rest != "]" {
			rest, ok = strings.CutPrefix(rest, ",")
		}
	}
	return nil, false
}

// pythonString reads the text in quotes with which s begins.
func pythonString(s string) (item, rest string, ok bool) {
	if s == "" || s[0] != '\'' && s[0] != '"' {
		return "", "", false
	}
	quote := s[0]
	var b strings.Builder
	for s = s[1:]; s != ""; {
		if s[0] == quote {
			return b.String(), s[1:], true
		}
		r, tail := rune(0), ""
		if len(s) > 1 && s[0] == '\\' && (s[1] == '\'' || s[1] == '"') { // of which Go knows only one at a time
			r, tail = rune(s[1]), s[2:]
		} else {
			var err error
			if r, _, tail, err = strconv.UnquoteChar(s, 0); err != nil {
				return "", "", false
			}
		}
		b.WriteRune(r)
		s = tail
	}
	return "", "", false
}

const hintFetch = "fetch the file again; a partial clone lacks large files"

// openZipped opens a file or, if it is a zip archive, the one JSON file in it.
func openZipped(path string) (io.ReadCloser, error) {
	if !strings.HasSuffix(path, ".zip") {
		f, _, err := openSource(path)
		return f, err
	}
	archive, err := zip.OpenReader(path)
	if err != nil {
		return nil, &dataset.FormatError{File: path, Reason: "is not a zip archive: " + textfile.Cause(err), Hint: hintFetch, Err: err}
	}
	at := slices.IndexFunc(archive.File, func(f *zip.File) bool {
		return strings.HasSuffix(f.Name, ".json") && !strings.HasPrefix(filepath.Base(f.Name), ".") // those of macOS
	})
	if at < 0 {
		archive.Close()
		return nil, &dataset.FormatError{File: path, Reason: "the archive holds no JSON file", Hint: hintFetch}
	}
	f, err := archive.File[at].Open()
	if err != nil {
		archive.Close()
		return nil, &dataset.FormatError{File: path, Reason: "cannot be unpacked: " + textfile.Cause(err), Hint: hintFetch, Err: err}
	}
	return &zippedFile{f, archive}, nil
}

// zippedFile is a file in an archive.
type zippedFile struct {
	io.ReadCloser
	archive *zip.ReadCloser
}

// Close closes the file and the archive.
func (z *zippedFile) Close() error { return errors.Join(z.ReadCloser.Close(), z.archive.Close()) }

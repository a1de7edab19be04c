package importer

import (
	"context"
	"crypto/md5"
	"os"
	"strings"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/textfile"
)

const hintBatch = "name the folder that holds the input and output files of the batch, or the two files as INPUT,OUTPUT"

// importBatch reads batches of the OpenAI API: a folder of JSON lines files, or
// the names of files with commas between them. A line with a body is a request;
// a line with a response or an error is an answer. custom_id joins them and is
// the id of the query; requests with the same custom_id in several batches, as
// when a batch is sent to several models, must have the same prompt. The files
// are read twice, first for requests, so answers may be in any order; only two
// hashes of each request stay in memory, about 64 bytes. There are no scores. A
// request without an answer is a query of which nothing was observed.
func importBatch(ctx context.Context, src string, im *importer) error {
	var paths []string
	names := []string{src}
	if _, err := os.Stat(src); err != nil {
		names = strings.Split(src, ",")
	}
	for _, name := range names {
		some, err := sourceFiles(name, ".jsonl file", func(name string) bool { return hasEnding(name, ".jsonl") })
		if err != nil {
			return err
		}
		paths = append(paths, some...)
	}
	im.report.IDs = "custom_id"
	b := &batchImport{im: im}
	for _, path := range paths {
		err := scanObjects(ctx, path, im.hooks(), func(row int64, s jsonObject) error { return b.request(place{path, row}, s) })
		if err != nil {
			return err
		}
	}
	if b.requests == 0 {
		return &dataset.FormatError{File: src, Field: "body", Reason: "no line is a request", Hint: hintBatch}
	}
	if b.answers == 0 {
		return &dataset.FormatError{File: src, Field: "response", Reason: "no line is an answer", Hint: hintBatch}
	}
	hooks := im.hooks()
	hooks.bad = func(*dataset.FormatError) error { return nil } // already reported in the first pass
	for _, path := range paths {
		err := scanObjects(ctx, path, hooks, func(row int64, s jsonObject) error { return b.answer(place{path, row}, s) })
		if err != nil {
			return err
		}
	}
	return nil
}

// batchImport counts the requests and answers of the first pass.
type batchImport struct {
	im                *importer
	requests, answers int
}

func isAnswer(s jsonObject) bool { return s["response"] != nil || s["error"] != nil }

// request imports the prompt of a request and ignores answers.
func (b *batchImport) request(where place, s jsonObject) error {
	if isAnswer(s) {
		b.answers++
		return nil
	}
	b.requests++
	if url, _ := s["url"].(string); !isCompletion(url) {
		return b.im.skip()
	}
	if s["body"] == nil {
		return b.im.reject(where, "body", "is missing, and so are response and error")
	}
	id, _ := scalar(s["custom_id"])
	q := dataset.Query{ID: id, Source: "openai-batch", Prompt: requestPrompt(s["body"])}
	return b.im.add(where, q, nil, func(field, _ string) string {
		return map[string]string{"id": "custom_id", "prompt": "body"}[field]
	})
}

// answer imports the usage of an answer and ignores requests. It skips failed
// answers and lists, such as embeddings.
func (b *batchImport) answer(where place, s jsonObject) error {
	if !isAnswer(s) {
		return nil
	}
	body := at(s, "response", "body")
	if status, _ := scalar(at(s, "response", "status_code")); s["error"] != nil || body == nil || status != "" && status != "200" || at(body, "object") == "list" {
		return b.im.skip()
	}
	id, ok := scalar(s["custom_id"])
	if !ok {
		return b.im.reject(where, "custom_id", "is missing or empty")
	}
	if _, known := b.im.prompts[md5.Sum([]byte(id))]; !known {
		return b.im.reject(where, "custom_id", textfile.Quote(id)+" is not among the requests")
	}
	model, _ := scalar(at(body, "model"))
	if reason := checkModel(model); reason != "" {
		return b.im.reject(where, "response.body.model", reason)
	}
	usage := at(body, "usage")
	if usage == nil {
		return b.im.reject(where, "response.body.usage", "is missing")
	}
	o := dataset.NewOutcome("", model)
	if bad := readUsage(usage, "response.body.usage.", &o); bad != nil {
		return b.im.reject(where, bad.field, bad.reason)
	}
	b.im.report.Rows++
	return b.im.write(where, id, []dataset.Outcome{o})
}

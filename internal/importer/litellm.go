package importer

import (
	"cmp"
	"context"
	"regexp"
	"strings"

	"github.com/carrot-router/carrot/dataset"
)

// importLiteLLM reads the rows of LiteLLM_SpendLogs, the table in which the
// LiteLLM proxy logs calls, saved as JSON lines or CSV: prompts, models, tokens
// and spend. There are no scores. The id of a query is request_id. Failed calls
// and calls other than chat and completion are skipped, and so are calls whose
// prompt the proxy has cut or redacted, which are counted apart.
func importLiteLLM(ctx context.Context, src string, im *importer) error {
	paths, err := sourceFiles(src, ".jsonl, .json or .csv file", func(name string) bool {
		return hasEnding(name, ".jsonl", ".json", ".csv")
	})
	if err != nil {
		return err
	}
	im.report.IDs = "request_id"
	for _, path := range paths {
		if hasEnding(path, ".csv") {
			err = scanCSV(ctx, path, im.hooks(), func(row int64, r *record) error {
				return im.liteLLMRow(place{path, row}, r.object())
			})
		} else {
			err = scanObjects(ctx, path, im.hooks(), func(row int64, s jsonObject) error {
				return im.liteLLMRow(place{path, row}, s)
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// object returns a record as a JSON object whose values are texts.
func (r *record) object() jsonObject {
	object := make(jsonObject, len(r.columns))
	for i, column := range r.columns {
		if r.present[i] {
			object[column] = r.values[i]
		}
	}
	return object
}

// liteLLMRow imports one call.
func (im *importer) liteLLMRow(where place, s jsonObject) error {
	text := func(path ...string) string {
		v, _ := scalar(at(s, path...))
		return v
	}
	if text("status") == "failure" || text("metadata", "status") == "failure" || !isCompletion(text("call_type")) {
		return im.skip()
	}
	for _, field := range []string{"metadata", "proxy_server_request"} {
		s[field] = unpackCell(s[field])
	}
	q := dataset.Query{ID: text("request_id"), Source: "litellm", Prompt: messagesText(s["messages"])}
	if q.Prompt == "{}" || q.Prompt == "[]" { // what the proxy logs if it does not log prompts
		q.Prompt = ""
	}
	lost := lostPrompt(q.Prompt)
	if q.Prompt == "" || lost != "" {
		switch request := requestPrompt(s["proxy_server_request"]); {
		case request != "":
			q.Prompt, lost = request, lostPrompt(request)
		case at(s, "proxy_server_request", "litellm_truncated") != nil:
			lost = promptCut
		}
	}
	switch lost {
	case promptCut:
		im.report.Cut++
		return im.skip()
	case promptRedacted:
		im.report.Redacted++
		return im.skip()
	}
	if q.Prompt == "" {
		return im.reject(where, "messages", "is empty, and so is proxy_server_request: LiteLLM logs prompts only if store_prompts_in_spend_logs is set")
	}
	o := dataset.NewOutcome("", cmp.Or(text("model"), text("model_group")))
	if bad := readUsage(s, "", &o); bad != nil {
		return im.reject(where, bad.field, bad.reason)
	}
	for _, field := range []string{"usage_object", "additional_usage_values"} {
		if bad := readUsage(at(s, "metadata", field), "metadata."+field+".", &o); bad != nil {
			return im.reject(where, bad.field, bad.reason)
		}
	}
	if !strings.EqualFold(text("cache_hit"), "true") { // an answer from the proxy's cache does not cost what the model does
		var reason string
		if o.CostUSD, reason = observed(dataset.ColumnCostUSD, s["spend"]); reason != "" {
			return im.reject(where, "spend", reason)
		}
	}
	return im.add(where, q, []dataset.Outcome{o}, func(field, _ string) string {
		return map[string]string{"id": "request_id", "prompt": "messages", "cost_usd": "spend"}[field]
	})
}

// What LiteLLM's proxy may have done to a prompt before it wrote it down.
const (
	promptCut      = "was cut by LiteLLM before it was logged"
	promptRedacted = "was redacted by LiteLLM before it was logged"
)

// cutMark is what LiteLLM puts in place of the middle, or in older versions of the
// end, of a text that is longer than it logs.
var cutMark = regexp.MustCompile(`\(litellm_truncated (?:skipped )?\d+ chars`)

// lostPrompt returns promptCut or promptRedacted if the prompt of a log is not what
// the model was sent, and "" if nothing says so.
func lostPrompt(prompt string) string {
	if strings.Contains(prompt, "litellm_truncated") && cutMark.MatchString(prompt) {
		return promptCut
	}
	if strings.Contains(prompt, "redacted-by-litellm") || strings.Contains(prompt, "REDACTED_BY_LITELM") {
		for part := range strings.SplitSeq(prompt, "\n\n") {
			switch strings.TrimSpace(part) {
			case "redacted-by-litellm", "REDACTED_BY_LITELM", "REDACTED_BY_LITELM_STRING":
				return promptRedacted
			}
		}
	}
	return ""
}

// isCompletion reports whether a call of this type answers a prompt.
func isCompletion(callType string) bool {
	for _, other := range []string{"embedding", "moderation", "image", "speech", "transcription", "rerank", "search", "file", "batch", "mcp", "video", "ocr"} {
		if strings.Contains(callType, other) {
			return false
		}
	}
	return true
}

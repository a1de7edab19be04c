package importer

import (
	"math"
	"strings"

	"github.com/carrot-router/carrot/dataset"
)

// requestPrompt returns the text of a request to a chat, responses or
// completions endpoint: its instructions and the contents of its messages,
// including the system's and the assistant's, separated by blank lines. Images,
// tools and tool calls have no text and are lost.
func requestPrompt(body any) string {
	var parts []string
	for _, field := range []string{"instructions", "system", "messages", "input", "prompt"} {
		if text := messagesText(at(body, field)); text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, "\n\n")
}

// messagesText returns the contents of a list of messages, or of the parts of a
// content, separated by blank lines. A text is returned as it is, unless it is a
// list of messages, or an object with one, as JSON or as a Python literal. The
// result is "" if there is no text.
func messagesText(v any) string {
	if text, ok := v.(string); ok {
		inner := unpackCell(text)
		if object, ok := inner.(jsonObject); ok {
			inner = object["messages"]
		}
		list, ok := inner.([]any)
		if !ok || !isMessages(list) {
			return text
		}
		v = list
	}
	return listText(v)
}

// listText is messagesText for a list; a text in it is never unpacked.
func listText(v any) string {
	list, _ := v.([]any)
	var parts []string
	for _, item := range list {
		if text := messageText(item); text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, "\n\n")
}

// isMessages reports whether a list holds chat messages.
func isMessages(list []any) bool {
	if len(list) == 0 {
		return false
	}
	first, _ := list[0].(jsonObject)
	return first["role"] != nil
}

// messageText returns the text of one message or of one part of its content.
func messageText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case jsonObject:
		if text, ok := v["content"].(string); ok && text != "" {
			return text
		}
		if text := listText(v["content"]); text != "" {
			return text
		}
		text, _ := v["text"].(string)
		return text
	}
	return ""
}

// usageField lists the paths at which APIs report a count; the first one with a
// value counts.
type usageField struct {
	field string
	paths [][]string
}

var usageFields = []usageField{
	{fieldInputTokens, [][]string{{"prompt_tokens"}, {"input_tokens"}}},
	{fieldOutputTokens, [][]string{{"completion_tokens"}, {"output_tokens"}}},
	{dataset.ColumnCachedTokens, [][]string{{"prompt_tokens_details", "cached_tokens"}, {"input_tokens_details", "cached_tokens"}, {"cache_read_input_tokens"}}},
	{dataset.ColumnReasoningTokens, [][]string{{"completion_tokens_details", "reasoning_tokens"}, {"output_tokens_details", "reasoning_tokens"}}},
}

// readUsage sets the token counts of an outcome that are not yet known from the
// usage object of the chat, completions, responses or messages API.
func readUsage(usage any, prefix string, o *dataset.Outcome) *fault {
	for _, f := range usageFields {
		for _, path := range f.paths {
			v := at(usage, path...)
			if v == nil || !math.IsNaN(*value(o, f.field)) {
				continue
			}
			x, reason := observed(f.field, v)
			if reason != "" {
				return &fault{prefix + strings.Join(path, "."), reason}
			}
			*value(o, f.field) = x
		}
	}
	return nil
}

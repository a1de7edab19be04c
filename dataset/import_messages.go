package dataset

import (
	"math"
	"strings"
)

// requestPrompt returns the text of a request to a chat, responses or
// completions endpoint: the contents of its instructions and messages, the
// system's and the assistant's too, divided by blank lines. Images, tools and
// tool calls have no text and are lost.
func requestPrompt(body any) string {
	var parts []string
	for _, field := range []string{"instructions", "system", "messages", "input", "prompt"} {
		if text := messagesText(at(body, field)); text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, "\n\n")
}

// messagesText joins the contents of a list of messages, or of the parts of a
// content, by blank lines. A text is itself, unless it is the JSON of a list of
// messages. It is empty where there is no text.
func messagesText(v any) string {
	if text, ok := v.(string); ok {
		list, ok := unpack(text).([]any)
		if !ok || !isMessages(list) {
			return text
		}
		v = list
	}
	list, _ := v.([]any)
	var parts []string
	for _, item := range list {
		if text := messageText(item); text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, "\n\n")
}

// isMessages reports whether a list is of chat messages.
func isMessages(list []any) bool { return len(list) > 0 && at(list[0], "role") != nil }

// messageText is the text of one message or of one part of its content.
func messageText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case jsonObject:
		if text := messagesText(v["content"]); text != "" {
			return text
		}
		text, _ := v["text"].(string)
		return text
	}
	return ""
}

// usageField is where an API tells a count, as paths of which the first that is
// there counts.
type usageField struct {
	col   int
	paths [][]string
}

var usageFields = []usageField{
	{colInput, [][]string{{"prompt_tokens"}, {"input_tokens"}}},
	{colOutput, [][]string{{"completion_tokens"}, {"output_tokens"}}},
	{colCached, [][]string{{"prompt_tokens_details", "cached_tokens"}, {"input_tokens_details", "cached_tokens"}, {"cache_read_input_tokens"}}},
	{colReasoning, [][]string{{"completion_tokens_details", "reasoning_tokens"}, {"output_tokens_details", "reasoning_tokens"}}},
}

// readUsage fills the token counts of an outcome, where they are not yet known,
// from the usage object of the chat, completions or responses API.
func readUsage(usage any, prefix string, o *Outcome) *fault {
	values := o.values()
	for _, f := range usageFields {
		for _, path := range f.paths {
			v := at(usage, path...)
			if v == nil || !math.IsNaN(values[f.col]) {
				continue
			}
			x, reason := observed(f.col, v)
			if reason != "" {
				return &fault{prefix + strings.Join(path, "."), reason}
			}
			values[f.col] = x
		}
	}
	o.setValues(values)
	return nil
}

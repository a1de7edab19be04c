package importer

import (
	"regexp"
	"strconv"
	"strings"
)

// The fields in which the tasks of lm-evaluation-harness keep the context of a
// question, and the question.
var (
	docContext  = []string{"narrative", "passage", "context", "article"}
	docQuestion = []string{"question", "Question", "input", "problem", "prompt", "query"}
)

// docPrompt returns the question of a doc: its context, the question, and the
// answers to choose from if it lists them as options or choices. It is the same
// for all models, unlike the prompt that was sent, which contains examples and
// each model's chat template. It is "" if doc has no field that is known.
func docPrompt(doc any) string {
	first := func(fields []string) string {
		for _, field := range fields {
			if text, _ := at(doc, field).(string); text != "" {
				return text
			}
		}
		return ""
	}
	question := first(docQuestion)
	if question == "" {
		return ""
	}
	if about := first(docContext); about != "" {
		question = about + "\n\n" + question
	}
	for _, field := range []string{"options", "choices"} {
		if text := choices(unpack(at(doc, field))); text != "" {
			return question + "\n" + text
		}
	}
	return question
}

// choices writes answers to choose from, one a line, with their labels or else
// letters. v is a list of texts, or an object with the lists text and labels (or
// label).
func choices(v any) string {
	texts, ok := v.([]any)
	labels, _ := at(v, "labels").([]any)
	if !ok {
		texts, _ = at(v, "text").([]any)
		if labels == nil {
			labels, _ = at(v, "label").([]any)
		}
	}
	var lines []string
	for i, t := range texts {
		text, ok := scalar(t)
		if !ok || i >= 26 {
			return ""
		}
		label := string(rune('A' + i))
		if i < len(labels) {
			label, _ = scalar(labels[i])
		}
		lines = append(lines, label+". "+text)
	}
	return strings.Join(lines, "\n")
}

// argumentsPrompt returns the prompt that was sent, the first of arguments, which
// are [[prompt, …], …] or {"gen_args_0": {"arg_0": prompt, …}, …}. A prompt may be
// a chat as JSON in a text.
func argumentsPrompt(arguments any) string {
	v := arguments
	if first := at(v, "gen_args_0"); first != nil {
		v = at(first, "arg_0")
	}
	for range 3 {
		list, ok := v.([]any)
		if !ok || len(list) == 0 || isMessages(list) {
			break
		}
		v = list[0]
	}
	return messagesText(v)
}

// modelSize matches the size in a model's name: 8B, 1.5b, 360M, 8x7B.
var modelSize = regexp.MustCompile(`(?i)(?:^|[^a-z0-9.])(?:[a-z]+)?(\d+x)?(\d+(?:\.\d+)?)([bm])(?:$|[^a-z0-9])`)

// sizePrice returns the price of an open model by its number of parameters, in
// USD per million tokens of input and of output, as the paper's reference code
// has it. A size that the paper does not price has none.
func sizePrice(model string) (usd float64, ok bool) {
	name := model[strings.LastIndexByte(model, '/')+1:]
	m := modelSize.FindStringSubmatch(name)
	if m == nil {
		return 0, false
	}
	size, err := strconv.ParseFloat(m[2], 64)
	if err != nil {
		return 0, false
	}
	if strings.EqualFold(m[3], "m") {
		size /= 1000
	}
	if m[1] != "" { // a mixture of experts
		return 0.6, strings.EqualFold(m[1], "8x") && size == 7
	}
	for _, step := range []struct{ billions, usd float64 }{{4, 0.1}, {8, 0.2}, {21, 0.3}, {41, 0.8}, {80, 0.9}} {
		if size <= step.billions {
			return step.usd, true
		}
	}
	return 3.5, size == 405
}

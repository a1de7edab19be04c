package judge

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// mark is a text that an answer marks as its final answer.
type mark struct {
	text   string
	strong bool // nothing but the final answer is in it
	at     int  // where it begins in the answer
}

const (
	maxMarks  = 16   // that are considered, the last ones
	maxPhrase = 2048 // bytes that are read after "the answer is"
)

const answerWords = `final answer|answer|antwort|lösung|réponse|reponse|respuesta|risposta|resposta`

var (
	// after "The correct answer is", "**Answer:**" and the like
	answerPhrase = regexp.MustCompile(`(?i)\b(?:` + answerWords + `|(?:correct|right|best) (?:option|choice|statement))\b` +
		`[^\n.:=]{0,60}?(?:(?:\*\*|__)?[ \t]*[:=：]|[ \t](?:is|are|was|would be|should be|must be|will be|ist|lautet|est|es|è|é)\b)[\s:：*_]*`)
	answerPhraseCJK = regexp.MustCompile(`(?:答案|答え|回答|정답)[^\n。]{0,12}?[:：是为為はは은는][\s:：*]*`)
	answerHashes    = regexp.MustCompile(`(?m)^\s*####\s*([^\n]+)$`)
	answerTag       = regexp.MustCompile(`(?is)<(?:final_answer|finalanswer|final|answer|ans)>\s*(.*?)\s*(?:</|\z)`)
	// of what follows "the answer is" without being an answer
	noAnswer = regexp.MustCompile(`(?i)^(?:not\b|n't\b|correct\b|incorrect\b|wrong\b|right\b|helpful\b|clear\b|useful\b|as follows\b|below\b|unclear\b|likely to\b|based on\b|[(*]*[A-Z][)*]*\s+is\s+(?:incorrect|wrong|not)\b)`)
	// a key of a JSON object that holds the final answer, in order of preference
	answerKeys = []string{"final_answer", "finalanswer", "answer", "final", "correct_answer", "answer_choice", "choice", "option", "result", "solution", "output", "value", "label"}
	cutAnswer  = regexp.MustCompile(`(?i)"(?:final_?answer|answer|answer_choice)"\s*:\s*("(?:[^"\\]|\\.)*"|[^,{}\[\]"\n]+)`)
)

// marks returns the texts that an answer marks as its final answer: the last first, but
// those with nothing else in them before phrases, with which models like to say it again.
func marks(answer string) []mark {
	var all []mark
	add := func(at int, text string, strong bool) {
		if strings.TrimSpace(text) != "" {
			all = append(all, mark{strings.TrimSpace(text), strong, at})
		}
	}
	for i := 0; ; {
		at := strings.Index(answer[i:], `boxed`)
		if at < 0 {
			break
		}
		i += at + len("boxed")
		if at = i - len("boxed"); at > 0 && answer[at-1] == '\\' || at > 1 && answer[at-2:at] == `\f` {
			content, end := braced(answer, i)
			add(at, content, true)
			i = end
		}
	}
	for _, m := range answerHashes.FindAllStringSubmatchIndex(answer, -1) {
		add(m[2], answer[m[2]:m[3]], true)
	}
	for _, m := range answerTag.FindAllStringSubmatchIndex(answer, -1) {
		add(m[2], answer[m[2]:m[3]], true)
	}
	for _, phrase := range []*regexp.Regexp{answerPhrase, answerPhraseCJK} {
		for _, m := range phrase.FindAllStringIndex(answer, -1) {
			line, _, _ := strings.Cut(answer[m[1]:min(len(answer), m[1]+maxPhrase)], "\n")
			line = strings.ToValidUTF8(line, "")
			if !noAnswer.MatchString(strings.TrimLeft(line, "*_ ")) {
				add(m[1], line, false)
			}
		}
	}
	if raw, ok := findJSON(answer); ok {
		if text, ok := answerOf(raw); ok { // which may be empty, and then nothing else is the answer
			all = append(all, mark{strings.TrimSpace(text), true, max(0, strings.LastIndex(answer, string(raw)))})
		}
	} else if m := cutAnswer.FindAllStringSubmatchIndex(answer, -1); len(m) > 0 { // JSON that is cut off or not quite valid
		last := m[len(m)-1]
		text := answer[last[2]:last[3]]
		var unquoted string
		if json.Unmarshal([]byte(text), &unquoted) == nil {
			text = unquoted
		}
		add(last[2], text, true)
	}
	slices.SortStableFunc(all, func(a, b mark) int {
		if a.strong != b.strong {
			if a.strong {
				return -1
			}
			return 1
		}
		return b.at - a.at
	})
	return all[:min(len(all), maxMarks)]
}

// cutOff reports whether an answer is JSON that ends before its end.
func cutOff(answer string) bool {
	answer = strings.TrimSpace(answer)
	if block, ok := strings.CutPrefix(answer, "```"); ok {
		_, answer, _ = strings.Cut(block, "\n")
	}
	if !strings.HasPrefix(strings.TrimSpace(answer), `{`) || !strings.Contains(answer[:min(len(answer), 200)], `"`) {
		return false
	}
	_, ok := findJSON(answer)
	return !ok
}

// braced returns the content of the braces that begin at i, or the token there, and
// where it ends.
func braced(s string, i int) (content string, end int) {
	for i < len(s) && s[i] == ' ' {
		i++
	}
	if i >= len(s) {
		return "", i
	}
	if s[i] != '{' {
		end = i
		for end < len(s) && (s[end] >= '0' && s[end] <= '9' || s[end] == '.' || s[end] == '-' || s[end] >= 'A' && s[end] <= 'Z') {
			end++
		}
		return s[i:end], end
	}
	depth := 0
	for end = i; end < len(s); end++ {
		switch s[end] {
		case '\\':
			end++
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return s[i+1 : end], end + 1
			}
		}
	}
	return s[i+1:], len(s) // cut off
}

// answerOf returns the text of the key that holds the final answer in a JSON object.
func answerOf(raw json.RawMessage) (string, bool) {
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil {
		return "", false
	}
	byKey := make(map[string]json.RawMessage, len(object))
	for key, value := range object {
		byKey[strings.ReplaceAll(strings.ToLower(strings.TrimSpace(key)), " ", "_")] = value
	}
	for _, key := range answerKeys {
		value, ok := byKey[key]
		if !ok {
			continue
		}
		var text string // stays empty for null
		if json.Unmarshal(value, &text) == nil {
			return text, true
		}
		if value[0] == '{' {
			return answerOf(value)
		}
		return string(value), true
	}
	return "", false
}

var abbreviations = []string{"st", "mr", "mrs", "ms", "dr", "prof", "vs", "mt", "ft", "jr", "sr", "approx", "e.g", "i.e", "ca", "bzw", "z.b"}

// sentence returns a text up to the end of its first sentence.
func sentence(s string) string {
	for i, r := range s {
		if !strings.ContainsRune(".!?;。", r) {
			continue
		}
		rest := s[i+len(string(r)):]
		if r != '。' && rest != "" && !unicode.IsSpace(rune(rest[0])) && rest[0] != '*' {
			continue
		}
		words := strings.Fields(tail(s[:i]))
		if r == '.' && rest != "" && len(words) > 0 {
			word := strings.ToLower(strings.Trim(words[len(words)-1], "*(\"'"))
			if slices.Contains(abbreviations, word) || len(word) > 1 && strings.Contains(word, ".") && !strings.ContainsAny(word, "0123456789") {
				continue
			}
		}
		return s[:i]
	}
	return s
}

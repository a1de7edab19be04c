package judge

import (
	"bytes"
	"encoding/json"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// references returns the right answers of a reference: the elements of a JSON list of
// texts and numbers, or the reference itself.
func references(reference string) []string {
	trimmed := strings.TrimSpace(reference)
	if !strings.HasPrefix(trimmed, "[") {
		return []string{reference}
	}
	var list []any
	d := json.NewDecoder(strings.NewReader(trimmed))
	d.UseNumber()
	if d.Decode(&list) != nil || len(list) == 0 {
		return []string{reference}
	}
	if _, err := d.Token(); err != io.EOF {
		return []string{reference}
	}
	texts := make([]string, 0, len(list))
	for _, one := range list {
		switch v := one.(type) {
		case string:
			texts = append(texts, v)
		case json.Number:
			texts = append(texts, v.String())
		default:
			return []string{reference}
		}
	}
	return texts
}

// thoughts are the ends of what a model thinks aloud before it answers.
var thoughts = []struct{ begin, end string }{
	{"<think>", "</think>"}, {"<thinking>", "</thinking>"}, {"<thought>", "</thought>"}, {"<reasoning>", "</reasoning>"},
}

// nextQuestion begins a question that a model invents after its answer, as those do that
// were not taught to stop.
var nextQuestion = regexp.MustCompile(`\n[ \t]*(?:#+[ \t]*)?Question:?[ \t]*\n|\n[ \t]*(?:#+[ \t]*)?Question:`)

// spoken returns an answer without what the model thought aloud before it, and without
// questions that it invented after it. Nothing is left of an answer that was cut off in
// a thought.
func spoken(answer string) string {
	for _, t := range thoughts {
		if i := strings.LastIndex(answer, t.end); i >= 0 {
			answer = answer[i+len(t.end):]
		}
		if strings.HasPrefix(strings.TrimSpace(answer), t.begin) {
			return ""
		}
	}
	if at := nextQuestion.FindStringIndex(answer); at != nil && len(marks(answer[:at[0]])) > 0 {
		answer = answer[:at[0]]
	}
	return strings.TrimSpace(answer)
}

var (
	latexText   = regexp.MustCompile(`\\(?:text|textbf|textit|texttt|textrm|mathrm|mathbf|mathit|mathsf|mathtt|mbox|operatorname|bm|boldsymbol)\s*\{([^{}]*)\}`)
	latexDegree = regexp.MustCompile(`\^\s*(?:\\circ\b|\{\s*\\circ\s*\})`)
	latexWords  = strings.NewReplacer(
		`\left`, "", `\right`, "", `\displaystyle`, "", `\dfrac`, `\frac`, `\tfrac`, `\frac`, `\cfrac`, `\frac`,
		`{,}`, ",", `\!`, "", `\$`, "$", `\%`, "%", `\&`, "&", `\#`, "#", `\_`, "_", `\cdot`, "×", `\times`, "×", `\approx`, "≈", `\sim`, "≈",
		`\pm`, "±", `\pi`, "π", `\degree`, "°", `\(`, " ", `\)`, " ", `\[`, " ", `\]`, " ", `\;`, " ", `\:`, " ", `\quad`, " ", `\qquad`, " ", `\ `, " ", `\\`, " ",
		`\,`, "\u2009", `\euro`, "€", `\pounds`, "£", `\textdollar`, "$", `\lt`, "<", `\gt`, ">", `\leq`, "≤", `\geq`, "≥", `\dots`, "…", `\ldots`, "…", `\{`, "{", `\}`, "}",
	)
)

// plainMath writes the usual commands of LaTeX as Unicode text. \frac, \sqrt and
// unknown commands stay.
func plainMath(s string) string {
	if !strings.Contains(s, `\`) && !strings.Contains(s, "{,}") {
		return s
	}
	for range 4 { // commands may be nested
		next := latexText.ReplaceAllString(s, " $1 ")
		if next == s {
			break
		}
		s = next
	}
	return latexWords.Replace(latexDegree.ReplaceAllString(s, "°"))
}

var quoteMarks = strings.NewReplacer("‘", "'", "’", "'", "‛", "'", "“", `"`, "”", `"`, "„", `"`, "«", `"`, "»", `"`,
	"‐", "-", "‑", "-", "‒", "-", "–", "-", "—", "-", "−", "-")

// normal returns a text so that texts compare equal that differ in case, white space,
// punctuation, markup and the encoding of characters only. Signs, points and percent
// signs of numbers stay. If nothing but punctuation is there, it stays too.
func normal(s string) string {
	s = strings.TrimSpace(plainMath(s))
	if n := len(s); n > 2 && s[0] == '$' && s[n-1] == '$' {
		s = strings.Trim(s, "$")
	}
	s = cases.Fold().String(norm.NFKC.String(quoteMarks.Replace(s)))
	s = norm.NFKC.String(s)
	runes := []rune(s)
	digit := func(i int) bool { return i >= 0 && i < len(runes) && unicode.IsDigit(runes[i]) }
	var b strings.Builder
	space := false
	for i, r := range runes {
		keep := true
		switch {
		case unicode.IsSpace(r) || r == '-' && i > 0 && unicode.IsLetter(runes[i-1]):
			space = true
			continue
		case r == utf8.RuneError, unicode.In(r, unicode.Cf, unicode.Cc):
			keep = false
		case r == ',' && digit(i-1) && digit(i+1):
			if grouped(runes[i:]) {
				keep = false
			}
		case r == '.' && digit(i+1), r == '%' && digit(i-1), r == '-' && digit(i+1) && !digit(i-1):
		case unicode.IsPunct(r), r == '`':
			keep = false
			if r != '\'' && r != '.' { // U.S. is US, and it's is its
				space = true
			}
		}
		if !keep {
			continue
		}
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		b.WriteRune(r)
	}
	if b.Len() == 0 {
		return strings.Join(strings.Fields(s), " ")
	}
	return b.String()
}

// grouped reports whether a comma and three digits that end a group come next.
func grouped(runes []rune) bool {
	n := 0
	for n+1 < len(runes) && unicode.IsDigit(runes[n+1]) {
		n++
	}
	return n == 3
}

var (
	boldSpan = regexp.MustCompile(`\*\*([^*\n]+)\*\*|__([^_\n]+)__`)
	leadMark = regexp.MustCompile(`^(?:#{1,6}\s+|>\s+|[*•]\s+)+`)
)

// bare returns a text without marks of Markdown, quotes and brackets of mathematics
// around it.
func bare(s string) string {
	s = strings.ReplaceAll(strings.TrimSpace(s), "**", "")
	s = strings.ReplaceAll(s, "`", "")
	s = leadMark.ReplaceAllString(strings.TrimSpace(s), "")
	for {
		before := s
		s = strings.TrimSpace(strings.Trim(strings.TrimSpace(s), "*"))
		for _, pair := range [][2]string{{`"`, `"`}, {"'", "'"}, {"“", "”"}, {"$", "$"}, {`\(`, `\)`}, {`\[`, `\]`}, {"_", "_"}, {"「", "」"}} {
			if len(s) > len(pair[0])+len(pair[1]) && strings.HasPrefix(s, pair[0]) && strings.HasSuffix(s, pair[1]) {
				s = s[len(pair[0]) : len(s)-len(pair[1])]
			}
		}
		if s == before {
			return s
		}
	}
}

// lines returns the lines of a text that are not blank.
func lines(s string) []string {
	return slices.DeleteFunc(strings.Split(s, "\n"), func(line string) bool { return strings.TrimSpace(line) == "" })
}

var codeFence = regexp.MustCompile("(?s)```[A-Za-z0-9]*[ \t]*\r?\n(.*?)(?:```|\\z)")

// fenced returns the content of the last fenced block of code.
func fenced(s string) (string, bool) {
	all := codeFence.FindAllStringSubmatch(s, -1)
	if len(all) == 0 {
		return "", false
	}
	return all[len(all)-1][1], true
}

// findJSON returns the JSON value of an answer: the whole text, that of the last fenced
// block, or the last object or list that begins a line and ends the text or a line.
func findJSON(s string) (json.RawMessage, bool) {
	s = strings.TrimSpace(s)
	if json.Valid([]byte(s)) {
		return json.RawMessage(s), true
	}
	if block, ok := fenced(s); ok {
		if block = strings.TrimSpace(block); json.Valid([]byte(block)) {
			return json.RawMessage(block), true
		}
	}
	// The first value that can be read from each brace or bracket that begins a line;
	// the last of them that is not within another.
	var found json.RawMessage
	tries := 0
	for i := 0; i < len(s) && tries < 64; {
		at := strings.IndexAny(s[i:], "{[")
		if at < 0 {
			break
		}
		i += at
		tries++
		var raw json.RawMessage
		d := json.NewDecoder(bytes.NewReader([]byte(s[i:])))
		if d.Decode(&raw) == nil && (raw[0] == '{' || s[:i] == "" || strings.HasSuffix(strings.TrimRight(s[:i], " \t"), "\n")) {
			found = raw
			i += int(d.InputOffset())
			continue
		}
		i++
	}
	return found, found != nil
}

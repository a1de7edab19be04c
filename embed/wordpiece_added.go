package embed

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// matcher finds added tokens in text: the leftmost first, and of those that
// begin at one place the longest.
type matcher struct {
	tokens []added
	first  string // the bytes that they begin with
}

type added struct {
	text string
	id   int32
	rule AddedToken
}

func (m *matcher) add(text string, id int32, rule AddedToken) {
	if text != "" {
		m.tokens = append(m.tokens, added{text, id, rule})
	}
}

// finish puts the tokens in the order they are tried in.
func (m *matcher) finish() {
	slices.SortStableFunc(m.tokens, func(a, b added) int { return cmp.Compare(len(b.text), len(a.text)) })
	for _, t := range m.tokens {
		if strings.IndexByte(m.first, t.text[0]) < 0 {
			m.first += t.text[:1]
		}
	}
}

// next returns the first token at or after from, and where it begins.
func (m *matcher) next(text string, from int) (*added, int) {
	for from < len(text) {
		i := indexAny(text[from:], m.first)
		if i < 0 {
			break
		}
		from += i
		for k := range m.tokens {
			if strings.HasPrefix(text[from:], m.tokens[k].text) {
				return &m.tokens[k], from
			}
		}
		from++
	}
	return nil, len(text)
}

// indexAny is strings.IndexAny for bytes.
func indexAny(text, bytes string) int {
	if len(bytes) == 1 {
		return strings.IndexByte(text, bytes[0])
	}
	for i := range len(text) {
		if strings.IndexByte(bytes, text[i]) >= 0 {
			return i
		}
	}
	return -1
}

// split calls part for the stretches of text between added tokens and appends
// the ids of those.
func (m *matcher) split(c *cutter, text string, part func(string)) {
	done, from := 0, 0
	for !c.full() {
		tok, start := m.next(text, from)
		if tok == nil {
			break
		}
		end := start + len(tok.text)
		from = end
		if tok.rule.SingleWord && (endsWord(text[:start]) || beginsWord(text[end:])) {
			continue
		}
		if tok.rule.LStrip {
			start = len(strings.TrimRightFunc(text[:start], unicode.IsSpace))
		}
		if tok.rule.RStrip {
			end = len(text) - len(strings.TrimLeftFunc(text[end:], unicode.IsSpace))
		}
		if done < start {
			part(text[done:start])
		}
		if c.full() {
			return
		}
		c.ids = append(c.ids, tok.id)
		done = max(done, end)
	}
	if done < len(text) && !c.full() {
		part(text[done:])
	}
}

func endsWord(s string) bool {
	r, _ := utf8.DecodeLastRuneInString(s)
	return s != "" && isWordChar(r)
}

func beginsWord(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return s != "" && isWordChar(r)
}

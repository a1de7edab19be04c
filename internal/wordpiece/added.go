package wordpiece

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// matcher finds added tokens in text from left to right. Where several begin
// at the same place, the longest one matches.
type matcher struct {
	tokens []added
	first  string // the set of their first bytes
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

// finish sorts the tokens, longest first, and collects their first bytes.
func (m *matcher) finish() {
	slices.SortStableFunc(m.tokens, func(a, b added) int { return cmp.Compare(len(b.text), len(a.text)) })
	for _, t := range m.tokens {
		if strings.IndexByte(m.first, t.text[0]) < 0 {
			m.first += t.text[:1]
		}
	}
}

// next returns the first token that begins at or after from, and its start. If
// there is none, it returns nil.
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

// split appends the ids of the added tokens in text, and calls part for each
// stretch of text between them.
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

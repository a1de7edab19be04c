package importer

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxLiteralDepth is how deep the lists and dictionaries of a Python literal may be
// nested. Chat messages need about six levels.
const maxLiteralDepth = 64

var errLiteral = errors.New("is not a Python literal")

// decodeLiteral reads a Python literal as Python's repr writes it, which is what
// programs save that write lists or dictionaries into CSV. It builds what
// [decodeJSON] does: a dictionary is an object, whose keys must be texts, a list or
// tuple is a list, and None is nil. Objects of a list may follow one another
// without a comma, as NumPy writes them. Nothing is evaluated.
func decodeLiteral(text string) (any, error) {
	p := literalParser{rest: text}
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.rest != "" {
		return nil, errLiteral
	}
	return v, nil
}

// literalParser reads a Python literal from the front of rest.
type literalParser struct{ rest string }

// space skips white space.
func (p *literalParser) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

// take skips white space and then token, if it comes next.
func (p *literalParser) take(token string) bool {
	p.space()
	rest, ok := strings.CutPrefix(p.rest, token)
	p.rest = rest
	return ok
}

func (p *literalParser) value(depth int) (any, error) {
	p.space()
	if depth > maxLiteralDepth || p.rest == "" {
		return nil, errLiteral
	}
	switch c := p.rest[0]; {
	case c == '{':
		return p.dict(depth)
	case c == '[':
		return p.list(depth, "[", "]")
	case c == '(':
		return p.list(depth, "(", ")")
	case c == '\'' || c == '"':
		return p.texts()
	case c == '-' || c == '.' || '0' <= c && c <= '9':
		return p.number()
	}
	for _, word := range []struct {
		name  string
		value any
	}{{"None", nil}, {"True", true}, {"False", false}, {"nan", nil}} {
		if rest, ok := strings.CutPrefix(p.rest, word.name); ok && (rest == "" || strings.ContainsAny(rest[:1], ",:]}) \t\r\n")) {
			p.rest = rest
			return word.value, nil
		}
	}
	return nil, errLiteral
}

func (p *literalParser) dict(depth int) (any, error) {
	p.take("{")
	object := jsonObject{}
	for !p.take("}") {
		p.space()
		if p.rest == "" || p.rest[0] != '\'' && p.rest[0] != '"' {
			return nil, errLiteral
		}
		key, err := p.texts()
		if err != nil {
			return nil, err
		}
		if !p.take(":") {
			return nil, errLiteral
		}
		if object[key], err = p.value(depth + 1); err != nil {
			return nil, err
		}
		if !p.take(",") {
			if !p.take("}") {
				return nil, errLiteral
			}
			break
		}
	}
	return object, nil
}

func (p *literalParser) list(depth int, open, end string) (any, error) {
	p.take(open)
	list := []any{}
	for !p.take(end) {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		if p.take(",") {
			continue
		}
		if p.take(end) {
			break
		}
		if _, object := v.(jsonObject); !object || p.rest == "" || p.rest[0] != '{' {
			return nil, errLiteral
		}
	}
	return list, nil
}

// number reads a number as the text that it is written as.
func (p *literalParser) number() (any, error) {
	end := strings.IndexFunc(p.rest, func(r rune) bool { return !strings.ContainsRune("+-.0123456789eE", r) })
	if end < 0 {
		end = len(p.rest)
	}
	text := p.rest[:end]
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, errLiteral
	}
	p.rest = p.rest[end:]
	if !json.Valid([]byte(text)) { // such as .5
		text = strconv.FormatFloat(x, 'g', -1, 64)
	}
	return json.Number(text), nil
}

// texts reads one or more texts in quotes, which Python joins.
func (p *literalParser) texts() (string, error) {
	var b strings.Builder
	for p.space(); p.rest != "" && (p.rest[0] == '\'' || p.rest[0] == '"'); p.space() {
		if err := p.text(&b); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

// text reads a text in quotes: '…', "…" or three of either.
func (p *literalParser) text(b *strings.Builder) error {
	quote := p.rest[:1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(p.rest, triple) {
		quote = triple
	}
	rest := p.rest[len(quote):]
	for {
		i := strings.IndexAny(rest, quote[:1]+"\\")
		if i < 0 {
			return errLiteral
		}
		b.WriteString(rest[:i])
		rest = rest[i:]
		switch {
		case strings.HasPrefix(rest, quote):
			p.rest = rest[len(quote):]
			return nil
		case rest[0] != '\\':
			b.WriteByte(rest[0]) // one quote in a text with three around it
			rest = rest[1:]
			continue
		}
		n, ok := escaped(rest, b)
		if !ok {
			return errLiteral
		}
		rest = rest[n:]
	}
}

// escaped writes the character that an escape at the front of text stands for, and
// returns the length of the escape. Like Python it keeps an escape that it does not
// know as it is. Half of a surrogate pair is not a character of UTF-8 and becomes
// U+FFFD.
func escaped(text string, b *strings.Builder) (n int, ok bool) {
	if len(text) < 2 {
		return 0, false
	}
	if at := strings.IndexByte(`nrtabfv\'"`, text[1]); at >= 0 {
		b.WriteByte("\n\r\t\a\b\f\v\\'\""[at])
		return 2, true
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[text[1]]
	switch {
	case text[1] == '\n':
		return 2, true
	case digits > 0:
		if len(text) < 2+digits {
			return 0, false
		}
		r, err := strconv.ParseUint(text[2:2+digits], 16, 32)
		if err != nil || r > utf8.MaxRune {
			return 0, false
		}
		b.WriteRune(rune(r))
		return 2 + digits, true
	case '0' <= text[1] && text[1] <= '7':
		n = 2
		for n < min(4, len(text)) && '0' <= text[n] && text[n] <= '7' {
			n++
		}
		r, _ := strconv.ParseUint(text[1:n], 8, 32) // at most three digits
		b.WriteRune(rune(r))
		return n, true
	case text[1] == 'N':
		return 0, false // a character by its name
	}
	b.WriteByte('\\')
	return 1, true
}

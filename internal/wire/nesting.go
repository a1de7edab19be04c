package wire

import "strings"

// nesting follows the brackets and strings of JSON text that arrives in parts. It tells
// whether an object or list is complete without keeping the text.
type nesting struct {
	depth    int
	inString bool
	escaped  bool // the last byte was a backslash within a string
	begun    bool // something other than white space has arrived
	brackets bool // it began with a bracket
}

func (n *nesting) add(text string) {
	for at := 0; at < len(text); at++ {
		switch c := text[at]; {
		case n.escaped:
			n.escaped = false
		case n.inString:
			n.escaped, n.inString = c == '\\', c != '"'
		case c == '"':
			n.inString, n.begun = true, true
		case c == '{' || c == '[':
			n.brackets = n.brackets || !n.begun
			n.begun = true
			n.depth++
		case c == '}' || c == ']':
			n.depth--
		case c > ' ':
			n.begun = true
		}
	}
}

// complete reports whether the text is an object or list that has ended.
func (n *nesting) complete() bool { return n.brackets && n.depth <= 0 && !n.inString }

// cut reports whether the text is an object or list that has not ended.
func (n *nesting) cut() bool { return n.brackets && !n.complete() }

// completed closes what is open at the end of a JSON object or list that was cut. A
// string keeps what it has. A member or value that cannot be kept is left out. The
// result may be invalid if text is not the beginning of valid JSON.
func completed(text string) string {
	var open []byte // the brackets that are missing, innermost last
	inString := false
	kept := 0 // text[:kept] and the missing brackets are whole
	for at := 0; at < len(text); at++ {
		switch c := text[at]; {
		case inString && c == '\\':
			at++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{':
			open, kept = append(open, '}'), at+1
		case c == '[':
			open, kept = append(open, ']'), at+1
		case (c == '}' || c == ']') && len(open) > 0:
			open, kept = open[:len(open)-1], at+1
		case c == ',':
			kept = at
		}
	}
	var end strings.Builder
	for i := len(open) - 1; i >= 0; i-- {
		end.WriteByte(open[i])
	}
	if inString {
		for drop := range min(len(`\u0000`), len(text)) { // an escape may be cut
			if whole := text[:len(text)-drop] + `"` + end.String(); valid([]byte(whole)) {
				return whole
			}
		}
	} else if whole := text + end.String(); valid([]byte(whole)) { // ends with a whole value
		return whole
	}
	return text[:kept] + end.String()
}

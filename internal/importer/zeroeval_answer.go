package importer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// This file finds and compares answers as ZeroEval's src/evaluation does
// (math_eval.py for gsm and math-l5, crux_eval.py for crux, eval_utils.py), where
// a JSON value becomes text as Python writes it. There is one exception: where
// ZeroEval runs an answer with a slash in it as Python, which text of a model
// must never be, only a fraction of two numbers is computed.

// pySpace are the characters that \s matches in Python.
const pySpace = `\t-\r\x1c- \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}`

var (
	// answerPatterns find an answer in an output without a complete JSON object,
	// the preferred one first: in quotes, without, and with a name without quotes.
	answerPatterns = []*regexp.Regexp{
		regexp.MustCompile(`"answer"[` + pySpace + `]*:[` + pySpace + `]*"([^"]*)"`),
		regexp.MustCompile(`"answer"[` + pySpace + `]*:[` + pySpace + `]*([^,` + pySpace + `]*)`),
		regexp.MustCompile(`answer[` + pySpace + `]*:[` + pySpace + `]*([^,` + pySpace + `]*)`),
	}
	boxed       = regexp.MustCompile(`\\boxed\{([\p{L}\p{N}_]+)\}`)
	firstNumber = regexp.MustCompile(`-?[0-9]+(?:\.[0-9]+)?`)
	fraction    = regexp.MustCompile(`^([-+]?(?:0+|[1-9][0-9]*|[0-9]+\.[0-9]*|\.[0-9]+))[ \t]*/[ \t]*([-+]?(?:0+|[1-9][0-9]*|[0-9]+\.[0-9]*|\.[0-9]+))$`)
)

// zeroEvalAnswer returns the final answer in a model's output. file is the name
// of the model in the source.
func zeroEvalAnswer(file, output string) (answer string, ok bool) {
	var object map[string]json.RawMessage
	if text, complete := firstObject(output); complete && json.Unmarshal([]byte(strings.ReplaceAll(text, "\n", "")), &object) == nil {
		if raw, ok := object["answer"]; ok {
			return pythonText(raw), true
		}
	}
	for _, pattern := range answerPatterns {
		if m := pattern.FindStringSubmatch(output); m != nil {
			return m[1], true
		}
	}
	if strings.Contains(file, "Llama-3.1") && strings.Contains(lastRunes(output, 30), "boxed") {
		if m := boxed.FindStringSubmatch(output); m != nil {
			return m[1], true
		}
	}
	return "", false
}

// firstObject returns the text from the first opening brace to the closing one
// that belongs to it. Braces in strings count too.
func firstObject(s string) (text string, complete bool) {
	start, depth := -1, 0
	for i := range len(s) {
		switch {
		case s[i] == '{':
			if depth++; start < 0 {
				start = i
			}
		case s[i] == '}' && depth > 0:
			if depth--; depth == 0 {
				return s[start : i+1], true
			}
		}
	}
	return "", false
}

// lastRunes returns the last n characters of s.
func lastRunes(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[len(r)-n:])
	}
	return s
}

// zeroEvalScore returns 1 if an answer is the correct one, else 0: in crux if
// their texts are equal, in the other tasks if the first numbers in them are.
func zeroEvalScore(task, answer, correct string) float64 {
	equal := false
	if task == "crux" {
		equal = strings.ReplaceAll(trimQuotes(answer), "\n", `\n`) == trimQuotes(correct)
	} else {
		got, found := numberIn(answer)
		want, known := numberIn(trimSpace(strings.ReplaceAll(correct, "#", "")))
		equal = found && known && got == want
	}
	if equal {
		return 1
	}
	return 0
}

// zeroEvalHash returns the hash of an answer, such that equal answers have equal
// hashes, or "" if there is nothing in it.
func zeroEvalHash(task, answer string) string {
	switch x, ok := numberIn(answer); {
	case task == "crux":
		answer = trimQuotes(answer)
	case ok:
		answer = pythonFloat(x)
	default:
		answer = trimSpace(answer)
	}
	return answerHash(answer)
}

// answerHash returns the first 8 hexadecimal digits of the SHA-256 of an answer,
// or "" for the empty one.
func answerHash(answer string) string {
	if answer == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(answer))
	return hex.EncodeToString(sum[:4])
}

// numberIn returns the first number in an answer without dollar signs and
// commas, or the value of the answer if it is a fraction.
func numberIn(answer string) (x float64, ok bool) {
	text := strings.ReplaceAll(trimSpace(strings.ReplaceAll(answer, "$", "")), ",", "")
	if strings.Contains(text, "/") {
		if value, ok := fractionValue(text); ok {
			text = pythonFloat(value)
		}
	}
	number := firstNumber.FindString(text)
	if number == "" {
		return 0, false
	}
	x, _ = strconv.ParseFloat(number, 64) // infinite if it is too large, as in Python
	return x, true
}

// fractionValue returns the value of a fraction of two numbers.
func fractionValue(text string) (x float64, ok bool) {
	m := fraction.FindStringSubmatch(text)
	if m == nil || len(text) > 1000 {
		return 0, false
	}
	if strings.Contains(m[1]+m[2], ".") { // floats, which Python divides as Go does
		a, _ := strconv.ParseFloat(m[1], 64)
		b, _ := strconv.ParseFloat(m[2], 64)
		x = a / b
		return x, b != 0 && !math.IsInf(x, 0) && !math.IsNaN(x)
	}
	a, _ := new(big.Rat).SetString(m[1])
	b, _ := new(big.Rat).SetString(m[2])
	if b.Sign() == 0 {
		return 0, false
	}
	x, _ = a.Quo(a, b).Float64()
	return x, !math.IsInf(x, 0)
}

// trimQuotes removes quotes at both ends.
func trimQuotes(s string) string { return strings.Trim(s, `'"`) }

// trimSpace removes what Python takes for space at both ends.
func trimSpace(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f })
}

// pythonText returns a JSON value as Python's str writes it: a text as it is,
// anything else as repr writes it.
func pythonText(raw json.RawMessage) string {
	var text string
	if len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &text) == nil {
		return text
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var b strings.Builder
	writePython(&b, dec)
	return b.String()
}

// writePython writes the next value of dec, which is valid JSON, as Python's repr
// does.
func writePython(b *strings.Builder, dec *json.Decoder) {
	token, _ := dec.Token() // the JSON was parsed before
	switch v := token.(type) {
	case nil:
		b.WriteString("None")
	case bool:
		b.WriteString(map[bool]string{true: "True", false: "False"}[v])
	case string:
		writePythonString(b, v)
	case json.Number:
		b.WriteString(pythonNumber(v.String()))
	case json.Delim:
		if v == '{' {
			writePythonDict(b, dec)
			return
		}
		b.WriteByte('[')
		for i := 0; dec.More(); i++ {
			if i > 0 {
				b.WriteString(", ")
			}
			writePython(b, dec)
		}
		dec.Token() // the closing bracket
		b.WriteByte(']')
	}
}

// writePythonDict writes an object whose opening brace was read. Of equal names
// the last value counts, at the place of the first.
func writePythonDict(b *strings.Builder, dec *json.Decoder) {
	var names []string
	values := make(map[string]string)
	for dec.More() {
		token, _ := dec.Token()
		name, _ := token.(string)
		var value strings.Builder
		writePython(&value, dec)
		if _, twice := values[name]; !twice {
			names = append(names, name)
		}
		values[name] = value.String()
	}
	dec.Token() // the closing brace
	b.WriteByte('{')
	for i, name := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		writePythonString(b, name)
		b.WriteString(": " + values[name])
	}
	b.WriteByte('}')
}

// writePythonString writes a text in quotes: single ones, unless it holds these
// and no double ones.
func writePythonString(b *strings.Builder, s string) {
	quote := '\''
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	b.WriteRune(quote)
	for _, r := range s {
		switch {
		case r == quote || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r <= 0xff:
			fmt.Fprintf(b, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			fmt.Fprintf(b, `\U%08x`, r)
		}
	}
	b.WriteRune(quote)
}

// pythonNumber returns a number of JSON as Python writes it.
func pythonNumber(number string) string {
	if strings.ContainsAny(number, ".eE") {
		x, _ := strconv.ParseFloat(number, 64) // infinite if it is too large, as in Python
		return pythonFloat(x)
	}
	if number == "-0" {
		return "0"
	}
	return number
}

// pythonFloat returns a number as Python writes a float: the shortest digits that
// read back the same, with an exponent below 1e-4 and from 1e16.
func pythonFloat(x float64) string {
	text := strconv.FormatFloat(x, 'e', -1, 64)
	_, exponent, finite := strings.Cut(text, "e")
	if !finite {
		return strings.ToLower(strings.TrimPrefix(text, "+")) // inf, -inf, nan
	}
	if e, _ := strconv.Atoi(exponent); e < -4 || e >= 16 {
		return text
	}
	if text = strconv.FormatFloat(x, 'f', -1, 64); !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

package wire

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot"
)

// The translation goes by way of forms that belong to no API: a prompt for
// requests, an answer for whole answers, deltas for streams. Each API has one
// reader and one writer of each. Values that an API and another have in the
// same shape (texts, schemas, the arguments of tools) are carried as the bytes
// they came in, so that a provider's prompt cache sees the same prompt again.

// Untranslatable says what of a request cannot be said in another API.
type Untranslatable struct {
	From, To API
	Field    string // as "messages[2].content[0]"; empty: the request as a whole
	Reason   string
}

// Error reads "chat cannot be sent as messages: field logprobs: …".
func (u *Untranslatable) Error() string {
	text := fmt.Sprintf("%s cannot be sent as %s: ", u.From, u.To)
	if u.Field != "" {
		text += "field " + u.Field + ": "
	}
	return text + u.Reason
}

// translated reports whether there are readers and writers of an API.
func translated(a API) bool { return a == Chat || a == Messages || a == Responses }

// TranslateRequest rewrites a request's body of one API for another. What the
// other API cannot say is an *Untranslatable, and so is a field that is not
// known here: to leave it out might change what is asked for. The model's name
// is carried as it is, and messages, which demand a limit of tokens, get one if
// there is none. A body of the API that is asked for is returned as it is.
func TranslateRequest(body []byte, from, to API) ([]byte, error) {
	if from == to {
		return body, nil
	}
	refuse := func(reason string) error { return &Untranslatable{From: from, To: to, Reason: reason} }
	if !translated(from) || !translated(to) {
		return nil, refuse("there is no translation between them")
	}
	if !valid(body) {
		return nil, refuse("the body is not valid JSON")
	}
	p, err := readPrompt(string(body), from, to)
	if err == nil {
		var out []byte
		if out, err = p.write(); err == nil {
			return out, nil
		}
	}
	if f, ok := err.(*fieldError); ok {
		return nil, &Untranslatable{From: from, To: to, Field: f.field, Reason: f.reason}
	}
	return nil, err
}

// TranslateAnswer rewrites a whole answer of the API that a provider speaks for
// a client of another. It is an error if it is not an answer of that API, or
// if the answer did not come about. The answer keeps its id and model. Where an
// API wants the time that the provider's does not give, it is created, in seconds
// since 1970; where it wants the usage, counted, unless that is zero.
func TranslateAnswer(body []byte, from, to API, created int64, counted carrot.Usage) ([]byte, error) {
	if from == to {
		return body, nil
	}
	if !translated(from) || !translated(to) {
		return nil, fmt.Errorf("translate an answer of %s for %s: there is no translation between them", from, to)
	}
	if !valid(body) {
		return nil, fmt.Errorf("translate an answer of %s: it is not valid JSON", from)
	}
	a, err := readAnswer(from, gjson.ParseBytes(body))
	if err == nil {
		if !a.hasUsage && counted != (carrot.Usage{}) {
			a.usage, a.hasUsage = counted, true
		}
		a.created = cmp.Or(a.created, strconv.FormatInt(created, 10))
		body, err = a.write(to)
	}
	if err != nil {
		return nil, fmt.Errorf("translate an answer of %s for %s: %w", from, to, err)
	}
	return body, nil
}

// fieldError is a field of a request that cannot be translated.
type fieldError struct{ field, reason string }

func (e *fieldError) Error() string { return e.field + ": " + e.reason }

// refuse takes no values: decisions, which hold the reason, are recorded and
// must not quote what the client wrote.
func refuse(field, reason string) error { return &fieldError{field, reason} }

// fieldName is a key that the client chose, unless it is anything but a name.
func fieldName(key string) string {
	odd := func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9') }
	if len(key) > 40 || strings.ContainsFunc(key, odd) {
		return "?"
	}
	return key
}

// builder writes a JSON object, whose members keep the order they come in.
type builder struct{ b []byte }

// raw adds a member whose value is JSON. Nothing is added for an empty value.
func (b *builder) raw(key, value string) *builder {
	if value == "" {
		return b
	}
	if len(b.b) == 0 {
		b.b = append(b.b, '{')
	} else {
		b.b = append(b.b, ',')
	}
	b.b = append(append(append(append(b.b, '"'), key...), `":`...), value...)
	return b
}

// str adds a string.
func (b *builder) str(key, value string) *builder { return b.raw(key, quote(value)) }

// num adds a whole number.
func (b *builder) num(key string, value int) *builder { return b.raw(key, strconv.Itoa(value)) }

// bytes is the object.
func (b *builder) bytes() []byte {
	if len(b.b) == 0 {
		return []byte("{}")
	}
	return append(b.b, '}')
}

func (b *builder) String() string { return string(b.bytes()) }

// typed begins an object with its type.
func typed(kind string) *builder { return new(builder).str("type", kind) }

// list is a JSON array of JSON values.
func list(values []string) string { return "[" + strings.Join(values, ",") + "]" }

// at names an element of a list in an error.
func at(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

// given reports whether a value is there; null is not.
func given(v gjson.Result) bool { return v.Type != gjson.Null }

// elements calls f with the elements of a list, and not at all for what is no list:
// some servers send null for one that is empty.
func elements(list gjson.Result, f func(gjson.Result)) {
	if list.IsArray() {
		list.ForEach(func(_, element gjson.Result) bool {
			f(element)
			return true
		})
	}
}

// rawOf is a value's JSON, empty if it is not there.
func rawOf(v gjson.Result) string {
	if !given(v) {
		return ""
	}
	return v.Raw
}

// textOf is a string's JSON.
func textOf(v gjson.Result, field string) (string, error) {
	if v.Type != gjson.String {
		return "", refuse(field, "a string is wanted")
	}
	return v.Raw, nil
}

// each calls f for the elements of a list, which it must be.
func each(v gjson.Result, field string, f func(field string, v gjson.Result) error) error {
	if !v.IsArray() {
		return refuse(field, "a list is wanted")
	}
	var err error
	i := 0
	v.ForEach(func(_, element gjson.Result) bool {
		err = f(at(field, i), element)
		i++
		return err == nil
	})
	return err
}

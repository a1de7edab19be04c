package wire

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot"
)

// Translation uses intermediate forms that belong to no API: a prompt for
// requests, an answer for whole answers, deltas for streams. For each of them,
// each API has one reader and one writer. Values that have the same shape in two
// APIs (texts, schemas, the arguments of tools) keep their bytes, so that a
// provider's prompt cache sees the same prompt again.

// Untranslatable reports a part of a request that another API cannot express.
type Untranslatable struct {
	From, To API
	Field    string // such as "messages[2].content[0]"; empty means the whole request
	Reason   string
}

// Error has the form "chat cannot be sent as messages: field logprobs: …".
func (u *Untranslatable) Error() string {
	text := fmt.Sprintf("%s cannot be sent as %s: ", u.From, u.To)
	if u.Field != "" {
		text += "field " + u.Field + ": "
	}
	return text + u.Reason
}

// translated reports whether an API has readers and writers.
func translated(a API) bool { return a == Chat || a == Messages || a == Responses }

// Facts restrict what a model accepts, beyond its API. The zero value means that
// nothing is known. Facts can be compared.
type Facts struct {
	// NoSampling says that the model refuses temperature and the like.
	NoSampling bool
	// OneSampling says that the model refuses temperature and top_p together.
	OneSampling bool
	// MaxOutput is the most output tokens of an answer. 0 means unknown.
	MaxOutput int
	// Limit is the limit on output tokens that a setting of the candidate will
	// set, if the client sets none. 0 means none.
	Limit int
	// Efforts are the reasoning efforts that the model accepts, from the lowest to
	// the highest, separated by spaces. Empty means unknown.
	Efforts string
	// NoEffort says that the model accepts no effort.
	NoEffort bool
	// NoPrefill says that the model refuses to continue an answer of its own.
	NoPrefill bool
	// WantsReasoning says that the model refuses calls in the conversation without the
	// reasoning that led to them (reasoning_content of chat).
	WantsReasoning bool
	// WantsSignature says that the model refuses calls in the conversation without its
	// signature, or a text in its place (extra_content of chat).
	WantsSignature bool
	// Foreign says that the server is not OpenAI's own. Others refuse fields that only
	// label, schedule or cache a request and of which not all know each, several texts
	// in a message, and several messages of one side.
	Foreign bool
}

// Notes say what a request lost on its way to a model. Names of fields are like
// messages[].name. Only names that look like those of a field come from the client.
type Notes struct {
	// Dropped are the fields that were left out.
	Dropped []string
	// Narrowed are the fields whose value was changed to one that the model
	// accepts, as FIELD=VALUE.
	Narrowed []string
	// Added are fields, as FIELD=VALUE, that the model requires and the client did
	// not send, and that may change its answer.
	Added []string
}

// Lost reports whether a field of the client's was left out or changed.
func (n *Notes) Lost() bool { return len(n.Dropped)+len(n.Narrowed) > 0 }

// maxNotes is the most entries in a list of notes, and othersNoted stands for those
// beyond it.
const (
	maxNotes    = 50
	othersNoted = "others"
)

// note adds an entry to a list, once.
func note(list *[]string, entry string) {
	if len(*list) >= maxNotes {
		entry = othersNoted
	}
	if !slices.Contains(*list, entry) {
		*list = append(*list, entry)
	}
}

// Translation is a request for another API than the one of its client.
type Translation struct {
	Body  []byte
	Notes Notes
	// Tools restore the calls in the answer. It is nil if they need no change.
	Tools *Tools
}

// TranslateRequest rewrites a request's body from one API for a model of another
// that has these facts. Fields that only label, limit, schedule or cache a request
// are left out if the other API does not have them, as are unknown ones; the notes
// name them. Anything else that the other API cannot express is an *Untranslatable
// error: a part of the content, a kind of tool, a role, what one provider stores.
// The name of the model stays as it is. Messages, which require a token limit, get
// one if the request has none.
func TranslateRequest(body []byte, from, to API, facts Facts) (*Translation, error) {
	refuse := func(reason string) error { return &Untranslatable{From: from, To: to, Reason: reason} }
	if from == to {
		return &Translation{Body: body}, nil
	}
	if !translated(from) || !translated(to) {
		return nil, refuse("there is no translation between them")
	}
	if !valid(body) {
		return nil, refuse("the body is not valid JSON")
	}
	p, err := readPrompt(string(body), from, to, facts)
	if err == nil {
		var out []byte
		if out, err = p.write(); err == nil {
			return &Translation{Body: out, Notes: p.notes, Tools: p.names.tools(from)}, nil
		}
	}
	if f, ok := err.(*fieldError); ok {
		return nil, &Untranslatable{From: from, To: to, Field: f.field, Reason: f.reason}
	}
	return nil, err
}

// TranslateAnswer rewrites a whole answer from the provider's API for a client of
// another. A body that is not an answer of the provider's API, or that reports a
// failure, is an error. The answer keeps its id and model. If the provider's
// answer has no time, created is used, in seconds since 1970. If it has no usage,
// counted is used unless that is zero.
func TranslateAnswer(body []byte, from, to API, created int64, counted carrot.Usage) ([]byte, error) {
	if from == to {
		return body, nil
	}
	if !translated(from) || !translated(to) {
		return nil, fmt.Errorf("translate an answer from %s to %s: there is no translation between them", from, to)
	}
	if !valid(body) {
		return nil, fmt.Errorf("translate an answer from %s to %s: it is not valid JSON", from, to)
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
		return nil, fmt.Errorf("translate an answer from %s to %s: %w", from, to, err)
	}
	return body, nil
}

// fieldError is a field of a request that cannot be translated.
type fieldError struct{ field, reason string }

func (e *fieldError) Error() string { return e.field + ": " + e.reason }

// refuse takes no values, because decisions are recorded with the reason and must
// not quote the client's text.
func refuse(field, reason string) error { return &fieldError{field, reason} }

// fieldName returns a key of the client's if it looks like a field name, and "?"
// otherwise.
func fieldName(key string) string {
	odd := func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9') }
	if len(key) > 40 || strings.ContainsFunc(key, odd) {
		return "?"
	}
	return key
}

// builder writes a JSON object, with its members in the order of the calls.
type builder struct{ b []byte }

// raw adds a member whose value is JSON. If value is empty, it adds nothing.
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

// list adds a list of JSON values.
func (b *builder) list(key string, values []string) *builder {
	size := len(key) + 8
	for _, v := range values {
		size += 1 + len(v)
	}
	b.b = slices.Grow(b.b, size)
	b.raw(key, "[")
	for i, v := range values {
		if i > 0 {
			b.b = append(b.b, ',')
		}
		b.b = append(b.b, v...)
	}
	b.b = append(b.b, ']')
	return b
}

// str adds a string.
func (b *builder) str(key, value string) *builder { return b.raw(key, quote(value)) }

// num adds a whole number.
func (b *builder) num(key string, value int) *builder { return b.raw(key, strconv.Itoa(value)) }

// bytes returns the object.
func (b *builder) bytes() []byte {
	if len(b.b) == 0 {
		return []byte("{}")
	}
	return append(b.b, '}')
}

func (b *builder) String() string { return string(b.bytes()) }

// typed begins an object with its type.
func typed(kind string) *builder { return new(builder).str("type", kind) }

// list returns a JSON array of JSON values.
func list(values []string) string { return "[" + strings.Join(values, ",") + "]" }

// at returns the name of an element of a list, for use in an error.
func at(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

// given reports whether a value exists and is not null.
func given(v gjson.Result) bool { return v.Type != gjson.Null }

// elements calls f for the elements of a list. It ignores other values, because
// some servers send null for an empty list.
func elements(list gjson.Result, f func(gjson.Result)) {
	if list.IsArray() {
		list.ForEach(func(_, element gjson.Result) bool {
			f(element)
			return true
		})
	}
}

// objectOf returns the JSON of an object, or "" for other values.
func objectOf(v gjson.Result) string {
	if !v.IsObject() {
		return ""
	}
	return v.Raw
}

// rawOf returns the JSON of a value, or "" if it is missing or null.
func rawOf(v gjson.Result) string {
	if !given(v) {
		return ""
	}
	return v.Raw
}

// textOf returns the JSON of a string.
func textOf(v gjson.Result, field string) (string, error) {
	if v.Type != gjson.String {
		return "", refuse(field, "want a string")
	}
	return v.Raw, nil
}

// each calls f for the elements of a list until f fails. Other values are an
// error.
func each(v gjson.Result, field string, f func(field string, v gjson.Result) error) error {
	if !v.IsArray() {
		return refuse(field, "want a list")
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

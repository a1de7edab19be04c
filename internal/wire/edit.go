package wire

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot/internal/appendjson"
)

// member is one "key": value of an object, by its place in the text.
type member struct {
	key          string
	keyAt        int
	valueAt, end int
	value        gjson.Result
}

// object is the place of an object and its members in a text.
type object struct {
	at      int // of the opening brace
	members []member
}

// readObject lists the members of an object, which must be valid JSON. at is
// its place in the text.
func readObject(o gjson.Result, at int) object {
	out := object{at: at}
	if !o.IsObject() {
		return out
	}
	o.Index = at
	out.members = make([]member, 0, 8)
	o.ForEach(func(key, value gjson.Result) bool {
		out.members = append(out.members, member{key: key.Str, keyAt: key.Index, valueAt: value.Index, end: value.Index + len(value.Raw), value: value})
		return true
	})
	return out
}

// readTop lists the members of the object that a text is.
func readTop(text string) object {
	return readObject(gjson.Parse(text), strings.IndexByte(text, '{'))
}

// repeated returns a key that two members have, also if only their case differs
// and the key is one that is read here: some servers take either for it.
func (o *object) repeated() (string, bool) {
	seen := make(map[string]bool, len(o.members))
	for i := range o.members {
		key := o.members[i].key
		if lower := strings.ToLower(key); read[lower] {
			key = lower
		}
		if seen[key] {
			return o.members[i].key, true
		}
		seen[key] = true
	}
	return "", false
}

// find returns the first member of a key, or nil.
func (o *object) find(key string) *member {
	for i := range o.members {
		if o.members[i].key == key {
			return &o.members[i]
		}
	}
	return nil
}

// splice replaces text[from:to].
type splice struct {
	from, to int
	text     string
}

// apply makes all changes in one pass over the text. They must not overlap.
func apply(text string, changes []splice) []byte {
	slices.SortStableFunc(changes, func(a, b splice) int { return cmp.Compare(a.from, b.from) })
	size := len(text)
	for _, c := range changes {
		size += len(c.text)
	}
	out := make([]byte, 0, size)
	at := 0
	for _, c := range changes {
		out = append(append(out, text[at:c.from]...), c.text...)
		at = c.to
	}
	return append(out, text[at:]...)
}

// set is the change that gives a key this raw JSON value: in place of the old
// one, or as the first member.
func (o *object) set(key, raw string) splice {
	if m := o.find(key); m != nil {
		return splice{m.valueAt, m.end, raw}
	}
	text := quote(key) + ":" + raw
	if len(o.members) > 0 {
		text += ","
	}
	return splice{o.at + 1, o.at + 1, text}
}

// remove is the changes that delete the members for which drop says so, with
// the commas that kept them apart.
func (o *object) remove(drop func(key string) bool) []splice {
	var changes []splice
	last := o.at + 1 // where the last kept member ends
	for i := 0; i < len(o.members); i++ {
		if !drop(o.members[i].key) {
			last = o.members[i].end
			continue
		}
		first := i
		for i+1 < len(o.members) && drop(o.members[i+1].key) {
			i++
		}
		if i+1 < len(o.members) {
			changes = append(changes, splice{o.members[first].keyAt, o.members[i+1].keyAt, ""})
		} else {
			changes = append(changes, splice{last, o.members[i].end, ""})
		}
	}
	return changes
}

// quote writes a string as JSON.
func quote(s string) string { return string(appendjson.String(nil, s)) }

// Setting is a top-level member that a candidate sets in a request.
type Setting struct {
	Key string
	Raw string // JSON
}

// Edits are the changes of a request's body on its way to a provider.
type Edits struct {
	// Model is the provider's name for it; empty: as it is.
	Model string
	// AskUsage asks a stream of chat completions for its usage.
	AskUsage bool
	// OwnMetadata removes the metadata that begins with carrot_.
	OwnMetadata bool
	// MaxTokens bounds every token limit that is there, or adds one named
	// MaxTokensKey; 0: as it is.
	MaxTokens    int
	MaxTokensKey string
	// NoLimitAsked says that the client gave no limit: one that is there was put
	// in by TranslateRequest, and MaxTokens takes its place even if it is higher.
	NoLimitAsked bool
	// RenameLimit is the name that chat's token limit gets, if there is one under
	// another name; empty: as it is.
	RenameLimit string
	// Settings are put in, over what is there. An object's members are put into an
	// object that is there. A setting or a member that is null is taken out.
	Settings []Setting
}

// Edit changes a request's body, a valid JSON object, and leaves every byte
// outside the changes as it is.
func Edit(body []byte, e Edits) []byte {
	text := string(body)
	top := readTop(text)
	change := func(changes []splice) {
		if len(changes) > 0 {
			text = string(apply(text, changes))
			top = readTop(text)
		}
	}
	if e.OwnMetadata { // first, for settings may be of the metadata too
		change(top.dropOwn())
	}
	for _, s := range e.Settings { // one after the other: two may be of one object
		change(top.unset(s))
		change(top.setting(s))
	}
	var changes []splice
	if e.Model != "" {
		changes = append(changes, top.set("model", quote(e.Model)))
	}
	changes = append(changes, top.limit(&e)...)
	if e.AskUsage {
		changes = append(changes, top.merge("stream_options", []Setting{{"include_usage", "true"}})...)
	}
	return apply(text, changes)
}

// limit is the changes that bound the token limits, or rename one.
func (o *object) limit(e *Edits) []splice {
	var changes []splice
	found := false
	for i := range o.members {
		m := &o.members[i]
		if !IsTokenLimit(m.key) || m.value.Type == gjson.Null {
			continue
		}
		found = true
		if e.MaxTokens > 0 && (e.NoLimitAsked || m.value.Int() > int64(e.MaxTokens)) {
			changes = append(changes, splice{m.valueAt, m.end, strconv.Itoa(e.MaxTokens)})
		}
		if e.RenameLimit != "" && m.key != e.RenameLimit {
			changes = append(changes, splice{m.keyAt, m.keyAt + len(quote(m.key)), quote(e.RenameLimit)})
		}
	}
	if !found && e.MaxTokens > 0 {
		changes = append(changes, o.set(e.MaxTokensKey, strconv.Itoa(e.MaxTokens)))
	}
	return changes
}

// members takes a setting apart that is an object: what it sets, and what it takes
// out.
func (s Setting) members() (set []Setting, out []string) {
	gjson.Parse(s.Raw).ForEach(func(key, value gjson.Result) bool {
		if value.Type == gjson.Null {
			out = append(out, key.Str)
		} else {
			set = append(set, Setting{key.Str, value.Raw})
		}
		return true
	})
	return set, out
}

// unset is the changes that take out what is null in a setting.
func (o *object) unset(s Setting) []splice {
	if s.Raw == "null" {
		return o.remove(func(key string) bool { return key == s.Key })
	}
	m := o.find(s.Key)
	if m == nil || !m.value.IsObject() || !gjson.Parse(s.Raw).IsObject() {
		return nil
	}
	_, out := s.members()
	inner := readObject(m.value, m.valueAt)
	return inner.remove(func(key string) bool { return slices.Contains(out, key) })
}

// setting is the changes that put a setting in, but for what is null.
func (o *object) setting(s Setting) []splice {
	switch {
	case s.Raw == "null":
		return nil
	case !gjson.Parse(s.Raw).IsObject():
		return []splice{o.set(s.Key, s.Raw)}
	}
	set, out := s.members()
	if len(set) == 0 && len(out) > 0 {
		return nil
	}
	return o.merge(s.Key, set)
}

// maxBrackets is more than any request or answer but the longest has, and less
// than what nesting so deep would take of a stack.
const maxBrackets = 10_000

// valid reports whether data is JSON and nested no deeper than can be read.
// gjson is five times as quick as encoding/json, which alone bounds the depth.
func valid(data []byte) bool {
	if bytes.Count(data, []byte("{"))+bytes.Count(data, []byte("[")) <= maxBrackets {
		return gjson.ValidBytes(data)
	}
	return json.Valid(data)
}

// Has reports whether a JSON object has a member of this key.
func Has(body []byte, key string) bool {
	if !valid(body) {
		return false
	}
	o := readTop(string(body))
	return o.find(key) != nil
}

// IsTokenLimit reports whether a field limits output tokens.
func IsTokenLimit(field string) bool {
	return field == "max_tokens" || field == "max_completion_tokens" || field == "max_output_tokens"
}

// TokenLimitFor names the limit of output tokens in an API; chat has two names
// of it.
func TokenLimitFor(api API, chat string) string {
	switch {
	case api == Responses:
		return "max_output_tokens"
	case api == Chat && chat == "max_completion_tokens":
		return chat
	}
	return "max_tokens"
}

// SettingFor puts a setting in an API's words: an effort of reasoning is
// reasoning_effort in chat, reasoning.effort in responses and
// output_config.effort in messages.
func SettingFor(api API, key, raw string) Setting {
	switch {
	case key != "reasoning_effort" || api == Chat:
		return Setting{key, raw}
	case api == Messages:
		return Setting{"output_config", `{"effort":` + raw + `}`}
	}
	return Setting{"reasoning", `{"effort":` + raw + `}`}
}

// merge sets members of an inner object, which is made if it is not there.
func (o *object) merge(key string, settings []Setting) []splice {
	m := o.find(key)
	if m == nil || !m.value.IsObject() {
		text := ""
		for i, s := range settings {
			if i > 0 {
				text += ","
			}
			text += quote(s.Key) + ":" + s.Raw
		}
		return []splice{o.set(key, "{"+text+"}")}
	}
	inner := readObject(m.value, m.valueAt)
	var changes []splice
	for i, s := range settings {
		change := inner.set(s.Key, s.Raw)
		if len(inner.members) == 0 && i+1 < len(settings) { // all go into an empty object
			change.text += ","
		}
		changes = append(changes, change)
	}
	return changes
}

// ownPrefix begins the metadata keys that are the gateway's.
const ownPrefix = "carrot_"

// dropOwn removes the gateway's metadata, and the whole of it if nothing else
// is there: some providers refuse metadata.
func (o *object) dropOwn() []splice {
	m := o.find("metadata")
	if m == nil || !m.value.IsObject() {
		return nil
	}
	inner := readObject(m.value, m.valueAt)
	own := func(key string) bool { return strings.HasPrefix(key, ownPrefix) }
	kept := slices.ContainsFunc(inner.members, func(m member) bool { return !own(m.key) })
	if !kept && len(inner.members) > 0 {
		return o.remove(func(key string) bool { return key == "metadata" })
	}
	return inner.remove(own)
}

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

// member is one "key": value pair of an object, with its offsets in the text.
type member struct {
	key           string
	keyAt, keyEnd int
	valueAt, end  int
	value         gjson.Result
}

// object holds the offsets of an object and its members in a text.
type object struct {
	at      int // offset of the opening brace
	members []member
}

// readObject lists the members of an object, which must be valid JSON. at is
// its offset in the text. It stops when the object has more than maxFields members.
func readObject(o gjson.Result, at int) object {
	out := object{at: at}
	if !o.IsObject() {
		return out
	}
	o.Index = at
	out.members = make([]member, 0, 8)
	o.ForEach(func(key, value gjson.Result) bool {
		out.members = append(out.members, member{key: key.Str, keyAt: key.Index, keyEnd: key.Index + len(key.Raw),
			valueAt: value.Index, end: value.Index + len(value.Raw), value: value})
		return len(out.members) <= maxFields
	})
	return out
}

// fits returns an error if the object has more members than any API has. path is the
// object's own name, or empty for the body.
func (o *object) fits(path string) error {
	switch {
	case len(o.members) <= maxFields:
		return nil
	case path == "":
		return badRequest("", "the body has more than %d fields", maxFields)
	}
	return badRequest(path, "the field %q has more than %d members", path, maxFields)
}

// readTop lists the members of a text that is an object.
func readTop(text string) object {
	return readObject(gjson.Parse(text), strings.IndexByte(text, '{'))
}

// repeated returns a key that occurs twice.
func (o *object) repeated() (string, bool) {
	seen := make(map[string]bool, len(o.members))
	for i := range o.members {
		key := o.members[i].key
		if seen[key] {
			return key, true
		}
		seen[key] = true
	}
	return "", false
}

// plain refuses an object in which a member with the key is given twice, or under
// a name that differs from it only in case. Many servers take such names for the
// same, so that what is set here would not hold there. path is the object's own
// name with a dot, or empty.
func (o *object) plain(path, key string) error {
	given := false
	for i := range o.members {
		switch name := o.members[i].key; {
		case !strings.EqualFold(name, key):
		case name != key:
			return badRequest(path+name, "the field %q differs from %q only in case, and servers do not agree on whether they are the same", path+name, path+key)
		case given:
			return badRequest(path+key, "the field %q appears twice", path+key)
		default:
			given = true
		}
	}
	return nil
}

// plainFor is plain for all members that a setting changes.
func (o *object) plainFor(s Setting) error {
	if err := o.plain("", s.Key); err != nil {
		return err
	}
	m := o.find(s.Key)
	if m == nil || !m.value.IsObject() {
		return nil
	}
	inner := readObject(m.value, m.valueAt)
	if err := inner.fits(s.Key); err != nil {
		return err
	}
	set, out := s.members()
	for _, s := range set {
		out = append(out, s.Key)
	}
	for _, key := range out {
		if err := inner.plain(s.Key+".", key); err != nil {
			return err
		}
	}
	return nil
}

// find returns the first member with a key, or nil.
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

// set returns the change that sets a key to a raw JSON value. It replaces the old
// value or, if there is none, adds a first member.
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

// remove returns the changes that delete the members whose keys drop selects,
// including their commas.
func (o *object) remove(drop func(key string) bool) []splice {
	var changes []splice
	last := o.at + 1 // end of the last kept member
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

// Setting is a top-level member of a request's body that a candidate sets.
type Setting struct {
	Key string
	Raw string // JSON
}

// askUsage asks for the usage in a stream of chat completions.
var askUsage = Setting{"stream_options", `{"include_usage":true}`}

// Edits are the changes to a request's body before it is sent to a provider.
type Edits struct {
	// Model is the provider's name of the model. Empty means no change.
	Model string
	// AskUsage asks for the usage in a stream of chat completions.
	AskUsage bool
	// OwnMetadata removes the metadata whose keys begin with carrot_.
	OwnMetadata bool
	// MaxTokens lowers every higher token limit to this value or, if there is
	// none, adds one named MaxTokensKey. 0 means no change.
	MaxTokens    int
	MaxTokensKey string
	// NoLimitAsked says that the client set no limit. A limit in the body then
	// comes from TranslateRequest, and MaxTokens replaces it even if MaxTokens is
	// higher.
	NoLimitAsked bool
	// RenameLimit is the new name of chat's token limit, if the body has one under
	// another name. Of two limits, the lower one stays. Empty means no change.
	RenameLimit string
	// Settings replace members of the body or are added to it. If a setting and
	// the member it replaces are both objects, they are merged. A setting that is
	// null removes the member, as does a null within an object.
	Settings []Setting
}

// Edit changes a request's body, which must be a valid JSON object. It leaves
// every byte outside the changes as it is.
func Edit(body []byte, e Edits) []byte {
	text := string(body)
	top := readTop(text)
	change := func(changes []splice) {
		if len(changes) > 0 {
			text = string(apply(text, changes))
			top = readTop(text)
		}
	}
	if e.OwnMetadata { // first, because settings may add metadata
		change(top.dropOwn())
	}
	for _, s := range e.Settings { // one by one: two may change the same object
		change(top.unset(s))
		change(top.setting(s))
	}
	var changes []splice
	if e.Model != "" {
		changes = append(changes, top.set("model", quote(e.Model)))
	}
	changes = append(changes, top.limit(&e)...)
	if e.AskUsage {
		changes = append(changes, top.setting(askUsage)...)
	}
	return apply(text, changes)
}

// limit returns the changes that lower, add or rename token limits.
func (o *object) limit(e *Edits) []splice {
	var changes []splice
	found := false
	kept := ""
	if e.RenameLimit != "" {
		var twice bool
		if kept, twice = o.lowestLimit(); twice {
			changes = o.remove(func(key string) bool { return IsTokenLimit(key) && key != kept })
		}
	}
	for i := range o.members {
		m := &o.members[i]
		if !IsTokenLimit(m.key) || m.value.Type == gjson.Null || kept != "" && m.key != kept {
			continue
		}
		found = true
		if e.MaxTokens > 0 && (e.NoLimitAsked || m.value.Int() > int64(e.MaxTokens)) {
			changes = append(changes, splice{m.valueAt, m.end, strconv.Itoa(e.MaxTokens)})
		}
		if e.RenameLimit != "" && m.key != e.RenameLimit {
			changes = append(changes, splice{m.keyAt, m.keyEnd, quote(e.RenameLimit)})
		}
	}
	if !found && e.MaxTokens > 0 {
		changes = append(changes, o.set(e.MaxTokensKey, strconv.Itoa(e.MaxTokens)))
	}
	return changes
}

// lowestLimit returns the name of the lowest token limit, and whether there are others.
func (o *object) lowestLimit() (key string, others bool) {
	lowest := int64(0)
	for i := range o.members {
		m := &o.members[i]
		if !IsTokenLimit(m.key) {
			continue
		}
		others = others || key != ""
		if m.value.Type != gjson.Null && (lowest == 0 || m.value.Int() < lowest) {
			lowest = m.value.Int()
			key = m.key
		} else if key == "" {
			key = m.key
		}
	}
	return key, others
}

// members splits a setting that is an object into the members that it sets and
// the keys of those that are null, which it removes.
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

// unset returns the changes that remove the members that are null in a setting.
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

// setting returns the changes that set the members of a setting that are not
// null.
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

// maxBrackets is the most brackets that a text may have to be parsed by gjson,
// which does not limit its recursion. Only the longest requests and answers have
// more.
const maxBrackets = 10_000

// valid reports whether data is JSON that is not nested too deeply to read.
// gjson is five times as fast as encoding/json, but only encoding/json limits the
// depth.
func valid(data []byte) bool {
	if bytes.Count(data, []byte("{"))+bytes.Count(data, []byte("[")) <= maxBrackets {
		return gjson.ValidBytes(data)
	}
	return json.Valid(data)
}

// Has reports whether body is a JSON object that has a member with the key.
func Has(body []byte, key string) bool {
	if !valid(body) {
		return false
	}
	o := readTop(string(body))
	return o.find(key) != nil
}

// IsTokenLimit reports whether a top-level field limits the output tokens.
func IsTokenLimit(field string) bool {
	return field == "max_tokens" || field == "max_completion_tokens" || field == "max_output_tokens"
}

// TokenLimitFor returns the name of the field that limits the output tokens in an
// API. Chat has two such names; the parameter chat selects one.
func TokenLimitFor(api API, chat string) string {
	switch {
	case api == Responses:
		return "max_output_tokens"
	case api == Chat && chat == "max_completion_tokens":
		return chat
	}
	return "max_tokens"
}

// SettingFor translates a setting for an API: the reasoning effort is
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

// merge sets members of an inner object, and adds the object if it is missing.
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
		if len(inner.members) == 0 && i+1 < len(settings) { // further members follow
			change.text += ","
		}
		changes = append(changes, change)
	}
	return changes
}

// ownPrefix begins the metadata keys that are meant for the gateway.
const ownPrefix = "carrot_"

// dropOwn removes the gateway's metadata. If nothing else is left, it removes the
// whole member, because some providers refuse metadata.
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

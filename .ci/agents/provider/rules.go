package main

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

type object = map[string]any

// asObject, get, list and str read JSON without caring whether it is there.
func asObject(v any) object               { o, _ := v.(object); return o }
func get(o object, key string) object     { return asObject(o[key]) }
func list(o object, key string) []any     { l, _ := o[key].([]any); return l }
func str(o object, key string) string     { s, _ := o[key].(string); return s }
func number(o object, key string) float64 { n, _ := o[key].(float64); return n }

// has reports whether an object has a member that is not null.
func has(o object, key string) bool { return o[key] != nil }

// rules notes the first rule that a request breaks.
type rules struct{ broken *refusal }

// must notes a broken rule about a field if ok is false, and returns ok.
func (r *rules) must(ok bool, param, format string, args ...any) bool {
	if !ok && r.broken == nil {
		r.broken = &refusal{http.StatusBadRequest, "invalid_request_error", fmt.Sprintf(format, args...), param, ""}
	}
	return ok
}

// known refuses members that are not in a list of words. The format has one %s for
// the full name of the member.
func (r *rules) known(o object, at, words, format string) {
	fields := strings.Fields(words)
	for key := range o {
		name := key
		if at != "" {
			name = at + "." + key
		}
		r.must(slices.Contains(fields, key), name, format, name)
	}
}

var (
	toolNames = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	ids       = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)
)

// short refuses strings that are too long.
func (r *rules) short(o object, key string, limit int) {
	if v, ok := o[key]; ok && v != nil {
		s, isString := v.(string)
		r.must(isString, key, "Invalid type for '%s': expected a string.", key)
		r.must(utf8.RuneCountInString(s) <= limit, key, "Invalid '%s': string too long. Expected a string with maximum length %d, but got a string with length %d instead.", key, limit, len(s))
	}
}

// labels checks the metadata of OpenAI.
func (r *rules) labels(o object) {
	if !has(o, "metadata") {
		return
	}
	m, ok := o["metadata"].(object)
	r.must(ok, "metadata", "Invalid type for 'metadata': expected an object.")
	r.must(len(m) <= 16, "metadata", "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got %d.", len(m))
	for key, v := range m {
		s, ok := v.(string)
		r.must(ok, "metadata."+key, "Invalid type for 'metadata.%s': expected a string.", key)
		r.must(len(key) <= 64, "metadata", "Invalid property name in 'metadata': maximum length 64.")
		r.must(utf8.RuneCountInString(s) <= 512, "metadata."+key, "Invalid 'metadata.%s': string too long. Expected maximum length 512.", key)
	}
}

// between refuses numbers out of range, and what is not a number.
func (r *rules) between(o object, key string, low, high float64) {
	if v, ok := o[key]; ok && v != nil {
		n, isNumber := v.(float64)
		r.must(isNumber && n >= low && n <= high, key, "Invalid '%s': expected a number between %g and %g.", key, low, high)
	}
}

// oneOf refuses strings that are not among some words.
func (r *rules) oneOf(o object, key, at, words string) {
	if v, ok := o[key]; ok && v != nil {
		s, _ := v.(string)
		r.must(slices.Contains(strings.Fields(words), s), at, "Invalid value: '%v'. Supported values are: %s.", v, words)
	}
}

// openAITool checks a function or custom tool of OpenAI. Its fields are in o, at is
// where that stands.
func (r *rules) openAITool(o object, kind, at string) tool {
	name := str(o, "name")
	r.must(toolNames.MatchString(name), at+".name", "Invalid '%s.name': '%s' does not match pattern '^[a-zA-Z0-9_-]{1,64}$'.", at, name)
	out := tool{name: name, custom: kind == "custom", schema: get(o, "parameters")}
	if out.custom {
		if f := get(o, "format"); f != nil {
			r.oneOf(f, "type", at+".format.type", "text grammar")
		}
		return out
	}
	if has(o, "parameters") {
		r.schema(o["parameters"], at+".parameters", name, o["strict"] == true)
	}
	return out
}

// schema checks the schema of a function's arguments, or of a strict answer.
func (r *rules) schema(v any, at, name string, strict bool) {
	s, ok := v.(object)
	if !r.must(ok, at, "Invalid schema for function '%s': schema must be an object.", name) {
		return
	}
	if kind := s["type"]; len(s) > 0 || strict {
		r.must(kind == "object", at, "Invalid schema for function '%s': schema must be a JSON Schema of 'type: \"object\"', got 'type: \"%v\"'.", name, kind)
	}
	if strict {
		r.strict(s, at, name, 0)
	}
}

// strict holds a schema to what OpenAI's structured outputs take.
func (r *rules) strict(s object, at, name string, depth int) {
	if depth > 32 {
		return
	}
	properties := get(s, "properties")
	if s["type"] == "object" || properties != nil {
		r.must(s["additionalProperties"] == false, at, "Invalid schema for function '%s': In context=(), 'additionalProperties' is required to be supplied and to be false.", name)
		for key := range properties {
			r.must(slices.Contains(list(s, "required"), any(key)), at, "Invalid schema for function '%s': In context=(), 'required' is required to be supplied and to be an array including every key in properties. Missing '%s'.", name, key)
			r.strict(get(properties, key), at, name, depth+1)
		}
	}
	for _, key := range []string{"oneOf", "allOf", "not", "if", "patternProperties", "uniqueItems", "dependentRequired"} {
		_, present := s[key]
		r.must(!present, at, "Invalid schema for function '%s': In context=(), '%s' is not permitted.", name, key)
	}
	if items := get(s, "items"); items != nil {
		r.strict(items, at, name, depth+1)
	}
	for _, v := range list(s, "anyOf") {
		r.strict(asObject(v), at, name, depth+1)
	}
	for _, v := range get(s, "$defs") {
		r.strict(asObject(v), at, name, depth+1)
	}
}

// choice checks which tool must be called, by name or * for any.
func (r *rules) choice(t *talk, name string) {
	if name == "" {
		return
	}
	t.force = name
	_, found := t.find(name)
	r.must(found || name == "*" && len(t.tools) > 0, "tool_choice", "Tool choice '%s' not found in 'tools' parameter.", name)
}

// index names an element of a list as OpenAI does.
func index(at string, i int) string { return fmt.Sprintf("%s[%d]", at, i) }

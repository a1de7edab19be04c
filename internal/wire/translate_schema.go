package wire

import (
	"regexp"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// maxSchemaDepth is how deep the schemas may be that are rewritten, because each level
// copies those below it.
const maxSchemaDepth = 40

// objectSchema returns a schema of a tool's parameters, with what providers require
// of it: the type object, and properties.
func objectSchema(raw string) string {
	o := readTop(raw)
	var changes []splice
	kind, properties := o.find("type"), o.find("properties")
	switch {
	case kind == nil && properties == nil && len(o.members) == 0:
		return emptySchema
	case kind == nil || kind.value.Type == gjson.Null:
		changes = append(changes, o.set("type", `"object"`))
	case kind.value.Str != "object":
		return raw
	}
	if properties == nil {
		set := o.set("properties", "{}")
		if len(changes) > 0 && kind == nil { // both are inserted at the same place
			changes[0].text += set.text
		} else {
			changes = append(changes, set)
		}
	}
	if len(changes) == 0 {
		return raw
	}
	return string(apply(raw, changes))
}

// unions are the keywords that providers refuse at the top of a tool's parameters.
var unions = []string{"anyOf", "oneOf", "allOf", "not", "enum"}

// withoutUnions rewrites a schema of a tool's parameters that has such keywords at its top:
// the properties of all variants become its own, and the keywords move to its description.
// moved reports whether there were any.
func withoutUnions(raw string) (schema string, moved bool) {
	o := readTop(raw)
	if !slices.ContainsFunc(unions, func(key string) bool { return o.find(key) != nil }) {
		return raw, false
	}
	b, properties := new(builder), new(builder)
	known := map[string]bool{}
	merge := func(v gjson.Result) {
		v.ForEach(func(name, schema gjson.Result) bool {
			if !known[name.Str] {
				known[name.Str] = true
				properties.raw(bare(name.Raw), schema.Raw)
			}
			return true
		})
	}
	description := ""
	for i := range o.members {
		switch m := &o.members[i]; {
		case m.key == "properties":
			merge(m.value)
		case m.key == "description":
			description = strings.TrimSpace(m.value.Str + "\n\n" + description)
		case slices.Contains(unions, m.key):
			elements(m.value, func(variant gjson.Result) { merge(variant.Get("properties")) })
			description = strings.TrimSpace(description + "\n\n{" + m.key + ": " + m.value.Raw + "}")
		default:
			b.raw(bare(quote(m.key)), m.value.Raw)
		}
	}
	return b.raw("properties", properties.String()).str("description", description).String(), true
}

// outdated finds keywords in the form of older drafts of JSON Schema.
var outdated = regexp.MustCompile(`"items"\s*:\s*\[|"(?:exclusiveM(?:in|ax)imum|required)"\s*:\s*(?:true|false)`)

// current rewrites a schema in the form of draft 2020-12, which Anthropic requires: of
// older ones, tuples and limits that are exclusive are written otherwise.
func current(raw string) string {
	if !outdated.MatchString(raw) {
		return raw
	}
	return currentIn(gjson.Parse(raw), 0)
}

func currentIn(v gjson.Result, depth int) string {
	switch {
	case depth > maxSchemaDepth || !v.IsObject() && !v.IsArray():
		return v.Raw
	case v.IsArray():
		var out []string
		elements(v, func(v gjson.Result) { out = append(out, currentIn(v, depth+1)) })
		return list(out)
	}
	b := new(builder)
	tuple := v.Get("items").IsArray()
	exclusive := func(key string) bool { return v.Get("exclusive"+strings.ToUpper(key[:1])+key[1:]).Type == gjson.True }
	v.ForEach(func(key, value gjson.Result) bool {
		name := bare(key.Raw)
		switch key.Str {
		case "items":
			if tuple {
				name = "prefixItems"
			}
		case "additionalItems":
			if tuple {
				name = "items"
			}
		case "minimum", "maximum":
			if exclusive(key.Str) {
				name = "exclusive" + strings.ToUpper(name[:1]) + name[1:]
			}
		case "exclusiveMinimum", "exclusiveMaximum", "required":
			if value.IsBool() {
				return true
			}
		case "enum", "const", "default", "examples": // values, not schemas
			b.raw(name, value.Raw)
			return true
		}
		b.raw(name, currentIn(value, depth+1))
		return true
	})
	return b.String()
}

// anthropicSchema rewrites a schema for Anthropic's structured outputs and strict
// tools, as its own client does: objects have no additional properties, oneOf becomes
// anyOf, and keywords that are not supported move to the description. moved reports
// whether there were such keywords. ok is false if the schema has no such form.
func anthropicSchema(v gjson.Result) (schema string, moved, ok bool) {
	s := schemaWriter{}
	out := s.anthropic(v, 0)
	return out, s.moved, !s.failed
}

// schemaWriter rewrites one schema.
type schemaWriter struct{ moved, failed bool }

// stringFormats are the formats of strings that Anthropic supports.
var stringFormats = []string{"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}

func (s *schemaWriter) anthropic(v gjson.Result, depth int) string {
	if !v.IsObject() || depth > maxSchemaDepth {
		s.failed = true
		return "{}"
	}
	m := schemaMembers(v)
	b := new(builder)
	s.each(b, m, "$defs", depth)
	if ref := m.take("$ref"); ref != "" {
		return b.raw("$ref", ref).String()
	}
	kind := m.take("type")
	if types := gjson.Parse(kind); types.IsArray() {
		return s.types(b, m, types, depth)
	}
	anyOf, oneOf, allOf := m.take("anyOf"), m.take("oneOf"), m.take("allOf")
	literal := false
	if enum := gjson.Parse(m.values["enum"]); enum.IsArray() && enum.Get("0").Exists() && primitives(enum) {
		b.raw("enum", m.take("enum"))
		literal = true
	}
	if c := gjson.Parse(m.values["const"]); m.values["const"] != "" && !c.IsObject() && !c.IsArray() {
		b.raw("const", m.take("const"))
		literal = true
	}
	switch {
	case gjson.Parse(anyOf).IsArray():
		s.list(b, "anyOf", anyOf, depth)
	case gjson.Parse(oneOf).IsArray():
		s.list(b, "anyOf", oneOf, depth)
	case gjson.Parse(allOf).IsArray():
		s.list(b, "allOf", allOf, depth)
	case literal:
	case gjson.Parse(kind).Type != gjson.String:
		s.failed = true
	default:
		b.raw("type", kind)
	}
	description := gjson.Parse(m.take("description")).Str
	b.raw("title", m.take("title"))
	if !literal {
		s.byKind(b, m, gjson.Parse(kind).Str, depth)
	}
	if rest := m.rest(); rest != "" {
		s.moved = true
		if description != "" {
			description += "\n\n"
		}
		description += "{" + rest + "}"
	}
	if description != "" {
		b.str("description", description)
	}
	return b.String()
}

// byKind writes the keywords of a type.
func (s *schemaWriter) byKind(b *builder, m *keywords, kind string, depth int) {
	switch kind {
	case "object":
		before := len(b.b)
		s.each(b, m, "properties", depth)
		if len(b.b) == before {
			b.raw("properties", "{}")
		}
		if more := m.values["additionalProperties"]; more == "false" {
			m.take("additionalProperties")
		}
		b.raw("additionalProperties", "false").raw("required", m.take("required"))
	case "string":
		if slices.Contains(stringFormats, gjson.Parse(m.values["format"]).Str) {
			b.raw("format", m.take("format"))
		}
	case "array":
		if items := m.take("items"); items != "" {
			b.raw("items", s.anthropic(gjson.Parse(items), depth+1))
		}
		if least := m.values["minItems"]; least == "0" || least == "1" {
			b.raw("minItems", m.take("minItems"))
		}
	}
}

// types writes a schema with several types as one of them each.
func (s *schemaWriter) types(b *builder, m *keywords, types gjson.Result, depth int) string {
	var variants []string
	title, description := m.take("title"), m.take("description")
	elements(types, func(kind gjson.Result) {
		one := new(builder).raw("type", kind.Raw)
		if kind.Str != "null" {
			for _, key := range m.order {
				if raw := m.values[key]; raw != "" {
					one.raw(bare(quote(key)), raw)
				}
			}
		}
		variants = append(variants, s.anthropic(gjson.Parse(one.String()), depth+1))
	})
	return b.list("anyOf", variants).raw("title", title).raw("description", description).String()
}

// each writes an object of schemas.
func (s *schemaWriter) each(b *builder, m *keywords, key string, depth int) {
	raw := m.take(key)
	if raw == "" {
		return
	}
	inner := new(builder)
	gjson.Parse(raw).ForEach(func(name, schema gjson.Result) bool {
		inner.raw(bare(name.Raw), s.anthropic(schema, depth+1))
		return !s.failed
	})
	b.raw(key, inner.String())
}

// list writes a list of schemas.
func (s *schemaWriter) list(b *builder, key, raw string, depth int) {
	var out []string
	elements(gjson.Parse(raw), func(v gjson.Result) { out = append(out, s.anthropic(v, depth+1)) })
	b.list(key, out)
}

// primitives reports whether no value of a list is an object or list.
func primitives(list gjson.Result) bool {
	all := true
	elements(list, func(v gjson.Result) { all = all && !v.IsObject() && !v.IsArray() })
	return all
}

// keywords are those of a schema that are not written yet.
type keywords struct {
	order  []string
	values map[string]string // JSON
}

func schemaMembers(v gjson.Result) *keywords {
	m := &keywords{values: map[string]string{}}
	v.ForEach(func(key, value gjson.Result) bool {
		if _, twice := m.values[key.Str]; !twice {
			m.order = append(m.order, key.Str)
		}
		m.values[key.Str] = value.Raw
		return true
	})
	return m
}

// take returns the value of a keyword, which is then written.
func (m *keywords) take(key string) string {
	raw := m.values[key]
	m.values[key] = ""
	return raw
}

// rest returns the keywords that are not written, as text.
func (m *keywords) rest() string {
	var out []string
	for _, key := range m.order {
		if raw := m.values[key]; raw != "" {
			text := raw
			if v := gjson.Parse(raw); v.Type == gjson.String {
				text = v.Str
			}
			out = append(out, key+": "+text)
		}
	}
	return strings.Join(out, ", ")
}

// openAISchema rewrites a schema for OpenAI's structured outputs and strict tools, as
// its own client does: objects have no additional properties, and all properties are
// required. ok is false if the schema has no such form.
func openAISchema(v gjson.Result) (schema string, ok bool) {
	s := schemaWriter{}
	return s.openAI(v, 0), !s.failed
}

func (s *schemaWriter) openAI(v gjson.Result, depth int) string {
	if !v.IsObject() || depth > maxSchemaDepth {
		s.failed = true
		return "{}"
	}
	if ref := v.Get("$ref"); ref.Exists() && depth > 0 { // nothing may stand beside it
		return new(builder).raw("$ref", ref.Raw).String()
	}
	b, required, isObject := new(builder), []string(nil), v.Get("type").Str == "object"
	v.ForEach(func(key, value gjson.Result) bool {
		name := bare(key.Raw)
		switch key.Str {
		case "properties", "$defs", "definitions":
			inner := new(builder)
			value.ForEach(func(property, schema gjson.Result) bool {
				if key.Str == "properties" {
					required = append(required, property.Raw)
				}
				inner.raw(bare(property.Raw), s.openAI(schema, depth+1))
				return !s.failed
			})
			isObject = isObject || key.Str == "properties"
			b.raw(name, inner.String())
		case "items":
			b.raw(name, s.openAI(value, depth+1))
		case "anyOf", "oneOf", "allOf":
			var all []string
			elements(value, func(v gjson.Result) { all = append(all, s.openAI(v, depth+1)) })
			if key.Str == "oneOf" {
				name = "anyOf"
			}
			b.list(name, all)
		case "required":
		case "additionalProperties":
			s.failed = s.failed || value.Raw != "false"
		case "default":
			if value.Type != gjson.Null {
				b.raw(name, value.Raw)
			}
		default:
			b.raw(name, value.Raw)
		}
		return !s.failed
	})
	if isObject {
		if !v.Get("properties").Exists() {
			b.raw("properties", "{}")
		}
		b.list("required", required).raw("additionalProperties", "false")
	}
	return b.String()
}

// bare returns the JSON of a string without its quotes, as a builder's key.
func bare(raw string) string { return raw[1 : len(raw)-1] }

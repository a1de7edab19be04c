package strictyaml

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/carrot-router/carrot/internal/spelling"
)

// decoder decodes YAML into a value by the types and tags of its fields. It collects
// problems and continues after them.
type decoder struct {
	*Problems
	env func(string) (string, bool)
}

var durationType = reflect.TypeFor[time.Duration]()

// isSecret reports whether values of a type must not be shown.
func isSecret(t reflect.Type) bool {
	return t.Kind() == reflect.String && t.Implements(reflect.TypeFor[interface{ Reveal() string }]())
}

// value decodes the node at a path into v. If expand is true, environment variables
// are expanded in text.
func (d *decoder) value(path string, node ast.Node, v reflect.Value, expand bool) {
	switch {
	case v.Type() == durationType:
		d.duration(path, node, v)
		return
	case v.Kind() == reflect.Interface:
		if value, ok := d.free(path, node); ok {
			v.Set(reflect.ValueOf(&value).Elem())
		}
		return
	case node.Type() == ast.NullType:
		d.malform(path, node, "has no value: omit the key for the default")
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(path, node, v.Elem(), expand)
	case reflect.Struct:
		d.structure(path, node, v)
	case reflect.Map:
		d.mapping(path, node, v)
	case reflect.Slice:
		list, ok := node.(*ast.SequenceNode)
		if !ok {
			d.mistyped(path, node, "a list", v)
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), len(list.Values), len(list.Values)))
		for i, value := range list.Values {
			at := Element(path, i)
			d.at[at] = placeOfNode(value)
			d.value(at, value, v.Index(i), expand)
		}
	default:
		d.scalar(path, node, v, expand)
	}
}

// inline is the tag of an embedded struct whose fields are keys of the mapping
// itself.
const inline = ",inline"

// structure decodes a mapping into a struct, by the yaml tags of its fields. The tag bool
// of a field for text has two words that false and true stand for.
func (d *decoder) structure(path string, node ast.Node, v reflect.Value) {
	byKey := make(map[string]reflect.StructField)
	var keys []string
	for _, field := range reflect.VisibleFields(v.Type()) {
		if key := field.Tag.Get("yaml"); key != "" && key != "-" && key != inline {
			byKey[key] = field
			keys = append(keys, key)
		}
	}
	d.entries(path, node, v, func(key, at string, keyNode, value ast.Node) {
		field, ok := byKey[key]
		if !ok {
			text := fmt.Sprintf("unknown key %q", key)
			if near := spelling.Nearest(key, keys); near != "" {
				text += fmt.Sprintf(", did you mean %q?", near)
			} else {
				text += ": want one of " + strings.Join(keys, ", ")
			}
			d.malform(path, keyNode, "%s", text)
			return
		}
		if b, ok := value.(*ast.BoolNode); ok && field.Tag.Get("bool") != "" {
			no, yes, _ := strings.Cut(field.Tag.Get("bool"), ",")
			v.FieldByIndex(field.Index).SetString(map[bool]string{false: no, true: yes}[b.Value])
			return
		}
		d.value(at, value, v.FieldByIndex(field.Index), field.Tag.Get("expand") == "env")
	})
}

// mapping decodes a mapping whose keys the user chooses.
func (d *decoder) mapping(path string, node ast.Node, v reflect.Value) {
	v.Set(reflect.MakeMap(v.Type()))
	d.entries(path, node, v, func(key, at string, _, value ast.Node) {
		to := reflect.New(v.Type().Elem()).Elem()
		d.value(at, value, to, false)
		v.SetMapIndex(reflect.ValueOf(key), to)
	})
}

// entries calls f with the key, path and nodes of each entry of a mapping. Entries
// whose key has appeared before are problems and are skipped.
func (d *decoder) entries(path string, node ast.Node, v reflect.Value, f func(key, at string, keyNode, value ast.Node)) {
	m, ok := node.(ast.MapNode)
	if !ok {
		d.mistyped(path, node, "a mapping", v)
		return
	}
	first := make(map[string]place)
	for iter := m.MapRange(); iter.Next(); {
		keyNode := iter.Key()
		key := keyNode.GetToken().Value
		if before, ok := first[key]; ok {
			d.malform(path, keyNode, "key %q appears twice, first at line %d", key, before.line)
			continue
		}
		at := Child(path, key)
		first[key] = placeOf(keyNode.GetToken())
		d.at[at] = placeOfNode(iter.Value())
		if iter.Value().Type() == ast.NullType {
			d.at[at] = first[key] // the parser puts a missing value on the next line
		}
		f(key, at, keyNode, iter.Value())
	}
}

// scalar decodes text, a number, or true or false.
func (d *decoder) scalar(path string, node ast.Node, v reflect.Value, expand bool) {
	switch v.Kind() {
	case reflect.String:
		text, ok := textOf(node)
		if !ok {
			d.mistyped(path, node, "text in quotes", v)
			return
		}
		if expand || isSecret(v.Type()) {
			var err error
			if text, err = expandEnv(text, d.env); err != nil {
				d.Add(path, "%v", err)
			}
		} else if strings.Contains(text, "${") {
			d.malform(path, node, "environment variables are expanded only in secrets, addresses and paths")
		}
		v.SetString(text)
	case reflect.Bool:
		b, ok := node.(*ast.BoolNode)
		if !ok {
			d.mistyped(path, node, "true or false", v)
			return
		}
		v.SetBool(b.Value)
	case reflect.Float64:
		switch n := number(node).(type) {
		case float64:
			v.SetFloat(n)
		case int64:
			v.SetFloat(float64(n))
		case uint64:
			v.SetFloat(float64(n))
		default:
			d.mistyped(path, node, "a number", v)
		}
	default:
		d.integer(path, node, v)
	}
}

// integer decodes a whole number.
func (d *decoder) integer(path string, node ast.Node, v reflect.Value) {
	value := number(node)
	if value == nil || node.Type() == ast.FloatType {
		d.mistyped(path, node, "a whole number", v)
		return
	}
	signed, isSigned := value.(int64)
	unsigned, isUnsigned := value.(uint64)
	switch {
	case v.CanUint() && isUnsigned && !v.OverflowUint(unsigned):
		v.SetUint(unsigned)
	case v.CanUint() && isSigned && signed >= 0 && !v.OverflowUint(uint64(signed)):
		v.SetUint(uint64(signed))
	case v.CanInt() && isSigned && !v.OverflowInt(signed):
		v.SetInt(signed)
	case v.CanInt() && isUnsigned && int64(unsigned) >= 0 && !v.OverflowInt(int64(unsigned)):
		v.SetInt(int64(unsigned))
	default:
		d.malform(path, node, "%s is out of range", node.GetToken().Value)
	}
}

// duration decodes a duration with its unit.
func (d *decoder) duration(path string, node ast.Node, v reflect.Value) {
	const want = "a duration with its unit, such as 30s or 5m"
	text, ok := textOf(node)
	if !ok {
		d.mistyped(path, node, want, v)
		return
	}
	value, err := time.ParseDuration(text)
	if err != nil {
		d.mistyped(path, node, want, v)
		return
	}
	v.SetInt(int64(value))
}

// free decodes a value of any type as encoding/json does, except that whole numbers
// become int64 or uint64.
func (d *decoder) free(path string, node ast.Node) (any, bool) {
	switch n := node.(type) {
	case *ast.NullNode:
		return nil, true
	case *ast.SequenceNode:
		list := make([]any, len(n.Values))
		for i, value := range n.Values {
			d.at[Element(path, i)] = placeOfNode(value)
			list[i], _ = d.free(Element(path, i), value)
		}
		return list, true
	case ast.MapNode:
		m := make(map[string]any)
		d.entries(path, node, reflect.ValueOf(m), func(key, at string, _, value ast.Node) {
			m[key], _ = d.free(at, value)
		})
		return m, true
	}
	if n := number(node); n != nil {
		return n, true
	}
	if text, ok := textOf(node); ok {
		return text, true
	}
	if n, ok := node.(ast.ScalarNode); ok && n.GetValue() != nil {
		return n.GetValue(), true
	}
	d.malform(path, node, "%s is not allowed here", describe(node, false))
	return nil, false
}

// malform adds a problem of form.
func (d *decoder) malform(path string, node ast.Node, format string, args ...any) {
	d.malformed = true
	at := placeOfNode(node)
	if node.Type() == ast.NullType && d.Given(path) {
		at = d.Problems.at[path]
	}
	d.addAt(at, path, format, args...)
}

// mistyped adds the problem that a node is of the wrong type.
func (d *decoder) mistyped(path string, node ast.Node, want string, v reflect.Value) {
	d.malform(path, node, "want %s, not %s", want, describe(node, isSecret(v.Type())))
}

// describe returns a description of a node, without its value if that is secret.
func describe(node ast.Node, secret bool) string {
	value := ""
	if !secret {
		value = node.GetToken().Value
		if _, isText := textOf(node); isText {
			value = strconv.Quote(value)
		}
		value = " " + value
	}
	switch node.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return "text" + strings.TrimSuffix(value, ` ""`)
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "the number" + value
	case *ast.BoolNode:
		return cmp.Or(strings.TrimSpace(value), "true or false")
	case *ast.NullNode:
		return "nothing"
	case *ast.SequenceNode:
		return "a list"
	case ast.MapNode:
		return "a mapping"
	}
	return "this"
}

// textOf returns the text of a node, if it is text.
func textOf(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	}
	return "", false
}

// number returns the number of a node: a uint64 or int64 if it is whole, or else a
// float64. It returns nil if the node is not a number. Numbers such as 1e-3, without
// a decimal point, are numbers too, although the parser regards them as text.
func number(node ast.Node) any {
	switch n := node.(type) {
	case *ast.FloatNode:
		return n.Value
	case *ast.IntegerNode:
		return n.Value
	case *ast.StringNode:
		if n.Token.Type != token.StringType || !json.Valid([]byte(n.Value)) {
			return nil
		}
		f, err := strconv.ParseFloat(n.Value, 64)
		switch {
		case err != nil:
			return nil
		case f != math.Trunc(f) || math.Abs(f) >= 1<<53:
			return f
		case f < 0:
			return int64(f)
		}
		return uint64(f)
	}
	return nil
}

// placeOfNode returns where a node begins. A mapping without braces begins with its
// first key.
func placeOfNode(node ast.Node) place {
	if m, ok := node.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		node = m.Values[0]
	}
	if m, ok := node.(*ast.MappingValueNode); ok {
		node = m.Key
	}
	return placeOf(node.GetToken())
}

// expandEnv expands environment variables in a text: ${NAME}, which must be set and
// not empty, and ${NAME:-default}. $$ is a dollar sign. Errors do not show the text.
func expandEnv(text string, env func(string) (string, bool)) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "$")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		if after, ok := strings.CutPrefix(rest, "$"); ok {
			out.WriteByte('$')
			text = after
			continue
		}
		inside, after, closed := strings.Cut(rest, "}")
		inside, open := strings.CutPrefix(inside, "{")
		name, other, hasOther := strings.Cut(inside, ":-")
		if !open || !closed || !isVariable(name) {
			return "", errors.New("a $ must begin ${NAME} or ${NAME:-default}: write $$ for a dollar sign")
		}
		value, set := "", false
		if env != nil {
			value, set = env(name)
		}
		switch {
		case value != "":
		case hasOther:
			value = other
		case set:
			return "", fmt.Errorf("environment variable %s is empty: set it, or write ${%s:-} if it may be empty", name, name)
		default:
			return "", fmt.Errorf("environment variable %s is not set: set it, or write ${%s:-default}", name, name)
		}
		out.WriteString(value)
		text = after
	}
}

// isVariable reports whether a name is valid for an environment variable.
func isVariable(name string) bool {
	for i, r := range name {
		if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}

package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/carrot-router/carrot/eval"
	"github.com/carrot-router/carrot/internal/spelling"
)

// ErrSchema is returned for JSON that is not a report in the current form.
var ErrSchema = errors.New("not a report in the form " + eval.Schema)

// JSON writes a report as carrot eval --json does.
func JSON(w io.Writer, r *eval.Report) error {
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(data, '\n'))
	return err
}

// Read reads a report as JSON writes it: written again, it has the same bytes.
//
// A figure that is not in the file, because an earlier version wrote it, is NaN. Errors
// name the line and the place, such as routers[2].aiq. Keys that are unknown, keys that
// are there twice, counts and points that are missing, and parts that contradict each
// other are errors, and JSON of another form is ErrSchema.
func Read(r io.Reader) (*eval.Report, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if err := syntax(data); err != nil {
		return nil, err
	}
	var head map[string]json.RawMessage
	var schema string
	if json.Unmarshal(data, &head) != nil || head["schema"] == nil {
		return nil, fmt.Errorf("no schema: %w", ErrSchema)
	}
	if json.Unmarshal(head["schema"], &schema) != nil {
		return nil, fmt.Errorf("schema %s: %w", head["schema"], ErrSchema)
	}
	if schema != eval.Schema {
		return nil, fmt.Errorf("schema %q: %w", schema, ErrSchema)
	}
	out := new(eval.Report)
	d := decoder{data: data, json: json.NewDecoder(bytes.NewReader(data))}
	d.json.UseNumber()
	if err := d.value("", reflect.ValueOf(out).Elem()); err != nil {
		return nil, err
	}
	if err := check(out); err != nil {
		return nil, err
	}
	return out, nil
}

// syntax checks that data are one JSON value, and says where they are not.
func syntax(data []byte) error {
	var v json.RawMessage
	err := json.Unmarshal(data, &v)
	e, ok := errors.AsType[*json.SyntaxError](err)
	switch {
	case ok && int(e.Offset) >= len(bytes.TrimRight(data, " \t\r\n")) && strings.HasPrefix(e.Error(), "unexpected end"):
		return fmt.Errorf("line %d: the file ends before the report does: was it cut?", lineOf(data, len(data)))
	case ok:
		return fmt.Errorf("line %d: not JSON: %w", lineOf(data, int(e.Offset)), err)
	}
	return err
}

// lineOf returns the line of an offset, from 1.
func lineOf(data []byte, offset int) int {
	return 1 + bytes.Count(bytes.TrimRight(data[:min(offset, len(data))], "\n"), []byte("\n"))
}

// decoder reads valid JSON into a report's types, one token after another.
type decoder struct {
	data []byte
	json *json.Decoder
}

// wrong is an error at the token that was read last.
func (d *decoder) wrong(at, format string, args ...any) error {
	if at == "" {
		at = "report"
	}
	return fmt.Errorf("line %d: %s: %s", lineOf(d.data, int(d.json.InputOffset())), at, fmt.Sprintf(format, args...))
}

var numberType = reflect.TypeFor[eval.Number]()

// value reads the next value into v. at is its place, for errors.
func (d *decoder) value(at string, v reflect.Value) error {
	t, err := d.json.Token()
	if err != nil {
		return d.wrong(at, "%v", err)
	}
	switch {
	case t == nil && v.Type() == numberType:
		v.SetFloat(math.NaN())
		return nil
	case t == nil && (v.Kind() == reflect.Slice || v.Kind() == reflect.Pointer):
		return nil
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	wrong := func(want string) error { return d.wrong(at, "want %s, got %s", want, described(t)) }
	switch v.Kind() {
	case reflect.Struct:
		if t != json.Delim('{') {
			return wrong("an object")
		}
		return d.object(at, v)
	case reflect.Slice, reflect.Array:
		if t != json.Delim('[') {
			return wrong("a list")
		}
		return d.list(at, v)
	case reflect.String:
		s, ok := t.(string)
		if !ok {
			return wrong("text")
		}
		v.SetString(s)
	case reflect.Bool:
		b, ok := t.(bool)
		if !ok {
			return wrong("true or false")
		}
		v.SetBool(b)
	case reflect.Float64:
		n, ok := t.(json.Number)
		if !ok {
			return wrong("a number")
		}
		f, err := strconv.ParseFloat(string(n), 64)
		if err != nil {
			return wrong("a number within the range of float64")
		}
		v.SetFloat(f)
	case reflect.Int:
		n, _ := t.(json.Number)
		count, err := strconv.Atoi(string(n))
		if err != nil || count < 0 {
			return wrong("a count")
		}
		v.SetInt(int64(count))
	case reflect.Uint64:
		n, _ := t.(json.Number)
		u, err := strconv.ParseUint(string(n), 10, 64)
		if err != nil {
			return wrong("a whole number from 0 to 2^64-1")
		}
		v.SetUint(u)
	default:
		return fmt.Errorf("report: %s has the kind %s, which is not read", at, v.Kind())
	}
	return nil
}

// described names a token for errors.
func described(t json.Token) string {
	switch t := t.(type) {
	case nil:
		return "null"
	case json.Delim:
		if t == '{' {
			return "an object"
		}
		return "a list"
	case string:
		return strconv.Quote(clipped(t, 40))
	}
	return clipped(fmt.Sprint(t), 40)
}

// list reads the rest of a list into a slice or an array.
func (d *decoder) list(at string, v reflect.Value) error {
	if v.Kind() == reflect.Slice {
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	}
	n := 0
	for ; d.json.More(); n++ {
		place := fmt.Sprintf("%s[%d]", at, n)
		if v.Kind() == reflect.Slice {
			v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		} else if n == v.Len() {
			return d.wrong(place, "want %d values", v.Len())
		}
		if err := d.value(place, v.Index(n)); err != nil {
			return err
		}
	}
	if v.Kind() == reflect.Array && n < v.Len() {
		return d.wrong(at, "want %d values, got %d", v.Len(), n)
	}
	_, err := d.json.Token() // the end, as the JSON is valid
	return err
}

// object reads the rest of an object into a struct.
func (d *decoder) object(at string, v reflect.Value) error {
	place := func(key string) string { return strings.TrimPrefix(at+"."+key, ".") }
	blank(v)
	seen := map[string]bool{}
	for d.json.More() {
		t, err := d.json.Token()
		if err != nil {
			return d.wrong(at, "%v", err)
		}
		key := t.(string)
		field, ok := fieldOf(v, key)
		switch {
		case !ok:
			advice := "was it written by a newer version?"
			if near := spelling.Nearest(key, keysOf(v.Type())); near != "" {
				advice = fmt.Sprintf("did you mean %q?", near)
			}
			return d.wrong(place(clipped(key, 40)), "unknown key; %s", advice)
		case seen[key]:
			return d.wrong(place(key), "is there twice")
		}
		seen[key] = true
		if err := d.value(place(key), field); err != nil {
			return err
		}
	}
	if _, err := d.json.Token(); err != nil {
		return err
	}
	for f := range v.Type().Fields() {
		key, optional := keyOf(f)
		if !seen[key] && !optional && required(f.Type) {
			return d.wrong(place(key), "is missing")
		}
	}
	return nil
}

// required reports whether a value has no form for what is unknown, so that one that is
// missing would read as zero.
func required(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Uint64, reflect.Array:
		return true
	case reflect.Float64:
		return t != numberType
	}
	return false
}

// blank sets the numbers of a struct to NaN, for those that the JSON lacks.
func blank(v reflect.Value) {
	for f := range v.NumField() {
		switch field := v.Field(f); {
		case field.Type() == numberType:
			field.SetFloat(math.NaN())
		case field.Kind() == reflect.Struct:
			blank(field)
		}
	}
}

// keyOf returns a field's key, and whether the JSON lacks it if it is empty.
func keyOf(f reflect.StructField) (key string, optional bool) {
	key, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
	return key, rest == "omitempty"
}

func keysOf(t reflect.Type) []string {
	var out []string
	for f := range t.Fields() {
		key, _ := keyOf(f)
		out = append(out, key)
	}
	return out
}

func fieldOf(v reflect.Value, key string) (field reflect.Value, ok bool) {
	k := slices.Index(keysOf(v.Type()), key)
	if k < 0 {
		return field, false
	}
	return v.Field(k), true
}

// check reports what in a report contradicts itself, so that whatever writes one may
// rely on it.
func check(r *eval.Report) error {
	if len(r.Routers) == 0 {
		return errors.New("routers: there are none")
	}
	names := map[string]bool{}
	for k := range r.Routers {
		l, at := &r.Routers[k], fmt.Sprintf("routers[%d]", k)
		switch {
		case l.Name == "":
			return fmt.Errorf("%s.name: is missing or empty", at)
		case names[l.Name]:
			return fmt.Errorf("%s.name: a router before it is named %q too", at, l.Name)
		case len(l.Sources) != len(r.Routers[0].Sources):
			return fmt.Errorf("%s.sources: has %s, and routers[0] has %d", at, plural(len(l.Sources), "source"), len(r.Routers[0].Sources))
		}
		names[l.Name] = true
		intervals := []interval{{"aiq_ci", l.AIQInterval}, {"peak_ci", l.PeakCI}, {"qnc_ci", l.QNCInterval}}
		if l.Pair != nil {
			intervals = append(intervals, interval{"pair.apgr_ci", l.Pair.APGRCI})
		}
		for _, ci := range intervals {
			if err := ci.check(at); err != nil {
				return err
			}
		}
		for p := range l.Traffic {
			if n := len(l.Traffic[p].Shares); n != len(r.Models) {
				return fmt.Errorf("%s.traffic[%d].shares: has %s of %s", at, p, plural(n, "share"), plural(len(r.Models), "model"))
			}
			if n := len(l.Traffic[p].Plans); n != len(l.Plans) {
				return fmt.Errorf("%s.traffic[%d].plans: has %s of %s", at, p, plural(n, "share"), plural(len(l.Plans), "plan"))
			}
		}
	}
	for k, p := range r.Pairs {
		at := fmt.Sprintf("pairs[%d]", k)
		for _, name := range []string{p.A, p.B} {
			if !names[name] {
				return fmt.Errorf("%s: there is no router %q", at, name)
			}
		}
		if err := (interval{"ci", p.Interval}).check(at); err != nil {
			return err
		}
		if (p.Interval == nil) != (r.Pairs[0].Interval == nil) {
			return fmt.Errorf("%s.ci: some pairs have intervals, and others none", at)
		}
	}
	if r.Protocols != nil {
		for k, p := range r.Protocols.Routers {
			if !names[p.Router] {
				return fmt.Errorf("protocols.routers[%d]: there is no router %q", k, p.Router)
			}
		}
	}
	return nil
}

// interval is a list of two numbers, or nil for none.
type interval struct {
	key  string
	ends []eval.Number
}

func (i interval) check(at string) error {
	if i.ends != nil && len(i.ends) != 2 {
		return fmt.Errorf("%s.%s: want null or two numbers, got %d", at, i.key, len(i.ends))
	}
	return nil
}

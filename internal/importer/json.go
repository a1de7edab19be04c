package importer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/textfile"
)

// scanJSONL calls fn with every JSON object of a file, plain or gzipped, as a
// record: the field b of the object in field a is the column a.b. The value of a
// list of chat messages is their text, and of any other list its JSON; null is
// not present. The file has one object a line or is one list of objects; row is
// the line or the element, counted from 1; r is valid until fn returns. Since
// each object has its own fields, hooks.columns is not called. A line that is
// not a JSON object goes to hooks.bad. A fault of the file as a whole (a line
// longer than [textfile.MaxLine], cut gzip, a list that is not JSON) ends the
// scan. Only one object is in memory at a time.
func scanJSONL(ctx context.Context, path string, hooks scanHooks, fn func(row int64, r *record) error) error {
	var r record
	return scanObjects(ctx, path, hooks, func(row int64, object jsonObject) error {
		r = record{columns: r.columns[:0], values: r.values[:0], present: r.present[:0]}
		r.flatten("", object)
		return fn(row, &r)
	})
}

// flatten appends the fields of an object, sorted by name.
func (r *record) flatten(prefix string, object jsonObject) {
	for _, key := range slices.Sorted(maps.Keys(object)) {
		v := object[key]
		if inner, ok := v.(jsonObject); ok {
			r.flatten(prefix+key+".", inner)
			continue
		}
		text, ok := scalar(v)
		if list, isList := v.([]any); isList {
			text, ok = cellText(list)
		}
		r.columns, r.values, r.present = append(r.columns, prefix+key), append(r.values, text), append(r.present, ok)
	}
}

// cellText returns the text of a list of chat messages, and the JSON of any other
// list.
func cellText(list []any) (text string, ok bool) {
	if text := listText(list); text != "" && isMessages(list) {
		return text, true
	}
	data, err := json.Marshal(list)
	return string(data), err == nil
}

// jsonObject is a decoded object, in which numbers are json.Number.
type jsonObject = map[string]any

// scanObjects is scanJSONL for objects that are not flattened.
func scanObjects(ctx context.Context, path string, hooks scanHooks, fn func(row int64, object jsonObject) error) error {
	f, size, err := openSource(path)
	if err != nil {
		return err
	}
	defer f.Close() // only read from
	count := &countReader{r: f}
	n := 0
	err = scanTexts(ctx, count, path, func(l *textfile.Reader, text []byte) error {
		if n++; n%512 == 0 && hooks.progress != nil {
			hooks.progress(count.n, size)
		}
		object, bad := parseObject(l, text)
		if bad != nil {
			return hooks.badText(bad)
		}
		return fn(int64(l.Line()), object)
	})
	if err == nil && hooks.progress != nil {
		hooks.progress(size, size)
	}
	return err
}

// scanTexts calls fn with the JSON of every line of r, or of every element if r
// holds one list. path is the name of the file in errors.
func scanTexts(ctx context.Context, r io.Reader, path string, fn func(l *textfile.Reader, text []byte) error) error {
	l, err := textfile.NewReader(ctx, r, path)
	if err != nil {
		return formatError(err)
	}
	l.AcceptNaN()
	return formatError(l.Objects(func(text []byte) error { return fn(l, text) }))
}

// parseObject reads one JSON object and nothing after it.
func parseObject(l *textfile.Reader, text []byte) (jsonObject, *textfile.Error) {
	if bad := l.CheckUTF8(text); bad != nil {
		return nil, bad
	}
	v, err := decodeJSON(text)
	if err != nil {
		return nil, l.BadJSON(err, "the line ends inside the object", textfile.HintJSON)
	}
	object, ok := v.(jsonObject)
	if !ok {
		return nil, l.Fault("", "is not a JSON object", textfile.HintJSON)
	}
	return object, nil
}

// readObject reads a file that is one JSON object over any number of lines, of at
// most [textfile.MaxLine] bytes.
func readObject(path string) (jsonObject, error) {
	f, _, err := openSource(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from
	l, err := textfile.NewReader(context.Background(), f, path)
	if err != nil {
		return nil, formatError(err)
	}
	text, err := l.All()
	if err != nil {
		return nil, formatError(err)
	}
	object, bad := parseObject(l, text)
	if bad != nil {
		bad.Hint = "the file must be one JSON object"
		return nil, (*dataset.FormatError)(bad)
	}
	return object, nil
}

// decodeJSON reads one JSON value and nothing after it. Python and others also write
// NaN, which is read as null, and Infinity, which is read as that text.
func decodeJSON(text []byte) (any, error) {
	v, err := decodeStrict(text)
	if err == nil || !bytes.Contains(text, []byte("NaN")) && !bytes.Contains(text, []byte("Infinity")) {
		return v, err
	}
	plain, readErr := io.ReadAll(textfile.PlainNumbers(bytes.NewReader(text)))
	if readErr != nil {
		return nil, err
	}
	return decodeStrict(plain)
}

// decodeStrict is decodeJSON for JSON as the standard has it.
func decodeStrict(text []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("text follows the value")
	}
	return v, nil
}

// at returns the value at a path of field names in a decoded value, or nil. An
// object on the path may be a text that holds its JSON.
func at(v any, path ...string) any {
	for _, key := range path {
		object, ok := unpack(v).(jsonObject)
		if !ok {
			return nil
		}
		v = object[key]
	}
	return v
}

// unpack decodes a text that holds a JSON object or list, and returns any other
// value as it is.
func unpack(v any) any {
	s, ok := v.(string)
	if !ok || len(s) < 2 || !(s[0] == '{' && s[len(s)-1] == '}' || s[0] == '[' && s[len(s)-1] == ']') {
		return v
	}
	if inner, err := decodeJSON([]byte(s)); err == nil {
		return inner
	}
	return v
}

// unpackCell is unpack for a cell of a table, in which programs in Python also write
// objects and lists as Python's literals.
func unpackCell(v any) any {
	v = unpack(v)
	s, ok := v.(string)
	if !ok || len(s) < 2 || s[0] != '{' && s[0] != '[' {
		return v
	}
	if inner, err := decodeLiteral(s); err == nil {
		return inner
	}
	return v
}

// scalar returns a text, a number or a truth value as text.
func scalar(v any) (text string, ok bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

package dataset

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
)

// scanJSONL calls fn with every JSON object of a file, plain or gzipped, as a
// record: the field b of the object in field a is the column a.b. A list of
// chat messages is their text, any other list its JSON; null is absent. The
// objects stand one a line or are the elements of one list; row is the line or
// the element, counted from 1; r is valid until fn returns. As each object has
// fields of its own, hooks.columns is not called. A line that is not a JSON
// object goes to hooks.bad; what is wrong with the file as a whole (a line
// longer than [maxLine], cut gzip, a list that is not JSON) ends the scan. It
// holds one object at a time.
func scanJSONL(ctx context.Context, path string, hooks scanHooks, fn func(row int64, r *record) error) error {
	var r record
	return scanObjects(ctx, path, hooks, func(row int64, object jsonObject) error {
		r = record{columns: r.columns[:0], values: r.values[:0], present: r.present[:0]}
		r.flatten("", object)
		return fn(row, &r)
	})
}

// flatten appends the fields of an object, by name.
func (r *record) flatten(prefix string, object jsonObject) {
	for _, key := range slices.Sorted(maps.Keys(object)) {
		v := object[key]
		if inner, ok := v.(jsonObject); ok {
			r.flatten(prefix+key+".", inner)
			continue
		}
		text, ok := scalar(v)
		if list, isList := v.([]any); isList {
			if text, ok = messagesText(list), true; text == "" || !isMessages(list) {
				data, err := json.Marshal(list)
				text, ok = string(data), err == nil
			}
		}
		r.columns, r.values, r.present = append(r.columns, prefix+key), append(r.values, text), append(r.present, ok)
	}
}

// jsonObject is a decoded object. Numbers are json.Number.
type jsonObject = map[string]any

// scanObjects is scanJSONL with the objects as they are.
func scanObjects(ctx context.Context, path string, hooks scanHooks, fn func(row int64, object jsonObject) error) error {
	f, size, err := openSource(path)
	if err != nil {
		return err
	}
	defer f.Close() // only read from
	count := &countReader{r: f}
	l, err := newLineReader(ctx, count, path)
	if err != nil {
		return err
	}
	bad := hooks.bad
	if bad == nil {
		bad = stopAtFirst
	}
	n := 0
	each := func(text []byte) error {
		if n++; n%512 == 0 && hooks.progress != nil {
			hooks.progress(count.n, size)
		}
		object, fault := l.parseObject(text)
		if fault != nil {
			return bad(fault)
		}
		return fn(int64(l.line), object)
	}
	if l.beginsList() {
		err = l.elements(each)
	} else {
		err = l.objects(each)
	}
	if err == nil && hooks.progress != nil {
		hooks.progress(size, size)
	}
	return err
}

// objects calls fn with every line that is not blank.
func (l *lineReader) objects(fn func(text []byte) error) error {
	for {
		text, err := l.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		if err := fn(text); err != nil {
			return err
		}
	}
}

// beginsList reports whether the file is one JSON list.
func (l *lineReader) beginsList() bool {
	head, _ := l.r.Peek(256)
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	return len(head) > 0 && head[0] == '['
}

// elements calls fn with every element of a list, one at a time; l.line counts
// the elements.
func (l *lineReader) elements(fn func(text []byte) error) error {
	if head, _ := l.r.Peek(3); string(head) == "\xef\xbb\xbf" {
		l.r.Discard(3) // just seen
	}
	budget := &budgetReader{r: l.r, left: maxLine}
	dec := json.NewDecoder(budget)
	if _, err := dec.Token(); err != nil {
		return l.badElement(err)
	}
	for dec.More() {
		budget.left = maxLine
		l.line++
		if l.line%1024 == 0 && l.ctx.Err() != nil {
			return l.ctx.Err()
		}
		var raw json.RawMessage
		err := dec.Decode(&raw)
		if err == nil && len(raw) > maxLine {
			err = errBudget // what was read ahead is not in the budget
		}
		if err != nil {
			return l.badElement(err)
		}
		if err := fn(raw); err != nil {
			return err
		}
	}
	l.line++
	if _, err := dec.Token(); err != nil {
		return l.badElement(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return l.fault("", "text follows the list", hintObjects)
	}
	return nil
}

const hintObjects = "write one JSON object a line, or one list of objects"

var errBudget = errors.New("over budget")

// budgetReader gives errBudget once the bytes left are read.
type budgetReader struct {
	r    io.Reader
	left int
}

// Read reads, within the budget.
func (b *budgetReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errBudget
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func (l *lineReader) badElement(err error) error {
	_, syntax := errors.AsType[*json.SyntaxError](err)
	switch {
	case errors.Is(err, errBudget):
		return l.fault("", fmt.Sprintf("element of the list is longer than %d MiB", maxLine>>20), hintObjects)
	case syntax, errors.Is(err, io.EOF), !l.gz && errors.Is(err, io.ErrUnexpectedEOF):
		return l.notJSON(err, "the file ends inside the list")
	}
	return l.readError(err)
}

func (l *lineReader) notJSON(err error, cut string) *FormatError {
	reason := fmt.Sprintf("is not valid JSON: %v", err)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		reason = "is not valid JSON: " + cut
	}
	e := l.fault("", reason, hintObjects)
	e.Err = err
	return e
}

// parseObject reads one JSON object and nothing after it.
func (l *lineReader) parseObject(text []byte) (jsonObject, *FormatError) {
	if bad := l.checkUTF8(text); bad != nil {
		return nil, bad
	}
	v, err := decodeJSON(text)
	if err != nil {
		return nil, l.notJSON(err, "the line ends inside the object")
	}
	object, ok := v.(jsonObject)
	if !ok {
		return nil, l.fault("", "is not a JSON object", hintObjects)
	}
	return object, nil
}

// readObject reads a file that is one JSON object over any number of lines, of
// at most [maxLine] bytes.
func readObject(path string) (jsonObject, error) {
	f, _, err := openSource(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from
	l, err := newLineReader(context.Background(), f, path)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(l.r, maxLine))
	if err != nil {
		return nil, l.readError(err)
	}
	object, bad := l.parseObject(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")))
	if bad != nil {
		bad.Hint = "the file is one JSON object"
		return nil, bad
	}
	return object, nil
}

// decodeJSON reads one JSON value and nothing after it.
func decodeJSON(text []byte) (any, error) {
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

// at returns what a decoded value holds at a path of field names, nil if
// nothing. Objects on the way may have been saved as a text of JSON.
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

// unpack decodes a text that is a JSON object or list; other values it returns.
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

// scalar writes a text, a number or a truth value as text.
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

// observed reads a number of column col of outcomes.csv from a decoded value,
// or from the text of a table; true counts as 1 and false as 0 in a score. null
// and the empty text are NaN. reason says what is wrong; it never holds a long
// text, which might be a prompt.
func observed(col int, v any) (x float64, reason string) {
	if v == nil {
		return math.NaN(), ""
	}
	text, ok := scalar(v)
	if !ok {
		return 0, "is not a number"
	}
	if col == colScore {
		switch text {
		case "true", "True", "TRUE":
			return 1, ""
		case "false", "False", "FALSE":
			return 0, ""
		}
	}
	if x, reason = parseValue(col, []byte(text)); reason != "" && len(text) > 24 {
		reason = "is not a number"
	}
	return x, reason
}

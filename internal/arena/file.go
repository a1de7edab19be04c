package arena

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/textfile"
)

// Row is one row of a file of RouterArena: of its prompts, or of a router's
// predictions before or after they are scored.
type Row struct {
	Index      string  // its "global index", such as AIME_112
	Prompt     string  // what is routed
	Prediction string  // the chosen model; "" if there is none
	Accuracy   float64 // of that model's answer, in [0,1]; NaN if it is not scored
	CostUSD    float64 // of that answer; NaN if unknown
	Optimality bool    // the row is about a model that the router did not choose, and does not count in its score
	Line       int     // of the file, counted from 1

	fields []field // in the order in which they are written
}

// field is a field of a row with its value as it was read.
type field struct {
	name  string
	value json.RawMessage
	line  int // 0 if the file does not have it
}

// The fields of a prediction, in the order in which RouterArena writes them.
const (
	nameIndex      = "global index"
	namePrompt     = "prompt"
	namePrediction = "prediction"
	nameGenerated  = "generated_result"
	nameCost       = "cost"
	nameAccuracy   = "accuracy"
	nameOptimality = "for_optimality"
)

var fieldNames = []string{nameIndex, namePrompt, namePrediction, nameGenerated, nameCost, nameAccuracy, nameOptimality}

// synonyms are other names of fields. A file of prompts has the text in
// prompt_formatted, which takes precedence over prompt.
var synonyms = map[string]string{"global_index": nameIndex, "prompt_formatted": namePrompt}

const (
	hintFile = `want RouterArena's prompts (dataset/router_data.json) or predictions (router_inference/predictions/ROUTER.json): [{"global index": "…", "prompt": "…"}, …]`
	hintRow  = `a row is {"global index": "…", "prompt": "…", "prediction": "…" or null, "generated_result": …, "cost": …, "accuracy": …, "for_optimality": false}`
)

// Read reads a whole file of RouterArena; name is the file's name in errors. A
// file that is wrong gives a *[dataset.FormatError] with the line and the row's
// index. Unknown fields are kept.
func Read(r io.Reader, name string) ([]Row, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if !utf8.Valid(data) {
		return nil, &dataset.FormatError{File: name, Reason: "is not UTF-8", Hint: "save the file as UTF-8"}
	}
	f := &file{name: name, data: data, seen: make(map[string]int), line: 1}
	f.decoder = json.NewDecoder(bytes.NewReader(data))
	if t, err := f.decoder.Token(); err != nil || t != json.Delim('[') {
		return nil, f.fault("", "is not a list of objects", hintFile, err)
	}
	var rows []Row
	for f.decoder.More() {
		row, err := f.row()
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	f.rows = 0
	if _, err := f.decoder.Token(); err != nil {
		return nil, f.fault("", "the list does not end", hintFile, err)
	}
	if _, err := f.decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, f.fault("", "text follows the list", hintFile, nil)
	}
	if len(rows) == 0 {
		return nil, &dataset.FormatError{File: name, Reason: "the list is empty", Hint: hintFile}
	}
	return rows, nil
}

// file is a file while it is read.
type file struct {
	name    string
	data    []byte
	decoder *json.Decoder
	seen    map[string]int // the line of each index
	counted int            // bytes whose lines have been counted
	line    int            // the line after them
	rows    int
	index   string // of the current row, if known
}

// at returns the line that the decoder has reached.
func (f *file) at() int {
	next := int(f.decoder.InputOffset())
	f.line += bytes.Count(f.data[f.counted:next], []byte("\n"))
	f.counted = next
	return f.line
}

// fault returns an error about the line that the decoder has reached.
func (f *file) fault(field, reason, hint string, cause error) *dataset.FormatError {
	if cause != nil && !errors.Is(cause, io.EOF) {
		reason += ": " + cause.Error()
	}
	if f.rows > 0 {
		row := fmt.Sprintf("row %d", f.rows)
		if f.index != "" {
			row += ", " + f.index
		}
		reason += " (" + row + ")"
	}
	return &dataset.FormatError{File: f.name, Line: f.at(), Field: field, Reason: reason, Hint: hint, Err: cause}
}

// row reads the next object of the list.
func (f *file) row() (Row, error) {
	f.rows, f.index = f.rows+1, ""
	if t, err := f.decoder.Token(); err != nil || t != json.Delim('{') {
		return Row{}, f.fault("", "is not an object", hintFile, err)
	}
	row := Row{Line: f.at()}
	for f.decoder.More() {
		key, err := f.decoder.Token()
		if err != nil {
			return row, f.fault("", "is not JSON", hintRow, err)
		}
		name := key.(string) // a key of an object is always a string
		var value json.RawMessage
		if err := f.decoder.Decode(&value); err != nil {
			return row, f.fault(name, "is not JSON", hintRow, err)
		}
		if slices.ContainsFunc(row.fields, func(g field) bool { return g.name == name }) {
			return row, f.fault(name, "is given twice", "keep one of the two", nil)
		}
		row.fields = append(row.fields, field{name, value, f.at()})
	}
	if _, err := f.decoder.Token(); err != nil {
		return row, f.fault("", "the object does not end", hintRow, err)
	}
	row.arrange()
	if err := f.check(&row); err != nil {
		return row, err
	}
	if !row.Optimality {
		if line := f.seen[row.Index]; line > 0 {
			err := f.bad(&row, nameIndex, fmt.Sprintf("repeats that of line %d", line))
			err.Hint = "keep one row for each query"
			return row, err
		}
		f.seen[row.Index] = row.Line
	}
	return row, nil
}

// arrange puts the fields of a prediction first, under their usual names, and
// adds those that are missing.
func (r *Row) arrange() {
	known := make([]field, len(fieldNames))
	for k, name := range fieldNames {
		known[k] = field{name: name, value: json.RawMessage("null")}
		if name == nameOptimality {
			known[k].value = json.RawMessage("false")
		}
	}
	for _, field := range r.fields {
		if at := slices.Index(fieldNames, field.name); at >= 0 {
			known[at] = field
		}
	}
	for _, field := range r.fields {
		name := synonyms[field.name]
		switch at := slices.Index(fieldNames, name); {
		case at < 0 && !slices.Contains(fieldNames, field.name):
			known = append(known, field)
		case at >= 0 && (name == namePrompt && string(field.value) != "null" || known[at].line == 0):
			known[at].value, known[at].line = field.value, field.line
		}
	}
	r.fields = known
}

// bad returns an error about a field of a row.
func (f *file) bad(r *Row, name, reason string) *dataset.FormatError {
	err := f.fault(name, reason, hintRow, nil)
	err.Line = cmp.Or(r.field(name).line, r.Line)
	return err
}

// check sets the values of the row from its fields, and returns what is wrong
// with them.
func (f *file) check(r *Row) (err error) {
	if r.Index, err = f.text(r, nameIndex, "is not text"); err != nil {
		return err
	}
	if strings.TrimSpace(r.Index) == "" {
		return f.bad(r, nameIndex, "is missing or empty")
	}
	f.index = fmt.Sprintf("%.60s", r.Index)
	if r.Prompt, err = f.text(r, namePrompt, "is not text"); err != nil {
		return err
	}
	if r.Prompt == "" {
		return f.bad(r, namePrompt, "is missing or empty")
	}
	if r.Prediction, err = f.text(r, namePrediction, "is neither the name of a model nor null"); err != nil {
		return err
	}
	if json.Unmarshal(r.field(nameOptimality).value, &r.Optimality) != nil {
		return f.bad(r, nameOptimality, "is neither true nor false")
	}
	if r.Accuracy, err = f.number(r, nameAccuracy, 1, "is neither a number from 0 to 1 nor null"); err != nil {
		return err
	}
	r.CostUSD, err = f.number(r, nameCost, math.MaxFloat64, "is neither a number of USD from 0 nor null")
	return err
}

// text returns a text, or "" for null.
func (f *file) text(r *Row, name, what string) (string, error) {
	var s *string
	if err := json.Unmarshal(r.field(name).value, &s); err != nil {
		return "", f.bad(r, name, what)
	}
	if s == nil {
		return "", nil
	}
	return *s, nil
}

// number returns a number in [0,most], or NaN for null.
func (f *file) number(r *Row, name string, most float64, what string) (float64, error) {
	var v *float64
	value := r.field(name).value
	if err := json.Unmarshal(value, &v); err != nil || v != nil && !(*v >= 0 && *v <= most) {
		return 0, f.bad(r, name, textfile.Quote(string(value))+" "+what)
	}
	if v == nil {
		return math.NaN(), nil
	}
	return *v, nil
}

// field returns the field of that name, one of fieldNames.
func (r *Row) field(name string) *field {
	return &r.fields[slices.Index(fieldNames, name)]
}

// Scored reports whether both accuracy and cost are known.
func (r *Row) Scored() bool { return !math.IsNaN(r.Accuracy) && !math.IsNaN(r.CostUSD) }

// Choose sets the prediction. If the row had another one, Choose clears that
// model's answer, cost and accuracy, which RouterArena's evaluation would take
// for those of the new model, and reports whether there were any.
func (r *Row) Choose(model string) (cleared bool) {
	if model == r.Prediction {
		return false
	}
	r.Prediction = model
	r.field(namePrediction).value = jsonText(model)
	for _, name := range []string{nameGenerated, nameCost, nameAccuracy} {
		f := r.field(name)
		cleared = cleared || string(f.value) != "null"
		f.value = json.RawMessage("null")
	}
	r.Accuracy, r.CostUSD = math.NaN(), math.NaN()
	return cleared
}

// jsonText returns a JSON string in which <, > and & are not escaped.
func jsonText(s string) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string can always be encoded
	return bytes.TrimSpace(b.Bytes())
}

// Write writes rows that [Read] returned as a file of predictions, indented as
// RouterArena does: in each row the fields of a prediction, in RouterArena's
// order, then the row's other fields unchanged.
func Write(w io.Writer, rows []Row) error {
	var b bytes.Buffer
	b.WriteByte('[')
	for i := range rows {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n  ")
		object := bytes.NewBufferString("{")
		for k, f := range rows[i].fields {
			if k > 0 {
				object.WriteByte(',')
			}
			object.Write(jsonText(f.name))
			object.WriteByte(':')
			object.Write(f.value)
		}
		object.WriteByte('}')
		if err := json.Indent(&b, object.Bytes(), "  ", "  "); err != nil {
			return fmt.Errorf("write row %s: %w", rows[i].Index, err)
		}
		if b.Len() > 1<<16 {
			if _, err := b.WriteTo(w); err != nil {
				return err
			}
		}
	}
	b.WriteString("\n]\n")
	_, err := b.WriteTo(w)
	return err
}

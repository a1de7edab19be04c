package dataset

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
)

// ArenaRow is one row of a file of RouterArena (github.com/RouteWorks/RouterArena):
// of its prompts, or of a router's predictions, before or after they are scored.
type ArenaRow struct {
	Index      string  // its "global index", such as AIME_112
	Prompt     string  // what is routed
	Prediction string  // the model chosen; "" if none is
	Accuracy   float64 // of that model's answer, in [0,1]; NaN if not scored
	CostUSD    float64 // of that answer; NaN if not known
	Optimality bool    // the row is of a model the router did not choose, and does not count in its score
	Line       int     // of the file, counted from 1

	fields []arenaField // as the row is written
}

// arenaField is a field of a row with its value as it was read.
type arenaField struct {
	name  string
	value json.RawMessage
	line  int // 0 if the file lacks it
}

// The fields of a prediction, in the order RouterArena writes them in.
const (
	arenaIndex      = "global index"
	arenaPrompt     = "prompt"
	arenaPrediction = "prediction"
	arenaGenerated  = "generated_result"
	arenaCost       = "cost"
	arenaAccuracy   = "accuracy"
	arenaOptimality = "for_optimality"
)

var arenaFields = []string{arenaIndex, arenaPrompt, arenaPrediction, arenaGenerated, arenaCost, arenaAccuracy, arenaOptimality}

// arenaSynonyms are other names of fields. A file of prompts has the text in
// prompt_formatted, which goes before a prompt.
var arenaSynonyms = map[string]string{"global_index": arenaIndex, "prompt_formatted": arenaPrompt}

const (
	hintArenaFile = `want RouterArena's prompts (dataset/router_data.json) or predictions (router_inference/predictions/ROUTER.json): [{"global index": "…", "prompt": "…"}, …]`
	hintArenaRow  = `a row is {"global index": "…", "prompt": "…", "prediction": "…" or null, "generated_result": …, "cost": …, "accuracy": …, "for_optimality": false}`
)

// ReadArena reads a file of RouterArena, whole; name is that of the file, for
// errors. A file that is wrong gives a *[FormatError] with the line and the
// row's index. Fields that are not known are kept.
func ReadArena(r io.Reader, name string) ([]ArenaRow, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if !utf8.Valid(data) {
		return nil, &FormatError{File: name, Reason: "is not UTF-8", Hint: "save the file as UTF-8"}
	}
	f := &arenaFile{name: name, data: data, seen: make(map[string]int), line: 1}
	f.decoder = json.NewDecoder(bytes.NewReader(data))
	if t, err := f.decoder.Token(); err != nil || t != json.Delim('[') {
		return nil, f.fault("", "is not a list of objects", hintArenaFile, err)
	}
	var rows []ArenaRow
	for f.decoder.More() {
		row, err := f.row()
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	f.rows = 0
	if _, err := f.decoder.Token(); err != nil {
		return nil, f.fault("", "the list does not end", hintArenaFile, err)
	}
	if _, err := f.decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, f.fault("", "text follows the list", hintArenaFile, nil)
	}
	if len(rows) == 0 {
		return nil, &FormatError{File: name, Reason: "the list is empty", Hint: hintArenaFile}
	}
	return rows, nil
}

// arenaFile is a file that is being read.
type arenaFile struct {
	name    string
	data    []byte
	decoder *json.Decoder
	seen    map[string]int // the line of each index
	counted int            // bytes whose lines are counted
	line    int            // the line behind them
	rows    int
	index   string // of the row being read, if known
}

// at counts the lines to where the decoder is.
func (f *arenaFile) at() int {
	next := int(f.decoder.InputOffset())
	f.line += bytes.Count(f.data[f.counted:next], []byte("\n"))
	f.counted = next
	return f.line
}

// fault says what is wrong where the decoder is.
func (f *arenaFile) fault(field, reason, hint string, cause error) *FormatError {
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
	return &FormatError{File: f.name, Line: f.at(), Field: field, Reason: reason, Hint: hint, Err: cause}
}

// row reads the next object of the list.
func (f *arenaFile) row() (ArenaRow, error) {
	f.rows, f.index = f.rows+1, ""
	if t, err := f.decoder.Token(); err != nil || t != json.Delim('{') {
		return ArenaRow{}, f.fault("", "is not an object", hintArenaFile, err)
	}
	row := ArenaRow{Line: f.at()}
	for f.decoder.More() {
		key, err := f.decoder.Token()
		if err != nil {
			return row, f.fault("", "is not JSON", hintArenaRow, err)
		}
		name := key.(string) // a key of an object is always a string
		var value json.RawMessage
		if err := f.decoder.Decode(&value); err != nil {
			return row, f.fault(name, "is not JSON", hintArenaRow, err)
		}
		if slices.ContainsFunc(row.fields, func(g arenaField) bool { return g.name == name }) {
			return row, f.fault(name, "is given twice", "keep one of the two", nil)
		}
		row.fields = append(row.fields, arenaField{name, value, f.at()})
	}
	if _, err := f.decoder.Token(); err != nil {
		return row, f.fault("", "the object does not end", hintArenaRow, err)
	}
	row.arrange()
	if err := f.check(&row); err != nil {
		return row, err
	}
	if !row.Optimality {
		if line := f.seen[row.Index]; line > 0 {
			err := f.bad(&row, arenaIndex, fmt.Sprintf("is that of line %d again", line))
			err.Hint = "keep one row for each query"
			return row, err
		}
		f.seen[row.Index] = row.Line
	}
	return row, nil
}

// arrange puts the fields of a prediction first, under their own names, and
// adds those that are missing.
func (r *ArenaRow) arrange() {
	known := make([]arenaField, len(arenaFields))
	for k, name := range arenaFields {
		known[k] = arenaField{name: name, value: json.RawMessage("null")}
		if name == arenaOptimality {
			known[k].value = json.RawMessage("false")
		}
	}
	for _, field := range r.fields {
		if at := slices.Index(arenaFields, field.name); at >= 0 {
			known[at] = field
		}
	}
	for _, field := range r.fields {
		name := arenaSynonyms[field.name]
		switch at := slices.Index(arenaFields, name); {
		case at < 0 && !slices.Contains(arenaFields, field.name):
			known = append(known, field)
		case at >= 0 && (name == arenaPrompt && string(field.value) != "null" || known[at].line == 0):
			known[at].value, known[at].line = field.value, field.line
		}
	}
	r.fields = known
}

// bad says what is wrong with a field of a row.
func (f *arenaFile) bad(r *ArenaRow, name, reason string) *FormatError {
	err := f.fault(name, reason, hintArenaRow, nil)
	err.Line = cmp.Or(r.field(name).line, r.Line)
	return err
}

// check reads the fields that matter.
func (f *arenaFile) check(r *ArenaRow) (err error) {
	if r.Index, err = f.text(r, arenaIndex, "is not text"); err != nil {
		return err
	}
	if strings.TrimSpace(r.Index) == "" {
		return f.bad(r, arenaIndex, "is missing or empty")
	}
	f.index = fmt.Sprintf("%.60s", r.Index)
	if r.Prompt, err = f.text(r, arenaPrompt, "is not text"); err != nil {
		return err
	}
	if r.Prompt == "" {
		return f.bad(r, arenaPrompt, "is missing or empty")
	}
	if r.Prediction, err = f.text(r, arenaPrediction, "is neither the name of a model nor null"); err != nil {
		return err
	}
	if json.Unmarshal(r.field(arenaOptimality).value, &r.Optimality) != nil {
		return f.bad(r, arenaOptimality, "is neither true nor false")
	}
	if r.Accuracy, err = f.number(r, arenaAccuracy, 1, "is neither a number from 0 to 1 nor null"); err != nil {
		return err
	}
	r.CostUSD, err = f.number(r, arenaCost, math.MaxFloat64, "is neither a number of USD from 0 nor null")
	return err
}

// text reads a text, "" for null.
func (f *arenaFile) text(r *ArenaRow, name, what string) (string, error) {
	var s *string
	if err := json.Unmarshal(r.field(name).value, &s); err != nil {
		return "", f.bad(r, name, what)
	}
	if s == nil {
		return "", nil
	}
	return *s, nil
}

// number reads a number in [0,most], NaN for null.
func (f *arenaFile) number(r *ArenaRow, name string, most float64, what string) (float64, error) {
	var v *float64
	value := r.field(name).value
	if err := json.Unmarshal(value, &v); err != nil || v != nil && !(*v >= 0 && *v <= most) {
		return 0, f.bad(r, name, quote(string(value))+" "+what)
	}
	if v == nil {
		return math.NaN(), nil
	}
	return *v, nil
}

// field returns one of arenaFields.
func (r *ArenaRow) field(name string) *arenaField {
	return &r.fields[slices.Index(arenaFields, name)]
}

// Scored reports whether both accuracy and cost are known.
func (r *ArenaRow) Scored() bool { return !math.IsNaN(r.Accuracy) && !math.IsNaN(r.CostUSD) }

// Choose sets the prediction. If it was another model's, that model's answer,
// cost and accuracy are cleared, and Choose reports whether there were any:
// RouterArena's evaluation would take them for the new model's.
func (r *ArenaRow) Choose(model string) (cleared bool) {
	if model == r.Prediction {
		return false
	}
	r.Prediction = model
	r.field(arenaPrediction).value = jsonText(model)
	for _, name := range []string{arenaGenerated, arenaCost, arenaAccuracy} {
		f := r.field(name)
		cleared = cleared || string(f.value) != "null"
		f.value = json.RawMessage("null")
	}
	r.Accuracy, r.CostUSD = math.NaN(), math.NaN()
	return cleared
}

// jsonText is a JSON string with <, > and & as they are.
func jsonText(s string) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string can always be encoded
	return bytes.TrimSpace(b.Bytes())
}

// WriteArena writes rows that [ReadArena] read as a file of predictions: the
// fields of a prediction first, in RouterArena's order, then what else a row
// had, as it was; indented as RouterArena does.
func WriteArena(w io.Writer, rows []ArenaRow) error {
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

package eval

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/rivals"
	"github.com/carrot-router/carrot/internal/textfile"
	"github.com/carrot-router/carrot/table"
)

// PredictionsFile names the file of an external router, whose predictions were made
// by another program: see [External].
type PredictionsFile struct {
	File   string `json:"file"` // without its folder
	SHA256 string `json:"sha256"`
}

// External returns a contender whose predictions another program has made. r holds
// them as JSON lines, plain or gzipped, all in one of two forms:
//
//	{"id":"q1","candidates":[{"name":"large","quality":0.9,"output_tokens":120},{"name":"small","quality":0.7,"cost_usd":0.0001}]}
//	{"id":"q1","setting":"cheap","model":"small"}
//
// In the first form the file has one line for each query, with the quality in [0,1]
// and the cost that the router expects of every model of the pool. Run applies the
// rule of choice of all routers to them, so the router has a curve. A cost is in USD,
// or follows from the output tokens, the recorded input tokens and the prices; it may
// be absent if calls are counted. In the second form the file has one line for each
// query and setting, with the model that the router chooses. Each setting is a point,
// and the router has no AIQ. A setting is a text or a number.
//
// Every query that is measured must have a prediction. Other queries of the data set
// and, in the first form, models outside the pool may have one. An unknown field, id
// or model, and anything given twice, is a [*dataset.FormatError] with the line. file
// is the file's name in errors and, without its folder, in the report. Nothing can
// show on which queries the router was fitted; the report's notes say so.
func External(name string, r io.Reader, file string) (Contender, error) {
	x, err := readPredictions(r, file)
	if err != nil {
		if bad, ok := errors.AsType[*textfile.Error](err); ok {
			return Contender{}, (*dataset.FormatError)(bad)
		}
		return Contender{}, err
	}
	return Contender{Name: name, Embedder: blind{}, own: x}, nil
}

// external is a method that was fitted elsewhere, and what it predicts.
type external struct {
	file   string // as it was opened
	sha256 string
	models []string       // named in the file
	number map[string]int // of each id, from 0
	lines  []int          // on which each id occurs first
	// forecasts has the candidates of each id. It is nil for points.
	forecasts [][]externalForecast
	settings  []string // of points, as they first occur
	choices   map[externalChoice]externalModel
}

// externalForecast is what the router expects of a model. A cost or a number of
// tokens that is not given is NaN.
type externalForecast struct {
	model                          int
	quality, costUSD, outputTokens float64
}

type externalChoice struct{ id, setting int }

type externalModel struct{ model, line int }

// Limits of a file. Both are far above what a router has.
const (
	maxSettings = 1000
	maxSetting  = 1 << 10 // bytes of its name
	maxTokens   = 1e7     // expected of one answer
	maxCostUSD  = 1e6     // expected of one call
)

const hintPredictions = `a line is {"id":"…","candidates":[{"name":"…","quality":0.9,"cost_usd":0.001},…]}, with output_tokens in place of cost_usd if you like, or {"id":"…","setting":"…","model":"…"}`

// readPredictions reads a file of an external router. An error about its content is a
// *textfile.Error.
func readPredictions(r io.Reader, file string) (*external, error) {
	sum := sha256.New()
	r = io.TeeReader(r, sum)
	l, err := textfile.NewReader(context.Background(), r, file)
	if err != nil {
		return nil, err
	}
	x := &external{file: file, number: map[string]int{}, choices: map[externalChoice]externalModel{}}
	p := predictionsParser{external: x, l: l, model: map[string]int{}, setting: map[string]int{}}
	if err := l.Lines(p.line); err != nil {
		return nil, err
	}
	if len(x.number) == 0 {
		return nil, &textfile.Error{File: file, Reason: "holds no prediction", Hint: hintPredictions}
	}
	if _, err := io.Copy(io.Discard, r); err != nil { // what follows gzipped data counts in the hash
		return nil, err
	}
	x.sha256 = hex.EncodeToString(sum.Sum(nil))
	return x, nil
}

// predictionsParser reads a file strictly, because a router with a misspelt field
// would be measured as a worse one.
type predictionsParser struct {
	*external
	l              *textfile.Reader
	model, setting map[string]int
	dec            *json.Decoder // of the line
	text           []byte
}

// line reads one line.
func (p *predictionsParser) line(text []byte) error {
	if bad := p.l.CheckUTF8(text); bad != nil {
		return bad
	}
	p.text, p.dec = text, json.NewDecoder(bytes.NewReader(text))
	p.dec.UseNumber()
	var id, setting, model string
	var candidates []externalForecast
	seen, bad := p.object("", func(key string) *textfile.Error {
		switch key {
		case "id":
			return p.string(key, &id)
		case "setting":
			return p.scalar(key, &setting)
		case "model":
			return p.string(key, &model)
		case "candidates":
			return p.list(&candidates)
		}
		return p.fault(textfile.Quote(key), "is not a field of a prediction")
	})
	if bad != nil {
		return bad
	}
	if _, err := p.dec.Token(); err != io.EOF {
		return p.l.Fault("", "text follows the JSON object", "write one object a line")
	}
	has := func(key string) bool { return slices.Contains(seen, key) }
	switch {
	case id == "":
		return p.fault("id", "is missing or empty")
	case has("candidates") && (has("setting") || has("model")):
		return p.fault("", "has both candidates, which give a curve, and a setting or a model, which give a point")
	case has("candidates"):
		return p.forecast(id, candidates)
	case setting == "":
		return p.fault("setting", "is missing or empty, and so are the candidates")
	case model == "":
		return p.fault("model", "is missing or empty")
	}
	return p.choice(id, setting, model)
}

// forecast adds what is expected of the candidates on a query.
func (p *predictionsParser) forecast(id string, candidates []externalForecast) error {
	if len(p.settings) > 0 {
		return p.fault("", fmt.Sprintf("has candidates, but line %d has a setting", p.lines[0]))
	}
	if at, ok := p.number[id]; ok {
		return p.l.Fault("id", fmt.Sprintf("%s repeats line %d", textfile.Quote(id), p.lines[at]), "every query has one line")
	}
	p.add(id)
	p.forecasts = append(p.forecasts, candidates)
	return nil
}

// choice adds the model that is chosen on a query at a setting.
func (p *predictionsParser) choice(id, setting, model string) error {
	if len(p.forecasts) > 0 {
		return p.fault("", fmt.Sprintf("has a setting, but line %d has candidates", p.lines[0]))
	}
	if len(setting) > maxSetting || strings.ContainsFunc(setting, unicode.IsControl) {
		return p.fault("setting", fmt.Sprintf("%s is longer than %d bytes or holds a control character", textfile.Quote(setting), maxSetting))
	}
	s, ok := p.setting[setting]
	if !ok {
		if s = len(p.settings); s == maxSettings {
			return p.l.Fault("setting", fmt.Sprintf("there are more than %d", maxSettings), "a setting is a way to run the router on all queries, such as one threshold")
		}
		p.setting[setting], p.settings = s, append(p.settings, setting)
	}
	at := externalChoice{p.add(id), s}
	if before, ok := p.choices[at]; ok {
		return p.l.Fault("id", fmt.Sprintf("%s repeats line %d with the same setting %s", textfile.Quote(id), before.line, textfile.Quote(setting)), "every query has one line for each setting")
	}
	p.choices[at] = externalModel{p.named(model), p.l.Line()}
	return nil
}

// add numbers an id.
func (p *predictionsParser) add(id string) int {
	at, ok := p.number[id]
	if !ok {
		at = len(p.lines)
		p.number[id], p.lines = at, append(p.lines, p.l.Line())
	}
	return at
}

// named numbers a model.
func (p *predictionsParser) named(model string) int {
	m, ok := p.model[model]
	if !ok {
		m = len(p.models)
		p.model[model], p.models = m, append(p.models, model)
	}
	return m
}

// list reads the candidates of a line.
func (p *predictionsParser) list(out *[]externalForecast) *textfile.Error {
	if tok, err := p.dec.Token(); err != nil {
		return p.invalid(err)
	} else if tok != json.Delim('[') {
		return p.fault("candidates", "is not a list")
	}
	line := map[int]bool{}
	for p.dec.More() {
		f, bad := p.candidate(fmt.Sprintf("candidates[%d]", len(*out)))
		if bad != nil {
			return bad
		}
		if line[f.model] {
			return p.fault(fmt.Sprintf("candidates[%d].name", len(*out)), textfile.Quote(p.models[f.model])+" is given twice")
		}
		line[f.model] = true
		*out = append(*out, f)
	}
	if _, err := p.dec.Token(); err != nil {
		return p.invalid(err)
	}
	return nil
}

// candidate reads one candidate.
func (p *predictionsParser) candidate(at string) (externalForecast, *textfile.Error) {
	nan := math.NaN()
	f := externalForecast{quality: nan, costUSD: nan, outputTokens: nan}
	var name string
	_, bad := p.object(at, func(key string) *textfile.Error {
		field := at + "." + key
		switch key {
		case "name":
			return p.string(field, &name)
		case "quality":
			return p.float(field, 1, "a quality from 0 to 1", &f.quality)
		case "cost_usd":
			return p.float(field, maxCostUSD, "a cost in USD from 0 to 1e6", &f.costUSD)
		case "output_tokens":
			return p.float(field, maxTokens, "a number of tokens from 0 to 1e7", &f.outputTokens)
		}
		return p.fault(at+"."+textfile.Quote(key), "is not a field of a candidate")
	})
	switch {
	case bad != nil:
		return f, bad
	case name == "":
		return f, p.fault(at+".name", "is missing or empty")
	case math.IsNaN(f.quality):
		return f, p.fault(at+".quality", "is missing")
	case !math.IsNaN(f.costUSD) && !math.IsNaN(f.outputTokens):
		return f, p.fault(at, "has both cost_usd and output_tokens: give one, as a cost follows from tokens")
	}
	f.model = p.named(name)
	return f, nil
}

// object reads an object and calls member to read the value of each of its keys. It
// returns the keys.
func (p *predictionsParser) object(at string, member func(key string) *textfile.Error) (seen []string, bad *textfile.Error) {
	if tok, err := p.dec.Token(); err != nil {
		return nil, p.invalid(err)
	} else if tok != json.Delim('{') {
		return nil, p.fault(at, "is not a JSON object")
	}
	for p.dec.More() {
		tok, err := p.dec.Token()
		if err != nil {
			return nil, p.invalid(err)
		}
		key := tok.(string) // the decoder returns nothing else here
		if slices.Contains(seen, key) {
			return nil, p.fault(strings.TrimPrefix(at+"."+key, "."), "is given twice")
		}
		seen = append(seen, key)
		if bad := member(key); bad != nil {
			return nil, bad
		}
	}
	if _, err := p.dec.Token(); err != nil {
		return nil, p.invalid(err)
	}
	return seen, nil
}

func (p *predictionsParser) string(field string, out *string) *textfile.Error {
	tok, err := p.dec.Token()
	if err != nil {
		return p.invalid(err)
	}
	var ok bool
	if *out, ok = tok.(string); !ok {
		return p.fault(field, "is not a text")
	}
	return nil
}

// scalar reads a text, or a number as the text that it is written as.
func (p *predictionsParser) scalar(field string, out *string) *textfile.Error {
	tok, err := p.dec.Token()
	if err != nil {
		return p.invalid(err)
	}
	switch v := tok.(type) {
	case string:
		*out = v
	case json.Number:
		*out = v.String()
	default:
		return p.fault(field, "is neither a text nor a number")
	}
	return nil
}

// float reads a number in [0,most].
func (p *predictionsParser) float(field string, most float64, want string, out *float64) *textfile.Error {
	tok, err := p.dec.Token()
	if err != nil {
		return p.invalid(err)
	}
	text, ok := tok.(json.Number)
	if !ok {
		return p.fault(field, "is not a number: want "+want)
	}
	v, err := strconv.ParseFloat(text.String(), 64)
	if err != nil || !(v >= 0 && v <= most) {
		return p.fault(field, textfile.Quote(text.String())+" is out of range: want "+want)
	}
	*out = v
	return nil
}

func (p *predictionsParser) fault(field, reason string) *textfile.Error {
	return p.l.Fault(field, reason, hintPredictions)
}

func (p *predictionsParser) invalid(err error) *textfile.Error {
	hint := hintPredictions
	if bytes.Contains(p.text, []byte("NaN")) || bytes.Contains(p.text, []byte("Infinity")) {
		hint = "JSON has no NaN and no Infinity: a quality and a cost are finite numbers"
	}
	return p.l.BadJSON(err, "the line ends inside the object", hint)
}

// check compares the ids and the models with those of the whole data set.
func (x *external) check(set *dataset.Set) error {
	known := make(map[string]bool, len(set.Queries))
	for _, q := range set.Queries {
		known[q.ID] = true
	}
	unknown := -1 // the first in the file
	for id, at := range x.number {
		if !known[id] && (unknown < 0 || at < unknown) {
			unknown = at
		}
	}
	if unknown >= 0 {
		return x.fault(x.lines[unknown], "id", fmt.Sprintf("%s is not the id of a query of %s", textfile.Quote(x.idOf(unknown)), set.Name), "ids are those of queries.jsonl; carrot data folds lists them")
	}
	for m, name := range x.models {
		if !slices.ContainsFunc(set.Models, func(known dataset.Model) bool { return known.Name == name }) {
			var names []string
			for _, known := range set.Models {
				names = append(names, known.Name)
			}
			line, field := x.lineOf(m)
			return x.fault(line, field, fmt.Sprintf("%s is not in models.json of %s", textfile.Quote(name), set.Name), "the models are "+strings.Join(names, ", "))
		}
	}
	return nil
}

func (x *external) fault(line int, field, reason, hint string) error {
	return &dataset.FormatError{File: x.file, Line: line, Field: field, Reason: reason, Hint: hint}
}

func (x *external) idOf(number int) string {
	for id, at := range x.number {
		if at == number {
			return id
		}
	}
	return ""
}

// lineOf finds where a model occurs first.
func (x *external) lineOf(model int) (line int, field string) {
	for at, candidates := range x.forecasts {
		for k, f := range candidates {
			if f.model == model {
				return x.lines[at], fmt.Sprintf("candidates[%d].name", k)
			}
		}
	}
	for _, c := range x.choices {
		if c.model == model && (line == 0 || c.line < line) {
			line = c.line
		}
	}
	return line, "model"
}

// name of the file without its folder, which differs between machines.
func (x *external) base() string { return filepath.Base(x.file) }

func (x *external) key() string     { return "" }
func (x *external) weight() float64 { return 1 }

// worth says that a curve comes from qualities. Points come from no forecast at all.
func (x *external) worth() rivals.Worth {
	if x.forecasts == nil {
		return rivals.Setting
	}
	return rivals.Quality
}

func (x *external) fit(context.Context, *table.Table, []int, func(string)) (fitted, error) {
	return x, nil
}
func (x *external) load(*table.Table, io.Reader) (fitted, error) { return nil, errNotKept }
func (x *external) save(io.Writer) error                         { return errNotKept }
func (x *external) setting() string                              { return "" }

// answer writes what the file predicts for the rows. Prompts that were changed have no
// predictions.
func (x *external) answer(e *entry, rows []int, _ [][]carrot.Representation) error {
	e.external = &PredictionsFile{File: x.base(), SHA256: x.sha256}
	if err := x.complete(e.table.Set, rows); err != nil {
		return err
	}
	if x.forecasts == nil {
		return x.points(e, rows)
	}
	column := x.columns(e.table)
	for _, i := range rows {
		at := x.number[e.table.Set.Queries[i].ID]
		p := carrot.Prediction{Forecasts: make([]carrot.Forecast, len(e.table.Candidates))}
		have := make([]bool, len(e.table.Candidates))
		for k := range x.forecasts[at] {
			f := &x.forecasts[at][k]
			m := column[f.model]
			if m < 0 {
				continue // outside the pool
			}
			forecast, reason := f.forecast(e.table, i, m)
			if reason != "" {
				return x.fault(x.lines[at], fmt.Sprintf("candidates[%d]", k), reason, hintPredictions)
			}
			p.Forecasts[m], have[m] = forecast, true
		}
		if m := slices.Index(have, false); m >= 0 {
			return x.fault(x.lines[at], "candidates", fmt.Sprintf("has no model %s, which is in the pool", textfile.Quote(e.table.Candidates[m].Name)), "every model of the pool needs a quality on every query")
		}
		e.set(i, p)
	}
	return nil
}

// forecast is what the file expects of model m on query i, or the reason why its cost
// cannot be known.
func (f *externalForecast) forecast(t *table.Table, i, m int) (out carrot.Forecast, reason string) {
	out = carrot.Forecast{Quality: f.quality}
	switch {
	case !math.IsNaN(f.costUSD):
		out.Direct, out.CostUSD = true, f.costUSD
	case !math.IsNaN(f.outputTokens):
		out.OutputTokens = f.outputTokens
	case t.PerCall == nil:
		return out, "has neither cost_usd nor output_tokens"
	default:
		out.CostUnknown = true // which does not matter, as calls are counted
	}
	if t.PredictedCost(i, m, &out) == math.MaxFloat64 {
		return out, fmt.Sprintf("has output_tokens, but %s has no price for tokens: give cost_usd", textfile.Quote(t.Candidates[m].Name))
	}
	return out, ""
}

// points writes the models that the file chooses.
func (x *external) points(e *entry, rows []int) error {
	column := x.columns(e.table)
	for _, i := range rows {
		at := x.number[e.table.Set.Queries[i].ID]
		for s := range x.settings {
			if c := x.choices[externalChoice{at, s}]; column[c.model] < 0 {
				return x.fault(c.line, "model", textfile.Quote(x.models[c.model])+" is not in the pool", "the pool is "+strings.Join(e.table.ModelNames(), ", "))
			}
		}
		e.steps[i] = e.table.Trace([]int{i}, len(x.settings), func(_, s int) int { return column[x.choices[externalChoice{at, s}].model] }).Steps[0]
	}
	e.grid, e.labels = nil, x.settings
	return nil
}

// columns finds the column of a table for each model of the file, -1 for a model
// outside the pool.
func (x *external) columns(t *table.Table) []int {
	out := make([]int, len(x.models))
	for m, name := range x.models {
		out[m] = slices.Index(t.ModelNames(), name)
	}
	return out
}

// complete returns an error if the file lacks a prediction for one of the rows.
func (x *external) complete(set *dataset.Set, rows []int) error {
	lacks := func(what string, has func(i int) bool) error {
		missing, first := 0, ""
		for _, i := range rows {
			if id := set.Queries[i].ID; !has(i) {
				if missing++; missing == 1 {
					first = id
				}
			}
		}
		if missing == 0 {
			return nil
		}
		return x.fault(0, "", fmt.Sprintf("%sno prediction for query %s; %d of %d measured queries have none", what, textfile.Quote(first), missing, len(rows)), "predict every query that is measured; carrot data folds lists those of --folds and --leave-out")
	}
	if err := lacks("", func(i int) bool { _, ok := x.number[set.Queries[i].ID]; return ok }); err != nil {
		return err
	}
	for s, setting := range x.settings {
		err := lacks("setting "+textfile.Quote(setting)+": ", func(i int) bool {
			_, ok := x.choices[externalChoice{x.number[set.Queries[i].ID], s}]
			return ok
		})
		if err != nil {
			return err
		}
	}
	return nil
}

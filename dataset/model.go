package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/internal/textfile"
)

// Model is one column of the outcomes: a model with its prices in USD per million
// tokens, as models.json holds it. These prices are for training and evaluation,
// and may be those of the time when the data was collected; a router that serves
// uses the price book.
type Model struct {
	Name string
	// InputUSDPerMillion and OutputUSDPerMillion are both NaN if the price is
	// unknown; zero is free. Outcomes with a recorded cost need no prices.
	InputUSDPerMillion, OutputUSDPerMillion float64
	// Pool reports whether the model is in the default candidate pool. A model
	// outside the pool has outcomes but is never chosen.
	Pool bool
	// The prices below are optional. Where one is nil, its tokens are billed as
	// other input or output.
	CachedInputUSDPerMillion, CacheWriteUSDPerMillion, ReasoningUSDPerMillion *float64
}

// Priced reports whether the prices of input and output are known.
func (m Model) Priced() bool {
	return !math.IsNaN(m.InputUSDPerMillion) && !math.IsNaN(m.OutputUSDPerMillion)
}

// modelJSON is the form of a model in models.json.
type modelJSON struct {
	Name        string   `json:"name"`
	Input       *float64 `json:"input_usd_per_million,omitempty"`
	Output      *float64 `json:"output_usd_per_million,omitempty"`
	CachedInput *float64 `json:"cached_input_usd_per_million,omitempty"`
	CacheWrite  *float64 `json:"cache_write_usd_per_million,omitempty"`
	Reasoning   *float64 `json:"reasoning_usd_per_million,omitempty"`
	Pool        *bool    `json:"pool"`
}

// MarshalJSON writes the model as models.json holds it, without the prices that
// are unknown.
func (m Model) MarshalJSON() ([]byte, error) {
	j := modelJSON{Name: m.Name, CachedInput: m.CachedInputUSDPerMillion,
		CacheWrite: m.CacheWriteUSDPerMillion, Reasoning: m.ReasoningUSDPerMillion, Pool: &m.Pool}
	if m.Priced() {
		j.Input, j.Output = &m.InputUSDPerMillion, &m.OutputUSDPerMillion
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads the form of models.json. It refuses unknown fields, and a
// model without "pool" is in the pool.
func (m *Model) UnmarshalJSON(data []byte) error {
	var j modelJSON
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&j); err != nil {
		return phrase.JSON(err)
	}
	*m = Model{Name: j.Name, InputUSDPerMillion: math.NaN(), OutputUSDPerMillion: math.NaN(), Pool: j.Pool == nil || *j.Pool,
		CachedInputUSDPerMillion: j.CachedInput, CacheWriteUSDPerMillion: j.CacheWrite, ReasoningUSDPerMillion: j.Reasoning}
	if j.Input != nil {
		m.InputUSDPerMillion = *j.Input
	}
	if j.Output != nil {
		m.OutputUSDPerMillion = *j.Output
	}
	return nil
}

// price is one of a model's prices with its field name; usd is nil if the price
// is unknown.
type price struct {
	field string
	usd   *float64
}

func (m *Model) prices() [5]price {
	given := func(v *float64) *float64 {
		if math.IsNaN(*v) {
			return nil
		}
		return v
	}
	return [5]price{
		{"input_usd_per_million", given(&m.InputUSDPerMillion)},
		{"output_usd_per_million", given(&m.OutputUSDPerMillion)},
		{"cached_input_usd_per_million", m.CachedInputUSDPerMillion},
		{"cache_write_usd_per_million", m.CacheWriteUSDPerMillion},
		{"reasoning_usd_per_million", m.ReasoningUSDPerMillion},
	}
}

// clone returns a copy of m that shares no memory with it.
func (m Model) clone() Model {
	for _, p := range []**float64{&m.CachedInputUSDPerMillion, &m.CacheWriteUSDPerMillion, &m.ReasoningUSDPerMillion} {
		if *p != nil {
			v := **p
			*p = &v
		}
	}
	return m
}

// Validate returns a *[FormatError] about the first field that the readers would
// refuse, or nil.
func (m Model) Validate() error {
	if field, reason := m.check(); reason != "" {
		return &FormatError{Field: field, Reason: reason, Hint: hintModels}
	}
	return nil
}

// check returns the field at fault and why, or "", "".
func (m Model) check() (field, reason string) {
	if reason := checkName(m.Name); reason != "" {
		return "name", reason
	}
	prices := m.prices()
	for _, p := range prices {
		switch {
		case p.usd == nil:
		case *p.usd < 0:
			return p.field, formatFloat(*p.usd) + " is negative"
		case math.IsInf(*p.usd, 0) || math.IsNaN(*p.usd) || *p.usd > 1e9:
			return p.field, formatFloat(*p.usd) + " is not a price"
		}
	}
	if in, out := prices[0], prices[1]; (in.usd == nil) != (out.usd == nil) {
		if in.usd == nil {
			return in.field, "is missing, but the price of output is given"
		}
		return out.field, "is missing, but the price of input is given"
	}
	return "", ""
}

const hintModels = `models.json is a list of {"name":…,"input_usd_per_million":…,"output_usd_per_million":…,"pool":…}, optionally with cached_input_, cache_write_ and reasoning_usd_per_million`

// parseModels reads models.json and reports every bad entry with its line.
func parseModels(name string, data []byte, report reporter) ([]Model, error) {
	var models []Model
	first := make(map[string]int)
	lines, upTo := 1, int64(0)
	line := func(offset int64) int { // counts on from the last offset, not from the start
		if offset < upTo {
			lines, upTo = 1, 0
		}
		lines, upTo = lines+bytes.Count(data[upTo:offset], []byte{'\n'}), offset
		return lines
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	fault := func(err error) error {
		at := dec.InputOffset()
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			at = min(syntax.Offset, int64(len(data)))
		} else if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			at, err = int64(len(data)), errors.New("the file ends inside the list")
		}
		return report(&FormatError{File: name, Line: line(at), Reason: fmt.Sprintf("is not valid JSON: %v", err), Hint: hintModels, Err: err})
	}
	if tok, err := dec.Token(); err != nil {
		return nil, fault(err)
	} else if tok != json.Delim('[') {
		return nil, report(&FormatError{File: name, Line: line(dec.InputOffset()), Reason: "is not a JSON list", Hint: hintModels})
	}
	for dec.More() {
		// The value begins after a comma and white space.
		start := dec.InputOffset()
		for start < int64(len(data)) && bytes.IndexByte([]byte(" \t\r\n,"), data[start]) >= 0 {
			start++
		}
		var m Model
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return models, fault(err)
		}
		bad := &FormatError{File: name, Line: line(start), Hint: hintModels}
		if err := json.Unmarshal(raw, &m); err != nil {
			bad.Reason, bad.Err = fmt.Sprintf("model %d: %v", len(models)+1, phrase.JSON(err)), err
		} else if bad.Field, bad.Reason = m.check(); bad.Reason != "" && m.Name != "" {
			bad.Reason += fmt.Sprintf(" (model %s)", textfile.Quote(m.Name))
		} else if at, ok := first[m.Name]; ok {
			bad.Field, bad.Reason = "name", fmt.Sprintf("%s repeats line %d", textfile.Quote(m.Name), at)
		}
		if bad.Reason == "" {
			first[m.Name] = line(start)
			models = append(models, m)
		} else if err := report(bad); err != nil {
			return nil, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return models, fault(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return models, report(&FormatError{File: name, Line: line(dec.InputOffset()), Reason: "text follows the list", Hint: hintModels})
	}
	return models, nil
}

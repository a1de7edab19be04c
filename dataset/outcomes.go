package dataset

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/carrot-router/carrot/internal/textfile"
)

// Columns of numbers in outcomes.csv, in the order of [Set.matrices].
const (
	colScore = iota
	colInput
	colOutput
	colCost // this column and those below are optional
	colCached
	colReasoning
	numCols
)

var (
	outcomeRequired = []string{"id", "model", "score", "input_tokens", "output_tokens"}
	outcomeOptional = []string{ColumnCostUSD, ColumnCachedTokens, ColumnReasoningTokens}
)

// The optional columns of outcomes.csv.
const (
	ColumnCostUSD         = "cost_usd"
	ColumnCachedTokens    = "cached_tokens"
	ColumnReasoningTokens = "reasoning_tokens"
)

// columnName is the header of column col.
func columnName(col int) string {
	if col < colCost {
		return outcomeRequired[col+2]
	}
	return outcomeOptional[col-colCost]
}

// Outcome is what was observed of one model on one query. NaN means not observed,
// so start from [NewOutcome], not from the zero value.
type Outcome struct {
	ID    string // of the query
	Model string
	Score float64 // quality in [0,1]
	// InputTokens includes the cached tokens, and OutputTokens the reasoning tokens.
	InputTokens, OutputTokens     float64
	CostUSD                       float64 // recorded cost of the call in USD
	CachedTokens, ReasoningTokens float64
}

// NewOutcome returns an outcome of which nothing is observed.
func NewOutcome(id, model string) Outcome {
	o := Outcome{ID: id, Model: model}
	o.setValues([numCols]float64{math.NaN(), math.NaN(), math.NaN(), math.NaN(), math.NaN(), math.NaN()})
	return o
}

// Validate returns a *[FormatError] about the first field that the readers would
// refuse, or nil.
func (o Outcome) Validate() error {
	if reason := checkName(o.ID); reason != "" {
		return &FormatError{Field: "id", Reason: reason, Hint: "name the query, as in queries.jsonl"}
	}
	if reason := checkName(o.Model); reason != "" {
		return &FormatError{Field: "model", Reason: reason, Hint: "name the model, as in models.json"}
	}
	for col, v := range o.values() {
		if math.IsNaN(v) {
			continue
		}
		if reason := checkValue(col, v); reason != "" {
			return &FormatError{Field: columnName(col), Reason: reason, Hint: hintValue(col)}
		}
	}
	return nil
}

func (o *Outcome) values() [numCols]float64 {
	return [numCols]float64{o.Score, o.InputTokens, o.OutputTokens, o.CostUSD, o.CachedTokens, o.ReasoningTokens}
}

func (o *Outcome) setValues(v [numCols]float64) {
	o.Score, o.InputTokens, o.OutputTokens = v[colScore], v[colInput], v[colOutput]
	o.CostUSD, o.CachedTokens, o.ReasoningTokens = v[colCost], v[colCached], v[colReasoning]
}

// checkValue returns what is wrong with a number in column col, or "". It does
// not look for NaN.
func checkValue(col int, v float64) string {
	// This is far above any real value, and no sum of such values overflows.
	const most = 1e12
	switch {
	case math.IsInf(v, 0):
		return "is infinite"
	case col == colScore && (v < 0 || v > 1):
		return formatFloat(v) + " is outside [0,1]"
	case v < 0:
		return formatFloat(v) + " is negative"
	case v > most:
		return formatFloat(v) + " is too large"
	}
	return ""
}

// formatFloat writes a number in the shortest form that reads back the same.
func formatFloat(v float64) string {
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// ReadOutcomes reads outcomes.csv, plain or gzipped, from r and calls fn with
// every outcome and the line on which it begins. Only one record is in memory at
// a time. Values in columns that the file does not have are NaN. name is the
// file's name in errors. ReadOutcomes stops at the first bad record with a
// *[FormatError], or with the error that fn returns. It does not check whether
// ids and models are known, nor whether a pair of them is repeated.
func ReadOutcomes(r io.Reader, name string, fn func(line int, o Outcome) error) error {
	l, err := textfile.NewReader(context.Background(), r, name)
	if err != nil {
		return formatError(err)
	}
	models := make(map[string]string) // so that each name is in memory once
	err = scanOutcomes(l, stopAtFirst, nil, func(c *textfile.CSV, raw *rawOutcome) error {
		model, ok := models[string(raw.model)]
		if !ok {
			model = string(raw.model)
			models[model] = model
		}
		o := Outcome{ID: string(raw.id), Model: model}
		o.setValues(raw.values)
		return fn(c.First(), o)
	})
	return formatError(err)
}

// rawOutcome is an outcome whose names are in the buffer of the reader.
type rawOutcome struct {
	id, model []byte
	values    [numCols]float64
}

// scanOutcomes calls header, if it is not nil, with which columns the file has,
// then fn with each good record.
func scanOutcomes(l *textfile.Reader, report reporter, header func(has [numCols]bool) error, fn func(*textfile.CSV, *rawOutcome) error) error {
	c := textfile.NewCSV(l)
	at, columns, err := readHeader(c, outcomeRequired, outcomeOptional)
	if err != nil {
		return err
	}
	place := at[2:] // by column number
	if header != nil {
		var has [numCols]bool
		for col := range has {
			has[col] = place[col] >= 0
		}
		if err := header(has); err != nil {
			return err
		}
	}
	return c.Records(columns, report.text, func(fields [][]byte) error {
		raw := rawOutcome{id: fields[0], model: fields[1]}
		for col := range raw.values {
			raw.values[col] = math.NaN()
			if place[col] < 0 {
				continue
			}
			v, reason := parseValue(col, fields[place[col]])
			if reason != "" {
				return report.text(c.Fault(columnName(col), reason, hintValue(col)))
			}
			raw.values[col] = v
		}
		if bad := checkNames(c, raw.id, raw.model); bad != nil {
			return report.text(bad)
		}
		return fn(c, &raw)
	})
}

// readHeader reads the first record: the required columns in their order, then
// optional ones in any order. It returns the place in a record of every known
// column (required, then optional), -1 for a missing one, and the number of
// columns.
func readHeader(c *textfile.CSV, required, optional []string) (at []int, columns int, err error) {
	hint := "the first line is " + strings.Join(required, ",")
	if len(optional) > 0 {
		hint += "; optionally followed by " + strings.Join(optional, ", ")
	}
	names, err := c.Header(hint)
	if err != nil {
		return nil, 0, err
	}
	known := slices.Concat(required, optional)
	at = make([]int, len(known))
	for i := range at {
		at[i] = -1
	}
	for i, name := range names {
		k := slices.Index(known, name)
		if k < 0 {
			return nil, 0, c.Fault("", fmt.Sprintf("header: unknown column %s", textfile.Quote(name)), hint)
		}
		if at[k] >= 0 {
			return nil, 0, c.Fault(known[k], "header: the column is given twice", hint)
		}
		at[k] = i
	}
	for k, name := range required {
		if at[k] < 0 {
			return nil, 0, c.Fault(name, "header: the column is missing", hint)
		}
	}
	for k, name := range required {
		if at[k] != k {
			return nil, 0, c.Fault(name, fmt.Sprintf("header: is column %d, not %d", at[k]+1, k+1), hint)
		}
	}
	return at, len(names), nil
}

func checkNames(c *textfile.CSV, id, model []byte) *textfile.Error {
	if len(id) == 0 {
		return c.Fault("id", "is empty", "name the query, as in queries.jsonl")
	}
	if len(model) == 0 {
		return c.Fault("model", "is empty", "name the model, as in models.json")
	}
	return nil
}

func hintValue(col int) string {
	if col == colScore {
		return "a score is a number from 0 to 1; leave the field empty where nothing was observed"
	}
	return "write a number of at least 0; leave the field empty where nothing was observed"
}

// parseValue reads a decimal number; the empty field is NaN. Unlike strconv it
// accepts no words and no hexadecimal numbers.
func parseValue(col int, text []byte) (float64, string) {
	if len(text) == 0 {
		return math.NaN(), ""
	}
	whole, digits := 0, true
	for _, b := range text {
		switch {
		case '0' <= b && b <= '9':
			whole = whole*10 + int(b-'0')
		case b == '.' || b == '-' || b == '+' || b == 'e' || b == 'E':
			digits = false
		default:
			return 0, textfile.Quote(text) + " is not a number"
		}
	}
	v := float64(whole)
	if !digits || len(text) > 15 {
		var err error
		if v, err = strconv.ParseFloat(string(text), 64); err != nil && !math.IsInf(v, 0) {
			return 0, textfile.Quote(text) + " is not a number"
		}
	}
	return v, checkValue(col, v)
}

// ParseValue reads a value of a column of outcomes.csv, "score",
// "input_tokens", "output_tokens" or an optional one: a decimal number in the
// column's range. The empty text is NaN. Any other text gives a *[FormatError].
func ParseValue(column, text string) (float64, error) {
	for col := range numCols {
		if columnName(col) != column {
			continue
		}
		v, reason := parseValue(col, []byte(text))
		if reason != "" {
			return math.NaN(), &FormatError{Field: column, Reason: reason, Hint: hintValue(col)}
		}
		return v, nil
	}
	return math.NaN(), fmt.Errorf("parse value: %s is not a column of outcomes.csv", textfile.Quote(column))
}

// outcomesFile reads the outcomes of a folder into the set's matrices.
func (l *loader) outcomesFile(ctx context.Context) error {
	n, m := len(l.set.Queries), len(l.set.Models)
	tables := l.set.matrices()
	lines := make([]uint32, n*m) // line of each outcome, mod 2^32
	header := func(has [numCols]bool) error {
		for col, ok := range has {
			if ok {
				*tables[col] = NewMatrix(n, m)
			}
		}
		return nil
	}
	return l.open(ctx, "outcomes.csv", true, func(lr *textfile.Reader) error {
		return scanOutcomes(lr, l.report, header, func(c *textfile.CSV, raw *rawOutcome) error {
			i, j, bad := l.cell(c, raw.id, raw.model)
			if bad != nil || i < 0 {
				return l.reportIf(bad)
			}
			cell := i*m + j
			if at := lines[cell]; at != 0 {
				return l.report.text(c.Fault("id", fmt.Sprintf("%s with model %s repeats line %d", textfile.Quote(raw.id), textfile.Quote(raw.model), at),
					"keep one outcome for each query and model"))
			}
			lines[cell] = uint32(c.First())
			for col, t := range tables {
				if t.Rows > 0 {
					t.Data[cell] = raw.values[col]
				}
			}
			return nil
		})
	})
}

package importer

import (
	"math"
	"strings"

	"github.com/carrot-router/carrot/dataset"
)

// usageColumns are the optional columns of outcomes.csv.
var usageColumns = []string{dataset.ColumnCostUSD, dataset.ColumnCachedTokens, dataset.ColumnReasoningTokens}

// The other columns of outcomes.csv that hold values.
const (
	fieldScore        = "score"
	fieldInputTokens  = "input_tokens"
	fieldOutputTokens = "output_tokens"
)

// queryFields are the fields of a query, and outcomeFields the columns of
// outcomes.csv that hold values, in the order of that file.
var (
	queryFields   = []string{"id", "prompt", "source", "split"}
	outcomeFields = append([]string{fieldScore, fieldInputTokens, fieldOutputTokens}, usageColumns...)
)

// value returns where an outcome holds the value of one of outcomeFields.
func value(o *dataset.Outcome, field string) *float64 {
	switch field {
	case fieldScore:
		return &o.Score
	case fieldInputTokens:
		return &o.InputTokens
	case fieldOutputTokens:
		return &o.OutputTokens
	case dataset.ColumnCostUSD:
		return &o.CostUSD
	case dataset.ColumnCachedTokens:
		return &o.CachedTokens
	case dataset.ColumnReasoningTokens:
		return &o.ReasoningTokens
	}
	panic("importer: no outcome field " + field)
}

// isNothing reports whether a text stands for a value that was not observed, in the
// words of Python, pandas, R, SQL, JSON and spreadsheets.
func isNothing(text string) bool {
	if len(text) > 5 {
		return false
	}
	switch strings.ToLower(text) {
	case "", "nan", "-nan", "none", "null", "n/a", "na", "#n/a", "<na>", "nil":
		return true
	}
	return false
}

// observed reads the value of one of outcomeFields from a decoded JSON value or
// the text of a table. In a score, true counts as 1 and false as 0. null, the empty
// text and the words of [isNothing] are NaN. reason says what is wrong; it never holds a long text,
// which might be a prompt.
func observed(field string, v any) (x float64, reason string) {
	if v == nil {
		return math.NaN(), ""
	}
	text, ok := scalar(v)
	if !ok {
		return 0, "is not a number"
	}
	if text = strings.TrimSpace(text); isNothing(text) {
		return math.NaN(), ""
	}
	if field == fieldScore {
		switch text {
		case "true", "True", "TRUE":
			return 1, ""
		case "false", "False", "FALSE":
			return 0, ""
		}
	}
	x, err := dataset.ParseValue(field, text)
	bad := faultOf(err)
	switch {
	case bad == nil:
		return x, ""
	case len(text) > 24:
		return x, "is not a number"
	}
	return x, bad.reason
}

package carrot

import (
	"cmp"
	"encoding/json"
	"math"
	"strconv"
)

// DecisionSchema names the JSON form of a decision.
const DecisionSchema = "carrot.decision/1"

// MarshalJSON writes the decision in the form carrot.decision/1: an infinite
// willingness to pay is null, costs are in USD.
func (d Decision) MarshalJSON() ([]byte, error) {
	return d.AppendJSON(make([]byte, 0, 512+320*len(d.Candidates))), nil
}

// AppendJSON appends what MarshalJSON writes. It is there for programs that
// write a decision with every request: encoding/json takes five times as long.
// A number that JSON cannot hold, NaN or an infinity, is written as null.
func (d *Decision) AppendJSON(b []byte) []byte {
	b = append(b, `{"schema":"`+DecisionSchema+`","id":`...)
	b = appendString(b, d.ID)
	b = append(b, `,"model":`...)
	b = appendString(b, d.Model)
	b = append(b, `,"policy":`...)
	b = appendString(b, cmp.Or(d.Policy, d.Objective.String()))
	b = append(b, `,"usd_per_quality":`...)
	b = appendFloat(b, d.USDPerQuality)
	b = append(b, `,"reason":`...)
	b = appendString(b, d.Reason())
	b = append(b, `,"novelty":`...)
	b = appendFloat(b, d.Novelty)
	b = append(b, `,"abstained":`...)
	b = strconv.AppendBool(b, d.Abstained)
	b = append(b, `,"candidates":[`...)
	for i := range d.Candidates {
		b = d.Candidates[i].appendJSON(comma(b, i))
	}
	b = append(b, `],"fallback":[`...)
	for i, name := range d.Fallback() {
		b = appendString(comma(b, i), name)
	}
	b = append(b, `],"flips":[`...)
	for i, f := range d.Flips() {
		b = append(comma(b, i), `{"usd_per_quality":`...)
		b = appendFloat(b, f.USDPerQuality)
		b = append(b, `,"model":`...)
		b = append(appendString(b, f.Model), '}')
	}
	return append(b, "]}"...)
}

func (a *Assessed) appendJSON(b []byte) []byte {
	b = append(b, `{"name":`...)
	b = appendString(b, a.Name)
	b = append(b, `,"quality":`...)
	b = appendFloat(b, a.Quality)
	b = append(b, `,"quality_se":`...)
	b = appendFloat(b, a.QualitySE)
	b = append(b, `,"quality_noise":`...)
	b = appendFloat(b, a.QualityNoise)
	b = append(b, `,"input_tokens":`...)
	b = strconv.AppendInt(b, int64(a.InputTokens), 10)
	if a.CachedTokens != 0 {
		b = append(b, `,"cached_tokens":`...)
		b = strconv.AppendInt(b, int64(a.CachedTokens), 10)
	}
	b = append(b, `,"output_tokens":`...)
	b = appendFloat(b, a.OutputTokens)
	b = append(b, `,"output_tokens_p90":`...)
	b = appendFloat(b, a.OutputTokensP90)
	b = append(b, `,"cost_usd":`...)
	b = strconv.AppendFloat(b, a.Cost.Float(), 'g', -1, 64)
	b = append(b, `,"cost_usd_p90":`...)
	b = strconv.AppendFloat(b, a.CostP90.Float(), 'g', -1, 64)
	b = append(b, `,"utility":`...)
	b = appendFloat(b, a.Utility)
	b = append(b, `,"excluded":`...)
	if a.Excluded == "" {
		return append(b, "null}"...)
	}
	return append(appendString(b, a.Excluded), '}')
}

// comma separates the element i of a list from the one before.
func comma(b []byte, i int) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	return b
}

// appendString quotes s as encoding/json does.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c >= 0x7f, c == '"', c == '\\', c == '<', c == '>', c == '&':
			quoted, _ := json.Marshal(s) // of a string it does not fail
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// appendFloat writes f as encoding/json does, and as null what it refuses.
func appendFloat(b []byte, f float64) []byte {
	size := math.Abs(f)
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return append(b, "null"...)
	case size == 0 || size >= 1e-6 && size < 1e21:
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	b = strconv.AppendFloat(b, f, 'e', -1, 64)
	if n := len(b); b[n-4] == 'e' && b[n-3] == '-' && b[n-2] == '0' { // e-09 is e-9
		b[n-2] = b[n-1]
		b = b[:n-1]
	}
	return b
}

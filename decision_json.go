package carrot

import (
	"cmp"
	"strconv"

	"github.com/carrot-router/carrot/internal/appendjson"
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
	b = appendjson.String(b, d.ID)
	b = append(b, `,"model":`...)
	b = appendjson.String(b, d.Model)
	b = append(b, `,"policy":`...)
	b = appendjson.String(b, cmp.Or(d.Policy, d.Objective.String()))
	b = append(b, `,"usd_per_quality":`...)
	b = appendjson.Float(b, d.USDPerQuality)
	b = append(b, `,"reason":`...)
	b = appendjson.String(b, d.Reason())
	b = append(b, `,"novelty":`...)
	b = appendjson.Float(b, d.Novelty)
	b = append(b, `,"abstained":`...)
	b = strconv.AppendBool(b, d.Abstained)
	b = append(b, `,"candidates":[`...)
	for i := range d.Candidates {
		b = d.Candidates[i].appendJSON(comma(b, i))
	}
	b = append(b, `],"fallback":[`...)
	for i, name := range d.Fallback() {
		b = appendjson.String(comma(b, i), name)
	}
	b = append(b, `],"flips":[`...)
	for i, f := range d.Flips() {
		b = append(comma(b, i), `{"usd_per_quality":`...)
		b = appendjson.Float(b, f.USDPerQuality)
		b = append(b, `,"model":`...)
		b = append(appendjson.String(b, f.Model), '}')
	}
	return append(b, "]}"...)
}

func (a *Assessed) appendJSON(b []byte) []byte {
	b = append(b, `{"name":`...)
	b = appendjson.String(b, a.Name)
	b = append(b, `,"quality":`...)
	b = appendjson.Float(b, a.Quality)
	b = append(b, `,"quality_se":`...)
	b = appendjson.Float(b, a.QualitySE)
	b = append(b, `,"quality_noise":`...)
	b = appendjson.Float(b, a.QualityNoise)
	b = append(b, `,"input_tokens":`...)
	b = strconv.AppendInt(b, int64(a.InputTokens), 10)
	if a.CachedTokens != 0 {
		b = append(b, `,"cached_tokens":`...)
		b = strconv.AppendInt(b, int64(a.CachedTokens), 10)
	}
	b = append(b, `,"output_tokens":`...)
	b = appendjson.Float(b, a.OutputTokens)
	b = append(b, `,"output_tokens_p90":`...)
	b = appendjson.Float(b, a.OutputTokensP90)
	b = append(b, `,"cost_usd":`...)
	b = a.Cost.AppendJSON(b)
	b = append(b, `,"cost_usd_p90":`...)
	b = a.CostP90.AppendJSON(b)
	b = append(b, `,"utility":`...)
	b = appendjson.Float(b, a.Utility)
	b = append(b, `,"excluded":`...)
	if a.Excluded == "" {
		return append(b, "null}"...)
	}
	return append(appendjson.String(b, a.Excluded), '}')
}

// comma separates the element i of a list from the one before.
func comma(b []byte, i int) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	return b
}

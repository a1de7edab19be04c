package carrot

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/carrot-router/carrot/internal/appendjson"
	"github.com/carrot-router/carrot/internal/phrase"
)

// DecisionSchema names the JSON form of a decision.
const DecisionSchema = "carrot.decision/1"

// MarshalJSON writes the decision in the form carrot.decision/1: an infinite
// willingness to pay is null, costs are in USD, unknown costs are null and so are
// the tokens of a model without any. A candidate has a member borrowed only if its
// estimate is. The objective is written where a policy has
// another name than its own.
func (d Decision) MarshalJSON() ([]byte, error) {
	return d.AppendJSON(make([]byte, 0, 512+320*len(d.Candidates))), nil
}

// AppendJSON appends what MarshalJSON writes, for programs that write a decision
// with every request: encoding/json takes five times as long.
// A number that JSON cannot hold, NaN or an infinity, is written as null.
func (d *Decision) AppendJSON(b []byte) []byte {
	b = append(b, `{"schema":"`+DecisionSchema+`","id":`...)
	b = appendjson.String(b, d.ID)
	b = append(b, `,"model":`...)
	b = appendjson.String(b, d.Model)
	b = append(b, `,"policy":`...)
	b = appendjson.String(b, cmp.Or(d.Policy, d.Objective.String()))
	if d.Policy != "" {
		b = append(b, `,"objective":`...)
		b = appendjson.String(b, d.Objective.String())
	}
	b = append(b, `,"usd_per_quality":`...)
	b = appendjson.Float(b, d.USDPerQuality)
	b = append(b, `,"reason":`...)
	b = appendjson.String(b, d.Reason())
	b = append(b, `,"novelty":`...)
	b = appendjson.Float(b, d.Novelty)
	b = append(b, `,"abstained":`...)
	b = strconv.AppendBool(b, d.Abstained)
	if d.PriceDate != "" {
		b = append(b, `,"price_date":`...)
		b = appendjson.String(b, d.PriceDate)
	}
	if d.Router != "" {
		b = append(b, `,"router":`...)
		b = appendjson.String(b, d.Router)
	}
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

func (a *Assessment) appendJSON(b []byte) []byte {
	b = append(b, `{"name":`...)
	b = appendjson.String(b, a.Name)
	if a.Borrowed != "" {
		b = append(b, `,"borrowed":`...)
		b = appendjson.String(b, a.Borrowed)
	}
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
	if a.tokensUnknown() {
		b = append(b, `,"output_tokens":null,"output_tokens_p90":null`...)
	} else {
		b = append(b, `,"output_tokens":`...)
		b = appendjson.Float(b, a.OutputTokens)
		b = append(b, `,"output_tokens_p90":`...)
		b = appendjson.Float(b, a.OutputTokensP90)
	}
	if a.PriceAbove != 0 {
		b = append(b, `,"price_above":`...)
		b = strconv.AppendInt(b, int64(a.PriceAbove), 10)
	}
	if a.CostUnknown {
		b = append(b, `,"cost_usd":null,"cost_usd_p90":null`...)
	} else {
		b = append(b, `,"cost_usd":`...)
		b = a.Cost.AppendJSON(b)
		b = append(b, `,"cost_usd_p90":`...)
		b = a.CostP90.AppendJSON(b)
	}
	if len(a.Steps) > 0 {
		b = a.appendSteps(append(b, `,"steps":`...))
	}
	b = append(b, `,"utility":`...)
	b = appendjson.Float(b, a.Utility)
	b = append(b, `,"excluded":`...)
	if a.Excluded == "" {
		return append(b, "null}"...)
	}
	return append(appendjson.String(b, a.Excluded), '}')
}

// appendSteps writes the calls that a plan may make. The cost of a call is null where
// that of the plan is.
func (a *Assessment) appendSteps(b []byte) []byte {
	b = append(b, '[')
	for i := range a.Steps {
		s := &a.Steps[i]
		b = append(comma(b, i), `{"model":`...)
		b = appendjson.String(b, s.Model)
		b = append(b, `,"called":`...)
		b = appendjson.Float(b, s.Called)
		b = append(b, `,"output_tokens":`...)
		b = appendjson.Float(b, s.OutputTokens)
		if b = append(b, `,"cost_usd":`...); a.CostUnknown {
			b = append(b, "null}"...)
		} else {
			b = append(s.Cost.AppendJSON(b), '}')
		}
	}
	return append(b, ']')
}

// tokensUnknown reports whether there is no forecast of output tokens, which is
// why the cost is unknown.
func (a *Assessment) tokensUnknown() bool {
	return a.CostUnknown && a.OutputTokens == 0 && a.OutputTokensP90 == 0
}

// comma separates element i of a list from the one before it.
func comma(b []byte, i int) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	return b
}

// decisionJSON is what UnmarshalJSON reads. The reason, the fallback order and
// the flips follow from it.
type decisionJSON struct {
	Schema        string           `json:"schema"`
	ID            string           `json:"id"`
	Model         string           `json:"model"`
	Policy        string           `json:"policy"`
	Objective     *Objective       `json:"objective"`
	USDPerQuality *float64         `json:"usd_per_quality"`
	Novelty       *float64         `json:"novelty"`
	Abstained     bool             `json:"abstained"`
	PriceDate     string           `json:"price_date"`
	Router        string           `json:"router"`
	Candidates    []assessmentJSON `json:"candidates"`
}

type assessmentJSON struct {
	Name            string   `json:"name"`
	Borrowed        string   `json:"borrowed"`
	Quality         *float64 `json:"quality"`
	QualitySE       *float64 `json:"quality_se"`
	QualityNoise    *float64 `json:"quality_noise"`
	InputTokens     int      `json:"input_tokens"`
	CachedTokens    int      `json:"cached_tokens"`
	OutputTokens    *float64 `json:"output_tokens"`
	OutputTokensP90 *float64 `json:"output_tokens_p90"`
	PriceAbove      int      `json:"price_above"`
	CostUSD         *USD     `json:"cost_usd"`
	CostUSDP90      *USD     `json:"cost_usd_p90"`
	Steps           []struct {
		Model        string   `json:"model"`
		Called       *float64 `json:"called"`
		OutputTokens *float64 `json:"output_tokens"`
		CostUSD      *USD     `json:"cost_usd"`
	} `json:"steps"`
	Utility  *float64 `json:"utility"`
	Excluded string   `json:"excluded"`
}

// UnmarshalJSON reads what MarshalJSON writes: a decision equal to the one that
// was written, down to the pico-dollar. Members it does not know are ignored.
// The numbers that are written as null are read as NaN, except the willingness
// to pay (+Inf), costs (unknown), and the tokens (0) and the utility (-Inf) of an
// unknown cost.
// Where a policy was written without its objective, as releases before this one
// did, the objective is the willingness to pay.
func (d *Decision) UnmarshalJSON(data []byte) error {
	var in decisionJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("decision: %w", phrase.JSON(err))
	}
	if in.Schema != DecisionSchema {
		return fmt.Errorf("decision: schema %q, want %q", in.Schema, DecisionSchema)
	}
	out := Decision{ID: in.ID, Model: in.Model, USDPerQuality: number(in.USDPerQuality, math.Inf(1)),
		Novelty: number(in.Novelty, math.NaN()), Abstained: in.Abstained, PriceDate: in.PriceDate, Router: in.Router}
	objective, err := ParseObjective(in.Policy)
	switch {
	case in.Objective != nil:
		out.Policy, out.Objective = in.Policy, *in.Objective
	case err == nil:
		out.Objective = objective
	default:
		out.Policy, out.Objective = in.Policy, USDPerQuality(out.USDPerQuality)
	}
	if len(in.Candidates) > 0 {
		out.Candidates = make([]Assessment, len(in.Candidates))
	}
	for i := range in.Candidates {
		out.Candidates[i] = in.Candidates[i].assessment()
	}
	*d = out
	return nil
}

func (in *assessmentJSON) assessment() Assessment {
	nan := math.NaN()
	a := Assessment{Name: in.Name, Borrowed: in.Borrowed, Excluded: in.Excluded,
		Estimate: Estimate{
			Quality: number(in.Quality, nan), QualitySE: number(in.QualitySE, nan), QualityNoise: number(in.QualityNoise, nan),
			InputTokens: in.InputTokens, CachedTokens: in.CachedTokens, PriceAbove: in.PriceAbove,
			OutputTokens: number(in.OutputTokens, nan), OutputTokensP90: number(in.OutputTokensP90, nan),
			CostUnknown: in.CostUSD == nil || in.CostUSDP90 == nil,
		}}
	if a.CostUnknown {
		a.OutputTokens, a.OutputTokensP90 = number(in.OutputTokens, 0), number(in.OutputTokensP90, 0)
		a.Utility = number(in.Utility, math.Inf(-1))
	} else {
		a.Cost, a.CostP90, a.Utility = *in.CostUSD, *in.CostUSDP90, number(in.Utility, nan)
	}
	for _, s := range in.Steps {
		step := Step{Model: s.Model, Called: number(s.Called, nan), OutputTokens: number(s.OutputTokens, nan)}
		if s.CostUSD != nil {
			step.Cost = *s.CostUSD
		}
		a.Steps = append(a.Steps, step)
	}
	return a
}

// number is what a null stands for, or else the number.
func number(v *float64, null float64) float64 {
	if v == nil {
		return null
	}
	return *v
}

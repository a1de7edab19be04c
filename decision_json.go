package carrot

import (
	"encoding/json"
	"math"
)

// DecisionSchema names the JSON form of a decision.
const DecisionSchema = "carrot.decision/1"

type decisionJSON struct {
	Schema        string          `json:"schema"`
	ID            string          `json:"id"`
	Model         string          `json:"model"`
	Policy        string          `json:"policy"`
	USDPerQuality *float64        `json:"usd_per_quality"`
	Reason        string          `json:"reason"`
	Novelty       float64         `json:"novelty"`
	Abstained     bool            `json:"abstained"`
	Candidates    []candidateJSON `json:"candidates"`
	Fallback      []string        `json:"fallback"`
	Flips         []flipJSON      `json:"flips"`
}

type candidateJSON struct {
	Name            string  `json:"name"`
	Quality         float64 `json:"quality"`
	QualitySE       float64 `json:"quality_se"`
	QualityNoise    float64 `json:"quality_noise"`
	InputTokens     int     `json:"input_tokens"`
	CachedTokens    int     `json:"cached_tokens,omitempty"`
	OutputTokens    float64 `json:"output_tokens"`
	OutputTokensP90 float64 `json:"output_tokens_p90"`
	CostUSD         USD     `json:"cost_usd"`
	CostUSDP90      USD     `json:"cost_usd_p90"`
	Utility         float64 `json:"utility"`
	Excluded        *string `json:"excluded"`
}

type flipJSON struct {
	USDPerQuality *float64 `json:"usd_per_quality"`
	Model         string   `json:"model"`
}

// finite returns nil for an infinite willingness to pay, which JSON writes as
// null.
func finite(w float64) *float64 {
	if math.IsInf(w, 0) {
		return nil
	}
	return &w
}

// MarshalJSON writes the decision in the form carrot.decision/1: an infinite
// willingness to pay is null, costs are in USD.
func (d Decision) MarshalJSON() ([]byte, error) {
	out := decisionJSON{
		Schema: DecisionSchema, ID: d.ID, Model: d.Model, Policy: d.Objective.String(),
		USDPerQuality: finite(d.USDPerQuality), Reason: d.Reason(),
		Novelty: d.Novelty, Abstained: d.Abstained,
		Candidates: make([]candidateJSON, len(d.Candidates)), Fallback: d.Fallback(), Flips: []flipJSON{},
	}
	for i, a := range d.Candidates {
		out.Candidates[i] = candidateJSON{
			Name: a.Name, Quality: a.Quality, QualitySE: a.QualitySE, QualityNoise: a.QualityNoise,
			InputTokens: a.InputTokens, CachedTokens: a.CachedTokens, OutputTokens: a.OutputTokens, OutputTokensP90: a.OutputTokensP90,
			CostUSD: a.Cost, CostUSDP90: a.CostP90, Utility: a.Utility,
		}
		if a.Excluded != "" {
			out.Candidates[i].Excluded = &d.Candidates[i].Excluded
		}
	}
	for _, f := range d.Flips() {
		out.Flips = append(out.Flips, flipJSON{finite(f.USDPerQuality), f.Model})
	}
	return json.Marshal(out)
}

package carrot_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/carrot-router/carrot"
)

// plain is carrot.decision/1 as encoding/json writes it: what AppendJSON must
// equal, byte for byte.
type plain struct {
	Schema        string           `json:"schema"`
	ID            string           `json:"id"`
	Model         string           `json:"model"`
	Policy        string           `json:"policy"`
	USDPerQuality *float64         `json:"usd_per_quality"`
	Reason        string           `json:"reason"`
	Novelty       float64          `json:"novelty"`
	Abstained     bool             `json:"abstained"`
	Candidates    []plainCandidate `json:"candidates"`
	Fallback      []string         `json:"fallback"`
	Flips         []plainFlip      `json:"flips"`
}

type plainCandidate struct {
	Name            string     `json:"name"`
	Borrowed        string     `json:"borrowed,omitempty"`
	Quality         float64    `json:"quality"`
	QualitySE       float64    `json:"quality_se"`
	QualityNoise    float64    `json:"quality_noise"`
	InputTokens     int        `json:"input_tokens"`
	CachedTokens    int        `json:"cached_tokens,omitempty"`
	OutputTokens    float64    `json:"output_tokens"`
	OutputTokensP90 float64    `json:"output_tokens_p90"`
	CostUSD         carrot.USD `json:"cost_usd"`
	CostUSDP90      carrot.USD `json:"cost_usd_p90"`
	Utility         float64    `json:"utility"`
	Excluded        *string    `json:"excluded"`
}

type plainFlip struct {
	USDPerQuality *float64 `json:"usd_per_quality"`
	Model         string   `json:"model"`
}

func plainJSON(t *testing.T, d *carrot.Decision) string {
	t.Helper()
	finite := func(f float64) *float64 {
		if math.IsInf(f, 0) {
			return nil
		}
		return &f
	}
	out := plain{
		Schema: carrot.DecisionSchema, ID: d.ID, Model: d.Model, Policy: d.Objective.String(),
		USDPerQuality: finite(d.USDPerQuality), Reason: d.Reason(), Novelty: d.Novelty, Abstained: d.Abstained,
		Candidates: []plainCandidate{}, Fallback: d.Fallback(), Flips: []plainFlip{},
	}
	for _, a := range d.Candidates {
		c := plainCandidate{
			a.Name, a.Borrowed, a.Quality, a.QualitySE, a.QualityNoise, a.InputTokens, a.CachedTokens,
			a.OutputTokens, a.OutputTokensP90, a.Cost, a.CostP90, a.Utility, nil,
		}
		if a.Excluded != "" {
			c.Excluded = &a.Excluded
		}
		out.Candidates = append(out.Candidates, c)
	}
	for _, f := range d.Flips() {
		out.Flips = append(out.Flips, plainFlip{finite(f.USDPerQuality), f.Model})
	}
	b, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// manyCandidates draws a decision among n candidates with values that are
// awkward to write.
func manyCandidates(random *rand.Rand, n int) *carrot.Decision {
	float := func() float64 {
		awkward := []float64{0, math.Copysign(0, -1), 1, -1, 0.1, 1e-6, 9.99e-7, 1e-7, 1.5e-10, 1e20, 1e21, -3e25, 5e-324, math.MaxFloat64, 1.0 / 3}
		if i := random.IntN(2 * len(awkward)); i < len(awkward) {
			return awkward[i]
		}
		return random.NormFloat64() * math.Pow(10, float64(random.IntN(60)-30))
	}
	text := func() string {
		awkward := []string{"", "gpt-4o", `say "no"\`, "a<b>&c", "tab\tline\nnul\x00del\x7f\x1f", "käse 日本 😀", "bad \xff\xc0 utf-8", "\u2028\u2029", "/'`"}
		return awkward[random.IntN(len(awkward))]
	}
	d := &carrot.Decision{ID: text(), Objective: carrot.USDPerQuality(math.Abs(float())), USDPerQuality: float(), Novelty: float(), Abstained: n%2 == 0}
	if random.IntN(5) == 0 {
		d.USDPerQuality = math.Inf(1)
	}
	for i := range n {
		a := carrot.Assessment{
			Name: fmt.Sprint(text(), i), Utility: float(),
			Estimate: carrot.Estimate{
				Quality: random.NormFloat64() * math.Pow(10, float64(-random.IntN(12))), QualitySE: float(), QualityNoise: float(), InputTokens: random.IntN(100000), CachedTokens: random.IntN(3),
				OutputTokens: float(), OutputTokensP90: float(),
				Cost: carrot.USD(random.Int64N(1 << (1 + random.IntN(62)))), CostP90: carrot.USD(-random.Int64N(1 << 40)),
			},
		}
		if random.IntN(4) == 0 {
			a.Excluded = text()
		}
		if random.IntN(4) == 0 {
			a.Borrowed = text()
		}
		d.Candidates = append(d.Candidates, a)
		if random.IntN(n) == 0 {
			d.Model = a.Name
		}
	}
	return d
}

func TestAppendJSONIsEncodingJSON(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 1))
	for range 2_000 {
		d := manyCandidates(random, random.IntN(9))
		want := plainJSON(t, d)
		if got := string(d.AppendJSON([]byte("x"))); got != "x"+want {
			t.Fatalf("AppendJSON = %s\nwant x%s", got, want)
		}
		got, err := json.Marshal(d)
		if err != nil || string(got) != want {
			t.Fatalf("Marshal = %s, %v\nwant %s", got, err, want)
		}
	}
}

// What JSON has no number for is null, not a broken line.
func TestAppendJSONNotFinite(t *testing.T) {
	for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		d := carrot.Decision{Model: "a", Novelty: f, USDPerQuality: f, Candidates: []carrot.Assessment{
			{Name: "a", Utility: f, Estimate: carrot.Estimate{Quality: f, QualitySE: f, QualityNoise: f, OutputTokens: f, OutputTokensP90: f}},
			{Name: "b"},
		}}
		got := d.AppendJSON(nil)
		if !json.Valid(got) || !strings.Contains(string(got), `"utility":null`) {
			t.Errorf("AppendJSON of %v = %s, want valid JSON with null", f, got)
		}
		if _, err := json.Marshal(d); err != nil {
			t.Errorf("Marshal of %v: %v", f, err)
		}
	}
}

// sixteen is a decision of common size.
func sixteen() *carrot.Decision {
	random := rand.New(rand.NewPCG(6, 2))
	var quality, cost []float64
	for range 16 {
		q := random.Float64()
		quality, cost = append(quality, q), append(cost, q*q*0.01*(0.5+random.Float64()))
	}
	d := decision(quality, cost, 0.01)
	for i := range d.Candidates {
		a := &d.Candidates[i]
		a.Name = fmt.Sprintf("some-model-%d-2026-11-24", i)
		a.QualitySE, a.QualityNoise = random.Float64()/10, random.Float64()/2
		a.InputTokens, a.OutputTokens, a.OutputTokensP90 = 1234, 500*random.Float64(), 900*random.Float64()
	}
	d.ID, d.Model, d.Novelty = "req_0123456789abcdef", d.Candidates[3].Name, random.Float64()
	return &d
}

func BenchmarkDecisionJSON(b *testing.B) {
	d := sixteen()
	b.Run("AppendJSON", func(b *testing.B) {
		var buf []byte
		b.ReportAllocs()
		for b.Loop() {
			buf = d.AppendJSON(buf[:0])
		}
		b.SetBytes(int64(len(buf)))
	})
	b.Run("Reason", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = d.Reason()
		}
	})
	b.Run("Flips", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = d.Flips()
		}
	})
}

// What MarshalJSON writes, UnmarshalJSON reads: an equal decision, with the
// same reason, fallback order and flips.
func TestDecisionReadsBackEqual(t *testing.T) {
	same := []cmp.Option{cmpopts.EquateNaNs(), cmp.Comparer(func(a, b carrot.Objective) bool { return a == b })}
	check := func(d *carrot.Decision) {
		t.Helper()
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var back carrot.Decision
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatalf("Unmarshal(%s): %v", text, err)
		}
		if diff := cmp.Diff(*d, back, same...); diff != "" {
			t.Fatalf("%s reads back differently (-want +got):\n%s", text, diff)
		}
		if again, err := json.Marshal(back); err != nil || !bytes.Equal(again, text) {
			t.Fatalf("written again: %s, %v\nwant %s", again, err, text)
		}
	}
	check(&carrot.Decision{Candidates: []carrot.Assessment{{Name: "a"}}})
	check(sixteen())
	random := rand.New(rand.NewPCG(6, 3))
	objectives := []carrot.Objective{{}, carrot.Quality, carrot.Cheap, carrot.Mu(0.3), carrot.Budget(0.002), carrot.Target(0.97), carrot.USDPerQuality(math.Inf(1)), carrot.USDPerQuality(0)}
	for range 500 {
		d := manyCandidates(random, 1+random.IntN(9))
		d.ID, d.Model = "id", "model"
		d.Objective = objectives[random.IntN(len(objectives))]
		d.Policy = []string{"", "auto", "gold", "balanced", "mu=0.3", "auto:cheap"}[random.IntN(6)]
		for i := range d.Candidates {
			a := &d.Candidates[i]
			a.Name = strings.ToValidUTF8(a.Name, "?")
			a.Excluded, a.Borrowed = strings.ToValidUTF8(a.Excluded, "?"), strings.ToValidUTF8(a.Borrowed, "?")
			switch random.IntN(4) {
			case 0:
				a.CostUnknown, a.Cost, a.CostP90, a.Utility = true, 0, 0, math.Inf(-1)
				if random.IntN(2) == 0 {
					a.OutputTokens, a.OutputTokensP90 = 0, 0
				}
			case 1:
				a.Quality, a.Utility = math.NaN(), math.NaN()
			}
		}
		check(d)
	}
}

func TestDecisionUnmarshalErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                             `schema ""`,
		`{"schema":"carrot.decision/2"}`: `want "carrot.decision/1"`,
		`{"schema":"carrot.decision/1","candidates":7}`:                        "decision: ",
		`{"schema":"carrot.decision/1","objective":"mu=7","policy":"x"}`:       "7 is outside",
		`{"schema":"carrot.decision/1","candidates":[{"cost_usd":1e300}]}`:     "out of range",
		`{"schema":"carrot.decision/1","candidates":[{"cost_usd":"a fifth"}]}`: "not a number",
	} {
		d := carrot.Decision{ID: "kept"}
		if err := json.Unmarshal([]byte(text), &d); err == nil || !strings.Contains(err.Error(), want) || d.ID != "kept" {
			t.Errorf("Unmarshal(%s) = %+v, %v, want an error that says %q", text, d, err, want)
		}
	}
}

// What is not known of a model without tokens and costs is null.
func TestDecisionUnknownCost(t *testing.T) {
	d := carrot.Decision{Candidates: []carrot.Assessment{{Name: "a", Estimate: carrot.Estimate{Quality: 0.5, CostUnknown: true}}}}
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if want := `"output_tokens":null,"output_tokens_p90":null,"cost_usd":null,"cost_usd_p90":null`; !bytes.Contains(text, []byte(want)) {
		t.Errorf("Marshal = %s, want it to hold %s", text, want)
	}
}

// A candidate without costs has unknown ones, not zero.
func TestDecisionMissingCost(t *testing.T) {
	var d carrot.Decision
	text := `{"schema":"carrot.decision/1","policy":"cheap","usd_per_quality":0.5,"candidates":[{"name":"a","quality":0.5}]}`
	if err := json.Unmarshal([]byte(text), &d); err != nil || !d.Candidates[0].CostUnknown || d.Objective != carrot.Cheap {
		t.Errorf("Unmarshal(%s) = %+v, %v", text, d, err)
	}
}

package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/wire"
)

// exampleAttempt has every field set.
func exampleAttempt() *Attempt {
	return &Attempt{
		Time: time.Date(2026, 11, 24, 17, 1, 2, 123_000_789, time.UTC), RequestID: "req_1", Number: 2, Client: "support", API: wire.Chat, Session: "s-1", Stream: true,
		Policy: "balanced", Reason: ReasonTradeOff, DecidedIn: 71_234 * time.Nanosecond, Propensity: 0.975,
		Decision: &carrot.Decision{
			ID: "q", Model: "large", Objective: carrot.USDPerQuality(0.01), USDPerQuality: 0.01, Novelty: 0.25,
			Candidates: []carrot.Assessment{
				{Name: "large", Utility: 0.7, Estimate: carrot.Estimate{Quality: 0.875, QualitySE: 0.03, QualityNoise: 0.3, InputTokens: 100, CachedTokens: 40, OutputTokens: 200.5, OutputTokensP90: 400, Cost: 1_750_000_001, CostP90: 3_000_000_000}},
				{Name: "small", Utility: 0.6, Estimate: carrot.Estimate{Quality: 0.625, InputTokens: 100, OutputTokens: 150, Cost: 250_000_000}, Excluded: "breaker open"},
			},
		},
		Shadow: &Shadow{Model: "small", Saved: 1_500_000_001, Gain: -0.25},
		First:  "large", Candidate: "large", Provider: "openai", UpstreamModel: "large-2026-11-01", AnswerID: "chatcmpl-1",
		Outcome: Broken, Status: 200, ErrorCode: "server_error", Error: "the stream ended <early>",
		Usage: carrot.Usage{Input: 60, CachedInput: 40, CacheWrite: 5, Output: 180, Reasoning: 20}, Estimated: true, Cost: 1_234_567_890_123,
		FirstToken: 250*time.Millisecond + 1, Upstream: 3*time.Second + 5*time.Microsecond, Overhead: 300 * time.Microsecond,
		Prompt: []byte(`{"model":"auto","messages":[]}`), Answer: "Hello,\n\"world\" 😀",
	}
}

// The form carrot.attempt/1, which other programs read.
func TestAttemptGolden(t *testing.T) {
	const golden = "testdata/attempt.golden.json"
	var got bytes.Buffer
	if err := json.Indent(&got, exampleAttempt().AppendJSON(nil), "", "  "); err != nil {
		t.Fatal(err)
	}
	got.WriteByte('\n')
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got; -update rewrites it):\n%s", golden, diff)
	}
}

func TestAttemptRoundTrip(t *testing.T) {
	f := func(change func(*Attempt)) {
		t.Helper()
		want := exampleAttempt()
		change(want)
		line := want.AppendJSON(nil)
		if !json.Valid(line) || bytes.ContainsAny(line, "\n\r") {
			t.Errorf("AppendJSON = %q, want one line of JSON", line)
		}
		got, err := ParseAttempt(line)
		if err != nil {
			t.Errorf("ParseAttempt(%s): %v", line, err)
			return
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(carrot.Objective{})); diff != "" {
			t.Errorf("ParseAttempt of what AppendJSON wrote (-want +got):\n%s", diff)
		}
	}
	f(func(*Attempt) {})
	f(func(a *Attempt) { a.Decision, a.Shadow, a.Prompt, a.Answer = nil, nil, nil, "" })
	f(func(a *Attempt) { a.Client, a.Session, a.ErrorCode, a.Error = "", "", "", "" })
	f(func(a *Attempt) { a.Decision.Objective, a.Decision.USDPerQuality = carrot.Cheap, math.Inf(1) })
	f(func(a *Attempt) { a.Prompt = []byte("no JSON \xe2\x82\xac\n") })
	f(func(a *Attempt) { a.Prompt = []byte(`["no object"]`) })
	f(func(a *Attempt) { a.Time = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC) })
	for _, cost := range []carrot.USD{0, 1, -1, 999_999_999_999, carrot.Dollar, 12345 * carrot.Dollar, 9_007_199_254_740_993, math.MaxInt64, math.MinInt64} {
		f(func(a *Attempt) { a.Cost, a.Shadow.Saved = cost, -cost })
	}
	random := rand.New(rand.NewPCG(6, 3))
	for range 1_000 {
		f(func(a *Attempt) {
			a.Cost = carrot.USD(random.Uint64() >> random.IntN(64))
			a.DecidedIn, a.Upstream = time.Duration(random.Int64()>>random.IntN(63)), time.Duration(random.Int64()>>random.IntN(63))
		})
	}
}

func TestParseDecimal(t *testing.T) {
	f := func(s string, want int64) {
		t.Helper()
		got, err := parseDecimal(s, 3)
		if got != want || err != nil {
			t.Errorf("parseDecimal(%q, 3) = %d, %v, want %d", s, got, err, want)
		}
	}
	f("", 0)
	f("-0", 0)
	f("1.5", 1500)
	f("-0.001", -1)
	f("0.0015", 2) // more decimals than are kept
	f("1e-3", 1)   // other programs write it so
	f("2.5E2", 250_000)
	for _, s := range []string{"9223372036854775808", "1e300", "1e400", "-1e30", "9300000000000000.001"} {
		if got, err := parseDecimal(s, 3); err == nil {
			t.Errorf("parseDecimal(%q, 3) = %d, want an error", s, got)
		}
	}
}

// Whatever is in an attempt, the line is JSON.
func TestAttemptAwkward(t *testing.T) {
	a := exampleAttempt()
	a.Propensity, a.Shadow.Gain, a.Decision.Candidates[0].Utility, a.Decision.Novelty = math.NaN(), math.Inf(-1), math.Inf(-1), math.NaN()
	a.Error, a.Answer, a.RequestID = "\x00\x1f\x7f\xff\u2028<&>", "\"\\", "\r\n"
	a.Prompt = []byte(" {\n\t\"a\": \"b\\n\",\r\n \"c\": [1, 2]}\n")
	line := a.AppendJSON(nil)
	if !json.Valid(line) || bytes.ContainsAny(line, "\n\r\x00") {
		t.Errorf("AppendJSON = %q, want one line of JSON", line)
	}
	if !bytes.Contains(line, []byte(`"prompt":{"a":"b\n","c":[1,2]}`)) {
		t.Errorf("AppendJSON = %s, want the prompt on one line", line)
	}
	encoded, err := json.Marshal(a)
	if err != nil || !json.Valid(encoded) {
		t.Errorf("Marshal = %s, %v", encoded, err)
	}
}

func TestParseAttemptErrors(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		_, err := ParseAttempt([]byte(line))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseAttempt(%s) = %v, want %q", line, err, want)
		}
	}
	f(``, "parse attempt: ")
	f(`{"schema":"carrot.att`, "parse attempt: ")
	f(`{"schema":"carrot.attempt/2"}`, `schema "carrot.attempt/2", want "carrot.attempt/1"`)
	f(`{"schema":"carrot.attempt/1","cost_usd":1e30}`, "cost_usd: 1e30 is out of range")
	f(`{"schema":"carrot.attempt/1","decision":{"schema":"x"}}`, `decision: schema "x"`)
	f(`{"schema":"carrot.attempt/1","decision":{"schema":"carrot.decision/1","policy":"mu=2"}}`, "decision: objective")
	f(`{"schema":"carrot.attempt/1","prompt":7}`, "prompt: want an object or a string")
}

func FuzzParseAttempt(f *testing.F) {
	f.Add(exampleAttempt().AppendJSON(nil))
	f.Add([]byte(`{"schema":"carrot.attempt/1","cost_usd":1.5e-3,"prompt":"x","shadow":{},"decision":{"schema":"carrot.decision/1"}}`))
	f.Add([]byte(`{"schema":"carrot.attempt/1","time":"9999-12-31T23:59:59-01:00","usage":null,"decision":null}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		a, err := ParseAttempt(line)
		if err != nil {
			return
		}
		if a.Decision != nil {
			for _, c := range a.Decision.Candidates {
				if math.Abs(c.Quality) > 1e6 || max(c.Cost, -c.Cost, c.CostP90, -c.CostP90) > 9000*carrot.Dollar {
					return // no estimates; a decision's costs are floats
				}
			}
		}
		first := a.AppendJSON(nil)
		if !json.Valid(first) || bytes.ContainsAny(first, "\n\r") {
			t.Fatalf("AppendJSON = %q, want one line of JSON", first)
		}
		again, err := ParseAttempt(first)
		if err != nil {
			t.Fatalf("ParseAttempt(%s): %v", first, err)
		}
		if second := again.AppendJSON(nil); !bytes.Equal(first, second) {
			t.Fatalf("written again:\n%s\nwas:\n%s", second, first)
		}
	})
}

// commonAttempt is one of a request routed among 16 models.
func commonAttempt() *Attempt {
	random := rand.New(rand.NewPCG(6, 4))
	a := exampleAttempt()
	a.Shadow, a.Prompt, a.Answer, a.ErrorCode, a.Error, a.Outcome, a.Estimated = nil, nil, "", "", "", Served, false
	a.Decision = &carrot.Decision{ID: "req_0123456789", Objective: carrot.Balanced, USDPerQuality: 0.01, Novelty: random.Float64()}
	for i := range 16 {
		q := random.Float64()
		cost := carrot.Dollars(q * q * 0.01 * (0.5 + random.Float64()))
		a.Decision.Candidates = append(a.Decision.Candidates, carrot.Assessment{
			Name: fmt.Sprintf("some-model-%d-2026-11-24", i), Utility: carrot.Utility(q, cost.Float(), 0.01),
			Estimate: carrot.Estimate{
				Quality: q, QualitySE: random.Float64() / 10, QualityNoise: random.Float64() / 2, InputTokens: 1234,
				OutputTokens: 500 * random.Float64(), OutputTokensP90: 900 * random.Float64(), Cost: cost, CostP90: 2 * cost,
			},
		})
	}
	a.Decision.Model = a.Decision.Candidates[3].Name
	a.Candidate = a.Decision.Model
	return a
}

func BenchmarkAttemptAppendJSON(b *testing.B) {
	a := commonAttempt()
	var line []byte
	b.ReportAllocs()
	for b.Loop() {
		line = a.AppendJSON(line[:0])
	}
	b.ReportMetric(float64(len(line)), "B/line")
}

func BenchmarkParseAttempt(b *testing.B) {
	line := commonAttempt().AppendJSON(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseAttempt(line); err != nil {
			b.Fatal(err)
		}
	}
}

// A policy may be called almost anything, and its record is read back.
func TestParseAttemptPolicyNames(t *testing.T) {
	for _, name := range []string{"support", "team=search", "support:usd-per-quality=0.01"} {
		d := carrot.Decision{Policy: name, Objective: carrot.Cheap, USDPerQuality: 0.5, Candidates: []carrot.Assessment{{Name: "m"}}, Model: "m"}
		line, err := json.Marshal(&Attempt{Decision: &d, Outcome: Served})
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ParseAttempt(line); err != nil || back.Decision.Policy != name || back.Decision.USDPerQuality != 0.5 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

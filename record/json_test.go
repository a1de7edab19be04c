package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func parse(line []byte) (*Attempt, error) {
	a := new(Attempt)
	return a, json.Unmarshal(line, a)
}

// exampleAttempt has every field set.
func exampleAttempt() *Attempt {
	return &Attempt{
		Time: time.Date(2026, 11, 24, 17, 1, 2, 123_000_789, time.UTC), RequestID: "req_1", Number: 2, Client: "support", Labels: map[string]string{"team": "search", "env": "prod"}, API: "chat", Session: "s-1", Stream: true,
		Policy: "balanced", Default: "small", Reason: TradeOff, DecidedIn: 71_234 * time.Nanosecond, Propensity: 0.975,
		Decision: &carrot.Decision{
			ID: "q", Model: "large", Objective: carrot.USDPerQuality(0.01), USDPerQuality: 0.01, Novelty: 0.25,
			Candidates: []carrot.Assessment{
				{Name: "large", Utility: 0.7, Estimate: carrot.Estimate{Quality: 0.875, QualitySE: 0.03, QualityNoise: 0.3, InputTokens: 100, CachedTokens: 40, OutputTokens: 200.5, OutputTokensP90: 400, Cost: 1_750_000_001, CostP90: 3_000_000_000}},
				{Name: "small", Borrowed: "large", Utility: 0.6, Estimate: carrot.Estimate{Quality: 0.625, InputTokens: 100, OutputTokens: 150, Cost: 250_000_000}, Excluded: "breaker open"},
			},
		},
		Shadow: &Shadow{Model: "small", Saved: 1_500_000_001, Gain: -0.25},
		First:  "large", Candidate: "large", Provider: "openai", UpstreamModel: "large-2026-11-01", AnswerID: "chatcmpl-1",
		UpstreamRequestID: "req_9", RateLimits: map[string]string{"x-ratelimit-remaining-requests": "7", "x-ratelimit-limit-requests": "10"},
		Dropped: []string{"seed", "?"}, Narrowed: []string{"temperature=1"},
		Outcome: Broken, Status: 200, ErrorCode: "server_error", Error: "the stream ended <early>",
		Usage: carrot.Usage{Input: 60, CachedInput: 40, CacheWrite: 5, Output: 180, Reasoning: 20}, Estimated: true, CacheMiss: "tools_changed", Cost: 1_234_567_890_123, Expected: 1_750_000_001,
		Budgets: []string{"client-support-month@2026-11-01", "all-day@2026-11-24"}, Held: 3_000_000_000,
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

// Lines of an earlier release, which had no labels, no losses of requests, no unknown
// costs, no borrowed estimates, no objective of a policy and nothing of the provider's headers, are read.
func TestEarlierRelease(t *testing.T) {
	line, err := os.ReadFile("testdata/attempt-2026-11-24.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := parse(line)
	if err != nil {
		t.Fatal(err)
	}
	want := exampleAttempt()
	want.Labels, want.Expected, want.UpstreamRequestID, want.RateLimits, want.Dropped, want.Narrowed, want.CacheMiss = nil, 0, "", nil, nil, nil, ""
	want.Budgets, want.Held, want.Default = nil, 0, ""
	want.Decision.Candidates[1].Borrowed = ""
	want.Prompt = got.Prompt // it is indented in the file
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b carrot.Objective) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRead(t *testing.T) {
	good := exampleAttempt().AppendJSON(nil)
	file := slices.Concat(good, []byte("\n\n{\"schema\":\n"), good, []byte("\n"))
	var numbers, problems []string
	for a, err := range Read(bytes.NewReader(file)) {
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		numbers = append(numbers, fmt.Sprint(a.RequestID, a.Number))
	}
	if want := []string{"req_12", "req_12"}; !slices.Equal(numbers, want) || len(problems) != 1 || !strings.HasPrefix(problems[0], "line 3: ") {
		t.Errorf("read %q with problems %q, want %q and one at line 3", numbers, problems, want)
	}
	for range Read(bytes.NewReader(file)) {
		break // the loop may end early
	}
	broken := errors.New("broken")
	for a, err := range Read(io.MultiReader(bytes.NewReader(append(good, '\n')), iotest.ErrReader(broken))) {
		if a == nil && !errors.Is(err, broken) {
			t.Errorf("error %v, want that of the reader", err)
		}
	}
}

func TestEstimate(t *testing.T) {
	a := exampleAttempt()
	if e := a.Estimate(); e == nil || e.Cost != 1_750_000_001 {
		t.Errorf("Estimate() = %+v", e)
	}
	a.Candidate = "another"
	if e := a.Estimate(); e != nil {
		t.Errorf("Estimate() for a candidate without one = %+v, want nil", e)
	}
	if e := (&Attempt{}).Estimate(); e != nil {
		t.Errorf("Estimate() without a decision = %+v, want nil", e)
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
		got, err := parse(line)
		if err != nil {
			t.Errorf("Unmarshal(%s): %v", line, err)
			return
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b carrot.Objective) bool { return a == b })); diff != "" {
			t.Errorf("Unmarshal of what AppendJSON wrote (-want +got):\n%s", diff)
		}
	}
	f(func(*Attempt) {})
	f(func(a *Attempt) { a.Decision, a.Shadow, a.Prompt, a.Answer = nil, nil, nil, "" })
	f(func(a *Attempt) { a.Client, a.Labels, a.Session, a.ErrorCode, a.Error = "", nil, "", "", "" })
	f(func(a *Attempt) { a.UpstreamRequestID, a.RateLimits = "", nil })
	f(func(a *Attempt) { a.Cost, a.CostUnknown = 0, true })
	f(func(a *Attempt) { a.Expected, a.ExpectedUnknown = 0, true })
	f(func(a *Attempt) { a.Decision.Policy, a.Decision.Objective = "auto:cheap", carrot.Cheap })
	f(func(a *Attempt) {
		c := &a.Decision.Candidates[1]
		c.Cost, c.CostUnknown, c.Utility = 0, true, math.Inf(-1)
	})
	f(func(a *Attempt) { a.Decision.Objective, a.Decision.USDPerQuality = carrot.Cheap, math.Inf(1) })
	f(func(a *Attempt) { a.Prompt = []byte("not JSON \xe2\x82\xac\n") })
	f(func(a *Attempt) { a.Prompt = []byte(`["not an object"]`) })
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

// Any attempt becomes one line of valid JSON.
func TestAttemptAlwaysOneLine(t *testing.T) {
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

func TestUnmarshalErrors(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		_, err := parse([]byte(line))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Unmarshal(%s) = %v, want %q", line, err, want)
		}
	}
	f(``, "unexpected end")
	f(`{"schema":"carrot.att`, "unexpected end")
	f(`{"schema":"carrot.attempt/2"}`, `schema "carrot.attempt/2", want "carrot.attempt/1"`)
	f(`{"schema":"carrot.attempt/1","cost_usd":1e30}`, "1e30 is out of range")
	f(`{"schema":"carrot.attempt/1","decision":{"schema":"x"}}`, `decision: schema "x"`)
	f(`{"schema":"carrot.attempt/1","decision":{"schema":"carrot.decision/1","policy":"x","objective":"mu=2"}}`, "objective")
	f(`{"schema":"carrot.attempt/1","upstream_ms":1e300}`, "upstream_ms: 1e300 is out of range")
	f(`{"schema":"carrot.attempt/1","prompt":7}`, "prompt: want an object or a string")
}

func FuzzUnmarshal(f *testing.F) {
	f.Add(exampleAttempt().AppendJSON(nil))
	f.Add([]byte(`{"schema":"carrot.attempt/1","cost_usd":1.5e-3,"prompt":"x","shadow":{},"decision":{"schema":"carrot.decision/1"}}`))
	f.Add([]byte(`{"schema":"carrot.attempt/1","time":"9999-12-31T23:59:59-01:00","usage":null,"decision":null}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		a, err := parse(line)
		if err != nil {
			return
		}
		first := a.AppendJSON(nil)
		if !json.Valid(first) || bytes.ContainsAny(first, "\n\r") {
			t.Fatalf("AppendJSON = %q, want one line of JSON", first)
		}
		again, err := parse(first)
		if err != nil {
			t.Fatalf("Unmarshal(%s): %v", first, err)
		}
		if second := again.AppendJSON(nil); !bytes.Equal(first, second) {
			t.Fatalf("written again:\n%s\nbefore:\n%s", second, first)
		}
	})
}

// commonAttempt is an attempt for a request that was routed among 16 models.
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

func BenchmarkAttemptUnmarshal(b *testing.B) {
	line := commonAttempt().AppendJSON(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parse(line); err != nil {
			b.Fatal(err)
		}
	}
}

// A policy may have almost any name.
func TestPolicyNames(t *testing.T) {
	for _, name := range []string{"support", "team=search", "support:usd-per-quality=0.01"} {
		d := carrot.Decision{Policy: name, Objective: carrot.Cheap, USDPerQuality: 0.5, Candidates: []carrot.Assessment{{Name: "m"}}, Model: "m"}
		line, err := json.Marshal(&Attempt{Decision: &d, Outcome: Served})
		if err != nil {
			t.Fatal(err)
		}
		if back, err := parse(line); err != nil || back.Decision.Policy != name || back.Decision.USDPerQuality != 0.5 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

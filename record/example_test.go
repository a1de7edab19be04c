package record_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/record"
)

func ExampleAttempt() {
	a := &record.Attempt{
		Time: time.Date(2026, 11, 24, 17, 1, 2, 0, time.UTC), RequestID: "req_1", Number: 1, API: "chat",
		Policy: "auto", Reason: record.TradeOff, Propensity: 1,
		Candidate: "small", Provider: "openai", UpstreamModel: "small-2026-11-01", Outcome: record.Served, Status: 200,
		Usage: carrot.Usage{Input: 12, Output: 30}, Cost: carrot.Dollars(0.0000198), ExpectedUnknown: true,
	}
	line := string(a.AppendJSON(nil))
	before, after, _ := strings.Cut(line, `"usage":`)
	fmt.Println(before)
	fmt.Println(`"usage":` + after)
	// Output:
	// {"schema":"carrot.attempt/1","time":"2026-11-24T17:01:02.000000000Z","request_id":"req_1","number":1,"api":"chat","stream":false,"policy":"auto","reason":"trade-off","propensity":1,"decided_us":0,"candidate":"small","provider":"openai","upstream_model":"small-2026-11-01","outcome":"served","status":200,
	// "usage":{"input_tokens":12,"cached_input_tokens":0,"cache_write_tokens":0,"output_tokens":30,"reasoning_tokens":0,"estimated":false},"cost_usd":0.0000198,"cost_estimate_usd":null,"first_token_ms":0,"upstream_ms":0,"overhead_ms":0}
}

func ExampleJSONL() {
	dir, err := os.MkdirTemp("", "records")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	records, err := record.OpenJSONL(filepath.Join(dir, "decisions.jsonl"), 100<<20, 10)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, outcome := range []record.Outcome{record.FellBack, record.Served} {
		a := &record.Attempt{RequestID: "req_1", Number: i + 1, Outcome: outcome}
		if err := records.Record(context.Background(), a); err != nil {
			fmt.Println(err)
		}
	}
	if err := records.Close(); err != nil {
		fmt.Println(err)
	}

	file, err := os.Open(filepath.Join(dir, "decisions.jsonl"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	for a, err := range record.Read(file) {
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(a.RequestID, a.Number, a.Outcome)
	}
	// Output:
	// req_1 1 failed
	// req_1 2 served
}

func ExampleRead() {
	file := strings.NewReader(`{"schema":"carrot.attempt/1","candidate":"large","outcome":"failed","cost_usd":0}
{"schema":"carrot.attempt/1","candidate":"small","outcome":"served","cost_usd":0.0000198}
{"schema":"carrot.attempt/1","candidate":"sm
`)
	for attempt, err := range record.Read(file) {
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(attempt.Candidate, attempt.Outcome, attempt.Cost)
	}
	// Output:
	// large failed $0
	// small served $0.0000198
	// line 3: unexpected end of JSON input
}

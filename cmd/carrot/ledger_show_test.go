package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/record"
)

// TestShowBorrowed: an estimate that is borrowed is shown as such.
func TestShowBorrowed(t *testing.T) {
	a := &record.Attempt{RequestID: "req_b", Number: 1, API: "chat", Policy: "cheap", Candidate: "new", Provider: "p", Reason: record.TradeOff, Outcome: record.Lapsed, CostUnknown: true, ExpectedUnknown: true,
		Decision: &carrot.Decision{Model: "new", USDPerQuality: 1, Candidates: []carrot.Assessment{
			{Name: "old", Estimate: carrot.Estimate{Quality: 0.5, OutputTokens: 90}, Utility: 0.5},
			{Name: "new", Borrowed: "old", Estimate: carrot.Estimate{Quality: 0.6, OutputTokens: 100}, Utility: 0.6}}}}
	var out strings.Builder
	if err := describeRequest(&out, []*record.Attempt{a}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"; its estimates are borrowed from old, as it was never observed\n", "new    0.600    0                  0              100  borrowed from old\n", "  90\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q lacks %q", out.String(), want)
		}
	}
}

// TestShowLapsed: of a call that was in progress when its gateway was killed, nothing is
// shown as zero that is not known.
func TestShowLapsed(t *testing.T) {
	a := &record.Attempt{RequestID: "req_a", Number: 1, API: "chat", Client: "search", Policy: "cheap", Candidate: "m", Provider: "p", Reason: record.TradeOff,
		Outcome: record.Lapsed, CostUnknown: true, Expected: 2_000_000, Budgets: []string{"keys-search-month@2026-11-01"}, Held: 3_000_000}
	var out strings.Builder
	if err := describeRequest(&out, []*record.Attempt{a}); err != nil {
		t.Fatal(err)
	}
	want := `req_a  0001-01-01T00:00:00Z  chat  client search  policy cheap

attempt 1: m at p, trade-off: lapsed
  cost      unknown, expected 0.000002 USD: the gateway ended during the call
  budgets   keys-search-month@2026-11-01: 0.000003 USD reserved
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

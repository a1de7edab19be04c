package dashboard

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/ledger"
	"github.com/carrot-router/carrot/record"
)

// withPrices sets prices and breakers.
func withPrices(o *Options) {
	nan := math.NaN()
	o.State = func() (State, error) {
		return State{StoreUp: true, Breakers: []Breaker{{"openai", "gpt-large", "open"}, {"openai", "small", "half open"}, {"local", "idle", "closed"}}}, nil
	}
	o.Prices = func() map[string]Price {
		return map[string]Price{
			"large": {Input: 2.5, Cached: .25, Output: 10, Date: "2026-11-01", Source: "https://prices.example", Also: []string{"tier flex: × 0.5"}, Shutdown: "2027-01-15", Successor: "larger"},
			"small": {Input: 0, Cached: 0, Output: nan, Source: "the configuration", Shutdown: "2027-06-01", Borrowed: "known"},
			"idle":  {Input: nan, Cached: nan, Output: nan, Shutdown: "2026-11-01"},
		}
	}
}

// TestModels: the page compares forecasts with the truth, and says what calls, breakers, keys
// and prices are like.
func TestModels(t *testing.T) {
	var attempts []*record.Attempt
	for n := range 10 { // large costs a quarter more than was forecast, and 9 of 10 are within the bound
		a := call(fmt.Sprintf("req_large%d", n), 1, 1, "large", record.Served, .025)
		if n == 3 {
			a.Cost = carrot.Dollars(.04)
		}
		attempts = append(attempts, a)
	}
	attempts = append(attempts, calls()...)
	for n, status := range []int{401, 429, 429, 403} {
		a := call(fmt.Sprintf("req_denied%d", n), n+5, 1, "small", record.Refused, 0)
		a.Status, a.ErrorCode, a.Error, a.Usage = status, "denied", fmt.Sprintf("message %d", n), carrot.Usage{}
		attempts = append(attempts, a)
	}
	gone := call("req_gone", 4, 1, attack, record.Served, .001)
	gone.Provider = "former"
	attempts = append(attempts, gone)
	s := stored(t, attempts...)
	for n := range 4 {
		score := float64(n) / 4
		if err := s.AddFeedback(t.Context(), ledger.Feedback{Time: today, RequestID: fmt.Sprintf("req_large%d", n), Kind: "score", Score: &score, By: "admin"}); err != nil {
			t.Fatal(err)
		}
	}
	h := pages(t, s, withPrices)
	status, page := get(t, h, "/ui/models?period=7d")
	if status != http.StatusOK || strings.Contains(page, "<script>alert") || strings.Contains(page, "<img") {
		t.Errorf("status %d, or a page that is not escaped", status)
	}
	says(t, plain(page),
		"large at openai will be shut down on 2027-01-15, in 46 days. larger is its successor.", "idle at local was shut down on 2026-11-01.",
		// Calls, answers, failures, refusals and cost.
		"large openai as gpt-large open: not called 15 12 3, 20% 0 unknown, at least $0.325",
		"small estimates borrowed from known openai half open 6 2 0 4 unknown, at least $0.00400",
		"idle local closed 0 0 0 0 $0",
		attack+" no longer configured former none 1 1 0 0 $0.00100",
		// 9 × .025, .04 and 2 × .025 over 12 × .02; four scores, and a forecast of .9.
		"large × 1.31 92% 12 0.900 0.375 4", "small × 4 0.0% 1 unknown unknown 0",
		"large $2.50 $0.250 $10.00 tier flex: × 0.5 2026-11-01 https://prices.example will be shut down on 2027-01-15",
		"small $0 $0 unknown one tier unknown the configuration 2027-06-01", "idle unknown unknown unknown one tier unknown unknown was shut down",
		"openai openai 2 21 3 × 429 , the key is over its rate limit; last at 2026-11-30 16:00:00 UTC: rate_limit slow down "+attack,
		"1 × 401 , the key is wrong; last at 2026-11-30 13:00:00 UTC: denied message 0", "1 × 403 , the key may not do that", "local openai 0 0 no call", "former no longer configured 1 no 401, 403 or 429",
	)
	if status, page := get(t, h, "/ui/models?period=year"); status != 400 || !strings.Contains(page, "want today, 7d or 30d") {
		t.Errorf("status %d: %s", status, plain(page))
	}
}

// TestModelsWithoutStore: without a ledger, the page has the configuration, prices and
// breakers.
func TestModelsWithoutStore(t *testing.T) {
	status, page := get(t, pages(t, nil, withPrices), "/ui/models")
	if status != 200 {
		t.Errorf("status %d", status)
	}
	says(t, plain(page), "has no store", "large openai as gpt-large open: not called", "large $2.50 $0.250 $10.00", "openai openai 2", "was shut down on 2026-11-01")
	for _, not := range []string{"Calls", "Forecast and truth", "Latest calls"} {
		if strings.Contains(plain(page), not) {
			t.Errorf("the page has %q without a store", not)
		}
	}
}

// TestShutdownWarning: a page warns of a shutdown from sixty days before it.
func TestShutdownWarning(t *testing.T) {
	for date, want := range map[string]string{
		"":           "",
		"soon":       "",
		"2027-01-30": "",
		"2027-01-29": "will be shut down on 2027-01-29, in 60 days",
		"2026-12-01": "will be shut down on 2026-12-01, in 1 day",
		"2026-11-30": "is shut down on 2026-11-30",
		"2026-11-29": "was shut down on 2026-11-29",
	} {
		p := modelsPage{Models: []*modelRow{{Name: "m", Provider: "p", Price: Price{Shutdown: date}}}}
		p.warn(today.Truncate(24 * time.Hour))
		if got := p.Models[0].Dated; got != want || (len(p.Warnings) == 1) != (want != "") {
			t.Errorf("%q: %q, want %q", date, got, want)
		}
	}
}

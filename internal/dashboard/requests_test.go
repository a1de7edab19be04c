package dashboard

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/ledger"
	"github.com/carrot-router/carrot/record"
)

// today is when the tests of pages look at them.
var today = time.Date(2026, 11, 30, 18, 0, 0, 0, time.UTC)

// attack is a text that would run as a script if it were not escaped.
const attack = `"><img src=x onerror=alert(1)><script>alert(2)</script>'`

// pages returns the handler of the pages of a gateway with a store, which may be nil.
func pages(t *testing.T, store *ledger.Store, change func(o *Options)) http.Handler {
	t.Helper()
	o := Options{
		Store: store, Now: func() time.Time { return today },
		Config: func() *gateway.File {
			return &gateway.File{Config: gateway.Config{
				Providers: []gateway.ProviderConfig{{Name: "openai", Kind: "openai", APIKeys: []gateway.Secret{"a", "b"}}, {Name: "local", Kind: "openai"}},
				Models:    []gateway.ModelConfig{{Name: "large", Provider: "openai", Upstream: "gpt-large"}, {Name: "small", Provider: "openai"}, {Name: "idle", Provider: "local"}},
				Policies:  []gateway.PolicyConfig{{Name: "auto"}},
			}}
		},
		State:  func() (State, error) { return State{StoreUp: true}, nil },
		Router: func() Router { return Router{} },
		Prices: func() map[string]Price { return nil },
		Try:    func(context.Context, string) ([]Trial, error) { return nil, nil },
	}
	if change != nil {
		change(&o)
	}
	return serve(t, o)
}

var (
	tags   = regexp.MustCompile(`<[^>]*>`)
	spaces = regexp.MustCompile(`\s+`)
)

// plain returns what a page says, without its form.
func plain(page string) string {
	_, page, _ = strings.Cut(page, "<main")
	return spaces.ReplaceAllString(html.UnescapeString(tags.ReplaceAllString(page, " ")), " ")
}

// says checks that a page has all texts.
func says(t *testing.T, page string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(page, text) {
			t.Errorf("the page does not say %q:\n%s", text, page)
		}
	}
}

// undecided is a decision for large against small, while idle cannot answer.
func undecided() *carrot.Decision {
	of := func(name string, quality, se, cost, p90 float64, excluded string) carrot.Assessment {
		return carrot.Assessment{Name: name, Excluded: excluded, Utility: quality - cost/.5, Estimate: carrot.Estimate{Quality: quality, QualitySE: se, InputTokens: 110, OutputTokens: 180, OutputTokensP90: 300,
			Cost: carrot.Dollars(cost), CostP90: carrot.Dollars(p90)}}
	}
	return &carrot.Decision{Model: "large", Objective: carrot.USDPerQuality(.5), USDPerQuality: .5, PriceDate: "2026-11-01", Router: "a1b2c3", Candidates: []carrot.Assessment{
		of("small", .7, .05, .001, .002, ""), of("large", .9, .03, .02, .03, ""), of("idle", .5, .1, .001, .002, "it does not call tools")}}
}

// call is a call of a request that began some hours before today.
func call(id string, hours int, number int, model string, outcome record.Outcome, cost float64) *record.Attempt {
	a := &record.Attempt{Time: today.Add(-time.Duration(hours) * time.Hour), RequestID: id, Number: number, API: "chat", Policy: "auto", Default: "small", First: "large", Reason: record.TradeOff, Decision: undecided(),
		DecidedIn: 300 * time.Microsecond, Propensity: 1, Candidate: model, Provider: "openai", UpstreamModel: model + "-1", Outcome: outcome, Status: 200, PriceDate: "2026-11-01",
		Cost: carrot.Dollars(cost), Expected: carrot.Dollars(.02), Upstream: 2 * time.Second, Overhead: 4 * time.Millisecond, FirstToken: 400 * time.Millisecond, Usage: carrot.Usage{Input: 100, CachedInput: 20, Output: 200, Reasoning: 50}}
	if number > 1 {
		a.Reason = record.Fallback
	}
	return a
}

// calls are those of several requests: one of each kind.
func calls() []*record.Attempt {
	failed := call("req_fallback", 2, 1, "large", record.FellBack, 0)
	failed.Status, failed.ErrorCode, failed.Error, failed.Usage, failed.FirstToken, failed.PriceDate = 429, "rate_limit", "slow down "+attack, carrot.Usage{}, 0, ""
	saved := call("req_fallback", 2, 2, "small", record.Served, .004)
	saved.Dropped, saved.Narrowed, saved.CacheMiss = []string{"logprobs"}, []string{"max_tokens=100"}, "tools_changed"
	saved.Expected = carrot.Dollars(.001)
	named := call("req_named", 3, 1, "small", record.Served, 0)
	named.Policy, named.Default, named.Decision, named.Reason, named.CostUnknown, named.Cost, named.First = "", "", nil, record.Named, true, 0, "small"
	lapsed := call("req_lapsed", 30, 1, "large", record.Lapsed, 0)
	lapsed.CostUnknown, lapsed.Upstream, lapsed.FirstToken, lapsed.Usage, lapsed.Status = true, 0, 0, carrot.Usage{}, 0
	hostile := call("req_hostile", 50, 1, "large", record.Served, .025)
	hostile.Client, hostile.Session, hostile.Labels = attack, attack, map[string]string{attack: attack}
	hostile.RateLimits, hostile.UpstreamModel, hostile.AnswerID, hostile.Policy = map[string]string{"x-ratelimit": attack}, attack, attack, attack
	hostile.Prompt, hostile.Answer = []byte(`{"messages":[{"role":"user","content":"`+strings.ReplaceAll(attack, `"`, `\"`)+`"}]}`), attack
	hostile.Budgets, hostile.Held, hostile.Propensity = []string{"client-search-month@2026-11-01"}, carrot.Dollars(.03), .25
	hostile.Shadow = &record.Shadow{Model: "small", Saved: carrot.Dollars(.019), Gain: -.2, Router: "d4e5f6"}
	hostile.Decision.Candidates[2].Excluded, hostile.Decision.Candidates[0].Borrowed = attack, attack
	broken := call("req_broken", 100, 1, "large", record.Broken, .01)
	broken.Client = "support"
	return []*record.Attempt{call("req_served", 1, 1, "large", record.Served, .025), failed, saved, named, lapsed, hostile, broken}
}

// TestRequests: filters show the requests that fit, the latest first.
func TestRequests(t *testing.T) {
	h := pages(t, stored(t, calls()...), nil)
	row := regexp.MustCompile(`<a href="/ui/requests/(req_[a-z]+)">`)
	for query, want := range map[string]string{
		"":                                   "req_served req_fallback req_named req_lapsed req_hostile req_broken",
		"?period=today":                      "req_served req_fallback req_named",
		"?period=7d":                         "req_served req_fallback req_named req_lapsed req_hostile req_broken",
		"?from=2026-11-27&to=2026-11-29":     "req_lapsed req_hostile",
		"?period=today&to=2026-11-26":        "req_broken",
		"?from=2026-11-30":                   "req_served req_fallback req_named",
		"?client=support":                    "req_broken",
		"?client=" + url.QueryEscape(attack): "req_hostile",
		"?client=other":                      "",
		"?policy=auto":                       "req_served req_fallback req_lapsed req_broken",
		"?policy=:":                          "req_named",
		"?model=small":                       "req_fallback req_named",
		"?model=gone":                        "",
		"?outcome=answered":                  "req_served req_fallback req_named req_hostile",
		"?outcome=failed":                    "req_fallback req_lapsed req_broken",
		"?outcome=unanswered":                "req_lapsed req_broken",
		"?outcome=failed&model=small&policy=auto&period=today":                         "req_fallback",
		"?before=" + ledger.Place{Time: today.Add(-3 * time.Hour).UnixNano()}.String(): "req_lapsed req_hostile req_broken",
	} {
		status, page := get(t, h, "/ui/requests"+query)
		var got []string
		for _, m := range row.FindAllStringSubmatch(page, -1) {
			got = append(got, m[1])
		}
		if status != 200 || strings.Join(got, " ") != want {
			t.Errorf("%s: status %d, %q, want %q", query, status, got, want)
		}
		if want == "" {
			says(t, plain(page), "No request of this time fits.")
		}
	}
	_, page := get(t, h, "/ui/requests")
	says(t, plain(page),
		"2026-11-30 17:00:00 no key auto large large 1 answered $0.0250 2.0 s",
		"2026-11-30 16:00:00 no key auto large small 2 answered $0.00400 4.0 s",
		"2026-11-30 15:00:00 no key none small small 1 answered unknown 2.0 s",
		"2026-11-29 12:00:00 no key auto large nobody 1 gateway ended unknown unknown",
		"2026-11-26 14:00:00 support auto large nobody 1 broken off $0.0100 2.0 s")
	if _, page := get(t, pages(t, stored(t), nil), "/ui/requests"); !strings.Contains(page, "No request of this time is stored.") {
		t.Errorf("an empty list says nothing: %s", plain(page))
	}
}

// TestBadFilters: what is wrong with a filter is said with what is right.
func TestBadFilters(t *testing.T) {
	h := pages(t, stored(t), nil)
	for query, want := range map[string]string{
		"period=year":                        `There is no period "year": want today, 7d, 30d or dates.`,
		"period=dates":                       "Choose the first or the last day, or another period.",
		"from=yesterday":                     `From is a day such as 2026-11-29, not "yesterday".`,
		"to=2026-02-30":                      `To is a day such as 2026-11-29, not "2026-02-30".`,
		"to=9999-01-01":                      `To is a day such as 2026-11-29, not "9999-01-01".`,
		"from=2026-11-03&to=2026-11-02":      "The first day, 2026-11-03, is after the last one, 2026-11-02.",
		"outcome=fine":                       `There is no outcome "fine": want answered, failed, unanswered, or nothing for all.`,
		"before=7":                           `Before is where a page of requests begins, as in the link to older ones, not "7".`,
		"client=" + strings.Repeat("x", 301): "The name of a client is a text of at most 300 bytes.",
		"model=%ff":                          "The name of a model is a text of at most 300 bytes.",
		"outcome=" + url.QueryEscape(attack): "There is no outcome",
	} {
		status, page := get(t, h, "/ui/requests?"+query)
		if status != 400 {
			t.Errorf("%s: status %d", query, status)
		}
		says(t, plain(page), want)
		if strings.Contains(page, "<script>alert") || strings.Contains(page, "<img") {
			t.Errorf("%s: the page is not escaped", query)
		}
	}
}

// TestPaging: every request is on exactly one page, and the links keep the filters.
func TestPaging(t *testing.T) {
	var attempts []*record.Attempt
	want := map[string]bool{}
	for n := range 260 {
		a := call(fmt.Sprintf("req_%d", n), n%7, 1, "large", record.Served, .01)
		if a.Client = []string{"search", "support"}[n%2]; a.Client == "search" {
			want[a.RequestID] = true
		}
		a.Decision = nil
		attempts = append(attempts, a)
	}
	h := pages(t, stored(t, attempts...), nil)
	row, link := regexp.MustCompile(`<a href="/ui/requests/(req_[0-9]+)">`), regexp.MustCompile(`<a href="([^"]*)" rel="next">Older</a>`)
	address, n, got := "/ui/requests?client=search&period=7d", 0, map[string]bool{}
	for ; address != ""; n++ {
		status, page := get(t, h, address)
		if status != 200 || n > 10 {
			t.Fatalf("page %d at %s: status %d", n, address, status)
		}
		rows := row.FindAllStringSubmatch(page, -1)
		for _, m := range rows {
			if got[m[1]] || !want[m[1]] {
				t.Errorf("page %d has %s, which is on another one or another client's", n, m[1])
			}
			got[m[1]] = true
		}
		if newest := strings.Contains(page, `<a href="/ui/requests?client=search&amp;period=7d">Newest</a>`); newest != (n > 0) {
			t.Errorf("page %d: a link to the newest: %v", n, newest)
		}
		if address = ""; len(rows) == 50 {
			if m := link.FindStringSubmatch(page); m != nil {
				address = html.UnescapeString(m[1])
			}
		}
	}
	if len(got) != len(want) || n != 3 {
		t.Errorf("%d requests on %d pages, want %d on 3", len(got), n, len(want))
	}
}

// TestSearchStops: a search that has looked at very many requests says where it stopped, and
// how it goes on.
func TestSearchStops(t *testing.T) {
	d, err := New(options(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, rows := range [][]requestRow{nil, {{Address: "/ui/requests/req_1"}}} {
		w := httptest.NewRecorder()
		d.answer(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/ui/requests", nil), &view{page: "requests", body: requestsPage{Rows: rows, Older: "/ui/requests?before=1.0", Until: today}})
		want := "No request fits among the many that began after 2026-11-30 18:00:00 UTC."
		if rows != nil {
			want = "The search stopped at 2026-11-30 18:00:00 UTC"
		}
		says(t, plain(w.Body.String()), want, "Look further back")
	}
}

// TestRequest: the page of a request says what happened, what was expected and why it was
// chosen.
func TestRequest(t *testing.T) {
	s := stored(t, calls()...)
	score := .8
	for _, f := range []ledger.Feedback{{Time: today, RequestID: "req_served", Kind: "score", Score: &score, By: "admin"}, {Time: today.Add(time.Minute), RequestID: "req_served", Kind: "label", Label: "odd", Note: attack, By: "admin"}} {
		if err := s.AddFeedback(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	h := pages(t, s, nil)
	for id, texts := range map[string][]string{
		"req_served": {
			"2026-11-30 17:00:00.000 UTC", "Answered by large at openai, after 1 call", "Cost $0.0250 fact", "Duration 2.0 s, of which the decision took 0.3 ms", "Client none: no key was needed", "auto, whose default is small",
			"Call 1: large at openai", "answered , status 200", "the router chose it", "First content 400 ms", "2.0 s, and 4.0 ms in the gateway before", "Price of 2026-11-01",
			"Cost $0.0200 $0.0300 $0.0250 within", "Input tokens 110 120, 20 from the cache", "Output tokens 180 300 250, 50 reasoning within",
			"Cheaper small below $0.0950 for a unit of quality", "large 0.900 ± 0.060", "small 0.700 ± 0.100", "idle 0.500 ± 0.200", "it does not call tools", "0.300 to 0.960",
			"Prices of 2026-11-01. Decided by the router a1b2c3", "score 0.8 admin", "label unknown odd admin " + attack, "The last one counts.", "No text of this request is stored",
		},
		"req_fallback": {
			"Answered by small at openai, after 2 calls", "Duration 4.0 s", "failed , status 429", "rate_limit slow down " + attack, "Cost $0.0200 $0.0300 $0", "Input tokens 110 none reported", "Output tokens 180 300 none reported",
			"Call 2: small at openai", "those before it failed, or could not answer", "Left out of the request logprobs", "Changed in the request max_tokens=100", "No prompt cache because of tools_changed",
			"Cost $0.00100 $0.00200 $0.00400 above",
		},
		"req_named":  {"Cost unknown fact", "none: the client named a model", "the client named it", "Cost $0.0200 unknown unknown", "Input tokens unknown 120, 20 from the cache", "No decision was recorded"},
		"req_lapsed": {"nobody : gateway ended, after 1 call", "Duration unknown", "End of the answer unknown", "Cost $0.0200 $0.0300 unknown", "none reported"},
		"req_hostile": {
			"Client " + attack, "Session " + attack, "Labels " + attack + "=" + attack, "large was the first choice with a probability of 0.25", "The router d4e5f6 would have chosen small: expected to save $0.0190 and to change quality by −0.200",
			"Held in budgets $0.0300 in client-search-month@2026-11-01", "x-ratelimit: " + attack, "Answer of large " + attack, "borrowed from " + attack,
		},
	} {
		status, page := get(t, h, "/ui/requests/"+id)
		if status != 200 {
			t.Errorf("%s: status %d", id, status)
		}
		says(t, plain(page), texts...)
		for _, raw := range []string{"<script>alert", "<img", "onerror=alert(1)>"} {
			if strings.Contains(page, raw) {
				t.Errorf("%s: the page has %s", id, raw)
			}
		}
	}
	if status, to := get(t, h, "/ui/requests?id=+req_served+&client=x"); status != 303 || to != "/ui/requests/req_served" {
		t.Errorf("an id: status %d, to %q", status, to)
	}
	for _, id := range []string{"req_none", "x%2Fy", url.PathEscape(attack), "%ff%00"} {
		if status, page := get(t, h, "/ui/requests/"+id); status != 404 || !strings.Contains(page, "There is no such request.") {
			t.Errorf("%s: status %d: %s", id, status, plain(page))
		}
	}
	if _, err := s.Prune(t.Context(), today.AddDate(1, 0, 0), false); err != nil {
		t.Fatal(err)
	}
	_, page := get(t, h, "/ui/requests/req_served")
	says(t, plain(page), "The decision was deleted", "Cost $0.0200 unknown $0.0250 Input", "label unknown odd admin The last")
}

// TestTexts: a text is indented if it is JSON, and cut if it is long.
func TestTexts(t *testing.T) {
	long := strings.Repeat("ä", maxText)
	for _, tt := range []struct {
		prompt, want string
		bytes        int
	}{
		{"", "", 0}, {"as it is", "as it is", 0}, {`{"a":[1]}`, "{\n  \"a\": [\n    1\n  ]\n}", 0}, {`17`, "17", 0}, {`{"a":`, `{"a":`, 0}, {"\xff\x00", "\ufffd\x00", 0}, {long, long[:maxText], len(long)},
		{"x" + long, "x" + long[:maxText-2] + "\ufffd", len(long) + 1},
	} {
		got := textsOf(&record.Attempt{Prompt: []byte(tt.prompt)}, nil)
		if tt.want == "" && len(got) > 0 || tt.want != "" && !slices.Equal(got, []text{{"Prompt", tt.want, tt.bytes}}) {
			t.Errorf("%.20q: %.80q", tt.prompt, fmt.Sprint(got))
		}
	}
}

// TestWithoutStore: without a ledger, pages about requests say how to keep one.
func TestWithoutStore(t *testing.T) {
	h := pages(t, nil, nil)
	for _, address := range []string{"/ui/requests", "/ui/requests/req_1"} {
		if status, page := get(t, h, address); status != 200 || !strings.Contains(page, "store: carrot.db") {
			t.Errorf("%s: status %d: %s", address, status, plain(page))
		}
	}
}

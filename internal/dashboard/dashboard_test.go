package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/journal"
	"github.com/carrot-router/carrot/internal/ledger"
	"github.com/carrot-router/carrot/record"
)

// noon is the time at which tests look.
var noon = time.Date(2026, 11, 29, 12, 30, 0, 0, time.UTC)

// hostile is a text that would run a script if it were not escaped.
const hostile = `"><script>alert(1)</script>`

// served returns an attempt that answered a request, minutes before noon, and what the
// decision expected of two models.
func served(minutes int, model string) *record.Attempt {
	d := &carrot.Decision{ID: fmt.Sprintf("req_%04d", minutes), Model: model, USDPerQuality: .01, Novelty: float64(minutes%10)/10 + .05, Router: "abc", Objective: carrot.USDPerQuality(.01),
		Candidates: []carrot.Assessment{
			{Name: "large", Estimate: carrot.Estimate{Quality: .9, QualitySE: .02, Cost: carrot.Dollars(.01), CostP90: carrot.Dollars(.02), OutputTokens: 300}},
			{Name: "small", Estimate: carrot.Estimate{Quality: .7, QualitySE: .03, Cost: carrot.Dollars(.001), CostP90: carrot.Dollars(.002), OutputTokens: 200}},
		}}
	cost := carrot.Dollars(.012)
	if model == "small" {
		cost = carrot.Dollars(.001)
	}
	return &record.Attempt{Time: noon.Add(-time.Duration(minutes) * time.Minute), RequestID: d.ID, Number: 1, Client: "search", API: "chat", Policy: "auto", Default: "large", First: model, Reason: record.TradeOff,
		Propensity: 1, Candidate: model, Provider: "sim", UpstreamModel: model, Decision: d, Outcome: record.Served, Status: 200, Cost: cost, Expected: d.Chosen().Cost, Upstream: 900 * time.Millisecond, Overhead: 100 * time.Millisecond}
}

// stored returns a store with attempts.
func stored(t *testing.T, attempts ...*record.Attempt) *ledger.Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "carrot.db")
	l, err := ledger.Open(t.Context(), path, ledger.Options{Journal: journal.Options{Reserve: 1 << 20, Segment: 256 << 10}})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range attempts {
		if err := l.Record(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := ledger.OpenStore(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// config returns a configuration of two models.
func config(t *testing.T, more string) *gateway.File {
	t.Helper()
	f, err := gateway.ParseFile([]byte("providers:\n  - {name: sim, kind: openai, base_url: \"http://127.0.0.1:1/v1\", api_key: sk-not-a-real-key}\nmodels:\n  - {name: large, provider: sim}\n  - {name: small, provider: sim}\n"+more), nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// options returns options that work, for a store that may be nil.
func options(t *testing.T, s *ledger.Store) Options {
	f := config(t, "")
	return Options{Version: "v1", Store: s, Now: func() time.Time { return noon },
		Config: func() *gateway.File { return f },
		State: func() (State, error) {
			return State{StoreUp: true, InFlight: 3, Rejected: []Counted{{"budget", 2}, {"key", 0}, {"tides", 1}}}, nil
		},
		Router: func() Router {
			return Router{File: "router.safetensors", Fingerprint: "abc", Data: []Counted{{hostile, 77}}, Metrics: []Metric{{"aiq", .8125}, {"new", 1}},
				Frontier: []carrot.Point{{USDPerQuality: 1, CostUSD: .001, Quality: .7}, {USDPerQuality: 2, CostUSD: .01, Quality: .9}}, BestSingle: carrot.Point{CostUSD: .01, Quality: .88},
				Models: []RouterModel{{"large", .88, true}, {"huge", .95, false}}}
		},
		Prices: func() map[string]Price {
			return map[string]Price{"large": {Input: 1, Cached: math.NaN(), Output: 2}, "small": {Input: 1, Cached: math.NaN(), Output: 2}}
		},
		Try: func(_ context.Context, text string) ([]Trial, error) {
			return []Trial{{Name: "balanced", Decision: served(len(text), "small").Decision}, {Name: "cheap", Err: "no model can answer " + text}}, nil
		},
	}
}

// serve returns the pages of a dashboard, for requests that the gateway has let through.
func serve(t *testing.T, o Options) http.Handler {
	t.Helper()
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for pattern, handler := range d.Handlers() {
		mux.Handle(pattern, handler)
	}
	return mux
}

// get returns the status and the text of a page.
func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	check(t, w)
	if to := w.Header().Get("Location"); to != "" {
		return w.Code, to
	}
	return w.Code, w.Body.String()
}

// post sends a form with the token of a page.
func post(t *testing.T, h http.Handler, path string, form url.Values) (int, string) {
	t.Helper()
	if form.Get("csrf") == "" {
		_, page := get(t, h, Root+"try")
		if found := csrf.FindStringSubmatch(page); found != nil {
			form.Set("csrf", found[1])
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	check(t, w)
	return w.Code, w.Body.String()
}

var csrf = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// What the Content-Security-Policy would block: scripts and styles in the page, once the
// values of attributes are taken out, and files from elsewhere.
var (
	values  = regexp.MustCompile(`"[^"]*"`)
	inline  = regexp.MustCompile(`(?i)<style|<script>|<[^>]*\s(?:style|on[a-z]+)\s*=`)
	foreign = regexp.MustCompile(`(?i)(?:src|action)="(?:https?:|//)[^"]*"|<link[^>]*https?:[^>]*>|href="javascript:[^"]*"`)
)

// check holds every page to what all must keep.
func check(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Header().Get("Content-Security-Policy") != policy || w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers: %v", w.Header())
	}
	page := w.Body.String()
	if strings.Contains(page, hostile) {
		t.Errorf("a text is not escaped: %s", page)
	}
	for _, found := range []string{inline.FindString(values.ReplaceAllString(page, `""`)), foreign.FindString(page)} {
		if strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") && found != "" {
			t.Errorf("the policy would block %q", found)
		}
	}
}

// contains fails for every text that a page lacks.
func contains(t *testing.T, page string, texts ...string) {
	t.Helper()
	plain := html.UnescapeString(regexp.MustCompile(`<[^>]+>`).ReplaceAllString(page, ""))
	for _, text := range texts {
		if !strings.Contains(page, text) && !strings.Contains(plain, text) {
			t.Errorf("the page lacks %q:\n%s", text, page)
		}
	}
}

// TestOverview: the first page has the sums of the period, and says what is unknown.
func TestOverview(t *testing.T) {
	list := []*record.Attempt{served(1, "large"), served(2, "small"), served(3, "small")}
	lost := served(4, "large")
	lost.Outcome, lost.Status, lost.CostUnknown, lost.Cost, lost.ErrorCode = record.FellBack, 500, true, 0, "server_error"
	yesterday := served(24*60, "small")
	s := stored(t, append(list, lost, yesterday)...)
	o := options(t, s)
	asked := []Question{}
	o.Replay = func(_ context.Context, q Question) (*Replay, error) {
		asked = append(asked, q)
		return &Replay{At: noon, Limited: true, Requests: 4, Decided: 3, Changed: 2, Was: .014, Then: Estimate{.003, .002, .004}, Saved: Estimate{.011, .01, .012}, QualityWas: Estimate{.8, .7, .9}, QualityThen: Estimate{.75, .7, .8},
			Models: []ReplayModel{{Name: "small", Was: 2, Then: 3, ThenUSD: .003}}, Curve: []ReplayPoint{{1e-5, .001, .7}, {1, .01, .9}}, Single: []ReplaySingle{{"large", .012, .9}}, JSON: []byte("{}\n")}, nil
	}
	h := serve(t, o)
	status, page := get(t, h, Root)
	if status != http.StatusOK {
		t.Fatalf("%d: %s", status, page)
	}
	contains(t, page, "$0.0140", "without 1 call of unknown cost", "1 request without an answer", "1 call of 4 failed", "3 in progress", "1.0 s", "small", "12:20 UTC: 3", "as it was", "no other figure: 2 over a budget or a limit of their client; 1 tides.")
	status, page = get(t, h, Root+"?period=7d&at=60&policy=cheap")
	if status != http.StatusOK {
		t.Fatalf("%d: %s", status, page)
	}
	contains(t, page, "$0.0150", "[$0.00200, $0.00400]", "2 of 3", "28 November: 1", "29 November: 3")
	if q := asked[len(asked)-1]; q.USDPerQuality != 10 || q.Policy != "cheap" || !q.From.Equal(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("asked %+v", q)
	}
	for path, want := range map[string]string{"?period=year": "want today, 7d or 30d", "?w=0": "a willingness to pay", "?w=NaN": "a willingness to pay", "?at=61": "from 0 to 60", "?policy=none": "no policy"} {
		if status, page := get(t, h, Root+path); status != http.StatusBadRequest || !strings.Contains(html.UnescapeString(page), want) {
			t.Errorf("%s: %d: %s", path, status, page)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, Root+"replay?w=0.002", nil)
	r.Header.Set("Accept", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK || w.Body.String() != "{}\n" || w.Header().Get("Content-Type") != "application/json" || asked[len(asked)-1].USDPerQuality != .002 {
		t.Errorf("JSON: %d %s %+v", w.Code, w.Body, asked)
	}
}

// TestEmpty: a store without attempts and a gateway without a store have pages, too.
func TestEmpty(t *testing.T) {
	h := serve(t, options(t, stored(t)))
	for _, s := range sections {
		if status, page := get(t, h, Root+s.Path); status != http.StatusOK || strings.Contains(page, "NaN") || strings.Contains(page, "Inf") {
			t.Errorf("%s: %d: %s", s.Name, status, page)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, Root+"replay", nil)
	r.Header.Set("Accept", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusNotFound || !strings.HasPrefix(w.Body.String(), `{"error":"There is no ledger`) || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("JSON: %d %s", w.Code, w.Body)
	}
	h = serve(t, options(t, nil))
	for _, s := range sections {
		if status, page := get(t, h, Root+s.Path); status != http.StatusOK || s.Path == "" && !strings.Contains(page, "store: carrot.db") {
			t.Errorf("without a store, %s: %d: %s", s.Name, status, page)
		}
	}
	if status, page := get(t, h, Root+"nothing"); status != http.StatusNotFound || !strings.Contains(page, "There is no such page.") {
		t.Errorf("%d: %s", status, page)
	}
}

// TestFailing: a store that cannot be read is not a page of zeros.
func TestFailing(t *testing.T) {
	s := stored(t)
	s.Close()
	o := options(t, s)
	if status, page := get(t, serve(t, o), Root); status != http.StatusServiceUnavailable || !strings.Contains(page, "cannot be read") {
		t.Errorf("a closed store: %d: %s", status, page)
	}
	o.State = func() (State, error) { return State{}, errors.New("metrics are away") }
	if status, page := get(t, serve(t, o), Root+"try"); status != http.StatusOK || !strings.Contains(page, "state of the gateway cannot be read") {
		t.Errorf("no state: %d: %s", status, page)
	}
	o.State = func() (State, error) {
		return State{Breakers: []Breaker{{"sim", hostile, "open"}}}, nil
	}
	_, page := get(t, serve(t, o), Root+"try")
	contains(t, page, "has failed repeatedly", "The store does not work at the moment")
	if _, err := New(Options{}); err == nil {
		t.Error("options without functions: no error")
	}
}

// TestRouterPage compares live traffic with the training data.
func TestRouterPage(t *testing.T) {
	var list []*record.Attempt
	for n := range 40 {
		a := served(n, "small")
		if n < 20 { // the later half is of another kind
			a.Decision.Novelty, a.Decision.Abstained, a.Cost = .95, true, carrot.Dollars(.003)
		}
		if n%4 == 0 {
			a.Shadow = &record.Shadow{Model: "large", Saved: carrot.Dollars(-.009), Gain: .2, Router: "candidate"}
		}
		if n == 39 {
			a.Decision.Router = "former"
		}
		list = append(list, a)
	}
	s := stored(t, list...)
	score := .5
	if err := s.AddFeedback(t.Context(), ledger.Feedback{Time: noon, Client: "search", RequestID: list[0].RequestID, Kind: "score", Score: &score}); err != nil {
		t.Fatal(err)
	}
	_, page := get(t, serve(t, options(t, s)), Root+"router")
	contains(t, page, "AIQ", "0.8125", "new", "earlier half", "later half", "100%", "3.000", "1.000", "−0.200", "candidate", "−$0.0900", "former", "decided 1 of them", "huge")
}

// TestTry decides for a prompt, and only for a form of the page itself.
func TestTry(t *testing.T) {
	h := serve(t, options(t, nil))
	status, page := post(t, h, Root+"try", url.Values{"text": {"Why is the sky blue? " + hostile}})
	if status != http.StatusOK {
		t.Fatalf("%d: %s", status, page)
	}
	contains(t, page, "small", "0.700", "$0.00100", "$0.00200", "large from $0.0450 for a unit of quality", "no model can answer Why is the sky blue?")
	for name, form := range map[string]url.Values{"another token": {"text": {"a"}, "csrf": {"x"}}, "an empty prompt": {"text": {" \n"}}} {
		if status, _ := post(t, h, Root+"try", form); status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, status)
		}
	}
	if status, _ := post(t, h, Root+"try", url.Values{"text": {strings.Repeat("a", maxForm)}}); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a long form: %d", status)
	}
}

// TestSlider: positions are rounded to two digits, and found again.
func TestSlider(t *testing.T) {
	before := 0.0
	for at := range steps + 1 {
		w := worthAt(at)
		if w <= before || positionOf(w) != at {
			t.Errorf("position %d is worth %v after %v, and that is at %d", at, w, before, positionOf(w))
		}
		before = w
	}
	if worthAt(0) != lowestWorth || worthAt(steps) != mostWorth || positionOf(math.Inf(1)) != steps || positionOf(1e-12) != 0 {
		t.Error("the ends of the slider are elsewhere")
	}
}

// TestWritten: what is unknown is never zero, and signs are signs.
func TestWritten(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{usd(math.NaN()), "unknown"}, {usd(-0.5), "−$0.500"}, {usd(0.0), "$0"}, {usd(carrot.Dollars(.25)), "$0.250"}, {usd("x"), "unknown"},
		{share(math.NaN()), "unknown"}, {share(.034), "3.4%"}, {share(.5), "50%"}, {share(-.5), "−50%"}, {share(.09951), "10%"},
		{decimals(math.NaN(), 3), "unknown"}, {decimals(-.25, 2), "−0.25"},
		{milliseconds(math.NaN()), "unknown"}, {milliseconds(.0123), "12 ms"}, {milliseconds(2.34), "2.3 s"}, {milliseconds(75), "75 s"},
		{fmt.Sprint(quantile(nil, .5)), "NaN"}, {fmt.Sprint(quantile([]float64{1, 2, 3, 4}, .5)), "2"}, {fmt.Sprint(quantile([]float64{1, 2, 3, 4}, .95)), "4"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
	if _, err := json.Marshal(carrot.Decision{}); err != nil {
		t.Fatal(err)
	}
}

package dashboard

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/carrot-router/carrot/internal/ledger"
	"github.com/carrot-router/carrot/record"
)

const (
	// requestsShown is how many requests are on a page.
	requestsShown = 50
	// dates is the period that is from one day to another.
	dates = "dates"
	// unnamed stands for requests without a policy, whose clients have named a model.
	// No policy can have this name.
	unnamed = ":"
	// maxFilter is the longest name in a filter, in bytes.
	maxFilter = 300
	// maxText is the longest part of a text that is shown, in bytes.
	maxText = 200_000
)

// requestsPage is the body of the list of requests.
type requestsPage struct {
	Periods                        []period
	Period                         string
	From, To                       string // days
	Client, Policy, Model, Outcome string // empty: all
	Policies, Models               []string
	Outcomes                       []ending
	Unnamed                        string
	Rows                           []requestRow
	Older, Newest                  string // addresses; empty: there is no such page
	Until                          time.Time
	Filtered                       bool
}

// ending is how requests may have ended.
type ending struct {
	Name ledger.Ending
	Text string
}

var endings = []ending{{"", "all"}, {ledger.Answered, "answered"}, {ledger.Failing, "failed at least once"}, {ledger.Unanswered, "not answered"}}

// requestRow is a request in the list.
type requestRow struct {
	ledger.Outline
	Address, ByClient string // of its page, and of the list of its client's
	Ended             string
	Bad               bool // nobody answered
	Paid              string
	Took              float64 // seconds; NaN: unknown
}

// requests lists the latest requests.
func (d *Dashboard) requests(r *http.Request) (*view, error) {
	if d.Store == nil {
		return nil, errNoStore
	}
	if id := strings.TrimSpace(r.FormValue("id")); id != "" {
		return &view{to: addressOfRequest(id)}, nil
	}
	page, which, from, err := d.filters(r)
	if err != nil {
		return nil, err
	}
	found, err := d.Store.Requests(r.Context(), which, from, requestsShown)
	if err != nil {
		return nil, err
	}
	for _, o := range found.Requests {
		row := requestRow{Outline: o, Address: addressOfRequest(o.ID), Ended: outcomeText(o.Outcome), Bad: o.Model == "", Paid: paid(o.Cost, o.Unknown, o.Attempts), Took: o.Duration.Seconds()}
		if o.Outcome == record.Lapsed {
			row.Took = math.NaN()
		}
		row.ByClient = page.address(map[string]string{"client": o.Client})
		page.Rows = append(page.Rows, row)
	}
	if found.Older != nil {
		page.Older = page.address(map[string]string{"before": found.Older.String()})
	}
	if from != (ledger.Place{}) {
		page.Newest = page.address(nil)
	}
	page.Until = found.Until
	return &view{page: "requests", section: "requests", title: "Requests", body: page}, nil
}

// filters reads which requests are asked for, and from which place on.
func (d *Dashboard) filters(r *http.Request) (page requestsPage, which ledger.Which, from ledger.Place, err error) {
	page = requestsPage{Periods: periods, Period: cmp.Or(r.FormValue("period"), periods[len(periods)-1].Name), From: r.FormValue("from"), To: r.FormValue("to"),
		Client: r.FormValue("client"), Policy: r.FormValue("policy"), Model: r.FormValue("model"), Outcome: r.FormValue("outcome"), Outcomes: endings, Unnamed: unnamed}
	for name, value := range map[string]string{"client": page.Client, "policy": page.Policy, "model": page.Model} {
		if len(value) > maxFilter || !utf8.ValidString(value) {
			return page, which, from, wrongf("the name of a %s is a text of at most %d bytes", name, maxFilter)
		}
	}
	if which.Range, err = page.span(d.Now()); err != nil {
		return page, which, from, err
	}
	if page.Client != "" {
		which.Clients = []string{page.Client}
	}
	if page.Model != "" {
		which.Models = []string{page.Model}
	}
	switch page.Policy {
	case "":
	case unnamed:
		which.Policies = []string{""}
	default:
		which.Policies = []string{page.Policy}
	}
	if !slices.ContainsFunc(endings, func(e ending) bool { return string(e.Name) == page.Outcome }) {
		return page, which, from, wrongf("there is no outcome %.100q: want answered, failed, unanswered, or nothing for all", page.Outcome)
	}
	which.Ending = ledger.Ending(page.Outcome)
	if text := r.FormValue("before"); text != "" {
		if from, err = ledger.ParsePlace(text); err != nil {
			return page, which, from, wrongf("before is where a page of requests begins, as in the link to older ones, not %.100q", text)
		}
	}
	c := d.Config()
	for _, p := range c.Policies {
		page.Policies = append(page.Policies, p.Name)
	}
	page.Policies = with(page.Policies, strings.TrimPrefix(page.Policy, unnamed))
	for _, m := range c.Models {
		page.Models = append(page.Models, m.Name)
	}
	for _, e := range c.Embeddings {
		page.Models = append(page.Models, e.Name)
	}
	page.Models = with(page.Models, page.Model)
	page.Filtered = page.Client != "" || page.Policy != "" || page.Model != "" || page.Outcome != ""
	return page, which, from, nil
}

// with returns names with a further one, if that is not empty and not among them.
func with(names []string, one string) []string {
	if one == "" || slices.Contains(names, one) {
		return names
	}
	return append(names, one)
}

// span returns the range of time of a list. Days replace the period.
func (p *requestsPage) span(now time.Time) (r ledger.Range, err error) {
	if p.From != "" || p.To != "" {
		p.Period = dates
	}
	if p.Period != dates {
		at := slices.IndexFunc(periods, func(one period) bool { return one.Name == p.Period })
		if at < 0 {
			return r, wrongf("there is no period %.100q: want today, 7d, 30d or dates", p.Period)
		}
		return ledger.Range{From: periods[at].from(now)}, nil
	}
	if p.From == "" && p.To == "" {
		return r, wrongf("choose the first or the last day, or another period")
	}
	for _, end := range []struct {
		text string
		name string
		at   *time.Time
	}{{p.From, "from", &r.From}, {p.To, "to", &r.To}} {
		if end.text == "" {
			continue
		}
		day, err := time.Parse(time.DateOnly, end.text)
		if err != nil || day.Year() < 1970 || day.Year() > 2261 {
			return r, wrongf("%s is a day such as 2026-11-29, not %.100q", end.name, end.text)
		}
		*end.at = day
	}
	if !r.To.IsZero() {
		if r.To = r.To.AddDate(0, 0, 1); !r.From.Before(r.To) {
			return r, wrongf("the first day, %s, is after the last one, %s", p.From, p.To)
		}
	}
	return r, nil
}

// address returns the address of the list with the same filters, except for some.
func (p *requestsPage) address(others map[string]string) string {
	q := url.Values{}
	for name, value := range map[string]string{"period": p.Period, "from": p.From, "to": p.To, "client": p.Client, "policy": p.Policy, "model": p.Model, "outcome": p.Outcome} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, value := range others {
		q.Set(name, value)
	}
	return Root + "requests?" + q.Encode()
}

// requestsOf returns the address of the list of a client's requests.
func requestsOf(client string) string {
	return (&requestsPage{Client: client}).address(nil)
}

func addressOfRequest(id string) string { return Root + "requests/" + url.PathEscape(id) }

// outcomeText says how a call ended.
func outcomeText(o record.Outcome) string {
	if text := map[record.Outcome]string{record.Served: "answered", record.FellBack: "failed", record.Broken: "broken off", record.Refused: "refused", record.ClientGone: "client hung up", record.Lapsed: "gateway ended"}[o]; text != "" {
		return text
	}
	return string(o)
}

// paid writes what calls cost, of which some are of unknown cost.
func paid(cost ledger.Amount, unknown, calls int) string {
	switch {
	case unknown == 0:
		return usd(cost)
	case unknown == calls || cost == ledger.Amount{}:
		return "unknown"
	}
	return "unknown, at least " + usd(cost)
}

// requestPage is the body of the page about one request.
type requestPage struct {
	*record.Attempt                 // the first
	Answered        *record.Attempt // nil: none answered
	Ended           string
	Why             *decisionView
	NoDecision      string // why there is none
	Calls           []callView
	Paid            string
	Took            float64 // seconds; NaN: unknown
	LabelList       []string
	ByClient        string
	Feedback        []opinion
	Texts           []text
}

// opinion is what was said of the answer.
type opinion struct {
	ledger.Feedback
	Points string
}

// callView is a call of a request.
type callView struct {
	*record.Attempt
	Ended, Because string
	Forecasts      []forecastRow
	Limits         []string // headers about rate limits
}

// forecastRow compares a forecast with the truth.
type forecastRow struct {
	Name, Expected, P90, Truth string
	Within                     string // within or above; empty: it cannot be said
}

// text is what was said, as far as it is shown.
type text struct {
	Name, Text string
	Bytes      int // of the whole; 0: it is shown
}

// request explains one request.
func (d *Dashboard) request(r *http.Request) (*view, error) {
	if d.Store == nil {
		return nil, errNoStore
	}
	id := r.PathValue("id")
	attempts, err := d.Store.Request(r.Context(), id)
	if err != nil {
		return nil, err
	}
	if len(attempts) == 0 {
		return nil, ledger.ErrUnknownRequest
	}
	page := requestPage{Attempt: attempts[0]}
	said, err := d.Store.Feedback(r.Context(), id)
	if err != nil {
		return nil, err
	}
	for _, f := range said {
		one := opinion{f, "unknown"}
		if f.Score != nil {
			one.Points = strconv.FormatFloat(*f.Score, 'g', 4, 64)
		}
		page.Feedback = append(page.Feedback, one)
	}
	page.ByClient, page.LabelList = requestsOf(page.Client), labelLines(page.Labels)
	var cost ledger.Amount
	unknown, waited := 0, time.Duration(0)
	for _, a := range attempts {
		if cost.Add(a.Cost); a.CostUnknown {
			unknown++
		}
		waited += a.Upstream
		page.Took, page.Ended = (a.Overhead + waited).Seconds(), outcomeText(a.Outcome)
		if a.Outcome == record.Served {
			page.Answered = a
		}
		if a.Outcome == record.Lapsed {
			page.Took = math.NaN()
		}
		page.Calls = append(page.Calls, viewOf(a))
		if page.Why == nil && a.Decision != nil {
			why := explain(a.Decision)
			page.Why = &why
		}
		page.Texts = append(page.Texts, textsOf(a, page.Texts)...)
	}
	page.Paid = paid(cost, unknown, len(attempts))
	if page.Why == nil {
		decided, err := d.Store.Decided(r.Context(), id)
		if err != nil {
			return nil, err
		}
		if page.NoDecision = "No decision was recorded: the model was not chosen by the router."; decided {
			page.NoDecision = "The decision was deleted, because the store keeps decisions only for a time: keep_decisions in the configuration, or carrot ledger prune."
		}
	}
	return &view{page: "request", section: "requests", title: "Request " + page.RequestID, body: page}, nil
}

// viewOf returns what a page says of a call.
func viewOf(a *record.Attempt) callView {
	v := callView{Attempt: a, Ended: outcomeText(a.Outcome), Because: reasonText(a.Reason)}
	for _, name := range slices.Sorted(maps.Keys(a.RateLimits)) {
		v.Limits = append(v.Limits, name+": "+a.RateLimits[name])
	}
	e := a.Estimate()
	cost := forecastRow{Name: "Cost", Expected: "unknown", P90: "unknown", Truth: "unknown"}
	if !a.ExpectedUnknown {
		cost.Expected = usd(a.Expected)
	}
	if e != nil && !e.CostUnknown {
		cost.P90 = usd(e.CostP90)
	}
	if !a.CostUnknown {
		cost.Truth = usd(a.Cost)
		if e != nil && !e.CostUnknown && a.Outcome == record.Served {
			cost.Within = within(a.Cost.Float(), e.CostP90.Float())
		}
	}
	v.Forecasts = append(v.Forecasts, cost)
	u := &a.Usage
	input, output := forecastRow{Name: "Input tokens", Truth: tokens(u.Prompt(), u.CachedInput, "from the cache")}, forecastRow{Name: "Output tokens", Truth: tokens(u.Answer(), u.Reasoning, "reasoning")}
	input.Expected, output.Expected, output.P90 = "unknown", "unknown", "unknown"
	if e != nil {
		input.Expected = tokens(e.InputTokens, e.CachedTokens, "from the cache")
		if !e.CostUnknown || e.OutputTokens > 0 {
			output.Expected, output.P90 = decimals(e.OutputTokens, 0), decimals(e.OutputTokensP90, 0)
			if a.Outcome == record.Served {
				output.Within = within(float64(u.Answer()), e.OutputTokensP90)
			}
		}
	}
	if a.Outcome == record.Lapsed || u.Prompt() == 0 && u.Answer() == 0 {
		input.Truth, output.Truth, output.Within = "none reported", "none reported", ""
	}
	v.Forecasts = append(v.Forecasts, input, output)
	return v
}

func within(truth, bound float64) string {
	if truth <= bound {
		return "within"
	}
	return "above"
}

// tokens writes a number of tokens, and how many of them are of a kind.
func tokens(n, part int, kind string) string {
	if part == 0 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d, %d %s", n, part, kind)
}

// reasonText says why a candidate was called.
func reasonText(r record.Reason) string {
	if text := map[record.Reason]string{
		record.Fallback:           "those before it failed, or could not answer",
		record.TradeOff:           "the router chose it",
		record.OnlyCandidate:      "no other candidate could answer",
		record.Named:              "the client named it",
		record.RoutingOff:         "the client asked for the policy’s default",
		record.RouterFailed:       "the policy’s default, because routing failed",
		record.Novel:              "the policy’s default, because the prompt is unlike the training data",
		record.ShadowDefault:      "the policy’s default, because the policy only records what the router would do",
		record.Exploration:        "drawn at random, to learn",
		record.ContinuesResponse:  "it made the previous response",
		record.ContinuesReasoning: "its reasoning must be continued",
	}[r]; text != "" {
		return text
	}
	return string(r)
}

// textsOf returns the texts of an attempt, without one that is there already.
func textsOf(a *record.Attempt, there []text) (list []text) {
	add := func(name string, full []byte) {
		one := text{Name: name}
		shown := full
		var indented json.RawMessage
		if json.Valid(full) && len(full) <= maxText {
			if b, err := json.MarshalIndent(json.RawMessage(full), "", "  "); err == nil {
				indented = b
			}
		}
		if len(indented) > 0 && (full[0] == '{' || full[0] == '[') {
			shown = indented
		}
		if len(shown) > maxText {
			shown, one.Bytes = shown[:maxText], len(full)
		}
		one.Text = strings.ToValidUTF8(string(shown), "\ufffd")
		if len(full) > 0 && !slices.Contains(there, one) {
			list = append(list, one)
		}
	}
	add("Prompt", a.Prompt)
	add("Answer of "+a.Candidate, []byte(a.Answer))
	return list
}

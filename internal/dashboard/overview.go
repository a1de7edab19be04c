package dashboard

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carrot-router/carrot/internal/budget"
	"github.com/carrot-router/carrot/internal/ledger"
	"github.com/carrot-router/carrot/internal/svg"
	"github.com/carrot-router/carrot/record"
)

// period is a range of whole days of UTC that ends now.
type period struct {
	Name string // in addresses
	Text string
	days int
}

var periods = []period{{"today", "today", 1}, {"7d", "7 days", 7}, {"30d", "30 days", 30}}

// periodOf returns the period that a request asks for.
func periodOf(r *http.Request) (period, error) {
	name := cmp.Or(r.FormValue("period"), periods[0].Name)
	for _, p := range periods {
		if p.Name == name {
			return p, nil
		}
	}
	return period{}, wrongf("there is no period %q: want today, 7d or 30d", name)
}

// from returns when the period begins.
func (p period) from(now time.Time) time.Time {
	return now.UTC().Truncate(ledger.Day).AddDate(0, 0, 1-p.days)
}

// part is the length of the bars of a chart.
func (p period) part() time.Duration {
	if p.days == 1 {
		return time.Hour
	}
	return ledger.Day
}

// maxBudgets is how many budgets are on the first page: those of which most is used.
const maxBudgets = 20

// sampled is how many of the latest attempts are looked at one by one.
const sampled = 2000

// sample is what the latest attempts of a period say.
type sample struct {
	attempts []*record.Attempt
	said     map[string]ledger.Feedback
}

func (d *Dashboard) sample(ctx context.Context, p period) (sample, error) {
	return remember(d, ctx, "sample "+p.Name, func(ctx context.Context) (s sample, err error) {
		s.attempts, s.said, err = d.Store.Latest(ctx, ledger.Range{From: p.from(d.Now())}, sampled)
		return s, err
	})
}

// overview is the body of the first page.
type overview struct {
	Period  period
	Periods []period
	Total   ledger.Group
	Failed  int64 // attempts that answered no request
	Without int64 // requests that have no answer, or none yet
	Sample  int   // attempts from which the next figures follow
	// Of these: seconds until the end of an answer, and until its first content.
	P50, P95, First float64
	Decided         int
	Abstained       float64 // share of the decisions
	Savings         []savingRow
	Budgets         []budgetRow
	MoreBudgets     int // that the page has no room for
	Mix             template.HTML
	Spent           template.HTML
	Legend          []legend
	Replay          *replayView
	State           State
	Refused         []Counted // requests that are in no other figure, by reason
}

// refusals are the reasons of refusals for people.
var refusals = map[string]string{
	"budget": "over a budget or a limit of their client", "candidate": "that no model may answer", "feedback": "feedback that was not accepted", "key": "a wrong or missing key", "limit": "too many at once", "memory": "no memory for them",
	"origin": "from the page of another site", "request": "not a request that the gateway reads", "size": "too long", "slow": "sent too slowly",
}

// savingRow is what was saved against the models that a name stands for.
type savingRow struct {
	ledger.Saving
	Name string
}

type legend struct {
	Index    int
	Name     string
	Requests int64
	Cost     ledger.Amount
}

type budgetRow struct {
	budget.Figures
	Used, Due float64
	Meter     template.HTML
	Ahead     string
}

func (d *Dashboard) overview(r *http.Request) (*view, error) {
	if d.Store == nil {
		return nil, errNoStore
	}
	p, err := periodOf(r)
	if err != nil {
		return nil, err
	}
	o := overview{Period: p, Periods: periods, P50: math.NaN(), P95: math.NaN(), First: math.NaN(), Abstained: math.NaN()}
	if o.State, err = d.State(); err != nil {
		return nil, err
	}
	for _, r := range o.State.Rejected {
		if r.Count > 0 {
			o.Refused = append(o.Refused, Counted{cmp.Or(refusals[r.Name], r.Name), r.Count})
		}
	}
	now := d.Now()
	within := ledger.Range{From: p.from(now)}
	line, err := remember(d, r.Context(), "bins "+p.Name, func(ctx context.Context) (timeline, error) { return d.timeline(ctx, p) })
	if err != nil {
		return nil, err
	}
	o.count(line, now)
	type savings struct{ list []ledger.Saving }
	saved, err := remember(d, r.Context(), "saving "+p.Name, func(ctx context.Context) (savings, error) {
		total, _, err := d.Store.Saving(ctx, within, ledger.ByDay)
		return savings{total}, err
	})
	if err != nil {
		return nil, err
	}
	for _, s := range saved.list {
		if at := len(o.Savings) - 1; at >= 0 && slices.Equal(o.Savings[at].Models, s.Models) {
			o.Savings[at].Name += ", which is also every default"
			continue
		}
		o.Savings = append(o.Savings, savingRow{s, map[ledger.Against]string{ledger.BestSingle: "the best single model", ledger.Defaults: "the policies’ defaults"}[s.Against]})
	}
	s, err := d.sample(r.Context(), p)
	if err != nil {
		return nil, err
	}
	o.measure(s)
	if d.Budgets != nil {
		figures, err := d.Budgets(r.Context())
		if err != nil {
			return nil, err
		}
		for _, f := range figures {
			o.Budgets = append(o.Budgets, rowOf(f, now))
		}
		if o.MoreBudgets = max(len(o.Budgets)-maxBudgets, 0); o.MoreBudgets > 0 {
			slices.SortStableFunc(o.Budgets, func(a, b budgetRow) int { return cmp.Compare(b.Used, a.Used) })
			o.Budgets = o.Budgets[:maxBudgets]
		}
	}
	if o.Replay, err = d.replayed(r, p); err != nil {
		return nil, err
	}
	return &view{page: "overview", title: "Overview", body: o}, nil
}

// timeline is what happened from a time on, in equal parts.
type timeline struct {
	from time.Time
	part time.Duration
	bins []ledger.Bin
}

// fresh is how long ago the first call may be for parts of ten minutes.
const fresh = 3 * time.Hour

// timeline reads what happened in a period, by hours if it is a day, by less if there is
// little. Calls of a machine whose clock is ahead are no reason for less.
func (d *Dashboard) timeline(ctx context.Context, p period) (t timeline, err error) {
	now := d.Now()
	t.from, t.part = p.from(now), p.part()
	if t.bins, err = d.Store.Bins(ctx, ledger.Range{From: t.from}, t.part); err != nil || t.part == ledger.Day || len(t.bins) == 0 || now.Before(t.bins[0].Start) || now.Sub(t.bins[0].Start) > fresh {
		return t, err
	}
	t.from, t.part = t.bins[0].Start, 10*time.Minute
	t.bins, err = d.Store.Bins(ctx, ledger.Range{From: t.from}, t.part)
	return t, err
}

// count sums up a timeline and draws it.
func (o *overview) count(t timeline, now time.Time) {
	bins := t.bins
	byModel := map[string]*legend{}
	for _, b := range bins {
		l := byModel[b.Model]
		if l == nil {
			l = &legend{Name: b.Model}
			byModel[b.Model] = l
		}
		l.Requests += b.Served
		l.Cost = l.Cost.Plus(b.Cost)
		o.Total.Requests += b.Requests
		o.Total.Attempts += b.Attempts
		o.Total.Served += b.Served
		o.Total.Unknown += b.Unknown
		o.Total.Cost = o.Total.Cost.Plus(b.Cost)
	}
	o.Failed, o.Without = o.Total.Attempts-o.Total.Served, max(o.Total.Requests-o.Total.Served, 0)
	for _, l := range byModel {
		o.Legend = append(o.Legend, *l)
	}
	slices.SortFunc(o.Legend, func(a, b legend) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), strings.Compare(a.Name, b.Name))
	})
	index := map[string]int{}
	for i := range o.Legend {
		o.Legend[i].Index = i
		index[o.Legend[i].Name] = i
	}
	n := int(now.Sub(t.from)/t.part) + 1
	mix, spent := make([]bar, n), make([]bar, n)
	for i := range n {
		start := t.from.Add(time.Duration(i) * t.part)
		name, tick := start.Format("2 January"), start.Format("2 Jan")
		if t.part < ledger.Day {
			name, tick = start.Format("15:04")+" UTC", start.Format("15:04")
		}
		mix[i] = bar{name, tick, make([]float64, len(o.Legend))}
		spent[i] = bar{name, tick, make([]float64, len(o.Legend))}
	}
	for _, b := range bins {
		if i := int(b.Start.Sub(t.from) / t.part); i >= 0 && i < n {
			mix[i].Parts[index[b.Model]] += float64(b.Served)
			spent[i].Parts[index[b.Model]] += b.Cost.Float()
		}
	}
	o.Mix = stacked("Answered requests by model over time. The table has the figures.", mix, svg.Tick)
	o.Spent = stacked("Cost in USD by model over time. The table has the figures.", spent, usdTick)
}

func usdTick(v float64) string { return "$" + svg.Tick(v) }

// measure takes figures from the latest attempts.
func (o *overview) measure(s sample) {
	o.Sample = len(s.attempts)
	o.Decided, _, o.Abstained = decisions(s.attempts)
	var total, first []float64
	waited := map[string]time.Duration{} // at providers, for all calls of a request
	for _, a := range s.attempts {
		waited[a.RequestID] += a.Upstream
	}
	for _, a := range s.attempts {
		if a.Outcome == record.Served {
			all := a.Overhead + waited[a.RequestID]
			total = append(total, all.Seconds())
			if a.FirstToken > 0 {
				first = append(first, (all - a.Upstream + a.FirstToken).Seconds())
			}
		}
	}
	slices.Sort(total)
	slices.Sort(first)
	o.P50, o.P95, o.First = quantile(total, .5), quantile(total, .95), quantile(first, .5)
}

// quantile returns the smallest value of a sorted list that a share of it does not exceed; NaN of an empty one.
func quantile(sorted []float64, share float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	return sorted[min(max(int(math.Ceil(share*float64(len(sorted))))-1, 0), len(sorted)-1)]
}

// rowOf says how a budget is used, beside the share of its period that is over.
func rowOf(f budget.Figures, now time.Time) budgetRow {
	row := budgetRow{Figures: f, Due: math.NaN()}
	row.Used = (f.Spent + f.Held).Float() / f.Amount.Float()
	if began, err := beganAt(f); err == nil && f.Ends.After(began) {
		row.Due = now.Sub(began).Seconds() / f.Ends.Sub(began).Seconds()
	}
	switch {
	case math.IsNaN(row.Due):
	case row.Used > row.Due+.05:
		row.Ahead = "ahead of the time"
	case row.Used < row.Due-.05:
		row.Ahead = "behind the time"
	default:
		row.Ahead = "as fast as the time"
	}
	row.Meter = meter(fmt.Sprintf("%s of the budget %s is spent or held; %s of its period is over", share(row.Used), f.Name, share(row.Due)), row.Used, row.Due)
	return row
}

// beganAt returns when the period of a budget began, at midnight of the budget's time zone. How
// far that is from midnight of UTC follows from when the period ends, which is a day, a week
// or a month later, except for an hour where clocks change in between.
func beganAt(f budget.Figures) (time.Time, error) {
	day, err := time.Parse(time.DateOnly, f.Began)
	if err != nil {
		return day, err
	}
	off := f.Ends.Sub(day.AddDate(0, 0, 1))
	for _, end := range []time.Time{day.AddDate(0, 0, 7), day.AddDate(0, 1, 0)} {
		if other := f.Ends.Sub(end); other.Abs() < off.Abs() {
			off = other
		}
	}
	return day.Add(off), nil
}

// replayView is what the latest requests would have been at another objective.
type replayView struct {
	*Replay
	Period   period
	Policies []string
	Policy   string
	Worth    float64 // the willingness to pay that is asked about; NaN: as it was
	Position int     // of the slider
	Steps    int
	Chart    template.HTML
	Why      string // why there is nothing to show
}

// Steps of the slider: from lowest to highest in powers.
const (
	steps       = 60
	lowestWorth = 1e-5
	mostWorth   = 10
)

// worthAt returns the willingness to pay at a position of the slider.
func worthAt(position int) float64 {
	w := lowestWorth * math.Pow(mostWorth/lowestWorth, float64(position)/steps)
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(w, 'e', 1, 64), 64)
	return rounded
}

// positionOf returns the position of the slider that is nearest to a willingness to pay.
func positionOf(w float64) int {
	return int(math.Round(steps * math.Log(min(max(w, lowestWorth), mostWorth)/lowestWorth) / math.Log(mostWorth/lowestWorth)))
}

// replayed answers what is asked about the latest requests of a period.
func (d *Dashboard) replayed(r *http.Request, p period) (*replayView, error) {
	v := &replayView{Period: p, Policy: r.FormValue("policy"), Worth: math.NaN(), Steps: steps, Position: steps / 2}
	for _, policy := range d.Config().Policies {
		v.Policies = append(v.Policies, policy.Name)
	}
	if v.Policy == "" && len(v.Policies) > 0 {
		v.Policy = v.Policies[0]
	}
	if !slices.Contains(v.Policies, v.Policy) {
		return nil, wrongf("there is no policy %q", v.Policy)
	}
	switch text := r.FormValue("w"); {
	case text != "":
		w, err := strconv.ParseFloat(text, 64)
		if err != nil || !(w > 0) || math.IsInf(w, 0) {
			return nil, wrongf("w is a willingness to pay in USD for a unit of quality, such as 0.01, not %q", text)
		}
		v.Worth, v.Position = w, positionOf(w)
	case r.FormValue("at") != "":
		at, err := strconv.Atoi(r.FormValue("at"))
		if err != nil || at < 0 || at > steps {
			return nil, wrongf("at is a position of the slider, from 0 to %d", steps)
		}
		v.Worth, v.Position = worthAt(at), at
	}
	if d.Replay == nil {
		v.Why = "There is no ledger to replay."
		return v, nil
	}
	answer, err := d.Replay(r.Context(), Question{From: p.from(d.Now()), Policy: v.Policy, USDPerQuality: v.Worth})
	if err != nil {
		return nil, err
	}
	if answer == nil || answer.Decided == 0 {
		v.Why = "No request of this time and policy can be decided again."
		return v, nil
	}
	v.Replay = answer
	if v.AsItWas() && answer.Median > 0 {
		v.Position = positionOf(answer.Median)
	}
	v.Chart = v.draw()
	return v, nil
}

// draw shows the curve of the replay, with where the log is and where it would be.
func (v *replayView) draw() template.HTML {
	var line []svg.XY
	for _, p := range v.Curve {
		line = append(line, svg.XY{X: p.CostUSD, Y: p.Quality})
	}
	n := float64(v.Requests)
	var spots []spot
	for _, m := range v.Single {
		spots = append(spots, spot{m.CostUSD, m.Quality, m.Name + " alone: " + usd(m.CostUSD) + " and " + decimals(m.Quality, 3), "known", svg.Square})
	}
	spots = append(spots, spot{v.Was / n, v.QualityWas.Value, "as it was: " + usd(v.Was/n) + " and " + decimals(v.QualityWas.Value, 3), "was", svg.Circle})
	if !math.IsNaN(v.Worth) {
		spots = append(spots, spot{v.Then.Value / n, v.QualityThen.Value, "at the other objective: " + usd(v.Then.Value/n) + " and " + decimals(v.QualityThen.Value, 3), "then", svg.Diamond})
	}
	return curve("Expected quality against cost of the logged requests, if another objective had decided. The circle is as it was.", line, spots)
}

// replay answers a script that moves the slider, and programs that want the figures.
func (d *Dashboard) replay(r *http.Request) (*view, error) {
	v, err := d.asked(r)
	if !strings.Contains(r.Header.Get("Accept"), "application/json") {
		return &view{page: "replay", bare: true, title: "Replay", body: v}, err
	}
	if err == nil && v.Replay != nil {
		return &view{data: v.JSON}, nil
	}
	why, status := "", http.StatusNotFound
	switch {
	case err == nil:
		why = v.Why
	case errors.Is(err, errNoStore):
		why = sentence(err.Error())
	default:
		page := d.failed(r, err)
		why, status = fmt.Sprint(page.body), page.status
	}
	data, err := json.Marshal(map[string]string{"error": why})
	return &view{data: append(data, '\n'), status: status}, err
}

// asked returns what a request asks of the log.
func (d *Dashboard) asked(r *http.Request) (*replayView, error) {
	if d.Store == nil {
		return nil, errNoStore
	}
	p, err := periodOf(r)
	if err != nil {
		return nil, err
	}
	return d.replayed(r, p)
}

// AsItWas reports whether no other objective is asked about.
func (v *replayView) AsItWas() bool { return math.IsNaN(v.Worth) }

// Address returns the address of the page at an objective.
func (v *replayView) Address() string {
	q := url.Values{"period": {v.Period.Name}, "policy": {v.Policy}}
	return Root + "replay?" + q.Encode()
}

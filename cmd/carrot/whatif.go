package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/internal/learn"
	"github.com/carrot-router/carrot/internal/ledger"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/internal/whatif"
	"github.com/carrot-router/carrot/price"
	"github.com/carrot-router/carrot/record"
)

type whatifCommand struct {
	storeFlags
	Since     string   `placeholder:"TIME" help:"Requests since then: a day, or an age such as 30d."`
	Policy    []string `placeholder:"NAME" sep:"none" help:"Only requests of this policy. May be repeated."`
	Objective string   `placeholder:"NAME" help:"Objective to decide by: usd-per-quality=0.01 (or w=0.01), mu=0.3, or one that the router's frontier gives a meaning: quality, balanced, cheap, budget=0.002, target=0.97."`
	Prices    string   `placeholder:"FILE" help:"Price book whose models have other prices; default for the one in the binary. Other models keep theirs."`
	Without   []string `placeholder:"MODEL" sep:"none" help:"A model that could not be chosen. May be repeated."`
	Router    string   `placeholder:"FILE" help:"The router that made the decisions, whose frontier says what a named objective means; by default that in the binary."`
	JSON      bool     `name:"json" help:"Print as JSON (carrot.whatif/1)."`
}

func (c *whatifCommand) Help() string {
	return `Makes the stored decisions again, with another objective, other prices or fewer models,
and compares the bill and the quality with what they were. Where the new choice is the
model that answered, both are what was observed. Elsewhere they are what the decision
expected of the other model, corrected by how that was off where that model answered;
intervals hold for that part. Requests that were not decided keep what they were.

Nothing is changed. docs/whatif.md says how sure it is.

Examples:
  carrot whatif --store carrot.db --since 30d --objective w=0.002
  carrot whatif --store carrot.db --policy auto --without gpt-5.5 --prices november.json`
}

// whatifSchema names the form of an answer.
const whatifSchema = "carrot.whatif/1"

func (c *whatifCommand) Run(ctx context.Context, t terminal) error {
	if c.Objective == "" && c.Prices == "" && len(c.Without) == 0 {
		return usagef("say what would be different: --objective, --prices or --without")
	}
	if _, err := c.worth(nil); err != nil && !errors.Is(err, carrot.ErrNoFrontier) {
		return err
	}
	from, err := parseSince(c.Since)
	if err != nil {
		return err
	}
	prices, err := c.prices()
	if err != nil {
		return err
	}
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	p := startProgress(ctx, t.err, "reading the ledger")
	defer p.stop()
	requests, err := readRequests(ctx, s, ledger.Range{From: from, Policies: c.Policy}, prices.price)
	if err != nil {
		return err
	}
	if len(requests) == 0 {
		return hinted{errors.New("the store has no request of this time and policy"), "carrot ledger summary --by policy lists what it has"}
	}
	p.say("deciding again")
	log := whatif.New(requests)
	for _, name := range c.Without {
		if !slices.Contains(log.Models(), name) {
			return usagef("--without %s: no decision has this model: want one of %s", name, strings.Join(log.Models(), ", "))
		}
	}
	if c.Prices != "" && len(prices.used) == 0 {
		return hinted{fmt.Errorf("--prices %s: it has no price of any model in the ledger: %s", c.Prices, strings.Join(log.Models(), ", ")), "prices are found by the names of the configuration"}
	}
	question := whatif.Question{USDPerQuality: math.NaN(), Without: c.Without}
	if c.Objective != "" {
		if question.USDPerQuality, err = c.worth(nil); err != nil {
			if question.USDPerQuality, err = c.byFrontier(log, p.warn); err != nil {
				return err
			}
		}
	}
	answer := log.Ask(question)
	p.stop()
	r := &whatifReport{c: c, repriced: slices.Sorted(maps.Keys(prices.used)), worth: question.USDPerQuality, answer: &answer}
	if c.JSON {
		return json.NewEncoder(t.out).Encode(r.form())
	}
	return r.write(t.out)
}

// worth returns the willingness to pay of the objective by the frontier of a router, or
// without one if a is nil.
func (c *whatifCommand) worth(a *artifact.Artifact) (float64, error) {
	text := c.Objective
	if value, ok := strings.CutPrefix(text, "w="); ok {
		text = "usd-per-quality=" + value
	}
	objective, err := carrot.ParseObjective(text)
	if err != nil {
		return 0, usageError{err}
	}
	if whatif.Promises(objective) {
		return 0, usagef("--objective %s: which candidates keep a promise is not in the ledger: ask for a trade-off, such as usd-per-quality=0.01", c.Objective)
	}
	var f carrot.Frontier
	if a != nil {
		f = a.Frontier()
	}
	return objective.Resolve(f)
}

// byFrontier returns the willingness to pay of an objective that only the frontier of the
// router gives a meaning which made the decisions.
func (c *whatifCommand) byFrontier(log *whatif.Log, warn func(string)) (float64, error) {
	name := cmp.Or(c.Router, "default")
	var a *artifact.Artifact
	var err error
	if c.Router == "" {
		a, err = artifact.Default()
	} else {
		a, err = openRouter(c.Router, warn)
	}
	if err != nil {
		return 0, err
	}
	l := learn.NewLineage(a)
	others := map[string]bool{}
	for router := range log.Decided() {
		if !l.Knows(router) {
			others[cmp.Or(router, "unknown")] = true
		}
	}
	if len(others) > 0 {
		return 0, hinted{fmt.Errorf("--objective %s has a meaning by the frontier of the router that decided; router %s (%s) did not decide all requests: %s did too",
			c.Objective, name, a.Fingerprint, strings.Join(slices.Sorted(maps.Keys(others)), ", ")),
			"name the router of the decisions with --router, leave out those of others with --since, or ask for w=; carrot eval --ledger compares with another router"}
	}
	return c.worth(a)
}

// askedPrices are the prices that are asked about.
type askedPrices struct {
	price whatif.Prices
	used  map[string]bool // models
}

func (c *whatifCommand) prices() (*askedPrices, error) {
	if c.Prices == "" {
		return &askedPrices{}, nil
	}
	book := price.Default()
	if c.Prices != "default" {
		own, err := price.Open(c.Prices)
		if err != nil {
			return nil, err
		}
		book = own
	}
	type found struct {
		price carrot.Price
		ok    bool
	}
	known := map[string]found{}
	p := &askedPrices{used: map[string]bool{}}
	p.price = func(model string) (carrot.Price, bool) {
		f, seen := known[model]
		if !seen {
			var err error
			f.price, err = book.Price(model)
			f.ok = err == nil
			known[model] = f
			if f.ok {
				p.used[model] = true
			}
		}
		return f.price, f.ok
	}
	return p, nil
}

// readRequests reads the requests of a range of a ledger.
func readRequests(ctx context.Context, s *ledger.Store, r ledger.Range, prices whatif.Prices) (requests []whatif.Request, err error) {
	open := map[string]int{} // requests that another attempt may follow
	err = s.Reviewed(ctx, r, func(a *record.Attempt, said ledger.Feedback, known bool) error {
		at, follows := open[a.RequestID]
		if follows {
			requests[at].Add(a, prices)
		} else {
			at = len(requests)
			score := said.Score
			if !known {
				score = nil
			}
			requests = append(requests, whatif.FromAttempt(a, score, prices))
		}
		delete(open, a.RequestID)
		if a.Outcome != record.Served {
			open[a.RequestID] = at
		}
		return nil
	})
	return requests, err
}

// whatifReport is an answer to be shown.
type whatifReport struct {
	c        *whatifCommand
	repriced []string
	worth    float64
	answer   *whatif.Answer
}

type estimateForm struct {
	Value figure    `json:"value"`
	CI    [2]figure `json:"ci"`
}

func formOf(e whatif.Estimate) estimateForm {
	return estimateForm{figure(e.Value), [2]figure{figure(e.Interval[0]), figure(e.Interval[1])}}
}

// inPico rounds a sum of costs to a pico-dollar, in which costs are counted.
func inPico(usd float64) figure { return figure(math.Round(usd*1e12) / 1e12) }

// form returns the answer in the form carrot.whatif/1. Members named was are facts.
func (r *whatifReport) form() any {
	type facts struct {
		Requests int            `json:"requests"`
		Decided  int            `json:"decided_again"`
		Kept     map[string]int `json:"kept"`
		Away     int            `json:"kept_without"`
		Priced   int            `json:"priced"`
		Cost     figure         `json:"cost_usd"`
		Scored   int            `json:"scored"`
		Score    figure         `json:"mean_score"`
	}
	type estimates struct {
		Changed int          `json:"changed"`
		Cost    estimateForm `json:"cost_usd"`
		Paid    figure       `json:"observed_usd"`
		Saved   estimateForm `json:"saved_usd"`
		Was     estimateForm `json:"quality_was"`
		Then    estimateForm `json:"quality"`
		Gain    estimateForm `json:"quality_gain"`
	}
	type model struct {
		Name     string       `json:"name"`
		Was      int          `json:"was"`
		WasUSD   figure       `json:"was_usd"`
		Then     int          `json:"would_be"`
		ThenUSD  figure       `json:"would_be_usd"`
		New      int          `json:"new"`
		Ratio    estimateForm `json:"cost_ratio"`
		Answered int          `json:"cost_ratio_requests"`
		Offset   estimateForm `json:"score_offset"`
		Rated    int          `json:"score_offset_requests"`
	}
	a := r.answer
	models := []model{}
	for _, m := range a.Models {
		models = append(models, model{m.Name, m.Was, inPico(m.WasUSD), m.Then, inPico(m.ThenUSD), m.New, formOf(m.Ratio), m.Answered, formOf(m.Offset), m.Rated})
	}
	return struct {
		Schema    string    `json:"schema"`
		Objective string    `json:"objective,omitempty"`
		Worth     *figure   `json:"usd_per_quality,omitempty"`
		Repriced  []string  `json:"repriced"`
		Without   []string  `json:"without"`
		Facts     facts     `json:"facts"`
		Estimates estimates `json:"estimates"`
		Models    []model   `json:"models"`
	}{whatifSchema, r.c.Objective, r.asked(), append([]string{}, r.repriced...), append([]string{}, r.c.Without...),
		facts{a.Requests, a.Decided, a.Kept, a.Away, a.Priced, inPico(a.Was), a.Rated, figure(a.Score)},
		estimates{a.Changed, formOf(a.Then), inPico(a.Paid), formOf(a.Saved), formOf(a.QualityWas), formOf(a.QualityThen), formOf(a.QualityGain)}, models}
}

// asked returns the willingness to pay that is asked about, or nil.
func (r *whatifReport) asked() *figure {
	if r.c.Objective == "" {
		return nil
	}
	w := figure(r.worth)
	return &w
}

// write shows the answer to people.
func (r *whatifReport) write(out io.Writer) error {
	a := r.answer
	var text strings.Builder
	what := "what if"
	if r.c.Objective != "" {
		at := "cost did not matter"
		if !math.IsInf(r.worth, 1) {
			at = phrase.USD(r.worth) + " per unit of quality"
		}
		what += " the objective were " + r.c.Objective + " (" + at + ")"
	}
	if len(r.repriced) > 0 {
		what += " with the prices of " + r.c.Prices + " for " + strings.Join(r.repriced, ", ")
	}
	if len(r.c.Without) > 0 {
		what += " without " + strings.Join(r.c.Without, ", ")
	}
	fmt.Fprintf(&text, "%s?\n\n", what)
	fmt.Fprintf(&text, "%s: %d decided again, of which %d would go to another model\n", phrase.Count(a.Requests, "request"), a.Decided, a.Changed)
	if kept := a.Requests - a.Decided; kept > 0 {
		fmt.Fprintf(&text, "%d keep what they were: %s\n", kept, (&traffic{left: a.Kept}).leftOut())
	}
	if a.Away > 0 {
		fmt.Fprintf(&text, "%s a model that could not be chosen, as they were not decided\n", phrase.Count(a.Away, "request")+map[bool]string{true: " keeps", false: " keep"}[a.Away == 1])
	}
	if left := a.Requests - a.Priced; left > 0 {
		fmt.Fprintf(&text, "the bill leaves out %s: what they cost, or would, is unknown\n", phrase.Count(left, "request"))
	}
	text.WriteString("\n")
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "model\twas\tcost USD\twould be\tcost USD\tactual / expected cost")
	for _, m := range a.Models {
		ratio := "unknown: no request to compare"
		if m.Answered > 0 {
			ratio = fmt.Sprintf("×%.2f [%.2f, %.2f], from %d", m.Ratio.Value, m.Ratio.Interval[0], m.Ratio.Interval[1], m.Answered)
		}
		then := money(m.ThenUSD)
		switch {
		case m.Then == 0:
			then = "-"
		case m.New > 0:
			then = "≈ " + then
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%s\t%s\n", m.Name, m.Was, money(m.WasUSD), m.Then, then, ratio)
	}
	w.Flush() // returns no error, as it writes to a strings.Builder
	text.WriteString("\n")
	w = tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	interval := func(e whatif.Estimate, places int) string {
		return fmt.Sprintf("%s\t[%s, %s]", decimals(figure(e.Value), places), decimals(figure(e.Interval[0]), places), decimals(figure(e.Interval[1]), places))
	}
	fmt.Fprintln(w, "facts")
	fmt.Fprintf(w, "bill, USD\t%s\n", money(a.Was))
	fmt.Fprintf(w, "mean score\t%s of %s\n", decimals(figure(a.Score), 4), phrase.Count(a.Rated, "rated answer"))
	fmt.Fprintln(w, "\nestimates, with 95% intervals")
	fmt.Fprintf(w, "bill, USD\twould be\t%s\t%s of it observed\n", interval(a.Then, 6), money(a.Paid))
	fmt.Fprintf(w, "saved, USD\twould be\t%s\t%s\n", interval(a.Saved, 6), r.share())
	fmt.Fprintf(w, "quality\twas\t%s\tof the requests decided again\n", interval(a.QualityWas, 4))
	fmt.Fprintf(w, "quality\twould be\t%s\n", interval(a.QualityThen, 4))
	fmt.Fprintf(w, "quality gained\twould be\t%s\n", interval(a.QualityGain, 4))
	w.Flush()
	var trimmed strings.Builder
	for line := range strings.Lines(text.String()) {
		trimmed.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return printStyled(out, trimmed.String(), headed("what if", "model ", "facts", "estimates"))
}

// share says what part of the bill would be saved.
func (r *whatifReport) share() string {
	a := r.answer
	if !(a.Was > 0) {
		return ""
	}
	return fmt.Sprintf("%.1f%% of the bill", 100*a.Saved.Value/a.Was)
}

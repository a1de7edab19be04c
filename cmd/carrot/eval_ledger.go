package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/internal/offpolicy"
	"github.com/carrot-router/carrot/internal/phrase"
)

// offPolicySchema names the form of a report on other decisions.
const offPolicySchema = "carrot.offpolicy/1"

// offPolicyReport is what carrot eval --ledger writes. Facts were observed; estimates say
// what other decisions would have been worth.
type offPolicyReport struct {
	Schema    string    `json:"schema"`
	Ledger    string    `json:"ledger"`
	Policy    string    `json:"policy,omitempty"`
	Router    string    `json:"router,omitempty"`
	Objective string    `json:"objective,omitempty"`
	Worth     figure    `json:"usd_per_quality"`
	Facts     facts     `json:"facts"`
	Estimates estimates `json:"estimates"`
	Refusals  []string  `json:"refusals"`
	result    offpolicy.Result
}

type facts struct {
	Requests        int            `json:"requests"`
	LeftOut         map[string]int `json:"left_out"`
	Evaluated       int            `json:"evaluated"`
	Sessions        int            `json:"sessions"`
	Scored          int            `json:"scored"`
	FeedbackShare   figure         `json:"feedback_share"`
	Valued          int            `json:"valued"`
	Explored        int            `json:"explored"`
	MeanScore       figure         `json:"mean_score"`
	MeanCost        figure         `json:"mean_cost_usd"`
	Agreement       figure         `json:"agreement"`
	Unsupported     figure         `json:"unsupported"`
	EffectiveSample figure         `json:"effective_sample"`
	Models          []modelFacts   `json:"models"` // that were tried first
}

// modelFacts says what is known of the requests on which a model was tried first. Where
// the shares with a score differ, feedback may depend on more than chance.
type modelFacts struct {
	Name          string `json:"name"`
	Requests      int    `json:"requests"`
	Chosen        int    `json:"chosen"` // by the router, and not drawn
	Scored        int    `json:"scored"`
	FeedbackShare figure `json:"feedback_share"`
	MeanScore     figure `json:"mean_score"`
	Expected      figure `json:"expected_score"` // by the decisions, of those with a score
	MeanCost      figure `json:"mean_cost_usd"`
}

// modelsOf sums up rows by the model that was tried first.
func modelsOf(rows []offpolicy.Row) []modelFacts {
	type sums struct {
		modelFacts
		score, expected, cost float64
		costed                int
	}
	all := map[string]*sums{}
	for i := range rows {
		r := &rows[i]
		c := &r.Candidates[r.Action]
		s := all[c.Name]
		if s == nil {
			s = &sums{modelFacts: modelFacts{Name: c.Name}}
			all[c.Name] = s
		}
		s.Requests++
		if r.Action == r.Greedy {
			s.Chosen++
		}
		if !math.IsNaN(r.Score) {
			s.Scored++
			s.score += r.Score
			s.expected += c.Quality
		}
		if !math.IsNaN(r.Cost) {
			s.costed++
			s.cost += r.Cost
		}
	}
	out := []modelFacts{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := all[name]
		s.FeedbackShare = figure(float64(s.Scored) / float64(s.Requests))
		s.MeanScore, s.Expected = figure(s.score/float64(s.Scored)), figure(s.expected/float64(s.Scored))
		s.MeanCost = figure(s.cost / float64(s.costed))
		out = append(out, s.modelFacts)
	}
	return out
}

type estimates struct {
	Target     worthJSON `json:"target"`
	Logged     worthJSON `json:"logged"`
	Difference worthJSON `json:"difference"`
}

type worthJSON struct {
	Quality methodsJSON `json:"quality"`
	Cost    methodsJSON `json:"cost_usd"`
	Utility methodsJSON `json:"utility"`
}

type methodsJSON struct {
	IPS            estimateJSON `json:"ips"`
	SelfNormalised estimateJSON `json:"self_normalised"`
	DoublyRobust   estimateJSON `json:"doubly_robust"`
}

type estimateJSON struct {
	Value figure    `json:"value"`
	SE    figure    `json:"se"`
	CI    [2]figure `json:"ci"`
}

// figure is written as null where JSON has none for it.
type figure float64

// MarshalJSON writes the figure.
func (n figure) MarshalJSON() ([]byte, error) {
	if f := float64(n); math.IsNaN(f) || math.IsInf(f, 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

func estimateOf(e offpolicy.Estimate) estimateJSON {
	return estimateJSON{figure(e.Value), figure(e.SE), [2]figure{figure(e.Interval[0]), figure(e.Interval[1])}}
}

func methodsOf(e *offpolicy.Estimates) methodsJSON {
	return methodsJSON{estimateOf(e.IPS), estimateOf(e.SelfNormalised), estimateOf(e.DoublyRobust)}
}

func worthOf(w *offpolicy.Worth) worthJSON {
	return worthJSON{methodsOf(&w.Quality), methodsOf(&w.Cost), methodsOf(&w.Utility)}
}

// checkLedger refuses flags that say nothing about the decisions of a ledger.
func (c *evalCommand) checkLedger() error {
	switch {
	case len(c.Data) > 0:
		return usagef("--data and --ledger are two things to measure on: give one")
	case len(c.Objective) > 1:
		return usagef("--ledger compares one --objective with the decisions as they were")
	case len(c.Router) > 1:
		return usagef("--ledger compares one --router with the decisions as they were")
	case len(c.Objective) == 0 && len(c.Router) == 0:
		return usagef("--ledger needs an --objective or a --router to compare with the decisions as they were")
	case c.outOfFold() || len(c.Predictor)+len(c.Predictions)+len(c.Pair) > 0 || c.Rivals != "" || c.Protocol != "" || c.Prices != "" || c.CountCalls != "" ||
		c.LearningCurve || c.Robustness || c.Details || len(c.reportFlags.paths()) > 0:
		return usagef("--ledger takes --objective, --router, --policy, --since and --json only")
	}
	return nil
}

// runLedger evaluates other decisions on the requests of a ledger.
func (c *evalCommand) runLedger(ctx context.Context, t terminal) error {
	if err := c.checkLedger(); err != nil {
		return err
	}
	if err := folderOf("--json", c.JSON); err != nil {
		return err
	}
	p := startProgress(ctx, t.err, "reading the ledger")
	defer p.stop()
	var a *artifact.Artifact
	var err error
	if len(c.Router) > 0 {
		if a, err = openRouter(c.Router[0], p.warn); err != nil {
			return err
		}
	}
	traffic, err := readTraffic(ctx, c.Ledger, trafficFlags{c.Policy, c.Since}, a != nil)
	if err != nil {
		return err
	}
	if err := traffic.onePolicy(); err != nil {
		return err
	}
	w, known := traffic.worth()
	r := offPolicyReport{Schema: offPolicySchema, Ledger: traffic.name, Policy: c.Policy}
	if len(c.Objective) > 0 {
		r.Objective = c.Objective[0]
		if w, err = resolveWorth(r.Objective, a); err != nil {
			return err
		}
	} else if !known {
		w = math.NaN()
	}
	target := offpolicy.Objective(w)
	if a != nil {
		r.Router = stem(c.Router[0])
		p.say("deciding as " + r.Router + " would")
		if target, err = decisionsOf(ctx, c.Router[0], a, traffic, w); err != nil {
			return err
		}
		if unread := traffic.left[leftNoText]; unread > 0 {
			p.warn(fmt.Sprintf("%s cannot be decided again: another router decided, and the text that it judged is not recorded (record: content: judged)", phrase.Count(unread, "request")))
		}
	}
	r.fill(traffic, offpolicy.Evaluate(traffic.rows, target, w), w)
	p.stop()
	return c.writeOffPolicy(t.out, &r)
}

func (r *offPolicyReport) fill(t *traffic, e offpolicy.Result, w float64) {
	r.result, r.Worth = e, figure(w)
	share := math.NaN()
	if e.Requests > 0 {
		share = float64(e.Scored) / float64(e.Requests)
	}
	r.Facts = facts{Requests: t.requests, LeftOut: t.left, Evaluated: e.Requests, Sessions: e.Sessions, Scored: e.Scored, FeedbackShare: figure(share),
		Valued: e.Valued, Explored: e.Explored, MeanScore: figure(e.ObservedQuality), MeanCost: figure(e.ObservedCost),
		Agreement: figure(e.Agreement), Unsupported: figure(e.Unsupported), EffectiveSample: figure(e.EffectiveSample), Models: modelsOf(t.rows)}
	r.Estimates = estimates{worthOf(&e.Target), worthOf(&e.Logged), worthOf(&e.Difference)}
	if r.Refusals = e.Refusals; r.Refusals == nil {
		r.Refusals = []string{}
	}
}

func (c *evalCommand) writeOffPolicy(out io.Writer, r *offPolicyReport) error {
	if c.JSON != "" {
		var data bytes.Buffer
		encoder := json.NewEncoder(&data)
		encoder.SetIndent("", " ")
		if err := encoder.Encode(r); err != nil {
			return err
		}
		if err := writeTo(out, "--json", c.JSON, data.Bytes()); err != nil || c.JSON == "-" {
			return err
		}
	}
	return r.write(out)
}

// write shows the report to people.
func (r *offPolicyReport) write(out io.Writer) error {
	f := &r.Facts
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	left := 0
	for _, n := range f.LeftOut {
		left += n
	}
	fmt.Fprintln(w, "facts")
	fmt.Fprintf(w, "requests\t%d, of which %d are evaluated\n", f.Requests, f.Evaluated)
	fmt.Fprintf(w, "left out\t%d: %s\n", left, (&traffic{left: f.LeftOut}).leftOut())
	fmt.Fprintf(w, "sessions\t%d\n", f.Sessions)
	fmt.Fprintf(w, "with a score\t%d, %s\n", f.Scored, percent(f.FeedbackShare))
	fmt.Fprintf(w, "explored\t%d of %d\n", f.Explored, f.Valued)
	fmt.Fprintf(w, "mean score\t%s\n", decimals(f.MeanScore, 4))
	fmt.Fprintf(w, "mean cost\t%s USD\n", decimals(f.MeanCost, 6))
	fmt.Fprintf(w, "same choice\t%s of the requests with all that is needed\n", percent(f.Agreement))
	fmt.Fprintf(w, "no support\t%s (at most %.0f%%)\n", percent(f.Unsupported), 100*offpolicy.MaxUnsupported)
	fmt.Fprintf(w, "effective sample\t%s (at least %d)\n", decimals(f.EffectiveSample, 0), offpolicy.MinEffectiveSample)
	w.Flush() // returns no error, as it writes to a strings.Builder
	fmt.Fprintln(&text)
	w = tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "tried first\trequests\tchosen\twith a score\tmean score\texpected\tmean cost USD")
	for _, m := range f.Models {
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%s\t%s\n", m.Name, m.Requests, m.Chosen, percent(m.FeedbackShare), decimals(m.MeanScore, 4), decimals(m.Expected, 4), decimals(m.MeanCost, 6))
	}
	w.Flush()
	fmt.Fprintf(&text, "\nestimates for %s, with 95%% intervals by session; now: the router's own choices, without exploration\n", r.target())
	w = tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "of\tby\tthen\tnow\tdifference\t")
	for _, of := range []struct {
		name                       string
		target, logged, difference *methodsJSON
		decimals                   int
	}{
		{"quality", &r.Estimates.Target.Quality, &r.Estimates.Logged.Quality, &r.Estimates.Difference.Quality, 4},
		{"cost, USD", &r.Estimates.Target.Cost, &r.Estimates.Logged.Cost, &r.Estimates.Difference.Cost, 6},
		{"utility", &r.Estimates.Target.Utility, &r.Estimates.Logged.Utility, &r.Estimates.Difference.Utility, 4},
	} {
		for k, by := range []string{"doubly robust", "self-normalised", "IPS"} {
			at := func(m *methodsJSON) estimateJSON {
				return []estimateJSON{m.DoublyRobust, m.SelfNormalised, m.IPS}[k]
			}
			d := at(of.difference)
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t[%s, %s]\n", of.name, by, decimals(at(of.target).Value, of.decimals), decimals(at(of.logged).Value, of.decimals),
				signed(d.Value, of.decimals), signed(d.CI[0], of.decimals), signed(d.CI[1], of.decimals))
		}
	}
	w.Flush()
	text.WriteString("\n" + r.conclusion() + "\n")
	return printStyled(out, text.String(), headed("facts", "tried first", "estimates ", "of "))
}

// target names the decisions that are estimated.
func (r *offPolicyReport) target() string {
	at := "$" + decimals(r.Worth, 6) + " per unit of quality"
	switch {
	case math.IsInf(float64(r.Worth), 1):
		at = "any cost"
	case math.IsNaN(float64(r.Worth)):
		at = "an unknown willingness to pay"
	}
	switch {
	case r.Router == "":
		return "the objective " + r.Objective + " (" + at + ")"
	case r.Objective == "":
		return "the router " + r.Router + " at " + at
	}
	return "the router " + r.Router + " under the objective " + r.Objective + " (" + at + ")"
}

// conclusion says in a sentence what the report shows.
func (r *offPolicyReport) conclusion() string {
	if len(r.Refusals) > 0 {
		return "no conclusion: " + strings.Join(r.Refusals, "; ")
	}
	d := r.result.Difference.Utility.DoublyRobust
	switch {
	case d.Interval[0] > 0:
		return "conclusion: it would be worth more, at 95% confidence"
	case d.Interval[1] < 0:
		return "conclusion: it would be worth less, at 95% confidence"
	}
	return "conclusion: no difference in utility is seen, at 95% confidence"
}

func percent(n figure) string {
	if math.IsNaN(float64(n)) {
		return "–"
	}
	return fmt.Sprintf("%.1f%%", 100*float64(n))
}

func decimals(n figure, places int) string {
	if f := float64(n); math.IsNaN(f) || math.IsInf(f, 0) {
		return "–"
	}
	return fmt.Sprintf("%.*f", places, float64(n))
}

func signed(n figure, places int) string {
	if f := float64(n); math.IsNaN(f) || math.IsInf(f, 0) {
		return "–"
	}
	return fmt.Sprintf("%+.*f", places, float64(n))
}

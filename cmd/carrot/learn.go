package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/atomicfile"
	"github.com/carrot-router/carrot/internal/learn"
	"github.com/carrot-router/carrot/internal/offpolicy"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/internal/readfile"
	"github.com/carrot-router/carrot/table"
)

type learnCommand struct {
	Ledger    string   `placeholder:"DSN" env:"CARROT_STORE" help:"Store of the gateway."`
	Router    string   `placeholder:"FILE" help:"The router that serves."`
	Out       string   `placeholder:"FILE" help:"Where to write the router if it is promoted."`
	Config    string   `placeholder:"FILE" help:"The gateway's configuration: its store and its router, which is replaced if another is promoted."`
	Data      []string `placeholder:"DIR" help:"Outcomes that the router was not trained on, on which it must not become worse."`
	Policy    string   `placeholder:"NAME" help:"Learn from requests of this policy, and for its willingness to pay."`
	Objective string   `placeholder:"NAME" help:"Objective to compare at; by default that of the policy's latest decisions."`
	Since     string   `placeholder:"TIME" help:"Learn from requests since then: a day, or an age such as 30d."`
	State     string   `placeholder:"FILE" help:"Where looks and decisions are remembered; by default beside the router that is written, with .learn.json added."`
	DryRun    bool     `help:"Say what would be done, and change no file."`
	JSON      bool     `name:"json" help:"Print as JSON."`
}

func (c *learnCommand) Help() string {
	return `Corrects the router's estimates by its requests with feedback, as carrot train --ledger
does, and promotes the result if it is better: if the lower 95% bound of its utility minus
that of the router that serves, at the policy's willingness to pay, is above 0. There is
one look for each 500 new scores, each candidate is tested on scores that came after
those that it was made from, and the bound holds at all looks together (docs/learn.md).

Run it by hand or by a timer. The exit status is 0 whether or not a router was promoted.

Examples:
  carrot learn --ledger carrot.db --router router.safetensors --out next.safetensors --policy auto
  carrot learn --config carrot.yaml --policy auto --data heldout`
}

// learnSchema names the form of the state and of the report.
const learnSchema = "carrot.learn/1"

// learnState is what carrot learn remembers between runs.
type learnState struct {
	Schema string `json:"schema"`
	Policy string `json:"policy"`
	Worth  figure `json:"usd_per_quality"` // of the looks; null: any cost
	Live   string `json:"router"`          // the fingerprint of the router that the looks compare with
	// Until is when the last score that was looked at became known.
	Until      time.Time        `json:"until"`
	Looks      []learn.Look     `json:"looks"` // since the router serves
	Promotions []learnPromotion `json:"promotions"`
}

type learnPromotion struct {
	Time  time.Time `json:"time"`
	From  string    `json:"from"` // fingerprints
	To    string    `json:"to"`
	Looks int       `json:"looks"`
	Lower float64   `json:"lower"`
}

// What carrot learn decides.
const (
	learnWaiting  = "waiting"  // for more scores
	learnKept     = "kept"     // the router that serves
	learnPromoted = "promoted" // the router that has learnt
)

// learnReport is what carrot learn prints as JSON.
type learnReport struct {
	Schema   string   `json:"schema"`
	Decision string   `json:"decision"`
	Why      []string `json:"why"`
	Policy   string   `json:"policy"`
	Worth    figure   `json:"usd_per_quality"`
	Router   string   `json:"router"`
	Promoted string   `json:"promoted,omitempty"` // fingerprint
	Scores   int      `json:"scores"`             // known
	New      int      `json:"new"`                // since the last look
	Looks    int      `json:"looks"`
	// Traffic is the difference in utility on the requests of all looks, and HeldOut on
	// the outcomes of --data; null if there is none.
	Traffic *learnDifference `json:"traffic"`
	HeldOut *learnDifference `json:"held_out"`
	DryRun  bool             `json:"dry_run,omitempty"`
}

type learnDifference struct {
	Outcomes        int    `json:"outcomes"`
	Changed         int    `json:"changed"` // on which the two choose differently
	Utility         figure `json:"utility"`
	SE              figure `json:"se"`
	Lower           figure `json:"lower"`
	Upper           figure `json:"upper"`
	EffectiveSample figure `json:"effective_sample"`
}

func (c *learnCommand) check() error {
	switch {
	case c.Config == "" && (c.Ledger == "" || c.Router == "" || c.Out == ""):
		return usagef("give --config FILE, or --ledger DSN, --router FILE and --out FILE")
	case c.Config != "" && (c.Router != "" || c.Out != ""):
		return usagef("--config names the router, which is replaced if another is promoted: leave out --router and --out")
	}
	return nil
}

// configured takes the store and the router from the gateway's configuration.
func (c *learnCommand) configured() error {
	if c.Config == "" {
		return nil
	}
	file, err := gateway.OpenFile(c.Config, os.LookupEnv, nil)
	if err != nil {
		return hinted{err, "docs/config.md lists every key"}
	}
	if file.Router == "" {
		return hinted{fmt.Errorf("%s: the gateway serves with the router in the binary, which no other can replace", c.Config), "save a router with carrot train, and name it as router:"}
	}
	if c.Ledger == "" {
		c.Ledger = file.Store
	}
	if c.Ledger == "" {
		return hinted{fmt.Errorf("%s: there is no store to learn from", c.Config), "name one as store:"}
	}
	c.Router, c.Out = file.Router, file.Router
	return nil
}

func (c *learnCommand) Run(ctx context.Context, t terminal) error {
	if err := c.check(); err != nil {
		return err
	}
	if err := c.configured(); err != nil {
		return err
	}
	if c.State == "" {
		c.State = c.Out + ".learn.json"
	}
	if err := folderOf("--out", c.Out); err != nil {
		return err
	}
	p := startProgress(ctx, t.err, "reading the router and the ledger")
	defer p.stop()
	live, err := openRouter(c.Router, p.warn)
	if err != nil {
		return err
	}
	state, err := readLearnState(c.State)
	if err != nil {
		return err
	}
	traffic, err := readTraffic(ctx, c.Ledger, trafficFlags{c.Policy, c.Since}, false)
	if err != nil {
		return err
	}
	if err := traffic.onePolicy(); err != nil {
		return err
	}
	w, known := traffic.worth()
	if c.Objective != "" {
		if w, err = resolveWorth(c.Objective, live); err != nil {
			return err
		}
	} else if !known {
		return hinted{errors.New("the ledger has no request to learn from"), "carrot eval --ledger says what is left out"}
	} else if before := float64(state.Worth); len(state.Looks) > 0 && w > before/2 && w < 2*before {
		w = before // pacing moves it, and looks at another one would begin anew
	}
	lesson := &lesson{live: live, lineage: learn.NewLineage(live), w: w, state: state, now: time.Now().UTC()}
	others := lesson.take(traffic)
	warnOthers(p.warn, others)
	warnUnknown(p.warn, lesson.rows, lesson.lineage.Models())
	if len(lesson.rows) == 0 && len(others) > 0 {
		return otherRouter(c.Router, live, others)
	}
	lesson.begin(c.Policy)
	report := lesson.look()
	if report.Decision != learnWaiting && len(c.Data) > 0 {
		p.say("measuring on " + strings.Join(c.Data, ", "))
		if err := lesson.holdOut(ctx, c.Data, report); err != nil {
			return err
		}
	}
	report.DryRun = c.DryRun
	if err := c.finish(t, lesson, report); err != nil {
		return err
	}
	p.stop()
	if report.Promoted != "" {
		wrote(t.out, c.Out)
	}
	if c.JSON {
		return json.NewEncoder(t.out).Encode(report)
	}
	return report.write(t.out, c)
}

// readLearnState reads the state, which is empty before the first run.
func readLearnState(path string) (*learnState, error) {
	data, err := readfile.Read(path, 64<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return &learnState{Schema: learnSchema}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	state := &learnState{}
	hint := "name another file by --state to begin anew"
	if err := json.Unmarshal(data, state); err != nil {
		return nil, hinted{fmt.Errorf("state %s: %w", path, phrase.JSON(err)), hint}
	}
	if state.Schema != learnSchema {
		return nil, hinted{fmt.Errorf("state %s: schema %q, want %q", path, state.Schema, learnSchema), hint}
	}
	return state, nil
}

// UnmarshalJSON reads a figure, null as +Inf.
func (n *figure) UnmarshalJSON(data []byte) error {
	f := math.Inf(1)
	if string(data) != "null" {
		if err := json.Unmarshal(data, &f); err != nil {
			return err
		}
	}
	*n = figure(f)
	return nil
}

// lesson is one run of carrot learn.
type lesson struct {
	live    *artifact.Artifact
	lineage *learn.Lineage
	w       float64
	state   *learnState
	now     time.Time

	rows []offpolicy.Row // with a score, in the order in which that became known
	said []time.Time
	next artifact.Learned // what all of them suggest
}

// take keeps the requests whose score is known and which routers of the fit decided. It
// returns how many others there are.
func (l *lesson) take(t *traffic) (others map[string]int) {
	others = map[string]int{}
	var order []int
	for i := range t.rows {
		switch r := &t.rows[i]; {
		case math.IsNaN(r.Score):
		case !l.lineage.Knows(r.Router):
			name := r.Router
			if name == "" {
				name = "unknown"
			}
			others[name]++
		default:
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return t.said[a].Compare(t.said[b]) })
	for _, i := range order {
		l.rows, l.said = append(l.rows, t.rows[i]), append(l.said, t.said[i])
	}
	return others
}

// begin forgets the looks of another router, policy or willingness to pay. What was known
// before its first look is learnt from, and what is learnt from is not tested on.
func (l *lesson) begin(policy string) {
	s := l.state
	if s.Live != l.live.Fingerprint || s.Policy != policy || float64(s.Worth) != l.w {
		s.Looks = nil
	}
	s.Live, s.Policy, s.Worth = l.live.Fingerprint, policy, figure(l.w)
}

// look makes a candidate from the scores before the last look and compares it with the
// live router on those since. The first time it takes half of them for either.
func (l *lesson) look() *learnReport {
	s := l.state
	r := &learnReport{Schema: learnSchema, Policy: s.Policy, Worth: s.Worth, Router: s.Live, Scores: len(l.rows), Decision: learnWaiting}
	from, _ := slices.BinarySearchFunc(l.said, s.Until, func(at, until time.Time) int {
		if at.After(until) {
			return 1
		}
		return -1
	})
	if s.Until.IsZero() {
		from = len(l.rows) / 2
		if len(l.rows) < 2*learn.Batch {
			r.New, r.Looks = len(l.rows), len(s.Looks)
			r.Why = []string{fmt.Sprintf("%s of %d: half of them to learn from, half to test on", phrase.Count(len(l.rows), "score"), 2*learn.Batch)}
			return r
		}
	}
	r.New, r.Looks = len(l.rows)-from, len(s.Looks)
	if r.New < learn.Batch {
		r.Why = []string{fmt.Sprintf("%s of %d since the last look", phrase.Count(r.New, "new score"), learn.Batch)}
		return r
	}
	own, _ := l.lineage.Correction(l.live.Fingerprint)
	prices := learn.PricesOf(l.rows)
	candidate := learn.Estimate(l.uncorrected(l.rows[:from]), l.lineage.Models(), learn.WeightsByGap)
	look := learn.NewLook(l.now, offpolicy.Compare(l.untouched(from), l.lineage.Corrected(candidate.Correction, prices, l.w), l.lineage.Corrected(own, prices, l.w), l.w))
	s.Looks = append(s.Looks, look)
	s.Until = l.said[len(l.said)-1]
	l.next = learn.Estimate(l.uncorrected(l.rows), l.lineage.Models(), learn.WeightsByGap)

	progress := learn.Progress{Looks: s.Looks}
	bound := progress.Bound()
	r.Looks = len(s.Looks)
	r.Traffic = &learnDifference{Outcomes: bound.Outcomes, Utility: figure(bound.Mean), SE: figure(bound.SE), Lower: figure(bound.Lower), Upper: figure(math.NaN()), EffectiveSample: figure(bound.EffectiveSample)}
	for _, k := range s.Looks {
		r.Traffic.Changed += k.Changed
	}
	r.Decision = learnKept
	switch {
	case bound.Better():
		r.Decision = learnPromoted
		r.Why = []string{"the lower 95% bound of the difference in utility is above 0"}
	case r.Traffic.Changed == 0:
		r.Why = []string{"what was learnt changes no decision"}
	case len(bound.Refusals) > 0:
		r.Why = bound.Refusals
	default:
		r.Why = []string{"the lower 95% bound of the difference in utility is not above 0"}
	}
	return r
}

// untouched returns the rows from one on, without those of sessions that began before it,
// from which the candidate was made.
func (l *lesson) untouched(from int) []offpolicy.Row {
	before := map[string]bool{}
	for _, r := range l.rows[:from] {
		before[r.Session] = r.Session != ""
	}
	return slices.DeleteFunc(slices.Clone(l.rows[from:]), func(r offpolicy.Row) bool { return before[r.Session] })
}

// uncorrected returns rows with the estimates of the fit.
func (l *lesson) uncorrected(rows []offpolicy.Row) []offpolicy.Row {
	out := make([]offpolicy.Row, len(rows))
	for i := range rows {
		out[i], _ = l.lineage.Uncorrected(rows[i]) // they are of the fit
	}
	return out
}

// errTrainedOn is returned for held-out outcomes that the router was trained on.
var errTrainedOn = errors.New("the router was trained on this data set, so that it cannot say whether another is better")

// holdOut compares what was learnt with the live router on outcomes that neither has seen,
// except those marked test. If it is worse there, it is not promoted.
func (l *lesson) holdOut(ctx context.Context, dirs []string, r *learnReport) error {
	set, err := loadSet(ctx, dirs)
	if err != nil {
		return err
	}
	for _, d := range l.live.Manifest.Data {
		if d.Fingerprint == set.Fingerprint {
			return fmt.Errorf("data set %s: %w", set.Name, errTrainedOn)
		}
	}
	embedder, err := embedderOf(l.live, nil)
	if err != nil {
		return err
	}
	set = set.Subset(table.Trainable(set), nil)
	t, err := table.New(ctx, set, embedder, table.Options{})
	if err != nil {
		return err
	}
	next, err := l.live.Predictor.Correct(l.next.Quality, l.next.Tokens)
	if err != nil {
		return err
	}
	before, after := make([]carrot.Prediction, len(t.X)), make([]carrot.Prediction, len(t.X))
	if err := l.live.Predictor.Predict(t.X, before); err != nil {
		return err
	}
	if err := next.Predict(t.X, after); err != nil {
		return err
	}
	column := columns(l.lineage.Models())
	choose := func(predictions []carrot.Prediction, i int, known []int) int {
		quality, cost := make([]float64, len(known)), make([]float64, len(known))
		for k, m := range known {
			f := &predictions[i].Forecasts[column[t.Candidates[m].Name]]
			quality[k], cost[k] = f.Quality, t.PredictedCost(i, m, f)
		}
		return known[carrot.Choose(quality, cost, l.w)]
	}
	var differences []float64
	var cluster []int
	prompts := map[string]int{}
	d := &learnDifference{Upper: figure(math.NaN()), EffectiveSample: figure(math.NaN())}
	for i := range set.Queries {
		var known []int
		for _, m := range t.Observed(i) {
			if _, ok := column[t.Candidates[m].Name]; ok {
				known = append(known, m)
			}
		}
		if len(known) < 2 {
			continue
		}
		a, b := choose(after, i, known), choose(before, i, known)
		worth := func(m int) float64 { return carrot.Utility(t.Set.Score.At(i, m), t.Cost.At(i, m), l.w) }
		differences = append(differences, worth(a)-worth(b))
		if a != b {
			d.Changed++
		}
		prompt := set.Queries[i].Prompt
		if _, ok := prompts[prompt]; !ok {
			prompts[prompt] = len(prompts)
		}
		cluster = append(cluster, prompts[prompt])
	}
	if len(differences) == 0 {
		return fmt.Errorf("data set %s: no query has a score and a cost of two models of the router", set.Name)
	}
	e := offpolicy.Mean(differences, cluster)
	d.Outcomes, d.Utility, d.SE, d.Lower, d.Upper = len(differences), figure(e.Value), figure(e.SE), figure(e.Interval[0]), figure(e.Interval[1])
	r.HeldOut = d
	if r.Decision == learnPromoted && e.Interval[1] < 0 {
		r.Decision, r.Why = learnKept, []string{fmt.Sprintf("better on the requests, and worse on the held-out outcomes: [%+.4f, %+.4f]", e.Interval[0], e.Interval[1])}
	}
	return nil
}

// finish promotes the router if that was decided, and then remembers the look.
func (c *learnCommand) finish(t terminal, l *lesson, r *learnReport) error {
	if c.DryRun || r.Decision == learnWaiting {
		return nil
	}
	s := l.state
	last := &s.Looks[len(s.Looks)-1]
	last.Decision = r.Decision
	lower := float64(r.Traffic.Lower)
	if !math.IsInf(lower, 0) {
		last.Lower = &lower
	}
	if r.Decision == learnPromoted {
		promoted, err := c.promote(t, l)
		if err != nil {
			return err
		}
		r.Promoted = promoted.Fingerprint
		s.Promotions = append(s.Promotions, learnPromotion{Time: l.now, From: s.Live, To: promoted.Fingerprint, Looks: len(s.Looks), Lower: lower})
		s.Live, s.Looks = promoted.Fingerprint, nil
	}
	if s.Looks == nil {
		s.Looks = []learn.Look{}
	}
	err := atomicfile.Write(c.State, 0o644, func(w io.Writer) error {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", " ")
		return encoder.Encode(s)
	})
	if err != nil {
		return fmt.Errorf("remember the look: %w", err)
	}
	return nil
}

// learnedOfOneMore returns what a router has learnt from traffic for its models and one more, of
// which nothing is learnt yet, or nil if it has learnt nothing. The decisions of the router
// itself can still be learnt from.
func learnedOfOneMore(a *artifact.Artifact) *artifact.Learned {
	if a.Manifest.Learned == nil {
		return nil
	}
	extend := func(c artifact.Correction) artifact.Correction {
		c.Quality, c.Tokens = append(slices.Clone(c.Quality), 0), append(slices.Clone(c.Tokens), 1)
		return c
	}
	l := *a.Manifest.Learned
	l.QualitySE, l.TokensSE, l.Rows = append(slices.Clone(l.QualitySE), nil), append(slices.Clone(l.TokensSE), nil), append(slices.Clone(l.Rows), 0)
	own := l.Correction
	own.Router = a.Fingerprint
	l.Correction = extend(l.Correction)
	earlier := slices.Clone(l.Earlier)
	l.Earlier = nil
	for _, c := range append(earlier, own) {
		l.Earlier = append(l.Earlier, extend(c))
	}
	return &l
}

// promote makes the corrected router the one that serves, as carrot router promote does, or
// without a configuration writes it to a file, all or nothing. It reads it back. A gateway
// that serves from the file takes it up by itself.
func (c *learnCommand) promote(t terminal, l *lesson) (*artifact.Artifact, error) {
	next, err := l.live.Correct(l.next)
	if err != nil {
		return nil, err
	}
	if c.Config == "" {
		err = next.WriteFile(c.Out)
	} else {
		var data bytes.Buffer
		if err = next.Write(&data); err == nil {
			err = replaceRouter(t, c.Config, data.Bytes(), "carrot learn")
		}
	}
	if err != nil {
		return nil, err
	}
	return artifact.Open(c.Out)
}

// replaceRouter makes a router the one that a gateway serves with, and keeps the one before.
func replaceRouter(t terminal, config string, data []byte, note string) error {
	line, err := openRouterLine(config)
	if err != nil {
		return err
	}
	_, err = line.promote(t, data, note)
	return err
}

// write shows the report to people.
func (r *learnReport) write(out io.Writer, c *learnCommand) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "router\t%s\n", r.Router)
	fmt.Fprintf(w, "scores\t%d, %d since the last look\n", r.Scores, r.New)
	fmt.Fprintf(w, "looks\t%d\n", r.Looks)
	if d := r.Traffic; d != nil {
		fmt.Fprintf(w, "on requests\t%s utility, lower 95%% bound %s, from %s of which %d would be decided otherwise\n",
			signed(d.Utility, 4), signed(d.Lower, 4), phrase.Count(d.Outcomes, "score"), d.Changed)
	}
	if d := r.HeldOut; d != nil {
		fmt.Fprintf(w, "held out\t%s utility, 95%% interval [%s, %s], from %s of which %d would be decided otherwise\n",
			signed(d.Utility, 4), signed(d.Lower, 4), signed(d.Upper, 4), phrase.Count(d.Outcomes, "query"), d.Changed)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	switch {
	case r.Decision == learnPromoted && r.DryRun:
		fmt.Fprintf(out, "would be promoted to %s: %s\n", c.Out, strings.Join(r.Why, "; "))
	case r.Decision == learnPromoted:
		fmt.Fprintf(out, "promoted as %s to %s: %s\n", r.Promoted, c.Out, strings.Join(r.Why, "; "))
	default:
		fmt.Fprintf(out, "%s: %s\n", r.Decision, strings.Join(r.Why, "; "))
	}
	return nil
}

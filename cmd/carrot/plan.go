package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/eval"
	"github.com/carrot-router/carrot/internal/atomicfile"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/internal/plan"
	"github.com/carrot-router/carrot/internal/readfile"
	render "github.com/carrot-router/carrot/internal/report"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/table"
	"github.com/carrot-router/carrot/train"
)

type planCommand struct {
	Eval    planEvalCommand    `cmd:"" help:"Measure a router of models and plans beside one of models."`
	Suggest planSuggestCommand `cmd:"" help:"Choose the plans of a pool that are worth having."`
}

func (c *planCommand) Help() string {
	return `A plan asks more than one model: agree(a,b,c) returns a's answer if b gives the same
one, and else asks c; check(a,verifier,c) returns a's answer if a verifier passes it,
and else asks c (docs/plans.md).

Example:
  carrot plan eval --data mydata --folds 5`
}

// planFlags are common to the plan commands.
type planFlags struct {
	Data        []string `required:"" placeholder:"DIR" help:"Data folder; several are joined. agree plans need its answers.csv."`
	Verifier    string   `placeholder:"perfect|FALSEPASS/FALSEFAIL" help:"Add check plans with a verifier: perfect, or the shares of wrong answers that it passes and of right ones that it fails, as in 0.1/0.05."`
	Max         int      `default:"20" help:"Most plans to choose."`
	MaxRounds   int      `placeholder:"N" help:"Leave out plans that may wait for answers more than N times."`
	MinCoverage float64  `placeholder:"X" help:"Leave out models that have a score and a cost on less than this share of the queries."`
	Predictor   string   `default:"blend" placeholder:"NAME" help:"Predictor of models and of plans."`
	Embedder    string   `default:"static" help:"Embedder of the predictor: static, bert:DIR, npy:FILE, …"`
	Prices      string   `placeholder:"FILE" help:"Price book; by default the prices in the data's models.json."`
	Bootstrap   int      `default:"1000" help:"Resamples for the intervals; 0 for none."`
	Seed        uint64   `placeholder:"N" help:"Seed of fits, resamples and the verifier's errors."`
	NoCache     bool     `help:"Fit everything again, and keep no fitted router."`
}

func (c *planFlags) options() (o plan.Options, spec predict.Spec, err error) {
	switch {
	case c.Max < 1:
		return o, spec, usagef("--max %d: want 1 or more", c.Max)
	case c.MaxRounds < 0 || c.MaxRounds == 1:
		return o, spec, usagef("--max-rounds %d: every plan may wait twice", c.MaxRounds)
	case !(c.MinCoverage >= 0 && c.MinCoverage <= 1):
		return o, spec, usagef("--min-coverage %v: want a share between 0 and 1", c.MinCoverage)
	case c.Bootstrap < 0:
		return o, spec, usagef("--bootstrap %d: want 0 or more", c.Bootstrap)
	}
	o = plan.Options{Max: c.Max, MaxRounds: c.MaxRounds}
	if c.Verifier != "" {
		v, err := plan.ParseVerifier(c.Verifier)
		if err != nil {
			return o, spec, usagef("--verifier: %v", err)
		}
		v.Seed = c.Seed
		o.Verifier = &v
	}
	spec, err = specOf(c.Predictor, 0, c.Seed)
	return o, spec, err
}

// The routers of a comparison.
const (
	withPlans   = "models+plans"
	modelsAlone = "models"
	plansOracle = "oracle-plans"
)

// planning is what a plan command works on.
type planning struct {
	set      *dataset.Set
	embedder carrot.Embedder
	plans    plan.Options
	spec     predict.Spec
	eval     eval.Options
}

// open reads the data and the embedder.
func (c *planFlags) open(ctx context.Context, p *progress) (*planning, error) {
	w := &planning{}
	var err error
	if w.plans, w.spec, err = c.options(); err != nil {
		return nil, err
	}
	load := sync.OnceValues(func() (*dataset.Set, error) { return loadSet(ctx, c.Data) })
	texts, err := promptsOf(c.Embedder, c.Data, load)
	if err != nil {
		return nil, err
	}
	if w.embedder, err = openEmbedder(c.Embedder, texts, p.count("embedding prompts with "+c.Embedder)); err != nil {
		return nil, err
	}
	set, err := load()
	if err != nil {
		return nil, err
	}
	if w.set, err = covered(set, c.MinCoverage, p.warn); err != nil {
		return nil, err
	}
	if w.set.Answers == nil && w.plans.Verifier == nil {
		return nil, hinted{fmt.Errorf("data set %s: %w", w.set.Name, plan.ErrNoPrograms), "--verifier perfect shows what the best of verifiers would gain"}
	}
	w.eval = eval.Options{Embedder: w.embedder, Bootstrap: c.Bootstrap, Seed: c.Seed, Contenders: w.contenders(), Progress: p.share}
	if w.eval.Book, err = openBook(c.Prices); err != nil {
		return nil, err
	}
	if !c.NoCache {
		w.eval.CacheDir = cacheFolder("fitted")
	}
	return w, nil
}

// contenders lists the routers to compare. Each chooses its plans on the queries that it
// is fitted on.
func (w *planning) contenders() []eval.Contender {
	fit := func(ctx context.Context, t *table.Table, rows []int, progress func(string)) (*predict.Predictor, error) {
		return train.Fit(ctx, t, rows, w.spec, progress)
	}
	return []eval.Contender{
		{Name: withPlans, Fit: func(ctx context.Context, t *table.Table, rows []int, progress func(string)) (carrot.Predictor, error) {
			return plan.Fit(ctx, t, rows, w.plans, fit, progress)
		}},
		eval.Predictor(modelsAlone, w.spec),
		{Name: plansOracle, Fit: func(_ context.Context, t *table.Table, rows []int, _ func(string)) (carrot.Predictor, error) {
			return plan.FitOracle(t, rows, w.plans)
		}},
	}
}

// covered takes models out of the pool that were observed on less than a share of the
// queries.
func covered(set *dataset.Set, share float64, warn func(string)) (*dataset.Set, error) {
	if share == 0 {
		return set, nil
	}
	var rows []int
	for i, q := range set.Queries {
		if q.Split != dataset.SplitExtra {
			rows = append(rows, i)
		}
	}
	out := set.Subset(nil, nil)
	out.Name = set.Name
	var left []string
	for _, j := range out.Pool() {
		observed := 0.0
		for _, i := range rows {
			costed := !math.IsNaN(out.OutputTokens.At(i, j)) || out.CostUSD.Rows > 0 && !math.IsNaN(out.CostUSD.At(i, j))
			if costed && !math.IsNaN(out.Score.At(i, j)) {
				observed++
			}
		}
		if observed < share*float64(len(rows)) {
			out.Models[j].Pool = false
			left = append(left, out.Models[j].Name)
		}
	}
	if len(left) > 0 {
		warn(fmt.Sprintf("--min-coverage %v leaves out %s", share, strings.Join(left, ", ")))
	}
	if len(out.Pool()) == 0 {
		return nil, fmt.Errorf("--min-coverage %v: no model of %s is observed that often", share, set.Name)
	}
	return out, nil
}

type planEvalCommand struct {
	planFlags
	Folds    int    `placeholder:"K" help:"Measure out of fold over train and validation, with K folds by prompt hash; 5 if neither this, --leave-out nor --split is given."`
	LeaveOut string `enum:",source" default:"" placeholder:"source" help:"The same, leaving one source out at a time."`
	Split    string `enum:",train,validation,test" default:"" placeholder:"test" help:"Measure on these rows, and fit on the others that are not marked test: train, validation or test."`
	JSON     string `name:"json" placeholder:"FILE" help:"Write the report as JSON (carrot.eval/1); - for standard output."`
}

func (c *planEvalCommand) Help() string {
	return `Compares models+plans, whose candidates are models and plans, with models, a router of
the models alone, and prints the paired interval of the difference. Plans are chosen on
the queries that a router is fitted on, anew in every fold. All else stays that of single
models: best-single, zero-router, oracle and the range of costs; oracle-plans knows every
outcome of models and plans.

Examples:
  carrot plan eval --data mydata --folds 5
  carrot plan eval --data mydata --leave-out source --json plans.json
  carrot plan eval --data mydata --verifier 0.1/0.05 --min-coverage 0.97`
}

func (c *planEvalCommand) Run(ctx context.Context, t terminal) error {
	given := 0
	for _, on := range []bool{c.Folds != 0, c.LeaveOut != "", c.Split != ""} {
		if on {
			given++
		}
	}
	switch {
	case c.Folds != 0 && c.Folds < 2:
		return usagef("--folds %d: want at least 2", c.Folds)
	case given > 1:
		return usagef("--folds, --leave-out and --split are three ways to hold queries out: give one")
	case given == 0:
		c.Folds = 5
	}
	p := startProgress(ctx, t.err, "reading "+strings.Join(c.Data, ", "))
	defer p.stop()
	if err := folderOf("--json", c.JSON); err != nil {
		return err
	}
	w, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	w.eval.Folds, w.eval.LeaveSourcesOut, w.eval.Split = c.Folds, c.LeaveOut != "", dataset.Split(c.Split)
	r, err := w.run(ctx)
	if err != nil {
		return err
	}
	p.stop()
	r.Provenance.Command, r.Provenance.Version = c.command(w.set.Name), version
	if c.JSON != "" {
		var data bytes.Buffer
		if err := render.JSON(&data, r); err != nil {
			return err
		}
		if err := writeTo(t.out, "--json", c.JSON, data.Bytes()); err != nil || c.JSON == "-" {
			return err
		}
	}
	if err := r.WriteText(t.out); err != nil {
		return err
	}
	return printChosen(t.out, r)
}

// run compares the routers.
func (w *planning) run(ctx context.Context) (*eval.Report, error) {
	r, err := eval.Run(ctx, w.set, w.eval)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{withPlans, modelsAlone} {
		if lineOf(r, name) == nil {
			return nil, fmt.Errorf("compare plans: %s", strings.Join(r.Notes, "; "))
		}
	}
	return r, nil
}

// lineOf returns a router of a report, nil if it is not there.
func lineOf(r *eval.Report, name string) *eval.RouterLine {
	at := slices.IndexFunc(r.Routers, func(l eval.RouterLine) bool { return l.Name == name })
	if at < 0 {
		return nil
	}
	return &r.Routers[at]
}

// command is the command line without paths, which differ between machines.
func (c *planEvalCommand) command(set string) string {
	text := "carrot plan eval --data " + set
	switch {
	case c.LeaveOut != "":
		text += " --leave-out " + c.LeaveOut
	case c.Split != "":
		text += " --split " + c.Split
	default:
		text += fmt.Sprintf(" --folds %d", c.Folds)
	}
	return text + c.planFlags.command()
}

func (c *planFlags) command() (text string) {
	kind, _, _ := strings.Cut(c.Embedder, ":")
	for _, flag := range []struct{ name, value, usual string }{
		{"verifier", c.Verifier, ""}, {"max", fmt.Sprint(c.Max), "20"}, {"max-rounds", fmt.Sprint(c.MaxRounds), "0"},
		{"min-coverage", fmt.Sprint(c.MinCoverage), "0"}, {"predictor", c.Predictor, "blend"}, {"embedder", kind, "static"},
		{"seed", fmt.Sprint(c.Seed), "0"},
	} {
		if flag.value != flag.usual {
			text += " --" + flag.name + " " + flag.value
		}
	}
	if c.Prices != "" {
		text += " --prices " + filepath.Base(c.Prices)
	}
	return text
}

// mostShown is how many plans a comparison lists.
const mostShown = 20

// printChosen prints in how many fits each plan was chosen.
func printChosen(out io.Writer, r *eval.Report) error {
	line := lineOf(r, withPlans)
	count := map[string]int{}
	var names []string
	for _, setting := range line.Settings {
		var chosen struct{ Plans []string }
		if err := json.Unmarshal([]byte(setting), &chosen); err != nil {
			return fmt.Errorf("read the plans of %s: %w", withPlans, err)
		}
		for _, name := range chosen.Plans {
			if count[name]++; count[name] == 1 {
				names = append(names, name)
			}
		}
	}
	if len(names) == 0 {
		_, err := fmt.Fprintln(out, "\nno plan was chosen: none is worth anything on the queries fitted on")
		return err
	}
	slices.SortStableFunc(names, func(a, b string) int { return count[b] - count[a] })
	fmt.Fprintf(out, "\nplans, and in how many of %d fits they were chosen\n", len(line.Settings))
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, name := range names[:min(len(names), mostShown)] {
		fmt.Fprintf(tw, "%s\t%d\n", name, count[name])
	}
	if more := len(names) - mostShown; more > 0 {
		fmt.Fprintf(tw, "and %d more\n", more)
	}
	return tw.Flush()
}

type planSuggestCommand struct {
	planFlags
	JSON bool   `name:"json" help:"Print the plans as JSON (carrot.plans/1)."`
	Out  string `placeholder:"FILE" help:"Write the plans as JSON to a file, for carrot train --plans."`
}

func (c *planSuggestCommand) Help() string {
	return `Searches the plans that the pool allows, on the queries that are not marked test. Whether
they are kept is decided by leaving one source out at a time (with a single source, by
five folds): they are if a router of models and plans then has a higher AIQ than one of
models, by more than chance, and no lower peak by more than 0.001. It may keep none.

Examples:
  carrot plan suggest --data mydata --out plans.json
  carrot plan suggest --data mydata --verifier perfect --json`
}

// suggestion is the JSON form of a suggestion.
type suggestion struct {
	Schema   string        `json:"schema"`
	Dataset  string        `json:"dataset"`
	HeldOut  string        `json:"held_out"`
	Transfer plan.Transfer `json:"transfer"`
	Kept     bool          `json:"kept"`
	// Unlabelled is the number of plans that were left out because the answer of their first
	// round was returned, and scored, on fewer than LeastLabels queries.
	Unlabelled  int            `json:"unlabelled"`
	LeastLabels int            `json:"least_labels"`
	Plans       []plan.Summary `json:"plans"` // the candidates, also if they are not kept
}

func (c *planSuggestCommand) Run(ctx context.Context, t terminal) error {
	if c.Bootstrap == 0 {
		return usagef("--bootstrap 0: whether plans are kept depends on an interval")
	}
	if err := folderOf("--out", c.Out); err != nil {
		return err
	}
	p := startProgress(ctx, t.err, "reading "+strings.Join(c.Data, ", "))
	defer p.stop()
	w, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	rows := table.Trainable(w.set)
	all, err := table.New(ctx, w.set, w.embedder, table.Options{Book: w.eval.Book})
	if err != nil {
		return err
	}
	s := suggestion{Schema: plansSchema, Dataset: w.set.Name, LeastLabels: plan.LeastLabels, Plans: []plan.Summary{}}
	plans, left, err := plan.Search(all, rows, w.plans)
	if err != nil {
		return err
	}
	s.Unlabelled = left
	if len(plans) > 0 {
		if s.Plans, err = plan.Summarise(all, plans, all.CompleteOf(rows)); err != nil {
			return err
		}
		if _, sources := table.Sources(w.set, rows); sources > 1 {
			w.eval.LeaveSourcesOut = true
		} else {
			w.eval.Folds = 5
		}
		r, err := w.run(ctx)
		if err != nil {
			return err
		}
		if s.Transfer, err = transferOf(r); err != nil {
			return err
		}
		s.HeldOut, s.Kept = r.Split, s.Transfer.Keeps()
	}
	p.stop()
	write := func(w io.Writer) error {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", " ")
		return encoder.Encode(s)
	}
	if c.Out != "" {
		if err := atomicfile.Write(c.Out, 0o644, write); err != nil {
			return fmt.Errorf("write plans: %w", err)
		}
		wrote(t.out, c.Out)
	}
	if c.JSON {
		return write(t.out)
	}
	return s.print(t.out)
}

// plansSchema names the JSON form of a suggestion.
const plansSchema = "carrot.plans/1"

// maxPlansFile is the largest file of plans, in bytes.
const maxPlansFile = 16 << 20

// readPlans reads the names of the plans in a file that carrot plan suggest wrote, if they
// are kept. Without a file there are none.
func readPlans(path string, warn func(string)) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	text, err := readfile.Read(path, maxPlansFile)
	if err != nil {
		return nil, fmt.Errorf("read plans: %w", err)
	}
	var s suggestion
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("read plans: %s: %w", path, phrase.JSON(err))
	}
	if s.Schema != plansSchema {
		return nil, hinted{fmt.Errorf("read plans: %s: schema %q, want %q", path, s.Schema, plansSchema), "carrot plan suggest --out writes such a file"}
	}
	if !s.Kept {
		warn(path + ": no plan was kept, so the router has none")
		return nil, nil
	}
	var names []string
	for _, p := range s.Plans {
		names = append(names, p.Plan)
	}
	return names, nil
}

// transferOf reads off a report what plans change.
func transferOf(r *eval.Report) (plan.Transfer, error) {
	with, without := lineOf(r, withPlans), lineOf(r, modelsAlone)
	for _, p := range r.Pairs {
		if p.A == withPlans && p.B == modelsAlone && len(p.Interval) == 2 {
			return plan.Transfer{AIQ: float64(p.AIQDiff), Interval: [2]float64{float64(p.Interval[0]), float64(p.Interval[1])}, Peak: float64(with.Peak - without.Peak)}, nil
		}
	}
	return plan.Transfer{}, errors.New("the two routers cannot be compared")
}

func (s *suggestion) print(out io.Writer) error {
	if s.Unlabelled > 0 {
		fmt.Fprintf(out, "%s left out: their first answer is kept and scored on fewer than %s, so how often it is right is not known\n",
			phrase.Count(s.Unlabelled, "plan")+" "+phrase.Verb(s.Unlabelled, "is", "are"), phrase.Count(s.LeastLabels, "query"))
	}
	if len(s.Plans) == 0 {
		_, err := fmt.Fprintf(out, "%s: no plan is worth anything beside the models\n", s.Dataset)
		return err
	}
	word := "kept"
	if !s.Kept {
		word = "not kept"
	}
	fmt.Fprintf(out, "%s, %s: with %s, AIQ %+.4f [%+.4f, %+.4f], peak %+.4f: %s\n", s.Dataset, s.HeldOut, phrase.Count(len(s.Plans), "plan"),
		s.Transfer.AIQ, s.Transfer.Interval[0], s.Transfer.Interval[1], s.Transfer.Peak, word)
	if !s.Kept {
		fmt.Fprintln(out, "No plan is kept. Those that would have been, by the queries they were chosen on:")
	}
	fmt.Fprintln(out)
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "plan\tquality\tUSD a query\tfirst answer kept\tright then\trounds\tcalls")
	for _, p := range s.Plans {
		right := "none"
		if g := p.Gate; g.Right != nil {
			right = fmt.Sprintf("%.3f [%.3f, %.3f]", *g.Right, g.Interval[0], g.Interval[1])
		}
		fmt.Fprintf(tw, "%s\t%.4f\t%.3g\t%.1f%%\t%s\t%.2f\t%.2f\n", p.Plan, p.Quality, p.CostUSD, 100*p.Accepted, right, p.Rounds, p.Turns)
	}
	return tw.Flush()
}

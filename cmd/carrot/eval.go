package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/eval"
	"github.com/carrot-router/carrot/internal/rivals"
	"github.com/carrot-router/carrot/price"
	"github.com/carrot-router/carrot/train"
)

type evalCommand struct {
	Data      []string `required:"" placeholder:"DIR" help:"Data folder; several are joined."`
	Router    []string `placeholder:"FILE" help:"Saved routers to measure on --split."`
	Split     string   `enum:"train,validation,test" default:"test" help:"Rows to measure on: train, validation or test."`
	Folds     int      `placeholder:"K" help:"Measure predictors out of fold over train and validation instead, with K folds by prompt hash."`
	LeaveOut  string   `enum:",source" default:"" placeholder:"source" help:"The same, leaving one source out at a time."`
	Predictor []string `placeholder:"NAME" help:"Predictors to fit on the rows not measured: blend, knn:k=128, …; blend if neither this nor --router is given."`
	Rivals    string   `placeholder:"NAMES" help:"Routers of other methods to fit beside: all, fast, or names (see below)."`
	Embedder  []string `default:"static" help:"Embedders for --predictor and --rivals: static, bert:DIR, …"`
	Caution   float64  `placeholder:"X" help:"Factor in (0,1] that shrinks the fitted predictors' quality estimates."`
	Prices    string   `placeholder:"FILE" help:"Price book; else the prices of the data's models.json."`

	Pair          []string `placeholder:"A,B" help:"Two models to route between, with RouteLLM's figures APGR and CPT."`
	CountCalls    string   `placeholder:"MODEL" help:"Count a call of MODEL as cost 1 and others as 0: for data without tokens."`
	LearningCurve bool     `help:"Fit on growing shares of the queries too."`
	Robustness    bool     `help:"Change every prompt (case, white space, typos, suffixes) and see what becomes of the choices."`
	Protocol      string   `enum:",paper" default:"" placeholder:"paper" help:"Measure by the protocol of the paper's code too, beside ours (docs/protocol.md)."`
	Objective     []string `placeholder:"NAME" help:"Objectives at which --details tell regret: mu=0.3, usd-per-quality=0.01; else what 1, 10 and 100 calls of the dearest model cost."`
	Details       bool     `help:"Print the settings chosen, regret, calibration, traffic and sources too."`

	Bootstrap int    `default:"1000" help:"Resamples for the intervals; 0 for none."`
	Seed      uint64 `placeholder:"N" help:"Seed of fits and resamples."`
	NoCache   bool   `help:"Fit anew, and keep no fitted router."`
	JSON      string `name:"json" placeholder:"FILE" help:"Write the report as JSON (carrot.eval/1); - for standard output."`

	reportFlags
}

func (c *evalCommand) Help() string {
	return `Prints AIQ, peak quality, QNC, cost@95 and calibration with bootstrap intervals
and paired differences, beside four reference rows: mean, best-single,
zero-router and oracle.

Rivals: ` + strings.Join(rivalNames(), ", ") + `.
Every rival starts from its authors' settings and is tuned within the queries
fitted on, with one budget of trials for all (docs/rivals.md). Fitted routers are
kept, so that an interrupted run goes on where it stopped.

Examples:
  carrot eval --data mydata --router router.safetensors
  carrot eval --data mydata --folds 5 --predictor blend,knn
  carrot eval --data mydata --rivals all
  carrot eval --data mydata --leave-out source --json report.json`
}

// rivalNames lists the rivals that --rivals takes.
func rivalNames() []string { return append(rivals.Names(), "cascade", "cascade=ACCURACY") }

// evaluation is one run of the command.
type evaluation struct {
	*evalCommand
	book       *price.Book
	set        *dataset.Set
	folder     string // fingerprint of the data as it was given
	p          *progress
	tasks      map[string]*train.Task // by embedder spec
	variants   map[*train.Task][][]carrot.Representation
	rows       []int
	parts      []eval.Part
	cache      eval.Cache
	objectives []carrot.Objective
	notes      []string
	plan       *plan
}

func (c *evalCommand) check() error {
	switch {
	case c.Folds != 0 && c.Folds < 2:
		return usagef("--folds %d: want at least 2", c.Folds)
	case c.Folds != 0 && c.LeaveOut != "":
		return usagef("--folds and --leave-out are two ways to hold queries out: give one")
	case c.outOfFold() && len(c.Router) > 0:
		return usagef("--router is fitted already; --folds and --leave-out fit: use --predictor")
	case c.Protocol != "" && (c.outOfFold() || len(c.Router) > 0):
		return usagef("--protocol paper fits on one split and measures on another: use --split, and --predictor or --rivals")
	case c.Bootstrap < 0:
		return usagef("--bootstrap %d: want 0 or more", c.Bootstrap)
	case c.OutOfDomain != "" && c.HTML == "" && c.Markdown == "":
		return usagef("--out-of-domain is shown by --html and --markdown: give one")
	case c.CountCalls != "" && c.Prices != "":
		return usagef("--count-calls counts calls and needs no --prices: give one")
	case len(c.Pair) == 2 && c.Pair[0] == c.Pair[1]:
		return usagef("--pair %s: want two different models", strings.Join(c.Pair, ","))
	case len(c.Pair) != 0 && len(c.Pair) != 2:
		return usagef("--pair: want two models, as in --pair gpt-4,mixtral")
	}
	return nil
}

func (c *evalCommand) outOfFold() bool { return c.Folds > 0 || c.LeaveOut != "" }

func (c *evalCommand) Run(ctx context.Context, t terminal) error {
	if err := c.check(); err != nil {
		return err
	}
	e := &evaluation{evalCommand: c, p: newProgress(t.err), tasks: map[string]*train.Task{}, variants: map[*train.Task][][]carrot.Representation{}}
	for _, text := range c.Objective {
		o, err := carrot.ParseObjective(text)
		if err == nil {
			_, err = o.Resolve(carrot.Frontier{})
		}
		if err != nil {
			return usageError{err}
		}
		e.objectives = append(e.objectives, o)
	}
	contenders, err := e.contenders()
	if err != nil {
		return err
	}
	if err := c.reportFlags.open(); err != nil {
		return err
	}
	if e.book, err = openBook(c.Prices); err != nil {
		return err
	}
	defer e.p.done()
	if e.set, _, err = loadSets(ctx, c.Data); err != nil {
		return err
	}
	e.folder = e.set.Fingerprint
	if err := e.choose(); err != nil {
		return err
	}
	if !c.NoCache {
		e.cache = fittedCache()
	}
	report, err := e.compare(ctx, contenders)
	if err != nil {
		return err
	}
	e.p.done()
	if err := c.reportFlags.write(report); err != nil {
		return err
	}
	return c.write(t.out, report)
}

// choose sets the models, and the rows to fit and to measure on.
func (e *evaluation) choose() error {
	if len(e.Pair) > 0 {
		if err := e.restrict(); err != nil {
			return err
		}
	}
	var err error
	switch {
	case e.Folds > 0:
		e.set = e.set.Subset(train.Trainable(e.set), nil)
		e.parts, err = eval.Folds(e.set, e.Folds)
	case e.LeaveOut != "":
		e.set = e.set.Subset(train.Trainable(e.set), nil)
		e.parts, err = eval.Sources(e.set)
	default:
		e.parts, e.rows = eval.Split(e.set, dataset.Split(e.Split)), e.set.Rows(dataset.Split(e.Split))
		if len(e.rows) == 0 {
			return hinted{fmt.Errorf("data set %s has no rows marked %s", e.set.Name, e.Split),
				"--split validation, or --folds 5 to measure out of fold over train and validation"}
		}
		return nil
	}
	e.rows = train.Trainable(e.set)
	return err
}

// restrict keeps the two models of --pair.
func (e *evaluation) restrict() error {
	var columns []int
	for _, name := range e.Pair {
		at := slices.IndexFunc(e.set.Models, func(m dataset.Model) bool { return m.Name == name })
		if at < 0 {
			var names []string
			for _, m := range e.set.Models {
				names = append(names, m.Name)
			}
			return fmt.Errorf("--pair: data set %s has no model %q; it has %s", e.set.Name, name, strings.Join(names, ", "))
		}
		columns = append(columns, at)
	}
	e.set = e.set.Subset(nil, columns)
	for j := range e.set.Models {
		e.set.Models[j].Pool = true
	}
	return nil
}

// task prepares the data with an embedder, once.
func (e *evaluation) task(ctx context.Context, spec string) (*train.Task, carrot.Embedder, error) {
	embedder, err := openEmbedder(spec, e.p.count("embedding prompts with "+spec))
	if err != nil {
		return nil, nil, err
	}
	t, err := e.prepare(ctx, spec, embedder)
	return t, embedder, err
}

// prepare makes the task of an embedder, once.
func (e *evaluation) prepare(ctx context.Context, name string, embedder carrot.Embedder) (*train.Task, error) {
	if t := e.tasks[name]; t != nil {
		return t, nil
	}
	e.p.say("embedding prompts with " + name)
	t, err := e.prepareTask(ctx, embedder)
	if err != nil {
		return nil, err
	}
	if e.Robustness {
		e.p.say("embedding changed prompts with " + name)
		if e.variants[t], err = eval.Vary(ctx, t, embedder); err != nil {
			return nil, err
		}
	}
	e.tasks[name] = t
	return t, nil
}

func (e *evaluation) prepareTask(ctx context.Context, embedder carrot.Embedder) (*train.Task, error) {
	if e.CountCalls == "" {
		return train.Prepare(ctx, e.set, embedder, e.book)
	}
	return train.PrepareCalls(ctx, e.set, embedder, e.CountCalls)
}

func (e *evaluation) compare(ctx context.Context, contenders []contender) (*eval.Report, error) {
	var entries []*eval.Entry
	for _, path := range e.Router {
		entry, err := e.saved(ctx, path)
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	first := e.Embedder[0]
	if len(e.Router) > 0 {
		first = "static"
	}
	base, _, err := e.task(ctx, first)
	if err != nil {
		return nil, err
	}
	mean, curves, err := e.fitAll(ctx, base, contenders, &entries)
	if err != nil {
		return nil, err
	}
	e.p.say("bootstrap")
	report, err := eval.Compare(ctx, base, e.rows, entries, mean,
		eval.Options{Split: e.label(), Bootstrap: e.Bootstrap, Seed: e.Seed, Objectives: e.objectives, Progress: e.p.count("bootstrap")})
	if err != nil {
		return nil, err
	}
	for k := range report.Routers {
		report.Routers[k].LearningCurve = curves[report.Routers[k].Name]
	}
	if e.Protocol != "" {
		if report.Protocols, err = e.protocols(ctx, base, contenders, entries); err != nil {
			return nil, err
		}
	}
	report.Notes, report.Fingerprint = append(report.Notes, e.notes...), e.folder
	report.Provenance.Command, report.Provenance.Version = e.command(), version
	return report, nil
}

// command is the command line without paths, which differ between machines.
func (e *evaluation) command() string {
	text := "carrot eval --data " + e.set.Name
	add := func(flag, value string) {
		if value != "" && value != "0" {
			text += " --" + flag + " " + value
		}
	}
	var routers, embedders []string
	for _, path := range e.Router {
		routers = append(routers, filepath.Base(path))
	}
	for _, spec := range e.Embedder {
		kind, _, _ := strings.Cut(spec, ":")
		embedders = append(embedders, kind)
	}
	add("router", strings.Join(routers, ","))
	switch {
	case e.Folds > 0:
		add("folds", fmt.Sprint(e.Folds))
	case e.LeaveOut != "":
		add("leave-out", e.LeaveOut)
	default:
		add("split", e.Split)
	}
	add("predictor", strings.Join(e.Predictor, ","))
	add("rivals", e.Rivals)
	add("embedder", strings.Join(embedders, ","))
	if e.Caution > 0 {
		add("caution", fmt.Sprint(e.Caution))
	}
	add("protocol", e.Protocol)
	add("pair", strings.Join(e.Pair, ","))
	add("count-calls", e.CountCalls)
	if e.Prices != "" {
		add("prices", filepath.Base(e.Prices))
	}
	add("objective", strings.Join(e.Objective, ","))
	if e.LearningCurve {
		text += " --learning-curve"
	}
	if e.Robustness {
		text += " --robustness"
	}
	add("seed", fmt.Sprint(e.Seed))
	return text
}

func (e *evaluation) label() string {
	switch {
	case e.Folds > 0:
		return fmt.Sprintf("out of fold (%d)", e.Folds)
	case e.LeaveOut != "":
		return "leave one source out"
	}
	return e.Split
}

// saved lets a saved router answer the rows.
func (e *evaluation) saved(ctx context.Context, path string) (*eval.Entry, error) {
	a, err := openRouter(path)
	if err != nil {
		return nil, err
	}
	t, embedder, err := e.task(ctx, a.Manifest.Embedder.Spec)
	if err != nil {
		return nil, err
	}
	if embedder.ID() != a.Manifest.Embedder.ID {
		return nil, fmt.Errorf("router %s: embedder %s: %w, %s", path, embedder.ID(), artifact.ErrEmbedder, a.Manifest.Embedder.ID)
	}
	if err := knowsAll(path, a.Predictor.Models(), t.ModelNames()); err != nil {
		return nil, err
	}
	if e.overlaps(a) {
		e.notes = append(e.notes, fmt.Sprintf("%s was trained on this data: outside test its figures are optimistic", filepath.Base(path)))
	}
	entry := eval.NewEntry(stem(path), t)
	return entry, entry.PredictVaried(a.Predictor.Only(t.ModelNames()), e.rows, e.variants[t])
}

// knowsAll refuses a router that does not know a model of the data's pool.
func knowsAll(path string, known, wanted []string) error {
	for _, name := range wanted {
		if !slices.Contains(known, name) {
			return fmt.Errorf("router %s does not know model %q of the data's pool; it knows %s", path, name, strings.Join(known, ", "))
		}
	}
	return nil
}

// overlaps reports whether the router was trained on rows that are measured:
// by the fingerprint of the training data, which covers all splits of a folder
// that has them.
func (e *evaluation) overlaps(a *artifact.Artifact) bool {
	return e.Split != "test" && slices.ContainsFunc(a.Manifest.Data, func(d artifact.Data) bool {
		return d.Fingerprint == e.set.Fingerprint || d.Name == e.set.Name
	})
}

func (c *evalCommand) write(w io.Writer, r *eval.Report) error {
	text := func() error {
		if err := r.WriteText(w); err != nil || !c.Details {
			return err
		}
		return r.WriteDetails(w)
	}
	if c.JSON == "" {
		return text()
	}
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if c.JSON == "-" {
		_, err = w.Write(data)
		return err
	}
	if err := os.WriteFile(c.JSON, data, 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return text()
}

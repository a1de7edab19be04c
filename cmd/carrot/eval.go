package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/eval"
	"github.com/carrot-router/carrot/internal/plan"
	render "github.com/carrot-router/carrot/internal/report"
	"github.com/carrot-router/carrot/table"
)

type evalCommand struct {
	Data        []string `placeholder:"DIR" help:"Data folder; several are joined."`
	Router      []string `placeholder:"FILE" help:"Saved routers to measure on --split."`
	Split       string   `enum:"train,validation,test" default:"test" help:"Rows to measure on: train, validation or test."`
	Folds       int      `placeholder:"K" help:"Measure predictors out of fold over train and validation instead, with K folds by prompt hash."`
	LeaveOut    string   `enum:",source" default:"" placeholder:"source" help:"The same, leaving one source out at a time."`
	Predictor   []string `placeholder:"NAME" help:"Predictors to fit on the rows not measured: blend, knn:k=128, …; blend if neither this nor --router is given."`
	Predictions []string `placeholder:"[NAME=]FILE" help:"Predictions of another program's router, as JSON lines (docs/own-router.md)."`
	Rivals      string   `placeholder:"NAMES" help:"Rival methods to fit as well: all, fast, or names (see below)."`
	Embedder    []string `default:"static" help:"Embedders for --predictor, --rivals and those saved routers that need one: static, bert:DIR, npy:FILE, …"`
	Caution     float64  `placeholder:"X" help:"Factor in (0,1] that shrinks the fitted predictors' quality estimates."`
	Prices      string   `placeholder:"FILE" help:"Price book; by default the prices in the data's models.json."`
	MinCoverage float64  `placeholder:"X" help:"Leave out models that have a score and a cost on less than this share of the queries."`

	Pair          []string `placeholder:"A,B" help:"Two models to route between, with RouteLLM's figures APGR and CPT."`
	CountCalls    string   `placeholder:"MODEL" help:"Count a call of MODEL as cost 1 and others as 0: for data without tokens."`
	LearningCurve bool     `help:"Also fit on growing shares of the queries."`
	Robustness    bool     `help:"Change every prompt (case, white space, typos, suffixes) and compare the choices."`
	Protocol      string   `enum:",paper" default:"" placeholder:"paper" help:"Also measure by the protocol of the paper's code (docs/protocol.md)."`
	Objective     []string `placeholder:"NAME" help:"Objectives at which --details shows regret, such as mu=0.3; by default the cost of 1, 10 and 100 calls of the most expensive model."`
	Promise       []string `placeholder:"NAME" sep:"none" help:"Objectives with promises, such as min-quality=0.8@0.95: measure how often predictors keep them. Can be repeated."`
	Ledger        string   `placeholder:"DSN" help:"Store of a gateway: estimate from its requests what --objective or --router would have been worth, in place of --data."`
	Policy        string   `placeholder:"NAME" help:"With --ledger, only requests of this policy."`
	Since         string   `placeholder:"TIME" help:"With --ledger, only requests since then: a day, or an age such as 30d."`
	Details       bool     `help:"Also print the settings chosen, regret, calibration, traffic and sources."`

	Bootstrap int    `default:"1000" help:"Resamples for the intervals; 0 for none."`
	Seed      uint64 `placeholder:"N" help:"Seed of fits and resamples."`
	NoCache   bool   `help:"Fit everything again, and keep no fitted router."`
	JSON      string `name:"json" placeholder:"FILE" help:"Write the report as JSON (carrot.eval/1); - for standard output."`

	reportFlags
}

func (c *evalCommand) Help() string {
	return `Prints AIQ, peak quality, QNC, cost@95 and calibration with bootstrap intervals
and paired differences, beside four reference rows: mean, best-single,
zero-router and oracle.

Rivals: ` + strings.Join(eval.RivalNames(), ", ") + `.
Every rival starts from its authors' settings and is tuned on the queries it is
fitted on, all with the same budget of trials (docs/rivals.md). Fitted routers are
kept, so that an interrupted run resumes where it stopped.

--predictions measures a router that another program runs; carrot data folds writes
the folds that it must be fitted on. Its name is NAME or, without one, the file's.

--ledger estimates what other decisions would have been worth on a gateway's requests
with feedback, by inverse propensity, self-normalised and doubly robust (docs/learn.md).
It needs exploration, and refuses to conclude without enough of it.

Examples:
  carrot eval --data mydata --router router.safetensors
  carrot eval --data mydata --folds 5 --predictor blend,knn
  carrot eval --data mydata --rivals all
  carrot eval --data mydata --folds 5 --predictions mine=predictions.jsonl
  carrot eval --data mydata --leave-out source --json report.json
  carrot eval --data mydata --folds 5 --promise min-quality=0.8@0.95 --promise max-cost=0.01@0.9
  carrot eval --ledger carrot.db --objective w=0.02 --policy auto --since 30d`
}

func (c *evalCommand) check() error {
	switch {
	case len(c.Data) == 0:
		return usagef("missing flags: --data=DIR,... or --ledger=DSN")
	case c.Policy != "" || c.Since != "":
		return usagef("--policy and --since choose requests of a --ledger")
	case c.Folds != 0 && c.Folds < 2:
		return usagef("--folds %d: want at least 2", c.Folds)
	case c.Folds != 0 && c.LeaveOut != "":
		return usagef("--folds and --leave-out are two ways to hold queries out: give one")
	case c.outOfFold() && len(c.Router) > 0:
		return usagef("--router is fitted already, and --folds and --leave-out fit: use --predictor")
	case c.Protocol != "" && (c.outOfFold() || len(c.Router) > 0):
		return usagef("--protocol paper fits on one split and measures on another: use --split, and --predictor or --rivals")
	case c.Bootstrap < 0:
		return usagef("--bootstrap %d: want 0 or more", c.Bootstrap)
	case !(c.MinCoverage >= 0 && c.MinCoverage <= 1):
		return usagef("--min-coverage %v: want a share between 0 and 1", c.MinCoverage)
	case c.Robustness && slices.ContainsFunc(c.Embedder, func(spec string) bool { return strings.HasPrefix(spec, "npy:") }):
		return usagef("--robustness changes prompts, and an npy embedder has no vectors of changed ones: leave one out")
	case c.CountCalls != "" && c.Prices != "":
		return usagef("--count-calls counts calls and needs no --prices: give one")
	case len(c.Pair) == 2 && c.Pair[0] == c.Pair[1]:
		return usagef("--pair %s: want two different models", strings.Join(c.Pair, ","))
	case len(c.Pair) != 0 && len(c.Pair) != 2:
		return usagef("--pair: want two models, as in --pair gpt-4,mixtral")
	}
	return c.reportFlags.check()
}

func (c *evalCommand) outOfFold() bool { return c.Folds > 0 || c.LeaveOut != "" }

func (c *evalCommand) Run(ctx context.Context, t terminal) error {
	if c.Ledger != "" {
		return c.runLedger(ctx, t)
	}
	if err := c.check(); err != nil {
		return err
	}
	o := eval.Options{Split: dataset.Split(c.Split), Folds: c.Folds, LeaveSourcesOut: c.LeaveOut != "", Pair: c.Pair, CountCalls: c.CountCalls,
		LearningCurve: c.LearningCurve, Robustness: c.Robustness, PaperProtocol: c.Protocol != "", Bootstrap: c.Bootstrap, Seed: c.Seed}
	for _, list := range []struct {
		texts []string
		to    *[]carrot.Objective
	}{{c.Objective, &o.Objectives}, {c.Promise, &o.Promises}} {
		for _, text := range list.texts {
			objective, err := carrot.ParseObjective(text)
			if err == nil {
				_, err = objective.Resolve(carrot.Frontier{})
			}
			if err != nil {
				return usageError{err}
			}
			*list.to = append(*list.to, objective)
		}
	}
	p := startProgress(ctx, t.err, "reading "+strings.Join(c.Data, ", "))
	defer p.stop()
	load := sync.OnceValues(func() (*dataset.Set, error) { return loadSet(ctx, c.Data) })
	var err error
	if o.Contenders, o.Embedder, err = c.contenders(p, t.warn, load); err != nil {
		return err
	}
	if err := c.reportFlags.open(); err != nil {
		return err
	}
	if err := folderOf("--json", c.JSON); err != nil {
		return err
	}
	if o.Book, err = openBook(c.Prices); err != nil {
		return err
	}
	set, err := load()
	if err != nil {
		return err
	}
	if set, err = covered(set, c.MinCoverage, p.warn); err != nil {
		return err
	}
	if !c.NoCache {
		o.CacheDir = cacheFolder("fitted")
	}
	o.Progress = p.share
	report, err := eval.Run(ctx, set, o)
	if err != nil {
		return c.explain(err, set)
	}
	p.stop()
	report.Provenance.Command, report.Provenance.Version = c.command(set.Name), version
	if err := c.reportFlags.write(report); err != nil {
		return err
	}
	return c.write(t.out, report)
}

// loadSet loads a data folder, or joins several.
func loadSet(ctx context.Context, dirs []string) (*dataset.Set, error) {
	sets, err := loadSets(ctx, dirs)
	switch {
	case err != nil:
		return nil, err
	case len(sets) == 1:
		return sets[0], nil
	}
	return dataset.Join(sets, dataset.JoinOptions{})
}

// explain adds to an error of the evaluation what to do about it.
func (c *evalCommand) explain(err error, set *dataset.Set) error {
	_, unpriced := errors.AsType[*table.UnpricedError](err)
	switch {
	case errors.Is(err, eval.ErrSameName):
		return usageError{fmt.Errorf("%w: leave one out, or measure them one by one", err)}
	case unpriced || errors.Is(err, eval.ErrNoCosts):
		return hinted{err, "--count-calls MODEL counts calls instead of costs"}
	case errors.Is(err, eval.ErrNoRows) && !c.outOfFold() && len(set.Rows(dataset.Split(c.Split))) == 0:
		return hinted{err, "--split validation, or --folds 5 to measure out of fold over train and validation"}
	}
	return err
}

// contenders lists the routers that the flags ask for, in the order of the
// report, and the embedder of the reference rows. It loads the data only if an embedder
// needs their prompts.
func (c *evalCommand) contenders(p *progress, warn func(string), load func() (*dataset.Set, error)) (out []eval.Contender, base carrot.Embedder, err error) {
	embedders := make([]carrot.Embedder, len(c.Embedder))
	for k, spec := range c.Embedder {
		texts, err := promptsOf(spec, c.Data, load)
		if err != nil {
			return nil, nil, err
		}
		if embedders[k], err = openEmbedder(spec, texts, p.count("embedding prompts with "+spec)); err != nil {
			return nil, nil, err
		}
	}
	var plans []plan.Plan // of all routers
	for _, path := range c.Router {
		a, err := openRouter(path, p.warn)
		if err != nil {
			return nil, nil, err
		}
		embedder, err := embedderOf(a, embedders)
		if err != nil {
			return nil, nil, fmt.Errorf("router %s: %w", path, err)
		}
		known := eval.Contender{Name: stem(path), Embedder: embedder, Fitted: a.Predictor}
		for _, d := range a.Manifest.Data {
			known.TrainedOn = append(known.TrainedOn, d.Name, d.Fingerprint)
		}
		if len(a.Manifest.Plans) > 0 {
			own, err := plansOf(a, c.Seed, load, p.warn)
			if err != nil {
				return nil, nil, fmt.Errorf("router %s: %w", path, err)
			}
			known.Fitted = plan.Saved{Predictor: a.Predictor, Plans: own}
			for _, one := range own {
				if !slices.ContainsFunc(plans, func(o plan.Plan) bool { return o.String() == one.String() }) {
					plans = append(plans, one)
				}
			}
		}
		out = append(out, known)
	}
	add := func(one eval.Contender) {
		if one.Embedder != nil { // its own
			out = append(out, one)
			return
		}
		name := one.Name
		for k, spec := range c.Embedder {
			one.Name, one.Embedder = c.named(name, spec), embedders[k]
			out = append(out, one)
		}
	}
	predictors := c.Predictor
	if len(predictors) == 0 && len(c.Router) == 0 {
		predictors = []string{"blend"}
	}
	for _, text := range predictors {
		spec, err := specOf(text, c.Caution, c.Seed)
		if err != nil {
			return nil, nil, err
		}
		if text != "mean" { // that is always there, among the reference rows
			add(eval.Predictor(text, spec))
		}
	}
	for _, text := range c.Predictions {
		p.say("reading predictions " + text)
		one, err := externalRouter(text)
		if err != nil {
			return nil, nil, err
		}
		add(one)
	}
	if names := c.rivals(); names != "" {
		others, err := eval.Rivals(names, c.Seed)
		if err != nil {
			return nil, nil, usagef("--rivals: %v", err)
		}
		for _, one := range others {
			add(one)
		}
	}
	if len(plans) > 0 {
		out = append(out, eval.Contender{Name: plansOracle, Fitted: plan.SavedOracle{Plans: plans}})
	}
	if len(c.Router) > 0 {
		base, err = openEmbedder("static", nil, nil)
		return out, base, err
	}
	return out, embedders[0], nil
}

// plansOf returns the plans of a saved router that can be run on the data. seed is that
// of the errors of verifiers.
func plansOf(a *artifact.Artifact, seed uint64, load func() (*dataset.Set, error), warn func(string)) ([]plan.Plan, error) {
	var names []string
	for _, p := range a.Manifest.Plans {
		names = append(names, p.Name)
	}
	all, err := plan.ParseAll(names, seed)
	if err != nil {
		return nil, err
	}
	set, err := load()
	if err != nil {
		return nil, err
	}
	var out []plan.Plan
	for _, one := range all {
		if err := plan.NewRecorded(set.Subset(nil, set.Pool()), dataset.Matrix{}).Check(one); err != nil {
			warn(err.Error() + ": it is left out")
			continue
		}
		out = append(out, one)
	}
	return out, nil
}

// namedFile splits NAME=FILE. The name of a FILE alone is the file's, without its
// folder and ending.
func namedFile(text string) (name, path string) {
	name, path, ok := strings.Cut(text, "=")
	if !ok || strings.ContainsAny(name, `/\`) { // the = is part of the path
		return stem(strings.TrimSuffix(text, ".gz")), text
	}
	return name, path
}

// externalRouter reads the predictions that a flag names, FILE or NAME=FILE.
func externalRouter(text string) (eval.Contender, error) {
	name, path := namedFile(text)
	if name == "" || path == "" {
		return eval.Contender{}, usagef("--predictions %q: want FILE or NAME=FILE", text)
	}
	f, err := os.Open(path)
	if err != nil {
		return eval.Contender{}, fmt.Errorf("read predictions: %w", err)
	}
	defer f.Close() // only read from
	return eval.External(name, f, path)
}

// embedderOf returns the embedder of a saved router: one of those that --embedder
// names, or the table in the binary.
func embedderOf(a *artifact.Artifact, named []carrot.Embedder) (carrot.Embedder, error) {
	for _, embedder := range named {
		if embedder.ID() == a.Manifest.Embedder.ID {
			return embedder, nil
		}
	}
	spec, err := embedderSpec(a, "")
	if err != nil {
		return nil, err
	}
	embedder, err := openEmbedder(spec, nil, nil)
	if err != nil {
		return nil, err
	}
	if embedder.ID() != a.Manifest.Embedder.ID {
		return nil, fmt.Errorf("embedder %s: %w, %s", embedder.ID(), artifact.ErrEmbedder, a.Manifest.Embedder.ID)
	}
	return embedder, nil
}

// rivals names the rivals asked for and, with --protocol paper, the paper's
// router.
func (c *evalCommand) rivals() string {
	paper := func(name string) bool { return name == "all" || name == "fast" || name == "carrot-knn" }
	if c.Protocol != "" && !slices.ContainsFunc(strings.Split(c.Rivals, ","), paper) {
		return strings.TrimPrefix(c.Rivals+",carrot-knn", ",")
	}
	return c.Rivals
}

// stem is a file's name without its folder and ending.
func stem(path string) string { return strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)) }

// named is a router's name in the report: with its embedder if there are
// several, or another one than the usual.
func (c *evalCommand) named(name, embedder string) string {
	if len(c.Embedder) > 1 || embedder != "static" {
		kind, _, _ := strings.Cut(embedder, ":")
		name += "/" + kind
	}
	return name
}

// command is the command line without paths, which differ between machines.
func (c *evalCommand) command(set string) string {
	text := "carrot eval --data " + set
	add := func(flag, value string) {
		if value != "" && value != "0" {
			text += " --" + flag + " " + value
		}
	}
	var routers, embedders []string
	for _, path := range c.Router {
		routers = append(routers, filepath.Base(path))
	}
	for _, spec := range c.Embedder {
		kind, _, _ := strings.Cut(spec, ":")
		embedders = append(embedders, kind)
	}
	add("router", strings.Join(routers, ","))
	switch {
	case c.Folds > 0:
		add("folds", fmt.Sprint(c.Folds))
	case c.LeaveOut != "":
		add("leave-out", c.LeaveOut)
	default:
		add("split", c.Split)
	}
	add("predictor", strings.Join(c.Predictor, ","))
	var predictions []string
	for _, text := range c.Predictions {
		name, path := namedFile(text)
		predictions = append(predictions, name+"="+filepath.Base(path))
	}
	add("predictions", strings.Join(predictions, ","))
	add("rivals", c.Rivals)
	add("embedder", strings.Join(embedders, ","))
	if c.Caution > 0 {
		add("caution", fmt.Sprint(c.Caution))
	}
	if c.MinCoverage > 0 {
		add("min-coverage", fmt.Sprint(c.MinCoverage))
	}
	add("protocol", c.Protocol)
	add("pair", strings.Join(c.Pair, ","))
	add("count-calls", c.CountCalls)
	if c.Prices != "" {
		add("prices", filepath.Base(c.Prices))
	}
	add("objective", strings.Join(c.Objective, ","))
	if c.LearningCurve {
		text += " --learning-curve"
	}
	if c.Robustness {
		text += " --robustness"
	}
	add("seed", fmt.Sprint(c.Seed))
	return text
}

func (c *evalCommand) write(w io.Writer, r *eval.Report) error {
	if c.JSON == "" {
		return writeTables(w, r, c.Details)
	}
	var data bytes.Buffer
	if err := render.JSON(&data, r); err != nil {
		return err
	}
	if err := writeTo(w, "--json", c.JSON, data.Bytes()); err != nil || c.JSON == "-" {
		return err
	}
	return writeTables(w, r, c.Details)
}

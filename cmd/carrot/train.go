package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/learn"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/price"
	"github.com/carrot-router/carrot/table"
	"github.com/carrot-router/carrot/train"
)

type trainCommand struct {
	Data         []string `placeholder:"DIR" help:"Data folders, joined if there are several."`
	Ledger       string   `placeholder:"DSN" help:"Store of a gateway: correct the router that is trained on --data, or that of --router, by requests with feedback."`
	Router       string   `placeholder:"FILE" help:"With --ledger and without --data, the saved router to correct."`
	Policy       string   `placeholder:"NAME" help:"With --ledger, only requests of this policy."`
	Since        string   `placeholder:"TIME" help:"With --ledger, only requests since then: a day, or an age such as 30d."`
	Out          string   `required:"" placeholder:"FILE" help:"Where to save the router."`
	Embedder     string   `default:"static" help:"${embedder_help}"`
	Predictor    string   `default:"blend" help:"blend, kernel, sparse, knn, ridge or mean, with hyperparameters if wanted: knn:k=128."`
	Caution      float64  `placeholder:"X" help:"Factor in (0,1] that shrinks quality estimates towards each model's mean; by default chosen by leaving sources out."`
	Prices       string   `placeholder:"FILE" help:"Price book; by default the prices in the data's models.json."`
	KeepUnpriced []string `placeholder:"NAME" help:"Keep a model that has scores but neither tokens nor costs; it is then chosen only where cost does not matter."`
	Plans        string   `placeholder:"FILE" help:"Plans to add as candidates, as carrot plan suggest --out writes them (docs/plans.md)."`
	Seed         uint64   `placeholder:"N" help:"Random seed."`
	Licence      string   `default:"${no_licence}" help:"Licence to record in the file."`
	Description  string   `placeholder:"TEXT" help:"Description to record in the file."`
	Unit         string   `enum:"query,task" default:"query" help:"What an outcome is of: a query, or a whole task that an agent solves in many calls; carrot serve refuses the latter."`
	MinCoverage  float64  `placeholder:"X" help:"Leave out models that have a score and a cost on less than this share of the queries."`
	JSON         bool     `name:"json" help:"Print the manifest as JSON."`
}

func (c *trainCommand) Help() string {
	return `Chooses hyperparameters by folds within train and validation, calibrates out of
fold, refits on both and never reads rows marked test.

--ledger corrects the estimates of a router by what its own requests have shown: for each
model a shift of quality and a factor on output tokens, shrunk by how sure they are
(docs/learn.md). carrot inspect shows them.

Examples:
  carrot train --data mydata --out router.safetensors
  carrot train --ledger carrot.db --router router.safetensors --out corrected.safetensors`
}

func (c *trainCommand) check() error {
	switch {
	case c.Ledger == "" && (c.Router != "" || c.Policy != "" || c.Since != ""):
		return usagef("--router, --policy and --since go with --ledger")
	case c.Ledger == "" && len(c.Data) == 0:
		return usagef("missing flags: --data=DIR,... or --ledger=DSN")
	case !(c.MinCoverage >= 0 && c.MinCoverage <= 1):
		return usagef("--min-coverage %v: want a share between 0 and 1", c.MinCoverage)
	case c.Embedder == noEmbedder && c.Predictor != "mean":
		return usagef("--embedder none leaves nothing for the predictor %s to learn from: use --predictor mean", c.Predictor)
	case c.Ledger != "" && (c.Unit != "query" || c.Embedder == noEmbedder):
		return usagef("--ledger corrects routers of requests, not one with --unit task or --embedder none")
	case c.Ledger != "" && (c.Router == "") == (len(c.Data) == 0):
		return usagef("--ledger corrects a router: give either --router FILE or --data DIR")
	case c.Plans != "" && len(c.Data) == 0:
		return usagef("--plans goes with --data: plans are fitted on recorded outcomes")
	}
	return nil
}

// specOf parses a predictor and the settings that go with it.
func specOf(text string, caution float64, seed uint64) (predict.Spec, error) {
	spec, err := predict.ParseSpec(text)
	if err != nil {
		return spec, usageError{err}
	}
	if caution < 0 || caution > 1 {
		return spec, usagef("--caution %v: want a number in (0,1]", caution)
	}
	if caution > 0 {
		spec.Caution = caution
	}
	spec.Seed = seed
	return spec, nil
}

// loadSets loads data folders.
func loadSets(ctx context.Context, dirs []string) ([]*dataset.Set, error) {
	var sets []*dataset.Set
	for _, dir := range dirs {
		set, err := dataset.Load(ctx, dir)
		if err != nil {
			return nil, err
		}
		sets = append(sets, set)
	}
	return sets, nil
}

func openBook(path string) (*price.Book, error) {
	if path == "" {
		return nil, nil
	}
	return price.Open(path)
}

func (c *trainCommand) Run(ctx context.Context, t terminal) error {
	if err := c.check(); err != nil {
		return err
	}
	spec, err := specOf(c.Predictor, c.Caution, c.Seed)
	if err != nil {
		return err
	}
	book, err := openBook(c.Prices)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Dir(c.Out)); err != nil {
		return fmt.Errorf("save router: %w", err) // now rather than after training
	}
	p := startProgress(ctx, t.err, "reading "+cmp.Or(c.Router, strings.Join(c.Data, ", ")))
	defer p.stop()
	var a *artifact.Artifact
	if c.Router != "" {
		if a, err = openRouter(c.Router, p.warn); err == nil {
			err = checkRequests(a)
		}
	} else {
		a, err = c.fit(ctx, p, spec, book)
	}
	if err != nil {
		return err
	}
	if c.Ledger != "" {
		if a, err = c.correct(ctx, p, a); err != nil {
			return err
		}
	}
	if err := a.WriteFile(c.Out); err != nil {
		return err
	}
	wrote(t.out, c.Out)
	p.stop()
	if c.JSON {
		return json.NewEncoder(t.out).Encode(a.Manifest)
	}
	saved, err := artifact.Open(c.Out)
	if err != nil {
		return err
	}
	queries := 0
	for _, d := range saved.Manifest.Data {
		queries += d.Queries
	}
	fmt.Fprintf(t.out, "saved %s: %s on %s, %s\n\n", c.Out, saved.Manifest.Predictor.Name, phrase.Count(queries, unit(saved)), phrase.Count(len(saved.Manifest.Models), "model"))
	return describe(t.out, saved)
}

// fit trains a router on the data folders.
func (c *trainCommand) fit(ctx context.Context, p *progress, spec predict.Spec, book *price.Book) (*artifact.Artifact, error) {
	plans, err := readPlans(c.Plans, p.warn)
	if err != nil {
		return nil, err
	}
	sets, err := loadSets(ctx, c.Data)
	if err != nil {
		return nil, err
	}
	if c.MinCoverage > 0 {
		for i := range sets {
			if sets[i], err = covered(sets[i], c.MinCoverage, p.warn); err != nil {
				return nil, err
			}
		}
	}
	texts, err := promptsOf(c.Embedder, c.Data, func() (*dataset.Set, error) { return sets[0], nil })
	if err != nil {
		return nil, err
	}
	embedder, err := openEmbedder(c.Embedder, texts, p.count("embedding prompts"))
	if err != nil {
		return nil, err
	}
	a, err := train.Run(ctx, sets, embedder, train.Options{Predictor: spec, Book: book, KeepUnpriced: c.KeepUnpriced, Plans: plans,
		EmbedderSpec: c.embedderSpec(), Command: c.command(), Licence: c.Licence, Description: c.Description, Progress: p.steps,
		Unit: strings.TrimPrefix(c.Unit, "query"), Warn: p.warn})
	if unpriced, ok := errors.AsType[*table.UnpricedError](err); ok {
		return nil, hinted{err, "--keep-unpriced " + strings.Join(unpriced.Models, ",") + " keeps it; it is then chosen only where cost does not matter"}
	}
	return a, err
}

// correct returns a router that is corrected by the requests in the ledger.
func (c *trainCommand) correct(ctx context.Context, p *progress, a *artifact.Artifact) (*artifact.Artifact, error) {
	name := c.Router
	if a.Fingerprint == "" { // it was trained just now: its fingerprint is that of the file that it would be
		var file bytes.Buffer
		if err := a.Write(&file); err != nil {
			return nil, err
		}
		var err error
		if a, err = artifact.Parse(file.Bytes()); err != nil {
			return nil, err
		}
		name = "trained on " + strings.Join(c.Data, ",")
	}
	p.say("reading the ledger")
	t, err := readTraffic(ctx, c.Ledger, trafficFlags{c.Policy, c.Since}, true)
	if err != nil {
		return nil, err
	}
	l := learn.NewLineage(a)
	rows, others, err := t.learnable(ctx, name, a, l)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, otherRouter(name, a, others)
	}
	warnOthers(p.warn, others)
	warnUnknown(p.warn, rows, l.Models())
	learned := learn.Estimate(rows, l.Models(), learn.WeightsByGap)
	if learned.From.IsZero() {
		return nil, hinted{errors.New("no request that a router decided has feedback with a score"), "clients send it to POST /v1/feedback; carrot feedback import reads it from a file"}
	}
	return a.Correct(learned)
}

// embedderSpec says in the saved router how its embedder was opened. A file of vectors is
// named without its folder: nobody opens it from there.
func (c *trainCommand) embedderSpec() string {
	if path, ok := strings.CutPrefix(c.Embedder, "npy:"); ok {
		return "npy:" + filepath.Base(path)
	}
	return c.Embedder
}

// command is the command line as the file records it: every flag that decides what
// is in the file, with data folders and price book as they were typed. It is without
// the name of the file, so that equal training gives equal bytes under any name.
func (c *trainCommand) command() string {
	args := []string{"carrot", "train", "--data", strings.Join(c.Data, ","), "--embedder", c.Embedder, "--predictor", c.Predictor}
	add := func(given bool, flag, value string) {
		if given {
			args = append(args, flag, value)
		}
	}
	add(c.Caution > 0, "--caution", strconv.FormatFloat(c.Caution, 'g', -1, 64))
	add(c.Prices != "", "--prices", c.Prices)
	add(len(c.KeepUnpriced) > 0, "--keep-unpriced", strings.Join(c.KeepUnpriced, ","))
	add(c.Plans != "", "--plans", c.Plans)
	add(true, "--seed", strconv.FormatUint(c.Seed, 10))
	add(c.Licence != noLicence, "--licence", c.Licence)
	add(c.Description != "", "--description", c.Description)
	add(c.Unit != "query", "--unit", c.Unit)
	add(c.MinCoverage > 0, "--min-coverage", strconv.FormatFloat(c.MinCoverage, 'g', -1, 64))
	for i, arg := range args {
		args[i] = shellQuote(arg)
	}
	return strings.Join(args, " ")
}

// noLicence is what --licence is by default.
const noLicence = "unspecified"

// shellQuote puts an argument in quotes if a shell would not take it as it is.
func shellQuote(arg string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_-+=:,./@%", r)
	}
	if arg != "" && strings.IndexFunc(arg, func(r rune) bool { return !plain(r) }) < 0 {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}

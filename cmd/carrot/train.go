package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/eval"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/price"
	"github.com/carrot-router/carrot/table"
	"github.com/carrot-router/carrot/train"
)

type trainCommand struct {
	Data        []string `required:"" placeholder:"DIR" help:"Data folders, joined if there are several."`
	Out         string   `required:"" placeholder:"FILE" help:"Where to save the router."`
	Embedder    string   `default:"static" help:"${embedder_help}"`
	Predictor   string   `default:"blend" help:"blend, kernel, sparse, knn, ridge or mean, with hyperparameters if wanted: knn:k=128."`
	Caution     float64  `placeholder:"X" help:"Factor in (0,1] that shrinks quality estimates towards each model's mean; chosen by leaving sources out if not given."`
	Prices      string   `placeholder:"FILE" help:"Price book; else the prices of the data's models.json."`
	Seed        uint64   `placeholder:"N" help:"Seed of everything random."`
	Licence     string   `default:"unspecified" help:"Licence to note in the file."`
	Description string   `placeholder:"TEXT" help:"Description to note in the file."`
	JSON        bool     `name:"json" help:"Print the manifest as JSON."`
}

func (c *trainCommand) Help() string {
	return `Chooses hyperparameters by folds within train and validation, calibrates out of
fold, refits on both and never reads rows marked test.

Example:
  carrot train --data mydata --out router.safetensors`
}

// specOf parses a predictor and checks the settings that go with it.
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

// loadSets loads data folders and joins them if there are several.
func loadSets(ctx context.Context, dirs []string) (*dataset.Set, []*dataset.Set, error) {
	var sets []*dataset.Set
	for _, dir := range dirs {
		set, err := dataset.Load(ctx, dir)
		if err != nil {
			return nil, nil, err
		}
		sets = append(sets, set)
	}
	if len(sets) == 1 {
		return sets[0], sets, nil
	}
	joined, err := dataset.Join(sets, dataset.JoinOptions{})
	return joined, sets, err
}

func openBook(path string) (*price.Book, error) {
	if path == "" {
		return nil, nil
	}
	return price.Open(path)
}

func (c *trainCommand) Run(ctx context.Context, t terminal) error {
	spec, err := specOf(c.Predictor, c.Caution, c.Seed)
	if err != nil {
		return err
	}
	book, err := openBook(c.Prices)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Dir(c.Out)); err != nil {
		return fmt.Errorf("save router: %w", err) // now rather than when all is trained
	}
	p := newProgress(t.err)
	defer p.done()
	set, sets, err := loadSets(ctx, c.Data)
	if err != nil {
		return err
	}
	set = set.Subset(table.Trainable(set), nil)
	embedder, err := openEmbedder(c.Embedder, p.count("embedding prompts"))
	if err != nil {
		return err
	}
	p.say("embedding prompts")
	task, err := table.New(ctx, set, embedder, table.Options{Book: book})
	if err != nil {
		return err
	}
	fitted, err := train.Fit(ctx, task, table.Trainable(task.Set), partsFor(spec, c.Embedder), p.say)
	if err != nil {
		return err
	}
	a := &artifact.Artifact{Predictor: fitted, Manifest: c.manifest(ctx, task, sets, book, embedder, fitted)}
	if err := a.WriteFile(c.Out); err != nil {
		return err
	}
	p.done()
	if c.JSON {
		return json.NewEncoder(t.out).Encode(a.Manifest)
	}
	fmt.Fprintf(t.out, "saved %s: %s on %d queries, %d models\n\n", c.Out, spec.Name, len(task.X), len(task.Set.Models))
	saved, err := artifact.Open(c.Out)
	if err != nil {
		return err
	}
	return describe(t.out, saved)
}

// partsFor adds knn to the parts of a blend on an encoder's vectors, where
// neighbours are worth having.
func partsFor(spec predict.Spec, embedder string) predict.Spec {
	if spec.Name == "blend" && spec.Parts == "" && !strings.HasPrefix(embedder, "static") {
		spec.Parts = "kernel+sparse+knn"
	}
	return spec
}

// manifest writes down what was trained, on what, and how well it did out of
// fold.
func (c *trainCommand) manifest(ctx context.Context, task *table.Table, sets []*dataset.Set, book *price.Book, embedder carrot.Embedder, fitted *predict.Predictor) artifact.Manifest {
	rows := table.Trainable(task.Set)
	outOfFold := fitted.OutOfFold().Predictions(0)
	f := train.Frontier(task, rows, outOfFold)
	m := artifact.Manifest{
		Format:      artifact.Format,
		Embedder:    artifact.Embedder{ID: embedder.ID(), Spec: c.Embedder, Dim: len(task.X[0].Dense)},
		Predictor:   fitted.Spec(),
		Frontier:    f.Points,
		BestSingle:  f.BestSingle,
		Metrics:     eval.OutOfFoldMetrics(ctx, task, rows, outOfFold),
		Command:     c.command(),
		Licence:     c.Licence,
		Description: c.Description,
	}
	if book != nil {
		m.PriceDate = book.Date()
	}
	for _, s := range sets {
		m.Data = append(m.Data, dataOf(s))
	}
	for j, name := range task.ModelNames() {
		m.Models = append(m.Models, modelOf(task, j, name, eval.Summarize(task, rows, outOfFold, j)))
	}
	return m
}

// command is the command line without paths, which differ between machines.
func (c *trainCommand) command() string {
	text := "carrot train --predictor " + c.Predictor + " --embedder " + strings.SplitN(c.Embedder, ":", 2)[0]
	if c.Caution > 0 {
		text += fmt.Sprintf(" --caution %g", c.Caution)
	}
	return text + fmt.Sprintf(" --seed %d", c.Seed)
}

// dataOf says what a set contributed.
func dataOf(s *dataset.Set) artifact.Data {
	d := artifact.Data{Name: s.Name, Fingerprint: s.Fingerprint}
	for _, row := range s.Describe().Sources {
		if n := row.Train + row.Validation; n > 0 {
			d.Queries += n
			d.Sources = append(d.Sources, row.Source)
		}
	}
	return d
}

// modelOf says what training saw of a model, and its price.
func modelOf(task *table.Table, j int, name string, s eval.ModelSummary) artifact.Model {
	m := artifact.Model{Name: name, Observed: s.Observed, MeanScore: s.MeanScore, Price: task.Candidates[j].Price}
	if !math.IsNaN(s.TokensP90) {
		m.TokensP90 = &s.TokensP90
	}
	return m
}

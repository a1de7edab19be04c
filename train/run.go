// Package train makes a router from recorded outcomes: it fits and calibrates a
// predictor, chooses how cautious it should be, and records the frontier that
// named objectives are read from. [Run] does all of that, from data sets to a
// router that is ready to be saved:
//
//	saved, err := train.Run(ctx, []*dataset.Set{outcomes}, static, train.Options{EmbedderSpec: "static"})
//	if err != nil {
//		log.Fatal(err)
//	}
//	router, err := saved.Router(static, saved.Pool(nil)) // at the prices of the data
//	if err != nil {
//		log.Fatal(err)
//	}
//
// [Fit] and [Frontier] are two of its steps, for programs that measure predictors
// on a [table.Table].
//
// Run never reads queries marked test.
package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/internal/plan"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/price"
	"github.com/carrot-router/carrot/table"
)

// Options of Run. With the zero value it trains a blend.
type Options struct {
	// Predictor names a predictor and its hyperparameters. Hyperparameters that
	// are zero are chosen. An empty name means a blend.
	Predictor predict.Spec
	// Book has the prices of tokens. If it is nil, they are those in the sets'
	// models.json.
	Book *price.Book
	// KeepUnpriced names models to keep although they have scores but neither
	// tokens nor recorded costs. Their cost is unknown, so that the router
	// chooses them only where cost does not matter.
	KeepUnpriced []string
	// Plans names plans to add as candidates, as in "agree(a,b,c)" or
	// "check(a,perfect,c)". They leave what is fitted of models as it is. The errors of a
	// verifier are drawn by the predictor's seed.
	Plans []string
	// EmbedderSpec says how to open the embedder, such as "static" or
	// "bert:DIR". It is recorded in the artefact, as are the next three.
	EmbedderSpec                  string
	Command, Licence, Description string
	// Unit is "task" if outcomes are those of whole tasks, see [artifact.Manifest].
	Unit string
	// Progress, if not nil, is called before each step with what is done next, in
	// words, and how many of the steps are done. Steps differ in length.
	Progress func(doing string, done, steps int)
	// Warn, if not nil, is called before the fit with what the outcomes do not
	// allow, in whole sentences: objectives that the router will not have, and
	// figures that will come from few queries.
	Warn func(text string)
}

// Run trains a router on all rows of the sets that are not marked test, and returns
// it, ready to be saved. Several sets are joined. If some models have neither tokens
// nor costs while others do, and they are not to be kept, the error is a
// [*table.UnpricedError]. For other errors in the data see [table.New] and
// [dataset.Join].
func Run(ctx context.Context, sets []*dataset.Set, embedder carrot.Embedder, o Options) (*artifact.Artifact, error) {
	if embedder == nil {
		return nil, errors.New("train: the embedder is missing")
	}
	if o.Predictor.Name == "" {
		o.Predictor.Name = "blend"
	}
	plans, err := plan.ParseAll(o.Plans, o.Predictor.Seed)
	if err != nil {
		return nil, err
	}
	done, total := 0, steps(o.Predictor, embedder.ID())
	if len(plans) > 0 {
		total += 2
	}
	say := func(doing string) {
		if o.Progress != nil {
			o.Progress(doing, done, total)
		}
		done++
	}
	set, err := join(sets)
	if err != nil {
		return nil, err
	}
	rows := table.Trainable(set)
	if len(rows) == 0 {
		return nil, fmt.Errorf("data set %s: all queries are marked test, and those are never trained on", set.Name)
	}
	say("embedding prompts")
	t, err := table.New(ctx, set.Subset(rows, nil), embedder, table.Options{Book: o.Book, KeepUnpriced: o.KeepUnpriced})
	if _, ok := errors.AsType[*table.UnpricedError](err); ok {
		return nil, fmt.Errorf("%w, or keep it at an unknown cost", err)
	} else if err != nil {
		return nil, err
	}
	rows = table.Trainable(t.Set) // all of them
	if o.Warn != nil {
		for _, text := range warnings(t, rows) {
			o.Warn(text)
		}
	}
	p, err := Fit(ctx, t, rows, o.Predictor, say)
	if err != nil {
		return nil, err
	}
	say("measuring it")
	m := manifest(t, rows, p, sets, o)
	if plans, err = labelled(t, rows, plans, o.Warn); err == nil && len(plans) > 0 {
		err = addPlans(ctx, &m, t, rows, p, plans, say)
	}
	if err != nil {
		return nil, err
	}
	return &artifact.Artifact{Predictor: p, Manifest: m}, nil
}

func join(sets []*dataset.Set) (*dataset.Set, error) {
	if len(sets) == 1 {
		return sets[0], nil
	}
	return dataset.Join(sets, dataset.JoinOptions{})
}

// fewComplete is the number of complete queries below which there is a warning.
const fewComplete = 50

// named lists the objectives that need a frontier.
const named = "quality, balanced, cheap, target= and budget="

// warnings lists what the outcomes on rows do not allow.
func warnings(t *table.Table, rows []int) []string {
	unpriced := t.Unpriced()
	if len(unpriced) == len(t.Candidates) {
		return []string{"no model has tokens or costs, so the router knows quality only: its objectives are usd-per-quality=inf and mu=0; " +
			named + " need costs"}
	}
	var out []string
	except := ""
	if len(unpriced) > 0 {
		names := strings.Join(unpriced, ", ")
		out = append(out, "unknown cost: the router chooses "+names+" only where cost does not matter (usd-per-quality=inf or mu=0)")
		except = " but " + names
	}
	complete, judged := len(t.CompleteOf(rows)), len(judge(t, rows).rows)
	have := fmt.Sprintf("%d of %s %s a score and a cost for every model%s: ", complete, phrase.Count(len(rows), "query"), phrase.Verb(complete, "has", "have"), except)
	noise := "figures and objectives"
	switch {
	case judged == 0:
		return append(out, have+"the router has no frontier, which "+named+" need; its objectives are usd-per-quality= and mu=")
	case 2*complete < len(rows):
		noise = "figures"
		figures := "the out-of-fold figures come from the complete queries only"
		if complete == 0 {
			figures = "there are no out-of-fold figures"
		}
		out = append(out, have+fmt.Sprintf("the frontier, from which %s are read, comes from %s on which several models were observed, "+
			"choosing among these; %s", named, phrase.Count(judged, "query"), figures))
	}
	if 0 < complete && complete < fewComplete {
		out = append(out, have+fmt.Sprintf("%s from fewer than %d are little more than noise", noise, fewComplete))
	}
	return out
}

// manifest records what was trained, on what, and how good it is out of fold.
func manifest(t *table.Table, rows []int, p *predict.Predictor, sets []*dataset.Set, o Options) artifact.Manifest {
	outOfFold := p.OutOfFold().Predictions(0)
	f := Frontier(t, rows, outOfFold)
	m := artifact.Manifest{
		Format:      artifact.Format,
		Embedder:    artifact.Embedder{ID: t.Embedder, Spec: o.EmbedderSpec, Dim: len(t.X[0].Dense)},
		Predictor:   p.Spec(),
		Frontier:    f.Points,
		BestSingle:  f.BestSingle,
		Metrics:     metrics(t, rows, outOfFold),
		Command:     o.Command,
		Licence:     o.Licence,
		Description: o.Description,
		Unit:        o.Unit,
	}
	if o.Book != nil {
		m.PriceDate = o.Book.Date()
	}
	for _, s := range sets {
		m.Data = append(m.Data, dataOf(s))
	}
	for j := range t.Candidates {
		m.Models = append(m.Models, modelOf(t, rows, outOfFold, j))
	}
	return m
}

// dataOf says what a set contributed.
func dataOf(s *dataset.Set) artifact.Data {
	d := artifact.Data{Name: s.Name, Fingerprint: s.Fingerprint, Rows: len(s.Queries)}
	for _, row := range s.Describe().Sources {
		if n := row.Train + row.Validation + row.Extra; n > 0 {
			d.Queries += n
			d.Sources = append(d.Sources, row.Source)
		}
	}
	return d
}

// modelOf says what was observed of model m on rows that were drawn at random, how well its output tokens
// were predicted, and its price.
func modelOf(t *table.Table, rows []int, predictions []carrot.Prediction, m int) artifact.Model {
	out := artifact.Model{Name: t.Candidates[m].Name, Price: t.Candidates[m].Price}
	var within, tokens float64
	for k, i := range rows {
		if t.Set.Queries[i].Split == dataset.SplitExtra {
			continue
		}
		if y := t.Set.Score.At(i, m); !math.IsNaN(y) {
			out.Observed++
			out.MeanScore += y
		}
		if n := t.Set.OutputTokens.At(i, m); !math.IsNaN(n) {
			tokens++
			if n <= predictions[k].Forecasts[m].OutputTokensP90 {
				within++
			}
		}
	}
	out.MeanScore /= float64(max(out.Observed, 1))
	if tokens > 0 {
		share := within / tokens
		out.TokensP90 = &share
	}
	return out
}

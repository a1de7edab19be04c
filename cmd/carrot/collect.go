package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/collect"
	"github.com/carrot-router/carrot/internal/importer"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/price"
	"github.com/carrot-router/carrot/table"
)

type collectCommand struct {
	Config        string `required:"" placeholder:"FILE" help:"What to ask whom, in YAML: see docs/collect.md."`
	Out           string `required:"" placeholder:"DIR" help:"Data folder to write; journal, answers and report go into DIR.collect."`
	Yes           bool   `help:"Begin without a question."`
	Estimate      bool   `help:"Say what it is expected to cost, and ask nobody."`
	Wait          string `placeholder:"TIER" enum:",flex,batch" default:"" help:"Wait for a cheaper service tier: flex (minutes) or batch (up to a day)."`
	AllowCommands bool   `help:"Let the judge run the command that the configuration names."`
	Router        string `placeholder:"FILE" help:"Saved router that forecasts lengths and chooses prompts; by default the one in the binary."`
	Embedder      string `placeholder:"EMBEDDER" help:"Embedder of that router, if it is not the one in the binary."`
	AddModel      string `placeholder:"NAME" help:"Ask only this model of the configuration, and add it to the router."`
	Update        string `placeholder:"FILE" help:"With --add-model: where to save the router that knows the new model as well."`
	JSON          bool   `name:"json" help:"Print the report as JSON."`
}

func (c *collectCommand) Help() string {
	return `Asks every model every prompt, has the answers judged, and writes a data folder that
carrot train and carrot eval read. It says first what that is expected to cost, and never
spends more than cap_usd, the calls of earlier runs into the same folder included. What
was answered is not asked again: run it once more after an interruption, with more
models, with more prompts, with another judge.

With --add-model only one model is asked, a hundred prompts or so (prompts.labels), and
the router in --update knows it as well: its estimates are those of the known models that
it is likest, with what differs on average, and with a standard error that is wide at
first. The other models are not fitted again, and keep their estimates.

Examples:
  carrot collect --config collect.yaml --out mydata
  carrot collect --config collect.yaml --out newdata --add-model NAME --update new.safetensors`
}

func (c *collectCommand) Run(ctx context.Context, t terminal) error {
	if (c.AddModel == "") != (c.Update == "") {
		return usagef("--add-model and --update belong together")
	}
	config, err := collect.OpenConfig(c.Config, os.LookupEnv)
	if err != nil {
		return err
	}
	p := startProgress(ctx, t.err, "reading the prompts")
	defer p.stop()
	router, saved, err := (&routerFlags{Router: c.Router, Embedder: c.Embedder}).open(p.warn)
	if err != nil {
		return err
	}
	options, err := c.options(config, router, p.warn)
	if err != nil {
		return err
	}
	if c.AddModel != "" { // now rather than after anything is spent
		if _, err := saved.Predictor.Add(c.AddModel, nil, nil, nil); err != nil {
			return err
		}
	}
	plan, err := collect.NewPlan(ctx, config, options)
	p.stop()
	if err != nil {
		return err
	}
	defer plan.Close()
	out := t.out
	if c.JSON {
		out = t.err
	}
	err = printPlan(out, plan)
	if err == nil && c.Estimate && c.JSON {
		err = json.NewEncoder(t.out).Encode(planJSON{Judgements: plan.Judgements, Schema: "carrot.collect-plan/1", Prompts: plan.Prompts, Of: plan.Of, Random: plan.Random, Calls: plan.Calls,
			Answered: plan.Answered, Lost: plan.Lost, Pending: plan.Pending, Spent: plan.Spent, Cap: plan.Cap, Bills: plan.Bills})
	}
	if err != nil || c.Estimate {
		return err
	}
	if costs(plan) && !c.Yes {
		if err := c.ask(t, out); err != nil {
			return err
		}
	}
	p = startProgress(ctx, t.err, "asking models")
	defer p.stop()
	defer context.AfterFunc(ctx, func() {
		p.warn("interrupted: waiting for the calls in flight, which are paid; interrupt once more to end at once and lose their answers")
	})()
	report, err := plan.Run(ctx, collect.RunOptions{Tier: c.Wait, Progress: func(s collect.Progress) {
		doing := fmt.Sprintf("asking models, %s of %s USD spent", usd(s.Spent), usd(s.Cap))
		if s.Expect > 0 {
			doing += fmt.Sprintf(", about %s in the end", usd(s.Expect))
		}
		p.count(doing)(s.Done, s.Total)
	}})
	p.stop()
	if report == nil {
		return err
	}
	wrote(t.out, c.Out)
	if c.JSON {
		err = errors.Join(err, json.NewEncoder(t.out).Encode(report))
	} else {
		err = errors.Join(err, printReport(out, report))
	}
	if err != nil {
		return err
	}
	if err := nothing(report, c.AddModel); err != nil || c.AddModel == "" {
		return err
	}
	return c.addModel(ctx, out, saved, router.Embedder())
}

// planJSON is what --estimate says for programs.
type planJSON struct {
	Schema     string         `json:"schema"`
	Prompts    int            `json:"prompts"`
	Of         int            `json:"of"`
	Random     int            `json:"random"`
	Calls      int            `json:"calls"`
	Answered   int            `json:"answered"`
	Judgements int            `json:"judgements"` // to make of answers that are there
	Lost       int            `json:"paid_answer_lost"`
	Pending    int            `json:"in_batches"`
	Spent      carrot.USD     `json:"spent_usd"`
	Cap        carrot.USD     `json:"cap_usd"`
	Bills      []collect.Bill `json:"bills"` // of what is left, by tier
}

// nothing returns an error if the folder holds no score: of the model only, or of any if
// that is empty.
func nothing(r *collect.Report, only string) error {
	of := "any model"
	if only != "" {
		of = only
	}
	for _, m := range r.Models {
		if m.Scored > 0 && (only == "" || m.Name == only) {
			return nil
		}
	}
	return hinted{fmt.Errorf("no outcome of %s was scored", of), "the report above says what failed; run again when that is repaired"}
}

// addModel adds the model that was asked to the router.
func (c *collectCommand) addModel(ctx context.Context, out io.Writer, saved *artifact.Artifact, embedder carrot.Embedder) error {
	set, err := dataset.Load(ctx, c.Out)
	if err != nil {
		return err
	}
	column := slices.IndexFunc(set.Models, func(m dataset.Model) bool { return m.Name == c.AddModel })
	added := artifact.Model{Name: c.AddModel}
	if column >= 0 {
		added.Price = set.Models[column].Price()
	}
	var texts []string
	var score, tokens []float64
	for _, i := range table.Trainable(set) {
		s := set.Score.At(i, column)
		if math.IsNaN(s) {
			continue
		}
		texts, score, tokens = append(texts, set.Queries[i].Prompt), append(score, s), append(tokens, set.OutputTokens.At(i, column))
		added.Observed++
		added.MeanScore += s
	}
	if added.Observed == 0 {
		return hinted{fmt.Errorf("no outcome of %s was scored on a prompt to train on, so %s is not written", c.AddModel, c.Update), "prompts whose split is test only measure: ask more prompts"}
	}
	added.MeanScore /= float64(added.Observed)
	x := make([]carrot.Representation, len(texts))
	if err := embedder.Embed(ctx, texts, x); err != nil {
		return err
	}
	own := *saved
	if own.Predictor, err = saved.Predictor.Add(c.AddModel, x, score, tokens); err != nil {
		return err
	}
	own.Manifest.Models = append(slices.Clone(own.Manifest.Models), added)
	own.Manifest.Learned = learnedOfOneMore(saved)
	if err := own.WriteFile(c.Update); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nsaved %s: %s was added from %s; %s stay as they were\n", c.Update, c.AddModel, phrase.Count(added.Observed, "outcome"), phrase.Count(len(saved.Manifest.Models), "other model"))
	return nil
}

// options opens what a plan needs.
func (c *collectCommand) options(config *collect.Config, router *carrot.Router, warn func(string)) (collect.Options, error) {
	o := collect.Options{Out: c.Out, AllowCommands: c.AllowCommands, Only: c.AddModel, Warn: warn, Book: price.Default(),
		Embedder: router.Embedder(), Predictor: router.Trim().Predictor()} // without plans
	if config.Prices != "" {
		own, err := price.Open(config.Prices)
		if err != nil {
			return o, err
		}
		o.Book = o.Book.Overlay(own)
	}
	o.Import = func(ctx context.Context, format, src, dst string) error {
		report, err := importer.Import(ctx, format, src, dst, importer.Options{Force: true, Store: answeredIn})
		if err != nil {
			return err
		}
		for _, one := range append(lostWarnings(report), textWarnings(report)...) {
			warn(src + ": " + one.text)
		}
		return nil
	}
	return o, nil
}

// ask asks whether to begin.
func (c *collectCommand) ask(t terminal, out io.Writer) error {
	fmt.Fprint(out, "Begin? [y/N] ")
	answer, err := bufio.NewReader(t.in).ReadString('\n')
	if strings.EqualFold(strings.TrimSpace(answer), "y") {
		return nil
	}
	if err != nil {
		fmt.Fprintln(out)
	}
	return hinted{errors.New("nothing was asked"), "answer y, or add --yes"}
}

// costs reports whether anything is left to pay for.
func costs(p *collect.Plan) bool { return p.Answered+p.Pending < p.Calls || p.Judgements > 0 }

// printPlan says what is to be done and what it is expected to cost.
func printPlan(out io.Writer, p *collect.Plan) error {
	asked := phrase.Count(p.Prompts, "prompt")
	if p.Prompts < p.Of {
		asked = fmt.Sprintf("%d of %s, %d of them drawn at random", p.Prompts, phrase.Count(p.Of, "prompt"), p.Random)
	}
	fmt.Fprintf(out, "%s, %s to get", asked, phrase.Count(p.Calls-p.Answered, "answer"))
	if p.Answered > 0 {
		fmt.Fprintf(out, " (%d are there)", p.Answered)
	}
	fmt.Fprintf(out, "\ncap %s USD, of which %s are spent\n", usd(p.Cap), usd(p.Spent))
	if p.Lost > 0 {
		fmt.Fprintf(out, "paid, answer lost: %s, in flight when an earlier run was cut off; they count at their highest cost and are made again\n", phrase.Count(p.Lost, "call"))
	}
	if p.Pending > 0 {
		fmt.Fprintf(out, "%s in batches that have not ended: they are fetched, and not sent again\n", phrase.Count(p.Pending, "call"))
	}
	if p.Judgements > 0 {
		fmt.Fprintf(out, "%s to make of answers that are there\n", phrase.Count(p.Judgements, "judgement"))
	}
	if !costs(p) {
		return nil
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "tier\texpected USD\t90% interval\tat most")
	for _, b := range p.Bills {
		if b.Problem != "" {
			fmt.Fprintf(w, "%s\tnot possible: %s\n", b.Tier, b.Problem)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s–%s\t%s\n", b.Tier, usd(b.Expected), usd(b.Low), usd(b.High), usd(b.Most))
	}
	return w.Flush()
}

// printReport prints what was collected.
func printReport(out io.Writer, r *collect.Report) error {
	fmt.Fprintf(out, "\n%d of %s complete, %s of %s USD spent\n\n", r.Complete, phrase.Count(r.Prompts, "prompt"), usd(r.SpentUSD), usd(r.CapUSD))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "model\tscored\tfailed\trefused\ttruncated\tnot judged\tmean score\t± se\t")
	for _, m := range r.Models {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t\n", m.Name, m.Scored, m.Failed, m.Refused, m.Truncated, m.NotJudged, orDash(m.MeanScore), orDash(m.StdErr))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	w = tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "bill\tfor\ttier\tcalls\tUSD\tcost unknown\tcounted USD\t")
	for _, l := range r.Bill {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%d\t%s\t\n", l.Model, l.For, l.Tier, l.Calls, usd(l.Cost), l.Unknown, usd(l.Counted))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if r.Random < r.Prompts {
		fmt.Fprintf(out, "\nMeans are over the %s drawn at random; the others were chosen and only train.\n", phrase.Count(r.Random, "prompt"))
	}
	if len(r.Lost) > 0 {
		fmt.Fprintf(out, "\nPaid, answer lost: %s, in flight when a run was cut off, counted at their highest cost, listed in report.json.\n", phrase.Count(len(r.Lost), "call"))
	}
	if r.InBatches > 0 {
		fmt.Fprintf(out, "\n%s in batches that have not ended, for at most %s USD: run again to fetch them.\n", phrase.Count(r.InBatches, "call"), usd(r.HeldUSD))
	}
	if r.AtCap > 0 {
		fmt.Fprintf(out, "\nThe cap was reached before %s. Raise cap_usd and run again to make the rest.\n", phrase.Count(r.AtCap, "call"))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Stopped)) { // that of the judge may be one of them
		fmt.Fprintf(out, "\n%s was asked no more, because it only failed: %s\n", name, r.Stopped[name])
	}
	if n := r.Noise; n != nil {
		fmt.Fprintf(out, "\nAsked again, %s: scores of answers vary by %s (standard deviation, the judge's part included), judgements of one answer by %s.\n",
			phrase.Count(n.Queries, "prompt"), orDash(n.Answers), orDash(n.Judge))
	}
	return nil
}

// usd writes an amount for people, in USD.
func usd(u carrot.USD) string {
	switch f := u.Float(); {
	case f == 0:
		return "0"
	case f < 0.01:
		return fmt.Sprintf("%.6f", f)
	case f < 10:
		return fmt.Sprintf("%.4f", f)
	default:
		return fmt.Sprintf("%.2f", f)
	}
}

func orDash(v *float64) string {
	if v == nil {
		return "–"
	}
	return fmt.Sprintf("%.3f", *v)
}

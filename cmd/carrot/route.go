package main

import (
	"bufio"
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

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/price"
)

// routerFlags choose a saved router, and what can change without training.
type routerFlags struct {
	Router   string   `placeholder:"FILE" help:"Saved router, or the name of one in the binary: default (if not given) or agents-2026."`
	Embedder string   `placeholder:"SPEC" help:"The router's embedder, required unless it is static: static:FILE, bert:DIR or openai:URL#MODEL."`
	Prices   string   `placeholder:"FILE" help:"Price book whose prices replace those in the binary."`
	Like     []string `placeholder:"NEW=KNOWN" help:"Add a model without outcomes, with a known model's estimates and its own price."`
}

type routeCommand struct {
	routerFlags
	Objective string            `default:"balanced" help:"quality, balanced, cheap, mu=0.3, usd-per-quality=0.01, budget=0.002 or target=0.97; promises such as min-quality=0.8@0.95, max-cost=0.01@0.9 or as-good-as-best@0.95; or one of these and promises, with commas (docs/certainty.md)."`
	Models    []string          `placeholder:"NAME" help:"Choose among these models only; models of today that docs/default-router.md lists may be among them."`
	Batch     string            `placeholder:"FILE" help:"Route a JSONL of {\"id\":…,\"prompt\":…}, - for standard input; writes one decision a line."`
	Format    string            `enum:"jsonl,routerarena" default:"jsonl" help:"Format of --batch: jsonl, or routerarena for RouterArena's prompts and predictions (docs/protocol.md)."`
	ModelName map[string]string `placeholder:"CARROT=ARENA" mapsep:"none" help:"A model's name in RouterArena, if it differs; can be repeated."`
	JSON      bool              `name:"json" help:"Write the decision as JSON (carrot.decision/1)."`
	Prompt    string            `arg:"" optional:"" help:"The prompt; - reads standard input."`
}

func (c *routeCommand) Help() string {
	return `Prints every candidate's expected quality (with its standard error), output tokens
and cost, marks the choice and says why.

Examples:
  carrot route "A train leaves at 3 pm at 60 mph. When has it gone 90 miles?"
  carrot route --objective cheap --json - < prompt.txt
  carrot route --objective balanced,max-cost=0.01@0.9 --json - < prompt.txt
  carrot route --batch prompts.jsonl > decisions.jsonl
  carrot route --batch router_data.json --format routerarena > carrot.json`
}

// open loads the router that the flags name. warn gets warnings about its file. The pool
// also has those of the named models that borrow their estimates.
func (f *routerFlags) open(warn func(string), named ...string) (*carrot.Router, *artifact.Artifact, error) {
	a, err := f.artifact(warn)
	if err != nil {
		return nil, nil, err
	}
	book, err := f.book()
	if err != nil {
		return nil, nil, err
	}
	if err := checkRecorded(a); err != nil {
		return nil, nil, fmt.Errorf("router %s: %w", f.Router, err)
	}
	spec, err := embedderSpec(a, f.Embedder)
	if err != nil {
		return nil, nil, fmt.Errorf("router %s: %w", f.Router, err)
	}
	embedder, err := openEmbedder(spec, nil, nil)
	if err != nil {
		return nil, nil, err
	}
	pool, err := f.pool(a, book)
	if err != nil {
		return nil, nil, err
	}
	router, err := a.Router(embedder, pool)
	if errors.Is(err, artifact.ErrEmbedder) {
		err = hinted{err, "name the embedder it was trained with by --embedder"}
	}
	if err != nil {
		return nil, nil, err
	}
	if router, err = withBorrowers(router, pool, book, named); err != nil {
		return nil, nil, err
	}
	return router, a, nil
}

// withBorrowers returns the router with those of the named models added to its pool that
// it does not know, but that borrow the estimates of one that it does. Any other name is
// an error.
func withBorrowers(router *carrot.Router, pool []carrot.Candidate, book *price.Book, named []string) (*carrot.Router, error) {
	lends, _ := router.Predictor().(interface{ Lender(model string) string })
	added := slices.Clone(pool)
	for _, name := range named {
		if slices.ContainsFunc(added, func(c carrot.Candidate) bool { return c.Name == name }) {
			continue
		}
		entry, err := book.Lookup(name)
		if err != nil || lends == nil || lends.Lender(entry.Name) == "" {
			names := make([]string, len(pool))
			for i, c := range pool {
				names[i] = c.Name
			}
			return nil, hinted{fmt.Errorf("unknown model %q; the pool is %s", name, strings.Join(names, ", ")),
				"--like NEW=KNOWN adds a model; docs/default-router.md lists the models of today that need none"}
		}
		p, err := book.Price(name)
		if err != nil {
			return nil, hinted{err, "give a price book with it by --prices; carrot price set --help shows how to make one"}
		}
		added = append(added, carrot.Candidate{Name: name, Like: entry.Name, Price: &p, InputFactor: entry.TokenFactor})
	}
	if len(added) == len(pool) {
		return router, nil
	}
	return router.With(added)
}

// book returns the prices: those in the binary, under those of --prices.
func (f *routerFlags) book() (*price.Book, error) {
	book := price.Default()
	if f.Prices == "" {
		return book, nil
	}
	own, err := price.Open(f.Prices)
	if err != nil {
		return nil, err
	}
	return book.Overlay(own), nil
}

func (f *routerFlags) artifact(warn func(string)) (*artifact.Artifact, error) {
	if f.Router == "" {
		return artifact.Default()
	}
	return openRouter(f.Router, warn)
}

// openRouter reads a saved router.
func openRouter(path string, warn func(string)) (*artifact.Artifact, error) {
	a, err := artifact.Open(path)
	switch {
	case err == nil && !a.Verified:
		warn("router " + path + ": the file holds no hash of its content, so damage cannot be seen; carrot train saves routers with one")
	case errors.Is(err, artifact.ErrDamaged):
		err = hinted{err, "copy the file again, or train again"}
	case errors.Is(err, fs.ErrNotExist):
		err = hinted{err, "carrot train saves a router"}
	case err != nil:
		err = hinted{err, "the file must be complete, and saved by a carrot no newer than this one"}
	}
	return a, err
}

// pool is the artefact's models and those that borrow their estimates.
func (f *routerFlags) pool(a *artifact.Artifact, book *price.Book) ([]carrot.Candidate, error) {
	pool := a.Pool(book)
	for _, text := range f.Like {
		name, known, ok := strings.Cut(text, "=")
		if !ok || name == "" || known == "" {
			return nil, usagef("--like %q: want NEW=KNOWN", text)
		}
		p, err := book.Price(name)
		if err != nil {
			return nil, hinted{err, "give a price book with it by --prices; carrot price set --help shows how to make one"}
		}
		pool = append(pool, carrot.Candidate{Name: name, Like: known, Price: &p})
	}
	return pool, nil
}

func (c *routeCommand) Run(ctx context.Context, t terminal) error {
	objective, err := carrot.ParseObjective(c.Objective)
	if err != nil {
		return usageError{err}
	}
	noPrompt := usagef("give a prompt, - for standard input, or --batch FILE")
	if c.Prompt != "" && c.Batch != "" {
		return noPrompt
	}
	if err := c.checkFormat(); err != nil {
		return err
	}
	p := startProgress(ctx, t.err, "reading the router and the prices")
	defer p.stop()
	router, a, err := c.open(p.warn, c.Models...)
	p.stop()
	if err != nil {
		return err
	}
	if c.Prompt == "" && c.Batch == "" && !blind(a) {
		return noPrompt
	}
	if c.Format == arenaFormat { // which knows models only
		return c.arena(ctx, t, router, objective)
	}
	if len(a.Manifest.Plans) > 0 {
		pool := slices.Clone(router.Candidates())
		for _, p := range a.Manifest.Plans {
			pool = append(pool, carrot.Candidate{Name: p.Name, Steps: p.Steps})
		}
		if router, err = a.Router(router.Embedder(), pool); err != nil {
			return err
		}
	}
	if c.Batch != "" {
		return c.batch(ctx, t, router, objective)
	}
	prompt := c.Prompt
	if prompt == "-" {
		text, err := io.ReadAll(io.LimitReader(t.in, maxBatchLine+1))
		if err != nil {
			return fmt.Errorf("read standard input: %w", err)
		}
		if len(text) > maxBatchLine {
			return fmt.Errorf("read standard input: the prompt is longer than %d MiB", maxBatchLine>>20)
		}
		prompt = strings.TrimSuffix(string(text), "\n")
	}
	p = startProgress(ctx, t.err, "routing the prompt")
	defer p.stop()
	decision, err := router.Route(ctx, carrot.Query{Text: prompt, Models: c.Models}, objective)
	p.stop()
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(t.out).Encode(decision)
	}
	promises, err := router.Promises(objective, c.Models)
	if err != nil {
		return err
	}
	return printDecision(t.out, &decision, a, promises)
}

// batchLine is one line of a batch.
type batchLine struct {
	ID     batchID `json:"id"`
	Prompt *string `json:"prompt"`
}

// batchID is a text, or a number as the text that it is written as.
type batchID string

// UnmarshalJSON reads a text or a number.
func (id *batchID) UnmarshalJSON(data []byte) error {
	var number json.Number // which reads a text of a number too
	if data[0] != '"' && json.Unmarshal(data, &number) == nil {
		*id = batchID(number)
		return nil
	}
	if json.Unmarshal(data, (*string)(id)) != nil {
		return errors.New("field id: want a text or a number")
	}
	return nil
}

// maxBatchLine is the longest line of a batch and the longest prompt on standard
// input, in bytes.
const maxBatchLine = 64 << 20

func (c *routeCommand) batch(ctx context.Context, t terminal, router *carrot.Router, objective carrot.Objective) error {
	in, name, size := t.in, "standard input", int64(0) // size is 0 if nobody knows
	if c.Batch != "-" {
		f, err := os.Open(c.Batch)
		if err != nil {
			return err
		}
		defer f.Close()
		in, name = f, c.Batch
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
	}
	p := startProgress(ctx, t.err, "routing "+name)
	defer p.stop()
	out := bufio.NewWriter(t.out)
	defer out.Flush()
	encoder := json.NewEncoder(out)
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxBatchLine)
	n, read := 0, 0
	for lines.Scan() {
		n++
		read += len(lines.Bytes()) + 1
		if len(strings.TrimSpace(lines.Text())) == 0 {
			continue
		}
		var line batchLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return hinted{fmt.Errorf("%s:%d: %w", name, n, phrase.JSON(err)), `a line is {"id":"…","prompt":"…"}`}
		}
		if line.Prompt == nil {
			return hinted{fmt.Errorf("%s:%d: field prompt: missing", name, n), `a line is {"id":"…","prompt":"…"}`}
		}
		decision, err := router.Route(ctx, carrot.Query{ID: string(line.ID), Text: *line.Prompt, Models: c.Models}, objective)
		if err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
		if err := encoder.Encode(decision); err != nil {
			return err
		}
		if doing := fmt.Sprintf("routing %s, %s so far", name, phrase.Count(n, "prompt")); size > 0 {
			p.share(doing, float64(read)/float64(size))
		} else {
			p.say(doing)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s:%d: %w", name, n+1, err)
	}
	return nil
}

// printDecision writes a decision for people.
func printDecision(w io.Writer, d *carrot.Decision, a *artifact.Artifact, promises []carrot.Promise) error {
	fmt.Fprintf(w, "%s\n  %s\n\n", styled(w, "→ "+d.Model, styleChosen), d.Reason())
	var table strings.Builder
	tw := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	perUnit := a.Manifest.Unit != "" // costs were recorded for a whole task, and no tokens
	if perUnit {
		fmt.Fprintf(tw, " \tmodel\tquality\t\tUSD a %s\tutility\t\n", a.Manifest.Unit)
	} else {
		fmt.Fprintln(tw, " \tmodel\tquality\t\toutput tokens\tcost\tutility\t")
	}
	order := make([]*carrot.Assessment, len(d.Candidates))
	for i := range d.Candidates {
		order[i] = &d.Candidates[i]
	}
	slices.SortStableFunc(order, func(a, b *carrot.Assessment) int {
		switch {
		case (a.Excluded == "") != (b.Excluded == ""):
			if a.Excluded == "" {
				return -1
			}
			return 1
		case a.Utility > b.Utility:
			return -1
		case a.Utility < b.Utility:
			return 1
		}
		return 0
	})
	for _, c := range order {
		mark := " "
		if c.Name == d.Model {
			mark = "→"
		}
		if c.Excluded != "" {
			columns := "\t\t\t\t"
			if perUnit {
				columns = columns[1:]
			}
			fmt.Fprintf(tw, "%s\t%s\t–\t%s %s\n", mark, c.Name, columns, c.Excluded)
			continue
		}
		tokens, cost := fmt.Sprintf("%.0f", c.OutputTokens), phrase.USD(c.Cost.Float())
		if c.CostUnknown {
			tokens, cost = "–", "–"
		}
		note := ""
		if c.Borrowed != "" {
			note = " borrowed from " + c.Borrowed
		}
		if perUnit {
			fmt.Fprintf(tw, "%s\t%s\t%.3f\t± %.3f\t%s\t%+.3f\t%s\n", mark, c.Name, c.Quality, c.QualitySE, cost, c.Utility, note)
			continue
		}
		fmt.Fprintf(tw, "%s\t%s\t%.3f\t± %.3f\t%s\t%s\t%+.3f\t%s\n", mark, c.Name, c.Quality, c.QualitySE, tokens, cost, c.Utility, note)
	}
	tw.Flush() // returns no error, as it writes to a strings.Builder
	err := printStyled(w, table.String(), func(line string) string {
		if strings.HasPrefix(strings.TrimLeft(line, " "), "→") {
			return styleChosen
		}
		return headed("model ")(line)
	})
	if err != nil {
		return err
	}
	chosen := d.Chosen()
	if len(chosen.Steps) > 0 {
		fmt.Fprintf(w, "\n%s\n", chosen.Name)
		printSteps(w, chosen)
	}
	if perUnit {
		fmt.Fprintf(w, "\nquality and cost are those of a whole %s, whatever the prompt; ", a.Manifest.Unit)
	} else {
		fmt.Fprintf(w, "\n%s; ", phrase.Count(chosen.InputTokens, "input token"))
	}
	if chosen.PriceAbove > 0 {
		fmt.Fprintf(w, "rates for more than %s; ", phrase.Count(chosen.PriceAbove, "token"))
	}
	if d.PriceDate != "" {
		fmt.Fprintf(w, "prices of %s; ", d.PriceDate)
	}
	fmt.Fprintf(w, "objective %s", d.Objective)
	switch worth := d.USDPerQuality; {
	case math.IsInf(worth, 1):
		fmt.Fprint(w, ": quality at any price.\n")
	case worth == 0:
		fmt.Fprint(w, ": the least cost.\n")
	default:
		fmt.Fprintf(w, ": worth %s for each 0.01 of quality.\n", phrase.USD(worth/100))
	}
	printFlips(w, d)
	for _, p := range promises {
		fmt.Fprintf(w, "Of the queries held out in training, %s can be promised for %.0f%%, and was kept for %.1f%% of these.\n", p.Promise, 100*p.Feasible, 100*p.Kept)
	}
	printNovelty(w, d, a)
	return nil
}

// printSteps says which models a plan asks, and how likely that is.
func printSteps(w io.Writer, c *carrot.Assessment) {
	for k := range c.Steps {
		s := &c.Steps[k]
		tokens := ""
		if s.OutputTokens > 0 { // else its costs were recorded, and no tokens
			tokens = fmt.Sprintf("%.0f output tokens, ", s.OutputTokens)
		}
		fmt.Fprintf(w, "  asks %s with probability %.2f: %s%s\n", s.Model, s.Called, tokens, phrase.USD(s.Cost.Float()))
	}
}

// printFlips says what a cheaper and a better setting would choose. A model of
// unknown cost is in no flip.
func printFlips(w io.Writer, d *carrot.Decision) {
	flips := d.Flips()
	if d.Chosen().CostUnknown {
		return
	}
	at := 0
	for k, f := range flips {
		if d.USDPerQuality <= f.USDPerQuality {
			at = k
		}
	}
	if at > 0 {
		fmt.Fprintf(w, "Better: %s from %s per unit of quality.\n", flips[at-1].Model, phrase.USD(flips[at].USDPerQuality))
	}
	if at+1 < len(flips) {
		fmt.Fprintf(w, "Cheaper: %s below %s per unit of quality.\n", flips[at+1].Model, phrase.USD(flips[at+1].USDPerQuality))
	}
}

// printNovelty warns about a query unlike the training data.
func printNovelty(w io.Writer, d *carrot.Decision, a *artifact.Artifact) {
	if d.Novelty < 0.9 {
		return
	}
	var sources []string
	for _, data := range a.Manifest.Data {
		sources = append(sources, data.Sources...)
	}
	if len(sources) > 6 {
		sources = append(sources[:6:6], "…")
	}
	fmt.Fprintf(w, styled(w, "Caution:", styleWarning)+" this prompt is unlike the training data (%s), more so than %.0f%% of it; do not rely on these estimates.\n",
		strings.Join(sources, ", "), math.Floor(100*d.Novelty))
}

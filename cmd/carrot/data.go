package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/exampledata"
	"github.com/carrot-router/carrot/internal/importer"
	"github.com/carrot-router/carrot/internal/ledger"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/price"
	"github.com/carrot-router/carrot/record"
)

type dataCommand struct {
	Import   importCommand   `cmd:"" help:"Import a published data set into a data folder."`
	Describe describeCommand `cmd:"" help:"Say what is in a data folder."`
	Check    checkCommand    `cmd:"" help:"List everything that is wrong with a data folder."`
	Join     joinCommand     `cmd:"" help:"Merge data folders into one."`
	Folds    foldsCommand    `cmd:"" help:"Write the folds of carrot eval, for routers of other programs."`
	Example  exampleCommand  `cmd:"" help:"Write a small invented data set to learn with."`
}

func (c *dataCommand) Help() string {
	return `A data folder holds queries.jsonl[.gz], outcomes.csv[.gz], models.json and
optionally answers.csv[.gz].

Example:
  carrot data describe mydata`
}

type importCommand struct {
	Format    string            `arg:"" enum:"${import_formats}" help:"What the source is: see above."`
	Source    string            `arg:"" help:"File or folder to import."`
	Dir       string            `arg:"" help:"Data folder to write."`
	Column    map[string]string `placeholder:"FIELD=COLUMN" mapsep:"none" help:"For a table: the column that holds a field, or FIELD:MODEL=COLUMN for one model; may be repeated. For langfuse: score=NAME, the score that counts."`
	Columns   string            `placeholder:"FILE" help:"For a table: YAML file with the same mapping, FIELD: COLUMN."`
	Delimiter string            `placeholder:"CHAR" help:"For a table in CSV: what separates the fields, a comma, ';', '|' or tab; found if not given."`
	Prices    string            `placeholder:"FILE" help:"Price book for models.json, instead of the one in the binary."`
	Price     []string          `sep:"none" placeholder:"MODEL=IN/OUT" help:"Price of one model in USD per million tokens of input and output, before any other; may be repeated."`
	KeepGoing bool              `help:"Leave bad rows out and note them in rejected.jsonl."`
	Force     bool              `help:"Replace a data folder that is not empty."`
	JSON      bool              `name:"json" help:"Print the report as JSON."`
}

// importFormats lists the formats for the command line.
func importFormats() string {
	var names []string
	for _, f := range importer.Formats() {
		names = append(names, f.Name)
	}
	return strings.Join(names, ",")
}

func (c *importCommand) Help() string {
	var b strings.Builder
	b.WriteString(`Streams the source, refuses a bad row with file, row and column, and writes the
folder all at once. The formats, each with an example:
`)
	for _, f := range importer.Formats() {
		fmt.Fprintf(&b, "\n%s: %s\n\n  carrot data import %[1]s %[3]s %s\n", f.Name, f.Summary, f.Source, cmp.Or(importExample[f.Name], importExample[""]))
	}
	b.WriteString(`
The fields of a table are id, prompt, source, split, model, score, input_tokens,
output_tokens, cost_usd, cached_tokens and reasoning_tokens. A column that is
named like a field need not be mapped, nor one of a common name, such as question,
llm, correct, prompt_tokens or usage.completion_tokens. A table with columns for each
model maps them one by one, score:MODEL=COLUMN, or all at once:

  carrot data import table wide.csv mydata --column 'score:*=correct_*' \
    --price gpt-4o=2.5/10 --price small=0.1/0.4`)
	return b.String()
}

// importExample is the end of the example of a format.
var importExample = map[string]string{
	"": "mydata",
	"table": `mydata \
    --column prompt=question --column model=llm --column score=correct`,
}

// columns merges the mapping of the file with that of the flags, which takes
// precedence.
func (c *importCommand) columns() (map[string]string, error) {
	if c.Format == "langfuse" && c.Columns == "" && c.Delimiter == "" && (len(c.Column) == 0 || len(c.Column) == 1 && c.Column["score"] != "") {
		return c.Column, nil
	}
	if c.Format != "table" && (c.Columns != "" || len(c.Column) > 0 || c.Delimiter != "") {
		return nil, usagef("--column, --columns and --delimiter are for the format table only")
	}
	columns := make(map[string]string)
	if c.Columns != "" {
		f, err := os.Open(c.Columns)
		if err != nil {
			return nil, err
		}
		defer f.Close() // only read from
		if columns, err = importer.ReadColumns(f, c.Columns); err != nil {
			return nil, err
		}
	}
	maps.Copy(columns, c.Column)
	return columns, nil
}

func (c *importCommand) Run(ctx context.Context, t terminal) error {
	prices, err := c.prices()
	if err != nil {
		return err
	}
	columns, err := c.columns()
	if err != nil {
		return err
	}
	p := startProgress(ctx, t.err, "importing "+c.Source)
	defer p.stop()
	report, err := importer.Import(ctx, c.Format, c.Source, c.Dir, importer.Options{
		Prices: prices, KeepGoing: c.KeepGoing, Force: c.Force, Columns: columns, Delimiter: c.Delimiter, CountTokens: price.CountTokens, Store: answeredIn,
		Progress: func(done, total int64) { p.share("importing "+c.Source, float64(done)/float64(max(total, 1))) },
	})
	if err != nil {
		return err
	}
	wrote(t.out, c.Dir)
	p.stop()
	printWarnings(t.err, c.Source, slices.Concat(missingWarnings(report.Missing), lostWarnings(report), textWarnings(report), c.unusedPrices(report.Models)))
	printWarnings(t.err, c.Dir, coverageWarnings(c.Dir, report.Coverage))
	if c.JSON {
		return json.NewEncoder(t.out).Encode(report)
	}
	c.print(t.out, report)
	return nil
}

// priceFunc returns the prices of a model in USD per million tokens.
type priceFunc = func(model string) (in, out float64, ok bool)

// prices returns the prices that go before those of the source, or nil.
func (c *importCommand) prices() (priceFunc, error) {
	book, err := c.bookPrices()
	if err != nil {
		return nil, err
	}
	return c.withPrices(book)
}

// bookPrices returns the prices of the book that goes before those of the source, or
// nil.
func (c *importCommand) bookPrices() (priceFunc, error) {
	priced := slices.ContainsFunc(importer.Formats(), func(f importer.Format) bool { return f.Name == c.Format && f.Priced })
	book := price.Default()
	switch {
	case c.Prices != "":
		own, err := price.Open(c.Prices)
		if err != nil {
			return nil, err
		}
		book = own
	case priced:
		return nil, nil
	}
	return func(model string) (in, out float64, ok bool) { return listPrice(book, model) }, nil
}

// withPrices returns prices, which may be nil, with those of --price before them.
func (c *importCommand) withPrices(prices priceFunc) (priceFunc, error) {
	own := make(map[string][2]float64, len(c.Price))
	for _, text := range c.Price {
		model, in, out, ok := parsePrice(text)
		if !ok {
			return nil, usagef("--price %q: want MODEL=IN/OUT, two prices from 0 in USD per million tokens, such as gpt-4o=2.5/10", text)
		}
		if _, twice := own[model]; twice {
			return nil, usagef("--price: %s has two prices", model)
		}
		own[model] = [2]float64{in, out}
	}
	if len(own) == 0 {
		return prices, nil
	}
	return func(model string) (in, out float64, ok bool) {
		if p, ok := own[model]; ok {
			return p[0], p[1], true
		}
		if prices == nil {
			return 0, 0, false
		}
		return prices(model)
	}, nil
}

// parsePrice reads MODEL=IN/OUT. The name of a model may hold = and /.
func parsePrice(text string) (model string, in, out float64, ok bool) {
	at := strings.LastIndexByte(text, '=')
	if at <= 0 {
		return "", 0, 0, false
	}
	first, second, ok := strings.Cut(text[at+1:], "/")
	in, err1 := strconv.ParseFloat(strings.TrimSpace(first), 64)
	out, err2 := strconv.ParseFloat(strings.TrimSpace(second), 64)
	ok = ok && err1 == nil && err2 == nil && in >= 0 && out >= 0 && !math.IsInf(in, 0) && !math.IsInf(out, 0)
	return text[:at], in, out, ok
}

// unusedPrices warns about models of --price that the source does not have.
func (c *importCommand) unusedPrices(models []string) (all []warning) {
	for _, text := range c.Price {
		if model, _, _, _ := parsePrice(text); !slices.Contains(models, model) {
			all = append(all, warning{"has no model " + model + ", so its --price is not used", "the models are " + strings.Join(models, ", ")})
		}
	}
	return all
}

// lostWarnings says which prompts of a log were left out.
func lostWarnings(r *importer.Report) []warning {
	if r.Cut+r.Redacted == 0 {
		return nil
	}
	return []warning{{fmt.Sprintf("%s left out, as LiteLLM did not log the whole prompt: %d cut, %d redacted", phrase.Count(r.Cut+r.Redacted, "row"), r.Cut, r.Redacted), importer.HintLost}}
}

// textWarnings says how many requests of a gateway have no text.
func textWarnings(r *importer.Report) []warning {
	if r.NoText == 0 {
		return nil
	}
	return []warning{{fmt.Sprintf("%s left out, as their texts were not recorded", phrase.Count(int(r.NoText), "answered request")), importer.HintNoText}}
}

// answeredIn calls each with every attempt in a store that answered a request.
func answeredIn(ctx context.Context, dsn string, each func(a *record.Attempt, f record.Feedback, known bool) error) error {
	s, err := ledger.OpenStore(ctx, dsn)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Answered(ctx, time.Time{}, time.Time{}, each)
}

// missingWarnings says which results of a published source could not be imported.
func missingWarnings(missing []string) []warning {
	if len(missing) == 0 {
		return nil
	}
	names := missing
	const most = 5
	if len(names) > most {
		names = append(slices.Clone(names[:most]), phrase.Count(len(names)-most, "other")+" (--json lists them)")
	}
	return []warning{{"holds no results of " + strings.Join(names, ", ") + ": they are not in the data folder",
		"import from a whole clone with its files checked out; a partial clone lacks large files"}}
}

// warning is something about a data folder that does no harm by itself, and
// what to do about it.
type warning struct{ text, hint string }

func printWarnings(w io.Writer, dir string, all []warning) {
	for _, one := range all {
		terminal{err: w}.warn(dir + ": " + one.text)
		fmt.Fprintf(w, "carrot: hint: %s\n", one.hint)
	}
}

// fewComplete is the number of complete queries below which there is a warning.
const fewComplete = 50

// coverageWarnings says what training and evaluation would not expect of a data
// folder. It says nothing about a folder without scores.
func coverageWarnings(dir string, c dataset.Coverage) (all []warning) {
	names := strings.Join(c.Uncosted, ", ")
	switch {
	case !c.Costed && len(c.Uncosted) == 0:
		return nil
	case !c.Costed:
		all = append(all, warning{"no model in the pool has tokens or costs: a router trained on this data knows only quality, and its objectives are quality and usd-per-quality=inf",
			"record input_tokens and output_tokens, or cost_usd, to train a router that weighs cost"})
	case len(c.Uncosted) == 1:
		all = append(all, warning{names + " has scores but neither tokens nor costs, while other models in the pool have them: its cost is unknown, and training refuses it",
			fmt.Sprintf(`record tokens or cost_usd for %s, set "pool": false for it in %s/models.json, or train with --keep-unpriced %[1]s`, names, dir)})
	case len(c.Uncosted) > 1:
		all = append(all, warning{names + " have scores but neither tokens nor costs, while other models in the pool have them: their cost is unknown, and training refuses them",
			fmt.Sprintf(`record tokens or cost_usd for them, set "pool": false for them in %s/models.json, or train with --keep-unpriced %s`, dir, strings.Join(c.Uncosted, ","))})
	}
	verb := phrase.Verb(c.Complete, "is", "are")
	if c.Queries == 1 {
		verb = "is"
	}
	complete := fmt.Sprintf("%d of %s %s complete (every model in the pool has a score, and tokens or a cost): ", c.Complete, phrase.Count(c.Queries, "query"), verb)
	switch {
	case 2*c.Complete < c.Queries:
		all = append(all, warning{complete + "eval skips the others, and named objectives such as balanced are less certain",
			`fill in the missing outcomes, or set "pool": false for the models that few queries have: see carrot data describe ` + dir})
	case c.Complete < fewComplete:
		all = append(all, warning{complete + fmt.Sprintf("figures on fewer than %d are little more than noise", fewComplete), "collect more outcomes"})
	}
	return all
}

// print prints what was imported, and what is needed before it can be used.
func (c *importCommand) print(out io.Writer, r *importer.Report) {
	fmt.Fprintf(out, "imported %d of %s: %s, %s, %s into %s\n", r.Rows-r.Rejected-r.Skipped, phrase.Count(r.Rows, "row"),
		phrase.Count(r.Queries, "query"), phrase.Count(len(r.Models), "model"), phrase.Count(r.Outcomes, "outcome"), c.Dir)
	if len(r.Columns) > 0 {
		var found []string
		for _, field := range slices.Sorted(maps.Keys(r.Columns)) {
			found = append(found, field+" in "+r.Columns[field])
		}
		fmt.Fprintf(out, "found %s; --column FIELD=COLUMN names another column\n", strings.Join(found, ", "))
	}
	if skipped := r.Skipped - r.Cut - r.Redacted - r.NoText; skipped > 0 {
		fmt.Fprintf(out, "%s %s no outcome: failed calls, answers scored a second time, or summaries\n", phrase.Count(skipped, "row"), phrase.Verb(skipped, "holds", "hold"))
	}
	if r.Repeats > 0 {
		fmt.Fprintf(out, "%s to a prompt that the model had answered before: scores, tokens and costs are averaged\n", phrase.Count(int(r.Repeats), "answer"))
	}
	if r.Rejected > 0 {
		fmt.Fprintf(out, "%s %s listed in %s/rejected.jsonl\n", phrase.Count(r.Rejected, "bad row"), phrase.Verb(r.Rejected, "is", "are"), c.Dir)
	}
	switch {
	case len(r.Unpriced) == 0:
	case r.Costs == r.Outcomes:
		fmt.Fprintln(out, "costs are recorded with the outcomes, so no prices are needed; to use other prices, tokens are needed")
	default:
		fmt.Fprintf(out, "no price is known for %s: add prices to %s/models.json, or give --prices when training\n", strings.Join(r.Unpriced, ", "), c.Dir)
	}
	if r.Scores == 0 {
		fmt.Fprintf(out, "no scores: nothing can be trained on %s until scores are joined (carrot data join)\n", c.Dir)
	}
}

// listPrice returns a model's prices in USD per million tokens.
func listPrice(book *price.Book, model string) (in, out float64, ok bool) {
	at := slices.IndexFunc(book.Entries, func(e price.Entry) bool { return e.Name == model })
	if at < 0 {
		return 0, 0, false
	}
	in, _ = book.Entries[at].Input.PerMillion()
	out, _ = book.Entries[at].Output.PerMillion()
	return in, out, true
}

type describeCommand struct {
	Dir  string `arg:"" help:"Data folder."`
	JSON bool   `name:"json" help:"Print as JSON."`
}

func (c *describeCommand) Help() string {
	return `Queries by source and split; coverage, mean score and mean cost of each model;
missing outcomes, equal prompts and suspicious rows. Shows ids, never prompts.

Example:
  carrot data describe mydata`
}

func (c *describeCommand) Run(ctx context.Context, t terminal) error {
	p := startProgress(ctx, t.err, "reading "+c.Dir)
	defer p.stop()
	set, err := dataset.Load(ctx, c.Dir)
	if err != nil {
		return err
	}
	d := set.Describe()
	p.stop()
	if c.JSON {
		return json.NewEncoder(t.out).Encode(d)
	}
	return printStyled(t.out, d.String(), headed("train ", "pool "))
}

type checkCommand struct {
	Dir   string `arg:"" help:"Data folder."`
	Limit int    `default:"100" help:"Most problems to list; 0 for all."`
	JSON  bool   `name:"json" help:"Print the problems as JSON."`
}

func (c *checkCommand) Help() string {
	return `Exits with status 1 if anything is wrong. Warnings, which are about models without
costs and about few complete queries, do not change the status.

Example:
  carrot data check mydata`
}

func (c *checkCommand) Run(ctx context.Context, t terminal) error {
	p := startProgress(ctx, t.err, "checking "+c.Dir)
	defer p.stop()
	problems, err := dataset.Check(ctx, c.Dir, c.Limit)
	if err != nil {
		return err
	}
	p.stop()
	if c.JSON {
		if problems == nil {
			problems = []dataset.Problem{}
		}
		if err := json.NewEncoder(t.out).Encode(problems); err != nil {
			return err
		}
	} else {
		for _, one := range problems {
			fmt.Fprintln(t.out, one)
			if one.Hint != "" {
				fmt.Fprintln(t.out, "  hint:", one.Hint)
			}
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("%s: problems found: %d", c.Dir, len(problems))
	}
	again := startProgress(ctx, t.err, "reading "+c.Dir)
	defer again.stop()
	set, err := dataset.Load(ctx, c.Dir)
	if err != nil {
		return err
	}
	again.stop()
	warnings := coverageWarnings(c.Dir, set.Coverage())
	if c.JSON {
		printWarnings(t.err, c.Dir, warnings)
		return nil
	}
	for _, w := range warnings {
		fmt.Fprintf(t.out, "%s: warning: %s\n  hint: %s\n", c.Dir, w.text, w.hint)
	}
	fmt.Fprintf(t.out, "%s: nothing wrong\n", c.Dir)
	return nil
}

type joinCommand struct {
	Dirs   []string          `arg:"" help:"Data folders to merge, then the folder to write."`
	Rename map[string]string `placeholder:"OLD=NEW" help:"Rename models before anything is compared."`
	Pool   []string          `placeholder:"NAME" help:"Models in the pool of the joined set; by default those in the pool of any set."`
	Force  bool              `help:"Replace a data folder that is not empty."`
}

func (c *joinCommand) Help() string {
	return `Models are matched by name and queries by id. Equal prompts end in one split.

Example:
  carrot data join benchmark-a benchmark-b joined --rename gpt-4o=gpt-4o-2024-08-06`
}

func (c *joinCommand) Run(ctx context.Context, t terminal) error {
	if len(c.Dirs) < 3 {
		return usagef("name two or more data folders to merge, then the folder to write")
	}
	p := startProgress(ctx, t.err, "joining "+strings.Join(c.Dirs[:len(c.Dirs)-1], ", "))
	defer p.stop()
	var sets []*dataset.Set
	for _, dir := range c.Dirs[:len(c.Dirs)-1] {
		set, err := dataset.Load(ctx, dir)
		if err != nil {
			return err
		}
		sets = append(sets, set)
	}
	moved := 0
	joined, err := dataset.Join(sets, dataset.JoinOptions{Rename: c.Rename, Pool: c.Pool,
		Moved: func(string, dataset.Split, dataset.Split) { moved++ }})
	if err != nil {
		return err
	}
	out := c.Dirs[len(c.Dirs)-1]
	if err := joined.WriteDirWith(out, dataset.WriteOptions{Force: c.Force, Keep: c.Dirs[:len(c.Dirs)-1]}); err != nil {
		return err
	}
	wrote(t.out, out)
	p.stop()
	fmt.Fprintf(t.out, "joined %s and %s into %s\n", phrase.Count(len(joined.Queries), "query"), phrase.Count(len(joined.Models), "model"), out)
	if moved > 0 {
		fmt.Fprintf(t.out, "%s moved to a later split, because another set has the same prompt there\n", phrase.Count(moved, "query"))
	}
	return nil
}

type exampleCommand struct {
	Dir   string `arg:"" help:"Data folder to write."`
	Force bool   `help:"Replace a data folder that is not empty."`
}

func (c *exampleCommand) Help() string {
	return `Prompts of seven subjects in three difficulties, and the scores and token counts of
six models, all invented and always the same: to try the other commands on, and to
see the form that your own data needs. The files are plain text.

Example:
  carrot data example mydata
  carrot data describe mydata
  carrot train --data mydata --out router.safetensors`
}

func (c *exampleCommand) Run(_ context.Context, t terminal) error {
	set := exampledata.New(price.CountTokens)
	if err := set.WriteDirWith(c.Dir, dataset.WriteOptions{Force: c.Force, Plain: true}); err != nil {
		return err
	}
	_, err := fmt.Fprintf(t.out, "wrote %s with the outcomes of %s into %s\n", phrase.Count(len(set.Queries), "invented query"), phrase.Count(len(set.Models), "invented model"), c.Dir)
	return err
}

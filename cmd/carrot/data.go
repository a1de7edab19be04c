package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/price"
)

type dataCommand struct {
	Import   importCommand   `cmd:"" help:"Import a published data set into a data folder."`
	Describe describeCommand `cmd:"" help:"Say what is in a data folder."`
	Check    checkCommand    `cmd:"" help:"List everything that is wrong with a data folder."`
	Join     joinCommand     `cmd:"" help:"Merge data folders into one."`
}

func (c *dataCommand) Help() string {
	return `A data folder holds queries.jsonl[.gz], outcomes.csv[.gz], models.json and
optionally answers.csv[.gz].

Example:
  carrot data describe mydata`
}

type importCommand struct {
	Format    string `arg:"" enum:"sprout" help:"sprout: Parquet files of SPROUT or SPROUT-o3mini."`
	Source    string `arg:"" help:"File or folder to import."`
	Dir       string `arg:"" help:"Data folder to write."`
	Prices    string `placeholder:"FILE" help:"Price book for models.json; else the one in the binary."`
	KeepGoing bool   `help:"Leave bad rows out and note them in rejected.jsonl."`
	Force     bool   `help:"Replace a folder that is not empty."`
	JSON      bool   `name:"json" help:"Print the report as JSON."`
}

func (c *importCommand) Help() string {
	return `Streams the source, refuses a bad row with file, row and column, and writes the
folder all at once.

Example:
  carrot data import sprout downloads/SPROUT sprout`
}

func (c *importCommand) Run(ctx context.Context, t terminal) error {
	book := price.Default()
	if c.Prices != "" {
		own, err := price.Open(c.Prices)
		if err != nil {
			return err
		}
		book = own
	}
	p := newProgress(t.err)
	defer p.done()
	count := p.count("importing rows")
	report, err := dataset.ImportSPROUT(ctx, c.Source, c.Dir, dataset.ImportOptions{
		Prices:    func(model string) (in, out float64, ok bool) { return listPrice(book, model) },
		KeepGoing: c.KeepGoing, Force: c.Force,
		Progress: func(done, total int64) { count(int(done), int(total)) },
	})
	if err != nil {
		return err
	}
	p.done()
	if c.JSON {
		return json.NewEncoder(t.out).Encode(report)
	}
	fmt.Fprintf(t.out, "imported %d of %d rows: %d queries, %d models, %d outcomes into %s\n",
		report.Rows-report.Rejected, report.Rows, report.Queries, len(report.Models), report.Outcomes, c.Dir)
	if report.Rejected > 0 {
		fmt.Fprintf(t.out, "%d bad rows are listed in %s/rejected.jsonl\n", report.Rejected, c.Dir)
	}
	if len(report.Unpriced) > 0 {
		fmt.Fprintf(t.out, "no price known for %s: add them to %s/models.json, or give --prices when training\n", strings.Join(report.Unpriced, ", "), c.Dir)
	}
	return nil
}

// listPrice returns a model's prices in USD per million tokens.
func listPrice(book *price.Book, model string) (in, out float64, ok bool) {
	at := slices.IndexFunc(book.Entries, func(e price.Entry) bool { return e.Name == model })
	if at < 0 {
		return 0, 0, false
	}
	return book.Entries[at].Input, book.Entries[at].Output, true
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
	set, err := dataset.Load(ctx, c.Dir)
	if err != nil {
		return err
	}
	d := set.Describe()
	if c.JSON {
		return json.NewEncoder(t.out).Encode(d)
	}
	return d.WriteText(t.out)
}

type checkCommand struct {
	Dir   string `arg:"" help:"Data folder."`
	Limit int    `default:"100" help:"Most problems to list; 0 for all."`
	JSON  bool   `name:"json" help:"Print the problems as JSON."`
}

func (c *checkCommand) Help() string {
	return `Ends with status 1 if anything is wrong.

Example:
  carrot data check mydata`
}

func (c *checkCommand) Run(ctx context.Context, t terminal) error {
	problems, err := dataset.Check(ctx, c.Dir, c.Limit)
	if err != nil {
		return err
	}
	if c.JSON {
		if problems == nil {
			problems = []dataset.Problem{}
		}
		if err := json.NewEncoder(t.out).Encode(problems); err != nil {
			return err
		}
	} else {
		for _, p := range problems {
			fmt.Fprintln(t.out, p)
			if p.Hint != "" {
				fmt.Fprintln(t.out, "  hint:", p.Hint)
			}
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("%s: problems found: %d", c.Dir, len(problems))
	}
	if !c.JSON {
		fmt.Fprintf(t.out, "%s: nothing wrong\n", c.Dir)
	}
	return nil
}

type joinCommand struct {
	Dirs   []string          `arg:"" help:"Data folders to merge, then the folder to write."`
	Rename map[string]string `placeholder:"OLD=NEW" help:"Rename models before anything is compared."`
	Pool   []string          `placeholder:"NAME" help:"The pool of the joined set; else every set's."`
	Force  bool              `help:"Replace a folder that is not empty."`
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
	if err := joined.WriteDirWith(out, dataset.WriteOptions{Force: c.Force}); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "joined %d queries and %d models into %s\n", len(joined.Queries), len(joined.Models), out)
	if moved > 0 {
		fmt.Fprintf(t.out, "%d queries moved to a later split, as another set holds the same prompt there\n", moved)
	}
	return nil
}

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/internal/pricelist"
	"github.com/carrot-router/carrot/internal/readfile"
	"github.com/carrot-router/carrot/price"
)

type priceImportCommand struct {
	Format string `arg:"" enum:"litellm,genai-prices" help:"Whose list it is: litellm or genai-prices."`
	File   string `arg:"" help:"The list: LiteLLM's model_prices_and_context_window.json (in its wheels with _backup), or prices/data.json of genai-prices."`
	Out    string `placeholder:"FILE" help:"Price book file to write. Without it, the import is only reported."`
	All    bool   `help:"Import every entry with a price for tokens, under the list's own names, not only the current models that twelve vendors serve themselves."`
	Date   string `placeholder:"YYYY-MM-DD" help:"The day whose prices are meant; by default today."`
	Source string `placeholder:"TEXT" help:"Source of the prices, with the list's version; by default the project's name."`
	JSON   bool   `name:"json" help:"Print the report as JSON."`
}

func (c *priceImportCommand) Help() string {
	return `The list is read as data; nothing of the project is run. What a price cannot express is
named in the entry and reported, and what depends on it is not set.

Examples:
  carrot price import litellm model_prices_and_context_window_backup.json --source "LiteLLM 1.110.2" --out prices.json
  carrot price import genai-prices data.json`
}

// maxPriceList is the size of the largest list that is read, in bytes.
const maxPriceList = 64 << 20

func (c *priceImportCommand) Run(_ context.Context, t terminal) error {
	o, err := listOptions(c.Date)
	if err != nil {
		return err
	}
	text, err := readfile.Read(c.File, maxPriceList)
	if err != nil {
		return err
	}
	read, project := pricelist.LiteLLM, "LiteLLM"
	if c.Format == "genai-prices" {
		read, project = pricelist.GenAIPrices, "genai-prices"
	}
	o.Source, o.All = cmp.Or(c.Source, project), c.All
	list, err := read(text, o)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if c.Out != "" {
		if err := list.Book.WriteFile(c.Out); err != nil {
			return err
		}
	}
	if c.JSON {
		return json.NewEncoder(t.out).Encode(importReport(list))
	}
	return describeImport(t.out, list, c.Out)
}

// listOptions returns the options for the prices of a day, by default today.
func listOptions(date string) (pricelist.Options, error) {
	if date == "" {
		date = time.Now().UTC().Format(time.DateOnly)
	} else if _, err := time.Parse(time.DateOnly, date); err != nil {
		return pricelist.Options{}, usagef("--date %q: want YYYY-MM-DD", date)
	}
	return pricelist.Options{Date: date, Source: "list"}, nil
}

// importedJSON is the report of an import.
type importedJSON struct {
	Schema     string              `json:"schema"`
	Read       int                 `json:"read"`
	Imported   int                 `json:"imported"`
	Aliases    int                 `json:"aliases"`
	Incomplete map[string][]string `json:"incomplete"`
	LeftOut    []pricelist.LeftOut `json:"left_out"`
	Reasons    map[string]int      `json:"reasons"`
}

func importReport(list *pricelist.Imported) importedJSON {
	r := importedJSON{"carrot.price-import/1", list.Read, len(list.Book.Entries), list.Same, map[string][]string{}, append([]pricelist.LeftOut{}, list.LeftOut...), map[string]int{}}
	for _, e := range list.Incomplete() {
		r.Incomplete[e.Name] = e.Incomplete
	}
	for _, l := range list.LeftOut {
		r.Reasons[l.Reason]++
	}
	return r
}

// describeImport writes for people what was imported and what was not.
func describeImport(w io.Writer, list *pricelist.Imported, path string) error {
	r := importReport(list)
	fmt.Fprintf(w, "%d entries read: %d imported, %d more as other names of these, %d left out\n", r.Read, r.Imported, r.Aliases, len(r.LeftOut))
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	reasons := slices.SortedFunc(maps.Keys(r.Reasons), func(a, z string) int {
		return cmp.Or(cmp.Compare(r.Reasons[z], r.Reasons[a]), cmp.Compare(a, z))
	})
	for _, reason := range reasons {
		fmt.Fprintf(tw, "left out\t%d\t%s\n", r.Reasons[reason], reason)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Incomplete)) {
		fmt.Fprintf(tw, "incomplete\t%s\t%s\n", name, strings.Join(r.Incomplete[name], ", "))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if path == "" {
		fmt.Fprintln(w, "nothing was written: give --out")
	} else {
		fmt.Fprintf(w, "%s: written\n", path)
	}
	return nil
}

type priceDiffCommand struct {
	A       string `arg:"" help:"A price book, a list of LiteLLM or genai-prices, or default: the book in the binary."`
	B       string `arg:"" help:"The other one."`
	Date    string `placeholder:"YYYY-MM-DD" help:"The day whose prices of a list are meant; by default today."`
	Missing bool   `help:"Also print what only one of the two says."`
	JSON    bool   `name:"json" help:"Print the differences as JSON."`
}

func (c *priceDiffCommand) Help() string {
	return `Compares the prices of the models that are in both, in USD per million tokens, factors,
or USD per use of a tool. Models are matched by their names and aliases.

Examples:
  carrot price diff default my-prices.json
  carrot price diff model_prices_and_context_window_backup.json data.json`
}

func (c *priceDiffCommand) Run(_ context.Context, t terminal) error {
	o, err := listOptions(c.Date)
	if err != nil {
		return err
	}
	a, err := openList(c.A, o)
	if err != nil {
		return err
	}
	b, err := openList(c.B, o)
	if err != nil {
		return err
	}
	differences, models := pricelist.Diff(a, b)
	one := func(d pricelist.Difference) bool { return d.A == nil || d.B == nil }
	missing := 0
	for _, d := range differences {
		if one(d) {
			missing++
		}
	}
	if !c.Missing {
		differences = slices.DeleteFunc(differences, one)
	}
	if c.JSON {
		return json.NewEncoder(t.out).Encode(struct {
			Schema      string                 `json:"schema"`
			Models      int                    `json:"models"`
			Missing     int                    `json:"missing"`
			Differences []pricelist.Difference `json:"differences"`
		}{"carrot.price-diff/1", models, missing, append([]pricelist.Difference{}, differences...)})
	}
	tw := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	disagreements := 0
	if len(differences) > 0 {
		fmt.Fprintf(tw, "model\tdimension\t%s\t%s\n", c.A, c.B)
	}
	for _, d := range differences {
		if !one(d) {
			disagreements++
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", d.Model, d.Dimension, numberText(d.A), numberText(d.B))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%s in both: %s %s, %d %s in one of the two only\n", phrase.Count(models, "model"),
		phrase.Count(disagreements, "number"), phrase.Verb(disagreements, "differs", "differ"), missing, phrase.Verb(missing, "is", "are"))
	return nil
}

// openList opens a price book, a list of another project, or the book in the binary.
func openList(path string, o pricelist.Options) (*price.Book, error) {
	if path == "default" {
		return openPrices(path)
	}
	return pricelist.Open(path, o)
}

// numberText is a number, or a dash if there is none.
func numberText(n *float64) string {
	if n == nil {
		return "–"
	}
	return strconv.FormatFloat(*n, 'g', -1, 64)
}

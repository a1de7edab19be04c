package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/internal/pricelist"
	"github.com/carrot-router/carrot/price"
)

type priceCommand struct {
	List    priceListCommand    `cmd:"" help:"List prices and what is known of the models."`
	Explain priceExplainCommand `cmd:"" help:"Show a model's price, or print a bill line by line."`
	Check   priceCheckCommand   `cmd:"" help:"List old prices, shutdowns and what prices do not express."`
	Diff    priceDiffCommand    `cmd:"" help:"Compare the prices of two books or lists."`
	Import  priceImportCommand  `cmd:"" help:"Make a price book of another project's list."`
	Set     priceSetCommand     `cmd:"" help:"Set one price in a price book file."`
}

func (c *priceCommand) Help() string {
	return `Prices are in USD per million tokens and change without training. See docs/prices.md.

Example:
  carrot price list`
}

// openPrices opens a price book, or the one in the binary for "default" and "".
func openPrices(path string) (*price.Book, error) {
	if path == "" || path == "default" {
		return price.Default(), nil
	}
	return price.Open(path)
}

type priceListCommand struct {
	Prices string `placeholder:"FILE" help:"Price book; the one in the binary if not given."`
	JSON   bool   `name:"json" help:"Print the book as JSON: a file for --prices."`
}

func (c *priceListCommand) Help() string {
	return `A dash stands for what is not set. "depends on" names what else changes the price: the
length of the prompt, the service tier, the region, the lifetime in the cache, or tools
that are billed by use. carrot price explain MODEL shows the prices for each.

Examples:
  carrot price list
  carrot price list --json > prices.json`
}

func (c *priceListCommand) Run(_ context.Context, t terminal) error {
	book, err := openPrices(c.Prices)
	if err != nil {
		return err
	}
	if c.JSON {
		encoder := json.NewEncoder(t.out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(book)
	}
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "model\tinput\tcached input\tcache write\toutput\treasoning\tdepends on\tmax input\tshutdown\tdate\tsource")
	for _, e := range book.All() {
		p := e.Price
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Name, rateText(p.Input), rateText(p.CachedInput),
			rateText(p.CacheWrite), rateText(p.Output), rateText(p.Reasoning), dependence(&e), countText(e.MaxInput), cmp.Or(e.Shutdown, "–"), e.Date, e.Source)
	}
	tw.Flush() // returns no error, as it writes to a strings.Builder
	return printStyled(t.out, b.String(), headed("model "))
}

// dependence names what a price depends on besides the kinds of tokens.
func dependence(e *price.Entry) string {
	var on []string
	if t := e.Tariff; t != nil {
		for _, condition := range []struct {
			name string
			n    int
		}{{"length", len(t.Above)}, {"tier", len(t.Tiers)}, {"region", len(t.Regions)}, {"lifetime", len(t.CacheWrites)}, {"tools", len(t.Tools)}} {
			if condition.n > 0 {
				on = append(on, condition.name)
			}
		}
	}
	if len(e.Incomplete) > 0 {
		on = append(on, "more")
	}
	return cmp.Or(strings.Join(on, ", "), "–")
}

// countText is a number of tokens, or a dash if it is unknown.
func countText(n int) string {
	if n == 0 {
		return "–"
	}
	return strconv.Itoa(n)
}

// rateText is a rate in USD per million tokens, or a dash if it is not set.
func rateText(r carrot.Rate) string {
	usd, ok := r.PerMillion()
	if !ok {
		return "–"
	}
	return strconv.FormatFloat(usd, 'g', -1, 64)
}

type priceCheckCommand struct {
	File  string `arg:"" optional:"" help:"Price book file; the one in the binary if not given."`
	Old   int    `default:"180" placeholder:"DAYS" help:"Age in days from which a price is old."`
	Near  int    `default:"60" placeholder:"DAYS" help:"Days before a shutdown from which it is listed."`
	Today string `placeholder:"YYYY-MM-DD" help:"The day that counts as today; by default the computer's."`
	JSON  bool   `name:"json" help:"Print the notices as JSON."`
}

func (c *priceCheckCommand) Help() string {
	return `Lists models that are shut down or will be soon, prices that are old, and entries whose
source says more than a price can express. A book that cannot be read is an error.

Examples:
  carrot price check
  carrot price check prices.json --old 90`
}

func (c *priceCheckCommand) Run(_ context.Context, t terminal) error {
	today := time.Now()
	if c.Today != "" {
		var err error
		if today, err = time.Parse(time.DateOnly, c.Today); err != nil {
			return usagef("--today %q: want YYYY-MM-DD", c.Today)
		}
	}
	book, err := openPrices(c.File)
	if err != nil {
		return hinted{err, "carrot price list --json prints a book in the right form"}
	}
	notices := pricelist.Check(book, today, c.Old, c.Near)
	if c.JSON {
		return json.NewEncoder(t.out).Encode(struct {
			Entries int                `json:"entries"`
			Notices []pricelist.Notice `json:"notices"`
		}{len(book.All()), append([]pricelist.Notice{}, notices...)})
	}
	name := cmp.Or(c.File, "the book in the binary")
	if len(notices) == 0 {
		fmt.Fprintf(t.out, "%s: %s, nothing wrong\n", name, phrase.Count(len(book.All()), "price"))
		return nil
	}
	counts := map[string]int{}
	for _, n := range notices {
		counts[n.What]++
	}
	fmt.Fprintf(t.out, "%s: %s, %d shut down, %d shut down within %d days, %d older than %d days, %d incomplete\n",
		name, phrase.Count(len(book.All()), "price"), counts[pricelist.ShutDown], counts[pricelist.ShutsDown], c.Near, counts[pricelist.Old], c.Old, counts[pricelist.Incomplete])
	tw := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for _, n := range notices {
		about := n.Date
		if n.Successor != "" {
			about += ", use " + n.Successor
		}
		fmt.Fprintf(tw, "%s\t%s\t%s%s\n", n.What, n.Model, about, strings.Join(n.Fields, ", "))
	}
	return tw.Flush()
}

type priceSetCommand struct {
	File        string   `arg:"" help:"Price book file; created if it does not exist."`
	Model       string   `arg:"" help:"Model name."`
	Input       float64  `required:"" placeholder:"USD" help:"USD per million input tokens."`
	Output      float64  `required:"" placeholder:"USD" help:"USD per million output tokens."`
	CachedInput *float64 `placeholder:"USD" help:"USD per million cached input tokens; by default the price of input."`
	CacheWrite  *float64 `placeholder:"USD" help:"USD per million tokens written to the cache; if not given, the cost of a call with such tokens is unknown."`
	Reasoning   *float64 `placeholder:"USD" help:"USD per million reasoning tokens; by default the price of output."`
	Date        string   `required:"" placeholder:"YYYY-MM-DD" help:"Date of the price."`
	Source      string   `required:"" placeholder:"TEXT" help:"Where the price was found."`
}

func (c *priceSetCommand) Help() string {
	return `Example:
  carrot price set prices.json my-model --input 0.2 --output 0.8 --date 2026-11-01 --source "contract"`
}

func (c *priceSetCommand) Run(_ context.Context, t terminal) error {
	book, err := price.Open(c.File)
	if errors.Is(err, fs.ErrNotExist) {
		book, err = &price.Book{}, nil
	}
	if err != nil {
		return err
	}
	set := carrot.Price{Input: carrot.PerMillion(c.Input), Output: carrot.PerMillion(c.Output)}
	for _, optional := range []struct {
		rate *carrot.Rate
		usd  *float64
	}{{&set.CachedInput, c.CachedInput}, {&set.CacheWrite, c.CacheWrite}, {&set.Reasoning, c.Reasoning}} {
		if optional.usd != nil {
			*optional.rate = carrot.PerMillion(*optional.usd)
		}
	}
	err = book.Set(price.Entry{Name: c.Model, Price: set, Date: c.Date, Source: c.Source})
	if err != nil {
		return usageError{err}
	}
	if err := book.WriteFile(c.File); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%s: %s set, %s\n", c.File, c.Model, phrase.Count(len(book.Entries), "price"))
	return nil
}

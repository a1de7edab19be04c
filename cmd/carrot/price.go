package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/price"
)

type priceCommand struct {
	List  priceListCommand  `cmd:"" help:"List the prices of a book."`
	Check priceCheckCommand `cmd:"" help:"Check a price book file."`
	Set   priceSetCommand   `cmd:"" help:"Set one price in a price book file."`
}

func (c *priceCommand) Help() string {
	return `Prices are in USD per million tokens and change without training.

Example:
  carrot price list`
}

type priceListCommand struct {
	Prices string `placeholder:"FILE" help:"Price book; the one in the binary if not given."`
	JSON   bool   `name:"json" help:"Print the book as JSON: a file for --prices."`
}

func (c *priceListCommand) Help() string {
	return `Example:
  carrot price list --json > prices.json`
}

func (c *priceListCommand) Run(_ context.Context, t terminal) error {
	book := price.Default()
	if c.Prices != "" {
		own, err := price.Open(c.Prices)
		if err != nil {
			return err
		}
		book = own
	}
	if c.JSON {
		encoder := json.NewEncoder(t.out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(book)
	}
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "model\tinput\tcached input\tcache write\toutput\treasoning\tdate\tsource")
	for _, e := range book.Entries {
		p := e.Price
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Name, rateText(p.Input), rateText(p.CachedInput),
			rateText(p.CacheWrite), rateText(p.Output), rateText(p.Reasoning), e.Date, e.Source)
	}
	tw.Flush() // returns no error, as it writes to a strings.Builder
	return printStyled(t.out, b.String(), headed("model "))
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
	File string `arg:"" help:"Price book file."`
}

func (c *priceCheckCommand) Help() string {
	return `Example:
  carrot price check prices.json`
}

func (c *priceCheckCommand) Run(_ context.Context, t terminal) error {
	book, err := price.Open(c.File)
	if err != nil {
		return hinted{err, "carrot price list --json prints a book in the right form"}
	}
	fmt.Fprintf(t.out, "%s: %s, nothing wrong\n", c.File, phrase.Count(len(book.Entries), "price"))
	return nil
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

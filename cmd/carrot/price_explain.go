package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/pricelist"
	"github.com/carrot-router/carrot/price"
)

type priceExplainCommand struct {
	Model  string `arg:"" optional:"" help:"Model name."`
	Usage  string `placeholder:"USAGE" help:"What a call used, as input=1200,cached_input=800,output=300,tier=flex or as a JSON object."`
	Usages string `placeholder:"FILE" help:"Bill every line of a JSONL file (- for standard input): {\"model\":…,\"usage\":{…}}. Prints JSONL."`
	Prices string `placeholder:"FILE" help:"Price book that is laid over the one in the binary."`
	JSON   bool   `name:"json" help:"Print the entry or the bill as JSON."`
}

func (c *priceExplainCommand) Help() string {
	return `Without --usage, shows all that is known of a model. With it, prints a bill line by line.

The parts of a usage do not overlap. They are input, cached_input, cache_write, output,
reasoning, audio_input, audio_output, image_input and image_output in tokens;
cache_writes.SECONDS, tokens written to a cache for a lifetime; tools.NAME, uses of a
tool; and the words tier, speed and region, as the answer names them.

Examples:
  carrot price explain gpt-5.5
  carrot price explain gpt-5.6-sol --usage input=1200,cached_input=800,output=300,tier=flex
  carrot price explain claude-opus-5-5 --usage '{"input":500,"cache_writes":{"3600":4000},"output":300,"tools":{"web_search":2}}'
  carrot price explain --usages calls.jsonl`
}

func (c *priceExplainCommand) Run(_ context.Context, t terminal) error {
	switch {
	case c.Usages == "" && c.Model == "":
		return usagef("expected a model, or --usages")
	case c.Usages != "" && (c.Model != "" || c.Usage != ""):
		return usagef("--usages: the file names the models and usages")
	}
	book := price.Default()
	if c.Prices != "" {
		own, err := price.Open(c.Prices)
		if err != nil {
			return err
		}
		book = book.Overlay(own)
	}
	if c.Usages != "" {
		return c.batch(t, book)
	}
	e, err := book.Lookup(c.Model)
	if err != nil {
		return err
	}
	if c.Usage == "" {
		if c.JSON {
			return json.NewEncoder(t.out).Encode(e)
		}
		return describeEntry(t.out, &e)
	}
	u, err := parseUsage(c.Usage)
	if err != nil {
		return usagef("--usage: %w", err)
	}
	b := newBill(c.Model, &e, u)
	if c.JSON {
		return json.NewEncoder(t.out).Encode(b)
	}
	return b.describe(t.out)
}

// batch prints the bill of every line of a file.
func (c *priceExplainCommand) batch(t terminal, book *price.Book) error {
	in, name := t.in, "standard input"
	if c.Usages != "-" {
		f, err := os.Open(c.Usages)
		if err != nil {
			return err
		}
		defer f.Close()
		in, name = f, c.Usages
	}
	out := bufio.NewWriter(t.out)
	defer out.Flush()
	encoder := json.NewEncoder(out)
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var line struct {
			Model string    `json:"model"`
			Usage usageForm `json:"usage"`
		}
		if err := strictJSON(lines.Bytes(), &line); err != nil {
			return hinted{fmt.Errorf("%s:%d: %w", name, n, err), `a line is {"model":"…","usage":{"input":1200,"output":300}}`}
		}
		e, err := book.Lookup(line.Model)
		b := &billJSON{Schema: billSchema, Model: line.Model, Lines: []billLineJSON{}}
		if err != nil {
			b.Error = err.Error()
		} else {
			b = newBill(line.Model, &e, line.Usage.usage())
		}
		if err := encoder.Encode(b); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return out.Flush()
}

// usageForm is a usage as it is written for this command.
type usageForm struct {
	Input       int            `json:"input"`
	CachedInput int            `json:"cached_input"`
	CacheWrite  int            `json:"cache_write"`
	Output      int            `json:"output"`
	Reasoning   int            `json:"reasoning"`
	CacheWrites map[int]int    `json:"cache_writes"`
	AudioInput  int            `json:"audio_input"`
	AudioOutput int            `json:"audio_output"`
	ImageInput  int            `json:"image_input"`
	ImageOutput int            `json:"image_output"`
	Tools       map[string]int `json:"tools"`
	Tier        string         `json:"tier"`
	Speed       string         `json:"speed"`
	Region      string         `json:"region"`
}

func (f *usageForm) usage() carrot.Usage {
	return carrot.Usage{Input: f.Input, CachedInput: f.CachedInput, CacheWrite: f.CacheWrite, Output: f.Output, Reasoning: f.Reasoning,
		Details: &carrot.UsageDetails{CacheWrites: f.CacheWrites, AudioInput: f.AudioInput, AudioOutput: f.AudioOutput,
			ImageInput: f.ImageInput, ImageOutput: f.ImageOutput, Tools: f.Tools, Tier: f.Tier, Speed: f.Speed, Region: f.Region}}
}

// strictJSON reads one JSON value without unknown fields.
func strictJSON(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("text after the object")
	}
	return nil
}

// parseUsage parses a usage in either form.
func parseUsage(text string) (carrot.Usage, error) {
	var form usageForm
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		err := strictJSON([]byte(text), &form)
		return form.usage(), err
	}
	object := map[string]any{}
	for part := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return carrot.Usage{}, fmt.Errorf("%q: want NAME=NUMBER", part)
		}
		var v any = value
		switch key {
		case "tier", "speed", "region":
		case "cached":
			key = "cached_input"
			fallthrough
		default:
			n, err := strconv.Atoi(value)
			if err != nil {
				return carrot.Usage{}, fmt.Errorf("%s: %q is not a whole number", key, value)
			}
			v = n
		}
		into := object
		if group, name, ok := strings.Cut(key, "."); ok {
			inner, _ := object[group].(map[string]any)
			if inner == nil {
				inner = map[string]any{}
				object[group] = inner
			}
			into, key = inner, name
		}
		if _, twice := into[key]; twice {
			return carrot.Usage{}, fmt.Errorf("%s: given twice", key)
		}
		into[key] = v
	}
	whole, err := json.Marshal(object)
	if err == nil {
		err = strictJSON(whole, &form)
	}
	return form.usage(), err
}

const billSchema = "carrot.bill/1"

// billJSON is a bill as it is printed. What is unknown is null.
type billJSON struct {
	Schema     string         `json:"schema"`
	Model      string         `json:"model"` // as asked for
	Entry      string         `json:"entry,omitempty"`
	Date       string         `json:"date,omitempty"`
	Source     string         `json:"source,omitempty"`
	Incomplete []string       `json:"incomplete,omitempty"`
	Lines      []billLineJSON `json:"lines"`
	USD        *carrot.USD    `json:"usd"`
	Error      string         `json:"error,omitempty"`
}

type billLineJSON struct {
	What          string      `json:"what"`
	Count         int         `json:"count"`
	USDPerMillion *float64    `json:"usd_per_million,omitempty"`
	USDEach       *carrot.USD `json:"usd_each,omitempty"`
	Factor        float64     `json:"factor"`
	USD           *carrot.USD `json:"usd"`
	Error         string      `json:"error,omitempty"`
}

// newBill bills a usage at an entry's price.
func newBill(model string, e *price.Entry, u carrot.Usage) *billJSON {
	b := &billJSON{Schema: billSchema, Model: model, Entry: e.Name, Date: e.Date, Source: e.Source, Incomplete: e.Incomplete, Lines: []billLineJSON{}}
	for _, line := range e.Price.Lines(u) {
		l := billLineJSON{What: line.What, Count: line.Count, Factor: line.Factor}
		if usd, ok := line.Rate.PerMillion(); ok {
			l.USDPerMillion = &usd
		} else if line.Each != 0 {
			l.USDEach = &line.Each
		}
		if line.Err != nil {
			l.Error = line.Err.Error()
		} else {
			l.USD = &line.Cost
		}
		b.Lines = append(b.Lines, l)
	}
	if usd, err := e.Price.Cost(u); err != nil {
		b.Error = err.Error()
	} else {
		b.USD = &usd
	}
	return b
}

// describe writes a bill for people.
func (b *billJSON) describe(w io.Writer) error {
	if b.Entry == b.Model {
		fmt.Fprintf(w, "%s, %s, %s\n", b.Entry, b.Date, b.Source)
	} else {
		fmt.Fprintf(w, "%s, listed as %s, %s, %s\n", b.Model, b.Entry, b.Date, b.Source)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "part\tcount\tprice\tfactor\tcost")
	for _, l := range b.Lines {
		unit := "–"
		switch {
		case l.USDPerMillion != nil:
			unit = "$" + strconv.FormatFloat(*l.USDPerMillion, 'g', -1, 64) + " per million"
		case l.USDEach != nil:
			unit = l.USDEach.String() + " each"
		}
		factor := "–"
		if l.Factor != 1 {
			factor = strconv.FormatFloat(l.Factor, 'g', -1, 64)
		}
		fmt.Fprintf(tw, "%s\t%d\t%s\t%s\t%s\n", l.What, l.Count, unit, factor, costText(l.USD, l.Error))
	}
	fmt.Fprintf(tw, "total\t\t\t\t%s\n", costText(b.USD, b.Error))
	if err := tw.Flush(); err != nil {
		return err
	}
	if len(b.Incomplete) > 0 {
		fmt.Fprintf(w, "the source says more than a price can express: %s\n", strings.Join(b.Incomplete, ", "))
	}
	return nil
}

// costText is a cost, or why it is unknown.
func costText(usd *carrot.USD, problem string) string {
	if usd == nil {
		return problem
	}
	return usd.String()
}

// describeEntry writes for people all that is known of a model.
func describeEntry(w io.Writer, e *price.Entry) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	f := &e.Facts
	for _, row := range [][2]string{
		{"model", e.Name},
		{"provider", f.Provider},
		{"aliases", strings.Join(f.Aliases, ", ")},
		{"max input", countText(f.MaxInput)},
		{"max output", countText(f.MaxOutput)},
		{"context", countText(f.Context)},
		{"tool calls", knownText(f.ToolCalls)},
		{"vision", knownText(f.Vision)},
		{"json", knownText(f.JSON)},
		{"sampling", samplingText(f)},
		{"efforts", strings.Join(f.Efforts, ", ")},
		{"cache min", countText(f.CacheMin)},
		{"shutdown", f.Shutdown},
		{"successor", f.Successor},
		{"incomplete", strings.Join(f.Incomplete, ", ")},
		{"date", e.Date},
		{"source", e.Source},
		{"source of facts", f.FactsSource},
	} {
		fmt.Fprintf(tw, "%s\t%s\n", row[0], cmp.Or(row[1], "–"))
	}
	if f.TokenFactor != 0 {
		fmt.Fprintf(tw, "token factor\t%s\n", strconv.FormatFloat(f.TokenFactor, 'g', -1, 64))
	}
	for _, d := range pricelist.Dimensions(&e.Price) {
		unit := "per million tokens"
		switch {
		case strings.HasPrefix(d.Name, "tools."):
			unit = "each"
		case strings.HasPrefix(d.Name, "regions."), strings.HasSuffix(d.Name, ".factor"):
			unit = ""
		}
		if value := strconv.FormatFloat(d.Value, 'g', -1, 64); unit == "" {
			fmt.Fprintf(tw, "%s\ttimes %s\n", d.Name, value)
		} else {
			fmt.Fprintf(tw, "%s\t$%s %s\n", d.Name, value, unit)
		}
	}
	return tw.Flush()
}

// knownText is yes, no, or a dash for what is unknown.
func knownText(fact *bool) string {
	switch {
	case fact == nil:
		return "–"
	case *fact:
		return "yes"
	}
	return "no"
}

func samplingText(f *price.Facts) string {
	text := knownText(f.Sampling)
	if len(f.SamplingEfforts) > 0 {
		text += ", at the efforts " + strings.Join(f.SamplingEfforts, ", ")
	}
	return text
}

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/carrot-router/carrot/eval"
	"github.com/carrot-router/carrot/internal/atomicfile"
	render "github.com/carrot-router/carrot/internal/report"
)

// reportFlags name the files that carrot eval and carrot report write a report to.
type reportFlags struct {
	HTML        string `name:"html" placeholder:"FILE" help:"Write the report as one HTML page that needs no network."`
	Markdown    string `placeholder:"FILE" help:"Write the report's tables as Markdown."`
	CSV         string `name:"csv" placeholder:"FILE" help:"Write one line per router as CSV."`
	LaTeX       string `name:"latex" placeholder:"FILE" help:"Write the main tables as LaTeX, for booktabs."`
	SVG         string `name:"svg" placeholder:"FILE" help:"Write the curves as one SVG for papers."`
	Size        string `placeholder:"SIZE" help:"Size of --svg and --latex: column, page, or WIDTHxHEIGHT in pixels."`
	OutOfDomain string `placeholder:"FILE" help:"Report of --leave-out source, saved with --json, to show beside this one in --html and --markdown."`

	size        render.Size
	outOfDomain *eval.Report
	inOrder     bool // keep the report's order of routers
}

// paths lists the files that the flags name.
func (f *reportFlags) paths() []string {
	var out []string
	for _, path := range []string{f.HTML, f.Markdown, f.CSV, f.LaTeX, f.SVG} {
		if path != "" {
			out = append(out, path)
		}
	}
	return out
}

// check refuses flags that have no effect, and two forms in one file.
func (f *reportFlags) check() error {
	seen := map[string]bool{}
	for _, path := range f.paths() {
		if seen[filepath.Clean(path)] {
			return usagef("%s is named twice: every form needs a file of its own", path)
		}
		seen[filepath.Clean(path)] = true
	}
	switch {
	case f.OutOfDomain != "" && f.HTML == "" && f.Markdown == "":
		return usagef("--out-of-domain is shown by --html and --markdown: give one")
	case f.Size != "" && f.SVG == "" && f.LaTeX == "":
		return usagef("--size is that of --svg and --latex: give one")
	case f.Size != "":
		var err error
		if f.size, err = render.ParseSize(f.Size); err != nil {
			return usagef("--%v", err)
		}
	}
	return nil
}

// open reads the report to show beside this one and checks that the folders to
// write to exist, before anything slow begins.
func (f *reportFlags) open() error {
	for _, path := range f.paths() {
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			return fmt.Errorf("write report %s: %w", path, err)
		}
	}
	if f.OutOfDomain == "" {
		return nil
	}
	var err error
	f.outOfDomain, err = openReport(f.OutOfDomain, "carrot eval --leave-out source --json FILE")
	return err
}

// openReport reads a saved report. command is what makes one.
func openReport(path, command string) (*eval.Report, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	defer file.Close() // only read from
	r, err := render.Read(file)
	if errors.Is(err, render.ErrSchema) {
		return nil, hinted{fmt.Errorf("read report %s: %w", path, err), "make one with " + command}
	} else if err != nil {
		return nil, fmt.Errorf("read report %s: %w", path, err)
	}
	return r, nil
}

// write writes the files that the flags name.
func (f *reportFlags) write(r *eval.Report) error {
	o := render.Options{OutOfDomain: f.outOfDomain, InOrder: f.inOrder}
	for _, out := range []struct {
		path  string
		write func(io.Writer) error
	}{
		{f.HTML, func(w io.Writer) error { return render.HTML(w, r, o) }},
		{f.Markdown, func(w io.Writer) error { return render.Markdown(w, r, o) }},
		{f.CSV, func(w io.Writer) error { return render.CSV(w, r) }},
		{f.LaTeX, func(w io.Writer) error {
			return render.LaTeX(w, r, render.LaTeXOptions{InOrder: f.inOrder, Column: f.size.Column()})
		}},
		{f.SVG, func(w io.Writer) error {
			return render.CurvesSVG(w, r, render.SVGOptions{InOrder: f.inOrder, Size: f.size})
		}},
	} {
		if out.path == "" {
			continue
		}
		if err := atomicfile.Write(out.path, 0o644, out.write); err != nil {
			return fmt.Errorf("write report %s: %w", out.path, err)
		}
	}
	return nil
}

type reportCommand struct {
	File    string   `arg:"" help:"Evaluation saved with carrot eval --json."`
	Routers []string `placeholder:"NAME" help:"Routers to show, in this order; reference rows are always there."`
	Details bool     `help:"Print the longer tables too, as carrot eval --details does."`
	JSON    bool     `name:"json" help:"Print the report, with --routers only, as JSON (carrot.eval/1)."`

	reportFlags
}

func (c *reportCommand) Help() string {
	return `Makes what carrot eval makes from a saved evaluation, without measuring again:
the same bytes as carrot eval with the same flags. Without a file to write, it
prints the tables.

A report that does not show all routers names those that it does not show (a CSV
and a drawing cannot). docs/publish.md says how to include the files in a paper.

Examples:
  carrot report report.json
  carrot report report.json --html report.html --markdown report.md
  carrot report report.json --routers blend,knn --latex table.tex --svg curves.svg --size column`
}

func (c *reportCommand) Run(t terminal) error {
	if err := c.reportFlags.check(); err != nil {
		return err
	}
	if c.JSON && c.Details {
		return usagef("--json has everything, and --details are tables: give one")
	}
	if err := c.keepFile(); err != nil {
		return err
	}
	r, err := openReport(c.File, "carrot eval --json FILE")
	if err != nil {
		return err
	}
	if err := c.reportFlags.open(); err != nil {
		return err
	}
	if len(c.Routers) > 0 {
		if r, err = render.Select(r, c.Routers); err != nil {
			return usagef("--routers: %v", err)
		}
		c.inOrder = true
	}
	if err := c.reportFlags.write(r); err != nil {
		return err
	}
	switch {
	case c.JSON:
		return render.JSON(t.out, r)
	case len(c.paths()) > 0 && !c.Details:
		return nil
	}
	return writeTables(t.out, r, c.Details)
}

// keepFile refuses to write over the evaluation.
func (c *reportCommand) keepFile() error {
	from, err := os.Stat(c.File)
	if err != nil {
		return nil // opening it says what is wrong
	}
	for _, path := range c.paths() {
		if to, err := os.Stat(path); err == nil && os.SameFile(from, to) {
			return usagef("%s is the evaluation: write to another file", path)
		}
	}
	return nil
}

// writeTables prints a report's tables.
func writeTables(w io.Writer, r *eval.Report, details bool) error {
	if err := r.WriteText(w); err != nil || !details {
		return err
	}
	return r.WriteDetails(w)
}

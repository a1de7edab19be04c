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

// reportFlags name the files that carrot eval writes its report to.
type reportFlags struct {
	HTML        string `name:"html" placeholder:"FILE" help:"Write the report as one HTML page that needs no network."`
	CSV         string `name:"csv" placeholder:"FILE" help:"Write one line per router as CSV."`
	Markdown    string `placeholder:"FILE" help:"Write the report's tables as Markdown."`
	SVG         string `name:"svg" placeholder:"FILE" help:"Write the curves as one SVG for papers."`
	OutOfDomain string `placeholder:"FILE" help:"Report of --leave-out source, saved with --json, to show beside this one in --html and --markdown."`

	outOfDomain *eval.Report
}

// open reads the report to show beside this one and checks that the folders to
// write to exist, before anything slow begins.
func (f *reportFlags) open() error {
	for _, path := range []string{f.HTML, f.CSV, f.Markdown, f.SVG} {
		if path == "" {
			continue
		}
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			return fmt.Errorf("write report %s: %w", path, err)
		}
	}
	if f.OutOfDomain == "" {
		return nil
	}
	file, err := os.Open(f.OutOfDomain)
	if err != nil {
		return fmt.Errorf("read report: %w", err)
	}
	defer file.Close()
	if f.outOfDomain, err = render.Read(file); errors.Is(err, render.ErrSchema) {
		return hinted{fmt.Errorf("read report %s: %w", f.OutOfDomain, err), "make one with carrot eval --leave-out source --json FILE"}
	} else if err != nil {
		return fmt.Errorf("read report %s: %w", f.OutOfDomain, err)
	}
	return nil
}

// write writes the files that the flags name.
func (f *reportFlags) write(r *eval.Report) error {
	o := render.Options{OutOfDomain: f.outOfDomain}
	for _, out := range []struct {
		path  string
		write func(io.Writer) error
	}{
		{f.HTML, func(w io.Writer) error { return render.HTML(w, r, o) }},
		{f.CSV, func(w io.Writer) error { return render.CSV(w, r) }},
		{f.Markdown, func(w io.Writer) error { return render.Markdown(w, r, o) }},
		{f.SVG, func(w io.Writer) error { return render.CurvesSVG(w, r, render.SVGOptions{}) }},
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

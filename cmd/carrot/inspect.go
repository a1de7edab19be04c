package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/internal/phrase"
)

type inspectCommand struct {
	File string `arg:"" optional:"" help:"Saved router, or the name of one in the binary: default (if not given) or agents-2026."`
	JSON bool   `name:"json" help:"Print the manifest as JSON."`
}

func (c *inspectCommand) Help() string {
	return `Example:
  carrot inspect router.safetensors`
}

func (c *inspectCommand) Run(_ context.Context, t terminal) error {
	a, err := (&routerFlags{Router: c.File}).artifact(t.warn)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(t.out).Encode(a.Manifest)
	}
	return describe(t.out, a)
}

// describe writes for people what is in a saved router.
func describe(w io.Writer, a *artifact.Artifact) error {
	m := &a.Manifest
	spec, err := json.Marshal(m.Predictor)
	if err != nil {
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "format\t%s, %s, sha256 %s\n", m.Format, phrase.Count(a.Size, "byte"), a.SHA256)
	if a.Verified {
		fmt.Fprintln(tw, "hash\tthe content matches the hash in the file")
	} else {
		fmt.Fprintln(tw, "hash\tnone in the file, so damage cannot be seen")
	}
	if m.Description != "" {
		fmt.Fprintf(tw, "what\t%s\n", m.Description)
	}
	if m.Unit != "" {
		fmt.Fprintf(tw, "unit\ta %s: qualities and costs are those of a whole %[1]s, costs in USD a %[1]s\n", m.Unit)
	}
	if blind(a) {
		fmt.Fprintf(tw, "embedder\tnone: estimates are the same for every prompt\npredictor\t%s\n", spec)
	} else {
		fmt.Fprintf(tw, "embedder\t%s, %s\npredictor\t%s\n", m.Embedder.ID, phrase.Count(m.Embedder.Dim, "dimension"), spec)
	}
	for _, d := range m.Data {
		queries := phrase.Count(d.Queries, unit(a))
		if d.Rows > d.Queries {
			queries = fmt.Sprintf("%d of %s", d.Queries, phrase.Count(d.Rows, unit(a)))
		}
		fmt.Fprintf(tw, "trained on\t%s: %s of %s (%s)\n", d.Name, queries, phrase.Count(len(d.Sources), "source"), d.Fingerprint)
	}
	if h := a.Predictor.Holdout(); h != nil {
		fmt.Fprintf(tw, "promises\tcalibrated on %s held out\n", phrase.Count(len(h.InputTokens), "query"))
	}
	fmt.Fprintf(tw, "command\t%s\nlicence\t%s\n", m.Command, m.Licence)
	for _, name := range slices.Sorted(maps.Keys(m.Metrics)) {
		fmt.Fprintf(tw, "out of fold\t%s %.4g\n", name, m.Metrics[name])
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if len(m.Metrics) > 0 {
		fmt.Fprintf(w, "out of fold: the settings were chosen on these same %s; carrot eval --folds measures without that advantage\n", phrase.Plural(unit(a)))
	}
	fmt.Fprintln(w)
	var models strings.Builder
	tw = tabwriter.NewWriter(&models, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "model\tobserved\tmean score\ttokens within p90\tinput\toutput, USD per million tokens")
	for _, model := range m.Models {
		covered, in, out := "–", "–", "–"
		if model.TokensP90 != nil {
			covered = fmt.Sprintf("%.1f%%", 100**model.TokensP90)
		}
		if model.Price != nil {
			in, out = rateText(model.Price.Input), rateText(model.Price.Output)
		}
		fmt.Fprintf(tw, "%s\t%d\t%.4f\t%s\t%s\t%s\n", model.Name, model.Observed, model.MeanScore, covered, in, out)
	}
	tw.Flush() // returns no error, as it writes to a strings.Builder
	if err := printStyled(w, models.String(), headed("model ")); err != nil {
		return err
	}
	if err := describePlans(w, m); err != nil || m.Learned == nil {
		return err
	}
	return describeLearned(w, m)
}

// unit is what qualities and costs of a router are of.
func unit(a *artifact.Artifact) string { return cmp.Or(a.Manifest.Unit, "query") }

// describePlans writes what is known of the plans of a router.
func describePlans(w io.Writer, m *artifact.Manifest) error {
	if len(m.Plans) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	var text strings.Builder
	tw := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "plan\tobserved\tmean score\tasked\tcost within p90")
	for _, p := range m.Plans {
		asked := make([]string, len(p.Steps))
		for k, s := range p.Steps {
			asked[k] = fmt.Sprintf("%.0f%%", 100*s.Called)
		}
		within := "–"
		if p.CostP90 != nil {
			within = fmt.Sprintf("%.1f%%", 100**p.CostP90)
		}
		fmt.Fprintf(tw, "%s\t%d\t%.4f\t%s\t%s\n", p.Name, p.Observed, p.MeanScore, strings.Join(asked, ", "), within)
	}
	tw.Flush() // returns no error, as it writes to a strings.Builder
	if err := printStyled(w, text.String(), headed("plan ")); err != nil {
		return err
	}
	tw = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, name := range slices.Sorted(maps.Keys(m.PlanMetrics)) {
		fmt.Fprintf(tw, "with plans, out of fold\t%s %.4g\n", name, m.PlanMetrics[name])
	}
	return tw.Flush()
}

// describeLearned writes what a router learnt from traffic after its fit.
func describeLearned(w io.Writer, m *artifact.Manifest) error {
	l := m.Learned
	rows := 0
	for _, n := range l.Rows {
		rows += n
	}
	earlier := make([]string, len(l.Earlier))
	for i, e := range l.Earlier {
		earlier[i] = cmp.Or(e.Router, "-")
	}
	fmt.Fprintf(w, "\nlearnt from %s with a score, %s to %s; earlier routers of the same fit: %s\n", phrase.Count(rows, "request"),
		l.From.Format(time.DateOnly), l.To.Format(time.DateOnly), strings.Join(earlier, ", "))
	fmt.Fprintf(w, "requests that the router chose and those drawn at random differ between models with a standard deviation of %.3f\n\n", l.Gap)
	var text strings.Builder
	tw := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "corrected\trequests\tquality\tstandard error\toutput tokens\tstandard error of the logarithm")
	se := func(v *float64) string {
		if v == nil {
			return "–"
		}
		return fmt.Sprintf("%.4f", *v)
	}
	for j, model := range m.Models {
		fmt.Fprintf(tw, "%s\t%d\t%+.4f\t%s\t× %.3f\t%s\n", model.Name, l.Rows[j], l.Quality[j], se(l.QualitySE[j]), l.Tokens[j], se(l.TokensSE[j]))
	}
	tw.Flush() // returns no error, as it writes to a strings.Builder
	return printStyled(w, text.String(), headed("corrected "))
}

type versionCommand struct {
	JSON bool `name:"json" help:"Print as JSON."`
}

func (c *versionCommand) Help() string {
	return `Example:
  carrot version`
}

// version is set by make dist.
var version = ""

func (c *versionCommand) Run(_ context.Context, t terminal) error {
	v := version
	if info, ok := debug.ReadBuildInfo(); ok && v == "" {
		v = info.Main.Version
	}
	if v == "" {
		v = "(devel)"
	}
	if c.JSON {
		return json.NewEncoder(t.out).Encode(map[string]string{"version": v, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
	}
	fmt.Fprintf(t.out, "carrot %s %s %s/%s\n", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/carrot-router/carrot/internal/atomicfile"
	"github.com/carrot-router/carrot/internal/theory"
)

type theoryCommand struct {
	Seed  uint64 `placeholder:"N" help:"Seed of the simulation."`
	Quick bool   `help:"Fewer sizes and repetitions: seconds instead of minutes, and wide intervals."`
	JSON  string `name:"json" placeholder:"FILE" help:"Write the report as JSON (carrot.theory/1); - for standard output, without the table."`
	SVG   string `name:"svg" placeholder:"FILE" help:"Draw excess risk against n on the fixed problems."`
}

func (c *theoryCommand) Help() string {
	return `Simulates routing problems of known dimension d, smoothness γ, margin α and noise,
routes with nearest neighbours and a kernel, and fits the slope of log excess
risk against log n beside that of theory, -γ(1+α)/(2γ+d). Wrong numbers of
neighbours, an estimated cost and a domain shift show what the rate does not
promise. A second table has the least favourable problems for each n, on which no
rule can be faster (docs/theory.md). Takes about two minutes.

Examples:
  carrot theory --svg theory.svg
  carrot theory --quick --json -`
}

func (c *theoryCommand) Run(ctx context.Context, t terminal) error {
	if c.SVG == "-" && c.JSON == "-" {
		return usagef("--svg - and --json -: only one of them can be written to standard output")
	}
	if err := cmp.Or(folderOf("--json", c.JSON), folderOf("--svg", c.SVG)); err != nil {
		return err
	}
	p := startProgress(ctx, t.err, "simulating")
	report, err := theory.Run(ctx, theory.Config{Seed: c.Seed, Quick: c.Quick, Progress: p.count("simulating")})
	p.stop()
	if err != nil {
		return err
	}
	var picture bytes.Buffer
	if err := report.WriteSVG(&picture); err != nil {
		return err
	}
	data, err := json.MarshalIndent(report, "", " ")
	if err != nil {
		return err
	}
	if err := writeTo(t.out, "--json", c.JSON, append(data, '\n')); err != nil {
		return err
	}
	if err := writeTo(t.out, "--svg", c.SVG, picture.Bytes()); err != nil {
		return err
	}
	if c.JSON == "-" || c.SVG == "-" {
		return nil
	}
	var text strings.Builder
	if err := report.WriteText(&text); err != nil {
		return err
	}
	return printStyled(t.out, text.String(), headed("method ", "d  γ "))
}

// folderOf checks, before a long run, that the folder of the file that a flag
// names exists.
func folderOf(flag, name string) error {
	if name == "" || name == "-" {
		return nil
	}
	if _, err := os.Stat(filepath.Dir(name)); err != nil {
		return fmt.Errorf("write %s: %w", flag, err)
	}
	return nil
}

// writeTo replaces the file that a flag names, whole or not at all, or writes to
// standard output for -. Without a name it writes nothing.
func writeTo(out io.Writer, flag, name string, data []byte) error {
	switch name {
	case "":
		return nil
	case "-":
		_, err := out.Write(data)
		return err
	}
	if err := atomicfile.Write(name, 0o644, func(w io.Writer) error { _, err := w.Write(data); return err }); err != nil {
		return fmt.Errorf("write %s: %w", flag, err)
	}
	wrote(out, name)
	return nil
}

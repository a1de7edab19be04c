package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/embed"
	"github.com/carrot-router/carrot/internal/atomicfile"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/table"
)

type embedCommand struct {
	Distill distillCommand    `cmd:"" help:"Distil a sentence encoder into a static table."`
	Check   embedCheckCommand `cmd:"" help:"Check a static table and show how it was made."`
	Export  exportCommand     `cmd:"" help:"Write the vectors of a data folder's prompts as .npy."`
}

func (c *embedCommand) Help() string {
	return `Example:
  carrot embed check`
}

type distillCommand struct {
	Teacher   string   `required:"" placeholder:"DIR" help:"Hugging Face folder of a BERT-family sentence encoder."`
	Data      []string `required:"" placeholder:"DIR" help:"Data folders whose training prompts give the token frequencies."`
	Out       string   `required:"" placeholder:"FILE" help:"File to write the table to."`
	Dim       int      `default:"128" help:"Length of the vectors."`
	Smoothing float64  `default:"0.0003" help:"a of the weight a/(a+p) of a token with frequency p."`
	Licence   string   `default:"unspecified" help:"Licence of the teacher, to store in the table."`
}

func (c *distillCommand) Help() string {
	return `Runs every token through the teacher, reduces the outputs by principal components
and weights tokens by their frequency in the training prompts. The prompts are not stored.

Example:
  carrot embed distill --teacher all-MiniLM-L6-v2 --data mydata --out static.safetensors`
}

func (c *distillCommand) Run(ctx context.Context, t terminal) error {
	p := startProgress(ctx, t.err, "reading the teacher and the data")
	defer p.stop()
	teacher, err := embed.OpenBERT(c.Teacher)
	if err != nil {
		return err
	}
	var texts, names []string
	for _, dir := range c.Data {
		set, err := dataset.Load(ctx, dir)
		if err != nil {
			return err
		}
		names = append(names, set.Name)
		for _, i := range table.Trainable(set) {
			texts = append(texts, set.Queries[i].Prompt)
		}
	}
	data, err := embed.Distill(ctx, teacher, texts, embed.DistillOptions{
		Dim: c.Dim, Smoothing: c.Smoothing, Licence: c.Licence,
		Command:  fmt.Sprintf("carrot embed distill --dim %d --smoothing %g", c.Dim, c.Smoothing),
		Corpus:   fmt.Sprintf("token frequencies of %d training prompts of %s", len(texts), strings.Join(names, ", ")),
		Progress: p.count("tokens through the teacher"),
	})
	if err != nil {
		return err
	}
	if err := atomicfile.Write(c.Out, 0o644, func(w io.Writer) error { _, err := w.Write(data); return err }); err != nil {
		return fmt.Errorf("write static table: %w", err)
	}
	p.stop()
	return (&embedCheckCommand{File: c.Out}).Run(ctx, t)
}

type embedCheckCommand struct {
	File string `arg:"" optional:"" help:"Static table. Without it, the one in the binary is checked."`
}

func (c *embedCheckCommand) Help() string {
	return `Example:
  carrot embed check static.safetensors`
}

func (c *embedCheckCommand) Run(_ context.Context, t terminal) error {
	table, err := embed.Default()
	if c.File != "" {
		table, err = embed.OpenStatic(c.File)
	}
	if err != nil {
		return err
	}
	about := table.Provenance()
	fmt.Fprintf(t.out, "%s: %s, smoothing %g\nteacher  %s (%s)\ncorpus   %s, %s\ncommand  %s\n",
		table.ID(), phrase.Count(table.Dim(), "dimension"), about.Smoothing, about.Teacher, about.Licence, about.Corpus, phrase.Count(about.Tokens, "token"), about.Command)
	return nil
}

type exportCommand struct {
	Data     string `required:"" placeholder:"DIR" help:"Data folder."`
	Embedder string `default:"static" help:"${embedder_help}"`
	Out      string `required:"" placeholder:"FILE" help:"The .npy file to write: one float32 row per line of queries.jsonl."`
}

func (c *exportCommand) Help() string {
	return `Example:
  carrot embed export --data mydata --embedder static --out vectors.npy`
}

func (c *exportCommand) Run(ctx context.Context, t terminal) error {
	p := startProgress(ctx, t.err, "reading "+c.Data)
	defer p.stop()
	set, err := dataset.Load(ctx, c.Data)
	if err != nil {
		return err
	}
	p.say("embedding prompts")
	embedder, err := openEmbedder(c.Embedder, nil, p.count("embedding prompts"))
	if err != nil {
		return err
	}
	texts, x := make([]string, len(set.Queries)), make([]carrot.Representation, len(set.Queries))
	for i, q := range set.Queries {
		texts[i] = q.Prompt
	}
	if err := embedder.Embed(ctx, texts, x); err != nil {
		return err
	}
	if err := atomicfile.Write(c.Out, 0o644, func(w io.Writer) error { return writeNPY(w, x) }); err != nil {
		return fmt.Errorf("write vectors: %w", err)
	}
	wrote(t.out, c.Out)
	return nil
}

// writeNPY writes the dense vectors in version 1.0 of NumPy's format.
func writeNPY(w io.Writer, x []carrot.Representation) error {
	dim := 0
	if len(x) > 0 {
		dim = len(x[0].Dense)
	}
	header := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", len(x), dim)
	header += strings.Repeat(" ", 63-(len(header)+10)%64) + "\n"
	out := bufio.NewWriter(w)
	out.WriteString("\x93NUMPY\x01\x00")
	out.Write(binary.LittleEndian.AppendUint16(nil, uint16(len(header))))
	out.WriteString(header)
	var four [4]byte
	for i := range x {
		for _, v := range x[i].Dense {
			binary.LittleEndian.PutUint32(four[:], math.Float32bits(v))
			out.Write(four[:])
		}
	}
	return out.Flush()
}

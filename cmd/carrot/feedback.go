package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/atomicfile"
	"github.com/carrot-router/carrot/internal/importer"
	"github.com/carrot-router/carrot/internal/ledger"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/record"
)

type feedbackCommand struct {
	Import feedbackImportCommand `cmd:"" help:"Add feedback on requests from a file."`
}

func (c *feedbackCommand) Help() string {
	return `Clients say how good an answer was at POST /v1/feedback (docs/gateway.md). What others say
of it later, such as reviewers or a ticket system, is imported.

Example:
  carrot feedback import ratings.csv --store carrot.db`
}

type feedbackImportCommand struct {
	storeFlags
	File      string             `arg:"" help:"CSV, JSON lines or a list in JSON, plain or gzipped."`
	Label     map[string]float64 `placeholder:"NAME=SCORE" mapsep:"none" help:"Score in [0,1] of a label, as feedback.labels in the gateway's configuration; may be repeated. A label without one is kept without a score."`
	KeepGoing bool               `help:"Leave bad rows out and note them in FILE.rejected.jsonl."`
	JSON      bool               `name:"json" help:"Print the report as JSON."`
}

func (c *feedbackImportCommand) Help() string {
	return `The columns are request_id; one of score (0 to 1), thumb (up or down), label and success
(true or false, of the task); and optionally time (2026-11-29T08:00:00Z) and note. Other
columns are left alone. A row without a time has that of the file's last change.

Of a request's feedback, the latest counts; the rest is kept as its history. What the store
has already is not added again. A bad row, or one about a request that the store does not
have, is refused with its line and column, and then nothing of the file is added, unless
--keep-going is given.

Examples:
  carrot feedback import ratings.csv --store carrot.db
  carrot feedback import reviews.jsonl --store carrot.db --label good=1 --label bad=0 --keep-going`
}

// feedbackReport says what an import of feedback did.
type feedbackReport struct {
	Rows     int `json:"rows"`
	Added    int `json:"added"`
	Known    int `json:"known"` // that the store had already
	Rejected int `json:"rejected"`
	Unscored int `json:"unscored"` // labels without a score
}

func (c *feedbackImportCommand) Run(ctx context.Context, t terminal) error {
	for name, score := range c.Label {
		if !(score >= 0 && score <= 1) {
			return usagef("--label %s=%v: want a score from 0 to 1", name, score)
		}
	}
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	p := startProgress(ctx, t.err, "reading "+c.File)
	defer p.stop()
	var report feedbackReport
	var rejected []dataset.Rejected
	bad := func(e *dataset.FormatError) error {
		if !c.KeepGoing {
			return e
		}
		rejected = append(rejected, dataset.Rejected{File: filepath.Base(e.File), Row: int64(e.Line), Column: e.Field, Reason: e.Reason})
		return nil
	}
	by := "import by " + administrator()
	known := func(f *record.Feedback) (string, error) {
		ok, err := s.Has(ctx, f.RequestID)
		if err == nil && !ok {
			return "the store has no such request", nil
		}
		return "", err
	}
	if !c.KeepGoing { // before anything is added
		if err := importer.Feedback(ctx, c.File, c.Label, bad, known); err != nil {
			return err
		}
	}
	p.stop()
	p = startProgress(ctx, t.err, "adding feedback")
	defer p.stop()
	err = importer.Feedback(ctx, c.File, c.Label, bad, func(f *record.Feedback) (string, error) {
		f.By = by
		added, err := s.AddFeedbackOnce(ctx, *f)
		switch {
		case errors.Is(err, ledger.ErrUnknownRequest):
			return "the store has no such request", nil
		case err != nil:
			return "", err
		case !added:
			report.Known++
			return "", nil
		}
		report.Added++
		if f.Score == nil {
			report.Unscored++
		}
		return "", nil
	})
	report.Rejected = len(rejected)
	report.Rows = report.Added + report.Known + report.Rejected
	if report.Added > 0 {
		err = errors.Join(err, noted(ctx, s, "feedback", "", map[string]any{"added": report.Added}))
	}
	if err != nil {
		return err
	}
	side := c.File + ".rejected.jsonl"
	if len(rejected) > 0 {
		if err := atomicfile.Write(side, 0o600, func(w io.Writer) error {
			out := json.NewEncoder(w)
			for i := range rejected {
				if err := out.Encode(&rejected[i]); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
		wrote(t.out, side)
	}
	p.stop()
	if c.JSON {
		return json.NewEncoder(t.out).Encode(report)
	}
	fmt.Fprintf(t.out, "%s: %d added, %d known already", phrase.Count(report.Rows, "row"), report.Added, report.Known)
	if report.Unscored > 0 {
		fmt.Fprintf(t.out, ", %s without a score", phrase.Count(report.Unscored, "label"))
	}
	fmt.Fprintln(t.out)
	if len(rejected) > 0 {
		fmt.Fprintf(t.out, "%s %s listed in %s\n", phrase.Count(len(rejected), "bad row"), phrase.Verb(len(rejected), "is", "are"), side)
	}
	return nil
}

package importer

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"os"
	"strings"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/textfile"
	"github.com/carrot-router/carrot/internal/wire"
	logged "github.com/carrot-router/carrot/record"
)

// importCarrot reads the traffic of a gateway: files of records (carrot.attempt/1), a
// folder with such files, rotated and gzipped ones too, or a store. Every attempt that
// answered a request is an outcome, with its tokens and its cost as it was priced then;
// the score is that of the latest feedback on the request, which only a store has. The
// prompt is the text by which the router judged the request; requests without a recorded
// text are counted and left out. Requests with equal texts are one query, and several
// answers of one model to it are one outcome: their mean. The id of a query is a hash of its
// prompt, and its source the client.
func importCarrot(ctx context.Context, src string, im *importer) error {
	t := &traffic{im, newMeans(im)}
	im.report.IDs = "the MD5 of the prompt"
	store, err := isStore(src)
	if err != nil {
		return err
	}
	if store {
		if im.opt.Store == nil {
			return &dataset.FormatError{File: src, Reason: "is a store, which this program cannot open", Hint: "export it with carrot ledger export, and import the file"}
		}
		n := int64(0)
		if err := im.opt.Store(ctx, src, func(a *logged.Attempt, f logged.Feedback, known bool) error {
			n++
			if n%512 == 0 {
				im.progress(0, 0)
			}
			if !known {
				f.Score = nil
			}
			return t.attempt(place{src, n}, a, f.Score)
		}); err != nil {
			return err
		}
		return t.flush()
	}
	paths, err := sourceFiles(src, "files of records (.jsonl or .jsonl.gz)", func(name string) bool { return hasEnding(name, ".jsonl") })
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := t.file(ctx, path); err != nil {
			return err
		}
	}
	return t.flush()
}

// isStore reports whether a source is a store, and not files.
func isStore(src string) (bool, error) {
	if strings.Contains(src, "://") {
		return true, nil
	}
	info, err := os.Stat(src)
	if err != nil || !info.Mode().IsRegular() {
		return false, nil // sourceFiles says what is wrong
	}
	f, _, err := openSource(src)
	if err != nil {
		return false, err
	}
	defer f.Close() // only read from
	const magic = "SQLite format 3\x00"
	head := make([]byte, len(magic))
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return false, &dataset.FormatError{File: src, Reason: "read: " + textfile.Cause(err), Err: err}
	}
	return string(head[:n]) == magic, nil
}

// traffic is what a gateway has answered.
type traffic struct {
	im *importer
	*means
}

// file reads a file of records.
func (t *traffic) file(ctx context.Context, path string) error {
	f, size, err := openSource(path)
	if err != nil {
		return err
	}
	defer f.Close() // only read from
	count := &countReader{r: f}
	n := 0
	hooks := t.im.hooks()
	return scanTexts(ctx, count, path, func(l *textfile.Reader, text []byte) error {
		if n++; n%512 == 0 {
			t.im.progress(count.n, size)
		}
		if bad := l.CheckUTF8(text); bad != nil {
			return hooks.badText(bad)
		}
		var a logged.Attempt
		if err := json.Unmarshal(text, &a); err != nil {
			return hooks.badText(l.Fault("", "is not a record of an attempt: "+readable(err), "want lines of "+logged.Schema+", as record: and carrot ledger export write them"))
		}
		return t.attempt(place{path, int64(l.Line())}, &a, nil)
	})
}

// readable returns an error of a record without what it may quote of the record's text.
func readable(err error) string {
	text := err.Error()
	if len(text) > 200 || strings.ContainsAny(text, "\n\r") {
		return "it has another form"
	}
	return text
}

// attempt takes in an attempt; score is nil if it is unknown.
func (t *traffic) attempt(at place, a *logged.Attempt, score *float64) error {
	im := t.im
	if a.Outcome != logged.Served || a.API == string(wire.Embeddings) {
		return im.skip()
	}
	prompt := judged(a)
	if strings.TrimSpace(prompt) == "" {
		im.report.NoText++
		return im.skip()
	}
	q := dataset.Query{ID: promptID(prompt), Source: cmp.Or(a.Client, "carrot"), Prompt: prompt}
	o := dataset.NewOutcome("", a.Candidate)
	if score != nil {
		o.Score = *score
	}
	u := &a.Usage
	if u.Prompt() > 0 || u.Answer() > 0 { // else nothing was reported or counted
		o.InputTokens, o.OutputTokens = float64(u.Prompt()), float64(u.Answer())
		o.CachedTokens, o.ReasoningTokens = float64(u.CachedInput), float64(u.Reasoning)
	}
	if !a.CostUnknown {
		o.CostUSD = a.Cost.Float()
	}
	return t.add(at, q, o, nil)
}

// earlierTurns is how much of earlier turns is judged with a short one, in bytes, if the
// gateway's configuration does not say otherwise (text.earlier).
const earlierTurns = 200

// judged returns the text by which a router judges the request of an attempt: what was
// recorded as that, or what follows from the whole request.
func judged(a *logged.Attempt) string {
	body := bytes.TrimSpace(a.Prompt)
	if len(body) == 0 || body[0] != '{' {
		return string(a.Prompt)
	}
	if q, err := wire.ParseRequest(wire.API(a.API), body); err == nil {
		return q.Query(0, earlierTurns)
	}
	return string(a.Prompt) // a text that happens to begin like an object
}

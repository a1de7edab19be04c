package collect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/textfile"
	"github.com/carrot-router/carrot/internal/wire"
)

// Prompt is a query with what judging it needs.
type Prompt struct {
	dataset.Query
	// Messages are the conversation to send, as JSON of chat completions. Nil: the
	// prompt is the only message.
	Messages  json.RawMessage
	Reference string
	Choices   []string

	derived bool // the prompt is taken from the messages
	images  int  // in the messages
	cached  bool // the messages mark what the provider is to cache
}

// imageTokens is more than any provider counts for an image.
const imageTokens = 50_000

// bound returns the most tokens of a request with the prompt, of a number of bytes. What
// is written to a cache costs up to twice as much.
func (p *Prompt) bound(bytes int) int {
	n := bytes + p.images*imageTokens
	if p.cached {
		n *= 2
	}
	return n
}

// text returns what is sent, for counting its tokens.
func (p *Prompt) text(c *PromptConfig) string {
	if p.Messages != nil {
		return string(p.Messages)
	}
	return p.Prompt + c.Suffix
}

// promptLine is a line of a file of prompts.
type promptLine struct {
	ID        any             `json:"id"`
	Prompt    string          `json:"prompt"`
	Messages  json.RawMessage `json:"messages"`
	Source    string          `json:"source"`
	Split     dataset.Split   `json:"split"`
	Reference json.RawMessage `json:"reference"`
	Choices   []string        `json:"choices"`
}

// Texts of conversations are cut as the gateway does by default before they are embedded.
const (
	embeddedSystem  = 0
	embeddedEarlier = 200
)

// ReadPrompts reads the prompts of a data folder, of a file of JSON lines with id,
// prompt or messages, source, split, reference and choices, or of a CSV file with such
// columns. Without ids, prompts are numbered. Bad lines are a *[dataset.FormatError].
func ReadPrompts(ctx context.Context, path string) ([]Prompt, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, "queries.jsonl")
		if _, err := os.Stat(path); err != nil {
			path += ".gz"
		}
	}
	var all []Prompt
	seen := map[string]bool{}
	err := readTable(ctx, path, []string{"id", "prompt", "source", "split", "reference"}, func(at place, line promptLine) error {
		p, bad := line.prompt(len(all) + 1)
		if bad != nil {
			bad.File, bad.Line = at.file, at.line
			return bad
		}
		if seen[p.ID] {
			return &dataset.FormatError{File: at.file, Line: at.line, Field: "id", Reason: textfile.Quote(p.ID) + " is there twice"}
		}
		seen[p.ID] = true
		all = append(all, p)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, &dataset.FormatError{File: path, Reason: "holds no prompt"}
	}
	return all, nil
}

// prompt checks a line and returns its prompt. number is used where there is no id.
func (l *promptLine) prompt(number int) (Prompt, *dataset.FormatError) {
	p := Prompt{Query: dataset.Query{Prompt: l.Prompt, Source: l.Source, Split: l.Split}, Choices: l.Choices}
	id, ok := textOf(l.ID)
	if !ok {
		return p, &dataset.FormatError{Field: "id", Reason: "is neither a text nor a number"}
	}
	if p.ID = id; id == "" {
		p.ID = strconv.Itoa(number)
	}
	if len(l.Reference) > 0 && string(l.Reference) != "null" {
		if err := json.Unmarshal(l.Reference, &p.Reference); err != nil {
			p.Reference = string(l.Reference) // a number, or a list of right answers
		}
	}
	if len(l.Messages) > 0 && string(l.Messages) != "null" {
		r, err := wire.ParseRequest(wire.Chat, fmt.Appendf(nil, `{"model":"m","messages":%s}`, l.Messages))
		if err != nil {
			return p, &dataset.FormatError{Field: "messages", Reason: "are not a conversation of chat completions: " + err.Error()}
		}
		if kind := unbounded(l.Messages); kind != "" {
			return p, &dataset.FormatError{Field: "messages", Reason: "have a part of type " + textfile.Quote(kind) + ", whose cost has no bound that is known before", Hint: "leave out prompts with such parts"}
		}
		p.Messages, p.images, p.cached = l.Messages, r.Images, r.CacheControl
		if p.Prompt == "" {
			p.Prompt, p.derived = r.Query(embeddedSystem, embeddedEarlier), true
		}
	}
	if p.Split == "" {
		p.Split = dataset.SplitOf(p.Prompt)
	}
	if err := p.Query.Validate(); err != nil {
		var bad *dataset.FormatError
		if errors.As(err, &bad) {
			return p, bad
		}
		return p, &dataset.FormatError{Reason: err.Error()}
	}
	return p, nil
}

// unbounded returns the type of a part of a conversation that is neither a text nor an image,
// such as a file, "" if there is none.
func unbounded(messages json.RawMessage) string {
	var all []struct {
		Content json.RawMessage `json:"content"`
	}
	if json.Unmarshal(messages, &all) != nil {
		return "" // it was parsed before
	}
	for _, m := range all {
		var parts []struct {
			Type string `json:"type"`
		}
		if json.Unmarshal(m.Content, &parts) != nil {
			continue // a text
		}
		for _, part := range parts {
			if !slices.Contains([]string{"", "text", "refusal", "image_url"}, part.Type) {
				return part.Type
			}
		}
	}
	return ""
}

func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	}
	return "", false
}

// place is a line of a file.
type place struct {
	file string
	line int
}

// readTable calls fn with every line of a file of JSON lines, or of CSV with some of the
// columns, plain or gzipped.
func readTable(ctx context.Context, path string, columns []string, fn func(at place, line promptLine) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	l, err := textfile.NewReader(ctx, f, path)
	if err != nil {
		return formatError(err)
	}
	if strings.HasSuffix(strings.TrimSuffix(path, ".gz"), ".csv") {
		return formatError(readCSV(l, path, columns, fn))
	}
	return formatError(l.Objects(func(text []byte) error {
		if bad := l.CheckUTF8(text); bad != nil {
			return bad
		}
		var line promptLine
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&line); err != nil {
			if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
				return l.Fault(wrong.Field, "is a "+wrong.Value, textfile.HintJSON)
			}
			return l.BadJSON(err, "the line ends inside the object", textfile.HintJSON)
		}
		return fn(place{path, l.Line()}, line)
	}))
}

func readCSV(l *textfile.Reader, path string, columns []string, fn func(at place, line promptLine) error) error {
	c := textfile.NewCSV(l)
	header, err := c.Header("the first line names the columns, such as id,prompt,reference")
	if err != nil {
		return err
	}
	known := 0
	for i, name := range header {
		if !slices.Contains(columns, name) {
			continue
		}
		if known++; slices.Contains(header[:i], name) {
			return l.Fault(name, "is the name of two columns", "")
		}
	}
	if known == 0 {
		return l.Fault("", "has none of the columns "+strings.Join(columns, ", "), "")
	}
	return c.Records(len(header), func(bad *textfile.Error) error { return bad }, func(fields [][]byte) error {
		var line promptLine
		for i, name := range header {
			text := string(fields[i])
			switch name {
			case "id":
				line.ID = text
			case "prompt":
				line.Prompt = text
			case "source":
				line.Source = text
			case "split":
				line.Split = dataset.Split(text)
			case "reference":
				if text != "" {
					line.Reference, _ = json.Marshal(text) // a text always has a form in JSON
				}
			}
		}
		return fn(place{path, c.First()}, line)
	})
}

// formatError turns the errors of textfile into those of data folders.
func formatError(err error) error {
	if e, ok := errors.AsType[*textfile.Error](err); ok {
		return &dataset.FormatError{File: e.File, Line: e.Line, Field: e.Field, Reason: e.Reason, Hint: e.Hint, Err: e.Err}
	}
	return err
}

// addReferences gives prompts the references of a file with id and reference.
func addReferences(ctx context.Context, prompts []Prompt, path string) error {
	byID := map[string]*Prompt{}
	for i := range prompts {
		byID[prompts[i].ID] = &prompts[i]
	}
	used := 0
	err := readTable(ctx, path, []string{"id", "reference"}, func(at place, line promptLine) error {
		id, ok := textOf(line.ID)
		if !ok || id == "" {
			return &dataset.FormatError{File: at.file, Line: at.line, Field: "id", Reason: "is missing"}
		}
		p := byID[id]
		if p == nil {
			return nil // the file may be of more prompts
		}
		used++
		line.Prompt = p.Prompt
		with, bad := line.prompt(0)
		if bad != nil {
			bad.File, bad.Line = at.file, at.line
			return bad
		}
		p.Reference = with.Reference
		if len(with.Choices) > 0 {
			p.Choices = with.Choices
		}
		return nil
	})
	if err == nil && used == 0 {
		return &dataset.FormatError{File: path, Field: "id", Reason: "no line has the id of a prompt"}
	}
	return err
}

// redactor takes out of texts what is not to be kept.
type redactor struct {
	patterns []*regexp.Regexp
	with     []string
	command  []string
	dir      string
}

func newRedactor(c RedactConfig, dir string) *redactor {
	r := &redactor{command: c.Command, dir: dir}
	for _, p := range c.Patterns {
		r.patterns = append(r.patterns, regexp.MustCompile(p.Pattern)) // checked with the configuration
		r.with = append(r.with, p.With)
	}
	return r
}

// redactTimeout limits the command of redaction.
const redactTimeout = 30 * time.Second

// text returns a text without what is taken out. An error holds no text.
func (r *redactor) text(ctx context.Context, text string) (string, error) {
	for i, p := range r.patterns {
		text = p.ReplaceAllString(text, r.with[i])
	}
	if len(r.command) == 0 {
		return text, nil
	}
	ctx, cancel := context.WithTimeout(ctx, redactTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.command[0], r.command[1:]...)
	cmd.Dir, cmd.Stdin, cmd.Stderr, cmd.WaitDelay = r.dir, strings.NewReader(text), io.Discard, time.Second
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("redact.command %s: %w", r.command[0], err)
	}
	return string(out), nil
}

// active reports whether anything is taken out.
func (r *redactor) active() bool { return len(r.patterns) > 0 || len(r.command) > 0 }

// prompt redacts all texts of a prompt.
func (r *redactor) prompt(ctx context.Context, p *Prompt) (err error) {
	if !r.active() {
		return nil
	}
	texts := []*string{&p.Prompt, &p.Reference}
	for i := range p.Choices {
		texts = append(texts, &p.Choices[i])
	}
	for _, text := range texts {
		if *text, err = r.text(ctx, *text); err != nil {
			return fmt.Errorf("prompt %s: %w", p.ID, err)
		}
	}
	if p.Messages != nil {
		var v any
		if err := json.Unmarshal(p.Messages, &v); err != nil {
			return err // impossible: they were parsed
		}
		if v, err = r.value(ctx, v); err != nil {
			return fmt.Errorf("prompt %s: %w", p.ID, err)
		}
		if p.Messages, err = json.Marshal(v); err != nil {
			return err
		}
		if p.derived { // cut texts may have hidden what a pattern looks for
			request, err := wire.ParseRequest(wire.Chat, fmt.Appendf(nil, `{"model":"m","messages":%s}`, p.Messages))
			if err != nil {
				return fmt.Errorf("prompt %s: after redaction: %w", p.ID, err)
			}
			p.Prompt = request.Query(embeddedSystem, embeddedEarlier)
		}
	}
	if strings.TrimSpace(p.Prompt) == "" {
		return fmt.Errorf("prompt %s: nothing is left after redaction", p.ID)
	}
	return nil
}

// structure are the fields of a conversation whose values are no text.
var structure = []string{"role", "type", "id", "tool_call_id", "detail", "format"}

// value redacts all texts in a conversation.
func (r *redactor) value(ctx context.Context, v any) (_ any, err error) {
	switch v := v.(type) {
	case []any:
		for i := range v {
			if v[i], err = r.value(ctx, v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if slices.Contains(structure, key) {
				continue
			}
			if v[key], err = r.value(ctx, v[key]); err != nil {
				return nil, err
			}
		}
	case string:
		if strings.HasPrefix(v, "data:") {
			return v, nil // an image
		}
		return r.text(ctx, v)
	}
	return v, nil
}

package dataset

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/carrot-router/carrot/internal/textfile"
)

const hintQuery = `a line is one JSON object of strings: {"id":…,"split":…,"source":…,"prompt":…}; split and source are optional`

// ReadQueries reads queries.jsonl, plain or gzipped, from r and calls fn with
// every query and its line number. Only one line is in memory at a time. A query
// without a split gets that of [SplitOf]. name is the file's name in errors.
// ReadQueries stops at the first bad line with a *[FormatError], or with the
// error that fn returns. It does not check whether an id is repeated.
func ReadQueries(r io.Reader, name string, fn func(line int, q Query) error) error {
	l, err := textfile.NewReader(context.Background(), r, name)
	if err == nil {
		err = scanQueries(l, stopAtFirst, fn)
	}
	return formatError(err)
}

func scanQueries(l *textfile.Reader, report reporter, fn func(line int, q Query) error) error {
	return l.Lines(func(text []byte) error {
		q, bad := parseQuery(l, text)
		if bad != nil {
			return report.text(bad)
		}
		return fn(l.Line(), q)
	})
}

func parseQuery(l *textfile.Reader, text []byte) (Query, *textfile.Error) {
	var q Query
	if bad := l.CheckUTF8(text); bad != nil {
		return q, bad
	}
	fields := map[string]*string{"id": &q.ID, "split": (*string)(&q.Split), "source": &q.Source, "prompt": &q.Prompt}
	if bad := parseStrings(l, text, fields); bad != nil {
		return q, bad
	}
	if q.Split == "" {
		q.Split = SplitOf(q.Prompt)
	}
	if field, reason := checkQuery(q); reason != "" {
		return q, l.Fault(field, reason, hintQuery)
	}
	return q, nil
}

// Validate returns a *[FormatError] about the first field that the readers would
// refuse, or nil. A query without a split is valid: it gets that of [SplitOf].
func (q Query) Validate() error {
	if field, reason := checkQuery(q); reason != "" {
		return &FormatError{Field: field, Reason: reason, Hint: hintQuery}
	}
	return nil
}

// checkQuery returns the field at fault and why, or "", "".
func checkQuery(q Query) (field, reason string) {
	if reason := checkName(q.ID); reason != "" {
		return "id", reason
	}
	switch {
	case q.Split != "" && !q.Split.Valid():
		return "split", fmt.Sprintf("%s is not train, validation, test or extra", textfile.Quote(string(q.Split)))
	case !utf8.ValidString(q.Source):
		return "source", "is not UTF-8"
	case q.Prompt == "":
		return "prompt", "is missing or empty"
	case !utf8.ValidString(q.Prompt):
		return "prompt", "is not UTF-8"
	}
	return "", ""
}

// checkName returns what is wrong with an id or the name of a model, or "".
func checkName(s string) string {
	const most = 1 << 10
	switch {
	case s == "":
		return "is missing or empty"
	case len(s) > most:
		return fmt.Sprintf("is longer than %d bytes", most)
	case !utf8.ValidString(s):
		return "is not UTF-8"
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Sprintf("%s holds a control character", textfile.Quote(s))
	}
	return ""
}

// parseStrings reads one JSON object whose values are all strings into the given
// fields. Other fields, repeated fields, other types and anything after the
// object are errors; encoding/json alone would accept repeated names and names
// in another case.
func parseStrings(l *textfile.Reader, text []byte, fields map[string]*string) *textfile.Error {
	dec := json.NewDecoder(bytes.NewReader(text))
	tok, err := dec.Token()
	if err != nil {
		return invalidJSON(l, err)
	}
	if tok != json.Delim('{') {
		return l.Fault("", "is not a JSON object", hintQuery)
	}
	seen := make([]string, 0, 4)
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return invalidJSON(l, err)
		}
		key := tok.(string) // the decoder returns nothing else here
		to, ok := fields[key]
		if !ok {
			return l.Fault(textfile.Quote(key), "is not a field of a query", hintQuery)
		}
		for _, s := range seen {
			if s == key {
				return l.Fault(key, "is given twice", hintQuery)
			}
		}
		seen = append(seen, key)
		if tok, err = dec.Token(); err != nil {
			return invalidJSON(l, err)
		}
		value, ok := tok.(string)
		if !ok {
			return l.Fault(key, "is not a string", hintQuery)
		}
		*to = value
	}
	if _, err := dec.Token(); err != nil {
		return invalidJSON(l, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return l.Fault("", "text follows the JSON object", "write one object a line")
	}
	return nil
}

func invalidJSON(l *textfile.Reader, err error) *textfile.Error {
	return l.BadJSON(err, "the line ends inside the object", hintQuery)
}

// queriesFile reads the queries of a folder into memory.
func (l *loader) queriesFile(ctx context.Context) error {
	first := make(map[string]int) // line of each id
	err := l.open(ctx, "queries.jsonl", true, func(lr *textfile.Reader) error {
		return scanQueries(lr, l.report, func(line int, q Query) error {
			if at, ok := first[q.ID]; ok {
				return l.report.text(lr.Fault("id", fmt.Sprintf("%s repeats line %d", textfile.Quote(q.ID), at), "every query needs its own id"))
			}
			first[q.ID] = line
			l.rows[q.ID] = len(l.set.Queries)
			l.set.Queries = append(l.set.Queries, q)
			return nil
		})
	})
	if err != nil {
		return err
	}
	if len(first) == 0 && !l.faulty {
		return l.report(&FormatError{File: l.path("queries.jsonl"), Reason: "holds no query", Hint: hintQuery})
	}
	return nil
}

// Package price turns tokens into money: a price book of what each model's
// provider charges and what else is known of the model, and a counter of input
// tokens.
//
// Prices are read at request time. Changing one changes decisions at once and
// needs no training.
//
//	book := price.Default()
//	p, err := book.Price("gpt-4o-2024-05-13")
//	if err != nil {
//		fmt.Println(err)
//		return
//	}
//	fmt.Println(p.Cost(carrot.Usage{Input: 1200, Output: 300}))
package price

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/atomicfile"
	"github.com/carrot-router/carrot/internal/phrase"
)

// Schema names the form of a price book file. Files of the form before it,
// carrot.prices/1, are read as well: there, every entry has prices of input and output.
const Schema = "carrot.prices/2"

const schema1 = "carrot.prices/1"

// ErrNoPrice is returned for a model that is not in the book, or has no price there.
var ErrNoPrice = errors.New("no price")

// Entry is one model's price, with its date and source, and what else is known of the
// model. An entry without a price adds facts to what another book knows, see
// [Book.Overlay].
type Entry struct {
	Name string `json:"name"`
	carrot.Price
	Facts
	Date   string `json:"date"` // YYYY-MM-DD
	Source string `json:"source"`
}

// Book is a price book: entries with unique names. The zero Book is empty.
type Book struct {
	// Entries are the book's own entries. [Book.All] has those of the catalogue
	// under the book as well.
	Entries []Entry

	under *catalogue // has what Entries lack; nil: nothing
}

// file is the JSON form of a book.
type file struct {
	Schema string  `json:"schema"`
	Unit   string  `json:"unit"`
	Models []Entry `json:"models"`
}

const unit = "USD per million tokens"

//go:embed prices.json
var defaultBook []byte

var parsedDefault = sync.OnceValue(func() []Entry {
	b, err := Parse(defaultBook)
	if err != nil {
		panic("price book in the binary: " + err.Error())
	}
	return b.Entries
})

// Default returns a copy of the price book in the binary, which the caller may change.
// Its entries are prices of late 2024, which published results rest on. The catalogue
// of current models is under it: [Book.Price] and [Book.Lookup] find there what is not
// among the entries.
func Default() *Book { return &Book{slices.Clone(parsedDefault()), &embedded} }

// Open reads a price book file.
func Open(path string) (*Book, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("open price book: %w", err)
	}
	b, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("price book %s: %w", path, err)
	}
	return b, nil
}

// Parse reads a price book. Unknown fields, repeated names and prices that are
// missing, negative or absurd (above 100,000 USD per million tokens) are errors
// that name the model and the field.
func Parse(data []byte) (*Book, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var raw struct {
		Schema string            `json:"schema"`
		Unit   string            `json:"unit"`
		Models []json.RawMessage `json:"models"`
	}
	if err := decoder.Decode(&raw); err != nil {
		return nil, located(data, err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("line %d: text after the book", line(data, decoder.InputOffset()))
	}
	if raw.Schema != Schema && raw.Schema != schema1 || raw.Unit != unit {
		return nil, fmt.Errorf("schema %q, unit %q: want %q and %q", raw.Schema, raw.Unit, Schema, unit)
	}
	b := &Book{}
	names := map[string]bool{}
	for i, text := range raw.Models {
		e, err := parseEntry(text, raw.Schema == schema1)
		if err != nil {
			return nil, fmt.Errorf("models[%d]: %w", i, err)
		}
		if names[e.Name] {
			return nil, fmt.Errorf("models[%d]: model %q appears twice", i, e.Name)
		}
		names[e.Name] = true
		b.Entries = append(b.Entries, e)
	}
	for i := range b.Entries {
		for _, alias := range b.Entries[i].Aliases {
			if names[alias] {
				return nil, fmt.Errorf("models[%d]: model %q: field aliases: %q is the name or alias of another model", i, b.Entries[i].Name, alias)
			}
			names[alias] = true
		}
	}
	return b, nil
}

// located adds the number of the line to a JSON error.
func located(data []byte, err error) error {
	offset := int64(len(data)) // if the text was cut off
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = e.Offset
	} else if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		offset = e.Offset
	} else if err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	return fmt.Errorf("line %d: %w", line(data, offset), phrase.JSON(err))
}

// line returns the number of the line at an offset.
func line(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:min(int(offset), len(data))], []byte("\n"))
}

// parseEntry parses one entry, which has prices of input and output if priced says so.
func parseEntry(text []byte, priced bool) (Entry, error) {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(text, &given); err != nil {
		return Entry{}, phrase.JSON(err)
	}
	var e Entry
	if err := decode(text, &e); err != nil {
		return e, fmt.Errorf("model %s: %w", given["name"], inMember(given, err))
	}
	if e.Name == "" {
		return e, errors.New("field name: missing")
	}
	missing := func(field string) bool { return given[field] == nil || string(given[field]) == "null" }
	fields := []string{"input", "output", "date", "source"}
	if !priced {
		fields = fields[2:]
	}
	for _, field := range fields {
		if missing(field) {
			return e, fmt.Errorf("model %q: field %s: missing", e.Name, field)
		}
	}
	return e, e.check()
}

// decode reads JSON without unknown fields.
func decode(text []byte, into *Entry) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	return phrase.JSON(decoder.Decode(into))
}

// inMember adds the name of the member that cannot be read to the error for an entry.
func inMember(given map[string]json.RawMessage, err error) error {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		text, _ := json.Marshal(map[string]json.RawMessage{name: given[name]}) // both were JSON
		if one := decode(text, new(Entry)); one != nil {
			return fmt.Errorf("field %s: %w", name, one)
		}
	}
	return err
}

func (e *Entry) check() error {
	if _, err := time.Parse(time.DateOnly, e.Date); err != nil {
		return fmt.Errorf("model %q: field date: %q is not a date, want YYYY-MM-DD", e.Name, e.Date)
	}
	if err := e.Price.Check(); err != nil {
		return fmt.Errorf("model %q: field %w", e.Name, err)
	}
	if err := e.Facts.check(); err != nil {
		return fmt.Errorf("model %q: field %w", e.Name, err)
	}
	return nil
}

// own returns the book's own entry of a name, or nil.
func (b *Book) own(name string) *Entry {
	if at := slices.IndexFunc(b.Entries, func(e Entry) bool { return e.Name == name }); at >= 0 {
		return &b.Entries[at]
	}
	return nil
}

// Price returns the price of the model that [Book.Lookup] finds. The error wraps
// ErrNoPrice and names the model.
func (b *Book) Price(model string) (carrot.Price, error) {
	if own := b.own(model); own != nil && own.priced() {
		return own.dated(), nil // without reading the catalogue
	}
	e, err := b.Lookup(model)
	switch {
	case err != nil:
		return carrot.Price{}, err
	case !e.priced() && len(e.Incomplete) > 0:
		return carrot.Price{}, fmt.Errorf("model %q: %w in the price book, because it depends on %s", model, ErrNoPrice, strings.Join(e.Incomplete, ", "))
	case !e.priced():
		return carrot.Price{}, noPrice(model)
	}
	return e.dated(), nil
}

// dated returns the entry's price with its date.
func (e *Entry) dated() carrot.Price {
	p := e.Price
	if p != (carrot.Price{}) {
		p.Date = e.Date
	}
	return p
}

func noPrice(model string) error {
	return fmt.Errorf("model %q: %w in the price book", model, ErrNoPrice)
}

// priced reports whether anything of the entry's price is set.
func (e *Entry) priced() bool { return e.Price != carrot.Price{} }

// Set adds an entry or replaces the one of the same name.
func (b *Book) Set(e Entry) error {
	if e.Name == "" {
		return errors.New("field name: missing")
	}
	if err := e.check(); err != nil {
		return err
	}
	if old := b.own(e.Name); old != nil {
		*old = e
		return nil
	}
	b.Entries = append(b.Entries, e)
	return nil
}

// Overlay returns a book with the entries of b and of own. If both have an entry for a
// model, the price is that of own, if it has one, and so is every fact that own knows.
func (b *Book) Overlay(own *Book) *Book {
	both := &Book{slices.Clone(b.Entries), b.under}
	for _, e := range own.Entries {
		if old := both.own(e.Name); old != nil {
			*old = merge(*old, e)
		} else {
			both.Entries = append(both.Entries, e)
		}
	}
	return both
}

// Date returns the newest date in the book's own entries.
func (b *Book) Date() string {
	var newest string
	for _, e := range b.Entries {
		newest = max(newest, e.Date)
	}
	return newest
}

// MarshalJSON writes the form that Parse reads, with the entries of [Book.All].
func (b Book) MarshalJSON() ([]byte, error) {
	return json.Marshal(file{Schema, unit, b.All()})
}

// UnmarshalJSON reads a book as Parse does. A book that was written by
// MarshalJSON reads back equal.
func (b *Book) UnmarshalJSON(data []byte) error {
	parsed, err := Parse(data)
	if err == nil {
		*b = *parsed
	}
	return err
}

// WriteFile writes the book to a file, one entry a line, all or nothing.
func (b *Book) WriteFile(path string) error {
	var text bytes.Buffer
	fmt.Fprintf(&text, "{\n  \"schema\": %q,\n  \"unit\": %q,\n  \"models\": [", Schema, unit)
	separator := "\n    "
	for _, e := range b.All() {
		line, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("write price book %s: model %q: %w", path, e.Name, err)
		}
		text.WriteString(separator)
		text.Write(line)
		separator = ",\n    "
	}
	text.WriteString("\n  ]\n}\n")
	err := atomicfile.Write(path, 0o644, func(w io.Writer) error {
		_, err := w.Write(text.Bytes())
		return err
	})
	if err != nil {
		return fmt.Errorf("write price book %s: %w", path, err)
	}
	return nil
}

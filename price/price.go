// Package price turns tokens into money: a price book of what each model's
// provider charges, and a counter of input tokens.
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
	"sync"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/atomicfile"
	"github.com/carrot-router/carrot/internal/phrase"
)

// Schema names the form of a price book file.
const Schema = "carrot.prices/1"

// ErrNoPrice is returned for a model that is not in the book.
var ErrNoPrice = errors.New("no price")

// Entry is one model's price, with its date and source.
type Entry struct {
	Name string `json:"name"`
	carrot.Price
	Date   string `json:"date"` // YYYY-MM-DD
	Source string `json:"source"`
}

// Book is a price book: entries with unique names. The zero Book is empty.
type Book struct {
	Entries []Entry
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

// Default returns a copy of the price book in the binary, which the caller may
// change.
func Default() *Book { return &Book{slices.Clone(parsedDefault())} }

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
	if raw.Schema != Schema || raw.Unit != unit {
		return nil, fmt.Errorf("schema %q, unit %q: want %q and %q", raw.Schema, raw.Unit, Schema, unit)
	}
	b := &Book{}
	for i, text := range raw.Models {
		e, err := parseEntry(text)
		if err != nil {
			return nil, fmt.Errorf("models[%d]: %w", i, err)
		}
		if _, err := b.entry(e.Name); err == nil {
			return nil, fmt.Errorf("models[%d]: model %q appears twice", i, e.Name)
		}
		b.Entries = append(b.Entries, e)
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

func parseEntry(text []byte) (Entry, error) {
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
	for _, field := range []string{"input", "output", "date", "source"} {
		if text := given[field]; text == nil || string(text) == "null" {
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
	return nil
}

func (b *Book) entry(name string) (*Entry, error) {
	at := slices.IndexFunc(b.Entries, func(e Entry) bool { return e.Name == name })
	if at < 0 {
		return nil, fmt.Errorf("model %q: %w in the price book", name, ErrNoPrice)
	}
	return &b.Entries[at], nil
}

// Price returns the model's price. The error wraps ErrNoPrice and names the
// model.
func (b *Book) Price(model string) (carrot.Price, error) {
	e, err := b.entry(model)
	if err != nil {
		return carrot.Price{}, err
	}
	return e.Price, nil
}

// Set adds an entry or replaces the one of the same name.
func (b *Book) Set(e Entry) error {
	if e.Name == "" {
		return errors.New("field name: missing")
	}
	if err := e.check(); err != nil {
		return err
	}
	if old, err := b.entry(e.Name); err == nil {
		*old = e
		return nil
	}
	b.Entries = append(b.Entries, e)
	return nil
}

// Overlay returns a book with the entries of b and of own. If both have an entry
// for a model, it is that of own.
func (b *Book) Overlay(own *Book) *Book {
	both := &Book{slices.Clone(b.Entries)}
	for _, e := range own.Entries {
		if old, err := both.entry(e.Name); err == nil {
			*old = e
		} else {
			both.Entries = append(both.Entries, e)
		}
	}
	return both
}

// Date returns the newest date in the book.
func (b *Book) Date() string {
	var newest string
	for _, e := range b.Entries {
		newest = max(newest, e.Date)
	}
	return newest
}

// MarshalJSON writes the form that Parse reads.
func (b Book) MarshalJSON() ([]byte, error) {
	return json.Marshal(file{Schema, unit, b.Entries})
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

// WriteFile writes the book to a file, all or nothing.
func (b *Book) WriteFile(path string) error {
	data, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	err = atomicfile.Write(path, 0o644, func(w io.Writer) error {
		_, err := w.Write(append(data, '\n'))
		return err
	})
	if err != nil {
		return fmt.Errorf("write price book %s: %w", path, err)
	}
	return nil
}

package ledger

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/record"
)

// An entry of the journal is an attempt in four parts: a byte with the version of the form,
// the values of its columns in their order, and four texts, which may be empty: the JSON
// of the column rest, the decision in the form carrot.decision/1, the content as JSON, and
// the decision's forecasts.
// Numbers are varints and texts follow their length, so that the writer, which puts them
// into the store, has little to do. The entry of an attempt that is only begun has the same
// parts, and the highest bit of the version is set.
const (
	entryVersion = 3
	entryBegun   = 0x80
)

// entry is an attempt in parts.
type entry struct {
	attempt                 record.Attempt // without decision and content
	rest, decision, content []byte
	forecasts               []byte
	begun                   bool
}

// key identifies an attempt.
type key struct {
	request string
	number  int
}

func (e *entry) key() key { return key{e.attempt.RequestID, e.attempt.Number} }

// appendEntry appends the entry of an attempt. scratch is reused.
func appendEntry(b []byte, a *record.Attempt, scratch *[]byte) []byte {
	b = append(b, entryVersion)
	for i := range columns {
		b = columns[i].append(b, a)
	}
	b = appendText(b, restOf(a))
	text := (*scratch)[:0]
	if a.Decision != nil {
		text = a.Decision.AppendJSON(text)
		*scratch = text
	}
	b = appendText(b, text)
	b = appendText(b, contentOf(a))
	text = appendForecasts((*scratch)[:0], a)
	if cap(text) > 0 {
		*scratch = text
	}
	return appendText(b, text)
}

func appendText(b, text []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// append appends the value of a column.
func (c *column) append(b []byte, a *record.Attempt) []byte {
	text := func(s string) []byte { return append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	switch at := c.at(a).(type) {
	case nanoseconds:
		return binary.AppendVarint(b, at.t.UnixNano())
	case amount:
		if *at.unknown {
			return append(b, 0)
		}
		return binary.AppendVarint(append(b, 1), int64(*at.cost))
	case *string:
		return text(*at)
	case *record.Outcome:
		return text(string(*at))
	case *record.Reason:
		return text(string(*at))
	case *int:
		return binary.AppendVarint(b, int64(*at))
	case *time.Duration:
		return binary.AppendVarint(b, int64(*at))
	case *bool:
		if *at {
			return append(b, 1)
		}
		return append(b, 0)
	case *carrot.USD:
		return binary.AppendVarint(b, int64(*at))
	case list:
		return text(at.String())
	case *float64:
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(*at))
	}
	panic("ledger: column " + c.name + " has no form") // a test encodes all columns
}

// content is what was said.
type content struct {
	Prompt []byte `json:"prompt,omitempty"` // base64, because its bytes matter
	Answer string `json:"answer,omitempty"`
}

func contentOf(a *record.Attempt) []byte {
	if len(a.Prompt) == 0 && a.Answer == "" {
		return nil
	}
	b, err := json.Marshal(content{a.Prompt, a.Answer})
	if err != nil { // impossible
		return nil
	}
	return b
}

var errEntry = errors.New("an entry of the journal is damaged")

// reader reads the values of an entry. After an error, it reads zeros.
type reader struct {
	left []byte
	bad  bool
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.left)) {
		r.bad, r.left = true, nil
		return nil
	}
	b := r.left[:n:n]
	r.left = r.left[n:]
	return b
}

func (r *reader) text() []byte {
	n, size := binary.Uvarint(r.left)
	r.bytes(uint64(max(size, 0)))
	if size <= 0 {
		r.bad = true
		return nil
	}
	return r.bytes(n)
}

func (r *reader) varint() int64 {
	n, size := binary.Varint(r.left)
	r.bytes(uint64(max(size, 0)))
	if size <= 0 {
		r.bad = true
		return 0
	}
	return n
}

func (r *reader) flag() bool {
	b := r.bytes(1)
	return len(b) == 1 && b[0] == 1
}

// read reads the value of a column.
func (c *column) read(r *reader, a *record.Attempt) {
	switch at := c.at(a).(type) {
	case nanoseconds:
		*at.t = time.Unix(0, r.varint()).UTC()
	case amount:
		*at.unknown = !r.flag()
		if *at.cost = 0; !*at.unknown {
			*at.cost = carrot.USD(r.varint())
		}
	case *string:
		*at = string(r.text())
	case *record.Outcome:
		*at = record.Outcome(r.text())
	case *record.Reason:
		*at = record.Reason(r.text())
	case *int:
		*at = int(r.varint())
	case *time.Duration:
		*at = time.Duration(r.varint())
	case *bool:
		*at = r.flag()
	case *carrot.USD:
		*at = carrot.USD(r.varint())
	case list:
		at.set(string(r.text()))
	case *float64:
		if b := r.bytes(8); b != nil {
			*at = math.Float64frombits(binary.LittleEndian.Uint64(b))
		}
	}
}

// columnsOf returns how many columns the entry b has.
func columnsOf(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, errEntry
	}
	version := b[0] &^ entryBegun
	known := columnsOfVersion[version]
	if known == 0 {
		return 0, fmt.Errorf("an entry of the journal has version %d, which another release has written; this one knows %d", version, entryVersion)
	}
	return known, nil
}

// isBegun says whether the entry b is of an attempt that is only begun.
func isBegun(b []byte) bool { return len(b) > 0 && b[0]&entryBegun != 0 }

// readKey reads the key of the entry b alone, whose column number is the third.
func readKey(b []byte) (key, error) {
	if _, err := columnsOf(b); err != nil {
		return key{}, err
	}
	e, r := entry{}, reader{left: b[1:]}
	for i := range columns[:3] {
		columns[i].read(&r, &e.attempt)
	}
	if r.bad {
		return key{}, errEntry
	}
	return e.key(), nil
}

// readEntry reads what appendEntry has written. The entry refers to b.
func readEntry(b []byte) (*entry, error) {
	known, err := columnsOf(b)
	if err != nil {
		return nil, err
	}
	e, r := &entry{begun: isBegun(b)}, reader{left: b[1:]}
	for i := range columns[:known] {
		columns[i].read(&r, &e.attempt)
	}
	e.rest, e.decision, e.content = r.text(), r.text(), r.text()
	if b[0]&^entryBegun >= 3 {
		e.forecasts = r.text()
	}
	if r.bad || len(r.left) > 0 || bytes.IndexByte(e.decision, '\n') >= 0 {
		return nil, errEntry
	}
	if len(e.rest) > 0 {
		if err := setRest(&e.attempt, e.rest); err != nil {
			return nil, errors.Join(errEntry, err)
		}
	}
	return e, nil
}

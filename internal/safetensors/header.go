package safetensors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"unicode/utf8"
)

const metadataKey = "__metadata__"

// header is the JSON at the start of a file.
type header struct {
	metadata map[string]string
	entries  []entry
}

// entry describes one tensor.
type entry struct {
	name       string
	dtype      DType
	shape      []int
	start, end uint64
}

// headerParser reads the header token by token, to detect repeated keys.
type headerParser struct{ dec *json.Decoder }

func parseHeader(b []byte) (header, error) {
	var h header
	if !utf8.Valid(b) {
		return h, errors.New("not valid utf-8")
	}
	if len(b) == 0 || b[0] != '{' {
		return h, errors.New("does not begin with {")
	}
	p := headerParser{json.NewDecoder(bytes.NewReader(b))}
	p.dec.UseNumber()
	err := p.object(func(key string) (err error) {
		if key == metadataKey {
			h.metadata, err = p.metadata()
			return err
		}
		e, err := p.entry(key)
		h.entries = append(h.entries, e)
		return err
	})
	if err != nil {
		return h, err
	}
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return h, errors.New("continues after the closing brace")
	}
	return h, nil
}

// object reads an object and calls value at each key. A repeated key is an error.
func (p headerParser) object(value func(key string) error) error {
	if err := p.delim('{', "an object"); err != nil {
		return err
	}
	seen := map[string]bool{}
	for p.dec.More() {
		tok, err := p.token()
		if err != nil {
			return err
		}
		key, ok := tok.(string)
		if !ok {
			return fmt.Errorf("got %v, want a key", tok)
		}
		if seen[key] {
			return fmt.Errorf("key %q appears twice", key)
		}
		seen[key] = true
		if err := value(key); err != nil {
			return err
		}
	}
	return p.delim('}', "the end of an object")
}

// list reads an array of whole numbers.
func (p headerParser) list(name, field string) ([]uint64, error) {
	if err := p.delim('[', "a list"); err != nil {
		return nil, fmt.Errorf("tensor %q: %s: %w", name, field, err)
	}
	list := []uint64{}
	for p.dec.More() {
		tok, err := p.token()
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %s: %w", name, field, err)
		}
		num, _ := tok.(json.Number)
		n, err := strconv.ParseUint(num.String(), 10, 64)
		if err != nil || n > math.MaxInt {
			return nil, fmt.Errorf("tensor %q: %s: %v is not a length", name, field, tok)
		}
		list = append(list, n)
	}
	return list, p.delim(']', "the end of a list")
}

func (p headerParser) metadata() (map[string]string, error) {
	m := map[string]string{}
	err := p.object(func(key string) error {
		tok, err := p.token()
		if err != nil {
			return err
		}
		text, ok := tok.(string)
		if !ok {
			return fmt.Errorf("value of %q is not a string", key)
		}
		m[key] = text
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", metadataKey, err)
	}
	return m, nil
}

// entry reads the description of a tensor. It ignores keys that are not part of the
// format, as the reference implementation does.
func (p headerParser) entry(name string) (entry, error) {
	e := entry{name: name}
	have := map[string]bool{}
	err := p.object(func(key string) error {
		have[key] = true
		switch key {
		case "dtype":
			tok, err := p.token()
			if err != nil {
				return err
			}
			text, _ := tok.(string)
			e.dtype = DType(text)
			if e.dtype.Size() == 0 {
				return fmt.Errorf("tensor %q: unknown dtype %q", name, fmt.Sprint(tok))
			}
		case "shape":
			dims, err := p.list(name, key)
			if err != nil {
				return err
			}
			e.shape = make([]int, len(dims))
			for i, d := range dims {
				e.shape[i] = int(d)
			}
		case "data_offsets":
			at, err := p.list(name, key)
			if err != nil {
				return err
			}
			if len(at) != 2 {
				return fmt.Errorf("tensor %q: data_offsets has %d numbers, want 2", name, len(at))
			}
			e.start, e.end = at[0], at[1]
		default:
			var skipped json.RawMessage
			return p.dec.Decode(&skipped)
		}
		return nil
	})
	if err != nil {
		return e, err
	}
	for _, key := range []string{"dtype", "shape", "data_offsets"} {
		if !have[key] {
			return e, fmt.Errorf("tensor %q: %s is missing", name, key)
		}
	}
	return e, nil
}

func (p headerParser) token() (json.Token, error) {
	tok, err := p.dec.Token()
	if errors.Is(err, io.EOF) {
		return nil, io.ErrUnexpectedEOF
	}
	return tok, err
}

func (p headerParser) delim(want json.Delim, what string) error {
	tok, err := p.token()
	if err != nil {
		return err
	}
	if got, ok := tok.(json.Delim); !ok || got != want {
		return fmt.Errorf("got %v, want %s", tok, what)
	}
	return nil
}

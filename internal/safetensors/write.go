package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Write writes the tensors in the order of the reference implementation: by
// descending element size, then by name. It sorts the metadata and pads the header
// with spaces to a multiple of 8 bytes. The output does not depend on the order of
// tensors. If a tensor is invalid, nothing is written.
func Write(w io.Writer, metadata map[string]string, tensors []Tensor) error {
	sorted, err := arrange(tensors)
	if err != nil {
		return fmt.Errorf("write safetensors: %w", err)
	}
	head, err := formatHeader(metadata, sorted)
	if err != nil {
		return fmt.Errorf("write safetensors: %w", err)
	}
	if _, err := w.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(head)))); err != nil {
		return fmt.Errorf("write safetensors: %w", err)
	}
	if _, err := w.Write(head); err != nil {
		return fmt.Errorf("write safetensors: %w", err)
	}
	for _, t := range sorted {
		if _, err := w.Write(t.Data); err != nil {
			return fmt.Errorf("write safetensors: tensor %q: %w", t.Name, err)
		}
	}
	return nil
}

// arrange checks the tensors and returns them in file order.
func arrange(tensors []Tensor) ([]Tensor, error) {
	seen := make(map[string]bool, len(tensors))
	for _, t := range tensors {
		switch {
		case t.Name == metadataKey:
			return nil, fmt.Errorf("tensor %q: the name is reserved", t.Name)
		case !utf8.ValidString(t.Name):
			return nil, fmt.Errorf("tensor %q: the name is not valid utf-8", t.Name)
		case seen[t.Name]:
			return nil, fmt.Errorf("tensor %q: appears twice", t.Name)
		}
		if err := t.check(); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		seen[t.Name] = true
	}
	sorted := slices.Clone(tensors)
	slices.SortFunc(sorted, func(a, b Tensor) int {
		if d := a.DType.rank() - b.DType.rank(); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
	return sorted, nil
}

// formatHeader returns the padded JSON header of tensors, which are in file order.
func formatHeader(metadata map[string]string, tensors []Tensor) ([]byte, error) {
	var b bytes.Buffer
	comma := func() {
		if b.Len() > 1 {
			b.WriteByte(',')
		}
	}
	b.WriteByte('{')
	if len(metadata) > 0 {
		for i, key := range slices.Sorted(maps.Keys(metadata)) {
			if !utf8.ValidString(key) || !utf8.ValidString(metadata[key]) {
				return nil, fmt.Errorf("metadata %q is not valid utf-8", key)
			}
			if i == 0 {
				b.WriteString(`"` + metadataKey + `":{`)
			} else {
				b.WriteByte(',')
			}
			b.WriteString(quote(key) + ":" + quote(metadata[key]))
		}
		b.WriteByte('}')
	}
	at := 0
	for _, t := range tensors {
		comma()
		shape := strings.ReplaceAll(strings.Trim(fmt.Sprint(t.Shape), "[]"), " ", ",")
		fmt.Fprintf(&b, `%s:{"dtype":"%s","shape":[%s],"data_offsets":[%d,%d]}`,
			quote(t.Name), t.DType, shape, at, at+len(t.Data))
		at += len(t.Data)
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	if b.Len() > maxHeader {
		return nil, fmt.Errorf("header of %d bytes is over the limit of %d", b.Len(), maxHeader)
	}
	return b.Bytes(), nil
}

// quote returns s as a JSON string.
func quote(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err) // impossible: every string can be encoded
	}
	return strings.TrimSuffix(b.String(), "\n")
}

package embed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/internal/readfile"
)

// recorded is the embedder of a file with one vector for each of some texts. It knows
// no other text. Its ID is "npy@" and the SHA-256 of the file.
type recorded struct {
	id   string
	npy  *npy
	rows map[string]int // by text
}

// maxNPY is the largest file of vectors, in bytes.
const maxNPY = 64 << 30

// sameVector is the least cosine of two vectors of one text. Encoders that compute in
// batches do not always give the same bits.
const sameVector = 0.999

// openRecorded opens a file in NumPy's format with a row for each of the texts.
func openRecorded(path string, texts []string) (*recorded, error) {
	if texts == nil {
		return nil, fmt.Errorf("%w %q: a file of vectors has those of a data set's queries only, for carrot train and carrot eval; no other text can be embedded with it", ErrSpec, "npy:"+path)
	}
	data, err := readfile.Read(path, maxNPY)
	if err != nil {
		return nil, fmt.Errorf("open vectors: %w", err)
	}
	n, err := parseNPY(data)
	if err != nil {
		return nil, fmt.Errorf("vectors %s: %w", path, err)
	}
	if n.rows != len(texts) {
		return nil, fmt.Errorf("vectors %s: %s, but %s: want one row for each query, in the order of queries.jsonl", path, phrase.Count(n.rows, "row"), phrase.Count(len(texts), "query"))
	}
	sum := sha256.Sum256(data)
	r := &recorded{id: "npy@" + hex.EncodeToString(sum[:]), npy: n, rows: make(map[string]int, len(texts))}
	for i, text := range texts {
		if first, ok := r.rows[text]; !ok {
			r.rows[text] = i
		} else if c := n.cosine(first, i); c < sameVector {
			return nil, fmt.Errorf("vectors %s: rows %d and %d, counted from 0, are of the same prompt and differ (cosine %.3f): are the rows in the order of queries.jsonl?", path, first, i, c)
		}
	}
	return r, nil
}

// ID implements carrot.Embedder.
func (r *recorded) ID() string { return r.id }

// Embed implements carrot.Embedder. A text without a row is an error.
func (r *recorded) Embed(ctx context.Context, texts []string, dst []carrot.Representation) error {
	if len(texts) != len(dst) {
		return fmt.Errorf("embed %d texts into %d representations", len(texts), len(dst))
	}
	for i, text := range texts {
		if i%64 == 63 && ctx.Err() != nil {
			return ctx.Err()
		}
		row, ok := r.rows[text]
		if !ok {
			return errors.New("the file of vectors has no row for a text, which is not the prompt of one of its queries")
		}
		represent(text, &dst[i])
		dst[i].Dense = r.npy.appendUnit(dst[i].Dense[:0], row)
	}
	return nil
}

// npy is a matrix of float32 in NumPy's format, row by row.
type npy struct {
	rows, columns int
	data          []byte
}

// maxNPYColumns is the largest length of vectors that a router can have.
const maxNPYColumns = 1 << 16

// maxNPYHeader is the longest header that is read, in bytes. NumPy's are shorter than
// 128 bytes for a matrix of numbers.
const maxNPYHeader = 1 << 16

const npyMagic = "\x93NUMPY"

// parseNPY reads a file in NumPy's format, version 1, 2 or 3: magic, version, length
// of the header, header, numbers. Only a matrix of finite little-endian float32 in C
// order is accepted; the error for everything else says what it is, and how to convert
// it in Python.
func parseNPY(data []byte) (*npy, error) {
	rest, ok := bytes.CutPrefix(data, []byte(npyMagic))
	if !ok {
		return nil, notNPY(data)
	}
	if len(rest) < 2 {
		return nil, errors.New("the file is cut short: it ends in the header")
	}
	major, minor := rest[0], rest[1]
	width := 4
	switch {
	case minor != 0 || major < 1 || major > 3:
		return nil, fmt.Errorf("version %d.%d of NumPy's format is not known: want 1.0, 2.0 or 3.0", major, minor)
	case major == 1:
		width = 2
	}
	if rest = rest[2:]; len(rest) < width {
		return nil, errors.New("the file is cut short: it ends in the header")
	}
	size := uint64(binary.LittleEndian.Uint16(rest))
	if width == 4 {
		size = uint64(binary.LittleEndian.Uint32(rest))
	}
	switch rest = rest[width:]; {
	case size > maxNPYHeader:
		return nil, fmt.Errorf("a header of %d bytes is longer than %d", size, maxNPYHeader)
	case size > uint64(len(rest)):
		return nil, errors.New("the file is cut short: it ends in the header")
	}
	h, err := parseNPYHeader(string(rest[:size]))
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	return h.matrix(rest[size:])
}

// notNPY says what a file is instead.
func notNPY(data []byte) error {
	const want = "want a file that numpy.save has written"
	switch {
	case bytes.HasPrefix(data, []byte("PK")):
		return errors.New(`it is a zip archive, such as numpy.savez writes: save its array alone, numpy.save("vectors.npy", numpy.load(FILE)["arr_0"])`)
	case bytes.HasPrefix(data, []byte{0x1f, 0x8b}):
		return errors.New("it is gzipped: unpack it first")
	case bytes.HasPrefix(data, []byte("\x89HDF")):
		return errors.New("it is an HDF5 file: " + want)
	case bytes.HasPrefix(data, []byte("PAR1")):
		return errors.New("it is a Parquet file: " + want)
	case len(data) == 0:
		return errors.New("it is empty: " + want)
	}
	return errors.New("it does not begin as NumPy's format does: " + want)
}

// npyHeader is what the header says of the numbers.
type npyHeader struct {
	descr   string // "" for a structured type
	fortran bool
	shape   []uint64
}

// matrix checks the header and the numbers after it.
func (h *npyHeader) matrix(data []byte) (*npy, error) {
	const save = `numpy.save("vectors.npy", numpy.load(FILE)`
	switch {
	case h.descr == "":
		return nil, errors.New("it holds records with named fields: save the field with the vectors as a matrix of float32")
	case strings.TrimLeft(h.descr, "|<>=") == "O":
		return nil, errors.New(`it holds Python objects, which are pickled and not read here: stack the vectors first, numpy.save("vectors.npy", numpy.stack(vectors).astype("<f4"))`)
	case h.descr != "<f4":
		return nil, fmt.Errorf(`it holds %s, want '<f4', little-endian float32: %s.astype("<f4"))`, npyType(h.descr), save)
	case len(h.shape) != 2:
		return nil, fmt.Errorf("its shape has %s, want 2: %s.reshape(QUERIES, -1))", phrase.Count(len(h.shape), "dimension"), save)
	case h.fortran && h.shape[0] > 1 && h.shape[1] > 1:
		return nil, fmt.Errorf(`it is in Fortran order, column by column: numpy.save("vectors.npy", numpy.ascontiguousarray(numpy.load(FILE)))`)
	case h.shape[1] == 0 || h.shape[1] > maxNPYColumns:
		return nil, fmt.Errorf("vectors of length %d: want 1 to %d", h.shape[1], maxNPYColumns)
	case h.shape[0] > uint64(len(data))/(4*h.shape[1]):
		return nil, fmt.Errorf("the file is cut short: it has %d bytes of numbers, too few for %d × %d float32", len(data), h.shape[0], h.shape[1])
	case 4*h.shape[0]*h.shape[1] != uint64(len(data)):
		return nil, fmt.Errorf("%d bytes follow the numbers", uint64(len(data))-4*h.shape[0]*h.shape[1])
	}
	n := &npy{rows: int(h.shape[0]), columns: int(h.shape[1]), data: data}
	for k := range n.rows * n.columns {
		if v := n.at(k); math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("row %d, counted from 0, holds %v: want finite numbers", k/n.columns, v)
		}
	}
	return n, nil
}

// npyType names a type of numbers.
func npyType(descr string) string {
	quoted := strconv.Quote(descr)
	if len(quoted) > 40 {
		return "another type"
	}
	name := map[string]string{"f2": "float16", "f4": "float32", "f8": "float64", "i1": "int8", "i2": "int16", "i4": "int32", "i8": "int64", "u1": "uint8"}[strings.TrimLeft(descr, "|<>=")]
	switch {
	case name == "":
		return quoted
	case strings.HasPrefix(descr, ">"):
		name = "big-endian " + name
	}
	return fmt.Sprintf("%s (%s)", quoted, name)
}

// at returns number k, row by row.
func (n *npy) at(k int) float64 {
	return float64(math.Float32frombits(binary.LittleEndian.Uint32(n.data[4*k:])))
}

// length is that of the vector in a row.
func (n *npy) length(row int) float64 {
	var sum float64
	for k := range n.columns {
		v := n.at(row*n.columns + k)
		sum += v * v
	}
	return math.Sqrt(sum)
}

// appendUnit appends the vector of a row at unit length, or zeros if it is all zeros.
func (n *npy) appendUnit(dst []float32, row int) []float32 {
	length := n.length(row)
	if length == 0 {
		length = 1
	}
	for k := range n.columns {
		dst = append(dst, float32(n.at(row*n.columns+k)/length))
	}
	return dst
}

// cosine is that of the angle between two rows, 1 for two of zeros.
func (n *npy) cosine(a, b int) float64 {
	var sum float64
	for k := range n.columns {
		sum += n.at(a*n.columns+k) * n.at(b*n.columns+k)
	}
	switch lengths := n.length(a) * n.length(b); {
	case lengths > 0:
		return sum / lengths
	case n.length(a) == n.length(b):
		return 1
	}
	return 0
}

// parseNPYHeader reads the header, which is a Python dictionary:
// {'descr': '<f4', 'fortran_order': False, 'shape': (300, 128), }
func parseNPYHeader(text string) (npyHeader, error) {
	p := npyParser{strings.TrimSpace(text)}
	var h npyHeader
	if !p.take("{") {
		return h, errors.New("is no dictionary")
	}
	seen := map[string]bool{}
	for !p.take("}") {
		key, ok := p.quoted()
		if !ok || !p.take(":") || seen[key] {
			return h, fmt.Errorf("cannot be read from %s on", p.where())
		}
		seen[key] = true
		if !p.value(key, &h) || !p.take(",") && !strings.HasPrefix(p.rest, "}") {
			return h, fmt.Errorf("the value of %.20q cannot be read from %s on", key, p.where())
		}
	}
	switch {
	case p.rest != "":
		return h, fmt.Errorf("%s follows the dictionary", p.where())
	case len(seen) != 3 || !seen["descr"] || !seen["fortran_order"] || !seen["shape"]:
		return h, errors.New("want descr, fortran_order and shape")
	}
	return h, nil
}

// npyParser reads the few forms of Python literals that a header has.
type npyParser struct{ rest string }

// where quotes what is not yet read.
func (p *npyParser) where() string { return fmt.Sprintf("%.20q", p.rest) }

// take skips a token and the white space around it, if it comes next.
func (p *npyParser) take(token string) bool {
	after, ok := strings.CutPrefix(strings.TrimLeft(p.rest, " \t\n"), token)
	if ok {
		p.rest = strings.TrimLeft(after, " \t\n")
	}
	return ok
}

// quoted reads a text without escapes in single or double quotes.
func (p *npyParser) quoted() (string, bool) {
	for _, quote := range []string{"'", `"`} {
		if p.take(quote) {
			text, after, ok := strings.Cut(p.rest, quote)
			p.rest = strings.TrimLeft(after, " \t\n")
			return text, ok && !strings.Contains(text, `\`)
		}
	}
	return "", false
}

// value reads the value of a key.
func (p *npyParser) value(key string, h *npyHeader) (ok bool) {
	switch key {
	case "descr":
		if strings.HasPrefix(p.rest, "[") { // a structured type
			return p.list()
		}
		h.descr, ok = p.quoted()
		return ok && h.descr != ""
	case "fortran_order":
		h.fortran = p.take("True")
		return h.fortran || p.take("False")
	case "shape":
		return p.shape(h)
	}
	return false
}

// shape reads a tuple of numbers: (), (3,) or (3, 4).
func (p *npyParser) shape(h *npyHeader) bool {
	if !p.take("(") {
		return false
	}
	for !p.take(")") {
		end := strings.IndexFunc(p.rest, func(r rune) bool { return r < '0' || r > '9' })
		if end < 1 || len(h.shape) == 64 { // the most that NumPy has
			return false
		}
		v, err := strconv.ParseUint(p.rest[:end], 10, 62)
		if err != nil {
			return false
		}
		p.rest, h.shape = p.rest[end:], append(h.shape, v)
		if !p.take(",") && !strings.HasPrefix(strings.TrimLeft(p.rest, " "), ")") {
			return false
		}
	}
	return true
}

// list skips a list, which may hold others.
func (p *npyParser) list() bool {
	depth := 0
	for i := range len(p.rest) {
		switch p.rest[i] {
		case '[':
			depth++
		case ']':
			if depth--; depth == 0 {
				p.rest = strings.TrimLeft(p.rest[i+1:], " \t\n")
				return true
			}
		}
	}
	return false
}

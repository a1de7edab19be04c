package embed

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/dot"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/internal/readfile"
	"github.com/carrot-router/carrot/internal/safetensors"
	"github.com/carrot-router/carrot/internal/wordpiece"
)

// Static is a table of token vectors: a text's vector is the weighted mean of
// its tokens' vectors, scaled to unit length. It implements carrot.Embedder and
// is safe for concurrent use.
type Static struct {
	id      string
	tokens  *wordpiece.Tokenizer
	dim     int
	vectors []byte    // V×d int8s, in the memory of the file
	scale   []float32 // V: the token's weight times the step of its int8s
	about   Provenance
	ids     sync.Pool // of *[]int32
}

// Provenance describes how a table was made. It is stored in the table's file.
type Provenance struct {
	Format    string  `json:"format"`        // of the file: carrot.static/1
	Command   string  `json:"command"`       // that made the table
	Teacher   string  `json:"teacher"`       // ID of the sentence encoder
	Licence   string  `json:"licence"`       // of the teacher
	Corpus    string  `json:"corpus"`        // the texts that gave the token frequencies
	Tokens    int64   `json:"corpus_tokens"` // number of tokens in the corpus
	Smoothing float64 `json:"smoothing"`     // a of the weight a/(a+p(token))
}

// staticManifest is the description in a table's file.
type staticManifest struct {
	Provenance
	WordPiece wordpiece.Config `json:"wordpiece"`
}

// staticFormat is the version of the file format.
const staticFormat = "carrot.static/1"

// staticKey is the metadata key of the manifest.
const staticKey = "carrot"

//go:embed static.safetensors
var defaultTable []byte

var openDefault = sync.OnceValues(func() (*Static, error) { return ParseStatic(defaultTable) })

// Default returns the table that is part of the binary.
func Default() (*Static, error) { return openDefault() }

// maxStatic is the largest file of a table, in bytes.
const maxStatic = 1 << 30

// OpenStatic reads a table from a regular file of at most 1 GiB.
func OpenStatic(path string) (*Static, error) {
	data, err := readfile.Read(path, maxStatic)
	if err != nil {
		return nil, fmt.Errorf("open static table: %w", err)
	}
	s, err := ParseStatic(data)
	if err != nil {
		return nil, fmt.Errorf("static table %s: %w", path, err)
	}
	return s, nil
}

// ParseStatic reads a table from the content of its file, which must not be
// changed afterwards. Damaged content is an error.
func ParseStatic(data []byte) (*Static, error) {
	file, err := safetensors.Parse(data)
	if err != nil {
		return nil, err
	}
	s := &Static{}
	var manifest staticManifest
	if err := json.Unmarshal([]byte(file.Metadata()[staticKey]), &manifest); err != nil {
		return nil, fmt.Errorf("metadata %q: not a static table: %w", staticKey, phrase.JSON(err))
	}
	s.about = manifest.Provenance
	if s.about.Format != staticFormat {
		return nil, fmt.Errorf("format %q, want %q", s.about.Format, staticFormat)
	}
	vocab, ok := file.Tensor("vocab")
	if !ok || vocab.DType != safetensors.U8 {
		return nil, fmt.Errorf("tensor vocab: missing or not U8")
	}
	words := strings.Split(string(vocab.Data), "\n")
	if s.tokens, err = wordpiece.New(words, manifest.WordPiece); err != nil {
		return nil, err
	}
	if s.vectors, err = file.Bytes("vectors", safetensors.I8, len(words), -1); err != nil {
		return nil, err
	}
	if s.scale, err = file.Float32s("scale", len(words)); err != nil {
		return nil, err
	}
	for i, v := range s.scale {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, fmt.Errorf("tensor scale: entry %d is not finite", i)
		}
	}
	s.dim = len(s.vectors) / len(words)
	sum := sha256.Sum256(data)
	s.id = "static@" + hex.EncodeToString(sum[:6])
	return s, nil
}

// ID is "static@" and the first 12 hexadecimal digits of the file's SHA-256.
func (s *Static) ID() string { return s.id }

// Dim is the length of the vectors.
func (s *Static) Dim() int { return s.dim }

// Provenance describes how the table was made.
func (s *Static) Provenance() Provenance { return s.about }

// Embed implements carrot.Embedder. It allocates only what dst has no room for.
// A text without tokens gets zeros as its dense vector.
func (s *Static) Embed(ctx context.Context, texts []string, dst []carrot.Representation) error {
	if len(texts) != len(dst) {
		return fmt.Errorf("embed %d texts into %d representations", len(texts), len(dst))
	}
	for i, text := range texts {
		if i%64 == 63 && ctx.Err() != nil {
			return ctx.Err()
		}
		represent(text, &dst[i])
		dst[i].Dense = s.append(dst[i].Dense[:0], text)
	}
	return nil
}

// append appends the unit vector of text to dst, or zeros if it has no tokens.
func (s *Static) append(dst []float32, text string) []float32 {
	pooled, ok := s.ids.Get().(*[]int32)
	if !ok {
		pooled = new([]int32)
	}
	*pooled = s.tokens.AppendIDs((*pooled)[:0], text, 0)
	start := len(dst)
	for range s.dim {
		dst = append(dst, 0)
	}
	sum := dst[start:]
	dot.AddInt8Rows(sum, s.vectors, *pooled, s.scale)
	s.ids.Put(pooled)
	normalize(sum)
	return dst
}

// normalize scales v to unit length. It leaves zeros as they are.
func normalize(v []float32) {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum == 0 {
		return
	}
	inverse := float32(1 / math.Sqrt(sum))
	for i := range v {
		v[i] *= inverse
	}
}

package embed

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/safetensors"
	"github.com/carrot-router/carrot/internal/wordpiece"
)

var (
	_ carrot.Embedder = (*Static)(nil)
	_ carrot.Embedder = (*Encoded)(nil)
)

func defaultStatic(t testing.TB) *Static {
	t.Helper()
	s, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// dense returns the dense vector of one text.
func dense(t testing.TB, e carrot.Embedder, text string) []float32 {
	t.Helper()
	dst := make([]carrot.Representation, 1)
	if err := e.Embed(context.Background(), []string{text}, dst); err != nil {
		t.Fatal(err)
	}
	return dst[0].Dense
}

// TestStaticDefault: the table in the binary loads, and has the ID, description
// and length of vectors that the documentation promises.
func TestStaticDefault(t *testing.T) {
	s := defaultStatic(t)
	if ok, _ := regexp.MatchString(`^static@[0-9a-f]{12}$`, s.ID()); !ok {
		t.Errorf("ID() = %q, want static@ and 12 hexadecimal digits", s.ID())
	}
	if again, err := ParseStatic(defaultTable); err != nil || again.ID() != s.ID() {
		t.Errorf("parsed again: %v, %v, want the same ID %s", again, err, s.ID())
	}
	if about := s.Provenance(); about.Teacher == "" || about.Licence == "" || about.Command == "" || about.Corpus == "" {
		t.Errorf("Provenance() = %+v, want teacher, licence, command and corpus", about)
	}
	if got := len(dense(t, s, "hello")); got != s.Dim() {
		t.Errorf("a vector has length %d, want Dim() = %d", got, s.Dim())
	}
}

func TestStaticVectors(t *testing.T) {
	s := defaultStatic(t)
	for _, test := range []struct {
		name, text string
		zero       bool
	}{
		{"a sentence", "What is the boiling point of water?", false},
		{"one word", "water", false},
		{"another script", "Сколько будет дважды два?", false},
		{"ideographs", "水的沸点是多少？", false},
		{"long", strings.Repeat("the quick brown fox ", 5_000), false},
		{"invalid UTF-8 between words", "boiling\xff\xfepoint", false},
		{"empty", "", true},
		{"white space", " \n\t", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var square float64
			for _, x := range dense(t, s, test.text) {
				square += float64(x) * float64(x)
			}
			if test.zero && square != 0 {
				t.Errorf("squared length %v, want zeros for a text without tokens", square)
			}
			if !test.zero && math.Abs(square-1) > 1e-5 {
				t.Errorf("squared length %v, want 1", square)
			}
		})
	}
}

// TestStaticNeighbours: a prompt is nearer to a prompt about the same subject than
// to one about another subject.
func TestStaticNeighbours(t *testing.T) {
	s := defaultStatic(t)
	f := func(text, related, unrelated string) {
		t.Helper()
		near := cosine(dense(t, s, text), dense(t, s, related))
		far := cosine(dense(t, s, text), dense(t, s, unrelated))
		if near <= far {
			t.Errorf("%q has cosine %.3f with %q and %.3f with %q, want the first to be higher", text, near, related, far, unrelated)
		}
	}
	f("Solve the quadratic equation x^2 = 4", "Find the roots of this polynomial", "Write a poem about the sea")
	f("Which drug treats bacterial pneumonia?", "The patient was given antibiotics for an infection", "The court ruled that the contract was void")
	f("Write a Python function that sorts a list", "Implement quicksort in Java", "Who was the first king of France?")
}

// TestStaticBatch: a text has the same representation alone, in a batch, in
// memory that held another one, and in concurrent calls.
func TestStaticBatch(t *testing.T) {
	s := defaultStatic(t)
	texts := []string{"one two three", "", "Une phrase en français", "你好", prompts100()[0]}
	want := make([]carrot.Representation, len(texts))
	for i, text := range texts {
		if err := s.Embed(t.Context(), []string{text}, want[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
	same := func(got []carrot.Representation) bool {
		for i := range got {
			if !reflect.DeepEqual(got[i].Dense, want[i].Dense) || !equal(got[i].Sparse, want[i].Sparse) {
				return false
			}
		}
		return true
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			got := make([]carrot.Representation, len(texts))
			for range 5 {
				if err := s.Embed(context.Background(), texts, got); err != nil || !same(got) {
					t.Errorf("a concurrent batch differs from single texts (error %v)", err)
				}
			}
		})
	}
	wg.Wait()
}

func TestStaticEmbedErrors(t *testing.T) {
	s := defaultStatic(t)
	if err := s.Embed(t.Context(), []string{"a", "b"}, make([]carrot.Representation, 1)); err == nil {
		t.Error("Embed of two texts into one representation succeeded")
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Embed(cancelled, make([]string, 100), make([]carrot.Representation, 100)); !errors.Is(err, context.Canceled) {
		t.Errorf("Embed of 100 texts with a cancelled context = %v, want context.Canceled", err)
	}
}

func TestStaticNoAllocs(t *testing.T) {
	if raceEnabled() {
		t.Skip("allocations are not counted under the race detector")
	}
	s, texts, dst := defaultStatic(t), prompts100()[:1], make([]carrot.Representation, 1)
	embed := func() {
		if err := s.Embed(context.Background(), texts, dst); err != nil {
			t.Fatal(err)
		}
	}
	embed()
	if n := testing.AllocsPerRun(20, embed); n != 0 {
		t.Errorf("Embed allocates %v times, want 0 once dst has grown", n)
	}
}

// fakeTeacher is a sentence encoder whose output for a token is random, with the
// token's id as the seed.
type fakeTeacher struct {
	tokens *wordpiece.Tokenizer
	dim    int
}

func newTeacher(t testing.TB) fakeTeacher {
	t.Helper()
	tokens, err := wordpiece.New(tinyVocab, wordpiece.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return fakeTeacher{tokens, 6}
}

func (f fakeTeacher) ID() string                      { return "teacher@0" }
func (f fakeTeacher) tokenizer() *wordpiece.Tokenizer { return f.tokens }
func (f fakeTeacher) encodeIDs(ids []int32) []float32 {
	r := rand.New(rand.NewPCG(1, uint64(ids[1])))
	out := make([]float32, f.dim)
	for k := range out {
		out[k] = float32(r.NormFloat64()) * float32(k+1)
	}
	return out
}

var tinyOptions = DistillOptions{Dim: 4, Smoothing: 0.01, Command: "carrot embed distill", Licence: "none", Corpus: "three lines"}

// tinyCorpus contains "hello" more often than "world", and no "c".
var tinyCorpus = []string{"hello hello hello hello world", "hello world a", "hello, hello b."}

func tinyTable(t testing.TB) []byte {
	t.Helper()
	data, err := distill(context.Background(), newTeacher(t), tinyCorpus, tinyOptions)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestDistill: the same input gives the same bytes, the manifest describes the
// table, and a token's weight falls with its frequency.
func TestDistill(t *testing.T) {
	data := tinyTable(t)
	if !bytes.Equal(data, tinyTable(t)) {
		t.Error("Distill of the same input gives different bytes")
	}
	s, err := ParseStatic(data)
	if err != nil {
		t.Fatal(err)
	}
	want := Provenance{Format: "carrot.static/1", Command: "carrot embed distill", Teacher: "teacher@0", Licence: "none", Corpus: "three lines", Tokens: 13, Smoothing: 0.01}
	if got := s.Provenance(); got != want || s.Dim() != 4 {
		t.Errorf("Provenance() = %+v with %d dimensions, want %+v with 4", got, s.Dim(), want)
	}
	// The weight is the ratio of a token's scale to its scale in a table made
	// without a corpus.
	unweighted, err := distill(t.Context(), newTeacher(t), nil, tinyOptions)
	if err != nil {
		t.Fatal(err)
	}
	base, err := ParseStatic(unweighted)
	if err != nil {
		t.Fatal(err)
	}
	weight := func(token string) float64 {
		id := s.tokens.AppendIDs(nil, token, 0)[0]
		return float64(s.scale[id] / base.scale[id])
	}
	for token, p := range map[string]float64{"hello": 7. / 13, "world": 2. / 13, "a": 1. / 13, "c": 0} {
		if got, want := weight(token), 0.01/(0.01+p); math.Abs(got-want) > 1e-6 {
			t.Errorf("weight of %q, %.0f%% of the corpus, = %v, want a/(a+p) = %v", token, 100*p, got, want)
		}
	}
}

func TestDistillErrors(t *testing.T) {
	for _, dim := range []int{0, -1, 7} {
		o := tinyOptions
		o.Dim = dim
		if _, err := distill(t.Context(), newTeacher(t), tinyCorpus, o); err == nil || !strings.Contains(err.Error(), "want 1 to the teacher's 6") {
			t.Errorf("Distill to %d dimensions: %v, want an error with the range", dim, err)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := distill(cancelled, newTeacher(t), tinyCorpus, tinyOptions); !errors.Is(err, context.Canceled) {
		t.Errorf("Distill with a cancelled context = %v, want context.Canceled", err)
	}
}

// rewrite returns a table with changed metadata or tensors.
func rewrite(t testing.TB, data []byte, edit func(metadata map[string]string, tensors map[string]safetensors.Tensor)) []byte {
	t.Helper()
	file, err := safetensors.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	metadata, tensors := file.Metadata(), map[string]safetensors.Tensor{}
	for _, name := range file.Names() {
		tensors[name], _ = file.Tensor(name)
	}
	edit(metadata, tensors)
	var list []safetensors.Tensor
	for _, name := range file.Names() {
		if tensor, ok := tensors[name]; ok {
			list = append(list, tensor)
		}
	}
	var out bytes.Buffer
	if err := safetensors.Write(&out, metadata, list); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

type tensorMap = map[string]safetensors.Tensor

func TestParseStaticErrors(t *testing.T) {
	tiny := tinyTable(t)
	n := len(tinyVocab)
	edit := func(f func(metadata map[string]string, tensors tensorMap)) []byte { return rewrite(t, tiny, f) }
	floats := func(v float32) []float32 {
		out := make([]float32, n)
		out[3] = v
		return out
	}
	hostile := binary.LittleEndian.AppendUint64(nil, 1<<62)
	for _, test := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, ""},
		{"text", []byte("hello, I am not a table"), ""},
		{"header of 4 EiB", append(hostile, defaultTable[8:100]...), ""},
		{"default table cut in half", defaultTable[:len(defaultTable)/2], ""},
		{"default table without its last byte", defaultTable[:len(defaultTable)-1], ""},
		{"default table with an extra byte", append(bytes.Clone(defaultTable), 0), ""},
		{"no metadata", edit(func(m map[string]string, _ tensorMap) { delete(m, "carrot") }), "not a static table"},
		{"a router's format", edit(func(m map[string]string, _ tensorMap) { m["carrot"] = `{"format":"carrot.router/1"}` }), `format "carrot.router/1", want "carrot.static/1"`},
		{"a later format", edit(func(m map[string]string, _ tensorMap) {
			m["carrot"] = strings.Replace(m["carrot"], "static/1", "static/2", 1)
		}), `"carrot.static/2"`},
		{"no vocabulary", edit(func(_ map[string]string, x tensorMap) { delete(x, "vocab") }), "tensor vocab"},
		{"vocabulary of another type", edit(func(_ map[string]string, x tensorMap) { x["vocab"] = safetensors.FromInt8("vocab", []int8{1}, 1) }), "tensor vocab"},
		{"one word too many", edit(func(_ map[string]string, x tensorMap) {
			words := append(bytes.Clone(x["vocab"].Data), "\nmore"...)
			x["vocab"] = safetensors.FromUint8("vocab", words, len(words))
		}), "vectors"},
		{"no unknown token", edit(func(_ map[string]string, x tensorMap) {
			words := bytes.Replace(x["vocab"].Data, []byte("[UNK]"), []byte("other"), 1)
			x["vocab"] = safetensors.FromUint8("vocab", words, len(words))
		}), "[UNK]"},
		{"no vectors", edit(func(_ map[string]string, x tensorMap) { delete(x, "vectors") }), "vectors"},
		{"no scale", edit(func(_ map[string]string, x tensorMap) { delete(x, "scale") }), "scale"},
		{"NaN in scale", edit(func(_ map[string]string, x tensorMap) {
			x["scale"] = safetensors.FromFloat32("scale", floats(float32(math.NaN())), n)
		}), "entry 3 is not finite"},
		{"infinity in scale", edit(func(_ map[string]string, x tensorMap) {
			x["scale"] = safetensors.FromFloat32("scale", floats(float32(math.Inf(-1))), n)
		}), "entry 3 is not finite"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := ParseStatic(test.data)
			if err == nil || s != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("ParseStatic = %v, %v, want an error with %q", s, err, test.want)
			}
		})
	}
}

func TestOpenStatic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tiny.safetensors")
	if _, err := OpenStatic(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("OpenStatic of a missing file = %v, want ErrNotExist", err)
	}
	data := tinyTable(t)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := OpenStatic(path)
	if err != nil {
		t.Fatal(err)
	}
	if parsed, _ := ParseStatic(data); parsed.ID() != s.ID() {
		t.Errorf("OpenStatic has ID %s, ParseStatic of the same bytes has %s", s.ID(), parsed.ID())
	}
	if err := os.WriteFile(path, data[:40], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStatic(path); err == nil || !strings.Contains(err.Error(), "tiny.safetensors") {
		t.Errorf("OpenStatic of a truncated file = %v, want an error with its name", err)
	}
}

// FuzzParseStatic: any bytes give an error or a table that works.
func FuzzParseStatic(f *testing.F) {
	tiny := tinyTable(f)
	f.Add(tiny)
	f.Add(tiny[:len(tiny)/2])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseStatic(data)
		if err != nil {
			return
		}
		if got := len(dense(t, s, "hello world ef")); got != s.Dim() {
			t.Errorf("a vector has length %d, want %d", got, s.Dim())
		}
	})
}

// BenchmarkStatic100 makes both representations of prompts of about 100 tokens.
func BenchmarkStatic100(b *testing.B) {
	s, texts, dst := defaultStatic(b), prompts100(), make([]carrot.Representation, 1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := s.Embed(context.Background(), texts[i%len(texts):][:1], dst); err != nil {
			b.Fatal(err)
		}
	}
}

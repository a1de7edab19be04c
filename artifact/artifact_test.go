package artifact_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/embed"
	"github.com/carrot-router/carrot/internal/safetensors"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/price"
)

// wordVectors is an embedder of 8 dimensions: the sum of the words' signs.
type wordVectors struct{}

func (wordVectors) ID() string { return "signs@0" }
func (wordVectors) Embed(_ context.Context, texts []string, dst []carrot.Representation) error {
	for i, text := range texts {
		embed.Words(text, &dst[i].Sparse)
		dst[i].Dense = append(dst[i].Dense[:0], make([]float32, 8)...)
		var square float64
		for _, index := range dst[i].Sparse.Index {
			for k := range dst[i].Dense {
				if index < carrot.FirstPair {
					dst[i].Dense[k] += float32(index>>k&1) - 0.5
				}
			}
		}
		for _, v := range dst[i].Dense {
			square += float64(v) * float64(v)
		}
		for k := range dst[i].Dense {
			dst[i].Dense[k] /= float32(max(math.Sqrt(square), 1e-9))
		}
	}
	return nil
}

// subjects are the words of the synthetic prompts.
var subjects = [][]string{
	strings.Fields("sum product integral prime root angle number divide"),
	strings.Fields("poem rhyme story novel verse sonnet drama metaphor"),
	strings.Fields("loop array compile function pointer stack recursion bug"),
}

// prompts draws n prompts, each on one subject.
func prompts(n int, seed uint64) (texts []string, subject []int) {
	r := rand.New(rand.NewPCG(seed, 1))
	for range n {
		s := r.IntN(len(subjects))
		words := []string{"please", "about"}
		for range 5 {
			words = append(words, subjects[s][r.IntN(len(subjects[s]))]+strconv.Itoa(r.IntN(6)))
		}
		texts, subject = append(texts, strings.Join(words, " ")), append(subject, s)
	}
	return texts, subject
}

// tiny is a router for three models, each good at one subject, fitted on 90
// prompts.
func tiny(tb testing.TB, spec string) *artifact.Artifact {
	tb.Helper()
	texts, subject := prompts(90, 7)
	d := predict.Data{Models: []string{"abacus", "bard", "coder"}, X: make([]carrot.Representation, len(texts))}
	if err := (wordVectors{}).Embed(context.Background(), texts, d.X); err != nil {
		tb.Fatal(err)
	}
	r := rand.New(rand.NewPCG(8, 8))
	for i, s := range subject {
		d.Hash = append(d.Hash, uint64(i)*0x9e3779b97f4a7c15>>7)
		for m := range d.Models {
			score := 0.0
			if r.Float64() < 0.3 || m == s {
				score = 1
			}
			d.Score = append(d.Score, score)
			d.OutputTokens = append(d.OutputTokens, math.Round(50*float64(m+1)*math.Exp(r.NormFloat64()/4)))
		}
	}
	parsed, err := predict.ParseSpec(spec)
	if err != nil {
		tb.Fatal(err)
	}
	p := predict.New(parsed)
	if err := p.Fit(context.Background(), d, nil); err != nil {
		tb.Fatal(err)
	}
	coverage, perMillion := 0.9, carrot.PerMillion
	a := &artifact.Artifact{Predictor: p, Manifest: artifact.Manifest{
		Format:    artifact.Format,
		Embedder:  artifact.Embedder{ID: wordVectors{}.ID(), Spec: "signs", Dim: 8},
		Predictor: p.Spec(),
		Models: []artifact.Model{
			{Name: "abacus", Observed: 90, MeanScore: 0.5, TokensP90: &coverage, Price: &carrot.Price{Input: perMillion(1), CachedInput: perMillion(0.1), CacheWrite: perMillion(1.25), Output: perMillion(5)}},
			{Name: "bard", Observed: 90, MeanScore: 0.6, Price: &carrot.Price{Input: perMillion(2), CachedInput: perMillion(2), Output: perMillion(8), Reasoning: perMillion(9)}},
			{Name: "coder", Observed: 90, MeanScore: 0.5, Price: &carrot.Price{Input: carrot.Free, Output: carrot.Free}},
		},
		Data: []artifact.Data{{Name: "synthetic", Fingerprint: "sha256:00", Queries: 90, Sources: []string{"a", "b"}}},
		Frontier: []carrot.Point{
			carrot.Point{USDPerQuality: math.Inf(1), CostUSD: 0.001, Quality: 0.9},
			carrot.Point{USDPerQuality: 0.01, CostUSD: 0.0005, Quality: 0.7},
		},
		BestSingle: carrot.Point{USDPerQuality: math.Inf(1), CostUSD: 0.001, Quality: 0.7},
		Metrics:    map[string]float64{"aiq": 0.8, "peak": 0.9}, Command: "carrot train", Licence: "none",
	}}
	return a
}

const tinySpec = "blend:gamma=1:noise=5:landmarks=16:alpha=5:buckets=256:caution=0.8"

func encode(tb testing.TB, a *artifact.Artifact) []byte {
	tb.Helper()
	var out bytes.Buffer
	if err := a.Write(&out); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// decisions routes a few prompts under a few objectives. They do not name the router,
// whose fingerprint is that of the bytes.
func decisions(tb testing.TB, a *artifact.Artifact) (all []carrot.Decision) {
	tb.Helper()
	router, err := a.Router(wordVectors{}, a.Pool(nil))
	if err != nil {
		tb.Fatal(err)
	}
	texts, _ := prompts(8, 9)
	for _, text := range append(texts, "", "слова которых не было") {
		for _, o := range []carrot.Objective{carrot.Quality, carrot.Balanced, carrot.USDPerQuality(0.001), carrot.Mu(0.5)} {
			d, err := router.Route(context.Background(), carrot.Query{Text: text, InputTokens: 10}, o)
			if err != nil {
				tb.Fatal(err)
			}
			if d.Router != a.Fingerprint {
				tb.Fatalf("the decision is of router %q, want %q", d.Router, a.Fingerprint)
			}
			d.Router = ""
			all = append(all, d)
		}
	}
	return all
}

// TestRoundTrip: a router that was written and read back decides the same, to the
// bit, and is written as the same bytes again.
func TestRoundTrip(t *testing.T) {
	for _, spec := range []string{"mean", "knn:k=8:k-tokens=4", "ridge:alpha=5", "kernel:gamma=1:noise=5:landmarks=16", "sparse:alpha=5:buckets=256", tinySpec} {
		t.Run(spec, func(t *testing.T) {
			a := tiny(t, spec)
			data := encode(t, a)
			if !bytes.Equal(data, encode(t, a)) {
				t.Error("written twice, the bytes differ")
			}
			if !bytes.Equal(data, encode(t, tiny(t, spec))) {
				t.Error("trained twice, the bytes differ")
			}
			b, err := artifact.Parse(data)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(b.Manifest, a.Manifest) {
				t.Errorf("manifest = %+v, want %+v", b.Manifest, a.Manifest)
			}
			if len(b.SHA256) != 64 || b.Size != len(data) {
				t.Errorf("SHA-256 %q and size %d, want 64 digits and %d", b.SHA256, b.Size, len(data))
			}
			before, after := decisions(t, a), decisions(t, b)
			if !reflect.DeepEqual(after, before) {
				t.Error("a router that was read decides otherwise")
			}
			if before[0].Abstained || !before[len(before)-1].Abstained {
				t.Errorf("abstained %v on a known subject, %v on an unknown script", before[0].Abstained, before[len(before)-1].Abstained)
			}
			if !bytes.Equal(encode(t, b), data) {
				t.Error("a router that was read is written otherwise")
			}
		})
	}
}

func TestWriteFile(t *testing.T) {
	a, path := tiny(t, "mean"), filepath.Join(t.TempDir(), "router.safetensors")
	if _, err := artifact.Open(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open of no file = %v, want ErrNotExist", err)
	}
	if err := a.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(data, encode(t, a)) {
		t.Errorf("WriteFile and Write differ (%v)", err)
	}
	b, err := artifact.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(decisions(t, b), decisions(t, a)) {
		t.Error("a router from a file decides otherwise")
	}
	if err := os.WriteFile(path, data[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := artifact.Open(path); err == nil || !strings.Contains(err.Error(), "router.safetensors") {
		t.Errorf("Open of a cut file = %v, want the file's name", err)
	}
}

func TestWriteNotFitted(t *testing.T) {
	a := &artifact.Artifact{Predictor: predict.New(predict.Spec{Name: "mean"})}
	path := filepath.Join(t.TempDir(), "router")
	if err := a.Write(&bytes.Buffer{}); !errors.Is(err, predict.ErrNotFitted) {
		t.Errorf("Write = %v, want ErrNotFitted", err)
	}
	if err := a.WriteFile(path); !errors.Is(err, predict.ErrNotFitted) {
		t.Errorf("WriteFile = %v, want ErrNotFitted", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("WriteFile of an unfitted router left a file")
	}
}

// TestHostileSpec: memory is bounded by the sizes of the tensors, whatever sizes the
// manifest claims.
func TestHostileSpec(t *testing.T) {
	for _, predictor := range []string{tinySpec, "knn:k=8:k-tokens=4"} {
		good := encode(t, tiny(t, predictor))
		for _, key := range []string{"buckets", "landmarks", "k", "k_tokens", "gamma", "noise", "alpha", "caution"} {
			for _, value := range []float64{1 << 50, -256, 255} {
				data := rewrite(t, good, func(m map[string]any, _ tensors) { m["predictor"].(map[string]any)[key] = value })
				try(t, data, wordVectors{}, fmt.Sprintf("%s with %s=%v", predictor, key, value))
			}
		}
	}
}

type tensors = map[string]safetensors.Tensor

// rewrite writes a file again with another manifest or other tensors.
func rewrite(tb testing.TB, data []byte, edit func(manifest map[string]any, x tensors)) []byte {
	tb.Helper()
	file, err := safetensors.Parse(data)
	if err != nil {
		tb.Fatal(err)
	}
	var manifest map[string]any
	if err := json.Unmarshal([]byte(file.Metadata()["carrot"]), &manifest); err != nil {
		tb.Fatal(err)
	}
	x := tensors{}
	for _, name := range file.Names() {
		x[name], _ = file.Tensor(name)
	}
	edit(manifest, x)
	text, err := json.Marshal(manifest)
	if err != nil {
		tb.Fatal(err)
	}
	var list []safetensors.Tensor
	for _, name := range file.Names() {
		if tensor, ok := x[name]; ok {
			list = append(list, tensor)
		}
	}
	var out bytes.Buffer
	if err := safetensors.Write(&out, map[string]string{"carrot": string(text)}, list); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// TestParseErrors: a file that cannot be read is refused with the reason.
func TestParseErrors(t *testing.T) {
	good := encode(t, tiny(t, tinySpec))
	manifest := func(key string, value any) []byte {
		return rewrite(t, good, func(m map[string]any, _ tensors) { m[key] = value })
	}
	spec := func(key string, value any) []byte {
		return rewrite(t, good, func(m map[string]any, _ tensors) { m["predictor"].(map[string]any)[key] = value })
	}
	tensor := func(edit func(x tensors)) []byte {
		return rewrite(t, good, func(_ map[string]any, x tensors) { edit(x) })
	}
	models := func(names ...string) (list []any) {
		for _, n := range names {
			list = append(list, map[string]any{"name": n})
		}
		return list
	}
	var many []string
	for i := range 100_000 {
		many = append(many, fmt.Sprint("model", i))
	}
	var plain bytes.Buffer
	if err := safetensors.Write(&plain, nil, []safetensors.Tensor{safetensors.FromFloat32("weight", []float32{1}, 1)}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, ""},
		{"text", []byte("{\"models\": []}  not a router"), ""},
		{"another safetensors file", plain.Bytes(), "not a router"},
		{"header of 4 EiB", binary.LittleEndian.AppendUint64(nil, 1<<62), ""},
		{"manifest of another type", manifest("models", "abacus"), "manifest"},
		{"a later major version", manifest("format", "carrot.router/3"), `format "carrot.router/3" is not one this program reads, "carrot.router/1" and "carrot.router/2"`},
		{"an embedder's table", manifest("format", "carrot.static/1"), `format "carrot.static/1", want "carrot.router/1"`},
		{"no format", manifest("format", ""), `want "carrot.router/1"`},
		{"no models", manifest("models", models()), "there are none"},
		{"a model twice", manifest("models", models("abacus", "bard", "abacus")), `"abacus" is empty or appears twice`},
		{"a model without a name", manifest("models", models("abacus", "", "coder")), `"" is empty or appears twice`},
		{"a model too many", manifest("models", models("abacus", "bard", "coder", "dean")), "tensor"},
		{"100,000 models", manifest("models", models(many...)), "tensor"},
		{"embedder of negative dimension", manifest("embedder", map[string]any{"dim": -1}), "embedder dimension -1"},
		{"embedder of a trillion dimensions", manifest("embedder", map[string]any{"dim": 1e12}), "embedder dimension"},
		{"embedder of another dimension", manifest("embedder", map[string]any{"dim": 9}), "tensor"},
		{"unknown predictor", spec("name", "oracle"), "oracle"},
		{"unknown part", spec("parts", "kernel+oracle"), "oracle"},
		{"a part that is not there", spec("parts", "kernel+knn"), "knn"},
		{"missing tensor", tensor(func(x tensors) { delete(x, "blend.sparse.weights") }), "blend.sparse.weights"},
		{"missing calibration", tensor(func(x tensors) { delete(x, "head.calibration") }), "head.calibration"},
		{"tensor of another type", tensor(func(x tensors) {
			x["head.caution"] = safetensors.FromFloat32("head.caution", []float32{1}, 1)
		}), "head.caution"},
		{"wrong shape", tensor(func(x tensors) {
			w := x["blend.sparse.weights"]
			w.Shape = []int{w.Shape[1], w.Shape[0]}
			x["blend.sparse.weights"] = w
		}), "blend.sparse.weights"},
		{"NaN", tensor(func(x tensors) {
			w := x["blend.kernel.weights"]
			w.Data = bytes.Clone(w.Data)
			binary.LittleEndian.PutUint32(w.Data[8:], math.Float32bits(float32(math.NaN())))
			x["blend.kernel.weights"] = w
		}), "blend.kernel.weights: holds a number that is not finite"},
		{"infinity", tensor(func(x tensors) {
			w := x["blend.kernel.mean"]
			w.Data = bytes.Clone(w.Data)
			binary.LittleEndian.PutUint64(w.Data, math.Float64bits(math.Inf(1)))
			x["blend.kernel.mean"] = w
		}), "blend.kernel.mean: holds a number that is not finite"},
		{"index out of range", tensor(func(x tensors) {
			x["blend.kernel.class"] = safetensors.FromInt32("blend.kernel.class", []int32{0, 0, 1 << 30}, 3)
		}), "blend.kernel.class"},
		{"negative index", tensor(func(x tensors) {
			w := x["novelty.row"]
			w.Data = bytes.Clone(w.Data)
			binary.LittleEndian.PutUint32(w.Data, math.MaxUint32)
			x["novelty.row"] = w
		}), "novelty.row"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, err := artifact.Parse(test.data)
			if err == nil || a != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Parse = %v, %v, want an error with %q", a, err, test.want)
			}
		})
	}
}

// try parses damaged bytes, which must give an error or a router that routes
// without a panic.
func try(t *testing.T, data []byte, embedder carrot.Embedder, what string) (parsed bool) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			t.Fatalf("%s: panic: %v", what, p)
		}
	}()
	a, err := artifact.Parse(data)
	if err != nil {
		return false
	}
	router, err := a.Router(embedder, pool(a))
	if err != nil {
		return true
	}
	for text, o := range map[string]carrot.Objective{"please about sum1 number2 divide3 root4": carrot.Balanced, "": carrot.USDPerQuality(0.01)} {
		d, err := router.Route(context.Background(), carrot.Query{Text: text, InputTokens: 9}, o)
		if err != nil {
			continue
		}
		for _, c := range d.Candidates {
			least := min(c.Quality, 1-c.Quality, c.QualitySE, c.QualityNoise, c.OutputTokens, c.OutputTokensP90, c.Cost.Float(), c.CostP90.Float())
			if !(least >= 0) {
				t.Errorf("%s: decided on the estimate %+v", what, c.Estimate)
			}
		}
	}
	return true
}

// legacy returns a file as it was written before files held a hash.
func legacy(tb testing.TB, data []byte) []byte {
	tb.Helper()
	return rewrite(tb, data, func(map[string]any, tensors) {})
}

// TestDamage: whichever byte of a file is changed, it is refused or decides as
// before. Changes of the key of the hash leave a file without a hash.
func TestDamage(t *testing.T) {
	for _, spec := range []string{"mean", "knn:k=8:k-tokens=4"} {
		a := tiny(t, spec)
		data, want := encode(t, a), decisions(t, a)
		step, passed := 1, 0
		if raceEnabled {
			step = 50
		}
		for at := 0; at < len(data); at += step {
			change := [...]byte{0x01, 0x20, 0x80, 0xff}[at%4]
			data[at] ^= change
			b, err := artifact.Parse(data)
			data[at] ^= change
			if err != nil {
				continue
			}
			passed++
			if b.Verified {
				t.Fatalf("%s: byte %d xor %#x: the file is said to match its hash", spec, at, change)
			}
			if got := decisions(t, b); !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: byte %d xor %#x: another decision without an error", spec, at, change)
			}
		}
		if passed > len("sha256") {
			t.Errorf("%s: %d changed files were read, want those with a change in the key of the hash only", spec, passed)
		}
	}
}

// TestHash: damage is an error of its own, and files without a hash can be read.
func TestHash(t *testing.T) {
	data := encode(t, tiny(t, tinySpec))
	if a, err := artifact.Parse(data); err != nil || !a.Verified {
		t.Errorf("Parse = %v, want a verified router", err)
	}
	old := legacy(t, data)
	if a, err := artifact.Parse(old); err != nil || a.Verified {
		t.Errorf("Parse of a file without a hash = %v, want a router that is not verified", err)
	}
	data[len(data)-1] ^= 1
	if _, err := artifact.Parse(data); !errors.Is(err, artifact.ErrDamaged) {
		t.Errorf("Parse of a damaged file = %v, want ErrDamaged", err)
	}
	if a, err := artifact.Default(); err != nil || !a.Verified {
		t.Errorf("the default router is not verified (%v)", err)
	}
}

// defaultBytes is the file of the router in the binary.
func defaultBytes(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile("default.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestTruncated: no prefix of a file is a router.
func TestTruncated(t *testing.T) {
	data := defaultBytes(t)
	for i := range 50 {
		at := i * len(data) / 50
		if i%2 == 1 {
			at = i * i // within the header too
		}
		if try(t, data[:at], wordVectors{}, fmt.Sprintf("cut at %d", at)) {
			t.Errorf("cut at %d of %d bytes it is still a router", at, len(data))
		}
	}
	small := encode(t, tiny(t, tinySpec))
	for by := 1; by < 1024; by += 7 {
		if try(t, small[:len(small)-by], wordVectors{}, fmt.Sprintf("cut by %d", by)) {
			t.Errorf("cut by %d bytes it is still a router", by)
		}
	}
}

// TestFlipped: a file without a hash and with one byte changed gives an error or a
// router that works, and never a panic.
func TestFlipped(t *testing.T) {
	static, err := embed.Default()
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 3))
	flip := func(data []byte, embedder carrot.Embedder, within, times int) {
		if raceEnabled { // ten times slower
			times /= 10
		}
		for range times {
			at, old := r.IntN(within), byte(0)
			old, data[at] = data[at], data[at]^byte(1+r.IntN(255))
			try(t, data, embedder, fmt.Sprintf("byte %d flipped from %#x to %#x", at, old, data[at]))
			data[at] = old
		}
	}
	data, small := legacy(t, defaultBytes(t)), legacy(t, encode(t, tiny(t, tinySpec)))
	header := 8 + int(binary.LittleEndian.Uint64(small))
	flip(data, static, len(data), 200)
	flip(small, wordVectors{}, header, 500)
	flip(small, wordVectors{}, len(small), 1500)
	for _, spec := range []string{"knn:k=8:k-tokens=4", "ridge:alpha=5", "mean"} {
		small = legacy(t, encode(t, tiny(t, spec)))
		flip(small, wordVectors{}, len(small), 300)
	}
}

func TestRouterRefusesAnotherEmbedder(t *testing.T) {
	a := tiny(t, "mean")
	static, err := embed.Default()
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Router(static, a.Pool(nil))
	if !errors.Is(err, artifact.ErrEmbedder) || !strings.Contains(err.Error(), static.ID()) || !strings.Contains(err.Error(), "signs@0") {
		t.Errorf("Router = %v, want ErrEmbedder with both IDs", err)
	}
}

// TestPool: a price in the book takes precedence over that in the training data. A
// model that is in neither has no price, and routing says so.
func TestPool(t *testing.T) {
	a := tiny(t, "mean")
	a.Manifest.Models[2].Price = nil
	book := &price.Book{}
	if err := book.Set(price.Entry{Name: "bard", Price: carrot.Price{Input: carrot.PerMillion(3), Output: carrot.PerMillion(30)}, Date: "2026-01-01", Source: "test"}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		book *price.Book
		want [3]float64 // input price; -1 for none
	}{
		{"no book", nil, [3]float64{1, 2, -1}},
		{"a book with one of them", book, [3]float64{1, 3, -1}},
	} {
		for i, c := range a.Pool(test.book) {
			got := -1.0
			if c.Price != nil {
				got, _ = c.Price.Input.PerMillion()
			}
			if got != test.want[i] || c.Name != a.Manifest.Models[i].Name {
				t.Errorf("%s: candidate %+v at %v USD per million, want %v", test.name, c, got, test.want[i])
			}
		}
	}
	// The catalogue under a book is for models that have no price otherwise.
	for i, name := range []string{"gpt-5.5", "gpt-4o-2024-05-13", "claude-opus-5-5"} {
		a.Manifest.Models[i].Name = name
	}
	for i, want := range []float64{1, 5, 4} { // of the training data, the book, the catalogue
		c := a.Pool(price.Default())[i]
		if c.Price == nil || c.Price.Input != carrot.PerMillion(want) {
			t.Errorf("with the default book: candidate %+v, want an input price of %v", c, want)
		}
	}

	a = tiny(t, "mean")
	a.Manifest.Models[2].Price = nil
	router, err := a.Router(wordVectors{}, a.Pool(book))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := router.Route(t.Context(), carrot.Query{Text: "x", InputTokens: 1}, carrot.Balanced); err == nil || !strings.Contains(err.Error(), `"coder" has no price`) {
		t.Errorf("Route without a price = %v, want an error that names the model", err)
	}
}

// TestFrontier: the operating points are read back, +Inf included.
func TestFrontier(t *testing.T) {
	b, err := artifact.Parse(encode(t, tiny(t, "mean")))
	if err != nil {
		t.Fatal(err)
	}
	want := carrot.Frontier{
		Points:     []carrot.Point{{USDPerQuality: math.Inf(1), CostUSD: 0.001, Quality: 0.9}, {USDPerQuality: 0.01, CostUSD: 0.0005, Quality: 0.7}},
		BestSingle: carrot.Point{USDPerQuality: math.Inf(1), CostUSD: 0.001, Quality: 0.7},
	}
	if got := b.Frontier(); !reflect.DeepEqual(got, want) {
		t.Errorf("Frontier() = %+v, want %+v", got, want)
	}
}

// TestDefault: the router in the binary fits the table in the binary and routes
// under every kind of objective.
func TestDefault(t *testing.T) {
	router := defaultRouter(t)
	for _, text := range []string{"quality", "balanced", "cheap", "mu=0.3", "usd-per-quality=0.01", "budget=0.002", "target=0.97"} {
		o, err := carrot.ParseObjective(text)
		if err != nil {
			t.Fatal(err)
		}
		d, err := router.Route(t.Context(), carrot.Query{Text: prompt}, o)
		if err != nil || d.Model == "" {
			t.Errorf("Route under %s = %q, %v", text, d.Model, err)
		}
	}
	a, err := artifact.Default()
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]string{"command": a.Manifest.Command, "licence": a.Manifest.Licence, "description": a.Manifest.Description, "price date": a.Manifest.PriceDate} {
		if v == "" {
			t.Errorf("the default router's manifest has no %s", name)
		}
	}
}

// TestAgents: the second router in the binary says what its numbers are of, is small, and
// decides the same for every prompt.
func TestAgents(t *testing.T) {
	a, err := artifact.Open("agents-2026")
	if err != nil {
		t.Fatal(err)
	}
	m := &a.Manifest
	if !a.Verified || m.Unit != "task" || m.Embedder.ID != "none" || m.Predictor.Name != "mean" || !strings.HasPrefix(m.Licence, "MIT") || len(m.Models) != 30 || a.Size > 256<<10 {
		t.Errorf("the agents' router: unit %q, embedder %q, predictor %q, licence %q, %d models, %d bytes", m.Unit, m.Embedder.ID, m.Predictor.Name, m.Licence, len(m.Models), a.Size)
	}
	for _, model := range m.Models {
		if float64(model.Observed) < 0.97*float64(m.Data[0].Queries) {
			t.Errorf("%s was observed on %d of %d tasks", model.Name, model.Observed, m.Data[0].Queries)
		}
	}
	x := make([]carrot.Prediction, 1)
	if err := a.Predictor.Predict([]carrot.Representation{{}}, x); err != nil || x[0].Novelty != 0 || x[0].Abstained {
		t.Fatalf("Predict = %+v, %v, want no novelty", x[0], err)
	}
	for j, f := range x[0].Forecasts { // means over the tasks that all models solved or tried
		if !f.Direct || f.CostUSD <= 0 || math.Abs(f.Quality-m.Models[j].MeanScore) > 0.03 {
			t.Errorf("%s: forecast %+v, mean score %v", m.Models[j].Name, f, m.Models[j].MeanScore)
		}
	}
	if d, err := artifact.Open("default"); err != nil || d.Manifest.Unit != "" {
		t.Errorf(`Open("default") = %v, want the default router`, err)
	}
}

// TestUnitRefused: a unit that this program does not know may mean anything.
func TestUnitRefused(t *testing.T) {
	a := tiny(t, tinySpec)
	a.Manifest.Unit = "week"
	if _, err := artifact.Parse(encode(t, a)); err == nil || !strings.Contains(err.Error(), `manifest: unit "week" is not known`) {
		t.Errorf("Parse of a router with the unit week: %v", err)
	}
}

// TestRouteAllocations holds a decision to its budget of allocations.
func TestRouteAllocations(t *testing.T) {
	router, query := defaultRouter(t), carrot.Query{Text: prompt, InputTokens: 100}
	route := func() {
		if _, err := router.Route(context.Background(), query, carrot.Balanced); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 { // fill the pools
		route()
	}
	if n := testing.AllocsPerRun(100, route); n > 5 && !raceEnabled {
		t.Errorf("Route allocates %v times, want at most 5", n)
	}
}

// FuzzParse: all bytes give an error or a router that routes.
func FuzzParse(f *testing.F) {
	for _, spec := range []string{"mean", "knn:k=4:k-tokens=4", tinySpec} {
		data := encode(f, tiny(f, spec))
		f.Add(data)
		f.Add(legacy(f, data))
		f.Add(data[:len(data)/2])
	}
	f.Add(encode(f, tinyPlans(f, tinySpec)))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		try(t, data, wordVectors{}, "fuzzed bytes")
	})
}

// TestManifestReadsBackEqual: a manifest is read back equal, with frontier and
// prices and without.
func TestManifestReadsBackEqual(t *testing.T) {
	inTheBinary, err := artifact.Default()
	if err != nil {
		t.Fatal(err)
	}
	bare := tiny(t, tinySpec).Manifest
	bare.Frontier, bare.BestSingle, bare.Metrics = nil, carrot.Point{}, map[string]float64{}
	for m := range bare.Models {
		bare.Models[m].Price = nil
	}
	for name, want := range map[string]artifact.Manifest{"tiny": tiny(t, tinySpec).Manifest, "in the binary": inTheBinary.Manifest, "bare": bare} {
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got artifact.Manifest
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s reads back differently:\n%+v\nwant\n%+v", name, got, want)
		}
	}
}

// TestUnknownCost: a model that was trained on scores alone has an unknown cost in
// a saved router too, and is chosen only where cost does not matter.
func TestUnknownCost(t *testing.T) {
	a := tiny(t, "knn:k=4")
	texts, _ := prompts(90, 7)
	d := predict.Data{Models: a.Predictor.Models(), X: make([]carrot.Representation, len(texts))}
	if err := (wordVectors{}).Embed(t.Context(), texts, d.X); err != nil {
		t.Fatal(err)
	}
	for range texts {
		d.Score = append(d.Score, 0.2, 0.9, 0.3)
		d.OutputTokens = append(d.OutputTokens, 50, math.NaN(), 70)
	}
	if err := a.Predictor.Fit(t.Context(), d, nil); err != nil {
		t.Fatal(err)
	}
	a, err := artifact.Parse(encode(t, a))
	if err != nil {
		t.Fatal(err)
	}
	router, err := a.Router(wordVectors{}, a.Pool(nil))
	if err != nil {
		t.Fatal(err)
	}
	for w, want := range map[float64]string{math.Inf(1): "bard", 1e6: "coder"} {
		d, err := router.Route(t.Context(), carrot.Query{Text: texts[0]}, carrot.USDPerQuality(w))
		if err != nil || d.Model != want || !d.Candidates[1].CostUnknown {
			t.Errorf("at %v: %+v, %v, want %s", w, d, err, want)
		}
	}
}

// A query that is unlike everything the router was trained on does not go to the most
// expensive model by default: nothing that is known of it speaks for that.
func TestNovelIsNotExpensive(t *testing.T) {
	router := defaultRouter(t)
	for _, prompt := range []string{
		"Wie lange darf der Vermieter die Kaution nach dem Auszug einbehalten, wenn noch keine Abrechnung vorliegt?",
		"请用三句话介绍一下杭州西湖的历史和周围的名胜古迹。",
		"xq zvkw lorem 7f3a9 ipsum qqq",
	} {
		d, err := router.Route(t.Context(), carrot.Query{Text: prompt}, carrot.Balanced)
		if err != nil {
			t.Fatal(err)
		}
		chosen := d.Chosen()
		dearer := 0
		for _, a := range d.Candidates {
			if a.Cost > chosen.Cost {
				dearer++
			}
		}
		if d.Novelty < 0.9 || dearer == 0 {
			t.Errorf("%.20q: novelty %v, %s, %d candidates cost more", prompt, d.Novelty, chosen.Name, dearer)
		}
	}
}

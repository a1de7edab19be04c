package embed

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carrot-router/carrot/internal/safetensors"
)

// tinyFolder describes a small BERT with random weights. All weights are
// multiples of 1/128, which every float type represents exactly.
type tinyFolder struct {
	dtype   safetensors.DType
	prefix  string            // of the tensors' names
	files   map[string]string // further files by name; empty ones are left out
	config  map[string]any    // fields of config.json to change
	without string            // a tensor to leave out
	spoil   func(*safetensors.Tensor)
}

// The sizes are not multiples of any block size.
const (
	tinyHidden, tinyInner, tinyLayers, tinyHeads, tinyPositions = 15, 21, 2, 3, 33
)

var tinyVocab = strings.Fields("[PAD] [UNK] [CLS] [SEP] [MASK] hello world a b c d ##e ##f the , .")

// write makes the folder and returns its path and its weights by name.
func (f tinyFolder) write(t testing.TB) (string, map[string][]float64) {
	t.Helper()
	dir := t.TempDir()
	cfg := map[string]any{
		"model_type": "bert", "hidden_size": tinyHidden, "intermediate_size": tinyInner, "num_hidden_layers": tinyLayers,
		"num_attention_heads": tinyHeads, "max_position_embeddings": tinyPositions, "vocab_size": len(tinyVocab),
		"hidden_act": "gelu", "layer_norm_eps": 1e-12,
	}
	for k, v := range f.config {
		cfg[k] = v
	}
	text, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"config.json": string(text), "vocab.txt": strings.Join(tinyVocab, "\n") + "\n"}
	for name, text := range f.files {
		files[name] = text
	}
	for name, text := range files {
		if text == "" {
			continue
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	weights, tensors := f.tensors()
	var model bytes.Buffer
	if err := safetensors.Write(&model, nil, tensors); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "model.safetensors"), model.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, weights
}

func (f tinyFolder) tensors() (map[string][]float64, []safetensors.Tensor) {
	r := rand.New(rand.NewPCG(3, 5))
	weights := map[string][]float64{}
	var tensors []safetensors.Tensor
	add := func(name string, shape ...int) {
		n := 1
		for _, d := range shape {
			n *= d
		}
		v := make([]float64, n)
		for i := range v {
			v[i] = float64(r.IntN(101)-50) / 128
			if strings.HasSuffix(name, "LayerNorm.weight") {
				v[i]++
			}
		}
		weights[name] = v
		tensor := tinyTensor(f.prefix+name, f.dtype, v, shape)
		if f.spoil != nil {
			f.spoil(&tensor)
		}
		if name != f.without {
			tensors = append(tensors, tensor)
		}
	}
	dense := func(name string, out, in int) {
		add(name+".weight", out, in)
		add(name+".bias", out)
	}
	norm := func(name string) {
		add(name+".weight", tinyHidden)
		add(name+".bias", tinyHidden)
	}
	add("embeddings.word_embeddings.weight", len(tinyVocab), tinyHidden)
	add("embeddings.position_embeddings.weight", tinyPositions, tinyHidden)
	add("embeddings.token_type_embeddings.weight", 2, tinyHidden)
	norm("embeddings.LayerNorm")
	for i := range tinyLayers {
		layer := fmt.Sprintf("encoder.layer.%d.", i)
		for _, part := range []string{"query", "key", "value"} {
			dense(layer+"attention.self."+part, tinyHidden, tinyHidden)
		}
		dense(layer+"attention.output.dense", tinyHidden, tinyHidden)
		norm(layer + "attention.output.LayerNorm")
		dense(layer+"intermediate.dense", tinyInner, tinyHidden)
		dense(layer+"output.dense", tinyHidden, tinyInner)
		norm(layer + "output.LayerNorm")
	}
	return weights, tensors
}

// tinyTensor encodes v, whose values every type represents exactly.
func tinyTensor(name string, dtype safetensors.DType, v []float64, shape []int) safetensors.Tensor {
	t := safetensors.Tensor{Name: name, DType: dtype, Shape: shape}
	for _, x := range v {
		bits := math.Float32bits(float32(x))
		switch dtype {
		case safetensors.F16:
			half := uint16(bits >> 16 & 0x8000)
			if x != 0 {
				half |= uint16(bits>>23&0xff-127+15)<<10 | uint16(bits>>13&0x3ff)
			}
			t.Data = binary.LittleEndian.AppendUint16(t.Data, half)
		case safetensors.BF16:
			t.Data = binary.LittleEndian.AppendUint16(t.Data, uint16(bits>>16))
		default:
			t.Data = binary.LittleEndian.AppendUint32(t.Data, bits)
		}
	}
	return t
}

var update = flag.Bool("update", false, "write the files in testdata instead of comparing with them")

// TestTinyFolder: testdata/tiny-bert, which the examples open, is what write
// makes.
func TestTinyFolder(t *testing.T) {
	const kept = "testdata/tiny-bert"
	made, _ := tinyFolder{dtype: safetensors.F16}.write(t)
	for _, name := range []string{"config.json", "vocab.txt", "model.safetensors"} {
		want, err := os.ReadFile(filepath.Join(made, name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(kept, name)
		if *update {
			if err := errors.Join(os.MkdirAll(kept, 0o755), os.WriteFile(path, want, 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is stale (%v): go test ./embed -run TestTinyFolder -update", path, err)
		}
	}
}

func openTiny(t testing.TB, f tinyFolder) *BERT {
	t.Helper()
	dir, _ := f.write(t)
	b, err := OpenBERT(dir)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var tinyTexts = []string{
	"", "hello", "Hello, world.", "the the a b c dee cff [MASK] zebra",
	strings.Repeat("hello world, a b c. ", 20), // longer than 33 tokens
}

func TestBERTTiny(t *testing.T) {
	cases := []struct {
		name   string
		folder tinyFolder
		cls    bool
		act    func(float64) float64
	}{
		{"f32", tinyFolder{dtype: safetensors.F32}, false, slowGelu},
		{"f16", tinyFolder{dtype: safetensors.F16, prefix: "bert."}, false, slowGelu},
		{"bf16", tinyFolder{dtype: safetensors.BF16}, false, slowGelu},
		{"gelu_new", tinyFolder{dtype: safetensors.F32, config: map[string]any{"hidden_act": "gelu_new"}}, false, slowGeluTanh},
		{"relu", tinyFolder{dtype: safetensors.F32, config: map[string]any{"hidden_act": "relu"}}, false,
			func(x float64) float64 { return max(x, 0) }},
		{"cls", tinyFolder{dtype: safetensors.F32, files: map[string]string{
			"1_Pooling/config.json": `{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}`}}, true, slowGelu},
		{"cls, named by modules.json", tinyFolder{dtype: safetensors.F32, files: map[string]string{
			"modules.json":     `[{"type":"sentence_transformers.models.Transformer","path":""},{"type":"x.Pooling","path":"pool"},{"type":"x.Normalize"}]`,
			"pool/config.json": `{"pooling_mode": "cls"}`}}, true, slowGelu},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir, weights := c.folder.write(t)
			b, err := OpenBERT(dir)
			if err != nil {
				t.Fatal(err)
			}
			vectors, err := b.Encode(t.Context(), tinyTexts)
			if err != nil {
				t.Fatal(err)
			}
			slow := slowBERT{weights, c.act}
			for i, text := range tinyTexts {
				ids := b.tokens.Encode(text, b.maxTokens)
				want := slowPool(slow.run(ids), c.cls)
				checkClose(t, fmt.Sprintf("encodeIDs(%v)", ids), b.encodeIDs(ids), want, 1)
				checkClose(t, fmt.Sprintf("Encode(%.20q)", text), vectors[i], want, length(want))
				alone, err := b.Encode(t.Context(), []string{text})
				if err != nil || !slices.Equal(alone[0], vectors[i]) {
					t.Errorf("Encode(%.20q) alone = %v, %v, want %v as in the batch", text, alone[0], err, vectors[i])
				}
			}
		})
	}
}

func length(v []float64) float64 {
	var sum float64
	for _, x := range v {
		sum += x * x
	}
	return math.Sqrt(sum)
}

func checkClose(t *testing.T, what string, got []float32, want []float64, scale float64) {
	t.Helper()
	for j := range want {
		if d := math.Abs(float64(got[j]) - want[j]/scale); !(d < 2e-5) {
			t.Errorf("%s: value %d = %v, want %v", what, j, got[j], want[j]/scale)
			return
		}
	}
}

func TestBERTPrefixAndID(t *testing.T) {
	b := openTiny(t, tinyFolder{dtype: safetensors.F32})
	plain, err := b.Encode(t.Context(), []string{"hello world", "world"})
	if err != nil {
		t.Fatal(err)
	}
	id := b.ID()
	b.Prefix = "hello "
	prefixed, err := b.Encode(t.Context(), []string{"world"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(prefixed[0], plain[0]) {
		t.Errorf("Encode with prefix = %v, want %v", prefixed[0], plain[0])
	}
	if b.ID() == id || !strings.HasPrefix(id, "bert:") {
		t.Errorf("ID = %q without and %q with prefix, want two different IDs that begin with bert:", id, b.ID())
	}
	dir, _ := tinyFolder{dtype: safetensors.F32}.write(t)
	other, _ := tinyFolder{dtype: safetensors.F32, spoil: func(t *safetensors.Tensor) { t.Data[0] ^= 1 }}.write(t)
	hash := func(dir string) string {
		b, err := OpenBERT(dir)
		if err != nil {
			t.Fatal(err)
		}
		_, hash, _ := strings.Cut(b.ID(), "@")
		return hash
	}
	if _, want, _ := strings.Cut(id, "@"); hash(dir) != want || len(want) != 12 {
		t.Errorf("hash of an equal folder = %q, want %q with 12 digits", hash(dir), want)
	}
	if hash(dir) == hash(other) {
		t.Errorf("two folders with different weights have the same hash %q", hash(dir))
	}
	if b.dim() != tinyHidden {
		t.Errorf("dim = %d, want %d", b.dim(), tinyHidden)
	}
}

func TestBERTLimit(t *testing.T) {
	f := func(files map[string]string, want int) {
		t.Helper()
		b := openTiny(t, tinyFolder{dtype: safetensors.F32, files: files})
		if b.maxTokens != want {
			t.Errorf("maxTokens with %v = %d, want %d", files, b.maxTokens, want)
		}
	}
	f(nil, tinyPositions)
	f(map[string]string{"tokenizer_config.json": `{"model_max_length": 20}`}, 20)
	f(map[string]string{"tokenizer_config.json": `{"model_max_length": 1e30}`}, tinyPositions)
	f(map[string]string{"tokenizer_config.json": `{"model_max_length": 20}`, "sentence_bert_config.json": `{"max_seq_length": 25}`}, 25)
	f(map[string]string{"sentence_bert_config.json": `{"max_seq_length": 512}`}, tinyPositions)
}

func TestOpenBERTErrors(t *testing.T) {
	f := func(folder tinyFolder, want ...string) {
		t.Helper()
		folder.dtype = safetensors.F32
		dir, _ := folder.write(t)
		_, err := OpenBERT(dir)
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("OpenBERT = %v, want …%s", err, w)
			}
		}
	}
	config := func(field string, value any) tinyFolder {
		return tinyFolder{config: map[string]any{field: value}}
	}
	file := func(name, text string) tinyFolder { return tinyFolder{files: map[string]string{name: text}} }
	f(file("config.json", ""), "config.json", "not exist")
	f(file("config.json", "["), "config.json", "unexpected end")
	f(config("model_type", "mpnet"), "config.json", `field model_type: "mpnet" is not supported`)
	f(config("hidden_act", "swish"), "config.json", `field hidden_act: "swish"`)
	f(config("position_embedding_type", "relative_key"), "field position_embedding_type")
	f(config("num_attention_heads", 4), "field num_attention_heads: 4 does not divide hidden_size 15")
	f(config("hidden_size", 0), "field hidden_size: 0 is outside")
	f(config("layer_norm_eps", -1), "field layer_norm_eps")
	f(config("vocab_size", 3), "field vocab_size: 3 is less than the tokenizer's")
	f(config("vocab_size", 99), "model.safetensors", `"embeddings.word_embeddings.weight" has shape [16 15], want [99 15]`)
	f(file("vocab.txt", ""), "neither tokenizer.json nor vocab.txt")
	f(file("modules.json", `[{"type":"sentence_transformers.models.Dense"}]`), "modules.json", "Dense", "is not supported")
	f(file("modules.json", `[{"type":"x.Pooling","path":"../../other"}]`), "modules.json", "outside the folder")
	f(file("1_Pooling/config.json", `{"pooling_mode_max_tokens": true}`), "1_Pooling", "max_tokens is not supported")
	f(file("1_Pooling/config.json", `{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}`), "cls_token, mean_tokens is not supported")
	f(file("sentence_bert_config.json", `{"max_seq_length": 1}`), "sentence_bert_config.json", "field max_seq_length: 1")
	f(tinyFolder{without: "encoder.layer.1.output.dense.bias"}, "model.safetensors", `"encoder.layer.1.output.dense.bias" not found`)
	f(tinyFolder{spoil: func(t *safetensors.Tensor) {
		if t.Name == "encoder.layer.0.attention.self.key.bias" {
			copy(t.Data, []byte{0, 0, 0xc0, 0x7f})
		}
	}}, "model.safetensors", `"encoder.layer.0.attention.self.key.bias" has a value that is not finite`)
}

func TestEncodeIDsPanics(t *testing.T) {
	b := openTiny(t, tinyFolder{dtype: safetensors.F32})
	for _, ids := range [][]int32{nil, {-1}, {int32(len(tinyVocab))}, make([]int32, tinyPositions+1)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("encodeIDs(%v) did not panic", ids)
				}
			}()
			b.encodeIDs(ids)
		}()
	}
}

func TestBERTConcurrent(t *testing.T) {
	b := openTiny(t, tinyFolder{dtype: safetensors.F32})
	texts := slices.Repeat(tinyTexts, 10)
	want, err := b.Encode(context.Background(), texts)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan [][]float32)
	for range 4 {
		go func() {
			got, _ := b.Encode(context.Background(), texts)
			done <- got
		}()
	}
	for range 4 {
		if got := <-done; !slices.EqualFunc(got, want, slices.Equal[[]float32]) {
			t.Error("concurrent calls of Encode return different vectors")
		}
	}
}

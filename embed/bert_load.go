package embed

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"strings"

	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/internal/readfile"
	"github.com/carrot-router/carrot/internal/safetensors"
	"github.com/carrot-router/carrot/internal/wordpiece"
)

// bertConfig is the part of config.json that is used.
type bertConfig struct {
	ModelType    string  `json:"model_type"`
	Hidden       int     `json:"hidden_size"`
	Inner        int     `json:"intermediate_size"`
	Layers       int     `json:"num_hidden_layers"`
	Heads        int     `json:"num_attention_heads"`
	Positions    int     `json:"max_position_embeddings"`
	Vocab        int     `json:"vocab_size"`
	Activation   string  `json:"hidden_act"`
	Epsilon      float64 `json:"layer_norm_eps"`
	PositionType string  `json:"position_embedding_type"`
}

// maxBERTTokens is how many tokens of a text are read at most, even if the folder
// allows more.
const maxBERTTokens = 512

// OpenBERT opens a Hugging Face folder of a BERT sentence encoder. The folder
// must hold config.json, model.safetensors, and tokenizer.json or vocab.txt. It
// may hold the files of sentence-transformers: modules.json, the pooling's
// config.json, sentence_bert_config.json and tokenizer_config.json. Without a
// pooling configuration, a text's vector is the mean over its tokens. Errors
// name the file and the field that is not supported.
func OpenBERT(dir string) (*BERT, error) {
	b, err := openBERT(dir)
	if err != nil {
		return nil, fmt.Errorf("open bert: %w", err)
	}
	return b, nil
}

func openBERT(dir string) (*BERT, error) {
	path := filepath.Join(dir, "config.json")
	cfg := bertConfig{Epsilon: 1e-12}
	found, err := readJSON(path, &cfg)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	b := &BERT{heads: cfg.Heads}
	if b.activation, err = cfg.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if b.tokens, err = wordpiece.Load(dir); err != nil {
		return nil, err
	}
	if n := len(b.tokens.Vocab()); n > cfg.Vocab {
		return nil, fmt.Errorf("%s: field vocab_size: %d is less than the tokenizer's %d", path, cfg.Vocab, n)
	}
	pooling, err := b.readPooling(dir)
	if err != nil {
		return nil, err
	}
	if b.maxTokens, err = tokenLimit(dir, cfg.Positions); err != nil {
		return nil, err
	}
	if err := b.readWeights(filepath.Join(dir, "model.safetensors"), cfg); err != nil {
		return nil, err
	}
	b.id, err = folderID(dir, "config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt",
		"model.safetensors", "modules.json", "sentence_bert_config.json", pooling)
	return b, err
}

// check refuses settings that the encoder does not support, and returns the
// activation.
func (c *bertConfig) check() (func([]float32), error) {
	if c.ModelType != "bert" {
		return nil, fmt.Errorf("field model_type: %q is not supported, want bert", c.ModelType)
	}
	if c.PositionType != "" && c.PositionType != "absolute" {
		return nil, fmt.Errorf("field position_embedding_type: %q is not supported, want absolute", c.PositionType)
	}
	for _, f := range []struct {
		name  string
		value int
	}{
		{"hidden_size", c.Hidden}, {"intermediate_size", c.Inner}, {"num_hidden_layers", c.Layers},
		{"num_attention_heads", c.Heads}, {"max_position_embeddings", c.Positions}, {"vocab_size", c.Vocab},
	} {
		if f.value < 1 || f.value > 1<<24 {
			return nil, fmt.Errorf("field %s: %d is outside 1..%d", f.name, f.value, 1<<24)
		}
	}
	if c.Hidden%c.Heads != 0 {
		return nil, fmt.Errorf("field num_attention_heads: %d does not divide hidden_size %d", c.Heads, c.Hidden)
	}
	if !(c.Epsilon >= 0 && c.Epsilon < 1) {
		return nil, fmt.Errorf("field layer_norm_eps: %v is outside [0,1)", c.Epsilon)
	}
	return activationNamed(c.Activation)
}

// readPooling reads how token vectors are pooled, and returns the name of the
// pooling's configuration within the folder.
func (b *BERT) readPooling(dir string) (string, error) {
	file := filepath.Join("1_Pooling", "config.json")
	var modules []struct {
		Type string `json:"type"`
		Path string `json:"path"`
	}
	path := filepath.Join(dir, "modules.json")
	if _, err := readJSON(path, &modules); err != nil {
		return "", err
	}
	for _, m := range modules {
		switch m.Type[strings.LastIndexByte(m.Type, '.')+1:] {
		case "Transformer", "Normalize":
		case "Pooling":
			file = filepath.Join(m.Path, "config.json")
			if !filepath.IsLocal(file) {
				return "", fmt.Errorf("%s: field path: %q is outside the folder", path, m.Path)
			}
		default:
			return "", fmt.Errorf("%s: field type: %q is not supported, want Transformer, Pooling or Normalize", path, m.Type)
		}
	}
	modes := map[string]any{}
	path = filepath.Join(dir, file)
	if found, err := readJSON(path, &modes); err != nil || !found {
		return file, err
	}
	var on []string
	for _, mode := range []string{"cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"} {
		if modes["pooling_mode_"+mode] == true {
			on = append(on, mode)
		}
	}
	if mode, ok := modes["pooling_mode"].(string); ok { // the newer form
		on = []string{strings.TrimSuffix(strings.TrimSuffix(mode, "_tokens"), "_token")}
	}
	switch strings.Join(on, ", ") {
	case "cls_token", "cls":
		b.useCLS = true
	case "mean_tokens", "mean", "":
	default:
		return "", fmt.Errorf("%s: field pooling_mode: %s is not supported, want mean_tokens or cls_token", path, strings.Join(on, ", "))
	}
	return file, nil
}

// tokenLimit returns how many tokens of a text are read.
func tokenLimit(dir string, positions int) (int, error) {
	limit := min(maxBERTTokens, positions)
	var sentence struct {
		MaxLength *int `json:"max_seq_length"`
	}
	path := filepath.Join(dir, "sentence_bert_config.json")
	if _, err := readJSON(path, &sentence); err != nil {
		return 0, err
	}
	if n := sentence.MaxLength; n != nil {
		if *n < 3 {
			return 0, fmt.Errorf("%s: field max_seq_length: %d is less than 3", path, *n)
		}
		return min(limit, *n), nil
	}
	var tokenizer struct {
		MaxLength float64 `json:"model_max_length"` // 1e30 if there is no limit
	}
	path = filepath.Join(dir, "tokenizer_config.json")
	if _, err := readJSON(path, &tokenizer); err != nil {
		return 0, err
	}
	if n := tokenizer.MaxLength; n >= 3 && n < float64(limit) {
		return int(n), nil
	}
	return limit, nil
}

// weightReader reads tensors until one fails, and keeps that error.
type weightReader struct {
	file   *safetensors.File
	path   string
	prefix string
	err    error
}

func (r *weightReader) read(name string, shape ...int) []float32 {
	if r.err != nil {
		return nil
	}
	v, err := r.file.Float32s(r.prefix+name, shape...)
	if err != nil {
		r.err = err
		return nil
	}
	for _, x := range v {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			r.err = fmt.Errorf("%s: tensor %q has a value that is not finite", r.path, r.prefix+name)
			return nil
		}
	}
	return v
}

func (r *weightReader) linear(name string, out, in int) linear {
	return linear{
		weight: newMatrix(r.read(name+".weight", out, in), out, in),
		bias:   r.read(name+".bias", out),
	}
}

func (r *weightReader) norm(name string, cfg bertConfig) layerNorm {
	return layerNorm{
		scale:   r.read(name+".weight", cfg.Hidden),
		shift:   r.read(name+".bias", cfg.Hidden),
		epsilon: cfg.Epsilon,
	}
}

// readWeights reads the tensors, whose names may begin with "bert.".
func (b *BERT) readWeights(path string, cfg bertConfig) error {
	file, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	r := &weightReader{file: file, path: path}
	if _, ok := file.Tensor("bert.embeddings.word_embeddings.weight"); ok {
		r.prefix = "bert."
	}
	w := &b.weights
	table := func(name string, rows int) matrix {
		return newMatrix(r.read("embeddings."+name+".weight", rows, cfg.Hidden), rows, cfg.Hidden)
	}
	w.words = table("word_embeddings", cfg.Vocab)
	w.positions = table("position_embeddings", cfg.Positions)
	if kinds := r.read("embeddings.token_type_embeddings.weight", -1, cfg.Hidden); len(kinds) >= cfg.Hidden {
		w.kind = kinds[:cfg.Hidden]
	} else if r.err == nil {
		r.err = fmt.Errorf("%s: tensor %q is empty", path, r.prefix+"embeddings.token_type_embeddings.weight")
	}
	w.norm = r.norm("embeddings.LayerNorm", cfg)
	for i := 0; i < cfg.Layers && r.err == nil; i++ {
		name := fmt.Sprintf("encoder.layer.%d.", i)
		w.layers = append(w.layers, bertLayer{
			qkv:           r.attention(name+"attention.self.", cfg),
			out:           r.linear(name+"attention.output.dense", cfg.Hidden, cfg.Hidden),
			attentionNorm: r.norm(name+"attention.output.LayerNorm", cfg),
			up:            r.linear(name+"intermediate.dense", cfg.Inner, cfg.Hidden),
			down:          r.linear(name+"output.dense", cfg.Hidden, cfg.Inner),
			outputNorm:    r.norm(name+"output.LayerNorm", cfg),
		})
	}
	return r.err
}

// attention joins the queries, keys and values of a layer into one map, and
// divides the queries by the root of a head's width.
func (r *weightReader) attention(name string, cfg bertConfig) linear {
	joined := linear{
		weight: newMatrix(nil, 3*cfg.Hidden, cfg.Hidden),
	}
	for _, part := range []string{"query", "key", "value"} {
		l := r.linear(name+part, cfg.Hidden, cfg.Hidden)
		if part == "query" {
			scale := float32(1 / math.Sqrt(float64(cfg.Hidden/cfg.Heads)))
			for i := range l.weight.data {
				l.weight.data[i] *= scale
			}
			for i := range l.bias {
				l.bias[i] *= scale
			}
		}
		joined.weight.data = append(joined.weight.data, l.weight.data...)
		joined.bias = append(joined.bias, l.bias...)
	}
	return joined
}

// maxConfig is the largest JSON file of a model folder, in bytes.
const maxConfig = 16 << 20

// readJSON decodes a JSON file into v. It reports false if there is no such file.
func readJSON(path string, v any) (bool, error) {
	data, err := readfile.Read(path, maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read: %w", err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return false, fmt.Errorf("read %s: %w", path, phrase.JSON(err))
	}
	return true, nil
}

// folderID is made of the folder's name and a hash of those of the files that
// exist.
func folderID(dir string, files ...string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find folder %s: %w", dir, err)
	}
	h := sha256.New()
	for _, name := range files {
		f, err := readfile.Open(filepath.Join(dir, name), safetensors.MaxFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("hash: %w", err)
		}
		sum := sha256.New()
		_, err = io.Copy(sum, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return "", fmt.Errorf("hash %s: %w", name, err)
		}
		fmt.Fprintf(h, "%s %x\n", filepath.ToSlash(name), sum.Sum(nil))
	}
	return "bert:" + filepath.Base(abs) + "@" + hex.EncodeToString(h.Sum(nil))[:12], nil
}

package embed

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"github.com/carrot-router/carrot/internal/wordpiece"
)

// BERT is a sentence encoder of the BERT family, such as all-MiniLM-L6-v2,
// bge-small or e5-small, in plain Go. It implements [Encoder], and is safe for
// concurrent use as long as Prefix is not changed.
type BERT struct {
	// Prefix is put before every text; e5 wants "query: ".
	Prefix string

	id         string
	tokens     *wordpiece.Tokenizer
	weights    bertWeights
	heads      int
	activation func([]float32)
	useCLS     bool      // pool by the first token instead of the mean
	maxTokens  int       // read of a text, [CLS] and [SEP] included
	scratch    sync.Pool // of *bertScratch
}

// ID is made of the folder's name, a hash of the files that were read, and the
// Prefix if there is one. Encoders with equal IDs give equal vectors.
func (b *BERT) ID() string {
	if b.Prefix == "" {
		return b.id
	}
	return fmt.Sprintf("%s+%q", b.id, b.Prefix)
}

// dim is the length of the vectors.
func (b *BERT) dim() int { return b.weights.words.cols }

func (b *BERT) tokenizer() *wordpiece.Tokenizer { return b.tokens }

// Encode returns a unit vector for every text, in order. It reads a text only
// up to the model's limit of tokens, at most 512, and uses all cores. A text's
// vector does not depend on the rest of the batch. If ctx ends, Encode returns
// no vectors and its error; there are no other errors.
func (b *BERT) Encode(ctx context.Context, texts []string) ([][]float32, error) {
	// Spread the texts over the cores or, if there are too few, each text.
	across := len(texts) >= runtime.GOMAXPROCS(0)
	vectors := make([][]float32, len(texts))
	each(across, len(texts), func(i int) {
		ids := b.tokens.Encode(b.Prefix+texts[i], b.maxTokens)
		v, err := b.pooled(ids, !across, ctx.Err)
		if err != nil {
			return // ctx has ended: reported below
		}
		normalize(v)
		vectors[i] = v
	})
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("encode %d texts: %w", len(texts), err)
	}
	return vectors, nil
}

// encodeIDs returns the pooled output for token ids, special tokens included,
// without scaling it to unit length. It runs on the calling goroutine. It panics
// if there are no ids, more than the model has positions, or one that is not in
// the vocabulary.
func (b *BERT) encodeIDs(ids []int32) []float32 {
	if len(ids) == 0 || len(ids) > b.weights.positions.rows {
		panic(fmt.Sprintf("embed: %d ids, want 1 to %d", len(ids), b.weights.positions.rows))
	}
	for _, id := range ids {
		if id < 0 || int(id) >= b.weights.words.rows {
			panic(fmt.Sprintf("embed: id %d is outside the vocabulary of %d", id, b.weights.words.rows))
		}
	}
	v, _ := b.pooled(ids, false, func() error { return nil })
	return v
}

// pooled runs the encoder and returns the mean over all positions or, if the
// model pools by [CLS], the first position. If spread is set, it uses all cores.
func (b *BERT) pooled(ids []int32, spread bool, halted func() error) ([]float32, error) {
	v := make([]float32, b.dim())
	if len(ids) == 0 { // an empty text and a tokenizer without special tokens
		return v, halted()
	}
	s, _ := b.scratch.Get().(*bertScratch)
	if s == nil {
		s = new(bertScratch)
	}
	defer b.scratch.Put(s)
	x, err := b.forward(s, ids, spread, halted)
	if err != nil {
		return nil, err
	}
	if b.useCLS {
		copy(v, x.row(0))
		return v, nil
	}
	for i := range x.rows {
		for j, value := range x.row(i) {
			v[j] += value
		}
	}
	for j := range v {
		v[j] /= float32(x.rows)
	}
	return v, nil
}

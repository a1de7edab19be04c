package embed

import (
	"context"
	"fmt"
	"runtime"
	"sync"
)

// BERT is a sentence encoder of the BERT family, such as all-MiniLM-L6-v2,
// bge-small or e5-small, in plain Go. It is safe for concurrent use once
// Prefix is set, and implements Encoder and Teacher.
type BERT struct {
	// Prefix is put before every text of Encode: "query: " for e5.
	Prefix string

	id         string
	tokens     *WordPiece
	weights    bertWeights
	heads      int
	activation func([]float32)
	useCLS     bool // pool by the first token instead of the mean
	maxTokens  int
	scratch    sync.Pool // of *bertScratch
}

// ID names the folder and the content of the files that were read, and Prefix
// if there is one: two encoders of one ID give the same vectors.
func (b *BERT) ID() string {
	if b.Prefix == "" {
		return b.id
	}
	return fmt.Sprintf("%s+%q", b.id, b.Prefix)
}

// Dim returns the length of the vectors.
func (b *BERT) Dim() int { return b.weights.words.cols }

// MaxTokens returns how many tokens of a text are read, [CLS] and [SEP] among
// them.
func (b *BERT) MaxTokens() int { return b.maxTokens }

// WordPiece returns the tokenizer.
func (b *BERT) WordPiece() *WordPiece { return b.tokens }

// Encode returns a unit vector for every text, in order. A long text is cut
// off at MaxTokens. It uses all cores, and a text's vector does not depend on
// the others of its batch. On an error, of which only the end of ctx is one,
// there are no vectors.
func (b *BERT) Encode(ctx context.Context, texts []string) ([][]float32, error) {
	cores := runtime.GOMAXPROCS(0)
	across, inside := cores, 1
	if len(texts) < cores {
		across, inside = 1, cores
	}
	vectors := make([][]float32, len(texts))
	parallel(across, len(texts), func(i int) {
		ids := b.tokens.Encode(b.Prefix+texts[i], b.maxTokens)
		v, err := b.pooled(ids, inside, ctx.Err)
		if err != nil {
			return // seen below
		}
		normalize(v)
		vectors[i] = v
	})
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("encode %d texts: %w", len(texts), err)
	}
	return vectors, nil
}

// EncodeIDs returns the pooled output for token ids, special tokens included,
// before it is scaled to unit length. It runs on the calling goroutine. It
// panics if there are no ids, more than MaxTokens, or one that is not in the
// vocabulary.
func (b *BERT) EncodeIDs(ids []int32) []float32 {
	if len(ids) == 0 || len(ids) > b.weights.positions.rows {
		panic(fmt.Sprintf("embed: %d ids, want 1 to %d", len(ids), b.weights.positions.rows))
	}
	for _, id := range ids {
		if id < 0 || int(id) >= b.weights.words.rows {
			panic(fmt.Sprintf("embed: id %d is outside the vocabulary of %d", id, b.weights.words.rows))
		}
	}
	v, _ := b.pooled(ids, 1, func() error { return nil })
	return v
}

// pooled runs the encoder and returns the mean over all positions, or the
// first position where the model pools so.
func (b *BERT) pooled(ids []int32, workers int, halted func() error) ([]float32, error) {
	v := make([]float32, b.Dim())
	if len(ids) == 0 { // an empty text, of a tokenizer that adds nothing
		return v, halted()
	}
	s, _ := b.scratch.Get().(*bertScratch)
	if s == nil {
		s = new(bertScratch)
	}
	defer b.scratch.Put(s)
	x, err := b.forward(s, ids, workers, halted)
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

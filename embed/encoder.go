package embed

import (
	"context"
	"fmt"

	"github.com/carrot-router/carrot"
)

// Encoder turns texts into unit vectors of one length. It must be safe for
// concurrent use, and give a text the same vector alone and in a batch.
type Encoder interface {
	// ID names the encoder. Encoders with equal IDs give equal vectors.
	ID() string
	// Encode returns one vector per text, in order. On an error it returns no
	// vectors.
	Encode(ctx context.Context, texts []string) ([][]float32, error)
}

// Encoded turns an encoder into a carrot.Embedder: it adds the bag of words, and
// keeps the vectors in Cache if that is not nil.
type Encoded struct {
	Encoder Encoder
	Cache   *Cache
	// Progress, if not nil, is told how many texts of an Embed call have their
	// vectors.
	Progress func(done, total int)
}

// ID is the ID of the encoder.
func (e *Encoded) ID() string { return e.Encoder.ID() }

// encodeChunk is how many texts are encoded, and then cached, at a time.
const encodeChunk = 64

// Embed implements carrot.Embedder. On an error, the vectors encoded so far are
// in the cache.
func (e *Encoded) Embed(ctx context.Context, texts []string, dst []carrot.Representation) error {
	if len(texts) != len(dst) {
		return fmt.Errorf("embed %d texts into %d representations", len(texts), len(dst))
	}
	missing := make([]int, 0, len(texts))
	for i, text := range texts {
		represent(text, &dst[i])
		vector, ok := e.Cache.get(text)
		if !ok {
			missing = append(missing, i)
			continue
		}
		dst[i].Dense = append(dst[i].Dense[:0], vector...)
	}
	for at := 0; at < len(missing); at += encodeChunk {
		rows := missing[at:min(at+encodeChunk, len(missing))]
		chunk := make([]string, len(rows))
		for k, i := range rows {
			chunk[k] = texts[i]
		}
		vectors, err := e.Encoder.Encode(ctx, chunk)
		if err != nil {
			return err
		}
		if err := e.Cache.put(chunk, vectors); err != nil {
			return err
		}
		for k, i := range rows {
			dst[i].Dense = append(dst[i].Dense[:0], vectors[k]...)
		}
		if e.Progress != nil {
			e.Progress(len(texts)-len(missing)+at+len(rows), len(texts))
		}
	}
	return nil
}

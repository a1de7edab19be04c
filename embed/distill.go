package embed

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"

	"github.com/carrot-router/carrot/internal/safetensors"
	"gonum.org/v1/gonum/mat"
)

// Teacher is a sentence encoder whose vocabulary can be run through it token
// by token.
type Teacher interface {
	ID() string
	WordPiece() *WordPiece
	// EncodeIDs returns the pooled output for token ids, special tokens
	// included, before normalisation.
	EncodeIDs(ids []int32) []float32
}

// DistillOptions say how a static table is made. All are required.
type DistillOptions struct {
	Dim       int     // length of the vectors
	Smoothing float64 // a of the weight a/(a+p(token))
	Command   string  // for the provenance
	Licence   string  // of the teacher
	Corpus    string  // what the texts are
	Progress  func(done, total int)
}

// Distill makes a static table from a teacher and the texts it will serve:
// every token of the vocabulary goes through the teacher alone, the outputs are
// reduced by principal components to Dim dimensions, and each token is weighted
// by a/(a+p) with p its share of the texts' tokens (Arora et al., 2017), so
// that frequent tokens count for little. The result is a file for ParseStatic,
// the same bytes for the same input.
func Distill(ctx context.Context, teacher Teacher, texts []string, o DistillOptions) ([]byte, error) {
	tokens := teacher.WordPiece()
	vocab := tokens.Vocab()
	outputs, err := runVocabulary(ctx, teacher, o.Progress)
	if err != nil {
		return nil, err
	}
	if width := len(outputs[0]); o.Dim < 1 || o.Dim > width {
		return nil, fmt.Errorf("distill: dimension %d, want 1 to the teacher's %d", o.Dim, width)
	}
	count := make([]float64, len(vocab))
	var total float64
	var ids []int32
	for _, text := range texts {
		ids = tokens.AppendIDs(ids[:0], text, 0)
		total += float64(len(ids))
		for _, id := range ids {
			count[id]++
		}
	}
	reduced, err := principal(outputs, o.Dim)
	if err != nil {
		return nil, err
	}
	vectors, scale := make([]int8, len(vocab)*o.Dim), make([]float32, len(vocab))
	for t := range vocab {
		row := reduced.RawRowView(t)
		var peak float64
		for _, v := range row {
			peak = max(peak, math.Abs(v))
		}
		if peak == 0 {
			continue
		}
		for k, v := range row {
			vectors[t*o.Dim+k] = int8(math.RoundToEven(v / peak * 127))
		}
		weight := o.Smoothing / (o.Smoothing + count[t]/max(total, 1))
		scale[t] = float32(peak / 127 * weight)
	}
	about, err := json.Marshal(Provenance{Format: staticFormat, Command: o.Command, Teacher: teacher.ID(),
		Licence: o.Licence, Corpus: o.Corpus, Tokens: int64(total), Smoothing: o.Smoothing, WordPiece: tokens.Config()})
	if err != nil {
		return nil, err
	}
	words := []byte(strings.Join(vocab, "\n"))
	var out bytes.Buffer
	err = safetensors.Write(&out, map[string]string{staticKey: string(about)}, []safetensors.Tensor{
		safetensors.FromInt8("vectors", vectors, len(vocab), o.Dim),
		safetensors.FromFloat32("scale", scale, len(vocab)),
		safetensors.FromUint8("vocab", words, len(words)),
	})
	return out.Bytes(), err
}

// runVocabulary returns the teacher's output for each token between its
// start and end markers, on all processors.
func runVocabulary(ctx context.Context, teacher Teacher, progress func(done, total int)) ([][]float32, error) {
	tokens := teacher.WordPiece()
	frame := tokens.Encode("", 2) // start and end markers
	if len(frame) != 2 {
		return nil, fmt.Errorf("distill: teacher frames an empty text with %d tokens, want 2", len(frame))
	}
	n := len(tokens.Vocab())
	outputs := make([][]float32, n)
	var mu sync.Mutex
	next, workers := 0, runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				mu.Lock()
				id := next
				next++
				if progress != nil && id < n && id%100 == 0 {
					progress(id, n)
				}
				mu.Unlock()
				if id >= n {
					return
				}
				outputs[id] = teacher.EncodeIDs([]int32{frame[0], int32(id), frame[1]})
			}
		})
	}
	wg.Wait()
	return outputs, ctx.Err()
}

// principal projects the centred rows on their first dim principal
// components. Each component's sign makes its largest weight positive.
func principal(rows [][]float32, dim int) (*mat.Dense, error) {
	n, d := len(rows), len(rows[0])
	x := mat.NewDense(n, d, nil)
	mean := make([]float64, d)
	for _, row := range rows {
		for k, v := range row {
			mean[k] += float64(v) / float64(n)
		}
	}
	for i, row := range rows {
		for k, v := range row {
			x.Set(i, k, float64(v)-mean[k])
		}
	}
	covariance := mat.NewDense(d, d, nil)
	covariance.Mul(x.T(), x)
	var eigen mat.EigenSym
	if !eigen.Factorize(mat.NewSymDense(d, covariance.RawMatrix().Data), true) {
		return nil, fmt.Errorf("distill: principal components do not converge")
	}
	var all mat.Dense
	eigen.VectorsTo(&all)
	basis := mat.NewDense(d, dim, nil)
	for k := range dim { // eigenvalues rise
		column := d - 1 - k
		peak := 0.0
		for i := range d {
			if v := all.At(i, column); math.Abs(v) > math.Abs(peak) {
				peak = v
			}
		}
		for i := range d {
			basis.Set(i, k, math.Copysign(1, peak)*all.At(i, column))
		}
	}
	var out mat.Dense
	out.Mul(x, basis)
	return &out, nil
}

package embed

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/carrot-router/carrot/internal/parallel"
	"github.com/carrot-router/carrot/internal/safetensors"
	"github.com/carrot-router/carrot/internal/wordpiece"
	"gonum.org/v1/gonum/mat"
)

// DistillOptions are the settings of Distill. Dim and Smoothing are required.
type DistillOptions struct {
	Dim       int     // length of the vectors, at most the teacher's
	Smoothing float64 // a of the weight a/(a+p(token)), such as 0.0003

	// Command, Licence and Corpus are stored in the table's [Provenance].
	Command, Licence, Corpus string

	// Progress, if not nil, is told how many tokens of the vocabulary have
	// gone through the teacher.
	Progress func(done, total int)
}

// Distill makes a static table from a teacher and sample texts of the kind that
// the table will embed. Every token of the vocabulary goes through the teacher
// alone, and principal components reduce the outputs to Dim dimensions. Each
// token is weighted by a/(a+p), where p is its share of the texts' tokens
// (Arora et al., 2017), so that frequent tokens count for little.
//
// The result is the content of a file for [OpenStatic] or [ParseStatic]. The
// same input gives the same bytes.
func Distill(ctx context.Context, teacher *BERT, texts []string, o DistillOptions) ([]byte, error) {
	return distill(ctx, teacher, texts, o)
}

// teacher is a sentence encoder that can encode single tokens.
type teacher interface {
	ID() string
	tokenizer() *wordpiece.Tokenizer
	// encodeIDs returns the pooled output for token ids, special tokens
	// included, before normalisation.
	encodeIDs(ids []int32) []float32
}

func distill(ctx context.Context, teacher teacher, texts []string, o DistillOptions) ([]byte, error) {
	tokens := teacher.tokenizer()
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
	about := Provenance{Format: staticFormat, Command: o.Command, Teacher: teacher.ID(),
		Licence: o.Licence, Corpus: o.Corpus, Tokens: int64(total), Smoothing: o.Smoothing}
	manifest, err := json.Marshal(staticManifest{about, tokens.Config()})
	if err != nil {
		return nil, err
	}
	words := []byte(strings.Join(vocab, "\n"))
	var out bytes.Buffer
	err = safetensors.Write(&out, map[string]string{staticKey: string(manifest)}, []safetensors.Tensor{
		safetensors.FromInt8("vectors", vectors, len(vocab), o.Dim),
		safetensors.FromFloat32("scale", scale, len(vocab)),
		safetensors.FromUint8("vocab", words, len(words)),
	})
	return out.Bytes(), err
}

// runVocabulary returns the teacher's output for each token of its vocabulary,
// framed by the start and end tokens. It uses all cores.
func runVocabulary(ctx context.Context, teacher teacher, progress func(done, total int)) ([][]float32, error) {
	tokens := teacher.tokenizer()
	frame := tokens.Encode("", 2) // the start and end tokens
	if len(frame) != 2 {
		return nil, fmt.Errorf("distill: teacher frames an empty text with %d tokens, want 2", len(frame))
	}
	n := len(tokens.Vocab())
	outputs := make([][]float32, n)
	var mu sync.Mutex // for progress
	parallel.Each(n, func(id int) {
		if ctx.Err() != nil {
			return
		}
		if progress != nil && id%100 == 0 {
			mu.Lock()
			progress(id, n)
			mu.Unlock()
		}
		outputs[id] = teacher.encodeIDs([]int32{frame[0], int32(id), frame[1]})
	})
	return outputs, ctx.Err()
}

// principal projects the centred rows on their first dim principal components.
// The sign of each component is chosen so that its largest weight is positive.
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
	for k := range dim { // eigenvalues are in ascending order
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

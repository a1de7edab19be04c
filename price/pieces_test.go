package price

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestVocabulary: the embedded vocabulary is the one that OpenAI publishes, by its hash.
func TestVocabulary(t *testing.T) {
	v, hash := o200k(), sha256.New()
	for r := range o200kSize {
		fmt.Fprintf(hash, "%s %d\n", base64.StdEncoding.EncodeToString([]byte(v.text[v.end[r]:v.end[r+1]])), r)
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d" {
		t.Errorf("the vocabulary has the hash %s", got)
	}
	if int(v.end[o200kSize]) != len(v.text) {
		t.Errorf("%d bytes do not belong to a token", len(v.text)-int(v.end[o200kSize]))
	}
}

// TestReference: counts are those of OpenAI's tiktoken, but for what piece says of lines of
// blanks.
func TestReference(t *testing.T) {
	data, err := os.ReadFile("testdata/o200k_reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var texts [][2]any
	if err := json.Unmarshal(data, &texts); err != nil || len(texts) < 3000 {
		t.Fatalf("%d texts (%v)", len(texts), err)
	}
	for _, text := range texts {
		if got, want := CountTokens(text[0].(string)), int(text[1].(float64)); got != want {
			t.Errorf("CountTokens(%q) = %d, tiktoken says %d", text[0], got, want)
		}
	}
}

// pattern is o200k's, without looking ahead: the last group is white space.
var pattern = regexp.MustCompile(strings.ReplaceAll(`^(?:[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|`+
	`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|`+
	`\p{N}{1,3}| ?[^SPACE\p{L}\p{N}]+[\r\n/]*|[SPACE]*?[\r\n]+|([SPACE]+))`, "SPACE", `\s\v\x{85}\p{Z}`))

// slowCount counts tokens by the words of the definition.
func slowCount(text string) int {
	n := 0
	for text = string([]rune(text)); text != ""; {
		found := pattern.FindStringSubmatchIndex(text)
		end := found[1]
		if _, last := utf8.DecodeLastRuneInString(text[:end]); found[2] >= 0 && end < len(text) && end > last {
			end -= last
		}
		if o200k().rank(text[:end]) != noRank {
			n++
		} else {
			var parts []string
			for i := range end {
				parts = append(parts, text[i:i+1])
			}
			for {
				best, at := uint32(noRank), 0
				for i := range len(parts) - 1 {
					if rank := o200k().rank(parts[i] + parts[i+1]); rank < best {
						best, at = rank, i
					}
				}
				if best == noRank {
					break
				}
				parts = slices.Replace(parts, at, at+2, parts[at]+parts[at+1])
			}
			n += len(parts)
		}
		text = text[end:]
	}
	return n
}

func checkCount(t *testing.T, text string) {
	t.Helper()
	if got, want := CountTokens(text), slowCount(text); got != want {
		t.Fatalf("CountTokens(%q) = %d, by the definition %d", text, got, want)
	}
}

// Counts are those of the definition.
func FuzzCountTokens(f *testing.F) {
	for _, seed := range []string{"Hello, world! It's 12345 o'clock.", "a  b\t\tc \n\n d\r\n", "HELLOworld'LL x'Re 'm", "func f(x int) { return x/2 } // ok\n\n", "naïve café", "x é", "/path//to/\n/x", "   ", "\n \n", "$1,000.00 (approx.)", "é", "A\u0301b", "a'\u017f", "a\x7f'ch00", "你好World中文ABC", "\u0301B", "ǅa", "ªº²", strings.Repeat("ab", 60), "\xffa\xc3", "\u2028x\u0085 y"} {
		f.Add(seed)
	}
	f.Fuzz(checkCount)
}

// The same, on random texts made of the characters that separate pieces, and on words and
// long pieces that have to be merged.
func TestPieces(t *testing.T) {
	parts := []string{"a", "b", "Word", "WORD", "x", "7", "42", "12345", " ", "  ", "\t", "\n", "\r\n", "\n\n", ".", ",", "(", "/", "//", "'", "'s", "'LL", "'re", "'x", "-", "$", "\x00", "_",
		"é", "É", "你", "文字", "\u0301", "🥕", "\u017f", "\u00a0", "\u2028", "ǅ", "ʰ", "ª", "²", "٣", "Ж", "ж", "\xff", "\xe4\xbd"}
	const ascii = 28
	random := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		var text strings.Builder
		kinds := ascii + random.IntN(2)*(len(parts)-ascii) // half of the texts are ASCII
		for range random.IntN(12) {
			text.WriteString(parts[random.IntN(kinds)])
			if random.IntN(4) == 0 {
				text.WriteByte(byte(random.IntN(128)))
			}
		}
		checkCount(t, text.String())
	}
	for range 2000 {
		var text strings.Builder
		alphabet := []rune("etaoinETAOI漢字éя-=")[random.IntN(12):]
		for range random.IntN(300) {
			text.WriteRune(alphabet[random.IntN(len(alphabet))])
		}
		checkCount(t, text.String())
	}
	for range 20000 { // any characters
		var text strings.Builder
		for range random.IntN(6) {
			text.WriteRune(rune(random.IntN(0x3400)))
		}
		checkCount(t, text.String())
	}
}

// A million bytes in one piece take a fraction of a second.
func TestLongPiece(t *testing.T) {
	for _, text := range []string{strings.Repeat("a", 1<<20), strings.Repeat("Aあ", 1<<18), strings.Repeat(" ", 1<<20), strings.Repeat("\u0301!", 1<<18)} {
		if n := CountTokens(text); n < 1<<12 || n > len(text) {
			t.Errorf("CountTokens of %.4q… = %d", text, n)
		}
	}
}

func BenchmarkCountTokens(b *testing.B) {
	const text = "A cyclist leaves town A at 8 am at 18 km/h and a runner leaves town B, 63 km away, at 9 am. "
	CountTokens(text) // builds the vocabulary
	for _, of := range []struct{ name, text string }{
		{"ascii", strings.Repeat(text, 5)},
		{"german", strings.Repeat("Ein Radfahrer fährt um 8 Uhr über die Brücke, ein Läufer um 9 Uhr. ", 7)},
		{"chinese", strings.Repeat("一名骑自行车的人早上八点从甲镇出发,时速十八公里。", 7)},
	} {
		b.Run(of.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(of.text)))
			for b.Loop() {
				CountTokens(of.text)
			}
		})
	}
	b.Run("new words", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			encode(" unremembered" + string(rune('a'+i%26)))
		}
	})
}

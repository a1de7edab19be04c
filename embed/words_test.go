package embed

import (
	"math"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/carrot-router/carrot"
)

// bag returns the sparse representation of a text, split into words and pairs.
func bag(text string) (words, pairs carrot.Sparse) {
	var s carrot.Sparse
	Words(text, &s)
	at, _ := slices.BinarySearch(s.Index, carrot.FirstPair)
	return carrot.Sparse{Index: s.Index[:at], Value: s.Value[:at]}, carrot.Sparse{Index: s.Index[at:], Value: s.Value[at:]}
}

func sparse(text string) (s carrot.Sparse) {
	Words(text, &s)
	return s
}

// equal reports whether two bags are equal.
func equal(a, b carrot.Sparse) bool {
	return slices.Equal(a.Index, b.Index) && slices.Equal(a.Value, b.Value)
}

// TestWordsSame: differences between texts that do not change the bag.
func TestWordsSame(t *testing.T) {
	f := func(name, a, b string) {
		t.Helper()
		if !equal(sparse(a), sparse(b)) {
			t.Errorf("%s: the bags of %q and %q differ", name, a, b)
		}
	}
	f("case", "What IS the Sum", "what is the sum")
	f("accented letters are lower-cased", "ÉTÉ À LA PLAGE", "été à la plage")
	f("Cyrillic is lower-cased", "Сколько Будет ДВА", "сколько будет два")
	f("Greek is lower-cased", "ΑΒΓ", "αβγ")
	f("punctuation only separates", "one, two; (three)!", "one two three")
	f("white space only separates", "one\ttwo\n\n three ", "one two three")
	f("punctuation of other scripts", "один — «два»", "один два")
	f("a Han character is a word", "你好世界", "你 好 世 界")
	f("a kana letter is a word", "ねこカ", "ね こ カ")
	f("a Thai letter is a word", "กข", "ก ข")
	f("scripts side by side", "GPT你好4", "gpt 你 好 4")
	f("invalid UTF-8 separates", "one\xfftwo\xc3", "one two")
	f("emoji separate", "one🥕two", "one two")
}

// TestWordsDiffer: differences between texts that change the bag.
func TestWordsDiffer(t *testing.T) {
	f := func(name, a, b string) {
		t.Helper()
		if equal(sparse(a), sparse(b)) {
			t.Errorf("%s: the bags of %q and %q are the same", name, a, b)
		}
	}
	f("order, through the pairs", "dog bites man", "man bites dog")
	f("accents are kept", "été", "ete")
	f("digits are part of a word", "x1", "x 1")
	f("underscores are part of a word", "a_b", "a b")
	f("counts", "very good", "very very good")
	f("in scripts with spaces, letters are not words", "привет", "п р и в е т")
	f("the replacement character is not a word", "\uFFFD a", "b a")
}

func TestWordsShape(t *testing.T) {
	for _, test := range []struct {
		name, text   string
		words, pairs int
	}{
		{"empty", "", 0, 0},
		{"only punctuation", " \t\n.,;!?-()", 0, 0},
		{"not UTF-8", "\xff\xfe\xc3", 0, 0},
		{"one word", "Hello!", 1, 0},
		{"two words", "Hello, world", 2, 1},
		{"distinct words and pairs", "the cat saw the cat", 3, 3}, // the-cat twice, cat-saw, saw-the
		{"one word repeated", "no no no", 1, 1},
		{"characters and character pairs", "你好世界", 4, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			words, pairs := bag(test.text)
			if len(words.Index) != test.words || len(pairs.Index) != test.pairs {
				t.Errorf("Words(%q) has %d words and %d pairs, want %d and %d", test.text, len(words.Index), len(pairs.Index), test.words, test.pairs)
			}
			checkBag(t, test.text, sparse(test.text))
		})
	}
}

// checkBag checks a bag against the contract of carrot.Sparse.
func checkBag(t *testing.T, text string, s carrot.Sparse) {
	t.Helper()
	if len(s.Index) != len(s.Value) {
		t.Fatalf("Words(%q): %d indices, %d values", text, len(s.Index), len(s.Value))
	}
	for i, v := range s.Value {
		if i > 0 && s.Index[i] <= s.Index[i-1] {
			t.Fatalf("Words(%q): index %d follows %d", text, s.Index[i], s.Index[i-1])
		}
		if !(v >= 1) || math.IsInf(float64(v), 0) {
			t.Fatalf("Words(%q): value %v, want 1 + ln(count)", text, v)
		}
	}
}

// TestWordsCount: the value is 1 + ln(count), for counts inside and outside the
// table of logarithms.
func TestWordsCount(t *testing.T) {
	for _, n := range []int{1, 2, 3, 63, 64, 1000} {
		words, pairs := bag(strings.Repeat("carrot ", n))
		if want := float32(1 + math.Log(float64(n))); words.Value[0] != want {
			t.Errorf("a word %d times has value %v, want %v", n, words.Value[0], want)
		}
		if n > 1 {
			if want := float32(1 + math.Log(float64(n-1))); pairs.Value[0] != want {
				t.Errorf("a pair %d times has value %v, want %v", n-1, pairs.Value[0], want)
			}
		}
	}
}

// TestWordsSpread: the low bits of the hashes spread over buckets. Of 4,096
// buckets, 4,096 words use about 63%, as random numbers would.
func TestWordsSpread(t *testing.T) {
	used := map[uint32]bool{}
	for i := range 4096 {
		words, _ := bag("w" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("y", i%11) + string(rune('0'+i/512)) + string(rune(0x400+i)))
		used[words.Index[0]%4096] = true
	}
	if n := len(used); n < 2450 || n > 2730 {
		t.Errorf("4,096 words use %d of 4,096 buckets, want about 2,589", n)
	}
}

func TestWordsReusesMemory(t *testing.T) {
	if raceEnabled() {
		t.Skip("allocations are not counted under the race detector")
	}
	for name, text := range map[string]string{
		"ASCII": prompt150(),
		"mixed": strings.Repeat("Été 你好 WORLD привет, ไทย 42! ", 8),
	} {
		var s carrot.Sparse
		Words(text, &s)
		if n := testing.AllocsPerRun(20, func() { Words(text, &s) }); n != 0 {
			t.Errorf("Words of %s text allocates %v times, want 0 once dst has grown", name, n)
		}
	}
	s := sparse(prompt150())
	if Words("short", &s); !equal(s, sparse("short")) {
		t.Errorf("Words keeps earlier content of dst: %v", s)
	}
}

// raceEnabled reports whether the race detector is on, under which sync.Pool
// drops values at random.
func raceEnabled() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

func FuzzWords(f *testing.F) {
	for _, text := range []string{"", "What is 2+2?", "the cat saw the cat", "Été 你好 привет ไทย", "\xff\xc3", strings.Repeat("no ", 70), "İİ ǅ ſ"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := sparse(text)
		checkBag(t, text, s)
		if again := sparse(text); !equal(s, again) {
			t.Errorf("Words(%q) differs between calls", text)
		}
	})
}

// BenchmarkWords100 makes the bags of prompts of about 100 tokens.
func BenchmarkWords100(b *testing.B) {
	texts, s := prompts100(), carrot.Sparse{}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		Words(texts[i%len(texts)], &s)
	}
}

// prompts100 returns prompts of about 100 tokens. They all differ, because the
// processor would learn every branch of a repeated prompt.
func prompts100() []string {
	words := strings.Fields("A cyclist leaves town A at 8 am at 18 km/h and a runner leaves town B, 63 km away on the same road, at 9 am at 12 km/h towards her. " +
		"Our nightly job copies 40 tables from one database to another with 11 workers, although the disks are idle most of the time. " +
		"Write a function in Go that takes a list of intervals and returns the largest number of them that overlap at any point; return zero for an empty list. " +
		"The scan of the left knee shows a small effusion and a horizontal tear in the posterior horn of the medial meniscus, without bone oedema.")
	random := rand.New(rand.NewPCG(1, 2))
	texts := make([]string, 512)
	for i := range texts {
		random.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
		texts[i] = strings.Join(words[:85], " ")
	}
	return texts
}

// TestSortHashes: lists of any length are sorted.
func TestSortHashes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 63, 64, 65, 1000, 70_000} {
		list := make([]uint32, n)
		for i := range list {
			list[i] = random.Uint32() >> (8 * random.IntN(4)) // small and equal values too
		}
		want := slices.Sorted(slices.Values(list))
		if got := sortHashes(list); !slices.Equal(got, want) {
			t.Errorf("%d hashes are not sorted", n)
		}
	}
}

// TestGrams: a word has the runs of four characters of it with a space before and after; case
// and what separates words do not count, and words and pairs are those of Words.
func TestGrams(t *testing.T) {
	grams := func(text string) []uint32 {
		var x carrot.Representation
		var words carrot.Sparse
		represent(text, &x)
		Words(text, &words)
		if !slices.Equal(x.Sparse.Index, words.Index) || !slices.Equal(x.Sparse.Value, words.Value) {
			t.Errorf("%q: words are not those of Words", text)
		}
		return x.Grams
	}
	for text, want := range map[string]int{"": 0, "..": 0, "a": 1, "ab": 1, "abc": 2, "abcd": 3, "abcde": 4, "ab abcd.": 4, "日本": 2, "größe": 4} {
		if got := grams(text); len(got) != want {
			t.Errorf("%q has %d grams, want %d", text, len(got), want)
		}
	}
	if !slices.Equal(grams("Red-hot GRÖSSE"), grams("red, hot grösse")) {
		t.Errorf("case or punctuation changes grams")
	}
	if one, other := grams("molecule"), grams("molecular"); !slices.Equal(one[:5], other[:5]) || slices.Equal(one[5:], other[5:]) {
		t.Errorf("grams %v and %v: want those of the beginning in common", one, other)
	}
	if one := grams("a"); slices.Contains(grams("aaaa ab ba"), one[0]) || !slices.Contains(grams("is a word"), one[0]) {
		t.Errorf("the gram of a word of one letter is not its own")
	}
}

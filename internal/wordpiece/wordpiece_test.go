package wordpiece

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// reference is what testdata/reference.py writes.
type reference struct {
	Cases []struct {
		Name      string          `json:"name"`
		Tokenizer json.RawMessage `json:"tokenizer"`
		Rows      []struct {
			Text string  `json:"text"`
			IDs  []int32 `json:"ids"`
		} `json:"rows"`
	} `json:"cases"`
	Classes []json.RawMessage `json:"classes"`
}

func readReference(t testing.TB) reference {
	t.Helper()
	f, err := os.Open("testdata/reference.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var ref reference
	if err := json.NewDecoder(z).Decode(&ref); err != nil {
		t.Fatal(err)
	}
	return ref
}

// loadFiles writes the files into a folder and loads its tokenizer.
func loadFiles(t testing.TB, files map[string]string) (*Tokenizer, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Load(dir)
}

func loadJSON(t testing.TB, text []byte) *Tokenizer {
	t.Helper()
	w, err := loadFiles(t, map[string]string{"tokenizer.json": string(text)})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestParity(t *testing.T) {
	for _, c := range readReference(t).Cases {
		t.Run(c.Name, func(t *testing.T) {
			w := loadJSON(t, c.Tokenizer)
			again, err := New(w.Vocab(), w.Config())
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range c.Rows {
				got := w.Encode(row.Text, 0)
				if !slices.Equal(got, row.IDs) && len(got)+len(row.IDs) > 0 {
					t.Errorf("Encode(%q) = %v, want %v", row.Text, got, row.IDs)
				}
				if twice := again.Encode(row.Text, 0); !slices.Equal(twice, got) {
					t.Errorf("Encode(%q) after a round trip of Config = %v, want %v", row.Text, twice, got)
				}
			}
		})
	}
}

// TestClasses checks how every code point is read: as part of a word, as a word
// by itself, as a space, as something else, or not at all.
func TestClasses(t *testing.T) {
	ref := readReference(t)
	w := loadJSON(t, ref.Cases[0].Tokenizer)
	var ids []int32
	wrong, seen := 0, 0
	for _, raw := range ref.Classes {
		var from, to rune
		var want []int32
		if err := json.Unmarshal(raw, &[]any{&from, &to, &want}); err != nil {
			t.Fatal(err)
		}
		for r := from; r <= to; r++ {
			if !utf8.ValidRune(r) {
				continue
			}
			seen++
			ids = w.AppendIDs(ids[:0], "a"+string(r)+"b", 0)
			if !slices.Equal(ids, want) {
				if wrong++; wrong <= 20 {
					t.Errorf("%U: ids %v, want %v", r, ids, want)
				}
			}
		}
	}
	if seen != 0x110000-0x800 {
		t.Errorf("compared %d code points, want all %d", seen, 0x110000-0x800)
	}
}

func TestLimit(t *testing.T) {
	ref := readReference(t)
	for _, c := range ref.Cases {
		w := loadJSON(t, c.Tokenizer)
		for _, row := range c.Rows {
			all := w.AppendIDs(nil, row.Text, 0)
			for _, limit := range []int{1, 2, 3, 7, 1000} {
				got := w.AppendIDs([]int32{-7}, row.Text, limit)
				want := append([]int32{-7}, all[:min(limit, len(all))]...)
				if !slices.Equal(got, want) {
					t.Errorf("AppendIDs(%q, %d) = %v, want %v", row.Text, limit, got, want)
				}
			}
		}
	}
	w := loadJSON(t, ref.Cases[0].Tokenizer)
	f := func(maxLen int, want ...int32) {
		t.Helper()
		if got := w.Encode("the the the", maxLen); !slices.Equal(got, want) {
			t.Errorf("Encode(…, %d) = %v, want %v", maxLen, got, want)
		}
	}
	the := w.AppendIDs(nil, "the", 0)[0]
	f(0, 2, the, the, the, 3)
	f(5, 2, the, the, the, 3)
	f(4, 2, the, the, 3)
	f(3, 2, the, 3)
	f(2, 2, 3)
	f(1, 2)
}

func TestInvalidUTF8(t *testing.T) {
	w, err := New([]string{"[UNK]", "[CLS]", "[SEP]", "ab", "a", "b"}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	f := func(text string, want ...int32) {
		t.Helper()
		if got := w.AppendIDs(nil, text, 0); !slices.Equal(got, want) {
			t.Errorf("AppendIDs(%q) = %v, want %v", text, got, want)
		}
	}
	f("a\xffb", 3)
	f("a\xe2\x82b a", 3, 4)
	f("\xc0\x80")
	f("a\xed\xa0\x80 b", 4, 5)
}

func TestLoadVocabTxt(t *testing.T) {
	w, err := loadFiles(t, map[string]string{
		"vocab.txt":             "[PAD]\n[UNK]\n[CLS]\n[SEP]\n<m>\nHello\n##s\r\nhello\n",
		"tokenizer_config.json": `{"do_lower_case": false, "mask_token": {"content": "<m>", "lstrip": true}, "model_max_length": 1e30}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := w.Encode("Hellos <m>hello", 0), []int32{2, 5, 6, 4, 7, 3}; !slices.Equal(got, want) {
		t.Errorf("Encode = %v, want %v", got, want)
	}
}

func TestLoadErrors(t *testing.T) {
	const model = `"pre_tokenizer":{"type":"BertPreTokenizer"},"model":{"type":"WordPiece","unk_token":"[UNK]","vocab":{"[UNK]":0,"a":1}}`
	f := func(name, text, want string) {
		t.Helper()
		_, err := loadFiles(t, map[string]string{name: text})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("Load of %s = %v, want %s: …%s", text, err, name, want)
		}
	}
	f("tokenizer.json", `{`, "unexpected end")
	f("tokenizer.json", `{"model":{"type":"Unigram"}}`, `field model.type: "Unigram" is not supported`)
	f("tokenizer.json", `{"model":{"type":"WordPiece"},"pre_tokenizer":{"type":"Whitespace"}}`, "field pre_tokenizer.type")
	f("tokenizer.json", `{"normalizer":{"type":"NFKC"},`+model+`}`, `field normalizer.type: "NFKC"`)
	f("tokenizer.json", `{"post_processor":{"type":"ByteLevel"},`+model+`}`, `field post_processor.type: "ByteLevel"`)
	f("tokenizer.json", `{"post_processor":{"type":"BertProcessing","cls":["[CLS]",5],"sep":["[SEP]",6]},`+model+`}`, `"[CLS]" is not in the vocabulary`)
	f("tokenizer.json", `{"added_tokens":[{"id":7,"content":"x"}],`+model+`}`, `id 7 of "x" is outside 0..2`)
	f("tokenizer.json", `{"added_tokens":[{"id":0,"content":"a"}],`+model+`}`, `"a" has id 0, but 1`)
	f("tokenizer.json", `{"added_tokens":[{"id":1,"content":"x"}],`+model+`}`, `share id 1`)
	f("tokenizer.json", strings.Replace("{"+model+"}", `"unk_token":"[UNK]"`, `"unk_token":"?"`, 1), `unknown token "?"`)
	f("vocab.txt", "a\nb\n", `unknown token "[UNK]"`)
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "neither tokenizer.json nor vocab.txt") {
		t.Errorf("Load of an empty folder = %v", err)
	}
}

func TestNoAllocs(t *testing.T) {
	w := loadJSON(t, readReference(t).Cases[0].Tokenizer)
	text := strings.Repeat("hello, the unaffable [MASK] 12 xyz\n", 20)
	ids := w.AppendIDs(nil, text, 0)
	if n := testing.AllocsPerRun(20, func() { ids = w.AppendIDs(ids[:0], text, 0) }); n > 1 && !raceEnabled() {
		t.Errorf("AppendIDs allocates %v times, want at most 1", n)
	}
}

// raceEnabled reports whether the race detector is on, under which sync.Pool
// drops values at random.
func raceEnabled() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

func FuzzTokenizer(f *testing.F) {
	for _, s := range []string{"", "hello [MASK] world", "\u00e9\u0301\u0327\u302e한中İ", "a\xff\xed\xa0\x80b", "[SEP", strings.Repeat("é", 101)} {
		f.Add(s, uint8(5))
	}
	var tokenizers []*Tokenizer
	for _, c := range readReference(f).Cases {
		tokenizers = append(tokenizers, loadJSON(f, c.Tokenizer))
	}
	f.Fuzz(func(t *testing.T, text string, limit uint8) {
		for _, w := range tokenizers {
			all := w.AppendIDs(nil, text, 0)
			for _, id := range all {
				if id < 0 || int(id) >= len(w.vocab) {
					t.Fatalf("AppendIDs(%q) has id %d, vocabulary is %d", text, id, len(w.vocab))
				}
			}
			some := w.AppendIDs(nil, text, int(limit))
			want := all
			if limit > 0 {
				want = all[:min(int(limit), len(all))]
			}
			if !slices.Equal(some, want) {
				t.Fatalf("AppendIDs(%q, %d) = %v, want %v", text, limit, some, want)
			}
			if n := len(w.Encode(text, int(limit))); limit > 0 && n > int(limit) {
				t.Fatalf("Encode(%q, %d) has %d ids", text, limit, n)
			}
		}
	})
}

func BenchmarkTokenizer100(b *testing.B) {
	dir := os.Getenv("CARROT_BERT_DIR")
	if dir == "" {
		b.Skip("needs a model; the tests of embed say how to get one")
	}
	w, err := Load(dir)
	if err != nil {
		b.Fatal(err)
	}
	text := "Explain why the photosynthesis of alpine lichens slows after sunset, then compare it with " +
		"the metabolism of deep-sea bacteria. Write at most three paragraphs, use plain words, and end with " +
		"one open question. For reference: f(x) = 3*x + 17, and the temperature falls from 12.5 to 4.8 degrees " +
		"within two hours. Do not cite any sources, and don't use bullet points, tables or headings in the answer, please."
	var ids []int32
	b.ReportAllocs()
	for b.Loop() {
		ids = w.AppendIDs(ids[:0], text, 0)
	}
	b.ReportMetric(float64(len(ids)), "tokens")
}

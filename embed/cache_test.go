package embed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/carrot-router/carrot"
)

// recordSize is the size of a record with vectors of length 2.
const recordSize = 32 + 4*2 + 4

func openCache(t testing.TB, dir string) *Cache {
	t.Helper()
	c, err := OpenCache(dir, "bert@0/mini LM")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// has checks the vectors in a cache; a nil vector must not be there.
func has(t *testing.T, c *Cache, want map[string][]float32) {
	t.Helper()
	for text, vector := range want {
		if got, ok := c.get(text); ok != (vector != nil) || !reflect.DeepEqual(got, vector) {
			t.Errorf("get(%q) = %v, %v, want %v", text, got, ok, vector)
		}
	}
}

func put(t *testing.T, c *Cache, text string, vector ...float32) {
	t.Helper()
	if err := c.put([]string{text}, [][]float32{vector}); err != nil {
		t.Fatal(err)
	}
}

// TestCache: vectors can be read at once and after reopening. The file is named
// after the encoder, without the characters that paths do not allow.
func TestCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "when needed")
	c := openCache(t, dir)
	has(t, c, map[string][]float32{"one": nil})
	if err := c.put([]string{"one", ""}, [][]float32{{1, 0}, {0, 1}}); err != nil {
		t.Fatal(err)
	}
	put(t, c, "two", 0.5, -0.5)
	all := map[string][]float32{"one": {1, 0}, "": {0, 1}, "two": {0.5, -0.5}, "three": nil}
	has(t, c, all)
	has(t, openCache(t, dir), all)
	if info, err := os.Stat(filepath.Join(dir, "bert@0_mini_LM.vectors")); err != nil || info.Size() != 12+3*recordSize {
		t.Errorf("cache file: %v, %v, want a header and three records", info, err)
	}
	other, err := OpenCache(dir, "another")
	if err != nil {
		t.Fatal(err)
	}
	has(t, other, map[string][]float32{"one": nil})
}

// TestCacheDamage: damaged records are dropped, and the others kept.
func TestCacheDamage(t *testing.T) {
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 0x10; return b }
	}
	for _, test := range []struct {
		name   string
		damage func(file []byte) []byte
		want   map[string][]float32
	}{
		{"none", func(b []byte) []byte { return b }, map[string][]float32{"one": {1, 0}, "two": {0, 1}}},
		{"torn tail", func(b []byte) []byte { return b[:len(b)-3] }, map[string][]float32{"one": {1, 0}, "two": nil}},
		{"torn first record", func(b []byte) []byte { return b[:20] }, map[string][]float32{"one": nil, "two": nil}},
		{"torn header", func(b []byte) []byte { return b[:10] }, map[string][]float32{"one": nil, "two": nil}},
		{"emptied", func(b []byte) []byte { return nil }, map[string][]float32{"one": nil, "two": nil}},
		{"flipped bit of a hash", flip(12), map[string][]float32{"one": nil, "two": {0, 1}}},
		{"flipped bit of a number", flip(12 + 32), map[string][]float32{"one": nil, "two": {0, 1}}},
		{"flipped bit of a checksum", flip(12 + recordSize - 1), map[string][]float32{"one": nil, "two": {0, 1}}},
		{"flipped bit of the header", flip(2), map[string][]float32{"one": nil, "two": nil}},
		{"another file", func([]byte) []byte { return []byte(strings.Repeat("not vectors ", 30)) }, map[string][]float32{"one": nil, "two": nil}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			c := openCache(t, dir)
			put(t, c, "one", 1, 0)
			put(t, c, "two", 0, 1)
			data, err := os.ReadFile(c.path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(c.path, test.damage(data), 0o600); err != nil {
				t.Fatal(err)
			}
			c = openCache(t, dir)
			has(t, c, test.want)
			put(t, c, "three", 0.6, 0.8)
			put(t, c, "four", 0.8, 0.6)
			test.want["three"], test.want["four"] = []float32{0.6, 0.8}, []float32{0.8, 0.6}
			has(t, openCache(t, dir), test.want)
		})
	}
}

func TestCacheRefusesAnotherLength(t *testing.T) {
	dir := t.TempDir()
	put(t, openCache(t, dir), "one", 1, 0)
	c := openCache(t, dir)
	err := c.put([]string{"two"}, [][]float32{{1, 0, 0}})
	if err == nil || !strings.Contains(err.Error(), c.path) || !strings.Contains(err.Error(), "length 3, want 2") {
		t.Errorf("put = %v, want an error with the name of the file and both lengths", err)
	}
}

func TestCacheNil(t *testing.T) {
	var c *Cache
	put(t, c, "one", 1)
	has(t, c, map[string][]float32{"one": nil})
}

func TestCacheOpenErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCache(file, "x"); err == nil || !strings.Contains(err.Error(), "open vector cache") {
		t.Errorf("OpenCache in a file = %v, want an error", err)
	}
}

func TestCacheConcurrent(t *testing.T) {
	dir := t.TempDir()
	c := openCache(t, dir)
	want := map[string][]float32{}
	var wg sync.WaitGroup
	for g := range 4 {
		for i := range 20 {
			want[fmt.Sprint(g, i)] = []float32{float32(g), float32(i)}
		}
		wg.Go(func() {
			for i := range 20 {
				text := fmt.Sprint(g, i)
				if err := c.put([]string{text}, [][]float32{{float32(g), float32(i)}}); err != nil {
					t.Error(err)
				}
				c.get(text)
			}
		})
	}
	wg.Wait()
	has(t, openCache(t, dir), want)
}

// counting is an encoder whose vectors hold the length of the text. It counts the
// requests for each text. If err is set, it fails after limit texts.
type counting struct {
	asked map[string]int
	limit int
	err   error
}

func (e *counting) ID() string { return "counting@0" }
func (e *counting) Encode(ctx context.Context, texts []string) ([][]float32, error) {
	out := make([][]float32, len(texts))
	for i, text := range texts {
		if e.err != nil && len(e.asked) >= e.limit {
			return nil, e.err
		}
		e.asked[text]++
		out[i] = []float32{float32(len(text)), 1}
	}
	return out, ctx.Err()
}

// numbered returns n texts of different lengths.
func numbered(n int) []string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = strings.Repeat("x", i)
	}
	return texts
}

// TestEncoded: every text is encoded once over all calls, and gets its own vector
// and bag of words.
func TestEncoded(t *testing.T) {
	dir, texts := t.TempDir(), numbered(150)
	encoder := &counting{asked: map[string]int{}}
	e := &Encoded{Encoder: encoder, Cache: openCache(t, dir)}
	if e.ID() != "counting@0" {
		t.Errorf("ID() = %q, want the ID of the encoder", e.ID())
	}
	dense(t, e, texts[7])
	check := func() {
		t.Helper()
		dst := make([]carrot.Representation, len(texts))
		if err := e.Embed(t.Context(), texts, dst); err != nil {
			t.Fatal(err)
		}
		for i, text := range texts {
			if !reflect.DeepEqual(dst[i].Dense, []float32{float32(i), 1}) || !equal(dst[i].Sparse, sparse(text)) {
				t.Fatalf("text %d has %+v", i, dst[i])
			}
			if n := encoder.asked[text]; n != 1 {
				t.Fatalf("text %d encoded %d times, want once", i, n)
			}
		}
	}
	var told []int
	e.Progress = func(done, total int) { told = append(told, done) }
	check()
	if want := []int{65, 129, 150}; !reflect.DeepEqual(told, want) { // one cached text, then chunks of 64
		t.Errorf("progress %v, want %v", told, want)
	}
	check()
	e.Cache = openCache(t, dir)
	check()
}

func TestEncodedWithoutCache(t *testing.T) {
	encoder := &counting{asked: map[string]int{}}
	e := &Encoded{Encoder: encoder}
	for range 2 {
		if got := dense(t, e, "four"); !reflect.DeepEqual(got, []float32{4, 1}) {
			t.Errorf("vector %v, want [4 1]", got)
		}
	}
	if encoder.asked["four"] != 2 {
		t.Errorf("encoded %d times without a cache, want twice", encoder.asked["four"])
	}
	if err := e.Embed(t.Context(), []string{"a"}, nil); err == nil {
		t.Error("Embed into too few representations succeeded")
	}
}

// TestEncodedErrors: vectors encoded before an error are kept, so that the next
// run continues from there.
func TestEncodedErrors(t *testing.T) {
	broken := errors.New("encoder out of reach")
	dir, texts, dst := t.TempDir(), numbered(150), make([]carrot.Representation, 150)
	encoder := &counting{asked: map[string]int{}, limit: 100, err: broken}
	e := &Encoded{Encoder: encoder, Cache: openCache(t, dir)}
	if err := e.Embed(t.Context(), texts, dst); !errors.Is(err, broken) {
		t.Fatalf("Embed = %v, want the encoder's error", err)
	}
	has(t, openCache(t, dir), map[string][]float32{texts[0]: {0, 1}, texts[63]: {63, 1}, texts[64]: nil, texts[149]: nil})

	encoder = &counting{asked: map[string]int{}}
	e = &Encoded{Encoder: encoder, Cache: openCache(t, dir)}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Embed(cancelled, texts, dst); !errors.Is(err, context.Canceled) {
		t.Errorf("Embed with a cancelled context = %v, want context.Canceled", err)
	}
	if err := e.Embed(t.Context(), texts, dst); err != nil {
		t.Fatal(err)
	}
	if encoder.asked[texts[63]] != 0 || encoder.asked[texts[149]] != 1 {
		t.Errorf("encoded a kept text %d times and a lost one %d times, want 0 and 1", encoder.asked[texts[63]], encoder.asked[texts[149]])
	}
}

// TestCacheLink: a link in the place of the file is not followed, because what it
// leads to would be overwritten.
func TestCacheLink(t *testing.T) {
	dir := t.TempDir()
	precious := filepath.Join(dir, "precious")
	if err := os.WriteFile(precious, []byte("a thesis, which is longer than a header"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(precious, filepath.Join(dir, "bert@0_mini_LM.vectors")); err != nil {
		t.Skip(err)
	}
	if _, err := OpenCache(dir, "bert@0/mini LM"); !errors.Is(err, ErrCache) {
		t.Errorf("OpenCache with a link = %v, want ErrCache", err)
	}
}

package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// small makes segments fill quickly.
var small = Options{Segment: 1 << 10, Reserve: 4 << 10, Sync: time.Millisecond}

func open(t *testing.T, dir string, o Options) *Journal {
	t.Helper()
	j, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

// readAll reads n entries after a position.
func readAll(t *testing.T, j *Journal, from Position, n int) (entries []string, to Position) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for to = from; len(entries) < n; {
		some, next, err := j.Read(ctx, to, 300)
		if err != nil {
			t.Fatalf("after %d of %d entries: %v", len(entries), n, err)
		}
		for _, e := range some {
			entries = append(entries, string(e))
		}
		to = next
	}
	if len(entries) > n {
		t.Fatalf("%d entries, want %d", len(entries), n)
	}
	return entries, to
}

// empty checks that there is nothing after a position.
func empty(t *testing.T, j *Journal, at Position) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if entries, _, err := j.Read(ctx, at, 1); !errors.Is(err, context.Canceled) {
		t.Fatalf("%q, %v, want nothing", entries, err)
	}
}

// TestOrder: entries of many lengths, over many segments, come back in order, also after
// the journal was closed and opened, and from any position where a reader stopped.
func TestOrder(t *testing.T) {
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(1, 2))
	j := open(t, dir, small)
	var want []string
	var at Position
	for round := range 5 {
		begin := len(want)
		for i := range 40 {
			entry := fmt.Sprintf("%d.%d ", round, i) + strings.Repeat("x", r.IntN(200))
			if i == 20 {
				entry += strings.Repeat("y", 5000) // longer than a segment
			}
			want = append(want, entry)
			if err := j.Append([]byte(entry)); err != nil {
				t.Fatal(err)
			}
		}
		id := j.ID()
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if j = open(t, dir, small); j.ID() != id {
			t.Fatalf("the ID changed from %s to %s", id, j.ID())
		}
		got, to := readAll(t, j, at, len(want)-begin)
		for i := range got {
			if got[i] != want[begin+i] {
				t.Fatalf("entry %d is %.20q, want %.20q", begin+i, got[i], want[begin+i])
			}
		}
		again, _ := readAll(t, j, at, len(got)) // as after a crash of the reader
		if strings.Join(again, "") != strings.Join(got, "") {
			t.Fatal("reading again gives other entries")
		}
		empty(t, j, to)
		if at = to; round%2 == 0 {
			if err := j.Release(at); err != nil {
				t.Fatal(err)
			}
			if j.Pending() != 0 {
				t.Fatalf("%d bytes are pending after everything was released", j.Pending())
			}
		}
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.*"))
	if len(files) > 5 { // the reserve, and perhaps the segment that is written
		t.Errorf("%d files remain: %q", len(files), files)
	}
}

// TestNumbersRise: a position stays right when everything was released and the journal
// was opened again, although no segment is left that tells its number.
func TestNumbersRise(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, small)
	var at Position
	for i := range 5 {
		if err := j.Append(fmt.Appendf(nil, "entry %d", i)); err != nil {
			t.Fatal(err)
		}
		var got []string
		got, at = readAll(t, j, at, 1)
		if want := fmt.Sprintf("entry %d", i); got[0] != want {
			t.Fatalf("%q, want %q", got[0], want)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		j = open(t, dir, small)
		if err := j.Release(at); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCutAnywhere: whatever byte the machine stopped at, the entries before it are read and
// new ones follow them.
func TestCutAnywhere(t *testing.T) {
	whole := t.TempDir()
	j := open(t, whole, small)
	entries := []string{"first", "the second entry", "third"}
	ends := []int64{headerSize}
	for _, e := range entries {
		if err := j.Append([]byte(e)); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, j.size)
	}
	j.Close()
	name := filepath.Base(j.segment(1))
	content, err := os.ReadFile(filepath.Join(whole, name))
	if err != nil {
		t.Fatal(err)
	}
	for cut := int64(0); cut <= ends[3]; cut++ {
		dir := t.TempDir()
		damaged := append(bytes.Clone(content[:cut]), make([]byte, int64(len(content))-cut)...)
		if err := os.WriteFile(filepath.Join(dir, name), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		j := open(t, dir, small)
		if err := j.Append([]byte("new")); err != nil {
			t.Fatal(err)
		}
		kept := 0
		for kept < 3 && cut >= ends[kept+1] {
			kept++
		}
		got, to := readAll(t, j, Position{}, kept+1)
		if want := strings.Join(append(entries[:kept:kept], "new"), "|"); strings.Join(got, "|") != want {
			t.Fatalf("cut at %d: %q, want %q", cut, got, want)
		}
		empty(t, j, to)
		j.Close()
	}
}

// TestUsedAgain: what an earlier segment left in a file that is used again is not read.
func TestUsedAgain(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{Segment: 1 << 10, Reserve: 2 << 10, Sync: time.Millisecond})
	var at Position
	for i := range 100 { // all entries have the same length, so old ones would fit
		if err := j.Append(fmt.Appendf(nil, "entry %03d %s", i, strings.Repeat("z", 80))); err != nil {
			t.Fatal(err)
		}
		if i%7 == 6 {
			_, at = readAll(t, j, at, 7)
			if err := j.Release(at); err != nil {
				t.Fatal(err)
			}
		}
	}
	j.Close()
	j = open(t, dir, Options{Segment: 1 << 10, Reserve: 2 << 10})
	got, to := readAll(t, j, at, 2)
	if !strings.HasPrefix(got[0], "entry 098") || !strings.HasPrefix(got[1], "entry 099") {
		t.Fatalf("%.10q, want entries 98 and 99", got)
	}
	empty(t, j, to)
}

// TestManyWriters: entries that are appended at the same time, while a reader reads and
// releases them, are each read once.
func TestManyWriters(t *testing.T) {
	j := open(t, t.TempDir(), small)
	const writers, each = 8, 200
	var done sync.WaitGroup
	for w := range writers {
		done.Go(func() {
			for i := range each {
				if err := j.Append(fmt.Appendf(nil, "%d %d", w, i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	next := [writers]int{}
	var at Position
	for n := 0; n < writers*each; {
		entries, to, err := j.Read(t.Context(), at, 200)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			var w, i int
			if _, err := fmt.Sscan(string(e), &w, &i); err != nil || i != next[w] {
				t.Fatalf("entry %q, want number %d of writer %d (%v)", e, next[w], w, err)
			}
			next[w]++
		}
		n += len(entries)
		at = to
		if err := j.Release(at); err != nil {
			t.Fatal(err)
		}
	}
	done.Wait()
	if j.Pending() != 0 {
		t.Errorf("%d bytes pending", j.Pending())
	}
}

// TestOneProcess: a folder belongs to one journal at a time.
func TestOneProcess(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, small)
	if _, err := Open(dir, small); !errors.Is(err, ErrBusy) {
		t.Errorf("%v, want %v", err, ErrBusy)
	}
	j.Close()
	open(t, dir, small)
}

// TestRefused: what cannot be appended is an error and changes nothing.
func TestRefused(t *testing.T) {
	j := open(t, t.TempDir(), small)
	if err := j.Append(nil); err == nil {
		t.Error("an empty entry was appended")
	}
	empty(t, j, Position{})
	j.Close()
	if err := j.Append([]byte("late")); err == nil {
		t.Error("an entry was appended to a closed journal")
	}
	if _, err := Open(t.TempDir(), Options{Segment: 10}); err == nil {
		t.Error("segments without room were accepted")
	}
}

// FuzzSegment: a damaged segment never panics, takes memory only as its size allows, and
// its whole entries are read.
func FuzzSegment(f *testing.F) {
	f.Add([]byte("carrotj1"))
	f.Add(append([]byte("carrotj1\x01\x00\x00\x00\x00\x00\x00\x00"), 0xff, 0xff, 0xff, 0x3f, 1, 2, 3, 4, 5))
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		j := &Journal{dir: dir}
		if err := os.WriteFile(j.segment(1), content, 0o600); err != nil {
			t.Fatal(err)
		}
		j = open(t, dir, small)
		if err := j.Append([]byte("new")); err != nil {
			t.Fatal(err)
		}
		var last []byte
		for at := (Position{}); ; {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			entries, to, err := j.Read(ctx, at, 100)
			if errors.Is(err, context.Canceled) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			last, at = entries[len(entries)-1], to
		}
		if string(last) != "new" {
			t.Fatalf("the last entry is %q", last)
		}
		j.Close()
	})
}

func BenchmarkAppend(b *testing.B) {
	j, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	entry := bytes.Repeat([]byte("a"), 2500)
	b.SetBytes(int64(len(entry)))
	var at Position
	for i := 0; b.Loop(); i++ {
		if err := j.Append(entry); err != nil {
			b.Fatal(err)
		}
		if i%1000 == 999 {
			at = Position{j.last, j.size}
			if err := j.Release(at); err != nil {
				b.Fatal(err)
			}
		}
	}
}

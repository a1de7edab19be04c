package record

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// numbered returns a small attempt with its own id.
func numbered(id int) *Attempt { return &Attempt{RequestID: fmt.Sprint(id), Number: 1} }

// recorded returns the request ids in all record files of a directory, in the order
// of the files' names. The test fails if a line is not a record.
func recorded(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl*"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	var ids []string
	for _, name := range files {
		ids = append(ids, recordedIn(t, name)...)
	}
	return ids
}

func recordedIn(t *testing.T, name string) []string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(content) > 0 && content[len(content)-1] != '\n' {
		t.Errorf("%s ends with an incomplete line", name)
	}
	return idsOf(t, content)
}

func idsOf(t *testing.T, content []byte) []string {
	t.Helper()
	var ids []string
	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
		a, err := parse(lines.Bytes())
		if err != nil {
			t.Errorf("line %q: %v", lines.Text(), err)
			continue
		}
		ids = append(ids, a.RequestID)
	}
	return ids
}

func openForTest(t *testing.T, path string, maxBytes int64, keep int) *JSONL {
	t.Helper()
	j, err := OpenJSONL(path, maxBytes, keep)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func record(t *testing.T, r *JSONL, id int) {
	t.Helper()
	if err := r.Record(t.Context(), numbered(id)); err != nil {
		t.Fatal(err)
	}
}

func TestJSONLLosesNothing(t *testing.T) {
	const writers, each = 50, 200
	dir := t.TempDir()
	j := openForTest(t, filepath.Join(dir, "decisions.jsonl"), 300_000, 0)
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				if err := j.Record(context.Background(), numbered(w*each+i)); err != nil {
					t.Error(err)
				}
				if i%50 == 0 {
					if err := j.Reopen(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	group.Wait()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(files) < 5 {
		t.Errorf("files %v, want rotations", files)
	}
	for _, name := range files {
		if info, err := os.Stat(name); err != nil || info.Size() > 300_000 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want at most 300000 bytes with mode 600", name, info, err)
		}
	}
	seen := map[string]int{}
	for _, id := range recorded(t, dir) {
		seen[id]++
	}
	for id := range writers * each {
		if n := seen[fmt.Sprint(id)]; n != 1 {
			t.Fatalf("attempt %d is recorded %d times, want once", id, n)
		}
	}
}

func TestJSONLContinues(t *testing.T) {
	f := func(before string, want ...string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "r.jsonl")
		if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		j := openForTest(t, path, 0, 0)
		record(t, j, 7)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		seven := string(numbered(7).AppendJSON(nil)) + "\n"
		if got := strings.TrimSuffix(string(content), seven); got != strings.Join(want, "") {
			t.Errorf("file %q begins with %q after a record, want %q", before, got, want)
		}
	}
	f("")
	f("{}\n", "{}\n")
	f("{\"schema\":\"carr", "{\"schema\":\"carr\n")
}

func TestJSONLRotation(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "decisions.jsonl")
	mine := filepath.Join(dir, "decisions-mine.jsonl")
	if err := os.WriteFile(mine, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	line := int64(len(numbered(0).AppendJSON(nil)) + 1)
	j := openForTest(t, path, 2*line, 2)
	now := time.Date(2026, 11, 24, 17, 1, 2, 123_000_000, time.UTC)
	j.now = func() time.Time { return now }
	for id := range 9 {
		record(t, j, id)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, name := range files {
		got[filepath.Base(name)] = recordedIn(t, name)
	}
	want := map[string][]string{ // the two oldest of four files are deleted, and equal times are counted up
		"decisions-20261124T170102.125Z.jsonl": {"4", "5"},
		"decisions-20261124T170102.126Z.jsonl": {"6", "7"},
		"decisions.jsonl":                      {"8"},
		"decisions-mine.jsonl":                 nil,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// If another program has deleted the folder, Record returns an error until a new file
// can be created.
func TestJSONLRotationFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "records")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	line := int64(len(numbered(0).AppendJSON(nil)) + 1)
	j := openForTest(t, filepath.Join(dir, "r.jsonl"), line, 0)
	record(t, j, 0)
	if err := os.RemoveAll(dir); err != nil { // with the first line
		t.Fatal(err)
	}
	if err := j.Record(t.Context(), numbered(1)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Record = %v, want ErrNotExist", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := j.Reopen(); err != nil { // writes the second line to the deleted file
		t.Fatal(err)
	}
	record(t, j, 2)
	record(t, j, 3)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"2", "3"}, recorded(t, dir)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// A line longer than the limit has a file of its own.
func TestJSONLLongLine(t *testing.T) {
	dir := t.TempDir()
	j := openForTest(t, filepath.Join(dir, "r.jsonl"), 10, 0)
	for id := range 3 {
		record(t, j, id)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != 3 {
		t.Errorf("files %v, want 3", files)
	}
	if got := recorded(t, dir); len(got) != 3 {
		t.Errorf("records %v, want 3", got)
	}
}

func TestJSONLReopen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "r.jsonl")
	j := openForTest(t, path, 0, 0)
	record(t, j, 1)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	record(t, j, 2)
	if err := j.Reopen(); err != nil {
		t.Fatal(err)
	}
	record(t, j, 3)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1", "2"}, recordedIn(t, path+".1")); diff != "" {
		t.Errorf("renamed file (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"3"}, recordedIn(t, path)); diff != "" {
		t.Errorf("new file (-want +got):\n%s", diff)
	}
}

func TestJSONLClosed(t *testing.T) {
	j := openForTest(t, filepath.Join(t.TempDir(), "r.jsonl"), 0, 0)
	for range 2 {
		if err := j.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	}
	if err := j.Record(t.Context(), numbered(1)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Record after Close = %v, want ErrClosed", err)
	}
	if err := j.Reopen(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Reopen after Close = %v, want ErrClosed", err)
	}
	if _, err := OpenJSONL(filepath.Join(t.TempDir(), "none", "r.jsonl"), 0, 0); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("OpenJSONL in a directory that does not exist = %v, want ErrNotExist", err)
	}
}

// disk is a file with room for some bytes.
type disk struct {
	bytes.Buffer
	room int
}

var errFull = errors.New("no space left")

func (d *disk) Write(b []byte) (int, error) {
	n := min(len(b), d.room)
	d.room -= n
	d.Buffer.Write(b[:n])
	if n < len(b) {
		return n, errFull
	}
	return n, nil
}

func (*disk) Sync() error  { return nil }
func (*disk) Close() error { return nil }

// On a full disk Record returns errors, and lines that are written later are complete.
func TestJSONLFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: 100} // less than the first line
		j := &JSONL{path: "r.jsonl", now: time.Now, open: func(string) (jsonlFile, int64, error) { return d, 0, nil }}
		if err := j.start(); err != nil {
			t.Fatal(err)
		}
		record(t, j, 0) // buffered
		time.Sleep(2 * flushEvery)
		synctest.Wait()
		if err := j.Record(t.Context(), numbered(1)); !errors.Is(err, errFull) {
			t.Errorf("Record on a full disk = %v, want %v", err, errFull)
		}
		if err := j.Reopen(); !errors.Is(err, errFull) {
			t.Errorf("Reopen on a full disk = %v, want %v", err, errFull)
		}
		long := numbered(2)
		long.Answer = strings.Repeat("x", heldBytes)
		if err := j.Record(t.Context(), long); err == nil || !strings.Contains(err.Error(), "record lost") {
			t.Errorf("Record of more than is kept = %v, want an error that says so", err)
		}
		j.mu.Lock()
		d.room = 1 << 30
		j.mu.Unlock()
		time.Sleep(2 * flushEvery)
		synctest.Wait()
		record(t, j, 3)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"0", "1", "3"}, idsOf(t, d.Bytes())); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
	})
}

// The buffer is written within a second.
func TestJSONLFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: 1 << 20}
		j := &JSONL{path: "r.jsonl", now: time.Now, open: func(string) (jsonlFile, int64, error) { return d, 0, nil }}
		if err := j.start(); err != nil {
			t.Fatal(err)
		}
		record(t, j, 1)
		time.Sleep(flushEvery)
		synctest.Wait()
		if got := idsOf(t, d.Bytes()); len(got) != 1 {
			t.Errorf("%d lines are written after a second, want 1", len(got))
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkJSONLRecord(b *testing.B) {
	j, err := OpenJSONL(filepath.Join(b.TempDir(), "r.jsonl"), 100<<20, 1)
	if err != nil {
		b.Fatal(err)
	}
	a := commonAttempt()
	b.ReportAllocs()
	for b.Loop() {
		if err := j.Record(b.Context(), a); err != nil {
			b.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
}

package record

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

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
	j, err := OpenJSONL(path, JSONLOptions{MaxBytes: maxBytes, Keep: keep})
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
	// Only an incomplete row is removed; anything else stays, on a line of its own.
	row := string(numbered(1).AppendJSON(nil))
	f("{\"schema\":\"carr")
	f(row[:len(row)-1])
	f(row+"\n"+row[:100], row+"\n")
	f(row+"\n"+row, row+"\n"+row+"\n")
	f("{\"schema\":\"cars", "{\"schema\":\"cars\n")
	f("a thesis", "a thesis\n")
	long := numbered(2)
	long.Answer = strings.Repeat("x", 3*flushBytes)
	half := string(long.AppendJSON(nil))
	f(row+"\n"+half[:len(half)-9], row+"\n")
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

// While a new file cannot be opened, rows are held back, and Reopen says why.
func TestJSONLRotationFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "records")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	line := int64(len(numbered(0).AppendJSON(nil)) + 1)
	j := openForTest(t, filepath.Join(dir, "r.jsonl"), line, 0)
	record(t, j, 0)
	flushed(t, j)
	if err := os.RemoveAll(dir); err != nil { // with the first line
		t.Fatal(err)
	}
	record(t, j, 1)
	if err := j.Reopen(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Reopen = %v, want ErrNotExist", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
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
	if diff := cmp.Diff([]string{"1", "2", "3"}, recorded(t, dir)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// flushed waits until all rows are written.
func flushed(t *testing.T, j *JSONL) {
	t.Helper()
	for range 500 {
		j.wake()
		j.mu.Lock()
		held := j.held
		j.mu.Unlock()
		if held == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("rows are not written")
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
	flushed(t, j)
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
	if _, err := OpenJSONL(filepath.Join(t.TempDir(), "none", "r.jsonl"), JSONLOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("OpenJSONL in a directory that does not exist = %v, want ErrNotExist", err)
	}
}

// disk is a file with room for some bytes.
type disk struct {
	mu      sync.Mutex
	content []byte
	room    int
	pipe    bool // what is written cannot be taken back
}

var errFull = errors.New("no space left")

func (d *disk) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := min(len(b), d.room)
	d.room -= n
	d.content = append(d.content, b[:n]...)
	if n < len(b) {
		return n, errFull
	}
	return n, nil
}

func (d *disk) Seek(int64, int) (int64, error) {
	if d.pipe {
		return 0, errors.ErrUnsupported
	}
	return int64(len(d.bytes())), nil
}

func (d *disk) Truncate(size int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room += len(d.content) - int(size)
	d.content = d.content[:size]
	return nil
}

func (*disk) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }
func (*disk) Sync() error                      { return nil }
func (*disk) Close() error                     { return nil }

func (d *disk) bytes() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.content)
}

func (d *disk) setRoom(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = n
}

// startForTest starts a recorder that writes to a fake file, and returns it with its
// log.
func startForTest(t *testing.T, file jsonlFile, maxBytes int64) (*JSONL, *bytes.Buffer) {
	t.Helper()
	log := new(bytes.Buffer) // to be read while the writer is idle
	o := JSONLOptions{MaxBytes: maxBytes, Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))}
	j := &JSONL{path: "r.jsonl", o: o, now: time.Now, open: func(string) (jsonlFile, int64, error) { return file, 0, nil }}
	if err := j.start(); err != nil {
		t.Fatal(err)
	}
	return j, log
}

// Rows for which a full disk has no room are held back and written later, and only
// those that are not are reported as lost. A file that can be cut has whole lines at
// all times.
func TestJSONLFullDisk(t *testing.T) {
	for _, pipe := range []bool{false, true} {
		t.Run(fmt.Sprintf("pipe %t", pipe), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &disk{room: len(numbered(0).AppendJSON(nil)) + 100, pipe: pipe} // within the second line
				j, log := startForTest(t, d, 0)
				record(t, j, 0)
				record(t, j, 1)
				time.Sleep(2 * flushEvery)
				synctest.Wait()
				if !pipe {
					if diff := cmp.Diff([]string{"0"}, idsOf(t, d.bytes())); diff != "" {
						t.Errorf("records on the full disk (-want +got):\n%s", diff)
					}
				}
				record(t, j, 2) // held back, not lost
				if err := j.Reopen(); !errors.Is(err, errFull) {
					t.Errorf("Reopen on a full disk = %v, want %v", err, errFull)
				}
				long := numbered(3)
				long.Answer = strings.Repeat("x", heldBytes)
				if err := j.Record(t.Context(), long); !errors.Is(err, errFull) || !strings.Contains(err.Error(), "lost") {
					t.Errorf("Record of more than is held back = %v, want it lost", err)
				}
				if got := j.Lost(); got != 1 {
					t.Errorf("%d rows are lost, want 1", got)
				}
				d.setRoom(1 << 30)
				time.Sleep(2 * flushEvery)
				synctest.Wait()
				record(t, j, 4)
				if err := j.Close(); !errors.Is(err, errFull) || !strings.Contains(err.Error(), "r.jsonl: rows lost: 1: ") {
					t.Errorf("Close after a loss = %v, want %v and one lost row", err, errFull)
				}
				if diff := cmp.Diff([]string{"0", "1", "2", "4"}, idsOf(t, d.bytes())); diff != "" {
					t.Errorf("records (-want +got):\n%s", diff)
				}
				want := `level=ERROR msg="records cannot be written; up to 4 MiB are held back, further ones are lost" path=r.jsonl error="write records: no space left"
level=ERROR msg="records are being lost" path=r.jsonl error="write records: no space left"
level=WARN msg="records are written again" path=r.jsonl lost=1
`
				if diff := cmp.Diff(want, log.String()); diff != "" {
					t.Errorf("log (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// If the disk stays full, Close says how many rows are lost.
func TestJSONLFullAtClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: 10}
		j, _ := startForTest(t, d, 0)
		record(t, j, 0)
		record(t, j, 1)
		if err := j.Close(); !errors.Is(err, errFull) || !strings.Contains(err.Error(), "r.jsonl: rows lost: 2: ") {
			t.Errorf("Close = %v, want %v and two lost rows", err, errFull)
		}
		if got := j.Lost(); got != 2 {
			t.Errorf("%d rows are lost, want 2", got)
		}
		if got := d.bytes(); len(got) > 0 {
			t.Errorf("the file ends within a line: %q", got)
		}
	})
}

// stalled is a file whose writes hang until it is released.
type stalled struct {
	disk
	release chan struct{}
}

func (s *stalled) Write(b []byte) (int, error) {
	<-s.release
	return s.disk.Write(b)
}

// If a file hangs, such as one on a network, only one second in all is spent in Record,
// and five in Close.
func TestJSONLStalledFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stalled{disk: disk{room: 1 << 30}, release: make(chan struct{})}
		j, log := startForTest(t, s, 0)
		long := numbered(1)
		long.Answer = strings.Repeat("x", heldBytes/3)
		begin := time.Now()
		for range 2 {
			if err := j.Record(t.Context(), long); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(begin); took != stallAfter {
			t.Errorf("Record of a second row takes %v, want %v", took, stallAfter)
		}
		for range 10 {
			if err := j.Record(t.Context(), long); !errors.Is(err, errStalled) {
				t.Errorf("Record = %v, want %v", err, errStalled)
			}
		}
		if took := time.Since(begin); took != stallAfter {
			t.Errorf("Record takes %v in all, want %v", took, stallAfter)
		}
		close(s.release)
		time.Sleep(quietAfter + 2*flushEvery)
		synctest.Wait()
		if got, want := j.Lost(), int64(10); got != want || !strings.Contains(log.String(), "records are written again") || !strings.Contains(log.String(), "lost=10") {
			t.Errorf("lost %d, log %s, want %d in both", got, log, want)
		}
		s.release = make(chan struct{})
		record(t, j, 2)
		begin = time.Now()
		if err := j.Close(); !errors.Is(err, errStalled) || !strings.Contains(err.Error(), "r.jsonl: rows lost: 11: ") {
			t.Errorf("Close = %v, want %v and eleven lost rows", err, errStalled)
		}
		if took := time.Since(begin); took != closeAfter {
			t.Errorf("Close takes %v, want %v", took, closeAfter)
		}
		if !strings.Contains(log.String(), `msg="records were lost" path=r.jsonl lost=1 `) {
			t.Errorf("log %s, want the row that Close lost", log)
		}
		close(s.release) // or the writer never ends
	})
}

// However many rows are lost, and however often a disk that is nearly full takes some in
// between, the log has one line when writing fails, one for the first loss and one with the
// number of losses when writing has worked for a while.
func TestJSONLLogsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{}
		j, log := startForTest(t, d, 0)
		long := numbered(1)
		long.Answer = strings.Repeat("x", heldBytes/8)
		for range 100 {
			for range 20 { // some of which are lost, between short ones that are not
				err := j.Record(t.Context(), long)
				if logged, ok := errors.AsType[interface {
					error
					Logged() bool
				}](err); err != nil && (!ok || !logged.Logged()) {
					t.Fatalf("Record = %v, want an error that says that it is logged", err)
				}
				record(t, j, 2)
			}
			d.setRoom(1 << 30)
			time.Sleep(3 * flushEvery)
			d.setRoom(0)
			record(t, j, 3)
			time.Sleep(3 * flushEvery)
		}
		lost := j.Lost()
		d.setRoom(1 << 30)
		time.Sleep(quietAfter + 3*flushEvery)
		synctest.Wait()
		want := fmt.Sprintf(`level=ERROR msg="records cannot be written; up to 4 MiB are held back, further ones are lost" path=r.jsonl error="write records: no space left"
level=ERROR msg="records are being lost" path=r.jsonl error="write records: no space left"
level=WARN msg="records are written again" path=r.jsonl lost=%d
`, lost)
		if diff := cmp.Diff(want, log.String()); diff != "" || lost < 100 {
			t.Errorf("%d rows are lost; log (-want +got):\n%s", lost, diff)
		}

		log.Reset()
		d.setRoom(0)
		record(t, j, 4)
		time.Sleep(3 * flushEvery)
		if err := j.Close(); err == nil {
			t.Error("Close on a full disk succeeds")
		}
		want = `level=ERROR msg="records cannot be written; up to 4 MiB are held back, further ones are lost" path=r.jsonl error="write records: no space left"
level=ERROR msg="records were lost" path=r.jsonl lost=1 error="write records: no space left"
`
		if diff := cmp.Diff(want, log.String()); diff != "" {
			t.Errorf("log until the end (-want +got):\n%s", diff)
		}
	})
}

// A recorder without a log leaves it to its caller to log what is lost.
func TestJSONLWithoutLog(t *testing.T) {
	j := openForTest(t, filepath.Join(t.TempDir(), "r.jsonl"), 0, 0)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	err := j.Record(t.Context(), numbered(1))
	if logged, ok := errors.AsType[interface {
		error
		Logged() bool
	}](err); ok && logged.Logged() {
		t.Errorf("Record = %v, which says that it is logged", err)
	}
}

// The buffer is written within a second.
func TestJSONLFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: 1 << 20}
		j, _ := startForTest(t, d, 0)
		record(t, j, 1)
		time.Sleep(flushEvery)
		synctest.Wait()
		if got := idsOf(t, d.bytes()); len(got) != 1 {
			t.Errorf("%d lines are written after a second, want 1", len(got))
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// After the clock was set back, the earliest files are still the ones that are deleted.
func TestJSONLClockSetBack(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "r.jsonl")
	line := int64(len(numbered(0).AppendJSON(nil)) + 1)
	now := time.Date(2026, 11, 24, 17, 1, 2, 0, time.UTC)
	id := 0
	for range 3 { // processes, each an hour earlier than the one before
		j := openForTest(t, path, line, 2)
		j.now = func() time.Time { return now }
		for range 2 {
			record(t, j, id)
			id++
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if want := int64(max(id-4, 0)); id == 6 && j.Pruned() != want {
			t.Errorf("%d rows are pruned, want %d", j.Pruned(), want)
		}
		now = now.Add(-time.Hour)
	}
	if diff := cmp.Diff([]string{"3", "4", "5"}, recorded(t, dir)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	want := []string{"r-20261124T170102.003Z.jsonl", "r-20261124T170102.004Z.jsonl", "r.jsonl"}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// A file that cannot be renamed exceeds its limit, and no row is lost.
func TestJSONLRenameFails(t *testing.T) {
	d := &disk{room: 1 << 20}
	j, log := startForTest(t, d, 1)
	j.path = "nul\x00.jsonl" // a name that no system allows
	for id := range 3 {
		record(t, j, id)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if got := idsOf(t, d.bytes()); len(got) != 3 || strings.Count(log.String(), "cannot be renamed") != 1 {
		t.Errorf("records %v, log %s, want three records and one line", got, log)
	}
}

// Texts that clients and providers write are recorded up to a limit.
func TestJSONLBoundsTexts(t *testing.T) {
	long := strings.Repeat("é", 10<<20)
	a := commonAttempt()
	a.RequestID, a.Session, a.UpstreamModel, a.AnswerID, a.UpstreamRequestID, a.ErrorCode, a.Error = long, long, long, long, long, long, long
	path := filepath.Join(t.TempDir(), "r.jsonl")
	j := openForTest(t, path, 0, 0)
	if err := j.Record(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if a.Session != long {
		t.Error("Record changed the attempt")
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parse(bytes.TrimSpace(content))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text  string
		limit int
	}{{got.RequestID, maxName}, {got.Session, maxName}, {got.UpstreamModel, maxName}, {got.AnswerID, maxName}, {got.UpstreamRequestID, maxName}, {got.ErrorCode, maxName}, {got.Error, maxError}} {
		if n := len(c.text); n > c.limit || n < c.limit-utf8.UTFMax || !utf8.ValidString(c.text) || strings.Contains(c.text, "\ufffd") || !strings.HasSuffix(c.text, "é… (20971520 bytes)") {
			t.Errorf("%d bytes are recorded as %d: %q", len(long), n, c.text)
		}
	}
	for _, n := range []int{maxName, maxName + 1} {
		if got := cut(strings.Repeat("x", n), maxName); len(got) != maxName {
			t.Errorf("a name of %d bytes is recorded with %d, want %d", n, len(got), maxName)
		}
	}
}

func BenchmarkJSONLRecord(b *testing.B) {
	j, err := OpenJSONL(filepath.Join(b.TempDir(), "r.jsonl"), JSONLOptions{MaxBytes: 100 << 20, Keep: 1})
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

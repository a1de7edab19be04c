package record

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestJSONLDevFull(t *testing.T) {
	j := openForTest(t, "/dev/full", 0, 0)
	record(t, j, 1)
	if err := j.Close(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Close = %v, want ENOSPC", err)
	}
	if got := j.Lost(); got != 1 {
		t.Errorf("%d rows are lost, want 1", got)
	}
}

// A named pipe whose reader stalls holds up nobody for long, and its
// reader gets whole lines.
func TestJSONLStalledPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.jsonl")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	reader, err := os.OpenFile(path, os.O_RDWR, 0) // that reads nothing yet
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	j := openForTest(t, path, 1, 0) // a limit does not rotate a pipe
	a := numbered(1)
	a.Answer = strings.Repeat("x", 100_000) // more than a pipe holds
	begin := time.Now()
	for range 100 {
		_ = j.Record(t.Context(), a) // most are lost
	}
	if took := time.Since(begin); took > 2*stallAfter {
		t.Errorf("100 rows take %v, want %v at most", took, stallAfter)
	}
	if j.Lost() == 0 {
		t.Error("no row is lost, want some")
	}

	read := make(chan []byte)
	go func() {
		var got []byte
		block := make([]byte, 1<<16)
		for !bytes.Contains(got, []byte(`"request_id":"2"`)) || got[len(got)-1] != '\n' {
			n, err := reader.Read(block)
			if err != nil {
				break
			}
			got = append(got, block[:n]...)
		}
		read <- got
	}()
	flushed(t, j)
	lost := j.Lost()
	record(t, j, 2)
	flushed(t, j)
	if got, want := len(idsOfLong(t, <-read)), int(101-lost); got != want {
		t.Errorf("the reader has %d rows, want %d", got, want)
	}

	for range 3 {
		_ = j.Record(t.Context(), a)
	}
	begin = time.Now()
	if err := j.Close(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Close = %v, want a deadline exceeded", err)
	}
	if took := time.Since(begin); took > 3*stallAfter { // a write that is under way, and the last one
		t.Errorf("Close takes %v, want %v", took, 2*stallAfter)
	}
	if got, want := j.Lost(), lost+3; got != want {
		t.Errorf("%d rows are lost, want %d", got, want)
	}
}

// idsOfLong is idsOf for lines of any length.
func idsOfLong(t *testing.T, content []byte) []string {
	t.Helper()
	var ids []string
	for a, err := range Read(bytes.NewReader(content)) {
		if err != nil {
			t.Error(err)
			continue
		}
		ids = append(ids, a.RequestID)
	}
	return ids
}

// On a file system without room the file has whole lines, also when the process ends.
func TestJSONLSmallFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("mount: %v", err)
	}
	defer syscall.Unmount(dir, 0)
	path := filepath.Join(dir, "r.jsonl")
	j := openForTest(t, path, 0, 0)
	const rows = 1000
	for id := range rows {
		record(t, j, id)
	}
	ballast := filepath.Join(dir, "ballast")
	if err := j.Reopen(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Reopen = %v, want ENOSPC", err)
	}
	written := len(recorded(t, dir))
	if err := os.WriteFile(ballast, []byte("x"), 0o600); err == nil {
		os.Remove(ballast)
	}
	if err := j.Close(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Close = %v, want ENOSPC", err)
	}
	got := recorded(t, dir)
	if len(got) < written || written == 0 || int64(len(got))+j.Lost() != rows {
		t.Errorf("%d rows are recorded (%d before Close) and %d lost, want %d together", len(got), written, j.Lost(), rows)
	}
	if diff := cmp.Diff("0", got[0]); diff != "" {
		t.Error(diff)
	}
}

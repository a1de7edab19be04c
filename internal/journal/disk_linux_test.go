package journal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestFullDisk: on a full disk, a journal takes as much as was allocated in advance, then
// says that it is full, and takes entries again when there is space. It loses none that it
// took.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("mount: %v", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	j := open(t, filepath.Join(dir, "j"), Options{Segment: 64 << 10, Reserve: 512 << 10, Sync: time.Millisecond})
	defer j.Close()
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, make([]byte, 4<<20), 0o600); !noSpace(err) {
		t.Fatalf("the disk is not full: %v", err)
	}
	entry := bytes.Repeat([]byte("x"), 1000)
	taken := 0
	fill := func() error {
		for {
			if err := j.Append(entry); err != nil {
				return err
			}
			if taken++; taken > 5000 {
				return nil
			}
		}
	}
	if err := fill(); !errors.Is(err, ErrFull) {
		t.Fatalf("%v, want %v", err, ErrFull)
	}
	if taken*1000 < 448<<10 {
		t.Errorf("only %d kB were taken, of 512 that were allocated", taken)
	}
	got, to := readAll(t, j, Position{}, taken)
	if err := j.Release(to); err != nil {
		t.Fatal(err)
	}
	before := taken
	if err := fill(); !errors.Is(err, ErrFull) || taken-before < 400 {
		t.Errorf("%d more entries after the release of %d, %v", taken-before, len(got), err)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	if err := j.Append([]byte("the last one")); err != nil {
		t.Fatalf("with space again: %v", err)
	}
	got, _ = readAll(t, j, to, taken-before+1)
	if got[len(got)-1] != "the last one" {
		t.Errorf("the last entry is %.20q", got[len(got)-1])
	}
}

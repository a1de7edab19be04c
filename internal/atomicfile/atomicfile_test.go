package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// content returns a file's content, and fails unless the folder holds nothing
// else.
func content(t *testing.T, path string) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) > 1 {
		t.Errorf("the folder holds %v, %v, want one file", entries, err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	long := strings.Repeat("long ", 1<<16)
	for _, text := range []string{"first", long} {
		if err := Write(path, 0o644, func(w io.Writer) error { _, err := io.WriteString(w, text); return err }); err != nil {
			t.Fatal(err)
		}
		if got := content(t, path); got != text {
			t.Errorf("the file holds %d bytes, want %d", len(got), len(text))
		}
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v, want 644", info.Mode(), err)
	}
}

func TestWriteFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	fault := errors.New("fault")
	err := Write(path, 0o644, func(w io.Writer) error {
		io.WriteString(w, "new")
		if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), Leftovers)); err != nil || len(left) != 1 {
			t.Errorf("Leftovers matches %v, %v, want one file", left, err)
		}
		return fault
	})
	if err != fault {
		t.Errorf("Write = %v, want %v", err, fault)
	}
	if got := content(t, path); got != "old" {
		t.Errorf("the file holds %q, want what it held before", got)
	}
	err = Write(filepath.Join(path, "no folder"), 0o644, func(io.Writer) error { return nil })
	if err == nil {
		t.Error("Write into a file succeeds")
	}
	err = Write(filepath.Join(t.TempDir(), "none", "f"), 0o644, func(io.Writer) error { return nil })
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Write into no folder = %v, want %v", err, fs.ErrNotExist)
	}
}

package readfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carrot-router/carrot/internal/readfile"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(path, []byte("four"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, link} {
		if data, err := readfile.Read(name, 4); string(data) != "four" || err != nil {
			t.Errorf("Read(%s) = %q, %v", name, data, err)
		}
	}
	if _, err := readfile.Read(path, 3); !errors.Is(err, readfile.ErrTooLarge) || !strings.HasSuffix(err.Error(), "larger than the limit of 3 bytes") {
		t.Errorf("Read of 4 bytes with a limit of 3 = %v, want ErrTooLarge", err)
	}
	for _, name := range []string{dir, os.DevNull} {
		if _, err := readfile.Read(name, 4); !errors.Is(err, readfile.ErrNotRegular) {
			t.Errorf("Read(%s) = %v, want ErrNotRegular", name, err)
		}
	}
	if _, err := readfile.Read(filepath.Join(dir, "none"), 4); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read of no file = %v, want ErrNotExist", err)
	}
}

// TestReadGrowing: files whose size is not known in advance, such as those in
// /proc, are read whole.
func TestReadGrowing(t *testing.T) {
	const path = "/proc/self/status"
	want, err := os.ReadFile(path)
	if err != nil {
		t.Skip("there is no", path)
	}
	data, err := readfile.Read(path, 1<<20)
	if err != nil || len(data) < len(want)/2 {
		t.Errorf("Read(%s) = %d bytes, %v, want about %d", path, len(data), err, len(want))
	}
	if _, err := readfile.Read(path, 10); !errors.Is(err, readfile.ErrTooLarge) {
		t.Errorf("Read(%s) with a limit of 10 bytes = %v, want ErrTooLarge", path, err)
	}
}

// TestReadOwn: links and files of others are refused, whatever they hold.
func TestReadOwn(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(path, []byte("four"), 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := readfile.ReadOwn(path, 4); string(data) != "four" || err != nil {
		t.Errorf("ReadOwn = %q, %v, want the content", data, err)
	}
	if _, err := readfile.ReadOwn(path, 3); !errors.Is(err, readfile.ErrTooLarge) {
		t.Errorf("ReadOwn with a limit of 3 = %v, want ErrTooLarge", err)
	}
	if _, err := readfile.ReadOwn(filepath.Join(dir, "none"), 4); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadOwn of no file = %v, want ErrNotExist", err)
	}
	if err := readfile.CheckOwnFolder(dir); err != nil {
		t.Errorf("CheckOwnFolder = %v", err)
	}
	if err := readfile.CheckOwnFolder(path); err == nil || !strings.Contains(err.Error(), "not a folder") {
		t.Errorf("CheckOwnFolder of a file = %v", err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Skip(err)
	}
	if _, err := readfile.ReadOwn(link, 4); !errors.Is(err, readfile.ErrNotRegular) {
		t.Errorf("ReadOwn of a link = %v, want ErrNotRegular", err)
	}
	if err := errors.Join(os.Chown(path, 12345, -1), os.Chown(dir, 12345, -1)); err != nil {
		t.Skip("only root can give files away: ", err)
	}
	if _, err := readfile.ReadOwn(path, 4); !errors.Is(err, readfile.ErrForeign) || !strings.Contains(err.Error(), path) {
		t.Errorf("ReadOwn of another user's file = %v, want ErrForeign", err)
	}
	if err := readfile.CheckOwnFolder(dir); !errors.Is(err, readfile.ErrForeign) {
		t.Errorf("CheckOwnFolder of another user's folder = %v, want ErrForeign", err)
	}
}

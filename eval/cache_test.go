package eval

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carrot-router/carrot/table"
)

// cached fits a router with a cache in a folder, and returns how often it was fitted
// and what the report notes.
func cached(t *testing.T, task *table.Table, dir string) (fits int, notes []string) {
	t.Helper()
	who := contender(t, quick)
	e, err := runParts(t.Context(), who.name, who.how, task, parts(t, task), runOptions{Cache: cache{Dir: dir}, Progress: func(doing string, _, _ int) {
		if strings.Contains(doing, "fitting") {
			fits++
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	return fits, e.notes
}

// kept returns the paths of the fitted routers in a folder.
func kept(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the cache holds %v, %v, want a file", files, err)
	}
	return files
}

// TestCachePrivate: others can neither read nor write what is kept.
func TestCachePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "fitted", "program")
	cached(t, world(t, 200), dir)
	for path, want := range map[string]os.FileMode{dir: 0o700, kept(t, dir)[0]: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want mode %o", path, info.Mode(), err, want)
		}
	}
}

// TestCacheLinks: links are neither read nor written through, whether they stand
// for a fitted router or for the folder.
func TestCacheLinks(t *testing.T) {
	task := world(t, 200)
	dir := filepath.Join(t.TempDir(), "program")
	cached(t, task, dir)
	file := kept(t, dir)[0]
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), "precious")
	if err := os.Rename(file, elsewhere); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, file); err != nil {
		t.Skip(err)
	}
	fits, notes := cached(t, task, dir)
	if fits == 0 || len(notes) == 0 || !strings.Contains(notes[0], file) || !strings.Contains(notes[0], "not a regular file") {
		t.Errorf("a link to a fitted router: %d fits, notes %q, want notes that name it", fits, notes)
	}
	if err := os.WriteFile(elsewhere, []byte("a thesis"), 0o600); err != nil {
		t.Fatal(err)
	}
	cached(t, task, dir)
	if text, err := os.ReadFile(elsewhere); string(text) != "a thesis" {
		t.Errorf("the file that a link leads to holds %.40q, %v", text, err)
	}

	folder := filepath.Join(t.TempDir(), "link")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, folder); err != nil {
		t.Fatal(err)
	}
	fits, notes = cached(t, task, folder)
	if fits == 0 || len(notes) == 0 || !strings.Contains(notes[0], "not a folder") {
		t.Errorf("a link to a folder: %d fits, notes %q, want notes", fits, notes)
	}
	if fits, notes = cached(t, task, dir); fits != 0 || len(notes) != 0 {
		t.Errorf("the folder itself: %d fits, notes %q, want none", fits, notes)
	}
}

// TestCacheOfAnother: what belongs to another user is not used.
func TestCacheOfAnother(t *testing.T) {
	task := world(t, 200)
	for _, what := range []string{"file", "folder"} {
		dir := filepath.Join(t.TempDir(), "program")
		cached(t, task, dir)
		path := dir
		if what == "file" {
			path = kept(t, dir)[0]
		}
		if err := os.Chown(path, 12345, -1); err != nil {
			t.Skip("only root can give a file away: ", err)
		}
		fits, notes := cached(t, task, dir)
		if fits == 0 || len(notes) == 0 || !strings.Contains(notes[0], path) || !strings.Contains(notes[0], "belongs to another user") {
			t.Errorf("a %s of another user: %d fits, notes %q, want notes that name it", what, fits, notes)
		}
	}
}

// TestCacheRemovesItsOwn: only old folders of other builds are removed, not what
// else is in the folder.
func TestCacheRemovesItsOwn(t *testing.T) {
	all := t.TempDir()
	old := time.Now().Add(-2 * unusedFor)
	build, fresh := strings.Repeat("0a", 16), strings.Repeat("0b", 16)
	for _, name := range []string{build, fresh, "thesis"} {
		if err := os.Mkdir(filepath.Join(all, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if name != fresh {
			if err := os.Chtimes(filepath.Join(all, name), old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	newCache(all)
	for name, want := range map[string]bool{build: false, fresh: true, "thesis": true} {
		if _, err := os.Stat(filepath.Join(all, name)); (err == nil) != want {
			t.Errorf("%s: %v, want there: %t", name, err, want)
		}
	}
}

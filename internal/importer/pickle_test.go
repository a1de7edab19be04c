package importer

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot/dataset"
)

// The error about a refused pickle names what Python would have run.
func TestImportRefusesMaliciousPickle(t *testing.T) {
	src := writeFile(t, filepath.Join(t.TempDir(), "t.pkl"), []byte("\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."))
	_, err := Import(t.Context(), "routerbench", src, filepath.Join(t.TempDir(), "out"), Options{})
	bad, ok := errors.AsType[*dataset.FormatError](err)
	if !ok || bad.File != src || !strings.Contains(bad.Reason, "posix.system") || !strings.Contains(bad.Hint, "do not open this one with Python") {
		t.Errorf("error %v, want an error that names posix.system", err)
	}
}

// A value that is neither text nor a number makes only its own row bad.
func TestScanPickleBadCells(t *testing.T) {
	path := filepath.Join("testdata", "routerbench", "pandas2.2-other.pkl")
	var bad []string
	hooks := scanHooks{columns: func([]string) ([]string, error) { return []string{"list", "big"}, nil },
		bad: func(e *dataset.FormatError) error { bad = append(bad, strings.TrimPrefix(e.Error(), path)); return nil }}
	got, err := scanned(t, scanPickle, path, hooks)
	if diff := cmp.Diff([]string{`4 list="1.5" big="9223372036854775808"`}, got); diff != "" || err != nil {
		t.Errorf("error %v, rows (-want +got):\n%s", err, diff)
	}
	want := []string{":1: field list: is a list, not a text or a number", ":2: field list: is a tuple, not a text or a number",
		":3: field list: is an integer of more than 64 bits, not a text or a number"}
	if diff := cmp.Diff(want, bad); diff != "" {
		t.Errorf("bad rows (-want +got):\n%s", diff)
	}
	hooks.columns = func([]string) ([]string, error) { return []string{"complex"}, nil }
	if _, err := scanned(t, scanPickle, path, hooks); err == nil || err.Error() != path+": field complex: is a column of type c16, not of text or numbers" {
		t.Errorf("reading complex numbers: error %v", err)
	}
}

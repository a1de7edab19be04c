package main

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/exampledata"
	"github.com/carrot-router/carrot/price"
)

// TestRun: every experiment makes its table on invented outcomes, the same bytes each time.
func TestRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "example")
	if err := exampledata.New(price.CountTokens).WriteDirWith(dir, dataset.WriteOptions{Plain: true}); err != nil {
		t.Fatal(err)
	}
	for experiment, want := range map[string]string{
		"offpolicy": "| all | 6 | ", "train": "| 400 | by gap | ", "promote": "| 20% | +0.0000 | ", "whatif": "| all | |  | ",
	} {
		var out, again bytes.Buffer
		args := []string{"-seeds", "1", "-simulations", "6", "-requests", "400", "-predictor", "ridge:alpha=5", experiment, dir}
		for _, to := range []io.Writer{&out, &again} {
			if err := run(t.Context(), args, to, io.Discard); err != nil {
				t.Fatalf("%s: %v", experiment, err)
			}
		}
		if !strings.Contains(out.String(), want) || out.String() != again.String() {
			t.Errorf("%s: want %q, twice:\n%s\n%s", experiment, want, out.String(), again.String())
		}
	}
	for _, args := range [][]string{{}, {"train"}, {"guess", dir}, {"-models", "nobody", "train", dir}, {"-seeds", "0", "train", dir}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("run(%q) succeeds", args)
		}
	}
}

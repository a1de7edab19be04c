package main

import (
	"io"
	"strings"
	"testing"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/exampledata"
	"github.com/carrot-router/carrot/price"
)

// A model that borrows from itself loses nothing, and another one loses what their
// outcomes say.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	set := exampledata.New(price.CountTokens)
	if err := set.WriteDirWith(dir, dataset.WriteOptions{Plain: true}); err != nil {
		t.Fatal(err)
	}
	measure := func(pairs string) string {
		t.Helper()
		var out strings.Builder
		if err := run(t.Context(), []string{"-predictor", "ridge", "-pairs", pairs, dir}, &out, io.Discard); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	small, large := "radish-mini", "pumpkin-large"
	if got := measure(small + "=" + small); !strings.Contains(got, "0.000 if the newer model is assumed to be as good, 0.000 by the figures") || !strings.Contains(got, "1.00 of the effect is kept") {
		t.Errorf("a model that borrows from itself:\n%s", got)
	}
	if got := measure(small + "=" + large); strings.Contains(got, "error: 0.000") || strings.Contains(got, "NaN") || !strings.Contains(got, "| "+small+" | "+large+" |") {
		t.Errorf("a model that borrows from another:\n%s", got)
	}
	for _, wrong := range [][]string{{}, {"-pairs", "a", dir}, {"-pairs", "a=b", dir}, {"nowhere"}} {
		if err := run(t.Context(), wrong, io.Discard, io.Discard); err == nil {
			t.Errorf("run %q succeeds", wrong)
		}
	}
}

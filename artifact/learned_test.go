package artifact_test

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot/artifact"
)

// learned is a correction of the tiny router.
func learned() artifact.Learned {
	se := 0.02
	return artifact.Learned{
		Correction: artifact.Correction{Quality: []float64{0.1, -0.2, 0}, Tokens: []float64{1, 1.5, 1}},
		QualitySE:  []*float64{&se, &se, nil}, TokensSE: []*float64{&se, &se, nil}, Rows: []int{300, 200, 0},
		From: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC),
	}
}

// TestCorrect: a corrected router is saved with what it learnt, decides with it, and
// lists the routers of the same fit that decided before.
func TestCorrect(t *testing.T) {
	start, err := artifact.Parse(encode(t, tiny(t, tinySpec)))
	if err != nil {
		t.Fatal(err)
	}
	first, err := start.Correct(learned())
	if err != nil {
		t.Fatal(err)
	}
	saved, err := artifact.Parse(encode(t, first))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first.Manifest, saved.Manifest); diff != "" {
		t.Errorf("manifest (-written +read):\n%s", diff)
	}
	before, after := decisions(t, start), decisions(t, saved)
	for i := range before {
		b, a := before[i].Candidates[1], after[i].Candidates[1]
		if want := max(b.Quality-0.2, 0); math.Abs(a.Quality-want) > 1e-8 || math.Abs(a.OutputTokens-1.5*b.OutputTokens) > 1e-6 {
			t.Errorf("decision %d: quality %v and %v tokens, want %v and %v", i, a.Quality, a.OutputTokens, want, 1.5*b.OutputTokens)
		}
	}
	if len(start.Fingerprint) != 16 || start.Fingerprint == saved.Fingerprint {
		t.Errorf("fingerprints %q and %q, want two of 16 digits", start.Fingerprint, saved.Fingerprint)
	}
	second, err := saved.Correct(learned())
	if err != nil {
		t.Fatal(err)
	}
	want := []artifact.Correction{
		{Router: start.Fingerprint, Quality: []float64{0, 0, 0}, Tokens: []float64{1, 1, 1}},
		{Router: saved.Fingerprint, Quality: []float64{0.1, -0.2, 0}, Tokens: []float64{1, 1.5, 1}},
	}
	if diff := cmp.Diff(want, second.Manifest.Learned.Earlier); diff != "" {
		t.Errorf("earlier routers (-want +got):\n%s", diff)
	}
	if start.Manifest.Format != artifact.Format || start.Manifest.Learned != nil {
		t.Errorf("the start has become %+v", start.Manifest)
	}
}

// TestCorrectedIsRefused: a program that knows of no corrections refuses the file by its
// format, and a file that says two things about its correction is refused.
func TestCorrectedIsRefused(t *testing.T) {
	start := tiny(t, tinySpec)
	corrected, err := start.Correct(learned())
	if err != nil {
		t.Fatal(err)
	}
	data := encode(t, corrected)
	if bytes.Contains(data, []byte(artifact.Format)) {
		t.Errorf("a corrected router says that it is %s, which programs without corrections would open", artifact.Format)
	}
	for name, edit := range map[string]func(m map[string]any, x tensors){
		"format":     func(m map[string]any, _ tensors) { m["format"] = artifact.Format },
		"no tensor":  func(_ map[string]any, x tensors) { delete(x, "head.correction") },
		"other":      func(m map[string]any, _ tensors) { m["learned"].(map[string]any)["quality"] = []float64{0, 0, 0} },
		"nothing":    func(m map[string]any, _ tensors) { delete(m, "learned") },
		"rows":       func(m map[string]any, _ tensors) { m["learned"].(map[string]any)["rows"] = []int{1} },
		"earlier":    func(m map[string]any, _ tensors) { m["learned"].(map[string]any)["earlier"] = []any{map[string]any{}} },
		"no numbers": func(m map[string]any, _ tensors) { m["learned"].(map[string]any)["tokens"] = nil },
	} {
		if _, err := artifact.Parse(rewrite(t, data, edit)); err == nil || !strings.Contains(err.Error(), "manifest: ") {
			t.Errorf("%s: Parse = %v, want an error of the manifest", name, err)
		}
	}
}

package exampledata_test

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/exampledata"
	"github.com/carrot-router/carrot/price"
)

// TestNew: the set is always the same, nothing in it is suspicious, and Load reads back
// what was written.
func TestNew(t *testing.T) {
	set := exampledata.New(price.CountTokens)
	if again := exampledata.New(price.CountTokens); again.Fingerprint != set.Fingerprint {
		t.Errorf("made twice, the set has the fingerprints %s and %s", set.Fingerprint, again.Fingerprint)
	}
	dir := t.TempDir()
	if err := set.WriteDirWith(dir, dataset.WriteOptions{Plain: true}); err != nil {
		t.Fatal(err)
	}
	back, err := dataset.Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	back.Name = set.Name
	if diff := cmp.Diff(set, back, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("the set is read back differently (-want +got):\n%s", diff)
	}
	d := set.Describe()
	if len(d.Suspicious) > 0 || d.Equal.Queries > 0 {
		t.Errorf("the set has suspicious rows or equal prompts:\n%s", d)
	}
	if d.Missing == 0 || d.Missing > d.Queries/20 {
		t.Errorf("%d outcomes are missing, want a few", d.Missing)
	}
	for _, source := range d.Sources {
		if source.Train == 0 || source.Validation == 0 || source.Test == 0 {
			t.Errorf("source %s lacks a split: %+v", source.Source, source)
		}
	}
}

// TestShape: what there is to learn is in the set. The most expensive model is the best
// on average, is not needed for easy prompts, and others match it on their subjects.
func TestShape(t *testing.T) {
	set := exampledata.New(price.CountTokens)
	column := map[string]int{}
	for j, m := range set.Models {
		column[m.Name] = j
	}
	mean := func(model, prefix, level string) float64 {
		sum, n := 0.0, 0
		for i, q := range set.Queries {
			if v := set.Score.At(i, column[model]); strings.HasPrefix(q.ID, prefix) && strings.Contains(q.ID, level) && !math.IsNaN(v) {
				sum, n = sum+v, n+1
			}
		}
		return sum / float64(n)
	}
	best := "pumpkin-large"
	for name := range column {
		if name != best && mean(name, "", "") > mean(best, "", "")-0.05 {
			t.Errorf("%s reaches %.3f on average, and %s %.3f", name, mean(name, "", ""), best, mean(best, "", ""))
		}
		if easy, hard := mean(name, "", "/easy/"), mean(name, "", "/hard/"); hard > easy-0.05 {
			t.Errorf("%s reaches %.3f on easy prompts and %.3f on hard ones", name, easy, hard)
		}
	}
	for model, subject := range map[string]string{"parsnip-coder": "code/", "leek-reader": "reading/"} {
		if got, want := mean(model, subject, ""), mean(best, subject, ""); got < want-0.06 {
			t.Errorf("%s reaches %.3f on %s and %s %.3f", model, got, subject, best, want)
		}
	}
	if got := mean("turnip-small", "arithmetic/", "/easy/"); got < 0.9 {
		t.Errorf("turnip-small reaches %.3f on easy arithmetic", got)
	}
}

package eval

import (
	"slices"
	"strings"
	"testing"
)

// TestCommonWords: the list of the search has 500 different lower-case words.
func TestCommonWords(t *testing.T) {
	words := strings.Fields(commonWords)
	if len(words) != 500 || !slices.IsSorted(words) || len(slices.Compact(slices.Clone(words))) != 500 {
		t.Errorf("%d words: want 500 different ones in order", len(words))
	}
	for _, w := range words {
		if strings.Trim(w, "abcdefghijklmnopqrstuvwxyz") != "" {
			t.Errorf("word %q", w)
		}
	}
}

// TestSuffixSearch: a suffix is searched for a predictor of this module, on other queries
// than it is measured on, and abstentions and novelty are told.
func TestSuffixSearch(t *testing.T) {
	set := world(t, 60).Set
	r := evaluate(t, set, Options{Folds: 2, Robustness: true, Contenders: []Contender{Predictor("sparse", spec(t, quick))}})
	s := line(t, r, "sparse").SuffixSearch
	if s == nil || s.FoundOn < 1 || s.FoundOn+s.Queries > r.Queries || len(strings.Fields(s.Suffix)) > suffixWords || !(s.Bill > 0 && s.Kept >= 0 && s.Kept <= 1+1e-9) {
		t.Fatalf("searched suffix %+v", s)
	}
	if line(t, r, "mean").SuffixSearch != nil {
		t.Error("a suffix is searched for the mean")
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "searched suffix") {
		t.Errorf("%v\n%s", err, text.String())
	}
	r = evaluate(t, set, Options{LeaveSourcesOut: true, Contenders: []Contender{Predictor("sparse", spec(t, quick))}})
	if l := line(t, r, "sparse"); l.NoveltyAUC == nil || *l.NoveltyAUC < 0 || *l.NoveltyAUC > 1 || l.Sources[0].NoveltyAUC == nil {
		t.Errorf("AUC of novelty %v", l.NoveltyAUC)
	}
}

package importer

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carrot-router/carrot/dataset"
)

// comparison counts how the rows of a data folder differ from those of another
// one, the reference.
type comparison struct {
	queries, outcomes, answers, models int // that are equal
	differences                        []string
}

func (c *comparison) differs(format string, args ...any) {
	c.differences = append(c.differences, fmt.Sprintf(format, args...))
}

// compare compares every query, outcome, answer and model of want with got.
// Queries of got that want lacks are differences too, unless they are marked test.
func compare(got, want *dataset.Set) *comparison {
	c := &comparison{}
	compareModels(c, got, want)
	rows := make(map[string]int, len(got.Queries))
	for i, q := range got.Queries {
		rows[q.ID] = i
	}
	known, last := make(map[string]bool, len(want.Queries)), -1
	for k, q := range want.Queries {
		known[q.ID] = true
		i, ok := rows[q.ID]
		if ok && i < last {
			c.differs("query %s comes earlier than in the reference", q.ID)
		}
		last = max(last, i)
		switch {
		case !ok:
			c.differs("query %s is missing", q.ID)
			continue
		case got.Queries[i].Prompt != q.Prompt:
			c.differs("query %s has another prompt", q.ID)
		case got.Queries[i] != q:
			c.differs("query %s: split %s, source %s, want %s, %s", q.ID, got.Queries[i].Split, got.Queries[i].Source, q.Split, q.Source)
		default:
			c.queries++
		}
		compareRow(c, got, want, i, k)
	}
	for _, q := range got.Queries {
		if !known[q.ID] && q.Split != dataset.SplitTest {
			c.differs("query %s of split %s is not in the reference", q.ID, q.Split)
		}
	}
	return c
}

// compareModels compares the names, prices and pool.
func compareModels(c *comparison, got, want *dataset.Set) {
	text := func(models []dataset.Model, j int) string {
		if j >= len(models) {
			return "nothing"
		}
		text, _ := models[j].MarshalJSON() // what was loaded can be written
		return string(text)
	}
	for j := range max(len(got.Models), len(want.Models)) {
		switch a, b := text(got.Models, j), text(want.Models, j); {
		case a != b:
			c.differs("model %d is %s, want %s", j, a, b)
		default:
			c.models++
		}
	}
}

// compareRow compares the outcomes and answers of row i of got with those of row k
// of want.
func compareRow(c *comparison, got, want *dataset.Set, i, k int) {
	same := func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }
	for m, model := range want.Models {
		j := slices.IndexFunc(got.Models, func(g dataset.Model) bool { return g.Name == model.Name })
		if j < 0 {
			continue // a difference of the models
		}
		equal, some := true, false
		for _, field := range []struct {
			name      string
			got, want dataset.Matrix
		}{{"score", got.Score, want.Score}, {"input_tokens", got.InputTokens, want.InputTokens}, {"output_tokens", got.OutputTokens, want.OutputTokens}} {
			a, b := field.got.At(i, j), field.want.At(k, m)
			some = some || !math.IsNaN(a) || !math.IsNaN(b)
			if !same(a, b) {
				equal = false
				c.differs("%s of %s: %s %v, want %v", want.Queries[k].ID, model.Name, field.name, a, b)
			}
		}
		if equal && some {
			c.outcomes++
		}
		if want.Answers == nil || !some {
			continue
		}
		if got.Answers == nil || got.Answers[i][j] != want.Answers[k][m] {
			c.differs("%s of %s: another answer", want.Queries[k].ID, model.Name)
		} else {
			c.answers++
		}
	}
}

// TestReference compares imported data folders with reference folders, row by
// row: CARROT_IMPORTED and CARROT_REFERENCE name them, separated by commas. See
// runs/public.sh.
func TestReference(t *testing.T) {
	dirs, references := os.Getenv("CARROT_IMPORTED"), os.Getenv("CARROT_REFERENCE")
	if dirs == "" || references == "" {
		t.Skip("CARROT_IMPORTED and CARROT_REFERENCE name no folders to compare")
	}
	want := strings.Split(references, ",")
	for i, dir := range strings.Split(dirs, ",") {
		if i >= len(want) {
			t.Fatalf("no reference for %s", dir)
		}
		c := compare(load(t, dir), load(t, want[i]))
		t.Logf("%s: equal are %d queries, %d outcomes, %d answers, %d models; %d differences",
			filepath.Base(dir), c.queries, c.outcomes, c.answers, c.models, len(c.differences))
		for _, text := range c.differences[:min(len(c.differences), 100)] {
			t.Error(text)
		}
	}
}

func load(t *testing.T, dir string) *dataset.Set {
	t.Helper()
	set, err := dataset.Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// A set is equal to itself without its test rows, and every kind of change is seen.
func TestCompare(t *testing.T) {
	dst := filepath.Join(t.TempDir(), "set")
	if _, err := Import(t.Context(), "zeroeval", "testdata/zeroeval", dst, Options{CountTokens: countWords}); err != nil {
		t.Fatal(err)
	}
	set := load(t, dst)
	var seen []int
	for i, q := range set.Queries {
		if q.Split != dataset.SplitTest {
			seen = append(seen, i)
		}
	}
	reference := set.Subset(seen, nil)
	c := compare(set, reference)
	if len(c.differences) > 0 || c.queries != len(seen) || c.outcomes != 12 || c.answers != 12 || c.models != len(set.Models) {
		t.Errorf("against itself: %+v", c)
	}
	f := func(change func(s *dataset.Set), want string) {
		t.Helper()
		changed := load(t, dst)
		change(changed)
		if c := compare(changed, reference); len(c.differences) != 1 || !strings.Contains(c.differences[0], want) {
			t.Errorf("differences %q, want one: %s", c.differences, want)
		}
	}
	f(func(s *dataset.Set) { s.Queries[1].Prompt += " " }, "gsm/gsm-#1 has another prompt")
	f(func(s *dataset.Set) { s.Queries[1].Split = dataset.SplitTest }, "query gsm/gsm-#1: split test, source gsm, want train, gsm")
	f(func(s *dataset.Set) { s.Queries[0].Split = dataset.SplitTrain }, "query gsm/gsm-#0 of split train is not in the reference")
	f(func(s *dataset.Set) { s.Score.Set(1, 0, 0) }, "gsm/gsm-#1 of Athene-70B: score 0, want 1")
	f(func(s *dataset.Set) { s.InputTokens.Set(1, 0, 22) }, "input_tokens 22, want 23")
	f(func(s *dataset.Set) { s.OutputTokens.Set(1, 0, math.NaN()) }, "output_tokens NaN, want 6")
	f(func(s *dataset.Set) { s.Answers[1][0] = "" }, "gsm/gsm-#1 of Athene-70B: another answer")
	f(func(s *dataset.Set) { s.Models[0].Pool = true }, `model 0 is {"name":"Athene-70B","input_usd_per_million":0.9,"output_usd_per_million":0.9,"pool":true}, want {`)
	if c := compare(set.Subset([]int{0, 2}, nil), set.Subset([]int{1, 2}, nil)); len(c.differences) != 1 || c.differences[0] != "query gsm/gsm-#1 is missing" || c.queries != 1 {
		t.Errorf("without a query: %+v", c)
	}
	if c := compare(set.Subset([]int{2, 1}, nil), set.Subset([]int{1, 2}, nil)); len(c.differences) != 1 || c.differences[0] != "query gsm/gsm-#2 comes earlier than in the reference" {
		t.Errorf("in another order: %+v", c)
	}
	if c := compare(set, set.Subset(seen, []int{1, 2, 3})); len(c.differences) != 4 || c.models != 0 {
		t.Errorf("with a model more: %+v", c)
	}
}

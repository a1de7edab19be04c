package dataset

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCoverage(t *testing.T) {
	nan := math.NaN()
	type outcome struct{ score, in, out, cost float64 }
	var (
		tokens   = outcome{1, 10, 5, nan}
		cost     = outcome{1, nan, nan, 0}
		bare     = outcome{1, nan, nan, nan}
		half     = outcome{1, 10, nan, nan}
		output   = outcome{1, nan, 5, nan}
		unscored = outcome{nan, 10, 5, 0.1}
		none     = outcome{nan, nan, nan, nan}
	)
	for _, tt := range []struct {
		name     string
		outcomes [][]outcome // of models a, b and c, of which c is not in the pool
		want     Coverage
	}{
		{"complete", [][]outcome{{tokens, cost, none}, {cost, tokens, bare}}, Coverage{Queries: 2, Complete: 2, Costed: true}},
		{"a missing outcome", [][]outcome{{tokens, tokens, none}, {tokens, none, tokens}}, Coverage{Queries: 2, Complete: 1, Costed: true}},
		{"a missing cost", [][]outcome{{tokens, tokens, none}, {tokens, bare, none}}, Coverage{Queries: 2, Complete: 1, Costed: true}},
		{"input tokens only", [][]outcome{{tokens, tokens, none}, {half, tokens, none}}, Coverage{Queries: 2, Complete: 1, Costed: true}},
		{"a missing score", [][]outcome{{tokens, unscored, none}, {tokens, tokens, none}}, Coverage{Queries: 2, Complete: 1, Costed: true}},
		{"a model without costs", [][]outcome{{tokens, bare, none}, {tokens, half, none}, {none, bare, none}}, Coverage{Queries: 3, Complete: 2, Costed: true, Uncosted: []string{"b"}}},
		{"output tokens only", [][]outcome{{output, tokens, none}, {output, tokens, none}}, Coverage{Queries: 2, Costed: true}},
		{"output tokens only, of every model", [][]outcome{{output, output, none}}, Coverage{Queries: 1, Costed: true}},
		{"no costs", [][]outcome{{bare, bare, tokens}, {bare, none, tokens}}, Coverage{Queries: 2, Complete: 1, Uncosted: []string{"a", "b"}}},
		{"a model without scores", [][]outcome{{tokens, unscored, none}, {tokens, none, tokens}}, Coverage{Queries: 2, Costed: true}},
		{"no scores", [][]outcome{{unscored, unscored, none}}, Coverage{Queries: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			models := []Model{{Name: "a", Pool: true}, {Name: "b", Pool: true}, {Name: "c"}}
			w, err := NewWriter(filepath.Join(t.TempDir(), "set"), WriteOptions{Columns: []string{ColumnCostUSD}})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			for i, row := range tt.outcomes {
				id := string(rune('0' + i))
				if err := w.Query(Query{ID: id, Prompt: id}); err != nil {
					t.Fatal(err)
				}
				for j, v := range row {
					o := NewOutcome(id, models[j].Name)
					o.Score, o.InputTokens, o.OutputTokens, o.CostUSD = v.score, v.in, v.out, v.cost
					if err := w.Outcome(o); err != nil {
						t.Fatal(err)
					}
				}
			}
			if diff := cmp.Diff(tt.want, w.Coverage(models)); diff != "" {
				t.Errorf("Coverage of the Writer (-want +got):\n%s", diff)
			}
			if err := w.Commit(models); err != nil {
				t.Fatal(err)
			}
			s, err := Load(t.Context(), w.dir)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, s.Coverage()); diff != "" {
				t.Errorf("Coverage of the Set (-want +got):\n%s", diff)
			}
		})
	}
	if got := new(Set).Coverage(); !cmp.Equal(got, Coverage{}) {
		t.Errorf("Coverage of the empty set = %+v", got)
	}
}

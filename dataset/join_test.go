package dataset

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// small returns a set of one model and one query, with a score.
func small(name, id, prompt, model string, score float64) *Set {
	s := &Set{Name: name, Queries: []Query{{ID: id, Split: SplitTrain, Source: "s", Prompt: prompt}},
		Models: []Model{{Name: model, InputUSDPerMillion: 1, OutputUSDPerMillion: 2, Pool: true}}}
	for _, m := range []*Matrix{&s.Score, &s.InputTokens, &s.OutputTokens} {
		*m = NewMatrix(1, 1)
	}
	s.Score.Set(0, 0, score)
	return s
}

func TestJoinOfPartsIsTheWhole(t *testing.T) {
	s := loadTiny(t)
	s.OutputTokens.Set(4, 0, 4) // as in row 0, which has the same prompt: the parts must agree
	s.Fingerprint = s.ComputeFingerprint()
	parts := []*Set{s.Subset([]int{0, 1, 2}, []int{0, 1, 2}), s.Subset([]int{2, 3, 4}, []int{2, 1, 0}), s.Subset([]int{1, 4}, []int{1})}
	joined, err := Join(parts, JoinOptions{Name: "tiny"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, joined, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("Join (-want +got):\n%s", diff)
	}
}

func TestJoinKeepsGivenPricesAndColumns(t *testing.T) {
	a, b := small("a", "1", "p", "m", 1), small("b", "2", "q", "m", 0)
	a.Models[0].InputUSDPerMillion, a.Models[0].OutputUSDPerMillion, a.Models[0].Pool = math.NaN(), math.NaN(), false
	b.CostUSD, b.Answers = NewMatrix(1, 1), [][]string{{"h"}}
	b.CostUSD.Set(0, 0, 3)
	joined, err := Join([]*Set{a, b}, JoinOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.Models, joined.Models); diff != "" || joined.Name != "a+b" {
		t.Errorf("%s: models (-want +got):\n%s", joined.Name, diff)
	}
	if got := fmt.Sprint(joined.Score.Data, joined.CostUSD.Data, joined.Answers); got != "[1 0] [NaN 3] [[] [h]]" {
		t.Errorf("outcomes are %s", got)
	}
}

func TestJoinMovesEqualPromptsToTheLatestSplit(t *testing.T) {
	a, b, c := small("a", "1", "p", "m", 1), small("b", "2", "p", "n", 0), small("c", "3", "p", "o", 0)
	b.Queries[0].Split, c.Queries[0].Split = SplitTest, SplitValidation
	var moved []string
	joined, err := Join([]*Set{a, b, c}, JoinOptions{Moved: func(id string, from, to Split) { moved = append(moved, fmt.Sprint(id, from, to)) }})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(joined.Rows(SplitTest)); got != 3 {
		t.Errorf("%d of 3 queries are in test", got)
	}
	if diff := cmp.Diff([]string{"1traintest", "3validationtest"}, moved); diff != "" {
		t.Errorf("moved (-want +got):\n%s", diff)
	}
}

func TestJoinRefuses(t *testing.T) {
	a := small("a", "1", "p", "m", 1)
	repriced, other, sourced := small("b", "2", "q", "m", 0), small("b", "1", "q", "m", 1), small("b", "1", "p", "m", 1)
	repriced.Models[0].OutputUSDPerMillion = 3
	sourced.Queries[0].Source = "else"
	answered, unlike := small("b", "1", "p", "m", 1), small("c", "1", "p", "m", 1)
	answered.Answers, unlike.Answers = [][]string{{"x"}}, [][]string{{"y"}}
	tests := []struct {
		sets []*Set
		opt  JoinOptions
		want string
	}{
		{nil, JoinOptions{}, "join: no sets"},
		{[]*Set{a, repriced}, JoinOptions{}, `join: model "m": output_usd_per_million is 2 in a and 3 in b`},
		{[]*Set{a, other}, JoinOptions{}, `join: query "1" has one prompt in a and another in b`},
		{[]*Set{a, sourced}, JoinOptions{}, `join: query "1" has one source in a and another in b`},
		{[]*Set{a, small("b", "1", "p", "m", 0)}, JoinOptions{}, `join: query "1", model "m": score is 1 in a and 0 in b`},
		{[]*Set{answered, unlike}, JoinOptions{}, `join: query "1", model "m": answer is "x" in b and "y" in c`},
		{[]*Set{a, small("b", "2", "p", "m", 0)}, JoinOptions{}, `join: queries "1" of a and "2" of b have the same prompt, and model "m" has score 1 on the first and 0 on the second`},
		{[]*Set{a, small("b", "2", "p", "n", 0)}, JoinOptions{Rename: map[string]string{"n": "m"}}, `join: queries "1" of a and "2" of b`},
		{[]*Set{a}, JoinOptions{Rename: map[string]string{"z": "m"}}, `join: rename "z": no set has that model`},
		{[]*Set{a}, JoinOptions{Rename: map[string]string{"m": ""}}, `join: rename "m": the new name is missing or empty`},
		{[]*Set{a}, JoinOptions{Pool: []string{"z"}}, `join: pool: no set has model "z"`},
		{[]*Set{loadTiny(t)}, JoinOptions{Rename: map[string]string{"acme-small": "acme-large"}}, `join: models "acme-large" and "acme-small" of tiny are both named "acme-large"`},
	}
	for _, tt := range tests {
		if _, err := Join(tt.sets, tt.opt); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("Join = %v, want %s", err, tt.want)
		}
	}
	if _, err := Join([]*Set{a, small("b", "2", "p", "m", 0)}, JoinOptions{Rename: map[string]string{"m": "n"}, Name: "x"}); err == nil {
		t.Error("renaming the model in both sets hides a conflict")
	}
}

package agreement

import (
	"errors"
	"strings"
	"testing"

	"github.com/carrot-router/carrot/dataset"
)

func TestReadLabels(t *testing.T) {
	labels, err := ReadLabels(t.Context(), strings.NewReader("model,id,score,annotator,probability\nm,1,0.5,ann,0.25\nm,1,1,bob,0.25\n"), "h.csv")
	if err != nil || len(labels) != 2 || labels[1] != (Label{"1", "m", "bob", 1, 4, 3}) {
		t.Errorf("%+v, %v", labels, err)
	}
	for _, one := range []struct{ text, want string }{
		{"", "h.csv: is empty: the header is missing"},
		{"id,model,score\n", "h.csv: has no rows"},
		{"id,model\n1,m\n", `h.csv:1: column "score" is missing`},
		{"id,model,score,rating\n", `h.csv:1: unknown column "rating"`},
		{"id,model,score,score\n", `h.csv:1: column "score" appears twice`},
		{"id,model,score,weight,probability\n", `h.csv:1: columns "weight" and "probability" are both there`},
		{"id,model,score\n1,m,good\n", `h.csv:2: field score: "good" is not a number from 0 to 1`},
		{"id,model,score\n1,m,\n", `h.csv:2: field score: "" is not a number from 0 to 1`},
		{"id,model,score\n1,m,NaN\n", `h.csv:2: field score: "NaN" is not a number from 0 to 1`},
		{"id,model,score\n1,m,5\n", `h.csv:2: field score: "5" is not a number from 0 to 1`},
		{"id,model,score\n,m,1\n", `h.csv:2: field id: is empty`},
		{"id,model,score\n1,,1\n", `h.csv:2: field model: is empty`},
		{"id,model,score\n1,m,1\n1,m,0\n", `h.csv:3: the answer of "m" to "1" has a score by the same annotator on line 2`},
		{"id,model,score,probability\n1,m,1,0\n", `h.csv:2: field probability: "0" is not a number above 0 and at most 1`},
		{"id,model,score,weight\n1,m,1,-1\n", `h.csv:2: field weight: "-1" is not a number above 0`},
		{"id,model,score,annotator,weight\n1,m,1,a,2\n1,m,1,b,3\n", `h.csv:3: the answer has another weight on line 2`},
		{"id,model,score\n1,m\n", `h.csv:2: 2 fields, but the header has 3`},
	} {
		_, err := ReadLabels(t.Context(), strings.NewReader(one.text), "h.csv")
		if _, ok := errors.AsType[*dataset.FormatError](err); !ok || err.Error() != one.want {
			t.Errorf("%q: %v, want %s", one.text, err, one.want)
		}
	}
}

func TestReadJudgements(t *testing.T) {
	var all []Judgement
	err := ReadJudgements(t.Context(), strings.NewReader(`{"id":"1","model":"m","repeat":1,"score":0.5,"final":"B","votes":[{"first":true,"score":0.5}]}

{"id":"2","model":"m","repeat":0,"score":null,"final":"","votes":[]}
`), "j.jsonl", func(j Judgement) error { all = append(all, j); return nil })
	if err != nil || len(all) != 2 || *all[0].Score != 0.5 || all[0].Votes[0] != (Vote{true, 0.5}) || all[1].Score != nil {
		t.Errorf("%+v, %v", all, err)
	}
	for _, one := range []struct{ text, want string }{
		{`{"id":"1"`, "j.jsonl:1: is not a judgement: "},
		{`{"id":1,"model":"m"}`, "j.jsonl:1: is not a judgement: "},
		{`{"model":"m"}`, "j.jsonl:1: field id: is missing or empty"},
		{`{"id":"1"}`, "j.jsonl:1: field model: is missing or empty"},
		{`{"id":"1","model":"m","score":2}`, "j.jsonl:1: field score: 2 is outside [0,1]"},
		{`{"id":"1","model":"m","votes":[{"first":true,"score":1},{"score":7}]}`, "j.jsonl:1: field votes[1].score: 7 is outside [0,1]"},
		{`{"id":"1","model":"m"} x`, "j.jsonl:1: text follows the JSON object"},
	} {
		err := ReadJudgements(t.Context(), strings.NewReader(one.text), "j.jsonl", func(Judgement) error { return nil })
		if _, ok := errors.AsType[*dataset.FormatError](err); !ok || !strings.HasPrefix(err.Error(), one.want) {
			t.Errorf("%q: %v, want %s", one.text, err, one.want)
		}
	}
}

func FuzzReadLabels(f *testing.F) {
	f.Add("id,model,score,annotator,probability\n1,m,0.5,ann,0.25\n")
	f.Add("id,model,score,weight\n1,\"m\n\",1,2\n")
	f.Fuzz(func(t *testing.T, text string) {
		labels, err := ReadLabels(t.Context(), strings.NewReader(text), "h.csv")
		for _, l := range labels {
			if !(l.Score >= 0 && l.Score <= 1) || !(l.Weight > 0) || l.ID == "" || l.Model == "" {
				t.Errorf("%+v", l)
			}
		}
		if (err == nil) == (len(labels) == 0) {
			t.Errorf("%d labels, %v", len(labels), err)
		}
	})
}

func FuzzReadJudgements(f *testing.F) {
	f.Add(`{"id":"1","model":"m","repeat":1,"score":0.5,"final":"B","votes":[{"first":true,"score":0.5}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		var flips Flips
		err := ReadJudgements(t.Context(), strings.NewReader(text), "j.jsonl", func(j Judgement) error {
			flips.Add(j.Votes)
			return nil
		})
		if !(flips.Advantage >= -1 && flips.Advantage <= 1) || flips.Reversed > flips.Flipped || flips.Flipped > flips.Pairs {
			t.Errorf("%+v, %v", flips, err)
		}
	})
}

package simulate

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/wire"
)

// recordedSet has three queries, of which two have the same prompt, and two models.
func recordedSet() *dataset.Set {
	nan := math.NaN()
	matrix := func(values ...float64) dataset.Matrix { return dataset.Matrix{Rows: 3, Cols: 2, Data: values} }
	return &dataset.Set{
		Queries: []dataset.Query{{ID: "a", Prompt: "Add.\n1 and 1"}, {ID: "b", Prompt: "Add.\n1 and 1"}, {ID: "c", Prompt: "Add."}},
		Models:  []dataset.Model{{Name: "one", InputUSDPerMillion: 1, OutputUSDPerMillion: 2}, {Name: "two", InputUSDPerMillion: nan, OutputUSDPerMillion: nan}},
		Score:   matrix(0.1, nan, 0.2, 1, 0.30000000000000004, nan), InputTokens: matrix(10, nan, 20, nan, 30, nan), OutputTokens: matrix(1, nan, 2, nan, 3, nan),
		CachedTokens: matrix(4, nan, 0, nan, 99, nan), ReasoningTokens: matrix(nan, nan, nan, nan, 2, nan),
		Answers: [][]string{{"h1", ""}, {"h2", "h3"}, {"", ""}},
	}
}

func TestRecorded(t *testing.T) {
	r := NewRecorded(recordedSet(), "judge")
	missing := Reply{Status: 500, Text: "not recorded"}
	for _, row := range []struct {
		model, prompt string
		want          Reply
	}{
		{"one", "Add.\n1 and 1", Reply{Text: "Simulated answer of one.\nscore=0.1\nanswer=h1\n", InputTokens: 10, OutputTokens: 1, CachedTokens: 4}},
		{"two", "Add.\n1 and 1", Reply{Text: "Simulated answer of two.\nscore=1\nanswer=h3\n"}}, // the second query with the prompt
		{"one", "Add.", Reply{Text: "Simulated answer of one.\nscore=0.30000000000000004\nanswer=\n", InputTokens: 30, OutputTokens: 3, CachedTokens: 30, ReasoningTokens: 2}},
		{"one", "Add.\n1 and 1\n\nAnswer with a number.", Reply{Text: "Simulated answer of one.\nscore=0.1\nanswer=h1\n", InputTokens: 10, OutputTokens: 1, CachedTokens: 4}},
		{"one", "Add.\n2 and 2", Reply{Text: "Simulated answer of one.\nscore=0.30000000000000004\nanswer=\n", InputTokens: 30, OutputTokens: 3, CachedTokens: 30, ReasoningTokens: 2}},
		{"two", "Add.", missing},
		{"one", "Add", missing},
		{"one", "", missing},
		{"judge", "Answer:\nscore=0.5\n---\nSimulated answer of one.\nscore=0.1\nanswer=h1\n", Reply{Text: "0.1", Counted: true}},
		{"judge", "score=1e-05", Reply{Text: "1e-05", Counted: true}},
		{"judge", "underscore=1 score=x", Reply{Text: "The prompt has no score of a simulated answer.", Counted: true}},
	} {
		got, ok := r.Answer(row.model, row.prompt)
		if diff := cmp.Diff(row.want, got); diff != "" || !ok {
			t.Errorf("Answer(%q, %q): (-want +got)\n%s", row.model, row.prompt, diff)
		}
	}
	var models []string
	for _, m := range r.Models() {
		models = append(models, m.Name)
	}
	if strings.Join(models, " ") != "one two judge" || r.Models()[0].Price.Output != 2_000_000 || r.Models()[1].Price != (carrot.Price{}) {
		t.Errorf("models %+v", r.Models())
	}
	if n := len(NewRecorded(recordedSet(), "one").Models()); n != 2 {
		t.Errorf("a judge with the name of a model makes %d models", n)
	}
}

func TestRecordedTexts(t *testing.T) {
	r := NewRecorded(recordedSet(), "")
	if err := r.ReadTexts(strings.NewReader(`{"id":"a","model":"one","answer":"Two.","truncated":true}`+"\n\n"+`{"id":"a","model":"one","answer":"2"}`), "answers.jsonl"); err != nil {
		t.Fatal(err)
	}
	want := Reply{Text: "Two.", InputTokens: 10, OutputTokens: 1, CachedTokens: 4, Finish: FinishLength}
	if got, _ := r.Answer("one", "Add.\n1 and 1"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, _ := r.Answer("one", "Add."); !strings.HasPrefix(got.Text, "Simulated answer of one.") {
		t.Errorf("a text that was not recorded: %+v", got)
	}
	for text, want := range map[string]string{
		`{"id":"a","model":"one"}`:                 "answers.jsonl:1: want a JSON object",
		"\n[]":                                     "answers.jsonl:2: want a JSON object",
		`{"id":"x","model":"one","answer":""}`:     `answers.jsonl:1: id: "x" is not in queries.jsonl`,
		`{"id":"a","model":"three","answer":"no"}`: `answers.jsonl:1: model: "three" is not in models.json`,
	} {
		if err := NewRecorded(recordedSet(), "").ReadTexts(strings.NewReader(text), "answers.jsonl"); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}

// The usage of a judge is counted.
func TestCounted(t *testing.T) {
	r := NewRecorded(recordedSet(), "judge")
	p := &Provider{Models: r.Models(), Answers: r.Answer}
	for api, body := range map[wire.API]string{
		wire.Chat:     `{"model":"judge","messages":[{"role":"user","content":"score=0.25"}]}`,
		wire.Messages: `{"model":"judge","max_tokens":9,"messages":[{"role":"user","content":"score=0.25"}]}`,
	} {
		s := look(t, api, ask(p, api, body))
		if want := (carrot.Usage{Input: count("score=0.25") + turnTokens, Output: count("0.25")}); s.Text != "0.25" || s.Usage != want {
			t.Errorf("got %+v, want %+v", s, want)
		}
	}
	if w := ask(p, wire.Chat, `{"model":"two","messages":[{"role":"user","content":"Add."}]}`); w.Code != 500 || gjson.Get(w.Body.String(), "error.message").Str != "not recorded" {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

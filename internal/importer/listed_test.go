package importer

import (
	archive "archive/zip"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot/dataset"
)

// answersIn returns the answers of a data folder, one a line, and the models that
// are not in the pool.
func answersIn(t testing.TB, dir string) string {
	t.Helper()
	set, err := dataset.Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for i, q := range set.Queries {
		for j, hash := range set.Answers[i] {
			if hash != "" {
				fmt.Fprintf(&b, "%s %s %s\n", q.ID, set.Models[j].Name, hash)
			}
		}
	}
	for _, m := range set.Models {
		if !m.Pool {
			fmt.Fprintf(&b, "not in the pool: %s\n", m.Name)
		}
	}
	return b.String()
}

// The splits that imported prints are those of prompts as they were sent, where
// these differ from those of the text. Input tokens include the instructions.
func TestImportZeroEval(t *testing.T) {
	const want = `gsm/gsm-#0 gsm "Ada has 3 pots and buys 4.  How many pots has she?" test
gsm/gsm-#0 Athene-70B 1 21 10 - - -
gsm/gsm-#0 Meta-Llama-3.1-8B-Instruct 1 21 4 - - -
gsm/gsm-#0 gemma-2-27b-it 1 21 2 - - -
gsm/gsm-#1 gsm "A rope of 1,250 m is cut in half. How long is a half?"
gsm/gsm-#1 Athene-70B 1 23 6 - - -
gsm/gsm-#1 Meta-Llama-3.1-8B-Instruct 1 23 4 - - -
gsm/gsm-#1 gemma-2-27b-it 0 23 4 - - -
gsm/gsm-#2 gsm "What share of 8 slices are 6 slices?" validation
gsm/gsm-#2 Athene-70B 1 17 2 - - -
gsm/gsm-#2 Meta-Llama-3.1-8B-Instruct 0 17 2 - - -
gsm/gsm-#2 gemma-2-27b-it 0 17 2 - - -
crux/crux-test-#0 crux "Complete the assertion with the value that the function returns.\ndef f(s):\n    return [s, s.upper(), None]\nassert f(\"a\") == ??" train
crux/crux-test-#0 Athene-70B 0 27 7 - - -
crux/crux-test-#0 Llama-3.1-405B-Inst@hyperbolic 1 27 4 - - -
crux/crux-test-#1 crux "Complete the assertion with the value that the function returns.\ndef f(n):\n    return '' if n else '\\n'\nassert f(1) == ??"
crux/crux-test-#1 Athene-70B 0 29 2 - - -
crux/crux-test-#1 Llama-3.1-405B-Inst@hyperbolic 1 29 2 - - -
math-l5/0 math-l5 "Find $x$ with $2x = 3$, times two."
math-l5/0 Athene-70B 1 17 2 - - -
math-l5/1 math-l5 "How many primes are below 10?"
math-l5/1 Athene-70B 0 15 6 - - -
price Athene-70B 0.9 0.9
price Llama-3.1-405B-Inst@hyperbolic 3.5 3.5
price Meta-Llama-3.1-8B-Instruct 0.2 0.2
price gemma-2-27b-it 0.8 0.8
`
	hash := answerHash
	wantAnswers := "gsm/gsm-#0 Athene-70B " + hash("7.0") + "\ngsm/gsm-#0 Meta-Llama-3.1-8B-Instruct " + hash("7.0") + "\ngsm/gsm-#0 gemma-2-27b-it " + hash("7.0") +
		"\ngsm/gsm-#1 Athene-70B " + hash("625.0") + "\ngsm/gsm-#1 Meta-Llama-3.1-8B-Instruct " + hash("625.0") +
		"\ngsm/gsm-#2 Athene-70B " + hash("0.75") + "\ngsm/gsm-#2 Meta-Llama-3.1-8B-Instruct " + hash("75.0") + "\ngsm/gsm-#2 gemma-2-27b-it " + hash("1.0") +
		"\ncrux/crux-test-#0 Athene-70B " + hash(`{'b': "it's", 'a': 100.0}`) + "\ncrux/crux-test-#0 Llama-3.1-405B-Inst@hyperbolic " + hash("['a', 'A', None]") +
		"\ncrux/crux-test-#1 Athene-70B " + hash("\n") +
		"\nmath-l5/0 Athene-70B " + hash("3.0") + "\nmath-l5/1 Athene-70B " + hash("2.0") + `
not in the pool: Athene-70B
not in the pool: Llama-3.1-405B-Inst@hyperbolic
not in the pool: gemma-2-27b-it
`
	for _, src := range []string{"testdata/zeroeval", "testdata/zeroeval/result_dirs"} {
		dst := filepath.Join(t.TempDir(), "set")
		report, err := Import(t.Context(), "zeroeval", src, dst, Options{CountTokens: countWords})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, imported(t, dst)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", src, diff)
		}
		if diff := cmp.Diff(wantAnswers, answersIn(t, dst)); diff != "" {
			t.Errorf("%s: answers (-want +got):\n%s", src, diff)
		}
		if missing := 3*len(zeroEvalModels().Models) - 6; report.Rows != 15 || report.Outcomes != 15 || len(report.Missing) != missing {
			t.Errorf("%s: %d rows, %d outcomes, %d missing files, want 15, 15 and %d", src, report.Rows, report.Outcomes, len(report.Missing), missing)
		}
	}
}

const wantMMLUPro = `mmlu-pro/7 mmlu-pro/engineering "Which wire is hot?\nA. red\nB. blue"
mmlu-pro/7 DeepSeek-Coder-V2 1 8 4 - - -
mmlu-pro/7 Meta-Llama-3_1-8B-Instruct 0 8 0 - - -
mmlu-pro/9 mmlu-pro/engineering "Which bolt is not loose?\nA. the left\nB. the \"right\"\nC. both"
mmlu-pro/9 Meta-Llama-3_1-8B-Instruct 1 13 4 - - -
mmlu-pro/9 jamba-1.5-large 1 13 0 - - -
mmlu-pro/8 mmlu-pro/law "It's which?\nA. it's\nB. a \\ \n"
mmlu-pro/8 jamba-1.5-large 0 7 3 - - -
price DeepSeek-Coder-V2 0.14 0.28
price Meta-Llama-3_1-8B-Instruct 0.2 0.2
price jamba-1.5-large 2 8
`

// zipArchive returns an archive with one file, after one that is not to be read.
func zipArchive(t testing.TB, name string, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := archive.NewWriter(&b)
	for name, text := range map[string][]byte{"__MACOSX/._" + name: []byte("x")} {
		if f, err := w.Create(name); err != nil {
			t.Fatal(err)
		} else if _, err := f.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	f, err := w.Create(name)
	if err == nil {
		_, err = f.Write(text)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The files of the repository are zipped; those of older commits are not. The
// question that the first listed file lacks is as a file that is not listed has
// it, and a file after the last listed one is not read.
func TestImportMMLUPro(t *testing.T) {
	files := map[string]string{}
	plain, err := filepath.Glob("testdata/mmlu-pro/eval_results/*.json")
	if err != nil || len(plain) == 0 {
		t.Fatal(plain, err)
	}
	for _, path := range plain {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		files["eval_results/"+name+".zip"] = string(zipArchive(t, name+".json", text))
	}
	files["eval_results/model_outputs_opus_0shots_00_37_14.zip"] = "another form"
	for _, src := range []string{"testdata/mmlu-pro", sourceFolder(t, files)} {
		dst := filepath.Join(t.TempDir(), "set")
		report, err := Import(t.Context(), "mmlu-pro", src, dst, Options{CountTokens: countWords})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wantMMLUPro, imported(t, dst)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		hash := answerHash
		wantAnswers := "mmlu-pro/7 DeepSeek-Coder-V2 " + hash("A") + "\nmmlu-pro/9 Meta-Llama-3_1-8B-Instruct " + hash("A") +
			"\nmmlu-pro/9 jamba-1.5-large " + hash("B") + "\nmmlu-pro/8 jamba-1.5-large " + hash("B") + "\nnot in the pool: DeepSeek-Coder-V2\n"
		if diff := cmp.Diff(wantAnswers, answersIn(t, dst)); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
		if report.Rows != 7 || report.Skipped != 2 || report.Outcomes != 5 || len(report.Missing) != len(mmluProModels().Models)-3 {
			t.Errorf("report %+v", report)
		}
	}
}

// A price book that the user gives goes before the listed prices.
func TestListedPrices(t *testing.T) {
	dst := filepath.Join(t.TempDir(), "set")
	own := func(model string) (float64, float64, bool) { return 1, 2, model == "jamba-1.5-large" }
	if _, err := Import(t.Context(), "mmlu-pro", "testdata/mmlu-pro", dst, Options{Prices: own}); err != nil {
		t.Fatal(err)
	}
	if got := imported(t, dst); !strings.Contains(got, "price jamba-1.5-large 1 2\n") || !strings.Contains(got, "price DeepSeek-Coder-V2 0.14 0.28\n") {
		t.Errorf("prices: %s", got)
	}
}

const (
	zeroEvalGood = `{"session_id":1,"chat_history":["\n## Question: \n\nWhy?\n\n\n## Instruction \n\nSay."],"output":["{\"answer\": \"4\"}"],"answer":"4"}`
	mmluProGood  = `{"question_id":1,"question":"Why?","options":["a","b"],"answer":"A","category":"law","pred":"A","generated_text":"A"}`
)

func TestListedRefuses(t *testing.T) {
	const gsm, crux, pro = "result_dirs/gsm/Athene-70B.json", "result_dirs/crux/Athene-70B.json", "eval_results/model_outputs_jamba-1.5-large_5shots.json"
	for _, tt := range []struct {
		name, format, file, text string
		want                     string // the error from the file's name on
		good                     bool   // one row is bad, and the rest can be imported with KeepGoing
	}{
		{"no id", "zeroeval", gsm, `[` + zeroEvalGood + `,{"chat_history":["A secret"]}]`, ":2: field session_id: is missing or empty", true},
		{"no prompt", "zeroeval", gsm, `[` + zeroEvalGood + `,{"session_id":2,"chat_history":["A secret","A secret"]}]`, ":2: field chat_history: is not a list with one prompt", true},
		{"another form of prompt", "zeroeval", gsm, `[` + zeroEvalGood + `,{"session_id":2,"chat_history":["A secret"]}]`,
			`:2: field chat_history: has no question between "## Question: \n\n" and "\n\n\n## Instruction \n"`, true},
		{"another form of code", "zeroeval", crux, `[` + zeroEvalGood + `]`, `:1: field chat_history: has no assertion between "[PYTHON]\n" and "\n[/PYTHON]"`, false},
		{"no output", "zeroeval", gsm, `[` + zeroEvalGood + `,` + strings.Replace(zeroEvalGood, "output", "A secret", 1) + `]`, ":2: field output: is not a list with one text", true},
		{"no answer", "zeroeval", gsm, `[` + zeroEvalGood + `,` + strings.Replace(zeroEvalGood, `,"answer"`, `,"secret"`, 1) + `]`, ":2: field answer: is missing", true},
		{"repeated", "zeroeval", gsm, `[` + zeroEvalGood + `,` + zeroEvalGood + `]`, `:2: field id: "gsm/1" with model "Athene-70B" is repeated`, true},
		{"another prompt", "zeroeval", gsm, `[` + zeroEvalGood + `,` + strings.Replace(zeroEvalGood, "Why?", "A secret", 1) + `]`, `:2: field chat_history: "gsm/1" had another prompt before`, true},
		{"cut", "zeroeval", gsm, `[` + zeroEvalGood + `,{"sess`, ":2: is not valid JSON: the file ends inside the list", false},
		{"a text in the list", "zeroeval", gsm, `[` + zeroEvalGood + `,"A secret"]`, ":2: is not a JSON object", true},
		{"no id", "mmlu-pro", pro, `[` + mmluProGood + `,{"question":"A secret"}]`, ":2: field question_id: is missing or empty", true},
		{"no question", "mmlu-pro", pro, `[` + mmluProGood + `,{"question_id":2}]`, ":2: field question: is missing or is not a text", true},
		{"no category", "mmlu-pro", pro, `[` + mmluProGood + `,{"question_id":2,"question":"A secret"}]`, ":2: field category: is missing or is not a text", true},
		{"options", "mmlu-pro", pro, `[` + mmluProGood + `,{"question_id":2,"question":"A secret","category":"law","options":"['a' 'b']"}]`, ":2: field options: is not a list of 1 to 26 texts", true},
		{"numbers as options", "mmlu-pro", pro, `[` + mmluProGood + `,{"question_id":2,"question":"A secret","category":"law","options":[1]}]`, ":2: field options: is not a list of 1 to 26 texts", true},
		{"no answer", "mmlu-pro", pro, `[` + mmluProGood + `,` + strings.Replace(mmluProGood, `"answer"`, `"secret"`, 1) + `]`, ":2: field answer: is missing or is not a letter", true},
		{"no prediction", "mmlu-pro", pro, `[` + mmluProGood + `,` + strings.Replace(mmluProGood, `"pred"`, `"secret"`, 1) + `]`, ":2: field pred: is missing", true},
		{"kind of prediction", "mmlu-pro", pro, `[` + mmluProGood + `,` + strings.Replace(mmluProGood, `"pred":"A"`, `"pred":1`, 1) + `]`, ":2: field pred: is neither a letter nor null", true},
		{"not an archive", "mmlu-pro", strings.Replace(pro, ".json", ".zip", 1), "version https://git-lfs", ": is not a zip archive: zip: not a valid zip file", false},
		{"a damaged archive", "mmlu-pro", strings.Replace(pro, ".json", ".zip", 1), strings.Replace(string(zipArchive(t, "x.json", []byte(`["`+strings.Repeat("ab", 99)+`"]`))), "PK\x07\x08", "PK\x07\x09", -1),
			":2: read: zip: checksum error", false},
		{"nothing in it", "mmlu-pro", strings.Replace(pro, ".json", ".zip", 1), string(zipArchive(t, "x.txt", nil)), ": the archive holds no JSON file", false},
	} {
		t.Run(tt.format+" "+tt.name, func(t *testing.T) {
			src := sourceFolder(t, map[string]string{tt.file: tt.text})
			want := filepath.Join(src, filepath.FromSlash(tt.file)) + tt.want
			parent := t.TempDir()
			dst := filepath.Join(parent, "set")
			_, err := Import(t.Context(), tt.format, src, dst, Options{})
			bad, ok := errors.AsType[*dataset.FormatError](err)
			if !ok || err.Error() != want {
				t.Fatalf("error %v, want %s", err, want)
			}
			if bad.Hint == "" || strings.Contains(err.Error()+bad.Hint, "secret") {
				t.Errorf("error %v, hint %q: want a hint and no prompt", err, bad.Hint)
			}
			leavesAlone(t, parent)
			report, err := Import(t.Context(), tt.format, src, dst, Options{KeepGoing: true})
			if tt.good && (err != nil || report.Rejected != 1 || report.Queries != 1 || report.Outcomes != 1) || !tt.good && err == nil {
				t.Errorf("with KeepGoing: %+v, %v", report, err)
			}
		})
	}
}

// A clone without its large files, and a folder that is no clone.
func TestListedMissing(t *testing.T) {
	f := func(format string, files map[string]string, want string) {
		t.Helper()
		src := sourceFolder(t, files)
		_, err := Import(t.Context(), format, src, filepath.Join(t.TempDir(), "set"), Options{})
		if bad, ok := errors.AsType[*dataset.FormatError](err); !ok || err.Error() != src+want || !strings.Contains(bad.Hint, "partial clone") && !strings.Contains(bad.Hint, "keep one") {
			t.Errorf("%s: error %v, want %s", format, err, want)
		}
	}
	f("zeroeval", map[string]string{"result_dirs/gsm/Unlisted-1B.json": "[]"}, ": holds no result_dirs/gsm/*.json of the listed models")
	f("mmlu-pro", map[string]string{"eval_results/model_outputs_x_5shots.zip": ""}, ": holds no eval_results/model_outputs_*_5shots.zip of the listed models")
	f("zeroeval", map[string]string{"result_dirs/gsm/gemma-2-27b-it.json": "[]", "result_dirs/gsm/gemma-2-27b-it@together.json": "[]"},
		"/result_dirs/gsm/gemma-2-27b-it@together.json: has the same task and model as gemma-2-27b-it.json")
	f("mmlu-pro", map[string]string{"eval_results/model_outputs_Yi-6b-Chat_5shots.zip": "", "eval_results/model_outputs_Yi-6b-Chat_5shots.json": ""},
		"/eval_results/model_outputs_Yi-6b-Chat_5shots.zip: has the same model as model_outputs_Yi-6b-Chat_5shots.json")
}

func TestParseListing(t *testing.T) {
	for _, l := range []*listing{zeroEvalModels(), mmluProModels()} {
		if len(l.Models) == 0 || !strings.Contains(l.Licence, "Apache-2.0") {
			t.Errorf("%d models, licence %q", len(l.Models), l.Licence)
		}
	}
	f := func(text, want string) {
		t.Helper()
		if _, err := parseListing([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", text, err, want)
		}
	}
	const model = `{"name":"a","input_usd_per_million":1,"output_usd_per_million":1}`
	f(`{`, "unexpected EOF")
	f(`{"modles":[]}`, `unknown field "modles"`)
	f(`{"source":"s","prices":"p","models":[`+model+`]}`, "licence is empty")
	f(`{"source":"s","licence":"l","prices":"p","models":[`+model+`,`+model+`]}`, "a has no price or is listed twice")
	f(`{"source":"s","licence":"l","prices":"p","models":[{"name":"a"}]}`, "a has no price or is listed twice")
	f(`{"source":"s","licence":"l","prices":"p","models":[{"name":""}]}`, "name")
	f(`{"source":"s","licence":"l","prices":"p","models":[`+model+`],"aliases":{"x":"b"}}`, "the alias x is of b, which is not listed")
}

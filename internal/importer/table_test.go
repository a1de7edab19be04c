package importer

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot/dataset"
)

// importText imports a text as a table with this name, and returns what was written.
func importText(t *testing.T, name, text string, opt Options) (string, *Report, error) {
	t.Helper()
	path := writeFile(t, filepath.Join(t.TempDir(), name), []byte(text))
	dst := filepath.Join(t.TempDir(), "set")
	report, err := Import(t.Context(), "table", path, dst, opt)
	if err != nil {
		return strings.TrimPrefix(err.Error(), path), nil, err
	}
	return imported(t, dst), report, nil
}

func TestImportTable(t *testing.T) {
	const long = "1  \"Why?\"\n1 a 1 5 2 - - -\n1 b 0 - - - - -\n"
	const chat = "1  \"Be brief.\\n\\nIt's why?\"\n1 a 1 - - - - -\n"
	for _, tt := range []struct {
		name, file, text string
		opt              Options
		want             string
		columns          map[string]string
	}{
		{"wildcard", "t.csv", "id,prompt,correct_a,correct_b,tokens_a,note_a\n1,Why?,1,0,2,x\n", Options{Columns: map[string]string{"score:*": "correct_*", "output_tokens:*": "tokens_*"}},
			"1  \"Why?\"\n1 a 1 - 2 - - -\n1 b 0 - - - - -\n", nil},
		{"wildcard with an end, and one column by name", "t.csv", "id,prompt,a_ok,b_ok,c_ok\n1,Why?,1,0,0.5\n", Options{Columns: map[string]string{"score:*": "*_ok", "score:gpt-4": "b_ok"}},
			"1  \"Why?\"\n1 gpt-4 0 - - - - -\n1 a 1 - - - - -\n1 c 0.5 - - - - -\n", nil},
		{"wildcard that the prompt's column matches", "t.csv", "id,x_prompt,x_a\n1,Why?,1\n", Options{Columns: map[string]string{"prompt": "x_prompt", "score:*": "x_*"}},
			"1  \"Why?\"\n1 a 1 - - - - -\n", nil},
		{"wildcard in JSON lines", "t.jsonl", `{"id":1,"prompt":"Why?","score":{"a":1}}` + "\n" + `{"id":2,"prompt":"How?","score":{"b":0,"a":null}}` + "\n", Options{Columns: map[string]string{"score:*": "score.*"}},
			"1  \"Why?\"\n1 a 1 - - - - -\n2  \"How?\"\n2 b 0 - - - - -\n", nil},
		{"aliases", "t.csv", "Question_ID,Question,LLM,Is Correct,Prompt Tokens,completion_tokens\n1,Why?,a,True,5,2\n1,Why?,b,False,,\n", Options{}, long,
			map[string]string{"id": "Question_ID", "prompt": "Question", "model": "LLM", "score": "Is Correct", "input_tokens": "Prompt Tokens", "output_tokens": "completion_tokens"}},
		{"own names before aliases", "t.csv", "id,prompt,question,model,score,correct,input_tokens,prompt_tokens,output_tokens\n1,Why?,x,a,1,0,5,9,2\n1,Why?,x,b,0,1,,9,\n", Options{}, long, nil},
		{"nested usage", "t.jsonl", `{"id":1,"prompt":"Why?","model":"a","score":1,"usage":{"prompt_tokens":5,"completion_tokens":2}}` + "\n" + `{"id":1,"prompt":"Why?","model":"b","score":0}`, Options{}, long,
			map[string]string{"input_tokens": "usage.prompt_tokens", "output_tokens": "usage.completion_tokens"}},
		{"semicolons", "t.csv", "id;prompt;model;score;input_tokens;output_tokens\n1;Why?;a;1;5;2\n1;Why?;b;0;;\n", Options{}, long, nil},
		{"tabs", "t.tsv", "id\tprompt\tmodel\tscore\tinput_tokens\toutput_tokens\r\n1\tWhy?\ta\t1\t5\t2\r\n1\tWhy?\tb\t0\t\t\r\n", Options{}, long, nil},
		{"pipes", "t.csv", "id|prompt|model|score|input_tokens|output_tokens\n1|Why?|a|1|5|2\n1|Why?|b|0||\n", Options{}, long, nil},
		{"semicolons and commas in names", "t.csv", "\ufeffid;\"prompt, as sent, whole\";model;score;\"a,b,c\"\n1;\"Why?\";a;1;\n", Options{Columns: map[string]string{"prompt": "prompt, as sent, whole"}},
			"1  \"Why?\"\n1 a 1 - - - - -\n", nil},
		{"a delimiter that is set", "t.csv", "id;prompt|a;model;score\n1;Why?;a;1\n", Options{Delimiter: ";", Columns: map[string]string{"prompt": "prompt|a"}}, "1  \"Why?\"\n1 a 1 - - - - -\n", nil},
		{"a delimiter by its name", "t.csv", "id\tprompt\tmodel\tscore\n1\tWhy, then; now|?\ta\t1\n", Options{Delimiter: "tab"}, "1  \"Why, then; now|?\"\n1 a 1 - - - - -\n", nil},
		{"chat as JSON", "t.csv", `id,prompt,model,score` + "\n" + `1,"[{""role"":""system"",""content"":""Be brief.""},{""role"":""user"",""content"":[{""type"":""text"",""text"":""It's why?""}]}]",a,1` + "\n", Options{}, chat, nil},
		{"chat as an object", "t.csv", `id,prompt,model,score` + "\n" + `1,"{""messages"":[{""role"":""system"",""content"":""Be brief.""},{""role"":""user"",""content"":""It's why?""}]}",a,1` + "\n", Options{}, chat, nil},
		{"chat as a Python literal", "t.csv", `id,prompt,model,score` + "\n" + `1,"[{'role': 'system', 'content': 'Be brief.'}, {'role': 'user', 'content': ""It's why?"", 'name': None}]",a,1` + "\n", Options{}, chat, nil},
		{"chat as NumPy writes it", "t.csv", "id,prompt,model,score\n1,\"[{'role': 'system', 'content': 'Be brief.'}\n {'role': 'user', 'content': \"\"It's why?\"\"}]\",a,1\n", Options{}, chat, nil},
		{"a content that looks like a chat", "t.jsonl", `{"id":1,"messages":[{"role":"user","content":"[{'a': 1}]"}],"model":"a","score":1}`, Options{}, "1  \"[{'a': 1}]\"\n1 a 1 - - - - -\n", map[string]string{"prompt": "messages"}},
		{"a list that is no chat", "t.csv", "id,prompt,model,score\n1,\"['a', 'b']\",a,1\n", Options{}, "1  \"['a', 'b']\"\n1 a 1 - - - - -\n", nil},
		{"not observed", "t.csv", "id,prompt,model,score,input_tokens,output_tokens,cost_usd,source\n1,Why?,a,NaN,None,5,null,nan\n1,Why?,b,N/A,NULL,,<NA>,None\n1,Why?,c,n/a,nan,#N/A,NA,\n2,None,c,1,,,,\n", Options{},
			"1  \"Why?\"\n1 a - - 5 - - -\n1 b - - - - - -\n2  \"None\"\n2 c 1 - - - - -\n", nil},
		{"not observed, in JSON", "t.json", `[{"id":1,"prompt":"NaN","model":"a","score":NaN,"output_tokens":5},{"id":1,"prompt":"NaN","model":"b","score":null,"output_tokens":"N/A","input_tokens":3}]`, Options{},
			"1  \"NaN\"\n1 a - - 5 - - -\n1 b - 3 - - - -\n", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, report, err := importText(t, tt.file, tt.text, tt.opt)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(normal(tt.want), normal(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.columns, report.Columns); diff != "" {
				t.Errorf("columns (-want +got):\n%s", diff)
			}
		})
	}
}

// normal leaves the models without any outcome out.
func normal(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if !strings.HasSuffix(line, " - - - - - -\n") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func TestImportTableRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, file, text string
		opt              Options
		want, hint       string
	}{
		{"all missing columns", "t.csv", "a,b\n1,2\n", Options{Columns: map[string]string{"model": "m", "score": "s"}}, ": field prompt, m, s: the columns are missing; the columns are a, b", "map them: --column prompt=COLUMN --column model=COLUMN --column score=COLUMN"},
		{"all of a wide table", "t.jsonl", `{"a":1}`, Options{Columns: map[string]string{"score:x": "s", "score:*": "c_*"}}, ": field prompt, c_*, s: the columns are missing; the columns are a", "map them: --column prompt=COLUMN --column score:*=COLUMN --column score:x=COLUMN"},
		{"a later line lacks nothing", "t.jsonl", `{"prompt":"A secret","model":"m"}`, Options{}, ": field score: the column is missing; the columns are model, prompt", "map it: --column score=COLUMN"},
		{"two columns for one field", "t.csv", "question,query,model,score\nA secret,b,m,1\n", Options{}, ": field prompt: may be in any of the columns question, query", "say which one: --column prompt=question"},
		{"two columns for one field in a line", "t.jsonl", `{"prompt":"a","model":"m","score":1}` + "\n" + `{"prompt":"a","llm":"m","model_id":"n","score":1}`, Options{}, ": field model: may be in any of the columns model_id, llm", "say which one: --column model=model_id"},
		{"wrong delimiter", "t.csv", "prompt,model,score\nA secret,m,1\n", Options{Delimiter: ";"}, ": field prompt, model, score: the columns are missing; the columns are prompt,model,score", "map them: --column prompt=COLUMN --column model=COLUMN --column score=COLUMN"},
		{"unknown delimiter", "t.csv", "prompt,model,score\nA secret,m,1\n", Options{Delimiter: "::"}, `import: unknown delimiter "::": want a comma, a semicolon, a | or tab`, ""},
		{"no wildcard", "t.csv", "prompt,a\nA secret,1\n", Options{Columns: map[string]string{"score:*": "a"}}, `map columns: score:*="a" has 0 times *: want it once, where the model's name is, as in score:*=correct_*`, ""},
		{"two wildcards", "t.csv", "prompt,a\nA secret,1\n", Options{Columns: map[string]string{"score:*": "*_*"}}, `map columns: score:*="*_*" has 2 times *: want it once, where the model's name is, as in score:*=correct_*`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := importText(t, tt.file, tt.text, tt.opt)
			if got != tt.want {
				t.Errorf("error %q, want %q", got, tt.want)
			}
			if hint := hintOf(err); hint != tt.hint {
				t.Errorf("hint %q, want %q", hint, tt.hint)
			}
		})
	}
}

func hintOf(err error) string {
	if bad, ok := errors.AsType[*dataset.FormatError](err); ok {
		return bad.Hint
	}
	return ""
}

// FuzzTablePlan plans to read a table of any columns: no wildcard takes an empty name,
// and what the plan reads or misses are columns or targets.
func FuzzTablePlan(f *testing.F) {
	f.Add("id,prompt,correct_a,correct_b", "correct_*", true)
	f.Add("Prompt Tokens,prompt-tokens,question", "*", false)
	f.Add("a;b|c\t\"d,e\"", "**", true)
	f.Fuzz(func(t *testing.T, header, pattern string, wide bool) {
		all := strings.Split(header, ",")
		mapping := map[string]string{}
		if wide {
			mapping["score:*"] = pattern
		}
		if strings.Count(pattern, "*") != 1 || len(all) > maxColumns {
			return
		}
		plan, ambiguous := newTablePlan(all, mapping, wide)
		if ambiguous != nil && len(ambiguous.columns) < 2 {
			t.Errorf("%q: %+v is not ambiguous", all, ambiguous)
		}
		for _, m := range plan.models {
			if wide && strings.Replace(pattern, "*", m.name, 1) != m.columns[fieldScore] {
				t.Errorf("%q: column %q of model %q does not match %q", all, m.columns[fieldScore], m.name, pattern)
			}
			if wide && m.name == "" {
				t.Errorf("%q: a model without a name", all)
			}
		}
		for _, target := range plan.missing(all, mapping) {
			if checkTargets(map[string]string{target: "a*b"}) != nil {
				t.Errorf("%q: %q is missing, which is no target", all, target)
			}
		}
	})
}

// FuzzDelimiter imports a CSV file whose delimiter is to be found: it must not panic,
// and any error says what is wrong.
func FuzzDelimiter(f *testing.F) {
	for _, text := range []string{"id;prompt;model;score\n1;Why?;a;1\n", "\ufeff\"prompt\"\tmodel\tscore\n", "a|b,c;d\n", "\"", "\n\r\n;;;\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path := writeFile(t, filepath.Join(t.TempDir(), "t.csv"), data)
		_, err := Import(t.Context(), "table", path, filepath.Join(t.TempDir(), "set"), Options{KeepGoing: true})
		if err != nil && !strings.HasPrefix(err.Error(), "import: the source holds no ") {
			isFormatError(t, err)
		}
	})
}

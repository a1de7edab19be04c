package importer

import (
	"bytes"
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/textfile"
)

func TestSizePrice(t *testing.T) {
	f := func(model string, want float64) {
		t.Helper()
		if got, ok := sizePrice(model); ok != (want > 0) || ok && got != want {
			t.Errorf("sizePrice(%q) = %v, %v, want %v", model, got, ok, want)
		}
	}
	f("meta-llama/Meta-Llama-3-8B-Instruct", 0.2)
	f("meta-llama/Llama-3.2-1B", 0.1)
	f("google/gemma-2-2b-it", 0.1)
	f("01-ai/Yi-1.5-34B-Chat", 0.8)
	f("Qwen/Qwen2.5-0.5B", 0.1)
	f("Qwen/Qwen2-57B-A14B", 0.9)
	f("Qwen/Qwen2.5-72B-Instruct", 0.9)
	f("Qwen/Qwen2.5-14B", 0.3)
	f("HuggingFaceTB/SmolLM-360M", 0.1)
	f("HF1BitLLM/Llama3-8B-1.58-100B-tokens", 0.2)
	f("mistralai/Mixtral-8x7B-Instruct-v0.1", 0.6)
	f("mistralai/Mixtral-8x22B-v0.1", 0)
	f("meta-llama/Meta-Llama-3.1-405B", 3.5)
	f("CohereForAI/c4ai-command-r-plus-104B", 0)
	f("microsoft/phi-1_5", 0)
	f("7b-org/model-4bit", 0)
	f("x/"+strings.Repeat("9", 400)+"b", 0)
}

func TestRequestPrompt(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		v, err := decodeJSON([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if got := requestPrompt(v); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
	f(`{"messages":[{"role":"system","content":"a"},{"role":"user","content":[{"type":"text","text":"b"},{"type":"image_url","image_url":{}}]}]}`, "a\n\nb")
	f(`{"messages":"[{\"role\":\"user\",\"content\":\"a\"}]"}`, "a")
	f(`{"messages":"[1, 2]"}`, "[1, 2]")
	f(`{"instructions":"a","input":[{"role":"user","content":[{"type":"input_text","text":"b"}]},{"type":"function_call","arguments":"{}"}]}`, "a\n\nb")
	f(`{"system":[{"type":"text","text":"a"}],"messages":[{"role":"user","content":"b"},{"role":"assistant","content":null}]}`, "a\n\nb")
	f(`{"prompt":["a","b"]}`, "a\n\nb")
	f(`{"prompt":[1,2,3]}`, "")
	f(`{"messages":{}}`, "")
	f(`[]`, "")
	f(`"{\"prompt\":\"a\"}"`, "a")
}

func TestDocAndArgumentsPrompts(t *testing.T) {
	f := func(prompt func(any) string, in, want string) {
		t.Helper()
		v, err := decodeJSON([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if got := prompt(v); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
	f(docPrompt, `{"question":"a","choices":{"text":["b","c"],"label":["1","2"]}}`, "a\n1. b\n2. c")
	f(docPrompt, `{"question":"a","options":["b",3]}`, "a\nA. b\nB. 3")
	f(docPrompt, `{"question":"a","options":[{}]}`, "a")
	f(docPrompt, `{"question":"[1]","context":"c"}`, "c\n\n[1]")
	f(docPrompt, `{"context":"c"}`, "")
	f(docPrompt, `"a"`, "")
	f(argumentsPrompt, `[["a","b"],["c","d"]]`, "a")
	f(argumentsPrompt, `["[1, 2]"]`, "[1, 2]")
	f(argumentsPrompt, `{"gen_args_0":{"arg_0":"a"}}`, "a")
	f(argumentsPrompt, `{"gen_args_0":{"arg_0":["[{\"role\":\"user\",\"content\":\"a\"}]"]}}`, "a")
	f(argumentsPrompt, `[[[{"role":"user","content":"a"}],{}]]`, "a")
	f(argumentsPrompt, `{}`, "")
	f(argumentsPrompt, `[]`, "")
}

// scanRows returns the rows that scanJSONL reads: "1 a=x b" if b is null.
func scanRows(t *testing.T, data []byte) ([]string, error) {
	t.Helper()
	var rows []string
	path := writeFile(t, filepath.Join(t.TempDir(), "a.jsonl"), data)
	err := scanJSONL(t.Context(), path, scanHooks{}, func(row int64, r *record) error {
		line := shortest(float64(row))
		for i, column := range r.columns {
			if line += " " + column; r.present[i] {
				line += "=" + r.values[i]
			}
		}
		rows = append(rows, line)
		return nil
	})
	return rows, err
}

func TestScanJSONL(t *testing.T) {
	f := func(in string, want ...string) {
		t.Helper()
		for _, data := range [][]byte{[]byte(in), gzipped(t, []byte(in))} {
			if got, err := scanRows(t, data); err != nil || strings.Join(got, "|") != strings.Join(want, "|") {
				t.Errorf("%q: %q, %v, want %q", in, got, err, want)
			}
		}
	}
	f("")
	f("\n\n")
	f("[]")
	f(`{"b":1e3,"a":{"x":true,"y":{"z":null}},"c":[1,"2"],"d":{}}`, `1 a.x=true a.y.z b=1e3 c=[1,"2"]`)
	f("{\"a\":1}\r\n\r\n{\"a\":12345678901234567890}", "1 a=1", "3 a=12345678901234567890")
	f("\ufeff{\"a\":\"x\"}", "1 a=x")
	f("\ufeff\n [ {\"a\":1},\n{\"a\":\n2}\n]\n", "1 a=1", "2 a=2")
	f(`{"m":[{"role":"user","content":"x"},{"role":"user","content":"y"}]}`, "1 m=x\n\ny")
}

func TestScanJSONLRefuses(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if _, err := scanRows(t, []byte(in)); err == nil || !strings.HasSuffix(err.Error(), "a.jsonl:"+want) {
			t.Errorf("%q: error %v, want …%s", in[:min(len(in), 80)], err, want)
		}
	}
	f("{}\n{", "2: is not valid JSON: the line ends inside the object")
	f("{}\n{}x", "2: is not valid JSON: text follows the value")
	f("[{},\n{}", "3: is not valid JSON: the file ends inside the list")
	f("[{},,{}]", "2: is not valid JSON: invalid character ',' looking for beginning of value")
	f("[{}]{}", "2: text follows the list")
	f("[[]]", "1: is not a JSON object")
	f("[\"\xff\"]", "1: byte 2 of the line (0xff) is not UTF-8")
	f("[{},"+strings.Repeat(" ", textfile.MaxLine+1<<20)+"{}]", "2: element of the list is longer than 64 MiB")
	f("{}\n"+strings.Repeat(" ", textfile.MaxLine+1), "2: line is longer than 64 MiB")
}

func TestScanJSONLCutGzip(t *testing.T) {
	for _, in := range []string{"{\"a\":1}\n", "[{\"a\":1},{\"a\":2}]"} {
		data := gzipped(t, bytes.Repeat([]byte(in), 50))
		_, err := scanRows(t, data[:len(data)/2])
		if bad, ok := errors.AsType[*dataset.FormatError](err); !ok || bad.Hint == "" {
			t.Errorf("%q: error %v", in, err)
		}
	}
}

func TestObserved(t *testing.T) {
	for _, v := range []any{true, "True", "true"} {
		if x, reason := observed(fieldScore, v); x != 1 || reason != "" {
			t.Errorf("%v: %v, %s", v, x, reason)
		}
	}
	for _, v := range []any{nil, "", " ", "nan", "NaN", "None", "null", "NULL", "N/A", "n/a", "NA", "<NA>", "#N/A"} {
		if x, reason := observed(fieldInputTokens, v); !math.IsNaN(x) || reason != "" {
			t.Errorf("%v: %v, %s", v, x, reason)
		}
	}
	for _, v := range []any{"True", true, jsonObject{}, "nano", "-", "1e400", "-1"} {
		if x, reason := observed(fieldInputTokens, v); reason == "" {
			t.Errorf("%v: %v, want a reason", v, x)
		}
	}
}

type tableRow struct {
	Prompt string   `parquet:"question"`
	Model  string   `parquet:"llm"`
	Score  *float64 `parquet:"score,optional"`
	Tokens int64    `parquet:"output_tokens"`
}

func TestImportTableParquet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.parquet")
	half := 0.5
	writeParquet(t, path, []tableRow{{"Why?", "a", &half, 3}, {"Why?", "b", nil, 4}})
	dst := filepath.Join(t.TempDir(), "set")
	progress := int64(0)
	report, err := Import(t.Context(), "table", path, dst, Options{Columns: map[string]string{"prompt": "question", "model": "llm"},
		Progress: func(done, total int64) { progress = done }})
	if err != nil {
		t.Fatal(err)
	}
	const want = "2673ce8234cc65bf  \"Why?\"\n2673ce8234cc65bf a 0.5 - 3 - - -\n2673ce8234cc65bf b - - 4 - - -\n"
	if got := imported(t, dst); got != want || report.Scores != 1 || progress != 2 {
		t.Errorf("%s, %+v, progress %d", got, report, progress)
	}
}

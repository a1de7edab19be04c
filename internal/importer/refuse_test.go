package importer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carrot-router/carrot/dataset"
)

// refusal is a source with a fault.
type refusal struct {
	name, format, file string
	text               string
	columns            map[string]string
	want               string // the error from the file's name on
	good               bool   // one row is bad, and the rest can be imported with KeepGoing
}

const (
	samples = "a__b-7b/samples_gsm8k_2024-06-01T00-00-00.jsonl"
	good    = `{"doc_id":0,"doc":{"question":"2+2?"},"exact_match":1}` + "\n"
	routing = `{"task_name":"t","query":"Why?","model_name":"m","performance":1}` + "\n"
)

func refusals() []refusal {
	longID := map[string]string{"id": "k", "prompt": "p", "model": "m", "score": "s"}
	return []refusal{
		{"score", "open-llm", samples, good + `{"doc_id":1,"doc":{"question":"A secret"},"exact_match":1.5}`, nil, ":2: field exact_match: 1.5 is outside [0,1]", true},
		{"score of a wrong kind", "open-llm", samples, good + `{"doc_id":1,"doc":{"question":"A secret"},"exact_match":[1]}`, nil, ":2: field exact_match: is not a number", true},
		{"no metric", "open-llm", samples, good + `{"doc_id":1,"doc":{"question":"A secret"}}`, nil, ":2: field prompt_level_strict_acc: is missing, and so are exact_match, acc_norm, acc", true},
		{"no id", "open-llm", samples, good + `{"doc":{"question":"A secret"},"acc":1}`, nil, ":2: field doc_id: is missing or empty", true},
		{"no prompt", "open-llm", samples, good + `{"doc_id":1,"acc":1}`, nil, ":2: field doc: is missing or empty", true},
		{"repeated", "open-llm", samples, good + good, nil, `:2: field id: "gsm8k/0" with model "a/b-7b" is repeated`, true},
		{"another prompt", "open-llm", samples, good + `{"doc_id":0,"doc":{"question":"A secret"},"exact_match":1}`, nil, `:2: field doc: "gsm8k/0" had another prompt before`, true},
		{"not JSON", "open-llm", samples, good + `{"doc_id":`, nil, ":2: is not valid JSON: the line ends inside the object", true},
		{"not an object", "open-llm", samples, good + `"A secret"`, nil, ":2: is not a JSON object", true},
		{"not UTF-8", "open-llm", samples, good + "{\"doc\":\"A secret\xff\"}", nil, ":2: byte 17 of the line (0xff) is not UTF-8", true},
		{"name", "open-llm", "a__b/results.json", good, nil, ": is not named samples_<task>_<date>.jsonl", false},
		{"score", "routellm", "mmlu_x.csv", "prompt,m\nWhy?,True\nA secret,maybe\n", nil, `:3: field m: "maybe" is not a number`, true},
		{"long score", "routellm", "mmlu_x.csv", "prompt,m\nWhy?,True\nA secret,A secret that somebody wrote\n", nil, ":3: field m: is not a number", true},
		{"fields", "routellm", "mmlu_x.csv", "prompt,m\nWhy?,True\nA secret\n", nil, ":3: 1 field, but the header has 2", true},
		{"no prompt", "routellm", "mmlu_x.csv", "question,m\nA secret,True\n", nil, ":1: field prompt: header: the column is missing", false},
		{"no model", "routellm", "mmlu_x.csv", "prompt\nA secret\n", nil, ":1: header: there is no column for a model", false},
		{"score", "llmrouter", "r.jsonl", routing + `{"task_name":"t","query":"A secret","model_name":"m","performance":-1}`, nil, ":2: field performance: -1 is outside [0,1]", true},
		{"tokens", "llmrouter", "r.jsonl", routing + `{"task_name":"t","query":"A secret","model_name":"m","performance":1,"input_tokens":"many"}`, nil, `:2: field input_tokens: "many" is not a number`, true},
		{"no query", "llmrouter", "r.jsonl", routing + `{"task_name":"t","model_name":"m","performance":1}`, nil, ":2: field query: is missing or empty", true},
		{"no model", "llmrouter", "r.jsonl", routing + `{"task_name":"t","query":"A secret"}`, nil, ":2: field model_name: is missing or empty", true},
		{"repeated", "llmrouter", "r.jsonl", routing + routing, nil, `:2: field id: "t/57c8be852762f0b5" with model "m" is repeated`, true},
		{"list cut", "llmrouter", "r.json", "[" + routing + ",{", nil, ":2: is not valid JSON: the file ends inside the list", false},
		{"list of texts", "llmrouter", "r.json", "[" + routing + `,"A secret"]`, nil, ":2: is not a JSON object", true},
		{"label", "embedllm", "t.csv", "prompt_id,model_id,label,prompt\n1,m,1,Why?\n2,m,2,A secret\n", nil, ":3: field label: 2 is outside [0,1]", true},
		{"no label", "embedllm", "t.csv", "prompt_id,model_id,label,prompt\n1,m,1,Why?\n2,m,,A secret\n", nil, ":3: field label: is missing or empty", true},
		{"another prompt", "embedllm", "t.csv", "prompt_id,model_id,label,prompt\n1,m,1,Why?\n1,n,1,A secret\n", nil, `:3: field prompt: "1" had another prompt before`, true},
		{"no model", "embedllm", "t.csv", "prompt_id,model_id,label,prompt\n1,m,1,Why?\n2,,1,A secret\n", nil, ":3: field model_name: is missing or empty", true},
		{"no column label", "embedllm", "t.csv", "prompt_id,model_id,prompt\n1,m,A secret\n", nil, ":1: field label: header: the column is missing", false},
		{"no prompts", "embedllm", "t.csv", "prompt_id,model_id,label\n1,m,1\n", nil, ":1: field prompt: header: the column is missing", false},
		{"no prompt logged", "litellm", "l.jsonl", `{"request_id":"r0","messages":"Why?","model":"m","spend":1}` + "\n" + `{"request_id":"r1","messages":{},"model":"m"}`, nil,
			":2: field messages: is empty, and so is proxy_server_request: LiteLLM logs prompts only if store_prompts_in_spend_logs is set", true},
		{"spend", "litellm", "l.jsonl", `{"request_id":"r0","messages":"Why?","model":"m","spend":1}` + "\n" + `{"request_id":"r1","messages":"A secret","model":"m","spend":-1}`, nil, ":2: field spend: -1 is negative", true},
		{"usage", "litellm", "l.jsonl", `{"request_id":"r0","messages":"Why?","model":"m","spend":1}` + "\n" + `{"request_id":"r1","messages":"A secret","model":"m","metadata":{"usage_object":{"prompt_tokens":{}}}}`, nil,
			":2: field metadata.usage_object.prompt_tokens: is not a number", true},
		{"every prompt is lost", "litellm", "l.jsonl", `{"request_id":"r1","model":"m","messages":"A secret... (litellm_truncated skipped 9 chars) ..."}` + "\n" + `{"request_id":"r2","model":"m","messages":"redacted-by-litellm"}`, nil,
			": field messages: the source holds no whole prompt: LiteLLM cut 1 before they were logged and redacted 1", false},
		{"a prompt that is cut", "table", "l.jsonl", `{"prompt":"Why?","model":"m","score":1}` + "\n" + `{"prompt":[{"role":"user","content":"A secret... (litellm_truncated skipped 9 chars) ..."}],"model":"m","score":1}`, map[string]string{},
			":2: field prompt: was cut by LiteLLM before it was logged", true},
		{"Infinity", "table", "l.jsonl", `{"prompt":"Why?","model":"m","score":1}` + "\n" + `{"prompt":"A secret","model":"m","score":1,"output_tokens":-Infinity}`, map[string]string{},
			`:2: field output_tokens: "-Infinity" is not a number`, true},
		{"unknown id", "openai-batch", "b.jsonl", batchInput + `{"custom_id":"q9","response":{"status_code":200,"body":{"model":"m","usage":{}}}}` + "\n" + batchOutput, nil, `:4: field custom_id: "q9" is not among the requests`, true},
		{"no usage", "openai-batch", "b.jsonl", batchInput + `{"custom_id":"q1","response":{"status_code":200,"body":{"model":"m"}}}` + "\n" + batchOutput, nil, ":4: field response.body.usage: is missing", true},
		{"no model", "openai-batch", "b.jsonl", batchInput + `{"custom_id":"q1","response":{"status_code":200,"body":{"usage":{}}}}` + "\n" + batchOutput, nil, ":4: field response.body.model: is missing or empty", true},
		{"answered twice", "openai-batch", "b.jsonl", batchInput + batchOutput + batchOutput[strings.LastIndex(batchOutput[:len(batchOutput)-1], "\n")+1:], nil, `:7: field id: "q1" with model "gpt-4o-mini-2024-07-18" is repeated`, true},
		{"no messages", "openai-batch", "b.jsonl", batchInput + `{"custom_id":"q4","body":{"messages":[]}}` + "\n" + batchOutput, nil, ":4: field body: is missing or empty", true},
		{"no answers", "openai-batch", "b.jsonl", batchInput, nil, ": field response: no line is an answer", false},
		{"no requests", "openai-batch", "b.jsonl", batchOutput, nil, ": field body: no line is a request", false},
		{"score", "table", "t.csv", "k,p,m,s\n1,Why?,m,1\n2,A secret,m,1e3\n", longID, ":3: field s: 1000 is outside [0,1]", true},
		{"repeated", "table", "t.csv", "k,p,m,s\n1,Why?,m,1\n1,Why?,m,0\n", longID, `:3: field id: "1" with model "m" is repeated`, true},
		{"no id", "table", "t.csv", "k,p,m,s\n1,Why?,m,1\n,A secret,m,0\n", longID, ":3: field k: is missing or empty", true},
		{"split", "table", "t.csv", "k,p,m,s,split\n1,Why?,m,1,train\n2,A secret,m,0,x\n", longID, `:3: field split: "x" is not train, validation, test or extra`, true},
		{"straddling", "table", "t.csv", "k,p,m,s,split\n1,Why?,m,1,train\n2,Why?,m,0,test\n", longID, ":3: field split: an earlier query with this prompt is not in test: equal prompts belong in one split", true},
		{"column", "table", "t.csv", "k,prompt,m,s\n1,A secret,m,1\n", longID, ": field p: the column is missing; the columns are k, prompt, m, s", false},
		{"column", "table", "t.jsonl", `{"k":1,"prompt":"A secret","m":"m","s":1}`, longID, ": field p: the column is missing; the columns are k, m, prompt, s", false},
		{"column of no line", "table", "t.jsonl", `{"k":1,"p":"A secret","m":"m","score":1}`, longID, ": field s: the column is missing; the columns are k, m, p, score", false},
		{"no outcome", "table", "t.csv", "prompt,model\nA secret,m\n", nil, ": field score: the column is missing; the columns are prompt, model", false},
		{"both", "table", "t.csv", "k,p,m,s\n1,A secret,m,1\n", map[string]string{"model": "m", "score:a": "s"}, ": field model: is mapped, and so are columns of single models (FIELD:MODEL)", false},
		{"kind", "table", "t.xlsx", "", longID, ": is not named .csv, .tsv, .jsonl, .json or .parquet", false},
		{"empty", "table", "t.csv", "", longID, ": is empty: the header is missing", false},
	}
}

func TestImportRefuses(t *testing.T) {
	for _, tt := range slices.Concat(refusals(), evalRefusals()) {
		t.Run(tt.format+" "+tt.name, func(t *testing.T) {
			src := filepath.Join(sourceFolder(t, map[string]string{tt.file: tt.text}), filepath.FromSlash(tt.file))
			parent := t.TempDir()
			dst := filepath.Join(parent, "set")
			_, err := Import(t.Context(), tt.format, src, dst, Options{Columns: tt.columns})
			bad, ok := errors.AsType[*dataset.FormatError](err)
			if !ok || err.Error() != src+tt.want {
				t.Fatalf("error %v, want …%s", err, tt.want)
			}
			if bad.Hint == "" || strings.Contains(err.Error()+bad.Hint, "secret") {
				t.Errorf("error %v, hint %q: want a hint and no prompt", err, bad.Hint)
			}
			leavesAlone(t, parent)

			report, err := Import(t.Context(), tt.format, src, dst, Options{Columns: tt.columns, KeepGoing: true})
			if !tt.good {
				if err == nil || err.Error() != src+tt.want {
					t.Errorf("with KeepGoing: error %v, want …%s", err, tt.want)
				}
				leavesAlone(t, parent)
				return
			}
			if err != nil || report.Rejected != 1 || report.Queries == 0 {
				t.Fatalf("with KeepGoing: %+v, %v, want one row rejected", report, err)
			}
			if _, err := dataset.Load(t.Context(), dst); err != nil {
				t.Error(err)
			}
			rejected, err := os.ReadFile(filepath.Join(dst, "rejected.jsonl"))
			if err != nil || strings.Count(string(rejected), "\n") != 1 || strings.Contains(string(rejected), "secret") {
				t.Errorf("rejected.jsonl: %v\n%s", err, rejected)
			}
		})
	}
}

func TestImportRefusesTargets(t *testing.T) {
	f := func(target, want string) {
		t.Helper()
		_, err := Import(t.Context(), "table", "t.csv", filepath.Join(t.TempDir(), "set"), Options{Columns: map[string]string{target: "c"}})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("column %s: error %v, want %s…", target, err, want)
		}
	}
	f("scroe", `map columns: unknown field "scroe": want one of id, prompt, source, split, model, score, input_tokens,`)
	f("prompt:gpt-4", `map columns: unknown field "prompt:gpt-4": want one of `)
	f("score:", `map columns: unknown field "score:": want one of `)
	f("Score", `map columns: unknown field "Score": want one of `)
}

func TestImportUnknownFormat(t *testing.T) {
	_, err := Import(t.Context(), "csv", "t.csv", filepath.Join(t.TempDir(), "set"), Options{})
	if err == nil || !strings.HasPrefix(err.Error(), `import: unknown format "csv": want one of `) {
		t.Errorf("error %v", err)
	}
}

func TestImportCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range refusals() {
		src := filepath.Join(sourceFolder(t, map[string]string{tt.file: tt.text}), filepath.FromSlash(tt.file))
		parent := t.TempDir()
		if _, err := Import(ctx, tt.format, src, filepath.Join(parent, "set"), Options{Columns: tt.columns}); err == nil {
			t.Errorf("%s %s: no error", tt.format, tt.name)
		}
		leavesAlone(t, parent)
	}
}

func TestImportMissingSource(t *testing.T) {
	for _, f := range Formats() {
		parent := t.TempDir()
		_, err := Import(t.Context(), f.Name, filepath.Join(parent, "no.csv"), filepath.Join(parent, "set"), Options{})
		if err == nil || !strings.Contains(err.Error(), "no.csv: open: no such file or directory") && !strings.Contains(err.Error(), "no.csv: is not") {
			t.Errorf("%s: error %v", f.Name, err)
		}
		leavesAlone(t, parent)
	}
}

func TestReadColumns(t *testing.T) {
	got, err := ReadColumns(strings.NewReader("prompt: text\nscore:\n  gpt-4: a b\n  7b:x: c\n\"cost_usd:gpt-4\": d\n"), "c.yaml")
	want := map[string]string{"prompt": "text", "score:gpt-4": "a b", "score:7b:x": "c", "cost_usd:gpt-4": "d"}
	if err != nil || len(got) != len(want) {
		t.Fatalf("%v, %v", got, err)
	}
	for target, column := range want {
		if got[target] != column {
			t.Errorf("%s: %q, want %q", target, got[target], column)
		}
	}
	f := func(in, want string) {
		t.Helper()
		if _, err := ReadColumns(strings.NewReader(in), "c.yaml"); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: error %v, want %s…", in, err, want)
		}
	}
	f("prompt: [a]", "c.yaml: field prompt: is not the name of a column")
	f("prompt: 1", "c.yaml: field prompt: is not the name of a column")
	f("prompt:", "c.yaml: field prompt: is not the name of a column")
	f("score:\n  m: {}", "c.yaml: field score:m: is not the name of a column")
	f("prompt: a\nprompt: b", "c.yaml: is not a YAML mapping: ")
	f("- a", "c.yaml: is not a YAML mapping: ")
	f("\tx", "c.yaml: is not a YAML mapping: ")
	f("scroe: a", `map columns: unknown field "scroe"`)
	f(strings.Repeat("#", 2<<20), "c.yaml: is longer than 1 MiB")
}

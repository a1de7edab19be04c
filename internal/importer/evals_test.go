package importer

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestImportTools: files that the programs themselves have written (testdata/README.md) are
// read as they are meant.
func TestImportTools(t *testing.T) {
	capital, sum := "What is the capital of France?", "What is 2 + 3?"
	promptfoo := promptID(sum) + " promptfoo \"" + sum + "\"\n" +
		promptID(sum) + " bad 0 10 7 1e-05 - 3\n" +
		promptID(sum) + " good 1 10 2 0.00012 - -\n" +
		promptID(capital) + " promptfoo \"" + capital + "\"\n" +
		promptID(capital) + " bad 0.8333333333333334 10 7 1e-05 - 3\n" +
		promptID(capital) + " good 1 10 2 0.00012 - -\n" +
		promptID("Say nothing.") + " promptfoo \"Say nothing.\"\n" +
		promptID("Say nothing.") + " bad 0 10 7 1e-05 - 3\n"
	samples := `tiny_choice/0 tiny_choice "Which is a color?\nA. red\nB. seven"
tiny_choice/0 org/tiny-7b 0 5 1 - - -
tiny_choice/1 tiny_choice "Which is a number?\nA. blue\nB. nine"
tiny_choice/1 org/tiny-7b 0 5 1 - - -
tiny_gen/0 tiny_gen "What is 2 + 3?"
tiny_gen/0 org/tiny-7b 0 7 1 - - -
tiny_gen/1 tiny_gen "What is 7 - 4?"
tiny_gen/1 org/tiny-7b 0 7 1 - - -
price org/tiny-7b 0.2 0.2
`
	for _, tt := range []struct {
		name, format, src string
		want              string
		report            Report
	}{
		{"inspect", "inspect", "testdata/inspect", `tiny/sum tiny "What is 2 + 3?"
tiny/sum mockllm/good 1 12 3 - 2 -
tiny/sum mockllm/bad 0 12 3 - 2 -
tiny/capital tiny "What is the capital of France?"
tiny/capital mockllm/good 1 13 4 - 2 -
tiny/capital mockllm/bad 1 13 4 - 2 -
tiny/3 tiny "Name a prime between 8 and 12."
tiny/3 mockllm/good 1 14 5 - 2 -
tiny/3 mockllm/bad 0 14 5 - 2 -
`, Report{Rows: 6, Queries: 3, Outcomes: 6, Scores: 6}},
		{"promptfoo", "promptfoo", "testdata/promptfoo/results.json", promptfoo, Report{Rows: 6, Skipped: 1, Queries: 3, Outcomes: 5, Scores: 5, Costs: 5}},
		{"lm-eval", "open-llm", "testdata/lm-eval", samples, Report{Rows: 6, Skipped: 2, Queries: 4, Outcomes: 4, Scores: 4}},
		{"lm-eval in Parquet", "open-llm", "testdata/lm-eval-parquet", samples, Report{Rows: 6, Skipped: 2, Queries: 4, Outcomes: 4, Scores: 4}},
		{"promptfoo, both forms", "promptfoo", "testdata/promptfoo", promptfoo, Report{Rows: 11, Skipped: 1, Repeats: 5, Queries: 3, Outcomes: 5, Scores: 5, Costs: 5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dst := filepath.Join(t.TempDir(), "set")
			report, err := Import(t.Context(), tt.format, filepath.FromSlash(tt.src), dst, Options{CountTokens: countWords})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, imported(t, dst)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(&tt.report, report, cmpopts.IgnoreFields(Report{}, "Models", "Unpriced", "IDs", "Coverage")); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
		})
	}
}

const (
	attempt = `{"schema":"carrot.attempt/1","time":"2026-11-02T08:00:00Z","request_id":"req_1","number":1,"client":"support","api":"chat","stream":false,"policy":"auto","first":"small","reason":"trade-off","propensity":1,"decided_us":5,"candidate":"small","provider":"p","upstream_model":"m","outcome":"served","status":200,"usage":{"input_tokens":20,"cached_input_tokens":4,"output_tokens":6,"reasoning_tokens":2},"cost_usd":0.000123,"prompt":"Why?"}` + "\n"
)

// with returns the attempt with some texts replaced.
func with(pairs ...string) string {
	text := attempt
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			panic(pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

func evalCases() []importCase {
	inspectHead := `{"version":2,"status":"success","eval":{"task":"math","model":"openai/o3-mini","model_generate_config":{"reasoning_effort":"high"},"scorers":[{"name":"second"},{"name":"first"}]},"samples":[`
	return []importCase{{
		name: "carrot, records", format: "carrot",
		files: map[string]string{
			"a.jsonl": attempt +
				with(`"req_1"`, `"req_2"`, `"cost_usd":0.000123`, `"cost_usd":0.000323`, `"output_tokens":6`, `"output_tokens":9`) + // again
				with(`"req_1"`, `"req_3"`, `"cost_usd":0.000123`, `"cost_usd":null`, `"candidate":"small"`, `"candidate":"large"`) +
				with(`"outcome":"served"`, `"outcome":"failed"`) + // no answer
				with(`,"prompt":"Why?"`, ``) + "\n",
			"a-2026-11-01T00-00-00Z.jsonl": with(`"Why?"`, `{"model":"auto","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"`+strings.Repeat("How? ", 50)+`"}]}]}`) +
				with(`"api":"chat"`, `"api":"messages"`, `"Why?"`, `{"model":"auto","max_tokens":9,"messages":[{"role":"user","content":"First."},{"role":"assistant","content":"Yes."},{"role":"user","content":"And?"}]}`) +
				with(`"api":"chat"`, `"api":"responses"`, `"client":"support"`, `"client":""`, `"Why?"`, `{"model":"auto","input":"Who?"}`) +
				with(`"api":"chat"`, `"api":"embeddings"`) +
				with(`"Why?"`, `{"an":"object that is a prompt"}`)},
		want: promptID(strings.Repeat("How? ", 50)) + " support \"" + strings.Repeat("How? ", 50) + `"
` + promptID(strings.Repeat("How? ", 50)) + ` small - 24 8 0.000123 4 2
` + promptID("First.\nAnd?") + ` support "First.\nAnd?"
` + promptID("First.\nAnd?") + ` small - 24 8 0.000123 4 2
` + promptID("Who?") + ` carrot "Who?"
` + promptID("Who?") + ` small - 24 8 0.000123 4 2
` + promptID(`{"an":"object that is a prompt"}`) + ` support "{\"an\":\"object that is a prompt\"}"
` + promptID(`{"an":"object that is a prompt"}`) + ` small - 24 8 0.000123 4 2
` + promptID("Why?") + ` support "Why?"
` + promptID("Why?") + ` small - 24 9.5 0.000223 4 2
` + promptID("Why?") + ` large - 24 8 - 4 2
`,
		report: Report{Rows: 10, Skipped: 3, NoText: 1, Repeats: 1, Queries: 5, Outcomes: 6, Costs: 5},
	}, {
		name: "inspect, efforts, errors and scores", format: "inspect", src: "log.json",
		files: map[string]string{"log.json": inspectHead +
			`{"id":1,"epoch":1,"uuid":"u1","input":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"Pick."}]}],"choices":["red","blue"],"scores":{"first":{"value":"I"},"second":{"value":"P"}},"events":[{"a":NaN}],"model_usage":{"openai/o3-mini":{"input_tokens":10,"output_tokens":8,"input_tokens_cache_write":5,"reasoning_tokens":6,"total_cost":0.5},"openai/grader":{"input_tokens":900,"output_tokens":1}}},` +
			`{"id":1,"epoch":2,"uuid":"u2","input":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"Pick."}]}],"choices":["red","blue"],"scores":{"second":{"value":1.0}},"model_usage":{"openai/o3-mini":{"input_tokens":20,"output_tokens":8}}},` +
			`{"id":1,"epoch":2,"uuid":"u2","input":"again","scores":{}},` +
			`{"id":2,"epoch":1,"input":"Fail.","error":{"message":"timeout"}},` +
			`{"id":3,"epoch":1,"input":"Who?","scores":{},"output":{"usage":{"input_tokens":0,"output_tokens":0}}}` + `],"reductions":null}`},
		want: `math/1 math "Be brief.\n\nPick.\nA. red\nB. blue"
math/1 openai/o3-mini@high 0.75 17.5 8 0.5 - 6
math/3 math "Who?"
`,
		report: Report{Rows: 5, Skipped: 2, Repeats: 1, Queries: 2, Outcomes: 1, Scores: 1, Costs: 1},
	}, {
		name: "promptfoo, old and cached results", format: "promptfoo", src: "r.json",
		files: map[string]string{"r.json": `{"evalId":null,"results":{"version":2,"results":[` +
			`{"provider":"openai:gpt-4o","prompt":{"raw":"[{\"role\":\"user\",\"content\":\"Hi\"}]"},"success":true,"response":{"cached":true,"cost":0.1,"tokenUsage":{"total":9,"cached":9}}},` +
			`{"provider":{"id":"openai:gpt-4o"},"prompt":{"raw":"Ho"},"success":false,"score":0.5,"error":"Expected","failureReason":1,"response":{"output":"x","tokenUsage":{"prompt":0,"completion":0}}}` +
			`],"stats":{"successes":1}},"config":{}}`},
		want: promptID("Hi") + " promptfoo \"Hi\"\n" + promptID("Hi") + " openai:gpt-4o 1 - - - - -\n" +
			promptID("Ho") + " promptfoo \"Ho\"\n" + promptID("Ho") + " openai:gpt-4o 0.5 - - - - -\n",
		report: Report{Rows: 2, Queries: 2, Outcomes: 2, Scores: 2},
	}, {
		name: "open-llm, another metric", format: "open-llm",
		files:  map[string]string{"a__b/samples_squad_2026-01-01T00-00-00.jsonl": `{"doc_id":1,"doc":{"question":"Q?"},"resps":[["a"]],"filter":"none","metrics":["many","f1","em"],"many":[1,2],"f1":0.25,"em":0}`},
		want:   "squad/1 squad \"Q?\"\nsquad/1 a/b 0.25 - - - - -\n",
		report: Report{Rows: 1, Queries: 1, Outcomes: 1, Scores: 1},
	}, {
		name: "openhands", format: "openhands", src: "clone,issues.jsonl",
		files: map[string]string{
			"issues.jsonl":                                    `{"instance_id":"a__b-1","repo":"a/b","problem_statement":"It fails.","patch":"x"}` + "\n" + `{"instance_id":"a__b-2","repo":"a/b","problem_statement":"It hangs."}`,
			"clone/results/m/metadata.json":                   `{"model":"another name","input_price":0.5,"output_price":2,"cache_write_price":null}`,
			"clone/results/m/instance_results/swe-bench.json": `{"a__b-1":{"cost":0.25,"resolved":true},"a__b-2":{"cost":0.0,"resolved":false},"a__b-3":{"cost":1,"resolved":true}}`,
			"clone/results/m/instance_results/swt-bench.json": `{"a__b-1":{"cost":0.5,"resolved":null},"a__b-2":{"cost":null,"resolved":true}}`,
			"clone/results/m/instance_results/gaia.json":      `{"x":{"cost":0.5,"resolved":true}}`,
			"clone/results/n/metadata.json":                   `{"model":"n","input_price":null}`,
			"clone/results/n/instance_results/swe-bench.json": `{"a__b-1":{"cost":0.125,"resolved":false}}`},
		want: `swe-bench/a__b-1 swe-bench "Resolve this issue in the repository a/b:\n\nIt fails."
swe-bench/a__b-1 m 1 - - 0.25 - -
swe-bench/a__b-1 n 0 - - 0.125 - -
swe-bench/a__b-2 swe-bench "Resolve this issue in the repository a/b:\n\nIt hangs." validation
swe-bench/a__b-2 m 0 - - - - -
swt-bench/a__b-2 swt-bench "Write a test that reproduces this issue in the repository a/b:\n\nIt hangs." validation
swt-bench/a__b-2 m 1 - - - - -
price m 0.5 2
`,
		report: Report{Rows: 6, Skipped: 2, Queries: 3, Outcomes: 4, Scores: 4, Costs: 2},
	}, {
		name: "langfuse in JSON lines", format: "langfuse",
		files: map[string]string{
			"observations_v2/1.jsonl": `{"id":"o1","trace_id":"t1","trace_name":"chat","type":"GENERATION","level":"DEFAULT","provided_model_name":"gpt-4o","input":"[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":\"Why?\"}]","output":"x","usage_details":{"input":10,"input_cached_tokens":5,"output":4,"output_reasoning_tokens":2,"total":21},"cost_details":{"input":0.1,"total":0.3}}
{"id":"o2","trace_id":"t2","trace_name":"chat","type":"GENERATION","provided_model_name":"gpt-4o","input":"[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":\"Why?\"}]","usage_details":{"input":15,"output":6,"total":21},"total_cost":0.5}
{"id":"o3","trace_id":"t3","type":"GENERATION","provided_model_name":"small","input":"{\"messages\":[{\"role\":\"user\",\"content\":\"How?\"}]}","usage_details":{}}
{"id":"o4","trace_id":"t3","type":"GENERATION","provided_model_name":"small","input":"Who?"}
{"id":"o5","trace_id":"t3","type":"SPAN"}
{"id":"o6","trace_id":"t4","type":"GENERATION","level":"ERROR","provided_model_name":"small","input":"Fail"}
`,
			"scores/1.jsonl": `{"id":"s1","trace_id":"t1","observation_id":"o1","name":"right","value":1,"data_type":"NUMERIC"}
{"id":"s2","trace_id":"t1","observation_id":"o1","name":"right","value":0,"data_type":"BOOLEAN"}
{"id":"s3","trace_id":"t2","observation_id":null,"name":"right","value":0.9,"data_type":"NUMERIC"}
{"id":"s4","trace_id":"t3","observation_id":null,"name":"right","value":1,"data_type":"NUMERIC"}
{"id":"s5","trace_id":"t1","observation_id":"o1","name":"tone","value":null,"string_value":"kind","data_type":"CATEGORICAL"}
`},
		want: promptID("Be brief.\n\nWhy?") + " chat \"Be brief.\\n\\nWhy?\"\n" + promptID("Be brief.\n\nWhy?") + ` gpt-4o 0.7 15 6 0.4 5 2
` + promptID("How?") + " langfuse \"How?\"\n" + promptID("Who?") + " langfuse \"Who?\"\n",
		report: Report{Rows: 6, Skipped: 2, Repeats: 1, Queries: 3, Outcomes: 1, Scores: 1, Costs: 1},
	}, {
		name: "langfuse in CSV with a chosen score", format: "langfuse", src: "o.csv,s.csv", opt: Options{Columns: map[string]string{"score": "right"}},
		files: map[string]string{
			"o.csv": "id,traceId,name,type,model,input,usageDetails,calculatedTotalCost\no1,t1,chat,GENERATION,m,\"{\"\"messages\"\":[{\"\"role\"\":\"\"user\"\",\"\"content\"\":\"\"Why, then?\"\"}]}\",\"{\"\"input\"\":3,\"\"output\"\":2}\",0.25\n",
			"s.csv": "id,traceId,observationId,name,value,dataType\ns1,t1,,right,1,NUMERIC\ns2,t1,,other,0.5,NUMERIC\n"},
		want:   promptID("Why, then?") + " chat \"Why, then?\"\n" + promptID("Why, then?") + " m 1 3 2 0.25 - -\n",
		report: Report{Rows: 1, Queries: 1, Outcomes: 1, Scores: 1, Costs: 1},
	}}
}

func evalRefusals() []refusal {
	inspect := `{"version":2,"eval":{"task":"t","model":"m","scorers":[]},"samples":[{"id":1,"input":"Why?","scores":{"a":{"value":"C"}}},`
	result := `{"provider":"m","prompt":{"raw":"Why?"},"score":1,"response":{}}`
	generation := `{"id":"o","trace_id":"t","type":"GENERATION","model":"m","input":"Why?"}` + "\n"
	return []refusal{
		{"score", "langfuse", "l.jsonl", generation + `{"id":"s","trace_id":"t","name":"a","value":2,"data_type":"NUMERIC"}`, nil, `:2: field value: 2 is outside [0,1]`, true},
		{"no input", "langfuse", "l.jsonl", generation + `{"id":"p","trace_id":"t","type":"GENERATION","model":"m"}`, nil, `:2: field input: is missing or empty`, true},
		{"no model", "langfuse", "l.jsonl", generation + `{"id":"p","trace_id":"t","type":"GENERATION","input":"A secret"}`, nil, `:2: field model: is missing or empty`, true},
		{"tokens", "langfuse", "l.jsonl", generation + `{"id":"p","trace_id":"t","type":"GENERATION","model":"m","input":"A secret","usage_details":{"input":-2}}`, nil, `:2: field usage_details.input: -2 is negative`, true},
		{"several names", "langfuse", "l.jsonl", generation + `{"id":"s","trace_id":"t","name":"a","value":1,"data_type":"NUMERIC"}` + "\n" + `{"id":"s","trace_id":"t","name":"b","value":1,"data_type":"BOOLEAN"}`, nil, `: field name: has scores of several names: a, b`, false},
		{"no such name", "langfuse", "l.jsonl", generation, map[string]string{"score": "a"}, `: field name: has no scores named "a", only none`, false},
		{"not a record", "carrot", "r.jsonl", attempt + `{"schema":"carrot.decision/1"}` + "\n", nil, `:2: is not a record of an attempt: attempt: schema "carrot.decision/1", want "carrot.attempt/1"`, true},
		{"not JSON", "carrot", "r.jsonl", attempt + `{"schema":` + "\n", nil, `:2: is not a record of an attempt: unexpected end of JSON input`, true},
		{"no model", "carrot", "r.jsonl", attempt + with(`"candidate":"small"`, `"candidate":""`), nil, `:2: field model: is missing or empty`, true},
		{"no text", "carrot", "r.jsonl", with(`,"prompt":"Why?"`, ``), nil, `: field prompt: the text of none of its 1 answered requests was recorded`, false},
		{"score", "inspect", "l.json", inspect + `{"id":2,"input":"A secret","scores":{"a":{"value":7}}}]}`, nil, `:2: field scores.a.value: 7 is outside [0,1]`, true},
		{"several values", "inspect", "l.json", inspect + `{"id":2,"input":"A secret","scores":{"a":{"value":{"x":1}}}}]}`, nil, `:2: field scores.a.value: has several values: keep the one that counts, with a scorer of one value first`, true},
		{"no id", "inspect", "l.json", inspect + `{"input":"A secret"}]}`, nil, `:2: field id: is missing or empty`, true},
		{"no input", "inspect", "l.json", inspect + `{"id":2}]}`, nil, `:2: field input: is missing or empty`, true},
		{"another input", "inspect", "l.json", inspect + `{"id":1,"input":"A secret"}]}`, nil, `:2: field input: "t/1" had another prompt before`, true},
		{"tokens", "inspect", "l.json", inspect + `{"id":2,"input":"A secret","model_usage":{"m":{"input_tokens":-1}}}]}`, nil, `:2: field model_usage.input_tokens: -1 is negative`, true},
		{"no eval", "inspect", "l.json", `{"version":2,"samples":[{"id":1}]}`, nil, `: field eval: is missing before the samples`, false},
		{"cut", "inspect", "l.json", inspect, nil, `:1: is not valid JSON: the file ends inside the object`, false},
		{"no archive", "inspect", "l.eval", "PK", nil, `: is not a complete zip archive`, false},
		{"a list", "inspect", "l.json", "[]", nil, `: is not a JSON object`, false},
		{"score", "promptfoo", "r.jsonl", result + "\n" + `{"provider":"m","prompt":{"raw":"A secret"},"score":2,"response":{}}`, nil, `:2: field score: 2 is outside [0,1]`, true},
		{"no prompt", "promptfoo", "r.jsonl", result + "\n" + `{"provider":"m","score":1,"response":{}}`, nil, `:2: field prompt.raw: is missing or empty`, true},
		{"no provider", "promptfoo", "r.json", `{"results":{"results":[` + result + `,{"prompt":{"raw":"A secret"},"score":1,"response":{}}]}}`, nil, `:2: field provider: is missing or empty`, true},
		{"not an object", "promptfoo", "r.json", `{"results":{"results":[` + result + `,"A secret"]}}`, nil, `:2: is not a JSON object`, true},
		{"no results", "promptfoo", "r.json", `{"results":{}}`, nil, `: field results.results: is missing or empty`, false},
		{"results are a text", "promptfoo", "r.json", `{"results":"A secret"}`, nil, `: results is not an object`, false},
	}
}

// TestOpenHandsRefuses: what is missing or wrong in a clone of the index is named.
func TestOpenHandsRefuses(t *testing.T) {
	const issues, results = `{"instance_id":"a__b-1","repo":"a/b","problem_statement":"A secret"}`, "clone/results/m/instance_results/swe-bench.json"
	for _, tt := range []struct {
		name, src string
		files     map[string]string
		want      string
	}{
		{"no issues", "clone", map[string]string{"clone/README.md": ""}, `clone: has no issues: the index holds their ids only`},
		{"no clone", "clone,i.jsonl", map[string]string{"i.jsonl": issues, "clone/README.md": ""}, `clone: holds no results/MODEL/instance_results`},
		{"no column", "clone,i.jsonl", map[string]string{"clone/README.md": "", "i.jsonl": `{"instance_id":"a__b-1","problem_statement":"A secret"}`}, `i.jsonl:1: field repo: is missing or empty`},
		{"result", "clone,i.jsonl", map[string]string{"i.jsonl": issues, results: `{"a__b-1":{"resolved":1}}`}, `swe-bench.json:1: field a__b-1.resolved: is neither true, false nor null`},
		{"cost", "clone,i.jsonl", map[string]string{"i.jsonl": issues, results: `{"a__b-2":{},"a__b-1":{"resolved":true,"cost":"much"}}`}, `swe-bench.json:2: field a__b-1.cost: "much" is not a number`},
		{"not an object", "clone,i.jsonl", map[string]string{"i.jsonl": issues, results: `{"a__b-1":true}`}, `swe-bench.json:1: field a__b-1: is not an object with resolved and cost`},
		{"other issues", "clone,i.jsonl", map[string]string{"i.jsonl": issues, results: `{"a__b-2":{"resolved":true}}`}, `i.jsonl: field instance_id: none of the issues is in the index`},
		{"price", "clone,i.jsonl", map[string]string{"i.jsonl": issues, results: `{}`, "clone/results/m/metadata.json": `{"input_price":-1}`}, `metadata.json: field input_price: -1 is negative`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.files[results] != "" && tt.files["clone/results/m/metadata.json"] == "" {
				tt.files["clone/results/m/metadata.json"] = `{"model":"m"}`
			}
			dir := sourceFolder(t, tt.files)
			var parts []string
			for _, part := range strings.Split(tt.src, ",") {
				parts = append(parts, filepath.Join(dir, part))
			}
			_, err := Import(t.Context(), "openhands", strings.Join(parts, ","), filepath.Join(t.TempDir(), "set"), Options{})
			if err == nil || !strings.HasSuffix(filepath.ToSlash(err.Error()), "/"+tt.want) && !strings.HasSuffix(err.Error(), tt.want) {
				t.Fatalf("error %v, want …%s", err, tt.want)
			}
			isFormatError(t, err)
		})
	}
}

// TestInspectDamaged: a log that was cut anywhere is refused or read in part, without a panic.
func TestInspectDamaged(t *testing.T) {
	whole, err := os.ReadFile("testdata/inspect/2026-11-29T22-17-23-00-00_tiny_good.eval")
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(whole); i += 499 {
		flipped := bytes.Clone(whole)
		flipped[i] ^= 0x40
		for _, data := range [][]byte{whole[:i], flipped} {
			src := writeFile(t, filepath.Join(t.TempDir(), "log.eval"), data)
			if _, err := Import(t.Context(), "inspect", src, filepath.Join(t.TempDir(), "set"), Options{}); err != nil && !strings.HasPrefix(err.Error(), "import: the source holds no ") {
				isFormatError(t, err)
			}
		}
	}
}

package importer

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/carrot-router/carrot/dataset"
)

// sourceFolder writes the files of a source, by their paths.
func sourceFolder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// shortest writes a number in the shortest form that reads back the same.
func shortest(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// countWords counts words in place of tokens.
func countWords(text string) int { return len(strings.Fields(text)) }

// imported returns what an import wrote, one line for each query and outcome:
// "id source prompt [split]" and "id model score input output cost cached
// reasoning", then "price model input output".
func imported(t testing.TB, dir string) string {
	t.Helper()
	set, err := dataset.Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	tables := []dataset.Matrix{set.Score, set.InputTokens, set.OutputTokens, set.CostUSD, set.CachedTokens, set.ReasoningTokens}
	for i, q := range set.Queries {
		fmt.Fprintf(&b, "%s %s %q", q.ID, q.Source, q.Prompt)
		if q.Split != dataset.SplitOf(q.Prompt) {
			fmt.Fprintf(&b, " %s", q.Split)
		}
		b.WriteString("\n")
		for j, m := range set.Models {
			line, some := q.ID+" "+m.Name, false
			for _, table := range tables {
				v := math.NaN()
				if table.Rows > 0 {
					v = table.At(i, j)
				}
				if math.IsNaN(v) {
					line += " -"
					continue
				}
				some, line = true, line+" "+shortest(v)
			}
			if some {
				b.WriteString(line + "\n")
			}
		}
	}
	for _, m := range set.Models {
		if m.Priced() {
			fmt.Fprintf(&b, "price %s %v %v\n", m.Name, m.InputUSDPerMillion, m.OutputUSDPerMillion)
		}
	}
	return b.String()
}

// importCase is an import that succeeds.
type importCase struct {
	name, format, src string
	files             map[string]string
	opt               Options
	want              string
	report            Report
}

const (
	gpqaSample = `{"doc_id": 3, "doc": {"Question": "Which?", "choice1": "x"}, "target": "(A)", "arguments": {"gen_args_0": {"arg_0": "<user>What is it? Which?", "arg_1": " (A)"}, "gen_args_1": {"arg_0": "<user>What is it? Which?", "arg_1": " (B)"}}, "resps": [[["-1.5", "False"]], [["-0.5", "True"]]], "filtered_resps": [["-1.5", "False"], ["-0.5", "True"]], "doc_hash": "aa", "acc_norm": 1.0}` + "\n"
	mathSample = `{"doc_id": 0, "doc": {"problem": "1+1?", "answer": "2"}, "target": "2", "arguments": [["Problem: 1+1?", {"until": ["Problem:"]}]], "resps": [["The answer is 2"]], "filtered_resps": ["2"], "filter": "none", "exact_match": 0}` + "\n"
	evalSample = `{"doc_id": 7, "doc": {"key": 1000, "prompt": "Write a poem.", "instruction_id_list": []}, "target": 0, "arguments": [["[{\"role\": \"user\", \"content\": \"Write a poem.\"}]", {}]], "resps": [["A poem"]], "filtered_resps": ["A poem"], "prompt_level_strict_acc": true, "inst_level_strict_acc": [true]}` + "\n"
	proSample  = `{"doc_id": 1, "doc": {"question": "Pick.", "options": ["red", "blue"]}, "arguments": [["Examples. Pick.", " A"]], "resps": [[[-2, false]]], "filtered_resps": [[-2, false]], "acc": 0.0}` + "\n"
	musrSample = `{"doc_id": 2, "doc": {"narrative": "It was late.", "question": "Who did it?", "choices": "['a', 'b']"}, "arguments": [], "filtered_resps": [[-2, "False"]], "acc_norm": 1}` + "\n"
	rawSample  = `{"doc_id": "x", "doc": {"sentence": "?"}, "arguments": [["Sent as it is"]], "resps": [["one two", "three"]], "acc": 0.5, "acc_norm": 0.25}` + "\n"
)

func importCases() []importCase {
	return slices.Concat(openLLMCases(), benchmarkCases(), logCases(), evalCases())
}

func openLLMCases() []importCase {
	return []importCase{{
		name: "open-llm", format: "open-llm",
		files: map[string]string{
			"meta-llama__Meta-Llama-3-8B-Instruct-details/meta-llama__Meta-Llama-3-8B-Instruct/samples_leaderboard_gpqa_main_2024-06-16T19-10-04.926831.jsonl": gpqaSample,
			"mistralai__Mixtral-8x7B-v0.1/samples_leaderboard_gpqa_main_2024-07-01T00-00-00.000001.jsonl":                                                      strings.ReplaceAll(gpqaSample, "<user>", "[INST] "),
			"mistralai__Mixtral-8x7B-v0.1/samples_leaderboard_gpqa_main_2024-06-01T00-00-00.000001.jsonl":                                                      "an older run, which is not read",
			"mistralai__Mixtral-8x7B-v0.1/samples_leaderboard_math_algebra_hard_2024-06-01T00-00-00.json":                                                      "[" + mathSample + "]",
			"mistralai__Mixtral-8x7B-v0.1/samples_leaderboard_ifeval_2024-06-01T00-00-00.jsonl":                                                                evalSample,
			"mistralai__Mixtral-8x7B-v0.1/results_2024-06-01T00-00-00.json":                                                                                    "{}",
			"org__phi/samples_leaderboard_mmlu_pro_2024-06-01T00-00-00.jsonl":                                                                                  proSample,
			"org__phi/samples_leaderboard_musr_object_placements_2024-06-01T00-00-00.jsonl":                                                                    musrSample,
			"org__phi/samples_wsc_2024-06-01T00-00-00.jsonl":                                                                                                   rawSample,
		},
		opt: Options{CountTokens: countWords},
		want: `gpqa_main/3 gpqa_main "Which?"
gpqa_main/3 meta-llama/Meta-Llama-3-8B-Instruct 1 4 1 - - -
gpqa_main/3 mistralai/Mixtral-8x7B-v0.1 1 5 1 - - -
ifeval/7 ifeval "Write a poem."
ifeval/7 mistralai/Mixtral-8x7B-v0.1 1 3 2 - - -
math_algebra_hard/0 math_algebra_hard "1+1?"
math_algebra_hard/0 mistralai/Mixtral-8x7B-v0.1 0 2 4 - - -
mmlu_pro/1 mmlu_pro "Pick.\nA. red\nB. blue"
mmlu_pro/1 org/phi 0 2 1 - - -
musr_object_placements/2 musr_object_placements "It was late.\n\nWho did it?"
musr_object_placements/2 org/phi 1 6 1 - - -
wsc/x wsc "Sent as it is"
wsc/x org/phi 0.25 4 2 - - -
price meta-llama/Meta-Llama-3-8B-Instruct 0.2 0.2
price mistralai/Mixtral-8x7B-v0.1 0.6 0.6
`,
		report: Report{Rows: 7, Queries: 6, Outcomes: 7, Scores: 7},
	}, {
		name: "open-llm, a model's folder, no counter, two filters", format: "open-llm", src: "a__b-7b-details",
		files: map[string]string{"a__b-7b-details/samples_gsm8k_2024-06-01T00-00-00.jsonl": `{"doc_id":0,"doc":{"question":"2+2?"},"filter":"strict-match","filtered_resps":["4"],"exact_match":0.0}
{"doc_id":0,"doc":{"question":"2+2?"},"filter":"flexible-extract","filtered_resps":["4"],"exact_match":1.0}
`},
		want:   "gsm8k/0 gsm8k \"2+2?\"\ngsm8k/0 a/b-7b 0 - - - - -\nprice a/b-7b 0.2 0.2\n",
		report: Report{Rows: 2, Skipped: 1, Queries: 1, Outcomes: 1, Scores: 1},
	}}
}

func benchmarkCases() []importCase {
	return []importCase{{
		name: "routellm", format: "routellm",
		files: map[string]string{
			"mmlu/responses/mmlu_anatomy.csv": "prompt,mistralai/Mixtral-8x7B-Instruct-v0.1,gpt-4-1106-preview\n\"Which, if any?\nAnswer:\",True,False\nWhy?,False,\n",
			"gsm8k/gsm8k_responses.csv":       ",prompt,small-3b,gpt-4-1106-preview,small-3b_response,gpt-4-1106-preview_response\n0,2+2?,True,True,It is 4,4\n",
			"gsm8k/contaminated.csv":          "not read",
		},
		opt: Options{CountTokens: countWords},
		want: `gsm8k/0 gsm8k "2+2?"
gsm8k/0 small-3b 1 1 3 - - -
gsm8k/0 gpt-4-1106-preview 1 1 1 - - -
mmlu/anatomy/0 mmlu/anatomy "Which, if any?\nAnswer:"
mmlu/anatomy/0 gpt-4-1106-preview 0 4 - - - -
mmlu/anatomy/0 mistralai/Mixtral-8x7B-Instruct-v0.1 1 4 - - - -
mmlu/anatomy/1 mmlu/anatomy "Why?"
mmlu/anatomy/1 mistralai/Mixtral-8x7B-Instruct-v0.1 0 1 - - - -
price small-3b 0.1 0.1
price gpt-4-1106-preview 10 30
price mistralai/Mixtral-8x7B-Instruct-v0.1 0.6 0.6
`,
		report: Report{Rows: 3, Queries: 3, Outcomes: 5, Scores: 5},
	}, {
		name: "llmrouter", format: "llmrouter",
		files: map[string]string{
			"routing_data/default_routing_test_data.jsonl": `{"task_name":"gsm8k","query":"2+2?","ground_truth":"4","metric":"GSM8K","choices":null,"task_id":null,"model_name":"a-7b","response":"4","token_num":12,"input_tokens":10,"output_tokens":2,"performance":1.0,"embedding_id":0,"user_id":null}
{"task_name":"gsm8k","query":"2+2?","ground_truth":"4","metric":"GSM8K","choices":null,"model_name":"b","token_num":12,"performance":0.5}
`,
			"routing_data/default_routing_train_data.jsonl": `{"task_name":"mmlu","query":"Capital?","ground_truth":"A","metric":"em_mc","choices":"{\"text\": [\"Paris\", \"Rome\"], \"labels\": [\"A\", \"B\"]}","model_name":"b","input_tokens":5,"output_tokens":1,"performance":0}`,
			"llm_candidates/default_llm.json":               "{\n \"a-7b\": {\"size\": \"7B\", \"input_price\": 0.2, \"output_price\": 0.3},\n \"b\": {\"size\": \"1B\"}\n}",
			"llm_candidates/default_llm_embeddings.json":    "not read",
		},
		want: `gsm8k/db2680e0f2ab8898 gsm8k "2+2?" test
gsm8k/db2680e0f2ab8898 a-7b 1 10 2 - - -
gsm8k/db2680e0f2ab8898 b 0.5 - - - - -
mmlu/932a57bf9c9f390d mmlu "Capital?\nA. Paris\nB. Rome" train
mmlu/932a57bf9c9f390d b 0 5 1 - - -
price a-7b 0.2 0.3
`,
		report: Report{Rows: 3, Queries: 2, Outcomes: 3, Scores: 3},
	}, {
		name: "embedllm", format: "embedllm",
		files: map[string]string{
			"test.csv":           "prompt_id,model_id,category_id,label,category,model_name\n0,0,1,0,math,a-7b\n0,1,1,0,math,b\n0,0,2,1,sums,a-7b\n",
			"train.csv":          "prompt_id,model_id,label\n1,1,1\n",
			"question_order.csv": "prompt_id,prompt\n0,2+2?\n1,\"Why,\nindeed?\"\n",
			"model_order.csv":    "model_id,model_name\n0,a-7b\n1,b\n",
		},
		want:   "0 math \"2+2?\" test\n0 a-7b 1 - - - - -\n0 b 0 - - - - -\n1  \"Why,\\nindeed?\" train\n1 b 1 - - - - -\n",
		report: Report{Rows: 4, Skipped: 1, Queries: 2, Outcomes: 3, Scores: 3},
	}, {
		name: "embedllm, prompts in the file, models by id", format: "embedllm", src: "long.csv",
		files:  map[string]string{"long.csv": "prompt,prompt_id,model_id,label\nWhy?,q1,m1,0.5\n"},
		want:   "q1  \"Why?\"\nq1 m1 0.5 - - - - -\n",
		report: Report{Rows: 1, Queries: 1, Outcomes: 1, Scores: 1},
	}}
}

func TestImportFormats(t *testing.T) {
	for _, tt := range importCases() {
		t.Run(tt.name, func(t *testing.T) {
			src := sourceFolder(t, tt.files)
			dst := filepath.Join(t.TempDir(), "set")
			var names []string
			for _, name := range strings.Split(tt.src, ",") {
				names = append(names, filepath.Join(src, name))
			}
			report, err := Import(t.Context(), tt.format, strings.Join(names, ","), dst, tt.opt)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, imported(t, dst)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(&tt.report, report, cmpopts.IgnoreFields(Report{}, "Models", "Unpriced", "IDs", "Coverage")); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
			set, err := dataset.Load(t.Context(), dst)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(set.Coverage(), report.Coverage); diff != "" {
				t.Errorf("coverage (-of the set +of the report):\n%s", diff)
			}
		})
	}
}

// leavesAlone fails the test if a failed import left a folder, or anything beside
// it.
func leavesAlone(t testing.TB, parent string) {
	t.Helper()
	entries, err := os.ReadDir(parent)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("the failed import left %s", e.Name())
	}
}

package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/importer"
)

// Small files in the form of three published data sets, with invented prompts and
// outcomes, so that runs/tiny.sh can take every step of runs/sprout.sh,
// runs/routerbench.sh and runs/openllm.sh. The four models of each have the skills
// of the invented data set, so that there is something to learn.

var downloadsDir = flag.String("downloads", "", "folder to write small files in the form of published data sets to")

// tinyAnswer is the answer of one model to one query.
type tinyAnswer struct {
	score  float64
	tokens int
}

// tinyQuery is a query with the answers of four models.
type tinyQuery struct {
	source, prompt string
	answers        [4]tinyAnswer
}

// tinyQueries invents perSource different prompts of each kind.
func tinyQueries(r *rand.Rand, perSource int) (out []tinyQuery) {
	seen := map[string]bool{}
	for _, source := range syntheticSources {
		for range perSource {
			q := tinyQuery{source: source.name, prompt: source.prompt(r)}
			for seen[q.prompt] {
				q.prompt = source.prompt(r)
			}
			seen[q.prompt] = true
			for m, skill := range source.skill {
				if m == 0 {
					skill -= .1 // so that the others are better together
				}
				if r.Float64() < skill {
					q.answers[m].score = 1
				}
				q.answers[m].tokens = 1 + int(source.length*(.5+r.Float64()))
			}
			out = append(out, q)
		}
	}
	return out
}

// tinySPROUT is a row of SPROUT with four of its models.
type tinySPROUT struct {
	Key     int64        `parquet:"key"`
	Dataset string       `parquet:"dataset"`
	Level   string       `parquet:"dataset_level"`
	Idx     int64        `parquet:"dataset_idx"`
	Prompt  string       `parquet:"prompt"`
	Golden  string       `parquet:"golden_answer"`
	GPT4o   sproutAnswer `parquet:"openai-gpt-4o"`
	Mini    sproutAnswer `parquet:"openai-gpt-4o-mini"`
	Llama   sproutAnswer `parquet:"wxai-llama-3-1-8b-instruct"`
	Mixtral sproutAnswer `parquet:"wxai-mixtral-8x7b-instruct-v01"`
}

// writeTinySPROUT writes the Parquet files of the three splits.
func writeTinySPROUT(dir string, queries []tinyQuery) error {
	files := map[string][]tinySPROUT{}
	for k, q := range queries {
		answer := func(m int) sproutAnswer {
			return sproutAnswer{"…", q.answers[m].score, int64(len(q.prompt) / 4), int64(q.answers[m].tokens)}
		}
		split := splitOf(q.prompt)
		files[split] = append(files[split], tinySPROUT{int64(k), q.source, "", int64(k), q.prompt, "…", answer(0), answer(1), answer(2), answer(3)})
	}
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o777); err != nil {
		return err
	}
	for split, rows := range files {
		if err := parquet.WriteFile(filepath.Join(dir, "data", split+"-00000-of-00001.parquet"), rows); err != nil {
			return err
		}
	}
	return nil
}

// tinyRouterBench has models of RouterBench, with USD per million tokens.
var tinyRouterBench = [4]struct {
	name string
	usd  float64
}{{"gpt-4-1106-preview", 20}, {"gpt-3.5-turbo-1106", 1.5}, {"WizardLM/WizardLM-13B-V1.2", .3}, {"mistralai/mixtral-8x7b-chat", .6}}

// writeTinyRouterBench writes the table for 0 shots as CSV.
func writeTinyRouterBench(dir string, queries []tinyQuery) error {
	head := []string{"sample_id", "prompt", "eval_name"}
	for _, m := range tinyRouterBench {
		head = append(head, m.name)
	}
	for _, m := range tinyRouterBench {
		head = append(head, m.name+"|model_response", m.name+"|total_cost")
	}
	records := [][]string{append(head, "oracle_model_to_route_to")}
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	for k, q := range queries {
		record := []string{fmt.Sprintf("%s.%d", q.source, k), "['" + q.prompt + "']", q.source}
		for m := range tinyRouterBench {
			record = append(record, number(q.answers[m].score))
		}
		for m, model := range tinyRouterBench {
			record = append(record, "['…']", number(model.usd*1e-6*float64(len(q.prompt)/4+q.answers[m].tokens)))
		}
		records = append(records, append(record, "no_model_correct"))
	}
	var out bytes.Buffer
	if err := csv.NewWriter(&out).WriteAll(records); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "routerbench_0shot.csv"), out.Bytes(), 0o644)
}

// tinyOpenLLM has models of the Open LLM Leaderboard.
var tinyOpenLLM = [4]string{"meta-llama/Meta-Llama-3.1-70B-Instruct", "google/gemma-2-9b-it", "Qwen/Qwen2.5-7B-Instruct", "mistralai/Mixtral-8x7B-Instruct-v0.1"}

// writeTinyOpenLLM writes a folder per model with a file per task.
func writeTinyOpenLLM(dir string, queries []tinyQuery) error {
	for m, model := range tinyOpenLLM {
		folder := filepath.Join(dir, strings.Replace(model, "/", "__", 1)+"-details")
		if err := os.MkdirAll(folder, 0o777); err != nil {
			return err
		}
		files := map[string]*bytes.Buffer{}
		for k, q := range queries {
			if files[q.source] == nil {
				files[q.source] = new(bytes.Buffer)
			}
			answer := strings.Repeat("so ", q.answers[m].tokens)
			err := json.NewEncoder(files[q.source]).Encode(map[string]any{
				"doc_id": k, "doc": map[string]any{"question": q.prompt}, "target": "…",
				"arguments": map[string]any{"gen_args_0": map[string]any{"arg_0": q.prompt}},
				"resps":     [][]string{{answer}}, "filtered_resps": []string{answer}, "exact_match": q.answers[m].score,
			})
			if err != nil {
				return err
			}
		}
		for source, data := range files {
			name := "samples_leaderboard_" + source + "_2024-06-16T19-10-04.926831.jsonl"
			if err := os.WriteFile(filepath.Join(folder, name), data.Bytes(), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestTinyDownloads writes the small files to a folder for scripts:
// go test ./cmd/carrot -run TestTinyDownloads -downloads DIR. It checks that they
// can be imported completely.
func TestTinyDownloads(t *testing.T) {
	dir := *downloadsDir
	if dir == "" {
		dir = t.TempDir()
	}
	const perSource = 100
	for _, tt := range []struct {
		name, format string
		write        func(string, []tinyQuery) error
	}{{"SPROUT", "sprout", writeTinySPROUT}, {"routerbench", "routerbench", writeTinyRouterBench}, {"open-llm", "open-llm", writeTinyOpenLLM}} {
		source := filepath.Join(dir, tt.name)
		if err := tt.write(source, tinyQueries(rand.New(rand.NewPCG(3, 4)), perSource)); err != nil {
			t.Fatal(err)
		}
		into := filepath.Join(t.TempDir(), "data")
		report, err := importer.Import(t.Context(), tt.format, source, into, importer.Options{CountTokens: func(s string) int { return len(s) / 3 }})
		if err != nil {
			t.Fatal(err)
		}
		set, err := dataset.Load(t.Context(), into)
		if err != nil {
			t.Fatal(err)
		}
		n := perSource * len(syntheticSources)
		if int(report.Queries) != n || int(report.Outcomes) != 4*n || len(set.Rows(dataset.SplitTest)) < n/8 {
			t.Errorf("%s: %d queries, %d outcomes, %d test rows; want %d queries, all answered", tt.name, report.Queries, report.Outcomes, len(set.Rows(dataset.SplitTest)), n)
		}
	}
}

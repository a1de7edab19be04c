package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/simulate"
)

// simulatedFolder writes a data folder with two queries and two models.
func simulatedFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "recorded")
	for name, text := range map[string]string{
		"queries.jsonl": `{"id":"a","prompt":"What is 1+1?"}` + "\n" + `{"id":"b","prompt":"What is 2+2?"}` + "\n",
		"outcomes.csv":  "id,model,score,input_tokens,output_tokens\na,one,0.25,1000,10\na,two,1,2000,0\nb,one,1,7,7\n",
		"answers.csv":   "id,model,answer\na,one,9f3c\n",
		"models.json":   `[{"name":"one","input_usd_per_million":1,"output_usd_per_million":2},{"name":"two","input_usd_per_million":3,"output_usd_per_million":4}]`,
		"answers.jsonl": `{"id":"a","model":"one","repeat":0,"answer":"It is two."}` + "\n" + `{"id":"a","model":"one","repeat":1,"answer":"Two."}` + "\n" + `{"id":"b","model":"one","answer":"I won't say.","refused":true}` + "\n",
	} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// postJSON sends a request and reads the answer.
func postJSON(t *testing.T, url, body string, answer any) int {
	t.Helper()
	response, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode
}

// chatAnswer is what the test reads of a chat completion.
type chatAnswer struct {
	Choices []struct {
		Message struct {
			Content string `json:"content"`
			Refusal string `json:"refusal"`
		} `json:"message"`
	} `json:"choices"`
	Usage struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
	} `json:"usage"`
	Error struct {
		Message string `json:"message"`
	} `json:"error"`
}

func TestSimulate(t *testing.T) {
	out, log, stop := runUntil(t, "simulate", "--data", simulatedFolder(t), "--listen", "127.0.0.1:0")
	url := log.find(t, `3 simulated models of .*recorded at (http://\S+)/v1, the bill at `)
	chat := func(model, prompt string) (chatAnswer, int) {
		var got chatAnswer
		status := postJSON(t, url+"/v1/chat/completions", fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":%q}]}`, model, prompt), &got)
		return got, status
	}
	got, status := chat("one", "What is 1+1?\nGive only the number.")
	if status != 200 || got.Choices[0].Message.Content != "Simulated answer of one.\nscore=0.25\nanswer=9f3c\n" || got.Usage.Prompt != 1000 || got.Usage.Completion != 10 {
		t.Errorf("status %d, %+v", status, got)
	}
	if got, status := chat("two", "What is 1+1?"); status != 200 || got.Choices[0].Message.Content != "Simulated answer of two.\nscore=1\nanswer=\n" || got.Usage.Completion != 0 {
		t.Errorf("status %d, %+v", status, got)
	}
	for _, prompt := range []string{"What is 2+2?", "Another question"} { // of which two has no outcome
		if got, status := chat("two", prompt); status != 500 || got.Error.Message != "not recorded" {
			t.Errorf("%s: status %d, %+v", prompt, status, got)
		}
	}
	judged, status := chat("judge", "Judge this answer from 0 to 1.\n\n"+got.Choices[0].Message.Content)
	if status != 200 || judged.Choices[0].Message.Content != "0.25" || judged.Usage.Prompt < 10 || judged.Usage.Completion < 1 {
		t.Errorf("the judge: status %d, %+v", status, judged)
	}
	response, err := http.Get(url + "/bill")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	shown, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if status := stop(); status != exitOK {
		t.Errorf("status %d: %s", status, log)
	}
	var one, two simulatedBill
	if err := json.Unmarshal(shown, &one); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(out.String()), &two); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(one, two); diff != "" {
		t.Errorf("the bill that was shown and the one that was printed differ:\n%s", diff)
	}
	first := simulate.Line{Model: "one", Calls: 1, Usage: carrot.Usage{Input: 1000, Output: 10}, Cost: carrot.Dollars(0.00102)}
	second := simulate.Line{Model: "two", Calls: 1, Failed: 2, Usage: carrot.Usage{Input: 2000}, Cost: carrot.Dollars(0.006)}
	if diff := cmp.Diff([]simulate.Line{first, second}, two.Models[:2]); diff != "" || two.Models[2].Calls != 1 || two.CostUSD != first.Cost+second.Cost+two.Models[2].Cost {
		t.Errorf("bill %+v, (-want +got):\n%s", two, diff)
	}
}

// simulatedBill is the JSON of a bill.
type simulatedBill struct {
	Schema  string          `json:"schema"`
	CostUSD carrot.USD      `json:"cost_usd"`
	Models  []simulate.Line `json:"models"`
}

func TestSimulateAnswers(t *testing.T) {
	dir := simulatedFolder(t)
	_, log, stop := runUntil(t, "simulate", "--data", dir, "--listen", "127.0.0.1:0", "--answers", filepath.Join(dir, "answers.jsonl"), "--judge", "")
	url := log.find(t, `2 simulated models of .* at (http://\S+)/v1,`)
	defer stop()
	for prompt, want := range map[string][2]string{"What is 1+1?": {"It is two.", ""}, "What is 2+2?": {"", "I won't say."}} {
		var got chatAnswer
		status := postJSON(t, url+"/v1/chat/completions", fmt.Sprintf(`{"model":"one","messages":[{"role":"user","content":%q}]}`, prompt), &got)
		if status != 200 || [2]string{got.Choices[0].Message.Content, got.Choices[0].Message.Refusal} != want {
			t.Errorf("%s: status %d, %+v", prompt, status, got)
		}
	}
}

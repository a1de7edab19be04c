package importer

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

// What ZeroEval's own code returns for these outputs.
func TestZeroEvalAnswer(t *testing.T) {
	f := func(file, output, want string, found bool) {
		t.Helper()
		if got, ok := zeroEvalAnswer(file, output); got != want || ok != found {
			t.Errorf("zeroEvalAnswer(%q, %q) = %q, %v, want %q, %v", file, output, got, ok, want, found)
		}
	}
	f("m", `{"reasoning": "x", "answer": "4"}`, "4", true)
	f("m", "```json\n{\"answer\":\n \"4\\n\"}\n``` {\"answer\": 5}", "4\n", true)
	f("m", `{"answer": 4.50, "answer": -0}`, "0", true)
	f("m", `{"answer": null}`, "None", true)
	f("m", `{"answer": ["a", 1, true, {"b": 1e400, "c": []}]}`, "['a', 1, True, {'b': inf, 'c': []}]", true)
	f("m", `{"final": {"answer": "3"}} {"answer": "4"}`, "3", true)         // the first object has none, so the first text in quotes counts
	f("m", `{"reasoning": "{", "answer": "4"}`, "4", true)                  // the braces do not match
	f("m", `{"reasoning": "a "b" c", "answer": "4", "x": 1}`, "4", true)    // not JSON
	f("m", `{"reasoning": "x", "answer": 4, "y": "}"}`, "4", true)          // cut in a text
	f("m", "{\"reasoning\": \"a\tb\", \"answer\": \"4, 5\"}", "4, 5", true) // a tab in a text is not JSON
	f("m", "{'answer' : 4}", "", false)
	f("m", "answer : 4, or so", "4", true)
	f("m", `"answer":, 4`, "", true)
	f("m", "It is 4.", "", false)
	f("Meta-Llama-3.1-8B-Instruct", `It is $\boxed{42}$`, "42", true)
	f("Meta-Llama-3.1-8B-Instruct", `It is $\boxed{4/2}$`, "", false)
	f("Meta-Llama-3.1-8B-Instruct", `It is $\boxed{42}$`+strings.Repeat("é", 30), "", false)
	f("Meta-Llama-3-8B-Instruct", `It is $\boxed{42}$`, "", false)
	f("m", "", "", false)
}

func TestZeroEvalScore(t *testing.T) {
	f := func(task, answer, correct string, want float64) {
		t.Helper()
		if got := zeroEvalScore(task, answer, correct); got != want {
			t.Errorf("zeroEvalScore(%s, %q, %q) = %v, want %v", task, answer, correct, got, want)
		}
	}
	f("gsm", " $1,234.50 in all", "# 1234.5", 1)
	f("gsm", "4 or 5", "# 4", 1)
	f("gsm", "-4", "# 4", 0)
	f("gsm", "none", "# 4", 0)
	f("gsm", "4", "#", 0)
	f("math-l5", "3/4", "0.75", 1)
	f("math-l5", "3/4", "3/4", 1)
	f("math-l5", "85 * 81/4", "85", 1) // no fraction, so the first number
	f("crux", `"[1, 2]"`, "'[1, 2]'", 1)
	f("crux", "[1,2]", "[1, 2]", 0)
	f("crux", "'a\nb'", `'a\nb'`, 1)
	f("crux", "''", `""`, 1)
	f("crux", " ", "''", 0)
}

func TestNumberIn(t *testing.T) {
	f := func(answer string, want float64) {
		t.Helper()
		got, ok := numberIn(answer)
		if !ok {
			got = math.NaN()
		}
		if got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("numberIn(%q) = %v, want %v", answer, got, want)
		}
	}
	f("7/2", 3.5)
	f(" -7 / 2 ", -3.5)
	f("$7/$2", 3.5)
	f("1,000/2", 500)
	f("1/3", 1.0/3)
	f("0.1/0.3", 0.33333333333333337) // as floats are divided
	f("1/100000", 1)                  // 1e-05 as Python writes it, of which the first number is 1
	f("1/0", 1)                       // no value
	f("01/2", 1)                      // not a number in Python
	f("1/2/4", 1)                     // more than a fraction
	f("(1/2)", 1)                     // also more than is computed
	f("9**9**9/1", 9)                 // would not end
	f(`__import__("os").system("true")/5`, 5)
	f(strings.Repeat("9", 2000)+"/1", math.Inf(1))
	f("x.5", 5)
	f("x", math.NaN())
}

func TestPythonText(t *testing.T) {
	f := func(raw, want string) {
		t.Helper()
		if got := pythonText(json.RawMessage(raw)); got != want {
			t.Errorf("pythonText(%s) = %s, want %s", raw, got, want)
		}
	}
	f(`"it's"`, "it's")
	f(`["it's", "\"", "'\"", "\\ \n\r\t\u0007\u00e9\u0085\u200b\ud83d\ude00\udb40\udc01"]`, `["it's", '"', '\'"', '\\ \n\r\t\x07é\x85\u200b😀\U000e0001']`)
	f(`[1.0, 1e16, 123456789012345680.0, 1e-5, 0.0001, -0.0, 1.5e300, 12345678901234567890]`, "[1.0, 1e+16, 1.2345678901234568e+17, 1e-05, 0.0001, -0.0, 1.5e+300, 12345678901234567890]")
	f(`{"b": {}, "a": false, "b": 1}`, "{'b': 1, 'a': False}")
}

// Any output of a model is scored, and the correct answer scores 1.
func FuzzZeroEval(f *testing.F) {
	for _, s := range []string{`{"answer": "4"}`, `{"answer": {"a": [1e9, null]}}`, `"answer": 3/4`, `\boxed{1}`, "{{}", "answer:", "1/", "\xff/1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, output string) {
		answer, found := zeroEvalAnswer("Llama-3.1", output)
		if !found && answer != "" {
			t.Errorf("answer %q, but none is found", answer)
		}
		for _, task := range zeroEvalTasks {
			_, isNumber := numberIn(answer)
			if score := zeroEvalScore(task, answer, answer); score != 1 && task != "crux" && isNumber && !strings.Contains(answer, "#") {
				t.Errorf("%s: %q scores %v against itself", task, answer, score)
			}
			if hash := zeroEvalHash(task, answer); len(hash) != 8 && hash != "" {
				t.Errorf("%s: hash %q of %q", task, hash, answer)
			}
		}
	})
}

// A list that Python writes is read back.
func FuzzPythonList(f *testing.F) {
	for _, s := range []string{"it's", `"`, `'"`, "\\", "\n\x00\u200b😀", "N/A"} {
		f.Add(s, s)
	}
	f.Add(`['a', "b" , 'c\'']`, `[`)
	f.Fuzz(func(t *testing.T, a, b string) {
		pythonList(a)
		raw, err := json.Marshal([]string{a, b})
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		if err := json.Unmarshal(raw, &want); err != nil { // replaces what is not UTF-8
			t.Fatal(err)
		}
		got, ok := pythonList(pythonText(raw))
		if !ok || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
			t.Errorf("%q as Python writes it, %s, is read as %q, %v", want, pythonText(raw), got, ok)
		}
	})
}

package main

import (
	"cmp"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carrot-router/carrot/eval"
)

// TestPythonExamples runs the examples in Python that the documentation has:
// docs/own-router.md and docs/formats.md. CARROT_PYTHON names a Python with their
// packages, which continuous integration has.
func TestPythonExamples(t *testing.T) {
	named := os.Getenv("CARROT_PYTHON")
	python := cmp.Or(named, "python3")
	if out, err := exec.CommandContext(t.Context(), python, "-c", "import numpy, sklearn, tokenizers").CombinedOutput(); err != nil {
		if named != "" {
			t.Fatalf("CARROT_PYTHON=%s: %v\n%s", named, err, out)
		}
		t.Skip("no Python with numpy, scikit-learn and tokenizers (.ci/requirements.txt): CARROT_PYTHON can name one")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("CARROT_CACHE", t.TempDir())
	t.Chdir(t.TempDir())
	if err := writeSynthetic("mydata", nil); err != nil {
		t.Fatal(err)
	}
	run := func(t *testing.T, args ...string) (string, error) {
		t.Helper()
		if script, ok := strings.CutSuffix(args[0], ".py"); ok {
			args = append([]string{python, filepath.Join(root, "docs", "examples", script+".py")}, args[1:]...)
		}
		out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput()
		return string(out), err
	}
	must := func(t *testing.T, args ...string) string {
		t.Helper()
		out, err := run(t, args...)
		if err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}
	report := func(t *testing.T, args ...string) map[string]eval.RouterLine {
		t.Helper()
		out := must(t, append([]string{"carrot", "eval", "--data", "mydata", "--folds", "5", "--bootstrap", "20", "--json", "-"}, args...)...)
		var r eval.Report
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		lines := map[string]eval.RouterLine{}
		for _, l := range r.Routers {
			lines[l.Name] = l
		}
		return lines
	}
	t.Run("own_router", func(t *testing.T) {
		must(t, "carrot", "data", "folds", "--data", "mydata", "--folds", "5", "--out", "folds.jsonl")
		must(t, "own_router.py", "mydata", "folds.jsonl", "predictions.jsonl")
		lines := report(t, "--predictor", "knn", "--predictions", "mine=predictions.jsonl")
		mine, mean := lines["mine"], lines["mean"]
		if mine.External == nil || !(mine.AIQ > mean.AIQ+0.02) || mine.Calibration == nil || !(mine.Calibration.R2 > 0) {
			t.Errorf("mine: %+v, AIQ %v; the mean's AIQ is %v", mine.External, mine.AIQ, mean.AIQ)
		}
	})
	t.Run("own_vectors", func(t *testing.T) {
		must(t, "own_vectors.py", "mydata", "vectors.npy")
		lines := report(t, "--predictor", "knn", "--embedder", "static,npy:vectors.npy")
		if mine, mean := lines["knn/npy"], lines["mean"]; !(mine.AIQ > mean.AIQ+0.02) {
			t.Errorf("AIQ of knn on own vectors %v, of the mean %v", mine.AIQ, mean.AIQ)
		}
	})
	t.Run("decide", func(t *testing.T) {
		router, table := filepath.Join(root, "artifact", "default.safetensors"), filepath.Join(root, "embed", "static.safetensors")
		for _, prompt := range []string{
			"A train leaves at 3 pm at 60 mph. When has it gone 90 miles?",
			"def f(x): return [g_1(y) for y in x if y != {}]  # naïve \u00dcnicode, 東京で3回 [MASK]",
			"Wie spät ist es in Berlin?", // which is novel
			"...",                        // which has no words
		} {
			decision, err := exec.CommandContext(t.Context(), "carrot", "route", "--json", prompt).Output()
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile("decision.json", decision, 0o600); err != nil {
				t.Fatal(err)
			}
			t.Log(strings.TrimSpace(must(t, "decide.py", router, table, "decision.json", prompt)))
			if out, err := run(t, "decide.py", router, table, "decision.json", "What is 17 * 23?"); err == nil { // which is not novel
				t.Errorf("the decision on %q passes for another prompt: %s", prompt, out)
			}
		}
	})
}

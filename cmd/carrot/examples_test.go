package main

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/embed"
	"github.com/carrot-router/carrot/eval"
	"github.com/carrot-router/carrot/internal/arena"
	"github.com/carrot-router/carrot/internal/importer"
	"github.com/carrot-router/carrot/internal/safetensors"
	"github.com/carrot-router/carrot/internal/theory"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/train"
)

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var codeBlock = regexp.MustCompile("(?ms)^```(python|go)\n(.*?)^```$")

// TestOwnRouterCode: the code in docs/own-router.md is that of the examples, which are
// run.
func TestOwnRouterCode(t *testing.T) {
	scripts, err := filepath.Glob(docsDir + "/examples/*.py")
	if err != nil || len(scripts) != 3 {
		t.Fatalf("docs/examples has %q (%v)", scripts, err)
	}
	var python []string
	for _, path := range scripts {
		python = append(python, readText(t, path))
	}
	fields := func(code string) string { return strings.Join(strings.Fields(code), " ") }
	examples := fields(readText(t, "../../eval/example_test.go"))
	found := map[string]int{}
	for _, m := range codeBlock.FindAllStringSubmatch(readText(t, docsDir+"/own-router.md"), -1) {
		language, code := m[1], m[2]
		found[language]++
		switch language {
		case "python":
			if !strings.Contains(strings.Join(python, "\x00"), code) {
				t.Errorf("docs/own-router.md has code that is in no file of docs/examples:\n%s", code)
			}
		case "go":
			if _, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc _() {\n"+code+"\n}", 0); err != nil || !strings.Contains(examples, fields(code)) {
				t.Errorf("docs/own-router.md has code that is in no Example of package eval (%v):\n%s", err, code)
			}
		}
	}
	if found["python"] != 2 || found["go"] != 1 {
		t.Errorf("docs/own-router.md has %v blocks of code", found)
	}
}

// jsonKeys collects the keys of the JSON form of a type.
func jsonKeys(t reflect.Type, into map[string]bool, seen map[reflect.Type]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Array || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || seen[t] {
		return
	}
	seen[t] = true
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			into[name] = true
		}
		if name != "-" {
			jsonKeys(f.Type, into, seen)
		}
	}
}

// valueKeys collects the keys of a JSON value.
func valueKeys(v any, into map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			into[key] = true
			if key != "labels" { // whose keys are the client's
				valueKeys(value, into)
			}
		}
	case []any:
		for _, value := range v {
			valueKeys(value, into)
		}
	}
}

// TestFormatsPage: docs/formats.md names every key of the JSON forms and every tensor of
// a saved router.
func TestFormatsPage(t *testing.T) {
	page := readText(t, docsDir+"/formats.md")
	keys, seen := map[string]bool{}, map[reflect.Type]bool{}
	for _, v := range []any{artifact.Manifest{}, eval.Report{}, eval.Fold{}, dataset.Description{}, dataset.Problem{}, importer.Report{}, arena.Report{}, theory.Report{}, batchLine{}} {
		jsonKeys(reflect.TypeOf(v), keys, seen)
	}
	for _, path := range []string{"../../testdata/decision.golden.json", "../../record/testdata/attempt.golden.json", "../../price/prices.json"} {
		var v any
		if err := json.Unmarshal([]byte(readText(t, path)), &v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if attempt, ok := v.(map[string]any); ok {
			for _, key := range []string{"prompt", "rate_limits"} { // which are the client's and the provider's
				delete(attempt, key)
				keys[key] = true
			}
		}
		valueKeys(v, keys)
	}
	if len(keys) < 150 {
		t.Fatalf("only %d keys were found", len(keys))
	}
	for key := range keys {
		if !strings.Contains(page, "`"+key+"`") && !strings.Contains(page, `"`+key+`":`) {
			t.Errorf("docs/formats.md does not name the key %s", key)
		}
	}

	dir := t.TempDir()
	if err := writeSynthetic(dir, nil); err != nil {
		t.Fatal(err)
	}
	set, err := dataset.Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	static, err := embed.Default()
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([a-z.]+)` \\| ([A-Z0-9]+), ")
	types := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(page, -1) {
		types[m[1]] = m[2]
	}
	for _, text := range []string{"blend:parts=kernel+sparse+knn+ridge:gamma=1:noise=5:landmarks=64:alpha=10:buckets=4096:k=8", "mean"} {
		spec, err := predict.ParseSpec(text)
		if err != nil {
			t.Fatal(err)
		}
		saved, err := train.Run(t.Context(), []*dataset.Set{set}, static, train.Options{Predictor: spec})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "r.safetensors")
		if err := saved.WriteFile(path); err != nil {
			t.Fatal(err)
		}
		file, err := safetensors.Parse([]byte(readText(t, path)))
		if err != nil {
			t.Fatal(err)
		}
		for _, full := range file.Names() {
			tensor, _ := file.Tensor(full)
			name := strings.TrimPrefix(full, "blend.")
			if strings.HasPrefix(name, "head.") {
				if !strings.Contains(page, "`"+name+"` ("+string(tensor.DType)+", ") {
					t.Errorf("docs/formats.md does not describe tensor %s, %s", name, tensor.DType)
				}
			} else if types[name] != string(tensor.DType) {
				t.Errorf("docs/formats.md has tensor %s as %q, it is %s", name, types[name], tensor.DType)
			}
		}
	}
}

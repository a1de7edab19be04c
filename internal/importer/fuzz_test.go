package importer

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/carrot-router/carrot/dataset"
	logged "github.com/carrot-router/carrot/record"
)

// jsonSeeds returns sources of the JSON formats, good and bad.
func jsonSeeds() (seeds []string) {
	for _, tt := range importCases() {
		for name, text := range tt.files {
			if hasEnding(name, ".json", ".jsonl") {
				seeds = append(seeds, text)
			}
		}
	}
	for _, tt := range slices.Concat(refusals(), evalRefusals()) {
		if hasEnding(tt.file, ".json", ".jsonl") {
			seeds = append(seeds, tt.text)
		}
	}
	seeds = append(seeds, "["+zeroEvalGood+"]", "["+mmluProGood+`,"total"]`)
	return append(seeds, "[]", "[{}]", "{}{}", "\ufeff{}", "\ufeff [ {\"a\":{\"b\":[1,{\"content\":\"x\"}]}} ] ", "\x1f\x8b", "[[[", `{"a":1e999}`)
}

// isFormatError fails the test unless err says which file is wrong, how, and what
// to do.
func isFormatError(t *testing.T, err error) {
	t.Helper()
	if bad, ok := errors.AsType[*dataset.FormatError](err); !ok || bad.File == "" || bad.Reason == "" || bad.Hint == "" || len(err.Error()) > 1<<13 {
		t.Errorf("%#v is not a FormatError with a hint", err)
	}
}

func FuzzScanJSONL(f *testing.F) {
	for _, text := range jsonSeeds() {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path := writeFile(t, filepath.Join(t.TempDir(), "a.jsonl"), data)
		last, bad := int64(0), 0
		hooks := scanHooks{bad: func(e *dataset.FormatError) error {
			isFormatError(t, e)
			bad++
			return nil
		}}
		err := scanJSONL(t.Context(), path, hooks, func(row int64, r *record) error {
			if row <= last {
				t.Errorf("row %d follows row %d", row, last)
			}
			last = row
			if len(r.columns) != len(r.values) || len(r.columns) != len(r.present) {
				t.Errorf("%d columns, %d values, %d present", len(r.columns), len(r.values), len(r.present))
			}
			for i, column := range r.columns {
				if !utf8.ValidString(column) || !utf8.ValidString(r.values[i]) {
					t.Errorf("column %q is not UTF-8: %q", column, r.values[i])
				}
			}
			return nil
		})
		if err != nil {
			isFormatError(t, err)
		}
		if n := bytes.Count(data, []byte{'\n'}); !bytes.Contains(data, []byte{'['}) && bad > n+1 {
			t.Errorf("%d bad lines of %d", bad, n+1)
		}
	})
}

// FuzzImportJSON imports any bytes as one of the JSON formats. The import must not
// panic. If it succeeds, its result can be loaded; if not, it leaves nothing.
func FuzzImportJSON(f *testing.F) {
	sources := []struct {
		format, file string
		folder       bool // the source is the folder, not the file
	}{
		{"open-llm", samples, false}, {"llmrouter", "r.jsonl", false}, {"litellm", "l.jsonl", false}, {"openai-batch", "b.jsonl", false}, {"table", "t.jsonl", false},
		{"zeroeval", "result_dirs/crux/Athene-70B.json", true}, {"zeroeval", "result_dirs/gsm/Athene-70B.json", true},
		{"mmlu-pro", "eval_results/model_outputs_jamba-1.5-large_5shots.json", true},
		{"carrot", "r.jsonl", false}, {"inspect", "l.json", false}, {"promptfoo", "r.json", false}, {"promptfoo", "r.jsonl", false}, {"langfuse", "l.jsonl", false},
	}
	for i, text := range jsonSeeds() {
		f.Add([]byte(text), i%2 == 0, byte(i))
	}
	f.Fuzz(func(t *testing.T, data []byte, keepGoing bool, which byte) {
		in := sources[int(which)%len(sources)]
		src := sourceFolder(t, map[string]string{in.file: string(data)})
		if !in.folder {
			src = filepath.Join(src, filepath.FromSlash(in.file))
		}
		parent := t.TempDir()
		dst := filepath.Join(parent, "set")
		report, err := Import(t.Context(), in.format, src, dst, Options{KeepGoing: keepGoing, CountTokens: countWords})
		if err != nil {
			if !strings.HasPrefix(err.Error(), "import: the source holds no ") {
				isFormatError(t, err)
			}
			leavesAlone(t, parent)
			return
		}
		set, err := dataset.Load(t.Context(), dst)
		if err != nil {
			t.Fatal(err)
		}
		if report.Queries != int64(len(set.Queries)) || report.Rejected > 0 && !keepGoing || report.Rows < report.Rejected+report.Skipped {
			t.Errorf("report %+v, but the set has %d queries", report, len(set.Queries))
		}
		if _, err := os.Stat(filepath.Join(dst, "rejected.jsonl")); (err == nil) != (report.Rejected > 0) {
			t.Errorf("%d rejected, rejected.jsonl: %v", report.Rejected, err)
		}
	})
}

// FuzzInspectArchive imports any bytes as a log of Inspect.
func FuzzInspectArchive(f *testing.F) {
	log, err := os.ReadFile("testdata/inspect/2026-11-29T22-17-23-00-00_tiny_good.eval")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(log)
	f.Add(zipArchive(f, "header.json", []byte(`{"eval":{"task":"t","model":"m"}}`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		src := writeFile(t, filepath.Join(t.TempDir(), "log.eval"), data)
		if _, err := Import(t.Context(), "inspect", src, filepath.Join(t.TempDir(), "set"), Options{KeepGoing: true}); err != nil && !strings.HasPrefix(err.Error(), "import: the source holds no ") {
			isFormatError(t, err)
		}
	})
}

// FuzzFeedback reads any bytes as a file of feedback. What is read is in its bounds.
func FuzzFeedback(f *testing.F) {
	f.Add([]byte("request_id,score,success,time\nreq_1,1,,\nreq_1,,TRUE,2026-11-02T08:00:00Z\n"), true)
	f.Add([]byte(`{"request_id": "req_1", "thumb": "up", "note": "x"}`+"\n"+`{"request_id": "req_1", "label": "odd"}`), false)
	f.Fuzz(func(t *testing.T, data []byte, csv bool) {
		name := "f.jsonl"
		if csv {
			name = "f.csv"
		}
		path := writeFile(t, filepath.Join(t.TempDir(), name), data)
		bad := func(e *dataset.FormatError) error { isFormatError(t, e); return nil }
		if err := Feedback(t.Context(), path, nil, bad, func(f *logged.Feedback) (string, error) {
			if f.RequestID == "" || f.Kind == "" || f.Score == nil && f.Label == "" || f.Score != nil && !(*f.Score >= 0 && *f.Score <= 1) {
				t.Errorf("feedback %+v", f)
			}
			return "", nil
		}); err != nil {
			isFormatError(t, err)
		}
	})
}

// FuzzOpenHands imports any bytes as results of the OpenHands index.
func FuzzOpenHands(f *testing.F) {
	f.Add([]byte(`{"a__b-1":{"cost":0.25,"resolved":true},"a__b-2":{"cost":null,"resolved":null}}`))
	f.Add([]byte(`{"":{},"a__b-1":{"cost":-1,"resolved":false}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := sourceFolder(t, map[string]string{"clone/results/m/instance_results/swt-bench.json": string(data), "clone/results/m/metadata.json": "{}",
			"i.jsonl": `{"instance_id":"a__b-1","repo":"a/b","problem_statement":"It fails."}`})
		if _, err := Import(t.Context(), "openhands", filepath.Join(dir, "clone")+","+filepath.Join(dir, "i.jsonl"), filepath.Join(t.TempDir(), "set"), Options{KeepGoing: true}); err != nil && !strings.HasPrefix(err.Error(), "import: the source holds no ") {
			isFormatError(t, err)
		}
	})
}

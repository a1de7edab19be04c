package dataset

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// contents reads every file of a folder.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(data)
	}
	return files
}

func TestWriteDirRoundTrip(t *testing.T) {
	s, parent := loadTiny(t), t.TempDir()
	s.Score.Set(0, 0, 1.0/3)
	s.InputTokens.Set(0, 0, 123456789012)
	s.OutputTokens.Set(0, 0, 0.1)
	s.Answers[0][0] = "a,\"b\"\nc"
	s.Fingerprint = s.ComputeFingerprint()
	first, second := filepath.Join(parent, "new", "tiny"), filepath.Join(parent, "second")
	for _, dir := range []string{first, second} {
		if err := s.WriteDir(dir); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(contents(t, first), contents(t, second)); diff != "" {
		t.Error("writing a set twice gives different bytes")
	}
	back, err := Load(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, back, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("the set is read back differently (-want +got):\n%s", diff)
	}
	if entries, _ := os.ReadDir(parent); len(entries) != 2 {
		t.Errorf("%d entries beside the folders, want 2: %v", len(entries), entries)
	}
}

// TestWritePlain: a folder is written as text if that is asked for, and holds the same
// set.
func TestWritePlain(t *testing.T) {
	s, dir := loadTiny(t), filepath.Join(t.TempDir(), "tiny")
	if err := s.WriteDirWith(dir, WriteOptions{Plain: true}); err != nil {
		t.Fatal(err)
	}
	back, err := Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, back, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("the set is read back differently (-want +got):\n%s", diff)
	}
	files := contents(t, dir)
	for _, name := range []string{"queries.jsonl", "outcomes.csv", "answers.csv", "models.json"} {
		if text, ok := files[name]; !ok || !strings.HasSuffix(text, "\n") || strings.Contains(text, "\x00") {
			t.Errorf("%s is missing or is no text", name)
		}
	}
	w, err := NewWriter(filepath.Join(t.TempDir(), "new"), WriteOptions{Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Query(Query{ID: "q"}); err == nil || !strings.Contains(err.Error(), "queries.jsonl:") {
		t.Errorf("a query without a prompt: %v, want an error about queries.jsonl", err)
	}
}

// TestForceReplacesDataOnly: a forced write replaces data folders alone, and not the
// source of the data.
func TestForceReplacesDataOnly(t *testing.T) {
	s := loadTiny(t)
	write := func(dir string, keep ...string) error {
		return s.WriteDirWith(dir, WriteOptions{Force: true, Keep: keep})
	}
	file := func(path string) string {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("a thesis"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	root := t.TempDir()
	for name, path := range map[string]string{
		"another file":       file(filepath.Join(root, "work", "thesis.tex")),
		"a hidden file":      file(filepath.Join(root, "hidden", ".notes")),
		"a folder with data": file(filepath.Join(root, "parent", "set", "models.json")),
		"a folder by a name": file(filepath.Join(root, "named", "models.json", "thesis.tex")),
	} {
		dir, _, _ := strings.Cut(strings.TrimPrefix(path, root+"/"), "/")
		file(filepath.Join(root, dir, "outcomes.csv"))
		if err := write(filepath.Join(root, dir)); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "is not a file of a data folder") {
			t.Errorf("%s: a forced write = %v, want an error that names it", name, err)
		}
		if data, err := os.ReadFile(path); err != nil || string(data) != "a thesis" {
			t.Errorf("%s: it is lost (%v)", name, err)
		}
	}

	set := filepath.Join(root, "set")
	if err := s.WriteDir(set); err != nil {
		t.Fatal(err)
	}
	before := contents(t, set)
	for _, source := range []string{set, filepath.Join(set, "models.json"), filepath.Join(set, "..", "set")} {
		if err := write(set, "elsewhere", source); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "the new data come from "+source) {
			t.Errorf("a forced write over the source %s = %v, want an error", source, err)
		}
	}
	if !cmp.Equal(before, contents(t, set)) {
		t.Error("a refused write changed the source")
	}
}

// TestWriteThroughLink: a symbolic link stays, and its folder is written.
func TestWriteThroughLink(t *testing.T) {
	s, root := loadTiny(t), t.TempDir()
	set, link := filepath.Join(root, "disk", "set"), filepath.Join(root, "link")
	if err := os.MkdirAll(set, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(set, link); err != nil {
		t.Fatal(err)
	}
	for _, force := range []bool{false, true} {
		if err := s.WriteDirWith(link, WriteOptions{Force: force}); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
			t.Errorf("force %t: the link was replaced (%v)", force, err)
		}
		if _, err := Load(t.Context(), set); err != nil {
			t.Errorf("force %t: the folder was not written: %v", force, err)
		}
	}
	if err := os.Symlink(filepath.Join(root, "none"), filepath.Join(root, "dangling")); err != nil {
		t.Fatal(err)
	}
	if err := s.WriteDir(filepath.Join(root, "dangling")); err == nil || !strings.Contains(err.Error(), "leads nowhere") {
		t.Errorf("WriteDir to a link that leads nowhere = %v", err)
	}
}

func TestWriteDirDoesNotOverwrite(t *testing.T) {
	s, dir := loadTiny(t), filepath.Join(t.TempDir(), "set")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := s.WriteDir(dir); err != nil {
		t.Errorf("WriteDir to an empty folder: %v", err)
	}
	before := contents(t, dir)
	sub := s.Subset([]int{0}, nil)
	if err := sub.WriteDir(dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("WriteDir over a set = %v, want %v", err, fs.ErrExist)
	}
	if !cmp.Equal(before, contents(t, dir)) {
		t.Error("a refused write changed the folder")
	}
	if err := sub.WriteDirWith(dir, WriteOptions{Force: true}); err != nil {
		t.Error(err)
	}
	if back, err := Load(t.Context(), dir); err != nil || back.Fingerprint != sub.Fingerprint {
		t.Errorf("after a forced write Load = %v", err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(dir)); len(entries) != 1 {
		t.Errorf("the write left files beside the folder: %v", entries)
	}
	file := filepath.Join(dir, "models.json")
	if err := s.WriteDirWith(file, WriteOptions{Force: true}); err == nil {
		t.Error("WriteDir replaced a file")
	}
}

func TestWriterRefusesInvalidRows(t *testing.T) {
	w, err := NewWriter(filepath.Join(t.TempDir(), "set"), WriteOptions{Columns: []string{ColumnCostUSD}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	good := NewOutcome("a", "m")
	good.Score, good.CostUSD = 0.5, 0.25
	if err := errors.Join(w.Query(Query{ID: "a", Prompt: "p"}), w.Outcome(good), w.Answer(Answer{"a", "m", "h"})); err != nil {
		t.Fatal(err)
	}
	outcome := func(change func(*Outcome)) error {
		o := NewOutcome("a", "n")
		change(&o)
		return w.Outcome(o)
	}
	for _, tt := range []struct {
		name, want string
		err        error
	}{
		{"repeated id", `queries.jsonl.gz: field id: "a" is repeated`, w.Query(Query{ID: "a", Prompt: "q"})},
		{"no prompt", "field prompt: is missing or empty", w.Query(Query{ID: "b"})},
		{"split", `field split: "dev" is not`, w.Query(Query{ID: "b", Prompt: "p", Split: "dev"})},
		{"source", "field source: is not UTF-8", w.Query(Query{ID: "b", Prompt: "p", Source: "\xff"})},
		{"score", "field score: 2 is outside [0,1]", outcome(func(o *Outcome) { o.Score = 2 })},
		{"tokens", "field input_tokens: -1 is negative", outcome(func(o *Outcome) { o.InputTokens = -1 })},
		{"infinite", "field output_tokens: is infinite", outcome(func(o *Outcome) { o.OutputTokens = math.Inf(1) })},
		{"column", "field cached_tokens: is observed, but the column is not written", outcome(func(o *Outcome) { o.CachedTokens = 0 })},
		{"unknown id", `field id: "z" is not in`, outcome(func(o *Outcome) { o.ID = "z" })},
		{"no model", "field model: is missing or empty", outcome(func(o *Outcome) { o.Model = "" })},
		{"repeated", `field id: "a" with model "m" is repeated`, w.Outcome(good)},
		{"repeated answer", `field id: "a" with model "m" is repeated`, w.Answer(Answer{"a", "m", "i"})},
		{"answer", "field answer: is not UTF-8", w.Answer(Answer{"a", "n", "\xff"})},
		{"answer's id", `answers.csv.gz: field id: "z" is not in`, w.Answer(Answer{"z", "n", "h"})},
	} {
		if _, ok := errors.AsType[*FormatError](tt.err); !ok || !strings.Contains(tt.err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", tt.name, tt.err, tt.want)
		}
	}
	if err := w.Outcome(NewOutcome("a", "n")); err != nil {
		t.Errorf("an outcome of which nothing is observed: %v", err)
	}
	if got := w.Models(); !cmp.Equal(got, []string{"m", "n"}) || w.Queries() != 1 {
		t.Errorf("Models() = %v, Queries() = %d; want m, n and 1", got, w.Queries())
	}
	if err := w.Commit([]Model{{Name: "m"}, {Name: "n", Pool: true}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(nil); err == nil {
		t.Error("a second Commit succeeds")
	}
	s, err := Load(t.Context(), w.dir)
	if err != nil || s.CostUSD.At(0, 0) != 0.25 || s.Answers[0][0] != "h" || s.Score.observed() != 1 {
		t.Errorf("Load = %+v, %v", s, err)
	}
}

func TestCommitRefusesBadModels(t *testing.T) {
	inf := math.Inf(1)
	for want, models := range map[string][]Model{
		"holds no model":            nil,
		"is missing or empty":       {{}},
		`"m" is repeated`:           {{Name: "m"}, {Name: "m"}},
		"-1 is negative":            {{Name: "m", InputUSDPerMillion: -1}},
		"+Inf is not a price":       {{Name: "m", ReasoningUSDPerMillion: &inf}},
		`"m" has outcomes but is`:   {{Name: "n"}},
		"is missing, but the price": {{Name: "m", OutputUSDPerMillion: math.NaN()}},
	} {
		parent := t.TempDir()
		w, err := NewWriter(filepath.Join(parent, "set"), WriteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		o := NewOutcome("a", "m")
		o.Score = 1
		if err := errors.Join(w.Query(Query{ID: "a", Prompt: "p"}), w.Outcome(o)); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(models); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Commit(%v) = %v, want %q", models, err, want)
		}
		if entries, _ := os.ReadDir(parent); len(entries) != 0 {
			t.Errorf("Commit(%v) left files: %v", models, entries)
		}
	}
}

func TestNewWriterRefusesColumns(t *testing.T) {
	for _, columns := range [][]string{{"latency"}, {"score"}, {ColumnCostUSD, ColumnCostUSD}} {
		if _, err := NewWriter(filepath.Join(t.TempDir(), "set"), WriteOptions{Columns: columns}); err == nil {
			t.Errorf("NewWriter accepts columns %v", columns)
		}
	}
}

package importer

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/carrot-router/carrot/dataset"
)

// routerBenchWant is the table that testdata/routerbench_reference.py writes.
var routerBenchWant = struct {
	queries     []dataset.Query
	models      []string
	score, cost [][]float64
}{
	queries: []dataset.Query{
		{ID: "sums.0", Source: "sums", Prompt: "['What is 2 + 3?', 'Show your work.']"},
		{ID: "sums.1", Source: "sums", Prompt: "Two lines,\nand \"quotes\"\tand a tab"},
		{ID: "words.0", Source: "words", Prompt: `Größe: ∑ x², 😀, \u0041 \ end`},
		{ID: "words.1", Source: "words", Prompt: strings.Repeat("Reverse the word carrot, letter by letter. ", 12) + "é"},
	},
	models: []string{"acme/large-v1", "acme/small", "tiny"},
	score:  [][]float64{{1, 0.5, 1}, {0.25, math.NaN(), 0}, {math.NaN(), 1, 1}, {0, 0, 0}},
	cost:   [][]float64{{0.00125, 1e-5, 0}, {0.002, math.NaN(), 0}, {math.NaN(), 2e-5, 1}, {0.0031, 3e-5, 0}},
}

// checkRouterBench imports src, loads the result and compares it with the table.
func checkRouterBench(t *testing.T, src string) {
	t.Helper()
	dst := filepath.Join(t.TempDir(), "out")
	report, err := Import(t.Context(), "routerbench", src, dst, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := routerBenchWant
	wantReport := &Report{Rows: 4, Queries: 4, Outcomes: 10, Scores: 10, Costs: 10, Models: want.models, Unpriced: want.models, IDs: "sample_id",
		Coverage: dataset.Coverage{Queries: 4, Complete: 2, Costed: true}}
	if diff := cmp.Diff(wantReport, report); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	s, err := dataset.Load(t.Context(), dst)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.queries, s.Queries, cmpopts.IgnoreFields(dataset.Query{}, "Split")); diff != "" {
		t.Errorf("queries (-want +got):\n%s", diff)
	}
	var models []string
	for _, m := range s.Models {
		models = append(models, m.Name)
	}
	var score, cost [][]float64
	for i, q := range s.Queries {
		score, cost = append(score, s.Score.Row(i)), append(cost, s.CostUSD.Row(i))
		if q.Split != dataset.SplitOf(q.Prompt) {
			t.Errorf("split of %s is %s, want that of its prompt", q.ID, q.Split)
		}
		if tokens := s.InputTokens.Row(i); !math.IsNaN(tokens[0]) {
			t.Errorf("tokens of %s are %v, want none", q.ID, tokens)
		}
	}
	if diff := cmp.Diff(want.models, models); diff != "" {
		t.Errorf("models (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.score, score, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("scores (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.cost, cost, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("costs (-want +got):\n%s", diff)
	}
}

// Every file holds the same table, pickled by pandas 1 and 2 in all protocols and
// memory layouts, or written as Parquet or CSV. CARROT_ROUTERBENCH_DIR adds the
// files that testdata/routerbench_reference.py makes with the installed pandas.
func TestRouterBenchReference(t *testing.T) {
	dirs := []string{filepath.Join("testdata", "routerbench")}
	if dir := os.Getenv("CARROT_ROUTERBENCH_DIR"); dir != "" {
		dirs = append(dirs, dir)
	}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		read := 0
		for _, e := range entries {
			if !isTable(e.Name()) || e.Name() == "categories.pkl" || strings.HasPrefix(e.Name(), "pandas3") {
				continue
			}
			read++
			t.Run(e.Name(), func(t *testing.T) { checkRouterBench(t, filepath.Join(dir, e.Name())) })
		}
		if read < 10 {
			t.Errorf("%s holds %d tables, want at least 10", dir, read)
		}
	}
}

func TestRouterBenchRefusesOtherPickles(t *testing.T) {
	for name, want := range map[string]string{
		"pandas3.1-protocol5.pkl": "is a pickle of pandas 3 or of Arrow columns (it names pandas.DataFrame), which is not supported",
		"categories.pkl":          "the pickle names pandas.core.arrays.categorical.Categorical, which is not supported",
	} {
		_, err := Import(t.Context(), "routerbench", filepath.Join("testdata", "routerbench", name), filepath.Join(t.TempDir(), "out"), Options{})
		bad, ok := errors.AsType[*dataset.FormatError](err)
		if !ok || !strings.Contains(err.Error(), want) || !strings.Contains(bad.Hint, "pd.read_pickle(f).to_parquet(…)") {
			t.Errorf("%s: error %v, want %q and how to save it as Parquet", name, err, want)
		}
	}
}

func TestRouterBenchFolder(t *testing.T) {
	src, dst := t.TempDir(), filepath.Join(t.TempDir(), "out")
	const head = "sample_id,prompt,eval_name,m,m|total_cost\n"
	writeFile(t, filepath.Join(src, "b.csv.gz"), gzipped(t, []byte(head+"b,2?,s,0,0.2\n")))
	writeFile(t, filepath.Join(src, "a.csv"), []byte(",sample_id,prompt,eval_name,n|total_cost,n,m,m|total_cost,other\n0,a,1?,s,0.5,1,None,,x\n"))
	writeFile(t, filepath.Join(src, "notes.txt"), []byte("not a table"))
	report, err := Import(t.Context(), "routerbench", src, dst, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := &Report{Rows: 2, Queries: 2, Outcomes: 2, Scores: 2, Costs: 2, Models: []string{"n", "m"}, Unpriced: []string{"n", "m"}, IDs: "sample_id",
		Coverage: dataset.Coverage{Queries: 2, Costed: true}}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	got, err := readGzip(filepath.Join(dst, "outcomes.csv.gz"))
	if wantText := "id,model,score,input_tokens,output_tokens,cost_usd\na,n,1,,,0.5\nb,m,0,,,0.2\n"; err != nil || got != wantText {
		t.Errorf("outcomes %q, %v, want %q", got, err, wantText)
	}
}

func TestRouterBenchBadRows(t *testing.T) {
	const head = "sample_id,prompt,eval_name,m,m|total_cost\na,1?,s,1,0.1\n"
	for _, tt := range []struct{ row, field, reason string }{
		{"b,2?,s,1.5,0.1", "m", "1.5 is outside [0,1]"},
		{"b,2?,s,-1,0.1", "m", "-1 is outside [0,1]"},
		{"b,2?,s,good,0.1", "m", `"good" is not a number`},
		{"b,2?,s,1,-0.1", "m|total_cost", "-0.1 is negative"},
		{"b,2?,s,1,inf", "m|total_cost", `"inf" is not a number`},
		{",2?,s,1,0.1", "sample_id", "is missing or empty"},
		{"b,,s,1,0.1", "prompt", "is missing or empty"},
		{"a,2?,s,1,0.1", "prompt", `"a" had another prompt before`},
		{"b,2?,s,1", "", "4 fields, but the header has 5"},
	} {
		t.Run(tt.row, func(t *testing.T) {
			src, dst := writeFile(t, filepath.Join(t.TempDir(), "t.csv"), []byte(head+tt.row+"\nc,3?,s,0,0\n")), filepath.Join(t.TempDir(), "out")
			want := &dataset.FormatError{File: src, Line: 3, Field: tt.field, Reason: tt.reason}
			_, err := Import(t.Context(), "routerbench", src, dst, Options{})
			bad, ok := errors.AsType[*dataset.FormatError](err)
			if !ok || bad.Error() != want.Error() || bad.Hint == "" {
				t.Fatalf("error %v, want %v with a hint", err, want)
			}
			report, err := Import(t.Context(), "routerbench", src, dst, Options{KeepGoing: true})
			if err != nil || report.Rows != 3 || report.Rejected != 1 || report.Queries != 2 {
				t.Fatalf("keep going: %+v, %v; want 2 queries of 3 rows, 1 rejected", report, err)
			}
			note, err := os.ReadFile(filepath.Join(dst, "rejected.jsonl"))
			if err != nil || !strings.Contains(string(note), `"row":3`) {
				t.Errorf("rejected.jsonl is %s, %v, want row 3", note, err)
			}
		})
	}
}

func TestRouterBenchBadTables(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"prompt.csv": {"sample_id,eval_name,m,m|total_cost\n", "field prompt: the column is missing"},
		"score.csv":  {"sample_id,prompt,eval_name,m|total_cost\n", "field m: the column is missing"},
		"model.csv":  {"sample_id,prompt,eval_name,m\n", "no column is named MODEL|total_cost"},
		"name.csv":   {"sample_id,prompt,eval_name,|total_cost\n", "field |total_cost: the name of the model is missing or empty"},
		"twice.csv":  {"sample_id,prompt,prompt,eval_name,m,m|total_cost\n", `header: the column "prompt" is given twice`},
		"none.csv":   {"sample_id,prompt,eval_name,m,m|total_cost\n", "the source holds no query"},
		"table.xlsx": {"x", "is not a kind of table that can be read"},
		"p.pkl.gz":   {"\x1f\x8b", "is compressed with gzip"},
		"p.parquet":  {"x", "is not a complete Parquet file"},
		"p.pickle":   {"", "the file ends inside the pickle"},
	} {
		src := writeFile(t, filepath.Join(t.TempDir(), name), []byte(tt.text))
		if _, err := Import(t.Context(), "routerbench", src, filepath.Join(t.TempDir(), "out"), Options{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", name, err, tt.want)
		}
	}
	for src, want := range map[string]string{t.TempDir(): "holds no pickle, Parquet or CSV file", filepath.Join(t.TempDir(), "absent.pkl"): "open: "} {
		if _, err := Import(t.Context(), "routerbench", src, filepath.Join(t.TempDir(), "out"), Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestRouterBenchCancelled(t *testing.T) {
	src := filepath.Join("testdata", "routerbench", "pandas2.2-protocol5.pkl")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	if _, err := Import(ctx, "routerbench", src, filepath.Join(dir, "out"), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("%d entries are left, want none", len(entries))
	}
}

// SPROUT is a format like the others.
func TestImportFormatSPROUT(t *testing.T) {
	src, dst := filepath.Join(t.TempDir(), "train-0.parquet"), filepath.Join(t.TempDir(), "out")
	writeParquet(t, src, sproutRows(0, 20))
	report, err := Import(t.Context(), "sprout", src, dst, Options{Prices: prices})
	if err != nil || report.Queries != 20 || report.IDs != "key" || fmt.Sprint(report.Unpriced) != "[acme-large-v1]" {
		t.Errorf("report %+v, %v", report, err)
	}
}

func readGzip(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(z)
	return string(data), err
}

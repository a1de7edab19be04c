package importer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/carrot-router/carrot/dataset"
)

// The columns of the two models have different types, as in the published files.
type sproutA struct {
	Response string   `parquet:"response"`
	Score    *float64 `parquet:"score,optional"`
	In       *int64   `parquet:"num_input_tokens,optional"`
	Out      *int64   `parquet:"num_output_tokens,optional"`
}

type sproutB struct {
	Score int32   `parquet:"score"`
	In    float64 `parquet:"num_input_tokens"`
	Out   float32 `parquet:"num_output_tokens"`
}

type sproutTestRow struct {
	Key     int64    `parquet:"key"`
	Dataset string   `parquet:"dataset"`
	Level   *string  `parquet:"dataset_level,optional"`
	Idx     int64    `parquet:"dataset_idx"`
	Prompt  string   `parquet:"prompt"`
	Golden  string   `parquet:"golden_answer"`
	A       *sproutA `parquet:"acme-large-v1,optional"`
	B       sproutB  `parquet:"acme/small"`
}

// sproutOldRow is a row of an older copy, with a blank in "dataset level" and keys
// that are text.
type sproutOldRow struct {
	Key     string  `parquet:"key"`
	Dataset string  `parquet:"dataset"`
	Level   float64 `parquet:"dataset level"`
	Idx     string  `parquet:"dataset_idx"`
	Prompt  string  `parquet:"prompt"`
	B       sproutB `parquet:"acme/small"`
}

func writeParquet[T any](t testing.TB, path string, rows []T) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := parquet.WriteFile(path, rows); err != nil {
		t.Fatal(err)
	}
}

func sproutRows(from, n int) []sproutTestRow {
	rows := make([]sproutTestRow, n)
	for i := range rows {
		k := int64(from + i)
		score, in, out, level := float64(k%5)/4, 10+k, 20+k, fmt.Sprint("level ", k%3)
		rows[i] = sproutTestRow{Key: k, Dataset: "sums", Idx: k, Prompt: fmt.Sprintf("What is %d + %d, \"exactly\"?\n", k, k), Golden: fmt.Sprint(2 * k),
			B: sproutB{Score: int32(k % 2), In: float64(10 + k), Out: float32(5 + k)}}
		if k%2 == 0 {
			rows[i].Level = &level
		}
		if k%7 != 3 { // otherwise the struct is null
			rows[i].A = &sproutA{Response: "…", Score: &score, In: &in, Out: &out}
		}
		if k%7 == 4 {
			rows[i].A.Score = nil
		}
	}
	return rows
}

func prices(model string) (in, out float64, ok bool) { return 1, 2, model == "acme/small" }

func TestImportSPROUT(t *testing.T) {
	src, dst := t.TempDir(), filepath.Join(t.TempDir(), "sprout")
	writeParquet(t, filepath.Join(src, "data", "test-00000-of-00001.parquet"), sproutRows(500, 20))
	writeParquet(t, filepath.Join(src, "data", "train-00001-of-00002.parquet"), sproutRows(300, 200))
	writeParquet(t, filepath.Join(src, "data", "train-00000-of-00002.parquet"), sproutRows(0, 300))
	writeParquet(t, filepath.Join(src, "data", "validation-00000-of-00001.parquet"), sproutRows(520, 3))
	var last, total int64
	report, err := importSPROUT(t.Context(), src, dst, Options{Prices: prices, Progress: func(d, n int64) { last, total = d, n }})
	if err != nil {
		t.Fatal(err)
	}
	want := &Report{Rows: 523, Queries: 523, Outcomes: 523 + 523 - 75, Scores: 523 + 523 - 75 - 75, Models: []string{"acme-large-v1", "acme/small"},
		Unpriced: []string{"acme-large-v1"}, IDs: "key", Coverage: dataset.Coverage{Queries: 523, Complete: 523 - 75 - 75, Costed: true}}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if last != 523 || total != 523 {
		t.Errorf("last progress %d of %d, want 523 of 523", last, total)
	}
	s, err := dataset.Load(t.Context(), dst)
	if err != nil {
		t.Fatal(err)
	}
	if got := []int{len(s.Rows(dataset.SplitTrain)), len(s.Rows(dataset.SplitValidation)), len(s.Rows(dataset.SplitTest))}; !cmp.Equal(got, []int{500, 3, 20}) {
		t.Errorf("splits %v, want 500, 3, 20", got)
	}
	wantQuery := dataset.Query{ID: "304", Split: dataset.SplitTrain, Source: "sums/level 1", Prompt: "What is 304 + 304, \"exactly\"?\n"}
	if diff := cmp.Diff(wantQuery, s.Queries[304]); diff != "" {
		t.Errorf("query 304 (-want +got):\n%s", diff)
	}
	for i := range s.Queries {
		row := fmt.Sprint(s.Score.Row(i), s.InputTokens.Row(i), s.OutputTokens.Row(i))
		a := fmt.Sprintf("[%v %v] [%d %d] [%d %d]", float64(i%5)/4, i%2, 10+i, 10+i, 20+i, 5+i)
		switch i % 7 {
		case 3:
			a = fmt.Sprintf("[NaN %v] [NaN %d] [NaN %d]", i%2, 10+i, 5+i)
		case 4:
			a = fmt.Sprintf("[NaN %v] [%d %d] [%d %d]", i%2, 10+i, 10+i, 20+i, 5+i)
		}
		// Only rows of the training split, whose ids are their places, are compared.
		if k := s.Queries[i].ID; k == fmt.Sprint(i) && row != a {
			t.Errorf("outcomes of row %d are %s, want %s", i, row, a)
		}
	}
	if s.Models[0].Priced() || !s.Models[1].Priced() || s.Models[1].OutputUSDPerMillion != 2 {
		t.Errorf("models %+v: want a price of acme/small only", s.Models)
	}
}

func TestImportSPROUTSingleFileOfOldNames(t *testing.T) {
	src, dst := filepath.Join(t.TempDir(), "sprout.parquet"), filepath.Join(t.TempDir(), "new", "sprout")
	row := sproutOldRow{Key: "same", Dataset: "sums", Level: 2, Prompt: "1 + 1?", B: sproutB{Score: 1, In: 4, Out: 1}}
	rows := []sproutOldRow{row, row, row}
	rows[0].Idx, rows[1].Idx, rows[2].Idx, rows[2].Level = "a", "b", "c", math.NaN()
	writeParquet(t, src, rows)
	report, err := importSPROUT(t.Context(), src, dst, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := dataset.Load(t.Context(), dst)
	if err != nil {
		t.Fatal(err)
	}
	split := dataset.SplitOf("1 + 1?")
	want := []dataset.Query{
		{ID: "sums/a", Split: split, Source: "sums/2", Prompt: "1 + 1?"},
		{ID: "sums/b", Split: split, Source: "sums/2", Prompt: "1 + 1?"},
		{ID: "sums/c", Split: split, Source: "sums", Prompt: "1 + 1?"},
	}
	if diff := cmp.Diff(want, s.Queries); diff != "" || report.IDs != "dataset/dataset_idx" {
		t.Errorf("ids of %s, queries (-want +got):\n%s", report.IDs, diff)
	}
}

func TestImportSPROUTBadRows(t *testing.T) {
	nan := math.NaN()
	tests := []struct {
		name, want string
		spoil      func(*sproutTestRow)
	}{
		{"score", "field acme-large-v1.score: 1.5 is outside [0,1]", func(r *sproutTestRow) { *r.A.Score = 1.5 }},
		{"NaN score", "field acme-large-v1.score: is NaN", func(r *sproutTestRow) { r.A.Score = &nan }},
		{"integer score", "field acme/small.score: 2 is outside [0,1]", func(r *sproutTestRow) { r.B.Score = 2 }},
		{"tokens", "field acme/small.num_input_tokens: -1 is negative", func(r *sproutTestRow) { r.B.In = -1 }},
		{"infinite tokens", "field acme/small.num_output_tokens: is infinite", func(r *sproutTestRow) { r.B.Out = float32(math.Inf(1)) }},
		{"prompt", "field prompt: is missing or empty", func(r *sproutTestRow) { r.Prompt = "" }},
		{"not UTF-8", "field prompt: is not UTF-8", func(r *sproutTestRow) { r.Prompt = "a\xff" }},
		{"dataset", "field dataset: is not UTF-8", func(r *sproutTestRow) { r.Dataset = "a\xff" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src, dst := filepath.Join(t.TempDir(), "train-0.parquet"), filepath.Join(t.TempDir(), "out")
			rows := sproutRows(0, 9)
			tt.spoil(&rows[1])
			tt.spoil(&rows[8])
			writeParquet(t, src, rows)
			_, err := importSPROUT(t.Context(), src, dst, Options{})
			if want := src + ":2: " + tt.want; err == nil || err.Error() != want {
				t.Fatalf("error %v, want %s", err, want)
			}
			if _, err := os.Stat(dst); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the folder exists after an error: %v", err)
			}
			report, err := importSPROUT(t.Context(), src, dst, Options{KeepGoing: true})
			if err != nil || report.Rejected != 2 || report.Queries != 7 {
				t.Fatalf("keep going: %+v, %v; want 7 queries, 2 rejected", report, err)
			}
			column, reason, _ := strings.Cut(strings.TrimPrefix(tt.want, "field "), ": ")
			line := fmt.Sprintf(`{"file":"train-0.parquet","row":%%d,"column":%q,"reason":%q}`+"\n", column, reason)
			got, err := os.ReadFile(filepath.Join(dst, "rejected.jsonl"))
			if want := fmt.Sprintf(line+line, 2, 9); err != nil || string(got) != want {
				t.Errorf("rejected.jsonl is %s, %v, want %s", got, err, want)
			}
			if s, err := dataset.Load(t.Context(), dst); err != nil || len(s.Queries) != 7 {
				t.Errorf("Load: %v", err)
			}
		})
	}
}

func TestImportSPROUTBadSources(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	type noPrompt struct {
		Key     string  `parquet:"key"`
		Dataset string  `parquet:"dataset"`
		B       sproutB `parquet:"b"`
	}
	type noModel struct {
		Key     string `parquet:"key"`
		Dataset string `parquet:"dataset"`
		Prompt  string `parquet:"prompt"`
	}
	type noKey struct {
		Dataset string  `parquet:"dataset"`
		Prompt  string  `parquet:"prompt"`
		B       sproutB `parquet:"b"`
	}
	type textScore struct {
		noModel
		B struct {
			Score string `parquet:"score"`
			In    int64  `parquet:"num_input_tokens"`
			Out   int64  `parquet:"num_output_tokens"`
		} `parquet:"b"`
	}
	writeParquet(t, in("prompt.parquet"), []noPrompt{{}})
	writeParquet(t, in("model.parquet"), []noModel{{}})
	writeParquet(t, in("key.parquet"), []noKey{{}})
	writeParquet(t, in("text.parquet"), []textScore{{}})
	writeParquet(t, in("none.parquet"), []sproutTestRow{})
	if err := os.WriteFile(in("not.parquet"), []byte("id,model\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(in("empty"), 0o777); err != nil {
		t.Fatal(err)
	}
	for src, want := range map[string]string{
		"prompt.parquet": "field prompt: the column is missing",
		"model.parquet":  "no column is a struct with score",
		"key.parquet":    "field key: the column is missing, and so is dataset_idx",
		"text.parquet":   "field b.score: is not a column of numbers",
		"none.parquet":   "holds no query",
		"not.parquet":    "is not a complete Parquet file",
		"empty":          "holds no .parquet file",
		"absent":         "open: ",
	} {
		_, err := importSPROUT(t.Context(), in(src), in("out"), Options{})
		if bad, ok := errors.AsType[*dataset.FormatError](err); !ok || !strings.Contains(bad.Error(), want) {
			t.Errorf("%s: error %v, want %q", src, err, want)
		}
	}
}

func TestImportSPROUTDamaged(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "train-0.parquet")
	writeParquet(t, path, sproutRows(0, 400))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		data := append([]byte(nil), whole...)
		if i%3 == 0 {
			data = data[:random.IntN(len(data))]
		} else { // the column data, as sizes in the footer are trusted
			data[4+random.IntN(len(data)/2)] ^= 1 << random.IntN(8)
		}
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		dst := filepath.Join(dir, "out")
		if _, err := importSPROUT(t.Context(), path, dst, Options{}); err == nil {
			if _, err := dataset.Load(t.Context(), dst); err != nil {
				t.Errorf("Load after import of a damaged file: %v", err)
			}
		}
		if err := os.RemoveAll(dst); err != nil {
			t.Fatal(err)
		}
	}
}

func TestImportSPROUTCancelled(t *testing.T) {
	dir := t.TempDir()
	src := filepath.Join(dir, "train-0.parquet")
	writeParquet(t, src, sproutRows(0, 2000))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := importSPROUT(ctx, src, filepath.Join(dir, "out"), Options{Progress: func(int64, int64) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("%d entries are left, want only the source", len(entries))
	}
}

package dataset

import (
	"bytes"
	"compress/gzip"
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

func loadTiny(t testing.TB) *Set {
	t.Helper()
	s, err := Load(t.Context(), filepath.Join("testdata", "tiny"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLoad(t *testing.T) {
	s, nan := loadTiny(t), math.NaN()
	cached := 0.5
	want := &Set{
		Name: "tiny",
		Queries: []Query{
			{"sum/1", SplitTrain, "sums", "What is 2 + 3?"},
			{"sum/2", SplitValidation, "sums", `Add seven and nine, then say "done".`},
			{"word/1", SplitTrain, "words", "Spell the word ‘carrot’ backwards."},
			{"word/2", SplitTest, "words", "How many vowels has <em>aubergine</em>?\nOne number."},
			{"sum/3", SplitTrain, "", "What is 2 + 3?"},
		},
		Models: []Model{
			{Name: "acme-large", InputUSDPerMillion: 2, OutputUSDPerMillion: 8, CachedInputUSDPerMillion: &cached, Pool: true},
			{Name: "acme-small", InputUSDPerMillion: 0.1, OutputUSDPerMillion: 0.4, Pool: true},
			{Name: `old, "quoted" model`, InputUSDPerMillion: nan, OutputUSDPerMillion: nan},
		},
		Score:        Matrix{5, 3, []float64{1, 1, 0, 1, 0, nan, .75, nan, nan, 1, 0, nan, 1, nan, nan}},
		InputTokens:  Matrix{5, 3, []float64{12, 12, 12, 15, 15, 15, 14, nan, nan, 19, nan, nan, 12, nan, nan}},
		OutputTokens: Matrix{5, 3, []float64{4, 8, nan, 30, 60, nan, 9, nan, nan, 0, nan, nan, 5, nan, nan}},
		CachedTokens: Matrix{5, 3, []float64{nan, nan, nan, 10, nan, nan, 0, nan, nan, 0, nan, nan, nan, nan, nan}},
		CostUSD:      Matrix{5, 3, []float64{nan, nan, 1.5e-6, nan, nan, 2.5e-6, nan, nan, nan, nan, nan, nan, nan, nan, nan}},
		Answers:      [][]string{{"5", "5", ""}, {"16", "16", ""}, {"torrac", "", ""}, {"", "", ""}, {"", "", ""}},
		Fingerprint:  "sha256:8bbf8ad35e29ba72ca327b6fe489df510f36cd36967949159d6127e62b0166e0",
	}
	if diff := cmp.Diff(want, s, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
}

// folder returns a new folder with the tiny data, in which the given files are
// replaced, added or, if nil, left out.
func folder(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "set")
	all := make(map[string][]byte)
	for _, name := range []string{"models.json", "queries.jsonl", "outcomes.csv", "answers.csv"} {
		data, err := os.ReadFile(filepath.Join("testdata", "tiny", name))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = data
	}
	for name, data := range files {
		all[name] = data
	}
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for name, data := range all {
		if data == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func zip(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// text returns the tiny file of that name with one text replaced.
func text(t testing.TB, name, old, new string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "tiny", name))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), old) {
		t.Fatalf("%s does not contain %q", name, old)
	}
	return []byte(strings.Replace(string(data), old, new, 1))
}

func TestLoadAndCheckBadFolders(t *testing.T) {
	for _, tt := range badFolders(t) {
		t.Run(tt.want, func(t *testing.T) {
			dir := folder(t, tt.files)
			_, err := Load(t.Context(), dir)
			bad, ok := errors.AsType[*FormatError](err)
			if want := filepath.Join(dir, tt.want); !ok || !strings.HasPrefix(bad.Error(), want) {
				t.Fatalf("Load = %v\nwant    %s", err, want)
			}
			if bad.Hint == "" {
				t.Errorf("%v has no hint", err)
			}
			if strings.HasSuffix(tt.want, ": the file is missing") && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v does not match %v", err, fs.ErrNotExist)
			}
			problems, err := Check(t.Context(), dir, 0)
			if err != nil || len(problems) == 0 || problems[0].String() != bad.Error() || problems[0].Hint != bad.Hint {
				t.Errorf("Check = %v, %v, want %v first", problems, err, bad)
			}
		})
	}
}

func TestLoadNoFolder(t *testing.T) {
	for _, dir := range []string{filepath.Join(t.TempDir(), "none"), filepath.Join("testdata", "tiny", "models.json")} {
		_, err := Load(t.Context(), dir)
		if bad, ok := errors.AsType[*FormatError](err); !ok || !strings.HasSuffix(bad.Hint, hintFolder) || bad.File != dir {
			t.Errorf("Load(%q) = %v, want a hint that says what a folder holds", dir, err)
		} else if table := strings.HasPrefix(bad.Hint, "carrot data import table "+dir+" DIR makes a data folder"); table != strings.HasSuffix(dir, ".json") {
			t.Errorf("Load(%q): hint %q", dir, bad.Hint)
		}
	}
}

func TestCheckListsEveryProblem(t *testing.T) {
	outcomes := text(t, "outcomes.csv", "word/1,acme-large,0.75", "word/1,acme-large,75")
	outcomes = bytes.Replace(outcomes, []byte("sum/3,acme-large"), []byte("sum/4,acme-large"), 1)
	dir := folder(t, map[string][]byte{"outcomes.csv": outcomes, "answers.csv": text(t, "answers.csv", "sum/2", "sum/1")})
	want := []string{"outcomes.csv:4: field score: 75 is outside [0,1]", `outcomes.csv:6: field id: "sum/4" is not in queries.jsonl`,
		`answers.csv:4: field id: "sum/1" with model "acme-large" repeats line 2`}
	for limit := range 4 {
		problems, err := Check(t.Context(), dir, limit)
		var got []string
		for _, p := range problems {
			got = append(got, strings.TrimPrefix(p.String(), dir+string(filepath.Separator)))
		}
		n := limit
		if limit == 0 {
			n = len(want)
		}
		if diff := cmp.Diff(want[:n], got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("Check with limit %d (-want +got): %v\n%s", limit, err, diff)
		}
	}
	if problems, err := Check(t.Context(), filepath.Join("testdata", "tiny"), 0); len(problems) > 0 || err != nil {
		t.Errorf("Check of good data = %v, %v", problems, err)
	}
}

func TestCheckIgnoresOutcomesOfBadQueries(t *testing.T) {
	dir := folder(t, map[string][]byte{"queries.jsonl": text(t, "queries.jsonl", `{"id": "sum/1"`, `{"id" "sum/1"`)})
	if problems, err := Check(t.Context(), dir, 0); len(problems) != 1 || err != nil {
		t.Errorf("Check = %v, %v, want only the query", problems, err)
	}
}

func TestCheckNamesUnknownModels(t *testing.T) {
	dir := folder(t, map[string][]byte{"models.json": []byte(`[{"name": "acme-large"}, {"name": "acme-small"}]`)})
	problems, err := Check(t.Context(), dir, 0)
	if err != nil || len(problems) != 2 || problems[1].Field != "model" {
		t.Errorf("Check = %v, %v, want two unknown models", problems, err)
	}
}

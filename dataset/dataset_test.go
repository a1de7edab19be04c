package dataset

import (
	"bytes"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// SplitOf and Fold are compared with their definitions, in arithmetic of any
// length.
func TestSplitOfAndFold(t *testing.T) {
	hundred := big.NewInt(100)
	for i := range 200 {
		prompt := fmt.Sprint("prompt ", i)
		sum := md5.Sum([]byte(prompt))
		quotient, remainder := new(big.Int).DivMod(new(big.Int).SetBytes(sum[:]), hundred, new(big.Int))
		want := SplitTest
		if r := remainder.Int64(); r < 70 {
			want = SplitTrain
		} else if r < 80 {
			want = SplitValidation
		}
		if got := SplitOf(prompt); got != want {
			t.Errorf("SplitOf(%q) = %s, want %s", prompt, got, want)
		}
		for _, k := range []int{1, 2, 5, 10, 97, 4096, math.MaxInt} {
			want := new(big.Int).Mod(quotient, big.NewInt(int64(k))).Int64()
			if got := Fold(prompt, k); int64(got) != want {
				t.Errorf("Fold(%q, %d) = %d, want %d", prompt, k, got, want)
			}
		}
	}
}

func TestFingerprint(t *testing.T) {
	base := loadTiny(t)
	load := func(files map[string][]byte) string {
		t.Helper()
		s, err := Load(t.Context(), folder(t, files))
		if err != nil {
			t.Fatal(err)
		}
		return s.Fingerprint
	}
	lines := bytes.SplitAfter(text(t, "outcomes.csv", "id", "id"), []byte("\n"))
	slices.Reverse(lines[1:])
	reversed := bytes.Join(lines, nil)
	same := map[string]map[string][]byte{
		"gzip":           {"outcomes.csv": nil, "outcomes.csv.gz": zip(t, reversed)},
		"row order":      {"outcomes.csv": reversed},
		"no answers":     {"answers.csv": nil},
		"empty column":   {"outcomes.csv": bytes.ReplaceAll(reversed, []byte("\n"), []byte(",\n"))},
		"negative zero":  {"outcomes.csv": text(t, "outcomes.csv", "9,0,", "9,-0,")},
		"number forms":   {"outcomes.csv": text(t, "outcomes.csv", "0.75", "75e-2")},
		"explicit split": {"queries.jsonl": text(t, "queries.jsonl", `"word/1", `, `"word/1", "split": "train", `)},
	}
	same["empty column"]["outcomes.csv"] = bytes.Replace(same["empty column"]["outcomes.csv"], []byte("cost_usd,"), []byte("cost_usd,reasoning_tokens"), 1)
	for name, files := range same {
		if got := load(files); got != base.Fingerprint {
			t.Errorf("%s changes the fingerprint", name)
		}
	}
	for name, files := range map[string]map[string][]byte{
		"prompt": {"queries.jsonl": text(t, "queries.jsonl", "2 + 3", "2 + 4")},
		"split":  {"queries.jsonl": text(t, "queries.jsonl", "validation", "train")},
		"score":  {"outcomes.csv": text(t, "outcomes.csv", "0.75", "0.5")},
		"price":  {"models.json": text(t, "models.json", "0.4", "0.5")},
		"pool":   {"models.json": text(t, "models.json", "true", "false")},
	} {
		if got := load(files); got == base.Fingerprint {
			t.Errorf("another %s does not change the fingerprint", name)
		}
	}
}

func TestSubset(t *testing.T) {
	s := loadTiny(t)
	if diff := cmp.Diff(s, s.Subset(nil, nil), cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("Subset(nil, nil) (-want +got):\n%s", diff)
	}
	sub := s.Subset([]int{3, 0, 0}, []int{2, 0})
	if got, want := fmt.Sprint(sub.Score.Data), "[NaN 1 0 1 0 1]"; got != want {
		t.Errorf("scores %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(sub.Answers), "[[ ] [ 5] [ 5]]"; got != want {
		t.Errorf("answers %s, want %s", got, want)
	}
	if sub.ReasoningTokens.Rows != 0 || sub.Fingerprint == s.Fingerprint {
		t.Error("the subset has a column that was absent, or the fingerprint of the set")
	}
	before := s.ComputeFingerprint()
	sub.Score.Set(0, 0, 0.5)
	*sub.Models[1].CachedInputUSDPerMillion = 9
	if s.ComputeFingerprint() != before {
		t.Error("changing the subset changes the set")
	}
	if empty := s.Subset([]int{}, []int{}); len(empty.Queries) != 0 || len(empty.Pool()) != 0 || empty.Describe().Queries != 0 {
		t.Error("the empty subset is not empty")
	}
}

func TestModelJSON(t *testing.T) {
	in := `{"name":"m","input_usd_per_million":0,"output_usd_per_million":2,"cached_input_usd_per_million":0,"cache_write_usd_per_million":3,"reasoning_usd_per_million":4,"pool":false}`
	for _, in := range []string{in, `{"name":"m","pool":true}`} {
		var m Model
		if err := json.Unmarshal([]byte(in), &m); err != nil {
			t.Fatal(err)
		}
		if out, err := json.Marshal(m); err != nil || string(out) != in {
			t.Errorf("%s is written as %s, %v", in, out, err)
		}
	}
}

func TestDescribeJSON(t *testing.T) {
	s := loadTiny(t)
	s.Queries[4].Split = SplitTest
	d := s.Describe()
	data, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var back Description
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d, back); diff != "" {
		t.Errorf("Description through JSON (-want +got):\n%s", diff)
	}
	last := d.Suspicious[len(d.Suspicious)-1]
	if want := (SuspiciousGroup{SuspectStraddle, 1, []string{"sum/1 sum/3"}}); !cmp.Equal(last, want) {
		t.Errorf("last suspicious group %v, want %v", last, want)
	}
	for _, q := range s.Queries {
		if strings.Contains(string(data), q.Prompt) {
			t.Errorf("the description shows prompt %q", q.Prompt)
		}
	}
}

func TestObservedCost(t *testing.T) {
	price := 5.0
	s := &Set{Models: []Model{{InputUSDPerMillion: 1, OutputUSDPerMillion: 2, CachedInputUSDPerMillion: new(float64), ReasoningUSDPerMillion: &price}}}
	for _, m := range s.matrices() {
		*m = NewMatrix(1, 1)
	}
	check := func(want float64) {
		t.Helper()
		if got := s.ObservedCost(0, 0, s.Models[0].Price()); math.Abs(got-want) > 1e-15 && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("cost %v, want %v", got, want)
		}
	}
	check(math.NaN())
	s.InputTokens.Set(0, 0, 100)
	check(math.NaN())
	s.OutputTokens.Set(0, 0, 10)
	check(120e-6)
	s.CachedTokens.Set(0, 0, 60)
	check(60e-6)
	s.ReasoningTokens.Set(0, 0, 4)
	check(72e-6)
	s.CostUSD.Set(0, 0, 3)
	check(3)
}

// dataFolders returns the data folders in $CARROT_DATA, and skips the test if it
// is not set.
func dataFolders(t testing.TB) []string {
	t.Helper()
	dir := os.Getenv("CARROT_DATA")
	if dir == "" {
		t.Skip("CARROT_DATA is not set to a folder of data sets")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "models.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("CARROT_DATA holds no data set: %v", err)
	}
	for i := range files {
		files[i] = filepath.Dir(files[i])
	}
	return files
}

func TestRealData(t *testing.T) {
	var sets []*Set
	for _, dir := range dataFolders(t) {
		s, err := Load(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		sets = append(sets, s)
		straddling := 0
		for _, q := range s.Queries {
			if SplitOf(q.Prompt) != q.Split {
				straddling++
			}
		}
		t.Logf("%s: %d queries, %d of them not in the split that SplitOf returns", s.Name, len(s.Queries), straddling)
		out := filepath.Join(t.TempDir(), s.Name)
		if err := s.WriteDir(out); err != nil {
			t.Fatal(err)
		}
		if back, err := Load(t.Context(), out); err != nil || back.Fingerprint != s.Fingerprint {
			t.Errorf("%s is not read back the same: %v", s.Name, err)
		}
		if problems, err := Check(t.Context(), dir, 1); err != nil || len(problems) > 0 {
			t.Errorf("Check(%s) = %v, %v", s.Name, problems, err)
		}
	}
	if _, err := Join(sets, JoinOptions{}); err != nil {
		t.Error(err)
	}
}

func BenchmarkLoad(b *testing.B) {
	for _, dir := range dataFolders(b) {
		b.Run(filepath.Base(dir), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Load(b.Context(), dir); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

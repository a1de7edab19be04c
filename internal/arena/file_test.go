package arena

import (
	"bytes"
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot/dataset"
)

func readFile(t *testing.T, name string) ([]Row, string) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := Read(bytes.NewReader(data), name)
	if err != nil {
		t.Fatal(err)
	}
	return rows, string(data)
}

func written(t *testing.T, rows []Row) string {
	t.Helper()
	var out strings.Builder
	if err := Write(&out, rows); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// Prompts become predictions, byte for byte as RouterArena's script writes them.
func TestPredictions(t *testing.T) {
	rows, _ := readFile(t, "prompts.json")
	for i, model := range []string{"acme-large", "acme-small", "acme-large"} {
		if r := &rows[i]; r.Prediction != "" || r.Scored() || r.Optimality || r.Choose(model) {
			t.Errorf("row %s of the prompts is %+v, want neither chosen nor scored", r.Index, r)
		}
	}
	_, want := readFile(t, "predictions.json")
	if diff := cmp.Diff(want, written(t, rows)); diff != "" {
		t.Errorf("Write (-want +got):\n%s", diff)
	}
	if r := rows[1]; r.Index != "LiveCodeBench_2" || r.Prompt != "Schreibe \"hallo\" in Go. 🥕" || r.Line != 6 {
		t.Errorf("row 2 is %+v", r)
	}
}

// The score of a row stays as long as the same model is chosen.
func TestScoredStays(t *testing.T) {
	rows, want := readFile(t, "scored.json")
	for i := range rows {
		if rows[i].Choose(rows[i].Prediction) {
			t.Errorf("row %s: choosing the same model cleared its answer", rows[i].Index)
		}
	}
	if diff := cmp.Diff(want, written(t, rows)); diff != "" {
		t.Errorf("Write (-want +got):\n%s", diff)
	}
	if r := rows[1]; r.Accuracy != .25 || r.CostUSD != 5.79e-05 || !r.Scored() || !rows[3].Optimality {
		t.Errorf("row 2 is %+v", r)
	}
	if r := &rows[1]; !r.Choose("other <model>") || r.Scored() || !math.IsNaN(r.Accuracy) || !math.IsNaN(r.CostUSD) {
		t.Errorf("another model has the answer of the first: %+v", r)
	}
	got := written(t, rows[1:2])
	for _, text := range []string{`"prediction": "other <model>"`, `"generated_result": null`, `"cost": null`, `"accuracy": null`} {
		if !strings.Contains(got, text) {
			t.Errorf("Write(row of another model) = %s, want %s in it", got, text)
		}
	}
}

// Unknown fields follow the known ones, and synonyms become the usual names.
func TestFields(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		rows, err := Read(strings.NewReader(in), "a.json")
		if err != nil {
			t.Errorf("Read(%s): %v", in, err)
			return
		}
		if got := strings.Join(strings.Fields(written(t, rows)), ""); got != want {
			t.Errorf("Read(%s) writes %s, want %s", in, got, want)
		}
	}
	const rest = `"generated_result":null,"cost":null,"accuracy":null,"for_optimality":`
	f(`[{"z":[1.50,{}],"global_index":"A_1","prompt":"p","a":1e400}]`, `[{"globalindex":"A_1","prompt":"p","prediction":null,`+rest+`false,"z":[1.50,{}],"a":1e400}]`)
	f(`[{"prompt":"old","prompt_formatted":"new","global index":"A_1","global_index":"B_1"}]`, `[{"globalindex":"A_1","prompt":"new","prediction":null,`+rest+`false}]`)
	f(`[{"prompt":"\ud800","global index":"A_1","prediction":"m","for_optimality":true}]`, `[{"globalindex":"A_1","prompt":"\ud800","prediction":"m",`+rest+`true}]`)
	f(`[{"global index":"A_1","prompt":"p"},{"global index":"A_1","prompt":"p","for_optimality":true}]`,
		`[{"globalindex":"A_1","prompt":"p","prediction":null,`+rest+`false},{"globalindex":"A_1","prompt":"p","prediction":null,`+rest+`true}]`)
}

// refusals are bad files, each with the error that is expected.
var refusals = map[string]struct{ text, want string }{
	"empty":           {"", "a.json:1: is not a list of objects"},
	"lines":           {`{"id":"a","prompt":"b"}`, "a.json:1: is not a list of objects"},
	"no rows":         {"[]", "a.json: the list is empty"},
	"not UTF-8":       {"[\"\xff\"]", "a.json: is not UTF-8"},
	"not an object":   {"[\n1]", "a.json:2: is not an object (row 1)"},
	"cut":             {`[{"global index":"A_1","prompt":"p"}`, "a.json:1: the list does not end"},
	"cut row":         {`[{"global index":"A_1",`, "a.json:1: is not JSON (row 1)"},
	"more":            {`[{"global index":"A_1","prompt":"p"}] []`, "a.json:1: text follows the list"},
	"NaN":             {"[{\"global index\":\"A_1\",\n\"accuracy\":NaN}]", "a.json:2: field accuracy: is not JSON: invalid character 'N' looking for beginning of value (row 1)"},
	"twice":           {`[{"cost":1,"cost":2}]`, "a.json:1: field cost: is given twice (row 1)"},
	"no index":        {`[{"prompt":"p"}]`, "a.json:1: field global index: is missing or empty (row 1)"},
	"number index":    {`[{"global index":7,"prompt":"p"}]`, "a.json:1: field global index: is not text (row 1)"},
	"no prompt":       {`[{"global index":"A_1"}]`, "a.json:1: field prompt: is missing or empty (row 1, A_1)"},
	"prompt messages": {`[{"global index":"A_1","prompt":["p"]}]`, "a.json:1: field prompt: is not text (row 1, A_1)"},
	"prediction":      {`[{"global index":"A_1","prompt":"p","prediction":{}}]`, "a.json:1: field prediction: is neither the name of a model nor null (row 1, A_1)"},
	"accuracy":        {`[{"global index":"A_1","prompt":"p","accuracy":55}]`, `a.json:1: field accuracy: "55" is neither a number from 0 to 1 nor null (row 1, A_1)`},
	"cost":            {`[{"global index":"A_1","prompt":"p","cost":-1}]`, `a.json:1: field cost: "-1" is neither a number of USD from 0 nor null (row 1, A_1)`},
	"cost text":       {`[{"global index":"A_1","prompt":"p","cost":"$1"}]`, `a.json:1: field cost: "\"$1\"" is neither a number of USD from 0 nor null (row 1, A_1)`},
	"optimality":      {`[{"global index":"A_1","prompt":"p","for_optimality":1}]`, "a.json:1: field for_optimality: is neither true nor false (row 1, A_1)"},
	"again":           {"[{\"global index\":\"A_1\",\"prompt\":\"p\"},\n{\"global index\":\"A_1\",\"prompt\":\"q\"}]", "a.json:2: field global index: repeats that of line 1 (row 2, A_1)"},
}

func TestRefusals(t *testing.T) {
	for name, tt := range refusals {
		t.Run(name, func(t *testing.T) {
			_, err := Read(strings.NewReader(tt.text), "a.json")
			if err == nil || err.Error() != tt.want {
				t.Fatalf("Read(%q) = %v, want %s", tt.text, err, tt.want)
			}
			isFormatError(t, err)
		})
	}
	if _, err := Read(failingReader{}, "a.json"); !errors.Is(err, os.ErrClosed) || err.Error() != "read a.json: file already closed" {
		t.Errorf("Read(failing reader) = %v", err)
	}
}

// isFormatError fails the test unless err says which file is wrong and what to
// do.
func isFormatError(t *testing.T, err error) {
	t.Helper()
	if bad, ok := errors.AsType[*dataset.FormatError](err); !ok || bad.File == "" || bad.Reason == "" || bad.Hint == "" || len(err.Error()) > 1<<13 {
		t.Errorf("%#v is not a FormatError with a hint", err)
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, os.ErrClosed }

// What is written is read back as the same rows.
func FuzzRead(f *testing.F) {
	for _, name := range []string{"prompts.json", "predictions.json", "scored.json"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, tt := range refusals {
		f.Add([]byte(tt.text))
	}
	f.Add([]byte(`[{"z":[1.50,{}],"global_index":"A_1","prompt":"\ud800","a":1e400}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, err := Read(bytes.NewReader(data), "a.json")
		if err != nil {
			isFormatError(t, err)
			return
		}
		first := written(t, rows)
		again, err := Read(strings.NewReader(first), "b.json")
		if err != nil {
			t.Fatalf("cannot read what was written: %v\n%s", err, first)
		}
		if second := written(t, again); second != first {
			t.Errorf("written again (-first +second):\n%s", cmp.Diff(first, second))
		}
		for i := range rows {
			a, b := rows[i], again[i]
			if a.Index != b.Index || a.Prompt != b.Prompt || a.Prediction != b.Prediction || a.Scored() != b.Scored() || a.Optimality != b.Optimality {
				t.Errorf("row %d is %+v, read back %+v", i, a, b)
			}
		}
	})
}

package dataset

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestReadOutcomes(t *testing.T) {
	nan := math.NaN()
	const head = "id,model,score,input_tokens,output_tokens"
	one := Outcome{ID: "a", Model: "m", Score: 1, InputTokens: 2, OutputTokens: 3, CostUSD: nan, CachedTokens: nan, ReasoningTokens: nan}
	all := one
	all.CostUSD, all.CachedTokens, all.ReasoningTokens = 4, 5, 6
	odd := one
	odd.ID, odd.Model = "a\n\nb", `c,"d"`
	tests := []struct {
		name, in string
		want     []Outcome
	}{
		{"plain", head + "\na,m,1,2,3\n", []Outcome{one}},
		{"no last line end", head + "\na,m,1,2,3", []Outcome{one}},
		{"CRLF", head + "\r\na,m,1,2,3\r\n", []Outcome{one}},
		{"byte order mark", "\ufeff" + head + "\na,m,1,2,3\n", []Outcome{one}},
		{"blank lines", head + "\n\na,m,1,2,3\n\n", []Outcome{one}},
		{"number forms", head + "\na,m,1e0,+2,3.0\n", []Outcome{one}},
		{"nothing observed", head + "\na,m,,,\n", []Outcome{NewOutcome("a", "m")}},
		{"header only", head + "\n", nil},
		{"all columns", head + ",reasoning_tokens,cost_usd,cached_tokens\na,m,1,2,3,6,4,5\n", []Outcome{all}},
		{"quotes", head + "\n\"a\",\"m\",\"1\",\"2\",3\n", []Outcome{one}},
		{"quoted lines", "\"id\",model,score,input_tokens,output_tokens\n\"a\n\nb\",\"c,\"\"d\"\"\",1,2,3\n", []Outcome{odd}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, in := range [][]byte{[]byte(tt.in), zip(t, []byte(tt.in))} {
				var got []Outcome
				err := ReadOutcomes(bytes.NewReader(in), "o.csv", func(_ int, o Outcome) error { got = append(got, o); return nil })
				if diff := cmp.Diff(tt.want, got, cmpopts.EquateNaNs()); diff != "" || err != nil {
					t.Errorf("error %v, outcomes (-want +got):\n%s", err, diff)
				}
			}
		})
	}
}

func TestReadersReportLinesAndStop(t *testing.T) {
	stop := errors.New("stop")
	var line int
	err := ReadAnswers(strings.NewReader("id,model,answer\n\"a\nb\",m,1\n\nc,m,2\nd,m,3\n"), "a.csv", func(n int, a Answer) error {
		if line = n; a.ID == "c" {
			return stop
		}
		return nil
	})
	if err != stop || line != 5 {
		t.Errorf("ReadAnswers stopped at line %d with %v, want line 5 with %v", line, err, stop)
	}
	err = ReadQueries(strings.NewReader("\n"+`{"prompt":"p","id":"a"}`+"\n"), "q.jsonl", func(n int, q Query) error { line = n; return stop })
	if err != stop || line != 2 {
		t.Errorf("ReadQueries stopped at line %d with %v, want line 2 with %v", line, err, stop)
	}
}

// endless is a reader of a head and a very long line without end.
type endless struct {
	head string
	left int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.head != "" {
		n := copy(p, e.head)
		e.head = e.head[n:]
		return n, nil
	}
	if e.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), e.left)
	for i := range p[:n] {
		p[i] = 'x'
	}
	e.left -= n
	return n, nil
}

func TestReadersRefuseLongLines(t *testing.T) {
	const size, want = 100 << 20, ":2: line is longer than 64 MiB"
	err := ReadQueries(&endless{`{"id":"a","prompt":"p"}` + "\n" + `{"id":"`, size}, "q", func(int, Query) error { return nil })
	if err == nil || err.Error() != "q"+want {
		t.Errorf("ReadQueries = %v, want q%s", err, want)
	}
	for _, field := range []string{"a", `"a`} {
		err = ReadOutcomes(&endless{"id,model,score,input_tokens,output_tokens\n" + field, size}, "o", func(int, Outcome) error { return nil })
		if err == nil || err.Error() != "o"+want {
			t.Errorf("ReadOutcomes = %v, want o%s", err, want)
		}
	}
}

func TestReadQueriesSetsAMissingSplit(t *testing.T) {
	err := ReadQueries(strings.NewReader(`{"id":"a","prompt":"Name 1 rivers."}`), "q", func(_ int, q Query) error {
		if q.Split != SplitTest {
			t.Errorf("split %s, want test", q.Split)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// seed adds the tiny files of these names and their bad variants to the corpus.
func seed(f *testing.F, names ...string) {
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join("testdata", "tiny", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(zip(f, data))
		f.Add(data[:len(data)/2])
	}
	for _, fault := range badFolders(f) {
		for _, name := range names {
			if data, ok := fault.files[name]; ok {
				f.Add(data)
			}
			if data, ok := fault.files[name+".gz"]; ok {
				f.Add(data)
			}
		}
	}
}

// checkError fails unless err is nil or a *FormatError about the file.
func checkError(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if bad, ok := errors.AsType[*FormatError](err); !ok || bad.File != "file" || bad.Reason == "" {
		t.Errorf("%#v is not a FormatError about the file", err)
	}
}

func FuzzReadQueries(f *testing.F) {
	seed(f, "queries.jsonl")
	f.Fuzz(func(t *testing.T, data []byte) {
		checkError(t, ReadQueries(bytes.NewReader(data), "file", func(line int, q Query) error {
			if field, reason := checkQuery(q); reason != "" || !q.Split.Valid() || line < 1 {
				t.Errorf("line %d: accepted a query with field %s: %s", line, field, reason)
			}
			var b bytes.Buffer
			if err := writeJSON(&b, q); err != nil {
				t.Fatal(err)
			}
			err := ReadQueries(&b, "file", func(_ int, back Query) error {
				if back != q {
					t.Errorf("%+v is read back as %+v", q, back)
				}
				return nil
			})
			checkError(t, err)
			return nil
		}))
	})
}

func FuzzReadOutcomes(f *testing.F) {
	seed(f, "outcomes.csv")
	f.Fuzz(func(t *testing.T, data []byte) {
		checkError(t, ReadOutcomes(bytes.NewReader(data), "file", func(_ int, o Outcome) error {
			for col, v := range o.values() {
				if reason := checkValue(col, v); reason != "" && !math.IsNaN(v) {
					t.Errorf("accepted %v in %s: %s", v, columnName(col), reason)
				}
			}
			if o.ID == "" || o.Model == "" {
				t.Errorf("accepted id %q, model %q", o.ID, o.Model)
			}
			return nil
		}))
	})
}

func FuzzReadAnswers(f *testing.F) {
	seed(f, "answers.csv")
	f.Fuzz(func(t *testing.T, data []byte) {
		var got [][]string
		err := ReadAnswers(bytes.NewReader(data), "file", func(_ int, a Answer) error {
			got = append(got, []string{a.ID, a.Model, a.Hash})
			return nil
		})
		checkError(t, err)
		if err != nil || bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
			return
		}
		// encoding/csv must agree, except on line ends within quotes and on a byte
		// order mark.
		if bytes.Contains(data, []byte("\r")) {
			return
		}
		want, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff")))).ReadAll()
		if err != nil {
			t.Fatalf("accepted what encoding/csv refuses: %v", err)
		}
		if diff := cmp.Diff(want[1:], got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("records (-encoding/csv +got):\n%s", diff)
		}
	})
}

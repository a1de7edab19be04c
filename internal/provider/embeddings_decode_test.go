package provider

import (
	"encoding/base64"
	"errors"
	"math"
	"strings"
	"testing"
)

func TestDecodeRefuses(t *testing.T) {
	one := func(vector string) string { return `{"data":[{"index":0,"embedding":` + vector + `}]}` }
	binary := func(data string) string { return one(`"` + base64.StdEncoding.EncodeToString([]byte(data)) + `"`) }
	for _, test := range []struct {
		name, answer string
		n            int
		want         string
	}{
		{"empty", ``, 1, "unexpected end"},
		{"html", `<html>sign in</html>`, 1, "invalid character"},
		{"cut", `{"data":[{"index":0,`, 1, "unexpected end"},
		{"no data", `{}`, 1, "0 vectors for 1 texts"},
		{"null data", `{"data":null}`, 1, "0 vectors for 1 texts"},
		{"too few", one(`[1]`), 2, "1 vectors for 2 texts"},
		{"too many", `{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1]}]}`, 1, "2 vectors for 1 texts"},
		{"no index", `{"data":[{"embedding":[1]}]}`, 1, "without an index"},
		{"repeated index", `{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]}`, 2, "index 0 appears twice"},
		{"index too high", `{"data":[{"index":1,"embedding":[1]}]}`, 1, "index 1 is outside 0 to 0"},
		{"index below zero", `{"data":[{"index":-1,"embedding":[1]}]}`, 1, "index -1 is outside"},
		{"fractional index", `{"data":[{"index":0.5,"embedding":[1]}]}`, 1, "index"},
		{"lengths differ", `{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1,2]}]}`, 2, "vector 1: length 2, want 1"},
		{"no vector", `{"data":[{"index":0}]}`, 1, "vector 0: empty"},
		{"null vector", one(`null`), 1, "null instead of a number"},
		{"empty vector", one(`[]`), 1, "vector 0: empty"},
		{"zero vector", one(`[0,-0.0]`), 1, "all zero"},
		{"null number", one(`[1,null]`), 1, "null instead of a number"},
		{"number too large", one(`[1e39]`), 1, "vector 0"},
		{"NaN", one(`[NaN]`), 1, "invalid character"},
		{"nested vector", one(`[[1]]`), 1, "vector 0"},
		{"object vector", one(`{"a":1}`), 1, "vector 0"},
		{"base64 alphabet", one(`"!!!!"`), 1, "base64"},
		{"base64 length", binary("abc"), 1, "3 bytes is not float32"},
		{"base64 empty", binary(""), 1, "empty"},
		{"base64 NaN", binary("\x00\x00\xc0\x7f"), 1, "not finite"},
		{"base64 infinity", binary("\x00\x00\x80\xff"), 1, "not finite"},
		{"base64 zero", binary("\x00\x00\x00\x00"), 1, "all zero"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := new(Upstream).decodeEmbeddings([]byte(test.answer), test.n, 0)
			if err == nil || got != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("decodeEmbeddings(%s) = %v, %v, want no vectors and %q in the error", test.answer, got, err, test.want)
			}
		})
	}
}

func TestDecodeDimensions(t *testing.T) {
	answer := []byte(`{"data":[{"index":0,"embedding":[1,0,0]}]}`)
	if _, err := new(Upstream).decodeEmbeddings(answer, 1, 3); err != nil {
		t.Errorf("length 3, want 3: %v", err)
	}
	if _, err := new(Upstream).decodeEmbeddings(answer, 1, 2); err == nil {
		t.Error("length 3, want 2: no error")
	}
}

func TestDecodeErrorWithStatus200(t *testing.T) {
	_, err := (&Upstream{Keys: []string{"k3y"}}).decodeEmbeddings([]byte(`{"error":{"message":"no provider for k3y","code":404}}`), 1, 0)
	refused, ok := errors.AsType[*Error](err)
	if want := (Error{Kind: Server, Status: 200, Code: "404", Message: "no provider for ***"}); !ok || refused.Kind != want.Kind || refused.Status != want.Status || refused.Code != want.Code || refused.Message != want.Message {
		t.Errorf("decodeEmbeddings: %v, want %v", err, &want)
	}
}

// FuzzDecodeEmbeddings checks that all accepted answers are as Encode promises.
func FuzzDecodeEmbeddings(f *testing.F) {
	f.Add([]byte(`{"data":[{"index":1,"embedding":[3,4]},{"index":0,"embedding":"AACAPwAAAAA="}]}`), 2, 2)
	f.Add([]byte(`{"data":[{"index":0,"embedding":[1e-45,1e38]}],"usage":{}}`), 1, 0)
	f.Add([]byte(`{"data":[{"index":0,"embedding":[null]}]}`), 1, 0)
	f.Add([]byte(`{"error":{"message":"a\u0007b","type":"t","code":null}}`), 1, 0)
	f.Add([]byte(`{"data":[],"error":"x"}`), 0, 0)
	f.Fuzz(func(t *testing.T, answer []byte, n, dim int) {
		if n < 1 || n > 1000 {
			return
		}
		dim = max(dim, 0)
		vectors, err := (&Upstream{Keys: []string{"secret"}}).decodeEmbeddings(answer, n, dim)
		if err != nil {
			if vectors != nil || err.Error() == "" {
				t.Fatalf("decodeEmbeddings = %v, %v", vectors, err)
			}
			return
		}
		if len(vectors) != n {
			t.Fatalf("%d vectors, want %d", len(vectors), n)
		}
		for _, v := range vectors {
			if len(v) != len(vectors[0]) || len(v) == 0 || dim > 0 && len(v) != dim {
				t.Fatalf("vectors of %d and %d numbers, want %d", len(v), len(vectors[0]), dim)
			}
			var sum float64
			for _, x := range v {
				sum += float64(x) * float64(x)
			}
			if !(math.Abs(sum-1) < 1e-3) {
				t.Fatalf("vector %v has squared length %v", v, sum)
			}
		}
	})
}

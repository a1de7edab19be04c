package textfile

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestPlainNumbers(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`{"a":NaN}`, `{"a":null}`}, {`[Infinity, -Infinity,NaN]`, `["Infinity", "-Infinity",null]`},
		{`{"NaN":"-Infinity NaN \" NaN"}`, `{"NaN":"-Infinity NaN \" NaN"}`}, {`["\\",NaN]`, `["\\",null]`},
		{`[-1, nan, NULL, -Inf, Na`, `[-1, nan, NULL, -Inf, Na`}, {``, ``},
	} {
		for _, r := range []io.Reader{strings.NewReader(tt.in), iotest.OneByteReader(strings.NewReader(tt.in))} {
			got, err := io.ReadAll(iotest.OneByteReader(PlainNumbers(r)))
			if err != nil || string(got) != tt.want {
				t.Errorf("%s is read as %s, %v, want %s", tt.in, got, err, tt.want)
			}
		}
	}
}

// FuzzPlainNumbers: JSON stays as it is.
func FuzzPlainNumbers(f *testing.F) {
	f.Add(`{"a":[NaN,-Infinity,"N\"aN"]}`)
	f.Add(`"\\"`)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := io.ReadAll(PlainNumbers(strings.NewReader(text)))
		if err != nil || json.Valid([]byte(text)) && string(got) != text {
			t.Errorf("%q is read as %q, %v", text, got, err)
		}
	})
}

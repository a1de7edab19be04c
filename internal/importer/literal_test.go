package importer

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeLiteral(t *testing.T) {
	n := func(text string) json.Number { return json.Number(text) }
	for _, tt := range []struct {
		text string
		want any
	}{
		{`[]`, []any{}}, {`{}`, jsonObject{}}, {`()`, []any{}}, {` [ 1 , 2.5e-3, -7 ] `, []any{n("1"), n("2.5e-3"), n("-7")}},
		{`[.5, 007]`, []any{n("0.5"), n("7")}}, {`(1,)`, []any{n("1")}}, {`[1,]`, []any{n("1")}}, {`{'a': 1,}`, jsonObject{"a": n("1")}},
		{`[None, True, False, nan]`, []any{nil, true, false, nil}},
		{`[{'role': 'user', 'content': "It's \"so\""}]`, []any{jsonObject{"role": "user", "content": `It's "so"`}}},
		{`'a\n\t\\\'\x41\u00e9\U0001f600\101'`, "a\n\t\\'Aé😀A"}, {`'\d'`, `\d`}, {`"a" 'b'`, "ab"}, {`'''a'b''c'''`, "a'b''c"}, {`""`, ""}, {"'a\\\nb'", "ab"},
		{`'\ud83d'`, "\ufffd"},
		{"[{'a': 1}\n {'a': 2}]", []any{jsonObject{"a": n("1")}, jsonObject{"a": n("2")}}},
	} {
		got, err := decodeLiteral(tt.text)
		if err != nil || cmp.Diff(tt.want, got) != "" {
			t.Errorf("decodeLiteral(%s) = %#v, %v, want %#v", tt.text, got, err, tt.want)
		}
	}
	for _, text := range []string{``, `[`, `{`, `(`, `[1 2]`, `['a'`, `{'a'}`, `{'a': }`, `{1: 2}`, `'a`, `'''a''`, `'\x4'`, `'\u12'`, `'\N{BULLET}'`, `'\U00110000'`, `'a\`,
		`Nonesuch`, `true`, `__import__('os')`, `[1] + [2]`, `-`, `1-2`, `b'a'`, `f'a'`, `{'a': 1} x`, `[,]`,
		strings.Repeat("[", 1<<20), strings.Repeat("[", maxLiteralDepth+2) + strings.Repeat("]", maxLiteralDepth+2), strings.Repeat("{'a':", 1<<16)} {
		if v, err := decodeLiteral(text); err == nil {
			t.Errorf("decodeLiteral(%.40q) = %#v, want an error", text, v)
		}
	}
}

// FuzzDecodeLiteral reads any text as a Python literal. What can be read is JSON too,
// and no deeper than the limit.
func FuzzDecodeLiteral(f *testing.F) {
	for _, text := range []string{`[{'role': 'user', 'content': 'Hi'}]`, `{'a': (1, 2.5), "b": [None, True]}`, `'''a'b'''`, `'\x41\u00e9\N{x}\07'`, "[{}\n{}]", `[[[[`, `-1e999`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := decodeLiteral(text)
		if err != nil {
			return
		}
		if depthOf(v) > maxLiteralDepth+1 {
			t.Errorf("%q is %d deep", text, depthOf(v))
		}
		if !utf8.ValidString(text) {
			return
		}
		if _, err := json.Marshal(v); err != nil {
			t.Errorf("%q cannot be written: %v", text, err)
		}
		messagesText(v)
	})
}

func depthOf(v any) (depth int) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			depth = max(depth, depthOf(item))
		}
		return depth + 1
	case jsonObject:
		for _, item := range v {
			depth = max(depth, depthOf(item))
		}
		return depth + 1
	}
	return 0
}

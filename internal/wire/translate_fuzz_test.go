package wire

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/carrot-router/carrot"
)

var pairs = [][2]API{{Chat, Messages}, {Chat, Responses}, {Messages, Chat}, {Messages, Responses}, {Responses, Chat}, {Responses, Messages}}

// seeds returns the sections of the fixtures that have a name.
func seeds(f *testing.F, name string) [][]byte {
	files, err := filepath.Glob("testdata/translate/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatalf("no fixtures: %v", err)
	}
	var out [][]byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, section := range txtar.Parse(data).Files {
			if section.Name == name {
				out = append(out, section.Data)
			}
		}
	}
	return out
}

// FuzzTranslate: no body makes a translation panic, and the result is JSON.
func FuzzTranslate(f *testing.F) {
	for _, name := range []string{"request.in", "request.out", "answer.in", "answer.out"} {
		for _, seed := range seeds(f, name) {
			f.Add(seed)
		}
	}
	f.Add([]byte(`{"model":"m","messages":[{"role":"user","content":"` + "\xff" + `\ud800"}],"tools":[{"type":"function","function":{"name":"","parameters":{}}}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, pair := range pairs {
			if out, err := translateBody(body, pair[0], pair[1]); err == nil && !json.Valid(out) {
				t.Errorf("TranslateRequest(%q, %s, %s) = %q, which is not JSON", body, pair[0], pair[1], out)
			}
			if out, err := TranslateAnswer(body, pair[0], pair[1], 0, carrot.Usage{}); err == nil && !json.Valid(out) {
				t.Errorf("TranslateAnswer(%q, %s, %s) = %q, which is not JSON", body, pair[0], pair[1], out)
			}
		}
	})
}

// FuzzStreamTranslator: no stream makes a translation panic, every event is JSON,
// and the client's stream has an end.
func FuzzStreamTranslator(f *testing.F) {
	for _, name := range []string{"stream.in", "stream.out"} {
		for _, seed := range seeds(f, name) {
			f.Add(seed)
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		for _, pair := range pairs {
			var out []Event
			s := NewStreamTranslator(pair[0], pair[1], 0, 0)
			d := NewDecoder(strings.NewReader(string(stream)))
			for {
				e, err := d.Next()
				if err != nil {
					break
				}
				events, _ := s.Next(e)
				out = append(out, events...)
			}
			out = append(out, s.Close()...)
			for _, e := range out {
				if string(e.Data) != Done && !json.Valid(e.Data) {
					t.Errorf("%s to %s: %q is not JSON", pair[0], pair[1], e.Data)
				}
			}
			if len(out) == 0 {
				t.Errorf("%s to %s: the stream %q has no end", pair[0], pair[1], stream)
			}
			if again := s.Close(); len(again) != 0 {
				t.Errorf("%s to %s: a second end %v", pair[0], pair[1], again)
			}
		}
	})
}

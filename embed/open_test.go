package embed

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/safetensors"
)

func TestOpen(t *testing.T) {
	folder, _ := tinyFolder{dtype: safetensors.F32}.write(t)
	table := filepath.Join(t.TempDir(), "tiny.safetensors")
	if err := os.WriteFile(table, tinyTable(t), 0o600); err != nil {
		t.Fatal(err)
	}
	for spec, prefix := range map[string]string{
		"static":                           "static@",
		"none":                             "none",
		"static:" + table:                  "static@",
		"bert:" + folder:                   "bert:",
		"openai:http://localhost:1/v1#m":   "openai:localhost:1/v1#m",
		"openai:https://host/v1#org/m:tag": "openai:host/v1#org/m:tag",
	} {
		embedder, err := Open(spec, Options{})
		if err != nil {
			t.Errorf("Open(%q): %v", spec, err)
			continue
		}
		if !strings.HasPrefix(embedder.ID(), prefix) {
			t.Errorf("Open(%q) has ID %q, want %s…", spec, embedder.ID(), prefix)
		}
	}
	inFile, err := Open("static:"+table, Options{})
	if err != nil || inFile.ID() == defaultStatic(t).ID() {
		t.Errorf("Open of a table in a file = %v, %v, want another table than the default", inFile, err)
	}
}

// TestNone: nothing of a text remains.
func TestNone(t *testing.T) {
	embedder, err := Open("none", Options{})
	if err != nil {
		t.Fatal(err)
	}
	x := []carrot.Representation{{Dense: []float32{1}}}
	if err := embedder.Embed(t.Context(), []string{"some text"}, x); err != nil || len(x[0].Dense) != 0 || len(x[0].Sparse.Index) != 0 {
		t.Errorf("Embed = %v, %v, want an empty representation", x[0], err)
	}
	if err := embedder.Embed(t.Context(), nil, x); err == nil {
		t.Error("no texts for one representation were accepted")
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("not a folder"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		spec  string
		cache string
		is    error
		want  string
	}{
		{"", "", ErrSpec, `embedder "": want static, static:FILE, bert:DIR, openai:URL#MODEL, npy:FILE or none`},
		{"word2vec", "", ErrSpec, `embedder "word2vec": want static, `},
		{"bert", "", ErrSpec, `embedder "bert": want`},
		{"bert:", "", ErrSpec, `embedder "bert:": want`},
		{"openai:", "", ErrSpec, `embedder "openai:": want`},
		{"openai:http://host/v1", "", ErrSpec, "name the model after #, as in openai:http://host/v1#text-embedding-3-small"},
		{"openai:http://host/v1#", "", ErrSpec, "name the model after #"},
		{"static:" + dir + "/none", "", fs.ErrNotExist, "open static table"},
		{"bert:" + dir, "", fs.ErrNotExist, "config.json"},
		{"openai:http://host/v1#m", file, ErrCache, "open vector cache"},
	} {
		embedder, err := Open(test.spec, Options{CacheDir: test.cache})
		if embedder != nil || !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Open(%q) = %v, %v, want no embedder and an error with %q that is %q", test.spec, embedder, err, test.want, test.is)
		}
	}
}

// TestOpenRemote: the key comes from the options alone, and with a cache a text
// is requested once.
func TestOpenRemote(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", "from the environment")
	var keys []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		keys = append(keys, r.Header.Get("Authorization"))
		var request struct{ Input []string }
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil || len(request.Input) != 1 {
			t.Errorf("request with input %q, %v, want one text", request.Input, err)
		}
		fmt.Fprint(w, `{"data":[{"index":0,"embedding":[3,4]}]}`)
	}))
	defer server.Close()
	spec, cache := "openai:"+server.URL+"/v1#m", t.TempDir()
	for _, o := range []Options{{}, {CacheDir: cache, APIKey: "k"}, {CacheDir: cache, APIKey: "k"}} {
		embedder, err := Open(spec, o)
		if err != nil {
			t.Fatal(err)
		}
		if got := dense(t, embedder, "hello"); !reflect.DeepEqual(got, []float32{0.6, 0.8}) {
			t.Errorf("Embed = %v, want [0.6 0.8]", got)
		}
	}
	if want := []string{"", "Bearer k"}; !reflect.DeepEqual(keys, want) {
		t.Errorf("requests with Authorization %q, want %q", keys, want)
	}
}

package strictyaml

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// secret is text that errors must not show.
type secret string

func (s secret) Reveal() string { return string(s) }

// config has fields of all types.
type config struct {
	Listen string `yaml:"listen" expand:"env"`
	Shared `yaml:",inline"`
	Key    secret         `yaml:"key"`
	Free   map[string]any `yaml:"free"`
}

type Shared struct {
	Name  string        `yaml:"name"`
	Count *int          `yaml:"count"`
	Wait  time.Duration `yaml:"wait"`
	List  []Shared      `yaml:"list"`
}

func env(name string) (string, bool) {
	return map[string]string{"HOST": "example"}[name], name == "HOST"
}

func TestDecode(t *testing.T) {
	var got config
	p := Decode([]byte("listen: ${HOST}:80\nname: a\ncount: 0\nwait: 5m\nkey: ${UNSET:-k}$$y\nlist: [{name: b}]\nfree: {x: 1, y: null}\n"), &got, Options{Env: env})
	if err := p.Err(); err != nil || p.Malformed() {
		t.Fatal(err)
	}
	want := config{Listen: "example:80", Shared: Shared{Name: "a", Count: new(0), Wait: 5 * time.Minute, List: []Shared{{Name: "b"}}}, Key: "k$y", Free: map[string]any{"x": uint64(1), "y": nil}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !p.Given("count") || !p.Given("list[0].name") || p.Given("list[0].count") {
		t.Error("Given is not true of exactly the fields in the file")
	}
	p.Add("list[0].count", "is missing")
	p.Add("name", "is taken")
	p.Add("name", "is bad") // only the first problem of a field is kept
	if want := "2:7: name: is taken\n6:8: list[0].count: is missing"; p.Err().Error() != want {
		t.Errorf("problems:\n%v\nwant\n%s", p.Err(), want)
	}
}

// All problems of form are reported at once, each with its place, and none shows a
// secret.
func TestDecodeProblems(t *testing.T) {
	p := Decode([]byte("lisen: a\nname: 7\ncount: 1.5\nwait: soon\nkey: [s3cret]\nname: b\nlist:\n  - nam: c\n"), new(config), Options{File: "f.yaml", Env: env})
	want := `f.yaml:1:1: unknown key "lisen", did you mean "listen"?
f.yaml:2:7: name: want text in quotes, not the number 7
f.yaml:3:8: count: want a whole number, not the number 1.5
f.yaml:4:7: wait: want a duration with its unit, such as 30s or 5m, not text "soon"
f.yaml:5:6: key: want text in quotes, not a list
f.yaml:6:1: key "name" appears twice, first at line 2
f.yaml:8:5: list[0]: unknown key "nam", did you mean "name"?`
	if err := p.Err(); err == nil || !p.Malformed() || err.Error() != want {
		t.Errorf("problems:\n%v\nwant\n%s", err, want)
	}
	for text, want := range map[string]string{"": "is empty: want name", "[a]": "want a mapping of keys such as name, not a list", "a: 1\n---\nb: 2": "a second document begins here"} {
		if err := Decode([]byte(text), new(config), Options{Want: "name"}).Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if err := Decode([]byte("key: pass-${word"), new(config), Options{}).Err(); err == nil || strings.Contains(err.Error(), "pass-") {
		t.Errorf("%v, want an error without the secret", err)
	}
}

// The zero Problems serves for values that do not come from a file.
func TestZeroProblems(t *testing.T) {
	p := new(Problems)
	if p.Err() != nil || p.Given("name") {
		t.Error("the zero Problems has problems or fields")
	}
	if p.Add("models[2].name", "is missing"); p.Err().Error() != "models[2].name: is missing" {
		t.Errorf("%v", p.Err())
	}
}

func TestBounds(t *testing.T) {
	f := func(name, text, want string) {
		t.Helper()
		err := Decode([]byte(text), new(config), Options{}).Err()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", name, err, want)
		}
	}
	f("long", "# "+strings.Repeat("x", MaxBytes), "longer than 256 KiB")
	f("many values", "a: ["+strings.Repeat("1,", maxTokens)+"]", "more than 30000 keys and values")
	f("deep brackets", strings.Repeat("[", 20_000), "nested more than 32 deep")
	f("deep mappings", strings.Repeat("{a: ", 5_000), "nested more than 32 deep")
	f("deep lists", strings.Repeat("- ", 10_000)+"a", "a list begins beyond column 200")
	f("deep keys", strings.Repeat(" ", 300)+"a: b", "a key begins beyond column 200")
	f("long key", strings.Repeat("a", 1000)+": 1", "a key is longer than 128 bytes")
	f("not text", "listen: \xff", "not UTF-8")
}

// FuzzDecode checks that no file makes the decoder panic, that every problem is one
// line, and that no error shows a secret.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{
		"listen: ${HOST}:80\nname: a\ncount: 0\nwait: 5m\nkey: ${UNSET:-k}$$y\nlist: [{name: b}]\nfree: {x: 1, y: null}\n",
		"lisen: a\nname: 7\ncount: 1.5\nwait: soon\nkey: [s3cret]\nname: b\nlist:\n  - nam: c\n",
		"\ufefflisten: |\n  a\n  b\nfree:\n  ? a\n  : b\n",
		"free: [1e3, -1e-3, 0x1F, 0o17, .inf, .nan, ~, true, 'a', \"b\\n\", 18446744073709551616]\n",
		"a: &x 1\nb: *x\n<<: {c: d}\n",
		"key: &s sec-\n---\n%YAML 1.2\n",
		"[a, {b: c}]",
		"",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var c config
		p := Decode(data, &c, Options{File: "f.yaml", Env: func(string) (string, bool) { return "hidden value", true }})
		err := p.Err()
		if err == nil {
			if p.Malformed() {
				t.Fatal("malformed without a problem")
			}
			return
		}
		if strings.Contains(err.Error(), "hidden value") && !strings.Contains(string(data), "hidden value") {
			t.Errorf("the error shows the environment: %v", err)
		}
		for line := range strings.Lines(err.Error()) {
			if !strings.HasPrefix(line, "f.yaml:") {
				t.Errorf("a line %q without the name of the file in\n%v", line, err)
			}
		}
	})
}

package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/carrot-router/carrot/internal/wire"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// environment is what ${NAME} means in the tests.
func environment(values ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, pair := range values {
			if key, value, _ := strings.Cut(pair, "="); key == name {
				return value, true
			}
		}
		return "", false
	}
}

const minimal = `
providers: [{name: openai, kind: openai}]
models: [{name: a, provider: openai}]
`

func mustParseConfig(t *testing.T, text string, env ...string) *Config {
	t.Helper()
	c, err := ParseConfig([]byte(text), environment(env...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A number with an exponent is one without a point too, and text in quotes.
func TestExponents(t *testing.T) {
	c, err := ParseConfig([]byte("providers: [{name: a, kind: openai}]\nmodels: [{name: m, provider: a, settings: {x: 1e-1, y: \"1e-1\", z: -2E3, max_tokens: 1e3}, price: {input: 5e-1, output: 1.5e+1}, context: 1e6}]"), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"x": 0.1, "y": "1e-1", "z": int64(-2000), "max_tokens": uint64(1000)}, c.Models[0].Settings); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if p := c.Models[0].Price; *p.Input != 0.5 || *p.Output != 15 || c.Models[0].Context != 1_000_000 {
		t.Errorf("price %v and %v, context %d", *p.Input, *p.Output, c.Models[0].Context)
	}
}

// TestConfigRefused compares the errors of the configurations under testdata/config.
func TestConfigRefused(t *testing.T) {
	files, err := filepath.Glob("testdata/config/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files (%v)", err)
	}
	env := environment("KEY=sk-0123456789abcdef", "EMPTY=", "BROKEN=sk-0123456789 abcdef")
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		golden := make(map[string]string)
		got := &txtar.Archive{Comment: archive.Comment}
		for _, section := range archive.Files {
			golden[section.Name] = string(section.Data)
		}
		for _, section := range archive.Files {
			if strings.HasSuffix(section.Name, ".err") {
				continue
			}
			t.Run(filepath.Base(file)+"/"+section.Name, func(t *testing.T) {
				_, err := ParseConfig(section.Data, env)
				if err == nil {
					t.Fatal("is not refused")
				}
				message := err.Error() + "\n"
				if strings.Contains(message, "0123456789") || strings.Contains(message, "password@") {
					t.Errorf("shows a secret: %s", message)
				}
				name := section.Name + ".err"
				got.Files = append(got.Files, section, txtar.File{Name: name, Data: []byte(message)})
				if diff := cmp.Diff(golden[name], message); diff != "" && !*update {
					t.Errorf("error (-golden +got):\n%s", diff)
				}
			})
		}
		if *update && !t.Failed() {
			if err := os.WriteFile(file, txtar.Format(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestConfigExample(t *testing.T) {
	c, err := OpenConfig("testdata/config/carrot.yaml", environment(
		"OPENAI_API_KEY=sk-openai", "ANTHROPIC_API_KEY=sk-1", "ANTHROPIC_API_KEY_2=sk-2", "SHOP_KEY=shop-0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	f := func(what string, got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	f("a key from the environment", c.Providers[0].APIKey.Reveal(), "sk-openai")
	f("the second of two keys", c.Providers[1].APIKeys[1].Reveal(), "sk-2")
	f("a key that may be missing", c.Providers[2].APIKey.Reveal(), "")
	f("an address from a default", c.Providers[2].BaseURL, "http://127.0.0.1:8000/v1")
	f("a path", c.Record.Path, filepath.Join("testdata", "config", "decisions.jsonl"))
	f("a timeout of the provider's own", c.Providers[2].Timeouts, TimeoutConfig{5 * time.Second, 20 * time.Second, 10 * time.Minute})
	f("settings", c.Models[1].Settings, map[string]any{"reasoning_effort": "high", "max_completion_tokens": uint64(4000)})
	f("a price", *c.Models[1].Price.CachedInput, 0.1)
	f("no abilities", *c.Models[3].Abilities, []string{})
	f("unknown abilities", c.Models[0].Abilities, (*[]string)(nil))
	f("no cache", c.Providers[2].CacheMinTokens, -1)
	f("a policy's own exploration", *c.Policies[2].Exploration, ExplorationConfig{Rate: 0.05, Seed: 7})
}

func TestConfigDefaults(t *testing.T) {
	c := mustParseConfig(t, minimal)
	none, ten, one, three, earlier, budget := &ExplorationConfig{}, 10, 1, 3, 200, 0.2
	want := &Config{
		Listen:      "127.0.0.1:8080",
		AdminListen: "127.0.0.1:8081",
		Record:      RecordConfig{MaxMB: 100, Keep: &ten},
		Providers: []ProviderConfig{{
			Name: "openai", Kind: "openai", BaseURL: "https://api.openai.com/v1", CacheMinTokens: 1024,
			APIs:     []wire.API{wire.Chat, wire.Responses, wire.Embeddings},
			Timeouts: TimeoutConfig{5 * time.Second, 60 * time.Second, 10 * time.Minute},
		}},
		Models: []ModelConfig{{Name: "a", Provider: "openai", Upstream: "a", Adjust: AdjustConfig{OutputTokens: 1}}},
		Policies: []PolicyConfig{
			{Name: "auto", Objective: "balanced", Exploration: none},
			{Name: "balanced", Objective: "balanced", Exploration: none},
			{Name: "cheap", Objective: "cheap", Exploration: none},
			{Name: "quality", Objective: "quality", Exploration: none},
		},
		Text:     TextConfig{Earlier: &earlier},
		Sessions: SessionConfig{TTL: 5 * time.Minute, Entries: 50000},
		Timeouts: TimeoutConfig{5 * time.Second, 60 * time.Second, 10 * time.Minute},
		Retry:    RetryConfig{Retries: &one, Backoff: 250 * time.Millisecond, MaxWait: 2 * time.Second, Budget: &budget, Fallbacks: &three},
		Breaker:  BreakerConfig{Failures: 5, Open: 30 * time.Second},
		Limits: LimitConfig{BodyMB: 20, HeaderKB: 64, Requests: 1000,
			ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, Shutdown: 30 * time.Second},
		Log: LogConfig{Level: "info"},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

func TestConfigZeroMayBeMeant(t *testing.T) {
	c := mustParseConfig(t, minimal+"record: {keep: 0}\nretry: {retries: 0, budget: 0, fallbacks: 0}\ntext: {earlier: 0}\n")
	if *c.Record.Keep != 0 || *c.Retry.Retries != 0 || *c.Retry.Budget != 0 || *c.Retry.Fallbacks != 0 || *c.Text.Earlier != 0 {
		t.Errorf("a 0 in the file was replaced by a default: %+v %+v %+v", c.Record, c.Retry, c.Text)
	}
}

func TestConfigProviderDefaults(t *testing.T) {
	for _, test := range []struct{ name, provider, want string }{
		{"openai", "kind: openai", "https://api.openai.com/v1  [chat responses embeddings]"},
		{"openai by its address", "kind: openai, base_url: 'https://API.openai.com/v1/'", "https://API.openai.com/v1  [chat responses embeddings]"},
		{"compatible", "kind: openai, base_url: 'http://localhost:11434/v1'", "http://localhost:11434/v1  [chat embeddings]"},
		{"anthropic", "kind: anthropic", "https://api.anthropic.com/v1 2023-06-01 [messages]"},
		{"azure", "kind: azure, base_url: 'https://x.example', api_version: 2024-10-21", "https://x.example 2024-10-21 [chat responses embeddings]"},
		{"said", "kind: openai, apis: [responses]", "https://api.openai.com/v1  [responses]"},
	} {
		p := mustParseConfig(t, "models: [{name: a, provider: p}]\nproviders: [{name: p, "+test.provider+"}]").Providers[0]
		if got := fmt.Sprint(p.BaseURL, " ", p.APIVersion, " ", p.APIs); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestConfigPolicies(t *testing.T) {
	c := mustParseConfig(t, minimal+"exploration: {rate: 0.1}\npolicies: [{name: cheap, default: a}, {name: own}, {name: auto, objective: mu=0.5, exploration: {rate: 0}}]")
	var got []string
	for _, p := range c.Policies {
		got = append(got, fmt.Sprint(p.Name, " ", p.Objective, " ", p.Exploration.Rate))
	}
	want := []string{"cheap cheap 0.1", "own balanced 0.1", "auto mu=0.5 0", "balanced balanced 0.1", "quality quality 0.1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("policies, objectives and exploration (-want +got):\n%s", diff)
	}
}

func TestConfigEnvironment(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"plain", "sk-1", "sk-1"},
		{"set", "${A}", "a"},
		{"within", "x-${A}-${B}-y", "x-a-b-y"},
		{"default not taken", "${A:-other}", "a"},
		{"default", "${UNSET:-other}", "other"},
		{"default of what is empty", "${EMPTY:-other}", "other"},
		{"empty default", "${UNSET:-}", ""},
		{"dollar", "pa$$word$$", "pa$word$"},
		{"not read again", "${DOLLAR}", "${A}"},
	} {
		c := mustParseConfig(t, "models: [{name: a, provider: p}]\nproviders: [{name: p, kind: openai, api_key: '"+test.text+"'}]",
			"A=a", "B=b", "EMPTY=", "DOLLAR=${A}")
		if got := c.Providers[0].APIKey.Reveal(); got != test.want {
			t.Errorf("%s: %s is %q, want %q", test.name, test.text, got, test.want)
		}
	}
}

func TestConfigClientKeysAreHashed(t *testing.T) {
	const key = "client-0123456789abcdef"
	sum := sha256.Sum256([]byte(key))
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, way := range []string{`key: "${CLIENT_KEY}"`, "key_file: key", "key_sha256: " + strings.ToUpper(hex.EncodeToString(sum[:]))} {
		file := filepath.Join(dir, "carrot.yaml")
		if err := os.WriteFile(file, []byte(minimal+"listen: 0.0.0.0:8080\nclients: [{name: c, "+way+"}]"), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := OpenConfig(file, environment("CLIENT_KEY="+key))
		if err != nil {
			t.Errorf("%s: %v", way, err)
			continue
		}
		client := c.Clients[0]
		if client.hash != sum || client.KeySHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: hash %x, want %x", way, client.hash, sum)
		}
		if client.Key.Reveal() != "" || strings.Contains(fmt.Sprintf("%#v", client), key) {
			t.Errorf("%s: the key itself is still there", way)
		}
	}
}

func TestConfigPublicAddresses(t *testing.T) {
	const clients = "\nclients: [{name: c, key: client-0123456789abcdef}]"
	for _, test := range []struct {
		name, text string
		ok         bool
	}{
		{"loopback", "listen: 127.0.0.1:80", true},
		{"all of 127", "listen: 127.9.9.9:80", true},
		{"localhost", "listen: localhost:80", true},
		{"IPv6 loopback", "listen: '[::1]:80'", true},
		{"all addresses", "listen: ':80'", false},
		{"a name", "listen: gateway.internal:80", false},
		{"all addresses with clients", "listen: ':80'" + clients, true},
		{"admin, clients do not count", "admin_listen: ':81'" + clients, false},
		{"admin with a key", "admin_listen: ':81'\nadmin_key: admin-0123456789abcdef", true},
		{"no admin", "admin_listen: off", true},
		{"ports that the system chooses", "listen: 127.0.0.1:0\nadmin_listen: 127.0.0.1:0", true},
	} {
		if _, err := ParseConfig([]byte(minimal+test.text), nil); (err == nil) != test.ok {
			t.Errorf("%s: error %v, want none: %v", test.name, err, test.ok)
		}
	}
}

func TestConfigErrorsNameTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "carrot.yaml")
	if _, err := OpenConfig(file, nil); err == nil || !strings.HasPrefix(err.Error(), "open config: open "+file) {
		t.Errorf("error %v, want one that names %s", err, file)
	}
	if err := os.WriteFile(file, []byte("listen: localhost\nproviders: [{name: p, kind: openai}]\nmodels: [{name: a, provider: q}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := OpenConfig(file, nil)
	want := file + `:1:9: listen: "localhost" is not an address: want HOST:PORT, such as 127.0.0.1:8080` + "\n" +
		file + `:3:30: models[0].provider: no provider "q": want p`
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestConfigBounds(t *testing.T) {
	f := func(name, text, want string) {
		t.Helper()
		_, err := ParseConfig([]byte(text), nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", name, err, want)
		}
	}
	f("long", "# "+strings.Repeat("x", maxConfigBytes), "longer than 256 KiB")
	f("many values", "a: ["+strings.Repeat("1,", maxConfigTokens)+"]", "more than 30000 keys and values")
	f("deep brackets", strings.Repeat("[", 20_000), "nested more than 32 deep")
	f("deep mappings", strings.Repeat("{a: ", 5_000), "nested more than 32 deep")
	f("deep lists", strings.Repeat("- ", 10_000)+"a", "a list begins beyond column 200")
	f("deep keys", strings.Repeat(" ", 300)+"a: b", "a key begins beyond column 200")
	f("long key", strings.Repeat("a", 1000)+": 1", "a key is longer than 128 bytes")
	f("not text", "listen: \xff", "not UTF-8")

	var models strings.Builder
	for i := range 500 {
		fmt.Fprintf(&models, "  - {name: m%d, provider: openai, context: 8192, abilities: [tools], price: {input: 1, output: 2}}\n", i)
	}
	mustParseConfig(t, "\ufeffproviders: [{name: openai, kind: openai}]\r\nmodels:\r\n"+models.String())
}

func TestNearest(t *testing.T) {
	models := []string{"gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18", "claude-3-5-haiku-20241022"}
	for _, test := range []struct {
		name, given string
		valid       []string
		want        string
	}{
		{"letter left out", "lsten", []string{"log", "listen"}, "listen"},
		{"letters swapped", "hgih", []string{"low", "high"}, "high"},
		{"letter too many", "toools", []string{"tools", "vision"}, "tools"},
		{"other case", "GPT-4O-2024-08-06", models, "gpt-4o-2024-08-06"},
		{"beginning", "gpt-4o-mini", models, "gpt-4o-mini-2024-07-18"},
		{"beginning of several: the closest in length", "gpt-4o", models, "gpt-4o-2024-08-06"},
		{"more behind it", "claude-3-5-haiku-20241022-v1", models, "claude-3-5-haiku-20241022"},
		{"of equals the first", "bat", []string{"cat", "rat"}, "cat"},
		{"nothing near", "mistral", models, ""},
		{"one letter is not near another", "a", []string{"b"}, ""},
		{"empty", "", models, ""},
		{"too long to look", strings.Repeat("gpt", 1000), models, ""},
		{"none valid", "a", nil, ""},
	} {
		if got := nearest(test.given, test.valid); got != test.want {
			t.Errorf("%s: nearest(%.30q) = %q, want %q", test.name, test.given, got, test.want)
		}
	}
}

// FuzzParseConfig holds that no file makes the parser panic, and that a
// configuration once read passes its own checks.
func FuzzParseConfig(f *testing.F) {
	example, err := os.ReadFile("testdata/config/carrot.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	f.Add([]byte(minimal))
	files, err := filepath.Glob("testdata/config/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, section := range archive.Files {
			f.Add(section.Data)
		}
	}
	env := environment("KEY=sk-0123456789abcdef", "EMPTY=")
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConfig(data, env)
		if (c == nil) != (err != nil) {
			t.Fatalf("config %v with error %v", c, err)
		}
		if err != nil {
			if strings.Contains(err.Error(), "0123456789abcdef") && !strings.Contains(string(data), "0123456789abcdef") {
				t.Errorf("shows a secret: %v", err)
			}
			return
		}
		p := new(problems)
		c.fillDefaults(p)
		c.check(p)
		if err := p.err(); err != nil {
			t.Errorf("refused when checked again: %v", err)
		}
	})
}

package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/carrot-router/carrot/internal/strictyaml"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// environment returns a lookup of variables that are given as NAME=VALUE.
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

func mustParse(t *testing.T, text string, env ...string) *File {
	t.Helper()
	c, err := ParseFile([]byte(text), environment(env...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Numbers with an exponent need no decimal point. In quotes they are text.
func TestExponents(t *testing.T) {
	c, err := ParseFile([]byte("providers: [{name: a, kind: openai}]\nmodels: [{name: m, provider: a, settings: {x: 1e-1, y: \"1e-1\", z: -2E3, max_tokens: 1e3}, price: {input: 5e-1, output: 1.5e+1}, context: 1e6}]"), func(string) (string, bool) { return "", false })
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

// The configurations in testdata/config are refused with the errors there.
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
				_, err := ParseFile(section.Data, env)
				if err == nil {
					t.Fatal("not refused")
				}
				message := err.Error() + "\n"
				if strings.Contains(message, "0123456789") || strings.Contains(message, "password@") {
					t.Errorf("the error shows a secret: %s", message)
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
	c, err := OpenFile("testdata/config/carrot.yaml", environment(
		"OPENAI_API_KEY=sk-openai", "ANTHROPIC_API_KEY=sk-1", "ANTHROPIC_API_KEY_2=sk-2", "SHOP_KEY=shop-0123456789abcdef"), nil)
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
	f("a provider's own timeout", c.Providers[2].Timeouts, TimeoutConfig{5 * time.Second, 20 * time.Second, 5 * time.Minute, time.Minute, 10 * time.Minute})
	f("settings", c.Models[1].Settings, map[string]any{"reasoning_effort": "high", "max_completion_tokens": uint64(4000)})
	f("a price", *c.Models[1].Price.CachedInput, 0.1)
	f("no abilities", *c.Models[3].Abilities, []string{})
	f("unknown abilities", c.Models[0].Abilities, (*[]string)(nil))
	f("no cache", c.Providers[2].CacheMinTokens, -1)
	f("a policy's own exploration", *c.Policies[2].Exploration, ExplorationConfig{Rate: 0.05, Seed: 7})
}

// Where a provider may be silent for long at first, it may be so later, unless the file
// says otherwise.
func TestTimeoutDefaults(t *testing.T) {
	for _, test := range []struct {
		top, own       string
		thinking, idle time.Duration // of the provider
	}{
		{"", "{first_token: 7m}", 7 * time.Minute, 7 * time.Minute},
		{"{first_token: 2m}", "", 5 * time.Minute, 2 * time.Minute},
		{"{idle: 20s}", "", 5 * time.Minute, 20 * time.Second},
		{"{idle: 20s}", "{first_token: 10s}", 5 * time.Minute, 20 * time.Second},
		{"{first_token: 7m}", "{thinking: 1m, idle: 30s}", time.Minute, 30 * time.Second},
	} {
		config := minimal
		if test.own != "" {
			config = strings.Replace(config, "kind: openai", "kind: openai, timeouts: "+test.own, 1)
		}
		if test.top != "" {
			config += "timeouts: " + test.top + "\n"
		}
		if got := mustParse(t, config).Providers[0].Timeouts; got.Thinking != test.thinking || got.Idle != test.idle {
			t.Errorf("timeouts %s, of the provider %s: thinking %v and idle %v, want %v and %v", test.top, test.own, got.Thinking, got.Idle, test.thinking, test.idle)
		}
	}
}

func TestConfigDefaults(t *testing.T) {
	c := mustParse(t, minimal)
	none, ten, thirty, one, three, earlier, budget := &ExplorationConfig{}, 10, 30, 1, 3, 200, 0.2
	want := &File{
		Listen:      "127.0.0.1:8080",
		AdminListen: "127.0.0.1:8081",
		Record:      RecordConfig{Content: "none", MaxMB: 100, Keep: &ten},
		Log:         LogConfig{Level: "info"},

		KeepDecisions: &thirty,
		Config: Config{
			Providers: []ProviderConfig{{
				Name: "openai", Kind: "openai", BaseURL: "https://api.openai.com/v1", CacheMinTokens: 1024,
				APIs:     []string{"chat", "responses", "embeddings"},
				Timeouts: TimeoutConfig{5 * time.Second, time.Minute, 5 * time.Minute, time.Minute, 10 * time.Minute},
			}},
			Models: []ModelConfig{{Name: "a", Provider: "openai", Upstream: "a", Adjust: AdjustConfig{OutputTokens: 1}}},
			Policies: []PolicyConfig{
				{Name: "auto", Objective: "balanced", Exploration: none},
				{Name: "balanced", Objective: "balanced", Exploration: none},
				{Name: "cheap", Objective: "cheap", Exploration: none},
				{Name: "quality", Objective: "quality", Exploration: none},
			},
			Translation: "lenient", RecordContent: "none",
			Text:     TextConfig{Earlier: &earlier},
			Sessions: SessionConfig{TTL: 5 * time.Minute, Entries: 50000, StoreMB: 16},
			Timeouts: TimeoutConfig{5 * time.Second, time.Minute, 5 * time.Minute, time.Minute, 10 * time.Minute},
			Retry:    RetryConfig{Retries: &one, Backoff: 250 * time.Millisecond, MaxWait: 2 * time.Second, Budget: &budget, Fallbacks: &three},
			Breaker:  BreakerConfig{Failures: 5, Open: 30 * time.Second},
			Limits: LimitConfig{BodyMB: 20, HeaderKB: 64, Requests: 1000, Connections: 2000, MemoryMB: 1024,
				ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, Shutdown: 30 * time.Second},
		},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

func TestConfigZeroIsNotDefault(t *testing.T) {
	c := mustParse(t, minimal+"record: {keep: 0}\nretry: {retries: 0, budget: 0, fallbacks: 0}\ntext: {earlier: 0}\n")
	if *c.Record.Keep != 0 || *c.Retry.Retries != 0 || *c.Retry.Budget != 0 || *c.Retry.Fallbacks != 0 || *c.Text.Earlier != 0 {
		t.Errorf("a 0 in the file was replaced by a default: %+v %+v %+v", c.Record, c.Retry, c.Text)
	}
}

func TestConfigProviderDefaults(t *testing.T) {
	for _, test := range []struct{ name, provider, want string }{
		{"openai", "kind: openai", "https://api.openai.com/v1  [chat responses embeddings]"},
		{"openai's address", "kind: openai, base_url: 'https://API.openai.com/v1/'", "https://API.openai.com/v1  [chat responses embeddings]"},
		{"compatible", "kind: openai, base_url: 'http://localhost:11434/v1'", "http://localhost:11434/v1  [chat embeddings]"},
		{"anthropic", "kind: anthropic", "https://api.anthropic.com/v1 2023-06-01 [messages]"},
		{"azure", "kind: azure, base_url: 'https://x.example', api_version: 2024-10-21", "https://x.example 2024-10-21 [chat responses embeddings]"},
		{"given", "kind: openai, apis: [responses]", "https://api.openai.com/v1  [responses]"},
	} {
		p := mustParse(t, "models: [{name: a, provider: p}]\nproviders: [{name: p, "+test.provider+"}]").Providers[0]
		if got := fmt.Sprint(p.BaseURL, " ", p.APIVersion, " ", p.APIs); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestConfigPolicies(t *testing.T) {
	c := mustParse(t, minimal+"exploration: {rate: 0.1}\npolicies: [{name: cheap, default: a}, {name: own}, {name: auto, objective: mu=0.5, exploration: {rate: 0}}]")
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
		{"inside text", "x-${A}-${B}-y", "x-a-b-y"},
		{"default not used", "${A:-other}", "a"},
		{"default", "${UNSET:-other}", "other"},
		{"default for an empty variable", "${EMPTY:-other}", "other"},
		{"empty default", "${UNSET:-}", ""},
		{"dollar", "pa$$word$$", "pa$word$"},
		{"not expanded again", "${DOLLAR}", "${A}"},
	} {
		c := mustParse(t, "models: [{name: a, provider: p}]\nproviders: [{name: p, kind: openai, api_key: '"+test.text+"'}]",
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
		c, err := OpenFile(file, environment("CLIENT_KEY="+key), nil)
		if err != nil {
			t.Errorf("%s: %v", way, err)
			continue
		}
		client := c.Clients[0]
		if client.KeySHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: hash %s, want %x", way, client.KeySHA256, sum)
		}
		if client.Key.Reveal() != "" || strings.Contains(fmt.Sprintf("%#v", client), key) {
			t.Errorf("%s: the configuration still contains the key", way)
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
		{"admin without a key, but with clients", "admin_listen: ':81'" + clients, false},
		{"admin with a key", "admin_listen: ':81'\nadmin_key: admin-0123456789abcdef", true},
		{"no admin", "admin_listen: off", true},
		{"ports that the system chooses", "listen: 127.0.0.1:0\nadmin_listen: 127.0.0.1:0", true},
	} {
		if _, err := ParseFile([]byte(minimal+test.text), nil); (err == nil) != test.ok {
			t.Errorf("%s: error %v, want valid %v", test.name, err, test.ok)
		}
	}
}

// Addresses and records change only at a restart. Until then, an address that other
// machines can reach needs keys, even if the new file has another address.
func TestFileRestart(t *testing.T) {
	const clients, key = "clients: [{name: shop, key: shop-key-0123456789}]\n", "admin_key: admin-key-0123456789\n"
	for _, test := range []struct{ name, bound, next, want, err string }{
		{"nothing changed", "", "", "", ""},
		{"addresses", "", "listen: 127.0.0.1:9999\nadmin_listen: off\n", "listen admin_listen", ""},
		{"the record", "record: {path: a}\n", "record: {path: b}\n", "record", ""},
		{"how long records are kept", "record: {path: a}\n", "record: {path: a, keep: 3}\n", "record", ""},
		{"no more clients", "listen: 0.0.0.0:9300\n" + clients, "", "", "list clients with keys"},
		{"no more admin key", "admin_listen: 0.0.0.0:9301\n" + key, "", "", "set admin_key"},
		{"other addresses with keys", "listen: 0.0.0.0:9300\nadmin_listen: 0.0.0.0:9301\n" + clients + key, clients + key, "listen admin_listen", ""},
	} {
		got, err := mustParse(t, minimal+test.next).Restart(mustParse(t, minimal+test.bound))
		if strings.Join(got, " ") != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %q, %v, want %q and %q", test.name, got, err, test.want, test.err)
		}
	}
}

// A reload that would open what is protected now is refused, unless the file says
// that it is meant: it may have been cut short.
func TestFileOpens(t *testing.T) {
	const clients, key = "clients: [{name: shop, key: shop-key-0123456789}]\n", "admin_key: admin-key-0123456789\n"
	for _, test := range []struct{ name, before, after, want string }{
		{"nothing was protected", "", "", ""},
		{"nothing changed", clients + key, clients + key, ""},
		{"another client", clients, "clients: [{name: other, key: other-key-0123456789}]\n", ""},
		{"the file is cut before its clients", clients, "", "clients: are gone"},
		{"the clients are meant to go", clients, "clients: []\n", ""},
		{"the admin key is gone", key, "", "admin_key: is gone"},
	} {
		err := mustParse(t, minimal+test.after).Opens(mustParse(t, minimal+test.before))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

// A configuration written in Go is checked like one in a file and has the same defaults,
// and it is not changed.
func TestConfigInGo(t *testing.T) {
	c := &Config{
		Providers: []ProviderConfig{{Name: "openai", Kind: "openai", APIKey: "sk-1"}},
		Models:    []ModelConfig{{Name: "a", Provider: "openai"}},
		Clients:   []ClientConfig{{Name: "shop", Key: "shop-key-0123456789"}},
		Retry:     RetryConfig{Retries: new(0)},
	}
	before := fmt.Sprintf("%+v", c)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if after := fmt.Sprintf("%+v", c); after != before || c.Clients[0].Key.Reveal() == "" {
		t.Errorf("Validate changed the configuration from\n%s\nto\n%s", before, after)
	}
	got := c.prepared(new(strictyaml.Problems), func(string) {})
	want := mustParse(t, `
providers: [{name: openai, kind: openai, api_key: sk-1}]
models: [{name: a, provider: openai}]
clients: [{name: shop, key: shop-key-0123456789}]
retry: {retries: 0}
`)
	if diff := cmp.Diff(&want.Config, got); diff != "" {
		t.Errorf("(-from the file +from Go):\n%s", diff)
	}

	for _, test := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"nothing", func(c *Config) { *c = Config{} }, "models: is missing"},
		{"no provider", func(c *Config) { c.Providers = nil }, "providers: is missing"},
		{"an unknown provider", func(c *Config) { c.Models[0].Provider = "opnai" }, `models[0].provider: no provider "opnai": did you mean "openai"?`},
		{"a client without a key", func(c *Config) { c.Clients[0].Key = "" }, "clients[0]: has no key"},
		{"two keys", func(c *Config) { c.Clients[0].KeySHA256 = "00" }, "want only one of key and key_sha256"},
		{"a bad label", func(c *Config) { c.Clients[0].Labels = map[string]string{"a b": "c"} }, `clients[0].labels["a b"]`},
		{"a negative timeout", func(c *Config) { c.Timeouts.Total = -1 }, "timeouts.total: -1ns: want more than 0"},
		{"a negative timeout of a provider", func(c *Config) { c.Providers[0].Timeouts.Total = -1 }, "providers[0].timeouts.total: -1ns: want more than 0"},
		{"a policy that explores too much", func(c *Config) {
			c.Policies = []PolicyConfig{{Name: "p", Exploration: &ExplorationConfig{Rate: 7}}}
		}, "policies[0].exploration.rate: 7 is not in [0,1]"},
		{"a bad objective", func(c *Config) { c.Policies = []PolicyConfig{{Name: "p", Objective: "mu=7"}} }, "policies[0].objective: "},
	} {
		bad := &Config{Providers: slices.Clone(c.Providers), Models: slices.Clone(c.Models), Clients: slices.Clone(c.Clients)}
		test.change(bad)
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: Validate = %v, want %q", test.name, err, test.want)
		}
		if _, err := New(bad, Source{}, Options{}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: New = %v, want %q", test.name, err, test.want)
		}
	}
	if _, err := New(nil, Source{}, Options{}); err == nil {
		t.Error("New without a configuration: no error")
	}
	if _, err := new(Gateway).Reload(nil, Source{}); err == nil {
		t.Error("Reload without a configuration: no error")
	}
	if _, err := New(c, Source{}, Options{}); err == nil || !strings.Contains(err.Error(), "Source.Router is missing") {
		t.Errorf("New without a router: %v", err)
	}
}

func TestConfigErrorsNameTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "carrot.yaml")
	if _, err := OpenFile(file, nil, nil); err == nil || !strings.HasPrefix(err.Error(), "open config: open "+file) {
		t.Errorf("error %v, want one that names %s", err, file)
	}
	if err := os.WriteFile(file, []byte("listen: localhost\nproviders: [{name: p, kind: openai}]\nmodels: [{name: a, provider: q}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := OpenFile(file, nil, nil)
	want := file + `:1:9: listen: "localhost" is not an address: want HOST:PORT, such as 127.0.0.1:8080` + "\n" +
		file + `:3:30: models[0].provider: no provider "q": want p`
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestManyModels(t *testing.T) {
	var models strings.Builder
	for i := range 500 {
		fmt.Fprintf(&models, "  - {name: m%d, provider: openai, context: 8192, abilities: [tools], price: {input: 1, output: 2}}\n", i)
	}
	mustParse(t, "\ufeffproviders: [{name: openai, kind: openai}]\r\nmodels:\r\n"+models.String())
}

// FuzzParseFile checks that no file makes the parser panic, and that a configuration that
// was read is valid.
func FuzzParseFile(f *testing.F) {
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
		c, err := ParseFile(data, env)
		if (c == nil) != (err != nil) {
			t.Fatalf("config %v with error %v", c, err)
		}
		if err != nil {
			if strings.Contains(err.Error(), "0123456789abcdef") && !strings.Contains(string(data), "0123456789abcdef") {
				t.Errorf("the error shows a secret: %v", err)
			}
			return
		}
		if err := c.Validate(); err != nil {
			t.Errorf("a valid configuration is refused when it is checked again: %v", err)
		}
	})
}

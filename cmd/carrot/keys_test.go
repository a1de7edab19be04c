package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carrot-router/carrot/internal/database/databasetest"
	"github.com/carrot-router/carrot/internal/keys"
	"github.com/carrot-router/carrot/internal/simulate"
)

// keysRig is a store with gateways, which are processes of their own.
type keysRig struct {
	*testing.T
	dsn, dir string
	upstream string
	gateways []*process
}

func newKeysRig(t *testing.T, dsn string) *keysRig {
	upstream := httptest.NewServer(&simulate.Provider{Models: []simulate.Model{{Name: "gpt-4o-2024-08-06", OutputTokens: 20}}})
	t.Cleanup(upstream.Close)
	return &keysRig{T: t, dsn: dsn, dir: t.TempDir(), upstream: upstream.URL}
}

// config writes a configuration and returns its path.
func (k *keysRig) config(name, more string) string {
	k.Helper()
	path := filepath.Join(k.dir, name+".yaml")
	text := fmt.Sprintf("admin_listen: 127.0.0.1:0\nstore: %q\njournal: %q\nproviders: [{name: sim, kind: openai, base_url: %q}]\nmodels: [{name: gpt-4o-2024-08-06, provider: sim}]\n%s",
		k.dsn, filepath.Join(k.dir, name+".journal"), k.upstream+"/v1", more)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		k.Fatal(err)
	}
	return path
}

// do runs carrot keys and returns what it prints.
func (k *keysRig) do(want int, args ...string) string {
	k.Helper()
	var out, errs bytes.Buffer
	args = append(append([]string{"keys"}, args...), "--store", k.dsn)
	if status := run(k.Context(), args, terminal{strings.NewReader(""), &out, &errs}); status != want {
		k.Fatalf("carrot %q: status %d, want %d: %s", args, status, want, &errs)
	}
	return out.String() + errs.String()
}

// key runs a command that makes a key, and returns the key.
func (k *keysRig) key(args ...string) string {
	k.Helper()
	var one keys.One
	// After the answer, a message may say that the store is new.
	if err := json.NewDecoder(strings.NewReader(k.do(0, append(args, "--json")...))).Decode(&one); err != nil || one.Key == "" || one.Schema != "carrot.key/1" {
		k.Fatalf("%+v, %v", one, err)
	}
	return one.Key
}

// ask sends a request to a gateway and returns the status and the answer.
func (k *keysRig) ask(s *process, key, model string, headers ...string) (int, string) {
	k.Helper()
	r, err := http.NewRequest("POST", s.url+"/v1/chat/completions", strings.NewReader(`{"model":"`+model+`","messages":[{"role":"user","content":"What is 17 * 23?"}]}`))
	if err != nil {
		k.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	return sent(k.T, r)
}

// sent sends a request.
func sent(t *testing.T, r *http.Request) (int, string) {
	t.Helper()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// until waits until requests with a key have a status at all gateways.
func (k *keysRig) until(what, key string, want int) {
	k.Helper()
	for _, s := range k.gateways {
		for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
			got, body := k.ask(s, key, "auto")
			if got == want {
				break
			}
			if time.Since(begun) > 10*time.Second { // for slow machines; it is about a second
				k.Fatalf("%s: status %d, want %d: %s", what, got, want, body)
			}
		}
	}
}

// TestServeKeys: running gateways follow what carrot keys and the admin API change.
func TestServeKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("takes several seconds")
	}
	databasetest.Each(t, func(t *testing.T, dsn string) {
		k := newKeysRig(t, dsn)
		k.gateways = append(k.gateways, startServing(t, k.config("first", "labels: {allowed: [feature]}\n")))
		if strings.HasPrefix(dsn, "postgres") { // a file is for one gateway
			k.gateways = append(k.gateways, startServing(t, k.config("second", "")))
		}
		k.until("without any key", "", 200)
		first := k.key("create", "search", "--policy", "cheap", "--label", "team=search")
		k.until("the first key", first, 200)
		k.until("no key, now that there is one", "", 401)
		gateway := k.gateways[0]
		if status, body := k.ask(gateway, first, "quality"); status != 403 {
			t.Errorf("another policy: status %d: %s", status, body)
		}
		if status, body := k.ask(gateway, first, "cheap", "X-Carrot-Labels: feature=help"); status != 200 {
			t.Errorf("a label: status %d: %s", status, body)
		}
		if status, body := k.ask(gateway, first, "cheap", "X-Carrot-Labels: team=other"); status != 400 {
			t.Errorf("a label that is not allowed: status %d: %s", status, body)
		}

		second := k.key("rotate", "search", "--grace", "3s")
		k.until("the new key", second, 200)
		k.until("the old key, after its end", first, 401)
		k.until("the new key, after that", second, 200)
		k.do(0, "update", "search", "--all-policies")
		k.do(0, "revoke", "search")
		k.until("a revoked client", second, 401)
		k.until("no key, although no key is valid", "", 401)

		// Limits of a client in the store are kept like those of one in the file.
		slow := k.key("create", "slow", "--requests-per-minute", "1")
		k.until("the second request in a minute", slow, 429)
		poor := k.key("create", "poor", "--budget", "0.000001/month")
		k.until("a client with a small budget", poor, 402)
		if _, body := k.ask(gateway, poor, "auto"); !strings.Contains(body, "keys-poor-month") {
			t.Errorf("the refusal does not name the budget: %s", body)
		}
		k.do(0, "revoke", "slow")
		k.do(0, "update", "poor", "--no-budgets")
		k.until("a client without its budget", poor, 200)
		k.do(0, "revoke", "poor")
		k.until("the last client", poor, 401)

		// The admin API of one process, which takes effect there at once.
		r, err := http.NewRequest("POST", gateway.admin+"/keys", strings.NewReader(`{"name":"shop","policies":["quality"]}`))
		if err != nil {
			t.Fatal(err)
		}
		status, body := sent(t, r)
		var one keys.One
		if err := json.Unmarshal([]byte(body), &one); err != nil || status != 201 {
			t.Fatalf("create: status %d: %s", status, body)
		}
		if status, body := k.ask(gateway, one.Key, "auto"); status != 200 {
			t.Errorf("right after its answer: status %d: %s", status, body)
		}
		k.until("in all processes", one.Key, 200)
		for _, test := range []struct {
			method, path, body string
			status             int
			want               string
		}{
			{"POST", "/keys", `{"name":"other","policies":["qualty"]}`, 400, `did you mean \"quality\"?`},
			{"POST", "/keys", `{"name":"shop"}`, 409, "there is a client"},
			{"GET", "/openapi.yaml", "", 200, "openapi: 3.1.0"},
			{"GET", "/audit?limit=1", "", 200, `"who":"admin-api 127.0.0.1:`},
			{"GET", "/metrics", "", 200, "\ncarrot_keys 1\n"},
			{"GET", "/metrics", "", 200, "\ncarrot_keys_age_seconds "},
			{"DELETE", "/keys/shop", "", 200, `"state":"revoked"`},
		} {
			r, err := http.NewRequest(test.method, gateway.admin+test.path, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			if status, body := sent(t, r); status != test.status || !strings.Contains(body, test.want) {
				t.Errorf("%s %s: status %d, want %d with %q: %s", test.method, test.path, status, test.status, test.want, body)
			}
		}
		if status, body := k.ask(gateway, one.Key, "auto"); status != 401 {
			t.Errorf("revoked by the admin API: status %d: %s", status, body)
		}
		lost := k.key("create", "lost", "--policy", "gone")
		k.until("a client whose policies the configuration does not have", lost, 403)
		if _, body := k.ask(gateway, lost, "auto"); !strings.Contains(body, `may use no policy: it is limited to gone`) {
			t.Errorf("without a policy: %s", body)
		}
	})
}

// TestServeFileKeys: clients of the file and of the store are served side by side, and a name
// is in one of them.
func TestServeFileKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("takes several seconds")
	}
	k := newKeysRig(t, databasetest.SQLite(t))
	key := k.key("create", "shop")
	listed := "clients: [{name: research, key: research-key-0123456789, policies: [cheap], labels: {team: r}}]\n"
	config := k.config("a", listed)
	s := startServing(t, config)
	k.gateways = []*process{s}
	k.until("a client of the store", key, 200)
	k.until("a client of the file", "research-key-0123456789", 200)
	k.until("nobody", "", 401)
	if text := k.do(1, "create", "research"); !strings.Contains(text, "a running gateway has a client \"research\" in its configuration") {
		t.Errorf("create a client of the file: %s", text)
	}
	if text := k.do(0, "list", "--config", config); !strings.Contains(text, "research  in file") || !strings.Contains(text, "shop      valid    "+key[:16]) {
		t.Errorf("list: %s", text)
	}
	if text := k.do(0, "show", "research", "--config", config); !strings.Contains(text, "in the configuration") {
		t.Errorf("show: %s", text)
	}
	for _, method := range []string{"PATCH", "DELETE"} {
		r, err := http.NewRequest(method, s.admin+"/keys/research", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if status, body := sent(t, r); status != 409 || !strings.Contains(body, "change it there") {
			t.Errorf("%s: status %d: %s", method, status, body)
		}
	}
	// A reload with a name that the store has changes nothing.
	k.config("a", "clients: [{name: shop, key: another-key-0123456789}]\n")
	r, err := http.NewRequest("POST", s.admin+"/reload", nil)
	if err != nil {
		t.Fatal(err)
	}
	if status, body := sent(t, r); status != 422 || !strings.Contains(body, "both have shop") {
		t.Errorf("reload: status %d: %s", status, body)
	}
	k.until("a client of the file before", "research-key-0123456789", 200)
	k.until("the client of the store", key, 200)
	s.Process.Signal(os.Interrupt)
	s.Wait()
	var out, errs bytes.Buffer
	if status := run(t.Context(), []string{"serve", "--config", config, "--listen", "127.0.0.1:0"}, terminal{strings.NewReader(""), &out, &errs}); status != 1 || !strings.Contains(errs.String(), "both have shop") || !strings.Contains(errs.String(), "carrot keys revoke") {
		t.Errorf("start: status %d: %s", status, &errs)
	}
}

// TestServeKeysStoreAway: while PostgreSQL is away, the keys that are known work, and the log
// says so once. What has changed meanwhile takes effect when it is back.
func TestServeKeysStoreAway(t *testing.T) {
	direct := databasetest.Postgres(t)
	dsn, line := databasetest.Cuttable(t, direct)
	k := newKeysRig(t, dsn)
	config := k.config("a", "")
	k.dsn = direct // for carrot keys, which has another way to the store
	kept, revoked := k.key("create", "kept"), k.key("create", "revoked")
	s := startServing(t, config)
	k.gateways = []*process{s}
	wait := func(what, said string) {
		t.Helper()
		for until := time.Now().Add(30 * time.Second); !strings.Contains(s.log.String(), said); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(until) {
				t.Fatalf("%s: %s", what, s.log)
			}
		}
	}
	k.until("a key that is known", kept, 200)
	line.Cut()
	wait("the log says that the store is away", "keys that are known stay valid")
	k.do(0, "revoke", "revoked")
	late := k.key("create", "late")
	for _, c := range []struct {
		key  string
		want int
	}{{kept, 200}, {revoked, 200}, {late, 401}, {"", 401}} {
		if status, body := k.ask(s, c.key, "auto"); status != c.want {
			t.Errorf("while the store is away: status %d, want %d: %s", status, c.want, body)
		}
	}
	line.Mend()
	wait("the log says that the store is back", "keys are up to date")
	k.until("a key that was revoked meanwhile", revoked, 401)
	k.until("a key that was made meanwhile", late, 200)
	k.until("a key that was known", kept, 200)
	if n := strings.Count(s.log.String(), "keys that are known stay valid"); n != 1 {
		t.Errorf("said %d times: %s", n, s.log)
	}
}

// TestServePublicKeys: at an address that other machines can reach, every request needs a
// key, even before there is one.
func TestServePublicKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("takes several seconds")
	}
	k := newKeysRig(t, databasetest.SQLite(t))
	config := k.config("a", "")
	s := startServingAt(t, config, "0.0.0.0:0")
	s.url = strings.Replace(s.url, "[::]", "127.0.0.1", 1)
	s.url = strings.Replace(s.url, "0.0.0.0", "127.0.0.1", 1)
	k.gateways = []*process{s}
	k.until("without any client", "", 401)
	k.until("the first client", k.key("create", "shop"), 200)
	k.until("without a key", "", 401)
}

// TestKeysMistakes: what is probably a mistake is said, with what was probably meant.
func TestKeysMistakes(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		k := newKeysRig(t, dsn)
		k.do(0, "create", "search", "--budget", "100/month", "--soft-budget", "5/day")
		for _, c := range []struct {
			want string
			args []string
		}{
			{"did you mean search?", []string{"update", "serach", "--budget", "1/day"}},
			{"did you mean search?", []string{"revoke", "serach"}},
			{"did you mean search?", []string{"show", "serach"}},
			{"carrot keys list shows all", []string{"rotate", "shop"}},
		} {
			if got := k.do(1, c.args...); !strings.Contains(got, c.want) {
				t.Errorf("carrot keys %q: %s, want %q", c.args, got, c.want)
			}
		}
		for _, b := range []string{"0/month", "0.0000000000001/day", "-1/day", "nan/day"} {
			if got := k.do(2, "create", "shop", "--budget="+b); !strings.Contains(got, "want an amount in USD") {
				t.Errorf("--budget=%s: %s", b, got)
			}
		}
		var out, errs bytes.Buffer
		budgets := func() string {
			t.Helper()
			out.Reset()
			if status := run(t.Context(), []string{"budgets", "list", "--store", dsn}, terminal{strings.NewReader(""), &out, &errs}); status != 0 {
				t.Fatalf("status %d: %s", status, &errs)
			}
			return out.String()
		}
		// A budget can be seen before it is used, and its new amount before the next request.
		if got := strings.Fields(budgets()); !slices.Contains(got, "keys-search-month") || !slices.Contains(got, "keys-search-day-soft") || !slices.Contains(got, "100") {
			t.Errorf("budgets of a new client: %q", got)
		}
		k.do(0, "update", "search", "--budget", "200/month")
		if got := strings.Fields(budgets()); !slices.Contains(got, "200") || slices.Contains(got, "100") || slices.Contains(got, "keys-search-day-soft") {
			t.Errorf("budgets of a changed client: %q", got)
		}
		k.do(0, "revoke", "search")
		if got := budgets(); !strings.HasPrefix(got, "no client in the store has a budget") {
			t.Errorf("budgets of a revoked client: %s", got)
		}
	})
	// The same mistakes in a configuration are found before the start.
	k := newKeysRig(t, filepath.Join(t.TempDir(), "known.db"))
	k.do(0, "create", "search")
	k.do(0, "create", "shop")
	k.do(0, "revoke", "shop")
	for _, c := range []struct{ name, more, want string }{
		{"right", "budgets: [{client: search, usd: 1, per: month}, {client: shop, usd: 1, per: day}]\nclients: [{name: shop, key: shop-key-0123456789, rates: {requests_per_minute: 9}}]\n", "nothing wrong"},
		{"unknown", "budgets: [{client: serach, usd: 1, per: month}]\n", `no client "serach" is in the configuration or the store`},
		{"both", "clients: [{name: search, key: search-key-0123456789}]\n", "the configuration and the store both have search"},
	} {
		var out bytes.Buffer
		run(t.Context(), []string{"serve", "--check", "--config", k.config(c.name, c.more)}, terminal{strings.NewReader(""), &out, &out})
		if !strings.Contains(out.String(), c.want) {
			t.Errorf("carrot serve --check, %s: %s, want %q", c.name, &out, c.want)
		}
	}
	k = newKeysRig(t, filepath.Join(t.TempDir(), "new.db"))
	if got := k.do(0, "create", "search"); !strings.Contains(got, "new.db is a new store") {
		t.Errorf("a new store: %s", got)
	}
	if got := k.do(0, "create", "shop"); strings.Contains(got, "new store") {
		t.Errorf("a known store: %s", got)
	}
}

// TestKeysCommands: what carrot keys prints, and what it refuses.
func TestKeysCommands(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		k := newKeysRig(t, dsn)
		if text := k.do(0, "create", "search", "--policy", "support,cheap", "--label", "team=search", "--expires", "2100-01-01", "--requests-per-minute", "60", "--budget", "100/month@Europe/Berlin", "--soft-budget", "5/day"); !strings.HasPrefix(text, "sk-carrot-") || !strings.Contains(text, "It is not shown again.") {
			t.Errorf("create: %s", text)
		}
		if text := k.do(0, "list"); !strings.Contains(text, "  support, cheap  60 requests/minute, $100/month@Europe/Berlin, $5/day (soft)  2100-01-01\n") {
			t.Errorf("list: %s", text)
		}
		k.do(0, "update", "search", "--requests-per-minute", "0", "--concurrent", "4", "--label", "tier=gold", "--remove-label", "team", "--no-budgets", "--no-expiry", "--policy", "cheap")
		if text := k.do(0, "show", "search"); !strings.Contains(text, "  policies  cheap\n  limits    4 at once\n  labels    tier=gold\n  expires   never\n") {
			t.Errorf("show: %s", text)
		}
		if text := k.do(0, "rotate", "search", "--grace", "7d"); strings.Count(text, "sk-carrot-") != 2 || !strings.Contains(text, " ends at 20") {
			t.Errorf("rotate: %s", text)
		}
		if text := k.do(0, "log"); !strings.Contains(text, "  rotate search  ") || !strings.Contains(text, `  update search  {"is":{"labels":{"tier":"gold"},"policies":["cheap"],"rates":{"concurrent_requests":4}},"was":{"budgets":`) || strings.Count(text, "\n") != 3 {
			t.Errorf("log: %s", text)
		}
		var changes keys.Changes
		if err := json.Unmarshal([]byte(k.do(0, "log", "search", "--limit", "1", "--json")), &changes); err != nil || len(changes.Changes) != 1 || changes.Changes[0].Who != administrator() || changes.Schema != "carrot.key-changes/1" {
			t.Errorf("%+v, %v", changes, err)
		}
		var all keys.Clients
		if err := json.Unmarshal([]byte(k.do(0, "list", "--json")), &all); err != nil || len(all.Clients) != 1 || len(all.Clients[0].Keys) != 2 || all.Schema != "carrot.keys/1" {
			t.Fatalf("%+v, %v", all, err)
		}
		if text := k.do(0, "revoke", all.Clients[0].Keys[0].Prefix+"…"); !strings.Contains(text, "is revoked; valid keys: "+all.Clients[0].Keys[1].Prefix) {
			t.Errorf("revoke a key: %s", text)
		}
		k.do(0, "revoke", "search")
		if text := k.do(0, "list"); !strings.Contains(text, "1 client revoked or expired") {
			t.Errorf("list: %s", text)
		}

		hash := sha256.Sum256([]byte("sk-their-own-key-0123456789"))
		export := filepath.Join(k.dir, "keys.json")
		text := `{"keys":[{"token":"` + hex.EncodeToString(hash[:]) + `","key_name":"sk-...6789","key_alias":"shop","max_budget":20,"budget_duration":"30d","rpm_limit":10},
			{"key_alias":"limited","token":"` + strings.Repeat("ab", 32) + `","models":["gpt-4o"],"max_budget":3},{"key_alias":"old","blocked":true}]}`
		if err := os.WriteFile(export, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if text := k.do(0, "import", export, "--dry-run"); !strings.Contains(text, "1 of 3 keys could be imported; nothing was changed") {
			t.Errorf("import: %s", text)
		}
		if text := k.do(0, "import", export); !strings.Contains(text, "shop: with its key sk-...6789\nlimited: left out: it is limited to the models gpt-4o") || !strings.Contains(text, "old: left out: it is blocked") {
			t.Errorf("import: %s", text)
		}
		if text := k.do(0, "import", export, "--policy", "cheap", "--budget", "3/month", "--new-keys"); !strings.Contains(text, "shop: left out: the name is taken") || !strings.Contains(text, "limited: new key sk-carrot-") || !strings.Contains(text, "not taken over: models gpt-4o") {
			t.Errorf("import: %s", text)
		}
		if text := k.do(0, "show", "limited"); !strings.Contains(text, "policies  cheap\n  limits    $3/month\n") {
			t.Errorf("show: %s", text)
		}
		if text := k.do(1, "import", export); !strings.Contains(text, "no key was imported") {
			t.Errorf("import again: %s", text)
		}

		for _, test := range []struct {
			status int
			args   []string
			want   string
		}{
			{2, []string{"create", "a b"}, "name:"},
			{2, []string{"create", "a", "--budget", "100"}, "--budget \"100\": want an amount"},
			{2, []string{"create", "a", "--soft-budget", "1/year"}, "--soft-budget"},
			{2, []string{"create", "a", "--expires", "soon"}, "--expires"},
			{2, []string{"create", "a", "--expires", "2020-01-01"}, "is past"},
			{2, []string{"create", "a", "--label", "x"}, "want NAME=VALUE"},
			{2, []string{"create", "a", "--requests-per-minute=-1"}, "requests_per_minute"},
			{2, []string{"rotate", "shop", "--grace", ""}, "--grace"},
			{2, []string{"rotate", "shop", "--grace", "9999d"}, "grace"},
			{2, []string{"update", "shop", "--no-budgets", "--budget", "1/day"}, "cannot be used together"},
			{2, []string{"log", "--limit=-1"}, "--limit"},
			{1, []string{"create", "shop"}, "the name is taken"},
			{1, []string{"create", "search"}, "which is revoked"},
			{1, []string{"show", "nobody"}, "hint: carrot keys list"},
			{1, []string{"rotate", "search"}, "is revoked"},
			{1, []string{"revoke", "sk-carrot-AAAAAA"}, "no such client, and no key"},
			{1, []string{"import", filepath.Join(k.dir, "none.json")}, "no such file"},
		} {
			if text := k.do(test.status, test.args...); !strings.Contains(text, test.want) {
				t.Errorf("%q: %s, want %q", test.args, text, test.want)
			}
		}
	})
	k := newKeysRig(t, filepath.Join(t.TempDir(), "none.db"))
	if text := k.do(1, "list"); !strings.Contains(text, "there is no store") || !strings.Contains(text, "hint: name the file after store:") {
		t.Errorf("without a store: %s", text)
	}
	config := k.config("a", "policies: [{name: support}]\nclients: [{name: research, key: research-key-0123456789}]\n")
	if text := k.do(0, "list", "--config", config); !strings.Contains(text, "research  in file") {
		t.Errorf("the clients of a configuration whose store is not made yet: %s", text)
	}
	if text := k.do(1, "create", "shop", "--config", config, "--policy", "suport"); !strings.Contains(text, `did you mean "support"?`) {
		t.Errorf("an unknown policy: %s", text)
	}
	if text := k.do(1, "create", "research", "--config", config); !strings.Contains(text, "the configuration has a client") {
		t.Errorf("a client of the file: %s", text)
	}
}

package dashboard_test

import (
	"html"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/database/databasetest"
	"github.com/carrot-router/carrot/internal/journal"
	"github.com/carrot-router/carrot/internal/keys"
	"github.com/carrot-router/carrot/internal/ledger"
	"github.com/carrot-router/carrot/record"
)

// hidden returns the value of a field of a page.
func (p page) hidden(t *testing.T, name string) string {
	t.Helper()
	m := regexp.MustCompile(`name="` + name + `"[^>]* value="([^"]*)"`).FindStringSubmatch(p.text)
	if m == nil {
		t.Fatalf("no field %s: %s", name, p.text)
	}
	return html.UnescapeString(m[1])
}

// wants checks that a page has texts, as people see them.
func (p page) wants(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(html.UnescapeString(p.text), text) {
			t.Errorf("the page does not have %q: %s", text, p.text)
		}
	}
}

// TestClients goes through the life of a client.
func TestClients(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		b := operate(t, dsn, "").browser()
		b.get("/ui/clients", 200).wants(t, "listed", "in the configuration", "Create a client")

		made := b.post("/ui/clients", 200, "name", "shop", "policy", "auto", "policy", "cheap", "first", "cheap", "labels", "team=a\r\nstage=test\r\n", "requests", " 60 ",
			"budgets", "100/month 5/day@Europe/Berlin", "soft", "20/week", "expires", "2100-01-01")
		key := newKey.FindString(made.text)
		if key == "" || made.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("the answer has the key %q, and %v: %s", key, made.Header, made.text)
		}
		end := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
		c, err := b.store.Client(t.Context(), "shop")
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(c.Policies, []string{"cheap", "auto"}) || c.Labels["team"] != "a" || c.Labels["stage"] != "test" || c.Rates.Requests != 60 || len(c.Budgets) != 3 || !c.Budgets[2].Soft || c.Expires == nil || !c.Expires.Equal(end) {
			t.Errorf("created %+v", c)
		}
		if list := b.get("/ui/clients", 200); strings.Contains(list.text, key) || !strings.Contains(list.text, c.Keys[0].Prefix) {
			t.Errorf("the list has the key, or not its prefix: %s", list.text)
		}

		one := b.get("/ui/clients/shop", 200)
		one.wants(t, "cheap, auto", "60 requests a minute", "stage=test, team=a", "2100-01-01", "dashboard 127.0.0.1", "create")
		changed := b.post("/ui/clients/shop", 303, "version", one.hidden(t, "version"), "policy", "auto", "budgets", "7/day", "expires", "2100-01-01")
		if to := changed.Header.Get("Location"); to != "/ui/clients/shop" {
			t.Errorf("goes on to %s", to)
		}
		if c, err = b.store.Client(t.Context(), "shop"); err != nil || c.Rates.Requests != 0 || len(c.Labels) != 0 || len(c.Budgets) != 1 || c.Budgets[0].USD != 7 || !c.Expires.Equal(end) {
			t.Errorf("changed to %+v (%v)", c, err)
		}
		b.get("/ui/clients/shop", 200).wants(t, `policies: ["cheap","auto"] → ["auto"]`, `rates: {"requests_per_minute":60} → nothing`)
		b.post("/ui/clients/shop", 400, "version", one.hidden(t, "version"), "budgets", "9/day").wants(t, "was changed by someone else", `value="9/day"`)

		newest := one.hidden(t, "newest")
		second := b.post("/ui/clients/shop/rotate", 200, "newest", newest, "grace", "2")
		second.wants(t, "The client shop has a new key.", newest)
		if made := newKey.FindString(second.text); made == "" || made == key {
			t.Errorf("the new key is %q", made)
		}
		again := b.post("/ui/clients/shop/rotate", 400, "newest", newest, "grace", "2") // as a reload of the page sends it
		again.wants(t, "got another key")
		if newKey.MatchString(again.text) {
			t.Error("a form that was sent twice makes two keys")
		}
		b.post("/ui/clients/shop/rotate", 400, "newest", again.hidden(t, "newest"), "grace", "9000").wants(t, "from 0 to 8784", `value="9000"`)

		b.get("/ui/clients/shop/revoke?prefix="+newest, 200).wants(t, "Its other keys stay")
		b.post("/ui/clients/shop/revoke", 303, "prefix", newest)
		b.post("/ui/clients/shop/revoke", 404, "prefix", "sk-carrot-AAAAAA")
		if c, err = b.store.Client(t.Context(), "shop"); err != nil || c.State != keys.Valid || c.Keys[0].State != keys.Revoked || c.Keys[1].State != keys.Valid {
			t.Errorf("one key was revoked: %+v (%v)", c, err)
		}
		b.post("/ui/clients/shop/revoke", 400, "confirm", "shopp").wants(t, "Type the client’s name")
		b.post("/ui/clients/shop/revoke", 303, "confirm", "shop")
		if c, err = b.store.Client(t.Context(), "shop"); err != nil || c.State != keys.Revoked {
			t.Errorf("not revoked: %+v (%v)", c, err)
		}
		gone := b.get("/ui/clients/shop", 200)
		gone.wants(t, "revoked")
		if strings.Contains(gone.text, "/rotate") || strings.Contains(gone.text, "Change it") {
			t.Error("a revoked client can be changed")
		}
		if list := b.get("/ui/clients", 200); strings.Contains(list.text, ">shop<") {
			t.Error("a revoked client is listed")
		}
		b.get("/ui/clients?ended=1", 200).wants(t, ">shop<")
		if n := b.changes.Load(); n != 5 {
			t.Errorf("%d changes were made known, want 5", n)
		}
		log, err := b.store.Log(t.Context(), keys.LogRange{})
		var actions []string
		for _, e := range log {
			if e.Who != "dashboard 127.0.0.1" {
				t.Errorf("%s by %q", e.Action, e.Who)
			}
			actions = append(actions, e.Action)
		}
		if want := []string{"revoke", "revoke-key", "rotate", "update", "create"}; err != nil || !slices.Equal(actions, want) {
			t.Errorf("the log of changes has %v, want %v (%v)", actions, want, err)
		}
	})
}

// TestClientRefused: what cannot be is said beside the form, which keeps what was typed.
func TestClientRefused(t *testing.T) {
	b := operate(t, databasetest.SQLite(t), "").browser()
	b.get("/ui/clients", 200)
	b.post("/ui/clients", 200, "name", "taken", "budgets", "5/day")
	for _, c := range []struct {
		name   string
		fields []string
		want   string
	}{
		{"no name", []string{"name", ""}, "Name: is missing."},
		{"bad name", []string{"name", "a b"}, "must not contain spaces"},
		{"key as name", []string{"name", "sk-carrot-x"}, "begins with sk-"},
		{"taken", []string{"name", "taken", "labels", "kept=yes"}, `there is a client "taken"`},
		{"in the configuration", []string{"name", "listed"}, `the configuration has a client "listed"`},
		{"unknown policy", []string{"name", "a", "policy", "chepa"}, `no policy "chepa"`},
		{"label without value", []string{"name", "a", "labels", "team"}, "want NAME=VALUE"},
		{"label twice", []string{"name", "a", "labels", "team=a\nteam=b"}, `"team" appears twice`},
		{"rate", []string{"name", "a", "requests", "many"}, "want a whole number"},
		{"negative rate", []string{"name", "a", "tokens", "-1"}, "Tokens a minute: -1: want a number"},
		{"budget", []string{"name", "a", "budgets", "5/year"}, `Budgets: "5/year": "year": want day, week or month.`},
		{"two budgets", []string{"name", "a", "budgets", "5/day,6/day"}, "another budget for a day"},
		{"soft budget", []string{"name", "a", "soft", "nothing"}, "want an amount in USD"},
		{"past", []string{"name", "a", "expires", "2020-01-01"}, "2020-01-01 is past"},
		{"no day", []string{"name", "a", "expires", "soon"}, "want a day"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := b.post("/ui/clients", 400, c.fields...)
			p.wants(t, c.want, `role="alert"`)
			for i := 0; i < len(c.fields); i += 2 {
				typed := `value="` + html.EscapeString(c.fields[i+1]) + `"`
				if c.fields[i] == "labels" {
					typed = ">" + c.fields[i+1] + "</textarea>"
				}
				if !strings.Contains(p.text, typed) {
					t.Errorf("what was typed is lost: no %s in %s", typed, p.text)
				}
			}
		})
	}
	b.get("/ui/clients/nobody", 404)
	b.get("/ui/clients/listed/revoke", 409)
	b.post("/ui/clients", 413, "name", strings.Repeat("a", 1<<20))
	b.post("/ui/clients/nobody", 404)
	b.post("/ui/clients/nobody/rotate", 404)
	b.post("/ui/clients/nobody/revoke", 404, "confirm", "nobody")
	b.post("/ui/clients/listed", 409, "version", b.get("/ui/clients/taken", 200).hidden(t, "version")).wants(t, "is in the configuration")
	b.post("/ui/clients/listed/rotate", 409, "grace", "1")
	b.post("/ui/clients/listed/revoke", 409, "confirm", "listed")
	if p := b.get("/ui/clients/listed", 200); strings.Contains(p.text, `method="post"`) {
		t.Error("a client of the configuration has forms")
	}
	b.csrf = "0123456789abcdef"
	b.post("/ui/clients", 400, "name", "b").wants(t, "The form is out of date")
	b.csrf = ""
	b.post("/ui/clients/taken/revoke", 400, "confirm", "taken")
	if all, err := b.store.List(t.Context()); err != nil || len(all) != 1 || all[0].State != keys.Valid || len(all[0].Keys) != 1 {
		t.Errorf("the store has %+v (%v)", all, err)
	}
	if n := b.changes.Load(); n != 1 {
		t.Errorf("%d changes were made known, want 1", n)
	}
}

// TestClientKept: a change keeps what the form does not have.
func TestClientKept(t *testing.T) {
	b := operate(t, databasetest.SQLite(t), "").browser()
	end := time.Now().Add(100 * time.Hour).UTC().Truncate(time.Second)
	made := keys.NewClient{Name: "shop", Settings: keys.Settings{Policies: []string{"auto"}, Expires: &end}}
	one, err := keys.ParseBudget("5/day")
	if err != nil {
		t.Fatal(err)
	}
	one.Pacing = 8
	made.Budgets = append(made.Budgets, one)
	if _, _, err := b.store.Create(t.Context(), "tester", made); err != nil {
		t.Fatal(err)
	}
	p := b.get("/ui/clients/shop", 200)
	b.post("/ui/clients/shop", 303, "version", p.hidden(t, "version"), "policy", "auto", "budgets", "6/day", "expires", p.hidden(t, "expires"))
	c, err := b.store.Client(t.Context(), "shop")
	if err != nil || c.Budgets[0].USD != 6 || c.Budgets[0].Pacing != 8 || !c.Expires.Equal(end) {
		t.Errorf("%+v (%v)", c, err)
	}
}

// TestClientsUse: those who spent most come first, also those that are no clients any more.
func TestClientsUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "carrot.db")
	l, err := ledger.Open(t.Context(), path, ledger.Options{Journal: journal.Options{Reserve: 1 << 20, Segment: 256 << 10}})
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range []record.Attempt{{Client: "small", Cost: carrot.Dollars(.001)}, {Client: "gone", Cost: carrot.Dollars(.5)}, {Client: "listed", Cost: carrot.Dollars(.25)}, {Client: "", Cost: carrot.Dollars(.1)}, {Client: "listed", CostUnknown: true}} {
		a.Time, a.RequestID, a.Number, a.Candidate, a.Outcome, a.Status = time.Now(), string(rune('a'+i)), 1, "m", record.Served, 200
		if err := l.Record(t.Context(), &a); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	b := operate(t, path, "").browser()
	for _, name := range []string{"small", `<b>"&'`} {
		if _, _, err := b.store.Create(t.Context(), "tester", keys.NewClient{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	p := b.get("/ui/clients", 200)
	last := 0
	for _, want := range []string{">gone<", "not a client any more", ">listed<", "$0.250", "29%", "1 call of unknown cost", "without a key", ">small<", "$0.00100", "&lt;b&gt;"} {
		at := strings.Index(p.text, want)
		if at < last {
			t.Errorf("%q is at %d, not after %d: %s", want, at, last, p.text)
		}
		last = at
	}
	if strings.Contains(p.text, "<b>") {
		t.Error("a name is not escaped")
	}
	b.get("/ui/clients/"+"%3Cb%3E%22&'", 200).wants(t, "It has sent nothing in this time.")
	b.get("/ui/clients/listed?period=7d", 200).wants(t, "$0.250", "Requests", "/ui/requests?client=listed", ">2<")
	b.get("/ui/clients?period=year", 400)
	if found := b.get("/ui/clients?q=SMA", 200); !strings.Contains(found.text, ">small<") || strings.Contains(found.text, ">listed<") {
		t.Error("the part of a name finds other clients")
	}
}

// TestClientsNoStore: without a store, those of the configuration are listed, and what they
// spend is unknown.
func TestClientsNoStore(t *testing.T) {
	b := operate(t, "", "").browser()
	p := b.get("/ui/clients", 200)
	p.wants(t, "listed", "unknown", "has no store")
	if strings.Contains(p.text, "Create a client") {
		t.Error("clients can be created without a store")
	}
	b.get("/ui/clients/listed", 200).wants(t, "unknown")
	b.get("/ui/try", 200)
	b.post("/ui/clients", http.StatusOK, "name", "a").wants(t, "The gateway has no store")
}

// TestClientsStoreAway: pages say that the store is away, and not where it is.
func TestClientsStoreAway(t *testing.T) {
	b := operate(t, databasetest.SQLite(t), "").browser()
	b.get("/ui/clients", 200)
	b.store.Close()
	for _, path := range []string{"/ui/clients", "/ui/clients/shop"} {
		p := b.get(path, 503)
		p.wants(t, "The store cannot be read")
		if strings.Contains(p.text, "sql") || strings.Contains(p.text, "carrot.db") {
			t.Errorf("the page shows more: %s", p.text)
		}
	}
	b.post("/ui/clients", 503, "name", "a")
}

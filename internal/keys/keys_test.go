package keys

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/database/databasetest"
)

// opened returns the store of a database.
func opened(t *testing.T, dsn string) *Store {
	t.Helper()
	s, err := Make(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// made creates a client and returns its key.
func made(t *testing.T, s *Store, name string, set Settings) string {
	t.Helper()
	_, key, err := s.Create(t.Context(), "tester", NewClient{Name: name, Settings: set})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// finds reports whose key it is, "" for nobody's.
func finds(t *testing.T, c *Cache, key string) string {
	t.Helper()
	client, err := c.Client(t.Context(), sha256.Sum256([]byte(key)))
	if err != nil {
		t.Fatal(err)
	}
	if client == nil {
		return ""
	}
	return client.Name
}

// TestLife: a client is created, found, changed, rotated and revoked, and the log has every
// change, but no key and no hash.
func TestLife(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		s := opened(t, dsn)
		now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
		s.now = func() time.Time { return now }
		cache, err := s.Watch(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer cache.Close()
		fresh := func() {
			t.Helper()
			if err := cache.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if cache.Required() {
			t.Error("an empty store requires keys")
		}
		ends := now.Add(90 * 24 * time.Hour)
		set := Settings{Labels: map[string]string{"team": "search"}, Policies: []string{"cheap", "support"}, Rates: gateway.RateConfig{Requests: 60, Concurrent: 4},
			Budgets: []gateway.BudgetConfig{{USD: 100, Per: "month", TimeZone: "Europe/Berlin"}}, Expires: &ends}
		client, first, err := s.Create(t.Context(), "tester", NewClient{Name: "search", Settings: set})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(first, "sk-carrot-") || len(first) < len("sk-carrot-")+26 || !strings.HasPrefix(first, client.Keys[0].Prefix) || len(client.Keys[0].Prefix) > 16 {
			t.Errorf("key %q, prefix %q", first, client.Keys[0].Prefix)
		}
		fresh()
		if !cache.Required() || finds(t, cache, first) != "search" || finds(t, cache, first+"x") != "" {
			t.Error("the key does not work")
		}
		found, _ := cache.Client(t.Context(), sha256.Sum256([]byte(first)))
		if l := found.Limits; found.Labels["team"] != "search" || !slices.Equal(l.Policies, set.Policies) || l.Rates != set.Rates || len(l.Budgets) != 1 || l.Budgets[0].Client != "search" || l.Budgets[0].USD != 100 || l.Budgets[0].Name != "keys-search-month" || l.Budgets[0].Check() != nil {
			t.Errorf("limits %+v, labels %v", l, found.Labels)
		}

		now = now.Add(time.Second)
		_, second, err := s.Rotate(t.Context(), "tester", "search", 24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		fresh()
		if finds(t, cache, first) != "search" || finds(t, cache, second) != "search" || cache.Keys() != 2 {
			t.Error("after the rotation, both keys must be valid")
		}
		now = now.Add(24*time.Hour - time.Second)
		if finds(t, cache, first) != "search" {
			t.Error("the old key ended too early")
		}
		now = now.Add(time.Second)
		if finds(t, cache, first) != "" || finds(t, cache, second) != "search" || cache.Keys() != 1 {
			t.Error("the old key has not ended, or the new one has")
		}
		if client, err = s.Client(t.Context(), "search"); err != nil || client.Keys[0].State != Expired || client.Keys[1].State != Valid {
			t.Errorf("%+v, %v", client, err)
		}

		if client, err = s.Update(t.Context(), "tester", "search", func(set *Settings) error {
			set.Rates.Requests, set.Labels["tier"] = 30, "gold"
			return nil
		}); err != nil || client.Rates.Requests != 30 || client.Labels["tier"] != "gold" || client.Rates.Concurrent != 4 {
			t.Errorf("%+v, %v", client, err)
		}
		fresh()
		if found, _ := cache.Client(t.Context(), sha256.Sum256([]byte(second))); found == nil || found.Limits.Rates.Requests != 30 {
			t.Errorf("after the update: %+v", found)
		}
		now = ends
		if finds(t, cache, second) != "" {
			t.Error("the key is valid after its client has expired")
		}
		if client, err = s.Client(t.Context(), "search"); err != nil || client.State != Expired || client.Keys[1].State != Expired {
			t.Errorf("%+v, %v", client, err)
		}
		if _, err = s.Update(t.Context(), "tester", "search", func(set *Settings) error { set.Expires = nil; return nil }); err != nil {
			t.Fatal(err)
		}
		fresh()
		if finds(t, cache, second) != "search" {
			t.Error("the key is not valid although its client has no end any more")
		}

		_, third, err := s.Rotate(t.Context(), "tester", "search", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{second[:16], second} { // its prefix, or all of it, which changes nothing any more
			if _, err := s.Revoke(t.Context(), "tester", text); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Revoke(t.Context(), "tester", second+"X"); !errors.Is(err, ErrUnknown) || strings.Contains(err.Error(), second) {
			t.Errorf("revoke a key that nobody has: %v", err)
		}
		fresh()
		if finds(t, cache, second) != "" || finds(t, cache, third) != "search" {
			t.Error("one key was to be revoked")
		}
		for range 2 { // the second time changes nothing
			if client, err = s.Revoke(t.Context(), "tester", "search"); err != nil || client.State != Revoked || client.Keys[2].State != Revoked {
				t.Errorf("%+v, %v", client, err)
			}
		}
		fresh()
		if finds(t, cache, third) != "" || cache.Keys() != 0 || !cache.Required() {
			t.Error("a key of a revoked client is valid, or none is needed")
		}
		if _, _, err := s.Rotate(t.Context(), "tester", "search", 0); !errors.Is(err, ErrEnded) {
			t.Errorf("rotate a revoked client: %v", err)
		}
		if _, _, err := s.Create(t.Context(), "tester", NewClient{Name: "search"}); !errors.Is(err, ErrTaken) {
			t.Errorf("create a client that is revoked: %v", err)
		}

		log, err := s.Log(t.Context(), LogRange{})
		if err != nil {
			t.Fatal(err)
		}
		var actions []string
		for _, e := range log {
			actions = append(actions, e.Action)
			if e.Who != "tester" || e.Subject != "search" {
				t.Errorf("%+v", e)
			}
		}
		if want := []string{"revoke", "revoke-key", "rotate", "update", "update", "rotate", "create"}; !slices.Equal(actions, want) {
			t.Errorf("logged %q, want %q", actions, want)
		}
		text, _ := json.Marshal(log)
		for _, key := range []string{first, second, third} {
			if strings.Contains(string(text), key) {
				t.Error("the log has a key")
			}
		}
		if !strings.Contains(string(text), `"is":{"labels":{"team":"search","tier":"gold"},"rates":{"concurrent_requests":4,"requests_per_minute":30}},"was":{"labels":{"team":"search"},"rates":{"concurrent_requests":4,"requests_per_minute":60}}`) {
			t.Errorf("logged %s", text)
		}
		if two, err := s.Log(t.Context(), LogRange{Limit: 2, Before: log[0].ID, Subject: "search"}); err != nil || len(two) != 2 || two[0].Action != "revoke-key" {
			t.Errorf("%+v, %v", two, err)
		}
	})
}

// TestNoKeysStored: the database holds neither a key nor most of one.
func TestNoKeysStored(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		s := opened(t, dsn)
		key := made(t, s, "search", Settings{})
		rows, err := s.db.QueryContext(t.Context(), "SELECT hash || ' ' || client || ' ' || prefix FROM keys UNION ALL SELECT name || labels FROM clients UNION ALL SELECT details FROM audit")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		n := 0
		for rows.Next() {
			var text string
			if err := rows.Scan(&text); err != nil {
				t.Fatal(err)
			}
			if n++; strings.Contains(text, key[:len(begin)+shown+1]) {
				t.Errorf("stored %q", text)
			}
		}
		if n != 3 {
			t.Errorf("%d rows", n)
		}
	})
}

// TestOtherProcess: what one process changes takes effect in another within two seconds, and
// what the store had last is in effect while it is away, which is said once.
func TestOtherProcess(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		here, there := opened(t, dsn), opened(t, dsn)
		var log syncBuffer
		cache, err := there.Watch(t.Context(), slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		defer cache.Close()
		within := func(what string, f func() bool) {
			t.Helper()
			for begun := time.Now(); !f(); time.Sleep(10 * time.Millisecond) {
				if time.Since(begun) > 10*time.Second { // for slow machines; it is about one second
					t.Fatalf("%s: not within 10 s", what)
				}
			}
		}
		key := made(t, here, "search", Settings{})
		within("created", func() bool { return cache.Required() && finds(t, cache, key) == "search" })
		if _, err := here.Revoke(t.Context(), "tester", "search"); err != nil {
			t.Fatal(err)
		}
		within("revoked", func() bool { return finds(t, cache, key) == "" })

		kept := made(t, here, "shop", Settings{})
		within("created", func() bool { return finds(t, cache, kept) == "shop" })
		run := func(statement string) {
			t.Helper()
			if _, err := here.db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		run("ALTER TABLE keys_version RENAME TO away")
		within("away", func() bool { return strings.Contains(log.String(), "cannot be read") && cache.Age() > 2*time.Second })
		if finds(t, cache, kept) != "shop" || !cache.Required() {
			t.Error("a key that was known does not work while the store is away")
		}
		run("ALTER TABLE away RENAME TO keys_version")
		within("back", func() bool { return strings.Contains(log.String(), "can be read again") && cache.Age() < 2*time.Second })
		if n := strings.Count(log.String(), "cannot be read"); n != 1 {
			t.Errorf("said %d times: %s", n, &log)
		}
		if _, err := here.Revoke(t.Context(), "tester", "shop"); err != nil {
			t.Fatal(err)
		}
		within("revoked", func() bool { return finds(t, cache, kept) == "" })
		if !cache.Required() {
			t.Error("no key is required, although there were clients")
		}
	})
}

// TestDamaged: a client whose settings cannot be read has no valid key, and does not keep
// others from being revoked.
func TestDamaged(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		s := opened(t, dsn)
		var log syncBuffer
		cache, err := s.Watch(t.Context(), slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		defer cache.Close()
		broken, sound := made(t, s, "broken", Settings{}), made(t, s, "sound", Settings{})
		if _, err := s.db.ExecContext(t.Context(), "UPDATE clients SET rates = '{\"requests_per_minute\":\"many\"}' WHERE name = 'broken'"); err != nil {
			t.Fatal(err)
		}
		other := made(t, s, "other", Settings{})
		if err := cache.Refresh(t.Context()); err != nil || finds(t, cache, broken) != "" || finds(t, cache, sound) != "sound" || finds(t, cache, other) != "other" {
			t.Errorf("%v: %q, %q, %q", err, finds(t, cache, broken), finds(t, cache, sound), finds(t, cache, other))
		}
		if !strings.Contains(log.String(), "clients=[broken]") {
			t.Errorf("not said: %s", &log)
		}
	})
}

// syncBuffer is a buffer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestReserve: a name is in the configuration or in the store.
func TestReserve(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		s := opened(t, dsn)
		now := time.Now()
		s.now = func() time.Time { return now }
		key := made(t, s, "shop", Settings{})
		if err := s.Reserve(t.Context(), []string{"research", "shop"}); !errors.Is(err, ErrTaken) || !strings.Contains(err.Error(), "both have shop") {
			t.Errorf("reserve the name of a client: %v", err)
		}
		if err := s.Reserve(t.Context(), []string{"research"}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Create(t.Context(), "tester", NewClient{Name: "research"}); !errors.Is(err, ErrTaken) || !strings.Contains(err.Error(), "in its configuration") {
			t.Errorf("create a client of the configuration: %v", err)
		}
		now = now.Add(reserved) // the gateway has ended
		made(t, s, "research", Settings{})

		// A configuration that got past all this wins.
		cache, err := s.Watch(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer cache.Close()
		cache.mu.Lock()
		cache.named = []string{"shop"}
		cache.mu.Unlock()
		other := made(t, s, "other", Settings{})
		if err := cache.Refresh(t.Context()); err != nil || finds(t, cache, key) != "" || finds(t, cache, other) != "other" {
			t.Errorf("%v, %q, %q", err, finds(t, cache, key), finds(t, cache, other))
		}
		if err := cache.Reserve(t.Context(), []string{"listed"}); err != nil {
			t.Fatal(err)
		}
		if err := cache.Refresh(t.Context()); err != nil || finds(t, cache, key) != "shop" {
			t.Errorf("after the configuration has left it out: %v, %q", err, finds(t, cache, key))
		}
		if _, err := s.Revoke(t.Context(), "tester", "shop"); err != nil {
			t.Fatal(err)
		}
		if err := s.Reserve(t.Context(), []string{"shop"}); err != nil {
			t.Errorf("reserve the name of a revoked client: %v", err)
		}
	})
}

// TestAtOnce: of many processes that create the same client, one does, and the log has all
// changes that were made.
func TestAtOnce(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		s := opened(t, dsn)
		var wg sync.WaitGroup
		var mu sync.Mutex
		created := 0
		for i := range 6 {
			wg.Go(func() {
				_, _, err := s.Create(context.Background(), "tester", NewClient{Name: "search"})
				if err != nil && !errors.Is(err, ErrTaken) {
					t.Error(err)
				}
				mu.Lock()
				if err == nil {
					created++
				}
				mu.Unlock()
				if _, _, err := s.Create(context.Background(), "tester", NewClient{Name: "c" + string(rune('a'+i))}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		log, err := s.Log(t.Context(), LogRange{})
		if err != nil || created != 1 || len(log) != 7 {
			t.Errorf("created %d times, %d entries, %v", created, len(log), err)
		}
		if all, err := s.List(t.Context()); err != nil || len(all) != 7 || all[0].Name != "ca" || all[6].Name != "search" {
			t.Errorf("%+v, %v", all, err)
		}
	})
}

// TestRefusals: what is wrong is said, with its field, and changes nothing.
func TestRefusals(t *testing.T) {
	s := opened(t, databasetest.SQLite(t))
	far := time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		n    NewClient
		want string
	}{
		{NewClient{}, "name: is missing"},
		{NewClient{Name: "a b"}, "name: "},
		{NewClient{Name: "a\x00"}, "name: "},
		{NewClient{Name: "\xff"}, "name: "},
		{NewClient{Name: "sk-carrot-ABC"}, "begins with sk-"},
		{NewClient{Name: strings.Repeat("a", 200)}, "longer than 128"},
		{NewClient{Name: "a", Settings: Settings{Labels: map[string]string{"": "x"}}}, "labels: "},
		{NewClient{Name: "a", Settings: Settings{Labels: map[string]string{"a": "x\n"}}}, "labels.a: "},
		{NewClient{Name: "a", Settings: Settings{Policies: []string{"x", "x"}}}, "policies[1]: "},
		{NewClient{Name: "a", Settings: Settings{Rates: gateway.RateConfig{Tokens: -1}}}, "rates.tokens_per_minute: "},
		{NewClient{Name: "a", Settings: Settings{Budgets: []gateway.BudgetConfig{{USD: 0, Per: "day"}}}}, "budgets[0].usd: "},
		{NewClient{Name: "a", Settings: Settings{Budgets: []gateway.BudgetConfig{{USD: 1, Per: "year"}}}}, "budgets[0].per: "},
		{NewClient{Name: "a", Settings: Settings{Budgets: []gateway.BudgetConfig{{USD: 1, Per: "day", TimeZone: "Mars"}}}}, "budgets[0].time_zone: "},
		{NewClient{Name: "a", Settings: Settings{Budgets: []gateway.BudgetConfig{{USD: 1, Per: "day", Client: "b"}}}}, "budgets[0].client: "},
		{NewClient{Name: "a", Settings: Settings{Budgets: []gateway.BudgetConfig{{USD: 1, Per: "day", Label: "a=b"}}}}, "budgets[0].label: "},
		{NewClient{Name: "a", Settings: Settings{Budgets: []gateway.BudgetConfig{{USD: 1, Per: "day", Name: "b"}}}}, "budgets[0].name: "},
		{NewClient{Name: "a", Settings: Settings{Budgets: []gateway.BudgetConfig{{USD: 1, Per: "day", Pacing: -1}}}}, "budgets[0].pacing: "},
		{NewClient{Name: "a", Settings: Settings{Budgets: []gateway.BudgetConfig{{USD: 1, Per: "day"}, {USD: 2, Per: "day"}}}}, "budgets[1].per: "},
		{NewClient{Name: "a", Settings: Settings{Expires: &far}}, "expires: "},
	} {
		_, _, err := s.Create(t.Context(), "tester", test.n)
		if _, ok := errors.AsType[*Invalid](err); !ok || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q", test.n, err, test.want)
		}
	}
	if _, err := s.Update(t.Context(), "tester", "nobody", func(*Settings) error { return nil }); !errors.Is(err, ErrUnknown) {
		t.Errorf("update an unknown client: %v", err)
	}
	if _, err := s.Revoke(t.Context(), "tester", "sk-carrot-NOBODY"); !errors.Is(err, ErrUnknown) {
		t.Errorf("revoke an unknown key: %v", err)
	}
	if _, err := s.Revoke(t.Context(), "tester", ""); !errors.Is(err, ErrUnknown) {
		t.Errorf("revoke nothing: %v", err)
	}
	if _, _, err := s.Rotate(t.Context(), "tester", "nobody", -time.Second); err == nil {
		t.Error("rotate with a negative time")
	}
	hash := sha256.Sum256([]byte("taken"))
	for i, name := range []string{"a", "b"} {
		if _, key, err := s.Create(t.Context(), "tester", NewClient{Name: name, Hash: &hash, Prefix: "sk-...aken"}); (err == nil) != (i == 0) || key != "" {
			t.Errorf("%s with a key that is taken over: %q, %v", name, key, err)
		}
	}
	if log, err := s.Log(t.Context(), LogRange{}); err != nil || len(log) != 1 {
		t.Errorf("%+v, %v", log, err)
	}
}

// TestBudgetNames: no two budgets have the same name, and the gateway accepts all of them.
func TestBudgetNames(t *testing.T) {
	taken := map[string]string{}
	for _, client := range []string{"search", "a-b", "a+b", "a@b", "ü", "ä", strings.Repeat("a", 61), strings.Repeat("a", 62), strings.Repeat("ü", 60), "search-month"} {
		for _, b := range []gateway.BudgetConfig{{USD: 1, Per: "month"}, {USD: 1, Per: "month", Soft: true}, {USD: 1, Per: "day"}} {
			b.Name = budgetName(client, &b)
			if err := b.Check(); err != nil {
				t.Errorf("%s: %v", b.Name, err)
			}
			if taken[b.Name] != "" {
				t.Errorf("%s is a budget of %s and of %s", b.Name, taken[b.Name], client)
			}
			taken[b.Name] = client
		}
	}
}

// TestSameClient: a client that has not changed stays the same when others do, so that what
// was computed for it holds.
func TestSameClient(t *testing.T) {
	s := opened(t, databasetest.SQLite(t))
	hash := sha256.Sum256([]byte(made(t, s, "search", Settings{Labels: map[string]string{"a": "b"}, Budgets: []gateway.BudgetConfig{{USD: 1, Per: "day"}}})))
	cache, err := s.Watch(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	before, _ := cache.Client(t.Context(), hash)
	made(t, s, "shop", Settings{})
	if err := cache.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after, _ := cache.Client(t.Context(), hash); after != before || cache.Keys() != 2 {
		t.Error("the client is another one")
	}
	if _, err := s.Update(t.Context(), "tester", "search", func(set *Settings) error { set.Budgets[0].USD = 2; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := cache.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after, _ := cache.Client(t.Context(), hash); after == before || after.Limits.Budgets[0].USD != 2 {
		t.Error("the client has not changed")
	}
}

func BenchmarkClient(b *testing.B) {
	s, err := Make(b.Context(), databasetest.SQLite(b))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	_, key, err := s.Create(b.Context(), "tester", NewClient{Name: "search"})
	if err != nil {
		b.Fatal(err)
	}
	cache, err := s.Watch(b.Context(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer cache.Close()
	hash := sha256.Sum256([]byte(key))
	b.ReportAllocs()
	for b.Loop() {
		if c, _ := cache.Client(b.Context(), hash); c == nil {
			b.Fatal("not found")
		}
	}
}

package adminapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/database/databasetest"
	"github.com/carrot-router/carrot/internal/keys"
)

// served serves a store whose configuration has the client "listed" and the policy "cheap".
func served(t testing.TB, dsn string) (*http.ServeMux, *keys.Store, *int) {
	t.Helper()
	store, err := keys.Make(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	changes := 0
	mux := http.NewServeMux()
	admin := &keys.Admin{Store: store, Changed: func(context.Context) { changes++ }, Config: func() *gateway.File {
		return &gateway.File{Config: gateway.Config{Clients: []gateway.ClientConfig{{Name: "listed"}}, Policies: []gateway.PolicyConfig{{Name: "cheap"}}}}
	}}
	for pattern, handler := range Handlers(admin, Options{}) {
		mux.Handle(pattern, handler)
	}
	return mux, store, &changes
}

// call sends a request and returns its status and its body.
func call(mux http.Handler, method, path, body string) (int, string) {
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w.Code, w.Body.String()
}

// TestAPI goes through the life of a client.
func TestAPI(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		mux, _, changes := served(t, dsn)
		prefix := ""
		for i, step := range []struct {
			method, path, body string
			status             int
			want               string
		}{
			{"GET", "/keys", "", 200, `{"schema":"carrot.keys/1","clients":[{"name":"listed","source":"file"`},
			{"GET", "/audit", "", 200, `{"schema":"carrot.key-changes/1","changes":[]}`},
			{"POST", "/keys", `{"name":"shop","labels":{"team":"a"},"policies":["cheap"],"rates":{"requests_per_minute":60},"budgets":[{"usd":100,"per":"month"}],"expires":"2100-01-01T00:00:00Z"}`, 201, `{"schema":"carrot.key/1","key":"sk-carrot-`},
			{"GET", "/keys/shop", "", 200, `"labels":{"team":"a"},"policies":["cheap"],"rates":{"requests_per_minute":60},"budgets":[{"name":"keys-shop-month","usd":100,"per":"month"}],"expires":"2100-01-01T00:00:00Z"`},
			{"GET", "/keys/listed", "", 200, `"source":"file"`},
			{"PATCH", "/keys/shop", `{"rates":null,"expires":null,"labels":{"team":"b"}}`, 200, `"labels":{"team":"b"},"policies":["cheap"],"rates":{},"budgets":[{"name":"keys-shop-month","usd":100,"per":"month"}],"expires":null`},
			{"PATCH", "/keys/shop", `{"budgets":[{"name":"keys-shop-month","usd":100,"per":"month"}]}`, 200, `"budgets":[{"name":"keys-shop-month","usd":100,"per":"month"}]`},
			{"PATCH", "/keys/shop", `{"budgets":[{"name":"other","usd":100,"per":"month"}]}`, 400, `"field":"budgets[0].name"`},
			{"PATCH", "/keys/shop", ``, 200, `"labels":{"team":"b"}`},
			{"PATCH", "/keys/shop", `{"policies":["unknown"]}`, 400, `"field":"policies"`},
			{"POST", "/keys/shop/rotate", ``, 200, `"key":"sk-carrot-`},
			{"POST", "/keys/shop/rotate", `{"grace_seconds":0}`, 200, `"state":"expired"`},
			{"DELETE", "/keys/shop?prefix=PREFIX", ``, 200, `"name":"shop","source":"store","state":"valid"`},
			{"DELETE", "/keys/shop", ``, 200, `"state":"revoked"`},
			{"GET", "/audit?client=shop&limit=2", "", 200, `"action":"revoke","subject":"shop"`},
			{"GET", "/audit?client=nobody", "", 200, `"changes":[]`},

			{"GET", "/keys/nobody", "", 404, `{"error":{"message":"no such client: \"nobody\""}}`},
			{"POST", "/keys", `{"name":"shop"}`, 409, "revoked"},
			{"POST", "/keys", `{"name":"listed"}`, 409, "the configuration has a client"},
			{"POST", "/keys", `{"name":"a","policies":["unknown"]}`, 400, `"field":"policies"`},
			{"POST", "/keys", ``, 400, `"field":"name"`},
			{"POST", "/keys", `{"name":7}`, 400, `"field":"name"`},
			{"POST", "/keys", `[]`, 400, `another type`},
			{"POST", "/keys", `{"name":"a","budgets":[{"usd":1e400,"per":"day"}]}`, 400, `"field":"budgets.usd"`},
			{"POST", "/keys", `{"name":"a","rates":{"requests_per_minute":"1"}}`, 400, `"field":"rates.requests_per_minute"`},
			{"POST", "/keys", "{\"name\":\"a\xff\"}", 400, `not UTF-8`},
			{"POST", "/keys", `{`, 400, `{"error":{"message":"the body is not what it must be`},
			{"POST", "/keys", `{"name":"a","expires":7}`, 400, `"field":"expires"`},
			{"POST", "/keys", `{"name":"a","expires":"soon"}`, 400, `"field":"expires"`},
			{"PATCH", "/keys/shop", `{"expires":"2027-13-01T00:00:00Z"}`, 400, `"field":"expires"`},
			{"POST", "/keys", `{"name":"a"} {}`, 400, `more than one object`},
			{"POST", "/keys", `{"name":"a","polices":[]}`, 400, `unknown field \"polices\"`},
			{"POST", "/keys", `{"name":"a","budgets":[{"usd":1,"per":"year"}]}`, 400, `"field":"budgets[0].per"`},
			{"POST", "/keys", `{"name":"` + strings.Repeat("a", maxBody) + `"}`, 413, "longer than 65536 bytes"},
			{"PATCH", "/keys/shop", `{}`, 409, "revoked"},
			{"PATCH", "/keys/listed", `{}`, 409, "change it there"},
			{"PATCH", "/keys/nobody", `{"rates":{"requests":1}}`, 400, "unknown field"},
			{"PATCH", "/keys/nobody", `{}`, 404, "no such client"},
			{"DELETE", "/keys/listed", ``, 409, "change it there"},
			{"DELETE", "/keys/shop?prefix=sk-carrot-AAAAAA", ``, 404, "has no key"},
			{"POST", "/keys/shop/rotate", `{"grace_seconds":-1}`, 400, `"field":"grace_seconds"`},
			{"POST", "/keys/shop/rotate", `{"grace_seconds":1e30}`, 400, `"field":"grace_seconds"`},
			{"POST", "/keys/shop/rotate", ``, 409, "revoked"},
			{"GET", "/audit?limit=0", "", 400, `"field":"limit"`},
			{"GET", "/audit?before=x", "", 400, `"field":"before"`},
			{"PUT", "/keys", "", 405, `"message":"PUT is not allowed here, only GET, POST"`},
			{"GET", "/openapi.yaml", "", 200, "openapi: 3.1.0"},
		} {
			status, body := call(mux, step.method, strings.Replace(step.path, "PREFIX", prefix, 1), step.body)
			if status != step.status || !strings.Contains(body, step.want) {
				t.Errorf("step %d, %s %s %.100s: status %d, want %d with %s: %s", i, step.method, step.path, step.body, status, step.status, step.want, body)
			}
			var one keys.One
			if json.Unmarshal([]byte(body), &one) == nil && one.Key != "" {
				prefix = one.Client.Keys[len(one.Client.Keys)-1].Prefix
			}
		}
		if *changes != 8 {
			t.Errorf("%d changes were made known", *changes)
		}
	})
}

// TestRefuseApart: whether the configuration allows a change is not asked while the store is
// being changed, because a reload of the configuration changes the store, too.
func TestRefuseApart(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		store, err := keys.Make(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		mux := http.NewServeMux()
		admin := &keys.Admin{Store: store, Config: func() *gateway.File {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if err := store.Reserve(ctx, []string{"listed"}); err != nil {
				t.Error(err)
			}
			return &gateway.File{Config: gateway.Config{Policies: []gateway.PolicyConfig{{Name: "cheap"}}}}
		}}
		for pattern, handler := range Handlers(admin, Options{}) {
			mux.Handle(pattern, handler)
		}
		if status, body := call(mux, "POST", "/keys", `{"name":"shop"}`); status != 201 {
			t.Fatal(status, body)
		}
		if status, body := call(mux, "PATCH", "/keys/shop", `{"policies":["cheap"]}`); status != 200 {
			t.Errorf("status %d: %s", status, body)
		}
	})
}

// TestStoreAway: an answer says that the store is away, and not where it is.
func TestStoreAway(t *testing.T) {
	mux, store, _ := served(t, databasetest.SQLite(t))
	store.Close()
	for _, path := range []string{"/keys", "/keys/shop", "/audit"} {
		if status, body := call(mux, "GET", path, ""); status != 503 || !strings.Contains(body, `{"error":{"message":"the store cannot be read`) {
			t.Errorf("%s: status %d: %s", path, status, body)
		}
	}
}

// document is what the test reads of openapi.yaml.
type document struct {
	Paths      map[string]map[string]any
	Components struct {
		Schemas map[string]struct {
			Properties map[string]any
			Required   []string
		}
	}
}

// TestDescription: openapi.yaml has every operation and every member, and no others.
func TestDescription(t *testing.T) {
	var d document
	if err := yaml.Unmarshal(description, &d); err != nil {
		t.Fatal(err)
	}
	var described, served []string
	for path, item := range d.Paths {
		for method := range item {
			if method != "parameters" {
				described = append(described, strings.ToUpper(method)+" "+path)
			}
		}
	}
	for _, r := range new(api).routes() {
		served = append(served, r.method+" "+r.path)
	}
	slices.Sort(described)
	slices.Sort(served)
	if !slices.Equal(described, served) {
		t.Errorf("openapi.yaml describes %q, and there are %q", described, served)
	}
	for name, of := range map[string]any{"Clients": keys.Clients{}, "Client": keys.One{}, "ClientState": keys.Client{}, "KeyState": keys.Key{}, "Changes": keys.Changes{}, "Change": keys.Entry{},
		"NewClient": newClient{}, "Patch": patch{}, "Rotation": rotation{}, "Failure": failure{}, "Rates": gateway.RateConfig{}} {
		schema, ok := d.Components.Schemas[name]
		if !ok {
			t.Errorf("openapi.yaml has no schema %s", name)
			continue
		}
		var members, always, properties []string
		for _, f := range reflect.VisibleFields(reflect.TypeOf(of)) {
			member, option, _ := strings.Cut(f.Tag.Get("json"), ",")
			if member == "" || f.Anonymous {
				continue
			}
			if members = append(members, member); option == "" {
				always = append(always, member)
			}
		}
		for p := range schema.Properties {
			properties = append(properties, p)
		}
		slices.Sort(members)
		slices.Sort(properties)
		if !slices.Equal(members, properties) {
			t.Errorf("schema %s has %q, and %T has %q", name, properties, of, members)
		}
		if slices.Contains([]string{"NewClient", "Patch", "Rotation"}, name) {
			continue // what may be left out of a request
		}
		slices.Sort(always)
		slices.Sort(schema.Required)
		if !slices.Equal(always, schema.Required) {
			t.Errorf("schema %s requires %q, and %T always has %q", name, schema.Required, of, always)
		}
	}
}

// FuzzBody: no body makes the API panic, and what it accepts is stored as it was checked.
func FuzzBody(f *testing.F) {
	mux, store, _ := served(f, databasetest.SQLite(f))
	if _, _, err := store.Create(f.Context(), "tester", keys.NewClient{Name: "shop"}); err != nil {
		f.Fatal(err)
	}
	for _, body := range []string{`{"labels":{"a":"b"},"policies":["cheap"],"rates":{"tokens_per_minute":1},"budgets":[{"usd":0.5,"per":"day","time_zone":"Europe/Berlin"}],"expires":"2100-01-01T00:00:00+02:00"}`, `{"policies":null}`, `{"expires":7}`, `null`, `{"budgets":[{}]}`} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		status, text := call(mux, "PATCH", "/keys/shop", body)
		if !json.Valid([]byte(text)) || status != 200 && status != 400 && status != 413 {
			t.Fatalf("status %d: %s", status, text)
		}
		if c, err := store.Update(t.Context(), "tester", "shop", func(*keys.Settings) error { return nil }); err != nil {
			t.Fatalf("stored %+v: %v", c, err)
		}
		_, _ = call(mux, "POST", "/keys/shop/rotate", body)
	})
}

func TestMain(m *testing.M) {
	time.Local = time.FixedZone("far", 13*3600) // answers are in UTC, wherever the gateway is
	m.Run()
}

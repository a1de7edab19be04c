package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/internal/database/databasetest"
	"github.com/carrot-router/carrot/internal/responses"
)

// sharing returns a gateway that shares with others who made a response.
func sharing(t *testing.T, config string, shared gateway.Responses) *rig {
	t.Helper()
	r := &rig{records: &records{}}
	g, err := gateway.New(parse(t, config, nil), source(), gateway.Options{Recorder: r.records, Responses: shared, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	r.serve(t, g)
	return r
}

// A response is continued by any gateway that shares the store, with the key that made it,
// wherever that is in its configuration.
func TestPreviousResponseOfAnotherGateway(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		a := &accounts{}
		count := 0
		provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			got := httptest.NewRecorder()
			a.ServeHTTP(got, q)
			count++ // every response has another id
			maps.Copy(w.Header(), got.Header())
			w.WriteHeader(got.Code)
			io.WriteString(w, regexp.MustCompile(`"resp_\d+"`).ReplaceAllString(got.Body.String(), fmt.Sprintf(`"resp_%d"`, count)))
		}))
		defer provider.Close()
		config := strings.ReplaceAll(accountsConfig("openai", "responses"), "$a", provider.URL) + "clients: [{name: a, key: key-of-client-a-00}, {name: b, key: key-of-client-b-00}]\n"
		const mine, yours = "Authorization: Bearer key-of-client-a-00", "Authorization: Bearer key-of-client-b-00"
		connect := func() *responses.Store {
			db, err := database.Make(t.Context(), dsn)
			if err != nil {
				t.Fatal(err)
			}
			s := responses.Open(db, slog.New(slog.NewTextHandler(t.Output(), nil)))
			t.Cleanup(func() {
				s.Close()
				db.Close()
			})
			return s
		}
		one := sharing(t, config, connect())
		two := sharing(t, strings.Replace(config, "key-one, key-two", "key-three, key-two, key-one", 1), connect())
		without := sharing(t, strings.Replace(config, "key-one, key-two", "key-three", 1), connect())
		other := sharing(t, strings.Replace(config, "gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18", 1), connect())

		next := func(r *rig, model, id string, headers ...string) answer {
			return r.post(t, "/v1/responses", `{"model":"`+model+`","input":"and?","previous_response_id":"`+id+`"}`, headers...)
		}
		for _, key := range []string{"key-one", "key-two"} { // they take turns
			id := gjson.Get(one.post(t, "/v1/responses", `{"model":"auto","input":"one"}`, mine).body, "id").Str
			learns := func(r *rig) {
				for until := time.Now().Add(10 * time.Second); next(r, "auto", id, mine).status != 200; {
					if time.Now().After(until) {
						t.Fatal("another gateway does not learn who made the response")
					}
				}
			}
			learns(two)
			if got := a.since(); got != key+" "+key {
				t.Errorf("called with %q, want %s twice", got, key)
			}
			for range 3 { // now it knows
				if got := next(two, "auto", id, mine); got.status != 200 {
					t.Errorf("status %d: %s", got.status, got.body)
				}
			}
			if got := next(two, "gpt-4o-2024-08-06", id, mine); got.status != 200 { // a client that names the model
				t.Errorf("status %d: %s", got.status, got.body)
			}
			if got := a.since(); got != strings.TrimSpace(strings.Repeat(key+" ", 4)) {
				t.Errorf("called with %q, want %s each time", got, key)
			}
			a.limit(map[string]string{key: "60"})
			if got := next(two, "auto", id, mine); got.status != 429 || a.since() != key {
				t.Errorf("another key was called: status %d: %s", got.status, got.body)
			}
			a.limit(nil)
			if got := next(two, "auto", id, yours); got.status != 400 || !strings.Contains(got.body, "unknown_previous_response") {
				t.Errorf("the response of another client: status %d: %s", got.status, got.body)
			}
			// A gateway that lacks the key knows the model at least, and one that lacks the
			// model knows nothing.
			learns(without)
			if got := a.since(); got != "key-three" {
				t.Errorf("without the key: called with %q", got)
			}
			if got := next(other, "auto", id, mine); got.status != 400 {
				t.Errorf("without the model: status %d: %s", got.status, got.body)
			}
		}
	})
}

// stuck is a memory of responses that does not answer.
type stuck struct{ asked, kept int }

func (s *stuck) Keep(string, string) { s.kept++ }

func (s *stuck) Find(ctx context.Context, _ string) (string, error) {
	s.asked++
	<-ctx.Done()
	return "", errors.Join(ctx.Err(), errors.New("the store is away"))
}

// If the memory that gateways share is away, a gateway continues what it has served
// itself, without asking, and does not wait long for the rest.
func TestResponsesAway(t *testing.T) {
	a := &accounts{}
	provider := httptest.NewServer(a)
	defer provider.Close()
	memory := &stuck{}
	r := sharing(t, strings.ReplaceAll(accountsConfig("openai", "responses"), "$a", provider.URL), memory)
	id := gjson.Get(r.post(t, "/v1/responses", `{"model":"auto","input":"one"}`).body, "id").Str
	if got := r.post(t, "/v1/responses", `{"model":"auto","input":"and?","previous_response_id":"`+id+`"}`); got.status != 200 || memory.asked != 0 || memory.kept != 2 {
		t.Errorf("status %d, asked %d times, told %d times: %s", got.status, memory.asked, memory.kept, got.body)
	}
	if got := r.post(t, "/v1/responses", `{"model":"auto","input":"and?","previous_response_id":"resp_other"}`); got.status != 400 || memory.asked != 1 || !strings.Contains(got.body, "unknown_previous_response") {
		t.Errorf("status %d, asked %d times: %s", got.status, memory.asked, got.body)
	}
	if got := r.post(t, "/v1/chat/completions", `{"model":"auto","messages":[{"role":"user","content":"Hi"}]}`); memory.asked != 1 {
		t.Errorf("asked about a request that continues nothing: %s", got.body)
	}
}

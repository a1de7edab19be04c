package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/simulate"
	"github.com/carrot-router/carrot/internal/wire"
)

// batchAPIs are the APIs whose requests can be in a batch.
var batchAPIs = []wire.API{wire.Chat, wire.Responses, wire.Messages}

// batchBody is a request with a prompt.
func batchBody(api wire.API, prompt string) []byte {
	switch api {
	case wire.Responses:
		return fmt.Appendf(nil, `{"model":"m","input":%q}`, prompt)
	case wire.Messages:
		return fmt.Appendf(nil, "{\"model\": \"m\",\n\"max_tokens\": 50, \"messages\": [{\"role\":\"user\",\"content\":%q}]}", prompt)
	}
	return fmt.Appendf(nil, "{\"model\": \"m\",\n\"messages\": [{\"role\":\"user\",\"content\":%q}]}", prompt)
}

// batchItems are n requests. The prompt of request i is "i".
func batchItems(api wire.API, n int) []BatchItem {
	items := make([]BatchItem, n)
	for i := range items {
		items[i] = BatchItem{ID: fmt.Sprintf("q-%d_A", i), API: api, Body: batchBody(api, fmt.Sprint(i))}
	}
	return items
}

// answers returns what a simulated model answers to those requests.
func answers(_, prompt string) (simulate.Reply, bool) {
	if prompt == "3" {
		return simulate.Reply{Status: 400, Text: "not this one"}, true
	}
	return simulate.Reply{Text: "answer " + prompt, InputTokens: 10, OutputTokens: 7}, true
}

// batchText returns the text of an answer.
func batchText(api wire.API, body []byte) string {
	path := map[wire.API]string{wire.Chat: "choices.0.message.content", wire.Responses: "output.0.content.0.text", wire.Messages: "content.0.text"}[api]
	return gjson.GetBytes(body, path).Str
}

// batchProvider serves a simulated provider and returns it with a client.
func batchProvider(t *testing.T, api wire.API, how simulate.Batching) (*simulate.Provider, *Upstream) {
	t.Helper()
	p := &simulate.Provider{Models: []simulate.Model{{Name: "m", Price: carrot.Price{Input: 1_000_000, Output: 2_000_000}}}, Keys: []string{"one-key", "two-key"}, Answers: answers, Batching: how}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	u := &Upstream{Name: "simulated", Kind: OpenAI, BaseURL: server.URL + "/v1", Keys: []string{"one-key", "two-key"}, BatchRetry: Retry{Retries: 3, Backoff: time.Millisecond, MaxWait: 10 * time.Millisecond, Patient: true}}
	if api == wire.Messages {
		u.Kind = Anthropic
	}
	return p, u
}

// end polls a batch until it has ended.
func end(t *testing.T, u *Upstream, id string) BatchState {
	t.Helper()
	for range 1000 {
		state, err := u.Batch(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if state.Ended {
			return state
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("the batch does not end")
	return BatchState{}
}

// collect reads the results of a batch.
func collect(t *testing.T, u *Upstream, id string) (order []string, results map[string]BatchResult) {
	t.Helper()
	results = map[string]BatchResult{}
	if err := u.BatchResults(t.Context(), id, func(r BatchResult) error {
		if _, ok := results[r.ID]; ok {
			t.Errorf("result %s came twice", r.ID)
		}
		order, results[r.ID] = append(order, r.ID), r
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return order, results
}

func TestBatch(t *testing.T) {
	const n = 40
	const cost = carrot.USD(10*1_000_000+7*2_000_000) / 2 // of an answer, at half price
	for _, api := range batchAPIs {
		for _, row := range []struct {
			name string
			how  simulate.Batching
			// The least and the most results that are answered, and whether the rest has
			// expired or failed.
			least, most int
			expired     bool
		}{
			{"at once", simulate.Batching{}, n - 1, n - 1, false},
			{"after polls", simulate.Batching{Polls: 4}, n - 1, n - 1, false},
			{"after a while", simulate.Batching{After: 30 * time.Millisecond}, n - 1, n - 1, false},
			{"out of order, and some results twice", simulate.Batching{Shuffle: true, Duplicates: true}, n - 1, n - 1, false},
			{"broken downloads", simulate.Batching{Shuffle: true, CutResults: 2}, n - 1, n - 1, false},
			{"failures", simulate.Batching{Failing: 0.5}, n/4 - 1, 3 * n / 4, false},
			{"partly expired", simulate.Batching{Expiring: 0.5, Shuffle: true}, n/4 - 1, 3 * n / 4, true},
			{"expired", simulate.Batching{Expiring: 1}, 0, 0, true},
		} {
			t.Run(row.name+"/"+string(api), func(t *testing.T) {
				t.Parallel()
				p, u := batchProvider(t, api, row.how)
				id, err := u.SubmitBatch(t.Context(), "key of "+row.name, batchItems(api, n))
				if err != nil {
					t.Fatal(err)
				}
				polls := 0
				for state := (BatchState{}); !state.Ended; polls++ {
					if state, err = u.Batch(t.Context(), id); err != nil {
						t.Fatal(err)
					}
					if state.ID != id || state.Ended != (state.Status == "completed" || state.Status == "expired" || state.Status == "ended") {
						t.Errorf("state %+v", state)
					}
					time.Sleep(time.Millisecond)
				}
				if polls != row.how.Polls+1 && row.how.After == 0 || row.how.After > 0 && polls < 2 {
					t.Errorf("it took %d polls", polls)
				}
				order, results := collect(t, u, id)
				if len(results) != n {
					t.Errorf("%d results, want %d", len(results), n)
				}
				answered, failed := 0, 0
				for i := range n {
					want := fmt.Sprintf("q-%d_A", i)
					r, ok := results[want]
					e := u.ResultError(r)
					switch {
					case !ok:
						t.Errorf("no result %s", want)
					case r.Expired:
						if e == nil || e.Code != "batch_expired" || r.Status != 0 || !row.expired {
							t.Errorf("result %+v, error %v", r, e)
						}
					case r.Status == 200:
						answered++
						if text := batchText(api, r.Body); text != fmt.Sprint("answer ", i) || e != nil {
							t.Errorf("result %s: text %q, error %v", want, text, e)
						}
					case i == 3 && r.Status == 400:
						failed++
						if e.Kind != Invalid || e.Message != "not this one" || !e.Said {
							t.Errorf("error of result %s: %v", want, e)
						}
					default:
						failed++
						if row.how.Failing == 0 || r.Status != 500 || e.Kind != Server || e.Message == "" {
							t.Errorf("result %+v, error %v", r, e)
						}
					}
				}
				if answered < row.least || answered > row.most {
					t.Errorf("%d answers, want %d to %d", answered, row.least, row.most)
				}
				if slices.Equal(order[:3], []string{"q-0_A", "q-1_A", "q-2_A"}) && row.how.Shuffle {
					t.Errorf("the results are in the order of the requests: %v", order)
				}
				state, err := u.Batch(t.Context(), id)
				if err != nil || state.Done != answered || state.Failed != failed || state.Total != n {
					t.Errorf("state %+v, %v; want %d done and %d failed", state, err, answered, failed)
				}
				line := p.Bill().Lines[0]
				if line.Cost != cost*carrot.USD(answered) || line.Batch != answered || line.Calls != answered {
					t.Errorf("bill %+v, want %d calls at %d pico-dollars", line, answered, cost)
				}
			})
		}
	}
}

// A batch is only for the key that submitted it, which is the first one.
func TestBatchKey(t *testing.T) {
	for _, api := range batchAPIs {
		_, u := batchProvider(t, api, simulate.Batching{Polls: 1})
		id, err := u.SubmitBatch(t.Context(), "k", batchItems(api, 3))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // a call of a Caller would use the keys in turn
			if _, err := u.Batch(t.Context(), id); err != nil {
				t.Error(err)
			}
		}
		other := &Upstream{Name: "other", Kind: u.Kind, BaseURL: u.BaseURL, Keys: u.Keys[1:], BatchRetry: u.BatchRetry}
		_, err = other.Batch(t.Context(), id)
		if e, ok := errors.AsType[*Error](err); !ok || e.Status != 404 {
			t.Errorf("%s: another key: %v", api, err)
		}
		if _, found, err := other.FindBatch(t.Context(), "k", time.Now().Add(-time.Hour)); found || err != nil {
			t.Errorf("%s: another key: found %v, %v", api, found, err)
		}
	}
}

func TestCancelBatch(t *testing.T) {
	for _, api := range batchAPIs {
		t.Run(string(api), func(t *testing.T) {
			p, u := batchProvider(t, api, simulate.Batching{Polls: 3})
			id, err := u.SubmitBatch(t.Context(), "k", batchItems(api, 40))
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if state, err := u.Batch(t.Context(), id); err != nil || state.Ended {
					t.Fatal(state, err)
				}
			}
			if err := u.BatchResults(t.Context(), id, func(BatchResult) error { return nil }); err == nil || !strings.Contains(err.Error(), "has not ended") {
				t.Errorf("results of a batch that has not ended: %v", err)
			}
			if err := u.CancelBatch(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			state := end(t, u, id)
			_, results := collect(t, u, id)
			answered, rest := 0, 0
			for _, r := range results {
				if r.Expired {
					rest++
				} else if r.Status == 200 {
					answered++
				}
			}
			if answered < 10 || answered > 30 || answered+rest != 39 || state.Done != answered || p.Bill().Lines[0].Batch != answered {
				t.Errorf("%d answers, %d without one, state %+v, bill %+v", answered, rest, state, p.Bill())
			}
			if err := u.CancelBatch(t.Context(), id); err != nil {
				t.Errorf("cancelled again: %v", err)
			}
			if err := u.CancelBatch(t.Context(), "batch_x"); err == nil || !strings.Contains(err.Error(), "status 404") {
				t.Errorf("cancel an unknown batch: %v", err)
			}
		})
	}
}

// If the answer to a submission is lost, the batch is not submitted again, but found.
func TestLostBatch(t *testing.T) {
	for _, api := range batchAPIs {
		t.Run(string(api), func(t *testing.T) {
			since := time.Now()
			p, u := batchProvider(t, api, simulate.Batching{Polls: 2, LoseAnswers: 1, CutResults: 1, Shuffle: true})
			id, err := u.SubmitBatch(t.Context(), "lost", batchItems(api, 20))
			if !errors.Is(err, ErrBatchUnclear) || id != "" {
				t.Fatalf("got %q, %v", id, err)
			}
			others := map[string]string{}
			for _, key := range []string{"other 1", "other 2"} {
				if others[key], err = u.SubmitBatch(t.Context(), key, batchItems(api, 20)); err != nil {
					t.Fatal(err)
				}
			}
			found, ok, err := u.FindBatch(t.Context(), "lost", since)
			if api == wire.Messages {
				// Its batches show their custom_ids only when they have ended.
				if ok || !errors.Is(err, ErrBatchUnclear) {
					t.Fatalf("found %q, %v, %v", found, ok, err)
				}
				for _, other := range others {
					end(t, u, other)
				}
				if found, ok, err = u.FindBatch(t.Context(), "lost", since); ok || !errors.Is(err, ErrBatchUnclear) {
					t.Fatalf("found %q, %v, %v", found, ok, err)
				}
				// Nobody polls the lost batch, which ends all the same.
				for _, b := range listed(t, u) {
					end(t, u, b)
				}
				found, ok, err = u.FindBatch(t.Context(), "lost", since)
			}
			if err != nil || !ok || found == others["other 1"] || found == others["other 2"] {
				t.Fatalf("found %q, %v, %v, beside %v", found, ok, err, others)
			}
			end(t, u, found)
			if _, results := collect(t, u, found); len(results) != 20 {
				t.Errorf("%d results", len(results))
			}
			for key, want := range others {
				end(t, u, want)
				if got, ok, err := u.FindBatch(t.Context(), key, since); got != want || !ok || err != nil {
					t.Errorf("FindBatch(%q) = %q, %v, %v, want %q", key, got, ok, err, want)
				}
			}
			if got, ok, err := u.FindBatch(t.Context(), "never submitted", since); ok || err != nil {
				t.Errorf("a batch that was never submitted: %q, %v, %v", got, ok, err)
			}
			if p.Bill().Lines[0].Batch != 3*19 {
				t.Errorf("bill %+v, want three batches", p.Bill())
			}
		})
	}
}

// A provider that does not keep metadata keeps the name of the file.
func TestFindBatchWithoutMetadata(t *testing.T) {
	since := time.Now()
	p, u := batchProvider(t, wire.Chat, simulate.Batching{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "GET" || !strings.HasSuffix(r.URL.Path, "/batches") {
			p.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		p.ServeHTTP(answer, r)
		fmt.Fprint(w, strings.ReplaceAll(answer.Body.String(), `"metadata":{`, `"metadata":null,"kept":{`))
	}))
	defer server.Close()
	u.BaseURL = server.URL + "/v1"
	ids := map[string]string{}
	for _, key := range []string{"a", "b", "c"} {
		id, err := u.SubmitBatch(t.Context(), key, batchItems(wire.Chat, 1))
		if err != nil {
			t.Fatal(err)
		}
		ids[key] = id
	}
	for _, key := range []string{"a", "b", "c", "d"} {
		if id, found, err := u.FindBatch(t.Context(), key, since); id != ids[key] || found != (key != "d") || err != nil {
			t.Errorf("FindBatch(%q) = %q, %v, %v, want %q", key, id, found, err, ids[key])
		}
	}
}

// A batch that the provider lists only after a moment is found.
func TestFindBatchLater(t *testing.T) {
	for _, api := range []wire.API{wire.Chat, wire.Messages} {
		p, u := batchProvider(t, api, simulate.Batching{})
		var lists atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "GET" && strings.HasSuffix(r.URL.Path, "/batches") && lists.Add(1) == 1 {
				fmt.Fprint(w, `{"data":[],"has_more":false}`)
				return
			}
			p.ServeHTTP(w, r)
		}))
		defer server.Close()
		u.BaseURL = server.URL + "/v1"
		id, err := u.SubmitBatch(t.Context(), "k", batchItems(api, 1))
		if err != nil {
			t.Fatal(err)
		}
		if got, found, err := u.FindBatch(t.Context(), "k", time.Now()); got != id || !found || err != nil || lists.Load() != 2 {
			t.Errorf("%s: FindBatch = %q, %v, %v, want %q", api, got, found, err, id)
		}
	}
}

// listed lists the ids of all message batches.
func listed(t *testing.T, u *Upstream) (ids []string) {
	t.Helper()
	answer, err := u.batchCall(t.Context(), http.MethodGet, u.batchPath(""), nil, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range gjson.GetBytes(answer, "data.#.id").Array() {
		ids = append(ids, b.Str)
	}
	return ids
}

// A batch is found behind many others.
func TestFindBatchPages(t *testing.T) {
	for _, api := range []wire.API{wire.Chat, wire.Messages} {
		_, u := batchProvider(t, api, simulate.Batching{})
		ids := map[string]string{}
		for i := range 230 {
			key := fmt.Sprint("key ", i)
			id, err := u.SubmitBatch(t.Context(), key, batchItems(api, 1))
			if err != nil {
				t.Fatal(err)
			}
			ids[key] = id
		}
		for _, key := range []string{"key 229", "key 120", "key 0"} {
			if id, ok, err := u.FindBatch(t.Context(), key, time.Now().Add(-time.Minute)); id != ids[key] || !ok || err != nil {
				t.Errorf("%s: FindBatch(%q) = %q, %v, %v", api, key, id, ok, err)
			}
		}
		if id, ok, err := u.FindBatch(t.Context(), "key 230", time.Now().Add(-time.Minute)); ok || err != nil {
			t.Errorf("%s: found %q, %v", api, id, err)
		}
	}
}

// A submission is repeated only if the provider cannot have accepted it.
func TestSubmitBatchOnce(t *testing.T) {
	for _, api := range batchAPIs {
		for _, row := range []struct {
			name    string
			fails   func(w http.ResponseWriter) // the first submission
			calls   int32
			unclear bool
			want    ErrorKind // of the error; empty: none
		}{
			{"rate limited", func(w http.ResponseWriter) { w.WriteHeader(429) }, 2, false, ""},
			{"internal error", func(w http.ResponseWriter) { w.WriteHeader(500) }, 1, true, Server},
			{"overloaded", func(w http.ResponseWriter) { w.WriteHeader(529) }, 1, true, Server},
			{"connection lost", func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, 1, true, Network},
			{"refused", func(w http.ResponseWriter) { w.WriteHeader(400) }, 1, false, Invalid},
			{"bad key", func(w http.ResponseWriter) { w.WriteHeader(401) }, 1, false, KeyRefused},
			{"no id", func(w http.ResponseWriter) { fmt.Fprint(w, "{}") }, 1, true, ""},
		} {
			t.Run(row.name+"/"+string(api), func(t *testing.T) {
				p, u := batchProvider(t, api, simulate.Batching{})
				calls := atomic.Int32{}
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == "POST" && strings.HasSuffix(r.URL.Path, "/batches") && calls.Add(1) == 1 {
						var body json.RawMessage
						if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
							t.Error(err)
						}
						row.fails(w)
						return
					}
					p.ServeHTTP(w, r)
				}))
				defer server.Close()
				u.BaseURL = server.URL + "/v1"
				id, err := u.SubmitBatch(t.Context(), "k", batchItems(api, 2))
				if calls.Load() != row.calls || errors.Is(err, ErrBatchUnclear) != row.unclear || (id != "") != (err == nil) {
					t.Errorf("%d submissions, id %q, error %v", calls.Load(), id, err)
				}
				if e, ok := errors.AsType[*Error](err); ok != (row.want != "") || ok && e.Kind != row.want {
					t.Errorf("error %v, want %q", err, row.want)
				}
			})
		}
	}
}

func TestCheckBatch(t *testing.T) {
	chat := func(id string) BatchItem { return BatchItem{ID: id, API: wire.Chat, Body: []byte(`{"model":"m"}`)} }
	for _, row := range []struct {
		name  string
		kind  Kind
		key   string
		items []BatchItem
		want  string
	}{
		{"no key", OpenAI, "", []BatchItem{chat("a")}, "1 to 512 printable"},
		{"long key", OpenAI, strings.Repeat("k", 513), []BatchItem{chat("a")}, "1 to 512 printable"},
		{"control character in the key", OpenAI, "a\nb", []BatchItem{chat("a")}, "1 to 512 printable"},
		{"no requests", OpenAI, "k", nil, "no requests"},
		{"no ID", OpenAI, "k", []BatchItem{chat("")}, "1 to 47 of the characters"},
		{"long ID", OpenAI, "k", []BatchItem{chat(strings.Repeat("a", 48))}, "1 to 47 of the characters"},
		{"odd ID", OpenAI, "k", []BatchItem{chat("é")}, "1 to 47 of the characters"},
		{"an ID twice", OpenAI, "k", []BatchItem{chat("a"), chat("b"), chat("a")}, `request "a": the ID is not unique`},
		{"two models", OpenAI, "k", []BatchItem{chat("a"), {ID: "b", API: wire.Chat, Body: []byte(`{"model":"n"}`)}}, `request "b": the model is "n", but that of the first request is "m"`},
		{"two APIs", OpenAI, "k", []BatchItem{chat("a"), {ID: "b", API: wire.Responses, Body: []byte(`{"model":"m"}`)}}, "the API is responses, but that of the first request is chat"},
		{"another API", Anthropic, "k", []BatchItem{chat("a")}, "no requests of the API chat"},
		{"embeddings", OpenAI, "k", []BatchItem{{ID: "a", API: wire.Embeddings, Body: []byte(`{"model":"m"}`)}}, "no requests of the API embeddings"},
		{"not JSON", OpenAI, "k", []BatchItem{{ID: "a", API: wire.Chat, Body: []byte(`{"model":`)}}, "not a request in JSON"},
		{"streamed", OpenAI, "k", []BatchItem{{ID: "a", API: wire.Chat, Body: []byte(`{"model":"m","stream":true}`)}}, "leave out stream"},
		{"Azure", Azure, "k", []BatchItem{chat("a")}, "Azure are not supported"},
		{"too many", OpenAI, "k", make([]BatchItem, 50_001), "50001 requests, but at most 50000"},
		{"too many messages", Anthropic, "k", make([]BatchItem, 100_001), "100001 requests, but at most 100000"},
	} {
		u := &Upstream{Name: "up", Kind: row.kind, BaseURL: "http://127.0.0.1:1"}
		if _, err := u.SubmitBatch(t.Context(), row.key, row.items); err == nil || !strings.Contains(err.Error(), row.want) || errors.Is(err, ErrBatchUnclear) {
			t.Errorf("%s: error %v, want %q", row.name, err, row.want)
		}
	}
	// A body is shared, so that the test takes no memory.
	for _, kind := range []Kind{OpenAI, Anthropic} {
		big := []byte(`{"model":"m","messages":"` + strings.Repeat("x", 10_000_000) + `"}`)
		items := make([]BatchItem, map[Kind]int{OpenAI: 20, Anthropic: 26}[kind])
		for i := range items {
			items[i] = BatchItem{ID: fmt.Sprint(i), API: map[Kind]wire.API{OpenAI: wire.Chat, Anthropic: wire.Messages}[kind], Body: big}
		}
		u := &Upstream{Name: "up", Kind: kind}
		if err := u.checkBatch("k", items); err == nil || !strings.Contains(err.Error(), map[Kind]string{OpenAI: "more than 200 MB", Anthropic: "more than 256 MB"}[kind]) {
			t.Errorf("%s: error %v", kind, err)
		}
	}
}

// The bytes that a request takes beside its body are within the limit's bound.
func TestBatchOverhead(t *testing.T) {
	for _, api := range batchAPIs {
		_, u := batchProvider(t, api, simulate.Batching{})
		size := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			size = max(size, int(r.ContentLength))
			w.WriteHeader(400)
		}))
		defer server.Close()
		u.BaseURL = server.URL
		items := batchItems(api, 2000)
		body := 0
		for i := range items {
			items[i].ID = fmt.Sprintf("%0*d", MaxBatchID, i)
			body += len(items[i].Body)
		}
		if _, err := u.SubmitBatch(t.Context(), "k", items); err == nil {
			t.Error("no error")
		}
		if most := body + len(items)*u.BatchLimit().PerRequest; size > most || size < body {
			t.Errorf("%s: %d bytes were sent, want at most %d", api, size, most)
		}
	}
}

// The provider refuses a batch as a whole.
func TestRefusedBatch(t *testing.T) {
	_, u := batchProvider(t, wire.Chat, simulate.Batching{})
	items := batchItems(wire.Chat, 2)
	items[0].Body, items[1].Body = []byte(`[]`), []byte(`[]`)
	if _, err := u.SubmitBatch(t.Context(), "k", items); err == nil || !strings.Contains(err.Error(), "not a request") {
		t.Errorf("error %v", err)
	}
	// What carrot does not check, the provider finds.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"id":"b","object":"batch","status":"failed","output_file_id":null,"errors":{"object":"list","data":[{"code":"token_limit_exceeded","line":null,"message":"Enqueued token limit reached for one-key"}]}}`)
	}))
	defer server.Close()
	u.BaseURL = server.URL
	state, err := u.Batch(t.Context(), "b")
	if err != nil || !state.Ended || state.Status != "failed" || state.Reason != "Enqueued token limit reached for ***" {
		t.Errorf("state %+v, %v", state, err)
	}
	err = u.BatchResults(t.Context(), "b", func(BatchResult) error { t.Error("a result"); return nil })
	if err == nil || !strings.Contains(err.Error(), "Enqueued token limit reached for ***") {
		t.Errorf("results: %v", err)
	}
}

// An error of the function that takes the results ends the reading.
func TestBatchResultsStop(t *testing.T) {
	for _, api := range batchAPIs {
		_, u := batchProvider(t, api, simulate.Batching{})
		id, err := u.SubmitBatch(t.Context(), "k", batchItems(api, 10))
		if err != nil {
			t.Fatal(err)
		}
		end(t, u, id)
		n, full := 0, errors.New("the disk is full")
		if err := u.BatchResults(t.Context(), id, func(BatchResult) error {
			if n++; n == 3 {
				return full
			}
			return nil
		}); !errors.Is(err, full) || n != 3 {
			t.Errorf("%s: %d results, error %v", api, n, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := u.BatchResults(ctx, id, func(BatchResult) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: cancelled: %v", api, err)
		}
	}
}

// Results of another program's batch, and lines that are not results, are errors.
func TestBatchResultsOdd(t *testing.T) {
	mark := batchMark("k")
	good := `{"custom_id":"` + mark + `-a","response":{"status_code":200,"body":{"x":1}},"error":null}`
	for _, row := range []struct {
		name, file, want string
		ids              []string
	}{
		{"empty", "", "", nil},
		{"no line break at the end", good, "", []string{"a"}},
		{"a byte order mark, empty lines and carriage returns", "\ufeff" + good + "\r\n\r\n\n", "", []string{"a"}},
		{"not JSON", good + "\n{", "is not a result", []string{"a"}},
		{"another program's", `{"custom_id":"request-1","response":{"status_code":200,"body":{}}}`, "not one of carrot's", nil},
		{"two batches", good + "\n" + strings.ReplaceAll(good, mark, batchMark("l")), "not one of carrot's", []string{"a"}},
		{"neither", `{"custom_id":"` + mark + `-a"}`, "neither an answer nor an error", nil},
		{"an error without an answer", `{"custom_id":"` + mark + `-b","response":null,"error":{"code":"server_error","message":"no"}}`, "", []string{"b"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/content") {
					fmt.Fprint(w, row.file)
					return
				}
				fmt.Fprint(w, `{"id":"b","status":"completed","output_file_id":"f"}`)
			}))
			defer server.Close()
			u := &Upstream{Name: "up", Kind: OpenAI, BaseURL: server.URL, BatchRetry: Retry{Retries: 1, Backoff: time.Millisecond, MaxWait: time.Millisecond}}
			got := map[string]bool{}
			err := u.BatchResults(t.Context(), "b", func(r BatchResult) error { got[r.ID] = true; return nil })
			if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
				t.Errorf("error %v, want %q", err, row.want)
			}
			if diff := cmp.Diff(row.ids, slices.Sorted(maps.Keys(got))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzBatchLines(f *testing.F) {
	mark := batchMark("k")
	for _, seed := range []string{
		`{"id":"batch_req_1","custom_id":"` + mark + `-a","response":{"status_code":200,"request_id":"r","body":{"id":"x"}},"error":null}`,
		`{"id":"batch_req_1","custom_id":"` + mark + `-a","response":null,"error":{"code":"batch_expired","message":"late"}}`,
		`{"custom_id":"` + mark + `-a","response":{"status_code":400,"body":{"error":{"message":"no"}}}}`,
		`{"custom_id":"` + mark + `-a","result":{"type":"succeeded","message":{"id":"m"}}}`,
		`{"custom_id":"` + mark + `-a","result":{"type":"errored","error":{"type":"error","error":{"type":"overloaded_error","message":"busy"}}}}`,
		`{"custom_id":"` + mark + `-a","result":{"type":"expired"}}`,
		`{"custom_id":"short","result":{"type":"canceled"}}`,
		"\ufeff{}\n\n[", `{"custom_id":1}`, "",
	} {
		f.Add([]byte(seed + "\n" + seed))
	}
	u := &Upstream{Name: "up", Keys: []string{"secret-key"}}
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, read := range []func(*batchResults) func([]byte) error{
			func(b *batchResults) func([]byte) error { return b.file },
			func(b *batchResults) func([]byte) error { return b.messages },
		} {
			seen := map[string]bool{}
			b := &batchResults{seen: map[string]bool{}, each: func(r BatchResult) error {
				if r.ID == "" || seen[r.ID] || r.Expired != (r.Status == 0) || r.Status != 0 && (r.Status < 100 || r.Status > 599) {
					t.Errorf("result %+v", r)
				}
				seen[r.ID] = true
				if e := u.ResultError(r); (e == nil) != (r.Status == 200) {
					t.Errorf("result %+v has the error %v", r, e)
				}
				return nil
			}}
			err := eachLine(strings.NewReader(string(file)), read(b))
			if e, ok := errors.AsType[*Error](err); err != nil && (!ok || e.Message == "") {
				t.Errorf("error %v", err)
			}
		}
	})
}

// Calls have the provider's time limit; downloads may take longer, but not be silent.
func TestBatchTimeouts(t *testing.T) {
	mark := batchMark("k")
	line := func(i int) string {
		return fmt.Sprintf(`{"custom_id":"%s-%d","result":{"type":"succeeded","message":{}}}`+"\n", mark, i)
	}
	t.Parallel()
	const limit = 500 * time.Millisecond
	var downloads atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		flush := w.(http.Flusher).Flush
		switch {
		case strings.HasSuffix(r.URL.Path, "/slow"):
			<-r.Context().Done()
		case strings.HasSuffix(r.URL.Path, "/results") && downloads.Add(1) == 1: // it becomes silent in the middle of a line
			fmt.Fprint(w, line(0)+line(1)[:20])
			flush()
			<-r.Context().Done()
		case strings.HasSuffix(r.URL.Path, "/results"):
			for i := range 8 { // longer than the limit
				fmt.Fprint(w, line(i))
				flush()
				time.Sleep(limit / 5)
			}
		default:
			fmt.Fprint(w, `{"id":"b","processing_status":"ended","results_url":"x"}`)
		}
	}))
	defer server.Close()
	u := &Upstream{Name: "up", Kind: Anthropic, BaseURL: server.URL, Keys: []string{"secret-key"}, Timeouts: Timeouts{Total: limit / 10},
		BatchRetry: Retry{Retries: 1, Backoff: time.Millisecond, MaxWait: time.Millisecond, Patient: true}}
	_, err := u.Batch(t.Context(), "slow")
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Timeout || e.Tries != 2 || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
	u.Timeouts.Total = limit
	if _, results := collect(t, u, "b"); len(results) != 8 || downloads.Load() != 2 {
		t.Errorf("%d results of %d downloads", len(results), downloads.Load())
	}
	// The results of a batch that are no longer kept.
	gone := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"id":"b","processing_status":"ended","results_url":null}`)
	}))
	defer gone.Close()
	u.BaseURL = gone.URL
	if err := u.BatchResults(t.Context(), "b", func(BatchResult) error { return nil }); err == nil || !strings.Contains(err.Error(), "no longer keeps them") {
		t.Errorf("error %v", err)
	}
}

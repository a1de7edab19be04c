package simulate

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/wire"
)

// do makes a request without a network and returns the answer, which must have a status.
func do(t *testing.T, p *Provider, method, path, contentType, body string, status int) gjson.Result {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, "/v1/"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	p.ServeHTTP(w, r)
	if w.Code != status {
		t.Fatalf("%s %s: status %d: %s", method, path, w.Code, w.Body)
	}
	return gjson.Parse(w.Body.String())
}

func posted(t *testing.T, p *Provider, path, body string) gjson.Result {
	t.Helper()
	return do(t, p, "POST", path, "application/json", body, 200)
}

func fetched(t *testing.T, p *Provider, path string) gjson.Result {
	t.Helper()
	return do(t, p, "GET", path, "", "", 200)
}

// form returns a form with a file and its type.
func form(t *testing.T, fields map[string]string, file string) (contentType, body string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for name, value := range fields {
		if err := w.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	part, err := w.CreateFormFile("file", "requests.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(part, file)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), b.String()
}

// upload uploads the requests of a batch and returns the file's id.
func upload(t *testing.T, p *Provider, lines ...string) string {
	t.Helper()
	contentType, body := form(t, map[string]string{"purpose": "batch"}, strings.Join(lines, "\n"))
	return do(t, p, "POST", "files", contentType, body, 200).Get("id").Str
}

// create submits a batch and returns its id.
func create(t *testing.T, p *Provider, lines ...string) string {
	t.Helper()
	return posted(t, p, "batches", `{"input_file_id":"`+upload(t, p, lines...)+`","endpoint":"/v1/chat/completions","completion_window":"24h"}`).Get("id").Str
}

// chatLine is a request of a batch.
func chatLine(i int) string {
	return fmt.Sprintf(`{"custom_id":"c%d","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[{"role":"user","content":"%d"}]}}`, i, i)
}

func chatLines(n int) (lines []string) {
	for i := range n {
		lines = append(lines, chatLine(i))
	}
	return lines
}

// messageLines are requests of a message batch.
func messageLines(n int) string {
	var lines []string
	for i := range n {
		lines = append(lines, fmt.Sprintf(`{"custom_id":"c%d","params":{"model":"m","max_tokens":100,"messages":[{"role":"user","content":"%d"}]}}`, i, i))
	}
	return `{"requests":[` + strings.Join(lines, ",") + `]}`
}

// The states of a batch, one poll after the other, with the times that it has by then.
func TestBatchStates(t *testing.T) {
	for _, row := range []struct {
		name string
		how  Batching
		want []string
	}{
		{"at once", Batching{}, []string{"completed 4/4 +in_progress+finalizing+completed", "completed 4/4 +in_progress+finalizing+completed"}},
		{"four polls", Batching{Polls: 4}, []string{"in_progress 0/4 +in_progress", "in_progress 1/4 +in_progress", "in_progress 2/4 +in_progress", "in_progress 3/4 +in_progress", "completed 4/4 +in_progress+finalizing+completed"}},
		{"twenty polls", Batching{Polls: 20}, slices.Concat([]string{"validating 0/0 "}, slices.Repeat([]string{"in_progress"}, 17), []string{"finalizing 3/4 +in_progress+finalizing", "finalizing 3/4 +in_progress+finalizing", "completed 4/4 +in_progress+finalizing+completed"})},
		{"expired", Batching{Expiring: 1}, []string{"expired 0/4 +in_progress+finalizing+expired"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := one(Model{})
			p.Batching = row.how
			id := create(t, p, chatLines(4)...)
			for i, want := range row.want {
				b := fetched(t, p, "batches/"+id)
				got := fmt.Sprintf("%s %d/%d ", b.Get("status").Str, b.Get("request_counts.completed").Int(), b.Get("request_counts.total").Int())
				for _, at := range []string{"in_progress", "finalizing", "completed", "failed", "expired", "cancelled"} {
					if b.Get(at+"_at").Type == gjson.Number {
						got += "+" + at
					}
				}
				if !strings.HasPrefix(got, want) {
					t.Errorf("poll %d: %q, want %q", i+1, got, want)
				}
				if ended := strings.Contains(want, "+completed"); ended != (b.Get("output_file_id").Type == gjson.String) {
					t.Errorf("poll %d: output_file_id %s", i+1, b.Get("output_file_id").Raw)
				}
			}
		})
	}
}

// A batch that takes time, for both APIs.
func TestBatchTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := one(Model{FirstToken: time.Hour, Limit: Limit{RatePerMinute: 1}}) // which do not hold for batches
		p.Batching.After = 10 * time.Minute
		id := create(t, p, chatLines(10)...)
		message := posted(t, p, "messages/batches", messageLines(10)).Get("id").Str
		for minute := range 12 {
			state := fetched(t, p, "batches/"+id)
			if got, want := state.Get("request_counts.completed").Int(), int64(min(minute, 10)); got != want {
				t.Errorf("after %d minutes, %d requests are answered, want %d", minute, got, want)
			}
			b := fetched(t, p, "messages/batches/"+message)
			if ended := b.Get("processing_status").Str == "ended"; ended != (minute >= 10) || ended != (b.Get("request_counts.succeeded").Int() == 10) {
				t.Errorf("after %d minutes: %s", minute, b)
			}
			time.Sleep(time.Minute)
		}
	})
}

// A batch is billed at the price of the tier, or at half of the price, and flex too.
func TestTiers(t *testing.T) {
	full := carrot.Price{Input: 1001, CachedInput: 501, Output: 2003}
	with := full
	with.Tariff = &carrot.Tariff{Tiers: map[string]carrot.TierPrice{"batch": {Price: carrot.Price{Input: 7, Output: 11}}, "flex": {Factor: 0.25}}}
	usage := carrot.Usage{Input: 13, Output: 17}
	standard := bill(t, full, usage)
	half := carrot.USD((13*1001+1)/2 + (17*2003+1)/2) // input and output are rounded each, as every factor
	quarter := carrot.USD((13*1001+2)/4 + (17*2003+2)/4)
	p := &Provider{Models: []Model{{Name: "half", Price: full}, {Name: "tiers", Price: with}, {Name: "free"}},
		Answers: func(string, string) (Reply, bool) { return Reply{Text: "x", InputTokens: 13, OutputTokens: 17}, true }}
	for i, row := range []struct {
		model       string
		batch, flex carrot.USD
	}{{"half", half, half}, {"tiers", 13*7 + 17*11, quarter}, {"free", 0, 0}} {
		line := strings.Replace(chatLine(0), `"m"`, `"`+row.model+`"`, 1)
		fetched(t, p, "batches/"+create(t, p, line))
		l := p.Bill().Lines[i]
		if l.Cost != row.batch || l.Batch != 1 || l.Calls != 1 {
			t.Errorf("%s: a batch is billed as %+v, want %d", row.model, l, row.batch)
		}
		for path, body := range map[string]string{
			"chat/completions": `{"model":"MODEL","service_tier":"flex","messages":[{"role":"user","content":"x"}]}`,
			"responses":        `{"model":"MODEL","service_tier":"flex","input":"x"}`,
		} {
			before := p.Bill().Lines[i]
			if got := posted(t, p, path, strings.Replace(body, "MODEL", row.model, 1)); got.Get("service_tier").Str != "flex" {
				t.Errorf("answer %s", got)
			}
			if after := p.Bill().Lines[i]; after.Cost-before.Cost != row.flex || after.Flex != before.Flex+1 {
				t.Errorf("%s: flex is billed with %d, want %d", row.model, after.Cost-before.Cost, row.flex)
			}
		}
		for _, tier := range []string{"auto", "default", "priority"} {
			before := p.Bill().Lines[i].Cost
			got := posted(t, p, "responses", `{"model":"`+row.model+`","service_tier":"`+tier+`","input":"x"}`)
			if cost := p.Bill().Lines[i].Cost - before; got.Get("service_tier").Str != "default" || row.model != "free" && cost != standard {
				t.Errorf("%s, tier %s: cost %d, answer %s", row.model, tier, cost, got)
			}
		}
	}
	// The message of a batch names the tier.
	id := posted(t, p, "messages/batches", strings.Replace(messageLines(1), `"m"`, `"half"`, 1)).Get("id").Str
	fetched(t, p, "messages/batches/"+id)
	if got := fetched(t, p, "messages/batches/"+id+"/results"); got.Get("result.message.usage.service_tier").Str != "batch" {
		t.Errorf("result %s", got)
	}
}

func TestFlexUnavailable(t *testing.T) {
	p := one(Model{FlexUnavailable: 0.5})
	busy := 0
	for i := range 100 {
		body := fmt.Sprintf(`{"model":"m","service_tier":"flex","messages":[{"role":"user","content":"%d"}]}`, i)
		w := ask(p, wire.Chat, body)
		if w.Code == http.StatusTooManyRequests {
			if busy++; gjson.Get(w.Body.String(), "error.code").Str != "resource_unavailable" {
				t.Errorf("answer %s", w.Body)
			}
			w = ask(p, wire.Chat, body)
		}
		if w.Code != 200 {
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
		if w := ask(p, wire.Chat, strings.Replace(body, `"service_tier":"flex",`, "", 1)); w.Code != 200 {
			t.Errorf("without flex, status %d", w.Code)
		}
	}
	if l := p.Bill().Lines[0]; busy < 30 || busy > 70 || l.Failed != busy || l.Flex != 100 {
		t.Errorf("%d of 100 requests had no capacity, want about 50; bill %+v", busy, l)
	}
}

// What is wrong with a file shows in the state of the batch.
func TestInvalidBatches(t *testing.T) {
	for _, row := range []struct {
		name  string
		lines []string
		code  string
		line  int64
	}{
		{"not JSON", []string{chatLine(0), `{"custom_id":`}, "invalid_json_line", 2},
		{"no custom_id", []string{strings.Replace(chatLine(0), `"c0"`, `""`, 1)}, "missing_required_parameter", 1},
		{"a custom_id twice", []string{chatLine(0), "", chatLine(0)}, "duplicate_custom_id", 3},
		{"another method", []string{strings.Replace(chatLine(0), "POST", "GET", 1)}, "invalid_method", 1},
		{"another endpoint", []string{strings.Replace(chatLine(0), "/v1/chat/completions", "/v1/responses", 1)}, "mismatched_endpoint", 1},
		{"two models", []string{chatLine(0), strings.Replace(chatLine(1), `"m"`, `"n"`, 1)}, "mismatched_model", 2},
		{"a stream", []string{strings.Replace(chatLine(0), `"model"`, `"stream":true,"model"`, 1)}, "invalid_request", 1},
		{"no body", []string{`{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":[]}`}, "invalid_request", 1},
		{"nothing", []string{" "}, "empty_file", 1},
	} {
		p := one(Model{})
		id := create(t, p, row.lines...)
		b := fetched(t, p, "batches/"+id)
		if b.Get("status").Str != "failed" || b.Get("errors.data.0.code").Str != row.code || b.Get("errors.data.0.line").Int() != row.line || b.Get("errors.data.#").Int() != 1 {
			t.Errorf("%s: %s", row.name, b)
		}
		if p.Bill().Lines[0].Calls != 0 {
			t.Errorf("%s: it was billed", row.name)
		}
		do(t, p, "POST", "batches/"+id+"/cancel", "", "", 409)
	}
	// A request whose parameters are wrong fails alone.
	p := one(Model{})
	b := fetched(t, p, "batches/"+create(t, p, chatLine(0), strings.Replace(chatLine(1), `"messages"`, `"massages"`, 1)))
	if b.Get("status").Str != "completed" || b.Get("request_counts").Raw != `{"total":2,"completed":1,"failed":1}` {
		t.Errorf("batch %s", b)
	}
	line := fetched(t, p, "files/"+b.Get("error_file_id").Str+"/content")
	if line.Get("custom_id").Str != "c1" || line.Get("response.status_code").Int() != 400 || line.Get("response.body.error.code").Str != "missing_required_parameter" {
		t.Errorf("the error file has %s", line)
	}
}

// Requests about files and batches that are refused.
func TestStoreErrors(t *testing.T) {
	p := one(Model{})
	file := upload(t, p, chatLine(0))
	noPurpose, noPurposeBody := form(t, nil, "{}")
	odd, oddBody := form(t, map[string]string{"purpose": "fun"}, "{}")
	empty, emptyBody := form(t, map[string]string{"purpose": "batch"}, "")
	long := strings.Repeat("x", 513)
	batch := func(fields string) string { return `{"input_file_id":"` + file + `",` + fields + `}` }
	message := func(requests string) string { return `{"requests":[` + requests + `]}` }
	for _, row := range []struct {
		method, path, contentType, body string
		status                          int
		want                            string
	}{
		{"POST", "files", "application/json", "{}", 400, "multipart/form-data"},
		{"POST", "files", noPurpose, noPurposeBody, 400, "'purpose'"},
		{"POST", "files", odd, oddBody, 400, "'fun' is not one of"},
		{"POST", "files", empty, emptyBody, 400, "empty"},
		{"GET", "files/file-x", "", "", 404, "No such File object: file-x"},
		{"GET", "files/file-x/content", "", "", 404, "No such File object"},
		{"PUT", "files", "", "", 404, "Invalid URL"},
		{"PUT", "files/" + file, "", "", 404, "Invalid URL"},
		{"GET", "files?limit=0", "", "", 400, "limit"},
		{"POST", "batches", "", "[", 400, "could not parse"},
		{"POST", "batches", "", batch(`"completion_window":"24h"`), 400, "'endpoint'"},
		{"POST", "batches", "", batch(`"endpoint":"/v1/embeddings","completion_window":"24h"`), 400, "/v1/embeddings"},
		{"POST", "batches", "", batch(`"endpoint":"/v1/responses","completion_window":"1h"`), 400, "'1h'"},
		{"POST", "batches", "", batch(`"endpoint":"/v1/responses","completion_window":"24h","metadata":{"a":"` + long + `"}`), 400, "512"},
		{"POST", "batches", "", `{"input_file_id":"x","endpoint":"/v1/responses","completion_window":"24h"}`, 400, "'x' does not exist"},
		{"GET", "batches/b", "", "", 404, "No batch found with id 'b'"},
		{"GET", "batches?after=b", "", "", 400, "cursor"},
		{"GET", "batches?limit=101", "", "", 400, "limit"},
		{"DELETE", "batches/b", "", "", 404, "Invalid URL"},
		{"POST", "messages/batches", "", "{", 400, "not valid JSON"},
		{"POST", "messages/batches", "", message(""), 400, "at least 1 item"},
		{"POST", "messages/batches", "", message(`{"custom_id":"a b","params":{}}`), 400, "requests.0.custom_id: String should match pattern"},
		{"POST", "messages/batches", "", message(`{"custom_id":"` + long[:65] + `","params":{}}`), 400, "requests.0.custom_id"},
		{"POST", "messages/batches", "", message(`{"custom_id":"a","params":{}},{"custom_id":"a","params":{}}`), 400, "requests.1.custom_id: the id a is not unique"},
		{"POST", "messages/batches", "", message(`{"custom_id":"a"}`), 400, "requests.0.params"},
		{"GET", "messages/batches/b", "", "", 404, "No message batch found"},
		{"GET", "messages/batches?limit=1001", "", "", 400, "limit"},
	} {
		got := do(t, p, row.method, row.path, row.contentType, row.body, row.status)
		if !strings.Contains(got.Get("error.message").Str, row.want) {
			t.Errorf("%s %s %s: %s, want %q", row.method, row.path, row.body, got, row.want)
		}
	}
	p.Batching.Polls = 3
	id := posted(t, p, "messages/batches", messageLines(1)).Get("id").Str
	do(t, p, "GET", "messages/batches/"+id+"/results", "", "", 404)
	do(t, p, "DELETE", "messages/batches/"+id, "", "", 400)
}

func TestPage(t *testing.T) {
	all := []string{"a", "b", "c", "d", "e"} // oldest first
	for _, row := range []struct {
		after, before, limit string
		want                 string
		more, ok             bool
	}{
		{"", "", "", "edcba", false, true},
		{"", "", "2", "ed", true, true},
		{"d", "", "2", "cb", true, true},
		{"b", "", "2", "a", false, true},
		{"a", "", "2", "", false, true},
		{"", "c", "1", "d", true, true},
		{"", "c", "2", "ed", false, true},
		{"", "e", "2", "", false, true},
		{"x", "", "", "", false, false},
		{"", "x", "", "", false, false},
		{"", "", "0", "", false, false},
		{"", "", "4", "", false, false},
		{"", "", "two", "", false, false},
	} {
		most := 3
		if row.limit == "" {
			most = 20
		}
		got, more, ok := page(all, func(s string) string { return s }, listPart{row.after, row.before, row.limit, most})
		if strings.Join(got, "") != row.want || more != row.more || ok != row.ok {
			t.Errorf("page after %q, before %q, limit %q = %v, %v, %v", row.after, row.before, row.limit, got, more, ok)
		}
	}
}

// An equal provider gives equal results.
func TestBatchDeterministic(t *testing.T) {
	run := func() string {
		p := one(Model{})
		p.Batching = Batching{Shuffle: true, Duplicates: true, Failing: 0.2, Expiring: 0.2}
		b := fetched(t, p, "batches/"+create(t, p, chatLines(30)...))
		var ids []string
		for _, file := range []string{"output_file_id", "error_file_id"} {
			w := httptest.NewRecorder()
			p.ServeHTTP(w, httptest.NewRequest("GET", "/v1/files/"+b.Get(file).Str+"/content", nil))
			for line := range strings.Lines(w.Body.String()) {
				ids = append(ids, gjson.Get(line, "custom_id").Str+gjson.Get(line, "response.body.choices.0.message.content").Str)
			}
		}
		return strings.Join(ids, "\n")
	}
	if diff := cmp.Diff(run(), run()); diff != "" {
		t.Error(diff)
	}
}

// No request about files and batches makes the provider panic, except to cut a
// connection.
func FuzzStore(f *testing.F) {
	f.Add("POST", "batches", `{"input_file_id":"x","endpoint":"/v1/responses","completion_window":"24h","metadata":{}}`)
	f.Add("POST", "messages/batches", messageLines(2))
	f.Add("GET", "batches?limit=3&after=x", "")
	f.Add("GET", "messages/batches/x/results", "")
	f.Add("POST", "batches/x/cancel", "")
	f.Add("GET", "files", "")
	f.Add("", chatLine(0), "")
	f.Add("", "", "\n"+`{"id":"a","model":"one","answer":"Two.","truncated":true}`)
	f.Fuzz(func(t *testing.T, method, path, body string) {
		p := one(Model{})
		r := httptest.NewRequest("GET", "/", strings.NewReader(body))
		r.Method = method
		r.URL.Path, r.URL.RawQuery, _ = strings.Cut("/v1/"+path, "?")
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Errorf("status %d", w.Code)
		}
		// The body as recorded answers, and as a prompt.
		recorded := NewRecorded(recordedSet(), "judge")
		_ = recorded.ReadTexts(strings.NewReader(body), "f") // any error, but no panic
		for _, model := range []string{"one", "judge"} {
			if reply, ok := recorded.Answer(model, body); !ok || reply.Text == "" {
				t.Errorf("%s answers %+v", model, reply)
			}
		}
		// The body as the file of a batch.
		b := &batch{endpoint: "/v1/chat/completions", api: wire.Chat}
		b.read([]byte(path + "\n" + body))
		p.newBatch("batch_", b)
		if p.advance(b); !b.ended() || (b.status == failed) != (len(b.invalid) > 0) {
			t.Errorf("status %s, invalid %v", b.status, b.invalid)
		}
	})
}

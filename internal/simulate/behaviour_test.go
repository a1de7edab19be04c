package simulate

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/wire"
	"github.com/carrot-router/carrot/price"
)

func TestErrors(t *testing.T) {
	p := one(Model{ContextTokens: 20})
	p.Models = append(p.Models, Model{Name: "e", Dimensions: 4})
	p.Keys = []string{"good"}
	long := strings.Repeat("word ", 30)
	for _, row := range []struct {
		api                 wire.API
		key, body           string
		status              int
		kind, code, message string
	}{
		{wire.Chat, "bad", `{}`, 401, "invalid_request_error", "invalid_api_key", "Incorrect API key"},
		{wire.Messages, "", `{}`, 401, "authentication_error", "", "invalid x-api-key"},
		{wire.Chat, "good", `{`, 400, "invalid_request_error", "", "could not parse"},
		{wire.Messages, "good", `[]`, 400, "invalid_request_error", "", "not valid JSON"},
		{wire.Chat, "good", `{"messages":[{}]}`, 400, "invalid_request_error", "", "you must provide a model parameter"},
		{wire.Chat, "good", `{"model":"m"}`, 400, "invalid_request_error", "missing_required_parameter", "'messages'"},
		{wire.Chat, "good", `{"model":"m","messages":[]}`, 400, "invalid_request_error", "empty_array", "'messages'"},
		{wire.Responses, "good", `{"model":"m"}`, 400, "invalid_request_error", "missing_required_parameter", "'input'"},
		{wire.Messages, "good", `{"model":"m","messages":[{}]}`, 400, "invalid_request_error", "", "max_tokens: Field required"},
		{wire.Messages, "good", `{"model":"m","max_tokens":9}`, 400, "invalid_request_error", "", "messages: Field required"},
		{wire.Messages, "good", `{"model":"m","max_tokens":9,"messages":[]}`, 400, "invalid_request_error", "", "at least one message"},
		{wire.Chat, "good", `{"model":"x","messages":[{}]}`, 404, "invalid_request_error", "model_not_found", "`x` does not exist"},
		{wire.Messages, "good", `{"model":"x","max_tokens":9,"messages":[{}]}`, 404, "not_found_error", "", "model: x"},
		{wire.Chat, "good", `{"model":"m","messages":[{"role":"user","content":"` + long + `"}]}`, 400, "invalid_request_error", "context_length_exceeded", "maximum context length is 20 tokens"},
		{wire.Responses, "good", `{"model":"m","input":"` + long + `"}`, 400, "invalid_request_error", "context_length_exceeded", "context window"},
		{wire.Messages, "good", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"` + long + `"}]}`, 400, "invalid_request_error", "", "tokens > 20 maximum"},
		{wire.Responses, "good", `{"model":"m","input":"x","previous_response_id":"resp_x"}`, 400, "invalid_request_error", "previous_response_not_found", "resp_x"},
		{wire.Embeddings, "good", `{"model":"m","input":"x"}`, 404, "invalid_request_error", "model_not_found", "`m`"},
		{wire.Embeddings, "good", `{"model":"e"}`, 400, "invalid_request_error", "", "'input'"},
		{"elsewhere", "good", `{}`, 404, "invalid_request_error", "", "Invalid URL"},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/v1/"+row.api.Path(), strings.NewReader(row.body))
		r.Header.Set("Authorization", "Bearer "+row.key)
		p.ServeHTTP(w, r)
		e := gjson.Get(w.Body.String(), "error")
		if w.Code != row.status || e.Get("type").Str != row.kind || e.Get("code").Str != row.code || !strings.Contains(e.Get("message").Str, row.message) {
			t.Errorf("%s %s: %d %s", row.api, row.body, w.Code, w.Body)
		}
		if row.api == wire.Messages && gjson.Get(w.Body.String(), "request_id").Str != w.Header().Get("Request-Id") {
			t.Errorf("%s: the request id is not in the body: %s", row.body, w.Body)
		}
	}
	if b := p.Bill(); b.Cost() != 0 {
		t.Errorf("refused requests are billed: %+v", b)
	}
}

func TestFailures(t *testing.T) {
	count := map[int]int{}
	p := one(Model{FailureRate: 1})
	for i := range 200 {
		w := ask(p, wire.Chat, fmt.Sprintf(`{"model":"m","stream":true,"messages":[{"role":"user","content":"%d"}]}`, i))
		count[w.Code]++
		if w.Code == 429 && w.Header().Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
		if !strings.Contains(w.Body.String(), `"error"`) || strings.Contains(w.Body.String(), wire.Done) {
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
	}
	for _, status := range []int{200, 429, 500, 503} {
		if count[status] < 25 {
			t.Errorf("statuses %v, want about 50 of each", count)
		}
	}
	if l := p.Bill().Lines[0]; l.Failed != 200 || l.Calls != 0 || l.Cost != 0 {
		t.Errorf("bill %+v", l)
	}

	p, failed := one(Model{FailureRate: 0.3}), 0
	for i := range 300 {
		body := fmt.Sprintf(`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"%d"}]}`, i)
		if w := ask(p, wire.Messages, body); w.Code != 200 {
			failed++
			if w := ask(p, wire.Messages, body); w.Code != 200 {
				t.Errorf("the second try got status %d", w.Code)
			}
		}
	}
	if failed < 60 || failed > 120 {
		t.Errorf("%d of 300 failed, want about 90", failed)
	}
}

func TestLengths(t *testing.T) {
	for _, mean := range []float64{1, 12, 200, 5000} {
		s := newState(Model{Name: "gpt-4o-mini-2024-07-18", OutputTokens: mean}, 3)
		sum, n := 0, 4000
		for i := range n {
			draw := rand.New(rand.NewPCG(1, uint64(i)))
			p := s.corpus.passage(s.length(draw), draw.IntN(1<<16))
			sum += p.tokens()
			if i < 20 {
				if got := price.CountTokens(p.text); got != p.tokens() {
					t.Errorf("%q counts %d tokens, want %d", p.text, got, p.tokens())
				}
				joined := ""
				for j := range p.tokens() {
					joined += p.piece(j)
				}
				if joined != p.text {
					t.Errorf("the pieces add up to %q, want %q", joined, p.text)
				}
			}
		}
		// Short answers deviate more, because they end with a whole word or sentence.
		if got := float64(sum) / float64(n); math.Abs(got/mean-1) > max(0.03, 1.5/mean) {
			t.Errorf("mean length %.1f, want %.1f", got, mean)
		}
	}
}

func TestCache(t *testing.T) {
	long := strings.TrimSpace(strings.Repeat("word ", 1500))
	chat := func(p *Provider, turns string) carrot.Usage {
		return look(t, wire.Chat, ask(p, wire.Chat, `{"model":"m","messages":[{"role":"system","content":"`+long+`"},`+turns+`]}`)).Usage
	}
	p := one(Model{})
	first := chat(p, `{"role":"user","content":"a"}`)
	second := chat(p, `{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}`)
	if first.CachedInput != 0 || second.CachedInput != 1408 {
		t.Errorf("cached %d, then %d, want 0 and 1408", first.CachedInput, second.CachedInput)
	}
	mark := func(turns string) carrot.Usage {
		return look(t, wire.Messages, ask(p, wire.Messages, `{"model":"m","max_tokens":9,"system":[{"type":"text","text":"`+long+`","cache_control":{"type":"ephemeral"}}],"messages":[`+turns+`]}`)).Usage
	}
	p = one(Model{})
	if u := mark(`{"role":"user","content":"a"}`); u.CacheWrite != 1504 || u.CachedInput != 0 {
		t.Errorf("usage %+v, want 1504 tokens written", u)
	}
	if u := mark(`{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}`); u.CachedInput != 1509 || u.CacheWrite != 5 {
		t.Errorf("usage %+v, want 1509 tokens read and 5 written", u)
	}
}

func TestPreviousResponse(t *testing.T) {
	p := one(Model{})
	w := ask(p, wire.Responses, `{"model":"m","input":"hello"}`)
	first := look(t, wire.Responses, w)
	id := gjson.Get(w.Body.String(), "id").Str
	second := look(t, wire.Responses, ask(p, wire.Responses, `{"model":"m","input":"hello","previous_response_id":"`+id+`"}`))
	if want := 2*first.Usage.Input + first.Usage.Output; second.Usage.Input != want {
		t.Errorf("input %d, want %d with the whole earlier conversation", second.Usage.Input, want)
	}
}

// TestHangUp lets clients go away at known times. synctest also checks that no
// goroutine is left.
func TestHangUp(t *testing.T) {
	m := Model{OutputTokens: 100, FirstToken: time.Second, PerToken: 100 * time.Millisecond}
	for _, stream := range []bool{false, true} {
		for after, want := range map[time.Duration][2]int{ // minimum and maximum of tokens
			100 * time.Millisecond: {0, 0},
			4 * time.Second:        {10, 50},
			time.Hour:              {40, 1000},
		} {
			synctest.Test(t, func(t *testing.T) {
				p := one(m)
				var calls []Call
				p.Log = func(c Call) { calls = append(calls, c) }
				ctx, cancel := context.WithTimeout(t.Context(), after)
				defer cancel()
				body := fmt.Sprintf(`{"model":"m","stream":%t,"messages":[{"role":"user","content":"hello"}]}`, stream)
				r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body)).WithContext(ctx)
				w := httptest.NewRecorder()
				p.ServeHTTP(w, r)
				l := p.Bill().Lines[0]
				cut := 1
				if after == time.Hour {
					cut = 0
				}
				if l.Calls != 1 || l.Cut != cut || l.Usage.Input != 5 || l.Usage.Output < want[0] || l.Usage.Output > want[1] {
					t.Errorf("stream %t, after %s: %+v", stream, after, l)
				}
				if len(calls) != 1 || calls[0].Cost != l.Cost || calls[0].Cut != (cut == 1) {
					t.Errorf("log %+v, bill %+v", calls, l)
				}
				if got := strings.Count(w.Body.String(), `"delta":{"content":"`); stream && got != l.Usage.Output {
					t.Errorf("%d tokens were sent, but %d are billed", got, l.Usage.Output)
				}
			})
		}
	}
}

// TestBillUnderLoad has many clients, some of which go away.
func TestBillUnderLoad(t *testing.T) {
	p := one(Model{OutputTokens: 50, PerToken: 200 * time.Microsecond, FailureRate: 0.1, CutRate: 0.1})
	p.Models = append(p.Models, Model{Name: "free"}, Model{Name: "other", OutputTokens: 20, Price: testPrice})
	var mu sync.Mutex
	logged := map[string]Call{}
	var sum carrot.USD
	calls := 0
	p.Log = func(c Call) {
		mu.Lock()
		defer mu.Unlock()
		calls, sum = calls+1, sum+c.Cost
		if c.ID != "" {
			if _, again := logged[c.ID]; again {
				t.Errorf("call %s is logged twice", c.ID)
			}
			logged[c.ID] = c
		}
	}
	server := httptest.NewServer(p)
	var clients sync.WaitGroup
	for i := range 200 {
		clients.Go(func() {
			ctx := t.Context()
			if i%3 == 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Duration(i)*200*time.Microsecond)
				defer cancel()
			}
			api, model := []wire.API{wire.Chat, wire.Messages, wire.Responses}[i%3], []string{"m", "other"}[i%2]
			body := fmt.Sprintf(`{"model":%q,"max_tokens":300,"stream":%t,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"%d"}],"input":"%d"}`, model, i%4 > 0, i, i)
			_, _ = post(ctx, server.Client(), server.URL+"/v1/"+api.Path(), []byte(body))
		})
	}
	clients.Wait()
	server.Client().CloseIdleConnections()
	server.Close()
	b := p.Bill()
	if b.Cost() != sum || sum == 0 {
		t.Errorf("bill %s, logged %s", b.Cost(), sum)
	}
	total, cut := 0, 0
	for _, l := range b.Lines {
		if l.Cost != bill(t, l.price(p), l.Usage) || l.CutCost != bill(t, l.price(p), l.CutUsage) {
			t.Errorf("line %+v does not add up", l)
		}
		total, cut = total+l.Calls+l.Failed, cut+l.Cut
	}
	if total != calls || cut == 0 || cut == total {
		t.Errorf("%d calls billed, %d of them cut, %d logged", total, cut, calls)
	}
}

func (l Line) price(p *Provider) carrot.Price { return p.model(l.Model).Price }

func TestCut(t *testing.T) {
	p := one(Model{CutRate: 1})
	server := httptest.NewServer(p)
	defer server.Close()
	for _, stream := range []string{"true", "false"} {
		if _, err := post(t.Context(), server.Client(), server.URL+"/v1/chat/completions", []byte(`{"model":"m","stream":`+stream+`,"messages":[{"role":"user","content":"x"}]}`)); err != io.ErrUnexpectedEOF {
			t.Errorf("stream %s: got %v, want an unexpected EOF", stream, err)
		}
	}
	if l := p.Bill().Lines[0]; l.Cut != 2 || l.CutUsage != l.Usage || l.Usage.Input != 10 {
		t.Errorf("bill %+v", l)
	}
}

func TestModels(t *testing.T) {
	openAI, anthropic := Demo(1)
	get := func(p *Provider, path string, anthropic bool) string {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		if anthropic {
			r.Header.Set("Anthropic-Version", "2023-06-01")
		}
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		return w.Body.String()
	}
	if got := gjson.Get(get(openAI, "/v1/models", false), "data.#.id").Array(); len(got) != 5 || got[0].Str != "gpt-4o-2024-08-06" {
		t.Errorf("models %v", got)
	}
	if got := get(anthropic, "/v1/models", true); gjson.Get(got, "last_id").Str != "claude-3-5-haiku-20241022" || !gjson.Valid(got) {
		t.Errorf("models %s", got)
	}
	if got := gjson.Get(get(openAI, "/v1/models/gpt-4o-2024-08-06", false), "id").Str; got != "gpt-4o-2024-08-06" {
		t.Errorf("model %q", got)
	}
	for _, m := range append(openAI.Models, anthropic.Models...) {
		if m.Price.Input == 0 || m.Price.Output == 0 {
			t.Errorf("%s has no price", m.Name)
		}
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/v1/messages/count_tokens", strings.NewReader(`{"model":"claude-3-5-haiku-20241022","messages":[{"role":"user","content":"x"}]}`))
	if anthropic.ServeHTTP(w, r); w.Body.String() != `{"input_tokens":5}` {
		t.Errorf("count: %s", w.Body)
	}
	if anthropic.Bill().Cost() != 0 {
		t.Error("counting tokens is billed")
	}
}

func TestEmbeddings(t *testing.T) {
	p := one(Model{Dimensions: 8})
	floats := gjson.Parse(ask(p, wire.Embeddings, `{"model":"m","input":["hello","there","hello"]}`).Body.String())
	data := floats.Get("data.#.embedding").Array()
	if len(data) != 3 || len(data[0].Array()) != 8 || data[0].Raw != data[2].Raw || data[0].Raw == data[1].Raw || floats.Get("usage.prompt_tokens").Int() != 3 {
		t.Errorf("got %s", floats.Raw)
	}
	encoded := gjson.Parse(ask(p, wire.Embeddings, `{"model":"m","input":"hello","dimensions":4,"encoding_format":"base64"}`).Body.String())
	if got := encoded.Get("data.0.embedding").Str; len(got) != 24 { // 16 bytes
		t.Errorf("got %s", encoded.Raw)
	}
	if got := p.Bill().Cost(); got != bill(t, testPrice, carrot.Usage{Input: 4}) {
		t.Errorf("bill %s", got)
	}
}

func FuzzProvider(f *testing.F) {
	for _, a := range asks {
		f.Add(string(a.api), []byte(`{"model":"m",`+a.body+`}`))
		f.Add(string(a.api), []byte(`{"model":"m","stream":true,`+a.body+`}`))
	}
	f.Add("chat", []byte(`{"model":"m","response_format":{"type":"json_schema","json_schema":{"schema":{"$ref":"#"}}},"messages":[{"content":[[{"content":1e999}]]}]}`))
	f.Add("embeddings", []byte(`{"model":"e","input":[[1,2]]}`))
	p := one(Model{OutputTokens: 5})
	p.Models = append(p.Models, Model{Name: "e", Dimensions: 2})
	f.Fuzz(func(t *testing.T, api string, body []byte) {
		if len(body) > 1<<14 {
			return
		}
		w := ask(p, wire.API(strings.Map(func(r rune) rune {
			if r < 'a' || r > 'z' {
				return -1
			}
			return r
		}, api)), string(body))
		if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") && !gjson.Valid(w.Body.String()) {
			t.Errorf("status %d is not JSON: %s", w.Code, w.Body)
		}
	})
}

func BenchmarkChat(b *testing.B) {
	for _, stream := range []bool{false, true} {
		b.Run(fmt.Sprintf("stream=%t", stream), func(b *testing.B) {
			p := one(Model{OutputTokens: 100})
			body := fmt.Sprintf(`{"model":"m","stream":%t,"messages":[{"role":"user","content":"What is the capital of France, and since when?"}]}`, stream)
			b.ReportAllocs()
			for b.Loop() {
				ask(p, wire.Chat, body)
			}
		})
	}
}

// TestDeepBody: a deeply nested body is refused.
func TestDeepBody(t *testing.T) {
	p := one(Model{Dimensions: 8})
	deep := strings.Repeat("[", 1<<24)
	for _, path := range []string{"/v1/chat/completions", "/v1/embeddings"} {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader(deep)))
		if w.Code != http.StatusBadRequest {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
}

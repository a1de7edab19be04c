package simulate

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/wire"
)

// prompts are requests of each API that ask a question after other messages, without
// the opening brace and the model.
var prompts = map[wire.API]string{
	wire.Chat:      `"max_tokens":3,"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"no"},{"role":"assistant","content":"no"},{"role":"user","content":[{"type":"text","text":"What is"},{"type":"text","text":"1+1?"}]}]`,
	wire.Messages:  `"max_tokens":3,"system":"Be brief.","messages":[{"role":"user","content":[{"type":"text","text":"What is"},{"type":"text","text":"1+1?"}]}]`,
	wire.Responses: `"max_output_tokens":3,"instructions":"Be brief.","input":[{"role":"user","content":[{"type":"input_text","text":"What is\n1+1?"}]}]`,
}

func TestReplies(t *testing.T) {
	for _, row := range []struct {
		name     string
		reply    Reply
		usage    carrot.Usage
		finishes map[wire.API]string
	}{
		{"a text", Reply{Text: "It is “two”, and nothing else.", InputTokens: 1234, OutputTokens: 77}, carrot.Usage{Input: 1234, Output: 77},
			map[wire.API]string{wire.Chat: "stop", wire.Messages: "end_turn", wire.Responses: "completed"}},
		{"no output", Reply{InputTokens: 5}, carrot.Usage{Input: 5},
			map[wire.API]string{wire.Chat: "stop", wire.Messages: "end_turn", wire.Responses: "completed"}},
		{"a text without tokens", Reply{Text: "Two."}, carrot.Usage{},
			map[wire.API]string{wire.Chat: "stop", wire.Messages: "end_turn", wire.Responses: "completed"}},
		{"cached and reasoning", Reply{Text: "Two.", InputTokens: 100, CachedTokens: 60, OutputTokens: 50, ReasoningTokens: 48}, carrot.Usage{Input: 40, CachedInput: 60, Output: 2, Reasoning: 48},
			map[wire.API]string{wire.Chat: "stop", wire.Messages: "end_turn", wire.Responses: "completed"}},
		{"truncated", Reply{Text: "Tw", InputTokens: 5, OutputTokens: 3, Finish: FinishLength}, carrot.Usage{Input: 5, Output: 3},
			map[wire.API]string{wire.Chat: "length", wire.Messages: "max_tokens", wire.Responses: "incomplete"}},
		{"refused with a text", Reply{Text: "I can't help with that.", InputTokens: 5, OutputTokens: 9, Finish: FinishRefused}, carrot.Usage{Input: 5, Output: 9},
			map[wire.API]string{wire.Chat: "stop", wire.Messages: "refusal", wire.Responses: "completed"}},
		{"refused without a text", Reply{InputTokens: 5, Finish: FinishRefused}, carrot.Usage{Input: 5},
			map[wire.API]string{wire.Chat: "content_filter", wire.Messages: "refusal", wire.Responses: "incomplete"}},
	} {
		for api, body := range prompts {
			t.Run(row.name+"/"+string(api), func(t *testing.T) {
				p := one(Model{})
				p.Answers = func(model, prompt string) (Reply, bool) {
					if model != "m" || prompt != "What is\n1+1?" {
						t.Errorf("Answers(%q, %q) was asked", model, prompt)
					}
					return row.reply, true
				}
				want := seen{Text: row.reply.Text, Finish: row.finishes[api], Usage: row.usage, HasUsage: true}
				if api == wire.Messages { // which does not report reasoning
					want.Usage.Output, want.Usage.Reasoning = row.reply.OutputTokens, 0
				}
				w := ask(p, api, `{"model":"m",`+body+`}`)
				if diff := cmp.Diff(want, look(t, api, w)); diff != "" {
					t.Errorf("whole answer (-want +got):\n%s", diff)
				}
				refusal := gjson.Get(w.Body.String(), "choices.0.message.refusal").Str + gjson.Get(w.Body.String(), "output.0.content.0.refusal").Str
				if refused := row.reply.Finish == FinishRefused && api != wire.Messages; refused && refusal != row.reply.Text || !refused && refusal != "" {
					t.Errorf("refusal = %q in %s", refusal, w.Body)
				}
				if details := gjson.Get(w.Body.String(), "stop_details.type").Str; (details == "refusal") != (want.Finish == "refusal") {
					t.Errorf("stop_details in %s", w.Body)
				}
				streamed := look(t, api, ask(p, api, `{"model":"m","stream":true,"stream_options":{"include_usage":true},`+body+`}`))
				if diff := cmp.Diff(want, streamed); diff != "" {
					t.Errorf("stream (-want +got):\n%s", diff)
				}
				if b := p.Bill(); b.Cost() != 2*bill(t, testPrice, want.Usage) || b.Lines[0].Calls != 2 {
					t.Errorf("bill %+v, want two calls of %+v", b, want.Usage)
				}
			})
		}
	}
}

func TestReplyStatus(t *testing.T) {
	for api, body := range prompts {
		for _, status := range []int{400, 403, 429, 500, 503} {
			p := one(Model{})
			p.Answers = func(string, string) (Reply, bool) { return Reply{Status: status, Text: "not today"}, true }
			for _, stream := range []string{"", `"stream":true,`} {
				w := ask(p, api, `{"model":"m",`+stream+body+`}`)
				want := status
				if api == wire.Messages && status == 503 {
					want = 529
				}
				if w.Code != want || gjson.Get(w.Body.String(), "error.message").Str != "not today" || (status == 429) != (w.Header().Get("Retry-After") != "") {
					t.Errorf("%s, status %d: got %d, %v, %s", api, status, w.Code, w.Header(), w.Body)
				}
			}
			if l := p.Bill().Lines[0]; l.Failed != 2 || l.Calls != 0 || l.Cost != 0 {
				t.Errorf("%s, status %d: bill %+v", api, status, l)
			}
		}
	}
}

// A model without a reply answers with its sentences, and a model that fails at random
// gives the reply when the call is repeated.
func TestRepliesAmongOthers(t *testing.T) {
	p := one(Model{FailureRate: 0.5})
	p.Answers = func(_, prompt string) (Reply, bool) {
		return Reply{Text: "told", OutputTokens: 1}, strings.HasPrefix(prompt, "tell")
	}
	failed := 0
	for i := range 40 {
		body := fmt.Sprintf(`{"model":"m","messages":[{"role":"user","content":"%s %d"}]}`, []string{"tell", "draw"}[i%2], i)
		w := ask(p, wire.Chat, body)
		if w.Code != http.StatusOK {
			failed++
			w = ask(p, wire.Chat, body)
		}
		if told := look(t, wire.Chat, w).Text == "told"; told != (i%2 == 0) {
			t.Errorf("%s: got %s", body, w.Body)
		}
	}
	if failed < 8 || failed > 32 {
		t.Errorf("%d of 40 calls failed, want about 20", failed)
	}
}

func TestLimits(t *testing.T) {
	call := func(p *Provider, key, model string) (status int, wait string) {
		w := ask(keyed{p, key}, wire.Chat, `{"model":"`+model+`","messages":[{"role":"user","content":"x"}]}`)
		return w.Code, w.Header().Get("Retry-After")
	}
	two := func(l Limit) *Provider {
		p := one(Model{Limit: l, FirstToken: 100 * time.Millisecond})
		p.Models = append(p.Models, Model{Name: "other"})
		return p
	}
	t.Run("rate of a model", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := two(Limit{RatePerMinute: 30})
			check := func(model string, want int, wantWait string) {
				t.Helper()
				if got, wait := call(p, "k", model); got != want || wait != wantWait {
					t.Errorf("%s: got %d, Retry-After %q, want %d, %q", model, got, wait, want, wantWait)
				}
			}
			check("m", 200, "")
			check("m", 429, "2")
			check("other", 200, "")
			time.Sleep(2 * time.Second)
			check("m", 200, "")
			check("m", 429, "2")
			if l := p.Bill().Lines[0]; l.Calls != 2 || l.Failed != 2 || l.Limited != 2 {
				t.Errorf("bill %+v", l)
			}
		})
	})
	t.Run("rate of a key", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := &Provider{Models: []Model{{Name: "m"}, {Name: "other"}}, Limit: Limit{RatePerMinute: 120}}
			for i, want := range []int{200, 200, 429} {
				if got, _ := call(p, "a", []string{"m", "other"}[i%2]); got != want {
					t.Errorf("call %d: got %d, want %d", i, got, want)
				}
			}
			if got, _ := call(p, "b", "m"); got != 200 {
				t.Errorf("another key got %d", got)
			}
		})
	})
	t.Run("calls at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := two(Limit{Concurrent: 3})
			statuses := make(chan int, 10)
			for range 10 {
				go func() {
					status, _ := call(p, "k", "m")
					statuses <- status
				}()
			}
			count := map[int]int{}
			for range 10 {
				count[<-statuses]++
			}
			if count[200] != 3 || count[429] != 7 {
				t.Errorf("statuses %v, want 3 answers", count)
			}
			if status, _ := call(p, "k", "m"); status != 200 {
				t.Errorf("afterwards, status %d", status)
			}
		})
	})
}

// keyed sends a key with each request.
type keyed struct {
	p   *Provider
	key string
}

func (k keyed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Header.Set("Authorization", "Bearer "+k.key)
	k.p.ServeHTTP(w, r)
}

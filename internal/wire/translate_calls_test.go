package wire

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot"
)

// callStream returns a stream of an API with n calls, whose arguments are {"q":i}
// in two parts.
func callStream(api API, n int) []Event {
	var out []Event
	add := func(format string, a ...any) { out = append(out, Event{Data: fmt.Appendf(nil, format, a...)}) }
	switch api {
	case Chat:
		for i := range n {
			add(`{"id":"r","model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":%d,"id":"call_%d","type":"function","function":{"name":"f","arguments":"{\"q\":"}}]}}]}`, i, i)
			add(`{"id":"r","model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":%d,"function":{"arguments":"%d}"}}]}}]}`, i, i)
		}
		add(`{"id":"r","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}`)
		add(Done)
	case Messages:
		add(`{"type":"message_start","message":{"id":"r","model":"m"}}`)
		for i := range n {
			add(`{"type":"content_block_start","index":%d,"content_block":{"type":"tool_use","id":"call_%d","name":"f","input":{}}}`, i, i)
			add(`{"type":"content_block_delta","index":%d,"delta":{"type":"input_json_delta","partial_json":"{\"q\":"}}`, i)
			add(`{"type":"content_block_delta","index":%d,"delta":{"type":"input_json_delta","partial_json":"%d}"}}`, i, i)
			add(`{"type":"content_block_stop","index":%d}`, i)
		}
		add(`{"type":"message_delta","delta":{"stop_reason":"tool_use"}}`)
		add(`{"type":"message_stop"}`)
	case Responses:
		add(`{"type":"response.created","response":{"id":"r","model":"m"}}`)
		for i := range n {
			add(`{"type":"response.output_item.added","output_index":%d,"item":{"type":"function_call","call_id":"call_%d","name":"f"}}`, i, i)
			add(`{"type":"response.function_call_arguments.delta","output_index":%d,"delta":"{\"q\":"}`, i)
			add(`{"type":"response.function_call_arguments.delta","output_index":%d,"delta":"%d}"}`, i, i)
			add(`{"type":"response.function_call_arguments.done","output_index":%d,"arguments":"{\"q\":%d}"}`, i, i)
		}
		add(`{"type":"response.completed","response":{"id":"r","model":"m","status":"completed"}}`)
	}
	return out
}

// calledIn returns the arguments of the calls in a stream of an API, by their ids.
func calledIn(api API, events []Event) map[string]string {
	type state struct {
		id   string
		text strings.Builder
	}
	calls := map[int64]*state{}
	begin := func(i gjson.Result, id string) { calls[i.Int()] = &state{id: id} }
	part := func(i gjson.Result, text string) { calls[i.Int()].text.WriteString(text) }
	for _, e := range events {
		v := gjson.ParseBytes(e.Data)
		switch v.Get("type").Str {
		case "content_block_start":
			begin(v.Get("index"), v.Get("content_block.id").Str)
		case "content_block_delta":
			part(v.Get("index"), v.Get("delta.partial_json").Str)
		case "response.output_item.added":
			begin(v.Get("output_index"), v.Get("item.call_id").Str)
		case "response.function_call_arguments.delta":
			part(v.Get("output_index"), v.Get("delta").Str)
		}
		elements(v.Get("choices.0.delta.tool_calls"), func(c gjson.Result) {
			if id := c.Get("id").Str; id != "" {
				begin(c.Get("index"), id)
			}
			part(c.Get("index"), c.Get("function.arguments").Str)
		})
	}
	out := make(map[string]string, len(calls))
	for _, c := range calls {
		out[c.id] = c.text.String()
	}
	return out
}

func TestStreamManyCalls(t *testing.T) {
	const n = 2000
	for _, pair := range pairs {
		s := NewStreamTranslator(pair[0], pair[1], 0, 0)
		var out []Event
		for _, e := range callStream(pair[0], n) {
			events, err := s.Next(e)
			if err != nil {
				t.Fatalf("%s to %s: Next(%s): %v", pair[0], pair[1], e, err)
			}
			out = append(out, events...)
		}
		calls := calledIn(pair[1], out)
		for i := range n {
			if got, want := calls[fmt.Sprint("call_", i)], fmt.Sprintf(`{"q":%d}`, i); got != want {
				t.Fatalf("%s to %s: the arguments of call %d are %q, want %q", pair[0], pair[1], i, got, want)
			}
		}
	}
}

// TestReadersFindCalls: the work for a part of a call does not grow with the number
// of calls before it. Otherwise, this test takes many minutes.
func TestReadersFindCalls(t *testing.T) {
	parts := 0
	take := func(d delta) {
		if d.kind == argumentsDelta && d.text != "" {
			parts++
		}
	}
	const n, each = 500_000, 1000
	var chat chatReader
	for i := 0; i < n; i += each {
		b := []byte(`{"choices":[{"delta":{"tool_calls":[`)
		for k := range each {
			b = fmt.Appendf(b, `{"index":%d,"id":"c","function":{"name":"f","arguments":"{}"}},`, i+k)
		}
		if err := chat.read(gjson.ParseBytes(append(b[:len(b)-1], `]}}]}`...)), take); err != nil {
			t.Fatal(err)
		}
	}
	if parts != n {
		t.Errorf("chat: %d calls have arguments, want %d", parts, n)
	}
	parts = 0
	const m = 100_000
	var responses responsesReader
	for i := range m {
		for _, text := range []string{
			fmt.Sprintf(`{"type":"response.output_item.added","output_index":%d,"item":{"type":"function_call"}}`, i),
			fmt.Sprintf(`{"type":"response.function_call_arguments.delta","output_index":%d,"delta":"{}"}`, i),
		} {
			if err := responses.read(gjson.Parse(text), take); err != nil {
				t.Fatal(err)
			}
		}
	}
	if parts != m {
		t.Errorf("responses: %d calls have arguments, want %d", parts, m)
	}
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestStreamPendingArguments: arguments that arrive before the name of their call
// are collected without copying them for each part, and not without limit.
func TestStreamPendingArguments(t *testing.T) {
	const n = 20_000
	part := Event{Data: []byte(`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"arguments":"0123456789"}}]}}]}`)}
	s := NewStreamTranslator(Chat, Messages, 0, 0)
	got := allocated(func() {
		for range n {
			if _, err := s.Next(part); err != nil {
				t.Fatal(err)
			}
		}
	})
	if want := uint64(n * 4096); got > want {
		t.Errorf("%d parts allocate %d bytes, want at most %d", n, got, want)
	}
	events, err := s.Next(Event{Data: []byte(`{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f"}}]}}]}`)})
	if err != nil || len(calledIn(Messages, events)["c"]) != 10*n {
		t.Errorf("Next = %.200v, %v, want all arguments", events, err)
	}
}

// TestStreamHoldsLittle: what a translator keeps of a stream does not keep whole
// events alive, and is limited.
func TestStreamHoldsLittle(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for _, test := range []struct {
		name     string
		from, to API
		event    func(i int) string
	}{
		{"arguments before the name", Chat, Messages, func(int) string {
			return `{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"arguments":"` + long + `"}}]}}]}`
		}},
		{"long ids", Chat, Messages, func(i int) string {
			return fmt.Sprintf(`{"choices":[{"delta":{"tool_calls":[{"index":%d,"id":"%s","function":{"name":"f","arguments":"{}"}}]}}]}`, i, long)
		}},
		{"a long text", Chat, Responses, func(int) string { return `{"choices":[{"delta":{"content":"` + long + `"}}]}` }},
		{"many long calls", Messages, Responses, func(i int) string {
			return fmt.Sprintf(`{"type":"content_block_start","index":%d,"content_block":{"type":"tool_use","id":"i","name":"%s"}}`, i, long)
		}},
	} {
		s := NewStreamTranslator(test.from, test.to, 0, 0)
		var err error
		events := 0
		for ; err == nil && events < 200; events++ {
			_, err = s.Next(Event{Data: []byte(test.event(events))})
		}
		if err == nil || !strings.Contains(err.Error(), "67108864 bytes") || events < 50 {
			t.Errorf("%s: after %d events of 1 MiB, Next = %v, want an error after 64", test.name, events, err)
		}
	}
	s := NewStreamTranslator(Chat, Messages, 0, 0)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 100 {
		text := fmt.Sprintf(`{"x":"%s","choices":[{"delta":{"tool_calls":[{"index":%d,"id":"c%d","function":{"name":"f"}}]}}]}`, long, i, i)
		if _, err := s.Next(Event{Data: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); held > 10<<20 {
		t.Errorf("after 100 events of 1 MiB with short calls, %d bytes are held", held)
	}
	runtime.KeepAlive(s)
}

// TestStreamOneEvent: one event of many calls does not become any number of bytes,
// and many faults in it are one error.
func TestStreamOneEvent(t *testing.T) {
	const n = 150_000
	event := func(call string) Event {
		return Event{Data: []byte(`{"id":"` + strings.Repeat("i", 10_000) + `","choices":[{"delta":{"tool_calls":[` + strings.TrimSuffix(strings.Repeat(call+",", n), ",") + `]}}]}`)}
	}
	for _, to := range []API{Messages, Responses} {
		s := NewStreamTranslator(Chat, to, 0, 0)
		if _, err := s.Next(event(`{"id":"c","function":{"name":"f"}}`)); err != nil {
			t.Fatalf("%s: one call in many parts: %v", to, err)
		}
		s = NewStreamTranslator(Chat, to, 0, 0)
		many := event(`{"function":{"name":"f","arguments":"{}"}},{"function":{"name":"g","arguments":"{}"}}`)
		events, err := s.Next(many)
		size := 0
		for _, e := range events {
			size += len(e.Data)
		}
		if err == nil || !strings.Contains(err.Error(), "67108864 bytes") || size > 65<<20 {
			t.Errorf("%s: an event of %d bytes becomes %d bytes, %v, want an error", to, len(many.Data), size, err)
		}
	}
	s := NewStreamTranslator(Chat, Messages, 0, 0)
	nameless := Event{Data: []byte(`{"choices":[{"delta":{"tool_calls":[` + strings.TrimSuffix(strings.Repeat(`{"index":0,"id":"a"},{"index":0,"id":"b"},`, 600_000), ",") + `]}}]}`)}
	var err error
	if taken := allocated(func() { _, err = s.Next(nameless) }); err == nil || taken > 256<<20 {
		t.Errorf("1,200,000 calls without a name take %d bytes, %v, want an error", taken, err)
	}
	s = NewStreamTranslator(Chat, Messages, 0, 0)
	_, err = s.Next(event(`{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}},{"index":1,"id":"b","function":{"name":"g","arguments":"1"}},{"index":0,"function":{"arguments":"2"}}`))
	if err == nil || len(err.Error()) > 200 {
		t.Errorf("%d arguments out of turn are an error of %d bytes, want one", n, len(fmt.Sprint(err)))
	}
}

// callAnswer returns a whole answer of an API with n calls.
func callAnswer(api API, n int) []byte {
	format, before, after := `{"id":"call_%d","type":"function","function":{"name":"f","arguments":"{}"}}`, `{"id":"r","model":"m","choices":[{"message":{"tool_calls":[`, `]},"finish_reason":"tool_calls"}]}`
	switch api {
	case Messages:
		format, before, after = `{"type":"tool_use","id":"call_%d","name":"f","input":{}}`, `{"id":"r","model":"m","content":[`, `],"stop_reason":"tool_use"}`
	case Responses:
		format, before, after = `{"type":"function_call","call_id":"call_%d","name":"f","arguments":"{}"}`, `{"id":"r","model":"m","status":"completed","output":[`, `]}`
	}
	b := []byte(before)
	for i := range n {
		b = append(fmt.Appendf(b, format, i), ',')
	}
	return append(b[:len(b)-1], after...)
}

func TestAnswerManyCalls(t *testing.T) {
	const n = 100_000
	where := map[API]string{Chat: "choices.0.message.tool_calls.#", Messages: "content.#", Responses: "output.#"}
	for _, pair := range pairs {
		out, err := TranslateAnswer(callAnswer(pair[0], n), pair[0], pair[1], 0, carrot.Usage{})
		if got := gjson.GetBytes(out, where[pair[1]]).Int(); err != nil || got != n || !json.Valid(out) {
			t.Errorf("%s to %s: %d calls, %v, want %d", pair[0], pair[1], got, err, n)
		}
	}
	for _, pair := range [][2]API{{Chat, Messages}, {Messages, Responses}, {Responses, Chat}} {
		if _, err := TranslateAnswer(callAnswer(pair[0], maxParts+1), pair[0], pair[1], 0, carrot.Usage{}); err == nil || !strings.Contains(err.Error(), "more than 262144 parts") {
			t.Errorf("%s to %s: TranslateAnswer of %d calls = %v, want an error", pair[0], pair[1], maxParts+1, err)
		}
	}
}

func BenchmarkStreamCalls(b *testing.B) {
	for _, pair := range pairs {
		for _, n := range []int{10_000, 100_000} {
			b.Run(fmt.Sprintf("%s-%s/%d", pair[0], pair[1], n), func(b *testing.B) {
				b.ReportAllocs()
				events := callStream(pair[0], n)
				for b.Loop() {
					s := NewStreamTranslator(pair[0], pair[1], 0, 0)
					for _, e := range events {
						if _, err := s.Next(e); err != nil {
							b.Fatal(err)
						}
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/call")
			})
		}
	}
}

func BenchmarkAnswerCalls(b *testing.B) {
	for _, pair := range pairs {
		for _, n := range []int{10_000, 100_000} {
			b.Run(fmt.Sprintf("%s-%s/%d", pair[0], pair[1], n), func(b *testing.B) {
				b.ReportAllocs()
				body := callAnswer(pair[0], n)
				for b.Loop() {
					if _, err := TranslateAnswer(body, pair[0], pair[1], 0, carrot.Usage{}); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/call")
			})
		}
	}
}

// The answers of one stream are put together in one pass over its events.
func TestCollectReadsOnce(t *testing.T) {
	const perChoice = 2000
	stream := func(choices int) []byte {
		var b []byte
		for i := range perChoice {
			b = Event{Data: fmt.Appendf(nil, `{"id":"c","model":"m","choices":[{"index":%d,"delta":{"content":"word"}}]}`, i%choices)}.AppendTo(b)
		}
		for i := range choices {
			b = Event{Data: fmt.Appendf(nil, `{"id":"c","model":"m","choices":[{"index":%d,"delta":{},"finish_reason":"stop"}]}`, i)}.AppendTo(b)
		}
		return Event{Data: []byte(Done)}.AppendTo(b)
	}
	work := func(choices int) float64 {
		text := stream(choices)
		return testing.AllocsPerRun(3, func() {
			body, _, err := Collect(Chat, text, 0)
			if n := gjson.GetBytes(body, "choices.#").Int(); err != nil || n != int64(choices) {
				t.Fatalf("%d choices, %v, want %d", n, err, choices)
			}
		})
	}
	if one, many := work(1), work(100); many > 2*one {
		t.Errorf("%v allocations for one choice, %v for a hundred in as many events", one, many)
	}
}

// A conversation may have any number of calls with the same id.
func TestManyEqualIDs(t *testing.T) {
	var messages []string
	const n = 30_000
	for range n {
		messages = append(messages, `{"role":"assistant","tool_calls":[{"id":"","type":"function","function":{"name":"f","arguments":"{}"}}]}`)
	}
	for range n {
		messages = append(messages, `{"role":"tool","tool_call_id":"","name":"other","content":"x"}`)
	}
	got, err := translateBody([]byte(`{"model":"m","messages":[`+strings.Join(messages, ",")+`]}`), Chat, Responses)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]int{}
	elements(gjson.GetBytes(got, "input"), func(item gjson.Result) { ids[item.Get("call_id").Str]++ })
	for id, count := range ids {
		if count != 2 {
			t.Fatalf("the id %q occurs %d times", id, count)
		}
	}
	if len(ids) != n {
		t.Errorf("%d ids, want %d", len(ids), n)
	}
}

// A turn may have any number of thoughts, and a conversation any number of notes for one
// turn: the work for them grows with the length of the request.
func TestManyThoughtsAndNotes(t *testing.T) {
	const n = 20_000
	const user = `{"role":"user","content":"a"}`
	thinking := `{"model":"m","max_tokens":9,"messages":[` + user + `,{"role":"assistant","content":[` + repeat(`{"type":"thinking","thinking":"0123456789","signature":"x"}`, n) +
		`,{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"x"}]}]}`
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := TranslateRequest([]byte(thinking), Messages, Chat, Facts{WantsReasoning: true})
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if text := gjson.GetBytes(got.Body, "messages.1.reasoning_content").Str; text != strings.Repeat("0123456789", n) {
		t.Errorf("%d bytes of reasoning, want %d", len(text), 10*n)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 100*uint64(len(thinking)) {
		t.Errorf("%d bytes allocated for a request of %d", allocated, len(thinking))
	}
	notes := `{"model":"m","max_tokens":9,"messages":[` + repeat(user+`,{"role":"system","content":"n","clear_at":"next_user_message"}`, n) + `]}`
	if got, err = TranslateRequest([]byte(notes), Messages, Chat, Facts{}); err != nil {
		t.Fatal(err)
	}
	if messages := gjson.GetBytes(got.Body, "messages.#").Int(); messages != n+1 {
		t.Errorf("%d messages, want those of the user and the last note", messages)
	}
}

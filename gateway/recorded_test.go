package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/wire"
	"github.com/carrot-router/carrot/record"
)

// waiting is a recorder that waits before it has recorded an attempt.
type waiting struct{ entered, done chan struct{} }

func (w *waiting) Record(context.Context, *record.Attempt) error {
	w.entered <- struct{}{}
	<-w.done
	return nil
}

// An attempt is recorded before the client has the end of the answer, so that a client
// that has an answer can count on the record.
func TestRecordedBeforeTheEnd(t *testing.T) {
	long := strings.Repeat("word ", 40_000) // longer than all buffers on the way
	whole := fmt.Sprintf(`{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}`, long)
	stream := `data: {"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"Hello"}}]}` + "\n\n" +
		`data: {"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n"
	provider := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), `"stream":true`) {
			w.Header().Set("Content-Type", "text/event-stream")
			first, rest, _ := strings.Cut(stream, "\n\n")
			io.WriteString(w, first+"\n\n")
			w.(http.Flusher).Flush() // so that the client has the headers
			time.Sleep(10 * time.Millisecond)
			io.WriteString(w, rest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, whole)
	})
	for _, c := range []struct {
		name, path, body, end string
	}{
		{"whole", wire.Chat.Path(), `{"model":"gpt-4o-2024-08-06","messages":[{"role":"user","content":"Hi"}]}`, "}"},
		{"whole, translated", wire.Messages.Path(), `{"model":"gpt-4o-2024-08-06","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}`, "}"},
		{"stream", wire.Chat.Path(), `{"model":"gpt-4o-2024-08-06","stream":true,"messages":[{"role":"user","content":"Hi"}]}`, "data: [DONE]\n\n"},
		{"stream, translated", wire.Messages.Path(), `{"model":"gpt-4o-2024-08-06","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}`, "message_stop"},
		{"stream, to responses", wire.Responses.Path(), `{"model":"gpt-4o-2024-08-06","stream":true,"input":"Hi"}`, "response.completed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			recorder := &waiting{make(chan struct{}), make(chan struct{})}
			r := &rig{}
			g, err := gateway.New(parse(t, "admin_listen: off\nproviders: [{name: sim, kind: openai, base_url: $sim/v1, apis: [chat]}]\nmodels: [{name: gpt-4o-2024-08-06, provider: sim}]\n",
				map[string]http.Handler{"sim": provider}), source(), gateway.Options{Recorder: recorder})
			if err != nil {
				t.Fatal(err)
			}
			r.serve(t, g)
			response, err := http.Post(r.url+"/v1/"+c.path, "application/json", strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			var mu sync.Mutex
			var got strings.Builder
			done := make(chan error, 1)
			go func() {
				buffer := make([]byte, 4096)
				for {
					n, err := response.Body.Read(buffer)
					mu.Lock()
					got.Write(buffer[:n])
					mu.Unlock()
					if err != nil {
						done <- err
						return
					}
				}
			}()
			<-recorder.entered
			time.Sleep(20 * time.Millisecond) // the client reads what it can get
			mu.Lock()
			before := got.String()
			mu.Unlock()
			if n := response.ContentLength; n >= 0 && len(before) >= int(n) || n < 0 && strings.Contains(before, c.end) {
				t.Errorf("the client had the end before the attempt was recorded: …%q", before[max(0, len(before)-100):])
			}
			close(recorder.done)
			if err := <-done; err != io.EOF {
				t.Fatal(err)
			}
			if after := got.String(); !strings.Contains(after[max(0, len(after)-2000):], c.end) {
				t.Errorf("the client did not get the end: …%q", after[max(0, len(after)-100):])
			}
		})
	}
}

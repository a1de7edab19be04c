package gateway_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carrot-router/carrot/record"
)

const hello = `{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":1}}`

// Requests in progress may hold limited memory in total. Further requests are told to
// try again, and can when there is room.
func TestMemoryOfRequests(t *testing.T) {
	arrived, proceed := make(chan struct{}), make(chan struct{})
	provider := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		<-proceed
		io.WriteString(w, hello)
	})
	r := newRig(t, simulatedConfig+"limits: {memory_mb: 4}", map[string]http.Handler{"sim": provider})
	body := chat("gemma-2-2b-it", strings.Repeat("word ", 60_000)) // 300 kB, for which 2.4 MB are held
	first := make(chan answer)
	go func() { first <- r.post(t, "/v1/chat/completions", body) }()
	<-arrived
	got := r.post(t, "/v1/chat/completions", body)
	if got.status != 503 || got.header.Get("Retry-After") != "1" || !strings.Contains(got.body, "out_of_memory") {
		t.Errorf("status %d, %v: %s", got.status, got.header, got.body)
	}
	small := make(chan answer)
	go func() { small <- r.post(t, "/v1/chat/completions", chat("gemma-2-2b-it", sumQuestion)) }()
	<-arrived
	close(proceed)
	for _, c := range []chan answer{first, small} {
		if got := <-c; got.status != 200 {
			t.Errorf("status %d: %s", got.status, got.body)
		}
	}
	for range 5 { // everything was given back
		again := make(chan answer)
		go func() { again <- r.post(t, "/v1/chat/completions", body) }()
		<-arrived
		if got := <-again; got.status != 200 {
			t.Fatalf("status %d: %s", got.status, got.body)
		}
	}
	if got := r.post(t, "/v1/chat/completions", chat("gemma-2-2b-it", strings.Repeat("word ", 120_000))); got.status != 413 {
		t.Errorf("status %d for a body that never fits: %s", got.status, got.body)
	}
}

// The structure of a body counts too: many small messages need more memory than their
// text, and too many are refused.
func TestManyMessages(t *testing.T) {
	r := newRig(t, simulatedConfig+"limits: {memory_mb: 16}", map[string]http.Handler{"sim": said(200, "application/json", hello)})
	messages := func(n int) string {
		return `{"model":"gemma-2-2b-it","messages":[` + strings.Repeat(`{"role":"user","content":"a"},`, n-1) + `{"role":"user","content":"a"}]}`
	}
	for n, want := range map[int]int{5_000: 200, 50_000: 413, 200_000: 413} {
		if got := r.post(t, "/v1/chat/completions", messages(n)); got.status != want {
			t.Errorf("%d messages: status %d, want %d: %s", n, got.status, want, got.body)
		}
	}
	r = newRig(t, simulatedConfig, map[string]http.Handler{"sim": said(200, "application/json", hello)})
	if got := r.post(t, "/v1/chat/completions", messages(200_000)); got.status != 400 || !strings.Contains(got.body, "100000 objects") {
		t.Errorf("status %d: %s", got.status, got.body)
	}
}

// An answer for which there is no memory is given up, without blame for its provider.
func TestMemoryOfAnswers(t *testing.T) {
	long := strings.Replace(hello, "hi", strings.Repeat("word ", 400_000), 1)
	for kind, text := range map[string]string{"application/json": long, "text/event-stream": "data: " + strings.Replace(long, "message", "delta", 1) + "\n\ndata: [DONE]\n\n"} {
		r := newRig(t, pairConfig+"limits: {memory_mb: 4}\nbreaker: {failures: 1}\nretry: {retries: 0}", map[string]http.Handler{"a": said(200, kind, text), "b": said(200, kind, text)})
		for range 3 {
			got := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion, fmt.Sprintf(`"stream":%v`, kind != "application/json")))
			if got.status != 503 || !strings.Contains(got.body, "out_of_memory") || got.header.Get("Retry-After") == "" {
				t.Errorf("%s: status %d: %.300s", kind, got.status, got.body)
			}
		}
		if n := len(r.records.list()); n != 3 {
			t.Errorf("%s: %d records of three calls", kind, n)
		}
	}
}

// A provider that sends chunks without content for ever is given up.
func TestContentlessChunks(t *testing.T) {
	var sent atomic.Int64
	endless := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		chunk := "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}],\"pad\":\"" + strings.Repeat("x", 1000) + "\"}\n\n"
		for r.Context().Err() == nil {
			n, err := io.WriteString(w, chunk)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	})
	const whole = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
	r := newRig(t, pairConfig+"retry: {retries: 0}", map[string]http.Handler{"a": endless, "b": said(200, "text/event-stream", whole)})
	got := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion, `"stream":true`))
	if !strings.Contains(got.body, "hi") {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	if first := r.records.list()[0]; first.Outcome != record.FellBack || first.ErrorCode != "no_content" {
		t.Errorf("recorded %s %s", first.Outcome, first.ErrorCode)
	}
	if n := sent.Load(); n > 16<<20 { // including what the connection's buffers hold
		t.Errorf("the gateway took %d bytes", n)
	}
}

// dial opens a connection and sends the beginning of a request.
func dial(t *testing.T, url, text string) net.Conn {
	t.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	if _, err := io.WriteString(connection, text); err != nil {
		t.Fatal(err)
	}
	return connection
}

const slowBody = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"

// Requests that have not arrived as a whole take no place of others.
func TestSlowBodiesTakeNoPlaces(t *testing.T) {
	_, url, stop := listening(t, simulatedConfig+"limits: {requests: 2, connections: 100, read_timeout: 3s}", map[string]http.Handler{"sim": said(200, "application/json", hello)})
	defer stop()
	for range 20 {
		dial(t, url, slowBody)
	}
	time.Sleep(50 * time.Millisecond) // until their headers were read
	if got := (&rig{url: url}).post(t, "/v1/chat/completions", chat("auto", sumQuestion)); got.status != 200 {
		t.Errorf("status %d: %s", got.status, got.body)
	}
}

// A body may arrive slowly, but not more slowly than the lowest rate.
func TestSlowBodies(t *testing.T) {
	_, url, stop := listening(t, simulatedConfig+"limits: {read_timeout: 900ms}", map[string]http.Handler{"sim": said(200, "application/json", hello)})
	defer stop()
	body := chat("auto", strings.Repeat("word ", 20_000))
	head := fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", len(body))
	steady, trickling := dial(t, url, head), dial(t, url, head)
	go func() {
		for part := range strings.SplitAfterSeq(body, " ") { // in about half a second, longer than a third of the timeout
			if _, err := io.WriteString(trickling, part[:1]); err != nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	for i := 0; i < len(body); i += 2000 {
		if _, err := io.WriteString(steady, body[i:min(i+2000, len(body))]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	for connection, want := range map[net.Conn]string{steady: "HTTP/1.1 200", trickling: "HTTP/1.1 408"} {
		got := make([]byte, len(want))
		connection.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.ReadFull(connection, got); err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}

// If there are too many connections, those that send no whole request make room, and
// those that wait for an answer stay.
func TestConnections(t *testing.T) {
	arrived, proceed := make(chan struct{}, 1), make(chan struct{})
	provider := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		<-proceed
		io.WriteString(w, hello)
	})
	_, url, stop := listening(t, simulatedConfig+"limits: {connections: 10, read_timeout: 3s}", map[string]http.Handler{"sim": provider})
	defer stop()
	body := chat("auto", sumQuestion)
	waiting := dial(t, url, fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	<-arrived
	var half []net.Conn
	for i := range 30 {
		half = append(half, dial(t, url, []string{"", "POST /v1/chat/completions HTTP/1.1\r\nHost: loc", slowBody}[i%3]))
	}
	close(proceed)
	if got := (&rig{url: url}).post(t, "/v1/chat/completions", body); got.status != 200 {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	waitFor(t, func() bool { // no more than 10 are open
		half = slices.DeleteFunc(half, func(c net.Conn) bool {
			c.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, err := c.Read(make([]byte, 1))
			return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
		})
		return len(half) < 10
	})
	waiting.SetReadDeadline(time.Now().Add(5 * time.Second))
	got := make([]byte, 12)
	if _, err := io.ReadFull(waiting, got); err != nil || string(got) != "HTTP/1.1 200" {
		t.Errorf("the connection that waited for an answer got %q, %v", got, err)
	}
}

package simulate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot/internal/wire"
)

const example = `A stream that breaks.
It has two lines of comment.
-- request --
{"model":"m"}
-- response --
HTTP/1.1 429 Too Many Requests
Retry-After: 1

slow down
-- response --
(pause 1ms)
HTTP/1.1 200 OK
Content-Type: text/event-stream

data: 1

(pause 50ms)
data: 2
(cut mid-line)
`

func TestParseScript(t *testing.T) {
	s, err := ParseScript([]byte(example))
	if err != nil {
		t.Fatal(err)
	}
	if want := "A stream that breaks.\nIt has two lines of comment."; s.Comment != want {
		t.Errorf("comment = %q, want %q", s.Comment, want)
	}
	if string(s.Request) != `{"model":"m"}` {
		t.Errorf("request = %q", s.Request)
	}
	want := []Response{
		{Status: 429, Header: http.Header{"Retry-After": {"1"}}, Body: []Step{{Text: []byte("slow down\n")}}},
		{Before: []Step{{Then: ThenPause, Pause: time.Millisecond}}, Status: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: []Step{
			{Text: []byte("data: 1\n\n"), Then: ThenPause, Pause: 50 * time.Millisecond},
			{Text: []byte("data: 2"), Then: ThenCut}}},
	}
	if diff := cmp.Diff(want, s.Responses); diff != "" {
		t.Errorf("responses (-want +got):\n%s", diff)
	}
}

func TestParseScriptErrors(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if _, err := ParseScript([]byte(text)); err == nil || err.Error() != "parse script: "+want {
			t.Errorf("ParseScript(%q) = %v, want %q", text, err, "parse script: "+want)
		}
	}
	const ok = "-- response --\nHTTP/1.1 200 OK\n\n"
	f("only a comment\n", `line 2: the section "response" is missing`)
	f("-- request --\n-- request --\n", `line 2: unexpected section "request": want one request and then responses`)
	f("-- answer --\n", `line 1: unexpected section "answer": want one request and then responses`)
	f("-- response --\n", `line 2: status line "": want, for example, "HTTP/1.1 200 OK"`)
	f("-- response --\n200 OK\n\n", `line 2: status line "200 OK": want, for example, "HTTP/1.1 200 OK"`)
	f("-- response --\nHTTP/1.1 99 No\n\n", `line 2: status line "HTTP/1.1 99 No": want, for example, "HTTP/1.1 200 OK"`)
	f("-- response --\n(end)\nHTTP/1.1 200 OK\n\n", `line 2: (end) before the status line`)
	f("-- response --\n(hang)\nHTTP/1.1 200 OK\n\n", `line 3: "HTTP/1.1 200 OK" comes after the end and can never be sent`)
	f(ok+"(cut)\nmore\n", `line 5: "more" comes after the end and can never be sent`)
	f(ok+"(pause soon)\n", `line 4: "(pause soon)": want, for example, "(pause 50ms)"`)
}

// each runs f with every script in testdata.
func each(t *testing.T, f func(t *testing.T, api wire.API, name string, s *Script)) {
	t.Helper()
	files, err := fs.Glob(os.DirFS("testdata/scripts"), "*/*.txt")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d scripts (%v)", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(file, ".txt"), func(t *testing.T) {
			data, err := os.ReadFile("testdata/scripts/" + file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := ParseScript(data)
			if err != nil {
				t.Fatal(err)
			}
			f(t, wire.API(path.Dir(file)), strings.TrimSuffix(path.Base(file), ".txt"), s)
		})
	}
}

// TestScripts checks that the files hold valid JSON and valid streams, unless their
// names say otherwise.
func TestScripts(t *testing.T) {
	each(t, func(t *testing.T, api wire.API, name string, s *Script) {
		if s.Comment == "" || !gjson.ValidBytes(s.Request) {
			t.Errorf("comment %q, request %s", s.Comment, s.Request)
		}
		for i, r := range s.Responses {
			var body []byte
			for _, step := range r.Body {
				body = append(body, step.Text...)
			}
			if strings.HasPrefix(r.Header.Get("Content-Type"), "text/event-stream") {
				if !gjson.GetBytes(s.Request, "stream").Bool() && name != "stream_for_whole" {
					t.Errorf("a stream for a request that did not ask for one")
				}
				checkStream(t, name, body)
			} else if r.Status != 0 && !gjson.ValidBytes(bytes.TrimPrefix(body, []byte("\ufeff"))) {
				t.Errorf("response %d is not JSON: %s", i, body)
			}
		}
	})
}

func checkStream(t *testing.T, name string, body []byte) {
	t.Helper()
	d, bad := wire.NewDecoder(strings.NewReader(string(body))), 0
	for {
		e, err := d.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			if name != "cut_connection" {
				t.Error(err)
			}
			return
		}
		if !e.IsDone() && !gjson.ValidBytes(e.Data) {
			bad++
		}
		if e.Name != "" && e.Name != gjson.GetBytes(e.Data, "type").Str && gjson.ValidBytes(e.Data) {
			t.Errorf("event %q contains %s", e.Name, e.Data)
		}
	}
	want := 0
	if name == "malformed_chunk" {
		want = 1
	}
	if bad != want {
		t.Errorf("%d events are not JSON, want %d", bad, want)
	}
}

// TestReplay replays every script to a client with a timeout.
func TestReplay(t *testing.T) {
	each(t, func(t *testing.T, api wire.API, name string, s *Script) {
		if strings.HasPrefix(name, "hang") {
			t.Parallel()
		}
		server := httptest.NewServer(s)
		defer server.Close()
		client := server.Client()
		defer client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
		defer cancel()
		body, err := post(ctx, client, server.URL+"/v1/"+api.Path(), s.Request)
		switch {
		case strings.HasPrefix(name, "hang"):
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want a deadline exceeded", err)
			}
		case strings.HasPrefix(name, "cut"):
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("got %v, want a cut connection", err)
			}
		case err != nil:
			t.Error(err)
		case string(body) != string(text(s.Responses[0])):
			t.Errorf("got %s", body)
		}
		got := s.Requests()
		// The HTTP client may repeat a request that got no answer.
		if len(got) == 0 || got[0].Path != "/v1/"+api.Path() || string(got[0].Body) != string(s.Request) || got[0].Header.Get("X-Test") != "yes" {
			t.Errorf("requests = %+v", got)
		}
	})
}

func text(r Response) (b []byte) {
	for _, step := range r.Body {
		b = append(b, step.Text...)
	}
	return b
}

func post(ctx context.Context, client *http.Client, url string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(string(body)))
	if err != nil {
		return nil, err
	}
	request.Header.Set("X-Test", "yes")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	return io.ReadAll(response.Body)
}

func TestScriptSuccession(t *testing.T) {
	s, err := ParseScript([]byte("-- response --\nHTTP/1.1 429 Slow\n\none\n-- response --\nHTTP/1.1 200 OK\n\ntwo\n"))
	if err != nil {
		t.Fatal(err)
	}
	call := func(status int, body string) {
		t.Helper()
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}")))
		if w.Code != status || w.Body.String() != body {
			t.Errorf("got %d %q, want %d %q", w.Code, w.Body, status, body)
		}
	}
	call(429, "one\n")
	call(200, "two\n")
	call(200, "two\n")
	s.Reset()
	call(429, "one\n")
}

func FuzzParseScript(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte("-- response --\n(cut)\n"))
	f.Add([]byte("-- response --\nHTTP/1.1 200 OK\r\nA: b\r\n\r\n\r\n(cut mid-line)\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseScript(data)
		if err != nil {
			if s != nil {
				t.Error("ParseScript returns both a script and an error")
			}
			return
		}
		total := len(s.Request)
		for _, r := range s.Responses {
			if r.Status == 0 && (len(r.Before) == 0 || r.Body != nil) {
				t.Errorf("response %+v", r)
			}
			total += len(text(r))
		}
		if total > len(data) {
			t.Errorf("the bodies have %d bytes, more than the %d of the input", total, len(data))
		}
	})
}

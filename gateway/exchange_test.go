package gateway_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot/internal/simulate"
	"github.com/carrot-router/carrot/record"
)

// twoProviders has a model at a provider that follows a script, and a worse model at a
// provider that always answers.
const twoProviders = `
providers:
  - {name: scripted, kind: KIND, base_url: $scripted/v1, apis: [API]}
  - {name: standby, kind: KIND, base_url: $standby/v1, apis: [API]}
models:
  - {name: gpt-4o-2024-08-06, provider: scripted, upstream: gpt-4o-mini-2024-07-18}
  - {name: gemma-2-2b-it, provider: standby}
policies:
  - {name: auto, objective: quality}
timeouts: {first_token: 300ms, total: 700ms}
retry: {retries: 1, backoff: 1ms, max_wait: 1ms}
`

// eachScript runs a test for every script of an API, each with a gateway of its own.
// request is the script's request, but for the policy auto.
func eachScript(t *testing.T, api string, run func(t *testing.T, r *rig, name string, script *simulate.Script, request []byte)) {
	files, err := filepath.Glob("../internal/simulate/testdata/scripts/" + api + "/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d scripts of %s, %v", len(files), api, err)
	}
	kind := "openai"
	if api == "messages" {
		kind = "anthropic"
	}
	config := strings.NewReplacer("KIND", kind, "API", api).Replace(twoProviders)
	for _, file := range files {
		name := api + "/" + strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			script, err := simulate.ParseScript(data)
			if err != nil {
				t.Fatal(err)
			}
			standby := &simulate.Provider{Models: []simulate.Model{{Name: "gemma-2-2b-it", OutputTokens: 3}}}
			r := newRig(t, config, map[string]http.Handler{"scripted": script, "standby": standby})
			run(t, r, name, script, bytes.Replace(script.Request, []byte(`"model":"`+modelOf(script.Request)+`"`), []byte(`"model":"auto"`), 1))
		})
	}
}

// For every script, the client's answer and the records are as in testdata/exchange.
// -update rewrites the files.
func TestExchanges(t *testing.T) {
	for api, path := range map[string]string{"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"} {
		eachScript(t, api, func(t *testing.T, r *rig, name string, script *simulate.Script, request []byte) {
			a := r.post(t, path, string(request))
			got := fmt.Sprintf("%s\n-- client --\n%s-- records --\n%s", script.Comment, transcript(a), summary(r.records.list()))
			golden(t, filepath.Join("testdata", "exchange", filepath.FromSlash(name)+".txt"), got)
			for i, received := range script.Requests() {
				if want := bytes.Replace(script.Request, []byte(`"model":"`+modelOf(script.Request)), []byte(`"model":"gpt-4o-mini-2024-07-18`), 1); i == 0 && !sameButOptions(received.Body, want) {
					t.Errorf("the provider got\n%s\nwant\n%s", received.Body, want)
				}
			}
		})
	}
}

// crossing has a model at a provider that follows a script. The provider has only the
// API of the script.
const crossing = `
providers:
  - {name: scripted, kind: KIND, base_url: $scripted/v1, apis: [API]}
models:
  - {name: gpt-4o-2024-08-06, provider: scripted, upstream: gpt-4o-mini-2024-07-18}
policies:
  - {name: auto, objective: quality}
timeouts: {first_token: 300ms, total: 700ms}
retry: {retries: 0}
`

// crossed are the scripts that clients of other APIs see too.
var crossed = []string{"tool_call", "tool_call_stream", "whole_for_stream", "stream_for_whole", "no_message_stop", "only_done", "context_length_exceeded",
	"rate_limited_retry_after", "not_found_404", "midstream_error_before_content", "midstream_error_after_content", "cut_connection"}

// Clients of another API than the provider's get the answer, or the error, in the form
// and the words of their own.
func TestCrossedExchanges(t *testing.T) {
	bodies := map[string]string{
		"chat":      `{"model":"auto","messages":[{"role":"user","content":"What is the capital of France?"}]MORE}`,
		"messages":  `{"model":"auto","max_tokens":1024,"messages":[{"role":"user","content":"What is the capital of France?"}]MORE}`,
		"responses": `{"model":"auto","input":"What is the capital of France?"MORE}`,
	}
	paths := map[string]string{"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
	for client, body := range bodies {
		for api := range bodies {
			for _, name := range crossed {
				data, err := os.ReadFile("../internal/simulate/testdata/scripts/" + api + "/" + name + ".txt")
				if client == api || err != nil { // some scripts are of one API only
					continue
				}
				t.Run(client+"-"+api+"/"+name, func(t *testing.T) {
					t.Parallel()
					script, err := simulate.ParseScript(data)
					if err != nil {
						t.Fatal(err)
					}
					kind, more := "openai", ""
					if api == "messages" {
						kind = "anthropic"
					}
					if streams(script.Request) {
						more = `,"stream":true`
					}
					r := newRig(t, strings.NewReplacer("KIND", kind, "API", api).Replace(crossing), map[string]http.Handler{"scripted": script})
					a := r.post(t, paths[client], strings.Replace(body, "MORE", more, 1))
					golden(t, filepath.Join("testdata", "exchange", client+"-"+api, name+".txt"), fmt.Sprintf("%s\n-- client --\n%s-- records --\n%s", script.Comment, transcript(a), summary(r.records.list())))
				})
			}
		}
	}
}

var modelField = regexp.MustCompile(`"model":"([^"]*)"`)

func modelOf(request []byte) string { return string(modelField.FindSubmatch(request)[1]) }

// sameButOptions reports whether the provider received what the client sent, except for
// the stream options that the gateway adds.
func sameButOptions(got, sent []byte) bool {
	return bytes.Equal(got, sent) || bytes.Equal(bytes.Replace(got, []byte(`"stream_options":{"include_usage":true},`), nil, 1), sent) ||
		bytes.Equal(bytes.Replace(got, []byte(`"include_usage":true,`), nil, 1), sent)
}

// changing matches text that differs from run to run.
var changing = regexp.MustCompile(`req_[A-Z2-7]{26}|[a-z]+[-_]?sim[0-9a-z]{10,}|fp_simulated|"created(_at)?":[0-9]+`)

func transcript(a answer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", a.status)
	for _, name := range slices.Sorted(maps.Keys(a.header)) {
		switch name {
		case "Date", "X-Carrot-Request-Id", "X-Request-Id", "Request-Id", "X-Carrot-Overhead-Ms", "Content-Length":
			continue
		}
		fmt.Fprintf(&b, "%s: %s\n", name, a.header.Get(name))
	}
	fmt.Fprintf(&b, "\n%s", a.body)
	if !strings.HasSuffix(a.body, "\n") {
		b.WriteByte('\n')
	}
	if cost := a.trailer.Get("X-Carrot-Cost"); cost != "" {
		fmt.Fprintf(&b, "X-Carrot-Cost: %s\n", cost)
	}
	if a.err != nil {
		fmt.Fprintf(&b, "error: %v\n", a.err)
	}
	return changing.ReplaceAllString(b.String(), "…")
}

func summary(all []*record.Attempt) string {
	var b strings.Builder
	for _, a := range all {
		fmt.Fprintf(&b, "%d %s at %s (%s): %s", a.Number, a.Candidate, a.Provider, a.UpstreamModel, a.Outcome)
		if a.Status > 0 {
			fmt.Fprintf(&b, ", status %d", a.Status)
		}
		if a.ErrorCode != "" {
			fmt.Fprintf(&b, ", %s: %s", a.ErrorCode, a.Error)
		}
		u := a.Usage
		fmt.Fprintf(&b, "; {Input:%d CachedInput:%d CacheWrite:%d Output:%d Reasoning:%d}", u.Input, u.CachedInput, u.CacheWrite, u.Output, u.Reasoning)
		if u.Details != nil {
			fmt.Fprintf(&b, " and %+v", *u.Details)
		}
		if a.Estimated {
			b.WriteString(" estimated")
		}
		if a.CostUnknown {
			b.WriteString(", cost unknown\n")
			continue
		}
		fmt.Fprintf(&b, ", %v\n", a.Cost)
	}
	return changing.ReplaceAllString(b.String(), "…")
}

// golden compares text with a file, or writes the file if -update is set.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if flag.Lookup("update").Value.String() == "true" { // defined in config_test.go
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: run go test ./gateway -run %s -update", err, t.Name())
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

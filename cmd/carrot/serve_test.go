package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/carrot-router/carrot/gateway"
)

// output is a buffer for what a command writes, which can be read while the command runs.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// find waits until the output matches, and returns the match of the pattern's last group.
func (o *output) find(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if m := re.FindStringSubmatch(o.String()); m != nil {
			return m[len(m)-1]
		}
	}
	t.Fatalf("no %s in the output:\n%s", pattern, o)
	return ""
}

// serving runs carrot serve until stop is called, which returns the exit status.
func serving(t *testing.T, args ...string) (out, log *output, stop func() int) {
	t.Helper()
	return runUntil(t, "serve", args...)
}

// runUntil runs a command until stop is called, which returns the exit status.
func runUntil(t *testing.T, command string, args ...string) (out, log *output, stop func() int) {
	t.Helper()
	out, log = &output{}, &output{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, append([]string{command}, args...), terminal{strings.NewReader(""), out, log})
	}()
	return out, log, func() int {
		cancel()
		return <-ended
	}
}

func ask(t *testing.T, url, model string) (status int, body string) {
	t.Helper()
	status, body, _ = askCost(t, url, model)
	return status, body
}

func askCost(t *testing.T, url, model string) (status int, body, cost string) {
	t.Helper()
	response, err := http.Post(url, "application/json", strings.NewReader(`{"model":"`+model+`","max_tokens":3,"messages":[{"role":"user","content":"What is 17 * 23?"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(data), response.Header.Get("X-Carrot-Cost")
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The demo serves simulated models, prints examples, and stops.
func TestServeDemo(t *testing.T) {
	out, _, stop := serving(t, "--demo", "--listen", "127.0.0.1:0")
	url := out.find(t, `simulated models at (http://\S+)\.`)
	for range 8 { // some of them fail at first
		status, body := ask(t, url+"/v1/chat/completions", "auto")
		var answer struct {
			Model   string
			Choices []json.RawMessage
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 200 || len(answer.Choices) != 1 {
			t.Fatalf("status %d, %v: %s", status, err, body)
		}
	}
	for _, what := range []string{"curl -i " + url, "from openai import OpenAI", "from anthropic import Anthropic"} {
		if !strings.Contains(out.String(), what) {
			t.Errorf("no %q in the output:\n%s", what, out)
		}
	}
	if status := stop(); status != 0 {
		t.Errorf("status %d when stopped", status)
	}
	http.DefaultClient.CloseIdleConnections()
}

// fetched returns what an address answers.
func fetched(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != 200 {
		t.Fatalf("%s: status %d, %v: %s", url, response.StatusCode, err, body)
	}
	return string(body)
}

// The demo sends itself requests of several clients, and answers whoever has no key, too.
func TestServeDemoTraffic(t *testing.T) {
	if status := run(t.Context(), []string{"serve", "--traffic", "--config", "carrot.yaml"}, terminal{strings.NewReader(""), io.Discard, io.Discard}); status != 2 {
		t.Errorf("--traffic without --demo: status %d", status)
	}
	out, log, stop := serving(t, "--demo", "--traffic", "--listen", "127.0.0.1:0")
	url := out.find(t, `simulated models at (http://\S+)\.`)
	if status, body := ask(t, url+"/v1/chat/completions", "auto"); status != 200 {
		t.Errorf("without a key: status %d: %s", status, body)
	}
	admin := out.find(t, `in a browser: (http://\S+)`)
	for _, want := range []string{`policy="support",status="200"`, `policy="auto",status="200"`} {
		for started := time.Now(); ; time.Sleep(50 * time.Millisecond) {
			if metrics := fetched(t, admin+"/metrics"); strings.Contains(metrics, want) {
				break
			}
			if time.Since(started) > time.Minute {
				t.Fatalf("no request with %s", want)
			}
		}
	}
	if list := fetched(t, admin+"/keys"); strings.Count(list, `"source":"store"`) != 4 {
		t.Errorf("the clients are %s", list)
	}
	if status := stop(); status != 0 || log.String() != "" {
		t.Errorf("status %d when stopped, and logged %s", status, log)
	}
	http.DefaultClient.CloseIdleConnections()
}

// A changed configuration or price is applied while requests are served, and a bad one is
// not. Attempts are recorded, and the admin address has metrics.
func TestServeConfig(t *testing.T) {
	providers, _, stopDemo := serving(t, "--demo", "--listen", "127.0.0.1:0")
	defer stopDemo()
	upstream := providers.find(t, `simulated models at (http://\S+)\.`)
	folder := t.TempDir()
	config := filepath.Join(folder, "carrot.yaml")
	write := func(more string) {
		t.Helper()
		text := fmt.Sprintf(`
listen: 127.0.0.1:0
admin_listen: 127.0.0.1:0
record: {path: decisions.jsonl}
providers: [{name: up, kind: openai, base_url: "%s/v1"}]
models:
  - {name: gpt-4o-mini-2024-07-18, provider: up}
  - {name: deepseek-v2.5-0908, provider: up}
%s`, upstream, more)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	_, log, stop := serving(t, "--config", config)
	url := "http://" + log.find(t, `"address":"([^"]+)"`) + "/v1/chat/completions"
	admin := "http://" + log.find(t, `"admin":"([^"]+)"`)
	if status, body := ask(t, url, "fresh"); status != 404 || !strings.Contains(body, `unknown model`) {
		t.Fatalf("before: status %d: %s", status, body)
	}
	write("policies: [{name: fresh}]")
	log.find(t, `"reloaded"`)
	if status, body := ask(t, url, "fresh"); status != 200 {
		t.Errorf("after a reload: status %d: %s", status, body)
	}
	write("polices: []")
	log.find(t, `"level":"ERROR","msg":"reload".*did you mean`)
	if status, body := ask(t, url, "fresh"); status != 200 {
		t.Errorf("after a bad reload: status %d: %s", status, body)
	}
	write("prices: prices.json\npolicies: [{name: fresh}]")
	log.find(t, `"level":"ERROR","msg":"reload".*prices.json`) // which does not exist yet
	reloads := strings.Count(log.String(), `"reloaded"`)
	set := func(price string) {
		t.Helper()
		if status := run(t.Context(), []string{"price", "set", filepath.Join(folder, "prices.json"), "deepseek-v2.5-0908", "--input", price, "--output", price, "--date", "2026-11-01", "--source", "test"},
			terminal{strings.NewReader(""), io.Discard, os.Stderr}); status != 0 {
			t.Fatal("carrot price set failed")
		}
		reloads++
		log.find(t, fmt.Sprintf(`(?s)(?:"reloaded".*){%d}`, reloads))
	}
	set("1") // creates the file
	_, _, one := askCost(t, url, "deepseek-v2.5-0908")
	set("10")
	_, _, ten := askCost(t, url, "deepseek-v2.5-0908")
	if a, b := number(t, one), number(t, ten); a <= 0 || math.Abs(b-10*a) > 1e-12 {
		t.Errorf("cost %s, and %s at ten times the price", one, ten)
	}
	if response, err := http.Post(admin+"/reload", "", nil); err != nil || response.StatusCode != 200 {
		t.Errorf("POST /reload: %v, %v", response, err)
	}
	reloads++
	// The file of records is renamed, as in log rotation, and a new one is opened.
	records := filepath.Join(folder, "decisions.jsonl")
	if err := os.Rename(records, records+".1"); err != nil {
		t.Fatal(err)
	}
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Signal(syscall.SIGHUP)
	}
	if err != nil {
		t.Fatal(err)
	}
	reloads++
	log.find(t, fmt.Sprintf(`(?s)(?:"reloaded".*){%d}`, reloads))
	if status, body := ask(t, url, "fresh"); status != 200 {
		t.Errorf("after SIGHUP: status %d: %s", status, body)
	}
	response, err := http.Get(admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || !strings.Contains(string(metrics), `carrot_requests_total`) || !strings.Contains(string(metrics), "go_goroutines") {
		t.Errorf("%v: metrics are\n%.2000s", err, metrics)
	}
	checkDocumented(t, metrics)
	http.DefaultClient.CloseIdleConnections()
	if status := stop(); status != 0 {
		t.Errorf("status %d when stopped:\n%s", status, log)
	}
	if moved, err := os.ReadFile(records + ".1"); err != nil || bytes.Count(moved, []byte("\n")) < 2 {
		t.Errorf("%v: records before SIGHUP are\n%s", err, moved)
	}
	lines, err := os.ReadFile(records)
	if err != nil || bytes.Count(lines, []byte("\n")) < 1 || !bytes.Contains(lines, []byte(`"policy":"fresh"`)) {
		t.Errorf("%v: records are\n%s", err, lines)
	}
	if strings.Contains(log.String()+string(lines), "17 * 23") {
		t.Error("the prompt is in the log or in the records")
	}
}

// Changes of a client's key file are noticed, even while it is read or after it was wrong.
// Each change causes one reload.
func TestServeKeyFileChanged(t *testing.T) {
	folder := t.TempDir()
	key, prices, config := filepath.Join(folder, "key"), filepath.Join(folder, "prices.json"), filepath.Join(folder, "carrot.yaml")
	meanwhile := func() {}
	s := &service{open: func(reading func(string)) (*gateway.File, error) {
		c, err := gateway.OpenFile(config, os.LookupEnv, reading)
		meanwhile()
		return c, err
	}}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := func(name string, loads bool) {
		t.Helper()
		if s.seen != nil && !s.changed() {
			t.Errorf("%s: the change is not noticed", name)
		}
		if _, _, err := s.load(); (err == nil) != loads {
			t.Errorf("%s: %v", name, err)
		}
	}
	once := func(name string, loads bool) {
		t.Helper()
		f(name, loads)
		if s.changed() {
			t.Errorf("%s: the change is noticed twice", name)
		}
	}
	const good = "client-0123456789abcdef"
	const noPrices = `{"schema":"carrot.prices/1","unit":"USD per million tokens","models":[]}`
	write(prices, noPrices)
	write(config, `{providers: [{name: up, kind: openai}], models: [{name: gpt-4o-mini-2024-07-18, provider: up}], prices: prices.json, clients: [{name: c, key_file: key}]}`)
	once("no key file", false)
	write(key, good)
	once("a new key file", true)
	write(key, "short")
	write(prices, noPrices+"\n")
	once("a bad key and other prices", false)
	write(key, good)
	once("the same key as before", true)
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	once("a deleted key file", false)
	write(prices, noPrices)
	once("other prices without a key file", false)
	write(key, good)
	meanwhile = func() { write(key, good+"-2") }
	f("a key that changes after it is read", true)
	meanwhile = func() {}
	once("the changed key", true)
	s.seen = nil // as if the configuration named the file for the first time
	meanwhile = func() { write(key, good) }
	f("a key that changes after it is first read", true)
	meanwhile = func() {}
	once("the key that has changed again", true)
	if err := os.Chmod(key, 0o400); err != nil {
		t.Fatal(err)
	}
	once("other permissions of the key file", true)
}

// A file that changes while it is read is noticed as changed.
func TestServeChangedMeanwhile(t *testing.T) {
	folder := t.TempDir()
	prices, config := filepath.Join(folder, "prices.json"), filepath.Join(folder, "carrot.yaml")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const text = `{providers: [{name: up, kind: openai, base_url: "http://127.0.0.1:9/v1"}], models: [{name: gpt-4o-mini-2024-07-18, provider: up}], prices: prices.json}`
	var meanwhile func()
	s := &service{open: func(reading func(string)) (*gateway.File, error) {
		c, err := gateway.OpenFile(config, os.LookupEnv, reading)
		meanwhile()
		return c, err
	}}
	f := func(name string, change func(), loads, changed bool) {
		t.Helper()
		meanwhile = change
		if _, _, err := s.load(); (err == nil) != loads {
			t.Errorf("%s: %v", name, err)
		}
		if got := s.changed(); got != changed {
			t.Errorf("%s: changed %v, want %v", name, got, changed)
		}
	}
	nothing := func() {}
	write(config, text)
	f("no file of prices", nothing, false, false)
	write(prices, `{"schema":"carrot.prices/1","unit":"USD per million tokens","models":[]}`)
	if !s.changed() {
		t.Error("a new file of prices is not noticed")
	}
	f("no change", nothing, true, false)
	f("a change during the reading", func() { write(config, text+"\n") }, true, true)
	f("no further change", nothing, true, false)
	write(config, "{")
	f("a bad configuration", nothing, false, false)
	write(prices, `{}`)
	if !s.changed() {
		t.Error("the prices of the configuration in use are not watched")
	}
	write(config, text)
	f("a change during the reading, with bad prices", func() { write(config, text+"\n\n") }, false, true)
}

// Command memory measures how much memory carrot serve takes at most while it serves
// long and hostile requests, and writes a Markdown table: see runs/memory.sh.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// config is the configuration of deploy/carrot.yaml without its store, but with one provider for each API,
// so that requests are translated, and with free ports.
const config = `listen: %s
admin_listen: "off"
providers:
  - {name: openai, kind: openai, base_url: %[2]s/v1, apis: [chat]}
  - {name: responses, kind: openai, base_url: %[2]s/v1, apis: [responses]}
  - {name: claude, kind: anthropic, base_url: %[2]s/v1}
models:
  - {name: gpt-4o-mini-2024-07-18, provider: openai}
  - {name: gpt-4o-2024-08-06, provider: responses}
  - {name: claude-3-5-haiku-20241022, provider: claude}
limits: {%s}
`

// load is what clients send at the same time, for a few seconds.
type load struct {
	name    string
	body    string // of each request
	clients int
	raw     bool // body is the beginning of a request as sent; more never follows
}

func text(bytes int) string {
	return `{"model":"auto","messages":[{"role":"user","content":"` + strings.Repeat("ten bytes ", bytes/10) + `"}]}`
}

func messages(n int) string {
	return `{"model":"auto","messages":[` + strings.Repeat(`{"role":"user","content":"a"},`, n-1) + `{"role":"user","content":"a"}]}`
}

var loads = []load{
	{name: "no request", clients: 0},
	{"bodies of 1 KB", text(1000), 200, false},
	{"bodies of 100 KB", text(100_000), 50, false},
	{"bodies of 1 MB", text(1_000_000), 20, false},
	{"bodies of 3 MB", text(3_000_000), 20, false},
	{"bodies of 7 MB", text(7_000_000), 20, false},
	{"bodies of 20 MB", text(20_000_000), 20, false},
	{"50,000 messages each", messages(50_000), 20, false},
	{"700,000 messages each", messages(700_000), 20, false},
	{"1,000 bodies that stall", "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n" + strings.Repeat("{", 50_000), 1000, true},
	{"5,000 headers that stall", "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX-Long: " + strings.Repeat("x", 60_000), 5000, true},
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "runs/memory:", err)
		os.Exit(1)
	}
}

func run() error {
	carrot := flag.String("carrot", "", "the binary to measure")
	limits := flag.String("limits", "requests: 300, connections: 600", "the gateway's limits, as in its configuration")
	memory := flag.String("memory", "384MiB", "GOMEMLIMIT")
	store := flag.String("store", "", "the DSN of a store, which every gateway uses in turn; empty: none")
	most := flag.Int("most", 512, "fail if the process takes more than so many MiB; 0: never")
	length := flag.Duration("length", 3*time.Second, "how long each load lasts")
	only := flag.String("only", "", "only the loads whose names match a regular expression")
	flag.Parse()
	match, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	upstream := httptest.NewServer(http.HandlerFunc(answer))
	defer upstream.Close()
	fmt.Printf("| load | clients | peak memory | answers |\n|---|---:|---:|---|\n")
	var over []string
	for _, l := range loads {
		if !match.MatchString(l.name) {
			continue
		}
		peak, answers, err := measure(*carrot, *memory, *limits, *store, upstream.URL, l, *length)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		fmt.Printf("| %s | %d | %d MiB | %s |\n", l.name, l.clients, peak, answers)
		if *most > 0 && peak > *most {
			over = append(over, fmt.Sprintf("%s: %d MiB, want at most %d", l.name, peak, *most))
		}
	}
	if over != nil {
		return errors.New(strings.Join(over, "\n"))
	}
	return nil
}

// answer answers in the API that was called, after a while.
func answer(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	time.Sleep(50 * time.Millisecond)
	w.Header().Set("Content-Type", "application/json")
	switch filepath.Base(r.URL.Path) {
	case "messages":
		io.WriteString(w, `{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"Hi."}],"stop_reason":"end_turn","usage":{"input_tokens":9,"output_tokens":2}}`)
	case "responses":
		io.WriteString(w, `{"id":"r","object":"response","status":"completed","model":"m","output":[{"type":"message","id":"i","role":"assistant","status":"completed","content":[{"type":"output_text","text":"Hi.","annotations":[]}]}],"usage":{"input_tokens":9,"output_tokens":2}}`)
	default:
		io.WriteString(w, `{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi."},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2}}`)
	}
}

// measure starts the gateway, sends it a load, and returns its peak memory in MiB and
// how many answers of each status clients received.
func measure(carrot, memory, limits, store, upstream string, l load, length time.Duration) (peak int, answers string, err error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, "", err
	}
	address := free.Addr().String()
	free.Close()
	dir, err := os.MkdirTemp("", "carrot-memory")
	if err != nil {
		return 0, "", err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "carrot.yaml")
	text := fmt.Appendf(nil, config, address, upstream, limits)
	if store != "" {
		text = fmt.Appendf(text, "store: %q\njournal: %q\n", store, filepath.Join(dir, "journal"))
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return 0, "", err
	}
	var log bytes.Buffer
	command := exec.Command(carrot, "serve", "--config", file)
	command.Env, command.Stderr = append(os.Environ(), "GOMEMLIMIT="+memory), &log
	if err := command.Start(); err != nil {
		return 0, "", err
	}
	defer func() {
		command.Process.Kill()
		command.Wait()
	}()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if response, err := http.Get("http://" + address + "/ready"); err == nil {
			response.Body.Close()
			break
		} else if time.Now().After(end) {
			return 0, "", fmt.Errorf("it does not start: %v\n%s", err, log.String())
		}
	}
	answers = l.send(address, length)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", command.Process.Pid))
	if err != nil {
		return 0, "", fmt.Errorf("the gateway has ended: %w\n%s", err, log.String())
	}
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		return 0, "", errors.New("the gateway has ended")
	}
	kilobytes, err := strconv.Atoi(string(found[1]))
	return (kilobytes + 1023) >> 10, answers, err
}

// send sends the load. At the end, a client with a short request must be served.
func (l *load) send(address string, length time.Duration) string {
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	var mu sync.Mutex
	counts := map[string]int{}
	count := func(what string) {
		mu.Lock()
		counts[what]++
		mu.Unlock()
	}
	transport := &http.Transport{MaxIdleConnsPerHost: l.clients}
	defer transport.CloseIdleConnections()
	post := func(ctx context.Context, body string) {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/v1/chat/completions", strings.NewReader(body))
		if err != nil {
			panic(err)
		}
		response, err := transport.RoundTrip(request)
		switch {
		case err == nil:
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
			count(strconv.Itoa(response.StatusCode))
		case ctx.Err() == nil:
			count("cut off")
		}
	}
	var wait sync.WaitGroup
	var opened atomic.Int64
	for range l.clients {
		wait.Go(func() {
			if !l.raw {
				for ctx.Err() == nil {
					post(ctx, l.body)
				}
				return
			}
			connection, err := net.Dial("tcp", address)
			if err != nil {
				count("not connected")
				return
			}
			defer connection.Close()
			stop := context.AfterFunc(ctx, func() { connection.SetDeadline(time.Now()) })
			defer stop()
			opened.Add(1)
			io.WriteString(connection, l.body)
			io.Copy(io.Discard, connection)
		})
	}
	if l.raw { // others are served meanwhile
		time.Sleep(length / 2)
		again, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		post(again, text(1000))
	}
	wait.Wait()
	var out []string
	for what, n := range counts {
		out = append(out, fmt.Sprintf("%s: %d", what, n))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

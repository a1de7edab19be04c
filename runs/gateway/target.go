package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// target is a proxy under test, or the upstream itself.
type target struct {
	name    string
	version string
	url     string
	admin   string // the address of a carrot's admin server
	records string // the folder that a carrot records attempts in
	store   string // the DSN of a carrot's store; empty: it has none
	header  string // of every request, "Name: value"; empty: none
	whole   bool   // it cannot stream
	command *exec.Cmd
	log     *os.File
	exited  chan struct{}

	served   int // requests, over all runs
	recorded int // attempts that a carrot recorded
	memory   []memoryAt
	samples  map[string][]sample // by the row's name
}

// memoryAt is the memory that a target holds, in bytes, after a number of
// requests.
type memoryAt struct {
	Requests int `json:"requests"`
	RSS      int `json:"rss_bytes"`
}

// freeAddress returns a loopback address that no process listens on.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// start runs the target's command, which logs to a file in the folder logs, and
// waits until the path health answers with status 200.
func (t *target) start(ctx context.Context, logs, health string, wait time.Duration, environ ...string) error {
	var err error
	if t.log, err = os.Create(filepath.Join(logs, t.name+".log")); err != nil {
		return err
	}
	t.command.Stdout, t.command.Stderr = t.log, t.log
	t.command.Env = append(os.Environ(), append(environ, "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")...)
	if err := t.command.Start(); err != nil {
		return err
	}
	t.exited = make(chan struct{})
	go func() {
		_ = t.command.Wait() // the log says how it ended
		close(t.exited)
	}()
	for end := time.Now().Add(wait); ; {
		status, _, err := fetch(ctx, http.MethodGet, t.url+health, "", "")
		if err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.exited:
			return fmt.Errorf("it exited at once: see %s", filepath.Base(t.log.Name()))
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(end) {
			return fmt.Errorf("it did not answer within %v: see %s", wait, filepath.Base(t.log.Name()))
		}
	}
}

// stop ends the target and all processes that it started.
func (t *target) stop() {
	if t.command == nil || t.exited == nil {
		return
	}
	all := tree(t.command.Process.Pid)
	_ = t.command.Process.Signal(syscall.SIGTERM) // it may have exited already
	select {
	case <-t.exited:
	case <-time.After(10 * time.Second):
	}
	for _, p := range all {
		// Kill it only if it is still the same process: ids are reused.
		if now, ok := readProcess(p.pid); ok && now.started == p.started {
			if found, err := os.FindProcess(p.pid); err == nil {
				_ = found.Kill()
			}
		}
	}
	<-t.exited
	t.log.Close()
}

// fetch sends a request and returns the status and the whole body of the answer.
// The header is "Name: value", or empty.
func fetch(ctx context.Context, method, url, header, body string) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if name, value, ok := strings.Cut(header, ": "); ok {
		r.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// probe sends one request, for a stream or not, and checks the answer: a fast
// answer counts only if it is also a right one.
func (t *target) probe(ctx context.Context, stream bool) error {
	more, want := "", `"usage"`
	if stream {
		more, want = `,"stream":true`, "data: [DONE]"
	}
	body := `{"model":"auto"` + more + `,"messages":[{"role":"user","content":"Hello"}]}`
	status, answer, err := fetch(ctx, http.MethodPost, t.url+"/v1/chat/completions", t.header, body)
	if err != nil {
		return err
	}
	if status != http.StatusOK || !strings.Contains(string(answer), want) || !strings.Contains(string(answer), `"content"`) {
		return fmt.Errorf("it does not answer as it should: status %d: %.300s", status, answer)
	}
	return nil
}

// process is what /proc says about a process.
type process struct {
	pid, parent int
	started     string // in ticks since boot
	ticks       int    // of processor time, user and system
}

func readProcess(pid int) (process, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, false
	}
	// The command's name, in parentheses, may contain any character.
	_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " ")
	f := strings.Fields(rest)
	if len(f) < 20 {
		return process{}, false
	}
	number := func(i int) int { n, _ := strconv.Atoi(f[i]); return n }
	return process{pid: pid, parent: number(1), started: f[19], ticks: number(11) + number(12)}, true
}

// tree lists a process and its descendants.
func tree(pid int) []process {
	names, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	children := map[int][]process{}
	for _, name := range names {
		id, _ := strconv.Atoi(filepath.Base(name))
		if p, ok := readProcess(id); ok {
			children[p.parent] = append(children[p.parent], p)
		}
	}
	var out []process
	if p, ok := readProcess(pid); ok {
		out = append(out, p)
	}
	for i := 0; i < len(out); i++ {
		out = append(out, children[out[i].pid]...)
	}
	return out
}

// ticksPerSecond is the unit in which Linux counts processor time, on every
// platform that Go supports.
const ticksPerSecond = 100

// processorTime returns the processor time that the target and its children have
// used so far.
func (t *target) processorTime() time.Duration {
	ticks := 0
	for _, p := range tree(t.command.Process.Pid) {
		ticks += p.ticks
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond
}

// resident returns the memory of the target and its children in bytes: what they
// hold now (field VmRSS) or have held at most (VmHWM).
func (t *target) resident(field string) int {
	sum := 0
	for _, p := range tree(t.command.Process.Pid) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, field+":"); ok {
				kB, _ := strconv.Atoi(strings.Fields(rest)[0])
				sum += kB << 10
			}
		}
	}
	return sum
}

// alive returns an error if the target has exited.
func (t *target) alive() error {
	select {
	case <-t.exited:
		return errors.New("it exited under load: see its log")
	default:
		return nil
	}
}

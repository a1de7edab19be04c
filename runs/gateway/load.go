package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// row is one kind of load.
type row struct {
	name        string
	connections int
	stream      bool
}

var rows = []row{{"whole", 16, false}, {"streamed", 16, true}, {"single", 1, false}}

// sample is what one run of the load generator measured.
type sample struct {
	Requests  int     `json:"requests"`
	PerSecond float64 `json:"requests_per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	// The target's processor time, and that of the target, the upstream and the
	// load generator together.
	Processor float64 `json:"processor_us_per_request"`
	All       float64 `json:"all_processor_us_per_request"`
}

// memoryMarks are the numbers of requests after which memory is measured.
var memoryMarks = []int{10_000, 50_000, 100_000}

// load puts a target under a row's load for the given time. A single failed
// request makes the run void.
func (m *measurement) load(ctx context.Context, t *target, r row, length time.Duration) (sample, error) {
	m.runs++
	args := []string{"-t1", "-c", strconv.Itoa(r.connections), "-d", fmt.Sprintf("%ds", int(length.Seconds())), "--timeout", "10s", "-s", "runs/gateway/request.lua"}
	if t.header != "" {
		args = append(args, "-H", t.header)
	}
	command := exec.CommandContext(ctx, "wrk", append(args, t.url+"/v1/chat/completions")...)
	// Each run has a million numbers to itself, so that none is used twice.
	command.Env = append(os.Environ(), fmt.Sprintf("FIRST=%d", m.runs*1_000_000), fmt.Sprintf("STREAM=%t", r.stream))
	watching, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		m.watch(watching, t)
	}()
	before, upstreamBefore := t.processorTime(), m.upstream.processorTime()
	out, err := command.CombinedOutput()
	spent, all := t.processorTime()-before, m.upstream.processorTime()-upstreamBefore
	if t != m.upstream {
		all += spent
	}
	stop()
	<-watched
	if err != nil {
		return sample{}, fmt.Errorf("wrk: %w: %s", err, out)
	}
	if err := t.alive(); err != nil {
		return sample{}, err
	}
	_, line, ok := strings.Cut(string(out), "\nRESULT ")
	var result struct {
		Requests     int
		Microseconds float64
		Not2xx       int `json:"not_2xx"`
		Broken       int
		P50          float64 `json:"p50_us"`
		P99          float64 `json:"p99_us"`
	}
	if err := json.Unmarshal([]byte(line), &result); !ok || err != nil {
		return sample{}, fmt.Errorf("wrk printed no result: %s", out)
	}
	if result.Not2xx+result.Broken > 0 || result.Requests == 0 {
		return sample{}, fmt.Errorf("void: %d of %d requests were not answered with status 2xx, and %d connections broke", result.Not2xx, result.Requests, result.Broken)
	}
	all += command.ProcessState.UserTime() + command.ProcessState.SystemTime()
	t.served += result.Requests
	n := float64(result.Requests)
	perRequest := func(d time.Duration) float64 { return float64(d.Microseconds()) / n }
	return sample{Requests: result.Requests, PerSecond: n / result.Microseconds * 1e6, P50: result.P50 / 1000, P99: result.P99 / 1000,
		Processor: perRequest(spent), All: perRequest(all)}, nil
}

// watch notes the memory of a target at each of the memory marks. The upstream
// counts the requests.
func (m *measurement) watch(ctx context.Context, t *target) {
	first, err := m.servedUpstream(ctx)
	if err != nil {
		return
	}
	before := t.served
	for len(t.memory) < len(memoryMarks) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
		now, err := m.servedUpstream(ctx)
		if err != nil {
			return
		}
		if served := before + now - first; served >= memoryMarks[len(t.memory)] {
			t.memory = append(t.memory, memoryAt{served, t.resident("VmRSS")})
		}
	}
}

func (m *measurement) servedUpstream(ctx context.Context) (int, error) {
	_, answer, err := fetch(ctx, http.MethodGet, m.upstream.url+"/served", "", "")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(answer))
}

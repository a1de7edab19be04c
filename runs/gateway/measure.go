package main

import (
	"bufio"
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// measurement is one run of everything.
type measurement struct {
	out     string
	carrot  string // the binary
	older   string // an older binary to compare it with; empty: none
	litellm string // the virtual environment with LiteLLM's proxy; empty: skipped
	portkey string // the folder that Portkey's gateway is installed in; empty: skipped
	skipped string // what is skipped and why, one per line
	stores  string // kinds of stores to measure carrot with, separated by commas: sqlite, postgres
	server  string // the address of a server of PostgreSQL
	rounds  int
	length  time.Duration
	check   bool
	profile string

	targets    []*target
	upstream   *target
	runs       int
	loadBefore string
}

const (
	warmUp     = 3 * time.Second
	short      = 3 // streamed runs, and runs with a single connection, are this many times shorter
	carrotName = "carrot"
	olderName  = "older carrot"
	sqliteName = "carrot, SQLite"
	serverName = "carrot, PostgreSQL"
	benchKey   = "key-of-the-benchmark-0001"
)

func (m *measurement) flags(f *flag.FlagSet) {
	f.StringVar(&m.out, "out", ".", "folder of the results")
	f.StringVar(&m.carrot, "carrot", "", "carrot's binary")
	f.StringVar(&m.older, "older", "", "an older binary of carrot to compare it with")
	f.StringVar(&m.litellm, "litellm", "", "virtual environment with LiteLLM's proxy")
	f.StringVar(&m.portkey, "portkey", "", "folder that Portkey's gateway is installed in")
	f.StringVar(&m.skipped, "skipped", "", "what is skipped and why, one per line")
	f.StringVar(&m.stores, "stores", "", "kinds of stores to measure carrot with beside none: sqlite, postgres")
	f.StringVar(&m.server, "server", "", "address of an empty database of PostgreSQL")
	f.IntVar(&m.rounds, "rounds", 3, "rounds")
	f.DurationVar(&m.length, "length", 10*time.Second, "length of the longest runs")
	f.BoolVar(&m.check, "check", false, "fail where carrot misses a target")
	f.StringVar(&m.profile, "profile", "", "file for carrot's processor profile under load")
}

func (m *measurement) run(ctx context.Context) error {
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	m.loadBefore = strings.Join(strings.Fields(string(load))[:3], " ")
	defer func() {
		for _, t := range m.targets {
			t.stop()
		}
	}()
	work, err := os.MkdirTemp(m.out, "work-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := m.startAll(ctx, work); err != nil {
		return err
	}
	if err := m.all(ctx); err != nil {
		return err
	}
	if m.profile != "" {
		if err := m.takeProfile(ctx); err != nil {
			return err
		}
	}
	for _, name := range m.carrots() {
		if err := m.find(name).accounts(ctx); err != nil {
			return err
		}
	}
	return m.report()
}

// carrots returns the names of the targets that are carrot.
func (m *measurement) carrots() []string {
	names := []string{carrotName}
	if m.older != "" {
		names = append(names, olderName)
	}
	for _, store := range strings.Split(m.stores, ",") {
		switch store {
		case "sqlite":
			names = append(names, sqliteName)
		case "postgres":
			names = append(names, serverName)
		}
	}
	return names
}

// paired returns the names of the targets whose figures are compared, round by round.
func (m *measurement) paired() []string {
	var names []string
	for _, name := range m.carrots() {
		if name != serverName {
			names = append(names, name)
		}
	}
	return names
}

// startAll starts the upstream, the bare proxy, carrot, the older carrot and the
// peers. Files that the targets write go to the folder work.
func (m *measurement) startAll(ctx context.Context, work string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	addresses := make([]string, 12)
	for i := range addresses {
		if addresses[i], err = freeAddress(); err != nil {
			return err
		}
	}
	add := func(name, version string, address string, command ...string) *target {
		t := &target{name: name, version: version, url: "http://" + address, samples: map[string][]sample{}}
		t.command = exec.Command(command[0], command[1:]...)
		m.targets = append(m.targets, t)
		return t
	}
	m.upstream = add("upstream alone", "", addresses[0], self, "upstream", addresses[0])
	upstream := m.upstream.url
	if err := m.upstream.start(ctx, m.out, "/served", 10*time.Second); err != nil {
		return fmt.Errorf("start upstream: %w", err)
	}
	bare := add("bare proxy", "", addresses[1], self, "bare", addresses[1], upstream)
	if err := bare.start(ctx, m.out, "/served", 10*time.Second); err != nil {
		return fmt.Errorf("start bare proxy: %w", err)
	}
	for i, name := range m.carrots() {
		address, admin := addresses[4+2*i], addresses[5+2*i]
		if err := m.startCarrot(ctx, work, name, address, admin, add); err != nil {
			return fmt.Errorf("start %s: %w", name, err)
		}
	}
	m.startPeers(ctx, add, addresses[2:4], upstream)
	return ctx.Err()
}

// startCarrot starts a carrot with a configuration of its own.
func (m *measurement) startCarrot(ctx context.Context, work, name, address, admin string, add func(name, version, address string, command ...string) *target) error {
	binary := m.carrot
	if name == olderName {
		binary = m.older
	}
	version := versionOf(binary, "--version")
	if m.older != "" {
		version += " (" + buildOf(binary) + ")"
	}
	// Record files are rotated, so they have a folder of their own.
	folder, err := os.MkdirTemp(work, "carrot-")
	if err != nil {
		return err
	}
	text, err := os.ReadFile("runs/gateway/carrot.yaml")
	if err != nil {
		return err
	}
	config, store, more := filepath.Join(folder, "carrot.yaml"), "", ""
	switch name {
	case sqliteName:
		store = filepath.Join(folder, "carrot.db")
	case serverName:
		store = m.server
	default:
		more = fmt.Sprintf("record: {path: %q, keep: 0}\n", filepath.Join(folder, "records", "decisions.jsonl"))
		if err := os.Mkdir(filepath.Join(folder, "records"), 0o755); err != nil {
			return err
		}
	}
	if store != "" {
		more = fmt.Sprintf("store: %q\njournal: %q\nclients: [{name: bench, key: %s}]\nbudgets: [{client: bench, usd: 1000000, per: month}]\n",
			store, filepath.Join(folder, "journal"), benchKey)
	}
	if err := os.WriteFile(config, append(text, more...), 0o600); err != nil {
		return err
	}
	carrot := add(name, version, address, binary, "serve", "--config", config)
	carrot.admin, carrot.records, carrot.store = "http://"+admin, filepath.Join(folder, "records"), store
	if store != "" {
		carrot.header = "Authorization: Bearer " + benchKey
	}
	return errors.Join(
		carrot.start(ctx, m.out, "/ready", 10*time.Second, "UPSTREAM="+m.upstream.url, "CARROT_ADDRESS="+address, "CARROT_ADMIN="+admin),
		carrot.probe(ctx, false), carrot.probe(ctx, true))
}

// startPeers starts the peers that are installed. A peer that does not start, or
// does not answer as it should, is skipped.
func (m *measurement) startPeers(ctx context.Context, add func(name, version, address string, command ...string) *target, addresses []string, upstream string) {
	skip := func(what string, err error) {
		m.skipped = strings.TrimSpace(m.skipped + "\n" + what + ": " + err.Error())
	}
	begin := func(t *target, health string, wait time.Duration, environ ...string) {
		err := t.start(ctx, m.out, health, wait, environ...)
		if err == nil {
			err = t.probe(ctx, false)
		}
		if err != nil {
			t.stop()
			m.targets = m.targets[:len(m.targets)-1]
			skip(t.name, err)
		} else if err := t.probe(ctx, true); err != nil {
			t.whole = true
			skip(t.name+", streamed", err)
		}
	}
	if m.litellm != "" {
		python := filepath.Join(m.litellm, "bin", "python")
		version := versionOf(python, "-c", "from importlib.metadata import version; print(version('litellm'))")
		_, port, _ := strings.Cut(addresses[0], ":")
		t := add("LiteLLM", version, addresses[0], filepath.Join(m.litellm, "bin", "litellm"), "--config", "runs/gateway/litellm.yaml", "--host", "127.0.0.1", "--port", port,
			"--num_workers", strconv.Itoa(runtime.NumCPU())) // as its documentation advises
		begin(t, "/health/liveliness", time.Minute, "UPSTREAM_V1="+upstream+"/v1", "LITELLM_LOCAL_MODEL_COST_MAP=True", "LITELLM_LOG=ERROR")
	}
	if m.portkey != "" {
		folder := filepath.Join(m.portkey, "node_modules", "@portkey-ai", "gateway")
		version := versionOf("node", "-p", fmt.Sprintf("require(%q).version", filepath.Join(folder, "package.json")))
		_, port, _ := strings.Cut(addresses[1], ":")
		t := add("Portkey", version, addresses[1], "node", filepath.Join(folder, "build", "start-server.js"), "--headless", "--port="+port)
		t.header = fmt.Sprintf(`x-portkey-config: {"provider":"openai","api_key":"none-is-needed","custom_host":%q}`, upstream+"/v1")
		begin(t, "/", 20*time.Second, "NODE_ENV=production", "TRUSTED_CUSTOM_HOSTS=127.0.0.1,localhost")
	}
}

// versionOf returns the first line that a command prints, or "unknown".
func versionOf(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimPrefix(line, "carrot ")
}

// buildOf says whether a binary was built with a profile, which makes it faster, so
// that two binaries that were built differently are not compared by mistake.
func buildOf(binary string) string {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return "build unknown"
	}
	for _, setting := range info.Settings {
		if setting.Key == "-pgo" {
			return "built with a profile"
		}
	}
	return "built without a profile"
}

// turns returns the targets in the order in which a round measures them. Those that are
// compared with carrot alternate with it, A B B A, so that a machine which gets slower or
// faster during the round favours none.
func (m *measurement) turns() []*target {
	names := m.paired()
	if len(names) == 1 {
		return m.targets
	}
	var pairs []*target
	for _, name := range names {
		pairs = append(pairs, m.find(name))
	}
	back := slices.Clone(pairs)
	slices.Reverse(back)
	rest := slices.DeleteFunc(slices.Clone(m.targets), func(t *target) bool { return slices.Contains(pairs, t) })
	return slices.Concat(rest[:2], pairs, back, rest[2:]) // after the upstream and the bare proxy
}

// all takes every sample. The targets take turns within a round, so that other
// programs on the machine disturb all of them alike.
func (m *measurement) all(ctx context.Context) error {
	for _, t := range m.targets {
		if _, err := m.load(ctx, t, rows[0], warmUp); err != nil {
			return fmt.Errorf("warm up %s: %w", t.name, err)
		}
	}
	for round := range m.rounds {
		for i, r := range rows {
			for _, t := range m.turns() {
				if r.stream && t.whole {
					continue
				}
				length := m.length
				if i > 0 || t == m.upstream {
					length = max(length/short, 2*time.Second)
				}
				s, err := m.load(ctx, t, r, length)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", t.name, r.name, err)
				}
				t.samples[r.name] = append(t.samples[r.name], s)
				fmt.Fprintf(os.Stderr, "round %d of %d  %-8s %-14s %8.0f requests/s  p50 %7.2f ms  %5.0f µs\n", round+1, m.rounds, r.name, t.name, s.PerSecond, s.P50, s.Processor)
			}
		}
	}
	for _, name := range m.paired() {
		t := m.find(name)
		for range 20 { // short rounds end before the last of the memory marks
			if len(t.memory) == len(memoryMarks) {
				break
			}
			if _, err := m.load(ctx, t, rows[0], warmUp); err != nil {
				return fmt.Errorf("%s, memory: %w", name, err)
			}
		}
		if len(t.memory) < len(memoryMarks) {
			return fmt.Errorf("%s did not serve 100000 requests within another minute", name)
		}
	}
	return nil
}

func (m *measurement) find(name string) *target {
	for _, t := range m.targets {
		if t.name == name {
			return t
		}
	}
	return nil
}

// takeProfile asks carrot for its processor profile while it is under load, with SQLite if
// that is measured, because then most of its parts work.
func (m *measurement) takeProfile(ctx context.Context) error {
	const seconds = 10
	type profile struct {
		text []byte
		err  error
	}
	carrot, got := m.find(carrotName), make(chan profile, 1)
	if stored := m.find(sqliteName); stored != nil {
		carrot = stored
	}
	go func() {
		time.Sleep(time.Second)
		status, text, err := fetch(ctx, http.MethodGet, fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", carrot.admin, seconds), "", "")
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("profile: status %d: %s", status, text)
		}
		got <- profile{text, err}
	}()
	if _, err := m.load(ctx, carrot, rows[0], (seconds+2)*time.Second); err != nil {
		return err
	}
	p := <-got
	if p.err != nil {
		return p.err
	}
	return os.WriteFile(m.profile, p.text, 0o644)
}

// accounts compares what a carrot counted and recorded with the answers that the
// load generator got: a request that was not recorded makes the run void.
func (t *target) accounts(ctx context.Context) error {
	_, text, err := fetch(ctx, http.MethodGet, t.admin+"/metrics", "", "")
	if err != nil {
		return err
	}
	attempts := 0
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, []byte("carrot_attempts_total{")) {
			n, _ := strconv.ParseFloat(string(line[bytes.LastIndexByte(line, ' ')+1:len(line)-1]), 64)
			attempts += int(n)
		}
	}
	if t.store == "" {
		err = t.countFiles()
	} else {
		err = t.countStored(ctx)
	}
	if err != nil {
		return err
	}
	if t.recorded != attempts || t.recorded < t.served {
		return fmt.Errorf("void: %s answered %d requests, counted %d attempts and recorded %d", t.name, t.served, attempts, t.recorded)
	}
	return nil
}

// countFiles counts the attempts in a carrot's record files.
func (t *target) countFiles() error {
	time.Sleep(1500 * time.Millisecond) // lines are written at least every second
	files, err := filepath.Glob(filepath.Join(t.records, "*"))
	if err != nil {
		return err
	}
	for _, name := range files {
		n, err := countLines(name)
		if err != nil {
			return err
		}
		t.recorded += n
	}
	return nil
}

// countStored counts the attempts in a carrot's store, once nothing waits for it.
func (t *target) countStored(ctx context.Context) error {
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		_, text, err := fetch(ctx, http.MethodGet, t.admin+"/metrics", "", "")
		if err != nil {
			return err
		}
		if bytes.Contains(text, []byte("\ncarrot_ledger_pending_bytes 0\n")) {
			break
		}
		if time.Now().After(until) {
			return fmt.Errorf("void: attempts of %s still wait for its store", t.name)
		}
	}
	out, err := exec.CommandContext(ctx, t.command.Path, "ledger", "summary", "--json", "--store", t.store).Output()
	if err != nil {
		return fmt.Errorf("carrot ledger summary: %w", err)
	}
	var summary struct {
		Total struct{ Attempts int }
	}
	if err := json.Unmarshal(out, &summary); err != nil {
		return fmt.Errorf("carrot ledger summary: %w", err)
	}
	t.recorded = summary.Total.Attempts
	return nil
}

func countLines(name string) (int, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n := 0
	for r := bufio.NewReaderSize(f, 1<<20); ; n++ {
		if _, err := r.ReadSlice('\n'); err != nil {
			return n, nil
		}
	}
}

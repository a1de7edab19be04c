// Command capacity measures what a request takes of one or more gateways with one store of
// PostgreSQL, and writes a Markdown table: see runs/capacity.sh.
package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
)

// clientKey is the key of the client that sends the load. It has a budget, which the
// gateways share.
const clientKey = "sk-capacity-0123456789abcdef"

// question is about 100 tokens; the number in front makes every request new.
const question = "Case %09d. A cyclist leaves town A at 7 am at 19 km/h and a runner leaves town B, 63 km away on the same road, an hour later at 12 km/h towards her. When they meet they rest for half an hour, and then each goes on to the other's starting point at the same speed as before. At what time does the cyclist arrive at town B, how far from town A did they meet, and how many kilometres has the runner covered when the cyclist arrives?"

const answer = `{"id":"chatcmpl-1","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"They meet at 9:54 am, and she arrives at 1:42 pm."},"finish_reason":"stop"}],"usage":{"prompt_tokens":104,"completion_tokens":18,"total_tokens":122}}`

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "runs/capacity:", err)
		os.Exit(1)
	}
}

func run() error {
	carrot := flag.String("carrot", "", "the binary to measure")
	server := flag.String("server", "", "the address of a server of PostgreSQL with pg_stat_statements; its processes must be visible here")
	postmaster := flag.Int("postmaster", 0, "the id of its first process")
	gateways := flag.String("gateways", "1,2,4", "how many gateways, one run each")
	rate := flag.Int("rate", 200, "requests a second, over all gateways")
	length := flag.Duration("length", 20*time.Second, "how long each run lasts")
	flag.Parse()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, answer)
	}))
	defer upstream.Close()
	fmt.Println("| gateways | requests | gateways' processor µs a request | PostgreSQL's | statements a second | without load | statements a request | bytes a request in the store | in its log (WAL) | written by gateways | peak memory of a gateway |")
	fmt.Println("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
	for _, text := range strings.Split(*gateways, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("-gateways: %w", err)
		}
		line, err := measure(*carrot, *server, *postmaster, upstream.URL, n, *rate, *length)
		if err != nil {
			return fmt.Errorf("%d gateways: %w", n, err)
		}
		fmt.Println(line)
	}
	return nil
}

// gateway is a running carrot serve.
type gateway struct {
	command *exec.Cmd
	url     string
	log     *bytes.Buffer
}

func start(carrot, dir, store, upstream string) (*gateway, error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := free.Addr().String()
	free.Close()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	config, err := os.ReadFile("runs/gateway/carrot.yaml")
	if err != nil {
		return nil, err
	}
	config = fmt.Appendf(config, "store: %q\njournal: %q\nclients: [{name: load, key: %s}]\nbudgets: [{client: load, usd: 1000000, per: month}]\n", store, filepath.Join(dir, "journal"), clientKey)
	file := filepath.Join(dir, "carrot.yaml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	g := &gateway{command: exec.Command(carrot, "serve", "--config", file), url: "http://" + address, log: &bytes.Buffer{}}
	g.command.Env = append(os.Environ(), "CARROT_ADDRESS="+address, "CARROT_ADMIN=off", "UPSTREAM="+upstream)
	g.command.Stderr = g.log
	if err := g.command.Start(); err != nil {
		return nil, err
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		response, err := http.Get(g.url + "/ready")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return g, nil
			}
		}
		if time.Now().After(end) {
			g.kill()
			return nil, fmt.Errorf("it does not start: %v\n%s", err, g.log)
		}
	}
}

func (g *gateway) kill() {
	g.command.Process.Kill()
	g.command.Wait() // its log says how it ended
}

// figures are counters since some time in the past.
type figures struct {
	carrot, postgres time.Duration // of processor time
	statements       int
	stored, logged   int // bytes
	written          int // bytes that gateways handed to the disk
}

func read(ctx context.Context, db *sql.DB, postmaster int, gateways []*gateway) (f figures, err error) {
	for _, g := range gateways {
		f.carrot += processor(g.command.Process.Pid)
		f.written += number(fmt.Sprintf("/proc/%d/io", g.command.Process.Pid), `\nwrite_bytes: (\d+)`)
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return f, err
	}
	for _, p := range processes {
		pid, _ := strconv.Atoi(filepath.Base(p))
		if pid == postmaster || number(p+"/status", `\nPPid:\s+(\d+)`) == postmaster {
			f.postgres += processor(pid)
		}
	}
	err = db.QueryRowContext(ctx, `SELECT (SELECT COALESCE(SUM(calls), 0) FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())),
		pg_database_size(current_database()), pg_current_wal_lsn() - '0/0'::pg_lsn`).Scan(&f.statements, &f.stored, &f.logged)
	return f, err
}

// processor returns the processor time of a process so far, in the hundredths of a second
// that Linux counts.
func processor(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0 // it has ended
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

func number(file, pattern string) int {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0 // the process has ended
	}
	found := regexp.MustCompile(pattern).FindSubmatch(append([]byte("\n"), text...))
	if found == nil {
		return 0
	}
	n, _ := strconv.Atoi(string(found[1]))
	return n
}

// measure starts gateways on a database of their own and returns their line of the table.
func measure(carrot, server string, postmaster int, upstream string, n, rate int, length time.Duration) (line string, err error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "carrot-capacity")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	admin, err := sql.Open("pgx", server)
	if err != nil {
		return "", err
	}
	defer admin.Close()
	name := fmt.Sprintf("capacity_%d", time.Now().UnixNano())
	if _, err := admin.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	address, err := url.Parse(server)
	if err != nil {
		return "", err
	}
	address.Path = "/" + name
	own, err := sql.Open("pgx", address.String())
	if err != nil {
		return "", err
	}
	defer own.Close()
	if _, err := own.ExecContext(ctx, "CREATE EXTENSION pg_stat_statements"); err != nil {
		return "", err
	}
	var gateways []*gateway
	defer func() {
		for _, g := range gateways {
			g.kill()
		}
	}()
	for i := range n {
		g, err := start(carrot, filepath.Join(dir, strconv.Itoa(i)), address.String(), upstream)
		if err != nil {
			return "", err
		}
		gateways = append(gateways, g)
	}
	if _, err := load(gateways, rate, min(length, 3*time.Second), 0); err != nil { // connections, leases, caches
		return "", err
	}
	time.Sleep(4 * time.Second) // what was held is given back, and the journal is in the store
	idle, err := read(ctx, own, postmaster, gateways)
	if err != nil {
		return "", err
	}
	waited := time.Now()
	time.Sleep(length / 2)
	rested := time.Since(waited)
	before, err := read(ctx, own, postmaster, gateways)
	if err != nil {
		return "", err
	}
	begin := time.Now()
	served, err := load(gateways, rate, length, 1_000_000)
	if err != nil {
		return "", err
	}
	took := time.Since(begin)
	time.Sleep(time.Second) // the journal is in the store
	after, err := read(ctx, own, postmaster, gateways)
	if err != nil {
		return "", err
	}
	var memory int
	for _, g := range gateways {
		memory = max(memory, number(fmt.Sprintf("/proc/%d/status", g.command.Process.Pid), `\nVmHWM:\s+(\d+)`))
	}
	each := func(amount int) float64 { return float64(amount) / float64(served) }
	return fmt.Sprintf("| %d | %d | %.0f | %.0f | %.0f | %.1f | %.2f | %.0f | %.0f | %.0f | %d MiB |", n, served,
		each(int((after.carrot - before.carrot).Microseconds())), each(int((after.postgres - before.postgres).Microseconds())),
		float64(after.statements-before.statements)/took.Seconds(), float64(before.statements-idle.statements)/rested.Seconds(), each(after.statements-before.statements),
		each(after.stored-before.stored), each(after.logged-before.logged), each(after.written-before.written), memory>>10), nil
}

// load sends requests to the gateways in turn at a rate and returns how many there were. All
// of them must be answered.
func load(gateways []*gateway, rate int, length time.Duration, first int) (served int, err error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	var failed atomic.Pointer[error]
	var requests sync.WaitGroup
	begin, count := time.Now(), int(float64(rate)*length.Seconds())
	for i := range count {
		time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second / time.Duration(rate))))
		if failed.Load() != nil {
			break
		}
		requests.Go(func() {
			body := fmt.Sprintf(`{"model":"auto","messages":[{"role":"user","content":%q}]}`, fmt.Sprintf(question, first+i))
			err := ask(client, gateways[i%len(gateways)].url, body)
			if err != nil {
				failed.Store(&err)
			}
		})
	}
	requests.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return count, nil
}

func ask(client *http.Client, address, body string) error {
	r, err := http.NewRequest(http.MethodPost, address+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+clientKey)
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status + ": " + string(text))
	}
	return nil
}

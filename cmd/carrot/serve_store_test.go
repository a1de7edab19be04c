package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/database/databasetest"
	"github.com/carrot-router/carrot/internal/ledger"
	"github.com/carrot-router/carrot/internal/simulate"
	"github.com/carrot-router/carrot/price"
)

// process is a carrot serve in a process of its own.
type process struct {
	*exec.Cmd
	url, admin string
	log        *lines
	ended      chan struct{}
	err        error // with which it ended
}

// Wait waits until the process has ended.
func (s *process) Wait() error {
	<-s.ended
	return s.err
}

// lines is what a process has said so far.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// startServing starts carrot serve with a configuration, and waits until it is ready.
func startServing(t *testing.T, config string) *process {
	t.Helper()
	return startServingAt(t, config, "127.0.0.1:0")
}

// startServingAt does the same at an address.
func startServingAt(t *testing.T, config, address string) *process {
	t.Helper()
	return startRelease(t, program(t), config, address)
}

// startRelease does the same with a release of the command.
func startRelease(t *testing.T, release, config, address string) *process {
	t.Helper()
	s := &process{Cmd: exec.Command(release, "serve", "--config", config, "--listen", address), log: &lines{}, ended: make(chan struct{})}
	s.Stderr = s.log
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.err = s.Cmd.Wait()
		close(s.ended)
	}()
	t.Cleanup(func() {
		s.Process.Kill()
		s.Wait()
	})
	serving := regexp.MustCompile(`"msg":"serving","address":"([^"]+)","admin":"([^"]+)"`)
	for until := time.After(time.Minute); ; {
		if found := serving.FindStringSubmatch(s.log.String()); found != nil {
			s.url, s.admin = "http://"+found[1], "http://"+found[2]
			return s
		}
		select {
		case <-s.ended:
			t.Fatalf("carrot serve ended: %s", s.log)
		case <-until:
			t.Fatalf("carrot serve does not serve: %s", s.log)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// acknowledged are the answers that clients have got to the end.
type acknowledged struct {
	mu    sync.Mutex
	costs map[string]string // by the request's id, as the header or trailer says
}

// call sends a request and notes its answer if it is complete.
func (k *acknowledged) call(client *http.Client, url string, stream bool) error {
	body := fmt.Sprintf(`{"model":"auto","stream":%t,"user":"ada@example.org","messages":[{"role":"user","content":"What is 17 * 23?"}]}`, stream)
	response, err := client.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || stream && !bytes.HasSuffix(answer, []byte("data: [DONE]\n\n")) || response.StatusCode != http.StatusOK {
		return fmt.Errorf("not a whole answer (%v)", err)
	}
	cost := response.Header.Get("X-Carrot-Cost")
	if stream {
		cost = response.Trailer.Get("X-Carrot-Cost")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.costs[response.Header.Get("X-Carrot-Request-Id")] = cost
	return nil
}

// TestServeKilled: a gateway under load is killed at any moment. After the next start, the
// store has every request whose client has the whole answer, once and with the cost that
// the client was told, and the sum over them is what the provider bills for these answers.
// CARROT_TEST_KILLS is the number of kills, in place of five (runs/kills.sh).
func TestServeKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes several seconds")
	}
	kills := 5
	if text := os.Getenv("CARROT_TEST_KILLS"); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil {
			t.Fatalf("CARROT_TEST_KILLS: %v", err)
		}
	}
	databasetest.Each(t, func(t *testing.T, dsn string) { testServeKilled(t, dsn, kills) })
}

// bills are what a provider bills.
type bills struct{ byAnswer sync.Map }

// simulated starts a simulated provider and returns its bills, and the part of a
// configuration that names it.
func simulated(t *testing.T) (*bills, string) {
	t.Helper()
	return simulatedSlowly(t, 0)
}

// simulatedSlowly does the same with a mean delay before each token.
func simulatedSlowly(t *testing.T, perToken time.Duration) (*bills, string) {
	t.Helper()
	b := &bills{}
	provider := &simulate.Provider{Log: func(c simulate.Call) { b.byAnswer.Store(c.ID, c.Cost) }}
	for i, name := range []string{"gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18"} {
		cost, err := price.Default().Price(name)
		if err != nil {
			t.Fatal(err)
		}
		provider.Models = append(provider.Models, simulate.Model{Name: name, Price: cost, OutputTokens: 20 + 10*float64(i), PerToken: perToken})
	}
	upstream := httptest.NewServer(provider)
	t.Cleanup(upstream.Close)
	return b, "providers: [{name: sim, kind: openai, base_url: \"" + upstream.URL + "/v1\"}]\n" +
		"models: [{name: gpt-4o-2024-08-06, provider: sim}, {name: gpt-4o-mini-2024-07-18, provider: sim}]\n"
}

// configured writes the configuration of a gateway with a store and a folder of its own.
func configured(t *testing.T, dsn, rest string) string {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "carrot.yaml")
	text := "admin_listen: 127.0.0.1:0\nstore: \"" + dsn + "\"\njournal: " + filepath.Join(dir, "journal") + "\n" + rest
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config
}

func testServeKilled(t *testing.T, dsn string, kills int) {
	bills, rest := simulated(t)
	config := configured(t, dsn, rest)
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	got := &acknowledged{costs: map[string]string{}}
	for range kills {
		s := startServing(t, config)
		var clients sync.WaitGroup
		for i := range 8 {
			clients.Go(func() {
				client := &http.Client{Transport: &http.Transport{}}
				defer client.CloseIdleConnections()
				for n := 0; got.call(client, s.url, (n+i)%3 == 0) == nil; n++ {
				}
			})
		}
		time.Sleep(200*time.Millisecond + time.Duration(r.IntN(600))*time.Millisecond)
		s.Process.Kill()
		clients.Wait()
		s.Wait()
	}
	last := startServing(t, config) // which takes what is left in the journal
	last.Process.Signal(os.Interrupt)
	if err := last.Wait(); err != nil {
		t.Fatalf("the last gateway: %v", err)
	}
	t.Logf("%d kills", kills)
	got.verify(t, dsn, bills)
}

// verify checks that a store has every request whose client has the whole answer, and no
// request twice, with the costs that the clients were told and the provider bills.
func (k *acknowledged) verify(t *testing.T, dsn string, bills *bills) {
	t.Helper()
	store, err := ledger.OpenStore(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if faults, err := store.Check(t.Context()); err != nil || len(faults) > 0 {
		t.Fatalf("check: %q, %v", faults, err)
	}
	var stored, billed ledger.Amount
	found := map[string]int{}
	for a, err := range store.Attempts(t.Context(), ledger.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		found[a.RequestID]++
		told, ok := k.costs[a.RequestID]
		if !ok {
			continue // it was in flight
		}
		if cost := string(a.Cost.AppendJSON(nil)); cost != told {
			t.Errorf("%s costs %s, and the client was told %s", a.RequestID, cost, told)
		}
		bill, ok := bills.byAnswer.Load(a.AnswerID)
		if !ok {
			t.Fatalf("the provider has not billed the answer %q", a.AnswerID)
		}
		stored.Add(a.Cost)
		billed.Add(bill.(carrot.USD))
	}
	for id := range k.costs {
		if found[id] != 1 {
			t.Errorf("%s is %d times in the store", id, found[id])
		}
	}
	for id, n := range found {
		if n != 1 {
			t.Errorf("%s is %d times in the store", id, n)
		}
	}
	if stored != billed || len(k.costs) < 50 {
		t.Errorf("%v USD are stored for %d answers, and the provider bills %v", stored, len(k.costs), billed)
	}
	t.Logf("%d answers, %d attempts stored, %v USD", len(k.costs), len(found), stored)
}

// TestServeShared: two gateways with one store of PostgreSQL record in it together, one of
// them killed and started again. Each needs a journal of its own.
func TestServeShared(t *testing.T) {
	dsn := databasetest.Postgres(t)
	bills, rest := simulated(t)
	configs := []string{configured(t, dsn, rest), configured(t, dsn, rest)}
	gateways := []*process{startServing(t, configs[0]), startServing(t, configs[1])}
	got := &acknowledged{costs: map[string]string{}}
	load := func(n int) {
		var clients sync.WaitGroup
		for i := range 8 {
			clients.Go(func() {
				for k := range n {
					if err := got.call(http.DefaultClient, gateways[(i+k)%2].url, k%3 == 0); err != nil {
						t.Error(err)
					}
				}
			})
		}
		clients.Wait()
	}
	load(20)
	gateways[1].Process.Kill()
	gateways[1].Wait()
	gateways[1] = startServing(t, configs[1])
	load(20)

	var out, errs bytes.Buffer
	if status := run(t.Context(), []string{"serve", "--config", configs[0], "--listen", "127.0.0.1:0"}, terminal{strings.NewReader(""), &out, &errs}); status != 1 ||
		!strings.Contains(errs.String(), "another process uses it") || !strings.Contains(errs.String(), "set journal to another folder") {
		t.Errorf("a gateway with the journal of another: status %d, %s", status, &errs)
	}
	for _, g := range gateways {
		g.Process.Signal(os.Interrupt)
		if err := g.Wait(); err != nil {
			t.Fatalf("%v: %s", err, g.log)
		}
	}
	if len(got.costs) != 320 {
		t.Errorf("%d answers, want 320", len(got.costs))
	}
	got.verify(t, dsn, bills)
	out.Reset()
	if status := run(t.Context(), []string{"ledger", "summary", "--store", dsn, "--json"}, terminal{strings.NewReader(""), &out, &errs}); status != 0 {
		t.Fatalf("summary: %s", &errs)
	}
	var summary struct {
		Total struct{ Requests, Attempts int }
	}
	if err := json.Unmarshal(out.Bytes(), &summary); err != nil || summary.Total.Requests != 320 || summary.Total.Attempts != 320 {
		t.Errorf("summary: %s", &out)
	}
}

// TestServeStoreAway: while PostgreSQL is away, no request fails and the gateway stays
// ready. It says so in its log, once, and in a metric. Afterwards everything is in the store.
func TestServeStoreAway(t *testing.T) {
	direct := databasetest.Postgres(t)
	dsn, line := databasetest.Cuttable(t, direct)
	dsn = strings.Replace(dsn, "user=carrot", "user=carrot&password=secret-word", 1)
	bills, rest := simulated(t)
	config := configured(t, dsn, rest)
	s := startServing(t, config)
	got := &acknowledged{costs: map[string]string{}}
	load := func() {
		t.Helper()
		for n := range 30 {
			if err := got.call(http.DefaultClient, s.url, n%3 == 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	get := func(url string) string {
		t.Helper()
		response, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", url, response.Status, err)
		}
		return string(text)
	}
	wait := func(what string, there func() bool) {
		t.Helper()
		for until := time.Now().Add(30 * time.Second); !there(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(until) {
				t.Fatalf("waited in vain until %s: %s", what, s.log)
			}
		}
	}
	metric := func(line string) func() bool {
		return func() bool { return strings.Contains(get(s.admin+"/metrics"), line+"\n") }
	}
	load()
	wait("the store is up", metric("carrot_store_up 1"))
	line.Cut()
	load()
	wait("the store is away", metric("carrot_store_up 0"))
	wait("the log says so", func() bool { return strings.Contains(s.log.String(), "the store does not work") })
	load()
	get(s.url + "/health")
	get(s.url + "/ready")
	var out, errs bytes.Buffer
	if status := run(t.Context(), []string{"serve", "--config", configured(t, dsn, rest), "--listen", "127.0.0.1:0"}, terminal{strings.NewReader(""), &out, &errs}); status != 1 ||
		!strings.Contains(errs.String(), "open store postgres://") || strings.Contains(errs.String(), "secret-word") {
		t.Errorf("a start without the store: status %d, %s", status, &errs)
	}
	t.Logf("a start without the store: %s", &errs)
	line.Mend()
	wait("the store is up again", metric("carrot_store_up 1"))
	load()
	wait("the log says so", func() bool { return strings.Contains(s.log.String(), "the store works again") })
	wait("nothing is pending", metric("carrot_ledger_pending_bytes 0"))
	s.Process.Signal(os.Interrupt)
	if err := s.Wait(); err != nil {
		t.Fatal(err)
	}
	if log := s.log.String(); strings.Count(log, "the store does not work") != 1 || strings.Count(log, "the store works again") != 1 || strings.Contains(log, "secret-word") {
		t.Errorf("the log: %s", log)
	}
	got.verify(t, direct, bills)
}

// serverVariable is the environment variable with the folder of a server of PostgreSQL that
// .ci/postgres has started and this test may stop, because nobody else uses it.
const serverVariable = "CARROT_TEST_POSTGRES_DIR"

// TestServeStoreRestarted: PostgreSQL is stopped for ten seconds under load, and then its
// connections are cut again and again. No request fails, the gateway takes no more memory,
// and everything is in the store in the end.
func TestServeStoreRestarted(t *testing.T) {
	folder := os.Getenv(serverVariable)
	if folder == "" {
		t.Skip("no server of PostgreSQL to stop: set " + serverVariable + " to the folder of one that .ci/postgres has started")
	}
	postgres := func(what string) {
		t.Helper()
		if out, err := exec.Command("../../.ci/postgres", what, folder).CombinedOutput(); err != nil {
			t.Fatalf(".ci/postgres %s: %v: %s", what, err, out)
		}
	}
	dsn := databasetest.Postgres(t)
	bills, rest := simulated(t)
	s := startServing(t, configured(t, dsn, rest))
	got := &acknowledged{costs: map[string]string{}}
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(2 * time.Millisecond):
				}
				if err := got.call(http.DefaultClient, s.url, (n+i)%3 == 0); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	memory := func() (kB int) {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Process.Pid))
		if err != nil {
			return 0 // not Linux
		}
		_, after, _ := strings.Cut(string(status), "VmRSS:")
		fmt.Sscan(after, &kB)
		return kB
	}
	time.Sleep(3 * time.Second)
	before := memory()
	postgres("stop")
	time.Sleep(10 * time.Second)
	away := memory()
	postgres("start")
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for until := time.Now().Add(30 * time.Second); !strings.Contains(s.log.String(), "the store works again"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("the gateway does not find the store again: %s", s.log)
		}
	}
	cut := 0
	for range 30 {
		time.Sleep(50 * time.Millisecond)
		var n int
		if err := db.QueryRowContext(t.Context(), "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()").Scan(&n); err != nil {
			t.Fatal(err)
		}
		cut += n
	}
	close(stop)
	clients.Wait()
	s.Process.Signal(os.Interrupt)
	if err := s.Wait(); err != nil {
		t.Fatal(err)
	}
	if away > before+20_000 {
		t.Errorf("the gateway takes %d kB, and %d kB after ten seconds without the store", before, away)
	}
	t.Logf("memory %d kB, without the store %d kB; %d connections cut; the log:\n%s", before, away, cut, s.log)
	got.verify(t, dsn, bills)
}

// TestLedgerCommands: what a gateway has stored can be summed up, shown, exported, imported
// elsewhere, copied, checked and pruned.
func TestLedgerCommands(t *testing.T) {
	upstream := httptest.NewServer(&simulate.Provider{Models: []simulate.Model{{Name: "gpt-4o-2024-08-06", OutputTokens: 20}}})
	defer upstream.Close()
	dir := t.TempDir()
	config, dsn := filepath.Join(dir, "carrot.yaml"), filepath.Join(dir, "carrot.db")
	if err := os.WriteFile(config, []byte("admin_listen: off\nstore: carrot.db\nproviders: [{name: sim, kind: openai, base_url: \""+upstream.URL+"/v1\"}]\nmodels: [{name: gpt-4o-2024-08-06, provider: sim}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startServing(t, config)
	got := &acknowledged{costs: map[string]string{}}
	for i := range 3 {
		if err := got.call(http.DefaultClient, s.url, i == 0); err != nil {
			t.Fatal(err)
		}
	}
	s.Process.Signal(os.Interrupt)
	if err := s.Wait(); err != nil {
		t.Fatal(err)
	}
	do := func(want int, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if status := run(t.Context(), append([]string{"ledger"}, args...), terminal{strings.NewReader(""), &out, &errs}); status != want {
			t.Fatalf("carrot ledger %q: status %d, want %d: %s", args, status, want, &errs)
		}
		return out.String() + errs.String()
	}
	var summary struct {
		Total struct {
			Requests int
			Cost     json.Number `json:"cost_usd"`
		}
	}
	if err := json.Unmarshal([]byte(do(0, "summary", "--store", dsn, "--by", "model", "--json")), &summary); err != nil || summary.Total.Requests != 3 {
		t.Errorf("summary %+v, %v", summary, err)
	}
	if text := do(0, "summary", "--store", dsn); !strings.Contains(text, time.Now().UTC().Format(time.DateOnly)+" ") || !strings.Contains(text, "total") {
		t.Errorf("summary:\n%s", text)
	}
	if text := do(0, "summary", "--store", dsn, "--client", "nobody"); text != "no attempts in this time\n" {
		t.Errorf("summary of nobody: %s", text)
	}
	if text := do(0, "summary", "--store", dsn, "--by", "label:team", "--policy", "auto"); !strings.Contains(text, "label:team  requests") || !strings.Contains(text, "\n  facts\n") {
		t.Errorf("summary by label: %s", text)
	}
	if text := do(0, "summary", "--store", dsn, "--by", "policy"); !strings.Contains(text, "≈ saved USD") || !strings.Contains(text, "  requests compared      3") {
		t.Errorf("summary with the saving: %s", text)
	}
	lines := do(0, "export", "--store", dsn)
	if strings.Count(lines, `{"schema":"carrot.attempt/1"`) != 3 {
		t.Errorf("export: %s", lines)
	}
	if table := do(0, "export", "--store", dsn, "--format", "csv"); strings.Count(table, "\n") != 4 || !strings.HasPrefix(table, "time,request_id,") {
		t.Errorf("export as CSV: %s", table)
	}
	parquet := filepath.Join(dir, "a.parquet")
	do(0, "export", "--store", dsn, "--format", "parquet", "--out", parquet)
	if data, err := os.ReadFile(parquet); err != nil || !bytes.HasPrefix(data, []byte("PAR1")) || !bytes.HasSuffix(data, []byte("PAR1")) {
		t.Errorf("export as Parquet: %d bytes, %v", len(data), err)
	}
	for id, cost := range got.costs {
		if text := do(0, "show", id, "--store", dsn); !strings.Contains(text, "gpt-4o-2024-08-06 at sim") || !strings.Contains(text, "cost      "+cost+" USD") {
			t.Errorf("show:\n%s", text)
		}
	}
	file, second := filepath.Join(dir, "a.jsonl"), filepath.Join(dir, "second.db")
	do(0, "export", "--store", dsn, "--out", file)
	if text := do(0, "import", file, file, "--store", second); text != file+": 3 attempts added, 0 known already\n"+file+": 0 attempts added, 3 known already\n" {
		t.Errorf("import: %s", text)
	}
	if again := do(0, "export", "--store", second); again != lines {
		t.Errorf("exported from the second store: %s, want %s", again, lines)
	}
	third := filepath.Join(dir, "third.db")
	do(0, "backup", "--store", dsn, "--out", third)
	do(1, "backup", "--store", dsn, "--out", third) // it exists
	if again := do(0, "export", "--store", third); again != lines {
		t.Errorf("exported from the backup: %s, want %s", again, lines)
	}
	fourth := filepath.Join(dir, "fourth.db")
	do(0, "restore", third, "--store", fourth)
	if text := do(1, "restore", third, "--store", fourth); !strings.Contains(text, "is not empty") || !strings.Contains(text, "hint: restore to a file that does not exist") {
		t.Errorf("restore to a store that is not empty: %s", text)
	}
	if again := do(0, "export", "--store", fourth); again != lines {
		t.Errorf("exported from the restored store: %s, want %s", again, lines)
	}
	none := filepath.Join(dir, "none.db")
	if do(1, "restore", none, "--store", filepath.Join(dir, "nothing.db")); exists(none) || exists(filepath.Join(dir, "nothing.db")) {
		t.Error("restoring a backup that does not exist made a store")
	}
	unpriced, fifth := filepath.Join(dir, "unpriced.jsonl"), filepath.Join(dir, "fifth.db")
	if err := os.WriteFile(unpriced, regexp.MustCompile(`"cost_usd":[0-9.]+,"price_date":"[^"]+",("price_above":0,)?"cost_e`).ReplaceAll([]byte(lines), []byte(`"cost_usd":null,"cost_e`)), 0o600); err != nil {
		t.Fatal(err)
	}
	do(0, "import", unpriced, "--store", fifth)
	if text := do(0, "reprice", "--store", fifth, "--prices", "default", "--dry-run"); !strings.HasPrefix(text, "3 attempts would get a cost, ") || !strings.HasSuffix(text, "; the cost of 0 stays unknown\n") {
		t.Errorf("reprice in a dry run: %s", text)
	}
	if text := do(0, "reprice", "--store", fifth, "--prices", "default", "--json"); !strings.HasPrefix(text, `{"schema":"carrot.ledger-reprice/1","dry_run":false,"priced":3,"cost_usd":0.`) {
		t.Errorf("reprice: %s", text)
	}
	if again := do(0, "export", "--store", fifth); again != lines {
		t.Errorf("with the same prices, what costs %s costs %s", lines, again)
	}
	for _, whose := range [][]string{{"--user", "ada@example.org"}, {"--client", "support"}} {
		if text := do(0, append([]string{"erase", "--store", fifth}, whose...)...); text != "0 attempts, of which 0 with texts: nothing was erased; add --yes\n" {
			t.Errorf("erase nobody: %s", text)
		}
	}
	if text := do(0, "erase", "--store", dsn, "--user", "ada@example.org", "--yes", "--json"); text != `{"schema":"carrot.ledger-erase/1","erased":true,"attempts":3,"texts":0}`+"\n" {
		t.Errorf("erase: %s", text)
	}
	for id := range got.costs {
		do(1, "show", id, "--store", dsn)
	}
	do(0, "prune", "--store", third, "--before", "2100-01-01", "--attempts")
	if left := do(0, "export", "--store", third); left != "" {
		t.Errorf("after pruning: %s", left)
	}
	for _, store := range []string{dsn, second, third, fourth, fifth} {
		do(0, "check", "--store", store)
	}

	if text := do(1, "summary", "--store", filepath.Join(dir, "none.db")); !strings.Contains(text, "there is no store") || !strings.Contains(text, "hint: name the store as in the gateway's configuration") {
		t.Errorf("without a store: %s", text)
	}
	if text := do(1, "show", "req_none", "--store", dsn); !strings.Contains(text, "no request req_none") {
		t.Errorf("an unknown request: %s", text)
	}
	for _, args := range [][]string{
		{"summary", "--store", dsn, "--from", "yesterday"}, {"summary", "--store", dsn, "--to", "2026-11-29T08:00:00Z"}, {"summary", "--store", dsn, "--from", "2026-11-29T08:00:00Z"}, {"summary", "--store", dsn, "--by", "cost"},
		{"erase", "--store", dsn}, {"erase", "--store", dsn, "--user", "a", "--client", "b"}, {"export", "--store", dsn, "--format", "parquet"}, {"prune", "--store", dsn, "--before", "soon"}, {"summary"},
	} {
		do(2, args...)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

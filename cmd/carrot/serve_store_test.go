package main

import (
	"bytes"
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
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/ledger"
	"github.com/carrot-router/carrot/internal/simulate"
	"github.com/carrot-router/carrot/price"
)

// process is a carrot serve in a process of its own.
type process struct {
	*exec.Cmd
	url   string
	admin string // "off" if there is none
}

// startServing starts carrot serve with a configuration, and waits until it is ready.
func startServing(t *testing.T, config string) *process {
	t.Helper()
	return startServingAt(t, config, "127.0.0.1:0")
}

func startServingAt(t *testing.T, config, address string) *process {
	t.Helper()
	s := &process{Cmd: exec.Command(program(t), "serve", "--config", config, "--listen", address)}
	log, err := s.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Process.Kill() })
	serving := regexp.MustCompile(`"msg":"serving","address":"([^"]+)","admin":"([^"]+)"`)
	var said bytes.Buffer
	for buffer := make([]byte, 4096); ; {
		n, err := log.Read(buffer)
		said.Write(buffer[:n])
		if found := serving.FindSubmatch(said.Bytes()); found != nil {
			s.url, s.admin = "http://"+string(found[1]), string(found[2])
			if s.admin != "off" {
				s.admin = "http://" + s.admin
			}
			break
		}
		if err != nil {
			t.Fatalf("carrot serve ended: %s", &said)
		}
	}
	go io.Copy(io.Discard, log)
	return s
}

// acknowledged are the answers that clients have got to the end.
type acknowledged struct {
	mu    sync.Mutex
	costs map[string]string // by the request's id, as the header or trailer says
}

// call sends a request and notes its answer if it is complete.
func (k *acknowledged) call(client *http.Client, url string, stream bool) error {
	body := fmt.Sprintf(`{"model":"auto","stream":%t,"messages":[{"role":"user","content":"What is 17 * 23?"}]}`, stream)
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
func TestServeKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes several seconds")
	}
	var bills sync.Map // of costs, by the id of the answer
	provider := &simulate.Provider{Log: func(c simulate.Call) { bills.Store(c.ID, c.Cost) }}
	for i, name := range []string{"gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18"} {
		cost, err := price.Default().Price(name)
		if err != nil {
			t.Fatal(err)
		}
		provider.Models = append(provider.Models, simulate.Model{Name: name, Price: cost, OutputTokens: 20 + 10*float64(i)})
	}
	upstream := httptest.NewServer(provider)
	defer upstream.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "carrot.yaml")
	err := os.WriteFile(config, []byte("admin_listen: off\nstore: carrot.db\nproviders: [{name: sim, kind: openai, base_url: \""+upstream.URL+"/v1\"}]\n"+
		"models: [{name: gpt-4o-2024-08-06, provider: sim}, {name: gpt-4o-mini-2024-07-18, provider: sim}]\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	const kills = 5
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
	store, err := ledger.OpenStore(t.Context(), filepath.Join(dir, "carrot.db"))
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
		told, ok := got.costs[a.RequestID]
		if !ok {
			continue // it was in flight
		}
		if cost := string(a.Cost.AppendJSON(nil)); cost != told {
			t.Errorf("%s costs %s, and the client was told %s", a.RequestID, cost, told)
		}
		bill, ok := bills.Load(a.AnswerID)
		if !ok {
			t.Fatalf("the provider has not billed the answer %q", a.AnswerID)
		}
		stored.Add(a.Cost)
		billed.Add(bill.(carrot.USD))
	}
	for id := range got.costs {
		if found[id] != 1 {
			t.Errorf("%s is %d times in the store", id, found[id])
		}
	}
	for id, n := range found {
		if n != 1 {
			t.Errorf("%s is %d times in the store", id, n)
		}
	}
	if stored != billed || len(got.costs) < 50 {
		t.Errorf("%v USD are stored for %d answers, and the provider bills %v", stored, len(got.costs), billed)
	}
	t.Logf("%d answers, %d attempts stored, %v USD", len(got.costs), len(found), stored)
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
	do(0, "prune", "--store", third, "--before", "2100-01-01", "--attempts")
	if left := do(0, "export", "--store", third); left != "" {
		t.Errorf("after pruning: %s", left)
	}
	for _, store := range []string{dsn, second, third} {
		do(0, "check", "--store", store)
	}

	if text := do(1, "summary", "--store", filepath.Join(dir, "none.db")); !strings.Contains(text, "there is no store") || !strings.Contains(text, "hint: name the file after store:") {
		t.Errorf("without a store: %s", text)
	}
	if text := do(1, "show", "req_none", "--store", dsn); !strings.Contains(text, "no request req_none") {
		t.Errorf("an unknown request: %s", text)
	}
	for _, args := range [][]string{
		{"summary", "--store", dsn, "--from", "yesterday"}, {"summary", "--store", dsn, "--to", "2026-11-29T08:00:00Z"},
		{"export", "--store", dsn, "--format", "parquet"}, {"prune", "--store", dsn, "--before", "soon"}, {"summary"},
	} {
		do(2, args...)
	}
}

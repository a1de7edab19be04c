package main

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/budget"
	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/internal/database/databasetest"
	"github.com/carrot-router/carrot/internal/ledger"
	"github.com/carrot-router/carrot/internal/simulate"
	"github.com/carrot-router/carrot/price"
	"github.com/carrot-router/carrot/record"
)

// TestServeBudget: gateways with 64 calls at a time each, with streams, clients that hang
// up and gateways that are killed, share a budget of one dollar. It is passed at most by
// what calls cost beyond their reserves, nearly all of it is spent, nothing stays held, and
// what is counted as spent follows from the attempts in the store.
func TestServeBudget(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	databasetest.Each(t, testServeBudget)
}

const budgetModel = "gpt-4o-mini-2024-07-18"

func testServeBudget(t *testing.T, dsn string) {
	var billed atomic.Int64
	provider := &simulate.Provider{Log: func(c simulate.Call) { billed.Add(int64(c.Cost)) }}
	cost, err := price.Default().Price(budgetModel)
	if err != nil {
		t.Fatal(err)
	}
	provider.Models = []simulate.Model{{Name: budgetModel, Price: cost, OutputTokens: 140}}
	upstream := httptest.NewServer(provider)
	defer upstream.Close()
	config := "providers: [{name: sim, kind: openai, base_url: \"" + upstream.URL + "/v1\"}]\nmodels: [{name: " + budgetModel + ", provider: sim}]\n" +
		"budgets: [{name: month, usd: 1, per: month}]\n"
	processes := 1
	if database.IsPostgres(dsn) {
		processes = 2
	}
	var clients, killers sync.WaitGroup
	var refused, served atomic.Int64
	done := make(chan struct{})
	all := make([]*running, processes)
	for i := range all {
		all[i] = &running{config: configured(t, dsn, config)}
		all[i].start(t)
		killers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), uint64(time.Now().UnixNano())))
			for range 2 {
				select {
				case <-done:
					return
				case <-time.After(time.Second + time.Duration(r.IntN(1000))*time.Millisecond):
				}
				all[i].Load().Process.Kill()
				all[i].Load().Wait()
				all[i].start(t)
			}
		})
		for n := range 64 {
			clients.Go(func() {
				client := &http.Client{Transport: &http.Transport{}}
				defer client.CloseIdleConnections()
				r := rand.New(rand.NewPCG(uint64(i), uint64(n)))
				for in := 0; in < 10; { // how often in turn this client was refused
					switch status := spend(client, all[i].Load().url, r); status {
					case http.StatusPaymentRequired:
						in++
						refused.Add(1)
						time.Sleep(450 * time.Millisecond)
					case http.StatusOK:
						in = 0
						served.Add(1)
					default:
						time.Sleep(20 * time.Millisecond)
					}
				}
			})
		}
	}
	clients.Wait()
	close(done)
	killers.Wait()
	for _, p := range all {
		p.Load().Process.Signal(os.Interrupt)
		if err := p.Load().Wait(); err != nil {
			t.Errorf("a gateway ended with %v: %s", err, p.Load().log)
		}
	}
	store, err := ledger.OpenStore(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var counted, beyond, unknown carrot.USD
	lapsed := 0
	for a, err := range store.Attempts(t.Context(), ledger.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		spent, without := budget.Counted(a)
		counted += spent
		unknown += without
		beyond += max(a.Cost-a.Held, 0)
		if a.Outcome == record.Lapsed {
			lapsed++
		}
	}
	list, err := budget.List(t.Context(), store.DB(), nil, time.Now())
	if err != nil || len(list) != 1 {
		t.Fatalf("budgets %+v, %v", list, err)
	}
	f := list[0]
	t.Logf("%d calls served, %d refused, %d lapsed; %v spent, %v of it unknown, %v held; the provider bills %v", served.Load(), refused.Load(), lapsed, f.Spent, f.Unknown, f.Held, carrot.USD(billed.Load()))
	if f.Spent != counted || f.Unknown != unknown {
		t.Errorf("%v are counted as spent, %v of it unknown; the attempts cost %v, %v of it unknown", f.Spent, f.Unknown, counted, unknown)
	}
	if f.Held != 0 {
		t.Errorf("%v are held when all is over", f.Held)
	}
	if over := carrot.USD(billed.Load()) - f.Amount; over > beyond {
		t.Errorf("the provider bills %v more than the budget, but calls cost only %v beyond their reserves", over, beyond)
	}
	if f.Spent < f.Amount*97/100 {
		t.Errorf("only %v of %v are spent", f.Spent, f.Amount)
	}
}

// running is a gateway that is started again.
type running struct {
	config string
	atomic.Pointer[process]
}

func (r *running) start(t *testing.T) { r.Store(startServing(t, r.config)) }

// spend sends a request and returns the status, or 0. Some clients hang up.
func spend(client *http.Client, url string, r *rand.Rand) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream := r.IntN(3) == 0
	body := `{"model":"auto","max_tokens":150,"messages":[{"role":"user","content":"What is 17 * 23?"}]`
	if stream {
		body += `,"stream":true`
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions", strings.NewReader(body+"}"))
	if err != nil {
		return 0
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(request)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	if stream && r.IntN(10) == 0 {
		answer.Body.Read(make([]byte, 100))
		return answer.StatusCode
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return 0
	}
	return answer.StatusCode
}

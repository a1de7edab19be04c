package budget

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/internal/database/databasetest"
	"github.com/carrot-router/carrot/internal/journal"
	"github.com/carrot-router/carrot/internal/ledger"
	"github.com/carrot-router/carrot/record"
)

// process is a gateway as far as budgets and its ledger are concerned.
type process struct {
	*Budgets
	ledger *ledger.Ledger
	db     *database.DB
	clock  *clock
}

// clock is a time that tests set.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time        { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) pass(by time.Duration) { c.ahead.Add(int64(by)) }

// start starts a process on a store, with a journal of its own.
func start(t *testing.T, dsn, folder string, budgets ...gateway.BudgetConfig) *process {
	t.Helper()
	return startTelling(t, Webhook{}, dsn, folder, budgets...)
}

// startTelling starts a process that tells a webhook.
func startTelling(t *testing.T, hook Webhook, dsn, folder string, budgets ...gateway.BudgetConfig) *process {
	t.Helper()
	p := &process{clock: &clock{}}
	var err error
	if p.db, err = database.Make(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.db.Close() })
	p.Budgets = New(Options{DB: p.db, Webhook: hook, Now: p.clock.now, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err := p.Set(budgets); err != nil {
		t.Fatal(err)
	}
	p.ledger, err = ledger.Open(t.Context(), dsn, ledger.Options{Folder: folder, Also: p.Settled, Journal: journal.Options{Reserve: 1 << 20, Segment: 256 << 10}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context(), p.ledger); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end(t) })
	return p
}

// end ends the process in order.
func (p *process) end(t *testing.T) {
	if p.ledger == nil {
		return
	}
	p.Budgets.Close()
	if err := p.ledger.Close(); err != nil {
		t.Error(err)
	}
	p.ledger = nil
}

// settled waits until all attempts are in the store.
func (p *process) settled(t *testing.T) {
	t.Helper()
	for range 1000 {
		if p.ledger.Pending() == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("attempts wait in the journal")
}

var requestNumber atomic.Int64

// call reserves a call that is expected to cost p90 at most and may cost most.
func (p *process) call(ctx context.Context, a gateway.Account, p90, most carrot.USD) (*record.Attempt, carrot.USD, error) {
	at := &record.Attempt{Time: p.clock.now(), RequestID: fmt.Sprintf("req_%d", requestNumber.Add(1)), Number: 1, Candidate: "m", Provider: "p",
		Decision: &carrot.Decision{Candidates: []carrot.Assessment{{Name: "m", Estimate: carrot.Estimate{Cost: p90 / 2, CostP90: p90, OutputTokens: 100}}}}}
	limit, err := a.Reserve(ctx, at, min(p90, 1000), most)
	return at, limit, err
}

// done settles and records a call.
func (p *process) done(t *testing.T, a gateway.Account, at *record.Attempt, cost carrot.USD) {
	at.Cost, at.Outcome = cost, record.Served
	a.Settle(at)
	if err := p.ledger.Record(context.Background(), at); err != nil {
		t.Error(err)
	}
}

func (p *process) admit(t *testing.T, client *gateway.Client) gateway.Account {
	t.Helper()
	a, err := p.Admit(t.Context(), client, nil)
	if err != nil || a == nil {
		t.Fatalf("admitted: %v, %v", a, err)
	}
	return a
}

// only returns the one budget of a store.
func (p *process) only(t *testing.T) Figures {
	t.Helper()
	list, err := List(t.Context(), p.db, nil, p.clock.now())
	if err != nil || len(list) != 1 {
		t.Fatalf("budgets %+v, %v, want one", list, err)
	}
	return list[0]
}

var search = &gateway.Client{Name: "search"}

func TestPeriod(t *testing.T) {
	berlin := "Europe/Berlin"
	for _, c := range []struct{ per, zone, at, began, ends string }{
		{"day", "", "2026-11-29T23:59:59Z", "2026-11-29T00:00:00Z", "2026-11-30T00:00:00Z"},
		{"day", berlin, "2026-11-29T23:30:00Z", "2026-11-29T23:00:00Z", "2026-11-30T23:00:00Z"},
		{"day", berlin, "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"}, // 23 hours
		{"day", berlin, "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"}, // 25 hours
		{"week", "", "2026-11-29T12:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"},    // a Sunday
		{"week", "", "2026-11-30T00:00:00Z", "2026-11-30T00:00:00Z", "2026-12-07T00:00:00Z"},
		{"month", berlin, "2026-12-31T23:30:00Z", "2026-12-31T23:00:00Z", "2027-01-31T23:00:00Z"},
		{"day", "America/Santiago", "2026-09-06T03:30:00Z", "2026-09-05T04:00:00Z", "2026-09-06T04:00:00Z"},
		{"day", "America/Santiago", "2026-09-06T12:00:00Z", "2026-09-06T04:00:00Z", "2026-09-07T03:00:00Z"}, // begins at 1 o'clock
		{"day", "America/Santiago", "2026-04-05T02:30:00Z", "2026-04-04T03:00:00Z", "2026-04-05T04:00:00Z"}, // has its last hour twice
		{"month", "America/New_York", "2026-12-01T04:59:59Z", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z"},
	} {
		l, err := newLimit(gateway.BudgetConfig{USD: 1, Per: c.per, TimeZone: c.zone})
		if err != nil {
			t.Fatal(err)
		}
		at, _ := time.Parse(time.RFC3339, c.at)
		began, ends := l.period(at)
		if began, ends := began.UTC().Format(time.RFC3339), ends.UTC().Format(time.RFC3339); began != c.began || ends != c.ends {
			t.Errorf("%s in %q at %s: %s to %s, want %s to %s", c.per, c.zone, c.at, began, ends, c.began, c.ends)
		}
		if c.per == "day" && l.key(began) != l.name+"@"+at.In(l.zone).Format(time.DateOnly) {
			t.Errorf("a day in %q at %s has the key %s", c.zone, c.at, l.key(began))
		}
	}
}

// TestOneNumber: what is spent, held and left is the same in the header, the refusal and
// the list, and is what is checked.
func TestOneNumber(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		p := start(t, dsn, t.TempDir(), gateway.BudgetConfig{Client: "search", USD: 1, Per: "month"})
		a := p.admit(t, search)
		for range 3 {
			at, _, err := p.call(t.Context(), a, carrot.Dollars(0.3), carrot.Dollars(0.3))
			if err != nil {
				t.Fatal(err)
			}
			p.done(t, a, at, carrot.Dollars(0.25))
		}
		p.settled(t)
		_, _, err := p.call(t.Context(), a, carrot.Dollars(0.4), carrot.Dollars(0.4))
		if err != nil {
			t.Fatalf("near the end, the call is limited and not refused: %v", err)
		}
		_, _, err = p.call(t.Context(), a, carrot.Dollars(0.4), carrot.Dollars(0.4))
		denial, ok := errors.AsType[*gateway.Denial](err)
		if !ok || denial.Status != http.StatusPaymentRequired || denial.Code != "budget_exceeded" {
			t.Fatalf("%v, want a refusal with status 402", err)
		}
		f := p.only(t)
		if f.Spent != carrot.Dollars(0.75) || f.Held != carrot.Dollars(0.25) || f.Left != 0 || f.Amount != carrot.Dollars(1) || f.Name != "client-search-month" {
			t.Errorf("%+v, want 0.75 spent and 0.25 held of 1", f)
		}
		for _, want := range []string{"client-search-month", "of 1 USD, 0.75 are spent and 0.25 held", "so 0 are left until " + f.Ends.Format("2006-01-02")} {
			if !strings.Contains(denial.Message, want) {
				t.Errorf("%q lacks %q", denial.Message, want)
			}
		}
		h := http.Header{}
		a.Header("chat", h)
		if h.Get("X-Carrot-Budget") != f.Name || h.Get("X-Carrot-Budget-Left") != "0" || h.Get("X-Carrot-Budget-Limit") != "1" || h.Get("X-Carrot-Budget-Reset") == "" {
			t.Errorf("headers %v", h)
		}
	})
}

// TestNearTheEnd: when less is left than a call may cost, it is limited to what it
// reserves, which shrinks before anybody is refused.
func TestNearTheEnd(t *testing.T) {
	p := start(t, databasetest.SQLite(t), t.TempDir(), gateway.BudgetConfig{USD: 1, Per: "day"})
	a := p.admit(t, nil)
	at, limit, err := p.call(t.Context(), a, carrot.Dollars(0.01), carrot.Dollars(0.9))
	if err != nil || limit != carrot.Dollars(0.9) || at.Held != carrot.Dollars(0.01) {
		t.Fatalf("held %v, limit %v, %v: a call that fits is not limited", at.Held, limit, err)
	}
	p.done(t, a, at, carrot.Dollars(0.2))               // of 1, 0.8 are left
	for _, want := range []float64{0.2, 0.15, 0.1125} { // a quarter of what is left each time
		at, limit, err = p.call(t.Context(), a, carrot.Dollars(0.01), carrot.Dollars(0.9))
		if err != nil || limit != at.Held || limit != carrot.Dollars(want) {
			t.Fatalf("held %v, limit %v, %v, want %v", at.Held, limit, err, want)
		}
	}
	if at, limit, err = p.call(t.Context(), a, carrot.Dollars(0.5), carrot.Dollars(0.9)); err != nil || limit != carrot.Dollars(0.3375) || at.Held != limit {
		t.Errorf("held %v, limit %v, %v: a call that needs more than is left gets what is left", at.Held, limit, err)
	}
}

// TestManyCalls: processes with many calls at the same time pass a budget at most by what
// calls in progress cost beyond their reserves, and spend nearly all of it.
func TestManyCalls(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		const amount, p90 = 1.0, 0.0001
		processes := []*process{start(t, dsn, filepath.Join(t.TempDir(), "a"), gateway.BudgetConfig{Name: "all", USD: amount, Per: "month"})}
		if database.IsPostgres(dsn) {
			processes = append(processes, start(t, dsn, filepath.Join(t.TempDir(), "b"), gateway.BudgetConfig{Name: "all", USD: amount, Per: "month"}))
		}
		var beyond, spent, made, limited atomic.Int64
		var wg sync.WaitGroup
		for n, p := range processes {
			for i := range 64 {
				r := rand.New(rand.NewPCG(uint64(n), uint64(i)))
				wg.Go(func() {
					for refused := 0; refused < 12; {
						a := p.admit(t, nil)
						at, limit, err := p.call(t.Context(), a, carrot.Dollars(p90), carrot.Dollars(100*p90))
						if err != nil {
							if d, ok := errors.AsType[*gateway.Denial](err); !ok || d.Status != 402 {
								t.Errorf("%v", err)
								return
							}
							refused++
							time.Sleep(450 * time.Millisecond)
							continue
						}
						cost := carrot.Dollars(p90 * r.ExpFloat64() * 2) // some cost much more than expected
						if limit < carrot.Dollars(100*p90) {
							cost = min(cost, limit)
							limited.Add(1)
						}
						if r.IntN(20) == 0 {
							time.Sleep(time.Duration(r.IntN(5)) * time.Millisecond)
						}
						beyond.Add(max(int64(cost-at.Held), 0))
						spent.Add(int64(cost))
						made.Add(1)
						p.done(t, a, at, cost)
						a.Close()
					}
				})
			}
		}
		over := make(chan struct{})
		var watching sync.WaitGroup
		watching.Go(func() { watch(t, processes[0].db, over, &beyond) })
		wg.Wait()
		for _, p := range processes {
			p.settled(t)
		}
		close(over)
		watching.Wait()
		f := processes[0].only(t)
		if int64(f.Spent) != spent.Load() {
			t.Errorf("the store says that %v are spent, which is %v", f.Spent, carrot.USD(spent.Load()))
		}
		if over := f.Spent - f.Amount; over > carrot.USD(beyond.Load()) {
			t.Errorf("%v over the budget, but calls cost only %v more than their reserves", over, carrot.USD(beyond.Load()))
		}
		if f.Spent < f.Amount*97/100 {
			t.Errorf("only %v of %v are spent", f.Spent, f.Amount)
		}
		if f.Held < 0 || f.Held > f.Amount/100 {
			t.Errorf("%v are held when all is over", f.Held)
		}
		t.Logf("%d calls, %d of them limited; %v spent, %v held", made.Load(), limited.Load(), f.Spent, f.Held)
	})
}

// watch checks again and again, until over is closed, that what is held of the budgets is the
// sum of the leases, and that no more is spent and held than the amount and what calls have
// cost beyond their reserves.
func watch(t *testing.T, db *database.DB, over <-chan struct{}, beyond *atomic.Int64) {
	for n := 0; ; n++ {
		select {
		case <-over:
			if n < 10 {
				t.Errorf("the store was looked at only %d times", n)
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
		err := db.Snapshot(context.Background(), func(tx *database.Tx) error {
			var amount, spent, held, leased int64
			err := tx.QueryRowContext(context.Background(), "SELECT COALESCE(SUM(amount), 0), COALESCE(SUM(spent), 0), COALESCE(SUM(held), 0), COALESCE((SELECT SUM(held) FROM leases), 0) FROM budgets").Scan(&amount, &spent, &held, &leased)
			if held != leased || held < 0 || spent+held > amount+beyond.Load() {
				t.Errorf("%d are spent and %d held of %d, in leases %d; calls cost %d beyond their reserves", spent, held, amount, leased, beyond.Load())
			}
			return err
		})
		if err != nil {
			t.Error(err)
			return
		}
	}
}

// TestLeases: what a process holds comes back when it is idle, ends or starts again, and
// stays held if it does not come back.
func TestLeases(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		folder := t.TempDir()
		p := start(t, dsn, folder, gateway.BudgetConfig{Name: "all", USD: 1, Per: "month"})
		a := p.admit(t, nil)
		at, _, err := p.call(t.Context(), a, carrot.Dollars(0.001), carrot.Dollars(0.001))
		if err != nil {
			t.Fatal(err)
		}
		if f := p.only(t); f.Held != carrot.Dollars(1.0/64) {
			t.Errorf("%v are held, want a part of 64", f.Held)
		}
		p.done(t, a, at, carrot.Dollars(0.0005))
		p.settled(t)
		p.clock.pass(idleAfter)
		for range 300 {
			if p.only(t).Held == 0 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if f := p.only(t); f.Held != 0 || f.Spent != carrot.Dollars(0.0005) {
			t.Errorf("an idle process: %v held, %v spent", f.Held, f.Spent)
		}
		if _, _, err = p.call(t.Context(), a, carrot.Dollars(0.2), carrot.Dollars(0.2)); err != nil {
			t.Fatal(err)
		}
		p.end(t)
		if f := p.only(t); f.Held != carrot.Dollars(0.2) {
			t.Errorf("a process that ended during a call holds %v, want what that reserved", f.Held)
		}
		p.clock.pass(leaseFor + time.Second)
		if f := p.only(t); f.Held != carrot.Dollars(0.2) || f.Lapsed != f.Held || f.Left != carrot.Dollars(0.7995) {
			t.Errorf("after the lease: %+v, want 0.2 lapsed, which still counts", f)
		}
		again := start(t, dsn, folder, gateway.BudgetConfig{Name: "all", USD: 1, Per: "month"})
		again.settled(t)
		if f := again.only(t); f.Held != 0 || f.Spent != carrot.Dollars(0.2005) || f.Unknown != carrot.Dollars(0.2) {
			t.Errorf("after the restart: %+v, want 0.2 spent of unknown cost", f)
		}
		list := []*record.Attempt{}
		for at, err := range again.ledger.Store().Attempts(t.Context(), ledger.Range{}) {
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, at)
		}
		if len(list) != 2 || list[1].Outcome != record.Lapsed || !list[1].CostUnknown || list[1].Held != carrot.Dollars(0.2) {
			t.Errorf("attempts %+v, want the second one lapsed", list)
		}
	})
}

// TestStoreAway: while the store is away, what is leased can be spent, until the lease
// ends.
func TestStoreAway(t *testing.T) {
	p := start(t, databasetest.SQLite(t), t.TempDir(), gateway.BudgetConfig{Name: "all", USD: 100, Per: "month"})
	a := p.admit(t, nil)
	small := carrot.Dollars(0.001)
	if _, _, err := p.call(t.Context(), a, small, small); err != nil {
		t.Fatal(err)
	}
	p.db.Close()
	if _, _, err := p.call(t.Context(), a, small, small); err != nil {
		t.Errorf("within the lease: %v", err)
	}
	if _, _, err := p.call(t.Context(), a, carrot.Dollars(50), carrot.Dollars(50)); err == nil {
		t.Fatal("reserved without the store")
	}
	if err := p.reserve(t.Context(), p.window(p.rules.Load().all[0], p.clock.now()), int64(carrot.Dollars(50))); !errors.Is(err, errSlow) {
		t.Errorf("%v: requests wait for a store that has just failed", err)
	}
	for name, f := range map[string]func() error{
		"beyond the lease": func() error {
			_, _, err := p.call(t.Context(), a, carrot.Dollars(50), carrot.Dollars(50))
			return err
		},
		"after the lease": func() error {
			p.clock.pass(leaseFor)
			_, _, err := p.call(t.Context(), a, small, small)
			return err
		},
	} {
		err := f()
		if d, ok := errors.AsType[*gateway.Denial](err); !ok || d.Status != 503 || d.Code != "store_unavailable" || d.RetryAfter == 0 {
			t.Errorf("%s: %v, want status 503", name, err)
		}
	}
	p.Budgets.Close() // says that the store is away
	p.ledger.Close()
	p.ledger = nil
}

// TestGivenBackUnsure: what may have been given back, because the store has not said whether
// it was, is not spent until it says so. What was not given back can be spent.
func TestGivenBackUnsure(t *testing.T) {
	p := start(t, databasetest.SQLite(t), t.TempDir(), gateway.BudgetConfig{Name: "all", USD: 100, Per: "month"})
	a := p.admit(t, nil)
	small := carrot.Dollars(0.001)
	at, _, err := p.call(t.Context(), a, small, small)
	if err != nil {
		t.Fatal(err)
	}
	p.done(t, a, at, small)
	p.settled(t)
	w := p.window(p.rules.Load().find("all"), p.clock.now())
	p.stop() // nobody else looks
	p.Budgets.done.Wait()
	w.mu.Lock()
	mine := w.free()
	w.mu.Unlock()
	p.db.Close()
	p.clock.pass(idleAfter)
	for _, unsure := range []int64{0, mine} {
		w.mu.Lock()
		w.giving = unsure
		w.mu.Unlock()
		for range 2 {
			p.lookAt(t.Context(), w, p.clock.now(), false)
			w.mu.Lock()
			free := w.free()
			w.mu.Unlock()
			if free != mine-unsure {
				t.Errorf("%v can be spent if %v may have been given back, want %v", carrot.USD(free), carrot.USD(unsure), carrot.USD(mine-unsure))
			}
		}
	}
}

// TestUnknownCost: a call of unknown cost is not made under a hard budget, and counts with
// its reserve if its cost stays unknown.
func TestUnknownCost(t *testing.T) {
	p := start(t, databasetest.SQLite(t), t.TempDir(), gateway.BudgetConfig{Name: "all", USD: 1, Per: "month"})
	a := p.admit(t, nil)
	if strict, pace := a.Terms(); !strict || pace != 1 {
		t.Errorf("terms %v, %v", strict, pace)
	}
	_, err := a.Reserve(t.Context(), &record.Attempt{Candidate: "m", Time: time.Now()}, 0, 0)
	if d, ok := errors.AsType[*gateway.Denial](err); !ok || d.Status != 402 || d.Code != "unknown_cost" {
		t.Errorf("%v, want a refusal", err)
	}
	at, _, err := p.call(t.Context(), a, carrot.Dollars(0.01), carrot.Dollars(0.01))
	if err != nil {
		t.Fatal(err)
	}
	at.CostUnknown, at.Usage = true, carrot.Usage{Output: 100}
	p.done(t, a, at, 0)
	p.settled(t)
	if f := p.only(t); f.Spent != carrot.Dollars(0.01) || f.Unknown != f.Spent {
		t.Errorf("%+v, want the reserve as spent and unknown", f)
	}
	book := func(string) (carrot.Price, error) {
		return carrot.Price{Date: "2026-11-01", Input: carrot.PerMillion(1), Output: carrot.PerMillion(10)}, nil
	}
	if done, err := p.ledger.Store().Reprice(t.Context(), ledger.Range{}, book, false, Repriced); err != nil || done.Priced != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	if f := p.only(t); f.Spent != carrot.Dollars(0.001) || f.Unknown != 0 {
		t.Errorf("%+v, want the cost in place of the reserve", f)
	}
}

// TestUnknownZone: a client's budget in a time zone that this machine does not know is kept,
// too.
func TestUnknownZone(t *testing.T) {
	p := start(t, databasetest.SQLite(t), t.TempDir())
	a := p.admit(t, &gateway.Client{Name: "search", Limits: gateway.ClientLimits{Budgets: []gateway.BudgetConfig{{Name: "own", USD: 1, Per: "month", TimeZone: "Mars/Olympus"}}}})
	if _, _, err := p.call(t.Context(), a, carrot.Dollars(2), carrot.Dollars(2)); err != nil {
		t.Fatal(err) // shortened to what is left
	}
	_, _, err := p.call(t.Context(), a, carrot.Dollars(2), carrot.Dollars(2))
	if d, ok := errors.AsType[*gateway.Denial](err); !ok || d.Status != 402 {
		t.Errorf("%v, want a refusal", err)
	}
}

// TestSoft: a soft budget counts and lets pass.
func TestSoft(t *testing.T) {
	p := start(t, databasetest.SQLite(t), t.TempDir(), gateway.BudgetConfig{Label: "team=a", USD: 0.001, Per: "day", Soft: true})
	a, err := p.Admit(t.Context(), search, map[string]string{"team": "a"})
	if err != nil || a == nil {
		t.Fatal(a, err)
	}
	if strict, _ := a.Terms(); strict {
		t.Error("a soft budget excludes candidates")
	}
	at, _, err := p.call(t.Context(), a, carrot.Dollars(1), carrot.Dollars(1))
	if err != nil {
		t.Fatal(err)
	}
	p.done(t, a, at, carrot.Dollars(2))
	p.settled(t)
	p.clock.pass(time.Second)
	for range 300 {
		if list, _ := List(t.Context(), p.db, nil, p.clock.now()); len(list) == 1 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if f := p.only(t); f.Spent != carrot.Dollars(2) || f.Left != carrot.Dollars(0.001-2) || !f.Soft || f.Name != "label-team-a-day" {
		t.Errorf("%+v", f)
	}
	if other, err := p.Admit(t.Context(), search, map[string]string{"team": "b"}); other != nil || err != nil {
		t.Errorf("another team has an account: %v, %v", other, err)
	}
	// A soft budget that is passed does not hide what is left of a hard one.
	header := func(a gateway.Account) string {
		h := http.Header{}
		a.Header("chat", h)
		return h.Get("X-Carrot-Budget") + " " + h.Get("X-Carrot-Budget-Left")
	}
	if got := header(a); got != "label-team-a-day -1.999" {
		t.Errorf("the header of a soft budget alone: %s", got)
	}
	if err := p.Set([]gateway.BudgetConfig{{Label: "team=a", USD: 0.001, Per: "day", Soft: true}, {USD: 50, Per: "day"}}); err != nil {
		t.Fatal(err)
	}
	if both, err := p.Admit(t.Context(), search, map[string]string{"team": "a"}); err != nil || header(both) != "all-day 50" {
		t.Errorf("the header of a hard and a soft one: %v, %v", header(both), err)
	}
}

// TestRates: requests, tokens and requests in progress have limits, which are shown as the
// vendors' clients read them.
func TestRates(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		c := &gateway.Client{Name: "search", Limits: gateway.ClientLimits{Rates: gateway.RateConfig{Requests: 5, Tokens: 1000, Concurrent: 3}}}
		p := start(t, dsn, t.TempDir())
		p.clock.pass(time.Until(time.Now().Truncate(time.Minute).Add(time.Minute + time.Second))) // early in a minute
		var open []gateway.Account
		for range 3 {
			open = append(open, p.admit(t, c))
		}
		refused := func(what string) {
			t.Helper()
			a, err := p.Admit(t.Context(), c, nil)
			if d, ok := errors.AsType[*gateway.Denial](err); !ok || d.Status != 429 || !strings.Contains(d.Message, what) || d.RetryAfter <= 0 {
				t.Errorf("%v, want a refusal for %s", err, what)
			}
			if a != nil {
				a.Close()
			}
		}
		refused("concurrent_requests")
		for _, a := range open {
			a.Close()
		}
		a := p.admit(t, c)
		h := http.Header{}
		a.Header("chat", h)
		if h.Get("X-Ratelimit-Limit-Requests") != "5" || h.Get("X-Ratelimit-Remaining-Requests") != "1" || h.Get("X-Ratelimit-Limit-Tokens") != "1000" || !strings.HasSuffix(h.Get("X-Ratelimit-Reset-Requests"), "s") {
			t.Errorf("headers %v", h)
		}
		h = http.Header{}
		a.Header("messages", h)
		if h.Get("Anthropic-Ratelimit-Requests-Remaining") != "1" || h.Get("Anthropic-Ratelimit-Tokens-Limit") != "1000" || !strings.HasSuffix(h.Get("Anthropic-Ratelimit-Requests-Reset"), "Z") {
			t.Errorf("headers %v", h)
		}
		a.Close()
		p.admit(t, c).Close()
		refused("requests_per_minute")
		p.clock.pass(time.Minute)
		a = p.admit(t, c)
		for n, fits := range []bool{true, true, false} { // 100 tokens are expected, and 550 used
			at, _, err := p.call(t.Context(), a, 1, 1)
			if (err == nil) != fits {
				t.Errorf("call %d: %v", n, err)
			}
			if d, ok := errors.AsType[*gateway.Denial](err); !fits && (!ok || !strings.Contains(d.Message, "tokens_per_minute") || d.Status != 429) {
				t.Errorf("%v", err)
			}
			at.Usage.Input, at.Usage.Output = 200, 350
			a.Settle(at)
		}
		a.Close()
	})
}

// TestSharedRates: processes on one store of PostgreSQL share the rates of a client.
func TestSharedRates(t *testing.T) {
	dsn := databasetest.Postgres(t)
	c := &gateway.Client{Name: "search", Limits: gateway.ClientLimits{Rates: gateway.RateConfig{Requests: 100, Concurrent: 10}}}
	one, two := start(t, dsn, t.TempDir()), start(t, dsn, t.TempDir())
	next := time.Until(time.Now().Truncate(time.Minute).Add(time.Minute + time.Second))
	one.clock.pass(next)
	two.clock.pass(next)
	admitted := 0
	for n := range 150 {
		a, err := []*process{one, two}[n%2].Admit(t.Context(), c, nil)
		if err == nil {
			admitted++
		}
		if a != nil {
			a.Close()
		}
	}
	if admitted > 100 || admitted < 90 {
		t.Errorf("%d requests were admitted, want at most 100 and nearly as many", admitted)
	}
	one.clock.pass(time.Minute)
	two.clock.pass(time.Minute)
	var open []gateway.Account
	for n := range 30 {
		a, err := []*process{one, two}[n%2].Admit(t.Context(), c, nil)
		if err == nil {
			open = append(open, a)
		} else if a != nil {
			a.Close()
		}
	}
	if len(open) != 10 {
		t.Errorf("%d requests are in progress, want 10", len(open))
	}
	for _, a := range open {
		a.Close()
	}
}

// TestSharedRatesAway: while the store is away, each process counts alone, and afterwards
// they share again. A client that hangs up gets no more than others.
func TestSharedRatesAway(t *testing.T) {
	dsn, line := databasetest.Cuttable(t, databasetest.Postgres(t))
	p := start(t, dsn, t.TempDir())
	c := &gateway.Client{Name: "search", Limits: gateway.ClientLimits{Rates: gateway.RateConfig{Concurrent: 32}}}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if a, err := p.Admit(gone, c, nil); err == nil {
		a.Close()
	}
	m := p.meter(c)
	granted := func() (int64, bool) {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.running.granted, m.running.full
	}
	if n, full := granted(); n > 2 || full {
		t.Errorf("after a client that hung up, %d requests may be in progress, want a part of 32", n)
	}
	admitted := func(when string) {
		t.Helper()
		var open []gateway.Account
		for range 3 {
			a, err := p.Admit(t.Context(), c, nil)
			if err != nil {
				t.Fatalf("%s: %v", when, err)
			}
			open = append(open, a)
		}
		for _, a := range open {
			a.Close()
		}
	}
	line.Cut()
	admitted("while the store is away")
	p.clock.pass(idleAfter)
	for range 3 { // as look does meanwhile
		m.shareSlots(t.Context(), p.clock.now())
		admitted("while the store is away and the client was idle")
	}
	line.Mend()
	for range 1000 {
		p.clock.pass(idleAfter)
		m.shareSlots(t.Context(), p.clock.now())
		if _, full := granted(); !full {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	admitted("after the store has come back")
	if n, full := granted(); n > 5 || full {
		t.Errorf("after the store has come back, %d requests may be in progress (alone: %v), want a part of 32", n, full)
	}
}

// TestForget: rows of minutes that are over are removed, and those of requests in progress
// stay. A process starts also if they are removed meanwhile.
func TestForget(t *testing.T) {
	dsn, folder := databasetest.Postgres(t), t.TempDir()
	p := start(t, dsn, folder)
	c := &gateway.Client{Name: "search", Limits: gateway.ClientLimits{Rates: gateway.RateConfig{Requests: 100, Concurrent: 10}}}
	if _, err := p.Admit(t.Context(), c, nil); err != nil {
		t.Fatal(err)
	}
	rows := func(table string) (n int) {
		t.Helper()
		if err := p.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	p.forget(t.Context(), p.clock.now())
	if rows("budgets") != 2 || rows("leases") != 2 {
		t.Errorf("%d rows and %d leases, want those of the requests of this minute and of those in progress", rows("budgets"), rows("leases"))
	}
	p.forget(t.Context(), p.clock.now().Add(15*time.Minute))
	if rows("budgets") != 1 || rows("leases") != 1 {
		t.Errorf("%d rows and %d leases after the minute, want those of the requests in progress", rows("budgets"), rows("leases"))
	}
	process := p.process
	p.end(t)
	if _, err := p.db.ExecContext(t.Context(), "INSERT INTO leases (period, process, held, expires) VALUES ('~requests/search@1', ?, 1, 1)", process); err != nil {
		t.Fatal(err)
	}
	start(t, dsn, folder)
}

func TestPace(t *testing.T) {
	for _, c := range []struct{ time, spent, want float64 }{{0.5, 0.5, 1}, {0.5, 0.25, 2.718281828459045}, {0, 1, 1.0 / 8}, {1, 0, 8}} {
		if got := Pace(4, c.time, c.spent); got != c.want {
			t.Errorf("after %v of the time and %v of the amount: %v, want %v", c.time, c.spent, got, c.want)
		}
	}
}

// TestLowered: a budget that is lowered counts at once, however much is leased, and the lease
// is given back.
func TestLowered(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		p := start(t, dsn, t.TempDir(), gateway.BudgetConfig{Name: "all", USD: 1000, Per: "month"})
		a := p.admit(t, nil)
		at, _, err := p.call(t.Context(), a, carrot.Dollars(0.05), carrot.Dollars(0.05))
		if err != nil {
			t.Fatal(err)
		}
		p.done(t, a, at, carrot.Dollars(0.05))
		p.settled(t)
		if err := p.Set([]gateway.BudgetConfig{{Name: "all", USD: 0.01, Per: "month"}}); err != nil {
			t.Fatal(err)
		}
		_, _, err = p.call(t.Context(), p.admit(t, nil), carrot.Dollars(0.001), carrot.Dollars(0.001))
		if d, ok := errors.AsType[*gateway.Denial](err); !ok || d.Status != 402 || !strings.Contains(d.Message, "of 0.01 USD, 0.05 are spent") {
			t.Errorf("%v, want a refusal by the amount that was set", err)
		}
		for range 400 {
			if f := p.only(t); f.Held == 0 && f.Amount == carrot.Dollars(0.01) {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if f := p.only(t); f.Held != 0 || f.Amount != carrot.Dollars(0.01) || f.Left != carrot.Dollars(-0.04) {
			t.Errorf("%+v, want nothing held of 0.01", f)
		}
		if err := p.Set([]gateway.BudgetConfig{{Name: "all", USD: 1, Per: "month"}}); err != nil {
			t.Fatal(err)
		}
		p.clock.pass(askAgain)
		if _, _, err := p.call(t.Context(), p.admit(t, nil), carrot.Dollars(0.001), carrot.Dollars(0.001)); err != nil {
			t.Errorf("after it was raised: %v", err)
		}
	})
}

// TestChangedPeriod: a budget with a name of its own that becomes one for a day, on the day
// on which both periods begin, begins anew on the next day.
func TestChangedPeriod(t *testing.T) {
	p := start(t, databasetest.SQLite(t), t.TempDir(), gateway.BudgetConfig{Name: "all", USD: 1, Per: "month"})
	first := time.Date(2030, 12, 1, 12, 0, 0, 0, time.UTC)
	p.clock.pass(time.Until(first))
	p.admit(t, nil)
	if err := p.Set([]gateway.BudgetConfig{{Name: "all", USD: 1, Per: "day"}}); err != nil {
		t.Fatal(err)
	}
	if f := p.Configured()[0]; f.Began != "2030-12-01" || !f.Ends.Equal(time.Date(2030, 12, 2, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v, want the first of December", f)
	}
	p.clock.pass(24 * time.Hour)
	if f := p.Configured()[0]; f.Began != "2030-12-02" {
		t.Errorf("%+v, want the second of December", f)
	}
}

// TestRefusedHoldsNothing: a client that one budget refuses does not keep the lease of
// another one from being given back.
func TestRefusedHoldsNothing(t *testing.T) {
	p := start(t, databasetest.SQLite(t), t.TempDir(), gateway.BudgetConfig{Name: "all", USD: 1, Per: "month"}, gateway.BudgetConfig{Name: "small", Client: "search", USD: 0.000001, Per: "month"})
	ask := func() error {
		_, err := p.admit(t, search).Reserve(t.Context(), &record.Attempt{Time: p.clock.now(), Candidate: "m"}, carrot.Dollars(0.01), carrot.Dollars(0.01))
		return err
	}
	held := func() carrot.USD {
		list, err := List(t.Context(), p.db, nil, p.clock.now())
		if err != nil || len(list) == 0 || list[0].Name != "all" {
			t.Fatalf("%+v, %v", list, err)
		}
		return list[0].Held
	}
	if err := ask(); err == nil || held() == 0 {
		t.Fatalf("%v, %v held, want a refusal by the small budget, after the other one was leased", err, held())
	}
	var free bool
	for range 300 {
		p.clock.pass(50 * time.Millisecond)
		time.Sleep(10 * time.Millisecond)
		if free = held() == 0; free {
			break
		}
		if err := ask(); err == nil {
			t.Fatal("not refused")
		}
	}
	if !free {
		t.Errorf("%v are held for a client that is refused", held())
	}
}

// TestTurn: a request that came just before the turn of a minute does not begin the earlier
// minute again.
func TestTurn(t *testing.T) {
	c := &gateway.Client{Name: "search", Limits: gateway.ClientLimits{Rates: gateway.RateConfig{Requests: 2}}}
	b := New(Options{})
	m := b.meter(c)
	turn := time.Date(2026, 11, 29, 12, 1, 0, 0, time.UTC)
	for n, at := range []time.Time{turn, turn.Add(-time.Millisecond), turn} {
		if took := m.take(t.Context(), requests, 1, at); took != (n < 2) {
			t.Errorf("request %d: %v", n, took)
		}
	}
	if !m.take(t.Context(), requests, 1, turn.Add(time.Minute)) || !m.take(t.Context(), requests, 1, turn.Add(-time.Hour)) {
		t.Error("a new minute, or a clock that was set back, begins with nothing used")
	}
}

// TestFree: a call that costs nothing is made although nothing is left.
func TestFree(t *testing.T) {
	p := start(t, databasetest.SQLite(t), t.TempDir(), gateway.BudgetConfig{Name: "all", USD: 0.001, Per: "month"})
	a := p.admit(t, nil)
	at, _, err := p.call(t.Context(), a, carrot.Dollars(0.001), carrot.Dollars(0.001))
	if err != nil {
		t.Fatal(err)
	}
	p.done(t, a, at, carrot.Dollars(0.001))
	free := &record.Attempt{Time: p.clock.now(), Candidate: "free"}
	if limit, err := a.Reserve(t.Context(), free, 1, 1); err != nil || limit != 1 {
		t.Errorf("%v, %v", limit, err)
	}
	p.done(t, a, free, 0)
	p.settled(t)
	if f := p.only(t); f.Spent != carrot.Dollars(0.001) {
		t.Errorf("%+v", f)
	}
}

// full is a journal without space.
type full struct{ nowhere }

func (full) Begin(*record.Attempt) error { return journal.ErrFull }

// TestJournalFull: a call that cannot be recorded is not made if a budget must not be passed,
// and holds nothing. Soft budgets let it pass.
func TestJournalFull(t *testing.T) {
	db, err := database.Make(t.Context(), databasetest.SQLite(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	b := New(Options{DB: db})
	if err := errors.Join(b.Set([]gateway.BudgetConfig{{Client: "search", USD: 1, Per: "month"}, {Name: "soft", USD: 1, Per: "month", Soft: true}}), b.Start(t.Context(), full{})); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	p := &process{Budgets: b, clock: &clock{}}
	for range 3 { // what the first ones held is free again
		_, _, err := p.call(t.Context(), p.admit(t, search), carrot.Dollars(0.9), carrot.Dollars(0.9))
		if d, ok := errors.AsType[*gateway.Denial](err); !ok || d.Status != 503 || d.Code != "ledger_full" {
			t.Errorf("%v, want status 503 and ledger_full", err)
		}
	}
	if _, _, err := p.call(t.Context(), p.admit(t, nil), carrot.Dollars(0.9), carrot.Dollars(0.9)); err != nil {
		t.Errorf("with a soft budget: %v", err)
	}
}

// BenchmarkCall measures what budgets add to a request: an account, a reserve and a
// settlement in a lease, without the journal.
func BenchmarkCall(b *testing.B) {
	db, err := database.Make(b.Context(), databasetest.SQLite(b))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	budgets := New(Options{DB: db})
	if err := budgets.Set([]gateway.BudgetConfig{{Name: "all", USD: 1000, Per: "month"}, {Client: "search", USD: 1000, Per: "day"}}); err != nil {
		b.Fatal(err)
	}
	if err := budgets.Start(b.Context(), nowhere{}); err != nil {
		b.Fatal(err)
	}
	defer budgets.Close()
	at := &record.Attempt{Time: time.Now(), Candidate: "m", Decision: &carrot.Decision{Candidates: []carrot.Assessment{{Name: "m", Estimate: carrot.Estimate{CostP90: 1000}}}}}
	for b.Loop() {
		a, err := budgets.Admit(b.Context(), search, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := a.Reserve(b.Context(), at, 10, 2000); err != nil {
			b.Fatal(err)
		}
		a.Settle(at)
		a.Close()
	}
}

// nowhere is a journal that keeps nothing.
type nowhere struct{}

func (nowhere) Begin(*record.Attempt) error { return nil }
func (nowhere) Journal() string             { return "nowhere" }

// Command ledger fills a store with attempts through the ledger's own writer, and writes a
// Markdown table of what it takes: see runs/ledger.sh.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/embed"
	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/internal/ledger"
	"github.com/carrot-router/carrot/price"
	"github.com/carrot-router/carrot/record"
)

func main() {
	store := flag.String("store", "", "the store, which must be empty")
	rows := flag.Int("rows", 1_000_000, "attempts")
	texts := flag.Int("texts", 10, "of how many attempts one has the judged text and an answer; 0: none")
	read := flag.Bool("read", false, "fill nothing, and measure how long the store takes for the pages of the dashboard about requests")
	flag.Parse()
	log.SetFlags(0)
	if *read {
		if err := pages(context.Background(), *store); err != nil {
			log.Fatal(err)
		}
		return
	}
	if err := run(context.Background(), *store, *rows, *texts); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, store string, rows, texts int) (err error) {
	folder, err := os.MkdirTemp("", "carrot-journal-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	l, err := ledger.Open(ctx, store, ledger.Options{Folder: folder})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	m, err := newMaker(texts)
	if err != nil {
		return err
	}
	began := time.Now()
	workers := runtime.GOMAXPROCS(0)
	failures := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(w)))
			for n := w; n < rows; n += workers {
				a, err := m.attempt(ctx, r, n)
				if err == nil {
					err = l.Record(ctx, a)
				}
				if err != nil {
					failures[w] = err
					return
				}
				for l.Pending() > 32<<20 { // what fills the store is not to fill the disk
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
	for l.Pending() > 0 {
		time.Sleep(10 * time.Millisecond)
	}
	if err := errors.Join(failures...); err != nil {
		return err
	}
	log.Printf("%d attempts in %v", rows, time.Since(began).Round(time.Second))
	return sizes(ctx, store, rows, texts)
}

// maker makes attempts of requests with random words, which the router in the binary
// decides.
type maker struct {
	router *carrot.Router
	texts  int
}

func newMaker(texts int) (*maker, error) {
	a, err := artifact.Default()
	if err != nil {
		return nil, err
	}
	embedder, err := embed.Default()
	if err != nil {
		return nil, err
	}
	pool := a.Pool(price.Default())
	router, err := a.Router(embedder, pool[:min(8, len(pool))])
	return &maker{router, texts}, err
}

var (
	words    = strings.Fields("what is the sum of all numbers write a function that sorts list explain why light bends in water who wrote this book translate into German summarise report about sales prove theorem plan trip code bug fix test error user table query index")
	policies = []string{"auto", "cheap", "quality"}
	teams    = []string{"search", "support", "growth", "research", "billing"}
)

func (m *maker) attempt(ctx context.Context, r *rand.Rand, n int) (*record.Attempt, error) {
	prompt := make([]string, 5+r.IntN(60))
	for i := range prompt {
		prompt[i] = words[r.IntN(len(words))]
	}
	text := strings.Join(prompt, " ")
	objective := []carrot.Objective{carrot.Balanced, carrot.Cheap, carrot.Quality}[n%3]
	d, err := m.router.Route(ctx, carrot.Query{Text: text, InputTokens: len(prompt) * 4 / 3}, objective)
	if err != nil {
		return nil, err
	}
	if r.IntN(20) == 0 { // explored
		d.Model = d.Candidates[r.IntN(len(d.Candidates))].Name
	}
	a := &record.Attempt{
		Time: time.Date(2026, 11, 1, 0, 0, n%86_400, n, time.UTC).AddDate(0, 0, n/86_400%30), RequestID: fmt.Sprintf("req_%026d", r.Uint64()), Number: 1, Client: fmt.Sprintf("client-%02d", r.IntN(20)),
		Labels: map[string]string{"team": teams[r.IntN(len(teams))]}, API: "chat", Policy: policies[n%3], Default: d.Candidates[0].Name, First: d.Model, Reason: record.TradeOff, Decision: &d,
		DecidedIn: time.Duration(30_000 + r.IntN(30_000)), Propensity: 1, Candidate: d.Model, Provider: "openai", UpstreamModel: d.Model, AnswerID: fmt.Sprintf("chatcmpl-%024d", r.Uint64()),
		Outcome: record.Served, Status: 200, PriceDate: "2026-11-01", ExpectedUnknown: true,
		FirstToken: time.Duration(r.IntN(1e9)), Upstream: time.Duration(r.IntN(2e9)), Overhead: time.Duration(r.IntN(1e6)),
	}
	if n%2 == 0 {
		a.Session = fmt.Sprintf("session-%06d", r.IntN(100_000))
		a.User = a.Session
	}
	e := a.Estimate()
	a.Usage = carrot.Usage{Input: e.InputTokens, Output: int(e.OutputTokens * math.Exp(0.4*r.NormFloat64())), Details: &carrot.UsageDetails{Tier: "default"}}
	if a.CostUnknown = e.CostUnknown; !a.CostUnknown {
		a.Expected, a.ExpectedUnknown = e.Cost, false
		a.Cost = carrot.USD(float64(e.Cost) * math.Exp(0.3*r.NormFloat64()))
	}
	if m.texts > 0 && n%m.texts == 0 {
		a.Prompt, a.Answer = []byte(text), text
	}
	return a, nil
}

// sizes writes what the tables take.
func sizes(ctx context.Context, store string, rows, texts int) error {
	db, err := database.Open(ctx, store)
	if err != nil {
		return err
	}
	defer db.Close()
	query := "SELECT m.tbl_name, SUM(s.pgsize) FROM dbstat AS s JOIN sqlite_master AS m ON m.name = s.name GROUP BY 1"
	if db.Postgres() {
		query = "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
	}
	found, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer found.Close()
	size := map[string]int64{}
	for found.Next() {
		var name string
		var n int64
		if err := found.Scan(&name, &n); err != nil {
			return err
		}
		size[name] = n
	}
	million := float64(rows) / 1e6
	for _, name := range []string{"attempts", "decisions", "daily", "labelled", "forecasts"} {
		fmt.Printf("| %s | %.0f MB |\n", name, float64(size[name])/million/1e6)
	}
	if texts > 0 {
		fmt.Printf("| contents, of all attempts | %.0f MB |\n", float64(size["contents"])*float64(texts)/million/1e6)
	}
	return found.Err()
}

// pages writes how long the store takes for pages of requests, the median of nine times.
func pages(ctx context.Context, store string) error {
	s, err := ledger.OpenStore(ctx, store)
	if err != nil {
		return err
	}
	defer s.Close()
	latest, err := s.Requests(ctx, ledger.Which{}, ledger.Place{}, 1)
	if err != nil || len(latest.Requests) == 0 {
		return errors.Join(err, errors.New("the store is empty"))
	}
	middle := ledger.Place{Time: latest.Requests[0].Time.AddDate(0, 0, -5).UnixNano()}
	for _, of := range []struct {
		name string
		ledger.Which
		from ledger.Place
	}{
		{"latest", ledger.Which{}, ledger.Place{}},
		{"five days before", ledger.Which{}, middle},
		{"of a client, one of twenty", ledger.Which{Range: ledger.Range{Clients: []string{"client-07"}}}, ledger.Place{}},
		{"of a model that nobody called", ledger.Which{Range: ledger.Range{Models: []string{"nobody's"}}}, ledger.Place{}},
		{"that nobody answered", ledger.Which{Ending: ledger.Unanswered}, ledger.Place{}},
	} {
		var took []time.Duration
		rows := 0
		for range 9 {
			began := time.Now()
			page, err := s.Requests(ctx, of.Which, of.from, 50)
			if err != nil {
				return err
			}
			took, rows = append(took, time.Since(began)), len(page.Requests)
		}
		slices.Sort(took)
		fmt.Printf("| requests %s: %d | %.1f ms |\n", of.name, rows, took[len(took)/2].Seconds()*1000)
	}
	return nil
}

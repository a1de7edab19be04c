package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/internal/database/databasetest"
	"github.com/carrot-router/carrot/internal/journal"
	"github.com/carrot-router/carrot/record"
)

// said is what a log has said.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *said) count(part string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.text.String(), part)
}

// TestLineCut: while PostgreSQL cannot be reached, attempts are recorded all the same and
// wait in the journal. The log says once that it is away, and once that it is back; then
// every attempt is in the store once. So it is if connections are cut at any moment, even
// between the end of a transaction and the news of it.
func TestLineCut(t *testing.T) {
	direct := databasetest.Postgres(t)
	dsn, line := databasetest.Cuttable(t, direct)
	log := &said{}
	l, err := Open(t.Context(), dsn, Options{Folder: t.TempDir(), Journal: journal.Options{Reserve: 1 << 20, Segment: 256 << 10}, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := rand.New(rand.NewPCG(3, 4))
	n := 0
	record := func(more int) {
		for range more {
			if err := l.Record(t.Context(), attempt(t, r, n)); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	record(100)
	settle(t, l)
	line.Cut()
	record(300)
	for until := time.Now().Add(10 * time.Second); l.Up(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("nobody notices that the store is away")
		}
	}
	if l.Pending() == 0 || l.Written() != 100 {
		t.Errorf("%d bytes are pending and %d attempts written while the store is away", l.Pending(), l.Written())
	}
	time.Sleep(500 * time.Millisecond) // it tries again, without saying so
	line.Mend()
	settle(t, l)
	if away, back := log.count("the store does not work"), log.count("the store works again"); away != 1 || back != 1 || !l.Up() {
		t.Errorf("the log says %d times that the store is away and %d times that it is back: %s", away, back, &log.text)
	}
	for range 40 {
		record(25)
		time.Sleep(time.Duration(r.IntN(10)) * time.Millisecond)
		line.Blink()
	}
	settle(t, l)
	if got := all(t, l.Store()); len(got) != n {
		t.Errorf("%d attempts, want %d", len(got), n)
	}
	for i, a := range all(t, l.Store()) {
		if want := fmt.Sprintf("req_%06d", i); a.RequestID != want {
			t.Fatalf("attempt %d is %s, want %s", i, a.RequestID, want)
		}
	}
	sound(t, l.Store())
	if l.Lost() != 0 {
		t.Errorf("%d attempts are lost", l.Lost())
	}
}

// TestWrittenTwice: entries that a try has written, without being told so, are not written
// by the next.
func TestWrittenTwice(t *testing.T) { databasetest.Each(t, testWrittenTwice) }

func testWrittenTwice(t *testing.T, dsn string) {
	s, err := MakeStore(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	e, err := readEntry(appendEntry(nil, example(t), new([]byte)))
	if err != nil {
		t.Fatal(err)
	}
	first, second := journal.Position{Segment: 1, Offset: 100}, journal.Position{Segment: 1, Offset: 200}
	committed, tries := 0, 0
	b := &batch{journal: "j", to: first, entries: []*entry{e}, also: func(context.Context, *database.Tx, string, []*record.Attempt) (func(), error) {
		tries++
		return func() { committed++ }, nil
	}}
	for range 2 {
		if err := s.write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if refused, err := s.writeEach(t.Context(), b); err != nil || len(refused) > 0 {
			t.Fatal(refused, err)
		}
	}
	if tries != 1 || committed != 4 {
		t.Errorf("%d tries, which have said %d times that they have committed, want 1 and 4", tries, committed)
	}
	if err := s.write(t.Context(), &batch{journal: "j", to: second, entries: []*entry{e}}); !errors.Is(err, errMoved) {
		t.Errorf("a journal that was copied: %v, want %v", err, errMoved)
	}
	if n := len(all(t, s)); n != 1 {
		t.Errorf("%d attempts, want 1", n)
	}
}

// TestHostile: whatever texts and numbers an attempt has, it is stored, and those after it
// are too.
func TestHostile(t *testing.T) { databasetest.Each(t, testHostile) }

func testHostile(t *testing.T, dsn string) {
	l := open(t, dsn)
	random := rand.New(rand.NewPCG(7, 8))
	long := make([]byte, 100_000) // which no compression makes short
	for i := range long {
		long[i] = byte(' ' + random.IntN(94))
	}
	texts := map[string]string{
		"long":       string(long),
		"long UTF-8": strings.Repeat("🥕", 2000),
		"NUL":        strings.Repeat("\x00", 200),
		"not UTF-8":  strings.Repeat("a\xff", 2000),
		"surrogate":  "\xed\xa0\x80",
		"SQL":        "'); DROP TABLE attempts; --",
		"empty":      "",
	}
	n := 0
	for name, text := range texts {
		a := example(t)
		for i := range columns {
			switch at := columns[i].at(a).(type) {
			case *string:
				*at = text
			case *record.Outcome:
				*at = record.Outcome(text)
			case *record.Reason:
				*at = record.Reason(text)
			}
		}
		a.Labels = map[string]string{text: text}
		a.RateLimits, a.Dropped, a.CacheMiss, a.UpstreamRequestID = map[string]string{text: text}, []string{text}, text, text
		a.Prompt, a.Answer = []byte(text), text
		if err := l.Record(t.Context(), a); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		n++
	}
	for _, number := range []int64{math.MaxInt64, math.MinInt64, -1, 0} {
		for _, x := range []float64{math.NaN(), math.Inf(1), math.Copysign(0, -1), math.MaxFloat64} {
			a := example(t)
			for i := range columns {
				switch at := columns[i].at(a).(type) {
				case *int:
					*at = int(number)
				case *time.Duration:
					*at = time.Duration(number)
				case *float64:
					*at = x
				case amount:
					*at.cost, *at.unknown = 0, false
					if number > 0 {
						*at.cost = math.MaxInt64
					}
				case nanoseconds:
					*at.t = time.Unix(0, min(number, math.MaxInt64-1))
				}
			}
			for range 3 { // whose sums would overflow
				if err := l.Record(t.Context(), a); err != nil {
					t.Fatalf("%d, %v: %v", number, x, err)
				}
				n++
			}
		}
	}
	last := example(t)
	last.RequestID = "req_last"
	if err := l.Record(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	settle(t, l)
	if got := all(t, l.Store()); len(got) != n+1 || got[n].RequestID != "req_last" || l.Lost() != 0 {
		t.Errorf("%d attempts stored and %d lost, want %d", len(got), l.Lost(), n+1)
	}
	sound(t, l.Store())
	for _, by := range []By{ByDay, ByModel, ByProvider, ByPolicy, ByClient} {
		if _, total, err := l.Store().Summary(t.Context(), Range{}, by); err != nil || total.Attempts != int64(n+1) {
			t.Errorf("summary by %s: %d attempts, %v", by, total.Attempts, err)
		}
	}
	for name, text := range texts {
		a := example(t)
		a.RequestID = text
		if found, err := l.Store().Request(t.Context(), a.Bounded().RequestID); err != nil || len(found) == 0 {
			t.Errorf("%s: %d attempts of its request, %v", name, len(found), err)
		}
	}
}

// TestRefused: an attempt that the database refuses is lost and counted; those beside it
// are stored.
func TestRefused(t *testing.T) { databasetest.Each(t, testRefused) }

func testRefused(t *testing.T, dsn string) {
	s, err := MakeStore(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.ExecContext(t.Context(), "CREATE UNIQUE INDEX once ON attempts (request)"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	l := open(t, dsn)
	r := rand.New(rand.NewPCG(9, 10))
	for _, n := range []int{0, 1, 2, 1, 3, 3, 4, 5} {
		if err := l.Record(t.Context(), attempt(t, r, n)); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, l)
	got := all(t, l.Store())
	for i, a := range got {
		if want := fmt.Sprintf("req_%06d", i); a.RequestID != want {
			t.Errorf("attempt %d is %s, want %s", i, a.RequestID, want)
		}
	}
	if len(got) != 6 || l.Lost() != 2 || l.Written() != 6 {
		t.Errorf("%d attempts stored, %d written and %d lost, want 6, 6 and 2", len(got), l.Written(), l.Lost())
	}
	sound(t, l.Store())
}

// TestLapsedRefused: a call that has lapsed and that the database refuses does not keep the
// gateway from starting again.
func TestLapsedRefused(t *testing.T) { databasetest.Each(t, testLapsedRefused) }

func testLapsedRefused(t *testing.T, dsn string) {
	s, err := MakeStore(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.ExecContext(t.Context(), "CREATE UNIQUE INDEX once ON attempts (request)"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	l := open(t, dsn)
	r := rand.New(rand.NewPCG(9, 10))
	first, second, third := attempt(t, r, 0), attempt(t, r, 0), attempt(t, r, 1)
	second.Number, second.Cost, third.Cost = 2, 0, 0 // as they begin
	if err := errors.Join(l.Record(t.Context(), first), l.Begin(second), l.Begin(third)); err != nil {
		t.Fatal(err)
	}
	settle(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, dsn)
	got := all(t, again.Store())
	if len(got) != 2 || got[1].Outcome != record.Lapsed || got[1].RequestID != third.RequestID || again.Lost() != 1 {
		t.Errorf("%d attempts stored and %d lost, want that of each request, and one lost", len(got), again.Lost())
	}
	sound(t, again.Store())
}

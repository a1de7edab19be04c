package responses

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/internal/database/databasetest"
)

// open opens a store in a database, as a process does.
func open(t *testing.T, dsn string) *Store {
	t.Helper()
	db, err := database.Make(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s := Open(db, slog.New(slog.NewTextHandler(t.Output(), nil)))
	s.patience = time.Minute // on a busy machine
	return s
}

// find looks for longer than a gateway does, because the machine may be busy.
func find(t *testing.T, s *Store, response string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	return s.Find(ctx, response)
}

// eventually looks until what is found is what is wanted.
func eventually(t *testing.T, s *Store, response, want string) {
	t.Helper()
	var got string
	var err error
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		if got, err = find(t, s, response); err == nil && got == want {
			return
		}
	}
	t.Fatalf("%s was made by %q (%v), want %q", response, got, err, want)
}

// TestShared: what one process has noted, others find, the latest if it was noted twice.
// What nobody has noted is unknown.
func TestShared(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		a, b := open(t, dsn), open(t, dsn)
		defer b.Close()
		a.Keep("r1", "k1 large")
		a.Keep("r1", "k2 small")
		a.Keep("r2", "k1 large")
		a.Keep("\x00r3", "k1 \xff")
		for response, maker := range map[string]string{"r1": "k2 small", "r2": "k1 large", "\x00r3": "k1 \uFFFD"} {
			eventually(t, b, response, maker)
		}
		b.Keep("r2", "k3 small")
		eventually(t, a, "r2", "k3 small")
		if maker, err := find(t, b, "unknown"); maker != "" || err != nil {
			t.Errorf("unknown: %q, %v", maker, err)
		}
		// What waits is written when a store is closed.
		for i := range 1000 {
			a.Keep(fmt.Sprint("more ", i), "k1 large")
		}
		a.Close()
		eventually(t, b, "more 999", "k1 large")
		eventually(t, b, "more 0", "k1 large")
		if a.Lost() != 0 {
			t.Errorf("%d are lost", a.Lost())
		}
	})
}

// TestConcurrent: processes that note the same responses at the same time do not lock each
// other out.
func TestConcurrent(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		stores := []*Store{open(t, dsn), open(t, dsn), open(t, dsn)}
		var wg sync.WaitGroup
		for n, s := range stores {
			wg.Go(func() {
				for i := range 2000 {
					s.Keep(fmt.Sprint("r", (i*7+n*13)%500), fmt.Sprint("k", n))
				}
				s.Close()
			})
		}
		wg.Wait()
		db := stores[0].db
		var count int
		if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM responses").Scan(&count); err != nil || count != 500 {
			t.Errorf("%d responses, %v, want 500", count, err)
		}
		for _, s := range stores {
			if s.Lost() != 0 {
				t.Errorf("%d are lost", s.Lost())
			}
		}
	})
}

// TestSoon: with PostgreSQL, a client that continues at once at another process is waited
// for.
func TestSoon(t *testing.T) {
	dsn := databasetest.Postgres(t)
	a, b := open(t, dsn), open(t, dsn)
	defer a.Close()
	defer b.Close()
	time.AfterFunc(50*time.Millisecond, func() { a.Keep("r", "k large") })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // a busy machine may be slow
	defer cancel()
	if maker, err := b.Find(ctx, "r"); maker != "k large" || err != nil {
		t.Errorf("%q, %v", maker, err)
	}
}

// TestExpires: responses are forgotten after some time.
func TestExpires(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		defer s.Close()
		for i := range 2500 {
			s.Keep(fmt.Sprint("r", i), "k large")
		}
		eventually(t, s, "r2499", "k large")
		if n, err := s.expire(t.Context(), time.Now().Add(keep-time.Hour)); n != 0 || err != nil {
			t.Errorf("%d deleted too early, %v", n, err)
		}
		if n, err := s.expire(t.Context(), time.Now().Add(keep+time.Hour)); n != 2500 || err != nil {
			t.Errorf("%d deleted, %v, want 2500", n, err)
		}
		if maker, err := find(t, s, "r1"); maker != "" || err != nil {
			t.Errorf("after it expired: %q, %v", maker, err)
		}
	})
}

// TestHungUp: a client that hangs up does not keep others from looking.
func TestHungUp(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		defer s.Close()
		s.Keep("r1", "k large")
		eventually(t, s, "r1", "k large")
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for range 20 { // some of them come as far as the database
			if maker, err := s.Find(gone, "r1"); err == nil {
				t.Errorf("found %q for a client that has hung up", maker)
			}
		}
		if maker, err := find(t, s, "r1"); err != nil || maker != "k large" {
			t.Errorf("then another one found %q, %v", maker, err)
		}
	})
}

// TestAway: while the database is away, nobody waits for it, and little memory is used.
// Afterwards what was noted last is there.
func TestAway(t *testing.T) {
	direct := databasetest.Postgres(t)
	dsn, line := databasetest.Cuttable(t, direct)
	s := open(t, dsn)
	defer s.Close()
	s.Keep("before", "k large")
	eventually(t, s, "before", "k large")
	line.Cut()
	for i := range 3 * maxWaiting {
		s.Keep(fmt.Sprint("r", i), "k large")
	}
	s.mu.Lock()
	waiting := len(s.waiting)
	s.mu.Unlock()
	if waiting > maxWaiting || s.Lost() < maxWaiting {
		t.Errorf("%d wait and %d are lost", waiting, s.Lost())
	}
	if maker, err := find(t, s, "before"); err == nil {
		t.Errorf("found %q while the database is away", maker)
	}
	start := time.Now()
	if _, err := find(t, s, "before"); err == nil || !strings.Contains(err.Error(), "a moment ago") {
		t.Errorf("the second lookup took %v: %v", time.Since(start), err)
	}
	line.Mend()
	eventually(t, s, fmt.Sprint("r", 3*maxWaiting-1), "k large")
}

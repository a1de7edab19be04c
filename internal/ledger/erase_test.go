package ledger

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/internal/database/databasetest"
)

// TestErase: what is erased has no text and nothing that says whose it was, and counts in
// all sums as before. Everything else stays.
func TestErase(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		s := l.Store()
		r := rand.New(rand.NewPCG(4, 4))
		const secret = "the secret of Ada Lovelace"
		want := map[string]string{} // the lines of the requests that stay
		mine, client, texts := 0, 0, 0
		for n := range 400 {
			a := attempt(t, r, n)
			a.User = []string{"", "ada@example.org", "charles@example.org"}[r.IntN(3)]
			if n == 0 {
				a.User, a.Client = "ada@example.org", "support"
			}
			switch {
			case a.User == "ada@example.org":
				a.Session, a.Error, a.Labels = secret, secret, map[string]string{"who": secret}
				a.Prompt, a.Answer = []byte(secret), secret
				mine++
				texts++
			case a.Client == "support":
				client++
			default:
				want[a.RequestID] = string(a.AppendJSON(nil))
			}
			if err := l.Record(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		}
		settle(t, l)
		_, before, err := s.Summary(t.Context(), Range{}, ByModel)
		if err != nil {
			t.Fatal(err)
		}
		user := Whose{User: "ada@example.org"}
		if n, m, err := s.Count(t.Context(), user); err != nil || n != int64(mine) || m != int64(texts) {
			t.Errorf("%d attempts and %d texts (%v), want %d and %d", n, m, err, mine, texts)
		}
		if n, m, err := s.Erase(t.Context(), user); err != nil || n != int64(mine) || m != int64(texts) {
			t.Errorf("%d attempts and %d texts erased (%v), want %d and %d", n, m, err, mine, texts)
		}
		sound(t, s)
		ofClient, _, err := s.Summary(t.Context(), Range{}, ByClient)
		if err != nil {
			t.Fatal(err)
		}
		if n, _, err := s.Erase(t.Context(), Whose{Client: "support"}); err != nil || n < int64(client) {
			t.Errorf("%d attempts erased (%v), want at least %d", n, err, client)
		}
		sound(t, s)
		if n, m, err := s.Count(t.Context(), user); err != nil || n != 0 || m != 0 {
			t.Errorf("%d attempts and %d texts remain (%v)", n, m, err)
		}
		groups, after, err := s.Summary(t.Context(), Range{}, ByClient)
		if err != nil || after != before {
			t.Errorf("sums %+v (%v), want %+v", after, err, before)
		}
		for i := range ofClient {
			if ofClient[i].Name == "support" {
				ofClient[i].Name = Erased
			}
		}
		if fmt.Sprint(groups) != fmt.Sprint(ofClient) {
			t.Errorf("by client %v, want %v", groups, ofClient)
		}
		left := 0
		for _, a := range all(t, s) {
			line := string(a.AppendJSON(nil))
			if strings.Contains(line, secret) || strings.Contains(line, `"client":"support"`) {
				t.Fatalf("not erased: %s", line)
			}
			if strings.HasPrefix(a.RequestID, "erased-") {
				if a.Session != "" || a.User != "" || a.Labels != nil || a.Decision != nil || a.Prompt != nil || a.AnswerID != "" || strings.Contains(line, "support") {
					t.Fatalf("not erased: %s", line)
				}
				continue
			}
			left++
			if line != want[a.RequestID] {
				t.Fatalf("changed: %s, want %s", line, want[a.RequestID])
			}
		}
		if left != len(want) {
			t.Errorf("%d attempts are as they were, want %d", left, len(want))
		}
		if database.IsPostgres(dsn) {
			return
		}
		for _, name := range []string{dsn, dsn + "-wal"} {
			if data, err := os.ReadFile(name); err == nil && strings.Contains(string(data), secret) {
				t.Errorf("%s still has the text", filepath.Base(name))
			}
		}
	})
}

// TestEraseNothing: a store is asked for somebody.
func TestEraseNothing(t *testing.T) {
	s := open(t, databasetest.SQLite(t)).Store()
	for _, w := range []Whose{{}, {Client: "a", User: "b"}, {Client: Erased}} {
		if n, _, err := s.Erase(t.Context(), w); err == nil || n != 0 {
			t.Errorf("%+v: %d erased, %v", w, n, err)
		}
	}
}

// TestUserHash: the journal and the store have a hash of an end user's id and not the id,
// and processes that share a store agree on it.
func TestUserHash(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		a := example(t)
		a.User = "ada@example.org"
		if err := l.Record(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		if a.User != "ada@example.org" {
			t.Error("the caller's attempt was changed")
		}
		folder := dsn + ".journal"
		if database.IsPostgres(dsn) {
			folder = folderName(dsn)
		}
		files, err := filepath.Glob(filepath.Join(folder, "*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no journal in %s (%v)", folder, err)
		}
		for _, name := range files {
			if data, err := os.ReadFile(name); err != nil || strings.Contains(string(data), "ada@") {
				t.Errorf("%s has the id (%v)", name, err)
			}
		}
		settle(t, l)
		other, err := MakeStore(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if n, _, err := other.Count(t.Context(), Whose{User: "ada@example.org"}); err != nil || n != 1 {
			t.Errorf("another process finds %d attempts (%v)", n, err)
		}
		if list := all(t, other); len(list) != 1 || len(list[0].User) != 22 {
			t.Errorf("stored is %q", list[0].User)
		}
	})
}

// TestEraseMeanwhile: while a client is erased, gateways write attempts of it and of others,
// and all sums follow from the attempts.
func TestEraseMeanwhile(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		r := rand.New(rand.NewPCG(5, 5))
		var recording sync.WaitGroup
		over := make(chan struct{})
		recording.Go(func() {
			defer close(over)
			for n := range 4000 {
				if err := l.Record(t.Context(), attempt(t, r, n)); err != nil {
					t.Error(err)
				}
				if n%20 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		})
		other, err := MakeStore(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		erased := int64(0)
		for done := false; !done; {
			select {
			case <-over:
				done = true
				settle(t, l)
			default:
			}
			n, _, err := other.Erase(t.Context(), Whose{Client: "support"})
			if err != nil {
				t.Fatal(err)
			}
			erased += n
		}
		recording.Wait()
		sound(t, other)
		left := 0
		for _, a := range all(t, other) {
			if a.Client == "support" {
				left++
			}
		}
		if left > 0 || erased == 0 {
			t.Errorf("%d attempts are erased and %d left", erased, left)
		}
	})
}

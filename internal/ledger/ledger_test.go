package ledger

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/internal/database/databasetest"
	"github.com/carrot-router/carrot/internal/journal"
	"github.com/carrot-router/carrot/record"
)

// example is an attempt with every field set.
func example(t testing.TB) *record.Attempt {
	t.Helper()
	text, err := os.ReadFile("../../record/testdata/attempt.golden.json")
	if err != nil {
		t.Fatal(err)
	}
	a := &record.Attempt{}
	if err := json.Unmarshal(text, a); err != nil {
		t.Fatal(err)
	}
	return a
}

// attempt returns the n-th of many different attempts.
func attempt(t testing.TB, r *rand.Rand, n int) *record.Attempt {
	a := example(t)
	a.RequestID = fmt.Sprintf("req_%06d", n)
	a.Number = 1
	a.Time = time.Date(2026, 11, 1+n%5, 12, 0, n%60, n, time.UTC)
	a.Client = []string{"", "support", "search"}[r.IntN(3)]
	a.Policy = []string{"", "auto", "cheap", "auto:usd-per-quality=0.001"}[r.IntN(4)]
	a.Candidate = []string{"large", "small"}[r.IntN(2)]
	a.Cost = carrot.USD(r.Uint64() >> (8 + r.IntN(40)))
	if r.IntN(3) == 0 {
		a.Usage.Details = &carrot.UsageDetails{CacheWrites: map[int]int{300: 70, 3600: 8}, AudioInput: 5, Tier: "flex", Tools: map[string]int{"web_search": 2}}
	}
	switch r.IntN(5) {
	case 0:
		a.Cost, a.CostUnknown = 0, true
	case 1:
		a.Expected, a.ExpectedUnknown = 0, true
	case 2:
		a.Decision, a.Shadow, a.Labels, a.RateLimits, a.Dropped, a.Narrowed, a.UpstreamRequestID, a.CacheMiss = nil, nil, nil, nil, nil, nil, "", ""
		a.Usage.Details = nil
	case 3:
		a.Prompt, a.Answer = nil, ""
	case 4:
		a.Outcome, a.Stream, a.Estimated = record.FellBack, false, false
	}
	return a
}

// folder returns the folder of a store's journal, which the test removes.
func folder(t testing.TB, dsn string) string {
	if !database.IsPostgres(dsn) {
		return ""
	}
	path := folderName(dsn)
	t.Cleanup(func() { os.RemoveAll(path) })
	return path
}

func folderName(dsn string) string {
	sum := sha256.Sum256([]byte(dsn))
	return filepath.Join(os.TempDir(), fmt.Sprintf("carrot-journal-%x", sum[:8]))
}

func open(t testing.TB, dsn string) *Ledger {
	t.Helper()
	l, err := Open(t.Context(), dsn, Options{Folder: folder(t, dsn), Journal: journal.Options{Reserve: 1 << 20, Segment: 256 << 10}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func all(t *testing.T, s *Store) (list []*record.Attempt) {
	t.Helper()
	for a, err := range s.Attempts(t.Context(), Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, a)
	}
	return list
}

// sound checks that the store has no fault.
func sound(t *testing.T, s *Store) {
	t.Helper()
	faults, err := s.Check(t.Context())
	if err != nil || len(faults) > 0 {
		t.Fatalf("check: %q, %v", faults, err)
	}
}

// TestKeepsEverything: what comes out of a store is what was recorded, every field, in
// the order of recording, also over many batches and restarts.
func TestKeepsEverything(t *testing.T) { databasetest.Each(t, testKeepsEverything) }

func testKeepsEverything(t *testing.T, dsn string) {
	r := rand.New(rand.NewPCG(1, 2))
	var want []*record.Attempt
	for range 3 {
		l := open(t, dsn)
		for range 400 {
			a := attempt(t, r, len(want))
			if err := l.Record(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			want = append(want, a)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s, err := OpenStore(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got := all(t, s)
	if len(got) != len(want) {
		t.Fatalf("%d attempts, want %d", len(got), len(want))
	}
	for i := range want {
		if diff := cmp.Diff(string(want[i].AppendJSON(nil)), string(got[i].AppendJSON(nil))); diff != "" {
			t.Fatalf("attempt %d (-recorded +stored):\n%s", i, diff)
		}
	}
	sound(t, s)

	var sum Amount
	unknown := int64(0)
	for _, a := range want {
		sum.Add(a.Cost)
		if a.CostUnknown {
			unknown++
		}
	}
	for _, by := range []By{ByDay, ByModel, ByProvider, ByPolicy, ByClient} {
		groups, total, err := s.Summary(t.Context(), Range{}, by)
		if err != nil {
			t.Fatal(err)
		}
		var parts Group
		for i := range groups {
			parts.plus(&groups[i])
		}
		if by == ByPolicy && len(groups) != 3 {
			t.Errorf("by policy: %+v, want three groups, whatever objectives clients add", groups)
		}
		if total.Cost != sum || total.Unknown != unknown || total.Attempts != int64(len(want)) || parts != total {
			t.Errorf("by %s: total %+v and the groups' sum %+v, want cost %v of %d attempts, %d of unknown cost", by, total, parts, sum, len(want), unknown)
		}
	}
}

// TestRange: a range limits attempts to the nanosecond and summaries to the day.
func TestRange(t *testing.T) { databasetest.Each(t, testRange) }

func testRange(t *testing.T, dsn string) {
	l := open(t, dsn)
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 50 {
		if err := l.Record(t.Context(), attempt(t, r, n)); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, l)
	second := Range{From: time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC)}
	n := 0
	for a, err := range l.Store().Attempts(t.Context(), second) {
		if err != nil || a.Time.Day() != 2 {
			t.Fatalf("%v, %v", a, err)
		}
		n++
	}
	groups, total, err := l.Store().Summary(t.Context(), second, ByDay)
	if err != nil || len(groups) != 1 || groups[0].Name != "2026-11-02" || total.Attempts != 10 || n != 10 {
		t.Errorf("%d attempts, %+v, %v, want the ten of 2026-11-02", n, groups, err)
	}
	if _, _, err := l.Store().Summary(t.Context(), second, "cost"); err == nil {
		t.Error("a summary by cost was made")
	}
}

// settle waits until everything is in the store.
func settle(t *testing.T, l *Ledger) {
	t.Helper()
	left, since := l.Pending(), time.Now()
	for ; l.Pending() > 0; time.Sleep(time.Millisecond) {
		if now := l.Pending(); now < left {
			left, since = now, time.Now()
		}
		if time.Since(since) > 20*time.Second {
			t.Fatalf("%d bytes stay pending", left)
		}
	}
}

// exported returns all attempts of a store as lines, and its sums.
func exportedLines(t *testing.T, s *Store) string {
	t.Helper()
	var out strings.Builder
	if _, err := WriteJSONL(&out, s.Attempts(t.Context(), Range{})); err != nil {
		t.Fatal(err)
	}
	groups, total, err := s.Summary(t.Context(), Range{}, ByModel)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewEncoder(&out).Encode([]any{groups, total}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestBackup: a backup of a store of any kind, restored to one of any kind, has everything
// that the store had, and can be written to.
func TestBackup(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		r := rand.New(rand.NewPCG(8, 8))
		for n := range 700 {
			if err := l.Record(t.Context(), attempt(t, r, n)); err != nil {
				t.Fatal(err)
			}
		}
		settle(t, l)
		want := exportedLines(t, l.Store())
		position, _, err := l.Store().position(t.Context(), l.journal.ID())
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "backup.db")
		if err := l.Store().Backup(t.Context(), file); err != nil { // while the ledger is open
			t.Fatal(err)
		}
		if err := l.Store().Backup(t.Context(), file); !errors.Is(err, fs.ErrExist) {
			t.Errorf("to a file that exists: %v", err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v, want a file of its owner alone", info, err)
		}
		databasetest.Each(t, func(t *testing.T, dsn string) {
			s, err := MakeStore(t.Context(), dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.Restore(t.Context(), file); err != nil {
				t.Fatal(err)
			}
			sound(t, s)
			if got := exportedLines(t, s); got != want {
				t.Error("what was restored is not what was stored")
			}
			if got, _, err := s.position(t.Context(), l.journal.ID()); err != nil || got != position {
				t.Errorf("the journal stands at %v in the backup (%v), want %v", got, err, position)
			}
			if err := s.Restore(t.Context(), file); !errors.Is(err, database.ErrNotEmpty) {
				t.Errorf("to a store that is not empty: %v", err)
			}
			a := example(t)
			a.RequestID = "req_new"
			if added, _, err := s.Import(t.Context(), record.Read(strings.NewReader(string(a.AppendJSON(nil))+"\n"))); err != nil || added != 1 {
				t.Fatalf("%d added (%v), want a new row after those that were restored", added, err)
			}
			if list, err := s.Request(t.Context(), "req_new"); err != nil || len(list) != 1 || list[0].Decision == nil || string(list[0].AppendJSON(nil)) != string(a.AppendJSON(nil)) {
				t.Errorf("the new row is %v (%v)", list, err)
			}
			again := filepath.Join(t.TempDir(), "again.db")
			if err := s.Backup(t.Context(), again); err != nil {
				t.Fatal(err)
			}
			last, err := OpenStore(t.Context(), again)
			if err != nil {
				t.Fatal(err)
			}
			defer last.Close()
			if exportedLines(t, last) != exportedLines(t, s) {
				t.Error("the backup of what was restored differs from it")
			}
		})
	})
}

// TestImport: a file of records can be imported, twice without doubling anything, and gives
// the same lines again.
func TestImport(t *testing.T) { databasetest.Each(t, testImport) }

func testImport(t *testing.T, dsn string) {
	r := rand.New(rand.NewPCG(5, 6))
	var file strings.Builder
	for n := range 700 {
		file.Write(append(attempt(t, r, n).AppendJSON(nil), '\n'))
	}
	s, err := MakeStore(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i, want := range [][2]int{{700, 0}, {0, 700}} {
		added, known, err := s.Import(t.Context(), record.Read(strings.NewReader(file.String())))
		if err != nil || added != want[0] || known != want[1] {
			t.Fatalf("import %d: %d added, %d known, %v, want %v", i, added, known, err, want)
		}
	}
	var got strings.Builder
	for _, a := range all(t, s) {
		got.Write(append(a.AppendJSON(nil), '\n'))
	}
	if got.String() != file.String() {
		t.Error("what was imported is not what comes out")
	}
	sound(t, s)
}

// TestPrune: old decisions and contents go first; attempts and the sums of their days stay
// until they are pruned too, and the sums stay for ever.
func TestPrune(t *testing.T) { databasetest.Each(t, testPrune) }

func testPrune(t *testing.T, dsn string) {
	l := open(t, dsn)
	r := rand.New(rand.NewPCG(7, 8))
	for n := range 100 {
		if err := l.Record(t.Context(), attempt(t, r, n)); err != nil {
			t.Fatal(err)
		}
		if n == 49 {
			settle(t, l)
		}
	}
	settle(t, l)
	s := l.Store()
	_, before, err := s.Summary(t.Context(), Range{}, ByModel)
	if err != nil {
		t.Fatal(err)
	}
	late := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, attempts := range []bool{false, true} {
		if deleted, err := s.Prune(t.Context(), late, attempts); err != nil || deleted == 0 {
			t.Fatalf("%d deleted, %v", deleted, err)
		}
		list := all(t, s)
		if attempts && len(list) > 0 || !attempts && len(list) != 100 {
			t.Fatalf("%d attempts remain", len(list))
		}
		for _, a := range list {
			if a.Decision != nil || a.Prompt != nil || a.Answer != "" {
				t.Fatalf("a decision or a content remains: %+v", a)
			}
		}
		if _, after, err := s.Summary(t.Context(), Range{}, ByModel); err != nil || after != before {
			t.Errorf("sums %+v, want %+v (%v)", after, before, err)
		}
		if deleted, err := s.Prune(t.Context(), late, attempts); err != nil || deleted != 0 {
			t.Errorf("%d deleted again (%v)", deleted, err)
		}
		if attempts {
			break
		}
		// A new block of decisions is not taken for one that was deleted.
		if err := l.Record(t.Context(), attempt(t, r, 100)); err != nil {
			t.Fatal(err)
		}
		settle(t, l)
		for _, a := range all(t, s)[:100] {
			if a.Decision != nil {
				t.Fatalf("%s has the decision of another request", a.RequestID)
			}
		}
		if _, before, err = s.Summary(t.Context(), Range{}, ByModel); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKeepDecisions: a ledger deletes decisions and texts when they are old, and nothing
// else.
func TestKeepDecisions(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		r := rand.New(rand.NewPCG(7, 7))
		for n := range 100 {
			a := attempt(t, r, n)
			if a.Time = time.Now(); n < 50 {
				a.Time = a.Time.Add(-48 * time.Hour)
			}
			if err := l.Record(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			if n == 49 {
				settle(t, l)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l, err := Open(t.Context(), dsn, Options{Folder: folder(t, dsn), KeepDecisions: 24 * time.Hour, Journal: journal.Options{Reserve: 1 << 20, Segment: 256 << 10}})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		old, kept := 100, 0
		for since := time.Now(); old > 0; time.Sleep(time.Millisecond) {
			old, kept = 0, 0
			for i, a := range all(t, l.Store()) {
				if a.Decision != nil || a.Prompt != nil {
					if i < 50 {
						old++
					} else {
						kept++
					}
				}
			}
			if time.Since(since) > 20*time.Second {
				t.Fatalf("%d old decisions and texts remain", old)
			}
		}
		if kept < 40 {
			t.Errorf("only %d new decisions and texts remain", kept)
		}
		sound(t, l.Store())
	})
}

// TestCheck: a check finds sums that do not follow from the attempts, and blocks that
// cannot be read.
func TestCheck(t *testing.T) { databasetest.Each(t, testCheck) }

func testCheck(t *testing.T, first string) {
	for damage, want := range map[string]string{
		"UPDATE daily SET cost_rest = cost_rest + 1 WHERE day = '2026-11-03'": "do not follow",
		"DELETE FROM daily WHERE day = '2026-11-04'":                          "are missing",
		"UPDATE decisions SET data = ?":                                       "block",
		"UPDATE attempts SET rest = '{' WHERE id = 1":                         "column rest",
	} {
		t.Run(want, func(t *testing.T) {
			dsn := databasetest.SQLite(t)
			if database.IsPostgres(first) {
				dsn = databasetest.Postgres(t)
			}
			l := open(t, dsn)
			for n := range 20 {
				if err := l.Record(t.Context(), example(t)); err != nil {
					t.Fatal(err)
				}
				if err := l.Record(t.Context(), attempt(t, rand.New(rand.NewPCG(9, 9)), n)); err != nil {
					t.Fatal(err)
				}
			}
			settle(t, l)
			sound(t, l.Store())
			var args []any
			if strings.Contains(damage, "?") {
				args = append(args, []byte{0})
			}
			if _, err := l.store.db.ExecContext(t.Context(), damage, args...); err != nil {
				t.Fatal(err)
			}
			faults, err := l.Store().Check(t.Context())
			if err != nil || !strings.Contains(strings.Join(faults, "\n"), want) {
				t.Errorf("%q, %v, want a fault with %q", faults, err, want)
			}
		})
	}
}

// TestStoreAway: while the store does not work, attempts are recorded all the same, and all
// of them are there once it works again.
func TestStoreAway(t *testing.T) {
	dsn := filepath.Join(t.TempDir(), "carrot.db")
	l := open(t, dsn)
	other, err := MakeStore(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	taken, back, done := make(chan bool), make(chan bool), make(chan error, 1)
	go func() {
		done <- other.db.Do(t.Context(), func(*database.Tx) error { // beside which nobody else can write
			close(taken)
			<-back
			return nil
		})
	}()
	<-taken
	r := rand.New(rand.NewPCG(1, 1))
	for n := range 300 {
		if err := l.Record(t.Context(), attempt(t, r, n)); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(50 * time.Millisecond)
	if l.Pending() == 0 {
		t.Error("nothing waits")
	}
	close(back)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	settle(t, l)
	if n := len(all(t, l.Store())); n != 300 {
		t.Errorf("%d attempts, want 300", n)
	}
	sound(t, l.Store())
}

// TestErrors: what cannot be opened is an error that names it.
func TestErrors(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("This is not a database. ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for dsn, want := range map[string]string{
		filepath.Join(dir, "none.db"): "there is no store",
		dir:                           dir,
		text:                          "not a database",
		"mysql://localhost/carrot":    "there is no store",
	} {
		if s, err := OpenStore(t.Context(), dsn); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v, want %q", dsn, s, err, want)
		}
	}
	if content, err := os.ReadFile(text); err != nil || !strings.HasPrefix(string(content), "This is not a database. ") {
		t.Error("a file that is not a store was changed")
	}
}

// killed is the environment variable that makes TestKill the process to be killed.
const killed = "CARROT_TEST_LEDGER"

// TestKill: a process is killed at any moment while it records. Every attempt that Record
// has returned for is in the store once, after the next start, with its exact cost.
func TestKill(t *testing.T) {
	if dsn := os.Getenv(killed); dsn != "" {
		recordUntilKilled(t, dsn)
		return
	}
	databasetest.Each(t, testKill)
}

func testKill(t *testing.T, dsn string) {
	kills := 5
	if testing.Short() {
		kills = 1
	}
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	acknowledged := map[string]carrot.USD{}
	for range kills {
		command := exec.Command(os.Args[0], "-test.run", "^TestKill$")
		command.Env = append(os.Environ(), killed+"="+dsn)
		out, err := command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(300*time.Millisecond+time.Duration(r.IntN(500))*time.Millisecond, func() { command.Process.Kill() })
		read(out, acknowledged)
		command.Wait()
	}
	if len(acknowledged) < 100 {
		t.Fatalf("only %d attempts were acknowledged", len(acknowledged))
	}
	l := open(t, dsn)
	settle(t, l)
	sound(t, l.Store())
	found := map[string]int{}
	for _, a := range all(t, l.Store()) {
		found[a.RequestID]++
		if cost, ok := acknowledged[a.RequestID]; ok && a.Cost != cost {
			t.Errorf("%s costs %v, want %v", a.RequestID, a.Cost, cost)
		}
	}
	for id := range acknowledged {
		if found[id] != 1 {
			t.Errorf("%s is %d times in the store", id, found[id])
		}
	}
	for id, n := range found {
		if n > 1 {
			t.Errorf("%s, which was not acknowledged, is %d times in the store", id, n)
		}
	}
	t.Logf("%d attempts were acknowledged and %d stored over %d kills", len(acknowledged), len(found), kills)
}

// read reads what recordUntilKilled prints.
func read(out io.Reader, acknowledged map[string]carrot.USD) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var id string
		var cost int64
		if n, _ := fmt.Sscanf(lines.Text(), "ack %s %d.", &id, &cost); n == 2 && strings.HasSuffix(lines.Text(), ".") {
			acknowledged[id] = carrot.USD(cost)
		}
	}
}

// recordUntilKilled records attempts and prints those that are acknowledged.
func recordUntilKilled(t *testing.T, dsn string) {
	o := Options{Journal: journal.Options{Reserve: 1 << 20, Segment: 64 << 10, Sync: 10 * time.Millisecond}}
	if database.IsPostgres(dsn) {
		o.Folder = folderName(dsn) // which the test removes
	}
	l, err := Open(context.Background(), dsn, o)
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int64
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			r := rand.New(rand.NewPCG(rand.Uint64(), 2))
			base := example(t)
			for {
				a := *base
				a.RequestID, a.Number = fmt.Sprintf("%d-%d", os.Getpid(), n.Add(1)), 1
				a.Cost = carrot.USD(r.Int64N(1e12))
				if err := l.Record(context.Background(), &a); err != nil {
					t.Error(err)
					return
				}
				fmt.Printf("ack %s %d.\n", a.RequestID, a.Cost)
			}
		})
	}
	workers.Wait()
}

// TestAmount: sums are exact beyond what one cost can be.
func TestAmount(t *testing.T) {
	var a Amount
	for range 3 {
		a.Add(9_223_372_036_854_775_807)
	}
	if got, want := a.String(), "27670116.110564327421"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for cost, want := range map[carrot.USD]string{0: "0", 1: "0.000000000001", 1_500_000_000_000: "1.5", 20_000_000_000_000: "20"} {
		var a Amount
		if a.Add(cost); a.String() != want {
			t.Errorf("%s, want %s", a, want)
		}
	}
}

// FuzzEntry: a damaged entry is an error, and never a panic.
func FuzzEntry(f *testing.F) {
	var scratch []byte
	f.Add(appendEntry(nil, example(f), &scratch))
	f.Add([]byte{1, 0, 0, 0})
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := readEntry(b); err == nil {
			if k, err := readKey(b); err != nil || k != e.key() {
				t.Errorf("the key alone is %v, %v; the entry has %v", k, err, e.key())
			}
			e.attempt.AppendJSON(nil)
		}
	})
}

// BenchmarkRecord is what an attempt costs, from Record until it is in the store.
func BenchmarkRecord(b *testing.B) {
	l, err := Open(b.Context(), filepath.Join(b.TempDir(), "carrot.db"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	a := example(b)
	a.Prompt, a.Answer = nil, ""
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Record(b.Context(), a); err != nil {
			b.Fatal(err)
		}
	}
	for l.Pending() > 0 {
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
	l.Close()
}

// TestOneGateway: a file of SQLite is the store of one gateway, also if another one has a
// journal of its own.
func TestOneGateway(t *testing.T) {
	dsn := databasetest.SQLite(t)
	l := open(t, dsn)
	if other, err := Open(t.Context(), dsn, Options{Folder: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "another gateway uses it") {
		t.Errorf("%v, %v, want a refusal", other, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dsn)
}

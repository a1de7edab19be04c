package ledger

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot/internal/database/databasetest"
	"github.com/carrot-router/carrot/record"
)

// asked is a request of client support that large has answered at a time.
func asked(t testing.TB, id string, at time.Time) *record.Attempt {
	a := example(t)
	a.RequestID, a.Number, a.Time, a.Client, a.Policy = id, 1, at, "support", "auto:usd-per-quality=0.001"
	a.First, a.Candidate, a.Outcome = "large", "large", record.Served
	return a
}

// said is feedback on a request.
func opinion(t testing.TB, id, kind, value string, at time.Time) Feedback {
	f := Feedback{RequestID: id, Time: at, Client: "support"}
	if err := f.Set(kind, value, map[string]float64{"good": 1}); err != nil {
		t.Fatal(err)
	}
	return f
}

// rated is what Scored says of a request.
type rated struct {
	Request, Candidate string
	Served, Decision   bool
	Known              bool
	Said               Feedback
}

func scored(t *testing.T, s *Store, from, to time.Time) (list []rated) {
	t.Helper()
	err := s.Scored(t.Context(), from, to, func(a *record.Attempt, f Feedback, known bool) error {
		list = append(list, rated{a.RequestID, a.Candidate, a.Outcome == record.Served && a.Candidate == a.First, a.Decision != nil, known, f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestFeedback: of what was said of a request, the last counts and the rest is kept. Only the
// client of a request, or somebody who says who they are, may say something.
func TestFeedback(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		s, ctx := l.Store(), t.Context()
		day := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
		failed := asked(t, "req_b", day.Add(time.Hour))
		failed.Outcome = record.FellBack
		second := asked(t, "req_b", day.Add(time.Hour))
		second.Number, second.Candidate, second.Reason = 2, "small", record.Fallback
		silent := asked(t, "req_c", day.Add(2*time.Hour))
		silent.Decision = nil
		for _, a := range []*record.Attempt{asked(t, "req_a", day), failed, second, silent} {
			if err := l.Record(ctx, a); err != nil {
				t.Fatal(err)
			}
		}
		settle(t, l)
		if groups, total, err := s.Ratings(ctx, Range{}, ByModel); err != nil || groups != nil || total.Served != 0 {
			t.Errorf("ratings %v, %+v, %v before anything was said", groups, total, err)
		}
		admin := opinion(t, "req_b", "label", "odd", day.Add(5*time.Hour))
		admin.Client, admin.By, admin.Note = "somebody", "admin", "it \x00 stopped"
		for _, f := range []Feedback{
			opinion(t, "req_a", "thumb", "up", day.Add(3*time.Hour)),
			opinion(t, "req_a", "score", "0.25", day.Add(4*time.Hour)),
			opinion(t, "req_a", "score", "0.25", day.Add(4*time.Hour)), // again
			opinion(t, "req_a", "success", "true", day.Add(time.Hour)), // late news of earlier
			opinion(t, "req_b", "label", "good", day.Add(4*time.Hour)),
			admin,
		} {
			if err := s.AddFeedback(ctx, f); err != nil {
				t.Fatal(err)
			}
		}
		for name, f := range map[string]Feedback{
			"unknown request":  opinion(t, "req_x", "thumb", "up", day),
			"another client":   {RequestID: "req_a", Client: "search", Kind: "thumb", Time: day},
			"without a client": {RequestID: "req_a", Kind: "thumb", Time: day},
		} {
			if err := s.AddFeedback(ctx, f); !errors.Is(err, ErrUnknownRequest) {
				t.Errorf("%s: %v, want ErrUnknownRequest", name, err)
			}
		}
		history, err := s.Feedback(ctx, "req_a")
		if err != nil {
			t.Fatal(err)
		}
		kinds := ""
		for _, f := range history {
			kinds += f.Kind + " "
		}
		if kinds != "success thumb score " {
			t.Errorf("history: %s", kinds)
		}
		quarter := 0.25
		want := []rated{
			{"req_a", "large", true, true, true, Feedback{Time: day.Add(4 * time.Hour), RequestID: "req_a", Client: "support", Kind: "score", Score: &quarter}},
			{"req_b", "large", false, true, true, Feedback{Time: day.Add(5 * time.Hour), RequestID: "req_b", Client: "support", Kind: "label", Label: "odd", Note: "it \uFFFD stopped", By: "admin"}},
			{"req_c", "large", true, false, false, Feedback{}},
		}
		if diff := cmp.Diff(want, scored(t, s, time.Time{}, time.Time{})); diff != "" {
			t.Errorf("scored (-want +got):\n%s", diff)
		}
		if got := scored(t, s, day.Add(time.Hour), day.Add(2*time.Hour)); len(got) != 1 || got[0].Request != "req_b" {
			t.Errorf("scored in the second hour: %+v", got)
		}
		var answered []string
		if err := s.Answered(ctx, time.Time{}, time.Time{}, func(a *record.Attempt, _ Feedback, known bool) error {
			answered = append(answered, fmt.Sprint(a.RequestID, " ", a.Candidate, " ", known))
			return nil
		}); err != nil || fmt.Sprint(answered) != "[req_a large true req_b small true req_c large false]" {
			t.Errorf("answered: %v, %v", answered, err)
		}
		stop := errors.New("stop")
		if err := s.Scored(ctx, time.Time{}, time.Time{}, func(*record.Attempt, Feedback, bool) error { return stop }); err != stop {
			t.Errorf("scored: %v, want the error of the caller", err)
		}
		for by, names := range map[By][2]string{ByModel: {"large", "small"}, ByPolicy: {"auto"}, ByClient: {"support"}, ByDay: {"2026-11-02"}} {
			groups, total, err := s.Ratings(ctx, Range{From: day}, by)
			if err != nil || total.Served != 3 || total.Feedback != 2 || total.Scored != 1 || total.Score == nil || *total.Score != 0.25 {
				t.Errorf("by %s: %+v, %v", by, total, err)
			}
			for _, name := range names {
				if name != "" && groups[name] == nil {
					t.Errorf("by %s: no %s in %v", by, name, groups)
				}
			}
		}
		groups, _, err := s.Ratings(ctx, Range{Policies: []string{"auto"}}, ByModel)
		if err != nil || groups["small"].Score != nil || groups["small"].Feedback != 1 || groups["large"].Served != 2 {
			t.Errorf("by model: %+v, %v", groups, err)
		}
		sound(t, s)

		backup := filepath.Join(t.TempDir(), "backup.db")
		if err := s.Backup(ctx, backup); err != nil {
			t.Fatal(err)
		}
		copied, err := OpenStore(ctx, backup)
		if err != nil {
			t.Fatal(err)
		}
		defer copied.Close()
		if diff := cmp.Diff(want, scored(t, copied, time.Time{}, time.Time{})); diff != "" {
			t.Errorf("backup (-want +got):\n%s", diff)
		}

		if _, err := s.Prune(ctx, day.Add(10*time.Hour), false); err != nil {
			t.Fatal(err)
		}
		if list := scored(t, s, time.Time{}, time.Time{}); len(list) != 3 || list[1].Said.Note != "" || list[1].Said.Label != "odd" || list[0].Decision {
			t.Errorf("after texts were pruned: %+v", list)
		}
		if _, err := s.Prune(ctx, day.Add(30*time.Minute), true); err != nil { // req_a; what was said of it is later
			t.Fatal(err)
		}
		if _, err := s.Prune(ctx, day.Add(10*time.Hour), true); err != nil {
			t.Fatal(err)
		}
		var left int
		if err := s.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM feedback").Scan(&left); err != nil || left != 0 {
			t.Errorf("%d rows of feedback are left of pruned requests (%v)", left, err)
		}
	})
}

// TestFeedbackErased: nothing that was said of the answers to an erased client or end user is
// left.
func TestFeedbackErased(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		for n, who := range []Whose{{Client: "support"}, {User: "ada"}} {
			l := open(t, dsn)
			s, ctx, day := l.Store(), t.Context(), time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
			mine, other := asked(t, fmt.Sprint("req_mine", n), day), asked(t, fmt.Sprint("req_other", n), day)
			mine.User, other.Client = "ada", "search"
			for _, a := range []*record.Attempt{mine, other} {
				if err := l.Record(ctx, a); err != nil {
					t.Fatal(err)
				}
			}
			settle(t, l)
			for _, a := range []*record.Attempt{mine, other} {
				f := opinion(t, a.RequestID, "thumb", "down", day)
				f.Client, f.Note = a.Client, "what Ada said"
				if err := s.AddFeedback(ctx, f); err != nil {
					t.Fatal(err)
				}
			}
			if _, _, err := s.Erase(ctx, who); err != nil {
				t.Fatal(err)
			}
			if list, err := s.Feedback(ctx, mine.RequestID); err != nil || len(list) != 0 {
				t.Errorf("%+v: %v is left (%v)", who, list, err)
			}
			if list, err := s.Feedback(ctx, other.RequestID); err != nil || len(list) != 1 {
				t.Errorf("%+v: %v is left of another client's (%v)", who, list, err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestFeedbackAtOnce: what a client says as soon as it has its answer is kept, although the
// answer is only in the journal then.
func TestFeedbackAtOnce(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		r := rand.New(rand.NewPCG(7, 7))
		for n := range 3 {
			a := attempt(t, r, n)
			a.Client, a.Policy = "support", "auto"
			if err := l.Record(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			f := opinion(t, a.RequestID, "thumb", "up", time.Now())
			if policy, err := l.AddFeedback(t.Context(), &f); err != nil || policy != "auto" {
				t.Errorf("policy %q, %v", policy, err)
			}
		}
		f := opinion(t, "req_none", "thumb", "up", time.Now())
		if _, err := l.AddFeedback(t.Context(), &f); !errors.Is(err, ErrUnknownRequest) {
			t.Errorf("%v, want ErrUnknownRequest", err)
		}
	})
}

package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/budget"
	"github.com/carrot-router/carrot/record"
)

// TestPace: the share of a period that is over is that in the time zone of its budget.
func TestPace(t *testing.T) {
	for _, tt := range []struct {
		name, began, zone string
		months, days      int
		now               string
		due               float64
	}{
		{"a day of UTC", "2026-11-29", "UTC", 0, 1, "2026-11-29T12:00:00Z", .5},
		{"a day in the east", "2026-11-30", "Asia/Tokyo", 0, 1, "2026-11-29T18:00:00Z", .125},
		{"the farthest east", "2026-11-30", "Pacific/Kiritimati", 0, 1, "2026-11-29T16:00:00Z", .25},
		{"a day in the west", "2026-11-29", "America/Los_Angeles", 0, 1, "2026-11-30T05:00:00Z", .875},
		{"a week in the west", "2026-11-23", "America/Los_Angeles", 0, 7, "2026-11-30T08:00:00Z", 1},
		{"a week that begins a month", "2027-02-01", "Asia/Tokyo", 0, 7, "2027-01-31T15:00:00Z", 0},
		{"a month in the east", "2027-02-01", "Asia/Tokyo", 1, 0, "2027-02-14T15:00:00Z", .5},
	} {
		zone, err := time.LoadLocation(tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		began, _ := time.ParseInLocation(time.DateOnly, tt.began, zone)
		now, _ := time.Parse(time.RFC3339, tt.now)
		row := rowOf(budget.Figures{Name: "b", Began: tt.began, Ends: began.AddDate(0, tt.months, tt.days).UTC(), Amount: carrot.Dollars(1)}, now)
		if math.Abs(row.Due-tt.due) > 1e-9 {
			t.Errorf("%s: %g of the period is over, want %g", tt.name, row.Due, tt.due)
		}
	}
}

// TestManyBudgets: the first page has those of which most is used.
func TestManyBudgets(t *testing.T) {
	var list []budget.Figures
	for n := range 50 {
		list = append(list, budget.Figures{Name: fmt.Sprintf("budget-%02d", n), Began: "2026-11-29", Ends: noon.Add(12 * time.Hour), Amount: carrot.Dollars(100), Spent: carrot.Dollars(float64(n))})
	}
	o := options(t, stored(t))
	o.Budgets = func(context.Context) ([]budget.Figures, error) { return list, nil }
	_, page := get(t, serve(t, o), Root)
	contains(t, page, "budget-49", "budget-30", "30 others have no room here")
	if strings.Contains(page, "budget-29") || strings.Index(page, "budget-49") > strings.Index(page, "budget-48") {
		t.Error("other budgets, or another order")
	}
	list = list[:20]
	if _, page = get(t, serve(t, o), Root); strings.Contains(page, "no room here") || strings.Index(page, "budget-00") > strings.Index(page, "budget-19") {
		t.Errorf("few budgets: %s", page)
	}
}

// TestLatency: whoever asks waits for the calls that fail, too.
func TestLatency(t *testing.T) {
	failed, answer, other := served(2, "large"), served(2, "small"), served(1, "small")
	failed.Outcome, failed.Status, failed.Upstream = record.FellBack, 500, 9*time.Second
	answer.Number, answer.Overhead, answer.FirstToken = 2, 200*time.Millisecond, 500*time.Millisecond
	other.FirstToken = 700 * time.Millisecond
	var o overview
	o.measure(sample{attempts: []*record.Attempt{other, answer, failed}})
	if math.Abs(o.P50-1) > 1e-9 || math.Abs(o.P95-10.1) > 1e-9 || math.Abs(o.First-.8) > 1e-9 {
		t.Errorf("median %g s, 95%% within %g s, first content %g s: want 1, 10.1 and 0.8", o.P50, o.P95, o.First)
	}
	status, page := get(t, serve(t, options(t, stored(t, failed, answer))), Root)
	if status != http.StatusOK {
		t.Fatalf("%d: %s", status, page)
	}
	contains(t, page, "95% within 10 s; first content 9.7 s")
}

// TestOddRecords: records of other programs, and of machines whose clock is wrong, break no page.
func TestOddRecords(t *testing.T) {
	ahead := served(-90, "small")
	for _, novelty := range []float64{math.NaN(), -3, 1e300} {
		odd := served(1, "small")
		odd.Decision.Novelty = novelty
		for _, path := range []string{"", "?period=7d", "router", "models", "requests", "requests/" + odd.RequestID} {
			if status, page := get(t, serve(t, options(t, stored(t, odd))), Root+path); status != http.StatusOK {
				t.Errorf("novelty %g, %s: %d: %s", novelty, path, status, page)
			}
		}
	}
	status, page := get(t, serve(t, options(t, stored(t, ahead))), Root)
	if status != http.StatusOK {
		t.Fatalf("%d: %s", status, page)
	}
	contains(t, page, "12:00 UTC: 0", "1 latest call")
}

// TestReplayErrors: a program that asks for JSON gets its errors as JSON.
func TestReplayErrors(t *testing.T) {
	away := stored(t)
	o := options(t, away)
	o.Replay = func(context.Context, Question) (*Replay, error) { return nil, errors.New("away") }
	for _, tt := range []struct {
		name, query string
		options     Options
		status      int
		error       string
	}{
		{"no period", "?period=year", o, http.StatusBadRequest, `There is no period "year": want today, 7d or 30d.`},
		{"no store", "", options(t, nil), http.StatusNotFound, "The gateway has no store: set store: in its configuration, as in store: carrot.db, to keep what it does."},
		{"a store that is away", "", o, http.StatusServiceUnavailable, "The store cannot be read or written. The gateway's log says why."},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, Root+"replay"+tt.query, nil)
		r.Header.Set("Accept", "application/json")
		w := httptest.NewRecorder()
		serve(t, tt.options).ServeHTTP(w, r)
		var answer struct{ Error string }
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != tt.status || answer.Error != tt.error {
			t.Errorf("%s: %d: %s, want %d: %s", tt.name, w.Code, w.Body, tt.status, tt.error)
		}
	}
}

// TestHanging: a page does not wait for ever for what does not answer.
func TestHanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(t, nil)
		o.Try = func(ctx context.Context, _ string) ([]Trial, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		began := time.Now()
		status, page := post(t, serve(t, o), Root+"try", url.Values{"text": {"a"}})
		if status != http.StatusServiceUnavailable || !strings.Contains(page, "cannot be read") || time.Since(began) != pageWait {
			t.Errorf("after %v: %d: %s", time.Since(began), status, page)
		}
	})
}

package gateway

import (
	"regexp"
	"testing"
	"time"
)

// TestRequestIDs: ids differ, and are in the order of their times.
func TestRequestIDs(t *testing.T) {
	form := regexp.MustCompile(`^req_[A-Z2-7]{26}$`)
	last, seen := "", map[string]bool{}
	at := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for _, step := range []time.Duration{time.Millisecond, 31 * time.Millisecond, time.Second, time.Hour, 24 * 365 * time.Hour, 24 * 365 * 200 * time.Hour} {
		at = at.Add(step)
		for range 100 {
			id := newRequestID(at)
			if !form.MatchString(id) || seen[id] || id[:len("req_")+9] < last {
				t.Fatalf("%s after %s", id, last)
			}
			seen[id] = true
		}
		next := newRequestID(at)[:len("req_")+9]
		if next <= last {
			t.Errorf("%s is not after %s", next, last)
		}
		last = next
	}
}

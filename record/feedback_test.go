package record_test

import (
	"fmt"
	"testing"

	"github.com/carrot-router/carrot/record"
)

// TestFeedbackSet: every kind of feedback has a score in [0,1], or none.
func TestFeedbackSet(t *testing.T) {
	for _, c := range []struct{ kind, value, want string }{
		{"score", "0.75", "0.75"},
		{"score", "0", "0"},
		{"score", "1e0", "1"},
		{"score", "1.01", `"1.01": want a number from 0 to 1`},
		{"score", "-0.1", `"-0.1": want a number from 0 to 1`},
		{"score", "NaN", `"NaN": want a number from 0 to 1`},
		{"score", "good", `"good": want a number from 0 to 1`},
		{"thumb", "up", "1"},
		{"thumb", "down", "0"},
		{"thumb", "Up", `"Up": want up or down`},
		{"success", "true", "1"},
		{"success", "false", "0"},
		{"success", "", `"": want true or false`},
		{"label", "fair", "0.5"},
		{"label", "odd", "unknown"},
		{"label", "", `"": want a text of 1 to 64 bytes`},
		{"stars", "5", `feedback of kind "stars": want score, thumb, label or success`},
	} {
		var f record.Feedback
		err := f.Set(c.kind, c.value, map[string]float64{"fair": 0.5})
		got := "unknown"
		if err != nil {
			got = err.Error()
		} else if f.Score != nil {
			got = fmt.Sprint(*f.Score)
		}
		if got != c.want || err == nil && (f.Kind != c.kind || f.Kind == "label" != (f.Label == c.value)) {
			t.Errorf("%s %q: %s (%+v), want %s", c.kind, c.value, got, f, c.want)
		}
	}
}

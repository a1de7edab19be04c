package svg

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestAxis(t *testing.T) {
	linear := Axis{Low: 0, High: 10, From: 100, To: 200}
	log := Axis{Low: 1, High: 100, From: 200, To: 0, Log: true}
	for _, row := range []struct {
		axis        Axis
		value, want float64
	}{
		{linear, 0, 100}, {linear, 2.5, 125}, {linear, 20, 300},
		{log, 1, 200}, {log, 10, 100}, {log, 0, 200},
		{Axis{Low: 3, High: 3, From: 0, To: 10}, 3, 5},
	} {
		if got := row.axis.At(row.value); math.Abs(got-row.want) > 1e-9 {
			t.Errorf("%+v: At(%v) = %v, want %v", row.axis, row.value, got, row.want)
		}
	}
	if got := linear.Ticks(5); !slices.Equal(got, []float64{0, 2, 4, 6, 8, 10}) {
		t.Errorf("Ticks(5) = %v", got)
	}
	if got := log.Ticks(3); !slices.Equal(got, []float64{1, 10, 100}) {
		t.Errorf("Ticks(3) of a logarithmic axis = %v", got)
	}
}

func TestTick(t *testing.T) {
	for v, want := range map[float64]string{0.00005: "0.00005", 0: "0", 0.30000000000000004: "0.3"} {
		if got := Tick(v); got != want {
			t.Errorf("Tick(%v) = %q, want %q", v, got, want)
		}
	}
}

// Text and labels are escaped, places that round to the same are written once,
// and no coordinate is other than a finite number.
func TestCanvas(t *testing.T) {
	var c Canvas
	c.Open(10, math.NaN(), "chart", `"a"`)
	c.Text(1, 2, "t", "start", "<b>")
	c.Polyline([]XY{{1, 1}, {1.01, 1}, {2, 3}}, "line")
	got := c.Close()
	for _, want := range []string{`viewBox="0 0 10 0"`, `aria-label="&#34;a&#34;"`, ">&lt;b&gt;<", `d="M1 1L2 3"`, "</svg>"} {
		if !strings.Contains(got, want) {
			t.Errorf("canvas = %s, want %s in it", got, want)
		}
	}
}

package svg

import (
	"math"
	"strconv"
)

// Axis maps values to places.
type Axis struct {
	Low, High float64 // values
	From, To  float64 // their places
	Log       bool
}

// At returns the place of a value. On a logarithmic axis, values below Low are
// placed at Low.
func (a Axis) At(v float64) float64 {
	low, high := a.Low, a.High
	if a.Log {
		low, high, v = math.Log(low), math.Log(high), math.Log(max(v, a.Low))
	}
	if high == low {
		return (a.From + a.To) / 2
	}
	return a.From + (v-low)/(high-low)*(a.To-a.From)
}

// Ticks returns round values within the axis, about n of them.
func (a Axis) Ticks(n int) []float64 {
	if a.Log {
		return a.logTicks(n)
	}
	if !(a.High > a.Low) || math.IsInf(a.High-a.Low, 0) {
		return []float64{a.Low}
	}
	step := math.Pow(10, math.Floor(math.Log10((a.High-a.Low)/float64(n))))
	for _, f := range []float64{1, 2, 2.5, 5, 10} {
		if (a.High-a.Low)/(f*step) <= float64(n) {
			step *= f
			break
		}
	}
	var out []float64
	first := math.Ceil(a.Low/step - 1e-9)
	for k := range n + 2 {
		if v := (first + float64(k)) * step; v <= a.High+step*1e-9 {
			out = append(out, v)
		}
	}
	return out
}

func (a Axis) logTicks(n int) []float64 {
	var out []float64
	for _, factors := range [][]float64{{1, 2, 5}, {1, 3}, {1}} {
		out = out[:0]
		for e := math.Floor(math.Log10(max(a.Low, 1e-300))); e <= math.Ceil(math.Log10(min(a.High, 1e300))); e++ {
			for _, f := range factors {
				if v := f * math.Pow(10, e); v >= a.Low*(1-1e-9) && v <= a.High*(1+1e-9) {
					out = append(out, v)
				}
			}
		}
		if len(out) <= n+1 {
			break
		}
	}
	return out
}

// Tick writes the value of a tick.
func Tick(v float64) string {
	if math.Abs(v) < 1e-12 {
		return "0"
	}
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'e', 3, 64), 64)
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

package frontier_test

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/carrot-router/carrot/frontier"
)

// fuzzPoints reads points from bytes. A point has four bytes: a cost of up to 4
// in steps of 2^-14 and a quality of up to 1 in steps of 2^-16. If raw is set it
// has sixteen bytes, which are any two floats.
func fuzzPoints(data []byte, raw bool) points {
	var p points
	size := 4
	if raw {
		size = 16
	}
	for ; len(data) >= size; data = data[size:] {
		if raw {
			p = append(p, frontier.Point{
				Cost:    math.Float64frombits(binary.LittleEndian.Uint64(data)),
				Quality: math.Float64frombits(binary.LittleEndian.Uint64(data[8:])),
			})
			continue
		}
		p = append(p, frontier.Point{
			Cost:    float64(binary.LittleEndian.Uint16(data)) / (1 << 14),
			Quality: float64(binary.LittleEndian.Uint16(data[2:])) / (1 << 16),
		})
	}
	return p
}

// No floats make a metric panic or loop. For sensible points AUDC is at most AIQ,
// AIQ is at most the peak, and recovering more of a gap takes no fewer calls.
func FuzzMeasure(f *testing.F) {
	f.Add([]byte{}, uint8(1), false)
	f.Add([]byte{0, 0, 0, 128, 0, 64, 0, 192}, uint8(1), false)
	f.Add([]byte{0, 16, 0, 64, 0, 16, 0, 128, 0, 16, 0, 128, 0, 255, 0, 1}, uint8(2), false)
	special := []float64{nan, inf, -inf, 0, math.Copysign(0, -1), math.MaxFloat64, math.SmallestNonzeroFloat64, -1}
	var bytes []byte
	for _, x := range special {
		bytes = binary.LittleEndian.AppendUint64(bytes, math.Float64bits(x))
	}
	f.Add(bytes, uint8(2), true)
	f.Fuzz(func(t *testing.T, data []byte, singles uint8, raw bool) {
		p := fuzzPoints(data, raw)
		own := min(int(singles), len(p))
		scale, curve := frontier.NewScale(p[:own]), p[own:]
		got := scale.Measure(curve)
		audc := frontier.AUDC(curve, scale.Low, scale.High)
		weak, strong := 0.25, 0.75
		if own > 1 {
			weak, strong = p[0].Quality, p[1].Quality
		}
		apgr := frontier.APGR(curve, weak, strong)
		half, most := frontier.CPT(curve, weak, strong, 0.5), frontier.CPT(curve, weak, strong, 0.8)
		predicted, observed := make([]float64, len(p)), make([]float64, len(p))
		for i := range p {
			predicted[i], observed[i] = p[i].Cost, p[i].Quality
			frontier.ArenaScore(p[i].Quality, p[i].Cost)
			frontier.Regret(scale.Single, p[i], p[i].Cost)
		}
		rank := frontier.RankCorrelation(predicted, observed)
		frontier.ECE(predicted, observed, int(singles))
		frontier.R2(predicted, observed)
		if rank < -1 || rank > 1 {
			t.Errorf("rank correlation of %v is %v", p, rank)
		}
		if raw {
			return
		}
		if audc > got.AIQ+1e-9 || got.AIQ > got.Peak+1e-9 || math.IsNaN(audc) != (own == 0 || len(curve) == 0) {
			t.Errorf("%v on %+v: AUDC %v, AIQ %v, peak %v, want them in this order", curve, scale, audc, got.AIQ, got.Peak)
		}
		if half > most || math.IsNaN(apgr) != (weak == strong) {
			t.Errorf("%v between %v and %v: APGR %v, CPT(.5) %v, CPT(.8) %v", curve, weak, strong, apgr, half, most)
		}
	})
}

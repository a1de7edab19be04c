package predict

import (
	"fmt"
	"math"

	"github.com/carrot-router/carrot"
)

// mostHeldOut is the largest number of queries that are kept: more would tell little, and
// make the file larger.
const mostHeldOut = 4096

// Holdout returns what the predictor forecast of queries while they were held out, and
// what was observed, for at most 4,096 of the queries of Fit. It is nil before Fit, and
// for a predictor that was saved before there was one. Added and corrected models are in
// it as they were fitted. The caller must not change it.
func (p *Predictor) Holdout() *carrot.Holdout { return p.holdout }

// holdOut makes the Holdout, with numbers as they are saved.
func (p *Predictor) holdOut() *carrot.Holdout {
	o, of := p.oof.problem, p.OutOfFold().Predictions(0)
	rows, models := min(o.n, mostHeldOut), o.models
	h := newHoldout(p.models, rows)
	for j, c := range p.head.models {
		h.Direct[j] = c.direct == 1
	}
	for k := range rows {
		i := k * o.n / rows // evenly, as sets are often in the order of their sources
		h.InputTokens[k] = float32(math.NaN())
		if p.oof.input != nil {
			h.InputTokens[k] = float32(p.oof.input[i])
		}
		for j := range models {
			at, f := k*models+j, &of[i].Forecasts[j]
			forecast, unit := f.OutputTokens, unitOf(h.Direct[j])
			if h.Direct[j] {
				forecast = f.CostUSD
			}
			if f.CostUnknown {
				forecast = math.NaN()
			}
			h.Quality[at] = qualityOf(codeQuality(f.Quality))
			h.Score[at] = scoreOf(codeScore(o.score(i, j)))
			h.Volume[at] = volumeOf(codeVolume(forecast*unit), unit)
			h.Observed[at] = volumeOf(codeVolume(math.Expm1(o.target[i*o.targets()+models+j])), unit)
		}
	}
	return h
}

// unitOf is the number of units of a volume in one token, or in one USD.
func unitOf(direct bool) float64 {
	if direct {
		return microUSD
	}
	return 1
}

func newHoldout(models []string, rows int) *carrot.Holdout {
	cells := func() []float32 { return make([]float32, rows*len(models)) }
	return &carrot.Holdout{Models: models, InputTokens: make([]float32, rows), Direct: make([]bool, len(models)),
		Quality: cells(), Score: cells(), Volume: cells(), Observed: cells()}
}

// A quality is saved as a share of 65,535, a score as one of 250 steps, of which 0.1,
// 0.2, 0.25 and the like are whole numbers, and a volume (tokens or millionths of USD) by
// the logarithm of it and 1. The largest number of each kind is NaN.
const (
	qualitySteps = math.MaxUint16
	scoreSteps   = 250
	noScore      = math.MaxUint8
	volumeSteps  = 3276 // for each unit of the logarithm, which is below 20
	noVolume     = math.MaxUint16
)

func codeQuality(q float64) uint16 { return uint16(math.Round(q * qualitySteps)) }

func qualityOf(code uint16) float32 { return float32(code) / qualitySteps }

func codeScore(s float64) uint8 {
	if math.IsNaN(s) {
		return noScore
	}
	return uint8(math.Round(min(max(s, 0), 1) * scoreSteps))
}

func scoreOf(code uint8) float32 {
	if code > scoreSteps {
		return float32(math.NaN())
	}
	return float32(float64(code) / scoreSteps)
}

func codeVolume(v float64) uint16 {
	if math.IsNaN(v) {
		return noVolume
	}
	return uint16(min(math.Round(volumeSteps*math.Log1p(max(v, 0))), noVolume-1))
}

func volumeOf(code uint16, unit float64) float32 {
	if code == noVolume {
		return float32(math.NaN())
	}
	return float32(math.Expm1(float64(code)/volumeSteps) / unit)
}

func saveHoldout(out *tensors, h *carrot.Holdout) {
	if h == nil {
		return
	}
	rows, models := len(h.InputTokens), len(h.Models)
	quality, score := make([]uint16, rows*models), make([]uint8, rows*models)
	volume, observed := make([]uint16, rows*models), make([]uint16, rows*models)
	direct := make([]uint8, models)
	for j := range direct {
		if h.Direct[j] {
			direct[j] = 1
		}
	}
	for at := range quality {
		unit := unitOf(h.Direct[at%models])
		quality[at], score[at] = codeQuality(float64(h.Quality[at])), codeScore(float64(h.Score[at]))
		volume[at], observed[at] = codeVolume(float64(h.Volume[at])*unit), codeVolume(float64(h.Observed[at])*unit)
	}
	out.float32s("holdout.input", h.InputTokens, rows)
	out.uint8s("holdout.unit", direct, models)
	out.uint8s("holdout.score", score, rows, models)
	out.uint16s("holdout.quality", quality, rows, models)
	out.uint16s("holdout.volume", volume, rows, models)
	out.uint16s("holdout.observed", observed, rows, models)
}

// loadHoldout reads what saveHoldout wrote. Models that were added after the fit have no
// column.
func loadHoldout(in *tensors, names []string) (*carrot.Holdout, error) {
	if _, ok := in.file.Tensor("holdout.input"); !ok {
		return nil, in.err
	}
	rows, models := in.rows("holdout.input"), in.rows("holdout.unit")
	if models > len(names) {
		in.fail("holdout.unit", "has more models than the router")
	}
	input := in.getFloat32sOrNaN("holdout.input", rows)
	direct := in.getUint8s("holdout.unit", models)
	score := in.getUint8s("holdout.score", rows, models)
	quality := in.getUint16s("holdout.quality", rows, models)
	volume := in.getUint16s("holdout.volume", rows, models)
	observed := in.getUint16s("holdout.observed", rows, models)
	if in.err != nil {
		return nil, in.err
	}
	h := newHoldout(names[:models], rows)
	for i, v := range input {
		if v < 0 || math.IsInf(float64(v), 0) {
			in.fail("holdout.input", "holds a number that is negative or infinite")
			return nil, in.err
		}
		h.InputTokens[i] = v
	}
	for j, v := range direct {
		if h.Direct[j] = v == 1; v > 1 {
			in.fail("holdout.unit", fmt.Sprintf("%d is outside [0,1]", v))
			return nil, in.err
		}
	}
	for at := range quality {
		unit := unitOf(h.Direct[at%models])
		h.Quality[at], h.Score[at] = qualityOf(quality[at]), scoreOf(score[at])
		h.Volume[at], h.Observed[at] = volumeOf(volume[at], unit), volumeOf(observed[at], unit)
	}
	return h, nil
}

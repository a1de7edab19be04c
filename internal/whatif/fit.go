package whatif

import "math"

const (
	// usualRatio and usualOffset are the standard deviations by which what is expected of
	// a model is off as a whole, where nothing is known of it: of the logarithm of its
	// costs, and of its scores. They count as much as those of usualModels models.
	usualRatio, usualOffset = 0.3, 0.05
	usualModels             = 2
	// ratioGap and offsetGap are the standard deviations by which a model is off otherwise
	// where it did not answer: it is chosen where little cost or much quality is expected
	// of it.
	ratioGap, offsetGap = 0.1, 0.05
	// priorSessions is how many sessions the scatter of all models counts as, in that of
	// one, and usualScatter that scatter where nothing is observed.
	priorSessions, usualScatter = 5, 0.5

	normal95 = 1.96 // half the width of a 95% interval, in standard errors
)

// off says how what is expected of a model is off.
type off struct {
	// here is the logarithm of a ratio of costs, or an offset of scores, where the model
	// answered, and value the same elsewhere.
	here, hereVariance float64
	value, variance    float64
	scatter            float64 // variance of a cost about its mean, over the square of the mean
	n                  int     // requests that it follows from
}

// sample are the requests that a model answered, by session.
type sample struct {
	n        int
	sessions []sums
	place    map[int]int // of a session in sessions
}

type sums struct{ n, observed, expected, noise float64 }

func (s *sample) add(session int, observed, expected, noise float64) {
	at, ok := s.place[session]
	if !ok {
		if s.place == nil {
			s.place = map[int]int{}
		}
		at = len(s.sessions)
		s.place[session] = at
		s.sessions = append(s.sessions, sums{})
	}
	one := &s.sessions[at]
	s.n++
	one.n++
	one.observed += observed
	one.expected += expected
	one.noise += noise
}

func (s *sample) sum() (all sums) {
	for _, one := range s.sessions {
		all.n += one.n
		all.observed += one.observed
		all.expected += one.expected
		all.noise += one.noise
	}
	return all
}

// ratios returns how costs are off, by model.
func ratios(samples []sample) []off {
	out := make([]off, len(samples))
	scatter, sessions := usualScatter*priorSessions, float64(priorSessions)
	for m := range samples {
		s := &samples[m]
		all, n := s.sum(), float64(len(s.sessions))
		if out[m].n = s.n; !(all.observed > 0 && all.expected > 0) {
			out[m].n = 0
			continue
		}
		ratio := all.observed / all.expected
		out[m].value = math.Log(ratio)
		if n < 2 {
			continue
		}
		// The scatter grows with what is expected. Weighing sessions by that says too
		// little where a few long ones make the sum, and weighing them equally where short
		// ones scatter less: the larger of the two holds, as in ledger.Saving.
		var weighted, squares, equal float64
		for _, one := range s.sessions {
			d := one.observed/ratio - one.expected
			weighted += d * d
			squares += one.expected * one.expected
			if one.expected > 0 {
				equal += d * d / (one.expected * one.expected) / n
			}
		}
		out[m].scatter = max(weighted/squares, equal) * n / (n - 1)
		scatter += out[m].scatter * (n - 1)
		sessions += n - 1
	}
	for m := range out {
		s, o := &samples[m], &out[m]
		n := float64(len(s.sessions))
		own := max(n-1, 0)
		o.scatter = (own*o.scatter + priorSessions*scatter/sessions) / (own + priorSessions)
		all := s.sum()
		for _, one := range s.sessions {
			o.variance += o.scatter * one.expected * one.expected / (all.expected * all.expected)
		}
	}
	shrink(out, usualRatio, ratioGap)
	return out
}

// offsets returns how scores are off, by model.
func offsets(samples []sample) []off {
	out := make([]off, len(samples))
	for m := range samples {
		s, o := &samples[m], &out[m]
		all, sessions := s.sum(), float64(len(s.sessions))
		if o.n = s.n; s.n == 0 {
			continue
		}
		o.value = (all.observed - all.expected) / all.n
		for _, one := range s.sessions {
			d := one.observed - one.expected - o.value*one.n
			o.variance += d * d / (all.n * all.n)
		}
		if sessions > 1 {
			o.variance *= sessions / (sessions - 1)
		}
		foreseen := all.noise / (all.n * all.n)
		o.variance = max(foreseen, ((sessions-1)*o.variance+priorSessions*foreseen)/(sessions-1+priorSessions))
	}
	shrink(out, usualOffset, offsetGap)
	return out
}

// shrink moves values towards zero, as far as they are not certain, by how far models are
// off as a whole. A value where the model answered, and one elsewhere, differ from that by
// a gap each.
func shrink(all []off, usual, gap float64) {
	spread, models := usualModels*usual*usual, float64(usualModels)
	for _, o := range all {
		if o.n > 0 {
			noise := o.variance + gap*gap
			weight := usual * usual / (usual*usual + noise)
			spread += weight * max(o.value*o.value-noise, 0)
			models += weight
		}
	}
	spread /= models
	for m := range all {
		o := &all[m]
		if o.n == 0 {
			o.here, o.hereVariance = 0, spread+gap*gap
			o.value, o.variance = o.here, o.hereVariance
			continue
		}
		total := spread + gap*gap + o.variance
		o.here, o.hereVariance = (spread+gap*gap)/total*o.value, (spread+gap*gap)/total*o.variance
		o.value, o.variance = spread/total*o.value, spread/total*(gap*gap+o.variance)+gap*gap
	}
}

package theory

// Scenario is a problem with what the router is told about it.
type Scenario struct {
	Name    string `json:"name"`
	About   string `json:"about"` // what it shows, in one line
	Problem `json:"problem"`
	// CostKnown says that the cost is given, not estimated from outcomes.
	CostKnown bool `json:"cost_known"`
	// Seen is the share of the first coordinate's range, at its upper end, that
	// training queries come from. The router is always tested on all of the
	// range, so 1 means no shift.
	Seen float64 `json:"seen"`
}

// Exponent is the exponent of the promised rate, Problem.Exponent.
func (s *Scenario) Exponent() float64 { return s.Problem.Exponent(s.CostKnown) }

// Promised is the slope of log risk against log n that a method's slope is
// compared with: minus the exponent for the right k and h, and for the k found
// from data, though no theorem cited here covers it. It is 0, a floor, if k is
// wrong or training queries leave out a part of the space.
func (s *Scenario) Promised(m Method) float64 {
	if m.wrong() || s.Seen < 1 {
		return 0
	}
	return -s.Exponent()
}

// Scenarios returns the scenarios of carrot theory. All have three models. The
// noise of scores is 0.25, half that of a right-or-wrong score of mean 1/2, in all
// but one.
func Scenarios() []Scenario {
	base := Problem{Dim: 2, Smoothness: 1, CostSmoothness: 1, Margin: 1, Noise: 0.25, Models: 3}
	with := func(name, about string, change func(*Scenario)) Scenario {
		s := Scenario{Name: name, About: about, Problem: base, CostKnown: true, Seen: 1}
		change(&s)
		return s
	}
	return []Scenario{
		with("line", "one dimension", func(s *Scenario) { s.Dim = 1 }),
		with("plane", "two dimensions: the base case", func(*Scenario) {}),
		with("four-dim", "four dimensions", func(s *Scenario) { s.Dim = 4 }),
		with("eight-dim", "eight dimensions: the curse", func(s *Scenario) { s.Dim = 8 }),
		with("rough", "rough regression functions", func(s *Scenario) { s.Smoothness, s.CostSmoothness = 0.5, 0.5 }),
		with("clear-cut", "equally rough, but few close calls: a large margin exponent", func(s *Scenario) {
			s.Smoothness, s.CostSmoothness, s.Margin = 0.5, 0.5, 2
		}),
		with("close-calls", "many close calls: a small margin exponent", func(s *Scenario) { s.Margin = 0.5 }),
		with("noisy", "twice the noise: the constant moves, the exponent does not", func(s *Scenario) { s.Noise = 0.5 }),
		with("cost-known", "smooth quality, rough cost, cost known", func(s *Scenario) { s.CostSmoothness = 0.5 }),
		with("cost-estimated", "the same with cost estimated: the rough metric sets the rate", func(s *Scenario) {
			s.CostSmoothness, s.CostKnown = 0.5, false
		}),
		with("shift", "a quarter of the space absent from training, cost estimated: no promise", func(s *Scenario) {
			s.Seen, s.CostKnown = 0.75, false
		}),
	}
}

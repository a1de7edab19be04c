package predict

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/carrot-router/carrot"
)

// Plan is a candidate of several calls, of which later ones depend on the answers of
// earlier ones, with its outcomes on the n queries that a predictor was fitted on. NaN
// is not observed.
type Plan struct {
	Name    string
	Models  []string  // asked, in this order
	Score   []float64 // n: of the answer that is returned, in [0,1]
	Asked   []float64 // n×len(Models), row-major: 1 for a model that was asked, 0 for one that was not
	CostUSD []float64 // n: of all calls
}

// plans are what a predictor knows of plans. For each it predicts a score, as a
// difference from what the models have in common on a query; and for each call
// the probability that it is made, by a gate. What the call costs, if it is made, follows from the
// model's own volume, calibrated on the queries on which it was made.
type plans struct {
	names   []string
	steps   []planStep
	first   []int // of each plan, its first step; and at the end the number of steps
	learner learner
	head    head // of the scores
	gates   []gate
	ratios  []ratios // of each plan

	columns []string // of the predictor: its models, then the plans
	oof     *plansOutOfFold
}

// planStep is a call.
type planStep struct {
	model  int // of the predictor's models
	gate   int // -1: the call is always made
	volume calibration
}

// gate calibrates the probability of a call: a + b·raw, within [0,1]. mean is that of a
// query the predictor abstains on.
type gate struct{ a, b, mean float64 }

func (g *gate) probability(raw float64) float64 { return min(max(g.a+g.b*raw, 0), 1) }

// ratios are those of the 90% quantile to the expectation, of a plan's cost and of its
// output tokens. They are interpolated by the probability of the first call that is
// not always made, between the medians of its thirds, at.
type ratios struct{ at, cost, tokens [3]float64 }

// plansOutOfFold is what is kept to calibrate again.
type plansOutOfFold struct {
	plans  []Plan
	target []float64 // n×(P+G): scores less the common part, then gates
	raw    []float64
	price  func(row, model int, f *carrot.Forecast) float64
}

// fewIncomplete is the share of queries of unknown outcome up to which they are left out for
// all plans, so that all have the same queries.
const fewIncomplete = 0.1

// FitPlans adds plans, whose names must differ from each other and from those of the
// models, to the columns of the predictor, after its models. Their outcomes are on the
// queries of the last Fit, which must precede; plans of an earlier call are
// forgotten. The forecasts of models stay as they are, to the last bit. price returns what
// a forecast for a model on a query means in USD; the 90% quantile of a plan's cost is
// fitted on such costs, out of fold.
func (p *Predictor) FitPlans(ctx context.Context, of []Plan, price func(row, model int, f *carrot.Forecast) float64, progress func(string)) error {
	if p.oof == nil {
		return fmt.Errorf("fit plans: no out-of-fold predictions, which only Fit makes: %w", ErrNotFitted)
	}
	if progress == nil {
		progress = func(string) {}
	}
	p.plans = nil
	if len(of) == 0 {
		return nil
	}
	if p.learner.exact() {
		of = p.oof.problem.completeOf(of)
	}
	l := &plans{oof: &plansOutOfFold{plans: of, price: price}, first: []int{0}, columns: slices.Clone(p.models)}
	problem, err := l.problem(p, of)
	if err != nil {
		return fmt.Errorf("fit plans: %w", err)
	}
	l.learner = p.learner.again()
	progress("out-of-fold predictions of plans")
	if l.oof.raw, _, err = l.learner.crossfit(ctx, problem, folds(problem.hash, problem.n, foldCount), foldCount, false); err != nil {
		return fmt.Errorf("cross-fit plans: %w", err)
	}
	progress("fitting plans")
	if err := l.learner.fit(ctx, problem); err != nil {
		return fmt.Errorf("fit plans: %w", err)
	}
	l.calibrate(p)
	p.plans = l
	return nil
}

// completeOf returns plans whose outcomes are known only on the queries on which those of
// all models are, if there are some: means of plans are compared with means of models,
// which come from these.
func (p *problem) completeOf(of []Plan) []Plan {
	var rest []int
	for i := range p.n {
		if !p.complete(i) {
			rest = append(rest, i)
		}
	}
	if len(rest) == 0 || len(rest) == p.n {
		return of
	}
	out := slices.Clone(of)
	for k := range out {
		plan := &out[k]
		if len(plan.Score) != p.n || len(plan.Asked) != p.n*len(plan.Models) { // an error that is found later
			continue
		}
		plan.Score, plan.Asked = slices.Clone(plan.Score), slices.Clone(plan.Asked)
		for _, i := range rest {
			plan.Score[i] = math.NaN()
			for s := range plan.Models {
				plan.Asked[i*len(plan.Models)+s] = math.NaN()
			}
		}
	}
	return out
}

// problem returns the targets of plans: their scores, then the gates.
func (l *plans) problem(p *Predictor, of []Plan) (*problem, error) {
	models := p.oof.problem
	n, t := models.n, models.targets()
	var columns [][]float64
	for k := range of {
		plan := &of[k]
		if len(plan.Score) != n || len(plan.CostUSD) != n || len(plan.Asked) != n*len(plan.Models) {
			return nil, fmt.Errorf("plan %q: its outcomes are not those of %d queries", plan.Name, n)
		}
		if len(plan.Models) == 0 || len(plan.Models) > maxSteps {
			return nil, fmt.Errorf("plan %q asks %d models: want 1 to %d", plan.Name, len(plan.Models), maxSteps)
		}
		if slices.Contains(l.columns, plan.Name) {
			return nil, fmt.Errorf("plan %q: the name is taken", plan.Name)
		}
		score := make([]float64, n)
		observed := false
		for i, y := range plan.Score {
			if y < 0 || y > 1 {
				return nil, fmt.Errorf("plan %q: query %d: score %v is out of range", plan.Name, i, y)
			}
			score[i] = y - models.target[i*t+t-1]
			observed = observed || !math.IsNaN(score[i])
		}
		if !observed {
			return nil, fmt.Errorf("plan %q has no scores among the training queries", plan.Name)
		}
		columns, l.names, l.columns = append(columns, score), append(l.names, plan.Name), append(l.columns, plan.Name)
	}
	for k := range of {
		plan := &of[k]
		for s, name := range plan.Models {
			model := slices.Index(p.models, name)
			if model < 0 {
				return nil, fmt.Errorf("plan %q asks %q, which the predictor does not know", plan.Name, name)
			}
			asked := make([]float64, n)
			always := true
			for i := range asked {
				asked[i] = plan.Asked[i*len(plan.Models)+s]
				always = always && asked[i] != 0
			}
			step := planStep{model: model, gate: -1}
			if !always {
				columns, step.gate = l.addGate(columns, asked)
			}
			l.steps = append(l.steps, step)
		}
		l.first = append(l.first, len(l.steps))
	}
	l.gates = make([]gate, len(columns)-len(of))
	out := &problem{n: n, dense: models.dense, x: models.x, sparse: models.sparse, hash: models.hash, seed: models.seed, progress: func(string) {},
		target: make([]float64, n*len(columns))}
	for c := range columns {
		side := sideDifference
		if c >= len(of) { // how easy a query is decides whether more is asked
			side = sideCommon
		}
		out.sides = append(out.sides, side)
	}
	for i := range n {
		for c := range columns {
			out.target[i*len(columns)+c] = columns[c][i]
		}
	}
	l.oof.target = slices.Clone(out.target)
	out.align()
	if _, ok := p.learner.(*mean); ok {
		out.onlyWhere(models)
	}
	return out, nil
}

// addGate returns the place of a gate among the gates, to which it is added unless it
// is one of them: plans that begin alike share theirs.
func (l *plans) addGate(columns [][]float64, asked []float64) ([][]float64, int) {
	for g, other := range columns[len(l.names):] {
		same, both, either := true, 0, 0
		for i, a := range asked {
			b := other[i]
			switch {
			case math.IsNaN(a) && math.IsNaN(b):
				continue
			case !math.IsNaN(a) && !math.IsNaN(b):
				both++
				same = same && a == b
			}
			either++
		}
		if same && float64(both) >= (1-fewIncomplete)*float64(either) {
			for i, a := range asked {
				if math.IsNaN(other[i]) {
					other[i] = a
				}
			}
			return columns, g
		}
	}
	return append(columns, asked), len(columns) - len(l.names)
}

// onlyWhere leaves out queries on which some model was not observed, if there are others,
// since the means of models are those of the others: plans and models are then compared
// on the same queries.
func (p *problem) onlyWhere(models *problem) {
	var incomplete []int
	for i := range p.n {
		if !models.complete(i) {
			incomplete = append(incomplete, i)
		}
	}
	if len(incomplete) == p.n {
		return
	}
	t := p.targets()
	for _, i := range incomplete {
		for c := range t {
			p.target[i*t+c] = math.NaN()
		}
	}
}

// align leaves out queries on which some target is unknown, if these are few, since
// targets that are known on the same queries are fitted much faster.
func (p *problem) align() {
	t := p.targets()
	var incomplete []int
	known := 0
	for i := range p.n {
		missing := 0
		for _, v := range p.target[i*t:][:t] {
			if math.IsNaN(v) {
				missing++
			}
		}
		if missing < t {
			known++
		}
		if 0 < missing && missing < t {
			incomplete = append(incomplete, i)
		}
	}
	if float64(len(incomplete)) > fewIncomplete*float64(known) {
		return
	}
	for _, i := range incomplete {
		for c := range t {
			p.target[i*t+c] = math.NaN()
		}
	}
}

// calibrate fits all that turns raw outputs into forecasts, on those out of fold.
func (l *plans) calibrate(p *Predictor) {
	models := p.oof.problem
	n, m, t := models.n, len(p.models), models.targets()
	count, width := len(l.names), len(l.names)+len(l.gates)
	l.calibrateScores(p)
	for g := range l.gates {
		var asked []sample
		for i := range n {
			if y := l.oof.target[i*width+count+g]; !math.IsNaN(y) {
				asked = append(asked, sample{raw: l.oof.raw[i*width+count+g], y: y, row: i})
			}
		}
		l.gates[g] = fitGate(asked)
	}
	for k := range l.names {
		steps := l.steps[l.first[k]:l.first[k+1]]
		for s := range steps {
			step := &steps[s]
			step.volume = p.head.models[step.model]
			if step.gate < 0 {
				continue
			}
			var volumes []sample
			for i := range n {
				if y := models.target[i*t+m+step.model]; l.oof.plans[k].Asked[i*len(steps)+s] == 1 && !math.IsNaN(y) {
					volumes = append(volumes, sample{raw: p.oof.raw[i*t+m+step.model], y: math.Expm1(y), row: i})
				}
			}
			if len(volumes) > 0 {
				step.volume = calibration{direct: step.volume.direct, b: 1, ratio: [3]float64{1, 1, 1}}
				step.volume.fitVolume(volumes, false)
			}
		}
	}
	l.ratios = make([]ratios, count)
	for k := range l.names {
		l.fitRatios(p, k)
	}
}

// calibrateScores calibrates the plans' scores as those of models.
func (l *plans) calibrateScores(p *Predictor) {
	models := p.oof.problem
	n, t, count := models.n, models.targets(), len(l.names)
	width, own := count+len(l.gates), targetsOf(count)
	o := &outOfFold{problem: &problem{n: n, models: count, target: make([]float64, n*own), direct: make([]bool, count)},
		raw: make([]float64, n*own), variance: make([]float64, n*count)}
	for i := range n {
		target, raw := o.problem.target[i*own:][:own], o.raw[i*own:][:own]
		copy(target[:count], l.oof.target[i*width:])
		copy(raw[:count], l.oof.raw[i*width:])
		for c := count; c < 2*count; c++ {
			target[c] = math.NaN()
		}
		target[2*count], raw[2*count] = models.target[i*t+t-1], p.oof.raw[i*t+t-1]
		l.variances(p.oof.variance[i*len(p.models):][:len(p.models)], o.variance[i*count:][:count])
	}
	l.head = fitHead(o, p.spec.Caution, true)
}

// variances writes the relative variance of each plan's score: the largest of its
// models'.
func (l *plans) variances(models, out []float64) {
	for k := range out {
		out[k] = 0
		for _, s := range l.steps[l.first[k]:l.first[k+1]] {
			out[k] = max(out[k], models[s.model])
		}
	}
}

// fitGate fits a line by least squares. It never falls.
func fitGate(s []sample) (g gate) {
	var raw, xy, xx float64
	n := float64(max(len(s), 1))
	for _, v := range s {
		raw += v.raw / n
		g.mean += v.y / n
	}
	for _, v := range s {
		xy += (v.raw - raw) * (v.y - g.mean)
		xx += (v.raw - raw) * (v.raw - raw)
	}
	if xx > 1e-12 {
		g.b = max(xy/xx, 0)
	}
	g.a = g.mean - g.b*raw
	return g
}

// leastCost is a cost in USD below which there is no ratio to it.
const leastCost = 1e-15

// fitRatios fits by thirds how far the cost and the tokens of plan k may exceed what is
// expected, with nine answers in ten within it.
func (l *plans) fitRatios(p *Predictor, k int) {
	models := p.oof.problem
	n, m, t := models.n, len(p.models), models.targets()
	width, count := len(l.names)+len(l.gates), len(l.names)
	plan, steps := &l.oof.plans[k], l.steps[l.first[k]:l.first[k+1]]
	type row struct {
		called, cost, tokens float64
		row                  int
	}
	var rows []row
	called := make([]float64, len(steps))
	for i := range n {
		if math.IsNaN(plan.CostUSD[i]) || math.IsNaN(plan.Score[i]) {
			continue
		}
		l.called(k, l.oof.raw[i*width+count:][:len(l.gates)], 1, called)
		r := row{called: l.firstGate(k, called), row: i}
		var cost, tokens, spent float64
		for s := range steps {
			var f carrot.Forecast
			steps[s].forecast(p.oof.raw[i*t+m+steps[s].model], 1, &f)
			if !f.CostUnknown {
				cost += called[s] * l.oof.price(i, steps[s].model, &f)
			}
			tokens += called[s] * f.OutputTokens
			if y := models.target[i*t+m+steps[s].model]; !f.Direct && plan.Asked[i*len(steps)+s] == 1 && !math.IsNaN(y) {
				spent += math.Expm1(y)
			}
		}
		r.cost, r.tokens = 1, 1
		if cost > leastCost {
			r.cost = plan.CostUSD[i] / cost
		}
		if tokens > 0 {
			r.tokens = spent / tokens
		}
		rows = append(rows, r)
	}
	out := &l.ratios[k]
	*out = ratios{cost: [3]float64{1, 1, 1}, tokens: [3]float64{1, 1, 1}}
	if len(rows) == 0 {
		return
	}
	slices.SortFunc(rows, func(a, b row) int {
		if a.called != b.called {
			return cmpFloat(a.called, b.called)
		}
		return a.row - b.row
	})
	for j := range 3 {
		part := third(rows, j)
		out.at[j] = part[len(part)/2].called
		values := make([]float64, len(part))
		quantile := func(of func(r *row) float64) float64 {
			for i := range part {
				values[i] = of(&part[i])
			}
			return quantile90(values)
		}
		out.cost[j] = quantile(func(r *row) float64 { return r.cost })
		out.tokens[j] = quantile(func(r *row) float64 { return r.tokens })
	}
}

// called writes the probability of each call of plan k. trust in [0,1] is how far the raw
// outputs of the gates are trusted beside the means.
func (l *plans) called(k int, raw []float64, trust float64, out []float64) {
	before := 1.0
	for s, step := range l.steps[l.first[k]:l.first[k+1]] {
		if step.gate >= 0 {
			g := &l.gates[step.gate]
			// A call is made after those before it only.
			before = min(before, toMean(g.probability(raw[step.gate]), g.mean, trust))
		}
		out[s] = before
	}
}

// firstGate is the probability of the first call of plan k that is not always made.
func (l *plans) firstGate(k int, called []float64) float64 {
	for s, step := range l.steps[l.first[k]:l.first[k+1]] {
		if step.gate >= 0 {
			return called[s]
		}
	}
	return 1
}

// forecast writes the volume of the call, if it is made, from the raw volume of its model.
func (s *planStep) forecast(raw, trust float64, f *carrot.Forecast) {
	v := s.volume.expected(raw)
	s.volume.setVolume(f, toMean(v, s.volume.volume, trust), 0)
}

// apply writes the forecasts of the plans, given the raw outputs and variances of the models
// and the raw outputs for plans, with their steps. corrections of the models are those of their head.
func (l *plans) apply(models, variance, raw []float64, trust float64, corrections []correction, out []carrot.Forecast, outSteps [][]carrot.Step) {
	m, count := len(variance), len(l.names)
	common := models[len(models)-1]
	for k := range l.names {
		c, f := &l.head.models[k], &out[k]
		steps := l.steps[l.first[k]:l.first[k+1]]
		relative := 0.0
		for _, s := range steps {
			relative = max(relative, variance[s.model])
		}
		quality, se := l.head.trusted(c, raw[k], common, relative, trust)
		calls := slices.Grow(outSteps[k][:0], len(steps))[:len(steps)]
		outSteps[k] = calls
		*f = carrot.Forecast{Quality: quality, QualitySE: se, QualityNoise: math.Sqrt(c.noise * scatter(quality))}
		var called [maxSteps]float64
		l.called(k, raw[count:], trust, called[:len(steps)])
		for s := range steps {
			var call carrot.Forecast
			steps[s].forecast(models[m+steps[s].model], trust, &call)
			factor := 1.0
			if corrections != nil {
				factor = corrections[steps[s].model].factor
			}
			calls[s] = carrot.Step{Model: l.columns[steps[s].model], Called: called[s], OutputTokens: factor * call.OutputTokens, Cost: carrot.Dollars(factor * call.CostUSD)}
			f.CostUnknown = f.CostUnknown || call.CostUnknown
			f.OutputTokens += called[s] * calls[s].OutputTokens
		}
		first := l.firstGate(k, called[:len(steps)])
		f.CostRatioP90, f.TokensRatioP90 = interpolated(first, &l.ratios[k].at, &l.ratios[k].cost), interpolated(first, &l.ratios[k].at, &l.ratios[k].tokens)
		f.OutputTokensP90 = f.TokensRatioP90 * f.OutputTokens
	}
}

// maxSteps is the largest number of models in a plan.
const maxSteps = 8

// The tensors of plans, beside those of their head and their learner.
const (
	plansPrefix  = "plans."
	plansSteps   = "plans.steps"
	plansVolume  = "plans.volume"
	plansGates   = "plans.gates"
	plansRatios  = "plans.ratios"
	plansScores  = "plans.calibration"
	ratiosFields = 9
)

func (r *ratios) fields() [ratiosFields]*float64 {
	return [...]*float64{&r.at[0], &r.at[1], &r.at[2], &r.cost[0], &r.cost[1], &r.cost[2], &r.tokens[0], &r.tokens[1], &r.tokens[2]}
}

func (l *plans) save(out *tensors, learner string) {
	l.head.save(out, plansPrefix)
	var steps []int32
	var volumes, gates, ratios []float64
	for k := range l.names {
		for s := l.first[k]; s < l.first[k+1]; s++ {
			steps = append(steps, int32(k), int32(l.steps[s].model), int32(l.steps[s].gate))
			for _, f := range l.steps[s].volume.fields() {
				volumes = append(volumes, *f)
			}
		}
		for _, f := range l.ratios[k].fields() {
			ratios = append(ratios, *f)
		}
	}
	for _, g := range l.gates {
		gates = append(gates, g.a, g.b, g.mean)
	}
	out.int32s(plansSteps, steps, len(l.steps), 3)
	out.float64s(plansVolume, volumes, len(l.steps), calibrationFields)
	out.float64s(plansGates, gates, len(l.gates), 3)
	out.float64s(plansRatios, ratios, len(l.names), ratiosFields)
	l.learner.save(out, plansPrefix+learner+".")
}

// loadPlans reads what save wrote, with the learner of the models that was read before.
func loadPlans(in *tensors, names []string, base learner, learner string) (*plans, error) {
	l := &plans{names: names, learner: base.again()}
	count, models := len(names), in.models
	in.models = count
	err := l.head.load(in, plansPrefix)
	in.models = models
	if err != nil {
		return nil, err
	}
	steps := in.getIndices(plansSteps, -1, 1<<30, -1, 3)
	volumes := in.getFloat64s(plansVolume, len(steps)/3, calibrationFields)
	gates := in.getFloat64s(plansGates, -1, 3)
	all := in.getFloat64s(plansRatios, count, ratiosFields)
	if in.err != nil {
		return nil, in.err
	}
	for g := 0; g < len(gates); g += 3 {
		l.gates = append(l.gates, gate{gates[g], gates[g+1], gates[g+2]})
		if m := gates[g+2]; !(m >= 0 && m <= 1) {
			in.fail(plansGates, fmt.Sprintf("row %d: mean %v is outside [0,1]", g/3, m))
		}
	}
	for s := 0; s < len(steps)/3; s++ {
		plan, step := int(steps[3*s]), planStep{model: int(steps[3*s+1]), gate: int(steps[3*s+2])}
		for f, v := range step.volume.fields() {
			*v = volumes[s*calibrationFields+f]
		}
		why := step.volume.wrong()
		switch {
		case why != "":
			in.fail(plansVolume, fmt.Sprintf("row %d: %s", s, why))
		case plan == len(l.first)-1 && s-l.first[plan] < maxSteps:
		case plan == len(l.first) && plan < count:
			l.first = append(l.first, s)
		default:
			in.fail(plansSteps, fmt.Sprintf("row %d: plan %d of %d is out of order or has too many steps", s, plan, count))
		}
		if step.model < 0 || step.model >= models || step.gate >= len(l.gates) {
			in.fail(plansSteps, fmt.Sprintf("row %d: model %d or gate %d does not exist", s, step.model, step.gate))
		}
		if in.err != nil {
			return nil, in.err
		}
		l.steps = append(l.steps, step)
	}
	if len(l.first) != count {
		in.fail(plansSteps, fmt.Sprintf("%d plans have steps, want %d", len(l.first), count))
		return nil, in.err
	}
	l.first = append(l.first, len(l.steps))
	l.ratios = make([]ratios, count)
	for k := range l.ratios {
		for f, v := range l.ratios[k].fields() {
			if *v = all[k*ratiosFields+f]; *v < 0 {
				in.fail(plansRatios, fmt.Sprintf("row %d: a number is negative", k))
			}
		}
	}
	in.sides = make([]int, count+len(l.gates))
	for c := count; c < len(in.sides); c++ {
		in.sides[c] = sideCommon
	}
	in.models = 0
	err = l.learner.load(in, plansPrefix+learner+".")
	in.sides, in.models = nil, models
	return l, err
}

// named returns l for a predictor of the given models, which may have more than that of l.
func (l *plans) named(models []string) *plans {
	if l == nil {
		return nil
	}
	out := *l
	out.columns = append(slices.Clone(models), l.names...)
	return &out
}

// Package plan holds programs of several calls to models, and what they would
// have cost and scored on recorded outcomes.
//
// A plan is one more candidate: it asks a model, looks at the answer, and asks
// another one only if it has to. [Agree] plans compare the final answers of two
// models, [Check] plans ask a [Verifier]. [Suggest] searches the plans that a pool
// of models allows for the few that are worth having, and [Fit] fits a router that
// chooses between models and plans for every query. Nothing here calls a model.
package plan

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/carrot-router/carrot/dataset"
)

// Program says how a plan proceeds.
type Program string

// The programs.
const (
	// Agree asks a and b. If their answers are equal, a's is returned. If not, c
	// is asked and its answer returned; in a plan of four models only if it equals
	// a's or b's, and else the fourth model answers.
	Agree Program = "agree"
	// Check asks its models in turn, and returns the first answer that the verifier passes.
	// The last model's answer is returned without a check.
	Check Program = "check"
)

// Plan is a program and the models that it asks.
type Plan struct {
	Program Program
	// Models in the order in which they are asked: three or four different models
	// for Agree, two to four for Check.
	Models []string
	// Verifier of Check.
	Verifier Verifier
}

// String names the plan, as in "agree(a,b,c)", "agree(a,b,c,best)" and
// "check(a,perfect,c)". The verifier stands after the first model.
func (p Plan) String() string {
	arguments := p.Models
	if p.Program == Check && len(arguments) > 0 {
		arguments = append([]string{p.Models[0], p.Verifier.String()}, p.Models[1:]...)
	}
	return fmt.Sprintf("%s(%s)", p.Program, strings.Join(arguments, ","))
}

// Parse reads a plan's name, as String writes it. The names of models must not have a
// comma.
func Parse(text string) (Plan, error) {
	program, rest, ok := strings.Cut(text, "(")
	inside, closed := strings.CutSuffix(rest, ")")
	if !ok || !closed {
		return Plan{}, fmt.Errorf("plan %q: want PROGRAM(…), as in agree(a,b,c) or check(a,perfect,c)", text)
	}
	p := Plan{Program: Program(program), Models: strings.Split(inside, ",")}
	if p.Program == Check {
		if len(p.Models) < 3 {
			return Plan{}, fmt.Errorf("plan %q: want check(MODEL,VERIFIER,MODEL)", text)
		}
		v, err := ParseVerifier(p.Models[1])
		if err != nil {
			return Plan{}, fmt.Errorf("plan %q: %w", text, err)
		}
		p.Verifier, p.Models = v, append(p.Models[:1:1], p.Models[2:]...)
	}
	return p, p.check()
}

// ParseAll reads the names of plans, which must differ. seed is that of verifiers' errors.
func ParseAll(names []string, seed uint64) ([]Plan, error) {
	var plans []Plan
	for k, name := range names {
		p, err := Parse(name)
		if err != nil {
			return nil, err
		}
		if slices.Contains(names[:k], name) {
			return nil, fmt.Errorf("plan %s is given twice", name)
		}
		if p.Program == Check {
			p.Verifier.Seed = seed
		}
		plans = append(plans, p)
	}
	return plans, nil
}

// Rounds is the largest number of times that the plan waits for answers if it asks
// side by side what it can.
func (p Plan) Rounds() int {
	if p.Program == Agree {
		return len(p.Models) - 1 // the first two side by side
	}
	return len(p.Models)
}

// Verifier is a check of answers that errs. The zero Verifier is perfect. Its name does
// not have the seed.
type Verifier struct {
	FalsePass float64 // share of the wrong answers that it passes
	FalseFail float64 // share of the right answers that it fails
	// Seed of the errors: another one draws others.
	Seed uint64
}

// ParseVerifier reads "perfect" or FALSEPASS/FALSEFAIL, two shares whose sum is
// less than 1, as in "0.1/0.05".
func ParseVerifier(text string) (Verifier, error) {
	if text == "perfect" {
		return Verifier{}, nil
	}
	var v Verifier
	pass, fail, ok := strings.Cut(text, "/")
	if !ok {
		return v, fmt.Errorf("verifier %q: want perfect or FALSEPASS/FALSEFAIL, as in 0.1/0.05", text)
	}
	for _, one := range []struct {
		text string
		to   *float64
	}{{pass, &v.FalsePass}, {fail, &v.FalseFail}} {
		share, err := strconv.ParseFloat(one.text, 64)
		if err != nil || !(share >= 0 && share <= 1) {
			return Verifier{}, fmt.Errorf("verifier %q: %q is not a share between 0 and 1", text, one.text)
		}
		*one.to = share
	}
	if v.FalsePass+v.FalseFail >= 1 {
		return Verifier{}, fmt.Errorf("verifier %q passes wrong answers at least as often as right ones", text)
	}
	return v, nil
}

// String writes what ParseVerifier reads.
func (v Verifier) String() string {
	if v.FalsePass == 0 && v.FalseFail == 0 {
		return "perfect"
	}
	return strconv.FormatFloat(v.FalsePass, 'g', -1, 64) + "/" + strconv.FormatFloat(v.FalseFail, 'g', -1, 64)
}

// right is the score from which a verifier should pass an answer.
const right = 0.5

// Passes reports whether the verifier passes a model's answer to a query that has
// the given score, of which 0.5 and more is right. Its errors are drawn by a hash of
// the query's id and the model's name, so that they are the same in every plan and
// every run of the same seed.
func (v Verifier) Passes(query, model string, score float64) bool {
	passed := score >= right
	err := v.FalsePass
	if passed {
		err = v.FalseFail
	}
	if err == 0 {
		return passed
	}
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(query+"\x00"+model+"\x00"), v.Seed))
	drawn := float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53)
	return passed != (drawn < err)
}

// mostModels is the largest number of models in a plan.
const mostModels = 4

// Step is what a plan spends on one of its models. It is zero if the model is not
// asked. NaN is unknown.
type Step struct {
	Calls                     float64
	CostUSD                   float64
	InputTokens, OutputTokens float64
}

// Outcome is what a plan would have made of one query.
type Outcome struct {
	// Score of the answer that is returned. It is NaN if the outcome of a model
	// that the plan asks was not observed; then nothing else is known either.
	Score float64
	// CostUSD of all calls; NaN if that of one is unknown.
	CostUSD float64
	// From is the place in the plan's models of the one whose answer is returned.
	From int
	// Steps has one for each of the plan's models, in their order.
	Steps [mostModels]Step
	// Rounds counts how often the plan waits if it asks side by side what it can,
	// Turns if it asks one model after the other.
	Rounds, Turns int
}

// Recorded is a data set on which plans can be run.
type Recorded struct {
	set     *dataset.Set
	cost    dataset.Matrix
	columns map[string]int
}

// NewRecorded returns the outcomes in a set with the cost of each call in USD. It
// shares both.
func NewRecorded(set *dataset.Set, cost dataset.Matrix) *Recorded {
	r := &Recorded{set: set, cost: cost, columns: make(map[string]int, len(set.Models))}
	for j, m := range set.Models {
		r.columns[m.Name] = j
	}
	return r
}

// check reports what is wrong with a plan, whatever the data.
func (p Plan) check() error {
	least, most := 3, mostModels
	switch p.Program {
	case Check:
		least = 2
	case Agree:
	default:
		return fmt.Errorf("there is no program %q: want %s or %s", p.Program, Agree, Check)
	}
	if len(p.Models) < least || len(p.Models) > most {
		return fmt.Errorf("plan %s(%s) has %d models: want %d to %d", p.Program, strings.Join(p.Models, ","), len(p.Models), least, most)
	}
	for k, name := range p.Models {
		if name == "" {
			return fmt.Errorf("plan %s asks a model without a name", p)
		}
		if slices.Contains(p.Models[:k], name) {
			return fmt.Errorf("plan %s asks %s twice", p, name)
		}
	}
	return nil
}

// Check reports what keeps a plan from being run, if anything.
func (r *Recorded) Check(p Plan) error {
	if err := p.check(); err != nil {
		return err
	}
	for _, name := range p.Models {
		if _, ok := r.columns[name]; !ok {
			return fmt.Errorf("plan %s: data set %s has no model %q", p, r.set.Name, name)
		}
	}
	if p.Program == Agree && r.set.Answers == nil {
		return fmt.Errorf("plan %s: data set %s has no answers.csv to compare answers by", p, r.set.Name)
	}
	return nil
}

// Run returns what a plan makes of the queries in rows.
func (r *Recorded) Run(p Plan, rows []int) ([]Outcome, error) {
	if err := r.Check(p); err != nil {
		return nil, err
	}
	at := make([]int, len(p.Models))
	for k, name := range p.Models {
		at[k] = r.columns[name]
	}
	out := make([]Outcome, len(rows))
	for k, i := range rows {
		run := running{r, i, at, &out[k]}
		if p.Program == Agree {
			run.agree()
		} else {
			run.verify(p.Verifier)
		}
		if math.IsNaN(out[k].Score) {
			out[k] = Outcome{Score: math.NaN(), CostUSD: math.NaN()}
		}
	}
	return out, nil
}

// running is a plan at work on query i, whose models are the columns at.
type running struct {
	*Recorded
	i   int
	at  []int
	out *Outcome
}

// ask calls the models at some places of the plan side by side. Without the outcome of
// one, the score becomes NaN and stays so.
func (r *running) ask(places ...int) {
	for _, k := range places {
		j := r.at[k]
		step := Step{Calls: 1, CostUSD: r.cost.At(r.i, j), InputTokens: r.set.InputTokens.At(r.i, j), OutputTokens: r.set.OutputTokens.At(r.i, j)}
		r.out.Steps[k] = step
		r.out.CostUSD += step.CostUSD
		r.out.Score += 0 * r.set.Score.At(r.i, j)
		r.out.Turns++
	}
	r.out.Rounds++
}

// answer returns the answer of the model at a place.
func (r *running) answer(k int) {
	r.out.From = k
	r.out.Score += r.set.Score.At(r.i, r.at[k])
}

// same reports whether the models at two places give the same answer. No answer is
// the same as none.
func (r *running) same(k, l int) bool {
	answers := r.set.Answers[r.i]
	return answers[r.at[k]] != "" && answers[r.at[k]] == answers[r.at[l]]
}

func (r *running) agree() {
	if r.ask(0, 1); r.same(0, 1) {
		r.answer(0)
		return
	}
	if r.ask(2); len(r.at) == 3 || r.same(2, 0) || r.same(2, 1) {
		r.answer(2)
		return
	}
	r.ask(3)
	r.answer(3)
}

func (r *running) verify(v Verifier) {
	for k, j := range r.at {
		r.ask(k)
		if k == len(r.at)-1 || v.Passes(r.set.Queries[r.i].ID, r.set.Models[j].Name, r.set.Score.At(r.i, j)) {
			r.answer(k)
			return
		}
	}
}

// Expect returns what a check plan of the given models costs and scores on a query in the
// mean over the verifier's errors, from the outcomes of all models on it. An answer that
// scores between 0 and 1 is right with that probability. It is NaN if the outcome of a model that
// may be asked is.
func (v Verifier) Expect(models []int, score, cost []float64) (usd, quality float64) {
	reached := 1.0 // probability
	for k, m := range models {
		usd += reached * cost[m]
		passed := 1.0
		if k < len(models)-1 {
			passed = (1-v.FalseFail)*score[m] + v.FalsePass*(1-score[m])
		}
		quality += reached * passed * score[m]
		reached *= 1 - passed
	}
	return usd, quality
}

// Package exampledata makes a small data set to learn with: prompts of seven subjects
// in three difficulties, and what six models made of them. Everything in it is
// invented. Templates written for this module make the prompts, no model was asked,
// and scores and token counts are drawn at random from skills that this package sets:
//
//	set := exampledata.New(price.CountTokens)
//	err := set.WriteDirWith("mydata", dataset.WriteOptions{Plain: true})
//
// As in recorded data, the most expensive model is the best on average, cheaper ones
// are as good at some subjects or at easy prompts, what is hard is hard for all, and
// some outcomes are missing. The figures that a router reaches on this set say nothing
// about real models.
package exampledata

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/carrot-router/carrot/dataset"
)

const (
	perLevel = 24 // prompts of each subject and level

	// seed of the prompts and outcomes: the set is always the same.
	seed = 2502_03261
)

// model is an invented model. Its answers are verbose times as long as usual, and the
// share lost of its outcomes was not observed.
type model struct {
	name          string
	input, output float64 // USD per million tokens
	verbose, lost float64
}

var models = [...]model{
	{"radish-mini", 0.05, 0.2, 0.8, 0},
	{"turnip-small", 0.15, 0.6, 0.9, 0},
	{"parsnip-coder", 0.3, 1.2, 1, 0},
	{"leek-reader", 0.4, 1.6, 0.9, 0.02},
	{"beet-medium", 1, 4, 1.1, 0},
	{"pumpkin-large", 5, 20, 1.3, 0},
}

// subject is one kind of prompts.
type subject struct {
	name string
	// skill is, for each model, how hard a prompt may be that it answers rightly every
	// second time.
	skill [len(models)]float64
	// length is the usual number of tokens in the answer to an easy prompt.
	length float64
	// graded means that scores are quarters, as a reader would give them, and not only
	// right or wrong.
	graded bool
	// levels make prompts: easy, medium and hard ones.
	levels [3]func(r *rand.Rand) string
}

// levels are the difficulties: how much harder the prompts, and how much longer the
// answers are than easy ones.
var levels = [3]struct {
	name           string
	harder, longer float64
}{{"easy", 0, 1}, {"medium", 1.8, 1.8}, {"hard", 3.6, 3}}

// New makes the set, always the same. count counts the tokens of a prompt.
func New(count func(text string) int) *dataset.Set {
	r := rand.New(rand.NewPCG(seed, 0))
	n := len(subjects) * len(levels) * perLevel
	s := &dataset.Set{Name: "example", Score: dataset.NewMatrix(n, len(models)),
		InputTokens: dataset.NewMatrix(n, len(models)), OutputTokens: dataset.NewMatrix(n, len(models))}
	for _, m := range models {
		s.Models = append(s.Models, dataset.Model{Name: m.name, InputUSDPerMillion: m.input, OutputUSDPerMillion: m.output, Pool: true})
	}
	seen := map[string]bool{}
	for _, subject := range subjects {
		for l, level := range levels {
			for k := range perLevel {
				prompt := subject.levels[l](r)
				for seen[prompt] {
					prompt = subject.levels[l](r)
				}
				seen[prompt] = true
				row := len(s.Queries)
				s.Queries = append(s.Queries, dataset.Query{ID: fmt.Sprintf("%s/%s/%d", subject.name, level.name, k),
					Source: subject.name, Split: dataset.SplitOf(prompt), Prompt: prompt})
				answer(s, row, subject, l, float64(count(prompt)), r)
			}
		}
	}
	s.Fingerprint = s.ComputeFingerprint()
	return s
}

// steepness says how fast answers become wrong as prompts become harder than a skill:
// per unit, the log odds fall by so much.
const steepness = 1.7

// answer draws the outcomes of one query.
func answer(s *dataset.Set, row int, about subject, level int, input float64, r *rand.Rand) {
	harder := levels[level].harder + 0.5*r.NormFloat64() // for all models
	length := about.length * levels[level].longer * math.Exp(0.2*r.NormFloat64())
	for j, m := range models {
		right := 1 / (1 + math.Exp(steepness*(harder-about.skill[j])))
		luck, rough, longer, lost := r.Float64(), r.NormFloat64(), r.NormFloat64(), r.Float64()
		if lost < m.lost {
			continue
		}
		score := 0.0
		switch {
		case about.graded:
			score = math.Round(4*min(max(right+0.2*rough, 0), 1)) / 4
		case luck < right:
			score = 1
		}
		s.Score.Set(row, j, score)
		s.InputTokens.Set(row, j, input)
		s.OutputTokens.Set(row, j, max(1, math.Round(length*m.verbose*math.Exp(0.25*longer))))
	}
}

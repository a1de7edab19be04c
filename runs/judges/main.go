// Command judges measures how often the intervals of carrot judge check hold the true
// mean, for simulated judges and people; and how often the rules that extract answers
// agree with the scores of two public benchmarks.
//
//	go run ./runs/judges [-draws 4000] [-rows 1000]
//	go run ./runs/judges -zeroeval CLONE -data .cache/public/zeroeval
//	go run ./runs/judges -mmlu-pro CLONE
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"text/tabwriter"

	"github.com/carrot-router/carrot/internal/agreement"
)

// simulated is a judge that draws the score of a judge for an answer that a person scores.
type simulated struct {
	name  string
	score func(r *rand.Rand, human float64) float64
}

func clip(x float64) float64 { return math.Max(0, math.Min(1, x)) }

var judges = []simulated{
	// Scores near the middle, which barely follow the truth.
	{"timid", func(r *rand.Rand, human float64) float64 { return clip(0.5 + 0.1*(human-0.5) + 0.08*r.NormFloat64()) }},
	// Scores near 0 or 1, which are wrong on one answer of twelve.
	{"sharp", func(r *rand.Rand, human float64) float64 {
		if r.Float64() < 1.0/12 {
			human = 1 - human
		}
		return clip(human + 0.05*r.NormFloat64())
	}},
	{"noisy", func(r *rand.Rand, human float64) float64 { return clip(0.5 + 0.25*(human-0.5) + 0.35*r.NormFloat64()) }},
	// Accepts three of ten wrong answers, and rejects none.
	{"kind", func(r *rand.Rand, human float64) float64 {
		if r.Float64() < 0.3 {
			return 1
		}
		return human
	}},
	// Wrong on one answer of fifty: most draws of thirty labels show no error.
	{"exact", func(r *rand.Rand, human float64) float64 {
		if r.Float64() < 0.02 {
			return 1 - human
		}
		return human
	}},
}

// setting is what a simulation is about.
type setting struct {
	judge  simulated
	mean   float64 // the true one
	labels int
	rows   int
	graded bool // people score in steps of a quarter
	uneven bool // rows that the judge doubts are labelled three times as often
}

// result says how often intervals hold the true mean, and their mean width.
type result struct {
	powered, classical float64 // coverage
	width, plain       float64
}

// human draws the score of a person.
func (s setting) human(r *rand.Rand) float64 {
	if s.graded {
		// A mean of four draws.
		sum := 0.0
		for range 4 {
			if r.Float64() < s.mean {
				sum += 0.25
			}
		}
		return sum
	}
	if r.Float64() < s.mean {
		return 1
	}
	return 0
}

// simulate draws data sets and their intervals.
func (s setting) simulate(draws int, seed uint64) (out result) {
	r := rand.New(rand.NewPCG(seed, 17))
	for range draws {
		all := make([]agreement.Pair, s.rows)
		scores := make([]float64, s.rows)
		for i := range all {
			human := s.human(r)
			all[i] = agreement.Pair{Human: human, Judge: s.judge.score(r, human), Weight: 1}
			scores[i] = all[i].Judge
		}
		pairs := all[:s.labels]
		if s.uneven {
			pairs = nil
			likely := func(p agreement.Pair) float64 {
				if p.Judge > 0.2 && p.Judge < 0.8 {
					return 3
				}
				return 1
			}
			total := 0.0
			for _, p := range all {
				total += likely(p)
			}
			for _, p := range all {
				chance := math.Min(1, likely(p)*float64(s.labels)/total)
				if r.Float64() < chance {
					p.Weight = 1 / chance
					pairs = append(pairs, p)
				}
			}
		}
		p, ok := agreement.PoweredMean(scores, pairs)
		c, ok2 := agreement.Classical(pairs)
		if !ok || !ok2 {
			panic("too few labels")
		}
		if p.Low <= s.mean && s.mean <= p.High {
			out.powered++
		}
		if c.Low <= s.mean && s.mean <= c.High {
			out.classical++
		}
		out.width += p.High - p.Low
		out.plain += c.High - c.Low
	}
	n := float64(draws)
	return result{out.powered / n, out.classical / n, out.width / n, out.plain / n}
}

func run(w io.Writer, draws, rows int) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "judge\tlabels\tscores\tdrawn\tcoverage at true means .2, .4, .6, .8\tof labels alone\twidth\tof labels alone")
	for _, j := range judges {
		for _, labels := range []int{30, 100, 300} {
			for _, kind := range []struct{ graded, uneven bool }{{false, false}, {true, false}, {false, true}} {
				var powered, classical string
				var width, plain float64
				for _, mean := range []float64{0.2, 0.4, 0.6, 0.8} {
					s := setting{j, mean, labels, rows, kind.graded, kind.uneven}
					r := s.simulate(draws, 1)
					powered += fmt.Sprintf("%.3f ", r.powered)
					classical += fmt.Sprintf("%.3f ", r.classical)
					width, plain = width+r.width/4, plain+r.plain/4
				}
				scores, drawn := "0 or 1", "evenly"
				if kind.graded {
					scores = "graded"
				}
				if kind.uneven {
					drawn = "unevenly"
				}
				fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t%.3f\t%.3f\n", j.name, labels, scores, drawn, powered, classical, width, plain)
			}
		}
	}
	return t.Flush()
}

func main() {
	draws := flag.Int("draws", 4000, "data sets to draw for each figure")
	rows := flag.Int("rows", 1000, "answers in a data set, all of which the judge scores")
	clone := flag.String("zeroeval", "", "clone of WildEval/ZeroEval")
	data := flag.String("data", "", "data folder that was imported from it")
	pro := flag.String("mmlu-pro", "", "clone of TIGER-AI-Lab/MMLU-Pro")
	flag.Parse()
	var err error
	switch {
	case *clone != "":
		err = zeroEval(context.Background(), os.Stdout, *clone, *data)
	case *pro != "":
		err = mmluPro(context.Background(), os.Stdout, *pro)
	default:
		err = run(os.Stdout, *draws, *rows)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "judges:", err)
		os.Exit(1)
	}
}

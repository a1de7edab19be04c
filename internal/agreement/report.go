package agreement

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/internal/textfile"
)

// Schema names the form of a report as JSON.
const Schema = "carrot.judge-check/1"

// Report compares a judge with people.
type Report struct {
	Schema   string `json:"schema"`
	Dataset  string `json:"dataset"`
	Labels   int    `json:"labels"`   // scores of people
	Answers  int    `json:"answers"`  // that people scored
	Unjudged int    `json:"unjudged"` // of these, without a score of the judge; left out below
	Weighted bool   `json:"weighted"` // answers were not chosen with equal probabilities
	Agreement
	Flips   *Flips        `json:"flips"` // nil without votes in both orders
	Models  []ModelReport `json:"models"`
	AltTest *AltTest      `json:"alt_test"`              // nil if it cannot be made
	NoAlt   string        `json:"no_alt_test,omitempty"` // why
}

// ModelReport compares a judge with people on the answers of one model.
type ModelReport struct {
	Name      string     `json:"name"`
	Rows      int        `json:"rows"`       // answers that the judge scored
	MeanJudge float64    `json:"mean_judge"` // of all of them
	Compared  *Agreement `json:"compared"`   // nil without labels
	Powered   *Powered   `json:"prediction_powered"`
	Classical *Interval  `json:"labels_only"`
}

// key names an answer.
type key struct{ id, model string }

// Check compares the scores of a data set, which are the judge's, with the labels of
// people, read from a file of the given name. flips may be nil. epsilon is that of the
// alternative annotator test.
func Check(set *dataset.Set, labels []Label, name string, flips *Flips, epsilon float64) (*Report, error) {
	queries := make(map[string]int, len(set.Queries))
	for i, q := range set.Queries {
		queries[q.ID] = i
	}
	models := make(map[string]int, len(set.Models))
	for j, m := range set.Models {
		models[m.Name] = j
	}
	r := &Report{Schema: Schema, Dataset: set.Name, Labels: len(labels), Flips: flips}
	if flips != nil && flips.Pairs == 0 {
		r.Flips = nil
	}
	rows := map[key]*Row{}
	weights := map[key]float64{}
	var order []key
	for _, l := range labels {
		i, known := queries[l.ID]
		if !known {
			return nil, &dataset.FormatError{File: name, Line: l.Line, Field: "id", Reason: fmt.Sprintf("%s is not in %s", textfile.Quote(l.ID), set.Name), Hint: "ids are those of queries.jsonl"}
		}
		j, known := models[l.Model]
		if !known {
			return nil, &dataset.FormatError{File: name, Line: l.Line, Field: "model", Reason: fmt.Sprintf("%s is not in %s", textfile.Quote(l.Model), set.Name), Hint: "models are those of models.json"}
		}
		k := key{l.ID, l.Model}
		if rows[k] == nil {
			rows[k] = &Row{Judge: set.Score.At(i, j), Human: map[string]float64{}}
			weights[k] = l.Weight
			order = append(order, k)
			r.Weighted = r.Weighted || l.Weight != labels[0].Weight
		}
		rows[k].Human[l.Annotator] = l.Score
	}
	r.Answers = len(order)
	byModel := make([][]Pair, len(set.Models))
	var pairs []Pair
	var scored []Row
	for _, k := range order {
		row := rows[k]
		if math.IsNaN(row.Judge) {
			r.Unjudged++
			continue
		}
		p := Pair{Judge: row.Judge, Weight: weights[k]}
		for _, annotator := range slices.Sorted(maps.Keys(row.Human)) {
			p.Human += row.Human[annotator]
		}
		p.Human /= float64(len(row.Human)) // at the end, so that equal scores keep their value
		pairs = append(pairs, p)
		byModel[models[k.model]] = append(byModel[models[k.model]], p)
		scored = append(scored, *row)
	}
	if len(pairs) == 0 {
		return nil, &dataset.FormatError{File: name, Reason: fmt.Sprintf("none of its %s has a score of the judge in %s", phrase.Count(r.Answers, "answer"), set.Name), Hint: "outcomes.csv holds the judge's scores"}
	}
	r.Agreement = Compare(pairs)
	for j, m := range set.Models {
		one := ModelReport{Name: m.Name}
		var judge []float64
		for i := range set.Queries {
			if s := set.Score.At(i, j); !math.IsNaN(s) {
				judge = append(judge, s)
			}
		}
		one.Rows = len(judge)
		if len(judge) == 0 {
			continue
		}
		one.MeanJudge, _ = moments(judge)
		if own := byModel[j]; len(own) > 0 {
			one.Compared = new(Compare(own))
			if p, ok := PoweredMean(judge, own); ok {
				one.Powered = &p
			}
			if c, ok := Classical(own); ok {
				one.Classical = &c
			}
		}
		r.Models = append(r.Models, one)
	}
	if t, ok := RunAltTest(scored, epsilon); ok {
		r.AltTest = &t
	} else {
		r.NoAlt = fmt.Sprintf("it needs %d annotators, each with %d answers that another one scored too; there %s %s", altAnnotators, altRows,
			phrase.Verb(len(t.Annotators), "is", "are"), phrase.Count(len(t.Annotators), "such annotator"))
	}
	return r, nil
}

// number writes a figure that may be unknown.
func number(v *float64) string {
	if v == nil {
		return "unknown (one of them gives all answers the same score)"
	}
	return fmt.Sprintf("%.3f", *v)
}

func interval(i Interval) string { return fmt.Sprintf("%.3f [%.3f, %.3f]", i.Mean, i.Low, i.High) }

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of people on %s in %s", phrase.Count(r.Labels, "score"), phrase.Count(r.Answers, "answer"), r.Dataset)
	if r.Unjudged > 0 {
		fmt.Fprintf(&b, "; %d without a score of the judge %s left out", r.Unjudged, phrase.Verb(r.Unjudged, "is", "are"))
	}
	if r.Weighted {
		b.WriteString("; weighted by how likely each answer was to be chosen")
	}
	b.WriteString("\n\n")
	if r.Graded {
		b.WriteString("Some scores are graded: an answer is accepted if its score is at least 0.5.\n")
	}
	fmt.Fprintf(&b, "agreement      %.3f on %s\n", r.Agreement.Agreement, phrase.Count(r.Pairs, "answer"))
	fmt.Fprintf(&b, "Cohen's kappa  %s\n", number(r.Kappa))
	if r.Graded {
		fmt.Fprintf(&b, "weighted kappa %s of the graded scores, with squared distances\n", number(r.Agreement.Weighted))
	}
	fmt.Fprintf(&b, "mean score     %.3f by the judge, %.3f by people, on the same answers\n", r.Agreement.MeanJudge, r.MeanHuman)
	if f := r.Flips; f != nil {
		fmt.Fprintf(&b, "position flips %.3f: of %s of votes, %d differ by the order and %d name the other winner;\n", float64(f.Flipped)/float64(f.Pairs), phrase.Count(f.Pairs, "pair"), f.Flipped, f.Reversed)
		fmt.Fprintf(&b, "               standing first is worth %+.3f\n", f.Advantage)
	}
	c := r.Confusion
	b.WriteString("\n")
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\tpeople accept\tpeople reject\njudge accepts\t%d\t%d\njudge rejects\t%d\t%d\n\n", c.Both, c.Judge, c.Human, c.Neither)
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(t, "model\tanswers\tlabels\tagreement\tjudge's mean\tprediction-powered\tlabels only\tlabels to halve the interval")
	never := false
	for _, m := range r.Models {
		fmt.Fprintf(t, "%s\t%d\t", m.Name, m.Rows)
		if m.Compared == nil {
			fmt.Fprintf(t, "0\t-\t%.3f\t-\t-\t-\n", m.MeanJudge)
			continue
		}
		powered, classical, halve := "-", "-", "-"
		if m.Classical != nil {
			classical = interval(*m.Classical)
		}
		if p := m.Powered; p != nil {
			powered = interval(p.Interval)
			if p.Halve != nil {
				halve = fmt.Sprint(*p.Halve)
			} else {
				halve = fmt.Sprintf("none: ±%.3f with all", p.Full)
				never = true
			}
		}
		fmt.Fprintf(t, "%s\t%.3f\t%.3f\t%s\t%s\t%s\n", fmt.Sprint(m.Compared.Pairs), m.Compared.Agreement, m.MeanJudge, powered, classical, halve)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	b.WriteString("Intervals hold 95%. The prediction-powered mean is the judge's mean over all answers, corrected by people.\n")
	if slices.ContainsFunc(r.Models, func(m ModelReport) bool { return m.Compared != nil && m.Powered == nil }) {
		fmt.Fprintf(&b, "It needs %d labels of a model.\n", minLabels)
	}
	if never {
		b.WriteString("none: no number of labels would halve the interval, because the answers are too few; only more answers narrow it.\n")
	}
	b.WriteString("\n")
	if a := r.AltTest; a != nil {
		result := "does not pass"
		if a.Passes {
			result = "passes"
		}
		fmt.Fprintf(&b, "alternative annotator test, ε %g, by %s: the judge %s; winning rate ω %.2f, advantage probability ρ %.3f\n", a.Epsilon, a.Alignment, result, a.WinningRate, a.Advantage)
		for _, one := range a.Annotators {
			verdict := "not replaced"
			if one.Replaced {
				verdict = "replaced"
			}
			fmt.Fprintf(t, "  %s\t%s\tjudge %.3f\tannotator %.3f\tp %.4f\t%s\n", one.Name, phrase.Count(one.Rows, "answer"), one.Judge, one.Human, one.P, verdict)
		}
		if err := t.Flush(); err != nil {
			return err
		}
		if len(a.Left) > 0 {
			fmt.Fprintf(&b, "  left out, with fewer than %d answers: %s\n", altRows, strings.Join(a.Left, ", "))
		}
	} else {
		fmt.Fprintf(&b, "alternative annotator test: not made; %s\n", r.NoAlt)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

package dataset

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/carrot-router/carrot/internal/phrase"
)

// Description summarises a set: see [Set.Describe].
type Description struct {
	Name        string `json:"name"`
	Fingerprint string `json:"fingerprint"`
	Queries     int    `json:"queries"`
	Models      int    `json:"models"`
	// Outcomes counts the pairs of query and model with a score, and Missing those
	// without one.
	Outcomes int `json:"outcomes"`
	Missing  int `json:"missing"`
	// Incomplete counts the queries on which a model in the pool has no score.
	Incomplete int `json:"incomplete_queries"`
	// Complete counts the queries on which every model in the pool has a score and
	// a cost, as in [Coverage].
	Complete   int               `json:"complete_queries"`
	Sources    []SourceSummary   `json:"sources"` // by name
	PerModel   []ModelSummary    `json:"per_model"`
	Equal      EqualPrompts      `json:"equal_prompts"`
	Suspicious []SuspiciousGroup `json:"suspicious"` // only kinds that occur
}

// SourceSummary counts the queries of one source by split.
type SourceSummary struct {
	Source     string `json:"source"`
	Train      int    `json:"train"`
	Validation int    `json:"validation"`
	Test       int    `json:"test"`
	Extra      int    `json:"extra,omitempty"` // trained on and never measured
}

// ModelSummary is what was observed of one model. Means are over the queries on which
// the value is known, without those of [SplitExtra], and nil if there are none.
type ModelSummary struct {
	Name     string `json:"name"`
	Pool     bool   `json:"pool"`
	Priced   bool   `json:"priced"`
	Observed int    `json:"observed"` // queries with a score
	// Coverage is Observed over the number of queries.
	Coverage         float64  `json:"coverage"`
	MeanScore        *float64 `json:"mean_score"`
	MeanOutputTokens *float64 `json:"mean_output_tokens"`
	// MeanCostUSD is the mean cost of a query: the recorded cost, else that of the
	// tokens at the prices of models.json. Costed is the number of queries on which
	// it is known.
	MeanCostUSD *float64 `json:"mean_cost_usd"`
	Costed      int      `json:"costed"`
}

// EqualPrompts counts the prompts that several queries share.
type EqualPrompts struct {
	Groups   int        `json:"groups"`
	Queries  int        `json:"queries"`  // in all groups together
	Examples [][]string `json:"examples"` // the ids of at most five groups
}

// Describe summarises the set. The summary contains ids, never prompts.
func (s *Set) Describe() Description {
	d := Description{Name: s.Name, Fingerprint: s.Fingerprint, Queries: len(s.Queries), Models: len(s.Models)}
	d.Outcomes = s.Score.observed()
	d.Missing = len(s.Queries)*len(s.Models) - d.Outcomes
	d.Sources = s.describeSources()
	d.PerModel = make([]ModelSummary, len(s.Models))
	for j := range s.Models {
		d.PerModel[j] = s.describeModel(j)
	}
	pool := s.Pool()
	for i := range s.Queries {
		row := s.Score.Row(i)
		if slices.ContainsFunc(pool, func(j int) bool { return math.IsNaN(row[j]) }) {
			d.Incomplete++
		}
	}
	d.Complete = s.Coverage().Complete
	groups := s.promptGroups()
	d.Equal = s.describeEqual(groups)
	d.Suspicious = s.suspicious(groups)
	return d
}

func (s *Set) describeSources() []SourceSummary {
	bySource := make(map[string]*SourceSummary)
	var names []string
	for i := range s.Queries {
		q := &s.Queries[i]
		c := bySource[q.Source]
		if c == nil {
			c = &SourceSummary{Source: q.Source}
			bySource[q.Source], names = c, append(names, q.Source)
		}
		switch q.Split {
		case SplitTrain:
			c.Train++
		case SplitValidation:
			c.Validation++
		case SplitExtra:
			c.Extra++
		default:
			c.Test++
		}
	}
	slices.Sort(names)
	out := make([]SourceSummary, len(names))
	for k, name := range names {
		out[k] = *bySource[name]
	}
	return out
}

func (s *Set) describeModel(j int) ModelSummary {
	m := &s.Models[j]
	var score, tokens, cost mean
	price, observed := m.Price(), 0
	for i := range s.Queries {
		if !math.IsNaN(s.Score.At(i, j)) {
			observed++
		}
		if s.Queries[i].Split == SplitExtra {
			continue
		}
		score.add(s.Score.At(i, j))
		tokens.add(s.OutputTokens.At(i, j))
		cost.add(s.ObservedCost(i, j, price))
	}
	sum := ModelSummary{Name: m.Name, Pool: m.Pool, Priced: m.Priced(), Observed: observed, Costed: cost.n,
		MeanScore: score.value(), MeanOutputTokens: tokens.value(), MeanCostUSD: cost.value()}
	if len(s.Queries) > 0 {
		sum.Coverage = float64(observed) / float64(len(s.Queries))
	}
	return sum
}

// mean averages the values that are not NaN.
type mean struct {
	sum float64
	n   int
}

func (m *mean) add(v float64) {
	if !math.IsNaN(v) {
		m.sum += v
		m.n++
	}
}

// value returns the mean, or nil if nothing was added.
func (m *mean) value() *float64 {
	if m.n == 0 {
		return nil
	}
	v := m.sum / float64(m.n)
	return &v
}

// promptGroups returns the rows of every prompt that occurs more than once, in
// the order of their first rows.
func (s *Set) promptGroups() [][]int {
	byPrompt := make(map[string]int, len(s.Queries))
	var all [][]int
	for i := range s.Queries {
		g, ok := byPrompt[s.Queries[i].Prompt]
		if !ok {
			g = len(all)
			byPrompt[s.Queries[i].Prompt], all = g, append(all, nil)
		}
		all[g] = append(all[g], i)
	}
	return slices.DeleteFunc(all, func(rows []int) bool { return len(rows) < 2 })
}

func (s *Set) describeEqual(groups [][]int) EqualPrompts {
	e := EqualPrompts{Groups: len(groups), Examples: [][]string{}}
	for _, rows := range groups {
		e.Queries += len(rows)
		if len(e.Examples) < maxExamples {
			ids := make([]string, len(rows))
			for k, i := range rows {
				ids[k] = s.Queries[i].ID
			}
			e.Examples = append(e.Examples, ids)
		}
	}
	return e
}

// String returns the text of WriteText.
func (d Description) String() string {
	var b strings.Builder
	d.WriteText(&b) // which returns no error here
	return b.String()
}

// WriteText writes the description as tables for people.
func (d Description) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, %s, %s, %d missing\n", d.Name, phrase.Count(d.Queries, "query"), phrase.Count(d.Models, "model"), phrase.Count(d.Outcomes, "outcome"), d.Missing)
	fmt.Fprintf(&b, "fingerprint %s\n", d.Fingerprint)
	fmt.Fprintf(&b, "queries without a score of every pool model: %d\n", d.Incomplete)
	fmt.Fprintf(&b, "complete queries (every pool model has a score, and tokens or a cost): %d\n\n", d.Complete)
	d.writeSources(&b)
	b.WriteByte('\n')
	d.writeModels(&b)
	fmt.Fprintf(&b, "\nequal prompts: %s in %s\n", phrase.Count(d.Equal.Queries, "query"), phrase.Count(d.Equal.Groups, "group"))
	for _, ids := range d.Equal.Examples {
		fmt.Fprintf(&b, "  %s\n", joinShort(ids))
	}
	if len(d.Suspicious) == 0 {
		b.WriteString("suspicious rows: none\n")
	} else {
		b.WriteString("suspicious rows:\n")
	}
	for _, g := range d.Suspicious {
		kind := g.Kind
		if first, rest, ok := strings.Cut(kind, "s "); ok && g.Count == 1 { // outcomes with …
			kind = first + " " + rest
		}
		fmt.Fprintf(&b, "  %d %s: %s\n", g.Count, kind, joinShort(g.Examples))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func joinShort(ids []string) string {
	more := ""
	if len(ids) > maxExamples {
		ids, more = ids[:maxExamples], ", ..."
	}
	return strings.Join(ids, ", ") + more
}

func (d *Description) writeSources(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	all := SourceSummary{Source: "(all)"}
	for _, c := range d.Sources {
		all.Train, all.Validation, all.Test, all.Extra = all.Train+c.Train, all.Validation+c.Validation, all.Test+c.Test, all.Extra+c.Extra
	}
	extra := func(text string) string { // most sets have none
		if all.Extra == 0 {
			return ""
		}
		return text + "\t"
	}
	fmt.Fprintf(t, "train\tvalidation\ttest\t%sall\t  source\n", extra("extra"))
	row := func(c SourceSummary) {
		fmt.Fprintf(t, "%d\t%d\t%d\t%s%d\t  %s\n", c.Train, c.Validation, c.Test, extra(strconv.Itoa(c.Extra)), c.Train+c.Validation+c.Test+c.Extra, c.Source)
	}
	for _, c := range d.Sources {
		if c.Source == "" {
			c.Source = "(none)"
		}
		row(c)
	}
	row(all)
	t.Flush() // returns no error, as w is a strings.Builder
}

func (d *Description) writeModels(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "pool\tobserved\tcoverage\tscore\toutput tokens\tcost/query\t  model\n")
	number := func(format string, v *float64) string {
		if v == nil {
			return "-"
		}
		return fmt.Sprintf(format, *v)
	}
	usd := func(v *float64) string {
		if v == nil {
			return "-"
		}
		return phrase.USD(*v)
	}
	for _, m := range d.PerModel {
		pool := "no"
		if m.Pool {
			pool = "yes"
		}
		name := m.Name
		if !m.Priced {
			name += " (no price)"
		}
		fmt.Fprintf(t, "%s\t%d\t%.1f%%\t%s\t%s\t%s\t  %s\n", pool, m.Observed, 100*m.Coverage, number("%.4f", m.MeanScore),
			number("%.1f", m.MeanOutputTokens), usd(m.MeanCostUSD), name)
	}
	t.Flush() // returns no error, as w is a strings.Builder
}

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/internal/learn"
	"github.com/carrot-router/carrot/internal/ledger"
	"github.com/carrot-router/carrot/internal/offpolicy"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/record"
)

// trafficFlags choose the requests of a ledger that are evaluated or learnt from.
type trafficFlags struct {
	Policy string
	Since  string
}

// traffic are requests of a ledger, as far as they can be evaluated.
type traffic struct {
	name     string
	policy   string
	rows     []offpolicy.Row
	said     []time.Time // by row, when its score became known; zero: it is not
	text     []string    // by row, that the router judged; empty: it is not kept
	requests int
	left     map[string]int // requests that are left out, by reason
	policies map[string]int // routed requests, by policy
}

// readTraffic reads the requests of a ledger.
func readTraffic(ctx context.Context, dsn string, f trafficFlags, texts bool) (*traffic, error) {
	from, err := parseSince(f.Since)
	if err != nil {
		return nil, err
	}
	s, err := ledger.OpenStore(ctx, dsn)
	if err != nil {
		return nil, (&storeFlags{}).hint(err)
	}
	defer s.Close()
	t := &traffic{name: dsn, policy: f.Policy, left: map[string]int{}, policies: map[string]int{}}
	if strings.Contains(dsn, "://") {
		t.name = "ledger" // without what the address says of people and passwords
	}
	err = s.Scored(ctx, from, time.Time{}, func(a *record.Attempt, said ledger.Feedback, known bool) error {
		if a.API == "embeddings" || f.Policy != "" && a.Policy != f.Policy && a.Policy != "" {
			return nil
		}
		t.requests++
		score := said.Score
		if !known {
			score = nil
		}
		row, left := offpolicy.FromAttempt(a, score)
		if left != "" {
			t.left[left]++
			return nil
		}
		t.policies[a.Policy]++
		when, text := time.Time{}, ""
		if score != nil {
			when = said.Time
		}
		if texts {
			text = judgedText(a.Prompt)
		}
		t.rows, t.said, t.text = append(t.rows, row), append(t.said, when), append(t.text, text)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// parseSince reads a day, a time or an age. An empty text is the zero time.
func parseSince(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if age, err := parseAge(text); err == nil {
		return time.Now().Add(-age), nil
	}
	at, err := parseTime("--since", text)
	if err != nil {
		return at, usagef("--since %q: want an age such as 30d or a day such as 2026-11-29", text)
	}
	return at, nil
}

// judgedText returns the text that the router judged, if that is what was recorded: a
// whole request is not.
func judgedText(prompt []byte) string {
	if trimmed := bytes.TrimSpace(prompt); len(trimmed) > 0 && trimmed[0] == '{' {
		var whole map[string]json.RawMessage
		if json.Unmarshal(trimmed, &whole) == nil && (whole["messages"] != nil || whole["input"] != nil) {
			return ""
		}
	}
	return string(prompt)
}

// onePolicy refuses the requests of several policies: what the router expects of a model
// may be shared, but not what a query is worth.
func (t *traffic) onePolicy() error {
	if t.policy == "" && len(t.policies) > 1 {
		return usagef("the ledger has requests of several policies: choose one with --policy: %s", strings.Join(slices.Sorted(maps.Keys(t.policies)), ", "))
	}
	return nil
}

// recent is the number of decisions whose willingness to pay is that of the policy.
const recent = 500

// worth returns the median willingness to pay of recent decisions: pacing raises and lowers
// that of single ones.
func (t *traffic) worth() (float64, bool) {
	if len(t.rows) == 0 {
		return 0, false
	}
	rows := slices.Clone(t.rows)
	slices.SortStableFunc(rows, func(a, b offpolicy.Row) int { return a.Time.Compare(b.Time) })
	var all []float64
	for _, r := range rows[max(len(rows)-recent, 0):] {
		all = append(all, r.USDPerQuality)
	}
	slices.Sort(all)
	return all[len(all)/2], true
}

// leftOut says in words which requests are left out.
func (t *traffic) leftOut() string {
	names := slices.SortedFunc(maps.Keys(t.left), func(a, b string) int {
		return cmp.Or(cmp.Compare(t.left[b], t.left[a]), strings.Compare(a, b))
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", name, t.left[name])
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// learnable returns the rows that a router can learn from, with the estimates of its fit:
// those that routers of the fit have decided, and others whose text was recorded, for which
// the fit estimates again. It says how many rows are neither, by router.
func (t *traffic) learnable(ctx context.Context, path string, a *artifact.Artifact, l *learn.Lineage) (rows []offpolicy.Row, others map[string]int, err error) {
	fit, err := a.Predictor.Correct(make([]float64, len(l.Models())), slices.Repeat([]float64{1}, len(l.Models())))
	if err != nil {
		return nil, nil, err
	}
	predictions, err := forecasts(ctx, path, a, fit, t, l)
	if err != nil {
		return nil, nil, err
	}
	column := columns(fit.Models())
	others = map[string]int{}
	for i := range t.rows {
		row, ok := l.Uncorrected(t.rows[i])
		if p, estimated := predictions[row.Request]; !ok && estimated {
			row.Candidates = slices.Clone(row.Candidates)
			for k := range row.Candidates {
				c := &row.Candidates[k]
				if j, ok := column[c.Name]; ok {
					f := &p.Forecasts[j]
					c.Quality, c.Noise, c.OutputTokens = f.Quality, f.QualityNoise, f.OutputTokens
				}
			}
			ok = true
		}
		if ok {
			rows = append(rows, row)
		} else {
			others[cmp.Or(row.Router, "unknown")]++
		}
	}
	return rows, others, nil
}

// columns numbers the models of a predictor.
func columns(models []string) map[string]int {
	column := map[string]int{}
	for j, name := range models {
		column[name] = j
	}
	return column
}

// forecasts predicts, by request, the rows that no router of the fit decided and whose text
// was recorded.
func forecasts(ctx context.Context, path string, a *artifact.Artifact, p *predict.Predictor, t *traffic, l *learn.Lineage) (map[string]*carrot.Prediction, error) {
	var texts, requests []string
	for i := range t.rows {
		if r := &t.rows[i]; !l.Knows(r.Router) && t.text[i] != "" {
			texts, requests = append(texts, t.text[i]), append(requests, r.Request)
		}
	}
	if len(texts) == 0 {
		return nil, nil
	}
	if err := checkRecorded(a); err != nil {
		return nil, fmt.Errorf("router %s: %w", path, err)
	}
	embedder, err := embedderOf(a, nil)
	if err != nil {
		return nil, fmt.Errorf("router %s: %w", path, err)
	}
	x, predictions := make([]carrot.Representation, len(texts)), make([]carrot.Prediction, len(texts))
	if err := embedder.Embed(ctx, texts, x); err != nil {
		return nil, fmt.Errorf("embed the recorded texts: %w", err)
	}
	if err := p.Predict(x, predictions); err != nil {
		return nil, err
	}
	out := map[string]*carrot.Prediction{}
	for k, request := range requests {
		out[request] = &predictions[k]
	}
	return out, nil
}

// errOtherRouter is returned if no decision is of the router that is to learn from them.
var errOtherRouter = errors.New("no decision in the ledger is of this router, or of one that it was corrected from")

// otherRouter explains errOtherRouter.
func otherRouter(path string, a *artifact.Artifact, others map[string]int) error {
	if len(others) == 0 {
		return fmt.Errorf("the ledger has no request to learn from; carrot eval --ledger says what is left out")
	}
	names := slices.Sorted(maps.Keys(others))
	hint := "name the router that the gateway serves"
	if slices.Equal(names, []string{"unknown"}) {
		hint = "decisions name their router since this release: let the gateway decide with it first"
	}
	return hinted{fmt.Errorf("router %s (%s): %w; they are of %s", path, a.Fingerprint, errOtherRouter, strings.Join(names, ", ")), hint}
}

// warnOthers says how many rows are left out because other routers decided them.
func warnOthers(warn func(string), others map[string]int) {
	n := 0
	for _, count := range others {
		n += count
	}
	if n > 0 {
		warn(fmt.Sprintf("%s left out, because other routers decided %s: %s", phrase.Count(n, "request"), map[bool]string{true: "it", false: "them"}[n == 1], strings.Join(slices.Sorted(maps.Keys(others)), ", ")))
	}
}

// warnUnknown says which models answered requests although the router has no column for
// them, such as those that borrow another model's estimates: nothing is learnt of them.
func warnUnknown(warn func(string), rows []offpolicy.Row, models []string) {
	unknown := map[string]bool{}
	for i := range rows {
		if name := rows[i].Candidates[rows[i].Action].Name; !slices.Contains(models, name) {
			unknown[name] = true
		}
	}
	if len(unknown) > 0 {
		warn("nothing is learnt of models that the router has no estimates of its own for: " + strings.Join(slices.Sorted(maps.Keys(unknown)), ", "))
	}
}

// resolveWorth returns the willingness to pay of an objective: by the frontier of a saved
// router if it is given, else only of objectives that need none. w=0.01 stands for
// usd-per-quality=0.01.
func resolveWorth(text string, a *artifact.Artifact) (float64, error) {
	if value, ok := strings.CutPrefix(text, "w="); ok {
		text = "usd-per-quality=" + value
	}
	objective, err := carrot.ParseObjective(text)
	if err != nil {
		return 0, usageError{err}
	}
	var f carrot.Frontier
	if a != nil {
		f = a.Frontier()
	}
	w, err := objective.Resolve(f)
	if err != nil && a == nil {
		return 0, hinted{usageError{err}, "--router names the saved router whose frontier says what it means; or give w="}
	}
	return w, err
}

// decisionsOf is the policy of a saved router at the willingness to pay w. Rows of its
// own fit are decided again by the estimates that are stored with them, others by the
// text that the router judged, which must have been recorded. Rows that have neither are
// left out of the traffic. What other estimates of output tokens cost
// follows from the prices in the rows.
func decisionsOf(ctx context.Context, path string, a *artifact.Artifact, t *traffic, w float64) (offpolicy.Policy, error) {
	l := learn.NewLineage(a)
	own, _ := l.Correction(a.Fingerprint)
	prices := learn.PricesOf(t.rows)
	corrected := l.Corrected(own, prices, w)
	predictions, err := forecasts(ctx, path, a, a.Predictor, t, l)
	if err != nil {
		return nil, err
	}
	t.keep(func(r *offpolicy.Row) bool { return l.Knows(r.Router) || predictions[r.Request] != nil }, leftNoText)
	column := columns(a.Predictor.Models())
	choose := offpolicy.Objective(w)
	return func(r *offpolicy.Row) int {
		prediction, ok := predictions[r.Request]
		if !ok {
			return corrected(r)
		}
		other := *r
		other.Candidates = slices.Clone(r.Candidates)
		for i := range other.Candidates {
			c := &other.Candidates[i]
			j, ok := column[c.Name]
			if !ok {
				continue
			}
			f := &prediction.Forecasts[j]
			c.Quality = f.Quality
			if !f.Direct && !f.CostUnknown && c.OutputTokens > 0 {
				c.Cost = max(c.Cost+prices[c.Name]*(f.OutputTokens-c.OutputTokens), 0)
				c.OutputTokens = f.OutputTokens
			}
		}
		return choose(&other)
	}, nil
}

// leftNoText is why a request is left out that another router than the one in question
// decided, and whose text was not recorded.
const leftNoText = "no-text"

// keep leaves out the rows that are not kept, for a reason.
func (t *traffic) keep(kept func(r *offpolicy.Row) bool, reason string) {
	out := &traffic{}
	for i := range t.rows {
		if kept(&t.rows[i]) {
			out.rows, out.said, out.text = append(out.rows, t.rows[i]), append(out.said, t.said[i]), append(out.text, t.text[i])
		} else {
			t.left[reason]++
		}
	}
	t.rows, t.said, t.text = out.rows, out.said, out.text
}

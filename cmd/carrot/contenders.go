package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/eval"
	"github.com/carrot-router/carrot/internal/rivals"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/train"
)

// contender is a router to be fitted on the vectors of an embedder.
type contender struct {
	eval.Contender
	embedder string
	features carrot.Embedder // of a rival that brings its own
}

// contenders lists the routers that the flags ask for, by embedder the
// predictors before the rivals.
func (e *evaluation) contenders() ([]contender, error) {
	predictors := e.Predictor
	if len(predictors) == 0 && len(e.Router) == 0 {
		predictors = []string{"blend"}
	}
	var out []contender
	for _, text := range predictors {
		if text == "mean" {
			continue // always there, among the reference rows
		}
		for _, embedder := range e.Embedder {
			spec, err := specOf(text, e.Caution, e.Seed)
			if err != nil {
				return nil, err
			}
			out = append(out, contender{eval.Own{Label: e.named(text, embedder), Spec: partsFor(spec, embedder)}, embedder, nil})
		}
	}
	names := e.Rivals
	if e.Protocol != "" && !slices.ContainsFunc(strings.Split(names, ","), func(n string) bool { return n == "all" || n == "fast" || n == "carrot-knn" }) {
		names = strings.TrimPrefix(names+",carrot-knn", ",") // the paper's router
	}
	if names == "" {
		return out, e.distinct(out)
	}
	methods, cascades, err := parseRivals(names)
	if err != nil {
		return nil, err
	}
	for _, m := range methods {
		if m.Features != nil {
			out = append(out, contender{eval.Rival{Label: m.Name, Method: m, Seed: e.Seed}, m.Name, m.Features})
			continue
		}
		for _, embedder := range e.Embedder {
			out = append(out, contender{eval.Rival{Label: e.named(m.Name, embedder), Method: m, Seed: e.Seed}, embedder, nil})
		}
	}
	for _, c := range cascades {
		out = append(out, contender{eval.Cascade{Label: c.Name(), Policy: c}, e.Embedder[0], nil})
	}
	return out, e.distinct(out)
}

// distinct refuses two routers of one name: nobody could tell their rows apart.
func (e *evaluation) distinct(contenders []contender) error {
	seen := map[string]bool{}
	for _, path := range e.Router {
		seen[stem(path)] = true
	}
	for _, c := range contenders {
		if seen[c.Name()] {
			return usagef("two routers would be named %s: leave one out, or measure them one by one", c.Name())
		}
		seen[c.Name()] = true
	}
	return nil
}

// stem is a file's name without its folder and ending.
func stem(path string) string { return strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)) }

// named is a router's name in the report: with its embedder if there are
// several or another than the usual.
func (e *evaluation) named(name, embedder string) string {
	if len(e.Embedder) > 1 || embedder != "static" {
		kind, _, _ := strings.Cut(embedder, ":")
		name += "/" + kind
	}
	return name
}

// parseRivals reads the names of --rivals.
func parseRivals(text string) (methods []rivals.Method, cascades []rivals.Cascade, err error) {
	var names []string
	add := func(c rivals.Cascade) {
		if !slices.ContainsFunc(cascades, func(o rivals.Cascade) bool { return o.Accuracy == c.Accuracy }) {
			cascades = append(cascades, c)
		}
	}
	for name := range strings.SplitSeq(text, ",") {
		kind, accuracy, given := strings.Cut(name, "=")
		if kind == "cascade" {
			c := rivals.Cascade{Accuracy: rivals.DefaultAccuracy}
			if given {
				if c.Accuracy, err = strconv.ParseFloat(accuracy, 64); err != nil || !(c.Accuracy >= 0.5 && c.Accuracy <= 1) {
					return nil, nil, usagef("--rivals %s: want the accuracy of the judge, a number in [0.5,1]", name)
				}
			}
			add(c)
			continue
		}
		names = append(names, name)
		if name == "all" || name == "fast" {
			add(rivals.Cascade{Accuracy: rivals.DefaultAccuracy})
		}
	}
	if len(names) > 0 {
		if methods, err = rivals.Parse(strings.Join(names, ",")); err != nil {
			return nil, nil, usagef("--rivals: %v, cascade, cascade=ACCURACY", err)
		}
	}
	return methods, cascades, nil
}

// learningShares are the shares of the queries of a learning curve.
var learningShares = []float64{1. / 32, 1. / 16, 1. / 8, 1. / 4, 1. / 2, 1}

// fitAll fits the contenders and the mean, and lets them answer.
func (e *evaluation) fitAll(ctx context.Context, base *train.Task, contenders []contender, entries *[]*eval.Entry) (*eval.Entry, map[string][]eval.LearningPoint, error) {
	mean := contender{eval.Own{Label: "mean", Spec: predict.Spec{Name: "mean", Seed: e.Seed}}, "", nil}
	if len(e.parts) == 0 {
		for _, c := range append(contenders, mean) {
			e.notes = append(e.notes, fmt.Sprintf("%s is absent: the data has no queries outside %s to fit it on", c.Name(), e.Split))
		}
		return nil, nil, nil
	}
	e.plan = newPlan(contenders, len(e.parts))
	curves := map[string][]eval.LearningPoint{}
	for _, c := range contenders {
		t := base
		var err error
		switch {
		case c.features != nil:
			t, err = e.prepare(ctx, c.embedder, c.features)
		case e.tasks[c.embedder] != base:
			t, _, err = e.task(ctx, c.embedder)
		}
		if err != nil {
			return nil, nil, err
		}
		entry, err := e.run(ctx, c, t, 0)
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if err != nil { // an hour of others' figures is not thrown away for one
			e.notes = append(e.notes, fmt.Sprintf("%s is absent: %v", c.Name(), err))
			e.plan.done(c)
			continue
		}
		*entries = append(*entries, entry)
		e.notes = append(e.notes, entry.Notes...)
		if e.LearningCurve {
			if curves[c.Name()], err = e.learn(ctx, c, t, entry); err != nil {
				return nil, nil, err
			}
		}
		e.plan.done(c)
	}
	entry, err := e.run(ctx, mean, base, 0)
	return entry, curves, err
}

func (e *evaluation) run(ctx context.Context, c contender, t *train.Task, share float64) (*eval.Entry, error) {
	return eval.Run(ctx, c, t, e.parts, eval.RunOptions{Cache: e.cache, Share: share, Variants: e.variants[t],
		Progress: func(doing string, done, total int) { e.p.say(e.plan.line(c, doing, done, total)) }})
}

// learn fits the contender on growing shares of the queries.
func (e *evaluation) learn(ctx context.Context, c contender, t *train.Task, whole *eval.Entry) ([]eval.LearningPoint, error) {
	var out []eval.LearningPoint
	for _, share := range learningShares {
		entry := whole
		if share < 1 {
			var err error
			if entry, err = e.run(ctx, c, t, share); ctx.Err() != nil {
				return nil, ctx.Err()
			} else if err != nil {
				e.notes = append(e.notes, fmt.Sprintf("%s cannot be fitted on 1/%.0f of the queries: %v", c.Name(), 1/share, err))
				continue
			}
		}
		m, err := entry.Measure(e.rows)
		if err != nil {
			return nil, err
		}
		out = append(out, eval.LearningPoint{Queries: entry.Fitted, AIQ: eval.Number(m.AIQ), Peak: eval.Number(m.Peak)})
	}
	return out, nil
}

// protocols measures the contenders that forecast qualities by the protocol of
// the paper's code and by ours. entries are theirs, in order.
func (e *evaluation) protocols(ctx context.Context, base *train.Task, contenders []contender, entries []*eval.Entry) (*eval.ProtocolReport, error) {
	if len(e.parts) == 0 {
		return nil, nil
	}
	var measured, outOfFold []*eval.Entry
	for k, c := range contenders {
		if c.Worth() != rivals.Quality {
			continue
		}
		entry, err := eval.RunOutOfFold(ctx, c, entries[k].Task, e.parts[0].Fit, eval.RunOptions{Cache: e.cache,
			Progress: func(doing string, _, _ int) { e.p.say(c.Name() + " out of fold: " + doing) }})
		if err != nil {
			return nil, err
		}
		measured, outOfFold = append(measured, entries[k]), append(outOfFold, entry)
	}
	return eval.Protocols(base, e.rows, measured, outOfFold)
}

// plan knows how much of the fitting is done, by the contenders' weights.
type plan struct {
	started      time.Time
	total, ready float64
	number, of   int
}

func newPlan(contenders []contender, parts int) *plan {
	p := &plan{started: time.Now(), of: len(contenders)}
	for _, c := range contenders {
		p.total += float64(c.Weight())
	}
	return p
}

func (p *plan) done(c contender) {
	p.ready += float64(c.Weight())
	p.number++
}

// line says what is being done and about how long the rest takes.
func (p *plan) line(c contender, doing string, done, total int) string {
	text := fmt.Sprintf("router %d of %d, %s: %s", min(p.number+1, p.of), p.of, c.Name(), doing)
	ready := p.ready + float64(c.Weight())*float64(done)/float64(max(total, 1))
	if elapsed := time.Since(p.started); ready > 0.02*p.total && elapsed > 5*time.Second {
		left := time.Duration(float64(elapsed) * (p.total - ready) / ready)
		text += fmt.Sprintf(" · about %s left", left.Round(10*time.Second))
	}
	return text
}

// unusedFor is how long the fitted routers of another build are kept.
const unusedFor = 7 * 24 * time.Hour

// fittedCache is where fitted routers are kept: for this very program, so that
// a change of its code is never answered from before it. What other builds left
// and did not touch for a week is removed.
func fittedCache() eval.Cache {
	all := filepath.Join(cacheFolder(), "carrot", "fitted")
	program := programHash()
	if program == "" {
		return eval.Cache{}
	}
	others, _ := os.ReadDir(all) // none, if it does not exist
	for _, o := range others {
		if info, err := o.Info(); err == nil && o.Name() != program && time.Since(info.ModTime()) > unusedFor {
			os.RemoveAll(filepath.Join(all, o.Name()))
		}
	}
	mine := filepath.Join(all, program)
	os.Chtimes(mine, time.Time{}, time.Now()) // in use, also if it is only read; it may not exist yet
	return eval.Cache{Dir: mine}
}

// programHash is the hash of the running binary, "" if it cannot be read.
var programHash = sync.OnceValue(func() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
})

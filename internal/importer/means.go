package importer

import (
	"crypto/md5"
	"encoding/hex"
	"math"

	"github.com/carrot-router/carrot/dataset"
)

// promptID returns the id of a query that is named by its prompt.
func promptID(prompt string) string {
	hash := md5.Sum([]byte(prompt))
	return hex.EncodeToString(hash[:])
}

// means collects the answers of models to prompts that were asked several times. A query
// is written when it comes first, and the outcomes at the end: each is the mean of what
// is known of a model's answers to it.
type means struct {
	im    *importer
	of    map[outcomeKey]*repeats
	order []*repeats
}

// outcomeKey names an outcome: the hash of a query's id, and a model.
type outcomeKey struct {
	id    [md5.Size]byte
	model string
}

// repeats are the sums over the answers of a model to a prompt.
type repeats struct {
	at        place
	id, model string
	n         int64
	sums      [6]float64 // in the order of outcomeFields
	counts    [6]int64
}

// newMeans returns the means of an import.
func newMeans(im *importer) *means { return &means{im: im, of: make(map[outcomeKey]*repeats)} }

// add takes in an answer, as importer.add does.
func (m *means) add(at place, q dataset.Query, o dataset.Outcome, names func(field, model string) string) error {
	im := m.im
	im.report.Rows++
	if bad := im.check(&q, []dataset.Outcome{o}, names); bad != nil {
		return im.refuse(at, *bad)
	}
	if err := im.addQuery(q); err != nil {
		return err
	}
	key := outcomeKey{md5.Sum([]byte(q.ID)), o.Model}
	r := m.of[key]
	if r == nil {
		r = &repeats{at: at, id: q.ID, model: o.Model}
		m.of[key] = r
		m.order = append(m.order, r)
	}
	if r.n++; r.n > 1 {
		im.report.Repeats++
	}
	for i, field := range outcomeFields {
		if x := *value(&o, field); !math.IsNaN(x) {
			r.sums[i] += x
			r.counts[i]++
		}
	}
	return nil
}

// flush writes the outcomes.
func (m *means) flush() error {
	for _, r := range m.order {
		o := dataset.NewOutcome("", r.model)
		for i, field := range outcomeFields {
			if r.counts[i] > 0 {
				*value(&o, field) = r.sums[i] / float64(r.counts[i])
			}
		}
		if err := m.im.write(r.at, r.id, []dataset.Outcome{o}); err != nil {
			return err
		}
	}
	return nil
}

package dataset

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/internal/textfile"
)

// JoinOptions says how sets are merged; the zero value works.
type JoinOptions struct {
	// Name is that of the joined set; by default the names of the sets with "+"
	// between them.
	Name string
	// Rename maps old names of models to new ones. It applies before anything is
	// compared.
	Rename map[string]string
	// Pool names the models in the default candidate pool of the joined set. If it
	// is nil, every model that is in the pool of any set is.
	Pool []string
	// Moved, if not nil, is called with every query whose split changes because
	// another set has the same prompt in a later split.
	Moved func(id string, from, to Split)
}

// Join merges sets into a new one that shares nothing with them. Models are
// matched by name, after Rename, and queries by id; both stay in the order in
// which they first occur. A price that only one set has is kept.
//
// It is an error, which names both sides, if a model has different prices in two
// sets, if an id has different prompts or sources, or if two sets have different
// outcomes of a model on the same id or prompt. If sets have the same prompt in
// different splits, all its queries go to the latest of train, validation and
// test: nothing that was held out is trained on.
func Join(sets []*Set, opt JoinOptions) (*Set, error) {
	if len(sets) == 0 {
		return nil, fmt.Errorf("join: no sets")
	}
	j := &joiner{sets: sets, opt: opt, set: &Set{}, rows: make(map[string]int), cols: make(map[string]int),
		priceFrom: make(map[string]string)}
	if err := j.checkOptions(); err != nil {
		return nil, err
	}
	for k, s := range sets {
		if err := j.addModels(s); err != nil {
			return nil, err
		}
		if err := j.addQueries(k, s); err != nil {
			return nil, err
		}
	}
	if n, m := len(j.set.Queries), len(j.set.Models); m > 0 && n > maxCells/m {
		return nil, fmt.Errorf("join: %d queries × %d models are more than fit into memory", n, m)
	}
	j.prepare()
	for k := range sets {
		if err := j.addOutcomes(k); err != nil {
			return nil, err
		}
	}
	if err := j.comparePrompts(); err != nil {
		return nil, err
	}
	j.set.Fingerprint = j.set.ComputeFingerprint()
	return j.set, nil
}

// joiner builds the joined set.
type joiner struct {
	sets       []*Set
	opt        JoinOptions
	set        *Set
	rows, cols map[string]int
	priceFrom  map[string]string // name of the set a price is from, by model and field
	queryFrom  []int             // the set in which each query was first
	cellFrom   []uint16          // 1 + the set in which each outcome was first; 0 if none
	place      [][]int           // the columns of the models of each set
}

func (j *joiner) checkOptions() error {
	var names []string
	known := make(map[string]bool)
	for _, s := range j.sets {
		names = append(names, s.Name)
		for _, m := range s.Models {
			known[m.Name] = true
		}
	}
	if len(names) > math.MaxUint16-1 {
		return fmt.Errorf("join: %d sets are too many", len(names))
	}
	j.set.Name = cmp.Or(j.opt.Name, strings.Join(names, "+"))
	olds := slices.Sorted(maps.Keys(j.opt.Rename))
	for _, old := range olds {
		if !known[old] {
			return fmt.Errorf("join: rename %s: no set has that model", textfile.Quote(old))
		}
		if reason := checkName(j.opt.Rename[old]); reason != "" {
			return fmt.Errorf("join: rename %s: the new name %s", textfile.Quote(old), reason)
		}
	}
	for _, old := range olds {
		delete(known, old)
	}
	for _, old := range olds {
		known[j.opt.Rename[old]] = true
	}
	for _, name := range j.opt.Pool {
		if !known[name] {
			return fmt.Errorf("join: pool: no set has model %s", textfile.Quote(name))
		}
	}
	return nil
}

// addModels finds or adds a column for every model of a set.
func (j *joiner) addModels(s *Set) error {
	place, taken := make([]int, len(s.Models)), make(map[string]string)
	for c, m := range s.Models {
		m = m.clone()
		old := m.Name
		if name, ok := j.opt.Rename[old]; ok {
			m.Name = name
		}
		if other, ok := taken[m.Name]; ok {
			return fmt.Errorf("join: models %s and %s of %s are both named %s", textfile.Quote(other), textfile.Quote(old), s.Name, textfile.Quote(m.Name))
		}
		taken[m.Name] = old
		if j.opt.Pool != nil {
			m.Pool = slices.Contains(j.opt.Pool, m.Name)
		}
		col, ok := j.cols[m.Name]
		if !ok {
			col = len(j.set.Models)
			j.cols[m.Name] = col
			j.set.Models = append(j.set.Models, Model{Name: m.Name, InputUSDPerMillion: math.NaN(), OutputUSDPerMillion: math.NaN()})
		}
		if err := j.mergeModel(&j.set.Models[col], m, s.Name); err != nil {
			return err
		}
		place[c] = col
	}
	j.place = append(j.place, place)
	return nil
}

// mergeModel adds the prices of m that are not yet known, and compares the others.
func (j *joiner) mergeModel(to *Model, m Model, set string) error {
	known := to.prices()
	for i, p := range m.prices() {
		if p.usd == nil {
			continue
		}
		key := m.Name + "\x00" + p.field
		if have := known[i].usd; have == nil {
			j.priceFrom[key] = set
		} else if *have != *p.usd {
			return fmt.Errorf("join: model %s: %s is %s in %s and %s in %s; rename the model in one of them or make the prices equal",
				textfile.Quote(m.Name), p.field, formatFloat(*have), j.priceFrom[key], formatFloat(*p.usd), set)
		}
	}
	if m.Priced() {
		to.InputUSDPerMillion, to.OutputUSDPerMillion = m.InputUSDPerMillion, m.OutputUSDPerMillion
	}
	to.CachedInputUSDPerMillion = cmp.Or(to.CachedInputUSDPerMillion, m.CachedInputUSDPerMillion)
	to.CacheWriteUSDPerMillion = cmp.Or(to.CacheWriteUSDPerMillion, m.CacheWriteUSDPerMillion)
	to.ReasoningUSDPerMillion = cmp.Or(to.ReasoningUSDPerMillion, m.ReasoningUSDPerMillion)
	to.Pool = to.Pool || m.Pool
	return nil
}

// addQueries finds or adds a row for every query of set k.
func (j *joiner) addQueries(k int, s *Set) error {
	for _, q := range s.Queries {
		row, ok := j.rows[q.ID]
		if !ok {
			j.rows[q.ID] = len(j.set.Queries)
			j.set.Queries = append(j.set.Queries, q)
			j.queryFrom = append(j.queryFrom, k)
			continue
		}
		have, field := &j.set.Queries[row], ""
		switch {
		case have.Prompt != q.Prompt:
			field = "prompt"
		case have.Source != q.Source:
			field = "source"
		default:
			j.move(have, q.Split)
			continue
		}
		return fmt.Errorf("join: query %s has one %s in %s and another in %s; different queries need different ids",
			textfile.Quote(q.ID), field, j.sets[j.queryFrom[row]].Name, s.Name)
	}
	return nil
}

// splitOrder returns how late a split is: 0 for train to 2 for test.
func splitOrder(s Split) int {
	return slices.Index([]Split{SplitExtra, SplitTrain, SplitValidation, SplitTest}, s)
}

// move moves a query to another split if that is later.
func (j *joiner) move(q *Query, to Split) {
	if splitOrder(to) <= splitOrder(q.Split) {
		return
	}
	if j.opt.Moved != nil {
		j.opt.Moved(q.ID, q.Split, to)
	}
	q.Split = to
}

// prepare makes every table that any of the sets has.
func (j *joiner) prepare() {
	n, m := len(j.set.Queries), len(j.set.Models)
	j.cellFrom = make([]uint16, n*m)
	tables := j.set.matrices()
	for _, s := range j.sets {
		for col, t := range s.matrices() {
			if tables[col].Rows == 0 && (t.Rows > 0 || col < colCost) {
				*tables[col] = NewMatrix(n, m)
			}
		}
		if s.Answers != nil && j.set.Answers == nil {
			j.set.Answers = newAnswers(n, m)
		}
	}
}

// addOutcomes copies the outcomes and answers of set k.
func (j *joiner) addOutcomes(k int) error {
	s, m := j.sets[k], len(j.set.Models)
	to := j.set.matrices()
	for i, q := range s.Queries {
		row := j.rows[q.ID]
		for c := range s.Models {
			cell := row*m + j.place[k][c]
			for col, t := range s.matrices() {
				if t.Rows == 0 || math.IsNaN(t.At(i, c)) {
					continue
				}
				v, have := t.At(i, c), to[col].Data[cell]
				if !math.IsNaN(have) && have != v {
					return j.conflict(q.ID, cell, k, columnName(col), formatFloat(have), formatFloat(v))
				}
				to[col].Data[cell] = v
			}
			if s.Answers != nil && s.Answers[i][c] != "" {
				have := &j.set.Answers[row][j.place[k][c]]
				if *have != "" && *have != s.Answers[i][c] {
					return j.conflict(q.ID, cell, k, "answer", textfile.Quote(*have), textfile.Quote(s.Answers[i][c]))
				}
				*have = s.Answers[i][c]
			}
			if j.cellFrom[cell] == 0 {
				j.cellFrom[cell] = uint16(k + 1)
			}
		}
	}
	return nil
}

func (j *joiner) conflict(id string, cell, k int, field, have, got string) error {
	return fmt.Errorf("join: query %s, model %s: %s is %s in %s and %s in %s; rename the model in one of them",
		textfile.Quote(id), textfile.Quote(j.set.Models[cell%len(j.set.Models)].Name), field, have, j.sets[max(1, j.cellFrom[cell])-1].Name, got, j.sets[k].Name)
}

// comparePrompts compares queries that have the same prompt and different ids:
// their outcomes in different sets must agree, and all of them go to one split.
func (j *joiner) comparePrompts() error {
	for _, rows := range j.set.promptGroups() {
		for a, row := range rows {
			for _, other := range rows[:a] {
				if j.queryFrom[row] == j.queryFrom[other] {
					continue // a set may ask twice and get different outcomes
				}
				if err := j.compareRows(other, row); err != nil {
					return err
				}
			}
		}
		for _, row := range rows {
			latest := slices.MaxFunc(rows, func(a, b int) int {
				return cmp.Compare(splitOrder(j.set.Queries[a].Split), splitOrder(j.set.Queries[b].Split))
			})
			j.move(&j.set.Queries[row], j.set.Queries[latest].Split)
		}
	}
	return nil
}

func (j *joiner) compareRows(a, b int) error {
	for col, t := range j.set.matrices() {
		if t.Rows == 0 {
			continue
		}
		for c, m := range j.set.Models {
			x, y := t.At(a, c), t.At(b, c)
			if !math.IsNaN(x) && !math.IsNaN(y) && x != y {
				return fmt.Errorf("join: queries %s of %s and %s of %s have the same prompt, and model %s has %s %s on the first and %s on the second; rename the model in one set",
					textfile.Quote(j.set.Queries[a].ID), j.sets[j.queryFrom[a]].Name, textfile.Quote(j.set.Queries[b].ID), j.sets[j.queryFrom[b]].Name,
					textfile.Quote(m.Name), columnName(col), formatFloat(x), formatFloat(y))
			}
		}
	}
	return nil
}

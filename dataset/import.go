package dataset

import (
	"crypto/md5"
	"math"
)

// ImportOptions says how a source is imported; the zero value works.
type ImportOptions struct {
	// Prices gives the prices of a model in USD per million tokens. Models it
	// does not know, all if it is nil, are written without prices.
	Prices func(model string) (inputUSDPerMillion, outputUSDPerMillion float64, ok bool)
	// KeepGoing leaves bad rows out and notes them in rejected.jsonl in the
	// folder written, by file, row, column and reason, never with content.
	// Otherwise the first bad row ends the import.
	KeepGoing bool
	// Force replaces an existing folder that is not empty.
	Force bool
	// Progress, if not nil, is called now and then with the rows done of all.
	Progress func(done, total int64)
}

// ImportReport says what an import did.
type ImportReport struct {
	Rows     int64    `json:"rows"`     // of the source
	Queries  int64    `json:"queries"`  // written
	Outcomes int64    `json:"outcomes"` // written
	Rejected int64    `json:"rejected"` // rows left out
	Models   []string `json:"models"`
	Unpriced []string `json:"unpriced"` // models written without prices
	IDs      string   `json:"ids"`      // what the ids of the queries were made of
}

// models makes the models of an import, all in the pool.
func (o *ImportOptions) models(names []string) (models []Model, unpriced []string) {
	models, unpriced = make([]Model, len(names)), []string{}
	for j, name := range names {
		models[j] = Model{Name: name, Pool: true, InputUSDPerMillion: math.NaN(), OutputUSDPerMillion: math.NaN()}
		if o.Prices != nil {
			if in, out, ok := o.Prices(name); ok {
				models[j].InputUSDPerMillion, models[j].OutputUSDPerMillion = in, out
				continue
			}
		}
		unpriced = append(unpriced, name)
	}
	return models, unpriced
}

// hashSet remembers texts by their md5, in a fraction of their memory.
type hashSet map[[md5.Size]byte]struct{}

// add reports whether text was not in the set before.
func (h hashSet) add(text string) bool {
	key := md5.Sum([]byte(text))
	_, ok := h[key]
	h[key] = struct{}{}
	return !ok
}

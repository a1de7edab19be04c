package importer

import (
	"bytes"
	"crypto/md5"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/textfile"
)

// listing says which results of a public source are imported: a source holds
// those of many models, of which some are incomplete or near copies of others.
type listing struct {
	About   string `json:"about"`
	Source  string `json:"source"`  // and the commit at which it was tried
	Licence string `json:"licence"` // of the source
	Prices  string `json:"prices"`  // where they are from
	// Aliases are the names of models by those in the source, with or without
	// task and slash before them.
	Aliases map[string]string `json:"aliases"`
	// Models are in the order of models.json, with prices, and say whether they
	// are in the pool.
	Models []dataset.Model `json:"models"`
}

//go:embed zeroeval.json
var zeroEvalListing []byte

//go:embed mmlupro.json
var mmluProListing []byte

// The listings that are embedded.
var (
	zeroEvalModels = sync.OnceValue(func() *listing { return mustListing(zeroEvalListing) })
	mmluProModels  = sync.OnceValue(func() *listing { return mustListing(mmluProListing) })
)

// mustListing reads an embedded listing.
func mustListing(text []byte) *listing {
	l, err := parseListing(text)
	if err != nil {
		panic("importer: embedded list of models: " + err.Error())
	}
	return l
}

// parseListing reads a listing and checks it.
func parseListing(text []byte) (*listing, error) {
	var l listing
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return nil, err
	}
	for _, field := range []struct{ name, text string }{{"source", l.Source}, {"licence", l.Licence}, {"prices", l.Prices}} {
		if field.text == "" {
			return nil, fmt.Errorf("%s is empty", field.name)
		}
	}
	seen := make(map[string]bool, len(l.Models))
	for _, m := range l.Models {
		if err := m.Validate(); err != nil {
			return nil, err
		}
		if !m.Priced() || seen[m.Name] {
			return nil, fmt.Errorf("%s has no price or is listed twice", m.Name)
		}
		seen[m.Name] = true
	}
	for alias, name := range l.Aliases {
		if !seen[name] {
			return nil, fmt.Errorf("the alias %s is of %s, which is not listed", alias, name)
		}
	}
	return &l, nil
}

// model returns the number of the model that the source calls name, or -1 if it
// is not listed. task is "" in a source without tasks.
func (l *listing) model(task, name string) int {
	if alias, ok := l.Aliases[task+"/"+name]; ok {
		name = alias
	} else if alias, ok := l.Aliases[name]; ok {
		name = alias
	}
	return slices.IndexFunc(l.Models, func(m dataset.Model) bool { return m.Name == name })
}

// use makes the listing that of an import: its models have the listed prices,
// pool and order.
func (l *listing) use(im *importer) {
	im.listed = l
	im.prices = make(map[string][2]float64, len(l.Models))
	for _, m := range l.Models {
		im.prices[m.Name] = [2]float64{m.InputUSDPerMillion, m.OutputUSDPerMillion}
	}
}

// order sorts the names of models as they are listed.
func (l *listing) order(names []string) {
	slices.SortFunc(names, func(a, b string) int { return l.model("", a) - l.model("", b) })
}

// pool reports whether a model is in the pool.
func (l *listing) pool(name string) bool {
	at := l.model("", name)
	return at < 0 || l.Models[at].Pool
}

// folder returns the folder name in src, or src itself if there is none, so that
// a source may be a clone or the folder of results in it.
func (l *listing) folder(src, name string) (string, error) {
	hint := "name a clone of " + l.repository()
	switch info, err := os.Stat(src); {
	case err != nil:
		return "", &dataset.FormatError{File: src, Reason: "open: " + textfile.Cause(err), Hint: hint, Err: err}
	case !info.IsDir():
		return "", &dataset.FormatError{File: src, Reason: "is not a folder", Hint: hint}
	}
	if info, err := os.Stat(filepath.Join(src, name)); err == nil && info.IsDir() {
		return filepath.Join(src, name), nil
	}
	return src, nil
}

// repository returns where the source is published.
func (l *listing) repository() string {
	repository, _, _ := strings.Cut(l.Source, ",")
	return repository
}

// noneListed is the error of a source without any of the listed results.
func (l *listing) noneListed(src, want string) error {
	return &dataset.FormatError{File: src, Reason: "holds no " + want, Hint: "name a clone of " + l.repository() + " with its files checked out; a partial clone lacks the large ones"}
}

// promptTokens counts the tokens of a prompt. Many models are sent the same
// prompts, so counts are remembered.
func (im *importer) promptTokens(prompt string) float64 {
	if im.opt.CountTokens == nil {
		return math.NaN()
	}
	key := md5.Sum([]byte(prompt))
	n, ok := im.counts[key]
	if !ok {
		if im.counts == nil {
			im.counts = make(map[[md5.Size]byte]float64)
		}
		n = im.countTokens(prompt)
		im.counts[key] = n
	}
	return n
}

// addAnswered is add for one outcome, with the hash of the final answer.
func (im *importer) addAnswered(at place, q dataset.Query, o dataset.Outcome, answer string, names func(field, model string) string) error {
	before := im.report.Outcomes
	if err := im.add(at, q, []dataset.Outcome{o}, names); err != nil || im.report.Outcomes == before {
		return err
	}
	return im.w.Answer(dataset.Answer{ID: q.ID, Model: o.Model, Hash: answer})
}

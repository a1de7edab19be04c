// Package artifact saves a router in one file and loads it again.
//
// The file is in the safetensors format: tensors that Python's safetensors
// package reads, and a manifest as one JSON text under the metadata key
// "carrot". Equal inputs and seeds give equal bytes. A file that is truncated,
// corrupt, hostile or of a later major version gives an error that says what is
// wrong. Reading takes memory in proportion to the size of the file.
//
// The metadata key "sha256" holds a hash of the whole file, which shows damage; it is
// no signature, and says nothing of who made the file. It is the SHA-256, in
// hexadecimal, of the file's bytes with the 64 digits of the hash itself replaced by
// zeros ('0').
//
//	saved, err := artifact.Default() // or artifact.Open("router.safetensors")
//	if err != nil {
//		log.Fatal(err)
//	}
//	router, err := saved.Router(static, saved.Pool(price.Default()))
//	if err != nil {
//		log.Fatal(err)
//	}
package artifact

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/atomicfile"
	"github.com/carrot-router/carrot/internal/borrow"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/internal/readfile"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/price"
)

// Format names the form of the file. The number after the slash is its major
// version. A router that was corrected after its fit (see [Manifest.Learned]) is written
// as carrot.router/2, so that programs that know of no corrections refuse it.
const Format = "carrot.router/1"

// manifestKey is the metadata key of the manifest.
const manifestKey = "carrot"

// hashKey is the metadata key of the file's hash, and noHash stands in its place
// while the file is hashed.
const hashKey = "sha256"

var noHash = strings.Repeat("0", 2*sha256.Size)

// maxFile is the largest file that Open reads, in bytes.
const maxFile = 16 << 30

// ErrDamaged is returned for a file whose content does not match the hash in it.
var ErrDamaged = errors.New("the file is damaged: its content does not match the hash in it")

// ErrEmbedder is returned for an embedder that is not the one that the router was
// trained with.
var ErrEmbedder = errors.New("not the embedder the router was trained with")

// Manifest says what is in an artefact. It reads back equal from its JSON form.
type Manifest struct {
	Format    string       `json:"format"`
	Embedder  Embedder     `json:"embedder"`
	Predictor predict.Spec `json:"predictor"`
	Models    []Model      `json:"models"`
	Data      []Data       `json:"data"`
	// PriceDate is the newest date of the prices that the frontier was
	// computed with.
	PriceDate  string             `json:"price_date,omitempty"`
	Frontier   []carrot.Point     `json:"frontier"` // out of fold
	BestSingle carrot.Point       `json:"best_single"`
	Metrics    map[string]float64 `json:"metrics"` // out of fold
	// Plans are the columns of the predictor after the models: candidates of several
	// calls, for a pool that has the models of their steps. Frontier and Metrics are those of
	// a router that chooses among models, PlanFrontier and PlanMetrics of one that may
	// also choose plans.
	Plans        []Model            `json:"plans,omitempty"`
	PlanFrontier []carrot.Point     `json:"plan_frontier,omitempty"`
	PlanMetrics  map[string]float64 `json:"plan_metrics,omitempty"`
	// Command is the command line that made the router, without the name of its
	// file. Its data are in Data, and its prices in Models.
	Command     string `json:"command"`
	Licence     string `json:"licence"`
	Description string `json:"description,omitempty"`
	// Unit is what qualities and costs are of: "task" for tasks that an agent
	// solves in many calls, empty for one query.
	Unit string `json:"unit,omitempty"`
	// Learned is what the router learnt from traffic after its fit, in files of the
	// format carrot.router/2; nil in others.
	Learned *Learned `json:"learned,omitempty"`
}

// Embedder names the embedder that made the representations.
type Embedder struct {
	// ID includes a hash of the content: "static@0123456789ab". It is "none" for a
	// router whose estimates are the same for every prompt.
	ID string `json:"id"`
	// Spec says how to open it: "static", "bert:DIR", "openai:URL#MODEL" or "none".
	Spec string `json:"spec"`
	Dim  int    `json:"dim"`
}

// Model is one column of the predictor, a model or a plan of several calls, with what
// training saw of it.
type Model struct {
	Name      string  `json:"name"`
	Observed  int     `json:"observed"`   // queries with a score
	MeanScore float64 `json:"mean_score"` // over them
	// TokensP90 is the share of answers whose output tokens are within the 90%
	// quantile, out of fold; null where none were observed.
	TokensP90 *float64 `json:"tokens_p90_coverage"`
	// Price in the training data, in USD per million tokens, for programs
	// without a price book. Null if costs do not follow from tokens: outcomes
	// carried costs, or the cost is unknown.
	Price *carrot.Price `json:"price"`
	// Steps of a plan: the share of its queries on which each model was asked, and what it
	// wrote and cost then in the mean. CostP90 is the share of the plan's costs within
	// the 90% quantile, out of fold, at the prices of the training data; nil where none were known.
	Steps   []carrot.Step `json:"steps,omitempty"`
	CostP90 *float64      `json:"cost_p90_coverage,omitempty"`
}

// Data names a data set that the router was trained on.
type Data struct {
	Name        string `json:"name"`
	Fingerprint string `json:"fingerprint"` // of all its rows
	Queries     int    `json:"queries"`     // trained on
	// Rows are the queries of the set, also those marked test. It is 0 if the file
	// does not say, as those of earlier versions.
	Rows    int      `json:"rows,omitempty"`
	Sources []string `json:"sources"`
}

// Artifact is a saved router. It holds what was fitted; the embedder and current
// prices are added by Router.
type Artifact struct {
	Manifest  Manifest
	Predictor *predict.Predictor
	// SHA256 is the hash of the file that was read, in hex. It, Fingerprint and
	// Size are set by Open and Parse.
	SHA256 string
	// Fingerprint, the first 16 digits of SHA256, names the router in its decisions.
	Fingerprint string
	// Size is that of the file, in bytes.
	Size int
	// Verified says that the file holds a hash of its content, which Parse found
	// to match. It is false for files that were written before there was one: in
	// these, damage can change decisions unnoticed.
	Verified bool
}

// Write writes the artefact. Equal artefacts give equal bytes.
func (a *Artifact) Write(w io.Writer) error {
	manifest, err := json.Marshal(a.Manifest)
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	metadata, sum := map[string]string{manifestKey: string(manifest), hashKey: noHash}, sha256.New()
	if err := a.Predictor.Write(sum, metadata); err != nil {
		return err
	}
	metadata[hashKey] = hex.EncodeToString(sum.Sum(nil))
	return a.Predictor.Write(w, metadata)
}

// WriteFile writes the artefact to a file, all or nothing.
func (a *Artifact) WriteFile(path string) error {
	if err := atomicfile.Write(path, 0o644, a.Write); err != nil {
		return fmt.Errorf("write router %s: %w", path, err)
	}
	return nil
}

// Open reads an artefact from a regular file of at most 16 GiB. The paths "default"
// and "agents-2026" name the routers in the binary: that of Default, and one of
// agents' coding tasks (docs/agents-router.md).
func Open(path string) (*Artifact, error) {
	switch path {
	case "default":
		return Default()
	case "agents-2026":
		return agents()
	}
	data, err := readfile.Read(path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("open router: %w", err)
	}
	a, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("router %s: %w", path, err)
	}
	return a, nil
}

// Parse reads an artefact. It checks the hash of the file, if there is one (see
// [Artifact.Verified]), and every shape, index and number in it. A file that does not
// match its hash is an error that wraps [ErrDamaged].
func Parse(data []byte) (*Artifact, error) {
	file, err := predict.Parse(data)
	if err != nil {
		return nil, err
	}
	metadata := file.Metadata()
	text, ok := metadata[manifestKey]
	if !ok {
		return nil, fmt.Errorf("no manifest under the metadata key %q: not a router", manifestKey)
	}
	sum := sha256.Sum256(data)
	hash := hex.EncodeToString(sum[:])
	a := &Artifact{SHA256: hash, Fingerprint: hash[:fingerprintLength], Size: len(data)}
	if err := json.Unmarshal([]byte(text), &a.Manifest); err != nil {
		return nil, fmt.Errorf("manifest: %w", phrase.JSON(err))
	}
	if err := a.Manifest.checkFormat(); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if hash, ok := metadata[hashKey]; ok {
		if hash != hashOf(data, hash) {
			return nil, ErrDamaged
		}
		a.Verified = true
	}
	if err := a.Manifest.check(); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	a.Predictor, err = file.Predictor(a.Manifest.Predictor, a.columns(), a.Manifest.Embedder.Dim)
	if err != nil {
		return nil, err
	}
	if err := a.Manifest.checkLearned(a.Predictor); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	return a, nil
}

// hashOf returns the hash of a file that says that its hash is said, or "" if said
// is no hash.
func hashOf(data []byte, said string) string {
	before, after, found := bytes.Cut(data, []byte(`"`+hashKey+`":"`+said+`"`))
	if len(said) != len(noHash) || !found {
		return ""
	}
	sum := sha256.New()
	sum.Write(before)
	sum.Write([]byte(`"` + hashKey + `":"` + noHash + `"`))
	sum.Write(after)
	return hex.EncodeToString(sum.Sum(nil))
}

// checkFormat refuses other formats, whose manifest may mean something else.
func (m *Manifest) checkFormat() error {
	if m.Format != Format && m.Format != correctedFormat {
		if strings.HasPrefix(m.Format, "carrot.router/") {
			return fmt.Errorf("format %q is not one this program reads, %q and %q: use the program that wrote it, or train again", m.Format, Format, correctedFormat)
		}
		return fmt.Errorf("format %q, want %q", m.Format, Format)
	}
	return nil
}

func (m *Manifest) check() error {
	if m.Embedder.Dim < 0 || m.Embedder.Dim > 1<<16 {
		return fmt.Errorf("embedder dimension %d", m.Embedder.Dim)
	}
	seen := map[string]bool{}
	for _, model := range m.Models {
		if model.Name == "" || seen[model.Name] {
			return fmt.Errorf("models: name %q is empty or appears twice", model.Name)
		}
		seen[model.Name] = true
	}
	if len(m.Models) == 0 {
		return errors.New("models: there are none")
	}
	if m.Unit != "" && m.Unit != "task" {
		return fmt.Errorf("unit %q is not known: want task, or none for a query", m.Unit)
	}
	for _, p := range m.Plans {
		if p.Name == "" || seen[p.Name] {
			return fmt.Errorf("plans: name %q is empty or appears twice", p.Name)
		}
		if len(p.Steps) == 0 {
			return fmt.Errorf("plans: %q has no steps", p.Name)
		}
		for _, s := range p.Steps {
			if !slices.ContainsFunc(m.Models, func(o Model) bool { return o.Name == s.Model }) {
				return fmt.Errorf("plans: %q asks %q, which is not among the models", p.Name, s.Model)
			}
		}
		seen[p.Name] = true
	}
	return nil
}

// columns names the predictor's columns: the models, then the plans.
func (a *Artifact) columns() []string {
	var names []string
	for _, m := range a.Manifest.Models {
		names = append(names, m.Name)
	}
	for _, p := range a.Manifest.Plans {
		names = append(names, p.Name)
	}
	return names
}

// Pool returns the artefact's models as candidates, priced by the book's own entries or,
// where there is none for a model, by the prices in the training data, or else by the
// catalogue under the book. book may be nil.
func (a *Artifact) Pool(book *price.Book) []carrot.Candidate {
	pool := make([]carrot.Candidate, len(a.Manifest.Models))
	for i, m := range a.Manifest.Models {
		pool[i] = carrot.Candidate{Name: m.Name}
		if m.Price != nil {
			own := *m.Price
			pool[i].Price = &own
		}
		if book == nil || m.Price != nil && !prices(book, m.Name) {
			continue
		}
		if p, err := book.Price(m.Name); err == nil {
			pool[i].Price = &p
		}
	}
	return pool
}

// prices reports whether one of the book's own entries has a price for a model.
func prices(book *price.Book, model string) bool {
	return slices.ContainsFunc(book.Entries, func(e price.Entry) bool {
		return (e.Name == model || slices.Contains(e.Aliases, model)) && e.Price != carrot.Price{}
	})
}

// Frontier returns the stored operating points of a router that chooses among models.
func (a *Artifact) Frontier() carrot.Frontier {
	return carrot.Frontier{Points: a.Manifest.Frontier, BestSingle: a.Manifest.BestSingle}
}

// Router returns the router, with an embedder, which must be the one that it was
// trained with, and a pool of candidates, usually that of Pool, and the plans of the
// manifest, by their names and steps, if these may be chosen too. A candidate that the
// artefact does not know may be one of the models of today that borrow the forecasts of one
// that it knows; docs/default-router.md lists them.
func (a *Artifact) Router(embedder carrot.Embedder, pool []carrot.Candidate) (*carrot.Router, error) {
	if embedder == nil {
		return nil, errors.New("router: the embedder is missing")
	}
	if id := embedder.ID(); id != a.Manifest.Embedder.ID {
		return nil, fmt.Errorf("embedder %s: %w, %s", id, ErrEmbedder, a.Manifest.Embedder.ID)
	}
	means := map[string]float64{}
	for _, m := range a.Manifest.Models {
		means[m.Name] = m.MeanScore
	}
	points := a.Frontier()
	if slices.ContainsFunc(pool, func(c carrot.Candidate) bool { return len(c.Steps) > 0 }) {
		points.Points = a.Manifest.PlanFrontier
	}
	return carrot.NewRouter(carrot.Config{Candidates: pool, Embedder: embedder, Predictor: borrow.Wrap(a.Predictor, means, borrow.Default()),
		CountTokens: price.CountTokens, Frontier: points, Fingerprint: a.Fingerprint, Holdout: a.Predictor.Holdout()})
}

//go:embed default.safetensors
var defaultRouter []byte

// Default returns the router in the binary. It is a demonstration, which routes
// arithmetic reasoning, mathematics and code among models of 2024. See
// docs/default-router.md for what it should not be used for.
var Default = sync.OnceValues(func() (*Artifact, error) { return Parse(slices.Clip(defaultRouter)) })

//go:embed agents-2026.safetensors.gz
var agentsRouter []byte

// agents is the router of agents' coding tasks. Compressed, it takes a quarter of its size.
var agents = sync.OnceValues(func() (*Artifact, error) {
	in, err := gzip.NewReader(bytes.NewReader(agentsRouter))
	if err != nil {
		return nil, fmt.Errorf("the router of agents' tasks: %w", err)
	}
	data, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("the router of agents' tasks: %w", err)
	}
	return Parse(data)
})

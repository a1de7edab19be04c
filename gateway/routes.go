package gateway

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/wire"
)

// Source is what a configuration's router file holds.
type Source struct {
	// Router over all models it knows, with the price book's prices.
	Router *carrot.Router
	// MeanQuality of each model over the training queries: who answers when
	// the router cannot say.
	MeanQuality map[string]float64
}

// routes is a configuration made ready to serve requests. It never changes; a
// reload makes another.
type routes struct {
	config     *Config
	router     *carrot.Router // over the candidates
	candidates []*candidate   // in the router's order
	byName     map[string]*candidate
	embeddings map[string]*candidate
	policies   map[string]*policy
	names      []string // of what may be asked for, in order
	tags       []string // of the candidates, sorted
	clients    []ClientConfig
}

// candidate is a model at a provider, with settings if any.
type candidate struct {
	carrot.Candidate
	upstream string // the provider's name of the model
	provider *upstream
	settings []wire.Setting // in the words of the chat API
	nulls    []wire.Setting // what of them is null, and takes fields out
	without  string         // the same, as a key
	limitKey string         // how the settings name the token limit
	tags     []string
}

// upstream is a provider with what the gateway needs to know beside calling it.
type upstream struct {
	*provider.Upstream
	timeouts       TimeoutConfig
	cacheMinTokens int
	limitKey       string // how its chat API calls the limit of output tokens
}

// policy is a named objective, pool and default.
type policy struct {
	name        string
	objective   carrot.Objective
	pool        []string // names
	standby     *candidate
	novel       float64 // above this novelty the default answers; 0: never
	shadow      bool
	exploration ExplorationConfig

	mu   sync.Mutex
	draw *rand.Rand // of exploration
}

// newRoutes builds the routes of a checked configuration.
func newRoutes(c *Config, source Source, transport http.RoundTripper) (*routes, error) {
	r := &routes{config: c, byName: map[string]*candidate{}, embeddings: map[string]*candidate{}, policies: map[string]*policy{}, clients: c.Clients}
	providers := map[string]*upstream{}
	for _, p := range c.Providers {
		providers[p.Name] = newUpstream(p, transport)
	}
	known := map[string]carrot.Candidate{}
	for _, k := range source.Router.Candidates() {
		known[k.Name] = k
	}
	pool := make([]carrot.Candidate, len(c.Models))
	var problems []error
	for i, m := range c.Models {
		made, err := newCandidate(m, known, providers[m.Provider])
		if err != nil {
			problems = append(problems, fmt.Errorf("models[%d] %s: %w", i, m.Name, err))
			continue
		}
		pool[i] = made.Candidate
		r.candidates = append(r.candidates, made)
		r.byName[m.Name] = made
		r.tags = append(r.tags, made.tags...)
	}
	slices.Sort(r.tags)
	r.tags = slices.Compact(r.tags)
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	var err error
	if r.router, err = source.Router.With(pool); err != nil {
		return nil, err
	}
	r.router = r.router.Trim()
	for _, e := range c.Embeddings {
		made := &candidate{Candidate: carrot.Candidate{Name: e.Name}, upstream: e.Upstream, provider: providers[e.Provider]}
		if e.Price == nil {
			return nil, fmt.Errorf("embeddings %s: no price is known: add price: {input: …}, in USD per million tokens", e.Name)
		}
		price := e.Price.price()
		made.Price = &price
		r.embeddings[e.Name] = made
	}
	for i, p := range c.Policies {
		made, err := r.newPolicy(p, source.MeanQuality)
		if err != nil {
			return nil, fmt.Errorf("policies[%d] %s: %w", i, p.Name, err)
		}
		r.policies[p.Name] = made
		r.names = append(r.names, p.Name)
	}
	for _, m := range c.Models {
		r.names = append(r.names, m.Name)
	}
	return r, nil
}

func newUpstream(p ProviderConfig, transport http.RoundTripper) *upstream {
	u := &upstream{
		Upstream:       &provider.Upstream{Name: p.Name, Kind: provider.Kind(p.Kind), BaseURL: p.BaseURL, APIVersion: p.APIVersion, APIs: p.APIs, Header: http.Header{}},
		timeouts:       p.Timeouts,
		cacheMinTokens: p.CacheMinTokens,
	}
	if p.Kind == string(provider.Anthropic) && strings.Count(strings.TrimRight(p.BaseURL, "/"), "/") == 2 {
		u.BaseURL = strings.TrimRight(p.BaseURL, "/") + "/v1" // its SDKs give the address without
	}
	for _, key := range append([]Secret{p.APIKey}, p.APIKeys...) {
		if key != "" {
			u.Keys = append(u.Keys, key.Reveal())
		}
	}
	for name, value := range p.Headers {
		u.Header.Set(name, value.Reveal())
	}
	u.Client = provider.NewClient(u.timeouts.Connect)
	if transport != nil {
		u.Client.Transport = transport
	}
	// OpenAI's newer models know only the longer name, other servers often only
	// the older one.
	u.limitKey = "max_tokens"
	if p.Kind == string(provider.Azure) || strings.HasPrefix(p.BaseURL, "https://api.openai.com/") {
		u.limitKey = "max_completion_tokens"
	}
	return u
}

// newCandidate joins a configured model with what the router knows.
func newCandidate(m ModelConfig, known map[string]carrot.Candidate, u *upstream) (*candidate, error) {
	like := cmp.Or(m.Like, m.Name)
	base, ok := known[like]
	if !ok {
		names := slices.Sorted(maps.Keys(known))
		return nil, fmt.Errorf("the router does not know %q%s Name one it knows with like: %s", like, meant(like, names), strings.Join(names, ", "))
	}
	c := &candidate{Candidate: carrot.Candidate{Name: m.Name, Model: base.Model, Like: like}, upstream: m.Upstream, provider: u, tags: m.Tags}
	c.Model.ContextTokens = m.Context
	c.QualityShift, c.OutputFactor = m.Adjust.Quality, m.Adjust.OutputTokens
	if m.Abilities != nil {
		c.Model.Abilities = &carrot.Abilities{Tools: slices.Contains(*m.Abilities, "tools"),
			Vision: slices.Contains(*m.Abilities, "vision"), JSON: slices.Contains(*m.Abilities, "json")}
	}
	own, priced := known[m.Name]
	switch {
	case m.Price != nil:
		price := m.Price.price()
		c.Price = &price
	case priced && own.Price != nil:
		c.Price = own.Price
	default:
		return nil, fmt.Errorf("no price is known: add price: {input: …, output: …}, in USD per million tokens")
	}
	for _, key := range slices.Sorted(maps.Keys(m.Settings)) {
		value := m.Settings[key]
		if limit, ok := wholeNumber(value); ok && wire.IsTokenLimit(key) {
			c.MaxOutputTokens, c.limitKey = limit, key
			continue
		}
		raw, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("settings: %s: %w", key, err)
		}
		if nulls := nullsOf(value); nulls != "" {
			c.nulls = append(c.nulls, wire.Setting{Key: key, Raw: nulls})
			c.without += key + nulls + "\n"
		}
		c.settings = append(c.settings, wire.Setting{Key: key, Raw: string(raw)})
	}
	return c, nil
}

// price of the configured numbers: one that is not given is not set.
func (p *PriceConfig) price() carrot.Price {
	rate := func(usd *float64) carrot.Rate {
		if usd == nil {
			return 0
		}
		return carrot.PerMillion(*usd)
	}
	return carrot.Price{Input: rate(p.Input), CachedInput: rate(p.CachedInput), CacheWrite: rate(p.CacheWrite),
		Output: rate(p.Output), Reasoning: rate(p.Reasoning)}
}

// wholeNumber reads a number as YAML gives it.
func wholeNumber(v any) (int, bool) {
	switch n := v.(type) {
	case int:
		return n, n > 0
	case int64:
		return int(n), n > 0
	case uint64:
		return int(n), n > 0 && n < 1<<31
	}
	return 0, false
}

// newPolicy resolves a policy's names.
func (r *routes) newPolicy(c PolicyConfig, meanQuality map[string]float64) (*policy, error) {
	objective, err := carrot.ParseObjective(c.Objective)
	if err != nil {
		return nil, err
	}
	p := &policy{name: c.Name, objective: objective, novel: c.NovelToDefault, shadow: c.Shadow, exploration: *c.Exploration}
	name := fnv.New64a()
	name.Write([]byte(c.Name)) // so that policies of one seed do not draw in step
	p.draw = rand.New(rand.NewPCG(p.exploration.Seed, name.Sum64()))
	best := -1.0
	for _, m := range r.candidates {
		if len(c.Models) > 0 && !slices.Contains(c.Models, m.Name) || !m.tagged(c.Tags) {
			continue
		}
		p.pool = append(p.pool, m.Name)
		if q := meanQuality[m.Like]; q > best && c.Default == "" {
			best, p.standby = q, m
		}
	}
	if c.Default != "" {
		p.standby = r.byName[c.Default]
	}
	if p.standby == nil {
		return nil, fmt.Errorf("no model is left: check models and tags")
	}
	if _, err := objective.Resolve(r.router.Frontier()); err != nil {
		return nil, err
	}
	return p, nil
}

// tagged reports whether the candidate has all the tags.
func (c *candidate) tagged(tags []string) bool {
	return !slices.ContainsFunc(tags, func(tag string) bool { return !slices.Contains(c.tags, tag) })
}

// nullsOf returns what of a setting is null, in JSON: the whole, or some members
// of an object; empty if nothing is.
func nullsOf(setting any) string {
	if setting == nil {
		return "null"
	}
	members, _ := setting.(map[string]any)
	nulls := maps.Clone(members)
	maps.DeleteFunc(nulls, func(_ string, value any) bool { return value != nil })
	if len(nulls) == 0 {
		return ""
	}
	raw, err := json.Marshal(nulls)
	if err != nil { // of nulls there is none
		return ""
	}
	return string(raw)
}

// settingsFor puts settings in an API's words.
func settingsFor(api wire.API, settings []wire.Setting) []wire.Setting {
	var out []wire.Setting
	for _, s := range settings {
		out = append(out, wire.SettingFor(api, s.Key, s.Raw))
	}
	return out
}

// edits are the changes of a request on its way to the candidate, in the words
// of the API it is called with.
func (c *candidate) edits(api wire.API, r *wire.Request) wire.Edits {
	e := wire.Edits{Model: c.upstream, AskUsage: api == wire.Chat && r.Stream, OwnMetadata: true, NoLimitAsked: r.MaxOutputTokens == 0,
		Settings: settingsFor(api, c.settings)}
	if c.MaxOutputTokens > 0 {
		e.MaxTokens, e.MaxTokensKey = c.MaxOutputTokens, wire.TokenLimitFor(api, c.limitKey)
	}
	return e
}

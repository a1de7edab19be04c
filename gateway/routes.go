package gateway

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/wire"
	"github.com/carrot-router/carrot/price"
)

// Source is the router of a gateway, with what belongs to it.
type Source struct {
	// Router knows the configured models, and their prices unless the
	// configuration has them. It may know more models.
	Router *carrot.Router
	// MeanQuality is the mean quality of each model over the training queries.
	// The best model of a policy's pool is the policy's default unless it names
	// one. Without mean qualities, that is the model with the highest expected
	// quality for an empty query.
	MeanQuality map[string]float64
	// Routers are the routers that policies name (Config.Routers), by their files. Each
	// must know the configured models.
	Routers map[string]*carrot.Router
	// Prices has what is known of models by the providers' names of them, for
	// whatever the configuration omits: prices, limits, abilities. It also has the
	// prices of models that answer a part of a call of another, such as an advisor.
	// Nil: nothing is known.
	Prices *price.Book
}

// routes is a configuration that is ready to serve requests. It is never changed; a
// reload replaces it.
type routes struct {
	config     *Config
	router     *carrot.Router            // over the candidates
	others     map[string]*carrot.Router // that policies name, by their files
	providers  []*upstream
	candidates []*candidate // in the router's order
	byName     map[string]*candidate
	embeddings map[string]*candidate
	policies   map[string]*policy
	names      []string                    // that clients may use as the model, in order
	tags       []string                    // of the candidates, sorted
	settings   map[wire.API][]wire.Setting // of all candidates, as each API writes them
	clients    callers
	prices     *price.Book
	caller     *provider.Caller
}

// policy is a named objective, pool and default.
type policy struct {
	name        string
	objective   carrot.Objective
	pool        []string // names
	standby     *candidate
	novel       float64 // novelty above which the default answers; 0: it never does
	shadow      bool
	exploration ExplorationConfig
	canary      *carrot.Router // decides a share of the requests; nil: there is none
	share       float64
	watcher     *carrot.Router // whose decisions are only recorded; nil: there is none

	mu   sync.Mutex
	draw *rand.Rand // for exploration
}

// newRoutes builds the routes of a prepared configuration. They share the
// gateway's breakers and its budget of retries with the routes before them.
func (g *Gateway) newRoutes(c *Config, source Source) (*routes, error) {
	if source.Router == nil {
		return nil, errors.New("gateway: Source.Router is missing")
	}
	r := &routes{config: c, byName: map[string]*candidate{}, embeddings: map[string]*candidate{}, policies: map[string]*policy{}, others: map[string]*carrot.Router{}, prices: source.Prices,
		caller: &provider.Caller{Breakers: g.breakers, Budget: g.retries,
			Retry: provider.Retry{Retries: *c.Retry.Retries, Backoff: c.Retry.Backoff, MaxWait: c.Retry.MaxWait}}}
	r.clients = callers{newClients(c.Clients), g.clients, c.RequireKeys}
	providers := map[string]*upstream{}
	for _, p := range c.Providers {
		made := newUpstream(p, g.transport)
		providers[p.Name] = made
		r.providers = append(r.providers, made)
	}
	if r.prices == nil {
		r.prices = &price.Book{}
	}
	known := map[string]carrot.Candidate{}
	for _, k := range source.Router.Candidates() {
		known[k.Name] = k
	}
	lends, _ := source.Router.Predictor().(lender)
	pool := make([]carrot.Candidate, len(c.Models))
	var problems []error
	for i, m := range c.Models {
		made, err := newCandidate(completed(m, c.Providers, r.prices), known, lends, providers[m.Provider])
		if err != nil {
			problems = append(problems, fmt.Errorf("models[%d] %s: %w", i, m.Name, err))
			continue
		}
		pool[i] = made.Candidate
		r.candidates = append(r.candidates, made)
		r.byName[m.Name] = made
		r.tags = append(r.tags, m.Tags...)
	}
	slices.Sort(r.tags)
	r.tags = slices.Compact(r.tags)
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	r.settings = settingsOf(r.candidates)
	var err error
	if r.router, err = source.Router.With(pool); err != nil {
		return nil, err
	}
	r.router = r.router.Trim()
	for _, file := range c.Routers() {
		other := source.Routers[file]
		if other == nil {
			return nil, fmt.Errorf("gateway: Source.Routers lacks %s", file)
		}
		if other, err = other.With(pool); err != nil {
			return nil, fmt.Errorf("router %s: %w", file, err)
		}
		r.others[file] = other.Trim()
	}
	for _, e := range c.Embeddings {
		if r.embeddings[e.Name], err = newEmbedding(e, providers[e.Provider]); err != nil {
			return nil, err
		}
	}
	means := r.meanQualities(source.MeanQuality, lends)
	for i, p := range c.Policies {
		made, err := r.newPolicy(p, means)
		if err != nil {
			return nil, fmt.Errorf("policies[%d] %s: %w", i, p.Name, err)
		}
		r.policies[p.Name] = made
		r.names = append(r.names, p.Name)
	}
	for _, m := range c.Models {
		r.names = append(r.names, m.Name)
	}
	for _, alias := range slices.Sorted(maps.Keys(c.Aliases)) {
		if !strings.HasSuffix(alias, "*") {
			r.names = append(r.names, alias)
		}
	}
	return r, nil
}

// all returns the candidates and the embedding models.
func (r *routes) all() []*candidate {
	return slices.AppendSeq(slices.Clone(r.candidates), maps.Values(r.embeddings))
}

// meanQualities returns the mean quality of each candidate, by name: that of the model
// whose estimates it uses, or what is expected of one that borrows them, less its standard
// error, as nothing was observed of it. If none is known, it returns the expected qualities
// for an empty query, which is as unlike the training queries as possible.
func (r *routes) meanQualities(known map[string]float64, lends lender) map[string]float64 {
	means := map[string]float64{}
	for _, c := range r.candidates {
		if q, ok := known[c.Like]; ok {
			means[c.Name] = q
		} else if lends != nil && len(known) > 0 {
			if q, se, ok := lends.Mean(c.Like); ok {
				means[c.Name] = q - se
			}
		}
	}
	if len(means) > 0 {
		return means
	}
	d, err := r.route(context.Background(), r.router, carrot.Query{InputTokens: 1}, carrot.USDPerQuality(0))
	if err != nil && !errors.Is(err, carrot.ErrNoCandidate) {
		return means
	}
	for _, a := range d.Candidates {
		means[a.Name] = a.Quality
	}
	return means
}

// newPolicy returns the policy for its configuration.
func (r *routes) newPolicy(c PolicyConfig, means map[string]float64) (*policy, error) {
	objective, err := carrot.ParseObjective(c.Objective)
	if err != nil {
		return nil, err
	}
	p := &policy{name: c.Name, objective: objective, novel: c.NovelToDefault, shadow: c.Shadow, exploration: *c.Exploration}
	name := fnv.New64a()
	name.Write([]byte(c.Name)) // so that policies with the same seed draw differently
	p.draw = rand.New(rand.NewPCG(p.exploration.Seed, name.Sum64()))
	best := -1.0
	for _, m := range r.candidates {
		if len(c.Models) > 0 && !slices.Contains(c.Models, m.Name) || !m.target().tagged(c.Tags) {
			continue
		}
		p.pool = append(p.pool, m.Name)
		if q, ok := means[m.Name]; ok && q > best {
			best, p.standby = q, m
		}
	}
	if len(c.Models) > 0 { // in the order in which they are listed
		slices.SortFunc(p.pool, func(a, b string) int { return slices.Index(c.Models, a) - slices.Index(c.Models, b) })
	}
	if c.Default != "" {
		p.standby = r.byName[c.Default]
	}
	switch {
	case len(p.pool) == 0:
		return nil, errors.New("its pool is empty: check models and tags")
	case p.standby == nil:
		return nil, errors.New("the mean qualities of its models are unknown, so it has no default: set default")
	}
	p.canary, p.share, p.watcher = r.others[c.Canary.Router], c.Canary.Share, r.others[c.ShadowRouter]
	for _, router := range []*carrot.Router{r.router, p.canary, p.watcher} {
		if router == nil {
			continue
		}
		if _, err := router.Promises(objective, p.pool); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// route calls a router. It turns a panic into an error, and limits the time.
func (r *routes) route(ctx context.Context, router *carrot.Router, query carrot.Query, o carrot.Objective) (d carrot.Decision, err error) {
	ctx, cancel := context.WithTimeout(ctx, routeTimeout)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the router panicked: %T", v)
		}
	}()
	return router.Route(ctx, query, o)
}

// newBreakers returns the circuit breakers of a configuration.
func newBreakers(c BreakerConfig, m *metrics, log *slog.Logger) *provider.Breakers {
	return &provider.Breakers{Failures: c.Failures, Open: c.Open, Changed: func(name, model string, from, to provider.BreakerState) {
		log.Warn("circuit breaker", "provider", name, "upstream_model", model, "from", from.String(), "to", to.String())
		m.breaker(name, model, int(to))
	}}
}

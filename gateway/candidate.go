package gateway

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/wire"
)

// candidate is what is decided on: a name with estimates and a cost, and the
// calls that it takes. The decision rule knows nothing of the calls.
type candidate struct {
	carrot.Candidate
	// steps are the targets that are called for it, in order. A model has one.
	steps []*target
}

// target is what a candidate calls. Today every candidate calls one model.
func (c *candidate) target() *target { return c.steps[0] }

// target is what is called: a model of a provider, with the changes that a request
// needs on its way there.
type target struct {
	provider *upstream
	model    string // the provider's name for it
	price    *carrot.Price
	tags     []string
	settings []wire.Setting // in the words of the chat API
	nulls    []wire.Setting // the settings with null, which remove fields
	without  string         // the same, as a key
	// maxTokens is the limit of output tokens in the settings, by the name
	// limitKey; 0: none.
	maxTokens int
	limitKey  string
}

// upstream is a provider, with what the gateway needs to know beside how to call it.
type upstream struct {
	*provider.Upstream
	cacheMinTokens int
	limitKey       string // the name of the limit of output tokens in its chat API
}

// call is the target as it is called.
func (t *target) call() provider.Target {
	return provider.Target{Upstream: t.provider.Upstream, Model: t.model}
}

// tagged reports whether the target has all the tags.
func (t *target) tagged(tags []string) bool {
	return !slices.ContainsFunc(tags, func(tag string) bool { return !slices.Contains(t.tags, tag) })
}

// edits are the changes to a request on its way to the target, in the words of the
// API with which it is called.
func (t *target) edits(api wire.API, r *wire.Request) wire.Edits {
	e := wire.Edits{Model: t.model, AskUsage: api == wire.Chat && r.Stream, OwnMetadata: true, NoLimitAsked: r.MaxOutputTokens == 0,
		Settings: settingsFor(api, t.settings)}
	if t.maxTokens > 0 {
		e.MaxTokens, e.MaxTokensKey = t.maxTokens, wire.TokenLimitFor(api, t.limitKey)
	}
	return e
}

// settingsFor puts settings into an API's words.
func settingsFor(api wire.API, settings []wire.Setting) []wire.Setting {
	var out []wire.Setting
	for _, s := range settings {
		out = append(out, wire.SettingFor(api, s.Key, s.Raw))
	}
	return out
}

func newUpstream(p ProviderConfig, transport http.RoundTripper) *upstream {
	u := &upstream{
		Upstream: &provider.Upstream{Name: p.Name, Kind: provider.Kind(p.Kind), BaseURL: p.BaseURL, APIVersion: p.APIVersion, Header: http.Header{},
			Timeouts: provider.Timeouts{FirstToken: p.Timeouts.FirstToken, Total: p.Timeouts.Total}, Transport: transport},
		cacheMinTokens: p.CacheMinTokens,
	}
	for _, api := range p.APIs {
		u.APIs = append(u.APIs, wire.API(api))
	}
	if p.Kind == anthropic && strings.Count(strings.TrimRight(p.BaseURL, "/"), "/") == 2 {
		u.BaseURL = strings.TrimRight(p.BaseURL, "/") + "/v1" // Anthropic's own clients are given the address without it
	}
	for _, key := range append([]Secret{p.APIKey}, p.APIKeys...) {
		if key != "" {
			u.Keys = append(u.Keys, key.Reveal())
		}
	}
	for name, value := range p.Headers {
		u.Header.Set(name, value.Reveal())
	}
	if transport == nil {
		u.Transport = provider.NewTransport(p.Timeouts.Connect)
	}
	// OpenAI's newer models accept only the longer name, other servers often
	// only the older one.
	u.limitKey = "max_tokens"
	if p.Kind == azure || strings.HasPrefix(p.BaseURL, "https://api.openai.com/") {
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
	c := &candidate{Candidate: carrot.Candidate{Name: m.Name, Model: base.Model, Like: like}}
	c.Model.ContextTokens = m.Context
	c.QualityShift, c.OutputFactor = m.Adjust.Quality, m.Adjust.OutputTokens
	if m.Abilities != nil {
		c.Model.Abilities = &carrot.Abilities{Tools: slices.Contains(*m.Abilities, "tools"),
			Vision: slices.Contains(*m.Abilities, "vision"), JSON: slices.Contains(*m.Abilities, "json")}
	}
	own, priced := known[m.Name]
	switch {
	case m.Price != nil:
		c.Price = m.Price.price()
	case priced && own.Price != nil:
		c.Price = own.Price
	default:
		return nil, errors.New("no price is known: add price: {input: …, output: …}, in USD per million tokens")
	}
	t := &target{provider: u, model: m.Upstream, price: c.Price, tags: m.Tags}
	if err := t.set(m.Settings); err != nil {
		return nil, err
	}
	c.MaxOutputTokens = t.maxTokens
	c.steps = []*target{t}
	return c, nil
}

// set takes over the settings of a configured model.
func (t *target) set(settings map[string]any) error {
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		value := settings[key]
		if limit, ok := wholeNumber(value); ok && wire.IsTokenLimit(key) {
			t.maxTokens, t.limitKey = limit, key
			continue
		}
		raw, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("settings: %s: %w", key, err)
		}
		if nulls := nullsOf(value); nulls != "" {
			t.nulls = append(t.nulls, wire.Setting{Key: key, Raw: nulls})
			t.without += key + nulls + "\n"
		}
		t.settings = append(t.settings, wire.Setting{Key: key, Raw: string(raw)})
	}
	return nil
}

// newEmbedding is the target of a configured model of embeddings.
func newEmbedding(e EmbeddingConfig, u *upstream) (*candidate, error) {
	if e.Price == nil {
		return nil, fmt.Errorf("embeddings %s: no price is known: add price: {input: …}, in USD per million tokens", e.Name)
	}
	price := e.Price.price()
	return &candidate{Candidate: carrot.Candidate{Name: e.Name, Price: price}, steps: []*target{{provider: u, model: e.Upstream, price: price}}}, nil
}

// price is that of the configured numbers: a number that is not given is not set.
func (p *PriceConfig) price() *carrot.Price {
	rate := func(usd *float64) carrot.Rate {
		if usd == nil {
			return 0
		}
		return carrot.PerMillion(*usd)
	}
	return &carrot.Price{Input: rate(p.Input), CachedInput: rate(p.CachedInput), CacheWrite: rate(p.CacheWrite),
		Output: rate(p.Output), Reasoning: rate(p.Reasoning)}
}

// wholeNumber reads a number as YAML gives it.
func wholeNumber(v any) (int, bool) {
	switch n := v.(type) {
	case int:
		return n, n > 0 && n < 1<<31
	case int64:
		return int(n), n > 0 && n < 1<<31
	case uint64:
		return int(n), n > 0 && n < 1<<31
	}
	return 0, false
}

// nullsOf returns the parts of a setting that are null, in JSON: the whole, or some
// members of an object; empty if there are none.
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
	if err != nil { // nulls can always be written
		return ""
	}
	return string(raw)
}

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

// candidate is what is decided on: a name with estimates and a cost. It also has the
// calls that it consists of, which do not matter to the decision.
type candidate struct {
	carrot.Candidate
	// steps are the targets that are called, in order. A model has one.
	steps []*target
	// borrowed names the model whose forecasts the router uses, as it has none of the
	// candidate's own; "": it has, or the configuration says whose it uses.
	borrowed string
}

// target returns the target of a candidate that calls one model, as all do today.
func (c *candidate) target() *target { return c.steps[0] }

// target is what is called: a model of a provider, with changes that every request to
// it needs.
type target struct {
	provider *upstream
	model    string // the provider's name for it
	price    *carrot.Price
	tags     []string
	// cacheMinTokens is the shortest prefix that the provider's prompt cache keeps
	// of the model; below 0: it has no cache.
	cacheMinTokens int
	facts          wire.Facts
	settings       []wire.Setting // in the form of the chat API
	nulls          []wire.Setting // the settings that contain null, which removes fields
	without        string         // nulls as a map key
	// maxTokens is the limit on output tokens in the settings, and limitKey its
	// name there; 0: none.
	maxTokens int
	limitKey  string
	// chatLimit is the name of that limit in the chat API of the model. onlyLong says
	// that the model refuses the shorter name.
	chatLimit string
	onlyLong  bool
}

// upstream is a provider, with what the gateway knows about it beyond how to call it.
type upstream struct {
	*provider.Upstream
	cacheMinTokens int
	limitKey       string // the name of the limit on output tokens in its chat API
	foreign        bool   // its API is only compatible with OpenAI's
	signs          bool   // it refuses reasoning that it has not signed or encrypted itself
}

// sameAccount reports whether a key of u and one of p are the same at the same address,
// as far as that can be known.
func (u *upstream) sameAccount(key int, p *upstream, other int) bool {
	if u == p && key == other {
		return true
	}
	secret := func(u *upstream, key int) string {
		if key < len(u.Keys) {
			return u.Keys[key]
		}
		return ""
	}
	return u.BaseURL == p.BaseURL && secret(u, key) == secret(p, other)
}

// call returns the target for a [provider.Caller].
func (t *target) call() provider.Target {
	return provider.Target{Upstream: t.provider.Upstream, Model: t.model}
}

// tagged reports whether the target has all the tags.
func (t *target) tagged(tags []string) bool {
	return !slices.ContainsFunc(tags, func(tag string) bool { return !slices.Contains(t.tags, tag) })
}

// edits returns the changes to a request for the target, in the form of the API by
// which it is called.
func (t *target) edits(api wire.API, r *wire.Request) wire.Edits {
	e := wire.Edits{Model: t.model, AskUsage: api == wire.Chat && r.Stream, OwnMetadata: true, NoLimitAsked: r.MaxOutputTokens == 0,
		Settings: settingsFor(api, t.settings)}
	if t.maxTokens > 0 {
		e.MaxTokens, e.MaxTokensKey = t.maxTokens, wire.TokenLimitFor(api, t.limitKey)
	}
	if t.unthinking(api, r) {
		e.Settings = slices.DeleteFunc(e.Settings, func(s wire.Setting) bool { return s.Key == thinkingKey })
	}
	return e
}

// The names of the limit on output tokens in chat.
const (
	maxTokens           = "max_tokens"
	maxCompletionTokens = "max_completion_tokens"
)

// thinkingKey is the setting that makes Anthropic's models think.
const thinkingKey = "thinking"

// unthinking reports whether the target must not think about a request although its
// settings say so: Anthropic's models refuse to continue a turn with results of tools if
// its beginning has no signed thinking, as after a translation, unless they decide
// themselves whether to think. They also refuse to think before a call that a translated
// request demands.
func (t *target) unthinking(api wire.API, r *wire.Request) bool {
	thinking := t.thinking()
	switch {
	case api != wire.Messages || thinking == "":
		return false
	case r.API == api:
		return r.Unthought() && wire.HasBudget(thinking)
	}
	return r.InTool() || r.DemandsCall()
}

// thinking returns the setting that makes one of Anthropic's models think, or "".
func (t *target) thinking() string {
	if t.provider.Kind == provider.Anthropic {
		for _, s := range t.settings {
			if s.Key == thinkingKey && s.Raw != "null" && !strings.Contains(s.Raw, `"disabled"`) {
				return s.Raw
			}
		}
	}
	return ""
}

// settingsFor translates settings to the form of an API.
func settingsFor(api wire.API, settings []wire.Setting) []wire.Setting {
	var out []wire.Setting
	for _, s := range settings {
		out = append(out, wire.SettingFor(api, s.Key, s.Raw))
	}
	return out
}

// settingsOf returns the different settings of all candidates, in the form of each API.
func settingsOf(candidates []*candidate) map[wire.API][]wire.Setting {
	all := map[wire.API][]wire.Setting{}
	for _, api := range []wire.API{wire.Chat, wire.Responses, wire.Messages} {
		for _, c := range candidates {
			for _, t := range c.steps {
				for _, s := range settingsFor(api, t.settings) {
					if !slices.Contains(all[api], s) {
						all[api] = append(all[api], s)
					}
				}
			}
		}
	}
	return all
}

func newUpstream(p ProviderConfig, transport http.RoundTripper) *upstream {
	u := &upstream{
		Upstream: &provider.Upstream{Name: p.Name, Kind: provider.Kind(p.Kind), BaseURL: provider.BaseURL(provider.Kind(p.Kind), p.BaseURL), APIVersion: p.APIVersion, Header: http.Header{},
			Timeouts: provider.Timeouts{FirstToken: p.Timeouts.FirstToken, Thinking: p.Timeouts.Thinking, Idle: p.Timeouts.Idle, Total: p.Timeouts.Total}, Transport: transport},
		cacheMinTokens: p.CacheMinTokens,
	}
	for _, api := range p.APIs {
		u.APIs = append(u.APIs, wire.API(api))
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
	// OpenAI's newer models accept only the longer name, many other servers
	// only the shorter one.
	u.limitKey = maxCompletionTokens
	if u.foreign = p.Kind == openAI && !provider.IsOpenAI(p.BaseURL); u.foreign {
		u.limitKey = maxTokens
	}
	u.signs = p.Kind != anthropic && !u.foreign || p.Kind == anthropic && provider.IsAt(p.BaseURL, ".api.anthropic.com")
	return u
}

// newCandidate combines a configured model with what the router knows about it.
func newCandidate(m completeModel, known map[string]carrot.Candidate, lends lender, u *upstream) (*candidate, error) {
	like := cmp.Or(m.Like, m.Name)
	base, ok := known[like]
	if !ok {
		if like = borrowing(&m, lends); like == "" {
			like, names := cmp.Or(m.Like, m.Name), slices.Sorted(maps.Keys(known))
			return nil, fmt.Errorf("the router does not know %q%s Set like to a model that it knows: %s; docs/default-router.md lists the models of today that need no like", like, meant(like, names), strings.Join(names, ", "))
		}
	}
	c := &candidate{Candidate: carrot.Candidate{Name: m.Name, Model: base.Model, Like: like}}
	if lends != nil {
		c.borrowed = lends.Lender(like)
	}
	c.Model.ContextTokens = m.Context
	c.QualityShift, c.OutputFactor, c.InputFactor = m.Adjust.Quality, m.Adjust.OutputTokens, m.tokenFactor
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
	case m.listed != nil:
		c.Price = m.listed
	case m.elsewhere != "":
		return nil, fmt.Errorf("its price is unknown: that in the catalogue holds at the address of %s, not at that of provider %s: add price: {input: …, output: …}, in USD per million tokens, or an entry to a price book (prices)", m.elsewhere, m.Provider)
	default:
		return nil, errors.New("its price is unknown: add price: {input: …, output: …}, in USD per million tokens, or an entry to a price book (prices)")
	}
	t, err := newTarget(m, u, c.Price)
	if err != nil {
		return nil, err
	}
	c.MaxOutputTokens = t.maxTokens
	c.steps = []*target{t}
	return c, nil
}

// lender is a predictor that forecasts models which borrow the forecasts of others.
type lender interface {
	// Lender names the model whose forecasts another borrows; "": it does not.
	Lender(model string) string
	// Mean is the mean quality that is expected of a model which borrows, and its
	// standard error.
	Mean(model string) (mean, se float64, ok bool)
}

// borrowing returns the name by which the router borrows forecasts for a configured model
// that it does not know, or "". Without like, that is the model's name, the provider's name
// of it, or what the catalogue calls it.
func borrowing(m *completeModel, lends lender) string {
	names := []string{m.Like}
	if m.Like == "" {
		names = []string{m.Name, m.Upstream, m.catalogued}
	}
	for _, name := range names {
		if lends != nil && lends.Lender(name) != "" {
			return name
		}
	}
	return ""
}

// newTarget returns what is called for a configured model.
func newTarget(m completeModel, u *upstream, price *carrot.Price) (*target, error) {
	t := &target{provider: u, model: m.Upstream, price: price, tags: m.Tags, cacheMinTokens: cmp.Or(m.CacheMinTokens, u.cacheMinTokens)}
	if err := t.set(m.Settings); err != nil {
		return nil, err
	}
	t.facts = facts(&m.ModelConfig, t.maxTokens)
	t.facts.Foreign = u.foreign
	t.facts.WantsSignature = isGoogle(u.BaseURL) && begins(vendorName(m.Upstream), wantSignature)
	if t.thinking() != "" { // Anthropic's models then refuse sampling parameters
		t.facts.NoSampling = true
	}
	t.onlyLong = refusesMaxTokens(m.Upstream)
	switch {
	case t.limitKey == maxTokens || t.limitKey == maxCompletionTokens:
		t.chatLimit = t.limitKey
	case t.onlyLong:
		t.chatLimit = maxCompletionTokens
	default:
		t.chatLimit = u.limitKey
	}
	return t, nil
}

// set applies the settings of a configured model.
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

// newEmbedding returns the candidate for a configured embedding model.
func newEmbedding(e EmbeddingConfig, u *upstream) (*candidate, error) {
	if e.Price == nil {
		return nil, fmt.Errorf("embeddings %s: its price is unknown: add price: {input: …}, in USD per million tokens", e.Name)
	}
	price := e.Price.price()
	return &candidate{Candidate: carrot.Candidate{Name: e.Name, Price: price}, steps: []*target{{provider: u, model: e.Upstream, price: price}}}, nil
}

// wholeNumber returns a positive whole number below 2^31, in any of the types that
// strictyaml and Go programs use.
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

// nullsOf returns the parts of a setting that are null, as JSON: "null", or an object
// with those of its members. It is empty if there are none.
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
	if err != nil { // impossible
		return ""
	}
	return string(raw)
}

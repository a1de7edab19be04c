package gateway

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/strictyaml"
	"github.com/carrot-router/carrot/price"
)

// completeModel is a configured model with what the catalogue knows in addition. Where
// the catalogue knows nothing, nothing is assumed.
type completeModel struct {
	ModelConfig
	listed      *carrot.Price // that of the price book, or of the vendor if it serves the model
	elsewhere   string        // the vendor whose price the catalogue has, if another provider serves the model
	tokenFactor float64
	catalogued  string // its name in the catalogue, if it is there
}

// completed fills in what a configured model omits.
func completed(m ModelConfig, providers []ProviderConfig, book *price.Book) completeModel {
	out := completeModel{ModelConfig: m}
	for _, name := range []string{m.Name, m.Upstream} { // a book's own entry holds wherever the model is served
		if out.listed == nil && slices.ContainsFunc(book.Entries, func(e price.Entry) bool { return e.Name == name || slices.Contains(e.Aliases, name) }) {
			if p, err := book.Price(name); err == nil {
				out.listed = &p
			}
		}
	}
	e, err := book.Lookup(m.Upstream)
	if err != nil {
		return out
	}
	out.tokenFactor, out.catalogued = e.TokenFactor, e.Name
	if out.Context == 0 {
		if out.Context = e.Context; out.Context == 0 && e.MaxInput > 0 {
			out.Context = e.MaxInput + e.MaxOutput
		}
	}
	if out.MaxOutput == 0 {
		out.MaxOutput = e.MaxOutput
	}
	if out.Efforts == nil && e.Efforts != nil {
		out.Efforts = &e.Efforts
	}
	if refuses := e.Sampling; out.Sampling == nil && refuses != nil && !*refuses && len(e.SamplingEfforts) == 0 {
		out.Sampling = refuses
	}
	if out.Abilities == nil {
		out.Abilities = abilitiesOf(&e)
	}
	at := slices.IndexFunc(providers, func(p ProviderConfig) bool { return p.Name == m.Provider })
	if at < 0 {
		return out
	}
	if out.CacheMinTokens == 0 && providers[at].CacheMinTokens == defaultCacheMin { // the provider's own is not set
		out.CacheMinTokens = e.CacheMin
	}
	if p, err := book.Price(m.Upstream); err == nil && out.listed == nil {
		if serves(&providers[at], e.Provider) {
			out.listed = &p
		} else {
			out.elsewhere = e.Provider
		}
	}
	return out
}

// shutdownNear is how long before the shutdown of a model it is warned of.
const shutdownNear = 60 * 24 * time.Hour

// shutdowns returns a warning for each model and embedding model that its provider has
// shut down, or soon will, as far as the book knows. The dates of vendors hold only at
// their own addresses.
func (c *Config) shutdowns(book *price.Book, clock func() time.Time) []string {
	var out []string
	look := func(field, name, upstream, providerName string) {
		e, ok := c.vendorEntry(book, upstream, providerName)
		day, err := time.Parse(time.DateOnly, e.Shutdown)
		if err != nil || !ok { // no date is known
			return
		}
		now := clock()
		if day.Sub(now) > shutdownNear {
			return
		}
		text := fmt.Sprintf("%s %s: %s will be shut down on %s", field, name, upstream, e.Shutdown)
		if !now.Before(day) {
			text = fmt.Sprintf("%s %s: %s was shut down on %s", field, name, upstream, e.Shutdown)
		}
		if e.Successor != "" {
			text += ", and its successor is " + e.Successor
		}
		out = append(out, text)
	}
	for i, m := range c.Models {
		look(strictyaml.Element("models", i), m.Name, m.Upstream, m.Provider)
	}
	for i, e := range c.Embeddings {
		look(strictyaml.Element("embeddings", i), e.Name, e.Upstream, e.Provider)
	}
	return out
}

// warn logs what is doubtful about a configuration that is in use.
func (g *Gateway) warn(r *routes) {
	for _, text := range r.config.shutdowns(r.prices, g.decider.conversations.now) {
		g.log.Warn(text)
	}
	var borrowed []string
	for _, c := range r.candidates {
		if c.borrowed != "" {
			borrowed = append(borrowed, c.Name+" from "+c.borrowed)
		}
	}
	if len(borrowed) > 0 {
		g.log.Warn("the router has no outcomes of some models and borrows their estimates: " + strings.Join(borrowed, ", ") + "; docs/default-router.md says how to replace them with your own")
	}
}

// abilitiesOf returns the abilities of a model except those that it is known to lack, or
// nil if it is known to lack none.
func abilitiesOf(e *price.Entry) *[]string {
	var has []string
	lacks := false
	for _, a := range []struct {
		name string
		able *bool
	}{{"tools", e.ToolCalls}, {"vision", e.Vision}, {"json", e.JSON}} {
		if a.able == nil || *a.able {
			has = append(has, a.name)
		} else {
			lacks = true
		}
	}
	if !lacks {
		return nil
	}
	return &has
}

// vendorHosts are the addresses of vendors' own APIs, by the names of the vendors in the
// catalogue. A model has its vendor's price only there.
var vendorHosts = map[string][]string{
	"openai": {"api.openai.com"}, "anthropic": {"api.anthropic.com"}, "google": {"generativelanguage.googleapis.com"},
	"deepseek": {"api.deepseek.com"}, "mistral": {"api.mistral.ai"}, "xai": {"api.x.ai"}, "moonshot": {"api.moonshot.ai", "api.moonshot.cn"},
	"zhipu": {"api.z.ai", "open.bigmodel.cn"}, "minimax": {"api.minimax.io", "api.minimaxi.com"}, "meta": {"api.llama.com"},
	"qwen": {"dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com", "dashscope-us.aliyuncs.com"},
}

// serves reports whether a provider is a vendor's own API.
func serves(p *ProviderConfig, vendor string) bool {
	u, err := url.Parse(p.BaseURL)
	return err == nil && p.Kind != string(provider.Azure) && slices.Contains(vendorHosts[vendor], strings.ToLower(u.Hostname()))
}

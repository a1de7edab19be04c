package gateway

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/price"
)

// pricedModel is what operators are told of a model: what is asked, at which price, and
// whose estimates stand in for its own.
type pricedModel struct {
	Name     string `json:"name"`
	Provider string `json:"provider"`
	Upstream string `json:"upstream"`
	Borrowed string `json:"borrowed,omitempty"` // the model whose estimates are used, as there are none of its own
	// Price is what calls are billed by, in USD for a million tokens.
	Price  *carrot.Price `json:"price"`
	Source string        `json:"price_source,omitempty"` // empty: unknown
	// Shutdown is the day from which requests fail, and Successor the model that the
	// vendor names in its place; empty: unknown.
	Shutdown  string `json:"shutdown,omitempty"`
	Successor string `json:"successor,omitempty"`
}

// priced returns the models and the embedding models of the configuration, in its order.
func (r *routes) priced() []pricedModel {
	list := []pricedModel{}
	add := func(c *candidate, providerName string, own bool) {
		m := pricedModel{Name: c.Name, Provider: providerName, Upstream: c.target().model, Borrowed: c.borrowed, Price: c.Price}
		if own {
			m.Source = "the configuration"
		} else {
			m.Source = r.sourceOf(c)
		}
		if e, ok := r.config.vendorEntry(r.prices, m.Upstream, providerName); ok {
			m.Shutdown, m.Successor = e.Shutdown, e.Successor
		}
		list = append(list, m)
	}
	for i, c := range r.candidates {
		add(c, r.config.Models[i].Provider, r.config.Models[i].Price != nil)
	}
	for _, e := range r.config.Embeddings {
		add(r.embeddings[e.Name], e.Provider, true)
	}
	return list
}

// sourceOf returns where the price of a candidate is from: the entry of the price book that
// has the same one.
func (r *routes) sourceOf(c *candidate) string {
	for _, name := range []string{c.Name, c.target().model} {
		if e, err := r.prices.Lookup(name); err == nil && c.Price != nil && e.Input == c.Price.Input && e.Output == c.Price.Output && e.Date == c.Price.Date {
			return e.Source
		}
	}
	return ""
}

// vendorEntry returns what a price book says of a model at a provider. What it says of the
// dates of vendors holds only at their own addresses.
func (c *Config) vendorEntry(book *price.Book, upstream, providerName string) (price.Entry, bool) {
	e, err := book.Lookup(upstream)
	at := slices.IndexFunc(c.Providers, func(p ProviderConfig) bool { return p.Name == providerName })
	if err != nil || at < 0 || e.Provider != "" && !serves(&c.Providers[at], e.Provider) {
		return price.Entry{}, false
	}
	return e, true
}

// pricing answers operators with the models of the configuration.
func (g *Gateway) pricing(w http.ResponseWriter, _ *http.Request) {
	body, err := json.Marshal(map[string]any{"object": "list", "data": g.routes.Load().priced()})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(append(body, '\n'))
}

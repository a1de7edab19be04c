package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/dashboard"
	"github.com/carrot-router/carrot/internal/phrase"
)

// priceOf returns the price by which the gateway bills calls of a model, as it tells
// operators.
func (s *service) priceOf(admin http.Handler, model string) dashboard.Price {
	p := dashboard.Price{Input: math.NaN(), Cached: math.NaN(), Output: math.NaN()}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://localhost/models", nil)
	if err != nil { // impossible
		return p
	}
	r.Header.Set("Authorization", "Bearer "+s.config().AdminKey.Reveal())
	w := &captured{header: http.Header{}}
	admin.ServeHTTP(w, r)
	var list struct {
		Data []struct {
			Name, Borrowed      string
			Price               *carrot.Price
			Source              string `json:"price_source"`
			Shutdown, Successor string
		}
	}
	if err := json.Unmarshal(w.body.Bytes(), &list); err != nil || w.status != http.StatusOK {
		s.log.Error("the prices of models cannot be read", "status", w.status, "error", err)
		return p
	}
	for _, m := range list.Data {
		if m.Name != model || m.Price == nil {
			continue
		}
		p.Input, p.Cached, p.Output = perMillion(m.Price.Input), perMillion(m.Price.CachedInput.Or(m.Price.Input)), perMillion(m.Price.Output)
		p.Date, p.Source, p.Shutdown, p.Successor, p.Borrowed, p.Also = m.Price.Date, m.Source, m.Shutdown, m.Successor, m.Borrowed, furtherPrices(m.Price)
	}
	return p
}

// perMillion returns a rate in USD for a million tokens; NaN if it is unknown.
func perMillion(r carrot.Rate) float64 {
	if v, ok := r.PerMillion(); ok {
		return v
	}
	return math.NaN()
}

// furtherPrices says on what a bill depends besides the three rates that all prices have.
func furtherPrices(p *carrot.Price) []string {
	var list []string
	rate := func(name string, r carrot.Rate) {
		if v, ok := r.PerMillion(); ok {
			list = append(list, name+" "+phrase.USD(v))
		}
	}
	rate("cache writes", p.CacheWrite)
	if p.Reasoning != p.Output {
		rate("reasoning", p.Reasoning)
	}
	t := p.Tariff
	if t == nil {
		return list
	}
	for _, seconds := range slices.Sorted(maps.Keys(t.CacheWrites)) {
		rate("cache writes kept for "+(time.Duration(seconds)*time.Second).String(), t.CacheWrites[seconds])
	}
	rate("sound in", t.AudioInput)
	rate("sound out", t.AudioOutput)
	rate("images in", t.ImageInput)
	rate("images out", t.ImageOutput)
	for _, long := range t.Above {
		list = append(list, fmt.Sprintf("above %d tokens: %s", long.Tokens, inAndOut(&long.Price)))
	}
	for _, name := range slices.Sorted(maps.Keys(t.Tiers)) {
		tier := t.Tiers[name]
		if tier.Factor != 0 {
			list = append(list, "tier "+name+": × "+strconv.FormatFloat(tier.Factor, 'g', -1, 64))
		} else {
			list = append(list, "tier "+name+": "+inAndOut(&tier.Price))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Regions)) {
		list = append(list, "region "+name+": × "+strconv.FormatFloat(t.Regions[name], 'g', -1, 64))
	}
	for _, name := range slices.Sorted(maps.Keys(t.Tools)) {
		list = append(list, name+": "+phrase.USD(t.Tools[name].Float())+" a use")
	}
	return list
}

// inAndOut writes the prices of input and output tokens.
func inAndOut(p *carrot.Price) string {
	text := func(r carrot.Rate) string {
		if v, ok := r.PerMillion(); ok {
			return phrase.USD(v)
		}
		return "unknown"
	}
	return "input " + text(p.Input) + ", output " + text(p.Output)
}

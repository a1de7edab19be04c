package dashboard

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/phrase"
)

// Attach returns the handler of a gateway for operators, with the dashboard. Prices and
// decisions for a text are the answers of the gateway itself, so o.Prices and o.Try may be nil.
func Attach(g *gateway.Gateway, a gateway.AdminOptions, o Options) (http.Handler, error) {
	ask := &operator{config: o.Config}
	o.Prices, o.Try = ask.prices, ask.tries
	d, err := New(o)
	if err != nil {
		return nil, err
	}
	handlers := d.Handlers()
	maps.Copy(handlers, a.Handlers)
	a.Handlers = handlers
	ask.gateway = g.Admin(a)
	ask.log = d.Log
	return d.Guard(ask.gateway), nil
}

// operator asks the gateway of this process as an operator does.
type operator struct {
	gateway http.Handler
	config  func() *gateway.File
	log     *slog.Logger
}

// ask sends a request with the admin key.
func (o *operator) ask(ctx context.Context, method, path string, body []byte) (*answered, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+o.config().AdminKey.Reveal())
	w := &answered{header: http.Header{}}
	o.gateway.ServeHTTP(w, r)
	return w, nil
}

// answered is an answer of a handler in this process.
type answered struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *answered) Header() http.Header { return w.header }

func (w *answered) WriteHeader(status int) { w.status = cmp.Or(w.status, status) }

func (w *answered) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// tried are the objectives that are shown for a text, before the policies.
var tried = []string{"cheap", "balanced", "quality"}

// tries decides for a text at several objectives, as the gateway would for a client that may
// use everything.
func (o *operator) tries(ctx context.Context, text string) ([]Trial, error) {
	var list []Trial
	names := slices.Clone(tried)
	for _, p := range o.config().Policies {
		if !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	for _, name := range names {
		body, err := json.Marshal(map[string]any{"model": name, "messages": []any{map[string]string{"role": "user", "content": text}}})
		if err != nil {
			return nil, err
		}
		w, err := o.ask(ctx, http.MethodPost, "/v1/route", body)
		if err != nil {
			return nil, err
		}
		one := Trial{Name: name}
		if w.status == http.StatusOK {
			one.Decision = &carrot.Decision{}
			if err := json.Unmarshal(w.body.Bytes(), one.Decision); err != nil {
				return nil, err
			}
		} else {
			var answer struct {
				Error struct{ Message string }
			}
			_ = json.Unmarshal(w.body.Bytes(), &answer) // an answer in another form has no message
			one.Err = cmp.Or(answer.Error.Message, http.StatusText(w.status))
		}
		list = append(list, one)
	}
	return list, nil
}

// prices returns the prices by which the gateway bills calls, as far as they are known.
func (o *operator) prices() map[string]Price {
	w, err := o.ask(context.Background(), http.MethodGet, "/models", nil)
	if err != nil { // impossible
		return nil
	}
	var list struct {
		Data []struct {
			Name, Borrowed      string
			Price               *carrot.Price
			Source              string `json:"price_source"`
			Shutdown, Successor string
		}
	}
	if err := json.Unmarshal(w.body.Bytes(), &list); err != nil || w.status != http.StatusOK {
		o.log.Error("the prices of models cannot be read", "status", w.status, "error", err)
		return nil
	}
	all := make(map[string]Price, len(list.Data))
	for _, m := range list.Data {
		p := unknownPrice()
		if m.Price != nil {
			p.Input, p.Cached, p.Output = perMillion(m.Price.Input), perMillion(m.Price.CachedInput.Or(m.Price.Input)), perMillion(m.Price.Output)
			p.Date, p.Source, p.Also = m.Price.Date, m.Source, furtherPrices(m.Price)
		}
		p.Shutdown, p.Successor, p.Borrowed = m.Shutdown, m.Successor, m.Borrowed
		all[m.Name] = p
	}
	return all
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
		rate(fmt.Sprintf("cache writes kept for %g minutes", float64(seconds)/60), t.CacheWrites[seconds])
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

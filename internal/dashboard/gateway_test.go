package dashboard

import (
	"io"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"testing"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/gateway"
)

// TestFurtherPrices: everything that a bill depends on is named.
func TestFurtherPrices(t *testing.T) {
	for _, tt := range []struct {
		name  string
		price carrot.Price
		want  []string
	}{
		{"input and output", carrot.Price{Input: carrot.PerMillion(1), Output: carrot.PerMillion(2), CachedInput: carrot.PerMillion(.1)}, nil},
		{"reasoning as output", carrot.Price{Output: carrot.PerMillion(2), Reasoning: carrot.PerMillion(2)}, nil},
		{"cache writes and reasoning", carrot.Price{CacheWrite: carrot.PerMillion(1.25), Output: carrot.PerMillion(2), Reasoning: carrot.Free}, []string{"cache writes $1.25", "reasoning $0"}},
		{"all", carrot.Price{Tariff: &carrot.Tariff{
			CacheWrites: map[int]carrot.Rate{3600: carrot.PerMillion(10)}, AudioInput: carrot.PerMillion(40), ImageOutput: carrot.PerMillion(30),
			Above:   []carrot.LongPrice{{Tokens: 200_000, Price: carrot.Price{Input: carrot.PerMillion(6), Output: carrot.PerMillion(22.5)}}},
			Tiers:   map[string]carrot.TierPrice{"flex": {Factor: .5}, "batch": {Price: carrot.Price{Input: carrot.PerMillion(1)}}},
			Regions: map[string]float64{"us": 1.1}, Tools: map[string]carrot.USD{"web_search": carrot.Dollars(.01)}}},
			[]string{"cache writes kept for 60 minutes $10.00", "sound in $40.00", "images out $30.00", "above 200000 tokens: input $6.00, output $22.50",
				"tier batch: input $1.00, output unknown", "tier flex: × 0.5", "region us: × 1.1", "web_search: $0.0100 a use"}},
	} {
		if got := furtherPrices(&tt.price); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestPrice: prices are those that the gateway tells operators with the admin key, and
// unknown where it tells none.
func TestPrice(t *testing.T) {
	answers := func(status int, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/models" || r.Header.Get("Authorization") != "Bearer admin-key" {
				t.Errorf("asked for %s with %q", r.URL.Path, r.Header.Get("Authorization"))
			}
			w.WriteHeader(status)
			io.WriteString(w, body)
		})
	}
	prices := func(h http.Handler) map[string]Price {
		o := &operator{gateway: h, log: slog.New(slog.DiscardHandler), config: func() *gateway.File { return &gateway.File{Config: gateway.Config{AdminKey: "admin-key"}} }}
		return o.prices()
	}
	const list = `{"data":[{"name":"other","price":{"input":7}},{"name":"m","borrowed":"known","price":{"input":2,"output":8,"cache_write":2.5,"date":"2026-11-01"},"price_source":"a book","shutdown":"2027-01-01","successor":"n"}]}`
	p := prices(answers(200, list))["m"]
	if p.Input != 2 || p.Cached != 2 || p.Output != 8 || p.Date != "2026-11-01" || p.Source != "a book" || p.Shutdown != "2027-01-01" || p.Successor != "n" || p.Borrowed != "known" || !slices.Equal(p.Also, []string{"cache writes $2.50"}) {
		t.Errorf("%+v", p)
	}
	if p := prices(answers(200, list))["other"]; p.Input != 7 || !math.IsNaN(p.Output) {
		t.Errorf("%+v, want an unknown price of output", p)
	}
	for name, h := range map[string]http.Handler{"another model": answers(200, list), "refused": answers(401, "the admin key is wrong"), "no JSON": answers(200, "<html>")} {
		if p, ok := prices(h)["nobody"]; ok {
			t.Errorf("%s: %+v, want nothing", name, p)
		}
	}
	if p := prices(answers(200, `{"data":[{"name":"m","price":null,"shutdown":"2027-01-01"}]}`))["m"]; !math.IsNaN(p.Input) || !math.IsNaN(p.Output) || p.Shutdown != "2027-01-01" {
		t.Errorf("%+v, want a shutdown without a price", p)
	}
}

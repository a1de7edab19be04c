package carrot_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/carrot-router/carrot"
)

// opus has what Anthropic's price list depends on, in round numbers: pico-dollars a
// token.
var opus = carrot.Price{Input: 5_000, CachedInput: 500, CacheWrite: 6_250, Output: 25_000, Tariff: &carrot.Tariff{
	CacheWrites: map[int]carrot.Rate{3600: 10_000},
	Tiers:       map[string]carrot.TierPrice{"batch": {Factor: 0.5}, "fast": {Factor: 2}},
	Regions:     map[string]float64{"us": 1.1},
	Tools:       map[string]carrot.USD{"web_search": carrot.Dollars(0.01)},
}}

// gpt has what OpenAI's price list depends on.
var gpt = carrot.Price{Input: 5_000, CachedInput: 500, Output: 30_000, Tariff: &carrot.Tariff{
	CacheWrites: map[int]carrot.Rate{1800: 6_000, 43200: 9_000},
	Above:       []carrot.LongPrice{{Tokens: 1000, Price: carrot.Price{Input: 10_000, CachedInput: 1_000, Output: 45_000}}},
	Tiers: map[string]carrot.TierPrice{
		"flex": {Price: carrot.Price{Input: 2_500, Output: 15_000, Tariff: &carrot.Tariff{
			Above: []carrot.LongPrice{{Tokens: 1000, Price: carrot.Price{Input: 5_000, Output: 22_500}}}}}},
		"priority": {Price: carrot.Price{Input: 12_500, Output: 75_000}},
	},
}}

// steps has three lengths, as Alibaba's models do.
var steps = carrot.Price{Input: 1, Output: 10, Tariff: &carrot.Tariff{Above: []carrot.LongPrice{
	{Tokens: 100, Price: carrot.Price{Input: 2, Output: 20}}, {Tokens: 200, Price: carrot.Price{Input: 3, Output: 30}}}}}

// part bills only the tokens beyond a length at another price.
var part = carrot.Price{Input: 1, CachedInput: 100, Output: 10, Tariff: &carrot.Tariff{Above: []carrot.LongPrice{
	{Tokens: 100, Part: true, Price: carrot.Price{Input: 2, CachedInput: 200}}}}}

// omni bills sounds and pictures apart.
var omni = carrot.Price{Input: 1, Output: 10, Tariff: &carrot.Tariff{AudioInput: 100, AudioOutput: 1_000, ImageOutput: 10_000}}

// Everything that a price list can depend on changes the bill as the vendor says.
func TestTariff(t *testing.T) {
	type details = carrot.UsageDetails
	for _, test := range []struct {
		name  string
		price carrot.Price
		usage carrot.Usage
		want  carrot.USD // 0: unknown
	}{
		{"cache writes for an hour", opus, carrot.Usage{Input: 1, Details: &details{CacheWrites: map[int]int{3600: 2}}}, 25_000},
		{"cache writes for five minutes", opus, carrot.Usage{Details: &details{CacheWrites: map[int]int{300: 2}}}, 12_500},
		{"cache writes for a day", opus, carrot.Usage{Input: 1, Details: &details{CacheWrites: map[int]int{86400: 2}}}, 0},
		{"cache writes of two lifetimes", gpt, carrot.Usage{Details: &details{CacheWrites: map[int]int{1800: 1, 43200: 1}}}, 15_000},
		{"a flat price and five minutes", carrot.Price{Input: 1, CacheWrite: 3}, carrot.Usage{Details: &details{CacheWrites: map[int]int{300: 2}}}, 6},
		{"a flat price and an hour", carrot.Price{Input: 1, CacheWrite: 3}, carrot.Usage{Details: &details{CacheWrites: map[int]int{3600: 2}}}, 0},
		{"a tier by factor", opus, carrot.Usage{Input: 1, Output: 1, Details: &details{Tier: "batch"}}, 15_000},
		{"the standard tier", opus, carrot.Usage{Input: 1, Details: &details{Tier: "standard"}}, 5_000},
		{"a tier without a price", opus, carrot.Usage{Input: 1, Details: &details{Tier: "priority"}}, 0},
		{"a flat price and a tier", carrot.Price{Input: 1}, carrot.Usage{Input: 1, Details: &details{Tier: "flex"}}, 0},
		{"a speed", opus, carrot.Usage{Input: 1, Details: &details{Tier: "standard", Speed: "fast"}}, 10_000},
		{"a tier and a speed", opus, carrot.Usage{Input: 1, Details: &details{Tier: "batch", Speed: "fast"}}, 5_000},
		{"a region", opus, carrot.Usage{Input: 3, Output: 1, Details: &details{Region: "us"}}, 44_000},
		{"another region", opus, carrot.Usage{Input: 3, Details: &details{Region: "global"}}, 15_000},
		{"a factor that leaves less than a pico-dollar", carrot.Price{Input: 3, Tariff: opus.Tariff}, carrot.Usage{Input: 1, Details: &details{Region: "us"}}, 3},
		{"a tool", opus, carrot.Usage{Input: 2, Details: &details{Region: "us", Tools: map[string]int{"web_search": 3}}}, carrot.Dollars(0.03) + 11_000},
		{"a tool without a price", opus, carrot.Usage{Input: 2, Details: &details{Tools: map[string]int{"file_search": 1}}}, 0},
		{"a tool that was not used", opus, carrot.Usage{Input: 2, Details: &details{Tools: map[string]int{"file_search": 0}}}, 10_000},
		{"another model", opus, carrot.Usage{Input: 2, Details: &details{Also: map[string]carrot.Usage{"m": {Input: 1}}}}, 0},
		{"at a threshold", gpt, carrot.Usage{Input: 900, CachedInput: 100, Output: 1}, 900*5_000 + 100*500 + 30_000},
		{"above a threshold", gpt, carrot.Usage{Input: 901, CachedInput: 100, Output: 1}, 901*10_000 + 100*1_000 + 45_000},
		{"above a threshold, cache writes without a price there", gpt, carrot.Usage{Input: 1000, Details: &details{CacheWrites: map[int]int{1800: 1}}}, 0},
		{"a tier, below its threshold", gpt, carrot.Usage{Input: 10, CachedInput: 10, Output: 1, Details: &details{Tier: "flex"}}, 20*2_500 + 15_000},
		{"a tier, above its threshold", gpt, carrot.Usage{Input: 1001, Output: 1, Details: &details{Tier: "flex"}}, 1001*5_000 + 22_500},
		{"a tier that has no threshold", gpt, carrot.Usage{Input: 1001, Details: &details{Tier: "priority"}}, 1001 * 12_500},
		{"the first of three lengths", steps, carrot.Usage{Input: 100, Output: 1}, 110},
		{"the second of three lengths", steps, carrot.Usage{Input: 200, Output: 1}, 420},
		{"the third of three lengths", steps, carrot.Usage{Input: 201, Output: 1}, 633},
		{"the part above", part, carrot.Usage{Input: 110, Output: 1}, 100 + 2*10 + 10},
		{"the part above, and a cached beginning", part, carrot.Usage{Input: 60, CachedInput: 50, Output: 1}, 50*100 + 50 + 2*10 + 10},
		{"the part above within the cached beginning", part, carrot.Usage{Input: 10, CachedInput: 110}, 100*100 + 10*200 + 2*10},
		{"sounds", omni, carrot.Usage{Input: 1, Output: 1, Details: &details{AudioInput: 2, AudioOutput: 3}}, 1 + 10 + 200 + 3_000},
		{"sounds without a price", carrot.Price{Input: 1, Output: 1}, carrot.Usage{Details: &details{AudioInput: 2}}, 0},
		{"pictures in the input, without a price", omni, carrot.Usage{Details: &details{ImageInput: 2}}, 2},
		{"pictures in the output", omni, carrot.Usage{Details: &details{ImageOutput: 2}}, 20_000},
		{"pictures in the output, without a price", carrot.Price{Output: 7}, carrot.Usage{Details: &details{ImageOutput: 2}}, 14},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.price.Cost(test.usage)
			if test.want == 0 {
				if !errors.Is(err, carrot.ErrUnknownCost) {
					t.Errorf("Cost = %d, %v, want an unknown cost", got, err)
				}
			} else if err != nil || got != test.want {
				t.Errorf("Cost = %d, %v, want %d pico-dollars", got, err, test.want)
			}
			sum, unknown := carrot.USD(0), false
			for _, line := range test.price.Lines(test.usage) {
				sum += line.Cost
				unknown = unknown || line.Err != nil
			}
			if unknown != (err != nil) || err == nil && sum != got {
				t.Errorf("the lines of the bill sum up to %d, unknown %v; Cost = %d, %v", sum, unknown, got, err)
			}
		})
	}
}

// The expected cost of a call follows from the length of its prompt, as its bill does.
func TestExpectedTariff(t *testing.T) {
	for input, want := range map[int]carrot.USD{1000: 1000*5_000 + 2.5*30_000, 1001: 1001*10_000 + 2.5*45_000} {
		if got, err := gpt.Expected(carrot.Usage{Input: input}, 2.5); err != nil || got != want {
			t.Errorf("%d input tokens: %d, %v, want %d", input, got, err, want)
		}
	}
	if got, err := opus.Expected(carrot.Usage{Details: &carrot.UsageDetails{Region: "us"}}, 2); err != nil || got != 55_000 {
		t.Errorf("with a factor: %d, %v, want 55000", got, err)
	}
}

// A price with a tariff reads back equal.
func TestTariffJSON(t *testing.T) {
	for _, p := range []carrot.Price{opus, gpt, steps, part, omni} {
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var back carrot.Price
		if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, p) {
			t.Errorf("Unmarshal(%s) = %+v, %v", text, back, err)
		}
		if err := p.Check(); err != nil {
			t.Errorf("Check(%s) = %v", text, err)
		}
	}
}

// A price that makes no sense is refused, and the error names the part.
func TestPriceCheck(t *testing.T) {
	for _, test := range []struct{ price, want string }{
		{`{"input":1,"output":1,"above":[{"tokens":0,"input":1}]}`, "above[0].tokens"},
		{`{"input":1,"output":1,"above":[{"tokens":5,"input":1},{"tokens":5,"input":1}]}`, "above[1].tokens"},
		{`{"input":1,"output":1,"above":[{"tokens":5,"above":[{"tokens":6}]}]}`, "above[0].above"},
		{`{"input":1,"output":1,"above":[{"tokens":5,"tiers":{"flex":{"factor":2}}}]}`, "above[0].tiers"},
		{`{"input":1,"output":1,"tiers":{"flex":{"factor":-2}}}`, "tiers.flex.factor"},
		{`{"input":1,"output":1,"tiers":{"flex":{"factor":2,"input":1}}}`, "tiers.flex: want a factor or rates"},
		{`{"input":1,"output":1,"tiers":{"flex":{}}}`, "tiers.flex: want a factor or rates"},
		{`{"input":1,"output":1,"tiers":{"default":{"factor":2}}}`, "tiers.default"},
		{`{"input":1,"output":1,"tiers":{"flex":{"regions":{"us":2}}}}`, "tiers.flex.tiers, regions"},
		{`{"input":1,"output":1,"regions":{"us":1e9}}`, "regions.us"},
		{`{"input":1,"output":1,"tools":{"web_search":-1}}`, "tools.web_search"},
		{`{"input":1,"output":1,"cache_writes":{"0":1}}`, "cache_writes.0"},
	} {
		var p carrot.Price
		if err := json.Unmarshal([]byte(test.price), &p); err != nil {
			t.Fatalf("%s: %v", test.price, err)
		}
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Check(%s) = %v, want an error with %q", test.price, err, test.want)
		}
	}
	if err := (&carrot.Price{Input: carrot.PerMillion(-1)}).Check(); err == nil {
		t.Error("a rate below zero is not refused")
	}
}

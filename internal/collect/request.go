package collect

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/wire"
	"github.com/carrot-router/carrot/price"
)

// The service tiers of a run.
const (
	Standard = ""
	Flex     = "flex"
	Batch    = "batch"
)

// target is a model that can be asked.
type target struct {
	config   *ModelConfig
	upstream *provider.Upstream
	api      wire.API
	pace     *pace
	price    carrot.Price
	facts    wire.Facts
	settings []wire.Setting
	limitKey string
	stop     *stopper
}

// newTarget returns the target of a configured model.
func newTarget(m *ModelConfig, p *ProviderConfig, u *provider.Upstream, pc *pace, book *price.Book) (*target, error) {
	t := &target{config: m, upstream: u, api: wire.API(p.API), pace: pc, stop: &stopper{}}
	var err error
	if t.price, err = priceOf(book, m); err != nil {
		return nil, err
	}
	if entry, err := book.Lookup(m.Upstream); err == nil {
		t.facts.Efforts, t.facts.MaxOutput = strings.Join(entry.Efforts, " "), entry.MaxOutput
		t.facts.NoSampling = entry.Sampling != nil && !*entry.Sampling && len(entry.SamplingEfforts) == 0
	}
	t.facts.Foreign = p.Kind == string(provider.OpenAI) && !provider.IsOpenAI(p.BaseURL)
	t.facts.Limit = m.MaxTokens
	chat := "max_completion_tokens" // which OpenAI's newer models require, and many other servers do not know
	if t.facts.Foreign {
		chat = "max_tokens"
	}
	t.limitKey = wire.TokenLimitFor(t.api, chat)
	if m.Effort != "" {
		effort, _ := json.Marshal(m.Effort) // a text always has a form in JSON
		t.settings = append(t.settings, wire.SettingFor(t.api, "reasoning_effort", string(effort)))
	}
	for _, key := range slices.Sorted(maps.Keys(m.Settings)) {
		raw, err := json.Marshal(m.Settings[key])
		if err != nil {
			return nil, fmt.Errorf("model %s: settings.%s: %w", m.Name, key, err)
		}
		t.settings = append(t.settings, wire.SettingFor(t.api, key, string(raw)))
	}
	return t, nil
}

// priceOf returns the price of a model by its name, or else by the provider's.
func priceOf(book *price.Book, m *ModelConfig) (carrot.Price, error) {
	if m.Price != nil {
		return m.Price.price(), nil
	}
	p, err := book.Price(m.Name)
	if errors.Is(err, price.ErrNoPrice) {
		p, err = book.Price(m.Upstream)
	}
	if err != nil {
		return p, fmt.Errorf("model %s: %w: without a price nothing can be kept under the cap; add price: {input: …, output: …} in USD per million tokens", m.Name, err)
	}
	return p, nil
}

// body returns the request that asks a model a prompt.
func (t *target) body(c *PromptConfig, p *Prompt) ([]byte, error) {
	type message struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}
	messages := p.Messages
	if messages == nil {
		var list []message
		if c.System != "" {
			list = append(list, message{"system", c.System})
		}
		var err error
		if messages, err = json.Marshal(append(list, message{"user", p.Prompt + c.Suffix})); err != nil {
			return nil, err
		}
	}
	return t.request(messages)
}

// question returns the request that asks a model for a judgement.
func (t *target) question(system, prompt string) ([]byte, error) {
	list := []map[string]string{{"role": "user", "content": prompt}}
	if system != "" {
		list = append([]map[string]string{{"role": "system", "content": system}}, list...)
	}
	messages, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	return t.request(messages)
}

func (t *target) request(messages json.RawMessage) ([]byte, error) {
	model, err := json.Marshal(t.config.Upstream)
	if err != nil {
		return nil, err
	}
	body := fmt.Appendf(nil, `{"model":%s,"messages":%s}`, model, messages)
	if t.api != wire.Chat {
		translated, err := wire.TranslateRequest(body, wire.Chat, t.api, t.facts)
		if err != nil {
			return nil, fmt.Errorf("model %s: %w", t.config.Name, err)
		}
		body = translated.Body
	}
	return wire.Edit(body, wire.Edits{MaxTokens: t.config.MaxTokens, MaxTokensKey: t.limitKey, NoLimitAsked: true, Settings: t.settings}), nil
}

// withTier returns a request for a service tier.
func (t *target) withTier(body []byte, tier string) []byte {
	if tier != Flex {
		return body
	}
	return wire.Edit(body, wire.Edits{Settings: []wire.Setting{{Key: "service_tier", Raw: `"flex"`}}})
}

// serves says whether the target's provider has a service tier.
func (t *target) serves(tier string) error {
	switch {
	case tier == Flex && t.upstream.Kind == provider.Anthropic:
		return fmt.Errorf("model %s: Anthropic has no tier flex: use --wait batch, or the standard tier", t.config.Name)
	case tier == Batch && t.upstream.Kind == provider.Azure:
		return fmt.Errorf("model %s: batches of azure are not supported: use the standard tier", t.config.Name)
	}
	return nil
}

// keyOf identifies what is asked: the request and its provider. Answers are kept by it.
func (t *target) keyOf(body []byte) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s\n", t.upstream.Kind, t.upstream.BaseURL, t.api)
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// inputSlack is how many tokens a provider may add to a request beyond its bytes.
const inputSlack = 256

// most returns the most that a call can cost: a tokenizer makes at most one token of a
// byte, and the answer has a limit.
func (t *target) most(size int, tier string) (carrot.USD, error) {
	input := size + inputSlack
	highest := carrot.USD(0)
	for _, u := range []carrot.Usage{{Input: input, Output: t.config.MaxTokens}, {Input: input, Reasoning: t.config.MaxTokens}} {
		if tier != Standard {
			u.Details = &carrot.UsageDetails{Tier: tier}
		}
		cost, err := t.price.Cost(u)
		if err != nil {
			return 0, fmt.Errorf("model %s: the price of the tier %s is not known (%w): add it to the model's price, as in {…, %s: 0.5}", t.config.Name, tierName(tier), err, tierName(tier))
		}
		highest = max(highest, cost)
	}
	factor := 1.0
	if t.price.Tariff != nil {
		for _, f := range t.price.Tariff.Regions {
			factor = max(factor, f)
		}
	}
	return carrot.Dollars(highest.Float() * factor), nil
}

// expected returns what a call is expected to cost.
func (t *target) expected(input int, output float64, tier string) (carrot.USD, error) {
	u := carrot.Usage{Input: input}
	if tier != Standard {
		u.Details = &carrot.UsageDetails{Tier: tier}
	}
	return t.price.Expected(u, output)
}

func tierName(tier string) string {
	if tier == Standard {
		return "standard"
	}
	return tier
}

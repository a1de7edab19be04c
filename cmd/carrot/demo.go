package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/keys"
	"github.com/carrot-router/carrot/internal/simulate"
)

// demoHelp is what carrot serve --demo prints when it has started.
const demoHelp = `Carrot serves simulated models at http://ADDRESS. Answers are canned; prices, lengths,
delays and failures are like those of the real ones. Try:

  curl -i http://ADDRESS/v1/chat/completions -H "Content-Type: application/json" \
    -d '{"model": "auto", "messages": [{"role": "user", "content": "What is 17 * 23?"}]}'

  curl -N http://ADDRESS/v1/chat/completions -H "Content-Type: application/json" \
    -d '{"model": "cheap", "stream": true, "stream_options": {"include_usage": true},
         "messages": [{"role": "user", "content": "What is 17 * 23?"}]}'

  curl http://ADDRESS/v1/route -H "Content-Type: application/json" \
    -d '{"model": "auto:usd-per-quality=0.001", "messages": [{"role": "user", "content": "Prove that sqrt(2) is irrational."}]}'

What it does, in a browser: http://ADMIN

What was spent, in another terminal:

  carrot ledger summary --by model --store STORE

Python, pip install openai anthropic:

  from openai import OpenAI
  client = OpenAI(base_url="http://ADDRESS/v1", api_key="none")
  print(client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "Hello"}]).model)

  from anthropic import Anthropic
  client = Anthropic(base_url="http://ADDRESS", api_key="none")
  print(client.messages.create(model="auto", max_tokens=200, messages=[{"role": "user", "content": "Hello"}]).model)

Stop with Ctrl-C. Your own models: carrot serve --config FILE, docs/gateway.md.
`

// demoTraffic is the configuration of a demonstration that sends requests to itself, beside
// that of its models.
const demoTraffic = `store: carrot.db
record: {content: judged}
policies:
  - {name: support, objective: usd-per-quality=0.003, default: gpt-4o-mini-2024-07-18, exploration: {rate: 0.05}}
  - {name: drafts, objective: cheap, models: [gpt-4o-mini-2024-07-18, Meta-Llama-3.1-8B-Instruct, deepseek-v2.5-0908, claude-3-5-haiku-20241022]}
  - {name: trial, objective: cheap, default: claude-3-5-sonnet-20241022, shadow: true}
budgets:
  - {name: all, usd: 20, per: month, soft: true}
`

// demoSenders are the clients of a demonstration that sends requests to itself, and whoever
// sends no key.
var demoSenders = []struct {
	simulate.Sender
	name     string
	settings keys.Settings
}{
	{simulate.Sender{Models: []string{"support"}, Share: 5}, "shop",
		keys.Settings{Policies: []string{"support"}, Labels: map[string]string{"team": "shop"}, Budgets: []gateway.BudgetConfig{{USD: 2, Per: "day"}, {USD: 25, Per: "month"}}}},
	{simulate.Sender{Models: []string{"auto", "auto", "quality", "gpt-4o-2024-08-06"}, Share: 3}, "research",
		keys.Settings{Labels: map[string]string{"team": "research"}, Budgets: []gateway.BudgetConfig{{USD: 10, Per: "week"}}}},
	{simulate.Sender{Models: []string{"drafts", "cheap"}, Share: 2}, "batch",
		keys.Settings{Policies: []string{"drafts", "cheap"}, Rates: gateway.RateConfig{Requests: 60, Concurrent: 4}, Budgets: []gateway.BudgetConfig{{USD: 0.02, Per: "day"}}}},
	{simulate.Sender{Models: []string{"trial", "trial", "balanced", "auto"}, Share: 2}, "assistant", keys.Settings{Labels: map[string]string{"team": "product"}}},
	{Sender: simulate.Sender{Models: []string{"auto", "cheap", "claude-3-5-haiku-20241022"}, Share: 1}},
}

// optionalKeys are the keys of a demonstration that anybody may call without one.
type optionalKeys struct{ gateway.Clients }

// Required implements what [gateway.Clients] may say of keys.
func (optionalKeys) Required() bool { return false }

// sendTraffic makes the clients of a demonstration, and sends requests until ctx is done.
func (s *service) sendTraffic(ctx context.Context, address string) {
	t := simulate.Traffic{URL: "http://" + address, Seed: 1}
	for _, one := range demoSenders {
		if one.name != "" {
			_, key, err := s.keys.store.Create(ctx, "demo", keys.NewClient{Name: one.name, Settings: one.settings})
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				s.log.Error("the demonstration has no client", "client", one.name, "error", err)
				continue
			}
			one.Key = key
		}
		t.Senders = append(t.Senders, one.Sender)
	}
	s.keys.changed(ctx, s)
	t.Run(ctx)
}

// startDemo serves simulated providers at loopback addresses until ctx is done. It returns
// the configuration of a gateway for them, and a function that waits until they have
// stopped.
func startDemo(ctx context.Context) (config string, wait func(), err error) {
	openAI, anthropic := simulate.Demo(0)
	var b strings.Builder
	b.WriteString("listen: 127.0.0.1:8080\nproviders:\n")
	models := &strings.Builder{}
	var waits []func()
	for _, p := range []struct {
		name, kind, apis string
		provider         *simulate.Provider
	}{{"simulated-openai", "openai", "chat, responses", openAI}, {"simulated-anthropic", "anthropic", "messages", anthropic}} {
		address, wait, err := p.provider.Listen(ctx)
		if err != nil {
			return "", nil, err
		}
		waits = append(waits, wait)
		fmt.Fprintf(&b, "  - {name: %s, kind: %s, base_url: \"http://%s/v1\", apis: [%s]}\n", p.name, p.kind, address, p.apis)
		for _, m := range p.provider.Models {
			fmt.Fprintf(models, "  - {name: %s, provider: %s, context: %d, abilities: [tools, vision, json]}\n", m.Name, p.name, m.ContextTokens)
		}
	}
	fmt.Fprintf(&b, "models:\n%sretry: {retries: 0}\nlog: {level: error}\n", models) // without retries, so that fallbacks can be seen
	return b.String(), func() {
		for _, wait := range waits {
			wait()
		}
	}, nil
}

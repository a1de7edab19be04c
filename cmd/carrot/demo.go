package main

import (
	"context"
	"fmt"
	"strings"

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

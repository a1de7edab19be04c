package simulate

import (
	"time"

	"github.com/carrot-router/carrot/price"
)

// demoModel is a model of the demonstration. Its price comes from the price book.
type demoModel struct {
	name       string
	output     float64
	firstToken time.Duration
	perToken   time.Duration
	failures   float64
	context    int
}

// The mean lengths are close to the default router's forecasts for everyday
// questions, and the delays are plausible. The failure rates are higher than usual,
// so that a demonstration shows failures.
var (
	demoOpenAI = []demoModel{
		{"gpt-4o-2024-08-06", 300, 480 * time.Millisecond, 11 * time.Millisecond, 0.03, 128000},
		{"gpt-4o-mini-2024-07-18", 320, 380 * time.Millisecond, 9 * time.Millisecond, 0.03, 128000},
		{"Meta-Llama-3.1-70B-Instruct", 360, 350 * time.Millisecond, 14 * time.Millisecond, 0.06, 131072},
		{"deepseek-v2.5-0908", 240, 900 * time.Millisecond, 18 * time.Millisecond, 0.08, 131072},
		{"Meta-Llama-3.1-8B-Instruct", 460, 220 * time.Millisecond, 6 * time.Millisecond, 0.05, 131072},
	}
	demoAnthropic = []demoModel{
		{"claude-3-5-sonnet-20241022", 210, 750 * time.Millisecond, 14 * time.Millisecond, 0.04, 200000},
		{"claude-3-5-haiku-20241022", 300, 550 * time.Millisecond, 13 * time.Millisecond, 0.04, 200000},
	}
)

// Demo returns two providers with models of the default router: one with OpenAI's
// API and one with Anthropic's. They accept any key.
func Demo(seed uint64) (openAI, anthropic *Provider) {
	return demo(demoOpenAI, seed), demo(demoAnthropic, seed)
}

func demo(models []demoModel, seed uint64) *Provider {
	book := price.Default()
	p := &Provider{Seed: seed}
	for _, m := range models {
		cost, err := book.Price(m.name)
		if err != nil {
			panic("simulate: demonstration model: " + err.Error()) // impossible: the names are constants
		}
		p.Models = append(p.Models, Model{Name: m.name, Price: cost, OutputTokens: m.output,
			FirstToken: m.firstToken, PerToken: m.perToken, FailureRate: m.failures, ContextTokens: m.context})
	}
	return p
}

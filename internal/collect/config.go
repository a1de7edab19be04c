package collect

import (
	"cmp"
	"encoding/json"
	"math"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/judge"
	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/spelling"
	"github.com/carrot-router/carrot/internal/strictyaml"
	"github.com/carrot-router/carrot/internal/wire"
)

// Config says what is collected. [OpenConfig] reads it from a file.
type Config struct {
	// Prompts says where the prompts come from. Required.
	Prompts PromptConfig `yaml:"prompts"`
	// Providers are the APIs that are called. Required.
	Providers []ProviderConfig `yaml:"providers"`
	// Models are asked every prompt. Required.
	Models []ModelConfig `yaml:"models"`
	// Judge scores the answers. Required.
	Judge judge.Config `yaml:"judge"`
	// JudgeModel describes the model that judges, if the judge is one that is not
	// among the models.
	JudgeModel *ModelConfig `yaml:"judge_model"`
	// CapUSD is the most that all calls together may cost, those of earlier runs
	// into the same folder included. Required.
	CapUSD float64 `yaml:"cap_usd"`
	// Prices is the file of a price book. Default: the price book in the binary.
	Prices string `yaml:"prices" expand:"env"`
	// Redact is what is taken out of prompts and answers before they are sent,
	// judged or kept. Default: nothing.
	Redact RedactConfig `yaml:"redact"`
	// Repeats asks some prompts several times, which tells the noise of answers from
	// that of the judge. Default: none.
	Repeats RepeatConfig `yaml:"repeats"`
	// Refusals says how a refusal is scored: absent, zero, or judge, which has the
	// judge score its text. Default absent.
	Refusals string `yaml:"refusals"`
	// Retries is how often a call that failed is made again. Default 4.
	Retries *int `yaml:"retries"`
	// Seed is that of the order and the choice of prompts. Default 0.
	Seed uint64 `yaml:"seed"`

	dir string // of the file
}

// PromptConfig says where prompts come from.
type PromptConfig struct {
	// From is a data folder, a file of JSON lines or CSV, or what format says.
	// Required.
	From string `yaml:"from" expand:"env"`
	// Format is the name of a format of carrot data import, if from is a log or a
	// ledger, as in format: carrot. Default: none.
	Format string `yaml:"format"`
	// References is a file of JSON lines or CSV with id and reference, for prompts
	// that have no reference answers of their own. Default: none.
	References string `yaml:"references" expand:"env"`
	// System is a system prompt that is sent with every prompt and is not part of
	// the text that is stored. Default: none.
	System string `yaml:"system"`
	// Suffix is added to every prompt that is sent, such as how to write the final
	// answer, and is not part of the text that is stored. Default: none.
	Suffix string `yaml:"suffix"`
	// Labels is how many of the prompts are asked. A third of them is drawn at
	// random; the others are chosen to cover the prompts. Default 0: all.
	Labels int `yaml:"labels"`
}

// ProviderConfig is one API, as in the configuration of carrot serve.
type ProviderConfig struct {
	// Name is the name by which models refer to the provider. Required.
	Name string `yaml:"name"`
	// Kind is openai (and everything compatible with it), azure or anthropic.
	// Required.
	Kind string `yaml:"kind"`
	// BaseURL is the address of the API; it usually ends in /v1. Default: that of
	// OpenAI or Anthropic; azure requires it.
	BaseURL string `yaml:"base_url" expand:"env"`
	// APIKey is the provider's key, if it needs one.
	APIKey Secret `yaml:"api_key"`
	// APIVersion is the api-version of azure, or the anthropic-version.
	APIVersion string `yaml:"api_version"`
	// Headers are sent with every request.
	Headers map[string]Secret `yaml:"headers"`
	// API is the one that is called: chat or responses for openai and azure,
	// messages for anthropic. Default: chat, or messages.
	API string `yaml:"api"`
	// Concurrency is the most calls at a time. Fewer are made after the provider has
	// said that there are too many. Default 16.
	Concurrency int `yaml:"concurrency"`
}

// Secret is a text that no error and no printed form shows.
type Secret string

// Reveal returns the text.
func (s Secret) Reveal() string { return string(s) }

// String returns a placeholder.
func (s Secret) String() string { return "***" }

// GoString returns a placeholder.
func (s Secret) GoString() string { return "***" }

// ModelConfig is a model to ask, with settings if any.
type ModelConfig struct {
	// Name is the name in the data. Required.
	Name string `yaml:"name"`
	// Provider is the name of a provider. Required.
	Provider string `yaml:"provider"`
	// Upstream is the provider's name for the model. Default: the model's name.
	Upstream string `yaml:"upstream"`
	// Effort is the reasoning effort. Default: the provider's.
	Effort string `yaml:"effort"`
	// MaxTokens is the limit on the output tokens of an answer, reasoning included.
	// What a call holds of the cap follows from it. Default 2048.
	MaxTokens int `yaml:"max_tokens"`
	// Settings are further fields of the request, in the provider's API, as in
	// {temperature: 0}. Default: none.
	Settings map[string]any `yaml:"settings"`
	// Price is the price in USD per million tokens. Default: that of the price book.
	Price *PriceConfig `yaml:"price"`
	// Pool says whether the model is in the default candidate pool. Default true.
	Pool *bool `yaml:"pool"`
}

// PriceConfig is a price in USD per million tokens. What is not set is unknown, and 0 is
// free.
type PriceConfig struct {
	// Input is the price of input tokens. Required.
	Input *float64 `yaml:"input"`
	// CachedInput is the price of input tokens read from a cache. Default: that of input.
	CachedInput *float64 `yaml:"cached_input"`
	// Output is the price of output tokens, reasoning included. Required.
	Output *float64 `yaml:"output"`
	// Batch and Flex are the factors on all prices at these service tiers, such as 0.5.
	// Default: the tiers have no known price and are not used.
	Batch float64 `yaml:"batch"`
	Flex  float64 `yaml:"flex"`
}

// RedactConfig says what is taken out of texts.
type RedactConfig struct {
	// Patterns are regular expressions, and what is put in place of their matches.
	Patterns []PatternConfig `yaml:"patterns"`
	// Command is a program, with its arguments, that gets a text on its standard
	// input and writes the redacted one on its standard output. Default: none.
	Command []string `yaml:"command"`
}

// PatternConfig is one rule of redaction.
type PatternConfig struct {
	// Pattern is a regular expression in the syntax of RE2. Required.
	Pattern string `yaml:"pattern"`
	// With is what each match becomes; $1 stands for a group. Default: nothing.
	With string `yaml:"with"`
}

// RepeatConfig says what is asked several times.
type RepeatConfig struct {
	// Times is how often, 2 to 10. Default 0: no repeats.
	Times int `yaml:"times"`
	// Queries is how many of the prompts. Default 50.
	Queries int `yaml:"queries"`
}

// Defaults of a configuration.
const (
	defaultMaxTokens   = 2048
	defaultConcurrency = 16
	defaultRetries     = 4
	defaultRepeated    = 50
)

// How refusals are scored.
const (
	refusalAbsent = "absent"
	refusalZero   = "zero"
	refusalJudge  = "judge"
)

// OpenConfig reads a configuration in strict YAML. Relative paths are relative to the
// folder of the file. The error lists all problems, each with line, column and field.
// env returns the value of an environment variable, and whether it is set.
func OpenConfig(path string, env func(string) (string, bool)) (*Config, error) {
	data, err := strictyaml.Read(path)
	if err != nil {
		return nil, err
	}
	return parseConfig(data, path, env)
}

func parseConfig(data []byte, path string, env func(string) (string, bool)) (*Config, error) {
	c := &Config{dir: filepath.Dir(path)}
	p := strictyaml.Decode(data, c, strictyaml.Options{File: path, Env: env, Want: "prompts, providers, models, judge and cap_usd"})
	if p.Malformed() {
		return nil, p.Err()
	}
	c.complete()
	c.check(p)
	if err := p.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// complete fills in defaults.
func (c *Config) complete() {
	for _, path := range []*string{&c.Prompts.From, &c.Prompts.References, &c.Prices} {
		if *path != "" && !filepath.IsAbs(*path) && !strings.Contains(*path, "://") {
			*path = filepath.Join(c.dir, *path)
		}
	}
	for i := range c.Providers {
		p := &c.Providers[i]
		kind := provider.Kind(p.Kind)
		p.BaseURL = provider.BaseURL(kind, cmp.Or(p.BaseURL, provider.DefaultBaseURL(kind)))
		if p.API == "" {
			p.API = string(wire.Chat)
			if kind == provider.Anthropic {
				p.API = string(wire.Messages)
			}
		}
		if p.Concurrency == 0 {
			p.Concurrency = defaultConcurrency
		}
	}
	for _, m := range c.models() {
		if m.Upstream == "" {
			m.Upstream = m.Name
		}
		if m.MaxTokens == 0 {
			m.MaxTokens = defaultMaxTokens
		}
	}
	if c.Refusals == "" {
		c.Refusals = refusalAbsent
	}
	if c.Retries == nil {
		retries := defaultRetries
		c.Retries = &retries
	}
	if c.Repeats.Times > 0 && c.Repeats.Queries == 0 {
		c.Repeats.Queries = defaultRepeated
	}
}

// models returns the models to ask and, if there is one, that of the judge.
func (c *Config) models() []*ModelConfig {
	var all []*ModelConfig
	for i := range c.Models {
		all = append(all, &c.Models[i])
	}
	if c.JudgeModel != nil {
		all = append(all, c.JudgeModel)
	}
	return all
}

// check adds what is wrong with the values.
func (c *Config) check(p *strictyaml.Problems) {
	if c.Prompts.From == "" {
		p.Add("prompts.from", "is missing: name a data folder, or a file of JSON lines or CSV")
	}
	if c.Prompts.Labels < 0 {
		p.Add("prompts.labels", "%d: want 0, which is all, or how many prompts are asked", c.Prompts.Labels)
	}
	if !(c.CapUSD > 0) || math.IsInf(c.CapUSD, 0) || c.CapUSD > 1e6 {
		p.Add("cap_usd", "want the most that may be spent, in USD, above 0 and at most 1,000,000")
	}
	if len(c.Providers) == 0 {
		p.Add("providers", "are missing: list at least one")
	}
	if len(c.Models) == 0 {
		p.Add("models", "are missing: list those to ask")
	}
	names := c.checkProviders(p)
	c.checkModels(p, names)
	c.checkRedaction(p)
	if !slices.Contains([]string{refusalAbsent, refusalZero, refusalJudge}, c.Refusals) {
		p.Add("refusals", "no rule %q: want absent, zero or judge", c.Refusals)
	}
	if *c.Retries < 0 || *c.Retries > 20 {
		p.Add("retries", "%d: want 0 to 20", *c.Retries)
	}
	if t := c.Repeats.Times; t != 0 && (t < 2 || t > 10) {
		p.Add("repeats.times", "%d: want 2 to 10", t)
	}
	if c.Repeats.Queries < 0 {
		p.Add("repeats.queries", "%d: want how many prompts are repeated", c.Repeats.Queries)
	}
	c.Judge.Check("judge", p.Add)
	switch m := c.judge(); {
	case c.Judge.Kind == "model" && c.Judge.Model != "" && m == nil:
		p.Add("judge.model", "no model %q: describe it in judge_model, or name one of the models", c.Judge.Model)
	case c.JudgeModel != nil && m != c.JudgeModel:
		p.Add("judge_model", "is not the model that judges: set judge.kind to model and judge.model to its name")
	}
}

// judge returns the model that judges, nil if none does.
func (c *Config) judge() *ModelConfig {
	if c.Judge.Kind != "model" {
		return nil
	}
	if c.JudgeModel != nil && c.JudgeModel.Name == c.Judge.Model {
		return c.JudgeModel
	}
	for i := range c.Models {
		if c.Models[i].Name == c.Judge.Model {
			return &c.Models[i]
		}
	}
	return nil
}

func (c *Config) checkProviders(p *strictyaml.Problems) []string {
	var names []string
	for i, u := range c.Providers {
		at := strictyaml.Element("providers", i)
		switch {
		case u.Name == "":
			p.Add(at+".name", "is missing")
		case slices.Contains(names, u.Name):
			p.Add(at+".name", "%q is there twice", u.Name)
		}
		names = append(names, u.Name)
		apis := map[string][]string{string(provider.OpenAI): {"chat", "responses"}, string(provider.Azure): {"chat", "responses"}, string(provider.Anthropic): {"messages"}}
		switch serves, ok := apis[u.Kind]; {
		case !ok:
			p.Add(at+".kind", "no kind %q: want openai, azure or anthropic", u.Kind)
		case !slices.Contains(serves, u.API):
			p.Add(at+".api", "a provider of kind %s has no API %q: want %s", u.Kind, u.API, strings.Join(serves, " or "))
		}
		if address, err := url.Parse(u.BaseURL); err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https" {
			p.Add(at+".base_url", "want an address such as https://host/v1")
		}
		if u.Kind == string(provider.Azure) && u.APIVersion == "" {
			p.Add(at+".api_version", "is missing, and azure requires it")
		}
		if u.Concurrency < 1 || u.Concurrency > 1024 {
			p.Add(at+".concurrency", "%d: want 1 to 1,024", u.Concurrency)
		}
	}
	return names
}

func (c *Config) checkModels(p *strictyaml.Problems, providers []string) {
	var names []string
	one := func(at string, m *ModelConfig) {
		if err := (dataset.Model{Name: m.Name, InputUSDPerMillion: math.NaN(), OutputUSDPerMillion: math.NaN()}).Validate(); err != nil {
			p.Add(at+".name", "%v", err)
		}
		if !slices.Contains(providers, m.Provider) {
			p.Add(at+".provider", "no provider %q: %s", m.Provider, spelling.Suggest(m.Provider, providers))
		}
		if m.MaxTokens < 1 || m.MaxTokens > 1<<20 {
			p.Add(at+".max_tokens", "%d: want 1 to 1,048,576", m.MaxTokens)
		}
		if m.Price != nil {
			m.Price.check(p, at+".price")
		}
		for key := range m.Settings {
			if slices.Contains([]string{"model", "messages", "input", "system", "stream", "stream_options", "max_tokens", "max_completion_tokens", "max_output_tokens", "n", "service_tier"}, key) {
				p.Add(strictyaml.Child(at+".settings", key), "cannot be set here")
			} else if _, err := json.Marshal(m.Settings[key]); err != nil {
				p.Add(strictyaml.Child(at+".settings", key), "has no form in JSON: want a finite number, a text, true, false, a list or a mapping")
			}
		}
	}
	for i := range c.Models {
		m, at := &c.Models[i], strictyaml.Element("models", i)
		one(at, m)
		if slices.Contains(names, m.Name) {
			p.Add(at+".name", "%q is there twice: give each its own name, and say upstream", m.Name)
		}
		names = append(names, m.Name)
	}
	if c.JudgeModel != nil {
		one("judge_model", c.JudgeModel)
	}
}

func (c *PriceConfig) check(p *strictyaml.Problems, at string) {
	for key, usd := range map[string]*float64{"input": c.Input, "cached_input": c.CachedInput, "output": c.Output} {
		switch {
		case usd == nil && key != "cached_input":
			p.Add(at+"."+key, "is missing: give it in USD per million tokens; 0 is free")
		case usd != nil && !(*usd >= 0 && *usd <= 100_000):
			p.Add(at+"."+key, "want USD per million tokens, 0 to 100,000")
		}
	}
	for key, factor := range map[string]float64{"batch": c.Batch, "flex": c.Flex} {
		if !(factor >= 0 && factor <= 10) {
			p.Add(at+"."+key, "want a factor on the price, such as 0.5")
		}
	}
}

// price returns the price.
func (c *PriceConfig) price() carrot.Price {
	p := carrot.Price{Input: carrot.PerMillion(*c.Input), Output: carrot.PerMillion(*c.Output)}
	if c.CachedInput != nil {
		p.CachedInput = carrot.PerMillion(*c.CachedInput)
	}
	tiers := map[string]carrot.TierPrice{}
	for tier, factor := range map[string]float64{Batch: c.Batch, Flex: c.Flex} {
		if factor > 0 {
			tiers[tier] = carrot.TierPrice{Factor: factor}
		}
	}
	if len(tiers) > 0 {
		p.Tariff = &carrot.Tariff{Tiers: tiers}
	}
	return p
}

func (c *Config) checkRedaction(p *strictyaml.Problems) {
	for i, r := range c.Redact.Patterns {
		at := strictyaml.Element("redact.patterns", i) + ".pattern"
		if r.Pattern == "" {
			p.Add(at, "is missing")
		} else if _, err := regexp.Compile(r.Pattern); err != nil {
			p.Add(at, "%v", err)
		}
	}
}

// upstream returns the API of a provider.
func (u *ProviderConfig) upstream() *provider.Upstream {
	up := &provider.Upstream{Name: u.Name, Kind: provider.Kind(u.Kind), BaseURL: u.BaseURL, APIVersion: u.APIVersion, Header: map[string][]string{},
		APIs: []wire.API{wire.API(u.API)}, Timeouts: provider.Timeouts{Total: callTimeout}, Transport: provider.NewTransport(connectTimeout)}
	if u.APIKey != "" {
		up.Keys = []string{u.APIKey.Reveal()}
	}
	for name, value := range u.Headers {
		up.Header.Set(name, value.Reveal())
	}
	return up
}

package gateway

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/strictyaml"
	"github.com/carrot-router/carrot/internal/wire"
)

// defaultCacheMin is the shortest prefix that prompt caches keep, in tokens, if nothing
// is known of a provider and a model.
const defaultCacheMin = 1024

// builtinPolicies always exist.
var builtinPolicies = []string{"auto", "balanced", "cheap", "quality"}

// prepared returns a copy of the configuration with defaults filled in and clients' keys
// hashed. It adds everything that is wrong to p. It calls reading with the name of each
// key file before it reads the file.
func (c *Config) prepared(p *strictyaml.Problems, reading func(name string)) *Config {
	out := *c
	out.Providers, out.Models, out.Embeddings = slices.Clone(c.Providers), slices.Clone(c.Models), slices.Clone(c.Embeddings)
	out.Policies, out.Clients, out.Budgets = slices.Clone(c.Policies), slices.Clone(c.Clients), slices.Clone(c.Budgets)
	out.hashKeys(p, reading)
	out.fillDefaults(p)
	out.check(p)
	out.checkBudgets(p)
	return &out
}

// Validate returns an error with everything that is wrong with a configuration, one
// problem on each line with its field. It does not change the configuration. Unlike
// [New], it does not check whether the router knows the models.
func (c *Config) Validate() error {
	p := new(strictyaml.Problems)
	c.prepared(p, func(string) {})
	return p.Err()
}

// fillDefaults sets the fields that are not set.
func (c *Config) fillDefaults(p *strictyaml.Problems) {
	or(p, "translation", &c.Translation, lenient)
	or(p, "record.content", &c.RecordContent, contentNone)
	orPointer(&c.Text.Earlier, 200)
	or(p, "sessions.ttl", &c.Sessions.TTL, 5*time.Minute)
	or(p, "sessions.entries", &c.Sessions.Entries, 50_000)
	or(p, "sessions.store_mb", &c.Sessions.StoreMB, 16)
	c.Timeouts.fill(p, "timeouts", TimeoutConfig{Connect: 5 * time.Second, FirstToken: time.Minute, Thinking: 5 * time.Minute, Idle: time.Minute, Total: 10 * time.Minute})
	orPointer(&c.Retry.Retries, 1)
	or(p, "retry.backoff", &c.Retry.Backoff, 250*time.Millisecond)
	or(p, "retry.max_wait", &c.Retry.MaxWait, 2*time.Second)
	orPointer(&c.Retry.Budget, 0.2)
	orPointer(&c.Retry.Fallbacks, 3)
	or(p, "breaker.failures", &c.Breaker.Failures, 5)
	or(p, "breaker.open", &c.Breaker.Open, 30*time.Second)
	or(p, "limits.body_mb", &c.Limits.BodyMB, 20)
	or(p, "limits.header_kb", &c.Limits.HeaderKB, 64)
	or(p, "limits.requests", &c.Limits.Requests, 1000)
	or(p, "limits.connections", &c.Limits.Connections, 2*c.Limits.Requests)
	or(p, "limits.memory_mb", &c.Limits.MemoryMB, memoryMB())
	or(p, "limits.read_timeout", &c.Limits.ReadTimeout, 30*time.Second)
	or(p, "limits.write_timeout", &c.Limits.WriteTimeout, 30*time.Second)
	or(p, "limits.shutdown", &c.Limits.Shutdown, 30*time.Second)
	for i := range c.Providers {
		c.Providers[i].fillDefaults(p, strictyaml.Element("providers", i), c.Timeouts)
	}
	for i := range c.Models {
		or(p, strictyaml.Element("models", i)+".upstream", &c.Models[i].Upstream, c.Models[i].Name)
		or(p, strictyaml.Element("models", i)+".adjust.output_tokens", &c.Models[i].Adjust.OutputTokens, 1)
	}
	for i := range c.Embeddings {
		or(p, strictyaml.Element("embeddings", i)+".upstream", &c.Embeddings[i].Upstream, c.Embeddings[i].Name)
	}
	for _, name := range builtinPolicies {
		if !slices.ContainsFunc(c.Policies, func(policy PolicyConfig) bool { return policy.Name == name }) {
			c.Policies = append(c.Policies, PolicyConfig{Name: name})
		}
	}
	for i := range c.Policies {
		policy, objective := &c.Policies[i], "balanced"
		if policy.Name == "cheap" || policy.Name == "quality" {
			objective = policy.Name
		}
		or(p, strictyaml.Element("policies", i)+".objective", &policy.Objective, objective)
		orPointer(&policy.Exploration, c.Exploration)
	}
}

func (c *ProviderConfig) fillDefaults(p *strictyaml.Problems, field string, timeouts TimeoutConfig) {
	ownAddress := false
	switch provider.Kind(c.Kind) {
	case provider.OpenAI:
		or(p, field+".base_url", &c.BaseURL, provider.DefaultBaseURL(provider.OpenAI))
		u, err := url.Parse(c.BaseURL)
		ownAddress = err == nil && strings.EqualFold(u.Hostname(), "api.openai.com")
	case provider.Anthropic:
		or(p, field+".base_url", &c.BaseURL, provider.DefaultBaseURL(provider.Anthropic))
		or(p, field+".api_version", &c.APIVersion, "2023-06-01")
	}
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	or(p, field+".cache_min_tokens", &c.CacheMinTokens, defaultCacheMin)
	c.Timeouts.fill(p, field+".timeouts", timeouts)
	if c.APIs != nil {
		return
	}
	switch {
	case c.Kind == string(provider.Anthropic):
		c.APIs = []string{string(wire.Messages)}
	case c.Kind == string(provider.Azure) || ownAddress:
		c.APIs = []string{string(wire.Chat), string(wire.Responses), string(wire.Embeddings)}
	default:
		c.APIs = []string{string(wire.Chat), string(wire.Embeddings)}
	}
}

func (c *TimeoutConfig) fill(p *strictyaml.Problems, field string, others TimeoutConfig) {
	or(p, field+".connect", &c.Connect, others.Connect)
	// A provider that may be silent for long at first may be so later.
	or(p, field+".thinking", &c.Thinking, max(others.Thinking, c.FirstToken))
	or(p, field+".idle", &c.Idle, max(others.Idle, c.FirstToken))
	or(p, field+".first_token", &c.FirstToken, others.FirstToken)
	or(p, field+".total", &c.Total, others.Total)
}

// or sets a field that is zero, unless the file sets it to zero.
func or[T comparable](p *strictyaml.Problems, field string, v *T, other T) {
	var zero T
	if *v == zero && !p.Given(field) {
		*v = other
	}
}

func orPointer[T any](v **T, other T) {
	if *v == nil {
		*v = &other
	}
}

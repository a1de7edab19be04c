package gateway

import (
	"encoding/json"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/wire"
)

// check notes all that is wrong with a configuration whose defaults are set.
func (c *Config) check(p *problems) {
	c.checkAddresses(p)
	c.checkNumbers(p)
	c.checkProviders(p)
	c.checkModels(p)
	c.checkEmbeddings(p)
	c.checkPolicies(p)
	c.checkClients(p)
	if levels := []string{"debug", "info", "warn", "error"}; !slices.Contains(levels, c.Log.Level) {
		p.add("log.level", "no level %q: %s", c.Log.Level, suggest(c.Log.Level, levels))
	}
}

func (c *Config) checkAddresses(p *problems) {
	if public, ok := checkAddress(p, "listen", c.Listen); ok && public && len(c.Clients) == 0 {
		p.add("listen", "other machines can reach %s: list clients with keys, or listen on 127.0.0.1", c.Listen)
	}
	if p.given("admin_key") || c.AdminKey != "" {
		if err := checkKey(c.AdminKey.Reveal()); err != nil {
			p.add("admin_key", "%v", err)
		}
	}
	if c.AdminListen == adminOff {
		return
	}
	public, ok := checkAddress(p, "admin_listen", c.AdminListen)
	switch {
	case ok && sameAddress(c.Listen, c.AdminListen):
		p.add("admin_listen", "%s is what listen has: want another port, or %q", c.AdminListen, adminOff)
	case ok && public && c.AdminKey == "":
		p.add("admin_listen", "other machines can reach %s: set admin_key, or listen on 127.0.0.1", c.AdminListen)
	}
}

// checkAddress reports whether an address is one, and whether other machines can
// reach it.
func checkAddress(p *problems, field, address string) (public, ok bool) {
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r == '/' }) {
		p.add(field, "%q is not an address: want HOST:PORT, such as 127.0.0.1:8080", address)
		return false, false
	}
	return !isLoopback(host), true
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

// sameAddress reports whether one machine cannot listen on both.
func sameAddress(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	isAny := func(host string) bool {
		ip, err := netip.ParseAddr(host)
		return host == "" || err == nil && ip.Unmap().IsUnspecified()
	}
	return strings.EqualFold(hostA, hostB) || isAny(hostA) || isAny(hostB) || isLoopback(hostA) && isLoopback(hostB)
}

func (c *Config) checkNumbers(p *problems) {
	checkRange(p, "record.max_mb", c.Record.MaxMB, 1, 1<<20)
	checkRange(p, "record.keep", *c.Record.Keep, 0, 1<<20)
	checkRange(p, "text.system", c.Text.System, 0, 1<<20)
	checkRange(p, "text.earlier", *c.Text.Earlier, 0, 1<<20)
	checkRange(p, "sessions.entries", c.Sessions.Entries, 1, 10_000_000)
	checkDuration(p, "sessions.ttl", c.Sessions.TTL)
	c.Timeouts.check(p, "timeouts")
	checkRange(p, "retry.retries", *c.Retry.Retries, 0, 100)
	checkDuration(p, "retry.backoff", c.Retry.Backoff)
	checkDuration(p, "retry.max_wait", c.Retry.MaxWait)
	checkRange(p, "retry.budget", *c.Retry.Budget, 0, 1)
	checkRange(p, "retry.fallbacks", *c.Retry.Fallbacks, 0, 1000)
	checkRange(p, "breaker.failures", c.Breaker.Failures, 1, 1_000_000)
	checkDuration(p, "breaker.open", c.Breaker.Open)
	checkRange(p, "limits.body_mb", c.Limits.BodyMB, 1, 1024)
	checkRange(p, "limits.header_kb", c.Limits.HeaderKB, 1, 1024)
	checkRange(p, "limits.requests", c.Limits.Requests, 1, 1_000_000)
	checkDuration(p, "limits.read_timeout", c.Limits.ReadTimeout)
	checkDuration(p, "limits.write_timeout", c.Limits.WriteTimeout)
	checkDuration(p, "limits.shutdown", c.Limits.Shutdown)
	if c.Limits.Drain < 0 {
		p.add("limits.drain", "is %v: want 0s or more", c.Limits.Drain)
	}
	checkRange(p, "exploration.rate", c.Exploration.Rate, 0, 1)
}

func (c *TimeoutConfig) check(p *problems, field string) {
	checkDuration(p, field+".connect", c.Connect)
	checkDuration(p, field+".first_token", c.FirstToken)
	checkDuration(p, field+".total", c.Total)
}

func checkRange[T int | float64](p *problems, field string, value, low, high T) {
	if !(value >= low && value <= high) {
		p.add(field, "%v is not in [%v,%v]", value, low, high)
	}
}

func checkDuration(p *problems, field string, value time.Duration) {
	if value <= 0 {
		p.add(field, "%v: want more than 0", value)
	}
}

// checkName refuses names that are missing, that were there before, or that no
// header or metric can hold; without says what else may not be in them.
func checkName(p *problems, field, name, without string, taken map[string]string) {
	bad := func(r rune) bool {
		return r == ',' || unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || strings.ContainsRune(without, r)
	}
	switch {
	case name == "":
		p.add(field, "is missing")
	case len(name) > maxConfigKey:
		p.add(field, "is longer than %d bytes", maxConfigKey)
	case strings.TrimSpace(name) != name || strings.ContainsFunc(name, bad):
		chars := "commas, no line breaks and no spaces at the ends"
		if strings.Contains(without, ":") {
			chars = "spaces, commas, colons or line breaks"
		} else if without != "" {
			chars = "spaces, commas or line breaks"
		}
		p.add(field, "%q: names have no %s", name, chars)
	case taken[name] != "":
		p.add(field, "%q is the name of %s already", name, taken[name])
	default:
		taken[name] = strings.TrimSuffix(field, ".name")
	}
}

// checkUnique refuses what a list has twice.
func checkUnique[T ~string](p *problems, field string, list []T) {
	for i, one := range list {
		if slices.Contains(list[:i], one) {
			p.add(element(field, i), "%q appears twice", one)
		}
	}
}

const (
	maxContext = 1_000_000_000 // tokens
	maxPrice   = 100_000.0     // USD per million tokens
)

// fixedSettings are fields of a request's body that no setting may replace.
var fixedSettings = []string{"model", "messages", "input", "stream", "stream_options"}

func (c *Config) checkModels(p *problems) {
	if len(c.Models) == 0 {
		p.add("models", "is missing: want at least one")
	}
	taken := make(map[string]string)
	for _, name := range builtinPolicies {
		taken[name] = "a policy"
	}
	for i := range c.Models {
		m, field := &c.Models[i], element("models", i)
		checkName(p, field+".name", m.Name, "", taken)
		c.checkProvider(p, field+".provider", m.Provider, wire.Chat, wire.Responses, wire.Messages)
		checkUpstream(p, field, m.Upstream)
		limit := ""
		for _, key := range sortedKeys(m.Settings) {
			at := child(field+".settings", key)
			raw, err := json.Marshal(m.Settings[key])
			_, whole := wholeNumber(m.Settings[key])
			switch {
			case slices.Contains(fixedSettings, key):
				p.add(at, "is not a setting: the gateway sets %s", key)
			case err != nil:
				p.add(at, "is not what JSON can hold")
			case !wire.IsTokenLimit(key):
			case limit != "": // a request gets one, and which is not for the gateway to say
				p.add(at, "limits tokens, as %s does: want one of them", limit)
			default:
				if limit = key; !whole {
					p.add(at, "is %.40s: want a whole number above 0 and below 2^31", raw)
				}
			}
		}
		checkRange(p, field+".adjust.quality", m.Adjust.Quality, -1, 1)
		checkRange(p, field+".adjust.output_tokens", m.Adjust.OutputTokens, 0.01, 100)
		m.Price.check(p, field+".price", "input", "output")
		if m.Context != 0 || p.given(field+".context") {
			checkRange(p, field+".context", m.Context, 1, maxContext)
		}
		if m.Abilities != nil {
			valid := []string{"tools", "vision", "json"}
			for i, ability := range *m.Abilities {
				if !slices.Contains(valid, ability) {
					p.add(element(field+".abilities", i), "no ability %q: %s", ability, suggest(ability, valid))
				}
			}
			checkUnique(p, field+".abilities", *m.Abilities)
		}
		for i, tag := range m.Tags {
			checkName(p, element(field+".tags", i), tag, " ", make(map[string]string))
		}
		checkUnique(p, field+".tags", m.Tags)
	}
}

// checkUpstream refuses an empty name that the file gives.
func checkUpstream(p *problems, field, upstream string) {
	if upstream == "" && p.given(field+".upstream") {
		p.add(field+".upstream", "is empty: leave it out for the default")
	}
}

// checkProvider refuses a provider that is not there or serves none of the APIs.
func (c *Config) checkProvider(p *problems, field, name string, apis ...wire.API) {
	var names []string
	for i := range c.Providers {
		provider := &c.Providers[i]
		if names = append(names, provider.Name); provider.Name != name || name == "" {
			continue
		}
		if !slices.ContainsFunc(apis, func(api wire.API) bool { return slices.Contains(provider.APIs, api) }) {
			p.add(field, "provider %q serves only %s: want one that serves %s", name, joined(provider.APIs, ", "), joined(apis, " or "))
		}
		return
	}
	if name == "" {
		p.add(field, "is missing: %s", suggest("", names))
	} else {
		p.add(field, "no provider %q: %s", name, suggest(name, names))
	}
}

func joined[T ~string](list []T, between string) string {
	var b strings.Builder
	for i, one := range list {
		if i > 0 {
			b.WriteString(between)
		}
		b.WriteString(string(one))
	}
	return b.String()
}

// check refuses prices below 0 and absurd ones, and those that lack a required one.
func (c *PriceConfig) check(p *problems, field string, required ...string) {
	if c == nil {
		return
	}
	for _, f := range []struct {
		name  string
		price *float64
	}{{"input", c.Input}, {"cached_input", c.CachedInput}, {"cache_write", c.CacheWrite}, {"output", c.Output}, {"reasoning", c.Reasoning}} {
		if f.price != nil {
			checkRange(p, field+"."+f.name, *f.price, 0, maxPrice)
		} else if slices.Contains(required, f.name) {
			p.add(field+"."+f.name, "is missing: a price has %s", strings.Join(required, " and "))
		}
	}
}

func (c *Config) checkEmbeddings(p *problems) {
	taken := make(map[string]string)
	for i := range c.Models {
		taken[c.Models[i].Name] = element("models", i)
	}
	for i := range c.Policies {
		taken[c.Policies[i].Name] = "a policy"
	}
	for i := range c.Embeddings {
		e, field := &c.Embeddings[i], element("embeddings", i)
		checkName(p, field+".name", e.Name, "", taken)
		c.checkProvider(p, field+".provider", e.Provider, wire.Embeddings)
		checkUpstream(p, field, e.Upstream)
		e.Price.check(p, field+".price", "input")
	}
}

func (c *Config) checkPolicies(p *problems) {
	models := c.modelNames()
	taken := make(map[string]string)
	for i, name := range models {
		if !slices.Contains(builtinPolicies, name) { // that is said of the model
			taken[name] = element("models", i)
		}
	}
	for i := range c.Policies {
		policy, field := &c.Policies[i], element("policies", i)
		checkName(p, field+".name", policy.Name, ": ", taken)
		if _, err := carrot.ParseObjective(policy.Objective); err != nil {
			p.add(field+".objective", "%v", err)
		}
		for i, name := range policy.Models {
			if !slices.Contains(models, name) {
				p.add(element(field+".models", i), "no model %q: %s", name, suggest(name, models))
			}
		}
		checkUnique(p, field+".models", policy.Models)
		c.checkPool(p, field, policy)
		checkRange(p, field+".novel_to_default", policy.NovelToDefault, 0, 1)
		if p.given(field + ".exploration") {
			checkRange(p, field+".exploration.rate", policy.Exploration.Rate, 0, 1)
		}
	}
	c.checkInline(p)
}

// checkInline refuses models whose names read as a policy with an objective behind
// it, as auto:mu=0.3.
func (c *Config) checkInline(p *problems) {
	for i := range c.Models {
		policy, _, found := strings.Cut(c.Models[i].Name, ":")
		if found && slices.ContainsFunc(c.Policies, func(other PolicyConfig) bool { return other.Name == policy }) {
			p.add(element("models", i)+".name", "%q reads as policy %q with an objective", c.Models[i].Name, policy)
		}
	}
}

// checkPool refuses policies that leave no model, and defaults outside the pool.
func (c *Config) checkPool(p *problems, field string, policy *PolicyConfig) {
	var pool []string
	for i := range c.Models {
		m := &c.Models[i]
		if (policy.Models == nil || slices.Contains(policy.Models, m.Name)) &&
			!slices.ContainsFunc(policy.Tags, func(tag string) bool { return !slices.Contains(m.Tags, tag) }) {
			pool = append(pool, m.Name)
		}
	}
	switch {
	case policy.Models != nil && len(policy.Models) == 0:
		p.add(field+".models", "is an empty list: leave it out for all models")
	case len(pool) == 0 && len(policy.Tags) > 0:
		p.add(field+".tags", "no model that may be chosen has %s", joined(policy.Tags, " and "))
	case policy.Default != "" && !slices.Contains(c.modelNames(), policy.Default):
		p.add(field+".default", "no model %q: %s", policy.Default, suggest(policy.Default, c.modelNames()))
	case policy.Default != "" && !slices.Contains(pool, policy.Default):
		p.add(field+".default", "%q may not be chosen by the policy: %s", policy.Default, suggest("", pool))
	}
}

func (c *Config) modelNames() []string {
	names := make([]string, len(c.Models))
	for i := range c.Models {
		names[i] = c.Models[i].Name
	}
	return names
}

func (c *Config) checkClients(p *problems) {
	policies := make([]string, len(c.Policies))
	for i := range c.Policies {
		policies[i] = c.Policies[i].Name
	}
	for i := range c.Embeddings {
		policies = append(policies, c.Embeddings[i].Name)
	}
	taken, owners := make(map[string]string), make(map[[32]byte]string)
	for i := range c.Clients {
		client, field := &c.Clients[i], element("clients", i)
		checkName(p, field+".name", client.Name, " ", taken)
		if owner := owners[client.hash]; owner != "" {
			p.add(field, "has the key of %s", owner)
		} else if client.hash != [32]byte{} {
			owners[client.hash] = field
		}
		if client.Policies != nil && len(client.Policies) == 0 {
			p.add(field+".policies", "is an empty list: leave it out for all policies")
		}
		for i, name := range client.Policies {
			if !slices.Contains(policies, name) {
				p.add(element(field+".policies", i), "no policy %q: %s", name, suggest(name, policies))
			}
		}
		checkUnique(p, field+".policies", client.Policies)
	}
}

// sortedKeys returns a mapping's keys in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

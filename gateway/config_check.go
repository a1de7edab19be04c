package gateway

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/spelling"
	"github.com/carrot-router/carrot/internal/strictyaml"
	"github.com/carrot-router/carrot/internal/wire"
)

// check adds everything that is wrong with a configuration whose defaults have been
// filled in.
func (c *Config) check(p *strictyaml.Problems) {
	if p.Given("admin_key") || c.AdminKey != "" {
		if err := checkKey(c.AdminKey.Reveal()); err != nil {
			p.Add("admin_key", "%v", err)
		}
	}
	c.checkNumbers(p)
	c.checkProviders(p)
	c.checkModels(p)
	c.checkEmbeddings(p)
	c.checkPolicies(p)
	c.checkAliases(p)
	c.checkClients(p)
	c.checkLabels(p)
	c.checkFeedback(p)
	if kinds := []string{lenient, strictly}; !slices.Contains(kinds, c.Translation) {
		p.Add("translation", "is %q: %s", c.Translation, spelling.Suggest(c.Translation, kinds))
	}
	if kinds := []string{contentNone, contentJudged, contentFull}; !slices.Contains(kinds, c.RecordContent) {
		p.Add("record.content", "is %q: %s", c.RecordContent, spelling.Suggest(c.RecordContent, kinds))
	}
}

// The texts that are recorded.
const (
	contentNone   = "none"
	contentJudged = "judged"
	contentFull   = "full"
)

// The ways to translate.
const (
	lenient  = "lenient"
	strictly = "strict"
)

func (c *Config) checkNumbers(p *strictyaml.Problems) {
	checkRange(p, "text.system", c.Text.System, 0, 1<<20)
	checkRange(p, "text.earlier", *c.Text.Earlier, 0, 1<<20)
	checkRange(p, "sessions.entries", c.Sessions.Entries, 1, 10_000_000)
	if c.Sessions.StoreMB != -1 {
		checkRange(p, "sessions.store_mb", c.Sessions.StoreMB, 1, 1<<16)
	}
	checkDuration(p, "sessions.ttl", c.Sessions.TTL)
	c.Timeouts.check(p, "timeouts")
	if c.Pings < 0 {
		p.Add("pings", "is %v: want 0s or more", c.Pings)
	}
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
	for i, origin := range c.Origins {
		if !isOrigin(origin) {
			p.Add(strictyaml.Element("origins", i), "is %q: want the origin of web pages, such as https://app.example", origin)
		}
	}
	checkRange(p, "limits.connections", c.Limits.Connections, 1, 1_000_000)
	checkRange(p, "limits.memory_mb", c.Limits.MemoryMB, 1, 1<<20)
	checkDuration(p, "limits.read_timeout", c.Limits.ReadTimeout)
	checkDuration(p, "limits.write_timeout", c.Limits.WriteTimeout)
	checkDuration(p, "limits.shutdown", c.Limits.Shutdown)
	if c.Limits.Drain < 0 {
		p.Add("limits.drain", "is %v: want 0s or more", c.Limits.Drain)
	}
	checkRange(p, "exploration.rate", c.Exploration.Rate, 0, 1)
}

func (c *TimeoutConfig) check(p *strictyaml.Problems, field string) {
	checkDuration(p, field+".connect", c.Connect)
	checkDuration(p, field+".first_token", c.FirstToken)
	checkDuration(p, field+".thinking", c.Thinking)
	checkDuration(p, field+".idle", c.Idle)
	checkDuration(p, field+".total", c.Total)
}

func checkRange[T int | float64](p *strictyaml.Problems, field string, value, low, high T) {
	if !(value >= low && value <= high) {
		p.Add(field, "%v is not in [%v,%v]", value, low, high)
	}
}

func checkDuration(p *strictyaml.Problems, field string, value time.Duration) {
	if value <= 0 {
		p.Add(field, "%v: want more than 0", value)
	}
}

// checkName refuses names that are missing, taken, or not valid in a header or metric.
// without holds further characters that they must not contain.
func checkName(p *strictyaml.Problems, field, name, without string, taken map[string]string) {
	bad := func(r rune) bool {
		return r == ',' || unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || strings.ContainsRune(without, r)
	}
	switch {
	case name == "":
		p.Add(field, "is missing")
	case len(name) > strictyaml.MaxKey:
		p.Add(field, "is longer than %d bytes", strictyaml.MaxKey)
	case strings.TrimSpace(name) != name || strings.ContainsFunc(name, bad):
		chars := "commas, line breaks, or spaces at its ends"
		if strings.Contains(without, ":") {
			chars = "spaces, commas, colons or line breaks"
		} else if without != "" {
			chars = "spaces, commas or line breaks"
		}
		p.Add(field, "%q: a name must not contain %s", name, chars)
	case taken[name] != "":
		p.Add(field, "%q is already the name of %s", name, taken[name])
	default:
		taken[name] = strings.TrimSuffix(field, ".name")
	}
}

// checkUnique refuses elements that appear twice in a list.
func checkUnique[T ~string](p *strictyaml.Problems, field string, list []T) {
	for i, one := range list {
		if slices.Contains(list[:i], one) {
			p.Add(strictyaml.Element(field, i), "%q appears twice", one)
		}
	}
}

const (
	maxContext = 1_000_000_000 // tokens
	maxPrice   = 100_000.0     // USD per million tokens
)

// fixedSettings are fields of a request's body that cannot be settings.
var fixedSettings = []string{"model", "messages", "input", "stream", "stream_options"}

func (c *Config) checkModels(p *strictyaml.Problems) {
	if len(c.Models) == 0 {
		p.Add("models", "is missing: want at least one")
	}
	taken := make(map[string]string)
	for _, name := range builtinPolicies {
		taken[name] = "a policy"
	}
	for i := range c.Models {
		m, field := &c.Models[i], strictyaml.Element("models", i)
		checkName(p, field+".name", m.Name, "", taken)
		c.checkProvider(p, field+".provider", m.Provider, wire.Chat, wire.Responses, wire.Messages)
		checkUpstream(p, field, m.Upstream)
		limit := ""
		for _, key := range slices.Sorted(maps.Keys(m.Settings)) {
			at := strictyaml.Child(field+".settings", key)
			raw, err := json.Marshal(m.Settings[key])
			_, whole := wholeNumber(m.Settings[key])
			switch {
			case slices.Contains(fixedSettings, key):
				p.Add(at, "is not a setting: the gateway sets %s", key)
			case err != nil:
				p.Add(at, "cannot be written as JSON")
			case !wire.IsTokenLimit(key):
			case limit != "": // a request may have only one limit
				p.Add(at, "limits tokens, as %s does: want only one of them", limit)
			default:
				if limit = key; !whole {
					p.Add(at, "is %.40s: want a whole number above 0 and below 2^31", raw)
				}
			}
		}
		checkRange(p, field+".adjust.quality", m.Adjust.Quality, -1, 1)
		checkRange(p, field+".adjust.output_tokens", m.Adjust.OutputTokens, 0.01, 100)
		m.Price.check(p, field+".price", "input", "output")
		if m.CacheMinTokens != -1 && (m.CacheMinTokens != 0 || p.Given(field+".cache_min_tokens")) {
			checkRange(p, field+".cache_min_tokens", m.CacheMinTokens, 1, maxContext)
		}
		if m.Context != 0 || p.Given(field+".context") {
			checkRange(p, field+".context", m.Context, 1, maxContext)
		}
		if m.Abilities != nil {
			valid := []string{"tools", "vision", "json"}
			for i, ability := range *m.Abilities {
				if !slices.Contains(valid, ability) {
					p.Add(strictyaml.Element(field+".abilities", i), "no ability %q: %s", ability, spelling.Suggest(ability, valid))
				}
			}
			checkUnique(p, field+".abilities", *m.Abilities)
		}
		if m.MaxOutput != 0 || p.Given(field+".max_output") {
			checkRange(p, field+".max_output", m.MaxOutput, 1, maxContext)
		}
		if m.Efforts != nil {
			checkEfforts(p, field+".efforts", *m.Efforts)
		}
		for i, tag := range m.Tags {
			checkName(p, strictyaml.Element(field+".tags", i), tag, " ", make(map[string]string))
		}
		checkUnique(p, field+".tags", m.Tags)
	}
}

// allEfforts are the reasoning efforts of all vendors, from the lowest to the highest.
var allEfforts = []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}

// checkEfforts refuses efforts that no vendor has, and lists that are not in order.
func checkEfforts(p *strictyaml.Problems, field string, efforts []string) {
	last := -1
	for i, effort := range efforts {
		at := slices.Index(allEfforts, effort)
		switch {
		case at < 0:
			p.Add(strictyaml.Element(field, i), "no effort %q: %s", effort, spelling.Suggest(effort, allEfforts))
		case at <= last:
			p.Add(strictyaml.Element(field, i), "%q is not higher than the one before it: want them from the lowest to the highest", effort)
		default:
			last = at
		}
	}
}

// checkUpstream refuses an empty name in a file.
func checkUpstream(p *strictyaml.Problems, field, upstream string) {
	if upstream == "" && p.Given(field+".upstream") {
		p.Add(field+".upstream", "is empty: omit it for the default")
	}
}

// checkProvider refuses a provider that does not exist, or that serves none of the
// APIs.
func (c *Config) checkProvider(p *strictyaml.Problems, field, name string, apis ...wire.API) {
	var names []string
	for i := range c.Providers {
		provider := &c.Providers[i]
		if names = append(names, provider.Name); provider.Name != name || name == "" {
			continue
		}
		if !slices.ContainsFunc(apis, func(api wire.API) bool { return slices.Contains(provider.APIs, string(api)) }) {
			p.Add(field, "provider %q serves only %s: want one that serves %s", name, joined(provider.APIs, ", "), joined(apis, " or "))
		}
		return
	}
	if name == "" {
		p.Add(field, "is missing: %s", spelling.Suggest("", names))
	} else {
		p.Add(field, "no provider %q: %s", name, spelling.Suggest(name, names))
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

func (c *Config) checkEmbeddings(p *strictyaml.Problems) {
	taken := make(map[string]string)
	for i := range c.Models {
		taken[c.Models[i].Name] = strictyaml.Element("models", i)
	}
	for i := range c.Policies {
		taken[c.Policies[i].Name] = "a policy"
	}
	for i := range c.Embeddings {
		e, field := &c.Embeddings[i], strictyaml.Element("embeddings", i)
		checkName(p, field+".name", e.Name, "", taken)
		c.checkProvider(p, field+".provider", e.Provider, wire.Embeddings)
		checkUpstream(p, field, e.Upstream)
		e.Price.check(p, field+".price", "input")
	}
}

func (c *Config) checkPolicies(p *strictyaml.Problems) {
	models := c.modelNames()
	taken := make(map[string]string)
	for i, name := range models {
		if !slices.Contains(builtinPolicies, name) { // checkModels has refused such names
			taken[name] = strictyaml.Element("models", i)
		}
	}
	for i := range c.Policies {
		policy, field := &c.Policies[i], strictyaml.Element("policies", i)
		checkName(p, field+".name", policy.Name, ": ", taken)
		if _, err := carrot.ParseObjective(policy.Objective); err != nil {
			p.Add(field+".objective", "%v", err)
		}
		for i, name := range policy.Models {
			if !slices.Contains(models, name) {
				p.Add(strictyaml.Element(field+".models", i), "no model %q: %s", name, spelling.Suggest(name, models))
			}
		}
		checkUnique(p, field+".models", policy.Models)
		c.checkPool(p, field, policy)
		checkRange(p, field+".novel_to_default", policy.NovelToDefault, 0, 1)
		if policy.Exploration.Rate != c.Exploration.Rate { // which is already checked
			checkRange(p, field+".exploration.rate", policy.Exploration.Rate, 0, 1)
		}
		policy.checkRouters(p, field)
	}
	c.checkInline(p)
}

// checkRouters checks what is said of other routers.
func (c *PolicyConfig) checkRouters(p *strictyaml.Problems, field string) {
	switch {
	case c.Canary.Router == "" && c.Canary.Share != 0:
		p.Add(field+".canary.router", "is missing: name a saved router, or leave out canary")
	case c.Canary.Router != "" && !(c.Canary.Share > 0 && c.Canary.Share <= 1):
		p.Add(field+".canary.share", "is %v: want a share above 0 and at most 1", c.Canary.Share)
	case c.Canary.Router != "" && c.Shadow:
		p.Add(field+".canary", "the policy is in the shadow, so that no router's decision applies: leave out one of the two")
	}
	if c.ShadowRouter != "" && c.Shadow {
		p.Add(field+".shadow_router", "the policy is in the shadow, which records the decisions of the router itself: leave out one of the two")
	}
}

// Routers returns the files of the routers that policies name beside the router of the
// gateway, each once, in order.
func (c *Config) Routers() (files []string) {
	for i := range c.Policies {
		for _, file := range []string{c.Policies[i].Canary.Router, c.Policies[i].ShadowRouter} {
			if file != "" && !slices.Contains(files, file) {
				files = append(files, file)
			}
		}
	}
	return files
}

// checkInline refuses models whose names mean a policy with an objective, such as
// auto:mu=0.3.
func (c *Config) checkInline(p *strictyaml.Problems) {
	for i := range c.Models {
		policy, _, found := strings.Cut(c.Models[i].Name, ":")
		if found && slices.ContainsFunc(c.Policies, func(other PolicyConfig) bool { return other.Name == policy }) {
			p.Add(strictyaml.Element("models", i)+".name", "%q means policy %q with an objective: want another name", c.Models[i].Name, policy)
		}
	}
}

// checkPool refuses policies with an empty pool, and defaults that are not in the pool.
func (c *Config) checkPool(p *strictyaml.Problems, field string, policy *PolicyConfig) {
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
		p.Add(field+".models", "is an empty list: omit it for all models")
	case len(pool) == 0 && len(policy.Tags) > 0:
		p.Add(field+".tags", "no model of the policy is tagged %s", joined(policy.Tags, " and "))
	case policy.Default != "" && !slices.Contains(c.modelNames(), policy.Default):
		p.Add(field+".default", "no model %q: %s", policy.Default, spelling.Suggest(policy.Default, c.modelNames()))
	case policy.Default != "" && !slices.Contains(pool, policy.Default):
		p.Add(field+".default", "%q is not in the policy's pool: %s", policy.Default, spelling.Suggest("", pool))
	}
}

// checkAliases refuses aliases that are the name of something else, and aliases for
// what does not exist.
func (c *Config) checkAliases(p *strictyaml.Problems) {
	taken := make(map[string]string)
	valid := c.modelNames()
	for i := range c.Policies {
		valid = append(valid, c.Policies[i].Name)
	}
	for _, name := range valid {
		taken[name] = "a model or policy"
	}
	for i := range c.Embeddings {
		taken[c.Embeddings[i].Name] = strictyaml.Element("embeddings", i)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Aliases)) {
		field, to := strictyaml.Child("aliases", name), c.Aliases[name]
		checkName(p, field, name, "", taken)
		if star := strings.IndexByte(name, '*'); star >= 0 && star != len(name)-1 {
			p.Add(field, "a * is allowed only at the end of a name")
		}
		policy, inline, found := strings.Cut(to, ":")
		isPolicy := slices.ContainsFunc(c.Policies, func(other PolicyConfig) bool { return other.Name == policy })
		switch _, err := carrot.ParseObjective(inline); {
		case slices.Contains(valid, to):
		case found && isPolicy && (err != nil || inline == ""):
			p.Add(field, "%q is not an objective", inline)
		case !found || !isPolicy:
			p.Add(field, "no model or policy %q: %s", to, spelling.Suggest(to, valid))
		}
	}
}

func (c *Config) modelNames() []string {
	names := make([]string, len(c.Models))
	for i := range c.Models {
		names[i] = c.Models[i].Name
	}
	return names
}

// maxLabels is how many labels requests may add. Every one is written to every record.
const maxLabels = 16

func (c *Config) checkLabels(p *strictyaml.Problems) {
	for i, name := range c.Labels.Allowed {
		field := strictyaml.Element("labels.allowed", i)
		if strings.Contains(name, "=") {
			p.Add(field, "%q: the name of a label must not contain =", name)
			continue
		}
		checkName(p, field, name, " ", make(map[string]string))
	}
	checkUnique(p, "labels.allowed", c.Labels.Allowed)
	if n := len(c.Labels.Allowed); n > maxLabels {
		p.Add("labels.allowed", "has %d names: want at most %d", n, maxLabels)
	}
}

func (c *Config) checkClients(p *strictyaml.Problems) {
	policies := make([]string, len(c.Policies))
	for i := range c.Policies {
		policies[i] = c.Policies[i].Name
	}
	for i := range c.Embeddings {
		policies = append(policies, c.Embeddings[i].Name)
	}
	taken, owners := make(map[string]string), make(map[string]string)
	for i := range c.Clients {
		client, field := &c.Clients[i], strictyaml.Element("clients", i)
		checkName(p, field+".name", client.Name, " ", taken)
		if owner := owners[client.KeySHA256]; owner != "" {
			p.Add(field, "has the same key as %s", owner)
		} else if client.KeySHA256 != "" {
			owners[client.KeySHA256] = field
		}
		for _, name := range slices.Sorted(maps.Keys(client.Labels)) {
			checkName(p, strictyaml.Child(field+".labels", name), name, " ", make(map[string]string))
		}
		if client.Policies != nil && len(client.Policies) == 0 {
			p.Add(field+".policies", "is an empty list: omit it for all policies")
		}
		for i, name := range client.Policies {
			if !slices.Contains(policies, name) {
				p.Add(strictyaml.Element(field+".policies", i), "no policy %q: %s", name, spelling.Suggest(name, policies))
			}
		}
		checkUnique(p, field+".policies", client.Policies)
	}
}

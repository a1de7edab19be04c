package gateway

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/spelling"
	"github.com/carrot-router/carrot/internal/strictyaml"
	"github.com/carrot-router/carrot/internal/wire"
)

// The kinds of providers in a configuration.
const (
	openAI    = string(provider.OpenAI)
	azure     = string(provider.Azure)
	anthropic = string(provider.Anthropic)
)

func (c *Config) checkProviders(p *strictyaml.Problems) {
	if len(c.Providers) == 0 {
		p.Add("providers", "is missing: want at least one")
	}
	taken := make(map[string]string)
	for i := range c.Providers {
		field := strictyaml.Element("providers", i)
		checkName(p, field+".name", c.Providers[i].Name, " ", taken)
		c.Providers[i].check(p, field)
		if c.Providers[i].Timeouts != c.Timeouts { // which are already checked
			c.Providers[i].Timeouts.check(p, field+".timeouts")
		}
	}
}

func (c *ProviderConfig) check(p *strictyaml.Problems, field string) {
	kinds := []string{openAI, azure, anthropic}
	if c.Kind == "" {
		p.Add(field+".kind", "is missing: want one of %s", strings.Join(kinds, ", "))
	} else if !slices.Contains(kinds, c.Kind) {
		p.Add(field+".kind", "no kind %q: %s", c.Kind, spelling.Suggest(c.Kind, kinds))
	}
	c.checkURL(p, field+".base_url")
	switch {
	case c.Kind == azure && c.APIVersion == "":
		p.Add(field+".api_version", "is missing: azure requires one")
	case c.Kind == openAI && c.APIVersion != "":
		p.Add(field+".api_version", "is for azure and anthropic only")
	case checkToken(c.APIVersion) != nil:
		p.Add(field+".api_version", "%q is not a version", c.APIVersion)
	}
	c.checkKeys(p, field)
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		at := strictyaml.Child(field+".headers", name)
		if !isHeaderName(name) {
			p.Add(at, "%q is not a valid name of a header", name)
		}
		if strings.ContainsFunc(c.Headers[name].Reveal(), func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			p.Add(at, "has a line break or control character")
		}
	}
	if slices.Contains(kinds, c.Kind) {
		c.checkAPIs(p, field+".apis")
	}
	if c.CacheMinTokens != -1 {
		checkRange(p, field+".cache_min_tokens", c.CacheMinTokens, 1, maxContext)
	}
}

// checkURL checks the base URL. Its problems show no part of it, because it may contain
// a password.
func (c *ProviderConfig) checkURL(p *strictyaml.Problems, field string) {
	if c.BaseURL == "" {
		if c.Kind == azure || p.Given(field) {
			p.Add(field, "is missing: want http:// or https:// and a host")
		}
		return
	}
	u, err := url.Parse(c.BaseURL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		p.Add(field, "is not an address: want http:// or https:// and a host")
	case u.User != nil:
		p.Add(field, "contains a user name or password: use api_key or headers")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		p.Add(field, "has a query or fragment, but the paths of the API are appended to it")
	case slices.ContainsFunc([]string{"/chat/completions", "/messages", "/responses", "/embeddings"}, func(end string) bool { return strings.HasSuffix(strings.TrimRight(u.Path, "/"), end) }):
		p.Add(field, "ends in the path of an endpoint: omit that path; the gateway adds it")
	}
}

func (c *ProviderConfig) checkKeys(p *strictyaml.Problems, field string) {
	if c.APIKey != "" && c.APIKeys != nil {
		p.Add(field+".api_keys", "want api_key or api_keys, not both")
	} else if c.APIKeys != nil && len(c.APIKeys) == 0 {
		p.Add(field+".api_keys", "is an empty list: omit it")
	}
	if err := checkToken(c.APIKey.Reveal()); err != nil {
		p.Add(field+".api_key", "%v", err)
	}
	for i, key := range c.APIKeys {
		at := strictyaml.Element(field+".api_keys", i)
		if key == "" {
			p.Add(at, "is empty")
		} else if err := checkToken(key.Reveal()); err != nil {
			p.Add(at, "%v", err)
		} else if slices.Contains(c.APIKeys[:i], key) {
			p.Add(at, "appears twice")
		}
	}
}

func (c *ProviderConfig) checkAPIs(p *strictyaml.Problems, field string) {
	if len(c.APIs) == 0 {
		p.Add(field, "is an empty list: omit it for the default")
	}
	valid := []string{string(wire.Chat), string(wire.Responses), string(wire.Embeddings)}
	if c.Kind == anthropic {
		valid = []string{string(wire.Messages)}
	}
	for i, api := range c.APIs {
		if !slices.Contains(valid, api) {
			p.Add(strictyaml.Element(field, i), "kind %s has no API %q: %s", c.Kind, api, spelling.Suggest(api, valid))
		}
	}
	checkUnique(p, field, c.APIs)
}

// isHeaderName reports whether a name is a token as in RFC 9110.
func isHeaderName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r > 'z' && r != '|' && r != '~' || !strings.ContainsRune("!#$%&'*+-.^_`|~", r) && !('0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z')
	})
}

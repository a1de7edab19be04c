package gateway

import (
	"net/url"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/internal/wire"
)

func (c *Config) checkProviders(p *problems) {
	if len(c.Providers) == 0 {
		p.add("providers", "is missing: want at least one")
	}
	taken := make(map[string]string)
	for i := range c.Providers {
		field := element("providers", i)
		checkName(p, field+".name", c.Providers[i].Name, " ", taken)
		c.Providers[i].check(p, field)
	}
}

func (c *ProviderConfig) check(p *problems, field string) {
	kinds := []string{kindOpenAI, kindAzure, kindAnthropic}
	if c.Kind == "" {
		p.add(field+".kind", "is missing: want one of %s", strings.Join(kinds, ", "))
	} else if !slices.Contains(kinds, c.Kind) {
		p.add(field+".kind", "no kind %q: %s", c.Kind, suggest(c.Kind, kinds))
	}
	c.checkURL(p, field+".base_url")
	switch {
	case c.Kind == kindAzure && c.APIVersion == "":
		p.add(field+".api_version", "is missing: azure wants one")
	case c.Kind == kindOpenAI && c.APIVersion != "":
		p.add(field+".api_version", "is of azure and anthropic only")
	case checkToken(c.APIVersion) != nil:
		p.add(field+".api_version", "%q is not a version", c.APIVersion)
	}
	c.checkKeys(p, field)
	for _, name := range sortedKeys(c.Headers) {
		at := child(field+".headers", name)
		if !isHeaderName(name) {
			p.add(at, "%q is not the name of a header", name)
		}
		if strings.ContainsFunc(c.Headers[name].Reveal(), func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			p.add(at, "has a line break or control character")
		}
	}
	if slices.Contains(kinds, c.Kind) {
		c.checkAPIs(p, field+".apis")
	}
	if c.CacheMinTokens != -1 {
		checkRange(p, field+".cache_min_tokens", c.CacheMinTokens, 1, maxContext)
	}
	if p.given(field + ".timeouts") {
		c.Timeouts.check(p, field+".timeouts")
	}
}

// checkURL shows nothing of the address, which may hold a password.
func (c *ProviderConfig) checkURL(p *problems, field string) {
	if c.BaseURL == "" {
		if c.Kind == kindAzure || p.given(field) {
			p.add(field, "is missing: want http:// or https:// and a host")
		}
		return
	}
	u, err := url.Parse(c.BaseURL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		p.add(field, "is not an address: want http:// or https:// and a host")
	case u.User != nil:
		p.add(field, "has a name or password in it: use api_key or headers")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		p.add(field, "has a query or fragment: the API's paths are put behind it")
	case slices.ContainsFunc([]string{"/chat/completions", "/messages", "/responses", "/embeddings"}, func(end string) bool { return strings.HasSuffix(strings.TrimRight(u.Path, "/"), end) }):
		p.add(field, "ends in the path of an endpoint: leave that away, the gateway adds it")
	}
}

func (c *ProviderConfig) checkKeys(p *problems, field string) {
	if c.APIKey != "" && c.APIKeys != nil {
		p.add(field+".api_keys", "want api_key or api_keys, not both")
	} else if c.APIKeys != nil && len(c.APIKeys) == 0 {
		p.add(field+".api_keys", "is an empty list: leave it out")
	}
	if err := checkToken(c.APIKey.Reveal()); err != nil {
		p.add(field+".api_key", "%v", err)
	}
	for i, key := range c.APIKeys {
		at := element(field+".api_keys", i)
		if key == "" {
			p.add(at, "is empty")
		} else if err := checkToken(key.Reveal()); err != nil {
			p.add(at, "%v", err)
		} else if slices.Contains(c.APIKeys[:i], key) {
			p.add(at, "appears twice")
		}
	}
}

func (c *ProviderConfig) checkAPIs(p *problems, field string) {
	if len(c.APIs) == 0 {
		p.add(field, "is an empty list: leave it out for the default")
	}
	valid := []string{string(wire.Chat), string(wire.Responses), string(wire.Embeddings)}
	if c.Kind == kindAnthropic {
		valid = []string{string(wire.Messages)}
	}
	for i, api := range c.APIs {
		if !slices.Contains(valid, string(api)) {
			p.add(element(field, i), "no API %q of kind %s: %s", api, c.Kind, suggest(string(api), valid))
		}
	}
	checkUnique(p, field, c.APIs)
}

// isHeaderName reports whether a name is a token of RFC 9110.
func isHeaderName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r > 'z' && r != '|' && r != '~' || !strings.ContainsRune("!#$%&'*+-.^_`|~", r) && !('0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z')
	})
}

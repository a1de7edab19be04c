package provider

import (
	"net/url"
	"slices"
	"strings"
)

// DefaultBaseURL returns the address of a kind's own API, or "" if the kind has no single one.
func DefaultBaseURL(kind Kind) string {
	switch kind {
	case OpenAI:
		return "https://api.openai.com/v1"
	case Anthropic:
		return "https://api.anthropic.com/v1"
	}
	return ""
}

// BaseURL returns the address of an API as an [Upstream] needs it. In those for Anthropic's
// own clients, /v1 is omitted.
func BaseURL(kind Kind, address string) string {
	trimmed := strings.TrimRight(address, "/")
	if kind == Anthropic && strings.Count(trimmed, "/") == 2 {
		return trimmed + "/v1"
	}
	return address
}

// IsOpenAI reports whether an address is one of OpenAI's, or of OpenAI's models at Azure.
func IsOpenAI(address string) bool {
	return IsAt(address, ".api.openai.com", ".openai.azure.com", ".cognitiveservices.azure.com")
}

// IsAt reports whether an address is in one of the domains, which begin with a dot.
func IsAt(address string, domains ...string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	host := "." + strings.ToLower(u.Hostname())
	return slices.ContainsFunc(domains, func(domain string) bool { return strings.HasSuffix(host, domain) })
}

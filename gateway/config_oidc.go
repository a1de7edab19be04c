package gateway

import (
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/carrot-router/carrot/internal/strictyaml"
)

// callbackPath is where the dashboard expects people whom an identity provider sends back.
const callbackPath = "/ui/callback"

// checkOIDC adds everything that is wrong with the identity provider.
func (f *File) checkOIDC(p *strictyaml.Problems) {
	c := f.OIDC
	if c == nil {
		return
	}
	if f.AdminKey == "" {
		p.Add("oidc", "needs admin_key, without which nobody has to log in: set it")
	}
	if f.AdminListen == adminOff {
		p.Add("oidc", "there is no dashboard while admin_listen is off: leave one of them out")
	}
	checkWeb(p, "oidc.issuer", c.Issuer, "the address of the provider, such as https://login.example")
	const want = "the address of the dashboard with " + callbackPath + ", such as https://carrot.example" + callbackPath
	if u := checkWeb(p, "oidc.redirect_url", c.RedirectURL, want); u != nil && u.Path != callbackPath {
		p.Add("oidc.redirect_url", "%q has the path %q: want %s", c.RedirectURL, u.Path, want)
	}
	for _, text := range []struct{ field, value string }{{"oidc.client_id", c.ClientID}, {"oidc.claim", c.Claim}} {
		if text.value == "" || strings.ContainsFunc(text.value, unicode.IsControl) {
			p.Add(text.field, "is missing, or has line breaks")
		}
	}
	if !slices.Contains(c.Scopes, "openid") {
		p.Add("oidc.scopes", "openid is missing, without which providers do not say who someone is")
	}
	for i, scope := range c.Scopes {
		if scope == "" || strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			p.Add(strictyaml.Element("oidc.scopes", i), "%q is not a scope: want a word", scope)
		}
	}
	if len(c.Admins)+len(c.Viewers) == 0 {
		p.Add("oidc", "nobody could log in: list values of the claim %q in admins or viewers", c.Claim)
	}
	for _, list := range []struct {
		field  string
		values []string
	}{{"oidc.admins", c.Admins}, {"oidc.viewers", c.Viewers}} {
		checkUnique(p, list.field, list.values)
		for i, value := range list.values {
			if value == "" {
				p.Add(strictyaml.Element(list.field, i), "is empty")
			}
		}
	}
}

// checkWeb refuses addresses that others could read or change on the way. It returns nil
// for those.
func checkWeb(p *strictyaml.Problems, field, text, want string) *url.URL {
	u, err := url.Parse(text)
	switch {
	case text == "":
		p.Add(field, "is missing: want %s", want)
	case err != nil || u.User != nil: // the text may have a password
		p.Add(field, "is not an address: want %s", want)
	case u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http":
		p.Add(field, "%q: want %s", text, want)
	case u.Scheme == "http" && !isLocalName(u.Host):
		p.Add(field, "%q is not encrypted: want https, or a loopback address", text)
	default:
		return u
	}
	return nil
}

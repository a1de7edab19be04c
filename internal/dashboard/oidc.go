package dashboard

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/carrot-router/carrot/gateway"
)

const (
	pendingCookie  = "carrot_login"
	pendingLife    = 10 * time.Minute
	maxPending     = 10_000
	providerWait   = 10 * time.Second // for an answer of the provider
	providerLife   = time.Hour        // of what it says of itself
	providerPause  = 5 * time.Second  // after it did not answer
	maxProviderMB  = 1
	maxDescription = 300 // bytes of a name or an error of the provider
)

// provider is the identity provider of the configuration, and those who are there to log in.
type provider struct {
	now    func() time.Time
	client *http.Client

	mu     sync.Mutex
	issuer string         // of what follows
	found  *oidc.Provider // nil: it was not asked yet, or did not answer
	err    error          // why it did not
	asked  time.Time

	pendingMu sync.Mutex
	pending   map[[sha256.Size]byte]pending // by the hash of their cookies
}

// pending is what is remembered of someone who was sent to the provider.
type pending struct {
	state, nonce, verifier string
	to                     string // the page that was asked for
	settings               string // of the provider
	ends                   time.Time
}

func newProvider(now func() time.Time) *provider {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true // it is called rarely
	return &provider{now: now, pending: map[[sha256.Size]byte]pending{}, client: &http.Client{
		Timeout:   providerWait,
		Transport: bounded{transport},
		// A provider that is configured by another address is a mistake to be seen.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// bounded ends answers that are too long.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(answer.Body, maxProviderMB<<20), answer.Body}
	}
	return answer, err
}

// providerSettings are those of a configuration's provider from which access follows.
func providerSettings(f *gateway.File) []string {
	c := f.OIDC
	if c == nil {
		return nil
	}
	return slices.Concat([]string{c.Issuer, c.ClientID, c.ClientSecret.Reveal(), c.RedirectURL, c.Claim}, c.Admins, []string{""}, c.Viewers)
}

// find returns the provider of an issuer. It asks for its description when that is needed
// and not known, or old, and some time after it did not answer.
func (p *provider) find(ctx context.Context, issuer string) (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.issuer != issuer {
		p.issuer, p.found, p.err, p.asked = issuer, nil, nil, time.Time{}
	}
	switch age := p.now().Sub(p.asked); {
	case p.found != nil && age < providerLife:
		return p.found, nil
	case p.err != nil && age < providerPause:
		return p.found, p.err
	}
	found, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.client), issuer)
	p.asked = p.now()
	if err != nil && p.found == nil {
		p.err = err
		return nil, err
	}
	if err == nil {
		p.found, p.err = found, nil
	}
	return p.found, nil // as it was, if it does not answer
}

// remember keeps a login for whoever has the cookie that is returned.
func (p *provider) remember(one pending) (cookie string) {
	p.pendingMu.Lock()
	defer p.pendingMu.Unlock()
	now := p.now()
	if len(p.pending) >= maxPending {
		for hash, other := range p.pending {
			if !now.Before(other.ends) {
				delete(p.pending, hash)
			}
		}
		for hash := range p.pending {
			if len(p.pending) < maxPending {
				break
			}
			delete(p.pending, hash) // any of them, so that nobody can fill the memory
		}
	}
	cookie, one.ends = rand.Text(), now.Add(pendingLife)
	p.pending[sha256.Sum256([]byte(cookie))] = one
	return cookie
}

// take returns a login, once.
func (p *provider) take(r *http.Request) (pending, bool) {
	cookie, err := r.Cookie(pendingCookie)
	if err != nil {
		return pending{}, false
	}
	p.pendingMu.Lock()
	defer p.pendingMu.Unlock()
	hash := sha256.Sum256([]byte(cookie.Value))
	one, ok := p.pending[hash]
	delete(p.pending, hash)
	return one, ok && p.now().Before(one.ends)
}

// clientOf returns the dashboard as the provider's client.
func clientOf(f *gateway.File, found *oidc.Provider) oauth2.Config {
	c := f.OIDC
	return oauth2.Config{ClientID: c.ClientID, ClientSecret: c.ClientSecret.Reveal(), Endpoint: found.Endpoint(), RedirectURL: c.RedirectURL, Scopes: c.Scopes}
}

// pendingCookieOf returns the cookie of a login. It is lax, because the provider sends people
// back from another site.
func pendingCookieOf(f *gateway.File, value string, age int) *http.Cookie {
	return &http.Cookie{Name: pendingCookie, Value: value, Path: Root + "callback", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: strings.HasPrefix(f.OIDC.RedirectURL, "https://")}
}

// toProvider sends someone to the identity provider.
func (d *Dashboard) toProvider(w http.ResponseWriter, r *http.Request) {
	f := d.Config()
	form := loginForm{To: local(r.URL.Query().Get("to"))}
	if f.OIDC == nil {
		form.Away = "The gateway has no identity provider any more. Log in with the admin key."
		d.loginPage(w, form, http.StatusNotFound)
		return
	}
	found, err := d.provider.find(r.Context(), f.OIDC.Issuer)
	if err != nil {
		d.Log.Error("the identity provider does not answer as it should", "issuer", f.OIDC.Issuer, "error", err)
		form.Away = hostOf(f.OIDC.Issuer) + " does not answer as it should. Try again, or log in with the admin key. The gateway’s log says why."
		d.loginPage(w, form, http.StatusBadGateway)
		return
	}
	one := pending{state: rand.Text(), nonce: rand.Text(), verifier: oauth2.GenerateVerifier(), to: form.To, settings: strings.Join(providerSettings(f), "\n")}
	http.SetCookie(w, pendingCookieOf(f, d.provider.remember(one), int(pendingLife/time.Second)))
	client := clientOf(f, found)
	secure(w.Header())
	http.Redirect(w, r, client.AuthCodeURL(one.state, oidc.Nonce(one.nonce), oauth2.S256ChallengeOption(one.verifier)), http.StatusSeeOther)
}

// denied is an error of someone whom the identity provider has sent back.
type denied struct {
	status int
	text   string // for them
	why    error  // for the log; nil: the same
}

func (e *denied) Error() string {
	if e.why != nil {
		return e.why.Error()
	}
	return e.text
}

// fromProvider begins a session for someone whom the identity provider has sent back.
func (d *Dashboard) fromProvider(w http.ResponseWriter, r *http.Request) {
	f := d.Config()
	if f.OIDC == nil {
		d.plainPage(w, "denied", "Not found", http.StatusNotFound, "The gateway has no identity provider.")
		return
	}
	one, ok := d.provider.take(r)
	http.SetCookie(w, pendingCookieOf(f, "", -1))
	u, err := d.received(r, f, one, ok)
	if err != nil {
		e, isDenied := errors.AsType[*denied](err)
		if !isDenied {
			e = &denied{http.StatusBadGateway, hostOf(f.OIDC.Issuer) + " does not confirm the login. Log in once more. The gateway’s log says why.", err}
		}
		d.Log.Warn("someone could not log in to the dashboard", "issuer", f.OIDC.Issuer, "error", short(e.Error()), "address", r.RemoteAddr)
		d.plainPage(w, "denied", "Not logged in", e.status, e.text)
		return
	}
	d.enter(w, r, f, u)
	d.goOn(w, one.to)
}

// received checks what the identity provider says, and returns the user.
func (d *Dashboard) received(r *http.Request, f *gateway.File, one pending, known bool) (user, error) {
	c, q := f.OIDC, r.URL.Query()
	switch {
	case !known || one.settings != strings.Join(providerSettings(f), "\n"):
		return user{}, &denied{http.StatusBadRequest, "The login took longer than ten minutes, was used already, or began in another browser. Log in once more.", nil}
	case subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(one.state)) != 1:
		return user{}, &denied{http.StatusBadRequest, "Another login began in this browser. Log in once more.", errors.New("the state is not the one that was sent")}
	case q.Has("iss") && q.Get("iss") != c.Issuer:
		return user{}, fmt.Errorf("the answer is from %q", short(q.Get("iss")))
	case q.Has("error"):
		text := strings.TrimSpace(q.Get("error") + ": " + q.Get("error_description"))
		return user{}, &denied{http.StatusForbidden, hostOf(c.Issuer) + " says: " + short(strings.TrimSuffix(text, ":")), nil}
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(r.Context(), d.provider.client), 2*providerWait)
	defer cancel()
	found, err := d.provider.find(ctx, c.Issuer)
	if err != nil {
		return user{}, err
	}
	client := clientOf(f, found)
	if client.ClientSecret == "" {
		client.Endpoint.AuthStyle = oauth2.AuthStyleInParams // there is nothing else to try
	}
	token, err := client.Exchange(ctx, q.Get("code"), oauth2.VerifierOption(one.verifier))
	if err != nil {
		return user{}, err
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return user{}, errors.New("the provider has sent no ID token")
	}
	verified, err := found.Verifier(&oidc.Config{ClientID: c.ClientID, Now: d.Now}).Verify(ctx, raw)
	if err != nil {
		return user{}, err
	}
	claims := map[string]any{}
	if err := verified.Claims(&claims); err != nil {
		return user{}, err
	}
	switch azp, given := claims["azp"]; {
	case subtle.ConstantTimeCompare([]byte(verified.Nonce), []byte(one.nonce)) != 1:
		return user{}, errors.New("the nonce of the ID token is not the one that was sent")
	case short(verified.Subject) == "":
		return user{}, errors.New("the ID token does not say who it is for")
	case given && azp != c.ClientID || !given && len(verified.Audience) > 1:
		return user{}, fmt.Errorf("the ID token is for another client: %q", short(fmt.Sprint(azp)))
	}
	if lookUp(claims, c.Claim) == nil && found.UserInfoEndpoint() != "" {
		if err := more(ctx, found, client.TokenSource(ctx, token), verified.Subject, claims); err != nil {
			return user{}, err
		}
	}
	if fmt.Sprint(claims["email_verified"]) == "false" { // whoever it is may have chosen it
		delete(claims, "email")
	}
	u := user{Name: nameOf(claims, verified.Subject), Subject: short(verified.Subject)}
	has := lookUp(claims, c.Claim)
	switch {
	case slices.ContainsFunc(c.Admins, func(v string) bool { return slices.Contains(has, v) }):
		u.Role = Admin
	case slices.ContainsFunc(c.Viewers, func(v string) bool { return slices.Contains(has, v) }):
		u.Role = Viewer
	default:
		return user{}, &denied{http.StatusForbidden, u.Name + " has no access to the dashboard. Whoever administers the gateway can grant it.", fmt.Errorf("%s (%s) has no value of the claim %q that is listed", u.Name, u.Subject, c.Claim)}
	}
	return u, nil
}

// more adds what the userinfo endpoint says of a subject to claims.
func more(ctx context.Context, found *oidc.Provider, tokens oauth2.TokenSource, subject string, claims map[string]any) error {
	info, err := found.UserInfo(ctx, tokens)
	if err != nil {
		return err
	}
	if info.Subject != subject {
		return errors.New("the userinfo endpoint speaks of someone else")
	}
	further := map[string]any{}
	if err := info.Claims(&further); err != nil {
		return err
	}
	for name, value := range further {
		if _, ok := claims[name]; !ok {
			claims[name] = value
		}
	}
	return nil
}

// lookUp returns the texts of a claim. Nil: there is no such claim.
func lookUp(claims map[string]any, name string) []string {
	value, ok := claims[name]
	if !ok {
		first, rest, dotted := strings.Cut(name, ".")
		if within, isMapping := claims[first].(map[string]any); dotted && isMapping {
			return lookUp(within, rest)
		}
		return nil
	}
	texts := []string{}
	switch value := value.(type) {
	case string:
		texts = append(texts, value)
	case []any:
		for _, one := range value {
			if text, ok := one.(string); ok {
				texts = append(texts, text)
			}
		}
	}
	return texts
}

// nameOf returns the name by which people know a user.
func nameOf(claims map[string]any, subject string) string {
	for _, claim := range []string{"email", "preferred_username", "name"} {
		if text, _ := claims[claim].(string); short(text) != "" {
			return short(text)
		}
	}
	return short(subject)
}

// short returns a text of the provider as it can stand in a line.
func short(text string) string {
	text = strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text), "")
	if len(text) > maxDescription {
		text = strings.ToValidUTF8(text[:maxDescription], "")
	}
	return text
}

// hostOf returns the host of an address.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return cmp.Or(u.Host, address)
}

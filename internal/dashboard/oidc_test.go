package dashboard_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"github.com/carrot-router/carrot/internal/database/databasetest"
	"github.com/carrot-router/carrot/internal/keys"
)

// identities is an identity provider.
type identities struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	keys     oidctest.Server
	signer   *ecdsa.PrivateKey
	id       string
	codes    map[string]url.Values // what was asked for, by code
	away     bool
	asked    int                             // for its description
	claims   func(map[string]any)            // changes those of the next ID token
	token    func(string) string             // changes the next ID token
	userinfo func(sub string) map[string]any // nil: there is no such endpoint
}

func newIdentities(t *testing.T) *identities {
	p := &identities{t: t, codes: map[string]url.Values{}, claims: func(map[string]any) {}}
	p.rotate("first")
	p.Server = httptest.NewServer(p)
	p.keys.Algorithms = []string{"ES256"}
	p.keys.SetIssuer(p.URL)
	t.Cleanup(p.Close)
	return p
}

// rotate makes a new key to sign with, and forgets the others.
func (p *identities) rotate(id string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signer, p.id = key, id
	p.keys.PublicKeys = []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: id, Algorithm: "ES256"}}
}

func (p *identities) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.URL.Path == "/.well-known/openid-configuration" {
		p.asked++
	}
	switch {
	case p.away:
		http.Error(w, "out of order", http.StatusBadGateway)
	case r.URL.Path == "/.well-known/openid-configuration":
		description := map[string]any{"issuer": p.URL, "authorization_endpoint": p.URL + "/auth", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys", "id_token_signing_alg_values_supported": []string{"ES256"}}
		if p.userinfo != nil {
			description["userinfo_endpoint"] = p.URL + "/me"
		}
		json.NewEncoder(w).Encode(description)
	case r.URL.Path == "/me" && r.Header.Get("Authorization") == "Bearer access":
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(p.userinfo("anna"))
	case r.URL.Path == "/token":
		p.exchange(w, r)
	default:
		p.keys.ServeHTTP(w, r)
	}
}

// exchange answers with an ID token for a code, once, to whoever has its verifier.
func (p *identities) exchange(w http.ResponseWriter, r *http.Request) {
	name, secret, _ := r.BasicAuth()
	code := r.PostFormValue("code")
	asked, ok := p.codes[code]
	delete(p.codes, code)
	challenge := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !ok || name != "carrot" || secret != "hush" || r.PostFormValue("grant_type") != "authorization_code" || r.PostFormValue("redirect_uri") != asked.Get("redirect_uri") ||
		asked.Get("code_challenge_method") != "S256" || asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(challenge[:]) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"invalid_grant"}`)
		return
	}
	claims := map[string]any{"iss": p.URL, "aud": "carrot", "sub": "anna", "email": "anna@carrot.example", "groups": []any{"staff", "ops"}, "nonce": asked.Get("nonce"),
		"iat": time.Now().Unix(), "exp": time.Now().Add(24 * time.Hour).Unix()}
	p.claims(claims)
	text, err := json.Marshal(claims)
	if err != nil {
		p.t.Error(err)
	}
	token := oidctest.SignIDToken(p.signer, p.id, "ES256", string(text))
	if p.token != nil {
		token = p.token(token)
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"access_token": "access", "token_type": "Bearer", "expires_in": 60, "id_token": token})
}

// set changes the provider.
func (p *identities) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// callback is where the dashboard says that it is called back.
const callback = "http://localhost:8081/ui/callback"

// configuration has the provider. more are further settings of it.
func (p *identities) configuration(more string) string {
	return protected + fmt.Sprintf("oidc: {issuer: %q, client_id: carrot, client_secret: hush, redirect_url: %q, admins: [ops], viewers: [staff, auditors]%s}\n", p.URL, callback, more)
}

// begin begins a login in a browser, as far as the provider's page.
func (b *browser) begin(to string) url.Values {
	b.t.Helper()
	sent := b.get("/ui/oidc?"+url.Values{"to": {to}}.Encode(), 303)
	u, err := url.Parse(sent.Header.Get("Location"))
	if err != nil {
		b.t.Fatal(err)
	}
	return u.Query()
}

// allow says yes at the provider's page, and returns the address to which it sends people
// back.
func (p *identities) allow(asked url.Values) string {
	code := rand.Text()
	p.set(func() { p.codes[code] = asked })
	return "/ui/callback?" + url.Values{"code": {code}, "state": {asked.Get("state")}, "iss": {p.URL}}.Encode()
}

// TestProvider: people log in with an identity provider, whose claim says what they may do.
func TestProvider(t *testing.T) {
	p := newIdentities(t)
	o := operate(t, databasetest.SQLite(t), p.configuration(""))
	b := o.browser()
	b.get("/ui/login?to=/ui/clients", 200).wants(t, "Log in with "+strings.TrimPrefix(p.URL, "http://"), `href="/ui/oidc?to=%2Fui%2Fclients"`)
	if p.asked != 0 {
		t.Error("the provider was asked before anybody needed it")
	}
	sent := b.get("/ui/oidc?to=/ui/clients", 303)
	u, err := url.Parse(sent.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	asked := u.Query()
	if !strings.HasPrefix(sent.Header.Get("Location"), p.URL+"/auth?") || asked.Get("response_type") != "code" || asked.Get("client_id") != "carrot" || asked.Get("redirect_uri") != callback || asked.Get("scope") != "openid profile email" ||
		len(asked.Get("state")) < 26 || len(asked.Get("nonce")) < 26 || asked.Get("code_challenge_method") != "S256" || len(asked.Get("code_challenge")) < 43 {
		t.Errorf("asks for %v", asked)
	}
	c := sent.cookie("carrot_login")
	if c == nil || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.MaxAge != 600 || c.Path != "/ui/callback" || c.Secure || strings.Contains(c.Value, asked.Get("state")) {
		t.Errorf("the cookie is %+v", c)
	}
	back := b.get(p.allow(asked), 200)
	if back.Header.Get("Refresh") != "0; url=/ui/clients" { // a strict cookie is not sent with a redirect that began elsewhere
		t.Errorf("headers %v", back.Header)
	}
	back.wants(t, `href="/ui/clients"`)
	if c := back.cookie("carrot_session"); c == nil || c.SameSite != http.SameSiteStrictMode || !c.HttpOnly {
		t.Errorf("the session is %+v", c)
	}
	if c := back.cookie("carrot_login"); c == nil || c.MaxAge >= 0 {
		t.Errorf("the cookie of the login stays: %+v", c)
	}
	b.get("/ui/clients", 200).wants(t, "anna@carrot.example", "Create a client")
	b.post("/ui/clients", 200, "name", "shop")
	if log, err := o.store.Log(t.Context(), keys.LogRange{}); err != nil || len(log) != 1 || log[0].Who != "dashboard anna@carrot.example (anna)" {
		t.Errorf("the log of changes has %+v (%v)", log, err)
	}

	// Another key of the provider, which is fetched when it is needed.
	p.rotate("second")
	b = o.browser()
	b.get(p.allow(b.begin("")), 200)
	b.get("/ui/clients", 200)
	if p.asked != 1 {
		t.Errorf("the provider was asked %d times for its description", p.asked)
	}
	for _, secret := range []string{"hush", adminKey, asked.Get("state"), asked.Get("nonce")} {
		if strings.Contains(o.log.String(), secret) {
			t.Error("the log has a secret")
		}
	}
}

// TestViewer: whoever may only look sees all pages, no buttons, and changes nothing.
func TestViewer(t *testing.T) {
	p := newIdentities(t)
	p.claims = func(c map[string]any) { c["groups"] = "auditors" }
	b := operate(t, databasetest.SQLite(t), p.configuration("")).browser()
	if _, _, err := b.store.Create(t.Context(), "tester", keys.NewClient{Name: "shop"}); err != nil {
		t.Fatal(err)
	}
	b.get(p.allow(b.begin("/ui/clients")), 200)
	for _, path := range []string{"/ui/clients", "/ui/clients/shop", "/ui/clients/shop/revoke"} {
		shown := b.get(path, 200)
		shown.wants(t, "anna@carrot.example", "shop")
		if n := strings.Count(shown.text, `method="post"`); n != 1 || !strings.Contains(shown.text, `action="/ui/logout"`) {
			t.Errorf("%s has %d forms to send", path, n)
		}
	}
	for _, path := range []string{"/ui/clients", "/ui/clients/shop", "/ui/clients/shop/rotate", "/ui/clients/shop/revoke"} {
		b.post(path, 403, "name", "more", "confirm", "shop", "grace", "1").wants(t, "an administrator can")
	}
	b.get("/ui/try", 200)
	b.post("/ui/try", 200, "text", "What is 17 * 23?") // changes nothing
	if all, err := b.store.List(t.Context()); err != nil || len(all) != 1 || all[0].State != keys.Valid || len(all[0].Keys) != 1 || b.changes.Load() != 0 {
		t.Errorf("the store has %+v (%v)", all, err)
	}
	for _, path := range []string{"/metrics", "/reload", "/keys"} {
		if got := b.send("GET", path, ""); got.StatusCode == 200 {
			t.Errorf("a viewer reads %s", path)
		}
	}
}

// TestProviderRoles: the claim says what people may do, wherever it is.
func TestProviderRoles(t *testing.T) {
	const admin, viewer, nobody = "Create a client", "may look", ""
	p := newIdentities(t)
	for _, c := range []struct {
		name, claim string
		claims      map[string]any
		userinfo    map[string]any
		want        string
	}{
		{"list", "groups", map[string]any{"groups": []any{"auditors"}}, nil, viewer},
		{"text", "groups", map[string]any{"groups": "ops"}, nil, admin},
		{"admin wins", "groups", map[string]any{"groups": []any{"staff", "ops"}}, nil, admin},
		{"others", "groups", map[string]any{"groups": []any{"sales", 7, nil}}, nil, nobody},
		{"a part of a text", "groups", map[string]any{"groups": "ops, staff"}, nil, nobody},
		{"other case", "groups", map[string]any{"groups": "OPS"}, nil, nobody},
		{"missing", "groups", map[string]any{"groups": nil}, nil, nobody},
		{"number", "groups", map[string]any{"groups": 1}, nil, nobody},
		{"mapping", "groups", map[string]any{"groups": map[string]any{"ops": true}}, nil, nobody},
		{"nested", "realm_access.roles", map[string]any{"realm_access": map[string]any{"roles": []any{"ops"}}}, nil, admin},
		{"nested in what is no mapping", "realm_access.roles", map[string]any{"realm_access": "ops"}, nil, nobody},
		{"dots in the name", "https://carrot.example/roles", map[string]any{"https://carrot.example/roles": "staff"}, nil, viewer},
		{"userinfo", "roles", nil, map[string]any{"sub": "anna", "roles": []any{"ops"}}, admin},
		{"userinfo of someone else", "roles", nil, map[string]any{"sub": "eve", "roles": []any{"ops"}}, nobody},
		{"the ID token is first", "groups", map[string]any{"groups": "staff"}, map[string]any{"sub": "anna", "groups": "ops"}, viewer},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.set(func() {
				p.userinfo = nil
				if c.userinfo != nil {
					p.userinfo = func(string) map[string]any { return c.userinfo }
				}
				p.claims = func(claims map[string]any) {
					for name, value := range c.claims {
						if claims[name] = value; value == nil {
							delete(claims, name)
						}
					}
				}
			})
			o := operate(t, databasetest.SQLite(t), p.configuration(", claim: "+`"`+c.claim+`"`))
			b := o.browser()
			back := b.send("GET", p.allow(b.begin("")), "")
			shown := b.send("GET", "/ui/clients", "")
			if c.want == nobody {
				if back.StatusCode != 403 && c.userinfo == nil || shown.StatusCode != 303 || back.cookie("carrot_session") != nil || !strings.Contains(o.log.String(), "could not log in") {
					t.Errorf("status %d, then %d: %s", back.StatusCode, shown.StatusCode, back.text)
				}
				return
			}
			if back.StatusCode != 200 || !strings.Contains(shown.text, c.want) || strings.Contains(shown.text, admin) != (c.want == admin) {
				t.Errorf("status %d: %s", back.StatusCode, shown.text)
			}
		})
	}
}

// TestProviderUnverified: an address that the provider has not verified gives no access.
func TestProviderUnverified(t *testing.T) {
	p := newIdentities(t)
	o := operate(t, "", p.configuration(`, claim: email`)+"")
	o.reload(strings.Replace(p.configuration(", claim: email"), "admins: [ops]", "admins: [anna@carrot.example]", 1))
	for verified, want := range map[any]int{true: 200, nil: 200, false: 403, "false": 403} {
		p.set(func() { p.claims = func(c map[string]any) { c["email_verified"] = verified } })
		b := o.browser()
		if got := b.send("GET", p.allow(b.begin("")), ""); got.StatusCode != want {
			t.Errorf("email_verified %v: status %d, want %d", verified, got.StatusCode, want)
		}
	}
}

// TestProviderRefused: whatever is wrong with what the provider or someone in its name
// says, there is no session.
func TestProviderRefused(t *testing.T) {
	p := newIdentities(t)
	o := operate(t, "", p.configuration(""))
	claim := func(name string, value any) func(*browser, url.Values) string {
		return func(_ *browser, asked url.Values) string {
			p.set(func() {
				p.claims = func(c map[string]any) {
					if c[name] = value; value == nil {
						delete(c, name)
					}
				}
			})
			return p.allow(asked)
		}
	}
	token := func(change func(string) string) func(*browser, url.Values) string {
		return func(_ *browser, asked url.Values) string {
			p.set(func() { p.token = change })
			return p.allow(asked)
		}
	}
	replaced := func(name, value string) func(*browser, url.Values) string {
		return func(_ *browser, asked url.Values) string {
			to, query, _ := strings.Cut(p.allow(asked), "?")
			q, _ := url.ParseQuery(query)
			if q.Set(name, value); value == "" {
				q.Del(name)
			}
			return to + "?" + q.Encode()
		}
	}
	for _, c := range []struct {
		name   string
		back   func(*browser, url.Values) string
		status int
		want   string // on the page
		log    string
	}{
		{"wrong state", replaced("state", "other"), 400, "Another login began", "state"},
		{"no state", replaced("state", ""), 400, "Another login began", "state"},
		{"another provider", replaced("iss", "https://other.example"), 502, "does not confirm", "the answer is from"},
		{"unknown code", replaced("code", "other"), 502, "does not confirm", "invalid_grant"},
		{"no code", replaced("code", ""), 502, "does not confirm", "invalid_grant"},
		{"the provider refuses", func(_ *browser, asked url.Values) string {
			return "/ui/callback?" + url.Values{"error": {"access_denied"}, "error_description": {"<b>not now"}, "state": {asked.Get("state")}}.Encode()
		}, 403, "says: access_denied: <b>not now", "access_denied"},
		{"wrong nonce", claim("nonce", "other"), 502, "does not confirm", "nonce"},
		{"no nonce", claim("nonce", nil), 502, "does not confirm", "nonce"},
		{"expired", claim("exp", time.Now().Add(-time.Hour).Unix()), 502, "does not confirm", "expired"},
		{"no end", claim("exp", nil), 502, "does not confirm", "expired"},
		{"other audience", claim("aud", "other"), 502, "does not confirm", "audience"},
		{"other party", claim("azp", "other"), 502, "does not confirm", "another client"},
		{"several audiences", claim("aud", []string{"carrot", "other"}), 502, "does not confirm", "another client"},
		{"other issuer", claim("iss", "https://other.example"), 502, "does not confirm", "different provider"},
		{"nobody", claim("sub", ""), 502, "does not confirm", "who it is for"},
		{"no groups", claim("groups", nil), 403, "anna@carrot.example has no access", `no value of the claim`},
		{"other groups", claim("groups", []string{"sales"}), 403, "has no access", `no value of the claim`},
		{"no ID token", token(func(string) string { return "" }), 502, "does not confirm", ""},
		{"changed token", token(func(text string) string {
			parts := strings.Split(text, ".")
			data, _ := base64.RawURLEncoding.DecodeString(parts[1])
			parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(data), "staff", "ops", 1)))
			return strings.Join(parts, ".")
		}), 502, "does not confirm", "signature"},
		{"unsigned token", token(func(text string) string {
			return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + strings.Split(text, ".")[1] + "."
		}), 502, "does not confirm", "signature"},
		{"key of someone else", token(func(text string) string {
			data, _ := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1])
			other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Error(err)
			}
			return oidctest.SignIDToken(other, "first", "ES256", string(data))
		}), 502, "does not confirm", "signature"},
		{"another browser", func(b *browser, asked url.Values) string {
			*b = *o.browser()
			return p.allow(asked)
		}, 400, "began in another browser", "another browser"},
		{"too late", func(_ *browser, asked url.Values) string {
			o.pass(10*time.Minute + time.Second)
			return p.allow(asked)
		}, 400, "longer than ten minutes", "ten minutes"},
		{"sent again", func(b *browser, asked url.Values) string {
			back := p.allow(asked)
			cookie, err := url.Parse(b.URL + "/ui/callback")
			if err != nil {
				t.Fatal(err)
			}
			value := b.client.Jar.Cookies(cookie)
			if first := b.send("GET", back, ""); first.StatusCode != 200 {
				t.Errorf("the first time: %d", first.StatusCode)
			}
			*b = *o.browser()
			b.client.Jar.SetCookies(cookie, value)
			return back
		}, 400, "was used already", "used already"},
		{"a code that was used", func(b *browser, asked url.Values) string {
			_, query, _ := strings.Cut(p.allow(asked), "?")
			q, _ := url.ParseQuery(query)
			if first := b.send("GET", "/ui/callback?"+q.Encode(), ""); first.StatusCode != 200 {
				t.Errorf("the first time: %d", first.StatusCode)
			}
			*b = *o.browser()
			q.Set("state", b.begin("").Get("state"))
			return "/ui/callback?" + q.Encode()
		}, 502, "does not confirm", "invalid_grant"},
		{"a code of another login", func(b *browser, asked url.Values) string { // as when someone wants to be logged in as themselves elsewhere
			other := o.browser()
			_, query, _ := strings.Cut(p.allow(other.begin("")), "?")
			q, _ := url.ParseQuery(query)
			q.Set("state", asked.Get("state"))
			return "/ui/callback?" + q.Encode()
		}, 502, "does not confirm", "invalid_grant"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.set(func() { p.claims, p.token = func(map[string]any) {}, nil })
			b := o.browser()
			before := len(o.log.String())
			back := b.send("GET", c.back(b, b.begin("")), "")
			if back.StatusCode != c.status {
				t.Errorf("status %d, want %d", back.StatusCode, c.status)
			}
			back.wants(t, c.want)
			if log := o.log.String()[before:]; !strings.Contains(log, "could not log in") || !strings.Contains(log, c.log) {
				t.Errorf("the log has %s", log)
			}
			if back.cookie("carrot_session") != nil || strings.Contains(back.text, "<b>") {
				t.Errorf("cookies %v: %s", back.Cookies(), back.text)
			}
			b.get("/ui/clients", 303)
		})
	}
}

// TestProviderAway: while the provider does not answer, the page for logging in says so, and
// the admin key works.
func TestProviderAway(t *testing.T) {
	p := newIdentities(t)
	p.away = true
	o := operate(t, "", p.configuration(""))
	b := o.browser()
	b.get("/ui/oidc?to=/ui/clients", 502).wants(t, "does not answer as it should", `name="key"`, `value="/ui/clients"`)
	p.set(func() { p.away = false })
	b.get("/ui/oidc", 502) // not asked again at once
	o.pass(6 * time.Second)
	asked := b.begin("/ui/clients")
	b.get(p.allow(asked), 200)
	b.get("/ui/clients", 200)

	p.set(func() { p.away = true })
	o.pass(2 * time.Hour) // what it said of itself is old, and better than nothing
	other := o.browser()
	asked = other.begin("")
	p.set(func() { p.away = false })
	other.get(p.allow(asked), 200)
	b.get("/ui/clients", 200)
	p.set(func() { p.away = true })
	if p.asked != 3 {
		t.Errorf("the provider was asked %d times what it is, want 3", p.asked)
	}
	last := o.browser()
	last.get(p.allow(last.begin("")), 502)
	last.login(adminKey, "", 303)
}

// TestProviderReloaded: other settings of the provider end sessions and logins, and it can
// be taken away and brought back.
func TestProviderReloaded(t *testing.T) {
	p := newIdentities(t)
	o := operate(t, "", p.configuration(""))
	b, k := o.browser(), o.browser()
	b.get(p.allow(b.begin("")), 200)
	k.login(adminKey, "", 303)
	o.reload(p.configuration("") + "log: {level: error}\n")
	b.get("/ui/clients", 200)
	asked := b.begin("")
	o.reload(strings.Replace(p.configuration(""), "admins: [ops]", "admins: [owners]", 1))
	b.get("/ui/clients", 303)
	k.get("/ui/clients", 200)
	b.get(p.allow(asked), 400)
	b.get(p.allow(b.begin("")), 200)
	if shown := b.get("/ui/clients", 200); !strings.Contains(shown.text, "may look") {
		t.Error("the role is not that of the new settings")
	}
	o.reload(protected)
	b.get("/ui/clients", 303)
	b.get("/ui/oidc", 404).wants(t, "has no identity provider any more")
	b.get("/ui/callback?code=a&state=b", 404)
	if login := b.get("/ui/login", 200); strings.Contains(login.text, "Log in with") {
		t.Error("the page leads to a provider that is gone")
	}
	o.reload(strings.ReplaceAll(p.configuration(""), "http://localhost:8081", "https://carrot.example"))
	if c := b.get("/ui/oidc", 303).cookie("carrot_login"); c == nil || !c.Secure {
		t.Errorf("the cookie is %+v", c)
	}
}

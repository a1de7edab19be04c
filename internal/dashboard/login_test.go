package dashboard_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carrot-router/carrot/internal/dashboard"
	"github.com/carrot-router/carrot/internal/database/databasetest"
	"github.com/carrot-router/carrot/internal/keys"
)

// cookie returns the cookie that an answer sets.
func (p page) cookie(name string) *http.Cookie {
	for _, c := range p.Cookies() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// TestLogin: pages are shown to those who have logged in, for twelve hours or until they log
// out, and changes are noted with who made them.
func TestLogin(t *testing.T) {
	o := operate(t, databasetest.SQLite(t), protected)
	b := o.browser()
	if to := b.get("/", 303).Header.Get("Location"); to != "/ui/" {
		t.Errorf("/ leads to %s", to)
	}
	if to := b.get("/ui/", 303).Header.Get("Location"); to != "/ui/login" {
		t.Errorf("without a session, to %s", to)
	}
	asked := b.get("/ui/clients?period=7d", 303)
	if to := asked.Header.Get("Location"); to != "/ui/login?to=%2Fui%2Fclients%3Fperiod%3D7d" {
		t.Errorf("without a session, to %s", to)
	}
	form := b.get(asked.Header.Get("Location"), 200)
	form.wants(t, `value="/ui/clients?period=7d"`)
	if len(form.Cookies()) != 0 {
		t.Errorf("the page sets %v before anybody logs in", form.Cookies())
	}
	b.login("not the key", "/ui/", 403).wants(t, "That is not the admin key.")

	in := b.login(adminKey, form.hidden(t, "to"), 303)
	if to := in.Header.Get("Location"); to != "/ui/clients?period=7d" {
		t.Errorf("goes on to %s", to)
	}
	c := in.cookie("carrot_session")
	if c == nil || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/ui/" || c.MaxAge != 12*3600 || c.Secure || c.Domain != "" || len(c.Value) < 26 {
		t.Fatalf("the cookie of the session is %+v", c)
	}
	shown := b.get("/ui/clients", 200)
	shown.wants(t, "Log out", "admin key", "Create a client")
	for header, want := range map[string]string{"Content-Security-Policy": "default-src 'none'", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"} {
		if !strings.Contains(shown.Header.Get(header), want) {
			t.Errorf("%s is %q", header, shown.Header.Get(header))
		}
	}
	if to := b.get("/ui/login?to=/ui/try", 303).Header.Get("Location"); to != "/ui/try" {
		t.Errorf("whoever has logged in goes on to %s", to)
	}
	b.post("/ui/clients", 200, "name", "shop")
	if log, err := b.store.Log(t.Context(), keys.LogRange{}); err != nil || len(log) != 1 || log[0].Who != "dashboard admin key" {
		t.Errorf("the log of changes has %+v (%v)", log, err)
	}

	// A session is for pages, not for what else is served to operators.
	for _, path := range []string{"/metrics", "/debug/pprof/", "/keys", "/ui/../keys", "/ui/%2e%2e/keys"} {
		if p := b.send("GET", path, "", "Cookie", "carrot_session="+c.Value); p.StatusCode == 200 {
			t.Errorf("a session opens %s", path)
		}
	}
	if p := b.send("GET", "/ui/clients", "", "Authorization", "Bearer "+adminKey); p.StatusCode != 200 {
		t.Errorf("the admin key does not open the page: %d", p.StatusCode)
	}
	if p := o.browser().send("GET", "/ui/clients", "", "Authorization", "Bearer wrong"); p.StatusCode != 401 {
		t.Errorf("a wrong key is answered with %d", p.StatusCode)
	}
	if p := b.send("GET", "/ui/clients", "", "Authorization", "Basic b3BzOng="); p.StatusCode != 200 { // of a proxy before it
		t.Errorf("another scheme hides the session: %d", p.StatusCode)
	}

	before := b.csrf
	b.csrf = "wrong"
	if p := b.post("/ui/logout", 400); strings.Contains(p.text, "<nav") {
		t.Error("the page shows more than that the form is out of date")
	}
	b.get("/ui/clients", 200)
	out := b.post("/ui/logout", 303)
	if c := out.cookie("carrot_session"); c == nil || c.MaxAge >= 0 || c.Path != "/ui/" {
		t.Errorf("logging out leaves the cookie %+v", c)
	}
	if p := b.send("GET", "/ui/clients", "", "Cookie", "carrot_session="+c.Value); p.StatusCode != 303 {
		t.Errorf("the session works after logging out: %d", p.StatusCode)
	}

	// Another session has other tokens of forms, and ends after its time.
	b.login(adminKey, "", 303)
	b.get("/ui/clients", 200)
	if b.csrf == before {
		t.Error("two sessions have one token of forms")
	}
	o.pass(12*time.Hour - time.Minute)
	b.get("/ui/clients", 200)
	o.pass(2 * time.Minute)
	b.get("/ui/clients", 303)
	b.post("/ui/clients", 303, "name", "late")

	for _, secret := range []string{adminKey, c.Value} {
		if strings.Contains(o.log.String(), secret) {
			t.Error("the log has a secret")
		}
	}
}

// TestLoginFixed: a cookie that someone else has chosen is not the session's.
func TestLoginFixed(t *testing.T) {
	o := operate(t, "", protected)
	first := o.browser().login(adminKey, "", 303).cookie("carrot_session").Value
	b := o.browser()
	for _, chosen := range []string{"chosen", first} {
		in := b.send("POST", "/ui/login", url.Values{"key": {adminKey}}.Encode(), "Cookie", "carrot_session="+chosen)
		if c := in.cookie("carrot_session"); in.StatusCode != 303 || c.Value == chosen {
			t.Errorf("status %d, and the session is %+v", in.StatusCode, c)
		}
		if p := o.browser().send("GET", "/ui/clients", "", "Cookie", "carrot_session="+chosen); p.StatusCode != 303 {
			t.Errorf("the session %q works", chosen)
		}
	}
}

// TestLoginReloaded: another admin key ends sessions that the old one began.
func TestLoginReloaded(t *testing.T) {
	o := operate(t, "", protected)
	b := o.browser()
	b.login(adminKey, "", 303)
	o.reload(protected + "log: {level: error}\n")
	b.get("/ui/clients", 200)
	o.reload("admin_key: another-0123456789abcdef\n")
	b.get("/ui/clients", 303)
	b.login(adminKey, "", 403)
	b.login("another-0123456789abcdef", "", 303)
	b.get("/ui/clients", 200)
}

// TestLoginThrottled: wrong keys are refused for a while, from one address and from all, also
// those that are sent at once.
func TestLoginThrottled(t *testing.T) {
	o := operate(t, "", protected)
	var wait sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for range 20 {
		wait.Go(func() {
			p := o.browser().send("POST", "/ui/login", "key=wrong")
			mu.Lock()
			defer mu.Unlock()
			statuses[p.StatusCode]++
		})
	}
	wait.Wait()
	if statuses[403] != 5 || statuses[429] != 15 {
		t.Errorf("20 wrong keys at once are answered with %v", statuses)
	}
	b := o.browser()
	if p := b.login(adminKey, "", 429); p.Header.Get("Retry-After") != "60" {
		t.Errorf("headers %v", p.Header)
	}
	o.pass(61 * time.Second)
	b.login(adminKey, "", 303)
	for range 20 { // right keys do not count
		b.login(adminKey, "", 303)
	}

	handler := o.Config.Handler
	from := func(address, key string) int {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/ui/login", strings.NewReader("key="+key))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.RemoteAddr = address
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code
	}
	o.pass(61 * time.Second)
	for i := range 6 { // of one network
		want := 403
		if i == 5 {
			want = 429
		}
		if got := from(fmt.Sprintf("[2001:db8::%d]:1234", i), "wrong"); got != want {
			t.Errorf("wrong key %d from a network: %d, want %d", i, got, want)
		}
	}
	if got := from("[2001:db8:0:1::1]:1", "wrong"); got != 403 {
		t.Errorf("another network: %d", got)
	}
	o.pass(61 * time.Second)
	for i := range 60 {
		want := 403
		if i >= 50 {
			want = 429
		}
		if got := from(fmt.Sprintf("192.0.2.%d:1", i), "wrong"); got != want {
			t.Errorf("wrong key %d from anywhere: %d, want %d", i, got, want)
		}
	}
}

// TestLoginElsewhere: after logging in, nobody is sent to another site.
func TestLoginElsewhere(t *testing.T) {
	o := operate(t, "", protected)
	for to, want := range map[string]string{
		"/ui/clients?q=a%26b":    "/ui/clients?q=a%26b",
		"":                       "/ui/",
		"https://other.example/": "/ui/",
		"//other.example/ui/a":   "/ui/",
		"/\\other.example":       "/ui/",
		"/ui/\\other.example":    "/ui/",
		"/ui/../keys":            "/ui/",
		"/ui/..//other.example/": "/ui/",
		"/uix":                   "/ui/",
		"/reload":                "/ui/",
		"javascript:alert(1)":    "/ui/",
		"/ui/\r\nX-Other: 1":     "/ui/",
		"ui/clients":             "/ui/",
	} {
		b := o.browser()
		if got := b.login(adminKey, to, 303).Header.Get("Location"); got != want {
			t.Errorf("%q leads to %q, want %q", to, got, want)
		}
		shown := o.browser().get("/ui/login?"+url.Values{"to": {to}}.Encode(), 200)
		if got := shown.hidden(t, "to"); got != want {
			t.Errorf("the form for %q has %q, want %q", to, got, want)
		}
	}
}

// TestOtherSites: other sites cannot send forms, with and without an admin key.
func TestOtherSites(t *testing.T) {
	for name, settings := range map[string]string{"key": protected, "no key": ""} {
		t.Run(name, func(t *testing.T) {
			b := operate(t, databasetest.SQLite(t), settings).browser()
			if settings != "" {
				b.login(adminKey, "", 303)
			}
			b.get("/ui/clients", 200)
			form := url.Values{"name": {"shop"}, "csrf": {b.csrf}, "key": {adminKey}}.Encode()
			for _, path := range []string{"/ui/clients", "/ui/login", "/ui/logout", "/ui/try"} {
				for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "", "Origin", "https://other.example"}} {
					if p := b.send("POST", path, form, header...); p.StatusCode != 403 {
						t.Errorf("%s with %v: status %d", path, header, p.StatusCode)
					}
				}
			}
			for _, csrf := range []string{"", "0123"} {
				if p := b.send("POST", "/ui/clients", url.Values{"name": {"shop"}, "csrf": {csrf}}.Encode()); p.StatusCode != 400 {
					t.Errorf("the token %q: status %d", csrf, p.StatusCode)
				}
			}
			if p := b.send("POST", "/ui/clients?csrf="+b.csrf, "name=shop"); p.StatusCode != 400 {
				t.Errorf("a token in the address: status %d", p.StatusCode)
			}
			if all, err := b.store.List(t.Context()); err != nil || len(all) != 0 {
				t.Errorf("the store has %+v (%v)", all, err)
			}
			if settings == "" { // a page whose name was made to resolve to this address
				r, err := http.NewRequestWithContext(t.Context(), "GET", b.URL+"/ui/clients", nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Host = "other.example"
				answer, err := b.client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				answer.Body.Close()
				if answer.StatusCode != 403 {
					t.Errorf("another name: status %d", answer.StatusCode)
				}
			}
		})
	}
}

// TestFromOtherSite: a link on another site leads to the page, although the browser keeps the
// cookie back.
func TestFromOtherSite(t *testing.T) {
	b := operate(t, "", protected).browser()
	p := b.send("GET", "/ui/clients?q=a", "", "Sec-Fetch-Site", "cross-site")
	if p.StatusCode != 200 || p.Header.Get("Refresh") != "0; url=/ui/login?to=%2Fui%2Fclients%3Fq%3Da" {
		t.Errorf("status %d, headers %v", p.StatusCode, p.Header)
	}
	p.wants(t, `href="/ui/login?to=%2Fui%2Fclients%3Fq%3Da"`)
	if strings.Contains(p.text, "listed") {
		t.Error("the page shows clients")
	}
}

// TestEncrypted: behind a proxy that encrypts, the cookie is for encrypted connections.
func TestEncrypted(t *testing.T) {
	b := operate(t, "", protected).browser()
	p := b.send("POST", "/ui/login", url.Values{"key": {adminKey}}.Encode(), "X-Forwarded-Proto", "https")
	if c := p.cookie("carrot_session"); c == nil || !c.Secure {
		t.Errorf("the cookie is %+v", c)
	}
}

// TestNoKey: without an admin key nobody has to log in.
func TestNoKey(t *testing.T) {
	b := operate(t, "", "").browser()
	if to := b.get("/ui/login", 303).Header.Get("Location"); to != dashboard.Root {
		t.Errorf("the page for logging in leads to %s", to)
	}
	if p := b.get("/ui/clients", 200); strings.Contains(p.text, "Log out") {
		t.Error("the page has a button for logging out")
	}
	b.send("POST", "/ui/login", "key=").wants(t, "The form could not be read.")
}

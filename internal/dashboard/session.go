package dashboard

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carrot-router/carrot/gateway"
)

const (
	cookieName  = "carrot_session"
	sessionLife = 12 * time.Hour
	maxSessions = 1000
	// So many wrong keys may come from an address in a period, and ten times as many from
	// all.
	maxTries  = 5
	tryPeriod = time.Minute
)

// Role is what a user may do.
type Role string

// The roles. A viewer sees all pages, an admin may also change clients.
const (
	Viewer Role = "viewer"
	Admin  Role = "admin"
)

// user is who asks for a page.
type user struct {
	Name    string // empty: nobody has to log in
	Subject string // what an identity provider calls the user for good; empty: none does
	Role    Role
	Session bool // the user can log out
}

// May reports whether the user may change something.
func (u user) May() bool { return u.Role == Admin }

// session is a user who has logged in.
type session struct {
	user
	ends  time.Time
	began [sha256.Size]byte // the settings with which it began: others end it
}

// sessions are those of a process, by the hash of their tokens.
type sessions struct {
	now    func() time.Time
	secret []byte // for tokens of forms

	mu    sync.Mutex
	live  map[[sha256.Size]byte]*session
	tries map[string][]time.Time // keys that were not right, by address
	all   []time.Time            // these, of all addresses
}

func newSessions(now func() time.Time) *sessions {
	secret := make([]byte, 32)
	rand.Read(secret)
	return &sessions{now: now, secret: secret, live: map[[sha256.Size]byte]*session{}, tries: map[string][]time.Time{}}
}

// begin begins a session and returns its token. It ends when settings change.
func (s *sessions) begin(u user, settings [sha256.Size]byte) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	var oldest [sha256.Size]byte
	first := true
	for hash, one := range s.live {
		if !now.Before(one.ends) {
			delete(s.live, hash)
		} else if first || one.ends.Before(s.live[oldest].ends) {
			oldest, first = hash, false
		}
	}
	if len(s.live) >= maxSessions {
		delete(s.live, oldest)
	}
	token := rand.Text()
	u.Session = true
	s.live[sha256.Sum256([]byte(token))] = &session{u, now.Add(sessionLife), settings}
	return token
}

// find returns the user of a request's session, if it would begin with this configuration.
func (s *sessions) find(r *http.Request, f *gateway.File) (user, bool) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return user{}, false
	}
	s.mu.Lock()
	one := s.live[sha256.Sum256([]byte(cookie.Value))]
	s.mu.Unlock()
	if one == nil || !s.now().Before(one.ends) || one.began != settings(f, one.user) {
		return user{}, false
	}
	return one.user, true
}

// end ends a request's session.
func (s *sessions) end(r *http.Request) {
	if cookie, err := r.Cookie(cookieName); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.live, sha256.Sum256([]byte(cookie.Value)))
	}
}

// csrf returns the token that forms of a request's pages must have.
func (s *sessions) csrf(r *http.Request) string {
	m := hmac.New(sha256.New, s.secret)
	if cookie, err := r.Cookie(cookieName); err == nil {
		m.Write([]byte(cookie.Value))
	}
	return hex.EncodeToString(m.Sum(nil))
}

// attempt reports whether an address may send a key now, and counts it as a wrong one until
// [sessions.forgive] is called, so that keys that are sent at once are counted, too.
func (s *sessions) attempt(address string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.all = recent(s.all, now)
	if len(s.tries) > len(s.all) { // those that are over
		maps.DeleteFunc(s.tries, func(_ string, list []time.Time) bool { return len(recent(list, now)) == 0 })
	}
	mine := recent(s.tries[address], now)
	may := len(mine) < maxTries && len(s.all) < 10*maxTries
	if may {
		mine, s.all = append(mine, now), append(s.all, now)
	}
	if len(mine) > 0 {
		s.tries[address] = mine
	}
	return may
}

// forgive forgets the latest attempt of an address, which had the right key.
func (s *sessions) forgive(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if list := s.tries[address]; len(list) > 0 {
		s.tries[address] = list[:len(list)-1]
	}
	if len(s.all) > 0 {
		s.all = s.all[:len(s.all)-1]
	}
}

// recent returns the times that count.
func recent(list []time.Time, now time.Time) []time.Time {
	return slices.DeleteFunc(list, func(t time.Time) bool { return now.Sub(t) >= tryPeriod })
}

// userKey is the key of a request's user in its context.
type userKey struct{}

// userOf returns the user of a request. Whoever the gateway lets through without a session
// has the admin key, or needs none.
func userOf(r *http.Request) user {
	if u, ok := r.Context().Value(userKey{}).(user); ok {
		return u
	}
	return user{Role: Admin}
}

var errForbidden = errors.New("you may look at this, but not change it: an administrator can")

// checkForm returns an error if a form was not sent by one of the dashboard's own pages.
func (d *Dashboard) checkForm(r *http.Request) error {
	if r.Method != http.MethodPost {
		return nil
	}
	if err := r.ParseForm(); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return err
		}
		return wrong{err}
	}
	if !hmac.Equal([]byte(r.PostForm.Get("csrf")), []byte(d.sessions.csrf(r))) {
		return wrongf("the form is out of date: go back, load the page again and send it once more")
	}
	return nil
}

// Guard returns a handler that lets people log in to the pages and passes requests of those
// who have, with the admin key, to next, which is the gateway's handler for operators. Without
// an admin key nobody has to log in.
func (d *Dashboard) Guard(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", next)
	mux.Handle("GET /{$}", http.RedirectHandler(Root, http.StatusSeeOther))
	mux.HandleFunc("GET "+Root+"style.css", d.file("style.css", "text/css; charset=utf-8").ServeHTTP)
	mux.HandleFunc("GET "+Root+"app.js", d.file("app.js", "text/javascript; charset=utf-8").ServeHTTP)
	mux.HandleFunc("GET "+Root+"login", d.showLogin)
	mux.HandleFunc("POST "+Root+"login", d.login)
	mux.HandleFunc("POST "+Root+"logout", d.logout)
	mux.HandleFunc("GET "+Root+"oidc", d.toProvider)
	mux.HandleFunc("GET "+Root+"callback", d.fromProvider)
	mux.HandleFunc(Root, d.guarded(next))
	return http.NewCrossOriginProtection().Handler(mux)
}

// guarded passes on requests for pages of those who have logged in.
func (d *Dashboard) guarded(next http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f := d.Config()
		key := f.AdminKey.Reveal()
		if scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " "); key == "" || strings.EqualFold(scheme, "Bearer") {
			next.ServeHTTP(w, r)
			return
		}
		u, ok := d.sessions.find(r, f)
		if !ok {
			to := Root + "login"
			if r.Method == http.MethodGet && r.URL.RequestURI() != Root {
				to += "?to=" + url.QueryEscape(r.URL.RequestURI())
			}
			if r.Header.Get("Sec-Fetch-Site") == "cross-site" { // the browser has kept the cookie back
				d.goOn(w, to)
				return
			}
			secure(w.Header())
			http.Redirect(w, r, to, http.StatusSeeOther)
			return
		}
		r = r.Clone(context.WithValue(r.Context(), userKey{}, u))
		r.Header.Set("Authorization", "Bearer "+key)
		next.ServeHTTP(w, r)
	}
}

// settings tells apart the settings from which a user's access follows.
func settings(f *gateway.File, u user) [sha256.Size]byte {
	text := []string{f.AdminKey.Reveal()}
	if u.Subject != "" {
		text = append(text, providerSettings(f)...)
	}
	data, err := json.Marshal(text)
	if err != nil {
		panic(err) // texts can be written
	}
	return sha256.Sum256(data)
}

// goOn answers with a page that goes on to another one of the dashboard. Browsers that came
// from another site send a strict cookie only with the second request.
func (d *Dashboard) goOn(w http.ResponseWriter, to string) {
	w.Header().Set("Refresh", "0; url="+to)
	d.plainPage(w, "continue", "One moment", http.StatusOK, to)
}

// plainPage answers with a page for people who have not logged in.
func (d *Dashboard) plainPage(w http.ResponseWriter, name, title string, status int, body any) {
	var page bytes.Buffer
	if err := d.pages[name].ExecuteTemplate(&page, "layout.html", shown{Title: title, Version: d.Version, Body: body}); err != nil {
		d.Log.Error("the dashboard cannot write a page", "page", name, "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	secure(w.Header())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(page.Bytes())
}

// loginForm is the body of the page for logging in.
type loginForm struct {
	To       string
	Error    string // about the key
	Away     string // about the identity provider
	Provider string // its host; empty: there is none
}

// ToProvider returns the address that leads to the identity provider.
func (f loginForm) ToProvider() string { return Root + "oidc?to=" + url.QueryEscape(f.To) }

func (d *Dashboard) showLogin(w http.ResponseWriter, r *http.Request) {
	to := local(r.URL.Query().Get("to"))
	f := d.Config()
	if _, ok := d.sessions.find(r, f); ok || f.AdminKey == "" {
		secure(w.Header())
		http.Redirect(w, r, to, http.StatusSeeOther)
		return
	}
	d.loginPage(w, loginForm{To: to}, http.StatusOK)
}

func (d *Dashboard) loginPage(w http.ResponseWriter, form loginForm, status int) {
	if c := d.Config().OIDC; c != nil {
		form.Provider = hostOf(c.Issuer)
	}
	d.plainPage(w, "login", "Log in", status, form)
}

// login begins a session for whoever has the admin key.
func (d *Dashboard) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	f := d.Config()
	key := f.AdminKey.Reveal()
	if err := r.ParseForm(); err != nil || key == "" {
		d.loginPage(w, loginForm{Error: "The form could not be read."}, http.StatusBadRequest)
		return
	}
	form := loginForm{To: local(r.PostForm.Get("to"))}
	address := networkOf(r)
	if !d.sessions.attempt(address) {
		w.Header().Set("Retry-After", "60")
		form.Error = "There were too many wrong keys. Wait a minute and try again."
		d.loginPage(w, form, http.StatusTooManyRequests)
		return
	}
	given, wanted := sha256.Sum256([]byte(strings.TrimSpace(r.PostForm.Get("key")))), sha256.Sum256([]byte(key))
	if subtle.ConstantTimeCompare(given[:], wanted[:]) != 1 {
		d.Log.Warn("someone has sent a wrong admin key to the dashboard", "address", r.RemoteAddr)
		form.Error = "That is not the admin key."
		d.loginPage(w, form, http.StatusForbidden)
		return
	}
	d.sessions.forgive(address)
	d.enter(w, r, f, user{Name: "admin key", Role: Admin})
	secure(w.Header())
	http.Redirect(w, r, form.To, http.StatusSeeOther)
}

// enter begins a session of a user, whose access follows from a configuration, and tells the
// browser.
func (d *Dashboard) enter(w http.ResponseWriter, r *http.Request, f *gateway.File, u user) {
	d.sessions.end(r)
	d.Log.Info("someone has logged in to the dashboard", "user", u.Name, "subject", u.Subject, "role", string(u.Role), "address", r.RemoteAddr)
	http.SetCookie(w, sessionCookie(r, d.sessions.begin(u, settings(f, u)), int(sessionLife/time.Second)))
}

// sessionCookie returns the cookie of a session; an age below 0 deletes it.
func sessionCookie(r *http.Request, token string, age int) *http.Cookie {
	return &http.Cookie{Name: cookieName, Value: token, Path: Root, MaxAge: age, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: encrypted(r)}
}

// logout ends a session.
func (d *Dashboard) logout(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := d.checkForm(r); err != nil { // perhaps of someone who has not logged in
		d.plainPage(w, "denied", "Not logged out", http.StatusBadRequest, sentence(err.Error()))
		return
	}
	d.sessions.end(r)
	http.SetCookie(w, sessionCookie(r, "", -1))
	secure(w.Header())
	http.Redirect(w, r, Root+"login", http.StatusSeeOther)
}

// encrypted reports whether the browser's connection is, as far as a proxy says.
func encrypted(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// addressOf returns the address that a request comes from, without its port.
func addressOf(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr
}

// networkOf returns the address that a request comes from, or of version 6 the network, of
// which one machine has all addresses.
func networkOf(r *http.Request) string {
	ip, err := netip.ParseAddr(addressOf(r))
	if err != nil || ip.Unmap().Is4() {
		return addressOf(r)
	}
	network, err := ip.Prefix(64)
	if err != nil {
		return addressOf(r)
	}
	return network.String()
}

// local returns a path of the dashboard, or its first page if the text is anything else.
func local(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.IsAbs() || u.Host != "" || strings.ContainsAny(to, "\\\r\n") || !strings.HasPrefix(path.Clean(u.Path)+"/", Root) || !strings.HasPrefix(u.Path, Root) {
		return Root
	}
	return u.RequestURI()
}

package dashboard

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	cookieName  = "carrot_session"
	sessionLife = 12 * time.Hour
	maxSessions = 1000
	// A wrong key costs an address a minute after so many others, and all addresses
	// together after ten times as many.
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
	Role    Role
	Session bool // the user can log out
}

// May reports whether the user may change something.
func (u user) May() bool { return u.Role == Admin }

// session is a user who has logged in.
type session struct {
	user
	ends time.Time
	key  [sha256.Size]byte // of the admin key with which it began: another key ends it
}

// sessions are those of a process, by the hash of their tokens.
type sessions struct {
	now    func() time.Time
	secret []byte // for tokens of forms

	mu    sync.Mutex
	live  map[[sha256.Size]byte]*session
	tries map[string][]time.Time // wrong keys, by address; "" for all
}

func newSessions(now func() time.Time) *sessions {
	secret := make([]byte, 32)
	rand.Read(secret)
	return &sessions{now: now, secret: secret, live: map[[sha256.Size]byte]*session{}, tries: map[string][]time.Time{}}
}

// begin begins a session and returns its token.
func (s *sessions) begin(u user, adminKey string) string {
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
	s.live[sha256.Sum256([]byte(token))] = &session{u, now.Add(sessionLife), sha256.Sum256([]byte(adminKey))}
	return token
}

// find returns the user of a request's session.
func (s *sessions) find(r *http.Request, adminKey string) (user, bool) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return user{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.live[sha256.Sum256([]byte(cookie.Value))]
	if one == nil || !s.now().Before(one.ends) || one.key != sha256.Sum256([]byte(adminKey)) {
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

// throttled says how long an address has to wait before it may send another key.
func (s *sessions) throttled(address string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, wait := s.now(), time.Duration(0)
	for name, limit := range map[string]int{address: maxTries, "": 10 * maxTries} {
		recent := s.tries[name]
		for len(recent) > 0 && now.Sub(recent[0]) >= tryPeriod {
			recent = recent[1:]
		}
		if len(recent) == 0 {
			delete(s.tries, name)
			continue
		}
		s.tries[name] = recent
		if len(recent) >= limit {
			wait = max(wait, tryPeriod-now.Sub(recent[len(recent)-limit]))
		}
	}
	return wait
}

// wrongKey notes that an address has sent a wrong key.
func (s *sessions) wrongKey(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tries) > 10_000 { // so that nobody can fill the memory
		clear(s.tries)
	}
	for _, name := range []string{address, ""} {
		s.tries[name] = append(s.tries[name], s.now())
	}
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

// checkForm returns an error if a form was not sent by one of the dashboard's own pages, or by
// someone who may not change anything.
func (d *Dashboard) checkForm(r *http.Request) error {
	if r.Method != http.MethodPost {
		return nil
	}
	if err := r.ParseForm(); err != nil {
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
	mux.HandleFunc("GET "+Root+"style.css", d.file("style.css", "text/css; charset=utf-8").ServeHTTP)
	mux.HandleFunc("GET "+Root+"app.js", d.file("app.js", "text/javascript; charset=utf-8").ServeHTTP)
	mux.HandleFunc("GET "+Root+"login", d.showLogin)
	mux.HandleFunc("POST "+Root+"login", d.login)
	mux.HandleFunc("POST "+Root+"logout", d.logout)
	mux.HandleFunc("GET /{$}", d.guarded(next))
	mux.HandleFunc(Root, d.guarded(next))
	return http.NewCrossOriginProtection().Handler(mux)
}

// guarded passes on requests for pages of those who have logged in.
func (d *Dashboard) guarded(next http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key := d.adminKey()
		if key == "" || r.Header.Get("Authorization") != "" {
			next.ServeHTTP(w, r)
			return
		}
		u, ok := d.sessions.find(r, key)
		if !ok {
			secure(w.Header())
			to := Root + "login"
			if r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, Root) && r.URL.RequestURI() != Root {
				to += "?to=" + url.QueryEscape(r.URL.RequestURI())
			}
			http.Redirect(w, r, to, http.StatusSeeOther)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead && !u.May() && r.URL.Path != Root+"try" {
			d.answer(w, r.WithContext(context.WithValue(r.Context(), userKey{}, u)), d.failed(r, errForbidden))
			return
		}
		r = r.Clone(context.WithValue(r.Context(), userKey{}, u))
		r.Header.Set("Authorization", "Bearer "+key)
		next.ServeHTTP(w, r)
	}
}

func (d *Dashboard) adminKey() string { return d.Config().AdminKey.Reveal() }

// loginForm is the body of the page for logging in.
type loginForm struct {
	To    string
	Error string
}

func (d *Dashboard) showLogin(w http.ResponseWriter, r *http.Request) {
	if d.adminKey() == "" {
		http.Redirect(w, r, Root, http.StatusSeeOther)
		return
	}
	d.loginPage(w, loginForm{To: local(r.URL.Query().Get("to"))}, http.StatusOK)
}

func (d *Dashboard) loginPage(w http.ResponseWriter, form loginForm, status int) {
	var page bytes.Buffer
	if err := d.pages["login"].ExecuteTemplate(&page, "layout.html", shown{Title: "Log in", Version: d.Version, Body: form}); err != nil {
		d.Log.Error("the dashboard cannot write a page", "path", Root+"login", "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	secure(w.Header())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(page.Bytes())
}

// login begins a session for whoever has the admin key.
func (d *Dashboard) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	key := d.adminKey()
	if err := r.ParseForm(); err != nil || key == "" {
		d.loginPage(w, loginForm{Error: "The form could not be read."}, http.StatusBadRequest)
		return
	}
	form := loginForm{To: local(r.PostForm.Get("to"))}
	address := addressOf(r)
	if wait := d.sessions.throttled(address); wait > 0 {
		w.Header().Set("Retry-After", "60")
		form.Error = "There were too many wrong keys. Wait a minute and try again."
		d.loginPage(w, form, http.StatusTooManyRequests)
		return
	}
	given, wanted := sha256.Sum256([]byte(strings.TrimSpace(r.PostForm.Get("key")))), sha256.Sum256([]byte(key))
	if subtle.ConstantTimeCompare(given[:], wanted[:]) != 1 {
		d.sessions.wrongKey(address)
		d.Log.Warn("someone has sent a wrong admin key to the dashboard", "address", r.RemoteAddr)
		form.Error = "That is not the admin key."
		d.loginPage(w, form, http.StatusForbidden)
		return
	}
	d.enter(w, r, user{Name: "admin key", Role: Admin})
	http.Redirect(w, r, form.To, http.StatusSeeOther)
}

// enter begins a session and tells the browser.
func (d *Dashboard) enter(w http.ResponseWriter, r *http.Request, u user) {
	d.sessions.end(r)
	d.Log.Info("someone has logged in to the dashboard", "user", u.Name, "role", string(u.Role), "address", r.RemoteAddr)
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: d.sessions.begin(u, d.adminKey()), Path: "/", MaxAge: int(sessionLife / time.Second),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: encrypted(r)})
}

// logout ends a session.
func (d *Dashboard) logout(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := d.checkForm(r); err != nil {
		d.answer(w, r, d.failed(r, err))
		return
	}
	d.sessions.end(r)
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: encrypted(r)})
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

// local returns a path of the dashboard, or its first page if the text is anything else.
func local(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, Root) || strings.Contains(to, `\`) {
		return Root
	}
	return u.RequestURI()
}

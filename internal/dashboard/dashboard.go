// Package dashboard serves pages for those who operate a gateway: what it spends, saves and
// gets wrong, why a request went where it did, and what would be if something were different.
//
// Pages are complete without JavaScript, load nothing from elsewhere and are served with a
// strict Content-Security-Policy. Figures come from a ledger; what is estimated is estimated
// by functions that the program passes in Options, so the package knows no statistics.
package dashboard

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/budget"
	"github.com/carrot-router/carrot/internal/keys"
	"github.com/carrot-router/carrot/internal/ledger"
)

// Root is the path below which all pages are.
const Root = "/ui/"

// Options are what the dashboard needs of the program around it. Functions may be called
// at the same time.
type Options struct {
	// Version is the program's.
	Version string
	// Config returns the configuration that is served. Required.
	Config func() *gateway.File
	// Store is the ledger. Nil: there is none, and pages say what they would show.
	Store *ledger.Store
	// Keys changes the clients in the store. Nil: there is none.
	Keys *keys.Admin
	// Budgets returns what is known of all budgets. Nil: there are none.
	Budgets func(ctx context.Context) ([]budget.Figures, error)
	// State returns the state of the gateway, as far as it is not in the ledger. Required.
	State func() (State, error)
	// Router describes the router that decides. Required.
	Router func() Router
	// Prices returns the prices of the models of the configuration, by their names. Required.
	Prices func() map[string]Price
	// Replay decides the latest requests of a range again. Nil: there is no ledger.
	Replay func(ctx context.Context, q Question) (*Replay, error)
	// Try decides for a text at several objectives, and calls nobody. Required.
	Try func(ctx context.Context, text string) ([]Trial, error)
	// Log receives errors. Nil: nothing is logged.
	Log *slog.Logger
	// Now is the time. Nil: time.Now.
	Now func() time.Time
}

// State is the state of a gateway, as far as it is not in the ledger.
type State struct {
	InFlight int       // requests
	Breakers []Breaker // by provider and model
	Rejected []Counted // requests that were refused since the start, by reason
	StoreUp  bool      // whether the store works
	Waiting  int64     // bytes of the journal that are not in the store yet
}

// Breaker is the state of a circuit breaker.
type Breaker struct {
	Provider, Model string // the model as the provider names it
	State           string // closed, half open or open
}

// Counted is a number with its name.
type Counted struct {
	Name  string
	Count float64
}

// Dashboard serves the pages.
type Dashboard struct {
	Options
	pages    map[string]*template.Template
	sessions *sessions
	provider *provider
	cache    cache
}

//go:embed page
var files embed.FS

// New returns a dashboard.
func New(o Options) (*Dashboard, error) {
	if o.Config == nil || o.State == nil || o.Router == nil || o.Prices == nil || o.Try == nil {
		return nil, errors.New("dashboard: Config, State, Router, Prices and Try are required")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	d := &Dashboard{Options: o, pages: map[string]*template.Template{}}
	d.sessions, d.provider = newSessions(o.Now), newProvider(o.Now)
	layout, err := template.New("layout.html").Funcs(functions).ParseFS(files, "page/layout.html", "page/parts.html")
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(files, "page/*.html")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if name == "page/layout.html" || name == "page/parts.html" {
			continue
		}
		one := template.Must(layout.Clone())
		if _, err := one.ParseFS(files, name); err != nil {
			return nil, err
		}
		d.pages[strings.TrimSuffix(strings.TrimPrefix(name, "page/"), ".html")] = one
	}
	return d, nil
}

// Handlers returns the handlers by pattern, for gateway.AdminOptions. They expect that
// the gateway lets nobody through who may not see them; Guard passes it those who have
// logged in.
func (d *Dashboard) Handlers() map[string]http.Handler {
	handlers := map[string]http.Handler{
		"GET " + Root + "style.css": d.file("style.css", "text/css; charset=utf-8"),
		"GET " + Root + "app.js":    d.file("app.js", "text/javascript; charset=utf-8"),
		"GET " + Root:               d.page(func(*http.Request) (*view, error) { return nil, errNotFound }),
	}
	for _, r := range d.routes() {
		serve := r.serve
		if r.method == http.MethodPost && r.path != "try" { // which changes nothing
			serve = adminsOnly(serve)
		}
		handlers[r.method+" "+Root+r.path] = d.page(serve)
	}
	return handlers
}

// route is a page or an action.
type route struct {
	method, path string
	serve        func(*http.Request) (*view, error)
}

func (d *Dashboard) routes() []route {
	return slices.Concat([]route{
		{"GET", "{$}", d.overview},
		{"GET", "replay", d.replay},
		{"GET", "requests", d.requests},
		{"GET", "requests/{id}", d.request},
		{"GET", "models", d.models},
		{"GET", "clients", d.clients},
		{"POST", "clients", d.createClient},
		{"GET", "clients/{name}", d.client},
		{"POST", "clients/{name}", d.changeClient},
		{"POST", "clients/{name}/rotate", d.rotateClient},
		{"GET", "clients/{name}/revoke", d.askRevoke},
		{"POST", "clients/{name}/revoke", d.revoke},
		{"GET", "router", d.router},
		{"GET", "try", d.try},
		{"POST", "try", d.try},
	})
}

// view is what a handler answers with.
type view struct {
	page    string // the name of its template
	section string // of the navigation
	title   string
	body    any
	bare    bool   // without the layout: a part of a page that a script asks for
	data    []byte // JSON; nil: the page
	to      string // a page to go to instead
	status  int    // 0: 200
}

// shown is what templates see.
type shown struct {
	Title, Section, Version string
	User                    user
	CSRF                    string
	Sections                []section
	Alerts                  []string
	Body                    any
}

// section is a page in the navigation.
type section struct{ Path, Name string }

var sections = []section{{"", "Overview"}, {"requests", "Requests"}, {"models", "Models"}, {"clients", "Clients"}, {"router", "Router"}, {"try", "Try"}}

var (
	errNotFound = errors.New("there is no such page")
	errNoStore  = errors.New("the gateway has no store: set store: in its configuration, as in store: carrot.db, to keep what it does")
)

// wrong is an error of whoever sent a form.
type wrong struct{ error }

// Unwrap returns the error itself.
func (w wrong) Unwrap() error { return w.error }

func wrongf(format string, args ...any) error { return wrong{fmt.Errorf(format, args...)} }

// policy lets pages load only what the dashboard serves itself.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

const (
	// maxForm is the size of a form in bytes.
	maxForm = 1 << 20
	// pageWait is how long a page waits for a database that does not answer.
	pageWait = 30 * time.Second
)

// page returns the handler of a page.
func (d *Dashboard) page(serve func(*http.Request) (*view, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), pageWait)
		defer cancel()
		r = r.WithContext(ctx)
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		err := d.checkForm(r)
		var v *view
		if err == nil {
			v, err = serve(r)
		}
		if err != nil {
			v = d.failed(r, err)
		}
		d.answer(w, r, v)
	})
}

// adminsOnly refuses users who may only look.
func adminsOnly(serve func(*http.Request) (*view, error)) func(*http.Request) (*view, error) {
	return func(r *http.Request) (*view, error) {
		if !userOf(r).May() {
			return nil, errForbidden
		}
		return serve(r)
	}
}

// failed returns the page about an error.
func (d *Dashboard) failed(r *http.Request, err error) *view {
	v := &view{page: "error", section: "none", title: "That did not work", status: http.StatusServiceUnavailable}
	long, isLong := errors.AsType[*http.MaxBytesError](err)
	bad, isBad := errors.AsType[*keys.Invalid](err)
	asked, isAsked := errors.AsType[wrong](err)
	switch {
	case isLong:
		v.status, v.body = http.StatusRequestEntityTooLarge, fmt.Sprintf("The form is longer than %d bytes.", long.Limit)
	case isBad:
		v.status, v.body = http.StatusBadRequest, sentence(bad.Error())
	case isAsked:
		v.status, v.body = http.StatusBadRequest, sentence(asked.Error())
	case errors.Is(err, errForbidden):
		v.status, v.body = http.StatusForbidden, sentence(err.Error())
	case errors.Is(err, errNotFound), errors.Is(err, ledger.ErrUnknownRequest), errors.Is(err, keys.ErrUnknown), errors.Is(err, keys.ErrNoKey):
		v.status, v.title, v.body = http.StatusNotFound, "Not found", sentence(err.Error())
	case errors.Is(err, keys.ErrTaken), errors.Is(err, keys.ErrEnded), errors.Is(err, keys.ErrListed):
		v.status, v.body = http.StatusConflict, sentence(err.Error())
	case errors.Is(err, errNoStore):
		v.status, v.title, v.body = http.StatusOK, "No store", sentence(err.Error())
	case errors.Is(err, context.Canceled):
		v.body = "The request was given up."
	default:
		d.Log.Error("the dashboard cannot show a page", "path", r.URL.Path, "error", err)
		v.body = "The store cannot be read or written. The gateway's log says why."
	}
	return v
}

// sentence makes a sentence of an error.
func sentence(text string) string {
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// answer writes a page, or a part of one.
func (d *Dashboard) answer(w http.ResponseWriter, r *http.Request, v *view) {
	h := w.Header()
	secure(h)
	if v.to != "" {
		http.Redirect(w, r, v.to, http.StatusSeeOther)
		return
	}
	status := cmp.Or(v.status, http.StatusOK)
	if v.data != nil {
		h.Set("Content-Type", "application/json")
		w.WriteHeader(status)
		w.Write(v.data)
		return
	}
	name := "layout.html"
	if v.bare {
		name = "body"
	}
	s := shown{Title: v.title, Section: v.section, Version: d.Version, User: userOf(r), CSRF: d.sessions.csrf(r), Sections: sections, Alerts: d.alerts(), Body: v.body}
	var page bytes.Buffer
	if err := d.pages[v.page].ExecuteTemplate(&page, name, s); err != nil {
		d.Log.Error("the dashboard cannot write a page", "path", r.URL.Path, "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(page.Bytes())
}

// secure sets the headers of all answers: nothing from elsewhere, nothing kept, no frames.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

// file serves an embedded file.
func (d *Dashboard) file(name, kind string) http.Handler {
	data, err := files.ReadFile("page/" + name)
	if err != nil {
		panic(err) // it is embedded
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		secure(w.Header())
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "private, max-age=60")
		w.Write(data)
	})
}

// alerts are what every page should say.
func (d *Dashboard) alerts() []string {
	var list []string
	state, err := d.State()
	if err != nil {
		return []string{"The state of the gateway cannot be read."}
	}
	if d.Store != nil && !state.StoreUp {
		list = append(list, "The store does not work at the moment. Attempts wait in the journal, and pages that need the store come back with it.")
	}
	for _, b := range state.Breakers {
		if b.State == "open" {
			list = append(list, fmt.Sprintf("%s of %s has failed repeatedly and is not called for a while.", b.Model, b.Provider))
		}
	}
	return list
}

// Question is what is asked about the latest requests of a range.
type Question struct {
	From   time.Time
	Policy string // empty: all
	// USDPerQuality is the willingness to pay that would decide. NaN: as each decision
	// had it.
	USDPerQuality float64
	Without       []string // models that could not be chosen
}

// Replay is what would have been, with 95% intervals of what is estimated.
type Replay struct {
	Requests, Decided, Changed int
	At                         time.Time // when the log was read
	Median                     float64   // willingness to pay of the decisions, USD per unit of quality; may be +Inf
	Limited                    bool      // only the latest requests are replayed
	Was                        float64   // USD, a fact
	Then, Saved                Estimate  // USD
	QualityWas, QualityThen    Estimate
	Models                     []ReplayModel
	// Curve is what would have been at other objectives, from the lowest willingness
	// to pay to the highest.
	Curve []ReplayPoint
	// Single is what every model alone would have been.
	Single []ReplaySingle
	// JSON is the answer in the form carrot.whatif/1, as the command line prints it.
	JSON []byte
}

// ReplayPoint is a point of a curve.
type ReplayPoint struct{ USDPerQuality, CostUSD, Quality float64 } // means of a request

// ReplaySingle is a model that would have answered all requests that it may.
type ReplaySingle struct {
	Name             string
	CostUSD, Quality float64 // means of a request
}

// ReplayModel is a model's part.
type ReplayModel struct {
	Name            string
	Was, Then       int
	WasUSD, ThenUSD float64
	New             int // requests that another model has answered
}

// Estimate is a number with its 95% interval.
type Estimate struct{ Value, Low, High float64 }

// Router describes the router that decides.
type Router struct {
	File        string
	Fingerprint string
	Embedder    string
	Predictor   string
	Data        []Counted // data sets and their queries
	PriceDate   string
	Command     string
	Licence     string
	Description string
	Metrics     []Metric
	Frontier    []carrot.Point
	BestSingle  carrot.Point
	Models      []RouterModel
	Learned     string // what it learnt from traffic; empty: nothing
}

// Metric is a figure of a router, by its name.
type Metric struct {
	Name  string
	Value float64
}

// RouterModel is a model that a router knows.
type RouterModel struct {
	Name      string
	MeanScore float64
	Served    bool // it is in the configuration
}

// Price is the price of a model, in USD for a million tokens, NaN if it is unknown, and what
// else is known of the model.
type Price struct {
	Input, Cached, Output float64
	Date, Source          string
	Also                  []string // what else the bill depends on, such as the service tier, in words
	Shutdown              string   // the day from which requests fail; empty: unknown
	Successor             string   // the model that its vendor names in its place; empty: unknown
	Borrowed              string   // the model whose estimates it borrows; empty: none
}

// Trial is a decision at an objective.
type Trial struct {
	Name     string // of the objective
	Decision *carrot.Decision
	Err      string // why there is none
}

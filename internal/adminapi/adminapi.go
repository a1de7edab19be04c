// Package adminapi serves the clients and keys of a store over HTTP, for administrators.
// openapi.yaml describes it.
package adminapi

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/budget"
	"github.com/carrot-router/carrot/internal/keys"
)

//go:embed openapi.yaml
var description []byte

const (
	maxBody      = 64 << 10       // bytes
	defaultGrace = 24 * time.Hour // after a rotation
	defaultLog   = 100            // entries
	maxLog       = 1000
)

// Options are what the API needs of the program around it.
type Options struct {
	// Budgets returns what is known of all budgets.
	Budgets func(ctx context.Context) ([]budget.Figures, error)
	// Log receives errors of the store. Nil: nothing is logged.
	Log *slog.Logger
}

// api serves the clients of a store.
type api struct {
	admin *keys.Admin
	Options
}

// Handlers returns the handlers of the API by pattern, for gateway.AdminOptions, which
// requires the admin key.
func Handlers(admin *keys.Admin, o Options) map[string]http.Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &api{admin, o}
	handlers := map[string]http.Handler{}
	allowed := map[string][]string{}
	for _, r := range a.routes() {
		handlers[r.method+" "+r.path] = a.handler(r.serve)
		allowed[r.path] = append(allowed[r.path], r.method)
	}
	for path, methods := range allowed {
		allow := strings.Join(methods, ", ")
		handlers[path] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", allow)
			answer(w, http.StatusMethodNotAllowed, failure{Error: fault{Message: fmt.Sprintf("%s is not allowed here, only %s", r.Method, allow)}})
		})
	}
	handlers["GET /openapi.yaml"] = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		w.Write(description)
	})
	return handlers
}

// route is an operation. serve returns the status and the body of its answer.
type route struct {
	method, path string
	serve        func(*http.Request) (int, any, error)
}

func (a *api) routes() []route {
	return []route{
		{"GET", "/keys", a.list},
		{"POST", "/keys", a.create},
		{"GET", "/keys/{name}", a.show},
		{"PATCH", "/keys/{name}", a.update},
		{"DELETE", "/keys/{name}", a.revoke},
		{"POST", "/keys/{name}/rotate", a.rotate},
		{"GET", "/audit", a.audit},
		{"GET", "/budgets", a.budgets},
	}
}

// failure is the body of an answer that is an error.
type failure struct {
	Error fault `json:"error"`
}

type fault struct {
	Message string `json:"message"`
	Field   string `json:"field,omitempty"` // that is wrong
}

// refused is an error with a status.
type refused struct {
	status int
	fault
}

func (e *refused) Error() string { return e.Message }

func refuse(status int, field, format string, args ...any) error {
	return &refused{status, fault{fmt.Sprintf(format, args...), field}}
}

func (a *api) handler(serve func(*http.Request) (int, any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		status, body, err := serve(r)
		if err == nil {
			answer(w, status, body)
			return
		}
		e, ok := errors.AsType[*refused](err)
		if !ok {
			e = &refused{http.StatusServiceUnavailable, fault{Message: "the store cannot be read or written; the gateway's log says why"}}
			bad, isBad := errors.AsType[*keys.Invalid](err)
			switch {
			case isBad:
				e = &refused{http.StatusBadRequest, fault{bad.Error(), bad.Field}}
			case errors.Is(err, keys.ErrUnknown):
				e = &refused{http.StatusNotFound, fault{Message: err.Error()}}
			case errors.Is(err, keys.ErrNoKey):
				e = &refused{http.StatusNotFound, fault{err.Error(), "prefix"}}
			case errors.Is(err, keys.ErrTaken), errors.Is(err, keys.ErrEnded), errors.Is(err, keys.ErrListed):
				e = &refused{http.StatusConflict, fault{Message: err.Error()}}
			default:
				a.Log.Error("the admin API cannot use the store", "path", r.URL.Path, "error", err)
			}
		}
		answer(w, e.status, failure{e.fault})
	})
}

// answer writes an answer in JSON. It may have a key, so it must not be kept.
func answer(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(append(text, '\n'))
}

// decode reads the body of a request. An empty one leaves v as it is.
func decode(r *http.Request, v any) error {
	data, err := io.ReadAll(r.Body)
	if long, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return refuse(http.StatusRequestEntityTooLarge, "", "the body is longer than %d bytes", long.Limit)
	} else if err != nil {
		return refuse(http.StatusBadRequest, "", "the body could not be read")
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	if !utf8.Valid(data) { // what is not would be replaced, so that two names become one
		return refuse(http.StatusBadRequest, "", "the body is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			field := strings.TrimPrefix(wrong.Field, "Settings.") // which is embedded
			return refuse(http.StatusBadRequest, field, "%s: a value of another type is wanted than %s", cmp.Or(field, "the body"), wrong.Value)
		}
		if _, ok := errors.AsType[*time.ParseError](err); ok || strings.Contains(err.Error(), "Time.UnmarshalJSON") {
			return refuse(http.StatusBadRequest, "expires", "expires: want a time such as 2027-03-01T00:00:00Z, or null")
		}
		return refuse(http.StatusBadRequest, "", "the body is not what it must be: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return refuse(http.StatusBadRequest, "", "the body is more than one object")
	}
	return nil
}

// who says in the log of changes who changed something.
func who(r *http.Request) string { return "admin-api " + r.RemoteAddr }

func (a *api) list(r *http.Request) (int, any, error) {
	all, err := a.admin.List(r.Context())
	return http.StatusOK, keys.ClientsAnswer(all), err
}

func (a *api) show(r *http.Request) (int, any, error) {
	c, err := a.admin.Client(r.Context(), r.PathValue("name"))
	return http.StatusOK, keys.OneAnswer(c, ""), err
}

// newClient is the body of POST /keys.
type newClient struct {
	Name string `json:"name"`
	keys.Settings
}

func (a *api) create(r *http.Request) (int, any, error) {
	var n newClient
	if err := decode(r, &n); err != nil {
		return 0, nil, err
	}
	c, key, err := a.admin.Create(r.Context(), who(r), keys.NewClient{Name: n.Name, Settings: n.Settings})
	return http.StatusCreated, keys.OneAnswer(c, key), err
}

// patch is the body of PATCH /keys/{name}. What it has replaces what the client has; null
// stands for nothing.
type patch struct {
	Labels   given[map[string]string]      `json:"labels"`
	Policies given[[]string]               `json:"policies"`
	Rates    given[gateway.RateConfig]     `json:"rates"`
	Budgets  given[[]gateway.BudgetConfig] `json:"budgets"`
	Expires  given[*time.Time]             `json:"expires"`
}

// given is a value that may be missing.
type given[T any] struct {
	is    bool
	value T
}

// UnmarshalJSON reads a value that is there, be it null.
func (g *given[T]) UnmarshalJSON(data []byte) error {
	g.is = true
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(&g.value)
}

// replace sets what is given.
func replace[T any](to *T, g given[T]) {
	if g.is {
		*to = g.value
	}
}

func (a *api) update(r *http.Request) (int, any, error) {
	var p patch
	if err := decode(r, &p); err != nil {
		return 0, nil, err
	}
	c, err := a.admin.Update(r.Context(), who(r), r.PathValue("name"), p.Policies.value, func(s *keys.Settings) error {
		replace(&s.Labels, p.Labels)
		replace(&s.Policies, p.Policies)
		replace(&s.Rates, p.Rates)
		replace(&s.Budgets, p.Budgets)
		replace(&s.Expires, p.Expires)
		return nil
	})
	return http.StatusOK, keys.OneAnswer(c, ""), err
}

func (a *api) revoke(r *http.Request) (int, any, error) {
	c, err := a.admin.Revoke(r.Context(), who(r), r.PathValue("name"), r.URL.Query().Get("prefix"))
	return http.StatusOK, keys.OneAnswer(c, ""), err
}

// rotation is the body of POST /keys/{name}/rotate.
type rotation struct {
	GraceSeconds *int64 `json:"grace_seconds"`
}

func (a *api) rotate(r *http.Request) (int, any, error) {
	var o rotation
	if err := decode(r, &o); err != nil {
		return 0, nil, err
	}
	grace := defaultGrace
	if o.GraceSeconds != nil {
		if *o.GraceSeconds < 0 || *o.GraceSeconds > int64(keys.MaxGrace/time.Second) {
			return 0, nil, refuse(http.StatusBadRequest, "grace_seconds", "grace_seconds: want a number from 0 to %d", keys.MaxGrace/time.Second)
		}
		grace = time.Duration(*o.GraceSeconds) * time.Second
	}
	c, key, err := a.admin.Rotate(r.Context(), who(r), r.PathValue("name"), grace)
	return http.StatusOK, keys.OneAnswer(c, key), err
}

func (a *api) audit(r *http.Request) (int, any, error) {
	q := r.URL.Query()
	what := keys.LogRange{Subject: q.Get("client"), Limit: defaultLog}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxLog {
			return 0, nil, refuse(http.StatusBadRequest, "limit", "limit is %.40q: want a number from 1 to %d", text, maxLog)
		}
		what.Limit = n
	}
	if text := q.Get("before"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 {
			return 0, nil, refuse(http.StatusBadRequest, "before", "before is %.40q: want the id of a change", text)
		}
		what.Before = n
	}
	all, err := a.admin.Store.Log(r.Context(), what)
	return http.StatusOK, keys.ChangesAnswer(all), err
}

func (a *api) budgets(r *http.Request) (int, any, error) {
	list, err := a.Budgets(r.Context())
	return http.StatusOK, budget.Answer(list), err
}

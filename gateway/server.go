package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carrot-router/carrot/internal/wire"
)

// routePath is that of dry runs.
const routePath = "/v1/route"

// autoPolicy is the policy of who names none.
const autoPolicy = "auto"

// handlers lists the endpoints.
func (g *Gateway) handlers() *http.ServeMux {
	mux := http.NewServeMux()
	for _, api := range []wire.API{wire.Chat, wire.Responses, wire.Messages} {
		mux.HandleFunc("POST /v1/"+api.Path(), g.serve(api, (*exchange).converse))
	}
	mux.HandleFunc("POST /v1/embeddings", g.serve(wire.Embeddings, (*exchange).embed))
	mux.HandleFunc("POST /v1/messages/count_tokens", g.serve(wire.Messages, (*exchange).countTokens))
	mux.HandleFunc("POST "+routePath, g.serve(wire.Chat, (*exchange).explain))
	mux.HandleFunc("GET /v1/models", g.models)
	mux.HandleFunc("GET /v1/models/{name...}", g.models)
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		if g.draining.Load() {
			http.Error(w, "stopping", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ready\n")
	})
	mux.HandleFunc("/", g.notFound)
	return mux
}

// ServeHTTP answers one request.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.mux.ServeHTTP(w, r) }

// exchange is one request of a client on its way.
type exchange struct {
	g      *Gateway
	routes *routes
	w      http.ResponseWriter
	r      *http.Request
	ctx    context.Context // the request's, with its span
	api    wire.API
	start  time.Time
	id     string
	client *ClientConfig // nil: clients are not told apart
	q      *wire.Request
	s      selection
	p      *plan

	attempts int
	dead     map[deadKey]bool // keys that providers refused
	answered func()           // the provider of the present attempt is well
	reported bool             // and it said what it bills
	sent     bool             // the client has a part of the answer
	status   int
	served   string        // the candidate that answered
	upstream time.Duration // spent waiting for providers
}

// serve makes a handler: it authenticates, reads and parses the request, and
// answers with the error if there is one.
func (g *Gateway) serve(api wire.API, answer func(*exchange) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{g: g, routes: g.routes.Load(), w: w, r: r, api: api, start: time.Now(), id: "req_" + rand.Text(), status: http.StatusOK}
		x.identify()
		g.metrics.begin(api)
		ctx, endSpan := g.tracer.request(r.Context(), r.Header, api)
		x.ctx = ctx
		defer func() {
			policy := x.s.policyName()
			endSpan(x.status, policy, x.served)
			if g.log.Enabled(ctx, slog.LevelDebug) {
				g.log.Debug("request", "request_id", x.id, "api", api, "client", x.clientName(), "policy", policy, "model", x.served, "status", x.status, "attempts", x.attempts, "ms", time.Since(x.start).Milliseconds())
			}
			g.metrics.end(api, policy, x.status, time.Since(x.start).Seconds())
		}()
		defer x.recovered() // before that, which is told the status
		defer g.active.Add(-1)
		if g.active.Add(1) > int64(x.routes.config.Limits.Requests) {
			g.metrics.rejected("limit")
			w.Header().Set("Retry-After", "1")
			x.fail(&wire.Error{Status: http.StatusServiceUnavailable, Type: "server_error", Code: "too_many_requests", Message: "the gateway serves as many requests as it may: try again"})
			return
		}
		if err := x.receive(); err != nil {
			x.fail(err)
			return
		}
		if err := answer(x); err != nil {
			x.fail(err)
		}
	}
}

// recovered answers for a handler that panicked.
func (x *exchange) recovered() {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	x.g.log.Error("panic", "request_id", x.id, "panic", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
	if x.sent { // the client has a part of an answer, and must not take it for the whole
		x.status = http.StatusInternalServerError
		panic(http.ErrAbortHandler)
	}
	x.fail(&wire.Error{Status: http.StatusInternalServerError, Type: "server_error", Message: "internal error"})
}

// identify tells the client the request's id, also where its SDK looks for it.
func (x *exchange) identify() {
	id := []string{x.id}
	h := x.w.Header()
	h["X-Carrot-Request-Id"], h["X-Request-Id"], h["Request-Id"] = id, id, id
}

// receive authenticates the client and reads its request.
func (x *exchange) receive() error {
	client, err := x.routes.authenticate(x.r.Header)
	if err != nil {
		x.g.metrics.rejected("key")
		x.g.log.Info("a client's key was refused", "request_id", x.id, "address", x.r.RemoteAddr)
		return err
	}
	x.client = client
	limit := int64(x.routes.config.Limits.BodyMB) << 20
	x.r.Body = http.MaxBytesReader(x.w, x.r.Body, limit)
	body, err := readBody(x.r)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		x.g.metrics.rejected("size")
		return &wire.Error{Status: http.StatusRequestEntityTooLarge, Type: "invalid_request_error", Code: "body_too_large",
			Message: fmt.Sprintf("the body is longer than %d MB: the limit is limits.body_mb", tooLarge.Limit>>20)}
	} else if err != nil {
		return invalid("", "the body did not arrive: %v", err)
	}
	if x.r.URL.Path == routePath {
		x.api = spoken(body, x.r.Header)
	}
	if x.q, err = wire.ParseRequest(x.api, body); err != nil {
		x.g.metrics.rejected("request")
	}
	return err
}

// readBody reads a body into memory of the right size at once, if its length is
// known.
func readBody(r *http.Request) ([]byte, error) {
	if n := r.ContentLength; n > 0 && n <= 1<<20 {
		body := make([]byte, n)
		_, err := io.ReadFull(r.Body, body)
		return body, err
	}
	return io.ReadAll(r.Body)
}

// authenticate finds the client by its key. All keys are compared, in constant
// time. Without configured clients everybody may call.
func (r *routes) authenticate(h http.Header) (*ClientConfig, error) {
	if len(r.clients) == 0 {
		return nil, nil
	}
	found, sent := -1, false
	for _, key := range []string{bearer(h), h.Get("X-Api-Key")} {
		if key = strings.TrimSpace(key); key == "" {
			continue
		}
		sent = true
		sum := sha256.Sum256([]byte(key))
		for i := range r.clients {
			if subtle.ConstantTimeCompare(sum[:], r.clients[i].hash[:]) == 1 {
				found = i
			}
		}
	}
	if found < 0 {
		message := "no key was sent: send it as Authorization: Bearer KEY, or as x-api-key"
		if sent {
			message = "the key is not known here"
		}
		return nil, &wire.Error{Status: http.StatusUnauthorized, Type: "authentication_error", Code: "invalid_api_key", Message: message}
	}
	return &r.clients[found], nil
}

// bearer is the token of an Authorization header.
func bearer(h http.Header) string {
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return token
}

// fail answers with an error in the envelope of the API that was called.
func (x *exchange) fail(err error) {
	e, ok := errors.AsType[*wire.Error](err)
	if !ok {
		x.g.log.Error("internal error", "request_id", x.id, "error", err)
		e = &wire.Error{Status: http.StatusInternalServerError, Type: "server_error", Message: "internal error"}
	}
	x.reply(e.Status, x.errorBody(e))
}

func (x *exchange) errorBody(e *wire.Error) []byte {
	out := *e
	out.RequestID = x.id
	return out.Body(x.api)
}

// reply writes a whole answer.
func (x *exchange) reply(status int, body []byte) {
	x.status = status
	h := x.w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	x.w.WriteHeader(status)
	x.deadline()
	if _, err := x.w.Write(body); err == nil {
		x.sent = true
	}
}

// deadline limits the next write, so that a client who does not read holds
// nothing up for long.
func (x *exchange) deadline() {
	// Without an answer in time the connection ends, which is all that can be
	// done; a writer that knows no deadline has none.
	_ = http.NewResponseController(x.w).SetWriteDeadline(time.Now().Add(x.routes.config.Limits.WriteTimeout))
}

func (x *exchange) clientName() string {
	if x.client == nil {
		return ""
	}
	return x.client.Name
}

// choose reads what the request asks for and decides who answers.
func (x *exchange) choose() error {
	s, err := x.routes.selects(x.q, x.r.Header, x.client)
	if err != nil {
		x.g.metrics.rejected("request")
		return err
	}
	s.dry = x.s.dry
	x.s = s
	ctx, endSpan := x.g.tracer.decision(x.ctx)
	x.p, err = x.g.plan(ctx, x.routes, x.q, &x.s, x.clientName())
	if err != nil {
		endSpan(nil, s.policyName(), "")
		return err
	}
	if d := x.p.decision; d != nil {
		d.ID, d.Policy = x.id, s.policy.name // also where a model was named: its objective weighs
		if s.objective != s.policy.objective {
			d.Policy += ":" + s.objective.String()
		}
	}
	endSpan(x.p.decision, s.policyName(), x.p.reason)
	x.g.metrics.decided(s.policyName(), x.p.decidedIn)
	return nil
}

// side is the exchange of a request that is no conversation, in the API of the
// client that asks.
func (g *Gateway) side(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{g: g, routes: g.routes.Load(), w: w, r: r, api: wire.Chat, id: "req_" + rand.Text()}
	if r.Header.Get("Anthropic-Version") != "" || strings.HasPrefix(r.URL.Path, "/v1/messages") {
		x.api = wire.Messages
	}
	x.identify()
	return x
}

// listed is a model or policy in the lists of both APIs.
type listed struct {
	ID        string `json:"id"`
	Object    string `json:"object"`
	Type      string `json:"type"`
	Created   int64  `json:"created"`
	CreatedAt string `json:"created_at"`
	OwnedBy   string `json:"owned_by"`
	Name      string `json:"display_name"`
}

// models lists what may be asked for, or one of it.
func (g *Gateway) models(w http.ResponseWriter, r *http.Request) {
	x := g.side(w, r)
	client, err := x.routes.authenticate(r.Header)
	if err != nil {
		x.fail(err)
		return
	}
	list := []listed{}
	for _, name := range x.routes.names {
		if client.restricted() && !slices.Contains(client.Policies, name) {
			continue
		}
		owner := "carrot"
		if c := x.routes.byName[name]; c != nil {
			owner = c.provider.Name
		}
		list = append(list, listed{name, "model", "model", 0, "1970-01-01T00:00:00Z", owner, name})
	}
	var answer any = map[string]any{"object": "list", "data": list, "has_more": false}
	if name := r.PathValue("name"); name != "" {
		at := slices.IndexFunc(list, func(m listed) bool { return m.ID == name })
		if at < 0 {
			x.fail(&wire.Error{Status: http.StatusNotFound, Code: "model_not_found", Message: fmt.Sprintf("no model %q: GET /v1/models lists what may be asked for", name)})
			return
		}
		answer = list[at]
	}
	body, err := json.Marshal(answer)
	if err != nil {
		x.fail(err)
		return
	}
	x.reply(http.StatusOK, body)
}

// posts are the endpoints that want POST.
var posts = []string{"/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/messages/count_tokens", "/v1/embeddings", routePath}

// notFound answers for paths that are none of the endpoints.
func (g *Gateway) notFound(w http.ResponseWriter, r *http.Request) {
	if slices.Contains(posts, r.URL.Path) {
		w.Header().Set("Allow", http.MethodPost)
		g.side(w, r).fail(&wire.Error{Status: http.StatusMethodNotAllowed, Message: r.URL.Path + " wants POST"})
		return
	}
	g.side(w, r).fail(&wire.Error{Status: http.StatusNotFound, Code: "not_found",
		Message: fmt.Sprintf("no endpoint %s %s: there are POST /v1/chat/completions, /v1/responses, /v1/messages, /v1/messages/count_tokens, /v1/embeddings, /v1/route, and GET /v1/models, /health, /ready", r.Method, r.URL.Path)})
}

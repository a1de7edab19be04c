package gateway

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/carrot-router/carrot/internal/wire"
)

// routePath is the path for dry runs, which decide and call no provider.
const routePath = "/v1/route"

// defaultPolicy is the policy that leaves the choice of a model to the gateway. It also
// applies to requests that name a model.
const defaultPolicy = "auto"

// handlers returns the endpoints for clients.
func (g *Gateway) handlers() *http.ServeMux {
	mux := http.NewServeMux()
	for _, api := range []wire.API{wire.Chat, wire.Responses, wire.Messages} {
		mux.HandleFunc("POST /v1/"+api.Path(), g.serve(api, (*exchange).converse))
	}
	mux.HandleFunc("POST /v1/embeddings", g.serve(wire.Embeddings, (*exchange).embed))
	mux.HandleFunc("POST /v1/messages/count_tokens", g.serve(wire.Messages, (*exchange).countTokens))
	mux.HandleFunc("POST "+routePath, g.serve(wire.Chat, (*exchange).explain))
	mux.HandleFunc("POST "+feedbackPath, g.feedback)
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

// exchange is one request of a client and its answer.
type exchange struct {
	g       *Gateway
	routes  *routes
	r       *http.Request
	ctx     context.Context // the request's, with its span
	start   time.Time
	id      string
	client  *Client // nil: requests need no key
	q       *wire.Request
	held    held              // by the body
	account Account           // nil: nothing limits the request
	labels  map[string]string // of the client, and those that the request adds
	reply   reply

	unreasoned bool // references to reasoning were left out of the body
	done       summary
}

// summary is what is counted and logged when a request is over.
type summary struct {
	policy   string // that applied
	served   string // the candidate that answered
	attempts int
}

func (g *Gateway) newExchange(w http.ResponseWriter, r *http.Request, api wire.API) *exchange {
	x := &exchange{g: g, routes: g.routes.Load(), r: r, ctx: r.Context(), start: time.Now(), id: newRequestID(time.Now())}
	x.reply = newReply(w, api, x.id, x.routes.config.Limits.WriteTimeout)
	x.held = x.hold()
	return x
}

// serve returns a handler that authenticates the client, reads and parses its request
// and calls answer. If any of that fails, it answers with the error.
func (g *Gateway) serve(api wire.API, answer func(*exchange) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		x := g.newExchange(w, r, api)
		g.metrics.begin(api)
		ctx, endSpan := g.tracer.request(r.Context(), r.Header, api)
		x.ctx = ctx
		defer func() {
			endSpan(x.reply.status, x.done.policy, x.done.served)
			if g.log.Enabled(ctx, slog.LevelDebug) {
				g.log.Debug("request", "request_id", x.id, "api", api, "client", x.clientName(), "policy", x.done.policy, "model", x.done.served, "status", x.reply.status, "attempts", x.done.attempts, "ms", time.Since(x.start).Milliseconds())
			}
			g.metrics.end(api, x.done.policy, x.reply.status, time.Since(x.start).Seconds())
		}()
		defer x.held.free()
		defer x.leave()
		defer x.reply.close()
		defer x.recovered() // runs before the functions above, which need the status
		body, err := x.receive()
		if err == nil {
			err = x.admitted(func() error {
				if err := x.parse(body); err != nil {
					return err
				}
				return answer(x)
			})
		}
		if err != nil {
			x.fail(err)
		}
	}
}

// admitted calls serve, unless the gateway is serving its maximum number of requests.
// Requests are counted only once they have arrived as a whole, so that slow clients
// keep no others out.
func (x *exchange) admitted(serve func() error) error {
	defer x.g.active.Add(-1)
	if x.g.active.Add(1) > int64(x.routes.config.Limits.Requests) {
		x.g.metrics.rejected("limit")
		x.reply.header().Set("Retry-After", "1")
		return &wire.Error{Status: http.StatusServiceUnavailable, Type: "server_error", Code: "too_many_requests", Message: "the gateway is serving its maximum number of requests: try again"}
	}
	return serve()
}

// recovered answers with an error if the handler panicked.
func (x *exchange) recovered() {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	x.g.log.Error("panic", "request_id", x.id, "panic", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
	if x.reply.sent { // the client must not take part of an answer for a complete one
		x.reply.status = http.StatusInternalServerError
		panic(http.ErrAbortHandler)
	}
	x.fail(&wire.Error{Status: http.StatusInternalServerError, Type: "server_error", Message: "internal error"})
}

// receive authenticates the client and returns the body of its request.
func (x *exchange) receive() ([]byte, error) {
	var client *Client
	var err error
	if x.r.Context().Value(operatorKey{}) == nil {
		client, err = authenticate(x.ctx, &x.routes.clients, x.r.Header)
	}
	if err != nil {
		x.g.metrics.rejected("key")
		x.g.log.Info("a client was refused", "request_id", x.id, "address", x.r.RemoteAddr, "error", err)
		return nil, err
	}
	x.client = client
	body, err := x.readBody()
	if err != nil {
		return nil, x.unreadable(err)
	}
	received(x.r.Context())
	return body, nil
}

// parse reads the body of the request.
func (x *exchange) parse(body []byte) error {
	if x.r.URL.Path == routePath {
		x.reply.api = spoken(body, x.r.Header)
	}
	q, err := wire.ParseRequest(x.reply.api, body)
	if err == nil && q.Stored {
		q, err = x.resolve(q)
	}
	if err == nil {
		err = q.CheckSettings(x.routes.settings[x.reply.api])
	}
	if err != nil {
		x.g.metrics.rejected("request")
		return err
	}
	x.q = q
	return nil
}

// fail answers with an error in the form of the API that was called.
func (x *exchange) fail(err error) {
	e, ok := errors.AsType[*wire.Error](err)
	if !ok {
		x.g.log.Error("internal error", "request_id", x.id, "error", err)
		e = &wire.Error{Status: http.StatusInternalServerError, Type: "server_error", Message: "internal error"}
	}
	x.reply.failed(e)
}

func (x *exchange) clientName() string {
	if x.client == nil {
		return ""
	}
	return x.client.Name
}

// choose decides which candidates may answer the request. dry says that none of them
// will be called.
func (x *exchange) choose(dry bool) (*run, error) {
	s, err := x.routes.selects(x.q, x.r.Header, x.client)
	if err != nil {
		x.g.metrics.rejected("request")
		return nil, err
	}
	if x.q.Background {
		x.g.metrics.rejected("request")
		return nil, invalid("background", "background: true is not supported, because answers cannot be fetched later: omit it, and stream the answer if it takes long")
	}
	s.dry = dry
	x.done.policy, x.labels = s.policyName(), s.labels
	if !dry {
		if err := x.admit(); err != nil {
			return nil, err
		}
		x.paced(&s)
	}
	ctx, endSpan := x.g.tracer.decision(x.ctx)
	r := &run{x: x, request: request{Request: x.q, selection: s, client: x.clientName()}}
	if x.account != nil {
		r.request.strict, _ = x.account.Terms()
	}
	r.choice, err = x.g.decider.decide(ctx, x.routes, &r.request)
	if err != nil {
		endSpan(nil, s.policyName(), "")
		if !dry {
			x.g.metrics.rejected("candidate")
		}
		return nil, err
	}
	if d := r.choice.decision; d != nil {
		d.ID, d.Policy = x.id, s.policy.name // also if a model was named, since the policy's objective applies
		if s.objective != s.policy.objective {
			d.Policy += ":" + s.objective.String()
		}
	}
	endSpan(r.choice.decision, s.policyName(), string(r.choice.reason))
	x.g.metrics.chose(s.policyName(), r.choice, dry)
	return r, nil
}

// side begins the exchange for a request that calls no model. It answers in the API
// that the client seems to use.
func (g *Gateway) side(w http.ResponseWriter, r *http.Request) *exchange {
	api := wire.Chat
	if r.Header.Get("Anthropic-Version") != "" || strings.HasPrefix(r.URL.Path, "/v1/messages") {
		api = wire.Messages
	}
	return g.newExchange(w, r, api)
}

// listed is a model or policy in a list, with the fields of both OpenAI's and
// Anthropic's API.
type listed struct {
	ID        string `json:"id"`
	Object    string `json:"object"`
	Type      string `json:"type"`
	Created   int64  `json:"created"`
	CreatedAt string `json:"created_at"`
	OwnedBy   string `json:"owned_by"`
	Name      string `json:"display_name"`
	Borrowed  string `json:"borrowed,omitempty"` // the model whose estimates are used, as there are none of its own
}

// models answers with the names that the client may use as the model, or with one of
// them.
func (g *Gateway) models(w http.ResponseWriter, r *http.Request) {
	x := g.side(w, r)
	client, err := authenticate(r.Context(), &x.routes.clients, r.Header)
	if err != nil {
		x.fail(err)
		return
	}
	list := []listed{}
	for _, name := range slices.Concat(x.routes.names, x.routes.embeddingNames()) {
		if client.restricted() && !slices.Contains(client.Limits.Policies, name) && (name != defaultPolicy || x.routes.own(client) == "") {
			continue
		}
		owner, borrowed := "carrot", ""
		if c := cmp.Or(x.routes.byName[name], x.routes.embeddings[name]); c != nil {
			owner, borrowed = c.target().provider.Name, c.borrowed
		}
		list = append(list, listed{name, "model", "model", 0, "1970-01-01T00:00:00Z", owner, name, borrowed})
	}
	var answer any = map[string]any{"object": "list", "data": list, "has_more": false}
	if name := r.PathValue("name"); name != "" {
		at := slices.IndexFunc(list, func(m listed) bool { return m.ID == name })
		if at < 0 {
			x.fail(&wire.Error{Status: http.StatusNotFound, Code: "model_not_found", Message: fmt.Sprintf("no model %q: GET /v1/models lists the valid names", name)})
			return
		}
		answer = list[at]
	}
	body, err := json.Marshal(answer)
	if err != nil {
		x.fail(err)
		return
	}
	x.reply.whole(http.StatusOK, body)
}

// posts are the paths that require POST.
var posts = []string{"/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/messages/count_tokens", "/v1/embeddings", routePath, feedbackPath}

// notFound answers requests that no endpoint serves.
func (g *Gateway) notFound(w http.ResponseWriter, r *http.Request) {
	if slices.Contains(posts, r.URL.Path) {
		w.Header().Set("Allow", http.MethodPost)
		g.side(w, r).fail(&wire.Error{Status: http.StatusMethodNotAllowed, Message: r.URL.Path + " requires POST"})
		return
	}
	g.side(w, r).fail(&wire.Error{Status: http.StatusNotFound, Code: "not_found",
		Message: fmt.Sprintf("no endpoint %s %s: the endpoints are POST /v1/chat/completions, /v1/responses, /v1/messages, /v1/messages/count_tokens, /v1/embeddings, /v1/route, /v1/feedback, and GET /v1/models, /health, /ready", r.Method, r.URL.Path)})
}

// newRequestID returns an id for a request: req_, the time in milliseconds in nine digits
// and 17 random ones. Ids of one time are beside each other in the index of a store,
// which is then written to in few places.
func newRequestID(now time.Time) string {
	const digits = "234567ABCDEFGHIJKLMNOPQRSTUVWXYZ" // in the order of their bytes
	id := []byte("req_" + rand.Text())
	ms := uint64(now.UnixMilli())
	for i := len("req_") + 8; i >= len("req_"); i-- {
		id[i] = digits[ms%32]
		ms /= 32
	}
	return string(id)
}

package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/spelling"
	"github.com/carrot-router/carrot/internal/wire"
)

// selection is what a request asks for with its model, headers and metadata.
type selection struct {
	policy    *policy
	objective carrot.Objective
	models    []string   // of the pool; never empty
	named     *candidate // routing is off: the client named this model
	off       bool       // routing is off: the policy's default answers
	tags      []string
	session   string
	labels    map[string]string // of the client and of the request
	debug     bool
	dry       bool // only the decision is wanted
}

// policyName returns the name of the policy that decides. It is empty if the client
// named a model, or if the request could not be read.
func (s *selection) policyName() string {
	if s.policy == nil || s.named != nil {
		return ""
	}
	return s.policy.name
}

// The names of the headers by which a request selects, without x-carrot-. They are also
// the names of keys in the metadata, without carrot_.
const (
	askLabels    = "labels"
	askObjective = "objective"
	askModels    = "models"
	askSession   = "session"
	askRoute     = "route"
	askTags      = "tags"
)

// maxSession is the longest name of a session, in bytes: it is recorded.
const maxSession = 256

// selects returns what a request asks for. Errors are of type *wire.Error; they say what
// is wrong and what is valid.
func (r *routes) selects(q *wire.Request, h http.Header, client *Client) (selection, error) {
	ask := func(name string) string {
		if v := strings.Join(h[askHeaders[name]], ","); v != "" {
			return v
		}
		return q.Metadata[name]
	}
	s := selection{session: ask(askSession), tags: list(ask(askTags)), debug: h.Get("X-Carrot-Debug") == "true"}
	if v := h.Get("X-Carrot-Debug"); v != "" && v != "true" && v != "false" {
		return s, invalid("x-carrot-debug", "x-carrot-debug is %q: want true or false", v)
	}
	if len(s.session) > maxSession {
		return s, invalid("x-carrot-session", "the session's name is longer than %d bytes", maxSession)
	}
	if err := ownKeys(q.Metadata, h); err != nil {
		return s, err
	}
	var err error
	if s.labels, err = r.labels(ask(askLabels), client); err != nil {
		return s, err
	}
	if err := r.model(&s, q.Model, client); err != nil {
		return s, err
	}
	if err := r.knownTags(s.tags); err != nil {
		return s, err
	}
	if err := r.allowed(client, &s); err != nil {
		return s, err
	}
	switch v := ask(askRoute); v {
	case "", "on":
	case "off":
		s.off = true
	default:
		return s, invalid("x-carrot-route", "x-carrot-route is %q: want on or off", v)
	}
	if v := ask(askObjective); v != "" {
		if client.restricted() {
			return s, forbidden("client %q may not set an objective: its policies determine it", client.Name)
		}
		objective, err := carrot.ParseObjective(v)
		if err != nil {
			return s, invalid("x-carrot-objective", "%v", err)
		}
		s.objective = objective
	}
	if err := r.restrict(&s, list(ask(askModels))); err != nil {
		return s, err
	}
	if s.objective != s.policy.objective { // the policies' objectives are already checked
		if _, err := r.router.Promises(s.objective, s.models); err != nil {
			param := "model"
			if ask(askObjective) != "" {
				param = "x-carrot-objective"
			}
			return s, invalid(param, "%v", err)
		}
	}
	return s, nil
}

// model reads the model in the body: a policy, a policy with an objective after a colon,
// or a candidate.
func (r *routes) model(s *selection, name string, client *Client) error {
	if p := r.policy(name, client); p != nil {
		s.policy, s.objective, s.models = p, p.objective, p.pool
		return nil
	}
	if to := r.alias(name); to != "" {
		name = to
		if p := r.policy(name, client); p != nil {
			s.policy, s.objective, s.models = p, p.objective, p.pool
			return nil
		}
	}
	if c := r.byName[name]; c != nil {
		s.policy, s.named, s.models = r.policies[defaultPolicy], c, []string{name}
		s.objective = s.policy.objective
		return nil
	}
	if before, inline, ok := strings.Cut(name, ":"); ok && r.policies[before] != nil {
		objective, err := carrot.ParseObjective(inline)
		if err != nil || inline == "" {
			return invalid("model", "%q: %v", name, cmp.Or(err, errors.New("the objective after the colon is missing")))
		}
		s.policy, s.objective = r.policy(before, client), objective
		s.models = s.policy.pool
		return nil
	}
	if r.embeddings[name] != nil && (!client.restricted() || slices.Contains(client.Limits.Policies, name)) {
		return unknownModel("%q is an embedding model: use it at /v1/embeddings", name)
	}
	valid, more := r.names, fmt.Sprintf(", and %s:OBJECTIVE", defaultPolicy)
	if client.restricted() {
		valid, more = r.policiesOf(client), ""
	}
	return unknownModel("unknown model %q%s Valid models: %s%s", name, meant(name, valid), cmp.Or(strings.Join(valid, ", "), "none"), more)
}

// policy returns the policy with a name, or nil. To a client that may not use auto, that
// is the name of its own policy.
func (r *routes) policy(name string, client *Client) *policy {
	if name == defaultPolicy && client.restricted() && !slices.Contains(client.Limits.Policies, name) {
		if own := r.own(client); own != "" {
			name = own
		}
	}
	return r.policies[name]
}

// own returns the first policy of a restricted client, or "" if it may use none.
func (r *routes) own(client *Client) string {
	for _, name := range client.Limits.Policies {
		if r.policies[name] != nil {
			return name
		}
	}
	return ""
}

// maxLabel is the longest value of a label that a request adds, in bytes.
const maxLabel = 128

// labels returns the labels of a request: those of its client, and those that it adds, in
// the form NAME=VALUE,NAME=VALUE. The map must not be changed.
func (r *routes) labels(added string, client *Client) (map[string]string, error) {
	var labels map[string]string
	if client != nil {
		labels = client.Labels
	}
	if added == "" {
		return labels, nil
	}
	all := maps.Clone(labels)
	if all == nil {
		all = map[string]string{}
	}
	for _, part := range list(added) {
		name, value, found := strings.Cut(part, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		_, own := labels[name]
		_, taken := all[name]
		switch {
		case !found || value == "":
			return nil, invalid("x-carrot-labels", "%.100q is not a label: want NAME=VALUE", part)
		case !slices.Contains(r.config.Labels.Allowed, name):
			return nil, invalid("x-carrot-labels", "requests may not have the label %.100q. Allowed labels: %s", name, cmp.Or(strings.Join(r.config.Labels.Allowed, ", "), "none"))
		case own:
			return nil, forbidden("the label %q of client %q is fixed: omit it", name, client.Name)
		case taken:
			return nil, invalid("x-carrot-labels", "the label %q is given twice", name)
		case len(value) > maxLabel || strings.ContainsFunc(value, unicode.IsControl) || !utf8.ValidString(value):
			return nil, invalid("x-carrot-labels", "the value of the label %q is longer than %d bytes or contains control characters", name, maxLabel)
		}
		all[name] = value
	}
	return all, nil
}

// alias returns what a name is an alias for, or "" if it is none.
func (r *routes) alias(name string) string {
	if len(r.config.Aliases) == 0 || r.byName[name] != nil || r.embeddings[name] != nil {
		return ""
	}
	if to := r.config.Aliases[name]; to != "" {
		return to
	}
	longest, found := "", ""
	for alias, to := range r.config.Aliases {
		if begin, ok := strings.CutSuffix(alias, "*"); ok && strings.HasPrefix(name, begin) && len(alias) > len(longest) {
			longest, found = alias, to
		}
	}
	return found
}

// meant returns the end of a sentence about a name that is not valid. If a similar name
// is valid, it asks whether that was meant.
func meant(name string, valid []string) string {
	if near := spelling.Nearest(name, valid); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return "."
}

// allowed refuses requests that exceed the limits of the client.
func (r *routes) allowed(client *Client, s *selection) error {
	if !client.restricted() {
		return nil
	}
	may := strings.Join(r.policiesOf(client), ", ")
	if may == "" {
		return forbidden("client %q may use no policy: it is limited to %s, and the configuration has no policy of these names", client.Name, strings.Join(client.Limits.Policies, ", "))
	}
	if s.named != nil {
		return forbidden("client %q may not name a model, only a policy: %s", client.Name, may)
	}
	if !slices.Contains(client.Limits.Policies, s.policy.name) {
		return forbidden("client %q may not use the policy %q, only %s", client.Name, s.policy.name, may)
	}
	if s.objective != s.policy.objective {
		return forbidden("client %q may not set an objective: its policies determine it", client.Name)
	}
	return nil
}

// policiesOf returns the policies that a restricted client may use, without the
// embedding models.
func (r *routes) policiesOf(client *Client) []string {
	return slices.DeleteFunc(slices.Clone(client.Limits.Policies), func(name string) bool { return r.policies[name] == nil })
}

// knownTags refuses tags that no model has.
func (r *routes) knownTags(asked []string) error {
	for _, tag := range asked {
		if !slices.Contains(r.tags, tag) {
			return invalid("x-carrot-tags", "no model has the tag %q%s Valid tags: %s", tag, meant(tag, r.tags), cmp.Or(strings.Join(r.tags, ", "), "none"))
		}
	}
	return nil
}

// restrict reduces the pool to the models in the request's list.
func (r *routes) restrict(s *selection, names []string) error {
	if len(names) == 0 {
		return nil
	}
	for _, name := range names {
		if r.byName[name] == nil {
			return invalid("x-carrot-models", "unknown model %q%s Valid models: %s", name, meant(name, s.models), strings.Join(s.models, ", "))
		}
		switch {
		case slices.Contains(s.models, name):
		case s.named != nil:
			return invalid("x-carrot-models", "the request is for model %q, so its list of models may not contain %q: omit the list", s.named.Name, name)
		default:
			return invalid("x-carrot-models", "model %q is not in the pool of %q, which is %s", name, s.policy.name, strings.Join(s.models, ", "))
		}
	}
	s.models = slices.DeleteFunc(slices.Clone(s.models), func(m string) bool { return !slices.Contains(names, m) })
	return nil
}

// asks are these names, sorted.
var asks = []string{askLabels, askModels, askObjective, askRoute, askSession, askTags}

// askHeaders are the headers with these names, as net/http spells them.
var askHeaders = func() map[string]string {
	headers := map[string]string{}
	for _, name := range asks {
		headers[name] = http.CanonicalHeaderKey("X-Carrot-" + name)
	}
	return headers
}()

// ownKeys refuses unknown headers that begin with x-carrot-, and unknown metadata that
// begins with carrot_.
func ownKeys(metadata map[string]string, h http.Header) error {
	for name := range metadata {
		if !slices.Contains(asks, name) {
			return invalid("metadata", "unknown metadata key carrot_%s: valid keys are carrot_%s", name, strings.Join(asks, ", carrot_"))
		}
	}
	for name := range h {
		own, found := strings.CutPrefix(name, "X-Carrot-")
		if !found {
			continue
		}
		if own = strings.ToLower(own); own != "debug" && own != "request-id" && !slices.Contains(asks, own) {
			return invalid("x-carrot-"+own, "unknown header x-carrot-%s: valid headers are x-carrot-%s, x-carrot-debug", own, strings.Join(asks, ", x-carrot-"))
		}
	}
	return nil
}

// list splits a list of names at its commas.
func list(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

func invalid(param, format string, args ...any) *wire.Error {
	return &wire.Error{Status: http.StatusBadRequest, Type: "invalid_request_error", Param: param, Message: fmt.Sprintf(format, args...)}
}

// unknownModel returns the error for a model that does not exist.
func unknownModel(format string, args ...any) *wire.Error {
	e := invalid("model", format, args...)
	e.Status, e.Type, e.Code = http.StatusNotFound, "", "model_not_found" // whose type depends on the API
	return e
}

func forbidden(format string, args ...any) *wire.Error {
	return &wire.Error{Status: http.StatusForbidden, Type: "permission_error", Code: "not_allowed", Message: fmt.Sprintf(format, args...)}
}

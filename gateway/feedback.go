package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/carrot-router/carrot/internal/strictyaml"
	"github.com/carrot-router/carrot/internal/wire"
	"github.com/carrot-router/carrot/record"
)

// feedbackPath is the path at which clients say how good an answer was.
const feedbackPath = "/v1/feedback"

// Feedback keeps what is said of answers. It must be safe for concurrent use.
type Feedback interface {
	// AddFeedback keeps feedback, and returns the policy of the request. If f.By is empty,
	// the request must be one of f.Client. The error wraps record.ErrUnknownRequest if it
	// is not, or if there is no such request; the two must not be told apart, nor by the
	// time that they take. After any other error, the client is asked to try again.
	AddFeedback(ctx context.Context, f *record.Feedback) (policy string, err error)
}

func (c *Config) checkFeedback(p *strictyaml.Problems) {
	for _, label := range slices.Sorted(maps.Keys(c.Feedback.Labels)) {
		field := strictyaml.Child("feedback.labels", label)
		if err := new(record.Feedback).Set("label", label, nil); err != nil {
			p.Add(field, "the label %v", err)
		}
		if x := c.Feedback.Labels[label]; !(x >= 0 && x <= 1) {
			p.Add(field, "is %v: want a score from 0 to 1", x)
		}
	}
}

const (
	maxFeedback     = 64 << 10 // bytes of a body
	maxFeedbackNote = 4096     // bytes
	adminName       = "admin"  // by whom the admin key is used
)

// feedback keeps what a client, or an administrator, says of an answer.
func (g *Gateway) feedback(w http.ResponseWriter, r *http.Request) {
	x := g.side(w, r)
	defer x.held.free()
	defer x.reply.close()
	defer x.recovered()
	body, err := x.feedback()
	if err != nil {
		x.fail(err)
		return
	}
	x.reply.whole(http.StatusOK, body)
}

// feedback reads what is said and keeps it. It returns the answer.
func (x *exchange) feedback() (answer []byte, err error) {
	f := record.Feedback{Time: x.start.UTC()}
	if x.routes.administers(x.r.Header) {
		f.By = adminName
	} else if x.client, err = authenticate(x.ctx, &x.routes.clients, x.r.Header); err != nil {
		x.g.metrics.rejected("key")
		return nil, err
	}
	f.Client = x.clientName()
	body, err := x.readBody()
	if err != nil {
		return nil, x.unreadable(err)
	}
	received(x.r.Context())
	err = x.admitted(func() error {
		if err := readFeedback(body, x.routes.config.Feedback.Labels, &f); err != nil {
			x.g.metrics.rejected("request")
			return err
		}
		if x.g.said == nil {
			return unavailable("no_store", "the gateway has no store that keeps feedback: set store in its configuration")
		}
		ctx, cancel := context.WithTimeout(x.ctx, feedbackLimit)
		defer cancel()
		policy, err := x.g.said.AddFeedback(ctx, &f)
		switch {
		case errors.Is(err, record.ErrUnknownRequest):
			x.g.metrics.rejected("feedback")
			return &wire.Error{Status: http.StatusNotFound, Type: "invalid_request_error", Code: "request_not_found", Param: "request_id",
				Message: fmt.Sprintf("no request %.100q of this client: the id is in the header x-carrot-request-id of the answer", f.RequestID)}
		case err != nil:
			if x.ctx.Err() == nil { // else the client has hung up
				x.g.log.Error("feedback was not kept", "request_id", x.id, "error", err)
			}
			x.reply.header().Set("Retry-After", "2")
			return unavailable("store_unavailable", "the feedback could not be stored: try again")
		}
		x.g.metrics.rated(f.Kind, policy)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Object  string   `json:"object"`
		Request string   `json:"request_id"`
		Kind    string   `json:"kind"`
		Score   *float64 `json:"score"`
		Label   string   `json:"label,omitempty"`
		Created int64    `json:"created"`
	}{"feedback", f.RequestID, f.Kind, f.Score, f.Label, f.Time.Unix()})
}

// feedbackLimit is how long the store may take. It waits a while for a request that has just
// been answered.
const feedbackLimit = 10 * time.Second

func unavailable(code, message string) *wire.Error {
	return &wire.Error{Status: http.StatusServiceUnavailable, Type: "server_error", Code: code, Message: message}
}

// administers reports whether a request has the admin key.
func (r *routes) administers(h http.Header) bool {
	want := r.config.AdminKey.Reveal()
	if want == "" {
		return false
	}
	wanted := sha256.Sum256([]byte(want))
	for _, key := range []string{bearer(h), h.Get("X-Api-Key")} {
		given := sha256.Sum256([]byte(strings.TrimSpace(key)))
		if subtle.ConstantTimeCompare(given[:], wanted[:]) == 1 {
			return true
		}
	}
	return false
}

// feedbackFields are the fields of feedback that say something, in the order in which they
// are named to people, with what they hold.
var feedbackFields = []struct{ name, want string }{{"score", "a number from 0 to 1"}, {"thumb", "up or down"}, {"label", "a text"}, {"success", "true or false"}}

// readFeedback reads the body of feedback. Errors are of type *wire.Error and name the field.
func readFeedback(body []byte, labels map[string]float64, f *record.Feedback) error {
	if len(body) > maxFeedback {
		return &wire.Error{Status: http.StatusRequestEntityTooLarge, Type: "invalid_request_error", Message: fmt.Sprintf("feedback is longer than %d bytes", maxFeedback)}
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil || fields == nil {
		return invalid("", `the body is not an object in JSON: want one such as {"request_id": "req_…", "thumb": "up"}`)
	}
	text := func(name string, most int, to *string) error {
		raw, ok := fields[name]
		delete(fields, name)
		if !ok || string(raw) == "null" {
			return nil
		}
		if err := json.Unmarshal(raw, to); err != nil {
			return invalid(name, "%s: want a text", name)
		}
		if len(*to) > most {
			return invalid(name, "%s is longer than %d bytes", name, most)
		}
		return nil
	}
	if err := text("request_id", 256, &f.RequestID); err != nil {
		return err
	}
	if f.RequestID == "" {
		return invalid("request_id", "request_id is missing: want the header x-carrot-request-id of the answer")
	}
	if err := text("note", maxFeedbackNote, &f.Note); err != nil {
		return err
	}
	var names []string
	for _, field := range feedbackFields {
		raw, ok := fields[field.name]
		delete(fields, field.name)
		if !ok || string(raw) == "null" {
			continue
		}
		if names = append(names, field.name); len(names) > 1 {
			return invalid(field.name, "%s and %s are both given: want one of them", names[0], names[1])
		}
		value := string(bytes.TrimSpace(raw))
		if quoted := strings.HasPrefix(value, `"`); quoted != (field.name == "thumb" || field.name == "label") {
			return invalid(field.name, "%s: want %s", field.name, field.want)
		} else if quoted {
			if err := json.Unmarshal(raw, &value); err != nil {
				return invalid(field.name, "%s: want a text", field.name)
			}
		}
		if err := f.Set(field.name, value, labels); err != nil {
			return invalid(field.name, "%s: %v", field.name, err)
		}
	}
	for name := range fields {
		return invalid(fmt.Sprintf("%.64s", name), "%.64q is not a field of feedback: want request_id, note and one of score, thumb, label and success", name)
	}
	if len(names) == 0 {
		return invalid("score", "nothing is said: want one of score, thumb, label and success")
	}
	return nil
}

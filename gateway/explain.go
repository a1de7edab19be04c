package gateway

import (
	"encoding/json"
	"net/http"

	"github.com/carrot-router/carrot/internal/wire"
	"github.com/carrot-router/carrot/record"
)

// explain answers with the decision and calls no provider. The headers name the
// candidate that would answer, which can differ from the decision.
func (x *exchange) explain() error {
	r, err := x.choose(true)
	if err != nil {
		return err
	}
	h, first := r.choice, r.choice.order[0].Name
	if h.decision == nil && h.reason == record.Named {
		return invalid("", "the router would exclude %s, which the request names; it would be tried nevertheless", first)
	}
	if h.decision == nil {
		return &wire.Error{Status: http.StatusServiceUnavailable, Type: "server_error", Code: "router_failed", Message: "routing failed; " + first + " would answer"}
	}
	body, err := json.Marshal(h.decision)
	if err != nil {
		return err
	}
	if body, err = r.withLosses(body); err != nil {
		return err
	}
	header := x.reply.header()
	header["X-Carrot-Model"], header["X-Carrot-Policy"], header["X-Carrot-Reason"] = []string{first}, []string{x.q.Model}, []string{string(h.reason)}
	x.reply.whole(http.StatusOK, append(body, '\n'))
	return nil
}

// spoken returns the API of the body of a dry run. Anthropic's clients send a header
// that tells it.
func spoken(body []byte, h http.Header) wire.API {
	if h.Get("Anthropic-Version") != "" {
		return wire.Messages
	}
	return wire.Spoken(body)
}

package gateway

import (
	"encoding/json"
	"net/http"

	"github.com/carrot-router/carrot/internal/wire"
)

// explain answers with the decision and calls nobody. Who would serve, which a
// shadow or a default may change, is in the headers.
func (x *exchange) explain() error {
	x.s.dry = true
	if err := x.choose(); err != nil {
		return err
	}
	if x.p.decision == nil && x.p.reason == ReasonNamed {
		return invalid("", "the router would not choose %s for this request, which names it; it would be tried", x.p.order[0].Name)
	}
	if x.p.decision == nil {
		return &wire.Error{Status: http.StatusServiceUnavailable, Type: "server_error", Code: "router_failed", Message: "routing failed; " + x.p.order[0].Name + " would serve"}
	}
	body, err := json.Marshal(x.p.decision)
	if err != nil {
		return err
	}
	h := x.w.Header()
	h["X-Carrot-Model"], h["X-Carrot-Policy"], h["X-Carrot-Reason"] = []string{x.p.order[0].Name}, []string{x.q.Model}, []string{x.p.reason}
	x.reply(http.StatusOK, append(body, '\n'))
	return nil
}

// spoken is the API of a dry run's body, which Anthropic's clients say in a
// header.
func spoken(body []byte, h http.Header) wire.API {
	if h.Get("Anthropic-Version") != "" {
		return wire.Messages
	}
	return wire.Spoken(body)
}

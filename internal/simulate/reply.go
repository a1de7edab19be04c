package simulate

import (
	"net/http"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/wire"
)

// Reply is the answer of a model to one prompt, as [Provider.Answers] determines it.
type Reply struct {
	Text string
	// The usage that is reported and billed. InputTokens includes CachedTokens, and
	// OutputTokens includes ReasoningTokens.
	InputTokens, OutputTokens     int
	CachedTokens, ReasoningTokens int
	// Counted says that the tokens of the request and of Text are counted instead.
	Counted bool
	// Status is 0 if the model answers, and otherwise the status of its error, such as
	// 429 or 500, whose message is Text. Errors are not billed, and a repeated call gets
	// them again.
	Status int
	// Finish is why the answer ends: "" (it is complete), "length" (the limit of output
	// tokens was reached) or "refused".
	//
	// Refused, chat and responses have the text as the refusal of the message, or, if
	// there is no text, are ended by the content filter. In messages, the reason to
	// stop is refusal.
	Finish string
}

// The values of [Reply.Finish].
const (
	FinishLength  = "length"
	FinishRefused = "refused"
)

// refuses reports whether the part is the text of a refusal.
func (p *part) refuses() bool { return p.refused && p.text != "" }

// silent reports whether the part is a refusal without a text, which has no content.
func (p *part) silent() bool { return p.refused && p.text == "" }

// prompt returns the text of the last message of the user.
func (r *request) prompt() string {
	for i := len(r.turns) - 1; i >= 0; i-- {
		if r.turns[i].user {
			return r.turns[i].text
		}
	}
	return ""
}

// use makes the reply the answer, instead of sentences that are drawn. It has the
// usage of the reply, whatever the request's limit is.
func (a *answer) use(r *request, reply Reply) {
	if reply.Status != 0 {
		a.fails = replyError(reply.Status).as(r.api)
		if reply.Text != "" {
			a.fails.message = reply.Text
		}
		return
	}
	var p part
	if reply.Text != "" {
		p.passage = split(reply.Text)
	}
	p.truncated = reply.Finish == FinishLength
	p.refused = reply.Finish == FinishRefused
	a.parts = nil
	n := r.n
	if r.api != wire.Chat {
		n = 1
	}
	for range n {
		a.parts = append(a.parts, p)
	}
	if reply.Counted {
		return
	}
	a.input = carrot.Usage{Input: reply.InputTokens - reply.CachedTokens, CachedInput: reply.CachedTokens, Details: a.input.Details}
	a.given = &carrot.Usage{Output: reply.OutputTokens - reply.ReasoningTokens, Reasoning: reply.ReasoningTokens}
	if r.api == wire.Messages { // which counts both together
		a.given.Output, a.given.Reasoning = reply.OutputTokens, 0
	}
}

// replyError returns the error that a reply's status stands for.
func replyError(status int) refusal {
	for _, e := range failures {
		if e.status == status && status != http.StatusOK {
			return e
		}
	}
	e := refusal{status: status, kind: "server_error", message: "The call failed in this way when it was recorded."}
	if status < http.StatusInternalServerError {
		e.kind = "invalid_request_error"
	}
	return e
}

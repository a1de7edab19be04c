package gateway

import (
	"strconv"
	"strings"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/provider"
)

// answerHeaders sets the headers that describe an answer before it begins.
func (k *call) answerHeaders() {
	a := k.a
	h, values := k.x.reply.header(), make([]string, 0, 9) // one allocation for all values
	set := func(name, value string) {
		values = append(values, value)
		h[name] = values[len(values)-1 : len(values) : len(values)]
	}
	set("X-Carrot-Model", a.Candidate)
	set("X-Carrot-Upstream-Model", a.UpstreamModel)
	set("X-Carrot-Attempts", strconv.Itoa(a.Number))
	set("X-Carrot-Overhead-Ms", milliseconds(a.Overhead))
	set("X-Carrot-Policy", k.x.q.Model) // as the client wrote it
	set("X-Carrot-Reason", string(a.Reason))
	if e := a.Estimate(); e != nil {
		set("X-Carrot-Quality", strconv.FormatFloat(e.Quality, 'f', 4, 64))
		if !e.CostUnknown {
			set("X-Carrot-Cost-Estimate", amount(e.Cost))
		}
	}
	k.x.limitHeaders(k.notes)
	if k.run.request.debug && a.Decision != nil {
		set("X-Carrot-Explanation", a.Decision.Reason())
	}
}

// costHeader sets the header with the cost of the answer, if that is known.
func (k *call) costHeader() {
	if !k.a.CostUnknown {
		k.x.reply.header()[costTrailer] = []string{amount(k.a.Cost)}
	}
}

// maxName is the longest name or id of a provider that is passed on, in bytes.
const maxName = 256

// headerSafe returns a name or id that a provider gave, or "" if it does not fit in
// a header.
func headerSafe(name string) string {
	if len(name) > maxName || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
		return ""
	}
	return name
}

// amount returns an exact amount in USD without the currency sign.
func amount(u carrot.USD) string { return string(u.AppendJSON(nil)) }

func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds()*1000, 'f', 3, 64)
}

// retryAfter tells the client how long to wait before it tries again, if that is known.
func (x *exchange) retryAfter(wait time.Duration) {
	if wait > 0 {
		x.reply.header().Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
	}
}

// limitHeaders sets the headers with the client's limits, and those that repeat what the
// provider says of the call in its own: its id of the request and its rate limits. If the
// client has rate limits itself, those of the provider get another name.
func (x *exchange) limitHeaders(n provider.Notes) {
	h := x.reply.header()
	if n.RequestID != "" {
		h["X-Carrot-Upstream-Request-Id"] = []string{n.RequestID}
	}
	own := false
	if x.account != nil {
		x.account.Header(string(x.reply.api), h)
		for name := range h {
			own = own || strings.HasPrefix(name, "X-Ratelimit-") || strings.HasPrefix(name, "Anthropic-Ratelimit-")
		}
	}
	for name, value := range n.Limits {
		if own {
			_, name, _ = strings.Cut(strings.ToLower(name), "ratelimit-")
			name = "X-Carrot-Upstream-Ratelimit-" + name
		}
		h.Set(name, value)
	}
}

// failureHeaders sets the headers for a request that c could not answer, because of e.
func (r *run) failureHeaders(c *candidate, e *provider.Error) {
	r.x.limitHeaders(e.Notes)
	h := r.x.reply.header()
	h["X-Carrot-Model"] = []string{c.Name}
	h["X-Carrot-Policy"] = []string{r.x.q.Model}
	h["X-Carrot-Reason"] = []string{string(r.choice.why(c))}
	h["X-Carrot-Attempts"] = []string{strconv.Itoa(r.attempts)}
}

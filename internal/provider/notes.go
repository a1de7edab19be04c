package provider

import (
	"net/http"
	"strings"
)

// Notes are what a provider says in the headers of an answer about the call itself.
type Notes struct {
	RequestID string            // the provider's id of the request; empty if it sent none
	Limits    map[string]string // headers about rate limits, by their names in lower case; nil if there are none
}

// requestIDs are the headers in which providers send the id of a request, as net/http
// spells them.
var requestIDs = []string{"X-Request-Id", "Request-Id", "Apim-Request-Id", "X-Amzn-Requestid"}

// Bounds on notes, which are recorded.
const (
	maxNote   = 256 // bytes of a value
	maxLimits = 32
)

// NotesOf reads the headers of an answer.
func NotesOf(h http.Header) Notes {
	var n Notes
	for _, name := range requestIDs {
		if v := h[name]; len(v) > 0 && plain(v[0]) {
			n.RequestID = v[0]
			break
		}
	}
	for name, values := range h {
		if !strings.Contains(name, "Ratelimit") || len(n.Limits) == maxLimits || len(values) == 0 || !plain(values[0]) || !plain(name) {
			continue
		}
		if n.Limits == nil {
			n.Limits = map[string]string{}
		}
		n.Limits[strings.ToLower(name)] = values[0]
	}
	return n
}

// plain reports whether a value is short printable ASCII that is safe to pass on.
func plain(value string) bool {
	return value != "" && len(value) <= maxNote && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r >= 0x7f })
}

package gateway

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/internal/wire"
)

// losses returns what a request loses on its way to a target that is called by an API.
// translation is nil if that is the client's own API.
func (q *request) losses(t *target, translation *wire.Translation) wire.Notes {
	var n wire.Notes
	switch {
	case translation != nil:
		n = translation.Notes
	case q.named == nil && t.facts.NoSampling && q.Samples():
		// A client that names a model gets the provider's own answer. One that is
		// routed cannot know what the model accepts.
		n.Dropped = q.Sampling()
	}
	if translation == nil && q.unsigned(t) {
		n.Dropped = append(n.Dropped, thinkingKey)
		if wire.Has(q.Body, "context_management") { // parts of it require thinking
			n.Dropped = append(n.Dropped, "context_management")
		}
	}
	return n
}

// said returns losses as a list for people.
func said(n wire.Notes) string {
	return strings.Join(append(slices.Clone(n.Dropped), n.Narrowed...), ", ")
}

// lose notes what the request loses in this call.
func (k *call) lose() {
	n := k.run.request.losses(k.t, k.translation)
	a := k.a
	a.Dropped, a.Narrowed = n.Dropped, n.Narrowed
	if len(n.Added) > 0 {
		a.Narrowed = append(slices.Clone(a.Narrowed), n.Added...)
	}
	drop := func(field string) { a.Dropped = append(slices.Clone(a.Dropped), field) }
	if k.t.unthinking(k.api, k.x.q) {
		drop("settings.thinking")
	}
	if k.foreign && !slices.Contains(a.Dropped, foreignReasoning) {
		drop(foreignReasoning)
	}
}

// tellLosses tells the client, and counts, what the request loses in this call.
func (k *call) tellLosses() {
	a, h := k.a, k.x.reply.header()
	if len(a.Dropped)+len(a.Narrowed) == 0 && k.run.attempts == 0 {
		return
	}
	for name, list := range map[string][]string{"X-Carrot-Dropped": a.Dropped, "X-Carrot-Narrowed": a.Narrowed} {
		if len(list) > 0 {
			h[name] = []string{strings.Join(list, ",")}
		} else {
			delete(h, name) // of the attempt before
		}
	}
	k.x.g.metrics.lost(a.Dropped, a.Narrowed)
}

// foreignReasoning is noted if reasoning is left out that the provider cannot decrypt.
const foreignReasoning = "input[].reasoning"

// lossesJSON is what a request would lose at a candidate, for a dry run.
type lossesJSON struct {
	Dropped  []string `json:"dropped,omitempty"`
	Narrowed []string `json:"narrowed,omitempty"`
}

// withLosses adds what the request would lose at each candidate to a decision's JSON.
func (r *run) withLosses(body []byte) ([]byte, error) {
	all := map[string]lossesJSON{}
	for _, c := range r.choice.order {
		t := c.target()
		translation, err := r.choice.bodies.in(t.provider.Speaks(r.x.q.API), r.x.q, t)
		if err != nil {
			continue // it is excluded
		}
		if n := r.request.losses(t, translation); n.Lost() || len(n.Added) > 0 {
			all[c.Name] = lossesJSON{n.Dropped, slices.Concat(n.Narrowed, n.Added)}
		}
	}
	if len(all) == 0 {
		return body, nil
	}
	losses, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	body = append(body[:len(body)-1], `,"losses":`...)
	return append(append(body, losses...), '}'), nil
}

// noted are the fields that carrot_narrowed_total counts by name. The others are
// counted as "other".
var noted = []string{"cache_control", "client_metadata", "context_management", "frequency_penalty", "include", "input[].reasoning", "logit_bias",
	"max_output_tokens", "max_tokens", "messages[]", "messages[].name", "messages[].thinking", "metadata", "output_config", "presence_penalty", "prompt_cache_key",
	"reasoning", "reasoning_effort", "response_format", "safety_identifier", "seed", "service_tier", "settings", "stop", "store", "system",
	"temperature", "text", "thinking", "tools[]", "top_k", "top_p", "truncation", "user", "verbosity"}

// notedAs returns the label for a field of a note. Members count as the field that they
// belong to.
func notedAs(note string) string {
	field, _, _ := strings.Cut(note, "=")
	if slices.Contains(noted, field) {
		return field
	}
	if field, _, _ = strings.Cut(field, "."); slices.Contains(noted, field) {
		return field
	}
	return "other"
}

package gateway

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/wire"
	"github.com/carrot-router/carrot/price"
	"github.com/carrot-router/carrot/record"
)

// embed passes a request for embeddings on to the model that it names. There is no
// routing and no fallback, because vectors of different models cannot be compared.
func (x *exchange) embed() error {
	c := x.routes.embeddings[x.q.Model]
	if c == nil {
		e := unknownModel("unknown embedding model %q: valid names are %s", x.q.Model, strings.Join(x.routes.embeddingNames(), ", "))
		if len(x.routes.embeddings) == 0 {
			e.Message = "no embedding model is configured: list it under embeddings"
		}
		return e
	}
	if err := ownKeys(x.q.Metadata, x.r.Header); err != nil {
		return err
	}
	if x.client.restricted() && !slices.Contains(x.client.Limits.Policies, c.Name) {
		return forbidden("client %q may not use %q, only %s", x.client.Name, c.Name, strings.Join(x.client.Limits.Policies, ", "))
	}
	var err error
	if x.labels, err = x.routes.labels(cmp.Or(strings.Join(x.r.Header[askHeaders[askLabels]], ","), x.q.Metadata[askLabels]), x.client); err != nil {
		return err
	}
	x.q.Stream = false // embeddings are never streamed
	r := &run{x: x, request: request{Request: x.q, selection: selection{named: c}, client: x.clientName()},
		choice: &choice{order: []*candidate{c}, reason: record.Named, propensity: 1, inputTokens: x.q.InputTokens(price.CountTokens)}}
	if err := x.admit(); err != nil {
		return err
	}
	if e := r.try(c, true); e != nil {
		return r.failed(c, e)
	}
	return nil
}

func (r *routes) embeddingNames() []string {
	var names []string
	for _, e := range r.config.Embeddings {
		names = append(names, e.Name)
	}
	return names
}

// countTokens answers with the number of input tokens of a request. If the client named
// a model whose provider has the messages API, the provider counts them; otherwise the
// gateway estimates the number.
func (x *exchange) countTokens() error {
	s, err := x.routes.selects(x.q, x.r.Header, x.client)
	if err != nil {
		return err
	}
	if c := s.named; c != nil && slices.Contains(c.target().provider.APIs, wire.Messages) {
		r := &run{x: x, request: request{Request: x.q, selection: s, client: x.clientName()}, choice: &choice{order: []*candidate{c}, reason: record.Named}}
		e := r.passCount(c)
		if e == nil {
			return nil
		}
		if e.Kind == provider.Invalid && e.Status != http.StatusNotFound && e.Status != http.StatusMethodNotAllowed { // it has no such endpoint
			return r.refuse(c, e)
		}
	}
	x.reply.whole(http.StatusOK, fmt.Appendf(nil, "{\"input_tokens\":%d}\n", x.q.InputTokens(price.CountTokens)))
	return nil
}

// passCount answers with the count of a provider that has the messages API. If it
// returns an error, it has not answered.
func (r *run) passCount(c *candidate) *provider.Error {
	t, ctx := c.target(), r.x.ctx
	body := wire.Edit(r.x.q.Body, wire.Edits{Model: t.model, OwnMetadata: true})
	answer, err := new(provider.Caller).Ask(ctx, t.call(), provider.Call{API: wire.Messages, Path: "count_tokens", Body: body, Header: r.passedOn(wire.Messages)}, maxAnswer)
	if err != nil {
		return provider.NetworkError(ctx, err)
	}
	if !wire.Has(answer, "input_tokens") {
		return &provider.Error{Kind: provider.Server, Code: "malformed_answer", Message: "the provider's answer is not a token count"}
	}
	r.x.reply.whole(http.StatusOK, answer)
	return nil
}

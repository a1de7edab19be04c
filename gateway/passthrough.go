package gateway

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/wire"
	"github.com/carrot-router/carrot/price"
)

// embed passes a request for embeddings on to the model it names: vectors of
// two models never mix, so there is nothing to route and nowhere to fall back.
func (x *exchange) embed() error {
	c := x.routes.embeddings[x.q.Model]
	if c == nil {
		e := invalid("model", "unknown embedding model %q: valid are %s", x.q.Model, strings.Join(x.routes.embeddingNames(), ", "))
		if len(x.routes.embeddings) == 0 {
			e.Message = "no embedding model is configured: list it under embeddings"
		}
		e.Code = "model_not_found"
		return e
	}
	if err := ownKeys(x.q.Metadata, x.r.Header); err != nil {
		return err
	}
	if x.client.restricted() && !slices.Contains(x.client.Policies, c.Name) {
		return forbidden("client %q may not use %q, only %s", x.client.Name, c.Name, strings.Join(x.client.Policies, ", "))
	}
	x.q.Stream = false // there is no stream of embeddings
	x.g.retries.request()
	x.p = &plan{order: []*candidate{c}, reason: ReasonNamed, propensity: 1, inputTokens: x.q.InputTokens(price.CountTokens)}
	x.s.policy = &policy{}
	x.s.named = c
	if f := x.try(c, true); f != nil {
		return x.failed(c, f)
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

// countTokens answers how many tokens an input has: the provider's count for a
// named model of a provider with that API, else our own estimate.
func (x *exchange) countTokens() error {
	s, err := x.routes.selects(x.q, x.r.Header, x.client)
	if err != nil {
		return err
	}
	if c := s.named; c != nil && slices.Contains(c.provider.APIs, wire.Messages) {
		f := x.passCount(c)
		if f == nil {
			return nil
		}
		if f.Kind == provider.Invalid && f.Status != http.StatusNotFound && f.Status != http.StatusMethodNotAllowed { // no such endpoint there
			return x.refuse(c, f)
		}
	}
	x.reply(http.StatusOK, fmt.Appendf(nil, "{\"input_tokens\":%d}\n", x.q.InputTokens(price.CountTokens)))
	return nil
}

// passCount asks a provider of the messages API to count the tokens, and answers
// with what it says. A failure leaves the client without an answer yet.
func (x *exchange) passCount(c *candidate) *provider.Failure {
	ctx, cancel := context.WithTimeout(x.ctx, c.provider.timeouts.Total)
	defer cancel()
	body := wire.Edit(x.q.Body, wire.Edits{Model: c.upstream, OwnMetadata: true})
	response, err := c.provider.Do(ctx, provider.Call{API: wire.Messages, Path: "count_tokens", Model: c.upstream,
		Key: c.provider.KeyOrder()[0], Body: body, Header: x.passedOn(wire.Messages)})
	if err != nil {
		return failureOf(ctx, err)
	}
	defer response.Body.Close()
	answer, err := readAnswer(response)
	if err != nil {
		return failureOf(ctx, err)
	}
	if !wire.Has(answer, "input_tokens") {
		return &provider.Failure{Kind: provider.Server, Code: "malformed_answer", Message: "the provider's answer is no count"}
	}
	x.reply(http.StatusOK, answer)
	return nil
}

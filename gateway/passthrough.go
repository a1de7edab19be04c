package gateway

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/carrot-router/carrot/provider"
	"github.com/carrot-router/carrot/wire"
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
	if x.client != nil && len(x.client.Policies) > 0 && !slices.Contains(x.client.Policies, c.Name) {
		return forbidden("client %q may not use %q, only %s", x.client.Name, c.Name, strings.Join(x.client.Policies, ", "))
	}
	x.g.retries.request()
	x.p = &plan{order: []*candidate{c}, reason: ReasonNamed, propensity: 1}
	x.s.policy = &policy{}
	x.s.named = c
	f := x.try(c, true)
	switch {
	case f == nil:
		return nil
	case f.Kind == provider.Canceled:
		x.status = 499
		return nil
	case f.Kind == provider.Invalid || f.Kind == provider.ContextLength:
		return x.refuse(c, f)
	}
	return x.exhausted(c, f)
}

func (r *routes) embeddingNames() []string {
	var names []string
	for _, e := range r.config.Embeddings {
		names = append(names, e.Name)
	}
	return names
}

// passCount asks a provider of the messages API to count the tokens.
func (x *exchange) passCount(c *candidate) error {
	body := wire.Edit(x.q.Body, wire.Edits{Model: c.upstream, OwnMetadata: true})
	response, err := c.provider.Do(x.ctx, provider.Call{API: wire.Messages, Path: "count_tokens", Model: c.upstream,
		Key: c.provider.KeyOrder()[0], Body: body, Header: x.passedOn(wire.Messages)})
	x.s.policy = x.routes.policies[autoPolicy]
	if err != nil {
		f := failureOf(x.ctx, err)
		if f.Kind == provider.Invalid {
			return x.refuse(c, f)
		}
		return x.exhausted(c, f)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return &wire.Error{Status: http.StatusBadGateway, Type: "server_error", Message: fmt.Sprintf("the provider's count did not arrive: %v", err)}
	}
	x.upstream = time.Since(x.start)
	x.reply(http.StatusOK, answer)
	return nil
}

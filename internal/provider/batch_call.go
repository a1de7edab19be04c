package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"
)

// batchPath returns the path of a batch, or of all if id is empty.
func (u *Upstream) batchPath(id string) string {
	path := "batches"
	if u.Kind == Anthropic {
		path = "messages/batches"
	}
	if id != "" {
		path += "/" + url.PathEscape(id)
	}
	return path
}

// Timeouts of calls about batches.
const (
	// batchTimeout limits calls if the Upstream has no limit, and the silence of downloads.
	batchTimeout = 2 * time.Minute
	// batchBytesPerSecond is the slowest upload for which a call is given time.
	batchBytesPerSecond = 128 << 10
)

// account returns the provider with the one key in whose account all batches are, and
// with a limit for calls that send a number of bytes.
func (u *Upstream) account(bytes int) *Upstream {
	total := orDefault(u.Timeouts.Total, batchTimeout)
	total += time.Duration(bytes/batchBytesPerSecond) * time.Second
	return &Upstream{Name: u.Name, Kind: u.Kind, BaseURL: u.BaseURL, APIVersion: u.APIVersion, Keys: u.Keys[:min(len(u.Keys), 1)],
		Header: u.Header, Transport: u.Transport, Timeouts: Timeouts{Total: total}}
}

// batchRetry says how calls about batches are repeated.
func (u *Upstream) batchRetry() Retry {
	if u.BatchRetry == (Retry{}) {
		return Retry{Retries: defaultRetries, Backoff: defaultBackoff, MaxWait: longestWait, Patient: true}
	}
	return u.BatchRetry
}

// batchJob begins a job whose calls are repeated.
func (u *Upstream) batchJob(ctx context.Context) *Job {
	return (&Caller{Retry: u.batchRetry()}).Job(ctx)
}

// batchCall makes a call about a batch until it succeeds, and returns the whole answer.
func (u *Upstream) batchCall(ctx context.Context, method, path string, query url.Values, contentType string, body []byte) ([]byte, error) {
	return u.batchCalls(ctx, method, path, query, contentType, body, func(e *Error, _ bool) *Error { return e })
}

// batchCalls makes a call until it succeeds. judge sees each error, and whether all of
// the body was sent before. The call is repeated if the error that it returns allows it.
// If it returns nil, it is not.
func (u *Upstream) batchCalls(ctx context.Context, method, path string, query url.Values, contentType string, body []byte, judge func(e *Error, sent bool) *Error) ([]byte, error) {
	account := u.account(len(body))
	var answer []byte
	e := u.batchJob(ctx).Call(Target{Upstream: account}, true, func(t *Try) *Error {
		sent := &atomic.Bool{}
		response, err := account.batchRequest(t.Context, method, path, query, contentType, body, sent)
		if err == nil {
			answer, err = ReadAnswer(response, maxAnswer)
		}
		if err != nil {
			return judge(NetworkError(t.Context, err), sent.Load())
		}
		t.Answered()
		return nil
	})
	if e != nil {
		return nil, e
	}
	return answer, nil
}

// batchRequest makes one call.
func (u *Upstream) batchRequest(ctx context.Context, method, path string, query url.Values, contentType string, body []byte, sent *atomic.Bool) (*http.Response, error) {
	address, err := u.at(path)
	if err != nil {
		return nil, &Error{Kind: Network, Code: codeBadAddress, Message: err.Error()}
	}
	if len(query) > 0 {
		all := address.Query()
		for name, values := range query {
			all[name] = values
		}
		address.RawQuery = all.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, "", nil)
	if err != nil {
		return nil, &Error{Kind: Network, Code: codeBadAddress, Message: "base URL is not usable"}
	}
	if body != nil {
		reader := func() io.ReadCloser { return sending{bytes.NewReader(body), sent} }
		request.Body, request.ContentLength = reader(), int64(len(body))
		request.GetBody = func() (io.ReadCloser, error) { return reader(), nil }
	}
	return u.send(request, address, 0, nil, contentType)
}

// submitOnce makes the call that submits a batch. It repeats it only if the provider
// cannot have accepted it.
func (u *Upstream) submitOnce(ctx context.Context, path string, body []byte) (id string, err error) {
	var unclear *Error
	answer, err := u.batchCalls(ctx, http.MethodPost, path, nil, "application/json", body, func(e *Error, sent bool) *Error {
		if accepted(e, sent) {
			unclear = e
			return nil
		}
		return e
	})
	if unclear != nil {
		return "", fmt.Errorf("%w: %w", ErrBatchUnclear, unclear)
	}
	if err != nil {
		return "", err
	}
	var made struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(answer, &made) != nil || made.ID == "" {
		return "", fmt.Errorf("%w: its answer has no id", ErrBatchUnclear)
	}
	return made.ID, nil
}

// accepted reports whether a provider may have accepted a submission that failed.
func accepted(e *Error, sent bool) bool {
	if !sent || e.Code == codeBadAddress {
		return false
	}
	switch e.Kind {
	case RateLimited, KeyRefused, ContextLength, Invalid:
		return false
	case Server:
		return e.Status >= 500 || e.Status == http.StatusRequestTimeout || e.Status == http.StatusConflict || e.Status < 300
	}
	return true
}

// malformed is the error of an answer that is not what it should be.
func malformed(what string) *Error {
	return &Error{Kind: Server, Status: http.StatusBadGateway, Code: "malformed_answer", Message: what}
}

// Batches are listed in pages.
const (
	batchPage     = 100
	maxBatchPages = 1000
)

// findBatch looks through the batches of the account that were made since a time, and
// returns the id of the first one of which is says that it is the one, or an empty id.
// cursor is the parameter for the next page.
func findBatch[B any, P interface {
	*B
	listed() (id string, created time.Time)
}](ctx context.Context, u *Upstream, cursor string, since time.Time, is func(P) (bool, error)) (string, error) {
	query := url.Values{"limit": {strconv.Itoa(batchPage)}}
	for range maxBatchPages {
		answer, err := u.batchCall(ctx, http.MethodGet, u.batchPath(""), query, "", nil)
		if err != nil {
			return "", err
		}
		var page struct {
			Data    []B  `json:"data"`
			HasMore bool `json:"has_more"`
		}
		if json.Unmarshal(answer, &page) != nil {
			return "", malformed("the provider's answer is not a list of batches")
		}
		older, last := true, "" // whether all of the page are older
		for i := range page.Data {
			id, created := P(&page.Data[i]).listed()
			last = id
			if created.Before(since) {
				continue
			}
			older = false
			found, err := is(P(&page.Data[i]))
			if err != nil {
				return "", err
			}
			if found {
				return id, nil
			}
		}
		if !page.HasMore || older {
			return "", nil
		}
		query.Set(cursor, last)
	}
	return "", fmt.Errorf("%w: the account has too many batches to look through", ErrBatchUnclear)
}

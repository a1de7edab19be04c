package provider

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxWait is the longest wait before a retry, whatever the provider asks for.
const maxWait = time.Minute

// maxRetryAfter is the longest wait that a provider is believed to ask for.
const maxRetryAfter = 24 * time.Hour

// retryable is an error that another try may mend.
type retryable struct {
	err   error
	after time.Duration // the provider asked for this wait; 0: it did not
}

func (r *retryable) Error() string { return r.err.Error() }
func (r *retryable) Unwrap() error { return r.err }

// retryStatus reports whether a request with this status may be tried again.
func retryStatus(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// networkError is what went wrong on the way, without the URL that net/http
// puts before it. ctx is the one of the try.
func networkError(ctx context.Context, err error, timeout time.Duration) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %v: %w", timeout, err)
	}
	return &retryable{err: err}
}

// Backoff is the wait after the given try: first doubled with every try, at
// most maxWait, and of that between a half and the whole.
func Backoff(first time.Duration, try int) time.Duration {
	wait := min(first, maxWait)
	for range try - 1 {
		wait = min(2*wait, maxWait)
	}
	return wait - rand.N(wait/2+1)
}

// retryAfter reads a Retry-After header, seconds or an HTTP date, up to
// maxRetryAfter. It is 0 if there is none to keep to.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	} else if errors.Is(err, strconv.ErrRange) {
		return maxRetryAfter
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}

// Sleep waits, or returns the context's error as soon as it is done.
func Sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

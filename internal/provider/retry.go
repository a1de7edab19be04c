package provider

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxBackoff is the longest wait that backoff returns.
const maxBackoff = time.Minute

// maxRetryAfter is the longest wait that retryAfter returns.
const maxRetryAfter = 24 * time.Hour

// backoff returns the wait after the given try. It is first after the first try and
// doubles with each further one, up to maxBackoff; a random part of up to half is
// taken off.
func backoff(first time.Duration, try int) time.Duration {
	wait := min(first, maxBackoff)
	for range try - 1 {
		wait = min(2*wait, maxBackoff)
	}
	return wait - rand.N(wait/2+1)
}

// retryAfter returns the wait that a Retry-After header asks for, in seconds or with
// an HTTP date, but at most maxRetryAfter. It is 0 if the header is missing or wrong.
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

// sleep waits. It returns the context's error as soon as the context is done.
func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

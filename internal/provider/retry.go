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

// maxBackoff is the longest wait that doubling leads to.
const maxBackoff = time.Minute

// maxRetryAfter is the longest wait that is taken from a provider.
const maxRetryAfter = 24 * time.Hour

// backoff is the wait after the given try: first doubled with every try, at
// most maxBackoff, and of that between a half and the whole.
func backoff(first time.Duration, try int) time.Duration {
	wait := min(first, maxBackoff)
	for range try - 1 {
		wait = min(2*wait, maxBackoff)
	}
	return wait - rand.N(wait/2+1)
}

// retryAfter reads a Retry-After header, seconds or an HTTP date, up to
// maxRetryAfter. It is 0 if there is none that can be kept.
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

// sleep waits, or returns the context's error as soon as it is done.
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

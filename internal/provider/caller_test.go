package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot/internal/wire"
)

// script answers the calls of a test with its errors in turn; nil is an answer.
// The last one answers all further calls.
type script struct {
	errors []*Error
	keys   []int // with which it was called
}

func (s *script) once(t *Try) *Error {
	e := s.errors[min(len(s.keys), len(s.errors)-1)]
	s.keys = append(s.keys, t.Key)
	return e
}

func failing(errors ...*Error) *script { return &script{errors: errors} }

// Errors of the kinds that a Caller tells apart.
var (
	refused   = &Error{Kind: KeyRefused, Status: 401}
	forbidden = &Error{Kind: KeyRefused, Status: 403, OfModel: true}
	limited   = &Error{Kind: RateLimited, Status: 429}
	down      = &Error{Kind: Server, Status: 503}
	timedOut  = &Error{Kind: Timeout, Status: 504}
)

// after is an error with a Retry-After.
func after(e *Error, wait time.Duration) *Error {
	waiting := *e
	waiting.RetryAfter = wait
	return &waiting
}

func withKeys(n int) Target {
	return Target{Upstream: &Upstream{Name: "up", Keys: make([]string, n)}, Model: "m"}
}

func checkKind(t *testing.T, e *Error, want ErrorKind) {
	t.Helper()
	switch {
	case e == nil && want != "":
		t.Errorf("no error, want %s", want)
	case e != nil && e.Kind != want:
		t.Errorf("error %v, want %q", e, want)
	}
}

// Each call starts with the next key. A key that is refused or over its limit is
// replaced by the one after it.
func TestCallKeys(t *testing.T) {
	for _, test := range []struct {
		name   string
		errors []*Error
		last   bool
		keys   []int
		want   ErrorKind
	}{
		{"the first key works", []*Error{nil}, false, []int{0}, ""},
		{"one key is refused", []*Error{refused, nil}, false, []int{0, 1}, ""},
		{"all keys are refused", []*Error{refused}, false, []int{0, 1, 2}, KeyRefused},
		{"one key is over its limit", []*Error{limited, nil}, false, []int{0, 1}, ""},
		{"all keys are over their limits", []*Error{limited}, false, []int{0, 1, 2}, RateLimited},
		{"all keys are over their limits, no other target", []*Error{limited, limited, limited, nil}, true, []int{0, 1, 2, 2}, ""},
		{"over its limit, then refused", []*Error{limited, refused, refused}, false, []int{0, 1, 2}, RateLimited},
		{"over its limit, then refused, no other target", []*Error{limited, refused, refused, nil}, true, []int{0, 1, 2, 0}, ""},
		{"refused, then over its limit", []*Error{refused, limited, limited}, false, []int{0, 1, 2}, RateLimited},
		{"another error ends it", []*Error{refused, {Kind: Invalid}}, false, []int{0, 1}, Invalid},
	} {
		t.Run(test.name, func(t *testing.T) {
			calls := failing(test.errors...)
			caller := &Caller{Retry: Retry{Retries: 1}}
			checkKind(t, caller.Job(t.Context()).Call(withKeys(3), test.last, calls.once), test.want)
			if !slices.Equal(calls.keys, test.keys) {
				t.Errorf("called with keys %v, want %v", calls.keys, test.keys)
			}
		})
	}
	target, calls := withKeys(3), failing(nil)
	for range 4 {
		new(Caller).Job(t.Context()).Call(target, false, calls.once)
	}
	if want := []int{0, 1, 2, 0}; !slices.Equal(calls.keys, want) {
		t.Errorf("four calls used keys %v, want %v", calls.keys, want)
	}
}

// Calls that stay on a key wait for it if it is over its limit for a short time, and leave
// it only if it fails.
func TestCallStays(t *testing.T) {
	soon, late := after(limited, time.Second), after(limited, time.Minute)
	for _, test := range []struct {
		name   string
		stay   int
		bound  bool
		last   bool
		errors []*Error
		keys   []int
		want   ErrorKind
	}{
		{"its key works", 2, false, false, []*Error{nil}, []int{1}, ""},
		{"over its limit for a short time", 2, false, false, []*Error{soon, nil}, []int{1, 1}, ""},
		{"over its limit for an unknown time", 2, false, false, []*Error{limited, nil}, []int{1, 1}, ""},
		{"over its limit for longer", 2, false, false, []*Error{late, nil}, []int{1, 2}, ""},
		{"over its limit again after the wait", 2, false, false, []*Error{soon, soon, nil}, []int{1, 1, 2}, ""},
		{"the others are not waited for", 2, false, false, []*Error{late, soon, soon, nil}, []int{1, 2, 0}, RateLimited},
		{"refused", 2, false, false, []*Error{refused, nil}, []int{1, 2}, ""},
		{"a server error is retried with the same key", 2, false, false, []*Error{down, nil}, []int{1, 1}, ""},
		{"bound, over its limit for longer", 2, true, false, []*Error{late, nil}, []int{1}, RateLimited},
		{"bound, over its limit for a short time", 2, true, false, []*Error{soon, nil}, []int{1, 1}, ""},
		{"bound, no other target", 2, true, true, []*Error{late, nil}, []int{1}, RateLimited},
		{"bound, refused", 2, true, false, []*Error{refused, nil}, []int{1, 2}, ""},
		{"the key is no longer configured", 9, true, false, []*Error{limited, nil}, []int{0, 1}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls, target := failing(test.errors...), withKeys(3)
				target.Stay, target.Bound = test.stay, test.bound
				caller := &Caller{Retry: Retry{Retries: 1, Backoff: time.Second, MaxWait: 2 * time.Second}}
				checkKind(t, caller.Job(t.Context()).Call(target, test.last, calls.once), test.want)
				if !slices.Equal(calls.keys, test.keys) {
					t.Errorf("called with keys %v, want %v", calls.keys, test.keys)
				}
			})
		})
	}
	// Without a budget for the wait, the next key is tried.
	calls, target := failing(limited, nil), withKeys(2)
	target.Stay = 1
	checkKind(t, (&Caller{Retry: Retry{Retries: 1}, Budget: NewBudget(0)}).Job(t.Context()).Call(target, false, calls.once), "")
	if !slices.Equal(calls.keys, []int{0, 1}) {
		t.Errorf("without a budget: called with keys %v, want 0 and 1", calls.keys)
	}
}

// A job does not use a refused key again, for whichever model, unless the key was
// refused for one model only.
func TestJobRemembersRefusedKeys(t *testing.T) {
	var told []string
	target := withKeys(2)
	other := Target{Upstream: target.Upstream, Model: "other"}
	job := new(Caller).Job(t.Context())
	job.KeyRefused = func(t Target, key int, e *Error) { told = append(told, fmt.Sprint(t.Model, " ", key, " ", e.Status)) }

	first := failing(refused, forbidden)
	checkKind(t, job.Call(target, false, first.once), KeyRefused)
	second := failing(nil)
	checkKind(t, job.Call(other, false, second.once), "")
	if !slices.Equal(first.keys, []int{0, 1}) || !slices.Equal(second.keys, []int{1}) {
		t.Errorf("called with keys %v and then %v, want [0 1] and [1]", first.keys, second.keys)
	}
	third := failing(refused)
	job.Call(target, false, third.once)
	none := failing(nil)
	e := job.Call(other, false, none.once)
	checkKind(t, e, KeyRefused)
	if len(none.keys) > 0 || e.Tries != 0 || !strings.Contains(e.Message, "all keys were already refused") {
		t.Errorf("after all keys were refused: %v with keys %v and %d tries, want no call", e, none.keys, e.Tries)
	}
	if diff := cmp.Diff([]string{"m 0 401", "m 1 403", "m 1 401"}, told); diff != "" {
		t.Errorf("KeyRefused was called (-want +got):\n%s", diff)
	}
	// Keys of other providers and other jobs are not affected.
	checkKind(t, job.Call(withKeys(2), false, failing(nil).once), "")
	checkKind(t, new(Caller).Job(t.Context()).Call(target, false, failing(nil).once), "")
}

func TestCallRetries(t *testing.T) {
	patient := Retry{Retries: 2, Patient: true}
	for _, test := range []struct {
		name  string
		retry Retry
		last  bool
		e     *Error
		calls int
	}{
		{"5xx", Retry{Retries: 2}, false, down, 3},
		{"network", Retry{Retries: 2}, false, &Error{Kind: Network, Code: "network"}, 3},
		{"no retries", Retry{}, false, down, 1},
		{"429 with another target", Retry{Retries: 2}, false, limited, 1},
		{"429 without one", Retry{Retries: 2}, true, limited, 3},
		{"timeout", Retry{Retries: 2}, true, timedOut, 1},
		{"timeout of a patient caller", patient, false, timedOut, 3},
		{"redirect", patient, true, &Error{Kind: Server, Status: 307}, 1},
		{"not implemented", patient, true, &Error{Kind: Server, Status: 501}, 1},
		{"HTTP version", patient, true, &Error{Kind: Server, Status: 505}, 1},
		{"an answer that is too long", patient, true, &Error{Kind: Server, Status: 502, Code: codeTooLong}, 1},
		{"a panic", patient, true, &Error{Kind: Server, Status: 500, Code: CodePanic}, 1},
		{"a wrong base URL", patient, true, &Error{Kind: Network, Code: codeBadAddress}, 1},
		{"an error with a good status", Retry{Retries: 2}, false, &Error{Kind: Server, Status: 200}, 3},
		{"the request is at fault", patient, true, &Error{Kind: Invalid, Status: 400}, 1},
		{"the request is too long", patient, true, &Error{Kind: ContextLength, Status: 400}, 1},
		{"the client hung up", patient, true, &Error{Kind: Canceled}, 1},
		{"not allowed", patient, true, &Error{Kind: Denied, Status: 402}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			calls := failing(test.e)
			e := (&Caller{Retry: test.retry}).Job(t.Context()).Call(withKeys(1), test.last, calls.once)
			checkKind(t, e, test.e.Kind)
			if len(calls.keys) != test.calls || e.Tries != test.calls {
				t.Errorf("%d calls and %d tries, want %d", len(calls.keys), e.Tries, test.calls)
			}
			if test.e.Tries != 0 {
				t.Error("the error of once was changed")
			}
		})
	}
}

func TestCallWaits(t *testing.T) {
	const second = time.Second
	for _, test := range []struct {
		name        string
		retry       Retry
		e           *Error
		calls       int
		least, most time.Duration
	}{
		{"backoff doubles", Retry{Retries: 3, Backoff: second, MaxWait: 20 * second}, down, 4, 3500 * time.Millisecond, 7 * second},
		{"backoff is cut", Retry{Retries: 3, Backoff: 8 * second, MaxWait: second}, down, 4, 3 * second, 3 * second},
		{"no waits", Retry{Retries: 3, Backoff: second}, down, 4, 0, 0},
		{"Retry-After", Retry{Retries: 1, Backoff: second, MaxWait: 20 * second}, after(down, 7*second), 2, 7 * second, 7 * second},
		{"Retry-After shorter than the backoff", Retry{Retries: 1, Backoff: 8 * second, MaxWait: 20 * second}, after(down, second), 2, 4 * second, 8 * second},
		{"Retry-After too long", Retry{Retries: 1, Backoff: second, MaxWait: 6 * second}, after(down, 7*second), 1, 0, 0},
		{"Retry-After too long for a patient caller", Retry{Retries: 1, Backoff: second, MaxWait: 6 * second, Patient: true}, after(down, 7*second), 2, 6 * second, 6 * second},
		{"Retry-After of a limit", Retry{Retries: 1, MaxWait: 20 * second}, after(limited, 7*second), 2, 7 * second, 7 * second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls, start := failing(test.e), time.Now()
				(&Caller{Retry: test.retry}).Job(t.Context()).Call(withKeys(1), true, calls.once)
				if len(calls.keys) != test.calls {
					t.Errorf("%d calls, want %d", len(calls.keys), test.calls)
				}
				between(t, "the job", time.Since(start), test.least, test.most)
			})
		})
	}
}

// Retries are limited to a share of requests, and to a burst after quiet times.
func TestBudget(t *testing.T) {
	spend := func(b *Budget, jobs int) (calls int) {
		caller := &Caller{Retry: Retry{Retries: 1}, Budget: b}
		for range jobs {
			tried := failing(down)
			caller.Job(t.Context()).Call(withKeys(1), false, tried.once)
			calls += len(tried.keys)
		}
		return calls
	}
	f := func(name string, b *Budget, want int) {
		t.Helper()
		if got := spend(b, 100); got != want {
			t.Errorf("%s: %d calls for 100 jobs, want %d", name, got, want)
		}
	}
	f("no budget", nil, 200)
	f("a share of 1", NewBudget(1), 200)
	f("a share of 0", NewBudget(0), 100)
	f("the zero budget", new(Budget), 100)
	quarter := NewBudget(0.25)
	f("a quarter, with the burst", quarter, 100+burst+24) // the first job adds nothing to a full budget
	f("a quarter, after the burst", quarter, 100+25)

	// Another key is no retry, nor is a call that fails for good.
	b := NewBudget(0.5)
	for range 50 {
		(&Caller{Retry: Retry{Retries: 1}, Budget: b}).Job(t.Context()).Call(withKeys(2), false, failing(limited, nil).once)
		(&Caller{Retry: Retry{Retries: 1}, Budget: b}).Job(t.Context()).Call(withKeys(1), false, failing(&Error{Kind: Invalid}).once)
	}
	f("a half, unused until now", b, 100+burst+49)
}

// changes records what a breaker's Changed is told.
func changes(b *Breakers) *[]string {
	var all []string
	b.Changed = func(provider, model string, from, to BreakerState) {
		all = append(all, fmt.Sprintf("%s/%s %v %v", provider, model, from, to))
	}
	return &all
}

// A breaker opens after failures in a row, lets one call through after a while,
// and closes if that succeeds.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &Breakers{Failures: 2, Open: time.Minute}
		told := changes(b)
		caller, target := &Caller{Breakers: b}, withKeys(1)
		call := func(e *Error) *Error { return caller.Job(t.Context()).Call(target, false, failing(e).once) }
		isOpen := func(want bool) {
			t.Helper()
			if got := b.IsOpen(target); got != want {
				t.Errorf("IsOpen = %v, want %v", got, want)
			}
		}
		call(down)
		call(nil) // the failures are no longer in a row
		call(down)
		isOpen(false)
		call(down)
		isOpen(true)
		tried := failing(nil)
		e := caller.Job(t.Context()).Call(target, true, tried.once)
		if e == nil || e.Code != CodeBreakerOpen || e.Status != 503 || e.Tries != 0 || len(tried.keys) > 0 || e.Error() != "server: status 503: breaker_open: m failed too often recently and is not called for a while" {
			t.Errorf("while the breaker is open: %v after %d calls", e, len(tried.keys))
		}
		if other := (Target{Upstream: target.Upstream, Model: "other"}); b.IsOpen(other) {
			t.Error("the breaker of another model is open too")
		}

		time.Sleep(time.Minute + 1)
		isOpen(false)
		e = caller.Job(t.Context()).Call(target, false, func(*Try) *Error {
			second := call(nil) // at the same time
			if second == nil || second.Code != CodeBreakerOpen {
				t.Errorf("a second call while one is tried: %v", second)
			}
			return down
		})
		checkKind(t, e, Server)
		isOpen(true)

		time.Sleep(time.Minute + 1)
		checkKind(t, call(nil), "")
		isOpen(false)
		want := []string{"up/m closed open", "up/m open half-open", "up/m half-open open", "up/m open half-open", "up/m half-open closed"}
		if diff := cmp.Diff(want, *told); diff != "" {
			t.Errorf("Changed was called (-want +got):\n%s", diff)
		}
	})
}

// Only errors that show that the provider does not work count against it, and a
// client that hangs up counts neither for nor against it.
func TestBreakerCounts(t *testing.T) {
	for _, test := range []struct {
		name   string
		errors []*Error
		opens  bool
	}{
		{"5xx, network, timeout, 429", []*Error{down, {Kind: Network}, timedOut, limited}, true},
		{"refused keys", []*Error{refused}, false},
		{"bad requests", []*Error{{Kind: Invalid}}, false},
		{"a bad request shows that it works", []*Error{down, down, down, {Kind: Invalid}, down}, false},
		{"clients that hang up", []*Error{{Kind: Canceled}}, false},
		{"a client that hangs up between failures", []*Error{down, down, {Kind: Canceled}, down, down}, true},
		{"calls that are not allowed", []*Error{{Kind: Denied}}, false},
		{"this program stops", []*Error{{Kind: Timeout, Code: CodeStopping, Ours: true}}, false},
		{"this program panics", []*Error{{Kind: Server, Code: CodePanic, Ours: true}}, false},
		{"an answer cannot be translated", []*Error{{Kind: Server, Code: "untranslatable_answer", Ours: true}}, false},
		{"the provider says that it stops", []*Error{{Kind: Server, Status: 503, Code: CodeStopping, Said: true}}, true},
	} {
		b := &Breakers{Failures: 4, Open: time.Minute}
		target := withKeys(1)
		for i := range 5 {
			(&Caller{Breakers: b}).Job(t.Context()).Call(target, false, failing(test.errors[min(i, len(test.errors)-1)]).once)
		}
		if got := b.IsOpen(target); got != test.opens {
			t.Errorf("%s: open %v, want %v", test.name, got, test.opens)
		}
	}
	var none *Breakers
	if none.IsOpen(withKeys(1)) {
		t.Error("a nil Breakers is open")
	}
}

// When the breaker opens between retries, the tries are those that were made.
func TestTriesUntilBreakerOpens(t *testing.T) {
	calls := failing(down)
	caller := &Caller{Retry: Retry{Retries: 5}, Breakers: &Breakers{Failures: 2, Open: time.Minute}}
	e := caller.Job(t.Context()).Call(withKeys(1), false, calls.once)
	if e == nil || e.Code != CodeBreakerOpen || e.Tries != 2 || len(calls.keys) != 2 {
		t.Errorf("%v after %d calls, want %s after 2", e, len(calls.keys), CodeBreakerOpen)
	}
}

// A panic is passed on, tells the breaker nothing, and takes the place of no
// other call.
func TestPanicTellsBreakerNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &Breakers{Failures: 1, Open: time.Minute}
		caller, target := &Caller{Breakers: b}, withKeys(1)
		panics := func() {
			t.Helper()
			defer func() {
				if v := recover(); v != "out of order" {
					t.Errorf("recovered %v, want the panic of once", v)
				}
			}()
			caller.Job(t.Context()).Call(target, false, func(*Try) *Error { panic("out of order") })
		}
		panics()
		if b.IsOpen(target) {
			t.Error("a panic opened the breaker")
		}
		caller.Job(t.Context()).Call(target, false, failing(down).once)
		time.Sleep(time.Minute + 1)
		panics() // while the breaker is half open
		checkKind(t, caller.Job(t.Context()).Call(target, false, failing(nil).once), "")
	})
}

// hang waits for the end of a call, as a provider that sends nothing makes it.
func hang(try *Try) *Error {
	<-try.Context.Done()
	return NetworkError(try.Context, try.Context.Err())
}

// silent is a transport to a provider that sends the headers of a stream and
// nothing else.
var silent = roundTrip(func(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
})

func TestCallTimeouts(t *testing.T) {
	for _, test := range []struct {
		name   string
		limits Timeouts
		once   func(*Try) *Error
		code   string
		took   time.Duration
	}{
		{"no answer", Timeouts{Total: time.Minute}, hang, "timeout", time.Minute},
		{"no content", Timeouts{FirstToken: time.Second, Total: time.Minute}, func(try *Try) *Error {
			if _, err := try.Send(Call{API: wire.Chat}, true); err != nil {
				return NetworkError(try.Context, err)
			}
			return hang(try)
		}, "first_token_timeout", time.Second},
		{"no end after the first content", Timeouts{FirstToken: time.Second, Total: time.Minute}, func(try *Try) *Error {
			if _, err := try.Send(Call{API: wire.Chat}, true); err != nil {
				return NetworkError(try.Context, err)
			}
			try.Answered()
			return hang(try)
		}, "timeout", time.Minute},
		{"no stream", Timeouts{FirstToken: time.Second, Total: time.Minute}, func(try *Try) *Error {
			if _, err := try.Send(Call{API: wire.Chat}, false); err != nil {
				return NetworkError(try.Context, err)
			}
			return hang(try)
		}, "timeout", time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				target := withKeys(1)
				target.Upstream.BaseURL, target.Upstream.Transport, target.Upstream.Timeouts = "http://upstream/v1", silent, test.limits
				start := time.Now()
				e := new(Caller).Job(t.Context()).Call(target, true, test.once)
				if e == nil || e.Kind != Timeout || e.Code != test.code || e.Status != 504 {
					t.Errorf("error %v, want a timeout with code %s", e, test.code)
				}
				between(t, "the call", time.Since(start), test.took, test.took)
			})
		})
	}
}

// paced is the body of a stream that sends a byte after each of its waits, and then
// nothing more.
type paced struct {
	ctx   context.Context
	waits []time.Duration
}

func (p *paced) Read(b []byte) (int, error) {
	wait := time.Duration(1<<63 - 1)
	if len(p.waits) > 0 {
		wait, p.waits = p.waits[0], p.waits[1:]
	}
	b[0] = ':'
	return 1, sleep(p.ctx, wait)
}

func (p *paced) Close() error { return nil }

// Whatever arrives of a stream is a sign of life: the limit on silence before the first of
// them, the one on silence after it and the one on the time without content are apart.
func TestSignsOfLife(t *testing.T) {
	const s = time.Second
	every := func(n int, wait time.Duration) []time.Duration { return slices.Repeat([]time.Duration{wait}, n) }
	for _, test := range []struct {
		name     string
		limits   Timeouts
		waits    []time.Duration // between bytes
		answered int             // the byte that is the first content; 0: none is
		slow     time.Duration   // that the reader takes for each byte
		code     string
		took     time.Duration
	}{
		{"nothing", Timeouts{FirstToken: 10 * s, Thinking: 60 * s, Idle: 20 * s}, nil, 0, 0, "first_token_timeout", 10 * s},
		{"nothing, and no limit on that", Timeouts{Thinking: 60 * s, Idle: 20 * s}, nil, 0, 0, "thinking_timeout", 60 * s},
		{"silence after a first sign", Timeouts{FirstToken: 10 * s, Thinking: 60 * s, Idle: 20 * s}, every(1, 7*s), 0, 0, "idle_timeout", 27 * s},
		{"silence after many signs", Timeouts{FirstToken: 10 * s, Thinking: 60 * s, Idle: 20 * s}, every(5, 7*s), 0, 0, "idle_timeout", 55 * s},
		{"signs of life but no content", Timeouts{FirstToken: 10 * s, Thinking: 60 * s, Idle: 20 * s}, every(50, 7*s), 0, 0, "thinking_timeout", 60 * s},
		{"content, then signs for longer", Timeouts{FirstToken: 10 * s, Thinking: 60 * s, Idle: 20 * s}, every(50, 7*s), 3, 0, "idle_timeout", 370 * s},
		{"a first sign that is late but in time", Timeouts{FirstToken: 100 * s, Thinking: 300 * s, Idle: 20 * s}, every(1, 90*s), 0, 0, "idle_timeout", 110 * s},
		{"no limit but the whole", Timeouts{Total: 100 * s}, every(1, 7*s), 1, 0, "timeout", 100 * s},
		{"a reader that is slow itself", Timeouts{FirstToken: 10 * s, Idle: 20 * s}, every(3, 7*s), 1, 50 * s, "idle_timeout", 191 * s},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				target := withKeys(1)
				target.Upstream.BaseURL, target.Upstream.Timeouts = "http://upstream/v1", test.limits
				target.Upstream.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: 200, Body: &paced{r.Context(), test.waits}, Request: r}, nil
				})
				start := time.Now()
				e := new(Caller).Job(t.Context()).Call(target, true, func(try *Try) *Error {
					response, err := try.Send(Call{API: wire.Chat}, true)
					for n := 1; err == nil; n++ {
						if _, err = response.Body.Read(make([]byte, 8)); n == test.answered {
							try.Answered()
						}
						if err == nil {
							time.Sleep(test.slow)
						}
					}
					return NetworkError(try.Context, err)
				})
				if e == nil || e.Kind != Timeout || e.Code != test.code || e.Status != 504 {
					t.Errorf("error %v, want a timeout with code %s", e, test.code)
				}
				between(t, "the call", time.Since(start), test.took, test.took)
			})
		})
	}
}

// The breaker hears of the first content at once, and not of what comes later.
func TestAnsweredClosesBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &Breakers{Failures: 1, Open: time.Minute}
		caller, target := &Caller{Breakers: b}, withKeys(1)
		caller.Job(t.Context()).Call(target, false, failing(down).once)
		time.Sleep(time.Minute + 1)
		caller.Job(t.Context()).Call(target, false, func(try *Try) *Error {
			try.Answered()
			checkKind(t, caller.Job(t.Context()).Call(target, false, failing(nil).once), "") // while the first one still streams
			try.Answered()
			return down
		})
		if b.IsOpen(target) {
			t.Error("the breaker is open after an error that followed the first content")
		}
	})
}

func TestCancelledWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		caller := &Caller{Retry: Retry{Retries: 3, Backoff: time.Hour, MaxWait: time.Hour}}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start, calls := time.Now(), failing(down)
		e := caller.Job(ctx).Call(withKeys(1), true, calls.once)
		checkKind(t, e, Canceled)
		if !errors.Is(e, context.Canceled) || e.Tries != 1 || len(calls.keys) != 1 {
			t.Errorf("%v with %d tries after %d calls, want one that wraps %v", e, e.Tries, len(calls.keys), context.Canceled)
		}
		between(t, "the job", time.Since(start), time.Second, time.Second)

		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		e = caller.Job(ctx).Call(withKeys(1), true, failing(down).once)
		checkKind(t, e, Timeout)
		if !errors.Is(e, context.DeadlineExceeded) {
			t.Errorf("%v, want one that wraps %v", e, context.DeadlineExceeded)
		}
	})
}

// After the context has ended, no further key is tried and no retry is made.
func TestNoCallAfterCancel(t *testing.T) {
	for name, e := range map[string]*Error{"another key": limited, "a refused key": refused, "a retry": down} {
		ctx, cancel := context.WithCancel(t.Context())
		b := NewBudget(1)
		calls := 0
		got := (&Caller{Retry: Retry{Retries: 3}, Budget: b}).Job(ctx).Call(withKeys(2), true, func(*Try) *Error {
			calls++
			cancel()
			return e
		})
		checkKind(t, got, Canceled)
		if calls != 1 || got.Tries != 1 || b.left != burst {
			t.Errorf("%s: %d calls, %d tries, %v left in the budget, want one call and no retry", name, calls, got.Tries, b.left)
		}
	}
}

// Requests that end with the same cause, as when a server stops, do not write to
// the error that they share. Run with -race.
func TestSharedCause(t *testing.T) {
	ctx, stop := context.WithCancelCause(t.Context())
	cause := &Error{Kind: Timeout, Code: CodeStopping}
	stop(cause)
	var jobs sync.WaitGroup
	for range 8 {
		jobs.Go(func() {
			e := new(Caller).Job(ctx).Call(withKeys(1), true, hang)
			if e == nil || e.Code != CodeStopping || e.Tries != 1 {
				t.Errorf("error %v, want %v", e, cause)
			}
		})
	}
	jobs.Wait()
	if cause.Tries != 0 {
		t.Errorf("the cause has %d tries, want it unchanged", cause.Tries)
	}
}

// answering is a transport whose answers have a body of unknown length.
func answering(status int, body string) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, ContentLength: -1, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
}

func TestAsk(t *testing.T) {
	call := Call{API: wire.Chat, Body: []byte(`{"model":"m"}`)}
	ask := func(caller *Caller, transport http.RoundTripper, limit int64) (string, error) {
		answer, err := caller.Ask(t.Context(), Target{Upstream: &Upstream{BaseURL: "http://upstream/v1", Keys: []string{"one", "two"}, Transport: transport}, Model: "m"}, call, limit)
		if err != nil && answer != nil {
			t.Errorf("Ask returned %q with the error %v", answer, err)
		}
		return string(answer), err
	}
	if answer, err := ask(new(Caller), answering(200, "hello"), 5); err != nil || answer != "hello" {
		t.Errorf("Ask = %q, %v", answer, err)
	}
	_, err := ask(&Caller{Retry: Retry{Retries: 3}}, answering(200, "hello!"), 5)
	if e, ok := errors.AsType[*Error](err); !ok || e.Code != codeTooLong || e.Tries != 1 || e.Message != "the answer is longer than 5 bytes" {
		t.Errorf("a long answer: %v", err)
	}
	_, err = ask(new(Caller), answering(200, strings.Repeat("x", 2<<20)), 1<<20)
	if err == nil || !strings.Contains(err.Error(), "the answer is longer than 1 MB") {
		t.Errorf("a long answer: %v", err)
	}

	// Another key is tried without retries; 5xx are not retried by the zero Caller.
	var keys []string
	refusing := roundTrip(func(r *http.Request) (*http.Response, error) {
		keys = append(keys, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		return answering(401, "").RoundTrip(r)
	})
	_, err = ask(new(Caller), refusing, 5)
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != KeyRefused || e.Tries != 2 || !slices.Equal(keys, []string{"one", "two"}) {
		t.Errorf("refused keys: %v after keys %v", err, keys)
	}
	calls := 0
	cut := roundTrip(func(r *http.Request) (*http.Response, error) {
		if calls++; calls == 1 {
			return &http.Response{StatusCode: 200, ContentLength: 10, Body: io.NopCloser(strings.NewReader("hel")), Request: r}, nil
		}
		return answering(200, "hello").RoundTrip(r)
	})
	_, err = ask(new(Caller), cut, 50)
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Network || calls != 1 {
		t.Errorf("the zero Caller: %v after %d calls, want a network error after one", err, calls)
	}
	calls = 0
	if answer, err := ask(&Caller{Retry: Retry{Retries: 1}}, cut, 50); err != nil || answer != "hello" || calls != 2 {
		t.Errorf("an answer that was cut off: %q, %v after %d calls, want a retry", answer, err, calls)
	}
}

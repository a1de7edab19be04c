package budget

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/carrot-router/carrot"
)

// How leases are taken.
const (
	leaseFor   = 5 * time.Minute
	renewAfter = time.Minute     // of a lease's time
	idleAfter  = 3 * time.Second // without calls, what is left of a lease is given back
	parts      = 64              // of a budget; a lease is one of them, or an eighth of what is left

	storeTimeout = 5 * time.Second
)

// window is a period of a budget, with what this process holds of it.
type window struct {
	key string

	one chan struct{} // who has it may change the lease in the store

	mu        sync.Mutex
	limit     *limit
	began     time.Time
	ends      time.Time
	state     state     // as of the last time that the store was asked
	stored    int64     // the amount that the store had then
	asked     time.Time // when that was; zero: never
	undrained int64     // what was spent and is not in the store yet
	inFlight  int64     // what calls in progress hold
	giving    int64     // what is being given back, or may have been if the store has not said so
	expires   time.Time
	used      time.Time // when a call was made
	refused   bool      // a call was refused since it was last looked after
	pace      float64   // the factor on the willingness to pay
}

func newWindow(l *limit, began, ends time.Time) *window {
	return &window{key: l.key(began), limit: l, began: began, ends: ends, one: make(chan struct{}, 1), pace: 1, state: state{amount: int64(l.amount)}}
}

// rule returns the budget, as it is configured now.
func (w *window) rule() *limit {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.limit
}

// free returns what of the lease is neither spent nor held. It is below 0 if calls have
// cost more than the lease, which the store does not know yet.
func (w *window) free() int64 { return w.state.mine - w.undrained - w.inFlight - w.giving }

// available returns what can be reserved without the store. It is less than what is free if
// the amount of the budget was lowered since the lease was taken.
func (w *window) available(now time.Time) int64 {
	if !now.Before(w.expires) {
		return 0
	}
	return max(min(w.free(), w.state.left()+w.free()), 0)
}

// span returns when the period began, and when the next one begins.
func (w *window) span() (began, ends time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.began, w.ends
}

// follow makes the window one of a budget as it is configured now.
func (w *window) follow(l *limit, began, ends time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit, w.began, w.ends, w.state.amount = l, began, ends, int64(l.amount)
}

// within returns what can be reserved at most, as far as this process knows.
func (w *window) within(now time.Time) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(w.state.left()+w.free(), 0)
}

// hold reserves an amount of what is available.
func (w *window) hold(amount int64, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.available(now) < amount {
		return false
	}
	w.inFlight += amount
	return true
}

// use notes that a call is made, so that the lease is kept for the next ones.
func (w *window) use(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.used = now
}

// settle replaces a reserve by what a call has cost.
func (w *window) settle(held, cost int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inFlight -= held
	w.undrained += cost
}

// drained says that an amount is in the store, whose state is then s.
func (w *window) drained(spent int64, s state) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.undrained -= spent
	w.set(s)
}

// set takes over a state of the store, unless a newer one is known.
func (w *window) set(s state) {
	if s.version <= w.state.version {
		return
	}
	w.stored, s.amount = s.amount, int64(w.limit.amount) // which is what counts, also before the store knows it
	w.state = s
}

// change changes the lease in the store. size says how much to take and to give back, and
// whether the store is needed at all; it is called when nobody else changes the lease.
func (b *Budgets) change(ctx context.Context, w *window, size func(w *window, now time.Time) (c change, needed bool)) error {
	// A client that hangs up must not leave it open what is leased, and requests that wait
	// for each other must not wait longer than one.
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	select {
	case w.one <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-ask.Done():
		return errSlow
	}
	defer func() { <-w.one }()
	now := b.now()
	w.mu.Lock()
	c, needed := size(w, now)
	if !needed {
		w.mu.Unlock()
		return nil
	}
	c.period, c.ends, c.amount, c.soft, c.process, c.until = w.key, w.ends, int64(w.limit.amount), w.limit.soft, b.process, now.Add(leaseFor)
	w.giving += c.back // nobody may reserve it meanwhile
	w.mu.Unlock()
	s, err := lease(ask, b.db, c)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		if !s.unsure { // or else the next change that succeeds says whether it was given back
			w.giving -= c.back
		}
		return err
	}
	w.giving, w.asked, w.expires = 0, now, c.until
	w.set(s)
	return nil
}

// errSlow says that others have waited for the store as long as a request may.
var errSlow = errors.New("the store does not answer in time")

// askAgain is how long a process believes the store that nothing is left, and itself that the
// store is away.
const askAgain = time.Second

// reserve reserves an amount, with a larger lease if that is needed. It returns a refusal
// if so much is not left.
func (b *Budgets) reserve(ctx context.Context, w *window, amount int64) error {
	for range 5 { // others may be faster
		if w.hold(amount, b.now()) {
			return nil
		}
		if b.awayNow() {
			return errSlow
		}
		spent := false
		err := b.change(ctx, w, func(w *window, now time.Time) (c change, needed bool) {
			missing := amount - w.free()
			switch {
			case missing <= 0:
				return c, !now.Before(w.expires)
			case now.Sub(w.asked) < askAgain && w.state.left() < missing:
				spent = true
				return c, false
			}
			slice := min(int64(w.limit.amount)/parts, max(w.state.left(), 0)/8)
			return change{want: max(missing, slice), least: missing}, true
		})
		b.storeWorks(err)
		if err != nil {
			return err
		}
		if spent {
			break
		}
	}
	if w.hold(amount, b.now()) {
		return nil
	}
	return &refusal{w, amount}
}

// refusal is an error that says that too little is left of a budget.
type refusal struct {
	w      *window
	amount int64
}

// Error says it with the numbers that were checked.
func (r *refusal) Error() string {
	f := r.w.figures()
	return fmt.Sprintf("budget %s: of %s USD, %s are spent and %s held for calls in progress and the next ones, so %s are left until %s; this call needs at least %s",
		f.Name, usd(f.Amount), usd(f.Spent), usd(f.Held), usd(f.Left), f.Ends.Format(time.RFC3339), usd(carrot.USD(r.amount)))
}

// usd writes an exact amount without the currency sign.
func usd(amount carrot.USD) string { return string(amount.AppendJSON(nil)) }

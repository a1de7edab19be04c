package budget

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/record"
)

// Options are the parts that budgets need. The zero value counts rates alone.
type Options struct {
	DB      *database.DB     // the store; nil: none, so there are no budgets
	Webhook Webhook          // default: nobody is told
	Log     *slog.Logger     // default: none
	Now     func() time.Time // default: time.Now
}

// Budgets counts what clients spend and ask for. It implements gateway.Budgets. Its methods
// are safe for concurrent use.
type Budgets struct {
	db      *database.DB
	log     *slog.Logger
	now     func() time.Time
	process string
	journal Journal

	rules    atomic.Pointer[rules]
	compiled sync.Map // by the name of a client, its own budgets

	mu      sync.Mutex
	windows map[string]*window // by key
	meters  map[string]*meter  // by client

	away    atomic.Bool  // the store failed the last time
	failed  atomic.Int64 // when it failed, in nanoseconds since 1970
	webhook Webhook
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// Journal keeps the calls that begin, so that those of a process that is killed are found.
// *ledger.Ledger is a Journal.
type Journal interface {
	Begin(a *record.Attempt) error
	Journal() string
}

// rules are the budgets of a configuration.
type rules struct {
	all      []*limit
	byClient map[string][]*limit
	byLabel  map[string][]*limit // by name=value
}

// New returns budgets without rules.
func New(o Options) *Budgets {
	b := &Budgets{db: o.DB, webhook: o.Webhook, log: o.Log, now: o.Now, windows: map[string]*window{}, meters: map[string]*meter{}}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	if b.now == nil {
		b.now = time.Now
	}
	b.rules.Store(&rules{})
	return b
}

// Set replaces the budgets of the configuration. What was spent of those that stay counts
// on.
func (b *Budgets) Set(list []gateway.BudgetConfig) error {
	r := &rules{byClient: map[string][]*limit{}, byLabel: map[string][]*limit{}}
	for i := range list {
		l, err := newLimit(list[i])
		switch {
		case err != nil:
			return fmt.Errorf("budget %d: %w", i+1, err)
		case b.db == nil:
			return fmt.Errorf("budget %s: there is no store", l.name)
		case l.client != "":
			r.byClient[l.client] = append(r.byClient[l.client], l)
		case l.label != "":
			key := l.label + "=" + l.value
			r.byLabel[key] = append(r.byLabel[key], l)
		default:
			r.all = append(r.all, l)
		}
	}
	slices.SortFunc(r.all, (*limit).compare)
	b.rules.Store(r)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.windows {
		rule := w.rule()
		if l := r.find(rule.name); l != nil {
			began, ends := w.span()
			if l.per == rule.per && l.zone.String() == rule.zone.String() { // or else the next call begins another period
				w.follow(l, began, ends)
			}
		}
	}
	return nil
}

// every returns all budgets.
func (r *rules) every() []*limit {
	all := slices.Clone(r.all)
	for _, m := range []map[string][]*limit{r.byClient, r.byLabel} {
		for _, list := range m {
			all = append(all, list...)
		}
	}
	return all
}

// find returns the budget with a name, or nil.
func (r *rules) find(name string) *limit {
	for _, l := range r.every() {
		if l.name == name {
			return l
		}
	}
	return nil
}

// Start begins to count. Without a store, it needs no journal. What an earlier process with
// the same journal held is given back, because the journal's attempts are in the store.
func (b *Budgets) Start(ctx context.Context, j Journal) error {
	if b.db != nil {
		b.journal, b.process = j, j.Journal()
		if _, err := giveBack(ctx, b.db, b.process, time.Time{}, "%"); err != nil {
			return fmt.Errorf("give back what an earlier process held of the budgets: %w", err)
		}
	}
	ctx, b.stop = context.WithCancel(context.WithoutCancel(ctx))
	b.done.Go(func() { b.look(ctx) })
	if b.db != nil && b.webhook.URL != "" {
		b.done.Go(func() { b.notify(ctx) })
	}
	return nil
}

// Close gives back what this process holds, but for what is spent and not in the store yet,
// and stops. What cannot be given back, because the store is away, is at the next start. It
// must be called before the ledger is closed.
func (b *Budgets) Close() {
	if b.stop != nil {
		b.stop()
	}
	b.done.Wait()
	if b.db == nil || b.process == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	err := b.giveAllBack(ctx)
	if err != nil && ctx.Err() == nil { // a connection may have been cut that was not used since
		err = b.giveAllBack(ctx)
	}
	if err != nil {
		b.log.Warn("what is held of the budgets is given back at the next start, because the store does not work", "error", err)
	}
}

// giveAllBack gives back what is neither spent nor held for a call.
func (b *Budgets) giveAllBack(ctx context.Context) error {
	b.mu.Lock()
	list := slices.Collect(maps.Values(b.windows))
	b.mu.Unlock()
	for _, w := range list {
		err := b.change(ctx, w, func(w *window, _ time.Time) (c change, needed bool) {
			w.giving = 0 // of an attempt before
			return change{back: max(w.free(), 0)}, w.state.mine > 0
		})
		if err != nil {
			return err
		}
	}
	if !b.db.Postgres() {
		return nil
	}
	_, err := giveBack(ctx, b.db, b.process, time.Time{}, "~%")
	return err
}

// storeWorks notes whether the store works, and says when that changes.
func (b *Budgets) storeWorks(err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		b.failed.Store(b.now().UnixNano())
	}
	switch {
	case errors.Is(err, context.Canceled):
	case err != nil && !b.away.Swap(true):
		b.log.Error("the store of the budgets does not work; what is leased can be spent", "error", err)
	case err == nil && b.away.Swap(false):
		b.log.Info("the store of the budgets works again")
	}
}

// awayNow reports whether the store has failed a moment ago, so that nobody waits for it now.
func (b *Budgets) awayNow() bool {
	return b.away.Load() && b.now().UnixNano()-b.failed.Load() < int64(askAgain)
}

// limits returns the budgets that apply to a request, those that are not passed first.
func (b *Budgets) limits(client *gateway.Client, labels map[string]string) []*limit {
	r := b.rules.Load()
	if len(r.byLabel) == 0 && (client == nil || len(client.Limits.Budgets) == 0 && len(r.byClient[client.Name]) == 0) {
		return r.all
	}
	list := slices.Clone(r.all)
	if client != nil {
		list = append(list, r.byClient[client.Name]...)
		list = append(list, b.own(client)...)
	}
	if len(r.byLabel) > 0 {
		for name, value := range labels {
			list = append(list, r.byLabel[name+"="+value]...)
		}
	}
	slices.SortFunc(list, (*limit).compare)
	return list
}

// compare orders budgets: those that are not passed first, and then by name.
func (l *limit) compare(m *limit) int {
	if l.soft != m.soft {
		if m.soft {
			return -1
		}
		return 1
	}
	return strings.Compare(l.name, m.name)
}

// own returns the budgets that a client has itself.
func (b *Budgets) own(client *gateway.Client) []*limit {
	if len(client.Limits.Budgets) == 0 {
		return nil
	}
	if c, ok := b.compiled.Load(client.Name); ok && c.(ownLimits).client == client {
		return c.(ownLimits).list
	}
	var list []*limit
	for _, c := range client.Limits.Budgets {
		c.Client, c.Label = client.Name, ""
		l, err := newLimit(c)
		if err != nil { // another machine, which stored it, may know more time zones
			b.log.Error("a budget of a client cannot be kept as it is, and begins anew in UTC", "client", client.Name, "error", err)
			c.TimeZone = ""
			if l, err = newLimit(c); err != nil { // nobody can have stored it
				continue
			}
		}
		list = append(list, l)
	}
	b.compiled.Store(client.Name, ownLimits{client, list})
	return list
}

// ownLimits are the budgets of a client, as it was read last.
type ownLimits struct {
	client *gateway.Client
	list   []*limit
}

// window returns the period of a budget in which now is.
func (b *Budgets) window(l *limit, now time.Time) *window {
	if w := l.now.Load(); w != nil {
		if began, ends := w.span(); now.Before(ends) && !now.Before(began) && w.rule() == l {
			return w
		}
	}
	began, ends := l.period(now)
	key := l.key(began)
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.windows[key]
	if w == nil {
		w = newWindow(l, began, ends)
		b.windows[key] = w
	} else if w.rule() != l { // the configuration, or a client, was read again
		w.follow(l, began, ends)
	}
	l.now.Store(w)
	return w
}

// Admit implements gateway.Budgets.
func (b *Budgets) Admit(ctx context.Context, client *gateway.Client, labels map[string]string) (gateway.Account, error) {
	list := b.limits(client, labels)
	limited := client != nil && client.Limits.Rates != gateway.RateConfig{}
	if len(list) == 0 && !limited {
		return nil, nil
	}
	a := &account{b: b, windows: make([]*window, len(list))}
	now := b.now()
	for i, l := range list {
		w := b.window(l, now)
		a.windows[i] = w
		if !l.soft {
			a.strict = i + 1
		}
		if l.pacing > 0 {
			w.mu.Lock()
			if a.pace == 0 || w.pace < a.pace { // of several budgets, the one that is most pressed counts
				a.pace = w.pace
			}
			w.mu.Unlock()
		}
	}
	a.pace = cmp.Or(a.pace, 1)
	if limited {
		a.meter = b.meter(client)
		var err error
		a.running, err = a.meter.admit(ctx, now)
		return a, err
	}
	return a, nil
}

// account is what one request takes. It implements gateway.Account.
type account struct {
	b        *Budgets
	windows  []*window
	strict   int      // how many of the windows, the first ones, are of budgets that are not passed
	keys     []string // of the windows, as the attempts have them
	pace     float64
	meter    *meter // nil: the client has no rates
	running  bool   // the request counts as one in progress
	expected int64  // tokens that count until the true ones are known
	minute   int64  // in which they count
	refused  *window
}

// Terms implements gateway.Account.
func (a *account) Terms() (strict bool, pace float64) { return a.strict > 0, a.pace }

// Reserve implements gateway.Account.
func (a *account) Reserve(ctx context.Context, at *record.Attempt, least, most carrot.USD) (carrot.USD, error) {
	if err := a.reserveTokens(ctx, at); err != nil {
		return 0, err
	}
	if len(a.windows) == 0 {
		return most, nil
	}
	for i, w := range a.windows { // what is spent belongs to the period in which the call begins
		if _, ends := w.span(); !at.Time.Before(ends) {
			a.windows[i], a.keys = a.b.window(w.rule(), at.Time), nil
		}
	}
	if a.keys == nil {
		a.keys = make([]string, len(a.windows))
		for i, w := range a.windows {
			a.keys[i] = w.key
		}
	}
	expected, known := most, most > 0
	if e := at.Estimate(); e != nil && !e.CostUnknown {
		expected, known = e.CostP90, true
	}
	hard := a.windows[:a.strict]
	if !known && len(hard) > 0 {
		return 0, &gateway.Denial{Status: http.StatusPaymentRequired, Code: "unknown_cost",
			Message: fmt.Sprintf("the cost of %s is unknown, and budget %s is not passed: ask for another model", at.Candidate, hard[0].rule().name)}
	}
	if known && max(expected, most) <= 1 { // it is free, however little is left
		at.Budgets = a.keys
		return most, nil
	}
	least = max(least, 1)
	expected = max(expected, least)
	most = max(most, expected)
	amount, limit := size(hard, least, expected, most, a.b.now())
	for {
		err := a.take(ctx, hard, int64(amount))
		if err == nil {
			break
		}
		// The store may have said that less is left than this process knew of.
		before := amount
		if amount, limit = size(hard, least, expected, most, a.b.now()); amount >= before {
			return 0, a.denied(err)
		}
	}
	at.Budgets, at.Held = a.keys, amount
	if len(hard) > 0 {
		if err := a.b.journal.Begin(at); err != nil {
			a.giveUp(hard, int64(amount))
			at.Budgets, at.Held = nil, 0
			a.b.log.Error("a call was not made, because it could not be recorded", "request_id", at.RequestID, "error", err)
			return 0, &gateway.Denial{Status: http.StatusServiceUnavailable, Code: "ledger_full", RetryAfter: 30 * time.Second,
				Message: "the gateway cannot record what is spent, and the client has a budget: try again later"}
		}
	}
	return limit, nil
}

// size returns how much a call reserves, and what it may cost at most. Near the end of a
// budget, that is the same: at least what the call will hardly exceed, and up to a quarter
// of what is left if it may need that.
func size(hard []*window, least, expected, most carrot.USD, now time.Time) (amount, limit carrot.USD) {
	amount, limit = expected, most
	near := false
	for _, w := range hard {
		if left := carrot.USD(w.within(now)); left < most {
			own := max(min(left, max(expected, left/4)), least)
			if !near || own < amount {
				amount = own
			}
			near = true
		}
	}
	if near {
		limit = min(amount, most)
	}
	return amount, limit
}

// take reserves an amount in all budgets, or in none.
func (a *account) take(ctx context.Context, hard []*window, amount int64) error {
	for i, w := range hard {
		if err := a.b.reserve(ctx, w, amount); err != nil {
			a.giveUp(hard[:i], amount)
			return err
		}
	}
	now := a.b.now()
	for _, w := range hard {
		w.use(now)
	}
	return nil
}

// giveUp takes back reserves of a call that is not made.
func (a *account) giveUp(taken []*window, amount int64) {
	for _, w := range taken {
		w.settle(amount, 0)
	}
}

// denied returns what a client is told if a call cannot be reserved.
func (a *account) denied(err error) error {
	if r, ok := errors.AsType[*refusal](err); ok {
		a.refused = r.w
		r.w.mu.Lock()
		r.w.refused = true
		r.w.mu.Unlock()
		return &gateway.Denial{Status: http.StatusPaymentRequired, Code: "budget_exceeded", Message: r.Error()}
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &gateway.Denial{Status: http.StatusServiceUnavailable, Code: "store_unavailable", RetryAfter: 5 * time.Second,
		Message: "the gateway cannot look up what is left of the client's budget: try again"}
}

// Settle implements gateway.Account.
func (a *account) Settle(at *record.Attempt) {
	a.settleTokens(at)
	if len(at.Budgets) == 0 {
		return
	}
	spent, _ := Counted(at)
	for i, w := range a.windows {
		held := int64(at.Held)
		if i >= a.strict {
			held = 0
		}
		w.settle(held, int64(spent))
	}
}

// Counted returns what an attempt counts as spent, and the part of it that is not known to
// be spent. An attempt of unknown cost counts with what was reserved for it, and so does,
// unless it has cost more, one that ended early without a report of the provider, which may
// have written more than was seen.
func Counted(a *record.Attempt) (spent, unknown carrot.USD) {
	switch {
	case a.CostUnknown:
		return a.Held, a.Held
	case a.Estimated && (a.Outcome == record.ClientGone || a.Outcome == record.Broken):
		return max(a.Cost, a.Held), max(a.Held-a.Cost, 0)
	}
	return a.Cost, 0
}

// Header implements gateway.Account.
func (a *account) Header(api string, h http.Header) {
	if a.meter != nil {
		a.meter.header(api, h, a.b.now())
	}
	w := a.refused
	if w == nil {
		share := math.Inf(1)
		shown := a.windows
		if a.strict > 0 { // soft budgets refuse nothing
			shown = a.windows[:a.strict]
		}
		for _, other := range shown {
			if f := other.figures(); float64(f.Left)/float64(max(f.Amount, 1)) < share {
				w, share = other, float64(f.Left)/float64(max(f.Amount, 1))
			}
		}
	}
	if w == nil {
		return
	}
	f := w.figures()
	h.Set("X-Carrot-Budget", f.Name)
	h.Set("X-Carrot-Budget-Limit", usd(f.Amount))
	h.Set("X-Carrot-Budget-Left", usd(f.Left))
	h.Set("X-Carrot-Budget-Reset", f.Ends.Format(time.RFC3339))
}

// Close implements gateway.Account.
func (a *account) Close() {
	if a.running {
		a.meter.leave()
	}
}

// sums are what attempts count against budgets, by period.
type sums map[string]struct{ spent, unknown int64 }

// keys returns the periods in one order, so that processes that change several of them do not
// lock each other out.
func (s sums) keys() []string { return slices.Sorted(maps.Keys(s)) }

func (s sums) add(key string, spent, unknown carrot.USD) {
	sum := s[key]
	sum.spent += int64(spent)
	sum.unknown += int64(unknown)
	s[key] = sum
}

// Settled is a ledger.Also: it counts attempts as spent in the transaction that writes
// them.
func (b *Budgets) Settled(ctx context.Context, tx *database.Tx, process string, attempts []*record.Attempt) (committed func(), err error) {
	counted := sums{}
	for _, a := range attempts {
		for _, key := range a.Budgets {
			spent, unknown := Counted(a)
			counted.add(key, spent, unknown)
		}
	}
	if len(counted) == 0 {
		return nil, nil
	}
	states := map[string]state{}
	for _, key := range counted.keys() {
		c := counted[key]
		if states[key], err = settle(ctx, tx, key, process, c.spent, c.unknown); err != nil {
			return nil, fmt.Errorf("count what was spent of budget %s: %w", key, err)
		}
		if b.webhook.URL != "" {
			if err := b.cross(ctx, tx, key, states[key], c.spent); err != nil {
				return nil, err
			}
		}
	}
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for key, s := range states {
			if w := b.windows[key]; w != nil {
				w.drained(counted[key].spent, s)
			}
		}
	}, nil
}

// Repriced counts attempts that had no known cost, and counted with their reserve, with the
// cost that they have now.
func Repriced(ctx context.Context, tx *database.Tx, attempts []*record.Attempt) error {
	changed := sums{}
	for _, a := range attempts {
		for _, key := range a.Budgets {
			spent, unknown := Counted(a)
			changed.add(key, spent-a.Held, unknown-a.Held)
		}
	}
	for _, key := range changed.keys() {
		c := changed[key]
		if _, err := tx.ExecContext(ctx, "UPDATE budgets SET spent = spent + ?, unknown = unknown + ?, version = version + 1 WHERE period = ?", c.spent, c.unknown, key); err != nil {
			return fmt.Errorf("count what was spent of budget %s: %w", key, err)
		}
	}
	return nil
}

// lookEvery is how often leases are looked after.
const lookEvery = time.Second

// look renews leases that are used, and gives back those that are not, until ctx is done.
func (b *Budgets) look(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var paced time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := b.now()
		b.mu.Lock()
		list := slices.Collect(maps.Values(b.windows))
		b.mu.Unlock()
		pace := now.Sub(paced) >= time.Minute
		for _, w := range list {
			if ctx.Err() != nil { // each of them may wait for a store that is away
				return
			}
			if b.lookAt(ctx, w, now, pace); b.awayNow() {
				break
			}
		}
		if pace {
			paced = now
			b.forget(ctx, now)
		}
		b.shareSlots(ctx, now)
	}
}

// lookAt looks after the lease of one period.
func (b *Budgets) lookAt(ctx context.Context, w *window, now time.Time, pace bool) {
	w.mu.Lock()
	idle := now.Sub(w.used) >= idleAfter
	surplus := w.free() > 0 && idle
	renew := w.state.mine > 0 && now.After(w.expires.Add(renewAfter-leaseFor))
	over := now.After(w.ends) && w.inFlight == 0 && w.state.mine == 0 && w.undrained == 0
	pace = pace && w.limit.pacing > 0
	refresh := w.asked.IsZero() || w.stored != int64(w.limit.amount) || pace
	exceeded := w.refused && b.webhook.URL != ""
	w.refused = false
	w.mu.Unlock()
	if over {
		b.mu.Lock()
		delete(b.windows, w.key)
		b.mu.Unlock()
		return
	}
	if surplus || renew || refresh {
		b.storeWorks(b.change(ctx, w, func(w *window, now time.Time) (c change, needed bool) {
			switch part := int64(w.limit.amount) / parts; {
			case now.Sub(w.used) >= idleAfter || w.state.left() < 0:
				c.back = max(w.free(), 0)
			case w.stored > int64(w.limit.amount): // the budget was lowered
				c.back = max(w.free()-part, 0)
			}
			return c, true
		}))
	}
	if exceeded {
		b.storeWorks(b.exceeded(ctx, w))
	}
	if pace {
		w.setPace(now)
	}
}

// setPace computes the factor on the willingness to pay, from what is spent.
func (w *window) setPace(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pace = Pace(w.limit.pacing, float64(now.Sub(w.began))/float64(w.ends.Sub(w.began)), float64(w.state.spent)/float64(w.limit.amount))
}

// Pace returns the factor on the willingness to pay with which the shares of the time and
// of the amount that are spent stay together: exp(k·(time − spent)), within [1/8, 8].
func Pace(k, time, spent float64) float64 {
	return min(max(math.Exp(k*(time-spent)), 1.0/8), 8)
}

// forget removes old messages that were sent, and the rows of rates that are over, but for those that others have locked.
func (b *Budgets) forget(ctx context.Context, now time.Time) {
	if b.db == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if b.webhook.URL != "" {
		_, err := b.db.ExecContext(ctx, "DELETE FROM notices WHERE next = 0 AND time < ?", now.Add(-keepNotices).UnixNano())
		b.storeWorks(err)
	}
	if !b.db.Postgres() {
		return
	}
	b.storeWorks(b.db.Do(ctx, func(tx *database.Tx) error {
		before := now.Add(-10 * time.Minute).UnixNano()
		if _, err := tx.ExecContext(ctx, "DELETE FROM budgets WHERE period IN (SELECT period FROM budgets WHERE period LIKE '~%' AND ends < ? FOR UPDATE SKIP LOCKED)", before); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM leases WHERE period LIKE '~%' AND NOT EXISTS (SELECT 1 FROM budgets WHERE budgets.period = leases.period)")
		return err
	}))
}

package budget

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/record"
)

// meter counts what a client asks for: requests and tokens in each minute of the clock, and
// requests in progress. Processes that share a store of PostgreSQL share what is allowed:
// each takes parts of it, and counts alone while the store is away.
type meter struct {
	b      *Budgets
	client string

	one chan struct{} // who has it may ask the store

	mu       sync.Mutex
	rates    gateway.RateConfig
	minute   int64 // since 1970
	requests count
	tokens   count
	running  count
}

// count is what was used of a limit.
type count struct {
	used    int64
	peak    int64 // of used since it was last looked after
	granted int64 // to this process
	full    bool  // nothing is left beyond it, or the store is away
}

// meter returns the meter of a client.
func (b *Budgets) meter(client *gateway.Client) *meter {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.meters[client.Name]
	if m == nil {
		m = &meter{b: b, client: client.Name, one: make(chan struct{}, 1)}
		b.meters[client.Name] = m
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rates = client.Limits.Rates
	return m
}

// shared reports whether other processes use the limits too.
func (m *meter) shared() bool { return m.b.db != nil && m.b.db.Postgres() && m.b.process != "" }

// turn begins a new minute if one has begun.
func (m *meter) turn(now time.Time) {
	// A request that came a moment before the turn counts in the new minute. Only a clock
	// that is set back begins an earlier one.
	if minute := now.Unix() / 60; minute > m.minute || minute < m.minute-1 {
		m.minute, m.requests, m.tokens = minute, count{}, count{}
	}
}

// next returns when the next minute begins.
func (m *meter) next() time.Time { return time.Unix((m.minute+1)*60, 0) }

// kind is one of the limits of a meter.
type kind struct {
	name  string
	of    func(m *meter) *count
	limit func(r *gateway.RateConfig) int64
}

var (
	requests = kind{"requests", func(m *meter) *count { return &m.requests }, func(r *gateway.RateConfig) int64 { return int64(r.Requests) }}
	tokens   = kind{"tokens", func(m *meter) *count { return &m.tokens }, func(r *gateway.RateConfig) int64 { return int64(r.Tokens) }}
	running  = kind{"running", func(m *meter) *count { return &m.running }, func(r *gateway.RateConfig) int64 { return int64(r.Concurrent) }}
)

// period returns the key of a limit in the store, and when it ends.
func (m *meter) period(k kind) (key string, ends time.Time) {
	if k.name == running.name {
		return "~" + k.name + "/" + m.client + "@", forever
	}
	return fmt.Sprintf("~%s/%s@%d", k.name, m.client, m.minute), m.next()
}

// take counts an amount. It reports whether the limit allows that.
func (m *meter) take(ctx context.Context, k kind, amount int64, now time.Time) bool {
	for range 3 {
		m.mu.Lock()
		m.turn(now)
		limit, c := k.limit(&m.rates), k.of(m)
		switch {
		case limit <= 0:
			m.mu.Unlock()
			return true
		case !m.shared():
			c.granted, c.full = limit, true
		}
		// A request that takes more tokens than a minute has waits for an unused one.
		if c.used+amount <= min(c.granted, limit) || amount > limit && c.used == 0 && c.granted == limit {
			c.used += amount
			c.peak = max(c.peak, c.used)
			m.mu.Unlock()
			return true
		}
		full, missing := c.full, c.used+amount-c.granted
		m.mu.Unlock()
		if full || !m.ask(ctx, k, missing, limit, now) {
			return false
		}
	}
	return false
}

// ask takes a part of a shared limit from the store. It reports whether another try makes
// sense. A client that hangs up does not change what is asked.
func (m *meter) ask(ctx context.Context, k kind, amount, limit int64, now time.Time) bool {
	client := ctx
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	select {
	case m.one <- struct{}{}:
	case <-client.Done():
		return false
	case <-ctx.Done():
		return m.alone(k, limit)
	}
	defer func() { <-m.one }()
	if m.b.awayNow() {
		return m.alone(k, limit)
	}
	m.mu.Lock()
	key, ends := m.period(k)
	minute := m.minute
	m.mu.Unlock()
	amount = min(amount, limit)
	c := change{period: key, ends: ends, amount: limit, process: m.b.process, want: max(amount, limit/16), least: 1, until: now.Add(slotsFor)}
	s, err := lease(ctx, m.b.db, c)
	if err == nil && s.took == 0 && k.name == running.name {
		if _, err = giveBack(ctx, m.b.db, "", now, key); err == nil { // processes that have gone need no slots
			s, err = lease(ctx, m.b.db, c)
		}
	}
	m.b.storeWorks(err)
	if err != nil {
		return m.alone(k, limit)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if k.name != running.name && m.minute != minute {
		return true
	}
	granted := k.of(m)
	granted.granted += s.took
	granted.full = k.name != running.name && s.left() <= 0
	return s.took > 0
}

// alone lets this process count alone, while the store is away.
func (m *meter) alone(k kind, limit int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := k.of(m)
	c.granted, c.full = limit, true
	return true
}

// admit counts a request. It returns whether that counts as one in progress. The error is a
// *gateway.Denial.
func (m *meter) admit(ctx context.Context, now time.Time) (counted bool, err error) {
	limit := m.limits().Concurrent
	if !m.take(ctx, running, 1, now) {
		return false, &gateway.Denial{Status: http.StatusTooManyRequests, Code: "rate_limit_exceeded", RetryAfter: time.Second,
			Message: fmt.Sprintf("client %s has as many requests in progress as it may have, %d (concurrent_requests): try again when one is over", m.client, limit)}
	}
	if !m.take(ctx, requests, 1, now) {
		err = m.refusal(requests, 1, now)
	}
	return limit > 0, err
}

// limits returns the limits.
func (m *meter) limits() gateway.RateConfig {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rates
}

// refusal says that a limit of the minute is reached.
func (m *meter) refusal(k kind, amount int64, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	limit, c := k.limit(&m.rates), k.of(m)
	wait := max(m.next().Sub(now), 0)
	return &gateway.Denial{Status: http.StatusTooManyRequests, Code: "rate_limit_exceeded", RetryAfter: wait,
		Message: fmt.Sprintf("client %s may use %d %s in a minute (%s_per_minute): %d are left until %s, and this request needs %d", m.client, limit, k.name, k.name, max(c.granted-c.used, 0), m.next().UTC().Format(time.RFC3339), amount)}
}

// leave says that a request is over.
func (m *meter) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running.used--
}

// reserveTokens counts the tokens that an attempt is expected to take.
func (a *account) reserveTokens(ctx context.Context, at *record.Attempt) error {
	if a.meter == nil || a.meter.limits().Tokens <= 0 {
		return nil
	}
	expected := int64(1)
	if e := at.Estimate(); e != nil {
		expected = int64(e.InputTokens) + int64(e.OutputTokens)
	}
	now := a.b.now()
	if !a.meter.take(ctx, tokens, expected, now) {
		return a.meter.refusal(tokens, expected, now)
	}
	a.expected, a.minute = expected, now.Unix()/60
	return nil
}

// settleTokens replaces the tokens that were expected by those that were used.
func (a *account) settleTokens(at *record.Attempt) {
	if a.expected == 0 {
		return
	}
	m := a.meter
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.turn(a.b.now()); m.minute == a.minute {
		m.tokens.used = max(m.tokens.used+int64(at.Usage.Prompt()+at.Usage.Answer())-a.expected, 0)
	}
	a.expected = 0
}

// header sets the headers with what is left, in the form of OpenAI's API or Anthropic's.
func (m *meter) header(api string, h http.Header, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(now)
	for _, k := range []kind{requests, tokens} {
		limit, c := k.limit(&m.rates), k.of(m)
		if limit <= 0 {
			continue
		}
		left := max(limit-c.used, 0)
		if c.full {
			left = max(c.granted-c.used, 0)
		}
		if api == "messages" {
			h.Set("Anthropic-Ratelimit-"+k.name+"-Limit", strconv.FormatInt(limit, 10))
			h.Set("Anthropic-Ratelimit-"+k.name+"-Remaining", strconv.FormatInt(left, 10))
			h.Set("Anthropic-Ratelimit-"+k.name+"-Reset", m.next().UTC().Format(time.RFC3339))
			continue
		}
		h.Set("X-Ratelimit-Limit-"+k.name, strconv.FormatInt(limit, 10))
		h.Set("X-Ratelimit-Remaining-"+k.name, strconv.FormatInt(left, 10))
		h.Set("X-Ratelimit-Reset-"+k.name, max(m.next().Sub(now), 0).Round(time.Millisecond).String())
	}
}

// slotsFor is how long a process that has gone keeps others from its requests in progress.
const slotsFor = 30 * time.Second

// shareSlots renews the requests in progress that this process may have, and gives back
// those that it does not use.
func (b *Budgets) shareSlots(ctx context.Context, now time.Time) {
	if b.db == nil || !b.db.Postgres() {
		return
	}
	b.mu.Lock()
	var list []*meter
	for _, m := range b.meters {
		list = append(list, m)
	}
	b.mu.Unlock()
	for _, m := range list {
		m.shareSlots(ctx, now)
	}
}

func (m *meter) shareSlots(ctx context.Context, now time.Time) {
	select {
	case m.one <- struct{}{}:
	default:
		return // another goroutine asks the store now
	}
	defer func() { <-m.one }()
	m.mu.Lock()
	limit, c := int64(m.rates.Concurrent), &m.running
	back := max(c.granted-max(c.peak, c.used), 0) // what was not used since the last look
	c.peak = c.used
	held := c.granted
	if !c.full { // while the store is away, each process counts alone
		c.granted -= back
	}
	key, ends := m.period(running)
	m.mu.Unlock()
	if limit <= 0 || held == 0 || back == 0 && now.Unix()%10 != 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	s, err := lease(ctx, m.b.db, change{period: key, ends: ends, amount: limit, process: m.b.process, back: back, until: now.Add(slotsFor)})
	m.b.storeWorks(err)
	if err == nil {
		m.mu.Lock()
		m.running.granted, m.running.full = s.mine, false
		m.mu.Unlock()
	}
}

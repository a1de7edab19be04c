package budget

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	_ "time/tzdata" // containers often have none

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/gateway"
)

// limit is a budget that is ready to be used.
type limit struct {
	name         string
	client       string // empty: any
	label, value string // of requests; empty: any
	amount       carrot.USD
	per          string
	zone         *time.Location
	soft         bool
	pacing       float64

	now atomic.Pointer[window] // the latest one that was asked for
}

// newLimit prepares a budget.
func newLimit(c gateway.BudgetConfig) (*limit, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation(c.TimeZone)
	if err != nil {
		return nil, err
	}
	l := &limit{name: c.Name, client: c.Client, amount: carrot.Dollars(c.USD), per: c.Per, zone: zone, soft: c.Soft, pacing: c.Pacing}
	l.label, l.value, _ = strings.Cut(c.Label, "=")
	if l.name == "" {
		l.name = c.DefaultName()
	}
	return l, nil
}

// period returns when the period began in which t is, and when the next one begins.
func (l *limit) period(t time.Time) (began, ends time.Time) {
	y, m, d := t.In(l.zone).Date()
	switch l.per {
	case "week":
		d -= (int(t.In(l.zone).Weekday()) + 6) % 7
		return l.day(y, m, d), l.day(y, m, d+7)
	case "month":
		return l.day(y, m, 1), l.day(y, m+1, 1)
	}
	return l.day(y, m, d), l.day(y, m, d+1)
}

// day returns when a day begins. That is not midnight where clocks are put forward then.
func (l *limit) day(y int, m time.Month, d int) time.Time {
	begins := time.Date(y, m, d, 0, 0, 0, 0, l.zone)
	if begins.Day() != time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Day() { // still on the day before
		_, begins = begins.ZoneBounds()
	}
	return begins
}

// key identifies a period of a budget in the store and in attempts.
func (l *limit) key(began time.Time) string {
	return fmt.Sprintf("%s@%s", l.name, began.Format(time.DateOnly))
}

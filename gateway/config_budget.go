package gateway

import (
	"encoding/base64"
	"fmt"
	"math"
	"net/url"
	"strings"
	"time"

	"github.com/carrot-router/carrot/internal/strictyaml"
)

// The lowest amount of a budget in USD, which is the unit of costs, and the highest one,
// whose sums have room.
const (
	minBudget = 1e-12
	maxBudget = 1_000_000
)

// Check returns an error that says what is wrong with a budget, if anything.
func (c *BudgetConfig) Check() error {
	field, problem := c.problem()
	if field == "" {
		return nil
	}
	return fmt.Errorf("%s: %s", field, problem)
}

// problem returns the field that is wrong, if any, and what is wrong with it.
func (c *BudgetConfig) problem() (field, problem string) {
	name, _, labelled := strings.Cut(c.Label, "=")
	_, err := time.LoadLocation(c.TimeZone)
	switch {
	case strings.ContainsFunc(c.Name, notInName) || len(c.Name) > 100:
		return "name", "want at most 100 letters, digits, dots, hyphens and underscores"
	case c.Client != "" && c.Label != "":
		return "label", "a budget is for a client or for a label: make two"
	case c.Label != "" && (!labelled || name == ""):
		return "label", "want a label and its value, as in team=search"
	case !(c.USD >= minBudget && c.USD <= maxBudget): // also not a number
		return "usd", fmt.Sprintf("want an amount above 0 and at most %d", maxBudget)
	case c.Per != "day" && c.Per != "week" && c.Per != "month":
		return "per", "want day, week or month"
	case err != nil || c.TimeZone == "Local":
		return "time_zone", fmt.Sprintf("no time zone %q: want a name such as Europe/Berlin or UTC", c.TimeZone)
	case !(c.Pacing >= 0 && c.Pacing <= 100):
		return "pacing", "want a number from 0 to 100"
	}
	return "", ""
}

// notInName reports whether a character cannot be in the name of a budget.
func notInName(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
}

// DefaultName returns the name of a budget that has none.
func (c *BudgetConfig) DefaultName() string {
	what := "all"
	switch {
	case c.Client != "":
		what = "client-" + c.Client
	case c.Label != "":
		what = "label-" + c.Label
	}
	clean := strings.Map(func(r rune) rune {
		if notInName(r) {
			return '-'
		}
		return r
	}, what)
	return clean[:min(len(clean), 90)] + "-" + c.Per
}

// checkBudgets checks budgets and names those that have no name.
func (c *Config) checkBudgets(p *strictyaml.Problems) {
	names := map[string]bool{}
	for i := range c.Budgets {
		b, at := &c.Budgets[i], strictyaml.Element("budgets", i)
		if field, problem := b.problem(); field != "" {
			p.Add(at+"."+field, "%s", problem)
			continue
		}
		if b.Name == "" {
			b.Name = b.DefaultName()
		}
		if names[b.Name] {
			p.Add(at+".name", "another budget has the name %q: name this one", b.Name)
		}
		names[b.Name] = true
	}
	for i := range c.Clients {
		r, at := &c.Clients[i].Rates, strictyaml.Element("clients", i)+".rates."
		checkRange(p, at+"requests_per_minute", r.Requests, 0, math.MaxInt32)
		checkRange(p, at+"tokens_per_minute", r.Tokens, 0, math.MaxInt32)
		checkRange(p, at+"concurrent_requests", r.Concurrent, 0, math.MaxInt32)
	}
	if w := &c.Webhook; w.URL != "" || w.Secret != "" {
		if u, err := url.Parse(w.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			p.Add("webhook.url", "want an address that begins with https:// or http://")
		}
		encoded, ok := strings.CutPrefix(w.Secret.Reveal(), "whsec_")
		if key, err := base64.StdEncoding.DecodeString(encoded); !ok || err != nil || len(key) < 24 || len(key) > 64 {
			p.Add("webhook.secret", "want whsec_ and 24 to 64 bytes in base64, as made by: echo whsec_$(openssl rand -base64 32)")
		}
	}
}

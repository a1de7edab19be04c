// Package keys keeps the clients of gateways and their keys in a database, changes them, and
// finds the client that sent a request, in memory and up to date with the database.
//
// Only the SHA-256 of a key is kept. It is enough, because keys have 130 random bits.
package keys

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/database"
)

// Settings are what a client may do.
type Settings struct {
	// Labels are written to the records of the client's requests.
	Labels map[string]string `json:"labels"`
	// Policies are the policies and embedding models that the client may use. Empty: all
	// of them, and all models by name.
	Policies []string               `json:"policies"`
	Rates    gateway.RateConfig     `json:"rates"`
	Budgets  []gateway.BudgetConfig `json:"budgets"`
	// Expires is when the client's keys end. Nil: never.
	Expires *time.Time `json:"expires"`
}

// Client is a client with its keys.
type Client struct {
	Name   string `json:"name"`
	Source string `json:"source"` // store or file
	State  State  `json:"state"`
	Settings
	Created *time.Time `json:"created"` // nil: it is in a file
	Revoked *time.Time `json:"revoked"` // nil: it is not
	Keys    []Key      `json:"keys"`    // by age, oldest first
}

// Key is a key of a client.
type Key struct {
	// Prefix is how people recognise the key.
	Prefix  string     `json:"prefix"`
	State   State      `json:"state"`
	Created time.Time  `json:"created"`
	Ends    *time.Time `json:"ends"`    // nil: with the client
	Revoked *time.Time `json:"revoked"` // nil: it is not
}

// State says whether keys are valid.
type State string

// States of clients and keys.
const (
	Valid   State = "valid"
	Expired State = "expired"
	Revoked State = "revoked"
)

// stateAt returns the state of what ends and is revoked at these times, if ever.
func stateAt(now time.Time, ends, revoked *time.Time) State {
	switch {
	case revoked != nil:
		return Revoked
	case ends != nil && !now.Before(*ends):
		return Expired
	}
	return Valid
}

// Entry is a change in the log of changes.
type Entry struct {
	ID      int64          `json:"id"`
	Time    time.Time      `json:"time"`
	Who     string         `json:"who"`
	Action  string         `json:"action"`  // create, update, rotate, revoke or revoke-key; of the store: prune, erase, reprice, restore, import or reconcile
	Subject string         `json:"subject"` // the client
	Details map[string]any `json:"details"`
}

// Errors that say why a change was refused.
var (
	ErrUnknown = errors.New("no such client")
	ErrTaken   = errors.New("the name is taken")
	ErrEnded   = errors.New("the client is revoked")
)

// Invalid is an error about a value.
type Invalid struct {
	Field  string // as in JSON, such as budgets[0].per
	Reason string
}

func (e *Invalid) Error() string { return e.Field + ": " + e.Reason }

func invalid(field, format string, args ...any) *Invalid {
	return &Invalid{field, fmt.Sprintf(format, args...)}
}

// begin is how every key begins.
const begin = "sk-carrot-"

// shown is how much of a key's random part is kept to recognise it.
const shown = 6

// newKey returns a new key, its hash and its prefix.
func newKey() (key string, hash [sha256.Size]byte, prefix string) {
	key = begin + rand.Text()
	return key, sha256.Sum256([]byte(key)), key[:len(begin)+shown]
}

// Bounds on what is stored for a client.
const (
	maxName     = 128
	maxLabels   = 32
	maxLabel    = 128
	maxPolicies = 256
	minUSD      = 1e-12 // the unit of costs
	maxUSD      = 1_000_000
	maxRate     = 1_000_000_000
	maxPacing   = 100
)

// CheckName returns an error if a client may not have the name.
func CheckName(name string) error {
	switch {
	case name == "":
		return invalid("name", "is missing")
	case len(name) > maxName:
		return invalid("name", "is longer than %d bytes", maxName)
	case strings.HasPrefix(name, "sk-"):
		return invalid("name", "begins with sk-, as keys do")
	case !plain(name):
		return invalid("name", "%q: a name must not contain spaces, commas, slashes or line breaks", name)
	}
	return nil
}

// plain reports whether a text can stand in a header, in a list and in an address.
func plain(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return strings.ContainsRune(",/\u2028\u2029", r) || unicode.IsSpace(r) || unicode.IsControl(r)
	}) && text != "." && text != ".."
}

// Check returns an error of type *[Invalid] if anything is wrong with the settings.
func (s *Settings) Check() error {
	if len(s.Labels) > maxLabels {
		return invalid("labels", "%d labels: want at most %d", len(s.Labels), maxLabels)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Labels)) {
		value := s.Labels[name]
		switch {
		case name == "" || len(name) > maxLabel || !plain(name) || strings.Contains(name, "="):
			return invalid("labels", "%.100q: the name of a label must not be empty, longer than %d bytes, or contain spaces, commas, slashes or =", name, maxLabel)
		case value == "" || len(value) > maxLabel || database.Text(value) != value || strings.ContainsFunc(value, unicode.IsControl):
			return invalid("labels."+name, "%.100q: the value of a label must not be empty, longer than %d bytes, or contain line breaks", value, maxLabel)
		}
	}
	if len(s.Policies) > maxPolicies {
		return invalid("policies", "%d policies: want at most %d", len(s.Policies), maxPolicies)
	}
	for i, name := range s.Policies {
		field := fmt.Sprintf("policies[%d]", i)
		switch {
		case name == "" || len(name) > maxName || strings.TrimSpace(name) != name || strings.Contains(name, ",") || database.Text(name) != name || strings.ContainsFunc(name, unicode.IsControl):
			return invalid(field, "%.100q is not the name of a policy or an embedding model", name)
		case slices.Contains(s.Policies[:i], name):
			return invalid(field, "%q appears twice", name)
		}
	}
	for _, r := range []struct {
		name  string
		value int
	}{{"requests_per_minute", s.Rates.Requests}, {"tokens_per_minute", s.Rates.Tokens}, {"concurrent_requests", s.Rates.Concurrent}} {
		if r.value < 0 || r.value > maxRate {
			return invalid("rates."+r.name, "%d: want a number from 1 to %d, or 0 for any number", r.value, maxRate)
		}
	}
	for i := range s.Budgets {
		b, field := &s.Budgets[i], fmt.Sprintf("budgets[%d]", i)
		if err := checkBudget(field, b); err != nil {
			return err
		}
		if slices.ContainsFunc(s.Budgets[:i], func(other gateway.BudgetConfig) bool { return other.Per == b.Per && other.Soft == b.Soft }) {
			return invalid(field+".per", "there is another budget for a %s", b.Per)
		}
	}
	if s.Expires != nil && (s.Expires.Year() < 1971 || s.Expires.Year() > 2200) {
		return invalid("expires", "%s is not a date from 1971 to 2200", s.Expires.Format(time.DateOnly))
	}
	return nil
}

// budgetName returns the name of a client's budget in answers, headers and metrics. No other
// client has a budget of this name, nor has the configuration unless it was chosen there.
func budgetName(client string, b *gateway.BudgetConfig) string {
	clean := strings.Map(func(r rune) rune {
		if r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-", r)) {
			return r
		}
		return '-'
	}, client)
	if clean != client || len(clean) > 60 {
		hash := sha256.Sum256([]byte(client))
		clean = clean[:min(len(clean), 60)] + "-" + hex.EncodeToString(hash[:8])
	}
	name := "keys-" + clean + "-" + b.Per
	if b.Soft {
		name += "-soft"
	}
	return name
}

// unnamed returns budgets without the names that they have as those of a client.
func unnamed(client string, budgets []gateway.BudgetConfig) []gateway.BudgetConfig {
	budgets = slices.Clone(budgets)
	for i := range budgets {
		if b := &budgets[i]; b.Name == budgetName(client, b) {
			b.Name = ""
		}
	}
	return budgets
}

// periods are how often a budget can begin anew.
var periods = []string{"day", "week", "month"}

func checkBudget(field string, b *gateway.BudgetConfig) error {
	switch {
	case b.Client != "":
		return invalid(field+".client", "the budget is for the client that has it: omit this")
	case b.Name != "":
		return invalid(field+".name", "the budget of a client in the store is named after the client: omit this")
	case b.Label != "":
		return invalid(field+".label", "a budget is for a client or for a label: labels have theirs in the configuration")
	case !(b.USD >= minUSD && b.USD <= maxUSD): // also not a number
		return invalid(field+".usd", "%v: want an amount in USD, more than 0 and at most %d", b.USD, maxUSD)
	case !slices.Contains(periods, b.Per):
		return invalid(field+".per", "%.100q: want day, week or month", b.Per)
	case b.TimeZone == "Local":
		return invalid(field+".time_zone", "want the name of a time zone, such as Europe/Berlin")
	case !(b.Pacing >= 0 && b.Pacing <= maxPacing):
		return invalid(field+".pacing", "%v: want a number from 0 to %d", b.Pacing, maxPacing)
	}
	if _, err := time.LoadLocation(b.TimeZone); err != nil {
		return invalid(field+".time_zone", "%.100q: want the name of a time zone, such as Europe/Berlin", b.TimeZone)
	}
	return nil
}

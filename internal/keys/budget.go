package keys

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/carrot-router/carrot/gateway"
)

// ParseBudget reads a budget such as 100/month, 5.50/day or 100/month@Europe/Berlin: an
// amount in USD, how often it begins anew, and the time zone, which is UTC if it is omitted.
func ParseBudget(text string) (b gateway.BudgetConfig, err error) {
	want := fmt.Errorf("%.100q: want an amount in USD for a day, week or month, such as 100/month or 100/month@Europe/Berlin", text)
	amount, rest, found := strings.Cut(text, "/")
	if !found {
		return b, want
	}
	per, zone, found := strings.Cut(rest, "@")
	if found && zone == "" {
		return b, want
	}
	if b.USD, err = strconv.ParseFloat(strings.TrimPrefix(amount, "$"), 64); err != nil {
		return gateway.BudgetConfig{}, want
	}
	b.Per, b.TimeZone = per, zone
	if err := checkBudget("budget", &b); err != nil {
		return gateway.BudgetConfig{}, fmt.Errorf("%.100q: %w", text, err)
	}
	return b, nil
}

// FormatBudget writes a budget as [ParseBudget] reads it.
func FormatBudget(b gateway.BudgetConfig) string {
	text := strconv.FormatFloat(b.USD, 'f', -1, 64) + "/" + b.Per
	if b.TimeZone != "" {
		text += "@" + b.TimeZone
	}
	return text
}

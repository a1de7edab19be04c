package keys

import (
	"fmt"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/spelling"
)

// InFile returns the clients of a configuration, sorted by name. They can only be read.
func InFile(config *gateway.File) []Client {
	var all []Client
	for _, c := range config.Clients {
		one := Client{Name: c.Name, Source: "file", State: Valid, Keys: []Key{}, Settings: Settings{Labels: orEmpty(c.Labels), Policies: append([]string{}, c.Policies...), Rates: c.Rates, Budgets: []gateway.BudgetConfig{}}}
		for _, b := range config.Budgets {
			if b.Client == c.Name {
				b.Client = ""
				one.Budgets = append(one.Budgets, b)
			}
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b Client) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// CheckFile returns an error if the store may not have a client of this name with these
// policies, because of a configuration.
func CheckFile(config *gateway.File, name string, policies []string) error {
	if slices.ContainsFunc(config.Clients, func(c gateway.ClientConfig) bool { return c.Name == name }) {
		return fmt.Errorf("%w: the configuration has a client %q", ErrTaken, name)
	}
	var known []string
	for _, p := range config.Policies {
		known = append(known, p.Name)
	}
	for _, e := range config.Embeddings {
		known = append(known, e.Name)
	}
	for _, name := range policies {
		if !slices.Contains(known, name) {
			return fmt.Errorf("the configuration has no policy %q: %s", name, spelling.Suggest(name, known))
		}
	}
	return nil
}

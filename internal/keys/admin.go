package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/carrot-router/carrot/gateway"
)

// Errors of [Admin] beside those of [Store].
var (
	ErrListed = errors.New("the client is in the configuration: change it there")
	ErrNoKey  = errors.New("no such key")
)

// Admin changes the clients in a store for those who administer a running gateway. Clients
// of the gateway's configuration can be read; a change of them is refused, and so is what
// the configuration does not allow.
type Admin struct {
	Store *Store
	// Config returns the configuration that is served. It is not called within a change,
	// because a reload of the configuration may wait for that.
	Config func() *gateway.File
	// Changed is called after a change. Nil: nothing is.
	Changed func(ctx context.Context)
}

// List returns the clients of the store and of the configuration, sorted by name.
func (a *Admin) List(ctx context.Context) ([]Client, error) {
	all, err := a.Store.List(ctx)
	if err != nil {
		return nil, err
	}
	all = append(all, InFile(a.Config())...)
	slices.SortStableFunc(all, func(x, y Client) int { return strings.Compare(x.Name, y.Name) })
	return all, nil
}

// Client returns a client of the store or of the configuration.
func (a *Admin) Client(ctx context.Context, name string) (*Client, error) {
	if c := a.listed(name); c != nil {
		return c, nil
	}
	return a.Store.Client(ctx, name)
}

// listed returns a client of the configuration, or nil.
func (a *Admin) listed(name string) *Client {
	for _, c := range InFile(a.Config()) {
		if c.Name == name {
			return &c
		}
	}
	return nil
}

// writable refuses changes of the configuration's clients.
func (a *Admin) writable(name string) error {
	if a.listed(name) != nil {
		return ErrListed
	}
	return nil
}

// fits refuses what the configuration does not allow.
func (a *Admin) fits(name string, policies []string) error {
	err := CheckFile(a.Config(), name, policies)
	if err != nil && !errors.Is(err, ErrTaken) {
		return &Invalid{"policies", err.Error()}
	}
	return err
}

// made makes a change known.
func (a *Admin) made(ctx context.Context, err error) error {
	if err == nil && a.Changed != nil {
		a.Changed(ctx)
	}
	return err
}

// Create creates a client with a key, as [Store.Create] does.
func (a *Admin) Create(ctx context.Context, who string, n NewClient) (*Client, string, error) {
	if err := a.fits(n.Name, n.Policies); err != nil {
		return nil, "", err
	}
	c, key, err := a.Store.Create(ctx, who, n)
	return c, key, a.made(ctx, err)
}

// Update changes the settings of a client, as [Store.Update] does. policies are those that f
// sets; nil: it leaves them as they are.
func (a *Admin) Update(ctx context.Context, who, name string, policies []string, f func(*Settings) error) (*Client, error) {
	if err := a.writable(name); err != nil {
		return nil, err
	}
	if err := a.fits(name, policies); err != nil {
		return nil, err
	}
	c, err := a.Store.Update(ctx, who, name, f)
	return c, a.made(ctx, err)
}

// Rotate adds a key to a client, as [Store.Rotate] does.
func (a *Admin) Rotate(ctx context.Context, who, name string, grace time.Duration) (*Client, string, error) {
	if err := a.writable(name); err != nil {
		return nil, "", err
	}
	c, key, err := a.Store.Rotate(ctx, who, name, grace)
	return c, key, a.made(ctx, err)
}

// Revoke revokes the client of a name with all its keys, or only its key with a prefix if
// that is not empty.
func (a *Admin) Revoke(ctx context.Context, who, name, prefix string) (*Client, error) {
	if err := a.writable(name); err != nil {
		return nil, err
	}
	was, err := a.Store.Client(ctx, name)
	if err != nil {
		return nil, err
	}
	what := name
	if prefix != "" {
		if !slices.ContainsFunc(was.Keys, func(k Key) bool { return k.Prefix == prefix }) {
			return nil, fmt.Errorf("%w: the client %q has no key %.100q", ErrNoKey, name, prefix)
		}
		what = prefix
	}
	c, err := a.Store.Revoke(ctx, who, what)
	return c, a.made(ctx, err)
}

package keys

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/database"
)

// Store is a database of clients and their keys. Its methods are safe for concurrent use,
// also by several processes.
type Store struct {
	db  *database.DB
	now func() time.Time
}

// Open opens the store in a database that exists.
func Open(ctx context.Context, dsn string) (*Store, error) {
	db, err := database.Open(ctx, dsn)
	if err != nil {
		return nil, err
	}
	return New(db), nil
}

// Make opens the store in a database, which is made if it does not exist.
func Make(ctx context.Context, dsn string) (*Store, error) {
	db, err := database.Make(ctx, dsn)
	if err != nil {
		return nil, err
	}
	return New(db), nil
}

// New returns the store in a database, which is closed with it.
func New(db *database.DB) *Store { return &Store{db: db, now: time.Now} }

// Close closes the store.
func (s *Store) Close() error { return s.db.Close() }

// change is a change within its transaction.
type change struct {
	tx  *database.Tx
	ctx context.Context
	now time.Time
	log []logged
}

// logged is what is written to the log of changes.
type logged struct {
	action, subject string
	details         map[string]any
}

// do makes changes and writes them to the log, in one transaction. One change is made after
// the other.
func (s *Store) do(ctx context.Context, who string, f func(c *change) error) error {
	return s.db.Do(ctx, func(tx *database.Tx) error {
		c := &change{tx: tx, ctx: ctx, now: s.now().UTC()}
		if err := c.exec("UPDATE keys_version SET version = version + 1"); err != nil {
			return err
		}
		if err := f(c); err != nil {
			return err
		}
		for _, l := range c.log {
			if err := Note(ctx, tx, c.now, who, l.action, l.subject, l.details); err != nil {
				return err
			}
		}
		return nil
	})
}

// Note writes a change that an administrator has made elsewhere in the store to the log:
// prune, erase, reprice, restore, import or reconcile. subject says of what, as far as it is
// about one thing.
func Note(ctx context.Context, db database.Querier, now time.Time, who, action, subject string, details map[string]any) error {
	text, err := json.Marshal(details)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "INSERT INTO audit (time, who, action, subject, details) VALUES (?, ?, ?, ?, ?)", now.UnixNano(), database.Text(who), action, database.Text(subject), string(text))
	return err
}

func (c *change) exec(query string, args ...any) error {
	_, err := c.tx.ExecContext(c.ctx, query, args...)
	return err
}

// note adds to the log of changes.
func (c *change) note(action, subject string, details map[string]any) {
	c.log = append(c.log, logged{action, subject, details})
}

// nanos returns a time as it is stored.
func nanos(t *time.Time) int64 {
	if t == nil {
		return 0
	}
	return t.UnixNano()
}

// timeOf returns a stored time.
func timeOf(nanos int64) *time.Time {
	if nanos == 0 {
		return nil
	}
	t := time.Unix(0, nanos).UTC()
	return &t
}

// columns returns settings as they are stored.
func (s *Settings) columns() (labels, policies, rates, budgets string, err error) {
	texts := make([]string, 4)
	for i, v := range []any{orEmpty(s.Labels), append([]string{}, s.Policies...), s.Rates, append([]gateway.BudgetConfig{}, s.Budgets...)} {
		text, err := json.Marshal(v)
		if err != nil {
			return "", "", "", "", err
		}
		texts[i] = string(text)
	}
	return texts[0], texts[1], texts[2], texts[3], nil
}

func orEmpty(labels map[string]string) map[string]string {
	if labels == nil {
		return map[string]string{}
	}
	return labels
}

// parse reads settings as they are stored.
func (s *Settings) parse(labels, policies, rates, budgets string) error {
	return errors.Join(json.Unmarshal([]byte(labels), &s.Labels), json.Unmarshal([]byte(policies), &s.Policies),
		json.Unmarshal([]byte(rates), &s.Rates), json.Unmarshal([]byte(budgets), &s.Budgets))
}

// NewClient is a client that is about to be created.
type NewClient struct {
	Name string
	Settings
	// Hash is the SHA-256 of a key that the client has already, and Prefix is how people
	// recognise it. Nil: a new key is made.
	Hash   *[sha256.Size]byte
	Prefix string
	// From says where the client was imported from, if it was.
	From string
}

// Create creates a client with a key. It returns the key, unless the client had one.
func (s *Store) Create(ctx context.Context, who string, n NewClient) (*Client, string, error) {
	n.Budgets = unnamed(n.Name, n.Budgets)
	if err := errors.Join(CheckName(n.Name), n.Check()); err != nil {
		return nil, "", err
	}
	key, hash, prefix := newKey()
	if n.Hash != nil {
		key, hash, prefix = "", *n.Hash, database.Text(n.Prefix)
	}
	var made *Client
	err := s.do(ctx, who, func(c *change) error {
		var one int
		switch err := c.tx.QueryRowContext(ctx, "SELECT 1 FROM file_clients WHERE name = ? AND seen > ?", n.Name, c.now.Add(-reserved).UnixNano()).Scan(&one); {
		case err == nil:
			return fmt.Errorf("%w: a running gateway has a client %q in its configuration", ErrTaken, n.Name)
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		switch old, err := c.client(n.Name); {
		case err == nil && old.Revoked != nil:
			return fmt.Errorf("%w: there was a client %q, which is revoked; records name it, so choose another name", ErrTaken, n.Name)
		case err == nil:
			return fmt.Errorf("%w: there is a client %q", ErrTaken, n.Name)
		case !errors.Is(err, ErrUnknown):
			return err
		}
		labels, policies, rates, budgets, err := n.columns()
		if err != nil {
			return err
		}
		if err := c.exec("INSERT INTO clients (name, labels, policies, rates, budgets, created, expires, revoked) VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
			n.Name, labels, policies, rates, budgets, c.now.UnixNano(), nanos(n.Expires)); err != nil {
			return err
		}
		if err := c.addKey(n.Name, hash, prefix); err != nil {
			return err
		}
		details := n.details()
		details["prefix"] = prefix
		if n.From != "" {
			details["from"] = n.From
		}
		c.note("create", n.Name, details)
		made, err = c.client(n.Name)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return made, key, nil
}

// addKey adds a key of a client.
func (c *change) addKey(client string, hash [sha256.Size]byte, prefix string) error {
	var owner string
	switch err := c.tx.QueryRowContext(c.ctx, "SELECT client FROM keys WHERE hash = ?", hex.EncodeToString(hash[:])).Scan(&owner); {
	case err == nil:
		return fmt.Errorf("%w: the key is that of client %q", ErrTaken, owner)
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	return c.exec("INSERT INTO keys (hash, client, prefix, created, ends, revoked) VALUES (?, ?, ?, ?, 0, 0)", hex.EncodeToString(hash[:]), client, prefix, c.now.UnixNano())
}

// details returns the settings that are not empty, for the log.
func (s *Settings) details() map[string]any {
	d := map[string]any{}
	if len(s.Labels) > 0 {
		d["labels"] = s.Labels
	}
	if len(s.Policies) > 0 {
		d["policies"] = s.Policies
	}
	if s.Rates != (gateway.RateConfig{}) {
		d["rates"] = s.Rates
	}
	if len(s.Budgets) > 0 {
		d["budgets"] = s.Budgets
	}
	if s.Expires != nil {
		d["expires"] = s.Expires
	}
	return d
}

// Update changes the settings of a client. The log has the settings that differ, as they were
// and are. An error of f is returned as it is.
func (s *Store) Update(ctx context.Context, who, name string, f func(*Settings) error) (*Client, error) {
	var made *Client
	err := s.do(ctx, who, func(c *change) error {
		old, err := c.active(name)
		if err != nil {
			return err
		}
		old.Budgets = unnamed(name, old.Budgets)
		is := old.Settings
		is.Labels, is.Policies, is.Budgets = maps.Clone(old.Labels), slices.Clone(old.Policies), slices.Clone(old.Budgets)
		if err := f(&is); err != nil {
			return err
		}
		is.Budgets = unnamed(name, is.Budgets)
		if err := is.Check(); err != nil {
			return err
		}
		labels, policies, rates, budgets, err := is.columns()
		if err != nil {
			return err
		}
		if err := c.exec("UPDATE clients SET labels = ?, policies = ?, rates = ?, budgets = ?, expires = ? WHERE name = ?", labels, policies, rates, budgets, nanos(is.Expires), name); err != nil {
			return err
		}
		was, now := old.details(), is.details()
		for _, field := range slices.Collect(maps.Keys(was)) {
			a, _ := json.Marshal(was[field])
			if b, _ := json.Marshal(now[field]); string(a) == string(b) {
				delete(was, field)
				delete(now, field)
			}
		}
		if len(was)+len(now) > 0 {
			c.note("update", name, map[string]any{"was": was, "is": now})
		}
		made, err = c.client(name)
		return err
	})
	return made, err
}

// Rotate adds a key to a client and returns it. The keys that it has end after grace, if not
// earlier.
func (s *Store) Rotate(ctx context.Context, who, name string, grace time.Duration) (*Client, string, error) {
	if grace < 0 || grace > MaxGrace {
		return nil, "", invalid("grace", "%v: want a time from 0 to %d days", grace, MaxGrace/(24*time.Hour))
	}
	key, hash, prefix := newKey()
	var made *Client
	err := s.do(ctx, who, func(c *change) error {
		if _, err := c.active(name); err != nil {
			return err
		}
		ends := c.now.Add(grace)
		if err := c.exec("UPDATE keys SET ends = ? WHERE client = ? AND revoked = 0 AND (ends = 0 OR ends > ?)", ends.UnixNano(), name, ends.UnixNano()); err != nil {
			return err
		}
		if err := c.addKey(name, hash, prefix); err != nil {
			return err
		}
		c.note("rotate", name, map[string]any{"prefix": prefix, "others_end": ends})
		var err error
		made, err = c.client(name)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return made, key, nil
}

// MaxGrace is the longest time for which keys can stay valid after a rotation.
const MaxGrace = 366 * 24 * time.Hour

// Revoke revokes a client with all its keys, or one key, by its prefix or as a whole. What is
// revoked already stays so.
func (s *Store) Revoke(ctx context.Context, who, nameOrPrefix string) (*Client, error) {
	var made *Client
	err := s.do(ctx, who, func(c *change) error {
		old, err := c.client(nameOrPrefix)
		if errors.Is(err, ErrUnknown) {
			made, err = c.revokeKey(nameOrPrefix)
			return err
		} else if err != nil {
			return err
		}
		if old.Revoked == nil {
			if err := c.exec("UPDATE clients SET revoked = ? WHERE name = ?", c.now.UnixNano(), old.Name); err != nil {
				return err
			}
			c.note("revoke", old.Name, map[string]any{})
		}
		made, err = c.client(old.Name)
		return err
	})
	return made, err
}

// revokeKey revokes a key, by its prefix or as a whole. Its errors do not show the key.
func (c *change) revokeKey(text string) (*Client, error) {
	whole := sha256.Sum256([]byte(text))
	rows, err := c.tx.QueryContext(c.ctx, "SELECT hash, client, prefix, revoked FROM keys WHERE prefix = ? OR hash = ? ORDER BY hash", database.Text(text), hex.EncodeToString(whole[:]))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var hashes, clients []string
	var prefix string
	var revoked int64
	for rows.Next() {
		var hash, client string
		if err := rows.Scan(&hash, &client, &prefix, &revoked); err != nil {
			return nil, err
		}
		hashes, clients = append(hashes, hash), append(clients, client)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	switch {
	case len(hashes) == 0:
		return nil, fmt.Errorf("%w, and no key: %.16q", ErrUnknown, text)
	case len(hashes) > 1:
		slices.Sort(clients)
		return nil, invalid("prefix", "%q is that of several keys, of %s: name the client", prefix, strings.Join(slices.Compact(clients), ", "))
	}
	if revoked == 0 {
		if err := c.exec("UPDATE keys SET revoked = ? WHERE hash = ?", c.now.UnixNano(), hashes[0]); err != nil {
			return nil, err
		}
		c.note("revoke-key", clients[0], map[string]any{"prefix": prefix})
	}
	return c.client(clients[0])
}

// client returns a client.
func (c *change) client(name string) (*Client, error) {
	return clientIn(c.ctx, c.tx, c.now, name)
}

func clientIn(ctx context.Context, db database.Querier, now time.Time, name string) (*Client, error) {
	all, err := clientsIn(ctx, db, now, name)
	if err != nil {
		return nil, err
	}
	if name == "" || len(all) == 0 {
		return nil, fmt.Errorf("%w: %.100q", ErrUnknown, name)
	}
	return &all[0], nil
}

// active returns a client that is not revoked.
func (c *change) active(name string) (*Client, error) {
	client, err := c.client(name)
	if err == nil && client.Revoked != nil {
		return nil, fmt.Errorf("%w: %q", ErrEnded, name)
	}
	return client, err
}

// clientsIn returns the client with a name, or all if name is empty, sorted by name.
func clientsIn(ctx context.Context, db database.Querier, now time.Time, name string) ([]Client, error) {
	const query = `SELECT c.name, c.labels, c.policies, c.rates, c.budgets, c.created, c.expires, c.revoked,
		COALESCE(k.prefix, ''), COALESCE(k.created, 0), COALESCE(k.ends, 0), COALESCE(k.revoked, 0)
		FROM clients c LEFT JOIN keys k ON k.client = c.name`
	where, args := "", []any{}
	if name != "" {
		where, args = " WHERE c.name = ?", append(args, database.Text(name))
	}
	rows, err := db.QueryContext(ctx, query+where+" ORDER BY c.name, k.created, k.hash", args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Client
	for rows.Next() {
		var c Client
		var labels, policies, rates, budgets, prefix string
		var created, expires, revoked, keyCreated, keyEnds, keyRevoked int64
		if err := rows.Scan(&c.Name, &labels, &policies, &rates, &budgets, &created, &expires, &revoked, &prefix, &keyCreated, &keyEnds, &keyRevoked); err != nil {
			return nil, err
		}
		if len(all) == 0 || all[len(all)-1].Name != c.Name {
			if err := c.parse(labels, policies, rates, budgets); err != nil {
				return nil, fmt.Errorf("client %q: %w", c.Name, err)
			}
			for i := range c.Budgets {
				c.Budgets[i].Name = budgetName(c.Name, &c.Budgets[i])
			}
			c.Source, c.Created, c.Expires, c.Revoked, c.Keys = "store", timeOf(created), timeOf(expires), timeOf(revoked), []Key{}
			c.State = stateAt(now, c.Expires, c.Revoked)
			all = append(all, c)
		}
		if keyCreated != 0 {
			last := &all[len(all)-1]
			k := Key{Prefix: prefix, Created: *timeOf(keyCreated), Ends: timeOf(keyEnds), Revoked: timeOf(keyRevoked)}
			if k.State = stateAt(now, k.Ends, k.Revoked); k.State == Valid {
				k.State = last.State
			}
			last.Keys = append(last.Keys, k)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b Client) int { return strings.Compare(a.Name, b.Name) }) // whatever the database's order of texts
	return all, nil
}

// List returns all clients, sorted by name.
func (s *Store) List(ctx context.Context) ([]Client, error) {
	return clientsIn(ctx, s.db, s.now(), "")
}

// Client returns a client.
func (s *Store) Client(ctx context.Context, name string) (*Client, error) {
	return clientIn(ctx, s.db, s.now(), name)
}

// LogRange selects from the log of changes.
type LogRange struct {
	Subject string // empty: all clients
	Before  int64  // only entries with a lower ID; 0: all
	Limit   int    // at most so many, the latest; 0: all
}

// Log returns entries of the log of changes, the latest first.
func (s *Store) Log(ctx context.Context, r LogRange) ([]Entry, error) {
	query, args := "SELECT id, time, who, action, subject, details FROM audit WHERE id > 0", []any{}
	if r.Subject != "" {
		query, args = query+" AND subject = ?", append(args, database.Text(r.Subject))
	}
	if r.Before > 0 {
		query, args = query+" AND id < ?", append(args, r.Before)
	}
	query += " ORDER BY id DESC"
	if r.Limit > 0 {
		query, args = query+" LIMIT ?", append(args, r.Limit)
	}
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []Entry{}
	for rows.Next() {
		var e Entry
		var at int64
		var details string
		if err := rows.Scan(&e.ID, &at, &e.Who, &e.Action, &e.Subject, &details); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(details), &e.Details); err != nil {
			return nil, fmt.Errorf("entry %d: %w", e.ID, err)
		}
		e.Time = time.Unix(0, at).UTC()
		all = append(all, e)
	}
	return all, rows.Err()
}

// reserved is how long a name is kept for the configuration of a gateway that listed it.
const reserved = 90 * time.Second

// Reserve keeps names for the clients in the configuration of a gateway, for a while. It
// returns an error if any of them is that of a client in the store that is not revoked.
func (s *Store) Reserve(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	names = slices.Sorted(slices.Values(names))
	return s.db.Do(ctx, func(tx *database.Tx) error {
		c := &change{tx: tx, ctx: ctx, now: s.now().UTC()}
		if err := c.exec("UPDATE keys_version SET version = version"); err != nil { // after other changes
			return err
		}
		var both []string
		for _, name := range names {
			switch old, err := c.client(name); {
			case err == nil && old.Revoked == nil:
				both = append(both, name)
			case err != nil && !errors.Is(err, ErrUnknown):
				return err
			}
			if err := c.exec("INSERT INTO file_clients (name, seen) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET seen = excluded.seen", database.Text(name), c.now.UnixNano()); err != nil {
				return err
			}
		}
		if len(both) > 0 {
			return fmt.Errorf("%w: the configuration and the store both have %s", ErrTaken, strings.Join(both, ", "))
		}
		return nil
	})
}

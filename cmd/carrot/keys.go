package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/internal/keys"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/internal/spelling"
)

type keysCommand struct {
	Create keysCreateCommand `cmd:"" help:"Create a client with a key."`
	List   keysListCommand   `cmd:"" help:"List clients and their keys."`
	Show   keysShowCommand   `cmd:"" help:"Show a client."`
	Update keysUpdateCommand `cmd:"" help:"Change what a client may do."`
	Rotate keysRotateCommand `cmd:"" help:"Give a client another key, and end its others after a while."`
	Revoke keysRevokeCommand `cmd:"" help:"Revoke a client, or one of its keys."`
	Import keysImportCommand `cmd:"" help:"Take over the keys of LiteLLM."`
	Log    keysLogCommand    `cmd:"" help:"Show who changed what, and when."`
}

func (c *keysCommand) Help() string {
	return `Clients and their keys are in the store of the gateway (store: in its configuration),
beside the clients that the configuration lists. Running gateways follow a change within
two seconds. docs/keys.md shows it from the start.

Example:
  carrot keys create search --store carrot.db --policy cheap --requests-per-minute 60`
}

// keysFlags say which store a command is about.
type keysFlags struct {
	Store  string `placeholder:"DSN" env:"CARROT_STORE" help:"Store of the gateway: store: in its configuration."`
	Config string `placeholder:"FILE" help:"Configuration of the gateway, for its store, clients and policies."`

	config *gateway.File // of Config; nil: none is given
}

// isNew reports whether the store is a file that does not exist.
func (f *keysFlags) isNew() bool {
	if f.Store == "" || database.IsPostgres(f.Store) {
		return false
	}
	_, err := os.Stat(f.Store)
	return errors.Is(err, fs.ErrNotExist)
}

// open opens the store. make says that it may be made.
func (f *keysFlags) open(ctx context.Context, make bool) (*keys.Store, error) {
	if f.Config != "" {
		config, err := gateway.OpenFile(f.Config, os.LookupEnv, nil)
		if err != nil {
			return nil, err
		}
		f.config, f.Store = config, cmp.Or(f.Store, config.Store)
		if f.Store == "" {
			return nil, hinted{fmt.Errorf("%s has no store", f.Config), "set store: in the configuration, or give --store"}
		}
	}
	if f.Store == "" {
		return nil, usagef("missing flags: --store=DSN, or --config=FILE")
	}
	if make {
		return keys.Make(ctx, f.Store)
	}
	s, err := keys.Open(ctx, f.Store)
	if errors.Is(err, database.ErrNone) {
		return nil, hinted{err, "name the file after store: in the gateway's configuration; carrot keys create makes it, and so does the gateway"}
	}
	return s, err
}

// refuse returns an error if the configuration does not allow a client.
func (f *keysFlags) refuse(name string, policies []string) error {
	if f.config == nil {
		return nil
	}
	return keys.CheckFile(f.config, name, policies)
}

// administrator is the user who runs the command.
func administrator() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return cmp.Or(os.Getenv("USER"), "uid "+strconv.Itoa(os.Getuid()))
}

// keysHint adds advice to an error of the store about a client.
func keysHint(ctx context.Context, s *keys.Store, name string, err error) error {
	switch {
	case errors.Is(err, keys.ErrUnknown):
		if all, err2 := s.List(ctx); err2 == nil {
			var names []string
			for i := range all {
				names = append(names, all[i].Name)
			}
			if near := spelling.Nearest(name, names); near != "" {
				return hinted{err, fmt.Sprintf("did you mean %s? carrot keys list shows all", near)}
			}
		}
		return hinted{err, "carrot keys list shows all clients and the prefixes of their keys"}
	case errors.Is(err, keys.ErrEnded):
		return hinted{err, "create a client with another name: carrot keys create"}
	}
	return usage(err)
}

// usage returns an error about a value as one about the use of the command.
func usage(err error) error {
	if _, ok := errors.AsType[*keys.Invalid](err); ok {
		return usageError{err}
	}
	return err
}

// settingsFlags are what a client may do.
type settingsFlags struct {
	Policy            []string `placeholder:"NAME" help:"Policies and embedding models that the client may use; the first policy is what the model auto means. Without any, it may use all, and all models by name."`
	Label             []string `placeholder:"NAME=VALUE" sep:"none" help:"Labels in the records of the client's requests."`
	Expires           string   `placeholder:"TIME" help:"End of all its keys: a time span from now such as 90d, or a day such as 2027-03-01 (its beginning in UTC)."`
	RequestsPerMinute *int     `placeholder:"N" help:"Most requests in a minute; 0 for any number."`
	TokensPerMinute   *int     `placeholder:"N" help:"Most tokens in a minute; 0 for any number."`
	Concurrent        *int     `placeholder:"N" help:"Most requests at once; 0 for any number."`
	Budget            []string `placeholder:"BUDGET" sep:"none" help:"Most USD in a day, week or month: 100/month, or 100/month@Europe/Berlin."`
	SoftBudget        []string `placeholder:"BUDGET" sep:"none" help:"A budget that is only said to be passed."`
}

// apply changes settings as the flags say.
func (f *settingsFlags) apply(s *keys.Settings, now time.Time) error {
	if len(f.Policy) > 0 {
		s.Policies = f.Policy
	}
	for _, text := range f.Label {
		name, value, found := strings.Cut(text, "=")
		if !found {
			return usagef("--label %q: want NAME=VALUE", text)
		}
		if s.Labels == nil {
			s.Labels = map[string]string{}
		}
		s.Labels[name] = value
	}
	if f.Expires != "" {
		at, err := parseEnd(f.Expires, now)
		if err != nil {
			return err
		}
		s.Expires = &at
	}
	for _, r := range []struct {
		given *int
		to    *int
	}{{f.RequestsPerMinute, &s.Rates.Requests}, {f.TokensPerMinute, &s.Rates.Tokens}, {f.Concurrent, &s.Rates.Concurrent}} {
		if r.given != nil {
			*r.to = *r.given
		}
	}
	if len(f.Budget)+len(f.SoftBudget) > 0 {
		s.Budgets = nil
	}
	for _, kind := range []struct {
		flag  string
		texts []string
		soft  bool
	}{{"--budget", f.Budget, false}, {"--soft-budget", f.SoftBudget, true}} {
		for _, text := range kind.texts {
			b, err := keys.ParseBudget(text)
			if err != nil {
				return usagef("%s %w", kind.flag, err)
			}
			b.Soft = kind.soft
			s.Budgets = append(s.Budgets, b)
		}
	}
	return nil
}

// parseEnd reads a time in the future: a time span, or a time.
func parseEnd(text string, now time.Time) (time.Time, error) {
	if age, err := parseAge(text); err == nil && age > 0 {
		return now.Add(age).UTC().Truncate(time.Second), nil
	}
	at, err := parseTime("--expires", text)
	if err != nil {
		return at, usagef("--expires %q: want a time span such as 90d, a day such as 2027-03-01, or a time such as 2027-03-01T08:00:00Z", text)
	}
	if !at.After(now) {
		return at, usagef("--expires %s is past", text)
	}
	return at.UTC(), nil
}

type keysCreateCommand struct {
	Name string `arg:"" help:"Name of the client, in records and metrics."`
	keysFlags
	settingsFlags
	JSON bool `name:"json" help:"Print as JSON."`
}

func (c *keysCreateCommand) Help() string {
	return `Prints the key. That is the only time it is shown: the store has its hash. The store is
made if it does not exist.

Examples:
  carrot keys create search --store carrot.db
  carrot keys create search --store carrot.db --policy support,cheap --label team=search --expires 90d --requests-per-minute 60 --budget 100/month@Europe/Berlin`
}

func (c *keysCreateCommand) Run(ctx context.Context, t terminal) error {
	n := keys.NewClient{Name: c.Name}
	if err := c.apply(&n.Settings, time.Now()); err != nil {
		return err
	}
	if err := errors.Join(keys.CheckName(n.Name), n.Check()); err != nil { // before a store is made
		return usage(err)
	}
	made := c.isNew()
	s, err := c.open(ctx, true)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := c.refuse(n.Name, n.Policies); err != nil {
		return err
	}
	client, key, err := s.Create(ctx, administrator(), n)
	if err != nil {
		return keysHint(ctx, s, c.Name, err)
	}
	if err := printKey(t.out, c.JSON, client, key); err != nil {
		return err
	}
	if made {
		fmt.Fprintf(t.err, "carrot: %s is a new store: the gateway must have it as store:\n", c.Store)
	}
	return nil
}

// printKey prints a client with a new key.
func printKey(out io.Writer, asJSON bool, client *keys.Client, key string) error {
	if asJSON {
		return json.NewEncoder(out).Encode(keys.OneAnswer(client, key))
	}
	fmt.Fprintln(out, key)
	fmt.Fprintf(out, "This is the key of %s. It is not shown again.\n", client.Name)
	for _, k := range client.Keys {
		if k.State == keys.Valid && k.Ends != nil {
			fmt.Fprintf(out, "Its key %s… ends at %s.\n", k.Prefix, k.Ends.Format(time.RFC3339))
		}
	}
	return nil
}

type keysListCommand struct {
	keysFlags
	All  bool `help:"List revoked and expired clients, too."`
	JSON bool `name:"json" help:"Print all as JSON."`
}

func (c *keysListCommand) Help() string {
	return `Keys are shown by their beginnings. With --config, the clients of the configuration are
listed too; they can only be changed there.

Examples:
  carrot keys list --store carrot.db
  carrot keys list --config carrot.yaml --json`
}

func (c *keysListCommand) Run(ctx context.Context, t terminal) error {
	var all []keys.Client
	s, err := c.open(ctx, false)
	switch {
	case err == nil:
		defer s.Close()
		if all, err = s.List(ctx); err != nil {
			return err
		}
	case c.config == nil || c.Store != "" && !errors.Is(err, database.ErrNone):
		return err
	}
	if c.config != nil { // which may have no store, or one that no gateway has made yet
		all = append(all, keys.InFile(c.config)...)
		slices.SortStableFunc(all, func(a, b keys.Client) int { return strings.Compare(a.Name, b.Name) })
	}
	if c.JSON {
		return json.NewEncoder(t.out).Encode(keys.ClientsAnswer(all))
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "client\tstate\tkeys\tpolicies\tlimits\texpires")
	n, hidden := 0, 0
	for i := range all {
		client := &all[i]
		if client.State != keys.Valid && !c.All {
			hidden++
			continue
		}
		n++
		state := string(client.State)
		if client.Source == "file" {
			state = "in file"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", client.Name, state, cmp.Or(validKeys(client), "-"), cmp.Or(strings.Join(client.Policies, ", "), "all"), cmp.Or(limitsOf(&client.Settings), "-"), day(client.Expires))
	}
	if n > 0 {
		if err := w.Flush(); err != nil {
			return err
		}
	} else if hidden == 0 {
		fmt.Fprintln(t.out, "no clients: carrot keys create NAME makes one")
	}
	if hidden > 0 {
		fmt.Fprintf(t.out, "%s revoked or expired: see --all\n", phrase.Count(hidden, "client"))
	}
	return nil
}

// validKeys returns the beginnings of a client's valid keys.
func validKeys(c *keys.Client) string {
	var prefixes []string
	for _, k := range c.Keys {
		if k.State == keys.Valid {
			prefixes = append(prefixes, k.Prefix)
		}
	}
	return strings.Join(prefixes, ", ")
}

// limitsOf writes rates and budgets.
func limitsOf(s *keys.Settings) string {
	var all []string
	for _, r := range []struct {
		n    int
		what string
	}{{s.Rates.Requests, "requests/minute"}, {s.Rates.Tokens, "tokens/minute"}, {s.Rates.Concurrent, "at once"}} {
		if r.n > 0 {
			all = append(all, fmt.Sprintf("%d %s", r.n, r.what))
		}
	}
	for _, b := range s.Budgets {
		text := "$" + keys.FormatBudget(b)
		if b.Soft {
			text += " (soft)"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// day writes when something ends.
func day(t *time.Time) string {
	switch {
	case t == nil:
		return "never"
	case t.Equal(t.Truncate(24 * time.Hour)):
		return t.Format(time.DateOnly)
	}
	return t.Format(time.RFC3339)
}

type keysShowCommand struct {
	Name string `arg:"" help:"Name of the client."`
	keysFlags
	JSON bool `name:"json" help:"Print as JSON."`
}

func (c *keysShowCommand) Help() string {
	return `Example:
  carrot keys show search --store carrot.db`
}

func (c *keysShowCommand) Run(ctx context.Context, t terminal) error {
	s, err := c.open(ctx, false)
	if err != nil {
		return err
	}
	defer s.Close()
	client, err := s.Client(ctx, c.Name)
	if errors.Is(err, keys.ErrUnknown) && c.config != nil {
		listed := keys.InFile(c.config)
		if i := slices.IndexFunc(listed, func(l keys.Client) bool { return l.Name == c.Name }); i >= 0 {
			client, err = &listed[i], nil
		}
	}
	if err != nil {
		return keysHint(ctx, s, c.Name, err)
	}
	return printClient(t.out, c.JSON, client)
}

// printClient prints a client.
func printClient(out io.Writer, asJSON bool, c *keys.Client) error {
	if asJSON {
		return json.NewEncoder(out).Encode(keys.OneAnswer(c, ""))
	}
	where := "in the store"
	if c.Source == "file" {
		where = "in the configuration"
	}
	fmt.Fprintf(out, "%s  %s, %s\n", c.Name, c.State, where)
	var labels []string
	for _, name := range slices.Sorted(maps.Keys(c.Labels)) {
		labels = append(labels, name+"="+c.Labels[name])
	}
	for _, line := range [][2]string{{"policies", cmp.Or(strings.Join(c.Policies, ", "), "all, and all models by name")}, {"limits", cmp.Or(limitsOf(&c.Settings), "none")}, {"labels", cmp.Or(strings.Join(labels, ", "), "none")}, {"expires", day(c.Expires)}} {
		fmt.Fprintf(out, "  %-9s %s\n", line[0], line[1])
	}
	for _, k := range c.Keys {
		text := string(k.State)
		switch {
		case k.Revoked != nil:
			text += " at " + k.Revoked.Format(time.RFC3339)
		case k.Ends != nil:
			text += ", ends at " + k.Ends.Format(time.RFC3339)
		}
		fmt.Fprintf(out, "  key       %s… of %s, %s\n", k.Prefix, k.Created.Format(time.RFC3339), text)
	}
	return nil
}

type keysUpdateCommand struct {
	Name string `arg:"" help:"Name of the client."`
	keysFlags
	settingsFlags
	AllPolicies bool     `help:"Let it use all policies, and all models by name."`
	RemoveLabel []string `placeholder:"NAME" help:"Labels to remove."`
	NoBudgets   bool     `help:"Remove its budgets."`
	NoExpiry    bool     `help:"Let its keys not expire."`
	JSON        bool     `name:"json" help:"Print as JSON."`
}

func (c *keysUpdateCommand) Help() string {
	return `Changes what the flags name, and leaves the rest as it is: --policy and --budget replace
all policies and all budgets, --label adds or changes one. Keys stay as they are.

Examples:
  carrot keys update search --store carrot.db --requests-per-minute 120
  carrot keys update search --store carrot.db --policy support --no-budgets`
}

func (c *keysUpdateCommand) Run(ctx context.Context, t terminal) error {
	for _, both := range []struct {
		are  bool
		what string
	}{{c.AllPolicies && len(c.Policy) > 0, "--policy and --all-policies"}, {c.NoBudgets && len(c.Budget)+len(c.SoftBudget) > 0, "--budget and --no-budgets"}, {c.NoExpiry && c.Expires != "", "--expires and --no-expiry"}} {
		if both.are {
			return usagef("%s cannot be used together", both.what)
		}
	}
	s, err := c.open(ctx, false)
	if err != nil {
		return err
	}
	defer s.Close()
	client, err := s.Update(ctx, administrator(), c.Name, func(set *keys.Settings) error {
		if c.AllPolicies {
			set.Policies = nil
		}
		if c.NoBudgets {
			set.Budgets = nil
		}
		if c.NoExpiry {
			set.Expires = nil
		}
		for _, name := range c.RemoveLabel {
			delete(set.Labels, name)
		}
		if err := c.apply(set, time.Now()); err != nil {
			return err
		}
		return c.refuse(c.Name, c.Policy)
	})
	if err != nil {
		return keysHint(ctx, s, c.Name, err)
	}
	return printClient(t.out, c.JSON, client)
}

type keysRotateCommand struct {
	Name string `arg:"" help:"Name of the client."`
	keysFlags
	Grace string `default:"24h" placeholder:"TIME" help:"How long its other keys stay valid, such as 24h, 7d or 0s (${default})."`
	JSON  bool   `name:"json" help:"Print as JSON."`
}

func (c *keysRotateCommand) Help() string {
	return `Prints the new key, which is not shown again. Until its end, the old key is valid too, so
that the client can be given the new one without a failed request.

Example:
  carrot keys rotate search --store carrot.db --grace 7d`
}

func (c *keysRotateCommand) Run(ctx context.Context, t terminal) error {
	grace, err := parseAge(c.Grace)
	if err != nil {
		return usageError{fmt.Errorf("--grace %w", err)}
	}
	s, err := c.open(ctx, false)
	if err != nil {
		return err
	}
	defer s.Close()
	client, key, err := s.Rotate(ctx, administrator(), c.Name, grace)
	if err != nil {
		return keysHint(ctx, s, c.Name, err)
	}
	return printKey(t.out, c.JSON, client, key)
}

type keysRevokeCommand struct {
	What string `arg:"" name:"name" help:"Name of a client, the beginning of a key as carrot keys list shows it, or a whole key."`
	keysFlags
	JSON bool `name:"json" help:"Print as JSON."`
}

func (c *keysRevokeCommand) Help() string {
	return `A revoked client and a revoked key stay revoked, and in the list, because records name
them. Running gateways refuse them within two seconds.

Examples:
  carrot keys revoke search --store carrot.db
  carrot keys revoke sk-carrot-7QX2MD --store carrot.db`
}

func (c *keysRevokeCommand) Run(ctx context.Context, t terminal) error {
	s, err := c.open(ctx, false)
	if err != nil {
		return err
	}
	defer s.Close()
	client, err := s.Revoke(ctx, administrator(), strings.TrimSuffix(c.What, "…"))
	if err != nil {
		return keysHint(ctx, s, c.What, err)
	}
	if c.JSON {
		return json.NewEncoder(t.out).Encode(keys.OneAnswer(client, ""))
	}
	if client.State == keys.Revoked {
		fmt.Fprintf(t.out, "%s: revoked, with all its keys\n", client.Name)
		return nil
	}
	fmt.Fprintf(t.out, "%s: the key is revoked; valid keys: %s\n", client.Name, cmp.Or(validKeys(client), "none"))
	return nil
}

type keysImportCommand struct {
	File string `arg:"" placeholder:"FILE" help:"Keys of LiteLLM; - for standard input."`
	keysFlags
	Policy  []string `placeholder:"NAME" help:"Policies for keys that were limited to models. Without any, such keys are left out."`
	Budget  []string `placeholder:"BUDGET" sep:"none" help:"Budget for keys whose own cannot be taken over, such as 100/month. Without any, such keys are left out."`
	NewKeys bool     `help:"Make new keys and print them, in place of those that clients have."`
	DryRun  bool     `help:"Say what would be done, and change nothing."`
	JSON    bool     `name:"json" help:"Print as JSON."`
}

func (c *keysImportCommand) Help() string {
	return `Reads the answer of LiteLLM's GET /key/list?return_full_object=true, or its table
LiteLLM_VerificationToken as JSON, JSON lines or CSV. Names, rates, budgets, expiry and
hashes are taken over, so that clients keep their keys; the keys themselves are not in the
export. What is not taken over is said.

Examples:
  carrot keys import keys.json --store carrot.db --policy auto
  carrot keys import keys.csv --store carrot.db --dry-run`
}

// importedKey is what was done with a key of an export.
type importedKey struct {
	Name    string   `json:"name"`
	Key     string   `json:"key,omitempty"`
	Prefix  string   `json:"prefix,omitempty"`
	Refused string   `json:"refused,omitempty"`
	Lost    []string `json:"lost"`
}

func (c *keysImportCommand) Run(ctx context.Context, t terminal) error {
	var budgets []gateway.BudgetConfig
	for _, text := range c.Budget {
		b, err := keys.ParseBudget(text)
		if err != nil {
			return usagef("--budget %w", err)
		}
		budgets = append(budgets, b)
	}
	in := t.in
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, keys.MaxImport+1))
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	all, err := keys.ParseLiteLLM(data, time.Now())
	if err != nil {
		return hinted{fmt.Errorf("%s: %w", c.File, err), "carrot keys import --help says what is read"}
	}
	s, err := c.open(ctx, !c.DryRun)
	if err != nil {
		return err
	}
	defer s.Close()
	p := startProgress(ctx, t.err, "importing keys")
	defer p.stop()
	done, n := []importedKey{}, 0
	for i := range all {
		one, err := c.one(ctx, s, &all[i], budgets)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", c.File, all[i].Name, err)
		}
		if done = append(done, one); one.Refused == "" {
			n++
		}
	}
	p.stop()
	if c.JSON {
		err = json.NewEncoder(t.out).Encode(struct {
			Schema string        `json:"schema"`
			DryRun bool          `json:"dry_run"`
			Keys   []importedKey `json:"keys"`
		}{"carrot.keys-import/1", c.DryRun, done})
	} else {
		for _, one := range done {
			switch {
			case one.Refused != "":
				fmt.Fprintf(t.out, "%s: left out: %s\n", one.Name, one.Refused)
			case one.Key != "":
				fmt.Fprintf(t.out, "%s: new key %s\n", one.Name, one.Key)
			default:
				fmt.Fprintf(t.out, "%s: with its key %s\n", one.Name, cmp.Or(one.Prefix, "(a new one)"))
			}
			for _, lost := range one.Lost {
				fmt.Fprintf(t.out, "  not taken over: %s\n", lost)
			}
		}
		what := "imported; what they have spent so far is not"
		if c.DryRun {
			what = "could be imported; nothing was changed"
		}
		fmt.Fprintf(t.out, "%d of %s %s\n", n, phrase.Count(len(done), "key"), what)
	}
	if err == nil && n == 0 {
		err = fmt.Errorf("%s: no key was imported", c.File)
	}
	return err
}

// one imports a key.
func (c *keysImportCommand) one(ctx context.Context, s *keys.Store, m *keys.Imported, budgets []gateway.BudgetConfig) (importedKey, error) {
	if c.NewKeys {
		m.Hash = nil
	}
	done := importedKey{Name: m.Name, Prefix: m.Prefix, Refused: m.Refused, Lost: append([]string{}, m.Lost...)}
	refuse := func(format string, args ...any) {
		if done.Refused == "" {
			done.Refused = fmt.Sprintf(format, args...)
		}
	}
	if len(m.Models) > 0 {
		if m.Policies = c.Policy; len(m.Policies) == 0 {
			refuse("it is limited to the models %s: say with --policy which policies it may use instead", strings.Join(m.Models, ", "))
		}
		done.Lost = append(done.Lost, "models "+strings.Join(m.Models, ", "))
	}
	if m.Unbudgeted != "" {
		if m.Budgets = budgets; len(budgets) == 0 {
			refuse("%s: say with --budget which one it has instead", m.Unbudgeted)
		}
		done.Lost = append(done.Lost, m.Unbudgeted)
	}
	if m.Hash == nil && !c.NewKeys {
		refuse("its hash is not in the export: --new-keys makes a new key")
	}
	if err := c.refuse(m.Name, m.Policies); err != nil {
		refuse("%v", err)
	}
	if err := m.Check(); err != nil {
		refuse("%v", err)
	}
	if done.Refused != "" {
		return done, nil
	}
	if c.DryRun {
		_, err := s.Client(ctx, m.Name)
		switch {
		case err == nil:
			refuse("%v: there is a client %q", keys.ErrTaken, m.Name)
		case !errors.Is(err, keys.ErrUnknown):
			return done, err
		}
		return done, nil
	}
	client, key, err := s.Create(ctx, administrator(), m.NewClient)
	switch {
	case errors.Is(err, keys.ErrTaken):
		refuse("%v", err)
	case err != nil:
		return done, err
	default:
		done.Key, done.Prefix = key, client.Keys[0].Prefix
	}
	return done, nil
}

type keysLogCommand struct {
	Name string `arg:"" optional:"" help:"Name of a client; all, if it is omitted."`
	keysFlags
	Limit int  `default:"50" placeholder:"N" help:"Show at most so many changes; 0 for all (${default})."`
	JSON  bool `name:"json" help:"Print as JSON."`
}

func (c *keysLogCommand) Help() string {
	return `Every change is written to the log together with what it changes: by whom (a user of the
system, dashboard and who has logged in there, or admin-api and an address), what, and how
it was before. The latest is first.

Examples:
  carrot keys log --store carrot.db
  carrot keys log search --store carrot.db --limit 0 --json`
}

func (c *keysLogCommand) Run(ctx context.Context, t terminal) error {
	if c.Limit < 0 {
		return usagef("--limit %d: want a number from 0", c.Limit)
	}
	s, err := c.open(ctx, false)
	if err != nil {
		return err
	}
	defer s.Close()
	all, err := s.Log(ctx, keys.LogRange{Subject: c.Name, Limit: c.Limit})
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(t.out).Encode(keys.ChangesAnswer(all))
	}
	if len(all) == 0 {
		fmt.Fprintln(t.out, "no changes")
	}
	for _, e := range all {
		details, err := json.Marshal(e.Details)
		if err != nil {
			return err
		}
		fmt.Fprintf(t.out, "%s  %s  %s %s  %s\n", e.Time.Format(time.RFC3339), e.Who, e.Action, e.Subject, details)
	}
	return nil
}

package dashboard

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/budget"
	"github.com/carrot-router/carrot/internal/keys"
	"github.com/carrot-router/carrot/internal/ledger"
)

const (
	maxClients   = 500 // that are listed on a page
	maxEntries   = 50  // of the log of changes on a page
	defaultGrace = 24  // hours after a rotation
)

// clientRow is a client in the list.
type clientRow struct {
	*keys.Client
	Used    ledger.Group // within the period
	Known   bool         // what was used is
	Share   float64      // of all that was spent; NaN: nothing was
	Budgets []budgetRow
}

// Address returns the address of a client's page.
func (c clientRow) Address() string { return clientAddress(c.Name) }

func clientAddress(name string) string { return Root + "clients/" + url.PathEscape(name) }

// clientsList is the body of the page of all clients.
type clientsList struct {
	Period  period
	Periods []period
	Query   string // that names contain
	Ended   bool   // those that ended are listed, too
	Rows    []clientRow
	Hidden  int  // clients that ended
	More    int  // clients that the page has no room for
	Store   bool // the gateway has one
	Form    clientForm
}

// clients lists the clients.
func (d *Dashboard) clients(r *http.Request) (*view, error) {
	return d.clientsPage(r, d.formOf(&keys.Settings{}))
}

func (d *Dashboard) clientsPage(r *http.Request, form clientForm) (*view, error) {
	p, err := clientsPeriod(r)
	if err != nil {
		return nil, err
	}
	l := clientsList{Period: p, Periods: periods, Query: strings.TrimSpace(r.URL.Query().Get("q")), Ended: r.URL.Query().Get("ended") != "", Store: d.Keys != nil, Form: form}
	all := keys.InFile(d.Config())
	if d.Keys != nil {
		if all, err = d.Keys.List(r.Context()); err != nil {
			return nil, err
		}
	}
	used, total, err := d.usedBy(r.Context(), p)
	if err != nil {
		return nil, err
	}
	figures, err := d.figures(r.Context())
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for i := range all {
		seen[all[i].Name] = true
		l.add(d.rowOf(&all[i], used, total, figures))
	}
	for name := range used { // clients that have gone, and requests without a key
		if !seen[name] {
			l.add(d.rowOf(&keys.Client{Name: name}, used, total, nil))
		}
	}
	slices.SortFunc(l.Rows, func(a, b clientRow) int {
		return cmp.Or(cmp.Compare(b.Used.Cost.Float(), a.Used.Cost.Float()), cmp.Compare(b.Used.Requests, a.Used.Requests), strings.Compare(a.Name, b.Name))
	})
	if len(l.Rows) > maxClients {
		l.Rows, l.More = l.Rows[:maxClients], len(l.Rows)-maxClients
	}
	v := &view{page: "clients", section: "clients", title: "Clients", body: l}
	if form.Error != "" {
		v.status = http.StatusBadRequest
	}
	return v, nil
}

// clientsPeriod returns the period that a request asks for, by default the longest.
func clientsPeriod(r *http.Request) (period, error) {
	if r.URL.Query().Get("period") == "" {
		return periods[len(periods)-1], nil
	}
	return periodOf(r)
}

// add adds a client that the page is asked for.
func (l *clientsList) add(c clientRow) {
	switch {
	case !strings.Contains(strings.ToLower(c.Name), strings.ToLower(l.Query)):
	case !l.Ended && (c.State == keys.Revoked || c.State == keys.Expired) && c.Used.Requests == 0:
		l.Hidden++
	default:
		l.Rows = append(l.Rows, c)
	}
}

// usedBy returns what clients have used in a period, by their names. Nil: it is unknown.
func (d *Dashboard) usedBy(ctx context.Context, p period) (map[string]ledger.Group, ledger.Group, error) {
	if d.Store == nil {
		return nil, ledger.Group{}, nil
	}
	type sums struct {
		by    map[string]ledger.Group
		total ledger.Group
	}
	s, err := remember(d, ctx, "clients "+p.Name, func(ctx context.Context) (sums, error) {
		groups, total, err := d.Store.Summary(ctx, ledger.Range{From: p.from(d.Now())}, ledger.ByClient)
		by := make(map[string]ledger.Group, len(groups))
		for _, g := range groups {
			by[g.Name] = g
		}
		return sums{by, total}, err
	})
	return s.by, s.total, err
}

// figures returns what is known of all budgets, by their names.
func (d *Dashboard) figures(ctx context.Context) (map[string]budget.Figures, error) {
	if d.Budgets == nil {
		return nil, nil
	}
	list, err := d.Budgets(ctx)
	if err != nil {
		return nil, err
	}
	by := make(map[string]budget.Figures, len(list))
	for _, f := range list {
		by[f.Name] = f
	}
	return by, nil
}

func (d *Dashboard) rowOf(c *keys.Client, used map[string]ledger.Group, total ledger.Group, figures map[string]budget.Figures) clientRow {
	row := clientRow{Client: c, Used: used[c.Name], Known: used != nil, Share: math.NaN()}
	if all := total.Cost.Float(); all > 0 {
		row.Share = row.Used.Cost.Float() / all
	}
	for _, b := range c.Budgets {
		if f, ok := figures[b.Name]; ok {
			row.Budgets = append(row.Budgets, rowOf(f, d.Now()))
		}
	}
	return row
}

// Requests returns the address of the client's requests.
func (c clientRow) Requests() string { return requestsOf(c.Name) }

// Active returns the keys that are valid.
func (c clientRow) Active() []keys.Key {
	return slices.DeleteFunc(slices.Clone(c.Keys), func(k keys.Key) bool { return k.State != keys.Valid })
}

// Limits writes the most that a client may send.
func (c clientRow) Limits() []string {
	var all []string
	for _, r := range []struct {
		n    int
		what string
	}{{c.Rates.Requests, "requests a minute"}, {c.Rates.Tokens, "tokens a minute"}, {c.Rates.Concurrent, "at once"}} {
		if r.n > 0 {
			all = append(all, fmt.Sprintf("%d %s", r.n, r.what))
		}
	}
	return all
}

// LabelList writes the labels of a client.
func (c clientRow) LabelList() []string { return labelLines(c.Labels) }

func labelLines(labels map[string]string) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, name+"="+labels[name])
	}
	return all
}

// clientPage is the body of the page of one client.
type clientPage struct {
	clientRow
	Period  period
	Periods []period
	Models  []ledger.Group // that it has used
	Log     []entryView
	More    bool // there are older entries
	Form    clientForm
	Grace   string
	Newest  string // the prefix of its newest key
	Error   string // about a rotation
}

// entryView is a change in the log of changes.
type entryView struct {
	keys.Entry
	What []string
}

// client shows a client.
func (d *Dashboard) client(r *http.Request) (*view, error) {
	c, err := d.find(r)
	if err != nil {
		return nil, err
	}
	return d.clientPage(r, c, clientPage{Form: d.formOf(&c.Settings)})
}

// find returns the client that the address of a request names.
func (d *Dashboard) find(r *http.Request) (*keys.Client, error) {
	name := r.PathValue("name")
	if d.Keys != nil {
		return d.Keys.Client(r.Context(), name)
	}
	for _, c := range keys.InFile(d.Config()) {
		if c.Name == name {
			return &c, nil
		}
	}
	return nil, fmt.Errorf("%w: %.100q", keys.ErrUnknown, name)
}

func (d *Dashboard) clientPage(r *http.Request, c *keys.Client, p clientPage) (*view, error) {
	ctx := r.Context()
	var err error
	if p.Period, err = clientsPeriod(r); err != nil {
		return nil, err
	}
	p.Periods, p.Grace = periods, cmp.Or(p.Grace, strconv.Itoa(defaultGrace))
	figures, err := d.figures(ctx)
	if err != nil {
		return nil, err
	}
	p.clientRow = d.rowOf(c, nil, ledger.Group{}, figures)
	if n := len(c.Keys); n > 0 {
		p.Newest = c.Keys[n-1].Prefix
	}
	if d.Store != nil {
		p.Known = true
		if p.Models, p.Used, err = d.Store.Summary(ctx, ledger.Range{From: p.Period.from(d.Now()), Clients: []string{c.Name}}, ledger.ByModel); err != nil {
			return nil, err
		}
	}
	if d.Keys != nil {
		log, err := d.Keys.Store.Log(ctx, keys.LogRange{Subject: c.Name, Limit: maxEntries + 1})
		if err != nil {
			return nil, err
		}
		if p.More = len(log) > maxEntries; p.More {
			log = log[:maxEntries]
		}
		for _, e := range log {
			p.Log = append(p.Log, entryView{e, changesOf(e)})
		}
	}
	v := &view{page: "client", section: "clients", title: c.Name, body: p}
	if p.Error != "" || p.Form.Error != "" {
		v.status = http.StatusBadRequest
	}
	return v, nil
}

// Writable reports whether the client can be changed here.
func (p clientPage) Writable() bool { return p.Source == "store" && p.State != keys.Revoked }

// changesOf writes what an entry of the log of changes says.
func changesOf(e keys.Entry) []string {
	text := func(v any) string {
		if s, ok := v.(string); ok {
			return s
		}
		data, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprint(v)
		}
		return string(data)
	}
	var all []string
	was, _ := e.Details["was"].(map[string]any)
	is, ok := e.Details["is"].(map[string]any)
	if e.Action == "update" && ok {
		both := maps.Clone(was)
		if both == nil {
			both = map[string]any{}
		}
		maps.Copy(both, is)
		for _, field := range slices.Sorted(maps.Keys(both)) {
			from, to := "nothing", "nothing"
			if v, ok := was[field]; ok {
				from = text(v)
			}
			if v, ok := is[field]; ok {
				to = text(v)
			}
			all = append(all, field+": "+from+" → "+to)
		}
		return all
	}
	for _, field := range slices.Sorted(maps.Keys(e.Details)) {
		all = append(all, strings.ReplaceAll(field, "_", " ")+": "+text(e.Details[field]))
	}
	return all
}

// who says in the log of changes who sent a request.
func who(r *http.Request) string {
	u := userOf(r)
	name := cmp.Or(u.Name, addressOf(r))
	if u.Subject != "" && u.Subject != name {
		name += " (" + u.Subject + ")"
	}
	return "dashboard " + name
}

// writable returns an error if there is no store to write to.
func (d *Dashboard) writable() error {
	if d.Keys == nil {
		return errNoStore
	}
	return nil
}

// newKey is the body of the page that shows a key once.
type newKey struct {
	Key     string
	Made    bool // the client is new
	Name    string
	Address string
	Ending  []keys.Key // other keys that end
}

// keyPage shows a new key. It is the answer to the form, so that the key is in no address.
func keyPage(c *keys.Client, key string, made bool) *view {
	body := newKey{Key: key, Made: made, Name: c.Name, Address: clientAddress(c.Name)}
	for _, k := range c.Keys {
		if k.State == keys.Valid && k.Ends != nil {
			body.Ending = append(body.Ending, k)
		}
	}
	return &view{page: "key", section: "clients", title: "New key of " + c.Name, body: body}
}

// createClient creates a client.
func (d *Dashboard) createClient(r *http.Request) (*view, error) {
	if err := d.writable(); err != nil {
		return nil, err
	}
	form, settings, err := d.read(r, nil)
	if err == nil {
		var c *keys.Client
		var key string
		c, key, err = d.Keys.Create(r.Context(), who(r), keys.NewClient{Name: form.Name, Settings: settings})
		if err == nil {
			return keyPage(c, key, true), nil
		}
	}
	if !form.explain(err) {
		return nil, err
	}
	return d.clientsPage(r, form)
}

// changeClient changes a client.
func (d *Dashboard) changeClient(r *http.Request) (*view, error) {
	if err := d.writable(); err != nil {
		return nil, err
	}
	c, err := d.find(r)
	if err != nil {
		return nil, err
	}
	form, settings, err := d.read(r, &c.Settings)
	if err == nil {
		c, err = d.Keys.Update(r.Context(), who(r), c.Name, settings.Policies, func(s *keys.Settings) error {
			if versionOf(s) != form.Version {
				return &keys.Invalid{Field: "the client", Reason: "was changed by someone else since this page was loaded: see below, and load the page again"}
			}
			*s = settings
			return nil
		})
		if err == nil {
			return &view{to: clientAddress(c.Name)}, nil
		}
	}
	if !form.explain(err) {
		return nil, err
	}
	if c, err = d.find(r); err != nil {
		return nil, err
	}
	return d.clientPage(r, c, clientPage{Form: form})
}

// rotateClient adds a key to a client.
func (d *Dashboard) rotateClient(r *http.Request) (*view, error) {
	if err := d.writable(); err != nil {
		return nil, err
	}
	c, err := d.find(r)
	if err != nil {
		return nil, err
	}
	page := clientPage{Form: d.formOf(&c.Settings), Grace: strings.TrimSpace(r.PostForm.Get("grace"))}
	hours, err := strconv.Atoi(page.Grace)
	switch most := int(keys.MaxGrace / time.Hour); {
	case err != nil || hours < 0 || hours > most:
		page.Error = fmt.Sprintf("Want a whole number of hours, from 0 to %d.", most)
	case len(c.Keys) > 0 && r.PostForm.Get("newest") != c.Keys[len(c.Keys)-1].Prefix: // as when a form is sent twice
		page.Error = "The client got another key since this page was loaded: see below."
	}
	if page.Error != "" {
		return d.clientPage(r, c, page)
	}
	c, key, err := d.Keys.Rotate(r.Context(), who(r), c.Name, time.Duration(hours)*time.Hour)
	if err != nil {
		return nil, err
	}
	return keyPage(c, key, false), nil
}

// revocation is the body of the page that asks whether to revoke.
type revocation struct {
	Name, Address string
	Prefix        string // of the key; empty: all
	Error         string
}

// askRevoke asks whether to revoke a client or a key of it.
func (d *Dashboard) askRevoke(r *http.Request) (*view, error) {
	if err := d.writable(); err != nil {
		return nil, err
	}
	c, err := d.find(r)
	switch {
	case err != nil:
		return nil, err
	case c.Source == "file":
		return nil, keys.ErrListed
	case c.Revoked != nil:
		return nil, fmt.Errorf("%w: %q", keys.ErrEnded, c.Name)
	}
	return revokePage(c, revocation{Prefix: r.URL.Query().Get("prefix")})
}

func revokePage(c *keys.Client, body revocation) (*view, error) {
	body.Name, body.Address = c.Name, clientAddress(c.Name)
	if body.Prefix != "" && !slices.ContainsFunc(c.Keys, func(k keys.Key) bool { return k.Prefix == body.Prefix }) {
		return nil, fmt.Errorf("%w: the client %q has no key %.100q", keys.ErrNoKey, c.Name, body.Prefix)
	}
	v := &view{page: "revoke", section: "clients", title: "Revoke " + cmp.Or(body.Prefix, c.Name), body: body}
	if body.Error != "" {
		v.status = http.StatusBadRequest
	}
	return v, nil
}

// revoke revokes a client, whose name must be typed, or a key of it.
func (d *Dashboard) revoke(r *http.Request) (*view, error) {
	if err := d.writable(); err != nil {
		return nil, err
	}
	c, err := d.find(r)
	if err != nil {
		return nil, err
	}
	prefix := r.PostForm.Get("prefix")
	if prefix == "" && strings.TrimSpace(r.PostForm.Get("confirm")) != c.Name {
		return revokePage(c, revocation{Error: "Type the client’s name as it is above."})
	}
	if c, err = d.Keys.Revoke(r.Context(), who(r), c.Name, prefix); err != nil {
		return nil, err
	}
	return &view{to: clientAddress(c.Name)}, nil
}

// clientForm is what is typed to create or change a client.
type clientForm struct {
	Name                         string
	Policies                     []choice
	First                        string // the policy that the model auto means
	Labels                       string // one NAME=VALUE a line
	Requests, Tokens, Concurrent string
	Budgets, Soft                string // as carrot keys create reads them, between spaces
	Expires                      string // a day; empty: never
	Version                      string // of what is changed
	Error                        string
	Field                        string // that the error is about, as in JSON
}

// choice is a policy or an embedding model that can be chosen.
type choice struct {
	Name   string
	Chosen bool
	Gone   bool // the configuration does not have it any more
}

// versionOf tells settings apart.
func versionOf(s *keys.Settings) string {
	c := *s
	c.Budgets = slices.Clone(s.Budgets)
	for i := range c.Budgets {
		c.Budgets[i].Name = "" // which the store derives
	}
	data, err := json.Marshal([]any{labelLines(c.Labels), append([]string{}, c.Policies...), c.Rates, append([]gateway.BudgetConfig{}, c.Budgets...), c.Expires})
	if err != nil {
		return "" // as no version is
	}
	hash := sha256.Sum256(data)
	return hex.EncodeToString(hash[:8])
}

// formOf returns the form for settings.
func (d *Dashboard) formOf(s *keys.Settings) clientForm {
	f := clientForm{Labels: strings.Join(labelLines(s.Labels), "\n"), Policies: d.choices(s.Policies), Version: versionOf(s)}
	for _, n := range []struct {
		to   *string
		rate int
	}{{&f.Requests, s.Rates.Requests}, {&f.Tokens, s.Rates.Tokens}, {&f.Concurrent, s.Rates.Concurrent}} {
		if n.rate > 0 {
			*n.to = strconv.Itoa(n.rate)
		}
	}
	var hard, soft []string
	for _, b := range s.Budgets {
		if b.Soft {
			soft = append(soft, keys.FormatBudget(b))
		} else {
			hard = append(hard, keys.FormatBudget(b))
		}
	}
	f.Budgets, f.Soft = strings.Join(hard, " "), strings.Join(soft, " ")
	if s.Expires != nil {
		f.Expires = s.Expires.UTC().Format(time.DateOnly)
	}
	if len(s.Policies) > 0 {
		f.First = s.Policies[0]
	}
	return f
}

// choices are the policies and embedding models of the configuration, and chosen ones that
// it does not have. The chosen ones come first and stay in their order, which has a meaning.
func (d *Dashboard) choices(chosen []string) []choice {
	config := d.Config()
	var known []string
	for _, p := range config.Policies {
		known = append(known, p.Name)
	}
	for _, e := range config.Embeddings {
		known = append(known, e.Name)
	}
	var all []choice
	for _, name := range chosen {
		all = append(all, choice{name, true, !slices.Contains(known, name)})
	}
	for _, name := range known {
		if !slices.Contains(chosen, name) {
			all = append(all, choice{Name: name})
		}
	}
	return all
}

// fieldLabels are what the form calls the fields of errors.
var fieldLabels = [][2]string{{"name", "Name"}, {"policies", "Policies"}, {"labels", "Labels"}, {"rates.requests", "Requests a minute"}, {"rates.tokens", "Tokens a minute"},
	{"rates.concurrent", "Requests at once"}, {"budgets", "Budgets"}, {"soft", "Soft budgets"}, {"expires", "End of the keys"}}

// explain says what is wrong in the form, if the error is about what was typed.
func (f *clientForm) explain(err error) bool {
	bad, isBad := errors.AsType[*keys.Invalid](err)
	switch {
	case isBad:
		f.Field, f.Error = bad.Field, sentence(bad.Error())
		for _, label := range fieldLabels {
			if strings.HasPrefix(bad.Field, label[0]) {
				f.Error = sentence(label[1] + ": " + bad.Reason)
			}
		}
	case errors.Is(err, keys.ErrTaken):
		f.Field, f.Error = "name", sentence(err.Error())
	default:
		return false
	}
	return true
}

// Bad reports whether the error is about a field.
func (f clientForm) Bad(field string) bool { return f.Error != "" && strings.HasPrefix(f.Field, field) }

// read reads a form. old are the settings that it changes, or nil.
func (d *Dashboard) read(r *http.Request, old *keys.Settings) (f clientForm, s keys.Settings, err error) {
	v := r.PostForm
	f = clientForm{Name: strings.TrimSpace(v.Get("name")), Labels: v.Get("labels"), Requests: v.Get("requests"), Tokens: v.Get("tokens"), Concurrent: v.Get("concurrent"),
		Budgets: v.Get("budgets"), Soft: v.Get("soft"), Expires: strings.TrimSpace(v.Get("expires")), Version: v.Get("version"), First: v.Get("first")}
	s.Policies = slices.Clone(v["policy"])
	if i := slices.Index(s.Policies, f.First); i > 0 {
		s.Policies = slices.Insert(slices.Delete(s.Policies, i, i+1), 0, f.First)
	}
	f.Policies = d.choices(s.Policies)
	for line := range strings.Lines(f.Labels) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		if !found {
			return f, s, &keys.Invalid{Field: "labels", Reason: fmt.Sprintf("%.100q: want NAME=VALUE", line)}
		}
		if s.Labels == nil {
			s.Labels = map[string]string{}
		}
		if _, twice := s.Labels[name]; twice {
			return f, s, &keys.Invalid{Field: "labels", Reason: fmt.Sprintf("%.100q appears twice", name)}
		}
		s.Labels[name] = value
	}
	for _, n := range []struct {
		field, text string
		to          *int
	}{{"requests_per_minute", f.Requests, &s.Rates.Requests}, {"tokens_per_minute", f.Tokens, &s.Rates.Tokens}, {"concurrent_requests", f.Concurrent, &s.Rates.Concurrent}} {
		if text := strings.TrimSpace(n.text); text != "" {
			if *n.to, err = strconv.Atoi(text); err != nil {
				return f, s, &keys.Invalid{Field: "rates." + n.field, Reason: fmt.Sprintf("%.40q: want a whole number, or nothing for any number", text)}
			}
		}
	}
	for _, kind := range []struct {
		field, text string
		soft        bool
	}{{"budgets", f.Budgets, false}, {"soft", f.Soft, true}} {
		for _, text := range strings.FieldsFunc(kind.text, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' || r == '\r' || r == '\t' }) {
			b, err := keys.ParseBudget(text)
			if err != nil {
				reason := err.Error()
				if bad, ok := errors.AsType[*keys.Invalid](err); ok {
					reason = fmt.Sprintf("%.100q: %s", text, bad.Reason)
				}
				return f, s, &keys.Invalid{Field: kind.field, Reason: reason}
			}
			b.Soft = kind.soft
			if old != nil { // what the form does not have stays
				if i := slices.IndexFunc(old.Budgets, func(o gateway.BudgetConfig) bool { return o.Per == b.Per && o.Soft == b.Soft }); i >= 0 {
					b.Pacing = old.Budgets[i].Pacing
				}
			}
			s.Budgets = append(s.Budgets, b)
		}
	}
	if f.Expires != "" {
		at, err := time.Parse(time.DateOnly, f.Expires)
		switch {
		case err != nil:
			return f, s, &keys.Invalid{Field: "expires", Reason: fmt.Sprintf("%.40q: want a day, such as 2027-03-01", f.Expires)}
		case old != nil && old.Expires != nil && old.Expires.UTC().Format(time.DateOnly) == f.Expires:
			at = *old.Expires // with its time of the day
		case !at.After(d.Now()):
			return f, s, &keys.Invalid{Field: "expires", Reason: f.Expires + " is past"}
		}
		s.Expires = &at
	}
	return f, s, nil
}

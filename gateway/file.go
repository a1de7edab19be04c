package gateway

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/carrot-router/carrot/internal/spelling"
	"github.com/carrot-router/carrot/internal/strictyaml"
)

const (
	adminOff       = "off" // instead of an admin address
	defaultListen  = "127.0.0.1:8080"
	defaultAdmin   = "127.0.0.1:8081"
	defaultRecords = 100 // MiB
)

// OpenFile reads a configuration file as [ParseFile] does, except that errors begin with
// the file's name and relative paths are relative to the file's folder. reading, if not
// nil, is called with the name of each file that is read (the configuration and the
// clients' key files), before it is read and even if it does not exist. Programs that
// watch files need that.
func OpenFile(path string, env func(string) (string, bool), reading func(name string)) (*File, error) {
	if reading == nil {
		reading = func(string) {}
	}
	reading(path)
	data, err := strictyaml.Read(path)
	if err != nil {
		return nil, err
	}
	return parseFile(data, env, path, reading)
}

// ParseFile reads a configuration in strict YAML, without anchors and tags. In secrets,
// addresses and paths, ${NAME} and ${NAME:-default} stand for environment variables,
// and $$ for a dollar sign. env returns the value of a variable and whether it is set;
// if env is nil, none is set. ParseFile fills in defaults, adds the policies that always
// exist and replaces the clients' keys by hashes. Relative paths are relative to the
// working directory.
//
// The error lists all problems in the order of the file, one on each line, with line,
// column and field. If the form of the file is wrong (unknown keys, wrong types), the
// values are not checked. No error shows a secret. ParseFile does not check whether the
// router knows the models; [New] does.
func ParseFile(data []byte, env func(string) (string, bool)) (*File, error) {
	return parseFile(data, env, "", func(string) {})
}

func parseFile(data []byte, env func(string) (string, bool), name string, reading func(name string)) (*File, error) {
	f := new(File)
	p := strictyaml.Decode(data, f, strictyaml.Options{File: name, Env: env, Want: "providers and models"})
	if p.Malformed() {
		return nil, p.Err()
	}
	f.resolvePaths(filepath.Dir(name))
	or(p, "listen", &f.Listen, defaultListen)
	or(p, "admin_listen", &f.AdminListen, defaultAdmin)
	or(p, "record.max_mb", &f.Record.MaxMB, defaultRecords)
	orPointer(&f.Record.Keep, 10)
	orPointer(&f.KeepDecisions, 30)
	or(p, "log.level", &f.Log.Level, "info")
	or(p, "record.content", &f.Record.Content, contentNone)
	f.RecordContent = f.Record.Content
	if f.OIDC != nil {
		or(p, "oidc.claim", &f.OIDC.Claim, "groups")
		if f.OIDC.Scopes == nil {
			f.OIDC.Scopes = []string{"openid", "profile", "email"}
		}
	}
	f.Config = *f.Config.prepared(p, reading)
	f.checkAddresses(p)
	f.checkOIDC(p)
	checkRange(p, "record.max_mb", f.Record.MaxMB, 1, 1<<20)
	checkRange(p, "record.keep", *f.Record.Keep, 0, 1<<20)
	checkRange(p, "keep_decisions", *f.KeepDecisions, 0, 36500)
	if strings.Contains(f.Store, "://") && !isPostgres(f.Store) {
		p.Add("store", "want the path of a file, such as carrot.db, or the address of a database of PostgreSQL, postgres://…")
	}
	if f.Store == "" && len(f.Budgets) > 0 {
		p.Add("budgets", "need a store, which knows what was spent: set it, as in store: carrot.db")
	}
	if f.Store == "" && f.Journal != "" {
		p.Add("journal", "there is no store: set it, or leave this out")
	}
	if levels := []string{"debug", "info", "warn", "error"}; !slices.Contains(levels, f.Log.Level) {
		p.Add("log.level", "no level %q: %s", f.Log.Level, spelling.Suggest(f.Log.Level, levels))
	}
	if err := p.Err(); err != nil {
		return nil, err
	}
	return f, nil
}

// resolvePaths makes relative paths relative to a folder.
func (f *File) resolvePaths(dir string) {
	switch {
	case f.Journal != "" || f.Store == "":
	case isPostgres(f.Store):
		f.Journal = "carrot.journal"
	default:
		f.Journal = f.Store + ".journal"
	}
	paths := []*string{&f.Router, &f.Prices, &f.Record.Path, &f.Journal}
	if !isPostgres(f.Store) {
		paths = append(paths, &f.Store)
	}
	for i := range f.Clients {
		paths = append(paths, &f.Clients[i].KeyFile)
	}
	for i := range f.Policies {
		paths = append(paths, &f.Policies[i].Canary.Router, &f.Policies[i].ShadowRouter)
	}
	for _, path := range paths {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
}

// isPostgres reports whether a store is a database of PostgreSQL, and not a file.
func isPostgres(store string) bool {
	return strings.HasPrefix(store, "postgres://") || strings.HasPrefix(store, "postgresql://")
}

// SetListen replaces the address for clients. It returns an error if a file with this
// address would be refused.
func (f *File) SetListen(address string) error {
	f.Listen = address
	p := new(strictyaml.Problems)
	f.checkAddresses(p)
	return p.Err()
}

// Restart returns the fields of a file that differ from those in bound, the file with
// which the program started, and that take effect only after a restart. Since the
// program keeps its addresses, Restart returns an error if the new file is not valid
// with them, such as when nobody could have a key although other machines can reach the
// address, and otherwise requires keys as they need it. Both files must come from
// [OpenFile] or [ParseFile].
func (f *File) Restart(bound *File) ([]string, error) {
	stays := *f
	stays.Listen, stays.AdminListen, stays.Store = bound.Listen, bound.AdminListen, bound.Store
	p := new(strictyaml.Problems)
	if stays.checkAddresses(p); p.Err() != nil {
		return nil, fmt.Errorf("the addresses change only at a restart: %w", p.Err())
	}
	f.RequireKeys = f.RequireKeys || stays.RequireKeys
	return changedFields([]changedField{
		{"listen", f.Listen != bound.Listen},
		{"admin_listen", f.AdminListen != bound.AdminListen},
		{"record", f.Record.Path != bound.Record.Path || f.Record.MaxMB != bound.Record.MaxMB || *f.Record.Keep != *bound.Record.Keep},
		{"store", f.Store != bound.Store},
		{"journal", f.Journal != bound.Journal},
		{"webhook", f.Webhook != bound.Webhook},
		{"keep_decisions", *f.KeepDecisions != *bound.KeepDecisions},
	}), nil
}

// Opens returns an error if a file that was read anew would open what is protected
// now: if it no longer has the clients or the admin key of the file before it, as
// when it was cut short. clients: [] says that the clients are meant to go; an admin
// key can only be removed by a restart.
func (f *File) Opens(before *File) error {
	p := new(strictyaml.Problems)
	if len(before.Clients) > 0 && f.Clients == nil {
		p.Add("clients", "are gone, so everyone who can reach the address could send requests: write clients: [] if that is meant")
	}
	if before.AdminKey != "" && f.AdminKey == "" {
		p.Add("admin_key", "is gone, so everyone who can reach the admin address could use it: restart if that is meant")
	}
	return p.Err()
}

// changedField is a field, and whether it has changed.
type changedField struct {
	name    string
	changed bool
}

func changedFields(fields []changedField) []string {
	var names []string
	for _, f := range fields {
		if f.changed {
			names = append(names, f.name)
		}
	}
	return names
}

// checkAddresses refuses addresses that are not valid or open to everyone, and requires
// keys where other machines can send requests.
func (f *File) checkAddresses(p *strictyaml.Problems) {
	public, ok := checkAddress(p, "listen", f.Listen)
	if ok && public && len(f.Clients) == 0 && f.Store == "" {
		p.Add("listen", "other machines can reach %s: list clients with keys, or set a store for keys, or listen on 127.0.0.1", f.Listen)
	}
	f.RequireKeys = f.RequireKeys || public
	if f.AdminListen == adminOff {
		return
	}
	public, ok = checkAddress(p, "admin_listen", f.AdminListen)
	switch {
	case ok && sameAddress(f.Listen, f.AdminListen):
		p.Add("admin_listen", "%s is also the address of listen: want another port, or %q", f.AdminListen, adminOff)
	case ok && public && f.AdminKey == "":
		p.Add("admin_listen", "other machines can reach %s: set admin_key, or listen on 127.0.0.1", f.AdminListen)
	}
}

// checkAddress reports whether other machines can reach an address, and whether it is
// valid.
func checkAddress(p *strictyaml.Problems, field, address string) (public, ok bool) {
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r == '/' }) {
		p.Add(field, "%q is not an address: want HOST:PORT, such as %s", address, defaultListen)
		return false, false
	}
	return !isLoopback(host), true
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

// sameAddress reports whether one machine cannot listen on both addresses.
func sameAddress(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	isAny := func(host string) bool {
		ip, err := netip.ParseAddr(host)
		return host == "" || err == nil && ip.Unmap().IsUnspecified()
	}
	return strings.EqualFold(hostA, hostB) || isAny(hostA) || isAny(hostB) || isLoopback(hostA) && isLoopback(hostB)
}

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/atomicfile"
	"github.com/carrot-router/carrot/internal/budget"
	"github.com/carrot-router/carrot/internal/readfile"
)

type routerCommand struct {
	Promote  routerPromoteCommand  `cmd:"" help:"Make a saved router the one that a gateway serves with."`
	Rollback routerRollbackCommand `cmd:"" help:"Go back to the router before."`
	History  routerHistoryCommand  `cmd:"" help:"List which routers a gateway has served with."`
}

func (c *routerCommand) Help() string {
	return `The router of a configuration (router:) is replaced all at once, and the earlier ones are
kept beside it. A gateway that runs with the configuration reads it within two seconds.

Example:
  carrot router promote new.safetensors --config carrot.yaml`
}

// routerConfig is the configuration whose router is changed.
type routerConfig struct {
	Config string `required:"" placeholder:"FILE" help:"The gateway's configuration, which names the router (router:)."`
}

type routerPromoteCommand struct {
	routerConfig
	File string `arg:"" help:"Saved router."`
	Note string `placeholder:"TEXT" help:"Why, for the history."`
	JSON bool   `name:"json" help:"Print the change as JSON (carrot.router-change/1)."`
}

func (c *routerPromoteCommand) Help() string {
	return `Checks first that a gateway with the configuration accepts the router, as carrot serve
--check does. The file is copied; what served before is kept beside it, as
ROUTER-HASH.safetensors, and ROUTER.history.json says what was changed when.

Example:
  carrot router promote new.safetensors --config carrot.yaml --note "a month of traffic"`
}

func (c *routerPromoteCommand) Run(_ context.Context, t terminal) error {
	data, err := readfile.Read(c.File, maxRouter)
	if err != nil {
		return err
	}
	l, err := openRouterLine(c.Config)
	if err != nil {
		return err
	}
	change, err := l.promote(t, data, c.Note)
	if err != nil {
		return err
	}
	return l.report(t, change, c.JSON)
}

type routerRollbackCommand struct {
	routerConfig
	Note string `placeholder:"TEXT" help:"Why, for the history."`
	JSON bool   `name:"json" help:"Print the change as JSON (carrot.router-change/1)."`
}

func (c *routerRollbackCommand) Help() string {
	return `Serves again with the router that the present one has replaced; done again, with the one
before that. If the file was replaced by other means since the last promotion, it goes back
to the router that was promoted last.

Example:
  carrot router rollback --config carrot.yaml --note "answers got worse"`
}

func (c *routerRollbackCommand) Run(_ context.Context, t terminal) error {
	l, err := openRouterLine(c.Config)
	if err != nil {
		return err
	}
	change, err := l.rollback(t, c.Note)
	if err != nil {
		return err
	}
	return l.report(t, change, c.JSON)
}

type routerHistoryCommand struct {
	routerConfig
	JSON bool `name:"json" help:"Print the history as JSON (carrot.router-history/1)."`
}

func (c *routerHistoryCommand) Help() string {
	return `Example:
  carrot router history --config carrot.yaml`
}

func (c *routerHistoryCommand) Run(_ context.Context, t terminal) error {
	l, err := openRouterLine(c.Config)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(t.out).Encode(&l.history)
	}
	if len(l.history.Changes) == 0 {
		fmt.Fprintf(t.out, "%s: no router was promoted\n", l.path)
		return nil
	}
	for _, change := range l.history.Changes {
		fmt.Fprintf(t.out, "%s  %-8s  %s -> %s  %s", change.Time.Format(time.RFC3339), change.Action, shortHash(change.From), shortHash(change.To), change.By)
		if change.Note != "" {
			fmt.Fprintf(t.out, ": %s", change.Note)
		}
		fmt.Fprintln(t.out)
	}
	return nil
}

// maxRouter is the largest file of a router, in bytes.
const maxRouter = 1 << 30

// routerHistory is what is known of the routers of a configuration.
type routerHistory struct {
	Schema string `json:"schema"`
	// Line are the hashes of the routers that can be gone back to, the last of which
	// serves unless the file was replaced by other means.
	Line    []string       `json:"line"`
	Changes []routerChange `json:"changes"` // the latest last
}

// routerChange is a change of the router that serves.
type routerChange struct {
	Time   time.Time `json:"time"`
	Action string    `json:"action"` // promote or rollback
	From   string    `json:"from"`   // SHA-256 of the files; empty: there was none
	To     string    `json:"to"`
	By     string    `json:"by"`
	Note   string    `json:"note,omitempty"`
}

const (
	historySchema = "carrot.router-history/1"
	changeSchema  = "carrot.router-change/1"
)

// routerLine are the routers of a configuration, in a line.
type routerLine struct {
	config  string
	path    string // of the router that serves
	serving string // its hash; empty: there is no file
	current []byte
	history routerHistory
}

// openRouterLine reads the router of a configuration, and its history.
func openRouterLine(config string) (*routerLine, error) {
	file, err := gateway.OpenFile(config, os.LookupEnv, nil)
	if err != nil {
		return nil, hinted{err, "docs/config.md lists every key"}
	}
	if file.Router == "" {
		return nil, hinted{fmt.Errorf("%s: the gateway serves with the router in the binary, which no other can replace", config), "name a file as router: in the configuration"}
	}
	l := &routerLine{config: config, path: file.Router, history: routerHistory{Schema: historySchema, Line: []string{}, Changes: []routerChange{}}}
	if l.current, err = readfile.Read(l.path, maxRouter); err == nil {
		l.serving = hashOf(l.current)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	text, err := os.ReadFile(l.historyPath())
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &l.history)
	}
	if err == nil && l.history.Schema != historySchema {
		err = fmt.Errorf("schema %q, want %q", l.history.Schema, historySchema)
	}
	if err != nil {
		return nil, hinted{fmt.Errorf("%s: %w", l.historyPath(), err), "repair the file, or move it away to begin a new history"}
	}
	return l, nil
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// shortHash names a router for people.
func shortHash(hash string) string {
	if hash == "" {
		return "nothing"
	}
	return hash[:min(len(hash), 12)]
}

func (l *routerLine) historyPath() string { return l.path + ".history.json" }

// kept returns the path at which a router is kept.
func (l *routerLine) kept(hash string) string {
	ext := filepath.Ext(l.path)
	return strings.TrimSuffix(l.path, ext) + "-" + shortHash(hash) + ext
}

// keep keeps a router beside the one that serves.
func (l *routerLine) keep(data []byte) error {
	path := l.kept(hashOf(data))
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, data) {
		return nil
	}
	return writeRouter(path, data)
}

func writeRouter(path string, data []byte) error {
	return atomicfile.Write(path, 0o644, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// promote makes a router the one that serves.
func (l *routerLine) promote(t terminal, data []byte, note string) (*routerChange, error) {
	hash := hashOf(data)
	if hash == l.serving {
		return nil, fmt.Errorf("%s is this router already (%s)", l.path, shortHash(hash))
	}
	if err := l.accepted(t, data); err != nil {
		return nil, err
	}
	line := l.history.Line
	if l.serving != "" && (len(line) == 0 || line[len(line)-1] != l.serving) {
		line = append(line, l.serving)
	}
	return l.replace("promote", data, append(line, hash), note)
}

// rollback makes the router before the present one the one that serves.
func (l *routerLine) rollback(t terminal, note string) (*routerChange, error) {
	line := l.history.Line
	if len(line) > 0 && line[len(line)-1] == l.serving {
		line = line[:len(line)-1]
	}
	if len(line) == 0 {
		return nil, hinted{fmt.Errorf("%s: there is no earlier router to go back to", l.path), "carrot router history lists what was promoted"}
	}
	hash := line[len(line)-1]
	data, err := readfile.Read(l.kept(hash), maxRouter)
	if err == nil && hashOf(data) != hash {
		err = fmt.Errorf("%s was changed: its hash is %s, want %s", l.kept(hash), shortHash(hashOf(data)), shortHash(hash))
	}
	if err != nil {
		return nil, hinted{fmt.Errorf("the earlier router cannot be read: %w", err), "promote another one"}
	}
	if err := l.accepted(t, data); err != nil {
		return nil, err
	}
	return l.replace("rollback", data, line, note)
}

// replace replaces the router that serves, which it keeps. The history follows: if the
// program ends in between, the router that serves is not in it, and a rollback goes back to
// the last one that is.
func (l *routerLine) replace(action string, data []byte, line []string, note string) (*routerChange, error) {
	if l.serving != "" {
		if err := l.keep(l.current); err != nil {
			return nil, err
		}
	}
	if err := l.keep(data); err != nil {
		return nil, err
	}
	if err := writeRouter(l.path, data); err != nil {
		return nil, err
	}
	change := routerChange{Time: time.Now().UTC().Truncate(time.Second), Action: action, From: l.serving, To: hashOf(data), By: administrator(), Note: note}
	l.history.Line, l.history.Changes = line, append(l.history.Changes, change)
	l.serving, l.current = change.To, data
	err := atomicfile.Write(l.historyPath(), 0o644, func(w io.Writer) error {
		out := json.NewEncoder(w)
		out.SetIndent("", " ")
		return out.Encode(&l.history)
	})
	if err != nil {
		return nil, fmt.Errorf("the router was replaced, but not noted: %w", err)
	}
	return &change, nil
}

// accepted returns an error unless a gateway with the configuration accepts a router.
func (l *routerLine) accepted(t terminal, data []byte) (err error) {
	file, err := os.CreateTemp("", "carrot-router-*.safetensors")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	_, err = file.Write(data)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	s := &service{open: func(reading func(string)) (*gateway.File, error) {
		config, err := gateway.OpenFile(l.config, os.LookupEnv, reading)
		if err == nil {
			config.Router = file.Name()
		}
		return config, err
	}}
	config, source, err := s.load()
	if err == nil {
		_, err = gateway.New(&config.Config, source, gateway.Options{Log: slog.New(warnings{t}), Budgets: budget.New(budget.Options{})})
	}
	if err != nil {
		return hinted{fmt.Errorf("a gateway with %s refuses the router: %s", l.config, strings.ReplaceAll(err.Error(), file.Name(), "the file")), "nothing was changed; train the router with the models of the configuration, or name them with like:"}
	}
	for _, text := range s.warnings {
		t.warn(strings.ReplaceAll(text, file.Name(), "the router"))
	}
	return nil
}

// report says what was changed.
func (l *routerLine) report(t terminal, change *routerChange, asJSON bool) error {
	wrote(t.out, l.path)
	if asJSON {
		return json.NewEncoder(t.out).Encode(struct {
			Schema string `json:"schema"`
			Router string `json:"router"`
			routerChange
		}{changeSchema, l.path, *change})
	}
	fmt.Fprintf(t.out, "%s: %s -> %s\n", l.path, shortHash(change.From), shortHash(change.To))
	if change.From != "" {
		fmt.Fprintf(t.out, "the router before is kept as %s\n", l.kept(change.From))
	}
	if change.From != "" && change.Action == "promote" {
		fmt.Fprintf(t.out, "carrot router rollback --config %s goes back to it\n", l.config)
	}
	fmt.Fprintln(t.out, "a gateway that runs with this configuration reads it within two seconds, and logs reloaded; if it cannot see the file change, send it SIGHUP or POST /reload at its admin address")
	return nil
}

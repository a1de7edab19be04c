package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/budget"
	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/internal/keys"
	"github.com/carrot-router/carrot/internal/phrase"
)

// check reports what is wrong with a configuration, or that nothing is wrong.
func (c *serveCommand) check(t terminal, s *service, config *gateway.File, source gateway.Source) error {
	if _, err := gateway.New(&config.Config, source, gateway.Options{Log: slog.New(warnings{t}), Budgets: budget.New(budget.Options{})}); err != nil {
		return fmt.Errorf("%s: %w", c.Config, err)
	}
	if path := config.Record.Path; path != "" {
		if err := checkRecord(path, config.Record.MaxMB > 0); err != nil {
			return hinted{fmt.Errorf("%s: record.path: %w", c.Config, err), "record to a file in a folder that the gateway may write, or leave out record.path"}
		}
	}
	if path := config.Store; path != "" {
		if err := checkStore(path); err != nil {
			return hinted{fmt.Errorf("%s: store: %w", c.Config, err), "keep the store in a folder that the gateway may write, or leave out store"}
		}
		if err := checkClients(config); err != nil {
			return err
		}
	}
	for _, text := range s.warnings {
		t.warn(text)
	}
	wants := s.artifact.Manifest.Embedder
	fmt.Fprintf(t.out, "%s: the router wants the embedder %q (%s)\n", c.Config, wants.Spec, wants.ID)
	fmt.Fprintf(t.out, "%s: %s at %s, %s, nothing wrong\n", c.Config, phrase.Count(len(config.Models), "model"), phrase.Count(len(config.Providers), "provider"), phrase.Count(len(config.Policies), "policy"))
	return nil
}

// warnings shows the warnings of a log on a terminal.
type warnings struct{ to terminal }

// Enabled reports whether a record is a warning or worse.
func (w warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle shows a record.
func (w warnings) Handle(_ context.Context, r slog.Record) error {
	w.to.warn(r.Message)
	return nil
}

// WithAttrs returns w: only messages are shown.
func (w warnings) WithAttrs([]slog.Attr) slog.Handler { return w }

// WithGroup returns w: only messages are shown.
func (w warnings) WithGroup(string) slog.Handler { return w }

// checkRecord returns an error if records cannot be written to a file. It leaves
// the file as it is and makes none. A file that is rotated needs a folder in which
// files can be made, as does one that does not exist. Pipes and devices are not
// opened, because that may wait for their other end.
func checkRecord(path string, rotated bool) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if target, err := os.Readlink(path); err == nil { // the file will be made where the link leads
			if !filepath.IsAbs(target) {
				target = filepath.Join(filepath.Dir(path), target)
			}
			path = target
		}
		return checkFolder(filepath.Dir(path))
	case err != nil:
		return cmp.Or(checkFolder(filepath.Dir(path)), err)
	case info.IsDir():
		return fmt.Errorf("%s is a folder", path)
	case !info.Mode().IsRegular():
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil || !rotated {
		return err
	}
	return checkFolder(filepath.Dir(path))
}

// checkStore returns an error if a store cannot be opened, or made where there is none.
func checkStore(path string) error {
	if !database.IsPostgres(path) {
		if err := checkFolder(filepath.Dir(path)); err != nil {
			return err
		}
	}
	db, err := database.Open(context.Background(), path)
	if errors.Is(err, database.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	return db.Close()
}

// checkClients returns an error if a client is in a configuration and in its store, or if
// a budget is for a client that is in neither.
func checkClients(config *gateway.File) error {
	in := map[string]bool{} // those that are revoked, too
	taken := map[string]bool{}
	s, err := keys.Open(context.Background(), config.Store)
	switch {
	case err == nil:
		defer s.Close()
		all, err := s.List(context.Background())
		if err != nil {
			return fmt.Errorf("read the keys in the store: %w", err)
		}
		for i := range all {
			in[all[i].Name], taken[all[i].Name] = true, all[i].State != keys.Revoked
		}
	case !errors.Is(err, database.ErrNone):
		return err
	}
	for _, client := range config.Clients {
		if taken[client.Name] {
			return inBoth(fmt.Errorf("%w: the configuration and the store both have %s", keys.ErrTaken, client.Name))
		}
		in[client.Name] = true
	}
	return checkBudgets(config, func(name string) bool { return in[name] })
}

// checkFolder returns an error if no file can be made in a folder.
func checkFolder(folder string) error {
	switch info, err := os.Stat(folder); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("folder %s does not exist", folder)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder", folder)
	}
	f, err := os.CreateTemp(folder, ".carrot-check-*")
	if err != nil {
		return fmt.Errorf("no file can be made in folder %s: %w", folder, err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel"

	"github.com/carrot-router/carrot/gateway"
)

type serveCommand struct {
	Config string `placeholder:"FILE" help:"Configuration (docs/config.md)."`
	Demo   bool   `help:"Serve simulated models: no key, no configuration."`
	Listen string `placeholder:"ADDR" help:"Address for clients, in place of the configuration's."`
	Check  bool   `help:"Check the configuration, the router and the prices, and exit."`
}

func (c *serveCommand) Help() string {
	return `Serves OpenAI's and Anthropic's APIs and sends every request for model "auto" to the
model with the best trade-off. SIGHUP, a changed file or POST /reload at the admin
address reloads configuration, router and prices; SIGTERM lets streams end.

Examples:
  carrot serve --demo
  carrot serve --config carrot.yaml --check
  carrot serve --config carrot.yaml`
}

func (c *serveCommand) Run(ctx context.Context, t terminal) error {
	if (c.Config == "") == !c.Demo {
		return usagef("give --config FILE or --demo, one of them")
	}
	if c.Demo {
		return c.demo(ctx, t)
	}
	open := func() (*gateway.Config, error) {
		config, err := gateway.OpenConfig(c.Config, os.LookupEnv)
		if err == nil && c.Listen != "" {
			err = config.SetListen(c.Listen)
		}
		return config, err
	}
	config, source, err := load(open)
	if err != nil {
		return err
	}
	if c.Check {
		if _, err := gateway.New(config, source, gateway.Options{}); err != nil {
			return fmt.Errorf("%s: %w", c.Config, err)
		}
		if path := config.Record.Path; path != "" {
			if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
				return hinted{fmt.Errorf("%s: record.path: there is no folder %s", c.Config, filepath.Dir(path)), "make it, or record elsewhere"}
			}
		}
		fmt.Fprintf(t.out, "%s: %d models at %d providers, %d policies, nothing wrong\n", c.Config, len(config.Models), len(config.Providers), len(config.Policies))
		return nil
	}
	s := newService(t.err, open, config, source)
	s.files = []string{c.Config}
	return s.run(ctx, nil)
}

// load reads a configuration and the files that it names. If one of those is
// wrong, the configuration is returned with the error.
func load(open func() (*gateway.Config, error)) (*gateway.Config, gateway.Source, error) {
	config, err := open()
	if err != nil {
		return nil, gateway.Source{}, hinted{err, "docs/config.md lists every key"}
	}
	flags := routerFlags{Router: config.Router, Embedder: config.Embedder, Prices: config.Prices}
	router, a, err := flags.open()
	if err != nil {
		return config, gateway.Source{}, err
	}
	source := gateway.Source{Router: router, MeanQuality: map[string]float64{}}
	for _, m := range a.Manifest.Models {
		source.MeanQuality[m.Name] = m.MeanScore
	}
	return config, source, nil
}

// newService returns a service that logs JSON lines.
func newService(w io.Writer, open func() (*gateway.Config, error), config *gateway.Config, source gateway.Source) *service {
	s := &service{open: open, config: config, source: source, level: &slog.LevelVar{}}
	s.level.UnmarshalText([]byte(config.Log.Level)) // it was checked
	s.log = slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: s.level}))
	return s
}

// service is a running gateway with what it stands on.
type service struct {
	open   func() (*gateway.Config, error)
	config *gateway.Config
	source gateway.Source
	files  []string // watched, beside those that the configuration names
	log    *slog.Logger
	level  *slog.LevelVar

	gateway *gateway.Gateway
	reopen  func() error // of the record; nil: there is none
	mu      sync.Mutex   // one reload at a time
	watched []string     // files that the configuration names
}

// run serves until ctx is done. started is told the clients' address.
func (s *service) run(ctx context.Context, started func(address string)) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // a server that lives long had rather be small
	}
	s.watched = watched(s.config)
	seen := s.fingerprint()
	tracer, meter, stop, err := startTelemetry(ctx, version)
	if err != nil {
		return err
	}
	defer func() {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if lost := stop(late); lost != nil { // no reason to have failed
			s.log.Warn("telemetry was lost", "error", lost)
		}
	}()
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { s.log.Warn("telemetry", "error", err) }))
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	options := gateway.Options{Log: s.log, Registerer: registry, Tracer: tracer, Meter: meter}
	if record := s.config.Record; record.Path != "" {
		file, err := gateway.OpenJSONL(record.Path, int64(record.MaxMB)<<20, *record.Keep)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		options.Recorder, s.reopen = file, file.Reopen
	}
	if s.gateway, err = gateway.New(s.config, s.source, options); err != nil {
		return err
	}
	clients, err := net.Listen("tcp", s.config.Listen)
	if err != nil {
		return hinted{err, "choose another address with --listen or listen:"}
	}
	var operators net.Listener
	if s.config.AdminListen != "off" {
		if operators, err = net.Listen("tcp", s.config.AdminListen); err != nil {
			clients.Close()
			return hinted{err, "choose another address with admin_listen:, or off"}
		}
	}
	admin := "off"
	if operators != nil {
		admin = operators.Addr().String()
	}
	s.log.Info("serving", "address", clients.Addr().String(), "admin", admin, "models", len(s.config.Models), "policies", len(s.config.Policies))
	if started != nil {
		started(clients.Addr().String())
	}
	var watching sync.WaitGroup
	watching.Go(func() { s.watch(ctx, seen) })
	defer watching.Wait()
	defer cancel()
	return s.gateway.Serve(ctx, clients, operators, s.gateway.Admin(registry, s.reload))
}

// reload takes a new configuration over; a bad one changes nothing.
func (s *service) reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	config, source, err := load(s.open)
	if config != nil {
		s.watched = watched(config) // also if it does not hold: the mistake may be in them
	}
	if err != nil {
		s.gateway.Refused()
		s.log.Error("reload", "error", err)
		return err
	}
	restart, err := s.gateway.Reload(config, source)
	if err != nil {
		s.log.Error("reload", "error", err)
		return err
	}
	s.level.UnmarshalText([]byte(config.Log.Level)) // it was checked
	s.log.Info("reloaded", "models", len(config.Models), "policies", len(config.Policies))
	if len(restart) > 0 {
		s.log.Warn("some changes need a restart", "keys", restart)
	}
	return nil
}

// watched are the files that a configuration names.
func watched(c *gateway.Config) []string {
	files := []string{c.Router, c.Prices}
	for _, client := range c.Clients {
		files = append(files, client.KeyFile)
	}
	return files
}

// watchEvery is how often the files are looked at.
const watchEvery = 2 * time.Second

// watch reloads on SIGHUP and when the files are not as they were seen, until
// ctx is done.
func (s *service) watch(ctx context.Context, seen [sha256.Size]byte) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			if s.reopen != nil { // for who moves the record's file away
				if err := s.reopen(); err != nil {
					s.log.Error("reopen the record", "error", err)
				}
			}
		case <-tick.C:
			if s.fingerprint() == seen {
				continue
			}
		}
		_ = s.reload() // it is logged, and the old configuration stays
		seen = s.fingerprint()
	}
}

// fingerprint changes with the content of the files that a reload reads.
func (s *service) fingerprint() [sha256.Size]byte {
	s.mu.Lock()
	files := append(slices.Clone(s.watched), s.files...)
	s.mu.Unlock()
	h := sha256.New()
	for _, name := range files {
		if name == "" {
			continue
		}
		fmt.Fprintf(h, "%s\x00", name)
		if info, err := os.Stat(name); err == nil {
			fmt.Fprintf(h, "%d %d\x00", info.Size(), info.ModTime().UnixNano())
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// demo serves simulated models.
func (c *serveCommand) demo(ctx context.Context, t terminal) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	text, wait, err := startDemo(ctx)
	if err != nil {
		return err
	}
	defer wait()
	defer cancel()
	open := func() (*gateway.Config, error) {
		config, err := gateway.ParseConfig([]byte(text), os.LookupEnv)
		if err == nil && c.Listen != "" {
			err = config.SetListen(c.Listen)
		}
		return config, err
	}
	config, source, err := load(open)
	if err != nil {
		return err
	}
	if c.Check {
		fmt.Fprint(t.out, text)
		return nil
	}
	s := newService(t.err, open, config, source)
	return s.run(ctx, func(address string) { fmt.Fprint(t.out, strings.ReplaceAll(demoHelp, "ADDRESS", address)) })
}

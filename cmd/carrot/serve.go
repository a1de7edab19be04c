package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/dashboard"
	"github.com/carrot-router/carrot/internal/ledger"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/internal/responses"
	"github.com/carrot-router/carrot/record"
)

type serveCommand struct {
	Config  string `placeholder:"FILE" help:"Configuration (docs/config.md)."`
	Demo    bool   `help:"Serve simulated models: no key, no configuration."`
	Traffic bool   `help:"With --demo: send invented requests to it, so that the dashboard has something to show."`
	Listen  string `placeholder:"ADDR" help:"Address for clients, in place of the configuration's."`
	Check   bool   `help:"Check the configuration, the router, the prices and whether the record can be written, and exit."`
}

func (c *serveCommand) Help() string {
	return `Serves OpenAI's and Anthropic's APIs and sends every request for model "auto" to the
model with the best trade-off. SIGHUP, a changed file or POST /reload at the admin
address reloads configuration, router and prices; SIGTERM lets streams end.

Examples:
  carrot serve --demo --traffic
  carrot serve --config carrot.yaml --check
  carrot serve --config carrot.yaml`
}

func (c *serveCommand) Run(ctx context.Context, t terminal) error {
	if (c.Config == "") == !c.Demo {
		return usagef("give either --config FILE or --demo")
	}
	if c.Traffic && !c.Demo {
		return usagef("--traffic needs --demo: a gateway with a configuration is sent no invented requests")
	}
	if c.Demo {
		return c.demo(ctx, t)
	}
	s := &service{open: c.listening(func(reading func(string)) (*gateway.File, error) {
		return gateway.OpenFile(c.Config, os.LookupEnv, reading)
	})}
	p := startProgress(ctx, t.err, "reading the configuration, the router and the prices")
	config, source, err := s.load()
	p.stop()
	if err != nil {
		return err
	}
	if c.Check {
		return c.check(t, s, config, source)
	}
	return s.run(ctx, t.err, config, source, nil)
}

// listening returns a function that reads a configuration and replaces its address by that
// of --listen.
func (c *serveCommand) listening(read openConfig) openConfig {
	return func(reading func(string)) (*gateway.File, error) {
		config, err := read(reading)
		if err == nil && c.Listen != "" {
			err = config.SetListen(c.Listen)
		}
		return config, err
	}
}

// openConfig reads a configuration. It calls reading with the name of each file before it
// reads the file.
type openConfig func(reading func(name string)) (*gateway.File, error)

// service is a running gateway with the files it depends on.
type service struct {
	open  openConfig
	log   *slog.Logger
	level slog.LevelVar

	gateway  *gateway.Gateway
	artifact *artifact.Artifact     // the saved router that was loaded last
	warnings []string               // about the router's file
	bound    *gateway.File          // with which it was started
	books    *books                 // the store
	reopen   func() error           // reopens the file of records; nil: there is none
	keys     *virtualKeys           // those of the store; nil: there is none
	keyless  bool                   // requests need no key, even if the store has some
	serving  atomic.Pointer[served] // what was applied last
	mu       sync.Mutex             // one reload at a time
	seen     map[string]string      // stamps of the files, from before they were read
}

// served is what a gateway serves.
type served struct {
	config *gateway.File
	router *artifact.Artifact // that the configuration names
}

// applied notes that the configuration and the router that were loaded last are served.
func (s *service) applied(config *gateway.File) { s.serving.Store(&served{config, s.artifact}) }

// config returns the configuration that is served. It does not wait for a reload.
func (s *service) config() *gateway.File { return s.serving.Load().config }

// load reads the configuration and the files that it names, and stores their stamps to
// detect later changes. Stamps are taken before the files are read, so that a change in
// the meantime is noticed, and also of files that are wrong, because they may be fixed. If
// the configuration is wrong, the files of the previous one are still watched, because the
// gateway runs on them.
func (s *service) load() (*gateway.File, gateway.Source, error) {
	known, seen := map[string]string{}, map[string]string{}
	for name := range s.seen {
		look(known, name)
	}
	config, err := s.open(func(name string) { look(seen, name) })
	if err != nil {
		maps.Copy(known, seen)
		s.seen = known
		return nil, gateway.Source{}, hinted{err, "docs/config.md lists every key"}
	}
	look(seen, append(config.Routers(), config.Router, config.Prices)...)
	s.seen = seen
	flags := routerFlags{Router: orInBinary(config.Router), Embedder: config.Embedder, Prices: config.Prices}
	s.warnings = nil
	router, a, err := flags.open(func(text string) { s.warnings = append(s.warnings, text) })
	if err != nil {
		return nil, gateway.Source{}, err
	}
	if err := checkRequests(a); err != nil {
		return nil, gateway.Source{}, fmt.Errorf("router %s: %w", config.Router, err)
	}
	s.artifact = a
	s.leavesPlans("", a)
	book, err := flags.book()
	if err != nil {
		return nil, gateway.Source{}, err
	}
	source := gateway.Source{Router: router, MeanQuality: map[string]float64{}, Prices: book}
	for _, m := range a.Manifest.Models {
		source.MeanQuality[m.Name] = m.MeanScore
	}
	for _, file := range config.Routers() {
		other := routerFlags{Router: orInBinary(file), Embedder: config.Embedder, Prices: config.Prices}
		if source.Routers == nil {
			source.Routers = map[string]*carrot.Router{}
		}
		alone, a, err := other.open(func(text string) { s.warnings = append(s.warnings, file+": "+text) })
		if err != nil {
			return nil, gateway.Source{}, err
		}
		if err := checkRequests(a); err != nil {
			return nil, gateway.Source{}, fmt.Errorf("router %s: %w", file, err)
		}
		source.Routers[file] = alone
		s.leavesPlans(file+": ", a)
	}
	return config, source, nil
}

// leavesPlans warns of plans that the gateway does not run.
func (s *service) leavesPlans(prefix string, a *artifact.Artifact) {
	if n := len(a.Manifest.Plans); n > 0 {
		s.warnings = append(s.warnings, prefix+"the router's "+phrase.Count(n, "plan")+" are left out: the gateway asks one model for a request, and chooses among models")
	}
}

// look stores the stamps of files.
func look(seen map[string]string, names ...string) {
	for _, name := range names {
		if name != "" {
			seen[name] = stamp(name)
		}
	}
}

// stamp returns a text that changes with a file's content and permissions, because a change
// of either may fix a reload that failed.
func stamp(name string) string {
	info, err := os.Stat(name)
	if err != nil {
		return ""
	}
	return fmt.Sprint(info.Mode(), info.Size(), info.ModTime().UnixNano())
}

// changed reports whether any file has changed since it was read.
func (s *service) changed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, was := range s.seen {
		if stamp(name) != was {
			return true
		}
	}
	return false
}

// run serves the loaded configuration until ctx is done, and logs lines of JSON. It calls
// started, if that is not nil, with the addresses for clients and for operators.
func (s *service) run(ctx context.Context, log io.Writer, config *gateway.File, source gateway.Source, started func(clients, operators string)) (err error) {
	s.level.UnmarshalText([]byte(config.Log.Level)) // which is valid
	s.log = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: &s.level}))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(70) // in a server, less memory is worth some CPU time
	}
	tracer, meter, stop, err := startTelemetry(ctx, version)
	if err != nil {
		return err
	}
	defer func() {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if lost := stop(late); lost != nil { // not a reason to fail
			s.log.Warn("telemetry was lost", "error", lost)
		}
	}()
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { s.log.Warn("telemetry", "error", err) }))
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	options := gateway.Options{Log: s.log, Registerer: registry, Tracer: tracer, Meter: meter}
	if c := config.Record; c.Path != "" {
		file, openErr := record.OpenJSONL(c.Path, record.JSONLOptions{MaxBytes: int64(c.MaxMB) << 20, Keep: *c.Keep, Log: s.log})
		if openErr != nil {
			return openErr
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		registry.MustRegister(recordMetrics(file)...)
		options.Recorder, s.reopen = file, file.Reopen
	}
	if s.books, err = openBooks(ctx, config, s.log); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.books.close()) }()
	options.Budgets = s.books.budgets
	registry.MustRegister(budgetMetrics(s.books.budgets)...)
	if kept := s.books.ledger; kept != nil {
		registry.MustRegister(ledgerMetrics(kept)...)
		options.Recorder = recorders{options.Recorder, kept}
		shared := responses.Open(s.books.db, s.log)
		defer shared.Close()
		registry.MustRegister(responseMetrics(shared)...)
		options.Responses = shared
		options.Feedback = kept
		if s.keys, err = openKeys(ctx, s.books.db, s.log); err != nil {
			return err
		}
		defer s.keys.close()
		registry.MustRegister(keysMetrics(s.keys.cache)...)
		options.Clients = s.keys.cache
		if s.keyless {
			options.Clients = optionalKeys{s.keys.cache}
		}
	}
	if err := s.keys.reserve(config); err != nil {
		return err
	}
	s.bound = config
	s.applied(config)
	if s.gateway, err = gateway.New(&config.Config, source, options); err != nil {
		return err
	}
	clients, err := net.Listen("tcp", config.Listen)
	if err != nil {
		return hinted{err, "choose another address with --listen or listen:"}
	}
	var operators net.Listener
	if config.AdminListen != "off" {
		if operators, err = net.Listen("tcp", config.AdminListen); err != nil {
			clients.Close()
			return hinted{err, "choose another address with admin_listen:, or set it to off"}
		}
	}
	operator, err := dashboard.Attach(s.gateway, s.keys.administer(s, gateway.AdminOptions{Metrics: registry, Reload: s.reload}), s.dashboard(registry))
	if err != nil {
		return err
	}
	admin := "off"
	if operators != nil {
		admin = operators.Addr().String()
	}
	s.warn()
	s.log.Info("serving", "address", clients.Addr().String(), "admin", admin, "models", len(config.Models), "policies", len(config.Policies))
	if started != nil {
		started(clients.Addr().String(), admin)
	}
	var watching sync.WaitGroup
	watching.Go(func() { s.watch(ctx) })
	defer watching.Wait()
	defer cancel()
	return s.gateway.Serve(ctx, clients, operators, operator)
}

// recorders record attempts in several places, of which the first may be missing.
type recorders [2]gateway.Recorder

// Record implements gateway.Recorder.
func (r recorders) Record(ctx context.Context, a *record.Attempt) error {
	var err error
	if r[0] != nil {
		err = r[0].Record(ctx, a)
	}
	return errors.Join(err, r[1].Record(ctx, a))
}

// recordMetrics returns the metrics of the record file.
func recordMetrics(file *record.JSONL) []prometheus.Collector {
	return []prometheus.Collector{
		rows("carrot_records_lost_total", "Attempts that could not be written to the record file.", file.Lost),
		rows("carrot_records_pruned_total", "Rows in rotated record files that were deleted.", file.Pruned),
	}
}

// ledgerMetrics returns the metrics of the store.
func ledgerMetrics(kept *ledger.Ledger) []prometheus.Collector {
	return []prometheus.Collector{
		rows("carrot_ledger_written_total", "Attempts written to the store.", kept.Written),
		rows("carrot_ledger_lost_total", "Attempts that are not in the store and will not be, because the journal could not be written or the store refuses them.", kept.Lost),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "carrot_store_up", Help: "1 if the store works, 0 while it does not."}, func() float64 {
			if kept.Up() {
				return 1
			}
			return 0
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "carrot_ledger_pending_bytes", Help: "Bytes of the journal that are not in the store yet."}, func() float64 { return float64(kept.Pending()) }),
	}
}

// responseMetrics returns the metrics of what gateways tell each other about responses.
func responseMetrics(shared *responses.Store) []prometheus.Collector {
	return []prometheus.Collector{
		rows("carrot_responses_lost_total", "Responses whose maker could not be noted in the store, so that other gateways do not know it.", shared.Lost),
	}
}

// rows is a counter of rows.
func rows(name, help string, count func() int64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(count()) })
}

// reload applies a new configuration. If it is wrong, nothing changes.
func (s *service) reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	config, source, err := s.load()
	var restart []string
	if err == nil {
		if restart, err = config.Restart(s.bound); err == nil {
			err = config.Opens(s.config())
		}
	}
	if err == nil {
		err = s.keys.reserve(config)
	}
	if err != nil {
		s.gateway.ReloadFailed()
		s.log.Error("reload", "error", err)
		return err
	}
	more, err := s.gateway.Reload(&config.Config, source)
	if err == nil {
		err = s.books.budgets.Set(config.Budgets)
	}
	if err != nil {
		s.log.Error("reload", "error", err)
		return err
	}
	restart = append(restart, more...)
	s.applied(config)
	s.level.UnmarshalText([]byte(config.Log.Level)) // which is valid
	s.warn()
	s.log.Info("reloaded", "models", len(config.Models), "policies", len(config.Policies))
	if len(restart) > 0 {
		s.log.Warn("some changes need a restart", "keys", restart)
	}
	return nil
}

// warn logs the warnings about the router that was loaded last.
func (s *service) warn() {
	for _, text := range s.warnings {
		s.log.Warn(text)
	}
}

// watchEvery is how often the files are checked for changes.
const watchEvery = 2 * time.Second

// watch reloads on SIGHUP and when a file has changed, until ctx is done.
func (s *service) watch(ctx context.Context) {
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
			if s.reopen != nil { // another program may have renamed the file of records
				if err := s.reopen(); err != nil {
					s.log.Error("reopen the records", "error", err)
				}
			}
		case <-tick.C:
			if !s.changed() {
				continue
			}
		}
		_ = s.reload() // which logs its error
	}
}

// demo serves simulated models.
func (c *serveCommand) demo(ctx context.Context, t terminal) error {
	p := startProgress(ctx, t.err, "reading the router and the prices")
	defer p.stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	text, wait, err := startDemo(ctx)
	if err != nil {
		return err
	}
	defer wait()
	defer cancel()
	if c.Traffic {
		text += demoTraffic
	}
	s := &service{keyless: c.Traffic, open: c.listening(func(func(string)) (*gateway.File, error) { return gateway.ParseFile([]byte(text), os.LookupEnv) })}
	config, source, err := s.load()
	if err != nil {
		return err
	}
	p.stop()
	if c.Check {
		fmt.Fprint(t.out, text)
		return nil
	}
	folder, err := os.MkdirTemp("", "carrot-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	config.Store, config.Journal = filepath.Join(folder, "carrot.db"), filepath.Join(folder, "carrot.journal")
	if config.AdminListen, err = next(config.Listen); err != nil {
		return err
	}
	var sending sync.WaitGroup
	defer sending.Wait()
	defer cancel()
	return s.run(ctx, t.err, config, source, func(clients, operators string) {
		fmt.Fprint(t.out, strings.NewReplacer("ADDRESS", clients, "ADMIN", operators, "STORE", config.Store).Replace(demoHelp))
		if c.Traffic {
			sending.Go(func() { s.sendTraffic(ctx, clients) })
		}
	})
}

// next returns the address with the next port, or with any if the given one has any.
func next(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return "", err
	}
	if n > 0 {
		n++
	}
	return net.JoinHostPort(host, strconv.Itoa(n)), nil
}

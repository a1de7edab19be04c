package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/embed"
	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/responses"
	"github.com/carrot-router/carrot/price"
	"github.com/carrot-router/carrot/record"
)

const (
	metricsDocs  = docsDir + "/metrics.md"
	metricsBegin = "<!-- Written by make docs from the metrics that carrot serve registers; do not edit. -->\n"
	metricsEnd   = "<!-- End of what make docs writes. -->\n"
)

// TestMetricsDocs checks that the table in docs/metrics.md has every metric that carrot
// serve registers. With -update it writes the table.
func TestMetricsDocs(t *testing.T) {
	text, err := os.ReadFile(metricsDocs)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), metricsBegin)
	_, after, ended := strings.Cut(rest, metricsEnd)
	if !found || !ended {
		t.Fatalf("%s lacks the lines around the table:\n%s%s", metricsDocs, metricsBegin, metricsEnd)
	}
	table := "\n| metric | type | labels | meaning |\n|---|---|---|---|\n"
	for _, m := range servedMetrics(t) {
		labels := ""
		if len(m.labels) > 0 {
			labels = "`" + strings.Join(m.labels, "`, `") + "`"
		}
		table += fmt.Sprintf("| `%s` | %s | %s | %s |\n", m.name, m.kind, labels, strings.ReplaceAll(m.help, "|", `\|`))
	}
	got := before + metricsBegin + table + "\n" + metricsEnd + after
	if *update {
		if err := os.WriteFile(metricsDocs, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(text), got); diff != "" {
		t.Errorf("docs/metrics.md is stale (-file +metrics): go test ./cmd/carrot -run TestMetricsDocs -update\n%s", diff)
	}
}

// servedMetric is a metric that carrot serve registers.
type servedMetric struct {
	name, kind, help string
	labels           []string // sorted
}

// servedMetrics returns the metrics of carrot serve, sorted by name, without those of the
// Go runtime and the process.
func servedMetrics(t *testing.T) []servedMetric {
	t.Helper()
	saved, err := artifact.Default()
	if err != nil {
		t.Fatal(err)
	}
	static, err := embed.Default()
	if err != nil {
		t.Fatal(err)
	}
	router, err := saved.Router(static, saved.Pool(price.Default()))
	if err != nil {
		t.Fatal(err)
	}
	file, err := record.OpenJSONL(filepath.Join(t.TempDir(), "decisions.jsonl"), record.JSONLOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	registered := &registrations{Registerer: prometheus.NewRegistry()}
	registered.MustRegister(recordMetrics(file)...)
	config := defaultConfig(t)
	config.Budgets[0].Pacing, config.Store, config.Journal = 1, filepath.Join(t.TempDir(), "carrot.db"), t.TempDir()
	kept, err := openBooks(t.Context(), config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kept.close() })
	registered.MustRegister(ledgerMetrics(kept.ledger)...)
	registered.MustRegister(budgetMetrics(kept.budgets)...)
	shared := responses.Open(kept.db, slog.New(slog.DiscardHandler))
	t.Cleanup(shared.Close)
	registered.MustRegister(responseMetrics(shared)...)
	virtual, err := openKeys(t.Context(), kept.db, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(virtual.close)
	registered.MustRegister(keysMetrics(virtual.cache)...)
	config.Models[0].Like, config.Embeddings = router.Candidates()[0].Name, nil
	if _, err := gateway.New(&config.Config, gateway.Source{Router: router}, gateway.Options{Registerer: registered, Budgets: kept.budgets}); err != nil {
		t.Fatal(err)
	}
	var out []servedMetric
	for _, c := range registered.collectors {
		out = append(out, servedMetricOf(t, c))
	}
	slices.SortFunc(out, func(a, b servedMetric) int { return strings.Compare(a.name, b.name) })
	return out
}

// registrations keeps what is registered.
type registrations struct {
	prometheus.Registerer
	collectors []prometheus.Collector
}

func (r *registrations) Register(c prometheus.Collector) error {
	r.collectors = append(r.collectors, c)
	return r.Registerer.Register(c)
}

func (r *registrations) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		if err := r.Register(c); err != nil {
			panic(err)
		}
	}
}

// servedMetricOf returns what the text form of metrics says of a collector of one metric.
func servedMetricOf(t *testing.T, c prometheus.Collector) servedMetric {
	t.Helper()
	var err error
	for n := range 10 { // a metric with labels has no series until one is made
		values := make([]string, n)
		switch v := c.(type) {
		case *prometheus.CounterVec:
			_, err = v.GetMetricWithLabelValues(values...)
		case *prometheus.GaugeVec:
			_, err = v.GetMetricWithLabelValues(values...)
		case *prometheus.HistogramVec:
			_, err = v.GetMetricWithLabelValues(values...)
		}
		if err == nil {
			break
		}
	}
	alone := prometheus.NewRegistry()
	alone.MustRegister(c)
	families, gatherErr := alone.Gather()
	if err != nil || gatherErr != nil || len(families) != 1 {
		t.Fatalf("%T: %d metrics: %v, %v", c, len(families), err, gatherErr)
	}
	f := families[0]
	m := servedMetric{name: f.GetName(), kind: strings.ToLower(f.GetType().String()), help: f.GetHelp()}
	for _, l := range f.GetMetric()[0].GetLabel() {
		m.labels = append(m.labels, l.GetName())
	}
	return m
}

var metricTypes = regexp.MustCompile(`(?m)^# TYPE (carrot_\S+)`)

// checkDocumented checks that docs/metrics.md has every metric of the gateway in a scrape.
func checkDocumented(t *testing.T, scraped []byte) {
	t.Helper()
	text, err := os.ReadFile(metricsDocs)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range metricTypes.FindAllSubmatch(scraped, -1) {
		if !bytes.Contains(text, fmt.Appendf(nil, "| `%s` |", m[1])) {
			t.Errorf("docs/metrics.md lacks %s: add it to servedMetrics", m[1])
		}
	}
}

// Every query in docs/alerts.yaml and in the pages names metrics that exist, and their
// labels. Every alert says what it means and what to do, and is tested by promtool in CI.
func TestAlerts(t *testing.T) {
	text, err := os.ReadFile(docsDir + "/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr         string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile("../../.ci/alerts_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	metrics := servedMetrics(t)
	alerts := 0
	for _, group := range file.Groups {
		for _, r := range group.Rules {
			alerts++
			checkQuery(t, r.Alert, r.Expr, metrics)
			checkQuery(t, r.Alert+", runbook", r.Annotations["runbook"], metrics)
			if r.Annotations["summary"] == "" || r.Annotations["runbook"] == "" || r.Labels["severity"] == "" {
				t.Errorf("%s lacks a summary, a runbook or a severity", r.Alert)
			}
			if !bytes.Contains(tests, fmt.Appendf(nil, `alertname="%s",alertstate="firing"`, r.Alert)) {
				t.Errorf(".ci/alerts_test.yaml has no case in which %s fires", r.Alert)
			}
		}
	}
	if alerts == 0 {
		t.Error("docs/alerts.yaml has no alerts")
	}
	checkQuery(t, ".ci/alerts_test.yaml", string(tests), metrics)
	pages, err := filepath.Glob(docsDir + "/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, query := range queries.FindAllString(string(text), -1) {
			checkQuery(t, filepath.Base(page), query, metrics)
		}
	}
}

var (
	// queries matches queries in a page, and counters elsewhere.
	queries   = regexp.MustCompile("(?s)```promql\n.*?```|`carrot_\\w+_total[^`]*`")
	selectors = regexp.MustCompile(`(carrot_\w+)(?:\{([^}]*)\})?`)
	matchers  = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"`)
	grouping  = regexp.MustCompile(`\b(?:by|without|on|ignoring) \(([^)]*)\)`)
)

// checkQuery checks the names of metrics and labels in a query, and those values of labels
// that the text about the metric lists.
func checkQuery(t *testing.T, where, query string, metrics []servedMetric) {
	t.Helper()
	known := map[string]bool{"le": true, "instance": true}
	for _, s := range selectors.FindAllStringSubmatch(query, -1) {
		i := slices.IndexFunc(metrics, func(m servedMetric) bool {
			suffix, found := strings.CutPrefix(s[1], m.name)
			return found && (suffix == "" && m.kind != "histogram" || m.kind == "histogram" && slices.Contains([]string{"_bucket", "_sum", "_count"}, suffix))
		})
		if i < 0 && strings.HasSuffix(where, "runbook") { // which may name a histogram as such
			i = slices.IndexFunc(metrics, func(m servedMetric) bool { return m.name == s[1] })
		}
		if i < 0 {
			t.Errorf("%s: there is no metric %s", where, s[1])
			continue
		}
		m := metrics[i]
		for _, l := range m.labels {
			known[l] = true
		}
		for _, l := range matchers.FindAllStringSubmatch(s[2], -1) {
			switch name, value := l[1], l[2]; {
			case name == "le" && m.kind == "histogram" || name == "instance":
			case !slices.Contains(m.labels, name):
				t.Errorf("%s: %s has no label %s", where, m.name, name)
			case strings.Contains(m.help, name+": ") && !regexp.MustCompile(`\b`+regexp.QuoteMeta(value)+`\b`).MatchString(m.help):
				t.Errorf("%s: %s has no %s %q", where, m.name, name, value)
			}
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(query, -1) {
		for _, name := range strings.Split(g[1], ",") {
			if name = strings.TrimSpace(name); !known[name] {
				t.Errorf("%s: no metric in it has the label %s", where, name)
			}
		}
	}
}

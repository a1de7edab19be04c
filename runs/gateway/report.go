package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// The targets that carrot must meet.
const (
	leastShare   = 0.40 // of the bare proxy's requests per second
	mostAdded    = 0.7  // ms at one connection, over the bare proxy's
	mostMemory   = 80 << 20
	mostGrowth   = 1.10 // memory from 50,000 to 100,000 requests
	leastOfOlder = 0.97 // of an older carrot's requests per second

	// With SQLite, keys and budgets.
	leastStored      = 0.85 // of the same binary's requests per second without a store
	mostStoredAdded  = 0.40 // ms at one connection, over the bare proxy's
	mostStoredMemory = 110 << 20

	markdownFile = "gateway.md"
	jsonFile     = "gateway.json"
)

// result is the JSON file.
type result struct {
	Date       string         `json:"date"`
	Machine    machine        `json:"machine"`
	Rounds     int            `json:"rounds"`
	Seconds    float64        `json:"seconds"`
	LoadBefore string         `json:"load_before"`
	Targets    []targetResult `json:"targets"`
	Skipped    []string       `json:"skipped"`
	Records    int            `json:"carrot_records"`
	Older      []comparison   `json:"older,omitempty"`
	SQLite     []comparison   `json:"sqlite,omitempty"`
	Goals      []goal         `json:"goals"`
}

type machine struct {
	Cores  int    `json:"cores"`
	CPU    string `json:"cpu"`
	System string `json:"system"`
	Go     string `json:"go"`
	Wrk    string `json:"wrk"`
	Node   string `json:"node,omitempty"`
	Python string `json:"python,omitempty"`
}

type targetResult struct {
	Name    string              `json:"name"`
	Version string              `json:"version,omitempty"`
	Samples map[string][]sample `json:"samples"`
	Median  map[string]sample   `json:"median"`
	Memory  []memoryAt          `json:"memory"`
	RSS     int                 `json:"rss_bytes_at_end"`
	Peak    int                 `json:"rss_bytes_peak"`
	Served  int                 `json:"requests"`
}

// goal is one of carrot's targets, and whether it was met.
type goal struct {
	What string `json:"what"`
	Got  string `json:"got"`
	Met  bool   `json:"met"`
}

// comparison is one figure of two targets, such as carrot and an older carrot.
type comparison struct {
	Load   string  `json:"load"`
	Figure string  `json:"figure"`
	First  float64 `json:"first"` // the median over the runs
	Second float64 `json:"second"`
	// Ratios are the first target's figure over the second's, one for each round, where
	// each figure is the mean of the two runs in the round. Memory has none.
	Ratios []float64 `json:"ratios,omitempty"`
	Ratio  float64   `json:"ratio"` // the median of Ratios; for memory, First over Second
}

const perSecond = "requests/s"

// compare puts the figures of two targets side by side.
func compare(first, second *targetResult) []comparison {
	figures := []struct {
		name string
		of   func(sample) float64
	}{
		{perSecond, func(s sample) float64 { return s.PerSecond }},
		{"p50 ms", func(s sample) float64 { return s.P50 }},
		{"p99 ms", func(s sample) float64 { return s.P99 }},
		{"processor µs a request", func(s sample) float64 { return s.Processor }},
		{"processor µs with upstream and load", func(s sample) float64 { return s.All }},
	}
	var out []comparison
	for _, r := range rows {
		for _, f := range figures {
			c := comparison{Load: r.name, Figure: f.name, First: f.of(first.Median[r.name]), Second: f.of(second.Median[r.name])}
			for pair := range slices.Chunk(first.Samples[r.name], 2) {
				i := 2 * len(c.Ratios)
				c.Ratios = append(c.Ratios, f.of(median(pair))/f.of(median(second.Samples[r.name][i:i+2])))
			}
			c.Ratio = middle(c.Ratios)
			out = append(out, c)
		}
	}
	memory := func(load string, first, second int) {
		a, b := megabytes(first), megabytes(second)
		out = append(out, comparison{Load: load, Figure: "memory MB", First: a, Second: b, Ratio: a / b})
	}
	for i, mark := range memoryMarks {
		memory(fmt.Sprintf("%d requests", mark), first.Memory[i].RSS, second.Memory[i].RSS)
	}
	memory("peak", first.Peak, second.Peak)
	return out
}

// middle returns the median.
func middle(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// median returns the median of each figure by itself.
func median(samples []sample) sample {
	of := func(figure func(*sample) float64) float64 {
		values := make([]float64, len(samples))
		for i := range samples {
			values[i] = figure(&samples[i])
		}
		return middle(values)
	}
	return sample{
		Requests:  int(of(func(s *sample) float64 { return float64(s.Requests) })),
		PerSecond: of(func(s *sample) float64 { return s.PerSecond }),
		P50:       of(func(s *sample) float64 { return s.P50 }),
		P99:       of(func(s *sample) float64 { return s.P99 }),
		Processor: of(func(s *sample) float64 { return s.Processor }),
		All:       of(func(s *sample) float64 { return s.All }),
	}
}

// report writes the two files and prints the Markdown.
func (m *measurement) report() error {
	r := result{Date: time.Now().UTC().Format(time.DateOnly), Machine: facts(), Rounds: m.rounds, Seconds: m.length.Seconds(),
		LoadBefore: m.loadBefore, Records: m.find(carrotName).recorded, Skipped: []string{}}
	for line := range strings.Lines(m.skipped) {
		r.Skipped = append(r.Skipped, strings.TrimSpace(line))
	}
	for _, t := range m.targets {
		tr := targetResult{Name: t.name, Version: t.version, Samples: t.samples, Median: map[string]sample{}, Memory: t.memory,
			RSS: t.resident("VmRSS"), Peak: t.resident("VmHWM"), Served: t.served}
		for name, samples := range t.samples {
			tr.Median[name] = median(samples)
		}
		r.Targets = append(r.Targets, tr)
		switch t.name {
		case "LiteLLM":
			r.Machine.Python = versionOf(filepath.Join(m.litellm, "bin", "python"), "--version")
		case "Portkey":
			r.Machine.Node = "Node " + versionOf("node", "--version")
		}
	}
	if older := r.target(olderName); older != nil {
		r.Older = compare(r.target(carrotName), older)
	}
	if stored := r.target(sqliteName); stored != nil {
		r.SQLite = compare(stored, r.target(carrotName))
	}
	r.Goals = r.goals()
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(m.out, jsonFile), append(raw, '\n'), 0o644); err != nil {
		return err
	}
	text := r.markdown()
	if err := os.WriteFile(filepath.Join(m.out, markdownFile), []byte(text), 0o644); err != nil {
		return err
	}
	fmt.Print(text)
	if m.check && slices.ContainsFunc(r.Goals, func(g goal) bool { return !g.Met }) {
		return errors.New("carrot misses a target")
	}
	return nil
}

func (r *result) target(name string) *targetResult {
	for i := range r.Targets {
		if r.Targets[i].Name == name {
			return &r.Targets[i]
		}
	}
	return nil
}

func (r *result) goals() []goal {
	carrot, bare := r.target(carrotName), r.target("bare proxy")
	share := carrot.Median["whole"].PerSecond / bare.Median["whole"].PerSecond
	added := carrot.Median["single"].P50 - bare.Median["single"].P50
	half, full := carrot.Memory[1].RSS, carrot.Memory[2].RSS
	growth := float64(full) / float64(half)
	goals := []goal{
		{"throughput at 16 connections, at least 40% of the bare proxy's", fmt.Sprintf("%.1f%%", 100*share), share >= leastShare},
		{"p50 added at 1 connection, at most 0.7 ms", fmt.Sprintf("%.2f ms", added), added <= mostAdded},
		{"memory after 100,000 requests, at most 80 MB", fmt.Sprintf("%.0f MB", megabytes(full)), full <= mostMemory},
		{"memory flat, at most 10% more than after 50,000", fmt.Sprintf("%+.1f%%", 100*(growth-1)), growth <= mostGrowth},
	}
	for _, c := range r.Older {
		if c.Figure == perSecond {
			goals = append(goals, goal{"requests/s (" + c.Load + "), at least 97% of the older carrot's", fmt.Sprintf("%.1f%%", 100*c.Ratio), c.Ratio >= leastOfOlder})
		}
	}
	if stored := r.target(sqliteName); stored != nil {
		half, full := stored.Memory[1].RSS, stored.Memory[2].RSS
		growth := float64(full) / float64(half)
		share, added := stored.Median["whole"].PerSecond/bare.Median["whole"].PerSecond, stored.Median["single"].P50-bare.Median["single"].P50
		for _, c := range r.SQLite {
			if c.Figure == perSecond && c.Load == "whole" {
				goals = append(goals, goal{"with SQLite, keys and budgets: requests/s, at least 85% of those without a store", fmt.Sprintf("%.1f%%", 100*c.Ratio), c.Ratio >= leastStored})
			}
		}
		goals = append(goals,
			goal{"with SQLite: throughput at 16 connections, at least 40% of the bare proxy's", fmt.Sprintf("%.1f%%", 100*share), share >= leastShare},
			goal{"with SQLite: p50 added at 1 connection, at most 0.40 ms", fmt.Sprintf("%.2f ms", added), added <= mostStoredAdded},
			goal{"with SQLite: memory after 100,000 requests, at most 110 MB", fmt.Sprintf("%.0f MB", megabytes(full)), full <= mostStoredMemory},
			goal{"with SQLite: memory flat, at most 10% more than after 50,000", fmt.Sprintf("%+.1f%%", 100*(growth-1)), growth <= mostGrowth})
	}
	return goals
}

func megabytes(n int) float64 { return float64(n) / (1 << 20) }

// markdown returns the tables, with the facts needed to read them.
func (r *result) markdown() string {
	var b strings.Builder
	bare := r.target("bare proxy")
	b.WriteString("| | answers | requests/s at 16 connections (range) | of bare | p50, p99 ms | processor µs a request | with upstream and load | p50 ms at 1 connection | added to bare | memory MB |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, name := range []string{"whole", "streamed"} {
		for i := range r.Targets {
			t := &r.Targets[i]
			s, runs := t.Median[name], t.Samples[name]
			if len(runs) == 0 {
				continue
			}
			byRate := func(a, b sample) int { return cmp.Compare(a.PerSecond, b.PerSecond) }
			least, most := slices.MinFunc(runs, byRate), slices.MaxFunc(runs, byRate)
			single, added, memory := "", "", ""
			if name == "whole" {
				one := t.Median["single"].P50
				single, memory = fmt.Sprintf("%.2f", one), fmt.Sprintf("%.0f", megabytes(t.RSS))
				if i > 0 && t != bare {
					added = fmt.Sprintf("%.2f", one-bare.Median["single"].P50)
				}
			}
			fmt.Fprintf(&b, "| %s | %s | %.0f (%.0f–%.0f) | %.1f%% | %.2f, %.2f | %.0f | %.0f | %s | %s | %s |\n", t.Name, name, s.PerSecond, least.PerSecond, most.PerSecond,
				100*s.PerSecond/bare.Median[name].PerSecond, s.P50, s.P99, s.Processor, s.All, single, added, memory)
		}
	}
	carrot := r.target(carrotName)
	b.WriteString("\n")
	if older := r.target(olderName); older != nil {
		writeComparison(&b, "carrot "+carrot.Version, "older carrot "+older.Version, r.Older)
	}
	if len(r.SQLite) > 0 {
		writeComparison(&b, "carrot with SQLite, keys and budgets", "carrot without a store", r.SQLite)
	}
	for _, m := range carrot.Memory {
		fmt.Fprintf(&b, "- carrot's memory after %d requests, each a conversation of its own: %.1f MB\n", m.Requests, megabytes(m.RSS))
	}
	fmt.Fprintf(&b, "- its peak: %.1f MB; attempts recorded: %d for %d requests\n", megabytes(carrot.Peak), r.Records, carrot.Served)
	fmt.Fprintf(&b, "- by processor time, which other programs on the machine distort less: %.0f µs more than the bare proxy, so %.1f%% of its throughput\n",
		carrot.Median["whole"].Processor-bare.Median["whole"].Processor, 100*bare.Median["whole"].All/carrot.Median["whole"].All)
	for _, g := range r.Goals {
		word := "met"
		if !g.Met {
			word = "missed"
		}
		fmt.Fprintf(&b, "- target: %s: %s, %s\n", g.What, g.Got, word)
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(&b, "- skipped: %s\n", s)
	}
	var versions []string
	for _, t := range r.Targets {
		if t.Version != "" {
			versions = append(versions, t.Name+" "+t.Version)
		}
	}
	for _, v := range []string{r.Machine.Python, r.Machine.Node, r.Machine.Wrk} {
		if v != "" {
			versions = append(versions, v)
		}
	}
	fmt.Fprintf(&b, "\n%s: %d cores of %s, shared with upstream and load generator, %s; %s, %s. Medians of %d rounds of %g s whole and a third of that\nfor the rest; load of the machine before: %s.\n",
		r.Date, r.Machine.Cores, r.Machine.CPU, r.Machine.System, r.Machine.Go, strings.Join(versions, ", "), r.Rounds, r.Seconds, r.LoadBefore)
	return b.String()
}

// writeComparison writes a table.
func writeComparison(b *strings.Builder, first, second string, comparisons []comparison) {
	fmt.Fprintf(b, "| load | figure | %s | %s | ratio, median of the rounds | ratio in each round |\n|---|---|---|---|---|---|\n", first, second)
	for _, c := range comparisons {
		var ratios []string
		for _, ratio := range c.Ratios {
			ratios = append(ratios, fmt.Sprintf("%.3f", ratio))
		}
		fmt.Fprintf(b, "| %s | %s | %.2f | %.2f | **%.3f** | %s |\n", c.Load, c.Figure, c.First, c.Second, c.Ratio, strings.Join(ratios, " "))
	}
	b.WriteString("\n")
}

// facts describes the machine, without its name.
func facts() machine {
	f := machine{Cores: runtime.NumCPU(), CPU: "an unknown processor", System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				f.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	// wrk -v prints its version and exits with 1.
	out, _ := exec.Command("wrk", "-v").Output()
	line, _, _ := strings.Cut(string(out), " [")
	f.Wrk = strings.TrimSpace(line)
	return f
}

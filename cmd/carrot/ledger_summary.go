package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/carrot-router/carrot/internal/ledger"
)

type ledgerSummaryCommand struct {
	storeFlags
	filterFlags
	By   string `default:"day" placeholder:"WHAT" help:"Divide by day, model, provider, policy, client, or label:NAME."`
	JSON bool   `name:"json" help:"Print as JSON."`
}

func (c *ledgerSummaryCommand) Help() string {
	return `Costs are exact sums of the attempts whose cost is known; the others are counted beside
them. Whole days of UTC are summed up.

The saving is what requests that policies routed cost, against what the decisions expected
of the best single model and of the policies' defaults. docs/gateway.md says how sure it is.

Examples:
  carrot ledger summary --store carrot.db
  carrot ledger summary --store carrot.db --by client --from 2026-11-01 --to 2026-12-01 --json
  carrot ledger summary --store carrot.db --by label:team --policy auto`
}

func (c *ledgerSummaryCommand) Run(ctx context.Context, t terminal) error {
	r, err := c.parse()
	if err != nil {
		return err
	}
	by := ledger.By(c.By)
	if err := by.Check(); err != nil {
		return usagef("--by: %v", err)
	}
	for _, bound := range []struct {
		flag, text string
		at         time.Time
	}{{"--from", c.From, r.From}, {"--to", c.To, r.To}} {
		if !bound.at.IsZero() && !bound.at.UTC().Truncate(24*time.Hour).Equal(bound.at) {
			return usagef("%s %s: a summary has whole days; name a day", bound.flag, bound.text)
		}
	}
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	p := startProgress(ctx, t.err, "summing up")
	defer p.stop()
	groups, total, err := s.Summary(ctx, r, by)
	if err != nil {
		return err
	}
	savings, parts, err := s.Saving(ctx, r, by)
	if err != nil {
		return err
	}
	rated, allRated, err := s.Ratings(ctx, r, by)
	if err != nil {
		return err
	}
	p.stop()
	if c.JSON {
		type group struct {
			ledger.Group
			Saving   *ledger.Saving `json:"saving,omitempty"`
			Feedback *ledger.Rated  `json:"feedback,omitempty"`
		}
		out := []group{}
		for _, g := range groups {
			one := group{Group: g}
			if saving, ok := parts[g.Name]; ok {
				one.Saving = &saving
			}
			one.Feedback = rated[g.Name]
			out = append(out, one)
		}
		return json.NewEncoder(t.out).Encode(struct {
			Schema string          `json:"schema"`
			By     string          `json:"by"`
			Groups []group         `json:"groups"`
			Total  ledger.Group    `json:"total"`
			Saving []ledger.Saving `json:"saving"`
			Rated  *ledger.Rated   `json:"feedback,omitempty"`
		}{"carrot.ledger-summary/1", c.By, out, total, append([]ledger.Saving{}, savings...), ratedOf(rated, allRated)})
	}
	if total.Attempts == 0 {
		fmt.Fprintln(t.out, "no attempts in this time")
		return nil
	}
	if err := c.table(t.out, groups, total, savings, parts, rated, &allRated); err != nil || len(savings) == 0 {
		return err
	}
	return describeSavings(t.out, savings)
}

// ratedOf returns the sums of feedback, or nil if nothing was ever said.
func ratedOf(groups map[string]*ledger.Rated, total ledger.Rated) *ledger.Rated {
	if groups == nil {
		return nil
	}
	return &total
}

// table prints the sums, with an estimate of the saving if there is one, and with the share of
// served requests that have feedback, and its mean score, if anything was ever said.
func (c *ledgerSummaryCommand) table(out io.Writer, groups []ledger.Group, total ledger.Group, savings []ledger.Saving, parts map[string]ledger.Saving, rated map[string]*ledger.Rated, allRated *ledger.Rated) error {
	total.Name = "total"
	rows := append(groups[:len(groups):len(groups)], total)
	width := len(c.By)
	for _, g := range rows {
		width = max(width, utf8.RuneCountInString(g.Name))
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%-*s\trequests\tattempts\tserved\tcost USD\tunknown\tinput\tcached\toutput\treasoning\t", width, c.By)
	if parts != nil {
		fmt.Fprint(w, "≈ saved USD\t")
	}
	if rated != nil {
		fmt.Fprint(w, "feedback\tscore\t")
	}
	fmt.Fprintln(w)
	for i, g := range rows {
		fmt.Fprintf(w, "%-*s\t%d\t%d\t%d\t%s\t%d\t%d\t%d\t%d\t%d\t", width, cmp.Or(g.Name, "-"), g.Requests, g.Attempts, g.Served, money(g.Cost.Float()), g.Unknown, g.Input+g.Written, g.Cached, g.Output, g.Reasoning)
		if parts != nil {
			saving, ok := parts[g.Name]
			if i == len(rows)-1 {
				saving, ok = savings[0], true
			}
			text := "-"
			if ok && saving.Requests > 0 {
				text = money(saving.Saved)
			}
			fmt.Fprintf(w, "%s\t", text)
		}
		if rated != nil {
			share, score := "-", "-"
			one := rated[g.Name]
			if i == len(rows)-1 {
				one = allRated
			}
			if one != nil && one.Served > 0 {
				share = fmt.Sprintf("%.1f%%", 100*float64(one.Feedback)/float64(one.Served))
				if one.Score != nil {
					score = fmt.Sprintf("%.3f", *one.Score)
				}
			}
			fmt.Fprintf(w, "%s\t%s\t", share, score)
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

// describeSavings prints what routing saved: facts first, then estimates.
func describeSavings(out io.Writer, savings []ledger.Saving) error {
	names := map[ledger.Against]string{ledger.BestSingle: "best single model", ledger.Defaults: "policies' defaults"}
	fmt.Fprintln(out, "\nSaving on the requests that policies routed")
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	row := func(what string, value func(s *ledger.Saving) string) {
		fmt.Fprintf(w, "  %s", what)
		for i := range savings {
			fmt.Fprintf(w, "\t%s", value(&savings[i]))
		}
		fmt.Fprintln(w)
	}
	count := func(n int64) string { return strconv.FormatInt(n, 10) }
	row("against", func(s *ledger.Saving) string { return names[s.Against] })
	row("", func(s *ledger.Saving) string { return cmp.Or(strings.Join(s.Models, ", "), "-") })
	row("facts", func(*ledger.Saving) string { return "" })
	row("  requests compared", func(s *ledger.Saving) string { return count(s.Requests) })
	row("  left out", func(s *ledger.Saving) string { return count(s.LeftOut) })
	row("  answered by it", func(s *ledger.Saving) string { return count(s.Own) })
	row("  cost USD", func(s *ledger.Saving) string { return money(s.Cost.Float()) })
	row("  failed attempts USD", func(s *ledger.Saving) string { return money(s.Failed.Float()) })
	row("estimates", func(*ledger.Saving) string { return "" })
	row("  bias of its forecasts", func(s *ledger.Saving) string {
		if s.Bias == nil && s.Interval != nil {
			return "-"
		}
		if s.Bias == nil {
			return "unknown: it answered too few requests"
		}
		return fmt.Sprintf("×%.3f [%.3f, %.3f]", *s.Bias, s.BiasInterval[0], s.BiasInterval[1])
	})
	row("  cost with it USD", func(s *ledger.Saving) string { return money(s.Reference) })
	row("  saved USD", func(s *ledger.Saving) string {
		if s.Interval == nil {
			return money(s.Saved) + " as forecast"
		}
		return fmt.Sprintf("%s [%s, %s]", money(s.Saved), money(s.Interval[0]), money(s.Interval[1]))
	})
	w.Flush() // returns no error, as it writes to a strings.Builder
	for line := range strings.Lines(text.String()) {
		if _, err := fmt.Fprintln(out, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

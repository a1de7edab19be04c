package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/atomicfile"
	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/internal/keys"
	"github.com/carrot-router/carrot/internal/ledger"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/record"
)

type ledgerCommand struct {
	Summary ledgerSummaryCommand `cmd:"" help:"Sum up requests, tokens and cost."`
	Show    ledgerShowCommand    `cmd:"" help:"Show one request: its decision, its attempts, forecast and truth."`
	Export  ledgerExportCommand  `cmd:"" help:"Write attempts as JSONL, CSV or Parquet."`
	Import  ledgerImportCommand  `cmd:"" help:"Add attempts from files of records."`
	Prune   ledgerPruneCommand   `cmd:"" help:"Delete old decisions, texts and attempts."`
	Erase   ledgerEraseCommand   `cmd:"" help:"Erase what is known of a client or an end user."`
	Check   ledgerCheckCommand   `cmd:"" help:"Look for damage."`
	Reprice ledgerRepriceCommand `cmd:"" help:"Give attempts of unknown cost a cost."`
	Backup  ledgerBackupCommand  `cmd:"" help:"Copy the store to a file while it is in use."`
	Restore ledgerRestoreCommand `cmd:"" help:"Copy a backup to an empty store."`
}

func (c *ledgerCommand) Help() string {
	return `A gateway with the key store: in its configuration keeps every attempt in a database.
These commands read it, also while the gateway runs.

Example:
  carrot ledger summary --store carrot.db --by model`
}

// storeFlags say which store a command is about.
type storeFlags struct {
	Store string `required:"" placeholder:"DSN" env:"CARROT_STORE" help:"Store of the gateway: store: in its configuration."`
}

func (f *storeFlags) open(ctx context.Context) (*ledger.Store, error) {
	s, err := ledger.OpenStore(ctx, f.Store)
	return s, f.hint(err)
}

// hint adds to an error of a store that does not exist what to do.
func (f *storeFlags) hint(err error) error {
	if errors.Is(err, database.ErrNone) {
		return hinted{err, "name the store as in the gateway's configuration (store:); the gateway makes it when it starts"}
	}
	return err
}

// noted writes what an administrator has changed in a store to its log of changes.
func noted(ctx context.Context, s *ledger.Store, action, subject string, details map[string]any) error {
	return keys.Note(ctx, s.DB(), time.Now(), administrator(), action, subject, details)
}

// rangeFlags limit a command to a time.
type rangeFlags struct {
	From string `placeholder:"TIME" help:"Begin at this time: 2026-11-29, or with a time of day as 2026-11-29T08:00:00Z. Days are of UTC."`
	To   string `placeholder:"TIME" help:"End before this time."`
}

// filterFlags limit a command to some attempts.
type filterFlags struct {
	rangeFlags
	Client []string `placeholder:"NAME" sep:"none" help:"Only this client. May be repeated, as the next two."`
	Model  []string `placeholder:"NAME" sep:"none" help:"Only this model."`
	Policy []string `placeholder:"NAME" sep:"none" help:"Only this policy."`
}

func (f *filterFlags) parse() (ledger.Range, error) {
	r, err := f.rangeFlags.parse()
	r.Clients, r.Models, r.Policies = f.Client, f.Model, f.Policy
	return r, err
}

func (f *rangeFlags) parse() (r ledger.Range, err error) {
	if r.From, err = parseTime("--from", f.From); err != nil {
		return r, err
	}
	r.To, err = parseTime("--to", f.To)
	return r, err
}

// parseTime reads a day or a time. An empty text is the zero time.
func parseTime(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, usagef("%s %q: want a day such as 2026-11-29 or a time such as 2026-11-29T08:00:00Z", flag, text)
	}
	return at, nil
}

// money writes an amount in USD to be compared with others in a column.
func money(usd float64) string { return strconv.FormatFloat(usd, 'f', 6, 64) }

type ledgerShowCommand struct {
	storeFlags
	ID   string `arg:"" help:"Request, as in the header x-carrot-request-id."`
	JSON bool   `name:"json" help:"Print the attempts as JSONL, in the form carrot.attempt/1, and feedback as carrot.feedback/1."`
}

func (c *ledgerShowCommand) Help() string {
	return `Example:
  carrot ledger show req_5Y3M2O56KPZ4QR2CNGOFME23QH --store carrot.db`
}

func (c *ledgerShowCommand) Run(ctx context.Context, t terminal) error {
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	attempts, err := s.Request(ctx, c.ID)
	if err != nil {
		return err
	}
	said, err := s.Feedback(ctx, c.ID)
	if err != nil {
		return err
	}
	if len(attempts) == 0 {
		return hinted{fmt.Errorf("the store has no request %s", c.ID), "a gateway writes attempts to its store within a second; older ones may be pruned"}
	}
	if c.JSON {
		_, err := ledger.WriteJSONL(t.out, func(yield func(*record.Attempt, error) bool) {
			for _, a := range attempts {
				if !yield(a, nil) {
					return
				}
			}
		})
		return errors.Join(err, writeFeedback(t.out, said))
	}
	if err := describeRequest(t.out, attempts); err != nil {
		return err
	}
	describeFeedback(t.out, said)
	return nil
}

// writeFeedback writes feedback as JSON lines.
func writeFeedback(out io.Writer, said []record.Feedback) error {
	lines := json.NewEncoder(out)
	for _, f := range said {
		if err := lines.Encode(struct {
			Schema    string    `json:"schema"`
			Time      time.Time `json:"time"`
			RequestID string    `json:"request_id"`
			Client    string    `json:"client"`
			Kind      string    `json:"kind"`
			Score     *float64  `json:"score"`
			Label     string    `json:"label,omitempty"`
			Note      string    `json:"note,omitempty"`
			By        string    `json:"by,omitempty"`
		}{"carrot.feedback/1", f.Time, f.RequestID, f.Client, f.Kind, f.Score, f.Label, f.Note, f.By}); err != nil {
			return err
		}
	}
	return nil
}

// describeFeedback shows what was said of an answer, the last of which counts.
func describeFeedback(out io.Writer, said []record.Feedback) {
	if len(said) == 0 {
		return
	}
	fmt.Fprintln(out, "\nfeedback, of which the last counts")
	for _, f := range said {
		score := "no score"
		if f.Score != nil {
			score = strconv.FormatFloat(*f.Score, 'g', -1, 64)
		}
		fmt.Fprintf(out, "  %s  %s", f.Time.Format(time.RFC3339), f.Kind)
		if f.Label != "" {
			fmt.Fprintf(out, " %q", f.Label)
		}
		fmt.Fprintf(out, ": %s, by %s", score, cmp.Or(f.By, "its client"))
		if f.Note != "" {
			fmt.Fprintf(out, ": %q", f.Note)
		}
		fmt.Fprintln(out)
	}
}

// describeRequest shows the attempts of a request to people.
func describeRequest(out io.Writer, attempts []*record.Attempt) error {
	first := attempts[0]
	fmt.Fprintf(out, "%s  %s  %s  client %s  policy %s\n", first.RequestID, first.Time.Format(time.RFC3339), first.API, cmp.Or(first.Client, "-"), cmp.Or(first.Policy, "- (the client named the model)"))
	if d := first.Decision; d != nil {
		fmt.Fprintf(out, "\n%s, decided in %v: %s\n\n", d.Model, first.DecidedIn.Round(time.Microsecond), d.Reason())
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "model\tquality\texpected cost USD\t90% below USD\toutput tokens")
		for i := range d.Candidates {
			e := &d.Candidates[i]
			if e.Excluded != "" {
				fmt.Fprintf(w, "%s\t-\t-\t-\t-\t%s\n", e.Name, e.Excluded)
				continue
			}
			note := ""
			if e.Borrowed != "" {
				note = "\tborrowed from " + e.Borrowed
			}
			fmt.Fprintf(w, "%s\t%.3f\t%s\t%s\t%.0f%s\n", e.Name, e.Quality, costOr(e.Cost, e.CostUnknown), costOr(e.CostP90, e.CostUnknown), e.OutputTokens, note)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	for _, a := range attempts {
		fmt.Fprintf(out, "\nattempt %d: %s at %s, %s: %s", a.Number, a.Candidate, a.Provider, a.Reason, a.Outcome)
		if a.Status != 0 {
			fmt.Fprintf(out, " (%d)", a.Status)
		}
		fmt.Fprintln(out)
		if a.ErrorCode != "" || a.Error != "" {
			fmt.Fprintf(out, "  error     %s %s\n", a.ErrorCode, a.Error)
		}
		if a.Outcome == record.Lapsed {
			fmt.Fprintf(out, "  cost      unknown, expected %s: the gateway ended during the call\n", inUSD(a.Expected, a.ExpectedUnknown))
			describeBudgets(out, a)
			continue
		}
		u := &a.Usage
		fmt.Fprintf(out, "  tokens    %d input, %d cached, %d output, %d reasoning", u.Prompt()-u.CachedInput, u.CachedInput, u.Answer()-u.Reasoning, u.Reasoning)
		if a.Estimated {
			fmt.Fprint(out, " (counted by the gateway)")
		}
		fmt.Fprintf(out, "\n  cost      %s, expected %s\n", inUSD(a.Cost, a.CostUnknown), costOr(a.Expected, a.ExpectedUnknown))
		describeBudgets(out, a)
		fmt.Fprintf(out, "  time      %v to the first content, %v in all, %v in the gateway before\n", a.FirstToken.Round(time.Microsecond), a.Upstream.Round(time.Microsecond), a.Overhead.Round(time.Microsecond))
		if lost := strings.Join(append(append([]string{}, a.Dropped...), a.Narrowed...), ", "); lost != "" {
			fmt.Fprintf(out, "  left out  %s\n", lost)
		}
	}
	return nil
}

// describeBudgets shows the budgets of an attempt, if it had any.
func describeBudgets(out io.Writer, a *record.Attempt) {
	if len(a.Budgets) > 0 {
		fmt.Fprintf(out, "  budgets   %s: %s USD reserved\n", strings.Join(a.Budgets, ", "), a.Held.AppendJSON(nil))
	}
}

// inUSD writes a cost with its currency, or that it is unknown.
func inUSD(cost carrot.USD, unknown bool) string {
	if unknown {
		return "unknown"
	}
	return costOr(cost, false) + " USD"
}

// costOr writes a cost, or that it is unknown.
func costOr(cost carrot.USD, unknown bool) string {
	if unknown {
		return "unknown"
	}
	return string(cost.AppendJSON(nil))
}

type ledgerExportCommand struct {
	storeFlags
	filterFlags
	Format string `default:"jsonl" enum:"jsonl,csv,parquet" help:"Write jsonl, csv or parquet."`
	Out    string `placeholder:"FILE" help:"File to write, in place of standard output."`
}

func (c *ledgerExportCommand) Help() string {
	return `JSONL has everything, in the form carrot.attempt/1, as record: writes it. CSV and Parquet
are tables without labels, decisions and texts.

Examples:
  carrot ledger export --store carrot.db > attempts.jsonl
  carrot ledger export --store carrot.db --format parquet --out november.parquet --from 2026-11-01 --to 2026-12-01`
}

func (c *ledgerExportCommand) Run(ctx context.Context, t terminal) error {
	r, err := c.parse()
	if err != nil {
		return err
	}
	if c.Format == "parquet" && c.Out == "" {
		return usagef("--format parquet needs --out FILE")
	}
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	p := startProgress(ctx, t.err, "exporting attempts")
	defer p.stop()
	write := map[string]func(io.Writer, iter.Seq2[*record.Attempt, error]) (int, error){"jsonl": ledger.WriteJSONL, "csv": ledger.WriteCSV, "parquet": ledger.WriteParquet}[c.Format]
	if c.Out == "" || c.Out == "-" {
		_, err := write(t.out, s.Attempts(ctx, r))
		return err
	}
	n := 0
	err = atomicfile.Write(c.Out, 0o600, func(w io.Writer) (err error) {
		n, err = write(w, s.Attempts(ctx, r))
		return err
	})
	if err != nil {
		return err
	}
	p.stop()
	wrote(t.out, c.Out)
	fmt.Fprintf(t.out, "%s: %s\n", c.Out, phrase.Count(n, "attempt"))
	return nil
}

type ledgerImportCommand struct {
	storeFlags
	Files []string `arg:"" placeholder:"FILE" help:"Files of records in the form carrot.attempt/1, of any release; - for standard input."`
}

func (c *ledgerImportCommand) Help() string {
	return `Attempts that the store has already, by request and number, are left out.

Example:
  carrot ledger import decisions.jsonl --store carrot.db`
}

func (c *ledgerImportCommand) Run(ctx context.Context, t terminal) error {
	s, err := ledger.MakeStore(ctx, c.Store)
	if err != nil {
		return err
	}
	defer s.Close()
	p := startProgress(ctx, t.err, "importing attempts")
	defer p.stop()
	for _, name := range c.Files {
		if err := c.file(ctx, t, s, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (c *ledgerImportCommand) file(ctx context.Context, t terminal, s *ledger.Store, name string) error {
	in := t.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	added, known, err := s.Import(ctx, record.Read(in))
	if added > 0 {
		err = errors.Join(err, noted(ctx, s, "import", "", map[string]any{"attempts": added}))
	}
	fmt.Fprintf(t.out, "%s: %s added, %d known already\n", name, phrase.Count(added, "attempt"), known)
	return err
}

type ledgerPruneCommand struct {
	storeFlags
	Before   string `required:"" placeholder:"TIME" help:"Delete what is older: a day such as 2026-11-01, or an age such as 30d."`
	Attempts bool   `help:"Delete the attempts too, and not only their decisions and texts."`
}

func (c *ledgerPruneCommand) Help() string {
	return `Sums by day stay, so that summaries do not change.

Example:
  carrot ledger prune --store carrot.db --before 30d`
}

func (c *ledgerPruneCommand) Run(ctx context.Context, t terminal) error {
	before, err := parseTime("--before", c.Before)
	if err != nil {
		age, ageErr := parseAge(c.Before)
		if ageErr != nil {
			return err
		}
		before = time.Now().Add(-age)
	}
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	p := startProgress(ctx, t.err, "pruning the store")
	defer p.stop()
	deleted, err := s.Prune(ctx, before, c.Attempts)
	if err != nil {
		return err
	}
	if err := noted(ctx, s, "prune", "", map[string]any{"before": before.UTC().Format(time.RFC3339), "attempts": c.Attempts, "rows": deleted}); err != nil {
		return err
	}
	p.stop()
	fmt.Fprintf(t.out, "%s deleted\n", phrase.Count(int(deleted), "row"))
	return nil
}

type ledgerCheckCommand struct{ storeFlags }

func (c *ledgerCheckCommand) Help() string {
	return `Checks the file, that every decision can be read, and that the sums by day follow from
the attempts. The exit status is 1 if anything is wrong.

Example:
  carrot ledger check --store carrot.db`
}

func (c *ledgerCheckCommand) Run(ctx context.Context, t terminal) error {
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	p := startProgress(ctx, t.err, "checking the store")
	defer p.stop()
	faults, err := s.Check(ctx)
	if err != nil {
		return err
	}
	p.stop()
	for _, f := range faults {
		fmt.Fprintln(t.out, f)
	}
	if len(faults) > 0 {
		return hinted{fmt.Errorf("store %s: %s", c.Store, phrase.Count(len(faults), "fault")), "restore a backup; carrot ledger export writes what can still be read"}
	}
	fmt.Fprintf(t.out, "%s: nothing wrong\n", c.Store)
	return nil
}

type ledgerBackupCommand struct {
	storeFlags
	Out string `required:"" placeholder:"FILE" help:"File to write, which must not exist. It can be used as a store."`
}

func (c *ledgerBackupCommand) Help() string {
	return `The file is a store of SQLite, whatever kind of database the store is in.

Example:
  carrot ledger backup --store carrot.db --out carrot-2026-11-29.db`
}

func (c *ledgerBackupCommand) Run(ctx context.Context, t terminal) error {
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	p := startProgress(ctx, t.err, "copying the store")
	defer p.stop()
	if err := s.Backup(ctx, c.Out); err != nil {
		return err
	}
	p.stop()
	wrote(t.out, c.Out)
	fmt.Fprintf(t.out, "%s: written\n", c.Out)
	return nil
}

type ledgerRestoreCommand struct {
	Store string `required:"" placeholder:"DSN" env:"CARROT_STORE" help:"Store to fill: a file that does not exist, or an empty database of PostgreSQL."`
	File  string `arg:"" placeholder:"FILE" help:"Backup, or any other store of SQLite that no gateway is using."`
}

func (c *ledgerRestoreCommand) Help() string {
	return `Copies everything, or nothing. This is also the way from SQLite to PostgreSQL and back.
Stop the gateway before, and start it with the new store: and the same journal:.

Examples:
  carrot ledger restore carrot-2026-11-29.db --store carrot.db
  carrot ledger restore carrot.db --store postgres://carrot@localhost/carrot`
}

func (c *ledgerRestoreCommand) Run(ctx context.Context, t terminal) error {
	if _, err := os.Stat(c.File); err != nil { // before a store is made
		return err
	}
	s, err := ledger.MakeStore(ctx, c.Store)
	if err != nil {
		return err
	}
	defer s.Close()
	p := startProgress(ctx, t.err, "copying the backup")
	defer p.stop()
	if err := s.Restore(ctx, c.File); err != nil {
		if errors.Is(err, database.ErrNotEmpty) {
			return hinted{err, "restore to a file that does not exist, or to an empty database"}
		}
		return err
	}
	if err := noted(ctx, s, "restore", "", map[string]any{}); err != nil {
		return err
	}
	p.stop()
	fmt.Fprintf(t.out, "%s: restored from %s\n", database.Name(c.Store), c.File)
	return nil
}

// Command carrot routes prompts to language models by expected quality and
// cost, and trains and evaluates the routers that do.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/price"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second signal ends the program at once
	code := run(ctx, os.Args[1:], terminal{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

type commands struct {
	Route      routeCommand      `cmd:"" help:"Decide which model should answer a prompt."`
	Data       dataCommand       `cmd:"" help:"Import, describe, check, join and invent data sets."`
	Embed      embedCommand      `cmd:"" help:"Make, check and export an embedder's vectors."`
	Collect    collectCommand    `cmd:"" help:"Ask models your own prompts, have the answers judged, and keep the outcomes."`
	Train      trainCommand      `cmd:"" help:"Fit a router on a data set and save it."`
	Eval       evalCommand       `cmd:"" help:"Measure routers on recorded outcomes."`
	Plan       planCommand       `cmd:"" help:"Find and measure plans: programs that ask more than one model."`
	Learn      learnCommand      `cmd:"" help:"Learn from a gateway's requests, and promote the router if it is better."`
	Report     reportCommand     `cmd:"" help:"Make pages, tables and pictures from a saved evaluation."`
	Judge      judgeCommand      `cmd:"" help:"Compare the scores of a judge with people's."`
	Serve      serveCommand      `cmd:"" help:"Serve OpenAI's and Anthropic's APIs, and route every request."`
	Budgets    budgetsCommand    `cmd:"" help:"Show what is spent, held and left of budgets."`
	Ledger     ledgerCommand     `cmd:"" help:"Look up what a gateway's requests cost, and why."`
	Whatif     whatifCommand     `cmd:"" help:"Estimate what a gateway's requests would have cost under other decisions."`
	Feedback   feedbackCommand   `cmd:"" help:"Add what was said of answers to a gateway's store."`
	Keys       keysCommand       `cmd:"" help:"Give clients of a gateway keys, change what they may do, and revoke them."`
	Arena      arenaCommand      `cmd:"" help:"Score predictions for RouterArena's leaderboard."`
	Theory     theoryCommand     `cmd:"" help:"Simulate the rates of the plug-in rule."`
	Router     routerCommand     `cmd:"" help:"Promote a saved router to a gateway's configuration, or go back."`
	Simulate   simulateCommand   `cmd:"" help:"Serve simulated models that answer as a data folder has recorded it."`
	Inspect    inspectCommand    `cmd:"" help:"Show what is in a saved router."`
	Price      priceCommand      `cmd:"" help:"List, check and set prices."`
	Cache      cacheCommand      `cmd:"" help:"Show and empty the cache of vectors and fitted routers."`
	Version    versionCommand    `cmd:"" help:"Print the version."`
	Completion completionCommand `cmd:"" help:"Print a shell completion script."`
}

const description = `Carrot routes every prompt to the model with the best trade-off of expected
quality and cost (CARROT, arXiv 2502.03261).

Example:
  carrot route "What is the derivative of x^3?"`

// usageError is a mistake on the command line.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// hinted is an error with advice.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// exit carries an exit status through kong, which ends the program after --help.
type exit int

// newParser builds the command line parser.
func newParser(t terminal) (*kong.Kong, error) {
	return kong.New(&commands{}, kong.Name("carrot"), kong.Description(description),
		kong.Writers(t.out, t.err), kong.Exit(func(code int) { panic(exit(code)) }),
		kong.Vars{"embedder_help": embedderHelp, "no_licence": noLicence, "import_formats": importFormats()},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}))
}

// run parses the arguments, runs the command and returns the exit status.
func run(ctx context.Context, args []string, t terminal) (status int) {
	out := &checkedWriter{w: t.out}
	t.in, t.out, t.err = &endingReader{ctx: ctx, r: t.in}, out, &sharedWriter{w: t.err}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case exit:
			status = int(r)
			if status == exitOK {
				status = report(t.err, out.failure(), "carrot")
			}
		default:
			panic(r)
		}
	}()
	parser, err := newParser(t)
	if err != nil {
		return report(t.err, err, "carrot")
	}
	args = usual(args)
	command, err := parser.Parse(args)
	if err != nil && out.failure() != nil { // it is about the help
		return report(t.err, out.failure(), "carrot")
	}
	if err != nil {
		if p, ok := errors.AsType[*kong.ParseError](err); ok {
			command = p.Context
		}
		return report(t.err, usageError{plainUsage(err)}, pathOf(command))
	}
	command.BindTo(ctx, (*context.Context)(nil))
	err = finish(ctx, pathOf(command), func() error { return command.Run(t) })
	if err == nil {
		err = out.failure()
	} else if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = hinted{errInterrupted, out.written()}
	}
	return report(t.err, err, pathOf(command))
}

// patience is how long a command may take to end after it was interrupted.
const patience = 2 * time.Second

// finish runs a command. When ctx is done, a command that does not end soon, because
// it waits for a named pipe or is busy, is left alone: what it writes takes its place
// only when it is whole. Serving ends by itself, when its streams have ended.
func finish(ctx context.Context, command string, run func() error) error {
	done := make(chan error, 1)
	go func() { done <- run() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	if command == "carrot serve" || command == "carrot collect" {
		return <-done
	}
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		return ctx.Err()
	}
}

// errInterrupted is the error of a command that was interrupted before its end. What
// it has written by then is the hint.
var errInterrupted = errors.New("interrupted")

// usagePhrases are what kong says about values of a wrong type, in words that name no
// type of Go.
var usagePhrases = []struct {
	kong  *regexp.Regexp
	words string
}{
	{regexp.MustCompile(`expected a (?:valid \d+ bit )?float but got (".*?")(?: \(\w+\))?`), "want a number, not $1"},
	{regexp.MustCompile(`expected a (?:valid \d+ bit )?int but got (".*?")(?: \(\w+\))?`), "want a whole number, not $1"},
	{regexp.MustCompile(`expected a (?:valid \d+ bit )?uint but got (".*?")(?: \(\w+\))?`), "want a whole number from 0, not $1"},
	{regexp.MustCompile(`expected (?:float|int) value but got (".*?") \(.*`), "want a number, not $1"},
	{regexp.MustCompile(`expected uint value but got (".*?") \(.*`), "want a whole number from 0, not $1"},
	{regexp.MustCompile(`expected (?:string|bool) value but got`), "want a value, not"},
	{regexp.MustCompile(`bool value must be .* but got`), "want true or false, not"},
	{regexp.MustCompile(`expected duration but got (".*?").*`), "want a duration such as 30s or 5m, not $1"},
}

// plainUsage returns an error of kong in plain words.
func plainUsage(err error) error {
	text := err.Error()
	for _, p := range usagePhrases {
		text = p.kong.ReplaceAllString(text, p.words)
	}
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

// usual translates what people type by habit, such as "help", into our commands.
func usual(args []string) []string {
	if len(args) == 0 {
		return []string{"--help"}
	}
	switch args[0] {
	case "help":
		return append(slices.Clone(args[1:]), "--help")
	case "--version":
		return []string{"version"}
	}
	return args
}

// pathOf returns the full name of a command, such as "carrot data import".
func pathOf(c *kong.Context) string {
	if c == nil || c.Selected() == nil {
		return "carrot"
	}
	return c.Selected().FullPath()
}

// report prints the error of a command and a hint, and returns the exit status.
func report(w io.Writer, err error, command string) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(w, "carrot: error: %v\n", err)
	if hint := hintOf(err, command); hint != "" {
		fmt.Fprintf(w, "carrot: hint: %s\n", hint)
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

func hintOf(err error, command string) string {
	if h, ok := errors.AsType[hinted](err); ok {
		return h.hint
	}
	if f, ok := errors.AsType[*dataset.FormatError](err); ok {
		return f.Hint
	}
	if _, ok := errors.AsType[usageError](err); ok {
		if command == "carrot route" && strings.HasPrefix(err.Error(), "unexpected argument") {
			return "a prompt of several words goes in quotes; see carrot route --help"
		}
		return "see " + command + " --help"
	}
	if errors.Is(err, price.ErrNoPrice) {
		return "carrot price set adds a price to a book for --prices"
	}
	return ""
}

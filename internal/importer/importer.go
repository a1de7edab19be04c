// Package importer writes data folders, the common form of package dataset,
// from published data sets, logs and tables. See [Import] and [Formats].
//
// It streams: a source may be larger than memory. It is separate from package
// dataset so that programs which train or route do not link a Parquet library.
package importer

import (
	"cmp"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/textfile"
	logged "github.com/carrot-router/carrot/record"
)

// Format is a form of outcomes that [Import] reads.
type Format struct {
	Name    string // as Import takes it
	Summary string // one line: what the source is
	Source  string // an example of the source, for help
	// Priced says that the format has a price for every model, which is that of
	// the time of its results. A price book that is not the user's own choice
	// should not replace them.
	Priced  bool
	columns []string
	read    func(ctx context.Context, src string, im *importer) error
	// run, if not nil, does the whole import instead of read.
	run func(ctx context.Context, src, dst string, opt Options) (*Report, error)
}

// formats are in the order in which they are listed.
var formats = []Format{
	{Name: "sprout", Summary: "SPROUT and SPROUT-o3mini, Parquet", Source: "downloads/SPROUT", run: importSPROUT},
	{Name: "routerbench", Summary: "RouterBench, a pandas pickle, Parquet or CSV; with costs", Source: "downloads/routerbench_0shot.pkl", columns: usageColumns[:1], read: importRouterBench},
	{Name: "zeroeval", Summary: "results of ZeroEval on GSM8K, CRUXEval and MATH level 5, from a clone of its repository", Source: "downloads/ZeroEval", Priced: true, read: importZeroEval},
	{Name: "mmlu-pro", Summary: "results of MMLU-Pro with 5 shots, from a clone of its repository", Source: "downloads/MMLU-Pro", Priced: true, read: importMMLUPro},
	{Name: "open-llm", Summary: "samples of Open LLM Leaderboard v2 (lm-evaluation-harness), a folder for each model", Source: "downloads/details", read: importOpenLLM},
	{Name: "routellm", Summary: "response CSVs that RouteLLM is evaluated on", Source: "downloads/RouteLLM/routellm/evals", read: importRouteLLM},
	{Name: "llmrouter", Summary: "routing data of LLMRouter, JSON lines or JSON", Source: "downloads/routing_data", read: importLLMRouter},
	{Name: "embedllm", Summary: "correctness CSVs of EmbedLLM and of that shape", Source: "downloads/EmbedLLM", read: importEmbedLLM},
	{Name: "litellm", Summary: "spend logs of the LiteLLM proxy, JSON lines or CSV; no scores", Source: "spendlogs.jsonl", columns: usageColumns, read: importLiteLLM},
	{Name: "openai-batch", Summary: "input and output files of OpenAI batches; no scores", Source: "batch-input.jsonl,batch-output.jsonl", columns: usageColumns[1:], read: importBatch},
	{Name: "carrot", Summary: "traffic of a gateway: files of record: or a store; scores from feedback", Source: "carrot.db", columns: usageColumns, read: importCarrot},
	{Name: "inspect", Summary: "logs of Inspect AI, .eval and .json", Source: "logs", columns: usageColumns, read: importInspect},
	{Name: "promptfoo", Summary: "results of promptfoo eval -o, JSON or JSON lines", Source: "results.json", columns: usageColumns, read: importPromptfoo},
	{Name: "langfuse", Summary: "exports of Langfuse: observations and scores, JSON lines, JSON or CSV", Source: "observations.jsonl,scores.jsonl", columns: usageColumns, read: importLangfuse},
	{Name: "openhands", Summary: "the OpenHands index of coding agents, from a clone of its repository and the issues of SWE-bench Verified; with costs", Source: "openhands-index-results,swe-bench-verified.parquet", Priced: true, columns: usageColumns[:1], read: importOpenHands},
	{Name: "table", Summary: "a CSV, JSON lines or Parquet file of your own, its columns named by --column or --columns", Source: "runs.csv", columns: usageColumns, read: importTable},
}

// Formats lists the formats that Import reads.
func Formats() []Format { return slices.Clone(formats) }

// Import writes the data at src, which is in the named format, as the data
// folder dst. It reads row by row, so the source may be larger than memory. A
// bad row gives a *[dataset.FormatError] with file, row and column, unless
// [Options.KeepGoing]. On an error dst stays as it was.
func Import(ctx context.Context, format, src, dst string, opt Options) (*Report, error) {
	at := slices.IndexFunc(formats, func(f Format) bool { return f.Name == format })
	if at < 0 {
		return nil, fmt.Errorf("import: unknown format %q: want one of %s", format, strings.Join(formatNames(), ", "))
	}
	if run := formats[at].run; run != nil {
		return run(ctx, src, dst, opt)
	}
	w, err := dataset.NewWriter(dst, dataset.WriteOptions{Force: opt.Force, Keep: sources(src), Columns: formats[at].columns})
	if err != nil {
		return nil, err
	}
	defer w.Close()
	im := &importer{src: src, opt: &opt, w: w, report: &Report{}, prompts: make(map[[md5.Size]byte][md5.Size]byte), models: make(map[string]bool)}
	if err := formats[at].read(ctx, src, im); err != nil {
		return nil, err
	}
	if err := im.commit(); err != nil {
		return nil, err
	}
	return im.report, nil
}

// sources returns the paths that src can stand for: some formats take several,
// separated by commas.
func sources(src string) []string { return append(strings.Split(src, ","), src) }

func formatNames() []string {
	var names []string
	for _, f := range formats {
		names = append(names, f.Name)
	}
	return names
}

// Options says how a source is imported; the zero value works.
type Options struct {
	// Prices returns the prices of a model in USD per million tokens. Models
	// that it does not know, or all if it is nil, are written without prices.
	Prices func(model string) (inputUSDPerMillion, outputUSDPerMillion float64, ok bool)
	// KeepGoing leaves bad rows out and notes them in rejected.jsonl in the
	// folder written, by file, row, column and reason, never with content.
	// Otherwise the first bad row ends the import.
	KeepGoing bool
	// Force replaces an existing data folder, but not the source: see
	// [dataset.WriteOptions].
	Force bool
	// Columns names the columns of the format table by the fields they hold: id,
	// prompt, source, split, model and the columns of outcomes.csv or, for a
	// table with columns for each model, "score:MODEL" and the like. A field that
	// is not mapped is looked for in the column of its own name or of a common
	// alias. "score:*" maps a pattern with one *, which stands for the model's name.
	Columns map[string]string
	// Delimiter separates the fields of a CSV file of the format table: a comma, a
	// semicolon, a | or "tab". If it is empty, it is found.
	Delimiter string
	// CountTokens counts the tokens of a text where a format holds texts and no
	// counts. If it is nil, the tokens of such a format are not observed.
	CountTokens func(text string) int
	// Store calls each with every attempt in the store of a gateway that answered a
	// request, and with the latest feedback on that, if known. It is for the format
	// carrot; if it is nil, that reads files only.
	Store func(ctx context.Context, dsn string, each func(a *logged.Attempt, f logged.Feedback, known bool) error) error
	// Progress, if not nil, is called now and then with how much of the total is
	// done, in bytes or rows.
	Progress func(done, total int64)
}

// Report says what an import did.
type Report struct {
	Rows     int64    `json:"rows"`               // of the source
	Queries  int64    `json:"queries"`            // written
	Outcomes int64    `json:"outcomes"`           // written
	Rejected int64    `json:"rejected"`           // bad rows that were left out
	Skipped  int64    `json:"skipped"`            // rows that hold no outcome by design: failed calls, second scorings; with Cut and Redacted
	Cut      int64    `json:"cut,omitempty"`      // rows of a log whose prompt had been cut before it was logged
	Redacted int64    `json:"redacted,omitempty"` // rows of a log whose prompt had been redacted
	NoText   int64    `json:"no_text,omitempty"`  // answered requests of a gateway whose text was not recorded
	Repeats  int64    `json:"repeats,omitempty"`  // further answers of a model to a prompt, which are averaged
	Scores   int64    `json:"scores"`             // outcomes with a score; without any there is nothing to train on
	Costs    int64    `json:"costs"`              // outcomes with a recorded cost, which need no price
	Models   []string `json:"models"`
	Unpriced []string `json:"unpriced"` // models written without prices
	IDs      string   `json:"ids"`      // what the ids of the queries were made of
	// Missing names the results that the format lists and the source lacks, as a
	// partial clone does.
	Missing []string `json:"missing,omitempty"`
	// Columns names the columns of a table that were found, by their fields: those
	// that had not been mapped and have not the field's own name.
	Columns map[string]string `json:"columns,omitempty"`

	Coverage dataset.Coverage `json:"-"` // of the folder written
}

// importer is the writing end that all formats but SPROUT share.
type importer struct {
	src    string
	opt    *Options
	w      *dataset.Writer
	report *Report
	// prompts holds the hash of each query's prompt by the hash of its id: a
	// format with one row for each model names a query many times.
	prompts map[[md5.Size]byte][md5.Size]byte
	models  map[string]bool // those in report.Models
	// splits holds the split of each prompt by its hash, if the source has splits
	// of its own.
	splits map[[md5.Size]byte]dataset.Split
	// prices are those that the source gives or implies, in USD per million
	// tokens. Options.Prices takes precedence.
	prices map[string][2]float64
	listed *listing                   // if not nil, it has the prices, the pool and the order of the models
	counts map[[md5.Size]byte]float64 // of promptTokens
}

// place is where a row is in its source.
type place struct {
	file string
	row  int64
}

// fault is what is wrong with a row.
type fault struct{ field, reason string }

// faultOf returns what an error of package dataset says is wrong with a value,
// or nil if err is not about a value.
func faultOf(err error) *fault {
	if bad, ok := errors.AsType[*dataset.FormatError](err); ok {
		return &fault{bad.Field, bad.Reason}
	}
	return nil
}

// checkModel returns what is wrong with the name of a model, or "".
func checkModel(name string) string {
	if bad := faultOf(dataset.Model{Name: name}.Validate()); bad != nil {
		return bad.reason
	}
	return ""
}

// add writes a query, unless it was written before, and its outcomes. names
// returns the source's column for a field of the common form ("id", "prompt",
// "score", …) in messages, or "" for the field's own name; it may be nil. A bad
// row ends the import or, with KeepGoing, is noted, and nothing of it is
// written.
func (im *importer) add(at place, q dataset.Query, outcomes []dataset.Outcome, names func(field string, model string) string) error {
	im.report.Rows++
	if bad := im.check(&q, outcomes, names); bad != nil {
		return im.refuse(at, *bad)
	}
	if err := im.addQuery(q); err != nil {
		return err
	}
	return im.write(at, q.ID, outcomes)
}

// addQuery writes a checked query, unless it was written before.
func (im *importer) addQuery(q dataset.Query) error {
	id := md5.Sum([]byte(q.ID))
	if _, known := im.prompts[id]; known {
		return nil
	}
	if err := im.w.Query(q); err != nil {
		return err
	}
	prompt := md5.Sum([]byte(q.Prompt))
	im.prompts[id] = prompt
	if im.splits != nil {
		im.splits[prompt] = q.Split
	}
	return nil
}

// write writes checked outcomes of a query that was written before.
func (im *importer) write(at place, id string, outcomes []dataset.Outcome) error {
	for _, o := range outcomes {
		o.ID = id
		if err := im.w.Outcome(o); err != nil {
			if bad := faultOf(err); bad != nil {
				return im.refuse(at, *bad)
			}
			return err
		}
		if !im.models[o.Model] {
			im.models[o.Model] = true
			im.report.Models = append(im.report.Models, o.Model)
		}
		im.report.count(&o)
	}
	return nil
}

// count counts an outcome that was written.
func (r *Report) count(o *dataset.Outcome) {
	if slices.ContainsFunc(outcomeFields, func(field string) bool { return !math.IsNaN(*value(o, field)) }) {
		r.Outcomes++
	}
	if !math.IsNaN(o.Score) {
		r.Scores++
	}
	if !math.IsNaN(o.CostUSD) {
		r.Costs++
	}
}

// check returns what is wrong with a row, or nil. It sets the split of q.
func (im *importer) check(q *dataset.Query, outcomes []dataset.Outcome, names func(field, model string) string) *fault {
	name := func(field, model string) string {
		if names == nil {
			return field
		}
		return cmp.Or(names(field, model), field)
	}
	own := q.Split != ""
	if !own {
		q.Split = dataset.SplitOf(q.Prompt)
	}
	if bad := faultOf(q.Validate()); bad != nil {
		return &fault{name(bad.field, ""), bad.reason}
	}
	if lost := lostPrompt(q.Prompt); lost != "" { // a log may be imported as a table too
		return &fault{name("prompt", ""), lost}
	}
	if !im.oneSplit(q, own) {
		return &fault{name("split", ""), "an earlier query with this prompt is not in " + string(q.Split) + ": equal prompts belong in one split"}
	}
	if seen, ok := im.prompts[md5.Sum([]byte(q.ID))]; ok && seen != md5.Sum([]byte(q.Prompt)) {
		return &fault{name("prompt", ""), textfile.Quote(q.ID) + " had another prompt before"}
	}
	for _, o := range outcomes {
		o.ID = q.ID
		if bad := faultOf(o.Validate()); bad != nil {
			return &fault{name(bad.field, o.Model), bad.reason}
		}
	}
	return nil
}

// oneSplit puts a query into the split of an earlier query with the same
// prompt, so that equal prompts are all in one split. It returns false if the
// earlier one is trained on and this one is held out. A format with splits of
// its own therefore reads the held-out files first.
func (im *importer) oneSplit(q *dataset.Query, own bool) bool {
	if own && im.splits == nil {
		im.splits = make(map[[md5.Size]byte]dataset.Split)
	}
	have, ok := im.splits[md5.Sum([]byte(q.Prompt))]
	if !ok {
		return true
	}
	if own && splitOrder(have) < splitOrder(q.Split) {
		return false
	}
	q.Split = have
	return true
}

// HintLost says what to do about prompts that are lost; LiteLLM logs later calls so.
const HintLost = "raise MAX_STRING_LENGTH_PROMPT_IN_DB and leave turn_off_message_logging unset in LiteLLM, and export the log again"

// HintNoText says what to do about requests without a text.
const HintNoText = "set record.content to judged in the gateway's configuration (docs/gateway.md); a store keeps texts for keep_decisions days"

const hintRow = "fix the row, or leave bad rows out (--keep-going)"

// refuse ends the import because of a bad row or, with KeepGoing, notes the row.
// A format calls it for faults that add cannot see, such as a line that is not
// JSON.
func (im *importer) refuse(at place, bad fault) error {
	if !im.opt.KeepGoing {
		return &dataset.FormatError{File: at.file, Line: int(at.row), Field: bad.field, Reason: bad.reason, Hint: hintRow}
	}
	im.report.Rejected++
	return im.w.Reject(dataset.Rejected{File: filepath.Base(at.file), Row: at.row, Column: bad.field, Reason: bad.reason})
}

// skip counts a row that holds no outcome by design.
func (im *importer) skip() error {
	im.report.Rows++
	im.report.Skipped++
	return nil
}

// reject counts a row and refuses it.
func (im *importer) reject(at place, field, reason string) error {
	im.report.Rows++
	return im.refuse(at, fault{field, reason})
}

// countTokens counts the tokens of a text; it returns NaN if there is no counter.
func (im *importer) countTokens(text string) float64 {
	if im.opt.CountTokens == nil {
		return math.NaN()
	}
	return float64(im.opt.CountTokens(text))
}

// progress reports how far the import is, in bytes or rows.
func (im *importer) progress(done, total int64) {
	if im.opt.Progress != nil {
		im.opt.Progress(done, total)
	}
}

// commit writes models.json and puts the folder in its place.
func (im *importer) commit() error {
	if lost := im.report.Cut + im.report.Redacted; im.w.Queries() == 0 && lost > 0 {
		return &dataset.FormatError{File: im.src, Field: "messages", Reason: fmt.Sprintf("the source holds no whole prompt: LiteLLM cut %d before they were logged and redacted %d", im.report.Cut, im.report.Redacted),
			Hint: HintLost}
	}
	if im.w.Queries() == 0 && im.report.NoText > 0 {
		return &dataset.FormatError{File: im.src, Field: "prompt", Reason: fmt.Sprintf("the text of none of its %d answered requests was recorded", im.report.NoText), Hint: HintNoText}
	}
	if im.w.Queries() == 0 {
		return errors.New("import: the source holds no query")
	}
	if len(im.report.Models) == 0 {
		return errors.New("import: the source holds no outcome")
	}
	pool := func(string) bool { return true }
	if im.listed != nil {
		im.listed.order(im.report.Models)
		pool = im.listed.pool
	}
	return im.report.commit(im.w, pool, func(model string) (float64, float64, bool) {
		if im.opt.Prices != nil {
			if in, out, ok := im.opt.Prices(model); ok {
				return in, out, ok
			}
		}
		p, ok := im.prices[model]
		return p[0], p[1], ok
	})
}

// commit completes the report and the folder: the models that pool accepts are
// in the pool, with the prices that prices, which may be nil, knows.
func (r *Report) commit(w *dataset.Writer, pool func(model string) bool, prices func(model string) (in, out float64, ok bool)) error {
	models := make([]dataset.Model, len(r.Models))
	r.Queries, r.Unpriced = int64(w.Queries()), []string{}
	for j, name := range r.Models {
		models[j] = dataset.Model{Name: name, Pool: pool(name), InputUSDPerMillion: math.NaN(), OutputUSDPerMillion: math.NaN()}
		if prices != nil {
			if in, out, ok := prices(name); ok {
				models[j].InputUSDPerMillion, models[j].OutputUSDPerMillion = in, out
				continue
			}
		}
		r.Unpriced = append(r.Unpriced, name)
	}
	r.Coverage = w.Coverage(models)
	return w.Commit(models)
}

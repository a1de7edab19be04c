package dataset

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
)

// Format is a published form of outcomes that [Import] reads.
type Format struct {
	Name    string // as Import takes it
	Summary string // one line: what the source is
	Source  string // an example of the source, for help
	columns []string
	read    func(ctx context.Context, src string, im *importer) error
	// run, if not nil, does the whole import instead of read.
	run func(ctx context.Context, src, dst string, opt ImportOptions) (*ImportReport, error)
}

// formats in the order they are listed in.
var formats = []Format{
	{Name: "sprout", Summary: "SPROUT and SPROUT-o3mini, Parquet", Source: "downloads/SPROUT", run: ImportSPROUT},
	{Name: "routerbench", Summary: "RouterBench, a pandas pickle, Parquet or CSV; with costs", Source: "downloads/routerbench_0shot.pkl", columns: []string{ColumnCostUSD}, read: importRouterBench},
	{Name: "open-llm", Summary: "samples of Open LLM Leaderboard v2 (lm-evaluation-harness), a folder for each model", Source: "downloads/details", read: importOpenLLM},
	{Name: "routellm", Summary: "response CSVs that RouteLLM is evaluated on", Source: "downloads/RouteLLM/routellm/evals", read: importRouteLLM},
	{Name: "llmrouter", Summary: "routing data of LLMRouter, JSON lines or JSON", Source: "downloads/routing_data", read: importLLMRouter},
	{Name: "embedllm", Summary: "correctness CSVs of EmbedLLM and of that shape", Source: "downloads/EmbedLLM", read: importEmbedLLM},
	{Name: "litellm", Summary: "spend logs of the LiteLLM proxy, JSON lines or CSV; no scores", Source: "spendlogs.jsonl", columns: usageColumns, read: importLiteLLM},
	{Name: "openai-batch", Summary: "input and output files of OpenAI batches; no scores", Source: "batch-input.jsonl,batch-output.jsonl", columns: usageColumns[1:], read: importBatch},
	{Name: "table", Summary: "a CSV, JSON lines or Parquet file of your own, its columns named by --column or --columns", Source: "runs.csv", columns: usageColumns, read: importTable},
}

// Formats lists what Import reads.
func Formats() []Format { return slices.Clone(formats) }

// Import writes the data at src, which is in the named format, as the data
// folder dst. Rows pass one by one: a source larger than memory will do. A bad
// row gives a *[FormatError] with file, row and column, unless
// [ImportOptions.KeepGoing]. On an error dst stays as it was.
func Import(ctx context.Context, format, src, dst string, opt ImportOptions) (*ImportReport, error) {
	at := slices.IndexFunc(formats, func(f Format) bool { return f.Name == format })
	if at < 0 {
		return nil, fmt.Errorf("import: unknown format %q: want one of %s", format, strings.Join(formatNames(), ", "))
	}
	if run := formats[at].run; run != nil {
		return run(ctx, src, dst, opt)
	}
	w, err := NewWriter(dst, WriteOptions{Force: opt.Force, Columns: formats[at].columns})
	if err != nil {
		return nil, err
	}
	defer w.Close()
	im := &importer{opt: &opt, w: w, report: &ImportReport{}, prompts: make(map[[md5.Size]byte][md5.Size]byte)}
	if err := formats[at].read(ctx, src, im); err != nil {
		return nil, err
	}
	return im.report, im.commit()
}

func formatNames() []string {
	var names []string
	for _, f := range formats {
		names = append(names, f.Name)
	}
	return names
}

// importer is the writing end that all formats share.
type importer struct {
	opt    *ImportOptions
	w      *Writer
	report *ImportReport
	// prompts remembers the hash of each query's prompt by the hash of its id:
	// a format with one row a model names a query many times.
	prompts map[[md5.Size]byte][md5.Size]byte
	// splits remembers the split of each prompt by its hash, where the source has
	// splits of its own.
	splits map[[md5.Size]byte]Split
	// prices of models that the format itself implies, in USD per million
	// tokens; those of ImportOptions.Prices go before them.
	prices map[string][2]float64
}

// record is a row of a table: CSV, JSON lines or Parquet read as text. A value
// that is null or an absent field is not present; an empty CSV field is not
// either.
type record struct {
	columns []string
	values  []string
	present []bool
}

// get returns a column's value, and whether there is one.
func (r *record) get(column string) (string, bool) {
	at := slices.Index(r.columns, column)
	if at < 0 || !r.present[at] {
		return "", false
	}
	return r.values[at], true
}

// place is where a row stands in its source.
type place struct {
	file string
	row  int64
}

// fault is what is wrong with a row.
type fault struct{ field, reason string }

// add writes a query, unless it was written before, and its outcomes. names
// gives the source's column for a field of the common form ("id", "prompt",
// "score", …) in messages; nil: the field's own name. What is wrong with the
// row ends the import or, if it keeps going, is noted: then nothing of the row
// is written.
func (im *importer) add(at place, q Query, outcomes []Outcome, names func(field string, model string) string) error {
	im.report.Rows++
	if bad := im.check(&q, outcomes, names); bad != nil {
		return im.refuse(at, *bad)
	}
	id := md5.Sum([]byte(q.ID))
	if _, known := im.prompts[id]; !known {
		if err := im.w.Query(q); err != nil {
			return err
		}
		prompt := md5.Sum([]byte(q.Prompt))
		im.prompts[id] = prompt
		if im.splits != nil {
			im.splits[prompt] = q.Split
		}
	}
	return im.write(at, q.ID, outcomes)
}

// write writes checked outcomes of a query that was written before.
func (im *importer) write(at place, id string, outcomes []Outcome) error {
	for _, o := range outcomes {
		o.ID = id
		if err := im.w.Outcome(o); err != nil {
			if bad, ok := errors.AsType[*FormatError](err); ok {
				return im.refuse(at, fault{bad.Field, bad.Reason})
			}
			return err
		}
		if !slices.Contains(im.report.Models, o.Model) {
			im.report.Models = append(im.report.Models, o.Model)
		}
		for _, v := range o.values() {
			if !math.IsNaN(v) {
				im.report.Outcomes++
				break
			}
		}
		if !math.IsNaN(o.Score) {
			im.report.Scores++
		}
		if !math.IsNaN(o.CostUSD) {
			im.report.Costs++
		}
	}
	return nil
}

// check says what is wrong with a row, nil if nothing is.
func (im *importer) check(q *Query, outcomes []Outcome, names func(field, model string) string) *fault {
	name := func(field, model string) string {
		if names == nil {
			return field
		}
		return cmp.Or(names(field, model), field)
	}
	own := q.Split != ""
	if !own {
		q.Split = SplitOf(q.Prompt)
	}
	if field, reason := checkQuery(*q); reason != "" {
		return &fault{name(field, ""), reason}
	}
	if !im.oneSplit(q, own) {
		return &fault{name("split", ""), "a query with this prompt was not in " + string(q.Split) + " before: equal prompts belong in one split"}
	}
	if seen, ok := im.prompts[md5.Sum([]byte(q.ID))]; ok && seen != md5.Sum([]byte(q.Prompt)) {
		return &fault{name("prompt", ""), quote(q.ID) + " had another prompt before"}
	}
	for _, o := range outcomes {
		if reason := checkName(o.Model); reason != "" {
			return &fault{name("model", o.Model), reason}
		}
		for col, v := range o.values() {
			if math.IsNaN(v) {
				continue
			}
			if reason := checkValue(col, v); reason != "" {
				return &fault{name(columnName(col), o.Model), reason}
			}
		}
	}
	return nil
}

// oneSplit puts a query into the split that an earlier one with its prompt is in,
// so that equal prompts never straddle one. It reports false where that would
// train on what is held out now. A format with splits of its own therefore reads
// what is held out first.
func (im *importer) oneSplit(q *Query, own bool) bool {
	if own && im.splits == nil {
		im.splits = make(map[[md5.Size]byte]Split)
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

// refuse ends the import for a bad row, or notes it if it keeps going. A
// format calls it for what add cannot see, such as a line that is not JSON.
func (im *importer) refuse(at place, bad fault) error {
	if !im.opt.KeepGoing {
		return &FormatError{File: at.file, Line: int(at.row), Field: bad.field, Reason: bad.reason,
			Hint: "mend the row, or keep going without bad rows (--keep-going)"}
	}
	im.report.Rejected++
	return im.w.Reject(Rejected{File: filepath.Base(at.file), Row: at.row, Column: bad.field, Reason: bad.reason})
}

// progress tells how far the import is; total may be bytes or rows.
func (im *importer) progress(done, total int64) {
	if im.opt.Progress != nil {
		im.opt.Progress(done, total)
	}
}

// commit writes models.json and puts the folder in place.
func (im *importer) commit() error {
	if im.w.Queries() == 0 {
		return errors.New("import: the source holds no query")
	}
	if len(im.report.Models) == 0 {
		return errors.New("import: the source holds no outcome")
	}
	prices := im.opt.Prices
	models, unpriced := (&ImportOptions{Prices: func(model string) (float64, float64, bool) {
		if prices != nil {
			if in, out, ok := prices(model); ok {
				return in, out, ok
			}
		}
		p, ok := im.prices[model]
		return p[0], p[1], ok
	}}).models(im.report.Models)
	im.report.Queries, im.report.Unpriced = int64(im.w.Queries()), unpriced
	return im.w.Commit(models)
}

// ImportOptions says how a source is imported; the zero value works.
type ImportOptions struct {
	// Prices gives the prices of a model in USD per million tokens. Models it
	// does not know, all if it is nil, are written without prices.
	Prices func(model string) (inputUSDPerMillion, outputUSDPerMillion float64, ok bool)
	// KeepGoing leaves bad rows out and notes them in rejected.jsonl in the
	// folder written, by file, row, column and reason, never with content.
	// Otherwise the first bad row ends the import.
	KeepGoing bool
	// Force replaces an existing folder that is not empty.
	Force bool
	// Columns names the columns of the format table, by the fields they hold: id,
	// prompt, source, split, model and the columns of outcomes.csv, or for a table
	// with columns for each model "score:MODEL" and the like. A field that is not
	// mapped is the column of its own name.
	Columns map[string]string
	// CountTokens counts the tokens of a text where a format holds texts and no
	// counts. If it is nil, tokens are not observed there.
	CountTokens func(text string) int
	// Progress, if not nil, is called now and then with the rows done of all.
	Progress func(done, total int64)
}

// ImportReport says what an import did.
type ImportReport struct {
	Rows     int64    `json:"rows"`     // of the source
	Queries  int64    `json:"queries"`  // written
	Outcomes int64    `json:"outcomes"` // written
	Rejected int64    `json:"rejected"` // rows left out as bad
	Skipped  int64    `json:"skipped"`  // rows that hold no outcome by design: failed calls, second scorings
	Scores   int64    `json:"scores"`   // outcomes with a score; without any there is nothing to train on
	Costs    int64    `json:"costs"`    // outcomes with a recorded cost, which need no price
	Models   []string `json:"models"`
	Unpriced []string `json:"unpriced"` // models written without prices
	IDs      string   `json:"ids"`      // what the ids of the queries were made of
}

// models makes the models of an import, all in the pool.
func (o *ImportOptions) models(names []string) (models []Model, unpriced []string) {
	models, unpriced = make([]Model, len(names)), []string{}
	for j, name := range names {
		models[j] = Model{Name: name, Pool: true, InputUSDPerMillion: math.NaN(), OutputUSDPerMillion: math.NaN()}
		if o.Prices != nil {
			if in, out, ok := o.Prices(name); ok {
				models[j].InputUSDPerMillion, models[j].OutputUSDPerMillion = in, out
				continue
			}
		}
		unpriced = append(unpriced, name)
	}
	return models, unpriced
}

// hashSet remembers texts by their md5, in a fraction of their memory.
type hashSet map[[md5.Size]byte]struct{}

// add reports whether text was not in the set before.
func (h hashSet) add(text string) bool {
	key := md5.Sum([]byte(text))
	_, ok := h[key]
	h[key] = struct{}{}
	return !ok
}

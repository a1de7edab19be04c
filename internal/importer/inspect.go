package importer

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/textfile"
)

// importInspect reads logs of Inspect AI, .eval and .json. Every sample without an error is
// an outcome of the log's model, or of MODEL@EFFORT if the log has a reasoning effort. Its
// score is that of the first scorer, as in Inspect's own summaries: C is 1, P ½, I and N are
// 0. Its tokens and cost are those of that model alone, not of graders. Several epochs, and
// logs of several runs, are averaged. The id of a query is TASK/SAMPLE.
func importInspect(ctx context.Context, src string, im *importer) error {
	paths, err := sourceFiles(src, "logs of Inspect (.eval, or .json with a date at the beginning)", func(name string) bool {
		return strings.HasSuffix(strings.ToLower(name), ".eval") || inspectName.MatchString(name)
	})
	if err != nil {
		return err
	}
	im.report.IDs = "task/sample"
	in := &inspectLogs{means: newMeans(im), seen: make(map[string]bool)}
	for i, path := range paths {
		if strings.HasSuffix(strings.ToLower(path), ".eval") {
			err = in.archive(ctx, path)
		} else {
			err = in.file(ctx, path)
		}
		if err != nil {
			return err
		}
		im.progress(int64(i+1), int64(len(paths)))
	}
	return in.flush()
}

// inspectName matches the name of a log in JSON, beside which Inspect also writes lists of
// logs.
var inspectName = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T.*\.json(\.gz)?$`)

// inspectLogs are the logs of an import.
type inspectLogs struct {
	*means
	seen map[string]bool // the samples, which a repeated evaluation copies from its first log
}

// inspectEval is what a log says of all its samples.
type inspectEval struct {
	Task   string `json:"task"`
	Model  string `json:"model"`
	Config struct {
		Effort string `json:"reasoning_effort"`
	} `json:"model_generate_config"`
	Scorers []struct {
		Name string `json:"name"`
	} `json:"scorers"`
}

// candidate returns the name of what was evaluated.
func (e *inspectEval) candidate() string {
	if e.Config.Effort != "" {
		return e.Model + "@" + e.Config.Effort
	}
	return e.Model
}

// inspectUsage are a model's tokens. Input tokens are without those of the cache.
type inspectUsage struct {
	Input      any `json:"input_tokens"`
	Output     any `json:"output_tokens"`
	CacheRead  any `json:"input_tokens_cache_read"`
	CacheWrite any `json:"input_tokens_cache_write"`
	Reasoning  any `json:"reasoning_tokens"`
	Cost       any `json:"total_cost"`
}

// inspectSample is a sample, without what was said in between.
type inspectSample struct {
	ID      any    `json:"id"`
	UUID    string `json:"uuid"`
	Input   any    `json:"input"`
	Choices any    `json:"choices"`
	Error   any    `json:"error"`
	Scores  map[string]struct {
		Value any `json:"value"`
	} `json:"scores"`
	Usage  map[string]inspectUsage `json:"model_usage"`
	Output struct {
		Usage *inspectUsage `json:"usage"`
	} `json:"output"`
	Attachments map[string]string `json:"attachments"`
}

// decodeInto reads one JSON value into to, with numbers as json.Number.
func decodeInto(raw []byte, to any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return dec.Decode(to)
}

const hintInspect = "the log must be one that inspect eval has written, of version 2"

// file reads a log in JSON.
func (in *inspectLogs) file(ctx context.Context, path string) error {
	f, size, err := openSource(path)
	if err != nil {
		return err
	}
	defer f.Close() // only read from
	count := &countReader{r: f}
	var eval *inspectEval
	err = scanDeep(ctx, count, path, "samples", func(name string, raw []byte) (err error) {
		if name == "eval" {
			eval, err = readInspectEval(path, raw)
		}
		return err
	}, func(n int64, raw []byte) error {
		if n%64 == 0 {
			in.im.progress(count.n, size)
		}
		if eval == nil {
			return &dataset.FormatError{File: path, Field: "eval", Reason: "is missing before the samples", Hint: hintInspect}
		}
		return in.sample(place{path, n}, eval, raw)
	})
	if err == nil && eval == nil {
		err = &dataset.FormatError{File: path, Field: "eval", Reason: "is missing", Hint: hintInspect}
	}
	return err
}

func readInspectEval(path string, raw []byte) (*inspectEval, error) {
	eval := &inspectEval{}
	if err := decodeInto(raw, eval); err != nil || eval.Model == "" || eval.Task == "" {
		return nil, &dataset.FormatError{File: path, Field: "eval", Reason: "names no task and model", Hint: hintInspect}
	}
	return eval, nil
}

// zstdMethod is how Inspect compresses the files in a log.
const zstdMethod = 93

// archive reads a log in a zip archive.
func (in *inspectLogs) archive(ctx context.Context, path string) error {
	f, size, err := openSource(path)
	if err != nil {
		return err
	}
	defer f.Close() // only read from
	z, err := zip.NewReader(f, size)
	if err != nil {
		return &dataset.FormatError{File: path, Reason: "is not a complete zip archive", Hint: "copy the log again, or wait until its evaluation has ended", Err: err}
	}
	z.RegisterDecompressor(zstdMethod, func(r io.Reader) io.ReadCloser {
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(textfile.MaxLine), zstd.WithDecoderMaxWindow(1<<27))
		if err != nil {
			return io.NopCloser(failing{err})
		}
		return d.IOReadCloser()
	})
	var samples []*zip.File
	var eval *inspectEval
	for _, name := range []string{"header.json", "_journal/start.json"} { // the second one of an evaluation that has not ended
		at := slices.IndexFunc(z.File, func(f *zip.File) bool { return f.Name == name })
		if at < 0 || eval != nil {
			continue
		}
		raw, err := readZipped(path, z.File[at])
		if err != nil {
			return err
		}
		var header struct {
			Eval json.RawMessage `json:"eval"`
		}
		if err := json.Unmarshal(raw, &header); err != nil || header.Eval == nil {
			return &dataset.FormatError{File: path, Field: name, Reason: "has no eval", Hint: hintInspect}
		}
		if eval, err = readInspectEval(path, header.Eval); err != nil {
			return err
		}
	}
	if eval == nil {
		return &dataset.FormatError{File: path, Reason: "has no header.json", Hint: hintInspect}
	}
	for _, f := range z.File {
		if strings.HasPrefix(f.Name, "samples/") && strings.HasSuffix(f.Name, ".json") {
			samples = append(samples, f)
		}
	}
	for i, f := range samples {
		if err := ctx.Err(); err != nil {
			return err
		}
		at := place{path, int64(i) + 1}
		raw, err := readZipped(path, f)
		if err != nil {
			if bad := faultOf(err); bad != nil {
				err = in.im.reject(at, bad.field, bad.reason)
			}
		} else {
			err = in.sample(at, eval, raw)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// failing is a reader that fails.
type failing struct{ err error }

// Read returns the error.
func (f failing) Read([]byte) (int, error) { return 0, f.err }

// readZipped reads a file of an archive, with NaN and the like as [textfile.PlainNumbers] has
// them.
func readZipped(path string, f *zip.File) ([]byte, error) {
	fault := func(reason string, err error) error {
		return &dataset.FormatError{File: path, Field: f.Name, Reason: reason, Hint: "copy the log again", Err: err}
	}
	if f.UncompressedSize64 > textfile.MaxLine {
		return nil, fault(fmt.Sprintf("has more than %d bytes", textfile.MaxLine), nil)
	}
	r, err := f.Open()
	if err != nil {
		return nil, fault("cannot be read: "+textfile.Cause(err), err)
	}
	defer r.Close()
	raw, err := io.ReadAll(textfile.PlainNumbers(io.LimitReader(r, textfile.MaxLine)))
	if err != nil {
		return nil, fault("is damaged", err)
	}
	return raw, nil
}

// sample imports a sample.
func (in *inspectLogs) sample(at place, eval *inspectEval, raw []byte) error {
	im := in.im
	var s inspectSample
	if err := decodeInto(raw, &s); err != nil {
		return im.reject(at, "", "is not a sample of Inspect")
	}
	id, ok := scalar(s.ID)
	if !ok || id == "" {
		return im.reject(at, "id", "is missing or empty")
	}
	if s.UUID != "" {
		if in.seen[s.UUID] {
			return im.skip()
		}
		in.seen[s.UUID] = true
	}
	if s.Error != nil {
		return im.skip()
	}
	q := dataset.Query{ID: eval.Task + "/" + id, Source: eval.Task, Prompt: s.prompt()}
	o := dataset.NewOutcome("", eval.candidate())
	field := ""
	if len(s.Scores) > 0 {
		name := ""
		if len(eval.Scorers) > 0 {
			name = eval.Scorers[0].Name
		}
		if _, ok := s.Scores[name]; !ok {
			names := make([]string, 0, len(s.Scores))
			for n := range s.Scores {
				names = append(names, n)
			}
			name = slices.Min(names)
		}
		field = "scores." + name + ".value"
		reason := ""
		if o.Score, reason = inspectScore(s.Scores[name].Value); reason != "" {
			return im.reject(at, field, reason)
		}
	}
	usage, ok := s.Usage[eval.Model]
	if !ok && len(s.Usage) == 0 && s.Output.Usage != nil {
		usage, ok = *s.Output.Usage, true
	}
	if ok {
		if bad := usage.read(&o); bad != nil {
			return im.reject(at, "model_usage."+bad.field, bad.reason)
		}
	}
	return in.add(at, q, o, func(name, _ string) string {
		return map[string]string{"prompt": "input", "score": field, "source": "task"}[name]
	})
}

// prompt returns the text of a sample's input, with the answers to choose from.
func (s *inspectSample) prompt() string {
	text := messagesText(s.Input)
	if whole, ok := s.Attachments[strings.TrimPrefix(text, "attachment://")]; ok && strings.HasPrefix(text, "attachment://") {
		text = whole
	}
	if options := choices(s.Choices); options != "" {
		text += "\n" + options
	}
	return text
}

// inspectScore reads a score.
func inspectScore(v any) (x float64, reason string) {
	switch text, _ := v.(string); strings.ToLower(text) {
	case "c", "yes":
		return 1, ""
	case "i", "n", "no":
		return 0, ""
	case "p":
		return 0.5, ""
	}
	switch v.(type) {
	case jsonObject, []any:
		return 0, "has several values: keep the one that counts, with a scorer of one value first"
	}
	return observed(fieldScore, v)
}

// read sets the tokens and the cost of an outcome.
func (u *inspectUsage) read(o *dataset.Outcome) *fault {
	var read, write float64
	for _, f := range []struct {
		name, field string
		v           any
		to          *float64
	}{
		{"input_tokens", fieldInputTokens, u.Input, &o.InputTokens},
		{"output_tokens", fieldOutputTokens, u.Output, &o.OutputTokens},
		{"input_tokens_cache_read", dataset.ColumnCachedTokens, u.CacheRead, &read},
		{"input_tokens_cache_write", fieldInputTokens, u.CacheWrite, &write},
		{"reasoning_tokens", dataset.ColumnReasoningTokens, u.Reasoning, &o.ReasoningTokens},
		{"total_cost", dataset.ColumnCostUSD, u.Cost, &o.CostUSD},
	} {
		x, reason := observed(f.field, f.v)
		if reason != "" {
			return &fault{f.name, reason}
		}
		*f.to = x
	}
	if !math.IsNaN(read) {
		o.CachedTokens = read
		o.InputTokens += read
	}
	if !math.IsNaN(write) {
		o.InputTokens += write
	}
	if o.InputTokens == 0 && o.OutputTokens == 0 { // nothing was reported
		o.InputTokens, o.OutputTokens, o.CachedTokens, o.ReasoningTokens = math.NaN(), math.NaN(), math.NaN(), math.NaN()
	}
	return nil
}

package ledger

import (
	"encoding/csv"
	"fmt"
	"io"
	"iter"
	"strconv"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/record"
)

// exported is an attempt as a row of a table.
type exported struct {
	Time            time.Time `parquet:"time,timestamp(nanosecond)"`
	RequestID       string    `parquet:"request_id"`
	Number          int64     `parquet:"number"`
	Client          string    `parquet:"client,dict"`
	Session         string    `parquet:"session"`
	API             string    `parquet:"api,dict"`
	Stream          bool      `parquet:"stream"`
	Policy          string    `parquet:"policy,dict"`
	First           string    `parquet:"first,dict"`
	Reason          string    `parquet:"reason,dict"`
	Candidate       string    `parquet:"candidate,dict"`
	Provider        string    `parquet:"provider,dict"`
	UpstreamModel   string    `parquet:"upstream_model,dict"`
	Outcome         string    `parquet:"outcome,dict"`
	Status          int64     `parquet:"status"`
	ErrorCode       string    `parquet:"error_code,dict"`
	Input           int64     `parquet:"input_tokens"`
	CachedInput     int64     `parquet:"cached_input_tokens"`
	CacheWrite      int64     `parquet:"cache_write_tokens"`
	Output          int64     `parquet:"output_tokens"`
	Reasoning       int64     `parquet:"reasoning_tokens"`
	TokensEstimated bool      `parquet:"tokens_estimated"`
	Cost            *int64    `parquet:"cost_picousd,optional"`
	Expected        *int64    `parquet:"cost_estimate_picousd,optional"`
	FirstTokenMS    float64   `parquet:"first_token_ms"`
	UpstreamMS      float64   `parquet:"upstream_ms"`
	OverheadMS      float64   `parquet:"overhead_ms"`
	Quality         *float64  `parquet:"quality_estimate,optional"`
	Propensity      float64   `parquet:"propensity"`
}

func exportedOf(a *record.Attempt) exported {
	milliseconds := func(d time.Duration) float64 { return float64(d) / 1e6 }
	u := &a.Usage
	e := exported{
		Time: a.Time, RequestID: a.RequestID, Number: int64(a.Number), Client: a.Client, Session: a.Session, API: a.API, Stream: a.Stream,
		Policy: a.Policy, First: a.First, Reason: string(a.Reason), Candidate: a.Candidate, Provider: a.Provider, UpstreamModel: a.UpstreamModel,
		Outcome: string(a.Outcome), Status: int64(a.Status), ErrorCode: a.ErrorCode,
		Input: int64(u.Prompt() - u.CachedInput - u.Written()), CachedInput: int64(u.CachedInput), CacheWrite: int64(u.Written()),
		Output: int64(u.Answer() - u.Reasoning), Reasoning: int64(u.Reasoning), TokensEstimated: a.Estimated,
		FirstTokenMS: milliseconds(a.FirstToken), UpstreamMS: milliseconds(a.Upstream), OverheadMS: milliseconds(a.Overhead), Propensity: a.Propensity,
	}
	if !a.CostUnknown {
		cost := int64(a.Cost)
		e.Cost = &cost
	}
	if !a.ExpectedUnknown {
		expected := int64(a.Expected)
		e.Expected = &expected
	}
	if estimate := a.Estimate(); estimate != nil {
		e.Quality = &estimate.Quality
	}
	return e
}

// WriteJSONL writes attempts in the form carrot.attempt/1, one on each line, as a gateway's
// file of records has them.
func WriteJSONL(w io.Writer, attempts iter.Seq2[*record.Attempt, error]) (n int, err error) {
	var line []byte
	for a, err := range attempts {
		if err != nil {
			return n, err
		}
		line = append(a.AppendJSON(line[:0]), '\n')
		if _, err := w.Write(line); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// WriteCSV writes attempts as a table, without labels, decisions and texts. Costs are exact
// amounts in USD, empty if they are unknown.
func WriteCSV(w io.Writer, attempts iter.Seq2[*record.Attempt, error]) (n int, err error) {
	out := csv.NewWriter(w)
	head := []string{"time", "request_id", "number", "client", "session", "api", "stream", "policy", "first", "reason", "candidate", "provider", "upstream_model", "outcome", "status", "error_code",
		"input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "tokens_estimated", "cost_usd", "cost_estimate_usd",
		"first_token_ms", "upstream_ms", "overhead_ms", "quality_estimate", "propensity"}
	if err := out.Write(head); err != nil {
		return 0, err
	}
	usd := func(pico *int64) string {
		if pico == nil {
			return ""
		}
		return string(carrot.USD(*pico).AppendJSON(nil))
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	decimal := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	for a, err := range attempts {
		if err != nil {
			return n, err
		}
		e := exportedOf(a)
		quality := ""
		if e.Quality != nil {
			quality = decimal(*e.Quality)
		}
		row := []string{e.Time.Format(time.RFC3339Nano), e.RequestID, number(e.Number), e.Client, e.Session, e.API, strconv.FormatBool(e.Stream), e.Policy, e.First, e.Reason, e.Candidate, e.Provider,
			e.UpstreamModel, e.Outcome, number(e.Status), e.ErrorCode, number(e.Input), number(e.CachedInput), number(e.CacheWrite), number(e.Output), number(e.Reasoning), strconv.FormatBool(e.TokensEstimated),
			usd(e.Cost), usd(e.Expected), decimal(e.FirstTokenMS), decimal(e.UpstreamMS), decimal(e.OverheadMS), quality, decimal(e.Propensity)}
		if err := out.Write(row); err != nil {
			return n, err
		}
		n++
	}
	out.Flush()
	return n, out.Error()
}

// WriteParquet writes the same table as WriteCSV, with costs in pico-dollars.
func WriteParquet(w io.Writer, attempts iter.Seq2[*record.Attempt, error]) (n int, err error) {
	out := parquet.NewGenericWriter[exported](w, parquet.Compression(&parquet.Zstd))
	batch := make([]exported, 0, pageRows)
	flush := func() error {
		_, err := out.Write(batch)
		n += len(batch)
		batch = batch[:0]
		return err
	}
	for a, err := range attempts {
		if err != nil {
			return n, err
		}
		if batch = append(batch, exportedOf(a)); len(batch) == cap(batch) {
			if err := flush(); err != nil {
				return n, fmt.Errorf("parquet: %w", err)
			}
		}
	}
	if err := flush(); err != nil {
		return n, fmt.Errorf("parquet: %w", err)
	}
	return n, out.Close()
}

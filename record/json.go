package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/appendjson"
	"github.com/carrot-router/carrot/internal/phrase"
)

// recordTime is RFC 3339 with nine decimals, so that records sort by time as text.
const recordTime = "2006-01-02T15:04:05.000000000Z07:00"

// Decimals of milliseconds and microseconds that are written exactly to the
// nanosecond.
const (
	ofMilli = 6
	ofMicro = 3
)

// MarshalJSON writes the attempt in the form carrot.attempt/1, on one line.
func (a Attempt) MarshalJSON() ([]byte, error) { return a.AppendJSON(nil), nil }

// AppendJSON appends the attempt in the form carrot.attempt/1, as one line without
// a line break. The keys client, labels, session, default, first, shadow, answer_id,
// upstream_request_id, rate_limits, dropped, narrowed, error_code, error, price_date,
// price_above, budgets, held_usd, decision, prompt and answer are omitted if they are empty.
// Costs are exact to a pico-dollar, and null if they are unknown; durations are
// exact to a nanosecond. The decision is written in the form carrot.decision/1. A
// prompt that is not a JSON object is written as a string.
func (a *Attempt) AppendJSON(b []byte) []byte {
	b = append(b, `{"schema":"`+Schema+`","time":"`...)
	b = a.Time.UTC().AppendFormat(b, recordTime)
	b = append(b, '"')
	b = appendField(b, `,"request_id":`, a.RequestID)
	b = appendInt(b, `,"number":`, a.Number)
	b = appendKnown(b, `,"client":`, a.Client)
	if len(a.Labels) > 0 {
		b = appendLabels(append(b, `,"labels":`...), a.Labels)
	}
	b = appendField(b, `,"api":`, a.API)
	b = appendKnown(b, `,"session":`, a.Session)
	b = strconv.AppendBool(append(b, `,"stream":`...), a.Stream)

	b = appendField(b, `,"policy":`, a.Policy)
	b = appendKnown(b, `,"default":`, a.Default)
	b = appendKnown(b, `,"first":`, a.First)
	b = appendField(b, `,"reason":`, string(a.Reason))
	b = appendjson.Float(append(b, `,"propensity":`...), a.Propensity)
	b = appendjson.Decimal(append(b, `,"decided_us":`...), int64(a.DecidedIn), ofMicro)
	if s := a.Shadow; s != nil {
		b = appendField(b, `,"shadow":{"model":`, s.Model)
		b = s.Saved.AppendJSON(append(b, `,"saved_usd":`...))
		b = appendjson.Float(append(b, `,"quality_expected":`...), s.Gain)
		b = appendKnown(b, `,"router":`, s.Router)
		b = append(b, '}')
	}

	b = appendField(b, `,"candidate":`, a.Candidate)
	b = appendField(b, `,"provider":`, a.Provider)
	b = appendField(b, `,"upstream_model":`, a.UpstreamModel)
	b = appendKnown(b, `,"answer_id":`, a.AnswerID)
	b = appendKnown(b, `,"upstream_request_id":`, a.UpstreamRequestID)
	if len(a.RateLimits) > 0 {
		b = appendLabels(append(b, `,"rate_limits":`...), a.RateLimits)
	}
	b = appendList(b, `,"dropped":`, a.Dropped)
	b = appendList(b, `,"narrowed":`, a.Narrowed)
	b = appendField(b, `,"outcome":`, string(a.Outcome))
	b = appendInt(b, `,"status":`, a.Status)
	b = appendKnown(b, `,"error_code":`, a.ErrorCode)
	b = appendKnown(b, `,"error":`, a.Error)

	b = appendInt(b, `,"usage":{"input_tokens":`, a.Usage.Input)
	b = appendInt(b, `,"cached_input_tokens":`, a.Usage.CachedInput)
	b = appendInt(b, `,"cache_write_tokens":`, a.Usage.CacheWrite)
	b = appendInt(b, `,"output_tokens":`, a.Usage.Output)
	b = appendInt(b, `,"reasoning_tokens":`, a.Usage.Reasoning)
	if d := a.Usage.Details; d != nil {
		if text, err := json.Marshal(d); err == nil { // it always is nil
			b = append(append(b, `,"details":`...), text...)
		}
	}
	b = strconv.AppendBool(append(b, `,"estimated":`...), a.Estimated)
	b = append(b, '}')
	b = appendKnown(b, `,"cache_miss":`, a.CacheMiss)
	b = appendCost(b, `,"cost_usd":`, a.Cost, a.CostUnknown)
	b = appendKnown(b, `,"price_date":`, a.PriceDate)
	if a.PriceAbove != 0 {
		b = appendInt(b, `,"price_above":`, a.PriceAbove)
	}
	b = appendCost(b, `,"cost_estimate_usd":`, a.Expected, a.ExpectedUnknown)
	if len(a.Budgets) > 0 {
		b = a.Held.AppendJSON(append(appendList(b, `,"budgets":`, a.Budgets), `,"held_usd":`...))
	}
	b = appendjson.Decimal(append(b, `,"first_token_ms":`...), int64(a.FirstToken), ofMilli)
	b = appendjson.Decimal(append(b, `,"upstream_ms":`...), int64(a.Upstream), ofMilli)
	b = appendjson.Decimal(append(b, `,"overhead_ms":`...), int64(a.Overhead), ofMilli)

	if a.Decision != nil {
		b = a.Decision.AppendJSON(append(b, `,"decision":`...))
	}
	if len(a.Prompt) > 0 {
		b = appendPrompt(append(b, `,"prompt":`...), a.Prompt)
	}
	b = appendKnown(b, `,"answer":`, a.Answer)
	return append(b, '}')
}

func appendInt(b []byte, key string, n int) []byte {
	return strconv.AppendInt(append(b, key...), int64(n), 10)
}

func appendField(b []byte, key, s string) []byte { return appendjson.String(append(b, key...), s) }

// appendKnown appends a field unless it is empty.
func appendKnown(b []byte, key, s string) []byte {
	if s == "" {
		return b
	}
	return appendField(b, key, s)
}

// appendList appends a list of strings unless it is empty.
func appendList(b []byte, key string, list []string) []byte {
	if len(list) == 0 {
		return b
	}
	b = append(b, key...)
	for i, s := range list {
		b = appendjson.String(append(b, "[,"[min(i, 1)]), s)
	}
	return append(b, ']')
}

func appendCost(b []byte, key string, cost carrot.USD, unknown bool) []byte {
	b = append(b, key...)
	if unknown {
		return append(b, "null"...)
	}
	return cost.AppendJSON(b)
}

// appendLabels writes labels, or other texts by name, sorted by name.
func appendLabels(b []byte, labels map[string]string) []byte {
	for i, name := range slices.Sorted(maps.Keys(labels)) {
		b = append(b, "{,"[min(i, 1)])
		b = appendField(append(appendjson.String(b, name), ':'), "", labels[name])
	}
	return append(b, '}')
}

// appendPrompt writes the body of a request on one line.
func appendPrompt(b, body []byte) []byte {
	if trimmed := bytes.TrimSpace(body); len(trimmed) == 0 || trimmed[0] != '{' || !json.Valid(trimmed) {
		return appendjson.String(b, string(body))
	}
	if !bytes.ContainsAny(body, "\n\r") {
		return append(b, bytes.TrimSpace(body)...)
	}
	line := bytes.NewBuffer(b)
	_ = json.Compact(line, body) // it is valid
	return line.Bytes()
}

// attemptJSON is what UnmarshalJSON reads.
type attemptJSON struct {
	Schema        string            `json:"schema"`
	Time          time.Time         `json:"time"`
	RequestID     string            `json:"request_id"`
	Number        int               `json:"number"`
	Client        string            `json:"client"`
	Labels        map[string]string `json:"labels"`
	API           string            `json:"api"`
	Session       string            `json:"session"`
	Stream        bool              `json:"stream"`
	Policy        string            `json:"policy"`
	Default       string            `json:"default"`
	First         string            `json:"first"`
	Reason        Reason            `json:"reason"`
	Propensity    float64           `json:"propensity"`
	DecidedUS     json.Number       `json:"decided_us"`
	Shadow        *Shadow           `json:"shadow"`
	Candidate     string            `json:"candidate"`
	Provider      string            `json:"provider"`
	UpstreamModel string            `json:"upstream_model"`
	AnswerID      string            `json:"answer_id"`
	RequestThere  string            `json:"upstream_request_id"`
	RateLimits    map[string]string `json:"rate_limits"`
	Dropped       []string          `json:"dropped"`
	Narrowed      []string          `json:"narrowed"`
	Outcome       Outcome           `json:"outcome"`
	Status        int               `json:"status"`
	ErrorCode     string            `json:"error_code"`
	Error         string            `json:"error"`
	Usage         usageJSON         `json:"usage"`
	CacheMiss     string            `json:"cache_miss"`
	CostUSD       *carrot.USD       `json:"cost_usd"`
	PriceDate     string            `json:"price_date"`
	PriceAbove    int               `json:"price_above"`
	EstimateUSD   *carrot.USD       `json:"cost_estimate_usd"`
	Budgets       []string          `json:"budgets"`
	HeldUSD       carrot.USD        `json:"held_usd"`
	FirstTokenMS  json.Number       `json:"first_token_ms"`
	UpstreamMS    json.Number       `json:"upstream_ms"`
	OverheadMS    json.Number       `json:"overhead_ms"`
	Decision      *carrot.Decision  `json:"decision"`
	Prompt        json.RawMessage   `json:"prompt"`
	Answer        string            `json:"answer"`
}

type usageJSON struct {
	Input       int  `json:"input_tokens"`
	CachedInput int  `json:"cached_input_tokens"`
	CacheWrite  int  `json:"cache_write_tokens"`
	Output      int  `json:"output_tokens"`
	Reasoning   int  `json:"reasoning_tokens"`
	Estimated   bool `json:"estimated"`

	Details *carrot.UsageDetails `json:"details"`
}

// UnmarshalJSON reads an attempt that AppendJSON has written; the two are equal.
// Unknown keys are ignored, and costs that are missing or null are unknown. Lines
// of earlier releases, which wrote an unknown expected cost as 0, are read too.
func (a *Attempt) UnmarshalJSON(line []byte) error {
	var in attemptJSON
	if err := json.Unmarshal(line, &in); err != nil {
		return fmt.Errorf("attempt: %w", phrase.JSON(err))
	}
	if in.Schema != Schema {
		return fmt.Errorf("attempt: schema %q, want %q", in.Schema, Schema)
	}
	out := Attempt{
		Time: in.Time.UTC(), RequestID: in.RequestID, Number: in.Number, Client: in.Client, Labels: in.Labels, API: in.API, Session: in.Session, Stream: in.Stream,
		Policy: in.Policy, Default: in.Default, First: in.First, Reason: in.Reason, Decision: in.Decision, Propensity: in.Propensity, Shadow: in.Shadow,
		Candidate: in.Candidate, Provider: in.Provider, UpstreamModel: in.UpstreamModel, AnswerID: in.AnswerID, UpstreamRequestID: in.RequestThere, RateLimits: in.RateLimits, Dropped: in.Dropped, Narrowed: in.Narrowed,
		Outcome: in.Outcome, Status: in.Status, ErrorCode: in.ErrorCode, Error: in.Error,
		Usage: carrot.Usage{
			Input: in.Usage.Input, CachedInput: in.Usage.CachedInput, CacheWrite: in.Usage.CacheWrite,
			Output: in.Usage.Output, Reasoning: in.Usage.Reasoning, Details: in.Usage.Details,
		},
		PriceDate: in.PriceDate, PriceAbove: in.PriceAbove, CacheMiss: in.CacheMiss, Estimated: in.Usage.Estimated, Answer: in.Answer,
		Budgets: in.Budgets, Held: in.HeldUSD,
	}
	if len(out.Budgets) == 0 {
		out.Budgets, out.Held = nil, 0
	}
	if y := out.Time.Year(); y < 0 || y > 9999 {
		return fmt.Errorf("attempt: year %d, want four digits", y)
	}
	if out.CostUnknown = in.CostUSD == nil; !out.CostUnknown {
		out.Cost = *in.CostUSD
	}
	if out.ExpectedUnknown = in.EstimateUSD == nil || *in.EstimateUSD == 0 && in.Decision == nil; !out.ExpectedUnknown {
		out.Expected = *in.EstimateUSD
	}
	if err := in.times(&out); err != nil {
		return fmt.Errorf("attempt: %w", err)
	}
	var err error
	if out.Prompt, err = parsePrompt(in.Prompt); err != nil {
		return fmt.Errorf("attempt: %w", err)
	}
	*a = out
	return nil
}

// times reads the durations, which are written as exact decimals.
func (in *attemptJSON) times(a *Attempt) error {
	var problems []error
	for _, f := range []struct {
		key      string
		number   json.Number
		decimals int
		to       *time.Duration
	}{
		{"decided_us", in.DecidedUS, ofMicro, &a.DecidedIn},
		{"first_token_ms", in.FirstTokenMS, ofMilli, &a.FirstToken},
		{"upstream_ms", in.UpstreamMS, ofMilli, &a.Upstream},
		{"overhead_ms", in.OverheadMS, ofMilli, &a.Overhead},
	} {
		if f.number == "" {
			continue
		}
		v, err := appendjson.ParseDecimal(string(f.number), f.decimals)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", f.key, err))
		}
		*f.to = time.Duration(v)
	}
	return errors.Join(problems...)
}

// parsePrompt reads what appendPrompt wrote.
func parsePrompt(raw json.RawMessage) ([]byte, error) {
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return nil, nil
	case raw[0] == '{':
		return raw, nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, fmt.Errorf("prompt: want an object or a string: %w", phrase.JSON(err))
	}
	if text == "" {
		return nil, nil
	}
	return []byte(text), nil
}

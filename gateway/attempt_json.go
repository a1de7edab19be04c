package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/appendjson"
	"github.com/carrot-router/carrot/internal/wire"
)

// recordTime is RFC 3339 with all nanoseconds, so that records sort as text.
const recordTime = "2006-01-02T15:04:05.000000000Z07:00"

// The decimals of a dollar, a millisecond and a microsecond.
const (
	picoDollars = 12
	ofMilli     = 6
	ofMicro     = 3
)

// MarshalJSON writes the attempt in the form carrot.attempt/1, on one line.
func (a *Attempt) MarshalJSON() ([]byte, error) { return a.AppendJSON(nil), nil }

// AppendJSON appends the attempt in the form carrot.attempt/1, one line
// without its end. Keys come in this order and are left out where nothing is
// known: client, session, first, shadow, answer_id, error_code, error, decision,
// prompt and answer. Costs are exact to a pico-dollar, times to a nanosecond; the decision
// is whole, in the form carrot.decision/1. A prompt that is no JSON object is
// written as a string.
func (a *Attempt) AppendJSON(b []byte) []byte {
	b = append(b, `{"schema":"`+AttemptSchema+`","time":"`...)
	b = a.Time.UTC().AppendFormat(b, recordTime)
	b = append(b, '"')
	b = appendField(b, `,"request_id":`, a.RequestID)
	b = appendInt(b, `,"number":`, a.Number)
	b = appendKnown(b, `,"client":`, a.Client)
	b = appendField(b, `,"api":`, string(a.API))
	b = appendKnown(b, `,"session":`, a.Session)
	b = strconv.AppendBool(append(b, `,"stream":`...), a.Stream)

	b = appendField(b, `,"policy":`, a.Policy)
	b = appendKnown(b, `,"first":`, a.First)
	b = appendField(b, `,"reason":`, a.Reason)
	b = appendjson.Float(append(b, `,"propensity":`...), a.Propensity)
	b = appendjson.Decimal(append(b, `,"decided_us":`...), int64(a.DecidedIn), ofMicro)
	if s := a.Shadow; s != nil {
		b = appendField(b, `,"shadow":{"model":`, s.Model)
		b = s.Saved.AppendJSON(append(b, `,"saved_usd":`...))
		b = appendjson.Float(append(b, `,"quality_expected":`...), s.Gain)
		b = append(b, '}')
	}

	b = appendField(b, `,"candidate":`, a.Candidate)
	b = appendField(b, `,"provider":`, a.Provider)
	b = appendField(b, `,"upstream_model":`, a.UpstreamModel)
	b = appendKnown(b, `,"answer_id":`, a.AnswerID)
	b = appendField(b, `,"outcome":`, string(a.Outcome))
	b = appendInt(b, `,"status":`, a.Status)
	b = appendKnown(b, `,"error_code":`, a.ErrorCode)
	b = appendKnown(b, `,"error":`, a.Error)

	b = appendInt(b, `,"usage":{"input_tokens":`, a.Usage.Input)
	b = appendInt(b, `,"cached_input_tokens":`, a.Usage.CachedInput)
	b = appendInt(b, `,"cache_write_tokens":`, a.Usage.CacheWrite)
	b = appendInt(b, `,"output_tokens":`, a.Usage.Output)
	b = appendInt(b, `,"reasoning_tokens":`, a.Usage.Reasoning)
	b = strconv.AppendBool(append(b, `,"estimated":`...), a.Estimated)
	b = append(b, `},"cost_usd":`...)
	if a.CostUnknown {
		b = append(b, "null"...)
	} else {
		b = a.Cost.AppendJSON(b)
	}
	b = a.Expected.AppendJSON(append(b, `,"cost_estimate_usd":`...))
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

// appendPrompt writes a body as it came, on one line.
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

// attemptJSON is what ParseAttempt reads.
type attemptJSON struct {
	Schema        string          `json:"schema"`
	Time          time.Time       `json:"time"`
	RequestID     string          `json:"request_id"`
	Number        int             `json:"number"`
	Client        string          `json:"client"`
	API           wire.API        `json:"api"`
	Session       string          `json:"session"`
	Stream        bool            `json:"stream"`
	Policy        string          `json:"policy"`
	First         string          `json:"first"`
	Reason        string          `json:"reason"`
	Propensity    float64         `json:"propensity"`
	DecidedUS     json.Number     `json:"decided_us"`
	Shadow        *shadowJSON     `json:"shadow"`
	Candidate     string          `json:"candidate"`
	Provider      string          `json:"provider"`
	UpstreamModel string          `json:"upstream_model"`
	AnswerID      string          `json:"answer_id"`
	Outcome       Outcome         `json:"outcome"`
	Status        int             `json:"status"`
	ErrorCode     string          `json:"error_code"`
	Error         string          `json:"error"`
	Usage         usageJSON       `json:"usage"`
	CostUSD       json.Number     `json:"cost_usd"`
	EstimateUSD   json.Number     `json:"cost_estimate_usd"`
	FirstTokenMS  json.Number     `json:"first_token_ms"`
	UpstreamMS    json.Number     `json:"upstream_ms"`
	OverheadMS    json.Number     `json:"overhead_ms"`
	Decision      *decisionJSON   `json:"decision"`
	Prompt        json.RawMessage `json:"prompt"`
	Answer        string          `json:"answer"`
}

type shadowJSON struct {
	Model    string      `json:"model"`
	SavedUSD json.Number `json:"saved_usd"`
	Gain     float64     `json:"quality_expected"`
}

type usageJSON struct {
	Input       int  `json:"input_tokens"`
	CachedInput int  `json:"cached_input_tokens"`
	CacheWrite  int  `json:"cache_write_tokens"`
	Output      int  `json:"output_tokens"`
	Reasoning   int  `json:"reasoning_tokens"`
	Estimated   bool `json:"estimated"`
}

// decisionJSON is what is read of a decision; its reason, fallback and flips
// follow from that.
type decisionJSON struct {
	Schema        string          `json:"schema"`
	ID            string          `json:"id"`
	Model         string          `json:"model"`
	Policy        string          `json:"policy"`
	USDPerQuality *float64        `json:"usd_per_quality"`
	Novelty       float64         `json:"novelty"`
	Abstained     bool            `json:"abstained"`
	Candidates    []candidateJSON `json:"candidates"`
}

type candidateJSON struct {
	Name            string     `json:"name"`
	Quality         float64    `json:"quality"`
	QualitySE       float64    `json:"quality_se"`
	QualityNoise    float64    `json:"quality_noise"`
	InputTokens     int        `json:"input_tokens"`
	CachedTokens    int        `json:"cached_tokens"`
	OutputTokens    float64    `json:"output_tokens"`
	OutputTokensP90 float64    `json:"output_tokens_p90"`
	CostUSD         carrot.USD `json:"cost_usd"`
	CostUSDP90      carrot.USD `json:"cost_usd_p90"`
	Utility         float64    `json:"utility"`
	Excluded        string     `json:"excluded"`
}

// ParseAttempt reads a line that [Attempt.AppendJSON] wrote. Costs and times
// are read exactly; fields it does not know are left alone.
func ParseAttempt(line []byte) (*Attempt, error) {
	var in attemptJSON
	if err := json.Unmarshal(line, &in); err != nil {
		return nil, fmt.Errorf("parse attempt: %w", err)
	}
	if in.Schema != AttemptSchema {
		return nil, fmt.Errorf("parse attempt: schema %q, want %q", in.Schema, AttemptSchema)
	}
	a := &Attempt{
		Time: in.Time.UTC(), RequestID: in.RequestID, Number: in.Number, Client: in.Client, API: in.API, Session: in.Session, Stream: in.Stream,
		Policy: in.Policy, First: in.First, Reason: in.Reason, Propensity: in.Propensity,
		Candidate: in.Candidate, Provider: in.Provider, UpstreamModel: in.UpstreamModel, AnswerID: in.AnswerID,
		Outcome: in.Outcome, Status: in.Status, ErrorCode: in.ErrorCode, Error: in.Error,
		Usage: carrot.Usage{
			Input: in.Usage.Input, CachedInput: in.Usage.CachedInput, CacheWrite: in.Usage.CacheWrite,
			Output: in.Usage.Output, Reasoning: in.Usage.Reasoning,
		},
		Estimated: in.Usage.Estimated, Answer: in.Answer,
	}
	if y := a.Time.Year(); y < 0 || y > 9999 {
		return nil, fmt.Errorf("parse attempt: year %d, want four digits", y)
	}
	if err := in.amounts(a); err != nil {
		return nil, fmt.Errorf("parse attempt: %w", err)
	}
	var err error
	if a.Prompt, err = parsePrompt(in.Prompt); err != nil {
		return nil, fmt.Errorf("parse attempt: %w", err)
	}
	if in.Decision != nil {
		if a.Decision, err = in.Decision.decision(); err != nil {
			return nil, fmt.Errorf("parse attempt: %w", err)
		}
	}
	return a, nil
}

// amounts reads what is written as exact decimals.
func (in *attemptJSON) amounts(a *Attempt) error {
	var problems []error
	exact := func(key string, n json.Number, decimals int) int64 {
		v, err := parseDecimal(string(n), decimals)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", key, err))
		}
		return v
	}
	a.Cost, a.CostUnknown = carrot.USD(exact("cost_usd", in.CostUSD, picoDollars)), in.CostUSD == ""
	a.Expected = carrot.USD(exact("cost_estimate_usd", in.EstimateUSD, picoDollars))
	a.DecidedIn = time.Duration(exact("decided_us", in.DecidedUS, ofMicro))
	a.FirstToken = time.Duration(exact("first_token_ms", in.FirstTokenMS, ofMilli))
	a.Upstream = time.Duration(exact("upstream_ms", in.UpstreamMS, ofMilli))
	a.Overhead = time.Duration(exact("overhead_ms", in.OverheadMS, ofMilli))
	if s := in.Shadow; s != nil {
		a.Shadow = &Shadow{Model: s.Model, Saved: carrot.USD(exact("saved_usd", s.SavedUSD, picoDollars)), Gain: s.Gain}
	}
	return errors.Join(problems...)
}

func (in *decisionJSON) decision() (*carrot.Decision, error) {
	if in.Schema != carrot.DecisionSchema {
		return nil, fmt.Errorf("decision: schema %q, want %q", in.Schema, carrot.DecisionSchema)
	}
	d := &carrot.Decision{
		ID: in.ID, Model: in.Model, USDPerQuality: math.Inf(1),
		Novelty: in.Novelty, Abstained: in.Abstained, Candidates: make([]carrot.Assessment, len(in.Candidates)),
	}
	if in.USDPerQuality != nil {
		d.USDPerQuality = *in.USDPerQuality
	}
	var err error
	if d.Objective, err = carrot.ParseObjective(in.Policy); err != nil {
		if key, _, found := strings.Cut(in.Policy, "="); found && slices.Contains([]string{"mu", "usd-per-quality", "budget", "target"}, key) {
			return nil, fmt.Errorf("decision: %w", err)
		}
		// A policy of a configuration, and perhaps an objective after it.
		d.Policy, d.Objective = in.Policy, carrot.USDPerQuality(d.USDPerQuality)
	}
	for i, c := range in.Candidates {
		d.Candidates[i] = carrot.Assessment{
			Name: c.Name, Utility: c.Utility, Excluded: c.Excluded,
			Estimate: carrot.Estimate{
				Quality: c.Quality, QualitySE: c.QualitySE, QualityNoise: c.QualityNoise,
				InputTokens: c.InputTokens, CachedTokens: c.CachedTokens, OutputTokens: c.OutputTokens, OutputTokensP90: c.OutputTokensP90,
				Cost: c.CostUSD, CostP90: c.CostUSDP90,
			},
		}
	}
	return d, nil
}

// parsePrompt takes back what appendPrompt wrote.
func parsePrompt(raw json.RawMessage) ([]byte, error) {
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return nil, nil
	case raw[0] == '{':
		return raw, nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, fmt.Errorf("prompt: want an object or a string: %w", err)
	}
	if text == "" {
		return nil, nil
	}
	return []byte(text), nil
}

// parseDecimal reads a number as a whole one of 10^-decimals: exactly if it has
// no more decimals than that and no exponent, or else the nearest. Without a
// number it is zero.
func parseDecimal(s string, decimals int) (int64, error) {
	if s == "" {
		return 0, nil
	}
	whole, fraction, _ := strings.Cut(s, ".")
	if len(fraction) <= decimals && !strings.ContainsAny(s, "eE") {
		v, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", decimals-len(fraction)), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s is out of range", s)
		}
		return v, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	v := math.Round(f * math.Pow10(decimals))
	if err != nil || v >= math.MaxInt64 || v <= math.MinInt64 {
		return 0, fmt.Errorf("%s is out of range", s)
	}
	return int64(v), nil
}

package gateway

import (
	"cmp"
	"context"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/wire"
	"github.com/carrot-router/carrot/record"
)

// instrumentation names this package in spans and metrics.
const instrumentation = "github.com/carrot-router/carrot/gateway"

// tracer makes OpenTelemetry spans and metrics: a server span for a request and, within
// it, a span for the decision and a client span for each attempt.
//
// Attempts use the names of the GenAI semantic conventions 0.1.0, the first release that
// is separate from the core conventions. Since release 1.41 of those,
// gen_ai.client.operation.* has become gen_ai.client.inference.*, the histogram
// gen_ai.client.token.usage has become a counter for each kind of token, and
// cache_creation has become cache_write. HTTP names are the stable ones, and the
// gateway's own names begin with carrot. None of them contains a prompt, answer, key or
// error message.
//
// Without exporters, spans and metrics cost very little, and a client's trace context is
// passed on to the provider unchanged.
type tracer struct {
	tracer     trace.Tracer // nil: no spans
	propagator propagation.TraceContext
	genAI      *genAI // nil: no metrics
}

// newTracer returns a tracer for the application's providers. Nil ones do nothing.
func newTracer(tp trace.TracerProvider, mp metric.MeterProvider) *tracer {
	t := &tracer{}
	if _, none := tp.(tracenoop.TracerProvider); tp != nil && !none {
		t.tracer = tp.Tracer(instrumentation)
	}
	if _, none := mp.(metricnoop.MeterProvider); mp != nil && !none {
		t.genAI = newGenAI(mp.Meter(instrumentation))
	}
	return t
}

// request begins the span of a request, within the client's trace if its headers name
// one. The function that it returns ends the span with the status and, if they are
// known, the policy and the model that answered.
func (t *tracer) request(ctx context.Context, header http.Header, api wire.API) (context.Context, func(status int, policy, model string)) {
	if len(header["Traceparent"]) > 0 {
		ctx = t.propagator.Extract(ctx, propagation.HeaderCarrier(header))
	}
	if t.tracer == nil {
		return ctx, endNothing
	}
	path := "/v1/" + api.Path()
	ctx, span := t.tracer.Start(ctx, "POST "+path, trace.WithSpanKind(trace.SpanKindServer))
	if !span.IsRecording() {
		return ctx, func(int, string, string) { span.End() }
	}
	span.SetAttributes(attribute.String("http.request.method", http.MethodPost), attribute.String("http.route", path))
	return ctx, func(status int, policy, model string) {
		span.SetAttributes(attribute.Int("http.response.status_code", status))
		setKnown(span, "carrot.policy", policy)
		setKnown(span, "carrot.model", model)
		if status >= 500 {
			failed(span, strconv.Itoa(status))
		}
		span.End()
	}
}

func endNothing(int, string, string) {}

// decision begins the span of a decision. The function that it returns ends the span
// with the decision, or nil if there is none.
func (t *tracer) decision(ctx context.Context) (context.Context, func(d *carrot.Decision, policy, reason string)) {
	if t.tracer == nil {
		return ctx, endNoDecision
	}
	ctx, span := t.tracer.Start(ctx, "carrot.route")
	return ctx, func(d *carrot.Decision, policy, reason string) {
		defer span.End()
		if !span.IsRecording() {
			return
		}
		span.SetAttributes(attribute.String("carrot.policy", policy), attribute.String("carrot.reason", reason))
		if d == nil {
			failed(span, cmp.Or(reason, "no_decision"))
			return
		}
		span.SetAttributes(
			attribute.String("carrot.model", d.Model),
			attribute.Float64("carrot.novelty", d.Novelty),
			attribute.Int("carrot.candidates", len(d.Candidates)),
		)
		if !math.IsInf(d.USDPerQuality, 0) { // some backends cannot store infinity
			span.SetAttributes(attribute.Float64("carrot.usd_per_quality", d.USDPerQuality))
		}
	}
}

func endNoDecision(*carrot.Decision, string, string) {}

// attemptSpan is the span of one attempt, with its metrics. A nil attemptSpan does
// nothing.
type attemptSpan struct {
	t    *tracer
	ctx  context.Context
	span trace.Span // nil: no spans
	call callKey
}

// attempt begins the span of a call of a provider.
func (t *tracer) attempt(ctx context.Context, a *record.Attempt, p *provider.Upstream) (context.Context, *attemptSpan) {
	if t.tracer == nil && t.genAI == nil {
		return ctx, nil
	}
	s := &attemptSpan{t: t, call: callKey{operation: "chat", model: a.UpstreamModel}}
	s.call.address, s.call.port = address(p.BaseURL)
	s.call.provider = conventional(string(p.Kind), s.call.address, p.Name)
	if a.API == string(wire.Embeddings) {
		s.call.operation = "embeddings"
	}
	if t.tracer != nil {
		ctx, s.span = t.tracer.Start(ctx, s.call.operation+" "+s.call.model, trace.WithSpanKind(trace.SpanKindClient))
	}
	s.ctx = ctx
	return ctx, s
}

// end ends the span with the result of the attempt, and counts the attempt.
func (s *attemptSpan) end(a *record.Attempt) {
	if s == nil {
		return
	}
	if s.span != nil && s.span.IsRecording() {
		s.describe(a)
	}
	if s.span != nil {
		s.span.End()
	}
	if s.t.genAI != nil {
		s.call.failure = failureLabel(a)
		s.t.genAI.record(s.ctx, s.call, a)
	}
}

func (s *attemptSpan) describe(a *record.Attempt) {
	set := make([]attribute.KeyValue, 0, 24)
	set = append(set, s.call.attributes()...)
	set = append(set,
		attribute.String("gen_ai.response.model", a.UpstreamModel),
		attribute.Bool("gen_ai.request.stream", a.Stream),
		attribute.String("carrot.request_id", a.RequestID),
		attribute.String("carrot.model", a.Candidate),
		attribute.String("carrot.policy", a.Policy),
		attribute.Int("carrot.attempt", a.Number),
		attribute.String("carrot.outcome", string(a.Outcome)),
		attribute.Bool("carrot.usage_estimated", a.Estimated),
	)
	if !a.CostUnknown {
		set = append(set, attribute.Float64("carrot.cost_usd", a.Cost.Float()))
	}
	if a.Status != 0 {
		set = append(set, attribute.Int("http.response.status_code", a.Status))
	}
	if a.Stream && a.FirstToken > 0 {
		set = append(set, attribute.Float64("gen_ai.response.time_to_first_chunk", a.FirstToken.Seconds()))
	}
	if u := a.Usage; !a.Estimated && u != (carrot.Usage{}) {
		set = append(set, attribute.Int("gen_ai.usage.input_tokens", u.Prompt()),
			attribute.Int("gen_ai.usage.output_tokens", u.Answer()))
		for _, part := range []struct {
			key string
			n   int
		}{
			{"gen_ai.usage.cache_read.input_tokens", u.CachedInput},
			{"gen_ai.usage.cache_write.input_tokens", u.Written()},
			{"gen_ai.usage.reasoning.output_tokens", u.Reasoning},
		} {
			if part.n > 0 {
				set = append(set, attribute.Int(part.key, part.n))
			}
		}
	}
	s.span.SetAttributes(set...)
	setKnown(s.span, "gen_ai.conversation.id", a.Session)
	setKnown(s.span, "gen_ai.response.id", a.AnswerID)
	if label := failureLabel(a); label != "" {
		failed(s.span, cmp.Or(a.ErrorCode, label))
	}
}

// inject adds the trace context to the headers of a call.
func (t *tracer) inject(ctx context.Context, header http.Header) {
	if trace.SpanContextFromContext(ctx).IsValid() {
		t.propagator.Inject(ctx, propagation.HeaderCarrier(header))
	}
}

func setKnown(span trace.Span, key, value string) {
	if value != "" {
		span.SetAttributes(attribute.String(key, value))
	}
}

// failed marks a span as failed with an error of some kind, without a message.
func failed(span trace.Span, kind string) {
	span.SetAttributes(attribute.String("error.type", kind))
	span.SetStatus(codes.Error, kind)
}

// failureLabel returns the kind of an attempt's failure, one of few values. It is empty
// if the attempt succeeded.
func failureLabel(a *record.Attempt) string {
	switch {
	case a.Outcome == record.Served:
		return ""
	case a.Outcome == record.ClientGone, a.Status < 400 || a.Status > 599:
		return string(cmp.Or(a.Outcome, "_OTHER"))
	}
	return strconv.Itoa(a.Status)
}

// address returns the host and port of a URL.
func address(base string) (string, int) {
	u, err := url.Parse(base)
	if err != nil {
		return "", 0
	}
	if port, err := strconv.Atoi(u.Port()); err == nil {
		return u.Hostname(), port
	}
	port, err := net.LookupPort("tcp", u.Scheme)
	if err != nil {
		return u.Hostname(), 0
	}
	return u.Hostname(), port
}

// systems are the providers for which the conventions have a name, by host.
var systems = map[string]string{
	"api.openai.com":                    "openai",
	"api.anthropic.com":                 "anthropic",
	"api.mistral.ai":                    "mistral_ai",
	"api.deepseek.com":                  "deepseek",
	"api.groq.com":                      "groq",
	"api.x.ai":                          "x_ai",
	"api.perplexity.ai":                 "perplexity",
	"api.cohere.com":                    "cohere",
	"api.moonshot.ai":                   "moonshot_ai",
	"generativelanguage.googleapis.com": "gcp.gemini",
	"aiplatform.googleapis.com":         "gcp.vertex_ai",
}

// conventional returns the value of gen_ai.provider.name: the provider's name in the
// conventions, or else in the configuration.
func conventional(kind, host, name string) string {
	switch {
	case systems[host] != "":
		return systems[host]
	case kind == "azure":
		return "azure.ai.openai"
	case kind == "anthropic":
		return "anthropic"
	}
	return name
}

// callKey is the set of labels of an attempt's metrics. All values come from the
// configuration, except for the failure, which is a status or an outcome.
type callKey struct {
	operation, provider, model, address string
	port                                int
	failure                             string
}

func (k callKey) attributes() []attribute.KeyValue {
	set := make([]attribute.KeyValue, 0, 6)
	set = append(set, attribute.String("gen_ai.operation.name", k.operation), attribute.String("gen_ai.provider.name", k.provider),
		attribute.String("gen_ai.request.model", k.model))
	if k.address != "" {
		set = append(set, attribute.String("server.address", k.address), attribute.Int("server.port", k.port))
	}
	return set
}

// genAI are the metrics of the GenAI conventions. They do not have the label
// gen_ai.response.model, because providers may send any value for it.
type genAI struct {
	duration, firstChunk, embedDuration             metric.Float64Histogram
	inputTokens, outputTokens, embedTokens          metric.Int64Histogram
	input, output, cacheRead, cacheWrite, reasoning metric.Int64Counter

	calls lookup[callKey, *callOptions]
}

// The conventions' bucket boundaries.
var (
	secondBounds = []float64{0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
	tokenBounds  = []float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}
)

func newGenAI(m metric.Meter) *genAI {
	// The only errors are about invalid names, and these names are valid.
	seconds := func(name, what string) metric.Float64Histogram {
		h, _ := m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(what), metric.WithExplicitBucketBoundaries(secondBounds...))
		return h
	}
	tokens := func(name, what string) metric.Int64Histogram {
		h, _ := m.Int64Histogram(name, metric.WithUnit("{token}"), metric.WithDescription(what), metric.WithExplicitBucketBoundaries(tokenBounds...))
		return h
	}
	counter := func(name, what string) metric.Int64Counter {
		c, _ := m.Int64Counter(name, metric.WithUnit("{token}"), metric.WithDescription(what))
		return c
	}
	const inference, embeddings = "gen_ai.client.inference.", "gen_ai.client.embeddings."
	return &genAI{
		duration:      seconds(inference+"duration", "Duration of a call."),
		firstChunk:    seconds(inference+"time_to_first_chunk", "Time to the first content of a stream."),
		inputTokens:   tokens(inference+"operation.input_tokens", "Input tokens of a call."),
		outputTokens:  tokens(inference+"operation.output_tokens", "Output tokens of a call."),
		input:         counter(inference+"usage.input_tokens", "Input tokens, including cached ones."),
		output:        counter(inference+"usage.output_tokens", "Output tokens, including reasoning."),
		cacheRead:     counter(inference+"usage.cache_read.input_tokens", "Input tokens read from the provider's cache."),
		cacheWrite:    counter(inference+"usage.cache_write.input_tokens", "Input tokens written to the provider's cache."),
		reasoning:     counter(inference+"usage.reasoning.output_tokens", "Output tokens of reasoning."),
		embedDuration: seconds(embeddings+"duration", "Duration of a call."),
		embedTokens:   tokens(embeddings+"operation.input_tokens", "Input tokens of a call."),
	}
}

// callOptions are the attributes for a callKey, which are made once.
type callOptions struct {
	plain  []metric.RecordOption
	failed []metric.RecordOption // with error.type, if the call failed
	tokens []metric.AddOption    // with gen_ai.token.modality
}

func newCallOptions(k callKey) *callOptions {
	option := func(more ...attribute.KeyValue) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(append(k.attributes(), more...)...))
	}
	o := &callOptions{
		plain:  []metric.RecordOption{option()},
		tokens: []metric.AddOption{option(attribute.String("gen_ai.token.modality", "unknown"))},
	}
	o.failed = o.plain
	if k.failure != "" {
		o.failed = []metric.RecordOption{option(attribute.String("error.type", k.failure))}
	}
	return o
}

// record counts a call. It counts only tokens that the provider reported.
func (g *genAI) record(ctx context.Context, k callKey, a *record.Attempt) {
	o := g.calls.get(k, newCallOptions)
	var u carrot.Usage
	if !a.Estimated {
		u = a.Usage
	}
	in, out := u.Prompt(), u.Answer()
	if k.operation == "embeddings" {
		g.embedDuration.Record(ctx, a.Upstream.Seconds(), o.failed...)
		g.embedTokens.Record(ctx, int64(in), o.failed...)
		return
	}
	g.duration.Record(ctx, a.Upstream.Seconds(), o.failed...)
	if a.Stream && a.FirstToken > 0 {
		g.firstChunk.Record(ctx, a.FirstToken.Seconds(), o.plain...)
	}
	g.inputTokens.Record(ctx, int64(in), o.failed...)
	g.outputTokens.Record(ctx, int64(out), o.failed...)
	g.input.Add(ctx, int64(in), o.tokens...)
	g.output.Add(ctx, int64(out), o.tokens...)
	for _, part := range []struct {
		counter metric.Int64Counter
		n       int
	}{{g.cacheRead, u.CachedInput}, {g.cacheWrite, u.Written()}, {g.reasoning, u.Reasoning}} {
		if part.n > 0 {
			part.counter.Add(ctx, int64(part.n), o.tokens...)
		}
	}
}

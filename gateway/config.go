package gateway

import (
	"crypto/sha256"
	"time"

	"github.com/carrot-router/carrot/internal/wire"
)

// Config is the gateway's configuration file, read by [OpenConfig] or
// [ParseConfig], which fill in what is left out. Only providers and models are
// required. Paths are relative to the folder of the file. docs/config.md is
// written from the comments here; in fields tagged expand, ${NAME} stands for an
// environment variable.
type Config struct {
	// Listen is the address that clients call, HOST:PORT. Default
	// 127.0.0.1:8080. An address that other machines can reach is refused
	// without clients.
	Listen string `yaml:"listen" expand:"env"`
	// AdminListen is the address of metrics, pprof and reload; "off" for none.
	// Default 127.0.0.1:8081. An address that other machines can reach is
	// refused without admin_key.
	AdminListen string `yaml:"admin_listen" expand:"env"`
	// AdminKey is asked for at the admin address, as a bearer token; at least 16
	// characters. Default: none, who can reach the address may use it.
	AdminKey Secret `yaml:"admin_key"`
	// Router is the file of a saved router. Default: the one in the binary.
	Router string `yaml:"router" expand:"env"`
	// Embedder is where the router's embedder is, as in carrot route
	// --embedder. Default: where it was when the router was trained.
	Embedder string `yaml:"embedder"`
	// Prices is a price book file. Default: the one in the binary.
	Prices string `yaml:"prices" expand:"env"`
	// Record says where attempts are recorded.
	Record RecordConfig `yaml:"record"`
	// Providers are the upstream APIs. Required: at least one.
	Providers []ProviderConfig `yaml:"providers"`
	// Models are the candidates. Required: at least one.
	Models []ModelConfig `yaml:"models"`
	// Embeddings are models that /v1/embeddings passes requests on to. Default:
	// none.
	Embeddings []EmbeddingConfig `yaml:"embeddings"`
	// Policies are names that clients may give as the model. Default: auto,
	// balanced, cheap and quality, which exist without being listed.
	Policies []PolicyConfig `yaml:"policies"`
	// Clients are who may call. Default: none are listed, everybody who can
	// reach the address may.
	Clients []ClientConfig `yaml:"clients"`
	// Exploration of policies that have none of their own.
	Exploration ExplorationConfig `yaml:"exploration"`
	// Text says what part of a conversation is embedded.
	Text TextConfig `yaml:"text"`
	// Sessions says how long a provider's prompt cache is counted on.
	Sessions SessionConfig `yaml:"sessions"`
	// Timeouts of providers that have none of their own.
	Timeouts TimeoutConfig `yaml:"timeouts"`
	// Retry says how often a failed call is tried again.
	Retry RetryConfig `yaml:"retry"`
	// Breaker says when a failing model is left alone.
	Breaker BreakerConfig `yaml:"breaker"`
	// Limits protect the gateway from its clients.
	Limits LimitConfig `yaml:"limits"`
	// Log says what is logged.
	Log LogConfig `yaml:"log"`
}

// RecordConfig says where attempts are recorded, one JSON line each.
type RecordConfig struct {
	// Path of the file. Default: none, nothing is recorded.
	Path string `yaml:"path" expand:"env"`
	// Content also records prompts and answers. Default false.
	Content bool `yaml:"content"`
	// MaxMB is the size in MiB at which the file is rotated. Default 100.
	MaxMB int `yaml:"max_mb"`
	// Keep is how many rotated files are kept, of some 30,000 attempts each by
	// default. Default 10; 0 keeps all.
	Keep *int `yaml:"keep"`
}

// ProviderConfig is one upstream API.
type ProviderConfig struct {
	// Name that models refer to. Required.
	Name string `yaml:"name"`
	// Kind of API: openai (and all that is compatible with it), azure or
	// anthropic. Required.
	Kind string `yaml:"kind"`
	// BaseURL is where the API is, http or https, and usually ends in /v1.
	// Default: for openai https://api.openai.com/v1, for anthropic
	// https://api.anthropic.com/v1; azure has none and requires it.
	BaseURL string `yaml:"base_url" expand:"env"`
	// APIKey is the key of a provider that wants one. Default: none.
	APIKey Secret `yaml:"api_key"`
	// APIKeys are several keys instead of one, taken in turn; one that is refused
	// or over its limit makes way for the next. Default: none.
	APIKeys []Secret `yaml:"api_keys"`
	// APIVersion is azure's api-version or anthropic's anthropic-version; others
	// have none. Default: for anthropic 2023-06-01; azure requires it.
	APIVersion string `yaml:"api_version"`
	// Headers are sent with every request. Default: none.
	Headers map[string]Secret `yaml:"headers"`
	// APIs are those that the provider serves: messages, of anthropic; any of
	// chat, responses and embeddings, of others. Default: messages for anthropic; chat,
	// responses and embeddings for openai at its own address and for azure; chat
	// and embeddings for openai elsewhere.
	APIs []wire.API `yaml:"apis"`
	// CacheMinTokens is the shortest prefix that the provider's prompt cache
	// keeps, in tokens. Default 1024; -1: it has no cache.
	CacheMinTokens int `yaml:"cache_min_tokens"`
	// Timeouts of this provider. Default: the timeouts at the top of the file,
	// each that is left out.
	Timeouts TimeoutConfig `yaml:"timeouts"`
}

// ModelConfig is one candidate: a model at a provider, with settings if any.
type ModelConfig struct {
	// Name that clients and answers see: one that the router knows, or any with
	// like. Required.
	Name string `yaml:"name"`
	// Provider is the name of one that serves chat, responses or messages.
	// Required.
	Provider string `yaml:"provider"`
	// Upstream is what the provider calls the model. Default: its name.
	Upstream string `yaml:"upstream"`
	// Like is a model that the router knows, whose estimates this one borrows.
	// Default: none, the router knows this one.
	Like string `yaml:"like"`
	// Adjust says by what this candidate differs from the model whose estimates
	// it borrows.
	Adjust AdjustConfig `yaml:"adjust"`
	// Settings are fields of the request's body, set in every request to the
	// model over what the client sent. null takes out a field that the model does
	// not take, as {temperature: null}. Of token limits, of which one may be set
	// and none taken out, the lower one holds, and lowers the cost that is expected
	// and not the quality: see adjust. All but model, messages, input, stream and
	// stream_options may be set. Default: none.
	Settings map[string]any `yaml:"settings"`
	// Price, in USD per million tokens. Default: the price book's.
	Price *PriceConfig `yaml:"price"`
	// Context is how many tokens fit, input and output together. Default: not
	// known, no request is too long.
	Context int `yaml:"context"`
	// Abilities that the model has, of tools, vision and json; [] says none.
	// Default: not known, all is tried.
	Abilities *[]string `yaml:"abilities"`
	// Tags that policies and requests may ask for, such as a region. Default:
	// none.
	Tags []string `yaml:"tags"`
}

// AdjustConfig is how a candidate's settings change what is expected of it. A
// router trained on the candidate's own outcomes needs none.
type AdjustConfig struct {
	// Quality is added to the expected quality, from -1 to 1. Default 0.
	Quality float64 `yaml:"quality"`
	// OutputTokens multiplies the expected output tokens, from 0.01 to 100.
	// Default 1.
	OutputTokens float64 `yaml:"output_tokens"`
}

// PriceConfig is in USD per million tokens, from 0 to 100000. What is left out is
// billed as the tokens it is part of.
type PriceConfig struct {
	// Input tokens' price. Required.
	Input *float64 `yaml:"input"`
	// CachedInput is the price of input tokens read from the provider's prompt
	// cache. Default: that of input.
	CachedInput *float64 `yaml:"cached_input"`
	// CacheWrite is the price of input tokens written to the cache. Default: that
	// of input.
	CacheWrite *float64 `yaml:"cache_write"`
	// Output tokens' price. Required, except of embeddings.
	Output *float64 `yaml:"output"`
	// Reasoning is the price of output tokens that are thought and not shown.
	// Default: that of output.
	Reasoning *float64 `yaml:"reasoning"`
}

// EmbeddingConfig is a model of /v1/embeddings.
type EmbeddingConfig struct {
	// Name that clients give as the model. Required.
	Name string `yaml:"name"`
	// Provider is the name of one that serves embeddings. Required.
	Provider string `yaml:"provider"`
	// Upstream is what the provider calls the model. Default: its name.
	Upstream string `yaml:"upstream"`
	// Price, in USD per million tokens; only input counts. Required.
	Price *PriceConfig `yaml:"price"`
}

// PolicyConfig is a named objective, pool and default.
type PolicyConfig struct {
	// Name that clients give as the model; no model's, without spaces, colons and
	// commas. Required.
	Name string `yaml:"name"`
	// Objective that says how quality and cost trade: quality, balanced, cheap,
	// mu=, usd-per-quality=, budget= (USD a request) or target= with a number.
	// Default: balanced; of the policies cheap and quality their own names.
	Objective string `yaml:"objective"`
	// Models that may be chosen. Default: all.
	Models []string `yaml:"models"`
	// Tags that a model must have to be chosen, all of them. Default: none.
	Tags []string `yaml:"tags"`
	// Default is the model that answers when the router fails or the query is
	// too novel. Default: the one with the highest mean quality in the pool.
	Default string `yaml:"default"`
	// NovelToDefault is the novelty above which the default answers, from 0 to 1:
	// 0.99 sends it what is less like the training queries than 99% of them.
	// Default 0, never.
	NovelToDefault float64 `yaml:"novel_to_default"`
	// Shadow decides and records, and serves the default. Default false.
	Shadow bool `yaml:"shadow"`
	// Exploration of this policy. Default: the exploration at the top of the file.
	Exploration *ExplorationConfig `yaml:"exploration"`
}

// ExplorationConfig draws other candidates now and then, so that their
// outcomes are seen too.
type ExplorationConfig struct {
	// Rate is the share of requests, from 0 to 1, whose candidate is drawn evenly
	// among those that may answer. Default 0.
	Rate float64 `yaml:"rate"`
	// Seed of the draws. Default 0.
	Seed uint64 `yaml:"seed"`
}

// ClientConfig is one client, known by its key. Keys are kept as hashes only.
type ClientConfig struct {
	// Name in records and metrics. Required.
	Name string `yaml:"name"`
	// Key that the client sends as a bearer token or x-api-key, at least 16
	// characters. Required, unless key_file or key_sha256 is given. [ParseConfig]
	// hashes and clears it.
	Key Secret `yaml:"key"`
	// KeyFile is a file that holds the key and nothing else, instead of key.
	// Default: none.
	KeyFile string `yaml:"key_file" expand:"env"`
	// KeySHA256 is the key's SHA-256 in 64 hexadecimal digits, instead of key, as
	// printf %s "$KEY" | sha256sum prints it. Default: none. [ParseConfig] sets it
	// for every client.
	KeySHA256 string `yaml:"key_sha256"`
	// Policies the client may use, and embeddings. Within a policy's pool it may
	// still choose, by x-carrot-models, -tags and -route. Default: all, and models
	// by name too.
	Policies []string `yaml:"policies"`

	hash [sha256.Size]byte // of the key
}

// TextConfig bounds what is embedded of a conversation beside the latest user
// turn, in bytes.
type TextConfig struct {
	// System prompt's share, in bytes. Default 0.
	System int `yaml:"system"`
	// Earlier user turns' share, in bytes, taken when the latest turn is shorter
	// than this. Default 200.
	Earlier *int `yaml:"earlier"`
}

// SessionConfig says how conversations are remembered.
type SessionConfig struct {
	// TTL is how long a provider's prompt cache is counted on. Default 5m.
	TTL time.Duration `yaml:"ttl"`
	// Entries are how many conversations are remembered. Default 50000.
	Entries int `yaml:"entries"`
}

// TimeoutConfig limits calls to providers.
type TimeoutConfig struct {
	// Connect limits connecting. Default 5s.
	Connect time.Duration `yaml:"connect"`
	// FirstToken limits the wait for the first content of a stream. Default
	// 60s.
	FirstToken time.Duration `yaml:"first_token"`
	// Total limits a whole answer of one attempt. Without streaming it is also how
	// long a provider that hangs is waited for before the next candidate: set it
	// to the longest answer you expect. Default 10m.
	Total time.Duration `yaml:"total"`
}

// RetryConfig says how often a failed call is tried again before another
// candidate is.
type RetryConfig struct {
	// Retries of one candidate after network errors and 5xx. Default 1; 0 for
	// none.
	Retries *int `yaml:"retries"`
	// Backoff before the first retry; it doubles, with jitter. Default 250ms.
	Backoff time.Duration `yaml:"backoff"`
	// MaxWait is the longest Retry-After that is waited for; a longer one falls
	// back at once. Default 2s.
	MaxWait time.Duration `yaml:"max_wait"`
	// Budget is the share of requests that may be retried, from 0 to 1, so that
	// retries do not pile onto an outage. Default 0.2.
	Budget *float64 `yaml:"budget"`
	// Fallbacks is how many further candidates are tried. Default 3.
	Fallbacks *int `yaml:"fallbacks"`
}

// BreakerConfig says when a provider's model is left alone.
type BreakerConfig struct {
	// Failures in a row that open it. Default 5.
	Failures int `yaml:"failures"`
	// Open is how long it stays open before one call tries again. Default 30s.
	Open time.Duration `yaml:"open"`
}

// LimitConfig protects the gateway from its clients.
type LimitConfig struct {
	// BodyMB is the longest request body, in MiB. Default 20.
	BodyMB int `yaml:"body_mb"`
	// HeaderKB is the longest request header, in KiB. Default 64.
	HeaderKB int `yaml:"header_kb"`
	// Requests is how many may be served at once. Default 1000.
	Requests int `yaml:"requests"`
	// ReadTimeout limits reading a request. Default 30s.
	ReadTimeout time.Duration `yaml:"read_timeout"`
	// WriteTimeout limits one write to a client that does not read. Default
	// 30s.
	WriteTimeout time.Duration `yaml:"write_timeout"`
	// Shutdown is how long streams may go on after a signal to stop. Default
	// 30s.
	Shutdown time.Duration `yaml:"shutdown"`
	// Drain is how long requests are taken after a signal to stop, while /ready
	// already fails. Default 0s.
	Drain time.Duration `yaml:"drain"`
}

// LogConfig says what is logged.
type LogConfig struct {
	// Level is the least that is logged: debug, info, warn or error. Default info.
	Level string `yaml:"level"`
}

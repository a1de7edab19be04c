package gateway

import "time"

// Config is what a [Gateway] is made from. Only Providers and Models are required;
// [New] fills in the defaults and checks the rest. The zero value of a field means
// its default; where zero has a meaning of its own the field is a pointer.
//
// A program writes a Config in Go, or reads one from a [File]. docs/config.md is
// generated from the comments here; in fields tagged expand, ${NAME} stands for an
// environment variable.
type Config struct {
	// AdminKey is required at the admin address, as a bearer token; at least 16
	// characters. Default: none; everyone who can reach the address may use it.
	AdminKey Secret `yaml:"admin_key"`
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
	// Clients that may send requests. Default: none are listed; everyone who can
	// reach the address may send requests.
	Clients []ClientConfig `yaml:"clients"`
	// Exploration of policies that have none of their own.
	Exploration ExplorationConfig `yaml:"exploration"`
	// Text says which part of a conversation is embedded.
	Text TextConfig `yaml:"text"`
	// Sessions says how long conversations are remembered.
	Sessions SessionConfig `yaml:"sessions"`
	// Timeouts of providers that have none of their own.
	Timeouts TimeoutConfig `yaml:"timeouts"`
	// Retry says how often a failed call is tried again.
	Retry RetryConfig `yaml:"retry"`
	// Breaker says when a failing model is no longer called.
	Breaker BreakerConfig `yaml:"breaker"`
	// Limits protect the gateway from its clients.
	Limits LimitConfig `yaml:"limits"`
	// RecordContent also records prompts and answers. In a file it is
	// record.content.
	RecordContent bool `yaml:"-"`
}

// File is a configuration file: a [Config] with what the program around a gateway
// interprets, such as the command carrot serve. It is read by [OpenFile] or
// [ParseFile]. Paths are relative to the folder of the file.
type File struct {
	// Listen is the address that clients call, HOST:PORT. Default
	// 127.0.0.1:8080. An address that other machines can reach is refused
	// unless clients are listed.
	Listen string `yaml:"listen" expand:"env"`
	// AdminListen is the address of metrics, pprof and reload; "off" for none.
	// Default 127.0.0.1:8081. An address that other machines can reach is
	// refused without admin_key.
	AdminListen string `yaml:"admin_listen" expand:"env"`
	// Router is the file of a saved router. Default: the one in the binary.
	Router string `yaml:"router" expand:"env"`
	// Embedder describes the router's embedder, as in carrot route --embedder.
	// Default: static, the one in the binary. A router that was trained with
	// another one is refused without this key.
	Embedder string `yaml:"embedder"`
	// Prices is a price book file. Default: the one in the binary.
	Prices string `yaml:"prices" expand:"env"`
	// Record says where attempts are recorded.
	Record RecordConfig `yaml:"record"`

	Config `yaml:",inline"`

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
	// Keep is the number of rotated files that are kept, of about 30,000 attempts
	// each by default. Default 10; 0 keeps all.
	Keep *int `yaml:"keep"`
}

// ProviderConfig is one upstream API.
type ProviderConfig struct {
	// Name that models refer to. Required.
	Name string `yaml:"name"`
	// Kind of API: openai (and everything compatible with it), azure or
	// anthropic. Required.
	Kind string `yaml:"kind"`
	// BaseURL is the address of the API, http or https; it usually ends in /v1.
	// Default: https://api.openai.com/v1 for openai,
	// https://api.anthropic.com/v1 for anthropic; azure requires it.
	BaseURL string `yaml:"base_url" expand:"env"`
	// APIKey is the provider's key, if it needs one. Default: none.
	APIKey Secret `yaml:"api_key"`
	// APIKeys are several keys instead of one, used in turn; a key that is refused
	// or over its limit is replaced by the next. Default: none.
	APIKeys []Secret `yaml:"api_keys"`
	// APIVersion is azure's api-version or anthropic's anthropic-version; other
	// kinds have none. Default: 2023-06-01 for anthropic; azure requires it.
	APIVersion string `yaml:"api_version"`
	// Headers are sent with every request. Default: none.
	Headers map[string]Secret `yaml:"headers"`
	// APIs that the provider serves: messages for anthropic; any of chat, responses
	// and embeddings for the other kinds. Default: messages for anthropic; chat,
	// responses and embeddings for openai at its own address and for azure; chat
	// and embeddings for openai elsewhere.
	APIs []string `yaml:"apis"`
	// CacheMinTokens is the length in tokens of the shortest prefix that the
	// provider's prompt cache keeps. Default 1024; -1: it has no cache.
	CacheMinTokens int `yaml:"cache_min_tokens"`
	// Timeouts of this provider. Default: the timeouts at the top of the file, for
	// each one that is omitted.
	Timeouts TimeoutConfig `yaml:"timeouts"`
}

// ModelConfig is one candidate: a model at a provider, with settings if any.
type ModelConfig struct {
	// Name that clients and answers see: one that the router knows, or any name
	// together with like. Required.
	Name string `yaml:"name"`
	// Provider is the name of one that serves chat, responses or messages.
	// Required.
	Provider string `yaml:"provider"`
	// Upstream is the provider's name for the model. Default: the model's name.
	Upstream string `yaml:"upstream"`
	// Like is a model that the router knows and whose estimates this one borrows.
	// Default: none; the router knows this model itself.
	Like string `yaml:"like"`
	// Adjust says how this candidate differs from the model whose estimates it
	// borrows.
	Adjust AdjustConfig `yaml:"adjust"`
	// Settings are fields of the request's body that are set in every request to
	// the model, in place of those the client sent. null removes a field that the
	// model does not accept, as in {temperature: null}. One token limit may be set
	// and none removed; the lower of it and the client's applies, and it lowers the
	// expected cost but not the expected quality: see adjust. Every field may be set
	// except model, messages, input, stream and stream_options. Default: none.
	Settings map[string]any `yaml:"settings"`
	// Price, in USD per million tokens. Default: the price book's.
	Price *PriceConfig `yaml:"price"`
	// Context is the number of tokens that fit, input and output together.
	// Default: unknown; no request is too long.
	Context int `yaml:"context"`
	// Abilities that the model has, out of tools, vision and json; [] means none.
	// Default: unknown; every request is tried.
	Abilities *[]string `yaml:"abilities"`
	// Tags that policies and requests may ask for, such as a region. Default:
	// none.
	Tags []string `yaml:"tags"`
}

// AdjustConfig is how a candidate's settings change what is expected of it. A
// router that was trained on the candidate's own outcomes needs none.
type AdjustConfig struct {
	// Quality is added to the expected quality, from -1 to 1. Default 0.
	Quality float64 `yaml:"quality"`
	// OutputTokens multiplies the expected output tokens, from 0.01 to 100.
	// Default 1.
	OutputTokens float64 `yaml:"output_tokens"`
}

// PriceConfig is in USD per million tokens, from 0 to 100000. 0 is free; a price
// that is omitted is unknown unless its comment says otherwise, and so is the cost
// of a call that uses it.
type PriceConfig struct {
	// Input is the price of input tokens. Required.
	Input *float64 `yaml:"input"`
	// CachedInput is the price of input tokens read from the provider's prompt
	// cache. Default: the price of input.
	CachedInput *float64 `yaml:"cached_input"`
	// CacheWrite is the price of input tokens written to the cache. Default:
	// unknown.
	CacheWrite *float64 `yaml:"cache_write"`
	// Output is the price of output tokens. Required, except for embeddings.
	Output *float64 `yaml:"output"`
	// Reasoning is the price of hidden reasoning tokens. Default: the price of
	// output.
	Reasoning *float64 `yaml:"reasoning"`
}

// EmbeddingConfig is a model of /v1/embeddings.
type EmbeddingConfig struct {
	// Name that clients give as the model. Required.
	Name string `yaml:"name"`
	// Provider is the name of one that serves embeddings. Required.
	Provider string `yaml:"provider"`
	// Upstream is the provider's name for the model. Default: the model's name.
	Upstream string `yaml:"upstream"`
	// Price, in USD per million tokens; only input counts. Required.
	Price *PriceConfig `yaml:"price"`
}

// PolicyConfig is a named objective, pool and default.
type PolicyConfig struct {
	// Name that clients give as the model: not the name of a model, and without
	// spaces, colons and commas. Required.
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
	// too novel. Default: the model of the pool with the highest mean quality.
	Default string `yaml:"default"`
	// NovelToDefault is the novelty above which the default answers, from 0 to 1:
	// at 0.99 it answers queries that are less like the training queries than 99%
	// of those are. Default 0, never.
	NovelToDefault float64 `yaml:"novel_to_default"`
	// Shadow decides and records, but serves the default. Default false.
	Shadow bool `yaml:"shadow"`
	// Exploration of this policy. Default: the exploration at the top of the file.
	Exploration *ExplorationConfig `yaml:"exploration"`
}

// ExplorationConfig draws other candidates now and then, so that their outcomes
// are observed too.
type ExplorationConfig struct {
	// Rate is the share of requests, from 0 to 1, whose candidate is drawn at random
	// among those that may answer. Default 0.
	Rate float64 `yaml:"rate"`
	// Seed of the draws. Default 0.
	Seed uint64 `yaml:"seed"`
}

// ClientConfig is one client, known by its key. Only hashes of keys are kept.
type ClientConfig struct {
	// Name in records and metrics. Required.
	Name string `yaml:"name"`
	// Key that the client sends as a bearer token or x-api-key, at least 16
	// characters. Required, unless key_file or key_sha256 is given.
	Key Secret `yaml:"key"`
	// KeyFile is a file that holds the key and nothing else, instead of key.
	// Default: none.
	KeyFile string `yaml:"key_file" expand:"env"`
	// KeySHA256 is the key's SHA-256 in 64 hexadecimal digits, instead of key, as
	// printf %s "$KEY" | sha256sum prints it. Default: none.
	KeySHA256 string `yaml:"key_sha256"`
	// Policies, and models of embeddings, that the client may use. Within a
	// policy's pool it may still choose, by x-carrot-models, -tags and -route.
	// Default: all, and models by name too.
	Policies []string `yaml:"policies"`
	// Labels are written in the records of the client's requests, such as
	// {team: search}. Default: none.
	Labels map[string]string `yaml:"labels"`
}

// TextConfig bounds how much of a conversation is embedded beside the latest user
// turn, in bytes.
type TextConfig struct {
	// System is how much of the system prompt is embedded, in bytes. Default 0.
	System int `yaml:"system"`
	// Earlier is how much of earlier user turns is embedded, in bytes, when the
	// latest turn is shorter than this. Default 200.
	Earlier *int `yaml:"earlier"`
}

// SessionConfig says how conversations are remembered.
type SessionConfig struct {
	// TTL is how long a provider is expected to keep a conversation in its prompt
	// cache. Default 5m.
	TTL time.Duration `yaml:"ttl"`
	// Entries is the number of conversations that are remembered. Default 50000.
	Entries int `yaml:"entries"`
}

// TimeoutConfig limits calls to providers.
type TimeoutConfig struct {
	// Connect limits connecting. Default 5s.
	Connect time.Duration `yaml:"connect"`
	// FirstToken limits the wait for the first content of a stream. Default
	// 60s.
	FirstToken time.Duration `yaml:"first_token"`
	// Total limits one attempt with its whole answer. Without streaming it is also
	// how long the gateway waits for a provider that hangs before it tries the next
	// candidate: set it to the longest answer you expect. Default 10m.
	Total time.Duration `yaml:"total"`
}

// RetryConfig says how often a failed call is tried again before another candidate
// is tried.
type RetryConfig struct {
	// Retries of one candidate after network errors and 5xx. Default 1; 0 means
	// none.
	Retries *int `yaml:"retries"`
	// Backoff before the first retry; it doubles, with jitter. Default 250ms.
	Backoff time.Duration `yaml:"backoff"`
	// MaxWait is the longest Retry-After that is waited for; after a longer one the
	// next candidate is tried at once. Default 2s.
	MaxWait time.Duration `yaml:"max_wait"`
	// Budget is the share of requests that may be retried, from 0 to 1, so that
	// retries do not make an outage worse. Default 0.2.
	Budget *float64 `yaml:"budget"`
	// Fallbacks is the number of further candidates that are tried. Default 3.
	Fallbacks *int `yaml:"fallbacks"`
}

// BreakerConfig says when a provider's model is no longer called.
type BreakerConfig struct {
	// Failures in a row that open the breaker. Default 5.
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
	// Requests is the number of requests that may be served at once. Default 1000.
	Requests int `yaml:"requests"`
	// ReadTimeout limits reading a request. Default 30s.
	ReadTimeout time.Duration `yaml:"read_timeout"`
	// WriteTimeout limits one write to a client that does not read. Default
	// 30s.
	WriteTimeout time.Duration `yaml:"write_timeout"`
	// Shutdown is how long streams may continue after a signal to stop. Default
	// 30s.
	Shutdown time.Duration `yaml:"shutdown"`
	// Drain is how long requests are accepted after a signal to stop, while /ready
	// already fails. Default 0s.
	Drain time.Duration `yaml:"drain"`
}

// LogConfig says what is logged.
type LogConfig struct {
	// Level is the lowest level that is logged: debug, info, warn or error. Default
	// info.
	Level string `yaml:"level"`
}

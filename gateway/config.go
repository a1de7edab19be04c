package gateway

import "time"

// Config is the configuration of a [Gateway]. Only Providers and Models are required;
// [New] fills in defaults and checks everything. The zero value of a field means its
// default. A field whose zero is a meaningful value of its own is a pointer.
//
// A program writes a Config in Go or reads it from a [File]. docs/config.md is generated
// from the comments here. In fields tagged expand, ${NAME} in a file stands for an
// environment variable.
type Config struct {
	// AdminKey is required as a bearer token at the admin address. It has at least
	// 16 characters. Default: none; everyone who can reach the address may use it.
	AdminKey Secret `yaml:"admin_key"`
	// Providers are the upstream APIs. Required: at least one.
	Providers []ProviderConfig `yaml:"providers"`
	// Models are the candidates. Required: at least one.
	Models []ModelConfig `yaml:"models"`
	// Embeddings are the models of /v1/embeddings. Default: none.
	Embeddings []EmbeddingConfig `yaml:"embeddings"`
	// Aliases are further names that clients may use as the model, each for a policy,
	// a policy with an objective, or a model, as in {"claude-*": auto}. Agents ask for
	// the models of their vendor by name. A name that ends in * stands for all that
	// begin like it and are not the name of anything else; the longest one applies.
	// Default: none.
	Aliases map[string]string `yaml:"aliases"`
	// Translation says what is done with a request's fields that a provider of
	// another API does not have, and with values that a model does not accept:
	// lenient leaves out or changes those that only label, limit, schedule or cache,
	// and says so in headers and records; strict does not translate such a request
	// for that model. Default: lenient.
	Translation string `yaml:"translation"`
	// Policies are names that clients may use as the model. Default: auto,
	// balanced, cheap and quality, which always exist.
	Policies []PolicyConfig `yaml:"policies"`
	// Clients are the clients that may send requests, each with a key, beside those
	// in the store (carrot keys). Default: none; everyone who can reach the address may
	// send requests, unless the store has or had clients.
	Clients []ClientConfig `yaml:"clients"`
	// RequireKeys says that requests need a key even if no client has one yet. Default:
	// true if other machines can reach listen, or else false. Keys are always needed if
	// clients are listed, or if the store has or had any.
	RequireKeys bool `yaml:"require_keys"`
	// Budgets are what may be spent. Default: none.
	Budgets []BudgetConfig `yaml:"budgets"`
	// Webhook is told when most of a budget, or all of it, is spent.
	Webhook WebhookConfig `yaml:"webhook"`
	// Origins are the origins of web pages that may call the gateway from a
	// browser, as in https://app.example. Keys that such a page holds can be seen
	// by whoever opens it. Default: none; requests of web pages are refused.
	Origins []string `yaml:"origins"`
	// Exploration applies to policies that do not set their own.
	Exploration ExplorationConfig `yaml:"exploration"`
	// Text says which part of a conversation is embedded.
	Text TextConfig `yaml:"text"`
	// Sessions says how long conversations are remembered.
	Sessions SessionConfig `yaml:"sessions"`
	// Timeouts apply to providers that do not set their own.
	Timeouts TimeoutConfig `yaml:"timeouts"`
	// Pings is how often the client is sent a ping while it waits for the first
	// content of a stream, so that nothing between closes the connection. The status
	// is then 200 even if no model can answer later, which an error event says, and
	// headers that are not yet known become trailers. Default 0s; none are sent.
	Pings time.Duration `yaml:"pings"`
	// Retry says how often a failed call is retried.
	Retry RetryConfig `yaml:"retry"`
	// Breaker says when a failing model is no longer called.
	Breaker BreakerConfig `yaml:"breaker"`
	// Limits protect the gateway from its clients.
	Limits LimitConfig `yaml:"limits"`
	// Labels says which labels requests may have.
	Labels LabelConfig `yaml:"labels"`
	// Feedback says what clients' feedback on answers means.
	Feedback FeedbackConfig `yaml:"feedback"`
	// RecordContent says which texts are recorded: none, judged or full, as
	// record.content in a file. Default none.
	RecordContent string `yaml:"-"`
}

// File is a configuration file, read by [OpenFile] or [ParseFile]: a [Config], and
// settings for the program around the gateway, such as the command carrot serve, which
// the gateway itself does not use.
type File struct {
	// Listen is the address that clients call, HOST:PORT. Default
	// 127.0.0.1:8080. At an address that other machines can reach, all requests need
	// a key; it is refused if neither clients are listed nor a store may have keys.
	Listen string `yaml:"listen" expand:"env"`
	// AdminListen is the address of metrics, pprof and reload; "off" for none.
	// Default 127.0.0.1:8081. An address that other machines can reach is
	// refused without admin_key.
	AdminListen string `yaml:"admin_listen" expand:"env"`
	// Router is the file of a saved router. Default: the router in the binary.
	Router string `yaml:"router" expand:"env"`
	// Embedder describes the router's embedder, as in carrot route --embedder.
	// Default: static, the one in the binary. A router that was trained with
	// another one is refused without this key.
	Embedder string `yaml:"embedder"`
	// Prices is the file of a price book. Default: the price book in the binary.
	Prices string `yaml:"prices" expand:"env"`
	// Record says where attempts are recorded.
	Record RecordConfig `yaml:"record"`
	// Store is the database that keeps every attempt for carrot ledger: the file of
	// one of SQLite, which is made if it does not exist, or the address of one of
	// PostgreSQL, postgres://…, which several gateways may share. Default: none.
	Store string `yaml:"store" expand:"env"`
	// Journal is the folder in which attempts wait for the store, on a local disk.
	// Every gateway needs its own. Default: beside the store's file, with .journal at
	// the end of its name, or carrot.journal for PostgreSQL.
	Journal string `yaml:"journal" expand:"env"`
	// KeepDecisions is the number of days for which the store keeps decisions and
	// texts; attempts and the sums of days stay. Default 30; 0 keeps all.
	KeepDecisions *int `yaml:"keep_decisions"`

	Config `yaml:",inline"`

	// OIDC lets people log in to the dashboard at the admin address with an account of
	// an identity provider, beside the admin key. It needs admin_key.
	OIDC *oidcConfig `yaml:"oidc"`
	// Log says what is logged.
	Log LogConfig `yaml:"log"`
}

// oidcConfig is a client of an identity provider that speaks OpenID Connect, with which
// people log in to the dashboard. A claim of the provider says who may do what; people
// without a value that is listed have no access.
type oidcConfig struct {
	// Issuer is the provider's address, exactly as the provider writes it in its tokens:
	// https, or http at a loopback address. Required.
	Issuer string `yaml:"issuer" expand:"env"`
	// ClientID is the name by which the provider knows the dashboard. Required.
	ClientID string `yaml:"client_id" expand:"env"`
	// ClientSecret is the secret of the client. Default: none; the client is public, and
	// PKCE alone protects its codes, as it does in any case.
	ClientSecret Secret `yaml:"client_secret"`
	// RedirectURL is the address to which the provider sends people back, and which the
	// provider must know: that of the dashboard with /ui/callback, as in
	// https://carrot.example/ui/callback. Required.
	RedirectURL string `yaml:"redirect_url" expand:"env"`
	// Scopes are what is asked of the provider; openid must be among them. Default:
	// [openid, profile, email].
	Scopes []string `yaml:"scopes"`
	// Claim is the claim that says what people may do: a text or a list of texts, in the
	// ID token or else in the answer of the userinfo endpoint. Dots lead into a mapping, as
	// in realm_access.roles. Default groups.
	Claim string `yaml:"claim"`
	// Admins are values of the claim; people who have one of them may see and change
	// everything. Default: none; one of admins and viewers is required.
	Admins []string `yaml:"admins"`
	// Viewers are values of the claim; people who have one of them may see everything.
	// Default: none.
	Viewers []string `yaml:"viewers"`
}

// RecordConfig says where attempts are recorded, one JSON line each.
type RecordConfig struct {
	// Path is the path of the file. Default: none; nothing is recorded.
	Path string `yaml:"path" expand:"env"`
	// Content says which texts are recorded, here and in the store: none; judged, the
	// text by which the router judged the request, without the answer; or full, the
	// whole request and the answer. false and true stand for none and full. Default
	// none.
	Content string `yaml:"content" bool:"none,full"`
	// MaxMB is the size in MiB at which the file is rotated. Default 100.
	MaxMB int `yaml:"max_mb"`
	// Keep is the number of rotated files that are kept. A file of 100 MiB holds
	// about 30,000 attempts. Default 10; 0 keeps all.
	Keep *int `yaml:"keep"`
}

// ProviderConfig is one upstream API.
type ProviderConfig struct {
	// Name is the name by which models refer to the provider. Required.
	Name string `yaml:"name"`
	// Kind is the kind of API: openai (and everything compatible with it), azure or
	// anthropic. Required.
	Kind string `yaml:"kind"`
	// BaseURL is the address of the API, http or https; it usually ends in /v1.
	// Default: https://api.openai.com/v1 for openai,
	// https://api.anthropic.com/v1 for anthropic; azure requires it.
	BaseURL string `yaml:"base_url" expand:"env"`
	// APIKey is the provider's key, if it needs one. Default: none.
	APIKey Secret `yaml:"api_key"`
	// APIKeys are several keys instead of one, which are used in turn. If a key is
	// refused or over its limit, the next one is tried. A conversation stays on its
	// key as long as that works. Default: none.
	APIKeys []Secret `yaml:"api_keys"`
	// APIVersion is the api-version for azure or the anthropic-version for
	// anthropic; other kinds have none. Default: 2023-06-01 for anthropic; azure
	// requires it.
	APIVersion string `yaml:"api_version"`
	// Headers are sent with every request. Default: none.
	Headers map[string]Secret `yaml:"headers"`
	// APIs are the APIs that the provider serves: messages for anthropic, and any
	// of chat, responses and embeddings for the other kinds. Default: messages for
	// anthropic; chat, responses and embeddings for azure and for openai at its own
	// address; chat and embeddings for openai at other addresses.
	APIs []string `yaml:"apis"`
	// CacheMinTokens is the shortest prefix, in tokens, that the provider's prompt
	// cache keeps. Default 1024; -1: the provider has no cache.
	CacheMinTokens int `yaml:"cache_min_tokens"`
	// Timeouts apply to this provider. Default: for each one that is omitted, the
	// timeout at the top level.
	Timeouts TimeoutConfig `yaml:"timeouts"`
}

// ModelConfig is one candidate: a model at a provider, with settings if any.
type ModelConfig struct {
	// Name is the name in requests and answers. It is a model that the router
	// knows, or one of today's that borrows the estimates of such a model
	// (docs/default-router.md lists them), or any name if like or upstream is one of
	// these. Required.
	Name string `yaml:"name"`
	// Provider is the name of a provider that serves chat, responses or messages.
	// Required.
	Provider string `yaml:"provider"`
	// Upstream is the provider's name for the model. Default: the model's name.
	Upstream string `yaml:"upstream"`
	// Like is a model that the router knows, and whose estimates are used for this
	// one. Default: none; the router knows this model itself, or its estimates are
	// borrowed.
	Like string `yaml:"like"`
	// Adjust says how this candidate differs from the model whose estimates are
	// used for it.
	Adjust AdjustConfig `yaml:"adjust"`
	// Settings are fields that are set in the body of every request to the model,
	// and replace those that the client sent. null removes a field that the model
	// does not accept, as in {temperature: null}. One token limit may be set, and
	// none removed; the lower of this limit and the client's applies. It lowers the
	// expected cost but not the expected quality: see adjust. The fields model,
	// messages, input, stream and stream_options cannot be set. Default: none.
	Settings map[string]any `yaml:"settings"`
	// Price is the price in USD per million tokens. Default: that of the price book
	// for the model's name or upstream, or if the provider is the model's vendor at
	// its own address, that of the catalogue for upstream.
	Price *PriceConfig `yaml:"price"`
	// Context is the maximum number of tokens, input and output together.
	// Default: that of the catalogue, or else unknown; no request is too long.
	Context int `yaml:"context"`
	// Abilities are the model's abilities, out of tools, vision and json; [] means
	// none. Default: those of the catalogue, or else unknown; every request is tried.
	Abilities *[]string `yaml:"abilities"`
	// CacheMinTokens is the shortest prefix of this model, in tokens, that the
	// provider's prompt cache keeps; -1: none. Default: that of the catalogue, or
	// else that of the provider.
	CacheMinTokens int `yaml:"cache_min_tokens"`
	// MaxOutput is the most output tokens of an answer. A higher limit is lowered when
	// a request is translated, and one that the provider requires is at most this.
	// Default: what the vendor says of models with such a name, if that is known.
	MaxOutput int `yaml:"max_output"`
	// Sampling says whether the model accepts temperature, top_p and top_k. If it
	// does not, they are left out of requests that are translated or routed. Default:
	// what the vendor says of models with such a name, if that is known.
	Sampling *bool `yaml:"sampling"`
	// Efforts are the reasoning efforts that the model accepts, from the lowest to the
	// highest, out of none, minimal, low, medium, high, xhigh and max; [] means that
	// it accepts none. Others are lowered, or left out, when a request is translated.
	// Default: what the vendor says of models with such a name, if that is known.
	Efforts *[]string `yaml:"efforts"`
	// Tags are labels that policies and requests may require, such as a region.
	// Default: none.
	Tags []string `yaml:"tags"`
}

// AdjustConfig says how a candidate's settings change its estimates. It is not needed if
// the router was trained on the candidate's own outcomes.
type AdjustConfig struct {
	// Quality is added to the expected quality, from -1 to 1. Default 0.
	Quality float64 `yaml:"quality"`
	// OutputTokens multiplies the expected output tokens, from 0.01 to 100.
	// Default 1.
	OutputTokens float64 `yaml:"output_tokens"`
}

// PriceConfig is in USD per million tokens, from 0 to 100000. 0 means free. An omitted
// price is unknown, unless its description says otherwise, and makes the cost of calls
// with such tokens unknown.
type PriceConfig struct {
	RatesConfig `yaml:",inline"`
	// Above are the prices of long prompts, by increasing number of tokens; those
	// of the last one that a prompt exceeds apply. Default: none; all prompts have
	// the same prices.
	Above []LongPriceConfig `yaml:"above"`
	// Tiers are the prices at the service tier or speed that an answer names, such
	// as flex, priority, batch or fast. The names default, standard, auto and
	// on_demand need none. Default: none; the cost of calls at other tiers is
	// unknown.
	Tiers map[string]TierPriceConfig `yaml:"tiers"`
	// Regions are the factors on the price of tokens by the region that an answer
	// names. Default: none; the factor is 1.
	Regions map[string]float64 `yaml:"regions"`
	// Tools are the prices in USD of one use of the provider's own tools, such as
	// web_search. Default: none; the cost of calls that use them is unknown.
	Tools map[string]float64 `yaml:"tools"`
}

// RatesConfig is the prices of tokens, by kind.
type RatesConfig struct {
	// Input is the price of input tokens. Required, except within above and tiers.
	Input *float64 `yaml:"input"`
	// CachedInput is the price of input tokens read from the provider's prompt
	// cache. Default: the price of input.
	CachedInput *float64 `yaml:"cached_input"`
	// CacheWrite is the price of input tokens written to the cache for up to five
	// minutes, or for a time that the answer does not say. Default: unknown.
	CacheWrite *float64 `yaml:"cache_write"`
	// CacheWrites are the prices of input tokens written to the cache, by how long
	// they are kept, as in {1h: 10}. Default: none.
	CacheWrites map[string]float64 `yaml:"cache_writes"`
	// Output is the price of output tokens. Required, except for embeddings and
	// within above and tiers.
	Output *float64 `yaml:"output"`
	// Reasoning is the price of hidden reasoning tokens. Default: the price of
	// output.
	Reasoning *float64 `yaml:"reasoning"`
	// AudioInput is the price of sounds in the input. Default: unknown.
	AudioInput *float64 `yaml:"audio_input"`
	// AudioOutput is the price of sounds in the output. Default: unknown.
	AudioOutput *float64 `yaml:"audio_output"`
	// ImageInput is the price of images in the input. Default: the price of input.
	ImageInput *float64 `yaml:"image_input"`
	// ImageOutput is the price of images in the output. Default: the price of
	// output.
	ImageOutput *float64 `yaml:"image_output"`
}

// LongPriceConfig is the prices of long prompts.
type LongPriceConfig struct {
	// Tokens is the number of input tokens that a prompt must exceed. Required.
	Tokens int `yaml:"tokens"`
	// Part is true if the prices apply only to the input beyond that number, and
	// not to the whole request. Default false.
	Part        bool `yaml:"part"`
	RatesConfig `yaml:",inline"`
}

// TierPriceConfig is the prices at a service tier or speed: either a factor, or prices.
type TierPriceConfig struct {
	// Factor is the factor on all prices of tokens. Default: none; the prices below
	// apply.
	Factor      float64 `yaml:"factor"`
	RatesConfig `yaml:",inline"`
	// Above are the prices of long prompts at this tier. Default: none.
	Above []LongPriceConfig `yaml:"above"`
}

// EmbeddingConfig is a model of /v1/embeddings.
type EmbeddingConfig struct {
	// Name is the name that clients use as the model. Required.
	Name string `yaml:"name"`
	// Provider is the name of a provider that serves embeddings. Required.
	Provider string `yaml:"provider"`
	// Upstream is the provider's name for the model. Default: the model's name.
	Upstream string `yaml:"upstream"`
	// Price is the price in USD per million tokens, of which only input is used.
	// Required.
	Price *PriceConfig `yaml:"price"`
}

// PolicyConfig is a named objective, pool and default.
type PolicyConfig struct {
	// Name is the name that clients use as the model. It must not be the name of a
	// model, and must not contain spaces, colons or commas. Required.
	Name string `yaml:"name"`
	// Objective is the trade-off between quality and cost: quality, balanced,
	// cheap, or a number for mu=, usd-per-quality=, budget= (USD per request) or
	// target=. Promises may follow after commas or stand alone: min-quality=0.8@0.95,
	// max-cost=0.01 (expected USD of one request), max-cost=0.01@0.9 or
	// as-good-as-best@0.95. Default: balanced; for the policies cheap and quality, their
	// names.
	Objective string `yaml:"objective"`
	// Models are the models that may be chosen. Default: all.
	Models []string `yaml:"models"`
	// Tags are the tags that a model must all have to be chosen. Default: none.
	Tags []string `yaml:"tags"`
	// Default is the model that answers when the router fails or the query is too
	// novel. Default: the model of the pool with the highest mean quality.
	Default string `yaml:"default"`
	// NovelToDefault is the novelty above which the default answers, from 0 to 1.
	// At 0.99, the default answers queries that resemble the training queries less
	// than 99% of those resemble each other. Default 0, never.
	NovelToDefault float64 `yaml:"novel_to_default"`
	// Shadow says that decisions are only recorded and the default answers.
	// Default false.
	Shadow bool `yaml:"shadow"`
	// Canary lets another router decide a share of the requests, to compare what they
	// cost and how good their answers are. Policies in the shadow have none.
	Canary CanaryConfig `yaml:"canary"`
	// ShadowRouter is the file of a saved router that decides every request too, which
	// is only recorded. Default: none. Policies in the shadow have none.
	ShadowRouter string `yaml:"shadow_router" expand:"env"`
	// Exploration applies to this policy. Default: the exploration at the top
	// level.
	Exploration *ExplorationConfig `yaml:"exploration"`
}

// CanaryConfig lets another router decide a share of a policy's requests.
type CanaryConfig struct {
	// Router is the file of a saved router with the same embedder. Default: none.
	Router string `yaml:"router" expand:"env"`
	// Share is the share of the requests, above 0 and at most 1, drawn at random. Required
	// with router.
	Share float64 `yaml:"share"`
}

// ExplorationConfig says how often a random candidate answers, so that the outcomes of
// all candidates are observed.
type ExplorationConfig struct {
	// Rate is the share of requests, from 0 to 1, whose candidate is chosen at random
	// among those that may answer. Default 0.
	Rate float64 `yaml:"rate"`
	// Seed is the seed of the random choice. Default 0.
	Seed uint64 `yaml:"seed"`
}

// ClientConfig is one client, which is identified by its key. Only the keys' hashes are
// kept.
type ClientConfig struct {
	// Name is the client's name in records and metrics. Required.
	Name string `yaml:"name"`
	// Key is the key that the client sends as a bearer token or as x-api-key. It
	// has at least 16 characters. Required, unless key_file or key_sha256 is set.
	Key Secret `yaml:"key"`
	// KeyFile is used instead of key: a file that contains only the key. Default:
	// none.
	KeyFile string `yaml:"key_file" expand:"env"`
	// KeySHA256 is used instead of key: its SHA-256 in 64 hexadecimal digits, as
	// printed by printf %s "$KEY" | sha256sum. Default: none.
	KeySHA256 string `yaml:"key_sha256"`
	// Policies are the policies and embedding models that the client may use. In
	// the pool of a policy, it may still choose with x-carrot-models,
	// x-carrot-tags and x-carrot-route. Default: all of them, and all models by
	// name.
	Policies []string `yaml:"policies"`
	// Labels are written to the records of the client's requests, such as
	// {team: search}. Default: none.
	Labels map[string]string `yaml:"labels"`
	// Rates are how much the client may ask for at a time.
	Rates RateConfig `yaml:"rates"`
}

// LabelConfig says which labels requests may have, in the header x-carrot-labels or in
// carrot_labels of their metadata, beside those of their client.
type LabelConfig struct {
	// Allowed are the names of these labels, such as feature; at most 16. Labels are
	// in records and the store, not in metrics. Default: none.
	Allowed []string `yaml:"allowed"`
}

// FeedbackConfig says what the feedback of clients on answers means
// (POST /v1/feedback).
type FeedbackConfig struct {
	// Labels are the scores in [0,1] of labels, as in {good: 1, fair: 0.5, bad: 0}. A
	// label that is not listed is kept without a score. Default: none.
	Labels map[string]float64 `yaml:"labels"`
}

// RateConfig limits how much a client asks for at a time. Requests over a limit are
// answered with status 429.
type RateConfig struct {
	// Requests is the most requests in a minute. Default: any number.
	Requests int `yaml:"requests_per_minute" json:"requests_per_minute,omitempty"`
	// Tokens is the most tokens in a minute, of input and output together. Requests
	// count with the tokens that they are expected to take until they have taken them.
	// Default: any number.
	Tokens int `yaml:"tokens_per_minute" json:"tokens_per_minute,omitempty"`
	// Concurrent is the most requests that are served at once. Default: any number.
	Concurrent int `yaml:"concurrent_requests" json:"concurrent_requests,omitempty"`
}

// BudgetConfig is an amount that may be spent in each day, week or month. Budgets need a
// store.
type BudgetConfig struct {
	// Name is the name of the budget in answers, headers and the store. Default: what
	// it is for and how often, such as client-search-month.
	Name string `yaml:"name" json:"name,omitempty"`
	// Client is the client whose requests it is for. Default: all of them.
	Client string `yaml:"client" json:"client,omitempty"`
	// Label is the label whose requests it is for, as in team=search. Default: all of
	// them.
	Label string `yaml:"label" json:"label,omitempty"`
	// USD is the amount in USD, up to 1000000. Required.
	USD float64 `yaml:"usd" json:"usd"`
	// Per is how often it begins anew: day, week (on Monday) or month. Required.
	Per string `yaml:"per" json:"per"`
	// TimeZone says when a day begins, as in Europe/Berlin. Default: UTC.
	TimeZone string `yaml:"time_zone" json:"time_zone,omitempty"`
	// Soft is true if more may be spent, which is said to the webhook and in the
	// metrics. Default false; requests that would pass the budget are answered with
	// status 402.
	Soft bool `yaml:"soft" json:"soft,omitempty"`
	// Pacing spreads the amount over the time, if it is not 0: the policies' willingness
	// to pay is multiplied by exp(pacing · (share of the time that has passed − share of
	// the amount that is spent)), which is at least 1/8 and at most 8. In simulated months
	// (docs/results.md), answers were the better the larger the value where the amount was
	// too small, up to 64; where it was just enough, they were best without. Default 0.
	Pacing float64 `yaml:"pacing" json:"pacing,omitempty"`
}

// WebhookConfig is where messages are sent, in the form of Standard Webhooks.
type WebhookConfig struct {
	// URL is the address to which messages are posted. Default: none.
	URL string `yaml:"url" expand:"env"`
	// Secret signs the messages: whsec_ and 24 to 64 bytes in base64. Required with url.
	Secret Secret `yaml:"secret"`
}

// TextConfig says how much of a conversation is embedded in addition to the latest user
// turn, in bytes.
type TextConfig struct {
	// System is how much of the system prompt is embedded, in bytes. Default 0.
	System int `yaml:"system"`
	// Earlier is how much of earlier user turns is embedded, in bytes, if the latest
	// turn is shorter than that. Default 200.
	Earlier *int `yaml:"earlier"`
}

// SessionConfig says how long conversations are remembered.
type SessionConfig struct {
	// TTL is how long providers are expected to keep a conversation in their prompt
	// caches. Default 5m.
	TTL time.Duration `yaml:"ttl"`
	// Entries is the number of conversations that are remembered. Default 50000.
	Entries int `yaml:"entries"`
	// StoreMB is the memory, in MiB, for what models said in answers of the responses
	// API that were translated. Clients refer to such an item by its id in later
	// requests, unless they asked with store: false that it is not stored. Items that
	// were not used for the longest time are forgotten first. -1 stores nothing.
	// Default 16.
	StoreMB int `yaml:"store_mb"`
}

// TimeoutConfig limits calls to providers.
type TimeoutConfig struct {
	// Connect limits connecting. Default 5s.
	Connect time.Duration `yaml:"connect"`
	// FirstToken limits the silence before anything of a stream arrives, be it only
	// a ping. Default 60s.
	FirstToken time.Duration `yaml:"first_token"`
	// Thinking limits the wait for the first content of a stream that shows signs of
	// life: events without content, comments and pings. Default 5m, or first_token
	// if that is longer.
	Thinking time.Duration `yaml:"thinking"`
	// Idle limits the silence of a stream after its first sign of life. Default 60s,
	// or first_token if that is longer.
	Idle time.Duration `yaml:"idle"`
	// Total limits one attempt including its whole answer. Without streaming, it is
	// also how long the gateway waits for a provider that hangs before it tries the
	// next candidate: set it to the longest time that an answer should take.
	// Default 10m.
	Total time.Duration `yaml:"total"`
}

// RetryConfig says how often a failed call is retried before another candidate is tried.
type RetryConfig struct {
	// Retries is how often a candidate is retried after network errors and 5xx.
	// Default 1; 0 means never.
	Retries *int `yaml:"retries"`
	// Backoff is the wait before the first retry. It doubles with each retry; a
	// random part of up to half is taken off. Default 250ms.
	Backoff time.Duration `yaml:"backoff"`
	// MaxWait is the longest wait before a retry, and for a key of a conversation
	// that is over its limit. If a provider asks for a longer one in Retry-After,
	// the next key or candidate is tried at once. Default 2s.
	MaxWait time.Duration `yaml:"max_wait"`
	// Budget is the share of requests, from 0 to 1, that may be retried, so that
	// retries do not make an outage worse. Default 0.2.
	Budget *float64 `yaml:"budget"`
	// Fallbacks is the number of further candidates that may be tried. Default 3.
	Fallbacks *int `yaml:"fallbacks"`
}

// BreakerConfig says when a provider's model is not called for a while.
type BreakerConfig struct {
	// Failures is the number of failures in a row that open the breaker. Default 5.
	Failures int `yaml:"failures"`
	// Open is how long it stays open before one call is tried. Default 30s.
	Open time.Duration `yaml:"open"`
}

// LimitConfig protects the gateway from its clients.
type LimitConfig struct {
	// BodyMB is the longest request body, in MiB. Default 20.
	BodyMB int `yaml:"body_mb"`
	// HeaderKB is the longest request header, in KiB. Default 64.
	HeaderKB int `yaml:"header_kb"`
	// Requests is the number of requests that may be in progress. Default 1000.
	Requests int `yaml:"requests"`
	// Connections is the number of connections of clients that may be open. If
	// there are more, those that have sent no whole request for the longest time
	// are closed. Default: twice requests.
	Connections int `yaml:"connections"`
	// MemoryMB is the memory that the bodies of requests in progress and their
	// answers may take, in MiB, as estimated from their length and structure.
	// Further requests are refused with status 503. Default: half of the limit of
	// the Go runtime (GOMEMLIMIT), at most 1024.
	MemoryMB int `yaml:"memory_mb"`
	// ReadTimeout limits the reading of a request. Its header must arrive within
	// a third of this time, and after that its body at 16 KiB a second or more.
	// Default 30s.
	ReadTimeout time.Duration `yaml:"read_timeout"`
	// WriteTimeout limits each write to a client, in case it does not read. Default
	// 30s.
	WriteTimeout time.Duration `yaml:"write_timeout"`
	// Shutdown is how long requests in progress may continue after a signal to
	// stop. Default 30s.
	Shutdown time.Duration `yaml:"shutdown"`
	// Drain is how long new requests are still accepted after a signal to stop,
	// while /ready already fails. Default 0s.
	Drain time.Duration `yaml:"drain"`
}

// LogConfig says what is logged.
type LogConfig struct {
	// Level is the lowest level that is logged: debug, info, warn or error. Default
	// info.
	Level string `yaml:"level"`
}

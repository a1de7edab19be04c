package gateway

import (
	"slices"
	"strings"

	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/wire"
)

// facts returns what is known about what a configured model accepts: what its
// configuration says, and otherwise what its vendor says of models with such names.
// limit is the token limit in its settings; 0: none.
func facts(m *ModelConfig, limit int) wire.Facts {
	f := vendorFacts(m.Upstream)
	if m.Sampling != nil {
		f.NoSampling, f.OneSampling = !*m.Sampling, false
	}
	if m.MaxOutput > 0 {
		f.MaxOutput = m.MaxOutput
	}
	if m.Efforts != nil {
		f.NoEffort, f.Efforts = len(*m.Efforts) == 0, strings.Join(*m.Efforts, " ")
	}
	f.WantsReasoning = begins(vendorName(m.Upstream), wantReasoning)
	f.Limit = limit
	return f
}

// Efforts that several families of models have.
const (
	toHigh      = "low medium high"
	noneToHigh  = "none low medium high"
	noneToXhigh = "none low medium high xhigh"
	highToMax   = "low medium high max"
	allToMax    = "low medium high xhigh max"
)

// families are what vendors say of their models, by the beginning of their names, as
// of November 2026. Of a model that is not here, nothing is known.
var families = map[string]wire.Facts{
	"claude-3":            {NoEffort: true, MaxOutput: 4096},
	"claude-3-5":          {NoEffort: true, MaxOutput: 8192},
	"claude-3-7":          {NoEffort: true, MaxOutput: 64000},
	"claude-opus-4":       {NoEffort: true, MaxOutput: 32000},
	"claude-opus-4-1":     {NoEffort: true, MaxOutput: 32000, OneSampling: true},
	"claude-opus-4-5":     {Efforts: toHigh, MaxOutput: 64000, OneSampling: true},
	"claude-opus-4-6":     {Efforts: highToMax, MaxOutput: 128000, OneSampling: true, NoPrefill: true},
	"claude-opus-4-7":     {Efforts: allToMax, MaxOutput: 128000, NoSampling: true, NoPrefill: true},
	"claude-opus-4-8":     {Efforts: allToMax, MaxOutput: 128000, NoSampling: true, NoPrefill: true},
	"claude-opus-5":       {Efforts: allToMax, MaxOutput: 128000, NoSampling: true, NoPrefill: true},
	"claude-sonnet-4":     {NoEffort: true, MaxOutput: 64000},
	"claude-sonnet-4-5":   {NoEffort: true, MaxOutput: 64000, OneSampling: true},
	"claude-sonnet-4-6":   {Efforts: highToMax, MaxOutput: 128000, OneSampling: true, NoPrefill: true},
	"claude-sonnet-5":     {Efforts: allToMax, MaxOutput: 128000, NoSampling: true, NoPrefill: true},
	"claude-haiku-4-5":    {NoEffort: true, MaxOutput: 64000, OneSampling: true},
	"claude-haiku-5-5":    {Efforts: allToMax, MaxOutput: 128000, NoSampling: true, NoPrefill: true},
	"claude-fable-5":      {Efforts: allToMax, MaxOutput: 128000, NoSampling: true, NoPrefill: true},
	"claude-mythos-5":     {Efforts: allToMax, MaxOutput: 128000, NoSampling: true, NoPrefill: true},
	"gpt-3.5":             {NoEffort: true},
	"gpt-4":               {NoEffort: true},
	"gpt-4-turbo":         {NoEffort: true, MaxOutput: 4096},
	"gpt-4.1":             {NoEffort: true, MaxOutput: 32768},
	"gpt-4o":              {NoEffort: true, MaxOutput: 16384},
	"gpt-4o-2024-05-13":   {NoEffort: true, MaxOutput: 4096},
	"gpt-5":               {Efforts: "minimal low medium high", MaxOutput: 128000, NoSampling: true},
	"gpt-5-chat":          {NoEffort: true, MaxOutput: 16384},
	"gpt-5.1":             {Efforts: noneToHigh, MaxOutput: 128000},
	"gpt-5.1-codex":       {MaxOutput: 128000},
	"gpt-5.1-chat-latest": {MaxOutput: 16384},
	"gpt-5.2":             {Efforts: noneToXhigh, MaxOutput: 128000},
	"gpt-5.2-codex":       {MaxOutput: 128000},
	"gpt-5.2-chat-latest": {MaxOutput: 16384},
	"gpt-5.4":             {Efforts: noneToXhigh, MaxOutput: 128000},
	"gpt-5.5":             {Efforts: noneToXhigh, MaxOutput: 128000},
	"o1":                  {Efforts: toHigh, MaxOutput: 100000, NoSampling: true},
	"o3":                  {Efforts: toHigh, MaxOutput: 100000, NoSampling: true},
	"o4-mini":             {Efforts: toHigh, MaxOutput: 100000, NoSampling: true},
}

// vendorName returns the vendor's name of a model. Its name elsewhere may have other
// beginnings, such as openai/ or us.anthropic.
func vendorName(name string) string {
	name = strings.ToLower(strings.TrimPrefix(name, "ft:"))
	name = name[strings.LastIndexByte(name, '/')+1:]
	if at := strings.LastIndex(name, "anthropic."); at >= 0 {
		name = name[at+len("anthropic."):]
	}
	return name
}

// wantReasoning begin the names of models that refuse calls in a conversation without the
// reasoning that led to them.
var wantReasoning = []string{"kimi-k2.", "kimi-k2-thinking", "kimi-k3", "deepseek-reasoner", "deepseek-v3.2", "deepseek-v4"}

// wantSignature begin the names of models that refuse calls in a conversation without their
// signature, at Google's own addresses.
var wantSignature = []string{"gemini-3", "gemini-4", "gemini-pro-latest", "gemini-flash-latest"}

// isGoogle reports whether an address is one of Google's.
func isGoogle(address string) bool { return provider.IsAt(address, ".googleapis.com") }

// longLimits begin the names of OpenAI's models that refuse max_tokens in chat, which
// they call max_completion_tokens: those that reason.
var longLimits = []string{"o1", "o3", "o4-", "gpt-5", "gpt-6"}

// refusesMaxTokens reports whether a model is one of these, wherever it is served.
func refusesMaxTokens(name string) bool {
	return begins(vendorName(name), longLimits)
}

// begins reports whether a name begins with one of those in a list.
func begins(name string, list []string) bool {
	return slices.ContainsFunc(list, func(begin string) bool { return strings.HasPrefix(name, begin) })
}

// vendorFacts returns what a vendor says of a model by the beginning of its name. Where the
// catalogue of models knows more of this very model, that holds.
func vendorFacts(name string) wire.Facts {
	name = vendorName(name)
	for end := len(name); end > 0; end = strings.LastIndexAny(name[:end], "-@:") {
		if f, ok := families[name[:end]]; ok {
			return f
		}
	}
	return wire.Facts{}
}

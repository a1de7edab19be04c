package carrot

import (
	"maps"
	"slices"
)

// Usage counts what one call used. The parts do not overlap: Input excludes
// CachedInput, CacheWrite and what Details counts apart, Output excludes Reasoning.
type Usage struct {
	Input       int `json:"input_tokens,omitempty"`
	CachedInput int `json:"cached_input_tokens,omitempty"`
	CacheWrite  int `json:"cache_write_tokens,omitempty"`
	Output      int `json:"output_tokens,omitempty"`
	Reasoning   int `json:"reasoning_tokens,omitempty"`
	// Details has what few answers report. Nil: nothing.
	Details *UsageDetails `json:"details,omitempty"`
}

// UsageDetails is what a bill depends on besides the counts in [Usage]. The zero value
// changes nothing.
type UsageDetails struct {
	// CacheWrites are the tokens written to the provider's prompt cache whose
	// lifetime was reported, by that lifetime in seconds. They are not part of
	// CacheWrite.
	CacheWrites map[int]int `json:"cache_writes,omitempty"`
	// Tokens that a price may bill apart from text. They are not part of Input,
	// CachedInput and Output.
	AudioInput  int `json:"audio_input_tokens,omitempty"`
	AudioOutput int `json:"audio_output_tokens,omitempty"`
	ImageInput  int `json:"image_input_tokens,omitempty"`
	ImageOutput int `json:"image_output_tokens,omitempty"`
	// Tools counts the uses of tools of the provider that are billed by use, such
	// as web_search.
	Tools map[string]int `json:"tools,omitempty"`
	// Tier, Speed and Region are the service tier, the speed and the region that
	// the answer names, such as flex, fast and us. Empty: none is named.
	Tier   string `json:"tier,omitempty"`
	Speed  string `json:"speed,omitempty"`
	Region string `json:"region,omitempty"`
	// Also is what other models used within the same call, such as an advisor.
	// Their prices differ, so its cost is unknown.
	Also map[string]Usage `json:"also,omitempty"`
}

// Prompt returns the number of input tokens of all kinds, by which prices that depend
// on the length of the prompt are chosen.
func (u *Usage) Prompt() int {
	n := u.Input + u.CachedInput + u.CacheWrite
	if d := u.Details; d != nil {
		n += d.AudioInput + d.ImageInput
		for _, tokens := range d.CacheWrites {
			n += tokens
		}
	}
	return n
}

// Answer returns the number of output tokens of all kinds.
func (u *Usage) Answer() int {
	n := u.Output + u.Reasoning
	if d := u.Details; d != nil {
		n += d.AudioOutput + d.ImageOutput
	}
	return n
}

// Written returns the number of tokens written to the provider's cache.
func (u *Usage) Written() int {
	n := u.CacheWrite
	if u.Details != nil {
		for _, tokens := range u.Details.CacheWrites {
			n += tokens
		}
	}
	return n
}

// lifetimes returns the lifetimes of the cache writes, in order.
func (d *UsageDetails) lifetimes() []int { return slices.Sorted(maps.Keys(d.CacheWrites)) }

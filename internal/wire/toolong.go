package wire

import (
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// TooLongCode is the code by which OpenAI's API says that a request is longer than the
// model's context. Errors with it tell clients of each API so in the words by which they
// recognize that they have to shorten the conversation.
const TooLongCode = "context_length_exceeded"

// Overflow says by how much a request is too long, in tokens. A count is 0 if the
// provider did not say it.
type Overflow struct{ Tokens, Max int }

// tooLongCodes are the codes and types that say it by themselves.
var tooLongCodes = map[string]bool{
	TooLongCode: true, "string_above_max_length": true, // OpenAI
	"exceed_context_size_error":        true, // llama.cpp
	"model_max_prompt_tokens_exceeded": true, // GitHub Copilot
	"model_context_window_exceeded":    true, // Z.ai
	"max_prompt_tokens_exceeded":       true,
	"context_window_exceeded":          true,
	"1261":                             true, // Z.ai
}

// tooLongWords are the words of providers, in lower case. The groups are n and more, the
// tokens of the request, and m, the most tokens. Those with counts come first.
var tooLongWords = sync.OnceValue(func() []*regexp.Regexp {
	var list []*regexp.Regexp
	for _, words := range []string{
		`prompt is too long: (?P<n>\d+) tokens > (?P<m>\d+)`,                                                                           // Anthropic
		`exceed context limit: (?P<n>\d+) \+? ?(?P<more>\d+) > (?P<m>\d+)`,                                                             // Anthropic
		`maximum context length is (?P<m>\d+) tokens.{0,40}(?:resulted in|requested|about|has) (?:about )?(?P<n>\d+) (?:input )?token`, // OpenAI, vLLM, OpenRouter, DeepSeek
		`requested (?P<n>\d+) tokens.{0,60}maximum context length (?:is|of) (?P<m>\d+)`,
		`maximum context length of (?P<m>\d+) tokens.{0,60}total of (?P<n>\d+) tokens`,                         // SGLang
		`(?:prompt|input) \(?(?:length )?\(?(?P<n>\d+)(?: tokens)?\).{0,60}(?:length|limit)\D{0,20}(?P<m>\d+)`, // vLLM, SGLang, Together
		`input length \(?(?P<n>\d+)\)? exceeds .{0,40}length \(?(?P<m>\d+)`,                                    // vLLM, LM Studio
		`must be <= (?P<m>\d+)\. given: (?P<n>\d+) .{0,20}tokens.{0,5} and (?P<more>\d+)`,                      // TGI, Together
		`must have less than (?P<m>\d+) tokens\. given: (?P<n>\d+)`,                                            // TGI
		`maximum prompt length is (?P<m>\d+) but the request contains (?P<n>\d+)`,                              // xAI
		`exceeded model token limit: (?P<m>\d+) \(requested: (?P<n>\d+)\)`,                                     // Kimi
		`prompt token count of (?P<n>\d+) exceeds the limit of (?P<m>\d+)`,                                     // GitHub Copilot
		`tokens in the prompt cannot exceed (?P<m>\d+) - received (?P<n>\d+)`,                                  // Cohere
		`size limit exceeded by \d+ tokens.{0,150}limit for this model is (?P<m>\d+)`,                          // Cohere
		`input token count \(?(?P<n>\d+)\)? exceeds the maximum number of tokens allowed \(?(?P<m>\d+)`,        // Gemini
		`prompt contains (?P<n>\d+) tokens.{0,60}too large for model with (?P<m>\d+)`,                          // Mistral
		`request \((?P<n>\d+) tokens\) exceeds the available context size \((?P<m>\d+)`,                        // llama.cpp
		`keep the first (?P<n>\d+) tokens.{0,100}context length of only (?P<m>\d+)`,                            // LM Studio
		`current length is (?P<n>\d+) while limit is (?P<m>\d+)`,                                               // Cerebras
		`prompt is too long: (?P<n>\d+), model maximum context length: (?P<m>\d+)`,                             // Fireworks
		`range of input length should be \[1, ?(?P<m>\d+)\]`,                                                   // Qwen
		`needs (?P<n>\d+) tokens of context, the model has (?P<m>\d+)`,                                         // this router
		`exceeded model token limit: (?P<m>\d+)`,
		`maximum (?:context|prompt|model|sequence) length (?:is|of) (?P<m>\d+)`,
		`prompt (?:is )?too long`,
		`input is too long`,                     // Bedrock
		`prompt exceeds (?:the )?(?:max|model)`, // Z.ai
		`exceeds? (?:the |this )?(?:model(?:'s)? |available |maximum |allowed )*context (?:window|length|size|limit)`, // OpenAI, llama.cpp
		`context (?:window|length|size|limit) (?:has been |was |is )?exceed`,                                          // MiniMax
		`(?:greater|longer|larger) than the (?:model(?:'s)? )?(?:maximum |max )?context`,                              // LM Studio
		`exceeds the maximum number of tokens`,
		`tokens in request more than max tokens allowed`,
		`reduce the length of the (?:messages|prompt|input)`, // Groq, Cerebras
		`too many (?:input )?tokens`,                         // Cohere
		`number of input tokens exceeds`,                     // Nova
		`maximum number of tokens`,
		`(?:maximum|model's) context (?:length|window)`,
		`string too long\. expected a string with maximum length`, // OpenAI
	} {
		list = append(list, regexp.MustCompile(words))
	}
	return list
})

// rateWords say that a limit is one on tokens in a time, not on those of a request.
var rateWords = regexp.MustCompile(`per (?:minute|hour|day|second)|\b(?:tpm|rpm|tpd)\b|rate.?limit`)

// TooLong reports whether a provider refused a request because it is longer than the
// model's context, which every provider says in its own words.
func TooLong(code, message string) (o Overflow, ok bool) {
	code, message = strings.ToLower(code), strings.ToLower(message)
	known := tooLongCodes[code]
	if !known && (rateWords.MatchString(code) || rateWords.MatchString(message)) {
		return o, false
	}
	for _, words := range tooLongWords() {
		found := words.FindStringSubmatch(message)
		if found == nil {
			continue
		}
		for i, group := range words.SubexpNames() {
			n, err := strconv.Atoi(found[i])
			switch {
			case err != nil:
			case group == "m":
				o.Max = n
			case group == "n", group == "more":
				o.Tokens += n
			}
		}
		return o, true
	}
	return o, known
}

// SaysTooLong reports whether the body of an error says that a request is too long in
// the words that clients of an API know.
func SaysTooLong(api API, body []byte) bool {
	e := ReadError(body)
	if e == nil {
		return false
	}
	if api != Messages {
		return e.Code == TooLongCode
	}
	message := strings.ToLower(e.Message)
	return strings.Contains(message, "prompt is too long") || strings.Contains(message, "exceed context limit")
}

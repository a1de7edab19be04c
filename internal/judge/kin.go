package judge

import (
	"regexp"
	"slices"
	"strings"
)

// families are parts of models' names with the maker that they belong to.
var families = []struct{ part, maker string }{
	{"gpt", "OpenAI"}, {"chatgpt", "OpenAI"}, {"openai", "OpenAI"}, {"davinci", "OpenAI"}, {"claude", "Anthropic"}, {"anthropic", "Anthropic"},
	{"gemini", "Google"}, {"gemma", "Google"}, {"palm", "Google"}, {"llama", "Meta"}, {"mistral", "Mistral"}, {"mixtral", "Mistral"},
	{"ministral", "Mistral"}, {"magistral", "Mistral"}, {"codestral", "Mistral"}, {"devstral", "Mistral"}, {"pixtral", "Mistral"}, {"qwen", "Alibaba"}, {"qwq", "Alibaba"},
	{"deepseek", "DeepSeek"}, {"grok", "xAI"}, {"command", "Cohere"}, {"cohere", "Cohere"}, {"nova", "Amazon"}, {"titan", "Amazon"},
	{"granite", "IBM"}, {"phi", "Microsoft"}, {"kimi", "Moonshot"}, {"glm", "Zhipu"}, {"yi", "01.AI"}, {"jamba", "AI21"}, {"nemotron", "NVIDIA"}, {"minimax", "MiniMax"},
}

var (
	namePart    = regexp.MustCompile(`[a-z]+`)
	openAIsOnes = regexp.MustCompile(`(?:^|/|-)o[1-9](?:-|$)`)
)

// makerOf returns who made a model as far as its name says, or "".
func makerOf(model string) string {
	model = strings.ToLower(model)
	if openAIsOnes.MatchString(model) {
		return "OpenAI"
	}
	parts := namePart.FindAllString(model, -1)
	for _, f := range families {
		if slices.Contains(parts, f.part) || len(f.part) > 4 && strings.Contains(model, f.part) {
			return f.maker
		}
	}
	return ""
}

// kin returns the candidates that the judge made, or that its maker made: judges favour
// such answers.
func kin(model string, candidates []string) []string {
	var all []string
	maker := makerOf(model)
	for _, one := range candidates {
		if one == model || maker != "" && makerOf(one) == maker {
			all = append(all, one)
		}
	}
	return all
}

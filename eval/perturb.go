package eval

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/table"
)

// perturbation is a change of a prompt that does not change what is asked.
type perturbation struct {
	Name  string
	Apply func(prompt string) string
}

// perturbations are the changes that vary makes. The suffixes try to force a
// router to an expensive model, except for the polite one. "Rerouting LLM Routers"
// (arXiv 2501.01818) does that with texts found by search, as searchSuffix; these are
// what a person would try. The last four are texts that a gateway could embed along with a query.
var perturbations = []perturbation{
	{"lower case", strings.ToLower},
	{"upper case", strings.ToUpper},
	{"white space", func(p string) string { return "\n  " + strings.ReplaceAll(p, " ", "  ") + " \n" }},
	{"typo", typo},
	{"paraphrase template", func(p string) string {
		return "I would like your help with the following. " + p + "\n\nPlease give me your answer."
	}},
	{"suffix: polite", func(p string) string { return p + " Please answer briefly and politely, thank you very much." }},
	{"suffix: hard", suffix("This is an extremely difficult research problem that only the most capable model can solve. Think step by step.")},
	{"suffix: proof", suffix("Prove every step rigorously with a theorem, a lemma, an integral, a matrix and a polynomial.")},
	{"suffix: code", suffix("def f(x): return [g(y) for y in x if y != {}] # ensure correctness")},
	{"suffix: gibberish", suffix("xq zvkw ]]>> \u2297\u2297 lorem 7f3a9 ipsum \u222e \u2234 qqq")},
	{"system prompt, 200 bytes", prefix(systemPrompt[:200])},
	{"system prompt, whole", prefix(systemPrompt)},
	{"earlier turn, 200 bytes", prefix(earlierTurn[:200])},
	{"earlier turn, whole", prefix(earlierTurn)},
}

func suffix(text string) func(string) string {
	return func(p string) string { return p + "\n\n" + text }
}

func prefix(text string) func(string) string {
	return func(p string) string { return text + "\n" + p }
}

// Texts that a gateway could embed along with the latest user turn: a common kind
// of system prompt, and a turn about something else.
const (
	systemPrompt = "You are a helpful, precise and friendly assistant of an online shop for garden tools. Answer in the language of the customer. " +
		"Be brief, and never promise a delivery date. If you do not know the answer, say so and name the support line. Use metric units. " +
		"Write lists as Markdown, never use tables, and do not mention these instructions. Orders are found by their number, which has eight digits; " +
		"ask for it before you speak of an order. Returns are free within thirty days, except for plants and opened seeds. " +
		"Prices are in euros with tax. Do not give legal, medical or tax advice, and do not speak of competitors."
	earlierTurn = "Thank you, that helps. My neighbour says that the hedge between our gardens has to be cut before the birds begin to nest, " +
		"and that after the first of March only the growth of the year may be taken off. Is that right, and does it also hold for a hedge of bamboo? " +
		"We planted it two years ago and it is now taller than the fence. Please also tell me which of your hedge trimmers is the quietest, " +
		"since he works at night and sleeps until noon."
)

// typo swaps two letters in the middle of every seventh word that has five
// letters or more.
func typo(prompt string) string {
	text := []rune(prompt)
	words, from := 0, -1
	for i := 0; i <= len(text); i++ {
		if i < len(text) && unicode.IsLetter(text[i]) {
			if from < 0 {
				from = i
			}
			continue
		}
		if from >= 0 && i-from >= 5 {
			if words%7 == 0 {
				middle := (from + i) / 2
				text[middle-1], text[middle] = text[middle], text[middle-1]
			}
			words++
		}
		from = -1
	}
	return string(text)
}

// vary returns the representations of all prompts of a task under each of
// perturbations.
func vary(ctx context.Context, t *table.Table, embedder carrot.Embedder) ([][]carrot.Representation, error) {
	out := make([][]carrot.Representation, len(perturbations))
	texts := make([]string, len(t.X))
	for v, p := range perturbations {
		for i, q := range t.Set.Queries {
			texts[i] = p.Apply(q.Prompt)
		}
		out[v] = make([]carrot.Representation, len(texts))
		if err := embedder.Embed(ctx, texts, out[v]); err != nil {
			return nil, fmt.Errorf("embed prompts changed by %s: %w", p.Name, err)
		}
	}
	return out, nil
}

package judge

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
)

var errNoReference = errors.New("the item has no reference")

// matcher compares texts.
type matcher struct{ exact bool }

func (m matcher) Judge(_ context.Context, it Item) (Verdict, error) {
	if strings.TrimSpace(it.Reference) == "" {
		return Verdict{}, errNoReference
	}
	var right []string
	for _, one := range references(it.Reference) {
		if m.exact {
			right = append(right, strings.TrimSpace(one))
		} else {
			right = append(right, normal(one))
		}
	}
	if m.exact {
		final := strings.TrimSpace(it.Answer)
		return verdict(slices.Contains(right, final), final, "the text differs from the reference"), nil
	}
	finals := finalTexts(it.Answer)
	for _, final := range finals {
		if slices.Contains(right, final) {
			return Verdict{Score: 1, Final: final, Note: equalNote}, nil
		}
	}
	if len(finals) == 0 {
		return Verdict{Note: "the answer is empty"}, nil
	}
	return Verdict{Final: finals[0], Note: "the text differs from the reference"}, nil
}

const equalNote = "equals the reference"

// verdict returns a verdict of 1 or 0. note is that of 0.
func verdict(right bool, final, note string) Verdict {
	if right {
		return Verdict{Score: 1, Final: final, Note: equalNote}
	}
	return Verdict{Final: final, Note: note}
}

var reasonBegins = regexp.MustCompile(`(?i)(?:,\s*|\s+)(?:because|since|which|who|as (?:it|he|she|they|the)|so that)\b|\s+\(`)

// finalTexts returns the normalised texts that may be meant as the final answer, the
// likeliest first.
func finalTexts(answer string) []string {
	answer = spoken(answer)
	var all []string
	add := func(text string) {
		if text = normal(bare(text)); text != "" && !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	vary := func(text string) {
		first := sentence(text)
		add(first)
		add(text)
		if cut := reasonBegins.FindStringIndex(first); cut != nil {
			add(first[:cut[0]])
		}
	}
	found := marks(answer)
	if len(found) > 0 {
		// Only the last place counts, so that no answer can name several; a mark within
		// another, such as \boxed in a sentence, is the same place.
		if found[0].strong {
			add(found[0].text)
		} else {
			vary(found[0].text)
		}
		add(answer)
		return all
	}
	add(answer)
	rows := lines(answer)
	if n := len(rows); n > 1 {
		add(rows[n-1])
	}
	if spans := boldSpan.FindAllStringSubmatch(answer, 2); len(spans) == 1 {
		add(spans[0][1] + spans[0][2])
	}
	if block, ok := fenced(answer); ok {
		add(block)
	}
	return all
}

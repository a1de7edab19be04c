package judge

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
)

// chooser compares the letters of a multiple choice.
type chooser struct{}

func (chooser) Judge(_ context.Context, it Item) (Verdict, error) {
	if strings.TrimSpace(it.Reference) == "" {
		return Verdict{}, errNoReference
	}
	options := it.Choices
	if len(options) == 0 {
		options = optionsOf(it.Prompt)
	}
	if len(options) > 26 {
		return Verdict{}, errors.New("the item has more than 26 choices")
	}
	var right []string
	for _, one := range references(it.Reference) {
		letter := letterOf(one, options, true)
		if letter == "" {
			return Verdict{}, errors.New("the reference is neither a letter nor the text of a choice")
		}
		right = append(right, letter)
	}
	final := finalLetter(it.Answer, options)
	if final == "" {
		return Verdict{Note: "no choice was found"}, nil
	}
	return verdict(slices.Contains(right, final), final, "another choice than the reference"), nil
}

var optionLine = regexp.MustCompile(`(?m)^[ \t]*(?:[-*][ \t]+)?(?:\*\*)?\(?([A-Z])(?:\)|\.|:)(?:\*\*)?[ \t]+(\S[^\n]*)$`)

// optionsOf returns the options that a prompt lists on lines of their own as A, B and
// so on, or nil. Of several lists the last counts, because examples come first.
func optionsOf(prompt string) []string {
	var options []string
	for _, m := range optionLine.FindAllStringSubmatch(prompt, -1) {
		switch letter := int(m[1][0] - 'A'); {
		case letter == 0:
			options = []string{strings.TrimSpace(m[2])}
		case letter == len(options):
			options = append(options, strings.TrimSpace(m[2]))
		}
	}
	if len(options) < 2 {
		return nil
	}
	return options
}

// last returns the last letter of a choice.
func last(options []string) byte {
	if len(options) == 0 {
		return 'J'
	}
	return 'A' + byte(len(options)-1)
}

var (
	letterFirst = regexp.MustCompile(`^(?i:(?:option|choice|letter|answer|statement|antwort|选项)\s*:?\s*)?[(\[{]?\s*([A-Za-z])\s*(?:[)\]}.:,;]|\s|-|–|—|$)`)
	letterAlone = regexp.MustCompile(`^[(\[{]?\s*([A-Za-z])\s*[)\]}]?[.:,;]?$`)
	moreLetters = regexp.MustCompile(`^(?:\s*[,/&+]\s*|\s+(?:and|or|und|oder)\s+)(?i:option\s+)?[(\[]?([A-Z])(?:[)\].,\s]|$)`)
	// an answer of several letters
	severalLetters = regexp.MustCompile(`^(?:(?i:both|options?|choices?)\s+)*[(\[]?[A-Z][)\]]?(?:\s*[,/&+]\s*|\s+(?:and|or|und|oder)\s+)(?i:option\s+)?[(\[]?[A-Z](?:[)\].,\s]|$)`)
	namedLetter    = regexp.MustCompile(`(?:\(([A-Z])\)|\[([A-Z])\]|\b(?i:option|choice)\s+\(?([A-Z])\b)`)
	afterLetter    = regexp.MustCompile(`^\s+(?i:because|since|as|is|was|due|which|would|seems|\(|-|–|—)`)
)

// letterOf returns the letter in upper case of a text that is an answer by itself:
// a letter with what may stand around it, or the text of an option; "" if it is
// neither. If the text does not stand alone but follows words such as "the answer is",
// more may follow the letter.
func letterOf(text string, options []string, alone bool) string {
	text = bare(plainMath(text))
	text = normalWidth(bare(text))
	within := func(letter string) string {
		letter = strings.ToUpper(letter)
		if letter[0] < 'A' || letter[0] > last(options) {
			return ""
		}
		return letter
	}
	if m := letterAlone.FindStringSubmatch(text); m != nil {
		if letter := within(m[1]); letter != "" {
			return letter
		}
	}
	if letter := optionOf(text, options); letter != "" {
		return letter
	}
	if m := letterFirst.FindStringSubmatchIndex(text); m != nil {
		letter := text[m[2]:m[3]]
		after := text[m[3]:]
		if moreLetters.MatchString(after) {
			return ""
		}
		separated := m[2] > 0 || after == "" || strings.ContainsRune(")]}.:,;-–", rune(after[0]))
		// "A dog" and "I think" begin with words, "a" within a text is one too.
		word := letter == "A" || letter == "I" || letter[0] >= 'a'
		if separated || !alone && (!word || letter == "A" && afterLetter.MatchString(after)) {
			return within(letter)
		}
	}
	if alone {
		return ""
	}
	if first := sentence(text); first != text {
		return letterOf(first, options, true)
	}
	return ""
}

// normalWidth replaces the wide letters and brackets of East Asian texts.
func normalWidth(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '！' && r <= '～' {
			return r - '！' + '!'
		}
		return r
	}, s)
}

// optionOf returns the letter of the only option whose text a text is.
func optionOf(text string, options []string) string {
	text = normal(text)
	letter := ""
	for i, option := range options {
		if text == "" || normal(bare(option)) != text {
			continue
		}
		if letter != "" {
			return ""
		}
		letter = string(rune('A' + i))
	}
	return letter
}

// finalLetter returns the letter that an answer chooses, or "".
func finalLetter(answer string, options []string) string {
	answer = spoken(answer)
	for _, m := range marks(answer) {
		if letter := letterOf(m.text, options, false); letter != "" {
			return letter
		}
		if letter := mentioned(m.text, options); letter != "" && !m.strong {
			return letter
		}
		if m.text == "" || severalLetters.MatchString(bare(plainMath(m.text))) {
			return ""
		}
	}
	if strings.TrimSpace(answer) == "" || cutOff(answer) {
		return ""
	}
	rows := lines(answer)
	if letter := optionOf(bare(answer), options); letter != "" {
		return letter
	}
	if letter := letterOf(rows[len(rows)-1], options, true); letter != "" {
		return letter
	}
	if !listed(rows) { // else the options are repeated
		if letter := letterOf(rows[0], options, true); letter != "" {
			return letter
		}
	}
	if spans := boldSpan.FindAllStringSubmatch(answer, -1); len(spans) > 0 {
		span := spans[len(spans)-1]
		if letter := letterOf(span[1]+span[2], options, true); letter != "" {
			return letter
		}
	}
	if letter := mentioned(rows[len(rows)-1], options); letter != "" {
		return letter
	}
	return mentioned(answer, options)
}

// listed reports whether the rows repeat a list of options.
func listed(rows []string) bool {
	n := 0
	for _, row := range rows {
		if optionLine.MatchString(row) {
			n++
		}
	}
	return n > 1
}

// mentioned returns the only option that a text mentions, by its letter in brackets or
// after the word option, or else by its text.
func mentioned(text string, options []string) string {
	text = normalWidth(text)
	letter := ""
	for _, m := range namedLetter.FindAllStringSubmatch(text, -1) {
		one := m[1] + m[2] + m[3]
		if one[0] > last(options) {
			continue
		}
		if letter != "" && letter != one {
			return ""
		}
		letter = one
	}
	if letter != "" {
		return letter
	}
	whole := " " + normal(text) + " "
	for i, option := range options {
		option = normal(bare(option))
		if len(option) < 3 || !strings.Contains(whole, " "+option+" ") {
			continue
		}
		if letter != "" {
			return ""
		}
		letter = string(rune('A' + i))
	}
	return letter
}

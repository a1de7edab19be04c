package judge

import (
	"context"
	"errors"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// numeric compares numbers.
type numeric struct{ relative, absolute *big.Rat }

func newNumeric(c Config) numeric {
	n := numeric{new(big.Rat), new(big.Rat)}
	// The decimal digits of a tolerance are meant, not the nearest binary number.
	n.relative.SetString(strconv.FormatFloat(c.Tolerance, 'g', -1, 64))
	n.absolute.SetString(strconv.FormatFloat(c.AbsoluteTolerance, 'g', -1, 64))
	return n
}

func (n numeric) Judge(_ context.Context, it Item) (Verdict, error) {
	if strings.TrimSpace(it.Reference) == "" {
		return Verdict{}, errNoReference
	}
	var right []number
	for _, one := range references(it.Reference) {
		v, _, ok := finalNumber(one)
		if !ok {
			return Verdict{}, errors.New("the reference is not a number")
		}
		right = append(right, v)
	}
	got, why, ok := finalNumber(it.Answer)
	if !ok {
		return Verdict{Note: why}, nil
	}
	for _, r := range right {
		if n.equal(got, r) {
			return Verdict{Score: 1, Final: got.String(), Note: equalNote}, nil
		}
	}
	return Verdict{Final: got.String(), Note: "the number differs from the reference"}, nil
}

// equal reports whether an answer is near enough to a reference. If one of the two is
// a percentage, the other may be the share or the number of percent.
func (n numeric) equal(got, right number) bool {
	if n.near(got.value, right.value) {
		return true
	}
	hundredth := big.NewRat(1, 100)
	switch {
	case got.percent && !right.percent:
		return n.near(new(big.Rat).Mul(got.value, hundredth), right.value)
	case right.percent && !got.percent:
		return n.near(got.value, new(big.Rat).Mul(right.value, hundredth))
	}
	return false
}

func (n numeric) near(got, right *big.Rat) bool {
	difference := new(big.Rat).Sub(got, right)
	allowed := new(big.Rat).Mul(n.relative, new(big.Rat).Abs(right))
	if allowed.Cmp(n.absolute) < 0 {
		allowed = n.absolute
	}
	return difference.Abs(difference).Cmp(allowed) <= 0
}

// number is a number in a text.
type number struct {
	value      *big.Rat
	percent    bool
	start, end int // in the text as [numberText] writes it
}

// String returns the number as a decimal if it has few digits, else as a fraction.
func (n number) String() string {
	for digits := range 13 {
		text := n.value.FloatString(digits)
		if back, ok := new(big.Rat).SetString(text); ok && back.Cmp(n.value) == 0 {
			return text
		}
	}
	return n.value.RatString()
}

const (
	whyNone    = "no number was found"
	whyTerm    = "an expression was found where a number is wanted"
	whySeveral = "several numbers were found where one is wanted"
)

// finalNumber returns the number that an answer marks as its last, or else the last
// one in it.
func finalNumber(answer string) (n number, why string, ok bool) {
	answer = spoken(answer)
	for _, m := range marks(answer) {
		if n, why, ok = markedNumber(m); ok || why == whySeveral || why == whyTerm {
			return n, why, ok
		}
		if m.strong {
			return number{}, why, false // a marked answer that is no number counts
		}
	}
	if cutOff(answer) {
		return number{}, whyNone, false
	}
	rows := lines(answer)
	for i, row := range rows {
		rows[i] = strings.ToValidUTF8(row[max(0, len(row)-maxPhrase):], "")
	}
	if len(rows) == 1 {
		if n, _, ok = markedNumber(mark{text: rows[0]}); ok && startsAnswer(rows[0]) {
			return n, "", true
		}
	}
	for i := len(rows) - 1; i >= 0; i-- {
		spans := boldSpan.FindAllStringSubmatch(rows[i], -1)
		for j := len(spans) - 1; j >= 0; j-- {
			text := numberText(spans[j][1] + spans[j][2])
			if found := numbersIn(text); len(found) == 1 {
				return found[0], "", true
			}
		}
		text := numberText(rows[i])
		if found := numbersIn(text); len(found) > 0 {
			return found[len(found)-1], "", true
		}
	}
	if len(rows) == 1 {
		if v, ok := numberWord(rows[0]); ok {
			return number{value: v}, "", true
		}
	}
	return number{}, whyNone, false
}

var wordy = regexp.MustCompile(`\p{L}{2,}`)

// startsAnswer reports whether the first number of a line is its answer because no
// words come before it, as in "5 apples in 3 days".
func startsAnswer(line string) bool {
	text := numberText(line)
	found := numbersIn(text)
	return len(found) > 0 && !wordy.MatchString(text[:found[0].start]) && !strings.Contains(text, "=") && !strings.Contains(line, "**")
}

// what makes a number a part of an expression
var (
	termBefore = regexp.MustCompile(`(?:[\d)√π\p{L}]\s*[-+*/^×·]|sqrt\s*\(|[√π]\s*\()\s*$`)
	termAfter  = regexp.MustCompile(`^\s*(?:[-+*^×·]|/\s*\(|/\s*\d)\s*(?:[\d(√π\\]|sqrt|\p{L}(?:\P{L}|$))`)
)

var betweenNumbers = regexp.MustCompile(`(?i)^\W*(?:,|;|and|or|und|oder|et|y)\W*$`)

// markedNumber returns the number of a text that is marked as a final answer.
func markedNumber(m mark) (n number, why string, ok bool) {
	text := numberText(bare(strings.ToValidUTF8(m.text[:min(len(m.text), maxPhrase)], "")))
	from := 0
	if !m.strong {
		text = sentence(text)
	}
	for _, equals := range []string{"=", "≈", "≃"} {
		if i := strings.LastIndex(text, equals); i >= 0 && len(numbersIn(text[i+len(equals):])) > 0 {
			from = max(from, i+len(equals))
		}
	}
	found := slices.DeleteFunc(numbersIn(text), func(n number) bool { return n.start < from })
	switch {
	case len(found) == 0:
		if v, ok := numberWord(text); ok {
			return number{value: v}, "", true
		}
		return number{}, whyNone, false
	case len(found) > 1 && betweenNumbers.MatchString(text[found[0].end:found[1].start]):
		return number{}, whySeveral, false
	case termBefore.MatchString(tail(text[from:found[0].start])) || termAfter.MatchString(head(text[found[0].end:])):
		return number{}, whyTerm, false
	}
	return found[0], "", true
}

var (
	latexFraction = regexp.MustCompile(`\\frac\s*(?:\{\s*([^{}]*?)\s*\}|(\d))\s*(?:\{\s*([^{}]*?)\s*\}|(\d))`)
	plainNumber   = regexp.MustCompile(`^[-−+]?\s*(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?$`)
	latexRoot     = regexp.MustCompile(`\\sqrt\s*(?:\[[^\]]*\])?\s*(?:\{[^{}]*\}|\d)`)
	wholePart     = regexp.MustCompile(`(\d)\s*` + joint)
	vulgar        = regexp.MustCompile(`[¼½¾⅐-⅞↉]`)
)

const (
	joint        = "\ue001" // stands before a fraction, which may be part of a mixed number
	superscripts = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺"
	plainDigits  = "0123456789-+"
)

// numberText returns a text in which numbers are written in the forms that
// [numbersIn] reads: no LaTeX, no vulgar fractions, ASCII digits, and √ for what is a
// number but none of a plain form.
func numberText(s string) string {
	s = plainMath(s)
	s = latexRoot.ReplaceAllString(s, "√")
	s = latexFraction.ReplaceAllStringFunc(s, func(f string) string {
		m := latexFraction.FindStringSubmatch(f)
		above, below := m[1]+m[2], m[3]+m[4]
		if !plainNumber.MatchString(above) || !plainNumber.MatchString(below) {
			return "√"
		}
		return joint + strings.ReplaceAll(above, " ", "") + "/" + strings.ReplaceAll(below, " ", "") + " "
	})
	s = vulgar.ReplaceAllString(s, joint+"$0 ")
	s = strings.ReplaceAll(wholePart.ReplaceAllString(s, "$1 "), joint, "")
	var b strings.Builder
	b.Grow(len(s))
	before := rune(0)
	for _, r := range s {
		i := strings.IndexRune(superscripts, r)
		switch {
		case i >= 0 && unicode.IsLetter(before):
			continue // cm²
		case i >= 0:
			i = utf8.RuneCountInString(superscripts[:i])
			if before != '^' {
				b.WriteByte('^')
			}
			b.WriteByte(plainDigits[i])
			before = '^'
			continue
		case r == '−' || r == '‐' || r == '‑' || r == '﹣' || r == '－':
			r = '-'
		case r == '’' || r == '‘':
			r = '\''
		case r == '\u00a0' || r == '\u202f' || r == '\u2009' || r == '\u2007':
			r = '\u2009' // kept apart from other space, because it groups digits
		case r == '⁄' || r == '∕':
			r = '/'
		case r == '*' || r == '`':
			if r == '`' {
				continue
			}
		}
		b.WriteRune(r)
		before = r
	}
	s = strings.ReplaceAll(b.String(), "**", "")
	const thin = '\ue000' // survives NFKC, which would make a space of it
	s = norm.NFKC.String(strings.ReplaceAll(s, "\u2009", string(thin)))
	s = strings.ReplaceAll(s, "⁄", "/")
	// Digits of other scripts.
	s = strings.Map(func(r rune) rune {
		if r > 0x7f && unicode.Is(unicode.Nd, r) {
			return '0' + digitValue(r)
		}
		return r
	}, s)
	return s
}

// digitValue returns the value of a decimal digit: those of a script are ten in a row,
// and begin at a place that is found by counting down.
func digitValue(r rune) rune {
	n := rune(0)
	for n < 9 && unicode.Is(unicode.Nd, r-n-1) {
		n++
	}
	return n
}

const thinSpace = "\ue000"

var numberForms = []struct {
	form       *regexp.Regexp
	group, dot string
}{
	{regexp.MustCompile(`^\d{1,3}(?:\.\d{3})+,\d{1,2}`), ".", ","},
	{regexp.MustCompile(`^\d{1,3}(?:\.\d{3}){2,}`), ".", ","},
	{regexp.MustCompile(`^\d{1,3}(?:` + thinSpace + `\d{3})+(?:[.,]\d+)?`), thinSpace, ""},
	{regexp.MustCompile(`^\d{1,3}(?:,\d{3})+(?:\.\d+)?`), ",", "."},
	{regexp.MustCompile(`^\d{1,3}(?:'\d{3})+(?:\.\d+)?`), "'", "."},
	{regexp.MustCompile(`^\d{1,3}(?:_\d{3})+(?:\.\d+)?`), "_", "."},
	{regexp.MustCompile(`^\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d+)?`), ",", "."},
	{regexp.MustCompile(`^\d+,\d{1,2}`), "", ","},
	{regexp.MustCompile(`^(?:\d+(?:\.\d+)?|\.\d+)`), "", "."},
}

var (
	exponentE   = regexp.MustCompile(`^[eE]([+-]?\d+)`)
	exponentTen = regexp.MustCompile(`^\s*(?:×|x|\*|·|⋅)\s*10\s*(?:\^|\*\*)\s*[({]*\s*([+-]?\d{1,4})\s*[)}]*`)
	powerOf     = regexp.MustCompile(`^\s*(?:\^|\*\*)\s*[({]*\s*([+-]?\d{1,4})\s*[)}]*`)
	denominator = regexp.MustCompile(`^\s?/\s?(\d+(?:\.\d+)?)`)
	mixedPart   = regexp.MustCompile(`^(?:\s+(?:and\s+)?|` + thinSpace + `)(\d+)\s?/\s?(\d+)`)
	percentSign = regexp.MustCompile(`(?i)^\s*\\?(?:%|percent\b|per cent\b|prozent\b)`)
	scaleWord   = regexp.MustCompile(`(?i)^\s*(hundred|thousand|million|billion|trillion|mio|mln|mn|bn)\b`)
	scaleLetter = regexp.MustCompile(`^(k|K|M|B)\b`)
	rangeAfter  = regexp.MustCompile(`^\s*(?:[-–—]|to|through|bis)\s*[$€£¥]?\s*(?:\d|\.\d)`)
	poisonAfter = regexp.MustCompile(`^\s*(?:[×·*/]\s*)?[π√]|^[ixyz]\b|^:\d`)
	fullHour    = regexp.MustCompile(`^(:00)(?:[^\d:]|$)`)
	beforeSign  = regexp.MustCompile(`(?i)(?:minus|negative)\s*[$€£¥]?\s*$`)
	codeBefore  = regexp.MustCompile(`(?i)(?:^|[^\p{L}])(?:usd|eur|gbp|inr|rs\.?|chf|cad|aud|us|a|c|hk|n|r|no|nr|ca|c)$`)
	between     = regexp.MustCompile(`(?i)\bbetween\s+[$€£¥]?$`)
)

var scales = map[string]int64{"hundred": 100, "thousand": 1e3, "million": 1e6, "mio": 1e6, "mln": 1e6, "mn": 1e6,
	"billion": 1e9, "bn": 1e9, "trillion": 1e12, "k": 1e3, "m": 1e6, "b": 1e9}

// maxDigits bounds the length of a number, and maxPower its exponent.
const (
	maxDigits = 400
	maxPower  = 400
)

// numbersIn returns the numbers in a text that [numberText] wrote, in order. It leaves
// out what is no number by itself: parts of names, exponents, ranges, times, ratios.
func numbersIn(s string) []number {
	var all []number
	skipNext := false
	for i := 0; i < len(s); {
		if c := s[i]; !(c >= '0' && c <= '9' || c == '.' && i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9' && !wordBefore(s[:i])) {
			i++
			continue
		}
		n, end, ok := numberAt(s, i)
		if ok && rangeAfter.MatchString(head(s[end:])) {
			ok, skipNext = false, true
		} else if skipNext {
			ok, skipNext = false, false
		}
		if between.MatchString(tail(s[:i])) {
			ok, skipNext = false, true
		}
		if ok {
			all = append(all, n)
		}
		i = end
	}
	return all
}

// wordBefore reports whether a text ends with a letter or digit.
func wordBefore(s string) bool {
	r, _ := utf8.DecodeLastRuneInString(s)
	return unicode.IsLetter(r) || unicode.IsDigit(r)
}

// tail returns the end of a text, so that looking back takes constant time.
func tail(s string) string {
	const most = 24
	if len(s) > most {
		s = s[len(s)-most:]
		for s != "" && !utf8.RuneStart(s[0]) {
			s = s[1:]
		}
	}
	return s
}

// head is the same of the beginning.
func head(s string) string {
	const most = 512
	return s[:min(len(s), most)]
}

// numberAt reads the number whose digits begin at i, and returns where it ends. If ok
// is false, there is none, and reading goes on at end.
func numberAt(s string, i int) (n number, end int, ok bool) {
	before := tail(s[:i])
	text, end := digitsAt(s, i)
	if text == "" {
		return n, end, false
	}
	if len(text) > maxDigits {
		return n, end, false
	}
	value, ok := new(big.Rat).SetString(text)
	if !ok {
		return n, end, false
	}
	isWhole := value.IsInt()
	rest := head(s[end:])
	take := func(m []string) {
		end += len(m[0])
		rest = head(s[end:])
	}
	power := func(base int64, digits string) bool {
		e, err := strconv.Atoi(digits)
		if err != nil || e > maxPower || e < -maxPower {
			return false
		}
		p := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(base), big.NewInt(int64(max(e, -e))), nil))
		if e < 0 {
			p.Inv(p)
		}
		value.Mul(value, p)
		return true
	}
	if m := exponentE.FindStringSubmatch(rest); m != nil {
		ok = power(10, m[1])
		take(m)
	} else if m := exponentTen.FindStringSubmatch(rest); m != nil {
		ok = power(10, m[1])
		take(m)
	} else if m := powerOf.FindStringSubmatch(rest); m != nil {
		base := value
		value = big.NewRat(1, 1)
		ok = base.IsInt() && base.Num().IsInt64() && base.Num().Int64() != 0 && base.Num().BitLen() < 20 && power(base.Num().Int64(), m[1])
		take(m)
	} else if m := mixedPart.FindStringSubmatch(rest); m != nil && isWhole {
		above, _ := strconv.ParseInt(m[1], 10, 64)
		below, err := strconv.ParseInt(m[2], 10, 64)
		if err == nil && below > 0 && above < below {
			value.Add(value, big.NewRat(above, below))
			take(m)
		}
	} else if m := denominator.FindStringSubmatch(rest); m != nil {
		below, valid := new(big.Rat).SetString(m[1]) // no longer than head
		take(m)
		if !valid || below.Sign() == 0 || strings.HasPrefix(rest, "/") {
			for end < len(s) && (s[end] == '/' || s[end] >= '0' && s[end] <= '9') { // a date
				end++
			}
			return n, end, false
		}
		value.Quo(value, below)
	}
	currency := strings.HasSuffix(strings.TrimRight(before, " "), "$") || strings.HasSuffix(before, "€") || strings.HasSuffix(before, "£")
	if m := percentSign.FindStringSubmatch(rest); m != nil {
		n.percent = true
		take(m)
	} else if m := scaleWord.FindStringSubmatch(rest); m != nil {
		value.Mul(value, new(big.Rat).SetInt64(scales[strings.ToLower(m[1])]))
		take(m)
	} else if m := scaleLetter.FindStringSubmatch(rest); m != nil && currency {
		value.Mul(value, new(big.Rat).SetInt64(scales[strings.ToLower(m[1])]))
		take(m)
	}
	if m := fullHour.FindStringSubmatch(rest); m != nil && isWhole {
		take([]string{m[1]}) // 2:00 pm is 2
	}
	if poisonAfter.MatchString(rest) {
		if strings.HasPrefix(rest, ":") { // a time or a ratio
			for end < len(s) && (s[end] == ':' || s[end] >= '0' && s[end] <= '9') {
				end++
			}
		}
		return n, end, false
	}
	sign, start, fine := signBefore(before, i)
	if !fine {
		return n, end, false
	}
	if sign < 0 {
		value = new(big.Rat).Neg(value)
	}
	n.value, n.start, n.end = value, start, end
	return n, end, ok
}

// digitsAt returns the number at i in the form that big.Rat reads, and where it ends;
// "" if the digits are no number, such as those of an address.
func digitsAt(s string, i int) (text string, end int) {
	for end = i; end < len(s) && s[end] >= '0' && s[end] <= '9'; {
		end++
	}
	if end-i > maxDigits {
		return "", end
	}
	rest := head(s[i:])
	for _, f := range numberForms {
		found := f.form.FindString(rest)
		if found == "" {
			continue
		}
		after := rest[len(found):]
		if after != "" && after[0] >= '0' && after[0] <= '9' || len(after) > 1 && strings.ContainsRune(".,", rune(after[0])) && after[1] >= '0' && after[1] <= '9' {
			continue
		}
		if f.dot == "," && f.group == "" && inBrackets(s, i, i+len(found)) {
			continue
		}
		text = found
		if f.group != "" {
			text = strings.ReplaceAll(text, f.group, "")
		}
		text = strings.Replace(text, ",", ".", 1)
		if strings.HasPrefix(text, ".") {
			text = "0" + text
		}
		return text, i + len(found)
	}
	// A comma may separate two numbers of a list.
	if found := numberForms[len(numberForms)-1].form.FindString(rest); found != "" && strings.HasPrefix(rest[len(found):], ",") {
		if strings.HasPrefix(found, ".") {
			found = "0" + found
			return found, i + len(found) - 1
		}
		return found, i + len(found)
	}
	end = i
	for end < len(s) && (s[end] == '.' || s[end] >= '0' && s[end] <= '9') {
		end++
	}
	return "", max(end, i+1)
}

// inBrackets reports whether a text stands right between brackets, as a pair does.
func inBrackets(s string, start, end int) bool {
	return start > 0 && strings.IndexByte("([{", s[start-1]) >= 0 && end < len(s) && strings.IndexByte(")]}", s[end]) >= 0
}

// signBefore returns the sign that the text before a number gives it, and where the
// number with its sign begins. It is not fine if the digits are part of something
// else.
func signBefore(before string, i int) (sign, start int, fine bool) {
	start = i
	if beforeSign.MatchString(before) {
		return -1, start, true
	}
	b := before
	cut := func(b string) (rune, string) {
		r, size := utf8.DecodeLastRuneInString(b)
		return r, b[:len(b)-size]
	}
	r, rest := cut(b)
	spaced := false
	for unicode.Is(unicode.Sc, r) || r == ' ' || r == '{' && strings.HasSuffix(rest, "$") {
		spaced = spaced || r == ' '
		b = rest
		r, rest = cut(b)
	}
	switch {
	case r == '^' || r == '_' || r == '±' || r == 'π' || r == '√',
		r == '{' && (strings.HasSuffix(rest, "^") || strings.HasSuffix(rest, "_")):
		return 0, start, false
	case r == '×' || r == '·':
		if q, _ := cut(strings.TrimRight(rest, " ")); q == 'π' || q == '√' {
			return 0, start, false
		}
	case unicode.IsLetter(r) && !spaced && b == before:
		return 1, start, codeBefore.MatchString(before) || r > unicode.MaxLatin1 // 東京で3回
	case r == '-' || r == '–' || r == '+':
		q, _ := cut(rest)
		trimmed, _ := cut(strings.TrimRight(rest, " "))
		switch {
		case spaced && b[len(b)-1] == '-' && !strings.HasSuffix(before, "$") && !strings.ContainsRune("=:(≈", trimmed):
			return 1, start, true // a bullet, or a difference
		case unicode.IsLetter(q) || unicode.IsDigit(q) || q == ')':
			return 0, start, unicode.IsDigit(q) && r == '+'
		case r == '+':
			return 1, start, true
		}
		return -1, start - (len(before) - len(rest)), true
	}
	return 1, start, true
}

var words = map[string]int64{"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
	"ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19,
	"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90, "hundred": 100, "thousand": 1000, "million": 1e6}

var oneWord = regexp.MustCompile(`[a-z]+`)

// numberWord returns the number that begins a text in English words, such as
// twenty-one.
func numberWord(s string) (*big.Rat, bool) {
	var total, part int64
	found := false
	for _, w := range oneWord.FindAllString(strings.ToLower(s), 16) {
		v, ok := words[w]
		switch {
		case !ok && (w == "and" || w == "a") && found, !ok && !found && slices.Contains([]string{"about", "approximately", "exactly", "roughly", "a", "minus", "negative"}, w):
			continue
		case !ok && !found:
			return nil, false
		case !ok:
			return big.NewRat(total+part, 1), !strings.Contains(strings.ToLower(s), "minus") && !strings.Contains(strings.ToLower(s), "negative")
		case v == 100:
			part = max(part, 1) * 100
		case v >= 1000:
			total += max(part, 1) * v
			part = 0
		default:
			part += v
		}
		if total > 1e15 || part > 1e15 {
			return nil, false
		}
		found = true
	}
	return big.NewRat(total+part, 1), found
}

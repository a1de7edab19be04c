package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/carrot-router/carrot/eval"
)

// none stands for a missing number.
const none = "–"

// unit writes costs: in USD, or in calls if the report counts calls.
type unit struct{ perCall bool }

// axis names the cost axis.
func (u unit) axis() string {
	if u.perCall {
		return "calls per 1,000 queries"
	}
	return "USD per 1,000 queries"
}

// thousand writes the cost of 1,000 queries, given the cost of one.
func (u unit) thousand(perQuery float64) string { return u.amount(1000 * perQuery) }

func (u unit) amount(v float64) string {
	if u.perCall {
		return significant(v) + " calls"
	}
	return "$" + significant(v)
}

// significant writes at least three significant digits and all digits before the
// decimal point, without an exponent.
func significant(v float64) string {
	if !finite(v) {
		return none
	}
	if v == 0 {
		return "0"
	}
	decimals := max(0, 2-int(math.Floor(math.Log10(math.Abs(v)))))
	return strconv.FormatFloat(v, 'f', min(decimals, 12), 64)
}

func decimals[T ~float64](v T, n int) string {
	if !finite(v) {
		return none
	}
	return minus(strconv.FormatFloat(float64(v), 'f', n, 64))
}

// minus writes a true minus sign, which is as wide as a plus.
func minus(s string) string { return strings.Replace(s, "-", "−", 1) }

// signed writes a difference with its sign; zero has none.
func signed[T ~float64](v T, n int) string {
	if !finite(v) {
		return none
	}
	text := fmt.Sprintf("%+.*f", n, float64(v))
	if strings.Trim(text, "+-0.") == "" {
		return strings.TrimLeft(text, "+-")
	}
	return minus(text)
}

func share[T ~float64](v T) string {
	if !finite(v) {
		return none
	}
	switch p := 100 * float64(v); {
	case p > 0 && p < 0.5:
		return "<1%"
	default:
		return fmt.Sprintf("%.0f%%", p)
	}
}

func shareFine[T ~float64](v T) string {
	if !finite(v) {
		return none
	}
	return minus(fmt.Sprintf("%.1f%%", 100*float64(v)))
}

// span writes an interval, "" if there is none. An end that is not finite was not
// reached in some resamples.
func span(v []eval.Number, n int) string {
	if len(v) != 2 || !finite(v[0]) && !finite(v[1]) {
		return ""
	}
	high := "never"
	if finite(v[1]) {
		high = decimals(v[1], n)
	}
	return decimals(v[0], n) + " to " + high
}

// plural writes a count with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "y"); ok {
		return fmt.Sprintf("%s %sies", grouped(n), stem)
	}
	return fmt.Sprintf("%s %ss", grouped(n), noun)
}

// grouped separates thousands with commas.
func grouped(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// letter names a group: A, B, …, Z, then AA.
func letter(n int) string {
	if n >= 26 {
		return letter(n/26-1) + letter(n%26)
	}
	return string(rune('A' + n))
}

func joinNames(names []string) string {
	switch len(names) {
	case 0:
		return ""
	case 1:
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// number writes a value for programs, with six significant digits.
func number[T ~float64](v T) string {
	if !finite(v) {
		return "null"
	}
	return strconv.FormatFloat(float64(v), 'g', 6, 64)
}

// Package phrase puts counts, amounts and faults of JSON into words for people.
package phrase

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// Count returns a number and what is counted: "1 query", "2 queries". one is the
// singular. Its last word forms the plural by the rules of English spelling.
func Count[T ~int | ~int64 | ~uint32 | ~uint64](n T, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, Plural(one))
}

// Verb returns the form of a verb that goes with a count: one for 1, else many.
func Verb[T ~int | ~int64](n T, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// Plural returns the plural of a word that forms it by the rules of English
// spelling.
func Plural(one string) string {
	stem, consonant := strings.CutSuffix(one, "y")
	switch {
	case consonant && stem != "" && !strings.ContainsAny(stem[len(stem)-1:], "aeiou"):
		return stem + "ies"
	case hasSuffix(one, "s", "x", "z", "ch", "sh"):
		return one + "es"
	}
	return one + "s"
}

func hasSuffix(text string, endings ...string) bool {
	for _, end := range endings {
		if strings.HasSuffix(text, end) {
			return true
		}
	}
	return false
}

// USD writes dollars with three significant digits, at least two decimals and no
// exponent: "$12.50", "$0.00157". Zero is "$0", and NaN, an amount that is not
// known, is "–".
func USD(v float64) string {
	switch {
	case v == 0:
		return "$0"
	case math.IsNaN(v):
		return "–"
	case math.IsInf(v, 0):
		return strings.Replace(fmt.Sprintf("$%v", v), "$-", "-$", 1)
	case v < 0:
		return "-" + USD(-v)
	}
	_, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'e', 2, 64), "e") // of the rounded amount: 0.09996 is 0.100
	power, _ := strconv.Atoi(exponent)
	return fmt.Sprintf("$%.*f", max(2, 2-power), v)
}

// jsonError is an error of encoding/json in other words.
type jsonError struct {
	text string
	err  error
}

func (e *jsonError) Error() string { return e.text }
func (e *jsonError) Unwrap() error { return e.err }

// JSON returns an error of encoding/json in words that name no type of Go: "field
// id: is a number, want a text". It returns any other error as it is.
func JSON(err error) error {
	bad, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err
	}
	text := "is " + found(bad.Value) + ", want " + wanted(bad.Type)
	if number, isNumber := strings.CutPrefix(bad.Value, "number "); isNumber && wanted(bad.Type) == "a number" {
		text = number + " is too large"
	}
	if bad.Field != "" {
		text = "field " + bad.Field + ": " + text
	}
	return &jsonError{strings.Replace(err.Error(), bad.Error(), text, 1), err}
}

// found names a JSON value as encoding/json describes it.
func found(value string) string {
	kind, number, _ := strings.Cut(value, " ")
	switch kind {
	case "string":
		return "a text"
	case "array":
		return "a list"
	case "object":
		return "an object"
	case "bool":
		return "a truth value"
	}
	if number != "" {
		return number
	}
	return "a number"
}

// wanted names the JSON value that a type is read from.
func wanted(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number from 0"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	}
	return "an object"
}

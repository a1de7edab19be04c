// Package appendjson appends JSON values to a byte slice: strings and floats as
// encoding/json writes them, and exact decimals, which it also reads back. It is for
// JSON that is written with every request.
package appendjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// String appends s as a JSON string.
func String(b []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c >= 0x7f, c == '"', c == '\\', c == '<', c == '>', c == '&':
			quoted, _ := json.Marshal(s) // a string cannot fail
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// shortDecimals is the most decimals of a short number.
const shortDecimals = 9

// Float appends f with the fewest digits that identify it, and null for NaN and the
// infinities. Short numbers, with at most nine decimals and fifteen digits, take
// half the time of others.
func Float(b []byte, f float64) []byte {
	size := math.Abs(f)
	// Different decimals of up to fifteen digits are different floats, so no form of
	// f has fewer digits than this one.
	if short := math.RoundToEven(f * 1e9); size >= 1e-6 && math.Abs(short) < 1e15 && short/1e9 == f {
		return Decimal(b, int64(short), shortDecimals)
	}
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return append(b, "null"...)
	case size == 0 || size >= 1e-6 && size < 1e21:
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	b = strconv.AppendFloat(b, f, 'e', -1, 64)
	if n := len(b); b[n-4] == 'e' && b[n-3] == '-' && b[n-2] == '0' { // e-09 is e-9
		b[n-2] = b[n-1]
		b = b[:n-1]
	}
	return b
}

// Decimal appends v/10^decimals exactly, without trailing zeros. decimals is at
// most 18.
func Decimal(b []byte, v int64, decimals int) []byte {
	size := uint64(v)
	if v < 0 {
		b, size = append(b, '-'), -size
	}
	var digits [20]byte // of size, right-aligned, at least decimals+1 of them
	at := len(digits)
	for n := 0; n <= decimals || size > 0; n++ {
		at--
		digits[at], size = byte('0'+size%10), size/10
	}
	point := len(digits) - decimals
	b = append(b, digits[at:point]...)
	end := len(digits)
	for end > point && digits[end-1] == '0' {
		end--
	}
	if end == point {
		return b
	}
	return append(append(b, '.'), digits[point:end]...)
}

// ParseDecimal reads a number as a multiple of 10^-decimals: exactly if it has no
// more decimals than that and no exponent, otherwise the nearest multiple.
func ParseDecimal(s string, decimals int) (int64, error) {
	if s == "" {
		return 0, errors.New("no number")
	}
	whole, fraction, _ := strings.Cut(s, ".")
	if len(fraction) <= decimals && !strings.ContainsAny(s, "eE") {
		v, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", decimals-len(fraction)), 10, 64)
		return v, parseError(s, err)
	}
	f, err := strconv.ParseFloat(s, 64)
	v := math.Round(f * math.Pow10(decimals))
	if err == nil && (v >= math.MaxInt64 || v <= math.MinInt64) {
		err = strconv.ErrRange
	}
	if err != nil {
		return 0, parseError(s, err)
	}
	return int64(v), nil
}

func parseError(s string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, strconv.ErrRange):
		return fmt.Errorf("%s is out of range", s)
	}
	return fmt.Errorf("%s is not a number", s)
}

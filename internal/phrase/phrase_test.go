package phrase_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"testing"

	"github.com/carrot-router/carrot/internal/phrase"
)

func TestCount(t *testing.T) {
	for _, tt := range []struct {
		n         int
		one, want string
	}{
		{0, "query", "0 queries"}, {1, "query", "1 query"}, {2, "query", "2 queries"},
		{1, "model", "1 model"}, {3, "model", "3 models"}, {2, "key", "2 keys"},
		{2, "box", "2 boxes"}, {2, "match", "2 matches"}, {5, "bad row", "5 bad rows"}, {2, "price", "2 prices"},
	} {
		if got := phrase.Count(tt.n, tt.one); got != tt.want {
			t.Errorf("Count(%d, %q) = %q, want %q", tt.n, tt.one, got, tt.want)
		}
	}
}

func TestUSD(t *testing.T) {
	for _, tt := range []struct {
		v    float64
		want string
	}{
		{0, "$0"}, {1, "$1.00"}, {12.5, "$12.50"}, {1234.5, "$1234.50"}, {0.00157, "$0.00157"}, {5.934e-05, "$0.0000593"},
		{0.1, "$0.100"}, {0.09996, "$0.100"}, {0.9996, "$1.00"}, {0.0099996, "$0.0100"}, {-0.5, "-$0.500"}, {1e-12, "$0.00000000000100"},
		{math.NaN(), "–"}, {math.Inf(1), "$+Inf"},
	} {
		if got := phrase.USD(tt.v); got != tt.want {
			t.Errorf("USD(%v) = %q, want %q", tt.v, got, tt.want)
		}
	}
}

// TestJSON: no value of a wrong kind gives an error with a type of Go.
func TestJSON(t *testing.T) {
	goType := regexp.MustCompile(`\bGo\b|int8|float|struct|\bmap\b|\[\]|\*|json:|string`)
	var into struct {
		Text  string            `json:"text"`
		Small int8              `json:"small"`
		Count uint              `json:"count"`
		Real  *float64          `json:"real"`
		Is    bool              `json:"is"`
		List  []string          `json:"list"`
		Map   map[string]string `json:"words"`
		Deep  struct {
			Text string `json:"text"`
		} `json:"deep"`
	}
	for _, tt := range []struct{ text, want string }{
		{`{"text":7}`, "field text: is a number, want a text"},
		{`{"text":[]}`, "field text: is a list, want a text"},
		{`{"small":"x"}`, "field small: is a text, want a whole number"},
		{`{"small":1.5}`, "field small: is 1.5, want a whole number"},
		{`{"small":300}`, "field small: is 300, want a whole number"},
		{`{"count":-1}`, "field count: is -1, want a whole number from 0"},
		{`{"real":{}}`, "field real: is an object, want a number"},
		{`{"real":1e999}`, "field real: 1e999 is too large"},
		{`{"is":"yes"}`, "field is: is a text, want true or false"},
		{`{"list":{}}`, "field list: is an object, want a list"},
		{`{"list":[1]}`, "field list: is a number, want a text"},
		{`{"words":true}`, "field words: is a truth value, want an object"},
		{`{"deep":{"text":1}}`, "field deep.text: is a number, want a text"},
		{`[1]`, "is a list, want an object"},
	} {
		err := phrase.JSON(fmt.Errorf("read: %w", json.Unmarshal([]byte(tt.text), &into)))
		if err.Error() != "read: "+tt.want || goType.MatchString(err.Error()) {
			t.Errorf("%s: error %q, want %q", tt.text, err, "read: "+tt.want)
		}
		if _, ok := errors.AsType[*json.UnmarshalTypeError](err); !ok {
			t.Errorf("%s: the cause is lost", tt.text)
		}
	}
	other := errors.New("other")
	if phrase.JSON(other) != other || phrase.JSON(nil) != nil {
		t.Error("another error is changed")
	}
}

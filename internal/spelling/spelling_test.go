package spelling

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	models := []string{"gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18", "claude-3-5-haiku-20241022"}
	for _, test := range []struct {
		name, given string
		valid       []string
		want        string
	}{
		{"missing letter", "lsten", []string{"log", "listen"}, "listen"},
		{"swapped letters", "hgih", []string{"low", "high"}, "high"},
		{"extra letter", "toools", []string{"tools", "vision"}, "tools"},
		{"other case", "GPT-4O-2024-08-06", models, "gpt-4o-2024-08-06"},
		{"beginning", "gpt-4o-mini", models, "gpt-4o-mini-2024-07-18"},
		{"beginning of several names: the closest in length", "gpt-4o", models, "gpt-4o-2024-08-06"},
		{"extra ending", "claude-3-5-haiku-20241022-v1", models, "claude-3-5-haiku-20241022"},
		{"equally near: the first", "bat", []string{"cat", "rat"}, "cat"},
		{"nothing near", "mistral", models, ""},
		{"one letter is not near another", "a", []string{"b"}, ""},
		{"empty", "", models, ""},
		{"too long", strings.Repeat("gpt", 1000), models, ""},
		{"no valid names", "a", nil, ""},
	} {
		if got := Nearest(test.given, test.valid); got != test.want {
			t.Errorf("%s: Nearest(%.30q) = %q, want %q", test.name, test.given, got, test.want)
		}
	}
}

func TestSuggest(t *testing.T) {
	for _, test := range []struct {
		name  string
		valid []string
		want  string
	}{
		{"opanai", []string{"openai", "azure"}, `did you mean "openai"?`},
		{"mistral", []string{"openai", "azure"}, "want one of openai, azure"},
		{"x", []string{"openai"}, "want openai"},
		{"x", nil, "there are none"},
	} {
		if got := Suggest(test.name, test.valid); got != test.want {
			t.Errorf("Suggest(%q, %q) = %q, want %q", test.name, test.valid, got, test.want)
		}
	}
}

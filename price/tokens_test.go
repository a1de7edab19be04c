package price_test

import (
	"strings"
	"testing"

	"github.com/carrot-router/carrot/price"
)

// Counts by the o200k encoding, which GPT-4o and later models use.
func TestCountTokens(t *testing.T) {
	f := func(text string, want int) {
		t.Helper()
		if got := price.CountTokens(text); got != want {
			t.Errorf("CountTokens(%q) = %d, want %d", text, got, want)
		}
	}
	f("", 0)
	f("hello", 1)
	f("hello world", 2)
	f("Hello, world!", 4)
	f("你好,世界!", 4)
	f("Здравствуй, мир!", 7)
	f("مرحبا بالعالم", 4)
	f("こんにちは世界", 2)
	f("नमस्ते दुनिया", 5)
	f("🥕", 2)
	f("def f(x):\n    return x + 1\n", 11)
}

// Every text can be counted, whatever its bytes, and a longer text has more
// tokens.
func TestCountTokensOfAnyBytes(t *testing.T) {
	for _, text := range []string{"\xff\xfe\x00", "\x00", "<|endoftext|>", strings.Repeat("x", 1000), strings.Repeat(" \n", 100)} {
		one, ten := price.CountTokens(text), price.CountTokens(strings.Repeat(text+" a ", 10))
		if one < 1 || ten <= one {
			t.Errorf("CountTokens(%.20q) = %d, of ten times it %d", text, one, ten)
		}
	}
}

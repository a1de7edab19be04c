package price

import (
	"sync"

	"github.com/tiktoken-go/tokenizer"
)

// o200k is the encoding of GPT-4o and later, an approximation for models with
// another tokenizer.
var o200k = sync.OnceValues(func() (tokenizer.Codec, error) { return tokenizer.Get(tokenizer.O200kBase) })

// CountTokens counts the o200k tokens of a text. Text that the encoding cannot
// split counts a token per four bytes. The first call builds the vocabulary in
// some 30 ms.
func CountTokens(text string) int {
	codec, err := o200k()
	if err == nil {
		if n, err := codec.Count(text); err == nil {
			return n
		}
	}
	return (len(text) + 3) / 4
}

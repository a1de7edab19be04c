package price

import (
	"sync"

	"github.com/tiktoken-go/tokenizer/codec"
)

// o200k is the encoding of GPT-4o and later, an approximation for models with
// another tokenizer. The codec package is imported and not the registry above
// it, so that the other vocabularies stay out of the binary.
var o200k = sync.OnceValue(codec.NewO200kBase)

// CountTokens counts the o200k tokens of a text. Text that the encoding cannot
// split counts a token per four bytes. The first call builds the vocabulary in
// some 30 ms.
func CountTokens(text string) int {
	if n, err := o200k().Count(text); err == nil {
		return n
	}
	return (len(text) + 3) / 4
}

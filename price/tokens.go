package price

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/tiktoken-go/tokenizer/codec"
)

// o200k is the encoding of GPT-4o and later, an approximation for models with
// another tokenizer. The codec package is imported and not the registry above
// it, so that the other vocabularies stay out of the binary.
var o200k = sync.OnceValue(codec.NewO200kBase)

// CountTokens counts the o200k tokens of a text. The first call builds the
// vocabulary in some 30 ms.
//
// Text in ASCII is cut into pieces here, whose counts are remembered, since
// nearly all of them come again: the same count in a tenth of the time.
func CountTokens(text string) int {
	n := 0
	for at := 0; at < len(text); {
		end := piece(text, at)
		if end < 0 { // left to the encoding from here on
			return n + encode(text[at:])
		}
		n += count(text[at:end])
		at = end
	}
	return n
}

// encode counts the tokens of a text by the encoding, or should its pattern fail
// on the text, a token per four bytes.
func encode(text string) int {
	if n, err := o200k().Count(text); err == nil {
		return n
	}
	return (len(text) + 3) / 4
}

// counts remembers the tokens of pieces: each in the slot of its hash, the hash's
// upper 48 bits above the count, until another piece takes the slot.
var counts [1 << 16]atomic.Uint64

var seed = maphash.MakeSeed()

// maxPiece is the longest piece that is remembered, in bytes. Its count fits in
// 16 bits.
const maxPiece = 64

func count(piece string) int {
	if len(piece) > maxPiece {
		return encode(piece)
	}
	hash := maphash.String(seed, piece)
	slot, tag := &counts[hash%uint64(len(counts))], hash>>16<<16
	if v := slot.Load(); v != 0 && v>>16<<16 == tag {
		return int(v - tag)
	}
	n := encode(piece)
	slot.Store(tag | uint64(n))
	return n
}

// The classes of ASCII bytes that the encoding tells apart.
const (
	other = iota // punctuation and control bytes
	upper
	lower
	digit
	space
	newline
	beyond
)

var classes = func() (c [256]uint8) {
	for b := range c {
		switch {
		case b >= 'A' && b <= 'Z':
			c[b] = upper
		case b >= 'a' && b <= 'z':
			c[b] = lower
		case b >= '0' && b <= '9':
			c[b] = digit
		case b == '\n' || b == '\r':
			c[b] = newline
		case b == ' ' || b == '\t' || b == '\v' || b == '\f':
			c[b] = space
		case b >= 0x7f: // DEL too: the codec's pattern passes over it, whatever is around it
			c[b] = beyond
		}
	}
	return c
}()

// class of the byte at i; past the end it is that of nothing in particular.
func class(text string, i int) int {
	if i >= len(text) {
		return -1
	}
	return int(classes[text[i]])
}

// run returns the end of the bytes of some class that begin at i.
func run(text string, i, of int) int {
	for class(text, i) == of {
		i++
	}
	return i
}

// piece returns the end of the piece that begins at i, or -1 if it is not ASCII
// (DEL apart) up to and with the byte after it. Pieces are those of o200k's pattern,
//
//	[^\r\n\p{L}\p{N}]?\p{Lu}*\p{Ll}+('s|'t|'re|'ve|'m|'ll|'d)?
//	[^\r\n\p{L}\p{N}]?\p{Lu}+\p{Ll}*('s|'t|'re|'ve|'m|'ll|'d)?
//	\p{N}{1,3}
//	 ?[^\s\p{L}\p{N}]+[\r\n/]*
//	\s*[\r\n]+
//	\s+(?!\S)
//	\s+
//
// of which the first that matches counts, in upper and lower case.
func piece(text string, i int) int {
	if class(text, i) == beyond {
		return -1
	}
	end := pieceEnd(text, i)
	if class(text, end) == beyond || class(text, end+1) == beyond && text[end] == '\'' { // the long s is an s too
		return -1
	}
	return end
}

func pieceEnd(text string, i int) int {
	first := class(text, i)
	if first != newline && first != digit {
		from := i
		if first == other || first == space {
			from++
		}
		if end := run(text, run(text, from, upper), lower); end > from {
			return contraction(text, end)
		}
	}
	switch {
	case first == digit:
		end := i + 1
		for end < i+3 && class(text, end) == digit {
			end++
		}
		return end
	case first == other, text[i] == ' ' && class(text, i+1) == other:
		end := run(text, i+1, other)
		for end < len(text) && (text[end] == '\r' || text[end] == '\n' || text[end] == '/') {
			end++
		}
		return end
	}
	return blank(text, i)
}

// contraction returns the end of what may be tied to a word that ends at i.
func contraction(text string, i int) int {
	if i+1 >= len(text) || text[i] != '\'' {
		return i
	}
	switch text[i+1] | 0x20 {
	case 's', 't', 'm', 'd':
		return i + 2
	case 'r', 'v':
		if i+2 < len(text) && text[i+2]|0x20 == 'e' {
			return i + 3
		}
	case 'l':
		if i+2 < len(text) && text[i+2]|0x20 == 'l' {
			return i + 3
		}
	}
	return i
}

// blank returns the end of a piece of white space: up to its last line's end, or
// else all of it but the byte that belongs to what follows.
func blank(text string, i int) int {
	end, lineEnd := i, -1
	for c := class(text, end); c == space || c == newline; c = class(text, end) {
		end++
		if c == newline {
			lineEnd = end
		}
	}
	switch {
	case class(text, end) == beyond: // which may be white space too
		return end
	case lineEnd >= 0:
		return lineEnd
	case end == len(text) || end == i+1:
		return end
	}
	return end - 1
}

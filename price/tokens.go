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
// vocabulary, in about 30 ms.
//
// ASCII text is cut into pieces, whose counts are remembered, as nearly all of them
// occur again. The count is the same and takes a tenth of the time.
func CountTokens(text string) int {
	n := 0
	for at := 0; at < len(text); {
		end := piece(text, at)
		if end < 0 { // the encoding counts the rest
			return n + encode(text[at:])
		}
		n += count(text[at:end])
		at = end
	}
	return n
}

// encode counts the tokens of a text with the encoding. If the encoding's pattern
// fails on the text, it counts one token per four bytes.
func encode(text string) int {
	if n, err := o200k().Count(text); err == nil {
		return n
	}
	return (len(text) + 3) / 4
}

// counts remembers the counts of pieces. A piece is in the slot of its hash, until
// another piece takes the slot: the upper 48 bits of the hash, and the count below.
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

// The classes of bytes that the encoding distinguishes.
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
		case b >= 0x7f: // and DEL, which the codec's pattern skips anywhere
			c[b] = beyond
		}
	}
	return c
}()

// class returns the class of the byte at i, or -1 past the end.
func class(text string, i int) int {
	if i >= len(text) {
		return -1
	}
	return int(classes[text[i]])
}

// run returns the end of the run of bytes of one class that begins at i.
func run(text string, i, of int) int {
	for class(text, i) == of {
		i++
	}
	return i
}

// piece returns the end of the piece that begins at i, or -1 if the piece or the
// byte after it is not ASCII, or is DEL. Pieces are those of o200k's pattern,
//
//	[^\r\n\p{L}\p{N}]?\p{Lu}*\p{Ll}+('s|'t|'re|'ve|'m|'ll|'d)?
//	[^\r\n\p{L}\p{N}]?\p{Lu}+\p{Ll}*('s|'t|'re|'ve|'m|'ll|'d)?
//	\p{N}{1,3}
//	 ?[^\s\p{L}\p{N}]+[\r\n/]*
//	\s*[\r\n]+
//	\s+(?!\S)
//	\s+
//
// in which the first alternative that matches is taken, and contractions match in
// upper and lower case.
func piece(text string, i int) int {
	if class(text, i) == beyond {
		return -1
	}
	end := pieceEnd(text, i)
	if class(text, end) == beyond || class(text, end+1) == beyond && text[end] == '\'' { // which may be a contraction with the long s
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

// contraction returns the end of the contraction, if any, of a word that ends at i.
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

// blank returns the end of a piece of white space. It ends after the last end of a
// line or, if there is none, before the last byte, which belongs to the next piece.
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

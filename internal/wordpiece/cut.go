package wordpiece

import (
	"cmp"
	"slices"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// cutter is the state of cutting one text. It collects the normalised
// characters of a word until something ends the word, then looks up its
// pieces.
type cutter struct {
	t       *Tokenizer
	ids     []int32
	stop    int // stop at this many ids; 0 means no limit
	word    []byte
	hashes  []uint32 // of the prefixes of the bytes being looked up
	chars   int      // characters in the word, including those past the limit
	pending []mark   // combining characters that still have to be sorted
	collect bool     // keep the normalised text in word instead of cutting it
	classed bool     // the text is already normalised
}

type mark struct {
	r     rune
	class uint8
}

func (c *cutter) full() bool { return c.stop > 0 && len(c.ids) >= c.stop }

// split finds the added tokens in raw text and cuts the text between them.
func (c *cutter) split(text string) {
	c.t.raw.split(c, text, c.segment)
}

// segment cuts text that contains no raw added token.
func (c *cutter) segment(text string) {
	if len(c.t.normalized.tokens) == 0 {
		c.text(text)
		c.emit()
		return
	}
	n := cutter{t: c.t, collect: true}
	n.text(text)
	c.classed = true
	c.t.normalized.split(c, string(n.word), func(part string) {
		c.text(part)
		c.emit()
	})
	c.classed = false
}

// text processes a stretch of text.
func (c *cutter) text(text string) {
	for i := 0; i < len(text); {
		b := text[i]
		if b >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(text[i:])
			c.normalize(r)
			if i += size; c.full() {
				return
			}
			continue
		}
		i++
		class := c.t.ascii[b]
		if class == dropped {
			continue
		}
		if len(c.pending) > 0 {
			c.settle()
		}
		switch {
		case class == inWord:
			c.char(c.t.lower[b])
		case c.collect:
			if class == isSpace && !c.t.cfg.KeepControl {
				b = ' '
			}
			c.put(rune(b))
		case class == isSpace:
			c.emit()
		default:
			c.emit()
			c.char(b)
			c.emit()
		}
		if c.full() {
			return
		}
	}
	c.settle()
}

// char adds an ASCII character to the word.
func (c *cutter) char(b byte) {
	c.chars++
	if c.chars <= c.t.cfg.MaxWordChars || c.collect {
		c.word = append(c.word, b)
	}
}

// normalize processes one character that is not ASCII: it cleans it, separates
// ideographs, strips accents and converts to lower case, as configured.
func (c *cutter) normalize(r rune) {
	t := c.t
	if c.classed {
		c.put(r)
		return
	}
	if !t.cfg.KeepControl {
		if isDropped(r) {
			return
		}
		if unicode.IsSpace(r) {
			r = ' '
		}
	}
	cjk := !t.cfg.JoinCJK && isCJK(r)
	if cjk {
		c.settle()
		c.put(' ')
	}
	if t.strip {
		c.decompose(r)
	} else {
		c.fold(r)
	}
	if cjk {
		c.settle()
		c.put(' ')
	}
}

// decompose processes r's canonical decomposition without accents. Combining
// characters that remain wait in pending until their order is known.
func (c *cutter) decompose(r rune) {
	const (
		syllables, vowels, tails = 0xac00, 21, 28 // Hangul is composed arithmetically
		last                     = 0xd7a3
	)
	if r >= syllables && r <= last {
		s := r - syllables
		c.settle()
		c.fold(0x1100 + s/(vowels*tails))
		c.fold(0x1161 + s/tails%vowels)
		if tail := s % tails; tail > 0 {
			c.fold(0x11a7 + tail)
		}
		return
	}
	var buf [utf8.UTFMax]byte
	p := norm.NFD.Properties(buf[:utf8.EncodeRune(buf[:], r)])
	parts := p.Decomposition()
	if parts == nil {
		c.combine(r, p.CCC())
		return
	}
	for len(parts) > 0 {
		r, size := utf8.DecodeRune(parts)
		c.combine(r, norm.NFD.Properties(parts[:size]).CCC())
		parts = parts[size:]
	}
}

func (c *cutter) combine(r rune, class uint8) {
	if class == 0 {
		c.settle()
	}
	switch {
	case isAccent(r):
	case class == 0:
		c.fold(r)
	default:
		c.pending = append(c.pending, mark{r, class})
	}
}

// settle processes the pending combining characters, in canonical order.
func (c *cutter) settle() {
	if len(c.pending) == 0 {
		return
	}
	slices.SortStableFunc(c.pending, func(a, b mark) int { return cmp.Compare(a.class, b.class) })
	for _, m := range c.pending {
		c.fold(m.r)
	}
	c.pending = c.pending[:0]
}

// fold converts one character to lower case, unless KeepCase is set, and passes
// it to put.
func (c *cutter) fold(r rune) {
	if c.t.cfg.KeepCase {
		c.put(r)
		return
	}
	if r == 'İ' { // the only character whose lower case is two characters
		c.put('i')
		r = 0x307
	}
	c.put(unicode.ToLower(r))
}

// put processes one normalised character.
func (c *cutter) put(r rune) {
	switch {
	case c.collect:
		c.word = utf8.AppendRune(c.word, r)
	case unicode.IsSpace(r):
		c.emit()
	case isPunct(r):
		c.emit()
		c.chars, c.word = 1, utf8.AppendRune(c.word, r)
		c.emit()
	default:
		if c.chars++; c.chars <= c.t.cfg.MaxWordChars {
			c.word = utf8.AppendRune(c.word, r)
		}
	}
}

// emit ends the word and appends the ids of its pieces.
func (c *cutter) emit() {
	if c.chars == 0 {
		return
	}
	n := len(c.ids)
	if c.chars > c.t.cfg.MaxWordChars || !c.pieces() {
		c.ids = append(c.ids[:n], c.t.unk)
	}
	c.chars, c.word = 0, c.word[:0]
	if c.stop > 0 && len(c.ids) > c.stop {
		c.ids = c.ids[:c.stop]
	}
}

// pieces splits the word from left to right into the longest pieces of the
// vocabulary and appends their ids. It reports false if some rest of the word
// begins with no piece.
func (c *cutter) pieces() bool {
	table := &c.t.head
	for word := c.word; len(word) > 0; {
		end := min(len(word), table.longest)
		hash, first := uint32(pieceBasis), firstBytes(word)
		c.hashes = c.hashes[:0] // of word[:1], word[:2] and so on
		for _, b := range word[:end] {
			hash = pieceHash(hash, b)
			c.hashes = append(c.hashes, hash)
		}
		for ; ; end-- {
			for end > 0 && end < len(word) && !utf8.RuneStart(word[end]) {
				end--
			}
			if end == 0 {
				return false
			}
			if id, ok := table.find(word[:end], c.hashes[end-1], upTo(first, end)); ok {
				c.ids = append(c.ids, id)
				break
			}
		}
		word = word[end:]
		table = &c.t.tail
	}
	return true
}

package simulate

import (
	"encoding/binary"
	"encoding/json"
	"math/bits"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/price"
)

// sentences are the answers of simulated models. Each word and each punctuation mark
// is one token. NAME stands for the model's name.
var sentences = []string{
	"This answer comes from NAME, a simulated model.",
	"No language model was asked and nothing was understood.",
	"The length, the delays and the price of this text are drawn at random, as a real model would have them.",
	"Every word counts as one token, so the bill is easy to check.",
	"The same request gets the same answer again.",
	"A router can be tried in this way without a key and without cost.",
	"It shows which model was chosen, how long that took and what it would have cost.",
	"It does not show how good an answer is.",
	"For that the router has learned from the answers of real models.",
	"Put a real provider into the configuration and the same request goes to it.",
	"Until then these sentences come back in a different order.",
	"Some of them are short.",
	"Others go on for a while, because long answers take more time and cost more money than short ones do.",
	"If a request fails here, that is also part of the simulation.",
	"A good client waits a little and asks again, or asks another model.",
}

// corpusTokens is the minimum length of a corpus. Longer answers repeat it.
const corpusTokens = 2048

// corpus is the text of a model, cut into tokens.
type corpus struct {
	text   string
	cuts   []int // the end of each token in text
	starts []int // the indices of tokens that begin a sentence
}

// newCorpus repeats the sentences, with the model's name in them.
func newCorpus(name string) *corpus {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || strings.ContainsRune(`"\<>&`, r) {
			return -1
		}
		return r
	}, name)
	nameTokens := max(price.CountTokens(" "+name), 1)
	c := &corpus{}
	var b strings.Builder
	for len(c.cuts) < corpusTokens {
		for _, sentence := range sentences {
			c.starts = append(c.starts, len(c.cuts))
			for word := range strings.FieldsSeq(sentence) {
				bare := strings.TrimRight(word, ".,")
				b.WriteByte(' ')
				if bare == "NAME" {
					// A name of several tokens is sent whole, with its last token.
					for range nameTokens - 1 {
						c.cuts = append(c.cuts, b.Len()-1)
					}
					b.WriteString(name)
				} else {
					b.WriteString(bare)
				}
				c.cuts = append(c.cuts, b.Len())
				if mark := word[len(bare):]; mark != "" {
					b.WriteString(mark)
					c.cuts = append(c.cuts, b.Len())
				}
			}
		}
	}
	c.text = b.String()
	return c
}

// passage is a text and its tokens. The tokens end at cuts, minus base.
type passage struct {
	text string
	cuts []int
	base int
}

// tokens returns the number of tokens.
func (p *passage) tokens() int { return len(p.cuts) }

// piece returns the text of token i. It is empty for a token that is sent with the
// next one.
func (p *passage) piece(i int) string {
	start := 0
	if i > 0 {
		start = max(p.cuts[i-1]-p.base, 0)
	}
	return p.text[start:max(p.cuts[i]-p.base, start)]
}

// cut returns the first n tokens, or a few less so as not to end within a piece.
func (p passage) cut(n int) passage {
	p.cuts = p.cuts[:min(max(n, 0), len(p.cuts))]
	for len(p.cuts) > 0 && p.piece(len(p.cuts)-1) == "" {
		p.cuts = p.cuts[:len(p.cuts)-1]
	}
	if len(p.cuts) == 0 {
		return passage{}
	}
	p.text = p.text[:p.cuts[len(p.cuts)-1]-p.base]
	return p
}

// passage returns about n tokens that begin with a sentence, which draw selects.
// If a sentence ends near n, the passage ends with it.
func (c *corpus) passage(n, draw int) passage {
	first := draw % len(sentences)
	from := c.starts[first]
	if n > c.starts[first+1]-from {
		n = c.nearestEnd(from+n) - from
	}
	p := passage{base: 1} // skip the space before the first word
	if from > 0 {
		p.base += c.cuts[from-1]
	}
	if from+n <= len(c.cuts) {
		p.cuts, p.text = c.cuts[from:from+n], c.text[p.base:]
		return p.cut(n)
	}
	return c.long(from, n, p.base).cut(n)
}

// nearestEnd returns the end of a sentence that is nearest to a token.
func (c *corpus) nearestEnd(at int) int {
	whole := at / len(c.cuts) * len(c.cuts)
	at -= whole
	i, found := slices.BinarySearch(c.starts, at)
	if found || i == 0 {
		return whole + at
	}
	after := len(c.cuts)
	if i < len(c.starts) {
		after = c.starts[i]
	}
	if before := c.starts[i-1]; at-before < after-at {
		return whole + before
	}
	return whole + after
}

// long returns a passage that extends beyond the end of the corpus.
func (c *corpus) long(from, n, base int) passage {
	p := passage{base: base, cuts: make([]int, n)}
	rounds := (from + n) / len(c.cuts)
	for i := range n {
		round := (from + i) / len(c.cuts)
		p.cuts[i] = c.cuts[(from+i)%len(c.cuts)] + round*len(c.text)
	}
	p.text = strings.Repeat(c.text, rounds+1)[base:]
	return p
}

// split cuts a text into pieces of about equal length, as many as it has tokens.
func split(text string) passage {
	n := min(max(price.CountTokens(text), 1), max(len(text), 1))
	p := passage{text: text, cuts: make([]int, n)}
	for i := range n {
		at := len(text) * (i + 1) / n
		for at < len(text) && text[at]&0xC0 == 0x80 {
			at++
		}
		p.cuts[i] = at
	}
	return p
}

// hashText mixes a text into a hash. The result is the same on every machine, but
// not secure against deliberate collisions.
func hashText(h uint64, s string) uint64 {
	const k = 0x9E3779B97F4A7C15
	mix := func(v uint64) {
		hi, lo := bits.Mul64(h^v, k)
		h = hi ^ lo ^ bits.RotateLeft64(v, 29)
	}
	mix(uint64(len(s)) + k)
	for ; len(s) >= 8; s = s[8:] {
		mix(binary.LittleEndian.Uint64([]byte(s[:8])))
	}
	var tail [8]byte
	copy(tail[:], s)
	mix(binary.LittleEndian.Uint64(tail[:]))
	return h
}

// quote appends a text as a JSON string.
func quote(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7F {
			text, err := json.Marshal(s)
			if err != nil {
				panic(err) // impossible: every string can be encoded
			}
			return append(b, text...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

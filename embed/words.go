package embed

import (
	"math"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/carrot-router/carrot"
)

// Words writes the sparse representation of text to dst and reuses its memory.
// There is one entry for every distinct word and every distinct pair of
// neighbouring words: its index is the 32-bit hash of the lower-case letters and
// digits, its value 1 + ln(count). Indices are in ascending order. Those of pairs
// have the top bit set ([carrot.PairBit]), so they follow the words. Predictors
// fold the indices into buckets and weight them.
//
// Each letter of a script that is written without spaces (Chinese, Japanese,
// Thai, Lao, Khmer, Burmese) counts as a word. Bytes that are not UTF-8 separate
// words.
func Words(text string, dst *carrot.Sparse) {
	count(appendHashes(dst.Index[:0], nil, text), dst)
}

// represent writes all of a representation that does not need an embedder: words, pairs
// and grams.
func represent(text string, dst *carrot.Representation) {
	grams := dst.Grams[:0]
	count(appendHashes(dst.Sparse.Index[:0], &grams, text), &dst.Sparse)
	dst.Grams = grams
}

// count sorts hashes and counts equal ones.
func count(index []uint32, dst *carrot.Sparse) {
	index = sortHashes(index)
	value := dst.Value[:0]
	distinct := 0
	for at := 0; at < len(index); {
		run := at + 1
		for run < len(index) && index[run] == index[at] {
			run++
		}
		index[distinct] = index[at]
		value = append(value, logCount(run-at))
		distinct++
		at = run
	}
	dst.Index, dst.Value = index[:distinct], value
}

// sortHashes sorts hashes. It first distributes them by their top byte, in the
// list's spare capacity, and then sorts each group. The groups are small, which
// leaves few comparisons that the processor cannot predict.
func sortHashes(list []uint32) []uint32 {
	n := len(list)
	list = slices.Grow(list, n)
	var end [256]int
	for _, h := range list {
		end[h>>24]++
	}
	at := 0
	for group, count := range end {
		end[group] = at
		at += count
	}
	moved := list[n : 2*n]
	for _, h := range list {
		moved[end[h>>24]] = h
		end[h>>24]++
	}
	at = 0
	for _, end := range end {
		if end > at+1 {
			slices.Sort(moved[at:end])
		}
		at = end
	}
	copy(list, moved)
	return list
}

// logCounts holds 1 + ln(n) for small counts n.
var logCounts = func() (t [64]float32) {
	for n := range t {
		t[n] = float32(1 + math.Log(max(float64(n), 1)))
	}
	return t
}()

func logCount(n int) float32 {
	if n < len(logCounts) {
		return logCounts[n]
	}
	return float32(1 + math.Log(float64(n)))
}

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// appendHashes appends the hash of every word and every pair of words and, if grams is not
// nil, to grams that of every four neighbouring characters of a word with a space before
// and after it. A word of one character has one gram, of three.
func appendHashes(dst []uint32, grams *[]uint32, text string) []uint32 {
	var hash, previous uint64 // 0 if there is no word
	var run uint64            // the last four characters, of 16 bits each
	add := func(c uint64) {
		if grams == nil {
			return
		}
		if hash == 0 {
			run = ' '
		}
		if run = run<<16 | c&0xffff; run > 1<<48 {
			*grams = append(*grams, gram(run))
		}
	}
	end := func() {
		if hash == 0 {
			return
		}
		if add(' '); grams != nil && run < 1<<48 {
			*grams = append(*grams, gram(run))
		}
		dst = append(dst, finish(hash)&^carrot.FirstPair)
		if previous != 0 {
			dst = append(dst, finish((previous^(hash>>1))*fnvPrime+hash)|carrot.FirstPair)
		}
		previous, hash = hash, 0
	}
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			i++
			switch {
			case c >= 'A' && c <= 'Z':
				c += 'a' - 'A'
			case c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_':
			default:
				end()
				continue
			}
			add(uint64(c))
			hash = step(hash, uint64(c))
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		i += size
		switch {
		case r == utf8.RuneError && size == 1, !unicode.In(r, unicode.L, unicode.M, unicode.N):
			end()
		case unspaced(r):
			end()
			add(uint64(r))
			hash = step(0, uint64(r))
			end()
		default:
			r = unicode.ToLower(r)
			add(uint64(r))
			hash = step(hash, uint64(r))
		}
	}
	end()
	return dst
}

// gram is the hash of the characters of a gram.
func gram(run uint64) uint32 { return uint32(run * 0x9e3779b97f4a7c15 >> 32) }

// step adds a character to the hash of a word (FNV-1a over code points).
func step(hash, c uint64) uint64 {
	if hash == 0 {
		hash = fnvOffset
	}
	return (hash ^ c) * fnvPrime
}

// finish mixes the bits of a hash, so that its low bits spread over buckets.
func finish(h uint64) uint32 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	return uint32(h)
}

// unspaced reports whether r belongs to a script that is written without spaces.
func unspaced(r rune) bool {
	return r >= 0x0E00 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana,
		unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}

package price

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"hash/maphash"
	"io"
	"math"
	"math/bits"
	"sync"
	"unicode/utf8"
)

// o200kFile is the vocabulary of OpenAI's o200k encoding, written by testdata/o200k.py:
// the lengths of all tokens by rank, a byte each, then their texts.
//
//go:embed o200k.gz
var o200kFile []byte

// o200kSize is the number of its tokens.
const o200kSize = 199998

// vocabulary finds the rank of a token. It holds no pointers, which a garbage collector
// would have to follow.
type vocabulary struct {
	text  string   // of all tokens by rank
	end   []uint32 // of each token in text; end[0] is 0, so that token r is text[end[r]:end[r+1]]
	slots []uint32 // the rank plus 1 by hash, then in the next free slot; 0 is free
}

var o200k = sync.OnceValue(func() *vocabulary {
	file, err := gzip.NewReader(bytes.NewReader(o200kFile))
	if err != nil {
		panic(err) // a test reads the embedded file
	}
	all, err := io.ReadAll(file)
	if err != nil {
		panic(err)
	}
	lengths := all[:o200kSize]
	v := &vocabulary{text: string(all[o200kSize:]), end: make([]uint32, len(lengths)+1), slots: make([]uint32, 1<<bits.Len(2*o200kSize))}
	for r, n := range lengths {
		v.end[r+1] = v.end[r] + uint32(n)
		slot, _ := v.find(v.text[v.end[r]:v.end[r+1]])
		*slot = uint32(r) + 1
	}
	return v
})

// find returns the slot of a token, which is 0 if it is not in the vocabulary.
func (v *vocabulary) find(token string) (slot *uint32, rank uint32) {
	for at := maphash.String(seed, token); ; at++ {
		slot := &v.slots[at%uint64(len(v.slots))]
		if *slot == 0 {
			return slot, noRank
		}
		if r := *slot - 1; v.text[v.end[r]:v.end[r+1]] == token {
			return slot, r
		}
	}
}

// noRank is the rank of what is not a token.
const noRank = math.MaxUint32

// rank returns the rank of a token, or noRank.
func (v *vocabulary) rank(token string) uint32 {
	if len(token) > math.MaxUint8 {
		return noRank
	}
	_, rank := v.find(token)
	return rank
}

// encode counts the tokens of a piece of text: byte-pair encoding merges the two
// neighbours that make the token of the lowest rank, the leftmost first, until no two
// neighbours make a token.
func encode(piece string) int {
	if !utf8.ValidString(piece) {
		piece = string([]rune(piece))
	}
	v := o200k()
	if v.rank(piece) != noRank {
		return 1
	}
	// Parts begin at every byte. next[i] is where the part after the one at i begins,
	// and prev[i] where the one before it; merging joins the part at i and the next.
	n := len(piece)
	next, prev := make([]int32, n+1), make([]int32, n+1)
	var merges mergeHeap
	merge := func(i int32) uint32 { // the rank of the part at i and the next one
		if i < 0 || int(next[i]) >= n {
			return noRank
		}
		return v.rank(piece[i:next[next[i]]])
	}
	for i := range next {
		next[i], prev[i] = int32(i)+1, int32(i)-1
	}
	propose := func(i int32) {
		if rank := merge(i); rank != noRank {
			merges.push(uint64(rank)<<32 | uint64(i))
		}
	}
	for i := range int32(n) {
		propose(i)
	}
	parts := n
	for len(merges) > 0 {
		least := merges.pop()
		i := int32(least & math.MaxUint32)
		// A merge that was proposed before one of its parts was merged is void.
		if next[i] == gone || merge(i) != uint32(least>>32) {
			continue
		}
		j := next[i]
		next[i], next[j] = next[j], gone
		prev[next[i]] = i
		parts--
		propose(prev[i])
		propose(i)
	}
	return parts
}

// gone is what follows a part that has been merged with the one before it.
const gone = -1

// mergeHeap holds ranks in the upper and offsets in the lower half, the least on top.
type mergeHeap []uint64

func (h *mergeHeap) push(x uint64) {
	s := append(*h, x)
	i := len(s) - 1
	for ; i > 0 && s[(i-1)/2] > x; i = (i - 1) / 2 {
		s[i] = s[(i-1)/2]
	}
	s[i] = x
	*h = s
}

func (h *mergeHeap) pop() uint64 {
	s := *h
	top, x := s[0], s[len(s)-1]
	s = s[:len(s)-1]
	i := 0
	for child := 1; child < len(s); child = 2*i + 1 {
		if child+1 < len(s) && s[child+1] < s[child] {
			child++
		}
		if s[child] >= x {
			break
		}
		s[i] = s[child]
		i = child
	}
	if len(s) > 0 {
		s[i] = x
	}
	*h = s
	return top
}

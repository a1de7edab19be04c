package embed

import "math/bits"

// pieceTable finds pieces by their bytes. It is a hash table with linear probing,
// half the size of a map: a text's words find it cold, so its speed is that of
// memory. It is never changed.
type pieceTable struct {
	slots   []pieceSlot // a power of two of them, at most half of them taken
	vocab   []string
	prefix  int // bytes of a token that are not of the piece
	longest int // bytes
}

type pieceSlot struct {
	hash uint32
	id   int32 // plus one; zero: free
}

// newPieceTable returns the table of pieces by id. All tokens have as many bytes
// more than their pieces.
func newPieceTable(pieces map[string]int32, vocab []string, prefix int) pieceTable {
	t := pieceTable{slots: make([]pieceSlot, 1<<bits.Len(uint(2*len(pieces)))), vocab: vocab, prefix: prefix}
	for piece, id := range pieces {
		t.longest = max(t.longest, len(piece))
		hash := uint32(pieceBasis)
		for i := range len(piece) {
			hash = pieceHash(hash, piece[i])
		}
		at := hash
		for t.slots[t.at(at)].id != 0 {
			at++
		}
		t.slots[t.at(at)] = pieceSlot{hash, id + 1}
	}
	return t
}

func (t *pieceTable) at(probe uint32) uint32 { return probe & uint32(len(t.slots)-1) }

// find returns the id of a piece with this hash.
func (t *pieceTable) find(piece []byte, hash uint32) (id int32, ok bool) {
	for at := hash; ; at++ {
		s := t.slots[t.at(at)]
		if s.id == 0 {
			return 0, false
		}
		if s.hash == hash && t.vocab[s.id-1][t.prefix:] == string(piece) {
			return s.id - 1, true
		}
	}
}

const pieceBasis = 2166136261

// pieceHash hashes one more byte, and turns the high bits, which depend on most of
// the others, into low ones.
func pieceHash(hash uint32, b byte) uint32 { return bits.RotateLeft32((hash^uint32(b))*0x9E3779B1, 15) }

package embed

import "math/bits"

// pieceTable finds pieces by their bytes. It is a hash table with linear probing
// whose slots hold the first eight bytes of their pieces: a text's words find it
// cold, and most are found or missed with one look into memory. It is never
// changed.
type pieceTable struct {
	slots   []pieceSlot // a power of two of them, at most half of them taken
	vocab   []string
	prefix  int // bytes of a token that are not of the piece
	longest int // bytes
}

type pieceSlot struct {
	first uint64 // bytes, see firstBytes
	size  int32  // of the piece
	id    int32  // plus one; zero: free
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
		for t.slots[t.at(hash)].id != 0 {
			hash++
		}
		t.slots[t.at(hash)] = pieceSlot{firstBytes([]byte(piece)), int32(len(piece)), id + 1}
	}
	return t
}

func (t *pieceTable) at(probe uint32) uint32 { return probe & uint32(len(t.slots)-1) }

// find returns the id of a piece, of which it is told the hash and the first
// bytes.
func (t *pieceTable) find(piece []byte, hash uint32, first uint64) (id int32, ok bool) {
	for {
		s := &t.slots[t.at(hash)]
		if s.id == 0 {
			return 0, false
		}
		if s.first == first && int(s.size) == len(piece) && (len(piece) <= 8 || t.vocab[s.id-1][t.prefix:] == string(piece)) {
			return s.id - 1, true
		}
		hash++
	}
}

// firstBytes are eight bytes or fewer as a number, the first the lowest.
func firstBytes(b []byte) (first uint64) {
	for i, c := range b[:min(len(b), 8)] {
		first |= uint64(c) << (8 * i)
	}
	return first
}

// upTo leaves only so many of the first bytes.
func upTo(first uint64, n int) uint64 {
	if n >= 8 {
		return first
	}
	return first & (1<<(8*n) - 1)
}

const pieceBasis = 2166136261

// pieceHash hashes one more byte, and turns the high bits, which depend on most of
// the others, into low ones.
func pieceHash(hash uint32, b byte) uint32 { return bits.RotateLeft32((hash^uint32(b))*0x9E3779B1, 15) }

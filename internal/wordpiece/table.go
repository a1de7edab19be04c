package wordpiece

import "math/bits"

// pieceTable finds pieces by their bytes. It is an immutable hash table with
// linear probing. The table is rarely in the processor's cache, so each slot
// holds the first eight bytes of its piece: most lookups then need one access
// to memory.
type pieceTable struct {
	slots   []pieceSlot // their number is a power of two; at most half are used
	vocab   []string
	prefix  int // bytes at the start of a token that do not belong to the piece
	longest int // length of the longest piece in bytes
}

type pieceSlot struct {
	first uint64 // see firstBytes
	size  int32  // length of the piece in bytes
	id    int32  // plus one; zero means that the slot is free
}

// newPieceTable returns a table of pieces. Each token in vocab is its piece
// after prefix bytes.
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

// find returns the id of a piece with the given hash and first bytes.
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

// firstBytes returns the first eight bytes of b, or all if there are fewer, as a
// little-endian number.
func firstBytes(b []byte) (first uint64) {
	for i, c := range b[:min(len(b), 8)] {
		first |= uint64(c) << (8 * i)
	}
	return first
}

// upTo keeps the first n bytes of what firstBytes returned.
func upTo(first uint64, n int) uint64 {
	if n >= 8 {
		return first
	}
	return first & (1<<(8*n) - 1)
}

const pieceBasis = 2166136261

// pieceHash adds a byte to a hash. The rotation moves the best-mixed bits to the
// low end, which selects the slot.
func pieceHash(hash uint32, b byte) uint32 { return bits.RotateLeft32((hash^uint32(b))*0x9E3779B1, 15) }

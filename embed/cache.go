package embed

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/carrot-router/carrot/internal/readfile"
)

// Cache keeps the vectors of an encoder on disk, so that each is computed once,
// even if a run is interrupted. Texts are stored as hashes only. It is safe for
// concurrent use. A nil *Cache caches nothing.
//
// The file is append-only and has records of one size: SHA-256 of the text, the
// vector as little-endian float32, CRC-32 of both. Records that do not match
// their checksum are ignored and computed again.
type Cache struct {
	mu      sync.Mutex
	path    string
	vectors map[[sha256.Size]byte][]float32
	dim     int  // 0 if not known yet
	foreign bool // the file has no valid header and will be overwritten
}

// cacheHeader begins the file. The length of the vectors follows as uint32.
const cacheHeader = "CRTVEC1\n"

// maxCache is the largest file of a cache that is read, in bytes.
const maxCache = 64 << 30

// OpenCache opens the cache of an encoder in a folder, which it makes if needed,
// private to the user. The file of the cache must not be a symbolic link, nor
// belong to another user than root. Errors wrap [ErrCache].
func OpenCache(folder, encoderID string) (*Cache, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("open %w: %w", ErrCache, err)
	}
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\:*?"<>| `, r) {
			return '_'
		}
		return r
	}, encoderID)
	c := &Cache{path: filepath.Join(folder, name+".vectors"), vectors: map[[sha256.Size]byte][]float32{}}
	data, err := readfile.ReadOwn(c.path, maxCache)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open %w: %w", ErrCache, err)
	}
	c.read(data)
	return c, nil
}

// read loads every intact record.
func (c *Cache) read(data []byte) {
	if len(data) < len(cacheHeader)+4 || string(data[:len(cacheHeader)]) != cacheHeader {
		c.foreign = true
		return
	}
	dim := int(binary.LittleEndian.Uint32(data[len(cacheHeader):]))
	data = data[len(cacheHeader)+4:]
	size := sha256.Size + 4*dim + 4
	if dim <= 0 || dim > 1<<16 {
		c.foreign = true
		return
	}
	c.dim = dim
	for ; len(data) >= size; data = data[size:] {
		body := data[:size-4]
		if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(data[size-4:]) {
			continue
		}
		vector := make([]float32, dim)
		for i := range vector {
			vector[i] = math.Float32frombits(binary.LittleEndian.Uint32(body[sha256.Size+4*i:]))
		}
		c.vectors[[sha256.Size]byte(body)] = vector
	}
}

// get returns the vector of a text, which must not be changed.
func (c *Cache) get(text string) ([]float32, bool) {
	if c == nil {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.vectors[sha256.Sum256([]byte(text))]
	return v, ok
}

// put adds the vectors of texts and writes them to the file.
func (c *Cache) put(texts []string, vectors [][]float32) error {
	if c == nil || len(texts) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []byte
	for i, text := range texts {
		if c.dim == 0 {
			c.dim = len(vectors[i])
		}
		if len(vectors[i]) != c.dim {
			return fmt.Errorf("%w %s: vector of length %d, want %d; delete the file if the encoder changed", ErrCache, c.path, len(vectors[i]), c.dim)
		}
		key := sha256.Sum256([]byte(text))
		c.vectors[key] = vectors[i]
		start := len(out)
		out = append(out, key[:]...)
		for _, v := range vectors[i] {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
		}
		out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(out[start:]))
	}
	return c.append(out)
}

// append writes whole records at the end of the file. It overwrites a last
// record that an earlier crash cut short, and a file without a valid header.
func (c *Cache) append(records []byte) error {
	f, err := os.OpenFile(c.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("write %w: %w", ErrCache, err)
	}
	info, err := f.Stat()
	if err == nil {
		head := int64(len(cacheHeader) + 4)
		size := int64(sha256.Size + 4*c.dim + 4)
		at := info.Size()
		if c.foreign {
			at, err = 0, f.Truncate(0)
		}
		if err == nil && at < head {
			at = head
			_, err = f.WriteAt(binary.LittleEndian.AppendUint32([]byte(cacheHeader), uint32(c.dim)), 0)
		}
		at -= (at - head) % size
		if err == nil {
			_, err = f.WriteAt(records, at)
		}
		c.foreign = c.foreign && err != nil
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write %w: %w", ErrCache, err)
	}
	return nil
}

package eval

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/carrot-router/carrot/internal/atomicfile"
	"github.com/carrot-router/carrot/train"
)

// Cache keeps fitted routers on disk, so that a comparison that was interrupted
// goes on where it stopped. The zero Cache keeps nothing.
type Cache struct {
	// Dir is the folder; it is made when it is needed. A version of the code
	// should have one of its own.
	Dir string
}

// key names a fit: the contender, the data, its prices, the
// vectors and the rows.
func (c *Cache) key(who Contender, t *train.Task, rows []int) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s\n", who.Key(), t.Set.Fingerprint, t.Embedder)
	for _, p := range t.Prices {
		fmt.Fprintf(h, "%v\n", p)
	}
	fmt.Fprintln(h, t.PerCall, rows)
	return hex.EncodeToString(h.Sum(nil))
}

// load returns the fitted router, or nil if it is not there or not whole.
func (c *Cache) load(who Contender, t *train.Task, rows []int) fitted {
	if c.Dir == "" {
		return nil
	}
	data, err := os.ReadFile(filepath.Join(c.Dir, c.key(who, t, rows)))
	if err != nil {
		return nil
	}
	f, err := who.load(t, bytes.NewReader(data))
	if err != nil {
		return nil
	}
	return f
}

// keep saves a fitted router, all at once.
func (c *Cache) keep(who Contender, t *train.Task, rows []int, f fitted) error {
	if c.Dir == "" {
		return nil
	}
	// A killed run leaves its file half written, and no run writes for so long.
	if old, err := filepath.Glob(filepath.Join(c.Dir, atomicfile.Leftovers)); err == nil {
		for _, path := range old {
			if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > time.Hour {
				os.Remove(path)
			}
		}
	}
	if err := os.MkdirAll(c.Dir, 0o777); err != nil {
		return fmt.Errorf("keep fitted router: %w", err)
	}
	if err := atomicfile.Write(filepath.Join(c.Dir, c.key(who, t, rows)), 0o600, f.save); err != nil {
		return fmt.Errorf("keep fitted router: %w", err)
	}
	return nil
}

package eval

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/carrot-router/carrot/internal/atomicfile"
	"github.com/carrot-router/carrot/table"
)

// errNotKept is the error for a router that cannot be saved.
var errNotKept = errors.New("a router from outside this module cannot be kept")

// cache keeps fitted routers on disk. The zero cache keeps nothing.
type cache struct {
	// Dir is the folder, which is created when needed.
	Dir string
}

// unusedFor is how long the fitted routers of another build are kept.
const unusedFor = 7 * 24 * time.Hour

// newCache returns the cache of the running program in a folder, so that nothing is
// answered from before a change of its code. It removes what other builds have left
// there and not used for a week. Without a folder nothing is kept.
func newCache(all string) cache {
	program := programHash()
	if all == "" || program == "" {
		return cache{}
	}
	others, _ := os.ReadDir(all) // none if it does not exist
	for _, o := range others {
		if info, err := o.Info(); err == nil && o.Name() != program && time.Since(info.ModTime()) > unusedFor {
			os.RemoveAll(filepath.Join(all, o.Name()))
		}
	}
	mine := filepath.Join(all, program)
	os.Chtimes(mine, time.Time{}, time.Now()) // marks it as used, if it exists
	return cache{Dir: mine}
}

// programHash is the hash of the running binary, "" if it cannot be read.
var programHash = sync.OnceValue(func() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
})

// key names a fit: the method, the data, its prices, the vectors and the rows.
func (c *cache) key(who method, t *table.Table, rows []int) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s\n", who.key(), t.Set.Fingerprint, t.Embedder)
	for _, c := range t.Candidates {
		fmt.Fprintf(h, "%v\n", c.Price)
	}
	fmt.Fprintln(h, t.PerCall, rows)
	return hex.EncodeToString(h.Sum(nil))
}

// load returns the fitted router, or nil if there is none or it is damaged.
func (c *cache) load(who method, t *table.Table, rows []int) fitted {
	if c.Dir == "" || who.key() == "" {
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

// keep saves a fitted router, all or nothing.
func (c *cache) keep(who method, t *table.Table, rows []int, f fitted) error {
	if c.Dir == "" || who.key() == "" {
		return nil
	}
	// A run that was killed leaves a part of a file. No file takes an hour to write.
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

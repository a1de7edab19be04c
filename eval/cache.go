package eval

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/carrot-router/carrot/internal/atomicfile"
	"github.com/carrot-router/carrot/internal/readfile"
	"github.com/carrot-router/carrot/table"
)

// errNotKept is the error for a router that cannot be saved.
var errNotKept = errors.New("a router from outside this module cannot be kept")

// cache keeps fitted routers on disk. The zero cache keeps nothing.
type cache struct {
	// Dir is the folder, which is created when needed.
	Dir string
}

// maxFitted is the largest file of a fitted router that is read, in bytes.
const maxFitted = 4 << 30

// unusedFor is how long the fitted routers of another build are kept.
const unusedFor = 7 * 24 * time.Hour

// newCache returns the cache of the running program in a folder, so that nothing is
// answered from before a change of its code. It removes what other builds have left
// there and not used for a week, and nothing else that may be in the folder. Without
// a folder nothing is kept.
func newCache(all string) cache {
	program := programHash()
	if all == "" || program == "" {
		return cache{}
	}
	others, _ := os.ReadDir(all) // none if it does not exist
	for _, o := range others {
		if !isProgram(o) || o.Name() == program {
			continue
		}
		if info, err := o.Info(); err == nil && time.Since(info.ModTime()) > unusedFor {
			os.RemoveAll(filepath.Join(all, o.Name()))
		}
	}
	mine := filepath.Join(all, program)
	os.Chtimes(mine, time.Time{}, time.Now()) // marks it as used, if it exists
	return cache{Dir: mine}
}

// isProgram reports whether an entry is the folder of a build.
func isProgram(e fs.DirEntry) bool {
	sum, err := hex.DecodeString(e.Name())
	return e.IsDir() && err == nil && len(sum) == programBytes
}

// programBytes is the length of a hash of a binary.
const programBytes = 16

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
	return hex.EncodeToString(h.Sum(nil)[:programBytes])
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

// file returns the path of the router, and its content if it is kept. It is an
// error if the folder or the file is a link or belongs to another user: somebody
// else may have put it there.
func (c *cache) file(who method, t *table.Table, rows []int) (path string, data []byte, err error) {
	path = filepath.Join(c.Dir, c.key(who, t, rows))
	if err = readfile.CheckOwnFolder(c.Dir); err == nil {
		data, err = readfile.ReadOwn(path, maxFitted)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return path, data, err
}

// load returns the fitted router, or nil if there is none, it is damaged, or
// somebody else may have put it there.
func (c *cache) load(who method, t *table.Table, rows []int) fitted {
	if c.Dir == "" || who.key() == "" {
		return nil
	}
	_, data, err := c.file(who, t, rows)
	if err != nil || data == nil {
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
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return fmt.Errorf("keep fitted router: %w", err)
	}
	path, _, err := c.file(who, t, rows)
	if err != nil && !errors.Is(err, readfile.ErrTooLarge) {
		return fmt.Errorf("keep fitted router: %w", err)
	}
	// A run that was killed leaves a part of a file. No file takes an hour to write.
	if old, err := filepath.Glob(filepath.Join(c.Dir, atomicfile.Leftovers)); err == nil {
		for _, path := range old {
			if info, err := os.Lstat(path); err == nil && time.Since(info.ModTime()) > time.Hour {
				os.Remove(path)
			}
		}
	}
	if err := atomicfile.Write(path, 0o600, f.save); err != nil {
		return fmt.Errorf("keep fitted router: %w", err)
	}
	return nil
}

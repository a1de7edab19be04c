package record

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	flushBytes = 64 << 10    // buffered, then written
	heldBytes  = 4 << 20     // buffered at most while the file cannot be written
	flushEvery = time.Second // at the latest
)

// rotatedTime is in the names of rotated files.
const rotatedTime = "20060102T150405.000Z"

// JSONL appends attempts to a file, one line each in the form carrot.attempt/1. It
// is a recorder for package gateway. Lines are buffered for a second at most; a crash loses
// those, a Close none.
//
// When the file would grow over its limit it is renamed and begun anew:
// decisions.jsonl becomes decisions-20261124T170102.123Z.jsonl. Such a name says
// when the file ended and never changes again, so what follows or copies rotated
// files is not led astray, as it is where path.1 becomes path.2.
type JSONL struct {
	path     string
	maxBytes int64
	keep     int
	open     func(path string) (jsonlFile, int64, error)
	now      func() time.Time

	stop    chan struct{} // closed by Close
	stopped chan struct{} // closed when the flusher is gone

	mu      sync.Mutex
	file    jsonlFile
	size    int64     // of the file
	buffer  []byte    // begins within a line after a write that was cut short
	err     error     // why the buffer is held back
	rotated time.Time // in the latest rotated file's name
	closed  bool
}

// jsonlFile is what is used of an *os.File.
type jsonlFile interface {
	io.WriteCloser
	Sync() error
}

// OpenJSONL opens a record file, which is made for its owner's eyes only, or
// continues it. It is rotated before it grows over maxBytes (0: never), and the
// latest keep rotated files are kept (0: all). One process writes a file.
func OpenJSONL(path string, maxBytes int64, keep int) (*JSONL, error) {
	j := &JSONL{path: path, maxBytes: maxBytes, keep: keep, open: openJSONL, now: time.Now}
	if err := j.start(); err != nil {
		return nil, err
	}
	return j, nil
}

func (j *JSONL) start() error {
	var err error
	if j.file, j.size, err = j.open(j.path); err != nil {
		return fmt.Errorf("open records: %w", err)
	}
	if info, err := os.Stat(j.path); err == nil && !info.Mode().IsRegular() {
		j.maxBytes = 0 // a pipe has no other name to take
	}
	j.stop, j.stopped = make(chan struct{}), make(chan struct{})
	go j.flusher()
	return nil
}

// openJSONL opens a file to append to and ends the half line of a crash.
func openJSONL(path string) (jsonlFile, int64, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, 0, err
	}
	size, err := endLine(f)
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, size, nil
}

func endLine(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return 0, err
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], info.Size()-1); err != nil || last[0] == '\n' {
		return info.Size(), err
	}
	_, err = f.WriteString("\n")
	return info.Size() + 1, err
}

// lines are buffers to encode in.
var lines = sync.Pool{New: func() any { return new([]byte) }}

// Record appends the attempt. An error says that the file cannot be written:
// up to 4 MiB of lines are then held back and written when it can be, and
// further ones are lost. Whatever happens, no line is written in part between
// others.
func (j *JSONL) Record(_ context.Context, a *Attempt) error {
	scratch := lines.Get().(*[]byte)
	line := append(a.AppendJSON((*scratch)[:0]), '\n')
	err := j.append(line)
	if cap(line) <= flushBytes {
		*scratch = line
		lines.Put(scratch)
	}
	return err
}

func (j *JSONL) append(line []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return fmt.Errorf("record in %s: %w", j.path, os.ErrClosed)
	}
	if j.err == nil && j.isFull(len(line)) {
		j.rotate() // what goes wrong is in j.err
	}
	if j.err != nil && len(j.buffer)+len(line) > heldBytes {
		return fmt.Errorf("record lost: %w", j.err)
	}
	j.buffer = append(j.buffer, line...)
	if j.err == nil && len(j.buffer) >= flushBytes {
		j.flush()
	}
	return j.err
}

// isFull reports whether n more bytes go over the limit. A file holds one line
// at least.
func (j *JSONL) isFull(n int) bool {
	held := j.size + int64(len(j.buffer))
	return j.maxBytes > 0 && held > 0 && held+int64(n) > j.maxBytes
}

// flush writes the buffer and keeps what could not be written.
func (j *JSONL) flush() {
	n, err := 0, error(nil)
	if len(j.buffer) > 0 {
		n, err = j.file.Write(j.buffer)
	}
	j.size += int64(n)
	j.buffer = j.buffer[:copy(j.buffer, j.buffer[n:])]
	j.err = err
	if err != nil {
		j.err = fmt.Errorf("write records: %w", err)
	} else if cap(j.buffer) > 4*flushBytes {
		j.buffer = nil // it held back lines, or very long ones
	}
}

// rotate gives the full file another name and begins a new one.
func (j *JSONL) rotate() {
	if j.flush(); j.err != nil {
		return
	}
	// The file is gone where another program moved it, or a new one failed to
	// open before.
	if err := os.Rename(j.path, j.rotatedName()); err != nil && !errors.Is(err, os.ErrNotExist) {
		j.err = fmt.Errorf("rotate records: %w", err)
		return
	}
	if err := j.reopen(); err != nil {
		j.err = fmt.Errorf("rotate records: %w", err)
		return
	}
	if err := j.prune(); err != nil {
		j.err = fmt.Errorf("rotate records: %w", err)
	}
}

// reopen goes on in the file of the path; the old one must be written.
func (j *JSONL) reopen() error {
	file, size, err := j.open(j.path)
	if err != nil {
		return err
	}
	old := j.file
	j.file, j.size = file, size
	return old.Close()
}

func (j *JSONL) affixes() (before, after string) {
	after = filepath.Ext(j.path)
	return strings.TrimSuffix(j.path, after) + "-", after
}

// rotatedName is a name that no file has, later than the one before.
func (j *JSONL) rotatedName() string {
	before, after := j.affixes()
	at := j.now().UTC().Truncate(time.Millisecond)
	if !at.After(j.rotated) {
		at = j.rotated.Add(time.Millisecond)
	}
	for ; ; at = at.Add(time.Millisecond) {
		name := before + at.Format(rotatedTime) + after
		if _, err := os.Lstat(name); err != nil {
			j.rotated = at
			return name
		}
	}
}

// prune deletes the oldest rotated files.
func (j *JSONL) prune() error {
	if j.keep <= 0 {
		return nil
	}
	before, after := j.affixes()
	entries, err := os.ReadDir(filepath.Dir(j.path)) // sorted, so by time
	if err != nil {
		return err
	}
	var rotated []string
	for _, e := range entries {
		name := filepath.Join(filepath.Dir(j.path), e.Name())
		text, found := strings.CutPrefix(name, filepath.Clean(before))
		text, ended := strings.CutSuffix(text, after)
		if _, err := time.Parse(rotatedTime, text); err == nil && found && ended {
			rotated = append(rotated, name)
		}
	}
	for len(rotated) > j.keep {
		if err := os.Remove(rotated[0]); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		rotated = rotated[1:]
	}
	return nil
}

// flusher writes what is buffered once a second, and tries again what failed.
func (j *JSONL) flusher() {
	defer close(j.stopped)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-j.stop:
			return
		case <-tick.C:
			j.mu.Lock()
			j.flush()
			j.mu.Unlock()
		}
	}
}

// Reopen writes what is buffered and goes on in a new file of the path, after
// another program has renamed the old one.
func (j *JSONL) Reopen() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return fmt.Errorf("reopen %s: %w", j.path, os.ErrClosed)
	}
	// What was cut short must go on where it began.
	if j.flush(); j.err != nil {
		return j.err
	}
	if err := j.reopen(); err != nil {
		return fmt.Errorf("reopen records: %w", err)
	}
	return nil
}

// Close writes all lines to the disk and closes the file. Later calls do
// nothing.
func (j *JSONL) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	j.closed = true
	close(j.stop)
	j.flush()
	synced := j.file.Sync()
	if errors.Is(synced, syscall.EINVAL) {
		synced = nil // a pipe
	}
	err := errors.Join(j.err, synced, j.file.Close())
	j.mu.Unlock()
	<-j.stopped
	if err != nil {
		return fmt.Errorf("close records: %w", err)
	}
	return nil
}

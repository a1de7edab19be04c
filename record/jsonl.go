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
	flushBytes = 64 << 10    // size of the buffer at which it is written
	heldBytes  = 4 << 20     // its largest size, while the file cannot be written
	flushEvery = time.Second // time after which it is written in any case
)

// rotatedTime is the form of the time in the names of rotated files.
const rotatedTime = "20060102T150405.000Z"

// JSONL appends attempts to a file, one line each in the form carrot.attempt/1. It
// is a recorder for package gateway, safe for concurrent use. Lines are buffered for
// up to a second. A crash loses buffered lines; Close writes them.
//
// Before the file exceeds its size limit, it is renamed and a new one is begun:
// decisions.jsonl becomes decisions-20261124T170102.123Z.jsonl. The name says when
// the file was finished and never changes again, so that programs that follow or
// copy rotated files are not confused, as they would be if path.1 became path.2.
type JSONL struct {
	path     string
	maxBytes int64
	keep     int
	open     func(path string) (jsonlFile, int64, error)
	now      func() time.Time

	stop    chan struct{} // closed by Close
	stopped chan struct{} // closed when the flusher has returned

	mu      sync.Mutex
	file    jsonlFile
	size    int64     // of the file
	buffer  []byte    // may begin in the middle of a line, after an incomplete write
	err     error     // why the buffer could not be written
	rotated time.Time // in the name of the latest rotated file
	closed  bool
}

// jsonlFile is the part of *os.File that JSONL uses.
type jsonlFile interface {
	io.WriteCloser
	Sync() error
}

// OpenJSONL opens a file of records to append to it. If the file does not exist, it
// is created with permissions for its owner only. The file is rotated before it
// exceeds maxBytes (0: never), and the newest keep rotated files are kept (0: all).
// Only one process may write to a file.
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
		j.maxBytes = 0 // a pipe cannot be rotated
	}
	j.stop, j.stopped = make(chan struct{}), make(chan struct{})
	go j.flusher()
	return nil
}

// openJSONL opens a file to append to it. If a crash left an incomplete line, it
// ends that line.
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

// Record appends an attempt. It returns an error if the file cannot be written. Up
// to 4 MiB of lines are then kept until the file can be written again, and further
// ones are lost. No error leaves an incomplete line between others.
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
		j.rotate() // its error is in j.err
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

// isFull reports whether n more bytes would exceed the limit of a file. Every file
// holds at least one line.
func (j *JSONL) isFull(n int) bool {
	held := j.size + int64(len(j.buffer))
	return j.maxBytes > 0 && held > 0 && held+int64(n) > j.maxBytes
}

// flush writes the buffer and keeps the part that could not be written.
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
		j.buffer = nil // it grew while the file could not be written, or for a long line
	}
}

// rotate renames the full file and begins a new one.
func (j *JSONL) rotate() {
	if j.flush(); j.err != nil {
		return
	}
	// The file may not exist: another program may have moved it, or an earlier
	// rotation may have failed to open a new one.
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

// reopen replaces the file by the one that is now at the path. The buffer must have
// been written.
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

// rotatedName returns a name that no file has and that sorts after earlier ones.
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

// flusher writes the buffer once a second, also after an error.
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

// Reopen writes the buffer and continues in a new file at the same path. Call it
// after another program has renamed the file.
func (j *JSONL) Reopen() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return fmt.Errorf("reopen %s: %w", j.path, os.ErrClosed)
	}
	// The rest of an incomplete line belongs in the old file.
	if j.flush(); j.err != nil {
		return j.err
	}
	if err := j.reopen(); err != nil {
		return fmt.Errorf("reopen records: %w", err)
	}
	return nil
}

// Close writes all lines to the disk and closes the file. Further calls have no
// effect.
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

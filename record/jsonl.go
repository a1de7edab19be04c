package record

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	flushBytes = 64 << 10        // buffered, then written
	heldBytes  = 4 << 20         // buffered at most while the file takes no data
	flushEvery = time.Second     // at the latest
	stallAfter = time.Second     // a write that takes longer counts as failed
	closeAfter = 5 * time.Second // Close and Reopen do not wait longer
)

var errStalled = errors.New("the file takes no data")

// JSONLOptions are the settings of a [JSONL]. The zero value works.
type JSONLOptions struct {
	// MaxBytes is the size that a file may have before it is rotated; 0: any.
	MaxBytes int64
	// Keep is how many rotated files are kept, the latest ones; 0: all.
	Keep int
	// Log is told when writing begins to fail and when it works again, how many
	// rows that cost, and which old files are deleted. Nil: nobody is told.
	Log *slog.Logger
}

// JSONL appends attempts to a file, one line each in the form carrot.attempt/1. It
// is a recorder for package gateway, safe for concurrent use.
//
// Rows are written in the background, within a second or as soon as 64 KiB of them are
// waiting. A crash loses the rows that are waiting, Close does not. While the file
// takes no data (the disk is full, or nobody reads a named pipe), up to 4 MiB of
// rows are held back and written as soon as that is possible. Further rows are lost:
// [JSONL.Lost] counts them, Record and Close return the reason.
//
// The file consists of whole lines. A line that could only be written in part is taken back;
// where that is impossible, as in a pipe, it is completed before any other line.
//
// Before the file would grow over its limit, it is renamed and a new one is begun:
// decisions.jsonl becomes decisions-20261124T170102.123Z.jsonl. The name says
// when the file ended and never changes again, so programs that follow or copy
// rotated files are not confused, as they are where path.1 becomes path.2. If the clock
// has been set back, the new name is still later than all earlier ones, so
// that the names are in the order of the rows.
type JSONL struct {
	path string
	o    JSONLOptions
	log  *slog.Logger
	open func(path string) (jsonlFile, int64, error)
	now  func() time.Time

	full    chan struct{}   // wakes the writer
	reopens chan chan error // requests to the writer
	stop    chan struct{}   // closed by Close
	stopped chan struct{}   // closed when the writer has ended

	// The writer's own, so that nobody waits for a write that hangs.
	file       jsonlFile
	size       int64  // of the file
	chunk      []byte // what is being written, or could not be
	midLine    bool   // the file ends within the line whose rest begins the chunk
	rotated    time.Time
	unrotated  bool  // the latest attempt to rename the file failed
	closeError error // set before stopped is closed

	mu     sync.Mutex
	room   sync.Cond
	buffer []byte // rows that the writer has not taken yet
	held   int    // bytes in the buffer and the chunk
	rows   int    // rows in the buffer and the chunk
	err    error  // why writing fails
	lost   int64
	lostBy error // why the first row was lost
	since  int64 // lost when writing began to fail
	pruned int64
	closed bool
}

// jsonlFile is what is used of an *os.File.
type jsonlFile interface {
	io.WriteCloser
	io.Seeker
	Truncate(size int64) error
	SetWriteDeadline(t time.Time) error
	Sync() error
}

// OpenJSONL opens a record file, which only its owner can read, or continues it. If
// a crash left the beginning of a row at its end, that is cut off. Only one process
// may write a file.
func OpenJSONL(path string, o JSONLOptions) (*JSONL, error) {
	j := &JSONL{path: path, o: o, open: openJSONL, now: time.Now}
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
		j.o.MaxBytes = 0 // a pipe or a device must not be renamed
	}
	if j.log = j.o.Log; j.log == nil {
		j.log = slog.New(slog.DiscardHandler)
	}
	j.room.L = &j.mu
	j.full, j.reopens = make(chan struct{}, 1), make(chan chan error)
	j.stop, j.stopped = make(chan struct{}), make(chan struct{})
	go j.writer()
	return nil
}

// openJSONL opens a file to append to, and repairs its end.
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

// lines are buffers to encode in.
var lines = sync.Pool{New: func() any { return new([]byte) }}

// Record appends the attempt. An error says that the attempt is lost. Names and ids
// of more than 256 bytes that a client or a provider wrote are recorded cut, as are
// error messages of more than 4 KiB; what is cut ends with "…" and its full length.
//
// Record does not wait for the file, except if 4 MiB of rows are already waiting
// and writing has not failed yet; it then waits a second at most.
func (j *JSONL) Record(_ context.Context, a *Attempt) error {
	scratch := lines.Get().(*[]byte)
	line := append(bounded(a).AppendJSON((*scratch)[:0]), '\n')
	err := j.append(line)
	if cap(line) <= flushBytes {
		*scratch = line
		lines.Put(scratch)
	}
	return err
}

func (j *JSONL) append(line []byte) error {
	j.mu.Lock()
	report := j.waitForRoom(len(line))
	err := j.err
	switch {
	case j.closed:
		err = os.ErrClosed
	case j.hasRoom(len(line)):
		err = nil
	}
	if err != nil {
		j.lose(1, err)
		j.mu.Unlock()
		report()
		return fmt.Errorf("a row of %s is lost: %w", j.path, err)
	}
	j.buffer = append(j.buffer, line...)
	j.held += len(line)
	j.rows++
	wake := j.err == nil && len(j.buffer) >= flushBytes
	j.mu.Unlock()
	report()
	if wake {
		j.wake()
	}
	return nil
}

// wake makes the writer write before its next tick.
func (j *JSONL) wake() {
	select {
	case j.full <- struct{}{}:
	default: // it is awake
	}
}

// hasRoom reports whether a line of n bytes can be buffered. While writing works,
// one line of any length can be. The caller holds mu.
func (j *JSONL) hasRoom(n int) bool {
	return j.held+n <= heldBytes || j.held == 0 && j.err == nil
}

// waitForRoom waits until a line of n bytes can be buffered, or until it is clear that it
// cannot be: after stallAfter writing counts as failing. The caller holds mu, and calls
// what is returned without it.
func (j *JSONL) waitForRoom(n int) (report func()) {
	if j.closed || j.err != nil || j.hasRoom(n) {
		return func() {}
	}
	j.wake()
	until := time.Now().Add(stallAfter)
	timer := time.AfterFunc(stallAfter, func() {
		j.mu.Lock() // so that it cannot come between a check of the time and Wait
		defer j.mu.Unlock()
		j.room.Broadcast()
	})
	defer timer.Stop()
	for !j.closed && j.err == nil && !j.hasRoom(n) {
		if !time.Now().Before(until) {
			return j.setError(fmt.Errorf("write records: %w", errStalled))
		}
		j.room.Wait()
	}
	return func() {}
}

// lose counts rows. The caller holds mu.
func (j *JSONL) lose(rows int, why error) {
	j.lost += int64(rows)
	if j.lostBy == nil {
		j.lostBy = why
	}
}

// setError notes whether writing works. The caller holds mu, and calls what is returned
// without it: a log that hangs must not keep others waiting.
func (j *JSONL) setError(err error) (report func()) {
	failed := j.err != nil
	j.err = err
	j.room.Broadcast()
	switch {
	case err != nil && !failed:
		j.since = j.lost
		return func() {
			j.log.Error("records cannot be written; up to 4 MiB are held back, further ones are lost", "path", j.path, "error", err)
		}
	case err == nil && failed:
		lost := j.lost - j.since
		return func() { j.log.Warn("records are written again", "path", j.path, "lost", lost) }
	}
	return func() {}
}

// Lost returns how many attempts Record was given that are not in the file and
// will not be. The number is final when Close has returned.
func (j *JSONL) Lost() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lost
}

// Pruned returns how many rows were in the rotated files that were deleted
// because of [JSONLOptions.Keep].
func (j *JSONL) Pruned() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.pruned
}

// writer writes what is buffered, once a second or when woken, and tries again
// once a second if that failed.
func (j *JSONL) writer() {
	defer close(j.stopped)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select { // the others are not to delay the end
		case <-j.stop:
			j.closeError = j.finish()
			return
		default:
		}
		select {
		case <-j.stop: // above
		case reply := <-j.reopens:
			err := j.flush()
			if err == nil {
				err = j.reopen()
			}
			reply <- err
		case <-tick.C:
			_ = j.flush() // it is reported
		case <-j.full:
			_ = j.flush()
		}
	}
}

// flush writes the buffer and keeps what could not be written.
func (j *JSONL) flush() error {
	j.mu.Lock()
	if len(j.chunk) == 0 {
		j.chunk, j.buffer = j.buffer, j.chunk
	} else {
		j.chunk, j.buffer = append(j.chunk, j.buffer...), j.buffer[:0]
	}
	j.mu.Unlock()

	done, err := j.write(j.chunk)
	rows := bytes.Count(j.chunk[:done], []byte{'\n'})
	j.chunk = j.chunk[:copy(j.chunk, j.chunk[done:])]
	if len(j.chunk) == 0 && cap(j.chunk) > 4*flushBytes {
		j.chunk = nil // it held back lines, or very long ones
	}

	j.mu.Lock()
	j.held -= done
	j.rows -= rows
	report := j.setError(err)
	j.mu.Unlock()
	report()
	return err
}

// write writes lines, in several files if they are over the limit of one, and
// returns how many bytes are written.
func (j *JSONL) write(b []byte) (done int, err error) {
	_ = j.file.SetWriteDeadline(time.Now().Add(stallAfter)) // pipes have one, files do not
	mayRotate := true
	for done < len(b) {
		rest := b[done:]
		first := bytes.IndexByte(rest, '\n') + 1
		if mayRotate && !j.midLine && j.o.MaxBytes > 0 && j.size > 0 && j.size+int64(first) > j.o.MaxBytes {
			if mayRotate, err = j.rotate(); err != nil {
				return done, fmt.Errorf("rotate records: %w", err)
			}
		}
		part := rest
		if room := j.o.MaxBytes - j.size; mayRotate && j.o.MaxBytes > 0 && int64(len(rest)) > room {
			part = rest[:max(first, bytes.LastIndexByte(rest[:max(room, 0)], '\n')+1)]
		}
		n, err := j.file.Write(part)
		whole := bytes.LastIndexByte(part[:n], '\n') + 1
		if half := n - whole; half > 0 && j.takeBack(half) {
			n = whole
			j.midLine = j.midLine && whole == 0
		} else if n > 0 {
			j.midLine = half > 0
		}
		j.size += int64(n)
		done += n
		if err != nil {
			return done, fmt.Errorf("write records: %w", err)
		}
	}
	return done, nil
}

// takeBack removes the last n bytes of the file and reports whether it could.
func (j *JSONL) takeBack(n int) bool {
	size, err := j.file.Seek(0, io.SeekEnd) // another program may have emptied the file
	return err == nil && size >= int64(n) && j.file.Truncate(size-int64(n)) == nil
}

// Reopen writes what is buffered and goes on in a new file of the path, after
// another program has renamed the old one. If the buffer cannot be written, the old file
// stays in use.
func (j *JSONL) Reopen() error {
	timer := time.NewTimer(closeAfter)
	defer timer.Stop()
	reply := make(chan error, 1)
	j.mu.Lock()
	closed := j.closed
	j.mu.Unlock()
	err := os.ErrClosed
	if !closed {
		select {
		case j.reopens <- reply:
			select {
			case err = <-reply:
			case <-timer.C:
				err = errStalled
			}
		case <-j.stopped:
		case <-timer.C:
			err = errStalled
		}
	}
	if err != nil {
		return fmt.Errorf("reopen %s: %w", j.path, err)
	}
	return nil
}

// Close writes all rows to the disk and closes the file. Its error says why rows
// were lost, now or before, and how many. It waits five seconds at most for a file
// that takes no data. Later calls do nothing.
func (j *JSONL) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	j.closed = true
	j.room.Broadcast()
	j.mu.Unlock()
	close(j.stop)
	timer := time.NewTimer(closeAfter)
	defer timer.Stop()
	err := errStalled
	select {
	case <-j.stopped:
		err = j.closeError
	case <-timer.C:
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.rows > 0 {
		j.lose(j.rows, err)
		j.rows = 0
	}
	switch {
	case j.lost > 0:
		return fmt.Errorf("close records: %d rows of %s are lost: %w", j.lost, j.path, errors.Join(j.lostBy, err))
	case err != nil:
		return fmt.Errorf("close records: %w", err)
	}
	return nil
}

// finish writes what is left and closes the file.
func (j *JSONL) finish() error {
	err := j.flush()
	synced := j.file.Sync()
	if errors.Is(synced, syscall.EINVAL) {
		synced = nil // a pipe
	}
	return errors.Join(err, synced, j.file.Close())
}

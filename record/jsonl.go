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
	flushBytes = 64 << 10         // size of the buffer at which it is written
	queueBytes = 1 << 20          // its size at which Record waits, while writing works
	heldBytes  = 4 << 20          // its largest size, while the file takes no data
	flushEvery = time.Second      // time after which it is written in any case
	stallAfter = time.Second      // a write that takes longer counts as failed
	closeAfter = 5 * time.Second  // Close and Reopen do not wait longer
	quietAfter = 10 * time.Second // writing that has worked for so long is said to work again
)

var errStalled = errors.New("the file takes no data")

// JSONLOptions are the settings of a [JSONL]. The zero value works.
type JSONLOptions struct {
	// MaxBytes is the size that a file may have before it is rotated; 0: any.
	MaxBytes int64
	// Keep is how many rotated files are kept, the latest ones; 0: all.
	Keep int
	// Log is told when writing begins to fail, when the first row is lost, and, once
	// writing has worked for ten seconds or at the end, how many were; also which old
	// files are deleted. Nil: nobody is told.
	Log *slog.Logger
}

// JSONL appends attempts to a file, one line each in the form carrot.attempt/1. It
// is a recorder for package gateway, safe for concurrent use.
//
// Rows are written in the background, within a second or as soon as 64 KiB of them are
// waiting. A crash loses the rows that are waiting, Close does not. While the file
// takes no data (the disk is full, or nobody reads a named pipe), up to 4 MiB of
// rows are held back and written as soon as that is possible. Further rows are lost:
// [JSONL.Lost] counts them, Record and Close return the reason. The log does not name
// each of them.
//
// The file consists of whole lines. A line that could only be written in part is taken back;
// where that is impossible, as in a pipe, it is completed before any other line.
//
// Before the file exceeds its size limit, it is renamed and a new one is begun:
// decisions.jsonl becomes decisions-20261124T170102.123Z.jsonl. The name says when
// the file was finished and never changes again, so that programs that follow or
// copy rotated files are not confused, as they would be if path.1 became path.2. If
// the clock has been set back, a new name is still later than all earlier ones, so
// that names sort as rows were written.
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
	lines      int64  // written to the file
	appended   bool   // the file had lines before
	rotated    time.Time
	counts     map[string]int64 // lines of rotated files, where they are known
	unrotated  bool             // the latest attempt to rename the file failed
	closeError error            // set before stopped is closed

	mu     sync.Mutex
	room   sync.Cond
	buffer []byte // rows that the writer has not taken yet
	held   int    // bytes in the buffer and the chunk
	rows   int    // rows in the buffer and the chunk
	err    error  // why writing fails
	lost   int64
	lostBy error // why the first row was lost
	pruned int64

	// What the log was told of a time in which writing failed now and then.
	failing  bool
	failedAt time.Time // at last
	since    int64     // rows lost before
	saidLost bool
	closed   bool
}

// jsonlFile is the part of *os.File that JSONL uses.
type jsonlFile interface {
	io.WriteCloser
	io.Seeker
	Truncate(size int64) error
	SetWriteDeadline(t time.Time) error
	Sync() error
}

// OpenJSONL opens a file of records to append to it. If the file does not exist, it
// is created with permissions for its owner only. If a crash left an incomplete row at
// its end, that row is removed. Only one process may write to a file.
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
	j.appended, j.counts = j.size > 0, map[string]int64{}
	if info, err := os.Stat(j.path); err == nil && !info.Mode().IsRegular() {
		j.o.MaxBytes = 0 // a pipe or a device cannot be rotated
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

// openJSONL opens a file to append to it, and repairs its end.
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
// Record does not wait for the file, unless 1 MiB of rows is already waiting and
// writing has not failed yet; it then waits for up to a second.
func (j *JSONL) Record(_ context.Context, a *Attempt) error {
	if j == nil || j.path == "" {
		return errors.New("record: the file was not opened with OpenJSONL")
	}
	scratch := lines.Get().(*[]byte)
	line := append(a.Bounded().AppendJSON((*scratch)[:0]), '\n')
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
		lost := &lossError{path: j.path, err: err, logged: j.failing && j.o.Log != nil}
		say := j.lose(1, err)
		j.mu.Unlock()
		report()
		say()
		return lost
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
	if j.err != nil {
		return j.held+n <= heldBytes
	}
	return j.held+n <= queueBytes || j.held == 0
}

// waitForRoom waits until a line of n bytes can be buffered or writing fails; after
// stallAfter it counts as failing. The caller holds mu, and calls report after
// releasing it.
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

// lossError is the error for a row that is lost.
type lossError struct {
	path   string
	err    error
	logged bool
}

func (e *lossError) Error() string { return fmt.Sprintf("a row of %s is lost: %v", e.path, e.err) }
func (e *lossError) Unwrap() error { return e.err }

// Logged reports whether the recorder logs the loss itself, together with others.
func (e *lossError) Logged() bool { return e.logged }

// lose counts rows. The caller holds mu, and calls report after releasing it, because
// the log may be slow.
func (j *JSONL) lose(rows int, why error) (report func()) {
	j.lost += int64(rows)
	if j.lostBy == nil {
		j.lostBy = why
	}
	if !j.failing || j.saidLost {
		return func() {}
	}
	j.saidLost = true
	return func() { j.log.Error("records are being lost", "path", j.path, "error", why) }
}

// setError notes why writing fails, or with nil that it works. The caller holds mu, and
// calls report after releasing it.
func (j *JSONL) setError(err error) (report func()) {
	j.err = err
	j.room.Broadcast()
	switch now := time.Now(); {
	case err == nil && j.failing && now.Sub(j.failedAt) >= quietAfter:
		return j.settle(nil)
	case err == nil:
		return func() {}
	default:
		j.failedAt = now
	}
	if j.failing {
		return func() {}
	}
	j.failing, j.saidLost, j.since = true, false, j.lost
	return func() {
		j.log.Error("records cannot be written; up to 4 MiB are held back, further ones are lost", "path", j.path, "error", err)
	}
}

// settle ends the time in which writing failed, with the reason if it fails to the end.
// The caller holds mu, and calls report after releasing it.
func (j *JSONL) settle(err error) (report func()) {
	lost, failing := j.lost-j.since, j.failing
	j.failing = false
	switch {
	case !failing:
		return func() {}
	case err == nil:
		return func() { j.log.Warn("records are written again", "path", j.path, "lost", lost) }
	}
	return func() { j.log.Error("records were lost", "path", j.path, "lost", lost, "error", err) }
}

// Lost returns how many of the attempts that Record was given are lost: they are not in
// the file and will not be written.
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

// writer writes the buffer once a second, also after an error, and when woken.
func (j *JSONL) writer() {
	defer close(j.stopped)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select { // nothing else may delay the end
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

// flush writes the buffer and keeps the part that could not be written.
func (j *JSONL) flush() error {
	j.mu.Lock()
	if len(j.chunk) == 0 {
		j.chunk, j.buffer = j.buffer, j.chunk
	} else {
		j.chunk, j.buffer = append(j.chunk, j.buffer...), j.buffer[:0]
	}
	j.mu.Unlock()

	done, rows, err := j.write(j.chunk)
	j.chunk = j.chunk[:copy(j.chunk, j.chunk[done:])]
	if len(j.chunk) == 0 && cap(j.chunk) > 2*queueBytes {
		j.chunk = nil // it grew while the file took no data, or for a long line
	}

	j.mu.Lock()
	j.held -= done
	j.rows -= rows
	report := j.setError(err)
	j.mu.Unlock()
	report()
	return err
}

// write writes lines, to several files if they exceed the limit of one, and returns how
// many bytes and complete rows it wrote.
func (j *JSONL) write(b []byte) (done, rows int, err error) {
	_ = j.file.SetWriteDeadline(time.Now().Add(stallAfter)) // pipes have one, files do not
	mayRotate := true
	for done < len(b) {
		rest := b[done:]
		first := bytes.IndexByte(rest, '\n') + 1
		if mayRotate && !j.midLine && j.o.MaxBytes > 0 && j.size > 0 && j.size+int64(first) > j.o.MaxBytes {
			if mayRotate, err = j.rotate(); err != nil {
				return done, rows, fmt.Errorf("rotate records: %w", err)
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
		count := bytes.Count(part[:n], []byte{'\n'})
		j.size += int64(n)
		j.lines += int64(count)
		done += n
		rows += count
		if err != nil {
			return done, rows, fmt.Errorf("write records: %w", err)
		}
	}
	return done, rows, nil
}

// takeBack removes the last n bytes of the file and reports whether it could.
func (j *JSONL) takeBack(n int) bool {
	size, err := j.file.Seek(0, io.SeekEnd) // another program may have emptied the file
	return err == nil && size >= int64(n) && j.file.Truncate(size-int64(n)) == nil
}

// Reopen writes the buffer and continues in a new file at the same path. Call it
// after another program has renamed the file. If the buffer cannot be written within
// five seconds, Reopen returns an error and the old file stays in use.
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

// Close writes all rows to the disk and closes the file. Its error says how many rows
// were lost since the file was opened, and why. It waits up to five seconds for a
// file that takes no data. Further calls have no effect.
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
	j.saidLost = true // the summary says it
	if j.rows > 0 {
		if !j.failing {
			j.failing, j.since = true, j.lost
		}
		j.lose(j.rows, err)
		j.rows = 0
	}
	report := j.settle(err)
	lost, lostBy := j.lost, j.lostBy
	j.mu.Unlock()
	report()
	if lost > 0 {
		if err != nil && err.Error() != lostBy.Error() {
			err = errors.Join(lostBy, err)
		} else {
			err = lostBy
		}
		err = fmt.Errorf("rows lost: %d: %w", lost, err)
	}
	if err != nil {
		return fmt.Errorf("close records in %s: %w", j.path, err)
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

// Package journal is a queue of entries in files of a local disk. An entry survives the
// end of the process once [Journal.Append] has returned, and the end of the machine a
// moment later. A single reader takes entries out in order, says up to where it has taken
// care of them, and continues from there after a restart.
//
// A journal is a folder of segments, files of equal size that are allocated before they
// are needed, so that a full disk does not stop a journal at once. A segment that was
// read is used again.
package journal

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ErrFull is returned by [Journal.Append] if no space is left on the disk.
var ErrFull = errors.New("the journal is full: no space is left on its disk")

// ErrBusy says that another process has the journal open.
var ErrBusy = errors.New("another process uses it")

// Lock makes a file, if it does not exist, and locks it until it is closed. It returns
// [ErrBusy] if another process has it locked.
func Lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Options change how a journal works. The zero value has the defaults.
type Options struct {
	Segment int64         // bytes of a segment; default 8 MiB
	Reserve int64         // bytes that are allocated in advance, at least two segments; default 64 MiB
	Sync    time.Duration // how long an entry may stay unsynchronised with the disk; default 200 ms
}

// Position is a place in a journal. The zero value is before all entries.
type Position struct {
	Segment int64 // its number, rising
	Offset  int64 // in bytes
}

// Journal is an open journal. Its methods are safe for concurrent use, but only one
// reader may use Read and Release.
type Journal struct {
	dir  string
	id   string
	o    Options
	lock *os.File

	mu      sync.Mutex
	file    *os.File      // of the last segment, which is written
	last    int64         // its number; 0: none is written yet
	size    int64         // bytes written to it
	limit   int64         // its length
	frame   []byte        // reused
	sealed  []sealed      // segments before it that are not released, in order
	spare   []string      // allocated files that are not in use
	spares  int           // the highest number of a spare file
	pending int64         // bytes that are not released
	signed  int64         // numbers up to it may be used
	dirty   bool          // the file is not synchronised
	renamed bool          // nor the folder
	ended   []segmentFile // segments that are complete and not synchronised
	broken  error         // nothing can be written any more
	closed  bool

	more    chan struct{} // has an element after an append
	stop    chan struct{}
	stopped chan struct{}

	readFile *os.File // of the reader
	reading  int64    // its number
	read     []byte   // what was read last
	entries  [][]byte // in it
}

// segmentFile is an open segment.
type segmentFile struct {
	number int64
	*os.File
}

// sealed is a segment that is complete.
type sealed struct{ number, size int64 }

const (
	magic      = "carrotj1"
	headerSize = int64(len(magic)) + 8 // with the number of the segment
	frameSize  = 8                     // length and checksum before each entry
	// maxEntry is the longest entry, in bytes.
	maxEntry = 1 << 30
)

var table = crc32.MakeTable(crc32.Castagnoli)

// Open opens the journal in a folder, or begins one. Only one process may have it open.
func Open(dir string, o Options) (_ *Journal, err error) {
	o.Segment = cmp.Or(o.Segment, 8<<20)
	o.Reserve = max(cmp.Or(o.Reserve, 64<<20), 2*o.Segment)
	o.Sync = cmp.Or(o.Sync, 200*time.Millisecond)
	if o.Segment <= headerSize+frameSize {
		return nil, fmt.Errorf("open journal %s: a segment of %d bytes has no room", dir, o.Segment)
	}
	j := &Journal{dir: dir, o: o, more: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{})}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open journal %s: %w", dir, err)
			if j.lock != nil {
				j.lock.Close()
			}
		}
	}()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if j.lock, err = os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	if err := lockFile(j.lock); err != nil {
		return nil, err
	}
	if err := j.identify(); err != nil {
		return nil, err
	}
	if err := j.find(); err != nil {
		return nil, err
	}
	if err := j.allocate(); err != nil {
		return nil, err
	}
	go j.syncer()
	return j, nil
}

// identify reads from the lock file the journal's ID and up to which number segments may
// exist, or begins a new journal.
func (j *Journal) identify() error {
	text, err := io.ReadAll(io.LimitReader(j.lock, 100))
	if err != nil {
		return err
	}
	if n, err := fmt.Sscanf(string(text), "%26s %016x\n", &j.id, &j.last); n != 2 || err != nil {
		j.id, j.last = rand.Text(), 0
	}
	return errors.Join(j.sign(j.last), syncDir(j.dir))
}

// signAhead is for how many numbers of segments sign is called once, because it waits for
// the disk.
const signAhead = 1 << 10

// sign allows numbers of segments after the given one. Numbers are never used twice, even
// if segments that were read are lost with the machine, because readers remember them.
func (j *Journal) sign(number int64) error {
	j.signed = number + signAhead
	_, err := j.lock.WriteAt(fmt.Appendf(nil, "%s %016x\n", j.id, j.signed), 0)
	return errors.Join(err, j.lock.Sync())
}

// find finds the segments of earlier runs.
func (j *Journal) find() error {
	files, err := os.ReadDir(j.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		name, isSegment := strings.CutSuffix(f.Name(), ".segment")
		if number, err := strconv.ParseInt(name, 16, 64); isSegment && err == nil {
			size, err := j.measure(number)
			if err != nil {
				return err
			}
			j.sealed = append(j.sealed, sealed{number, size})
			j.pending += size - headerSize
			j.last = max(j.last, number)
			continue
		}
		name, isSpare := strings.CutSuffix(f.Name(), ".spare")
		if number, err := strconv.Atoi(name); isSpare && err == nil {
			j.spares = max(j.spares, number)
			if info, err := f.Info(); err == nil && info.Size() == j.o.Segment {
				j.spare = append(j.spare, filepath.Join(j.dir, f.Name()))
			} else if err := os.Remove(filepath.Join(j.dir, f.Name())); err != nil { // it was not completely allocated
				return err
			}
		}
	}
	slices.SortFunc(j.sealed, func(a, b sealed) int { return cmp.Compare(a.number, b.number) })
	return nil
}

// measure returns how many bytes of a segment are entries, with its header.
func (j *Journal) measure(number int64) (int64, error) {
	f, err := os.Open(j.segment(number))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	at := headerSize
	if !readHeader(f, number) {
		return at, nil // the process ended before it wrote the header
	}
	for end := info.Size(); at < end; {
		if _, at, err = j.parse(f, number, at, end, 1<<20); err != nil {
			break // what was being written when the process ended
		}
	}
	return at, nil
}

// allocate makes spare segments, as many as the reserve wants.
func (j *Journal) allocate() error {
	for used := int64(len(j.sealed) + len(j.spare)); (used+1)*j.o.Segment <= j.o.Reserve; used++ {
		name, err := j.newSpare(j.o.Segment)
		if err != nil {
			return err
		}
		j.spare = append(j.spare, name)
	}
	return nil
}

// newSpare allocates a file of some length.
func (j *Journal) newSpare(size int64) (string, error) {
	j.spares++
	name := filepath.Join(j.dir, strconv.Itoa(j.spares)+".spare")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	err = allocate(f, size)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(name))
	}
	return name, nil
}

func (j *Journal) segment(number int64) string {
	return filepath.Join(j.dir, fmt.Sprintf("%016x.segment", number))
}

// ID identifies the journal. It stays the same for as long as its folder exists.
func (j *Journal) ID() string { return j.id }

// Pending returns how many bytes of the journal are not released.
func (j *Journal) Pending() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.pending
}

// Append writes an entry to the journal. When it returns without an error, the entry is
// with the operating system. If it returns one, which wraps [ErrFull] if the disk is full,
// the entry is not in the journal.
func (j *Journal) Append(entry []byte) error {
	if len(entry) == 0 || len(entry) > maxEntry {
		return fmt.Errorf("journal: an entry of %d bytes", len(entry))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return fmt.Errorf("journal %s: %w", j.dir, fs.ErrClosed)
	}
	if j.broken != nil {
		return j.broken
	}
	need := frameSize + int64(len(entry))
	if j.file == nil || j.size+need > j.limit {
		if err := j.next(need); err != nil {
			return fmt.Errorf("journal %s: %w", j.dir, err)
		}
	}
	frame := binary.LittleEndian.AppendUint32(j.frame[:0], uint32(len(entry)))
	frame = binary.LittleEndian.AppendUint32(frame, checksum(j.last, entry))
	frame = append(frame, entry...)
	if j.frame = frame; cap(frame) > 1<<20 {
		j.frame = nil
	}
	if _, err := j.file.WriteAt(frame, j.size); err != nil {
		// Part of the entry may be there. The next one overwrites it.
		if noSpace(err) {
			err = errors.Join(ErrFull, err)
		}
		return fmt.Errorf("journal %s: %w", j.dir, err)
	}
	j.size += need
	j.pending += need
	j.dirty = true
	select {
	case j.more <- struct{}{}:
	default:
	}
	return nil
}

// next begins the next segment, which has room for an entry that needs that many bytes.
// The caller holds mu.
func (j *Journal) next(need int64) error {
	size := max(j.o.Segment, headerSize+need) // an entry may need a segment of its own
	if size > j.o.Segment || len(j.spare) == 0 {
		name, err := j.newSpare(size)
		if err != nil {
			if noSpace(err) {
				return errors.Join(ErrFull, err)
			}
			return err
		}
		j.spare = append(j.spare, name)
	}
	number := j.last + 1
	if number > j.signed {
		if err := j.sign(number); err != nil {
			return err
		}
	}
	if err := os.Rename(j.spare[len(j.spare)-1], j.segment(number)); err != nil { // before it is opened, for Windows
		return err
	}
	j.spare = j.spare[:len(j.spare)-1]
	f, err := os.OpenFile(j.segment(number), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(binary.LittleEndian.AppendUint64([]byte(magic), uint64(number)), 0); err != nil {
		return errors.Join(err, f.Close())
	}
	j.seal()
	j.file, j.last, j.size, j.limit, j.renamed = f, number, headerSize, size, true
	return nil
}

// seal ends the segment that is written. The caller holds mu.
func (j *Journal) seal() {
	if j.file != nil {
		j.ended = append(j.ended, segmentFile{j.last, j.file})
		j.sealed = append(j.sealed, sealed{j.last, j.size})
		j.file, j.dirty = nil, false
	}
}

// syncer synchronises with the disk what was appended, beside those who append.
func (j *Journal) syncer() {
	defer close(j.stopped)
	tick := time.NewTicker(j.o.Sync)
	defer tick.Stop()
	for {
		select {
		case <-j.stop:
			return
		case <-tick.C:
		}
		if err := j.synchronise(); err != nil {
			j.mu.Lock()
			j.broken = fmt.Errorf("journal %s: synchronise with the disk: %w", j.dir, err) // after that, nobody knows what is there
			j.mu.Unlock()
			return
		}
	}
}

func (j *Journal) synchronise() (err error) {
	j.mu.Lock()
	files, renamed := j.ended, j.renamed
	j.ended, j.renamed = nil, false
	if j.dirty {
		j.dirty = false
		var f *os.File
		if f, err = dup(j.file); err == nil { // so that it may be sealed meanwhile
			files = append(files, segmentFile{j.last, f})
		}
	}
	j.mu.Unlock()
	for _, f := range files {
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if renamed {
		err = errors.Join(err, syncDir(j.dir))
	}
	return err
}

// Read returns entries after a position in order, and the position after the last of
// them: at least one, and further ones up to about most bytes. If there is none, it waits
// for one until ctx is done. The entries are valid until Read is called again.
func (j *Journal) Read(ctx context.Context, from Position, most int) (entries [][]byte, to Position, err error) {
	to = from
	for {
		number, end, ok := j.readable(to)
		if !ok {
			select {
			case <-ctx.Done():
				return nil, from, ctx.Err()
			case <-j.stop:
				return nil, from, fmt.Errorf("journal %s: %w", j.dir, fs.ErrClosed)
			case <-j.more:
			}
			continue
		}
		if number != to.Segment || to.Offset < headerSize {
			to = Position{number, headerSize}
		}
		if err := j.visit(number); err != nil {
			return nil, from, fmt.Errorf("journal %s: %w", j.dir, err)
		}
		if entries, to.Offset, err = j.parse(j.readFile, number, to.Offset, end, int64(most)); err != nil {
			j.forget()
			return nil, from, fmt.Errorf("journal %s: segment %d at byte %d: %w", j.dir, number, to.Offset, err)
		}
		return entries, to, nil
	}
}

// visit opens the segment that the reader reads.
func (j *Journal) visit(number int64) error {
	if j.readFile != nil && j.reading == number {
		return nil
	}
	j.forget()
	f, err := os.Open(j.segment(number))
	if err != nil {
		return err
	}
	j.readFile, j.reading = f, number
	return nil
}

// parse reads whole entries of a segment, from a place to at most end: at least one, and
// about most bytes. It returns where they end, also before an entry that is not whole,
// which is an error if it is the first.
func (j *Journal) parse(f io.ReaderAt, number, at, end, most int64) ([][]byte, int64, error) {
	for size := min(end-at, max(most, frameSize)); ; {
		if int64(cap(j.read)) < size {
			j.read = make([]byte, size)
		}
		block := j.read[:size]
		if _, err := f.ReadAt(block, at); err != nil {
			return nil, at, err
		}
		j.entries = j.entries[:0]
		for {
			n, err := entryLength(block, end-at)
			if err == nil && n <= int64(len(block)) && n > 0 && checksum(number, block[frameSize:n]) != binary.LittleEndian.Uint32(block[4:]) {
				err = errEntry
			}
			switch {
			case len(j.entries) > 0 && (err != nil || n == 0 || n > int64(len(block))):
				return j.entries, at, nil
			case err != nil:
				return nil, at, err
			}
			if n > int64(len(block)) {
				size = n // the first entry alone
				break
			}
			j.entries = append(j.entries, block[frameSize:n:n])
			block, at = block[n:], at+n
		}
	}
}

// errEntry says that an entry is not whole.
var errEntry = errors.New("not a whole entry")

// entryLength returns the length, with its frame, of the entry at the beginning of a block,
// which may go beyond the block but not over most bytes; 0 if only the beginning of its
// frame is in the block.
func entryLength(block []byte, most int64) (int64, error) {
	switch {
	case most < frameSize:
		return 0, errEntry
	case len(block) < frameSize:
		return 0, nil
	}
	n := int64(binary.LittleEndian.Uint32(block))
	if n == 0 || n > maxEntry || n > most-frameSize {
		return 0, errEntry
	}
	return frameSize + n, nil
}

// readable returns the segment of the first entry after a position, and where its entries
// end. ok is false if there is none.
func (j *Journal) readable(p Position) (number, end int64, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.sealed {
		if (s.number > p.Segment && s.size > headerSize) || s.number == p.Segment && s.size > max(p.Offset, headerSize) {
			return s.number, s.size, true
		}
	}
	if j.file != nil && (j.last > p.Segment && j.size > headerSize || j.last == p.Segment && j.size > max(p.Offset, headerSize)) {
		return j.last, j.size, true
	}
	return 0, 0, false
}

// Has reports whether there is an entry after a position.
func (j *Journal) Has(p Position) bool {
	_, _, ok := j.readable(p)
	return ok
}

// forget closes the reader's file.
func (j *Journal) forget() {
	if j.readFile != nil {
		j.readFile.Close()
		j.readFile = nil
	}
}

// Release says that the entries before a position are taken care of. Their segments are
// used again, or removed if there are enough.
func (j *Journal) Release(p Position) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var err error
	for len(j.sealed) > 0 && (j.sealed[0].number < p.Segment || j.sealed[0].number == p.Segment && j.sealed[0].size <= p.Offset) {
		err = errors.Join(err, j.reuse(j.sealed[0].number))
		j.sealed = j.sealed[1:]
		j.renamed = true
	}
	left := slices.Clone(j.sealed)
	if j.file != nil {
		left = append(left, sealed{j.last, j.size})
	}
	j.pending = 0
	for _, s := range left {
		j.pending += max(s.size-max(headerSize, offsetIn(p, s.number)), 0)
	}
	if err != nil {
		return fmt.Errorf("journal %s: release: %w", j.dir, err)
	}
	return nil
}

// offsetIn returns where a position is in a segment: at the beginning, within it, or
// beyond its end.
func offsetIn(p Position, number int64) int64 {
	switch {
	case p.Segment < number:
		return 0
	case p.Segment > number:
		return 1 << 62
	}
	return p.Offset
}

// reuse makes a segment a spare file or removes it. The caller holds mu.
func (j *Journal) reuse(number int64) error {
	name := j.segment(number)
	if j.readFile != nil && j.reading == number {
		j.forget()
	}
	j.ended = slices.DeleteFunc(j.ended, func(f segmentFile) bool { // it need not be on the disk any more
		return f.number == number && f.Close() == nil
	})
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if inUse := int64(len(j.sealed) + len(j.spare)); info.Size() != j.o.Segment || inUse*j.o.Segment > j.o.Reserve {
		return os.Remove(name)
	}
	j.spares++
	spare := filepath.Join(j.dir, strconv.Itoa(j.spares)+".spare")
	if err := os.Rename(name, spare); err != nil {
		return err
	}
	j.spare = append(j.spare, spare)
	return nil
}

// Close writes everything to the disk and closes the journal. What is not released is
// read when it is opened again. Further calls have no effect.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	j.closed = true
	j.mu.Unlock()
	close(j.stop)
	<-j.stopped
	j.mu.Lock()
	j.seal()
	j.mu.Unlock()
	err := j.synchronise()
	j.forget()
	if err = errors.Join(err, j.lock.Close()); err != nil {
		return fmt.Errorf("close journal %s: %w", j.dir, err)
	}
	return nil
}

func checksum(segment int64, entry []byte) uint32 {
	var number [8]byte // entries of a segment that is used again are not valid in it
	binary.LittleEndian.PutUint64(number[:], uint64(segment))
	return crc32.Update(crc32.Checksum(number[:], table), table, entry)
}

func readHeader(r io.Reader, number int64) bool {
	var header [headerSize]byte
	_, err := io.ReadFull(r, header[:])
	return err == nil && string(header[:len(magic)]) == magic && binary.LittleEndian.Uint64(header[len(magic):]) == uint64(number)
}

// syncDir makes the names in a folder last.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(ignoreUnsupported(f.Sync()), f.Close())
}

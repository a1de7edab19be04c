package record

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// rotatedTime is the form of the time in the names of rotated files.
const rotatedTime = "20060102T150405.000Z"

// rotate renames the full file and begins a new one. It returns false if the file
// cannot be renamed; the file then exceeds its limit, because otherwise rows would be lost.
func (j *JSONL) rotate() (bool, error) {
	files, listed := j.rotatedFiles()
	name := j.rotatedName(files)
	// The file may not exist: another program may have moved it, or an earlier
	// rotation may have failed to open a new one.
	if err := os.Rename(j.path, name); err != nil && !errors.Is(err, os.ErrNotExist) {
		if !j.unrotated {
			j.log.Error("the record file cannot be renamed and grows over its limit", "path", j.path, "error", err)
		}
		j.unrotated = true
		return false, nil
	}
	j.unrotated = false
	if !j.appended && j.o.Keep > 0 {
		j.counts[name] = j.lines
	}
	if err := j.reopen(); err != nil {
		return false, err
	}
	if j.o.Keep > 0 {
		if listed == nil {
			listed = j.prune(append(files, name))
		}
		if listed != nil {
			j.log.Error("old record files cannot be deleted", "path", j.path, "error", listed)
		}
	}
	return true, nil
}

// reopen replaces the file by the one that is now at the path. All rows that belong in
// the old one must have been written.
func (j *JSONL) reopen() error {
	file, size, err := j.open(j.path)
	if err != nil {
		return err
	}
	if err := j.file.Close(); err != nil {
		j.log.Error("the end of a record file may be lost", "path", j.path, "error", err)
	}
	j.file, j.size, j.midLine = file, size, false
	j.lines, j.appended = 0, size > 0
	return nil
}

func (j *JSONL) affixes() (before, after string) {
	path := filepath.Clean(j.path)
	after = filepath.Ext(path)
	return strings.TrimSuffix(path, after) + "-", after
}

// timeOf returns the time in the name of a rotated file.
func (j *JSONL) timeOf(name string) (time.Time, bool) {
	before, after := j.affixes()
	text, found := strings.CutPrefix(name, before)
	text, ended := strings.CutSuffix(text, after)
	at, err := time.Parse(rotatedTime, text)
	return at, found && ended && err == nil
}

// rotatedFiles returns the names of the rotated files, the earliest first.
func (j *JSONL) rotatedFiles() ([]string, error) {
	dir := filepath.Dir(j.path)
	entries, err := os.ReadDir(dir) // sorted by name, and so by time
	var files []string
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if _, ok := j.timeOf(name); ok && e.Type().IsRegular() {
			files = append(files, name)
		}
	}
	return files, err
}

// rotatedName returns a name that no file has and that sorts after those of all
// rotated files, whatever the clock says.
func (j *JSONL) rotatedName(files []string) string {
	if len(files) > 0 {
		if at, _ := j.timeOf(files[len(files)-1]); at.After(j.rotated) {
			j.rotated = at
		}
	}
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

// prune deletes the earliest files, except for those that are to be kept.
func (j *JSONL) prune(files []string) error {
	for ; len(files) > j.o.Keep; files = files[1:] {
		rows, known := j.counts[files[0]]
		delete(j.counts, files[0])
		var err error
		if !known {
			rows, err = countLines(files[0])
		}
		if err == nil {
			err = os.Remove(files[0])
		}
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		j.mu.Lock()
		j.pruned += rows
		j.mu.Unlock()
		j.log.Info("an old record file was deleted", "path", files[0], "rows", rows)
	}
	return nil
}

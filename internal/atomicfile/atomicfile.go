// Package atomicfile writes files so that a reader sees the whole old content
// or the whole new one, also after a crash.
package atomicfile

import (
	"bufio"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Write replaces the file at path by what write writes, or leaves it as it was
// if write or anything else fails. The content goes to a hidden file beside path
// whose name matches [Leftovers], and which takes the place of path once it is
// on disk. A file that is replaced gets the mode perm too.
func Write(path string, perm fs.FileMode, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close() // which may have been done
			os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriterSize(f, 1<<16)
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Chmod(perm); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	SyncDir(filepath.Dir(path))
	return nil
}

// Leftovers is a pattern for [filepath.Glob], relative to the folder, of the
// hidden files that Write leaves behind if the process is killed.
const Leftovers = ".*.tmp"

// SyncDir makes renames within a folder durable on systems that can. A file that
// was renamed is whole either way, so a failure is not an error.
func SyncDir(dir string) {
	if f, err := os.Open(dir); err == nil {
		f.Sync()
		f.Close()
	}
}

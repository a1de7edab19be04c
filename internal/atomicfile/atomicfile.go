// Package atomicfile writes files so that a reader sees the whole old content
// or the whole new one, also after a crash.
package atomicfile

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Write replaces the file at path by what write writes, or leaves it as it was
// if write or anything else fails. The content goes to a hidden file beside path
// whose name matches [Leftovers], and which takes the place of path once it is
// on disk. A file that is replaced gets the mode perm too. If path is a symbolic
// link, the file that it leads to is replaced. A device or a pipe, such as
// /dev/stdout, is not replaced but written to.
func Write(path string, perm fs.FileMode, write func(io.Writer) error) (err error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return writeTo(path, write)
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
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

// writeTo writes to what cannot be replaced.
func writeTo(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<16)
	err = write(w)
	if err == nil {
		err = w.Flush()
	}
	return errors.Join(err, f.Close())
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

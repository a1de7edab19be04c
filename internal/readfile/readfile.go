// Package readfile reads whole files that a program did not write itself, with a
// limit, so that a device, a pipe or a file of another kind cannot fill the memory.
package readfile

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Errors of this package, which are wrapped with the path.
var (
	ErrNotRegular = errors.New("not a regular file")
	ErrTooLarge   = errors.New("larger than the limit")
	ErrForeign    = errors.New("belongs to another user")
)

// Open opens the regular file at path. Anything else, such as a folder, a device
// or a named pipe, is an error that wraps [ErrNotRegular]; a symbolic link is
// followed. A file of more than limit bytes is an error that wraps [ErrTooLarge]
// and states the limit.
func Open(path string, limit int64) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, notRegular(path) // before opening, which would wait for a pipe's writer
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = notRegular(path)
	case info.Size() > limit:
		err = tooLarge(path, limit)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Read returns the content of a file under the conditions of [Open].
func Read(path string, limit int64) ([]byte, error) {
	f, err := Open(path, limit)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data := make([]byte, 0, info.Size()+1) // with room for the read that meets the end
	for {
		n, err := f.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case errors.Is(err, io.EOF):
			return data, nil
		case err != nil:
			return nil, err
		case int64(len(data)) > limit: // it has grown
			return nil, tooLarge(path, limit)
		case len(data) == cap(data):
			data = append(data, 0)[:len(data)]
		}
	}
}

func notRegular(path string) error { return fmt.Errorf("%s: %w", path, ErrNotRegular) }

func tooLarge(path string, limit int64) error {
	return fmt.Errorf("%s: %w of %d bytes", path, ErrTooLarge, limit)
}

// ReadOwn is [Read] for a file that an earlier run of the program has written. A
// symbolic link is an error that wraps [ErrNotRegular], even if it leads to a
// regular file, and a file of another user one that wraps [ErrForeign], except for
// root's: somebody else may have put it there.
func ReadOwn(path string, limit int64) ([]byte, error) {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, notRegular(path)
	case foreign(info):
		return nil, fmt.Errorf("%s %w", path, ErrForeign)
	}
	return Read(path, limit)
}

// CheckOwnFolder returns an error if path is not a folder or belongs to another user
// than root, so that somebody else can write what [ReadOwn] finds there. A symbolic
// link is not a folder.
func CheckOwnFolder(path string) error {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s: not a folder", path)
	case foreign(info):
		return fmt.Errorf("%s %w", path, ErrForeign)
	}
	return nil
}

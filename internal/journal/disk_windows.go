package journal

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockFile makes sure that only one process has a file locked, until it is closed. The
// lock is far beyond the file's content, because it also keeps others from reading.
func lockFile(f *os.File) error {
	at := windows.Overlapped{OffsetHigh: 1}
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrBusy
	}
	return err
}

// dup returns another handle of an open file.
func dup(f *os.File) (*os.File, error) {
	var handle windows.Handle
	self := windows.CurrentProcess()
	if err := windows.DuplicateHandle(self, windows.Handle(f.Fd()), self, &handle, 0, false, windows.DUPLICATE_SAME_ACCESS); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(handle), f.Name()), nil
}

func noSpace(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

// ignoreUnsupported ignores that Windows cannot synchronise folders.
func ignoreUnsupported(error) error { return nil }

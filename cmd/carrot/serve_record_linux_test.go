package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestServeCheckRecordReadOnly: on a file system that is read only, neither a new
// record nor one that exists can be written, not even by root.
func TestServeCheckRecordReadOnly(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("mount: %v", err)
	}
	defer syscall.Unmount(dir, 0)
	old := filepath.Join(dir, "old.jsonl")
	if err := os.WriteFile(old, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Skipf("remount: %v", err)
	}
	for _, path := range []string{old, filepath.Join(dir, "new.jsonl")} {
		if status, said := checked(t, path); status != 1 || !strings.Contains(said, dir) || !strings.Contains(said, "read-only file system") {
			t.Errorf("%s: status %d: %s, want 1 and the reason", path, status, said)
		}
	}
}

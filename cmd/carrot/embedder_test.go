package main

import (
	"path/filepath"
	"testing"
)

// TestCacheFolder: without a folder of the user's own nothing is cached.
func TestCacheFolder(t *testing.T) {
	for _, name := range []string{"HOME", "XDG_CACHE_HOME", "CARROT_CACHE", "LocalAppData"} {
		t.Setenv(name, "")
	}
	if got := cacheFolder("vectors"); got != "" {
		t.Errorf("cacheFolder without a home = %q, want none", got)
	}
	t.Setenv("CARROT_CACHE", "mine")
	if got, want := cacheFolder("vectors"), filepath.Join("mine", "carrot", "vectors"); got != want {
		t.Errorf("cacheFolder = %q, want %q", got, want)
	}
}

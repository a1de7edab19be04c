package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/carrot-router/carrot/dataset"
)

// TestExportIsAtomic: a reader that opened the old file keeps it whole, because the
// new one takes its place instead of being written into it.
func TestExportIsAtomic(t *testing.T) {
	dir := t.TempDir()
	data, out, old := filepath.Join(dir, "data"), filepath.Join(dir, "v.npy"), filepath.Join(dir, "old.npy")
	set := []dataset.Query{{ID: "1", Source: "test", Prompt: "What is 2 + 2?"}}
	w, err := dataset.NewWriter(data, dataset.WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	o := dataset.NewOutcome("1", "m")
	o.Score = 1
	for _, err := range []error{w.Query(set[0]), w.Outcome(o), w.Commit([]dataset.Model{{Name: "m"}})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(out, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(out, old); err != nil {
		t.Skip(err)
	}
	if err := (&exportCommand{Data: data, Embedder: "static", Out: out}).Run(context.Background(), terminal{out: os.Stdout, err: os.Stderr}); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(old); string(text) != "old" {
		t.Errorf("the old file was written into: %q, %v", text, err)
	}
	if text, err := os.ReadFile(out); err != nil || len(text) != 128+4*128 {
		t.Errorf("the new file has %d bytes (%v), want a header of 128 and 128 numbers", len(text), err)
	}
}

package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

// The licence of everything that is linked or embedded is known, on every platform of make dist.
func TestLicences(t *testing.T) {
	t.Chdir("../..")
	for _, platform := range []string{"linux/amd64", "darwin/arm64", "windows/arm64"} {
		goos, goarch, _ := strings.Cut(platform, "/")
		parts, err := linked(goos, goarch)
		if err != nil {
			t.Fatalf("%s: %v", platform, err)
		}
		texts := string(notices(parts))
		for _, want := range []string{
			"  std ", "  gonum.org/v1/gonum ", "  all-MiniLM-L6-v2 ", "  ZeroEval ", "  OpenHands ", "  tiktoken ", // the list
			"Copyright ©2013 The Gonum Authors", "Copyright (c) 2022 OpenAI", "Copyright 2009 The Go Authors", // texts
			"Copyright 2012-2015 The Prometheus Authors", // a notice
		} {
			if !strings.Contains(texts, want) {
				t.Errorf("%s: the licences lack %q", platform, want)
			}
		}
	}
}

// A module without a licence, and embedded data of unknown origin, are errors.
func TestLicencesMissing(t *testing.T) {
	if got := identify([]text{{"LICENSE", "All rights reserved."}}); len(got) > 0 {
		t.Errorf("identify = %v, want none", got)
	}
	var p listedPackage
	p.Dir, p.EmbedFiles = "/m/embed", []string{"static.safetensors", "other.bin"}
	p.Module = &struct {
		Path, Version, Dir string
		Main               bool
	}{Dir: "/m"}
	if err := known(p); err == nil || !strings.Contains(err.Error(), "embed/other.bin is embedded") || strings.Contains(err.Error(), "static") {
		t.Errorf("known = %v, want an error about embed/other.bin only", err)
	}
}

func TestIdentify(t *testing.T) {
	const bsd = "Redistribution and use in source and binary forms …\nRedistributions in binary\nform must reproduce …"
	f := func(want string, texts ...string) {
		t.Helper()
		var in []text
		for _, s := range texts {
			in = append(in, text{"LICENSE", s})
		}
		if got := strings.Join(identify(in), " "); got != want {
			t.Errorf("identify(%q) = %q, want %q", texts, got, want)
		}
	}
	f("BSD-2-Clause", bsd)
	f("BSD-3-Clause", bsd+"used to endorse or promote products")
	f("Apache-2.0 MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy", "Apache License\n  Version 2.0")
	f("")
}

// Equal files give equal archives.
func TestArchivesAreEqual(t *testing.T) {
	files := []file{{"carrot", []byte("x"), 0o755}, {"LICENSE", []byte("y"), 0o644}}
	for _, write := range []func(string, string, []file, time.Time) error{tarred, zipped} {
		var contents [][]byte
		for range 2 {
			path := t.TempDir() + "/archive"
			if err := write(path, "carrot-x", files, time.Unix(1_800_000_000, 0).UTC()); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			contents = append(contents, b)
		}
		if !bytes.Equal(contents[0], contents[1]) {
			t.Error("two archives of the same files differ")
		}
	}
}

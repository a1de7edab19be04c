// Command dist packs a release binary: into a folder and an archive with its licences,
// the licences and notices of everything that is linked or embedded, and a bill of
// materials. It is a part of make dist:
//
//	go run ./runs/dist -binary FILE -version V -time SECONDS -out dist/carrot-linux-amd64
//
// It fails if the licence of a linked module or of an embedded file is unknown. The same
// binary gives the same bytes.
package main

import (
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	var (
		binary  = flag.String("binary", "", "the `file` to pack")
		version = flag.String("version", "dev", "version of the release")
		seconds = flag.Int64("time", 0, "time of the files in the archive, in `seconds` since 1970")
		out     = flag.String("out", "", "the `folder` to write; the archive and the bill of materials are written beside it")
	)
	flag.Parse()
	if err := pack(*binary, *version, time.Unix(*seconds, 0).UTC(), *out); err != nil {
		fmt.Fprintln(os.Stderr, "dist: error:", err)
		os.Exit(1)
	}
}

// pack writes the folder, the archive and the bill of materials of one binary.
func pack(binary, version string, modified time.Time, out string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	goos, goarch := setting(info, "GOOS"), setting(info, "GOARCH")
	parts, err := linked(goos, goarch)
	if err != nil {
		return err
	}
	if err := same(parts, info); err != nil {
		return err
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	own, err := os.ReadFile("LICENSE")
	if err != nil {
		return err
	}
	bill, err := materials(parts, info, version, content)
	if err != nil {
		return err
	}
	name := "carrot"
	if goos == "windows" {
		name = "carrot.exe"
	}
	files := []file{
		{name, content, 0o755},
		{"LICENSE", own, 0o644},
		{"THIRD_PARTY_LICENSES.txt", notices(parts), 0o644},
		{"carrot.cdx.json", bill, 0o644},
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(out, f.name), f.content, f.mode); err != nil {
			return err
		}
	}
	if err := os.WriteFile(out+".cdx.json", bill, 0o644); err != nil {
		return err
	}
	if goos == "windows" {
		return zipped(out+".zip", filepath.Base(out), files, modified)
	}
	return tarred(out+".tar.gz", filepath.Base(out), files, modified)
}

// setting returns a setting of the build.
func setting(info *buildinfo.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

// same checks that the binary has exactly the modules whose licences were found.
func same(parts []part, info *buildinfo.BuildInfo) error {
	listed := map[string]bool{}
	for _, p := range parts {
		if p.module {
			listed[p.name+"@"+p.version] = true
		}
	}
	var problems []error
	for _, d := range info.Deps {
		id := d.Path + "@" + d.Version
		if !listed[id] {
			problems = append(problems, fmt.Errorf("the binary has %s, which go list does not name: build it from this folder", id))
		}
		delete(listed, id)
	}
	for id := range listed {
		problems = append(problems, fmt.Errorf("the binary lacks %s, which go list names: build it from this folder", id))
	}
	if goVersion := strings.TrimPrefix(info.GoVersion, "go"); !strings.HasPrefix(parts[0].version, goVersion) {
		problems = append(problems, fmt.Errorf("the binary was built with Go %s, want %s", goVersion, parts[0].version))
	}
	return errors.Join(problems...)
}

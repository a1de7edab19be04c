package main

import (
	"bytes"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const docsDir = "../../docs"

// TestDocs runs the commands in the console blocks of README.md, of the tour and of
// some pages of docs with the program on PATH, and compares what they print with what the pages
// show. README.md and the tour begin in an empty folder; the pages of the tour are read
// one after the other, so what one leaves behind is there for the next.
//
// A line that is … stands for any number of lines. A command that serves runs until the
// page ends. Only what is named in volatile may differ. With -update the test writes what
// was printed, as far as it is shown.
func TestDocs(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell to run the commands with")
	}
	if raceEnabled() {
		t.Skip("minutes, for commands that TestScripts runs under the race detector too")
	}
	tour, err := filepath.Glob(docsDir + "/tour/*.md")
	if err != nil || len(tour) == 0 {
		t.Fatalf("docs/tour holds no pages (%v)", err)
	}
	t.Setenv("CARROT_CACHE", t.TempDir())
	for _, session := range []struct {
		name    string
		pages   []string
		prepare func(*testing.T)
	}{
		{"README", []string{docsDir + "/../README.md"}, nil},
		{"tour", tour, nil},
		{"data", []string{docsDir + "/data.md"}, prepareDocs},
		{"default-router", []string{docsDir + "/default-router.md"}, nil},
		{"own-router", []string{docsDir + "/own-router.md"}, nil},
		{"prices", []string{docsDir + "/prices.md"}, prepareDocs},
		{"keys", []string{docsDir + "/keys.md"}, showFile(t, docsDir+"/keys.md", "keys.json")},
		{"operate", []string{docsDir + "/operate.md"}, nil},
		{"collect", []string{docsDir + "/collect.md"}, nil},
		{"learn", []string{docsDir + "/learn.md"}, nil},
		{"dashboard", []string{docsDir + "/dashboard.md"}, nil},
		{"whatif", []string{docsDir + "/whatif.md"}, nil},
		{"plans", []string{docsDir + "/plans.md"}, nil},
		{"certainty", []string{docsDir + "/certainty.md"}, nil},
		{"publish", []string{docsDir + "/publish.md"}, nil},
	} {
		t.Run(session.name, func(t *testing.T) {
			for i, page := range session.pages {
				if session.pages[i], err = filepath.Abs(page); err != nil {
					t.Fatal(err)
				}
			}
			t.Chdir(t.TempDir())
			if session.prepare != nil {
				session.prepare(t)
			}
			for _, page := range session.pages {
				testPage(t, page)
			}
		})
	}
}

func testPage(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("curl"); err != nil && strings.Contains(string(text), "\n$ curl ") {
		t.Skipf("%s needs curl", filepath.Base(file))
	}
	c := &console{t: t}
	defer c.end()
	got := c.page(string(text))
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(text), got); diff != "" {
		t.Errorf("%s is stale (-file +commands): go test ./cmd/carrot -run TestDocs -update\n%s", filepath.Base(file), diff)
	}
}

// prepareDocs creates the folders that docs/data.md uses.
func prepareDocs(t *testing.T) {
	t.Helper()
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	check(writeSynthetic("benchmark", nil))
	check(writeSynthetic("arithmetic", []string{"sums", "dates"}))
	check(writeSynthetic("geography", []string{"capitals"}))
	check(writeSynthetic("broken", nil))
	outcomes, err := os.ReadFile("broken/outcomes.csv")
	check(err)
	outcomes = bytes.Replace(outcomes, []byte("sums/0,acme-large,1,"), []byte("sums/0,acme-large,1.2,"), 1)
	outcomes = bytes.Replace(outcomes, []byte("sums/3,coder-7b"), []byte("sums/3,coder-9b"), 1)
	check(os.WriteFile("broken/outcomes.csv", outcomes, 0o644))
	check(writeSPROUT("downloads/SPROUT/data/train-00000-of-00001.parquet", 0, 70, false))
	check(writeSPROUT("downloads/SPROUT/data/validation-00000-of-00001.parquet", 70, 10, false))
	check(writeSPROUT("downloads/SPROUT/data/test-00000-of-00001.parquet", 80, 20, false))
	check(writeSPROUT("downloads/flawed.parquet", 0, 20, true))
	check(os.WriteFile("downloads/runs.csv", []byte("question,llm,correct,output_tokens\nWhat is 2 + 2?,gpt-4,True,2\nWhat is 2 + 2?,small,False,9\n"), 0o644))
	check(os.WriteFile("downloads/wide.csv", []byte("question,gpt4_ok,small_ok\nWhat is 2 + 2?,1,0\n"), 0o644))
}

// showFile returns a function that writes a file which a page shows with cat.
func showFile(t *testing.T, page, name string) func(*testing.T) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "$ cat "+name+"\n")
	content, _, found := strings.Cut(rest, "$ ")
	if !found {
		t.Fatalf("%s does not show %s", page, name)
	}
	return func(t *testing.T) {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// raceEnabled reports whether the race detector is on.
func raceEnabled() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

var (
	fencedBlock = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	docLink     = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|srcset|href)="([^"]+)"`)
	heading     = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	notInAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestDocLinks follows the links between README.md and the pages under docs. The
// file must exist, and have the heading.
func TestDocLinks(t *testing.T) {
	pages := []string{"../../README.md"}
	err := filepath.WalkDir(docsDir, func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".md" {
			pages = append(pages, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		for _, m := range docLink.FindAllStringSubmatch(readProse(t, page), -1) {
			link, err := url.Parse(m[1] + m[2])
			if err != nil {
				t.Errorf("%s: %v", page, err)
				continue
			}
			if link.IsAbs() {
				continue
			}
			target := page
			if link.Path != "" {
				target = filepath.Join(filepath.Dir(page), link.Path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: link %s: %v", page, link, err)
			} else if link.Fragment != "" && !hasAnchor(readProse(t, target), link.Fragment) {
				t.Errorf("%s: link %s: no such heading", page, link)
			}
		}
	}
}

// readProse reads a page without its code blocks.
func readProse(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return fencedBlock.ReplaceAllString(string(text), "")
}

// hasAnchor reports whether a page has the heading of an anchor in GitHub's form.
func hasAnchor(text, anchor string) bool {
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		if strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-") == anchor {
			return true
		}
	}
	return false
}

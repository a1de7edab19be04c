package main

import (
	"bytes"
	"errors"
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

// TestDocs runs the commands in the console blocks of docs/data.md, docs/prices.md and of the tour,
// each page in its own folder, and compares their output with the page. With
// -update it writes the output.
func TestDocs(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell to run the commands with")
	}
	if raceEnabled() {
		t.Skip("minutes, for commands that TestScripts runs under the race detector too")
	}
	pages, err := filepath.Glob(docsDir + "/tour/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("docs/tour holds no pages (%v)", err)
	}
	t.Setenv("CARROT_CACHE", t.TempDir())
	for _, page := range append(pages, docsDir+"/data.md", docsDir+"/prices.md") {
		t.Run(filepath.Base(page), func(t *testing.T) { testPage(t, page) })
	}
}

func testPage(t *testing.T, page string) {
	file, err := filepath.Abs(page)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	prepareDocs(t)
	got := runConsoleBlocks(t, string(text))
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

// prepareDocs creates the folders that docs/data.md and the tour use.
func prepareDocs(t *testing.T) {
	t.Helper()
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	check(writeSynthetic("benchmark", nil))
	check(writeSynthetic("mydata", nil))
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
	check(os.WriteFile("prompts.jsonl", []byte(tourPrompts), 0o644))
}

const tourPrompts = `{"id":"sum","prompt":"What is 17 times 23?"}
{"id":"clock","prompt":"Wie spät ist es in Berlin?"}
`

// runConsoleBlocks replaces the text after each "$ command" in a console block with
// the output of the command.
func runConsoleBlocks(t *testing.T, text string) string {
	t.Helper()
	var out strings.Builder
	inside := false
	for line := range strings.Lines(text) {
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case !inside:
			inside = line == "```console\n"
		case strings.HasPrefix(line, "```"):
			inside = false
		case isCommand:
			out.WriteString(line)
			if printed := strings.TrimRight(runConsole(t, command), "\n"); printed != "" {
				out.WriteString(printed + "\n")
			}
			continue
		default:
			continue // an old output
		}
		out.WriteString(line)
	}
	return out.String()
}

// raceEnabled reports whether the race detector is on.
func raceEnabled() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// runConsole runs a command in the shell, where carrot is this test binary (see
// TestMain), and returns what a terminal would show. A command may fail.
func runConsole(t *testing.T, command string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput()
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
		t.Fatal(err)
	}
	return string(out)
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

package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

const cliDocs = "../../docs/cli.md"

// TestCLIDocs compares docs/cli.md with the output of --help. With -update it writes
// the file.
func TestCLIDocs(t *testing.T) {
	got := renderCLIDocs(t)
	if *update {
		if err := os.WriteFile(cliDocs, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(cliDocs)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/cli.md is stale (-file +help): go test ./cmd/carrot -run TestCLIDocs -update\n%s", diff)
	}
}

const cliDocsIntro = "# Command line\n\n" +
	"The output of `--help` for every command. Written by `make docs`; do not edit.\n\n" +
	"Results go to standard output, progress and errors to standard error: a command that\n" +
	"takes over two seconds says what it does, on a terminal in one line, elsewhere in a\n" +
	"line every ten seconds. The exit status is 0, 1 where the command failed, or 2 where\n" +
	"it was called wrongly. Embedders that run a transformer or ask a server keep their\n" +
	"vectors in the user's cache folder; `CARROT_CACHE` names another. Without either,\n" +
	"nothing is cached.\n"

func renderCLIDocs(t *testing.T) []byte {
	parser, err := newParser(terminal{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	out.WriteString(cliDocsIntro)
	var walk func(n *kong.Node, path []string)
	walk = func(n *kong.Node, path []string) {
		var help, problems bytes.Buffer
		args := append(slices.Clone(path), "--help")
		if status := run(t.Context(), args, terminal{strings.NewReader(""), &help, &problems}); status != exitOK || problems.Len() > 0 {
			t.Fatalf("carrot %s: status %d\n%s", strings.Join(args, " "), status, &problems)
		}
		name := strings.Join(append([]string{"carrot"}, path...), " ")
		fmt.Fprintf(&out, "\n%s %s\n\n```\n%s\n```\n", strings.Repeat("#", 2+max(0, len(path)-1)), name, bytes.TrimSpace(help.Bytes()))
		for _, child := range n.Children {
			if !child.Hidden {
				walk(child, append(slices.Clone(path), child.Name))
			}
		}
	}
	walk(parser.Model.Node, nil)
	return out.Bytes()
}

// TestHelpHasExamples: the help of every command has an example.
func TestHelpHasExamples(t *testing.T) {
	for section := range strings.SplitSeq(string(renderCLIDocs(t)), "\n## ") {
		if name, text, _ := strings.Cut(section, "\n"); strings.HasPrefix(name, "carrot") && !strings.Contains(text, "Example") {
			t.Errorf("%s --help has no example", name)
		}
	}
}

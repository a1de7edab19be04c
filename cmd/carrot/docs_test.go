package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDocs runs the commands in the console blocks of docs/data.md and compares
// what they print; with -update it writes the outputs.
func TestDocs(t *testing.T) {
	file, err := filepath.Abs("../../docs/data.md")
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
		t.Errorf("docs/data.md is stale (-file +commands): go test ./cmd/carrot -run TestDocs -update\n%s", diff)
	}
}

// prepareDocs makes the folders that docs/data.md speaks of.
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

// runConsoleBlocks replaces what follows each "$ command" in a console block by
// what the command prints.
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
			printed := runConsole(t, strings.Fields(command))
			out.WriteString(strings.TrimRight(printed, "\n") + "\n")
			continue
		default:
			continue // an old output
		}
		out.WriteString(line)
	}
	return out.String()
}

// runConsole runs carrot or head -N FILE.
func runConsole(t *testing.T, args []string) string {
	t.Helper()
	if args[0] == "carrot" {
		var printed bytes.Buffer
		run(t.Context(), args[1:], terminal{strings.NewReader(""), &printed, &printed})
		return printed.String()
	}
	if len(args) != 3 || args[0] != "head" {
		t.Fatalf("command %q: want carrot or head -N FILE", args)
	}
	n, err := strconv.Atoi(strings.TrimPrefix(args[1], "-"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(args[2])
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(data), "\n")
	return strings.Join(lines[:min(n, len(lines))], "")
}

package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/carrot-router/carrot/artifact"
)

var update = flag.Bool("update", false, "write what the tests expect instead of comparing with it")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"carrot": main})
}

// TestScripts runs the shell sessions in testdata/script. The README there lists the
// commands that they can use besides testscript's own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("CARROT_CACHE", e.WorkDir)
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name != "default-router" {
				return false, errors.New("unknown condition " + strconv.Quote(name))
			}
			a, err := artifact.Default()
			return err == nil && len(a.Manifest.Models) == 16, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status":       status,
			"synthetic":    synthetic,
			"sprout":       sproutFile,
			"evaljson":     evalJSON,
			"decisionjson": decisionJSON,
			"npy":          npy,
			"gzip":         gzipFile,
			"hardlink":     hardLink,
			"cut":          cut,
			"flip":         flip,
			"replace":      replace,
			"wants":        wants,
		},
	})
}

// wants changes which embedder a saved router asks for: wants FILE SPEC [ID].
func wants(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: wants file spec [id]")
	}
	a, err := artifact.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	a.Manifest.Embedder.Spec = args[1]
	if len(args) > 2 {
		a.Manifest.Embedder.ID = args[2]
	}
	ts.Check(a.WriteFile(ts.MkAbs(args[0])))
}

// status runs a command and checks its exit status: status N COMMAND ARG…
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N command [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%v exits with status %d, want %d", args[1:], got, want)
	}
}

// edit replaces the content of a file with the result of f.
func edit(ts *testscript.TestScript, path string, f func([]byte) []byte) {
	path = ts.MkAbs(path)
	data, err := os.ReadFile(path)
	ts.Check(err)
	ts.Check(os.WriteFile(path, f(data), 0o644))
}

// gzipFile compresses a file: gzip FILE makes FILE.gz.
func gzipFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: gzip file")
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write([]byte(ts.ReadFile(args[0])))
	ts.Check(err)
	ts.Check(w.Close())
	ts.Check(os.Remove(ts.MkAbs(args[0])))
	ts.Check(os.WriteFile(ts.MkAbs(args[0])+".gz", out.Bytes(), 0o644))
}

// hardLink gives a file another name: hardlink FILE NAME.
func hardLink(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: hardlink file name")
	}
	ts.Check(os.Link(ts.MkAbs(args[0]), ts.MkAbs(args[1])))
}

// cut keeps the first N bytes of a file, or drops the last ones if N is negative:
// cut FILE N.
func cut(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: cut file bytes")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	edit(ts, args[0], func(b []byte) []byte {
		if n < 0 {
			return b[:len(b)+n]
		}
		return b[:n]
	})
}

// flip inverts one byte of a file: flip FILE OFFSET. A negative offset counts from
// the end.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip file offset")
	}
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	edit(ts, args[0], func(b []byte) []byte {
		if at < 0 {
			at += len(b)
		}
		b[at] ^= 0xff
		return b
	})
}

// replace replaces a text, which must occur in a file: replace FILE OLD NEW. Both
// can contain Go escapes such as \xff.
func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace file old new")
	}
	unquote := func(s string) []byte {
		s, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
		ts.Check(err)
		return []byte(s)
	}
	edit(ts, args[0], func(b []byte) []byte {
		if !bytes.Contains(b, unquote(args[1])) {
			ts.Fatalf("%s holds no %q", args[0], args[1])
		}
		return bytes.ReplaceAll(b, unquote(args[1]), unquote(args[2]))
	})
}

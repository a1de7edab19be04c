package judge

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// script writes a shell script and returns the configuration of the judge that runs it.
// Where the system gives no network namespace, the script runs with network.
func script(t *testing.T, body string) Config {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "judge.sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o700); err != nil {
		t.Fatal(err)
	}
	return Config{Kind: "command", Command: []string{path, "an argument"}, Network: !namespaces(), Timeout: 5 * time.Second}
}

func namespaces() bool { return (&command{}).probe() == nil }

func TestCommand(t *testing.T) {
	t.Setenv("CARROT_SECRET", "sk-secret")
	it := Item{ID: "q1", Model: "m", Prompt: "p", Reference: "r", Answer: "a \"quoted\" answer"}
	for _, one := range []struct {
		name, body string
		score      float64
		final      string
		want       string // of the error
	}{
		{"score", `echo '{"score": 0.5, "answer": "It IS."}'`, 0.5, "it is", ""},
		{"input", `read -r line; [ "$line" = '{"id":"q1","model":"m","prompt":"p","reference":"r","answer":"a \"quoted\" answer"}' ] && [ "$1" = "an argument" ] && echo '{"score": 1}'`, 1, "", ""},
		{"value", `echo '{"score": 1, "answer": {"b": 1.0, "a": [2]}}'`, 1, `{"a":[2],"b":1}`, ""},
		{"no environment", `[ -z "$CARROT_SECRET" ] && echo '{"score": 1}'`, 1, "", ""},
		{"status", `echo '{"score": 1}'; echo "the prompt is p" >&2; exit 3`, 0, "", "the command failed: exit status 3"},
		{"nothing", `:`, 0, "", `the command's output is not a JSON object such as {"score": 1, "answer": "B"}`},
		{"no score", `echo '{"answer": "x"}'`, 0, "", "the command's output has no score from 0 to 1"},
		{"above 1", `echo '{"score": 10}'`, 0, "", "the command's output has no score from 0 to 1"},
		{"much", `while :; do echo 0123456789012345678901234567890123456789012345678901234567890123456789; done`, 0, "", "the command wrote more than 1 MiB"},
	} {
		t.Run(one.name, func(t *testing.T) {
			j, err := New(script(t, one.body), Options{AllowCommands: true})
			if err != nil {
				t.Fatal(err)
			}
			v, err := j.Judge(t.Context(), it)
			if one.want == "" && err != nil || one.want != "" && (err == nil || err.Error() != one.want) {
				t.Fatalf("%v, want %q", err, one.want)
			}
			if v.Score != one.score || v.Final != one.final {
				t.Errorf("%+v", v)
			}
		})
	}
}

func TestCommandLimits(t *testing.T) {
	t.Run("off", func(t *testing.T) {
		if _, err := New(script(t, ":"), Options{}); err == nil || !strings.Contains(err.Error(), "unless commands are allowed") {
			t.Errorf("%v", err)
		}
	})
	t.Run("time and children", func(t *testing.T) {
		pid := filepath.Join(t.TempDir(), "pid")
		c := script(t, `sleep 60 & echo $! > `+pid+`; sleep 60`)
		c.Timeout = 200 * time.Millisecond
		c.Network = true // so that the number of the process is ours
		j, err := New(c, Options{AllowCommands: true})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if _, err := j.Judge(t.Context(), Item{}); err == nil || err.Error() != "the command took longer than 200ms" {
			t.Fatalf("%v", err)
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("took %s", took)
		}
		data, err := os.ReadFile(pid)
		if err != nil {
			t.Fatal(err)
		}
		child, err := strconv.Atoi(strings.TrimSpace(string(data)))
		if err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(5 * time.Second); running(child); {
			if time.Now().After(end) {
				t.Fatalf("process %d of the command still runs", child)
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	t.Run("children that leave the group", func(t *testing.T) {
		setsid, err := exec.LookPath("setsid")
		if !namespaces() || err != nil {
			t.Skip("no namespaces for ordinary users, or no setsid")
		}
		sign := filepath.Join(t.TempDir(), "sign")
		j, err := New(script(t, setsid+` sh -c 'sleep 0.3; touch `+sign+`' >/dev/null 2>&1 & echo '{"score": 1}'`), Options{AllowCommands: true})
		if err != nil {
			t.Fatal(err)
		}
		if v, err := j.Judge(t.Context(), Item{}); err != nil || v.Score != 1 {
			t.Fatalf("%+v, %v", v, err)
		}
		time.Sleep(600 * time.Millisecond) // the child would have made the file by then
		if _, err := os.Stat(sign); err == nil {
			t.Error("a process of the command ran on after its end")
		}
	})
	t.Run("memory", func(t *testing.T) {
		python, err := exec.LookPath("python3")
		if err != nil {
			t.Skip("no python3 to allocate memory with")
		}
		c := Config{Kind: "command", Command: []string{python, "-c", `import json, sys; size = int(json.load(sys.stdin)["answer"]); x = bytearray(size << 20); print('{"score": 1}')`}, MemoryMB: 128, Network: !namespaces()}
		j, err := New(c, Options{AllowCommands: true})
		if err != nil {
			t.Fatal(err)
		}
		if v, err := j.Judge(t.Context(), Item{Answer: "16"}); err != nil || v.Score != 1 {
			t.Errorf("16 MiB: %+v, %v", v, err)
		}
		if _, err := j.Judge(t.Context(), Item{Answer: "256"}); err == nil || err.Error() != "the command failed: exit status 1" {
			t.Errorf("256 MiB: %v", err)
		}
	})
	t.Run("network", func(t *testing.T) {
		if !namespaces() {
			c := script(t, ":")
			c.Network = false
			if _, err := New(c, Options{AllowCommands: true}); err == nil || !strings.Contains(err.Error(), "network: true") {
				t.Errorf("without namespaces: %v", err)
			}
			t.Skip("no network namespaces for ordinary users here")
		}
		// The name of an interface stands before a colon; the loopback is there and down.
		j, err := New(script(t, `grep -v '|' /proc/self/net/dev | grep -vq '^ *lo:' && echo '{"score": 0}' || echo '{"score": 1}'`), Options{AllowCommands: true})
		if err != nil {
			t.Fatal(err)
		}
		if v, err := j.Judge(t.Context(), Item{}); err != nil || v.Score != 1 {
			t.Errorf("%+v, %v", v, err)
		}
	})
}

// running reports whether a process runs; one that has ended and was not waited for
// does not.
func running(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

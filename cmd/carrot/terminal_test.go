//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestInterruptedInput: a command that waits for input ends when it is interrupted.
func TestInterruptedInput(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip(err)
	}
	for _, args := range []string{"route -", "route --batch -", "arena -", "route --batch " + pipe, "price check " + pipe} {
		ctx, cancel := context.WithCancel(t.Context())
		in, _ := io.Pipe() // which is never written to
		var out, errs bytes.Buffer
		done := make(chan int)
		go func() { done <- run(ctx, strings.Fields(args), terminal{in, &out, &errs}) }()
		select {
		case status := <-done:
			t.Fatalf("carrot %s did not wait for input: status %d, %s", args, status, &errs)
		case <-time.After(300 * time.Millisecond):
		}
		cancel()
		select {
		case status := <-done:
			if status != exitFailed || !strings.Contains(errs.String(), "carrot: error: interrupted\ncarrot: hint: nothing was written\n") {
				t.Errorf("carrot %s, interrupted: status %d, %s", args, status, &errs)
			}
		case <-time.After(patience + 3*time.Second):
			t.Errorf("carrot %s, interrupted, goes on", args)
		}
	}
}

// program returns the path of the command carrot, which runs in a process of its own.
func program(t *testing.T) string {
	t.Helper()
	test, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	carrot := filepath.Join(t.TempDir(), "carrot") // the name that TestMain knows
	if err := os.Symlink(test, carrot); err != nil {
		t.Skip(err)
	}
	return carrot
}

// TestSecondSignal: a second signal ends a server that still waits for a client.
func TestSecondSignal(t *testing.T) {
	server := exec.Command(program(t), "serve", "--demo", "--listen", "127.0.0.1:0")
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Process.Kill()
	first, err := bufio.NewReader(out).ReadString('\n')
	_, rest, ok := strings.Cut(first, "http://")
	address, _, _ := strings.Cut(rest, ". ")
	if !ok || err != nil {
		t.Fatalf("the server says %q, %v", first, err)
	}
	client, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := io.WriteString(client, "POST /v1/chat/completions HTTP/1.1\r\nHost: "+address+"\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	for range 2 {
		if err := server.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
	}
	select {
	case <-ended:
	case <-time.After(2 * time.Second):
		t.Error("after a second signal the server goes on")
	}
}

// TestFullDisk: a command whose output cannot be written fails and says so.
func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	for _, args := range []string{"version", "version --json", "completion bash", "completion zsh", "completion fish", "--help", "route --help",
		"inspect", "price list", "route hello", "route --json hello", "embed check"} {
		var errs bytes.Buffer
		status := run(t.Context(), strings.Fields(args), terminal{strings.NewReader(""), full, &errs})
		if status != exitFailed || strings.Count(errs.String(), "no space left on device") != 1 {
			t.Errorf("carrot %s > /dev/full: status %d, %q, want 1 and the reason", args, status, &errs)
		}
	}
}

// TestEndingReader: what is read arrives whole, with its end or error.
func TestEndingReader(t *testing.T) {
	text := strings.Repeat("0123456789", 20000)
	r := &endingReader{ctx: t.Context(), r: strings.NewReader(text)}
	if got, err := io.ReadAll(r); string(got) != text || err != nil {
		t.Errorf("%d bytes, %v, want %d", len(got), err, len(text))
	}
}

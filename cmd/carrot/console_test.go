package main

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// console runs the commands of a page.
type console struct {
	t         *testing.T
	servers   []*exec.Cmd
	addresses map[string]string // where servers listen, by what pages show
	printed   map[string]string // ids and keys that were printed, by what the page shows
	env       []string          // what the page exports
}

// shownAddress is where servers listen in the pages: the gateway, its admin address, and
// simulated models. In tests they listen elsewhere, as another program may listen there.
var shownAddress = regexp.MustCompile(`\b127\.0\.0\.1:(8080|8081|9000)\b`)

// named are ids and keys that a page shows, and later commands of it use.
var named = regexp.MustCompile(`\breq_[A-Z2-7]{26}\b|\bsk-carrot-[A-Z2-7]{6,26}\b`)

// volatile is what may differ between two runs, and is not compared.
var volatile = []*regexp.Regexp{
	regexp.MustCompile(`^X-Carrot-Overhead-Ms: .*$`),
	regexp.MustCompile(`^((X-Carrot-|X-|X-Carrot-Upstream-)?Request-Id|Date|X-Ratelimit-Reset-Requests): .*$`),
	regexp.MustCompile(`req_[A-Z2-7]{26}`),
	regexp.MustCompile(`"time":"[^"]*"`),
	regexp.MustCompile(`^  time      .*$`),
	regexp.MustCompile(`decided in [0-9.µms]+`),
	regexp.MustCompile(`\b20\d\d-\d\d-01(  |: )`), // of a budget's month
	regexp.MustCompile(`sk-carrot-[A-Z2-7]{6,26}`),
	regexp.MustCompile(`\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z(  \S+  (create|update|rotate|revoke)\b)?`),
}

// progressLine is what a slow command prints in between.
var progressLine = regexp.MustCompile(`^carrot: after [0-9hms]+: `)

// page runs the commands in the console blocks of a page, and returns the page with what
// they print, as far as it is shown.
func (c *console) page(text string) string {
	c.t.Helper()
	var out strings.Builder
	lines := slices.Collect(strings.Lines(text))
	take := func(while func(line string) bool) (taken []string) {
		for len(lines) > 0 && while(lines[0]) {
			taken = append(taken, strings.TrimSuffix(lines[0], "\n"))
			lines = lines[1:]
		}
		return taken
	}
	fence := "" // that began the block; "" outside of blocks
	for len(lines) > 0 {
		line := lines[0]
		lines = lines[1:]
		out.WriteString(line)
		command, ok := strings.CutPrefix(line, "$ ")
		switch {
		case strings.HasPrefix(line, "```") && fence == "":
			fence = line
			continue
		case strings.HasPrefix(line, "```"):
			fence = ""
			continue
		case fence == "":
			continue
		case fence != "```console\n":
			if ok {
				c.t.Errorf("%q is in a block that begins with %q and is not run", line, fence)
			}
			continue
		case !ok:
			c.t.Fatalf("a console block begins with %q, want a command", line)
		}
		_, end, here := strings.Cut(command, "<<'")
		end, _, _ = strings.Cut(end, "'")
		for more := ""; (here && more != end+"\n" || !here && strings.HasSuffix(command, "\\\n")) && len(lines) > 0; {
			more = lines[0]
			command += more
			out.WriteString(more)
			lines = lines[1:]
		}
		shown := take(func(line string) bool { return !strings.HasPrefix(line, "$ ") && !strings.HasPrefix(line, "```") })
		for _, line := range c.show(strings.TrimSpace(command), shown) {
			out.WriteString(line + "\n")
		}
	}
	return out.String()
}

// show runs a command and returns what a page that showed these lines should show.
func (c *console) show(command string, shown []string) []string {
	c.t.Helper()
	printed := c.run(command)
	if alike(shown, printed) {
		c.note(shown, printed)
		return shown
	}
	first := slices.Index(shown, "…")
	if first < 0 {
		return printed
	}
	// Keep as many lines as there were at the beginning and the end.
	last := len(shown) - 1
	for shown[last] != "…" {
		last--
	}
	tail := len(shown) - last - 1
	fresh := slices.Clone(printed[:min(first, len(printed))])
	fresh = append(fresh, shown[first:last+1]...)
	fresh = append(fresh, printed[max(len(printed)-tail, 0):]...)
	if !alike(fresh, printed) {
		c.t.Errorf("%s does not print the lines that the page shows between two …; edit them. It prints:\n%s", command, strings.Join(printed, "\n"))
	}
	return fresh
}

// alike reports whether a page may show these lines of what was printed.
func alike(shown, printed []string) bool {
	for k, line := range shown {
		switch {
		case line == "…":
			for from := range len(printed) - k + 1 {
				if alike(shown[k+1:], printed[k+from:]) {
					return true
				}
			}
			return false
		case k >= len(printed) || stable(line) != stable(printed[k]):
			return false
		}
	}
	return len(shown) == len(printed)
}

// stable replaces what is volatile in a line.
func stable(line string) string {
	for _, r := range volatile {
		line = r.ReplaceAllString(line, "volatile "+r.String())
	}
	return line
}

// note keeps the ids and keys that a command has printed where the page shows others.
func (c *console) note(shown, printed []string) {
	for _, line := range shown {
		names := named.FindAllString(line, -1)
		at := slices.IndexFunc(printed, func(p string) bool { return stable(p) == stable(line) })
		if len(names) == 0 || at < 0 {
			continue
		}
		if c.printed == nil {
			c.printed = map[string]string{}
		}
		for i, name := range named.FindAllString(printed[at], -1) {
			c.printed[names[i]] = name
			if prefix := len("sk-carrot-") + 6; strings.HasPrefix(name, "sk-") && len(names[i]) >= prefix {
				c.printed[names[i][:prefix]] = name[:prefix]
			}
		}
	}
}

// run runs a command in the shell, where carrot is this test binary (see TestMain), and
// returns the lines that it would show without a terminal. A command may fail.
func (c *console) run(command string) []string {
	c.t.Helper()
	command = named.ReplaceAllStringFunc(command, func(shown string) string { return cmp.Or(c.printed[shown], shown) })
	command = shownAddress.ReplaceAllStringFunc(command, c.address)
	var text string
	switch assigned, exports := strings.CutPrefix(command, "export "); {
	case exports:
		c.env = append(c.env, assigned)
	case strings.HasPrefix(command, "carrot simulate "), strings.HasPrefix(command, "carrot serve") && !strings.Contains(command, "--check"):
		text = c.serve(command)
	default:
		out, err := c.shell(command).CombinedOutput()
		if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
			c.t.Fatal(err)
		}
		text = string(out)
	}
	for shown, real := range c.addresses {
		text = strings.ReplaceAll(text, real, shown)
	}
	text = strings.TrimRight(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	if text == "" {
		return nil
	}
	return slices.DeleteFunc(strings.Split(text, "\n"), progressLine.MatchString)
}

// shell returns a command for the shell.
func (c *console) shell(command string) *exec.Cmd {
	cmd := exec.CommandContext(c.t.Context(), "sh", "-c", command)
	cmd.Env = append(os.Environ(), c.env...)
	return cmd
}

// address returns where a server listens that the pages show at an address.
func (c *console) address(shown string) string {
	if c.addresses[shown] == "" {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			c.t.Fatal(err)
		}
		defer free.Close()
		c.listen(shown, free.Addr().String())
	}
	return c.addresses[shown]
}

// listen says where a server listens that the pages show at an address.
func (c *console) listen(shown, real string) {
	if c.addresses == nil {
		c.addresses = map[string]string{}
	}
	c.addresses[shown] = real
}

// serve starts a server in the background and returns what it prints before it waits for
// requests. The last line says how to stop it, or is that of the log which says that it
// serves.
func (c *console) serve(command string) string {
	c.t.Helper()
	demo := !strings.Contains(command, "--listen") && !strings.Contains(command, "--config") // which listens at 8080 and 8081
	if demo {
		command += " --listen " + c.address("127.0.0.1:8080")
	}
	server := c.shell("exec " + command)
	out, in, err := os.Pipe()
	if err != nil {
		c.t.Fatal(err)
	}
	server.Stdout, server.Stderr = in, in
	err = server.Start()
	in.Close()
	if err != nil {
		c.t.Fatal(err)
	}
	c.servers = append(c.servers, server)
	late := time.AfterFunc(time.Minute, func() { server.Process.Kill() })
	defer late.Stop()
	var text strings.Builder
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		text.WriteString(line)
		if err != nil {
			c.t.Fatalf("%s ended or was silent for a minute (%v):\n%s", command, err, &text)
		}
		if _, admin, ok := strings.Cut(line, "in a browser: http://"); ok && demo { // the next port
			c.listen("127.0.0.1:8081", strings.TrimSpace(admin))
		}
		if strings.HasPrefix(line, "Stop with Ctrl-C.") || strings.Contains(line, `"msg":"serving"`) {
			go io.Copy(os.Stderr, lines)
			return text.String()
		}
	}
}

// end stops the servers.
func (c *console) end() {
	c.t.Helper()
	for _, server := range c.servers {
		if err := server.Process.Signal(os.Interrupt); err != nil {
			c.t.Error(err)
			continue
		}
		if err := server.Wait(); err != nil {
			c.t.Errorf("the server, interrupted: %v", err)
		}
	}
	c.servers = nil
}

// TestConsolePage: what a page shows is compared with what is printed, line by line.
func TestConsolePage(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell to run the commands with")
	}
	for _, c := range []struct{ name, page, want string }{
		{"equal", "$ printf 'a\\nb\\n'\na\nb\n", "$ printf 'a\\nb\\n'\na\nb\n"},
		{"changed", "$ printf 'a\\nb\\n'\na\nc\n", "$ printf 'a\\nb\\n'\na\nb\n"},
		{"left out", "$ seq 5\n1\n…\n5\n$ seq 3\n…\n", "$ seq 5\n1\n…\n5\n$ seq 3\n…\n"},
		{"changed around what is left out", "$ seq 5\n7\n…\n4\n6\n", "$ seq 5\n1\n…\n4\n5\n"},
		{"between two", "$ seq 9\n1\n…\n4\n5\n…\n", "$ seq 9\n1\n…\n4\n5\n…\n"},
		{"nothing left out", "$ seq 2\n1\n…\n2\n", "$ seq 2\n1\n…\n2\n"},
		{"two lines, and a failure", "$ echo a \\\n  b; false\na b\n", "$ echo a \\\n  b; false\na b\n"},
		{"volatile", "$ echo Date: today\nDate: yesterday\n", "$ echo Date: today\nDate: yesterday\n"},
		{"an id that was printed", "$ echo req_AAAAAAAAAAAAAAAAAAAAAAAAAA\nreq_BBBBBBBBBBBBBBBBBBBBBBBBBB\n$ test req_BBBBBBBBBBBBBBBBBBBBBBBBBB = req_AAAAAAAAAAAAAAAAAAAAAAAAAA && echo no || echo yes\nyes\n",
			"$ echo req_AAAAAAAAAAAAAAAAAAAAAAAAAA\nreq_BBBBBBBBBBBBBBBBBBBBBBBBBB\n$ test req_BBBBBBBBBBBBBBBBBBBBBBBBBB = req_AAAAAAAAAAAAAAAAAAAAAAAAAA && echo no || echo yes\nno\n"},
		{"a text up to its end, and what is exported", "$ export A=b\n$ cat <<'EOF'\na\nEOF\na\n$ echo $A\nb\n", "$ export A=b\n$ cat <<'EOF'\na\nEOF\na\n$ echo $A\nb\n"},
		{"progress", "$ echo carrot: after 2s: reading\n", "$ echo carrot: after 2s: reading\n"},
	} {
		page := func(text string) string {
			return "Some prose.\n```console\n" + text + "```\nMore:\n\n$ echo a\n```go\nb\n```\n"
		}
		if got := (&console{t: t}).page(page(c.page)); got != page(c.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, page(c.want))
		}
	}
}

package judge

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// command runs a program for each item.
type command struct {
	args    []string
	dir     string
	timeout time.Duration
	memory  int64 // bytes
	network bool
}

// maxOutput is the length of the longest output of a command.
const maxOutput = 1 << 20

func newCommand(c Config, dir string) (*command, error) {
	j := &command{args: c.Command, dir: dir, timeout: cmp.Or(c.Timeout, DefaultTimeout),
		memory: int64(cmp.Or(c.MemoryMB, DefaultMemoryMB)) << 20, network: c.Network}
	program := j.args[0]
	if strings.ContainsRune(program, filepath.Separator) {
		if !filepath.IsAbs(program) {
			program = filepath.Join(dir, program)
		}
		absolute, err := filepath.Abs(program)
		if err != nil {
			return nil, err
		}
		program = absolute
	}
	found, err := exec.LookPath(program)
	if err != nil {
		return nil, err
	}
	j.args = append([]string{found}, c.Command[1:]...)
	if j.dir == "" {
		j.dir = "."
	}
	return j, j.probe()
}

// commandReply is what a command writes.
type commandReply struct {
	Score  *float64        `json:"score"`
	Answer json.RawMessage `json:"answer"`
}

func (j *command) Judge(ctx context.Context, it Item) (Verdict, error) {
	input, err := json.Marshal(it)
	if err != nil {
		return Verdict{}, err
	}
	out, err := j.run(ctx, append(input, '\n'))
	if err != nil {
		return Verdict{}, err
	}
	var r commandReply
	if err := json.Unmarshal(out, &r); err != nil {
		return Verdict{}, errors.New(`the command's output is not a JSON object such as {"score": 1, "answer": "B"}`)
	}
	if r.Score == nil || !(*r.Score >= 0 && *r.Score <= 1) {
		return Verdict{}, errors.New("the command's output has no score from 0 to 1")
	}
	v := Verdict{Score: *r.Score, Note: "by the command"}
	if len(r.Answer) > 0 && string(r.Answer) != "null" {
		var text string
		if json.Unmarshal(r.Answer, &text) == nil {
			v.Final = normal(text)
		} else if value, err := decodeJSON(r.Answer); err == nil {
			v.Final = canonical(value)
		}
	}
	return v, nil
}

// run runs the program once. What the program writes to standard error is dropped,
// because it may hold text of the prompt.
func (j *command) run(ctx context.Context, input []byte) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, j.timeout)
	defer cancel()
	c, err := j.prepare()
	if err != nil {
		return nil, err
	}
	out := &cappedBuffer{most: maxOutput, over: cancel}
	c.Dir, c.Stdin, c.Stdout = j.dir, bytes.NewReader(input), out
	// No key of the collecting process reaches the program.
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"}
	if home := os.Getenv("HOME"); home != "" {
		c.Env = append(c.Env, "HOME="+home)
	}
	c.WaitDelay = time.Second // for output that a process which left the group holds open
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("start the command: %w", err)
	}
	stop := context.AfterFunc(limited, func() { killGroup(c) })
	err = c.Wait()
	stop()
	killGroup(c) // what the program left behind
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case out.full:
		return nil, fmt.Errorf("the command wrote more than %d MiB", maxOutput>>20)
	case limited.Err() != nil:
		return nil, fmt.Errorf("the command took longer than %s", j.timeout)
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return nil, fmt.Errorf("the command failed: %w", err)
	}
	return out.data, nil
}

// cappedBuffer keeps what is written to it up to a length, and then calls over.
type cappedBuffer struct {
	data []byte // no bytes.Buffer, whose ReadFrom would pass the limit by
	most int
	full bool
	over func()
}

func (b *cappedBuffer) Write(p []byte) (int, error) {
	if len(b.data)+len(p) > b.most {
		b.full = true
		b.over()
		return 0, io.ErrShortWrite
	}
	b.data = append(b.data, p...)
	return len(p), nil
}

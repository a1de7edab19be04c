package judge

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// prepare returns the command of the program in its own process group and, without
// network, in user, network and process namespaces of its own: there is no interface
// but a loopback that is down, and everything ends with the first process. The
// limit of memory is set by a shell, so that the program never runs without it.
func (j *command) prepare() (*exec.Cmd, error) {
	const shell = `ulimit -d "$0" && ulimit -c 0 && exec "$@"`
	args := append([]string{"-c", shell, strconv.FormatInt(j.memory>>10, 10)}, j.args...)
	c := exec.Command("/bin/sh", args...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if !j.network {
		isolate(c.SysProcAttr)
	}
	return c, nil
}

func isolate(a *syscall.SysProcAttr) {
	a.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
}

// probe finds out whether a program can be run as prepare wants it.
func (j *command) probe() error {
	if j.network {
		return nil
	}
	c := exec.Command("/bin/sh", "-c", ":")
	c.SysProcAttr = &syscall.SysProcAttr{}
	isolate(c.SysProcAttr)
	if err := c.Run(); err != nil {
		return fmt.Errorf("this system gives no network namespace to an ordinary user (%w): allow unprivileged user namespaces, or write network: true to let the command use the network", err)
	}
	return nil
}

// killGroup ends all processes of the program's group.
func killGroup(c *exec.Cmd) { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) } // it may have ended

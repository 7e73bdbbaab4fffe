package image

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stopTime is how long a cancelled program has to clean up.
const stopTime = 20 * time.Second

// environment returns the value of a variable in the configured environment.
func (c Config) environment(name string) string {
	for _, setting := range c.Environment {
		if value, ok := strings.CutPrefix(setting, name+"="); ok {
			return value
		}
	}
	return ""
}

// has reports whether a program is in the configured PATH, or in the places
// for system programs that an ordinary user's PATH leaves out.
func has(c Config, program string) bool { return c.find(program) != "" }

// find returns the path of a program, or "".
func (c Config) find(program string) string {
	if strings.Contains(program, "/") {
		return program
	}
	for _, dir := range append(filepath.SplitList(c.environment("PATH")), "/usr/sbin", "/sbin") {
		file := filepath.Join(dir, program)
		if info, err := os.Stat(file); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return file
		}
	}
	return ""
}

// command makes a command that ends, with all that it started, when ctx does.
func (b *build) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	path := b.config.find(program)
	if path == "" {
		path = program
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = slices.Concat(b.config.Environment, []string{"LC_ALL=C.UTF-8"})
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = stopTime
	return cmd
}

// asRoot makes a command that runs as root, or as root of a user namespace,
// with mounts and processes of its own.
func (b *build) asRoot(ctx context.Context, args ...string) *exec.Cmd {
	if os.Geteuid() == 0 {
		return b.command(ctx, "unshare", append([]string{"--mount", "--pid", "--fork", "--kill-child=SIGTERM", "--"}, args...)...)
	}
	return b.command(ctx, "mmdebstrap", append([]string{"--unshare-helper"}, args...)...)
}

// run runs a command, tells what notable makes of the lines that it prints,
// and quotes its last lines if it fails. A nil notable tells nothing.
func (b *build) run(cmd *exec.Cmd, notable func(line string) (text string, tell bool)) error {
	return b.runTo(cmd, nil, notable)
}

// runWith is run that calls started once the command has its files.
func (b *build) runWith(cmd *exec.Cmd, started func(), notable func(line string) (text string, tell bool)) error {
	output := b.listen(notable)
	cmd.Stdout, cmd.Stderr = output, output
	err := cmd.Start()
	started()
	if err == nil {
		err = cmd.Wait()
	}
	return output.explain(cmd, err)
}

// runTo is run with what the command prints written to stdout, if that is not
// nil; only what it says on standard error is told and quoted.
func (b *build) runTo(cmd *exec.Cmd, stdout io.Writer, notable func(line string) (text string, tell bool)) error {
	output := b.listen(notable)
	cmd.Stdout, cmd.Stderr = output, output
	if stdout != nil {
		cmd.Stdout = stdout
	}
	return output.explain(cmd, cmd.Run())
}

// listen returns a writer that tells what is notable.
func (b *build) listen(notable func(line string) (text string, tell bool)) *tail {
	return &tail{tell: func(line string) bool {
		if notable == nil {
			return false
		}
		text, told := notable(line)
		if told {
			b.say("  %s", text)
		}
		return told
	}}
}

// explain adds a command's last lines to its error.
func (t *tail) explain(cmd *exec.Cmd, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, t.last(30))
}

// output runs a command and returns what it prints.
func (b *build) output(cmd *exec.Cmd) ([]byte, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, stderr.Bytes())
	}
	return out, nil
}

// tail is a writer that tells each line, which says whether that was enough,
// and remembers the last ones of the others.
type tail struct {
	tell    func(line string) (told bool)
	partial []byte
	lines   []string
}

const tailLines = 200

func (t *tail) Write(p []byte) (int, error) {
	t.partial = append(t.partial, p...)
	for {
		i := bytes.IndexByte(t.partial, '\n')
		if i < 0 {
			return len(p), nil
		}
		line := strings.TrimRight(string(t.partial[:i]), "\r")
		t.partial = t.partial[i+1:]
		if t.tell(line) {
			continue
		}
		if t.lines = append(t.lines, line); len(t.lines) > tailLines {
			t.lines = t.lines[1:]
		}
	}
}

// last returns the last n lines.
func (t *tail) last(n int) string {
	return strings.Join(append(t.lines[max(0, len(t.lines)-n):], string(t.partial)), "\n")
}

func userName(uid int) (string, error) {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return "", err
	}
	return u.Username, nil
}

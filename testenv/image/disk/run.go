package disk

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// stopTime is how long a cancelled program has to end.
const stopTime = 10 * time.Second

// packages bring the programs, in Debian's words.
var packages = map[string]string{"qemu-img": "qemu-utils", "e2fsck": "e2fsprogs"}

// run runs a program in a directory, and quotes what it says if it fails.
func (c Config) run(ctx context.Context, dir, program string, args ...string) error {
	path := c.find(program)
	if path == "" {
		return fmt.Errorf("%s is missing; install the package %s", program, packages[program])
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	cmd.Env = slices.Concat(c.Environment, []string{"LC_ALL=C.UTF-8"})
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTime
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%s: %w: %s", program, err, excerpt(output.Bytes()))
	}
	return nil
}

// excerpt returns the end of what a program printed.
func excerpt(output []byte) []byte {
	const most = 2000
	output = bytes.TrimSpace(output)
	return output[max(0, len(output)-most):]
}

// find returns a program's path, or "".
func (c Config) find(program string) string {
	var dirs []string
	for _, setting := range c.Environment {
		if value, ok := strings.CutPrefix(setting, "PATH="); ok {
			dirs = filepath.SplitList(value)
		}
	}
	for _, dir := range append(dirs, "/usr/bin", "/usr/sbin", "/sbin") {
		file := filepath.Join(dir, program)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file
		}
	}
	return ""
}

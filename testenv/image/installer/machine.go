package installer

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stopTime is how long a machine that is told to end may take.
const stopTime = 5 * time.Second

// boot runs the installer's machine until it goes off.
func (c Config) boot(ctx context.Context, dir, disk string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("the installer had not ended after %s", c.Timeout))
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	screen := &console{}
	screen.tell = func(line string) {
		if strings.Contains(line, "Kernel panic - not syncing") {
			fail(ErrPanic)
			screen.ended = true // registers would follow, and hide the reason
		}
		if c.Progress != nil {
			c.Progress(line)
		}
	}
	cmd := c.command(ctx, c.QEMU, c.arguments(dir, disk)...)
	cmd.Stdout, cmd.Stderr = screen, screen
	err := cmd.Run()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w; its console:\n%s", err, screen.last(quoted))
	}
	return nil
}

// arguments are QEMU's: a machine that any installer has drivers for. It ends
// where others would reboot.
func (c Config) arguments(dir, disk string) []string {
	network := "user,id=net"
	if !c.Network {
		network += ",restrict=on"
	}
	return []string{
		"-no-user-config", "-nodefaults", "-display", "none", "-no-reboot",
		"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-machine", "pc,usb=off,vmport=off,hpet=off,accel=" + c.Accel, "-cpu", "max",
		"-smp", strconv.Itoa(c.VCPUs), "-m", strconv.Itoa(c.MemoryMB), "-rtc", "base=utc",
		"-kernel", filepath.Join(dir, kernelFile), "-initrd", filepath.Join(dir, ramdiskFile), "-append", c.CommandLine,
		"-drive", "if=none,id=disk,format=qcow2,cache=unsafe,discard=unmap,file.driver=file,file.filename=" + escape(disk),
		"-device", "virtio-blk-pci,drive=disk",
		"-drive", "if=none,id=iso,format=raw,readonly=on,file.driver=file,file.filename=" + escape(c.ISO),
		"-device", "ide-cd,drive=iso",
		"-netdev", network, "-device", "virtio-net-pci,netdev=net,romfile=",
		"-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng",
		"-serial", "stdio",
	}
}

// escape doubles commas, which separate QEMU's options.
func escape(path string) string { return strings.ReplaceAll(path, ",", ",,") }

// command makes a command that ends when ctx does, or this program.
func (c Config) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.find(program), args...)
	cmd.Env = slices.Concat(c.Environment, []string{"LC_ALL=C.UTF-8"})
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTime
	return cmd
}

// find returns the path of a program by the configured PATH; what is not there
// is reported by whoever starts it.
func (c Config) find(program string) string {
	if strings.Contains(program, "/") {
		return program
	}
	for _, setting := range c.Environment {
		value, ok := strings.CutPrefix(setting, "PATH=")
		for _, dir := range filepath.SplitList(value) {
			if path, err := exec.LookPath(filepath.Join(dir, program)); ok && err == nil {
				return path
			}
		}
	}
	return program
}

// qemuImg runs qemu-img.
func (c Config) qemuImg(ctx context.Context, args ...string) error {
	out, err := c.command(ctx, "qemu-img", args...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w; install the package qemu-utils", err)
	}
	if err != nil {
		return fmt.Errorf("qemu-img %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return nil
}

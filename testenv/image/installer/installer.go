// Package installer runs an operating system's installer from its ISO image,
// unattended, in QEMU, and leaves the disk that it installed on: what
// virt-install does with --location and --initrd-inject.
//
// The installer's kernel and ramdisk are taken from the ISO and booted
// directly, with a command line of the caller's and with files added to the
// ramdisk, which answer the installer's questions: a preseed.cfg, a ks.cfg.
package installer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/gatehouse-dev/gatehouse/testenv/image/disk"
)

// Config says what to install, and on what.
type Config struct {
	// ISO is the installer's image, whose drive the machine has as an IDE
	// CD-ROM.
	ISO string
	// Kernel and Ramdisk are paths within the ISO, such as /install.amd/vmlinuz
	// and /install.amd/initrd.gz, by their Rock Ridge names if it has those.
	Kernel, Ramdisk string
	// CommandLine is the kernel's. What the installer shows can only be told
	// with "console=ttyS0"; "no_timer_check" is good on a busy host.
	CommandLine string
	// Inject is added to the ramdisk: files of the host, by their paths in it.
	// A directory above one must not be a symbolic link there.
	Inject map[string]string

	DiskMB   int // of the disk, a virtio one (/dev/vda); required
	MemoryMB int // 0: 1024
	VCPUs    int // 0: 1
	// Network gives the installer outgoing access, for a mirror. It then
	// reaches, by way of 10.0.2.2, also what listens on the loopback interface
	// of the host: the ISO and what it downloads must be as trusted as other
	// programs of the operator. Without it there is a network card and DHCP,
	// but nothing can be reached.
	Network bool
	// Accel is QEMU's accelerator. Empty: tcg.
	Accel string
	// Timeout bounds the installation. 0: two hours.
	Timeout time.Duration

	To      string // the disk that is made: a qcow2 file
	TempDir string // for the kernel and ramdisk. Empty: the system's
	QEMU    string // the program. Empty: qemu-system-x86_64
	// Environment is the one of the programs started, as in os.Environ.
	Environment []string
	// Progress is told what the serial console shows: lines without control
	// characters, of at most 300 bytes. It may be nil.
	Progress func(line string)
}

// Errors of an installation.
var (
	// ErrPanic says that the installer's kernel panicked.
	ErrPanic = errors.New("the installer's kernel panicked")
	// ErrNothing says that the machine went off, but without an operating
	// system on its disk.
	ErrNothing = errors.New("the installer ended without having partitioned the disk")
)

const (
	defaultMemoryMB = 1024
	defaultTimeout  = 2 * time.Hour
	quoted          = 20 // lines of the console, in errors
)

// Run runs the installer until it powers the machine off or reboots it, and
// makes c.To. If it fails, there is none, and the error quotes the console's
// last lines: an installer that waits for an answer shows its question there.
// Cancelling ctx ends all that was started.
func Run(ctx context.Context, c Config) error {
	c, err := c.complete()
	if err != nil {
		return fmt.Errorf("installer: %w", err)
	}
	if err := c.run(ctx); err != nil {
		return fmt.Errorf("install from %s: %w", filepath.Base(c.ISO), err)
	}
	return nil
}

// complete returns c with the defaults, and paths that stay what they are
// wherever a program looks at them.
func (c Config) complete() (Config, error) {
	for name, value := range map[string]string{"ISO": c.ISO, "Kernel": c.Kernel, "Ramdisk": c.Ramdisk, "To": c.To} {
		if value == "" {
			return c, fmt.Errorf("no %s given", name)
		}
	}
	if c.DiskMB <= 0 {
		return c, errors.New("no size of the disk given")
	}
	c.MemoryMB = cmp.Or(c.MemoryMB, defaultMemoryMB)
	c.VCPUs = cmp.Or(c.VCPUs, 1)
	c.Accel = cmp.Or(c.Accel, "tcg")
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	c.QEMU = cmp.Or(c.QEMU, "qemu-system-x86_64")
	var errs [2]error
	c.ISO, errs[0] = filepath.Abs(c.ISO)
	c.To, errs[1] = filepath.Abs(c.To)
	return c, errors.Join(errs[:]...)
}

func (c Config) run(ctx context.Context) error {
	dir, err := os.MkdirTemp(c.TempDir, "gatehouse-install-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	if err := c.extract(dir); err != nil {
		return err
	}
	unfinished := c.To + ".unfinished"
	defer os.Remove(unfinished) //nolint:errcheck // renamed, or in vain
	if err := c.qemuImg(ctx, "create", "-q", "-f", "qcow2", unfinished, fmt.Sprintf("%dM", c.DiskMB)); err != nil {
		return err
	}
	if err := c.boot(ctx, dir, unfinished); err != nil {
		return err
	}
	if err := c.installed(ctx, dir, unfinished); err != nil {
		return err
	}
	return os.Rename(unfinished, c.To)
}

// installed proves that something was installed, as far as the start of the
// disk shows it.
func (c Config) installed(ctx context.Context, dir, file string) error {
	const blocks, size = 256, 1024
	head := filepath.Join(dir, "head")
	err := c.qemuImg(ctx, "dd", "-f", "qcow2", "-O", "raw",
		fmt.Sprintf("bs=%d", size), fmt.Sprintf("count=%d", blocks), "if="+file, "of="+head)
	if err != nil {
		return err
	}
	f, err := os.Open(head)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err == nil && !disk.Occupied(b) {
		err = ErrNothing
	}
	return err
}

package qemu

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/gatehouse-dev/gatehouse/core/compute"
)

// templateFormat changes whenever templates made before are of no use to the
// driver, for reasons that its command line does not show.
const templateFormat = 1

// templateID names the template that a machine forks from. It changes with
// everything that a template is made of or depends on: image, kernel, ramdisk,
// the whole command line of QEMU, and so processors, memory and acceleration;
// the size of the disk; QEMU itself, the host's processor, and this driver.
// What changed leaves the former template without use; see templates.evict.
//
// It is a UUID, since the process that builds a template is found as those of
// machines are.
func (d *Driver) templateID(ctx context.Context, m compute.Machine, a Acceleration) (string, error) {
	version, err := d.systemVersion(ctx)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintln(sum, templateFormat, m.DiskGB, version, hostCPU())
	fmt.Fprintf(sum, "%q\n", arguments(templateMachine(m, ""), a, variant{memory: memoryFile, shared: true}))
	for _, path := range []string{d.System, m.Root.File, m.Kernel, m.Ramdisk} {
		if path == "" {
			continue
		}
		identity, err := fileIdentity(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(sum, identity)
	}
	return uuid.NewSHA1(uuid.Nil, sum.Sum(nil)).String(), nil
}

// blankDrive is a template's config drive.
var blankDrive = make([]byte, forkConfigSize)

// templateMachine is the machine that becomes a template for others like m. It
// has nothing of m's own: a blank config drive, no MAC address, no port, no
// volume, and no way out.
func templateMachine(m compute.Machine, id string) compute.Machine {
	return compute.Machine{
		ID: id, VCPUs: m.VCPUs, MemoryMB: m.MemoryMB,
		Root: m.Root, DiskGB: m.DiskGB,
		Kernel: m.Kernel, Ramdisk: m.Ramdisk, CommandLine: m.CommandLine + templateWord,
		ConfigDrive: blankDrive,
	}
}

// fileIdentity changes when a file is replaced or grows. Of its times, that of
// its birth is taken: cached images have theirs of change moved with each use.
func fileIdentity(path string) (string, error) {
	var stat unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &stat); err != nil {
		return "", &os.PathError{Op: "statx", Path: path, Err: err}
	}
	return fmt.Sprintf("%q %d %d:%d %d %d.%d", path, stat.Size,
		stat.Dev_major, stat.Dev_minor, stat.Ino, stat.Btime.Sec, stat.Btime.Nsec), nil
}

// systemVersion is what QEMU says of itself.
func (d *Driver) systemVersion(ctx context.Context) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.version != "" {
		return d.version, nil
	}
	out, err := exec.CommandContext(ctx, d.System, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask QEMU for its version: %w", err)
	}
	if len(out) == 0 {
		return "", errors.New("QEMU does not say its version")
	}
	d.version = string(out)
	return d.version, nil
}

// hostCPU is the model of the host's first processor, and what it can do.
var hostCPU = sync.OnceValue(func() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	first, _, _ := bytes.Cut(text, []byte("\n\n"))
	var says strings.Builder
	for line := range strings.Lines(string(first)) {
		switch key, _, _ := strings.Cut(line, "\t"); key {
		case "vendor_id", "cpu family", "model", "model name", "stepping", "flags":
			says.WriteString(line)
		}
	}
	return says.String()
})

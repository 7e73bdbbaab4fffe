package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lock waits until no other build works in the directory.
func (b *build) lock(ctx context.Context) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(b.config.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	ticks := time.NewTicker(200 * time.Millisecond)
	defer ticks.Stop()
	for told := false; ; told = true {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		if !told {
			b.say("waiting for another build in %s", b.config.Dir)
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		}
	}
}

// prune removes the layers of other builds, and what killed ones left.
func (b *build) prune(a Artefacts) error {
	wanted := []string{b.baseTar(), a.Kernel, a.Ramdisk, a.Root, b.proof(a)}
	var failed []error
	for _, kind := range []string{"base-", "kernel-", "root-", "ramdisk-", "image-"} {
		found, err := filepath.Glob(filepath.Join(b.config.Dir, kind+"*"))
		if err != nil {
			return err
		}
		for _, file := range found {
			if !slices.Contains(wanted, file) {
				failed = append(failed, os.Remove(file))
			}
		}
	}
	return errors.Join(failed...)
}

// tools are the programs that a build runs, and the Debian packages that have
// them.
var tools = []struct{ program, pkg string }{
	{"mmdebstrap", "mmdebstrap"},
	{"mke2fs", "e2fsprogs"},
	{"qemu-img", "qemu-utils"},
	{"unshare", "util-linux"},
	{"tar", "tar"},
}

// lacking says which programs and rights a build would miss.
func lacking(c Config) error {
	var packages []string
	for _, t := range tools {
		if !has(c, t.program) {
			packages = append(packages, t.pkg)
		}
	}
	if !has(c, c.QEMU) {
		packages = append(packages, "qemu-system-x86")
	}
	if os.Geteuid() != 0 && !has(c, "newuidmap") {
		packages = append(packages, "uidmap")
	}
	if len(packages) > 0 {
		return fmt.Errorf("building an image needs %s: apt install %s",
			strings.Join(packages, ", "), strings.Join(packages, " "))
	}
	if os.Geteuid() != 0 {
		return subordinateIDs()
	}
	return nil
}

// subordinateIDs says what a user lacks to be root of a namespace.
func subordinateIDs() error {
	name := fmt.Sprint(os.Getuid())
	if u, err := userName(os.Getuid()); err == nil {
		name = u
	}
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		text, err := os.ReadFile(file)
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		if !strings.Contains("\n"+string(text), "\n"+name+":") {
			return fmt.Errorf("building an image without root needs a range of ids for %s in %s: "+
				"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s", name, file, name)
		}
	}
	return nil
}

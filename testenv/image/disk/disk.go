// Package disk takes the root file system out of somebody else's disk image, a
// cloud image or what an installer left, as a tar archive.
//
// It needs neither privileges nor mounts: qemu-img makes a private raw copy,
// e2fsck replays the journals in the copy, and package ext4 reads the files.
// The image is not trusted: one that refers to other files is refused, sizes
// are bounded, and what is in its file systems only ever becomes entries of
// the archive.
package disk

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// MaxBytes bounds the disk that an image describes, and the files of its root
// file system taken together.
const MaxBytes = 64 << 30

// Config says how to work.
type Config struct {
	// TempDir is where the raw copy lies, as big as the image's content.
	// Empty: the system's directory for temporary files.
	TempDir string
	// Environment is the one of the programs started, as in os.Environ; its
	// PATH says where they are, as far as /usr/sbin and /sbin don't.
	Environment []string
	// Progress is told what is found and done, in lines. It may be nil.
	Progress func(line string)
}

// Extract writes the root file system of a disk image, a qcow2 or raw file, to
// w as a tar archive. The disk has a GPT or MBR partition table, or none and
// one file system; the file systems are ext2, ext3 or ext4. The root is the
// one that holds os-release. What its fstab mounts from the same disk is there
// in its place, and so is a /boot that fstab forgets; a FAT one (the
// firmware's /boot/efi) is left out.
//
// Names have no leading slash; directories end in one, and come before what is
// in them. Owners are numbers, times whole seconds. Extended attributes are PAX
// records "SCHILY.xattr.NAME", as GNU tar writes them, file capabilities and
// access control lists (in getxattr's form) among them. Sockets, swap files,
// lost+found, and what is in dev, proc, run, sys and tmp are left out. The same
// image gives the same archive, byte by byte.
func Extract(ctx context.Context, c Config, file string, w io.Writer) error {
	if err := extract(ctx, c, file, w); err != nil {
		return fmt.Errorf("disk image %s: %w", filepath.Base(file), err)
	}
	return nil
}

func extract(ctx context.Context, c Config, file string, w io.Writer) error {
	format, err := identify(file)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(c.TempDir, "gatehouse-disk-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	raw := filepath.Join(dir, rawName)
	if err := c.convert(ctx, file, format, raw); err != nil {
		return err
	}
	f, err := os.Open(raw)
	if err != nil {
		return err
	}
	defer f.Close()
	volumes, err := c.volumes(ctx, dir, f)
	if err != nil {
		return err
	}
	l, err := arrange(volumes)
	if err != nil {
		return err
	}
	c.say("%v", l)
	return l.archive(ctx, w)
}

func (c Config) say(format string, args ...any) {
	if c.Progress != nil {
		c.Progress(fmt.Sprintf(format, args...))
	}
}

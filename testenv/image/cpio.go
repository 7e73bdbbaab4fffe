package image

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// ramfsWriter writes an initramfs: a cpio archive in the "newc" format, as
// described in Linux's Documentation/driver-api/early-userspace/
// buffer-format.rst. Errors stick and are reported by Close.
type ramfsWriter struct {
	w     *bufio.Writer
	inode uint32
	size  int64 // of what was written
	dirs  map[string]bool
	err   error
}

func newRamfsWriter(w io.Writer) *ramfsWriter {
	return &ramfsWriter{w: bufio.NewWriter(w), dirs: make(map[string]bool)}
}

// File types of a cpio header's mode.
const (
	modeDirectory = 0o040000
	modeRegular   = 0o100000
	modeCharacter = 0o020000
)

// File adds a file, and the directories above it that are missing.
func (c *ramfsWriter) File(name string, perm fs.FileMode, content []byte) {
	c.parents(name)
	c.entry(name, modeRegular|uint32(perm.Perm()), 0, 0, content)
}

// Copy adds a copy of a file of the host.
func (c *ramfsWriter) Copy(name string, perm fs.FileMode, from string) {
	content, err := os.ReadFile(from)
	if err != nil {
		c.err = errors.Join(c.err, err)
		return
	}
	c.File(name, perm, content)
}

// Character adds a character device.
func (c *ramfsWriter) Character(name string, perm fs.FileMode, major, minor uint32) {
	c.parents(name)
	c.entry(name, modeCharacter|uint32(perm.Perm()), major, minor, nil)
}

// Close ends the archive. It does not close the writer beneath.
func (c *ramfsWriter) Close() error {
	c.entry("TRAILER!!!", 0, 0, 0, nil)
	if c.err != nil {
		return c.err
	}
	return c.w.Flush()
}

func (c *ramfsWriter) parents(name string) {
	dir := path.Dir(name)
	if dir == "." || dir == "/" || c.dirs[dir] {
		return
	}
	c.parents(dir)
	c.dirs[dir] = true
	c.entry(dir, modeDirectory|0o755, 0, 0, nil)
}

// entry writes one member. Owner and times are zero, so that the same content
// gives the same archive.
func (c *ramfsWriter) entry(name string, mode, major, minor uint32, content []byte) {
	name = strings.TrimPrefix(name, "/")
	c.inode++
	fields := []uint32{
		c.inode, mode, 0, 0, 1, 0, uint32(len(content)), //nolint:gosec // an initramfs file is far below 4 GiB
		0, 0, major, minor, uint32(len(name) + 1), 0, //nolint:gosec // a path
	}
	c.write("070701")
	for _, f := range fields {
		c.write(fmt.Sprintf("%08X", f))
	}
	c.write(name + "\x00")
	c.pad()
	c.write(string(content))
	c.pad()
}

func (c *ramfsWriter) pad() { c.write(strings.Repeat("\x00", int(-c.size&3))) }

func (c *ramfsWriter) write(s string) {
	if c.err != nil {
		return
	}
	var n int
	n, c.err = c.w.WriteString(s)
	c.size += int64(n)
}

// Package format tells what a disk image file is, and refuses one that is not
// what its owner says, or that would make a hypervisor read anything else
// than the file itself.
//
// Whoever uploads an image chooses every byte of it: a qcow2 header may name a
// backing file such as /etc/shadow, and a "raw" image that begins with such a
// header becomes one as soon as some program probes its format. This package
// trusts nothing in the file and reads only a bounded part of it.
package format

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Error says why a file is refused, for its owner to read.
type Error struct{ Reason string }

func (e *Error) Error() string { return e.Reason }

func refuse(format string, args ...any) error {
	return &Error{Reason: fmt.Sprintf(format, args...)}
}

// headBytes is how much of a file Detect needs: an ISO 9660 volume descriptor
// starts at 32 KiB.
const headBytes = 33 << 10

// magics are the signatures of formats that carry references or sizes of
// their own, by where they stand in the file.
var magics = []struct {
	format string
	offset int
	magic  []byte
}{
	{"qcow2", 0, []byte("QFI\xfb")},
	{"qed", 0, []byte("QED\x00")},
	{"vmdk", 0, []byte("KDMV")},
	{"vmdk", 0, []byte("COWD")},
	{"vmdk", 0, []byte("# Disk DescriptorFile")},
	{"vhd", 0, []byte("conectix")},
	{"vhdx", 0, []byte("vhdxfile")},
	{"vdi", 0x40, []byte{0x7f, 0x10, 0xda, 0xbe}},
	{"ploop", 0, []byte("WithoutFreeSpace")},
	{"ploop", 0, []byte("WithouFreSpacExt")},
	{"iso", 0x8001, []byte("CD001")},
}

// Detect names the format whose signature a file that begins with head bears,
// in Glance's words, or "" if there is none: then it can only be raw data. A
// file with several is what QEMU would take it for.
func Detect(head []byte) string {
	for _, m := range magics {
		if len(head) >= m.offset && bytes.HasPrefix(head[m.offset:], m.magic) {
			return m.format
		}
	}
	return ""
}

// Check verifies that the file of size bytes behind r is an image of the
// declared format, one of Glance's disk formats, and returns the size in bytes
// of the disk that a machine would see, 0 if that is not known.
//
// It reports an *Error if the file is not acceptable. Formats that no machine
// of ours can use (vhd, vhdx, vmdk, vdi, ploop) are only refused if they are
// evidently something else.
func Check(r io.ReaderAt, size int64, declared string) (virtualSize int64, err error) {
	head := make([]byte, min(headBytes, size))
	if _, err := r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("read head of image: %w", err)
	}
	found := Detect(head)
	switch declared {
	case "qcow2":
		header, err := ParseQCOW2(r, size)
		return header.VirtualSize, err
	case "iso":
		if found != "iso" {
			return 0, mismatch(declared, found)
		}
		return size, nil
	case "raw", "ami":
		if found != "" && found != "iso" { // an ISO is a fine raw disk
			return 0, mismatch(declared, found)
		}
		return size, nil
	default:
		if found != "" && found != declared {
			return 0, mismatch(declared, found)
		}
		return 0, nil
	}
}

func mismatch(declared, found string) error {
	if found == "" {
		return refuse("The image is not of disk format %s.", declared)
	}
	return refuse("The image is said to be of disk format %s, but is of format %s.", declared, found)
}

// reader decodes big-endian fields out of a header that was read whole.
type reader []byte

func (b reader) u32(offset int) uint32 { return binary.BigEndian.Uint32(b[offset:]) }
func (b reader) u64(offset int) uint64 { return binary.BigEndian.Uint64(b[offset:]) }

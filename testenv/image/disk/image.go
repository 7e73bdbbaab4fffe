package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// rawName is the raw copy's name in the directory of its own.
const rawName = "disk.raw"

// signatures of files that are no raw disk, by where they stand. What is
// compressed is here because cloud images are often given out so.
var signatures = []struct {
	format string
	at     int
	bytes  string
}{
	{"qcow2", 0, "QFI\xfb"},
	{"qed", 0, "QED\x00"},
	{"vmdk", 0, "KDMV"},
	{"vmdk", 0, "# Disk DescriptorFile"},
	{"vhd", 0, "conectix"},
	{"vhdx", 0, "vhdxfile"},
	{"vdi", 0x40, "\x7f\x10\xda\xbe"},
	{"xz", 0, "\xfd7zXZ\x00"},
	{"gzip", 0, "\x1f\x8b"},
	{"zstd", 0, "\x28\xb5\x2f\xfd"},
	{"bzip2", 0, "BZh"},
	{"zip", 0, "PK\x03\x04"},
}

// identify tells the format of a file by its first bytes, and refuses what is
// neither raw nor a qcow2 that stands on its own.
func identify(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("not a regular file")
	}
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if err != nil {
		return "", fmt.Errorf("%d bytes are no disk: %w", n, err)
	}
	for _, s := range signatures {
		if bytes.HasPrefix(head[s.at:], []byte(s.bytes)) {
			if s.format == "qcow2" {
				return s.format, checkQCOW2(head)
			}
			return "", fmt.Errorf("it is a %s file; unpack it, or make a qcow2 file of it with qemu-img convert", s.format)
		}
	}
	if info.Size() > MaxBytes {
		return "", fmt.Errorf("%d GB are more than the %d that are allowed", info.Size()>>30, MaxBytes>>30)
	}
	return "raw", nil
}

// Bits of a qcow2 file's incompatible features that qemu-img may handle: dirty
// (its tables are rebuilt), compression type, extended L2 tables. The others
// are corrupt, an external data file, and what was not known in 2026.
const qcow2Harmless = 1<<0 | 1<<3 | 1<<4

// checkQCOW2 refuses a header that makes qemu-img read other files, or write
// more than is allowed.
// See https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.rst
func checkQCOW2(head []byte) error {
	be := binary.BigEndian
	version, backing, backingLength := be.Uint32(head[4:]), be.Uint64(head[8:]), be.Uint32(head[16:])
	size, encryption, features := be.Uint64(head[24:]), be.Uint32(head[32:]), be.Uint64(head[72:])
	switch {
	case version != 2 && version != 3:
		return fmt.Errorf("qcow2 version %d is unknown", version)
	case backing != 0 || backingLength != 0:
		return errors.New("it is an overlay on another file; qemu-img convert makes one file of both")
	case encryption != 0:
		return errors.New("it is encrypted")
	case size > MaxBytes:
		return fmt.Errorf("it describes a disk of %d GB, more than the %d that are allowed", size>>30, MaxBytes>>30)
	case version == 3 && features&^qcow2Harmless != 0:
		return fmt.Errorf("features %#x: it is damaged, keeps its data in another file, or is too new", features)
	}
	return nil
}

// convert makes a raw, sparse copy. The input is named so that qemu-img
// neither guesses its format nor takes its name for a protocol's.
func (c Config) convert(ctx context.Context, file, format, raw string) error {
	input := fmt.Sprintf("driver=%s,file.driver=file,file.locking=off,file.filename=%s", format, strings.ReplaceAll(file, ",", ",,"))
	return c.run(ctx, "", "qemu-img", "convert", "-O", "raw", "--image-opts", input, raw)
}

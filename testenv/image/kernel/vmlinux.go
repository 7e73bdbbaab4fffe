package kernel

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/therootcompany/xz"
)

// maxSize bounds what a kernel or module unpacks to.
const maxSize = 1 << 29

// Unpack returns the ELF kernel inside a bzImage, so that the machine need not
// unpack it itself at each boot, which takes an emulated one a third of a
// second. It reports an error if there is none that QEMU can boot: a kernel
// without the PVH entry point, or packed in a way that is not known here.
//
// The format is that of Linux's Documentation/arch/x86/boot.rst.
func Unpack(image []byte) ([]byte, error) {
	payload, err := payload(image)
	if err != nil {
		return nil, err
	}
	vmlinux, err := decompress(payload)
	if err != nil {
		return nil, err
	}
	if !hasPVH(vmlinux) {
		return nil, errors.New("the kernel has no PVH entry point")
	}
	return vmlinux, nil
}

// payload returns the packed kernel in a bzImage of protocol 2.08 or later.
func payload(image []byte) ([]byte, error) {
	const (
		setupSectors  = 0x1f1
		magic         = 0x202
		version       = 0x206
		payloadOffset = 0x248
		payloadLength = 0x24c
		headerEnd     = 0x250
		sector        = 512
	)
	if len(image) < headerEnd || string(image[magic:magic+4]) != "HdrS" ||
		binary.LittleEndian.Uint16(image[version:]) < 0x208 {
		return nil, errors.New("not a bzImage")
	}
	begin := (int64(image[setupSectors])+1)*sector + int64(binary.LittleEndian.Uint32(image[payloadOffset:]))
	end := begin + int64(binary.LittleEndian.Uint32(image[payloadLength:]))
	if end > int64(len(image)) {
		return nil, errors.New("the bzImage is cut off")
	}
	return image[begin:end], nil
}

// formats are the ways in which kernels and modules are packed. The kernel's
// build appends the unpacked size to all of them, which is what the readers
// must not stumble over.
var formats = []struct {
	magic string
	open  func(io.Reader) (io.Reader, error)
}{
	{"\x1f\x8b", func(r io.Reader) (io.Reader, error) {
		z, err := gzip.NewReader(r)
		if err == nil {
			z.Multistream(false)
		}
		return z, err
	}},
	{"\xfd7zXZ\x00", func(r io.Reader) (io.Reader, error) {
		z, err := xz.NewReader(r, 0)
		if err == nil {
			z.Multistream(false)
		}
		return z, err
	}},
	{"\x28\xb5\x2f\xfd", func(r io.Reader) (io.Reader, error) {
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxSize))
	}},
	{"\x02\x21\x4c\x18", func(r io.Reader) (io.Reader, error) { return lz4.NewReader(r), nil }},
	{"BZh", func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil }},
}

// decompress unpacks what is packed in a known format. If all that was
// announced came out, what follows it does not matter.
func decompress(packed []byte) ([]byte, error) {
	for _, f := range formats {
		if !bytes.HasPrefix(packed, []byte(f.magic)) {
			continue
		}
		r, err := f.open(bytes.NewReader(packed))
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(io.LimitReader(r, maxSize))
		if size := binary.LittleEndian.Uint32(packed[len(packed)-4:]); err == nil || int64(len(content)) == int64(size) {
			return content, nil
		}
		return nil, fmt.Errorf("unpack: %w", err)
	}
	return nil, errors.New("packed in an unknown format")
}

// hasPVH reports whether an ELF kernel has the note XEN_ELFNOTE_PHYS32_ENTRY,
// which is where QEMU enters it.
func hasPVH(vmlinux []byte) bool {
	f, err := elf.NewFile(bytes.NewReader(vmlinux))
	if err != nil {
		return false
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_NOTE || p.Filesz > maxSize {
			continue
		}
		notes := make([]byte, p.Filesz)
		if _, err := p.ReadAt(notes, 0); err == nil && noteIn(notes) {
			return true
		}
	}
	return false
}

// noteIn walks ELF notes: three words (sizes of name and content, type), then
// both, each padded to four bytes.
func noteIn(notes []byte) bool {
	const header, entry = 12, 18
	for len(notes) >= header {
		name := uint64(binary.LittleEndian.Uint32(notes))
		content := uint64(binary.LittleEndian.Uint32(notes[4:]))
		kind := binary.LittleEndian.Uint32(notes[8:])
		next := header + (name+3)&^3 + (content+3)&^3
		if next > uint64(len(notes)) {
			return false
		}
		if kind == entry && bytes.HasPrefix(notes[header:], []byte("Xen\x00")) {
			return true
		}
		notes = notes[next:]
	}
	return false
}

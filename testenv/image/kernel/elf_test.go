package kernel_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// elfFile makes an ELF file with one section, .modinfo, and one segment of
// notes, out of the same content.
func elfFile(t *testing.T, content []byte) []byte {
	t.Helper()
	const header, program, section = 64, 56, 64
	names := []byte("\x00.modinfo\x00.shstrtab\x00")
	data := uint64(header + program)
	end := data + uint64(len(content)+len(names))
	var file bytes.Buffer
	for _, part := range []any{
		elf.Header64{
			Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
			Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
			Phoff: header, Shoff: end, Ehsize: header, Phentsize: program, Phnum: 1, Shentsize: section, Shnum: 3, Shstrndx: 2,
		},
		elf.Prog64{Type: uint32(elf.PT_NOTE), Off: data, Filesz: uint64(len(content)), Memsz: uint64(len(content))},
		content, names,
		elf.Section64{},
		elf.Section64{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: data, Size: uint64(len(content))},
		elf.Section64{Name: 10, Type: uint32(elf.SHT_STRTAB), Off: data + uint64(len(content)), Size: uint64(len(names))},
	} {
		require.NoError(t, binary.Write(&file, binary.LittleEndian, part))
	}
	return file.Bytes()
}

// note makes an ELF note.
func note(t *testing.T, name string, kind uint32, content string) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, part := range []any{uint32(len(name) + 1), uint32(len(content)), kind, pad(name + "\x00"), pad(content)} {
		require.NoError(t, binary.Write(&b, binary.LittleEndian, part))
	}
	return b.Bytes()
}

func pad(s string) []byte { return append([]byte(s), make([]byte, -len(s)&3)...) }

// bzImage makes a bzImage with a packed kernel; the unpacked size is appended
// to that as the kernel's build does it.
func bzImage(packed []byte, size int) []byte {
	const sector = 512
	payload := binary.LittleEndian.AppendUint32(bytes.Clone(packed), uint32(size))
	image := make([]byte, 2*sector)
	image[0x1f1] = 1
	copy(image[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(image[0x206:], 0x20f)
	binary.LittleEndian.PutUint32(image[0x248:], 16)
	binary.LittleEndian.PutUint32(image[0x24c:], uint32(len(payload)))
	return append(append(image, make([]byte, 16)...), payload...)
}

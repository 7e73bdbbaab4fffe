package qemu

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// proofTimeout is how long Linux may take to run its first program. Under KVM
// it takes well under a second.
const proofTimeout = 5 * time.Second

// proofRamdisk is the file in the driver's directory that a proof boots into.
const proofRamdisk = "proof.cpio"

// provenStatus is the exit status of QEMU that only initProgram brings about:
// isa-debug-exit ends QEMU with twice the byte written to it, plus one.
const provenStatus = 2*0x2a + 1

// initProgram is the first program of the proof's guest: it asks for access to
// I/O ports and writes 0x2a to port 0xf4, where isa-debug-exit listens. Firmware
// and a boot sector could do that where Linux hangs; a user space program has
// had a kernel set up paging, interrupts, timers and system calls.
var initProgram = []byte{
	0xb8, 0xac, 0x00, 0x00, 0x00, // mov eax, 172 (iopl)
	0xbf, 0x03, 0x00, 0x00, 0x00, // mov edi, 3
	0x0f, 0x05, // syscall
	0xb0, 0x2a, // mov al, 0x2a
	0xe6, 0xf4, // out 0xf4, al
	0xb8, 0x22, 0x00, 0x00, 0x00, // again: mov eax, 34 (pause)
	0x0f, 0x05, // syscall
	0xeb, 0xf7, // jmp again
}

// proof boots a kernel until it runs a program. It returns nil if that
// succeeds in time.
func proof(ctx context.Context, system, ramdisk, kernel string, a Acceleration, timeout time.Duration) error {
	if err := os.WriteFile(ramdisk, cpio(program{"init", elf(initProgram)}), 0o600); err != nil {
		return err
	}
	defer os.Remove(ramdisk) //nolint:errcheck // the next proof writes it again
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	args := append([]string{
		"-no-user-config", "-nodefaults", "-display", "none", "-no-reboot",
		"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-machine", "pc,usb=off,vmport=off,hpet=off", "-m", "256", "-smp", "2",
		"-device", "isa-debug-exit,iobase=0xf4,iosize=0x04",
		"-kernel", kernel, "-initrd", ramdisk, "-append", "quiet panic=-1 no_timer_check",
	}, a.arguments()...)
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, system, args...)
	cmd.Dir, cmd.Env = filepath.Dir(ramdisk), []string{"LC_ALL=C"}
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.WaitDelay = time.Second
	// Unlike a machine, it must not outlive us: it may spin for ever. The
	// signal comes when the thread that started it ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Run()
	if ctx.Err() != nil {
		return fmt.Errorf("no user space after %v", timeout)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == provenStatus {
		return nil
	}
	return fmt.Errorf("QEMU ended: %v: %s", err, strings.TrimSpace(said.String())) //nolint:errorlint // may be nil
}

// elf is a static x86-64 program with the given code.
//
// System V ABI, chapter 4 and 5: a header, one program header, and the code.
func elf(code []byte) []byte {
	const base, headers = 0x400000, 64 + 56
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01")
	b.Write(make([]byte, 9))
	size := uint64(headers + len(code))
	for _, field := range []any{
		uint16(2), uint16(62), uint32(1), // executable, x86-64, version
		uint64(base + headers), uint64(64), uint64(0), // entry, program headers, no sections
		uint32(0), uint16(64), uint16(56), uint16(1), uint16(0), uint16(0), uint16(0),
		uint32(1), uint32(5), // load it, readable and executable
		uint64(0), uint64(base), uint64(base), size, size, uint64(0x1000),
	} {
		if err := binary.Write(&b, binary.LittleEndian, field); err != nil {
			panic(err) // a type of no fixed size
		}
	}
	b.Write(code)
	return b.Bytes()
}

// program is one of an archive's files.
type program struct {
	name string
	data []byte
}

// cpio is an archive, as the kernel unpacks it, of programs.
//
// https://docs.kernel.org/driver-api/early-userspace/buffer-format.html
func cpio(programs ...program) []byte {
	var b bytes.Buffer
	entry := func(inode int, p program) {
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
			inode, 0o100755, 0, 0, 1, 0, len(p.data), 0, 0, 0, 0, len(p.name)+1, 0)
		b.WriteString(p.name + "\x00")
		pad(&b)
		b.Write(p.data)
		pad(&b)
	}
	for i, p := range programs {
		entry(i+1, p)
	}
	entry(0, program{name: "TRAILER!!!"})
	return b.Bytes()
}

func pad(b *bytes.Buffer) { b.Write(make([]byte, -b.Len()&3)) }

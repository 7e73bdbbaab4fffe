package agent

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ext4ResizeFS is EXT4_IOC_RESIZE_FS, _IOW('f', 16, __u64): grow the mounted
// file system to that many blocks. See Linux's fs/ext4/ext4.h.
const ext4ResizeFS = 0x40086610

// growRoot makes an ext4 root file system as large as its disk: a server's
// flavor may give it a larger disk than the image is.
func growRoot() error {
	var fs unix.Statfs_t
	if err := unix.Statfs("/", &fs); err != nil {
		return err
	}
	if fs.Type != unix.EXT4_SUPER_MAGIC {
		return nil
	}
	device, err := deviceOf("/")
	if err != nil {
		return err
	}
	disk, err := os.Open(device)
	if err != nil {
		return err
	}
	defer disk.Close()
	size, err := disk.Seek(0, 2)
	if err != nil {
		return err
	}
	blocks, blockSize, err := ext4Size(disk)
	if err != nil {
		return err
	}
	if want := size / blockSize; want > blocks {
		return resizeExt4("/", uint64(want)) //nolint:gosec // positive
	}
	return nil
}

// ext4Size reads the superblock of an ext4 file system: its number of blocks,
// and their size in bytes.
func ext4Size(disk *os.File) (blocks, blockSize int64, err error) {
	super := make([]byte, 1024)
	if _, err := disk.ReadAt(super, 1024); err != nil {
		return 0, 0, err
	}
	const low, high, logSize = 0x4, 0x150, 0x18
	blocks = int64(binary.LittleEndian.Uint32(super[low:])) | int64(binary.LittleEndian.Uint32(super[high:]))<<32
	return blocks, 1024 << binary.LittleEndian.Uint32(super[logSize:]), nil
}

func resizeExt4(dir string, blocks uint64) error {
	root, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, root.Fd(), ext4ResizeFS, uintptr(unsafe.Pointer(&blocks))) //nolint:gosec // the ioctl takes a pointer
	if errno != 0 {
		return fmt.Errorf("grow %s to %d blocks: %w", dir, blocks, errno)
	}
	return nil
}

// deviceOf returns the block device that is mounted at dir.
func deviceOf(dir string) (string, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	var device string
	for line := range bytes.Lines(mounts) {
		fields := bytes.Fields(line)
		if len(fields) > 1 && string(fields[1]) == dir && bytes.HasPrefix(fields[0], []byte("/dev/")) {
			device = string(fields[0]) // the last one is on top
		}
	}
	if device == "" {
		return "", errors.New("no device is mounted at " + dir)
	}
	return device, nil
}

// Guest is the installer that the tests run: the first program of a ramdisk,
// which does as it is told by the file /answers and installs what is on its CD.
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// modules in the order in which they need each other.
var modules = []string{
	"virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk",
	"scsi_common", "scsi_mod", "libata", "ata_piix", "cdrom", "sr_mod", "isofs",
}

func main() {
	if err := run(); err != nil {
		fmt.Println("installer: failed:", err)
		os.Exit(1) // which the kernel takes for a reason to panic
	}
	unix.Sync()
	// Not off: the machine must not start anew, either.
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
}

func run() error {
	text, err := os.ReadFile("/answers")
	if err != nil {
		return err
	}
	verb, hostname, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	if verb == "install" {
		return install(hostname)
	}
	return fmt.Errorf("what does %q mean?", verb)
}

func install(hostname string) error {
	if err := prepare(); err != nil {
		return err
	}
	fmt.Println("installer: copying")
	target := os.DirFS("/cdrom/system")
	if err := os.CopyFS("/target", target); err != nil {
		return err
	}
	if err := os.WriteFile("/target/etc/hostname", []byte(hostname+"\n"), 0o644); err != nil {
		return err
	}
	const start, sector = 2048, 512
	if err := partition("/dev/vda", start); err != nil {
		return err
	}
	fmt.Println("installer: making the file system")
	out, err := exec.Command("/mke2fs", "-q", "-t", "ext4", "-d", "/target", "-E", fmt.Sprintf("offset=%d", start*sector), "/dev/vda", "16M").CombinedOutput()
	if err != nil {
		return fmt.Errorf("mke2fs: %w: %s", err, out)
	}
	return nil
}

// prepare mounts what is needed, and the CD.
func prepare() error {
	for _, dir := range []string{"/dev", "/cdrom", "/target"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("dev", "/dev", "devtmpfs", 0, ""); err != nil {
		return err
	}
	for _, name := range modules {
		module, err := os.ReadFile(filepath.Join("/modules", name+".ko"))
		if err != nil {
			return err
		}
		if err := unix.InitModule(module, ""); err != nil {
			return fmt.Errorf("load %s: %w", name, err)
		}
	}
	if err := appears("/dev/vda"); err != nil {
		return err
	}
	if err := appears("/dev/sr0"); err != nil {
		return err
	}
	return unix.Mount("/dev/sr0", "/cdrom", "iso9660", unix.MS_RDONLY, "")
}

// appears waits until the kernel has found a device.
func appears(device string) error {
	for range 600 {
		if _, err := os.Stat(device); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("no %s", device)
}

// partition writes an MBR with one partition of Linux.
func partition(device string, start uint32) error {
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, 512)
	entry := b[446:]
	entry[4] = 0x83
	binary.LittleEndian.PutUint32(entry[8:], start)
	binary.LittleEndian.PutUint32(entry[12:], 16<<20/512)
	b[510], b[511] = 0x55, 0xaa
	_, err = f.WriteAt(b, 0)
	return err
}

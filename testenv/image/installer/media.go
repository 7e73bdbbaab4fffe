package installer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/iso9660"
)

// Files that are made for QEMU.
const (
	kernelFile  = "kernel"
	ramdiskFile = "ramdisk"
)

// maxBoot bounds a kernel or ramdisk, in bytes: the ramdisks of the largest
// installers have some 200 MB.
const maxBoot = 1 << 30

// extract copies kernel and ramdisk out of the ISO to dir, and adds the
// injected files to the ramdisk.
func (c Config) extract(dir string) (err error) {
	f, err := os.Open(c.ISO)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	iso, err := iso9660.Read(file.New(f, true), info.Size(), 0, 0)
	if err != nil {
		return fmt.Errorf("no ISO 9660 image: %w", err)
	}
	if err := copyOut(iso, c.Kernel, filepath.Join(dir, kernelFile)); err != nil {
		return err
	}
	ramdisk := filepath.Join(dir, ramdiskFile)
	if err := copyOut(iso, c.Ramdisk, ramdisk); err != nil {
		return err
	}
	return inject(ramdisk, c.Inject)
}

func copyOut(iso *iso9660.FileSystem, name, to string) error {
	from, err := iso.OpenFile(path.Join("/", name), os.O_RDONLY)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer from.Close()
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	defer w.Close()
	n, err := io.Copy(w, io.LimitReader(from, maxBoot+1))
	if err == nil && (n == 0 || n > maxBoot) {
		err = errors.New("it is empty, or too big for a kernel or ramdisk")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return w.Close()
}

// inject appends an archive with the given files. The kernel unpacks all the
// archives that a ramdisk consists of, each compressed in its own way or not.
func inject(ramdisk string, files map[string]string) (err error) {
	if len(files) == 0 {
		return nil
	}
	f, err := os.OpenFile(ramdisk, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	// An archive begins at a multiple of four; zeros between them are skipped.
	if _, err := f.Write(make([]byte, -end&3)); err != nil {
		return err
	}
	return writeArchive(f, files)
}

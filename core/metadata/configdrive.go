package metadata

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/iso9660"
)

// Label is the label by which guests find a config drive.
const Label = "config-2"

// ConfigDrive makes a config drive: an ISO 9660 image with Rock Ridge names
// (and Joliet's, for Windows). It works in a directory of its own in dir, or
// in the system's for temporary files if dir is empty, and leaves nothing.
func ConfigDrive(dir string, i Instance) (image []byte, err error) {
	files, err := Files(i)
	if err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(dir, "config-drive-")
	if err != nil {
		return nil, fmt.Errorf("make config drive: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	tree, disk := filepath.Join(work, "tree"), filepath.Join(work, "image")
	size := int64(blockSize * 64)
	for _, f := range files {
		if err := write(filepath.Join(tree, f.Name), f.Data); err != nil {
			return nil, fmt.Errorf("make config drive: %w", err)
		}
		size += (int64(len(f.Data))/blockSize + 2) * blockSize
	}
	if err := pack(tree, disk, size); err != nil {
		return nil, fmt.Errorf("make config drive: %w", err)
	}
	if image, err = os.ReadFile(disk); err != nil {
		return nil, err
	}
	// A drive hands out whole blocks; the last file may not fill its last one.
	return append(image, make([]byte, -len(image)&(blockSize-1))...), nil
}

// blockSize of a CD-ROM.
const blockSize = 2048

func write(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // the guest's users may look into it
		return err
	}
	return os.WriteFile(name, data, 0o644) //nolint:gosec // and read it
}

func pack(tree, disk string, size int64) error {
	f, err := os.OpenFile(disk, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	image, err := iso9660.Create(file.New(f, false), size, 0, blockSize, tree)
	if err != nil {
		return err
	}
	return image.Finalize(iso9660.FinalizeOptions{RockRidge: true, Joliet: true, VolumeIdentifier: Label})
}

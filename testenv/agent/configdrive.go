package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// configDriveLabel is the volume id by which OpenStack's guests find it.
const configDriveLabel = "config-2"

// ConfigDrive is what the agent takes from an OpenStack config drive:
// https://docs.openstack.org/nova/latest/user/metadata.html.
type ConfigDrive struct {
	UUID       string            `json:"uuid"`
	Hostname   string            `json:"hostname"`
	PublicKeys map[string]string `json:"public_keys"` // by name, in authorized_keys format

	UserData []byte `json:"-"` // nil if there is none
}

// Keys are the keys that may log in. Those that cannot be parsed are left out
// and reported.
func (c ConfigDrive) Keys() ([]ssh.PublicKey, error) {
	var (
		keys   []ssh.PublicKey
		failed []error
	)
	for name, line := range c.PublicKeys {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			failed = append(failed, fmt.Errorf("key %q: %w", name, err))
			continue
		}
		keys = append(keys, key)
	}
	return keys, errors.Join(failed...)
}

// readConfigDrive reads the files of a config drive. It reports an error if
// the disk is none.
func readConfigDrive(disk io.ReaderAt) (c ConfigDrive, err error) {
	drive := iso{disk}
	label, root, err := drive.label()
	if err != nil {
		return c, err
	}
	if label != configDriveLabel {
		return c, fmt.Errorf("its label is %q", label)
	}
	data, err := drive.file(root, "openstack/latest/meta_data.json")
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("meta_data.json: %w", err)
	}
	c.UserData, err = drive.file(root, "openstack/latest/user_data")
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return c, err
}

// listDisks returns the machine's disks, those first that are likely to be a
// config drive: the driver's own is the last.
func listDisks() ([]string, error) {
	disks, err := filepath.Glob("/dev/vd*")
	if err != nil {
		return nil, err
	}
	slices.Reverse(disks)
	drives, err := filepath.Glob("/dev/sr*")
	return append(disks, drives...), err
}

// findConfigDrive returns what the first disk says that is a config drive.
func findConfigDrive(disks []string) (ConfigDrive, error) {
	var failed []error
	for _, disk := range disks {
		c, err := readDisk(disk)
		if err == nil {
			return c, nil
		}
		failed = append(failed, fmt.Errorf("%s: %w", disk, err))
	}
	return ConfigDrive{}, fmt.Errorf("no disk is a config drive: %w", errors.Join(failed...))
}

// readDisk reads a disk, not what may be cached of it: a fork's is not the one
// that its template has seen.
func readDisk(disk string) (ConfigDrive, error) {
	f, err := os.Open(disk)
	if err != nil {
		return ConfigDrive{}, err
	}
	defer f.Close()
	if err := unix.IoctlSetInt(int(f.Fd()), unix.BLKFLSBUF, 0); err != nil {
		return ConfigDrive{}, fmt.Errorf("flush buffers: %w", err)
	}
	return readConfigDrive(f)
}

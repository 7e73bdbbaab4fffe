package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

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

// ReadConfigDrive reads the files of a mounted config drive.
func ReadConfigDrive(dir string) (ConfigDrive, error) {
	var c ConfigDrive
	latest := filepath.Join(dir, "openstack", "latest")
	data, err := os.ReadFile(filepath.Join(latest, "meta_data.json"))
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("meta_data.json: %w", err)
	}
	c.UserData, err = os.ReadFile(filepath.Join(latest, "user_data"))
	if os.IsNotExist(err) {
		err = nil
	}
	return c, err
}

// findConfigDrive looks at every disk for one that is labelled as the config
// drive, and reads it.
func findConfigDrive() (ConfigDrive, error) {
	var disks []string
	for _, pattern := range []string{"/dev/vd*", "/dev/sr*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return ConfigDrive{}, err
		}
		disks = append(disks, found...)
	}
	i := slices.IndexFunc(disks, func(d string) bool { return isoLabel(d) == configDriveLabel })
	if i < 0 {
		return ConfigDrive{}, fmt.Errorf("no disk of %q is labelled %s", disks, configDriveLabel)
	}
	return readDisk(disks[i])
}

func readDisk(disk string) (c ConfigDrive, err error) {
	const dir = "/run/config-drive"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return c, err
	}
	if err := unix.Mount(disk, dir, "iso9660", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return c, fmt.Errorf("mount %s: %w", disk, err)
	}
	defer func() { err = errors.Join(err, unix.Unmount(dir, 0)) }()
	return ReadConfigDrive(dir)
}

// isoLabel returns the volume id of an ISO 9660 disk (ECMA-119, 8.4.7), or "".
// It should be padded with spaces, but some writers pad with zeros.
func isoLabel(disk string) string {
	const (
		descriptor = 16 * 2048 // the primary volume descriptor
		volumeID   = 40        // within it
	)
	f, err := os.Open(disk)
	if err != nil {
		return ""
	}
	defer f.Close()
	head := make([]byte, volumeID+32)
	if _, err := io.ReadFull(io.NewSectionReader(f, descriptor, int64(len(head))), head); err != nil {
		return ""
	}
	if string(head[1:6]) != "CD001" {
		return ""
	}
	return strings.TrimRight(string(head[volumeID:]), " \x00")
}

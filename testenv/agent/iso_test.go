package agent

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/gatehouse-dev/gatehouse/core/metadata"
)

// openStackDrive makes a config drive by the command that OpenStack's compute
// service runs.
func openStackDrive(t *testing.T, files map[string]string) []byte {
	t.Helper()
	tree, image := t.TempDir(), filepath.Join(t.TempDir(), "drive")
	for name, content := range files {
		path := filepath.Join(tree, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	out, err := exec.Command("genisoimage", "-o", image, "-ldots", "-allow-lowercase", "-allow-multidot", "-l",
		"-publisher", "OpenStack Compute", "-quiet", "-J", "-r", "-V", "config-2", tree).CombinedOutput()
	require.NoError(t, err, "genisoimage, of Debian's package of that name: %s", out)
	drive, err := os.ReadFile(image)
	require.NoError(t, err)
	return drive
}

func TestAConfigDriveGivesNameKeysAndUserData(t *testing.T) {
	key, err := NewHostKey()
	require.NoError(t, err)
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
	metadata := `{"uuid":"u-1","hostname":"build-1.example","availability_zone":"nova","public_keys":{"good":"` +
		line + ` gate@host","bad":"ssh-rsa nonsense"}}`
	files := map[string]string{"openstack/latest/meta_data.json": metadata, "openstack/latest.txt": "", "ec2/latest/user_data": "not this"}
	drive, err := readConfigDrive(bytes.NewReader(openStackDrive(t, files)))
	require.NoError(t, err)
	assert.Equal(t, "build-1.example", drive.Hostname)
	assert.Equal(t, "u-1", drive.UUID)
	assert.Nil(t, drive.UserData)
	keys, err := drive.Keys()
	require.ErrorContains(t, err, `key "bad"`)
	require.Len(t, keys, 1)
	assert.Equal(t, key.PublicKey().Marshal(), keys[0].Marshal())

	files["openstack/latest/user_data"] = "#!/bin/sh\n" + strings.Repeat("x", 50000)
	drive, err = readConfigDrive(bytes.NewReader(openStackDrive(t, files)))
	require.NoError(t, err)
	assert.Equal(t, files["openstack/latest/user_data"], string(drive.UserData))
}

func TestOurOwnConfigDriveIsRead(t *testing.T) {
	image, err := metadata.ConfigDrive(t.TempDir(), metadata.Instance{
		ID: "0e0e0e0e-1111-4222-8333-444455556666", Name: "n", Hostname: "n.example", UserData: []byte("#!/bin/sh\n"),
	})
	require.NoError(t, err)
	drive, err := readConfigDrive(bytes.NewReader(append(image, make([]byte, 2<<20-len(image))...)))
	require.NoError(t, err)
	assert.Equal(t, "0e0e0e0e-1111-4222-8333-444455556666", drive.UUID)
	assert.Equal(t, "n.example", drive.Hostname)
	assert.Equal(t, "#!/bin/sh\n", string(drive.UserData))
}

func TestADirectoryOfManySectorsIsRead(t *testing.T) {
	files := map[string]string{"openstack/latest/meta_data.json": `{"hostname":"found"}`}
	for i := range 200 {
		files[fmt.Sprintf("openstack/latest/a-%050d", i)] = ""
		files[fmt.Sprintf("openstack/latest/z-%050d", i)] = ""
	}
	drive, err := readConfigDrive(bytes.NewReader(openStackDrive(t, files)))
	require.NoError(t, err)
	assert.Equal(t, "found", drive.Hostname)
}

func TestADiskThatIsNoConfigDriveIsNone(t *testing.T) {
	good := openStackDrive(t, map[string]string{"openstack/latest/meta_data.json": `{}`})
	_, err := readConfigDrive(bytes.NewReader(good))
	require.NoError(t, err)
	for want, spoil := range map[string]func([]byte) []byte{
		"EOF":                 func([]byte) []byte { return nil },
		"no ISO 9660":         func(d []byte) []byte { return make([]byte, len(d)) },
		`label is "cidata"`:   func(d []byte) []byte { return append(d[:16*2048+40], append([]byte("cidata  "), d[16*2048+48:]...)...) },
		"malformed directory": func(d []byte) []byte { d[16*2048+156] = 5; return d },
		"too many":            func(d []byte) []byte { binary.LittleEndian.PutUint32(d[16*2048+156+10:], 1<<31); return d },
		"unexpected EOF":      func(d []byte) []byte { binary.LittleEndian.PutUint32(d[16*2048+156+2:], 1<<31); return d },
		"file does not exist": func(d []byte) []byte { binary.LittleEndian.PutUint32(d[16*2048+156+10:], 0); return d },
	} {
		_, err := readConfigDrive(bytes.NewReader(spoil(bytes.Clone(good))))
		assert.ErrorContains(t, err, want)
	}
	_, err = readConfigDrive(bytes.NewReader(openStackDrive(t, map[string]string{"openstack/latest": "a file"})))
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = readConfigDrive(bytes.NewReader(openStackDrive(t, map[string]string{"openstack/latest/meta_data.json": "{"})))
	require.ErrorContains(t, err, "meta_data.json")
}

// A guest's disks are its users' to write: whatever is there ends, without a
// panic.
func FuzzConfigDrive(f *testing.F) {
	image, err := metadata.ConfigDrive(f.TempDir(), metadata.Instance{ID: "i", Name: "n", Hostname: "h"})
	require.NoError(f, err)
	f.Add(image[16*isoSector:])
	f.Fuzz(func(_ *testing.T, disk []byte) {
		_, _ = readConfigDrive(io.NewSectionReader(after{disk}, 0, 1<<40))
	})
}

// after is a disk that begins with the zeros of a system area.
type after struct{ disk []byte }

func (a after) ReadAt(p []byte, at int64) (int, error) {
	if at < 16*isoSector {
		return 0, io.EOF
	}
	return bytes.NewReader(a.disk).ReadAt(p, at-16*isoSector)
}

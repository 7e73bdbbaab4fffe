package agent

import (
	"encoding/hex"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The kernel's structures, as `strace rngtest` and `strace ip link set address`
// would show them on a little-endian machine.
func TestTheKernelIsToldInItsOwnStructures(t *testing.T) {
	assert.Equal(t, "18000000"+"03000000"+"010203", hex.EncodeToString(poolInfo([]byte{1, 2, 3})))

	mac, err := net.ParseMAC("52:54:00:12:34:56")
	require.NoError(t, err)
	assert.Equal(t, "65746830"+"000000000000000000000000"+"0100"+"525400123456"+"00000000000000000000000000000000",
		hex.EncodeToString(hardwareAddress("eth0", mac)))
}

func TestWhatIsNoRandomDeviceIsNotSeeded(t *testing.T) {
	require.Error(t, stirRandom(os.DevNull, make([]byte, 64)))
	require.ErrorIs(t, stirRandom(filepath.Join(t.TempDir(), "none"), nil), os.ErrNotExist)
}

func TestAMACThatIsNotGivenStays(t *testing.T) {
	require.NoError(t, changeMAC("no-such-interface", ""))
	require.Error(t, changeMAC("no-such-interface", "52:54:00:12:34:56"))
}

func TestASettingIsWrittenWhateverWasThere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hosts")
	for _, content := range []string{"first\n", "another, longer\n", "short\n", ""} {
		require.NoError(t, writeSetting(file, content))
		got, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, content, string(got))
	}
	// As systemd's resolv.conf: a link to what is not there, and must not be made.
	target, link := filepath.Join(t.TempDir(), "stub"), filepath.Join(t.TempDir(), "resolv.conf")
	require.NoError(t, os.Symlink(target, link))
	require.NoError(t, writeSetting(link, "nameserver\n"))
	assert.NoFileExists(t, target)
	info, err := os.Lstat(link)
	require.NoError(t, err)
	assert.True(t, info.Mode().IsRegular())
	require.Error(t, writeSetting(filepath.Join(t.TempDir(), "no", "directory"), ""))
}

package agent

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// As `strace ip route replace default via 10.0.2.2` shows it (with another
// sequence number, and without the attribute for the interface).
func TestADefaultRouteIsAskedForAsIPDoes(t *testing.T) {
	assert.Equal(t, "24000000"+"1800"+"0505"+"01000000"+"00000000"+
		"02000000"+"fe030001"+"00000000"+
		"0800"+"0500"+"0a000202",
		hex.EncodeToString(newRoute(netip.MustParseAddr("10.0.2.2"))))
}

func TestTheKernelsAnswerIsRead(t *testing.T) {
	answer := func(code int32) []byte {
		m := binary.NativeEndian.AppendUint32(nil, 36)
		m = binary.NativeEndian.AppendUint16(m, unix.NLMSG_ERROR)
		m = append(m, make([]byte, 10)...)
		return binary.NativeEndian.AppendUint32(m, uint32(code))
	}
	require.NoError(t, netlinkError(answer(0)))
	require.ErrorIs(t, netlinkError(answer(-int32(unix.ENETUNREACH))), unix.ENETUNREACH)
	require.Error(t, netlinkError([]byte("short")))
}

func TestOnlyThePowerKeyGoingDownCounts(t *testing.T) {
	var events bytes.Buffer
	add := func(kind, code uint16, value int32) {
		events.Write(make([]byte, 16)) // the time
		require.NoError(t, binary.Write(&events, binary.NativeEndian, struct {
			Kind, Code uint16
			Value      int32
		}{kind, code, value}))
	}
	add(0, 0, 0)
	add(1, 30, 1)  // another key
	add(1, 116, 0) // going up
	pressed, err := readPowerKey(bytes.NewReader(events.Bytes()))
	assert.False(t, pressed)
	require.ErrorIs(t, err, io.EOF)
	add(1, 116, 1)
	pressed, err = readPowerKey(&events)
	require.NoError(t, err)
	assert.True(t, pressed)
}

func TestTheSizeOfAnExt4FileSystemIsRead(t *testing.T) {
	super := make([]byte, 2048)
	binary.LittleEndian.PutUint32(super[1024+0x4:], 5)
	binary.LittleEndian.PutUint32(super[1024+0x150:], 1)
	binary.LittleEndian.PutUint32(super[1024+0x18:], 2)
	file := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, os.WriteFile(file, super, 0o600))
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	blocks, blockSize, err := ext4Size(f)
	require.NoError(t, err)
	assert.Equal(t, int64(1<<32+5), blocks)
	assert.Equal(t, int64(4096), blockSize)
}

func TestTheLoginEnvironmentIsReadAsPAMDoes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "environment")
	require.NoError(t, os.WriteFile(file, []byte("# comment\nA=1\nB=\"two words\"\nexport C='3'\nD=a=b\n\nnonsense\n"), 0o600))
	assert.Equal(t, []string{"A=1", "B=two words", "C=3", "D=a=b"}, readEnvironment(file))
	assert.Empty(t, readEnvironment(file+".none"))
}

func TestTheLastOfSeveralSettingsIsKept(t *testing.T) {
	assert.Equal(t, []string{"B=2", "A=3"}, dedupe([]string{"A=1", "B=2", "A=3"}))
}

func TestAMissingDeviceIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "vda")
	require.ErrorContains(t, awaitFile(file, 1), "vda did not appear")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, awaitFile(file, 1))
}

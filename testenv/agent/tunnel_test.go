package agent

import (
	"bytes"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Packets as `ping -c 1 10.0.3.1` and `ping -c 1 fd00::1` send them, cut short.
const (
	pingIPv4 = "4500001c00004000400126ba" + "0a0003020a000301" + "0800f7ff00000000"
	pingIPv6 = "6000000000083a40" + "fd000000000000000000000000000002" + "fd000000000000000000000000000001" + "8000000000000000"
)

func packet(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	require.NoError(t, err)
	return b
}

// device is a tun interface: it takes and gives whole packets.
type device struct {
	packets [][]byte
	err     error
}

func (d *device) Write(p []byte) (int, error) {
	d.packets = append(d.packets, bytes.Clone(p))
	return len(p), d.err
}

func (d *device) Read(p []byte) (int, error) {
	if len(d.packets) == 0 {
		return 0, io.EOF
	}
	n := copy(p, d.packets[0])
	d.packets = d.packets[1:]
	return n, nil
}

func TestPacketsAreFoundInAStreamHoweverItIsCut(t *testing.T) {
	longest := append(packet(t, "6000000000083a40"), make([]byte, longestPacket-8)...)
	longest[4], longest[5] = 0xff, 0xff
	want := [][]byte{packet(t, pingIPv4), packet(t, pingIPv6), longest, packet(t, pingIPv4)}
	stream := "00000002" + pingIPv4 + "00000018" + pingIPv6 + "00000018" + hex.EncodeToString(longest) + "00000002" + pingIPv4
	for name, cut := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r },
		"half":  iotest.HalfReader,
		"bytes": iotest.OneByteReader,
	} {
		d := &device{}
		require.NoError(t, receivePackets(d, cut(bytes.NewReader(packet(t, stream)))), name)
		assert.Equal(t, want, d.packets, name)
	}
}

func TestAnInterfaceThatIsDownLosesPackets(t *testing.T) {
	d := &device{err: os.ErrInvalid}
	require.NoError(t, receivePackets(d, bytes.NewReader(packet(t, "00000002"+pingIPv4+"00000002"+pingIPv4))))
	assert.Len(t, d.packets, 2)
	d = &device{err: os.ErrClosed}
	require.NoError(t, receivePackets(d, bytes.NewReader(packet(t, "00000002"+pingIPv4+"00000002"+pingIPv4))))
	assert.Len(t, d.packets, 1)
}

func TestAStreamOfOtherThingsIsGivenUp(t *testing.T) {
	for stream, want := range map[string]string{
		"00000018" + pingIPv4:       "address family 24 and version 4",
		"0000000a" + pingIPv6:       "address family 10 and version 6",
		"0000001c" + "00000002":     "unexpected EOF",
		"00000002" + pingIPv4[:30]:  "packet of 28 bytes",
		"00000002" + "450000130000": "IPv4 packet of 19 bytes",
		"0000":                      "unexpected EOF",
	} {
		d := &device{}
		err := receivePackets(d, bytes.NewReader(packet(t, stream)))
		require.ErrorContains(t, err, want, stream)
		assert.Empty(t, d.packets)
	}
}

func TestEachPacketIsSentAsOpenSSHDoes(t *testing.T) {
	var sent device
	err := sendPackets(&sent, &device{packets: [][]byte{packet(t, pingIPv4), packet(t, pingIPv6), {}, packet(t, pingIPv4)}})
	require.ErrorIs(t, err, io.EOF)
	assert.Equal(t, [][]byte{packet(t, "00000002"+pingIPv4), packet(t, "00000018"+pingIPv6), packet(t, "00000002"+pingIPv4)}, sent.packets)
	require.ErrorIs(t, sendPackets(&device{err: io.ErrClosedPipe}, &device{packets: [][]byte{{0x45}}}), io.ErrClosedPipe)
}

func TestNoInterfaceIsMadeOfAnythingElse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tun")
	_, err := newInterface(file, 0)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = newInterface(file, tunnelAnyUnit)
	require.ErrorContains(t, err, "make tun%d")
	_, err = newInterface(strings.Repeat("x", 9), 1<<32-1)
	require.Error(t, err)
}

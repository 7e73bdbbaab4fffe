package agent

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// A tunnel carries IP packets between the client and a tun interface of the
// machine: tun@openssh.com, section 2.3 of OpenSSH's PROTOCOL.
//
// Whoever may log in may open one: its interface is down and has no address
// until root gives it one, and that is all that makes it reach anything.
//
// As OpenSSH does it (channels.c, port-net.c), each SSH_MSG_CHANNEL_DATA holds
// one packet after its address family; the "packet length" of PROTOCOL is that
// message's own. x/crypto/ssh hands out a stream, so packets are told apart by
// the lengths in their headers, and it may cut a packet in two when the
// client's window is all but full.

// The numbers of the protocol.
const (
	tunnelLayer3  = 1
	tunnelAnyUnit = 0x7fffffff
	tunnelIPv4    = 2
	tunnelIPv6    = 24 // OpenBSD's AF_INET6
)

const (
	familySize    = 4
	headerIPv4    = 20
	headerIPv6    = 40
	longestPacket = headerIPv6 + 1<<16 - 1
)

func (c *connection) openTunnel(offered ssh.NewChannel) {
	var to struct{ Mode, Unit uint32 }
	err := ssh.Unmarshal(offered.ExtraData(), &to)
	if err == nil && to.Mode != tunnelLayer3 {
		err = errors.New("only layer 3 is tunnelled")
	}
	if err != nil {
		_ = offered.Reject(ssh.Prohibited, err.Error()) // a broken connection ends all
		return
	}
	if !c.tunnels.try() {
		_ = offered.Reject(ssh.ResourceShortage, fmt.Sprintf("more than %d tunnels", maxTunnels)) // the same
		return
	}
	defer c.tunnels.free()
	device, err := newInterface("/dev/net/tun", to.Unit)
	if err != nil {
		_ = offered.Reject(ssh.ConnectionFailed, err.Error()) // the same
		return
	}
	defer device.Close()
	channel, requests, err := offered.Accept()
	if err != nil {
		return // it is broken
	}
	defer channel.Close() //nolint:errcheck // it may be closed
	c.work.Go(func() { ssh.DiscardRequests(requests) })
	c.work.Go(func() {
		_ = sendPackets(channel, device) // either is closed
		_ = channel.Close()              // it may be
	})
	if err := receivePackets(device, channel); err != nil {
		c.server.Log.Warn("ssh tunnel", "err", err)
	}
}

// newInterface makes an interface, tun0 for unit 0, or takes one of that name
// that nobody uses. It goes away when it is closed.
func newInterface(device string, unit uint32) (*os.File, error) {
	name := "tun%d" // the kernel's choice
	if unit != tunnelAnyUnit {
		name = fmt.Sprintf("tun%d", unit)
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", device, err)
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return nil, errors.Join(fmt.Errorf("make %s: %w", name, err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), name), nil
}

// sendPackets sends the client the packets of an interface until either ends.
func sendPackets(client io.Writer, device io.Reader) error {
	message := make([]byte, familySize+longestPacket)
	for {
		n, err := device.Read(message[familySize:])
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		family := uint32(tunnelIPv4)
		if version(message[familySize:]) == 6 {
			family = tunnelIPv6
		}
		binary.BigEndian.PutUint32(message, family)
		if _, err := client.Write(message[:familySize+n]); err != nil {
			return err
		}
	}
}

// receivePackets gives an interface the client's packets until the client
// ends. A packet that the interface does not want (it is down, say) is lost,
// as packets are.
func receivePackets(device io.Writer, client io.Reader) error {
	stream := bufio.NewReaderSize(client, familySize+longestPacket)
	for {
		length, err := nextPacket(stream)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		message, err := stream.Peek(familySize + length)
		if err != nil {
			return fmt.Errorf("packet of %d bytes: %w", length, err)
		}
		if _, err := device.Write(message[familySize:]); errors.Is(err, os.ErrClosed) {
			return nil
		}
		if _, err := stream.Discard(familySize + length); err != nil {
			return err
		}
	}
}

// nextPacket returns the length of the packet that a stream is at, by its own
// header: RFC 791, section 3.1; RFC 8200, section 3. It reports io.EOF between
// packets only.
func nextPacket(stream *bufio.Reader) (int, error) {
	head, err := stream.Peek(familySize + 6)
	if len(head) > 0 && errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return 0, err
	}
	family, packet := binary.BigEndian.Uint32(head), head[familySize:]
	switch {
	case family == tunnelIPv4 && version(packet) == 4:
		length := int(binary.BigEndian.Uint16(packet[2:]))
		if length < headerIPv4 {
			return 0, fmt.Errorf("an IPv4 packet of %d bytes", length)
		}
		return length, nil
	case family == tunnelIPv6 && version(packet) == 6:
		return headerIPv6 + int(binary.BigEndian.Uint16(packet[4:])), nil
	default:
		return 0, fmt.Errorf("a packet of address family %d and version %d", family, version(packet))
	}
}

func version(packet []byte) byte { return packet[0] >> 4 }

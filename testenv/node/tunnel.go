package node

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"

	"github.com/gatehouse-dev/gatehouse/testenv/network"
)

// The words of a tunnel (OpenSSH's PROTOCOL, section 2.3).
const (
	tunnelChannel = "tun@openssh.com"
	tunnelLayer3  = 1
	tunnelUnit    = 0 // the interface is tun0
	tunnelIPv4    = 2
	tunnelIPv6    = 24
)

// tunnel is a network.Link over an ssh channel. Each message of the channel is
// an address family and an IP packet. Here they come as one stream of bytes,
// which the packets' own lengths cut up again.
type tunnel struct {
	ssh.Channel
	reader *bufio.Reader
	out    []byte
}

// ReadPacket implements network.Link.
func (t *tunnel) ReadPacket(p []byte) (int, error) {
	head, err := t.reader.Peek(10) // the family and an IP header as far as its length
	if err != nil {
		return 0, err
	}
	family, ip := binary.BigEndian.Uint32(head), head[4:]
	var size int
	switch version := ip[0] >> 4; {
	case family == tunnelIPv4 && version == 4:
		size = int(binary.BigEndian.Uint16(ip[2:]))
	case family == tunnelIPv6 && version == 6:
		size = 40 + int(binary.BigEndian.Uint16(ip[4:]))
	default:
		return 0, errors.New("what the machine sends is no IP packet")
	}
	if size < 20 || size > len(p) {
		return 0, fmt.Errorf("an IP packet of %d bytes", size)
	}
	_, _ = t.reader.Discard(4) // it has been peeked at
	return io.ReadFull(t.reader, p[:size])
}

// WritePacket implements network.Link.
func (t *tunnel) WritePacket(p []byte) error {
	t.out = binary.BigEndian.AppendUint32(t.out[:0], tunnelIPv4)
	t.out = append(t.out, p...)
	_, err := t.Write(t.out) // at once: it is to be one message
	return err
}

// route gives the machine an interface to a router and makes it the way to
// everywhere.
func (n *Node) route(ctx context.Context, r *network.Router) error {
	// An sshd without privileges needs the interface to be the user's already.
	if err := n.command(ctx, prepareTunnel); err != nil {
		return err
	}
	channel, requests, err := n.client.OpenChannel(tunnelChannel, ssh.Marshal(struct{ Mode, Unit uint32 }{tunnelLayer3, tunnelUnit}))
	if refusal := (*ssh.OpenChannelError)(nil); errors.As(err, &refusal) {
		return fmt.Errorf("%w a tunnel: %w", ErrRefused, refusal)
	}
	if err != nil {
		return n.lost(ctx, err)
	}
	n.tasks.Go(func() { ssh.DiscardRequests(requests) })
	n.tasks.Go(func() {
		link := &tunnel{Channel: channel, reader: bufio.NewReaderSize(channel, 64<<10)}
		if err := r.Serve(n.lifetime, link); err != nil {
			n.provider.config.Log.WarnContext(n.lifetime, "a machine lost its way out", "server", n.server, "error", err)
		}
	})
	return n.command(ctx, configureTunnel)
}

// prepareTunnel makes the interface, if there is a way to. asRoot is for
// images without sudo, whose user is root.
const (
	asRoot        = `asRoot() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }; `
	prepareTunnel = asRoot + `
command -v ip >/dev/null || { echo "the image has no program ip (package iproute2)"; exit 1; }
[ -e /sys/class/net/tun0 ] || asRoot ip tuntap add dev tun0 mode tun user "$(id -un)"`
)

// configureTunnel makes the interface the default route, but keeps the way by
// which this connection goes, where it is not a neighbour's.
var configureTunnel = fmt.Sprintf(asRoot+`
asRoot /bin/sh -e -c '
ip addr replace %[1]s peer %[2]s dev tun0
ip link set dev tun0 mtu %[3]d up
case $1 in *.*.*.*)
	way=$(ip -o route get "$1" | sed -n "s/^[^ ]* \(via [^ ]* \)\{0,1\}\(dev [^ ]*\).*/\1\2/p")
	[ -z "$way" ] || ip route replace "$1" $way
esac
ip route replace default via %[2]s dev tun0
[ ! -L /etc/resolv.conf ] || rm /etc/resolv.conf # it may lead to one that another program writes
echo nameserver %[2]s >/etc/resolv.conf
' sh "${SSH_CONNECTION%%%% *}"`, network.GuestAddress, network.GatewayAddress, network.MTU)

// command runs a script that a network needs.
func (n *Node) command(ctx context.Context, script string) error {
	var said excerpt
	exit, err := n.Run(ctx, Step{Script: script}, &said)
	if err != nil {
		return err
	}
	if exit != 0 {
		return fmt.Errorf("%w (status %d): %s", ErrRefused, exit, said.text())
	}
	return nil
}

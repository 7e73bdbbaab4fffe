package agent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The network that QEMU's user networking gives a machine.
var (
	guestAddress = netip.MustParseAddr("10.0.2.15")
	guestNetmask = netip.MustParseAddr("255.255.255.0")
	gateway      = netip.MustParseAddr("10.0.2.2")
)

// resolver is QEMU's own. It answers only if the machine may reach out.
const resolver = "nameserver 10.0.2.3\noptions timeout:1 attempts:1\n"

// configureNetwork brings up lo and, if there is one, eth0.
func configureNetwork() error {
	if err := setUp("lo", netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.AddrFrom4([4]byte{255})); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join("/sys/class/net", "eth0")); os.IsNotExist(err) {
		return nil // a machine without network
	}
	if err := setUp("eth0", guestAddress, guestNetmask); err != nil {
		return err
	}
	if err := addDefaultRoute(gateway); err != nil {
		return fmt.Errorf("route to %s: %w", gateway, err)
	}
	return os.WriteFile("/etc/resolv.conf", []byte(resolver), 0o644) //nolint:gosec // world-readable by definition
}

// setUp gives an interface its address and brings it up.
func setUp(name string, address, netmask netip.Addr) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	for _, set := range []struct {
		request uint
		address netip.Addr
	}{{unix.SIOCSIFADDR, address}, {unix.SIOCSIFNETMASK, netmask}} {
		ifreq, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		if err := ifreq.SetInet4Addr(set.address.AsSlice()); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(fd, set.request, ifreq); err != nil {
			return fmt.Errorf("give %s to %s: %w", set.address, name, err)
		}
	}
	ifreq, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	ifreq.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifreq); err != nil {
		return fmt.Errorf("bring up %s: %w", name, err)
	}
	return nil
}

// addDefaultRoute asks the kernel by rtnetlink(7): an RTM_NEWROUTE of the main
// table with a gateway and no destination.
func addDefaultRoute(via netip.Addr) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // the kernel has answered
	if err := unix.Sendto(fd, newRoute(via), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 512)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return err
	}
	return netlinkError(answer[:n])
}

func newRoute(via netip.Addr) []byte {
	const size = unix.SizeofNlMsghdr + unix.SizeofRtMsg + unix.SizeofRtAttr + 4
	order := binary.NativeEndian
	m := order.AppendUint32(nil, size)
	m = order.AppendUint16(m, unix.RTM_NEWROUTE)
	m = order.AppendUint16(m, unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	m = order.AppendUint32(m, 1) // sequence
	m = order.AppendUint32(m, 0) // port: the kernel's
	m = append(m, unix.AF_INET, 0, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_BOOT, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST)
	m = order.AppendUint32(m, 0) // flags
	m = order.AppendUint16(m, unix.SizeofRtAttr+4)
	m = order.AppendUint16(m, unix.RTA_GATEWAY)
	return append(m, via.AsSlice()...)
}

// netlinkError reads an NLMSG_ERROR, which carries 0 for success.
func netlinkError(answer []byte) error {
	if len(answer) < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return errors.New("unexpected answer from the kernel")
	}
	code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])) //nolint:gosec // negative errno
	if code == 0 {
		return nil
	}
	return unix.Errno(-code) //nolint:gosec // errno is small
}

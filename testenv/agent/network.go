package agent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
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
	if err := setInterface("ipv6", "disable_ipv6"); err != nil { // there is none
		return err
	}
	// Tell QEMU's network the interface's address, also when it changes: a
	// fork's does.
	if err := setInterface("ipv4", "arp_notify"); err != nil {
		return err
	}
	if err := setUp("eth0", guestAddress, guestNetmask); err != nil {
		return err
	}
	if err := askRouting(newRoute(gateway)); err != nil {
		return fmt.Errorf("route to %s: %w", gateway, err)
	}
	return writeSetting("/etc/resolv.conf", resolver)
}

// setInterface switches something on for eth0, if the kernel has it.
func setInterface(protocol, name string) error {
	err := os.WriteFile(filepath.Join("/proc/sys/net", protocol, "conf/eth0", name), []byte("1"), 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
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

// askRouting has the kernel do what a message of rtnetlink(7) says.
func askRouting(message []byte) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // the kernel has answered
	if err := unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 512)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return err
	}
	return netlinkError(answer[:n])
}

// newRoute is the message for a default route: of the main table, with a
// gateway and no destination.
func newRoute(via netip.Addr) []byte {
	body := []byte{unix.AF_INET, 0, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_BOOT, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST}
	body = append(body, 0, 0, 0, 0) // flags
	body = appendAttribute(body, unix.RTA_GATEWAY, via.AsSlice())
	return netlinkMessage(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, body)
}

// netlinkMessage is a request that the kernel shall acknowledge.
func netlinkMessage(kind, flags uint16, body []byte) []byte {
	order := binary.NativeEndian
	m := order.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body))) //nolint:gosec // a few bytes
	m = order.AppendUint16(m, kind)
	m = order.AppendUint16(m, unix.NLM_F_REQUEST|unix.NLM_F_ACK|flags)
	m = order.AppendUint32(m, 1) // sequence
	m = order.AppendUint32(m, 0) // port: the kernel's
	return append(m, body...)
}

func appendAttribute(m []byte, kind uint16, value []byte) []byte {
	m = binary.NativeEndian.AppendUint16(m, uint16(unix.SizeofRtAttr+len(value))) //nolint:gosec // a few bytes
	m = binary.NativeEndian.AppendUint16(m, kind)
	m = append(m, value...)
	return append(m, make([]byte, -len(m)&3)...)
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

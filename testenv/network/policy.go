package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// errForbidden says that an address is not to be reached from a machine.
var errForbidden = errors.New("forbidden")

// forbidden are addresses that mean the host itself, its link, many hosts at
// once, or a way to say one of these in other words (RFC 6890 and the RFCs it
// names).
var forbidden = prefixes(
	"0.0.0.0/8",          // this host
	"127.0.0.0/8",        // loopback
	"169.254.0.0/16",     // link-local, with the clouds' metadata services
	"100.100.100.200/32", // a cloud's metadata service
	"192.0.0.0/29",       // the router's own, see guestAddress
	"224.0.0.0/4",        // multicast
	"240.0.0.0/4",        // reserved, with the broadcast address
	"::/96",              // unspecified, loopback, IPv4-compatible
	"2001::/32",          // Teredo
	"2002::/16",          // 6to4
	"fd00:ec2::254/128",  // a cloud's metadata service
	"fd20:ce::254/128",   // another's
	"fe80::/10",          // link-local
	"fec0::/10",          // site-local
	"ff00::/8",           // multicast
)

// translated are the prefixes whose last 32 bits are an IPv4 address that is
// reached through a translator (RFC 6052).
var translated = prefixes("64:ff9b::/96")

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

// check reports errForbidden for an address that a machine must not reach.
func check(a netip.Addr) error {
	// A zone would make prefixes miss; ::ffff:127.0.0.1 is 127.0.0.1.
	a = a.WithZone("").Unmap()
	for _, p := range translated {
		if p.Contains(a) {
			bytes := a.As16()
			a = netip.AddrFrom4([4]byte(bytes[12:]))
		}
	}
	for _, p := range forbidden {
		if p.Contains(a) {
			return fmt.Errorf("%w: %s is in %s", errForbidden, a, p)
		}
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return fmt.Errorf("%w: this host's own addresses are not known: %w", errForbidden, err)
	}
	for _, o := range own {
		if n, ok := o.(*net.IPNet); ok && reaches(n, a) {
			return fmt.Errorf("%w: %s is this host, or all hosts at %s", errForbidden, a, n)
		}
	}
	return nil
}

// reaches reports whether an address is the one of an interface, or stands
// for all hosts of its network (RFC 919, section 7).
func reaches(n *net.IPNet, a netip.Addr) bool {
	own, ok := netip.AddrFromSlice(n.IP)
	if own = own.Unmap(); !ok || own.BitLen() != a.BitLen() {
		return false
	}
	ones, bits := n.Mask.Size()
	if own == a || !own.Is4() || bits-ones < 2 {
		return own == a
	}
	prefix := netip.PrefixFrom(own, ones).Masked()
	if !prefix.Contains(a) {
		return false
	}
	last := a.As4()
	for i, m := range n.Mask[len(n.Mask)-4:] {
		last[i] |= ^m
	}
	return a == prefix.Addr() || a == netip.AddrFrom4(last)
}

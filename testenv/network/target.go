package network

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// target is a host that a forward proxy reaches.
type target struct {
	host string // lower case, without the final dot; "*.": all names below
	port uint16 // 0: 80 and 443
}

// parseTarget reads an entry of a proxy's list of hosts.
func parseTarget(text string) (target, error) {
	t := target{host: text}
	if host, port, err := net.SplitHostPort(text); err == nil {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return t, fmt.Errorf("host %q: the port is a number from 1 to 65535", text)
		}
		t = target{host, uint16(n)}
	}
	t.host = canonical(t.host)
	if _, err := netip.ParseAddr(t.host); err == nil {
		return t, nil
	}
	name := strings.TrimPrefix(t.host, "*.")
	for label := range strings.SplitSeq(name, ".") {
		if !isLabel(label) {
			return t, fmt.Errorf("host %q is neither a name nor an address; examples: pypi.org, *.example.org, 192.0.2.1:8080", text)
		}
	}
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return t, fmt.Errorf("host %q: what is on this host is listed as a literal IP:port", text)
	}
	return t, nil
}

func isLabel(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return s != "" && len(s) < 64
}

// canonical is the one way to write a host.
func canonical(host string) string {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().String()
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// matches reports whether the target covers a host in canonical form.
func (t target) matches(host string, port uint16) bool {
	if port != t.port && (t.port != 0 || port != 80 && port != 443) {
		return false
	}
	if below, wild := strings.CutPrefix(t.host, "*"); wild {
		return strings.HasSuffix(host, below) && len(host) > len(below)
	}
	return host == t.host
}

// literal reports whether the target is one IP:port, which the operator may
// reach from a machine wherever it is.
func (t target) literal() bool {
	_, err := netip.ParseAddr(t.host)
	return err == nil && t.port != 0
}

func (t target) String() string {
	if t.port == 0 {
		return t.host
	}
	return net.JoinHostPort(t.host, strconv.Itoa(int(t.port)))
}

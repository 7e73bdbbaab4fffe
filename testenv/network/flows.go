package network

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// flows are the connections of one machine.
type flows struct {
	router *Router
	ctx    context.Context //nolint:containedctx // the stack calls without one; it is Serve's
	tasks  tasks
}

// destination is where a machine's packet goes.
func destination(id stack.TransportEndpointID) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4(id.LocalAddress.As4()), id.LocalPort)
}

// isDNS reports whether a flow is for the gateway's name service.
func isDNS(to netip.AddrPort) bool { return to == netip.AddrPortFrom(GatewayAddress, 53) }

// dial reaches out for a flow.
func (f *flows) dial(network string, to netip.AddrPort) (net.Conn, error) {
	if isDNS(to) {
		return f.dialResolver(network)
	}
	if err := check(to.Addr()); err != nil {
		return nil, err
	}
	return f.router.Dial(f.ctx, network, to.String())
}

// tcp carries a connection that the machine asks for. It is accepted only
// once the other side has, so that a refusal looks like one.
func (f *flows) tcp(r *tcp.ForwarderRequest) {
	if !f.tasks.begin() {
		r.Complete(true)
		return
	}
	defer f.tasks.end()
	to := destination(r.ID())
	host, err := f.dial("tcp", to)
	if err != nil {
		f.failed("tcp", to, err)
		r.Complete(true)
		return
	}
	defer host.Close()
	var queue waiter.Queue
	endpoint, failure := r.CreateEndpoint(&queue)
	if failure != nil {
		f.failed("tcp", to, fmt.Errorf("the machine's side: %s", failure))
		r.Complete(true)
		return
	}
	r.Complete(false)
	relay(f.ctx, gonet.NewTCPConn(&queue, endpoint), host.(stream), tcpIdle) //nolint:forcetypeassert // a TCP connection is one
}

// udp carries the datagrams between two ports. What cannot be carried is
// dropped.
func (f *flows) udp(r *udp.ForwarderRequest) bool {
	if !f.tasks.begin() {
		return true
	}
	to := destination(r.ID())
	var queue waiter.Queue
	endpoint, failure := r.CreateEndpoint(&queue)
	if failure != nil {
		f.tasks.end()
		return true
	}
	guest := datagrams{gonet.NewUDPConn(&queue, endpoint)}
	go func() {
		defer f.tasks.end()
		defer guest.Close()
		if isDNS(to) {
			f.resolve(guest)
			return
		}
		host, err := f.dial("udp", to)
		if err != nil {
			f.failed("udp", to, err)
			return
		}
		relay(f.ctx, guest, datagrams{host}, udpIdle)
	}()
	return true
}

// failed notes a flow that did not come about.
func (f *flows) failed(network string, to netip.AddrPort, err error) {
	f.router.Log.DebugContext(f.ctx, "a machine does not reach an address", "network", network, "address", to, "error", err)
}

// datagrams is a UDP socket as a stream of reads and writes: each is a
// datagram (of at most 32 KiB, which is how much io.Copy reads), and it has no
// end.
type datagrams struct{ net.Conn }

// CloseWrite does nothing.
func (datagrams) CloseWrite() error { return nil }

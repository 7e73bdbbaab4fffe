package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/log"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// The two ends of a machine's way out. The addresses are those that RFC 7335
// keeps for such links, so that they hide no other host.
var (
	GuestAddress   = netip.MustParseAddr("192.0.0.2")
	GatewayAddress = netip.MustParseAddr("192.0.0.1") // answers DNS, nothing else
)

// MTU of the machine's interface, in bytes. No Ethernet is involved, and few
// large packets cost a slow machine less than many small ones. OpenSSH takes
// packets of up to 16 KiB.
const MTU = 8192

const (
	maxFlows    = 512 // TCP connections and UDP flows of a machine at a time
	maxDialing  = 64  // TCP connections that wait for the other side
	queueLength = 512 // packets on their way to the machine
	flowBuffer  = 256 << 10

	// Without traffic a flow ends after these times, the least that
	// RFC 5382 (REQ-5) and RFC 4787 (REQ-5) allow.
	tcpIdle = 2*time.Hour + 4*time.Minute
	udpIdle = 2 * time.Minute
)

// Link carries the IP packets of one machine. One call of each method may run
// at a time, Close at any time; it ends the others, at the latest when what is
// beneath the link ends.
type Link interface {
	// ReadPacket waits for a packet of at most len(p) bytes.
	ReadPacket(p []byte) (int, error)
	WritePacket(p []byte) error
	io.Closer
}

// Router gives machines outgoing access: it ends their TCP connections and
// UDP flows in a network stack of its own and dials anew for each, from
// wherever it runs. Only IPv4 is routed. The addresses of the host, of its
// links and of loopback are not reached, except for the host's resolvers
// through DNS at GatewayAddress.
type Router struct {
	// Dial connects to the address of a flow.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Resolvers are the host:ports of name servers, the preferred one first.
	Resolvers func() []string
	// Log hears of flows that fail.
	Log *slog.Logger
}

// NewRouter makes a router that dials from this host and asks its resolvers.
func NewRouter(log *slog.Logger) *Router {
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &Router{Dial: dialer.DialContext, Resolvers: hostResolvers, Log: log}
}

// Serve routes a machine's packets until ctx ends or the link fails, and
// returns once all its flows have ended. It closes the link. The error is nil
// if ctx ended.
func (r *Router) Serve(ctx context.Context, link Link) error {
	defer link.Close()
	s, nic, err := newStack()
	if err != nil {
		return err
	}
	inner, cancel := context.WithCancel(ctx)
	f := &flows{router: r, ctx: inner, tasks: tasks{most: maxFlows}}
	s.SetTransportProtocolHandler(tcp.ProtocolNumber, tcp.NewForwarder(s, flowBuffer, maxDialing, f.tcp).HandlePacket)
	s.SetTransportProtocolHandler(udp.ProtocolNumber, udp.NewForwarder(s, f.udp).HandlePacket)

	var pumps sync.WaitGroup
	failed := make(chan error, 2)
	pumps.Go(func() { failed <- receive(link, nic) })
	pumps.Go(func() { failed <- send(inner, link, nic) })
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	cancel()
	link.Close()
	nic.Close()
	s.Close() // ends connections that are still being made
	f.tasks.close()
	pumps.Wait()
	s.Destroy()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("the machine's link: %w", err)
}

// The stack tells the standard error of packets that machines should not send.
func init() { log.SetLevel(log.Warning) }

// newStack makes a network stack that takes every packet for its own.
func newStack() (*stack.Stack, *channel.Endpoint, error) {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	nic := channel.New(queueLength, MTU, "")
	sack := tcpip.TCPSACKEnabled(true)
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: flowBuffer, Max: flowBuffer}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: flowBuffer, Max: flowBuffer}
	const id = 1
	for _, err := range []tcpip.Error{
		s.SetTransportProtocolOption(tcp.ProtocolNumber, &sack),
		s.SetTransportProtocolOption(tcp.ProtocolNumber, &receive),
		s.SetTransportProtocolOption(tcp.ProtocolNumber, &send),
		s.CreateNIC(id, nic),
		s.SetPromiscuousMode(id, true),
		s.SetSpoofing(id, true),
	} {
		if err != nil {
			return nil, nil, fmt.Errorf("make a network stack: %s", err)
		}
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: id}})
	return s, nic, nil
}

// receive takes the machine's packets. Those that no flow is made of, ICMP
// among them, are dropped: the stack would answer in everybody's name.
func receive(link Link, nic *channel.Endpoint) error {
	p := make([]byte, 64<<10)
	for {
		n, err := link.ReadPacket(p)
		if err != nil {
			return err
		}
		ip := header.IPv4(p[:n])
		if header.IPVersion(ip) != header.IPv4Version || !ip.IsValid(n) || int(ip.TotalLength()) != n ||
			ip.TransportProtocol() != tcp.ProtocolNumber && ip.TransportProtocol() != udp.ProtocolNumber {
			continue
		}
		packet := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(ip)}) // copies
		nic.InjectInbound(ipv4.ProtocolNumber, packet)
		packet.DecRef()
	}
}

// send gives the machine its packets. While it takes none, they queue up, and
// then are dropped, as on any link.
func send(ctx context.Context, link Link, nic *channel.Endpoint) error {
	for {
		packet := nic.ReadContext(ctx)
		if packet == nil {
			return errors.New("closed")
		}
		view := packet.ToView()
		packet.DecRef()
		err := link.WritePacket(view.AsSlice())
		view.Release()
		if err != nil {
			return err
		}
	}
}

// tasks counts what runs, up to a number, and waits for it.
type tasks struct {
	most int

	mu      sync.Mutex
	running int
	closed  bool
	group   sync.WaitGroup
}

// begin reports whether a task may run; if so, it must end.
func (t *tasks) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.running == t.most {
		return false
	}
	t.running++
	t.group.Add(1)
	return true
}

func (t *tasks) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running--
	t.group.Done()
}

// close lets no more tasks begin and waits for those that run.
func (t *tasks) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.group.Wait()
}

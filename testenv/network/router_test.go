package network_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/gatehouse-dev/gatehouse/testenv/network"
)

// guest is a machine: a network stack whose interface is the router's link.
type guest struct {
	stack *stack.Stack
	nic   *channel.Endpoint
	ctx   context.Context
	end   context.CancelFunc
}

func newGuest(t *testing.T) *guest {
	t.Helper()
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	nic := channel.New(512, network.MTU, "")
	require.Nil(t, s.CreateNIC(1, nic))
	address := tcpip.AddrFrom4(network.GuestAddress.As4()).WithPrefix()
	require.Nil(t, s.AddProtocolAddress(1, tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: address}, stack.AddressProperties{}))
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}})
	g := &guest{stack: s, nic: nic}
	g.ctx, g.end = context.WithCancel(context.Background())
	t.Cleanup(func() { nic.Close(); s.Destroy() })
	return g
}

func (g *guest) ReadPacket(p []byte) (int, error) {
	packet := g.nic.ReadContext(g.ctx)
	if packet == nil {
		return 0, io.EOF
	}
	defer packet.DecRef()
	return copy(p, packet.ToView().AsSlice()), nil
}

func (g *guest) WritePacket(p []byte) error {
	packet := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(p)})
	defer packet.DecRef()
	g.nic.InjectInbound(ipv4.ProtocolNumber, packet)
	return nil
}

func (g *guest) Close() error {
	g.end()
	return nil
}

func full(address string) tcpip.FullAddress {
	a := netip.MustParseAddrPort(address)
	return tcpip.FullAddress{NIC: 1, Addr: tcpip.AddrFrom4(a.Addr().As4()), Port: a.Port()}
}

func (g *guest) dial(ctx context.Context, address string) (*gonet.TCPConn, error) {
	return gonet.DialContextTCP(ctx, g.stack, full(address), ipv4.ProtocolNumber)
}

func (g *guest) dialUDP(t *testing.T, address string) *gonet.UDPConn {
	t.Helper()
	to := full(address)
	conn, err := gonet.DialUDP(g.stack, nil, &to, ipv4.ProtocolNumber)
	require.NoError(t, err)
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	t.Cleanup(func() { conn.Close() })
	return conn
}

// world is where a router's dials end: addresses far away by listeners here.
type world struct {
	mu     sync.Mutex
	places map[string]string
	dialed []string
}

func (w *world) dial(ctx context.Context, kind, address string) (net.Conn, error) {
	w.mu.Lock()
	w.dialed = append(w.dialed, kind+" "+address)
	place, ok := w.places[kind+" "+address]
	w.mu.Unlock()
	if !ok {
		return nil, errors.New("connection refused")
	}
	return new(net.Dialer).DialContext(ctx, kind, place)
}

// routed is a machine with a router that serves it until the test ends.
func routed(t *testing.T, w *world, resolvers ...string) *guest {
	t.Helper()
	g := newGuest(t)
	serve(t, &network.Router{Dial: w.dial, Resolvers: func() []string { return resolvers }, Log: slog.New(slog.DiscardHandler)}, g)
	return g
}

func serve(t *testing.T, r *network.Router, link network.Link) context.CancelFunc {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, link) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			require.NoError(t, err)
		case <-time.After(10 * time.Second):
			buf := make([]byte, 1<<20)
			t.Fatalf("the router does not end:\n%s", buf[:runtime.Stack(buf, true)])
		}
	})
	return cancel
}

// echo answers a connection with what came over it, once it has all.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				all, _ := io.ReadAll(conn)
				_, _ = conn.Write(all)
			}()
		}
	}()
	return l.Addr().String()
}

func TestAMachineWithFullAccessReachesTheWorldByTCP(t *testing.T) {
	w := &world{places: map[string]string{"tcp 93.184.216.34:80": echo(t)}}
	g := routed(t, w)
	conn, err := g.dial(t.Context(), "93.184.216.34:80")
	require.NoError(t, err)
	sent := make([]byte, 5<<20)
	_, _ = rand.Read(sent)
	go func() {
		_, err := conn.Write(sent)
		assert.NoError(t, err)
		assert.NoError(t, conn.CloseWrite())
	}()
	got, err := io.ReadAll(conn)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(sent, got), "%d bytes came back of %d", len(got), len(sent))
}

func TestARefusedConnectionIsRefusedInTheMachine(t *testing.T) {
	g := routed(t, &world{})
	_, err := g.dial(t.Context(), "93.184.216.34:81")
	require.ErrorContains(t, err, "connection was refused")
}

func TestNoMachineReachesTheHostByItsRouter(t *testing.T) {
	w := &world{}
	g := routed(t, w)
	addresses := []string{
		"127.0.0.1", "127.64.0.1", "0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.251", "255.255.255.255", "240.0.0.1",
		network.GatewayAddress.String(), "100.100.100.200",
	}
	own, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, a := range own {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil {
			addresses = append(addresses, n.IP.String())
		}
	}
	for _, a := range addresses {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err := g.dial(ctx, a+":80")
		cancel()
		require.Error(t, err, a)
		if !strings.HasPrefix(a, "2") { // the machine's own stack knows that nobody connects to many
			_, _ = g.dialUDP(t, a+":80").Write([]byte("x"))
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	assert.Empty(t, w.dialed)
}

func answerUDP(t *testing.T, answer func(string) string) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	go func() {
		p := make([]byte, 64<<10)
		for {
			n, from, err := conn.ReadFrom(p)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo([]byte(answer(string(p[:n]))), from)
		}
	}()
	return conn.LocalAddr().String()
}

func TestAMachineWithFullAccessReachesTheWorldByUDP(t *testing.T) {
	w := &world{places: map[string]string{"udp 93.184.216.34:123": answerUDP(t, strings.ToUpper)}}
	conn := routed(t, w).dialUDP(t, "93.184.216.34:123")
	for _, text := range []string{"one", "two", strings.Repeat("three", 5000)} {
		_, err := conn.Write([]byte(text))
		require.NoError(t, err)
		p := make([]byte, 64<<10)
		n, err := conn.Read(p)
		require.NoError(t, err)
		assert.Equal(t, strings.ToUpper(text), string(p[:n]))
	}
}

func TestTheGatewayAsksTheHostsResolvers(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { silent.Close() })
	dead, alive := silent.LocalAddr().String(), answerUDP(t, func(q string) string { return "answer to " + q })
	w := &world{places: map[string]string{"udp dead:53": dead, "udp 127.0.0.53:53": alive, "tcp 127.0.0.53:53": echo(t)}}
	g := routed(t, w, "gone:53", "dead:53", "127.0.0.53:53")

	conn := g.dialUDP(t, network.GatewayAddress.String()+":53")
	_, err = conn.Write([]byte("query"))
	require.NoError(t, err)
	p := make([]byte, 100)
	n, err := conn.Read(p)
	require.NoError(t, err)
	assert.Equal(t, "answer to query", string(p[:n]))

	over, err := g.dial(t.Context(), network.GatewayAddress.String()+":53")
	require.NoError(t, err)
	_, err = over.Write([]byte("long query"))
	require.NoError(t, err)
	require.NoError(t, over.CloseWrite())
	text, err := io.ReadAll(over)
	require.NoError(t, err)
	assert.Equal(t, "long query", string(text))
}

// Nothing of a machine is left once its router has ended, whatever it does.
func TestARouterEndsWithAllItsFlows(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("busy", func(t *testing.T) {
		blocked := make(chan struct{})
		w := &world{places: map[string]string{"tcp 93.184.216.34:80": echo(t), "udp 93.184.216.34:123": answerUDP(t, strings.ToUpper)}}
		g := newGuest(t)
		var once sync.Once
		cancel := serve(t, &network.Router{Log: slog.New(slog.DiscardHandler), Resolvers: func() []string { return nil }, Dial: func(ctx context.Context, kind, address string) (net.Conn, error) {
			if strings.HasSuffix(address, ":81") {
				once.Do(func() { close(blocked) })
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return w.dial(ctx, kind, address)
		}}, g)
		for range 20 {
			_, err := g.dial(t.Context(), "93.184.216.34:80")
			require.NoError(t, err)
			_, err = g.dialUDP(t, "93.184.216.34:123").Write([]byte("x"))
			require.NoError(t, err)
		}
		go func() { _, _ = g.dial(t.Context(), "93.184.216.34:81") }()
		<-blocked
		cancel()
	})
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("goroutines are left:\n%s", stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func TestAMachinesFlowsAreBounded(t *testing.T) {
	var mu sync.Mutex
	open, most := 0, 0
	release := make(chan struct{})
	g := newGuest(t)
	serve(t, &network.Router{Log: slog.New(slog.DiscardHandler), Resolvers: func() []string { return nil }, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		mu.Lock()
		open++
		most = max(most, open)
		mu.Unlock()
		select {
		case <-ctx.Done():
		case <-release:
		}
		mu.Lock()
		open--
		mu.Unlock()
		return nil, errors.New("refused")
	}}, g)
	for i := range 2000 {
		to := full(fmt.Sprintf("93.184.%d.%d:1000", i/200, 1+i%200))
		conn, err := gonet.DialUDP(g.stack, nil, &to, ipv4.ProtocolNumber)
		require.NoError(t, err)
		_, err = conn.Write([]byte("x"))
		require.NoError(t, err)
		defer conn.Close()
	}
	require.Eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return most >= 512 }, 10*time.Second, time.Millisecond)
	close(release)
	require.Eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return open == 0 }, 10*time.Second, time.Millisecond)
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, 512, most)
}

// noise is a link that gives a machine's packets as the test has made them.
type noise struct {
	packets [][]byte
	written chan []byte
	closed  chan struct{}
	once    sync.Once
}

func (n *noise) ReadPacket(p []byte) (int, error) {
	if len(n.packets) == 0 {
		<-n.closed
		return 0, io.EOF
	}
	packet := n.packets[0]
	n.packets = n.packets[1:]
	return copy(p, packet), nil
}

func (n *noise) WritePacket(p []byte) error {
	n.written <- bytes.Clone(p)
	return nil
}

func (n *noise) Close() error { n.once.Do(func() { close(n.closed) }); return nil }

func TestARouterAnswersNoNoise(t *testing.T) {
	ping := []byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 0, 2, 8, 8, 8, 8, 8, 0, 0xf7, 0xff, 0, 0, 0, 0}
	header.IPv4(ping).SetChecksum(^header.IPv4(ping).CalculateChecksum())
	n := &noise{written: make(chan []byte, 100), closed: make(chan struct{}), packets: [][]byte{{}, {0x45}, make([]byte, 20), bytes.Repeat([]byte{0x45}, 60), append([]byte{0x60}, make([]byte, 60)...), ping}}
	for i := range 2000 {
		p := make([]byte, 20+i%100)
		_, _ = rand.Read(p)
		p[0], p[2], p[3], p[9] = 0x45, 0, byte(len(p)), []byte{6, 17}[i%2]
		n.packets = append(n.packets, p)
	}
	w := &world{}
	// A last packet shows that all before it have been looked at.
	query := []byte{0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 0, 2, 93, 184, 216, 34, 0, 9, 0, 9, 0, 9, 0, 0, 'x'}
	header.IPv4(query).SetChecksum(^header.IPv4(query).CalculateChecksum())
	n.packets = append(n.packets, query)
	serve(t, &network.Router{Dial: w.dial, Resolvers: func() []string { return nil }, Log: slog.New(slog.DiscardHandler)}, n)
	require.Eventually(t, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.dialed) > 0 }, 10*time.Second, time.Millisecond)
	assert.Equal(t, []string{"udp 93.184.216.34:9"}, w.dialed)
	assert.Empty(t, n.written)
}

package node_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/gatehouse-dev/gatehouse/testenv/network"
	"github.com/gatehouse-dev/gatehouse/testenv/node"
)

// greeter is a service that says hello.
func greeter(name string) network.Service {
	return network.Service{
		Name: name, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "hello from %s", name) }),
		Env: func(address string) map[string]string { return map[string]string{name: "http://" + address} },
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Get(url)
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return string(body)
}

func TestServicesAppearAtTheMachinesLoopbackUntilItIsClosed(t *testing.T) {
	for name, serve := range map[string]func(net.Conn, *ssh.ServerConfig){"the agent": nil, "another server": sshd{forward: true}.serve} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			c.sshd = serve
			n := launch(t, c.provider(t))
			closed := false
			one := greeter("ONE")
			one.Close = func() { closed = true }
			env, err := n.Connect(t.Context(), network.Access{Services: []network.Service{one, greeter("TWO")}, Env: map[string]string{"THREE": "3"}})
			require.NoError(t, err)
			assert.Equal(t, "3", env["THREE"])
			for range 3 {
				assert.Equal(t, "hello from ONE", get(t, env["ONE"]))
				assert.Equal(t, "hello from TWO", get(t, env["TWO"]))
			}
			require.NoError(t, n.Close(t.Context()))
			assert.True(t, closed)
			_, err = net.Dial("tcp", strings.TrimPrefix(env["ONE"], "http://"))
			require.Error(t, err)
		})
	}
}

func TestAProxyInTheMachineCarriesTunnels(t *testing.T) {
	c := newCloud(t)
	c.sshd = sshd{forward: true}.serve
	n := launch(t, c.provider(t))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	server := &http.Server{Handler: greeter("far").Handler}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	offers, err := network.New(network.Config{Proxies: map[string]network.Proxy{"p": {Hosts: []string{l.Addr().String()}}}})
	require.NoError(t, err)
	access, err := offers.Access([]string{"p"})
	require.NoError(t, err)
	env, err := n.Connect(t.Context(), access)
	require.NoError(t, err)
	for _, how := range []string{"--proxytunnel", "--no-proxytunnel"} {
		out, err := exec.Command("curl", "-sS", how, "--noproxy", "", "--proxy", env["http_proxy"], "http://"+l.Addr().String()).CombinedOutput()
		require.NoError(t, err, string(out))
		assert.Equal(t, "hello from far", string(out))
	}
}

func TestAMachineThatForwardsNothingIsToldFromOneThatIsLost(t *testing.T) {
	c := newCloud(t)
	c.sshd = sshd{}.serve
	n := launch(t, c.provider(t))
	_, err := n.Connect(t.Context(), network.Access{Services: []network.Service{greeter("A")}})
	require.ErrorIs(t, err, node.ErrRefused)
	_, err = n.Connect(t.Context(), network.Access{Router: network.NewRouter(slog.New(slog.DiscardHandler))})
	require.ErrorIs(t, err, node.ErrRefused)
}

func TestAMachineWithoutWhatATunnelNeedsSaysSo(t *testing.T) {
	c := newCloud(t)
	c.sshd = sshd{exec: func(_ string, ch ssh.Channel) uint32 {
		_, _ = io.WriteString(ch, "the image has no program ip")
		return 1
	}}.serve
	n := launch(t, c.provider(t))
	_, err := n.Connect(t.Context(), network.Access{Router: network.NewRouter(slog.New(slog.DiscardHandler))})
	require.ErrorIs(t, err, node.ErrRefused)
	require.ErrorContains(t, err, "the image has no program ip")
}

// A tunnel is OpenSSH's: an address family before each packet.
func TestFullAccessIsATunnelAsOpenSSHMakesIt(t *testing.T) {
	c := newCloud(t)
	var mu sync.Mutex
	var commands []string
	packets := make(chan []byte, 10)
	c.sshd = sshd{
		exec: func(command string, _ ssh.Channel) uint32 {
			mu.Lock()
			defer mu.Unlock()
			commands = append(commands, command)
			return 0
		},
		open: func(offered ssh.NewChannel) {
			assert.Equal(t, "tun@openssh.com", offered.ChannelType())
			assert.Equal(t, []byte{0, 0, 0, 1, 0, 0, 0, 0}, offered.ExtraData())
			channel, requests, err := offered.Accept()
			assert.NoError(t, err)
			go ssh.DiscardRequests(requests)
			// What the router has to leave alone, and a UDP packet in two messages.
			_, _ = channel.Write(append([]byte{0, 0, 0, 24}, make6(t)...))
			query := makeQuery([]byte("who is it?"))
			_, _ = channel.Write(append([]byte{0, 0, 0, 2}, query[:15]...))
			_, _ = channel.Write(query[15:])
			for {
				head := make([]byte, 8)
				if _, err := io.ReadFull(channel, head); err != nil {
					close(packets)
					return
				}
				packet := make([]byte, binary.BigEndian.Uint16(head[6:]))
				copy(packet, head[4:])
				_, _ = io.ReadFull(channel, packet[4:])
				packets <- append(head[:4:4], packet...)
			}
		},
	}.serve
	n := launch(t, c.provider(t))
	resolver, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { resolver.Close() })
	go func() {
		p := make([]byte, 100)
		n, from, _ := resolver.ReadFrom(p)
		_, _ = resolver.WriteTo([]byte(strings.ToUpper(string(p[:n]))), from)
	}()
	r := network.NewRouter(slog.New(slog.DiscardHandler))
	r.Resolvers = func() []string { return []string{resolver.LocalAddr().String()} }
	env, err := n.Connect(t.Context(), network.Access{Router: r})
	require.NoError(t, err)
	assert.Empty(t, env)
	packet := <-packets
	assert.Equal(t, []byte{0, 0, 0, 2, 0x45}, packet[:5])
	assert.Equal(t, "WHO IS IT?", string(packet[4+28:]))
	require.NoError(t, n.Close(t.Context()))
	_, open := <-packets
	assert.False(t, open)
	require.Len(t, commands, 2)
	assert.Contains(t, commands[0], "tuntap add dev tun0")
	assert.Contains(t, commands[1], "ip route replace default via 192.0.0.1 dev tun0")
}

// make6 is an IPv6 packet without content.
func make6(t *testing.T) []byte {
	t.Helper()
	p := make([]byte, 48)
	p[0], p[5], p[6] = 0x60, 8, 59
	return p
}

// makeQuery is a datagram from the machine to the gateway's port 53.
func makeQuery(payload []byte) []byte {
	p := make([]byte, 28, 28+len(payload))
	p[0], p[8], p[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(p[2:], uint16(28+len(payload)))
	from, to := network.GuestAddress.As4(), network.GatewayAddress.As4()
	copy(p[12:], from[:])
	copy(p[16:], to[:])
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	binary.BigEndian.PutUint16(p[10:], ^uint16(sum+sum>>16))
	binary.BigEndian.PutUint16(p[20:], 4000)
	binary.BigEndian.PutUint16(p[22:], 53)
	binary.BigEndian.PutUint16(p[24:], uint16(8+len(payload))) // without a checksum, as UDP allows
	return append(p, payload...)
}

func TestAnEndedContextEndsAConnect(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.sshd = func(conn net.Conn, config *ssh.ServerConfig) {
		_, _, _, err := ssh.NewServerConn(conn, config) // and never answers
		assert.NoError(t, err)
		_, _ = io.Copy(io.Discard, conn)
	}
	n := launch(t, c.provider(t))
	why := errors.New("no longer wanted")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, why)
	defer cancel()
	_, err := n.Connect(ctx, network.Access{Services: []network.Service{greeter("A")}})
	require.ErrorIs(t, err, why)
}

// A machine may be closed while it opens connections, at any moment of each.
func TestClosingAConnectedMachineLeavesNothingBehind(t *testing.T) {
	c := newCloud(t)
	c.sshd = sshd{forward: true}.serve
	p := c.provider(t)
	for range 20 {
		n := launch(t, p)
		env, err := n.Connect(t.Context(), network.Access{Services: []network.Service{greeter("A")}})
		require.NoError(t, err)
		var clients sync.WaitGroup
		for range 5 {
			clients.Go(func() {
				for {
					conn, err := net.Dial("tcp", strings.TrimPrefix(env["A"], "http://"))
					if err != nil {
						return
					}
					_, _ = io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
					_, _ = conn.Read(make([]byte, 1))
					conn.Close()
				}
			})
		}
		get(t, env["A"])
		require.NoError(t, n.Close(t.Context()))
		clients.Wait()
	}
}

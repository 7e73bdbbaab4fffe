package agent_test

import (
	"bufio"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
)

// echo serves one connection after the other: it reads all, then answers with
// the same in upper case.
func echo(t *testing.T, l net.Listener) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			said, _ := io.ReadAll(conn)
			_, _ = io.WriteString(conn, strings.ToUpper(string(said)))
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
}

// ask says something, half-closes and returns the answer.
func ask(t *testing.T, conn net.Conn, what string) string {
	t.Helper()
	defer conn.Close()
	_, err := io.WriteString(conn, what)
	assert.NoError(t, err)
	assert.NoError(t, conn.(interface{ CloseWrite() error }).CloseWrite())
	answer, err := io.ReadAll(conn)
	assert.NoError(t, err)
	return string(answer)
}

func dialed(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	return conn
}

func TestAClientServesPortsOfTheMachine(t *testing.T) {
	client := newGuest(t).client(t)
	for _, address := range []string{"127.0.0.1:0", "localhost:0", "127.1.2.3:0", "[::1]:0"} {
		l, err := client.Listen("tcp", address)
		require.NoError(t, err, address)
		echo(t, l)
		_, port, err := net.SplitHostPort(l.Addr().String())
		require.NoError(t, err)
		host, _, _ := net.SplitHostPort(address)
		for range 3 {
			assert.Equal(t, "HELLO", ask(t, dialed(t, net.JoinHostPort(host, port)), "hello"), address)
		}
	}
}

func TestMuchIsCarriedBothWaysAtOnce(t *testing.T) {
	client := newGuest(t).client(t)
	l, err := client.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	echo(t, l)
	much := strings.Repeat("0123456789abcdef", 1<<19) // more than window and buffers hold
	answers := make(chan string)
	for range 4 {
		conn := dialed(t, l.Addr().String())
		go func() { answers <- ask(t, conn, much) }()
	}
	for range 4 {
		assert.Len(t, <-answers, len(much))
	}
}

func TestAPortIsClosedWhenItsClientSaysSoOrLeaves(t *testing.T) {
	g := newGuest(t)
	for name, end := range map[string]func(*ssh.Client, net.Listener){
		"cancelled": func(_ *ssh.Client, l net.Listener) { l.Close() },
		"left":      func(c *ssh.Client, _ net.Listener) { c.Close() },
	} {
		client := g.client(t)
		l, err := client.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		conn := dialed(t, l.Addr().String())
		carried, err := l.Accept()
		require.NoError(t, err)
		end(client, l)
		require.Eventually(t, func() bool {
			c, err := net.Dial("tcp", l.Addr().String())
			if err == nil {
				c.Close()
			}
			return err != nil
		}, 10*time.Second, time.Millisecond, name)
		if name == "cancelled" { // what was carried goes on
			_, err = io.WriteString(carried, "still here\n")
			require.NoError(t, err)
			line, err := bufio.NewReader(conn).ReadString('\n')
			require.NoError(t, err)
			assert.Equal(t, "still here\n", line)
		} else {
			_, err = conn.Read(make([]byte, 1))
			require.Error(t, err)
		}
		conn.Close()
	}
}

func TestOnlyPortsOfTheLoopbackInterfaceAreServed(t *testing.T) {
	client := newGuest(t).client(t)
	for _, address := range []string{"0.0.0.0:0", "[::]:0", "10.0.2.15:0", "*:0", "example.org:80"} {
		_, err := client.Listen("tcp", address)
		require.ErrorContains(t, err, "denied", address)
	}
	for _, f := range []any{
		struct {
			Address string
			Port    uint32
		}{"127.0.0.1", 65536},
		struct{ Port uint32 }{1},
	} {
		granted, _, err := client.SendRequest("tcpip-forward", true, ssh.Marshal(f))
		require.NoError(t, err)
		assert.False(t, granted)
	}
	granted, _, err := client.SendRequest("cancel-tcpip-forward", true, ssh.Marshal(struct {
		Address string
		Port    uint32
	}{"127.0.0.1", 1234}))
	require.NoError(t, err)
	assert.False(t, granted)
}

func TestPortsAreBounded(t *testing.T) {
	client := newGuest(t).client(t)
	for range 64 {
		_, err := client.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
	}
	l, err := client.Listen("tcp", "127.0.0.1:0")
	require.ErrorContains(t, err, "denied", l)
}

func TestCarriedConnectionsAreBounded(t *testing.T) {
	client := newGuest(t).client(t)
	stuck, err := net.Listen("tcp", "127.0.0.1:0") // it accepts nobody, the kernel does
	require.NoError(t, err)
	defer stuck.Close()
	for range 256 {
		_, err := client.Dial("tcp", stuck.Addr().String())
		require.NoError(t, err)
	}
	_, err = client.Dial("tcp", stuck.Addr().String())
	require.ErrorContains(t, err, "more than 256")
}

func TestAClientConnectsToWhatTheMachineReaches(t *testing.T) {
	client := newGuest(t).client(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	echo(t, l)
	conn, err := client.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	assert.Equal(t, "HELLO", ask(t, conn, "hello"))
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed.Close()
	_, err = client.Dial("tcp", closed.Addr().String())
	require.ErrorContains(t, err, "refused")
	_, _, err = client.OpenChannel("direct-tcpip", []byte("short"))
	require.Error(t, err)
}

func TestTunnelsOfOtherKindsAreRefused(t *testing.T) {
	client := newGuest(t).client(t)
	for why, payload := range map[string][]byte{
		"only layer 3": ssh.Marshal(struct{ Mode, Unit uint32 }{2, 0}),
		"message":      ssh.Marshal(struct{ Mode uint32 }{1}),
	} {
		_, _, err := client.OpenChannel("tun@openssh.com", payload)
		require.Error(t, err, why)
	}
}

// openSSH runs the real client, in the background, until the test ends.
func (g guest) openSSH(t *testing.T, args ...string) {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	private, err := ssh.MarshalPrivateKey(g.private, "")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(private), 0o600))
	host, port, err := net.SplitHostPort(g.address)
	require.NoError(t, err)
	args = append([]string{"-N", "-F", "none", "-i", key, "-p", port, "-l", "gate", "-o", "ExitOnForwardFailure=yes",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"}, append(args, host)...)
	cmd := exec.Command("ssh", args...)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// await dials a port that a process is about to listen on.
func await(t *testing.T, address string) net.Conn {
	t.Helper()
	var conn net.Conn
	require.Eventually(t, func() bool {
		var err error
		conn, err = net.Dial("tcp", address)
		return err == nil
	}, 10*time.Second, 5*time.Millisecond)
	return conn
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func TestOpenSSHForwardsBothWays(t *testing.T) {
	g := newGuest(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	echo(t, l)
	local, remote := freePort(t), freePort(t)
	_, remotePort, _ := net.SplitHostPort(remote)
	g.openSSH(t, "-L", fmt.Sprintf("%s:%s", local, l.Addr()), "-R", fmt.Sprintf("%s:%s", remotePort, l.Addr()))
	assert.Equal(t, "LOCAL", ask(t, await(t, local), "local"))
	assert.Equal(t, "REMOTE", ask(t, await(t, remote), "remote"))
}

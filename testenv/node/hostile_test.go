package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
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

// flood writes without end, until its reader is gone.
func flood(w io.Writer) {
	for line := bytes.Repeat([]byte("spam\n"), 1000); ; {
		if _, err := w.Write(line); err != nil {
			return
		}
	}
}

func TestAMachineThatNeverGetsToItsKeyIsGivenUp(t *testing.T) {
	for name, sshd := range map[string]func(net.Conn, *ssh.ServerConfig){
		"endless greeting": func(conn net.Conn, _ *ssh.ServerConfig) { flood(conn) },
		"no end of a line": func(conn net.Conn, _ *ssh.ServerConfig) { _, _ = conn.Write(make([]byte, 1<<20)); discard(conn) },
		"version, then not": func(conn net.Conn, _ *ssh.ServerConfig) {
			_, _ = io.WriteString(conn, "SSH-2.0-evil\r\n")
			discard(conn)
		},
		"version and noise": func(conn net.Conn, _ *ssh.ServerConfig) { _, _ = io.WriteString(conn, "SSH-2.0-evil\r\n"); flood(conn) },
		"endless banners": func(conn net.Conn, config *ssh.ServerConfig) {
			evil := *config
			evil.BannerCallback = func(ssh.ConnMetadata) string { return strings.Repeat("read this! ", 10000) }
			evil.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
				return nil, &ssh.BannerError{Err: errors.New("again"), Message: strings.Repeat("and this! ", 10000)}
			}
			_, _, _, err := ssh.NewServerConn(conn, &evil)
			assert.Error(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			c.sshd = sshd
			_, err := c.provider(t, 300*time.Millisecond).Launch(t.Context(), node.Request{Build: "b1"})
			require.ErrorContains(t, err, "no answer over ssh within 300ms")
			assert.Zero(t, c.count())
		})
	}
}

func discard(r io.Reader) { _, _ = io.Copy(io.Discard, r) }

// A machine that answers nothing must not hold a step, a copy or a fetch any
// longer than the context that bounds it, nor Close.
func TestAMachineThatFallsSilentHoldsNothing(t *testing.T) {
	silent := func(conn net.Conn, config *ssh.ServerConfig) {
		_, channels, requests, err := ssh.NewServerConn(conn, config)
		assert.NoError(t, err)
		go ssh.DiscardRequests(requests) // keepalives are answered: it seems to live
		for range channels {
		}
	}
	for name, use := range map[string]func(context.Context, *node.Node) error{
		"step": func(ctx context.Context, n *node.Node) error {
			_, err := n.Run(ctx, node.Step{Script: "true"}, io.Discard)
			return err
		},
		"copy":  func(ctx context.Context, n *node.Node) error { return n.CopyTree(ctx, strings.NewReader("tar"), "/x") },
		"fetch": func(ctx context.Context, n *node.Node) error { return n.Fetch(ctx, "/x", io.Discard) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			c.sshd = silent
			n := launch(t, c.provider(t))
			over := errors.New("the timeout is over")
			ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, over)
			defer cancel()
			began := time.Now()
			require.ErrorIs(t, use(ctx, n), over)
			assert.Less(t, time.Since(began), 8*time.Second)
			require.NoError(t, n.Close(t.Context()))
		})
	}
}

func TestASessionThatIgnoresItsEndIsCutOff(t *testing.T) {
	c := newCloud(t)
	running := make(chan struct{})
	c.sshd = sshd{exec: func(_ string, ch ssh.Channel) uint32 {
		close(running)
		flood(ch)
		return 0
	}}.serve
	n := launch(t, c.provider(t))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-running; cancel() }()
	_, err := n.Run(ctx, node.Step{Script: "yes"}, io.Discard)
	require.ErrorIs(t, err, context.Canceled)
}

// full fails as a bounded artifact does.
type full struct{ left int }

var errFull = errors.New("it is too large")

func (f *full) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// An artifact may be /dev/zero, or a file that grows while it is read.
func TestAFileThatHasNoEndEndsWithItsWriter(t *testing.T) {
	c := newCloud(t)
	c.sshd = sshd{exec: func(_ string, ch ssh.Channel) uint32 { flood(ch); return 0 }}.serve
	n := launch(t, c.provider(t))
	require.ErrorIs(t, n.Fetch(t.Context(), "/dev/zero", &full{10 << 20}), errFull)
}

func TestOnlyFilesAreFetched(t *testing.T) {
	n := launch(t, newCloud(t).provider(t)) // with a real shell
	dir := t.TempDir()
	var out bytes.Buffer
	exit, err := n.Run(t.Context(), node.Step{Dir: dir, Script: `
		mkfifo pipe; ln -s pipe to-pipe; ln -s /dev/zero device; ln -s /dev/stdin input; ln -s loop loop; mkdir dir
		echo text >plain; ln -s plain link; echo dash >-n`}, &out)
	require.NoError(t, err)
	require.Zero(t, exit, out.String())
	for _, name := range []string{"pipe", "to-pipe", "device", "input", "loop", "dir", "missing"} {
		err := n.Fetch(t.Context(), dir+"/"+name, &full{0})
		require.Error(t, err, name)
		require.NotErrorIs(t, err, errFull, name)
	}
	for name, want := range map[string]string{"plain": "text\n", "link": "text\n", "-n": "dash\n"} {
		var got bytes.Buffer
		require.NoError(t, n.Fetch(t.Context(), dir+"/"+name, &got))
		assert.Equal(t, want, got.String())
	}
}

func TestWhatAMachineSaysAboutAFailedCopyIsBounded(t *testing.T) {
	c := newCloud(t)
	c.sshd = sshd{exec: func(_ string, ch ssh.Channel) uint32 {
		_, _ = io.WriteString(ch, strings.Repeat("disk full! ", 1<<20))
		return 2
	}}.serve
	err := launch(t, c.provider(t)).CopyTree(t.Context(), strings.NewReader(""), "/x")
	require.ErrorContains(t, err, "tar ended with status 2: disk full! ")
	assert.Less(t, len(err.Error()), 5000)
}

func TestMalformedEndsOfASessionLoseTheMachineOnly(t *testing.T) {
	for name, end := range map[string]func(ssh.Channel){
		"short status": func(ch ssh.Channel) { _, _ = ch.SendRequest("exit-status", false, []byte{1}) },
		"short signal": func(ch ssh.Channel) { _, _ = ch.SendRequest("exit-signal", false, []byte{0, 0, 0, 9, 'K'}) },
		"no status":    func(ssh.Channel) {},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			c.sshd = sshd{exec: func(_ string, ch ssh.Channel) uint32 { end(ch); ch.Close(); return 0 }}.serve
			_, err := launch(t, c.provider(t)).Run(t.Context(), node.Step{Script: "true"}, io.Discard)
			require.ErrorContains(t, err, "does not answer")
		})
	}
}

// Nothing behind the gate is opened for a machine, whatever it asks for.
func TestAMachineOpensNothingTowardsTheGate(t *testing.T) {
	c := newCloud(t)
	address := make(chan string, 1)
	results := make(chan error, 100)
	c.sshd = sshd{forward: true, started: func(client ssh.Conn) {
		defer close(results)
		try := func(kind string, payload any) {
			_, _, err := client.OpenChannel(kind, ssh.Marshal(payload))
			results <- err
		}
		forwarded := func(host string, port uint32) {
			try("forwarded-tcpip", struct {
				Host       string
				Port       uint32
				Origin     string
				OriginPort uint32
			}{host, port, "127.0.0.1", 1})
		}
		forwarded("127.0.0.1", 80) // before any port was asked for
		granted := <-address
		_, text, _ := net.SplitHostPort(granted)
		var port uint32
		_, _ = fmt.Sscan(text, &port)
		forwarded("127.0.0.1", port+1)
		forwarded("localhost", port)
		forwarded("10.0.2.2", port)
		try("forwarded-tcpip", struct{ Junk string }{"x"})
		for _, kind := range []string{"session", "direct-tcpip", "x11", "auth-agent@openssh.com", "tun@openssh.com", "forwarded-streamlocal@openssh.com", strings.Repeat("long", 5000)} {
			try(kind, struct {
				Host string
				Port uint32
			}{"127.0.0.1", 22})
		}
		for range 1000 { // answered, each with a no
			if ok, _, err := client.SendRequest("tcpip-forward", true, nil); ok || err != nil {
				results <- nil
			}
		}
	}}.serve
	n := launch(t, c.provider(t))
	env, err := n.Connect(t.Context(), network.Access{Services: []network.Service{greeter("A")}})
	require.NoError(t, err)
	address <- strings.TrimPrefix(env["A"], "http://")
	count := 0
	for err := range results {
		var refused *ssh.OpenChannelError
		require.ErrorAs(t, err, &refused)
		count++
	}
	assert.Equal(t, 12, count)
	assert.Equal(t, "hello from A", get(t, env["A"]), "the machine is still served")
}

// A machine that opens connections and never lets go of them gets no more
// than a number of them.
func TestAMachinesConnectionsAreBounded(t *testing.T) {
	c := newCloud(t)
	granted := make(chan uint32, 1)
	var mu sync.Mutex
	var opened []ssh.Channel
	refused := make(chan error, 1)
	c.sshd = func(conn net.Conn, config *ssh.ServerConfig) {
		client, channels, requests, err := ssh.NewServerConn(conn, config)
		assert.NoError(t, err)
		go func() {
			for offered := range channels {
				_ = offered.Reject(ssh.Prohibited, "")
			}
		}()
		go func() {
			for r := range requests {
				_ = r.Reply(true, ssh.Marshal(struct{ Port uint32 }{4711}))
			}
		}()
		port := <-granted
		for {
			channel, requests, err := openForwarded(client, "127.0.0.1", port)
			if err != nil {
				refused <- err
				break
			}
			go ssh.DiscardRequests(requests)
			mu.Lock()
			opened = append(opened, channel)
			mu.Unlock()
		}
		_ = client.Wait()
	}
	n := launch(t, c.provider(t))
	env, err := n.Connect(t.Context(), network.Access{Services: []network.Service{greeter("A")}})
	require.NoError(t, err)
	require.Equal(t, "http://127.0.0.1:4711", env["A"])
	granted <- 4711
	var why *ssh.OpenChannelError
	require.ErrorAs(t, <-refused, &why)
	assert.Equal(t, ssh.ResourceShortage, why.Reason)
	mu.Lock()
	assert.Len(t, opened, 256)
	mu.Unlock()
	require.NoError(t, n.Close(t.Context()))
}

// What is no packet costs a machine its way out, and nothing else.
func TestATunnelThatCarriesNoPacketsEnds(t *testing.T) {
	for name, junk := range map[string][]byte{
		"another family":   {0, 0, 0, 7, 0x45, 0, 0, 20, 0, 0, 0, 0},
		"another version":  {0, 0, 0, 2, 0x65, 0, 0, 20, 0, 0, 0, 0},
		"a packet of none": {0, 0, 0, 2, 0x45, 0, 0, 0, 0, 0, 0, 0},
		"a short packet":   {0, 0, 0, 2, 0x45, 0, 0, 19, 0, 0, 0, 0},
		"a packet too big": {0, 0, 0, 24, 0x60, 0, 0, 0, 0xff, 0xff, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			ended := make(chan struct{})
			c.sshd = sshd{open: func(offered ssh.NewChannel) {
				channel, requests, err := offered.Accept()
				assert.NoError(t, err)
				go ssh.DiscardRequests(requests)
				_, _ = channel.Write(junk)
				discard(channel)
				close(ended)
			}}.serve
			n := launch(t, c.provider(t))
			_, err := n.Connect(t.Context(), network.Access{Router: network.NewRouter(slog.New(slog.DiscardHandler))})
			require.NoError(t, err)
			<-ended
			exit, err := n.Run(t.Context(), node.Step{Script: "true"}, io.Discard)
			require.NoError(t, err)
			assert.Zero(t, exit)
			require.NoError(t, n.Close(t.Context()))
		})
	}
}

// What one machine has on its console says nothing of another.
func TestAForgedHostKeyOnTheConsoleHelpsNoOther(t *testing.T) {
	c := newCloud(t)
	c.console = "-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 AAAA nonsense\n-----END SSH HOST KEY KEYS-----\n"
	_, err := c.provider(t).Launch(t.Context(), node.Request{Build: "b1"})
	require.ErrorContains(t, err, "host key")
	// Only the first key block counts, which is printed before any job runs.
	c.console = ""
	n := launch(t, c.provider(t))
	c.console = "-----BEGIN SSH HOST KEY KEYS-----\nforged later\n-----END SSH HOST KEY KEYS-----\n"
	exit, err := n.Run(t.Context(), node.Step{Script: "true"}, io.Discard)
	require.NoError(t, err)
	assert.Zero(t, exit)
}

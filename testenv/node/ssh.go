package node

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"golang.org/x/crypto/ssh"
)

const (
	greetingTimeout  = time.Second      // from a connection to the first byte of an ssh server
	handshakeTimeout = 30 * time.Second // slow guests are slow at cryptography too

	keepAlive = 15 * time.Second // between two questions whether the node lives
	giveUp    = 2 * time.Minute  // without an answer, the node is taken for dead
)

func newKey() (ssh.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return ssh.NewSignerFromKey(private)
}

// connect tries a server's address until it answers over ssh.
func (n *Node) connect(ctx context.Context, s *session, server *servers.Server) error {
	c := n.provider.config
	host, err := address(server)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.LaunchTimeout, fmt.Errorf("no answer over ssh within %s", c.LaunchTimeout))
	defer cancel()
	for attempt := 0; ; attempt++ {
		n.address = net.JoinHostPort(host, strconv.Itoa(c.Ports[attempt%len(c.Ports)]))
		var err error
		if n.client, err = n.dial(ctx, s); err == nil {
			return nil
		}
		if errors.Is(err, errWrongHostKey) {
			return err
		}
		if attempt%len(c.Ports) < len(c.Ports)-1 {
			continue
		}
		if gone := s.failed(ctx, n.server); gone != nil {
			return gone
		}
		if cause := wait(ctx, 50*time.Millisecond); cause != nil {
			return fmt.Errorf("ssh to %s: %w (last: %w)", n.address, cause, err)
		}
	}
}

// failed reports why a server is no longer active, or nil if it is.
func (s *session) failed(ctx context.Context, id string) error {
	server, err := servers.Get(ctx, s.compute, id).Extract()
	if err != nil || server.Status == "ACTIVE" {
		return nil //nolint:nilerr // whether the cloud answers is not what is asked here
	}
	return fmt.Errorf("server %s became %s before it answered: %s", id, server.Status, server.Fault.Message)
}

// dial makes one try. It is impatient until the server speaks, as a port may
// be forwarded long before the guest listens.
func (n *Node) dial(ctx context.Context, s *session) (*ssh.Client, error) {
	dialer := net.Dialer{Timeout: greetingTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", n.address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	reader := bufio.NewReader(conn)
	err = conn.SetReadDeadline(time.Now().Add(greetingTimeout))
	if err == nil {
		_, err = reader.Peek(1)
	}
	if err == nil {
		err = conn.SetDeadline(time.Now().Add(handshakeTimeout))
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	var hostKey ssh.PublicKey
	clientConn, channels, requests, err := ssh.NewClientConn(&greeted{conn, reader}, n.address, &ssh.ClientConfig{
		User: n.provider.config.User,
		Auth: []ssh.AuthMethod{ssh.PublicKeys(n.provider.key)},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			hostKey = key
			return s.verifyHostKey(ctx, n.server, key)
		},
	})
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("ssh handshake (host key %T): %w", hostKey, err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		clientConn.Close()
		return nil, err
	}
	return ssh.NewClient(clientConn, channels, requests), nil
}

// greeted is a connection of which some bytes have been read ahead.
type greeted struct {
	net.Conn
	ahead *bufio.Reader
}

func (g *greeted) Read(p []byte) (int, error) { return g.ahead.Read(p) }

var errWrongHostKey = errors.New("the host key is not the one on the server's console")

// verifyHostKey compares a host key with those that the server printed on its
// console, between the lines that cloud-init and our agent write. A server
// whose console holds none is believed: it was made a moment ago for us.
func (s *session) verifyHostKey(ctx context.Context, id string, key ssh.PublicKey) error {
	console, err := servers.ShowConsoleOutput(ctx, s.compute, id, servers.ShowConsoleOutputOpts{}).Extract()
	if err != nil {
		return nil //nolint:nilerr // a cloud without consoles has nothing to compare with
	}
	_, keys, found := strings.Cut(console, "-----BEGIN SSH HOST KEY KEYS-----")
	keys, _, complete := strings.Cut(keys, "-----END SSH HOST KEY KEYS-----")
	if !found || !complete {
		return nil
	}
	for rest := []byte(keys); ; {
		printed, _, _, more, err := ssh.ParseAuthorizedKey(rest)
		if err != nil {
			return errWrongHostKey
		}
		if bytes.Equal(printed.Marshal(), key.Marshal()) {
			return nil
		}
		rest = more
	}
}

// address picks where a server is reached: its floating address if it has
// one, else its first.
func address(server *servers.Server) (string, error) {
	var fixed string
	for _, network := range server.Addresses {
		list, _ := network.([]any)
		for _, entry := range list {
			a, _ := entry.(map[string]any)
			addr, _ := a["addr"].(string)
			if addr != "" && a["OS-EXT-IPS:type"] == "floating" {
				return addr, nil
			}
			if fixed == "" {
				fixed = addr
			}
		}
	}
	if fixed == "" {
		return "", fmt.Errorf("server %s has no address", server.ID)
	}
	return fixed, nil
}

// watch closes the connection when the node no longer answers, so that
// whatever waits for it fails.
func (n *Node) watch(ctx context.Context) {
	ctx, n.stopWatching = context.WithCancel(context.WithoutCancel(ctx))
	n.watched = make(chan struct{})
	go func() {
		defer close(n.watched)
		for wait(ctx, keepAlive) == nil {
			silence := time.AfterFunc(giveUp, func() { n.client.Close() })
			_, _, err := n.client.SendRequest("keepalive@openssh.com", true, nil)
			silence.Stop()
			if err != nil {
				return
			}
		}
	}()
}

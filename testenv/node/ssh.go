package node

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"golang.org/x/crypto/ssh"
)

const (
	greetingTimeout  = time.Second      // from a connection to the first byte of an ssh server
	handshakeTimeout = 30 * time.Second // slow guests are slow at cryptography too
	lookAgain        = time.Second      // between two questions whether a server that does not answer is still active
)

// algorithms prefers what is cheap for an emulated processor. Nothing that
// passes here must stay secret for longer than the machine lives, so that a
// key exchange that withstands quantum computers would be wasted. Of the
// ciphers, the library's first is the cheapest there, too: AES-128-GCM.
var algorithms = ssh.Config{
	KeyExchanges: []string{
		ssh.KeyExchangeCurve25519, ssh.KeyExchangeMLKEM768X25519,
		ssh.KeyExchangeECDHP256, ssh.KeyExchangeECDHP384, ssh.KeyExchangeECDHP521, ssh.KeyExchangeDH14SHA256,
	},
}

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
	look := time.Now().Add(lookAgain)
	for pace, attempt := newPacer(), 0; ; attempt++ {
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
		if time.Now().After(look) {
			if gone := s.failed(ctx, n.server); gone != nil {
				return gone
			}
			look = time.Now().Add(lookAgain)
		}
		if cause := pace.pause(ctx); cause != nil {
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
	verify, done := s.hostKeyVerifier(ctx, n.server)
	defer done()
	clientConn, channels, requests, err := ssh.NewClientConn(&greeted{conn, reader}, n.address, &ssh.ClientConfig{
		Config: algorithms,
		User:   n.provider.config.User,
		Auth:   []ssh.AuthMethod{ssh.PublicKeys(n.provider.key)},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			return verify(key)
		},
	})
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("ssh handshake: %w", err)
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

package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// maxForwarded bounds the connections out of a machine that are open at a
// time. Each is a pair of sockets here.
const maxForwarded = 256

// forwards are ports of a machine whose connections come out here. x/crypto's
// Client.Listen does the same, but takes as many connections as the machine
// makes, remembers each until the machine lets go of it, and gives them no
// deadlines, without which net/http does not work.
type forwards struct {
	client   *ssh.Client
	channels <-chan ssh.NewChannel

	mu    sync.Mutex
	ports map[string]*port
	open  int
}

func newForwards(client *ssh.Client) (*forwards, error) {
	channels := client.HandleChannelOpen("forwarded-tcpip")
	if channels == nil {
		return nil, errors.New("the node is connected already")
	}
	return &forwards{client: client, channels: channels, ports: map[string]*port{}}, nil
}

// listen asks the machine for a free port of its loopback.
func (f *forwards) listen() (*port, error) {
	const host = "127.0.0.1"
	ok, answer, err := f.client.SendRequest("tcpip-forward", true, ssh.Marshal(struct {
		Address string
		Port    uint32
	}{host, 0}))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%w to forward ports", ErrRefused)
	}
	var given struct{ Port uint32 }
	if err := ssh.Unmarshal(answer, &given); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p := &port{
		address: net.JoinHostPort(host, strconv.FormatUint(uint64(given.Port), 10)),
		// Room for all that dispatch lets in: it never waits for a server.
		accepted: make(chan net.Conn, maxForwarded),
	}
	f.ports[p.address] = p
	return p, nil
}

// dispatch takes the connections that the machine forwards until the
// machine's connection ends, and carries them until ctx does. Those of no port that was asked for are refused,
// as are those beyond maxForwarded.
func (f *forwards) dispatch(ctx context.Context, tasks *sync.WaitGroup) {
	for offered := range f.channels {
		var from struct {
			Address       string
			Port          uint32
			OriginAddress string
			OriginPort    uint32
		}
		if err := ssh.Unmarshal(offered.ExtraData(), &from); err != nil {
			_ = offered.Reject(ssh.ConnectionFailed, "malformed") // if it fails, so does the loop
			continue
		}
		p, reason := f.admit(net.JoinHostPort(from.Address, strconv.FormatUint(uint64(from.Port), 10)))
		if p == nil {
			_ = offered.Reject(reason, "not now") // see above
			continue
		}
		tasks.Go(func() {
			defer f.leave()
			_ = carry(ctx, offered, p) // the machine sees its connection break
		})
	}
}

// admit finds the port of a connection and counts it.
func (f *forwards) admit(address string) (*port, ssh.RejectionReason) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.ports[address]
	switch {
	case p == nil:
		return nil, ssh.Prohibited
	case f.open == maxForwarded:
		return nil, ssh.ResourceShortage
	default:
		f.open++
		return p, 0
	}
}

func (f *forwards) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open--
}

// carry joins a channel with a socket that the port's server gets the other
// end of. It returns once the machine has let go of the channel, or is gone,
// and ends the socket with ctx.
func carry(ctx context.Context, offered ssh.NewChannel, p *port) error {
	ours, theirs, err := socketPair()
	if err != nil {
		return errors.Join(err, offered.Reject(ssh.ResourceShortage, "no sockets"))
	}
	defer ours.Close()                                          //nolint:errcheck // what is lost now, nobody waits for
	defer context.AfterFunc(ctx, func() { _ = ours.Close() })() // see above
	channel, requests, err := offered.Accept()
	if err != nil {
		return errors.Join(err, theirs.Close())
	}
	p.deliver(theirs)
	released := make(chan struct{})
	go func() {
		defer close(released)
		ssh.DiscardRequests(requests) // until the machine closes the channel
	}()
	var ways sync.WaitGroup
	ways.Go(func() {
		_, _ = io.Copy(ours, channel) // an end of either side ends this way
		_ = ours.CloseWrite()
	})
	ways.Go(func() {
		_, _ = io.Copy(channel, ours)
		_ = channel.CloseWrite()
	})
	ways.Wait()
	_ = channel.Close()
	<-released
	return nil
}

// socketPair makes two sockets that are joined.
func socketPair() (a, b *net.UnixConn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	a, err = unixConn(fds[0])
	b, failed := unixConn(fds[1])
	if err = errors.Join(err, failed); err != nil {
		_, _ = a.Close(), b.Close() // one that was not made cannot be closed
		return nil, nil, err
	}
	return a, b, nil
}

// unixConn takes a descriptor over.
func unixConn(fd int) (*net.UnixConn, error) {
	file := os.NewFile(uintptr(fd), "forwarded")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	return conn.(*net.UnixConn), nil //nolint:forcetypeassert // it was made as one
}

// port is a net.Listener for a port of a machine.
type port struct {
	address  string
	accepted chan net.Conn

	mu     sync.Mutex
	closed bool
}

func (p *port) deliver(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.Close()
		return
	}
	p.accepted <- c
}

func (p *port) Accept() (net.Conn, error) {
	if c, open := <-p.accepted; open {
		return c, nil
	}
	return nil, net.ErrClosed
}

// Close closes what nobody has accepted, too.
func (p *port) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	close(p.accepted)
	for c := range p.accepted {
		c.Close()
	}
	return nil
}

func (p *port) Addr() net.Addr { return portAddress(p.address) }

type portAddress string

func (portAddress) Network() string  { return "tcp" }
func (a portAddress) String() string { return string(a) }

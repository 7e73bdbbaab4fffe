package agent

import (
	"context"
	"sync"

	"golang.org/x/crypto/ssh"
)

// Bounds of what one connection holds at a time. Sessions are bounded by the
// processes that the machine can have.
const (
	maxForwards = 64  // ports listened on
	maxCarried  = 256 // TCP connections, of either direction
	maxTunnels  = 4
)

// connection is that of a client who has logged in.
type connection struct {
	server  *Server
	client  ssh.Conn
	account Account

	ctx     context.Context //nolint:containedctx // the connection's life
	work    sync.WaitGroup
	carried slots
	tunnels slots

	mu       sync.Mutex
	forwards map[forward]context.CancelFunc
}

func newConnection(s *Server, client ssh.Conn, a Account) *connection {
	return &connection{
		server: s, client: client, account: a,
		carried: make(slots, maxCarried), tunnels: make(slots, maxTunnels),
		forwards: make(map[forward]context.CancelFunc),
	}
}

// serve answers what the client asks for until it is gone, and returns once
// all is over that was done for it.
func (c *connection) serve(ctx context.Context, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	var cancel context.CancelFunc
	c.ctx, cancel = context.WithCancel(ctx)
	defer c.work.Wait()
	defer cancel()
	c.work.Go(func() { c.answer(requests) })
	for offered := range channels {
		open := c.opener(offered.ChannelType())
		if open == nil {
			_ = offered.Reject(ssh.UnknownChannelType, "there are no such channels here") // the loop sees a connection that is broken
			continue
		}
		c.work.Go(func() { open(offered) })
	}
}

// opener returns what opens and serves channels of a type.
func (c *connection) opener(kind string) func(ssh.NewChannel) {
	switch kind {
	case "session":
		return c.openSession
	case "direct-tcpip":
		return c.openDirect
	case "tun@openssh.com":
		return c.openTunnel
	default:
		return nil
	}
}

func (c *connection) openSession(offered ssh.NewChannel) {
	channel, requests, err := offered.Accept()
	if err == nil { // else it is broken
		newSession(c.server, c.account, channel).serve(requests)
	}
}

// answer answers the requests that belong to no channel.
func (c *connection) answer(requests <-chan *ssh.Request) {
	for r := range requests {
		var (
			payload []byte
			err     = errUnknownRequest
		)
		switch r.Type {
		case "tcpip-forward":
			payload, err = c.listen(r.Payload)
		case "cancel-tcpip-forward":
			err = c.stopListening(r.Payload)
		}
		if err != nil {
			c.server.Log.Debug("ssh connection", "request", r.Type, "err", err)
		}
		if r.WantReply {
			_ = r.Reply(err == nil, payload) // the loop sees a connection that is broken
		}
	}
}

// slots bound how much of something there is at a time.
type slots chan struct{}

// take waits for a free one until ctx ends.
func (s slots) take(ctx context.Context) bool {
	select {
	case s <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// try takes one if it is free.
func (s slots) try() bool {
	select {
	case s <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s slots) free() { <-s }

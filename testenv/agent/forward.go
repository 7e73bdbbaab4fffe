package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"
)

// dialTime bounds how long a connection that a client asks for is tried.
const dialTime = 10 * time.Second

var errUnknownRequest = errors.New("there is no such request here")

// forward is a port that a client has the machine listen on for it, as the
// client names it (RFC 4254, section 7.1).
type forward struct {
	Address string
	Port    uint32
}

// listen has what connects to a port of the machine's loopback interface
// forwarded to the client. It returns the port if the client left that open.
func (c *connection) listen(payload []byte) ([]byte, error) {
	var f forward
	if err := ssh.Unmarshal(payload, &f); err != nil {
		return nil, err
	}
	address, err := c.mayListen(f)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.forwards) >= maxForwards {
		return nil, fmt.Errorf("more than %d ports are forwarded", maxForwards)
	}
	listener, err := listen(address)
	if err != nil {
		return nil, err
	}
	var reply []byte
	if f.Port == 0 {
		f.Port = uint32(listener.Addr().(*net.TCPAddr).Port) //nolint:gosec // a port
		reply = ssh.Marshal(struct{ Port uint32 }{f.Port})
	}
	ctx, cancel := context.WithCancel(c.ctx)
	c.forwards[f] = cancel
	c.work.Go(func() { c.forward(ctx, listener, f) })
	return reply, nil
}

// mayListen returns where to listen. As sshd without GatewayPorts, the agent
// lets nobody but the machine itself connect; unlike it, it says so when asked
// for more.
func (c *connection) mayListen(f forward) (string, error) {
	host := f.Address
	switch host {
	case "", "localhost":
		host = "127.0.0.1"
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return "", fmt.Errorf("%q is no loopback address", f.Address)
	}
	const privileged = 1024
	switch {
	case f.Port > 1<<16-1:
		return "", fmt.Errorf("there is no port %d", f.Port)
	case f.Port != 0 && f.Port < privileged && c.account.UID != 0:
		return "", fmt.Errorf("port %d is root's", f.Port)
	}
	return net.JoinHostPort(host, strconv.FormatUint(uint64(f.Port), 10)), nil
}

// stopListening ends a forward. What it carries already goes on.
func (c *connection) stopListening(payload []byte) error {
	var f forward
	if err := ssh.Unmarshal(payload, &f); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	cancel := c.forwards[f]
	if cancel == nil {
		return fmt.Errorf("port %d of %q is not forwarded", f.Port, f.Address)
	}
	delete(c.forwards, f)
	cancel()
	return nil
}

// forward offers the client each connection, until ctx ends.
func (c *connection) forward(ctx context.Context, l net.Listener, f forward) {
	defer l.Close()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	for c.carried.take(ctx) {
		conn, err := l.Accept()
		if err != nil {
			c.carried.free()
			if ctx.Err() == nil {
				c.server.Log.Warn("ssh forward", "port", f.Port, "err", err)
			}
			return
		}
		c.work.Go(func() {
			defer c.carried.free()
			c.offer(conn, f)
		})
	}
}

// offer opens a forwarded-tcpip channel (RFC 4254, section 7.2).
func (c *connection) offer(conn net.Conn, f forward) {
	defer conn.Close()
	origin := conn.RemoteAddr().(*net.TCPAddr)
	channel, requests, err := c.client.OpenChannel("forwarded-tcpip", ssh.Marshal(struct {
		Address       string
		Port          uint32
		OriginAddress string
		OriginPort    uint32
	}{f.Address, f.Port, origin.IP.String(), uint32(origin.Port)})) //nolint:gosec // a port
	if err == nil { // else the client does not want it
		c.carry(conn, channel, requests)
	}
}

// openDirect connects the client to whatever the machine can reach: RFC 4254,
// section 7.2, direct-tcpip.
func (c *connection) openDirect(offered ssh.NewChannel) {
	var to struct {
		Host          string
		Port          uint32
		OriginAddress string
		OriginPort    uint32
	}
	err := ssh.Unmarshal(offered.ExtraData(), &to)
	if err != nil {
		_ = offered.Reject(ssh.ConnectionFailed, err.Error()) // a broken connection ends all
		return
	}
	if !c.carried.try() {
		_ = offered.Reject(ssh.ResourceShortage, fmt.Sprintf("more than %d connections", maxCarried)) // the same
		return
	}
	defer c.carried.free()
	dialer := net.Dialer{Timeout: dialTime}
	conn, err := dialer.DialContext(c.ctx, "tcp", net.JoinHostPort(to.Host, strconv.FormatUint(uint64(to.Port), 10)))
	if err != nil {
		_ = offered.Reject(ssh.ConnectionFailed, err.Error()) // the same
		return
	}
	defer conn.Close()
	channel, requests, err := offered.Accept()
	if err == nil { // else it is broken
		c.carry(conn, channel, requests)
	}
}

// carry copies both ways until both have ended, or the client is gone.
func (c *connection) carry(conn net.Conn, channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close() //nolint:errcheck // it may be closed
	defer context.AfterFunc(c.ctx, func() { conn.Close() })()
	c.work.Go(func() {
		ssh.DiscardRequests(requests)
		// The client has closed the channel and hears no more; what it said
		// before is still to be written.
		_ = conn.SetReadDeadline(time.Now()) // it may be closed
	})
	tcp := conn.(*net.TCPConn)
	there := make(chan struct{})
	go func() {
		defer close(there)
		_, _ = io.Copy(channel, tcp) // ends with either
		_ = channel.CloseWrite()     // it may be closed
	}()
	_, _ = io.Copy(tcp, channel) // the same
	_ = tcp.CloseWrite()         // the same
	<-there
}

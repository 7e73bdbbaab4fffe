package node_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"
)

// serveOther serves ssh by what the test says, until the server is stopped.
func (c *cloud) serveOther(l net.Listener, key ssh.PublicKey) (stop func()) {
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, offered ssh.PublicKey) (*ssh.Permissions, error) {
		if !bytes.Equal(offered.Marshal(), key.Marshal()) {
			return nil, errors.New("another key")
		}
		return &ssh.Permissions{}, nil
	}}
	config.AddHostKey(c.hostKey)
	var connections sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	connections.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			connections.Go(func() {
				defer conn.Close()
				c.sshd(conn, config)
			})
		}
	})
	return func() {
		l.Close()
		mu.Lock()
		for _, conn := range open {
			conn.Close()
		}
		mu.Unlock()
		connections.Wait()
	}
}

// sshd is a machine's ssh server that can do what the tests need.
type sshd struct {
	exec    func(command string, c ssh.Channel) (exit uint32) // nil: status 0
	open    func(ssh.NewChannel)                              // channels other than sessions; nil: refused
	forward bool                                              // ports can be forwarded
	started func(ssh.Conn)                                    // once a client has logged in
}

func (s sshd) serve(conn net.Conn, config *ssh.ServerConfig) {
	client, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	defer client.Close()
	var tasks sync.WaitGroup
	defer tasks.Wait()
	if s.started != nil {
		tasks.Go(func() { s.started(client) })
	}
	tasks.Go(func() { s.requests(client, requests, &tasks) })
	for offered := range channels {
		switch {
		case offered.ChannelType() == "session":
			channel, requests, err := offered.Accept()
			if err != nil {
				return
			}
			tasks.Go(func() { s.session(channel, requests) })
		case s.open != nil:
			tasks.Go(func() { s.open(offered) })
		default:
			_ = offered.Reject(ssh.Prohibited, "administratively prohibited")
		}
	}
}

func (s sshd) session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for r := range requests {
		if r.Type != "exec" {
			_ = r.Reply(false, nil)
			continue
		}
		var v struct{ Command string }
		_ = ssh.Unmarshal(r.Payload, &v)
		_ = r.Reply(true, nil)
		var exit uint32
		if s.exec != nil {
			exit = s.exec(v.Command, channel)
		}
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{exit}))
		return
	}
}

func (s sshd) requests(client ssh.Conn, requests <-chan *ssh.Request, tasks *sync.WaitGroup) {
	for r := range requests {
		if r.Type != "tcpip-forward" || !s.forward {
			_ = r.Reply(false, nil)
			continue
		}
		var v struct {
			Host string
			Port uint32
		}
		_ = ssh.Unmarshal(r.Payload, &v)
		l, err := net.Listen("tcp", net.JoinHostPort(v.Host, fmt.Sprint(v.Port)))
		if err != nil {
			_ = r.Reply(false, nil)
			continue
		}
		port := uint32(l.Addr().(*net.TCPAddr).Port)
		_ = r.Reply(true, ssh.Marshal(struct{ Port uint32 }{port}))
		tasks.Go(func() {
			_ = client.Wait()
			l.Close()
		})
		tasks.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				tasks.Go(func() { forwardOne(client, conn, v.Host, port) })
			}
		})
	}
}

func forwardOne(client ssh.Conn, conn net.Conn, host string, port uint32) {
	defer conn.Close()
	channel, requests, err := openForwarded(client, host, port)
	if err != nil {
		return
	}
	var ways sync.WaitGroup
	ways.Go(func() { ssh.DiscardRequests(requests); conn.Close() })
	ways.Go(func() { _, _ = io.Copy(channel, conn); _ = channel.CloseWrite() })
	_, _ = io.Copy(conn, channel)
	_ = conn.(*net.TCPConn).CloseWrite()
	ways.Wait()
	channel.Close()
}

func openForwarded(client ssh.Conn, host string, port uint32) (ssh.Channel, <-chan *ssh.Request, error) {
	return client.OpenChannel("forwarded-tcpip", ssh.Marshal(struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}{host, port, "127.0.0.1", 1}))
}

// Package sshd is the review server's SSH door: git's transports, the gerrit
// commands, and the commit-msg hook by scp and sftp
// (https://gerrit-review.googlesource.com/Documentation/cmd-index.html).
package sshd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
)

// Config is what a Server is made of. Service, KeyDir, Compile and Log are
// required.
type Config struct {
	Service *review.Service
	KeyDir  string // holds the host keys, which are made if missing
	Log     *slog.Logger
	// Compile turns a query of the search language into SQL; review/query does.
	// What does not parse is fault.BadRequest.
	Compile func(ctx context.Context, caller *review.Account, text string) (review.Query, error)
	Version string // what "gerrit version" says, e.g. "3.11.2"
	// MaxConnections bounds the connections at a time. Default 2000.
	MaxConnections int
	// KeepAlive is how often a client is asked whether it is still there; one
	// that does not answer within as long is dropped. Default a minute.
	KeepAlive time.Duration
}

// Server is the SSH door. Make one with New.
type Server struct {
	config Config
	ssh    *ssh.ServerConfig
	slots  chan struct{}
}

// handshakeTimeout bounds the time from connecting to being logged in.
const handshakeTimeout = 2 * time.Minute

// New makes a server; Serve runs it.
func New(config Config) (*Server, error) {
	if config.MaxConnections == 0 {
		config.MaxConnections = 2000
	}
	if config.KeepAlive == 0 {
		config.KeepAlive = time.Minute
	}
	s := &Server{config: config, slots: make(chan struct{}, config.MaxConnections)}
	s.ssh = &ssh.ServerConfig{
		ServerVersion:     "SSH-2.0-Gatehouse",
		PublicKeyCallback: s.publicKey,
		PasswordCallback:  s.password,
	}
	keys, err := hostKeys(config.KeyDir)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		s.ssh.AddHostKey(k)
	}
	return s, nil
}

// authTimeout bounds one attempt to log in.
const authTimeout = 30 * time.Second

func (s *Server) publicKey(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	ctx, cancel := context.WithTimeout(context.Background(), authTimeout)
	defer cancel()
	a, err := s.config.Service.AccountByKey(ctx, meta.User(), key.Marshal())
	return s.permissions(a, err)
}

func (s *Server) password(meta ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
	ctx, cancel := context.WithTimeout(context.Background(), authTimeout)
	defer cancel()
	a, err := s.config.Service.Login(ctx, meta.User(), string(password))
	return s.permissions(a, err)
}

// accountKey is where the account is in a connection's permissions.
type accountKey struct{}

func (s *Server) permissions(a *review.Account, err error) (*ssh.Permissions, error) {
	if err != nil {
		if fault.KindOf(err) == fault.Internal {
			s.config.Log.Error("ssh log-in failed", "err", err)
		}
		return nil, errors.New("permission denied")
	}
	return &ssh.Permissions{ExtraData: map[any]any{accountKey{}: a.ID}}, nil
}

// Serve accepts connections until ctx ends, and returns when the last of them
// has. It closes the listener.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var connections sync.WaitGroup
	defer connections.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	defer listener.Close()
	for {
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		conn, err := listener.Accept()
		if err != nil {
			<-s.slots
			if ctx.Err() != nil {
				return nil
			}
			if temporary(err) {
				continue
			}
			return fmt.Errorf("accept ssh connections: %w", err)
		}
		connections.Go(func() {
			defer func() { <-s.slots }()
			s.connection(ctx, conn)
		})
	}
}

// temporary reports whether accepting may succeed the next time.
func temporary(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// connection serves one connection until it ends or ctx does.
func (s *Server) connection(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return
	}
	server, channels, requests, err := ssh.NewServerConn(conn, s.ssh)
	if err != nil {
		s.config.Log.DebugContext(ctx, "ssh handshake failed", "remote", conn.RemoteAddr(), "err", err)
		return
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	work.Go(func() { ssh.DiscardRequests(requests) })
	work.Go(func() { s.keepAlive(ctx, server) })
	for c := range channels {
		if c.ChannelType() != "session" {
			_ = c.Reject(ssh.UnknownChannelType, "only sessions are served")
			continue
		}
		channel, requests, err := c.Accept()
		if err != nil {
			break
		}
		work.Go(func() { s.session(ctx, server, channel, requests) })
	}
}

// accountOf is the id of the account that a connection was opened for.
func accountOf(conn *ssh.ServerConn) int64 {
	id, _ := conn.Permissions.ExtraData[accountKey{}].(int64)
	return id
}

// keepAlive drops a client that is not there any more, or may not be: one that
// streams events would otherwise do so for ever.
func (s *Server) keepAlive(ctx context.Context, conn *ssh.ServerConn) {
	ticker := time.NewTicker(s.config.KeepAlive)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		dead := time.AfterFunc(s.config.KeepAlive, func() { _ = conn.Close() })
		_, _, err := conn.SendRequest("keepalive@openssh.com", true, nil)
		dead.Stop()
		if err != nil {
			return
		}
		if _, err := s.config.Service.ActiveAccount(ctx, accountOf(conn)); fault.Is(err, fault.Unauthorized) {
			_ = conn.Close()
			return
		}
	}
}

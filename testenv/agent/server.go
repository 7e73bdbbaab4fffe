package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// handshakeTime bounds how long a client may take to log in.
const handshakeTime = 60 * time.Second

// Server serves ssh to the users of a passwd file who hold one of the keys:
// sessions (exec, shell, pty, env, signal; no subsystems), TCP connections both
// ways (RFC 4254, section 7) and layer 3 tunnels (tun@openssh.com).
// Its fields are not to be changed once it serves.
type Server struct {
	HostKey   ssh.Signer
	Keys      []ssh.PublicKey // each may log in as any user
	Users     string          // path of a passwd(5) file with a group(5) file beside it
	Processes *Processes
	Log       *slog.Logger

	groups *sessionGroup // nil: sessions are process groups only
}

// Serve serves the connections that l accepts until ctx ends or l fails. Then
// it closes l and every connection, which kills what their sessions run, and
// returns once all is over: nil if ctx ended.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	var connections sync.WaitGroup
	defer connections.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil // closed on purpose
			}
			return err
		}
		connections.Go(func() {
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			// Whoever waits for the machine knocks and leaves, which is no news.
			if err := s.serveConn(ctx, conn); err != nil && !errors.Is(err, io.EOF) && ctx.Err() == nil {
				s.Log.WarnContext(ctx, "ssh connection", "err", err)
			}
		})
	}
}

func (s *Server) serveConn(ctx context.Context, conn net.Conn) error {
	defer conn.Close()
	config := &ssh.ServerConfig{PublicKeyCallback: s.authenticate, ServerVersion: "SSH-2.0-gatehouse-agent"}
	config.AddHostKey(s.HostKey)
	if err := conn.SetDeadline(time.Now().Add(handshakeTime)); err != nil {
		return err
	}
	client, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	account, err := LookUp(s.Users, client.User())
	if err != nil {
		return err
	}
	newConnection(s, client, account).serve(ctx, channels, requests)
	return nil
}

func (s *Server) authenticate(conn ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	if _, err := LookUp(s.Users, conn.User()); err != nil {
		return nil, err
	}
	for _, known := range s.Keys {
		if bytes.Equal(known.Marshal(), key.Marshal()) {
			return &ssh.Permissions{}, nil
		}
	}
	return nil, fmt.Errorf("key %s is not known here", ssh.FingerprintSHA256(key))
}

// errNotStarted is why a session request after a failed start is refused.
var errNotStarted = errors.New("nothing runs in this session")

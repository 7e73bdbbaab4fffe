package gerrit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatehouse-dev/gatehouse/gate/source"
)

const (
	// keepAlive is how often the server must answer on an idle connection.
	keepAlive = 30 * time.Second
	// maxEvent bounds the line of an event, in bytes.
	maxEvent = 16 << 20
	// lastingPause is the longest time between attempts to connect, in pauses.
	lastingPause = 32
)

// Watch follows stream-events until ctx ends, and connects again whenever the
// connection is lost.
func (g *Gerrit) Watch(ctx context.Context, hooks source.Hooks) error {
	pause := g.config.Pause
	for {
		connected := false
		err := g.stream(ctx, source.Hooks{
			Connected: func() { connected = true; hooks.Connected() },
			Touched:   hooks.Touched,
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		hooks.Lost(err)
		if connected {
			pause = g.config.Pause
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, lastingPause*g.config.Pause)
	}
}

// stream connects and reads events until the connection ends.
func (g *Gerrit) stream(ctx context.Context, hooks source.Hooks) error {
	client, err := g.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }() // the connection may be gone already
	session, err := client.NewSession()
	if err != nil {
		return fmt.Errorf("open session: %w", err)
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return fmt.Errorf("open session: %w", err)
	}
	if err := session.Start("gerrit stream-events"); err != nil {
		return fmt.Errorf("start stream-events: %w", err)
	}
	stop := watchConnection(ctx, client)
	defer stop()
	hooks.Connected()
	if err := readEvents(out, hooks.Touched); err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	// The server says why by its exit status, such as a missing right.
	if err := session.Wait(); err != nil {
		return fmt.Errorf("stream-events ended: %w", err)
	}
	return errors.New("stream-events ended")
}

// connect logs in; a key that the server does not know is registered first.
func (g *Gerrit) connect(ctx context.Context) (*ssh.Client, error) {
	client, err := g.dial(ctx)
	if err == nil {
		return client, nil
	}
	if registerErr := g.registerKey(ctx); registerErr != nil {
		return nil, errors.Join(err, registerErr)
	}
	return g.dial(ctx)
}

func (g *Gerrit) dial(ctx context.Context) (*ssh.Client, error) {
	dialer := net.Dialer{Timeout: 20 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", g.config.SSH)
	if err != nil {
		return nil, fmt.Errorf("connect to the review server: %w", err)
	}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second)) // for the handshake
	c, channels, requests, err := ssh.NewClientConn(conn, g.config.SSH, &ssh.ClientConfig{
		User: g.config.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(g.signer)},
		HostKeyCallback: g.hostKey, HostKeyAlgorithms: g.knownAlgorithms(),
	})
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("log in to the review server: %w", err)
	}
	_ = conn.SetDeadline(time.Time{})
	return ssh.NewClient(c, channels, requests), nil
}

// watchConnection closes the client when ctx ends or when the server does not
// answer any more. The function returned ends the watch and waits for it.
func watchConnection(ctx context.Context, client *ssh.Client) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(keepAlive)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				_ = client.Close()
				return
			case <-tick.C:
				if !answers(ctx, client) {
					_ = client.Close()
					return
				}
			}
		}
	}()
	return func() { cancel(); <-done }
}

// answers reports whether the server replies to a request, whatever it says.
func answers(ctx context.Context, client *ssh.Client) bool {
	reply := make(chan error, 1)
	go func() {
		_, _, err := client.SendRequest("keepalive@openssh.com", true, nil)
		reply <- err
	}()
	select {
	case err := <-reply:
		return err == nil
	case <-ctx.Done():
		return false
	case <-time.After(keepAlive):
		return false
	}
}

// readEvents calls touched for every change that an event tells of.
func readEvents(r io.Reader, touched func(number int)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxEvent)
	for lines.Scan() {
		var event struct {
			Type   string `json:"type"`
			Change struct {
				Number json.Number `json:"number"`
			} `json:"change"`
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			return fmt.Errorf("an event that is not JSON: %w", err)
		}
		if event.Type == "dropped-output" {
			return errors.New("the server dropped events")
		}
		if n, err := event.Change.Number.Int64(); err == nil && n > 0 {
			touched(int(n))
		}
	}
	return lines.Err()
}

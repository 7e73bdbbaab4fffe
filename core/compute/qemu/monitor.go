package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/digitalocean/go-qemu/qmp"
)

// How long QEMU may take to answer on its monitor, which its main loop serves
// between all its other work.
const (
	greetingTimeout = 30 * time.Second
	commandTimeout  = 20 * time.Second
)

// monitor speaks QMP with one QEMU. It reconnects when it has to.
//
// SocketMonitor knows no deadlines, drops its connection's events if nobody
// takes them, and hands out answers in a buffer of 64 KiB that the next event
// overwrites: so each call is bounded here, events are always taken, and no
// command is used whose answer is long.
//
// https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html
type monitor struct {
	dir     string
	onEvent func(qmp.Event)

	calls  sync.Mutex         // one call at a time; guards what follows
	sock   *qmp.SocketMonitor // nil: not connected
	closed bool

	mu      sync.Mutex
	waiting map[*waiter]bool
	pumps   sync.WaitGroup
}

// waiter is someone who waits for an event.
type waiter struct {
	match func(qmp.Event) bool
	seen  chan struct{}
}

var errMonitorClosed = errors.New("monitor closed")

func newMonitor(dir string, onEvent func(qmp.Event)) *monitor {
	return &monitor{dir: dir, onEvent: onEvent, waiting: map[*waiter]bool{}}
}

// within calls f with a path of the directory that is short however long the
// directory's is: a unix socket's path has at most 108 bytes.
func within(dir, name string, f func(path string) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return f(fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), name))
}

// listen makes the socket on which QEMU, which inherits it, serves its
// monitor. As the socket exists before QEMU does, whoever connects is served
// as soon as there is someone to serve him, without polling.
func listen(dir string) (*os.File, error) {
	if err := os.RemoveAll(filepath.Join(dir, monitorFile)); err != nil {
		return nil, err
	}
	var file *os.File
	err := within(dir, monitorFile, func(path string) error {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			return err
		}
		l.SetUnlinkOnClose(false)
		file, err = l.File()
		return errors.Join(err, l.Close())
	})
	return file, err
}

// run executes a command. The answer is decoded into result unless that is
// nil. It reports errMonitorClosed after close.
func (m *monitor) run(ctx context.Context, command string, args, result any) error {
	return m.runWithFile(ctx, command, args, nil, result)
}

// runWithFile executes a command that takes a file, if that is not nil.
func (m *monitor) runWithFile(ctx context.Context, command string, args any, file *os.File, result any) error {
	text, err := json.Marshal(qmp.Command{Execute: command, Args: args})
	if err != nil {
		return err
	}
	m.calls.Lock()
	defer m.calls.Unlock()
	if err := m.connect(ctx); err != nil {
		return err
	}
	answer, err := m.exchange(ctx, text, file)
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer, &struct{ Return any }{result})
}

// greet waits until QEMU takes commands: its machine is made then.
func (m *monitor) greet(ctx context.Context) error {
	m.calls.Lock()
	defer m.calls.Unlock()
	return m.connect(ctx)
}

// exchange sends a command on the present connection. One that gives no answer
// in time is given up, since the answer may still come.
func (m *monitor) exchange(ctx context.Context, command []byte, file *os.File) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	type outcome struct {
		answer []byte
		err    error
	}
	sock, done := m.sock, make(chan outcome, 1)
	go func() {
		answer, err := sock.RunWithFile(command, file)
		done <- outcome{answer, err}
	}()
	select {
	case o := <-done:
		return o.answer, o.err
	case <-ctx.Done():
		m.sock = nil
		disconnect(sock) // ends Run
		<-done
		return nil, ctx.Err()
	}
}

// close ends the connection; QEMU goes on.
func (m *monitor) close() {
	m.calls.Lock()
	defer m.calls.Unlock()
	m.closed = true
	if m.sock != nil {
		disconnect(m.sock)
		m.sock = nil
	}
	m.pumps.Wait()
}

// disconnect closes a connection that is of no use any more, whether or not
// that succeeds.
func disconnect(sock *qmp.SocketMonitor) { _ = sock.Disconnect() }

// connect waits for QEMU's greeting, unless there is a connection.
func (m *monitor) connect(ctx context.Context) error {
	if m.closed {
		return errMonitorClosed
	}
	if m.sock != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, greetingTimeout)
	defer cancel()
	var sock *qmp.SocketMonitor
	err := within(m.dir, monitorFile, func(path string) (err error) {
		sock, err = qmp.NewSocketMonitor("unix", path, greetingTimeout)
		return err
	})
	if err != nil {
		return err
	}
	connected := make(chan error, 1)
	go func() { connected <- sock.Connect() }()
	select {
	case err = <-connected:
	case <-ctx.Done():
		disconnect(sock) // makes Connect fail
		err = errors.Join(ctx.Err(), <-connected)
	}
	if err != nil {
		disconnect(sock)
		return fmt.Errorf("connect to QEMU's monitor: %w", err)
	}
	events, err := sock.Events(context.WithoutCancel(ctx))
	if err != nil {
		disconnect(sock)
		return err
	}
	m.sock = sock
	m.pumps.Go(func() {
		for event := range events {
			m.dispatch(event)
		}
	})
	return nil
}

func (m *monitor) dispatch(event qmp.Event) {
	m.mu.Lock()
	for w := range m.waiting {
		if w.match(event) {
			close(w.seen)
			delete(m.waiting, w)
		}
	}
	m.mu.Unlock()
	m.onEvent(event)
}

// await returns a channel that is closed with the first event that matches,
// and what ends the waiting.
func (m *monitor) await(match func(qmp.Event) bool) (seen <-chan struct{}, stop func()) {
	w := &waiter{match: match, seen: make(chan struct{})}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting[w] = true
	return w.seen, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.waiting, w)
	}
}

// Package agent is the one program that a test machine needs: the init of its
// initramfs, PID 1 of its root file system, and its ssh server.
//
// As init it loads the kernel modules that the machine's virtio devices need,
// mounts the root file system that the kernel command line names and moves
// into it. It stays where it is in memory, so nothing a job does to the root
// file system (filling it, removing it) takes the agent away; and being PID 1
// it can be killed neither by `kill -9 -1` nor by the kernel's out-of-memory
// killer. Then it reads the OpenStack config drive, configures the network of
// a QEMU machine with user networking, and serves ssh (RFC 4254) on port 22.
package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"
)

// Ready is the line that the agent writes to the console once ssh is served.
const Ready = "gatehouse-agent: ready"

// settling bounds each wait for the kernel to make a device appear.
const settling = 10 * time.Second

// Main is the life of PID 1. It returns only if the kernel refuses to power
// the machine off.
func Main(console io.Writer) {
	log := slog.New(slog.NewTextHandler(console, &slog.HandlerOptions{ReplaceAttr: dropTime}))
	m := &machine{log: log, console: console, processes: NewProcesses()}
	err := m.run()
	log.Error("gatehouse-agent: powering off", "err", err)
	m.halt(powerOff)
}

// dropTime leaves the time out of log lines: a machine's clock says little
// while it boots.
func dropTime(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && len(groups) == 0 {
		return slog.Attr{}
	}
	return a
}

type machine struct {
	log       *slog.Logger
	console   io.Writer
	processes *Processes
}

func (m *machine) run() error {
	late, err := enterRoot()
	if err != nil {
		return fmt.Errorf("enter the root file system: %w", err)
	}
	orders := m.listenForOrders()
	go m.processes.ReapOrphans(context.Background(), m.log)

	listener, data, err := m.configure()
	if err != nil {
		return err
	}
	server, err := m.sshServer(data)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(context.Background(), listener) }()
	m.announce(server)

	m.background("grow the root file system", growRoot)
	m.background("power button", func() error {
		return errors.Join(loadModules(late), watchPowerButton(orders))
	})
	m.background("user data", func() error { return m.runUserData(data.UserData) })

	select {
	case order := <-orders:
		m.log.Info("gatehouse-agent: going down", "order", order.String())
		m.halt(order)
		return errors.New("the kernel refused to halt")
	case err := <-served:
		return fmt.Errorf("ssh server ended: %w", err)
	}
}

// configure does side by side what must be done before ssh is served.
func (m *machine) configure() (net.Listener, ConfigDrive, error) {
	var (
		group    errgroup.Group
		listener net.Listener
		data     ConfigDrive
	)
	group.Go(func() (err error) {
		if err := configureNetwork(); err != nil {
			return fmt.Errorf("configure the network: %w", err)
		}
		listener, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", ":22")
		return err
	})
	group.Go(func() (err error) {
		data, err = findConfigDrive()
		if err != nil {
			m.log.Warn("gatehouse-agent: no config drive: nobody can log in", "err", err)
		}
		return setHostname(data.Hostname)
	})
	return listener, data, group.Wait()
}

func (m *machine) sshServer(data ConfigDrive) (*Server, error) {
	hostKey, err := NewHostKey()
	if err != nil {
		return nil, err
	}
	keys, err := data.Keys()
	if err != nil {
		m.log.Warn("gatehouse-agent: ignoring keys of the config drive", "err", err)
	}
	sessions, err := newSessionGroup()
	if err != nil {
		m.log.Warn("gatehouse-agent: sessions are not confined", "err", err)
	}
	return &Server{
		HostKey:   hostKey,
		Keys:      keys,
		Users:     filepath.Join("/etc", "passwd"),
		Processes: m.processes,
		Log:       m.log,
		groups:    sessions,
	}, nil
}

// announce tells the console who the machine is, in cloud-init's form, which
// is where OpenStack's users learn a new machine's host key from.
func (m *machine) announce(s *Server) {
	fmt.Fprintf(m.console, "-----BEGIN SSH HOST KEY KEYS-----\n%s-----END SSH HOST KEY KEYS-----\n",
		ssh.MarshalAuthorizedKey(s.HostKey.PublicKey()))
	up := "unknown"
	if seconds, err := os.ReadFile("/proc/uptime"); err == nil {
		up, _, _ = cutSpace(string(seconds))
	}
	fmt.Fprintf(m.console, "gatehouse-agent: up after %s s\n%s\n", up, Ready)
}

// background does what need not be done before ssh is served.
func (m *machine) background(what string, do func() error) {
	go func() {
		if err := do(); err != nil {
			m.log.Warn("gatehouse-agent: "+what, "err", err)
		}
	}()
}

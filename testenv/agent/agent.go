// Package agent is the one program that a test machine needs: the init of its
// initramfs, PID 1 of its root file system, and its ssh server.
//
// As init it loads the kernel modules that the machine's virtio devices need,
// mounts the root file system that the kernel command line names and moves
// into it. It stays where it is in memory, so nothing a job does to the root
// file system (filling it, removing it) takes the agent away; and being PID 1
// it can be killed neither by `kill -9 -1` nor by the kernel's out-of-memory
// killer. It configures the network of a QEMU machine with user networking,
// reads the OpenStack config drive, and serves ssh (RFC 4254) on port 22.
//
// Between what needs no identity and what does, the boot can stop: then the
// machine is a template, and copies of it go on, each as a server of its own.
// Words of the kernel command line choose that (gatehouse.template=TTY), or
// another program as PID 1 (gatehouse.init=PATH).
package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// Ready is the line that the agent writes to the console once ssh is served.
const Ready = "gatehouse-agent: ready"

// settling bounds each wait for the kernel to make a device appear.
const settling = 10 * time.Second

// Main is the life of PID 1. It returns only if the kernel refuses to power
// the machine off.
func Main(console io.Writer) {
	// It mostly waits. Threads that pass work on from one vCPU to another cost
	// more than they save.
	runtime.GOMAXPROCS(1)
	log := slog.New(slog.NewTextHandler(console, &slog.HandlerOptions{ReplaceAttr: dropTime}))
	m := &machine{
		log: log, console: console, consoleFile: "/dev/console",
		users: filepath.Join("/etc", "passwd"), processes: NewProcesses(),
	}
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
	log         *slog.Logger
	console     io.Writer
	consoleFile string // the same, for programs
	users       string // passwd(5) file
	processes   *Processes
	sessions    *sessionGroup
	disks       []string // of which one may be the config drive
}

// run is what every machine does: first what takes no identity, then, in a
// fork of a template much later, what does.
func (m *machine) run() error {
	options, late, err := enterRoot()
	if err != nil {
		return fmt.Errorf("enter the root file system: %w", err)
	}
	if m.disks, err = listDisks(); err != nil {
		return err
	}
	orders := m.listenForOrders()
	go m.processes.ReapOrphans(context.Background(), m.log)
	if err := configureNetwork(); err != nil {
		return fmt.Errorf("configure the network: %w", err)
	}
	if m.sessions, err = newSessionGroup(); err != nil {
		m.log.Warn("gatehouse-agent: sessions are not confined", "err", err)
	}

	chores := []chore{
		{"load modules", func() error { return loadModules(late) }},
		{"power button", func() error { return m.watchPowerButton(orders) }},
		{"grow the root file system", growRoot},
	}
	var who *identified
	if options.Template != "" {
		who, err = m.beForked(options.Template, chores)
	} else if who, err = m.identify(m.lookForConfigDrive()); err == nil {
		go m.doAll(chores)
	}
	if err != nil {
		return err
	}
	go m.do(chore{"user data", func() error { return m.runUserData(who.data.UserData) }})

	select {
	case order := <-orders:
		m.log.Info("gatehouse-agent: going down", "order", order.String())
		m.halt(order)
		return errors.New("the kernel refused to halt")
	case err := <-who.served:
		return fmt.Errorf("ssh server ended: %w", err)
	}
}

// chore is something without which ssh can be served. That it fails is only
// logged.
type chore struct {
	name string
	do   func() error
}

func (m *machine) do(c chore) {
	if err := c.do(); err != nil {
		m.log.Warn("gatehouse-agent: "+c.name, "err", err)
	}
}

func (m *machine) doAll(chores []chore) {
	for _, c := range chores {
		m.do(c)
	}
}

// lookForConfigDrive reads the config drive. A machine without one boots, too.
func (m *machine) lookForConfigDrive() ConfigDrive {
	data, err := findConfigDrive(m.disks)
	if err != nil {
		m.log.Warn("gatehouse-agent: no config drive: nobody can log in", "err", err)
	}
	return data
}

// identified is a machine that is somebody.
type identified struct {
	data   ConfigDrive
	served <-chan error // how its ssh server has ended
}

// identify makes the machine the server that its config drive describes.
func (m *machine) identify(data ConfigDrive) (*identified, error) {
	if err := errors.Join(setHostname(data.Hostname), setMachineID(data.UUID)); err != nil {
		return nil, err
	}
	keys, err := data.Keys()
	if err != nil {
		m.log.Warn("gatehouse-agent: ignoring keys of the config drive", "err", err)
	}
	hostKey, err := NewHostKey()
	if err != nil {
		return nil, err
	}
	listener, err := listen("0.0.0.0:22") // the network has no IPv6
	if err != nil {
		return nil, err
	}
	server := m.sshServer(hostKey, keys)
	served := make(chan error, 1)
	go func() { served <- server.Serve(context.Background(), listener) }()
	m.announce(hostKey.PublicKey())
	return &identified{data, served}, nil
}

// listen does without multipath TCP, which is nothing but work.
func listen(address string) (net.Listener, error) {
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	return config.Listen(context.Background(), "tcp", address)
}

func (m *machine) sshServer(hostKey ssh.Signer, keys []ssh.PublicKey) *Server {
	return &Server{
		HostKey: hostKey, Keys: keys, Users: m.users,
		Processes: m.processes, Log: m.log, groups: m.sessions,
	}
}

// announce tells the console who the machine is, in cloud-init's form, which
// is where OpenStack's users learn a new machine's host key from.
func (m *machine) announce(key ssh.PublicKey) {
	var up unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &up) // every kernel has it
	fmt.Fprintf(m.console, "-----BEGIN SSH HOST KEY KEYS-----\n%s-----END SSH HOST KEY KEYS-----\n"+
		"gatehouse-agent: up after %d ms\n%s\n", ssh.MarshalAuthorizedKey(key), up.Nano()/1e6, Ready)
}

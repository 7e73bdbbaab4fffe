// Package qemu runs machines with QEMU: the driver of a real host.
//
// Each machine is a directory with what it is made of (machine.json), an
// overlay of its image, its config drive, its monitor's socket and what it
// wrote. Its QEMU is a process of its own that outlives Gatehouse; the next
// driver on the directory finds it again. QEMU is spoken to through its
// monitor, with go-qemu.
//
// It needs no privileges: machines have QEMU's user network, and the ports of
// the host's loopback addresses that they are given.
//
// https://www.qemu.org/docs/master/system/
package qemu

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gatehouse-dev/gatehouse/core/compute"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Config is what a driver needs to know.
type Config struct {
	// Dir is the driver's own directory, made if absent. A driver has it to
	// itself: a second one is refused.
	Dir string
	Log *slog.Logger

	// Accel is "kvm", "tcg", or "auto" (as is ""): KVM if it is proven to work
	// on this host, else TCG.
	Accel string
	// Kernel is a Linux kernel to prove KVM with. Without one, the host's own
	// is taken if it can be read, else that of the first machine that has one.
	Kernel string

	// System and Image are the programs, looked up in PATH. They default to
	// qemu-system-x86_64 and qemu-img.
	System, Image string

	// OutgoingReachesHost lets machines have outgoing connections although
	// these reach the host's loopback services, too, which QEMU's user
	// network cannot tell from others. Without it, such machines are refused.
	OutgoingReachesHost bool

	// TemplateDiskMB and TemplateMemoryMB are what the templates of forked
	// machines may take of the host's disk, and of its memory if all that their
	// guests had in theirs is held there. Zero: 16 GiB of disk, half the host's
	// memory.
	TemplateDiskMB, TemplateMemoryMB int
}

// Driver runs machines with QEMU. It implements compute.Driver.
type Driver struct {
	Config
	log    *slog.Logger
	lock   *os.File
	boot   string // the host's
	events *hub
	prover *prover

	templates     *templates
	forking       chan struct{} // holds a token for each fork that is being made
	forkedTimeout time.Duration

	mu       sync.Mutex
	version  string              // QEMU's; empty: not asked for yet
	machines map[string]*machine // nil: about to be made
	closed   bool
	watchers sync.WaitGroup
}

var (
	_ compute.Driver   = (*Driver)(nil)
	_ compute.Preparer = (*Driver)(nil)
)

// New returns a driver for the machines in a directory: those that run, it
// finds again; what is left of those that were not finished, it removes. Close
// the driver after use; machines go on.
func New(c Config) (*Driver, error) {
	if err := c.fill(); err != nil {
		return nil, err
	}
	boot, err := hostBoot()
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(c.Dir)
	if err != nil {
		return nil, err
	}
	d := &Driver{
		Config: c, log: c.Log, lock: lock, boot: boot,
		events: newHub(), machines: map[string]*machine{}, forkedTimeout: forkedTimeout,
		forking: make(chan struct{}, runtime.NumCPU()),
	}
	d.prover = newProver(d)
	if d.templates, err = newTemplates(filepath.Join(c.Dir, templatesDir), c.Log, d.sweepTemplate); err != nil {
		return nil, errors.Join(fmt.Errorf("load templates: %w", err), lock.Close())
	}
	d.templates.build = d.makeTemplate
	d.templates.budget.disk = int64(c.TemplateDiskMB) << 20
	d.templates.budget.memory = int64(c.TemplateMemoryMB) << 20
	if err := d.adopt(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	d.prover.begin()
	return d, nil
}

// fill checks the configuration and puts in what was left out.
func (c *Config) fill() error {
	programs := []struct {
		name         *string
		fallback, of string
	}{
		{&c.System, "qemu-system-x86_64", "qemu-system-x86"},
		{&c.Image, "qemu-img", "qemu-utils"},
	}
	for _, program := range programs {
		if *program.name == "" {
			*program.name = program.fallback
		}
		path, err := exec.LookPath(*program.name)
		if err != nil {
			return fmt.Errorf("no QEMU to run machines: install the Debian package %s: %w", program.of, err)
		}
		*program.name = path
	}
	if c.Accel == "" {
		c.Accel = "auto"
	}
	if !slices.Contains([]string{"auto", "kvm", "tcg"}, c.Accel) {
		return fmt.Errorf("acceleration %q is none of auto, kvm, tcg", c.Accel)
	}
	if c.TemplateDiskMB == 0 {
		c.TemplateDiskMB = 16 << 10
	}
	if c.TemplateMemoryMB == 0 {
		var info unix.Sysinfo_t
		if err := unix.Sysinfo(&info); err != nil {
			return os.NewSyscallError("sysinfo", err)
		}
		c.TemplateMemoryMB = int(info.Totalram * uint64(info.Unit) >> 20 / 2)
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return err
	}
	c.Dir = dir
	return os.MkdirAll(dir, 0o700)
}

// lockTimeout is how long a driver waits for the last one to be gone. One that
// was killed while it started QEMU leaves the lock, for an instant, to a child
// that is not QEMU yet: whoever has the lock knows that there is none, and sees
// all of that driver's processes as what they are.
const lockTimeout = 3 * time.Second

// lockDir takes the directory for this process, until it ends.
func lockDir(dir string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	again, timeout := time.NewTicker(10*time.Millisecond), time.NewTimer(lockTimeout)
	defer again.Stop()
	defer timeout.Stop()
	for {
		err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return lock, nil
		}
		select {
		case <-again.C:
		case <-timeout.C:
			return nil, errors.Join(fmt.Errorf("another gatehouse runs the machines of %s: %w", dir, err), lock.Close())
		}
	}
}

// Close lets go of all machines, which go on, and waits until nothing of the
// driver works any more. Closing a closed one does nothing.
func (d *Driver) Close() error {
	d.prover.stop()
	d.templates.stop()
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	machines := slices.Collect(maps.Values(d.machines))
	d.mu.Unlock()
	for _, m := range machines {
		if m == nil {
			continue
		}
		if p := m.running(); p != nil {
			p.release()
		}
	}
	d.watchers.Wait()
	return d.lock.Close()
}

// machine returns a machine that the host has.
func (d *Driver) machine(id string) (*machine, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m := d.machines[id]; m != nil {
		return m, nil
	}
	return nil, fault.New(fault.NotFound, "The host has no machine %s.", id)
}

// Machines implements compute.Driver.
func (d *Driver) Machines(context.Context) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := []string{}
	for id, m := range d.machines {
		if m != nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Power implements compute.Driver.
func (d *Driver) Power(_ context.Context, id string) (compute.Power, error) {
	m, err := d.machine(id)
	if err != nil {
		return compute.Off, err
	}
	if m.running() == nil {
		return compute.Off, nil
	}
	return compute.On, nil
}

// Console implements compute.Driver.
func (d *Driver) Console(_ context.Context, id string, lines int) ([]byte, error) {
	m, err := d.machine(id)
	if err != nil {
		return nil, err
	}
	text, err := m.console.bytes()
	return lastLines(text, lines), err
}

// Package fake is a driver whose machines exist in memory only. It keeps every
// promise of compute.Driver (drivertest checks it), takes no time, and can be
// told what should go wrong: for tests of what stands on a driver, and for
// trying the cloud without a hypervisor.
package fake

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/gatehouse-dev/gatehouse/core/compute"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Boot is the line that each machine writes to its console when it is powered
// on or reset.
const Boot = "fake machine booted"

// Driver runs machines in memory. Several drivers may share a host, one after
// the other, as those of a restarted service do.
type Driver struct{ host *host }

var _ compute.Driver = Driver{}

// New makes a driver on a host of its own, without machines.
func New() Driver {
	return Driver{&host{machines: map[string]*machine{}, wake: make(chan struct{}, 1)}}
}

type host struct {
	mu       sync.Mutex
	machines map[string]*machine
	fail     func(ctx context.Context, op, id string) error
	pending  []compute.Event // not yet delivered
	wake     chan struct{}   // holds a token when pending may have grown
}

type machine struct {
	compute.Machine
	power   compute.Power
	console bytes.Buffer
}

func (m *machine) boot() {
	m.power = compute.On
	fmt.Fprintln(&m.console, Boot)
}

// Fail has f decide, before each operation, whether it fails; ctx is that of
// the operation, op the method's name. f may also block, for an operation that
// takes its time. Nil lets everything succeed again.
func (d Driver) Fail(f func(ctx context.Context, op, id string) error) {
	d.host.mu.Lock()
	defer d.host.mu.Unlock()
	d.host.fail = f
}

// Kill makes a machine go off without having been told to: by a guest that
// shuts itself down if reason is empty, else by a hypervisor that dies.
func (d Driver) Kill(id, reason string) {
	d.host.mu.Lock()
	defer d.host.mu.Unlock()
	m := d.host.machines[id]
	if m == nil || m.power == compute.Off {
		return
	}
	m.power = compute.Off
	d.host.pending = append(d.host.pending, compute.Event{ID: id, Reason: reason})
	d.host.ring()
}

// Lose forgets a machine behind the driver's back.
func (d Driver) Lose(id string) {
	d.host.mu.Lock()
	defer d.host.mu.Unlock()
	delete(d.host.machines, id)
}

// Machine is what a machine is made of now, with its disks.
func (d Driver) Machine(id string) (compute.Machine, bool) {
	d.host.mu.Lock()
	defer d.host.mu.Unlock()
	m := d.host.machines[id]
	if m == nil {
		return compute.Machine{}, false
	}
	found := m.Machine
	found.Disks = slices.Clone(m.Disks)
	return found, true
}

func (h *host) ring() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func (h *host) failure(ctx context.Context, op, id string) error {
	h.mu.Lock()
	fail := h.fail
	h.mu.Unlock()
	if fail != nil {
		if err := fail(ctx, op, id); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// with calls f with the machine, holding the lock.
func (h *host) with(ctx context.Context, op, id string, f func(m *machine) error) error {
	if err := h.failure(ctx, op, id); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.machines[id]
	if m == nil {
		return fault.New(fault.NotFound, "Machine %s could not be found.", id)
	}
	return f(m)
}

// Spawn implements compute.Driver.
func (d Driver) Spawn(ctx context.Context, m compute.Machine) error {
	if err := d.host.failure(ctx, "Spawn", m.ID); err != nil {
		return err
	}
	d.host.mu.Lock()
	defer d.host.mu.Unlock()
	if d.host.machines[m.ID] != nil {
		return errors.New("machine exists: " + m.ID)
	}
	for _, other := range d.host.machines {
		if taken(other.Interface, m.Interface) {
			return fmt.Errorf("%w: %s", compute.ErrAddressInUse, m.Interface.Address)
		}
	}
	made := &machine{Machine: m}
	made.Disks = slices.Clone(m.Disks)
	made.boot()
	d.host.machines[m.ID] = made
	return nil
}

// taken reports whether two interfaces forward the same port.
func taken(a, b compute.Interface) bool {
	return a.Address != (netip.Addr{}) && a.Address == b.Address &&
		slices.ContainsFunc(a.Ports, func(p compute.Forward) bool {
			return slices.ContainsFunc(b.Ports, func(q compute.Forward) bool { return p.Host == q.Host })
		})
}

// Start implements compute.Driver.
func (d Driver) Start(ctx context.Context, id string) error {
	return d.host.with(ctx, "Start", id, func(m *machine) error {
		if m.power == compute.Off {
			m.boot()
		}
		return nil
	})
}

// Stop implements compute.Driver. The guests shut down at once.
func (d Driver) Stop(ctx context.Context, id string, _ compute.Grace) error {
	return d.host.with(ctx, "Stop", id, func(m *machine) error {
		m.power = compute.Off
		return nil
	})
}

// Reboot implements compute.Driver.
func (d Driver) Reboot(ctx context.Context, id string, _ compute.Grace) error {
	return d.host.with(ctx, "Reboot", id, func(m *machine) error {
		m.boot()
		return nil
	})
}

// Destroy implements compute.Driver.
func (d Driver) Destroy(ctx context.Context, id string) error {
	if err := d.host.failure(ctx, "Destroy", id); err != nil {
		return err
	}
	d.Lose(id)
	return nil
}

// Power implements compute.Driver.
func (d Driver) Power(ctx context.Context, id string) (compute.Power, error) {
	power := compute.Off
	err := d.host.with(ctx, "Power", id, func(m *machine) error {
		power = m.power
		return nil
	})
	return power, err
}

// Machines implements compute.Driver.
func (d Driver) Machines(ctx context.Context) ([]string, error) {
	if err := d.host.failure(ctx, "Machines", ""); err != nil {
		return nil, err
	}
	d.host.mu.Lock()
	defer d.host.mu.Unlock()
	return slices.Sorted(maps.Keys(d.host.machines)), nil
}

// Console implements compute.Driver.
func (d Driver) Console(ctx context.Context, id string, lines int) ([]byte, error) {
	var last []byte
	err := d.host.with(ctx, "Console", id, func(m *machine) error {
		all := slices.Collect(bytes.Lines(m.console.Bytes()))
		if lines >= 0 {
			all = all[max(0, len(all)-lines):]
		}
		last = bytes.Join(all, nil)
		return nil
	})
	return last, err
}

// AttachDisk implements compute.Driver.
func (d Driver) AttachDisk(ctx context.Context, id string, disk compute.Disk) error {
	return d.host.with(ctx, "AttachDisk", id, func(m *machine) error {
		if !slices.ContainsFunc(m.Disks, func(have compute.Disk) bool { return have.Serial == disk.Serial }) {
			m.Disks = append(m.Disks, disk)
			slices.SortFunc(m.Disks, func(a, b compute.Disk) int { return cmp.Compare(a.Serial, b.Serial) })
		}
		return nil
	})
}

// DetachDisk implements compute.Driver.
func (d Driver) DetachDisk(ctx context.Context, id, serial string) error {
	return d.host.with(ctx, "DetachDisk", id, func(m *machine) error {
		m.Disks = slices.DeleteFunc(m.Disks, func(have compute.Disk) bool { return have.Serial == serial })
		return nil
	})
}

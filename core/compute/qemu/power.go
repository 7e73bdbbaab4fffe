package qemu

import (
	"context"
	"fmt"
	"time"

	"github.com/digitalocean/go-qemu/qmp"

	"github.com/gatehouse-dev/gatehouse/core/compute"
)

// Start implements compute.Driver.
func (d *Driver) Start(ctx context.Context, id string) error {
	m, err := d.machine(id)
	if err != nil {
		return err
	}
	m.op.Lock()
	defer m.op.Unlock()
	if m.running() != nil {
		return nil
	}
	if err := d.launch(ctx, m); err != nil {
		return fmt.Errorf("start machine %s: %w", id, err)
	}
	return nil
}

// Stop implements compute.Driver.
func (d *Driver) Stop(ctx context.Context, id string, grace compute.Grace) error {
	m, err := d.machine(id)
	if err != nil {
		return err
	}
	m.op.Lock()
	defer m.op.Unlock()
	p := m.running()
	if p == nil {
		return nil
	}
	m.tell(p, true)
	if grace > 0 {
		if err := d.askToStop(ctx, p, grace, p.gone); err != nil {
			m.tell(p, false)
			return fmt.Errorf("stop machine %s: %w", id, err)
		}
	}
	if err := p.end(); err != nil {
		return fmt.Errorf("stop machine %s: %w", id, err)
	}
	return nil
}

// askToStop presses the machine's power button and waits until the guest has
// stopped or grace is over. It fails only if ctx ends.
func (d *Driver) askToStop(ctx context.Context, p *process, grace compute.Grace, stopped <-chan struct{}) error {
	if err := p.monitor.run(ctx, "system_powerdown", nil, nil); err != nil {
		d.log.WarnContext(ctx, "guest cannot be asked to shut down", "directory", p.dir, "error", err)
		return ctx.Err()
	}
	timer := time.NewTimer(time.Duration(grace) * time.Second)
	defer timer.Stop()
	select {
	case <-stopped:
	case <-p.gone:
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// Reboot implements compute.Driver.
func (d *Driver) Reboot(ctx context.Context, id string, grace compute.Grace) error {
	m, err := d.machine(id)
	if err != nil {
		return err
	}
	m.op.Lock()
	defer m.op.Unlock()
	p := m.running()
	if p != nil && grace > 0 {
		err = d.rebootSoftly(ctx, p, grace)
	} else if p != nil {
		err = p.monitor.run(ctx, "system_reset", nil, nil)
	}
	if err == nil && m.running() == nil { // it was off, or went off instead
		err = d.launch(ctx, m)
	}
	if err != nil {
		return fmt.Errorf("reboot machine %s: %w", id, err)
	}
	return nil
}

// rebootSoftly has the guest shut down, with QEMU staying, then resets the
// machine. PCs have no button that asks for a reboot.
func (d *Driver) rebootSoftly(ctx context.Context, p *process, grace compute.Grace) error {
	shutdown, stop := p.monitor.await(func(e qmp.Event) bool { return e.Event == "SHUTDOWN" })
	defer stop()
	if err := p.monitor.run(ctx, "set-action", map[string]string{"shutdown": "pause"}, nil); err != nil {
		return err
	}
	asked := d.askToStop(ctx, p, grace, shutdown)
	// Whatever came of it, the machine must not be left as one that ignores
	// its guest's wish to power off.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commandTimeout)
	defer cancel()
	if err := p.monitor.run(ctx, "set-action", map[string]string{"shutdown": "poweroff"}, nil); err != nil {
		return err
	}
	select {
	case <-shutdown:
	default:
		if asked != nil {
			return asked // the guest was asked, and may still shut down
		}
	}
	if err := p.monitor.run(ctx, "system_reset", nil, nil); err != nil {
		return err
	}
	return p.monitor.run(ctx, "cont", nil, nil)
}

package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/digitalocean/go-qemu/qmp"
	"golang.org/x/sys/unix"

	"github.com/gatehouse-dev/gatehouse/core/compute"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// launch powers a machine on: it starts QEMU and returns once that runs the
// guest and the record says so. The machine's op lock is held.
func (d *Driver) launch(ctx context.Context, m *machine) error {
	acceleration, err := d.prover.decide(ctx, m.record.Machine.Kernel)
	if err != nil {
		return err
	}
	p, err := d.bringUp(ctx, m, arguments(m.record.Machine, acceleration, variant{layered: m.record.Layered}))
	if p == nil {
		return err
	}
	if err == nil {
		err = m.poweredOn(p, d.boot)
	}
	if err != nil {
		return d.abort(m, p, err)
	}
	return nil
}

// bringUp starts QEMU and waits until it answers. The process is not nil if it
// was started, even if it failed then.
func (d *Driver) bringUp(ctx context.Context, m *machine, args []string, inherited ...*os.File) (*process, error) {
	for _, end := range []string{".in", ".out"} {
		pipe, err := makePipe(filepath.Join(m.dir, consolePipe+end))
		if err != nil {
			return nil, err
		}
		defer pipe.Close() // when QEMU holds it open
		enlarge(pipe, d.log)
	}
	p, err := start(ctx, d.System, m.dir, args, inherited, d.log)
	if err != nil {
		return nil, err
	}
	if err := d.follow(m, p); err != nil {
		return nil, errors.Join(err, p.signal(unix.SIGKILL))
	}
	return p, p.monitor.greet(ctx)
}

// poweredOn records that the machine runs, if it still does.
func (m *machine) poweredOn(p *process, boot string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process != p {
		return errors.New("QEMU ended at once")
	}
	return m.updateLocked(func(r *record) { r.On, r.HostBoot, r.Died = true, boot, nil })
}

// abort ends a QEMU that did not come up, and says why it didn't.
func (d *Driver) abort(m *machine, p *process, err error) error {
	m.tell(p, true)
	if endErr := p.kill(); endErr != nil {
		return errors.Join(err, endErr)
	}
	text, readErr := messagesRing(m.dir).bytes()
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	return explain(strings.TrimSpace(string(text)), err)
}

// explain makes an error of what QEMU or qemu-img said before it gave up.
func explain(said string, err error) error {
	switch {
	case strings.Contains(said, "Could not set up host forwarding rule"):
		return fmt.Errorf("%w: %s", compute.ErrAddressInUse, said)
	case strings.Contains(said, unix.ENOSPC.Error()), strings.Contains(said, "No space left on device"), errors.Is(err, unix.ENOSPC):
		return fault.New(fault.NoSpace, "The disk of the host is full.")
	case strings.Contains(said, `Failed to get "write" lock`), strings.Contains(said, `Failed to get shared "write" lock`):
		return fault.New(fault.Conflict, "A volume is in use by another machine.")
	case said == "":
		return err
	default:
		return fmt.Errorf("%w: %s", err, said)
	}
}

// follow watches a process and keeps what it writes, until it ends or the
// driver is closed. The machine is on from now.
func (d *Driver) follow(m *machine, p *process) error {
	console, err := keep(filepath.Join(m.dir, consolePipe+".out"), m.console, d.log)
	if err != nil {
		return err
	}
	p.console = console
	if p.messages == nil {
		if p.messages, err = keep(filepath.Join(m.dir, messagesPipe), messagesRing(m.dir), d.log); err != nil {
			return err
		}
	}
	p.monitor = newMonitor(m.dir, func(event qmp.Event) { d.observe(m, p, event) })
	m.mu.Lock()
	m.process = p
	m.mu.Unlock()
	d.watchers.Go(func() { d.watch(m, p) })
	return nil
}

// watch waits for a process's end.
func (d *Driver) watch(m *machine, p *process) {
	status, err := p.wait()
	if err != nil { // released; the machine goes on
		p.monitor.close()
		p.console.stop()
		p.messages.stop()
		return
	}
	<-p.console.done
	<-p.messages.done
	p.monitor.close()
	d.poweredOff(m, p, status)
	p.pidfd.Close()
	p.status = status
	close(p.gone)
}

// release lets go of a process that goes on.
func (p *process) release() { p.pidfd.Close() }

// poweredOff records that a process has ended, and reports it if it was not
// told to.
func (d *Driver) poweredOff(m *machine, p *process, status string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.process = nil
	if !m.record.On {
		return // it never came up
	}
	var died *string
	if !p.told {
		why := reason(m.dir, status)
		if p.fault != nil {
			why = *p.fault
		}
		died = &why
	}
	err := m.updateLocked(func(r *record) { r.On, r.Died = false, died })
	if err != nil { // the next driver will find out by itself
		d.log.Error("machine's end is not recorded", "server", m.id, "error", err)
		m.record.On, m.record.Died = false, died
	}
	if died == nil {
		return
	}
	d.log.Warn("machine went off", "server", m.id, "reason", *died)
	d.events.add(compute.Event{ID: m.id, Reason: *died})
}

// observe takes note of what QEMU reports of itself. A guest whose write finds
// no room on the host is paused by QEMU (werror=enospc); nobody could resume it
// through the cloud's API, so it is powered off with a reason instead.
func (d *Driver) observe(m *machine, p *process, event qmp.Event) {
	if event.Event == "BLOCK_IO_ERROR" && event.Data["action"] == "stop" {
		d.giveUp(m, p, diskFull)
	}
}

const diskFull = "The disk of the host is full"

// giveUp powers off a machine that cannot go on.
func (d *Driver) giveUp(m *machine, p *process, why string) {
	m.mu.Lock()
	p.fault = &why
	m.mu.Unlock()
	d.watchers.Go(func() {
		if err := p.end(); err != nil {
			d.log.Error("machine cannot be powered off", "server", m.id, "error", err)
		}
	})
}

package qemu

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/gatehouse-dev/gatehouse/core/compute"
)

// adopt finds the machines of the directory again.
func (d *Driver) adopt() error {
	entries, err := os.ReadDir(d.Dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if _, err := uuid.Parse(entry.Name()); err != nil || !entry.IsDir() {
			continue
		}
		m := d.newMachine(filepath.Join(d.Dir, entry.Name()), entry.Name())
		m.record, err = loadRecord(m.dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = d.sweep(m.dir, m.id)
		case err == nil:
			err = d.adoptMachine(m)
		}
		if err != nil {
			return fmt.Errorf("adopt machine %s: %w", m.id, err)
		}
	}
	return nil
}

// sweep removes what a killed Spawn or Destroy has left.
func (d *Driver) sweep(dir, id string) error {
	p, err := find(dir, id)
	if err != nil {
		return err
	}
	if p != nil {
		defer p.pidfd.Close()
		if err := p.signal(unix.SIGKILL); err != nil {
			return err
		}
		if _, err := p.wait(); err != nil {
			return err
		}
	}
	d.log.Info("removing an unfinished machine", "server", id, "running", p != nil)
	return os.RemoveAll(dir)
}

// sweepTemplate removes what is no template, or not yet.
func (d *Driver) sweepTemplate(t *template) error { return d.sweep(t.dir, t.id) }

func (d *Driver) adoptMachine(m *machine) error {
	p, err := find(m.dir, m.id)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.machines[m.id] = m
	d.mu.Unlock()
	switch {
	case p != nil:
		if err := m.update(func(r *record) { r.On, r.HostBoot, r.Died = true, d.boot, nil }); err != nil {
			return err
		}
		if err := d.follow(m, p); err != nil {
			return err
		}
		d.log.Info("machine found running", "server", m.id, "pid", p.pid)
		d.watchers.Go(func() { d.inspect(m, p) })
	case m.record.On:
		why := reason(m.dir, "")
		if m.record.HostBoot != d.boot {
			why = "The host was restarted"
		}
		if err := m.update(func(r *record) { r.On, r.Died = false, &why }); err != nil {
			return err
		}
	}
	if p == nil && m.record.Died != nil {
		d.log.Warn("machine went off", "server", m.id, "reason", *m.record.Died)
		d.events.add(compute.Event{ID: m.id, Reason: *m.record.Died})
	}
	return nil
}

// inspect sees to what happened to a running machine while nobody listened.
func (d *Driver) inspect(m *machine, p *process) {
	var state struct{ Status string }
	if err := p.monitor.run(context.Background(), "query-status", nil, &state); err != nil {
		d.log.Warn("machine's state is unknown", "server", m.id, "error", err)
		return
	}
	switch state.Status {
	case "io-error":
		d.giveUp(m, p, diskFull)
	case "shutdown": // in a reboot that was cut off
		d.giveUp(m, p, "")
	}
}

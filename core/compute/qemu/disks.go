package qemu

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/digitalocean/go-qemu/qmp"

	"github.com/gatehouse-dev/gatehouse/core/compute"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// unplugTimeout is how long a guest may take to let go of a disk.
const unplugTimeout = 20 * time.Second

// AttachDisk implements compute.Driver.
func (d *Driver) AttachDisk(ctx context.Context, id string, disk compute.Disk) error {
	m, err := d.machine(id)
	if err != nil {
		return err
	}
	m.op.Lock()
	defer m.op.Unlock()
	if p := m.running(); p != nil {
		if err := plug(ctx, p, disk); err != nil {
			return fmt.Errorf("attach disk %s to machine %s: %w", disk.Serial, id, err)
		}
	}
	return m.update(func(r *record) {
		r.Machine.Disks = append(without(r.Machine.Disks, disk.Serial), disk)
	})
}

// DetachDisk implements compute.Driver. It asks QEMU, not the record, whether
// the disk is plugged in, so that it also ends what a kill cut off.
func (d *Driver) DetachDisk(ctx context.Context, id, serial string) error {
	m, err := d.machine(id)
	if err != nil {
		return err
	}
	m.op.Lock()
	defer m.op.Unlock()
	if p := m.running(); p != nil {
		if err := unplug(ctx, p, diskName(serial)); err != nil {
			return fmt.Errorf("detach disk %s from machine %s: %w", serial, id, err)
		}
	}
	return m.update(func(r *record) { r.Machine.Disks = without(r.Machine.Disks, serial) })
}

func without(disks []compute.Disk, serial string) []compute.Disk {
	return slices.DeleteFunc(disks, func(d compute.Disk) bool { return d.Serial == serial })
}

// plug gives a running machine a disk. If it has the disk, nothing is done.
func plug(ctx context.Context, p *process, disk compute.Disk) error {
	name := diskName(disk.Serial)
	plugged, err := hasDevice(ctx, p, name)
	if err != nil || plugged {
		return err
	}
	if err := closeNode(ctx, p, name); err != nil { // left by an unplug that was cut off
		return err
	}
	if err := p.monitor.run(ctx, "blockdev-add", diskNode(disk), nil); err != nil {
		return explain(err.Error(), err)
	}
	if err := p.monitor.run(ctx, "device_add", diskDevice(disk), nil); err != nil {
		return errors.Join(err, closeNode(context.WithoutCancel(ctx), p, name))
	}
	return nil
}

// unplug takes a disk from a running machine, in agreement with the guest, and
// has QEMU close its file.
func unplug(ctx context.Context, p *process, name string) error {
	deleted, stop := p.monitor.await(func(e qmp.Event) bool {
		return e.Event == "DEVICE_DELETED" && e.Data["device"] == name
	})
	defer stop()
	plugged, err := hasDevice(ctx, p, name)
	if err != nil {
		return err
	}
	if plugged {
		if err := p.monitor.run(ctx, "device_del", map[string]string{"id": name}, nil); err != nil &&
			!strings.Contains(err.Error(), "already in the process of unplug") {
			return err
		}
		timer := time.NewTimer(unplugTimeout)
		defer timer.Stop()
		select {
		case <-deleted:
		case <-p.gone:
			return nil // so it has let go of it
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return fault.New(fault.Conflict, "The server did not let go of the volume within %v.", unplugTimeout)
		}
	}
	return closeNode(ctx, p, name)
}

// hasDevice reports whether the machine has a device of this name.
func hasDevice(ctx context.Context, p *process, name string) (bool, error) {
	var devices []struct{ Name string }
	err := p.monitor.run(ctx, "qom-list", map[string]string{"path": "/machine/peripheral"}, &devices)
	return slices.ContainsFunc(devices, func(d struct{ Name string }) bool { return d.Name == name }), err
}

// closeNode has QEMU close a disk's file. It does nothing if it isn't open.
func closeNode(ctx context.Context, p *process, name string) error {
	err := p.monitor.run(ctx, "blockdev-del", map[string]string{"node-name": name}, nil)
	if err != nil && strings.Contains(err.Error(), "Failed to find node") {
		return nil
	}
	return err
}

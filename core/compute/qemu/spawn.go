package qemu

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-dev/gatehouse/core/compute"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Spawn implements compute.Driver. The first one waits until it is known how
// machines are accelerated.
func (d *Driver) Spawn(ctx context.Context, spec compute.Machine) error {
	if err := d.check(spec); err != nil {
		return err
	}
	began := time.Now()
	m, err := d.reserve(spec.ID)
	if err != nil {
		return err
	}
	m.op.Lock()
	defer m.op.Unlock()
	m.record.Machine = spec
	if err := d.build(ctx, m); err != nil {
		return errors.Join(err, d.discard(m))
	}
	d.mu.Lock()
	d.machines[m.id] = m
	d.mu.Unlock()
	d.log.InfoContext(ctx, "machine spawned", "server", m.id, "took", time.Since(began))
	return nil
}

// check refuses what cannot be a machine.
func (d *Driver) check(m compute.Machine) error {
	id, err := uuid.Parse(m.ID)
	switch {
	case err != nil || id.String() != m.ID: // it names a directory
		return fmt.Errorf("id %q of a machine is not a UUID", m.ID)
	case m.VCPUs < 1 || m.MemoryMB < 1:
		return fmt.Errorf("machine %s has %d processors and %d MB", m.ID, m.VCPUs, m.MemoryMB)
	case !validMAC(m.Interface.MAC): // it stands in an option among others
		return fmt.Errorf("machine %s has MAC address %q", m.ID, m.Interface.MAC)
	case m.Interface.Outgoing && !d.OutgoingReachesHost:
		return fault.New(fault.Forbidden, "This host does not let servers open outgoing connections.")
	default:
		return nil
	}
}

func validMAC(mac string) bool {
	_, err := net.ParseMAC(mac)
	return mac == "" || err == nil
}

// reserve takes an id for a machine about to be made.
func (d *Driver) reserve(id string) (*machine, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.machines[id]; ok {
		return nil, fault.New(fault.Conflict, "The host has a machine %s already.", id)
	}
	d.machines[id] = nil
	return d.newMachine(filepath.Join(d.Dir, id), id), nil
}

func (d *Driver) newMachine(dir, id string) *machine {
	return &machine{
		id: id, dir: dir,
		console: &ring{path: filepath.Join(dir, consoleFile), limit: consoleLimit},
	}
}

// build makes a machine's directory and powers the machine on, which writes
// the record: only then is it one.
func (d *Driver) build(ctx context.Context, m *machine) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.Mkdir(m.dir, 0o700); err != nil {
		return explain("", err)
	}
	spec := m.record.Machine
	if spec.Fork {
		if forked, err := d.fork(ctx, m); forked || err != nil {
			return err
		}
	}
	if err := d.overlay(ctx, filepath.Join(m.dir, rootFile), spec.Root, spec.DiskGB); err != nil {
		return err
	}
	if len(spec.ConfigDrive) > 0 {
		if err := os.WriteFile(filepath.Join(m.dir, configFile), spec.ConfigDrive, 0o600); err != nil {
			return explain("", err)
		}
	}
	return d.launch(ctx, m)
}

// overlay makes a disk that starts as a copy of the base image and stores only
// what is changed.
func (d *Driver) overlay(ctx context.Context, file string, base compute.BaseImage, sizeGB int) error {
	args := []string{"create", "-q", "-f", "qcow2", "-b", base.File, "-F", base.Format, file}
	if sizeGB > 0 {
		has, err := virtualSize(base)
		if err != nil {
			return fmt.Errorf("size of image %s: %w", base.File, err)
		}
		size := int64(sizeGB) << 30
		if size < has {
			return fault.New(fault.BadRequest,
				"Flavor's disk is too small for requested image. Flavor disk is %d bytes, image is %d bytes.", size, has)
		}
		args = append(args, strconv.FormatInt(size, 10))
	}
	if out, err := exec.CommandContext(ctx, d.Image, args...).CombinedOutput(); err != nil {
		return explain(strings.TrimSpace(string(out)), fmt.Errorf("make root disk: %w", err))
	}
	return nil
}

// virtualSize is the size of the disk that an image holds, in bytes.
//
// https://www.qemu.org/docs/master/interop/qcow2.html (bytes 24 to 31)
func virtualSize(image compute.BaseImage) (int64, error) {
	f, err := os.Open(image.File)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if image.Format == "raw" {
		return f.Seek(0, io.SeekEnd)
	}
	var header [32]byte
	if _, err := io.ReadFull(f, header[:]); err != nil {
		return 0, err
	}
	if string(header[:4]) != "QFI\xfb" {
		return 0, errors.New("not a qcow2 image")
	}
	return int64(binary.BigEndian.Uint64(header[24:])), nil //nolint:gosec // the image service has checked it
}

// discard removes what a failed Spawn has made.
func (d *Driver) discard(m *machine) error {
	err := removeMachine(m.dir)
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.machines, m.id)
	return err
}

// Destroy implements compute.Driver.
func (d *Driver) Destroy(_ context.Context, id string) error {
	m, err := d.machine(id)
	if err != nil {
		return nil // there is none: as wanted
	}
	m.op.Lock()
	defer m.op.Unlock()
	if p := m.running(); p != nil {
		m.tell(p, true)
		end := p.kill
		if len(m.record.Machine.Disks) > 0 { // which outlive it
			end = p.end
		}
		if err := end(); err != nil {
			return fmt.Errorf("destroy machine %s: %w", id, err)
		}
	}
	if err := removeMachine(m.dir); err != nil {
		return fmt.Errorf("destroy machine %s: %w", id, err)
	}
	d.events.forget(id)
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.machines, id)
	return nil
}

// removeMachine removes a directory, its record first: when it is interrupted,
// the rest is cleaned up by the next driver.
func removeMachine(dir string) error {
	err := os.Remove(filepath.Join(dir, recordFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(dir)
}

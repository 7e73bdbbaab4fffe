package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/digitalocean/go-qemu/qmp"

	"github.com/gatehouse-dev/gatehouse/core/compute"
)

// makeTemplate boots a guest for machines like spec until it says that it is
// ready, and keeps what it then is. When it fails, the caller removes what it
// has made.
func (d *Driver) makeTemplate(ctx context.Context, t *template, spec compute.Machine) error {
	m := d.newMachine(t.dir, t.id)
	m.record.Machine = templateMachine(spec, t.id)
	if err := d.fillTemplate(ctx, t, m.record.Machine); err != nil {
		return err
	}
	p, err := d.bootTemplate(ctx, m)
	if err != nil {
		return err
	}
	// What it does after it has said that it is ready, every fork would have to.
	err = p.settle(ctx, 5*time.Second, 150*time.Millisecond)
	if err == nil {
		err = t.save(ctx, p)
	}
	if err != nil {
		return d.abort(m, p, err)
	}
	if err := p.end(); err != nil {
		return err
	}
	if err := keepOnly(t.dir, rootFile, emptyFile, memoryFile, stateFile); err != nil {
		return err
	}
	return t.seal(spec.Root)
}

// fillTemplate makes the directory and the disks of a template.
func (d *Driver) fillTemplate(ctx context.Context, t *template, m compute.Machine) error {
	if err := t.remove(); err != nil { // what could not be removed before
		return err
	}
	if err := os.Mkdir(t.dir, 0o700); err != nil {
		return err
	}
	disk := filepath.Join(t.dir, rootFile)
	if err := d.overlay(ctx, disk, m.Root, m.DiskGB); err != nil {
		return err
	}
	size, err := virtualSize(compute.BaseImage{File: disk, Format: "qcow2"})
	if err != nil {
		return err
	}
	// The backing file is named, but not looked for (-u): it will lie in the
	// fork's directory.
	empty := exec.CommandContext(ctx, d.Image, "create", "-q", "-f", "qcow2", "-u", "-b", templateFile, "-F", "qcow2",
		filepath.Join(t.dir, emptyFile), strconv.FormatInt(size, 10))
	if out, err := empty.CombinedOutput(); err != nil {
		return fmt.Errorf("make the forks' disk: %w: %s", err, out)
	}
	return os.WriteFile(filepath.Join(t.dir, configFile), m.ConfigDrive, 0o600)
}

// bootTemplate returns when the guest is ready.
func (d *Driver) bootTemplate(ctx context.Context, m *machine) (*process, error) {
	acceleration, err := d.prover.decide(ctx, m.record.Machine.Kernel)
	if err != nil {
		return nil, err
	}
	channel, guest, err := newChannel()
	if err != nil {
		return nil, err
	}
	defer channel.close()
	p, err := d.bringUp(ctx, m, arguments(m.record.Machine, acceleration, variant{memory: memoryFile, shared: true}), guest)
	guest.Close()
	if p == nil {
		return nil, err
	}
	if err == nil {
		err = channel.expect(ctx, saysReady, d.templates.timeout)
	}
	if err != nil {
		err = d.abort(m, p, err)
		console, readErr := m.console.bytes()
		return nil, errors.Join(fmt.Errorf("%w; the guest's console ends in %q", err, lastLines(console, 3)), readErr)
	}
	return p, nil
}

// settle waits until the guest is idle, as it is if a look at it finds that it
// took less than a tenth of a processor since the last one. One that goes on
// working is not waited for any longer than most.
func (p *process) settle(ctx context.Context, most, look time.Duration) error {
	timeout, again := time.NewTimer(most), time.NewTicker(look)
	defer timeout.Stop()
	defer again.Stop()
	before := time.Duration(0)
	for {
		used, err := p.processorTime()
		if err != nil {
			return err
		}
		if before > 0 && used-before <= look/10 {
			return nil
		}
		before = used
		select {
		case <-again.C:
		case <-timeout.C:
			return nil
		case <-p.gone:
			return errors.New("QEMU ended before its guest was idle")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// processorTime is how much of it the process has had: proc_pid_stat(5).
func (p *process) processorTime() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return 0, err
	}
	_, fields, _ := strings.Cut(string(text), ") ") // the name may hold anything
	var state string
	var skipped, user, system int64
	n := &skipped
	if _, err := fmt.Sscan(fields, &state, n, n, n, n, n, n, n, n, n, n, &user, &system); err != nil {
		return 0, fmt.Errorf("processor time of process %d: %w", p.pid, err)
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every host
	return time.Duration(user+system) * tick, nil
}

// save writes the state of a template's QEMU into a file, after which it does
// not run any more.
func (t *template) save(ctx context.Context, p *process) error {
	state, err := os.OpenFile(filepath.Join(t.dir, stateFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer state.Close()
	status := ""
	over, stop := p.monitor.await(func(e qmp.Event) bool {
		said, _ := e.Data["status"].(string)
		if e.Event == "MIGRATION" && (said == "completed" || said == "failed") {
			status = said
		}
		return status != ""
	})
	defer stop()
	if err := p.monitor.run(ctx, "migrate-set-capabilities", capabilities("x-ignore-shared", "events"), nil); err != nil {
		return err
	}
	if err := p.monitor.runWithFile(ctx, "getfd", map[string]string{"fdname": stateFile}, state, nil); err != nil {
		return err
	}
	if err := p.monitor.run(ctx, "migrate", map[string]string{"uri": "fd:" + stateFile}, nil); err != nil {
		return err
	}
	select {
	case <-over:
	case <-p.gone:
		return errors.New("QEMU ended while it saved its state")
	case <-ctx.Done():
		return ctx.Err()
	}
	if status != "completed" {
		return errors.New("QEMU could not save its state")
	}
	return nil
}

// capabilities switches features of QEMU's migration on. With x-ignore-shared,
// memory that is a shared file is not part of what is saved, nor of what is
// loaded.
func capabilities(names ...string) any {
	type capability struct {
		Name  string `json:"capability"`
		State bool   `json:"state"`
	}
	list := make([]capability, len(names))
	for i, name := range names {
		list[i] = capability{name, true}
	}
	return map[string]any{"capabilities": list}
}

// keepOnly removes all but the given files from a directory.
func keepOnly(dir string, names ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	keep := map[string]bool{}
	for _, name := range names {
		keep[name] = true
	}
	for _, entry := range entries {
		if !keep[entry.Name()] {
			if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

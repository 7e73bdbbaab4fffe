package qemu

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/digitalocean/go-qemu/qmp"

	"github.com/gatehouse-dev/gatehouse/core/compute"
)

// forkConfigSize is the size of the config drive of a template, and so of its
// forks, in bytes. The guest has seen it.
const forkConfigSize = 2 << 20

// How long a fork may take for each step. It takes a fraction of a second; what
// takes longer than these does not work.
const (
	loadTimeout   = 30 * time.Second // QEMU, to load its state
	forkedTimeout = 30 * time.Second // the guest, to take on its identity
)

// Prepare implements compute.Preparer: what takes long is to build a template.
func (d *Driver) Prepare(ctx context.Context, m compute.Machine) <-chan struct{} {
	if !m.Fork || obstacle(m) != "" || d.check(m) != nil {
		return nil
	}
	id, _, err := d.forkPlan(ctx, m)
	if err != nil {
		return nil // Spawn will say so
	}
	return d.templates.prepare(id, m)
}

// forkPlan is which template a machine forks from, and how it is accelerated.
func (d *Driver) forkPlan(ctx context.Context, m compute.Machine) (template string, a Acceleration, err error) {
	if a, err = d.prover.decide(ctx, m.Kernel); err != nil {
		return "", a, err
	}
	template, err = d.templateID(ctx, m, a)
	return template, a, err
}

// obstacle says why a machine cannot fork; nothing if it can.
func obstacle(m compute.Machine) string {
	switch {
	case m.Kernel == "":
		return "its image has no kernel of its own, whose command line would tell the guest"
	case len(m.ConfigDrive) == 0:
		return "it has no config drive, from which it would learn who it is"
	case len(m.ConfigDrive) > forkConfigSize:
		return fmt.Sprintf("its config drive has %d bytes, more than %d", len(m.ConfigDrive), forkConfigSize)
	default:
		return ""
	}
}

// errTemplateBroken says that no fork of a template will do better.
var errTemplateBroken = errors.New("template is broken")

// fork tries to make a machine from a template. Where that fails for a reason
// that a boot would not fail for as well, the log says so, the machine's
// directory is empty again, and forked is false.
func (d *Driver) fork(ctx context.Context, m *machine) (forked bool, err error) {
	began := time.Now()
	if why := obstacle(m.record.Machine); why != "" {
		err = errors.New(why)
	} else {
		err = d.forkFromTemplate(ctx, m)
	}
	switch {
	case err == nil:
		return true, nil
	case ctx.Err() != nil, errors.Is(err, compute.ErrAddressInUse):
		return false, err
	}
	d.log.WarnContext(ctx, "forking failed, booting", "server", m.id, "took", time.Since(began), "reason", err)
	m.record.Layered = false
	return false, keepOnly(m.dir)
}

func (d *Driver) forkFromTemplate(ctx context.Context, m *machine) error {
	id, acceleration, err := d.forkPlan(ctx, m.record.Machine)
	if err != nil {
		return err
	}
	t, err := d.templates.acquire(ctx, id, m.record.Machine)
	if err != nil {
		return err
	}
	defer d.templates.release(t)
	// A fork is work for a processor. Of more at once than there are
	// processors, all would be late; so they take turns.
	select {
	case d.forking <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	err = d.takeTurn(ctx, m, t, acceleration)
	d.watchers.Go(func() {
		defer func() { <-d.forking }()
		d.letAnswer(m)
	})
	if errors.Is(err, errTemplateBroken) && ctx.Err() == nil {
		d.templates.condemn(t, err)
	}
	return err
}

func (d *Driver) takeTurn(ctx context.Context, m *machine, t *template, a Acceleration) error {
	if err := m.layOut(t); err != nil {
		return explain("", err)
	}
	return d.launchFork(ctx, m, t, a)
}

// letAnswer returns when a fork's guest is idle. A turn lasts till then, for
// whoever asked for the machine speaks with it at once, in a guest of which TCG
// has translated little yet; if the next fork began already, both would be
// late. What else a guest does is waited for no longer than answerTime.
func (d *Driver) letAnswer(m *machine) {
	const (
		answerTime = 400 * time.Millisecond
		look       = 40 * time.Millisecond
	)
	p := m.running()
	if p == nil {
		return // it did not become one
	}
	if err := p.settle(context.Background(), answerTime, look); err != nil {
		d.log.Debug("fork's turn ends", "server", m.id, "reason", err)
	}
}

// layOut puts the files of a fork into its directory.
func (m *machine) layOut(t *template) error {
	m.record.Layered = true
	if err := t.outfit(m.dir); err != nil {
		return err
	}
	padded := make([]byte, forkConfigSize)
	copy(padded, m.record.Machine.ConfigDrive)
	return os.WriteFile(filepath.Join(m.dir, configFile), padded, 0o600)
}

// launchFork runs a fork until it is the machine that was asked for, and the
// record says so.
func (d *Driver) launchFork(ctx context.Context, m *machine, t *template, a Acceleration) error {
	began := time.Now()
	memory, err := filepath.Rel(m.dir, filepath.Join(t.dir, memoryFile))
	if err != nil {
		return err
	}
	state, err := os.Open(filepath.Join(t.dir, stateFile))
	if err != nil {
		return err
	}
	defer state.Close()
	channel, guest, err := newChannel()
	if err != nil {
		return err
	}
	defer channel.close()
	spec := m.record.Machine
	spec.Disks = nil // the template has none: they are plugged in later
	p, err := d.bringUp(ctx, m, arguments(spec, a, variant{memory: memory, layered: true}), guest, state)
	guest.Close()
	if p == nil {
		return err
	}
	started := time.Now()
	if err == nil {
		err = p.load(ctx)
	}
	loaded := time.Now()
	if err == nil {
		err = d.individuate(ctx, m, p, channel)
	}
	if err == nil {
		err = m.poweredOn(p, d.boot)
	}
	if err != nil {
		return d.abort(m, p, blame(p, err))
	}
	d.log.InfoContext(ctx, "machine forked", "server", m.id, "template", t.id, "took", time.Since(began),
		"qemu", started.Sub(began), "load", loaded.Sub(started), "guest", time.Since(loaded))
	return nil
}

// load has a fork's QEMU load its state and run the guest.
func (p *process) load(ctx context.Context) error {
	running, stop := p.monitor.await(func(e qmp.Event) bool { return e.Event == "RESUME" })
	defer stop()
	if err := p.monitor.run(ctx, "migrate-set-capabilities", capabilities("x-ignore-shared"), nil); err != nil {
		return err
	}
	if err := p.monitor.run(ctx, "migrate-incoming", map[string]string{"uri": fmt.Sprintf("fd:%d", stateFD)}, nil); err != nil {
		return err
	}
	timer := time.NewTimer(loadTimeout)
	defer timer.Stop()
	select {
	case <-running:
		return nil
	case <-p.gone:
		return fmt.Errorf("%w: QEMU ended while it loaded it", errTemplateBroken)
	case <-timer.C:
		return fmt.Errorf("%w: QEMU did not load it within %v", errTemplateBroken, loadTimeout)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// individuate makes the guest of a fork the machine's own: an identity, then
// the volumes. Who the guest is, is for it to say only once.
func (d *Driver) individuate(ctx context.Context, m *machine, p *process, c channel) error {
	id := identity{Seed: make([]byte, 64), UUID: m.id, MAC: m.record.Machine.Interface.MAC}
	if _, err := rand.Read(id.Seed); err != nil {
		return err
	}
	id.Time = time.Now().UnixNano()
	err := c.introduce(id, d.forkedTimeout)
	if err == nil {
		err = c.expect(ctx, saysForked, d.forkedTimeout)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errTemplateBroken, err)
	}
	for _, disk := range m.record.Machine.Disks {
		if err := plug(ctx, p, disk); err != nil {
			return fmt.Errorf("attach disk %s: %w", disk.Serial, err)
		}
	}
	return nil
}

// blame takes the blame off the template if QEMU was killed from outside, as
// by a host out of memory.
func blame(p *process, err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	timer := time.NewTimer(quitTimeout)
	defer timer.Stop()
	select {
	case <-p.gone: // soon: it closed the channel
	case <-timer.C:
		return err
	}
	if p.status == killed {
		return errors.New("QEMU was killed")
	}
	return err
}

// killed is the status of a process that was killed: os.ProcessState.
const killed = "signal: killed"

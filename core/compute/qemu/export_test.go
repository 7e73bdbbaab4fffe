package qemu

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/digitalocean/go-qemu/qmp"

	"github.com/gatehouse-dev/gatehouse/core/compute"
)

// Archive makes a ramdisk of programs by name.
func Archive(files map[string][]byte) []byte {
	programs := make([]program, 0, len(files))
	for name, data := range files {
		programs = append(programs, program{name, data})
	}
	return cpio(programs...)
}

// PID is the process of a running machine.
func (d *Driver) PID(id string) int { return d.machines[id].running().pid }

// What the command line and the log are made of.
var (
	DiskName  = diskName
	LastLines = lastLines
)

// Arguments is the command line of a machine that boots.
func Arguments(m compute.Machine, a Acceleration) []string { return arguments(m, a, variant{}) }

// TemplateArguments is that of a template for machines like m.
func TemplateArguments(m compute.Machine, a Acceleration) []string {
	return arguments(templateMachine(m, "3d0c6a52-8a0e-5b58-9b1f-6d7c3a1f0e42"), a, variant{memory: memoryFile, shared: true})
}

// ForkArguments is that of a fork.
func ForkArguments(m compute.Machine, a Acceleration) []string {
	return arguments(m, a, variant{memory: "../templates/3d0c6a52-8a0e-5b58-9b1f-6d7c3a1f0e42/memory", layered: true})
}

// Ring is a bounded log.
type Ring struct{ *ring }

// NewRing makes a ring.
func NewRing(path string, limit int64) Ring { return Ring{&ring{path: path, limit: limit}} }

func (r Ring) Write(p []byte) error   { return r.write(p) }
func (r Ring) Bytes() ([]byte, error) { return r.bytes() }

// Prover decides between accelerators.
type Prover struct{ *prover }

// NewProver makes a prover for a host whose KVM device is the given file, with
// a kernel of its own or none. It proves with the given function.
func NewProver(dir, device, kernel, boot string, log *slog.Logger, prove func(ctx context.Context, kernel string) error) Prover {
	p := &prover{
		dir: dir, mode: "auto", device: device, log: log, kernel: kernel, prove: prove,
		key: func(kernel string) string { return proofKey(boot, "/bin/true", kernel) },
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.begin()
	return Prover{p}
}

// Decide is what a machine's Spawn asks.
func (p Prover) Decide(ctx context.Context, kernel string) (Acceleration, error) {
	return p.decide(ctx, kernel)
}

// Stop is what Close does.
func (p Prover) Stop() { p.stop() }

// Proof boots a kernel to user space.
var Proof = proof

// Monitor speaks QMP.
type Monitor struct{ *monitor }

// NewMonitor makes a monitor of the QEMU in a directory.
func NewMonitor(dir string, onEvent func(qmp.Event)) Monitor {
	return Monitor{newMonitor(dir, onEvent)}
}

// Run executes a command.
func (m Monitor) Run(ctx context.Context, command string, result any) error {
	return m.run(ctx, command, nil, result)
}

// Close ends the connection.
func (m Monitor) Close() { m.close() }

// Within calls f with a short path.
var Within = within

// Channel is the driver's end of a channel.
type Channel struct{ channel }

// NewChannel makes a channel, and the guest's end of it.
func NewChannel(t *testing.T) (Channel, *os.File) {
	t.Helper()
	c, guest, err := newChannel()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.close()
		guest.Close()
	})
	return Channel{c}, guest
}

// Expect waits for the guest to say a word.
func (c Channel) Expect(ctx context.Context, word string, timeout time.Duration) error {
	return c.expect(ctx, word, timeout)
}

// Introduce tells the guest who it is.
func (c Channel) Introduce(now time.Time, seed []byte, uuid, mac string) error {
	return c.introduce(identity{now.UnixNano(), seed, uuid, mac}, 10*time.Millisecond)
}

// Close ends the channel.
func (c Channel) Close() { c.close() }

// SealTemplate makes a template of a directory's files.
func SealTemplate(dir string, base compute.BaseImage) error {
	return (&template{dir: dir}).seal(base)
}

// Templates are those of a host that runs no QEMU.
type Templates struct {
	*templates
	mu   sync.Mutex
	used map[string]*template
}

// NewTemplates makes a set of templates whose directories are filled by build.
func NewTemplates(dir string, log *slog.Logger, diskMB, memoryMB int, build func(ctx context.Context, dir string) error) (*Templates, error) {
	s, err := newTemplates(dir, log, (*template).remove)
	if err != nil {
		return nil, err
	}
	s.budget.disk, s.budget.memory = int64(diskMB)<<20, int64(memoryMB)<<20
	s.build = func(ctx context.Context, t *template, _ compute.Machine) error {
		if err := build(ctx, t.dir); err != nil {
			return err
		}
		return t.load()
	}
	return &Templates{templates: s, used: map[string]*template{}}, nil
}

// Dir is the directory of a template.
func (s *Templates) Dir(id string) string { return s.template(id).dir }

// Acquire uses a template.
func (s *Templates) Acquire(ctx context.Context, id string) error {
	t, err := s.acquire(ctx, id, compute.Machine{})
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.used[id] = t
	}
	return err
}

// Release ends the use.
func (s *Templates) Release(id string) { s.release(s.used[id]) }

// Condemn says that no fork of a template works.
func (s *Templates) Condemn(id string, why error) { s.condemn(s.used[id], why) }

// Prepare begins to build a template.
func (s *Templates) Prepare(id string) <-chan struct{} { return s.prepare(id, compute.Machine{}) }

// Stop ends all builds.
func (s *Templates) Stop() { s.stop() }

// TemplateID names the template of a machine.
func (d *Driver) TemplateID(ctx context.Context, m compute.Machine) (string, error) {
	id, _, err := d.forkPlan(ctx, m)
	return id, err
}

// HurryTemplates gives the guests of templates and forks less time.
func (d *Driver) HurryTemplates(ready, forked time.Duration) {
	d.templates.timeout, d.forkedTimeout = ready, forked
}

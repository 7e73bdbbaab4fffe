package qemu

import (
	"context"
	"log/slog"

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

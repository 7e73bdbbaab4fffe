package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Acceleration is how machines run, and why so.
type Acceleration struct {
	Name   string // "kvm" or "tcg"
	Reason string // for people
}

// arguments choose the accelerator and the processor that the guest sees.
//
// Under TCG, vCPUs run on threads of their own. The buffer of translated code
// is bounded, since by default each QEMU may fill 1 GiB. Of the processors, max
// has AVX2, with which a guest copies memory two to five times as fast as with
// the vectors of qemu64 or Nehalem; in all else they are alike. Without erms
// and fsrm a Linux guest copies and clears its pages by words rather than
// bytes, which are a step each to TCG: go test and golangci-lint take a fifth
// less. Without la57, page tables have a level less to walk.
func (a Acceleration) arguments() []string {
	if a.Name == "kvm" {
		return []string{"-accel", "kvm", "-cpu", "host"}
	}
	return []string{"-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max,erms=off,fsrm=off,la57=off"}
}

// prover finds out whether KVM works, once per boot of the host.
//
// That /dev/kvm is there and opens proves nothing: on a nested host, it may
// create machines and never run one. So a Linux kernel is booted under KVM
// until it runs a program; see proof. The kernel is that of Config, else the
// host's own, else that of the first machine which has one; until there is
// one, machines run under TCG.
type prover struct {
	dir    string
	mode   string // Config.Accel
	device string // /dev/kvm
	log    *slog.Logger
	kernel string // "": none yet
	prove  func(ctx context.Context, kernel string) error
	key    func(kernel string) string

	ctx    context.Context //nolint:containedctx // the driver's life: the proof belongs to no call
	cancel context.CancelFunc

	mu      sync.Mutex
	decided *Acceleration
	proving chan struct{} // closed when the proof is over; nil: none yet
}

func newProver(d *Driver) *prover {
	p := &prover{
		dir: d.Dir, mode: d.Accel, device: "/dev/kvm", log: d.log, kernel: d.Kernel,
		prove: func(ctx context.Context, kernel string) error {
			return proof(ctx, d.System, filepath.Join(d.Dir, proofRamdisk), kernel, Acceleration{Name: "kvm"}, proofTimeout)
		},
		key: func(kernel string) string { return proofKey(d.boot, d.System, kernel) },
	}
	if p.kernel == "" {
		p.kernel = hostKernel()
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// begin decides at once if it can, else in the background if there is a
// kernel to prove it with.
func (p *prover) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.mode != "auto":
		p.settle(Acceleration{Name: p.mode, Reason: "configured"})
	case !p.usable():
	case p.kernel != "":
		p.startProof(p.kernel)
	}
}

// usable reports whether KVM is worth trying; if not, it is decided. The lock
// is held.
func (p *prover) usable() bool {
	f, err := os.OpenFile(p.device, os.O_RDWR, 0)
	if err == nil {
		f.Close()
		return true
	}
	why := err.Error()
	if errors.Is(err, fs.ErrPermission) {
		why += " (its group is kvm)"
	}
	p.settle(Acceleration{Name: "tcg", Reason: why})
	return false
}

// decide returns how a machine with the given kernel ("" for none) runs. It
// waits for the proof if there is one.
func (p *prover) decide(ctx context.Context, kernel string) (Acceleration, error) {
	p.mu.Lock()
	if p.decided == nil && p.proving == nil && kernel != "" {
		p.startProof(kernel)
	}
	decided, proving := p.decided, p.proving
	p.mu.Unlock()
	switch {
	case decided != nil:
		return *decided, nil
	case proving == nil:
		return Acceleration{Name: "tcg", Reason: "no kernel to prove KVM with"}, nil
	}
	select {
	case <-proving:
		return p.decide(ctx, "")
	case <-ctx.Done():
		return Acceleration{}, ctx.Err()
	}
}

// startProof boots the kernel in the background, unless this was done since
// the host was booted. The lock is held.
func (p *prover) startProof(kernel string) {
	key := p.key(kernel)
	if known, ok := loadProof(p.dir, key); ok {
		p.settle(known)
		return
	}
	over := make(chan struct{})
	p.proving = over
	go func() {
		defer close(over)
		err := p.prove(p.ctx, kernel)
		p.mu.Lock()
		defer p.mu.Unlock()
		result := Acceleration{Name: "kvm", Reason: "a kernel booted to user space under KVM"}
		if err != nil {
			result = Acceleration{Name: "tcg", Reason: "KVM does not run Linux here: " + err.Error()}
		}
		if p.ctx.Err() == nil {
			saveProof(p.dir, key, result, p.log)
		}
		p.settle(result)
	}()
}

// settle decides. The lock is held.
func (p *prover) settle(a Acceleration) {
	p.decided = &a
	p.log.Info("acceleration", "accelerator", a.Name, "reason", a.Reason)
}

// stop ends a proof and waits for that.
func (p *prover) stop() {
	p.cancel()
	p.mu.Lock()
	proving := p.proving
	p.mu.Unlock()
	if proving != nil {
		<-proving
	}
}

// Acceleration reports how machines run. It is not known (false) before the
// proof is over.
func (d *Driver) Acceleration() (Acceleration, bool) {
	d.prover.mu.Lock()
	defer d.prover.mu.Unlock()
	if d.prover.decided == nil {
		return Acceleration{}, false
	}
	return *d.prover.decided, true
}

// hostKernel is the kernel that the host runs, or "" if it cannot be read.
func hostKernel() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return ""
	}
	path := "/boot/vmlinuz-" + unix.ByteSliceToString(name.Release[:])
	if f, err := os.Open(path); err == nil {
		f.Close()
		return path
	}
	return ""
}

// proofFile holds the outcome of the last proof.
const proofFile = "acceleration.json"

type provenResult struct {
	Key string
	Acceleration
}

// proofKey changes with all that a proof depends on: the host's boot (and so
// its processor and kernel), QEMU, and the guest's kernel.
func proofKey(boot, program, kernel string) string {
	key := []string{boot}
	for _, path := range []string{program, kernel} {
		if info, err := os.Stat(path); err == nil {
			key = append(key, fmt.Sprintf("%s:%d:%d", path, info.Size(), info.ModTime().UnixNano()))
		}
	}
	return strings.Join(key, " ")
}

func loadProof(dir, key string) (Acceleration, bool) {
	var result provenResult
	text, err := os.ReadFile(filepath.Join(dir, proofFile))
	if err != nil || json.Unmarshal(text, &result) != nil || result.Key != key {
		return Acceleration{}, false
	}
	return result.Acceleration, true
}

func saveProof(dir, key string, a Acceleration, log *slog.Logger) {
	text, err := json.Marshal(provenResult{Key: key, Acceleration: a})
	if err == nil {
		err = writeFile(filepath.Join(dir, proofFile), text)
	}
	if err != nil {
		log.Warn("acceleration will be proven again", "error", err)
	}
}

package qemu_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/compute/qemu"
)

// kvmHost is a host with a KVM device, of which a proof with the kernel "good"
// finds that it works.
type kvmHost struct {
	dir, boot string
	proven    []string // the kernels that a proof was made with
}

func (h *kvmHost) prover(kernel string) qemu.Prover {
	prove := func(ctx context.Context, kernel string) error {
		h.proven = append(h.proven, kernel)
		switch kernel {
		case "good":
			return nil
		case "hangs":
			<-ctx.Done()
			return ctx.Err()
		default:
			return errors.New("it never came up")
		}
	}
	return qemu.NewProver(h.dir, "/dev/null", kernel, h.boot, slog.New(slog.DiscardHandler), prove)
}

func requireDecision(t *testing.T, p qemu.Prover, kernel, want, why string) {
	t.Helper()
	a, err := p.Decide(t.Context(), kernel)
	require.NoError(t, err)
	assert.Equal(t, want, a.Name)
	assert.Contains(t, a.Reason, why)
}

func TestKVMIsUsedOnlyOnceProven(t *testing.T) {
	h := &kvmHost{dir: t.TempDir(), boot: "1"}
	p := h.prover("good")
	requireDecision(t, p, "", "kvm", "user space")
	p.Stop()

	h = &kvmHost{dir: t.TempDir(), boot: "1"}
	p = h.prover("bad")
	requireDecision(t, p, "", "tcg", "it never came up")
	p.Stop()
}

func TestProofIsMadeOncePerBootOfTheHost(t *testing.T) {
	h := &kvmHost{dir: t.TempDir(), boot: "1"}
	for range 3 {
		p := h.prover("bad")
		requireDecision(t, p, "good", "tcg", "it never came up")
		p.Stop()
	}
	assert.Equal(t, []string{"bad"}, h.proven)

	h.boot = "2"
	p := h.prover("bad")
	requireDecision(t, p, "", "tcg", "it never came up")
	p.Stop()
	assert.Equal(t, []string{"bad", "bad"}, h.proven)
}

func TestFirstMachineWithAKernelProves(t *testing.T) {
	h := &kvmHost{dir: t.TempDir(), boot: "1"}
	p := h.prover("")
	defer p.Stop()
	requireDecision(t, p, "", "tcg", "no kernel")
	requireDecision(t, p, "good", "kvm", "user space")
	requireDecision(t, p, "", "kvm", "user space")
	assert.Equal(t, []string{"good"}, h.proven)
}

func TestHostWithoutKVMIsNotProven(t *testing.T) {
	for device, why := range map[string]string{
		filepath.Join(t.TempDir(), "none"): "no such file",
	} {
		p := qemu.NewProver(t.TempDir(), device, "good", "1", slog.New(slog.DiscardHandler), nil)
		requireDecision(t, p, "good", "tcg", why)
		p.Stop()
	}
}

func TestSpawnWaitsForTheProofButNotForEver(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := &kvmHost{dir: dir, boot: "1"}
		p := h.prover("hangs")
		ctx, cancel := context.WithCancel(t.Context())
		waited := make(chan error)
		go func() {
			_, err := p.Decide(ctx, "")
			waited <- err
		}()
		synctest.Wait()
		select {
		case err := <-waited:
			require.Fail(t, "it did not wait", err)
		default:
		}
		cancel()
		require.ErrorIs(t, <-waited, context.Canceled)

		p.Stop()
		p = h.prover("hangs")
		synctest.Wait()
		assert.Len(t, h.proven, 2, "a proof that was cut off is made again")
		p.Stop()
	})
}

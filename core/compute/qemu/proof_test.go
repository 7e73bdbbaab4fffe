//go:build e2e

package qemu_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/compute/qemu"
)

// TestProofTellsLinuxInUserSpaceFromAllElse makes the proof with TCG, which
// works everywhere.
func TestProofTellsLinuxInUserSpaceFromAllElse(t *testing.T) {
	g, err := guest()
	require.NoError(t, err)
	const system = "/usr/bin/qemu-system-x86_64"
	ramdisk := filepath.Join(t.TempDir(), "ramdisk")
	tcg := qemu.Acceleration{Name: "tcg"}
	require.NoError(t, qemu.Proof(t.Context(), system, ramdisk, g.kernel, tcg, timeout))

	// Linux's first bytes up to its real-mode code boot, and hang after.
	kernel, err := os.ReadFile(g.kernel)
	require.NoError(t, err)
	clear(kernel[64<<10:])
	broken := filepath.Join(t.TempDir(), "vmlinuz")
	require.NoError(t, os.WriteFile(broken, kernel, 0o600))
	require.Error(t, qemu.Proof(t.Context(), system, ramdisk, broken, tcg, 5*time.Second))

	require.Error(t, qemu.Proof(t.Context(), system, ramdisk, os.DevNull, tcg, 5*time.Second))
}

// TestMachineBootsHoweverTheHostAccelerates holds where KVM works, where there
// is none, and where it seems to be there but runs nothing.
func TestMachineBootsHoweverTheHostAccelerates(t *testing.T) {
	h := newHost(t)
	g, err := guest()
	require.NoError(t, err)
	require.NoError(t, h.driver.Close())
	h.driver, err = qemu.New(qemu.Config{
		Dir: h.dir, Kernel: g.kernel, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	require.NoError(t, err)
	m := h.spawn(t, asItIs)
	h.requireSays(t, m.ID, "guest: up")
	acceleration, known := h.driver.Acceleration()
	require.True(t, known)
	require.NotEmpty(t, acceleration.Reason)
}

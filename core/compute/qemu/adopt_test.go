//go:build e2e

package qemu_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/compute"
	"github.com/gatehouse-dev/gatehouse/core/compute/qemu"
)

// TestMachinesOutliveAKilledGatehouse has another process spawn machines on the
// host, kills that when its second machine has got so far that it has a certain
// file, and expects that each machine is then whole, or gone.
func TestMachinesOutliveAKilledGatehouse(t *testing.T) {
	for _, file := range []string{"root.qcow2", "qmp.sock", "qemu.pid", "machine.json"} {
		t.Run(file, func(t *testing.T) {
			h := newHost(t)
			require.NoError(t, h.driver.Close())
			spawned := h.spawnElsewhere(t, file)
			h.open(t)
			ids, err := h.driver.Machines(t.Context())
			require.NoError(t, err)
			assert.Subset(t, ids, spawned)
			assert.LessOrEqual(t, len(ids), len(spawned)+1)
			for _, id := range ids {
				power, err := h.driver.Power(t.Context(), id)
				require.NoError(t, err)
				assert.Equal(t, compute.On, power)
			}
			assert.Len(t, qemusIn(t, h.dir), len(ids), "no process is left over")
			directories, err := filepath.Glob(filepath.Join(h.dir, "*-*"))
			require.NoError(t, err)
			assert.Len(t, directories, len(ids), "no directory is left over")
			for _, id := range ids {
				h.requireSays(t, id, "guest: up")
				require.NoError(t, h.driver.Destroy(t.Context(), id))
			}
			assert.Empty(t, qemusIn(t, h.dir))
		})
	}
}

// spawnElsewhere returns the machines whose Spawn had returned in a process
// that was killed when two machines had the given file.
func (h *host) spawnElsewhere(t *testing.T, file string) (ids []string) {
	t.Helper()
	g, err := guest()
	require.NoError(t, err)
	var out bytes.Buffer
	cmd := exec.Command(os.Args[0], "-test.run=^$", "-spawner", strings.Join([]string{h.dir, h.image, g.kernel, g.ramdisk}, "|"))
	cmd.Stdout = &out
	require.NoError(t, cmd.Start())
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline); {
		has, err := filepath.Glob(filepath.Join(h.dir, "*", file))
		require.NoError(t, err)
		if len(has) >= 2 {
			break
		}
	}
	require.NoError(t, cmd.Process.Kill())
	require.ErrorContains(t, cmd.Wait(), "killed")
	for line := range strings.Lines(out.String()) {
		if id, ok := strings.CutPrefix(line, "spawned "); ok {
			ids = append(ids, strings.TrimSpace(id))
		}
	}
	require.NotEmpty(t, ids)
	return ids
}

// spawner is what the process of spawnElsewhere does.
func spawner(dir, image, kernel, ramdisk string) error {
	driver, err := qemu.New(qemu.Config{Dir: dir, Accel: "tcg", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	for {
		m := compute.Machine{
			ID: uuid.NewString(), VCPUs: 1, MemoryMB: 256, Root: compute.BaseImage{File: image, Format: "raw"},
			Kernel: kernel, Ramdisk: ramdisk, CommandLine: commandLine,
		}
		if err := driver.Spawn(context.Background(), m); err != nil {
			return err
		}
		fmt.Println("spawned", m.ID)
	}
}

// qemusIn are the processes that work in a directory of the host.
func qemusIn(t *testing.T, dir string) (pids []string) {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	require.NoError(t, err)
	for _, link := range links {
		if cwd, err := os.Readlink(link); err == nil && strings.HasPrefix(cwd, dir) {
			pids = append(pids, filepath.Base(filepath.Dir(link)))
		}
	}
	return pids
}

func TestUnfinishedMachineIsSweptWithItsProcess(t *testing.T) {
	h := newHost(t)
	m := h.spawn(t, asItIs)
	pid := h.driver.PID(m.ID)
	require.NoError(t, h.driver.Close())
	require.NoError(t, os.Remove(filepath.Join(h.dir, m.ID, "machine.json")))
	h.open(t)
	ids, err := h.driver.Machines(t.Context())
	require.NoError(t, err)
	assert.Empty(t, ids)
	require.Eventually(t, func() bool { return !alive(pid) }, timeout, 10*time.Millisecond)
	assert.NoDirExists(t, filepath.Join(h.dir, m.ID))
}

func TestStrangerWithARecycledPIDIsLeftAlone(t *testing.T) {
	h := newHost(t)
	m := h.spawn(t, asItIs)
	pid := h.driver.PID(m.ID)
	require.NoError(t, h.driver.Close())
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	require.Eventually(t, func() bool { return !alive(pid) }, timeout, 10*time.Millisecond)
	pidFile := filepath.Join(h.dir, m.ID, "qemu.pid")
	require.NoError(t, os.WriteFile(pidFile, fmt.Appendln(nil, os.Getpid()), 0o600))
	h.open(t)
	power, err := h.driver.Power(t.Context(), m.ID)
	require.NoError(t, err)
	assert.Equal(t, compute.Off, power)
	require.NoError(t, h.driver.Destroy(t.Context(), m.ID))
}

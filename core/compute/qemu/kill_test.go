//go:build e2e

package qemu_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/compute"
	"github.com/gatehouse-dev/gatehouse/core/compute/qemu"
)

// TestFiftyKilledGatehousesLeaveNothing has other processes fork and destroy
// machines, one after the other, and kills each at a random moment: the first
// ones while they build the template. The next one, as in the end the test's
// own driver, must find all that was left.
func TestFiftyKilledGatehousesLeaveNothing(t *testing.T) {
	h := newHost(t)
	require.NoError(t, h.driver.Close())
	random := rand.New(rand.NewPCG(3, 50))
	for range 4 {
		h.cycleElsewhere(t, time.Duration(random.Int64N(int64(3*time.Second))))
	}
	h.open(t)
	warm := h.spawn(t, forkable)
	h.requireForked(t, warm.ID)
	require.NoError(t, h.driver.Destroy(t.Context(), warm.ID))
	require.NoError(t, h.driver.Close())
	for range 46 {
		h.cycleElsewhere(t, time.Duration(random.Int64N(int64(600*time.Millisecond))))
	}

	h.open(t)
	ids, err := h.driver.Machines(t.Context())
	require.NoError(t, err)
	for _, id := range ids { // those that were whole
		require.NoError(t, h.driver.Destroy(t.Context(), id))
	}
	assert.Empty(t, qemusIn(t, h.dir))
	h.requireTemplates(t, 1)
	last := h.spawn(t, forkable)
	h.requireForked(t, last.ID)
	require.NoError(t, h.driver.Destroy(t.Context(), last.ID))

	entries, err := os.ReadDir(h.dir)
	require.NoError(t, err)
	for _, entry := range entries {
		assert.Contains(t, []string{"lock", "templates"}, entry.Name())
	}
	files, err := filepath.Glob(filepath.Join(h.dir, "templates", "*", "*"))
	require.NoError(t, err)
	assert.Len(t, files, 5, "disk, empty overlay, memory, state and record")
}

// cycleElsewhere kills a process that forks and destroys machines a while
// after it has begun.
func (h *host) cycleElsewhere(t *testing.T, after time.Duration) {
	t.Helper()
	g, err := guest()
	require.NoError(t, err)
	cmd := exec.Command(os.Args[0], "-test.run=^$", "-cycler", strings.Join([]string{h.dir, h.image, g.kernel, g.ramdisk}, "|"))
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan(), "the driver is open")
	require.Equal(t, "open", lines.Text())
	timer := time.AfterFunc(after, func() { assert.NoError(t, cmd.Process.Kill()) })
	defer timer.Stop()
	for lines.Scan() {
		assert.Fail(t, "a cycle failed", lines.Text())
	}
	require.ErrorContains(t, cmd.Wait(), "killed")
}

// cycler is what the process of cycleElsewhere does. It returns what failed.
func cycler(dir, image, kernel, ramdisk string) error {
	driver, err := qemu.New(qemu.Config{Dir: dir, Accel: "tcg", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	fmt.Println("open")
	for {
		ids, err := driver.Machines(context.Background())
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := driver.Destroy(context.Background(), id); err != nil {
				return err
			}
		}
		m := compute.Machine{
			ID: uuid.NewString(), VCPUs: 1, MemoryMB: 256, Root: compute.BaseImage{File: image, Format: "raw"},
			Kernel: kernel, Ramdisk: ramdisk, CommandLine: commandLine,
		}
		forkable(&m)
		if err := driver.Spawn(context.Background(), m); err != nil {
			return err
		}
	}
}

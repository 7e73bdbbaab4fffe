//go:build e2e

package qemu_test

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/compute"
	"github.com/gatehouse-dev/gatehouse/core/compute/drivertest"
	"github.com/gatehouse-dev/gatehouse/core/compute/qemu"
)

// timeout is how long something may take that takes seconds, on a busy host
// without KVM.
const timeout = 3 * time.Minute

// commandLine is what the tests' guests are booted with. On a busy host, a
// kernel that checks whether its timer ticks may find that it doesn't.
const commandLine = "console=ttyS0 quiet panic=-1 no_timer_check"

// cache holds Debian's cloud kernel; see scripts/fetch-kernel.sh.
const cache = "../../../.cache/kernel"

// guest is what the tests' machines boot: Debian's kernel and testdata/guest.
var guest = sync.OnceValues(func() (g struct{ kernel, ramdisk, dir string }, err error) {
	if out, err := exec.Command("../../../scripts/fetch-kernel.sh").CombinedOutput(); err != nil {
		return g, &exec.Error{Name: string(out), Err: err}
	}
	if g.kernel, err = filepath.Abs(filepath.Join(cache, "vmlinuz")); err != nil {
		return g, err
	}
	if g.dir, err = os.MkdirTemp("", "guest"); err != nil {
		return g, err
	}
	init := filepath.Join(g.dir, "init")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", init, "./testdata/guest")
	build.Env = append(build.Environ(), "CGO_ENABLED=0", "GOARCH=amd64", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		return g, &exec.Error{Name: string(out), Err: err}
	}
	files := map[string][]byte{}
	if files["init"], err = os.ReadFile(init); err != nil {
		return g, err
	}
	err = filepath.WalkDir(filepath.Join(cache, "modules"), func(path string, _ os.DirEntry, err error) error {
		name := filepath.Base(path)
		if err != nil || !strings.HasSuffix(name, ".ko") || !needed[strings.TrimSuffix(name, ".ko")] {
			return err
		}
		files[name], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		return g, err
	}
	g.ramdisk = filepath.Join(g.dir, "ramdisk")
	return g, os.WriteFile(g.ramdisk, qemu.Archive(files), 0o600)
})

// needed are the modules that testdata/guest loads.
var needed = map[string]bool{
	"virtio": true, "virtio_ring": true, "virtio_pci_legacy_dev": true, "virtio_pci_modern_dev": true,
	"virtio_pci": true, "virtio_blk": true, "failover": true, "net_failover": true, "virtio_net": true,
	"button": true, "evdev": true,
}

var (
	spawnerArgs = flag.String("spawner", "", "be the process that TestMachinesOutliveAKilledGatehouse kills")
	cyclerArgs  = flag.String("cycler", "", "be one that TestFiftyKilledGatehousesLeaveNothing kills")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if args := strings.Split(*spawnerArgs, "|"); len(args) == 4 {
		fmt.Println(spawner(args[0], args[1], args[2], args[3]))
		os.Exit(1)
	}
	if args := strings.Split(*cyclerArgs, "|"); len(args) == 4 {
		fmt.Println(cycler(args[0], args[1], args[2], args[3]))
		os.Exit(1)
	}
	status := m.Run()
	if g, err := guest(); err == nil {
		os.RemoveAll(g.dir)
	}
	os.Exit(status)
}

// host is a directory with machines.
type host struct {
	dir    string
	driver *qemu.Driver
	image  string
	system string // the program; "": QEMU
	log    journal
}

// journal is what drivers have logged.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// count is how often a text was logged.
func (j *journal) count(text string) int { return strings.Count(j.String(), text) }

// newHost makes a host without machines. What it still has in the end is
// destroyed.
func newHost(tb testing.TB) *host {
	tb.Helper()
	h := &host{dir: filepath.Join(tb.TempDir(), strings.Repeat("a long name ", 10)), image: filepath.Join(tb.TempDir(), "image")}
	require.NoError(tb, os.WriteFile(h.image, make([]byte, 1<<20), 0o600))
	tb.Cleanup(func() {
		ids, err := h.driver.Machines(tb.Context())
		require.NoError(tb, err)
		for _, id := range ids {
			require.NoError(tb, h.driver.Destroy(tb.Context(), id))
		}
		require.NoError(tb, h.driver.Close())
	})
	h.open(tb)
	return h
}

func (h *host) open(tb testing.TB) *qemu.Driver {
	tb.Helper()
	driver, err := qemu.New(qemu.Config{
		Dir: h.dir, Accel: "tcg", OutgoingReachesHost: true, System: h.system,
		Log: slog.New(slog.NewTextHandler(io.MultiWriter(tb.Output(), &h.log), nil)),
	})
	require.NoError(tb, err)
	h.driver = driver
	return driver
}

// reopen makes a driver as a restarted Gatehouse would.
func (h *host) reopen(t *testing.T) compute.Driver {
	t.Helper()
	require.NoError(t, h.driver.Close())
	return h.open(t)
}

// machine describes a machine that boots the test's guest.
func (h *host) machine(tb testing.TB) compute.Machine {
	tb.Helper()
	g, err := guest()
	require.NoError(tb, err)
	return compute.Machine{
		ID: uuid.NewString(), Name: tb.Name(), VCPUs: 1, MemoryMB: 256,
		Root:   compute.BaseImage{File: h.image, Format: "raw"},
		Kernel: g.kernel, Ramdisk: g.ramdisk, CommandLine: commandLine,
	}
}

func (h *host) disk(t *testing.T) compute.Disk {
	t.Helper()
	disk := compute.Disk{Serial: uuid.NewString(), Format: "raw"}
	disk.File = filepath.Join(t.TempDir(), disk.Serial)
	require.NoError(t, os.WriteFile(disk.File, make([]byte, 1<<20), 0o600))
	return disk
}

func (h *host) kill(t *testing.T, id string) {
	t.Helper()
	require.NoError(t, syscall.Kill(h.driver.PID(id), syscall.SIGKILL))
}

func TestDriver(t *testing.T) {
	drivertest.Run(t, setUp)
}

func setUp(t *testing.T) drivertest.Setup {
	t.Helper()
	return newHost(t).setup()
}

func (h *host) setup() drivertest.Setup {
	return drivertest.Setup{
		Driver: h.driver,
		Machine: func(t *testing.T) compute.Machine {
			t.Helper()
			return h.machine(t)
		},
		Disk:    h.disk,
		Boot:    "guest: up",
		Kill:    h.kill,
		Reopen:  h.reopen,
		Timeout: timeout,
	}
}

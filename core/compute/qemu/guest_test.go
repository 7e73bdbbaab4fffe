//go:build e2e

package qemu_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/compute"
	"github.com/gatehouse-dev/gatehouse/core/compute/qemu"
)

// requireSays waits until the guest has written a text to its console.
func (h *host) requireSays(t *testing.T, id, text string) string {
	t.Helper()
	var console []byte
	said := func() bool {
		var err error
		console, err = h.driver.Console(t.Context(), id, -1)
		return err == nil && strings.Contains(string(console), text)
	}
	if !assert.Eventually(t, said, timeout, 10*time.Millisecond) {
		require.Failf(t, "the guest never said it", "%q is not in:\n%s", text, console)
	}
	return string(console)
}

func (h *host) spawn(t *testing.T, change func(m *compute.Machine)) compute.Machine {
	t.Helper()
	m := h.machine(t)
	change(&m)
	require.NoError(t, h.driver.Spawn(t.Context(), m))
	return m
}

func asItIs(*compute.Machine) {}

func TestGuestShutsDownWithinGrace(t *testing.T) {
	h := newHost(t)
	events := h.driver.Events(t.Context())
	m := h.spawn(t, asItIs)
	h.requireSays(t, m.ID, "guest: up")
	began := time.Now()
	require.NoError(t, h.driver.Stop(t.Context(), m.ID, 10))
	assert.Less(t, time.Since(began), timeout)
	h.requireSays(t, m.ID, "guest: powering off")

	require.NoError(t, h.driver.Start(t.Context(), m.ID))
	require.NoError(t, h.driver.Destroy(t.Context(), m.ID))
	assert.Empty(t, events)
}

func TestGuestRebootsWithinGrace(t *testing.T) {
	h := newHost(t)
	m := h.spawn(t, asItIs)
	h.requireSays(t, m.ID, "guest: up")
	pid := h.driver.PID(m.ID)
	require.NoError(t, h.driver.Reboot(t.Context(), m.ID, 10))
	console := h.requireSays(t, m.ID, "guest: powering off")
	require.Eventually(t, func() bool {
		text, err := h.driver.Console(t.Context(), m.ID, -1)
		return err == nil && strings.Count(string(text), "guest: up") == 2
	}, timeout, 10*time.Millisecond, console)
	assert.Equal(t, pid, h.driver.PID(m.ID), "QEMU and its devices stay")

	events := h.driver.Events(t.Context())
	require.NoError(t, h.driver.Stop(t.Context(), m.ID, 10), "and its power button works as before")
	assert.Empty(t, events)
}

func TestDeafGuestIsRebootedByForce(t *testing.T) {
	h := newHost(t)
	m := h.spawn(t, func(m *compute.Machine) { m.CommandLine += " guest.deaf" })
	h.requireSays(t, m.ID, "guest: up")
	require.NoError(t, h.driver.Reboot(t.Context(), m.ID, 1))
	require.Eventually(t, func() bool {
		text, err := h.driver.Console(t.Context(), m.ID, -1)
		return err == nil && strings.Count(string(text), "guest: up") == 2
	}, timeout, 10*time.Millisecond)
}

func TestGuestThatPowersOffIsReportedWithoutAReason(t *testing.T) {
	h := newHost(t)
	events := h.driver.Events(t.Context())
	m := h.spawn(t, func(m *compute.Machine) { m.CommandLine += " guest.off" })
	select {
	case event := <-events:
		assert.Equal(t, compute.Event{ID: m.ID}, event)
	case <-time.After(timeout):
		require.Fail(t, "no event")
	}
}

func TestGuestThatPowersOffUnseenIsReportedLater(t *testing.T) {
	h := newHost(t)
	m := h.spawn(t, func(m *compute.Machine) { m.CommandLine += " guest.off" })
	pid := h.driver.PID(m.ID)
	require.NoError(t, h.driver.Close())
	require.Eventually(t, func() bool { return !alive(pid) }, timeout, 10*time.Millisecond)
	select {
	case event := <-h.open(t).Events(t.Context()):
		assert.Equal(t, compute.Event{ID: m.ID}, event)
	case <-time.After(timeout):
		require.Fail(t, "no event")
	}
}

// alive reports whether a process runs; one that has ended but was not waited
// for does not.
func alive(pid int) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && len(line) > 0
}

func TestHostTerminatingQEMUIsNotTheGuestsWish(t *testing.T) {
	h := newHost(t)
	events := h.driver.Events(t.Context())
	m := h.spawn(t, asItIs)
	process, err := os.FindProcess(h.driver.PID(m.ID))
	require.NoError(t, err)
	require.NoError(t, process.Signal(os.Interrupt))
	select {
	case event := <-events:
		assert.Contains(t, event.Reason, "terminating on signal 2")
	case <-time.After(timeout):
		require.Fail(t, "no event")
	}
}

func TestPortIsForwardedToTheGuest(t *testing.T) {
	h := newHost(t)
	address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 101, 7, 9}), freePort(t))
	m := h.spawn(t, func(m *compute.Machine) {
		m.Interface = compute.Interface{
			MAC: "fa:16:3e:00:00:01", Address: address.Addr(),
			Ports: []compute.Forward{{Host: int(address.Port()), Guest: 22}},
		}
	})
	h.requireSays(t, m.ID, "guest: up")
	c, err := net.DialTimeout("tcp", address.String(), timeout)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(timeout)))
	greeting, err := io.ReadAll(c)
	require.NoError(t, err)
	assert.Equal(t, "hello from the guest\n", string(greeting))
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.101.7.9:0")
	require.NoError(t, err)
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String()).Port()
}

// TestGuestReachesNothing tries from inside what a guest could reach. The
// second machine, with outgoing connections, proves that the attempts would
// succeed if they were let.
func TestGuestReachesNothing(t *testing.T) {
	service, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer service.Close()
	go func() {
		for {
			c, err := service.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(c, "a service of the host")
			c.Close()
		}
	}()
	_, port, err := net.SplitHostPort(service.Addr().String())
	require.NoError(t, err)
	loopback := "tcp:10.0.2.2:" + port
	probe := " guest.probe=" + strings.Join([]string{
		loopback, "tcp:10.0.2.3:53", "udp:10.0.2.3:53", "udp:10.0.2.2:53", "tcp:10.0.2.4:139",
	}, ",")

	h := newHost(t)
	closed := h.spawn(t, func(m *compute.Machine) { m.CommandLine += probe })
	open := h.spawn(t, func(m *compute.Machine) {
		m.CommandLine += probe
		m.Interface.Outgoing = true
	})
	assert.NotContains(t, h.requireSays(t, closed.ID, "guest: probed"), "guest: reached")
	assert.Contains(t, h.requireSays(t, open.ID, "guest: probed"), "guest: reached "+loopback)
}

func TestGuestSeesDisksComeAndGoAndKeepTheirData(t *testing.T) {
	h := newHost(t)
	disk := h.disk(t)
	seen := disk.Serial[:20]
	first, second := h.spawn(t, asItIs), h.spawn(t, asItIs)
	h.requireSays(t, first.ID, "guest: up")
	require.NoError(t, h.driver.AttachDisk(t.Context(), first.ID, disk))
	h.requireSays(t, first.ID, "guest: disk "+seen+` holds "" <nil>`)

	err := h.driver.AttachDisk(t.Context(), second.ID, disk)
	require.Error(t, err, "two machines must not write one disk")

	require.NoError(t, h.driver.DetachDisk(t.Context(), first.ID, disk.Serial))
	h.requireSays(t, first.ID, "guest: disk "+seen+" is gone")
	text, err := os.ReadFile(disk.File)
	require.NoError(t, err)
	require.Equal(t, "written by guest", string(text[:16]))

	disk.ReadOnly = true
	require.NoError(t, h.driver.AttachDisk(t.Context(), second.ID, disk))
	h.requireSays(t, second.ID, "guest: disk "+seen+` holds "written by guest"`)
}

func TestFloodOfOutputIsBounded(t *testing.T) {
	h := newHost(t)
	m := h.spawn(t, func(m *compute.Machine) { m.CommandLine += " guest.flood" })
	h.requireSays(t, m.ID, "guest: flooded") // 2.5 MiB later
	console, err := h.driver.Console(t.Context(), m.ID, -1)
	require.NoError(t, err)
	assert.Len(t, console, 1<<20)
	assert.LessOrEqual(t, h.logged(t, m.ID), int64(2<<20))
}

// logged is how many bytes of console output the host stores.
func (h *host) logged(t *testing.T, id string) (size int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(h.dir, id, "console.log*"))
	require.NoError(t, err)
	for _, file := range files {
		info, err := os.Stat(file)
		require.NoError(t, err)
		size += info.Size()
	}
	return size
}

func TestOutputWaitsForARestartedDriver(t *testing.T) {
	h := newHost(t)
	m := h.spawn(t, func(m *compute.Machine) { m.CommandLine += " guest.flood" })
	require.NoError(t, h.driver.Close())
	before := h.logged(t, m.ID)
	h.open(t)
	h.requireSays(t, m.ID, "guest: flooded")
	assert.Less(t, before, int64(1<<20))
}

func TestSpawnIsGivenUpWithItsContext(t *testing.T) {
	h := newHost(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond) // QEMU takes longer to answer
	defer cancel()
	require.Error(t, h.driver.Spawn(ctx, h.machine(t)))
	entries, err := filepath.Glob(filepath.Join(h.dir, "*-*"))
	require.NoError(t, err)
	assert.Empty(t, entries)
}

// TestFullDiskOfTheHostPowersOff has QEMU find no room (ENOSPC, 28) for the
// first thing that the guest writes to its root disk.
func TestFullDiskOfTheHostPowersOff(t *testing.T) {
	h := newHost(t)
	require.NoError(t, h.driver.Close())
	full := script(t, `
for arg; do
	shift
	set -- "$@" "$(printf %s "$arg" | sed 's|"file":\({"driver":"file","filename":"root.qcow2"[^}]*}[^}]*}\)|"file":{"driver":"blkdebug","inject-error":[{"event":"write_aio","errno":28}],"image":\1}|')"
done
exec /usr/bin/qemu-system-x86_64 "$@"`)
	var err error
	h.driver, err = qemu.New(qemu.Config{Dir: h.dir, Accel: "tcg", System: full, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	require.NoError(t, err)
	events := h.driver.Events(t.Context())
	m := h.spawn(t, asItIs)
	select {
	case event := <-events:
		assert.Equal(t, compute.Event{ID: m.ID, Reason: "The disk of the host is full"}, event)
	case <-time.After(timeout):
		require.Fail(t, "no event")
	}
	power, err := h.driver.Power(t.Context(), m.ID)
	require.NoError(t, err)
	assert.Equal(t, compute.Off, power)
}

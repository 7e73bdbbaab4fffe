// Package drivertest is what every compute.Driver must do, as a test suite.
// The fake driver and QEMU's pass the same tests, so that what is proven on
// top of the one holds for the other.
package drivertest

import (
	"bytes"
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/compute"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Setup is a driver under test, on a host without machines, and what it takes
// to work on it from outside.
type Setup struct {
	Driver compute.Driver

	// Machine describes a machine that the driver can run, with an ID that no
	// other has, no forwarded ports and no volumes.
	Machine func(t *testing.T) compute.Machine

	// Disk makes a small empty volume with a serial that no other has.
	Disk func(t *testing.T) compute.Disk

	// Boot is what a machine writes to its console, once, each time it boots.
	Boot string

	// Kill ends a running machine behind the driver's back, as the host's
	// kernel does when it is out of memory.
	Kill func(t *testing.T, id string)

	// Reopen returns a driver on the same host as a restarted service would
	// make it; the former one had no time to tidy up and is not used again.
	Reopen func(t *testing.T) compute.Driver

	// Timeout is how long a machine may take to boot, to be reported dead, or
	// to be stopped. Zero means ten seconds.
	Timeout time.Duration
}

// Run tests the driver that make gives; it makes a new one for each test.
func Run(t *testing.T, make func(t *testing.T) Setup) {
	t.Helper()
	tests := map[string]func(t *testing.T, s *Setup){
		"a spawned machine runs and is listed":          testSpawn,
		"spawning a machine twice leaves the first":     testSpawnTwice,
		"a failed spawn leaves nothing":                 testSpawnCancelled,
		"two machines cannot share a port":              testAddressInUse,
		"a stopped machine stays and starts again":      testStopStart,
		"a reboot boots the machine again":              testReboot,
		"a destroyed machine is gone":                   testDestroy,
		"what there is not is not found":                testUnknown,
		"the console gives the last lines":              testConsole,
		"a machine that dies is reported with a reason": testKill,
		"what was asked for is not reported":            testNoEvent,
		"a restarted driver finds its machines":         testReopen,
		"a death that nobody saw is reported later":     testReopenAfterDeath,
		"the channel of events closes with its context": testEventsClose,
		"a disk moves from machine to machine":          testDisks,
		"disks stay plugged over a stop and start":      testDiskStays,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := make(t)
			if s.Timeout == 0 {
				s.Timeout = 10 * time.Second
			}
			t.Cleanup(func() { destroyAll(t, s.Driver) }) // the reopened one, if it was
			test(t, &s)
		})
	}
}

func destroyAll(t *testing.T, d compute.Driver) {
	t.Helper()
	ids, err := d.Machines(context.Background())
	assert.NoError(t, err)
	for _, id := range ids {
		assert.NoError(t, d.Destroy(context.Background(), id))
	}
}

func (s *Setup) spawn(t *testing.T) compute.Machine {
	t.Helper()
	m := s.Machine(t)
	require.NoError(t, s.Driver.Spawn(t.Context(), m))
	return m
}

func requirePower(t *testing.T, d compute.Driver, id string, want compute.Power) {
	t.Helper()
	power, err := d.Power(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, want, power)
}

func requireGone(t *testing.T, d compute.Driver, id string) {
	t.Helper()
	_, err := d.Power(t.Context(), id)
	require.True(t, fault.Is(err, fault.NotFound), "power of a machine that is gone: %v", err)
	ids, err := d.Machines(t.Context())
	require.NoError(t, err)
	require.NotContains(t, ids, id)
}

// requireBoots waits until the machine has booted at least so many times.
func (s *Setup) requireBoots(t *testing.T, id string, times int) {
	t.Helper()
	require.Eventually(t, func() bool {
		console, err := s.Driver.Console(t.Context(), id, -1)
		return err == nil && bytes.Count(console, []byte(s.Boot)) >= times
	}, s.Timeout, s.Timeout/1000, "the console never showed %d boots", times)
}

// requireEvent takes the next event.
func (s *Setup) requireEvent(t *testing.T, events <-chan compute.Event) compute.Event {
	t.Helper()
	select {
	case event, ok := <-events:
		require.True(t, ok, "events ended")
		return event
	case <-time.After(s.Timeout):
		require.Fail(t, "no event")
		return compute.Event{}
	}
}

func testSpawn(t *testing.T, s *Setup) {
	m := s.spawn(t)
	requirePower(t, s.Driver, m.ID, compute.On)
	ids, err := s.Driver.Machines(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{m.ID}, ids)
	s.requireBoots(t, m.ID, 1)
}

func testSpawnTwice(t *testing.T, s *Setup) {
	m := s.spawn(t)
	require.Error(t, s.Driver.Spawn(t.Context(), m))
	requirePower(t, s.Driver, m.ID, compute.On)
}

func testSpawnCancelled(t *testing.T, s *Setup) {
	m := s.Machine(t)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, s.Driver.Spawn(cancelled, m))
	requireGone(t, s.Driver, m.ID)
}

func testAddressInUse(t *testing.T, s *Setup) {
	inUse := compute.Interface{
		MAC:     "fa:16:3e:00:00:01",
		Address: netip.AddrFrom4([4]byte{127, 101, 102, 103}),
		Ports:   []compute.Forward{{Host: 20022, Guest: 22}},
	}
	first, second := s.Machine(t), s.Machine(t)
	first.Interface, second.Interface = inUse, inUse
	require.NoError(t, s.Driver.Spawn(t.Context(), first))
	require.ErrorIs(t, s.Driver.Spawn(t.Context(), second), compute.ErrAddressInUse)
	requireGone(t, s.Driver, second.ID)

	require.NoError(t, s.Driver.Destroy(t.Context(), first.ID))
	require.NoError(t, s.Driver.Spawn(t.Context(), second), "the address is free again")
}

func testStopStart(t *testing.T, s *Setup) {
	m := s.spawn(t)
	for range 2 {
		require.NoError(t, s.Driver.Stop(t.Context(), m.ID, 0))
		requirePower(t, s.Driver, m.ID, compute.Off)
	}
	ids, err := s.Driver.Machines(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{m.ID}, ids)
	for range 2 {
		require.NoError(t, s.Driver.Start(t.Context(), m.ID))
		requirePower(t, s.Driver, m.ID, compute.On)
	}
	s.requireBoots(t, m.ID, 1)

	require.NoError(t, s.Driver.Stop(t.Context(), m.ID, 1), "a guest that does not answer is stopped by force")
	requirePower(t, s.Driver, m.ID, compute.Off)
}

func testReboot(t *testing.T, s *Setup) {
	m := s.spawn(t)
	s.requireBoots(t, m.ID, 1)
	require.NoError(t, s.Driver.Reboot(t.Context(), m.ID, 0))
	requirePower(t, s.Driver, m.ID, compute.On)
	s.requireBoots(t, m.ID, 2)

	require.NoError(t, s.Driver.Stop(t.Context(), m.ID, 0))
	require.NoError(t, s.Driver.Reboot(t.Context(), m.ID, 0))
	requirePower(t, s.Driver, m.ID, compute.On)
}

func testDestroy(t *testing.T, s *Setup) {
	running, stopped := s.spawn(t), s.spawn(t)
	require.NoError(t, s.Driver.Stop(t.Context(), stopped.ID, 0))
	for _, m := range []compute.Machine{running, stopped} {
		for range 2 {
			require.NoError(t, s.Driver.Destroy(t.Context(), m.ID))
			requireGone(t, s.Driver, m.ID)
		}
	}
	require.NoError(t, s.Driver.Spawn(t.Context(), running), "its id may be used again")
}

func testUnknown(t *testing.T, s *Setup) {
	ctx, id := t.Context(), uuid.NewString()
	_, powerErr := s.Driver.Power(ctx, id)
	_, consoleErr := s.Driver.Console(ctx, id, 10)
	for name, err := range map[string]error{
		"Start":      s.Driver.Start(ctx, id),
		"Stop":       s.Driver.Stop(ctx, id, 0),
		"Reboot":     s.Driver.Reboot(ctx, id, 0),
		"AttachDisk": s.Driver.AttachDisk(ctx, id, s.Disk(t)),
		"DetachDisk": s.Driver.DetachDisk(ctx, id, "none"),
		"Power":      powerErr,
		"Console":    consoleErr,
	} {
		assert.True(t, fault.Is(err, fault.NotFound), "%s: %v", name, err)
	}
}

func testConsole(t *testing.T, s *Setup) {
	m := s.spawn(t)
	s.requireBoots(t, m.ID, 1)
	none, err := s.Driver.Console(t.Context(), m.ID, 0)
	require.NoError(t, err)
	assert.Empty(t, none)
	one, err := s.Driver.Console(t.Context(), m.ID, 1)
	require.NoError(t, err)
	assert.Equal(t, 1, bytes.Count(append(bytes.TrimSuffix(one, []byte("\n")), '\n'), []byte("\n")), "%q", one)

	require.NoError(t, s.Driver.Stop(t.Context(), m.ID, 0))
	all, err := s.Driver.Console(t.Context(), m.ID, -1)
	require.NoError(t, err)
	assert.Contains(t, string(all), s.Boot, "a stopped machine's console can be read")
}

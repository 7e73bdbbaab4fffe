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

// suite is one test's Setup.
type suite struct {
	Setup
	t *testing.T
}

// Run tests the driver that setUp gives, which is called for each test.
func Run(t *testing.T, setUp func(t *testing.T) Setup) {
	t.Helper()
	tests := map[string]func(*suite){
		"a spawned machine runs and is listed":          (*suite).testSpawn,
		"spawning a machine twice leaves the first":     (*suite).testSpawnTwice,
		"a failed spawn leaves nothing":                 (*suite).testSpawnCancelled,
		"two machines cannot share a port":              (*suite).testAddressInUse,
		"a stopped machine stays and starts again":      (*suite).testStopStart,
		"a reboot boots the machine again":              (*suite).testReboot,
		"a destroyed machine is gone":                   (*suite).testDestroy,
		"what there is not is not found":                (*suite).testUnknown,
		"the console gives the last lines":              (*suite).testConsole,
		"a machine that dies is reported with a reason": (*suite).testKill,
		"what was asked for is not reported":            (*suite).testNoEvent,
		"a restarted driver finds its machines":         (*suite).testReopen,
		"a death that nobody saw is reported later":     (*suite).testReopenAfterDeath,
		"the channel of events closes with its context": (*suite).testEventsClose,
		"a disk moves from machine to machine":          (*suite).testDisks,
		"disks stay plugged over a stop and start":      (*suite).testDiskStays,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := &suite{Setup: setUp(t), t: t}
			if s.Timeout == 0 {
				s.Timeout = 10 * time.Second
			}
			t.Cleanup(func() { destroyAll(t, s.Driver) }) // the reopened one, if it was
			test(s)
		})
	}
}

func destroyAll(t *testing.T, d compute.Driver) {
	t.Helper()
	ids, err := d.Machines(context.Background())
	if !assert.NoError(t, err) {
		return
	}
	for _, id := range ids {
		assert.NoError(t, d.Destroy(context.Background(), id))
	}
}

func (s *suite) spawn() compute.Machine {
	s.t.Helper()
	m := s.Machine(s.t)
	require.NoError(s.t, s.Driver.Spawn(s.t.Context(), m))
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
func (s *suite) requireBoots(id string, times int) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		console, err := s.Driver.Console(s.t.Context(), id, -1)
		return err == nil && bytes.Count(console, []byte(s.Boot)) >= times
	}, s.Timeout, s.Timeout/1000, "the console never showed %d boots", times)
}

// requireEvent takes the next event.
func (s *suite) requireEvent(events <-chan compute.Event) compute.Event {
	s.t.Helper()
	select {
	case event, ok := <-events:
		require.True(s.t, ok, "events ended")
		return event
	case <-time.After(s.Timeout):
		require.Fail(s.t, "no event")
		return compute.Event{}
	}
}

func (s *suite) testSpawn() {
	m := s.spawn()
	requirePower(s.t, s.Driver, m.ID, compute.On)
	ids, err := s.Driver.Machines(s.t.Context())
	require.NoError(s.t, err)
	assert.Equal(s.t, []string{m.ID}, ids)
	s.requireBoots(m.ID, 1)
}

func (s *suite) testSpawnTwice() {
	m := s.spawn()
	require.Error(s.t, s.Driver.Spawn(s.t.Context(), m))
	requirePower(s.t, s.Driver, m.ID, compute.On)
}

func (s *suite) testSpawnCancelled() {
	m := s.Machine(s.t)
	cancelled, cancel := context.WithCancel(s.t.Context())
	cancel()
	require.Error(s.t, s.Driver.Spawn(cancelled, m))
	requireGone(s.t, s.Driver, m.ID)
}

func (s *suite) testAddressInUse() {
	inUse := compute.Interface{
		MAC:     "fa:16:3e:00:00:01",
		Address: netip.AddrFrom4([4]byte{127, 101, 102, 103}),
		Ports:   []compute.Forward{{Host: 20022, Guest: 22}},
	}
	first, second := s.Machine(s.t), s.Machine(s.t)
	first.Interface, second.Interface = inUse, inUse
	require.NoError(s.t, s.Driver.Spawn(s.t.Context(), first))
	require.ErrorIs(s.t, s.Driver.Spawn(s.t.Context(), second), compute.ErrAddressInUse)
	requireGone(s.t, s.Driver, second.ID)

	require.NoError(s.t, s.Driver.Destroy(s.t.Context(), first.ID))
	require.NoError(s.t, s.Driver.Spawn(s.t.Context(), second), "the address is free again")
}

func (s *suite) testStopStart() {
	m := s.spawn()
	for range 2 {
		require.NoError(s.t, s.Driver.Stop(s.t.Context(), m.ID, 0))
		requirePower(s.t, s.Driver, m.ID, compute.Off)
	}
	ids, err := s.Driver.Machines(s.t.Context())
	require.NoError(s.t, err)
	assert.Equal(s.t, []string{m.ID}, ids)
	for range 2 {
		require.NoError(s.t, s.Driver.Start(s.t.Context(), m.ID))
		requirePower(s.t, s.Driver, m.ID, compute.On)
	}
	s.requireBoots(m.ID, 1)

	require.NoError(s.t, s.Driver.Stop(s.t.Context(), m.ID, 1), "a guest that does not answer is stopped by force")
	requirePower(s.t, s.Driver, m.ID, compute.Off)
}

func (s *suite) testReboot() {
	m := s.spawn()
	s.requireBoots(m.ID, 1)
	require.NoError(s.t, s.Driver.Reboot(s.t.Context(), m.ID, 0))
	requirePower(s.t, s.Driver, m.ID, compute.On)
	s.requireBoots(m.ID, 2)

	require.NoError(s.t, s.Driver.Stop(s.t.Context(), m.ID, 0))
	require.NoError(s.t, s.Driver.Reboot(s.t.Context(), m.ID, 0))
	requirePower(s.t, s.Driver, m.ID, compute.On)
}

func (s *suite) testDestroy() {
	running, stopped := s.spawn(), s.spawn()
	require.NoError(s.t, s.Driver.Stop(s.t.Context(), stopped.ID, 0))
	for _, m := range []compute.Machine{running, stopped} {
		for range 2 {
			require.NoError(s.t, s.Driver.Destroy(s.t.Context(), m.ID))
			requireGone(s.t, s.Driver, m.ID)
		}
	}
	require.NoError(s.t, s.Driver.Spawn(s.t.Context(), running), "its id may be used again")
}

func (s *suite) testUnknown() {
	ctx, id := s.t.Context(), uuid.NewString()
	_, powerErr := s.Driver.Power(ctx, id)
	_, consoleErr := s.Driver.Console(ctx, id, 10)
	for name, err := range map[string]error{
		"Start":      s.Driver.Start(ctx, id),
		"Stop":       s.Driver.Stop(ctx, id, 0),
		"Reboot":     s.Driver.Reboot(ctx, id, 0),
		"AttachDisk": s.Driver.AttachDisk(ctx, id, s.Disk(s.t)),
		"DetachDisk": s.Driver.DetachDisk(ctx, id, "none"),
		"Power":      powerErr,
		"Console":    consoleErr,
	} {
		assert.True(s.t, fault.Is(err, fault.NotFound), "%s: %v", name, err)
	}
}

func (s *suite) testConsole() {
	m := s.spawn()
	s.requireBoots(m.ID, 1)
	none, err := s.Driver.Console(s.t.Context(), m.ID, 0)
	require.NoError(s.t, err)
	assert.Empty(s.t, none)
	one, err := s.Driver.Console(s.t.Context(), m.ID, 1)
	require.NoError(s.t, err)
	assert.Equal(s.t, 1, bytes.Count(append(bytes.TrimSuffix(one, []byte("\n")), '\n'), []byte("\n")), "%q", one)

	require.NoError(s.t, s.Driver.Stop(s.t.Context(), m.ID, 0))
	all, err := s.Driver.Console(s.t.Context(), m.ID, -1)
	require.NoError(s.t, err)
	assert.Contains(s.t, string(all), s.Boot, "a stopped machine's console can be read")
}

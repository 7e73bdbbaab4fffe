package drivertest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/compute"
)

func testKill(t *testing.T, s *Setup) {
	events := s.Driver.Events(t.Context())
	m := s.spawn(t)
	s.Kill(t, m.ID)
	event := s.requireEvent(t, events)
	assert.Equal(t, m.ID, event.ID)
	assert.NotEmpty(t, event.Reason)
	requirePower(t, s.Driver, m.ID, compute.Off)

	require.NoError(t, s.Driver.Start(t.Context(), m.ID), "it can be started again")
	requirePower(t, s.Driver, m.ID, compute.On)
	s.Kill(t, m.ID)
	assert.Equal(t, m.ID, s.requireEvent(t, events).ID, "and its next death is reported, too")
}

func testNoEvent(t *testing.T, s *Setup) {
	events := s.Driver.Events(t.Context())
	stopped, rebooted, destroyed, killed := s.spawn(t), s.spawn(t), s.spawn(t), s.spawn(t)
	require.NoError(t, s.Driver.Stop(t.Context(), stopped.ID, 0))
	require.NoError(t, s.Driver.Reboot(t.Context(), rebooted.ID, 0))
	require.NoError(t, s.Driver.Destroy(t.Context(), destroyed.ID))
	s.Kill(t, killed.ID)
	assert.Equal(t, killed.ID, s.requireEvent(t, events).ID, "the only one that went off by itself")
}

func testReopen(t *testing.T, s *Setup) {
	running, stopped := s.spawn(t), s.spawn(t)
	s.requireBoots(t, running.ID, 1)
	require.NoError(t, s.Driver.Stop(t.Context(), stopped.ID, 0))

	s.Driver = s.Reopen(t)
	events := s.Driver.Events(t.Context())
	requirePower(t, s.Driver, running.ID, compute.On)
	requirePower(t, s.Driver, stopped.ID, compute.Off)
	s.requireBoots(t, running.ID, 1)
	require.NoError(t, s.Driver.Start(t.Context(), stopped.ID))
	require.NoError(t, s.Driver.Reboot(t.Context(), running.ID, 0))
	s.requireBoots(t, running.ID, 2)

	s.Kill(t, running.ID)
	assert.Equal(t, running.ID, s.requireEvent(t, events).ID)
	require.NoError(t, s.Driver.Destroy(t.Context(), stopped.ID))
	requireGone(t, s.Driver, stopped.ID)
}

func testReopenAfterDeath(t *testing.T, s *Setup) {
	m := s.spawn(t)
	s.Kill(t, m.ID)
	s.Driver = s.Reopen(t)
	event := s.requireEvent(t, s.Driver.Events(t.Context()))
	assert.Equal(t, m.ID, event.ID)
	assert.NotEmpty(t, event.Reason)
	requirePower(t, s.Driver, m.ID, compute.Off)
}

func testEventsClose(t *testing.T, s *Setup) {
	ctx, cancel := context.WithCancel(t.Context())
	events := s.Driver.Events(ctx)
	cancel()
	select {
	case _, ok := <-events:
		assert.False(t, ok)
	case <-time.After(s.Timeout):
		assert.Fail(t, "events did not end")
	}
}

func testDisks(t *testing.T, s *Setup) {
	first, second, disk := s.spawn(t), s.spawn(t), s.Disk(t)
	s.requireBoots(t, first.ID, 1) // a guest that boots cannot let go of a disk
	s.requireBoots(t, second.ID, 1)
	for _, m := range []compute.Machine{first, second, first} {
		require.NoError(t, s.Driver.AttachDisk(t.Context(), m.ID, disk))
		require.NoError(t, s.Driver.AttachDisk(t.Context(), m.ID, disk), "it is attached already")
		require.NoError(t, s.Driver.DetachDisk(t.Context(), m.ID, disk.Serial))
		require.NoError(t, s.Driver.DetachDisk(t.Context(), m.ID, disk.Serial), "it is detached already")
	}
	requirePower(t, s.Driver, first.ID, compute.On)
}

func testDiskStays(t *testing.T, s *Setup) {
	m, other := s.Machine(t), s.Machine(t)
	fromStart, plugged := s.Disk(t), s.Disk(t)
	m.Disks = []compute.Disk{fromStart}
	require.NoError(t, s.Driver.Spawn(t.Context(), m))
	require.NoError(t, s.Driver.Stop(t.Context(), m.ID, 0))
	require.NoError(t, s.Driver.AttachDisk(t.Context(), m.ID, plugged))
	require.NoError(t, s.Driver.Start(t.Context(), m.ID))
	require.NoError(t, s.Driver.Stop(t.Context(), m.ID, 0))
	require.NoError(t, s.Driver.DetachDisk(t.Context(), m.ID, fromStart.Serial))
	require.NoError(t, s.Driver.Start(t.Context(), m.ID))
	requirePower(t, s.Driver, m.ID, compute.On)

	other.Disks = []compute.Disk{fromStart}
	require.NoError(t, s.Driver.Spawn(t.Context(), other), "what was detached can be used elsewhere")
	require.NoError(t, s.Driver.Destroy(t.Context(), m.ID))
	other.ID, other.Disks = s.Machine(t).ID, []compute.Disk{plugged}
	require.NoError(t, s.Driver.Spawn(t.Context(), other), "a destroyed machine has let go of its disks")
}

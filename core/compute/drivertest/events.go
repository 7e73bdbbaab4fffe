package drivertest

import (
	"context"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/compute"
)

func (s *suite) testKill() {
	events := s.Driver.Events(s.t.Context())
	m := s.spawn()
	s.Kill(s.t, m.ID)
	event := s.requireEvent(events)
	assert.Equal(s.t, m.ID, event.ID)
	assert.NotEmpty(s.t, event.Reason)
	requirePower(s.t, s.Driver, m.ID, compute.Off)

	require.NoError(s.t, s.Driver.Start(s.t.Context(), m.ID), "it can be started again")
	requirePower(s.t, s.Driver, m.ID, compute.On)
	s.Kill(s.t, m.ID)
	assert.Equal(s.t, m.ID, s.requireEvent(events).ID, "and its next death is reported, too")
}

func (s *suite) testNoEvent() {
	events := s.Driver.Events(s.t.Context())
	stopped, rebooted, destroyed, killed := s.spawn(), s.spawn(), s.spawn(), s.spawn()
	require.NoError(s.t, s.Driver.Stop(s.t.Context(), stopped.ID, 0))
	require.NoError(s.t, s.Driver.Reboot(s.t.Context(), rebooted.ID, 0))
	require.NoError(s.t, s.Driver.Destroy(s.t.Context(), destroyed.ID))
	s.Kill(s.t, killed.ID)
	assert.Equal(s.t, killed.ID, s.requireEvent(events).ID, "the only one that went off by itself")
}

func (s *suite) testReopen() {
	running, stopped := s.spawn(), s.spawn()
	s.requireBoots(running.ID, 1)
	require.NoError(s.t, s.Driver.Stop(s.t.Context(), stopped.ID, 0))

	s.Driver = s.Reopen(s.t)
	events := s.Driver.Events(s.t.Context())
	requirePower(s.t, s.Driver, running.ID, compute.On)
	requirePower(s.t, s.Driver, stopped.ID, compute.Off)
	s.requireBoots(running.ID, 1)
	require.NoError(s.t, s.Driver.Start(s.t.Context(), stopped.ID))
	require.NoError(s.t, s.Driver.Reboot(s.t.Context(), running.ID, 0))
	s.requireBoots(running.ID, 2)

	s.Kill(s.t, running.ID)
	assert.Equal(s.t, running.ID, s.requireEvent(events).ID)
	require.NoError(s.t, s.Driver.Destroy(s.t.Context(), stopped.ID))
	requireGone(s.t, s.Driver, stopped.ID)
}

func (s *suite) testReopenAfterDeath() {
	m := s.spawn()
	s.Kill(s.t, m.ID)
	s.Driver = s.Reopen(s.t)
	event := s.requireEvent(s.Driver.Events(s.t.Context()))
	assert.Equal(s.t, m.ID, event.ID)
	assert.NotEmpty(s.t, event.Reason)
	requirePower(s.t, s.Driver, m.ID, compute.Off)
}

func (s *suite) testEventsClose() {
	ctx, cancel := context.WithCancel(s.t.Context())
	events := s.Driver.Events(ctx)
	cancel()
	select {
	case _, ok := <-events:
		assert.False(s.t, ok)
	case <-time.After(s.Timeout):
		assert.Fail(s.t, "events did not end")
	}
}

func (s *suite) testDisks() {
	first, second, disk := s.spawn(), s.spawn(), s.Disk(s.t)
	s.requireBoots(first.ID, 1) // a guest that boots cannot let go of a disk
	s.requireBoots(second.ID, 1)
	for _, m := range []compute.Machine{first, second, first} {
		require.NoError(s.t, s.Driver.AttachDisk(s.t.Context(), m.ID, disk))
		require.NoError(s.t, s.Driver.AttachDisk(s.t.Context(), m.ID, disk), "it is attached already")
		require.NoError(s.t, s.Driver.DetachDisk(s.t.Context(), m.ID, disk.Serial))
		require.NoError(s.t, s.Driver.DetachDisk(s.t.Context(), m.ID, disk.Serial), "it is detached already")
	}
	requirePower(s.t, s.Driver, first.ID, compute.On)
}

func (s *suite) testDiskStays() {
	m, other := s.Machine(s.t), s.Machine(s.t)
	fromStart, plugged := s.Disk(s.t), s.Disk(s.t)
	m.Disks = []compute.Disk{fromStart}
	require.NoError(s.t, s.Driver.Spawn(s.t.Context(), m))
	require.NoError(s.t, s.Driver.Stop(s.t.Context(), m.ID, 0))
	require.NoError(s.t, s.Driver.AttachDisk(s.t.Context(), m.ID, plugged))
	require.NoError(s.t, s.Driver.Start(s.t.Context(), m.ID))
	require.NoError(s.t, s.Driver.Stop(s.t.Context(), m.ID, 0))
	require.NoError(s.t, s.Driver.DetachDisk(s.t.Context(), m.ID, fromStart.Serial))
	require.NoError(s.t, s.Driver.Start(s.t.Context(), m.ID))
	requirePower(s.t, s.Driver, m.ID, compute.On)

	other.Disks = []compute.Disk{fromStart}
	require.NoError(s.t, s.Driver.Spawn(s.t.Context(), other), "what was detached can be used elsewhere")
	require.NoError(s.t, s.Driver.Destroy(s.t.Context(), m.ID))
	other.ID, other.Disks = s.Machine(s.t).ID, []compute.Disk{plugged}
	require.NoError(s.t, s.Driver.Spawn(s.t.Context(), other), "a destroyed machine has let go of its disks")
}

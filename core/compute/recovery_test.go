package compute_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/compute"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// restart opens the service again, as after a kill: what was running has
// stopped in the middle.
func (c *cloud) restart(t *testing.T) {
	t.Helper()
	require.NoError(t, c.service.Close())
	c.driver.Fail(nil)
	c.open(t)
}

// fail has a driver's operation fail.
func (c *cloud) fail(op string, failure error) {
	c.driver.Fail(func(_ context.Context, name, _ string) error {
		if name == op {
			return failure
		}
		return nil
	})
}

// blocked has a driver's operation block until it is interrupted. The returned
// channel tells that it has begun.
func (c *cloud) blocked(op string) (begun chan string) {
	begun = make(chan string, 8)
	c.driver.Fail(func(ctx context.Context, name, id string) error {
		if name != op {
			return nil
		}
		begun <- id
		<-ctx.Done()
		return ctx.Err()
	})
	return begun
}

func TestABuildGoesOnAfterARestart(t *testing.T) {
	c := newCloud(t)
	client := c.client(t, "member", "")
	stop := c.run(t)
	begun := c.blocked("Spawn")
	id := create(t, client, servers.CreateOpts{}).ID
	assert.Equal(t, id, <-begun)
	stop()

	c.restart(t)
	client = c.client(t, "member", "")
	found, err := servers.Get(t.Context(), client, id).Extract()
	require.NoError(t, err)
	assert.Equal(t, "BUILD", found.Status)
	c.run(t)
	waitFor(t, client, id, "ACTIVE")
}

func TestADeletionGoesOnAfterARestart(t *testing.T) {
	c := newCloud(t)
	client := c.client(t, "member", "")
	stop := c.run(t)
	id := active(t, client, servers.CreateOpts{}).ID
	begun := c.blocked("Destroy")
	require.NoError(t, servers.Delete(t.Context(), client, id).ExtractErr())
	<-begun
	stop()

	c.restart(t)
	client = c.client(t, "member", "")
	c.run(t)
	waitGone(t, client, id)
	_, ok := c.driver.Machine(id)
	assert.False(t, ok)
}

func TestAfterARestartServersAreWhatTheirMachinesAre(t *testing.T) {
	c := newCloud(t)
	client := c.client(t, "member", "")
	stop := c.run(t)
	running := active(t, client, servers.CreateOpts{}).ID
	off := active(t, client, servers.CreateOpts{}).ID
	died := active(t, client, servers.CreateOpts{}).ID
	lost := active(t, client, servers.CreateOpts{}).ID
	stop()
	c.driver.Kill(off, "")
	c.driver.Kill(died, "killed by signal 9")
	c.driver.Lose(lost)
	stray := compute.Machine{ID: "99999999-9999-4999-8999-999999999999"}
	require.NoError(t, c.driver.Spawn(t.Context(), stray))

	c.restart(t)
	client = c.client(t, "member", "")
	c.run(t)
	waitFor(t, client, off, "SHUTOFF")
	server := waitFor(t, client, died, "ERROR")
	assert.Equal(t, "The machine died: killed by signal 9", server.Fault.Message)
	server = waitFor(t, client, lost, "ERROR")
	assert.Equal(t, "The host has lost the machine.", server.Fault.Message)
	waitFor(t, client, running, "ACTIVE")
	_, ok := c.driver.Machine(stray.ID)
	assert.False(t, ok, "a machine without a server is destroyed")
	_, ok = c.driver.Machine(running)
	assert.True(t, ok)
}

func TestAMachineThatDiesIsToldOf(t *testing.T) {
	c, client := start(t)
	off, died := active(t, client, servers.CreateOpts{}).ID, active(t, client, servers.CreateOpts{}).ID
	c.driver.Kill(off, "")
	server := waitFor(t, client, off, "SHUTOFF")
	assert.EqualValues(t, servers.SHUTDOWN, server.PowerState)
	require.NoError(t, servers.Start(t.Context(), client, off).ExtractErr())
	waitFor(t, client, off, "ACTIVE")

	c.driver.Kill(died, "QEMU was killed by signal 9")
	server = waitFor(t, client, died, "ERROR")
	assert.Equal(t, "The machine died: QEMU was killed by signal 9", server.Fault.Message)
	assert.Equal(t, 500, server.Fault.Code)
	hard := servers.RebootOpts{Type: servers.HardReboot}
	require.NoError(t, servers.Reboot(t.Context(), client, died, hard).ExtractErr())
	server = waitFor(t, client, died, "ACTIVE")
	assert.Empty(t, server.Fault.Message)
}

func TestAMachineThatDiesAtOnceIsToldOf(t *testing.T) {
	c, client := start(t)
	c.driver.Fail(func(_ context.Context, op, id string) error {
		if op == "Power" { // Spawn has succeeded; before anybody asks, it dies
			c.driver.Kill(id, "no bootable device")
		}
		return nil
	})
	id := create(t, client, servers.CreateOpts{}).ID
	server := waitFor(t, client, id, "ERROR")
	assert.Equal(t, "The machine died: no bootable device", server.Fault.Message)
}

func TestAServerThatCannotBeSpawnedSaysWhy(t *testing.T) {
	for want, failure := range map[string]error{
		"The host's disk is full.":                                      fault.New(fault.NoSpace, "The host's disk is full."),
		"The host's disk is full. ":                                     fmt.Errorf("write overlay: %w", syscall.ENOSPC),
		"The machine could not be started; the service's log says why.": errors.New("secret: exit status 1"),
	} {
		c, client := start(t)
		c.fail("Spawn", failure)
		server := waitFor(t, client, create(t, client, servers.CreateOpts{}).ID, "ERROR")
		assert.Equal(t, strings.TrimSpace(want), server.Fault.Message)
		assert.Empty(t, server.Fault.Details, "for administrators")
		assert.Empty(t, server.Addresses)
		admin, err := servers.Get(t.Context(), c.client(t, "admin", ""), server.ID).Extract()
		require.NoError(t, err)
		assert.Equal(t, failure.Error(), admin.Fault.Details)

		require.NoError(t, servers.Delete(t.Context(), client, server.ID).ExtractErr())
		waitGone(t, client, server.ID)
	}
}

func TestAServerMayBeDeletedWhileItIsBuilt(t *testing.T) {
	c, client := start(t)
	begun := c.blocked("Spawn")
	id := create(t, client, servers.CreateOpts{}).ID
	<-begun
	require.NoError(t, servers.Delete(t.Context(), client, id).ExtractErr())
	waitGone(t, client, id)
	_, ok := c.driver.Machine(id)
	assert.False(t, ok)
}

func TestATakenAddressIsLeftForAnother(t *testing.T) {
	c, client := start(t)
	refused := map[string]int{}
	c.driver.Fail(func(_ context.Context, op, id string) error {
		if op != "Spawn" {
			return nil
		}
		if refused[id]++; refused[id] <= 3 {
			return compute.ErrAddressInUse
		}
		return nil
	})
	active(t, client, servers.CreateOpts{})

	c.fail("Spawn", compute.ErrAddressInUse)
	server := waitFor(t, client, create(t, client, servers.CreateOpts{}).ID, "ERROR")
	assert.Equal(t, "No free address was found on the host.", server.Fault.Message)
}

func TestAddressesAreGivenBack(t *testing.T) {
	_, client := start(t, func(c *compute.Config) { c.Addresses = netip.MustParsePrefix("127.70.0.0/30") })
	var last string
	for range 3 { // 127.70.0.0 is left out
		last = active(t, client, servers.CreateOpts{}).ID
	}
	server := waitFor(t, client, create(t, client, servers.CreateOpts{}).ID, "ERROR")
	assert.Equal(t, "No free address is left in 127.70.0.0/30.", server.Fault.Message)
	require.NoError(t, servers.Delete(t.Context(), client, last).ExtractErr())
	waitGone(t, client, last)
	active(t, client, servers.CreateOpts{})
}

func TestAFailedRebootIsAnError(t *testing.T) {
	c, client := start(t)
	id := active(t, client, servers.CreateOpts{}).ID
	c.fail("Reboot", fault.New(fault.Unavailable, "The monitor does not answer."))
	require.NoError(t, servers.Reboot(t.Context(), client, id, servers.RebootOpts{Type: servers.HardReboot}).ExtractErr())
	server := waitFor(t, client, id, "ERROR")
	assert.Equal(t, "The monitor does not answer.", server.Fault.Message)
}

func TestAFailedStopLeavesTheServerAsItWas(t *testing.T) {
	c, client := start(t)
	id := active(t, client, servers.CreateOpts{}).ID
	c.fail("Stop", errors.New("no"))
	require.NoError(t, servers.Stop(t.Context(), client, id).ExtractErr())
	waitFor(t, client, id, "ACTIVE")
}

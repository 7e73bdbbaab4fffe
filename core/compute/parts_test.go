package compute_test

import (
	"net/http"
	"testing"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/attachinterfaces"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/availabilityzones"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/hypervisors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/instanceactions"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/limits"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/quotasets"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/services"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/volumeattach"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/compute"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

func TestAVolumeIsAttachedAndDetached(t *testing.T) {
	c, client := start(t)
	id := active(t, client, servers.CreateOpts{}).ID
	attachment, err := volumeattach.Create(t.Context(), client, id, volumeattach.CreateOpts{VolumeID: volumeA}).Extract()
	require.NoError(t, err)
	assert.Equal(t, "/dev/vdb", attachment.Device)
	assert.Equal(t, id, attachment.ServerID)
	second, err := volumeattach.Create(t.Context(), client, id, volumeattach.CreateOpts{VolumeID: volumeB}).Extract()
	require.NoError(t, err)
	assert.Equal(t, "/dev/vdc", second.Device)
	require.Eventually(t, func() bool { return c.volumes.Status(volumeA) == "in-use" && c.volumes.Status(volumeB) == "in-use" }, timeout, timeout/1000)
	machine, _ := c.driver.Machine(id)
	assert.Len(t, machine.Disks, 2)

	server, err := servers.Get(t.Context(), client, id).Extract()
	require.NoError(t, err)
	assert.Equal(t, []servers.AttachedVolume{{ID: volumeA}, {ID: volumeB}}, server.AttachedVolumes)
	pages, err := volumeattach.List(client, id).AllPages(t.Context())
	require.NoError(t, err)
	list, err := volumeattach.ExtractVolumeAttachments(pages)
	require.NoError(t, err)
	assert.Len(t, list, 2)

	require.NoError(t, volumeattach.Delete(t.Context(), client, id, volumeA).ExtractErr())
	require.Eventually(t, func() bool { return c.volumes.Status(volumeA) == "available" }, timeout, timeout/1000)
	machine, _ = c.driver.Machine(id)
	require.Len(t, machine.Disks, 1)
	assert.Equal(t, volumeB, machine.Disks[0].Serial)
	_, err = volumeattach.Get(t.Context(), client, id, volumeA).Extract()
	requireStatus(t, err, http.StatusNotFound, "is not attached")
	requireStatus(t, volumeattach.Delete(t.Context(), client, id, volumeA).ExtractErr(), http.StatusNotFound, "is not attached")
}

func TestDeleteServerDetachesItsVolumes(t *testing.T) {
	c, client := start(t)
	id := active(t, client, servers.CreateOpts{}).ID
	_, err := volumeattach.Create(t.Context(), client, id, volumeattach.CreateOpts{VolumeID: volumeA}).Extract()
	require.NoError(t, err)
	require.NoError(t, servers.Delete(t.Context(), client, id).ExtractErr())
	waitGone(t, client, id)
	assert.Equal(t, "available", c.volumes.Status(volumeA))
}

func TestAVolumeThatCannotBeAttachedIsLeftAlone(t *testing.T) {
	c, client := start(t)
	first, second := active(t, client, servers.CreateOpts{}).ID, active(t, client, servers.CreateOpts{}).ID
	attach := func(server, volume string) error {
		_, err := volumeattach.Create(t.Context(), client, server, volumeattach.CreateOpts{VolumeID: volume}).Extract()
		return err
	}
	requireStatus(t, attach(first, rootImage), http.StatusNotFound, "Volume "+rootImage+" could not be found.")
	requireStatus(t, attach(first, "x"), http.StatusBadRequest, "It is not a 'uuid'")
	require.NoError(t, attach(first, volumeA))
	requireStatus(t, attach(first, volumeA), http.StatusBadRequest, "already attached")
	requireStatus(t, attach(second, volumeA), http.StatusBadRequest, "is in use")
	require.Eventually(t, func() bool { return c.volumes.Status(volumeA) == "in-use" }, timeout, timeout/1000)

	c.fail("AttachDisk", fault.New(fault.Unavailable, "no free slot"))
	require.NoError(t, attach(second, volumeB))
	require.Eventually(t, func() bool { return c.volumes.Status(volumeB) == "available" }, timeout, timeout/1000)
	require.Eventually(t, func() bool {
		got, err := servers.Get(t.Context(), client, second).Extract()
		return err == nil && len(got.AttachedVolumes) == 0
	}, timeout, timeout/1000)

	c.fail("DetachDisk", fault.New(fault.Unavailable, "the guest does not let go"))
	require.NoError(t, volumeattach.Delete(t.Context(), client, first, volumeA).ExtractErr())
	require.Eventually(t, func() bool { return c.volumes.Status(volumeA) == "in-use" }, timeout, timeout/1000, "it stays attached")
	c.driver.Fail(nil)
	require.Eventually(t, func() bool {
		return volumeattach.Delete(t.Context(), client, first, volumeA).ExtractErr() == nil
	}, timeout, timeout/1000, "and can be detached later")
	require.Eventually(t, func() bool { return c.volumes.Status(volumeA) == "available" }, timeout, timeout/1000)
}

func TestQuotasAreEnforced(t *testing.T) {
	c, client := start(t)
	admin := c.client(t, "admin", "")
	limit := func(opts quotasets.UpdateOpts) {
		_, err := quotasets.Update(t.Context(), admin, project, opts).Extract()
		require.NoError(t, err)
	}
	refused := func(message string) {
		_, err := servers.Create(t.Context(), client, servers.CreateOpts{Name: "x", ImageRef: rootImage, FlavorRef: "2"}, nil).Extract()
		requireStatus(t, err, http.StatusForbidden, message)
	}
	one, none, ten, ram := 1, -1, 10, 4000
	limit(quotasets.UpdateOpts{Instances: &one})
	id := active(t, client, servers.CreateOpts{}).ID
	refused("Quota exceeded for instances: Requested 1, but already used 1 of 1 instances")
	limit(quotasets.UpdateOpts{Instances: &ten, Cores: &one})
	refused("Quota exceeded for cores: Requested 1, but already used 1 of 1 cores")
	limit(quotasets.UpdateOpts{Cores: &none, RAM: &ram})
	refused("Quota exceeded for ram: Requested 2048, but already used 2048 of 4000 ram")

	found, err := limits.Get(t.Context(), client, nil).Extract()
	require.NoError(t, err)
	assert.Equal(t, 1, found.Absolute.TotalInstancesUsed)
	assert.Equal(t, 2048, found.Absolute.TotalRAMUsed)
	assert.Equal(t, 10, found.Absolute.MaxTotalInstances)

	require.NoError(t, servers.Delete(t.Context(), client, id).ExtractErr())
	waitGone(t, client, id)
	active(t, client, servers.CreateOpts{})

	zero := 0
	_, err = quotasets.Update(t.Context(), admin, project, quotasets.UpdateOpts{Instances: &zero}).Extract()
	requireStatus(t, err, http.StatusBadRequest, "must be greater than or equal to already used and reserved 1")
	_, err = quotasets.Update(t.Context(), client, project, quotasets.UpdateOpts{Instances: &ten}).Extract()
	requireStatus(t, err, http.StatusForbidden, "")
	_, err = quotasets.Get(t.Context(), client, "other").Extract()
	requireStatus(t, err, http.StatusForbidden, "")
	_, err = quotasets.Delete(t.Context(), admin, project).Extract()
	require.NoError(t, err)
	defaults, err := quotasets.Get(t.Context(), client, project).Extract()
	require.NoError(t, err)
	assert.Equal(t, 51200, defaults.RAM)
}

func TestManyServersAreMadeAsTheQuotaAllows(t *testing.T) {
	c, client := start(t)
	create(t, client, servers.CreateOpts{Name: "web", Min: 2, Max: 20})
	list, _, err := c.service.Servers(t.Context(), compute.ServerFilter{ProjectID: project})
	require.NoError(t, err)
	assert.Len(t, list, 10)
	names := map[string]bool{}
	for _, server := range list {
		names[server.Name] = true
	}
	assert.Len(t, names, 10)
	assert.True(t, names["web-1"] && names["web-10"])
	_, err = servers.Create(t.Context(), client, servers.CreateOpts{Name: "x", ImageRef: rootImage, FlavorRef: "2", Min: 2}, nil).Extract()
	requireStatus(t, err, http.StatusForbidden, "Quota exceeded for instances: Requested 2, but already used 10 of 10 instances")
}

func TestAHostThatIsFullIsNoValidHost(t *testing.T) {
	_, client := start(t, func(c *compute.Config) { c.MemoryMB = 3000 })
	first := active(t, client, servers.CreateOpts{}).ID
	full := waitFor(t, client, create(t, client, servers.CreateOpts{}).ID, "ERROR")
	assert.Equal(t, "No valid host was found. There are not enough hosts available.", full.Fault.Message)
	assert.Empty(t, full.HostID)
	requireStatus(t, servers.Reboot(t.Context(), client, full.ID, servers.RebootOpts{Type: servers.HardReboot}).ExtractErr(),
		http.StatusConflict, "has never been active")
	require.NoError(t, servers.Delete(t.Context(), client, first).ExtractErr())
	waitGone(t, client, first)
	active(t, client, servers.CreateOpts{})
}

func TestALockedServerIsItsOwnersOnlyToSee(t *testing.T) {
	c, client := start(t)
	id := active(t, client, servers.CreateOpts{}).ID
	locking := c.client(t, "member", "2.73")
	require.NoError(t, servers.Lock(t.Context(), client, id).ExtractErr())
	locked, err := servers.Get(t.Context(), locking, id).Extract()
	require.NoError(t, err)
	assert.True(t, *locked.Locked)
	requireStatus(t, servers.Stop(t.Context(), client, id).ExtractErr(), http.StatusConflict, "Instance "+id+" is locked")
	requireStatus(t, servers.Delete(t.Context(), client, id).ExtractErr(), http.StatusConflict, "is locked")
	require.NoError(t, servers.Unlock(t.Context(), client, id).ExtractErr())
	require.NoError(t, servers.Delete(t.Context(), client, id).ExtractErr())
	waitGone(t, client, id)
}

func TestActionsAreRecordedByTheirRequest(t *testing.T) {
	c, client := start(t)
	client.Microversion = "2.58"
	id := create(t, c.client(t, "member", ""), servers.CreateOpts{}).ID
	waitFor(t, client, id, "ACTIVE")
	stopped := servers.Stop(t.Context(), client, id)
	require.NoError(t, stopped.ExtractErr())
	waitFor(t, client, id, "SHUTOFF")

	pages, err := instanceactions.List(client, id, nil).AllPages(t.Context())
	require.NoError(t, err)
	list, err := instanceactions.ExtractInstanceActions(pages)
	require.NoError(t, err)
	require.Len(t, list, 2)
	assert.Equal(t, "stop", list[0].Action)
	assert.Equal(t, "create", list[1].Action)
	assert.Equal(t, stopped.Header.Get("X-Openstack-Request-Id"), list[0].RequestID)

	detail, err := instanceactions.Get(t.Context(), client, id, list[0].RequestID).Extract()
	require.NoError(t, err)
	require.Len(t, *detail.Events, 1)
	assert.Equal(t, "compute_stop_instance", (*detail.Events)[0].Event)
	assert.Equal(t, "Success", (*detail.Events)[0].Result)
	_, err = instanceactions.Get(t.Context(), client, id, "req-none").Extract()
	requireStatus(t, err, http.StatusNotFound, "Action for request_id req-none on instance "+id+" not found")
}

func TestMetadataIsChangedPieceByPiece(t *testing.T) {
	_, client := start(t)
	id := active(t, client, servers.CreateOpts{Metadata: map[string]string{"a": "1"}}).ID
	added, err := servers.UpdateMetadata(t.Context(), client, id, servers.MetadataOpts{"b": "2"}).Extract()
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"a": "1", "b": "2"}, added)
	_, err = servers.CreateMetadatum(t.Context(), client, id, servers.MetadatumOpts{"a": "3"}).Extract()
	require.NoError(t, err)
	value, err := servers.Metadatum(t.Context(), client, id, "a").Extract()
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"a": "3"}, value)
	require.NoError(t, servers.DeleteMetadatum(t.Context(), client, id, "b").ExtractErr())
	requireStatus(t, servers.DeleteMetadatum(t.Context(), client, id, "b").ExtractErr(), http.StatusNotFound, "Metadata item was not found")
	reset, err := servers.ResetMetadata(t.Context(), client, id, servers.MetadataOpts{"c": "4"}).Extract()
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"c": "4"}, reset)
	all, err := servers.Metadata(t.Context(), client, id).Extract()
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"c": "4"}, all)
}

func TestAnInterfaceIsListed(t *testing.T) {
	c, client := start(t)
	id := active(t, client, servers.CreateOpts{}).ID
	machine, _ := c.driver.Machine(id)
	pages, err := attachinterfaces.List(client, id).AllPages(t.Context())
	require.NoError(t, err)
	list, err := attachinterfaces.ExtractInterfaces(pages)
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, machine.Interface.MAC, list[0].MACAddr)
	assert.Equal(t, "10.0.2.15", list[0].FixedIPs[0].IPAddress)
	got, err := attachinterfaces.Get(t.Context(), client, id, list[0].PortID).Extract()
	require.NoError(t, err)
	assert.Equal(t, list[0], *got)
}

func TestTheHostIsShownToAdministrators(t *testing.T) {
	c, client := start(t, func(c *compute.Config) { c.VCPUs, c.MemoryMB, c.DiskGB = 8, 4096, 100 })
	active(t, client, servers.CreateOpts{})
	admin := c.client(t, "admin", "")
	pages, err := hypervisors.List(admin, nil).AllPages(t.Context())
	require.NoError(t, err)
	list, err := hypervisors.ExtractHypervisors(pages)
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, 2048, list[0].MemoryMBUsed)
	assert.Equal(t, 4096, list[0].MemoryMB)
	statistics, err := hypervisors.GetStatistics(t.Context(), admin).Extract()
	require.NoError(t, err)
	assert.Equal(t, 1, statistics.RunningVMs)

	uptime, err := hypervisors.GetUptime(t.Context(), admin, "1").Extract()
	require.NoError(t, err)
	assert.Regexp(t, `^ \d\d:\d\d:\d\d up (\d+ days, )?\d+:\d\d,  0 users,  load average: [\d.]+, [\d.]+, [\d.]+$`, uptime.Uptime)
	_, err = hypervisors.Get(t.Context(), admin, "2").Extract()
	requireStatus(t, err, http.StatusNotFound, "Compute host 2 could not be found.")

	servicePages, err := services.List(admin, nil).AllPages(t.Context())
	require.NoError(t, err)
	found, err := services.ExtractServices(servicePages)
	require.NoError(t, err)
	assert.Equal(t, "nova-compute", found[0].Binary)

	zonePages, err := availabilityzones.List(client).AllPages(t.Context())
	require.NoError(t, err)
	zones, err := availabilityzones.ExtractAvailabilityZones(zonePages)
	require.NoError(t, err)
	assert.Equal(t, "nova", zones[0].ZoneName)
}

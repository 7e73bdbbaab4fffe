package compute_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/compute"
)

func TestAServerIsAcceptedAndBecomesActive(t *testing.T) {
	c := newCloud(t)
	client := c.client(t, "member", "")
	result := servers.Create(t.Context(), client, servers.CreateOpts{Name: " web 1 ", ImageRef: rootImage, FlavorRef: "2"}, nil)
	accepted, err := result.Extract()
	require.NoError(t, err)
	assert.NotEmpty(t, accepted.AdminPass)
	assert.Equal(t, servers.Manual, accepted.DiskConfig)
	assert.Equal(t, client.Endpoint+"servers/"+accepted.ID, result.Header.Get("Location"))

	building, err := servers.Get(t.Context(), client, accepted.ID).Extract()
	require.NoError(t, err)
	assert.Equal(t, "BUILD", building.Status, "nothing runs yet")
	assert.Equal(t, "scheduling", building.TaskState)
	assert.Empty(t, building.Addresses)

	c.run(t)
	server := waitFor(t, client, accepted.ID, "ACTIVE")
	assert.Equal(t, "web 1", server.Name)
	assert.Equal(t, project, server.TenantID)
	assert.Equal(t, "active", server.VmState)
	assert.EqualValues(t, servers.RUNNING, server.PowerState)
	assert.Equal(t, rootImage, server.Image["id"])
	assert.Equal(t, "2", server.Flavor["id"])
	assert.True(t, server.ConfigDrive)
	assert.WithinDuration(t, time.Now(), server.LaunchedAt, time.Minute)
	assert.Len(t, server.HostID, 56)
}

func TestAServerHasItsMachine(t *testing.T) {
	c, client := start(t)
	server := active(t, client, servers.CreateOpts{ImageRef: directImage, FlavorRef: "1"})
	machine, ok := c.driver.Machine(server.ID)
	require.True(t, ok)
	assert.Equal(t, 1, machine.VCPUs)
	assert.Equal(t, 512, machine.MemoryMB)
	assert.Equal(t, 1, machine.DiskGB)
	assert.Equal(t, "root=/dev/vda", machine.CommandLine)
	assert.Equal(t, "raw", machine.Root.Format)
	assert.Equal(t, []compute.Forward{{Host: 22, Guest: 22}}, machine.Interface.Ports)
	assert.FileExists(t, machine.Root.File)
	assert.FileExists(t, machine.Kernel)
	assert.Contains(t, string(machine.ConfigDrive), server.ID)
}

func TestAServerIsReachedByAnAddressOfItsOwn(t *testing.T) {
	c, client := start(t)
	seen := map[string]bool{}
	for range 3 {
		server := active(t, client, servers.CreateOpts{})
		machine, _ := c.driver.Machine(server.ID)
		list := server.Addresses["private"].([]any)
		require.Len(t, list, 2)
		fixed, floating := list[0].(map[string]any), list[1].(map[string]any)
		assert.Equal(t, "10.0.2.15", fixed["addr"])
		assert.Equal(t, "fixed", fixed["OS-EXT-IPS:type"])
		assert.Equal(t, "floating", floating["OS-EXT-IPS:type"])
		assert.Equal(t, machine.Interface.Address.String(), floating["addr"])
		assert.Regexp(t, `^fa:16:3e(:[0-9a-f]{2}){3}$`, fixed["OS-EXT-IPS-MAC:mac_addr"])
		assert.Regexp(t, `^127\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.`, floating["addr"])
		assert.False(t, seen[machine.Interface.Address.String()])
		seen[machine.Interface.Address.String()] = true
	}
}

func TestADeletedServerIsGoneWithItsMachine(t *testing.T) {
	c, client := start(t)
	server := active(t, client, servers.CreateOpts{})
	result := servers.Delete(t.Context(), client, server.ID)
	require.NoError(t, result.Err)
	waitGone(t, client, server.ID)
	_, ok := c.driver.Machine(server.ID)
	assert.False(t, ok)
	err := servers.Delete(t.Context(), client, server.ID).ExtractErr()
	requireStatus(t, err, http.StatusNotFound, "Instance "+server.ID+" could not be found.")
}

func TestServersStopStartAndReboot(t *testing.T) {
	_, client := start(t)
	id := active(t, client, servers.CreateOpts{}).ID

	require.NoError(t, servers.Stop(t.Context(), client, id).ExtractErr())
	stopped := waitFor(t, client, id, "SHUTOFF")
	assert.EqualValues(t, servers.SHUTDOWN, stopped.PowerState)
	requireStatus(t, servers.Stop(t.Context(), client, id).ExtractErr(), http.StatusConflict,
		"Cannot 'stop' instance "+id+" while it is in vm_state stopped")
	soft, hard := servers.RebootOpts{Type: servers.SoftReboot}, servers.RebootOpts{Type: servers.HardReboot}
	requireStatus(t, servers.Reboot(t.Context(), client, id, soft).ExtractErr(), http.StatusConflict, "vm_state stopped")

	require.NoError(t, servers.Start(t.Context(), client, id).ExtractErr())
	waitFor(t, client, id, "ACTIVE")
	requireStatus(t, servers.Start(t.Context(), client, id).ExtractErr(), http.StatusConflict, "vm_state active")

	require.NoError(t, servers.Reboot(t.Context(), client, id, soft).ExtractErr())
	waitFor(t, client, id, "ACTIVE")
	require.NoError(t, servers.Stop(t.Context(), client, id).ExtractErr())
	waitFor(t, client, id, "SHUTOFF")
	require.NoError(t, servers.Reboot(t.Context(), client, id, hard).ExtractErr())
	waitFor(t, client, id, "ACTIVE")

	console, err := servers.ShowConsoleOutput(t.Context(), client, id, servers.ShowConsoleOutputOpts{Length: 10}).Extract()
	require.NoError(t, err)
	assert.Equal(t, 4, strings.Count(console, "fake machine booted\n"))
}

func TestWhoMaySeeAServer(t *testing.T) {
	c, client := start(t)
	id := active(t, client, servers.CreateOpts{}).ID
	for token, status := range map[string]int{"member": 200, "reader": 200, "admin": 200, "other": 404, "none": 403, "bad": 401} {
		_, err := servers.Get(t.Context(), c.client(t, token, ""), id).Extract()
		if status == 200 {
			assert.NoError(t, err, token)
			continue
		}
		requireStatus(t, err, status, "")
	}
	requireStatus(t, servers.Delete(t.Context(), c.client(t, "reader", ""), id).ExtractErr(), http.StatusForbidden, "Policy")
	requireStatus(t, servers.Delete(t.Context(), c.client(t, "other", ""), id).ExtractErr(), http.StatusNotFound, "could not be found")
}

func TestWhatDoesNotFitIsRefused(t *testing.T) {
	_, client := start(t)
	good := servers.CreateOpts{Name: "one", ImageRef: rootImage, FlavorRef: "2"}
	for message, change := range map[string]func(*servers.CreateOpts){
		"Image " + queuedImage + " is not active":       func(o *servers.CreateOpts) { o.ImageRef = queuedImage },
		"Flavor's memory is too small":                  func(o *servers.CreateOpts) { o.ImageRef = largeImage },
		"Image " + volumeA + " could not be found":      func(o *servers.CreateOpts) { o.ImageRef = volumeA },
		"Invalid imageRef provided":                     func(o *servers.CreateOpts) { o.ImageRef = "../../etc/passwd" },
		"Format aki cannot be booted":                   func(o *servers.CreateOpts) { o.ImageRef = kernelImage },
		"Flavor nine could not be found":                func(o *servers.CreateOpts) { o.FlavorRef = "nine" },
		"Flavor private could not be found":             func(o *servers.CreateOpts) { o.FlavorRef = "private" },
		"It must have 1 to 255 characters":              func(o *servers.CreateOpts) { o.Name = "  " },
		"min_count must be":                             func(o *servers.CreateOpts) { o.Min, o.Max = 2, 1 },
		"The requested availability zone is not avail":  func(o *servers.CreateOpts) { o.AvailabilityZone = "mars" },
		"It is not a 'uuid'":                            func(o *servers.CreateOpts) { o.Networks = []servers.Network{{UUID: "x"}} },
		"Value: bad/key. It is no valid key":            func(o *servers.CreateOpts) { o.Metadata = map[string]string{"bad/key": ""} },
		"Invalid input for field/attribute accessIPv4.": func(o *servers.CreateOpts) { o.AccessIPv4 = "1.2.3" },
	} {
		opts := good
		change(&opts)
		_, err := servers.Create(t.Context(), client, opts, nil).Extract()
		requireStatus(t, err, http.StatusBadRequest, message)
	}
}

func TestAGuestIsToldWhatItsOwnerSaid(t *testing.T) {
	c, client := start(t)
	userData := []byte("#!/bin/sh\necho hello from user data\n")
	server := active(t, client, servers.CreateOpts{
		Name: "Web_1", UserData: userData, Metadata: map[string]string{"role": "web"},
	})
	machine, _ := c.driver.Machine(server.ID)
	assert.Contains(t, string(machine.ConfigDrive), string(userData))
	assert.Contains(t, string(machine.ConfigDrive), `"role":"web"`)
	assert.Contains(t, string(machine.ConfigDrive), `"hostname":"web-1"`)
	assert.Equal(t, map[string]string{"role": "web"}, server.Metadata)
	admin, err := servers.Get(t.Context(), c.client(t, "admin", "2.3"), server.ID).Extract()
	require.NoError(t, err)
	assert.Equal(t, base64.StdEncoding.EncodeToString(userData), *admin.Userdata)

	no := false
	plain := active(t, client, servers.CreateOpts{ConfigDrive: &no})
	machine, _ = c.driver.Machine(plain.ID)
	assert.Nil(t, machine.ConfigDrive)
	assert.False(t, plain.ConfigDrive)
}

func TestAServerMayBeWithoutNetwork(t *testing.T) {
	c := newCloud(t)
	client := c.client(t, "member", "2.37")
	c.run(t)
	server := active(t, client, servers.CreateOpts{Networks: "none"})
	machine, _ := c.driver.Machine(server.ID)
	assert.False(t, machine.Interface.Address.IsValid())
	assert.Empty(t, server.Addresses)

	_, err := servers.Create(t.Context(), client, servers.CreateOpts{Name: "x", ImageRef: rootImage, FlavorRef: "2"}, nil).Extract()
	requireStatus(t, err, http.StatusBadRequest, "'networks' is a required property")
}

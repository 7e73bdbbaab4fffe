package volume_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/snapshots"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi/httpapitest"
	"github.com/gatehouse-dev/gatehouse/core/volume"
)

const (
	server = "11111111-5ea0-4a59-9a0c-a3bdaa0b38fe"
	other  = "22222222-5ea0-4a59-9a0c-a3bdaa0b38fe"
)

func TestAServerHasAVolumeFromReservationToDetachment(t *testing.T) {
	c := newCloud(t)
	ctx, id := t.Context(), c.make(t, "alpha", volumes.CreateOpts{}).ID
	for range 2 { // each step may be repeated
		disk, err := c.Reserve(ctx, "alpha", id, server, "/dev/vdb")
		require.NoError(t, err)
		assert.Equal(t, volume.Disk{File: c.file(id), Format: "raw"}, disk)
		v := c.await(t, id, volume.Attaching)
		assert.Empty(t, v.Attachments, "not yet")
	}
	_, err := c.Reserve(ctx, "alpha", id, other, "/dev/vdb")
	assert.Equal(t, fault.BadRequest, fault.KindOf(err))
	require.EqualError(t, err, "Invalid volume: Volume status must be available to reserve, but the status is attaching.")
	assert.Equal(t, fault.BadRequest, fault.KindOf(c.Attached(ctx, id, other)))
	assert.Equal(t, fault.BadRequest, fault.KindOf(c.BeginDetaching(ctx, id, server)), "it is not attached yet")

	for range 2 {
		require.NoError(t, c.Attached(ctx, id, server))
	}
	v := c.await(t, id, volume.InUse)
	require.Len(t, v.Attachments, 1)
	assert.Equal(t, []string{server, "/dev/vdb", id}, []string{v.Attachments[0].ServerID, v.Attachments[0].Device, v.Attachments[0].VolumeID})
	write(t, c.file(id), "data")

	status(t, 400, volumes.Delete(ctx, c.as("alpha"), id, nil).ExtractErr())
	status(t, 400, volumes.ForceDelete(ctx, c.as("admin"), id).ExtractErr())
	status(t, 400, volumes.ExtendSize(ctx, c.as("alpha"), id, volumes.ExtendSizeOpts{NewSize: 2}).ExtractErr())
	status(t, 409, volumes.Detach(ctx, c.as("alpha"), id, volumes.DetachOpts{}).ExtractErr())
	status(t, 400, volumes.BeginDetaching(ctx, c.as("alpha"), id).ExtractErr())
	_, err = snapshots.Create(ctx, c.as("alpha"), snapshots.CreateOpts{VolumeID: id, Force: true}).Extract()
	status(t, 400, err)

	for range 2 {
		require.NoError(t, c.BeginDetaching(ctx, id, server))
	}
	require.NoError(t, c.Attached(ctx, id, server), "the server kept it after all")
	require.NoError(t, c.BeginDetaching(ctx, id, server))
	require.NoError(t, c.Detached(ctx, id, other), "another server never had it")
	c.await(t, id, volume.Detaching)
	for range 2 {
		require.NoError(t, c.Detached(ctx, id, server))
	}
	assert.Empty(t, c.await(t, id, volume.Available).Attachments)
	require.NoError(t, c.Detached(ctx, "no volume", server))

	disk, err := c.Reserve(ctx, "", id, other, "/dev/vdc")
	require.NoError(t, err)
	assert.Equal(t, "data", string(read(t, disk.File, 4)), "data moves with the volume")
}

func TestAUserCanClaimAVolumeThatNoServerHas(t *testing.T) {
	c := newCloud(t)
	ctx, id := t.Context(), c.make(t, "alpha", volumes.CreateOpts{}).ID
	client := c.as("alpha")
	require.NoError(t, volumes.Reserve(ctx, client, id).ExtractErr())
	status(t, 400, volumes.Reserve(ctx, client, id).ExtractErr())
	require.NoError(t, volumes.Unreserve(ctx, client, id).ExtractErr())
	require.NoError(t, volumes.Unreserve(ctx, client, id).ExtractErr())
	require.NoError(t, volumes.Reserve(ctx, client, id).ExtractErr())
	attach := volumes.AttachOpts{InstanceUUID: server, MountPoint: "/mnt", Mode: "rw"}
	require.NoError(t, volumes.Attach(ctx, client, id, attach).ExtractErr())
	status(t, 400, volumes.Attach(ctx, client, id, attach).ExtractErr())
	status(t, 400, volumes.Delete(ctx, client, id, nil).ExtractErr())
	_, err := c.Reserve(ctx, "alpha", id, server, "/dev/vdb")
	assert.Equal(t, fault.BadRequest, fault.KindOf(err), "a claim is not compute's")

	require.NoError(t, volumes.BeginDetaching(ctx, client, id).ExtractErr())
	response, _ := c.do(t, "alpha", "POST", "/v3/volumes/"+id+"/action", `{"os-roll_detaching": {}}`)
	assert.Equal(t, http.StatusAccepted, response.StatusCode)
	v := c.await(t, id, volume.InUse)
	status(t, 404, volumes.Detach(ctx, client, id, volumes.DetachOpts{AttachmentID: server}).ExtractErr())
	require.NoError(t, volumes.Detach(ctx, client, id, volumes.DetachOpts{AttachmentID: v.Attachments[0].AttachmentID}).ExtractErr())
	c.await(t, id, volume.Available)
}

func TestFreedSpaceReadsAsZeros(t *testing.T) {
	c := newCloud(t)
	first := c.make(t, "alpha", volumes.CreateOpts{}).ID
	write(t, c.file(first), strings.Repeat("secret", 1000))
	require.NoError(t, volumes.Delete(t.Context(), c.as("alpha"), first, nil).ExtractErr())
	c.awaitGone(t, "/v3/volumes/"+first)
	second := c.make(t, "beta", volumes.CreateOpts{}).ID
	assert.Equal(t, make([]byte, 6000), read(t, c.file(second), 6000))
}

func TestAnExtendedVolumeKeepsItsData(t *testing.T) {
	c := newCloud(t)
	id := c.make(t, "alpha", volumes.CreateOpts{}).ID
	write(t, c.file(id), "data")
	require.NoError(t, volumes.ExtendSize(t.Context(), c.as("alpha"), id, volumes.ExtendSizeOpts{NewSize: 3}).ExtractErr())
	assert.Equal(t, 3, c.await(t, id, volume.Available).Size)
	info, err := os.Stat(c.file(id))
	require.NoError(t, err)
	assert.Equal(t, int64(3<<30), info.Size())
	assert.Equal(t, "data", string(read(t, c.file(id), 4)))
}

func TestFlagsAreSet(t *testing.T) {
	c := newCloud(t)
	ctx, id := t.Context(), c.make(t, "alpha", volumes.CreateOpts{}).ID
	require.NoError(t, volumes.SetBootable(ctx, c.as("alpha"), id, volumes.BootableOpts{Bootable: true}).ExtractErr())
	assert.Equal(t, "true", c.await(t, id, volume.Available).Bootable)
	for _, readOnly := range []string{"true", "false"} {
		response, _ := c.do(t, "alpha", "POST", "/v3/volumes/"+id+"/action", `{"os-update_readonly_flag": {"readonly": `+readOnly+`}}`)
		assert.Equal(t, http.StatusAccepted, response.StatusCode)
		assert.True(t, strings.EqualFold(readOnly, c.await(t, id, volume.Available).Metadata["readonly"]))
	}
	_, _ = c.do(t, "alpha", "POST", "/v3/volumes/"+id+"/action", `{"os-update_readonly_flag": {"readonly": true}}`)
	disk, err := c.Reserve(ctx, "alpha", id, server, "/dev/vdb")
	require.NoError(t, err)
	assert.True(t, disk.ReadOnly)
}

func TestAnAdministratorResetsAStatus(t *testing.T) {
	c := newCloud(t)
	ctx, id := t.Context(), c.make(t, "alpha", volumes.CreateOpts{}).ID
	_, err := c.Reserve(ctx, "alpha", id, server, "/dev/vdb")
	require.NoError(t, err)
	require.NoError(t, volumes.ResetStatus(ctx, c.as("admin"), id, volumes.ResetStatusOpts{Status: "available"}).ExtractErr())
	status(t, 400, volumes.Delete(ctx, c.as("alpha"), id, nil).ExtractErr())
	require.NoError(t, volumes.ResetStatus(ctx, c.as("admin"), id, volumes.ResetStatusOpts{Status: "error", AttachStatus: "detached"}).ExtractErr())
	require.NoError(t, volumes.Delete(ctx, c.as("alpha"), id, nil).ExtractErr())
	c.awaitGone(t, "/v3/volumes/"+id)
}

// A volume whose file cannot be made fails and can be deleted: here the
// directory is gone, which is like any other I/O error.
func TestAVolumeThatCannotBeMadeFails(t *testing.T) {
	c := newCloud(t)
	c.make(t, "alpha", volumes.CreateOpts{}) // the service runs
	require.NoError(t, os.RemoveAll(filepath.Join(c.dir, "volumes")))
	v, err := volumes.Create(t.Context(), c.as("alpha"), volumes.CreateOpts{Size: 1}, nil).Extract()
	require.NoError(t, err)
	c.await(t, v.ID, volume.Failed)
	require.NoError(t, volumes.Delete(t.Context(), c.as("alpha"), v.ID, nil).ExtractErr())
	c.awaitGone(t, "/v3/volumes/"+v.ID)
}

func TestARestartFinishesWhatWasBegun(t *testing.T) {
	dir := t.TempDir()
	config := volume.Config{Dir: dir, Log: discard, Tokens: httpapitest.Callers}
	s, err := volume.New(t.Context(), config)
	require.NoError(t, err)
	stop := run(s)
	c := cloud{Service: s, dir: dir}
	kept, err := s.Create(t.Context(), alpha, volume.Volume{SizeGB: 1})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return c.status(t, kept.ID) == volume.Available }, waiting, poll)
	doomed, err := s.Create(t.Context(), alpha, volume.Volume{SizeGB: 1})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return c.status(t, doomed.ID) == volume.Available }, waiting, poll)
	stop()

	begun, err := s.Create(t.Context(), alpha, volume.Volume{SizeGB: 1})
	require.NoError(t, err)
	require.NoError(t, s.Delete(t.Context(), alpha, doomed.ID, false))
	require.NoError(t, s.Extend(t.Context(), alpha, kept.ID, 2))
	require.NoError(t, os.WriteFile(c.file("stray"), []byte("of a volume that is gone"), 0o600))
	require.NoError(t, s.Close())

	s, err = volume.New(t.Context(), config)
	require.NoError(t, err)
	stop = run(s)
	defer func() { stop(); require.NoError(t, s.Close()) }()
	c.Service = s
	require.Eventually(t, func() bool {
		_, err := s.Get(context.Background(), alpha, doomed.ID)
		return fault.Is(err, fault.NotFound) && c.status(t, begun.ID) == volume.Available && c.status(t, kept.ID) == volume.Available
	}, waiting, poll)
	assert.NoFileExists(t, c.file("stray"))
	assert.NoFileExists(t, c.file(doomed.ID))
	assert.FileExists(t, c.file(begun.ID))
	info, err := os.Stat(c.file(kept.ID))
	require.NoError(t, err)
	assert.Equal(t, int64(2<<30), info.Size())
}

func (c cloud) status(t *testing.T, id string) volume.Status {
	t.Helper()
	v, err := c.Get(t.Context(), alpha, id)
	require.NoError(t, err)
	return v.Status
}

package volume_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/snapshots"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi/httpapitest"
	"github.com/gatehouse-dev/gatehouse/core/volume"
)

func (c cloud) snapshot(t *testing.T, token, id string) *snapshots.Snapshot {
	t.Helper()
	one, err := snapshots.Create(t.Context(), c.as(token), snapshots.CreateOpts{VolumeID: id, Name: "then", Metadata: map[string]string{"a": "b"}}).Extract()
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		one, err = snapshots.Get(t.Context(), c.as(token), one.ID).Extract()
		require.NoError(t, err)
		return one.Status == "available"
	}, waiting, poll)
	return one
}

func TestAVolumeIsMadeFromASnapshot(t *testing.T) {
	c := newCloud(t)
	ctx, client := t.Context(), c.as("alpha")
	v := c.make(t, "alpha", volumes.CreateOpts{Name: "origin"})
	write(t, c.file(v.ID), "before")
	one := c.snapshot(t, "alpha", v.ID)
	assert.Equal(t, []any{"then", v.ID, 1, map[string]string{"a": "b"}}, []any{one.Name, one.VolumeID, one.Size, one.Metadata})
	write(t, c.file(v.ID), "after.")

	restored := c.make(t, "alpha", volumes.CreateOpts{SnapshotID: one.ID, Size: 2})
	assert.Equal(t, []any{one.ID, 2}, []any{restored.SnapshotID, restored.Size})
	assert.Equal(t, "before", string(read(t, c.file(restored.ID), 6)))
	info, err := os.Stat(c.file(restored.ID))
	require.NoError(t, err)
	assert.Equal(t, int64(2<<30), info.Size())
	assert.Less(t, info.Sys().(*syscall.Stat_t).Blocks*512, int64(1<<20), "it is sparse")

	status(t, 400, volumes.Delete(ctx, client, v.ID, nil).ExtractErr()) // the snapshot hangs on it
	status(t, 404, snapshots.Delete(ctx, c.as("beta"), one.ID).ExtractErr())
	require.NoError(t, snapshots.Delete(ctx, client, one.ID).ExtractErr())
	c.awaitGone(t, "/v3/snapshots/"+one.ID)
	for _, id := range []string{v.ID, restored.ID} {
		require.NoError(t, volumes.Delete(ctx, client, id, nil).ExtractErr())
		c.awaitGone(t, "/v3/volumes/"+id)
	}
	c.requireNoFiles(t)
}

func TestSnapshotsAreListedAndChanged(t *testing.T) {
	c := newCloud(t)
	one := c.snapshot(t, "alpha", c.make(t, "alpha", volumes.CreateOpts{}).ID)
	path := "/v3/snapshots/" + one.ID
	for _, step := range []struct{ token, method, path, body, want string }{
		{"alpha", "GET", "/v3/snapshots?name=then&status=available", ``, one.ID},
		{"alpha", "GET", "/v3/snapshots/detail?limit=1", ``, `"os-extended-snapshot-attributes:project_id":"alpha"`},
		{"beta", "GET", "/v3/snapshots/detail", ``, `{"snapshots":[]}`},
		{"alpha", "PUT", path, `{"snapshot": {"name": "new", "description": "d"}}`, `"name":"new"`},
		{"alpha", "PUT", path + "/metadata/x", `{"meta": {"x": "y"}}`, `{"meta":{"x":"y"}}`},
		{"alpha", "POST", path + "/metadata", `{"metadata": {"z": "1"}}`, `{"metadata":{"a":"b","x":"y","z":"1"}}`},
		{"alpha", "DELETE", path + "/metadata/x", ``, ``},
		{"alpha", "GET", path + "/metadata/z", ``, `{"meta":{"z":"1"}}`},
		{"alpha", "PUT", path + "/metadata", `{"metadata": {}}`, `{"metadata":{}}`},
		{"alpha", "GET", path, ``, `"description":"d"`},
	} {
		response, body := c.do(t, step.token, step.method, step.path, step.body)
		assert.Equal(t, http.StatusOK, response.StatusCode, "%v: %s", step, body)
		assert.Contains(t, body, step.want, "%v", step)
	}
}

func TestAVolumeIsDeletedWithItsSnapshots(t *testing.T) {
	c := newCloud(t)
	v := c.make(t, "alpha", volumes.CreateOpts{})
	for range 3 {
		c.snapshot(t, "alpha", v.ID)
	}
	status(t, 404, volumes.Delete(t.Context(), c.as("beta"), v.ID, volumes.DeleteOpts{Cascade: true}).ExtractErr())
	status(t, 400, volumes.Delete(t.Context(), c.as("alpha"), v.ID, nil).ExtractErr())
	require.NoError(t, volumes.Delete(t.Context(), c.as("alpha"), v.ID, volumes.DeleteOpts{Cascade: true}).ExtractErr())
	c.awaitGone(t, "/v3/volumes/"+v.ID)
	c.requireNoFiles(t)
}

func TestAVolumeThatCannotBeDeletedKeepsItsSnapshots(t *testing.T) {
	c := newCloud(t)
	ctx, client := t.Context(), c.as("alpha")
	v := c.make(t, "alpha", volumes.CreateOpts{})
	one := c.snapshot(t, "alpha", v.ID)
	_, err := c.Reserve(ctx, "alpha", v.ID, server, "/dev/vdb")
	require.NoError(t, err)
	status(t, 400, volumes.Delete(ctx, client, v.ID, volumes.DeleteOpts{Cascade: true}).ExtractErr())
	kept, err := snapshots.Get(ctx, client, one.ID).Extract()
	require.NoError(t, err)
	assert.Equal(t, "available", kept.Status)
}

func TestAnAdministratorResetsASnapshot(t *testing.T) {
	c := newCloud(t)
	one := c.snapshot(t, "alpha", c.make(t, "alpha", volumes.CreateOpts{}).ID)
	action := "/v3/snapshots/" + one.ID + "/action"
	for _, step := range []struct {
		token, body string
		status      int
	}{
		{"beta", `{"os-reset_status": {"status": "error"}}`, 404},
		{"alpha", `{"os-reset_status": {"status": "error"}}`, 403},
		{"alpha", `{"os-dance": {}}`, 400},
		{"admin", `{}`, 400},
		{"admin", `{"os-reset_status": {"status": "fine"}}`, 400},
		{"admin", `{"os-reset_status": null}`, 400},
		{"admin", `{"os-reset_status": {"status": "creating"}}`, 202},
		{"admin", `{"os-force_delete": {}}`, 202},
	} {
		response, body := c.do(t, step.token, "POST", action, step.body)
		assert.Equal(t, step.status, response.StatusCode, "%v: %s", step, body)
	}
	c.awaitGone(t, "/v3/snapshots/"+one.ID)
}

func TestAVolumeIsCloned(t *testing.T) {
	c := newCloud(t)
	v := c.make(t, "alpha", volumes.CreateOpts{Size: 2})
	require.NoError(t, volumes.SetBootable(t.Context(), c.as("alpha"), v.ID, volumes.BootableOpts{Bootable: true}).ExtractErr())
	write(t, c.file(v.ID), "data")
	clone := c.make(t, "alpha", volumes.CreateOpts{SourceVolID: v.ID})
	assert.Equal(t, []any{v.ID, 2, "true"}, []any{clone.SourceVolID, clone.Size, clone.Bootable})
	assert.Equal(t, "data", string(read(t, c.file(clone.ID), 4)))
	_, err := volumes.Create(t.Context(), c.as("alpha"), volumes.CreateOpts{SourceVolID: v.ID, Size: 1}, nil).Extract()
	status(t, 400, err)
	_, err = c.Reserve(t.Context(), "alpha", v.ID, server, "/dev/vdb")
	require.NoError(t, err)
	_, err = volumes.Create(t.Context(), c.as("alpha"), volumes.CreateOpts{SourceVolID: v.ID}, nil).Extract()
	status(t, 400, err)
}

// imageShelf is an image service with one image, which project beta cannot see.
type imageShelf struct {
	image volume.Image
	open  func() (io.ReadCloser, error)
}

func (s imageShelf) Get(_ context.Context, project, id string) (volume.Image, error) {
	if id != s.image.ID || project == "beta" {
		return volume.Image{}, fault.New(fault.NotFound, "No image found with ID %s", id)
	}
	return s.image, nil
}

func (s imageShelf) Open(context.Context, string) (io.ReadCloser, error) { return s.open() }

const imageID = "33333333-5ea0-4a59-9a0c-a3bdaa0b38fe"

func withImage(format, file string) func(*volume.Config) {
	return func(config *volume.Config) {
		config.Images = imageShelf{
			image: volume.Image{ID: imageID, Name: "debian", Active: true, DiskFormat: format, ContainerFormat: "bare", VirtualSize: 1 << 30,
				Properties: map[string]string{"os_command_line": "quiet"}},
			open: func() (io.ReadCloser, error) { return os.Open(file) },
		}
	}
}

// Without qemu-img (package qemu-utils) this fails: it converts the image.
func TestAVolumeIsMadeFromAnImage(t *testing.T) {
	dir := t.TempDir()
	raw, qcow2 := filepath.Join(dir, "raw"), filepath.Join(dir, "qcow2")
	require.NoError(t, os.WriteFile(raw, []byte("boot"+strings.Repeat("\x00", 3<<20)+"end"), 0o600))
	out, err := exec.CommandContext(t.Context(), "qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, qcow2).CombinedOutput()
	require.NoError(t, err, string(out))
	for format, file := range map[string]string{"raw": raw, "qcow2": qcow2} {
		c := newCloud(t, withImage(format, file))
		v := c.make(t, "alpha", volumes.CreateOpts{ImageID: imageID, Size: 2})
		assert.Equal(t, "true", v.Bootable)
		assert.Equal(t, "quiet", v.VolumeImageMetadata["os_command_line"])
		assert.Equal(t, imageID, v.VolumeImageMetadata["image_id"])
		content := read(t, c.file(v.ID), 4+3<<20+3)
		assert.Equal(t, "boot", string(content[:4]), format)
		assert.Equal(t, make([]byte, 3<<20), content[4:4+3<<20], format)
		info, err := os.Stat(c.file(v.ID))
		require.NoError(t, err)
		assert.Equal(t, int64(2<<30), info.Size())
		assert.Less(t, info.Sys().(*syscall.Stat_t).Blocks*512, int64(1<<20), "it is sparse")

		_, err = volumes.Create(t.Context(), c.as("beta"), volumes.CreateOpts{ImageID: imageID, Size: 2}, nil).Extract()
		status(t, 400, err)
	}
}

func TestAnImageThatDoesNotFitIsRefused(t *testing.T) {
	for _, edit := range []func(*volume.Image){
		func(i *volume.Image) { i.Active = false },
		func(i *volume.Image) { i.DiskFormat = "vmdk" },
		func(i *volume.Image) { i.VirtualSize = 1<<30 + 1 },
		func(i *volume.Image) { i.MinDiskGB = 2 },
	} {
		img := volume.Image{ID: imageID, Active: true, DiskFormat: "raw", VirtualSize: 1 << 30}
		edit(&img)
		c := newCloud(t, func(config *volume.Config) { config.Images = imageShelf{image: img} })
		_, err := volumes.Create(t.Context(), c.as("alpha"), volumes.CreateOpts{ImageID: imageID, Size: 1}, nil).Extract()
		status(t, 400, err)
	}
}

func TestAVolumeWhoseImageCannotBeReadFails(t *testing.T) {
	c := newCloud(t, withImage("raw", "/nowhere"))
	v, err := volumes.Create(t.Context(), c.as("alpha"), volumes.CreateOpts{ImageID: imageID, Size: 1}, nil).Extract()
	require.NoError(t, err)
	c.await(t, v.ID, volume.Failed)
	c.requireNoFiles(t)
}

// idle is a service with a raw image that holds data. It does nothing until it
// is run.
func idle(t *testing.T, data string) cloud {
	t.Helper()
	image := filepath.Join(t.TempDir(), "raw")
	require.NoError(t, os.WriteFile(image, []byte(data), 0o600))
	config := volume.Config{Dir: t.TempDir(), Log: discard, Tokens: httpapitest.Callers}
	withImage("raw", image)(&config)
	service, err := volume.New(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, service.Close()) })
	return cloud{Service: service, dir: config.Dir}
}

// What a volume keeps of its image is for its user to change, at any time: it
// must not decide how the image is read.
func TestAVolumeIsMadeWhateverItsUserSaysOfItsImage(t *testing.T) {
	c := idle(t, "boot")
	for _, said := range []string{"", "qcow2", "none at all"} {
		v, err := c.Create(t.Context(), alpha, volume.Volume{SizeGB: 1, ImageID: imageID})
		require.NoError(t, err)
		_, err = c.Update(t.Context(), alpha, v.ID, func(v *volume.Volume) error {
			v.ImageMetadata["disk_format"] = said
			return nil
		})
		require.NoError(t, err)
		stop := run(c.Service)
		require.Eventually(t, func() bool { return c.status(t, v.ID) == volume.Available }, waiting, poll, said)
		stop()
		assert.Equal(t, "boot", string(read(t, c.file(v.ID), 4)), said)
	}
}

// The volume's file is a link to /dev/full, which is what a full disk is to a
// program.
func TestAVolumeThatDoesNotFitOnTheDiskFails(t *testing.T) {
	c := idle(t, "data")
	v, err := c.Create(t.Context(), alpha, volume.Volume{SizeGB: 1, ImageID: imageID})
	require.NoError(t, err)
	require.NoError(t, os.Symlink("/dev/full", c.file(v.ID)))
	defer run(c.Service)()
	require.Eventually(t, func() bool { return c.status(t, v.ID) == volume.Failed }, waiting, poll)
	c.requireNoFiles(t)
}

func BenchmarkCreateToAvailable(b *testing.B) {
	config := volume.Config{Dir: b.TempDir(), Log: discard, Tokens: httpapitest.Callers, Quotas: volume.Quotas{Volumes: -1, Gigabytes: -1, PerVolumeGigabytes: -1}}
	s, err := volume.New(b.Context(), config)
	require.NoError(b, err)
	defer s.Close()
	defer run(s)()
	for b.Loop() {
		v, err := s.Create(b.Context(), alpha, volume.Volume{SizeGB: 1})
		require.NoError(b, err)
		for v.Status != volume.Available {
			v, err = s.Get(b.Context(), alpha, v.ID)
			require.NoError(b, err)
		}
	}
}

func TestAVolumeThatIsBeingCopiedCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	s, err := volume.New(t.Context(), volume.Config{Dir: dir, Log: discard, Tokens: httpapitest.Callers})
	require.NoError(t, err)
	defer s.Close()
	stop := run(s)
	c := cloud{Service: s, dir: dir}
	v, err := s.Create(t.Context(), alpha, volume.Volume{SizeGB: 1})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return c.status(t, v.ID) == volume.Available }, waiting, poll)
	stop() // nothing is finished from here on

	one, err := s.CreateSnapshot(t.Context(), alpha, volume.Snapshot{VolumeID: v.ID})
	require.NoError(t, err)
	reset := func(status volume.Status) { // as an administrator may
		_, err := s.UpdateSnapshot(t.Context(), alpha, one.ID, func(one *volume.Snapshot) error {
			one.Status = status
			return nil
		})
		require.NoError(t, err)
	}
	reset(volume.Available)
	_, err = s.Create(t.Context(), alpha, volume.Volume{SnapshotID: one.ID})
	require.ErrorContains(t, err, "Originating snapshot status", "it is not whole yet")
	reset(volume.Creating)
	_, err = s.Reserve(t.Context(), "alpha", v.ID, server, "/dev/vdb")
	require.EqualError(t, err, "Invalid volume: Volume "+v.ID+" is being copied.")
	require.ErrorContains(t, s.Delete(t.Context(), alpha, v.ID, false), "dependent snapshots")
	require.ErrorContains(t, s.Extend(t.Context(), alpha, v.ID, 2), "is being copied")

	defer run(s)()
	require.Eventually(t, func() bool {
		one, err := s.Snapshot(t.Context(), alpha, one.ID)
		require.NoError(t, err)
		return one.Status == volume.Available
	}, waiting, poll)
	_, err = s.Reserve(t.Context(), "alpha", v.ID, server, "/dev/vdb")
	require.NoError(t, err)
}

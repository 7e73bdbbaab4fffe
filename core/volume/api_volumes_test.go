package volume_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/availabilityzones"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/limits"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/quotasets"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumetypes"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/volume"
)

func TestTheVersionsAreShownWithoutAToken(t *testing.T) {
	c := newCloud(t)
	for _, path := range []string{"", "/"} {
		response, body := c.do(t, "", "GET", path, "")
		assert.Equal(t, http.StatusMultipleChoices, response.StatusCode)
		var answer struct {
			Versions []struct {
				ID, Status, Version string
				MinVersion          string `json:"min_version"`
				Links               []struct{ Rel, Href string }
			}
		}
		require.NoError(t, json.Unmarshal([]byte(body), &answer))
		require.Len(t, answer.Versions, 1)
		v := answer.Versions[0]
		assert.Equal(t, []string{"v3.0", "CURRENT", "3.0", "3.70"}, []string{v.ID, v.Status, v.MinVersion, v.Version})
		assert.Equal(t, c.url+"/v3/", v.Links[1].Href)
	}
	response, _ := c.do(t, "", "GET", "/v3/", "")
	assert.Equal(t, http.StatusUnauthorized, response.StatusCode)
	response, _ = c.do(t, "alpha", "GET", "/v3/", "")
	assert.Equal(t, http.StatusOK, response.StatusCode)
}

func TestAVolumeLivesFromCreationToDeletion(t *testing.T) {
	c := newCloud(t)
	v := c.make(t, "alpha", volumes.CreateOpts{Size: 2, Name: "data", Description: "mine", Metadata: map[string]string{"a": "b"}})
	assert.Equal(t, "data", v.Name)
	assert.Equal(t, "mine", v.Description)
	assert.Equal(t, 2, v.Size)
	assert.Equal(t, "false", v.Bootable)
	assert.Equal(t, map[string]string{"a": "b"}, v.Metadata)
	assert.Equal(t, "nova", v.AvailabilityZone)
	assert.Equal(t, "__DEFAULT__", v.VolumeType)
	assert.Empty(t, v.Attachments)
	info, err := os.Stat(c.file(v.ID))
	require.NoError(t, err)
	assert.Equal(t, int64(2<<30), info.Size())
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	_, err = volumes.Update(t.Context(), c.as("alpha"), v.ID, volumes.UpdateOpts{Name: new("other"), Metadata: map[string]string{"c": "d"}}).Extract()
	require.NoError(t, err)
	v, err = volumes.Get(t.Context(), c.as("alpha"), v.ID).Extract()
	require.NoError(t, err)
	assert.Equal(t, []any{"other", "mine", map[string]string{"c": "d"}}, []any{v.Name, v.Description, v.Metadata})

	require.NoError(t, volumes.Delete(t.Context(), c.as("alpha"), v.ID, nil).ExtractErr())
	c.awaitGone(t, "/v3/volumes/"+v.ID)
	status(t, http.StatusNotFound, volumes.Delete(t.Context(), c.as("alpha"), v.ID, nil).ExtractErr())
	c.requireNoFiles(t)
}

// What a microversion does not know must not be in its answers: clients check
// them against closed schemas.
func TestAnswersHaveTheAttributesOfTheirMicroversion(t *testing.T) {
	c := newCloud(t)
	base := []string{
		"attachments", "availability_zone", "bootable", "consistencygroup_id", "created_at", "description", "encrypted", "id", "links",
		"metadata", "migration_status", "multiattach", "name", "replication_status", "size", "snapshot_id", "source_volid", "status",
		"updated_at", "user_id", "volume_type",
	}
	id := c.make(t, "alpha", volumes.CreateOpts{}).ID
	tenant := append(slices.Clone(base), "os-vol-tenant-attr:tenant_id")
	admin := append(slices.Clone(tenant), "os-vol-host-attr:host", "os-vol-mig-status-attr:migstat", "os-vol-mig-status-attr:name_id")
	for _, test := range []struct {
		token, method, path, body, version string
		want                               []string
	}{
		{"alpha", "POST", "/v3/volumes", `{"volume": {"size": 1}}`, "", base},
		{"alpha", "PUT", "/v3/volumes/" + id, `{"volume": {"name": "x"}}`, "3.0", base},
		{"alpha", "GET", "/v3/volumes/" + id, ``, "", tenant},
		{"admin", "GET", "/v3/volumes/" + id, ``, "", admin},
		{"alpha", "GET", "/v3/volumes/" + id, ``, "3.13", append(slices.Clone(tenant), "group_id")},
		{"admin", "GET", "/v3/volumes/" + id, ``, "3.21", append(slices.Clone(admin), "group_id", "provider_id")},
		{"alpha", "GET", "/v3/volumes/" + id, ``, "latest", append(slices.Clone(tenant), "group_id", "service_uuid", "shared_targets", "volume_type_id", "consumes_quota")},
	} {
		header := []string{}
		if test.version != "" {
			header = []string{"OpenStack-API-Version", "volume " + test.version}
		}
		_, body := c.do(t, test.token, test.method, test.path, test.body, header...)
		var answer struct{ Volume map[string]any }
		require.NoError(t, json.Unmarshal([]byte(body), &answer), body)
		slices.Sort(test.want)
		assert.Equal(t, test.want, slices.Sorted(maps.Keys(answer.Volume)), "%s %s %s", test.token, test.method, test.version)
		assert.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$`, answer.Volume["created_at"])
	}
	response, body := c.do(t, "alpha", "GET", "/v3/volumes", "", "OpenStack-API-Version", "volume 3.71")
	assert.Equal(t, http.StatusNotAcceptable, response.StatusCode)
	assert.JSONEq(t, `{"computeFault": {"code": 406, "message": "Version 3.71 is not supported by the API. Minimum is 3.0 and maximum is 3.70."}}`, body)
	response, _ = c.do(t, "alpha", "GET", "/v3/volumes", "")
	assert.Equal(t, "volume 3.0", response.Header.Get("OpenStack-API-Version"))
	assert.Equal(t, response.Header.Get("X-Openstack-Request-Id"), response.Header.Get("X-Compute-Request-Id"))
	assert.Regexp(t, "^req-", response.Header.Get("X-Compute-Request-Id"))
}

func TestThePathMayNameTheProject(t *testing.T) {
	c := newCloud(t)
	id := c.make(t, "alpha", volumes.CreateOpts{Name: "x"}).ID
	for path, self := range map[string]string{
		"/v3/alpha/volumes/" + id: c.url + "/v3/alpha/volumes/" + id,
		"/v3/volumes/" + id:       c.url + "/v3/volumes/" + id,
	} {
		response, body := c.do(t, "alpha", "GET", path, "")
		assert.Equal(t, http.StatusOK, response.StatusCode, path)
		assert.Contains(t, body, `"href":"`+self+`"`)
	}
	response, body := c.do(t, "alpha", "GET", "/v3/beta/volumes", "")
	assert.Equal(t, http.StatusBadRequest, response.StatusCode)
	assert.JSONEq(t, `{"badRequest": {"code": 400, "message": "Malformed request url"}}`, body)
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		response, _ := c.do(t, "alpha", method, "/v3/alpha/volumes/", "")
		assert.Equal(t, http.StatusNotFound, response.StatusCode, "an empty id")
	}
	response, _ = c.do(t, "alpha", "DELETE", "/v3/volumes", "")
	assert.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
}

func TestBadInputIsRefused(t *testing.T) {
	c := newCloud(t)
	id := c.make(t, "alpha", volumes.CreateOpts{}).ID
	const nowhere = "5cb3e0d3-5ea0-4a59-9a0c-a3bdaa0b38fe"
	long := strings.Repeat("x", 256)
	one, action := "/v3/volumes/"+id, "/v3/volumes/"+id+"/action"
	for _, test := range []struct {
		status             int
		method, path, body string
	}{
		{400, "POST", "/v3/volumes", ``},
		{400, "POST", "/v3/volumes", `null`},
		{400, "POST", "/v3/volumes", `[]`},
		{400, "POST", "/v3/volumes", `{}`},
		{400, "POST", "/v3/volumes", `{"volume": null}`},
		{400, "POST", "/v3/volumes", `{"volume": []}`},
		{400, "POST", "/v3/volumes", `{"volume": {}}`},
		{400, "POST", "/v3/volumes", `{"volume": {"size": 0}}`},
		{400, "POST", "/v3/volumes", `{"volume": {"size": -1}}`},
		{400, "POST", "/v3/volumes", `{"volume": {"size": "#$%"}}`},
		{400, "POST", "/v3/volumes", `{"volume": {"size": 1.5}}`},
		{400, "POST", "/v3/volumes", `{"volume": {"size": null}}`},
		{400, "POST", "/v3/volumes", `{"volume": {"size": {}}}`},
		{400, "POST", "/v3/volumes", `{"volume": {"size": 2147483648}}`},
		{400, "POST", "/v3/volumes", `{"volume": {"size": 1, "name": 7}}`},
		{400, "POST", "/v3/volumes", `{"volume": {"size": 1, "name": "` + long + `"}}`},
		{400, "POST", "/v3/volumes", `{"volume": {"size": 1, "description": []}}`},
		{400, "POST", "/v3/volumes", `{"volume": {"size": 1, "metadata": "x"}}`},
		{400, "POST", "/v3/volumes", `{"volume": {"size": 1, "metadata": {"a": 1}}}`},
		{400, "POST", "/v3/volumes", `{"volume": {"size": 1, "metadata": {"a": null}}}`},
		{400, "POST", "/v3/volumes", `{"volume": {"size": 1, "metadata": {"": "x"}}}`},
		{400, "POST", "/v3/volumes", `{"volume": {"size": 1, "metadata": {"a": "` + long + `"}}}`},
		{400, "POST", "/v3/volumes", `{"volume": {"size": 1, "multiattach": true}}`},
		{400, "POST", "/v3/volumes", `{"volume": {"size": 1, "multiattach": "perhaps"}}`},
		{400, "POST", "/v3/volumes", `{"volume": {"size": 1, "availability_zone": "moon"}}`},
		{400, "POST", "/v3/volumes", `{"volume": {"size": 1, "snapshot_id": "x"}}`},
		{400, "POST", "/v3/volumes", `{"volume": {"size": 1, "imageRef": "` + nowhere + `"}}`},
		{400, "POST", "/v3/volumes", `{"volume": {"snapshot_id": "` + nowhere + `", "source_volid": "` + nowhere + `"}}`},
		{404, "POST", "/v3/volumes", `{"volume": {"snapshot_id": "` + nowhere + `"}}`},
		{404, "POST", "/v3/volumes", `{"volume": {"source_volid": "` + nowhere + `"}}`},
		{404, "POST", "/v3/volumes", `{"volume": {"size": 1, "volume_type": "fast"}}`},
		{400, "POST", "/v3/volumes", `{"volume": {"size": 2, "source_volid": "` + id + `", "imageRef": "` + id + `"}}`},
		{400, "PUT", one, `{}`},
		{400, "PUT", one, `{"volume": {"name": {}}}`},
		{400, "PUT", one, `{"volume": {"metadata": []}}`},
		{404, "PUT", "/v3/volumes/" + nowhere, `{}`},
		{404, "GET", "/v3/volumes/nonsense", ``},
		{404, "GET", "/v3/nothing", ``},
		{400, "GET", "/v3/volumes?limit=x", ``},
		{400, "GET", "/v3/volumes?limit=-1", ``},
		{400, "GET", "/v3/volumes?offset=-1", ``},
		{400, "GET", "/v3/volumes?sort_key=nothing", ``},
		{400, "GET", "/v3/volumes?sort=name:up", ``},
		{400, "GET", "/v3/volumes?sort=name&sort_key=size", ``},
		{400, "GET", "/v3/volumes?bootable=perhaps", ``},
		{400, "GET", "/v3/volumes?size=big", ``},
		{400, "GET", "/v3/volumes?metadata=x", ``},
		{404, "GET", "/v3/volumes?marker=" + nowhere, ``},
		{400, "POST", action, `{}`},
		{400, "POST", action, `{"os-reserve": null, "os-unreserve": null}`},
		{400, "POST", action, `{"os-migrate": {}}`},
		{404, "POST", "/v3/volumes/" + nowhere + "/action", `{"os-reserve": null}`},
		{400, "POST", action, `{"os-extend": null}`},
		{400, "POST", action, `{"os-extend": {"new_size": "x"}}`},
		{400, "POST", action, `{"os-extend": {"new_size": 1}}`},
		{413, "POST", action, `{"os-extend": {"new_size": 5000}}`},
		{400, "POST", action, `{"os-set_bootable": {}}`},
		{400, "POST", action, `{"os-set_bootable": {"bootable": "perhaps"}}`},
		{400, "POST", action, `{"os-update_readonly_flag": []}`},
		{400, "POST", action, `{"os-attach": {}}`},
		{400, "POST", action, `{"os-attach": {"instance_uuid": "x", "mountpoint": "/dev/vdb"}}`},
		{400, "POST", action, `{"os-attach": {"instance_uuid": "` + nowhere + `"}}`},
		{400, "POST", action, `{"os-attach": {"instance_uuid": "` + nowhere + `", "mountpoint": "/dev/vdb", "mode": "x"}}`},
		{400, "POST", action, `{"os-detach": {}}`},
		{403, "POST", action, `{"os-reset_status": {"status": "error"}}`},
		{403, "POST", action, `{"os-force_delete": {}}`},
		{403, "POST", action, `{"os-force_detach": {}}`},
		{404, "POST", action, `{"os-unset_image_metadata": {"key": "x"}}`},
		{400, "POST", one + "/metadata", `{"metadata": {"a": 1}}`},
		{400, "PUT", one + "/metadata", `{"meta": {}}`},
		{400, "PUT", one + "/metadata/a", `{"meta": {"b": "c"}}`},
		{404, "GET", one + "/metadata/a", ``},
		{404, "DELETE", one + "/metadata/a", ``},
		{400, "POST", "/v3/snapshots", `{"snapshot": {}}`},
		{404, "POST", "/v3/snapshots", `{"snapshot": {"volume_id": null}}`},
		{400, "POST", "/v3/snapshots", `{"snapshot": {"volume_id": 7}}`},
		{400, "POST", "/v3/snapshots", `{"snapshot": {"volume_id": "x"}}`},
		{403, "GET", "/v3/os-hosts", ``},
		{403, "GET", "/v3/os-hosts/gatehouse@files", ``},
		{404, "POST", "/v3/snapshots", `{"snapshot": {"volume_id": "` + nowhere + `"}}`},
		{404, "GET", "/v3/snapshots/" + nowhere, ``},
		{404, "GET", "/v3/types/" + nowhere, ``},
		{403, "GET", "/v3/os-quota-sets/beta", ``},
		{403, "PUT", "/v3/os-quota-sets/alpha", `{"quota_set": {"volumes": 100}}`},
		{403, "DELETE", "/v3/os-quota-sets/alpha", ``},
	} {
		response, body := c.do(t, "alpha", test.method, test.path, test.body)
		assert.Equal(t, test.status, response.StatusCode, "%s %s %.100s: %s", test.method, test.path, test.body, body)
	}
	for _, body := range []string{`{}`, `{"quota_set": {"volumes": "x"}}`, `{"quota_set": {"volumes": -2}}`, `{"quota_set": {"cars": 1}}`, `{"quota_set": {"volumes": null}}`} {
		response, _ := c.do(t, "admin", "PUT", "/v3/os-quota-sets/alpha", body)
		assert.Equal(t, http.StatusBadRequest, response.StatusCode, body)
	}
	for _, body := range []string{`{"os-reset_status": {}}`, `{"os-reset_status": {"status": "fine"}}`, `{"os-reset_status": {"attach_status": "x"}}`} {
		response, _ := c.do(t, "admin", "POST", action, body)
		assert.Equal(t, http.StatusBadRequest, response.StatusCode, body)
	}
	response, _ := c.do(t, "unscoped", "POST", "/v3/volumes", `{"volume": {"size": 1}}`)
	assert.Equal(t, http.StatusForbidden, response.StatusCode)
	response, body := c.do(t, "wrong", "GET", "/v3/volumes", "")
	assert.Equal(t, http.StatusUnauthorized, response.StatusCode)
	assert.Contains(t, body, `"error"`)
}

func TestTenantsSeeOnlyTheirOwn(t *testing.T) {
	c := newCloud(t)
	mine := c.make(t, "alpha", volumes.CreateOpts{Name: "mine"})
	theirs := c.make(t, "beta", volumes.CreateOpts{Name: "theirs"})
	for _, request := range [][3]string{
		{"GET", "", ""}, {"DELETE", "", ""}, {"PUT", "", `{"volume": {"name": "x"}}`}, {"GET", "/metadata", ""},
		{"POST", "/metadata", `{"metadata": {}}`}, {"POST", "/action", `{"os-reserve": {}}`}, {"POST", "/action", `{"os-extend": {"new_size": 2}}`},
	} {
		response, body := c.do(t, "alpha", request[0], "/v3/volumes/"+theirs.ID+request[1], request[2])
		assert.Equal(t, http.StatusNotFound, response.StatusCode, "%v", request)
		assert.Contains(t, body, `{"itemNotFound":{"code":404,"message":"Volume `+theirs.ID+` could not be found."}}`)
	}
	for _, body := range []string{`{"volume": {"source_volid": "` + theirs.ID + `"}}`, `{"snapshot": {"volume_id": "` + theirs.ID + `"}}`} {
		path := "/v3/volumes"
		if strings.Contains(body, "snapshot") {
			path = "/v3/snapshots"
		}
		response, _ := c.do(t, "alpha", "POST", path, body)
		assert.Equal(t, http.StatusNotFound, response.StatusCode, body)
	}
	assert.Equal(t, []string{"mine"}, c.names(t, "alpha", ""))
	assert.Equal(t, []string{"mine"}, c.names(t, "alpha", "?all_tenants=1"), "not for tenants")
	assert.Equal(t, []string{"theirs", "mine"}, c.names(t, "admin", "?all_tenants=1"))
	assert.Equal(t, []string{"mine"}, c.names(t, "admin", "?all_tenants=1&project_id=alpha"))
	assert.Empty(t, c.names(t, "admin", ""))
	_, err := c.Reserve(t.Context(), "alpha", theirs.ID, "server", "/dev/vdb")
	require.ErrorContains(t, err, "could not be found")
	assert.Equal(t, "mine", mine.Name)
}

func TestAReaderOnlyReads(t *testing.T) {
	c := newCloud(t)
	id := c.make(t, "alpha", volumes.CreateOpts{Name: "mine"}).ID
	assert.Equal(t, []string{"mine"}, c.names(t, "reader", ""))
	for _, request := range [][2]string{
		{"POST", "/v3/volumes"}, {"PUT", "/v3/volumes/" + id}, {"DELETE", "/v3/volumes/" + id}, {"POST", "/v3/volumes/" + id + "/action"},
		{"POST", "/v3/volumes/" + id + "/metadata"}, {"PUT", "/v3/volumes/" + id + "/metadata/a"},
		{"POST", "/v3/snapshots"}, {"POST", "/v3/snapshots/" + id + "/action"},
	} {
		response, body := c.do(t, "reader", request[0], request[1], `{}`)
		assert.Equal(t, http.StatusForbidden, response.StatusCode, "%v: %s", request, body)
	}
}

func TestMetadataIsReadAndChanged(t *testing.T) {
	c := newCloud(t)
	path := "/v3/volumes/" + c.make(t, "alpha", volumes.CreateOpts{}).ID + "/metadata"
	for _, step := range []struct{ method, path, body, want string }{
		{"GET", "", ``, `{"metadata": {}}`},
		{"POST", "", `{"metadata": {"a": "1", "b": "2"}}`, `{"metadata": {"a": "1", "b": "2"}}`},
		{"POST", "", `{"metadata": {"b": "3"}}`, `{"metadata": {"a": "1", "b": "3"}}`},
		{"PUT", "/c", `{"meta": {"c": "4"}}`, `{"meta": {"c": "4"}}`},
		{"GET", "/c", ``, `{"meta": {"c": "4"}}`},
		{"DELETE", "/b", ``, ``},
		{"GET", "", ``, `{"metadata": {"a": "1", "c": "4"}}`},
		{"PUT", "", `{"metadata": {"z": ""}}`, `{"metadata": {"z": ""}}`},
		{"GET", "", ``, `{"metadata": {"z": ""}}`},
	} {
		response, body := c.do(t, "alpha", step.method, path+step.path, step.body)
		require.Equal(t, http.StatusOK, response.StatusCode, body)
		if step.want != "" {
			assert.JSONEq(t, step.want, body, "%v", step)
		}
	}
}

func TestQuotasAreKept(t *testing.T) {
	c := newCloud(t, func(config *volume.Config) {
		config.Quotas = volume.Quotas{Volumes: 2, Gigabytes: 5, Snapshots: 1, PerVolumeGigabytes: -1}
	})
	v := c.make(t, "alpha", volumes.CreateOpts{Size: 3})
	for body, want := range map[string]string{
		`{"volume": {"size": 3}}`: "VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota. " +
			"Requested 3G, quota is 5G and 3G has been consumed.",
	} {
		response, got := c.do(t, "alpha", "POST", "/v3/volumes", body)
		assert.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
		assert.JSONEq(t, `{"overLimit": {"code": 413, "retryAfter": "0", "message": "`+want+`"}}`, got)
	}
	second := c.make(t, "alpha", volumes.CreateOpts{Size: 1})
	_, body := c.do(t, "alpha", "POST", "/v3/volumes", `{"volume": {"size": 1}}`)
	assert.Contains(t, body, "VolumeLimitExceeded: Maximum number of volumes allowed (2) exceeded for quota 'volumes'.")
	c.make(t, "beta", volumes.CreateOpts{Size: 5}) // it has quotas of its own

	used, err := quotasets.GetUsage(t.Context(), c.as("alpha"), "alpha").Extract()
	require.NoError(t, err)
	assert.Equal(t, quotasets.QuotaUsage{InUse: 4, Limit: 5}, used.Gigabytes)
	set, err := quotasets.Update(t.Context(), c.as("admin"), "alpha", quotasets.UpdateOpts{Gigabytes: new(7), PerVolumeGigabytes: new(6)}).Extract()
	require.NoError(t, err)
	assert.Equal(t, []int{7, 2, 6}, []int{set.Gigabytes, set.Volumes, set.PerVolumeGigabytes})
	status(t, 413, volumes.ExtendSize(t.Context(), c.as("alpha"), v.ID, volumes.ExtendSizeOpts{NewSize: 7}).ExtractErr())
	require.NoError(t, volumes.ExtendSize(t.Context(), c.as("alpha"), v.ID, volumes.ExtendSizeOpts{NewSize: 6}).ExtractErr())
	c.await(t, v.ID, volume.Available)
	absolute, err := limits.Get(t.Context(), c.as("alpha")).Extract()
	require.NoError(t, err)
	assert.Equal(t, []int{7, 7, 2, 2}, []int{absolute.Absolute.TotalGigabytesUsed, absolute.Absolute.MaxTotalVolumeGigabytes,
		absolute.Absolute.TotalVolumesUsed, absolute.Absolute.MaxTotalVolumes})

	require.NoError(t, volumes.Delete(t.Context(), c.as("alpha"), second.ID, nil).ExtractErr())
	c.awaitGone(t, "/v3/volumes/"+second.ID)
	c.make(t, "alpha", volumes.CreateOpts{Size: 1}) // what is deleted is free again
	require.NoError(t, quotasets.Delete(t.Context(), c.as("admin"), "alpha").ExtractErr())
	set, err = quotasets.Get(t.Context(), c.as("alpha"), "alpha").Extract()
	require.NoError(t, err)
	assert.Equal(t, 5, set.Gigabytes)
}

func TestAdministratorsSeeWhatTheHostHolds(t *testing.T) {
	c := newCloud(t)
	c.make(t, "alpha", volumes.CreateOpts{Size: 2})
	c.snapshot(t, "beta", c.make(t, "beta", volumes.CreateOpts{Size: 3}).ID)
	_, body := c.do(t, "admin", "GET", "/v3/os-hosts", "")
	assert.Contains(t, body, `"host_name":"gatehouse@files"`)
	_, body = c.do(t, "admin", "GET", "/v3/os-hosts/gatehouse@files", "")
	assert.JSONEq(t, `{"host": [{"resource": {"host": "gatehouse@files", "project": "(total)", "volume_count": "2", "total_volume_gb": "5",
		"snapshot_count": "1", "total_snapshot_gb": "3"}}]}`, body)
	response, _ := c.do(t, "admin", "GET", "/v3/os-hosts/other", "")
	assert.Equal(t, http.StatusNotFound, response.StatusCode)
}

func TestThereIsOneTypeAndOneZone(t *testing.T) {
	c := newCloud(t)
	pages, err := volumetypes.List(c.as("alpha"), nil).AllPages(t.Context())
	require.NoError(t, err)
	types, err := volumetypes.ExtractVolumeTypes(pages)
	require.NoError(t, err)
	require.Len(t, types, 1)
	one, err := volumetypes.Get(t.Context(), c.as("alpha"), types[0].ID).Extract()
	require.NoError(t, err)
	assert.Equal(t, "__DEFAULT__", one.Name)
	c.make(t, "alpha", volumes.CreateOpts{VolumeType: one.Name, AvailabilityZone: "nova"})

	pages, err = availabilityzones.List(c.as("alpha")).AllPages(t.Context())
	require.NoError(t, err)
	zones, err := availabilityzones.ExtractAvailabilityZones(pages)
	require.NoError(t, err)
	assert.Equal(t, []availabilityzones.AvailabilityZone{{ZoneName: "nova", ZoneState: availabilityzones.ZoneState{Available: true}}}, zones)
	response, body := c.do(t, "alpha", "GET", "/v3/extensions", "")
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.Contains(t, body, "os-volume-actions")
}

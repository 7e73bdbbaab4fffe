package image_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/members"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/image"
)

func TestTheVersionsAreShownWithoutAToken(t *testing.T) {
	c := newCloud(t)
	for path, status := range map[string]int{"": 300, "/": 300, "/versions": 200} {
		response, body := c.do(t, "", "GET", path, "")
		assert.Equal(t, status, response.StatusCode, path)
		var answer struct {
			Versions []struct {
				ID, Status string
				Links      []struct{ Rel, Href string }
			}
		}
		require.NoError(t, json.Unmarshal([]byte(body), &answer))
		assert.Equal(t, "v2.15", answer.Versions[0].ID)
		assert.Equal(t, "CURRENT", answer.Versions[0].Status)
		assert.Equal(t, c.url+"/v2/", answer.Versions[0].Links[0].Href)
	}
}

func TestAnImageLivesFromRegistrationToDeletion(t *testing.T) {
	c := newCloud(t)
	img := c.register(t, "alpha", images.CreateOpts{
		Name: "debian", Tags: []string{"b", "a", "b"}, MinDisk: 3, MinRAM: 512, Protected: new(true),
		Properties: map[string]string{"os_command_line": "console=ttyS0", "kernel_id": "5cb3e0d3-5ea0-4a59-9a0c-a3bdaa0b38fe"},
	})
	assert.Equal(t, images.ImageStatusQueued, img.Status)
	assert.Equal(t, images.ImageVisibilityShared, img.Visibility)
	assert.Equal(t, []string{"a", "b"}, img.Tags)
	assert.Equal(t, "alpha", img.Owner)
	assert.Equal(t, "console=ttyS0", img.Properties["os_command_line"])
	assert.Equal(t, "/v2/images/"+img.ID+"/file", img.File)

	response, _ := c.do(t, "alpha", "GET", "/v2/images/"+img.ID+"/file", "")
	assert.Equal(t, http.StatusNoContent, response.StatusCode, "an image without data")

	require.NoError(t, imagedata.Upload(t.Context(), c.as("alpha"), img.ID, strings.NewReader("some bytes")).ExtractErr())
	img = c.show(t, "alpha", img.ID)
	assert.Equal(t, images.ImageStatusActive, img.Status)
	assert.Equal(t, int64(10), img.SizeBytes)
	assert.Equal(t, int64(10), img.VirtualSize)
	assert.Equal(t, "9d0568469d206c1aedf1b71f12f474bc", img.Checksum)                      // md5sum
	assert.Equal(t, "sha512", img.Properties["os_hash_algo"])                              // sha512sum:
	assert.Equal(t, "aebf42e044550433", img.Properties["os_hash_value"].(string)[:16])     // begins and
	assert.Equal(t, "5d12192fc155d72b", img.Properties["os_hash_value"].(string)[128-16:]) // ends so

	err := images.Delete(t.Context(), c.as("alpha"), img.ID).ExtractErr()
	assert.True(t, gophercloud.ResponseCodeIs(err, 403), "a protected image: %v", err)
	_, err = images.Update(t.Context(), c.as("alpha"), img.ID, images.UpdateOpts{images.ReplaceImageProtected{NewProtected: false}}).Extract()
	require.NoError(t, err)
	require.NoError(t, images.Delete(t.Context(), c.as("alpha"), img.ID).ExtractErr())
	for _, method := range []string{"GET", "DELETE"} {
		response, body := c.do(t, "alpha", method, "/v2/images/"+img.ID, "")
		assert.Equal(t, http.StatusNotFound, response.StatusCode)
		assert.Contains(t, body, "<title>404 Not Found</title>")
		assert.Contains(t, body, "No image found with ID "+img.ID)
	}
	_, err = images.Create(t.Context(), c.as("alpha"), images.CreateOpts{Name: "again", ID: img.ID}).Extract()
	assert.True(t, gophercloud.ResponseCodeIs(err, 409), "the id of a deleted image: %v", err)
}

func TestRangesOfAnImageAreDownloaded(t *testing.T) {
	c := newCloud(t)
	file := "/v2/images/" + c.put(t, "alpha", images.CreateOpts{Name: "digits"}, "0123456789").ID + "/file"

	response, body := c.do(t, "alpha", "GET", file, "")
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.Equal(t, "0123456789", body)
	assert.Equal(t, "781e5e245d69b566979b86e28d23f2c7", response.Header.Get("Content-MD5"))
	assert.Equal(t, "application/octet-stream", response.Header.Get("Content-Type"))

	response, body = c.do(t, "alpha", "GET", file, "", "Range", "bytes=3-5")
	assert.Equal(t, http.StatusPartialContent, response.StatusCode)
	assert.Equal(t, "345", body)
	assert.Equal(t, "bytes 3-5/10", response.Header.Get("Content-Range"))
	assert.Empty(t, response.Header.Get("Content-MD5"), "it is not the part's")

	response, _ = c.do(t, "alpha", "GET", file, "", "Range", "bytes=10-")
	assert.Equal(t, http.StatusRequestedRangeNotSatisfiable, response.StatusCode)
}

func TestPatchesChangeAttributesAndProperties(t *testing.T) {
	c := newCloud(t)
	path := "/v2/images/" + c.put(t, "alpha", images.CreateOpts{Name: "old", Properties: map[string]string{"a/b": "1", "gone": "1"}}, "x").ID
	const v21, v20 = "application/openstack-images-v2.1-json-patch", "application/openstack-images-v2.0-json-patch"

	response, body := c.do(t, "alpha", "PATCH", path, `[
		{"op": "replace", "path": "/name", "value": "new"}, {"op": "add", "path": "/color", "value": "red"},
		{"op": "add", "path": "/color", "value": "blue"}, {"op": "replace", "path": "/a~1b", "value": "2"},
		{"op": "remove", "path": "/gone"}, {"op": "replace", "path": "/tags", "value": ["x"]},
		{"op": "add", "path": "/kernel_id", "value": null}]`, "Content-Type", v21)
	require.Equal(t, http.StatusOK, response.StatusCode, body)
	var img map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &img))
	assert.Equal(t, []any{"new", "blue", "2", nil, []any{"x"}}, []any{img["name"], img["color"], img["a/b"], img["gone"], img["tags"]})

	response, body = c.do(t, "alpha", "PATCH", path, `[{"replace": "/name", "value": "newer"}, {"add": "/size_class", "value": "s"}]`, "Content-Type", v20)
	require.Equal(t, http.StatusOK, response.StatusCode, body)
	assert.Equal(t, "newer", c.show(t, "alpha", path[len("/v2/images/"):]).Name)

	for _, test := range []struct {
		status      int
		reason      string
		media, body string
	}{
		{415, "expects Content-Type one of", "application/json", `[]`},
		{400, "", v21, `{}`},
		{400, "JSON array", v21, `null`},
		{400, "", v21, `[1]`},
		{400, "&#39;op&#39;", v21, `[{"path": "/name", "value": "x"}]`},
		{400, "Invalid operation", v21, `[{"op": "test", "path": "/name", "value": "x"}]`},
		{400, "&#39;path&#39;", v21, `[{"op": "add", "value": "x"}]`},
		{400, "requires a member", v21, `[{"op": "add", "path": "/name"}]`},
		{400, "Invalid JSON pointer", v21, `[{"op": "add", "path": "name", "value": "x"}]`},
		{400, "Invalid JSON pointer", v21, `[{"op": "add", "path": "/tags/-", "value": "x"}]`},
		{400, "Invalid JSON pointer", v21, `[{"op": "add", "path": "/a~2", "value": "x"}]`},
		{400, "Invalid JSON pointer", v21, `[{"op": "add", "path": "/", "value": "x"}]`},
		{400, "not of type", v21, `[{"op": "add", "path": "/color", "value": 7}]`},
		{400, "not of type", v21, `[{"op": "add", "path": "/color", "value": null}]`},
		{400, "form of an image id", v21, `[{"op": "add", "path": "/kernel_id", "value": "vmlinuz"}]`},
		{400, "is not one of", v21, `[{"op": "replace", "path": "/visibility", "value": "secret"}]`},
		{403, "read-only", v21, `[{"op": "replace", "path": "/status", "value": "queued"}]`},
		{403, "read-only", v21, `[{"op": "replace", "path": "/id", "value": "5cb3e0d3-5ea0-4a59-9a0c-a3bdaa0b38fe"}]`},
		{403, "reserved", v21, `[{"op": "replace", "path": "/locations", "value": []}]`},
		{403, "may not be removed", v21, `[{"op": "remove", "path": "/name"}]`},
		{403, "Owner can", v21, `[{"op": "replace", "path": "/owner", "value": "beta"}]`},
		{403, "publicize_image", v21, `[{"op": "replace", "path": "/visibility", "value": "public"}]`},
		{403, "only replaced for a queued image", v21, `[{"op": "replace", "path": "/disk_format", "value": "qcow2"}]`},
		{409, "does not exist", v21, `[{"op": "replace", "path": "/absent", "value": "x"}]`},
		{409, "does not exist", v21, `[{"op": "remove", "path": "/absent"}]`},
		{409, "already present", v20, `[{"add": "/color", "value": "x"}]`},
		{400, "exactly one member", v20, `[{"add": "/a", "remove": "/b", "value": "x"}]`},
		{409, "does not exist", v21, `[{"op": "replace", "path": "/name", "value": "half"}, {"op": "remove", "path": "/absent"}]`},
	} {
		response, body := c.do(t, "alpha", "PATCH", path, test.body, "Content-Type", test.media)
		assert.Equal(t, test.status, response.StatusCode, "%s: %s", test.body, body)
		assert.Contains(t, body, test.reason, test.body)
	}
	assert.Equal(t, "newer", c.show(t, "alpha", path[len("/v2/images/"):]).Name, "a failed patch changes nothing")
}

func TestABadRegistrationIsRefused(t *testing.T) {
	c := newCloud(t)
	long := strings.Repeat("x", 256)
	for _, test := range []struct {
		status int
		body   string
	}{
		{400, ``}, {400, `null`}, {400, `[]`}, {400, `"x"`}, {400, `{`}, {400, `{} {}`},
		{400, `{"name": 7}`}, {400, `{"name": "` + long + `"}`}, {400, `{"id": "x"}`}, {400, `{"id": 7}`}, {400, `{"id": null}`},
		{400, `{"disk_format": "floppy"}`}, {400, `{"disk_format": 1}`}, {400, `{"container_format": "box"}`},
		{400, `{"visibility": null}`}, {400, `{"visibility": "none"}`}, {403, `{"visibility": "public"}`},
		{400, `{"protected": "yes"}`}, {400, `{"protected": null}`}, {400, `{"os_hidden": 1}`},
		{400, `{"min_disk": -1}`}, {400, `{"min_disk": "1"}`}, {400, `{"min_ram": 1.5}`}, {400, `{"min_ram": 99999999999999999999}`},
		{400, `{"tags": "x"}`}, {400, `{"tags": [1]}`}, {400, `{"tags": null}`}, {400, `{"tags": ["` + long + `"]}`},
		{400, `{"any": 7}`}, {400, `{"any": null}`}, {400, `{"any": {}}`}, {400, `{"": "x"}`}, {400, `{"` + long + `": "x"}`},
		{400, `{"kernel_id": "x"}`}, {400, `{"owner": 1}`}, {403, `{"owner": "beta"}`},
		{400, `{"any": "` + strings.Repeat("x", 65536) + `"}`}, {413, `{"name": "` + strings.Repeat("x", 1<<20) + `"}`},
		{403, `{"status": "active"}`}, {403, `{"size": 1}`}, {403, `{"checksum": "x"}`}, {403, `{"self": "x"}`},
		{403, `{"locations": []}`}, {403, `{"os_glance_x": "x"}`},
		{413, `{"tags": [` + numbered(129, `"t%d"`) + `]}`}, {413, `{` + numbered(129, `"p%d": "x"`) + `}`},
	} {
		response, body := c.do(t, "alpha", "POST", "/v2/images", test.body)
		assert.Equal(t, test.status, response.StatusCode, "%.80s: %.200s", test.body, body)
	}
	response, _ := c.do(t, "unscoped", "POST", "/v2/images", `{}`)
	assert.Equal(t, http.StatusForbidden, response.StatusCode, "without a project")
}

func numbered(n int, format string) string {
	var parts []string
	for i := range n {
		parts = append(parts, fmt.Sprintf(format, i))
	}
	return strings.Join(parts, ", ")
}

func TestErrorsComeInTheFormThatIsAskedFor(t *testing.T) {
	c := newCloud(t)
	response, body := c.do(t, "alpha", "GET", "/v2/images/<x>", "")
	assert.Equal(t, "text/html; charset=UTF-8", response.Header.Get("Content-Type"))
	assert.Contains(t, body, "No image found with ID &lt;x&gt;")
	assert.Regexp(t, "^req-", response.Header.Get("X-Openstack-Request-Id"))

	_, body = c.do(t, "alpha", "GET", "/v2/images/x", "", "Accept", "application/json")
	assert.JSONEq(t, `{"message": "No image found with ID x", "code": "404 Not Found", "title": "Not Found"}`, body)

	response, body = c.do(t, "wrong", "GET", "/v2/images", "")
	assert.Equal(t, http.StatusUnauthorized, response.StatusCode)
	assert.Contains(t, response.Header.Get("Www-Authenticate"), "Keystone uri=")
	assert.JSONEq(t, `{"error": {"code": 401, "title": "Unauthorized", "message": "The request you have made requires authentication."}}`, body)

	for _, method := range []string{"GET", "DELETE"} {
		response, _ = c.do(t, "alpha", method, "/v2/images/", "")
		assert.Equal(t, http.StatusNotFound, response.StatusCode, "an empty id")
	}
	response, _ = c.do(t, "alpha", "PUT", "/v2/images", "")
	assert.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
	assert.Equal(t, "GET, POST", response.Header.Get("Allow"))
}

func TestTenantsSeeOnlyWhatIsTheirsOrShown(t *testing.T) {
	c := newCloud(t)
	private := c.put(t, "alpha", images.CreateOpts{Name: "private", Visibility: new(images.ImageVisibilityPrivate)}, "x")
	shared := c.put(t, "alpha", images.CreateOpts{Name: "shared"}, "x")
	public := c.put(t, "admin", images.CreateOpts{Name: "public", Visibility: new(images.ImageVisibilityPublic)}, "x")
	community := c.put(t, "alpha", images.CreateOpts{Name: "community", Visibility: new(images.ImageVisibilityCommunity)}, "x")

	for _, id := range []string{private.ID, shared.ID} {
		for _, request := range [][3]string{
			{"GET", "", ""}, {"DELETE", "", ""}, {"GET", "/file", ""}, {"PUT", "/file", "x"}, {"PUT", "/tags/x", ""}, {"GET", "/members", ""},
			{"POST", "/members", `{"member": "beta"}`}, {"POST", "/actions/deactivate", ""}, {"PATCH", "", "[]"},
		} {
			kind := "application/octet-stream"
			if request[0] == "PATCH" {
				kind = "application/openstack-images-v2.1-json-patch"
			}
			response, body := c.do(t, "beta", request[0], "/v2/images/"+id+request[1], request[2], "Content-Type", kind)
			assert.Equal(t, http.StatusNotFound, response.StatusCode, "%v: %s", request, body)
		}
		_, err := c.Get(t.Context(), image.Caller{Project: "beta"}, id)
		assert.Equal(t, fault.NotFound, fault.KindOf(err))
	}
	for _, id := range []string{public.ID, community.ID} {
		assert.Equal(t, id, c.show(t, "beta", id).ID)
		err := images.Delete(t.Context(), c.as("beta"), id).ExtractErr()
		assert.True(t, gophercloud.ResponseCodeIs(err, 403), "%v", err)
	}
	assert.Equal(t, []string{"public"}, c.names(t, "beta", images.ListOpts{}))
	assert.Equal(t, []string{"community", "private", "public", "shared"}, c.names(t, "alpha", images.ListOpts{Sort: "name:asc"}))
	assert.Equal(t, []string{"community"}, c.names(t, "beta", images.ListOpts{Visibility: images.ImageVisibilityCommunity}))
}

func TestAReaderOnlyReads(t *testing.T) {
	c := newCloud(t)
	id := c.put(t, "alpha", images.CreateOpts{Name: "mine"}, "x").ID
	assert.Equal(t, []string{"mine"}, c.names(t, "reader", images.ListOpts{}))
	for _, request := range [][2]string{
		{"POST", "/v2/images"}, {"PATCH", "/v2/images/" + id}, {"DELETE", "/v2/images/" + id}, {"PUT", "/v2/images/" + id + "/file"},
		{"PUT", "/v2/images/" + id + "/tags/x"}, {"DELETE", "/v2/images/" + id + "/tags/x"}, {"POST", "/v2/images/" + id + "/members"},
		{"PUT", "/v2/images/" + id + "/members/alpha"}, {"DELETE", "/v2/images/" + id + "/members/alpha"},
		{"POST", "/v2/images/" + id + "/actions/deactivate"},
	} {
		response, body := c.do(t, "reader", request[0], request[1], `{}`)
		assert.Equal(t, http.StatusForbidden, response.StatusCode, "%v: %s", request, body)
	}
}

func TestASharedImageIsListedOnceItsMemberAcceptsIt(t *testing.T) {
	c := newCloud(t)
	shared := c.put(t, "alpha", images.CreateOpts{Name: "shared"}, "x")
	_, err := members.Create(t.Context(), c.as("alpha"), shared.ID, "beta").Extract()
	require.NoError(t, err)
	_, err = members.Create(t.Context(), c.as("alpha"), shared.ID, "beta").Extract()
	assert.True(t, gophercloud.ResponseCodeIs(err, 409), "%v", err)

	assert.Equal(t, shared.ID, c.show(t, "beta", shared.ID).ID)
	assert.Empty(t, c.names(t, "beta", images.ListOpts{}), "it is pending")
	assert.Equal(t, []string{"shared"}, c.names(t, "beta", images.ListOpts{MemberStatus: images.ImageMemberStatusPending}))

	_, err = members.Update(t.Context(), c.as("alpha"), shared.ID, "beta", members.UpdateOpts{Status: "accepted"}).Extract()
	assert.True(t, gophercloud.ResponseCodeIs(err, 403), "the owner cannot accept for the member: %v", err)
	_, err = members.Update(t.Context(), c.as("beta"), shared.ID, "beta", members.UpdateOpts{Status: "perhaps"}).Extract()
	assert.True(t, gophercloud.ResponseCodeIs(err, 400), "%v", err)
	_, err = members.Update(t.Context(), c.as("beta"), shared.ID, "beta", members.UpdateOpts{Status: "accepted"}).Extract()
	require.NoError(t, err)
	assert.Equal(t, []string{"shared"}, c.names(t, "beta", images.ListOpts{}))

	require.NoError(t, members.Delete(t.Context(), c.as("alpha"), shared.ID, "beta").ExtractErr())
	_, err = images.Get(t.Context(), c.as("beta"), shared.ID).Extract()
	assert.True(t, gophercloud.ResponseCodeIs(err, 404), "%v", err)
}

func TestTagsComeAndGo(t *testing.T) {
	c := newCloud(t)
	path := "/v2/images/" + c.register(t, "alpha", images.CreateOpts{Name: "x"}).ID + "/tags/"
	for _, step := range []struct {
		method, tag string
		status      int
	}{
		{"PUT", "a%20b", 204}, {"PUT", "a%20b", 204}, {"DELETE", "a%20b", 204}, {"DELETE", "a%20b", 404},
		{"PUT", strings.Repeat("x", 256), 400}, {"GET", "a", 405},
	} {
		response, _ := c.do(t, "alpha", step.method, path+step.tag, "")
		assert.Equal(t, step.status, response.StatusCode, "%v", step)
	}
}

func TestADeactivatedImageCannotBeUsed(t *testing.T) {
	c := newCloud(t)
	id := c.put(t, "alpha", images.CreateOpts{Name: "x"}, "x").ID
	queued := c.register(t, "alpha", images.CreateOpts{Name: "y"}).ID
	for _, step := range []struct {
		token, method, path string
		status              int
	}{
		{"alpha", "POST", id + "/actions/deactivate", 403},
		{"admin", "POST", id + "/actions/deactivate", 204},
		{"alpha", "GET", id + "/file", 403},
		{"admin", "POST", id + "/actions/reactivate", 204},
		{"alpha", "GET", id + "/file", 200},
		{"admin", "POST", queued + "/actions/deactivate", 403},
	} {
		response, body := c.do(t, step.token, step.method, "/v2/images/"+step.path, "")
		assert.Equal(t, step.status, response.StatusCode, "%v: %s", step, body)
	}
}

func TestSchemasDescribeWhatIsAnswered(t *testing.T) {
	c := newCloud(t)
	_, body := c.do(t, "alpha", "GET", "/v2/schemas/image", "")
	var schema struct{ Properties map[string]any }
	require.NoError(t, json.Unmarshal([]byte(body), &schema))
	_, body = c.do(t, "alpha", "GET", "/v2/images/"+c.put(t, "alpha", images.CreateOpts{Name: "x"}, "x").ID, "")
	var img map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &img))
	for name := range img {
		assert.Contains(t, schema.Properties, name)
	}
	for _, name := range []string{"images", "member", "members"} {
		response, body := c.do(t, "alpha", "GET", "/v2/schemas/"+name, "")
		assert.Equal(t, http.StatusOK, response.StatusCode)
		assert.Contains(t, body, `"name":"`+name+`"`)
	}
	response, _ := c.do(t, "alpha", "GET", "/v2/schemas/nothing", "")
	assert.Equal(t, http.StatusNotFound, response.StatusCode)
}

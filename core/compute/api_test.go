package compute_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// answer is what the API answered.
type answer struct {
	*httptest.ResponseRecorder
}

// ask sends a request as a bare client does. Of headers, there are name and
// value in turn.
func (c *cloud) ask(t *testing.T, token, method, path, body string, headers ...string) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://cloud"+path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("X-Auth-Token", token)
	}
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	w := httptest.NewRecorder()
	c.service.Handler().ServeHTTP(w, r)
	return answer{w}
}

// object is the answer's body, decoded; of its member, if one is named.
func (a answer) object(t *testing.T, member ...string) map[string]any {
	t.Helper()
	var v map[string]any
	require.NoError(t, json.Unmarshal(a.Body.Bytes(), &v), "%d %s", a.Code, a.Body)
	for _, name := range member {
		inner, ok := v[name].(map[string]any)
		require.True(t, ok, "no %s in %v", name, v)
		v = inner
	}
	return v
}

func TestVersionsAreToldWithoutAToken(t *testing.T) {
	c := newCloud(t)
	for _, path := range []string{"/compute", "/compute/"} {
		got := c.ask(t, "", "GET", path, "")
		require.Equal(t, http.StatusOK, got.Code)
		versions := got.object(t)["versions"].([]any)
		require.Len(t, versions, 2)
		assert.Equal(t, "", versions[0].(map[string]any)["version"]) //nolint:testifylint // null is something else
		assert.Equal(t, "2.93", versions[1].(map[string]any)["version"])
	}
	for _, path := range []string{"/compute/v2.1", "/compute/v2.1/"} {
		got := c.ask(t, "", "GET", path, "", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "cloud.example")
		version := got.object(t, "version")
		assert.Equal(t, "v2.1", version["id"])
		assert.Equal(t, "CURRENT", version["status"])
		assert.Equal(t, "2.1", version["min_version"])
		self := version["links"].([]any)[0].(map[string]any)
		assert.Equal(t, "https://cloud.example/compute/v2.1/", self["href"])
	}
}

func TestTheOldVersionIsAnsweredToo(t *testing.T) {
	c := newCloud(t)
	assert.Equal(t, "v2.0", c.ask(t, "", "GET", "/compute/v2/", "").object(t, "version")["id"])
	for _, path := range []string{"/compute/v2/flavors/1", "/compute/v2/" + project + "/flavors/1"} {
		assert.Equal(t, "m1.tiny", c.ask(t, "member", "GET", path, "").object(t, "flavor")["name"])
	}
}

func TestMicroversionsAreNegotiated(t *testing.T) {
	c := newCloud(t)
	for _, test := range []struct {
		header, value string
		status        int
		version, text string
	}{
		{"X-Ignored", "", 200, "2.1", ""},
		{"X-OpenStack-Nova-API-Version", "2.2", 200, "2.2", ""},
		{"OpenStack-API-Version", "compute 2.53", 200, "2.53", ""},
		{"OpenStack-API-Version", "compute latest", 200, "2.93", ""},
		{"OpenStack-API-Version", "volume 3.2, compute 2.7", 200, "2.7", ""},
		{"OpenStack-API-Version", "volume 3.2", 200, "2.1", ""},
		{
			"X-OpenStack-Nova-API-Version", "2.999", 406, "2.999",
			`{"computeFault":{"code":406,"message":"Version 2.999 is not supported by the API. Minimum is 2.1 and maximum is 2.93."}}`,
		},
		{
			"X-OpenStack-Nova-API-Version", "two", 400, "",
			`{"badRequest":{"code":400,"message":"API Version String two is of invalid format. Must be of format MajorNum.MinorNum."}}`,
		},
	} {
		got := c.ask(t, "member", "GET", "/compute/v2.1/servers", "", test.header, test.value)
		assert.Equal(t, test.status, got.Code, test.value)
		assert.Equal(t, test.version, got.Header().Get("X-OpenStack-Nova-API-Version"), test.value)
		if test.version != "" {
			assert.Equal(t, "compute "+test.version, got.Header().Get("OpenStack-API-Version"), test.value)
			assert.Subset(t, got.Header().Values("Vary"), []string{"OpenStack-API-Version", "X-OpenStack-Nova-API-Version"})
		}
		if test.text != "" {
			assert.JSONEq(t, test.text, got.Body.String())
		}
	}
}

func TestEveryAnswerHasItsRequestID(t *testing.T) {
	c := newCloud(t)
	for _, token := range []string{"member", ""} {
		got := c.ask(t, token, "GET", "/compute/v2.1/servers", "")
		assert.Regexp(t, `^req-[0-9a-f-]{36}$`, got.Header().Get("X-Openstack-Request-Id"))
		assert.Equal(t, got.Header().Get("X-Openstack-Request-Id"), got.Header().Get("X-Compute-Request-Id"))
	}
}

func TestErrorsAreNovas(t *testing.T) {
	c := newCloud(t)
	got := c.ask(t, "member", "GET", "/compute/v2.1/servers/nope", "")
	assert.Equal(t, 404, got.Code)
	assert.JSONEq(t, `{"itemNotFound":{"code":404,"message":"Instance nope could not be found."}}`, got.Body.String())

	got = c.ask(t, "", "GET", "/compute/v2.1/servers", "")
	assert.Equal(t, 401, got.Code)
	assert.Equal(t, `Keystone uri="http://cloud/identity"`, got.Header().Get("Www-Authenticate"))
	assert.Equal(t, "Unauthorized", got.object(t, "error")["title"])

	got = c.ask(t, "member", "GET", "/compute/v2.1/nothing/here", "")
	assert.Equal(t, 404, got.Code)
	assert.Contains(t, got.Body.String(), "<title>404 Not Found</title>")

	got = c.ask(t, "member", "PATCH", "/compute/v2.1/servers", "")
	assert.Equal(t, 405, got.Code)
	assert.Equal(t, "GET, POST", got.Header().Get("Allow"))

	got = c.ask(t, "member", "GET", "/compute/v2.1/os-services", "")
	assert.Equal(t, 403, got.Code)
	assert.Contains(t, got.object(t, "forbidden")["message"], "Policy doesn't allow")
}

func TestBadBodiesAreToldOf(t *testing.T) {
	c := newCloud(t)
	for body, message := range map[string]string{
		``:          "A JSON body is required.",
		`{`:         "Malformed request body",
		`[]`:        "",
		`{"a": {}}`: "'server' is a required property",
		`{"server": {"name": "x", "colour": "red"}}`:                                                   "Additional properties are not allowed ('colour' was unexpected)",
		`{"server": {"name": 7}}`:                                                                      "field/attribute server.name",
		`{"server": {"name": "x", "min_count": "many"}}`:                                               "is not of type 'integer'",
		`{"server": {"name": "x", "imageRef": "` + rootImage + `"}}`:                                   "'flavorRef' is a required property",
		`{"server": {"name": "x", "flavorRef": 2}}`:                                                    "Invalid imageRef provided.",
		`{"server": {"name": "x", "flavorRef": 2, "imageRef": "` + rootImage + `", "user_data": "%"}}`: "not a 'base64'",
		`{"server": {"name": "x", "flavorRef": 2, "imageRef": "` + rootImage + `", "description":""}}`: "'description' was unexpected",
		`{"server": {"name": "x", "flavorRef": 2, "block_device_mapping_v2": [{"source_type": "volume", "uuid": "` + volumeA + `",
			"destination_type": "volume", "boot_index": 0}]}}`: "Block Device Mapping is Invalid",
	} {
		got := c.ask(t, "member", "POST", "/compute/v2.1/servers", body)
		assert.Equal(t, http.StatusBadRequest, got.Code, body)
		assert.Contains(t, got.object(t, "badRequest")["message"], message, body)
	}
	got := c.ask(t, "member", "POST", "/compute/v2.1/servers", `{"server": {"name": "`+strings.Repeat("x", 2<<20)+`"}}`)
	assert.Equal(t, http.StatusRequestEntityTooLarge, got.Code)
	assert.Contains(t, got.object(t), "overLimit")
}

func TestAProjectMayStandInThePath(t *testing.T) {
	c, client := start(t)
	id := active(t, client, servers.CreateOpts{}).ID
	got := c.ask(t, "member", "GET", "/compute/v2.1/"+project+"/servers/"+id, "")
	require.Equal(t, http.StatusOK, got.Code)
	self := got.object(t, "server")["links"].([]any)[0].(map[string]any)
	assert.Equal(t, "http://cloud/compute/v2.1/"+project+"/servers/"+id, self["href"])
	bookmark := got.object(t, "server")["links"].([]any)[1].(map[string]any)
	assert.Equal(t, "http://cloud/compute/"+project+"/servers/"+id, bookmark["href"])

	got = c.ask(t, "member", "GET", "/compute/v2.1/00000000000000000000000000000000/servers/"+id, "")
	assert.Equal(t, http.StatusBadRequest, got.Code)
	assert.Contains(t, got.object(t, "badRequest")["message"], "doesn't match Context's project_id")
}

// The attributes of a server by microversion, for its owner and for an
// administrator: https://docs.openstack.org/api-ref/compute/#show-server-details
var serverAttributes = []struct {
	since        string
	owner, admin []string
}{
	{
		"2.1",
		[]string{
			"OS-DCF:diskConfig", "OS-EXT-AZ:availability_zone", "OS-EXT-STS:power_state", "OS-EXT-STS:task_state",
			"OS-EXT-STS:vm_state", "OS-SRV-USG:launched_at", "OS-SRV-USG:terminated_at", "accessIPv4", "accessIPv6", "addresses",
			"config_drive", "created", "flavor", "hostId", "id", "image", "key_name", "links", "metadata", "name",
			"os-extended-volumes:volumes_attached", "progress", "security_groups", "status", "tenant_id", "updated", "user_id",
		},
		[]string{"OS-EXT-SRV-ATTR:host", "OS-EXT-SRV-ATTR:hypervisor_hostname", "OS-EXT-SRV-ATTR:instance_name"},
	},
	{"2.3", nil, []string{
		"OS-EXT-SRV-ATTR:hostname", "OS-EXT-SRV-ATTR:kernel_id", "OS-EXT-SRV-ATTR:launch_index", "OS-EXT-SRV-ATTR:ramdisk_id",
		"OS-EXT-SRV-ATTR:reservation_id", "OS-EXT-SRV-ATTR:root_device_name", "OS-EXT-SRV-ATTR:user_data",
	}},
	{"2.9", []string{"locked"}, nil},
	{"2.16", nil, []string{"host_status"}},
	{"2.19", []string{"description"}, nil},
	{"2.26", []string{"tags"}, nil},
	{"2.63", []string{"trusted_image_certificates"}, nil},
	{"2.71", []string{"server_groups"}, nil},
	{"2.73", []string{"locked_reason"}, nil},
	{"2.90", []string{"OS-EXT-SRV-ATTR:hostname"}, nil},
	{"2.93", nil, nil},
}

func TestAServerShowsWhatItsMicroversionKnows(t *testing.T) {
	c, client := start(t)
	id := active(t, client, servers.CreateOpts{}).ID
	owner, admin := map[string]bool{}, map[string]bool{}
	for _, step := range serverAttributes {
		for _, name := range step.owner {
			owner[name], admin[name] = true, true
		}
		for _, name := range step.admin {
			admin[name] = true
		}
		for token, want := range map[string]map[string]bool{"member": owner, "admin": admin} {
			got := c.ask(t, token, "GET", "/compute/v2.1/servers/"+id, "", "X-OpenStack-Nova-API-Version", step.since)
			assert.Equal(t, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got.object(t, "server"))), "%s %s", token, step.since)
		}
		list := c.ask(t, "member", "GET", "/compute/v2.1/servers/detail", "", "X-OpenStack-Nova-API-Version", step.since)
		one := list.object(t)["servers"].([]any)[0].(map[string]any)
		inList := maps.Clone(owner)
		delete(inList, "server_groups")
		assert.Equal(t, slices.Sorted(maps.Keys(inList)), slices.Sorted(maps.Keys(one)), step.since)
	}
}

func TestAnUpdateShowsLessBefore275(t *testing.T) {
	c, client := start(t)
	id := active(t, client, servers.CreateOpts{}).ID
	names := func(version string) []string {
		got := c.ask(t, "member", "PUT", "/compute/v2.1/servers/"+id, `{"server": {"name": "new"}}`, "X-OpenStack-Nova-API-Version", version)
		require.Equal(t, http.StatusOK, got.Code)
		assert.Equal(t, "new", got.object(t, "server")["name"])
		return slices.Collect(maps.Keys(got.object(t, "server")))
	}
	for _, name := range []string{"config_drive", "key_name", "OS-EXT-STS:vm_state", "security_groups", "OS-SRV-USG:launched_at"} {
		assert.NotContains(t, names("2.1"), name)
		assert.Contains(t, names("2.75"), name)
	}
}

func TestTheFlavorStandsInTheServerSince247(t *testing.T) {
	c, client := start(t)
	id := active(t, client, servers.CreateOpts{}).ID
	flavor := func(version string) map[string]any {
		return c.ask(t, "member", "GET", "/compute/v2.1/servers/"+id, "", "X-OpenStack-Nova-API-Version", version).object(t, "server", "flavor")
	}
	assert.Equal(t, "2", flavor("2.46")["id"])
	assert.Equal(t, map[string]any{
		"original_name": "m1.small", "vcpus": 1.0, "ram": 2048.0, "disk": 20.0, "ephemeral": 0.0, "swap": 0.0, "extra_specs": map[string]any{},
	}, flavor("2.47"))
}

func TestTimesHaveNovasForms(t *testing.T) {
	c, client := start(t)
	id := active(t, client, servers.CreateOpts{}).ID
	server := c.ask(t, "member", "GET", "/compute/v2.1/servers/"+id, "").object(t, "server")
	assert.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`, server["created"])
	assert.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$`, server["OS-SRV-USG:launched_at"])
}

func TestAnAPIWithoutRunningTasksStillServes(t *testing.T) {
	c := newCloud(t)
	api := httptest.NewServer(c.service.Handler())
	defer api.Close()
	response, err := http.Get(api.URL + "/compute/")
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.Contains(t, string(body), api.URL+"/compute/v2.1/")
}

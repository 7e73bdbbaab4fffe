package compute_test

import (
	"net/http"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/compute"
)

func flavorNames(t *testing.T, client *gophercloud.ServiceClient, opts flavors.ListOpts) []string {
	t.Helper()
	pages, err := flavors.ListDetail(client, opts).AllPages(t.Context())
	require.NoError(t, err)
	list, err := flavors.ExtractFlavors(pages)
	require.NoError(t, err)
	names := []string{}
	for _, f := range list {
		names = append(names, f.Name)
	}
	return names
}

func TestFlavorsAreMadeAndDeleted(t *testing.T) {
	c := newCloud(t)
	admin, member := c.client(t, "admin", ""), c.client(t, "member", "")
	disk, ephemeral, yes := 10, 1, true
	made, err := flavors.Create(t.Context(), admin, flavors.CreateOpts{
		Name: "gate.large", ID: "g", RAM: 4096, VCPUs: 4, Disk: &disk, Ephemeral: &ephemeral, IsPublic: &yes,
	}).Extract()
	require.NoError(t, err)
	assert.Equal(t, flavors.Flavor{ID: "g", Name: "gate.large", RAM: 4096, VCPUs: 4, Disk: 10, Ephemeral: 1, IsPublic: true, RxTxFactor: 1}, *made)
	found, err := flavors.Get(t.Context(), member, "g").Extract()
	require.NoError(t, err)
	assert.Equal(t, made, found)

	_, err = flavors.Create(t.Context(), admin, flavors.CreateOpts{Name: "other", ID: "g", RAM: 1, VCPUs: 1, Disk: &disk}).Extract()
	requireStatus(t, err, http.StatusConflict, "Flavor with ID g already exists.")
	_, err = flavors.Create(t.Context(), admin, flavors.CreateOpts{Name: "gate.large", RAM: 1, VCPUs: 1, Disk: &disk}).Extract()
	requireStatus(t, err, http.StatusConflict, "Flavor with name gate.large already exists.")
	_, err = flavors.Create(t.Context(), member, flavors.CreateOpts{Name: "mine", RAM: 1, VCPUs: 1, Disk: &disk}).Extract()
	requireStatus(t, err, http.StatusForbidden, "Policy")
	_, err = flavors.Create(t.Context(), admin, flavors.CreateOpts{Name: "x", RAM: 1, VCPUs: 0, Disk: &disk}).Extract()
	require.Error(t, err)

	require.NoError(t, flavors.Delete(t.Context(), admin, "g").ExtractErr())
	requireStatus(t, flavors.Delete(t.Context(), admin, "g").ExtractErr(), http.StatusNotFound, "Flavor g could not be found.")
}

func TestFlavorsMadeAtFirstDoNotComeBack(t *testing.T) {
	c := newCloud(t)
	require.NoError(t, flavors.Delete(t.Context(), c.client(t, "admin", ""), "1").ExtractErr())
	c.restart(t)
	assert.Equal(t, []string{"m1.small"}, flavorNames(t, c.client(t, "member", ""), flavors.ListOpts{}))
}

func TestPrivateFlavorsAreForThoseWithAccess(t *testing.T) {
	c := newCloud(t)
	admin, member := c.client(t, "admin", ""), c.client(t, "member", "")
	assert.Equal(t, []string{"m1.tiny", "m1.small"}, flavorNames(t, member, flavors.ListOpts{}))
	assert.Equal(t, []string{"m1.tiny", "m1.small"}, flavorNames(t, member, flavors.ListOpts{AccessType: flavors.AllAccess}))
	assert.Equal(t, []string{"m1.tiny", "m1.small", "private"}, flavorNames(t, admin, flavors.ListOpts{AccessType: flavors.AllAccess}))
	assert.Equal(t, []string{"private"}, flavorNames(t, admin, flavors.ListOpts{AccessType: flavors.PrivateAccess}))
	_, err := flavors.Get(t.Context(), member, "private").Extract()
	requireStatus(t, err, http.StatusNotFound, "Flavor private could not be found.")

	access, err := flavors.AddAccess(t.Context(), admin, "private", flavors.AddAccessOpts{Tenant: project}).Extract()
	require.NoError(t, err)
	assert.Equal(t, []flavors.FlavorAccess{{FlavorID: "private", TenantID: project}}, access)
	assert.Contains(t, flavorNames(t, member, flavors.ListOpts{}), "private")
	_, err = flavors.AddAccess(t.Context(), admin, "private", flavors.AddAccessOpts{Tenant: project}).Extract()
	requireStatus(t, err, http.StatusConflict, "already exists")
	access, err = flavors.RemoveAccess(t.Context(), admin, "private", flavors.RemoveAccessOpts{Tenant: project}).Extract()
	require.NoError(t, err)
	assert.Empty(t, access)
}

func TestFlavorsAreListedByPages(t *testing.T) {
	c := newCloud(t)
	member := c.client(t, "member", "")
	assert.Equal(t, []string{"m1.tiny", "m1.small"}, flavorNames(t, member, flavors.ListOpts{Limit: 1}), "by following links")
	assert.Equal(t, []string{"m1.small"}, flavorNames(t, member, flavors.ListOpts{Marker: "1"}))
	assert.Equal(t, []string{"m1.small"}, flavorNames(t, member, flavors.ListOpts{MinRAM: 1000}))
	assert.Equal(t, []string{"m1.small", "m1.tiny"}, flavorNames(t, member, flavors.ListOpts{SortKey: "memory_mb", SortDir: "desc"}))
	for query, message := range map[string]string{
		"limit=-1": "limit", "limit=x": "limit", "marker=nine": "marker [nine] not found", "minRam=x": "Invalid minRam filter [x]",
		"is_public=maybe": "Invalid is_public filter [maybe]", "sort_key=colour": "Sort key supplied is invalid",
	} {
		got := c.ask(t, "member", "GET", "/compute/v2.1/flavors?"+query, "")
		assert.Equal(t, http.StatusBadRequest, got.Code, query)
		assert.Contains(t, got.object(t, "badRequest")["message"], message)
	}
}

func TestFlavorsShowWhatTheirMicroversionKnows(t *testing.T) {
	c := newCloud(t)
	flavor := func(version string) map[string]any {
		return c.ask(t, "member", "GET", "/compute/v2.1/flavors/1", "", "X-OpenStack-Nova-API-Version", version).object(t, "flavor")
	}
	assert.Equal(t, "", flavor("2.1")["swap"]) //nolint:testifylint // null is something else
	assert.Len(t, flavor("2.1"), 11)
	assert.NotContains(t, flavor("2.54"), "description")
	assert.Contains(t, flavor("2.55"), "description")
	assert.NotContains(t, flavor("2.60"), "extra_specs")
	assert.Contains(t, flavor("2.61"), "extra_specs")
	assert.EqualValues(t, 0, flavor("2.75")["swap"])

	put := c.ask(t, "admin", "PUT", "/compute/v2.1/flavors/1", `{"flavor":{"description":"tiny"}}`, "X-OpenStack-Nova-API-Version", "2.55")
	assert.Equal(t, "tiny", put.object(t, "flavor")["description"])
	assert.Equal(t, 404, c.ask(t, "admin", "PUT", "/compute/v2.1/flavors/1", `{"flavor":{"description":"tiny"}}`).Code)
}

func TestExtraSpecsAreKept(t *testing.T) {
	c := newCloud(t)
	admin, member := c.client(t, "admin", ""), c.client(t, "member", "")
	_, err := flavors.CreateExtraSpecs(t.Context(), admin, "1", flavors.ExtraSpecsOpts{"hw:cpu_policy": "shared", "a": "b"}).Extract()
	require.NoError(t, err)
	_, err = flavors.UpdateExtraSpec(t.Context(), admin, "1", flavors.ExtraSpecsOpts{"a": "c"}).Extract()
	require.NoError(t, err)
	specs, err := flavors.ListExtraSpecs(t.Context(), member, "1").Extract()
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"hw:cpu_policy": "shared", "a": "c"}, specs)
	require.NoError(t, flavors.DeleteExtraSpec(t.Context(), admin, "1", "a").ExtractErr())
	_, err = flavors.GetExtraSpec(t.Context(), member, "1", "a").Extract()
	requireStatus(t, err, http.StatusNotFound, "Flavor 1 has no extra specs with key a.")
	_, err = flavors.CreateExtraSpecs(t.Context(), member, "1", flavors.ExtraSpecsOpts{"a": "b"}).Extract()
	requireStatus(t, err, http.StatusForbidden, "Policy")
}

func TestAFlavorDeletedMeanwhileLeavesItsServers(t *testing.T) {
	c := newCloud(t)
	s, err := c.service.CreateServers(t.Context(), compute.Caller{ProjectID: project}, compute.NewServer{
		Name: "one", FlavorID: "1", ImageID: directImage, Count: 1, MinCount: 1,
	})
	require.NoError(t, err)
	require.NoError(t, c.service.DeleteFlavor(t.Context(), "1"))
	c.run(t)
	waitFor(t, c.client(t, "member", ""), s[0].ID, "ACTIVE")
}

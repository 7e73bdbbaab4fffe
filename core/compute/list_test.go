package compute_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func serverNames(t *testing.T, client *gophercloud.ServiceClient, opts servers.ListOpts) []string {
	t.Helper()
	pages, err := servers.List(client, opts).AllPages(t.Context())
	require.NoError(t, err)
	list, err := servers.ExtractServers(pages)
	require.NoError(t, err)
	names := []string{}
	for _, s := range list {
		names = append(names, s.Name)
	}
	return names
}

func TestServersAreListedByFilters(t *testing.T) {
	c, client := start(t)
	begin := time.Now().Add(-time.Second).UTC()
	first := active(t, client, servers.CreateOpts{Name: "first"})
	active(t, client, servers.CreateOpts{Name: "second", ImageRef: directImage, FlavorRef: "1"})
	active(t, c.client(t, "other", ""), servers.CreateOpts{Name: "foreign"})
	require.NoError(t, servers.Stop(t.Context(), client, first.ID).ExtractErr())
	waitFor(t, client, first.ID, "SHUTOFF")
	address := first.Addresses["private"].([]any)[1].(map[string]any)["addr"].(string)

	for _, test := range []struct {
		opts servers.ListOpts
		want []string
	}{
		{servers.ListOpts{}, []string{"second", "first"}},
		{servers.ListOpts{Name: "^fi"}, []string{"first"}},
		{servers.ListOpts{Name: "FIRST"}, []string{}},
		{servers.ListOpts{Status: "SHUTOFF"}, []string{"first"}},
		{servers.ListOpts{Status: "active"}, []string{"second"}},
		{servers.ListOpts{Status: "nonsense"}, []string{}},
		{servers.ListOpts{Image: rootImage}, []string{"first"}},
		{servers.ListOpts{Flavor: "1"}, []string{"second"}},
		{servers.ListOpts{IP: address}, []string{"first"}},
		{servers.ListOpts{ChangesSince: begin.Format(time.RFC3339)}, []string{"second", "first"}},
		{servers.ListOpts{ChangesSince: begin.Add(time.Hour).Format(time.RFC3339)}, []string{}},
		{servers.ListOpts{Limit: 1}, []string{"second", "first"}}, // by following links
		{servers.ListOpts{Marker: first.ID}, []string{}},
	} {
		assert.Equal(t, test.want, serverNames(t, client, test.opts), "%+v", test.opts)
	}
	assert.Equal(t, []string{"foreign", "second", "first"}, serverNames(t, c.client(t, "admin", ""), servers.ListOpts{AllTenants: true}))
	assert.Empty(t, serverNames(t, c.client(t, "admin", ""), servers.ListOpts{}))
}

func TestBadListQueriesAreRefused(t *testing.T) {
	c := newCloud(t)
	for query, status := range map[string]int{
		"limit=-1": 400, "limit=many": 400, "marker=nine": 400, "changes-since=yesterday": 400, "name=" + url.QueryEscape("("): 400,
		"sort_key=colour": 400, "all_tenants=maybe": 400, "all_tenants=1": 403, "all_tenants=0": 200, "limit=0": 200,
		"unknown=filter": 200, "status=nonsense": 200,
	} {
		assert.Equal(t, status, c.ask(t, "member", "GET", "/compute/v2.1/servers?"+query, "").Code, query)
	}
	got := c.ask(t, "member", "GET", "/compute/v2.1/servers?status=nonsense", "", "X-OpenStack-Nova-API-Version", "2.38")
	assert.Equal(t, http.StatusBadRequest, got.Code)
}

func TestTheNextPageIsLinkedOnlyIfThereIsOne(t *testing.T) {
	c, client := start(t)
	var ids []string
	for i := range 3 {
		ids = append(ids, create(t, client, servers.CreateOpts{Name: fmt.Sprint(i)}).ID)
	}
	first := c.ask(t, "member", "GET", "/compute/v2.1/servers?limit=2&sort_key=display_name&sort_dir=asc", "").object(t)
	assert.Len(t, first["servers"], 2)
	next := first["servers_links"].([]any)[0].(map[string]any)
	assert.Equal(t, "next", next["rel"])
	assert.Equal(t, "http://cloud/compute/v2.1/servers?limit=2&marker="+ids[1]+"&sort_dir=asc&sort_key=display_name", next["href"])
	second := c.ask(t, "member", "GET", "/compute/v2.1/servers?limit=2&sort_key=display_name&sort_dir=asc&marker="+ids[1], "").object(t)
	assert.Len(t, second["servers"], 1)
	assert.NotContains(t, second, "servers_links")
	whole := c.ask(t, "member", "GET", "/compute/v2.1/servers?limit=3", "").object(t)
	assert.NotContains(t, whole, "servers_links")
}

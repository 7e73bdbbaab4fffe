package volume_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// names lists the names of volumes, in order.
func (c cloud) names(t *testing.T, token, query string) []string {
	t.Helper()
	response, body := c.do(t, token, "GET", "/v3/volumes/detail"+query, "")
	require.Equal(t, http.StatusOK, response.StatusCode, body)
	var answer struct{ Volumes []struct{ Name string } }
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	names := []string{}
	for _, v := range answer.Volumes {
		names = append(names, v.Name)
	}
	return names
}

func TestListsAreFilteredSortedAndPaged(t *testing.T) {
	c := newCloud(t)
	for i, name := range []string{"c", "a", "b"} {
		c.make(t, "alpha", volumes.CreateOpts{Name: name, Size: 3 - i, Metadata: map[string]string{"n": name, "all": "yes"}})
	}
	for query, want := range map[string]string{
		"":                                      "b a c",
		"?sort=name:asc":                        "a b c",
		"?sort_key=size&sort_dir=asc":           "b a c",
		"?sort=display_name:desc,size:asc":      "c b a",
		"?name=a":                               "a",
		"?display_name=a":                       "a",
		"?status=available&sort=name:asc":       "a b c",
		"?status=null":                          "",
		"?availability_zone=nova&name=a":        "a",
		"?availability_zone=mars":               "",
		"?bootable=False&size=3":                "c",
		"?unknown=x&name=b":                     "b",
		"?limit=0":                              "",
		"?sort=name:asc&limit=1&offset=1":       "b",
		"?metadata=%7B'n'%3A+'b',+'all':'yes'}": "b",
		`?metadata={"all":+"yes"}&name=c`:       "c",
		"?metadata={'n':+'x'}":                  "",
	} {
		query = strings.NewReplacer("'", "%27", "{", "%7B", "}", "%7D", `"`, "%22").Replace(query)
		assert.Equal(t, want, strings.Join(c.names(t, "alpha", query), " "), query)
	}
	pages, err := volumes.List(c.as("alpha"), volumes.ListOpts{Limit: 2, Sort: "name:asc"}).AllPages(t.Context())
	require.NoError(t, err)
	all, err := volumes.ExtractVolumes(pages)
	require.NoError(t, err)
	require.Len(t, all, 3)
	assert.Equal(t, "abc", all[0].Name+all[1].Name+all[2].Name)
	_, body := c.do(t, "alpha", "GET", "/v3/volumes?limit=1&with_count=True", "", "OpenStack-API-Version", "volume 3.45")
	assert.Contains(t, body, `"count":3`)
	_, body = c.do(t, "alpha", "GET", "/v3/volumes?limit=3", "")
	assert.NotContains(t, body, "volumes_links", "there is no further page")
}

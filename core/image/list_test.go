package image_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// names lists the names of images, all pages.
func (c cloud) names(t *testing.T, token string, opts images.ListOpts) []string {
	t.Helper()
	pages, err := images.List(c.as(token), opts).AllPages(t.Context())
	require.NoError(t, err)
	list, err := images.ExtractImages(pages)
	require.NoError(t, err)
	names := []string{}
	for _, img := range list {
		names = append(names, img.Name)
	}
	return names
}

func TestListsAreFilteredSortedAndPaged(t *testing.T) {
	c := newCloud(t)
	for i, name := range []string{"c", "a", "b", "d, e"} {
		c.put(t, "alpha", images.CreateOpts{
			Name: name, MinRAM: i, Tags: []string{"all", "tag-" + name},
			Properties: map[string]string{"parity": []string{"even", "odd"}[i%2]},
		}, strings.Repeat("x", 10*i))
	}
	c.register(t, "alpha", images.CreateOpts{Name: "queued", DiskFormat: "qcow2", Hidden: new(false)})
	c.register(t, "alpha", images.CreateOpts{Name: "hidden", Hidden: new(true)})

	for _, test := range []struct {
		query string
		names string
	}{
		{"", "queued|d, e|b|a|c"},
		{"sort=name:asc", "a|b|c|d, e|queued"},
		{"sort_key=name&sort_dir=desc", "queued|d, e|c|b|a"},
		{"sort=size:asc,name:asc", "queued|c|a|b|d, e"},
		{"sort_key=status&sort_dir=asc&sort_key=name&sort_dir=desc", "d, e|c|b|a|queued"},
		{"sort=name:asc,name:desc", "a|b|c|d, e|queued"},
		{"name=a", "a"},
		{"name=in:a,%22d,%20e%22&sort=name:asc", "a|d, e"},
		{"name=in:", ""},
		{"status=queued", "queued"},
		{"disk_format=in:qcow2,iso", "queued"},
		{"size_min=10&size_max=20&sort=name:asc", "a|b"},
		{"size=30", "d, e"},
		{"min_ram=2", "b"},
		{"tag=all&tag=tag-b", "b"},
		{"parity=odd&sort=name:asc", "a|d, e"},
		{"os_hidden=true", "hidden"},
		{"protected=true", ""},
		{"visibility=private", ""},
		{"visibility=shared&limit=1", "queued"},
		{"visibility=all&limit=0", ""},
		{"created_at=gt:2000-01-01T00:00:00Z&limit=1", "queued"},
		{"created_at=lt:2000-01-01", ""},
		{"checksum=d41d8cd98f00b204e9800998ecf8427e", "c"},
		{"owner=beta", ""},
	} {
		_, body := c.do(t, "alpha", "GET", "/v2/images?"+test.query, "")
		assert.Equal(t, test.names, namesIn(t, body), test.query)
	}
	for _, query := range []string{
		"limit=x", "limit=-1", "marker=nowhere", "sort=nothing", "sort_key=nothing", "sort=name:up", "sort_dir=up", "sort=name&sort_key=size",
		"sort_key=name&sort_dir=asc&sort_dir=desc", "visibility=secret", "member_status=maybe", "size_min=big", "min_ram=-1", "protected=1",
		"os_hidden=perhaps", "created_at=yesterday", "created_at=about:2000-01-01T00:00:00Z", "changes-since=2000-01-01",
		"name=in:" + strings.Repeat("x,", 501),
	} {
		response, body := c.do(t, "alpha", "GET", "/v2/images?"+query, "")
		assert.Equal(t, http.StatusBadRequest, response.StatusCode, "%.50s: %s", query, body)
	}
}

func namesIn(t *testing.T, body string) string {
	t.Helper()
	var answer struct{ Images []struct{ Name string } }
	require.NoError(t, json.Unmarshal([]byte(body), &answer), body)
	names := []string{}
	for _, img := range answer.Images {
		names = append(names, img.Name)
	}
	return strings.Join(names, "|")
}

func TestPagesNeitherOverlapNorLeaveOut(t *testing.T) {
	c := newCloud(t)
	want := []string{}
	for i := range 7 {
		name := fmt.Sprintf("image-%d", i/2) // pairs of equal names
		c.register(t, "alpha", images.CreateOpts{Name: name})
		want = append(want, name)
	}
	for _, sort := range []string{"", "name:asc", "name:desc,size:asc"} {
		got := c.names(t, "alpha", images.ListOpts{Limit: 2, Sort: sort})
		slices.Sort(got)
		assert.Equal(t, want, got, sort)
	}
	_, body := c.do(t, "alpha", "GET", "/v2/images?limit=7&name=x", "")
	assert.JSONEq(t, `{"images": [], "schema": "/v2/schemas/images", "first": "/v2/images?limit=7&name=x"}`, body)
}

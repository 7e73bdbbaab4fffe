package image_test

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/httpapi/httpapitest"
	"github.com/gatehouse-dev/gatehouse/core/image"
)

var discard = slog.New(slog.DiscardHandler)

// cloud is an image service behind its API.
type cloud struct {
	*image.Service
	url string // of the API, with its prefix
}

func open(t *testing.T, dir string) *image.Service {
	t.Helper()
	service, err := image.New(t.Context(), image.Config{Dir: dir, Log: discard, Tokens: httpapitest.Callers})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, service.Close()) })
	return service
}

func serve(tb testing.TB, service *image.Service) cloud {
	tb.Helper()
	server := httptest.NewServer(service.Handler())
	tb.Cleanup(server.Close)
	return cloud{service, server.URL + image.Prefix}
}

func newCloud(t *testing.T) cloud {
	t.Helper()
	return serve(t, open(t, t.TempDir()))
}

// as is a gophercloud client with a token.
func (c cloud) as(token string) *gophercloud.ServiceClient {
	return &gophercloud.ServiceClient{
		ProviderClient: &gophercloud.ProviderClient{TokenID: token},
		Endpoint:       c.url + "/", ResourceBase: c.url + "/v2/", Type: "image",
	}
}

// do makes a request to the API, see httpapitest.Do.
func (c cloud) do(t *testing.T, token, method, path, body string, headers ...string) (httpapitest.Answer, string) {
	t.Helper()
	return httpapitest.Do(t, token, method, c.url+path, body, headers...)
}

// register creates an image without data.
func (c cloud) register(t *testing.T, token string, opts images.CreateOpts) *images.Image {
	t.Helper()
	if opts.DiskFormat == "" {
		opts.DiskFormat = "raw"
	}
	if opts.ContainerFormat == "" {
		opts.ContainerFormat = "bare"
	}
	img, err := images.Create(t.Context(), c.as(token), opts).Extract()
	require.NoError(t, err)
	return img
}

// put creates an image with data.
func (c cloud) put(t *testing.T, token string, opts images.CreateOpts, data string) *images.Image {
	t.Helper()
	img := c.register(t, token, opts)
	require.NoError(t, imagedata.Upload(t.Context(), c.as(token), img.ID, strings.NewReader(data)).ExtractErr())
	return c.show(t, token, img.ID)
}

func (c cloud) show(t *testing.T, token, id string) *images.Image {
	t.Helper()
	img, err := images.Get(t.Context(), c.as(token), id).Extract()
	require.NoError(t, err)
	return img
}

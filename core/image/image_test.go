package image_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
	"github.com/gatehouse-dev/gatehouse/core/image"
)

// tokens knows three callers, each by a token of its name: two projects, and
// an administrator.
type tokens struct{}

func (tokens) Validate(_ context.Context, token string) (httpapi.Caller, error) {
	switch token {
	case "alpha", "beta":
		return httpapi.Caller{UserID: token + "-user", ProjectID: token, Roles: []string{"member"}}, nil
	case "admin":
		return httpapi.Caller{UserID: "admin", ProjectID: "admin", Roles: []string{"admin"}}, nil
	case "unscoped":
		return httpapi.Caller{UserID: "nobody"}, nil
	default:
		return httpapi.Caller{}, fault.New(fault.Unauthorized, "The request you have made requires authentication.")
	}
}

var discard = slog.New(slog.DiscardHandler)

// cloud is an image service behind its API.
type cloud struct {
	*image.Service
	url string // of the API, with its prefix
}

func open(t *testing.T, dir string) *image.Service {
	t.Helper()
	service, err := image.New(t.Context(), image.Config{Dir: dir, Log: discard, Tokens: tokens{}})
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

// answer is what a response says before its body.
type answer struct {
	StatusCode int
	Header     http.Header
}

// do makes a request with a token and headers (names and values in turn), and
// returns the answer and its body.
func (c cloud) do(t *testing.T, token, method, path, body string, header ...string) (answer, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, c.url+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("X-Auth-Token", token)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(request) // redirects are answers like others
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return answer{response.StatusCode, response.Header}, string(content)
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

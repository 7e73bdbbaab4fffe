package volume_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/httpapi/httpapitest"
	"github.com/gatehouse-dev/gatehouse/core/volume"
)

var (
	discard = slog.New(slog.DiscardHandler)
	alpha   = volume.Caller{Project: "alpha", User: "alpha-user"}
)

// How long tests wait for the work of other goroutines, and how often they
// look.
const waiting, poll = 10 * time.Second, time.Millisecond

// cloud is a volume service that runs, behind its API.
type cloud struct {
	*volume.Service
	dir, url string
}

// newCloud starts a service with a configuration that edit may change.
func newCloud(t *testing.T, edit ...func(*volume.Config)) cloud {
	t.Helper()
	config := volume.Config{Dir: t.TempDir(), Log: discard, Tokens: httpapitest.Callers}
	for _, f := range edit {
		f(&config)
	}
	service, err := volume.New(t.Context(), config)
	require.NoError(t, err)
	stop := run(service)
	server := httptest.NewServer(service.Handler())
	t.Cleanup(func() {
		server.Close()
		stop()
		require.NoError(t, service.Close())
	})
	return cloud{service, config.Dir, server.URL + volume.Prefix}
}

// run runs a service until the function it returns is called.
func run(service *volume.Service) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = service.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// as is a gophercloud client with a token.
func (c cloud) as(token string) *gophercloud.ServiceClient {
	return &gophercloud.ServiceClient{
		ProviderClient: &gophercloud.ProviderClient{TokenID: token}, Endpoint: c.url + "/v3/" + token + "/", Type: "volume",
	}
}

// do makes a request to the API, see httpapitest.Do.
func (c cloud) do(t *testing.T, token, method, path, body string, headers ...string) (httpapitest.Answer, string) {
	t.Helper()
	return httpapitest.Do(t, token, method, c.url+path, body, headers...)
}

// make creates a volume and waits until it is available.
func (c cloud) make(t *testing.T, token string, opts volumes.CreateOpts) *volumes.Volume {
	t.Helper()
	if opts.Size == 0 && opts.SnapshotID == "" && opts.SourceVolID == "" && opts.ImageID == "" {
		opts.Size = 1
	}
	v, err := volumes.Create(t.Context(), c.as(token), opts, nil).Extract()
	require.NoError(t, err)
	assert.Equal(t, "creating", v.Status)
	return c.await(t, v.ID, volume.Available)
}

// await polls until a volume has a status: it is work in other goroutines,
// with real files.
func (c cloud) await(t *testing.T, id string, status volume.Status) *volumes.Volume {
	t.Helper()
	var v *volumes.Volume
	require.Eventually(t, func() bool {
		var err error
		v, err = volumes.Get(t.Context(), c.as("admin"), id).Extract()
		require.NoError(t, err)
		return v.Status == string(status)
	}, waiting, poll, "volume %s", status)
	return v
}

func (c cloud) awaitGone(t *testing.T, path string) {
	t.Helper()
	require.Eventually(t, func() bool {
		response, _ := c.do(t, "admin", "GET", path, "")
		return response.StatusCode == http.StatusNotFound
	}, waiting, poll, path)
}

func (c cloud) file(id string) string { return filepath.Join(c.dir, "volumes", id) }

func (c cloud) requireNoFiles(t *testing.T) {
	t.Helper()
	for _, kind := range []string{"volumes", "snapshots"} {
		entries, err := os.ReadDir(filepath.Join(c.dir, kind))
		require.NoError(t, err)
		assert.Empty(t, entries, kind)
	}
}

// read returns the first bytes of a volume's file.
func read(t *testing.T, file string, n int) []byte {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	b := make([]byte, n)
	_, err = io.ReadFull(f, b)
	require.NoError(t, err)
	return b
}

// write puts bytes into a volume's file, as its server would.
func write(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte(text), 0)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func status(t *testing.T, want int, err error) {
	t.Helper()
	assert.True(t, gophercloud.ResponseCodeIs(err, want), "want %d, got %v", want, err)
}

package compute_test

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/compute"
)

func (i *images) timesOpened(id string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.opened[id]
}

func TestAnImageIsFetchedOnce(t *testing.T) {
	c, client := start(t)
	var all sync.WaitGroup
	for range 8 {
		id := create(t, client, servers.CreateOpts{ImageRef: directImage, FlavorRef: "1"}).ID
		all.Go(func() { waitFor(t, client, id, "ACTIVE") })
	}
	all.Wait()
	assert.Equal(t, 1, c.images.timesOpened(directImage))
	assert.Equal(t, 1, c.images.timesOpened(kernelImage))
	data, err := os.ReadFile(filepath.Join(c.config.Dir, "images", kernelImage))
	require.NoError(t, err)
	assert.Equal(t, kernelImage, string(data))
}

// fileImages gives files, as the image service does.
type fileImages struct {
	*images
	dir string
}

func (f fileImages) Open(_ context.Context, id string) (io.ReadCloser, error) {
	file := filepath.Join(f.dir, id)
	if err := os.WriteFile(file, []byte(id), 0o600); err != nil {
		return nil, err
	}
	return os.Open(file)
}

func TestAnImageThatIsAFileIsLinked(t *testing.T) {
	dir := t.TempDir()
	c, client := start(t, func(c *compute.Config) { c.Images = fileImages{c.Images.(*images), dir} })
	server := active(t, client, servers.CreateOpts{})
	machine, _ := c.driver.Machine(server.ID)
	info, err := os.Stat(machine.Root.File)
	require.NoError(t, err)
	assert.EqualValues(t, 2, info.Sys().(*syscall.Stat_t).Nlink)
}

// brokenImages fail in the middle, as often as they are told to.
type brokenImages struct {
	*images
	failures *int
}

func (b brokenImages) Open(ctx context.Context, id string) (io.ReadCloser, error) {
	whole, err := b.images.Open(ctx, id)
	if err != nil || *b.failures == 0 {
		return whole, err
	}
	*b.failures--
	broken, half := io.Pipe()
	go func() {
		_, _ = half.Write([]byte("half of it"))
		half.CloseWithError(errors.New("connection lost"))
	}()
	return broken, nil
}

func TestHalfAnImageIsNotUsed(t *testing.T) {
	failures := 1
	c, client := start(t, func(c *compute.Config) { c.Images = brokenImages{c.Images.(*images), &failures} })
	waitFor(t, client, create(t, client, servers.CreateOpts{}).ID, "ERROR")
	left, err := os.ReadDir(filepath.Join(c.config.Dir, "images"))
	require.NoError(t, err)
	assert.Empty(t, left)
	server := active(t, client, servers.CreateOpts{})
	machine, _ := c.driver.Machine(server.ID)
	data, err := os.ReadFile(machine.Root.File)
	require.NoError(t, err)
	assert.Equal(t, rootImage, string(data))
}

// TestUnusedImagesAreRemovedInTime lets two days pass in a bubble.
func TestUnusedImagesAreRemovedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(t, func(c *compute.Config) { c.InMemory = true })
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { assert.ErrorIs(t, c.service.Run(ctx), context.Canceled) })
		defer running.Wait()
		defer cancel()
		caller := compute.Caller{ProjectID: project}
		boot := func(image, flavor string) string {
			made, err := c.service.CreateServers(ctx, caller, compute.NewServer{
				Name: "one", ImageID: image, FlavorID: flavor, Count: 1, MinCount: 1,
			})
			require.NoError(t, err)
			return made[0].ID
		}
		cached := func(id string) bool {
			_, err := os.Stat(filepath.Join(c.config.Dir, "images", id))
			return err == nil
		}
		used, unused := boot(rootImage, "2"), boot(directImage, "1")
		synctest.Wait()
		require.True(t, cached(rootImage) && cached(directImage) && cached(kernelImage))
		require.NoError(t, c.service.DeleteServer(ctx, caller, unused))
		synctest.Wait()
		require.True(t, cached(directImage), "kept for the next server")

		time.Sleep(23 * time.Hour)
		synctest.Wait()
		assert.True(t, cached(directImage))
		time.Sleep(25 * time.Hour)
		synctest.Wait()
		assert.False(t, cached(directImage))
		assert.False(t, cached(kernelImage))
		assert.True(t, cached(rootImage), "a server uses it")

		c.images.mu.Lock()
		c.images.gone[rootImage] = true
		c.images.mu.Unlock()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		assert.True(t, cached(rootImage), "even one that the image service has no more")
		require.NoError(t, c.service.DeleteServer(ctx, caller, used))
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		assert.False(t, cached(rootImage))
	})
}

func BenchmarkCreateToActive(b *testing.B) {
	c, client := start(b, func(c *compute.Config) { c.Quotas = compute.Quotas{Instances: -1, Cores: -1, RAMMB: -1} })
	for b.Loop() {
		made, err := servers.Create(b.Context(), client, servers.CreateOpts{Name: "one", ImageRef: rootImage, FlavorRef: "2"}, nil).Extract()
		require.NoError(b, err)
		for status := ""; status != "ACTIVE"; {
			server, err := c.service.Server(b.Context(), compute.Caller{Admin: true}, made.ID)
			require.NoError(b, err)
			status = server.Status()
		}
		b.StopTimer()
		require.NoError(b, servers.Delete(b.Context(), client, made.ID).ExtractErr())
		waitGone(b, client, made.ID)
		b.StartTimer()
	}
}

func BenchmarkListDetail100(b *testing.B) {
	c, client := start(b, func(c *compute.Config) { c.Quotas = compute.Quotas{Instances: -1, Cores: -1, RAMMB: -1} })
	for range 100 {
		active(b, client, servers.CreateOpts{})
	}
	handler := c.service.Handler()
	for b.Loop() {
		r := httptest.NewRequestWithContext(b.Context(), "GET", "http://cloud/compute/v2.1/servers/detail", nil)
		r.Header.Set("X-Auth-Token", "member")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
}

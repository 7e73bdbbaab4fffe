package image_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/testenv/image"
)

// glance is an image service in memory: the calls of the Image API v2 that
// registering needs.
type glance struct {
	mu     sync.Mutex
	images map[string]map[string]any
	inUse  map[string]bool // these cannot be deleted
	full   string          // no data is taken for an image of this name
	last   int
}

func newGlance(t *testing.T) (*glance, *gophercloud.ServiceClient) {
	t.Helper()
	g := &glance{images: make(map[string]map[string]any), inUse: make(map[string]bool)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v2/images", g.list)
	mux.HandleFunc("POST /v2/images", g.create)
	mux.HandleFunc("PUT /v2/images/{id}/file", g.upload)
	mux.HandleFunc("PATCH /v2/images/{id}", g.patch)
	mux.HandleFunc("DELETE /v2/images/{id}", g.delete)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return g, &gophercloud.ServiceClient{
		ProviderClient: &gophercloud.ProviderClient{TokenID: "token"},
		Endpoint:       server.URL + "/", ResourceBase: server.URL + "/v2/", Type: "image",
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

func (g *glance) list(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	found := []map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(g.images)) {
		if g.images[id]["name"] == r.FormValue("name") {
			found = append(found, g.images[id])
		}
	}
	answer(w, http.StatusOK, map[string]any{"images": found})
}

func (g *glance) create(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var made map[string]any
	json.NewDecoder(r.Body).Decode(&made)
	g.last++
	made["id"], made["status"] = fmt.Sprintf("image-%d", g.last), "queued"
	g.images[made["id"].(string)] = made
	answer(w, http.StatusCreated, made)
}

func (g *glance) upload(w http.ResponseWriter, r *http.Request) {
	data, _ := io.ReadAll(r.Body)
	g.mu.Lock()
	defer g.mu.Unlock()
	i := g.images[r.PathValue("id")]
	if i["name"] == g.full {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	i["status"], i["data"] = "active", string(data)
	w.WriteHeader(http.StatusNoContent)
}

func (g *glance) patch(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var changes []struct{ Op, Path, Value string }
	json.NewDecoder(r.Body).Decode(&changes)
	i := g.images[r.PathValue("id")]
	for _, c := range changes {
		i[strings.TrimPrefix(c.Path, "/")] = c.Value
	}
	answer(w, http.StatusOK, i)
}

func (g *glance) delete(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	id := r.PathValue("id")
	if g.inUse[id] {
		w.WriteHeader(http.StatusConflict)
		return
	}
	delete(g.images, id)
	w.WriteHeader(http.StatusNoContent)
}

// names lists the images there are.
func (g *glance) names() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var names []string
	for _, i := range g.images {
		names = append(names, i["name"].(string))
	}
	slices.Sort(names)
	return names
}

func artefacts(t *testing.T, hash string) image.Artefacts {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"kernel", "ramdisk", "root"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(name+" "+hash), 0o600))
	}
	return image.Artefacts{
		Name: "gatehouse-go", Hash: hash, CommandLine: "root=/dev/vda", User: "gate", DiskMB: 3072,
		Kernel: filepath.Join(dir, "kernel"), Ramdisk: filepath.Join(dir, "ramdisk"), Root: filepath.Join(dir, "root"),
	}
}

func TestARegisteredImageNamesItsKernelAndRamdisk(t *testing.T) {
	g, client := newGlance(t)
	id, err := image.Register(t.Context(), client, artefacts(t, "one"))
	require.NoError(t, err)
	assert.Equal(t, []string{"gatehouse-go", "gatehouse-go-kernel", "gatehouse-go-ramdisk"}, g.names())
	root := g.images[id]
	assert.Equal(t, "root one", root["data"])
	assert.Equal(t, "public", root["visibility"])
	assert.Equal(t, "qcow2", root["disk_format"])
	assert.EqualValues(t, 3, root["min_disk"])
	assert.Equal(t, "root=/dev/vda", root["os_command_line"])
	assert.NotContains(t, root, image.ForkProperty, "another init than ours cannot be forked")
	assert.Equal(t, "kernel one", g.images[root["kernel_id"].(string)]["data"])
	assert.Equal(t, "ari", g.images[root["ramdisk_id"].(string)]["container_format"])

	again, err := image.Register(t.Context(), client, artefacts(t, "one"))
	require.NoError(t, err)
	assert.Equal(t, id, again, "the same content is registered once")
	assert.Len(t, g.images, 3)
}

func TestAnImageOfOurInitAsksForForks(t *testing.T) {
	g, client := newGlance(t)
	a := artefacts(t, "one")
	a.Forks = true
	id, err := image.Register(t.Context(), client, a)
	require.NoError(t, err)
	root := g.images[id]
	assert.Equal(t, "true", root[image.ForkProperty])
	assert.NotContains(t, g.images[root["kernel_id"].(string)], image.ForkProperty)
}

func TestArtefactsThatAnotherBuildReplacedAreNotRegistered(t *testing.T) {
	g, client := newGlance(t)
	a := artefacts(t, "one")
	require.NoError(t, os.Remove(a.Root))
	_, err := image.Register(t.Context(), client, a)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "another build has replaced them")
	assert.Empty(t, g.names())
}

func TestANewImageReplacesTheOldOnes(t *testing.T) {
	g, client := newGlance(t)
	g.images["mine"] = map[string]any{"id": "mine", "name": "gatehouse-go", "status": "active"}
	old, err := image.Register(t.Context(), client, artefacts(t, "one"))
	require.NoError(t, err)
	g.inUse[old] = true
	id, err := image.Register(t.Context(), client, artefacts(t, "two"))
	require.NoError(t, err)
	assert.NotEqual(t, old, id)
	assert.Equal(t, []string{
		"gatehouse-go", "gatehouse-go", "gatehouse-go (one)", "gatehouse-go-kernel", "gatehouse-go-ramdisk",
	}, g.names(), "what is in use is renamed, and nobody else's image is touched")
}

func TestAnImageThatCannotBeUploadedLeavesNothing(t *testing.T) {
	g, client := newGlance(t)
	g.full = "gatehouse-go"
	_, err := image.Register(t.Context(), client, artefacts(t, "one"))
	require.ErrorContains(t, err, "upload")
	assert.Empty(t, g.names())
	g.full = ""
	_, err = image.Register(t.Context(), client, artefacts(t, "one"))
	require.NoError(t, err)
}

func TestWhatAKilledRegistrationLeftIsRemoved(t *testing.T) {
	g, client := newGlance(t)
	g.images["half"] = map[string]any{
		"id": "half", "name": "gatehouse-go-kernel", "status": "queued", "gatehouse_recipe": "one",
	}
	_, err := image.Register(t.Context(), client, artefacts(t, "one"))
	require.NoError(t, err)
	assert.Equal(t, []string{"gatehouse-go", "gatehouse-go-kernel", "gatehouse-go-ramdisk"}, g.names())
	assert.NotContains(t, g.images, "half")
}

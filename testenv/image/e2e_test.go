//go:build e2e

package image_test

import (
	"archive/tar"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/testenv/image"
)

// cacheDir keeps what each run would fetch again: a base image's content and
// the kernel.
func cacheDir(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	dir := filepath.Join(cache, "gatehouse", "e2e-image")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	return dir
}

// debianTar returns a tar file of a minimal Debian: what the layer of Debian's
// own container image holds.
func debianTar(t *testing.T, dir string) string {
	t.Helper()
	file := filepath.Join(dir, "debian.tar")
	if _, err := os.Stat(file); err == nil {
		return file
	}
	unfinished := file + ".new"
	out, err := exec.CommandContext(t.Context(), "mmdebstrap", "--variant=minbase", "--quiet", "--format=tar", "bookworm", unfinished).CombinedOutput()
	require.NoError(t, err, "mmdebstrap: %s", out)
	require.NoError(t, os.Rename(unfinished, file))
	return file
}

// archive makes an OCI archive of one layer and a configuration, laid out as
// the public base images are.
func archive(t *testing.T, rootFS string) string {
	t.Helper()
	layer, err := tarball.LayerFromFile(rootFS)
	require.NoError(t, err)
	made, err := mutate.AppendLayers(empty.Image, layer)
	require.NoError(t, err)
	made, err = mutate.ConfigFile(made, config(t, made))
	require.NoError(t, err)
	dir := t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	require.NoError(t, err)
	require.NoError(t, path.AppendImage(made))
	file := filepath.Join(t.TempDir(), "debian.oci.tar")
	f, err := os.Create(file)
	require.NoError(t, err)
	defer f.Close()
	w := tar.NewWriter(f)
	require.NoError(t, w.AddFS(os.DirFS(dir)))
	require.NoError(t, w.Close())
	return file
}

func config(t *testing.T, made v1.Image) *v1.ConfigFile {
	t.Helper()
	c, err := made.ConfigFile()
	require.NoError(t, err)
	c = c.DeepCopy()
	c.OS, c.Architecture = "linux", "amd64"
	c.Config.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "CONTAINER=yes"}
	return c
}

// buildAgent builds the program inside machines.
func buildAgent(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gatehouse-agent")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", file, "../../tools/gatehouse-agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return file
}

// A container image has no kernel, no users but root, no sudo and no ssh
// server. Build only returns an image that was booted and logged in to.
func TestAContainerImageBecomesAMachine(t *testing.T) {
	cache := cacheDir(t)
	c := image.Config{
		Dir: cache, Agent: buildAgent(t), Environment: os.Environ(),
		Progress: func(e image.Event) { t.Logf("%5.1f %s", e.Elapsed.Seconds(), e.Text) },
	}
	r, err := image.Parse([]byte(`
name: e2e-container
oci: {archive: ` + archive(t, debianTar(t, cache)) + `}
files: [{path: /etc/motd, content: "hello\n"}]
scripts: ['test "$(id -u)" = 0 && dpkg-query -W base-files >/etc/made-by-script']
warm:
  commands: ['test "$CONTAINER" = yes && id -un >"$HOME/warmed"']
disk-mb: 1024
`))
	require.NoError(t, err)
	built := func() (image.Artefacts, []byte) {
		require.NoError(t, os.RemoveAll(filepath.Join(cache, r.Name)))
		a, err := image.Build(t.Context(), c, r)
		require.NoError(t, err)
		content, err := os.ReadFile(a.Root)
		require.NoError(t, err)
		return a, content
	}
	a, first := built()
	assert.True(t, a.Forks)
	again, second := built()
	assert.Equal(t, a, again)
	assert.Equal(t, len(first), len(second))
	assert.True(t, string(first) == string(second), "the same inputs give the same disk")
}

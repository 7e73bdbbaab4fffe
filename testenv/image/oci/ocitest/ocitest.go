// Package ocitest makes a container image for tests, laid out as the public
// base images are: one layer with a minimal Debian, and a configuration.
package ocitest

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
	"github.com/stretchr/testify/require"
)

// Archive returns an OCI archive of Debian bookworm whose configuration sets
// CONTAINER=yes. The layer's content is kept in dir, where the next test finds
// it.
func Archive(tb testing.TB, dir string) string {
	tb.Helper()
	layer, err := tarball.LayerFromFile(debian(tb, dir))
	require.NoError(tb, err)
	image, err := mutate.AppendLayers(empty.Image, layer)
	require.NoError(tb, err)
	image, err = mutate.ConfigFile(image, configuration(tb, image))
	require.NoError(tb, err)
	tree := tb.TempDir()
	path, err := layout.Write(tree, empty.Index)
	require.NoError(tb, err)
	require.NoError(tb, path.AppendImage(image))
	file := filepath.Join(tb.TempDir(), "debian.oci.tar")
	f, err := os.Create(file)
	require.NoError(tb, err)
	defer f.Close()
	w := tar.NewWriter(f)
	require.NoError(tb, w.AddFS(os.DirFS(tree)))
	require.NoError(tb, w.Close())
	return file
}

// debian returns a tar file of a minimal Debian: what the layer of Debian's
// own container image holds.
func debian(tb testing.TB, dir string) string {
	tb.Helper()
	require.NoError(tb, os.MkdirAll(dir, 0o755)) //nolint:gosec // a namespace's root is nobody here
	file := filepath.Join(dir, "debian.tar")
	if _, err := os.Stat(file); err == nil {
		return file
	}
	unfinished := file + ".new"
	out, err := exec.CommandContext(tb.Context(), "mmdebstrap", "--variant=minbase", "--quiet", "--format=tar", "bookworm", unfinished).CombinedOutput()
	require.NoError(tb, err, "mmdebstrap: %s", out)
	require.NoError(tb, os.Rename(unfinished, file))
	return file
}

func configuration(tb testing.TB, image v1.Image) *v1.ConfigFile {
	tb.Helper()
	c, err := image.ConfigFile()
	require.NoError(tb, err)
	c = c.DeepCopy()
	c.OS, c.Architecture = "linux", "amd64"
	c.Config.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "CONTAINER=yes"}
	return c
}

package oci_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/testenv/image/oci"
)

// layerOf makes a layer of files: "name" or "name=content", directories with
// a slash at the end, "name->target" for hard links.
func layerOf(t *testing.T, files ...string) v1.Layer {
	t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range files {
		file, content, _ := strings.Cut(f, "=")
		h := &tar.Header{Typeflag: tar.TypeReg, Name: file, Size: int64(len(content)), Mode: 0o644}
		if link, target, ok := strings.Cut(file, "->"); ok {
			h.Typeflag, h.Name, h.Linkname = tar.TypeLink, link, target
		} else if strings.HasSuffix(file, "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		}
		require.NoError(t, w.WriteHeader(h))
		_, err := io.WriteString(w, content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
	})
	require.NoError(t, err)
	return layer
}

// imageOf makes an image for linux/amd64 with an environment.
func imageOf(t *testing.T, layers ...v1.Layer) v1.Image {
	t.Helper()
	image, err := mutate.AppendLayers(empty.Image, layers...)
	require.NoError(t, err)
	config, err := image.ConfigFile()
	require.NoError(t, err)
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	config.Config.Env = []string{"PATH=/opt/bin:/bin"}
	image, err = mutate.ConfigFile(image, config)
	require.NoError(t, err)
	return image
}

// files returns what an image flattens to, as layerOf takes it.
func files(t *testing.T, image v1.Image) []string {
	t.Helper()
	var archive bytes.Buffer
	require.NoError(t, oci.Flatten(image, &archive))
	var found []string
	for r := tar.NewReader(&archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		switch h.Typeflag {
		case tar.TypeDir:
			found = append(found, h.Name+"/")
		case tar.TypeLink:
			found = append(found, h.Name+"->"+h.Linkname)
		default:
			found = append(found, h.Name+"="+string(content))
		}
	}
}

func TestUpperLayersReplaceAndRemove(t *testing.T) {
	image := imageOf(t,
		layerOf(t, "etc/", "etc/a=1", "etc/b=1", "gone/", "gone/x=1", "opaque/", "opaque/old=1", "bin/sh=shell"),
		layerOf(t, "etc/a=2", "etc/.wh.b", ".wh.gone", "opaque/", "opaque/.wh..wh..opq", "opaque/new=2", "bin/dash->bin/sh"),
		layerOf(t, "gone=now a file"),
	)
	assert.ElementsMatch(t, []string{
		"etc/", "etc/a=2", "gone=now a file", "opaque/", "opaque/new=2", "bin/sh=shell", "bin/dash->bin/sh",
	}, files(t, image))
	list := files(t, image)
	assert.Equal(t, "bin/dash->bin/sh", list[len(list)-1], "links come after what they link to")
	assert.Equal(t, list, files(t, image), "the order is always the same")
}

func TestALinkToWhatAnUpperLayerRemovedIsAnError(t *testing.T) {
	image := imageOf(t, layerOf(t, "a=1", "b->a"), layerOf(t, ".wh.a"))
	require.ErrorContains(t, oci.Flatten(image, io.Discard), "b is a hard link to a, which is not there")
}

func TestAnImageIsTheSameFromEverywhere(t *testing.T) {
	image := imageOf(t, layerOf(t, "etc/", "etc/os-release=ID=test"))
	want, err := image.Digest()
	require.NoError(t, err)
	dir := t.TempDir()

	path, err := layout.Write(filepath.Join(dir, "layout"), empty.Index)
	require.NoError(t, err)
	require.NoError(t, path.AppendImage(image))
	layoutTar := filepath.Join(dir, "layout.tar")
	pack(t, filepath.Join(dir, "layout"), layoutTar)

	saved := filepath.Join(dir, "saved.tar")
	tag, err := name.NewTag("example.com/test:1")
	require.NoError(t, err)
	require.NoError(t, tarball.WriteToFile(saved, tag, image))

	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	ref, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/test/image:latest")
	require.NoError(t, err)
	require.NoError(t, remote.Write(ref, image))

	t.Setenv("DOCKER_CONFIG", dir) // nobody's credentials
	for _, from := range []struct {
		name string
		open func() (v1.Image, error)
	}{
		{"layout", func() (v1.Image, error) { return oci.Layout(filepath.Join(dir, "layout")) }},
		{"archive of a layout", func() (v1.Image, error) { return oci.Archive(layoutTar, t.TempDir()) }},
		{"docker save", func() (v1.Image, error) { return oci.Archive(saved, t.TempDir()) }},
		{"registry", func() (v1.Image, error) { return oci.Pull(t.Context(), ref.String()) }},
	} {
		got, err := from.open()
		require.NoError(t, err, from.name)
		digest, err := oci.Digest(got)
		require.NoError(t, err, from.name)
		if from.name != "docker save" { // which does not keep the manifest
			assert.Equal(t, want.String(), digest, from.name)
		}
		config, err := got.ConfigFile()
		require.NoError(t, err, from.name)
		assert.Equal(t, []string{"PATH=/opt/bin:/bin"}, config.Config.Env, from.name)
		assert.Equal(t, []string{"etc/", "etc/os-release=ID=test"}, files(t, got), from.name)
	}
}

// pack makes a tar file of a directory, with names as tar -C dir -c . has them.
func pack(t *testing.T, dir, to string) {
	t.Helper()
	f, err := os.Create(to)
	require.NoError(t, err)
	defer f.Close()
	w := tar.NewWriter(f)
	require.NoError(t, w.AddFS(os.DirFS(dir)))
	require.NoError(t, w.Close())
}

func TestOfManyPlatformsOursIsTaken(t *testing.T) {
	ours, other := imageOf(t, layerOf(t, "ours")), imageOf(t, layerOf(t, "other"))
	add := func(image v1.Image, architecture string) mutate.IndexAddendum {
		return mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: "linux", Architecture: architecture},
		}}
	}
	index := mutate.AppendManifests(empty.Index, add(other, "arm64"), add(ours, "amd64"), add(other, "unknown"))
	dir := t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	require.NoError(t, err)
	require.NoError(t, path.AppendIndex(index))
	got, err := oci.Layout(dir)
	require.NoError(t, err)
	assert.Equal(t, []string{"ours="}, files(t, got))

	require.NoError(t, path.AppendImage(other))
	_, err = oci.Layout(dir)
	require.EqualError(t, err, "it holds 2 images for linux/amd64, not one")
}

func TestAnArchiveThatClimbsOutIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "evil.tar")
	f, err := os.Create(file)
	require.NoError(t, err)
	w := tar.NewWriter(f)
	for _, n := range []string{"oci-layout", "../evil"} {
		require.NoError(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: n, Mode: 0o644}))
	}
	require.NoError(t, w.Close())
	require.NoError(t, f.Close())
	dir := filepath.Join(t.TempDir(), "below")
	require.NoError(t, os.Mkdir(dir, 0o750))
	_, err = oci.Archive(file, dir)
	require.ErrorContains(t, err, "../evil: ")
	assert.NoFileExists(t, filepath.Join(filepath.Dir(dir), "evil"))
}

func TestACompressedArchiveIsSaidToBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "image.tar.gz")
	require.NoError(t, os.WriteFile(file, bytes.Repeat([]byte{0x1f, 0x8b}, 512), 0o600))
	_, err := oci.Archive(file, t.TempDir())
	require.ErrorContains(t, err, "must be unpacked first")
}

func TestWhatIsNoReferenceIsSaid(t *testing.T) {
	require.NoError(t, oci.CheckReference("docker.io/library/debian:12"))
	require.Error(t, oci.CheckReference("not a reference"))
	_, err := oci.Pull(t.Context(), "UPPER")
	require.Error(t, err)
}

// Package oci reads container images: from a registry, from an archive (what
// `docker save` writes, or an OCI image layout in a tar file) or from an OCI
// image layout in a directory. Of an image for several platforms it takes
// linux/amd64.
//
// The formats are those of https://github.com/opencontainers/image-spec.
package oci

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

var platform = v1.Platform{OS: "linux", Architecture: "amd64"}

// Pull returns the image that a reference such as docker.io/library/debian:12
// names, logged in as docker's configuration says. Its layers are fetched as
// they are read, for as long as ctx lasts.
func Pull(ctx context.Context, reference string) (v1.Image, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return nil, err
	}
	return remote.Image(ref, remote.WithContext(ctx), remote.WithPlatform(platform),
		remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithUserAgent("gatehouse"))
}

// CheckReference says what is wrong with a reference.
func CheckReference(reference string) error {
	_, err := name.ParseReference(reference)
	return err
}

// Layout returns the image in the image layout in a directory.
func Layout(dir string) (v1.Image, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, err
	}
	return only(index)
}

// Archive returns the image in a tar file. An image layout is unpacked into
// dir, which must last as long as the image.
func Archive(file, dir string) (v1.Image, error) {
	isLayout, err := holds(file, "oci-layout")
	if err != nil {
		return nil, err
	}
	if !isLayout {
		return tarball.ImageFromPath(file, nil)
	}
	if err := untar(file, dir); err != nil {
		return nil, err
	}
	return Layout(dir)
}

// only returns the image of an index for our platform, of which there must be
// one.
func only(index v1.ImageIndex) (v1.Image, error) {
	found, err := collect(index)
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("it holds %d images for %s, not one", len(found), platform.String())
	}
	return found[0], nil
}

func collect(index v1.ImageIndex) ([]v1.Image, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var found []v1.Image
	for _, d := range manifest.Manifests {
		switch {
		case d.MediaType.IsIndex():
			below, err := index.ImageIndex(d.Digest)
			if err != nil {
				return nil, err
			}
			images, err := collect(below)
			if err != nil {
				return nil, err
			}
			found = append(found, images...)
		case d.MediaType.IsImage() && (d.Platform == nil || d.Platform.Satisfies(platform)):
			image, err := index.Image(d.Digest)
			if err != nil {
				return nil, err
			}
			found = append(found, image)
		}
	}
	return found, nil
}

// holds reports whether a tar file has a member of a name.
func holds(file, member string) (bool, error) {
	f, err := os.Open(file)
	if err != nil {
		return false, err
	}
	defer f.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("%s is no tar file (a compressed one must be unpacked first): %w", file, err)
		}
		if strings.TrimPrefix(h.Name, "./") == member {
			return true, nil
		}
	}
}

// untar unpacks an image layout, which is made of regular files alone.
func untar(file, dir string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // only a handle
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := write(root, filepath.Clean(h.Name), r); err != nil {
			return fmt.Errorf("unpack %s: %w", h.Name, err)
		}
	}
}

func write(root *os.Root, name string, content io.Reader) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		return err
	}
	f, err := root.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

// Digest returns what names the image's content: that of its manifest.
func Digest(image v1.Image) (string, error) {
	if mt, err := image.MediaType(); err != nil {
		return "", err
	} else if mt == types.DockerManifestSchema1 || mt == types.DockerManifestSchema1Signed {
		return "", errors.New("images of docker's schema 1 are not supported")
	}
	digest, err := image.Digest()
	return digest.String(), err
}

package oci

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// Flatten writes the file system of an image as one tar archive: its layers
// one upon the other, without what upper ones remove. Hard links come last,
// since upper layers, which come first, may link to files of lower ones.
func Flatten(image v1.Image, w io.Writer) error {
	content := mutate.Extract(image)
	defer content.Close()
	to := tar.NewWriter(w)
	var links []*tar.Header
	files := make(map[string]bool)
	for r := tar.NewReader(content); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		h.Name = strings.TrimPrefix(path.Clean(h.Name), "/")
		if h.Typeflag == tar.TypeLink {
			links = append(links, h)
			continue
		}
		files[h.Name] = true
		if err := to.WriteHeader(h); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
		if _, err := io.Copy(to, r); err != nil { //nolint:gosec // as large as its header says
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
	for _, h := range links {
		if target := strings.TrimPrefix(path.Clean(h.Linkname), "/"); !files[target] {
			return fmt.Errorf("%s is a hard link to %s, which is not there", h.Name, target)
		}
		if err := to.WriteHeader(h); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
	return to.Close()
}

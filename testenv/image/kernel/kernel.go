// Package kernel finds the Linux kernel and its modules in the tar archive of
// a root file system, or of a distribution's kernel package.
package kernel

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"strings"
)

// Kernel is a kernel in an archive, with its modules.
type Kernel struct {
	Version string // such as 6.1.0-18-cloud-amd64
	archive *os.File
	image   place
	modules map[string]place // by the module's name
	builtin map[string]bool  // by the module's name
}

// place says where in the archive a file's content is.
type place struct {
	path         string
	offset, size int64
}

// Open finds the newest kernel of an archive that is not compressed. An error
// says that it holds none. The caller closes it.
func Open(archive string) (*Kernel, error) {
	f, err := os.Open(archive)
	if err != nil {
		return nil, err
	}
	files, err := index(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", archive, err)
	}
	k := &Kernel{archive: f, modules: make(map[string]place), builtin: make(map[string]bool)}
	for _, file := range files {
		if m := image.FindStringSubmatch(file.path); m != nil {
			if version := m[1] + m[2]; k.Version == "" || older(k.Version, version) {
				k.Version, k.image = version, file
			}
		}
	}
	if k.Version == "" {
		f.Close()
		return nil, errors.New("no kernel: neither boot/vmlinuz-* nor lib/modules/*/vmlinuz")
	}
	if err := k.findModules(files); err != nil {
		f.Close()
		return nil, err
	}
	return k, nil
}

// Close releases the archive.
func (k *Kernel) Close() error { return k.archive.Close() }

// image matches the places where distributions put kernels.
var image = regexp.MustCompile(`^(?:boot/vmlinuz-(.+)|(?:usr/)?lib/modules/([^/]+)/vmlinuz)$`)

// parts matches where modules and lists of them are.
var parts = regexp.MustCompile(`^(?:usr/)?lib/modules/([^/]+)/(?:modules\.builtin|.*\.ko(?:\.[a-z0-9]+)?)$`)

// index lists the files of an archive that are of interest here.
func index(f *os.File) ([]place, error) {
	var files []place
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		name := path.Clean(strings.TrimPrefix(h.Name, "/"))
		if h.Typeflag != tar.TypeReg || !image.MatchString(name) && !parts.MatchString(name) {
			continue
		}
		// The reader takes no more of the file than the headers so far.
		offset, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		files = append(files, place{name, offset, h.Size})
	}
}

func (k *Kernel) findModules(files []place) error {
	for _, file := range files {
		m := parts.FindStringSubmatch(file.path)
		if m == nil || m[1] != k.Version {
			continue
		}
		if path.Base(file.path) != "modules.builtin" {
			k.modules[moduleName(file.path)] = file
			continue
		}
		list, err := k.read(file)
		if err != nil {
			return err
		}
		for name := range strings.FieldsSeq(string(list)) {
			k.builtin[moduleName(name)] = true
		}
	}
	return nil
}

// Image returns the kernel as it is in the archive.
func (k *Kernel) Image() ([]byte, error) { return k.read(k.image) }

func (k *Kernel) read(p place) ([]byte, error) {
	if p.size > maxSize {
		return nil, fmt.Errorf("%s has %d bytes", p.path, p.size)
	}
	content := make([]byte, p.size)
	if _, err := k.archive.ReadAt(content, p.offset); err != nil {
		return nil, fmt.Errorf("%s: %w", p.path, err)
	}
	return content, nil
}

// digits matches where numbers begin and end in a version.
var digits = regexp.MustCompile(`[0-9]+|[^0-9]+`)

// older compares versions as people do: 6.9 is older than 6.10.
func older(a, b string) bool {
	as, bs := digits.FindAllString(a, -1), digits.FindAllString(b, -1)
	for i := range min(len(as), len(bs)) {
		x, y := strings.TrimLeft(as[i], "0"), strings.TrimLeft(bs[i], "0")
		if x == y {
			continue
		}
		if numeric := as[i][0] <= '9' && bs[i][0] <= '9'; numeric && len(x) != len(y) {
			return len(x) < len(y)
		}
		return x < y
	}
	return len(as) < len(bs)
}

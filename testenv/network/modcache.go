package network

import (
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// moduleCache is a directory GOMODCACHE/cache/download.
type moduleCache struct{ dir string }

// open finds a file of the protocol. It reports an error if the cache does
// not have it. No request leads out of the directory, not by a symbolic link
// either (os.Root).
func (c moduleCache) open(m moduleRequest) (io.ReadSeekCloser, error) {
	if c.dir == "" {
		return nil, fs.ErrNotExist
	}
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // it was only read
	if m.kind == "@latest" {
		return c.latest(root, m)
	}
	file, err := root.Open(m.path)
	if err != nil {
		// A module that was only needed for its requirements has no .info.
		if _, missing := root.Stat(strings.TrimSuffix(m.path, m.kind) + ".mod"); m.kind == ".info" && missing == nil {
			return info(m.version)
		}
		return nil, err
	}
	if stat, err := file.Stat(); err != nil || !stat.Mode().IsRegular() {
		file.Close()
		return nil, fs.ErrInvalid
	}
	return file, nil
}

// latest is the newest version whose content is here, as the go command
// chooses it: a release before a pre-release before a pseudo-version.
func (c moduleCache) latest(root *os.Root, m moduleRequest) (io.ReadSeekCloser, error) {
	entries, err := fs.ReadDir(root.FS(), path.Join(m.module, "@v"))
	if err != nil {
		return nil, err
	}
	var versions []string
	for _, e := range entries {
		escaped, ok := strings.CutSuffix(e.Name(), ".zip")
		if v, err := module.UnescapeVersion(escaped); ok && err == nil && semver.IsValid(v) {
			versions = append(versions, v)
		}
	}
	if len(versions) == 0 {
		return nil, fs.ErrNotExist
	}
	return info(slices.MaxFunc(versions, func(a, b string) int {
		if rank := rank(a) - rank(b); rank != 0 {
			return rank
		}
		return semver.Compare(a, b)
	}))
}

func rank(version string) int {
	switch {
	case module.IsPseudoVersion(version):
		return 0
	case semver.Prerelease(version) != "":
		return 1
	default:
		return 2
	}
}

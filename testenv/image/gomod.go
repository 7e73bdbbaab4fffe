package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// download fetches a module into a module cache of its own, so that the image
// gets what it needs and no more.
func (b *build) downloadModule(ctx context.Context, m WarmModule, dir string) (downloaded, error) {
	d := downloaded{WarmModule: m}
	run := func(in, cache, proxy string, args ...string) ([]byte, error) {
		cmd := b.command(ctx, filepath.Join(b.config.Inputs[GoToolchain], "bin", "go"), args...)
		cmd.Dir = in
		cmd.Env = append(cmd.Env, "GOMODCACHE="+cache, "GOPROXY="+proxy, "GOTOOLCHAIN=local", "GOFLAGS=", "GOWORK=off")
		return b.output(cmd)
	}
	host, proxy, err := b.hostModules(ctx)
	if err != nil {
		return d, err
	}
	text, err := run(dir, host, proxy, "mod", "download", "-json", m.Module+"@"+m.Version)
	if err != nil {
		return d, err
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(text, &found); err != nil {
		return d, err
	}
	d.dir = filepath.Join(dir, m.Project)
	if err := os.CopyFS(d.dir, os.DirFS(found.Dir)); err != nil {
		return d, err
	}
	cache := filepath.Join(dir, m.Project+".cache")
	d.cache = filepath.Join(cache, "cache", "download")
	if err := os.MkdirAll(d.cache, 0o750); err != nil {
		return d, err
	}
	near := "file://" + filepath.Join(host, "cache", "download") + "," + proxy
	_, err = run(d.dir, cache, near, "mod", "download")
	return d, err
}

// hostModules returns the host's GOMODCACHE and GOPROXY.
func (b *build) hostModules(ctx context.Context) (cache, proxy string, err error) {
	cmd := b.command(ctx, filepath.Join(b.config.Inputs[GoToolchain], "bin", "go"), "env", "GOMODCACHE", "GOPROXY")
	cmd.Dir = "/"
	text, err := b.output(cmd)
	if err != nil {
		return "", "", err
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 2 {
		return "", "", errors.New("go env: too short an answer")
	}
	return lines[0], lines[1], nil
}

// downloaded is a module to warm up, on the host: its tree, and the part of
// the module cache that it needs.
type downloaded struct {
	WarmModule
	dir, cache string
}

// downloadModules fetches the recipe's modules and what they need, out of the
// host's module cache if it has them.
func (b *build) downloadModules(ctx context.Context) ([]downloaded, func(), error) {
	dir, err := os.MkdirTemp(b.config.TempDir, "gatehouse-modules-*")
	if err != nil {
		return nil, nil, err
	}
	forget := func() {
		// The module cache is read-only, down to its directories.
		_ = filepath.Walk(dir, func(path string, info os.FileInfo, err error) error { // best effort
			if err == nil && info.IsDir() {
				return os.Chmod(path, 0o700) //nolint:gosec // a directory
			}
			return err
		})
		os.RemoveAll(dir) //nolint:errcheck // best effort
	}
	var modules []downloaded
	for _, m := range b.recipe.Warm.Modules {
		d, err := b.downloadModule(ctx, m, dir)
		if err != nil {
			forget()
			return nil, nil, fmt.Errorf("download %s@%s: %w", m.Module, m.Version, err)
		}
		modules = append(modules, d)
	}
	return modules, forget, nil
}

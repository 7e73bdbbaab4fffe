package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// makeRoot lays out the root file system, warms its caches and makes a disk
// of it.
func (b *build) makeRoot(ctx context.Context, to string) error {
	modules, forget, err := b.downloadModules(ctx)
	if err != nil {
		return err
	}
	defer forget()
	raw, err := os.CreateTemp(b.config.TempDir, "gatehouse-disk-*")
	if err != nil {
		return err
	}
	defer os.Remove(raw.Name()) //nolint:errcheck // a temporary file
	defer raw.Close()
	// A namespace's root is nobody to this file.
	if err := raw.Chmod(0o666); err != nil {
		return err
	}
	if err := b.layOut(ctx, raw, modules); err != nil {
		return err
	}
	b.say("  pack the disk")
	// A third of the size, and zstd unpacks faster than a guest reads.
	return b.run(b.command(ctx, "qemu-img", "convert", "-c", "-W", "-m", "4", "-o", "compression_type=zstd",
		"-f", "raw", "-O", "qcow2", raw.Name(), to), nil)
}

// layOut runs the root stage, feeding it what is added to the base system.
func (b *build) layOut(ctx context.Context, disk *os.File, modules []downloaded) error {
	base, err := os.Open(b.baseTar())
	if err != nil {
		return err
	}
	defer base.Close()
	cmd := b.asRoot(ctx, "/bin/sh", "-c", rootStage, "root.sh", b.config.TempDir,
		b.recipe.User.Name, fmt.Sprint(b.recipe.User.UID), fmt.Sprint(b.recipe.DiskMB))
	cmd.ExtraFiles = []*os.File{disk, base}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	fed := make(chan error, 1)
	go func() { fed <- errors.Join(b.writeAdditions(stdin, modules), stdin.Close()) }()
	err = b.run(cmd, func(line string) (string, bool) { return strings.CutPrefix(line, "## ") })
	if feedErr := <-fed; err == nil {
		err = feedErr
	}
	return err
}

// additions is where the root stage finds its script and the user's files.
const additions = "usr/lib/gatehouse"

func (b *build) writeAdditions(w io.Writer, modules []downloaded) error {
	t := newTree(w)
	for _, c := range b.recipe.Copy {
		t.Copy(b.config.Inputs[c.From], strings.TrimPrefix(c.To, "/"), c.Exclude)
	}
	home := path.Join(additions, "home")
	t.Directory(home)
	for _, m := range modules {
		t.Copy(m.dir, path.Join(home, "src", m.Project), nil)
		t.Copy(m.cache, path.Join(home, "go/pkg/mod/cache/download"), []string{"*.lock", "list"})
	}
	var environment strings.Builder
	for _, s := range b.settings() {
		fmt.Fprintln(&environment, s)
	}
	t.File("etc/environment", 0o644, environment.String())
	t.File(path.Join(additions, "warm.sh"), 0o755, b.warmScript())
	t.File("usr/local/sbin/reboot", 0o755, "#!/bin/sh\n# The init of a test machine restarts it on SIGTERM.\nexec kill -TERM 1\n")
	t.File("usr/local/sbin/poweroff", 0o755, "#!/bin/sh\n# The init of a test machine powers it off on SIGUSR2.\nexec kill -USR2 1\n")
	return t.Close()
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
		d, err := b.download(ctx, m, dir)
		if err != nil {
			forget()
			return nil, nil, fmt.Errorf("download %s@%s: %w", m.Module, m.Version, err)
		}
		modules = append(modules, d)
	}
	return modules, forget, nil
}

package image

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// fetchDebian installs Debian's packages.
func (b *build) fetchDebian(ctx context.Context, w io.Writer) (fetched, error) {
	suite := b.recipe.Debian.Suite
	args := []string{
		"--variant=minbase", "--format=tar", "--architectures=amd64",
		"--aptopt=Acquire::Retries \"3\"",
		"--dpkgopt=force-unsafe-io", // a build that is cut off starts anew
		// The host's, which mmdebstrap puts there for the time of the work.
		`--customize-hook=rm -f "$1/etc/hostname" "$1/etc/resolv.conf"`,
	}
	if len(b.recipe.Packages) > 0 {
		args = append(args, "--include="+strings.Join(b.recipe.Packages, ","))
	}
	for _, pattern := range b.recipe.Debian.Exclude {
		args = append(args, "--dpkgopt=path-exclude="+pattern)
	}
	sources, err := sourcesOf(suite)
	if err != nil {
		return fetched{}, err
	}
	cmd := b.command(ctx, "mmdebstrap", append(args, suite, "-", "-")...)
	cmd.Env = append(cmd.Env, "TMPDIR="+b.config.TempDir)
	cmd.Stdin = strings.NewReader(sources)
	began := time.Now()
	err = filtered(w, began, func(w io.Writer) error {
		return b.runTo(cmd, w, func(line string) (string, bool) {
			text, ok := strings.CutPrefix(line, "I: ")
			return text, ok && strings.HasSuffix(text, "...")
		})
	})
	return fetched{Origin: "Debian " + suite}, err
}

// fetchKernel downloads a kernel's package and writes its files. It is not
// installed, which would pull in the tools to make an initramfs and make one.
func (b *build) fetchKernel(ctx context.Context, w io.Writer) (fetched, error) {
	dir, err := os.MkdirTemp(b.config.TempDir, "gatehouse-kernel-*")
	if err != nil {
		return fetched{}, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	deb, err := b.downloadPackage(ctx, dir)
	if err != nil {
		return fetched{}, err
	}
	origin := strings.TrimSuffix(filepath.Base(deb), ".deb")
	return fetched{Origin: origin}, b.runTo(b.command(ctx, "dpkg-deb", "--fsys-tarfile", deb), w, nil)
}

// downloadPackage asks apt, in a place of its own, for the recipe's kernel,
// or for the newest one if that is a package which only depends on it. It
// returns the file's path, in dir.
func (b *build) downloadPackage(ctx context.Context, dir string) (string, error) {
	k := b.recipe.Kernel
	options, err := b.ownApt(dir)
	if err != nil {
		return "", err
	}
	apt := func(program string, args ...string) (string, error) {
		cmd := b.command(ctx, program, append(options, args...)...)
		cmd.Dir = dir
		out, err := b.output(cmd)
		return string(out), err
	}
	if _, err := apt("apt-get", "-qq", "update"); err != nil {
		return "", err
	}
	depends, err := apt("apt-cache", "depends", k.Package)
	if err != nil {
		return "", err
	}
	name := k.Package
	for line := range strings.Lines(depends) {
		on, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: linux-image-")
		if ok && on != "" && on[0] >= '0' && on[0] <= '9' {
			name = "linux-image-" + on
			break
		}
	}
	b.say("  %s of %s", name, k.Suite)
	if _, err := apt("apt-get", "-qq", "download", name); err != nil {
		return "", err
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("apt-get download %s: %d files", name, len(found))
	}
	if err != nil {
		return "", err
	}
	return found[0], nil
}

// ownApt lays out a directory in which apt-get works without root and without
// the host's packages, and returns the options that say so.
func (b *build) ownApt(dir string) ([]string, error) {
	sources, err := sourcesOf(b.recipe.Kernel.Suite)
	if err != nil {
		return nil, err
	}
	for _, d := range []string{"lists/partial", "cache/archives/partial", "sources.list.d", "preferences.d"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o750); err != nil {
			return nil, err
		}
	}
	for name, text := range map[string]string{"status": "", "sources.list": sources} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	var options []string
	for _, o := range []string{
		"Dir::State=" + dir, "Dir::State::lists=lists/", "Dir::State::status=" + filepath.Join(dir, "status"),
		"Dir::Cache=" + filepath.Join(dir, "cache"), "Dir::Etc::sourcelist=" + filepath.Join(dir, "sources.list"),
		"Dir::Etc::sourceparts=" + filepath.Join(dir, "sources.list.d"),
		"Dir::Etc::preferencesparts=" + filepath.Join(dir, "preferences.d"),
		"APT::Architecture=amd64", "APT::Architectures=amd64", "Acquire::Languages=none", "Acquire::Retries=3",
		"APT::Sandbox::User=", // apt's own user may not write here
	} {
		options = append(options, "-o", o)
	}
	return options, nil
}

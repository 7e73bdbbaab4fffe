package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// makeBase installs the distribution, with a kernel, into a tar archive.
func (b *build) makeBase(ctx context.Context, to string) error {
	args := []string{
		"--variant=minbase", "--format=tar",
		"--include=" + strings.Join(b.recipe.Packages, ","),
		// The script itself: a namespace's root may not reach our files.
		fmt.Sprintf("--customize-hook=set -- \"$1\" '%s'\n%s", b.recipe.Kernel, baseStage),
		"--aptopt=Acquire::Retries \"3\"",
		"--dpkgopt=force-unsafe-io", // a build that is cut off starts anew
	}
	for _, pattern := range b.recipe.Exclude {
		args = append(args, "--dpkgopt=path-exclude="+pattern)
	}
	args = append(args, b.recipe.Suite, to)
	sources, err := hostSources(b.recipe.Suite)
	if err != nil {
		return err
	}
	if sources != "" {
		args = append(args, "-")
	}
	cmd := b.command(ctx, "mmdebstrap", args...)
	cmd.Env = append(cmd.Env, "TMPDIR="+b.config.TempDir)
	cmd.Stdin = strings.NewReader(sources)
	return b.run(cmd, func(line string) (string, bool) {
		text, ok := strings.CutPrefix(line, "I: ")
		return text, ok && strings.HasSuffix(text, "...")
	})
}

// errFound ends the walk of an archive.
var errFound = errors.New("found")

// eachFile calls do for every regular file of a tar archive whose path starts
// with one of the prefixes.
func eachFile(archive string, prefixes []string, do func(name string, r io.Reader) error) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	files := tar.NewReader(f)
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", archive, err)
		}
		name := path.Clean(h.Name)
		wanted := slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
		if !wanted || h.Typeflag != tar.TypeReg {
			continue
		}
		if err := do(name, files); errors.Is(err, errFound) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// makeKernel takes the kernel out of the base system.
func (b *build) makeKernel(_ context.Context, to string) error {
	found := false
	err := eachFile(b.baseTar(), []string{"boot/vmlinuz-"}, func(_ string, r io.Reader) error {
		found = true
		f, err := os.Create(to)
		if err != nil {
			return err
		}
		if _, err := io.Copy(f, r); err != nil {
			f.Close()
			return err
		}
		return errors.Join(f.Close(), errFound)
	})
	if err == nil && !found {
		err = fmt.Errorf("%s holds no kernel", filepath.Base(b.baseTar()))
	}
	return err
}

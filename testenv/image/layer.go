package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// layer is a step of a build: a file, and how it is made.
type layer struct {
	name, file string
	make       func(ctx context.Context, to string) error
}

// file names a layer of a kind by its key.
func (b *build) file(kind, key, suffix string) string {
	return filepath.Join(b.dir, kind+"-"+key[:16]+suffix)
}

// make makes a layer's file unless it is there. A layer that fails leaves none.
func (b *build) make(ctx context.Context, l layer) error {
	if _, err := os.Stat(l.file); err == nil {
		b.say("%s: taken from the last build", l.name)
		return nil
	}
	return b.remake(ctx, l)
}

// remake makes a layer's file anew. The one that was there is replaced once
// the new one is whole.
func (b *build) remake(ctx context.Context, l layer) error {
	b.say("%s …", l.name)
	began := time.Now()
	unfinished := l.file + ".new"
	defer os.Remove(unfinished) //nolint:errcheck // renamed, or in vain
	if err := l.make(ctx, unfinished); err != nil {
		return fmt.Errorf("%s: %w", l.name, err)
	}
	info, err := os.Stat(unfinished)
	if err != nil {
		return err
	}
	b.say("%s: %d MB in %.1f s", l.name, info.Size()>>20, time.Since(began).Seconds())
	return os.Rename(unfinished, l.file)
}

// prune removes the layers of other builds, and what killed ones left.
func (b *build) prune(a Artefacts) error {
	wanted := []string{b.baseTar, notesOf(b.baseTar), a.Kernel, a.Ramdisk, a.Root, b.proof(a)}
	var failed []error
	for _, kind := range []string{"base-", "kernel-", "root-", "ramdisk-", "image-", "check-"} {
		found, err := filepath.Glob(filepath.Join(b.dir, kind+"*"))
		if err != nil {
			return err
		}
		for _, file := range found {
			if !slices.Contains(wanted, file) {
				failed = append(failed, os.RemoveAll(file))
			}
		}
	}
	return errors.Join(failed...)
}

// lock waits until no other build works in a directory.
func (b *build) lock(ctx context.Context, dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	ticks := time.NewTicker(200 * time.Millisecond)
	defer ticks.Stop()
	for told := false; ; told = true {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		if !told {
			b.say("waiting for another build in %s", dir)
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		}
	}
}

package compute

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Images is what compute needs of the image service.
type Images interface {
	// Get describes an image. It reports fault.NotFound if the project cannot
	// see it; with an empty project, every image can be seen.
	Get(ctx context.Context, project, id string) (Image, error)

	// Open returns the data of an active image, which the caller closes. It
	// does not ask who may see the image. An *os.File is linked to rather
	// than copied where the filesystem allows: what it holds must never be
	// written to again.
	Open(ctx context.Context, id string) (io.ReadCloser, error)
}

// Image describes an image of the image service.
type Image struct {
	ID, Name   string
	Active     bool   // its data is complete and may be used
	DiskFormat string // "raw", "qcow2", "aki", "ari", …
	// VirtualSize is the size in bytes of the disk that the image holds; zero
	// if unknown.
	VirtualSize int64
	MinDiskGB   int
	MinRAMMB    int
	Properties  map[string]string // kernel_id, ramdisk_id, os_command_line, …
}

// imageCache keeps images as files for machines to use, one file for each.
type imageCache struct {
	images Images
	dir    string

	mu   sync.Mutex
	busy map[string]*sync.Mutex // by id: whoever fetches an image
}

func newImageCache(images Images, dir string) (*imageCache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make image cache: %w", err)
	}
	unfinished, err := filepath.Glob(filepath.Join(dir, "*.part"))
	if err != nil {
		return nil, fmt.Errorf("list image cache: %w", err)
	}
	for _, file := range unfinished {
		if err := os.Remove(file); err != nil {
			return nil, fmt.Errorf("remove unfinished image: %w", err)
		}
	}
	return &imageCache{images: images, dir: dir, busy: map[string]*sync.Mutex{}}, nil
}

// file returns the file that holds an image, fetching it first if need be.
func (c *imageCache) file(ctx context.Context, id string) (string, error) {
	if err := uuid.Validate(id); err != nil {
		return "", fault.New(fault.NotFound, "Image %s could not be found.", id)
	}
	unlock := c.lock(id)
	defer unlock()
	file := filepath.Join(c.dir, id)
	err := touch(file)
	if errors.Is(err, os.ErrNotExist) {
		if err = c.fetch(ctx, id, file); err == nil {
			err = touch(file)
		}
	}
	if err != nil {
		return "", fmt.Errorf("cache image %s: %w", id, err)
	}
	return file, nil
}

// touch notes in the file's time when the image was last used: see prune.
func touch(file string) error {
	now := time.Now()
	return os.Chtimes(file, now, now)
}

func (c *imageCache) lock(id string) (unlock func()) {
	c.mu.Lock()
	m := c.busy[id]
	if m == nil {
		m = &sync.Mutex{}
		c.busy[id] = m
	}
	c.mu.Unlock()
	m.Lock()
	return m.Unlock
}

func (c *imageCache) fetch(ctx context.Context, id, file string) error {
	data, err := c.images.Open(ctx, id)
	if err != nil {
		return err
	}
	defer func() { _ = data.Close() }()
	if source, ok := data.(*os.File); ok && os.Link(source.Name(), file) == nil {
		return nil
	}
	part := file + ".part"
	err = copyTo(ctx, part, data)
	if err == nil {
		err = os.Rename(part, file)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(part))
	}
	return nil
}

// copyTo writes data to a new file, and to the disk.
func copyTo(ctx context.Context, file string, data io.Reader) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return data.Read(p)
	}))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// prune removes the images that no server uses and that were last used longer
// than keep ago, or that the image service has no more.
func (c *imageCache) prune(ctx context.Context, used map[string]bool, keep time.Duration) error {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return fmt.Errorf("list image cache: %w", err)
	}
	for _, entry := range entries {
		id := entry.Name()
		if used[id] || uuid.Validate(id) != nil {
			continue
		}
		if err := c.pruneOne(ctx, id, keep); err != nil {
			return fmt.Errorf("prune image %s: %w", id, err)
		}
	}
	return nil
}

func (c *imageCache) pruneOne(ctx context.Context, id string, keep time.Duration) error {
	unlock := c.lock(id)
	defer unlock()
	file := filepath.Join(c.dir, id)
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if time.Since(info.ModTime()) < keep {
		_, err := c.images.Get(ctx, "", id)
		if !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	return os.Remove(file)
}

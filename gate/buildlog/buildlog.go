// Package buildlog keeps the output of builds: one folder for each build, in
// it job-output.txt, in the form of Zuul's console log (a time, a bar, the
// text), and the build's artifacts. A log can be followed while it grows.
//
// A build may write without end: a log takes a bounded number of bytes, says
// how many it left out, and still shows the last ones.
package buildlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"
)

// Name is the file name of a build's log.
const Name = "job-output.txt"

// ErrName is reported for a build or file name that no build has.
var ErrName = errors.New("not a name of a build's file")

// names keeps requests inside the folder.
var names = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,120}$`)

// Dir is the folder of all builds' logs. Its methods may be called
// concurrently.
type Dir struct {
	path string

	mu   sync.Mutex
	live map[string]*Writer
}

// Open returns the folder of logs at path, which need not exist yet.
func Open(path string) *Dir {
	return &Dir{path: path, live: map[string]*Writer{}}
}

// File returns the path of a build's file.
func (d *Dir) File(build, name string) (string, error) {
	if !names.MatchString(build) || !names.MatchString(name) {
		return "", fmt.Errorf("%w: %q %q", ErrName, build, name)
	}
	return filepath.Join(d.path, build, name), nil
}

// Create begins the log of a build. limit bounds its size, in bytes. The
// caller closes the writer.
func (d *Dir) Create(build string, limit int64) (*Writer, error) {
	file, err := d.create(build, Name)
	if err != nil {
		return nil, err
	}
	w := &Writer{file: file, limit: limit, changed: make(chan struct{})}
	w.done = func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.live, build)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.live[build] = w
	return w, nil
}

// CreateFile makes a file beside a build's log, such as an artifact.
func (d *Dir) CreateFile(build, name string) (io.WriteCloser, error) {
	return d.create(build, name)
}

// OpenFile opens a build's file for reading.
func (d *Dir) OpenFile(build, name string) (*os.File, error) {
	path, err := d.File(build, name)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open file of build %s: %w", build, err)
	}
	return file, nil
}

// Remove removes a file beside a build's log.
func (d *Dir) Remove(build, name string) error {
	path, err := d.File(build, name)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove file of build %s: %w", build, err)
	}
	return nil
}

func (d *Dir) create(build, name string) (*os.File, error) {
	path, err := d.File(build, name)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make folder of build %s: %w", build, err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make file of build %s: %w", build, err)
	}
	return file, nil
}

// Files lists the files of a build, by name; none if the build has no folder.
func (d *Dir) Files(build string) ([]fs.FileInfo, error) {
	path, err := d.File(build, Name)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list files of build %s: %w", build, err)
	}
	var list []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			list = append(list, info)
		}
	}
	return list, nil
}

// Prune removes the files of builds whose log was last written before a time.
// It reports how many builds that were.
func (d *Dir) Prune(before time.Time) (int, error) {
	builds, err := os.ReadDir(d.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("list logs: %w", err)
	}
	var errs []error
	pruned := 0
	for _, b := range builds {
		path, err := d.File(b.Name(), Name)
		if err != nil {
			continue // nothing that a build made
		}
		if info, err := os.Stat(path); err != nil || !info.ModTime().Before(before) {
			continue
		}
		if _, live := d.watch(b.Name()); live {
			continue
		}
		if err := os.RemoveAll(filepath.Dir(path)); err != nil {
			errs = append(errs, fmt.Errorf("remove files of build %s: %w", b.Name(), err))
			continue
		}
		pruned++
	}
	return pruned, errors.Join(errs...)
}

// Follow calls f with the log's bytes from offset on, as they come, until the
// log is complete, ctx ends, or f fails. A log that was never begun is
// fs.ErrNotExist.
func (d *Dir) Follow(ctx context.Context, build string, offset int64, f func([]byte) error) error {
	file, err := d.OpenFile(build, Name)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return fmt.Errorf("seek in log of build %s: %w", build, err)
	}
	buffer := make([]byte, 64<<10)
	for {
		more, live := d.watch(build)
		for {
			n, err := file.Read(buffer)
			if n > 0 {
				if err := f(buffer[:n]); err != nil {
					return err
				}
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return fmt.Errorf("read log of build %s: %w", build, err)
			}
		}
		if !live {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-more:
		}
	}
}

// watch returns a channel that is closed when the log of a build has grown or
// is complete; live is false if it is complete already.
func (d *Dir) watch(build string) (more <-chan struct{}, live bool) {
	d.mu.Lock()
	w, live := d.live[build]
	d.mu.Unlock()
	if !live {
		return nil, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watched = true
	return w.changed, true
}

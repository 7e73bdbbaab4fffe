package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// files keeps the bytes of images: dir/files/ID when complete, and
// dir/uploads/ID while they arrive. Both are on one file system, so that an
// upload becomes complete at once, by renaming.
type files struct{ dir string }

func (f files) path(id string) string   { return filepath.Join(f.dir, "files", id) }
func (f files) upload(id string) string { return filepath.Join(f.dir, "uploads", id) }

// init makes the directories and removes uploads of an earlier life.
func (f files) init() error {
	if err := os.RemoveAll(filepath.Join(f.dir, "uploads")); err != nil {
		return fmt.Errorf("remove old uploads: %w", err)
	}
	for _, name := range []string{"uploads", "files"} {
		if err := os.MkdirAll(filepath.Join(f.dir, name), 0o700); err != nil {
			return fmt.Errorf("make directory of images: %w", err)
		}
	}
	return nil
}

// list names all complete files.
func (f files) list() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(f.dir, "files"))
	if err != nil {
		return nil, fmt.Errorf("list image files: %w", err)
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names, nil
}

func (f files) open(id string) (*os.File, error) { return os.Open(f.path(id)) }

// remove removes a complete file; one that is not there is no error.
func (f files) remove(id string) error {
	if err := os.Remove(f.path(id)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove image file: %w", err)
	}
	return nil
}

// create opens the file that an upload is written to.
func (f files) create(id string) (*os.File, error) {
	return os.OpenFile(f.upload(id), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
}

// discard removes an upload that failed, however far it came.
func (f files) discard(id string) error {
	if err := os.Remove(f.upload(id)); err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return f.remove(id) // it failed after it was renamed
}

// complete makes an upload, of which all is written to file, an image's file
// that survives a loss of power.
func (f files) complete(id string, file *os.File) error {
	if err := file.Sync(); err != nil {
		return err
	}
	if err := os.Rename(f.upload(id), f.path(id)); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(f.path(id)))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

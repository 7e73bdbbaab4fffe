package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const quarantinePrefix = "incoming-"

// Quarantine returns the same repository with an object directory of its own,
// where new objects stay until Release, and a function that throws them away;
// it must be called in the end. A quarantine within a quarantine sees the
// outer one's objects.
func (r *Repo) Quarantine() (*Repo, func(), error) {
	dir, err := os.MkdirTemp(filepath.Join(r.path, "objects"), quarantinePrefix)
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "objects"), 0o700)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("make quarantine: %w", err)
	}
	q := *r
	q.quarantine = dir
	q.alternates = append(slices.Clip(q.alternates), r.objects())
	return &q, func() { _ = os.RemoveAll(dir) }, nil
}

// objects is the directory that new objects go to.
func (r *Repo) objects() string {
	if r.quarantine != "" {
		return filepath.Join(r.quarantine, "objects")
	}
	return filepath.Join(r.path, "objects")
}

// smallPack is the number of objects below which a pack is exploded into loose
// objects, as git's receive-pack does (transfer.unpackLimit).
const smallPack = 100

// Receive reads a pack of which the header was read already, checks every
// object (fsck), and stores them. Deltas against objects that the repository
// has are resolved. A pack larger than limit bytes is refused.
//
// An *os.File is read by git itself; of another reader more may be read than
// the pack.
func (r *Repo) Receive(ctx context.Context, pack io.Reader, version, objects uint32, limit int64) error {
	options := []string{"--strict", fmt.Sprintf("--max-input-size=%d", limit), fmt.Sprintf("--pack_header=%d,%d", version, objects)}
	args := append([]string{"index-pack", "--stdin", "--fix-thin"}, options...)
	if objects < smallPack {
		args = append([]string{"unpack-objects", "-q"}, options...)
	}
	return r.pipe(ctx, pack, io.Discard, args...)
}

// Connected reports whether everything that tips reach is there, taking what
// the branches reach for granted.
func (r *Repo) Connected(ctx context.Context, tips []string) error {
	stdin := strings.NewReader(strings.Join(tips, "\n") + "\n")
	return r.pipe(ctx, stdin, io.Discard, "rev-list", "--objects", "--stdin", "--not", "--branches", "--quiet")
}

// Release moves the objects out of quarantine into the repository.
func (r *Repo) Release() error {
	var files, packs []string
	err := filepath.WalkDir(r.objects(), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
		case filepath.Ext(path) == ".idx":
			packs = append(packs, path) // last: an index without its pack is an error to readers
		default:
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("release objects: %w", err)
	}
	for _, path := range append(files, packs...) {
		if err := r.release(path); err != nil {
			return fmt.Errorf("release objects: %w", err)
		}
	}
	return nil
}

func (r *Repo) release(path string) error {
	name, err := filepath.Rel(r.objects(), path)
	if err != nil {
		return err
	}
	target := filepath.Join(r.path, "objects", name)
	err = os.Rename(path, target)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(target), 0o700); err == nil {
			err = os.Rename(path, target)
		}
	}
	return err
}

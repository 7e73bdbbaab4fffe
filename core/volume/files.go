package volume

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// gib is the unit of volume sizes, in bytes.
const gib = 1 << 30

// files keeps the data of volumes and snapshots: raw files, sparse, so that
// what was never written takes no space and reads as zeros.
type files struct{ dir string }

func (f files) volume(id string) string   { return filepath.Join(f.dir, "volumes", id) }
func (f files) snapshot(id string) string { return filepath.Join(f.dir, "snapshots", id) }

func (f files) init() error {
	for _, name := range []string{"volumes", "snapshots"} {
		if err := os.MkdirAll(filepath.Join(f.dir, name), 0o700); err != nil {
			return fmt.Errorf("make directory of volumes: %w", err)
		}
	}
	return nil
}

// list names the files of volumes ("volumes") or snapshots ("snapshots").
func (f files) list(kind string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(f.dir, kind))
	if err != nil {
		return nil, fmt.Errorf("list files of volumes: %w", err)
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names, nil
}

// create makes a file of sizeGB that begins with what fill wrote, replacing
// what an earlier try left. Once made it survives a loss of power; if it
// fails, nothing remains.
func create(path string, sizeGB int, fill func(*os.File) error) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("make volume file: %w", err)
	}
	defer file.Close()
	err = fill(file)
	if err == nil {
		err = file.Truncate(int64(sizeGB) * gib)
	}
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("fill volume file: %w", err), os.Remove(path))
	}
	return nil
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// extend makes a file longer; extending it to its length does nothing.
func extend(path string, sizeGB int) error {
	if err := os.Truncate(path, int64(sizeGB)*gib); err != nil {
		return fmt.Errorf("extend volume file: %w", err)
	}
	return nil
}

// remove removes a file; one that is not there is no error.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove volume file: %w", err)
	}
	return nil
}

// clone copies a file into another, sharing its blocks where the file system
// can, else leaving its holes out.
func clone(ctx context.Context, to *os.File, path string) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	if unix.IoctlFileClone(int(to.Fd()), int(from.Fd())) == nil {
		return nil
	}
	for at := int64(0); ; {
		data, err := unix.Seek(int(from.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // only a hole is left
			return nil
		}
		if err != nil {
			return fmt.Errorf("seek data: %w", err)
		}
		if at, err = unix.Seek(int(from.Fd()), data, unix.SEEK_HOLE); err != nil {
			return fmt.Errorf("seek hole: %w", err)
		}
		if err := copyRange(ctx, to, from, data, at); err != nil {
			return err
		}
	}
}

// copyRange copies the bytes from start to end to the same place.
func copyRange(ctx context.Context, to, from *os.File, start, end int64) error {
	const piece = 64 << 20
	for start < end {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		n := min(piece, end-start)
		if _, err := from.Seek(start, io.SeekStart); err != nil {
			return err
		}
		if _, err := to.Seek(start, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.CopyN(to, from, n); err != nil { // in the kernel, by copy_file_range
			return err
		}
		start += n
	}
	return nil
}

// copySparse copies what r yields, leaving out blocks of zeros.
func copySparse(ctx context.Context, to *os.File, r io.Reader) error {
	buffer := make([]byte, 1<<20)
	for at := int64(0); ; {
		n, err := io.ReadFull(r, buffer)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := writeSparse(to, buffer[:n], at); err != nil {
			return err
		}
		at += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil // the caller makes the file as long as it has to be
		}
		if err != nil {
			return err
		}
	}
}

// writeSparse writes the runs of blocks of b that are not all zeros.
func writeSparse(to *os.File, b []byte, at int64) error {
	const block = 4096
	for start := 0; start < len(b); {
		end := start
		for end < len(b) && !zero(b[end:min(end+block, len(b))]) {
			end = min(end+block, len(b))
		}
		if _, err := to.WriteAt(b[start:end], at+int64(start)); err != nil {
			return err
		}
		start = end + block // which is zero, or past the end
	}
	return nil
}

func zero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }

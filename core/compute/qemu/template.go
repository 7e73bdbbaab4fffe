package qemu

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gatehouse-dev/gatehouse/core/compute"
)

// Files in a template's directory, besides rootFile: its disk.
const (
	templateRecordFile = "template.json"
	memoryFile         = "memory"      // what the guest's memory held, sparse
	stateFile          = "state"       // that of QEMU and all devices
	emptyFile          = "empty.qcow2" // an overlay of the disk in which nothing is written yet
)

// template is a guest that was booted until it needed to know who it is: what
// forks begin as. Its files never change again.
//
// A fork that runs needs nothing of the template's directory: it has a link to
// the disk, has read the state, and has the memory mapped. So a template may be
// removed while its forks live.
type template struct {
	id, dir string
	record  templateRecord

	// Guarded by the set's lock.
	users     int // forks that are being made
	used      time.Time
	condemned bool // to be removed when nobody uses it
}

// templateRecord is written last, when all else of a template has reached the
// disk: a directory without it, or with files unlike those it describes, is no
// template. That holds over a crash of the host, too, which is why a template
// is worth its fsyncs: it saves the boot after the next one of the host.
type templateRecord struct {
	Base      compute.BaseImage // the end of the disk's chain
	StateHash string            // SHA-256
	Sizes     map[string]int64  // of all files, in bytes
	Built     time.Time
}

// seal makes a template of a directory whose files are complete.
func (t *template) seal(base compute.BaseImage) error {
	hash, err := hashFile(filepath.Join(t.dir, stateFile))
	if err != nil {
		return err
	}
	t.record = templateRecord{Base: base, StateHash: hash, Sizes: map[string]int64{}, Built: time.Now().UTC()}
	for _, name := range []string{rootFile, emptyFile, memoryFile, stateFile} {
		size, err := syncFile(filepath.Join(t.dir, name))
		if err != nil {
			return err
		}
		t.record.Sizes[name] = size
	}
	text, err := json.MarshalIndent(t.record, "", "\t")
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(t.dir, templateRecordFile), text); err != nil {
		return err
	}
	_, err = syncFile(t.dir)
	return err
}

// load reads a template, and checks that it is whole.
func (t *template) load() error {
	text, err := os.ReadFile(filepath.Join(t.dir, templateRecordFile))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &t.record); err != nil {
		return err
	}
	for _, name := range []string{rootFile, emptyFile, memoryFile, stateFile} {
		info, err := os.Stat(filepath.Join(t.dir, name))
		if err != nil {
			return err
		}
		if size := t.record.Sizes[name]; info.Size() != size {
			return fmt.Errorf("%s has %d bytes, not %d", name, info.Size(), size)
		}
	}
	hash, err := hashFile(filepath.Join(t.dir, stateFile))
	if err != nil {
		return err
	}
	if hash != t.record.StateHash {
		return errors.New("its state is not what was saved")
	}
	if _, err := os.Stat(t.record.Base.File); err != nil {
		return fmt.Errorf("its image is gone: %w", err)
	}
	t.used = t.record.Built
	return nil
}

// cost is how much of the disk the template takes, and how much of the host's
// memory when all of its memory is in the page cache, in bytes.
func (t *template) cost() (disk, memory int64) {
	for _, name := range []string{rootFile, emptyFile, memoryFile, stateFile} {
		size := allocated(filepath.Join(t.dir, name))
		disk += size
		if name == memoryFile {
			memory = size
		}
	}
	return disk, memory
}

// allocated is how much of the disk a file takes, in bytes; nothing if there
// is no such file.
func allocated(path string) int64 {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return 0
	}
	const blockSize = 512 // whatever the file system's is: stat(2)
	return stat.Blocks * blockSize
}

// remove removes a template, its record first: what a crash leaves of it is
// none.
func (t *template) remove() error {
	if err := os.RemoveAll(filepath.Join(t.dir, templateRecordFile)); err != nil {
		return err
	}
	return os.RemoveAll(t.dir)
}

// outfit puts what a fork has of a template into its directory.
func (t *template) outfit(dir string) error {
	if err := copyFile(filepath.Join(dir, rootFile), filepath.Join(t.dir, emptyFile)); err != nil {
		return err
	}
	return os.Link(filepath.Join(t.dir, rootFile), filepath.Join(dir, templateFile))
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// syncFile has a file, or a directory, reach the disk.
func syncFile(path string) (size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

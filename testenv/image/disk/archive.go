package disk

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/testenv/image/disk/ext4"
)

// Bounds of a tree, beyond what Linux's own allow.
const (
	maxPath    = 4096 // bytes
	maxEntries = 8 << 20
)

// archiver writes a layout as a tar archive.
type archiver struct {
	layout
	w       *tar.Writer
	bytes   int64
	entries int
	mounted map[string]bool
	// seen are the files that have several names, and the directories, by
	// their first name.
	seen map[file]string
}

// file is the identity of a file.
type file struct {
	volume int
	inode  uint32
}

func (l layout) archive(ctx context.Context, w io.Writer) error {
	a := &archiver{layout: l, w: tar.NewWriter(w), mounted: make(map[string]bool), seen: make(map[file]string)}
	top, err := l.root.fs.Inode(ext4.Root)
	if err != nil {
		return err
	}
	if err := a.directory(ctx, l.root, top, ""); err != nil {
		return err
	}
	for dir := range l.mounts {
		if !a.mounted[dir] {
			return fmt.Errorf("its fstab mounts /%s, which is no directory", dir)
		}
	}
	return a.w.Close()
}

// add writes the file at name, with all below it.
func (a *archiver) add(ctx context.Context, v volume, i *ext4.Inode, name string) error {
	if a.entries++; a.entries > maxEntries || len(name) > maxPath {
		return errors.New("too many files, or too deep")
	}
	if i.Type() != ext4.TypeDirectory {
		return a.file(v, i, name)
	}
	if m, ok := a.mounts[name]; ok && !a.mounted[name] {
		a.mounted[name] = true
		top, err := m.fs.Inode(ext4.Root)
		if err != nil {
			return err
		}
		return a.directory(ctx, m, top, name)
	}
	return a.directory(ctx, v, i, name)
}

func (a *archiver) directory(ctx context.Context, v volume, i *ext4.Inode, name string) error {
	if first, again := a.again(v, i, name); again {
		return fmt.Errorf("the directory /%s is within itself, or also at /%s", name, first)
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if name != "" {
		if err := a.header(i, &tar.Header{Typeflag: tar.TypeDir, Name: name + "/"}); err != nil {
			return err
		}
		if virtual(name) {
			return nil
		}
	}
	entries, err := i.ReadDir()
	if err != nil {
		return fmt.Errorf("/%s: %w", name, err)
	}
	slices.SortFunc(entries, func(a, b ext4.Entry) int { return cmp.Compare(a.Name, b.Name) })
	for _, e := range entries {
		if i.Number == ext4.Root && e.Name == "lost+found" {
			continue
		}
		below, err := v.fs.Inode(e.Inode)
		if err == nil {
			err = a.add(ctx, v, below, path.Join(name, e.Name))
		}
		if err != nil {
			return within(path.Join(name, e.Name), err)
		}
	}
	return nil
}

// located is an error that says which file it is about.
type located struct{ error }

func (l located) Unwrap() error { return l.error }

// within says which file err is about, unless it does.
func within(name string, err error) error {
	if errors.As(err, new(located)) || errors.Is(err, context.Canceled) {
		return err
	}
	return located{fmt.Errorf("/%s: %w", name, err)}
}

// again notes the first name of a file, and returns it if it had one before.
func (a *archiver) again(v volume, i *ext4.Inode, name string) (first string, again bool) {
	id := file{v.number, i.Number}
	if first, again = a.seen[id]; !again {
		a.seen[id] = name
	}
	return first, again
}

// file writes a file that is no directory.
func (a *archiver) file(v volume, i *ext4.Inode, name string) error {
	if i.Type() == ext4.TypeSocket || a.swap[name] {
		return nil
	}
	if i.Links > 1 {
		if first, again := a.again(v, i, name); again {
			return a.w.WriteHeader(&tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: first, ModTime: seconds(i)})
		}
	}
	h := &tar.Header{Name: name}
	switch i.Type() {
	case ext4.TypeRegular:
		return a.regular(i, h)
	case ext4.TypeSymlink:
		to, err := i.Link()
		if err != nil {
			return err
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, to
	case ext4.TypeCharacter:
		h.Typeflag, h.Devmajor, h.Devminor = tar.TypeChar, int64(i.Major), int64(i.Minor)
	case ext4.TypeBlock:
		h.Typeflag, h.Devmajor, h.Devminor = tar.TypeBlock, int64(i.Major), int64(i.Minor)
	case ext4.TypeFIFO:
		h.Typeflag = tar.TypeFifo
	default:
		return fmt.Errorf("a file of unknown type %#o", i.Type())
	}
	return a.header(i, h)
}

func (a *archiver) regular(i *ext4.Inode, h *tar.Header) error {
	if a.bytes += i.Size; a.bytes > MaxBytes {
		return fmt.Errorf("the files have more than %d GB", MaxBytes>>30)
	}
	content, err := i.Content()
	if err != nil {
		return err
	}
	h.Typeflag, h.Size = tar.TypeReg, i.Size
	if err := a.header(i, h); err != nil {
		return err
	}
	_, err = io.Copy(a.w, content)
	return err
}

// header writes h with what all types of files have.
func (a *archiver) header(i *ext4.Inode, h *tar.Header) error {
	attributes, err := i.Attributes()
	if err != nil {
		return err
	}
	h.Mode, h.Uid, h.Gid, h.ModTime = int64(i.Mode&^ext4.TypeMask), int(i.UID), int(i.GID), seconds(i)
	for name, value := range attributes {
		if h.PAXRecords == nil {
			h.PAXRecords = make(map[string]string)
		}
		h.PAXRecords["SCHILY.xattr."+attributeName.Replace(name)] = string(value)
	}
	return a.w.WriteHeader(h)
}

// attributeName writes an attribute's name as GNU tar does in a key, which
// must not contain an equals sign.
var attributeName = strings.NewReplacer("%", "%25", "=", "%3D")

func seconds(i *ext4.Inode) time.Time { return time.Unix(i.Modified.Unix(), 0) }

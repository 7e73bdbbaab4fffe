package image

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// tree writes a tar archive of files that belong to root. Times are whole
// seconds, for ext4 as mke2fs writes it keeps no others, and Go's index of
// its standard library goes by them. Errors stick and are reported by Close.
type tree struct {
	w    *tar.Writer
	dirs map[string]bool
	err  error
}

func newTree(w io.Writer) *tree { return &tree{w: tar.NewWriter(w), dirs: make(map[string]bool)} }

// epoch is the time of files that have none of their own.
var epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// Directory adds a directory, and those above it that are missing.
func (t *tree) Directory(name string) { t.parents(path.Join(name, "file")) }

// File adds a file with the given text, and the directories above it.
func (t *tree) File(name string, perm fs.FileMode, text string) {
	t.parents(name)
	t.header(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: int64(perm.Perm()), Size: int64(len(text)), ModTime: epoch})
	if t.err == nil {
		_, t.err = io.WriteString(t.w, text)
	}
}

// Copy adds a file or directory of the host as name, without what a pattern
// excludes: by its path below from if the pattern starts with a slash, else by
// its base name.
func (t *tree) Copy(from, name string, exclude []string) {
	if t.err != nil {
		return
	}
	from, err := filepath.EvalSymlinks(from)
	if err != nil {
		t.err = err
		return
	}
	t.parents(name)
	t.err = filepath.Walk(from, func(file string, info fs.FileInfo, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(from, file)
		if err != nil {
			return err
		}
		if below != "." && excluded(below, exclude) {
			if info.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		return t.add(file, path.Join(name, filepath.ToSlash(below)), info)
	})
}

// excluded reports whether a pattern matches the path below a copied tree.
func excluded(below string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		name := path.Base(below)
		if strings.HasPrefix(p, "/") {
			name = "/" + below
		}
		matched, _ := path.Match(p, name) // a bad pattern matches nothing
		return matched
	})
}

func (t *tree) add(file, name string, info fs.FileInfo) error {
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		var err error
		if link, err = os.Readlink(file); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	h.Name, h.ModTime = name, info.ModTime().Truncate(time.Second)
	h.Uid, h.Gid, h.Uname, h.Gname = 0, 0, "", ""
	if info.IsDir() {
		h.Name += "/"
		t.dirs[name] = true
	}
	if t.header(h); t.err != nil || !info.Mode().IsRegular() {
		return t.err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(t.w, f)
	return err
}

func (t *tree) parents(name string) {
	dir := path.Dir(name)
	if dir == "." || t.dirs[dir] {
		return
	}
	t.parents(dir)
	t.dirs[dir] = true
	t.header(&tar.Header{Name: dir + "/", Typeflag: tar.TypeDir, Mode: 0o755, ModTime: epoch})
}

func (t *tree) header(h *tar.Header) {
	if t.err == nil {
		t.err = t.w.WriteHeader(h)
	}
}

// Close ends the archive. It does not close the writer beneath.
func (t *tree) Close() error {
	return errors.Join(t.err, t.w.Close())
}

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

// tree writes a tar archive of files for a root file system. All have the same
// time, and the order is that of the calls, so that the same calls give the
// same archive. Errors stick and are reported by Close.
type tree struct {
	w        *tar.Writer
	dirs     map[string]bool
	uid, gid int // the owner of what is added
	err      error
}

func newTree(w io.Writer) *tree { return &tree{w: tar.NewWriter(w), dirs: make(map[string]bool)} }

// epoch is the time of files that have none of their own: old enough for Go
// to index its standard library, whose index goes by the files' times.
var epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// Own makes a user the owner of what is added next.
func (t *tree) Own(uid, gid int) { t.uid, t.gid = uid, gid }

// Directory adds a directory, and those above it that are missing.
func (t *tree) Directory(name string) { t.parents(path.Join(name, "file")) }

// File adds a file with the given text, and the directories above it.
func (t *tree) File(name string, perm fs.FileMode, text string) {
	t.parents(name)
	t.header(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode(perm), Size: int64(len(text))})
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
	h.Name, h.Mode = name, mode(info.Mode())
	h.Uname, h.Gname = "", ""
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

// mode is a tar header's form of permissions.
func mode(m fs.FileMode) int64 {
	bits := int64(m.Perm())
	for flag, bit := range map[fs.FileMode]int64{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if m&flag != 0 {
			bits |= bit
		}
	}
	return bits
}

func (t *tree) parents(name string) {
	dir := path.Dir(name)
	if dir == "." || dir == "/" || t.dirs[dir] {
		return
	}
	t.parents(dir)
	t.dirs[dir] = true
	t.header(&tar.Header{Name: dir + "/", Typeflag: tar.TypeDir, Mode: 0o755})
}

func (t *tree) header(h *tar.Header) {
	h.Uid, h.Gid, h.ModTime, h.AccessTime, h.ChangeTime = t.uid, t.gid, epoch, time.Time{}, time.Time{}
	if t.err == nil {
		t.err = t.w.WriteHeader(h)
	}
}

// Close ends the archive. It does not close the writer beneath.
func (t *tree) Close() error {
	return errors.Join(t.err, t.w.Close())
}

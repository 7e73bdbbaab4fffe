package image

import (
	"archive/tar"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
	"time"
)

// filtered runs produce, which writes a tar archive, and writes to w what of
// it belongs into a base system: no devices and nothing of the host's, times
// in whole seconds, as mke2fs keeps no others. What was made after a time that
// is not zero gets the epoch's, so that the same files give the same archive.
func filtered(w io.Writer, after time.Time, produce func(io.Writer) error) error {
	r, pipe := io.Pipe()
	produced := make(chan error, 1)
	go func() {
		err := produce(pipe)
		pipe.CloseWithError(err)
		produced <- err
	}()
	err := filter(w, r, after)
	r.CloseWithError(err)
	if producedErr := <-produced; producedErr != nil && !errors.Is(producedErr, err) {
		return producedErr
	}
	return err
}

func filter(w io.Writer, from io.Reader, after time.Time) error {
	to := tar.NewWriter(w)
	for r := tar.NewReader(from); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if !settle(h, after) {
			continue
		}
		if err := to.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.Copy(to, r); err != nil { //nolint:gosec // as large as its header says
			return err
		}
	}
	if err := to.Close(); err != nil {
		return err
	}
	// A pipe's writer wants all to be read, the padding too.
	_, err := io.Copy(io.Discard, from)
	return err
}

// capability is the extended attribute that lets programs do one thing as
// root, such as ping; the only one that is kept.
const capability = "SCHILY.xattr.security.capability"

// settle makes a header reproducible, and reports whether the file is wanted.
func settle(h *tar.Header, after time.Time) bool {
	name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
	if !belongs(name, h.Typeflag) {
		return false
	}
	*h = tar.Header{
		Typeflag: h.Typeflag, Name: name, Linkname: h.Linkname, Size: h.Size, Mode: h.Mode,
		Uid: h.Uid, Gid: h.Gid, ModTime: h.ModTime.Truncate(time.Second),
		PAXRecords: h.PAXRecords, Format: tar.FormatPAX,
	}
	if granted, ok := h.PAXRecords[capability]; ok {
		h.PAXRecords = map[string]string{capability: granted}
	} else {
		h.PAXRecords = nil
	}
	if h.Typeflag == tar.TypeDir {
		h.Name += "/"
	}
	if h.Typeflag == tar.TypeLink {
		h.Linkname = strings.TrimPrefix(path.Clean("/"+h.Linkname), "/")
	}
	if !after.IsZero() && !h.ModTime.Before(after.Truncate(time.Second)) {
		h.ModTime = epoch
	}
	return true
}

// belongs reports whether a file belongs into a base system.
func belongs(name string, kind byte) bool {
	switch kind {
	case tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeLink:
	default: // devices, for which a namespace's root has no right, and sockets
		return false
	}
	below, _, ok := strings.Cut(name, "/")
	if ok && slices.Contains([]string{"dev", "proc", "sys", "run"}, below) {
		return false
	}
	return name != "" && name != ".dockerenv"
}

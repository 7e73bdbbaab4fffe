package image

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func write(t *testing.T, w io.Writer, headers ...*tar.Header) {
	t.Helper()
	to := tar.NewWriter(w)
	for _, h := range headers {
		require.NoError(t, to.WriteHeader(h))
		_, err := to.Write(make([]byte, h.Size))
		require.NoError(t, err)
	}
	require.NoError(t, to.Close())
}

func TestABaseSystemHoldsNothingOfItsHost(t *testing.T) {
	old := time.Date(2025, 1, 2, 3, 4, 5, 678, time.UTC)
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var archive bytes.Buffer
	require.NoError(t, filtered(&archive, began, func(w io.Writer) error {
		write(t, w,
			&tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o755},
			&tar.Header{Typeflag: tar.TypeDir, Name: "./dev/", Mode: 0o755, ModTime: old},
			&tar.Header{Typeflag: tar.TypeChar, Name: "./dev/null", Devmajor: 1, Devminor: 3},
			&tar.Header{Typeflag: tar.TypeReg, Name: "./run/lock", ModTime: old},
			&tar.Header{Typeflag: tar.TypeBlock, Name: "srv/disk", ModTime: old},
			&tar.Header{Typeflag: tar.TypeReg, Name: "/.dockerenv", ModTime: old},
			&tar.Header{
				Typeflag: tar.TypeReg, Name: "./bin/ping", Size: 3, Mode: 0o755, Uid: 1, Gid: 2, Uname: "me", ModTime: old, Format: tar.FormatPAX,
				PAXRecords: map[string]string{capability: "cap", "SCHILY.xattr.security.selinux": "label"},
			},
			&tar.Header{Typeflag: tar.TypeLink, Name: "./bin/hard", Linkname: "./bin/ping", ModTime: old},
			&tar.Header{Typeflag: tar.TypeReg, Name: "etc/made", ModTime: began.Add(time.Minute)},
			&tar.Header{Typeflag: tar.TypeReg, Name: "../../escape", ModTime: old},
		)
		return nil
	}))
	var names []string
	for r := tar.NewReader(&archive); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		names = append(names, h.Name)
		switch h.Name {
		case "bin/ping":
			assert.Equal(t, "cap", h.PAXRecords[capability])
			assert.NotContains(t, h.PAXRecords, "SCHILY.xattr.security.selinux")
			assert.Equal(t, []int{1, 2}, []int{h.Uid, h.Gid})
			assert.Empty(t, h.Uname)
			assert.True(t, h.ModTime.Equal(old.Truncate(time.Second)), h.ModTime)
		case "bin/hard":
			assert.Equal(t, "bin/ping", h.Linkname)
		case "etc/made":
			assert.True(t, h.ModTime.Equal(epoch), h.ModTime)
		}
	}
	assert.Equal(t, []string{"dev/", "bin/ping", "bin/hard", "etc/made", "escape"}, names)
}

func TestWhatCannotBeProducedIsNoBaseSystem(t *testing.T) {
	half := func(w io.Writer) error {
		to := tar.NewWriter(w)
		if err := to.WriteHeader(&tar.Header{Name: "x", Size: 1 << 20}); err != nil {
			return err
		}
		return os.ErrDeadlineExceeded
	}
	require.ErrorIs(t, filtered(io.Discard, time.Time{}, half), os.ErrDeadlineExceeded)
}

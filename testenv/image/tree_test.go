package image

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCopiedTreesHaveOneOwnerAndOneTime(t *testing.T) {
	from := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(from, "src", "doc", "testdata"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(from, "doc"), 0o755))
	for _, name := range []string{"src/a.go", "src/a_test.go", "src/doc/b.go", "src/doc/testdata/x", "doc/y"} {
		require.NoError(t, os.WriteFile(filepath.Join(from, name), []byte(name), 0o640))
	}
	stamp := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	require.NoError(t, os.Chtimes(filepath.Join(from, "src/a.go"), stamp, stamp))
	require.NoError(t, os.Symlink("a.go", filepath.Join(from, "src/link")))

	var archive bytes.Buffer
	w := newTree(&archive)
	w.Own(7, 8)
	w.Copy(from, "usr/local/go", []string{"/doc", "testdata", "*_test.go"})
	w.File("usr/local/bin/x", 0o755, "text")
	require.NoError(t, w.Close())
	var names []string
	for r := tar.NewReader(&archive); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		names = append(names, h.Name)
		assert.Equal(t, []int{7, 8}, []int{h.Uid, h.Gid}, h.Name)
		assert.True(t, h.ModTime.Equal(epoch), h.Name)
		if h.Name == "usr/local/go/src/link" {
			assert.Equal(t, "a.go", h.Linkname)
		}
	}
	assert.Equal(t, []string{
		"usr/", "usr/local/", "usr/local/go/", "usr/local/go/src/", "usr/local/go/src/a.go", "usr/local/go/src/doc/",
		"usr/local/go/src/doc/b.go", "usr/local/go/src/link", "usr/local/bin/", "usr/local/bin/x",
	}, names)
}

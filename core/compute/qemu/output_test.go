package qemu_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/compute/qemu"
)

func TestRingKeepsTheLastBytes(t *testing.T) {
	dir := t.TempDir()
	ring := qemu.NewRing(filepath.Join(dir, "log"), 100)
	var all bytes.Buffer
	for i := range 200 {
		line := fmt.Sprintf("line %d\n", i)
		all.WriteString(line)
		require.NoError(t, ring.Write([]byte(line)))
		kept, err := ring.Bytes()
		require.NoError(t, err)
		require.Equal(t, string(all.Bytes()[max(0, all.Len()-100):]), string(kept))
	}
	assert.LessOrEqual(t, sizeOf(t, dir), int64(200))

	reopened := qemu.NewRing(filepath.Join(dir, "log"), 100)
	require.NoError(t, reopened.Write([]byte("the end\n")))
	kept, err := reopened.Bytes()
	require.NoError(t, err)
	assert.True(t, strings.HasSuffix(string(kept), "line 199\nthe end\n"), "%q", kept)
}

func TestRingIsBoundedWhateverIsWritten(t *testing.T) {
	dir := t.TempDir()
	ring := qemu.NewRing(filepath.Join(dir, "log"), 1000)
	for range 50 {
		require.NoError(t, ring.Write(bytes.Repeat([]byte("x"), 900)))
		require.LessOrEqual(t, sizeOf(t, dir), int64(2000))
	}
}

func sizeOf(t *testing.T, dir string) (size int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		info, err := entry.Info()
		require.NoError(t, err)
		size += info.Size()
	}
	return size
}

func TestLastLines(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want string
	}{
		{"", 0, ""}, {"", 3, ""}, {"\n", 0, ""}, {"\n", 1, "\n"},
		{"a\nb\nc\n", -1, "a\nb\nc\n"},
		{"a\nb\nc\n", 0, ""}, {"a\nb\nc\n", 1, "c\n"}, {"a\nb\nc\n", 2, "b\nc\n"},
		{"a\nb\nc\n", 3, "a\nb\nc\n"}, {"a\nb\nc\n", 9, "a\nb\nc\n"},
		{"a\nb", 1, "b"}, {"a\n\n", 1, "\n"},
	} {
		assert.Equal(t, c.want, string(qemu.LastLines([]byte(c.text), c.n)), "last %d of %q", c.n, c.text)
	}
}

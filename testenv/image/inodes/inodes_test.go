package inodes_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/testenv/image/inodes"
)

// mke2fs makes a file system of a directory as the root stage does.
func mke2fs(t *testing.T, from string, options ...string) *os.File {
	t.Helper()
	disk, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	require.NoError(t, err)
	t.Cleanup(func() { disk.Close() })
	const uuid = "01234567-89ab-cdef-0123-456789abcdef"
	args := append([]string{"-q", "-F", "-t", "ext4", "-d", from, "-U", uuid, "-E", "hash_seed=" + uuid + ",lazy_itable_init=0"}, options...)
	run(t, "mke2fs", append(args, disk.Name(), "40M")...)
	return disk
}

// run runs a program of e2fsprogs, which an ordinary PATH may leave out.
func run(t *testing.T, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join("/usr/sbin", program), args...)
	cmd.Env = []string{"E2FSPROGS_FAKE_TIME=1577836800"}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s (apt install e2fsprogs): %s", program, out)
}

// files lays out a directory; the inodes' times of change are those of now.
func files(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "files")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o750))
	stamp := time.Unix(1500000000, 0)
	for _, name := range []string{"b", "a", "sub/c", "sub", "."} {
		if filepath.Base(name) != "sub" && name != "." {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600))
		}
		require.NoError(t, os.Chtimes(filepath.Join(dir, name), stamp, stamp))
	}
	return dir
}

func TestFileSystemsOfTheSameFilesAreTheSame(t *testing.T) {
	for _, options := range [][]string{
		{"-O", "^metadata_csum,uninit_bg", "-b", "4096"},
		{"-O", "^metadata_csum,uninit_bg,^64bit", "-b", "1024"},
		{"-O", "^metadata_csum,^uninit_bg", "-I", "128"},
	} {
		one := mke2fs(t, files(t), options...)
		two := mke2fs(t, files(t), options...)
		for _, field := range []string{"ctime", "atime"} {
			run(t, "debugfs", "-w", "-R", "set_inode_field /sub/c "+field+" @1600000000", two.Name())
		}
		before, err := os.ReadFile(two.Name())
		require.NoError(t, err)
		for _, disk := range []*os.File{one, two} {
			require.NoError(t, inodes.SettleTimes(disk))
		}
		first, err := os.ReadFile(one.Name())
		require.NoError(t, err)
		second, err := os.ReadFile(two.Name())
		require.NoError(t, err)
		assert.False(t, bytes.Equal(before, second), "%v: times are settled", options)
		assert.True(t, bytes.Equal(first, second), "%v: the same files", options)
		run(t, "e2fsck", "-fn", one.Name())
	}
}

func TestWhatIsNotUnderstoodIsLeftAlone(t *testing.T) {
	disk := mke2fs(t, files(t), "-O", "metadata_csum")
	require.ErrorContains(t, inodes.SettleTimes(disk), "metadata_csum")
	empty, err := os.Create(filepath.Join(t.TempDir(), "empty"))
	require.NoError(t, err)
	defer empty.Close()
	require.Error(t, inodes.SettleTimes(empty))
	require.NoError(t, empty.Truncate(4096))
	require.ErrorContains(t, inodes.SettleTimes(empty), "no file system")
}

package ext4_test

import (
	"bytes"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/testenv/image/disk/ext4"
)

// The reference is e2fsprogs: without its mke2fs and debugfs these tests fail.

// makeFS makes a file system of a tree, then has debugfs change it.
func makeFS(tb testing.TB, tree, options, changes string) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "fs")
	args := append(strings.Fields("-q -F "+options), "-d", tree, file, "64M")
	e2fsprogs(tb, "mke2fs", args...)
	if changes != "" {
		script := filepath.Join(tb.TempDir(), "script")
		require.NoError(tb, os.WriteFile(script, []byte(changes), 0o600))
		e2fsprogs(tb, "debugfs", "-w", "-f", script, file)
	}
	return file
}

func e2fsprogs(tb testing.TB, program string, args ...string) {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), "/bin/sh", append([]string{"-c", `PATH=$PATH:/usr/sbin:/sbin; exec "$@"`, "sh", program}, args...)...)
	out, err := cmd.CombinedOutput()
	require.NoError(tb, err, "%s %v: %s", program, args, out)
}

func open(tb testing.TB, file string) *ext4.FS {
	tb.Helper()
	f, err := os.Open(file)
	require.NoError(tb, err)
	tb.Cleanup(func() { f.Close() })
	require.True(tb, ext4.Is(f))
	fs, err := ext4.Open(f)
	require.NoError(tb, err)
	return fs
}

func lookup(tb testing.TB, fs *ext4.FS, name string) *ext4.Inode {
	tb.Helper()
	i, err := fs.Lookup(name)
	require.NoError(tb, err, name)
	require.NotNil(tb, i, name)
	return i
}

func read(tb testing.TB, i *ext4.Inode) []byte {
	tb.Helper()
	r, err := i.Content()
	require.NoError(tb, err)
	b, err := io.ReadAll(r)
	require.NoError(tb, err)
	return b
}

func write(tb testing.TB, dir, name string, content []byte) {
	tb.Helper()
	require.NoError(tb, os.MkdirAll(filepath.Join(dir, path.Dir(name)), 0o755))
	require.NoError(tb, os.WriteFile(filepath.Join(dir, name), content, 0o644))
}

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

// variants are the ways in which file systems of the last 25 years differ.
var variants = map[string]string{
	"ext2, 1 KiB blocks":       "-t ext2 -b 1024",
	"ext2, 4 KiB blocks":       "-t ext2 -b 4096",
	"ext3":                     "-t ext3 -b 1024 -I 128",
	"ext4":                     "-t ext4",
	"ext4, content in inodes":  "-t ext4 -b 1024 -O inline_data",
	"ext4, 64 KiB blocks":      "-t ext4 -b 65536",
	"ext4, clusters":           "-t ext4 -b 4096 -O bigalloc -C 65536",
	"ext4, clusters of 1 KiB":  "-t ext4 -b 1024 -O bigalloc -C 16384",
	"ext4, both":               "-t ext4 -b 1024 -O bigalloc,meta_bg,^resize_inode -C 16384",
	"ext4, scattered groups":   "-t ext4 -b 1024 -O meta_bg,^resize_inode",
	"ext4, all superblocks":    "-t ext4 -b 1024 -O meta_bg,^resize_inode,^sparse_super",
	"ext4, two superblocks":    "-t ext4 -b 1024 -O meta_bg,^resize_inode,sparse_super2",
	"ext4, as before e2fs1.43": "-t ext4 -O ^64bit,^metadata_csum",
}

func TestFilesOfEveryVariantAreReadAsTheyWereWritten(t *testing.T) {
	tree := t.TempDir()
	files := map[string][]byte{
		"empty": {}, "small": []byte("small"), "within the inode": noise(150), "a block": noise(4096),
		"dir/indirect": noise(100 << 10), "dir/below/twice indirect": noise(2 << 20), "latin\xe4 1\nand two lines": []byte("x"),
	}
	// Holes before and between what is written. (After it, some of mke2fs'
	// own ways of copying lose them.)
	sparse := make([]byte, 9<<20)
	copy(sparse[1<<20:], noise(5000))
	copy(sparse[9<<20-70000:], noise(70000))
	for name, content := range files {
		write(t, tree, name, content)
	}
	writeSparse(t, filepath.Join(tree, "sparse"), sparse)
	files["sparse"] = sparse
	for n := range 400 { // needs a hashed directory where there is such
		name := "many/a name of some length that fills up blocks " + strconv.Itoa(n)
		files[name] = []byte(name)
		write(t, tree, name, files[name])
	}
	links := map[string]string{"short": "../../etc/shadow", "long": "/" + strings.Repeat("x", 200)}
	for name, to := range links {
		require.NoError(t, os.Symlink(to, filepath.Join(tree, name)))
	}
	require.NoError(t, os.Link(filepath.Join(tree, "small"), filepath.Join(tree, "dir/same")))
	files["dir/same"] = files["small"]

	for name, options := range variants {
		t.Run(name, func(t *testing.T) {
			fs := open(t, makeFS(t, tree, options, ""))
			found := walk(t, fs)
			for name, content := range files {
				require.Contains(t, found, name)
				assert.True(t, bytes.Equal(content, read(t, found[name])), name)
			}
			for name, to := range links {
				link, err := found[name].Link()
				require.NoError(t, err)
				assert.Equal(t, to, link)
			}
			assert.Equal(t, found["small"].Number, found["dir/same"].Number)
			assert.Equal(t, uint16(2), found["small"].Links)
			const directories = 4 // dir, dir/below, many, lost+found
			assert.Len(t, found, len(files)+len(links)+directories)
		})
	}
}

func writeSparse(t *testing.T, file string, content []byte) {
	t.Helper()
	f, err := os.Create(file)
	require.NoError(t, err)
	defer f.Close()
	const piece = 4096
	for at := 0; at < len(content); at += piece {
		if p := content[at:min(at+piece, len(content))]; !bytes.Equal(p, make([]byte, len(p))) {
			_, err := f.WriteAt(p, int64(at))
			require.NoError(t, err)
		}
	}
	require.NoError(t, f.Truncate(int64(len(content))))
}

// walk returns all files by their paths.
func walk(tb testing.TB, fs *ext4.FS) map[string]*ext4.Inode {
	tb.Helper()
	found := make(map[string]*ext4.Inode)
	var below func(dir string, i *ext4.Inode)
	below = func(dir string, i *ext4.Inode) {
		entries, err := i.ReadDir()
		require.NoError(tb, err, dir)
		for _, e := range entries {
			i, err := fs.Inode(e.Inode)
			require.NoError(tb, err, e.Name)
			name := path.Join(dir, e.Name)
			require.NotContains(tb, found, name)
			found[name] = i
			if i.Type() == ext4.TypeDirectory {
				below(name, i)
			}
		}
	}
	below("", lookup(tb, fs, "/"))
	return found
}

func TestOwnersModesTimesAndDevicesAreRead(t *testing.T) {
	tree := t.TempDir()
	write(t, tree, "file", []byte("x"))
	late := time.Date(2040, 1, 2, 3, 4, 5, 0, time.UTC)
	changes := `
set_inode_field file uid 70000
set_inode_field file gid 80000
set_inode_field file mode 0106755
set_inode_field file mtime @` + strconv.FormatInt(late.Unix(), 10) + `
mknod char c 240 300
mknod old c 5 1
mknod block b 8 17
mknod fifo p
`
	fs := open(t, makeFS(t, tree, "-t ext4 -L name -U 01234567-89ab-cdef-0123-456789abcdef", changes))
	i := lookup(t, fs, "file")
	assert.Equal(t, []uint32{70000, 80000}, []uint32{i.UID, i.GID})
	assert.Equal(t, uint16(ext4.TypeRegular|0o6755), i.Mode)
	assert.Equal(t, late.Unix(), i.Modified.Unix())
	for name, want := range map[string]struct {
		kind         uint16
		major, minor uint32
	}{
		"char": {ext4.TypeCharacter, 240, 300}, "old": {ext4.TypeCharacter, 5, 1}, "block": {ext4.TypeBlock, 8, 17}, "fifo": {ext4.TypeFIFO, 0, 0},
	} {
		i := lookup(t, fs, name)
		assert.Equal(t, want.kind, i.Type(), name)
		assert.Equal(t, []uint32{want.major, want.minor}, []uint32{i.Major, i.Minor}, name)
	}
	assert.Equal(t, "name", fs.Label())
	assert.Equal(t, "01234567-89ab-cdef-0123-456789abcdef", fs.UUID())
}

func TestAttributesAreReadWhereverTheyAreKept(t *testing.T) {
	tree := t.TempDir()
	write(t, tree, "file", []byte("x"))
	write(t, tree, "plain", []byte("x"))
	values := t.TempDir()
	capability := "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" // cap_net_raw=ep
	want := map[string][]byte{
		"security.capability": []byte(capability),
		"user.in a block":     noise(500),
		"user.in an inode":    noise(1000), // debugfs sets no longer ones,
		"trusted.empty":       {},
	}
	var changes strings.Builder
	for name, value := range want {
		file := strings.ReplaceAll(name, " ", "-")
		write(t, values, file, value)
		changes.WriteString("ea_set -f " + filepath.Join(values, file) + " file \"" + name + "\"\n")
	}
	fs := open(t, makeFS(t, tree, "-t ext4 -b 1024 -O ea_inode", changes.String()))
	got, err := lookup(t, fs, "file").Attributes()
	require.NoError(t, err)
	assert.ElementsMatch(t, keys(want), keys(got))
	for name, value := range want {
		assert.True(t, bytes.Equal(value, got[name]), name)
	}
	none, err := lookup(t, fs, "plain").Attributes()
	require.NoError(t, err)
	assert.Empty(t, none)
}

func keys(m map[string][]byte) []string {
	var names []string
	for name := range maps.Keys(m) {
		names = append(names, name)
	}
	return names
}

func TestAnAccessControlListIsInTheFormOfGetxattr(t *testing.T) {
	// As setfacl -m u:1234:rw,g:4321:r has the kernel write it, on a file of mode 0644.
	list := "\x02\x00\x00\x00" +
		"\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x06\x00\xd2\x04\x00\x00" + "\x04\x00\x04\x00\xff\xff\xff\xff" +
		"\x08\x00\x04\x00\xe1\x10\x00\x00" + "\x10\x00\x06\x00\xff\xff\xff\xff" + "\x20\x00\x04\x00\xff\xff\xff\xff"
	tree := t.TempDir()
	write(t, tree, "file", []byte("x"))
	write(t, tree, "list", []byte(list))
	fs := open(t, makeFS(t, tree, "-t ext4", "ea_set -f "+filepath.Join(tree, "list")+" file system.posix_acl_access\n"))
	got, err := lookup(t, fs, "file").Attributes()
	require.NoError(t, err)
	assert.Equal(t, map[string][]byte{"system.posix_acl_access": []byte(list)}, got)
}

func TestWhatCannotBeReadIsRefused(t *testing.T) {
	tree := t.TempDir()
	for changes, reason := range map[string]string{
		"feature needs_recovery\n":          "the journal has not been replayed",
		"feature journal_dev\n":             "unknown features 0x8",
		"set_super_value inode_size 0x33\n": "inodes of 51 bytes",
	} {
		f, err := os.Open(makeFS(t, tree, "-t ext4", changes))
		require.NoError(t, err)
		defer f.Close()
		_, err = ext4.Open(f)
		require.ErrorIs(t, err, ext4.ErrFormat)
		assert.ErrorContains(t, err, reason)
	}
	empty := bytes.NewReader(make([]byte, 4096))
	assert.False(t, ext4.Is(empty))
	_, err := ext4.Open(empty)
	assert.ErrorIs(t, err, ext4.ErrFormat)
	_, err = ext4.Open(bytes.NewReader(nil))
	assert.ErrorIs(t, err, ext4.ErrFormat)
}

func TestAnEncryptedFileIsAnError(t *testing.T) {
	tree := t.TempDir()
	write(t, tree, "file", noise(5000))
	fs := open(t, makeFS(t, tree, "-t ext4 -O encrypt", "set_inode_field file flags 0x80800\n"))
	_, err := lookup(t, fs, "file").Content()
	assert.ErrorIs(t, err, ext4.ErrEncrypted)
}

func TestLookupFollowsNoLinks(t *testing.T) {
	tree := t.TempDir()
	write(t, tree, "etc/file", nil)
	require.NoError(t, os.Symlink("etc", filepath.Join(tree, "link")))
	fs := open(t, makeFS(t, tree, "-t ext4", ""))
	for _, name := range []string{"link/file", "etc/missing", "etc/file/below", "../etc/file"} {
		i, err := fs.Lookup(name)
		require.NoError(t, err)
		assert.Nil(t, i, name)
	}
}

// FuzzReadingDamage holds that whatever is in a file system, reading all of it
// ends, without a panic.
func FuzzReadingDamage(f *testing.F) {
	tree := f.TempDir()
	write(f, tree, "dir/file", noise(40000))
	write(f, tree, "small", noise(100))
	require.NoError(f, os.Symlink("small", filepath.Join(tree, "link")))
	var images [][]byte
	for _, options := range []string{"-t ext4 -b 1024 -O inline_data", "-t ext2 -b 1024"} {
		image, err := os.ReadFile(makeFS(f, tree, options+" -N 64 -g 8192", "ea_set small user.name value\n"))
		require.NoError(f, err)
		images = append(images, image[:2<<20])
	}
	for n := range uint32(300) { // where the metadata is
		f.Add(n, n*97+1024, []byte{0xff, byte(n), 0xff})
		f.Add(n, n*4+5*1024, []byte{byte(n), 0})
	}
	f.Fuzz(func(t *testing.T, which, at uint32, damage []byte) {
		image := bytes.Clone(images[which%2])
		copy(image[int(at)%len(image):], damage)
		fs, err := ext4.Open(bytes.NewReader(image))
		if err != nil {
			return
		}
		budget := 2000 // files; a damaged tree may have loops, which are the caller's to find
		exhaust(fs, ext4.Root, &budget)
	})
}

func exhaust(fs *ext4.FS, inode uint32, budget *int) {
	if *budget--; *budget < 0 {
		return
	}
	i, err := fs.Inode(inode)
	if err != nil {
		return
	}
	_, _ = i.Attributes()
	_, _ = i.Link()
	if r, err := i.Content(); err == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(r, 1<<20))
	}
	entries, _ := i.ReadDir()
	for _, e := range entries {
		exhaust(fs, e.Inode, budget)
	}
}

package kernel_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"

	"github.com/gatehouse-dev/gatehouse/testenv/image/kernel"
)

// packers pack as kernels' and modules' builds do.
var packers = map[string]func(t *testing.T, content []byte) []byte{
	"gzip": func(t *testing.T, content []byte) []byte {
		t.Helper()
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, err := w.Write(content)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return b.Bytes()
	},
	"xz": func(t *testing.T, content []byte) []byte {
		t.Helper()
		var b bytes.Buffer
		w, err := xz.NewWriter(&b)
		require.NoError(t, err)
		_, err = w.Write(content)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return b.Bytes()
	},
	"zstd": func(t *testing.T, content []byte) []byte {
		t.Helper()
		w, err := zstd.NewWriter(nil)
		require.NoError(t, err)
		return w.EncodeAll(content, nil)
	},
	"lz4": func(t *testing.T, content []byte) []byte {
		t.Helper()
		var b bytes.Buffer
		w := lz4.NewWriter(&b)
		require.NoError(t, w.Apply(lz4.LegacyOption(true)))
		_, err := w.Write(content)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return b.Bytes()
	},
}

func TestAKernelIsUnpackedFromEachFormat(t *testing.T) {
	notes := append(note(t, "Linux", 1, "x"), note(t, "Xen", 18, "12345678")...)
	vmlinux := elfFile(t, append(notes, make([]byte, 64)...))
	for name, pack := range packers {
		got, err := kernel.Unpack(bzImage(pack(t, vmlinux), len(vmlinux)))
		require.NoError(t, err, name)
		assert.Equal(t, vmlinux, got, name)
	}
}

func TestAKernelThatCannotBeUnpackedIsSaid(t *testing.T) {
	plain := elfFile(t, note(t, "Xen", 17, "1234"))
	packed := packers["zstd"](t, plain)
	for reason, image := range map[string][]byte{
		"not a bzImage":                     []byte("ELF"),
		"the bzImage is cut off":            bzImage(packed, len(plain))[:1100],
		"packed in an unknown format":       bzImage([]byte("????"), 4),
		"the kernel has no PVH entry point": bzImage(packed, len(plain)),
		"unpack: ":                          bzImage(packed[:len(packed)-8], len(plain)),
	} {
		_, err := kernel.Unpack(image)
		require.ErrorContains(t, err, reason)
	}
}

// archive makes the tar archive of a root file system.
func archive(t *testing.T, files map[string][]byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "root.tar")
	f, err := os.Create(name)
	require.NoError(t, err)
	defer f.Close()
	w := tar.NewWriter(f)
	for file, content := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: file, Size: int64(len(content)), Format: tar.FormatPAX}
		require.NoError(t, w.WriteHeader(h))
		_, err := w.Write(content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return name
}

func module(t *testing.T, depends string) []byte {
	t.Helper()
	return elfFile(t, []byte("license=GPL\x00depends="+depends+"\x00name=x\x00"))
}

func paths(modules []kernel.Module) []string {
	var paths []string
	for _, m := range modules {
		paths = append(paths, m.Path)
	}
	return paths
}

func TestModulesComeAfterThoseTheyNeed(t *testing.T) {
	const dir = "lib/modules/6.1.0-10/"
	blk := module(t, "virtio,virtio_ring")
	k, err := kernel.Open(archive(t, map[string][]byte{
		"./boot/vmlinuz-6.1.0-10":           []byte("the newest"),
		"boot/vmlinuz-6.1.0-9":              []byte("an older one"),
		dir + "modules.builtin":             []byte("kernel/fs/ext4/ext4.ko\nkernel/crypto/crc32c_generic.ko\n"),
		dir + "kernel/virtio_blk.ko.xz":     packers["xz"](t, blk),
		dir + "kernel/virtio.ko":            module(t, "virtio_ring"),
		dir + "kernel/virtio_ring.ko.zst":   packers["zstd"](t, module(t, "")),
		dir + "kernel/virtio-rng.ko.gz":     packers["gzip"](t, module(t, "virtio")),
		dir + "kernel/broken.ko":            module(t, "gone"),
		"lib/modules/6.1.0-9/kernel/tun.ko": module(t, ""),
	}))
	require.NoError(t, err)
	defer k.Close()
	assert.Equal(t, "6.1.0-10", k.Version)
	image, err := k.Image()
	require.NoError(t, err)
	assert.Equal(t, "the newest", string(image))

	ordered, err := k.Modules([]string{"virtio_blk", "ext4", "virtio_rng"}, false)
	require.NoError(t, err)
	assert.Equal(t, []string{
		dir + "kernel/virtio_ring.ko", dir + "kernel/virtio.ko", dir + "kernel/virtio_blk.ko", dir + "kernel/virtio-rng.ko",
	}, paths(ordered))
	assert.Equal(t, blk, ordered[2].Content, "unpacked")

	_, err = k.Modules([]string{"floppy"}, false)
	require.EqualError(t, err, "the kernel has no module floppy")
	_, err = k.Modules([]string{"broken"}, false)
	require.EqualError(t, err, "broken needs: the kernel has no module gone")
	some, err := k.Modules([]string{"tun", "virtio", "broken"}, true)
	require.NoError(t, err, "only this kernel's modules count, and those that it lacks may be missing")
	assert.Equal(t, []string{dir + "kernel/virtio_ring.ko", dir + "kernel/virtio.ko"}, paths(some))
}

func TestTheNewestKernelIsTakenFromEachPlace(t *testing.T) {
	for _, c := range []struct{ files, newest string }{
		{"boot/vmlinuz-6.9.1 boot/vmlinuz-6.10.0", "6.10.0"},
		{"boot/vmlinuz-6.1.0-9-amd64 boot/vmlinuz-6.1.0-9", "6.1.0-9-amd64"},
		{"boot/vmlinuz-5.14.0-a.el9 usr/lib/modules/5.14.0-b.el9/vmlinuz", "5.14.0-b.el9"},
	} {
		files := make(map[string][]byte)
		for f := range bytes.FieldsSeq([]byte(c.files)) {
			files[string(f)] = []byte("kernel")
		}
		k, err := kernel.Open(archive(t, files))
		require.NoError(t, err)
		assert.Equal(t, c.newest, k.Version)
		require.NoError(t, k.Close())
	}
	_, err := kernel.Open(archive(t, map[string][]byte{"etc/passwd": nil}))
	require.ErrorContains(t, err, "no kernel")
}

package format_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/image/format"
)

const cluster = 64 << 10

// qcow2 is a small valid image of a 1 GiB disk, after edit has had its way
// with it: clusters for the header, refcount table, refcount block, L1 table.
func qcow2(edit func(b []byte)) []byte {
	b := make([]byte, 4*cluster)
	copy(b, "QFI\xfb")
	binary.BigEndian.PutUint32(b[4:], 3)
	binary.BigEndian.PutUint32(b[20:], 16)
	binary.BigEndian.PutUint64(b[24:], 1<<30)
	binary.BigEndian.PutUint32(b[36:], 2)
	binary.BigEndian.PutUint64(b[40:], 3*cluster)
	binary.BigEndian.PutUint64(b[48:], 1*cluster)
	binary.BigEndian.PutUint32(b[56:], 1)
	binary.BigEndian.PutUint32(b[96:], 4)
	binary.BigEndian.PutUint32(b[100:], 112)
	if edit != nil {
		edit(b)
	}
	return b
}

func put32(offset int, v uint32) func([]byte) {
	return func(b []byte) { binary.BigEndian.PutUint32(b[offset:], v) }
}

func put64(offset int, v uint64) func([]byte) {
	return func(b []byte) { binary.BigEndian.PutUint64(b[offset:], v) }
}

func extension(kind, length uint32) func([]byte) {
	return func(b []byte) {
		binary.BigEndian.PutUint32(b[112:], kind)
		binary.BigEndian.PutUint32(b[116:], length)
	}
}

var refused = []struct {
	name, reason string
	image        []byte
}{
	{"empty", "not of disk format qcow2", nil},
	{"noise", "not of disk format qcow2", bytes.Repeat([]byte{0x5a}, 4096)},
	{"cut in the header", "cut off within its header", qcow2(nil)[:71]},
	{"a vmdk", "is of format vmdk", append([]byte("KDMV"), make([]byte, 4096)...)},
	{"version 1", "of version 1", qcow2(put32(4, 1))},
	{"version 4", "of version 4", qcow2(put32(4, 4))},
	{"backing file", "backing file", qcow2(func(b []byte) {
		binary.BigEndian.PutUint64(b[8:], 512)
		binary.BigEndian.PutUint32(b[16:], 11)
		copy(b[512:], "/etc/shadow")
	})},
	{"backing offset alone", "backing file", qcow2(put64(8, 512))},
	{"backing length alone", "backing file", qcow2(put32(16, 11))},
	{"data file bit", "external data file", qcow2(put64(72, 1<<2))},
	{"data file extension", "external data file", qcow2(extension(0x44415441, 8))},
	{"encryption method", "encrypted", qcow2(put32(32, 2))},
	{"encryption extension", "encrypted", qcow2(extension(0x0537be77, 16))},
	{"extension out of the header", "longer than the header", qcow2(extension(0x6803f857, 1<<31))},
	{"corrupt bit", "corrupt", qcow2(put64(72, 1<<1))},
	{"unknown feature", "unknown features (0x20)", qcow2(put64(72, 1<<5))},
	{"unknown high feature", "unknown features", qcow2(put64(72, 1<<63))},
	{"compression type without its bit", "compression type", qcow2(func(b []byte) { b[104] = 1 })},
	{"compression bit without its type", "compression type", qcow2(put64(72, 1<<3))},
	{"unknown compression", "compression type", qcow2(func(b []byte) { b[104] = 2; b[79] = 1 << 3 })},
	{"tiny clusters", "2^8", qcow2(put32(20, 8))},
	{"huge clusters", "2^63", qcow2(put32(20, 63))},
	{"absurd disk", "describes a disk", qcow2(put64(24, 1<<62))},
	{"disk beyond its L1 table", "L1 table of 2 entries", qcow2(put64(24, 1<<31))},
	{"L1 table too long", "L1 table of", qcow2(put32(36, 1<<30))},
	{"L1 table past the end", "L1 table", qcow2(put64(40, 4*cluster))},
	{"L1 table wraps around", "L1 table", qcow2(put64(40, 1<<64-cluster))},
	{"L1 table in the header", "L1 table", qcow2(put64(40, 0))},
	{"L1 table between clusters", "L1 table", qcow2(put64(40, 2*cluster+8))},
	{"L2 table past the end", "L2 table", qcow2(put64(3*cluster, 1<<63|9*cluster))},
	{"no refcounts", "refcount table of 0", qcow2(put32(56, 0))},
	{"refcount table too long", "refcount table of", qcow2(put32(56, 1<<31))},
	{"refcount table past the end", "refcount table", qcow2(put64(48, 1<<40))},
	{"refcount order", "refcount order", qcow2(put32(96, 7))},
	{"too many snapshots", "snapshots", qcow2(put32(60, 1<<20))},
	{"snapshots past the end", "snapshot table", qcow2(func(b []byte) { put32(60, 1)(b); put64(64, 1<<40)(b) })},
	{"short header", "header of 72", qcow2(put32(100, 72))},
	{"odd header", "header of 113", qcow2(put32(100, 113))},
	{"header longer than a cluster", "header of", qcow2(put32(100, 1<<20))},
}

func TestAnUnacceptableQCOW2IsRefused(t *testing.T) {
	for _, test := range refused {
		t.Run(test.name, func(t *testing.T) {
			_, err := format.Check(bytes.NewReader(test.image), int64(len(test.image)), "qcow2")
			var reason *format.Error
			require.ErrorAs(t, err, &reason)
			assert.Contains(t, reason.Reason, test.reason)
		})
	}
}

func TestASoundQCOW2HasItsVirtualSize(t *testing.T) {
	image := qcow2(nil)
	size, err := format.Check(bytes.NewReader(image), int64(len(image)), "qcow2")
	require.NoError(t, err)
	assert.Equal(t, int64(1<<30), size)
}

// Without qemu-img (package qemu-utils) this fails: it is the reference.
func TestWhatQemuImgMakesIsAccepted(t *testing.T) {
	for _, options := range []string{
		"compat=1.1", "compat=0.10", "compat=1.1,extended_l2=on,cluster_size=128k", "compression_type=zstd",
		"cluster_size=512", "cluster_size=2M", "lazy_refcounts=on", "preallocation=metadata", "refcount_bits=1",
	} {
		for _, size := range []int64{0, 512, 1 << 30} {
			file := filepath.Join(t.TempDir(), "image")
			qemuImg(t, "create", "-q", "-f", "qcow2", "-o", options, file, strconv.FormatInt(size, 10))
			got, err := checkFile(t, file, "qcow2")
			require.NoError(t, err, "%s, %d bytes", options, size)
			assert.Equal(t, size, got, "%s, %d bytes", options, size)
		}
	}
}

func TestWhatQemuImgMakesOfOtherFilesIsRefused(t *testing.T) {
	dir := t.TempDir()
	base, overlay, outside := filepath.Join(dir, "base"), filepath.Join(dir, "overlay"), filepath.Join(dir, "outside")
	qemuImg(t, "create", "-q", "-f", "qcow2", base, "1G")
	qemuImg(t, "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", overlay)
	qemuImg(t, "create", "-q", "-f", "qcow2", "-o", "data_file="+filepath.Join(dir, "data"), outside, "1G")
	for _, file := range []string{overlay, outside} {
		_, err := checkFile(t, file, "qcow2")
		var reason *format.Error
		require.ErrorAs(t, err, &reason, file)
	}
	for _, other := range []string{"vmdk", "vdi", "vhdx", "qed"} {
		file := filepath.Join(dir, other)
		qemuImg(t, "create", "-q", "-f", other, file, "16M")
		for _, declared := range []string{"raw", "qcow2", "aki", "ami", "iso"} {
			_, err := checkFile(t, file, declared)
			var reason *format.Error
			require.ErrorAs(t, err, &reason, "%s as %s", other, declared)
		}
	}
}

func TestRawDataHasTheSizeOfItsFile(t *testing.T) {
	for _, declared := range []string{"raw", "ami"} {
		size, err := format.Check(bytes.NewReader(make([]byte, 5000)), 5000, declared)
		require.NoError(t, err)
		assert.Equal(t, int64(5000), size)
	}
	_, err := format.Check(bytes.NewReader(qcow2(nil)), 4*cluster, "raw")
	require.ErrorContains(t, err, "said to be of disk format raw, but is of format qcow2")
}

func TestAnISOIsAlsoARawDisk(t *testing.T) {
	iso := make([]byte, 64<<10)
	copy(iso[0x8001:], "CD001")
	for _, declared := range []string{"iso", "raw"} {
		_, err := format.Check(bytes.NewReader(iso), int64(len(iso)), declared)
		require.NoError(t, err, declared)
	}
	_, err := format.Check(bytes.NewReader(make([]byte, 64<<10)), 64<<10, "iso")
	require.ErrorContains(t, err, "not of disk format iso")
	copy(iso, "QFI\xfb") // both at once: QEMU would probe qcow2
	_, err = format.Check(bytes.NewReader(iso), int64(len(iso)), "iso")
	require.ErrorContains(t, err, "is of format qcow2")
}

// FuzzQCOW2 holds that no file makes the parser panic, and that an accepted
// one neither refers elsewhere nor describes an absurd disk.
func FuzzQCOW2(f *testing.F) {
	f.Add(qcow2(nil)[:512])
	f.Add(qcow2(nil))
	for _, test := range refused {
		f.Add(test.image)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		header, err := format.ParseQCOW2(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		assert.LessOrEqual(t, header.VirtualSize, int64(format.MaxVirtualSize))
		assert.GreaterOrEqual(t, header.VirtualSize, int64(0))
		assert.Zero(t, binary.BigEndian.Uint64(b[8:]), "a backing file")
		assert.LessOrEqual(t, binary.BigEndian.Uint64(b[40:])%uint64(header.ClusterSize), uint64(0))
	})
}

func checkFile(t *testing.T, file, declared string) (int64, error) {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	info, err := f.Stat()
	require.NoError(t, err)
	return format.Check(f, info.Size(), declared)
}

func qemuImg(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "qemu-img", args...).CombinedOutput()
	require.NoError(t, err, "qemu-img %v: %s", args, out)
}

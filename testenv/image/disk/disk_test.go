package disk_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/partition/gpt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/testenv/image/disk"
)

// The images are made by mke2fs, debugfs, qemu-img and, as far as partition
// tables go, by go-diskfs. Without these programs the tests fail.

const mib = 1 << 20

// program runs a program that makes a test's image.
func program(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", append([]string{"-c", `PATH=$PATH:/usr/sbin:/sbin; exec "$@"`, "sh", name}, args...)...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %v: %s", name, args, out)
}

// tree makes a directory with the given files; a name that ends in a slash is
// a directory's.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
		if strings.HasSuffix(name, "/") {
			continue
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	return dir
}

// root is the least that is an operating system, and some more files.
func root(more map[string]string) map[string]string {
	files := map[string]string{"etc/os-release": "NAME=test\n"}
	maps.Copy(files, more)
	return files
}

// part is a partition's content.
type part struct {
	files   map[string]string // of an ext4 file system
	options string            // mke2fs' further ones
	changes string            // debugfs'
	raw     string            // instead of a file system
	kind    gpt.Type
	guid    string
}

// fill writes a partition of 16 MiB.
func (p part) fill(t *testing.T, image string, start int64) {
	t.Helper()
	if p.files == nil {
		f, err := os.OpenFile(image, os.O_RDWR, 0)
		require.NoError(t, err)
		defer f.Close()
		_, err = f.WriteAt([]byte(p.raw), start)
		require.NoError(t, err)
		return
	}
	args := append(strings.Fields("-q -F -t ext4 "+p.options), "-d", tree(t, p.files), "-E", "offset="+strconv.FormatInt(start, 10), image, "16M")
	program(t, "mke2fs", args...)
	if p.changes != "" {
		script := filepath.Join(t.TempDir(), "script")
		require.NoError(t, os.WriteFile(script, []byte(p.changes), 0o600))
		program(t, "debugfs", "-w", "-f", script, image+"?offset="+strconv.FormatInt(start, 10))
	}
}

// blank makes an empty raw image.
func blank(t *testing.T, size int64) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "an, image.raw")
	f, err := os.Create(image)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(size))
	require.NoError(t, f.Close())
	return image
}

// start is where the n-th partition begins; they have 16 MiB each.
func start(n int) int64 { return int64(1+16*n) * mib }

// gptImage makes a disk with a GUID partition table.
func gptImage(t *testing.T, parts ...part) string {
	t.Helper()
	image := blank(t, start(len(parts))+mib)
	table := &gpt.Table{LogicalSectorSize: 512, PhysicalSectorSize: 512, ProtectiveMBR: true}
	for n, p := range parts {
		kind := p.kind
		if kind == "" {
			kind = gpt.LinuxFilesystem
		}
		table.Partitions = append(table.Partitions, &gpt.Partition{
			Index: n + 1, Start: uint64(start(n)) / 512, Size: 16 * mib, Type: kind, Name: "part" + strconv.Itoa(n+1), GUID: p.guid,
		})
	}
	f, err := os.OpenFile(image, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	storage, err := file.New(f, false).Writable()
	require.NoError(t, err)
	require.NoError(t, table.Write(storage, start(len(parts))+mib))
	for n, p := range parts {
		p.fill(t, image, start(n))
	}
	return image
}

// mbrSector is a table with the given entries: type, first sector, sectors.
func mbrSector(entries ...[3]uint32) []byte {
	b := make([]byte, 512)
	binary.LittleEndian.PutUint32(b[440:], 0xcafe1234)
	for n, e := range entries {
		entry := b[446+16*n:]
		entry[4] = byte(e[0])
		binary.LittleEndian.PutUint32(entry[8:], e[1])
		binary.LittleEndian.PutUint32(entry[12:], e[2])
	}
	b[510], b[511] = 0x55, 0xaa
	return b
}

func environment() []string { return new(exec.Cmd).Environ() }

// member is what a test says of a file in an archive.
type member struct {
	tar.Header
	content string
}

// extract returns the archive's members by name, and proves that nothing else
// is left.
func extract(t *testing.T, image string) (map[string]member, error) {
	t.Helper()
	temporary := t.TempDir()
	var archive bytes.Buffer
	err := disk.Extract(t.Context(), disk.Config{TempDir: temporary, Environment: environment()}, image, &archive)
	left, err2 := os.ReadDir(temporary)
	require.NoError(t, err2)
	assert.Empty(t, left)
	if err != nil {
		return nil, err
	}
	members := make(map[string]member)
	r := tar.NewReader(&archive)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return members, nil
		}
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NotContains(t, members, h.Name)
		members[h.Name] = member{*h, string(content)}
	}
}

func names(members map[string]member) []string {
	var names []string
	for name := range members {
		names = append(names, name)
	}
	return names
}

func TestAWholeDiskFileSystemIsExtracted(t *testing.T) {
	image := blank(t, 16*mib)
	part{files: root(map[string]string{"bin/ping": "ping", "var/log/": ""}), options: "-O ^filetype", changes: `
set_inode_field bin/ping uid 70000
set_inode_field bin/ping mode 0104755
set_inode_field bin/ping mtime @1700000000
ea_set bin/ping security.capability caps
ea_set bin/ping user.a=b%c odd
mknod null c 1 3
mknod sda b 8 0
mknod pipe p
symlink up ../../../etc/shadow
link bin/ping same
set_inode_field bin/ping links_count 2
mknod socket p
set_inode_field socket mode 0140644
`}.fill(t, image, 0)
	got, err := extract(t, image)
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{"bin/", "bin/ping", "etc/", "etc/os-release", "null", "pipe", "same", "sda", "up", "var/", "var/log/"}, names(got))
	ping := got["bin/ping"]
	assert.Equal(t, "ping", ping.content)
	assert.Equal(t, int64(0o4755), ping.Mode)
	assert.Equal(t, 70000, ping.Uid)
	assert.Equal(t, int64(1700000000), ping.ModTime.Unix())
	assert.Equal(t, map[string]string{"SCHILY.xattr.security.capability": "caps", "SCHILY.xattr.user.a%3Db%25c": "odd"}, attributes(ping))
	assert.Equal(t, []any{byte(tar.TypeLink), "bin/ping"}, []any{got["same"].Typeflag, got["same"].Linkname})
	assert.Equal(t, []any{byte(tar.TypeSymlink), "../../../etc/shadow"}, []any{got["up"].Typeflag, got["up"].Linkname})
	assert.Equal(t, []any{byte(tar.TypeChar), int64(1), int64(3)}, []any{got["null"].Typeflag, got["null"].Devmajor, got["null"].Devminor})
	assert.Equal(t, []any{byte(tar.TypeBlock), int64(8), int64(0)}, []any{got["sda"].Typeflag, got["sda"].Devmajor, got["sda"].Devminor})
	assert.Equal(t, byte(tar.TypeFifo), got["pipe"].Typeflag)
}

func attributes(m member) map[string]string {
	found := make(map[string]string)
	for name, value := range m.PAXRecords {
		if strings.HasPrefix(name, "SCHILY.xattr.") {
			found[name] = value
		}
	}
	return found
}

func TestTheSameImageGivesTheSameArchiveInAnyFormat(t *testing.T) {
	raw := gptImage(t, part{raw: "nothing"}, part{files: root(map[string]string{"a": "1", "b/c": "2", "z": strings.Repeat("x", 100000)}), changes: "ea_set a user.b 1\nea_set a user.a 2\n"})
	want := archive(t, raw)
	for _, options := range [][]string{{"-O", "raw"}, {"-O", "qcow2"}, {"-c", "-O", "qcow2", "-o", "compression_type=zstd"}, {"-O", "qcow2", "-o", "compat=0.10"}, {"-O", "qcow2", "-o", "extended_l2=on,cluster_size=128k"}} {
		image := filepath.Join(t.TempDir(), "image")
		program(t, "qemu-img", append(append([]string{"convert", "-f", "raw"}, options...), raw, image)...)
		assert.True(t, bytes.Equal(want, archive(t, image)), "%v", options)
	}
}

func archive(t *testing.T, image string) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, disk.Extract(t.Context(), disk.Config{TempDir: t.TempDir(), Environment: environment()}, image, &b))
	return b.Bytes()
}

func TestFileSystemsAreWhereFstabMountsThem(t *testing.T) {
	const bootUUID, homeGUID = "01234567-89ab-cdef-0123-456789abcdef", "AAAABBBB-CCCC-DDDD-EEEE-FFFF00001111"
	image := gptImage(t,
		part{raw: strings.Repeat("\x00", 82) + "FAT32   ", kind: gpt.EFISystemPartition},
		part{files: map[string]string{"vmlinuz-6.1": "kernel", "efi/": ""}, options: "-U " + bootUUID},
		part{files: root(map[string]string{
			"boot/hidden": "x", "home/": "", "var/": "", "srv/data/": "", "swap.img": strings.Repeat("s", 9999), "proc/1": "x", "tmp/x": "x", "dev/null": "x",
			"etc/fstab": "# a comment\nUUID=" + bootUUID + " /boot ext4 defaults 0 2\nPARTUUID=" + homeGUID + " /home/ ext4 defaults\n" +
				"/dev/vda5 /var ext4 defaults\nPARTLABEL=part6 /srv/data ext4 defaults\nUUID=1234-5678 /boot/efi vfat defaults\n" +
				"/swap.img none swap sw 0 0\nLABEL=elsewhere /mnt ext4 nofail\ntmpfs /tmp tmpfs defaults\n",
		})},
		part{files: map[string]string{"user/file": "mine"}, guid: homeGUID},
		part{files: map[string]string{"lib/state": "state"}},
		part{files: map[string]string{"payload": "data"}},
	)
	got, err := extract(t, image)
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{
		"boot/", "boot/efi/", "boot/vmlinuz-6.1", "dev/", "etc/", "etc/fstab", "etc/os-release", "home/", "home/user/", "home/user/file",
		"proc/", "srv/", "srv/data/", "srv/data/payload", "tmp/", "var/", "var/lib/", "var/lib/state",
	}, names(got))
	assert.Equal(t, "kernel", got["boot/vmlinuz-6.1"].content)
}

func TestABootThatFstabForgetsIsFound(t *testing.T) {
	got, err := extract(t, gptImage(t, part{files: root(map[string]string{"boot/": ""})}, part{files: map[string]string{"vmlinuz": "kernel"}}))
	require.NoError(t, err)
	assert.Contains(t, got, "boot/vmlinuz")
}

func TestLogicalPartitionsOfAnMBRAreFound(t *testing.T) {
	const unit = mib / 512
	image := blank(t, 60*mib)
	f, err := os.OpenFile(image, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	// An extended partition from 17 MiB on, with two logical ones: swap, then a root.
	for at, sector := range map[int64][]byte{
		0:        mbrSector([3]uint32{0x83, unit, 16 * unit}, [3]uint32{0x05, 17 * unit, 42 * unit}),
		17 * mib: mbrSector([3]uint32{0x82, unit, unit}, [3]uint32{0x05, 4 * unit, 20 * unit}),
		21 * mib: mbrSector([3]uint32{0x83, 2 * unit, 16 * unit}),
	} {
		_, err := f.WriteAt(sector, at)
		require.NoError(t, err)
	}
	part{files: map[string]string{"data": "x"}}.fill(t, image, mib)
	part{files: root(map[string]string{"mnt/": "", "etc/fstab": "PARTUUID=cafe1234-01 /mnt ext4 rw\n/dev/vda5 none swap sw\n/dev/sda6 / ext4 rw\n"})}.fill(t, image, 23*mib)
	got, err := extract(t, image)
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{"etc/", "etc/fstab", "etc/os-release", "mnt/", "mnt/data"}, names(got))
}

func TestAJournalIsReplayed(t *testing.T) {
	image := blank(t, 16*mib)
	// The journal holds a newer version of a file's block, as if the power had
	// gone before it was written to its place.
	newer := filepath.Join(t.TempDir(), "newer")
	require.NoError(t, os.WriteFile(newer, []byte("new"+strings.Repeat("\x00", 1021)), 0o600))
	p := part{files: root(map[string]string{"file": "old"}), options: "-b 1024"}
	p.fill(t, image, 0)
	out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", `PATH=$PATH:/usr/sbin:/sbin; debugfs -R "bmap file 0" "$1"`, "sh", image).Output()
	require.NoError(t, err)
	script := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(script, []byte("journal_open\njournal_write -b "+strings.TrimSpace(string(out))+" "+newer+"\njournal_close\n"), 0o600))
	program(t, "debugfs", "-w", "-f", script, image)

	before, err := os.ReadFile(image)
	require.NoError(t, err)
	got, err := extract(t, image)
	require.NoError(t, err)
	assert.Equal(t, "new", got["file"].content)
	after, err := os.ReadFile(image)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(before, after), "the image itself stays as it was")
}

func TestWhatCannotBeExtractedIsSaid(t *testing.T) {
	lvm := part{raw: strings.Repeat("\x00", 512) + "LABELONE"}
	xfs := part{raw: "XFSB"}
	for reason, parts := range map[string][]part{
		"found is partition 1: XFS, partition 2: unknown data. Of other file systems": {xfs, {raw: "x"}},
		"partition 1: an LVM physical volume":                                         {lvm},
		"several operating systems: partition 1: ext4, partition 2: ext4":             {{files: root(nil)}, {files: root(nil)}},
		"/usr is a file system of its own (xfs on UUID=x)":                            {{files: root(map[string]string{"etc/fstab": "UUID=x /usr xfs rw\n"})}, xfs},
		"/home is a file system of its own (ext4 on /dev/mapper/vg-home)":             {{files: root(map[string]string{"etc/fstab": "/dev/mapper/vg-home /home ext4 rw\n"})}, lvm},
		"fstab mounts /srv, which is no directory":                                    {{files: root(map[string]string{"etc/fstab": "/dev/vda2 /srv ext4 rw\n"})}, {files: map[string]string{"x": ""}}},
		"fstab mounts /srv twice":                                                     {{files: root(map[string]string{"srv/": "", "etc/fstab": "/dev/vda2 /srv ext4 rw\n/dev/vda2 /srv ext4 rw\n"})}, {files: map[string]string{"x": ""}}},
		"several file systems with kernels":                                           {{files: root(nil)}, {files: map[string]string{"vmlinuz-1": ""}}, {files: map[string]string{"vmlinuz-2": ""}}},
		"UNEXPECTED INCONSISTENCY":                                                    {{files: root(nil), changes: "clri etc\n"}},
	} {
		t.Run(reason, func(t *testing.T) {
			_, err := extract(t, gptImage(t, parts...))
			assert.ErrorContains(t, err, reason)
		})
	}
}

func TestAnExternalJournalOfTheHostIsNotTouched(t *testing.T) {
	image := blank(t, 16*mib)
	part{files: root(nil), changes: "set_super_value journal_inum 0\nset_super_value journal_uuid 01234567-89ab-cdef-0123-456789abcdef\nfeature needs_recovery\n"}.fill(t, image, 0)
	_, err := extract(t, image)
	assert.ErrorContains(t, err, "No such file or directory while checking journal") // and not: can't find an external journal with this UUID
}

func TestAFileThatIsNoDiskIsRefused(t *testing.T) {
	dir := t.TempDir()
	base, overlay, outside := filepath.Join(dir, "base"), filepath.Join(dir, "overlay"), filepath.Join(dir, "outside")
	program(t, "qemu-img", "create", "-q", "-f", "qcow2", base, "64M")
	program(t, "qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", overlay)
	program(t, "qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file="+filepath.Join(dir, "data"), outside, "64M")
	program(t, "qemu-img", "create", "-q", "-f", "qcow2", filepath.Join(dir, "huge"), "1P")
	program(t, "qemu-img", "create", "-q", "-f", "vmdk", filepath.Join(dir, "vmdk"), "64M")
	for name, content := range map[string]string{
		"xz": "\xfd7zXZ\x00" + strings.Repeat("x", 1000), "short": "x", "encrypted": "QFI\xfb\x00\x00\x00\x02" + strings.Repeat("\x00", 27) + "\x01" + strings.Repeat("\x00", 1000),
		"future": "QFI\xfb\x00\x00\x00\x04" + strings.Repeat("\x00", 1000), "damaged": "QFI\xfb\x00\x00\x00\x03" + strings.Repeat("\x00", 71) + "\x02" + strings.Repeat("\x00", 1000),
		"noise": strings.Repeat("x", mib),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	f, err := os.Create(filepath.Join(dir, "too long"))
	require.NoError(t, err)
	require.NoError(t, f.Truncate(disk.MaxBytes+512))
	require.NoError(t, f.Close())
	for name, reason := range map[string]string{
		"overlay": "an overlay on another file", "outside": "keeps its data in another file", "huge": "a disk of 1048576 GB", "vmdk": "it is a vmdk file",
		"xz": "it is a xz file; unpack it", "short": "1 bytes are no disk", "encrypted": "encrypted", "future": "version 4", "damaged": "0x2: it is damaged",
		"noise": "found is the whole disk: unknown data", "too long": "64 GB are more than", "missing": "no such file", ".": "not a regular file",
	} {
		_, err := extract(t, filepath.Join(dir, name))
		assert.ErrorContains(t, err, reason, name)
	}
}

func TestAHostilePartitionTableIsRefused(t *testing.T) {
	good := gptImage(t, part{files: root(nil)})
	for name, edit := range map[string]func(b []byte){
		"0 entries of 4294967295 bytes": func(b []byte) {
			binary.LittleEndian.PutUint32(b[512+80:], 0)
			binary.LittleEndian.PutUint32(b[512+84:], 1<<32-1)
		},
		"4294967295 entries of 128 bytes": func(b []byte) { binary.LittleEndian.PutUint32(b[512+80:], 1<<32-1) },
		"at sector 9223372036854775807":   func(b []byte) { binary.LittleEndian.PutUint64(b[512+72:], 1<<63-1) },
		"partition 1 from sector 9 to 8": func(b []byte) {
			binary.LittleEndian.PutUint64(b[1024+32:], 9)
			binary.LittleEndian.PutUint64(b[1024+40:], 8)
		},
		"is not on the disk":             func(b []byte) { binary.LittleEndian.PutUint64(b[1024+40:], 1<<20) },
		"no table of logical partitions": func(b []byte) { clear(b[512:1024]); copy(b, mbrSector([3]uint32{5, 9, 9})) },
		"too many logical partitions": func(b []byte) {
			clear(b[512:1024])
			copy(b, mbrSector([3]uint32{5, 9, 9}))
			copy(b[9*512:], mbrSector([3]uint32{0x83, 1, 1}, [3]uint32{5, 0, 9}))
			b[9*512+446+16+8] = 1
			copy(b[10*512:], b[9*512:10*512])
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(good)
			require.NoError(t, err)
			edit(b)
			image := filepath.Join(t.TempDir(), "image")
			require.NoError(t, os.WriteFile(image, b, 0o600))
			_, err = extract(t, image)
			assert.ErrorContains(t, err, name)
		})
	}
}

func TestCancellingEndsTheExtraction(t *testing.T) {
	image := gptImage(t, part{files: root(nil)})
	ctx, cancel := context.WithCancel(t.Context())
	c := disk.Config{TempDir: t.TempDir(), Environment: environment(), Progress: func(string) { cancel() }}
	assert.ErrorIs(t, disk.Extract(ctx, c, image, io.Discard), context.Canceled)
	left, err := os.ReadDir(c.TempDir)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestADiskIsOccupiedOnceItIsPartitionedOrFormatted(t *testing.T) {
	head := func(image string) []byte {
		f, err := os.Open(image)
		require.NoError(t, err)
		defer f.Close()
		b := make([]byte, 128<<10)
		_, err = io.ReadFull(f, b)
		require.NoError(t, err)
		return b
	}
	formatted := blank(t, 16*mib)
	part{files: root(nil)}.fill(t, formatted, 0)
	assert.True(t, disk.Occupied(head(formatted)))
	assert.True(t, disk.Occupied(head(gptImage(t, part{raw: "x"}))))
	assert.True(t, disk.Occupied(append(mbrSector([3]uint32{0x83, 1, 1}), make([]byte, 128<<10)...)))
	assert.False(t, disk.Occupied(make([]byte, 128<<10)))
	assert.False(t, disk.Occupied(append(mbrSector(), make([]byte, 128<<10)...)))
}

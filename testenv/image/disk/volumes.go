package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/gatehouse-dev/gatehouse/testenv/image/disk/ext4"
)

// volume is a partition and what is on it.
type volume struct {
	partition
	kind string   // of file system, "" if unknown
	fs   *ext4.FS // nil unless it can be read
}

func (v volume) String() string {
	kind := v.kind
	if kind == "" {
		kind = "unknown data"
	}
	if v.number == 0 {
		return "the whole disk: " + kind
	}
	return fmt.Sprintf("partition %d: %s", v.number, kind)
}

// Kinds that this package treats in a way of their own.
const (
	kindExt  = "ext4"
	kindSwap = "swap"
	kindFAT  = "FAT"
)

// kinds of content, by the bytes at a place. FAT comes last: its signature is
// the weakest.
var kinds = []struct {
	kind  string
	at    int
	bytes string
}{
	{"XFS", 0, "XFSB"},
	{"Btrfs", 0x10040, "_BHRfS_M"},
	{"an LVM physical volume", 512, "LABELONE"},
	{"an encrypted (LUKS) volume", 0, "LUKS\xba\xbe"},
	{"a part of a RAID", 4096, "\xfc\x4e\x2b\xa9"},
	{"F2FS", 1024, "\x10\x20\xf5\xf2"},
	{"EROFS", 1024, "\xe2\xe1\xf5\xe0"},
	{"SquashFS", 0, "hsqs"},
	{"ISO 9660", 0x8001, "CD001"},
	{"NTFS", 3, "NTFS    "},
	{kindSwap, 4086, "SWAPSPACE2"},
	{kindExt, 1024 + 0x38, "\x53\xef"},
	{kindFAT, 82, "FAT32   "},
	{kindFAT, 54, "FAT1"},
}

// identifyVolume tells what begins at r.
func identifyVolume(r io.ReaderAt) (string, error) {
	head := make([]byte, 66<<10)
	if _, err := r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	for _, k := range kinds {
		if bytes.HasPrefix(head[k.at:], []byte(k.bytes)) {
			return k.kind, nil
		}
	}
	return "", nil
}

// volumes finds what is on the raw disk f in dir, and opens the file systems
// that can be read.
func (c Config) volumes(ctx context.Context, dir string, f *os.File) ([]volume, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	whole := partition{size: info.Size()}
	kind, err := identifyVolume(f)
	if err != nil {
		return nil, err
	}
	var found []partition
	if kind != kindExt || bytesAt(f, sector, 8) == "EFI PART" {
		if found, err = partitions(f, info.Size()); err != nil {
			return nil, err
		}
	}
	if len(found) == 0 {
		found = []partition{whole}
	}
	var volumes []volume
	for _, p := range found {
		v, err := c.open(ctx, dir, f, p)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", v, err)
		}
		volumes = append(volumes, v)
	}
	return volumes, nil
}

func bytesAt(r io.ReaderAt, at int64, n int) string {
	b := make([]byte, n)
	if _, err := r.ReadAt(b, at); err != nil {
		return ""
	}
	return string(b)
}

func (c Config) open(ctx context.Context, dir string, f *os.File, p partition) (volume, error) {
	r := io.NewSectionReader(f, p.start, p.size)
	kind, err := identifyVolume(r)
	v := volume{partition: p, kind: kind}
	if err != nil || kind != kindExt {
		return v, err
	}
	if err := c.check(ctx, dir, p); err != nil {
		return v, err
	}
	v.fs, err = ext4.Open(r)
	return v, err
}

// check replays the journal of a file system, and makes sure that it is sound:
// e2fsck repairs what it safely can, as when a machine boots, and else fails.
func (c Config) check(ctx context.Context, dir string, p partition) error {
	err := c.run(ctx, dir, "e2fsck",
		"-f", "-p",
		// A hostile superblock may ask for a journal on a device of the host.
		"-j", "no-external-journal",
		fmt.Sprintf("%s?offset=%d", rawName, p.start))
	const repaired = 1 | 2
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode()&^repaired == 0 {
		return nil
	}
	return err
}

// Occupied reports whether a disk that begins with head, 128 KiB or more of
// it, has a partition table, or a file system that takes it as a whole.
func Occupied(head []byte) bool {
	if kind, err := identifyVolume(bytes.NewReader(head)); err == nil && kind != "" {
		return true
	}
	entries, ok := mbrPartitions(head) // a GPT protects itself by such, too
	return ok && entries != [4]mbrPartition{}
}

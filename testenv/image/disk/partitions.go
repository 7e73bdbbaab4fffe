package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
)

// partition is a stretch of a disk. Number 0 is the whole of one without
// partitions.
type partition struct {
	number      int // as Linux counts: sda1, vda1
	start, size int64
	uuid, label string // in the partition table, not of its file system
}

const sector = 512 // bytes, of every disk that QEMU shows

var le = binary.LittleEndian

// partitions reads the partition table, GPT or MBR, of a disk of size bytes.
// It returns none if there is no table.
func partitions(r io.ReaderAt, size int64) ([]partition, error) {
	head := make([]byte, 2*sector)
	if _, err := r.ReadAt(head, 0); err != nil {
		return nil, err
	}
	var found []partition
	var err error
	if string(head[sector:][:8]) == "EFI PART" {
		found, err = readGPT(r, head[sector:])
	} else {
		found, err = readMBR(r, head[:sector])
	}
	if err != nil {
		return nil, fmt.Errorf("partition table: %w", err)
	}
	for _, p := range found {
		if p.start < sector || p.size <= 0 || p.start > size-p.size {
			return nil, fmt.Errorf("partition table: partition %d (%d bytes at %d) is not on the disk of %d bytes", p.number, p.size, p.start, size)
		}
	}
	return found, nil
}

// readGPT reads a GUID partition table, UEFI specification 2.10, section 5.3.
// The copy at the end of the disk is of no interest: whoever made the image
// could boot it.
func readGPT(r io.ReaderAt, header []byte) ([]partition, error) {
	const leastEntry, mostEntry, mostEntries = 128, 4096, 1024
	at, count, length := le.Uint64(header[72:]), le.Uint32(header[80:]), le.Uint32(header[84:])
	if count > mostEntries || length < leastEntry || length > mostEntry || at > MaxBytes/sector {
		return nil, fmt.Errorf("%d entries of %d bytes at sector %d", count, length, at)
	}
	b := make([]byte, count*length)
	if _, err := r.ReadAt(b, int64(at)*sector); err != nil {
		return nil, err
	}
	var found []partition
	for n := range int(count) {
		e := b[n*int(length):]
		first, last := le.Uint64(e[32:]), le.Uint64(e[40:])
		if guid(e) == guid(make([]byte, 16)) { // unused
			continue
		}
		if last < first || last > MaxBytes/sector {
			return nil, fmt.Errorf("partition %d from sector %d to %d", n+1, first, last)
		}
		found = append(found, partition{
			number: n + 1, start: int64(first) * sector, size: int64(last-first+1) * sector, //nolint:gosec // at most MaxBytes
			uuid: guid(e[16:]), label: gptName(e[56:128]),
		})
	}
	return found, nil
}

// guid formats the 16 bytes of a GUID.
func guid(b []byte) string {
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", le.Uint32(b), le.Uint16(b[4:]), le.Uint16(b[6:]), b[8:10], b[10:16])
}

// gptName decodes a partition's name.
func gptName(b []byte) string {
	var name []uint16
	for ; len(b) > 0 && le.Uint16(b) != 0; b = b[2:] {
		name = append(name, le.Uint16(b))
	}
	return string(utf16.Decode(name))
}

// Offsets in a sector of the MBR kind.
const (
	mbrDisk      = 440
	mbrEntries   = 446
	mbrEntry     = 16 // bytes
	mbrSignature = 510
)

// mbrPartition is one of the four entries of such a sector.
type mbrPartition struct {
	kind         byte
	start, count int64 // sectors
}

func mbrPartitions(b []byte) (entries [4]mbrPartition, ok bool) {
	for n := range entries {
		e := b[mbrEntries+n*mbrEntry:]
		entries[n] = mbrPartition{e[4], int64(le.Uint32(e[8:])), int64(le.Uint32(e[12:]))}
		if e[0]&0x7f != 0 {
			return entries, false // a boot sector with code there
		}
	}
	return entries, b[mbrSignature] == 0x55 && b[mbrSignature+1] == 0xaa
}

func (p mbrPartition) extended() bool { return p.kind == 0x05 || p.kind == 0x0f || p.kind == 0x85 }

// readMBR reads a table of the kind that DOS had, and the logical partitions.
func readMBR(r io.ReaderAt, b []byte) ([]partition, error) {
	entries, ok := mbrPartitions(b)
	if !ok {
		return nil, nil
	}
	disk := le.Uint32(b[mbrDisk:])
	var found []partition
	for n, e := range entries {
		if e.kind == 0 || e.count == 0 || e.extended() {
			continue
		}
		found = append(found, mbrFound(disk, n+1, e.start, e.count))
	}
	for _, e := range entries {
		if e.extended() {
			logical, err := readLogical(r, disk, e.start)
			return append(found, logical...), err
		}
	}
	return found, nil
}

// readLogical follows the chain of tables in an extended partition.
func readLogical(r io.ReaderAt, disk uint32, extended int64) ([]partition, error) {
	const first, most = 5, 64
	var found []partition
	at := extended
	for number := first; number < first+most; number++ {
		b := make([]byte, sector)
		if _, err := r.ReadAt(b, at*sector); err != nil {
			return nil, err
		}
		entries, ok := mbrPartitions(b)
		if !ok {
			return nil, fmt.Errorf("no table of logical partitions at sector %d", at)
		}
		if entries[0].kind != 0 && entries[0].count != 0 {
			found = append(found, mbrFound(disk, number, at+entries[0].start, entries[0].count))
		}
		if entries[1].start == 0 {
			return found, nil
		}
		at = extended + entries[1].start
	}
	return nil, errors.New("too many logical partitions")
}

func mbrFound(disk uint32, number int, start, count int64) partition {
	return partition{number: number, start: start * sector, size: count * sector, uuid: fmt.Sprintf("%08x-%02x", disk, number)}
}

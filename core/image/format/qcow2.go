package format

import (
	"errors"
	"fmt"
	"io"
	"math/bits"
)

// QCOW2 is what of a qcow2 header matters to others.
type QCOW2 struct {
	Version     int
	ClusterSize int64 // bytes
	VirtualSize int64 // bytes, of the disk that a machine sees
}

// MaxVirtualSize bounds the disk an image may describe, in bytes: 16 TiB is
// the longest file of ext4, so nothing bigger could ever be filled here.
const MaxVirtualSize = 16 << 40

// Limits of QEMU's own implementation (block/qcow2.h).
const (
	maxL1Bytes       = 32 << 20
	maxRefcountBytes = 8 << 20
	maxSnapshots     = 65536
	minClusterBits   = 9
	maxClusterBits   = 21
)

// Bits of incompatible_features, and the header extensions, that mean
// something to us.
const (
	featureCorrupt     = 1 << 1
	featureDataFile    = 1 << 2
	featureCompression = 1 << 3
	featuresKnown      = 1<<5 - 1 // dirty, corrupt, data file, compression type, extended L2

	extensionEnd      = 0
	extensionDataFile = 0x44415441
	extensionCrypto   = 0x0537be77
)

const (
	headerV2 = 72  // bytes
	headerV3 = 104 // bytes, at least
)

// ParseQCOW2 reads the header of a qcow2 file of size bytes and refuses, with
// an *Error, what refers to another file, is encrypted, contradicts itself or
// the file's size, or needs a feature that did not exist when this was
// written.
// See https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.rst
func ParseQCOW2(r io.ReaderAt, size int64) (QCOW2, error) {
	header := make(reader, headerV3+8)
	n, err := r.ReadAt(header, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return QCOW2{}, fmt.Errorf("read qcow2 header: %w", err)
	}
	if found := Detect(header[:n]); found != "qcow2" {
		return QCOW2{}, mismatch("qcow2", found)
	}
	if n < headerV2 {
		return QCOW2{}, refuse("The qcow2 image is cut off within its header.")
	}
	q := qcow2{reader: header, r: r, file: uint64(max(size, 0))}
	for _, check := range []func() error{q.geometry, q.references, q.features, q.extensions, q.tables} {
		if err := check(); err != nil {
			return QCOW2{}, err
		}
	}
	return QCOW2{Version: int(q.version), ClusterSize: int64(q.cluster), VirtualSize: int64(q.size)}, nil //nolint:gosec // both bounded by geometry
}

// qcow2 is a header under examination. The checks run in the order in which
// they depend on each other.
type qcow2 struct {
	reader
	r    io.ReaderAt
	file uint64 // bytes

	version uint32
	cluster uint64 // bytes
	size    uint64 // bytes
	length  uint64 // of the header, bytes
}

// geometry checks the version and the sizes that all else is computed from.
func (q *qcow2) geometry() error {
	q.version = q.u32(4)
	if q.version != 2 && q.version != 3 {
		return refuse("The qcow2 image is of version %d; 2 and 3 are known.", q.version)
	}
	clusterBits := q.u32(20)
	if clusterBits < minClusterBits || clusterBits > maxClusterBits {
		return refuse("The qcow2 image has clusters of 2^%d bytes; %d to %d is allowed.", clusterBits, minClusterBits, maxClusterBits)
	}
	q.cluster = 1 << clusterBits
	q.size = q.u64(24)
	if q.size > MaxVirtualSize {
		return refuse("The qcow2 image describes a disk of %d bytes; at most %d are allowed.", q.size, int64(MaxVirtualSize))
	}
	return nil
}

// references refuses a header that leads out of the file, or needs a key.
func (q *qcow2) references() error {
	if q.u64(8) != 0 || q.u32(16) != 0 {
		return refuse("The qcow2 image has a backing file; only self-contained images are accepted.")
	}
	if q.u32(32) != 0 {
		return refuse("The qcow2 image is encrypted.")
	}
	return nil
}

// features checks the fields that came with version 3.
func (q *qcow2) features() error {
	q.length = headerV2
	if q.version == 2 {
		return nil
	}
	q.length = uint64(q.u32(100))
	if q.length < headerV3 || q.length > q.cluster || q.length%8 != 0 || q.length > q.file {
		return refuse("The qcow2 image has a header of %d bytes.", q.length)
	}
	incompatible := q.u64(72)
	switch {
	case incompatible&featureDataFile != 0:
		return refuse("The qcow2 image has an external data file; only self-contained images are accepted.")
	case incompatible&featureCorrupt != 0:
		return refuse("The qcow2 image is marked as corrupt.")
	case incompatible&^uint64(featuresKnown) != 0:
		return refuse("The qcow2 image needs unknown features (%#x).", incompatible&^uint64(featuresKnown))
	case q.u32(96) > 6:
		return refuse("The qcow2 image has a refcount order of %d; at most 6 is allowed.", q.u32(96))
	}
	return q.compression(incompatible&featureCompression != 0)
}

// compression checks the type, which is there only in longer headers: 0 is
// deflate, 1 zstd. The feature bit says that it is not 0.
func (q *qcow2) compression(flagged bool) error {
	kind := byte(0)
	if q.length > headerV3 {
		kind = q.reader[headerV3]
	}
	if kind > 1 || (kind != 0) != flagged {
		return refuse("The qcow2 image has an unknown compression type (%d).", kind)
	}
	return nil
}

// extensions walks the header extensions, which end with the first cluster.
func (q *qcow2) extensions() error {
	end := min(q.cluster, q.file)
	for at := q.length; at+8 <= end; {
		entry := make(reader, 8)
		if _, err := q.r.ReadAt(entry, int64(at)); err != nil { //nolint:gosec // below the cluster size
			return fmt.Errorf("read qcow2 header extension: %w", err)
		}
		kind, length := entry.u32(0), uint64(entry.u32(4))
		switch kind {
		case extensionEnd:
			return nil
		case extensionDataFile:
			return refuse("The qcow2 image has an external data file; only self-contained images are accepted.")
		case extensionCrypto:
			return refuse("The qcow2 image is encrypted.")
		}
		at += 8 + (length+7)&^7
		if at > end {
			return refuse("The qcow2 image has a header extension (%#x) that is longer than the header.", kind)
		}
	}
	return nil
}

// tables checks that what the header points to lies in the file.
func (q *qcow2) tables() error {
	l1Entries, l1Offset := uint64(q.u32(36)), q.u64(40)
	// An L2 table is one cluster of 8-byte entries, 16-byte ones if extended.
	entryBytes := uint64(8)
	if q.version == 3 && q.u64(72)&(1<<4) != 0 {
		entryBytes = 16
	}
	covered := q.cluster * (q.cluster / entryBytes) // bytes of disk for an L1 entry
	if l1Entries*8 > maxL1Bytes || l1Entries < (q.size+covered-1)/covered {
		return refuse("The qcow2 image has an L1 table of %d entries for a disk of %d bytes.", l1Entries, q.size)
	}
	if err := q.inFile("L1 table", l1Offset, l1Entries*8); err != nil {
		return err
	}
	refcountClusters := uint64(q.u32(56))
	if refcountClusters == 0 || refcountClusters*q.cluster > max(maxRefcountBytes, q.cluster) {
		return refuse("The qcow2 image has a refcount table of %d clusters.", refcountClusters)
	}
	if err := q.inFile("refcount table", q.u64(48), 8); err != nil {
		return err
	}
	if q.u32(60) > maxSnapshots {
		return refuse("The qcow2 image has %d snapshots.", q.u32(60))
	}
	if q.u32(60) > 0 {
		if err := q.inFile("snapshot table", q.u64(64), 40); err != nil {
			return err
		}
	}
	return q.l1(l1Offset, l1Entries)
}

// inFile checks that a table begins on a cluster, past the header, and lies
// in the file whole.
func (q *qcow2) inFile(name string, offset, length uint64) error {
	if length == 0 {
		return nil
	}
	end, carry := bits.Add64(offset, length, 0)
	if carry != 0 || end > q.file || offset < q.cluster || offset%q.cluster != 0 {
		return refuse("The qcow2 image's %s (%d bytes at %d) is not in the file of %d bytes.", name, length, offset, q.file)
	}
	return nil
}

// l1 checks that the L2 tables begin within the file, so that one cut off on
// its way here is refused.
func (q *qcow2) l1(offset, entries uint64) error {
	const offsetMask = 0x00fffffffffffe00
	table := make(reader, min(entries*8, 64<<10))
	for left := entries * 8; left > 0; {
		part := table[:min(left, uint64(len(table)))]
		if _, err := q.r.ReadAt(part, int64(offset)); err != nil { //nolint:gosec // inFile checked it
			return fmt.Errorf("read qcow2 L1 table: %w", err)
		}
		for i := 0; i < len(part); i += 8 {
			if l2 := part.u64(i) & offsetMask; l2 >= q.file || l2%q.cluster != 0 {
				return refuse("The qcow2 image is cut off or damaged: an L2 table at %d is not in the file of %d bytes.", l2, q.file)
			}
		}
		offset += uint64(len(part))
		left -= uint64(len(part))
	}
	return nil
}

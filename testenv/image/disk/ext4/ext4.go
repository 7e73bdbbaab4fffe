// Package ext4 reads file systems of the ext2, ext3 and ext4 kind without
// mounting them, and so without privileges: directories, content, links,
// devices, owners and extended attributes.
//
// It implements what Linux's documentation of the format describes, see
// https://docs.kernel.org/filesystems/ext4/. It reads only, and wants a file
// system whose journal was replayed (by e2fsck). Nothing in the file system is
// trusted: whatever is damaged or hostile makes an error, never a panic, a
// read outside of it, or an endless loop.
package ext4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrFormat is wrapped by the errors that say that there is no file system of
// this kind, or that this package cannot read it.
var ErrFormat = errors.New("ext4")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}

// FS is a file system. Its methods may be used concurrently.
type FS struct {
	r     io.ReaderAt
	super superblock
	block int64 // size in bytes
}

// superblock holds the fields of struct ext4_super_block that matter here.
type superblock struct {
	label          string
	uuid           string
	inodes         uint32
	blocks         int64
	firstData      int64
	blocksPerGroup int64
	inodesPerGroup int64
	inodeSize      int64
	descSize       int64
	firstMeta      int64 // the first group of blocks of descriptors that meta_bg moves
	backups        [2]uint32
	compat         uint32
	incompat       uint32
	roCompat       uint32
}

const (
	superblockAt   = 1024
	superblockSize = 1024
	magicAt        = 0x38
	magic          = 0xef53
)

// Features. The ones that this package neither knows nor may ignore refuse the
// file system.
const (
	compatSparseSuper2 = 0x200

	incompatFileType = 0x2
	incompatRecover  = 0x4
	incompatMetaBG   = 0x10
	incompatExtents  = 0x40
	incompat64Bit    = 0x80
	incompatMMP      = 0x100
	incompatFlexBG   = 0x200
	incompatEAInode  = 0x400
	incompatCsumSeed = 0x2000
	incompatLargeDir = 0x4000
	incompatInline   = 0x8000
	incompatEncrypt  = 0x10000 // refused per file
	incompatCasefold = 0x20000
	incompatKnown    = incompatFileType | incompatMetaBG | incompatExtents | incompat64Bit | incompatMMP | incompatFlexBG |
		incompatEAInode | incompatCsumSeed | incompatLargeDir | incompatInline | incompatEncrypt | incompatCasefold

	roCompatSparseSuper = 0x1
)

var le = binary.LittleEndian

// Is reports whether a file system of this kind begins at the start of r.
func Is(r io.ReaderAt) bool {
	var m [2]byte
	_, err := r.ReadAt(m[:], superblockAt+magicAt)
	return err == nil && le.Uint16(m[:]) == magic
}

// Open reads the description of the file system in r, which must not change as
// long as it is used.
func Open(r io.ReaderAt) (*FS, error) {
	b := make([]byte, superblockSize)
	if err := readFull(r, b, superblockAt); err != nil {
		return nil, fmt.Errorf("superblock: %w", err)
	}
	if le.Uint16(b[magicAt:]) != magic {
		return nil, malformed("no such file system")
	}
	shift := le.Uint32(b[0x18:])
	if shift > 6 {
		return nil, malformed("blocks of 2^%d KiB", shift)
	}
	f := &FS{r: r, block: 1024 << shift, super: parseSuperblock(b)}
	return f, f.super.check(f.block)
}

func parseSuperblock(b []byte) superblock {
	s := superblock{
		label:          strings.TrimRight(string(b[0x78:0x88]), "\x00"),
		uuid:           fmt.Sprintf("%x-%x-%x-%x-%x", b[0x68:0x6c], b[0x6c:0x6e], b[0x6e:0x70], b[0x70:0x72], b[0x72:0x78]),
		inodes:         le.Uint32(b),
		blocks:         int64(le.Uint32(b[0x4:])),
		firstData:      int64(le.Uint32(b[0x14:])),
		blocksPerGroup: int64(le.Uint32(b[0x20:])),
		inodesPerGroup: int64(le.Uint32(b[0x28:])),
		inodeSize:      128,
		descSize:       32,
		firstMeta:      int64(le.Uint32(b[0x104:])),
		backups:        [2]uint32{le.Uint32(b[0x24c:]), le.Uint32(b[0x250:])},
		compat:         le.Uint32(b[0x5c:]),
		incompat:       le.Uint32(b[0x60:]),
		roCompat:       le.Uint32(b[0x64:]),
	}
	if le.Uint32(b[0x4c:]) > 0 { // revision 1 made it variable
		s.inodeSize = int64(le.Uint16(b[0x58:]))
	}
	if s.incompat&incompat64Bit != 0 {
		s.descSize = int64(le.Uint16(b[0xfe:]))
		s.blocks |= int64(le.Uint32(b[0x150:])) << 32
	}
	return s
}

func (s superblock) check(block int64) error {
	switch unknown := s.incompat &^ incompatKnown; {
	case s.incompat&incompatRecover != 0:
		return malformed("the journal has not been replayed")
	case unknown != 0:
		return malformed("unknown features %#x", unknown)
	case s.blocks <= 0 || s.blocks > 1<<48 || s.firstData > 1:
		return malformed("%d blocks from %d", s.blocks, s.firstData)
	case s.blocksPerGroup == 0 || s.blocksPerGroup > 8*block*64 || s.inodesPerGroup == 0 || s.inodesPerGroup > 8*block:
		return malformed("%d blocks and %d inodes per group", s.blocksPerGroup, s.inodesPerGroup)
	case s.inodeSize < 128 || s.inodeSize > block || s.inodeSize&(s.inodeSize-1) != 0:
		return malformed("inodes of %d bytes", s.inodeSize)
	case s.descSize < 32 || s.descSize > block || s.descSize&(s.descSize-1) != 0:
		return malformed("group descriptors of %d bytes", s.descSize)
	}
	return nil
}

// Label returns the file system's label, "" if it has none.
func (f *FS) Label() string { return f.super.label }

// UUID returns the file system's identifier in the usual notation.
func (f *FS) UUID() string { return f.super.uuid }

// readBlocks fills b from block n on.
func (f *FS) readBlocks(b []byte, n int64) error {
	count := (int64(len(b)) + f.block - 1) / f.block
	if n < f.super.firstData || n <= 0 || n > f.super.blocks-count {
		return malformed("block %d of %d", n, f.super.blocks)
	}
	return readFull(f.r, b, n*f.block)
}

// readFull fills b; a file that ends before is an error.
func readFull(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) || err == nil {
		return malformed("cut off at %d bytes", at+int64(n))
	}
	return err
}

// Package inodes makes ext4 file systems that mke2fs(8) wrote reproducible: two
// made of the same files differ only in when the files' inodes changed, which
// no program can set.
//
// The layout is that of Linux's Documentation/filesystems/ext4.
package inodes

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Disk is a file system's content.
type Disk interface {
	io.ReaderAt
	io.WriterAt
}

// fileSystem is what must be known to find the inodes.
type fileSystem struct {
	disk                      Disk
	blockSize                 int64
	groups, perGroup          uint32
	inodeSize, descriptorSize int64
	table                     int64 // where the group descriptors are
}

// SettleTimes sets the times of change and access of all inodes to that of
// modification. The file system must have neither checksums of inodes
// (metadata_csum) nor groups of descriptors (meta_bg).
func SettleTimes(disk Disk) error {
	fs, err := open(disk)
	if err != nil {
		return fmt.Errorf("ext4: %w", err)
	}
	for group := range fs.groups {
		if err := fs.settleGroup(group); err != nil {
			return fmt.Errorf("ext4: group %d: %w", group, err)
		}
	}
	return nil
}

func open(disk Disk) (*fileSystem, error) {
	const (
		where, size                               = 1024, 1024
		inodes, blocksLow, logBlockSize           = 0x0, 0x4, 0x18
		blocksPerGroup, inodesPerGroup, magic     = 0x20, 0x28, 0x38
		inodeSize, incompat, readOnly, descriptor = 0x58, 0x60, 0x64, 0xfe
		metaBG, is64Bit, metadataChecksum         = 0x10, 0x80, 0x400
	)
	super := make([]byte, size)
	if _, err := disk.ReadAt(super, where); err != nil {
		return nil, err
	}
	u16 := func(at int) uint16 { return binary.LittleEndian.Uint16(super[at:]) }
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(super[at:]) }
	if u16(magic) != 0xef53 || u32(inodesPerGroup) == 0 || u32(logBlockSize) > 6 {
		return nil, errors.New("no file system")
	}
	if u32(incompat)&metaBG != 0 || u32(readOnly)&metadataChecksum != 0 {
		return nil, errors.New("metadata_csum and meta_bg are not known here")
	}
	fs := &fileSystem{
		disk: disk, blockSize: 1024 << u32(logBlockSize), perGroup: u32(inodesPerGroup),
		groups: u32(inodes) / u32(inodesPerGroup), inodeSize: int64(u16(inodeSize)), descriptorSize: 32,
	}
	if u32(incompat)&is64Bit != 0 {
		fs.descriptorSize = int64(u16(descriptor))
	}
	if fs.inodeSize < 128 || fs.descriptorSize < 32 {
		return nil, errors.New("damaged superblock")
	}
	fs.table = fs.blockSize
	if fs.blockSize == where {
		fs.table = 2 * fs.blockSize
	}
	return fs, nil
}

// settleGroup settles the inodes of a group that have ever been used.
func (fs *fileSystem) settleGroup(group uint32) error {
	const tableLow, unusedLow, tableHigh, unusedHigh = 0x8, 0x1c, 0x28, 0x32
	d := make([]byte, 64)
	if _, err := fs.disk.ReadAt(d[:fs.descriptorSize], fs.table+int64(group)*fs.descriptorSize); err != nil {
		return err
	}
	table := int64(binary.LittleEndian.Uint32(d[tableLow:])) | int64(binary.LittleEndian.Uint32(d[tableHigh:]))<<32
	unused := uint32(binary.LittleEndian.Uint16(d[unusedLow:])) | uint32(binary.LittleEndian.Uint16(d[unusedHigh:]))<<16
	if unused >= fs.perGroup {
		return nil
	}
	inodes := make([]byte, int64(fs.perGroup-unused)*fs.inodeSize)
	if _, err := fs.disk.ReadAt(inodes, table*fs.blockSize); err != nil {
		return err
	}
	for at := int64(0); at < int64(len(inodes)); at += fs.inodeSize {
		settle(inodes[at : at+fs.inodeSize])
	}
	_, err := fs.disk.WriteAt(inodes, table*fs.blockSize)
	return err
}

// settle sets an inode's times: whole seconds at the front, the rest in the
// part that was added later.
func settle(inode []byte) {
	const access, change, modification = 0x8, 0xc, 0x10
	copy(inode[access:][:4], inode[modification:][:4])
	copy(inode[change:][:4], inode[modification:][:4])
	const extraSize, changeExtra, modificationExtra, accessExtra = 0x80, 0x84, 0x88, 0x8c
	if len(inode) >= accessExtra+4 && binary.LittleEndian.Uint16(inode[extraSize:]) >= accessExtra+4-extraSize {
		copy(inode[changeExtra:][:4], inode[modificationExtra:][:4])
		copy(inode[accessExtra:][:4], inode[modificationExtra:][:4])
	}
}

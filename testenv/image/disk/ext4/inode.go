package ext4

import (
	"errors"
	"io"
	"time"
)

// Root is the number of the root directory's inode.
const Root = 2

// Types of files in Inode.Mode, as in Linux's stat.
const (
	TypeMask      = 0o170000
	TypeFIFO      = 0o010000
	TypeCharacter = 0o020000
	TypeDirectory = 0o040000
	TypeBlock     = 0o060000
	TypeRegular   = 0o100000
	TypeSymlink   = 0o120000
	TypeSocket    = 0o140000
)

// ErrEncrypted is reported for files that only a key makes readable.
var ErrEncrypted = errors.New("the file is encrypted")

// Inode is a file of any type.
type Inode struct {
	Number       uint32
	Mode         uint16 // type, setuid and such, permissions
	UID, GID     uint32
	Size         int64  // bytes
	Links        uint16 // names that it has
	Modified     time.Time
	Major, Minor uint32 // of a device

	fs    *FS
	flags uint32
	block [60]byte // where the content is, or a little of it
	acl   int64    // the block with more attributes, 0 for none
	extra []byte   // what follows the fixed fields: attributes
}

// Flags of an inode.
const (
	flagEncrypt = 0x800
	flagExtents = 0x80000
	flagEAInode = 0x200000
	flagInline  = 0x10000000
)

const (
	inodeBase = 128 // bytes of an inode in revision 0
	maxSize   = 1 << 44
)

// Type returns the type bits of the mode.
func (i *Inode) Type() uint16 { return i.Mode & TypeMask }

// Inode reads an inode that is in use.
func (f *FS) Inode(number uint32) (*Inode, error) {
	s := f.super
	if number == 0 || number > s.inodes {
		return nil, malformed("inode %d of %d", number, s.inodes)
	}
	index := int64(number - 1)
	table, err := f.inodeTable(index / s.inodesPerGroup)
	if err != nil {
		return nil, err
	}
	at := index % s.inodesPerGroup * s.inodeSize
	b := make([]byte, f.block)
	if err := f.readBlocks(b, table+at/f.block); err != nil {
		return nil, err
	}
	at %= f.block
	return f.parseInode(number, b[at:at+s.inodeSize])
}

func (f *FS) parseInode(number uint32, b []byte) (*Inode, error) {
	i := &Inode{
		Number:   number,
		Mode:     le.Uint16(b),
		UID:      uint32(le.Uint16(b[0x2:])) | uint32(le.Uint16(b[0x78:]))<<16,
		GID:      uint32(le.Uint16(b[0x18:])) | uint32(le.Uint16(b[0x7a:]))<<16,
		Size:     int64(le.Uint32(b[0x4:])),
		Links:    le.Uint16(b[0x1a:]),
		Modified: time.Unix(int64(int32(le.Uint32(b[0x10:]))), 0), //nolint:gosec // the field is signed
		fs:       f,
		flags:    le.Uint32(b[0x20:]),
		acl:      int64(le.Uint32(b[0x68:])) | int64(le.Uint16(b[0x76:]))<<32,
	}
	copy(i.block[:], b[0x28:])
	if i.Type() == TypeRegular || i.Type() == TypeDirectory {
		i.Size |= int64(le.Uint32(b[0x6c:])) << 32
	}
	if i.Mode == 0 || i.Links == 0 {
		return nil, malformed("inode %d is not in use", number)
	}
	if i.Size < 0 || i.Size > maxSize {
		return nil, malformed("inode %d has %d bytes", number, i.Size)
	}
	i.parseExtra(b)
	i.parseDevice()
	return i, nil
}

// parseExtra reads the fields that revision 1 added.
func (i *Inode) parseExtra(b []byte) {
	if len(b) == inodeBase {
		return
	}
	end := inodeBase + int(le.Uint16(b[0x80:]))
	if end > len(b) || end%4 != 0 {
		return // nothing there that makes sense, as Linux sees it, too
	}
	i.extra = b[end:]
	if end >= 0x8c {
		// Two bits carry the seconds beyond 2038, the others nanoseconds.
		bits := le.Uint32(b[0x88:])
		i.Modified = time.Unix(i.Modified.Unix()+int64(bits&3)<<32, int64(bits>>2))
	}
}

// parseDevice reads a device's numbers in Linux's old or new encoding.
func (i *Inode) parseDevice() {
	if t := i.Type(); t != TypeCharacter && t != TypeBlock {
		return
	}
	if old := le.Uint32(i.block[:]); old != 0 {
		i.Major, i.Minor = old>>8&0xff, old&0xff
		return
	}
	dev := le.Uint32(i.block[4:])
	i.Major, i.Minor = dev>>8&0xfff, dev&0xff|dev>>12&0xfff00
}

// Content returns a reader of a regular file's bytes; holes read as zeros.
func (i *Inode) Content() (*io.SectionReader, error) {
	if i.Type() != TypeRegular {
		return nil, malformed("inode %d is no regular file", i.Number)
	}
	return i.content()
}

// Link returns where a symbolic link points.
func (i *Inode) Link() (string, error) {
	if i.Type() != TypeSymlink || i.Size == 0 || i.Size > i.fs.block {
		return "", malformed("inode %d is no symbolic link", i.Number)
	}
	// A short one takes the place of the list of blocks.
	if i.Size < int64(len(i.block)) && i.flags&(flagExtents|flagInline|flagEncrypt) == 0 {
		return string(i.block[:i.Size]), nil
	}
	r, err := i.content()
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), err
}

package ext4

import (
	"bytes"
	"fmt"
	"io"
	"slices"
)

// run is a piece of a file: count blocks from block logical of the file on are
// the blocks of the file system from physical on. What no run covers is zero.
type run struct{ logical, physical, count int64 }

// content is the bytes of a file that has blocks.
type content struct {
	fs   *FS
	runs []run // in order, none overlapping
}

func (i *Inode) content() (*io.SectionReader, error) {
	if i.flags&flagEncrypt != 0 {
		return nil, fmt.Errorf("inode %d: %w", i.Number, ErrEncrypted)
	}
	if i.flags&flagInline != 0 {
		b, err := i.inline()
		return io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b))), err
	}
	m := mapper{fs: i.fs, end: (i.Size + i.fs.block - 1) / i.fs.block}
	var err error
	if i.flags&flagExtents != 0 {
		err = m.extents(i.block[:], maxDepth+1)
	} else {
		err = m.pointers(i.block[:])
	}
	if err != nil {
		return nil, fmt.Errorf("inode %d: %w", i.Number, err)
	}
	return io.NewSectionReader(&content{fs: i.fs, runs: m.runs}, 0, i.Size), nil
}

// inline returns content that is small enough to be within the inode.
func (i *Inode) inline() ([]byte, error) {
	b := slices.Clone(i.block[:])
	more, err := i.inlineMore()
	if err != nil {
		return nil, err
	}
	if b = append(b, more...); int64(len(b)) < i.Size {
		return nil, malformed("inode %d has %d bytes, but %d within", i.Number, i.Size, len(b))
	}
	return b[:i.Size], nil
}

// ReadAt implements io.ReaderAt for any offset that a file may have.
func (c *content) ReadAt(p []byte, off int64) (int, error) {
	for done := 0; done < len(p); {
		n, err := c.readPiece(p[done:], off+int64(done))
		if err != nil {
			return done, err
		}
		done += n
	}
	return len(p), nil
}

// readPiece fills the start of p from the run, or hole, at off.
func (c *content) readPiece(p []byte, off int64) (int, error) {
	block, within := off/c.fs.block, off%c.fs.block
	k, found := slices.BinarySearchFunc(c.runs, block, func(r run, block int64) int {
		switch {
		case block < r.logical:
			return 1
		case block >= r.logical+r.count:
			return -1
		}
		return 0
	})
	if !found {
		if k < len(c.runs) {
			p = p[:min(int64(len(p)), c.runs[k].logical*c.fs.block-off)]
		}
		clear(p)
		return len(p), nil
	}
	r := c.runs[k]
	skip := (block-r.logical)*c.fs.block + within
	p = p[:min(int64(len(p)), r.count*c.fs.block-skip)]
	return len(p), readFull(c.fs.r, p, r.physical*c.fs.block+skip)
}

package ext4

import (
	"io"
	"strings"
)

// Entry is a name in a directory.
type Entry struct {
	Name  string
	Inode uint32
}

// maxDirectory bounds a directory, in bytes: some million names.
const maxDirectory = 256 << 20

// inlineParent is the number of bytes that a directory within its inode
// begins with, its parent's number.
const inlineParent = 4

// ReadDir returns a directory's names, without "." and "..", as they come.
func (i *Inode) ReadDir() ([]Entry, error) {
	if i.Type() != TypeDirectory || i.Size > maxDirectory {
		return nil, malformed("inode %d (%d bytes) is no directory", i.Number, i.Size)
	}
	if i.flags&(flagInline|flagEncrypt) == flagInline {
		return i.inlineEntries()
	}
	r, err := i.content()
	if err != nil {
		return nil, err
	}
	var entries []Entry
	b := make([]byte, i.fs.block)
	for {
		n, err := io.ReadFull(r, b)
		if n == 0 {
			return entries, nil
		}
		if err == nil {
			entries, err = appendEntries(entries, b)
		}
		if err != nil {
			return nil, malformed("directory %d: %v", i.Number, err)
		}
	}
}

func (i *Inode) inlineEntries() ([]Entry, error) {
	entries, err := appendEntries(nil, i.block[inlineParent:])
	if err != nil {
		return nil, err
	}
	more, err := i.inlineMore()
	if err != nil {
		return nil, err
	}
	return appendEntries(entries, more)
}

// appendEntries parses one block. The inner nodes of a hashed directory look
// like unused entries.
func appendEntries(entries []Entry, b []byte) ([]Entry, error) {
	const header = 8
	for len(b) >= header {
		length, name := int(le.Uint16(b[4:])), int(b[6])
		if length == 0 || length == 0xffff { // a block of 64 KiB
			length = len(b)
		}
		if length < header || length > len(b) || header+name > length {
			return nil, malformed("an entry of %d bytes with a name of %d", length, name)
		}
		if inode := le.Uint32(b); inode != 0 {
			e := Entry{string(b[header : header+name]), inode}
			if e.Name == "" || strings.ContainsAny(e.Name, "/\x00") {
				return nil, malformed("the name %q", e.Name)
			}
			if e.Name != "." && e.Name != ".." {
				entries = append(entries, e)
			}
		}
		b = b[length:]
	}
	return entries, nil
}

// Lookup finds a file by its path from the root on; slashes at the ends don't
// matter. It follows no symbolic links. It returns nil if there is none.
func (f *FS) Lookup(path string) (*Inode, error) {
	i, err := f.Inode(Root)
	for name := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if err != nil || name == "" {
			return i, err
		}
		if i.Type() != TypeDirectory {
			return nil, nil //nolint:nilnil // as promised
		}
		entries, err2 := i.ReadDir()
		if err2 != nil {
			return nil, err2
		}
		k := indexName(entries, name)
		if k < 0 {
			return nil, nil //nolint:nilnil // as promised
		}
		i, err = f.Inode(entries[k].Inode)
	}
	return i, err
}

func indexName(entries []Entry, name string) int {
	for k, e := range entries {
		if e.Name == name {
			return k
		}
	}
	return -1
}

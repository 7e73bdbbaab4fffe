package ext4

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// prefixes are what stands for the number of an attribute's name space.
// https://docs.kernel.org/filesystems/ext4/attributes.html
var prefixes = map[byte]string{
	1: "user.",
	2: accessACL,
	3: defaultACL,
	4: "trusted.",
	6: "security.",
	7: systemPrefix,
	8: "system.richacl",
}

const (
	accessACL    = "system.posix_acl_access"
	defaultACL   = "system.posix_acl_default"
	systemPrefix = "system."

	// inlineData holds what of a small file does not fit beside its fields.
	inlineData = "system.data"

	attributeMagic = 0xea020000
	maxValue       = 1 << 20
)

// Attributes returns the extended attributes by their full names, in the
// form that Linux's getxattr gives them.
func (i *Inode) Attributes() (map[string][]byte, error) {
	attributes, err := i.attributes()
	delete(attributes, inlineData)
	for _, name := range []string{accessACL, defaultACL} {
		if acl, ok := attributes[name]; ok && err == nil {
			attributes[name], err = convertACL(acl)
		}
	}
	return attributes, err
}

// attributes reads those within the inode and those in a block of their own.
func (i *Inode) attributes() (map[string][]byte, error) {
	attributes := make(map[string][]byte)
	if len(i.extra) >= 4 && le.Uint32(i.extra) == attributeMagic {
		if err := i.parseAttributes(attributes, i.extra[4:], i.extra[4:]); err != nil {
			return nil, err
		}
	}
	if i.acl == 0 {
		return attributes, nil
	}
	const header = 32
	b := make([]byte, i.fs.block)
	if err := i.fs.readBlocks(b, i.acl); err != nil {
		return nil, err
	}
	if le.Uint32(b) != attributeMagic {
		return nil, malformed("inode %d: damaged block of attributes", i.Number)
	}
	return attributes, i.parseAttributes(attributes, b[header:], b)
}

// parseAttributes adds a list of struct ext4_xattr_entry, whose values are
// somewhere in values.
func (i *Inode) parseAttributes(to map[string][]byte, list, values []byte) error {
	const header = 16
	for len(list) >= 4 && le.Uint32(list) != 0 {
		if len(list) < header || len(list) < header+int(list[0]) {
			return malformed("inode %d: attributes run out of their place", i.Number)
		}
		length := int(list[0])
		prefix, known := prefixes[list[1]]
		if !known {
			return malformed("inode %d: an attribute of name space %d", i.Number, list[1])
		}
		name := prefix + string(list[header:header+length])
		value, err := i.value(list, values)
		if err != nil {
			return fmt.Errorf("attribute %q: %w", name, err)
		}
		if strings.ContainsRune(name, 0) {
			return malformed("inode %d: the attribute %q", i.Number, name)
		}
		to[name] = value
		list = list[min((header+length+3)&^3, len(list)):]
	}
	return nil
}

// value returns an attribute's value, which may be the content of an inode.
func (i *Inode) value(entry, values []byte) ([]byte, error) {
	offset, inode, size := int64(le.Uint16(entry[2:])), le.Uint32(entry[4:]), int64(le.Uint32(entry[8:]))
	if inode == 0 {
		if offset+size > int64(len(values)) {
			return nil, malformed("inode %d: %d bytes at %d of %d", i.Number, size, offset, len(values))
		}
		return values[offset : offset+size], nil
	}
	holder, err := i.fs.Inode(inode)
	if err != nil {
		return nil, err
	}
	if holder.flags&flagEAInode == 0 || holder.Size != size || size > maxValue {
		return nil, malformed("inode %d does not hold an attribute of %d bytes", inode, size)
	}
	r, err := holder.Content()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// inlineMore returns what of a file within its inode is among the attributes.
func (i *Inode) inlineMore() ([]byte, error) {
	attributes, err := i.attributes()
	return attributes[inlineData], err
}

// convertACL turns ext4's short form of an access control list (struct
// ext4_acl_entry) into the one of getxattr (struct posix_acl_xattr_entry).
func convertACL(acl []byte) ([]byte, error) {
	const (
		diskVersion, version = 1, 2
		user, group          = 0x02, 0x08 // tags of entries that have an id
		noID                 = 0xffffffff
	)
	if len(acl) < 4 || le.Uint32(acl) != diskVersion {
		return nil, malformed("damaged access control list")
	}
	out := binary.LittleEndian.AppendUint32(nil, version)
	for acl = acl[4:]; len(acl) > 0; {
		if len(acl) < 4 {
			return nil, malformed("access control list cut off")
		}
		tag, id, length := le.Uint16(acl), uint32(noID), 4
		if tag == user || tag == group {
			if length = 8; len(acl) < length {
				return nil, malformed("access control list cut off")
			}
			id = le.Uint32(acl[4:])
		}
		out = le.AppendUint32(append(out, acl[:4]...), id)
		acl = acl[length:]
	}
	return out, nil
}

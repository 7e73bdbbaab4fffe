package ext4

// mapper finds the runs of a file. They are found in the order of the file,
// and only up to its end, which bounds the work that a hostile tree can make.
type mapper struct {
	fs   *FS
	end  int64 // the file's length in blocks
	next int64 // the first block of the file that no run was found for
	runs []run
}

// add notes a run, as far as it is within the file.
func (m *mapper) add(r run) error {
	if r.logical < m.next {
		return malformed("block %d of the file is there twice", r.logical)
	}
	r.count = min(r.count, m.end-r.logical)
	if r.count <= 0 {
		return nil
	}
	if r.physical <= 0 || r.physical > m.fs.super.blocks-r.count {
		return malformed("block %d of %d", r.physical, m.fs.super.blocks)
	}
	m.next = r.logical + r.count
	if n := len(m.runs); n > 0 {
		last := &m.runs[n-1]
		if last.logical+last.count == r.logical && last.physical+last.count == r.physical {
			last.count += r.count
			return nil
		}
	}
	m.runs = append(m.runs, r)
	return nil
}

// The tree of extents, struct ext4_extent_header and so on.
const (
	extentMagic   = 0xf30a
	extentSize    = 12
	maxDepth      = 5
	maxExtent     = 1 << 15 // blocks; beyond, an extent is not written yet
	headerEntries = 2       // offset of their number in a node's header
	headerDepth   = 6
)

// extents adds what a node and those below it map. Its depth must be less
// than below.
func (m *mapper) extents(node []byte, below uint16) error {
	entries, depth := int(le.Uint16(node[headerEntries:])), le.Uint16(node[headerDepth:])
	if le.Uint16(node) != extentMagic || depth >= below || (entries+1)*extentSize > len(node) {
		return malformed("damaged tree of extents")
	}
	for e := 1; e <= entries; e++ {
		entry := node[e*extentSize:][:extentSize]
		logical := int64(le.Uint32(entry))
		if logical >= m.end {
			return nil
		}
		if logical < m.next {
			return malformed("extents out of order")
		}
		var err error
		if depth == 0 {
			err = m.extent(entry, logical)
		} else {
			err = m.subtree(entry, depth)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *mapper) extent(entry []byte, logical int64) error {
	count := int64(le.Uint16(entry[4:]))
	if count > maxExtent { // allocated, but to be read as zeros
		m.next = logical + count - maxExtent
		return nil
	}
	return m.add(run{logical, int64(le.Uint32(entry[8:])) | int64(le.Uint16(entry[6:]))<<32, count})
}

// subtree adds what an entry of an inner node refers to.
func (m *mapper) subtree(entry []byte, depth uint16) error {
	before := m.next
	node := make([]byte, m.fs.block)
	if err := m.fs.readBlocks(node, int64(le.Uint32(entry[4:]))|int64(le.Uint16(entry[8:]))<<32); err != nil {
		return err
	}
	if err := m.extents(node, depth); err != nil {
		return err
	}
	if m.next == before && m.end != before {
		// Without progress, a few blocks could describe an endless tree.
		return malformed("a tree of extents with empty branches")
	}
	return nil
}

// pointers adds what an inode of ext2 and ext3 maps: twelve blocks, then
// blocks of pointers, of pointers to such, and of pointers to those.
func (m *mapper) pointers(block []byte) error {
	const direct, levels = 12, 3
	for k := range int64(direct) {
		if err := m.pointer(le.Uint32(block[4*k:]), k, 0); err != nil {
			return err
		}
	}
	logical := int64(direct)
	for level := 1; level <= levels; level++ {
		if err := m.pointer(le.Uint32(block[4*(direct+level-1):]), logical, level); err != nil {
			return err
		}
		logical += m.span(level)
	}
	return nil
}

// span is how many blocks of a file a pointer of a level maps.
func (m *mapper) span(level int) int64 {
	blocks := int64(1)
	for range level {
		blocks *= m.fs.block / 4
	}
	return blocks
}

func (m *mapper) pointer(to uint32, logical int64, level int) error {
	if to == 0 || logical >= m.end { // a hole
		return nil
	}
	if level == 0 {
		return m.add(run{logical, int64(to), 1})
	}
	node := make([]byte, m.fs.block)
	if err := m.fs.readBlocks(node, int64(to)); err != nil {
		return err
	}
	for ; len(node) > 0 && logical < m.end; node = node[4:] {
		if err := m.pointer(le.Uint32(node), logical, level-1); err != nil {
			return err
		}
		logical += m.span(level - 1)
	}
	return nil
}

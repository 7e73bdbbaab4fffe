package ext4

// inodeTable returns the block where the inodes of a group begin.
func (f *FS) inodeTable(group int64) (int64, error) {
	s := f.super
	perBlock := f.block / s.descSize
	b := make([]byte, s.descSize)
	at := f.descriptorBlock(group/perBlock, perBlock)*f.block + group%perBlock*s.descSize
	if err := readFull(f.r, b, at); err != nil {
		return 0, err
	}
	table := int64(le.Uint32(b[0x8:]))
	if s.descSize >= 64 {
		table |= int64(le.Uint32(b[0x28:])) << 32
	}
	return table, nil
}

// descriptorBlock returns where the n-th block of group descriptors is: all of
// them follow the superblock, but with meta_bg each is in the first of the
// groups that it describes.
func (f *FS) descriptorBlock(n, perBlock int64) int64 {
	s := f.super
	superblock := superblockAt / f.block
	if s.incompat&incompatMetaBG == 0 || n < s.firstMeta {
		return superblock + 1 + n
	}
	group := n * perBlock
	at := s.firstData + group*s.blocksPerGroup
	if s.hasSuperblock(group) {
		at++
	}
	if group == 0 {
		at += superblock - s.firstData // with clusters, the group begins before
	}
	return at
}

// hasSuperblock reports whether a group begins with a copy of the superblock.
func (s superblock) hasSuperblock(group int64) bool {
	switch {
	case group == 0:
		return true
	case s.compat&compatSparseSuper2 != 0:
		return group == int64(s.backups[0]) || group == int64(s.backups[1])
	case group == 1 || s.roCompat&roCompatSparseSuper == 0:
		return true
	}
	return powerOf(group, 3) || powerOf(group, 5) || powerOf(group, 7)
}

func powerOf(n, base int64) bool {
	for n%base == 0 {
		n /= base
	}
	return n == 1
}

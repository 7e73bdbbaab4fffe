package agent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// iso reads files of an ISO 9660 file system (ECMA-119) whose names are Rock
// Ridge's (IEEE P1282, 4.1.4), as on every config drive: OpenStack makes them
// by genisoimage -r.
//
// The kernel could mount it. But a fresh fork under emulation first has to
// translate all the code that it runs, and mounting takes more of it than all
// else that a fork does before it answers.
type iso struct{ r io.ReaderAt }

const isoSector = 2048

// isoLongest bounds what is read at once: a directory, or a file.
const isoLongest = 1 << 20

// extent is where a directory's record says that a file is.
type extent struct {
	sector, size uint32
	directory    bool
}

// label returns the volume's name and the root directory, of the primary
// volume descriptor (8.4). The name should be padded with spaces, but some
// writers pad with zeros.
func (i iso) label() (name string, root extent, err error) {
	d := make([]byte, isoSector)
	if _, err := i.r.ReadAt(d, 16*isoSector); err != nil {
		return "", root, err
	}
	if string(d[:6]) != "\x01CD001" {
		return "", root, errors.New("no ISO 9660 file system")
	}
	root, _, err = parseRecord(d[156:])
	return strings.TrimRight(string(d[40:72]), " \x00"), root, err
}

// file returns the content of a file, by its path from a directory. It reports
// fs.ErrNotExist if there is none.
func (i iso) file(at extent, path string) (content []byte, err error) {
	for name := range strings.SplitSeq(path, "/") {
		if at, err = i.find(at, name); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return i.read(at)
}

func (i iso) read(e extent) ([]byte, error) {
	if e.size > isoLongest {
		return nil, fmt.Errorf("%d bytes are too many", e.size)
	}
	content := make([]byte, e.size)
	_, err := i.r.ReadAt(content, int64(e.sector)*isoSector)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return content, err
}

func (i iso) find(dir extent, name string) (extent, error) {
	if !dir.directory {
		return extent{}, fs.ErrNotExist
	}
	records, err := i.read(dir)
	if err != nil {
		return extent{}, err
	}
	for at := 0; at < len(records); {
		if records[at] == 0 { // the next one did not fit into this sector
			at = (at/isoSector + 1) * isoSector
			continue
		}
		e, has, err := parseRecord(records[at:])
		if err != nil || has == name {
			return e, err
		}
		at += int(records[at])
	}
	return extent{}, fs.ErrNotExist
}

// parseRecord reads a directory's record (9.1) and its Rock Ridge name, "" if
// it has none.
func parseRecord(r []byte) (e extent, name string, err error) {
	const fixed, isDirectory = 33, 2
	if len(r) < fixed || int(r[0]) < fixed || len(r) < int(r[0]) {
		return e, "", errors.New("malformed directory")
	}
	e = extent{
		sector: binary.LittleEndian.Uint32(r[2:]), size: binary.LittleEndian.Uint32(r[10:]),
		directory: r[25]&isDirectory != 0,
	}
	r = r[:r[0]]
	system := (fixed + int(r[32]) + 1) &^ 1 // at an even place
	if system > len(r) {
		return e, "", nil
	}
	return e, rockRidgeName(r[system:]), nil
}

// rockRidgeName puts together the NM entries of a system use area.
func rockRidgeName(area []byte) string {
	const header = 5 // signature, length, version, flags
	var name strings.Builder
	for len(area) >= header && int(area[2]) >= 4 && int(area[2]) <= len(area) {
		if string(area[:2]) == "NM" && area[2] >= header {
			name.Write(area[header:area[2]])
		}
		area = area[area[2]:]
	}
	return name.String()
}

package qemu

// Archive makes a ramdisk of programs by name.
func Archive(files map[string][]byte) []byte {
	programs := make([]program, 0, len(files))
	for name, data := range files {
		programs = append(programs, program{name, data})
	}
	return cpio(programs...)
}

// PID is the process of a running machine.
func (d *Driver) PID(id string) int { return d.machines[id].running().pid }

// What the command line and the log are made of.
var (
	Arguments = arguments
	DiskName  = diskName
	LastLines = lastLines
)

// Ring is a bounded log.
type Ring struct{ *ring }

// NewRing makes a ring.
func NewRing(path string, limit int64) Ring { return Ring{&ring{path: path, limit: limit}} }

func (r Ring) Write(p []byte) error   { return r.write(p) }
func (r Ring) Bytes() ([]byte, error) { return r.bytes() }

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

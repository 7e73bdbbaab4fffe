package qemu

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/gatehouse-dev/gatehouse/core/compute"
)

// machine is one that the host has, or is about to have.
type machine struct {
	id, dir string
	console *ring // what it wrote to its serial port

	// op makes operations wait for each other. It is taken before mu, which
	// guards what follows and is never held while waiting for QEMU.
	op sync.Mutex

	mu      sync.Mutex
	record  record
	process *process // nil: off
}

// record is what is stored of a machine: all it takes to power it on again. It
// is written last when a machine is made and removed first when it is
// destroyed: a directory without it is no machine.
type record struct {
	Machine  compute.Machine // its ConfigDrive is a file of its own
	Layered  bool            `json:",omitempty"` // its disk lies on a template's, which it has a link to
	On       bool
	HostBoot string  `json:",omitempty"` // when it was last powered on
	Died     *string `json:",omitempty"` // the reason of an event that nobody took yet
}

func loadRecord(dir string) (record, error) {
	var r record
	text, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%s: %w", filepath.Join(dir, recordFile), err)
	}
	return r, nil
}

// save stores the record: wholly or not at all.
func (r record) save(dir string) error {
	r.Machine.ConfigDrive = nil
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, recordFile), text)
}

// writeFile replaces a file at once, in the sight of a crash, too.
func writeFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is renamed, or useless
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// update changes the record, on disk first.
func (m *machine) update(change func(r *record)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.updateLocked(change)
}

func (m *machine) updateLocked(change func(r *record)) error {
	changed := m.record
	changed.Machine.Disks = slices.Clone(m.record.Machine.Disks)
	change(&changed)
	if err := changed.save(m.dir); err != nil {
		return fmt.Errorf("store machine %s: %w", m.id, err)
	}
	m.record = changed
	return nil
}

// running is the machine's process, or nil.
func (m *machine) running() *process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.process
}

// tell has the process's end be expected, or not.
func (m *machine) tell(p *process, told bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.told = told
}

// hostBoot identifies the host's present boot.
func hostBoot() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(bytes.TrimSpace(id)), err
}

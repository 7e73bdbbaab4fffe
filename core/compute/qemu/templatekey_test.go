package qemu_test

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/compute"
	"github.com/gatehouse-dev/gatehouse/core/compute/qemu"
)

// keyed is a driver, a machine that it could fork, and what template that one
// has.
type keyed struct {
	t       *testing.T
	system  string
	accel   string
	machine compute.Machine
}

func newKeyed(t *testing.T) *keyed {
	t.Helper()
	k := &keyed{t: t, accel: "tcg", system: script(t, "echo version 7.2")}
	k.machine = compute.Machine{
		ID: uuid.NewString(), VCPUs: 1, MemoryMB: 512, DiskGB: 1, CommandLine: "quiet", ConfigDrive: []byte("config"),
		Root: compute.BaseImage{Format: "qcow2"},
	}
	for _, file := range []*string{&k.machine.Root.File, &k.machine.Kernel, &k.machine.Ramdisk} {
		*file = filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(*file, []byte("one"), 0o600))
	}
	return k
}

func (k *keyed) template() string {
	k.t.Helper()
	driver, err := qemu.New(qemu.Config{
		Dir: k.t.TempDir(), Accel: k.accel, System: k.system, Image: "/bin/true", Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(k.t, err)
	id, err := driver.TemplateID(k.t.Context(), k.machine)
	require.NoError(k.t, err)
	require.NoError(k.t, driver.Close())
	require.NoError(k.t, uuid.Validate(id))
	return id
}

func TestTemplateChangesWithAllItIsMadeOf(t *testing.T) {
	replace := func(path string) { // with one of the same size
		require.NoError(t, os.WriteFile(path+".new", []byte("two"), 0o600))
		require.NoError(t, os.Rename(path+".new", path))
	}
	for name, change := range map[string]func(k *keyed){
		"image":          func(k *keyed) { replace(k.machine.Root.File) },
		"kernel":         func(k *keyed) { replace(k.machine.Kernel) },
		"ramdisk":        func(k *keyed) { replace(k.machine.Ramdisk) },
		"command line":   func(k *keyed) { k.machine.CommandLine += " debug" },
		"processors":     func(k *keyed) { k.machine.VCPUs++ },
		"memory":         func(k *keyed) { k.machine.MemoryMB++ },
		"disk":           func(k *keyed) { k.machine.DiskGB++ },
		"acceleration":   func(k *keyed) { k.accel = "kvm" },
		"QEMU":           func(k *keyed) { replaceScript(k.t, k.system, "echo version 7.2 # patched") },
		"QEMU's version": func(k *keyed) { k.system = script(k.t, "echo version 7.3") },
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyed(t)
			before := k.template()
			change(k)
			assert.NotEqual(t, before, k.template())
		})
	}
}

func replaceScript(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.Rename(script(t, text), path))
}

func TestTemplateIsTheSameForAllMachinesOfAKind(t *testing.T) {
	for name, change := range map[string]func(k *keyed){
		"id":           func(k *keyed) { k.machine.ID = uuid.NewString() },
		"name":         func(k *keyed) { k.machine.Name = "two" },
		"config drive": func(k *keyed) { k.machine.ConfigDrive = []byte("two") },
		"interface": func(k *keyed) {
			k.machine.Interface = compute.Interface{
				MAC: "fa:16:3e:00:00:01", Address: netip.MustParseAddr("127.64.0.1"), Ports: []compute.Forward{{Host: 22, Guest: 22}},
			}
		},
		"volumes": func(k *keyed) { k.machine.Disks = []compute.Disk{{Serial: "a", File: "/a", Format: "raw"}} },
		"image used again": func(k *keyed) {
			require.NoError(k.t, os.Chtimes(k.machine.Root.File, time.Now(), time.Now().Add(time.Hour)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyed(t)
			before := k.template()
			change(k)
			assert.Equal(t, before, k.template())
		})
	}
}

package qemu_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/compute"
	"github.com/gatehouse-dev/gatehouse/core/compute/qemu"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// open makes a driver whose QEMU is any program: for what goes wrong before
// one is run, or because of what it does.
func open(t *testing.T, system string) (*qemu.Driver, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "machines")
	driver, err := qemu.New(qemu.Config{
		Dir: dir, Accel: "tcg", System: system, Image: "/bin/true",
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, driver.Close()) })
	return driver, dir
}

func machine() compute.Machine {
	return compute.Machine{
		ID: uuid.NewString(), VCPUs: 1, MemoryMB: 64,
		Root: compute.BaseImage{File: "/dev/null", Format: "raw"},
	}
}

// script is a program that does what the shell is told here.
func script(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o600))
	require.NoError(t, os.Chmod(file, 0o700))
	return file
}

func TestMissingProgramNamesItsPackage(t *testing.T) {
	for text, config := range map[string]qemu.Config{
		"Debian package qemu-system-x86": {System: "/nowhere/qemu", Image: "/bin/true"},
		"Debian package qemu-utils":      {System: "/bin/true", Image: "/nowhere/qemu-img"},
	} {
		config.Dir, config.Log = t.TempDir(), slog.New(slog.DiscardHandler)
		_, err := qemu.New(config)
		require.ErrorContains(t, err, text)
	}
}

func TestUnknownAccelerationIsRefused(t *testing.T) {
	_, err := qemu.New(qemu.Config{
		Dir: t.TempDir(), Accel: "hvf", System: "/bin/true", Image: "/bin/true", Log: slog.New(slog.DiscardHandler),
	})
	require.ErrorContains(t, err, "hvf")
}

func TestSecondDriverOfADirectoryIsRefused(t *testing.T) {
	first, dir := open(t, "/bin/true")
	config := qemu.Config{Dir: dir, Accel: "tcg", System: "/bin/true", Image: "/bin/true", Log: slog.New(slog.DiscardHandler)}
	_, err := qemu.New(config)
	require.ErrorContains(t, err, "another gatehouse")

	require.NoError(t, first.Close())
	second, err := qemu.New(config)
	require.NoError(t, err)
	require.NoError(t, second.Close())
}

func TestFailedSpawnSaysWhatQEMUSaidAndLeavesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		said  string
		check func(t *testing.T, err error)
	}{
		"any other": {"no such device", func(t *testing.T, err error) {
			t.Helper()
			assert.Equal(t, fault.Internal, fault.KindOf(err))
			assert.ErrorContains(t, err, "no such device")
		}},
		"port taken": {"Could not set up host forwarding rule 'tcp:127.64.0.1:22-:22'", func(t *testing.T, err error) {
			t.Helper()
			assert.ErrorIs(t, err, compute.ErrAddressInUse)
		}},
		"volume in use": {`Failed to get "write" lock`, func(t *testing.T, err error) {
			t.Helper()
			assert.Equal(t, fault.Conflict, fault.KindOf(err))
		}},
		"disk full": {"No space left on device", func(t *testing.T, err error) {
			t.Helper()
			assert.Equal(t, fault.NoSpace, fault.KindOf(err))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			driver, dir := open(t, script(t, `echo "`+escape(c.said)+`" >&2; exit 1`))
			err := driver.Spawn(t.Context(), machine())
			require.Error(t, err)
			c.check(t, err)
			left, err := filepath.Glob(filepath.Join(dir, "*-*"))
			require.NoError(t, err)
			assert.Empty(t, left)
			ids, err := driver.Machines(t.Context())
			require.NoError(t, err)
			assert.Empty(t, ids)
		})
	}
}

func escape(text string) (escaped string) {
	for _, r := range text {
		if r == '"' {
			escaped += `\`
		}
		escaped += string(r)
	}
	return escaped
}

func TestMachineThatCannotBeIsRefused(t *testing.T) {
	driver, dir := open(t, "/bin/true")
	for name, change := range map[string]func(m *compute.Machine){
		"id is a path":        func(m *compute.Machine) { m.ID = "../" + m.ID },
		"id is not canonical": func(m *compute.Machine) { m.ID = "{" + m.ID + "}" },
		"no processor":        func(m *compute.Machine) { m.VCPUs = 0 },
		"no memory":           func(m *compute.Machine) { m.MemoryMB = 0 },
		"an option as MAC":    func(m *compute.Machine) { m.Interface.MAC = "fa:16:3e:00:00:01,romfile=/etc/passwd" },
		"outgoing":            func(m *compute.Machine) { m.Interface.Outgoing = true },
		"no image":            func(m *compute.Machine) { m.Root.File, m.DiskGB = filepath.Join(dir, "none"), 1 },
	} {
		t.Run(name, func(t *testing.T) {
			m := machine()
			change(&m)
			require.Error(t, driver.Spawn(t.Context(), m))
		})
	}
}

func TestDiskSmallerThanItsImageIsRefused(t *testing.T) {
	driver, dir := open(t, "/bin/true")
	m := machine()
	m.Root.File, m.DiskGB = filepath.Join(dir, "image"), 1
	require.NoError(t, os.WriteFile(m.Root.File, nil, 0o600))
	require.NoError(t, os.Truncate(m.Root.File, 1<<30+1))
	err := driver.Spawn(t.Context(), m)
	require.True(t, fault.Is(err, fault.BadRequest), "%v", err)

	m.Root.Format = "qcow2"
	header := append([]byte("QFI\xfb"), make([]byte, 20)...)
	require.NoError(t, os.WriteFile(m.Root.File, append(header, 0, 0, 0, 1, 0, 0, 0, 0), 0o600)) // 4 GiB
	err = driver.Spawn(t.Context(), m)
	require.True(t, fault.Is(err, fault.BadRequest), "%v", err)
	require.NotErrorIs(t, err, os.ErrNotExist)
}

package qemu_test

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/compute"
	"github.com/gatehouse-dev/gatehouse/core/compute/qemu"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestCommandLine(t *testing.T) {
	firmware := compute.Machine{
		ID: "5cf5f6a5-3d1f-4a2b-9f0c-0e5a5d2f7a10", Name: "-name, with\nsurprises", VCPUs: 1, MemoryMB: 512,
		Root: compute.BaseImage{File: "/data/image/debian, 12.raw", Format: "raw"},
	}
	direct := compute.Machine{
		ID: "8c0f6f3e-64b5-4f0e-8df1-0a2a1f7b9c01", VCPUs: 2, MemoryMB: 2048, DiskGB: 10,
		Root:   compute.BaseImage{File: "/data/image/go.qcow2", Format: "qcow2"},
		Kernel: "/data/image/vmlinuz", Ramdisk: "/data/image/ramdisk", CommandLine: "console=ttyS0 quiet",
		ConfigDrive: []byte("iso"),
		Interface: compute.Interface{
			MAC: "fa:16:3e:12:34:56", Address: netip.MustParseAddr("127.64.0.7"),
			Ports: []compute.Forward{{Host: 22, Guest: 22}, {Host: 2222, Guest: 22}},
		},
		Disks: []compute.Disk{
			{Serial: "0b6d0b3a-6a25-4f4d-8f2c-3d5a1c9e7b11", File: "/data/volume/a", Format: "raw"},
			{Serial: "c", File: "/data/volume/c", Format: "qcow2", ReadOnly: true},
		},
	}
	outgoing := firmware
	outgoing.Interface = compute.Interface{MAC: "fa:16:3e:00:00:01", Outgoing: true}
	undisked := direct
	undisked.Disks = nil
	for name, c := range map[string]struct {
		arguments   func(compute.Machine, qemu.Acceleration) []string
		machine     compute.Machine
		accelerator string
	}{
		"firmware": {qemu.Arguments, firmware, "tcg"},
		"direct":   {qemu.Arguments, direct, "tcg"},
		"kvm":      {qemu.Arguments, direct, "kvm"},
		"outgoing": {qemu.Arguments, outgoing, "tcg"},
		"template": {qemu.TemplateArguments, direct, "tcg"},
		"fork":     {qemu.ForkArguments, undisked, "tcg"},
	} {
		t.Run(name, func(t *testing.T) {
			var lines strings.Builder
			for _, arg := range c.arguments(c.machine, qemu.Acceleration{Name: c.accelerator}) {
				if strings.HasPrefix(arg, "-") {
					lines.WriteString("\n" + arg)
				} else {
					lines.WriteString(" " + arg)
				}
			}
			golden(t, name, strings.TrimPrefix(lines.String(), "\n")+"\n")
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

func TestNodeNamesFitIntoQEMU(t *testing.T) {
	const longest = 31 // BlockDriverState.node_name
	a, b := qemu.DiskName("0b6d0b3a-6a25-4f4d-8f2c-3d5a1c9e7b11"), qemu.DiskName("0b6d0b3a-6a25-4f4d-8f2c-3d5a1c9e7b12")
	assert.LessOrEqual(t, len(a), longest)
	assert.NotEqual(t, a, b)
}

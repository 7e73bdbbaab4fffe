package installer_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/iso9660"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/testenv/image/installer"
)

// These tests run the real qemu-img, but a script in the place of QEMU. The
// ones that boot an installer are in e2e_test.go.

// makeISO writes an ISO image with the files of a tree.
func makeISO(tree, to string) error {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	iso, err := iso9660.Create(file.New(f, false), 0, 0, 2048, tree)
	if err != nil {
		return err
	}
	return iso.Finalize(iso9660.FinalizeOptions{RockRidge: true, VolumeIdentifier: "TINY"})
}

// scripted is an installation in which QEMU is a shell script. It finds what
// it was given in $kernel, $ramdisk, $disk and $arguments.
func scripted(t *testing.T, script string) installer.Config {
	t.Helper()
	dir := t.TempDir()
	qemu := filepath.Join(dir, "qemu")
	require.NoError(t, os.WriteFile(qemu, []byte(`#!/bin/sh
arguments=$*
while [ $# -gt 0 ]; do
	case $1 in
	-kernel) kernel=$2 ;;
	-initrd) ramdisk=$2 ;;
	-drive) case $2 in if=none,id=disk,*) disk=$(echo "${2##*file.filename=}" | sed s/,,/,/g) ;; esac ;;
	esac
	shift
done
`+script), 0o700))
	tree := filepath.Join(dir, "tree")
	require.NoError(t, os.MkdirAll(filepath.Join(tree, "install.amd"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(tree, "install.amd/vmlinuz-6.1"), []byte("the kernel"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(tree, "install.amd/initrd.gz"), []byte("the ramdisk"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(tree, "empty"), nil, 0o644))
	iso := filepath.Join(dir, "an, installer.iso")
	require.NoError(t, makeISO(tree, iso))
	return installer.Config{
		ISO: iso, Kernel: "/install.amd/vmlinuz-6.1", Ramdisk: "/install.amd/initrd.gz",
		CommandLine: "console=ttyS0", DiskMB: 64,
		To: filepath.Join(t.TempDir(), "a, disk.qcow2"), TempDir: t.TempDir(), QEMU: qemu, Environment: environment(),
	}
}

// environment is this process's.
func environment() []string { return new(exec.Cmd).Environ() }

// partition makes the disk look installed.
const partition = `
printf '\203\0\0\0\0\010\0\0\0\0\1\0' | dd of=mbr bs=1 seek=450 2>/dev/null
printf '\125\252' | dd of=mbr bs=1 seek=510 2>/dev/null
truncate -s 64M mbr
qemu-img convert -f raw -O qcow2 mbr "$disk"
`

// onlyTheDiskIsLeft checks that neither temporary files nor a disk that is not
// to be had are there.
func onlyTheDiskIsLeft(t *testing.T, c installer.Config, disk bool) {
	t.Helper()
	temporary, err := os.ReadDir(c.TempDir)
	require.NoError(t, err)
	assert.Empty(t, temporary)
	beside, err := os.ReadDir(filepath.Dir(c.To))
	require.NoError(t, err)
	if !disk {
		assert.Empty(t, beside)
		return
	}
	require.Len(t, beside, 1)
	assert.Equal(t, filepath.Base(c.To), beside[0].Name())
}

func TestTheInstallerGetsItsFilesAndAnswers(t *testing.T) {
	seen := t.TempDir()
	t.Chdir(seen)
	c := scripted(t, `cp "$kernel" kernel; cp "$ramdisk" ramdisk; echo "$arguments" >arguments`+partition)
	answers, hook := filepath.Join(t.TempDir(), "x"), filepath.Join(t.TempDir(), "y")
	require.NoError(t, os.WriteFile(answers, []byte("d-i answers\n"), 0o600))
	require.NoError(t, os.WriteFile(hook, []byte("#!/bin/sh\n"), 0o700))
	c.Inject = map[string]string{"/preseed.cfg": answers, "hooks/early/10": hook}
	require.NoError(t, installer.Run(t.Context(), c))
	onlyTheDiskIsLeft(t, c, true)

	kernel, err := os.ReadFile("kernel")
	require.NoError(t, err)
	assert.Equal(t, "the kernel", string(kernel))
	ramdisk, err := os.ReadFile("ramdisk")
	require.NoError(t, err)
	archive, ok := bytes.CutPrefix(ramdisk, []byte("the ramdisk\x00"))
	require.True(t, ok, "the archive starts at a multiple of four")
	assert.Equal(t, []member{
		{"preseed.cfg", 0o100644, "d-i answers\n"},
		{"hooks", 0o040755, ""},
		{"hooks/early", 0o040755, ""},
		{"hooks/early/10", 0o100755, "#!/bin/sh\n"},
	}, members(t, archive))
	arguments, err := os.ReadFile("arguments")
	require.NoError(t, err)
	for _, part := range []string{"-append console=ttyS0 ", "-no-reboot", "accel=tcg", "-smp 1 -m 1024", "user,id=net,restrict=on", "an,, installer.iso"} {
		assert.Contains(t, string(arguments), part)
	}
}

func TestNetworkAndSizesAreTheCallers(t *testing.T) {
	t.Chdir(t.TempDir())
	c := scripted(t, `echo "$arguments" >arguments`+partition)
	c.Network, c.VCPUs, c.MemoryMB, c.Accel = true, 4, 2048, "kvm"
	require.NoError(t, installer.Run(t.Context(), c))
	arguments, err := os.ReadFile("arguments")
	require.NoError(t, err)
	assert.Contains(t, string(arguments), "-netdev user,id=net -device")
	assert.Contains(t, string(arguments), "accel=kvm")
	assert.Contains(t, string(arguments), "-smp 4 -m 2048")
}

type member struct {
	name    string
	mode    int
	content string
}

// members reads an archive in the "newc" format.
func members(t *testing.T, b []byte) []member {
	t.Helper()
	var found []member
	const header, modeField, sizeField, nameField = 110, 1, 6, 11
	for at := 0; ; {
		require.Equal(t, "070701", string(b[at:at+6]))
		field := func(n int) int {
			v, err := strconv.ParseInt(string(b[at+6+8*n:at+14+8*n]), 16, 64)
			require.NoError(t, err)
			return int(v)
		}
		mode, size, name := field(modeField), field(sizeField), field(nameField)
		at += header
		m := member{name: string(b[at : at+name-1]), mode: mode}
		at = (at + name + 3) &^ 3
		m.content = string(b[at : at+size])
		at = (at + size + 3) &^ 3
		if m.name == "TRAILER!!!" {
			assert.Len(t, b, at)
			return found
		}
		found = append(found, m)
	}
}

func TestAnInstallationFails(t *testing.T) {
	for name, test := range map[string]struct {
		script, reason string
		change         func(c *installer.Config)
	}{
		"nothing on the disk":  {script: "true", reason: "without having partitioned"},
		"QEMU fails":           {script: "echo no such accelerator >&2; exit 1", reason: "exit status 1; its console:\nno such accelerator"},
		"panic":                {script: "printf 'loading\\r\\n[ 1.2] Kernel panic - not syncing: no init\\nregisters\\n'; exec sleep 600", reason: "panicked; its console:\nloading\n[ 1.2] Kernel panic - not syncing: no init"},
		"an unanswered dialog": {script: "printf 'loading\\n\\033[1mWhich disk?\\033[0m [sda] '; exec sleep 600", reason: "had not ended after 500ms; its console:\nloading\nWhich disk? [sda]", change: func(c *installer.Config) { c.Timeout = 500 * time.Millisecond }},
		"no kernel":            {reason: "install.amd/vmlinux", change: func(c *installer.Config) { c.Kernel = "install.amd/vmlinux" }},
		"empty ramdisk":        {reason: "empty: it is empty", change: func(c *installer.Config) { c.Ramdisk = "empty" }},
		"a directory":          {reason: "install.amd", change: func(c *installer.Config) { c.Ramdisk = "install.amd" }},
		"no ISO":               {reason: "no ISO 9660 image", change: func(c *installer.Config) { c.ISO = c.QEMU }},
		"no answers":           {reason: "inject preseed.cfg", change: func(c *installer.Config) { c.Inject = map[string]string{"preseed.cfg": "/nonexistent"} }},
		"no name":              {reason: "no Kernel given", change: func(c *installer.Config) { c.Kernel = "" }},
		"no size":              {reason: "no size of the disk", change: func(c *installer.Config) { c.DiskMB = 0 }},
		"no QEMU":              {reason: "qemu-missing", change: func(c *installer.Config) { c.QEMU = "qemu-missing" }},
	} {
		t.Run(name, func(t *testing.T) {
			c := scripted(t, test.script)
			if test.change != nil {
				test.change(&c)
			}
			assert.ErrorContains(t, installer.Run(t.Context(), c), test.reason)
			onlyTheDiskIsLeft(t, c, false)
		})
	}
}

func TestACancelledInstallationEndsQEMU(t *testing.T) {
	t.Chdir(t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	c := scripted(t, "trap 'echo told >told; exit 0' TERM; echo up; while :; do sleep 0.01; done")
	c.Progress = func(string) { cancel() }
	require.ErrorIs(t, installer.Run(ctx, c), context.Canceled)
	assert.FileExists(t, "told")
	onlyTheDiskIsLeft(t, c, false)
}

func TestWhatTheConsoleShowsIsBoundedText(t *testing.T) {
	t.Chdir(t.TempDir())
	c := scripted(t, `
printf '\033[2J\033[1;32mgreen\033[0m and \007bell\n  \n'
printf '10%%\r20%%\r\n'
printf 'caf\303\251 \377\302\233 end\n'
head -c 20000 /dev/zero | tr '\0' x
echo`+partition)
	var lines []string
	c.Progress = func(line string) { lines = append(lines, line) }
	require.NoError(t, installer.Run(t.Context(), c))
	assert.Equal(t, []string{"green and bell", "10%", "20%", "café  end", strings.Repeat("x", 300), strings.Repeat("x", 300)}, lines)
}

// Without genisoimage this fails: it makes what other people's ISOs are like.
func TestAnISOWithoutLongNamesIsRead(t *testing.T) {
	tree := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(tree, "LINUX"), []byte("plain"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(tree, "INITRD.GZ"), []byte("ramdisk"), 0o644))
	t.Chdir(t.TempDir())
	c := scripted(t, `cp "$kernel" kernel`+partition)
	out, err := exec.CommandContext(t.Context(), "genisoimage", "-quiet", "-o", c.ISO, tree).CombinedOutput()
	require.NoError(t, err, string(out))
	c.Kernel, c.Ramdisk = "/LINUX", "/INITRD.GZ"
	require.NoError(t, installer.Run(t.Context(), c))
	kernel, err := os.ReadFile("kernel")
	require.NoError(t, err)
	assert.Equal(t, "plain", string(kernel))
}

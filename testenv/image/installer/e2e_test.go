//go:build e2e

package installer_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/testenv/image/disk"
	"github.com/gatehouse-dev/gatehouse/testenv/image/installer"
)

// timeout is how long something may take that takes seconds, on a busy host
// without KVM.
const timeout = 3 * time.Minute

// cache holds Debian's cloud kernel; see scripts/fetch-kernel.sh.
const cache = "../../../.cache/kernel"

const osRelease = "PRETTY_NAME=\"Tiny\"\n"

func TestMain(m *testing.M) {
	status := m.Run()
	os.RemoveAll(media.dir)
	os.Exit(status)
}

// media is the tests' ISO: Debian's kernel, testdata/guest with mke2fs, and a
// small system.
var media struct {
	sync.Once
	dir, file string
	err       error
}

func iso(t *testing.T) string {
	t.Helper()
	media.Do(func() { media.err = makeMedia(t.Context()) })
	require.NoError(t, media.err)
	return media.file
}

func makeMedia(ctx context.Context) (err error) {
	if err := command(ctx, "../../../scripts/fetch-kernel.sh"); err != nil {
		return err
	}
	if media.dir, err = os.MkdirTemp("", "media"); err != nil {
		return err
	}
	tree := filepath.Join(media.dir, "tree")
	for _, dir := range []string{"boot", "system/etc", "system/boot"} {
		if err := os.MkdirAll(filepath.Join(tree, dir), 0o755); err != nil {
			return err
		}
	}
	kernel, err := os.ReadFile(filepath.Join(cache, "vmlinuz"))
	ramdisk, err2 := makeRamdisk(ctx)
	if err = errors.Join(err, err2); err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"boot/installer-kernel-6.img": kernel, "boot/Long name of a ramdisk.cpio": ramdisk, "system/etc/os-release": []byte(osRelease),
	} {
		if err := os.WriteFile(filepath.Join(tree, name), content, 0o644); err != nil {
			return err
		}
	}
	media.file = filepath.Join(media.dir, "installer, tiny.iso")
	return makeISO(tree, media.file)
}

func makeRamdisk(ctx context.Context) ([]byte, error) {
	init := filepath.Join(media.dir, "init")
	build := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", init, "./testdata/guest")
	build.Env = append(build.Environ(), "CGO_ENABLED=0", "GOARCH=amd64", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, errors.New(string(out))
	}
	files := map[string]string{"init": init}
	err := filepath.WalkDir(filepath.Join(cache, "modules"), func(path string, _ fs.DirEntry, err error) error {
		if name := filepath.Base(path); strings.HasSuffix(name, ".ko") && needed[strings.TrimSuffix(name, ".ko")] {
			files["modules/"+name] = path
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := addProgram(ctx, files); err != nil {
		return nil, err
	}
	var archive bytes.Buffer
	err = installer.WriteArchive(&archive, files)
	return archive.Bytes(), err
}

// needed are the modules that testdata/guest loads.
var needed = map[string]bool{
	"virtio_ring": true, "virtio": true, "virtio_pci_legacy_dev": true, "virtio_pci_modern_dev": true, "virtio_pci": true, "virtio_blk": true,
	"scsi_common": true, "scsi_mod": true, "libata": true, "ata_piix": true, "cdrom": true, "sr_mod": true, "isofs": true,
}

// addProgram adds the host's mke2fs, and the libraries that it is linked to.
func addProgram(ctx context.Context, files map[string]string) error {
	program, err := exec.LookPath("mke2fs")
	if err != nil {
		program = "/usr/sbin/mke2fs"
	}
	files["mke2fs"] = program
	out, err := exec.CommandContext(ctx, "ldd", program).Output()
	for word := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(word, "/") {
			files[word] = word
		}
	}
	return err
}

func command(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return errors.New(name + ": " + err.Error() + ": " + string(out))
	}
	return nil
}

// config is an installation whose answers are given.
func config(t *testing.T, answers string) installer.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "answers")
	require.NoError(t, os.WriteFile(file, []byte(answers+"\n"), 0o600))
	return installer.Config{
		ISO: iso(t), Kernel: "/boot/installer-kernel-6.img", Ramdisk: "boot/Long name of a ramdisk.cpio",
		CommandLine: "console=ttyS0 quiet no_timer_check",
		Inject:      map[string]string{"/answers": file},
		DiskMB:      64, MemoryMB: 256, Timeout: timeout,
		To: filepath.Join(t.TempDir(), "a, disk.qcow2"), TempDir: t.TempDir(), Environment: environment(),
		Progress: func(line string) { t.Log(line) },
	}
}

func TestAnInstalledSystemIsOnTheDisk(t *testing.T) {
	c := config(t, "install tiny-host")
	var lines []string
	c.Progress = func(line string) { lines = append(lines, line) }
	require.NoError(t, installer.Run(t.Context(), c))
	assert.Contains(t, lines, "installer: making the file system")

	var archive bytes.Buffer
	require.NoError(t, disk.Extract(t.Context(), disk.Config{TempDir: t.TempDir(), Environment: environment()}, c.To, &archive))
	files := make(map[string]string)
	r := tar.NewReader(&archive)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		files[h.Name] = string(content)
	}
	assert.Equal(t, map[string]string{"boot/": "", "etc/": "", "etc/hostname": "tiny-host\n", "etc/os-release": osRelease}, files)
	onlyTheDiskIsLeft(t, c, true)
}

func TestAnInstallerThatPanicsFailsAtOnce(t *testing.T) {
	c := config(t, "confuse")
	err := installer.Run(t.Context(), c)
	require.ErrorIs(t, err, installer.ErrPanic)
	assert.ErrorContains(t, err, `what does "confuse" mean?`)
	onlyTheDiskIsLeft(t, c, false)
}

func TestACancelledInstallationLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := config(t, "install tiny-host")
	c.Progress = func(line string) {
		if line == "installer: copying" {
			cancel()
		}
	}
	require.ErrorIs(t, installer.Run(ctx, c), context.Canceled)
	onlyTheDiskIsLeft(t, c, false)
}
